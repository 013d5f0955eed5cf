//! What does not count: which addresses are to be looked at, and what was noticed there.

use super::databases::{for_each_store, read, write};
use crate::harness::START;
use crate::market::{network_id, order_id};
use domain::chain::{Stray, StrayKind};
use domain::time::{Span, Time};
use server::store::noticed::{self, Look, MOST};
use server::store::{Conn, orders};

fn look(number: u64, due_at: Time) -> Look {
    Look {
        order: order_id(number),
        network: network_id("Base"),
        address: format!("address-{number}"),
        from: START,
        until: START + Span::minutes(31),
        due_at,
        attempts: 0,
    }
}

fn token(address: &str, number: usize, raw: &str) -> Stray {
    let (contract, transaction) = (format!("0x{number:040x}"), format!("0x{number:064x}"));
    Stray { address: address.to_owned(), what: StrayKind::Token { contract, transaction }, raw: raw.to_owned() }
}

fn coin(address: &str, raw: &str) -> Stray {
    Stray { address: address.to_owned(), what: StrayKind::Coin, raw: raw.to_owned() }
}

fn due(conn: &mut Conn, now: Time) -> Vec<Look> {
    read(conn, |tx| noticed::due(tx, &network_id("Base"), now, 10))
}

#[test]
fn looks_are_due_until_they_are_made() {
    for_each_store(|conn| {
        let (one, other) = (look(1, START), look(2, START + Span::seconds(1)));
        write(conn, |tx| noticed::want(tx, &[other.clone(), one.clone()]));
        assert_eq!(due(conn, START), [one.clone()]);
        let later = START + Span::seconds(1);
        assert_eq!(due(conn, later), [one.clone(), other.clone()]);
        assert!(read(conn, |tx| noticed::due(tx, &network_id("Solana"), later, 10)).is_empty());
        assert_eq!(read(conn, |tx| noticed::due(tx, &network_id("Base"), later, 1)).len(), 1);

        // One failed; of the other somebody wants to know more meanwhile.
        write(conn, |tx| noticed::put_off(tx, &[one.clone()], later));
        let more = Look { until: START + Span::hours(1), ..other.clone() };
        write(conn, |tx| noticed::want(tx, &[more.clone()]));
        write(conn, |tx| noticed::note(tx, &[other], &[], later));
        assert_eq!(due(conn, later), [Look { due_at: later, attempts: 1, ..one.clone() }, more.clone()]);
        write(conn, |tx| noticed::note(tx, &[more], &[], later));
        for _ in 1..12 {
            assert_eq!(due(conn, later).len(), 1);
            write(conn, |tx| noticed::put_off(tx, &[one.clone()], later));
        }
        assert!(due(conn, later).is_empty(), "after twelve failures nobody looks again by himself");
    });
}

#[test]
fn what_was_noticed_stays_and_never_fills_the_table() {
    for_each_store(|conn| {
        let looks = [look(1, START), look(2, START)];
        let found =
            [token("address-1", 7, "5"), coin("address-1", "10"), token("address-1", 7, "5"), token("?", 8, "1")];
        write(conn, |tx| noticed::note(tx, &looks, &found, START));
        let noticed = read(conn, |tx| noticed::of_order(tx, order_id(1)));
        let told: Vec<(&StrayKind, &str)> = noticed.iter().map(|one| (&one.what, one.raw.as_str())).collect();
        assert_eq!(told, [(&StrayKind::Coin, "10"), (&token("", 7, "").what, "5")]);
        assert!(read(conn, |tx| noticed::of_order(tx, order_id(2))).is_empty());

        // Later the coin is worth more, and somebody sends worthless tokens without end.
        let mut many: Vec<Stray> = (100..200).map(|number| token("address-1", number, "1")).collect();
        many.push(coin("address-1", "11"));
        for _ in 0..2 {
            write(conn, |tx| noticed::note(tx, &looks, &many, START + Span::hours(1)));
            let noticed = read(conn, |tx| noticed::of_order(tx, order_id(1)));
            assert_eq!(noticed.len(), MOST);
            assert_eq!((noticed[0].raw.as_str(), noticed[0].at), ("11", START));
            assert!(noticed.iter().any(|one| one.what == token("", 7, "").what));
        }
        assert!(read(conn, |tx| orders::by_ids(tx, &[order_id(1)])).is_empty(), "no order was touched");
    });
}
