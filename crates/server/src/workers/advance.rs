//! Due steps of orders: expiry, codes of our own, calls to suppliers.
//!
//! A supplier is called only after `Begin` committed the attempt, and not later than five seconds after; whatever
//! happens to the call, its step "find" is in the database already. Must never retry a call: an unclear answer is looked
//! up under our reference.

use super::{Ran, WorkerError};
use crate::engine::{Engine, Lane, SubmitError};
use crate::ports::{Delivery, Outcome, Purchase, Supplier};
use crate::store::orders::{self, Due};
use crate::store::transfers;
use crate::vault::Vault;
use domain::decide::{Command, Refusal, WIRE_LIMIT};
use domain::fulfil::{Line, Patience, Report};
use domain::ids::OrderId;
use domain::order::{Order, Slot, Step, What};
use domain::planted::{self, Bug};
use domain::time::{Span, Time};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Steps taken on at once.
pub(super) const AT_ONCE: i64 = 128;

/// Ended windows looked at: those of a network that lags come first, and must not hide the others.
const WINDOWS_LOOKED_AT: i64 = 1_024;

/// Our own stock needs no patience: it answers in the commit.
const OWN: Patience =
    Patience { call_timeout: Span(0), settle: Span(0), lookup_every: Span(0), unknown_limit: Span::hours(6) };

/// Takes on due steps that need nobody outside: codes first, which somebody has paid for, then windows that ended.
pub async fn run_own(engine: &Engine, now: Time) -> Result<Ran, WorkerError> {
    let codes = engine.db.read(move |tx| orders::due_steps(tx, &Due::Codes, now, AT_ONCE)).await?;
    let mut commands: Vec<Command> = codes.into_iter().filter_map(take_code).collect();
    commands.extend(ended_windows(engine, now).await?);
    let mut changed = false;
    for answer in join_all(commands.into_iter().map(|command| engine.submit(Lane::Worker, command))).await {
        match note(answer) {
            Ok(order) => changed |= order.is_some(),
            // One order that cannot go on must not keep the others waiting.
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "step not finished"),
        }
    }
    Ok(Ran::if_any(changed))
}

fn take_code((order, step): (OrderId, Step)) -> Option<Command> {
    match (step.what, step.slot) {
        (What::TakeCode(sku), Slot::Line(line)) => Some(Command::Begin { order, line, own: Some(sku), patience: OWN }),
        (What::TakeCode(_), Slot::Expiry | Slot::Payout | Slot::Refund(_))
        | (What::Expire | What::CloseLateWindow | What::Buy(_) | What::Find(_), _)
        | (What::PayOut(_) | What::FindPayout(_) | What::PayRefund(_) | What::FindRefund(_), _) => None,
    }
}

/// Windows that ended on networks that are scanned past their end; a network that lags keeps only its own orders waiting.
async fn ended_windows(engine: &Engine, now: Time) -> Result<Vec<Command>, WorkerError> {
    let read = engine.db.read(move |tx| {
        let steps = orders::due_steps(tx, &Due::Windows, now, WINDOWS_LOOKED_AT)?;
        let ended: Vec<OrderId> = steps.iter().map(|(order, _)| *order).collect();
        Ok((steps, orders::by_ids(tx, &ended)?, transfers::scanned_through(tx)?))
    });
    let (steps, rows, scanned) = read.await?;
    let rows: BTreeMap<OrderId, Order> = rows.into_iter().map(|row| (row.id, row)).collect();
    let mut commands = Vec::new();
    for (order, step) in steps {
        let Some(row) = rows.get(&order) else { continue };
        // Nobody scans for money that is moved by hand.
        let scanned_through = match row.is_paid_by_hand() {
            true => now,
            false => scanned.get(&row.quote.network_id).copied().unwrap_or_default(),
        };
        match step.what {
            What::Expire if scanned_through > row.expires_at || planted::is(Bug::ExpiredUnseen) => {
                commands.push(Command::Expire { order, scanned_through });
            }
            What::CloseLateWindow if scanned_through > row.late_until() => {
                commands.push(Command::CloseLateWindow { order, scanned_through });
            }
            What::Expire
            | What::CloseLateWindow
            | What::TakeCode(_)
            | What::Buy(_)
            | What::Find(_)
            | What::PayOut(_)
            | What::FindPayout(_)
            | What::PayRefund(_)
            | What::FindRefund(_) => {}
        }
    }
    commands.truncate(AT_ONCE as usize);
    Ok(commands)
}

/// Takes on due steps of one supplier. Calls run side by side, so that one slow answer keeps nobody waiting.
pub async fn run_supplier(
    engine: &Engine,
    vault: &Arc<Vault>,
    supplier: &dyn Supplier,
    now: Time,
) -> Result<Ran, WorkerError> {
    let due = Due::Supplier(supplier.name().to_owned());
    let steps = engine.db.read(move |tx| orders::due_steps(tx, &due, now, AT_ONCE)).await?;
    let buyer = Buyer { engine, vault, supplier };
    let runs = steps.into_iter().map(|(order, step)| buyer.take_on(order, step));
    let mut changed = false;
    for result in join_all(runs).await {
        match result {
            // A step that changed nothing is due still: it is looked at again at the slow pace.
            Ok(step) => changed |= step == Stepped::On,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(supplier = supplier.name(), error, "step not finished");
            }
        }
    }
    Ok(Ran::if_any(changed))
}

/// Whether a step changed its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stepped {
    On,
    Nowhere,
}

