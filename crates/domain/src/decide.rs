//! Commands and what becomes of them: facts and a command in, events and claims out. Pure.
//!
//! `keys` names the shared rows that deciding needs; the engine loads them in bulk, hands them in as `Facts`, and writes
//! what the decision claims. Must never look anything up by itself.

mod command;
mod exchange;
mod refund;

use crate::event::{Count, Event, HoldReason, Placed, Seen, Settlement};
use crate::fulfil::{self, Line, Patience, Report, SealedGoods};
use crate::ids::Sku;
use crate::limits::{CounterKey, UNPAID};
use crate::order::{Hold, Order};
use crate::payment::{self, LATE_RATE_BPS, Standing, TransferStatus};
use crate::planted::{self, Bug};
use crate::postings::POLICY;
use crate::route::DealRate;
use crate::terms;
use crate::time::{Span, Time};
use crate::validate::{self, CheckError};

pub use command::{
    AtRate, Caps, Claim, Command, Decision, Facts, Idempotency, Place, PlaceTrade, Refusal, Replay, Resolution,
    SealedPersonal, TransferFact,
};
pub use exchange::{keys_of_trade, place_trade};

/// Rows that deciding a placement needs, beside the order's own.
pub fn keys(place: &Place, now: Time) -> (Vec<CounterKey>, Vec<Sku>) {
    let (mut counters, skus) = validate::names(&place.basket, &place.market, now);
    counters.push(unpaid_key(&place.visitor));
    (counters, skus)
}

fn unpaid_key(visitor: &str) -> CounterKey {
    CounterKey { rule: UNPAID.to_owned(), subject: visitor.to_owned(), period: String::new() }
}

/// Which shared counters an order touches once it has been placed (its counts, and the stock of its lines).
pub fn keys_of(order: &Order) -> (Vec<CounterKey>, Vec<Sku>) {
    let counters = order.counts.iter().map(|count| count.key.clone()).collect();
    (counters, own_stock(order).collect())
}

fn own_stock(order: &Order) -> impl Iterator<Item = Sku> + '_ {
    order.quote.lines.iter().filter(|line| terms::is_own_stock(&line.suppliers)).map(|line| line.sku.clone())
}

/// Decides a placement: prices the basket, checks every claim, locks the price.
pub fn place(facts: &Facts<'_>, command: &Place, now: Time) -> Result<Decision, Refusal> {
    if let (Some(wanted), Some(known)) = (&command.idempotency, facts.replay) {
        return Err(if wanted.body_hash == known.body_hash || planted::is(Bug::BodyIgnored) {
            Refusal::Replay(known.order)
        } else {
            Refusal::KeyReused
        });
    }
    let checked = validate::check(&command.basket, &command.market, facts.shared, now).map_err(Refusal::from)?;
    let quote = match checked.quote {
        Some(quote) if checked.problems.is_empty() => quote,
        _ => return Err(Refusal::Problems(checked.problems)),
    };
    let visitor = unpaid_key(&command.visitor);
    let unpaid = facts.shared.counters.get(&visitor).map_or(0, |counter| counter.held);
    // Counted in lines: one order of ten holds as much as ten orders.
    let lines = quote.lines.len() as i64;
    if unpaid + lines > command.caps.unpaid_products_per_visitor {
        return Err(Refusal::TooManyUnpaid);
    }
    let network = command.market.rails.network_by_id(&quote.network_id).expect("a quote names a configured network");
    let address = facts.address.ok_or(Refusal::NoAddress(network.kind))?.to_owned();
    let mut counts = terms::counts(&command.basket, &quote, now);
    counts.push(Count { key: visitor, amount: lines, held: true, kept: false });

    let mut claims = vec![
        Claim::OrderNumber,
        Claim::Address { family: network.kind, address: address.clone() },
        Claim::Personal(command.personal.clone()),
    ];
    claims.extend(command.idempotency.clone().map(Claim::Idempotency));
    claims.extend(counts.iter().filter(|c| c.held).map(|c| Claim::Count {
        key: c.key.clone(),
        held: c.amount,
        used: 0,
    }));
    let own = quote.lines.iter().filter(|line| terms::is_own_stock(&line.suppliers));
    claims.extend(own.map(|line| Claim::HoldStock { sku: line.sku.clone(), held: 1 }));

    let placed = Placed {
        no: facts.next_no,
        origin: command.origin.clone(),
        address,
        address_family: Some(network.kind),
        expires_at: now + quote.expires_in,
        counts,
        catalogue_id: command.market.catalogue.id.clone(),
        rates_id: command.market.rates.id.clone(),
        tolerance_units: payment::tolerance_units(quote.due_units, terms::half_a_dollar(&quote)),
        late_window: payment::LATE_WINDOW,
        policy: POLICY,
        quote,
    };
    Ok(Decision { events: vec![Event::Placed(Box::new(placed))], claims })
}

