//! Goods out: one small machine per delivery line.
//!
//! planned -> sent -> (asking ->)* delivered | refused. "Sent" is committed before a supplier is called; an unknown
//! answer is a state and is looked up by our own reference until it is known or a person decides. Only a refusal goes to
//! the next supplier. Must never call anyone: the workers do.

use crate::ids::CodeId;
use crate::time::{Span, Time};
use serde::{Deserialize, Serialize};

/// Where one delivery line stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Line {
    /// To be bought from supplier number `supplier` of the line's list, as soon as the order is paid.
    Planned { supplier: usize, attempt: u32 },
    /// The call may be on the wire, or may have been lost with the process. `deadline` is when it is looked up: the call's
    /// own time limit plus the supplier's settle time.
    Sent { supplier: usize, attempt: u32, reference: String, sent_at: Time, deadline: Time },
    /// Asked, and the last word was "pending" or not clear.
    Asking { supplier: usize, attempt: u32, reference: String, sent_at: Time, unknown: bool, next_lookup: Time },
    /// The recipient has it.
    Delivered {
        at: Time,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<CodeId>,
        /// Which attempt it came from; none if no supplier was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
        /// When the supplier took it back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reversed: Option<Time>,
    },
    /// Nobody delivers; its price is owed to the payer.
    Refused { at: Time, reason: String },
}

impl Line {
    /// Delivered or refused: nothing will change by itself.
    pub fn is_ended(&self) -> bool {
        match self {
            Line::Delivered { .. } | Line::Refused { .. } => true,
            Line::Planned { .. } | Line::Sent { .. } | Line::Asking { .. } => false,
        }
    }

    /// Which of the line's suppliers has it, and the number of the attempt, while it is under way.
    pub fn attempt(&self) -> Option<(usize, u32)> {
        match self {
            Line::Planned { supplier, attempt }
            | Line::Sent { supplier, attempt, .. }
            | Line::Asking { supplier, attempt, .. } => Some((*supplier, *attempt)),
            Line::Delivered { .. } | Line::Refused { .. } => None,
        }
    }

    /// Our reference at the supplier, while an answer is outstanding.
    pub fn reference(&self) -> Option<&str> {
        match self {
            Line::Sent { reference, .. } | Line::Asking { reference, .. } => Some(reference),
            Line::Planned { .. } | Line::Delivered { .. } | Line::Refused { .. } => None,
        }
    }
}

/// How patiently a supplier is asked; settings of each supplier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// A call is given up after this.
    pub call_timeout: Span,
    /// How long after a lost call the supplier may still take it in; the first lookup waits for it.
    pub settle: Span,
    /// Between lookups.
    pub lookup_every: Span,
    /// An outcome unknown for longer than this is a person's to decide.
    pub unknown_limit: Span,
}

impl Patience {
    /// When the next lookup is due; after a lost call not before it can have arrived.
    pub fn next_lookup(&self, unknown: bool, sent_at: Time, now: Time) -> Time {
        let next = now + self.lookup_every;
        if unknown { next.max(sent_at + self.call_timeout + self.settle) } else { next }
    }
}

/// What a supplier said of a line, or what became known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Delivered; with goods to keep, unless the recipient was served directly (a top-up).
    Delivered(Option<SealedGoods>),
    /// Taken in, not delivered yet.
    Pending,
    /// The supplier never got our reference: the same call is made, under the same reference, which buys once.
    NeverArrived,
    /// Certainly not delivered and never will be under this reference.
    Refused(String),
    /// No clear answer.
    Unknown(String),
    /// Delivered, and taken back; some suppliers do so a day later.
    Reversed(String),
}

/// A code from a supplier, sealed before it came near the engine.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedGoods {
    pub code: CodeId,
    pub sealed: String,
}

impl std::fmt::Debug for SealedGoods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedGoods({})", self.code)
    }
}

/// Our own reference for one attempt at one line: `k<order number>-<line>-<attempt>`, the same after a restart.
pub fn reference(order_no: i64, line: u32, attempt: u32) -> String {
    format!("k{order_no}-{line}-{attempt}")
}
