//! Rows that orders share and claim: idempotency keys, deposit addresses, counters, stock counts, codes.

use super::databases::{for_each_store, is_lasting, read, refused, write};
use crate::harness::START;
use crate::market::{self, BOUGHT, MIXED, OWN, order_id, sku};
use domain::asset::ChainKind;
use domain::decide::Replay;
use domain::fulfil::SealedGoods;
use domain::ids::{CodeId, Sku};
use domain::limits::{Counter, CounterKey};
use domain::validate::StockCount;
use server::store::claims::{PoolCounts, PoolRow};
use server::store::{Conn, DbError, claims, epoch, stock};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn a_key_is_remembered_with_what_was_sent_and_what_it_made() {
    for_each_store(|conn| {
        let rows = (0..300).map(|at| (market::key(&format!("key-{at}"), &format!("hash-{at}")), order_id(at)));
        write(conn, |tx| claims::remember(tx, rows.collect(), START));
        // The same key of somebody else is another key.
        let mut of_other = market::key("key-7", "other");
        of_other.scope = "another scope".to_owned();
        write(conn, |tx| claims::remember(tx, vec![(of_other, order_id(900))], START));

        let scope = market::key("", "").scope;
        let named = |key: &str| (scope.clone(), key.to_owned());
        let wanted = [named("key-7"), named("key-299"), named("key-300")];
        let found = read(conn, |tx| claims::replays(tx, &wanted));
        let replay = |hash: &str, number: u64| Replay { body_hash: hash.to_owned(), order: order_id(number) };
        assert_eq!(found.get(&wanted[0]), Some(&replay("hash-7", 7)));
        assert_eq!(found.get(&wanted[1]), Some(&replay("hash-299", 299)));
        assert_eq!(found.get(&wanted[2]), None);

        for body_hash in ["hash-7", "another"] {
            let again = vec![(market::key("key-7", body_hash), order_id(901))];
            let error = refused(conn, |tx| claims::remember(tx, again, START));
            assert!(is_lasting(&error), "{error:?}");
        }
    });
}

fn fill(conn: &mut Conn, kind: ChainKind, count: usize) -> Vec<String> {
    let addresses = market::addresses(kind, count);
    write(conn, |tx| claims::add_addresses(tx, kind, &addresses));
    addresses
}

#[test]
fn an_address_of_a_pool_is_known_whoever_owns_it() {
    for_each_store(|conn| {
        let evm = fill(conn, ChainKind::Evm, 3);
        let svm = fill(conn, ChainKind::Svm, 1);
        write(conn, |tx| claims::own_addresses(tx, vec![(evm[1].clone(), order_id(1))]));
        let asked = vec![evm[1].clone(), evm[2].clone(), svm[0].clone(), "somebody else's".to_owned()];
        let expected = BTreeSet::from([evm[1].clone(), evm[2].clone(), svm[0].clone()]);
        assert_eq!(read(conn, |tx| claims::pool_addresses(tx, asked)), expected);
        assert!(read(conn, |tx| claims::pool_addresses(tx, Vec::new())).is_empty());
    });
}

#[test]
fn free_addresses_come_in_their_order_and_by_family() {
    for_each_store(|conn| {
        assert_eq!(read(conn, |tx| claims::pool_size(tx, ChainKind::Evm)), (0, 0));
        let evm = fill(conn, ChainKind::Evm, 300);
        write(conn, |tx| claims::add_addresses(tx, ChainKind::Evm, &["evm-more".to_owned()]));
        fill(conn, ChainKind::Svm, 1);
        assert_eq!(read(conn, |tx| claims::pool_size(tx, ChainKind::Evm)), (301, 301));
        assert_eq!(read(conn, |tx| claims::pool_size(tx, ChainKind::Svm)), (1, 1));
        assert_eq!((claims::family(ChainKind::Evm), claims::family(ChainKind::Svm)), ("evm", "svm"));

        let all = read(conn, |tx| claims::free_addresses(tx, ChainKind::Evm, 1_000));
        assert_eq!(all.iter().take(300).collect::<Vec<_>>(), evm.iter().collect::<Vec<_>>());
        assert_eq!(all.back().map(String::as_str), Some("evm-more"));
        assert_eq!(read(conn, |tx| claims::free_addresses(tx, ChainKind::Svm, 9)), ["svm-00000"]);

        let error = refused(conn, |tx| claims::add_addresses(tx, ChainKind::Svm, &evm[..1]));
        assert!(is_lasting(&error), "an address stands in one pool: {error:?}");
    });
}

