//! Orders of the store API: dry run, create, poll, live stream, QR image (contract 3.8 to 3.12, 4.5).

use super::super::App;
use super::super::auth::Caller;
use super::super::body::{Body as RequestBody, Segment};
use super::super::convert;
use super::super::error::ApiError;
use super::super::handover::{self, Live};
use super::super::visitors::one_visitor;
use crate::engine::{Lane, SubmitError};
use crate::store::{DbError, claims};
use crate::vault::{OpenOrder, Personal, VaultError};
use api::OrderBody;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use domain::decide::{Command, Idempotency, Place, Refusal};
use domain::event::Origin;
use domain::ids::OrderId;
use domain::validate::{self, Basket, Facts};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// `POST /v5/orders/validations`: what would be wrong with this order, and what it would cost. Creates nothing.
pub async fn validate(
    State(app): State<App>,
    caller: Caller,
    body: RequestBody,
) -> Result<Json<api::Validation>, ApiError> {
    let (body, _) = read_body(&body.0)?;
    let basket = basket_of(&app, &caller, &body);
    let market = app.engine.shared.market();
    let now = app.engine.clock.now();
    let (keys, skus) = validate::names(&basket, &market, now);
    let facts = app
        .engine
        .db
        .read(move |tx| Ok(Facts { counters: claims::counters(tx, &keys)?, stock: claims::stock(tx, &skus)? }))
        .await?;
    let checked = validate::check(&basket, &market, &facts, now).map_err(Refusal::from)?;
    Ok(Json(convert::validation(&checked, &basket, &market.rates)))
}

/// `POST /v5/orders`: accepts the order and locks its price, or says why not.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: RequestBody,
) -> Result<Json<api::Order>, ApiError> {
    let (body, hash) = read_body(&body.0)?;
    let basket = basket_of(&app, &caller, &body);
    let id = OrderId::new(app.vault.new_uuid());
    let address = caller.address.map(|address| one_visitor(address).to_string());
    let visitor = app.vault.visitor_key(&address.unwrap_or_default());
    let personal = Personal {
        email: basket.buyer_email.clone(),
        beneficiaries: beneficiaries(&basket),
        refund_wallet_address: body.refund_wallet_address.clone(),
        visitor: caller.address.map(|address| address.to_string()),
        trade: None,
    };
    let place = Place {
        id,
        origin: origin(&caller, &body),
        market: app.engine.shared.market(),
        personal: app.vault.seal_personal(id, &personal),
        idempotency: idempotency(&headers, &caller, &visitor, hash)?,
        visitor,
        caps: app.settings.caps,
        basket,
    };
    let opened = match app.engine.submit(Lane::Client, Command::Place(Box::new(place))).await {
        Ok(order) => {
            let goods = vec![None; order.lines.len()];
            OpenOrder { order: Arc::unwrap_or_clone(order), personal, goods }
        }
        // The same key and body again: the order that they made, as it is now.
        Err(SubmitError::Refused(Refusal::Replay(known))) => open(&app, known).await?,
        Err(error) => return Err(error.into()),
    };
    Ok(Json(answer(&app, &opened)))
}

/// `GET /v5/orders/{id}`: the order as it is now, with its codes once it is done.
pub async fn show(State(app): State<App>, Segment(id): Segment) -> Result<Response, ApiError> {
    let opened = open(&app, read_id(&id)?).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer(&app, &opened))).into_response())
}

/// `GET /v5/orders/{id}/subscribe`: the order live.
pub async fn subscribe(
    State(app): State<App>,
    method: Method,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    stream(&app, &method, &id, &headers).await
}

/// `GET /api/orders/{id}/subscribe`: the same for pages on our own origin, with the proxy route's headers.
pub async fn subscribe_for_pages(
    State(app): State<App>,
    method: Method,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut response = stream(&app, &method, &id, &headers).await?;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    Ok(response)
}

async fn stream(app: &App, method: &Method, id: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    let id = read_id(id)?;
    let known = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let stream = app.tail.subscribe(id, known.unwrap_or(0)).await?.ok_or_else(ApiError::not_found)?;
    Ok(handover::response(method, Live::Order(stream)))
}

/// Which of an order's QR images.
#[derive(serde::Deserialize)]
pub struct QrQuery {
    /// The eSIM of that line, once delivered; without it the payment's.
    line: Option<usize>,
}

