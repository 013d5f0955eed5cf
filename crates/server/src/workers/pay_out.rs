//! Payouts of exchange orders, and refunds: told to a payer, and looked up until they are final.
//!
//! A payer is called only after `BeginPayout` (or the refund's `Begin`) committed the attempt, and not later than five seconds after; whatever
//! happens to the call, its lookup is in the database already. Must never repeat a call: an unclear answer is looked up
//! under our reference.

use super::advance::{AT_ONCE, Stepped, note};
use super::{Ran, WorkerError, refund};
use crate::engine::{Engine, Lane, read_order};
use crate::ports::{Outcome, Paid, Payer, Withdrawal};
use crate::store::orders::{self, Due};
use crate::vault::Vault;
use domain::decide::{Command, WIRE_LIMIT};
use domain::event::HoldReason;
use domain::ids::OrderId;
use domain::money::raw_units;
use domain::order::{Order, Slot, Step, What};
use domain::payout::{Payout, PayoutReport};
use domain::time::Time;
use futures_util::future::join_all;
use std::sync::Arc;

/// Takes on due payouts of one network. Calls run side by side, so that one slow answer keeps nobody waiting.
pub async fn run_once(engine: &Engine, vault: &Arc<Vault>, payer: &dyn Payer, now: Time) -> Result<Ran, WorkerError> {
    let due = Due::Payouts(payer.network().clone());
    let steps = engine.db.read(move |tx| orders::due_steps(tx, &due, now, AT_ONCE)).await?;
    let desk = Desk { engine, vault, payer };
    let runs = steps.into_iter().map(|(order, step)| desk.take_on(order, step));
    let mut changed = false;
    for result in join_all(runs).await {
        match result {
            Ok(step) => changed |= step == Stepped::On,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(network = %payer.network(), error, "payout not finished");
            }
        }
    }
    Ok(Ran::if_any(changed))
}

/// One payer, and what paying through it takes.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) engine: &'a Engine,
    pub(super) vault: &'a Arc<Vault>,
    pub(super) payer: &'a dyn Payer,
}

impl Desk<'_> {
    async fn take_on(self, order: OrderId, step: Step) -> Result<Stepped, WorkerError> {
        match (step.what, step.slot) {
            (What::PayOut(_), _) => self.pay(order).await,
            (What::FindPayout(_), _) => self.find(order).await,
            (What::PayRefund(_), Slot::Refund(number)) => refund::pay(self, order, number).await,
            (What::FindRefund(_), Slot::Refund(number)) => refund::find(self, order, number).await,
            (What::PayRefund(_) | What::FindRefund(_), Slot::Expiry | Slot::Line(_) | Slot::Payout)
            | (What::Expire | What::CloseLateWindow | What::TakeCode(_) | What::Buy(_) | What::Find(_), _) => {
                Ok(Stepped::Nowhere)
            }
        }
    }

    async fn pay(self, order: OrderId) -> Result<Stepped, WorkerError> {
        // Before the attempt is claimed: what cannot be paid out must not look as if it were on its way.
        let Some(row) = read_order(&self.engine.db, order).await? else { return Ok(Stepped::Nowhere) };
        let Some(withdrawal) = self.withdrawal(&row).await? else {
            let why = "its recipient or its network is not known any more; pay it out by hand".to_owned();
            let hold = Command::Hold { order, reason: HoldReason::Undeliverable, line: None, note: why };
            note(self.engine.submit(Lane::Worker, hold).await)?;
            return Ok(Stepped::On);
        };
        let begin = Command::BeginPayout { order, patience: self.payer.patience() };
        let Some(row) = note(self.engine.submit(Lane::Worker, begin).await)? else { return Ok(Stepped::Nowhere) };
        let Some(Payout::Sent { reference, sent_at, .. }) = row.payout.clone() else {
            return Ok(Stepped::On);
        };
        if self.engine.clock.now().since(sent_at) > WIRE_LIMIT {
            tracing::warn!(order.no = row.no, "too late to pay out; the lookup decides");
            return Ok(Stepped::On);
        }
        let outcome = self.payer.pay(&Withdrawal { reference, ..withdrawal }).await;
        self.report(order, sent_at, outcome).await?;
        Ok(Stepped::On)
    }

    async fn find(self, order: OrderId) -> Result<Stepped, WorkerError> {
        let row = read_order(&self.engine.db, order).await?;
        let Some((reference, sent_at)) = row.as_ref().and_then(|row| row.payout.as_ref()?.outstanding()) else {
            return Ok(Stepped::Nowhere);
        };
        let outcome = self.payer.find(reference).await;
        self.report(order, sent_at, outcome).await
    }

    /// What is to be paid out, all but our reference; none if it cannot be known.
    async fn withdrawal(self, order: &Order) -> Result<Option<Withdrawal>, WorkerError> {
        let (id, vault) = (order.id, self.vault.clone());
        let opened = self.engine.db.read(move |tx| Ok(vault.open(tx, id))).await??;
        let told = opened.and_then(|opened| opened.personal.trade);
        let market = self.engine.shared.market();
        let found = || {
            let trade = order.trade()?;
            let recipient = trade.recipient.as_ref()?;
            let to = told?.to_values.into_iter().find(|told| told.field == recipient.as_str())?.value;
            let (_, asset) = market.rails.asset(&trade.to.asset)?;
            let units = trade.to.ledger_units();
            // At the scale that was agreed, whatever the configuration says today.
            let raw = raw_units(units, trade.to.scale, asset.decimals);
            Some(Withdrawal { reference: String::new(), asset: trade.to.asset.clone(), to, units, raw })
        };
        Ok(found())
    }

    async fn report(self, order: OrderId, sent_at: Time, outcome: Outcome<Paid>) -> Result<Stepped, WorkerError> {
        let report = report_of(outcome);
        let command = Command::ReportPayout { order, sent_at, report, patience: self.payer.patience() };
        let taken = note(self.engine.submit(Lane::Worker, command).await)?.is_some();
        Ok(if taken { Stepped::On } else { Stepped::Nowhere })
    }
}

/// A payer's answer as the rules know it.
pub(super) fn report_of(outcome: Outcome<Paid>) -> PayoutReport {
    match outcome {
        Outcome::Done(Paid::Pending) => PayoutReport::Pending,
        Outcome::Done(Paid::NeverArrived) => PayoutReport::NeverArrived,
        Outcome::Done(Paid::Final { transaction }) => PayoutReport::Done { proof: transaction },
        Outcome::Refused(reason) => PayoutReport::Refused(reason),
        Outcome::Unknown(reason) => PayoutReport::Unknown(reason),
    }
}
