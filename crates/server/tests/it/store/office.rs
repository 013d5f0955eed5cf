//! The exchange office: files in force, reserves, orders by status and account, notifications, and keys of accounts.

use super::databases::{account, for_each_store, read, write};
use crate::harness::START;
use crate::market::placed;
use domain::ids::{AssetId, NetworkId, ObjectId};
use domain::limits::Counter;
use domain::order::Order;
use domain::payout::Payout;
use domain::project::ExchangeStatus;
use domain::route::{DealRate, Side, StatedReserve, Trade, reserve_key};
use domain::time::{Span, Time};
use server::store::accounts::{self, Role};
use server::store::api_keys::{self, ApiKey, MOST_KEYS};
use server::store::deliveries::{self, Outcome, Planned};
use server::store::orders::{self, Changed, LoggedEvent, TradeChange};
use server::store::{Conn, claims, exchange};

fn side(xml: &str) -> Side {
    Side {
        currency: ObjectId::new("67addeeb3887c106317a1343"),
        xml: xml.to_owned(),
        name: xml.to_owned(),
        symbol: xml.to_owned(),
        decimals: 2,
        units: 100,
        asset: AssetId::new("manual/x"),
        network: NetworkId::new("manual"),
        scale: 2,
    }
}

/// What was agreed in an exchange order.
pub fn terms() -> Trade {
    Trade {
        route: ObjectId::new("67addfff3887c106317a1588"),
        from: side("A"),
        to: side("B"),
        rate: DealRate::new("1.5".parse().expect("a decimal"), 3).expect("a rate"),
        discount_bps: 0,
        fee_units: 0,
        reprice_bps: 0,
        auto_payout: false,
        skip_preview: false,
        hide_out_data: false,
        recipient: None,
        receiver: None,
        told_again: false,
        client_type: None,
        commission: None,
    }
}

/// An exchange order of that customer; in no database.
pub fn trade(number: u64, customer: Option<&str>) -> Order {
    let (mut order, _) = placed(number);
    order.quote.trade = Some(Box::new(terms()));
    order.payout = Some(Payout::Planned { attempt: 0 });
    order.origin.customer = customer.map(str::to_owned);
    order
}

pub fn keep(conn: &mut Conn, order: &Order) {
    write(conn, |tx| orders::write(tx, &[Changed { order, prior_version: 0 }]));
}

#[test]
fn the_newest_file_is_in_force_and_a_statement_changes_its_name() {
    for_each_store(|conn| {
        assert_eq!(read(conn, exchange::in_force), "");
        assert_eq!(read(conn, exchange::newest_body), None);
        write(conn, |tx| exchange::add(tx, "one", "first", START));
        write(conn, |tx| exchange::add(tx, "two", "second", START + Span(1)));
        assert_eq!(read(conn, exchange::in_force), "two.0");
        // An older file that is imported again is the newest.
        write(conn, |tx| exchange::add(tx, "one", "first", START + Span(2)));
        assert_eq!(read(conn, exchange::newest_body).as_deref(), Some("first"));
        write(conn, |tx| exchange::state_reserve(tx, "BTC", 8, "2.5"));
        assert_eq!(read(conn, exchange::in_force), "one.1");
        // What paid orders have used by the next statement counts no more.
        let used = Counter { held: 7, used: 30 };
        write(conn, |tx| claims::write_counters(tx, vec![(reserve_key("BTC", 8), used)]));
        write(conn, |tx| exchange::state_reserve(tx, "BTC", 8, "3"));
        let stated = StatedReserve { amount: "3".to_owned(), used_before_units: 30, decimals: 8, epoch: 2 };
        assert_eq!(read(conn, exchange::reserves)["BTC"], stated);
        assert!(!read(conn, exchange::is_closed));
        write(conn, |tx| exchange::set_closed(tx, true));
        assert_eq!(
            (read(conn, exchange::is_closed), read(conn, exchange::in_force)),
            (true, "one.2.closed".to_owned())
        );
        write(conn, |tx| exchange::set_closed(tx, false));
        for number in 0..25 {
            write(conn, |tx| exchange::add(tx, &format!("file-{number}"), "x", START + Span(10 + number)));
        }
        assert_eq!(read(conn, exchange::in_force), "file-24.2");
    });
}

#[test]
fn exchange_orders_are_found_by_status_and_by_account_and_goods_are_not() {
    for_each_store(|conn| {
        let (goods, _) = placed(1);
        assert_eq!(orders::status_column(&goods), None);
        keep(conn, &goods);
        let mine = [trade(2, Some("me")), trade(3, Some("me"))];
        mine.iter().for_each(|order| keep(conn, order));
        let mut paid = trade(4, Some("you"));
        paid.payout = Some(Payout::Done { at: START, proof: "x".to_owned() });
        assert_eq!(orders::status_column(&paid).as_deref(), Some("done"));
        keep(conn, &paid);
        let numbers = |orders: &[Order]| orders.iter().map(|order| order.no).collect::<Vec<_>>();
        assert_eq!(numbers(&read(conn, |tx| orders::newest_trades(tx, None, 10))), [1_004, 1_003, 1_002]);
        let done = Some(ExchangeStatus::Done);
        assert_eq!(numbers(&read(conn, |tx| orders::newest_trades(tx, done, 10))), [1_004]);
        let (page, total) = read(conn, |tx| orders::trades_of(tx, "me", &[], (1, 5)));
        assert_eq!((numbers(&page), total), (vec![1_002], 2));
        let (page, total) = read(conn, |tx| orders::trades_of(tx, "me", &[ExchangeStatus::Done], (0, 5)));
        assert_eq!((page.len(), total), (0, 0));
        let (page, _) = read(conn, |tx| orders::trades_of(tx, "you", &[ExchangeStatus::Done], (0, 5)));
        assert_eq!(numbers(&page), [1_004]);
    });
}

