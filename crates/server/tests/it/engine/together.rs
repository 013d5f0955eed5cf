//! Several engines on one database, as several processes have them: taking turns, all at once, locked out.

use super::{Answer, Shop, begin, command, place, refusal, shared};
use crate::market::{self, BOUGHT, OWN, order_id, sku};
use crate::store::databases::{Database, everything, for_each_shared_store, lose_patience, now, read, write};
use domain::asset::ChainKind;
use domain::decide::{Command, Refusal};
use domain::order::Order;
use domain::project::OrderState;
use domain::validate::Problem;
use server::engine::{SubmitError, commit_batch};
use server::store::{claims, head, orders};
use std::collections::BTreeSet;
use std::sync::Arc;

const ENGINES: u64 = 4;
const BATCHES: u64 = 25;
/// Commands of a batch; every second one wants a code of our own.
const AT_ONCE: u64 = 4;

#[test]
fn engines_that_take_turns_see_each_others_claims() {
    for_each_shared_store(|database| {
        let (mut one, mut two) = (database.open(), database.connect());
        let mut first = Shop::open_with_addresses(&mut one, 4);
        let mut second = Shop::join(&mut two, "second");
        first.stock(OWN, 2);
        let keyed = |number: u64| {
            let mut place = market::place(number, &[OWN]);
            place.idempotency = Some(market::key("key", "body"));
            command(place)
        };
        let of_first = first.submit(keyed(1)).expect("a code is there");
        assert_eq!(refusal(&second.submit(keyed(2))), Some(&Refusal::Replay(order_id(1))));
        let of_second = second.place(3, OWN);
        assert_eq!((of_first.no, of_second.no), (1_001, 1_002));
        assert_ne!(of_first.address, of_second.address);
        let none_left = Refusal::Problems(vec![Problem::OutOfStock]);
        assert_eq!(refusal(&first.submit(place(4, OWN))), Some(&none_left));

        // One engine settles what the other placed, and each delivers the other's.
        second.pay(&of_first, of_first.quote.due_units, of_first.placed_at);
        let transfer = first.transfer(&of_second, of_second.quote.due_units, of_second.placed_at);
        first.scan_seen(&of_second, &transfer);
        first.scan_confirmed(&of_second, &transfer);
        first.credit(&transfer).expect("it is paid");
        for (shop, order) in [(&mut first, &of_second), (&mut second, &of_first)] {
            let done = shop.submit(begin(order, Some(sku(OWN)))).expect("its code is there");
            assert_eq!(done.state, OrderState::Done);
        }
        let again = first.submit(begin(&of_second, Some(sku(OWN))));
        assert!(matches!(refusal(&again), Some(Refusal::AlreadyDone(_))), "{again:?}");

        // The last two addresses.
        first.place(5, BOUGHT);
        second.place(6, BOUGHT);
        assert_eq!(refusal(&first.submit(place(7, BOUGHT))), Some(&Refusal::NoAddress(ChainKind::Evm)));
        first.check();
        second.check();
    });
}

/// Places orders in batches on a connection of its own.
fn place_many(database: &Database, engine: u64) -> Vec<Answer> {
    let mut conn = database.connect();
    let shared = shared(&format!("engine-{engine}"));
    let mut answers = Vec::new();
    for batch in 0..BATCHES {
        let first = (engine * BATCHES + batch) * AT_ONCE;
        let commands = (first..first + AT_ONCE).map(|number| place(number, if number % 2 == 0 { OWN } else { BOUGHT }));
        let now = now(&mut conn);
        answers.extend(commit_batch(&mut conn, &shared, commands.collect(), now));
    }
    answers
}

#[test]
fn four_engines_at_once_lose_nothing() {
    for_each_shared_store(|database| {
        let mut conn = database.open();
        let mut shop = Shop::open_with_addresses(&mut conn, 400);
        // 200 orders want a code and 150 get one; the other 200 are bought.
        shop.stock(OWN, 150);
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let engines: Vec<_> =
                (0..ENGINES).map(|engine| scope.spawn(move || place_many(database, engine))).collect();
            engines.into_iter().flat_map(|engine| engine.join().expect("an engine ends well")).collect()
        });
        let none_left = Refusal::Problems(vec![Problem::OutOfStock]);
        let mut placed: Vec<Arc<Order>> = Vec::new();
        let mut refused = 0;
        for answer in answers {
            match answer {
                Ok(order) => placed.push(order),
                Err(SubmitError::Refused(refusal)) if refusal == none_left => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!((placed.len(), refused), (350, 50));
        placed.sort_by_key(|order| order.no);
        assert_eq!(placed.iter().map(|order| order.no).collect::<Vec<_>>(), (1_001..1_351).collect::<Vec<i64>>());
        assert_eq!(placed.iter().map(|order| order.address.as_str()).collect::<BTreeSet<_>>().len(), 350);

        let mut found = read(shop.conn, |tx| orders::newest(tx, i64::MAX, 1_000));
        found.reverse();
        assert!(found.iter().eq(placed.iter().map(|order| &**order)), "what was answered is what is kept");
        let log = read(shop.conn, |tx| orders::events_after(tx, 0, 1_000));
        assert_eq!(log.iter().map(|logged| logged.seq).collect::<Vec<_>>(), (1..=350).collect::<Vec<i64>>());
        assert_eq!(read(shop.conn, head::last_seq), 350);
        assert_eq!(shop.shelf(OWN), (150, 150));
        assert_eq!(read(shop.conn, |tx| claims::pool_size(tx, ChainKind::Evm)), (50, 400));
        for engine in 0..ENGINES {
            let process = format!("engine-{engine}");
            assert_eq!(read(shop.conn, |tx| head::last_batch(tx, &process)), Some(BATCHES as i64));
        }
        shop.check();
    });
}

#[test]
fn who_is_locked_out_is_told_to_come_again_and_has_changed_nothing() {
    for_each_shared_store(|database| {
        let (mut holder, mut conn) = (database.open(), database.connect());
        lose_patience(&mut conn);
        let mut shop = Shop::open(&mut conn);
        let order = shop.place(1, BOUGHT);
        let (before, now) = (everything(shop.conn), shop.now);
        let answers = write(&mut holder, |tx| {
            head::lock(tx, now)?;
            Ok(shop.commit(vec![place(2, BOUGHT), Command::Cancel { order: order.id }]))
        });
        assert!(answers.iter().all(|answer| matches!(answer, Err(SubmitError::Busy))), "{answers:?}");
        assert_eq!(answers.len(), 2);
        assert_eq!(everything(shop.conn), before);
        assert_eq!(shop.place(2, BOUGHT).no, 1_002);
        shop.check();
    });
}
