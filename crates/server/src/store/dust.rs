//! Which of the transfers that a scan shows belong to orders, by the rule of `domain::dust`.
//!
//! Decided where they are recorded, before anything touches an order. Must never stop a network: where an order cannot be
//! read, only the number of its transfers is looked at.

use super::db::{DbError, Tx};
use super::{claims, orders};
use domain::chain::ChainTransfer;
use domain::dust::{self, Taken};
use domain::ids::{AssetId, NetworkId, OrderId, TransferId};
use domain::order::Order;
use domain::payment::TransferStatus;
use std::collections::{BTreeMap, BTreeSet};

/// The order that each of those transfers belongs to, if it does.
pub(super) fn owners(
    tx: &mut Tx<'_>,
    network: &NetworkId,
    seen: &[(&ChainTransfer, i64, &String)],
) -> Result<BTreeMap<TransferId, OrderId>, DbError> {
    let addresses: BTreeSet<&String> = seen.iter().map(|(transfer, ..)| &transfer.to).collect();
    let by_address = claims::address_owners(tx, addresses.into_iter().cloned().collect())?;
    let shown: BTreeSet<&TransferId> = seen.iter().map(|(transfer, ..)| &transfer.id).collect();
    let mut intake = Intake::load(tx, &by_address, &shown)?;
    let mut owners = BTreeMap::new();
    let mut left = 0;
    for (transfer, ..) in seen {
        match by_address.get(&transfer.to) {
            Some(order) if intake.takes(*order, transfer) => {
                owners.insert(transfer.id.clone(), *order);
            }
            Some(_) => left += 1,
            None => {}
        }
    }
    if left > 0 {
        tracing::info!(network = %network, transfers = left, "dust, or too many to one address: no order takes them");
    }
    Ok(owners)
}

/// The orders that are paid, and what they have taken.
struct Intake {
    orders: BTreeMap<OrderId, Order>,
    taken: BTreeMap<OrderId, Taken>,
    /// How many transfers each has, of whatever asset.
    counts: BTreeMap<OrderId, usize>,
    known: BTreeSet<TransferId>,
}

impl Intake {
    /// What vanished and is among the `shown` is on its chain again.
    fn load(
        tx: &mut Tx<'_>,
        by_address: &BTreeMap<String, OrderId>,
        shown: &BTreeSet<&TransferId>,
    ) -> Result<Intake, DbError> {
        let ids: Vec<OrderId> = by_address.values().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let mut intake =
            Intake { orders: BTreeMap::new(), taken: BTreeMap::new(), counts: BTreeMap::new(), known: BTreeSet::new() };
        if ids.is_empty() {
            return Ok(intake);
        }
        intake.orders = match orders::by_ids(tx, &ids) {
            Ok(read) => read.into_iter().map(|order| (order.id, order)).collect(),
            // A row that is broken is found by whoever changes the order.
            Err(DbError::Corrupt { .. }) => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let texts: Vec<String> = ids.iter().map(OrderId::expose).collect();
        let sql = "select order_id, id, asset, units, status from chain_transfers where order_id = any($1)";
        for row in tx.query(sql, &[texts.into()])? {
            let (order, id) = (orders::read_id(row.text(0))?, TransferId::new(row.text(1)));
            let is_live = row.text(4) != TransferStatus::Reverted.word() || shown.contains(&id);
            intake.note(order, id, &AssetId::new(row.text(2)), row.int(3), is_live);
        }
        Ok(intake)
    }

    fn note(&mut self, order: OrderId, transfer: TransferId, asset: &AssetId, units: i64, is_live: bool) {
        if let Some(known) = self.orders.get(&order) {
            self.taken.entry(order).or_default().note(known, asset, units, is_live);
        }
        *self.counts.entry(order).or_default() += 1;
        self.known.insert(transfer);
    }

    /// Whether that order takes the transfer; if so, it is noted.
    fn takes(&mut self, order: OrderId, transfer: &ChainTransfer) -> bool {
        if self.known.contains(&transfer.id) {
            return true;
        }
        let nothing = Taken::default();
        let taken = self.taken.get(&order).unwrap_or(&nothing);
        let takes = match self.orders.get(&order) {
            Some(known) => taken.takes(known, &transfer.asset, transfer.units),
            None => self.counts.get(&order).copied().unwrap_or_default() < dust::MOST_OWN,
        };
        if takes {
            self.note(order, transfer.id.clone(), &transfer.asset, transfer.units, true);
        }
        takes
    }
}
