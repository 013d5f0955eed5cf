//! Everything that is unusual about a payment, in words: one table, one sentence for the payer and one for the operator.
//!
//! Reasons are derived from amounts, block times and refunds, and shown as a set (field-notes section 2): a payment may be
//! short, late and in two parts. The payer's sentence says what he can do; it must never name an amount, an address or
//! anything of the house. Called by `kiosk order`, by the order's own explanation and by tests.

use crate::order::Order;
use crate::payment::PaymentReason;
use crate::time::Time;

/// What is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Less than the price, within the tolerance: taken as whole.
    Tolerance,
    /// A trifle more than the price: kept.
    Trifle,
    /// Less than the price, and the rest can still be sent.
    Short,
    /// Less than the price, and the time is over.
    ShortTooLate,
    /// More than the price.
    Over,
    /// After the window, and accepted.
    LateAccepted,
    /// After the window, and not accepted.
    LateRefused,
    /// Paid again after it was enough.
    Second,
    /// Another token than agreed.
    WrongAsset,
    /// Gone from the chain.
    Reverted,
    /// To an address of ours that no order owns: never an order's reason, and in the table all the same.
    Unattributed,
}

/// One row of the table.
pub struct Words {
    pub reason: Reason,
    /// For programs.
    pub code: &'static str,
    pub for_payer: &'static str,
    pub for_operator: &'static str,
}

/// The table.
pub static WORDS: [Words; 11] = [
    Words {
        reason: Reason::Tolerance,
        code: "tolerance",
        for_payer: "You sent a trifle less than the price. It was taken as paid in full.",
        for_operator: "The payer sent less than the price, within the tolerance; the house bears the difference.",
    },
    Words {
        reason: Reason::Trifle,
        code: "trifle",
        for_payer: "You sent a trifle more than the price. Differences of up to half a dollar are kept.",
        for_operator: "The payer sent up to half a dollar more than the price; it is kept and booked as a difference.",
    },
    Words {
        reason: Reason::Short,
        code: "short",
        for_payer: "You sent less than the price. Send the rest to the same address, on the same network, in time.",
        for_operator: "The payer sent less than the price; the rest can be sent to the same address in time.",
    },
    Words {
        reason: Reason::ShortTooLate,
        code: "short_expired",
        for_payer: "You sent less than the price, and the time to pay is over. What you sent is yours: claim it back, or \
            place a new order.",
        for_operator: "The payer sent less than the price and the window is over; what came is owed back.",
    },
    Words {
        reason: Reason::Over,
        code: "over",
        for_payer: "You sent more than the price. You get what you ordered, and you can claim what you sent too much.",
        for_operator: "The payer sent more than the price; more than half a dollar of it is owed back.",
    },
    Words {
        reason: Reason::LateAccepted,
        code: "late_accepted",
        for_payer: "Your payment came after the time to pay was over. It was accepted all the same.",
        for_operator: "Money came in a block after the window; it was soon, the rate had hardly moved, and it settled the order.",
    },
    Words {
        reason: Reason::LateRefused,
        code: "late",
        for_payer: "Your payment came after the time to pay was over, and the price is not held any more. What you sent \
            is yours: claim it back, and place a new order if you like.",
        for_operator: "Money came in a block after the window; it settles only soon and at nearly the same rate.",
    },
    Words {
        reason: Reason::Second,
        code: "second",
        for_payer: "You paid a second time. That money is yours: claim it back.",
        for_operator: "The payer paid a second time; that money is owed back.",
    },
    Words {
        reason: Reason::WrongAsset,
        code: "wrong_asset",
        for_payer: "Another token than agreed came in. It does not pay the order; write to the shop to get it back.",
        for_operator: "Another token than agreed came in; it does not count and waits in the claim queue.",
    },
    Words {
        reason: Reason::Reverted,
        code: "reverted",
        for_payer: "A payment vanished from the network before it was final. Look in your wallet whether you still have \
            the money; if so, send it again.",
        for_operator: "A payment vanished from the chain in a reorganisation.",
    },
    Words {
        reason: Reason::Unattributed,
        code: "unattributed",
        for_payer: "Money came that belongs to no order. Write to the shop with the transaction.",
        for_operator: "Money came to an address of ours that no order owns; find out whose it is and assign it to an order.",
    },
];

impl Reason {
    /// Its row of the table.
    pub fn words(self) -> &'static Words {
        WORDS.iter().find(|words| words.reason == self).expect("every reason has a row")
    }
}

/// Everything that is unusual about an order's payment, in the order of the table.
pub fn of(order: &Order) -> Vec<Reason> {
    let payment = &order.payment;
    let settled = payment.settled_at.is_some();
    let is_over = payment.expired_at.is_some() || order.canceled_at.is_some() || payment.closed;
    let mut reasons = Vec::new();
    if settled && order.difference_units > 0 {
        reasons.push(Reason::Tolerance);
    }
    let is_trifle = settled && order.difference_units < 0;
    if is_trifle {
        reasons.push(Reason::Trifle);
    }
    for reason in payment.reasons(&order.terms()) {
        reasons.push(match reason {
            PaymentReason::Short if is_over && !settled => Reason::ShortTooLate,
            PaymentReason::Short => Reason::Short,
            // What was above the price when it was settled was kept, and nothing came since.
            PaymentReason::Over if is_trifle && order.excess_units() == 0 && !order.has_refunds() => continue,
            // It bought nothing, so that nothing of it was too much: all of it is owed back.
            PaymentReason::Over if !settled => continue,
            PaymentReason::Over => Reason::Over,
            PaymentReason::Late if settled => Reason::LateAccepted,
            // It is weighed once it is confirmed.
            PaymentReason::Late if !payment.closed && payment.awaits_confirmation(&order.quote.asset, Time(i64::MAX)) => continue,
            PaymentReason::Late => Reason::LateRefused,
            PaymentReason::Second => Reason::Second,
            PaymentReason::WrongAsset => Reason::WrongAsset,
            PaymentReason::Reverted => Reason::Reverted,
        });
    }
    reasons.sort_unstable();
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_its_own_row_and_its_own_words() {
        let codes: BTreeSet<&str> = WORDS.iter().map(|words| words.code).collect();
        assert_eq!(codes.len(), WORDS.len());
        for words in &WORDS {
            assert_eq!(words.reason.words().code, words.code);
            assert_ne!(words.for_payer, words.for_operator, "{}", words.code);
            // Nobody but the payer knows how the house counts.
            assert!(!words.for_payer.contains("house") && words.for_payer.ends_with('.'), "{}", words.code);
        }
    }
}
