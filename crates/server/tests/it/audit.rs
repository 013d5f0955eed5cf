//! The audit beside a shop that sells: it finds nothing where nothing is wrong, and what is planted it finds, tells everywhere,
//! and forgets when it is gone.

use crate::harness::Shop;
use crate::http::{Wanted, get, pay, place, request, row};
use api::PaymentChoice;
use domain::ids::{AssetId, NetworkId};
use domain::time::Span;
use server::cli::ledger;
use server::ports::Clock;
use server::store::audit::open;
use server::workers::{Ran, audit};
use std::collections::{BTreeMap, BTreeSet};

const CARD: Wanted<'static> = ("Airbnb", "100 USD", "ann@example.com");
const NOTHING: [&str; 0] = [];

/// Looks until nothing is left to be looked at; what is open then.
pub async fn audited(shop: &Shop) -> Vec<String> {
    let engine = &shop.kiosk.engine;
    for _ in 0..100 {
        let ran = audit::run_once(engine, &shop.outside.networks, shop.clock.now()).await.expect("it is looked at");
        if ran == Ran::Idle {
            let open = engine.db.read(|tx| open(tx, 100)).await.expect("a read");
            return open.into_iter().map(|finding| finding.id).collect();
        }
    }
    panic!("the audit never comes to an end");
}

