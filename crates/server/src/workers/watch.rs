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
    let news = found.iter().any(|(_, _, changes)| !changes.is_empty());
    if !found.is_empty() {
        let record = move |tx: &mut crate::store::Tx<'_>| {
            found.iter().try_for_each(|(id, watched, changes)| transfers::record_scan(tx, id, watched, changes))
        };
        engine.write(record).await?;
    }
    Ok(Ran::if_any(news))
}

type Scanned = (NetworkId, Watched, Vec<Change>);

async fn scan(engine: &Engine, network: &dyn Network, now: Time) -> Result<Option<Scanned>, WorkerError> {
    let id = network.id().clone();
    let of_network = id.clone();
    let mut watched = engine.db.read(move |tx| transfers::watched(tx, &of_network)).await?;
    let failed = |reason: String| WorkerError::Scan { network: id.to_string(), reason };
    let scan = network.scan(&watched.window.headers, now).await.map_err(failed)?;
    let market = engine.shared.market();
    let confirmations = market.rails.network_by_id(&id).map_or(1, |network| network.confirmations);
    let changes = watched.window.advance(&scan, confirmations).map_err(|error| failed(error.to_string()))?;
    let through = scan.scanned_through.min(now);
    let note = through.since(watched.scanned_through) >= NOTE_EVERY;
    watched.scanned_through = watched.scanned_through.max(through);
    Ok((note || !changes.is_empty() || !scan.blocks.is_empty()).then_some((id, watched, changes)))
}
