//! Coins out: the small machine of what an exchange order or a refund pays out.
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

/// One step of a payout, as the events of exchange orders and of refunds tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayoutStep {
    Sent { attempt: u32, reference: String, deadline: Time },
    Asking { unknown: bool, next_lookup: Time },
    NeverArrived,
    Failed { reason: String },
    Retried,
    Done { proof: String },
}

impl Payout {
    /// The payout after a step. Panics on a step that is not legal here.
    pub fn after(&self, step: &PayoutStep, at: Time) -> Payout {
        match (step, self) {
            (PayoutStep::Sent { attempt, reference, deadline }, Payout::Planned { attempt: planned })
                if attempt == planned =>
            {
                Payout::Sent { attempt: *attempt, reference: reference.clone(), sent_at: at, deadline: *deadline }
            }
            (
                PayoutStep::Asking { unknown, next_lookup },
                Payout::Sent { attempt, reference, sent_at, .. } | Payout::Asking { attempt, reference, sent_at, .. },
            ) => Payout::Asking {
                attempt: *attempt,
                reference: reference.clone(),
                sent_at: *sent_at,
                unknown: *unknown,
                next_lookup: *next_lookup,
            },
            (PayoutStep::NeverArrived, Payout::Sent { attempt, .. } | Payout::Asking { attempt, .. }) => {
                Payout::Planned { attempt: *attempt }
            }
            // A refund may be found impossible before anybody is called.
            (
                PayoutStep::Failed { reason },
                Payout::Planned { attempt } | Payout::Sent { attempt, .. } | Payout::Asking { attempt, .. },
            ) => Payout::Failed { at, attempt: *attempt, reason: reason.clone() },
            (PayoutStep::Retried, Payout::Failed { attempt, .. }) => Payout::Planned { attempt: attempt + 1 },
            (PayoutStep::Done { proof }, payout) if !payout.is_over() => Payout::Done { at, proof: proof.clone() },
            (step, payout) => panic!("{step:?} is not legal for a payout that is {payout:?}"),
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
