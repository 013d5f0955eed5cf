//! What the operator's commands ask of the store: lists, money of nobody, keys that are sealed again, copies of the
//! database, and the new epoch that a restored copy begins.

use super::databases::{for_each_store, now, read, write};
use crate::harness::{Folder, START};
use crate::market::{OWN, addresses, codes, network_id, order, order_id, sku};
use domain::asset::ChainKind;
use domain::chain::{ChainTransfer, Change, Side};
use domain::decide::SealedPersonal;
use domain::event::HoldReason;
use domain::ids::{AssetId, CodeId, Sku, TransferId};
use domain::order::{Hold, Order};
use domain::payment::TransferStatus;
use domain::project::OrderState;
use domain::validate::StockCount;
use server::store::epoch::{self, Begun, JUMP};
use server::store::orders::{self, Changed, Narrowed};
use server::store::transfers::{self, Watched};
use server::store::{Access, Conn, DbError, Place, claims, settings, stock};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What is asked for, and the numbers that come.
type Row<'a> = (Option<OrderState>, bool, i64, i64, &'a [i64]);

#[test]
fn a_list_is_narrowed_by_state_and_by_hold() {
    for_each_store(|conn| {
        let hold = Hold { reason: HoldReason::Operator, line: None, note: String::new(), since: START };
        let expired = |order: Order| Order { state: OrderState::Expired, ..order };
        let held = |order: Order| Order { holds: vec![hold.clone()], ..order };
        let all = [order(1), expired(order(2)), held(order(3)), held(expired(order(4)))];
        let rows: Vec<Changed<'_>> = all.iter().map(|order| Changed { order, prior_version: 0 }).collect();
        write(conn, |tx| orders::write(tx, &rows));
        let expired = Some(OrderState::Expired);
        // State, only those on hold, below which number, how many; and which orders are found.
        let table: [Row<'_>; 7] = [
            (None, false, i64::MAX, 10, &[1_004, 1_003, 1_002, 1_001]),
            (expired, false, i64::MAX, 10, &[1_004, 1_002]),
            (None, true, i64::MAX, 10, &[1_004, 1_003]),
            (expired, true, i64::MAX, 10, &[1_004]),
            (Some(OrderState::Done), false, i64::MAX, 10, &[]),
            (expired, false, 1_004, 10, &[1_002]),
            (None, true, i64::MAX, 1, &[1_004]),
        ];
        for (state, held_only, before_no, limit, numbers) in table {
            let narrowed = Narrowed { state, held_only };
            let found = read(conn, |tx| orders::newest_narrowed(tx, &narrowed, before_no, limit));
            let found: Vec<i64> = found.iter().map(|order| order.no).collect();
            assert_eq!(found, numbers, "{narrowed:?} below {before_no}");
        }
    });
}

#[test]
fn data_keys_are_sealed_again_unless_they_changed_meanwhile() {
    for_each_store(|conn| {
        let sealed = |key: &str| SealedPersonal { key: key.to_owned(), body: "body".to_owned() };
        let rows =
            (1..=4).map(|number| (order_id(number), sealed(if number == 4 { "0000bbbb.d" } else { "0000aaaa.d" })));
        write(conn, |tx| orders::write_personal(tx, rows.collect()));
        let older =
            |conn: &mut Conn, limit| read(conn, |tx| orders::personal_sealed_by_older_keys(tx, "0000bbbb", limit));
        let old = || "0000aaaa.d".to_owned();
        assert_eq!(older(conn, 10), [(order_id(1), old()), (order_id(2), old()), (order_id(3), old())]);
        assert_eq!(older(conn, 2), [(order_id(1), old()), (order_id(2), old())]);

        // Between the read and the write the second changes and the third is forgotten.
        let new = || "0000bbbb.new".to_owned();
        write(conn, |tx| {
            orders::reseal_personal(tx, vec![(order_id(2), old(), "0000aaaa.other".to_owned())])?;
            orders::forget_personal(tx, order_id(3))?;
            orders::reseal_personal(tx, (1..=3).map(|number| (order_id(number), old(), new())).collect())?;
            orders::reseal_personal(tx, Vec::new())
        });
        let key = |conn: &mut Conn, number| {
            read(conn, |tx| orders::personal(tx, order_id(number))).map(|personal| personal.key)
        };
        assert_eq!(key(conn, 1), Some(new()));
        assert_eq!(key(conn, 2), Some("0000aaaa.other".to_owned()));
        assert_eq!(key(conn, 3), None, "what was forgotten stays so");
        assert_eq!(older(conn, 10).len(), 1);
    });
}

