//! Decisions about exchange orders: placing, what the payer says, what an operator says, and the payout.

use super::command::{AtRate, Claim, Decision, Facts, Idempotency, PlaceTrade, Refusal};
use super::{Draft, WIRE_LIMIT, unpaid_key};
use crate::event::{Count, Event, HoldReason, Placed, Seen, Settlement};
use crate::fulfil::Patience;
use crate::ids::{CustomerId, Sku, TransferId};
use crate::limits::{Counter, CounterKey, UNPAID};
use crate::money::units_to_text;
use crate::order::Order;
use crate::payment;
use crate::payout::{self, Payout, PayoutReport};
use crate::planted::{self, Bug};
use crate::postings::POLICY;
use crate::refund::Refund;
use crate::route::{self, Commission, Currency, DealRate, Trade, TradeFault};
use crate::time::Time;

/// Rows that deciding an exchange order needs, beside the order's own.
pub fn keys_of_trade(place: &PlaceTrade) -> (Vec<CounterKey>, Vec<Sku>) {
    let exchange = &place.market.exchange;
    let route = place.wanted.route.as_ref().and_then(|id| exchange.route(id));
    let to = route.map(|route| exchange.to_of(route));
    let mut counters: Vec<CounterKey> =
        to.into_iter().flat_map(|to| [to.reserve_key(), visitor_reserve_key(&place.visitor, to)]).collect();
    counters.push(unpaid_key(&place.visitor));
    (counters, Vec::new())
}

/// Decides an exchange order: checks amount and fields, claims the reserve, locks the rate.
pub fn place_trade(facts: &Facts<'_>, command: &PlaceTrade, now: Time) -> Result<Decision, Refusal> {
    if let (Some(_), Some(known)) = (&command.idempotency, facts.replay) {
        return Err(Refusal::Replay(known.order));
    }
    let market = &command.market;
    let mut quote = route::check_trade(&command.wanted, market, facts.shared, now).map_err(Refusal::Trade)?;
    let visitor = unpaid_key(&command.visitor);
    let unpaid = facts.shared.counters.get(&visitor).map_or(0, |counter| counter.held);
    if unpaid >= command.caps.unpaid_products_per_visitor {
        return Err(Refusal::TooManyUnpaid);
    }
    let trade = quote.trade.as_deref_mut().expect("an exchange order has a trade");
    let is_brought = command.origin.referrer.is_some();
    trade.commission = is_brought.then(|| Commission::agreed(&trade.to.xml, market, now));
    let counts = counts_of(facts, command, trade, visitor)?;

    let mut claims = vec![Claim::OrderNumber, Claim::Personal(command.personal.clone())];
    let family = route::family_of_trade(&command.wanted, market);
    let address = match family {
        Some(family) => {
            let address = facts.address.ok_or(Refusal::NoAddress(family))?.to_owned();
            claims.push(Claim::Address { family, address: address.clone() });
            address
        }
        None => route::account_of_trade(&command.wanted, market),
    };
    claims.extend(command.idempotency.clone().map(Claim::Idempotency));
    claims.extend(counts.iter().map(|count| Claim::Count { key: count.key.clone(), held: count.amount, used: 0 }));
    let placed = Placed {
        no: facts.next_no,
        origin: command.origin.clone(),
        address,
        address_family: family,
        expires_at: now + quote.expires_in,
        counts,
        catalogue_id: market.exchange.id.clone(),
        rates_id: market.rates.id.clone(),
        // What is left out would be paid out all the same: nobody is given a coin that he did not pay for.
        tolerance_units: 0,
        late_window: payment::LATE_WINDOW,
        policy: POLICY,
        quote,
    };
    Ok(Decision { events: vec![Event::Placed(Box::new(placed))], claims })
}

