//! The ledger as it is read: pages, those of an order, and the kept balances.

use super::databases::{for_each_store, read, write};
use crate::harness::START;
use crate::market::{self, order_id};
use domain::event::Event;
use domain::ids::{AssetId, NetworkId};
use domain::ledger::{Account, Transfer};
use domain::time::Span;
use server::store::ledger::{self, Balance, Entry};
use server::store::orders::{self, Changed, LoggedEvent, Posting};
use server::store::{Conn, DbError};

fn posting(seq: i64, part: i64, order_no: i64, transfer: Transfer) -> Posting {
    Posting { seq, part, order_no, at: START + Span::seconds(seq), transfer }
}

fn transfer(debit: Account, credit: Account, asset: &str, units: i64) -> Transfer {
    Transfer { debit, credit, asset: AssetId::new(asset), units }
}

fn base() -> Account {
    Account::Network(NetworkId::new("test:base"))
}

/// Five transfers of two orders, three of them of one event, and one that no event asked for.
fn postings() -> Vec<Posting> {
    let (first, second) = (Account::Order(1_001), Account::Order(1_002));
    vec![
        posting(3, 0, 1_001, transfer(base(), first.clone(), "usdc", 100)),
        posting(4, 0, 1_001, transfer(first.clone(), Account::SalesOf("giftcard".to_owned()), "usdc", 60)),
        posting(4, 1, 1_001, transfer(first.clone(), Account::SalesOf("mobile_recharge".to_owned()), "usdc", 30)),
        posting(4, 2, 1_001, transfer(first, Account::Differences, "usdc", 10)),
        posting(5, 0, 1_002, transfer(base(), second, "dai", 7)),
        posting(6, 0, 0, transfer(Account::Cold(NetworkId::new("test:base")), base(), "usdc", 40)),
    ]
}

/// The same in the database, with the events that they come from.
fn posted(conn: &mut Conn) {
    let made: Vec<_> = (1..=2).map(market::order).collect();
    let rows: Vec<Changed<'_>> = made.iter().map(|order| Changed { order, prior_version: 0 }).collect();
    let event = |seq, number, version, event| LoggedEvent {
        seq,
        order: order_id(number),
        version,
        at: START + Span::seconds(seq),
        event,
        told: false,
    };
    let log =
        [event(3, 1, 2, Event::Expired), event(4, 1, 3, Event::LateWindowClosed), event(5, 2, 2, Event::Canceled)];
    write(conn, |tx| {
        orders::write(tx, &rows)?;
        orders::append_events(tx, &log)?;
        orders::post(tx, &postings())
    });
}

fn entry(posting: &Posting, kind: Option<&str>) -> Entry {
    Entry {
        seq: posting.seq,
        part: posting.part,
        order_no: posting.order_no,
        at: posting.at,
        kind: kind.map(str::to_owned),
        transfer: posting.transfer.clone(),
    }
}

#[test]
fn pages_follow_one_another_whatever_their_size() {
    for_each_store(|conn| {
        assert!(read(conn, |tx| ledger::entries_after(tx, (0, 0), 9)).is_empty());
        posted(conn);
        let closed = Some("late_window_closed");
        let kinds = [Some("expired"), closed, closed, closed, Some("canceled"), None];
        let all: Vec<Entry> = postings().iter().zip(kinds).map(|(posting, kind)| entry(posting, kind)).collect();
        for size in [1, 2, 3, 6, 100] {
            let (mut found, mut after) = (Vec::new(), (0, 0));
            loop {
                let page = read(conn, |tx| ledger::entries_after(tx, after, size));
                let Some(last) = page.last() else { break };
                after = (last.seq, last.part);
                found.extend(page);
            }
            assert_eq!(found, all, "pages of {size}");
        }
        // An account that no version has written is damage, not something to be left out.
        write(conn, |tx| tx.execute("update ledger_transfers set debit = 'bank' where seq = 6", &[]));
        let damaged = conn.tx(server::store::Access::Read, |tx| ledger::entries_after(tx, (0, 0), 9));
        assert!(matches!(damaged, Err(DbError::Corrupt { what: "account of the ledger" })), "{damaged:?}");
    });
}

#[test]
fn an_order_has_its_own_transfers_and_an_asset_its_orders() {
    for_each_store(|conn| {
        posted(conn);
        let of = |conn: &mut Conn, numbers: &[u64]| -> Vec<(i64, i64)> {
            let ids: Vec<_> = numbers.iter().map(|number| order_id(*number)).collect();
            read(conn, |tx| ledger::entries_of(tx, &ids)).iter().map(|entry| (entry.seq, entry.part)).collect()
        };
        assert_eq!(of(conn, &[1]), [(3, 0), (4, 0), (4, 1), (4, 2)]);
        assert_eq!(of(conn, &[2]), [(5, 0)]);
        assert_eq!(of(conn, &[2, 9, 1]), [(3, 0), (4, 0), (4, 1), (4, 2), (5, 0)]);
        assert!(of(conn, &[]).is_empty());
        let moved = |conn: &mut Conn, asset: &str, limit| {
            read(conn, |tx| ledger::orders_that_moved(tx, &AssetId::new(asset), limit))
        };
        assert_eq!((moved(conn, "dai", 9), moved(conn, "usdc", 2)), (vec![1_002], vec![1_001, 1_001]));
        assert!(moved(conn, "eth", 9).is_empty());
    });
}

#[test]
fn balances_are_kept_by_asset_and_account() {
    for_each_store(|conn| {
        posted(conn);
        let balance = |account, asset: &str, debit_units, credit_units| Balance {
            account,
            asset: AssetId::new(asset),
            debit_units,
            credit_units,
        };
        let mut expected = vec![
            balance(base(), "dai", 7, 0),
            balance(base(), "usdc", 100, 40),
            balance(Account::SalesOf("giftcard".to_owned()), "usdc", 0, 60),
            balance(Account::SalesOf("mobile_recharge".to_owned()), "usdc", 0, 30),
            balance(Account::Differences, "usdc", 0, 10),
            balance(Account::Cold(NetworkId::new("test:base")), "usdc", 40, 0),
        ];
        expected.sort_by(|one, other| (&one.asset, &one.account).cmp(&(&other.asset, &other.account)));
        assert_eq!(read(conn, ledger::balances), expected);
    });
}

#[test]
fn orders_are_read_from_the_oldest_on() {
    for_each_store(|conn| {
        let made: Vec<_> = (1..=5).map(market::order).collect();
        let rows: Vec<Changed<'_>> = made.iter().map(|order| Changed { order, prior_version: 0 }).collect();
        write(conn, |tx| orders::write(tx, &rows));
        let mut numbers = |after: i64, limit: i64| -> Vec<i64> {
            read(conn, |tx| orders::oldest(tx, after, limit)).iter().map(|order| order.no).collect()
        };
        assert_eq!(numbers(0, 2), [1_001, 1_002]);
        assert_eq!(numbers(1_002, 9), [1_003, 1_004, 1_005]);
        assert!(numbers(1_005, 9).is_empty());
    });
}
