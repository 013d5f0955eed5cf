//! `/livez` and `/readyz`: whether the process runs, and whether it can take orders now.

use super::App;
use crate::engine::board::{Condition, Watching};
use crate::store::head;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::ids::NetworkId;
use serde_json::{Value, json};

/// The process runs.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// The database answers, a catalogue is in force, some network can be paid on, and the rates are fit to sell with; 503
/// says which is not. One network that is down stops itself alone, and is named in a 200; so is one whose books differ.
pub async fn readyz(State(app): State<App>) -> Response {
    let market = app.engine.shared.market();
    let database = app.engine.db.read(head::last_seq).await.is_ok();
    let catalogue = !market.catalogue.brands.is_empty();
    let now = app.engine.clock.now();
    let rates = market.rates.fiat_is_fresh(now);
    let (board, audited) = (app.engine.shared.board.all(), app.engine.shared.board.audited());
    let is_open = |(id, watching): (&NetworkId, &Watching)| {
        watching.condition(now) == Condition::Open && !audited.closed.contains(id)
    };
    let payable = board.is_empty() || board.iter().any(is_open);
    // Stale fiat rates stop some sales, not the shop: dollar sales in stablecoins go on.
    let ready = database && catalogue && payable;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |good: bool| if good { "ok" } else { "missing" };
    let rates = if rates { "ok" } else { "stale" };
    let books = if audited.differences.is_empty() { "ok" } else { "differ" };
    let mut told = json!({ "database": word(database), "catalogue": word(catalogue), "rates": rates, "books": books });
    if !board.is_empty() {
        let name = |id: &NetworkId| {
            market.rails.network_by_id(id).map_or_else(|| id.to_string(), |network| network.name.clone())
        };
        let word = |id: &NetworkId, watching: &Watching| match audited.closed.contains(id) {
            true => "differs",
            false => watching.condition(now).word(),
        };
        let words = board.iter().map(|(id, watching)| (name(id), Value::from(word(id, watching))));
        told["networks"] = Value::Object(words.collect());
    }
    (status, Json(told)).into_response()
}
