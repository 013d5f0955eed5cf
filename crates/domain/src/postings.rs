//! The whole accounting policy on one page: what each event of an order, and each sweep, moves in the ledger.
//!
//! What was posted once stays as it is, so the policy of an order is the one that it was placed under: `kiosk fsck` works
//! out the postings of years ago and compares. For people: `docs/books.md`.

use crate::event::Event;
use crate::ids::{AssetId, NetworkId, TransferId};
use crate::ledger::{Account, Transfer, network_of};
use crate::order::Order;
use crate::payment::{Received, TransferStatus};
use crate::refund::RefundStep;
use crate::route::Side;
use std::collections::BTreeMap;

/// The policy under which orders are placed now. Since 1 sales are told apart by kind, and what an exchange order is to be
/// paid is booked when it is settled; before, sales were one account, and a payout was booked when it was made. Since 2 what
/// came in another token is booked up to [`MOST_OF_ANOTHER`].
pub const POLICY: u32 = 2;

/// The largest transfer of another asset than the order's that is booked, in units of the ledger: a million coins at eight
/// decimals. Tokens that only look like one that counts are minted by anybody, in any number: such a transfer stands on the
/// order, and not in the books.
pub const MOST_OF_ANOTHER: i64 = 100_000_000_000_000;

/// The transfers that `event` asks for, given the order as it was before the event.
pub fn postings(order: &Order, event: &Event) -> Vec<Transfer> {
    let asset = &order.quote.asset;
    let own = || Account::Order(order.no);
    let paid_out = || Account::PaidOut(network_of(asset));
    match event {
        Event::PaymentConfirmed(seen) => came_in(order, &seen.asset, seen.units),
        Event::PaymentReverted { transfer } => vanished(order, transfer),
        Event::PaymentSettled { sold_units, difference_units, .. } => {
            let mut entries = sale(order, *sold_units);
            entries.extend(difference(Account::Differences, own(), asset, *difference_units));
            entries
                .extend(order.trade().filter(|_| order.policy >= 1).into_iter().flat_map(|trade| promise(&trade.to)));
            entries
        }
        // What cannot be delivered is owed to the payer again.
        Event::LineRefused { line, refund_units, difference_units, .. } => {
            let kind = order.quote.lines.get(*line as usize).map(|quoted| quoted.kind.as_str());
            let mut entries = transfer(sales(order, kind), own(), asset, refund_units + difference_units);
            entries.extend(difference(own(), Account::Differences, asset, *difference_units));
            entries
        }
        Event::PayoutDone { .. } => {
            let Some(trade) = order.trade() else { return Vec::new() };
            let to = &trade.to;
            let from = if order.policy >= 1 { Account::ExchangeReserve } else { Account::Exchanges };
            transfer(from, Account::PaidOut(to.network.clone()), &to.asset, to.ledger_units())
        }
        Event::Repriced { receive_units, .. } => promised_anew(order, *receive_units),
        // What was not exchanged is owed to the payer again, and all that is owed goes back to him.
        Event::Returned { unsold_units, difference_units, returned_units, .. } => {
            let mut entries = transfer(Account::Exchanges, own(), asset, *unsold_units);
            entries.extend(difference(own(), Account::Differences, asset, *difference_units));
            entries.extend(promised(order).into_iter().flat_map(promise).map(turned));
            entries.extend(transfer(own(), paid_out(), asset, *returned_units));
            entries
        }
        Event::Refund { refund, step: RefundStep::Final { .. } } => given_back(order, *refund),
        Event::CreditReturned { units, .. } => transfer(own(), paid_out(), asset, *units),
        Event::Placed(_)
        | Event::PaymentSeen(_)
        | Event::Expired
        | Event::LateWindowClosed
        | Event::Canceled
        | Event::LineSent { .. }
        | Event::LineAsking { .. }
        | Event::LineDelivered { .. }
        | Event::LineRefusedBySupplier { .. }
        | Event::LineNeverArrived { .. }
        | Event::LineReversed { .. }
        | Event::Accepted
        | Event::CountsReleased
        | Event::Owned { .. }
        | Event::PaymentClaimed
        | Event::PayoutSent { .. }
        | Event::PayoutAsking { .. }
        | Event::PayoutNeverArrived
        | Event::PayoutFailed { .. }
        | Event::PayoutRetried
        | Event::Refund { .. }
        | Event::HeldForPerson { .. }
        | Event::HoldReleased { .. } => Vec::new(),
    }
}

/// Whether the books have a confirmed transfer to the order's address. Orders take none that they have not (`dust`), but for
/// those of before.
pub fn is_booked(order: &Order, asset: &AssetId, units: i64) -> bool {
    order.policy < 2 || *asset == order.quote.asset || units <= MOST_OF_ANOTHER
}

