//! An order that pays out coins instead of goods: its payout, and what its payer says.

use super::{Order, Slot, Step, What};
use crate::event::{Count, Event};
use crate::payout::{Payout, PayoutStep};
use crate::route::{PartnerDay, Referred, Trade};
use crate::time::Time;

impl Order {
    /// What is agreed, if it is an exchange order.
    pub fn trade(&self) -> Option<&Trade> {
        self.quote.trade.as_deref()
    }

    /// Whether no network is watched for its payment: an operator says what came.
    pub fn is_paid_by_hand(&self) -> bool {
        self.trade().is_some_and(|trade| trade.from.is_manual())
    }

    /// Its payer says that he has paid, and only an operator can know.
    pub fn is_claimed_by_hand(&self) -> bool {
        self.claimed_at.is_some() && self.is_paid_by_hand()
    }

    /// Whether the payer got his money back instead of an exchange.
    pub fn is_returned(&self) -> bool {
        matches!(self.payout, Some(Payout::Returned { .. }))
    }

    /// What it adds to the figures of the partner who brought it; nobody brings his own orders. A reward is earned while the
    /// order is paid out and its payer's money is there, and by one that is given back never.
    pub fn referred(&self) -> Option<(PartnerDay, Referred)> {
        let (trade, payout) = (self.trade()?, self.payout.as_ref()?);
        let partner =
            self.origin.referrer.as_ref().filter(|account| self.origin.customer.as_ref() != Some(*account))?;
        let mut referred = Referred { placed: 1, ..Referred::default() };
        let reward = trade.reward_usd().units;
        if self.payment.settled_at.is_some() && !self.is_short_again() {
            match payout {
                Payout::Done { .. } => {
                    referred.done = 1;
                    referred.exchanged_usd_units = trade.received_usd().units;
                    referred.earned_usd_units = reward;
                }
                Payout::Planned { .. } | Payout::Sent { .. } | Payout::Asking { .. } | Payout::Failed { .. } => {
                    referred.waiting_usd_units = reward;
                }
                Payout::Returned { .. } => {}
            }
        }
        Some((PartnerDay { partner: partner.clone(), day: self.placed_at.day() }, referred))
    }

    /// What a count stands at as `used`, once the order is paid.
    pub fn used_of(&self, count: &Count) -> i64 {
        let paid = self.payment.settled_at.is_some();
        // What was given back is there to be paid out again.
        if paid && count.kept && !self.is_returned() { count.amount } else { 0 }
    }

    pub(super) fn apply_to_trade(&mut self, event: &Event, at: Time) {
        assert!(self.payout.is_some(), "{} is an event of an exchange order", event.kind());
        match event {
            Event::Accepted => {
                assert!(self.accepted_at.is_none(), "an order is accepted once");
                self.accepted_at = Some(at);
            }
            Event::CountsReleased => {
                assert!(self.payment.settled_at.is_none(), "a paid order keeps its counts");
                self.counts_are_held = false;
            }
            Event::CreditReturned { units, .. } => self.credit_units -= units,
            Event::Owned { customer } => {
                assert!(self.origin.customer.is_none(), "an order has one owner");
                self.origin.customer = Some(customer.clone());
            }
            Event::PaymentClaimed => {
                assert!(self.claimed_at.is_none(), "a payment is claimed once");
                self.claimed_at = Some(at);
            }
            Event::Repriced { rate, receive_units } => {
                let trade = self.quote.trade.as_deref_mut().expect("an exchange order has a trade");
                trade.rate = *rate;
                trade.to.units = *receive_units;
                let reserve = self.counts.iter_mut().find(|count| count.key.rule == "reserve");
                reserve.expect("an exchange order counts on a reserve").amount = *receive_units;
            }
            Event::Returned { proof, unsold_units, difference_units, returned_units } => {
                assert!(self.payout.as_ref().is_some_and(|payout| !payout.is_over()), "what is over is not returned");
                self.credit_units += unsold_units - difference_units - returned_units;
                self.payout = Some(Payout::Returned { at, proof: proof.clone() });
            }
            other => self.payout = Some(self.next_payout(other, at)),
        }
    }

    fn next_payout(&self, event: &Event, at: Time) -> Payout {
        assert!(self.payment.settled_at.is_some(), "coins only for settled money");
        let payout = self.payout.as_ref().expect("it is an exchange order");
        let step = match event {
            Event::PayoutSent { attempt, reference, deadline } => {
                PayoutStep::Sent { attempt: *attempt, reference: reference.clone(), deadline: *deadline }
            }
            Event::PayoutAsking { unknown, next_lookup } => {
                PayoutStep::Asking { unknown: *unknown, next_lookup: *next_lookup }
            }
            Event::PayoutNeverArrived => PayoutStep::NeverArrived,
            Event::PayoutFailed { reason } => PayoutStep::Failed { reason: reason.clone() },
            Event::PayoutRetried => PayoutStep::Retried,
            Event::PayoutDone { proof } => PayoutStep::Done { proof: proof.clone() },
            other => panic!("{} is not an event of a payout", other.kind()),
        };
        payout.after(&step, at)
    }

    /// The payout's next step; one by hand has none, and neither has a stopped order, except to look up what is out.
    pub(super) fn payout_step(&self) -> Option<Step> {
        let (trade, payout) = (self.trade()?, self.payout.as_ref()?);
        let network = || trade.to.network.clone();
        let (what, due_at) = match payout {
            Payout::Planned { .. } if !trade.auto_payout || self.is_stopped() => return None,
            Payout::Planned { .. } => (What::PayOut(network()), self.payment.settled_at?),
            Payout::Sent { deadline, .. } => (What::FindPayout(network()), *deadline),
            Payout::Asking { next_lookup, .. } => (What::FindPayout(network()), *next_lookup),
            Payout::Done { .. } | Payout::Failed { .. } | Payout::Returned { .. } => return None,
        };
        Some(Step { slot: Slot::Payout, what, due_at })
    }
}
