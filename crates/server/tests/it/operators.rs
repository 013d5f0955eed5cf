//! What an operator does by hand: asking about orders and deciding about them, and the pools of addresses. Rotation of the
//! sealing keys is in `operators/rotation.rs`, backup and restore in `operators/restore.rs`.
//!
//! The commands' own functions are called, on the shop that the harness runs.

mod restore;
mod rotation;

use crate::harness::Shop;
use crate::http::{Wanted as Line, id, pay, place, row, show};
use crate::market;
use domain::asset::ChainKind;
use domain::decide::Resolution;
use domain::ids::OrderId;
use domain::project::OrderState;
use domain::reasons::Reason;
use domain::time::Span;
use server::boot::{Kiosk, gone};
use server::cli::order::{self, Decision, Wanted};
use server::cli::wallet;
use server::ports::Goods;
use server::store::claims;
use server::store::orders::{self, Changed};
use server::store::transfers::{self, Watched};
use server::vault::OpenOrder;

/// Delivered from codes of the shop's own; it costs 50.75 USDC.
const OWN: Line<'static> = ("Airbnb", "50 USD", "ann@example.com");
/// Bought, and never heard of again.
const LOST: Line<'static> = ("Apple", "10 USD", "lost.bob@example.com");
const BUYER: &str = "buyer@example.com";

/// An order with everything that is sealed.
async fn opened(kiosk: &Kiosk, id: OrderId) -> OpenOrder {
    let vault = kiosk.vault.clone();
    let opened = kiosk.engine.db.read(move |tx| Ok(vault.open(tx, id))).await.expect("a read");
    opened.expect("it opens").expect("there is such an order")
}

/// The codes of an order's lines.
async fn codes(kiosk: &Kiosk, id: OrderId) -> Vec<Goods> {
    opened(kiosk, id).await.goods.into_iter().flatten().collect()
}

/// What no text for people may hold.
async fn assert_discreet(shop: &Shop, order: &api::Order, text: &str) {
    assert!(!text.contains('@'), "an address:\n{text}");
    assert!(!text.to_lowercase().contains(&order.order_id), "the order's id");
    for goods in codes(&shop.kiosk, id(order)).await {
        assert!(!text.contains(&goods.pin_code), "a code");
        assert!(goods.pin_serial.is_none_or(|serial| !text.contains(&serial)), "a serial");
    }
}

async fn number(shop: &Shop, order: &api::Order) -> String {
    row(shop, order).await.no.to_string()
}

async fn shown(shop: &Shop, order: &api::Order) -> String {
    let text = order::show(&shop.kiosk, &number(shop, order).await, "").await.expect("it is explained");
    assert_discreet(shop, order, &text).await;
    text
}

