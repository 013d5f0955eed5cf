//! What a block costs the watcher: the product's own worker, adapter and database in this process, and a node that has
//! nothing to think about.
//!
//! The window of remembered blocks is full before the first block that counts: a shop that runs for ten minutes is never
//! without it. The peer is the least that has to be done for a block: the lookups of its receivers as prepared SQL, and
//! its events read once as JSON. The memory is the whole process's: what the node keeps of its newest blocks is in it.

use super::addresses::config;
use super::scripted::{Node, Plan};
use crate::prepare::runtime;
use crate::timing::{micros, per_mille};
use anyhow::{Context, bail, ensure};
use domain::chain::WINDOW;
use serde_json::{Value, json};
use server::boot;
use server::config::Config;
use server::store::Conn;
use server::workers::{Ran, watch};
use std::path::PathBuf;
use std::time::Instant;

/// Blocks of the time without much of a window: right after the first ones, when everything is prepared.
const YOUNG: std::ops::Range<usize> = 4..20;

#[derive(clap::Args)]
pub struct WatcherArgs {
    /// A data directory that `addresses` has filled.
    #[arg(long)]
    data_dir: PathBuf,
    /// Addresses in it.
    #[arg(long)]
    addresses: u64,
    /// Of each block.
    #[arg(long)]
    transfers: u64,
    /// Of them, to addresses of ours.
    #[arg(long)]
    ours: u64,
    /// Blocks that count.
    #[arg(long)]
    blocks: usize,
}

pub fn run(arguments: &WatcherArgs) -> anyhow::Result<Value> {
    let plan = Plan { addresses: arguments.addresses, transfers: arguments.transfers, ours: arguments.ours };
    ensure!(plan.ours > 0 && plan.ours <= plan.transfers, "--ours must be 1 or more, and --transfers no fewer");
    ensure!(plan.addresses > plan.ours && arguments.blocks > 0, "there must be addresses and blocks");
    let before_kib = memory_kib("VmRSS:")?;
    let blocks = WINDOW + arguments.blocks;
    runtime()?.block_on(async {
        let node = Node::start(plan).await?;
        let config = config(&arguments.data_dir, &node.url)?;
        let mut took = watch_blocks(&config, &node, plan, blocks).await?;
        let grown_kib = memory_kib("VmHWM:")?.saturating_sub(before_kib);
        let young_us = mean(&took[YOUNG]);
        let counted = &mut took[WINDOW..];
        let mean_us = mean(counted);
        Ok(json!({
            "blocks": counted.len(),
            "mean_us": mean_us,
            "p99_us": per_mille(counted, 990),
            "young_us": young_us,
            "lookups_us": bare_lookups(&config, plan, blocks)?,
            "read_us": bare_reads(&node)?,
            "grown_kib": grown_kib,
        }))
    })
}

/// How long the watcher took for each block, in microseconds. Nothing of a block may be missing in the database.
async fn watch_blocks(config: &Config, node: &Node, plan: Plan, blocks: usize) -> anyhow::Result<Vec<u64>> {
    let kiosk = boot::open(config).await?;
    let networks = boot::outside(config, &kiosk)?.networks;
    let mut took = Vec::with_capacity(blocks);
    for number in 0..blocks as u64 {
        let now = node.mine(number)?;
        let start = Instant::now();
        let ran = watch::run_once(&kiosk.engine, &networks, now).await?;
        took.push(micros(start.elapsed()));
        if ran != Ran::Worked {
            bail!("block number {number} was not scanned: {:?}", kiosk.engine.shared.board.all());
        }
    }
    let count = "select count(*) from chain_transfers where order_id is not null and status = 'confirmed'";
    let found = kiosk.engine.db.read(move |tx| Ok(tx.query_one(count, &[])?.map_or(0, |row| row.int(0)))).await?;
    kiosk.engine.close();
    let expected = blocks as u64 * plan.ours;
    ensure!(u64::try_from(found) == Ok(expected), "{found} transfers were found instead of {expected}");
    Ok(took)
}

/// The receivers of the blocks that count, looked for one by one by a prepared statement on the product's connection.
fn bare_lookups(config: &Config, plan: Plan, blocks: usize) -> anyhow::Result<u64> {
    let Conn::Sqlite(connection) = Conn::open(&config.database()?).context("cannot open the database")? else {
        bail!("the database is not SQLite's");
    };
    let mut statement = connection.prepare("select address from addresses where address = ?1")?;
    let (mut took, mut found) = (Vec::new(), 0);
    for number in WINDOW as u64..blocks as u64 {
        let mut receivers: Vec<String> = plan.receivers(number)?.iter().map(ToString::to_string).collect();
        receivers.sort_unstable();
        let start = Instant::now();
        for receiver in &receivers {
            found += u64::from(statement.exists([receiver])?);
        }
        took.push(micros(start.elapsed()));
    }
    let expected = took.len() as u64 * plan.ours;
    ensure!(found == expected, "{found} receivers were found instead of {expected}");
    Ok(mean(&took))
}

/// The events of blocks, read once each.
fn bare_reads(node: &Node) -> anyhow::Result<u64> {
    let mut took = Vec::new();
    for text in node.kept() {
        let start = Instant::now();
        let events: Vec<Value> = serde_json::from_str(&text).context("the node's events are not JSON")?;
        took.push(micros(start.elapsed()));
        ensure!(!events.is_empty(), "a block has no events");
    }
    Ok(mean(&took))
}

/// 0 of none.
fn mean(values: &[u64]) -> u64 {
    values.iter().sum::<u64>() / (values.len() as u64).max(1)
}

/// A figure of this process's memory.
fn memory_kib(name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
    kib.with_context(|| format!("/proc/self/status does not say {name}"))
}