impl From<CheckError> for Refusal {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::SuspendedCoin => Refusal::SuspendedCoin,
            CheckError::SuspendedNetwork => Refusal::SuspendedNetwork,
            CheckError::Rate(error) => Refusal::Rate(error),
        }
    }
}

/// Decides every command that changes an existing order.
pub fn decide(facts: &Facts<'_>, order: &Order, command: &Command, now: Time) -> Result<Decision, Refusal> {
    let mut draft = Draft { order: order.clone(), decision: Decision::default(), now };
    match command {
        Command::Place(_) | Command::PlaceTrade(_) => return Err(Refusal::Conflict("the order exists")),
        Command::Credit { .. } => draft.credit(facts)?,
        Command::Expire { scanned_through, .. } => draft.expire(facts, *scanned_through)?,
        Command::CloseLateWindow { scanned_through, .. } => draft.close_late_window(facts, *scanned_through)?,
        Command::Begin { line, own, patience, .. } => draft.begin(facts, *line, own.as_ref(), patience)?,
        Command::Report { line, attempt, report, patience, .. } => draft.report(*line, *attempt, report, patience)?,
        Command::Cancel { .. } => draft.cancel()?,
        Command::Hold { reason, line, note, .. } => draft.hold(*reason, *line, note),
        Command::Release { note, .. } => draft.release(note)?,
        Command::Resolve { line, resolution, note, .. } => draft.resolve(*line, *resolution, note)?,
        Command::Accept { .. } => draft.accept()?,
        Command::TakeOver { customer, .. } => draft.take_over(customer)?,
        Command::ClaimPaid { .. } => draft.claim_paid()?,
        Command::ConfirmPayment { units, at_rate, reference, .. } => {
            draft.confirm_payment(facts, *units, *at_rate, reference)?
        }
        Command::BeginPayout { patience, .. } => draft.begin_payout(patience)?,
        Command::ReportPayout { sent_at, report, patience, .. } => draft.report_payout(*sent_at, report, patience)?,
        Command::MarkPaidOut { proof, .. } => draft.mark_paid_out(proof)?,
        Command::MarkReturned { proof, .. } => draft.mark_returned(proof)?,
        Command::RetryPayout { .. } => draft.retry_payout()?,
        Command::Refund { refund, action, .. } => draft.refund(*refund, action)?,
    }
    Ok(draft.decision)
}

/// A decision under way: the order as it will be after the events so far.
struct Draft {
    order: Order,
    decision: Decision,
    now: Time,
}

impl Draft {
    fn event(&mut self, event: Event) {
        self.order.apply(&event, self.now);
        self.decision.events.push(event);
    }

    fn claim(&mut self, claim: Claim) {
        self.decision.claims.push(claim);
    }

    fn credit(&mut self, facts: &Facts<'_>) -> Result<(), Refusal> {
        let fact = facts.transfer.ok_or(Refusal::UnknownTransfer)?;
        if fact.credited == Some(fact.status) {
            return Err(Refusal::AlreadyDone("the order knows this standing of the transfer"));
        }
        self.claim(Claim::Credited { transfer: fact.id.clone(), status: fact.status });
        let seen =
            Seen { transfer: fact.id.clone(), asset: fact.asset.clone(), units: fact.units, block_at: fact.block_at };
        let counted = self.order.payment.is_confirmed(&fact.id);
        match fact.status {
            TransferStatus::Seen => {
                // It vanished and came back before anybody looked: it counts again once it is confirmed again.
                if counted {
                    self.event(Event::PaymentReverted { transfer: fact.id.clone() });
                }
                self.event(Event::PaymentSeen(seen));
            }
            TransferStatus::Confirmed => {
                self.event(Event::PaymentConfirmed(seen));
                self.release_if_paid_again();
                self.weigh(facts);
            }
            TransferStatus::Reverted => {
                // It came and went before anybody looked: the order keeps that it was there.
                if !self.order.payment.received.iter().any(|received| received.transfer == fact.id) {
                    self.event(Event::PaymentSeen(seen));
                }
                self.event(Event::PaymentReverted { transfer: fact.id.clone() });
            }
        }
        if counted {
            self.hold_if_unpaid();
        }
        Ok(())
    }

