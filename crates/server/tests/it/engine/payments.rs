//! Money in: paid in time, short, too much, late, gone again. Amounts are in units of USDC: a card costs 101,500,000.

use super::{Shop, begin, close_late_window, expire, place, refusal};
use crate::market::{self, BOUGHT, DUE, OWN, TOLERANCE, network_id, order_id};
use crate::store::databases::{for_each_store, read, write};
use domain::chain::ChainTransfer;
use domain::decide::{Command, Refusal};
use domain::event::{Event, HoldReason, Settlement};
use domain::ids::AssetId;
use domain::limits::{Counter, day_key, month_key};
use domain::order::Order;
use domain::payment::{BLOCK_TIME_GRACE, LATE_WINDOW};
use domain::project::OrderState;
use domain::time::{Span, Time};
use server::store::{claims, orders, stock};

const HALF: i64 = 50_000_000;

/// Debits less credits of each shared account.
fn books(shop: &mut Shop<'_>) -> Vec<(String, i64)> {
    let sql = "select account, debit_units - credit_units from balances order by account";
    let rows = read(shop.conn, |tx| tx.query(sql, &[]));
    rows.iter().map(|row| (row.text(0).to_owned(), row.int(1))).collect()
}

/// The kinds of an order's events, oldest first.
fn kinds(shop: &mut Shop<'_>, order: &Order) -> Vec<&'static str> {
    let log = read(shop.conn, |tx| orders::events_of(tx, order.id));
    log.iter().map(|logged| logged.event.kind()).collect()
}

/// How the order was settled, and what was sent too little or (negative) too much.
fn settlement(shop: &mut Shop<'_>, order: &Order) -> Option<(Settlement, i64)> {
    let log = read(shop.conn, |tx| orders::events_of(tx, order.id));
    log.iter().find_map(|logged| match logged.event {
        Event::PaymentSettled { settlement, difference_units, .. } => Some((settlement, difference_units)),
        _ => None,
    })
}

/// The end of the time in which a block is on time.
fn last_moment(order: &Order) -> Time {
    order.expires_at + BLOCK_TIME_GRACE
}

#[test]
fn a_payment_is_seen_then_confirmed_and_settles_the_order() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        assert_eq!((order.quote.due_units, order.tolerance_units), (DUE, TOLERANCE));
        let transfer = shop.transfer(&order, DUE, order.placed_at);
        shop.scan_seen(&order, &transfer);
        let seen = shop.credit(&transfer).expect("the payment is news");
        assert_eq!((seen.state, seen.credit_units), (OrderState::PaymentStarted, 0));
        let again = shop.credit(&transfer);
        assert!(matches!(refusal(&again), Some(Refusal::AlreadyDone(_))), "{again:?}");

        shop.scan_confirmed(&order, &transfer);
        let paid = shop.credit(&transfer).expect("the payment is confirmed");
        assert_eq!((paid.state, paid.credit_units), (OrderState::PaymentReceived, 0));
        assert_eq!(paid.payment.settled_at, Some(shop.now));
        assert_eq!(kinds(&mut shop, &order), ["placed", "payment_seen", "payment_confirmed", "payment_settled"]);
        assert_eq!(settlement(&mut shop, &order), Some((Settlement::OnTime, 0)));
        assert_eq!(books(&mut shop), [("network:test:base".to_owned(), DUE), ("sales:giftcard".to_owned(), -DUE)]);

        // 100 USD count as 100 EUR while no rate is known, from settlement on, because nobody proved the address.
        let subject = "email:buyer-1";
        let keys = [day_key(subject, order.placed_at), month_key(subject, order.placed_at)];
        let counters = read(shop.conn, |tx| claims::counters(tx, &keys));
        for key in &keys {
            assert_eq!(counters.get(key), Some(&Counter { held: 0, used: 10_000 }), "{key:?}");
        }
        shop.check();
    });
}

