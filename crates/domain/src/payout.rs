//! Coins out: the small machine of what an exchange order pays out.
//!
//! planned -> sent -> (asking ->)* done | failed, and returned from wherever the money still is. "Sent" is committed before
//! anybody is told to pay; an unknown answer is a state and is looked up by our own reference until it is known or a
//! person decides. Must never pay anyone: the workers do.

use crate::time::Time;
use serde::{Deserialize, Serialize};

/// Where a payout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Payout {
    /// As soon as the order is paid; by itself, or by an operator's hand.
    Planned { attempt: u32 },
    /// The call may be on the wire, or may have been lost with the process; looked up at `deadline`.
    Sent { attempt: u32, reference: String, sent_at: Time, deadline: Time },
    /// Asked, and the last word was "pending" or not clear.
    Asking { attempt: u32, reference: String, sent_at: Time, unknown: bool, next_lookup: Time },
    /// The recipient has it; `proof` is the transaction, or what the operator named.
    Done { at: Time, proof: String },
    /// It was certainly not paid: a person decides what next.
    Failed { at: Time, attempt: u32, reason: String },
    /// The payer got his money back instead; `proof` is what the operator named.
    Returned { at: Time, proof: String },
}

impl Payout {
    /// Nothing will change by itself any more.
    pub fn is_over(&self) -> bool {
        match self {
            Payout::Done { .. } | Payout::Returned { .. } => true,
            Payout::Planned { .. } | Payout::Sent { .. } | Payout::Asking { .. } | Payout::Failed { .. } => false,
        }
    }

    /// Our reference and when the call was claimed, while an answer is outstanding.
    pub fn outstanding(&self) -> Option<(&str, Time)> {
        match self {
            Payout::Sent { reference, sent_at, .. } | Payout::Asking { reference, sent_at, .. } => {
                Some((reference, *sent_at))
            }
            Payout::Planned { .. } | Payout::Done { .. } | Payout::Failed { .. } | Payout::Returned { .. } => None,
        }
    }
}

/// What became known of a payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayoutReport {
    /// Final on its network.
    Done { proof: String },
    /// Taken in, not final yet.
    Pending,
    /// Nobody ever got our reference: the same call is made, under the same reference, which pays once.
    NeverArrived,
    /// Certainly not paid and never will be under this reference.
    Refused(String),
    /// No clear answer.
    Unknown(String),
}

/// Our own reference for one attempt: `p<order number>-<attempt>`, the same after a restart.
pub fn reference(order_no: i64, attempt: u32) -> String {
    format!("p{order_no}-{attempt}")
}
