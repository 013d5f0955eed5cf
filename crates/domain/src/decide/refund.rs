//! Decisions about money back: what may be asked for, who must agree, and what becomes of the call.

use super::command::{Claim, Refusal};
use super::{Draft, WIRE_LIMIT};
use crate::event::Event;
use crate::fulfil::Patience;
use crate::ids::AssetId;
use crate::payout::{Payout, PayoutReport};
use crate::refund::{
    self, Cause, Destination, MOST_REFUNDS, PAYER, Refund, RefundAction, RefundPolicy, RefundStep, RefundTo,
    RefundWish, Share, Stage,
};
use crate::terms;
use crate::time::Time;

impl Draft {
    pub(super) fn refund(&mut self, number: u32, action: &RefundAction) -> Result<(), Refusal> {
        match action {
            RefundAction::Ask(wish) => self.ask_refund(number, wish),
            RefundAction::Claim { attempt, sealed, policy } => self.claim_refund(number, *attempt, sealed, *policy),
            RefundAction::Approve { by, attempt } => self.approve_refund(number, by, *attempt),
            RefundAction::Reject { by, note } => {
                self.refund_at_rest(number)?;
                self.step(number, RefundStep::Rejected { by: by.clone(), note: note.clone() });
                Ok(())
            }
            RefundAction::Reopen { by } => self.reopen_refund(number, by),
            RefundAction::Retry { by } => {
                if !matches!(self.known(number)?.payout(), Some(Payout::Failed { .. })) {
                    return Err(Refusal::Conflict("only a refund that failed is tried again"));
                }
                self.step(number, RefundStep::Retried { by: by.clone() });
                Ok(())
            }
            RefundAction::MarkPaid { by, proof } => self.mark_refund_paid(number, by, proof),
            RefundAction::Begin { attempt, patience } => self.begin_refund(number, *attempt, patience),
            RefundAction::Report { sent_at, report, patience } => {
                self.report_refund(number, *sent_at, report, patience)
            }
            RefundAction::Impossible { reason } => {
                if !matches!(self.known(number)?.payout(), Some(Payout::Planned { .. })) {
                    return Err(Refusal::AlreadyDone("the refund has moved on"));
                }
                self.step(number, RefundStep::Failed { reason: reason.clone() });
                Ok(())
            }
        }
    }

    fn step(&mut self, refund: u32, step: RefundStep) {
        self.event(Event::Refund { refund, step });
    }

    fn known(&self, number: u32) -> Result<&Refund, Refusal> {
        self.order.refund(number).ok_or(Refusal::Conflict("the order has no refund of that number"))
    }

    /// The refund, if nobody may be paying it.
    fn refund_at_rest(&self, number: u32) -> Result<&Refund, Refusal> {
        let refund = self.known(number)?;
        if !refund.is_open() {
            return Err(Refusal::AlreadyDone("the refund is over"));
        }
        if !refund::is_at_rest(&refund.stage) {
            return Err(Refusal::Conflict("the refund is on its way; what becomes of it must be known first"));
        }
        Ok(refund)
    }

    fn ask_refund(&mut self, number: u32, wish: &RefundWish) -> Result<(), Refusal> {
        if number as usize != self.order.refunds.len() {
            return Err(Refusal::Conflict("the order's refunds have changed since you looked; look again"));
        }
        let asset = wish.asset.clone().unwrap_or_else(|| self.order.quote.asset.clone());
        let (units, cause) = self.share_of(&asset, wish.share)?;
        if wish.fee_units < 0 || wish.fee_units >= units {
            return Err(Refusal::Conflict("a fee is less than what goes back, and not below 0"));
        }
        let destination = match &wish.to {
            RefundTo::Address { destination, .. } => *destination,
            RefundTo::Claim => Destination::Claim,
            RefundTo::ByHand => Destination::ByHand,
        };
        let asked = Asked { asset, units, fee_units: wish.fee_units, cause, destination };
        self.put_refund(number, asked, &wish.by, wish.policy)?;
        if let RefundTo::Address { sealed, .. } = &wish.to {
            self.claim(Claim::RefundAddress { refund: number, sealed: sealed.clone() });
        }
        Ok(())
    }

