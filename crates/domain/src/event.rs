//! What happened to an order: the persisted, numbered facts from which its row can be folded again.
//!
//! Events hold no codes and no personal data (an order's e-mail addresses, phone numbers and refund address are sealed
//! elsewhere); deposit addresses are ours and may stand here. A variant is readable one release before it is written.

use crate::asset::ChainKind;
use crate::ids::{AssetId, CodeId, TransferId};
use crate::limits::CounterKey;
use crate::refund::RefundStep;
use crate::route::DealRate;
use crate::time::{Span, Time};
use crate::validate::Quote;
use serde::{Deserialize, Serialize};

/// Where an order came from. No personal data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The partner whose program placed an order of goods: his id, which is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    /// The account whose link brought the payer of an exchange order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utm_source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    pub language: String,
    #[serde(default)]
    pub newsletter: bool,
}

/// A count that an order keeps on a shared counter row while it is unpaid, and what becomes of it when it is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub key: CounterKey,
    pub amount: i64,
    /// Held from the moment of placing; otherwise it counts from settlement only.
    pub held: bool,
    /// Stays as `used` once paid; otherwise it is let go (caps on unpaid orders).
    pub kept: bool,
}

/// Why a payment was taken as whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    OnTime,
    /// After the window, but soon and at nearly the same rate.
    Late,
}

/// Why a person must look at an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Confirmed money vanished in a reorganisation.
    PaymentReverted,
    /// The supplier's answer stayed unknown beyond the limit.
    OutcomeUnknown,
    /// Nobody could deliver a line that is paid for.
    Undeliverable,
    /// A supplier took back what it had delivered.
    DeliveryReversed,
    /// A floating order was paid while its rate was not known, or the reserve does not cover what it comes to.
    RateUnclear,
    /// An operator asked for it.
    Operator,
    /// The program met something that must not be; see the log.
    InvariantBroken,
}

/// One fact. `at` and the order's version stand beside it in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    Placed(Box<Placed>),
    /// On the chain, not yet confirmed.
    PaymentSeen(Seen),
    /// Confirmed by as many blocks as the network asks for.
    PaymentConfirmed(Seen),
    /// Gone from the chain.
    PaymentReverted {
        transfer: TransferId,
    },
    PaymentSettled {
        settlement: Settlement,
        /// Of what was received, in units of the order's asset: the price.
        sold_units: i64,
        /// Received less than the price, within the tolerance (positive), or a trifle more (negative).
        difference_units: i64,
    },
    Expired,
    /// No payment can settle this order by itself any more.
    LateWindowClosed,
    Canceled,
    /// Written before a supplier is called, so that a crash after the call does not look like no call.
    LineSent {
        line: u32,
        attempt: u32,
        supplier: String,
        reference: String,
        deadline: Time,
    },
    /// The supplier has it but has not delivered, or gave no clear answer: ask again by our reference.
    LineAsking {
        line: u32,
        unknown: bool,
        next_lookup: Time,
    },
    LineDelivered {
        line: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<CodeId>,
    },
    /// This supplier refused; the next one is asked.
    LineRefusedBySupplier {
        line: u32,
        supplier: String,
        reason: String,
    },
    /// Our call never reached the supplier: it is made again, under the same reference.
    LineNeverArrived {
        line: u32,
    },
    /// Nobody delivers: the line's price is owed to the payer.
    LineRefused {
        line: u32,
        reason: String,
        /// Owed to the payer.
        refund_units: i64,
        /// The line's part of the order's difference, which is undone with it.
        #[serde(default)]
        difference_units: i64,
    },
    /// The supplier took back what it had delivered: the recipient's code may be dead. Moves no word and no money.
    LineReversed {
        line: u32,
        reason: String,
    },
    /// The payer looked at what is agreed and wants to pay.
    Accepted,
    /// What the order held on shared rows is let go of, and it goes on: it waits for a person, or is cancelled already.
    CountsReleased,
    /// What the payer sent and got nothing for went back to him, beside whatever became of the exchange.
    CreditReturned {
        proof: String,
        units: i64,
    },
    /// An account took an order over that a guest had made.
    Owned {
        customer: String,
    },
    /// The payer says that he has paid. Not money, and nothing is paid out for it.
    PaymentClaimed,
    /// The rate had moved when the payment counted: another amount is paid out, in units of 10^-decimals of its currency.
    Repriced {
        rate: DealRate,
        receive_units: i64,
    },
    /// Written before anybody is told to pay, so that a crash after the call does not look like no call.
    PayoutSent {
        attempt: u32,
        reference: String,
        deadline: Time,
    },
    /// It is under way, or nobody knows: ask again by our reference.
    PayoutAsking {
        unknown: bool,
        next_lookup: Time,
    },
    /// Nobody ever got our reference: the same call is made again.
    PayoutNeverArrived,
    /// Certainly not paid: a person decides what next.
    PayoutFailed {
        reason: String,
    },
    /// A person wants it tried again.
    PayoutRetried,
    /// The recipient has it.
    PayoutDone {
        /// The transaction, or what the operator named. No personal data.
        proof: String,
    },
    /// The payer got back what he had paid, instead of an exchange.
    Returned {
        proof: String,
        /// What was sold is owed to the payer again; 0 for an order that was never settled.
        unsold_units: i64,
        /// The order's difference, which is undone with it.
        difference_units: i64,
        /// What left the house: all that was owed.
        returned_units: i64,
    },
    /// A step of the order's refund of that number; the first is 0.
    Refund {
        refund: u32,
        step: RefundStep,
    },
    HeldForPerson {
        reason: HoldReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<u32>,
        note: String,
    },
    /// A person ended all holds, or what was missing came back and ended those of one reason (and one line).
    HoldReleased {
        note: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<HoldReason>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<u32>,
    },
}

