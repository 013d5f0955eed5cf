//! Orders and what is written beside them in the same commit: events, ledger transfers, personal data.

use super::databases::{for_each_store, is_lasting, read, refused, write};
use crate::harness::START;
use crate::market::{self, order_id};
use domain::decide::SealedPersonal;
use domain::event::{Event, HoldReason};
use domain::ids::{AssetId, NetworkId, OrderId};
use domain::ledger::{Account, Transfer};
use domain::order::Order;
use domain::time::Span;
use server::store::orders::{self, Changed, LoggedEvent, Posting};
use server::store::{Conn, DbError, epoch};

fn new_rows(orders: &[Order]) -> Vec<Changed<'_>> {
    orders.iter().map(|order| Changed { order, prior_version: 0 }).collect()
}

/// Orders 1001 to 1000 + `count`, in the database.
fn written(conn: &mut Conn, count: u64) -> Vec<Order> {
    let made: Vec<Order> = (1..=count).map(market::order).collect();
    write(conn, |tx| orders::write(tx, &new_rows(&made)));
    made
}

fn after(order: &Order, event: &Event) -> Order {
    let mut order = order.clone();
    order.apply(event, START + Span::seconds(1));
    order
}

#[test]
fn orders_are_found_by_id_by_number_and_by_age() {
    for_each_store(|conn| {
        let made = written(conn, 300);
        let mut ids: Vec<OrderId> = made.iter().map(|order| order.id).collect();
        ids.push(order_id(999));
        let mut found = read(conn, |tx| orders::by_ids(tx, &ids));
        found.sort_by_key(|order| order.no);
        assert_eq!(found, made);

        assert_eq!(read(conn, |tx| orders::by_id(tx, order_id(7))).as_ref(), Some(&made[6]));
        assert_eq!(read(conn, |tx| orders::by_id(tx, order_id(999))), None);
        assert_eq!(read(conn, |tx| orders::by_no(tx, 1_300)).as_ref(), Some(&made[299]));
        assert_eq!(read(conn, |tx| orders::by_no(tx, 1_301)), None);

        let mut numbers = |before: i64, limit: i64| -> Vec<i64> {
            read(conn, |tx| orders::newest(tx, before, limit)).iter().map(|order| order.no).collect()
        };
        assert_eq!(numbers(i64::MAX, 3), [1_300, 1_299, 1_298]);
        assert_eq!(numbers(1_003, 3), [1_002, 1_001]);
        assert!(numbers(1_001, 3).is_empty());
    });
}

#[test]
fn orders_are_counted_by_their_word() {
    for_each_store(|conn| {
        assert!(read(conn, orders::count_by_state).is_empty());
        let made = written(conn, 3);
        let expired = after(&made[1], &Event::Expired);
        write(conn, |tx| orders::write(tx, &[Changed { order: &expired, prior_version: 1 }]));
        let expected = [("Expired".to_owned(), 1), ("WaitingForPayment".to_owned(), 2)];
        assert_eq!(read(conn, orders::count_by_state), expected);
    });
}

/// A client of before a restore has seen no message of after it, whatever the versions are.
#[test]
fn a_stream_is_numbered_by_versions_and_anew_after_a_restore() {
    for_each_store(|conn| {
        let made = written(conn, 2);
        let number = |conn: &mut Conn, at: usize| read(conn, |tx| orders::stream_id(tx, made[at].id));
        assert_eq!((number(conn, 0), number(conn, 1)), (Some(1), Some(1)));
        let expired = after(&made[1], &Event::Expired);
        write(conn, |tx| orders::write(tx, &[Changed { order: &expired, prior_version: 1 }]));
        assert_eq!((number(conn, 0), number(conn, 1)), (Some(1), Some(2)));
        write(conn, epoch::begin);
        assert_eq!(number(conn, 0), Some(1_000_000_001));
        assert_eq!(read(conn, |tx| orders::stream_id(tx, order_id(99))), None);
    });
}

#[test]
fn a_changed_order_replaces_its_row_and_the_columns_beside_it() {
    for_each_store(|conn| {
        let made = written(conn, 2);
        let note = "somebody must look \u{1f50d}".to_owned();
        let event = Event::HeldForPerson { reason: HoldReason::Operator, line: None, note: note.clone() };
        let held = after(&made[0], &event);
        write(conn, |tx| orders::write(tx, &[Changed { order: &held, prior_version: 1 }]));
        assert_eq!(read(conn, |tx| orders::by_id(tx, held.id)).as_ref(), Some(&held));
        assert_eq!(read(conn, |tx| orders::by_id(tx, made[1].id)).as_ref(), Some(&made[1]));

        let sql = "select version, prior_version, state, hold, partner, placed_at_ms, updated_at_ms from orders \
            where no = 1001";
        let row = read(conn, |tx| tx.query_one(sql, &[])).expect("its row");
        assert_eq!((row.int(0), row.int(1), row.text(2)), (2, 1, "WaitingForPayment"));
        assert_eq!((row.opt_text(3), row.opt_text(4)), (Some(note.as_str()), None));
        assert_eq!((row.int(5), row.int(6)), (START.0, START.0 + 1_000));
    });
}

