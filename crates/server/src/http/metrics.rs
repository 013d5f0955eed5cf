//! `/metrics` in the Prometheus text format, names with the prefix `kiosk_` and base units.

use super::App;
use crate::engine::board::Condition;
use crate::store::{orders, stock};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

type Labels = Vec<(&'static str, String)>;

/// Counters that only this process knows; everything else is read from the database when asked.
pub struct Metrics {
    /// Answers by status, 0 to 999: counted on every request, so without a lock or an allocation.
    answers: Box<[AtomicU64]>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics { answers: (0..1_000).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Metrics {
    /// Counts one answer by its status.
    pub fn count_request(&self, status: u16) {
        if let Some(count) = self.answers.get(usize::from(status)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn by_status(&self) -> Family<Labels, Counter> {
        let family = Family::<Labels, Counter>::default();
        for (status, count) in self.answers.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                family.get_or_create(&vec![("status", status.to_string())]).inc_by(count);
            }
        }
        family
    }
}

/// `GET /metrics`.
pub async fn show(State(app): State<App>) -> Result<Response, super::error::ApiError> {
    let (states, shelves) = app.engine.db.read(|tx| Ok((orders::count_by_state(tx)?, stock::counts(tx)?))).await?;
    let mut registry = Registry::with_prefix("kiosk");
    registry.register("http_requests", "Answers given, by status", app.reads.metrics.by_status());
    let by_state = Family::<Labels, Gauge>::default();
    for (state, count) in states {
        by_state.get_or_create(&vec![("state", state)]).set(count);
    }
    registry.register("orders", "Orders by their state", by_state);
    let free = Family::<Labels, Gauge>::default();
    for (sku, count) in shelves {
        free.get_or_create(&vec![("sku", sku.to_string())]).set(count.free - count.held);
    }
    registry.register("stock_codes", "Codes that can still be promised, by SKU", free);
    let streams = Gauge::<i64>::default();
    streams.set(i64::try_from(app.tail.open_streams()).unwrap_or(i64::MAX));
    registry.register("open_streams", "Open order streams", streams);
    let newest = Gauge::<i64>::default();
    newest.set(*app.engine.news().borrow());
    registry.register("newest_event", "Number of the newest event of the log", newest);
    register_networks(&app, &mut registry);
    register_audit(&app, &mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing to a String does not fail");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// How the chains on other machines are; a shop without one has no such figures.
fn register_networks(app: &App, registry: &mut Registry) {
    let (board, market) = (app.engine.shared.board.all(), app.engine.shared.market());
    let now = app.engine.clock.now();
    if board.is_empty() {
        return;
    }
    let audited = app.engine.shared.board.audited();
    let figures: [Family<Labels, Gauge>; 4] = Default::default();
    for (id, watching) in &board {
        let name = market.rails.network_by_id(id).map_or_else(|| id.to_string(), |network| network.name.clone());
        let values = [
            i64::from(watching.condition(now) == Condition::Open && !audited.closed.contains(id)),
            watching.lag_blocks,
            watching.scanned_through.unix_seconds(),
            i64::try_from(watching.failures).unwrap_or(i64::MAX),
        ];
        for (figure, value) in figures.iter().zip(values) {
            figure.get_or_create(&vec![("network", name.clone())]).set(value);
        }
    }
    let [open, lag, through, failures] = figures;
    registry.register("network_open", "1 while orders on a network are taken", open);
    registry.register("chain_lag_blocks", "Blocks of a network that are not scanned yet", lag);
    registry.register("chain_scanned_through_seconds", "Time up to which payments are found, in Unix seconds", through);
    registry.register("chain_scan_failures", "Looks at a network that failed since the start", failures);
}

/// What the audit has found: 0 for every asset of the configuration that it has found nothing of.
fn register_audit(app: &App, registry: &mut Registry) {
    let (market, audited) = (app.engine.shared.market(), app.engine.shared.board.audited());
    let family = Family::<Labels, Gauge>::default();
    let listed = market
        .rails
        .networks
        .iter()
        .flat_map(|network| network.assets.iter().map(move |asset| ((network.id.clone(), asset.id.clone()), 0)));
    let mut differences: BTreeMap<_, i64> = listed.collect();
    differences.extend(audited.differences);
    for ((id, asset), units) in differences {
        let network = market.rails.network_by_id(&id).map_or_else(|| id.to_string(), |network| network.name.clone());
        family.get_or_create(&vec![("network", network), ("asset", asset.to_string())]).set(units);
    }
    let help = "What differs between the books, the transfers that were seen and the chain, in units of the ledger";
    registry.register("audit_difference", help, family);
}