    /// Compares what is confirmed with what is due, and settles where the rules allow it.
    fn weigh(&mut self, facts: &Facts<'_>) {
        if self.order.payment.settled_at.is_some() {
            return;
        }
        // After the late window a person decides: the price is old, and the money may have been sent back by hand.
        if self.order.canceled_at.is_some() || self.order.payment.closed || self.order.is_returned() {
            return;
        }
        if self.order.payment.expired_at.is_some() && planted::is(Bug::LateForgotten) {
            return;
        }
        match self.order.payment.standing(&self.order.terms()) {
            Standing::NotEnough => {}
            Standing::Enough if self.can_claim_again(facts) => {
                self.settle(Settlement::OnTime, facts.rate_now, facts.reserve_left)
            }
            Standing::EnoughLate if self.rate_held(facts) && self.can_claim_again(facts) => {
                self.settle(Settlement::Late, facts.rate_now, facts.reserve_left)
            }
            // What came in time may be among what is still to be weighed: an expiry would let go of what it needs.
            Standing::Enough | Standing::EnoughLate | Standing::TooLate if facts.awaits_credit => {}
            // Its block is after the window: the order has expired, whether or not the expiry step came first.
            Standing::Enough | Standing::EnoughLate | Standing::TooLate => self.expire_now(),
        }
    }

    fn rate_held(&self, facts: &Facts<'_>) -> bool {
        // A floating order is settled late at today's rate, whatever it is.
        if self.order.trade().is_some_and(|trade| trade.reprice_bps > 0) {
            return facts.rate_now.is_some();
        }
        let original = i128::from(self.order.quote.due_units);
        facts
            .price_now
            .is_some_and(|now| (i128::from(now) - original).abs() * 10_000 < original * i128::from(LATE_RATE_BPS))
    }

    /// After an expiry the order's holds are gone; what it needs must still be free.
    fn can_claim_again(&self, facts: &Facts<'_>) -> bool {
        self.order.counts_are_held
            || facts.has_room
                && own_stock(&self.order).all(|sku| {
                    let wanted = own_stock(&self.order).filter(|other| *other == sku).count() as i64;
                    facts.shared.stock.get(&sku).is_some_and(|stock| stock.free - stock.held >= wanted)
                })
    }

    fn settle(&mut self, settlement: Settlement, rate_now: Option<DealRate>, reserve_left: i64) {
        let held = self.order.counts_are_held;
        let rate_is_clear = self.order.trade().is_none_or(|trade| trade.reprice_bps == 0) || rate_now.is_some();
        for count in self.order.counts.clone() {
            let used = if count.kept { count.amount } else { 0 };
            let freed = if held && count.held { -count.amount } else { 0 };
            if used != 0 || freed != 0 {
                self.claim(Claim::Count { key: count.key, held: freed, used });
            }
        }
        if !held {
            let again: Vec<Sku> = own_stock(&self.order).collect();
            again.into_iter().for_each(|sku| self.claim(Claim::HoldStock { sku, held: 1 }));
        }
        let due = self.order.quote.due_units;
        let missing = (due - self.order.payment.confirmed(&self.order.quote.asset)).max(0);
        let over = -(due - self.order.payment.confirmed(&self.order.quote.asset)).min(0);
        // A trifle too much is kept; more than half a dollar too much is the payer's to claim.
        let trifle = if over <= terms::half_a_dollar(&self.order.quote) { over } else { 0 };
        self.event(Event::PaymentSettled { settlement, sold_units: due, difference_units: missing - trifle });
        // What is claimed anew takes its own part of what is left.
        let own = if held { 0 } else { self.order.trade().map_or(0, |trade| trade.to.units) };
        let reserve_left = reserve_left - own;
        let floats = self.order.trade().is_some_and(|trade| trade.reprice_bps > 0);
        if let (true, Settlement::Late, Some(rate)) = (floats, settlement, rate_now) {
            self.reprice_at(rate, reserve_left);
        } else if rate_is_clear {
            self.reprice(rate_now, reserve_left);
        } else {
            self.hold_for_rate("its rate was not known when it was paid");
        }
    }

