//! Stories of payments: exact, short, over, late, twice, reorganised, with the wrong token, at another rate, and by a
//! second process. Everything comes in over HTTP or through the sandbox's own desk, and is noticed by the real watcher.
//!
//! The rules are those of field-notes section 5, the words those of contract section 4. Run by `cargo test`.

use crate::harness::Shop;
use crate::http::{Wanted, id, pay, place, post, request, row, show};
use domain::event::HoldReason;
use domain::fulfil::Line;
use domain::money::Currency;
use domain::payment::PaymentReason;
use domain::pricing::FiatRate;
use domain::time::{Span, Time};
use server::boot;
use server::clock::SystemIds;
use server::ports::Clock;
use server::sandbox_desk::{self, Payment};
use server::store::orders;
use server::workers::{credit, watch};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What somebody does; then everybody works.
enum Act {
    /// The body of `POST /sandbox/orders/{id}/pay`.
    Pay(&'static str),
    /// The clock moves.
    Wait(Span),
}

use Act::{Pay, Wait};

/// Own stock, 100 USD and 1.5 %: 101.50 USDC are due. The tolerance is the smaller of 0.5 % and 0.50 USD, hence 0.50.
const CARD: Wanted<'static> = ("Airbnb", "100 USD", "ann@example.com");
/// From a supplier who takes it in and delivers later: 25 USD and 1.5 % are 25.375, rounded up to 25.38 USDC.
const LATER: Wanted<'static> = ("Apple", "25 USD", "pending.ann@example.com");

/// A name, what is bought, and for each act how the order stands after it (see [`standing`]).
type Story = (&'static str, Wanted<'static>, &'static [(Act, &'static str)]);

