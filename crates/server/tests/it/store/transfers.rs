//! What chains showed: transfers as facts, the watcher's memory, and what still has to be credited.

use super::databases::{for_each_store, read, write};
use crate::harness::START;
use crate::market::{network_id, order_id};
use domain::asset::ChainKind;
use domain::chain::{ChainTransfer, Change, Header, Side, Window};
use domain::decide::TransferFact;
use domain::ids::{AssetId, OrderId, TransferId};
use domain::payment::TransferStatus;
use domain::time::{Span, Time};
use server::store::transfers::{self, Anew, Watched};
use server::store::{Conn, Tx, claims};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The address `owned-n` belongs to order n.
fn own(conn: &mut Conn, count: u64) {
    let addresses: Vec<String> = (1..=count).map(|number| format!("owned-{number}")).collect();
    let owners = (1..=count).map(|number| (format!("owned-{number}"), order_id(number)));
    write(conn, |tx| {
        claims::add_addresses(tx, ChainKind::Evm, &addresses)?;
        claims::own_addresses(tx, owners.collect())
    });
}

fn transfer(id: &str, to: &str, units: i64) -> ChainTransfer {
    ChainTransfer {
        id: TransferId::new(id),
        asset: AssetId::new("test:base/usdc"),
        side: Side::In,
        from: None,
        to: to.to_owned(),
        units,
        raw: format!("{units}000000000000"),
        block_at: START,
    }
}

fn seen(transfer: &ChainTransfer, height: i64) -> Change {
    Change::Seen { transfer: transfer.clone(), height, block_hash: format!("block-{height}") }
}

fn fact(transfer: &ChainTransfer, status: TransferStatus, credited: Option<TransferStatus>) -> TransferFact {
    let ChainTransfer { id, asset, units, block_at, .. } = transfer.clone();
    TransferFact { id, asset, units, block_at, status, credited }
}

fn scan(conn: &mut Conn, changes: &[Change]) {
    write(conn, |tx| {
        let stood = transfers::watched(tx, &network_id("Base"), None)?;
        transfers::record_scan(tx, &network_id("Base"), &stood, &stood, changes)
    });
}

fn due(conn: &mut Conn) -> Vec<String> {
    read(conn, |tx| transfers::due(tx, 1_000)).iter().map(ToString::to_string).collect()
}

fn credited(conn: &mut Conn, id: &str, status: TransferStatus) {
    write(conn, |tx| transfers::mark_credited(tx, vec![(TransferId::new(id), status)]));
}

/// The one transfer's fact and the order it belongs to.
fn known(conn: &mut Conn, id: &str) -> Option<(TransferFact, Option<OrderId>)> {
    let id = TransferId::new(id);
    read(conn, |tx| transfers::facts(tx, std::slice::from_ref(&id))).remove(&id)
}

#[test]
fn the_watcher_goes_on_where_it_stood() {
    for_each_store(|conn| {
        let (base, solana) = (network_id("Base"), network_id("Solana"));
        assert_eq!(read(conn, |tx| transfers::watched(tx, &base, None)), Arc::new(Watched::default()));
        assert!(read(conn, transfers::scanned_through).is_empty());

        let header = |height: i64| Header {
            height,
            hash: format!("hash-{height}"),
            transfers: vec![TransferId::new(format!("t{height}"))],
            confirmed: height < 3,
        };
        for (network, heights, through) in [(&base, 1..=3, 5_000), (&solana, 7..=7, 6_000), (&base, 2..=4, 9_000)] {
            let window = Window { headers: heights.map(header).collect() };
            let watched = Watched { window, scanned_through: Time(through), version: 0 };
            let before = read(conn, |tx| transfers::watched(tx, network, None));
            let record = |tx: &mut Tx<'_>| transfers::record_scan(tx, network, &before, &watched, &[]);
            assert!(write(conn, record));
            // Whoever looked before that has his scan refused: it would forget blocks.
            assert!(!write(conn, record));
            let kept = read(conn, |tx| transfers::watched(tx, network, None));
            assert_eq!((&kept.window, kept.scanned_through), (&watched.window, watched.scanned_through));
            assert_eq!(kept.version, before.version + 1);
            assert!(
                Arc::ptr_eq(&read(conn, |tx| transfers::watched(tx, network, Some(&kept))), &kept),
                "nobody has written since"
            );
        }
        let expected = BTreeMap::from([(base, Time(9_000)), (solana, Time(6_000))]);
        assert_eq!(read(conn, transfers::scanned_through), expected);
    });
}

#[test]
fn a_transfer_is_due_whenever_its_order_does_not_know_its_standing() {
    use TransferStatus::{Confirmed, Reverted, Seen};
    for_each_store(|conn| {
        own(conn, 1);
        let paid = transfer("t1", "owned-1", 5);
        scan(conn, &[seen(&paid, 1)]);
        assert_eq!(known(conn, "t1"), Some((fact(&paid, Seen, None), Some(order_id(1)))));
        assert_eq!(due(conn), ["t1"]);
        credited(conn, "t1", Seen);
        assert!(due(conn).is_empty());

        scan(conn, &[Change::Confirmed(paid.id.clone())]);
        assert_eq!(known(conn, "t1"), Some((fact(&paid, Confirmed, Some(Seen)), Some(order_id(1)))));
        assert_eq!(due(conn), ["t1"]);
        credited(conn, "t1", Confirmed);
        assert!(due(conn).is_empty());

        scan(conn, &[Change::Reverted(paid.id.clone())]);
        assert_eq!(due(conn), ["t1"]);
        credited(conn, "t1", Reverted);

        // Mined again, in another block and at another time.
        let again = ChainTransfer { block_at: START + Span::minutes(1), ..paid };
        scan(conn, &[seen(&again, 9), Change::Confirmed(again.id.clone())]);
        assert_eq!(known(conn, "t1"), Some((fact(&again, Confirmed, Some(Reverted)), Some(order_id(1)))));
        assert_eq!(due(conn), ["t1"]);
        let row = read(conn, |tx| tx.query_one("select height, block_hash, raw from chain_transfers", &[]));
        let row = row.expect("one row");
        assert_eq!((row.int(0), row.text(1), row.text(2)), (9, "block-9", "5000000000000"));
    });
}

