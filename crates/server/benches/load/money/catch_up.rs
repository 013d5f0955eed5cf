//! What a server waits for while it catches up: its node's answers, of the whole time.
//!
//! The server knows the chain, loses its node, and finds it again with many more blocks. Everything is read off the relay
//! between the two: the way begins with the first question and ends where the server next pauses between two looks. The
//! relay sees a question a little later than it was asked, and its answer's end a little earlier: what is told here as
//! waiting is never too long.

use super::chain::Chain;
use super::relay::{Exchange, Relay};
use super::wait_until;
use crate::timing::{micros, micros_between};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use server::config::Config;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Blocks between two payments; every tenth payment is to an address of ours.
const BETWEEN: u64 = 100;
/// Ten dollars.
const RAW: u128 = 10_000_000;
const STRANGER: &str = "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB";
/// After the figures say that it is over: the next look has come by then.
const MOST_PAUSES: u32 = 5;

#[derive(clap::Args)]
pub struct CatchUpArgs {
    #[arg(long)]
    address: SocketAddr,
    /// The shop's own, which names a wallet.
    #[arg(long)]
    config: PathBuf,
    /// A fresh anvil that mines nothing by itself.
    #[arg(long)]
    node: SocketAddr,
    /// What the shop takes for its node; nobody listens there yet.
    #[arg(long)]
    relay: SocketAddr,
    #[arg(long)]
    blocks: u64,
    /// Milliseconds between two looks of the server: longer than any commit.
    #[arg(long)]
    pause_ms: u64,
}

pub async fn run(arguments: &CatchUpArgs) -> anyhow::Result<Value> {
    ensure!(arguments.blocks >= BETWEEN, "--blocks must be {BETWEEN} or more");
    let config = Config::load(Some(&arguments.config))?;
    let account = config.evm_account()?.context("the shop has no wallet")?;
    let mut chain = Chain::begin(arguments.node).await?;
    let (known, at) = chain.newest().await?;
    let relay = Relay::start(arguments.relay, arguments.node).await?;
    wait_until(arguments.address, |standing| standing.scanned_through + 1 >= at).await?;

    relay.close();
    let mining = Instant::now();
    for number in 0..arguments.blocks / BETWEEN {
        let to = match number % 10 {
            0 => account.address(i64::try_from(number / 10)?)?,
            _ => STRANGER.to_owned(),
        };
        chain.pay(&to, RAW).await?;
        chain.mine(BETWEEN).await?;
    }
    let mining_us = micros(mining.elapsed());
    let (height, at) = chain.newest().await?;

    relay.open();
    // A block's time less a millisecond is what the server calls scanned, in whole seconds.
    wait_until(arguments.address, |standing| standing.scanned_through + 1 >= at && standing.lag_blocks == 0).await?;
    let noticed = Instant::now();
    let pause = Duration::from_millis(arguments.pause_ms);
    tokio::time::sleep(pause * MOST_PAUSES).await;
    let way = way(&relay.exchanges(), pause).context("the server does not pause between two looks")?;
    ensure!(
        noticed.saturating_duration_since(way.end) < pause,
        "a look failed on the way, and the server paused: measure again"
    );
    Ok(json!({
        "blocks": height - known,
        "questions": way.questions,
        "waiting_us": way.waiting_us,
        "elapsed_us": micros_between(way.begin, way.end),
        "mining_us": mining_us,
    }))
}

/// A catch-up as the relay saw it.
struct Way {
    begin: Instant,
    end: Instant,
    questions: usize,
    waiting_us: u64,
}

/// From the first question to the first pause.
fn way(exchanges: &[Exchange], pause: Duration) -> Option<Way> {
    let has_pause = |pair: &[Exchange]| pair[1].asked.saturating_duration_since(pair[0].answered) >= pause;
    let last = exchanges.windows(2).position(has_pause)?;
    let on_the_way = &exchanges[..=last];
    Some(Way {
        begin: exchanges[0].asked,
        end: exchanges[last + 1].asked.checked_sub(pause)?,
        questions: on_the_way.len(),
        waiting_us: on_the_way.iter().map(|exchange| micros_between(exchange.asked, exchange.answered)).sum(),
    })
}
