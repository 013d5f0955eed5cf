//! Work that nobody waits for: watching chains, crediting, delivering, mail, rates. Each worker is a `run_once(now)`
//! that moves the state towards what it asks for and says whether it did anything; the driver calls them.
//!
//! Must never keep state that matters: a worker that dies between two calls loses nothing.

pub mod driver;

pub mod advance;
pub mod audit;
pub mod catalogue;
pub mod credit;
pub mod exchange;
pub mod ipn;
pub mod letters;
pub mod notify;
pub mod outbox;
pub mod pay_out;
pub mod rates;
mod refund;
pub mod strays;
pub mod watch;
pub mod webhooks;

use crate::engine::SubmitError;
use crate::store::DbError;
use crate::vault::VaultError;

/// Why a worker stopped for now; the driver logs it and calls again.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("the database did not answer")]
    Database(#[from] DbError),
    #[error("the engine did not take a command")]
    Submit(#[from] SubmitError),
    #[error("something sealed could not be opened")]
    Vault(#[from] VaultError),
    #[error("network {network} could not be scanned: {reason}")]
    Scan { network: String, reason: String },
    #[error("the stored catalogue cannot be read: {0}")]
    Catalogue(String),
    #[error("the stored exchange file cannot be used: {0}")]
    Exchange(String),
}

/// Whether a run found work; if so it is called again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    Idle,
    Worked,
}

impl Ran {
    pub(crate) fn if_any(found: bool) -> Ran {
        if found { Ran::Worked } else { Ran::Idle }
    }
}
