//! The figures that the audit compares, on a shop that sells, and what is noted of them.

use super::Shop;
use crate::harness::START;
use crate::market::BOUGHT;
use crate::store::databases::{for_each_store, read, write};
use domain::asset::ChainKind;
use domain::audit::{self as rules, Check, Decimals, Deposits, Difference, ORDERS, Owed};
use domain::chain::{Header, Window};
use domain::ids::{AssetId, NetworkId, TransferId};
use domain::time::Span;
use server::store::refunds::{self, Assigned};
use server::store::transfers::{self, Watched};
use server::store::{Conn, audit, head, ledger};

const SIX: Option<Decimals> = Some(Decimals { chain: 6, ledger: 6 });

#[test]
fn a_page_holds_what_was_booked_what_was_shown_and_what_is_owed() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.sell(1, BOUGHT);
        let (asset, due) = (order.quote.asset.clone(), order.quote.due_units);
        let page = read(shop.conn, audit::page);
        assert_eq!((page.after, page.through), (0, read(shop.conn, head::last_seq)));
        let booked: Vec<(i64, Option<(i64, String)>)> = page
            .booked
            .iter()
            .map(|booked| (booked.units, booked.shown.as_ref().map(|shown| (shown.units, shown.raw.clone()))))
            .collect();
        assert_eq!(booked, [(due, Some((due, due.to_string())))]);
        assert!(page.booked.iter().all(|booked| booked.difference(SIX).is_none()));
        assert_eq!(page.owed, [Owed { no: order.no, asset: asset.clone(), said_units: 0, booked_units: 0 }]);
        assert_eq!(page.totals.get(&(ORDERS.to_owned(), asset.clone())), Some(&(due, due)));
        let kept = page.kept.clone().expect("nothing follows");
        assert!(kept.len() == 2 && rules::balances(&page.totals, &kept).is_empty(), "{kept:?}");

        assert!(write(shop.conn, |tx| audit::advance(tx, &page)));
        assert!(!write(shop.conn, |tx| audit::advance(tx, &page)), "somebody was there already");
        let next = read(shop.conn, audit::page);
        assert_eq!((next.after, next.through, &next.totals), (page.through, page.through, &page.totals));
        assert!(next.booked.is_empty() && next.owed.is_empty());
        let between = read(shop.conn, |tx| ledger::entries_between(tx, 0, page.through));
        assert_eq!(between.len(), 2, "confirmed, and settled");
        assert!(read(shop.conn, |tx| ledger::entries_between(tx, page.through, i64::MAX)).is_empty());

        // A payment that vanishes is booked back, and weighed again.
        let second = shop.place(2, BOUGHT);
        let transfer = shop.transfer(&second, 700_000, second.placed_at);
        shop.scan_seen(&second, &transfer);
        shop.scan_confirmed(&second, &transfer);
        shop.credit(&transfer).expect("it counts");
        shop.scan_reverted(&second, &transfer);
        shop.credit(&transfer).expect("it is gone");
        let page = read(shop.conn, audit::page);
        let booked: Vec<(&str, i64)> =
            page.booked.iter().map(|booked| (booked.transfer.as_str(), booked.units)).collect();
        assert_eq!(booked, [(transfer.id.as_str(), 700_000), (transfer.id.as_str(), 700_000)]);
        assert_eq!(page.owed, [Owed { no: second.no, asset: asset.clone(), said_units: 0, booked_units: 0 }]);
        assert_eq!(page.totals.get(&(ORDERS.to_owned(), asset)), Some(&(due + 700_000, due + 700_000)));
        shop.check();
    });
}

#[test]
fn everything_added_up_is_what_the_pages_come_to() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let (first, second) = (shop.sell(1, BOUGHT), shop.place(2, BOUGHT));
        shop.pay(&second, 700_000, second.placed_at);
        // Seen, and not confirmed: nobody counts it.
        let waiting = shop.transfer(&second, 500_000, second.placed_at);
        shop.scan_seen(&second, &waiting);
        shop.credit(&waiting).expect("it is news");
        let whole = read(shop.conn, audit::whole);
        let (asset, sum) = (first.quote.asset.clone(), first.quote.due_units + 700_000);
        let shown = Deposits { count: 2, units: i128::from(sum), raw: Some(i128::from(sum)) };
        assert_eq!(whole.shown.get(&asset), Some(&shown));
        assert_eq!(whole.booked.get(&asset), Some(&i128::from(sum)));
        assert_eq!(rules::deposits(&asset, &shown, i128::from(sum), SIX), None);
        let page = read(shop.conn, audit::page);
        assert_eq!((Some(&whole.kept), &whole.totals), (page.kept.as_ref(), &page.totals));
        // The kept sums are only those of what was looked at, until they are made anew.
        assert_eq!((whole.cursor, whole.sums.len()), (0, 0));
        assert!(write(shop.conn, |tx| audit::advance(tx, &page)));
        assert!(!write(shop.conn, |tx| audit::reset(tx, &whole)), "a page was looked at since");
        write(shop.conn, |tx| tx.execute("update audit_sums set debit_units = 1", &[]));
        let after = read(shop.conn, audit::whole);
        assert_eq!((after.cursor, &after.sums), (page.through, &whole.totals));
        assert!(write(shop.conn, |tx| audit::reset(tx, &after)));
        assert_eq!(read(shop.conn, audit::page).totals, whole.totals);
        // An amount that is no number makes the raw sum unknown, and nothing else.
        write(shop.conn, |tx| tx.execute("update chain_transfers set raw = 'much' where units = 700000", &[]));
        let whole = read(shop.conn, audit::whole);
        assert_eq!(whole.shown.get(&asset), Some(&Deposits { raw: None, ..shown }));
    });
}

