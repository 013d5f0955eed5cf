//! kiosk's own API, `/kiosk/v1`: for whoever holds an API key, or an order's id.

// What is unusual about an order's payment, for its payer.
pub mod explain;

use super::App;
use super::error::ApiError;
use super::exchange_api::gate::LONG_READS;
use crate::happenings;
use crate::store::{api_keys, head, webhooks};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use subtle::ConstantTimeEq;

/// Numbers of the log that one call looks at: an account with few orders reads on from `next`.
const WINDOW: i64 = 5_000;
const MOST_EVENTS: i64 = 100;

/// Which events.
#[derive(serde::Deserialize)]
pub struct EventsQuery {
    /// The last one that the caller knows.
    after: Option<String>,
    limit: Option<i64>,
}

/// `GET /kiosk/v1/events?after=evt_1234`: what happened to the account's orders, oldest first, with the ids of webhooks.
pub async fn events(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let account = account_of(&app, &headers, peer).await?;
    let Query(query) = query.map_err(|_| wrong_query())?;
    let limit = query.limit.unwrap_or(MOST_EVENTS);
    let after = query.after.as_deref().map_or(Some(0), happenings::seq_of);
    let (Some(after), 1..=MOST_EVENTS) = (after, limit) else { return Err(wrong_query()) };
    let vault = app.vault.clone();
    let read = app.engine.db.read(move |tx| {
        let last = head::last_seq(tx)?;
        if after > last {
            return Ok(None);
        }
        let through = last.min(after.saturating_add(WINDOW));
        let found = webhooks::happened(tx, &[account], after, through, limit)?;
        let next = match found.last() {
            Some(last) if found.len() as i64 == limit => last.seq,
            Some(_) | None => through,
        };
        let mut events = Vec::<Value>::new();
        for happened in &found {
            match happenings::render(tx, &vault, happened) {
                Ok(event) => events.extend(event),
                Err(error) if error.is_passing() => return Err(error),
                // What cannot be read must not hide what comes after it.
                Err(error) => {
                    let event = happenings::id_of(happened.seq);
                    tracing::error!(event, error = &error as &dyn std::error::Error, "an event cannot be written");
                }
            }
        }
        Ok(Some((events, next)))
    });
    let (events, next) = read.await?.ok_or_else(|| {
        ApiError::bad_request("after names an event that does not exist; begin anew, without it, or with an older one")
    })?;
    let answer = Json(json!({ "events": events, "next": happenings::id_of(next) }));
    Ok(([(header::CACHE_CONTROL, "no-store")], answer).into_response())
}

fn wrong_query() -> ApiError {
    ApiError::bad_request("after is the name of an event, such as evt_1234; limit is 1 to 100")
}

/// The account of `Authorization: Bearer KEY.SECRET`.
async fn account_of(app: &App, headers: &HeaderMap, peer: SocketAddr) -> Result<String, ApiError> {
    let refused =
        || ApiError::unauthorized("send `Authorization: Bearer KEY.SECRET` with an API key of this installation");
    let told = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (key, secret) =
        told.and_then(|text| text.strip_prefix("Bearer ")?.trim().split_once('.')).ok_or_else(refused)?;
    let wanted = key.to_owned();
    let known = app.engine.db.read(move |tx| api_keys::active(tx, &wanted)).await?;
    // Worked on like a known one: the time that it takes tells nothing.
    let fits = bool::from(app.vault.api_secret(key).as_bytes().ct_eq(secret.as_bytes()));
    let key = known.filter(|_| fits).ok_or_else(refused)?;
    let address = app.reads.limiter.visitors.address(headers, Some(peer.ip()));
    if !key.may_be_used_from(address) {
        return Err(ApiError::unauthorized("this API key may not be used from this address"));
    }
    let (subject, now) = (format!("events {}", key.key), app.engine.clock.now());
    app.reads.gate.attempts.take(&subject, LONG_READS, now).map_err(ApiError::too_many)?;
    Ok(key.account)
}