#[test]
fn two_standings_in_one_batch_are_credited_once() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let transfer = shop.transfer(&order, DUE, order.placed_at);
        shop.scan_seen(&order, &transfer);
        shop.scan_confirmed(&order, &transfer);
        let credit = || Command::Credit { transfer: transfer.id.clone() };
        let answers = shop.commit(vec![credit(), credit()]);
        assert!(answers[0].is_ok(), "{answers:?}");
        assert!(matches!(refusal(&answers[1]), Some(Refusal::AlreadyDone(_))), "{answers:?}");
        assert_eq!(kinds(&mut shop, &order), ["placed", "payment_confirmed", "payment_settled"]);
        shop.check();
    });
}

/// Each row: units sent, what of it is a difference within the tolerance, what stays the payer's.
#[test]
fn trifles_are_kept_and_more_than_half_a_dollar_is_owed() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let table = [
            (DUE, 0, 0),
            (DUE - TOLERANCE, TOLERANCE, 0),
            (DUE + 1, -1, 0),
            (DUE + 500_000, -500_000, 0),
            (DUE + 500_001, 0, 500_001),
            (DUE + DUE, 0, DUE),
        ];
        for (number, (units, difference, owed)) in (1..).zip(table) {
            let order = shop.place(number, BOUGHT);
            let paid = shop.pay(&order, units, order.placed_at);
            assert_eq!(settlement(&mut shop, &order), Some((Settlement::OnTime, difference)), "{units}");
            assert_eq!(paid.credit_units, owed, "{units}");
        }
        let order = shop.place(99, BOUGHT);
        let short = shop.pay(&order, DUE - TOLERANCE - 1, order.placed_at);
        assert_eq!((short.state, short.payment.settled_at), (OrderState::PartialPaymentStarted, None));
        shop.check();
    });
}

#[test]
fn the_rest_of_a_short_payment_settles_and_a_second_payment_is_owed_back() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let short = shop.pay(&order, HALF, order.placed_at);
        assert_eq!((short.state, short.credit_units), (OrderState::PartialPaymentStarted, HALF));
        let paid = shop.pay(&order, DUE - HALF, order.expires_at);
        assert_eq!((paid.state, paid.credit_units), (OrderState::PaymentReceived, 0));
        let twice = shop.pay(&order, DUE, order.expires_at);
        assert_eq!((twice.state, twice.credit_units), (OrderState::PaymentReceived, DUE));
        assert_eq!(
            books(&mut shop),
            [("network:test:base".to_owned(), DUE + DUE), ("sales:giftcard".to_owned(), -DUE)]
        );
        shop.check();
    });
}

#[test]
fn what_reaches_nobodys_address_or_is_another_token_settles_nothing() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let another = AssetId::new("test:base/another");
        let look_alike = ChainTransfer { asset: another, ..shop.transfer(&order, DUE, order.placed_at) };
        shop.scan_seen(&order, &look_alike);
        shop.scan_confirmed(&order, &look_alike);
        let after = shop.credit(&look_alike).expect("it is noted");
        assert_eq!((after.state, after.credit_units), (OrderState::WaitingForPayment, 0));

        let stray = ChainTransfer { to: "evm-00200".to_owned(), ..shop.transfer(&order, DUE, order.placed_at) };
        shop.scan_seen(&order, &stray);
        assert_eq!(refusal(&shop.credit(&stray)), Some(&Refusal::UnknownOrder));
        shop.check();
    });
}