fn watched(conn: &mut Conn, network: &NetworkId, heights: std::ops::RangeInclusive<i64>, confirmed_through: i64) {
    let header = |height: i64| Header {
        height,
        hash: format!("block-{height}"),
        transfers: Vec::new(),
        confirmed: height <= confirmed_through,
    };
    let window = Window { headers: heights.map(header).collect() };
    let after = Watched { window, scanned_through: START, version: 0 };
    let recorded = write(conn, |tx| {
        let before = transfers::watched(tx, network, None)?;
        transfers::record_scan(tx, network, &before, &after, &[])
    });
    assert!(recorded);
}

#[test]
fn a_block_that_is_asked_about_is_neither_too_new_nor_too_old() {
    for_each_store(|conn| {
        let network = NetworkId::new("test:base");
        let block = |conn: &mut Conn| read(conn, |tx| audit::settled_block(tx, &network)).map(|header| header.height);
        assert_eq!(block(conn), None, "nothing was scanned");
        watched(conn, &network, 1..=10, 0);
        assert_eq!(block(conn), None, "all of it is new");
        watched(conn, &network, 1..=10, 8);
        assert_eq!(block(conn), Some(8), "a chain that has just begun");
        watched(conn, &network, 1..=200, 150);
        assert_eq!(block(conn), Some(150), "the newest that is confirmed");
        watched(conn, &network, 1..=200, 50);
        assert_eq!(block(conn), Some(136), "what is confirmed is long forgotten: 64 blocks below the newest");
        watched(conn, &network, 1..=200, 200);
        assert_eq!(block(conn), Some(184), "16 blocks below the newest");
    });
}

#[test]
fn a_sample_knows_what_came_to_its_addresses() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let orders = [shop.sell(1, BOUGHT), shop.place(2, BOUGHT), shop.place(3, BOUGHT)];
        let [first, second, third] = &orders;
        let (network, asset, due) = (&first.quote.network_id, first.quote.asset.clone(), first.quote.due_units);
        let gone = shop.transfer(second, 9, second.placed_at);
        shop.scan_seen(second, &gone);
        shop.scan_reverted(second, &gone);
        // It came before the address belonged to anybody.
        let early = "insert into chain_transfers (id, network, asset, address, units, raw, height, block_hash, block_at_ms, \
            status) select 'early', network, asset, $1, 3, '3', 1, block_hash, block_at_ms, 'confirmed' \
            from chain_transfers where status = 'confirmed'";
        write(shop.conn, |tx| tx.execute(early, &[third.address.as_str().into()]));
        let draw = |conn: &mut Conn, height: i64, after: i64, limit: i64, wanted: &[&str]| {
            let wanted = wanted.iter().map(|address| (*address).to_owned()).collect();
            let assets = std::slice::from_ref(&asset);
            read(conn, |tx| audit::sample(tx, (network, ChainKind::Evm, assets), height, (after, limit), wanted))
        };
        let all = draw(shop.conn, 1, 0, 25, &[]);
        let mut addresses: Vec<&str> = orders.iter().map(|order| order.address.as_str()).collect();
        addresses.sort_unstable();
        assert_eq!((all.addresses.iter().map(String::as_str).collect::<Vec<_>>(), all.through), (addresses, 0));
        let came: Vec<(&str, i128)> = all.came.iter().map(|((_, address), raw)| (address.as_str(), *raw)).collect();
        assert_eq!(came, [(first.address.as_str(), i128::from(due)), (third.address.as_str(), 3)]);
        assert!(all.came.keys().all(|(of, _)| *of == asset));
        assert!(draw(shop.conn, 0, 0, 25, &[]).came.is_empty(), "before the block in which it came");
        // A part of it is swept; another sweep vanished again.
        let swept = "insert into sweeps (id, network, asset, sender, receiver, units, raw, height, block_hash, block_at_ms, \
            status, booked) select 'swept', network, asset, address, 'cold', 5, '5', 1, block_hash, block_at_ms, 'seen', 0 \
            from chain_transfers where order_id is not null and status = 'confirmed'";
        write(shop.conn, |tx| tx.execute(swept, &[]));
        write(shop.conn, |tx| tx.execute(&swept.replace("'swept'", "'gone'").replace("'seen'", "'reverted'"), &[]));
        let left = draw(shop.conn, 1, 0, 25, &[]).came;
        assert_eq!(left.get(&(asset.clone(), first.address.clone())), Some(&i128::from(due - 5)));
        // What was made another order's money lies where it came to, and is counted there once.
        let assigned = Assigned { by: "ann".to_owned(), note: "hers".to_owned(), at: START };
        let early = TransferId::new("early");
        assert!(write(shop.conn, |tx| refunds::assign(tx, &early, first.id, &assigned)));
        assert_eq!(draw(shop.conn, 1, 0, 25, &[]).came, left);
        // An absurd amount is said to be one, and keeps nothing else from being known.
        let absurd = "update chain_transfers set raw = '340282366920938463463374607431768211456' where id = 'early'";
        write(shop.conn, |tx| tx.execute(absurd, &[]));
        let sample = draw(shop.conn, 1, 0, 25, &[]);
        assert_eq!(sample.absurd.into_iter().collect::<Vec<_>>(), [(asset.clone(), third.address.clone())]);
        assert_eq!(sample.came.get(&(asset.clone(), first.address.clone())), Some(&i128::from(due - 5)));
        // Of another token nothing is asked.
        let another = "update chain_transfers set asset = 'test:base/another' where id = 'early'";
        write(shop.conn, |tx| tx.execute(another, &[]));
        assert!(draw(shop.conn, 1, 0, 25, &[]).absurd.is_empty());
        assert_eq!(read(shop.conn, |tx| audit::given(tx, ChainKind::Evm)), 3);
        assert_eq!(read(shop.conn, |tx| audit::given(tx, ChainKind::Svm)), 0);

        // One after the other, and from the beginning again.
        let (mut after, mut drawn) = (0, Vec::new());
        for _ in 0..3 {
            let one = draw(shop.conn, 1, after, 1, &[]);
            after = one.through;
            drawn.extend(one.addresses);
        }
        assert_eq!(drawn, [&first.address, &second.address, &third.address].map(String::clone));
        assert_eq!(draw(shop.conn, 1, after, 1, &[]).through, 0, "the pool is at its end");
        let wanted = draw(shop.conn, 1, after, 1, &[first.address.as_str(), "nobody's"]);
        assert_eq!(wanted.addresses, std::slice::from_ref(&first.address));
    });
}