    fn release_counts(&mut self) {
        if !self.order.counts_are_held && !planted::is(Bug::ReleasedTwice) {
            return;
        }
        for count in self.order.counts.clone().into_iter().filter(|count| count.held) {
            self.claim(Claim::Count { key: count.key, held: -count.amount, used: 0 });
        }
        let stock: Vec<Sku> = own_stock(&self.order).collect();
        stock.into_iter().for_each(|sku| self.claim(Claim::HoldStock { sku, held: -1 }));
    }

    /// Confirmed money vanished, and what is left does not cover what was sold, went back or is about to: everything stops
    /// until it is back or a person has accepted the loss.
    fn hold_if_unpaid(&mut self) {
        if self.lacks_money() && self.order.held_for(HoldReason::PaymentReverted).is_none() {
            let note = "confirmed money vanished from the chain".to_owned();
            self.event(Event::HeldForPerson { reason: HoldReason::PaymentReverted, line: None, note });
        }
    }

    fn lacks_money(&self) -> bool {
        self.order.is_short_again() || self.order.is_overdrawn()
    }

    fn release_if_paid_again(&mut self) {
        if self.order.held_for(HoldReason::PaymentReverted).is_some() && !self.lacks_money() {
            let (note, reason) = ("the payment was mined again".to_owned(), Some(HoldReason::PaymentReverted));
            self.event(Event::HoldReleased { note, reason, line: None });
        }
    }

    fn expire(&mut self, facts: &Facts<'_>, scanned_through: Time) -> Result<(), Refusal> {
        if self.order.payment.settled_at.is_some() {
            return Err(Refusal::AlreadyDone("the order is paid"));
        }
        let ended = self.order.payment.expired_at.is_some() || self.order.canceled_at.is_some();
        let holds_on = self.order.payout.is_some() && self.order.counts_are_held;
        if ended && !holds_on {
            return Err(Refusal::AlreadyDone("the order has ended"));
        }
        if scanned_through <= self.order.expires_at && !planted::is(Bug::ExpiredUnseen) {
            return Err(Refusal::Conflict("the network is not scanned past the end of the window"));
        }
        let on_time_until = self.order.expires_at + payment::BLOCK_TIME_GRACE;
        if facts.awaits_credit || self.order.payment.awaits_confirmation(&self.order.quote.asset, on_time_until) {
            return Err(Refusal::Conflict("a payment is found and not weighed yet"));
        }
        if ended || self.order.is_claimed_by_hand() {
            self.let_go()
        } else {
            self.expire_now();
            Ok(())
        }
    }

    fn expire_now(&mut self) {
        if self.order.payment.expired_at.is_none() || planted::is(Bug::ReleasedTwice) {
            self.release_counts();
            self.event(Event::Expired);
        }
    }

    /// Late is a block's time, not the time of looking: while the network is not scanned to the end of the window, money
    /// that came in it may still be found.
    fn close_late_window(&mut self, facts: &Facts<'_>, scanned_through: Time) -> Result<(), Refusal> {
        let ended = self.order.payment.expired_at.is_some() || self.order.canceled_at.is_some();
        if !ended || self.order.payment.settled_at.is_some() || self.order.payment.closed {
            return Err(Refusal::AlreadyDone("there is no late window to close"));
        }
        if scanned_through <= self.order.late_until() {
            return Err(Refusal::Conflict("the network is not scanned past the end of the late window"));
        }
        let late_until = self.order.late_until();
        if facts.awaits_credit || self.order.payment.awaits_confirmation(&self.order.quote.asset, late_until) {
            return Err(Refusal::Conflict("a payment is found and not weighed yet"));
        }
        self.event(Event::LateWindowClosed);
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), Refusal> {
        if self.order.payment.settled_at.is_some() {
            return Err(Refusal::Conflict("the order is paid"));
        }
        if self.order.canceled_at.is_some() {
            return Err(Refusal::AlreadyDone("the order is cancelled"));
        }
        if self.order.payment.expired_at.is_some() {
            return Err(Refusal::AlreadyDone("the order has expired"));
        }
        if self.order.payment.received.iter().any(|received| received.status != TransferStatus::Reverted) {
            return Err(Refusal::Conflict("a payment was seen; it can be paid out or refunded, not cancelled"));
        }
        self.cancel_now();
        Ok(())
    }