/// A transfer as a block shows it.
fn seen(id: &str, to: &str) -> Change {
    let transfer = ChainTransfer {
        id: TransferId::new(id),
        asset: AssetId::new("usdc"),
        side: Side::In,
        from: None,
        to: to.to_owned(),
        units: 5,
        raw: "5".to_owned(),
        block_at: START,
    };
    Change::Seen { transfer, height: 1, block_hash: "hash".to_owned() }
}

fn record(conn: &mut Conn, changes: &[Change]) {
    write(conn, |tx| {
        let stood = transfers::watched(tx, &network_id("Base"), None)?;
        transfers::record_scan(tx, &network_id("Base"), &stood, &stood, changes)
    });
}

#[test]
fn money_that_belongs_to_no_order_is_found() {
    for_each_store(|conn| {
        write(conn, |tx| {
            claims::add_addresses(tx, ChainKind::Evm, &addresses(ChainKind::Evm, 2))?;
            claims::own_addresses(tx, vec![("evm-00000".to_owned(), order_id(1))])
        });
        record(
            conn,
            &[seen("t1", "evm-00000"), seen("t2", "evm-00001"), seen("t3", "elsewhere"), seen("t4", "elsewhere")],
        );
        record(conn, &[Change::Reverted(TransferId::new("t4"))]);
        let found = |conn: &mut Conn, limit| -> Vec<(String, String)> {
            let found = read(conn, |tx| transfers::of_no_order(tx, limit));
            found.into_iter().map(|(fact, address)| (fact.id.to_string(), address)).collect()
        };
        let pair = |id: &str, address: &str| (id.to_owned(), address.to_owned());
        assert_eq!(found(conn, 10), [pair("t2", "evm-00001"), pair("t3", "elsewhere")]);
        assert_eq!(found(conn, 1), [pair("t2", "evm-00001")]);
    });
}

#[test]
fn a_network_that_is_scanned_again_does_not_shake_what_was_confirmed() {
    for_each_store(|conn| {
        let id = TransferId::new("t1");
        let standing = |conn: &mut Conn| {
            let facts = read(conn, |tx| transfers::facts(tx, std::slice::from_ref(&id)));
            facts[&id].0.status
        };
        // What a scan shows, and how the transfer stands then.
        let table = [
            (seen("t1", "somewhere"), TransferStatus::Seen),
            (seen("t1", "somewhere"), TransferStatus::Seen),
            (Change::Confirmed(id.clone()), TransferStatus::Confirmed),
            (seen("t1", "somewhere"), TransferStatus::Confirmed),
            (Change::Reverted(id.clone()), TransferStatus::Reverted),
            (seen("t1", "somewhere"), TransferStatus::Seen),
            (Change::Confirmed(id.clone()), TransferStatus::Confirmed),
        ];
        for (at, (change, expected)) in table.into_iter().enumerate() {
            record(conn, &[change]);
            assert_eq!(standing(conn), expected, "row {at}");
        }
    });
}

fn counts(conn: &mut Conn) -> BTreeMap<Sku, StockCount> {
    read(conn, stock::counts)
}

#[test]
fn a_new_epoch_gives_out_nothing_that_may_be_gone() {
    for_each_store(|conn| {
        let now = now(conn);
        let base = network_id("Base");
        write(conn, |tx| {
            stock::add(tx, codes(OWN, 3), now)?;
            claims::take_codes(tx, vec![(CodeId::new("own-code-00000"), order_id(1), 0)])?;
            claims::write_stock(tx, vec![(sku(OWN), StockCount { free: 2, held: 1 })])?;
            claims::add_addresses(tx, ChainKind::Evm, &addresses(ChainKind::Evm, 3))?;
            claims::own_addresses(tx, vec![("evm-00000".to_owned(), order_id(1))])?;
            let watched = Watched { scanned_through: now, ..Watched::default() };
            transfers::record_scan(tx, &base, &Watched::default(), &watched, &[])
        });
        let begun = write(conn, epoch::begin);
        assert_eq!(begun, Begun { epoch: 2, next_no: 1_001 + JUMP, quarantined: 2, skipped: 2 });

        assert_eq!(counts(conn)[&sku(OWN)], StockCount { free: 0, held: 1 }, "promises stay promises");
        let wanted = BTreeMap::from([(sku(OWN), 10)]);
        assert!(read(conn, |tx| claims::free_codes(tx, &wanted, "2026-01-01"))[&sku(OWN)].is_empty());
        assert!(read(conn, |tx| claims::free_addresses(tx, ChainKind::Evm, 10)).is_empty());
        assert_eq!(read(conn, |tx| claims::pool_size(tx, ChainKind::Evm)), (0, 3 + JUMP));
        assert_eq!(read(conn, |tx| claims::pool_size(tx, ChainKind::Svm)), (0, 0), "an empty pool stays empty");
        let both = vec!["evm-00000".to_owned(), "evm-00001".to_owned()];
        let owners = read(conn, |tx| claims::address_owners(tx, both));
        assert_eq!(owners, BTreeMap::from([("evm-00000".to_owned(), order_id(1))]), "a skipped one is no order's");
        let watched = read(conn, |tx| transfers::watched(tx, &base, None));
        assert_eq!(watched.scanned_through, now, "the watcher goes on from where the copy's stood");

        write(conn, |tx| claims::add_addresses(tx, ChainKind::Evm, &["new".to_owned()]));
        assert_eq!(read(conn, |tx| claims::free_addresses(tx, ChainKind::Evm, 10)), ["new"]);
        let again = write(conn, epoch::begin);
        assert_eq!(again, Begun { epoch: 3, next_no: 1_001 + 2 * JUMP, quarantined: 0, skipped: 1 });
    });
}

