//! Which addresses a chain is asked for and when, and what is remembered of their accounts.

use super::databases::{for_each_store, read, write};
use crate::harness::START;
use crate::market::{addresses, network_id, order_id};
use domain::asset::ChainKind::{Evm, Svm};
use domain::chain::Memory;
use domain::ids::NetworkId;
use domain::time::{Span, Time};
use server::store::looks::{self, LookedAt};
use server::store::{Conn, claims, epoch};
use std::collections::BTreeMap;

/// Pools of both families, of which three addresses each have owners since as many minutes.
fn given(conn: &mut Conn) {
    for kind in [Evm, Svm] {
        let pool = addresses(kind, 5);
        write(conn, |tx| claims::add_addresses(tx, kind, &pool));
        for (number, address) in (0..3).zip(&pool) {
            write(conn, |tx| {
                claims::own_addresses(tx, vec![(address.clone(), order_id(number))])?;
                looks::begin(tx, vec![address.clone()], START + Span::minutes(number as i64))
            });
        }
    }
}

fn names(found: &[LookedAt]) -> Vec<(i64, &str, i64)> {
    let minutes = |found: &LookedAt| found.given_at.since(START).0 / 60_000;
    found.iter().map(|found| (found.index, found.address.as_str(), minutes(found))).collect()
}

#[test]
fn addresses_are_listed_in_the_order_in_which_they_were_given() {
    for_each_store(|conn| {
        assert!(looks::is_looked_at(Svm) && !looks::is_looked_at(Evm));
        given(conn);
        // The last two at the same moment, the higher index first.
        write(conn, |tx| looks::begin(tx, vec!["svm-00004".to_owned()], START + Span::minutes(9)));
        write(conn, |tx| looks::begin(tx, vec!["svm-00003".to_owned()], START + Span::minutes(9)));
        let mut after = |minutes: i64, index, limit| {
            let found = read(conn, |tx| looks::given_after(tx, Svm, START + Span::minutes(minutes), index, limit));
            names(&found).iter().map(|(index, _, minutes)| (*index, *minutes)).collect::<Vec<_>>()
        };
        assert_eq!(after(-1, i64::MAX, 100), [(0, 0), (1, 1), (2, 2), (3, 9), (4, 9)]);
        assert_eq!(after(0, 0, 2), [(1, 1), (2, 2)]);
        assert_eq!(after(2, 2, 1), [(3, 9)]);
        assert_eq!(after(9, 3, 1), [(4, 9)]);
        assert!(after(9, 4, 1).is_empty());
        let evm = read(conn, |tx| looks::given_after(tx, Evm, Time(0), 0, 100));
        assert!(evm.is_empty(), "an EVM chain shows everybody's transfers");
        write(conn, |tx| looks::begin(tx, Vec::new(), START));
    });
}

#[test]
fn a_look_is_due_a_day_after_the_address_was_given_and_when_it_was_said() {
    for_each_store(|conn| {
        given(conn);
        let mut due = |at: Time, limit| {
            let found = read(conn, |tx| looks::due(tx, Svm, at, limit));
            found.into_iter().map(|found| found.address).collect::<Vec<_>>()
        };
        assert_eq!(looks::FIRST_DAY, Span::hours(24));
        let day = START + looks::FIRST_DAY;
        assert_eq!(due(Time(day.0 - 1), 100), [""; 0]);
        assert_eq!(due(day, 100), ["svm-00000"]);
        assert_eq!(due(day + Span::minutes(2), 2), ["svm-00000", "svm-00001"]);
        let next_looks = BTreeMap::from([("svm-00000".to_owned(), day + Span::hours(24))]);
        let memory = Memory { next_looks, ..Memory::default() };
        write(conn, |tx| looks::remember(tx, &network_id("Solana"), &memory));
        let mut due = |at: Time| {
            let found = read(conn, |tx| looks::due(tx, Svm, at, 100));
            found.into_iter().map(|found| found.address).collect::<Vec<_>>()
        };
        assert_eq!(due(day + Span::minutes(2)), ["svm-00001", "svm-00002"]);
        assert_eq!(due(day + Span::hours(24)), ["svm-00001", "svm-00002", "svm-00000"]);
    });
}

#[test]
fn marks_are_kept_by_network_and_account() {
    for_each_store(|conn| {
        let (solana, other) = (network_id("Solana"), network_id("Other"));
        let marks = |marks: &[(&str, &str)]| -> BTreeMap<String, String> {
            marks.iter().map(|(account, mark)| ((*account).to_owned(), (*mark).to_owned())).collect()
        };
        let memory = |of: &[(&str, &str)]| Memory { marks: marks(of), ..Memory::default() };
        write(conn, |tx| looks::remember(tx, &solana, &memory(&[("a", "1"), ("b", "2")])));
        write(conn, |tx| looks::remember(tx, &other, &memory(&[("a", "9")])));
        write(conn, |tx| looks::remember(tx, &solana, &memory(&[("b", "3"), ("c", "4")])));
        write(conn, |tx| looks::remember(tx, &solana, &Memory::default()));
        let mut found = |network: &NetworkId, accounts: &[&str]| {
            let accounts = accounts.iter().map(|account| (*account).to_owned()).collect();
            read(conn, |tx| looks::marks(tx, network, accounts))
        };
        assert_eq!(found(&solana, &["a", "b", "d"]), marks(&[("a", "1"), ("b", "3")]));
        assert_eq!(found(&other, &["a", "b", "c"]), marks(&[("a", "9")]));
        assert_eq!(found(&solana, &[]), marks(&[]));
    });
}

#[test]
fn a_new_epoch_looks_at_what_may_have_been_given_since_the_copy() {
    for_each_store(|conn| {
        given(conn);
        let copied_at = START + Span::hours(5);
        write(conn, |tx| tx.execute("update log_head set last_at_ms = $1 where id = 1", &[copied_at.0.into()]));
        write(conn, epoch::begin);
        // Two were free; the place that the epoch leaves out is no address.
        let found = read(conn, |tx| looks::due(tx, Svm, copied_at, 100));
        assert_eq!(names(&found), [(3, "svm-00003", 5 * 60 - 24 * 60), (4, "svm-00004", 5 * 60 - 24 * 60)]);
        assert!(read(conn, |tx| looks::due(tx, Evm, copied_at, 100)).is_empty());
        // A second epoch leaves those of the first alone.
        let again = write(conn, |tx| looks::begin_set_aside(tx, "skipped:9", START));
        assert_eq!(again, 0);
    });
}