#[test]
fn a_stale_order_fails_everything_that_is_written_with_it() {
    for_each_store(|conn| {
        let made = written(conn, 2);
        let expired = after(&made[0], &Event::Expired);
        write(conn, |tx| orders::write(tx, &[Changed { order: &expired, prior_version: 1 }]));

        let canceled = after(&made[0], &Event::Canceled);
        let (second, third) = (after(&made[1], &Event::Expired), market::order(3));
        let batch = [
            Changed { order: &second, prior_version: 1 },
            Changed { order: &canceled, prior_version: 1 },
            Changed { order: &third, prior_version: 0 },
        ];
        let error = refused(conn, |tx| orders::write(tx, &batch));
        assert!(matches!(&error, DbError::Invariant(text) if text.contains("1 of 3")), "{error:?}");

        // A second order under a known id is not new either.
        let error = refused(conn, |tx| orders::write(tx, &[Changed { order: &made[0], prior_version: 0 }]));
        assert!(matches!(error, DbError::Invariant(_)), "{error:?}");

        let mut found = read(conn, |tx| orders::newest(tx, i64::MAX, 9));
        found.reverse();
        assert_eq!(found, [expired, made[1].clone()]);
    });
}

#[test]
fn a_number_belongs_to_one_order() {
    for_each_store(|conn| {
        written(conn, 1);
        let twin = Order { id: order_id(2), ..market::order(1) };
        let error = refused(conn, |tx| orders::write(tx, &[Changed { order: &twin, prior_version: 0 }]));
        assert!(is_lasting(&error), "{error:?}");
    });
}

/// Each order is placed, then all of them expire.
fn log(orders: u64) -> Vec<LoggedEvent> {
    let placed = (1..=orders).map(|number| (number, 1, market::placed(number).1));
    let expired = (1..=orders).map(|number| (number, 2, Event::Expired));
    let logged = |(at, (number, version, event)): (usize, (u64, i64, Event))| LoggedEvent {
        seq: at as i64 + 1,
        order: order_id(number),
        version,
        at: START,
        event,
        told: at == 0,
    };
    placed.chain(expired).enumerate().map(logged).collect()
}

#[test]
fn the_log_is_read_in_its_order_from_any_number_on() {
    for_each_store(|conn| {
        let log = log(150);
        write(conn, |tx| orders::append_events(tx, &log));
        assert_eq!(read(conn, |tx| orders::events_after(tx, 0, 1_000)), log);
        assert_eq!(read(conn, |tx| orders::events_after(tx, 10, 5)), log[10..15]);
        assert!(read(conn, |tx| orders::events_after(tx, 300, 5)).is_empty());

        let changes = read(conn, |tx| orders::changes_after(tx, 148, 3));
        assert_eq!(changes, [(149, order_id(149)), (150, order_id(150)), (151, order_id(1))]);
        let of_one = read(conn, |tx| orders::events_of(tx, order_id(2)));
        assert_eq!(of_one, [log[1].clone(), log[151].clone()]);
        assert!(read(conn, |tx| orders::events_of(tx, order_id(999))).is_empty());
    });
}

#[test]
fn a_number_of_the_log_and_a_version_of_an_order_stand_once() {
    for_each_store(|conn| {
        let log = log(1);
        write(conn, |tx| orders::append_events(tx, &log));
        let again = LoggedEvent { order: order_id(9), ..log[1].clone() };
        let same_version = LoggedEvent { seq: 9, ..log[1].clone() };
        for twin in [again, same_version] {
            let error = refused(conn, |tx| orders::append_events(tx, std::slice::from_ref(&twin)));
            assert!(is_lasting(&error), "{error:?}");
        }
        assert_eq!(read(conn, |tx| orders::events_after(tx, 0, 9)), log);
    });
}

fn posting(seq: i64, part: i64, debit: Account, credit: Account, units: i64) -> Posting {
    let transfer = Transfer { debit, credit, asset: AssetId::new("usdc"), units };
    Posting { seq, part, order_no: 1_001, at: START, transfer }
}

/// (account, debited, credited) of the shared accounts.
fn balances(conn: &mut Conn) -> Vec<(String, i64, i64)> {
    let sql = "select account, debit_units, credit_units from balances where asset = 'usdc' order by account";
    let rows = read(conn, |tx| tx.query(sql, &[]));
    rows.iter().map(|row| (row.text(0).to_owned(), row.int(1), row.int(2))).collect()
}

