//! Real chains: what the watcher costs, how soon a mined payment is goods, and what a catch-up waits for.

// Chains: anvil as a payer uses it, and one that is made up as it is asked for.
pub mod chain;
pub mod scripted;

// Between a server and its node.
mod relay;

pub mod addresses;
pub mod catch_up;
pub mod mined;
pub mod watcher;

use crate::http::{self, Connection};
use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The network of every measurement, as the shop's configuration names it.
const NETWORK: &str = "Base";
/// Between looks at a server's figures.
const LOOK: Duration = Duration::from_millis(20);
/// The longest that a server may take until its figures are as they should be.
const PATIENCE: Duration = Duration::from_secs(120);

/// What `/metrics` says of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Orders are taken.
    pub is_open: bool,
    pub lag_blocks: u64,
    /// In Unix seconds; 0 before the first scan.
    pub scanned_through: u64,
}

/// Looks at the server's figures until they are as wanted.
pub async fn wait_until(shop: SocketAddr, wanted: impl Fn(&Standing) -> bool) -> anyhow::Result<()> {
    let (mut connection, start) = (Connection::open(shop).await?, Instant::now());
    loop {
        let answer = connection.call(&http::get("/metrics")).await?;
        let text = std::str::from_utf8(answer.success()?).context("the figures are not text")?;
        let standing = Standing::read(text)?;
        if wanted(&standing) {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            bail!("the network did not get there within {} s: {standing:?}", PATIENCE.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Standing {
    fn read(text: &str) -> anyhow::Result<Standing> {
        let figure = |name: &str| {
            let start = format!("kiosk_{name}{{network=\"{NETWORK}\"}} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&start));
            let value = value.with_context(|| format!("/metrics has no {name} of {NETWORK}"))?;
            value.trim().parse::<u64>().with_context(|| format!("{name} is {value}"))
        };
        Ok(Standing {
            is_open: figure("network_open")? == 1,
            lag_blocks: figure("chain_lag_blocks")?,
            scanned_through: figure("chain_scanned_through_seconds")?,
        })
    }
}
