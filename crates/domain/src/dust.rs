//! Which transfers to an order's address are the order's.
//!
//! Anybody may send to an address, and a transfer of one unit costs next to nothing. An order that took all of them would
//! grow without end, and each decision about it with it. So what is too small to be part of a payment, and what comes after
//! very many others, is kept as a fact that belongs to no order: a person finds it in the claim queue. Whatever completes
//! a payment is taken, however small it is and however much came before; small transfers never keep a large one away. What
//! the books do not hold of another asset is no order's: the audit finds on orders what is booked, and nothing else.

use crate::ids::AssetId;
use crate::order::Order;
use crate::postings::MOST_OF_ANOTHER;
use crate::terms;
use std::collections::BTreeMap;

/// So many small transfers of its own asset an order takes, beside one that completes its payment.
pub const MOST_OWN: usize = 100;

/// So many of its own asset that are worth half a dollar or more at its rate: whoever sends them pays for them.
pub const MOST_LARGE: usize = 1_000;

/// So many of other assets, which never count for it; and each that is twice as large as all of that asset before, of which
/// there are at most 47 up to [`MOST_OF_ANOTHER`].
pub const MOST_OTHER: usize = 10;

/// What an order has taken so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    small: usize,
    large: usize,
    other: usize,
    /// The largest of each other asset.
    largest: BTreeMap<AssetId, i64>,
    /// What of its own asset is on the chain, confirmed or not.
    units: i64,
}

impl Taken {
    /// Notes a transfer that the order has; `is_live` unless it vanished from its chain.
    pub fn note(&mut self, order: &Order, asset: &AssetId, units: i64, is_live: bool) {
        if *asset != order.quote.asset {
            self.other += 1;
            let largest = self.largest.entry(asset.clone()).or_default();
            *largest = units.max(*largest);
            return;
        }
        if is_large(order, units) {
            self.large += 1;
        } else {
            self.small += 1;
        }
        self.units = self.units.saturating_add(if is_live { units } else { 0 });
    }

    /// Whether the order takes one more.
    pub fn takes(&self, order: &Order, asset: &AssetId, units: i64) -> bool {
        if *asset != order.quote.asset {
            let largest = self.largest.get(asset).copied().unwrap_or(0);
            let is_news = self.other < MOST_OTHER || units >= largest.saturating_mul(2).max(1);
            return is_news && units <= MOST_OF_ANOTHER;
        }
        let missing = order.needed_units().saturating_sub(self.units);
        let completes = missing > 0 && units >= missing;
        let has_room = match is_large(order, units) {
            true => self.large < MOST_LARGE,
            false => self.small < MOST_OWN && units >= least_units(order),
        };
        completes || has_room
    }
}

/// Worth half a dollar or more. Where the order's rate is not known nothing is.
fn is_large(order: &Order, units: i64) -> bool {
    let half_a_dollar = terms::half_a_dollar(&order.quote);
    half_a_dollar > 0 && units >= half_a_dollar
}

/// The least that is part of a payment: a cent at the rate of the order, or a two-hundredth of a price below two dollars.
/// Where that rate is not known, any amount.
pub fn least_units(order: &Order) -> i64 {
    let cent = terms::half_a_dollar(&order.quote) / 50;
    cent.min(order.quote.due_units / 200).max(0)
}
