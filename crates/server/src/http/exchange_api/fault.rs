//! Errors of the exchange API: every code on one page, and the envelope's `error` (contract 1.3, 1.4).
//!
//! The numbers of the contract are kept where they fit; those under "our own" are ours, and stay as they are once a
//! release has answered with them (contract section 14). Clients show the message as it is, and read `object` as an
//! object whatever the error.

use crate::engine::SubmitError;
use crate::passwords::Crowded;
use crate::store::DbError;
use crate::vault::VaultError;
use axum::http::StatusCode;
use domain::decide::Refusal;
use domain::project::ExchangeStatus;
use domain::route::TradeFault;
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

    /// Who is calling is not known, or not whoever it says.
    pub fn unauthorized(message: &str) -> Fault {
        let object = json!({ "pos": 0, "level": 1, "type": "user" });
        Fault::new(40301, "unauthorized", message).about(object)
    }

    /// The same signed call again.
    pub fn replayed() -> Fault {
        Fault::unauthorized(
            "this signed call was made before, or its `time` is too old: sign it anew with a later time",
        )
    }

    // Routes.

    pub fn no_route() -> Fault {
        Fault::api(6_801_545_277_215_051, "this exchange is not available now; choose another")
    }

    // Orders.

    /// The amount is missing, or nothing that an amount could be.
    pub fn no_amount() -> Fault {
        let object = json!({ "fieldId": "amount", "nameField": "amount", "err": "required", "type": "amount" });
        Fault::api(6_231_546_409_213_868, "Param amount isn't valid: it is missing or no decimal").about(object)
    }

    pub fn bad_email() -> Fault {
        Fault::api(3_961_529_529_941_976, "the e-mail address is not valid")
    }

    // Accounts.

    pub fn no_email() -> Fault {
        Fault::api(8_781_529_530_113_112, "the e-mail address is missing")
    }

    /// Not one that an account can have.
    pub fn bad_password(why: &str) -> Fault {
        Fault::api(5_341_529_529_941_981, why)
    }

    /// No such address, or not its password: who has not both is told neither.
    pub fn unknown_account() -> Fault {
        Fault::api(241_351, "there is no account with this e-mail address and password")
    }

    pub fn not_confirmed() -> Fault {
        let message =
            "the e-mail address is not confirmed yet; open the link in our mail, or register again for another";
        Fault::api(2_355_231_636_112, message)
    }

    pub fn email_used() -> Fault {
        Fault::api(11_000_654, "this e-mail address has an account; sign in, or ask for another password")
    }

    /// The code of the second factor is missing, wrong, or was used: clients switch to the screen that asks for it.
    pub fn second_factor() -> Fault {
        Fault::api(6_231_533_598_118_172, "send the current code of your authenticator app as `code`")
    }

    pub fn second_factor_is_on() -> Fault {
        Fault::api(2_801_537_954_040_709, "the second factor is on already")
    }

    /// Never given, used, or too old.
    pub fn wrong_code() -> Fault {
        Fault::api(3_421_537_955_653_247, "this code is wrong, was used, or is too old")
    }

    pub fn too_many_keys() -> Fault {
        Fault::conflict("an account has at most five API keys; delete one first")
    }

    fn trade(fault: TradeFault) -> Fault {
        let message = fault.to_string();
        match fault {
            TradeFault::UnknownRoute => Fault::unknown_route(),
            TradeFault::Closed => Fault::closed(),
            TradeFault::NotAvailable => Fault::no_route(),
            TradeFault::NoAgreement => {
                Fault::api(4_101_000_000_000_002, "the agreement must be accepted: send agreement=true")
            }
            TradeFault::Amount { .. } => Fault::api(5_071_545_873_252_155, message),
            TradeFault::Zero => Fault::api(1_661_545_348_963_371, "the amount must be above zero"),
            TradeFault::BelowMinimum { min } => Fault::api(7_701_545_348_962_387, message).about(json!({ "min": min })),
            TradeFault::AboveMaximum { max } => Fault::api(3_631_545_348_962_766, message).about(json!({ "max": max })),
            TradeFault::AboveReserve { max } => Fault::api(9_951_545_348_963_165, message).about(json!({ "max": max })),
            TradeFault::Field { kind, field, name, fault } => {
                let object = json!({
                    "fieldId": field, "nameField": name, "err": fault.word(), "type": kind.word()
                });
                let message = format!("Param {} isn't valid: {field}", kind.word());
                Fault::api(6_231_546_409_213_868, message).about(object)
            }
        }
    }

    // Our own.

    /// No such number, or a wrong secret: who has not both is told neither.
    pub fn unknown_order() -> Fault {
        Fault::api(4_101_000_000_000_003, "there is no order of that number and secret")
    }

    /// Whether it says that there is no such order.
    pub fn is_unknown_order(&self) -> bool {
        *self == Fault::unknown_order()
    }

    /// A payer may not say that.
    pub fn forbidden_status(current: ExchangeStatus, wanted: &str) -> Fault {
        let message = format!("an order that is {} cannot be set to {wanted:?} by its payer", current.word());
        Fault::api(4_101_000_000_000_004, message).about(json!({ "status": current.word() }))
    }

    /// Something, mostly an order, is not in a state for it.
    pub fn conflict(why: &str) -> Fault {
        Fault::api(4_101_000_000_000_005, format!("not possible now: {why}"))
    }

    pub fn bad_url(name: &str) -> Fault {
        Fault::api(4_101_000_000_000_006, format!("{name} must be an address with http:// or https://"))
    }

    /// A browser's page must show that it belongs to us.
    pub fn no_csrf() -> Fault {
        let message = "send the value of the cookie `_csrf` as the header `Csrf-Token`";
        Fault::new(4_101_000_000_000_007, "forbidden", message)
    }

    /// A page of another site must not sign a visitor in.
    pub fn from_elsewhere() -> Fault {
        Fault::new(4_101_000_000_000_008, "forbidden", "a page of another site cannot sign a browser in here")
    }

    /// This visitor's unpaid orders are as many as there may be.
    fn too_many_unpaid() -> Fault {
        Fault::api(5_030_002, "too many of your orders wait for payment; pay, cancel, or wait until they expire")
    }

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

    /// For people. Of faults of parameters it may repeat what was sent.
    pub fn message(&self) -> &str {
        &self.message
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

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        match refusal {
            Refusal::Trade(fault) => Fault::trade(fault),
            Refusal::TooManyUnpaid => Fault::too_many_unpaid(),
            Refusal::Conflict(why) | Refusal::AlreadyDone(why) => Fault::conflict(why),
            Refusal::UnknownOrder | Refusal::UnknownTransfer => Fault::unknown_order(),
            Refusal::NoAddress(_) => {
                tracing::error!("the pool of deposit addresses is empty");
                Fault::no_route()
            }
            Refusal::Rate(_) | Refusal::SuspendedCoin | Refusal::SuspendedNetwork => Fault::no_route(),
            Refusal::Replay(_) => Fault::replayed(),
            Refusal::Problems(_) | Refusal::KeyReused | Refusal::Defect => Fault::internal(),
        }
    }
}

impl From<SubmitError> for Fault {
    fn from(error: SubmitError) -> Fault {
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            SubmitError::Busy => Fault::busy(),
            SubmitError::Database(error) => error.into(),
        }
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

impl From<Crowded> for Fault {
    fn from(_: Crowded) -> Fault {
        Fault::busy()
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
