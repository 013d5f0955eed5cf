//! Request bodies: whole, bounded, and with our own error when they are not.

use super::App;
use super::error::ApiError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;

/// The bytes of a body that is not too large.
pub struct Body(pub Bytes);

impl FromRequest<App> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Body, ApiError> {
        Bytes::from_request(request, app).await.map(Body).map_err(|error: BytesRejection| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let message = format!("the body is larger than {} bytes", super::BODY_LIMIT_BYTES);
                return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message);
            }
            ApiError::bad_request("the body could not be read to its end")
        })
    }
}