const STORIES: &[Story] = &[
    ("exact", CARD, &[(Pay("{}"), "Done PaymentReceived 101.50 {} 0")]),
    (
        "short, then the rest",
        CARD,
        &[
            (Pay(r#"{"factor": "0.5"}"#), "PartialPaymentStarted PaymentRequested 50.75 {Short} 50750000"),
            (Pay(r#"{"factor": 0.5}"#), "Done PaymentReceived 101.50 {} 0"),
        ],
    ),
    (
        "short until the window is over",
        CARD,
        &[
            (Pay(r#"{"factor": "0.5"}"#), "PartialPaymentStarted PaymentRequested 50.75 {Short} 50750000"),
            (Wait(Span::minutes(31)), "Expired ExpiredAfterPaymentDetection 50.75 {Short} 50750000"),
        ],
    ),
    ("0.406 too little", CARD, &[(Pay(r#"{"factor": "0.996"}"#), "Done PaymentReceived 101.094 {} 0")]),
    ("0.499989 too little", CARD, &[(Pay(r#"{"factor": "0.995074"}"#), "Done PaymentReceived 101.000011 {} 0")]),
    (
        "0.500091 too little",
        CARD,
        &[(Pay(r#"{"factor": "0.995073"}"#), "PartialPaymentStarted PaymentRequested 100.999909 {Short} 100999909")],
    ),
    ("half too much", CARD, &[(Pay(r#"{"factor": 1.5}"#), "Done PaymentReceived 152.25 {Over} 50750000")]),
    ("a trifle too much", CARD, &[(Pay(r#"{"factor": "1.004"}"#), "Done PaymentReceived 101.906 {Over} 0")]),
    ("twice", CARD, &[(Pay(r#"{"twice": true}"#), "Done PaymentReceived 203.00 {Over, Second} 101500000")]),
    (
        "once more after Done",
        CARD,
        &[
            (Pay("{}"), "Done PaymentReceived 101.50 {} 0"),
            (Pay("{}"), "Done PaymentReceived 203.00 {Over, Second} 101500000"),
        ],
    ),
    ("30 s late: within the grace", CARD, &[(Pay(r#"{"late": "30s"}"#), "Done PaymentReceived 101.50 {} 0")]),
    ("5 min late", CARD, &[(Pay(r#"{"late": "5m"}"#), "Done PaymentReceived 101.50 {Late} 0")]),
    ("20 min late", CARD, &[(Pay(r#"{"late": "20m"}"#), "Done PaymentReceived 101.50 {Late} 0")]),
    (
        "45 min late",
        CARD,
        &[(Pay(r#"{"late": "45m"}"#), "Expired ExpiredAfterPaymentDetection 101.50 {Late} 101500000")],
    ),
    (
        "late and short",
        CARD,
        &[(
            Pay(r#"{"late": "5m", "factor": "0.5"}"#),
            "Expired ExpiredAfterPaymentDetection 50.75 {Short, Late} 50750000",
        )],
    ),
    (
        "half on time, half late",
        CARD,
        &[
            (Pay(r#"{"factor": "0.5"}"#), "PartialPaymentStarted PaymentRequested 50.75 {Short} 50750000"),
            (Pay(r#"{"factor": "0.5", "late": "5m"}"#), "Done PaymentReceived 101.50 {Late} 0"),
        ],
    ),
    (
        "seen, then gone",
        CARD,
        &[
            (Pay(r#"{"reorg": 1}"#), "PaymentStarted PaymentRequested 0 {Reverted} 0"),
            (Wait(Span::minutes(31)), "Expired Expired 0 {Reverted} 0"),
        ],
    ),
    (
        "seen, then gone, then paid",
        CARD,
        &[
            (Pay(r#"{"reorg": 1}"#), "PaymentStarted PaymentRequested 0 {Reverted} 0"),
            (Pay("{}"), "Done PaymentReceived 101.50 {Reverted} 0"),
        ],
    ),
    (
        "gone after the delivery",
        CARD,
        &[(Pay(r#"{"reorg": 2}"#), "Done PaymentReceived 0 {Reverted} -101500000, held: PaymentReverted")],
    ),
    (
        "gone before the delivery",
        LATER,
        &[
            (
                Pay(r#"{"reorg": 2}"#),
                "WaitingForManualAction PaymentReceived 0 {Reverted} -25380000, held: PaymentReverted",
            ),
            (
                Wait(Span::seconds(1)),
                "WaitingForManualAction PaymentReceived 0 {Reverted} -25380000, held: PaymentReverted",
            ),
        ],
    ),
    (
        "the wrong token, then the right one",
        CARD,
        &[
            (Pay(r#"{"wrong_token": true}"#), "WaitingForPayment PaymentRequested 0 {WrongAsset} 0"),
            (Pay("{}"), "Done PaymentReceived 101.50 {WrongAsset} 0"),
        ],
    ),
    (
        "never",
        CARD,
        &[
            // The window is over once the chain is scanned past its end, not before.
            (Wait(Span::minutes(30)), "WaitingForPayment WalletCreated 0 {} 0"),
            (Wait(Span::seconds(1)), "Expired Expired 0 {} 0"),
        ],
    ),
];

/// Order state, payment state, what was sent, the payment's reasons, units owed to the payer, and the hold if there is
/// one. Less than nothing is owed where goods were sold for money that is gone.
pub async fn standing(shop: &Shop, order: &api::Order) -> String {
    let (shown, row) = (show(shop, order).await, row(shop, order).await);
    let reasons: BTreeSet<PaymentReason> = row.payment.reasons(&row.terms()).into_iter().collect();
    let held = row.hold().map_or(String::new(), |hold| format!(", held: {:?}", hold.reason));
    let (state, payment, sent) = (shown.order_state, shown.payment_state, shown.sent_coin_amount);
    format!("{state} {payment} {sent} {reasons:?} {}{held}", row.credit_units)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_payment_leads_to_the_state_that_contract_and_design_ask_for() {
    let mut shop = Shop::open().await;
    for (number, (name, wanted, acts)) in STORIES.iter().enumerate() {
        // A buyer of its own, so that no story uses up another's daily limit.
        let order = place(&shop, &format!("buyer{number}@example.com"), &[*wanted]).await;
        for (act, expected) in *acts {
            match act {
                Pay(how) => {
                    pay(&shop, &order, how).await;
                    shop.pump().await;
                }
                Wait(span) => shop.after(*span).await,
            }
            assert_eq!(standing(&shop, &order).await, *expected, "{name}");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_settles_only_near_the_old_price() {
    const ACCEPTED: &str = "Done PaymentReceived 118.17 {Late} 0";
    const REFUSED: &str = "Expired ExpiredAfterPaymentDetection 118.17 {Late} 118170000";
    // Dollars of a euro when the late payment comes. At 1.1642, when the order is placed, 100 EUR and 1.5 % are
    // 118.1663 dollars, hence 118.17 USDC; less than 1 % of that is at most 1.18, either way.
    let table = [
        ("1.1642", ACCEPTED),
        ("1.17586", ACCEPTED), // 119.35
        ("1.17596", REFUSED),  // 119.36
        ("1.1540", ACCEPTED),  // 117.14
        ("1.1500", REFUSED),   // 116.73
    ];
    let mut shop = Shop::open().await;
    let shared = shop.kiosk.engine.shared.clone();
    let placed_at = shared.market().rates.clone();
    for (number, (dollars, expected)) in table.into_iter().enumerate() {
        shared.put_rates(placed_at.clone());
        let mut wanted = request(&format!("buyer{number}@example.com"), &[("Airbnb", "100 EUR", "ann@example.com")]);
        wanted.deliveries[0].country_code = "DE".to_owned();
        let order = shop.client.create_order(&wanted, None).await.expect("the order is taken");
        let mut moved = (*placed_at).clone();
        moved.fiat.insert(Currency::USD, FiatRate { per_eur: dollars.parse().expect("a decimal") });
        shared.put_rates(Arc::new(moved));
        pay(&shop, &order, r#"{"late": "5m"}"#).await;
        shop.pump().await;
        assert_eq!(standing(&shop, &order).await, expected, "{dollars}");
    }
    shop.close().await;
}

/// Watcher and crediting alone, as if everybody else were slow.
async fn notice(shop: &Shop) {
    let (engine, now) = (&shop.kiosk.engine, shop.clock.now());
    watch::run_once(engine, &shop.outside.networks, now).await.expect("the chains are scanned");
    credit::run_once(engine, &mut credit::PutOff::default(), now).await.expect("transfers are credited");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_vanishes_before_the_purchase_stops_it_until_it_is_back() {
    let mut shop = Shop::open().await;
    let order = place(&shop, "ann@example.com", &[("Apple", "25 USD", "ann@example.com")]).await;
    pay(&shop, &order, r#"{"reorg": 2}"#).await;
    notice(&shop).await;
    assert_eq!(standing(&shop, &order).await, "PaymentReceived PaymentReceived 25.38 {} 0");
    notice(&shop).await;
    let held = "WaitingForManualAction PaymentReceived 0 {Reverted} -25380000, held: PaymentReverted";
    assert_eq!(standing(&shop, &order).await, held);
    shop.after(Span::minutes(5)).await;
    assert_eq!(standing(&shop, &order).await, held);
    assert_eq!(row(&shop, &order).await.lines, [Line::Planned { supplier: 0, attempt: 0 }], "nobody was called");

    pay(&shop, &order, "{}").await;
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, "Done PaymentReceived 25.38 {Reverted} 0");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_vanishes_after_the_call_holds_the_order_and_lookups_go_on() {
    let mut shop = Shop::open().await;
    let order = place(&shop, "ann@example.com", &[LATER]).await;
    pay(&shop, &order, r#"{"reorg": 2}"#).await;
    shop.pump().await;
    let first = shop.clock.now() + Span::seconds(1);
    assert_eq!(next_lookup(&shop, &order).await, first, "the supplier was called before the money vanished");
    shop.after(Span::seconds(1)).await;
    assert_eq!(next_lookup(&shop, &order).await, first + Span::seconds(1), "it is asked although the order is held");
    shop.close().await;
}

/// When the only line is looked up next; the order is held as a whole, and shows no code.
async fn next_lookup(shop: &Shop, order: &api::Order) -> Time {
    let (shown, row) = (show(shop, order).await, row(shop, order).await);
    let hold = row.hold().cloned().expect("the order is held");
    assert_eq!((hold.reason, hold.line), (HoldReason::PaymentReverted, None));
    assert_eq!(shown.order_state, api::OrderState::WaitingForManualAction);
    assert!(shown.deliveries[0].deliverable.pin_code.is_none());
    match &row.lines[0] {
        Line::Asking { unknown: false, next_lookup, .. } => *next_lookup,
        other => panic!("the line is {other:?}"),
    }
}

/// `kiosk sandbox pay` opens the same installation in a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_a_second_process_is_noticed() {
    let mut shop = Shop::open().await;
    let second = boot::open_with(&shop.config, shop.clock.clone(), Arc::new(SystemIds)).await.expect("opened twice");
    let chain = second.books.clone().expect("a demo has a sandbox");
    let table = [
        (Payment::default(), "Done PaymentReceived 101.50 {} 0"),
        // Moves the order through its expiry, which is a commit of the second process.
        (Payment { late: Some(Span::minutes(5)), ..Payment::default() }, "Done PaymentReceived 101.50 {Late} 0"),
    ];
    for (number, (payment, expected)) in table.into_iter().enumerate() {
        let order = place(&shop, &format!("buyer{number}@example.com"), &[CARD]).await;
        let no: i64 = order.reference_id.as_ref().and_then(|no| no.parse().ok()).expect("the short number");
        let found = second.engine.db.read(move |tx| orders::by_no(tx, no)).await.expect("a read");
        assert_eq!(found.map(|found| found.id), Some(id(&order)));
        let paying = sandbox_desk::pay(&second.engine, chain.as_ref(), id(&order), &payment);
        let (paid, ()) = tokio::join!(paying, shop.pump());
        let paid = paid.expect("the payment is on the chain");
        assert_eq!((paid.transfers.len(), paid.units), (1, 101_500_000));
        // The payment may have come after the last look.
        shop.pump().await;
        assert_eq!(standing(&shop, &order).await, expected);
    }
    second.engine.close();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_desk_does_not_understand_pays_nothing() {
    let shop = Shop::open().await;
    let order = place(&shop, "ann@example.com", &[CARD]).await;
    let own = order.order_id.as_str();
    let table = [
        (own, r#"{"factor": "0"}"#, 422),
        (own, r#"{"factor": "-1"}"#, 422),
        (own, r#"{"factor": 1e400}"#, 422),
        (own, r#"{"factor": "1000.1"}"#, 422),
        (own, r#"{"late": "soon"}"#, 422),
        (own, r#"{"late": ""}"#, 422),
        (own, r#"{"late": "5é"}"#, 422),
        (own, r#"{"late": "241h"}"#, 422),
        (own, r#"{"reorg": 65}"#, 422),
        (own, r#"{"reorg": 0}"#, 400),
        (own, r#"{"reorg": -1}"#, 400),
        (own, r#"{"twice": "yes"}"#, 400),
        (own, r#"{"wrong-token": true}"#, 400),
        (own, "[]", 400),
        (own, "{", 400),
        ("3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411", "{}", 404),
        ("1001", "{}", 404),
    ];
    for (order, how, status) in table {
        let answer = post(&shop.url, &format!("/sandbox/orders/{order}/pay"), how).await;
        assert_eq!((answer.head.status, answer.json()["status"].as_u64()), (status, Some(u64::from(status))), "{how}");
    }
    notice(&shop).await;
    assert_eq!(standing(&shop, &order).await, "WaitingForPayment WalletCreated 0 {} 0");
    shop.close().await;
}
