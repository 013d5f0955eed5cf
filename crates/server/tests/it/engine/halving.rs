//! A command that the database refuses: the batch is halved until it stands alone, the others commit, and the order
//! that it names waits for a person.

use super::{Shop, begin, command, place, refusal};
use crate::market::{self, BOUGHT, OWN, order_id, sku};
use crate::store::databases::{everything, for_each_store, is_lasting, is_postgres, read, write};
use domain::asset::ChainKind;
use domain::decide::Command;
use domain::event::HoldReason;
use domain::ids::OrderId;
use domain::project::OrderState;
use server::engine::SubmitError;
use server::store::{Conn, Val, claims, orders};

/// Which answers say that the database refused the command, for good. All others must be orders.
fn culprits(answers: &[super::Answer]) -> Vec<usize> {
    let mut found = Vec::new();
    for (at, answer) in answers.iter().enumerate() {
        match answer {
            Ok(_) => {}
            Err(SubmitError::Database(error)) if is_lasting(error) => found.push(at),
            Err(error) => panic!("command {at}: {error:?}"),
        }
    }
    found
}

/// Changes rows by hand, which no program may.
fn by_hand(conn: &mut Conn, sql: &str, values: &[Val]) {
    let changed = write(conn, |tx| tx.execute(sql, values));
    assert!(changed > 0, "{sql} changes nothing");
}

/// A row of personal data that stands in the way of that order's own.
fn plant_personal(conn: &mut Conn, order: OrderId) {
    let sql = "insert into personal (order_id, key, body) values ($1, 'planted', 'planted')";
    by_hand(conn, sql, &[order.expose().into()]);
}

#[test]
fn only_the_culprit_of_a_batch_is_refused() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        shop.stock(OWN, 10);
        plant_personal(shop.conn, order_id(5));
        let answers = shop.commit((1..=8).map(|number| place(number, OWN)).collect());
        assert_eq!(culprits(&answers), [4]);
        let numbers: Vec<i64> = answers.iter().flatten().map(|order| order.no).collect();
        assert_eq!(numbers, (1_001..1_008).collect::<Vec<i64>>(), "no number is lost");
        assert_eq!(shop.known(order_id(5)), None);
        assert_eq!(shop.shelf(OWN), (10, 7));
        assert_eq!(read(shop.conn, |tx| claims::pool_size(tx, ChainKind::Evm)), (293, 300));
        shop.check();

        by_hand(shop.conn, "delete from personal where key = 'planted'", &[]);
        assert_eq!(shop.place(5, OWN).no, 1_008);
        shop.check();
    });
}

#[test]
fn several_culprits_are_found_one_by_one() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let wrong = [0, 1, 6];
        for at in wrong {
            plant_personal(shop.conn, order_id(at as u64 + 1));
        }
        let answers = shop.commit((1..=7).map(|number| place(number, BOUGHT)).collect());
        assert_eq!(culprits(&answers), wrong);
        let before = everything(shop.conn);
        let answers = shop.commit(wrong.iter().map(|at| place(*at as u64 + 1, BOUGHT)).collect());
        assert_eq!(culprits(&answers), [0, 1, 2]);
        assert_eq!(everything(shop.conn), before, "a batch of culprits leaves nothing");
        shop.check();
    });
}

#[test]
fn the_order_of_a_culprit_waits_for_a_person() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        shop.stock(OWN, 2);
        let (poisoned, other) = (shop.sell(1, OWN), shop.sell(2, OWN));
        // The line owns a code that nobody gave it, so it cannot be given one.
        let plant = "insert into codes (id, sku, sealed, state, owner, added_at_ms) \
            values ('stray', 'none', '', 'ready', $1, 0)";
        by_hand(shop.conn, plant, &[claims::owner(poisoned.id, 0).into()]);
        let answers = shop.commit(vec![begin(&poisoned, Some(sku(OWN))), begin(&other, Some(sku(OWN)))]);
        assert_eq!(culprits(&answers), [0]);
        assert_eq!(shop.order(other.id).state, OrderState::Done);
        let held = shop.order(poisoned.id);
        let hold = held.hold().expect("a person must look");
        assert_eq!((hold.reason, hold.line), (HoldReason::InvariantBroken, None));
        assert_eq!((held.state, held.version), (OrderState::WaitingForManualAction, poisoned.version + 1));
        assert!(read(shop.conn, |tx| orders::steps_of(tx, poisoned.id)).is_empty(), "nobody tries it again");
        assert_eq!(shop.shelf(OWN), (1, 1));

        // Mended and released, it goes on.
        by_hand(shop.conn, "delete from codes where id = 'stray'", &[]);
        shop.check();
        let release = Command::Release { order: poisoned.id, note: "mended".to_owned() };
        let answers = shop.commit(vec![release, begin(&poisoned, Some(sku(OWN)))]);
        assert_eq!(culprits(&answers), Vec::<usize>::new());
        assert_eq!(shop.order(poisoned.id).state, OrderState::Done);
        shop.check();
    });
}

/// The hold writes to the same log as the command that failed, so it may fail as well; then it is left at that.
#[test]
fn an_order_that_cannot_even_be_held_stops_nobody() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.place(1, BOUGHT);
        let plant = "insert into events (seq, order_id, version, at_ms, kind, body) \
            values (9999, $1, 2, 0, 'none', '')";
        by_hand(shop.conn, plant, &[order.id.expose().into()]);
        let answers = shop.commit(vec![place(2, BOUGHT), Command::Cancel { order: order.id }, place(3, BOUGHT)]);
        assert_eq!(culprits(&answers), [1]);
        assert_eq!(shop.order(order.id), *order);
        by_hand(shop.conn, "delete from events where seq = 9999", &[]);
        shop.submit(Command::Cancel { order: order.id }).expect("nothing is in its way any more");
        shop.check();
    });
}

/// SQLite keeps such a text as it is; PostgreSQL has no such text. The doors let neither in.
#[test]
fn a_nul_that_postgres_refuses_costs_nobody_else_an_order() {
    for_each_store(|conn| {
        if !is_postgres(conn) {
            return;
        }
        let mut shop = Shop::open(conn);
        let with_nul = |number: u64| {
            let mut place = market::place(number, &[BOUGHT]);
            place.personal.body = "sealed\0text".to_owned();
            command(place)
        };
        let mut commands: Vec<Command> = (1..=4).map(|number| place(number, BOUGHT)).collect();
        commands.push(with_nul(5));
        commands.extend((6..=9).map(|number| place(number, BOUGHT)));
        let answers = shop.commit(commands);
        assert_eq!(culprits(&answers), [4]);
        assert!(answers.iter().all(|answer| refusal(answer).is_none()), "{answers:?}");

        // A key that the loading itself stumbles over.
        let mut keyed = market::place(10, &[BOUGHT]);
        keyed.idempotency = Some(market::key("key\0", "body"));
        let answers = shop.commit(vec![place(11, BOUGHT), command(keyed)]);
        assert_eq!(culprits(&answers), [1]);
        shop.check();
    });
}