/// An order as it was accepted: its price is locked until `expires_at`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    pub no: i64,
    pub origin: Origin,
    pub quote: Quote,
    pub address: String,
    /// Absent where money is moved by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_family: Option<ChainKind>,
    pub expires_at: Time,
    pub counts: Vec<Count>,
    pub catalogue_id: String,
    pub rates_id: String,
    pub tolerance_units: i64,
    pub late_window: Span,
    /// The accounting policy that it is booked by (`postings::POLICY`).
    #[serde(default)]
    pub policy: u32,
}

/// A transfer that reached the order's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub transfer: TransferId,
    pub asset: AssetId,
    pub units: i64,
    pub block_at: Time,
}

impl Event {
    /// The word in the log's `kind` column; the same as the `type` in its JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Placed(_) => "placed",
            Event::PaymentSeen(_) => "payment_seen",
            Event::PaymentConfirmed(_) => "payment_confirmed",
            Event::PaymentReverted { .. } => "payment_reverted",
            Event::PaymentSettled { .. } => "payment_settled",
            Event::Expired => "expired",
            Event::LateWindowClosed => "late_window_closed",
            Event::Canceled => "canceled",
            Event::LineSent { .. } => "line_sent",
            Event::LineAsking { .. } => "line_asking",
            Event::LineDelivered { .. } => "line_delivered",
            Event::LineRefusedBySupplier { .. } => "line_refused_by_supplier",
            Event::LineNeverArrived { .. } => "line_never_arrived",
            Event::LineRefused { .. } => "line_refused",
            Event::LineReversed { .. } => "line_reversed",
            Event::Accepted => "accepted",
            Event::CountsReleased => "counts_released",
            Event::CreditReturned { .. } => "credit_returned",
            Event::Owned { .. } => "owned",
            Event::PaymentClaimed => "payment_claimed",
            Event::Repriced { .. } => "repriced",
            Event::PayoutSent { .. } => "payout_sent",
            Event::PayoutAsking { .. } => "payout_asking",
            Event::PayoutNeverArrived => "payout_never_arrived",
            Event::PayoutFailed { .. } => "payout_failed",
            Event::PayoutRetried => "payout_retried",
            Event::PayoutDone { .. } => "payout_done",
            Event::Returned { .. } => "returned",
            Event::Refund { .. } => "refund",
            Event::HeldForPerson { .. } => "held_for_person",
            Event::HoldReleased { .. } => "hold_released",
        }
    }
}
