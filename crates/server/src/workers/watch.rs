//! Chains in: scans the networks and commits what they show, transfers first as facts.
//!
//! Must never credit an order: what fits no order, or an order that cannot take its money, must not stop a network.

use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::engine::board::{Look, Tell};
use crate::ports::{AddressBook, Answer, Given, Network, Wanted};
use crate::store::transfers::{self, Watched};
use crate::store::{claims, looks};
use domain::asset::{ChainKind, Confirmation};
use domain::chain::{Change, Memory};
use domain::ids::NetworkId;
use domain::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often a scan without news is written down.
const NOTE_EVERY: Span = Span::seconds(1);

/// Addresses that one query looks for.
const LOOKED_FOR: usize = 1_000;

/// Scans every network once, and waits for the slowest. One network's failure is logged and does not keep the others from
/// being scanned.
pub async fn run_once(engine: &Engine, networks: &[Arc<dyn Network>], now: Time) -> Result<Ran, WorkerError> {
    let mut found = Vec::new();
    for network in networks {
        match scan(engine, network.as_ref(), now).await {
            Ok(Some(scanned)) => found.push(scanned),
            Ok(None) => {}
            // Whoever has a rhythm is asked again and again: its board says what is worth a line.
            Err(WorkerError::Scan { .. }) if network.rhythm().is_some() => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "network not scanned"),
        }
    }
    let news = found.iter().any(|scanned| !scanned.changes.is_empty() || scanned.goes_on);
    if !found.is_empty() {
        let record = move |tx: &mut crate::store::Tx<'_>| {
            let mut written = Vec::new();
            for Scanned { id, before, after, changes, memory, .. } in found {
                if transfers::record_scan(tx, &id, &before, &after, &changes)? {
                    looks::remember(tx, &id, &memory)?;
                    written.push((id, Arc::new(after)));
                } else {
                    tracing::debug!(network = %id, "another process has scanned it meanwhile");
                }
            }
            Ok(written)
        };
        for (id, watched) in engine.write(record).await? {
            engine.shared.put_window(id, watched);
        }
    }
    Ok(Ran::if_any(news))
}

/// What a scan found, from where to where.
struct Scanned {
    id: NetworkId,
    before: Arc<Watched>,
    after: Watched,
    changes: Vec<Change>,
    memory: Memory,
    /// The chain has more, and the next scan can take it.
    goes_on: bool,
    /// Blocks that the chain has beyond this scan.
    lag_blocks: i64,
}

async fn scan(engine: &Engine, network: &dyn Network, now: Time) -> Result<Option<Scanned>, WorkerError> {
    let id = network.id().clone();
    let (of_network, known) = (id.clone(), engine.shared.window(&id));
    let before = engine.db.read(move |tx| transfers::watched(tx, &of_network, known.as_ref())).await?;
    engine.shared.put_window(id.clone(), Arc::clone(&before));
    let through = before.scanned_through;
    let looked = look(engine, network, before, now).await;
    if let Some(rhythm) = network.rhythm() {
        note(engine, &id, &looked, rhythm.patience, through, now);
    }
    let scanned = looked.map_err(|reason| WorkerError::Scan { network: id.to_string(), reason })?;
    let note = scanned.after.scanned_through.since(through) >= NOTE_EVERY;
    let is_news = !scanned.changes.is_empty() || !scanned.memory.is_empty();
    let worth = note || is_news || scanned.after.window != scanned.before.window;
    Ok(worth.then_some(scanned))
}

async fn look(engine: &Engine, network: &dyn Network, before: Arc<Watched>, now: Time) -> Result<Scanned, String> {
    let id = network.id().clone();
    let mut after = Watched { version: before.version + 1, ..(*before).clone() };
    let scan = network.scan(&before.window.headers, &Pool { engine, network: &id }, now).await?;
    let market = engine.shared.market();
    let confirmation = market.rails.network_by_id(&id).map_or(Confirmation::Blocks(1), |network| network.confirmation);
    let changes = after.window.advance(&scan, confirmation).map_err(|error| error.to_string())?;
    after.scanned_through = before.scanned_through.max(scan.scanned_through.min(now));
    let height = after.window.tip().map_or(0, |tip| tip.height);
    let lag_blocks = scan.head.map_or(0, |head| (head - height).max(0));
    let goes_on = lag_blocks > 0 && !scan.blocks.is_empty();
    Ok(Scanned { id, before, after, changes, memory: scan.memory, goes_on, lag_blocks })
}

