//! What the operator puts in: codes, catalogues with their logos, accounts.

use super::databases::{for_each_store, is_lasting, now, read, refused, write};
use crate::harness::START;
use crate::market::{self, MIXED, OWN, order_id, sku};
use domain::ids::CodeId;
use domain::time::Span;
use domain::validate::StockCount;
use server::store::accounts::{self, Account, Role};
use server::store::stock::NewCode;
use server::store::{Conn, catalogue, claims, stock};
use std::collections::BTreeMap;

/// (SKU, free, held) of everything that was ever in stock.
fn counts(conn: &mut Conn) -> Vec<(String, i64, i64)> {
    let counts = read(conn, stock::counts);
    counts.into_iter().map(|(sku, StockCount { free, held })| (sku.to_string(), free, held)).collect()
}

#[test]
fn imported_codes_are_counted_on_the_shelf() {
    for_each_store(|conn| {
        assert!(counts(conn).is_empty());
        let both: Vec<NewCode> = market::codes(OWN, 300).into_iter().chain(market::codes(MIXED, 1)).collect();
        write(conn, |tx| stock::add(tx, both, START));
        assert_eq!(counts(conn), [("mixed-100".to_owned(), 1, 0), ("own-100".to_owned(), 300, 0)]);

        // A second delivery adds to what is free and leaves what is held.
        write(conn, |tx| claims::write_stock(tx, vec![(sku(OWN), StockCount { free: 299, held: 4 })]));
        let more = market::codes(OWN, 302).split_off(300);
        write(conn, |tx| stock::add(tx, more, START));
        assert_eq!(counts(conn)[1], ("own-100".to_owned(), 301, 4));
    });
}

#[test]
fn a_code_is_imported_once_and_its_twin_spoils_the_import() {
    for_each_store(|conn| {
        write(conn, |tx| stock::add(tx, market::codes(OWN, 2), START));
        let before = counts(conn);
        let prints = vec!["print-own-0".to_owned(), "print-own-1".to_owned(), "print-own-2".to_owned()];
        let known = read(conn, |tx| stock::known_fingerprints(tx, prints));
        assert_eq!(known.into_iter().collect::<Vec<_>>(), ["print-own-0", "print-own-1"]);

        // The same code under another row and another SKU; and a row that exists.
        let code = |name: &str, print: &str| NewCode {
            id: CodeId::new(name),
            sku: sku(MIXED),
            sealed: "sealed".to_owned(),
            fingerprint: print.to_owned(),
            expires_on: Some("2027-01-31".to_owned()),
        };
        for twin in [code("another row", "print-own-1"), code("own-code-00001", "another print")] {
            let error = refused(conn, |tx| stock::add(tx, vec![code("new row", "new print"), twin], START));
            assert!(is_lasting(&error), "{error:?}");
        }
        assert_eq!(counts(conn), before);

        write(conn, |tx| stock::add(tx, vec![code("new row", "new print")], START));
        let sql = "select expires_on, added_at_ms, state from codes where id = 'new row'";
        let row = read(conn, |tx| tx.query_one(sql, &[])).expect("it was imported");
        assert_eq!((row.text(0), row.int(1), row.text(2)), ("2027-01-31", START.0, "ready"));
    });
}