#[test]
fn quarantined_codes_are_for_sale_once_they_are_released() {
    for_each_store(|conn| {
        let now = now(conn);
        write(conn, |tx| stock::add(tx, codes(OWN, 2), now));
        write(conn, epoch::begin);
        let waiting = BTreeMap::from([(sku(OWN), 2)]);
        assert_eq!(read(conn, epoch::quarantined), waiting);
        assert_eq!(write(conn, |tx| epoch::release(tx, &[Sku::new("another")], now)), BTreeMap::new());
        assert_eq!(read(conn, epoch::quarantined), waiting);

        assert_eq!(write(conn, |tx| epoch::release(tx, &[sku(OWN)], now)), waiting);
        assert_eq!(counts(conn)[&sku(OWN)], StockCount { free: 2, held: 0 });
        let wanted = BTreeMap::from([(sku(OWN), 10)]);
        assert_eq!(read(conn, |tx| claims::free_codes(tx, &wanted, "2026-01-01"))[&sku(OWN)].len(), 2);
        assert_eq!(read(conn, epoch::quarantined), BTreeMap::new());
        assert_eq!(write(conn, |tx| epoch::release(tx, &[sku(OWN)], now)), BTreeMap::new(), "they are released once");
        assert_eq!(counts(conn)[&sku(OWN)], StockCount { free: 2, held: 0 });
    });
}

fn open(path: &Path) -> Conn {
    Conn::open(&Place::SqliteFile(path.to_owned())).expect("a database")
}

#[test]
fn a_copy_is_one_moment_of_a_database_that_is_being_written() {
    let folder = Folder::new();
    let (from, to) = (folder.0.join("kiosk.db"), folder.0.join("copy.db"));
    let mut conn = open(&from);
    conn.migrate().expect("a schema");
    write(&mut conn, |tx| settings::set(tx, "a", "committed"));
    fs::write(&to, "").expect("an empty file");
    let copied: Result<(), DbError> = conn.tx(Access::Write, |tx| {
        settings::set(tx, "a", "not yet")?;
        epoch::copy_database(&from, &to)
    });
    copied.expect("a writer keeps nobody from copying");
    epoch::check_copy(&to).expect("it is whole");

    let mut copy = open(&to);
    assert_eq!(read(&mut copy, |tx| settings::get(tx, "a")).as_deref(), Some("committed"));
    write(&mut copy, |tx| settings::set(tx, "a", "changed in the copy"));
    epoch::close_whole(copy).expect("it is one file");
    assert!(!folder.0.join("copy.db-wal").exists());
    assert_eq!(read(&mut open(&to), |tx| settings::get(tx, "a")).as_deref(), Some("changed in the copy"));
    assert_eq!(read(&mut conn, |tx| settings::get(tx, "a")).as_deref(), Some("not yet"));
    epoch::copy_database(&from, &to).expect_err("only an empty file is written");
}

#[test]
fn a_damaged_copy_is_noticed() {
    let folder = Folder::new();
    let path = folder.0.join("kiosk.db");
    let mut conn = open(&path);
    conn.migrate().expect("a schema");
    epoch::close_whole(conn).expect("it is one file");
    epoch::check_copy(&path).expect("it is whole");
    let whole = fs::read(&path).expect("it is readable");
    // The head of the third page, a cut in the middle, and nothing at all.
    let mut altered = whole.clone();
    altered[2 * 4_096..2 * 4_096 + 8].fill(0xff);
    for damaged in [altered, whole[..whole.len() / 2].to_vec(), Vec::new()] {
        fs::write(&path, &damaged).expect("writable");
        epoch::check_copy(&path).expect_err("it is damaged");
    }
    epoch::check_copy(&folder.0.join("missing")).expect_err("there is no such file");
    assert!(!folder.0.join("missing").exists(), "looking does not make one");
}