/// `GET /v3/qrs/{id}`: the payment URI as a PNG, or an eSIM's activation code.
pub async fn qr(
    State(app): State<App>,
    Segment(id): Segment,
    query: Result<Query<QrQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::bad_request("line is the number of a delivery, from 0"))?;
    let opened = open(&app, read_id(&id)?).await?;
    let shown = answer(&app, &opened);
    let text = match query.line {
        None => shown.qr_text,
        Some(line) => {
            let code = shown.deliveries.get(line).and_then(|delivery| delivery.deliverable.pin_code.clone());
            code.filter(|code| code.starts_with("LPA:"))
        }
    };
    let text = text.ok_or_else(ApiError::not_found)?;
    let image = crate::qr::png(&text).map_err(|_| ApiError::not_found())?;
    let head = [(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "private, max-age=300")];
    Ok((head, image).into_response())
}

fn read_id(text: &str) -> Result<OrderId, ApiError> {
    OrderId::parse(text).map_err(|_| ApiError::not_found())
}

/// Reads an order with everything that its own answer may show.
pub async fn open(app: &App, id: OrderId) -> Result<OpenOrder, ApiError> {
    open_if_there(app, id).await?.ok_or_else(ApiError::not_found)
}

/// The same; none of that id.
pub async fn open_if_there(app: &App, id: OrderId) -> Result<Option<OpenOrder>, VaultError> {
    let vault = app.vault.clone();
    app.engine.db.read(move |tx| Ok::<_, DbError>(vault.open(tx, id))).await?
}

fn answer(app: &App, opened: &OpenOrder) -> api::Order {
    let market = app.engine.shared.market();
    convert::order(opened, &market.catalogue, &market.rails, &app.settings)
}

/// The body and its hash, which does not depend on white space or the order of keys.
pub fn read_body(body: &[u8]) -> Result<(OrderBody, String), ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!("the body is not JSON: line {}, column {}", error.line(), error.column()))
    })?;
    let read = OrderBody::read(&value).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let canonical = serde_json::to_vec(&value).expect("a JSON value is JSON");
    Ok((read, crate::entropy::to_hex(&Sha256::digest(canonical))))
}

fn basket_of(app: &App, caller: &Caller, body: &OrderBody) -> Basket {
    let basket = convert::basket(body);
    let buyer_key = basket.buyer_email.as_deref().map(|email| app.vault.buyer_key(email)).unwrap_or_default();
    Basket { customer: caller.customer.clone(), partner: caller.partner.clone(), buyer_key, ..basket }
}

/// Who gets each line: named, or by default the buyer (an order with neither does not pass validation).
fn beneficiaries(basket: &Basket) -> Vec<String> {
    let buyer = || basket.buyer_email.clone().unwrap_or_default();
    basket.lines.iter().map(|line| line.beneficiary.clone().unwrap_or_else(buyer)).collect()
}

fn origin(caller: &Caller, body: &OrderBody) -> Origin {
    Origin {
        partner: caller.partner.as_ref().map(ToString::to_string),
        referrer: None,
        client_version: caller.client_version.clone(),
        customer: caller.customer.as_ref().map(ToString::to_string),
        utm_source: body.utm_source.clone(),
        country: caller.country.clone(),
        language: body.lang.clone().unwrap_or_else(|| "en".to_owned()),
        newsletter: body.has_accepted_newsletter,
    }
}

/// `Idempotency-Key` is a Structured Field string (IETF httpapi draft); a bare token is accepted too.
fn idempotency(
    headers: &HeaderMap,
    caller: &Caller,
    visitor: &str,
    body_hash: String,
) -> Result<Option<Idempotency>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let wrong = || ApiError::bad_request("Idempotency-Key must be a string of 1 to 200 printable ASCII characters");
    let text = value.to_str().map_err(|_| wrong())?.trim();
    let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if key.is_empty() || key.len() > 200 {
        return Err(wrong());
    }
    let who = match (&caller.customer, &caller.partner) {
        (Some(customer), _) => format!("customer:{customer}"),
        // A partner id proves nothing, and an answer opens an order: nobody may share keys with a stranger.
        (None, Some(partner)) => format!("partner:{partner}/{visitor}"),
        (None, None) => visitor.to_owned(),
    };
    Ok(Some(Idempotency { scope: format!("store/orders/{who}"), key: key.to_owned(), body_hash }))
}
