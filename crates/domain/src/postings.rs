//! The whole accounting policy on one page: what each event of an order, and each sweep, moves in the ledger.

use crate::event::Event;
use crate::ids::{AssetId, NetworkId};
use crate::ledger::{Account, Transfer};
use crate::order::Order;
use crate::payment::TransferStatus;

/// The transfers that `event` asks for, given the order as it was before the event.
pub fn postings(order: &Order, event: &Event) -> Vec<Transfer> {
    let asset = &order.quote.asset;
    let own = || Account::Order(order.no);
    // One EVM address serves all EVM chains: the money lies on the network of its own asset (CAIP-19 begins with it).
    let network_id = |asset: &AssetId| NetworkId::new(asset.as_str().split('/').next().unwrap_or_default());
    let network = |asset: &AssetId| Account::Network(network_id(asset));
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
            entries.extend(transfer(own(), Account::PaidOut(network_id(asset)), asset, *returned_units));
            entries
        }
        Event::CreditReturned { units, .. } => transfer(own(), Account::PaidOut(network_id(asset)), asset, *units),
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
        | Event::HeldForPerson { .. }
        | Event::HoldReleased { .. } => Vec::new(),
    }
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
