//! Orders over HTTP: as fast as the server answers, or at a pace that the server has no say in.

use crate::http::Connection;
use crate::office;
use crate::order;
use crate::timing::{median, micros, micros_between, per_mille};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[derive(clap::Args)]
pub struct CreateArgs {
    #[arg(long)]
    address: SocketAddr,
    /// Keep-alive connections, each with one request under way.
    #[arg(long)]
    connections: usize,
    /// Seconds whose orders do not count.
    #[arg(long)]
    warm_up: u64,
    #[arg(long)]
    seconds: u64,
    /// Exchange orders on the route of that id, instead of goods.
    #[arg(long)]
    route: Option<String>,
    /// End earlier when so many were created: each takes an address out of the pool.
    #[arg(long)]
    most_orders: u64,
}

#[derive(clap::Args)]
pub struct PacedArgs {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    connections: usize,
    /// Orders that are due each second.
    #[arg(long)]
    per_second: u64,
    /// Seconds whose orders do not count.
    #[arg(long)]
    warm_up: u64,
    #[arg(long)]
    seconds: u64,
}

/// One order: when it was answered, and after how long.
struct Created {
    at: Instant,
    took_us: u64,
}

/// Each connection sends its next order when the last one is answered.
pub async fn as_fast_as_possible(arguments: &CreateArgs) -> anyhow::Result<Value> {
    let connections = connect(arguments.address, arguments.connections).await?;
    let from = Instant::now() + Duration::from_secs(arguments.warm_up);
    let until = from + Duration::from_secs(arguments.seconds);
    let (next, most) = (Arc::new(AtomicU64::new(0)), arguments.most_orders);
    let mut clients = JoinSet::new();
    for mut connection in connections {
        let next = next.clone();
        let exchange = arguments.route.as_deref().map(|route| office::order(route, ""));
        clients.spawn(async move {
            let mut created = Vec::new();
            let mut sent = Instant::now();
            while sent < until {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= most {
                    break;
                }
                match &exchange {
                    // The envelope is looked at: a refusal comes with status 200.
                    Some(order) => office::accepted(connection.call(order).await?.success()?)?,
                    None => {
                        connection.call(&order::request(number)).await?.success()?;
                    }
                }
                let at = Instant::now();
                created.push(Created { at, took_us: micros_between(sent, at) });
                sent = at;
            }
            Ok::<_, anyhow::Error>(created)
        });
    }
    let mut created = join(clients).await?;
    created.retain(|order| order.at >= from && order.at <= until);
    let ended_early = next.load(Ordering::Relaxed) >= most;
    let last = created.iter().map(|order| order.at).max().context("no order was created after the warm-up")?;
    let elapsed_us = micros_between(from, if ended_early { last } else { until });
    ensure!(elapsed_us > 0, "the pool of addresses was empty before the warm-up ended");
    Ok(answer(created, elapsed_us))
}

/// Orders are due at fixed moments; an order that waits for a free connection has been waiting since it was due.
pub async fn at_a_pace(arguments: &PacedArgs) -> anyhow::Result<Value> {
    ensure!(arguments.per_second > 0, "--per-second must be 1 or more");
    let connections = connect(arguments.address, arguments.connections).await?;
    let (per_second, stride) = (arguments.per_second, connections.len() as u64);
    let orders = per_second * (arguments.warm_up + arguments.seconds);
    // A moment ahead, so that the first orders are not late before they begin.
    let start = Instant::now() + Duration::from_millis(50);
    let due = move |number: u64| start + Duration::from_micros(number.saturating_mul(1_000_000) / per_second);
    let mut clients = JoinSet::new();
    for (first, mut connection) in connections.into_iter().enumerate() {
        clients.spawn(async move {
            let mut created = Vec::new();
            let mut number = first as u64;
            while number < orders {
                tokio::time::sleep_until(due(number).into()).await;
                connection.call(&order::request(number)).await?.success()?;
                let at = Instant::now();
                created.push(Created { at, took_us: micros_between(due(number), at) });
                number += stride;
            }
            Ok::<_, anyhow::Error>(created)
        });
    }
    let mut created = join(clients).await?;
    let from = start + Duration::from_secs(arguments.warm_up);
    created.retain(|order| order.at >= from);
    let last = created.iter().map(|order| order.at).max().context("no order was created after the warm-up")?;
    Ok(answer(created, micros(last.saturating_duration_since(from))))
}

async fn connect(address: SocketAddr, count: usize) -> anyhow::Result<Vec<Connection>> {
    ensure!(count > 0, "--connections must be 1 or more");
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Connection::open(address).await?);
    }
    Ok(connections)
}

async fn join(mut clients: JoinSet<anyhow::Result<Vec<Created>>>) -> anyhow::Result<Vec<Created>> {
    let mut created = Vec::new();
    while let Some(of_client) = clients.join_next().await {
        created.extend(of_client.context("a client ended badly")??);
    }
    Ok(created)
}

fn answer(created: Vec<Created>, elapsed_us: u64) -> Value {
    let mut took: Vec<u64> = created.into_iter().map(|order| order.took_us).collect();
    json!({
        "orders": took.len(),
        "elapsed_us": elapsed_us,
        "p50_us": median(&mut took),
        "p99_us": per_mille(&mut took, 990),
        "p999_us": per_mille(&mut took, 999),
    })
}