#[test]
fn a_network_begins_anew_below_whatever_waits_for_its_confirmation() {
    for_each_store(|conn| {
        own(conn, 3);
        let base = network_id("Base");
        let [old, waiting, counted] = [1, 2, 3].map(|n| transfer(&format!("t{n}"), &format!("owned-{n}"), n));
        let changes = [seen(&old, 5), seen(&waiting, 7), seen(&counted, 9), Change::Confirmed(old.id.clone())];
        scan(conn, &changes);
        scan(conn, &[Change::Confirmed(counted.id.clone())]);
        let anew = write(conn, |tx| transfers::begin_anew(tx, &base, 9));
        assert_eq!(anew, Anew { from: 7, taken_back: 1 });
        let stands = read(conn, |tx| transfers::watched(tx, &base, None));
        assert_eq!((&stands.window, stands.scanned_through), (&Window::begin_above(6), Time(0)));
        let status = |conn: &mut Conn, id| known(conn, id).map(|(fact, _)| fact.status);
        assert_eq!(status(conn, "t2"), Some(TransferStatus::Reverted));
        let kept = read(conn, |tx| transfers::confirmed_from(tx, &base, 7, 10));
        assert_eq!(kept, [(9, fact(&counted, TransferStatus::Confirmed, None))]);
        assert_eq!(write(conn, |tx| transfers::begin_anew(tx, &base, 8)), Anew { from: 8, taken_back: 0 });
        assert_eq!(read(conn, |tx| transfers::confirmed_from(tx, &base, 1, 1)).len(), 1);
    });
}

#[test]
fn what_nobody_waits_for_is_kept_and_never_due() {
    for_each_store(|conn| {
        own(conn, 1);
        write(conn, |tx| claims::add_addresses(tx, ChainKind::Evm, &["free".to_owned()]));
        let (to_free, to_stranger) = (transfer("t1", "free", 5), transfer("t2", "not ours", i64::MAX));
        scan(conn, &[seen(&to_free, 1), seen(&to_stranger, 1), Change::Confirmed(to_free.id.clone())]);
        assert_eq!(known(conn, "t1"), Some((fact(&to_free, TransferStatus::Confirmed, None), None)));
        assert_eq!(known(conn, "t2"), Some((fact(&to_stranger, TransferStatus::Seen, None), None)));
        assert_eq!(known(conn, "t3"), None);
        assert!(due(conn).is_empty());
    });
}

#[test]
fn three_hundred_transfers_of_one_scan_are_recorded_and_credited_at_once() {
    for_each_store(|conn| {
        own(conn, 300);
        let paid: Vec<ChainTransfer> =
            (1..=300).map(|number| transfer(&format!("t{number:03}"), &format!("owned-{number}"), number)).collect();
        let changes: Vec<Change> = paid
            .iter()
            .map(|transfer| seen(transfer, 1))
            .chain(paid.iter().map(|transfer| Change::Confirmed(transfer.id.clone())))
            .collect();
        scan(conn, &changes);
        assert_eq!(due(conn).len(), 300);
        assert_eq!(read(conn, |tx| transfers::due(tx, 2)), [paid[0].id.clone(), paid[1].id.clone()]);

        let ids: Vec<TransferId> = paid.iter().map(|transfer| transfer.id.clone()).collect();
        assert_eq!(read(conn, |tx| transfers::facts(tx, &ids)).len(), 300);
        let rows = ids.into_iter().map(|id| (id, TransferStatus::Confirmed)).collect();
        write(conn, |tx| transfers::mark_credited(tx, rows));
        assert!(due(conn).is_empty());
    });
}

#[test]
fn an_order_has_the_transfers_to_its_address() {
    for_each_store(|conn| {
        own(conn, 2);
        let (first, second) = (transfer("t1", "owned-1", 1), transfer("t2", "owned-1", 2));
        scan(conn, &[seen(&second, 2), seen(&first, 1), seen(&transfer("t3", "owned-2", 3), 1)]);
        let expected = [fact(&first, TransferStatus::Seen, None), fact(&second, TransferStatus::Seen, None)];
        assert_eq!(read(conn, |tx| transfers::of_order(tx, order_id(1))), expected);
        assert!(read(conn, |tx| transfers::of_order(tx, order_id(3))).is_empty());
    });
}

#[test]
fn orders_with_money_that_is_not_weighed_yet_are_known() {
    for_each_store(|conn| {
        own(conn, 2);
        scan(conn, &[seen(&transfer("t1", "owned-1", 5), 1), seen(&transfer("t2", "owned-2", 5), 1)]);
        credited(conn, "t2", TransferStatus::Seen);
        let both = [order_id(1), order_id(2)];
        let waiting = read(conn, |tx| transfers::awaiting_credit(tx, &both));
        assert_eq!(waiting, BTreeMap::from([(order_id(1), BTreeSet::from([TransferId::new("t1")]))]));
        assert!(read(conn, |tx| transfers::awaiting_credit(tx, &[])).is_empty());
    });
}
