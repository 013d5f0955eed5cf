//! Steps: rewritten with their order, handed to the worker that takes them on, oldest first.

use super::databases::{for_each_store, read, write};
use crate::market::{BOUGHT, OWN, SUPPLIER, order_id, sku};
use domain::ids::OrderId;
use domain::order::{Slot, Step, What};
use domain::time::Time;
use server::store::Conn;
use server::store::orders::{self, Due};

fn step(slot: Slot, what: What, due_ms: i64) -> Step {
    Step { slot, what, due_at: Time(due_ms) }
}

fn rewrite(conn: &mut Conn, order: OrderId, before: &[Step], after: &[Step]) {
    write(conn, |tx| orders::rewrite_steps(tx, &[(order, before.to_vec(), after.to_vec())]));
    assert_eq!(read(conn, |tx| orders::steps_of(tx, order)), after);
}

#[test]
fn steps_follow_their_order_and_nobody_elses() {
    for_each_store(|conn| {
        let (one, other) = (order_id(1), order_id(2));
        let expiry = [step(Slot::Expiry, What::Expire, 100)];
        rewrite(conn, one, &[], &expiry);
        rewrite(conn, other, &[], &expiry);

        let paid = [
            step(Slot::Line(0), What::TakeCode(sku(OWN)), 50),
            step(Slot::Line(1), What::Buy(SUPPLIER.to_owned()), 50),
            step(Slot::Line(2), What::Buy(SUPPLIER.to_owned()), 50),
        ];
        rewrite(conn, one, &expiry, &paid);
        // One stays, one changes, one ends.
        let later = [paid[0].clone(), step(Slot::Line(1), What::Find(SUPPLIER.to_owned()), i64::MAX)];
        rewrite(conn, one, &paid, &later);
        rewrite(conn, one, &later, &later);
        rewrite(conn, one, &later, &[]);
        assert_eq!(read(conn, |tx| orders::steps_of(tx, other)), expiry);

        // All of an order's steps go, whatever they are.
        rewrite(conn, one, &[], &paid);
        write(conn, |tx| orders::clear_steps(tx, &[one, order_id(3)]));
        assert!(read(conn, |tx| orders::steps_of(tx, one)).is_empty());
        assert_eq!(read(conn, |tx| orders::steps_of(tx, other)), expiry);
    });
}

#[test]
fn many_orders_are_rewritten_at_once() {
    for_each_store(|conn| {
        let expiry = |number: u64| vec![step(Slot::Expiry, What::Expire, number as i64)];
        let late = |number: u64| vec![step(Slot::Expiry, What::CloseLateWindow, 1_000 + number as i64)];
        let all = |before: &dyn Fn(u64) -> Vec<Step>, after: &dyn Fn(u64) -> Vec<Step>| -> Vec<_> {
            (1..=300).map(|number| (order_id(number), before(number), after(number))).collect()
        };
        let none = |_: u64| -> Vec<Step> { Vec::new() };
        write(conn, |tx| orders::rewrite_steps(tx, &all(&none, &expiry)));
        assert_eq!(read(conn, |tx| orders::due_steps(tx, &Due::Windows, Time(300), 1_000)).len(), 300);
        write(conn, |tx| orders::rewrite_steps(tx, &all(&expiry, &late)));
        assert_eq!(read(conn, orders::next_due), Some(Time(1_001)));
        write(conn, |tx| orders::rewrite_steps(tx, &all(&late, &none)));
        assert_eq!(read(conn, orders::next_due), None);
    });
}

#[test]
fn a_worker_gets_what_is_due_to_it_oldest_first() {
    for_each_store(|conn| {
        let (first, second) = (order_id(1), order_id(2));
        let of_first = [
            step(Slot::Expiry, What::CloseLateWindow, 300),
            step(Slot::Line(0), What::TakeCode(sku(OWN)), 100),
            step(Slot::Line(1), What::Buy(SUPPLIER.to_owned()), 200),
            step(Slot::Line(2), What::Buy("another".to_owned()), 100),
        ];
        let of_second = [
            step(Slot::Expiry, What::Expire, 200),
            step(Slot::Line(0), What::Find(SUPPLIER.to_owned()), 100),
            step(Slot::Line(1), What::TakeCode(sku(BOUGHT)), 100),
        ];
        rewrite(conn, first, &[], &of_first);
        rewrite(conn, second, &[], &of_second);
        let mut due = |due: &Due, now_ms: i64, limit: i64| -> Vec<(OrderId, Step)> {
            read(conn, |tx| orders::due_steps(tx, due, Time(now_ms), limit))
        };

        let [f0, f1, f2, f3] = of_first.map(|step| (first, step));
        let [s0, s1, s2] = of_second.map(|step| (second, step));
        assert!(due(&Due::Codes, 99, 9).is_empty());
        assert_eq!(due(&Due::Codes, i64::MAX, 9), [f1.clone(), s2]);
        assert_eq!(due(&Due::Codes, i64::MAX, 1), [f1]);
        assert!(due(&Due::Windows, 199, 9).is_empty());
        assert_eq!(due(&Due::Windows, 200, 9).len(), 1);
        assert_eq!(due(&Due::Windows, i64::MAX, 9), [s0, f0]);
        assert_eq!(due(&Due::Supplier(SUPPLIER.to_owned()), 200, 9), [s1.clone(), f2]);
        assert_eq!(due(&Due::Supplier(SUPPLIER.to_owned()), 100, 9), [s1]);
        assert_eq!(due(&Due::Supplier("another".to_owned()), 100, 9), [f3]);
        assert!(due(&Due::Supplier("nobody".to_owned()), i64::MAX, 9).is_empty());
        assert_eq!(read(conn, orders::next_due), Some(Time(100)));
    });
}