/// What the order holds: a part of the reserve, in all and of this visitor, and one of his unpaid orders. Unpaid orders may
/// hold a share of the reserve together, and one visitor half of that.
fn counts_of(
    facts: &Facts<'_>,
    command: &PlaceTrade,
    trade: &Trade,
    visitor: CounterKey,
) -> Result<Vec<Count>, Refusal> {
    let market = &command.market;
    let Some(currency) = market.exchange.currency(&trade.to.xml) else {
        return Err(Refusal::Trade(TradeFault::NotAvailable));
    };
    let held = |key: &CounterKey| facts.shared.counters.get(key).map_or(0, |counter| counter.held);
    let (all, own) = (currency.reserve_key(), visitor_reserve_key(&command.visitor, currency));
    let share = market.limits.unpaid_stock_share_percent;
    let offered = currency.offered_units(facts.shared.counters.get(&all), share);
    let half =
        currency.offered_units(facts.shared.counters.get(&all).map(|all| Counter { held: 0, ..*all }).as_ref(), share);
    let left = offered.min(half - held(&own)).max(0);
    if trade.to.units > left {
        return Err(Refusal::Trade(TradeFault::AboveReserve { max: units_to_text(left, trade.to.decimals, 0) }));
    }
    let amount = trade.to.units;
    Ok(vec![
        Count { key: all, amount, held: true, kept: true },
        Count { key: own, amount, held: true, kept: false },
        Count { key: visitor, amount: 1, held: true, kept: false },
    ])
}

fn visitor_reserve_key(visitor: &str, currency: &Currency) -> CounterKey {
    CounterKey { rule: "reserve_visitor".to_owned(), subject: visitor.to_owned(), period: currency.xml.clone() }
}

/// What every command of this file but placing needs: an exchange order.
fn payout_of(order: &Order) -> Result<&Payout, Refusal> {
    order.payout.as_ref().ok_or(Refusal::Conflict("it is not an exchange order"))
}

impl Draft {
    fn is_ended(&self) -> bool {
        self.order.payment.expired_at.is_some() || self.order.canceled_at.is_some()
    }

    /// The payer wants to pay.
    pub(super) fn accept(&mut self) -> Result<(), Refusal> {
        payout_of(&self.order)?;
        if self.is_ended() || self.order.is_returned() {
            return Err(Refusal::Conflict("the order has ended; make a new one"));
        }
        if self.order.accepted_at.is_some() {
            return Err(Refusal::AlreadyDone("the order waits for its payment"));
        }
        self.event(Event::Accepted);
        Ok(())
    }

    /// Whoever has an order's secret may make it his account's, once.
    pub(super) fn take_over(&mut self, customer: &CustomerId) -> Result<(), Refusal> {
        payout_of(&self.order)?;
        if self.order.trade().is_some_and(|trade| trade.hide_out_data) {
            // Its payer has the secret too, and must not see where it is paid out to.
            return Err(Refusal::Conflict("an order that hides where it is paid out stays its maker's"));
        }
        match self.order.origin.customer.as_deref() {
            Some(known) if known == customer.as_str() => Err(Refusal::AlreadyDone("the order is yours")),
            Some(_) => Err(Refusal::Conflict("the order is another account's")),
            None => {
                self.event(Event::Owned { customer: customer.to_string() });
                Ok(())
            }
        }
    }

    /// The payer says that he has paid. Nothing is believed of it: money is found on its network, or by an operator.
    pub(super) fn claim_paid(&mut self) -> Result<(), Refusal> {
        payout_of(&self.order)?;
        if self.order.payment.settled_at.is_some() || self.order.claimed_at.is_some() {
            return Err(Refusal::AlreadyDone("the payment is being looked at"));
        }
        if self.is_ended() || self.order.is_returned() {
            return Err(Refusal::Conflict("the order has ended; make a new one"));
        }
        if self.order.accepted_at.is_none() {
            return Err(Refusal::Conflict("the order is not confirmed yet"));
        }
        self.event(Event::PaymentClaimed);
        if planted::is(Bug::ClaimBelieved) {
            self.settle(Settlement::OnTime, None, 0);
        }
        Ok(())
    }