    /// How much that is, and of what.
    fn share_of(&self, asset: &AssetId, share: Share) -> Result<(i64, Cause), Refusal> {
        let order = &self.order;
        let left = order.refundable_units(asset);
        let (units, cause) = match share {
            Share::Whole if !order.lines.iter().all(|line| line.is_ended()) && order.payment.settled_at.is_some() => {
                return Err(Refusal::Conflict(
                    "a line is still to be delivered; decide about it first, or name an amount",
                ));
            }
            Share::Whole => (left, Cause::Whole),
            Share::Part(units) => (units, Cause::Part),
            Share::Excess => (order.excess_units(), Cause::Excess),
            Share::Line(line) => {
                if !order.is_refused(line) {
                    return Err(Refusal::Conflict("only a line that was given up is owed back"));
                }
                if order.refunds.iter().any(|refund| refund.counts() && refund.cause == Cause::Line(line)) {
                    return Err(Refusal::AlreadyDone("that line has a refund"));
                }
                (order.refund_of_line(line).map_or(0, |(units, _)| units), Cause::Line(line))
            }
        };
        if matches!(share, Share::Excess | Share::Line(_)) && *asset != order.quote.asset {
            return Err(Refusal::Conflict("of another token all or an amount goes back"));
        }
        if left == 0 || units <= 0 {
            return Err(Refusal::Conflict("the order owes its payer nothing of that which is not on its way already"));
        }
        if units > left {
            return Err(Refusal::Conflict("that is more than the order owes its payer and has not begun to give back"));
        }
        Ok((units, cause))
    }

    /// From here on the money belongs to the refund: it settles nothing any more.
    fn put_refund(&mut self, number: u32, asked: Asked, by: &str, policy: RefundPolicy) -> Result<(), Refusal> {
        self.order.may_give_back().map_err(Refusal::Conflict)?;
        if self.order.refunds.len() >= MOST_REFUNDS {
            return Err(Refusal::Conflict("the order has had too many refunds; give the rest back by hand"));
        }
        if self.order.payment.settled_at.is_none() && !self.order.payment.closed {
            self.event(Event::LateWindowClosed);
        }
        let needs_approval = self.needs_approval(&asked, policy);
        let Asked { asset, units, fee_units, cause, destination } = asked;
        let by = by.to_owned();
        self.step(number, RefundStep::Asked { asset, units, fee_units, cause, destination, by, needs_approval });
        Ok(())
    }

    /// Refunds of an order are counted together: a large one cannot be split into small ones. What has no price in dollars
    /// is never small.
    fn needs_approval(&self, asked: &Asked, policy: RefundPolicy) -> bool {
        let quote = &self.order.quote;
        if asked.asset != quote.asset {
            return true;
        }
        let others = self.order.refunds.iter().filter(|refund| refund.counts() && refund.asset == asked.asset);
        let together = others.map(|refund| refund.units).fold(asked.units, i64::saturating_add);
        terms::usd_value(quote, together).is_none_or(|usd| usd > policy.four_eyes_above_usd)
    }

    /// The payer says where to: for a refund that waits for him, or for what is offered to him.
    fn claim_refund(&mut self, number: u32, linked: u32, sealed: &str, policy: RefundPolicy) -> Result<(), Refusal> {
        match self.order.refund(number).map(|refund| &refund.stage) {
            Some(Stage::ClaimOpen { attempt }) if *attempt == linked => {}
            Some(Stage::ClaimOpen { .. }) => return Err(Refusal::Conflict("that link is no longer valid")),
            Some(_) => return Err(Refusal::AlreadyDone("the address is known already")),
            None if number as usize == self.order.refunds.len() => {
                let units = self.order.offered_units();
                if units == 0 {
                    return Err(Refusal::Conflict("there is nothing to claim now"));
                }
                let asset = self.order.quote.asset.clone();
                let (cause, destination) = (Cause::Whole, Destination::Claim);
                self.put_refund(number, Asked { asset, units, fee_units: 0, cause, destination }, PAYER, policy)?;
            }
            None => return Err(Refusal::Conflict("the order has no refund of that number")),
        }
        self.claim(Claim::RefundAddress { refund: number, sealed: sealed.to_owned() });
        self.step(number, RefundStep::Addressed);
        Ok(())
    }

    fn approve_refund(&mut self, number: u32, by: &str, looked_at: u32) -> Result<(), Refusal> {
        let refund = self.known(number)?;
        match &refund.stage {
            Stage::Due { attempt } if *attempt == looked_at => {}
            Stage::Due { .. } => {
                return Err(Refusal::Conflict(
                    "that is not the refund's attempt now, and its address may be another; look at it again with \
                     `kiosk refund show`, and approve the attempt that it says",
                ));
            }
            Stage::ClaimOpen { .. } => {
                return Err(Refusal::Conflict("the payer has not said where to; it is approved once that is known"));
            }
            Stage::Paying { .. } => return Err(Refusal::AlreadyDone("the refund is approved")),
            Stage::Rejected { .. } => return Err(Refusal::AlreadyDone("the refund was rejected")),
        }
        if is_same_name(by, &refund.asked_by) || is_same_name(by, PAYER) {
            return Err(Refusal::Conflict("whoever asked for a refund cannot approve it; another person has to"));
        }
        self.step(number, RefundStep::Approved { by: by.to_owned() });
        Ok(())
    }