#[test]
fn an_unpaid_order_expires_once_its_network_is_scanned_past_the_window() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        shop.stock(OWN, 1);
        let order = shop.place(1, OWN);
        let not_yet = shop.submit(Command::Expire { order: order.id, scanned_through: order.expires_at });
        assert!(matches!(refusal(&not_yet), Some(Refusal::Conflict(_))), "{not_yet:?}");
        assert_eq!(shop.shelf(OWN), (1, 1));
        let expired = shop.submit(expire(&order)).expect("its window is over");
        assert_eq!((expired.state, expired.counts_are_held), (OrderState::Expired, false));
        assert_eq!(shop.shelf(OWN), (1, 0));
        let again = shop.submit(expire(&order));
        assert!(matches!(refusal(&again), Some(Refusal::AlreadyDone(_))), "{again:?}");
        let early = Command::CloseLateWindow { order: order.id, scanned_through: order.late_until() };
        assert!(matches!(refusal(&shop.submit(early)), Some(Refusal::Conflict(_))), "late money may still be found");
        let closed = shop.submit(close_late_window(&order)).expect("the late window ends, too");
        assert!(closed.payment.closed);
        assert!(read(shop.conn, |tx| orders::steps_of(tx, order.id)).is_empty());
        shop.check();
    });
}

#[test]
fn a_block_a_minute_after_the_window_is_on_time_whatever_the_clock_says() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        for (number, expires_first) in [(1, false), (2, true)] {
            let order = shop.place(number, BOUGHT);
            if expires_first {
                shop.submit(expire(&order)).expect("its window is over");
            }
            let paid = shop.pay(&order, DUE, last_moment(&order));
            assert_eq!((paid.state, paid.credit_units), (OrderState::PaymentReceived, 0));
            assert_eq!(settlement(&mut shop, &order), Some((Settlement::OnTime, 0)));
        }
        shop.check();
    });
}

#[test]
fn a_late_payment_settles_within_the_late_window_and_not_after_it() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        for (number, expires_first) in [(1, false), (2, true)] {
            let order = shop.place(number, BOUGHT);
            if expires_first {
                shop.submit(expire(&order)).expect("its window is over");
            }
            let paid = shop.pay(&order, DUE, last_moment(&order) + LATE_WINDOW);
            assert_eq!((paid.state, paid.credit_units), (OrderState::PaymentReceived, 0));
            assert_eq!(settlement(&mut shop, &order), Some((Settlement::Late, 0)));
        }
        for (number, expires_first) in [(3, false), (4, true)] {
            let order = shop.place(number, BOUGHT);
            if expires_first {
                shop.submit(expire(&order)).expect("its window is over");
            }
            let late = shop.pay(&order, DUE, last_moment(&order) + LATE_WINDOW + Span(1));
            assert_eq!((late.state, late.credit_units), (OrderState::Expired, DUE));
            assert_eq!(settlement(&mut shop, &order), None);
        }
        shop.check();
    });
}

#[test]
fn a_late_payment_gets_no_code_that_was_promised_to_another() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        shop.stock(OWN, 1);
        let late = shop.place(1, OWN);
        shop.submit(expire(&late)).expect("its window is over");
        let quick = shop.place(2, OWN);
        let unserved = shop.pay(&late, DUE, last_moment(&late) + Span(1));
        assert_eq!((unserved.state, unserved.credit_units), (OrderState::Expired, DUE));
        assert_eq!(shop.shelf(OWN), (1, 1));
        let paid = shop.pay(&quick, DUE, quick.placed_at);
        assert_eq!(paid.state, OrderState::PaymentReceived);
        shop.check();

        // With a free code it claims again.
        let more = market::codes(OWN, 2).split_off(1);
        let now = shop.now;
        write(shop.conn, |tx| stock::add(tx, more, now));
        let third = shop.place(3, OWN);
        shop.submit(expire(&third)).expect("its window is over");
        let paid = shop.pay(&third, DUE, last_moment(&third) + Span(1));
        assert_eq!(paid.state, OrderState::PaymentReceived);
        assert_eq!(shop.shelf(OWN), (2, 2));
        shop.check();
    });
}

