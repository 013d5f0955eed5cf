//! One batch: numbers, addresses, what its commands see of each other, and what a refused one leaves.

use super::{Answer, Shop, begin, close_late_window, command, expire, place, refusal};
use crate::market::{self, BOUGHT, OWN, order_id};
use crate::store::databases::{everything, for_each_store, read, write};
use domain::asset::ChainKind;
use domain::decide::{Command, Refusal};
use domain::event::HoldReason;
use domain::ids::TransferId;
use domain::order::Order;
use domain::project::OrderState;
use domain::time::{Span, Time};
use domain::validate::Problem;
use server::engine::BATCH_LIMIT;
use server::store::{claims, head, orders};
use std::collections::BTreeSet;
use std::sync::Arc;

fn accepted(answers: Vec<Answer>) -> Vec<Arc<Order>> {
    answers.into_iter().map(|answer| answer.expect("the command is accepted")).collect()
}

#[test]
fn a_full_batch_gives_each_order_its_own_number_and_address() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let most = BATCH_LIMIT as u64;
        let placed = accepted(shop.commit((1..=most).map(|number| place(number, BOUGHT)).collect()));
        let numbers: Vec<i64> = placed.iter().map(|order| order.no).collect();
        assert_eq!(numbers, (1_001..1_257).collect::<Vec<i64>>());
        let addresses: Vec<&str> = placed.iter().map(|order| order.address.as_str()).collect();
        assert_eq!(addresses, market::addresses(ChainKind::Evm, BATCH_LIMIT), "in the order of the pool");

        let log = read(shop.conn, |tx| orders::events_after(tx, 0, 1_000));
        assert_eq!(log.iter().map(|logged| logged.seq).collect::<Vec<_>>(), (1..=256).collect::<Vec<i64>>());
        let logged: Vec<_> = log.iter().map(|logged| (logged.order, logged.version)).collect();
        assert_eq!(logged, placed.iter().map(|order| (order.id, 1_i64)).collect::<Vec<_>>());
        assert_eq!(read(shop.conn, head::last_seq), 256);
        assert_eq!(shop.order(order_id(256)), *placed[255]);
        assert_eq!(read(shop.conn, |tx| orders::personal(tx, order_id(9))), Some(market::place(9, &[BOUGHT]).personal));

        let next = shop.place(257, BOUGHT);
        assert_eq!((next.no, read(shop.conn, head::last_seq)), (1_257, 257));
        shop.check();
    });
}

#[test]
fn the_same_key_in_one_batch_makes_one_order() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let keyed = |number: u64, hash: &str| {
            let mut place = market::place(number, &[BOUGHT]);
            place.idempotency = Some(market::key("key", hash));
            command(place)
        };
        let answers = shop.commit(vec![keyed(1, "body"), keyed(2, "body"), keyed(3, "other"), place(4, BOUGHT)]);
        let later = shop.commit(vec![keyed(5, "body"), keyed(6, "other")]);
        for (answer, expected) in [
            (&answers[1], Refusal::Replay(order_id(1))),
            (&answers[2], Refusal::KeyReused),
            (&later[0], Refusal::Replay(order_id(1))),
            (&later[1], Refusal::KeyReused),
        ] {
            assert_eq!(refusal(answer), Some(&expected), "{answer:?}");
        }
        let numbers = [&answers[0], &answers[3]].map(|answer| answer.as_ref().map(|order| order.no).ok());
        assert_eq!(numbers, [Some(1_001), Some(1_002)], "a replay uses up no number");
        assert_eq!(read(shop.conn, |tx| claims::pool_size(tx, ChainKind::Evm)), (298, 300));
        shop.check();
    });
}