#[test]
fn changes_of_exchange_orders_are_read_from_the_log_in_pages() {
    for_each_store(|conn| {
        let (goods, event) = placed(1);
        let order = trade(2, None);
        keep(conn, &goods);
        keep(conn, &order);
        let logged = |seq: i64, order: &Order, version: i64| LoggedEvent {
            seq,
            order: order.id,
            version,
            at: START,
            event: event.clone(),
            told: false,
        };
        let log = [logged(1, &goods, 1), logged(2, &order, 1), logged(3, &goods, 2), logged(4, &order, 2)];
        write(conn, |tx| orders::append_events(tx, &log));
        let change = TradeChange { no: order.no, placed_at: order.placed_at };
        let page = read(conn, |tx| orders::traded_after(tx, 0, 3));
        assert_eq!((page.newest, page.trades), (3, vec![change]));
        let page = read(conn, |tx| orders::traded_after(tx, 3, 3));
        assert_eq!((page.newest, page.trades), (4, vec![change]));
        assert_eq!(read(conn, |tx| orders::traded_after(tx, 4, 3)).newest, 0);
    });
}

#[test]
fn a_notification_is_taken_once_and_its_orders_next_one_waits_for_it() {
    for_each_store(|conn| {
        let (one, other) = (trade(1, None), trade(2, None));
        let planned = |seq: i64, order: &Order, receiver: &str, at: Time| Planned {
            seq,
            order: order.id,
            receiver: receiver.to_owned(),
            status: ExchangeStatus::Done,
            at,
            retries: false,
            attempts: 0,
        };
        let all = [
            planned(1, &one, "a", START),
            planned(2, &one, "a", START + Span(5)),
            planned(3, &other, "b", START + Span(6)),
        ];
        write(conn, |tx| deliveries::plan(tx, &all));
        let due = |conn: &mut Conn, but: &[String], since: Time| -> Vec<i64> {
            read(conn, |tx| deliveries::due(tx, but, &[], since, START, 10)).iter().map(|planned| planned.seq).collect()
        };
        assert_eq!(read(conn, |tx| deliveries::due(tx, &[], &[], START, START, 1)), [all[0].clone()]);
        assert_eq!(due(conn, &["a".to_owned()], START), [3]);
        assert_eq!(write(conn, |tx| deliveries::take(tx, &[all[0].clone(), all[2].clone()], START, START)), [1, 3]);
        let only = ["b".to_owned(), "c".to_owned()];
        assert_eq!(
            read(conn, |tx| deliveries::due(tx, &[], &only, START + Span(9), START, 10)),
            [],
            "b's has been taken"
        );
        let later = START + Span(1);
        let late = write(conn, |tx| deliveries::take(tx, &all[..2], START, later));
        assert_eq!(late, Vec::<i64>::new(), "1 has been taken, and 2 waits for it");
        assert_eq!(write(conn, |tx| deliveries::take(tx, &all[1..2], START, START)), [2]);
        write(conn, |tx| deliveries::plan(tx, &[planned(4, &one, "a", START + Span(9))]));
        assert_eq!(due(conn, &[], START), Vec::<i64>::new(), "one of its order is under way");
        // Whoever took it long ago is gone.
        assert_eq!(due(conn, &[], START + Span(1)), [4]);
        write(conn, |tx| deliveries::note(tx, [1, 2, 3].map(|seq| Outcome::Ended { seq }).to_vec()));
        assert_eq!(due(conn, &[], START), [4]);
        assert_eq!(write(conn, |tx| deliveries::forget_before(tx, START + Span(9))), 0, "what was sent is gone");
        assert_eq!(write(conn, |tx| deliveries::forget_before(tx, START + Span(10))), 1, "it waited in vain");
        assert_eq!(due(conn, &[], START), Vec::<i64>::new());
    });
}