#[test]
fn money_that_vanishes_before_delivery_stops_the_order_until_it_is_back() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let transfer = shop.transfer(&order, DUE, order.placed_at);
        shop.scan_seen(&order, &transfer);
        shop.scan_confirmed(&order, &transfer);
        shop.credit(&transfer).expect("it is paid");

        shop.scan_reverted(&order, &transfer);
        let held = shop.credit(&transfer).expect("the order must know");
        assert_eq!(held.hold().map(|hold| hold.reason), Some(HoldReason::PaymentReverted));
        assert_eq!((held.state, held.credit_units), (OrderState::WaitingForManualAction, -DUE));
        let stopped = shop.submit(begin(&held, None));
        assert!(matches!(refusal(&stopped), Some(Refusal::Conflict(_))), "{stopped:?}");
        assert!(read(shop.conn, |tx| orders::steps_of(tx, order.id)).is_empty());
        shop.check();

        shop.scan_seen(&order, &transfer);
        shop.scan_confirmed(&order, &transfer);
        let back = shop.credit(&transfer).expect("it was mined again");
        assert_eq!((back.hold(), back.credit_units), (None, 0));
        shop.submit(begin(&back, None)).expect("it goes on");
        shop.check();
    });
}

#[test]
fn money_that_vanishes_before_it_settled_anything_is_only_noted() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        for is_confirmed in [false, true] {
            let transfer = shop.transfer(&order, HALF, order.placed_at);
            shop.scan_seen(&order, &transfer);
            if is_confirmed {
                shop.scan_confirmed(&order, &transfer);
            }
            shop.credit(&transfer).expect("it is news");
            shop.scan_reverted(&order, &transfer);
            let after = shop.credit(&transfer).expect("so is its end");
            assert_eq!((after.hold(), after.credit_units), (None, 0));
            assert_eq!(after.state, OrderState::PartialPaymentStarted, "the word never moves back");
        }
        let network = format!("network:{}", network_id("Base"));
        assert_eq!(books(&mut shop), [(network, 0)]);
        shop.check();
    });
}

/// A reorganisation may put a confirmed payment into a block that is not deep enough yet; then it is confirmed a second
/// time, but not credited.
#[test]
fn a_confirmed_payment_that_moves_into_a_young_block_counts_once() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let transfer = shop.transfer(&order, HALF, order.placed_at);
        shop.scan_seen(&order, &transfer);
        shop.scan_confirmed(&order, &transfer);
        shop.credit(&transfer).expect("it is confirmed");
        for is_deep in [false, true] {
            shop.scan_seen(&order, &transfer);
            if is_deep {
                shop.scan_confirmed(&order, &transfer);
            }
            let again = shop.credit(&transfer);
            assert!(matches!(refusal(&again), Some(Refusal::AlreadyDone(_))), "{again:?}");
        }
        assert_eq!(shop.order(order.id).credit_units, HALF);
        assert_eq!(books(&mut shop), [("network:test:base".to_owned(), HALF)]);
        shop.check();
    });
}

/// Whoever wants to cancel it is told what is in the way, not that the program is broken.
#[test]
fn a_settled_order_whose_payment_vanished_is_not_cancelled() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let transfer = shop.transfer(&order, DUE, order.placed_at);
        shop.scan_seen(&order, &transfer);
        shop.scan_confirmed(&order, &transfer);
        shop.credit(&transfer).expect("it is paid");
        shop.scan_reverted(&order, &transfer);
        shop.credit(&transfer).expect("the order must know");
        let canceled = shop.submit(Command::Cancel { order: order.id });
        assert!(matches!(refusal(&canceled), Some(Refusal::Conflict(_))), "{canceled:?}");
        shop.check();
    });
}

#[test]
fn a_cancelled_order_keeps_the_money_that_comes_all_the_same() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let answers = shop.commit(vec![place(1, BOUGHT), Command::Cancel { order: order_id(1) }]);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        let order = shop.order(order_id(1));
        let after = shop.pay(&order, DUE, order.placed_at);
        assert_eq!((after.state, after.credit_units), (OrderState::Canceled, DUE));
        assert_eq!(settlement(&mut shop, &order), None);
        let again = shop.submit(Command::Cancel { order: order.id });
        assert!(matches!(refusal(&again), Some(Refusal::AlreadyDone(_))), "{again:?}");
        shop.check();
    });
}
