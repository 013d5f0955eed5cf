//! Looks for what came to the addresses of expired orders and does not count: a network's own coin, tokens that nobody
//! listed. Also on demand (`kiosk order notice`).
//!
//! What is found is shown to people and changes nothing. Must never keep a network from being watched: it has a task of
//! its own, and a look that fails is made another time.

use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::ports::{DepositWindow, Finder, Network};
use crate::store::noticed::{self, Look};
use crate::store::{orders, settings};
use domain::event::Event;
use domain::ids::{NetworkId, OrderId};
use domain::order::Order;
use domain::payment::BLOCK_TIME_GRACE;
use domain::time::{Span, Time};

const PAGE: i64 = 500;
/// Addresses of one look.
const AT_ONCE: i64 = 100;
/// Windows that begin within so long of one another are looked at together.
const TOGETHER: Span = Span::hours(2);
/// Until a look that failed is made again, times how often it failed.
const AFTER_FAILURE: Span = Span::minutes(5);

/// Plans looks for the orders that expired, then makes what is due.
pub async fn run_once(engine: &Engine, network: &dyn Network, now: Time) -> Result<Ran, WorkerError> {
    let Some(finder) = network.finder() else { return Ok(Ran::Idle) };
    let planned = plan(engine, network.id(), now).await?;
    let looked = look(engine, finder, network.id(), now).await?;
    Ok(Ran::if_any(planned || looked))
}

/// Reads the log behind this network's cursor.
async fn plan(engine: &Engine, network: &NetworkId, now: Time) -> Result<bool, WorkerError> {
    let reader = format!("strays:{network}");
    let cursor = reader.clone();
    let read = engine.db.read(move |tx| {
        let from = settings::cursor(tx, &cursor)?;
        let events = orders::events_after(tx, from, PAGE)?;
        let expired = events.iter().filter(|logged| matches!(logged.event, Event::Expired));
        let expired: Vec<OrderId> = expired.map(|logged| logged.order).collect();
        let last = events.last().map(|logged| logged.seq);
        Ok((orders::by_ids(tx, &expired)?, last, events.len()))
    });
    let (expired, last, count) = read.await?;
    let ours = expired.iter().filter(|order| order.quote.network_id == *network && !order.is_paid_by_hand());
    let looks: Vec<Look> = ours.map(|order| look_at(order, order.expires_at + BLOCK_TIME_GRACE, now)).collect();
    // The cursor moves when there is a reason to write, or a whole page to leave behind.
    let Some(last) = last.filter(|_| !looks.is_empty() || count as i64 >= PAGE) else { return Ok(false) };
    let write = engine.write(move |tx| {
        noticed::want(tx, &looks)?;
        settings::set_cursor(tx, &reader, last)
    });
    write.await?;
    Ok(true)
}

/// Makes one look at the addresses whose windows lie close together.
async fn look(engine: &Engine, finder: &dyn Finder, network: &NetworkId, now: Time) -> Result<bool, WorkerError> {
    let id = network.clone();
    let mut due = engine.db.read(move |tx| noticed::due(tx, &id, now, AT_ONCE)).await?;
    due.sort_by_key(|look| look.from);
    let Some(first) = due.first().map(|look| look.from) else { return Ok(false) };
    due.retain(|look| look.from.since(first) <= TOGETHER);
    let window = |look: &Look| DepositWindow { address: look.address.clone(), from: look.from, until: look.until };
    let windows: Vec<DepositWindow> = due.iter().map(window).collect();
    match finder.strays(&windows, now).await {
        Ok(found) => {
            engine.write(move |tx| noticed::note(tx, &due, &found, now)).await?;
            Ok(true)
        }
        Err(reason) => {
            tracing::debug!(network = %network, reason = %reason, addresses = due.len(), "not looked for what does not count");
            let failed = due.iter().map(|look| look.attempts).max().unwrap_or(0) + 1;
            let until = now + Span(AFTER_FAILURE.0 * failed);
            engine.write(move |tx| noticed::put_off(tx, &due, until)).await?;
            // Not again at once.
            Ok(false)
        }
    }
}

/// A look at an order's address, from its placement to `until`, due now.
pub fn look_at(order: &Order, until: Time, now: Time) -> Look {
    Look {
        order: order.id,
        network: order.quote.network_id.clone(),
        address: order.address.clone(),
        // Clocks of chains differ.
        from: Time(order.placed_at.0 - BLOCK_TIME_GRACE.0),
        until,
        due_at: now,
        attempts: 0,
    }
}