    fn reopen_refund(&mut self, number: u32, by: &str) -> Result<(), Refusal> {
        let refund = self.refund_at_rest(number)?;
        if matches!(refund.stage, Stage::ClaimOpen { .. }) {
            return Err(Refusal::AlreadyDone("the payer can enter an address"));
        }
        self.step(number, RefundStep::Reopened { by: by.to_owned() });
        Ok(())
    }

    /// An operator paid it, or found that it was paid: his word ends whatever nobody knows. Not while a call may be on the
    /// wire, and not before those have agreed who must.
    fn mark_refund_paid(&mut self, number: u32, by: &str, proof: &str) -> Result<(), Refusal> {
        match &self.known(number)?.stage {
            Stage::ClaimOpen { .. } => Err(Refusal::Conflict(
                "it waits for the payer's address; reject it and ask for one that is paid by hand",
            )),
            Stage::Due { .. } => Err(Refusal::Conflict("another person has to approve it first")),
            Stage::Rejected { .. } => Err(Refusal::AlreadyDone("the refund was rejected")),
            Stage::Paying { payout: Payout::Sent { .. } } => {
                Err(Refusal::Conflict("it is being paid this moment; wait for the answer"))
            }
            Stage::Paying { payout } if payout.is_over() => Err(Refusal::AlreadyDone("the payer has it")),
            Stage::Paying { .. } => {
                self.step(number, RefundStep::Final { proof: proof.to_owned(), by: Some(by.to_owned()) });
                Ok(())
            }
        }
    }

    fn begin_refund(&mut self, number: u32, attempt: u32, patience: &Patience) -> Result<(), Refusal> {
        let refund = self.known(number)?;
        if refund.payout() != Some(&Payout::Planned { attempt }) {
            return Err(Refusal::AlreadyDone("the refund has moved on"));
        }
        if refund.destination == Destination::ByHand {
            return Err(Refusal::Conflict("it is paid by hand"));
        }
        if self.order.is_stopped() {
            return Err(Refusal::Conflict("the order is on hold"));
        }
        // Money may have vanished from its chain since it was asked for, and what another refund may be paying this moment
        // is not there for this one.
        if self.order.owed_units(&refund.asset) - self.order.on_its_way_back(&refund.asset) < refund.units {
            let reason = "the order does not owe that much any more: money of it has vanished".to_owned();
            self.step(number, RefundStep::Failed { reason });
            return Ok(());
        }
        let reference = refund::reference(self.order.no, number, attempt);
        // The call may begin as late as the wire's limit allows, and takes its own time from then on.
        let deadline = self.now + WIRE_LIMIT + patience.call_timeout + patience.settle;
        self.step(number, RefundStep::Sent { attempt, reference, deadline });
        Ok(())
    }

    fn report_refund(
        &mut self,
        number: u32,
        call: Time,
        report: &PayoutReport,
        patience: &Patience,
    ) -> Result<(), Refusal> {
        match self.known(number)?.payout() {
            Some(Payout::Sent { sent_at, .. } | Payout::Asking { sent_at, .. }) if *sent_at == call => {}
            _ => return Err(Refusal::AlreadyDone("the refund has moved on")),
        }
        let asking =
            |unknown| RefundStep::Asking { unknown, next_lookup: patience.next_lookup(unknown, call, self.now) };
        let step = match report {
            PayoutReport::Done { proof } => RefundStep::Final { proof: proof.clone(), by: None },
            PayoutReport::Refused(reason) => RefundStep::Failed { reason: reason.clone() },
            PayoutReport::NeverArrived => RefundStep::NeverArrived,
            PayoutReport::Pending => asking(false),
            PayoutReport::Unknown(_) => asking(true),
        };
        self.step(number, step);
        Ok(())
    }
}

/// Whether two names are one person's: letters of another case and spaces around them make nobody another person.
fn is_same_name(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// What is put down of a new refund.
struct Asked {
    asset: AssetId,
    units: i64,
    fee_units: i64,
    cause: Cause,
    destination: Destination,
}

#[cfg(test)]
mod tests;