/// Puts on the board how a network is, and closes or opens it for new orders.
fn note(engine: &Engine, id: &NetworkId, looked: &Result<Scanned, String>, patience: Span, before: Time, now: Time) {
    let (look, through) = match looked {
        Ok(scanned) => {
            let through = scanned.after.scanned_through;
            (Look::Scanned { through, lag_blocks: scanned.lag_blocks }, through)
        }
        Err(reason) => (Look::Failed { reason }, before),
    };
    let shared = &engine.shared;
    let age_seconds = now.since(through).0 / 1_000;
    match (shared.board.note(id, &look, patience, now), looked) {
        (Tell::Failure, Err(reason)) => {
            tracing::warn!(network = %id, reason, scanned_seconds_ago = age_seconds, "network not scanned");
        }
        (Tell::Recovery, _) => tracing::info!(network = %id, "network scanned again"),
        (Tell::Failure | Tell::Nothing, _) => {}
    }
    close_late(engine, now);
}

/// Closes the networks that were not scanned for too long at that time, and opens the others. Called after each scan, and by
/// the clock: a scan that does not end keeps nothing open.
pub fn close_late(engine: &Engine, now: Time) {
    engine.shared.put_closed(&engine.shared.board.closed(now));
}

/// The task that watches a network ended by itself: to be told as a failed look.
pub fn note_end(engine: &Engine, network: &dyn Network, now: Time) {
    let (id, reason) = (network.id(), "the task that watches it ended");
    if let Some(rhythm) = network.rhythm() {
        engine.shared.board.note(id, &Look::Failed { reason }, rhythm.patience, now);
        close_late(engine, now);
    }
}

/// The pools of the database, as one network sees them.
struct Pool<'a> {
    engine: &'a Engine,
    network: &'a NetworkId,
}

impl AddressBook for Pool<'_> {
    fn ours<'a>(&'a self, addresses: &'a [String]) -> Answer<'a, Result<BTreeSet<String>, String>> {
        Box::pin(async move {
            let mut ours = BTreeSet::new();
            for part in addresses.chunks(LOOKED_FOR) {
                let part = part.to_vec();
                let found = self.engine.db.read(move |tx| claims::pool_addresses(tx, part)).await;
                ours.extend(found.map_err(|error| format!("the addresses of the pool were not read: {error}"))?);
            }
            Ok(ours)
        })
    }

    fn given<'a>(&'a self, wanted: Wanted) -> Answer<'a, Result<Vec<Given>, String>> {
        Box::pin(async move {
            let found = self.engine.db.read(move |tx| match wanted {
                Wanted::GivenAfter { given_at, index, limit } => {
                    looks::given_after(tx, ChainKind::Svm, given_at, index, limit)
                }
                Wanted::Due { at, limit } => looks::due(tx, ChainKind::Svm, at, limit),
            });
            let found = found.await.map_err(|error| format!("the addresses to look at were not read: {error}"))?;
            let given = |row: looks::LookedAt| Given { index: row.index, address: row.address, given_at: row.given_at };
            Ok(found.into_iter().map(given).collect())
        })
    }

    fn marks<'a>(&'a self, accounts: &'a [String]) -> Answer<'a, Result<BTreeMap<String, String>, String>> {
        Box::pin(async move {
            let mut marks = BTreeMap::new();
            for part in accounts.chunks(LOOKED_FOR) {
                let (part, network) = (part.to_vec(), self.network.clone());
                let found = self.engine.db.read(move |tx| looks::marks(tx, &network, part)).await;
                marks.extend(found.map_err(|error| format!("what is known of accounts was not read: {error}"))?);
            }
            Ok(marks)
        })
    }
}