fn differs(about: &str, units: i64) -> Difference {
    let (asset, sentence) = (AssetId::new("test:base/usdc"), format!("{units} at {about}"));
    Difference { check: Check::Chain, asset, about: about.to_owned(), units, sentence }
}

#[test]
fn a_finding_is_new_once_for_each_amount_and_stands_until_it_is_gone() {
    for_each_store(|conn| {
        let id = |about: &str| format!("chain|test:base/usdc|{about}");
        let open = |conn: &mut Conn| -> Vec<(String, i64, bool)> {
            let open = read(conn, |tx| audit::open(tx, 9));
            open.into_iter().map(|finding| (finding.id, finding.units, finding.acknowledged.is_some())).collect()
        };
        let later = START + Span::minutes(1);
        let note =
            |conn: &mut Conn, about: &str, units, now| write(conn, |tx| audit::note(tx, &[differs(about, units)], now));
        assert_eq!(note(conn, "a", 7, START), [id("a")]);
        assert!(note(conn, "a", 7, later).is_empty(), "it is known");
        let known = read(conn, |tx| audit::open(tx, 9)).pop().expect("one finding");
        assert_eq!((known.found_at, known.seen_at, known.is_open), (START, later, true));
        assert_eq!((known.network.as_str(), known.sentence.as_str()), ("test:base", "7 at a"));

        assert!(write(conn, |tx| audit::acknowledge(tx, &id("a"), "a test", later)));
        assert!(!write(conn, |tx| audit::acknowledge(tx, &id("b"), "a test", later)));
        assert!(note(conn, "a", 7, later).is_empty());
        assert_eq!(open(conn), [(id("a"), 7, true)], "it stays acknowledged");
        assert_eq!(note(conn, "a", 8, later), [id("a")], "another amount is another matter");
        assert_eq!(open(conn), [(id("a"), 8, false)]);

        assert_eq!(note(conn, "b", 1, later + Span(1)), [id("b")]);
        assert_eq!(read(conn, |tx| audit::open(tx, 1)).len(), 1);
        assert_eq!(write(conn, |tx| audit::end(tx, &[id("a"), id("c")])), [id("a")]);
        assert!(write(conn, |tx| audit::end(tx, &[])).is_empty());
        assert_eq!(open(conn), [(id("b"), 1, false)]);
        assert!(!write(conn, |tx| audit::acknowledge(tx, &id("a"), "a test", later)), "it is over");
        assert_eq!(note(conn, "a", 8, later), [id("a")], "it came back");
    });
}
