//! What must hold of money that goes back: nobody gets it twice, or more of it than he is owed, or at another address.

use super::{Broken, Mirror};
use crate::office::PAYERS;
use crate::outside::{Paid, World};
use domain::event::Event;
use domain::ids::OrderId;
use domain::ledger::network_of;
use domain::order::Order;
use domain::payout::Payout;
use domain::refund::RefundStep;
use std::collections::{BTreeMap, BTreeSet};

/// What the mirror keeps of refunds beside the orders themselves.
#[derive(Default)]
pub struct Kept {
    /// What went back, in units of each order's own asset.
    given_back: BTreeMap<OrderId, i64>,
    /// Where a refund, by its order's number and its own, may go to; in small letters.
    pub addresses: BTreeMap<(i64, u32), BTreeSet<String>>,
}

impl Kept {
    /// What is still known of a shop that was put back.
    pub fn begin_again(self) -> Kept {
        Kept { addresses: self.addresses, ..Kept::default() }
    }

    /// What went back to an order's payer.
    pub fn given_back(&self, order: OrderId) -> i64 {
        self.given_back.get(&order).copied().unwrap_or(0)
    }

    /// Takes note of an event, given the order as it is after it.
    pub fn note(&mut self, order: &Order, event: &Event) -> Result<(), Broken> {
        let Event::Refund { refund: number, step } = event else { return Ok(()) };
        let Some(refund) = order.refund(*number) else { return Err(format!("order {} lost a refund", order.no)) };
        match step {
            RefundStep::Asked { .. } => {
                let open = order.refunds.iter().filter(|refund| refund.is_open() && refund.asset == order.quote.asset);
                let held: i64 = open.map(|refund| refund.units).sum();
                if held > order.credit_units {
                    let (no, owed) = (order.no, order.credit_units);
                    return Err(format!("order {no} owes {owed}, and {held} are to go back"));
                }
                if order.payment.settled_at.is_none() && !order.payment.closed {
                    return Err(format!("money of order {} goes back that may still pay it", order.no));
                }
            }
            RefundStep::Final { .. } if refund.asset == order.quote.asset => {
                *self.given_back.entry(order.id).or_default() += refund.units;
            }
            RefundStep::Sent { .. } if refund.needs_approval && refund.approved_by.is_none() => {
                return Err(format!("refund {number} of order {} went out without a second person", order.no));
            }
            _ => {}
        }
        Ok(())
    }
}

/// What holds at any moment.
pub fn safety(mirror: &Mirror, world: &World) -> Result<(), Broken> {
    let orders: BTreeMap<i64, &Order> = mirror.orders.values().map(|order| (order.no, order)).collect();
    let by_refund = world.books.paid_by_refund();
    for ((no, number), all) in &by_refund {
        let paid: Vec<&&Paid> = all.iter().filter(|paid| !paid.forgotten).collect();
        let one = match paid[..] {
            [] => continue,
            [one] => one,
            [first, second, ..] => {
                return Err(format!(
                    "refund {number} of order {no} was paid twice, as {} and as {}",
                    first.proof, second.proof
                ));
            }
        };
        let refund = orders.get(no).and_then(|order| order.refund(*number));
        let Some(refund) = refund.filter(|refund| refund.counts()) else {
            return Err(format!("refund {number} of order {no} was paid, and nobody wants it"));
        };
        if (&one.asset, one.units) != (&refund.asset, refund.payable_units()) {
            return Err(format!("refund {number} of order {no} was paid with {} of {}", one.units, one.asset));
        }
        let meant = mirror.refunds.addresses.get(&(*no, *number));
        if !meant.is_some_and(|meant| meant.contains(&one.to.to_lowercase())) {
            return Err(format!("refund {number} of order {no} was paid to somebody else"));
        }
    }
    for order in mirror.orders.values() {
        for (number, refund) in (0..).zip(&order.refunds).filter(|(_, refund)| refund.is_final()) {
            if !by_refund.contains_key(&(order.no, number)) {
                let units = refund.units;
                return Err(format!("refund {number} of order {}, {units}, is final and nobody paid it", order.no));
            }
        }
    }
    Ok(())
}

/// What is approved was paid, once the faults have stopped and everything had time.
pub fn has_gone_out(order: &Order) -> Result<(), Broken> {
    for refund in order.refunds.iter().filter(|_| !order.is_stopped()) {
        let has_payer = PAYERS.contains(&network_of(&refund.asset).as_str());
        if has_payer && matches!(refund.payout(), Some(Payout::Planned { .. } | Payout::Sent { .. })) {
            return Err(format!("a refund of order {} is {} and never went out", order.no, refund.word()));
        }
    }
    Ok(())
}