    /// An operator found money that no network shows. His word is believed of the money, and not of the rate: after the
    /// window an order is settled as agreed only while the rate has hardly moved, or if he says at which one.
    pub(super) fn confirm_payment(
        &mut self,
        facts: &Facts<'_>,
        units: i64,
        at_rate: Option<AtRate>,
        reference: &Idempotency,
    ) -> Result<(), Refusal> {
        payout_of(&self.order)?;
        if units < 0 || (units == 0 && at_rate.is_none()) {
            return Err(Refusal::Conflict(
                "an amount above zero is confirmed, or a rate is named for what is confirmed already",
            ));
        }
        if units > 0 {
            self.note_money(facts, units, reference)?;
        }
        let open = self.order.payment.settled_at.is_none() && self.order.canceled_at.is_none();
        let enough = self.order.payment.confirmed(&self.order.quote.asset) >= self.order.needed_units();
        // What goes back to the payer settles nothing.
        if !open || !enough || self.order.is_returned() || self.order.has_refunds() {
            let nothing = Err(Refusal::Conflict("there is nothing to settle: not enough came, or the order is over"));
            return if units > 0 { Ok(()) } else { nothing };
        }
        let late = self.now > self.order.expires_at + payment::BLOCK_TIME_GRACE;
        let rate_now = self.rate_to_settle_at(facts, late, at_rate)?;
        if !self.can_claim_again(facts) {
            // The money is a fact; for the rest the reserve must be stated anew.
            let covered =
                Err(Refusal::Conflict("the reserve does not cover it any more; state it anew, or give the money back"));
            return if units > 0 { Ok(()) } else { covered };
        }
        // What is claimed anew takes its own part of what is left.
        let own = if self.order.counts_are_held { 0 } else { self.order.trade().map_or(0, |trade| trade.to.units) };
        self.settle(if late { Settlement::Late } else { Settlement::OnTime }, rate_now, facts.reserve_left);
        if let (Some(AtRate::Today), Some(rate)) = (at_rate, rate_now) {
            self.reprice_at(rate, facts.reserve_left - own);
        }
        Ok(())
    }

    /// Money that an operator found, once for each place in his books.
    fn note_money(&mut self, facts: &Facts<'_>, units: i64, reference: &Idempotency) -> Result<(), Refusal> {
        if !self.order.is_paid_by_hand() {
            return Err(Refusal::Conflict("its network is watched; what arrives there is found by itself"));
        }
        if facts.replay.is_some() {
            return Err(Refusal::AlreadyDone("money under this reference is confirmed already"));
        }
        let transfer = TransferId::new(format!("{}|{}", reference.scope, reference.key));
        let asset = self.order.quote.asset.clone();
        self.claim(Claim::Idempotency(reference.clone()));
        self.event(Event::PaymentConfirmed(Seen { transfer, asset, units, block_at: self.now }));
        Ok(())
    }

    /// The rate that repricing compares with; the agreed one changes nothing.
    fn rate_to_settle_at(
        &self,
        facts: &Facts<'_>,
        late: bool,
        at_rate: Option<AtRate>,
    ) -> Result<Option<DealRate>, Refusal> {
        let trade = self.order.trade().ok_or(Refusal::Conflict("it is not an exchange order"))?;
        let floats = trade.reprice_bps > 0;
        match (at_rate, facts.rate_now) {
            (Some(AtRate::Agreed), _) => Ok(Some(trade.rate)),
            (_, None) if floats || late || at_rate.is_some() => {
                Err(Refusal::Conflict("today's rate is not known; wait for it, or say that the agreed one stands"))
            }
            (Some(AtRate::Today), rate) => Ok(rate),
            (None, rate) if floats || !late => Ok(rate),
            (None, _) if self.rate_held(facts) => Ok(Some(trade.rate)),
            (None, _) => {
                Err(Refusal::Conflict("the rate has moved since; say whether the agreed one stands or today's"))
            }
        }
    }

    /// What a cancelled order held of the reserve is free again.
    pub(super) fn release_reserve(&mut self) {
        if self.order.counts_are_held {
            for count in self.order.counts.clone().into_iter().filter(|count| count.held && count.key.rule != UNPAID) {
                self.claim(Claim::Count { key: count.key, held: -count.amount, used: 0 });
            }
        }
    }

    /// The window is over: what was held is free again, and the order waits on.
    pub(super) fn let_go(&mut self) -> Result<(), Refusal> {
        if !self.order.counts_are_held {
            return Err(Refusal::AlreadyDone("the order holds nothing"));
        }
        self.release_counts();
        self.event(Event::CountsReleased);
        Ok(())
    }