#[test]
fn transfers_move_the_balances_of_shared_accounts_only() {
    for_each_store(|conn| {
        let (network, own) = (Account::Network(NetworkId::new("test:base")), Account::Order(1_001));
        let first = [
            posting(3, 0, network.clone(), own.clone(), 100),
            posting(4, 0, own.clone(), Account::Sales, 90),
            posting(4, 1, own.clone(), Account::Differences, 10),
        ];
        write(conn, |tx| orders::post(tx, &first));
        let back = [posting(5, 0, Account::Sales, own.clone(), 40), posting(6, 0, own, network, 40)];
        write(conn, |tx| orders::post(tx, &back));
        let expected = [("differences", 0, 10), ("network:test:base", 100, 40), ("sales", 40, 90)];
        let expected: Vec<(String, i64, i64)> =
            expected.into_iter().map(|(name, debit, credit)| (name.to_owned(), debit, credit)).collect();
        assert_eq!(balances(conn), expected);

        let sql = "select seq, part, order_no, debit, credit, units, at_ms from ledger_transfers order by seq, part";
        let rows = read(conn, |tx| tx.query(sql, &[]));
        assert_eq!(rows.len(), 5);
        assert_eq!((rows[2].int(0), rows[2].int(1), rows[2].int(2)), (4, 1, 1_001));
        assert_eq!((rows[2].text(3), rows[2].text(4)), ("order:1001", "differences"));
        assert_eq!((rows[2].int(5), rows[2].int(6)), (10, START.0));

        // What is in the books stays there: nothing is written over.
        let error = refused(conn, |tx| orders::post(tx, &first));
        assert!(is_lasting(&error), "{error:?}");
        assert_eq!(balances(conn), expected);
    });
}

#[test]
fn balances_hold_the_largest_amount() {
    for_each_store(|conn| {
        let all = posting(1, 0, Account::Sales, Account::Differences, i64::MAX);
        write(conn, |tx| orders::post(tx, &[all]));
        let expected = [("differences".to_owned(), 0, i64::MAX), ("sales".to_owned(), i64::MAX, 0)];
        assert_eq!(balances(conn), expected);
        // One unit more is refused, wherever it is added up, and not rounded.
        let one = |seq: i64, debit: Account, credit: Account| posting(seq, 0, debit, credit, 1);
        let network = || Account::Network(NetworkId::new("test:base"));
        let half = |seq: i64| posting(seq, 0, network(), Account::Order(1_001), i64::MAX / 2 + 1);
        for more in [
            vec![one(2, Account::Sales, network())],
            vec![one(2, network(), Account::Differences)],
            vec![half(2), half(3)],
        ] {
            let error = refused(conn, |tx| orders::post(tx, &more));
            assert!(matches!(error, DbError::Invariant(_)), "{error:?}");
            assert_eq!(balances(conn), expected);
        }
    });
}

#[test]
fn personal_data_is_gone_with_its_key() {
    for_each_store(|conn| {
        let sealed = |number: u64| SealedPersonal { key: format!("key-{number}"), body: format!("body-{number}") };
        let rows = (1..=300).map(|number| (order_id(number), sealed(number))).collect();
        write(conn, |tx| orders::write_personal(tx, rows));
        assert_eq!(read(conn, |tx| orders::personal(tx, order_id(300))), Some(sealed(300)));
        assert_eq!(read(conn, |tx| orders::personal(tx, order_id(999))), None);

        assert!(write(conn, |tx| orders::forget_personal(tx, order_id(300))));
        assert!(!write(conn, |tx| orders::forget_personal(tx, order_id(300))), "it was forgotten before");
        assert!(!write(conn, |tx| orders::forget_personal(tx, order_id(999))), "there is nobody to forget");
        assert_eq!(read(conn, |tx| orders::personal(tx, order_id(300))), None);
        assert_eq!(read(conn, |tx| orders::personal(tx, order_id(299))), Some(sealed(299)));
        let body = read(conn, |tx| tx.query("select body from personal where key is null", &[]));
        assert_eq!(body.iter().map(|row| row.text(0)).collect::<Vec<_>>(), [""], "not even the sealed text stays");

        let error = refused(conn, |tx| orders::write_personal(tx, vec![(order_id(1), sealed(2))]));
        assert!(is_lasting(&error), "{error:?}");
    });
}

#[test]
fn an_id_that_cannot_be_read_is_damage() {
    assert_eq!(orders::read_id(&order_id(7).expose()).expect("it was written so"), order_id(7));
    for text in ["", "7", "order"] {
        assert!(matches!(orders::read_id(text), Err(DbError::Corrupt { what: "order id" })), "{text}");
    }
}

#[test]
fn orders_that_wait_on_a_network_are_counted() {
    for_each_store(|conn| {
        let all = written(conn, 3);
        let steps: Vec<_> = all[..2].iter().map(|order| (order.id, Vec::new(), order.next_steps())).collect();
        write(conn, |tx| orders::rewrite_steps(tx, &steps));
        let on = |conn: &mut Conn, id: &NetworkId| read(conn, |tx| orders::not_ended_on(tx, id));
        let network = &all[0].quote.network_id;
        assert_eq!(on(conn, network), 2, "nothing is to be done for the third");
        assert_eq!(on(conn, &NetworkId::new("test:bas")), 0);
        assert_eq!(on(conn, &NetworkId::new("test:another")), 0);
    });
}