#[test]
fn three_codes_are_promised_to_three_of_five_orders() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        shop.stock(OWN, 3);
        let answers = shop.commit((1..=5).map(|number| place(number, OWN)).collect());
        assert!(answers[..3].iter().all(Result::is_ok), "{answers:?}");
        let none_left = Refusal::Problems(vec![Problem::OutOfStock]);
        for answer in &answers[3..] {
            assert_eq!(refusal(answer), Some(&none_left), "{answer:?}");
        }
        assert_eq!(refusal(&shop.submit(place(6, OWN))), Some(&none_left));
        assert_eq!(shop.shelf(OWN), (3, 3));

        // Whoever leaves makes room, for an order of the same batch too.
        let answers = shop.commit(vec![place(7, OWN), Command::Cancel { order: order_id(1) }, place(8, OWN)]);
        assert_eq!(refusal(&answers[0]), Some(&none_left));
        assert!(answers[1].is_ok() && answers[2].is_ok(), "{answers:?}");
        let second = shop.order(order_id(2));
        shop.submit(expire(&second)).expect("its window is over");
        assert_eq!(shop.shelf(OWN), (3, 2));
        shop.check();
    });
}

#[test]
fn what_is_refused_leaves_nothing() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let known = shop.place(1, BOUGHT);
        let before = everything(shop.conn);
        let mut unknown_brand = market::place(2, &["nothing"]);
        unknown_brand.idempotency = Some(market::key("key", "body"));
        let mut nowhere = market::place(4, &[BOUGHT]);
        nowhere.basket.network = Some("Nowhere".to_owned());
        let refused = vec![
            command(unknown_brand),
            command(market::place(3, &[BOUGHT; 11])),
            command(nowhere),
            Command::Credit { transfer: TransferId::new("none") },
            Command::Cancel { order: order_id(9) },
            expire(&Order { id: order_id(9), ..(*known).clone() }),
            Command::Expire { order: known.id, scanned_through: known.expires_at },
            close_late_window(&known),
            begin(&known, None),
            Command::Release { order: known.id, note: "there is no hold".to_owned() },
        ];
        for answer in shop.commit(refused) {
            assert!(refusal(&answer).is_some(), "{answer:?}");
        }
        assert_eq!(everything(shop.conn), before);

        // Nor do they take anything from those beside them.
        let mut good = market::place(5, &[BOUGHT]);
        good.idempotency = Some(market::key("key", "body"));
        let answers = shop.commit(vec![command(market::place(3, &["nothing"])), command(good)]);
        assert_eq!(answers[1].as_ref().expect("its key is free").no, 1_002);
        assert_eq!(shop.known(order_id(3)), None);
        assert_eq!(read(shop.conn, |tx| orders::personal(tx, order_id(3))), None);
        shop.check();
    });
}

#[test]
fn the_last_address_goes_to_one_order() {
    for_each_store(|conn| {
        let mut shop = Shop::open_with_addresses(conn, 2);
        let on_solana = |number: u64| {
            let mut place = market::place(number, &[BOUGHT]);
            place.basket.network = Some("Solana".to_owned());
            command(place)
        };
        let mut commands: Vec<Command> = (1..=3).map(|number| place(number, BOUGHT)).collect();
        commands.extend((4..=6).map(on_solana));
        let answers = shop.commit(commands);
        for (at, kind) in [(2, ChainKind::Evm), (5, ChainKind::Svm)] {
            assert_eq!(refusal(&answers[at]), Some(&Refusal::NoAddress(kind)));
        }
        let mut numbers = Vec::new();
        let mut addresses = BTreeSet::new();
        for order in answers.iter().flatten() {
            numbers.push(order.no);
            addresses.insert(order.address.as_str());
        }
        assert_eq!(numbers, [1_001, 1_002, 1_003, 1_004]);
        assert_eq!(addresses.into_iter().collect::<Vec<_>>(), ["evm-00000", "evm-00001", "svm-00000", "svm-00001"]);

        // An address that was given once is never given again.
        shop.submit(Command::Cancel { order: order_id(1) }).expect("nothing was paid");
        assert_eq!(refusal(&shop.submit(place(7, BOUGHT))), Some(&Refusal::NoAddress(ChainKind::Evm)));
        write(shop.conn, |tx| claims::add_addresses(tx, ChainKind::Evm, &["evm-more".to_owned()]));
        assert_eq!(shop.place(8, BOUGHT).address, "evm-more");
        shop.check();
    });
}