    pub(super) fn hold_for_rate(&mut self, why: &str) {
        let note = format!("{why}; pay it out by hand, or give the money back");
        self.event(Event::HeldForPerson { reason: HoldReason::RateUnclear, line: None, note });
    }

    /// The rate at which a floating order is settled, if it moved far enough since it was placed.
    pub(super) fn reprice(&mut self, rate_now: Option<DealRate>, reserve_left: i64) {
        if let Some((trade, rate)) = self.order.trade().zip(rate_now)
            && trade.has_moved(rate)
        {
            self.reprice_at(rate, reserve_left);
        }
    }

    /// Pays out what the amount comes to at that rate.
    pub(super) fn reprice_at(&mut self, rate: DealRate, reserve_left: i64) {
        let Some(trade) = self.order.trade().filter(|trade| trade.rate != rate) else { return };
        let Some(receive_units) = trade.receive_at(rate) else {
            return self.hold_for_rate("at today's rate nothing would be left to pay out");
        };
        let more = receive_units - trade.to.units;
        if more > reserve_left {
            return self.hold_for_rate("at today's rate it comes to more than the reserve");
        }
        let reserve = self.order.counts.iter().find(|count| count.key.rule == "reserve").cloned();
        if let Some(count) = reserve {
            self.claim(Claim::Count { key: count.key, held: 0, used: more });
        }
        self.event(Event::Repriced { rate, receive_units });
    }

    /// Claims the due attempt before anybody is told to pay.
    pub(super) fn begin_payout(&mut self, patience: &Patience) -> Result<(), Refusal> {
        let Payout::Planned { attempt } = *payout_of(&self.order)? else {
            return Err(Refusal::AlreadyDone("the payout has begun"));
        };
        self.check_payable()?;
        if !self.order.trade().is_some_and(|trade| trade.auto_payout) {
            return Err(Refusal::Conflict("it is paid out by hand"));
        }
        let reference = payout::reference(self.order.no, attempt);
        // The call may begin as late as the wire's limit allows, and takes its own time from then on.
        let deadline = self.now + WIRE_LIMIT + patience.call_timeout + patience.settle;
        self.event(Event::PayoutSent { attempt, reference, deadline });
        Ok(())
    }

    fn check_payable(&self) -> Result<(), Refusal> {
        if self.order.payment.settled_at.is_none() {
            return Err(Refusal::Conflict("the order is not paid"));
        }
        if self.order.is_stopped() { Err(Refusal::Conflict("the order is on hold")) } else { Ok(()) }
    }

    pub(super) fn report_payout(
        &mut self,
        call: Time,
        report: &PayoutReport,
        patience: &Patience,
    ) -> Result<(), Refusal> {
        let sent_at = match payout_of(&self.order)? {
            Payout::Sent { sent_at, .. } | Payout::Asking { sent_at, .. } if *sent_at == call => *sent_at,
            _ => return Err(Refusal::AlreadyDone("the payout has moved on")),
        };
        match report {
            PayoutReport::Done { proof } => {
                self.event(Event::PayoutDone { proof: proof.clone() });
                self.release_payout("the payout is final");
            }
            PayoutReport::Refused(reason) => {
                self.event(Event::PayoutFailed { reason: reason.clone() });
                self.release_payout("the payout was refused");
            }
            PayoutReport::NeverArrived => {
                self.event(Event::PayoutNeverArrived);
                self.release_payout("the call never arrived and is made again");
            }
            PayoutReport::Pending => self.ask_payout_again(false, sent_at, patience),
            PayoutReport::Unknown(reason) if planted::is(Bug::PayoutRepeated) => {
                self.event(Event::PayoutFailed { reason: reason.clone() });
                self.event(Event::PayoutRetried);
            }
            PayoutReport::Unknown(_) => self.ask_payout_again(true, sent_at, patience),
        }
        Ok(())
    }

