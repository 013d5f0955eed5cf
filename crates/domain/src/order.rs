//! The order: its row, the commands that change it, and the fold of its events.
//!
//! An order is a struct of small machines: the payment, one line per delivery or a payout, holds. `apply` folds one event and is
//! infallible; an event that is not legal here is a defect of `decide` and panics, which refuses that one command
//! (engine.rs). Must never read a clock, a database or a setting.

use crate::event::{Count, Event, HoldReason, Origin, Placed, Seen};
use crate::fulfil::Line;
use crate::ids::{NetworkId, OrderId, Sku, TransferId};
use crate::limits::UNPAID;
use crate::payment::{BLOCK_TIME_GRACE, Payment, Terms, TransferStatus};
use crate::payout::Payout;
use crate::planted::{self, Bug};
use crate::project::{self, OrderState};
use crate::refund::Refund;
use crate::time::{Span, Time};
use crate::validate::Quote;
use serde::{Deserialize, Serialize};

// What is different about an order that pays out coins.
mod exchange;

// Money back.
mod refund;

/// One order, exactly as its row holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub id: OrderId,
    /// The short public number; logs carry this one.
    pub no: i64,
    /// How many events were folded into this row.
    pub version: i64,
    pub placed_at: Time,
    pub updated_at: Time,
    pub expires_at: Time,
    pub origin: Origin,
    pub quote: Quote,
    pub catalogue_id: String,
    pub rates_id: String,
    pub address: String,
    pub tolerance_units: i64,
    pub late_window: Span,
    /// Counts kept on shared rows, and whether they are still held there.
    pub counts: Vec<Count>,
    pub counts_are_held: bool,
    pub payment: Payment,
    /// What is bought; none for an exchange order.
    pub lines: Vec<Line>,
    /// What is paid out; exchange orders only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout: Option<Payout>,
    /// When the payer of an exchange order said that he wants to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Time>,
    /// When he said that he has paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<Time>,
    /// Each stands until its own cause is gone or a person ends them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canceled_at: Option<Time>,
    /// The furthest word reached; it never moves back.
    pub state: OrderState,
    /// What the payer sent and did not get anything for, in units of the order's asset; equals the ledger's account.
    pub credit_units: i64,
    /// What went back to the payer, is on its way to him, or was rejected; a refund keeps its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Refund>,
    /// What the payer left out of the price within the tolerance (positive), or a trifle too much that was kept.
    #[serde(default)]
    pub difference_units: i64,
    /// The accounting policy that it is booked by (`postings::POLICY`).
    #[serde(default)]
    pub policy: u32,
}

/// A person must look at this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub reason: HoldReason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    pub note: String,
    pub since: Time,
}

/// Work for later: one row per slot, rewritten in each commit, so that a restart is the ordinary path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub slot: Slot,
    pub what: What,
    pub due_at: Time,
}

/// Which part of an order a step belongs to. Slots do not block one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    Expiry,
    Line(u32),
    Payout,
    Refund(u32),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Expire, once the network is scanned past the end of the window.
    Expire,
    /// Close the window for late payments.
    CloseLateWindow,
    /// Take a code of the operator's own.
    TakeCode(Sku),
    /// Buy from that supplier.
    Buy(String),
    /// Ask that supplier what became of our reference.
    Find(String),
    /// Pay out on that network.
    PayOut(NetworkId),
    /// Ask that network what became of our reference.
    FindPayout(NetworkId),
    /// Pay a refund on that network.
    PayRefund(NetworkId),
    /// Ask that network what became of a refund's reference.
    FindRefund(NetworkId),
}

impl Slot {
    /// The word in the `steps` table.
    pub fn word(self) -> String {
        match self {
            Slot::Expiry => "expiry".to_owned(),
            Slot::Line(line) => format!("line:{line}"),
            Slot::Payout => "payout".to_owned(),
            Slot::Refund(refund) => format!("refund:{refund}"),
        }
    }

    /// Reads the word of the `steps` table.
    pub fn parse(word: &str) -> Option<Slot> {
        match word.split_once(':') {
            None if word == "payout" => Some(Slot::Payout),
            None => (word == "expiry").then_some(Slot::Expiry),
            Some(("line", line)) => line.parse().ok().map(Slot::Line),
            Some(("refund", refund)) => refund.parse().ok().map(Slot::Refund),
            Some(_) => None,
        }
    }
}

