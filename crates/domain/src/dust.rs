//! Which transfers to an order's address are the order's.
//!
//! Anybody may send to an address, and a transfer of one unit costs next to nothing. An order that took all of them would
//! grow without end, and each decision about it with it. So what is too small to be part of a payment, and what comes after
//! very many others, is kept as a fact that belongs to no order: a person finds it in the claim queue. Whatever completes
//! a payment is taken, however small it is and however much came before.

use crate::ids::AssetId;
use crate::order::Order;
use crate::terms;

/// So many transfers of its own asset an order takes, beside one that completes its payment.
pub const MOST_OWN: usize = 100;

/// So many of other assets, which never count for it and which anybody may be able to mint.
pub const MOST_OTHER: usize = 10;

/// What an order has taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    own: usize,
    other: usize,
    /// What of its own asset is on the chain, confirmed or not.
    units: i64,
}

impl Taken {
    /// Notes a transfer that the order has; `is_live` unless it vanished from its chain.
    pub fn note(&mut self, order: &Order, asset: &AssetId, units: i64, is_live: bool) {
        if *asset != order.quote.asset {
            self.other += 1;
            return;
        }
        self.own += 1;
        self.units = self.units.saturating_add(if is_live { units } else { 0 });
    }

    /// Whether the order takes one more.
    pub fn takes(&self, order: &Order, asset: &AssetId, units: i64) -> bool {
        if *asset != order.quote.asset {
            return self.other < MOST_OTHER;
        }
        let missing = order.needed_units().saturating_sub(self.units);
        let completes = missing > 0 && units >= missing;
        completes || self.own < MOST_OWN && units >= least_units(order)
    }
}

/// The least that is part of a payment: a cent at the rate of the order, or a two-hundredth of a price below two dollars.
/// Where that rate is not known, any amount.
pub fn least_units(order: &Order) -> i64 {
    let cent = terms::half_a_dollar(&order.quote) / 50;
    cent.min(order.quote.due_units / 200).max(0)
}