#[test]
fn a_code_whose_last_day_is_over_leaves_the_shelf() {
    for_each_store(|conn| {
        let code = |name: &str, expires_on: Option<&str>| NewCode {
            id: CodeId::new(name),
            sku: sku(OWN),
            sealed: "sealed".to_owned(),
            fingerprint: format!("print of {name}"),
            expires_on: expires_on.map(str::to_owned),
        };
        let codes = vec![code("a", Some("2026-01-31")), code("b", Some("2026-02-01")), code("c", None)];
        write(conn, |tx| stock::add(tx, codes, START));
        // Sold before its day was over: it is somebody's.
        write(conn, |tx| stock::add(tx, vec![code("sold", Some("2026-01-01"))], START));
        write(conn, |tx| claims::take_codes(tx, vec![(CodeId::new("sold"), order_id(1), 0)]));
        write(conn, |tx| claims::write_stock(tx, vec![(sku(OWN), StockCount { free: 3, held: 0 })]));

        let wanted = BTreeMap::from([(sku(OWN), 9)]);
        let mut good_on = |day: &str| -> Vec<String> {
            let found = read(conn, |tx| claims::free_codes(tx, &wanted, day));
            found[&sku(OWN)].iter().map(ToString::to_string).collect()
        };
        assert_eq!(good_on("2026-01-31"), ["a", "b", "c"]);
        assert_eq!(good_on("2026-02-01"), ["b", "c"]);
        assert_eq!(good_on("2027-01-01"), ["c"]);

        assert!(!read(conn, |tx| stock::is_misplaced(tx, "2026-01-31")));
        assert!(read(conn, |tx| stock::is_misplaced(tx, "2026-02-01")));
        let now = now(conn);
        let retired = write(conn, |tx| stock::retire_expired(tx, "2026-02-01", now));
        assert_eq!(retired, BTreeMap::from([(sku(OWN), 1)]));
        assert_eq!(counts(conn), [("own-100".to_owned(), 2, 0)]);
        // The clock was wrong: what is good comes back.
        assert!(read(conn, |tx| stock::is_misplaced(tx, "2026-01-31")));
        let back = write(conn, |tx| stock::retire_expired(tx, "2026-01-31", now));
        assert_eq!((back, counts(conn)), (BTreeMap::from([(sku(OWN), -1)]), vec![("own-100".to_owned(), 3, 0)]));
        write(conn, |tx| stock::retire_expired(tx, "2026-02-01", now));
        assert!(!read(conn, |tx| stock::is_misplaced(tx, "2026-02-01")));
    });
}

#[test]
fn codes_are_read_by_their_line_and_sealed_again() {
    for_each_store(|conn| {
        write(conn, |tx| stock::add(tx, market::codes(OWN, 3), START));
        let code = |at: usize| CodeId::new(format!("own-code-0000{at}"));
        write(conn, |tx| claims::take_codes(tx, vec![(code(1), order_id(1), 0)]));
        let owners = vec![claims::owner(order_id(1), 0), claims::owner(order_id(1), 1)];
        let found = read(conn, |tx| stock::sealed_of(tx, owners.clone()));
        let expected = (code(1), "0000aaaa.nonce.own-1".to_owned());
        assert_eq!(found, BTreeMap::from([(owners[0].clone(), expected)]));

        // All of them are sealed by the key 0000aaaa.
        let mut older = |active: &str, limit: i64| -> Vec<CodeId> {
            let found = read(conn, |tx| stock::sealed_by_older_keys(tx, active, limit));
            found.into_iter().map(|(id, _)| id).collect()
        };
        assert!(older("0000aaaa", 9).is_empty());
        assert_eq!(older("0000bbbb", 2), [code(0), code(1)]);
        let rows = vec![(code(0), "0000bbbb.n.0".to_owned()), (code(1), "0000bbbb.n.1".to_owned())];
        write(conn, |tx| stock::reseal(tx, rows));
        let left = read(conn, |tx| stock::sealed_by_older_keys(tx, "0000bbbb", 9));
        assert_eq!(left, [(code(2), "0000aaaa.nonce.own-2".to_owned())]);
        let found = read(conn, |tx| stock::sealed_of(tx, owners.clone()));
        assert_eq!(found[&owners[0]], (code(1), "0000bbbb.n.1".to_owned()));
    });
}

#[test]
fn the_newest_catalogue_is_in_force_and_the_older_ones_stay() {
    for_each_store(|conn| {
        assert_eq!(read(conn, catalogue::newest_id), None);
        let later = START + Span::seconds(1);
        for (id, body, at) in [("b", "first", START), ("a", "second", later), ("c", "third", START)] {
            write(conn, |tx| catalogue::add(tx, id, body, at));
        }
        assert_eq!(read(conn, catalogue::newest_id).as_deref(), Some("a"));
        // Of two imports in one millisecond there is still one answer.
        write(conn, |tx| catalogue::add(tx, "d", "fourth", later));
        assert_eq!(read(conn, catalogue::newest_id).as_deref(), Some("d"));

        assert_eq!(read(conn, |tx| catalogue::body(tx, "b")).as_deref(), Some("first"));
        assert_eq!(read(conn, |tx| catalogue::body(tx, "z")), None);
        let error = refused(conn, |tx| catalogue::add(tx, "a", "another", later));
        assert!(is_lasting(&error), "orders keep the id: {error:?}");

        // Twenty are kept, the newest.
        for number in 1..=19 {
            let at = later + Span::seconds(number);
            write(conn, |tx| catalogue::add(tx, &format!("more-{number}"), "more", at));
        }
        assert_eq!(read(conn, |tx| catalogue::body(tx, "d")).as_deref(), Some("fourth"));
        assert_eq!(read(conn, |tx| catalogue::body(tx, "a")), None, "the oldest are forgotten");
        assert_eq!(read(conn, catalogue::newest_id).as_deref(), Some("more-19"));
    });
}