/// Of orders whose key asks for it.
#[test]
fn a_notification_that_is_told_again_keeps_the_next_ones_of_its_order_waiting() {
    for_each_store(|conn| {
        let (one, other) = (trade(1, None), trade(2, None));
        let planned = |seq: i64, order: &Order| Planned {
            seq,
            order: order.id,
            receiver: "a".to_owned(),
            status: ExchangeStatus::Done,
            at: START,
            retries: true,
            attempts: 0,
        };
        write(conn, |tx| deliveries::plan(tx, &[planned(1, &one), planned(2, &one), planned(3, &other)]));
        assert_eq!(write(conn, |tx| deliveries::take(tx, &[planned(1, &one)], START, START)), [1]);
        let later = START + Span(5);
        let again = Outcome::Again { seq: 1, attempts: 1, due_at: later };
        write(conn, |tx| deliveries::note(tx, vec![again]));
        let due = |conn: &mut Conn, now: Time| -> Vec<(i64, i64)> {
            let due = read(conn, |tx| deliveries::due(tx, &[], &[], START, now, 10));
            due.iter().map(|planned| (planned.seq, planned.attempts)).collect()
        };
        assert_eq!(due(conn, START + Span(4)), [(3, 0)]);
        assert_eq!(due(conn, later), [(1, 1), (2, 0), (3, 0)]);
        // Whoever read it before it was put back has come too late, and it is not due before its time.
        let again = Planned { attempts: 1, ..planned(1, &one) };
        assert_eq!(write(conn, |tx| deliveries::take(tx, &[planned(1, &one)], START, later)), Vec::<i64>::new());
        let early = write(conn, |tx| deliveries::take(tx, std::slice::from_ref(&again), START, START + Span(4)));
        assert_eq!(early, Vec::<i64>::new());
        // Whoever took it died.
        assert_eq!(write(conn, |tx| deliveries::take(tx, &[again], START, later)), [1]);
        assert_eq!(due(conn, later), [(3, 0)], "2 waits for whoever has 1");
        assert!(
            !read(conn, |tx| deliveries::is_left(tx, later))
                && read(conn, |tx| deliveries::is_left(tx, later + Span(1)))
        );
        assert_eq!(write(conn, |tx| deliveries::requeue(tx, later)), 0, "not yet");
        assert_eq!(write(conn, |tx| deliveries::requeue(tx, later + Span(1))), 1);
        assert_eq!(due(conn, later), [(1, 1), (2, 0), (3, 0)]);
        write(conn, |tx| deliveries::plan(tx, &[Planned { retries: false, ..planned(4, &other) }]));
        assert_eq!(write(conn, |tx| deliveries::take(tx, &[planned(4, &other)], START, START)), [4]);
        assert_eq!(write(conn, |tx| deliveries::requeue(tx, later)), 0, "it may be lost, never told twice");
    });
}

#[test]
fn an_account_has_five_keys_at_most_and_a_closed_one_none() {
    for_each_store(|conn| {
        let key = |number: usize, account: &str| ApiKey {
            key: format!("EX_{number}"),
            account: account.to_owned(),
            name: "test".to_owned(),
            permissions: "base".to_owned(),
            allowed_from: String::new(),
            ipn_retries: number == 1,
            own: number == 2,
            created_at: START + Span(number as i64),
        };
        assert!(write(conn, |tx| api_keys::claim_signature(tx, "k:1:h", START)));
        assert!(!write(conn, |tx| api_keys::claim_signature(tx, "k:1:h", START)), "the same call again");
        assert_eq!(write(conn, |tx| api_keys::forget_signatures(tx, START)), 0);
        assert_eq!(write(conn, |tx| api_keys::forget_signatures(tx, START + Span(1))), 1);
        assert!(write(conn, |tx| accounts::add(tx, &account("one"))));
        assert_eq!(read(conn, |tx| accounts::by_id(tx, "one")), Some(account("one")));
        assert_eq!(read(conn, |tx| accounts::by_id(tx, "two")), None);
        for number in 0..MOST_KEYS {
            assert!(write(conn, |tx| api_keys::add(tx, &key(number, "one"))));
        }
        assert!(!write(conn, |tx| api_keys::add(tx, &key(9, "one"))));
        assert_eq!(read(conn, |tx| api_keys::of_account(tx, "one"))[1], key(1, "one"));
        assert!(!write(conn, |tx| api_keys::remove(tx, "two", "EX_1")), "another's key");
        assert!(write(conn, |tx| api_keys::remove(tx, "one", "EX_1")));
        assert!(write(conn, |tx| api_keys::add(tx, &key(9, "one"))));
        assert_eq!(read(conn, |tx| api_keys::active(tx, "EX_9")), Some(key(9, "one")));
        assert_eq!(read(conn, |tx| api_keys::active(tx, "EX_1")), None);
        let bound = ApiKey { allowed_from: "192.0.2.0/24".to_owned(), ..key(9, "one") };
        assert!(key(9, "one").may_be_used_from(None) && !bound.may_be_used_from(None));
        assert!(read(conn, |tx| api_keys::of_account(tx, "one")).iter().any(|key| key.own));
        assert_eq!(write(conn, |tx| api_keys::remove_own(tx, "one")), 1);
        assert!(read(conn, |tx| api_keys::of_account(tx, "one")).iter().all(|key| !key.own));
        write(conn, |tx| accounts::set_active(tx, Role::Customer, "one", false));
        assert_eq!(read(conn, |tx| api_keys::active(tx, "EX_9")), None);
    });
}