#[test]
fn one_visitor_holds_so_many_unpaid_orders_and_no_more() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let capped = |number: u64, visitor: &str| {
            let mut place = market::place(number, &[BOUGHT]);
            place.caps.unpaid_products_per_visitor = 2;
            place.visitor = visitor.to_owned();
            command(place)
        };
        let answers = shop.commit((1..=3).map(|number| capped(number, "one")).collect());
        assert_eq!(refusal(&answers[2]), Some(&Refusal::TooManyUnpaid));
        shop.submit(capped(4, "another")).expect("another visitor has not one order");
        let paid = answers[0].as_ref().expect("the first is accepted");
        shop.pay(paid, paid.quote.due_units, paid.placed_at);
        shop.submit(capped(5, "one")).expect("a paid order counts no more");
        assert_eq!(refusal(&shop.submit(capped(6, "one"))), Some(&Refusal::TooManyUnpaid));
        let second = shop.order(order_id(2));
        shop.submit(expire(&second)).expect("its window is over");
        shop.submit(capped(7, "one")).expect("neither does an expired one");
        // An order of three lines is not let in where two are allowed.
        let mut long = market::place(8, &[BOUGHT, BOUGHT, BOUGHT]);
        (long.caps.unpaid_products_per_visitor, long.visitor) = (2, "a third".to_owned());
        assert_eq!(refusal(&shop.submit(command(long))), Some(&Refusal::TooManyUnpaid));
        shop.check();
    });
}

#[test]
fn commands_of_one_batch_build_upon_each_other() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = order_id(1);
        let hold = Command::Hold { order, reason: HoldReason::Operator, line: None, note: "look".to_owned() };
        let release = Command::Release { order, note: "seen".to_owned() };
        let batch = accepted(shop.commit(vec![
            place(1, BOUGHT),
            hold,
            release,
            Command::Cancel { order },
            Command::CloseLateWindow { order, scanned_through: Time(i64::MAX) },
        ]));
        assert_eq!(batch.iter().map(|order| order.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let last = shop.order(order);
        assert_eq!(last, *batch[4]);
        assert_eq!((last.state, last.payment.closed), (OrderState::Canceled, true));
        assert!(read(shop.conn, |tx| orders::steps_of(tx, order)).is_empty());
        let kinds = read(shop.conn, |tx| orders::events_of(tx, order));
        let kinds: Vec<&str> = kinds.iter().map(|logged| logged.event.kind()).collect();
        assert_eq!(kinds, ["placed", "held_for_person", "hold_released", "canceled", "late_window_closed"]);
        shop.check();
    });
}

#[test]
fn time_never_runs_backwards() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let start = shop.now;
        let latest = start + Span::seconds(10);
        shop.now = latest;
        let first = shop.place(1, BOUGHT);
        shop.now = Time(start.0 - 10_000);
        let second = shop.place(2, BOUGHT);
        let canceled = shop.submit(Command::Cancel { order: first.id }).expect("nothing was paid");
        assert_eq!([first.placed_at, second.placed_at, canceled.updated_at], [latest; 3]);
        assert_eq!(second.expires_at, latest + Span::minutes(30));
        assert_eq!(write(shop.conn, |tx| head::lock(tx, start)).last_at, latest);

        shop.now = latest + Span::seconds(1);
        assert_eq!(shop.place(3, BOUGHT).placed_at, latest + Span::seconds(1));
        let log = read(shop.conn, |tx| orders::events_after(tx, 0, 9));
        assert!(log.windows(2).all(|pair| pair[0].at <= pair[1].at), "{log:?}");
        shop.check();
    });
}
