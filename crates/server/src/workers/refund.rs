//! One refund: told to a payer, and looked up until it is final. Called by `pay_out`, whose rules hold here, too: the
//! attempt is committed before the call, and an unclear answer is looked up under our reference.
//!
//! Where it goes is checked once more before the attempt is claimed: an address may have become one of ours, or its token
//! may be gone from the configuration. Must never send money to whoever sent it: an exchange's wallet is nobody's.

use super::WorkerError;
use super::advance::{Stepped, note};
use super::pay_out::{Desk, report_of};
use crate::destination::{self, DestinationError};
use crate::engine::{Lane, read_order};
use crate::ports::{Outcome, Paid, Withdrawal};
use crate::store::claims;
use domain::decide::{Command, WIRE_LIMIT};
use domain::ids::OrderId;
use domain::money::raw_units;
use domain::order::Order;
use domain::payout::Payout;
use domain::refund::{Refund, RefundAction};
use domain::time::Time;

pub(super) async fn pay(desk: Desk<'_>, order: OrderId, number: u32) -> Result<Stepped, WorkerError> {
    let Some(row) = read_order(&desk.engine.db, order).await? else { return Ok(Stepped::Nowhere) };
    let Some(refund) = row.refund(number) else { return Ok(Stepped::Nowhere) };
    let Some(Payout::Planned { attempt }) = refund.payout().cloned() else { return Ok(Stepped::Nowhere) };
    // Before the attempt is claimed: what cannot be paid must not look as if it were on its way.
    let withdrawal = match withdrawal(desk, &row, number, refund).await? {
        Ok(withdrawal) => withdrawal,
        Err(reason) => {
            let action = RefundAction::Impossible { reason };
            let told = desk.engine.submit(Lane::Worker, Command::Refund { order, refund: number, action }).await;
            return Ok(if note(told)?.is_some() { Stepped::On } else { Stepped::Nowhere });
        }
    };
    let action = RefundAction::Begin { attempt, patience: desk.payer.patience() };
    let begin = Command::Refund { order, refund: number, action };
    let Some(row) = note(desk.engine.submit(Lane::Worker, begin).await)? else { return Ok(Stepped::Nowhere) };
    let Some(Payout::Sent { reference, sent_at, .. }) = row.refund(number).and_then(Refund::payout).cloned() else {
        return Ok(Stepped::On);
    };
    if desk.engine.clock.now().since(sent_at) > WIRE_LIMIT {
        tracing::warn!(order.no = row.no, refund = number, "too late to pay the refund; the lookup decides");
        return Ok(Stepped::On);
    }
    let outcome = desk.payer.pay(&Withdrawal { reference, ..withdrawal }).await;
    report(desk, order, number, (sent_at, outcome)).await?;
    Ok(Stepped::On)
}

pub(super) async fn find(desk: Desk<'_>, order: OrderId, number: u32) -> Result<Stepped, WorkerError> {
    let row = read_order(&desk.engine.db, order).await?;
    let payout = row.as_ref().and_then(|row| row.refund(number)).and_then(Refund::payout);
    let Some((reference, sent_at)) = payout.and_then(Payout::outstanding) else { return Ok(Stepped::Nowhere) };
    let outcome = desk.payer.find(reference).await;
    report(desk, order, number, (sent_at, outcome)).await
}

/// What is to be paid, all but our reference; a sentence for the operator if it cannot be.
async fn withdrawal(
    desk: Desk<'_>,
    order: &Order,
    number: u32,
    refund: &Refund,
) -> Result<Result<Withdrawal, String>, WorkerError> {
    let (id, vault) = (order.id, desk.vault.clone());
    let told = desk.engine.db.read(move |tx| Ok(vault.refund_address(tx, id, number))).await??;
    let market = desk.engine.shared.market();
    let Some(told) = told else { return Ok(Err("its address was deleted with the personal data".to_owned())) };
    let Some((network, asset)) = market.rails.asset(&refund.asset) else {
        return Ok(Err("its token is not in the configuration any more; pay it by hand".to_owned()));
    };
    let to = match destination::check(&told, network, &market.rails) {
        Ok(to) => to,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let asked = vec![to.clone()];
    let ours = desk.engine.db.read(move |tx| claims::pool_addresses(tx, asked)).await?;
    if !ours.is_empty() {
        return Ok(Err(DestinationError::Ours.to_string()));
    }
    // At the scale that was agreed, whatever the configuration says today.
    let scale = if refund.asset == order.quote.asset { order.quote.scale } else { asset.scale() };
    let units = refund.payable_units();
    let raw = raw_units(units, scale, asset.decimals);
    Ok(Ok(Withdrawal { reference: String::new(), asset: refund.asset.clone(), to, units, raw }))
}

async fn report(
    desk: Desk<'_>,
    order: OrderId,
    number: u32,
    (sent_at, outcome): (Time, Outcome<Paid>),
) -> Result<Stepped, WorkerError> {
    let action = RefundAction::Report { sent_at, report: report_of(outcome), patience: desk.payer.patience() };
    let command = Command::Refund { order, refund: number, action };
    let taken = note(desk.engine.submit(Lane::Worker, command).await)?.is_some();
    Ok(if taken { Stepped::On } else { Stepped::Nowhere })
}