    fn ask_payout_again(&mut self, unknown: bool, sent_at: Time, patience: &Patience) {
        self.event(Event::PayoutAsking { unknown, next_lookup: patience.next_lookup(unknown, sent_at, self.now) });
        let is_held = self.order.held_for(HoldReason::OutcomeUnknown).is_some();
        if self.now.since(sent_at) >= patience.unknown_limit && !is_held {
            let note = "nobody knows whether it was paid out; look for our reference on the network".to_owned();
            self.event(Event::HeldForPerson { reason: HoldReason::OutcomeUnknown, line: None, note });
        }
    }

    /// The payout's outcome is known now: what was unclear about it is clear.
    fn release_payout(&mut self, note: &str) {
        for reason in [HoldReason::OutcomeUnknown, HoldReason::RateUnclear, HoldReason::Undeliverable] {
            if self.order.holds.iter().any(|hold| (hold.reason, hold.line) == (reason, None)) {
                self.event(Event::HoldReleased { note: note.to_owned(), reason: Some(reason), line: None });
            }
        }
    }

    /// An operator paid it out, or found that it was paid: his word ends whatever is under way.
    pub(super) fn mark_paid_out(&mut self, proof: &str) -> Result<(), Refusal> {
        match payout_of(&self.order)? {
            Payout::Done { .. } => return Err(Refusal::AlreadyDone("it is paid out")),
            Payout::Returned { .. } => return Err(Refusal::Conflict("the money went back to the payer")),
            Payout::Planned { .. } | Payout::Sent { .. } | Payout::Asking { .. } | Payout::Failed { .. } => {}
        }
        if self.order.payment.settled_at.is_none() {
            return Err(Refusal::Conflict("the order is not paid"));
        }
        self.event(Event::PayoutDone { proof: proof.to_owned() });
        self.release_payout("an operator says that it is paid out");
        Ok(())
    }

    /// An operator gave the payer his money back.
    pub(super) fn mark_returned(&mut self, proof: &str) -> Result<(), Refusal> {
        let payout = payout_of(&self.order)?;
        if self.order.refunds.iter().any(Refund::is_open) {
            return Err(Refusal::Conflict("a refund of the order is under way; let it end, or reject it"));
        }
        if payout.is_over() {
            let units = self.order.credit_units;
            if units <= 0 {
                return Err(Refusal::AlreadyDone("the order is over, and owes nobody anything"));
            }
            self.event(Event::CreditReturned { proof: proof.to_owned(), units });
            return Ok(());
        }
        if payout.outstanding().is_some() {
            return Err(Refusal::Conflict("a payout is under way; what becomes of it must be known first"));
        }
        let settled = self.order.payment.settled_at.is_some();
        let unsold_units = if settled { self.order.quote.due_units } else { 0 };
        let difference_units = if settled { self.order.difference_units } else { 0 };
        let returned_units = self.order.credit_units + unsold_units - difference_units;
        // Money that vanished from its chain cannot go back, and the exchange is off all the same.
        let vanished = settled && self.order.is_short_again();
        let returned_units = if vanished { returned_units.max(0) } else { returned_units };
        if returned_units <= 0 && !vanished {
            let why = match self.order.payment.received.is_empty() {
                true => "nothing came in that could go back; cancel the order",
                false => {
                    "what came in is another token, which the books do not hold as this order's; send it back by hand"
                }
            };
            return Err(Refusal::Conflict(why));
        }
        if !settled && !self.is_ended() {
            self.cancel_now();
        }
        if settled {
            for count in self.order.counts.clone().into_iter().filter(|count| count.kept) {
                self.claim(Claim::Count { key: count.key, held: 0, used: -count.amount });
            }
        }
        let proof = proof.to_owned();
        self.event(Event::Returned { proof, unsold_units, difference_units, returned_units });
        if !self.order.holds.is_empty() {
            let note = "an operator gave the money back".to_owned();
            self.event(Event::HoldReleased { note, reason: None, line: None });
        }
        Ok(())
    }

    /// An operator wants a failed payout tried again.
    pub(super) fn retry_payout(&mut self) -> Result<(), Refusal> {
        if !matches!(payout_of(&self.order)?, Payout::Failed { .. }) {
            return Err(Refusal::Conflict("only a payout that failed is tried again"));
        }
        self.event(Event::PayoutRetried);
        Ok(())
    }
}