/// One supplier, and what buying from it takes.
#[derive(Clone, Copy)]
struct Buyer<'a> {
    engine: &'a Engine,
    vault: &'a Arc<Vault>,
    supplier: &'a dyn Supplier,
}

impl Buyer<'_> {
    async fn take_on(self, order: OrderId, step: Step) -> Result<Stepped, WorkerError> {
        match (step.slot, step.what) {
            (Slot::Line(line), What::Buy(_)) => self.buy(order, line).await,
            (Slot::Line(line), What::Find(_)) => self.find(order, line).await,
            (Slot::Expiry | Slot::Payout | Slot::Refund(_), _)
            | (_, What::Expire | What::CloseLateWindow | What::TakeCode(_))
            | (_, What::PayOut(_) | What::FindPayout(_) | What::PayRefund(_) | What::FindRefund(_)) => {
                Ok(Stepped::Nowhere)
            }
        }
    }

    async fn buy(self, order: OrderId, line: u32) -> Result<Stepped, WorkerError> {
        let patience = self.supplier.patience();
        if planted::is(Bug::CallBeforeSent) {
            self.call_too_early(order, line).await?;
        }
        let begin = Command::Begin { order, line, own: None, patience };
        let Some(row) = note(self.engine.submit(Lane::Worker, begin).await)? else { return Ok(Stepped::Nowhere) };
        let Some(Line::Sent { attempt, reference, sent_at, .. }) = row.line(line).cloned() else {
            return Ok(Stepped::On);
        };
        let Some(purchase) = self.purchase(&row, line, reference).await? else { return Ok(Stepped::On) };
        if self.engine.clock.now().since(sent_at) > WIRE_LIMIT {
            tracing::warn!(order.no = row.no, "too late to call the supplier; the lookup decides");
            return Ok(Stepped::On);
        }
        let outcome = self.supplier.place(&purchase).await;
        self.report(order, line, attempt, outcome).await?;
        Ok(Stepped::On)
    }

    /// What must never be: kept to prove that the simulator sees it.
    async fn call_too_early(self, order: OrderId, line: u32) -> Result<(), WorkerError> {
        let Some(row) = crate::engine::read_order(&self.engine.db, order).await? else { return Ok(()) };
        let attempt = row.line(line).and_then(Line::attempt).map_or(0, |(_, attempt)| attempt);
        let reference = domain::fulfil::reference(row.no, line, attempt);
        if let Some(purchase) = self.purchase(&row, line, reference).await? {
            self.supplier.place(&purchase).await;
        }
        Ok(())
    }

    async fn find(self, order: OrderId, line: u32) -> Result<Stepped, WorkerError> {
        let row = crate::engine::read_order(&self.engine.db, order).await?;
        let Some(current) = row.as_ref().and_then(|row| row.line(line)) else { return Ok(Stepped::Nowhere) };
        let (Some(reference), Some((_, attempt))) = (current.reference(), current.attempt()) else {
            return Ok(Stepped::Nowhere);
        };
        let outcome = self.supplier.find(reference).await;
        self.report(order, line, attempt, outcome).await
    }

    async fn purchase(self, order: &Order, line: u32, reference: String) -> Result<Option<Purchase>, WorkerError> {
        let (id, vault) = (order.id, self.vault.clone());
        let opened = self.engine.db.read(move |tx| Ok(vault.open(tx, id))).await??;
        let quoted = &order.quote.lines[line as usize];
        let supplier = order.line(line).and_then(Line::attempt).map_or(0, |(supplier, _)| supplier);
        let beneficiary = opened.and_then(|opened| opened.personal.beneficiaries.get(line as usize).cloned());
        Ok(match (beneficiary, quoted.suppliers.get(supplier)) {
            (Some(beneficiary), Some(offer)) => {
                Some(Purchase { reference, sku: offer.sku.clone(), face: quoted.face, beneficiary })
            }
            _ => None,
        })
    }

    async fn report(
        self,
        order: OrderId,
        line: u32,
        attempt: u32,
        outcome: Outcome<Delivery>,
    ) -> Result<Stepped, WorkerError> {
        let report = match outcome {
            Outcome::Done(Delivery::Pending) => Report::Pending,
            Outcome::Done(Delivery::NeverArrived) => Report::NeverArrived,
            Outcome::Done(Delivery::Direct) => Report::Delivered(None),
            Outcome::Done(Delivery::Goods(goods)) => Report::Delivered(Some(self.vault.seal_goods(&goods))),
            Outcome::Refused(reason) => Report::Refused(reason),
            Outcome::Unknown(reason) => Report::Unknown(reason),
        };
        let command = Command::Report { order, line, attempt, report, patience: self.supplier.patience() };
        let has_goods = matches!(&command, Command::Report { report: Report::Delivered(Some(_)), .. });
        let taken = note(self.engine.submit(Lane::Worker, command).await)?.is_some();
        if !taken && has_goods {
            let supplier = self.supplier.name();
            tracing::error!(
                supplier,
                attempt,
                "goods came for a line that had moved on; ask the supplier to take them back"
            );
        }
        Ok(if taken { Stepped::On } else { Stepped::Nowhere })
    }
}

/// A step that somebody else took on, or that a hold stopped, is nobody's failure.
pub(super) fn note(answer: Result<Arc<Order>, SubmitError>) -> Result<Option<Arc<Order>>, WorkerError> {
    match answer {
        Ok(order) => Ok(Some(order)),
        Err(SubmitError::Refused(Refusal::AlreadyDone(_) | Refusal::Conflict(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
