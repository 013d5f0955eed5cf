//! Calls to the shop, and what of its answers a visitor sees.
//!
//! An answer of the store API comes down as it is. Anything else (a page of a proxy in between, a redirect, silence)
//! becomes an error of ours, so that a client of the store API never has to read what is not one.

use crate::http::error::ApiError;
use api::ClientError;
use api::pass_on::{PassOn, PassedOn};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Calls to the shop at a time.
const MOST_CALLS: usize = 256;

/// What one caller is told of his limits (contract 5.4); it is nobody else's.
const LIMITS: [HeaderName; 4] = [
    header::RETRY_AFTER,
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// The shop, and in whose name it is called.
#[derive(Clone)]
pub struct Upstream {
    pub client: api::Client,
    /// Of calls that are not one visitor's alone.
    pub user_agent: HeaderValue,
    /// Calls under way; each may hold an answer of 8 MiB.
    open: Arc<Semaphore>,
}

/// Why there is no answer of the store API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Refused, no such host, no trust, or cut off.
    Unreachable,
    /// Too many calls are under way.
    Busy,
    TimedOut,
    /// The answer is none of the store API; its status, if that says more than a success or a redirect would.
    Foreign(Option<StatusCode>),
}

impl Upstream {
    pub fn new(client: api::Client, user_agent: HeaderValue) -> Upstream {
        Upstream { client, user_agent, open: Arc::new(Semaphore::new(MOST_CALLS)) }
    }

    /// Asks the shop.
    pub async fn ask(&self, call: PassOn<'_>) -> Result<PassedOn, Failure> {
        let _turn = self.open.try_acquire().map_err(|_| Failure::Busy)?;
        let is_conditional = call.headers.contains_key(header::IF_NONE_MATCH);
        let answer = self.client.pass_on(call).await.map_err(|error| {
            // Without the address: that of an order opens its codes. The client leaves it out.
            tracing::warn!(error = &error as &dyn std::error::Error, "the shop did not answer");
            Failure::of(&error)
        })?;
        let still_holds = is_conditional && answer.status == StatusCode::NOT_MODIFIED;
        if still_holds || is_of_the_store_api(&answer) {
            return Ok(answer);
        }
        tracing::warn!(status = answer.status.as_u16(), "the shop's answer is none of the store API");
        let is_error = answer.status.is_client_error() || answer.status.is_server_error();
        Err(Failure::Foreign(is_error.then_some(answer.status)))
    }
}

fn is_of_the_store_api(answer: &PassedOn) -> bool {
    let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let has_body = answer.status != StatusCode::NO_CONTENT && answer.status != StatusCode::RESET_CONTENT;
    let is_json = kind == "application/json" || kind.ends_with("+json");
    !is_packed(&answer.headers)
        && !answer.status.is_redirection()
        && has_body
        && (is_json || kind.starts_with("image/"))
}

/// What comes down of an answer, with nothing said yet about how long it holds.
pub fn headers_down(answer: &PassedOn) -> HeaderMap {
    let mut headers: HeaderMap = passed(answer, [header::CONTENT_TYPE, header::CONTENT_LANGUAGE]).collect();
    // A picture is shown as a picture, whatever somebody wrote into it.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers
}

/// Nobody asked for it, and whoever takes it for what the content type says reads nonsense.
pub fn is_packed(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

pub fn passed<const COUNT: usize>(
    answer: &PassedOn,
    names: [HeaderName; COUNT],
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    names.into_iter().filter_map(|name| answer.headers.get(&name).cloned().map(|value| (name, value)))
}

/// An answer that is nobody else's: it is not to be kept on its way.
pub fn private(answer: &PassedOn) -> Response {
    let mut response = Response::new(Body::from(Bytes::clone(&answer.body)));
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers_down(answer);
    response.headers_mut().extend(passed(answer, LIMITS));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Failure {
    fn of(error: &ClientError) -> Failure {
        match error {
            ClientError::Transport(source) if source.is_timeout() => Failure::TimedOut,
            ClientError::Transport(_) | ClientError::Setup { .. } => Failure::Unreachable,
            ClientError::TooLarge
            | ClientError::Refused { .. }
            | ClientError::Status { .. }
            | ClientError::Decode { .. } => Failure::Foreign(None),
        }
    }

    /// The answer to somebody who only reads.
    pub fn of_read(self) -> ApiError {
        self.error("try again in a moment")
    }

    /// The answer to somebody who sent an order: it may have arrived.
    pub fn of_order(self) -> ApiError {
        match self {
            Failure::Busy => self.of_read(),
            Failure::Foreign(Some(status)) if status.is_client_error() => self.of_read(),
            Failure::Unreachable | Failure::TimedOut | Failure::Foreign(_) => self.error(
                "the order may have been placed: send it again with the same Idempotency-Key; if it had none, ask the \
                 shop before you send another",
            ),
        }
    }

    fn error(self, advice: &str) -> ApiError {
        let (status, code, what) = match self {
            Failure::Busy => {
                return ApiError::unavailable(
                    "BUSY",
                    "too many calls to the shop are under way; try again in a moment",
                );
            }
            Failure::Unreachable => (StatusCode::BAD_GATEWAY, "UPSTREAM_UNREACHABLE", "the shop cannot be reached"),
            Failure::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "UPSTREAM_TIMEOUT", "the shop did not answer in time"),
            Failure::Foreign(status) => (
                status.unwrap_or(StatusCode::BAD_GATEWAY),
                "UPSTREAM_ERROR",
                "the shop gave no answer of the store API",
            ),
        };
        ApiError::new(status, code, format!("{what}; {advice}"))
    }
}
