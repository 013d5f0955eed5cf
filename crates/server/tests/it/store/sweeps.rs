//! Transfers from our own addresses: facts, and what the ledger makes of them.

use super::databases::{for_each_store, now, read, write};
use crate::harness::START;
use crate::market::{network_id, order_id};
use domain::asset::ChainKind;
use domain::chain::{ChainTransfer, Change, Side};
use domain::ids::{AssetId, TransferId};
use domain::payment::TransferStatus;
use server::store::transfers;
use server::store::{Conn, claims, fsck, sweeps};

fn transfer(id: &str, side: Side, to: &str, units: i64) -> ChainTransfer {
    ChainTransfer {
        id: TransferId::new(id),
        asset: AssetId::new("test:base/usdc"),
        side,
        from: Some("deposit".to_owned()),
        to: to.to_owned(),
        units,
        raw: units.to_string(),
        block_at: START,
    }
}

fn seen(transfer: &ChainTransfer, height: i64) -> Change {
    Change::Seen { transfer: transfer.clone(), height, block_hash: format!("block-{height}") }
}

fn scan(conn: &mut Conn, changes: &[Change]) {
    write(conn, |tx| {
        let stood = transfers::watched(tx, &network_id("Base"), None)?;
        transfers::record_scan(tx, &network_id("Base"), &stood, &stood, changes)
    });
}

/// How many were booked, and the balances of the ledger after it.
fn book(conn: &mut Conn) -> (usize, Vec<(String, i64)>) {
    let now = now(conn);
    let booked = write(conn, |tx| sweeps::book(tx, 100, now));
    let sql = "select account, debit_units - credit_units from balances order by account";
    let rows = read(conn, |tx| tx.query(sql, &[]));
    (booked, rows.iter().map(|row| (row.text(0).to_owned(), row.int(1))).collect())
}

/// Swept so much, and as much less at our addresses.
fn moved(units: i64) -> Vec<(String, i64)> {
    let network = network_id("Base");
    vec![(format!("cold:{network}"), units), (format!("network:{network}"), -units)]
}

#[test]
fn what_left_our_addresses_is_booked_and_booked_back() {
    for_each_store(|conn| {
        let (first, second) = (transfer("t1", Side::Out, "cold", 25), transfer("t2", Side::Out, "cold", 7));
        scan(conn, &[seen(&first, 1), seen(&second, 2)]);
        assert_eq!(book(conn), (0, Vec::new()), "nothing is confirmed");
        assert!(read(conn, |tx| transfers::of_no_order(tx, 10)).is_empty(), "it did not come in");
        assert!(read(conn, |tx| transfers::facts(tx, std::slice::from_ref(&first.id))).is_empty());

        scan(conn, &[Change::Confirmed(first.id.clone())]);
        let due = read(conn, |tx| sweeps::due(tx, 10));
        let [sweep] = &due[..] else { panic!("one is due: {due:?}") };
        let found = (sweep.sender.as_str(), sweep.receiver.as_str(), sweep.units, sweep.status, sweep.is_booked);
        assert_eq!(found, ("deposit", "cold", 25, TransferStatus::Confirmed, false));
        assert_eq!(book(conn), (1, moved(25)));
        assert_eq!(book(conn), (0, moved(25)), "once");
        scan(conn, &[Change::Confirmed(second.id.clone())]);
        assert_eq!(book(conn), (1, moved(32)));
        let asset = AssetId::new("test:base/usdc");
        let mut counted = read(conn, sweeps::booked);
        counted.sort_by_key(|(.., units)| *units);
        assert_eq!(counted, [(network_id("Base"), asset.clone(), 7), (network_id("Base"), asset, 25)]);

        scan(conn, &[Change::Reverted(first.id.clone())]);
        assert_eq!(book(conn), (1, moved(7)));
        // Mined again, in another block: what was written stays, and there is another entry.
        scan(conn, &[seen(&first, 9)]);
        assert_eq!(book(conn), (0, moved(7)));
        scan(conn, &[Change::Confirmed(first.id.clone())]);
        assert_eq!(book(conn), (1, moved(32)));
        let entries = read(conn, |tx| tx.query("select seq from ledger_transfers where order_no = 0", &[]));
        assert_eq!(entries.len(), 4);
        let newest = read(conn, |tx| sweeps::newest(tx, &network_id("Base"), 10));
        let names: Vec<(&str, bool)> = newest.iter().map(|sweep| (sweep.id.as_str(), sweep.is_booked)).collect();
        assert_eq!(names, [("t1", true), ("t2", true)]);
        assert_eq!(read(conn, fsck::check).wrong, Vec::<String>::new());
    });
}

#[test]
fn from_one_of_our_addresses_to_another_is_both() {
    for_each_store(|conn| {
        write(conn, |tx| {
            claims::add_addresses(tx, ChainKind::Evm, &["owned".to_owned()])?;
            claims::own_addresses(tx, vec![("owned".to_owned(), order_id(1))])
        });
        let within = transfer("t1", Side::Within, "owned", 25);
        scan(conn, &[seen(&within, 1), Change::Confirmed(within.id.clone())]);
        assert_eq!(book(conn), (1, moved(25)));
        assert_eq!(read(conn, |tx| transfers::due(tx, 10)), std::slice::from_ref(&within.id));
        let facts = read(conn, |tx| transfers::facts(tx, std::slice::from_ref(&within.id)));
        let (fact, order) = facts.get(&within.id).expect("it came in, too");
        assert_eq!((fact.units, fact.status, *order), (25, TransferStatus::Confirmed, Some(order_id(1))));
        let sender = read(conn, |tx| tx.query_one("select sender from chain_transfers", &[]));
        assert_eq!(sender.expect("one row").opt_text(0), Some("deposit"));
    });
}

/// Anybody may mint a token of his own and have it say that it left us.
#[test]
fn what_the_ledger_has_no_room_for_keeps_no_other_sweep_waiting() {
    for_each_store(|conn| {
        let other = ChainTransfer { asset: AssetId::new("test:base/other"), ..transfer("t3", Side::Out, "cold", 7) };
        let sent = [transfer("t1", Side::Out, "cold", i64::MAX - 3), transfer("t2", Side::Out, "cold", 4), other];
        for sweep in &sent {
            scan(conn, &[seen(sweep, 1), Change::Confirmed(sweep.id.clone())]);
        }
        assert_eq!(book(conn).0, 3);
        assert!(read(conn, |tx| sweeps::due(tx, 10)).is_empty());
        let mut counted: Vec<i64> = read(conn, sweeps::booked).into_iter().map(|(.., units)| units).collect();
        counted.sort_unstable();
        assert_eq!(counted, [7, i64::MAX - 3]);
        assert_eq!(read(conn, fsck::check).wrong, Vec::<String>::new());
    });
}
