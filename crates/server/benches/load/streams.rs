//! What an open event stream costs the server in resident memory.

use crate::http::EventStream;
use crate::order;
use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Before each weighing: what was in flight has come to rest.
const REST: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub struct StreamsArgs {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    server: Server,
    /// The server's processes.
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
    #[arg(long)]
    streams: usize,
    #[arg(long)]
    watching: Watching,
}

/// Who serves the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Server {
    Kiosk,
    /// nginx with the locations `/watch/NAME` and `/publish/NAME`.
    Nchan,
}

/// What the streams show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Watching {
    /// All the same order.
    One,
    /// One of a hundred orders.
    Hundred,
    /// An order each.
    Each,
}

pub async fn run(arguments: &StreamsArgs) -> anyhow::Result<Value> {
    let paths = paths(arguments).await?;
    tokio::time::sleep(REST).await;
    let before_kib = resident_kib(&arguments.pids)?;
    let streams = open_all(arguments.address, paths).await?;
    tokio::time::sleep(REST).await;
    let after_kib = resident_kib(&arguments.pids)?;
    let open = streams.iter().filter(|stream| stream.is_open()).count();
    ensure!(open == arguments.streams, "the server dropped {} streams meanwhile", arguments.streams - open);
    Ok(json!({ "streams": open, "before_kib": before_kib, "after_kib": after_kib }))
}

/// Orders are placed and read once before the first weighing, so that it is the streams that are weighed.
async fn paths(arguments: &StreamsArgs) -> anyhow::Result<Vec<String>> {
    let different = match arguments.watching {
        Watching::One => 1,
        Watching::Hundred => 100.min(arguments.streams),
        Watching::Each => arguments.streams,
    };
    let names: Vec<String> = match arguments.server {
        Server::Kiosk => {
            let ids = order::place_many(arguments.address, different).await?;
            ids.iter().map(|id| order::stream_path(id)).collect()
        }
        Server::Nchan => (0..different).map(|number| format!("/watch/memory-{number}")).collect(),
    };
    Ok(names.into_iter().cycle().take(arguments.streams).collect())
}

/// Opens a stream on each path, a few at a time, as visitors come; each has its first message when this answers.
pub async fn open_all(address: SocketAddr, paths: Vec<String>) -> anyhow::Result<Vec<EventStream>> {
    let (paths, next) = (Arc::new(paths), Arc::new(AtomicUsize::new(0)));
    let mut hands = JoinSet::new();
    for _ in 0..order::HANDS.min(paths.len()) {
        let (paths, next) = (paths.clone(), next.clone());
        hands.spawn(async move {
            let mut opened = Vec::new();
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut stream = EventStream::open(address, path).await?;
                stream.wait_for_first().await?;
                opened.push(stream);
            }
            Ok::<_, anyhow::Error>(opened)
        });
    }
    let mut streams = Vec::with_capacity(paths.len());
    while let Some(opened) = hands.join_next().await {
        streams.extend(opened.context("a client ended badly")??);
    }
    Ok(streams)
}

/// `VmRSS` of all processes together.
fn resident_kib(pids: &[u32]) -> anyhow::Result<u64> {
    ensure!(!pids.is_empty(), "--pids names no process");
    let mut sum = 0;
    for pid in pids {
        let path = format!("/proc/{pid}/status");
        let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
        sum += kib.with_context(|| format!("{path} does not say VmRSS"))?;
    }
    Ok(sum)
}