fn assert_says(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_explained_with_what_to_do_and_without_secrets() {
    let mut shop = Shop::open().await;
    let order = place(&shop, BUYER, &[OWN, LOST]).await;
    let no = number(&shop, &order).await;
    assert_says(
        &shown(&shop, &order).await,
        &["Nothing was paid yet", "your own stock is to deliver it", "  Nothing."],
    );
    pay(&shop, &order, "{}").await;
    shop.pump().await;
    shop.after(Span::seconds(10)).await;

    assert_eq!(codes(&shop.kiosk, id(&order)).await.len(), 1, "there is a code that must not be shown");
    let text = order::show(&shop.kiosk, &no, " --data-dir 'there'").await.expect("it is explained");
    assert_discreet(&shop, &order, &text).await;
    let decide = format!("kiosk order resolve {no} --line 1 --");
    assert_says(
        &text,
        &[
            &format!("Order {no}: WaitingForManualAction"),
            "paid in time",
            "delivered 2026-11-20T11:35:00Z from your own stock",
            &format!("no clear answer from sandbox under our reference k{no}-1-0"),
            "Line 1 is on hold since 2026-11-20T11:35:10Z",
            &format!("{decide}delivered --note 'how it is known' --data-dir 'there'"),
            &format!("{decide}refused --note"),
            &format!("2026-11-20T11:35:00Z  line 1 ordered from sandbox under our reference k{no}-1-0"),
        ],
    );
    assert!(!text.contains("--line 0"), "a delivered line is nobody's to decide:\n{text}");

    let by_id = order::show(&shop.kiosk, &order.order_id, " --data-dir 'there'").await.expect("it is explained");
    assert_eq!(by_id, text);
    let unknown = order::show(&shop.kiosk, "999999", "").await.expect_err("there is no such order");
    assert_eq!(unknown.to_string(), "there is no order 999999");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unusual_payment_is_explained() {
    // How it is paid, what is unusual, and what else must be said. The price is 50.75 USDC.
    let table: [(&str, &[Reason], &[&str]); 6] = [
        ("{}", &[], &["Every line has ended", "  Nothing."]),
        (r#"{"factor": "0.5"}"#, &[Reason::Short], &["25.375 USDC of 50.75 USDC were seen", "  Nothing."]),
        (r#"{"factor": "1.5"}"#, &[Reason::Over], &["25.375 USDC are owed to the payer"]),
        (r#"{"twice": true}"#, &[Reason::Second, Reason::Over], &["50.75 USDC are owed to the payer"]),
        (r#"{"wrong_token": true}"#, &[Reason::WrongAsset], &["it belongs to the payer"]),
        (r#"{"reorg": 1}"#, &[Reason::Reverted], &["vanished from the chain"]),
    ];
    let mut shop = Shop::open().await;
    let mut claims = Vec::new();
    for (at, (how, reasons, more)) in table.into_iter().enumerate() {
        let order = place(&shop, &format!("buyer{at}@example.com"), &[OWN]).await;
        pay(&shop, &order, how).await;
        shop.pump().await;
        let text = shown(&shop, &order).await;
        let sentences: Vec<&str> = reasons.iter().map(|reason| reason.words().for_operator).collect();
        assert_says(&text, &sentences);
        assert_says(&text, more);
        if [2, 3, 4].contains(&at) {
            claims.push(row(&shop, &order).await.no);
        }
    }
    let wanted = Wanted { claims: true, ..Wanted::default() };
    assert_eq!(numbers(&order::list(&shop.kiosk, &wanted).await.expect("a list")), newest_first(claims));
    shop.close().await;
}

/// The first words of the lines.
fn numbers(list: &str) -> Vec<i64> {
    list.lines().filter_map(|line| line.split(' ').next().and_then(|word| word.parse().ok())).collect()
}

fn newest_first(mut numbers: Vec<i64>) -> Vec<i64> {
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    numbers
}

async fn listed(shop: &Shop, wanted: Wanted) -> Vec<i64> {
    let list = order::list(&shop.kiosk, &wanted).await.expect("a list");
    assert!(!list.contains('@'), "{list}");
    numbers(&list)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_forgets_its_people_once_nobody_needs_them() {
    let mut shop = Shop::open().await;
    let mut orders = Vec::new();
    for how in ["", "{}", r#"{"factor": "1.5"}"#, "", "{}"] {
        let order = place(&shop, BUYER, &[OWN]).await;
        if !how.is_empty() {
            pay(&shop, &order, how).await;
        }
        orders.push((number(&shop, &order).await, order));
    }
    shop.pump().await;
    order::cancel(&shop.kiosk, &orders[3].0).await.expect("nothing was paid");
    order::hold(&shop.kiosk, &orders[4].0, "the payer complains").await.expect("it is held");
    for (at, why) in [(0, "can still be paid; wait until"), (2, "owes its payer money"), (4, "is on hold")] {
        let error = order::forget(&shop.kiosk, &orders[at].0).await.expect_err(why).to_string();
        assert_says(&error, &[why, &orders[at].0]);
        assert!(opened(&shop.kiosk, id(&orders[at].1)).await.personal.email.is_some());
    }
    for at in [1, 3] {
        let done = order::forget(&shop.kiosk, &orders[at].0).await.expect("nobody needs them");
        assert_says(&done, &["are deleted", &orders[at].0]);
        let left = opened(&shop.kiosk, id(&orders[at].1)).await;
        assert!(left.personal.email.is_none() && left.personal.beneficiaries.is_empty());
    }
    assert_eq!(codes(&shop.kiosk, id(&orders[1].1)).await.len(), 1, "the code stays its owner's");
    let again = order::forget(&shop.kiosk, &orders[1].0).await.expect("it may be asked again");
    assert_says(&again, &["were deleted before"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waits_for_money_wakes_no_worker() {
    let mut shop = Shop::open().await;
    let mut due = shop.kiosk.engine.due_work();
    due.mark_unchanged();
    let order = place(&shop, BUYER, &[OWN]).await;
    assert!(!due.has_changed().expect("the engine is there"));
    pay(&shop, &order, "{}").await;
    shop.pump().await;
    assert!(due.has_changed().expect("the engine is there"), "a paid line is to be delivered");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_stops_an_order_until_a_person_lets_it_go_on() {
    let mut shop = Shop::open().await;
    let placed = place(&shop, BUYER, &[OWN]).await;
    let no = number(&shop, &placed).await;
    for note in ["", " \n", "call ann@example.com", placed.order_id.as_str(), "two\nlines"] {
        order::hold(&shop.kiosk, &no, note).await.expect_err("a note that cannot be kept");
    }
    assert_eq!(row(&shop, &placed).await.hold(), None);
    order::hold(&shop.kiosk, &no, "looks like a stolen card").await.expect("it is held");
    order::hold(&shop.kiosk, &no, "once more").await.expect_err("the first reason stands");

    pay(&shop, &placed, "{}").await;
    shop.pump().await;
    shop.after(Span::hours(1)).await;
    assert_eq!(row(&shop, &placed).await.state, OrderState::WaitingForManualAction);
    assert_eq!(codes(&shop.kiosk, id(&placed)).await.len(), 0, "nothing is delivered");
    assert_says(
        &shown(&shop, &placed).await,
        &["once the hold has ended", "looks like a stolen card", &format!("kiosk order resolve {no} --note")],
    );
    let held = || Wanted { held: true, ..Wanted::default() };
    assert_eq!(listed(&shop, held()).await, [row(&shop, &placed).await.no]);

    order::resolve(&shop.kiosk, &no, Decision::GoOn, "it was his own").await.expect("the hold ends");
    shop.pump().await;
    assert_eq!(show(&shop, &placed).await.order_state, api::OrderState::Done);
    order::resolve(&shop.kiosk, &no, Decision::GoOn, "again").await.expect_err("there is no hold");
    assert_eq!(listed(&shop, held()).await, Vec::<i64>::new());
    let done = Wanted { state: Some(OrderState::Done), ..Wanted::default() };
    assert_eq!(listed(&shop, done).await, [row(&shop, &placed).await.no]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_ends_what_a_supplier_leaves_open() {
    let mut shop = Shop::open().await;
    // What is said of the lost line, and what is said of the order then.
    let table: [(Resolution, &[&str]); 2] = [
        (Resolution::Delivered, &["line 1 delivered", "  Nothing."]),
        (
            Resolution::Refused,
            &["line 1 will not be delivered (they never got it)", "10.15 USDC are owed to the payer"],
        ),
    ];
    for (resolution, said) in table {
        let placed = place(&shop, BUYER, &[OWN, LOST]).await;
        pay(&shop, &placed, "{}").await;
        shop.pump().await;
        shop.after(Span::seconds(10)).await;
        let no = number(&shop, &placed).await;
        let decision = |line| Decision::Line { line, resolution };
        order::resolve(&shop.kiosk, &no, decision(2), "they never got it").await.expect_err("there are two lines");
        order::resolve(&shop.kiosk, &no, decision(0), "they never got it").await.expect_err("it is delivered");
        let text = order::resolve(&shop.kiosk, &no, decision(1), "they never got it").await.expect("it is decided");
        assert!(text.ends_with("its state is Done"), "{text}");
        shop.pump().await;
        assert_says(&shown(&shop, &placed).await, said);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_order_without_a_payment_is_cancelled() {
    let mut shop = Shop::open().await;
    let (unpaid, paid) = (place(&shop, BUYER, &[OWN]).await, place(&shop, BUYER, &[OWN]).await);
    pay(&shop, &paid, r#"{"factor": "0.1"}"#).await;
    shop.pump().await;
    order::cancel(&shop.kiosk, &number(&shop, &paid).await).await.expect_err("money was seen");
    order::cancel(&shop.kiosk, &number(&shop, &unpaid).await).await.expect("it is cancelled");
    assert_eq!(show(&shop, &unpaid).await.order_state, api::OrderState::Canceled);
    assert_says(&shown(&shop, &unpaid).await, &["cancelled before anything was paid"]);

    let newest = Wanted { limit: 1, ..Wanted::default() };
    assert_eq!(listed(&shop, newest).await, [row(&shop, &paid).await.no]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_grows_by_what_is_asked_for() {
    let shop = Shop::open().await;
    let before = wallet::status(&shop.kiosk).await.expect("a status");
    let mut told = Vec::new();
    let mut progress = |kind: ChainKind, made: usize| told.push((kind, made));
    wallet::make(&shop.kiosk, ChainKind::Svm, 1_001, &mut progress).await.expect("addresses");
    wallet::make(&shop.kiosk, ChainKind::Evm, 2, &mut progress).await.expect("addresses");
    assert_eq!(told, [(ChainKind::Svm, 1_000), (ChainKind::Svm, 1_001), (ChainKind::Evm, 2)]);
    let grown: Vec<i64> = wallet::status(&shop.kiosk)
        .await
        .expect("a status")
        .into_iter()
        .zip(before)
        .map(|((kind, free, next), (same_kind, free_before, next_before))| {
            assert_eq!((kind, next - next_before), (same_kind, free - free_before), "nothing is taken meanwhile");
            free - free_before
        })
        .collect();
    assert_eq!(grown, [2, 1_001]);
    let ownerless = shop.kiosk.engine.db.read(|tx| transfers::of_no_order(tx, 1)).await.expect("a read");
    assert_eq!(ownerless.len(), 0);
    let free =
        shop.kiosk.engine.db.read(|tx| claims::free_addresses(tx, ChainKind::Evm, 10_000)).await.expect("a read");
    assert!(free.iter().all(|address| address.starts_with("0x")));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_left_the_configuration_is_named_while_orders_wait_on_it() {
    let shop = Shop::open().await;
    assert!(gone::networks_gone(&shop.kiosk).await.expect("a look").is_empty());
    // One that was watched once, and an order that is to be paid there.
    let order = market::order(1);
    let network = order.quote.network_id.clone();
    let on_it = network.clone();
    let written = shop.kiosk.engine.write(move |tx| {
        transfers::record_scan(tx, &on_it, &Watched::default(), &Watched::default(), &[])?;
        orders::write(tx, &[Changed { order: &order, prior_version: 0 }])?;
        orders::rewrite_steps(tx, &[(order.id, Vec::new(), order.next_steps())])
    });
    written.await.expect("it is written");
    let found = gone::networks_gone(&shop.kiosk).await.expect("a look");
    assert_eq!(found, [(network.clone(), 1)]);
    let advice = gone::advice(&found[0]);
    assert!(advice.starts_with(&format!("1 orders wait for money on {network}, ")), "{advice}");
    assert!(advice.contains("`suspended = true`"), "{advice}");
    // Not closed: an order without events is no order for `fsck`.
}
