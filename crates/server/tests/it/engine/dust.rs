//! Very many transfers to one address, and very small ones. A card costs 101,500,000 units of USDC, of which a cent is 10,000.

use super::{Shop, close_late_window, expire, refusal};
use crate::market::{BOUGHT, DUE, TOLERANCE};
use crate::store::databases::{for_each_store, read};
use domain::chain::{ChainTransfer, Change};
use domain::decide::{Command, Refusal};
use domain::dust::{MOST_OTHER, MOST_OWN};
use domain::event::HoldReason;
use domain::ids::AssetId;
use domain::order::Order;
use domain::payment::{BLOCK_TIME_GRACE, TransferStatus};
use domain::postings::MOST_OF_ANOTHER;
use domain::project::OrderState;
use domain::time::Span;
use server::engine::SubmitError;
use server::store::{DbError, audit, transfers};

const CENT: i64 = 10_000;

/// So many transfers to the order's address in one block, confirmed at once.
fn send(shop: &mut Shop<'_>, order: &Order, count: usize, units: i64, asset: &AssetId) -> Vec<ChainTransfer> {
    let sent: Vec<ChainTransfer> = (0..count)
        .map(|_| ChainTransfer { asset: asset.clone(), ..shop.transfer(order, units, order.placed_at) })
        .collect();
    show(shop, order, &sent);
    sent
}

fn show(shop: &mut Shop<'_>, order: &Order, sent: &[ChainTransfer]) {
    let block = || "block-1".to_owned();
    let seen = sent.iter().map(|transfer| Change::Seen { transfer: transfer.clone(), height: 1, block_hash: block() });
    let confirmed = sent.iter().map(|transfer| Change::Confirmed(transfer.id.clone()));
    let changes: Vec<Change> = seen.chain(confirmed).collect();
    shop.scan(order, &changes);
}

/// Credits all that is due; answers how much that was.
fn credit_all(shop: &mut Shop<'_>) -> usize {
    let due = read(shop.conn, |tx| transfers::due(tx, 10_000));
    for transfer in &due {
        shop.submit(Command::Credit { transfer: transfer.clone() }).expect("it is news");
    }
    due.len()
}

fn of_nobody(shop: &mut Shop<'_>) -> usize {
    read(shop.conn, |tx| transfers::of_no_order(tx, 10_000)).len()
}

#[test]
fn transfers_below_a_cent_are_facts_and_touch_no_order() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let coin = order.quote.asset.clone();
        send(&mut shop, &order, 300, 1, &coin);
        send(&mut shop, &order, 300, CENT - 1, &coin);
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (0, 600));
        assert_eq!(shop.order(order.id), *order);
        // Not even unconfirmed do they keep the order's holds.
        let late = shop.place(2, BOUGHT);
        let dust = shop.transfer(&late, 1, late.placed_at);
        shop.scan_seen(&late, &dust);
        assert_eq!(shop.submit(expire(&late)).expect("nothing is awaited").state, OrderState::Expired);

        let paid = shop.pay(&order, DUE, order.placed_at);
        assert_eq!((paid.state, paid.payment.received.len()), (OrderState::PaymentReceived, 1));
        shop.check();
    });
}

#[test]
fn an_order_takes_a_hundred_transfers_and_the_one_that_completes_its_payment() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let coin = order.quote.asset.clone();
        let sent = send(&mut shop, &order, 150, CENT, &coin);
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (100, 50));
        // The same blocks again, and three more transfers.
        show(&mut shop, &order, &sent);
        send(&mut shop, &order, 3, CENT, &coin);
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (0, 53));
        assert_eq!(shop.order(order.id).payment.received.len(), MOST_OWN);

        // 100 cents of 101.50 are there.
        let paid = shop.pay(&order, DUE - 100 * CENT, order.placed_at);
        assert_eq!((paid.state, paid.credit_units), (OrderState::PaymentReceived, 0));
        shop.check();
    });
}

/// 100 cents and 150 halves of a dollar are 76 of 101.50 dollars.
#[test]
fn small_transfers_keep_no_large_one_away() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let coin = order.quote.asset.clone();
        send(&mut shop, &order, 120, CENT, &coin);
        send(&mut shop, &order, 150, 50 * CENT, &coin);
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (250, 20));
        send(&mut shop, &order, 1, 50 * CENT - 1, &coin);
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (0, 21));
        assert_eq!(shop.order(order.id).credit_units, 7_600 * CENT);
        shop.check();
    });
}

