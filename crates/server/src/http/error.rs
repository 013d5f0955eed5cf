//! Errors of the store API: one place that turns a refusal into a status and the body of contract 5.4.
//!
//! The client sees a code and a short text; the log sees the chain of causes, once.

use crate::engine::SubmitError;
use crate::store::DbError;
use crate::vault::VaultError;
use api::ErrorBody;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::decide::Refusal;
use domain::pricing::RateError;
use domain::validate::Problem;
use serde_json::Value;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    detail: String,
    message: String,
    problems: Vec<api::Problem>,
    more_details: Option<Value>,
    retry_after_s: Option<u32>,
}

impl ApiError {
    pub fn new(status: StatusCode, detail: impl Into<String>, message: impl Into<String>) -> ApiError {
        let (detail, message) = (detail.into(), message.into());
        ApiError { status, detail, message, problems: Vec::new(), more_details: None, retry_after_s: None }
    }

    /// 400: the request is not what the contract describes.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// 404: it does not exist, or it is not yours.
    pub fn not_found() -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this address")
    }

    /// 401: who is calling is not known.
    pub fn unauthorized(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
    }

    /// 429: come back after so many seconds.
    pub fn too_many(retry_after_s: u32) -> ApiError {
        let message = "too many requests; slow down and try again";
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS", message);
        ApiError { retry_after_s: Some(retry_after_s.max(1)), ..error }
    }

    /// 503: something that we need is not there at the moment.
    pub fn unavailable(detail: &str, message: impl Into<String>) -> ApiError {
        let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail, message);
        ApiError { retry_after_s: Some(2), ..error }
    }

    /// 503: no rate to quote with; says which, and how old it is.
    pub fn rate(error: &RateError) -> ApiError {
        let refused = ApiError::unavailable("RATE_UNAVAILABLE", error.to_string());
        ApiError { retry_after_s: Some(60), ..refused }
    }

    /// 422: the basket's problems, in the shape that every known client reads (contract 5.4).
    pub fn problems(problems: &[Problem]) -> ApiError {
        let code = problems.first().map_or("NOT_AVAILABLE_PRODUCT", Problem::code);
        let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, code);
        ApiError { problems: problems.iter().map(super::convert::problem).collect(), ..error }
    }

    fn suspended(code: &'static str) -> ApiError {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, code)
    }

    /// The answer itself, for callers outside of a handler.
    pub fn into_answer(self) -> Response {
        self.into_response()
    }

    fn internal() -> ApiError {
        let message = "the server met something unexpected; nothing was changed";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        match refusal {
            Refusal::Problems(problems) => ApiError::problems(&problems),
            Refusal::SuspendedCoin => ApiError::suspended("SUSPENDED_COIN"),
            Refusal::SuspendedNetwork => ApiError::suspended("SUSPENDED_NETWORK"),
            Refusal::Rate(error) => ApiError::rate(&error),
            Refusal::KeyReused => {
                let message = "this Idempotency-Key was used with another body; send a new key";
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED", message)
            }
            Refusal::NoAddress(_) => {
                tracing::error!("the pool of deposit addresses is empty");
                ApiError::unavailable("NO_DEPOSIT_ADDRESS", "orders cannot be taken at the moment")
            }
            Refusal::TooManyUnpaid => {
                let message = "this order and your unpaid ones hold too many products; order fewer, pay, or wait until they expire";
                let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_UNPAID_ORDERS", message);
                ApiError { retry_after_s: Some(60), ..error }
            }
            Refusal::UnknownOrder | Refusal::UnknownTransfer => ApiError::not_found(),
            Refusal::Conflict(why) | Refusal::AlreadyDone(why) => ApiError::new(StatusCode::CONFLICT, "CONFLICT", why),
            Refusal::Replay(_) | Refusal::Trade(_) | Refusal::Defect => ApiError::internal(),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> ApiError {
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            SubmitError::Busy => ApiError::unavailable("BUSY", "the server is busy; try again in a moment"),
            SubmitError::Database(error) => error.into(),
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> ApiError {
        if error.is_passing() {
            tracing::warn!(error = &error as &dyn std::error::Error, "database not available");
            return ApiError::unavailable("BUSY", "the server is busy; try again in a moment");
        }
        tracing::error!(error = &error as &dyn std::error::Error, "database refused");
        ApiError::internal()
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> ApiError {
        match error {
            VaultError::Database(error) => error.into(),
            VaultError::Sealed(_) | VaultError::Unreadable => {
                tracing::error!(error = &error as &dyn std::error::Error, "sealed data stays closed");
                ApiError::internal()
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            status: self.status.as_u16(),
            detail: self.detail,
            message: self.message,
            problems: self.problems,
            more_details: self.more_details,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Any path or method that is not on the list (contract 3: PATCH and PUT on orders answer 404).
pub async fn no_such_route() -> ApiError {
    ApiError::not_found()
}
