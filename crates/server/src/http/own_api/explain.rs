//! `GET /kiosk/v1/orders/{id}/explain`: what is unusual about an order's payment, in sentences for its payer, and what he
//! can do: pay the rest, or claim his money back.
//!
//! Whoever knows an order's id may read its codes, so that links by which its money is claimed may stand here. Must never
//! show an operator's sentence, a name of one, or a note.

use crate::http::App;
use crate::http::body::Segment;
use crate::http::convert;
use crate::http::error::ApiError;
use crate::store::orders;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::asset::Rails;
use domain::ids::OrderId;
use domain::ledger::network_of;
use domain::money::units_to_text;
use domain::order::Order;
use domain::payout::Payout;
use domain::reasons;
use domain::refund::{Destination, Refund};
use serde_json::{Value, json};

/// Explains an order of goods. Exchange orders are explained by their statuses.
pub async fn show(State(app): State<App>, Segment(id): Segment) -> Result<Response, ApiError> {
    let id = OrderId::parse(&id).map_err(|_| ApiError::not_found())?;
    let found = app.engine.db.read(move |tx| orders::by_id(tx, id)).await?;
    let order = found.filter(|order| order.trade().is_none()).ok_or_else(ApiError::not_found)?;
    let answer = Json(explanation(&app, &order));
    Ok(([(header::CACHE_CONTROL, "no-store")], answer).into_response())
}

fn explanation(app: &App, order: &Order) -> Value {
    let market = app.engine.shared.market();
    let told = reasons::of(order).into_iter().map(|reason| {
        let words = reason.words();
        json!({ "code": words.code, "text": words.for_payer })
    });
    let refunds: Vec<Value> = (0..)
        .zip(&order.refunds)
        .map(|(number, refund)| refund_of(app, order, number, refund, &market.rails))
        .collect();
    let mut answer = json!({
        "order_state": order.state.word(),
        "reference_id": order.no.to_string(),
        "reasons": told.collect::<Vec<Value>>(),
        "refunds": refunds,
    });
    if let Some(rest) = rest(order, &market.rails) {
        answer["pay_the_rest"] = rest;
    }
    let offered = order.offered_units();
    if offered > 0 {
        let next = order.refunds.len() as u32;
        let mut claim = amount(order, &order.quote.asset, offered, &market.rails);
        claim["claim_url"] = json!(link(app, order, next));
        answer["claim"] = claim;
    }
    answer
}

/// What is missing while it can still be sent.
fn rest(order: &Order, rails: &Rails) -> Option<Value> {
    let quote = &order.quote;
    let missing = quote.due_units - order.payment.seen(&quote.asset);
    let is_open = order.payment.settled_at.is_none()
        && order.payment.expired_at.is_none()
        && order.canceled_at.is_none()
        && !order.payment.closed;
    // Of an order that nobody has begun to pay nothing is unusual.
    if !is_open || missing <= order.tolerance_units || missing == quote.due_units {
        return None;
    }
    let mut rest = amount(order, &quote.asset, missing, rails);
    rest["wallet_address"] = json!(order.address);
    rest["until"] = json!(order.expires_at.rfc3339());
    Some(rest)
}

fn refund_of(app: &App, order: &Order, number: u32, refund: &Refund, rails: &Rails) -> Value {
    let mut shown = amount(order, &refund.asset, refund.payable_units(), rails);
    shown["state"] = json!(refund.word());
    if refund.word() == "claim_open" {
        shown["claim_url"] = json!(link(app, order, number));
    }
    // What an operator wrote down as his proof is his own.
    if let (Some(Payout::Done { proof, .. }), true) = (refund.payout(), refund.destination != Destination::ByHand) {
        shown["transaction"] = json!(proof);
    }
    shown
}

fn amount(order: &Order, asset: &domain::ids::AssetId, units: i64, rails: &Rails) -> Value {
    let quote = &order.quote;
    let (text, coin) = match rails.asset(asset) {
        _ if *asset == quote.asset => (units_to_text(units, quote.scale, quote.quoted_decimals), quote.coin.clone()),
        Some((_, known)) => (units_to_text(units, known.scale(), 2), known.coin.clone()),
        None => (units.to_string(), "unknown".to_owned()),
    };
    json!({ "amount": text, "coin": coin, "network": convert::network_name(order, &network_of(asset), rails) })
}

fn link(app: &App, order: &Order, refund: u32) -> String {
    format!("{}/claim/{}", app.settings.public_url, app.vault.claim_token(order, refund))
}