async fn change(shop: &Shop, sql: &str) {
    let sql = sql.to_owned();
    let changed = shop.kiosk.engine.write(move |tx| tx.execute(&sql, &[])).await.expect("it is written");
    assert!(changed > 0, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_in_a_shop_whatever_its_payers_do() {
    let mut shop = Shop::open().await;
    assert_eq!(audited(&shop).await, NOTHING, "an empty shop");
    for (number, how) in [
        "{}",
        r#"{"factor": "0.5"}"#,
        r#"{"factor": 1.5}"#,
        r#"{"factor": "0.996"}"#,
        r#"{"twice": true}"#,
        r#"{"wrong_token": true}"#,
        r#"{"reorg": 1}"#,
        r#"{"reorg": 2}"#,
        r#"{"late": "45m"}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let order = place(&shop, &format!("buyer{number}@example.com"), &[CARD]).await;
        pay(&shop, &order, how).await;
        shop.pump().await;
        assert_eq!(audited(&shop).await, NOTHING, "{how}");
    }
    shop.after(Span::hours(30)).await;
    assert_eq!(audited(&shop).await, NOTHING, "everything added up anew");
    shop.close().await;
}

/// (`/readyz`, of the books; what differs of that asset, as `/metrics` has it; whether an order is taken)
async fn standing(shop: &Shop, asset: &str, buyer: &str) -> (String, Option<i64>, bool) {
    let ready = get(&shop.url, "/readyz").await.json();
    let metrics = get(&shop.url, "/metrics").await.text();
    let of_asset = format!("asset=\"{asset}\"}} ");
    let figure = metrics
        .lines()
        .filter(|line| line.starts_with("kiosk_audit_difference{"))
        .find_map(|line| line.split_once(&of_asset).and_then(|(_, value)| value.parse().ok()));
    // By its name: whoever leaves the network open is given one that is not closed.
    let rails = &shop.kiosk.engine.shared.market().rails;
    let (network, _) = rails.asset(&AssetId::new(asset)).expect("an asset of the shop");
    let mut wanted = request(buyer, &[CARD]);
    wanted.payment = PaymentChoice::via("USER_WALLET", "USDC", Some(&network.name));
    let placed = shop.client.create_order(&wanted, None).await;
    if let Err(error) = &placed {
        assert!(format!("{error:?}").contains("SUSPENDED_NETWORK"), "{error:?}");
    }
    (ready["books"].as_str().expect("a word").to_owned(), figure, placed.is_ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_chain_does_not_have_closes_its_network_until_somebody_looks_or_it_is_gone() {
    let mut shop = Shop::open().await;
    let order = place(&shop, "ann@example.com", &[CARD]).await;
    pay(&shop, &order, "{}").await;
    shop.pump().await;
    assert_eq!(audited(&shop).await, NOTHING);
    let row = row(&shop, &order).await;
    let (asset, address) = (row.quote.asset.to_string(), row.address.clone());
    let ok = |books: &str, figure, taken| (books.to_owned(), Some(figure), taken);
    assert_eq!(standing(&shop, &asset, "a@example.com").await, ok("ok", 0, true));

    // One unit more than was paid is said to have come.
    change(&shop, "update chain_transfers set raw = '101500001' where raw = '101500000'").await;
    let finding = format!("chain|{asset}|{address}");
    assert_eq!(audited(&shop).await, std::slice::from_ref(&finding));
    assert_eq!(standing(&shop, &asset, "b@example.com").await, ok("differ", 1, false));
    let text = ledger::findings(&shop.kiosk).await.expect("a read").expect("something is open");
    assert!(text.contains(&format!("there lie 101500000 of {asset} at {address}, and 101500001 are known")), "{text}");
    assert!(text.contains("takes no new orders"), "{text}");

    // A process that has just started knows nothing, and is told by the first look.
    shop.kiosk.engine.shared.board.note_audit(BTreeSet::new(), BTreeMap::new());
    audit::sound(&shop.kiosk.engine, shop.clock.now()).await.expect("it is read");
    let closed: BTreeSet<NetworkId> = BTreeSet::from([row.quote.network_id.clone()]);
    assert_eq!(shop.kiosk.engine.shared.board.closed(shop.clock.now()), closed, "one network and no other");

    // Money that comes all the same counts.
    let second = format!("/sandbox/orders/{}/pay", order.order_id);
    assert_eq!(crate::http::post(&shop.url, &second, "{}").await.head.status, 200);
    shop.pump().await;
    assert_eq!(crate::http::row(&shop, &order).await.credit_units, 101_500_000, "a second payment is owed back");

    assert!(ledger::acknowledge(&shop.kiosk, "chain|x|y", "a test").await.is_err());
    assert!(ledger::acknowledge(&shop.kiosk, &finding, "ask ann@example.com").await.is_err(), "an e-mail address");
    ledger::acknowledge(&shop.kiosk, &finding, "a test").await.expect("it is open");
    assert_eq!(audited(&shop).await, std::slice::from_ref(&finding), "it stays a difference");
    assert_eq!(standing(&shop, &asset, "c@example.com").await, ok("differ", 1, true));

    // By another amount it is another matter.
    change(&shop, "update chain_transfers set raw = '101500005' where raw = '101500001'").await;
    assert_eq!(audited(&shop).await, [finding]);
    assert_eq!(standing(&shop, &asset, "d@example.com").await, ok("differ", 5, false));
    change(&shop, "update chain_transfers set raw = '101500000' where raw = '101500005'").await;
    assert_eq!(audited(&shop).await, NOTHING);
    assert_eq!(standing(&shop, &asset, "e@example.com").await, ok("ok", 0, true));
    assert_eq!(ledger::findings(&shop.kiosk).await.expect("a read"), None);
    shop.close().await;
}

/// Each row: what is damaged before the first look, how, how a finding begins, and how it is mended.
const DAMAGES: &[(&str, &str, &str)] = &[
    (
        "update balances set credit_units = credit_units + 1 where account = 'sales:giftcard'",
        "balances|",
        "update balances set credit_units = credit_units - 1 where account = 'sales:giftcard'",
    ),
    (
        "update chain_transfers set units = units - 1 where credited = 'confirmed'",
        "payments|",
        "update chain_transfers set units = units + 1 where credited = 'confirmed'",
    ),
    ("update chain_transfers set asset = 'sandbox:another/token' where credited = 'confirmed'", "payments|", ""),
    (
        "update ledger_transfers set units = units - 2 where debit like 'network:%'",
        "orders|",
        "update ledger_transfers set units = units + 2 where debit like 'network:%'",
    ),
    ("update chain_transfers set credited = 'seen' where credited = 'confirmed'", "deposits|", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_is_found_by_the_first_look() {
    for (damage, begins, mended) in DAMAGES {
        let mut shop = Shop::open().await;
        let order = place(&shop, "ann@example.com", &[CARD]).await;
        pay(&shop, &order, "{}").await;
        shop.pump().await;
        change(&shop, damage).await;
        let found = audited(&shop).await;
        assert!(found.iter().any(|id| id.starts_with(begins)), "{damage}: {found:?}");
        if !mended.is_empty() {
            change(&shop, mended).await;
            // What was looked at once is looked at again on the next day.
            shop.after(Span::hours(24)).await;
            let left = audited(&shop).await;
            assert!(left.iter().all(|id| !id.starts_with("balances|") && !id.starts_with("deposits|")), "{left:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_after_a_look_is_found_on_the_next_day() {
    let mut shop = Shop::open().await;
    let order = place(&shop, "ann@example.com", &[CARD]).await;
    pay(&shop, &order, "{}").await;
    shop.pump().await;
    assert_eq!(audited(&shop).await, NOTHING);
    change(&shop, "update chain_transfers set units = units + 1 where credited = 'confirmed'").await;
    assert_eq!(audited(&shop).await, NOTHING, "what was added up is not added up again");
    shop.after(Span::hours(24)).await;
    let found = audited(&shop).await;
    assert!(found.len() == 1 && found[0].starts_with("deposits|") && found[0].ends_with("|units"), "{found:?}");
    change(&shop, "update chain_transfers set units = units - 1 where credited = 'confirmed'").await;
    shop.after(Span::hours(24)).await;
    assert_eq!(audited(&shop).await, NOTHING);
    shop.close().await;
}
