//! What belongs to one order: dry run, creation, polling and QR image are passed on and never kept; the stream is the
//! proxy route of contract 4.5.

use super::Gateway;
use super::call::{Listed, Visitor};
use super::feeds::Refused;
use super::upstream::private;
use crate::http::body::Body as RequestBody;
use crate::http::error::ApiError;
use crate::http::handover::{self, Live};
use api::pass_on::PassOn;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A call about one order, in its visitor's name (contract 3.8 to 3.10, 3.12).
pub async fn pass_on(
    State(gateway): State<Gateway>,
    method: Method,
    listed: Listed,
    visitor: Visitor,
    asked: HeaderMap,
    RequestBody(body): RequestBody,
) -> Result<Response, ApiError> {
    gateway.door.count_up(&visitor).map_err(ApiError::too_many)?;
    let mut headers = visitor.headers();
    let agent = visitor.user_agent.unwrap_or_else(|| gateway.upstream.user_agent.clone());
    headers.insert(header::USER_AGENT, agent);
    if let Some(key) = asked.get(IDEMPOTENCY_KEY) {
        headers.insert(IDEMPOTENCY_KEY, key.clone());
    }
    let posts = method == Method::POST;
    let places = posts && listed.parts.len() == 2;
    let path = listed.parts.iter().map(String::as_str).collect();
    let call = PassOn { path, query: listed.query.as_deref(), headers, body: posts.then_some(body) };
    let answer = gateway.upstream.ask(call).await;
    let answer = answer.map_err(|failure| if places { failure.of_order() } else { failure.of_read() })?;
    Ok(private(&answer))
}

/// The proxy route: the order's stream as the shop sends it.
pub async fn subscribe(
    State(gateway): State<Gateway>,
    method: Method,
    listed: Listed,
    visitor: Visitor,
) -> Result<Response, Refused> {
    let is_shared = visitor.token.is_none();
    if !(is_shared && gateway.feeds.has(listed.order_id())) {
        gateway.door.count_up(&visitor).map_err(Refused::too_many)?;
    }
    let mut headers = visitor.headers();
    headers.insert(header::USER_AGENT, gateway.upstream.user_agent.clone());
    headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    let viewer = if is_shared {
        gateway.feeds.open_shared(listed.order_id(), headers).await?
    } else {
        gateway.feeds.open_own(listed.order_id(), headers).await?
    };
    let mut response = handover::response(&method, Live::PassedOn(viewer));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    Ok(response)
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.error }));
        let mut response = (self.status, [(header::CACHE_CONTROL, "no-store")], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