#[test]
fn an_address_has_one_owner_for_ever() {
    for_each_store(|conn| {
        let evm = fill(conn, ChainKind::Evm, 4);
        let own = |at: usize, number: u64| (evm[at].clone(), order_id(number));
        write(conn, |tx| claims::own_addresses(tx, vec![own(0, 1), own(2, 2)]));
        assert_eq!(read(conn, |tx| claims::free_addresses(tx, ChainKind::Evm, 9)), [evm[1].as_str(), evm[3].as_str()]);
        // The next index does not depend on what is free.
        assert_eq!(read(conn, |tx| claims::pool_size(tx, ChainKind::Evm)), (2, 4));

        let unknown = ("nobody's".to_owned(), order_id(3));
        for wrong in [vec![own(0, 3)], vec![own(0, 1)], vec![own(1, 3), own(2, 3)], vec![own(1, 3), unknown]] {
            let error = refused(conn, |tx| claims::own_addresses(tx, wrong));
            assert!(matches!(error, DbError::Invariant(_)), "{error:?}");
        }
        let asked = [evm.clone(), vec!["nobody's".to_owned()]].concat();
        let owners = read(conn, |tx| claims::address_owners(tx, asked));
        assert_eq!(owners, BTreeMap::from([own(0, 1), own(2, 2)]));
    });
}

#[test]
fn a_pool_is_counted_and_read_as_it_is_used() {
    for_each_store(|conn| {
        assert!(read(conn, |tx| claims::ends_of_pool(tx, ChainKind::Evm)).is_empty());
        let evm = fill(conn, ChainKind::Evm, 3);
        fill(conn, ChainKind::Svm, 1);
        write(conn, |tx| claims::own_addresses(tx, vec![(evm[0].clone(), order_id(1))]));
        let counts = |free, given, set_aside, next| PoolCounts { free, given, set_aside, next };
        assert_eq!(read(conn, |tx| claims::pool_counts(tx, ChainKind::Evm)), counts(2, 1, 0, 3));
        for (limit, free) in [(0, 0), (1, 1), (2, 2), (9, 2)] {
            assert_eq!(read(conn, |tx| claims::free_up_to(tx, ChainKind::Evm, limit)), free);
        }
        assert_eq!(read(conn, |tx| claims::next_index(tx, ChainKind::Evm)), 3);
        let ends = vec![(1, evm[1].clone()), (2, evm[2].clone())];
        assert_eq!(read(conn, |tx| claims::ends_of_pool(tx, ChainKind::Evm)), ends);

        assert_eq!(write(conn, |tx| claims::set_aside(tx, ChainKind::Evm, "retired")), 2);
        assert_eq!(read(conn, |tx| claims::pool_counts(tx, ChainKind::Evm)), counts(0, 1, 2, 3));
        assert_eq!(read(conn, |tx| claims::pool_counts(tx, ChainKind::Svm)), counts(1, 0, 0, 1));
        assert!(read(conn, |tx| claims::free_addresses(tx, ChainKind::Evm, 9)).is_empty());
        let owners = read(conn, |tx| claims::address_owners(tx, evm.clone()));
        assert_eq!(owners, BTreeMap::from([(evm[0].clone(), order_id(1))]), "money that comes there is nobody's");

        // A restore leaves places out: they are no addresses, and the next one gets an index behind them.
        write(conn, epoch::begin);
        write(conn, |tx| claims::add_addresses(tx, ChainKind::Evm, &["evm-more".to_owned()]));
        let next = 3 + epoch::JUMP;
        assert_eq!(read(conn, |tx| claims::pool_counts(tx, ChainKind::Evm)), counts(1, 1, 2, next + 1));
        let row = |index, address: &str, in_use| PoolRow { index, address: address.to_owned(), in_use };
        let last = row(next, "evm-more", true);
        let all = vec![row(0, &evm[0], true), row(1, &evm[1], false), row(2, &evm[2], false), last.clone()];
        assert_eq!(read(conn, |tx| claims::pool_rows(tx, ChainKind::Evm, 0, 9)), all);
        assert_eq!(read(conn, |tx| claims::pool_rows(tx, ChainKind::Evm, 1, 2)), all[1..3]);
        assert_eq!(read(conn, |tx| claims::pool_rows(tx, ChainKind::Evm, 3, 9)), [last]);
    });
}

