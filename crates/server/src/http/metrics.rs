//! `/metrics` in the Prometheus text format, names with the prefix `kiosk_` and base units.

use super::App;
use crate::store::{orders, stock};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, String)>;

/// Counters that only this process knows; everything else is read from the database when asked.
#[derive(Default)]
pub struct Metrics {
    requests: Family<Labels, Counter>,
}

impl Metrics {
    /// Counts one answer by its status.
    pub fn count_request(&self, status: u16) {
        self.requests.get_or_create(&vec![("status", status.to_string())]).inc();
    }
}

/// `GET /metrics`.
pub async fn show(State(app): State<App>) -> Result<Response, super::error::ApiError> {
    let (states, shelves) = app.engine.db.read(|tx| Ok((orders::count_by_state(tx)?, stock::counts(tx)?))).await?;
    let mut registry = Registry::with_prefix("kiosk");
    registry.register("http_requests", "Answers given, by status", app.reads.metrics.requests.clone());
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
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing to a String does not fail");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
