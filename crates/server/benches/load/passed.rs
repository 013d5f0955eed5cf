//! What a gateway adds to an event: each order is watched once at the shop and by several viewers through the gateway, and
//! what counts is how much later than there the event comes here.

use crate::fanout::PAID;
use crate::http::{Connection, EventStream};
use crate::order;
use crate::streams::open_all;
use crate::timing::{micros_between, per_mille};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Instant;
use tokio::task::JoinSet;

#[derive(clap::Args)]
pub struct PassedArgs {
    /// The gateway.
    #[arg(long)]
    address: SocketAddr,
    /// The shop behind it.
    #[arg(long)]
    shop: SocketAddr,
    /// Through the gateway, all orders together.
    #[arg(long)]
    viewers: usize,
    #[arg(long)]
    orders: usize,
}

pub async fn run(arguments: &PassedArgs) -> anyhow::Result<Value> {
    let (viewers, orders) = (arguments.viewers, arguments.orders);
    ensure!(orders > 0 && viewers >= orders, "--orders must be 1 or more, and --viewers no fewer");
    let ids = order::place_many(arguments.shop, orders).await?;
    let paths: Vec<String> = ids.iter().map(|id| order::stream_path(id)).collect();
    // One by one, so that each stands beside its order.
    let mut direct = Vec::with_capacity(orders);
    for path in &paths {
        direct.extend(open_all(arguments.shop, vec![path.clone()]).await?);
    }
    let mut through = Vec::with_capacity(orders);
    for path in paths {
        through.push(open_all(arguments.address, vec![path; viewers / orders]).await?);
    }
    let mut connection = Connection::open(arguments.shop).await?;
    let mut added_us = Vec::with_capacity(viewers);
    for ((id, direct), through) in ids.iter().zip(direct).zip(through) {
        let at_the_shop = tokio::spawn(paid(direct));
        let mut through: JoinSet<_> = through.into_iter().map(paid).collect();
        connection.call(&order::payment(id)).await?.success()?;
        let first = at_the_shop.await.context("a watcher ended badly")??;
        while let Some(viewer) = through.join_next().await {
            added_us.push(micros_between(first, viewer.context("a viewer ended badly")??));
        }
    }
    Ok(json!({
        "events": added_us.len(),
        "p50_us": per_mille(&mut added_us, 500),
        "p99_us": per_mille(&mut added_us, 990),
    }))
}

/// When the money of the order was confirmed on this stream. The stream stays open until then and no longer.
async fn paid(mut stream: EventStream) -> anyhow::Result<Instant> {
    stream.wait_for(PAID.as_bytes()).await?;
    Ok(Instant::now())
}