#[test]
fn addresses_that_a_pool_holds_are_passed_over() {
    for_each_store(|conn| {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (first, more) = (texts(&["b", "a"]), texts(&["c", "a", "d", "b"]));
        assert_eq!(write(conn, |tx| claims::add_unknown_addresses(tx, ChainKind::Svm, first)), 2);
        write(conn, |tx| claims::own_addresses(tx, vec![("a".to_owned(), order_id(1))]));
        assert_eq!(write(conn, |tx| claims::add_unknown_addresses(tx, ChainKind::Svm, more.clone())), 2);
        assert_eq!(write(conn, |tx| claims::add_unknown_addresses(tx, ChainKind::Svm, more)), 0);
        assert_eq!(read(conn, |tx| claims::free_addresses(tx, ChainKind::Svm, 9)), ["b", "c", "d"]);
        assert_eq!(read(conn, |tx| claims::pool_size(tx, ChainKind::Svm)), (3, 4));
    });
}

fn counter_key(rule: &str, subject: &str, period: &str) -> CounterKey {
    CounterKey { rule: rule.into(), subject: subject.into(), period: period.into() }
}

#[test]
fn counters_are_kept_by_rule_subject_and_period() {
    for_each_store(|conn| {
        let day = counter_key("limit", "email:a", "2026-11-20");
        let month = counter_key("limit", "email:a", "2026-11");
        let coupon = counter_key("coupon", "WELCOME", "");
        let absent = counter_key("coupon", "email:a", "");
        let counter = |held, used| Counter { held, used };
        let first = vec![(day.clone(), counter(1, 2)), (month.clone(), counter(3, 4)), (coupon.clone(), counter(5, 6))];
        write(conn, |tx| claims::write_counters(tx, first));
        write(conn, |tx| claims::write_counters(tx, vec![(month.clone(), counter(i64::MIN, i64::MAX))]));

        let wanted = [day.clone(), month.clone(), coupon.clone(), absent.clone()];
        let found = read(conn, |tx| claims::counters(tx, &wanted));
        assert_eq!(found.get(&day), Some(&counter(1, 2)));
        assert_eq!(found.get(&month), Some(&counter(i64::MIN, i64::MAX)));
        assert_eq!(found.get(&coupon), Some(&counter(5, 6)));
        assert_eq!(found.get(&absent), None);

        let many: Vec<CounterKey> = (0..300).map(|at| counter_key("many", &format!("subject-{at}"), "")).collect();
        let rows = many.iter().cloned().map(|key| (key, counter(1, 0))).collect();
        write(conn, |tx| claims::write_counters(tx, rows));
        assert_eq!(read(conn, |tx| claims::counters(tx, &many)).len(), 300);
    });
}

#[test]
fn stock_counts_are_written_as_they_are() {
    for_each_store(|conn| {
        let count = |free, held| StockCount { free, held };
        write(conn, |tx| claims::write_stock(tx, vec![(sku(OWN), count(3, 1)), (sku(MIXED), count(0, 0))]));
        write(conn, |tx| claims::write_stock(tx, vec![(sku(OWN), count(2, 2))]));
        let found = read(conn, |tx| claims::stock(tx, &[sku(OWN), sku(MIXED), sku(BOUGHT)]));
        assert_eq!(found, BTreeMap::from([(sku(MIXED), count(0, 0)), (sku(OWN), count(2, 2))]));

        let many = (0..300).map(|at| (Sku::new(format!("sku-{at}")), count(at, 0))).collect();
        write(conn, |tx| claims::write_stock(tx, many));
        let found = read(conn, |tx| claims::stock(tx, &[Sku::new("sku-299")]));
        assert_eq!(found.get(&Sku::new("sku-299")), Some(&count(299, 0)));
    });
}

fn code(brand: &str, at: usize) -> CodeId {
    market::codes(brand, at + 1).pop().expect("at least one").id
}

/// The free codes of a brand's card, at most `limit`.
fn free(conn: &mut Conn, brand: &str, limit: i64) -> Vec<CodeId> {
    let wanted = BTreeMap::from([(sku(brand), limit)]);
    let found = read(conn, |tx| claims::free_codes(tx, &wanted, "2026-01-01"));
    found.get(&sku(brand)).expect("an answer for each SKU").iter().cloned().collect()
}

