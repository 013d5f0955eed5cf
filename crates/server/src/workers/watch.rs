//! Chains in: scans the networks and commits what they show, transfers first as facts.
//!
//! Must never credit an order: what fits no order, or an order that cannot take its money, must not stop a network.

use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::ports::Network;
use crate::store::transfers::{self, Watched};
use domain::chain::Change;
use domain::ids::NetworkId;
use domain::time::{Span, Time};
use std::sync::Arc;

/// How often a scan without news is written down.
const NOTE_EVERY: Span = Span::seconds(1);

/// Scans every network once. One network's failure is logged and does not keep the others from being scanned.
pub async fn run_once(engine: &Engine, networks: &[Arc<dyn Network>], now: Time) -> Result<Ran, WorkerError> {
    let mut found = Vec::new();
    for network in networks {
        match scan(engine, network.as_ref(), now).await {
            Ok(Some(scanned)) => found.push(scanned),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "network not scanned"),
        }
    }
    let news = found.iter().any(|scanned| !scanned.changes.is_empty());
    if !found.is_empty() {
        let record = move |tx: &mut crate::store::Tx<'_>| {
            found.iter().try_for_each(|Scanned { id, before, after, changes }| {
                let recorded = transfers::record_scan(tx, id, before, after, changes)?;
                if !recorded {
                    tracing::debug!(network = %id, "another process has scanned it meanwhile");
                }
                Ok(())
            })
        };
        engine.write(record).await?;
    }
    Ok(Ran::if_any(news))
}

/// What a scan found, from where to where.
struct Scanned {
    id: NetworkId,
    before: Watched,
    after: Watched,
    changes: Vec<Change>,
}

async fn scan(engine: &Engine, network: &dyn Network, now: Time) -> Result<Option<Scanned>, WorkerError> {
    let id = network.id().clone();
    let of_network = id.clone();
    let before = engine.db.read(move |tx| transfers::watched(tx, &of_network)).await?;
    let mut after = before.clone();
    let failed = |reason: String| WorkerError::Scan { network: id.to_string(), reason };
    let scan = network.scan(&before.window.headers, now).await.map_err(failed)?;
    let market = engine.shared.market();
    let confirmations = market.rails.network_by_id(&id).map_or(1, |network| network.confirmations);
    let changes = after.window.advance(&scan, confirmations).map_err(|error| failed(error.to_string()))?;
    let through = scan.scanned_through.min(now);
    let note = through.since(before.scanned_through) >= NOTE_EVERY;
    after.scanned_through = before.scanned_through.max(through);
    let worth = note || !changes.is_empty() || !scan.blocks.is_empty();
    Ok(worth.then_some(Scanned { id, before, after, changes }))
}