/// Confirmed money lies at our address and is owed to the payer until it is used.
fn came_in(order: &Order, asset: &AssetId, units: i64) -> Vec<Transfer> {
    if !is_booked(order, asset, units) {
        return Vec::new();
    }
    transfer(Account::Network(network_of(asset)), Account::Order(order.no), asset, units)
}

/// Only what was booked is booked back.
fn vanished(order: &Order, id: &TransferId) -> Vec<Transfer> {
    let is_counted = |received: &&Received| received.transfer == *id && received.status == TransferStatus::Confirmed;
    let counted = order.payment.received.iter().filter(is_counted);
    counted.flat_map(|received| came_in(order, &received.asset, received.units)).map(turned).collect()
}

/// The price of an order: to the exchanges, or to the sales of each kind of goods in it.
fn sale(order: &Order, sold_units: i64) -> Vec<Transfer> {
    let (own, asset) = (Account::Order(order.no), &order.quote.asset);
    if order.trade().is_some() {
        return transfer(own, Account::Exchanges, asset, sold_units);
    }
    let mut by_account = BTreeMap::<Account, i64>::new();
    for line in &order.quote.lines {
        *by_account.entry(sales(order, Some(&line.kind))).or_default() += line.coin_units;
    }
    // The lines add up to the price; should they ever not, the price is what was sold.
    let rest = sold_units - by_account.values().sum::<i64>();
    if rest != 0 {
        by_account = BTreeMap::from([(Account::Sales, sold_units)]);
    }
    by_account.into_iter().flat_map(|(account, units)| transfer(own.clone(), account, asset, units)).collect()
}

/// Where goods of that kind are sold.
fn sales(order: &Order, kind: Option<&str>) -> Account {
    match kind {
        Some(kind) if order.policy >= 1 => Account::SalesOf(kind.to_owned()),
        Some(_) | None => Account::Sales,
    }
}

/// What a settled exchange order is to be paid, where the books know it before the payout.
fn promised(order: &Order) -> Option<&Side> {
    let is_booked = order.policy >= 1 && order.payment.settled_at.is_some();
    order.trade().filter(|_| is_booked).map(|trade| &trade.to)
}

/// A promise that stands already is for another amount now.
fn promised_anew(order: &Order, receive_units: i64) -> Vec<Transfer> {
    let Some(before) = promised(order) else { return Vec::new() };
    let more = Side { units: receive_units, ..before.clone() }.ledger_units() - before.ledger_units();
    difference(Account::Exchanges, Account::ExchangeReserve, &before.asset, more)
}

fn promise(to: &Side) -> Vec<Transfer> {
    transfer(Account::Exchanges, Account::ExchangeReserve, &to.asset, to.ledger_units())
}

/// The same the other way round.
fn turned(entry: Transfer) -> Transfer {
    Transfer { debit: entry.credit, credit: entry.debit, ..entry }
}

/// What a transfer from one of our deposit addresses moves once it is confirmed, and moves back once it is not any more. One
/// to another address of ours moves this, too: that it came in is booked with the order it was for.
pub fn swept(network: &NetworkId, asset: &AssetId, units: i64, status: TransferStatus) -> Vec<Transfer> {
    let (cold, deposits) = (Account::Cold(network.clone()), Account::Network(network.clone()));
    match status {
        TransferStatus::Confirmed => transfer(cold, deposits, asset, units),
        TransferStatus::Seen | TransferStatus::Reverted => transfer(deposits, cold, asset, units),
    }
}

/// A refund that its payer has; a fee that was kept of it is the house's.
fn given_back(order: &Order, refund: u32) -> Vec<Transfer> {
    let Some(refund) = order.refund(refund) else { return Vec::new() };
    let (own, asset) = (Account::Order(order.no), &refund.asset);
    let mut entries = transfer(own.clone(), Account::PaidOut(network_of(asset)), asset, refund.payable_units());
    entries.extend(transfer(own, Account::Differences, asset, refund.fee_units));
    entries
}

/// A transfer whose direction is the sign of its amount.
fn difference(debit: Account, credit: Account, asset: &AssetId, units: i64) -> Vec<Transfer> {
    if units < 0 { transfer(credit, debit, asset, -units) } else { transfer(debit, credit, asset, units) }
}

fn transfer(debit: Account, credit: Account, asset: &AssetId, units: i64) -> Vec<Transfer> {
    if units == 0 {
        return Vec::new();
    }
    vec![Transfer { debit, credit, asset: asset.clone(), units }]
}