#[test]
fn a_logo_replaces_the_one_before() {
    for_each_store(|conn| {
        assert_eq!(read(conn, |tx| catalogue::logo(tx, "brand")), None);
        let large = "A".repeat(300_000);
        for image in ["first", large.as_str()] {
            write(conn, |tx| catalogue::set_logo(tx, "brand", image));
            assert!(read(conn, |tx| catalogue::logo(tx, "brand")).as_deref() == Some(image));
        }
        assert_eq!(read(conn, |tx| catalogue::logo(tx, "Brand")), None);
    });
}

fn account(id: &str, role: Role, token_hash: Option<&str>) -> Account {
    Account {
        id: id.to_owned(),
        role,
        name: format!("The {} {id}", role.word()),
        token_hash: token_hash.map(str::to_owned),
        trust_from: None,
        active: true,
        created_at: START,
    }
}

#[test]
fn accounts_are_listed_by_role_oldest_first() {
    for_each_store(|conn| {
        let late = Account { created_at: START + Span::seconds(1), ..account("a", Role::Partner, None) };
        let networks = Some("10.0.0.0/8,::1/128".to_owned());
        let trusting = Account { trust_from: networks, ..account("c", Role::Partner, None) };
        let early = account("b", Role::Partner, Some("hash-b"));
        let customer = account("d", Role::Customer, Some("hash-d"));
        for account in [&late, &trusting, &early, &customer] {
            assert!(write(conn, |tx| accounts::add(tx, account)));
        }
        assert_eq!(read(conn, |tx| accounts::of_role(tx, Role::Partner)), [early, trusting, late]);
        assert_eq!(read(conn, |tx| accounts::of_role(tx, Role::Customer)), [customer]);
        assert!(read(conn, |tx| accounts::of_role(tx, Role::Operator)).is_empty());
    });
}

#[test]
fn a_token_opens_the_active_account_that_has_it() {
    for_each_store(|conn| {
        let open = account("a", Role::Customer, Some("hash-a"));
        let closed = Account { active: false, ..account("b", Role::Customer, Some("hash-b")) };
        for account in [&open, &closed] {
            assert!(write(conn, |tx| accounts::add(tx, account)));
        }
        let mut opened = |hash: &str| read(conn, |tx| accounts::by_token_hash(tx, hash));
        assert_eq!(opened("hash-a"), Some(open));
        assert_eq!(opened("hash-b"), None);
        assert_eq!(opened("hash-c"), None);
        assert_eq!(opened(""), None);

        // Closed and opened again, by its id and role alone.
        assert!(!write(conn, |tx| accounts::set_active(tx, Role::Partner, "a", false)));
        assert!(write(conn, |tx| accounts::set_active(tx, Role::Customer, "a", false)));
        assert_eq!(read(conn, |tx| accounts::by_token_hash(tx, "hash-a")), None);
        assert!(write(conn, |tx| accounts::set_active(tx, Role::Customer, "a", true)));
        assert!(read(conn, |tx| accounts::by_token_hash(tx, "hash-a")).is_some());

        // An id that is taken stays as it is, whatever else is new about it.
        assert!(!write(conn, |tx| accounts::add(tx, &account("b", Role::Partner, Some("hash-c")))));
        assert_eq!(read(conn, |tx| accounts::of_role(tx, Role::Customer)).len(), 2);
        assert!(read(conn, |tx| accounts::of_role(tx, Role::Partner)).is_empty());
    });
}
