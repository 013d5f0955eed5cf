//! An order as the words that outsiders see: the store API's (contract section 4), which have an order and never move back
//! in it, and the exchange API's ten statuses.

use crate::fulfil::Line;
use crate::order::Order;
use crate::payment::Standing;
use crate::payout::Payout;
use crate::refund::Refund;
use serde::{Deserialize, Serialize};

/// `order_state`, in the order in which an order may move through them; the last four are ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OrderState {
    Created,
    WaitingForPayment,
    PaymentStarted,
    PartialPaymentStarted,
    Expired,
    PaymentReceived,
    WaitingForDelivery,
    WaitingForManualAction,
    Done,
    Refunded,
    Canceled,
    PaymentFailed,
}

impl OrderState {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            OrderState::Created => "Created",
            OrderState::WaitingForPayment => "WaitingForPayment",
            OrderState::PaymentStarted => "PaymentStarted",
            OrderState::PartialPaymentStarted => "PartialPaymentStarted",
            OrderState::Expired => "Expired",
            OrderState::PaymentReceived => "PaymentReceived",
            OrderState::WaitingForDelivery => "WaitingForDelivery",
            OrderState::WaitingForManualAction => "WaitingForManualAction",
            OrderState::Done => "Done",
            OrderState::Refunded => "Refunded",
            OrderState::Canceled => "Canceled",
            OrderState::PaymentFailed => "PaymentFailed",
        }
    }
}

/// The word that the facts alone would give; `Order::state` keeps the furthest one reached.
pub fn order_state(order: &Order) -> OrderState {
    if order.is_returned() {
        return OrderState::Refunded;
    }
    if order.payment.settled_at.is_some() {
        return paid_state(order);
    }
    if order.canceled_at.is_some() {
        return OrderState::Canceled;
    }
    if order.is_given_back() {
        return OrderState::Refunded;
    }
    if !order.holds.is_empty() && order.payment.confirmed(&order.quote.asset) > 0 {
        return OrderState::WaitingForManualAction;
    }
    if order.payment.expired_at.is_some() {
        return OrderState::Expired;
    }
    let seen = order.payment.seen(&order.quote.asset);
    if seen == 0 {
        OrderState::WaitingForPayment
    } else if seen < order.quote.due_units - order.tolerance_units {
        OrderState::PartialPaymentStarted
    } else {
        OrderState::PaymentStarted
    }
}

fn paid_state(order: &Order) -> OrderState {
    // Whatever a supplier delivered meanwhile stays shut until a person has looked; an order that is Done stays so.
    if order.is_stopped() {
        return OrderState::WaitingForManualAction;
    }
    if let Some(payout) = &order.payout {
        return paid_out_state(payout);
    }
    let delivered = order.lines.iter().any(|line| matches!(line, Line::Delivered { .. }));
    let ended = order.lines.iter().all(Line::is_ended);
    if ended && delivered {
        return OrderState::Done;
    }
    if ended && order.is_given_back() {
        return OrderState::Refunded;
    }
    // All refused: the money goes back, and until it has, a person has it in hand.
    if ended || !order.holds.is_empty() {
        return OrderState::WaitingForManualAction;
    }
    if order.lines.iter().all(|line| matches!(line, Line::Planned { attempt: 0, .. })) {
        return OrderState::PaymentReceived;
    }
    OrderState::WaitingForDelivery
}

fn paid_out_state(payout: &Payout) -> OrderState {
    match payout {
        Payout::Planned { attempt: 0 } => OrderState::PaymentReceived,
        Payout::Planned { .. } | Payout::Sent { .. } | Payout::Asking { .. } => OrderState::WaitingForDelivery,
        Payout::Failed { .. } => OrderState::WaitingForManualAction,
        Payout::Done { .. } => OrderState::Done,
        Payout::Returned { .. } => OrderState::Refunded,
    }
}

/// The exchange API's ten statuses (exchange contract 5.5). Unlike the store API's words they may move back: a hold ends,
/// a deleted order is paid late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExchangeStatus {
    New,
    WaitPayment,
    ErrorPayment,
    InProgress,
    InProgressPayout,
    ErrorPayout,
    Hold,
    Done,
    Returned,
    Deleted,
}

