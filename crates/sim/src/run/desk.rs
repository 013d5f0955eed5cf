//! Operators of the exchange office. By day they do their duty: they note what came to the bank, pay out what is paid out by
//! hand, and look everywhere before they pay what may have been paid. At other times they press what they should not.

use super::{Run, told};
use crate::check::Broken;
use crate::plan::Fault;
use domain::decide::{AtRate, Command, Idempotency};
use domain::event::HoldReason;
use domain::ids::{OrderId, TransferId};
use domain::order::Order;
use domain::payout::Payout;
use domain::route::Trade;

/// What an operator does about an order.
type Act = (&'static str, Command);

impl Run {
    pub(super) fn desk_works(&mut self) -> Result<String, Broken> {
        let Some(order) = self.any_trade() else { return Ok("the desk has nothing to do".to_owned()) };
        let no = order.no;
        let Some((what, command)) = self.duty(&order) else { return Ok(format!("the desk leaves {no} alone")) };
        let answers = self.submit(vec![command]);
        Ok(format!("the desk {what} {no}: {}", told(answers)))
    }

    /// Everybody's duty once; answers whether there was any.
    pub(super) fn desk_finishes(&mut self) -> bool {
        let trades = self.mirror.orders.values().filter(|order| order.trade().is_some());
        let trades: Vec<Order> = trades.cloned().collect();
        let mut acted = false;
        for order in trades {
            if let Some((what, command)) = self.duty(&order) {
                let answers = self.submit(vec![command]);
                self.trace.push(format!("     the desk {what} {}: {}", order.no, told(answers)));
                acted = true;
            }
        }
        acted
    }

    fn any_trade(&mut self) -> Option<Order> {
        let trades = self.mirror.orders.values().filter(|order| order.trade().is_some());
        let trades: Vec<OrderId> = trades.map(|order| order.id).collect();
        let id = self.rng.pick(&trades)?;
        self.mirror.orders.get(id).cloned()
    }

    /// What is to be done about an order now, if anything.
    fn duty(&mut self, order: &Order) -> Option<Act> {
        let trade = order.trade()?;
        let payout = order.payout.as_ref()?;
        if let Some(act) = self.bank_is_noted(order) {
            return Some(act);
        }
        if payout.is_over() {
            return (order.credit_units > 0).then(|| ("gives back what is owed for", returned(order)));
        }
        match order.payment.settled_at {
            None => self.duty_to_unpaid(order),
            Some(_) => self.duty_to_paid(order, trade, payout),
        }
    }

    /// Money at the bank that the order does not know yet.
    fn bank_is_noted(&mut self, order: &Order) -> Option<Act> {
        if !order.is_paid_by_hand() {
            return None;
        }
        let at_rate = self.any_rate();
        let scope = scope_of(order);
        let is_known = |key: &str| {
            let transfer = TransferId::new(format!("{scope}|{key}"));
            order.payment.received.iter().any(|received| received.transfer == transfer)
        };
        let world = self.outside.world();
        let banked = world.books.bank.iter().find(|banked| banked.no == order.no && !is_known(&banked.key))?;
        let reference = Idempotency { scope: scope.clone(), key: banked.key.clone(), body_hash: String::new() };
        let command = Command::ConfirmPayment { order: order.id, units: banked.units, reference, at_rate };
        Some(("finds money at the bank for", command))
    }

    fn any_rate(&mut self) -> Option<AtRate> {
        match self.rng.below(3) {
            0 => None,
            1 => Some(AtRate::Agreed),
            _ => Some(AtRate::Today),
        }
    }

    fn duty_to_unpaid(&mut self, order: &Order) -> Option<Act> {
        let now = self.shop().now();
        let is_ended = order.payment.expired_at.is_some() || order.canceled_at.is_some();
        if now <= order.late_until() || (!order.is_paid_by_hand() && !order.payment.closed) {
            return None;
        }
        let confirmed = order.payment.confirmed(&order.quote.asset);
        let can_settle = order.is_paid_by_hand() && order.canceled_at.is_none() && confirmed >= order.needed_units();
        if can_settle && self.rng.happens(600) {
            let at_rate = Some(if self.rng.happens(500) { AtRate::Agreed } else { AtRate::Today });
            let reference = Idempotency { scope: scope_of(order), key: String::new(), body_hash: String::new() };
            let command = Command::ConfirmPayment { order: order.id, units: 0, reference, at_rate };
            return Some(("names a rate for", command));
        }
        if order.credit_units > 0 {
            return Some(("gives back what came for", returned(order)));
        }
        let is_idle = !is_ended && order.is_claimed_by_hand();
        is_idle.then(|| ("cancels, after all,", Command::Cancel { order: order.id }))
    }

    fn duty_to_paid(&mut self, order: &Order, trade: &Trade, payout: &Payout) -> Option<Act> {
        let world = self.outside.world();
        let (proof, by_hand) = (world.books.proof_of(order.no), world.books.proof_by_hand(order.no));
        let never_known = payout.outstanding().is_some_and(|(reference, _)| world.books.is_never_known(reference));
        drop(world);
        let is_out = payout.outstanding().is_some();
        // What he paid himself is noted, also if the process died of it; what a payer has paid, if the order forgot it.
        if let Some(proof) = by_hand.or(proof.filter(|_| !is_out || (never_known && is_unclear(order)))) {
            return Some(("finds paid out what is due for", Command::MarkPaidOut { order: order.id, proof }));
        }
        if is_out {
            let nobody_will = never_known && is_unclear(order);
            return nobody_will.then(|| self.by_hand(order, trade));
        }
        let (order_id, note) = (order.id, "looked at".to_owned());
        if let Payout::Failed { .. } = payout {
            return Some(match self.rng.below(6) {
                0 => ("gives the money back for", returned(order)),
                1 => self.by_hand(order, trade),
                _ => ("tries again to pay out", Command::RetryPayout { order: order_id }),
            });
        }
        let held = |reason| order.held_for(reason).is_some();
        if !order.is_stopped() {
            return (!trade.auto_payout).then(|| self.by_hand(order, trade));
        }
        if order.is_short_again() {
            return Some(("gives up", returned(order)));
        }
        if held(HoldReason::RateUnclear) || held(HoldReason::Undeliverable) {
            if held(HoldReason::Operator) {
                return Some(self.by_hand(order, trade));
            }
            // Before he pays by hand nothing else may.
            let reason = HoldReason::Operator;
            return Some(("stops", Command::Hold { order: order_id, reason, line: None, note }));
        }
        Some(("releases", Command::Release { order: order_id, note }))
    }

    /// Pays out by hand, then notes it.
    fn by_hand(&mut self, order: &Order, trade: &Trade) -> Act {
        let to = self.mirror.trades.recipients.get(&order.id).cloned().unwrap_or_default();
        let proof = self.outside.world().books.hand_out(order.no, trade, &to);
        ("pays out by hand", Command::MarkPaidOut { order: order.id, proof })
    }

    /// What no manual says: holds and releases without a reason, the same money once more, a payout without a look.
    pub(super) fn desk_errs(&mut self) -> Result<String, Broken> {
        if self.strikes(Fault::Override)
            && let Some(order) = self.any_in_doubt()
        {
            return self.overrides(&order);
        }
        let Some(order) = self.any_trade().filter(|_| self.strikes(Fault::Operator)) else {
            return Ok("the desk rests".to_owned());
        };
        let (id, no, note) = (order.id, order.no, "pressed".to_owned());
        // Even so nobody forgets what he has paid himself.
        let is_paid = self.outside.world().books.proof_of(no).is_some();
        let (what, command) = match self.rng.below(5) {
            0 => ("holds", Command::Hold { order: id, reason: HoldReason::Operator, line: None, note }),
            1 if !is_paid => ("releases", Command::Release { order: id, note }),
            2 => return self.money_again(&order),
            3 if !is_paid => ("tries again to pay out", Command::RetryPayout { order: id }),
            4 if !is_paid => ("gives the money back for", returned(&order)),
            _ => return Ok(format!("the desk looks at {no}")),
        };
        let answers = self.submit(vec![command]);
        Ok(format!("the desk {what} {no}, unasked: {}", told(answers)))
    }

    /// An order of which nobody knows whether it was paid out.
    fn any_in_doubt(&mut self) -> Option<Order> {
        let is_unknown = |order: &&Order| matches!(order.payout, Some(Payout::Asking { unknown: true, .. }));
        let doubtful: Vec<Order> = self.mirror.orders.values().filter(is_unknown).cloned().collect();
        self.rng.pick(&doubtful).cloned()
    }

    /// The same line of the bank's books is confirmed again, also for another order.
    fn money_again(&mut self, order: &Order) -> Result<String, Broken> {
        let noted = order.payment.received.first().filter(|_| order.is_paid_by_hand());
        let Some((scope, key)) = noted.and_then(|received| received.transfer.as_str().split_once('|')) else {
            return Ok(format!("the desk has noted nothing for {}", order.no));
        };
        let reference = Idempotency { scope: scope.to_owned(), key: key.to_owned(), body_hash: String::new() };
        let units = order.quote.due_units;
        let at_rate = self.any_rate();
        let answers = self.submit(vec![Command::ConfirmPayment { order: order.id, units, reference, at_rate }]);
        if answers.as_ref().is_some_and(|answers| answers.iter().any(Result::is_ok)) {
            return Err(format!("money of order {} was confirmed twice under one reference", order.no));
        }
        Ok(format!("the desk notes the same money again for {}: {}", order.no, told(answers)))
    }

    /// Nobody knows whether it was paid, and he pays without looking.
    fn overrides(&mut self, order: &Order) -> Result<String, Broken> {
        let Some(trade) = order.trade() else { return Ok("the desk has no doubt".to_owned()) };
        self.mirror.trades.overridden.insert(order.no);
        let (_, command) = self.by_hand(order, trade);
        let answers = self.submit(vec![command]);
        Ok(format!("the desk pays out {} without a look: {}", order.no, told(answers)))
    }
}

fn returned(order: &Order) -> Command {
    Command::MarkReturned { order: order.id, proof: format!("given-back-{}", order.no) }
}

/// Whether the order waits for somebody to find out what became of its payout.
fn is_unclear(order: &Order) -> bool {
    order.held_for(HoldReason::OutcomeUnknown).is_some()
}

/// Where the operator's own books stand, as `kiosk exchange confirm` names them.
fn scope_of(order: &Order) -> String {
    format!("exchange/confirmed/{}", order.quote.asset)
}