impl What {
    /// The word in the `steps` table.
    pub fn word(&self) -> &'static str {
        match self {
            What::Expire => "expire",
            What::CloseLateWindow => "close_late_window",
            What::TakeCode(_) => "take_code",
            What::Buy(_) => "buy",
            What::Find(_) => "find",
            What::PayOut(_) => "pay_out",
            What::FindPayout(_) => "find_payout",
            What::PayRefund(_) => "pay_refund",
            What::FindRefund(_) => "find_refund",
        }
    }

    /// The SKU, supplier or network it is about; empty if it is about none.
    pub fn argument(&self) -> &str {
        match self {
            What::Expire | What::CloseLateWindow => "",
            What::TakeCode(sku) => sku.as_str(),
            What::Buy(supplier) | What::Find(supplier) => supplier,
            What::PayOut(network)
            | What::FindPayout(network)
            | What::PayRefund(network)
            | What::FindRefund(network) => network.as_str(),
        }
    }

    /// Reads word and argument.
    pub fn parse(word: &str, argument: &str) -> Option<What> {
        match word {
            "expire" => Some(What::Expire),
            "close_late_window" => Some(What::CloseLateWindow),
            "take_code" => Some(What::TakeCode(Sku::new(argument))),
            "buy" => Some(What::Buy(argument.to_owned())),
            "find" => Some(What::Find(argument.to_owned())),
            "pay_out" => Some(What::PayOut(NetworkId::new(argument))),
            "find_payout" => Some(What::FindPayout(NetworkId::new(argument))),
            "pay_refund" => Some(What::PayRefund(NetworkId::new(argument))),
            "find_refund" => Some(What::FindRefund(NetworkId::new(argument))),
            _ => None,
        }
    }
}

impl Order {
    /// The order that a `Placed` event makes.
    pub fn placed(id: OrderId, placed: Placed, at: Time) -> Order {
        let lines = placed.quote.lines.iter().map(|_| Line::Planned { supplier: 0, attempt: 0 }).collect();
        let trade = placed.quote.trade.as_deref();
        Order {
            payout: trade.map(|_| Payout::Planned { attempt: 0 }),
            accepted_at: trade.filter(|trade| trade.skip_preview).map(|_| at),
            claimed_at: None,
            id,
            no: placed.no,
            version: 1,
            placed_at: at,
            updated_at: at,
            expires_at: placed.expires_at,
            origin: placed.origin,
            quote: placed.quote,
            catalogue_id: placed.catalogue_id,
            rates_id: placed.rates_id,
            address: placed.address,
            tolerance_units: placed.tolerance_units,
            late_window: placed.late_window,
            counts: placed.counts,
            counts_are_held: true,
            payment: Payment::default(),
            lines,
            holds: Vec::new(),
            canceled_at: None,
            state: OrderState::WaitingForPayment,
            credit_units: 0,
            refunds: Vec::new(),
            difference_units: 0,
            policy: placed.policy,
        }
    }

    /// What was agreed about the payment.
    pub fn terms(&self) -> Terms {
        Terms {
            asset: self.quote.asset.clone(),
            due_units: self.quote.due_units,
            tolerance_units: self.tolerance_units,
            expires_at: self.expires_at,
            late_window: self.late_window,
        }
    }

    /// The last moment at which a block can still settle it by itself.
    pub fn late_until(&self) -> Time {
        self.expires_at + BLOCK_TIME_GRACE + self.late_window
    }

    /// Whether a person stopped the whole order, or its money vanished: nothing new is bought, nothing is shown.
    pub fn is_stopped(&self) -> bool {
        self.holds.iter().any(|hold| hold.line.is_none())
    }

    /// Whether the whole order or that line waits for a person.
    pub fn is_held(&self, line: u32) -> bool {
        self.holds.iter().any(|hold| hold.line.is_none_or(|held| held == line))
    }

