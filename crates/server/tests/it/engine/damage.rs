//! The check finds nothing in a shop that was left alone, and finds what is planted in it, one damage at a time.

use super::{Shop, begin, expire, report};
use crate::market::{BOUGHT, OWN, sku};
use crate::store::databases::{for_each_store, read};
use domain::fulfil::{Report, SealedGoods};
use domain::ids::CodeId;
use domain::project::OrderState;
use server::store::{Access, Conn, DbError, fsck, orders};

/// One order of each kind: delivered from stock, not paid, expired, delivered by a supplier, refused by it.
fn open(conn: &mut Conn) -> Shop<'_> {
    let mut shop = Shop::open(conn);
    shop.stock(OWN, 3);
    let delivered = shop.sell(1, OWN);
    shop.submit(begin(&delivered, Some(sku(OWN)))).expect("a code is there");
    shop.place(2, OWN);
    let expired = shop.place(3, BOUGHT);
    shop.submit(expire(&expired)).expect("its window is over");
    let goods = SealedGoods { code: CodeId::new("bought"), sealed: "sealed".to_owned() };
    let answers = [Report::Delivered(Some(goods)), Report::Refused("sold out".to_owned())];
    for (number, answer) in (4..).zip(answers) {
        let order = shop.sell(number, BOUGHT);
        shop.submit(begin(&order, None)).expect("it begins");
        shop.submit(report(&order, 0, answer)).expect("an answer");
    }
    shop
}

/// What the check says after that SQL; the damage is undone at once.
fn found_after(conn: &mut Conn, damage: &str) -> Vec<String> {
    const UNDONE: &str = "the damage is undone";
    let mut wrong = Vec::new();
    let undone = conn.tx(Access::Write, |tx| {
        assert!(tx.execute(damage, &[])? > 0, "{damage} damages nothing");
        wrong = fsck::check(tx)?.wrong;
        Err::<(), DbError>(DbError::Invariant(UNDONE.to_owned()))
    });
    assert!(matches!(&undone, Err(DbError::Invariant(text)) if text == UNDONE), "{damage}: {undone:?}");
    wrong
}

/// Each row: what is damaged, how, and what the check must say.
const DAMAGES: &[(&str, &str, &str)] = &[
    (
        "a balance",
        "update balances set debit_units = debit_units + 1 where account = 'sales:giftcard'",
        "the balances of shared accounts are not the sums of their transfers",
    ),
    ("a lost balance", "delete from balances where account = 'sales:giftcard'", "the balances of shared accounts"),
    (
        "a transfer of the ledger",
        "update ledger_transfers set units = units + 1 where credit = 'sales:giftcard'",
        "are not those its kind asks for",
    ),
    (
        "lost transfers",
        "delete from ledger_transfers where debit = 'sales:giftcard'",
        "are not those its kind asks for",
    ),
    (
        "a transfer of no event",
        "insert into ledger_transfers (seq, part, order_no, debit, credit, asset, units, at_ms) \
         values (1, 0, 1001, 'sales:giftcard', 'differences', 'usdc', 1, 0)",
        "the ledger transfers of event 1 are not those",
    ),
    (
        "the version of an event",
        "update events set version = version + 1 where kind = 'expired'",
        "does not follow the events of its order",
    ),
    ("the first events", "delete from events where kind = 'placed'", "does not follow the events of its order"),
    ("a last event", "delete from events where kind = 'expired'", "is not what its events make of it"),
    (
        "the version of an order",
        "update orders set body = replace(body, '\"version\":2,', '\"version\":3,') where state = 'Expired'",
        "is not what its events make of it",
    ),
    (
        "the price of an order",
        "update orders set body = replace(body, '\"due_units\":101500000', '\"due_units\":101500001') where no = 1002",
        "is not what its events make of it",
    ),
    ("a lost order", "delete from orders where state = 'Expired'", "has events but no row"),
    ("a counter", "update counters set used = used + 1 where rule = 'limit'", "counters are not what the orders say"),
    ("a held counter", "update counters set held = held + 1 where rule = 'unpaid'", "1 counters are not what"),
    ("lost counters", "delete from counters where rule = 'limit'", "6 are missing"),
    ("a code's owner", "update codes set owner = null where owner is not null", "and the code table disagree"),
    (
        "the line that owns a code",
        "update codes set owner = replace(owner, ':0', ':7') where owner is not null",
        "is owned by a line that does not exist",
    ),
    ("a lost code", "delete from codes where id = 'bought'", "and the code table disagree"),
    ("codes off the shelf", "update codes set state = 'quarantined' where owner is null", "the stock of own-100"),
    ("a count of the shelf", "update stock set free = free + 1", "the stock of own-100 is counted as"),
    ("a promise", "update stock set held = held - 1", "the stock of own-100 is counted as"),
    ("the time of a step", "update steps set due_at_ms = due_at_ms + 1", "the steps of order"),
    ("a lost step", "delete from steps where what = 'expire'", "the steps of order 1002"),
    (
        "a step too many",
        "insert into steps (order_id, slot, what, argument, due_at_ms) \
         select id, 'line:0', 'buy', 'sandbox', 0 from orders where no = 1001",
        "the steps of order 1001",
    ),
    (
        "what an order knows of a payment",
        "update chain_transfers set credited = 'seen' where credited = 'confirmed'",
        "is credited as Some(\"seen\")",
    ),
    (
        "an event that cannot follow",
        "update events set body = '{\"type\":\"line_sent\",\"line\":0,\"attempt\":9,\"supplier\":\"x\",\
         \"reference\":\"r\",\"deadline\":0}' where kind = 'expired'",
        "is not legal for its order as it was then",
    ),
    (
        "the amount of a payment",
        "update chain_transfers set units = units + 1 where credited = 'confirmed'",
        "is worth something else on its chain",
    ),
    ("a lost payment", "delete from chain_transfers", "is credited as None"),
    (
        "a sweep that the ledger does not know",
        "insert into sweeps (id, network, asset, sender, receiver, units, raw, height, block_hash, block_at_ms, status, \
         booked) values ('s', 'test:base', 'usdc', 'a', 'b', 1, '1', 1, 'h', 0, 'confirmed', 1)",
        "the ledger counts other sweeps",
    ),
    (
        "a payment to another order",
        "update chain_transfers set order_id = (select id from orders where no = 1003)",
        "credited transfers are unknown to their orders",
    ),
];

