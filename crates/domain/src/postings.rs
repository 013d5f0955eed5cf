//! The whole accounting policy on one page: what each event of an order moves in the ledger.

use crate::event::Event;
use crate::ids::AssetId;
use crate::ledger::{Account, Transfer};
use crate::order::Order;
use crate::payment::TransferStatus;

/// The transfers that `event` asks for, given the order as it was before the event.
pub fn postings(order: &Order, event: &Event) -> Vec<Transfer> {
    let asset = &order.quote.asset;
    let own = || Account::Order(order.no);
    let network = || Account::Network(order.quote.network_id.clone());
    match event {
        // Confirmed money lies at our address and is owed to the payer until it is used.
        Event::PaymentConfirmed(seen) => transfer(network(), own(), &seen.asset, seen.units),
        // Only what was booked is booked back.
        Event::PaymentReverted { transfer: id } => order
            .payment
            .received
            .iter()
            .filter(|received| received.transfer == *id && received.status == TransferStatus::Confirmed)
            .flat_map(|received| transfer(own(), network(), &received.asset, received.units))
            .collect(),
        Event::PaymentSettled { sold_units, difference_units, .. } => {
            let mut entries = transfer(own(), Account::Sales, asset, *sold_units);
            if *difference_units > 0 {
                entries.extend(transfer(Account::Differences, own(), asset, *difference_units));
            } else {
                entries.extend(transfer(own(), Account::Differences, asset, -difference_units));
            }
            entries
        }
        // What cannot be delivered is owed to the payer again.
        Event::LineRefused { refund_units, .. } => transfer(Account::Sales, own(), asset, *refund_units),
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
        | Event::HeldForPerson { .. }
        | Event::HoldReleased { .. } => Vec::new(),
    }
}

fn transfer(debit: Account, credit: Account, asset: &AssetId, units: i64) -> Vec<Transfer> {
    if units == 0 {
        return Vec::new();
    }
    vec![Transfer { debit, credit, asset: asset.clone(), units }]
}
