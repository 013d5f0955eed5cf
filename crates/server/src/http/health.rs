//! `/livez` and `/readyz`: whether the process runs, and whether it can take orders now.

use super::App;
use crate::store::head;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The process runs.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// The database answers, a catalogue is in force, and the rates are fit to sell with; 503 says which is not.
pub async fn readyz(State(app): State<App>) -> Response {
    let market = app.engine.shared.market();
    let database = app.engine.db.read(head::last_seq).await.is_ok();
    let catalogue = !market.catalogue.brands.is_empty();
    let now = app.engine.clock.now();
    let rates = market.rates.fiat_is_fresh(now);
    // Stale fiat rates stop some sales, not the shop: dollar sales in stablecoins go on.
    let ready = database && catalogue;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |good: bool| if good { "ok" } else { "missing" };
    let rates = if rates { "ok" } else { "stale" };
    (status, Json(json!({ "database": word(database), "catalogue": word(catalogue), "rates": rates }))).into_response()
}