impl ExchangeStatus {
    pub const ALL: [ExchangeStatus; 10] = [
        ExchangeStatus::New,
        ExchangeStatus::WaitPayment,
        ExchangeStatus::ErrorPayment,
        ExchangeStatus::InProgress,
        ExchangeStatus::InProgressPayout,
        ExchangeStatus::ErrorPayout,
        ExchangeStatus::Hold,
        ExchangeStatus::Done,
        ExchangeStatus::Returned,
        ExchangeStatus::Deleted,
    ];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            ExchangeStatus::New => "new",
            ExchangeStatus::WaitPayment => "waitPayment",
            ExchangeStatus::ErrorPayment => "errorPayment",
            ExchangeStatus::InProgress => "inProgress",
            ExchangeStatus::InProgressPayout => "inProgressPayout",
            ExchangeStatus::ErrorPayout => "errorPayout",
            ExchangeStatus::Hold => "hold",
            ExchangeStatus::Done => "done",
            ExchangeStatus::Returned => "returned",
            ExchangeStatus::Deleted => "deleted",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<ExchangeStatus> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// An exchange order's status: the first that holds.
pub fn exchange_status(order: &Order) -> ExchangeStatus {
    let payment = &order.payment;
    let settled = payment.settled_at.is_some();
    // Another token than agreed is nobody's payment: anybody may send one.
    let has_money = payment.confirmed(&order.quote.asset) > 0;
    let ended = payment.expired_at.is_some() || order.canceled_at.is_some();
    let payout = order.payout.as_ref();
    if !order.holds.is_empty() {
        return ExchangeStatus::Hold;
    }
    match payout {
        Some(Payout::Done { .. }) => return ExchangeStatus::Done,
        Some(Payout::Returned { .. }) => return ExchangeStatus::Returned,
        Some(_) if ended && !settled && order.is_given_back() => return ExchangeStatus::Returned,
        Some(_) | None if ended && !settled && !has_money => return ExchangeStatus::Deleted,
        Some(Payout::Failed { .. }) => return ExchangeStatus::ErrorPayout,
        Some(Payout::Sent { .. } | Payout::Asking { .. }) => return ExchangeStatus::InProgressPayout,
        Some(Payout::Planned { .. }) | None => {}
    }
    if settled || (order.claimed_at.is_some() && !ended) {
        ExchangeStatus::InProgress
    } else if has_money {
        ExchangeStatus::ErrorPayment
    } else if order.accepted_at.is_some() {
        ExchangeStatus::WaitPayment
    } else {
        ExchangeStatus::New
    }
}

/// Whether its owner would see a difference between two states of an order: its words, what is exchanged, whose it is.
pub fn looks_different(before: &Order, after: &Order) -> bool {
    if before.origin.customer != after.origin.customer {
        return true;
    }
    match (before.trade(), after.trade()) {
        (Some(was), Some(is)) => {
            let amounts_differ = (was.from.units, was.to.units) != (is.from.units, is.to.units);
            amounts_differ || exchange_status(before) != exchange_status(after)
        }
        _ => {
            let words = |order: &Order| -> Vec<String> {
                order.lines.iter().map(|line| delivery_state(order, line, "").to_owned()).collect()
            };
            let refunds = |order: &Order| -> Vec<&'static str> { order.refunds.iter().map(Refund::word).collect() };
            before.state != after.state
                || refunds(before) != refunds(after)
                || payment_state(before) != payment_state(after)
                || words(before) != words(after)
        }
    }
}

/// `payment_state` (contract 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentState {
    /// Nothing seen yet.
    WalletCreated,
    /// Something seen, not enough or not confirmed.
    PaymentRequested,
    PaymentReceived,
    Expired,
    /// Money came that did not settle the order: it waits in the claim queue.
    ExpiredAfterPaymentDetection,
}

/// The payment's word.
pub fn payment_state(order: &Order) -> PaymentState {
    let payment = &order.payment;
    if payment.settled_at.is_some() {
        return PaymentState::PaymentReceived;
    }
    let money_came = payment.received.iter().any(|received| received.asset == order.quote.asset)
        && (payment.confirmed(&order.quote.asset) > 0 || payment.standing(&order.terms()) != Standing::NotEnough);
    if payment.expired_at.is_some() || order.canceled_at.is_some() {
        return if money_came { PaymentState::ExpiredAfterPaymentDetection } else { PaymentState::Expired };
    }
    if payment.received.is_empty() { PaymentState::WalletCreated } else { PaymentState::PaymentRequested }
}

/// `delivery_state` of one line (contract 4.3); `succeeded` is the configured end word.
pub fn delivery_state<'a>(order: &Order, line: &Line, succeeded: &'a str) -> &'a str {
    match line {
        Line::Delivered { .. } => succeeded,
        Line::Refused { .. } => "Failed",
        Line::Planned { .. } | Line::Sent { .. } | Line::Asking { .. } => {
            if order.payment.settled_at.is_some() {
                "WaitingForDelivery"
            } else {
                "WaitingForPayment"
            }
        }
    }
}

/// Whether nothing can change by itself any more: the moment at which a stream says `stop` (architecture section 5).
pub fn is_over(order: &Order) -> bool {
    if order.payment.settled_at.is_some() {
        return order.state == OrderState::Done || order.state == OrderState::Refunded;
    }
    order.payment.closed
}