    /// What a person should look at first.
    pub fn hold(&self) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.line.is_none()).or(self.holds.first())
    }

    /// The hold of that reason, if there is one.
    pub fn held_for(&self, reason: HoldReason) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.reason == reason)
    }

    /// Confirmed units that a settled order needs to stay paid.
    pub fn needed_units(&self) -> i64 {
        self.quote.due_units - self.tolerance_units
    }

    /// Settled, and the money is not there any more.
    pub fn is_short_again(&self) -> bool {
        self.payment.settled_at.is_some() && self.payment.confirmed(&self.quote.asset) < self.needed_units()
    }

    /// Whether the goods of delivered lines may be shown to whoever holds their link.
    pub fn shows_goods(&self) -> bool {
        self.state == OrderState::Done || (self.payment.settled_at.is_some() && !self.is_stopped())
    }

    /// The line of that number.
    pub fn line(&self, line: u32) -> Option<&Line> {
        self.lines.get(line as usize)
    }

    /// Folds one event. Panics on an event that is not legal here.
    pub fn apply(&mut self, event: &Event, at: Time) {
        self.version += 1;
        self.updated_at = at;
        match event {
            Event::Placed(_) => panic!("an order is placed once"),
            Event::PaymentSeen(seen) => self.payment.record(seen, TransferStatus::Seen),
            Event::PaymentConfirmed(seen) => self.apply_confirmed(seen),
            Event::PaymentReverted { transfer } => self.apply_reverted(transfer),
            Event::PaymentSettled { sold_units, difference_units, .. } => {
                assert!(self.payment.settled_at.is_none(), "an order is settled once");
                self.payment.settled_at = Some(at);
                self.credit_units += difference_units - sold_units;
                self.difference_units = *difference_units;
                self.counts_are_held = false;
            }
            Event::Expired => {
                assert!(self.payment.settled_at.is_none(), "a paid order does not expire");
                self.payment.expired_at = Some(at);
                self.counts_are_held = false;
            }
            Event::LateWindowClosed => self.payment.closed = true,
            Event::Canceled => {
                assert!(self.payment.settled_at.is_none(), "a paid order is not cancelled");
                self.canceled_at = Some(at);
                match self.payout {
                    // The reserve is free again; the count of the payer's unpaid orders stays for the time of the window, so
                    // that nobody uses up addresses by ordering and cancelling.
                    Some(_) => self.counts.retain(|count| count.key.rule == UNPAID),
                    None => self.counts_are_held = false,
                }
            }
            Event::HeldForPerson { reason, line, note } => {
                self.holds.retain(|hold| (hold.reason, hold.line) != (*reason, *line));
                self.holds.push(Hold { reason: *reason, line: *line, note: note.clone(), since: at });
            }
            Event::HoldReleased { reason, line, .. } => {
                let ends = |hold: &Hold| {
                    reason.is_none_or(|reason| reason == hold.reason) && (line.is_none() || *line == hold.line)
                };
                self.holds.retain(|hold| !ends(hold));
            }
            Event::LineSent { .. }
            | Event::LineAsking { .. }
            | Event::LineDelivered { .. }
            | Event::LineRefusedBySupplier { .. }
            | Event::LineNeverArrived { .. }
            | Event::LineRefused { .. } => self.apply_to_line(event, at),
            Event::LineReversed { line, .. } => self.apply_reversed(*line, at),
            Event::Refund { refund, step } => self.apply_to_refund(*refund, step, at),
            Event::Accepted
            | Event::CountsReleased
            | Event::CreditReturned { .. }
            | Event::Owned { .. }
            | Event::PaymentClaimed
            | Event::Repriced { .. }
            | Event::PayoutSent { .. }
            | Event::PayoutAsking { .. }
            | Event::PayoutNeverArrived
            | Event::PayoutFailed { .. }
            | Event::PayoutRetried
            | Event::PayoutDone { .. }
            | Event::Returned { .. } => self.apply_to_trade(event, at),
        }
        self.state = self.state.max(project::order_state(self));
    }

    fn apply_confirmed(&mut self, seen: &Seen) {
        assert!(!self.payment.is_confirmed(&seen.transfer), "a transfer is confirmed once");
        self.payment.record(seen, TransferStatus::Confirmed);
        if seen.asset == self.quote.asset {
            self.credit_units += seen.units;
        }
    }

    fn apply_reverted(&mut self, transfer: &TransferId) {
        if planted::is(Bug::RevertedStaysCounted) {
            return;
        }
        let counted = |r: &&crate::payment::Received| {
            r.transfer == *transfer && r.status == TransferStatus::Confirmed && r.asset == self.quote.asset
        };
        self.credit_units -= self.payment.received.iter().filter(counted).map(|r| r.units).sum::<i64>();
        self.payment.revert(transfer);
    }

    fn apply_to_line(&mut self, event: &Event, at: Time) {
        assert!(self.payment.settled_at.is_some(), "goods only for settled money");
        let (number, next) = match event {
            Event::LineSent { line, attempt, reference, deadline, .. } => {
                let Some((supplier, planned)) = self.open_line(*line).attempt() else {
                    panic!("an ended line is not sent")
                };
                assert!(planned == *attempt, "each attempt is sent once");
                let (reference, deadline) = (reference.clone(), *deadline);
                (*line, Line::Sent { supplier, attempt: *attempt, reference, sent_at: at, deadline })
            }
            Event::LineAsking { line, unknown, next_lookup } => (*line, self.asking(*line, *unknown, *next_lookup)),
            Event::LineDelivered { line, code } => {
                let attempt = match self.open_line(*line) {
                    Line::Sent { attempt, .. } | Line::Asking { attempt, .. } => Some(*attempt),
                    Line::Planned { .. } | Line::Delivered { .. } | Line::Refused { .. } => None,
                };
                (*line, Line::Delivered { at, code: code.clone(), attempt, reversed: None })
            }
            Event::LineRefusedBySupplier { line, .. } => {
                let Some((supplier, attempt)) = self.open_line(*line).attempt() else {
                    panic!("an ended line has no supplier")
                };
                (*line, Line::Planned { supplier: supplier + 1, attempt: attempt + 1 })
            }
            Event::LineNeverArrived { line } => {
                let Some((supplier, attempt)) = self.open_line(*line).attempt() else {
                    panic!("an ended line has no supplier")
                };
                (*line, Line::Planned { supplier, attempt })
            }
            Event::LineRefused { line, reason, refund_units, .. } => {
                self.open_line(*line);
                self.credit_units += refund_units;
                (*line, Line::Refused { at, reason: reason.clone() })
            }
            other => panic!("{} is not an event of a line", other.kind()),
        };
        self.lines[number as usize] = next;
    }

    fn apply_reversed(&mut self, line: u32, at: Time) {
        match self.lines.get_mut(line as usize) {
            Some(Line::Delivered { reversed: reversed @ None, .. }) => *reversed = Some(at),
            _ => panic!("what was delivered is taken back once"),
        }
    }

    fn open_line(&self, line: u32) -> &Line {
        let found = self.line(line).expect("events name lines of the order");
        assert!(!found.is_ended(), "an ended line does not change");
        found
    }

    fn asking(&self, line: u32, unknown: bool, next_lookup: Time) -> Line {
        match self.open_line(line) {
            Line::Sent { supplier, attempt, reference, sent_at, .. }
            | Line::Asking { supplier, attempt, reference, sent_at, .. } => Line::Asking {
                supplier: *supplier,
                attempt: *attempt,
                reference: reference.clone(),
                sent_at: *sent_at,
                unknown,
                next_lookup,
            },
            Line::Planned { .. } | Line::Delivered { .. } | Line::Refused { .. } => {
                panic!("only what was sent is asked for")
            }
        }
    }

    /// Everything that is to be done later for this order as it stands.
    pub fn next_steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> =
            (0..).zip(&self.refunds).filter_map(|(at, refund)| self.refund_step(at, refund)).collect();
        if self.payment.settled_at.is_none() {
            steps.extend(self.expiry_step());
            return steps;
        }
        for (at, line) in self.lines.iter().enumerate() {
            let held = self.is_held(at as u32);
            if let Some((what, due_at)) = self.line_step(at, line, held) {
                steps.push(Step { slot: Slot::Line(at as u32), what, due_at });
            }
        }
        steps.extend(self.payout_step());
        steps
    }

    fn expiry_step(&self) -> Option<Step> {
        let ended = self.payment.expired_at.is_some() || self.canceled_at.is_some();
        let (what, due_at) = if !ended {
            // A claim about money that nobody finds by itself waits for the operator, however long he takes; what it held
            // does not.
            if self.is_claimed_by_hand() && !self.counts_are_held {
                return None;
            }
            (What::Expire, self.expires_at)
        } else if self.counts_are_held {
            (What::Expire, self.expires_at)
        } else if !self.payment.closed {
            (What::CloseLateWindow, self.late_until())
        } else {
            return None;
        };
        Some(Step { slot: Slot::Expiry, what, due_at })
    }

    fn line_step(&self, at: usize, line: &Line, held: bool) -> Option<(What, Time)> {
        match line {
            Line::Planned { .. } if held => None,
            Line::Planned { supplier, .. } => {
                let quoted = self.quote.lines.get(at)?;
                let offer = quoted.suppliers.get(*supplier)?;
                let own = offer.supplier == crate::catalog::OWN_STOCK;
                let what = if own { What::TakeCode(quoted.sku.clone()) } else { What::Buy(offer.supplier.clone()) };
                Some((what, self.payment.settled_at?))
            }
            // Looking up never makes anything worse, so a hold does not stop it.
            Line::Sent { supplier, deadline, .. } => Some((self.find_at(at, *supplier)?, *deadline)),
            Line::Asking { supplier, next_lookup, .. } => Some((self.find_at(at, *supplier)?, *next_lookup)),
            Line::Delivered { .. } | Line::Refused { .. } => None,
        }
    }

    fn find_at(&self, at: usize, supplier: usize) -> Option<What> {
        self.quote.lines.get(at)?.suppliers.get(supplier).map(|offer| What::Find(offer.supplier.clone()))
    }
}
