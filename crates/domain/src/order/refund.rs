//! What an order owes its payer, what of it is on its way back, and the steps of that.

use super::{Order, Slot, Step, What};
use crate::asset::Rails;
use crate::fulfil::Line;
use crate::ids::AssetId;
use crate::ledger::network_of;
use crate::money::units_to_text;
use crate::payment::{Received, TransferStatus};
use crate::payout::Payout;
use crate::postings;
use crate::refund::{Cause, Destination, Refund, RefundStep, Stage};
use crate::terms;
use crate::time::Time;

impl Order {
    /// The refund of that number.
    pub fn refund(&self, refund: u32) -> Option<&Refund> {
        self.refunds.get(refund as usize)
    }

    /// What the ledger owes the payer in that asset: the balance of the order's own account.
    pub fn owed_units(&self, asset: &AssetId) -> i64 {
        if *asset == self.quote.asset {
            return self.credit_units;
        }
        // Another token than agreed is never sold for anything, and what the books do not have is not owed by them.
        let back = self.refunds.iter().filter(|refund| refund.asset == *asset && refund.is_final());
        let is_counted = |received: &&Received| {
            received.asset == *asset
                && received.status == TransferStatus::Confirmed
                && postings::is_booked(self, asset, received.units)
        };
        let came: i64 = self.payment.received.iter().filter(is_counted).map(|received| received.units).sum();
        came - back.map(|refund| refund.units).sum::<i64>()
    }

    /// What of it no refund holds yet; never below 0.
    pub fn refundable_units(&self, asset: &AssetId) -> i64 {
        (self.owed_units(asset) - self.held_units(asset)).max(0)
    }

    /// What open refunds hold.
    fn held_units(&self, asset: &AssetId) -> i64 {
        let held = self.refunds.iter().filter(|refund| refund.asset == *asset && refund.is_open());
        held.map(|refund| refund.units).sum()
    }

    /// What of it may have left: somebody was told to pay it, and what became of that is not known yet.
    pub fn on_its_way_back(&self, asset: &AssetId) -> i64 {
        let is_out = |refund: &&Refund| refund.payout().is_some_and(|payout| payout.outstanding().is_some());
        self.refunds.iter().filter(|refund| refund.asset == *asset).filter(is_out).map(|refund| refund.units).sum()
    }

    /// More of its own asset went back, was sold or is held by refunds than came: money of it has vanished.
    pub fn is_overdrawn(&self) -> bool {
        self.credit_units < self.held_units(&self.quote.asset)
    }

    /// Of what is refundable, what came above the price; of an order that was not settled nothing did.
    pub fn excess_units(&self) -> i64 {
        if self.payment.settled_at.is_none() {
            return 0;
        }
        let asset = &self.quote.asset;
        let kept = self.quote.due_units - self.difference_units;
        let of_excess = |refund: &&Refund| refund.cause == Cause::Excess && refund.counts() && refund.asset == *asset;
        let before: i64 = self.refunds.iter().filter(of_excess).map(|refund| refund.units).sum();
        (self.payment.confirmed(asset) - kept - before).min(self.refundable_units(asset)).max(0)
    }

    /// What a line that was not delivered is owed back: its price, less its part of what the payer left out within the
    /// tolerance. `(refund, difference)`, in units.
    pub fn refund_of_line(&self, line: u32) -> Option<(i64, i64)> {
        let price = self.quote.lines.get(line as usize)?.coin_units;
        let part = i128::from(self.difference_units) * i128::from(price) / i128::from(self.quote.due_units.max(1));
        let difference_units = i64::try_from(part).unwrap_or(0);
        Some((price - difference_units, difference_units))
    }

    /// Whether money may go back now, or why not. Money that may still pay the order stays with it.
    pub fn may_give_back(&self) -> Result<(), &'static str> {
        if self.is_stopped() {
            return Err("the order is on hold; end the hold first");
        }
        if self.payment.settled_at.is_some() {
            return Ok(());
        }
        if self.payment.expired_at.is_none() && self.canceled_at.is_none() && !self.payment.closed {
            return Err("the order can still be paid; money goes back once its window is over");
        }
        // Once it is closed nothing of that pays it; and another token never does, whoever keeps sending it.
        let may_pay =
            |received: &Received| received.status == TransferStatus::Seen && received.asset == self.quote.asset;
        if !self.payment.closed && self.payment.received.iter().any(may_pay) {
            return Err("a payment is not confirmed yet; wait for it");
        }
        Ok(())
    }

    /// What the payer may claim by himself: all that is owed and not held, if it is more than a trifle. A trifle stays on
    /// the order's account, where an operator can give it back.
    pub fn offered_units(&self) -> i64 {
        if self.is_paid_by_hand() || self.may_give_back().is_err() {
            return 0;
        }
        let left = self.refundable_units(&self.quote.asset);
        if left > terms::half_a_dollar(&self.quote) { left } else { 0 }
    }

    /// Whether its payer got back all that was owed to him, and something was.
    pub fn is_given_back(&self) -> bool {
        let refunds = &self.refunds;
        refunds.iter().any(Refund::is_final) && !refunds.iter().any(Refund::is_open) && self.credit_units <= 0
    }

    /// Whether its money goes back, or went: then it settles nothing any more.
    pub fn has_refunds(&self) -> bool {
        self.refunds.iter().any(Refund::counts)
    }

    /// An amount of one of its assets as people read it.
    pub fn amount_text(&self, asset: &AssetId, units: i64, rails: &Rails) -> String {
        let quote = &self.quote;
        if *asset == quote.asset {
            return format!("{} {}", units_to_text(units, quote.scale, quote.quoted_decimals), quote.coin);
        }
        match rails.asset(asset) {
            Some((_, asset)) => format!("{} {}", units_to_text(units, asset.scale(), 2), asset.coin),
            None => format!("{units} units of {asset}"),
        }
    }

    /// Whether that line was refused.
    pub fn is_refused(&self, line: u32) -> bool {
        matches!(self.line(line), Some(Line::Refused { .. }))
    }

    pub(super) fn apply_to_refund(&mut self, number: u32, step: &RefundStep, at: Time) {
        let at_number = number as usize;
        if let Some(asked) = Refund::asked(step, at) {
            assert!(at_number == self.refunds.len(), "refunds are numbered in the order in which they are asked for");
            assert!(asked.units > asked.fee_units && asked.fee_units >= 0, "a refund gives something back");
            self.refunds.push(asked);
            return;
        }
        let refund = self.refunds.get_mut(at_number).expect("events name refunds of the order");
        *refund = refund.after(step, at);
        let (is_own, units) = (refund.asset == self.quote.asset, refund.units);
        if refund.is_final() && is_own {
            self.credit_units -= units;
        }
    }

    /// A refund's next step; one by hand has none, and neither has a stopped order, except to look up what is out.
    pub(super) fn refund_step(&self, number: u32, refund: &Refund) -> Option<Step> {
        let Stage::Paying { payout } = &refund.stage else { return None };
        let network = || network_of(&refund.asset);
        let (what, due_at) = match payout {
            Payout::Planned { .. } if self.is_stopped() || refund.destination == Destination::ByHand => return None,
            Payout::Planned { .. } => (What::PayRefund(network()), refund.since),
            Payout::Sent { deadline, .. } => (What::FindRefund(network()), *deadline),
            Payout::Asking { next_lookup, .. } => (What::FindRefund(network()), *next_lookup),
            Payout::Done { .. } | Payout::Failed { .. } | Payout::Returned { .. } => return None,
        };
        Some(Step { slot: Slot::Refund(number), what, due_at })
    }
}