    fn cancel_now(&mut self) {
        match self.order.payout {
            // Some of what it holds stays until its window is over; see `Order::apply`.
            Some(_) => self.release_reserve(),
            None => self.release_counts(),
        }
        self.event(Event::Canceled);
    }

    fn begin(&mut self, facts: &Facts<'_>, line: u32, own: Option<&Sku>, patience: &Patience) -> Result<(), Refusal> {
        self.check_deliverable(line)?;
        let Some(Line::Planned { supplier, attempt }) = self.order.line(line).cloned() else {
            return Err(Refusal::AlreadyDone("the line has begun"));
        };
        let quoted = &self.order.quote.lines[line as usize];
        let Some(offer) = quoted.suppliers.get(supplier).cloned() else {
            return Err(Refusal::Conflict("no supplier is left for the line"));
        };
        if offer.supplier != crate::catalog::OWN_STOCK {
            let reference = fulfil::reference(self.order.no, line, attempt);
            let deadline = self.now + patience.call_timeout + patience.settle;
            self.event(Event::LineSent { line, attempt, supplier: offer.supplier, reference, deadline });
            return Ok(());
        }
        let sku = quoted.sku.clone();
        if own != Some(&sku) {
            return Err(Refusal::Conflict("the line is delivered from another SKU"));
        }
        match facts.code {
            Some(code) => {
                self.claim(Claim::TakeCode { sku, code: code.clone(), line });
                self.event(Event::LineDelivered { line, code: Some(code.clone()) });
            }
            None => {
                self.give_back_promise(line);
                self.refused(line, "no code is left in stock");
            }
        }
        Ok(())
    }

    /// A line that will not be served from our own stock after all lets go of the code that was promised to it.
    fn give_back_promise(&mut self, line: u32) {
        let promised = matches!(self.order.line(line), Some(Line::Planned { supplier: 0, .. }));
        let quoted = &self.order.quote.lines[line as usize];
        if promised && terms::is_own_stock(&quoted.suppliers) {
            self.claim(Claim::HoldStock { sku: quoted.sku.clone(), held: -1 });
        }
    }

    fn check_deliverable(&self, line: u32) -> Result<(), Refusal> {
        if self.order.payment.settled_at.is_none() {
            return Err(Refusal::Conflict("the order is not paid"));
        }
        if self.order.is_held(line) { Err(Refusal::Conflict("the order is on hold")) } else { Ok(()) }
    }

    fn report(&mut self, line: u32, attempt: u32, report: &Report, patience: &Patience) -> Result<(), Refusal> {
        let current = self.order.line(line).ok_or(Refusal::Conflict("the order has no such line"))?;
        if let (Line::Delivered { attempt: Some(from), reversed: None, .. }, Report::Reversed(reason)) =
            (current, report)
            && *from == attempt
        {
            self.event(Event::LineReversed { line, reason: reason.clone() });
            self.hold_reversed(line);
            return Ok(());
        }
        let sent_at = match current {
            Line::Sent { attempt: under_way, sent_at, .. } | Line::Asking { attempt: under_way, sent_at, .. }
                if *under_way == attempt =>
            {
                *sent_at
            }
            _ => return Err(Refusal::AlreadyDone("the line has moved on")),
        };
        match report {
            Report::Delivered(goods) => self.delivered(line, goods.as_ref()),
            Report::Refused(reason) => self.refused(line, reason),
            // Sold and taken back before we had heard of it: what the recipient has is not known.
            Report::Reversed(_) => self.hold_reversed(line),
            Report::NeverArrived => {
                self.event(Event::LineNeverArrived { line });
                self.release_line(line, "the call never arrived and is made again");
            }
            Report::Pending => self.ask_again(line, false, sent_at, patience),
            Report::Unknown(_) => self.ask_again(line, true, sent_at, patience),
        }
        Ok(())
    }

    fn delivered(&mut self, line: u32, goods: Option<&SealedGoods>) {
        if let Some(goods) = goods {
            let sku = self.order.quote.lines[line as usize].sku.clone();
            self.claim(Claim::KeepGoods { sku, goods: goods.clone(), line });
        }
        self.event(Event::LineDelivered { line, code: goods.map(|goods| goods.code.clone()) });
        self.release_line(line, "the line was delivered");
    }

