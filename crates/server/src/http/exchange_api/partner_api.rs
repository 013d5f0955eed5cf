//! What partners' monitors read (contract 9): `GET /service/partner/api.php`, by an API key alone, in an envelope of its own.
//!
//! Must never show who a payer is: `user_hash` only says which orders are one payer's. Visits are not kept.

use super::affiliates::{dollars, standing};
use super::fault::Fault;
use super::gate::{KEYS, LONG_READS};
use super::routes::{json_number, number};
use super::{Call, Received, caller, partner, receive};
use crate::http::App;
use crate::store::orders;
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::limits::UNPAID;
use domain::order::Order;
use domain::payout::Payout;
use domain::time::Time;
use serde_json::{Map, Value, json};

/// Orders of one answer: the newest of the time that is asked for.
const MOST_ORDERS: i64 = 1_000;
/// Seconds since 1970 that a client may name; the last is in the year 2286.
const SECONDS: std::ops::RangeInclusive<i64> = 0..=9_999_999_999;

/// Every call; always answered with status 200.
pub async fn answer(app: App, request: Request) -> Response {
    let now = app.engine.clock.now();
    let received = receive(&app, request).await;
    let result = match received {
        Ok(Received { params, headers: _, address }) => {
            let (owner, lang, partner, is_from_elsewhere) = (None, None, None, false);
            run(&Call { app, params, now, address, owner, lang, is_from_elsewhere, partner }).await
        }
        Err(fault) => Err(fault),
    };
    let envelope = match result {
        Ok(data) => json!({ "status": "success", "error": 0, "error_text": "", "data": data }),
        Err(fault) => json!({ "status": "error", "error": 1, "error_text": fault.message(), "data": {} }),
    };
    let head = [(header::CONTENT_TYPE, "application/json; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (head, envelope.to_string()).into_response()
}

async fn run(call: &Call) -> Result<Value, Fault> {
    if call.params.must_text("api_action", 20)? != "pp" {
        return Err(Fault::param("api_action", "pp"));
    }
    let partner = partner_of(call).await?;
    match call.params.must_text("method", 50)?.as_str() {
        "get_info" => info(call, &partner).await,
        "get_exchanges" => exchanges(call, partner).await,
        "get_links" => Ok(json!({ "items": {} })),
        other => Err(Fault::unknown_method(other)),
    }
}

/// The account of the key. Wrong ones are counted: nobody tries keys by the thousand.
async fn partner_of(call: &Call) -> Result<String, Fault> {
    let key = call.params.must_text("api_key", 64)?;
    let subject = format!("keys {}", call.visitor());
    call.count_try(&subject, KEYS)?;
    let account = caller::of_key(&call.app, key, call.address).await?;
    call.app.reads.gate.attempts.give_back(&subject);
    call.count_try(&format!("partner api {account}"), LONG_READS)?;
    Ok(account)
}

async fn info(call: &Call, partner: &str) -> Result<Value, Fault> {
    let (link, standing) = standing(call, partner).await?;
    Ok(json!({
        "balance": dollars(standing.owed_usd_units()),
        "totalReceived": dollars(standing.referred.earned_usd_units),
        "link": if link.is_empty() { link } else { partner::address(&call.app, &link) },
        "min_payout": 0,
        "items": {},
    }))
}

async fn exchanges(call: &Call, partner: String) -> Result<Value, Fault> {
    let moment = |name: &str| Ok::<_, Fault>(call.params.integer(name, SECONDS)?.map(|seconds| Time(seconds * 1_000)));
    let since = moment("start_time")?.unwrap_or(Time(0));
    // To the end of the second that is named.
    let until = moment("end_time")?.map_or(Time(i64::MAX), |end| Time(end.0 + 1_000));
    let account = partner.clone();
    let read =
        call.app.engine.db.read(move |tx| orders::trades_brought_between(tx, &account, (since, until), MOST_ORDERS));
    let found = read.await?;
    let items: Map<String, Value> =
        found.iter().filter_map(|order| Some((order.no.to_string(), item(call, &partner, order)?))).collect();
    Ok(json!({ "items": items }))
}

fn item(call: &Call, partner: &str, order: &Order) -> Option<Value> {
    let trade = order.trade()?;
    let (give, receive) = trade.rate.pair();
    let is_done = matches!(order.payout, Some(Payout::Done { .. }));
    let is_earned = order.referred().is_some_and(|(_, referred)| referred.done > 0);
    Some(json!({
        "id": order.no,
        "time": order.placed_at.unix_seconds(),
        "date": order.placed_at.rfc3339().replace('T', " ").trim_end_matches('Z'),
        "course_give": number(give),
        "course_get": number(receive),
        "amount_give": json_number(&trade.from.amount()),
        "amount_get": json_number(&trade.to.amount()),
        "exchange_success": i64::from(is_done),
        "accrued": i64::from(is_earned),
        "partner_reward": dollars(trade.reward_usd().units),
        "user_hash": call.app.vault.payer_name(partner, &payer(order)),
    }))
}

/// What one payer's orders have in common: his account, else for a day the keyed hash of his network address. For longer it
/// would tell a partner who had once ordered from the same place.
fn payer(order: &Order) -> String {
    let visitor = order.counts.iter().find(|count| count.key.rule == UNPAID);
    let visitor = visitor.map(|count| count.key.subject.as_str()).unwrap_or_default();
    match &order.origin.customer {
        Some(customer) => customer.clone(),
        None => format!("{visitor} {}", order.placed_at.day()),
    }
}