#[test]
fn a_code_has_one_owner_and_a_line_has_one_code() {
    for_each_store(|conn| {
        for brand in [OWN, MIXED] {
            write(conn, |tx| stock::add(tx, market::codes(brand, 300), START));
        }
        assert_eq!(free(conn, OWN, 2), [code(OWN, 0), code(OWN, 1)]);
        assert_eq!(free(conn, OWN, 1_000).len(), 300);
        assert!(free(conn, BOUGHT, 1).is_empty());

        let take = |at: usize, number: u64, line: u32| (code(OWN, at), order_id(number), line);
        write(conn, |tx| claims::take_codes(tx, vec![take(0, 1, 0), take(1, 1, 1)]));
        assert_eq!(free(conn, OWN, 1), [code(OWN, 2)]);
        let unknown = (CodeId::new("none"), order_id(3), 0);
        for wrong in [vec![take(0, 2, 0)], vec![take(2, 2, 0), take(1, 2, 1)], vec![take(2, 2, 0), unknown]] {
            let error = refused(conn, |tx| claims::take_codes(tx, wrong));
            assert!(matches!(error, DbError::Invariant(_)), "{error:?}");
        }
        let error = refused(conn, |tx| claims::take_codes(tx, vec![take(2, 1, 0)]));
        assert!(is_lasting(&error), "the line has a code: {error:?}");
        assert_eq!(free(conn, OWN, 1), [code(OWN, 2)]);

        // What is not ready is not on the shelf.
        let set_aside = "update codes set state = 'quarantined' where id = $1";
        write(conn, |tx| tx.execute(set_aside, &[code(OWN, 2).as_str().into()]));
        assert_eq!(free(conn, OWN, 1), [code(OWN, 3)]);
        assert_eq!(free(conn, MIXED, 1), [code(MIXED, 0)]);
    });
}

#[test]
fn a_suppliers_code_is_owned_from_the_start() {
    for_each_store(|conn| {
        let goods = |name: &str| SealedGoods { code: CodeId::new(name), sealed: format!("sealed {name}") };
        let row = |name: &str, number: u64, line: u32| (sku(BOUGHT), goods(name), order_id(number), line);
        let many = (0..300).map(|at| row(&format!("code-{at}"), at, 1)).collect();
        write(conn, |tx| claims::keep_goods(tx, many, START));
        assert!(free(conn, BOUGHT, 1).is_empty());

        let owner = claims::owner(order_id(7), 1);
        assert_eq!(owner, format!("{}:1", order_id(7).expose()));
        let found = read(conn, |tx| stock::sealed_of(tx, vec![owner.clone(), claims::owner(order_id(7), 0)]));
        assert_eq!(found, BTreeMap::from([(owner, (CodeId::new("code-7"), "sealed code-7".to_owned()))]));

        for wrong in [row("code-7", 900, 0), row("another", 7, 1)] {
            let error = refused(conn, |tx| claims::keep_goods(tx, vec![wrong], START));
            assert!(is_lasting(&error), "{error:?}");
        }
        // Counts are of our own codes: nothing was put on the shelf.
        assert!(read(conn, stock::counts).is_empty());
    });
}

#[test]
fn addresses_that_may_be_out_are_watched_and_never_given() {
    for_each_store(|conn| {
        let evm = fill(conn, ChainKind::Evm, 2);
        let out = vec!["out-1".to_owned(), evm[1].clone(), "out-2".to_owned()];
        let added = write(conn, |tx| claims::add_set_aside(tx, ChainKind::Evm, &out, "restored"));
        assert_eq!(added, 2, "one was in the pool");
        let watched = read(conn, |tx| claims::pool_addresses(tx, out.clone()));
        assert_eq!(watched, out.iter().cloned().collect::<BTreeSet<_>>());
        assert_eq!(read(conn, |tx| claims::free_addresses(tx, ChainKind::Evm, 10)), evm);
        assert!(read(conn, |tx| claims::address_owners(tx, vec!["out-1".to_owned()])).is_empty());
        let expected = PoolCounts { free: 2, given: 0, set_aside: 2, next: 5 };
        assert_eq!(read(conn, |tx| claims::pool_counts(tx, ChainKind::Evm)), expected);
    });
}
