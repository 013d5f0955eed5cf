//! Errors of the exchange API: every code on one page, and the envelope's `error` (contract 1.3, 1.4).
//!
//! The numbers of the contract are kept where they fit; those under "our own" are ours, and stay as they are once a
//! release has answered with them (contract section 14). Clients show the message as it is, and read `object` as an
//! object whatever the error.

use crate::store::DbError;
use crate::vault::VaultError;
use axum::http::StatusCode;
use domain::pricing::RateError;
use serde_json::{Value, json};

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    code: u64,
    kind: &'static str,
    message: String,
    object: Value,
    level: u8,
    /// The answer's own status: 200 for everything that a method says.
    status: StatusCode,
}

impl Fault {
    fn new(code: u64, kind: &'static str, message: impl Into<String>) -> Fault {
        let message = message.into();
        Fault { code, kind, message, object: json!({}), level: 0, status: StatusCode::OK }
    }

    fn api(code: u64, message: impl Into<String>) -> Fault {
        Fault::new(code, "api", message)
    }

    fn about(self, object: Value) -> Fault {
        Fault { object, ..self }
    }

    // Parameters (500400404 is the framework's own for all of them).

    /// A parameter is missing.
    pub fn missing(name: &str) -> Fault {
        Fault::new(500_400_404, "param", format!("param \"{name}\" required"))
    }

    /// A parameter is not what it should be.
    pub fn param(name: &str, wanted: &str) -> Fault {
        Fault::new(500_400_404, "param", format!("param \"{name}\" Value must be {wanted}"))
    }

    /// The parameters together are not what they should be.
    pub fn params(message: impl Into<String>) -> Fault {
        Fault::new(500_400_404, "param", message)
    }

    /// The body cannot be read at all: the one error of a method that is not answered with 200 (contract 1.3).
    pub fn body(status: StatusCode, message: impl Into<String>) -> Fault {
        Fault { status, ..Fault::params(message) }
    }

    // Transport.

    /// Nobody knows that method.
    pub fn unknown_method(method: &str) -> Fault {
        let message = format!("method not found: {method}");
        Fault::api(40400, message).about(json!({ "method_find": method }))
    }

    /// Come back after so many seconds.
    pub fn too_many(seconds: u32) -> Fault {
        let message = format!("too many requests; try again in {seconds} seconds");
        Fault::api(5_030_000, message).about(json!({ "time": seconds }))
    }

    /// The office is closed for now: clients switch to their maintenance screen.
    pub fn closed() -> Fault {
        Fault::api(5_555_555_555_555_555, "the exchange office is closed for technical work; try again later")
    }

    // Routes.

    pub fn no_route() -> Fault {
        Fault::api(6_801_545_277_215_051, "this exchange is not available now; choose another")
    }

    // Our own.

    /// There is no such route at all.
    pub fn unknown_route() -> Fault {
        Fault::api(4_101_000_000_000_001, "there is no such route")
    }

    /// The database is busy.
    pub fn busy() -> Fault {
        Fault::api(5_030_001, "the server is busy; try again in a moment")
    }

    fn internal() -> Fault {
        Fault { level: 1, ..Fault::api(500, "the server met something unexpected; nothing was changed") }
    }

    /// The status of the answer that carries it.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The envelope's `error`.
    pub fn to_json(&self) -> Value {
        let mut error = json!({
            "apiError": true,
            "message": self.message,
            "errorType": self.kind,
            "object": self.object,
            "level": self.level,
            "errorCode": self.code,
        });
        if self.kind == "unauthorized" {
            error["statusCode"] = json!(403);
        }
        error
    }
}

impl From<RateError> for Fault {
    fn from(error: RateError) -> Fault {
        tracing::debug!(error = &error as &dyn std::error::Error, "a route cannot be priced");
        Fault::no_route()
    }
}

impl From<DbError> for Fault {
    fn from(error: DbError) -> Fault {
        if error.is_passing() {
            tracing::warn!(error = &error as &dyn std::error::Error, "database not available");
            return Fault::busy();
        }
        tracing::error!(error = &error as &dyn std::error::Error, "database refused");
        Fault::internal()
    }
}

impl From<VaultError> for Fault {
    fn from(error: VaultError) -> Fault {
        match error {
            VaultError::Database(error) => error.into(),
            VaultError::Sealed(_) | VaultError::Unreadable => {
                tracing::error!(error = &error as &dyn std::error::Error, "sealed data stays closed");
                Fault::internal()
            }
        }
    }
}