    /// The next supplier is asked, or the line's price is owed to the payer.
    fn refused(&mut self, line: u32, reason: &str) {
        let quoted = &self.order.quote.lines[line as usize];
        let supplier = self.order.line(line).and_then(Line::attempt).map_or(0, |(supplier, _)| supplier);
        if supplier + 1 < quoted.suppliers.len() {
            let supplier = quoted.suppliers[supplier].supplier.clone();
            self.event(Event::LineRefusedBySupplier { line, supplier, reason: reason.to_owned() });
        } else {
            self.refuse(line, reason);
        }
        self.release_line(line, "the line was refused");
    }

    /// What was paid for the line is owed again: its price, less its part of what the payer left out within the tolerance.
    fn refuse(&mut self, line: u32, reason: &str) {
        let (refund_units, difference_units) = self.order.refund_of_line(line).expect("a line of the order is quoted");
        let neighbour = (line + 1) % self.order.lines.len() as u32;
        let is_open = self.order.line(neighbour).is_some_and(|line| !line.is_ended());
        let line = if is_open && planted::is(Bug::NeighbourRefused) { neighbour } else { line };
        self.event(Event::LineRefused { line, reason: reason.to_owned(), refund_units, difference_units });
    }

    /// The recipient may have used it: nothing is undone by itself, and a person is told.
    fn hold_reversed(&mut self, line: u32) {
        let note =
            "the supplier took back what it had delivered; ask them, and the recipient whether it works".to_owned();
        self.event(Event::HeldForPerson { reason: HoldReason::DeliveryReversed, line: Some(line), note });
    }

    fn ask_again(&mut self, line: u32, unknown: bool, sent_at: Time, patience: &Patience) {
        let next_lookup = patience.next_lookup(unknown, sent_at, self.now);
        self.event(Event::LineAsking { line, unknown, next_lookup });
        if self.now.since(sent_at) >= patience.unknown_limit && !self.order.is_held(line) {
            let note = "the supplier's answer stayed open beyond the limit; ask them with our reference".to_owned();
            self.event(Event::HeldForPerson { reason: HoldReason::OutcomeUnknown, line: Some(line), note });
        }
    }

    /// The line's outcome is known now.
    fn release_line(&mut self, line: u32, note: &str) {
        let is_it = |hold: &Hold| (hold.reason, hold.line) == (HoldReason::OutcomeUnknown, Some(line));
        if self.order.holds.iter().any(is_it) {
            let (reason, line) = (Some(HoldReason::OutcomeUnknown), Some(line));
            self.event(Event::HoldReleased { note: note.to_owned(), reason, line });
        }
    }

    fn hold(&mut self, reason: HoldReason, line: Option<u32>, note: &str) {
        self.event(Event::HeldForPerson { reason, line, note: note.to_owned() });
    }

    /// A person has looked at everything that the order waited for, vanished money included.
    fn release(&mut self, note: &str) -> Result<(), Refusal> {
        if self.order.holds.is_empty() {
            return Err(Refusal::AlreadyDone("the order is not on hold"));
        }
        self.event(Event::HoldReleased { note: note.to_owned(), reason: None, line: None });
        Ok(())
    }

    fn resolve(&mut self, line: u32, resolution: Resolution, note: &str) -> Result<(), Refusal> {
        let current = self.order.line(line).ok_or(Refusal::Conflict("the order has no such line"))?;
        if current.is_ended() {
            return Err(Refusal::AlreadyDone("the line has ended"));
        }
        if self.order.payment.settled_at.is_none() {
            return Err(Refusal::Conflict("the order is not paid"));
        }
        match resolution {
            Resolution::Delivered => {
                self.give_back_promise(line);
                self.delivered(line, None);
            }
            Resolution::Refused => {
                self.give_back_promise(line);
                self.refuse(line, note);
            }
        }
        // He has looked at this line, whatever it waited for.
        if self.order.holds.iter().any(|hold| hold.line == Some(line)) {
            self.event(Event::HoldReleased { note: note.to_owned(), reason: None, line: Some(line) });
        }
        Ok(())
    }
}

/// How long a worker may take from committing `Sent` to being on the wire; later it must drop the call.
pub const WIRE_LIMIT: Span = Span::seconds(5);
