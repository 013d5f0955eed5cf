//! The whole accounting policy on one page: what each event of an order moves in the ledger.

use crate::event::Event;
use crate::ids::AssetId;
use crate::ledger::{Account, Transfer};
use crate::order::Order;
use crate::payment::TransferStatus;
use crate::refund::{RefundStep, network_of};

/// The transfers that `event` asks for, given the order as it was before the event.
pub fn postings(order: &Order, event: &Event) -> Vec<Transfer> {
    let asset = &order.quote.asset;
    let own = || Account::Order(order.no);
    // One EVM address serves all EVM chains: the money lies on the network of its own asset (CAIP-19 begins with it).
    let network = |asset: &AssetId| Account::Network(network_of(asset));
    match event {
        // Confirmed money lies at our address and is owed to the payer until it is used.
        Event::PaymentConfirmed(seen) => transfer(network(&seen.asset), own(), &seen.asset, seen.units),
        // Only what was booked is booked back.
        Event::PaymentReverted { transfer: id } => order
            .payment
            .received
            .iter()
            .filter(|received| received.transfer == *id && received.status == TransferStatus::Confirmed)
            .flat_map(|received| transfer(own(), network(&received.asset), &received.asset, received.units))
            .collect(),
        Event::PaymentSettled { sold_units, difference_units, .. } => {
            let mut entries = transfer(own(), sold(order), asset, *sold_units);
            entries.extend(difference(Account::Differences, own(), asset, *difference_units));
            entries
        }
        // What cannot be delivered is owed to the payer again.
        Event::LineRefused { refund_units, difference_units, .. } => {
            let mut entries = transfer(Account::Sales, own(), asset, refund_units + difference_units);
            entries.extend(difference(own(), Account::Differences, asset, *difference_units));
            entries
        }
        Event::PayoutDone { .. } => {
            let Some(trade) = order.trade() else { return Vec::new() };
            let to = &trade.to;
            transfer(Account::Exchanges, Account::PaidOut(to.network.clone()), &to.asset, to.ledger_units())
        }
        // What was not exchanged is owed to the payer again, and all that is owed goes back to him.
        Event::Returned { unsold_units, difference_units, returned_units, .. } => {
            let mut entries = transfer(sold(order), own(), asset, *unsold_units);
            entries.extend(difference(own(), Account::Differences, asset, *difference_units));
            entries.extend(transfer(own(), Account::PaidOut(network_of(asset)), asset, *returned_units));
            entries
        }
        Event::Refund { refund, step: RefundStep::Final { .. } } => given_back(order, *refund),
        Event::CreditReturned { units, .. } => transfer(own(), Account::PaidOut(network_of(asset)), asset, *units),
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
        | Event::Repriced { .. }
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

/// A refund that its payer has; a fee that was kept of it is the house's.
fn given_back(order: &Order, refund: u32) -> Vec<Transfer> {
    let Some(refund) = order.refund(refund) else { return Vec::new() };
    let (own, asset) = (Account::Order(order.no), &refund.asset);
    let mut entries = transfer(own.clone(), Account::PaidOut(network_of(asset)), asset, refund.payable_units());
    entries.extend(transfer(own, Account::Differences, asset, refund.fee_units));
    entries
}

/// Where the price of an order goes.
fn sold(order: &Order) -> Account {
    if order.trade().is_some() { Account::Exchanges } else { Account::Sales }
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