#[test]
fn what_completes_a_payment_counts_however_small_it_is() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let short = shop.pay(&order, DUE - TOLERANCE - 1, order.placed_at);
        assert_eq!(short.state, OrderState::PartialPaymentStarted);
        // Both transfers in one scan: with the first, nothing is missing for the second.
        let coin = order.quote.asset.clone();
        send(&mut shop, &order, 2, 1, &coin);
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (1, 1));
        assert_eq!(shop.order(order.id).state, OrderState::PaymentReceived);
        shop.check();
    });
}

#[test]
fn other_tokens_are_shown_on_the_order_ten_times() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        send(&mut shop, &order, 40, DUE, &AssetId::new("test:base/another"));
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (MOST_OTHER, 30));
        let paid = shop.pay(&order, DUE, order.placed_at);
        assert_eq!((paid.state, paid.payment.received.len()), (OrderState::PaymentReceived, 11));
        shop.check();
    });
}

#[test]
fn ten_units_of_another_token_hide_no_payment_in_it_and_absurd_amounts_are_nobodys() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let other = AssetId::new("test:base/another");
        send(&mut shop, &order, 30, 1, &other);
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (MOST_OTHER, 20));
        send(&mut shop, &order, 2, DUE, &other);
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (1, 21));
        send(&mut shop, &order, 1, MOST_OF_ANOTHER + 1, &other);
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (0, 22));
        send(&mut shop, &order, 1, MOST_OF_ANOTHER, &other);
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (1, 22));
        assert_eq!(shop.order(order.id).owed_units(&other), 10 + DUE + MOST_OF_ANOTHER);
        // What is on the order is in the books: the audit finds no difference.
        let whole = read(shop.conn, audit::whole);
        assert_eq!(whole.shown[&other].units, whole.booked[&other]);
        shop.check();
    });
}

#[test]
fn what_an_order_took_stays_its_own_in_whatever_block_it_is() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let coin = order.quote.asset.clone();
        let sent = send(&mut shop, &order, MOST_OWN, CENT, &coin);
        assert_eq!(credit_all(&mut shop), MOST_OWN);
        let moved = ChainTransfer { block_at: sent[0].block_at + Span::minutes(1), ..sent[0].clone() };
        shop.scan_reverted(&order, &moved);
        assert_eq!(credit_all(&mut shop), 1);
        show(&mut shop, &order, std::slice::from_ref(&moved));
        assert_eq!((credit_all(&mut shop), of_nobody(&mut shop)), (1, 0));
        let order = shop.order(order.id);
        let confirmed = order.payment.received.iter().filter(|r| r.status == TransferStatus::Confirmed).count();
        assert_eq!((confirmed, order.credit_units), (100, 100 * CENT));
        shop.check();
    });
}

/// Money that is not confirmed yet keeps an order open as long as its block is in time, and no longer.
#[test]
fn what_comes_after_a_window_does_not_keep_it_open() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let is_refused = |answer: super::Answer| matches!(refusal(&answer), Some(Refusal::Conflict(_)));
        let unconfirmed = |shop: &mut Shop<'_>, order: &Order, block_at| {
            let transfer = shop.transfer(order, CENT, block_at);
            shop.scan_seen(order, &transfer);
            shop.credit(&transfer).expect("it is news");
        };
        let order = shop.place(1, BOUGHT);
        let on_time_until = order.expires_at + BLOCK_TIME_GRACE;
        unconfirmed(&mut shop, &order, on_time_until);
        assert!(is_refused(shop.submit(expire(&order))), "it is on time");

        let order = shop.place(2, BOUGHT);
        unconfirmed(&mut shop, &order, on_time_until + Span(1));
        shop.submit(expire(&order)).expect("it is late");
        assert!(is_refused(shop.submit(close_late_window(&order))), "it came within the late window");

        let order = shop.place(3, BOUGHT);
        unconfirmed(&mut shop, &order, order.late_until() + Span(1));
        shop.submit(expire(&order)).expect("it is late");
        let closed = shop.submit(close_late_window(&order)).expect("even for that");
        assert!(closed.payment.closed);
        shop.check();
    });
}

#[test]
fn a_payment_that_the_books_cannot_hold_stops_its_order_and_no_other() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let first = shop.place(1, BOUGHT);
        shop.pay(&first, i64::MAX - 1, first.placed_at);
        let second = shop.place(2, BOUGHT);
        let transfer = shop.transfer(&second, DUE, second.placed_at);
        shop.scan_seen(&second, &transfer);
        shop.scan_confirmed(&second, &transfer);
        let answer = shop.credit(&transfer);
        assert!(matches!(answer, Err(SubmitError::Database(DbError::Invariant(_)))), "{answer:?}");
        assert!(shop.order(second.id).held_for(HoldReason::InvariantBroken).is_some());
        assert_eq!(shop.order(first.id).state, OrderState::PaymentReceived);
        shop.check();
    });
}