#[test]
fn every_damage_is_found() {
    for_each_store(|conn| {
        let mut shop = open(conn);
        shop.check();
        for (what, damage, expected) in DAMAGES {
            let found = found_after(shop.conn, damage);
            assert!(found.iter().any(|finding| finding.contains(expected)), "{what}: {found:?}");
        }
        shop.check();
    });
}

#[test]
fn the_check_counts_what_it_looked_at() {
    for_each_store(|conn| {
        let shop = open(conn);
        let findings = read(shop.conn, fsck::check);
        // Three payments: confirmed, then settled, a transfer each; and one price that went back.
        assert_eq!((findings.orders, findings.transfers, findings.codes), (5, 7, 2));
        let states = read(shop.conn, orders::count_by_state);
        let states: Vec<&str> = states.iter().map(|(state, _)| state.as_str()).collect();
        let expected =
            [OrderState::Done, OrderState::Expired, OrderState::WaitingForManualAction, OrderState::WaitingForPayment];
        assert_eq!(states, expected.map(OrderState::word));
    });
}

/// The columns beside an order's body decide who may write it next and which list shows it.
#[test]
fn a_column_that_says_something_else_than_its_order_is_found() {
    for_each_store(|conn| {
        let shop = open(conn);
        for damage in [
            "update orders set version = version + 1 where no = 1002",
            "update orders set state = 'Done' where no = 1002",
            "update orders set hold = 'planted' where no = 1002",
            "update orders set no = 7000 where no = 1002",
        ] {
            assert_ne!(found_after(shop.conn, damage), Vec::<String>::new(), "{damage}");
        }
    });
}

/// Two orders on one address is what the pool is there to prevent.
#[test]
fn an_address_that_belongs_to_another_order_is_found() {
    for_each_store(|conn| {
        let shop = open(conn);
        for damage in [
            "update addresses set owner = null where address = 'evm-00001'",
            "update addresses set owner = (select id from orders where no = 1001) where address = 'evm-00001'",
            "update addresses set owner = (select id from orders where no = 1001) where address = 'evm-00009'",
        ] {
            assert_ne!(found_after(shop.conn, damage), Vec::<String>::new(), "{damage}");
        }
    });
}
