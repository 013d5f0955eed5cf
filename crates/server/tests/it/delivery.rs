//! Stories of deliveries: what the recipient's name makes of a purchase, several lines in one order, codes and when
//! they are shown, the last code in stock, and the mail that brings the goods.
//!
//! Suppliers are simulated (`docs/sandbox.md` has the table of recipients); all else is the real shop, over HTTP.

use crate::harness::Shop;
use crate::http::{Wanted, get, id, pay, place, request, row, show, show_raw};
use api::delivery_state::FAILED;
use api::{ClientError, Order, OrderRequest};
use domain::decide::{Command, Refusal, Resolution};
use domain::event::HoldReason;
use domain::ids::Sku;
use domain::money::units_to_text;
use domain::time::Span;
use domain::validate::StockCount;
use serde_json::Value;
use server::boot;
use server::engine::{Lane, SubmitError};
use server::ports::{Clock, Goods};
use server::store::{orders, stock};
use std::collections::BTreeSet;

const NOW: Span = Span(0);
const SECOND: Span = Span::seconds(1);

/// A name, what is bought, and how the order stands so long after the step before (see [`standing`]). The first step
/// is the payment. In the sandbox an answer that is open is looked up after 1 s, an unknown one first after the 10 s
/// that a call may take, and it ends with a person after 10 s.
type Story = (&'static str, &'static [Wanted<'static>], &'static [(Span, &'static str)]);

const STORIES: &[Story] = &[
    ("anybody", &[("Apple", "25 USD", "ann@example.com")], &[(NOW, "Done | Succeeded with code")]),
    (
        "pending",
        &[("Apple", "25 USD", "pending.ann@example.com")],
        &[
            (NOW, "WaitingForDelivery | WaitingForDelivery"),
            (SECOND, "WaitingForDelivery | WaitingForDelivery"),
            (SECOND, "Done | Succeeded with code"),
        ],
    ),
    (
        "refused",
        &[("Apple", "25 USD", "refused.ann@example.com")],
        &[(NOW, "WaitingForManualAction | Failed | refund 25.38")],
    ),
    (
        "found",
        &[("Apple", "25 USD", "found.ann@example.com")],
        &[
            (NOW, "WaitingForDelivery | WaitingForDelivery"),
            (Span::seconds(9), "WaitingForDelivery | WaitingForDelivery"),
            (SECOND, "Done | Succeeded with code"),
        ],
    ),
    (
        "lost",
        &[("Apple", "25 USD", "lost.ann@example.com")],
        &[
            (Span::seconds(9), "WaitingForDelivery | WaitingForDelivery"),
            (SECOND, "WaitingForManualAction | WaitingForDelivery"),
            (Span::minutes(5), "WaitingForManualAction | WaitingForDelivery"),
        ],
    ),
    ("a range card", &[("Airbnb", "75", "ann@example.com")], &[(NOW, "Done | Succeeded with code")]),
    (
        "own stock asks nobody",
        &[("Airbnb", "50 USD", "refused.ann@example.com")],
        &[(NOW, "Done | Succeeded with code")],
    ),
    ("a phone", &[("T-Mobile US", "10 USD", "+14155551234")], &[(NOW, "Done | Succeeded")]),
    (
        "a phone, pending",
        &[("T-Mobile US", "10 USD", "+14155550001")],
        &[(SECOND, "WaitingForDelivery | WaitingForDelivery"), (SECOND, "Done | Succeeded")],
    ),
    (
        "a phone, refused",
        &[("T-Mobile US", "10 USD", "+14155550002")],
        &[(NOW, "WaitingForManualAction | Failed | refund 10.15")],
    ),
    (
        "one delivered, one refused",
        &[("Apple", "25 USD", "ann@example.com"), ("Apple", "10 USD", "refused.ann@example.com")],
        &[(NOW, "Done | Succeeded with code, Failed | refund 10.15")],
    ),
    (
        "all refused",
        &[("Apple", "25 USD", "refused.ann@example.com"), ("T-Mobile US", "10 USD", "+14155550002")],
        &[(NOW, "WaitingForManualAction | Failed, Failed | refund 35.53")],
    ),
    (
        // The code that is there already is not shown before all of them are.
        "one delivered, one pending",
        &[("Apple", "10 USD", "ann@example.com"), ("Apple", "25 USD", "pending.ann@example.com")],
        &[
            (NOW, "WaitingForDelivery | Succeeded, WaitingForDelivery"),
            (SECOND, "WaitingForDelivery | Succeeded, WaitingForDelivery"),
            (SECOND, "Done | Succeeded with code, Succeeded with code"),
        ],
    ),
    (
        "one refused, one pending",
        &[("Apple", "10 USD", "refused.ann@example.com"), ("Apple", "25 USD", "pending.ann@example.com")],
        &[
            (NOW, "WaitingForDelivery | Failed, WaitingForDelivery | refund 10.15"),
            (Span::seconds(1), "WaitingForDelivery | Failed, WaitingForDelivery | refund 10.15"),
            (Span::seconds(1), "Done | Failed, Succeeded with code | refund 10.15"),
        ],
    ),
    (
        "one of own stock, one lost",
        &[("Airbnb", "50 USD", "ann@example.com"), ("Apple", "10 USD", "lost.ann@example.com")],
        &[
            (NOW, "WaitingForDelivery | Succeeded, WaitingForDelivery"),
            (Span::seconds(10), "WaitingForManualAction | Succeeded, WaitingForDelivery"),
        ],
    ),
];

/// Order state, then each line's, then the refund if there is one. What fails says why, and what is shown as a refund
/// is what the ledger owes to a payer who sent the price.
async fn standing(shop: &Shop, order: &Order) -> String {
    let (shown, row) = (show(shop, order).await, row(shop, order).await);
    let mut lines = Vec::new();
    for delivery in &shown.deliveries {
        let (word, goods) = (&delivery.delivery_state, &delivery.deliverable);
        assert_eq!(goods.failure_reason.is_some(), word == FAILED);
        lines.push(if goods.pin_code.is_some() { format!("{word} with code") } else { word.clone() });
    }
    let owed = (row.credit_units != 0).then(|| units_to_text(row.credit_units, row.quote.scale, 2));
    assert_eq!(shown.refund.as_ref().map(|refund| &refund.amount), owed.as_ref());
    let refund = owed.map_or(String::new(), |owed| format!(" | refund {owed}"));
    format!("{} | {}{refund}", shown.order_state, lines.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipient_chooses_what_becomes_of_a_purchase() {
    let mut shop = Shop::open().await;
    for (number, (name, wanted, steps)) in STORIES.iter().enumerate() {
        let order = place(&shop, &format!("buyer{number}@example.com"), wanted).await;
        pay(&shop, &order, "{}").await;
        shop.pump().await;
        for (span, expected) in *steps {
            if *span != NOW {
                shop.after(*span).await;
            }
            assert_eq!(standing(&shop, &order).await, *expected, "{name}");
        }
    }
    shop.close().await;
}

/// What a person found out about a line, handed in as `kiosk order resolve` does.
async fn resolve(shop: &Shop, order: &Order, line: u32, resolution: Resolution) -> Result<(), SubmitError> {
    let note = "the supplier's support was asked".to_owned();
    let command = Command::Resolve { order: id(order), line, resolution, note };
    shop.kiosk.engine.submit(Lane::Client, command).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_stays_unknown_is_ended_by_a_person() {
    let mut shop = Shop::open().await;
    let lost: Wanted<'_> = ("Apple", "25 USD", "lost.ann@example.com");
    // What is bought, which line is lost, what the person says, and how the order stands then.
    let table: [(&[Wanted<'_>], u32, Resolution, &str); 4] = [
        (&[lost], 0, Resolution::Delivered, "Done | Succeeded"),
        (&[lost], 0, Resolution::Refused, "WaitingForManualAction | Failed | refund 25.38"),
        (
            &[("Airbnb", "50 USD", "ann@example.com"), lost],
            1,
            Resolution::Refused,
            "Done | Succeeded with code, Failed | refund 25.38",
        ),
        (
            &[lost, ("Apple", "10 USD", "refused.ann@example.com")],
            0,
            Resolution::Delivered,
            "Done | Succeeded, Failed | refund 10.15",
        ),
    ];
    for (number, (wanted, line, resolution, expected)) in table.into_iter().enumerate() {
        let order = place(&shop, &format!("buyer{number}@example.com"), wanted).await;
        pay(&shop, &order, "{}").await;
        shop.pump().await;
        shop.after(Span::seconds(10)).await;
        let hold = row(&shop, &order).await.hold().cloned().expect("it ends with a person");
        assert_eq!((hold.reason, hold.line), (HoldReason::OutcomeUnknown, Some(line)));
        assert_eq!(show(&shop, &order).await.order_state, api::OrderState::WaitingForManualAction);

        resolve(&shop, &order, line, resolution).await.expect("a person may decide");
        shop.pump().await;
        assert_eq!(standing(&shop, &order).await, expected, "row {number}");
        assert_eq!(row(&shop, &order).await.hold(), None, "row {number}");
        let again = resolve(&shop, &order, line, resolution).await.expect_err("it is decided once");
        assert!(matches!(again, SubmitError::Refused(Refusal::AlreadyDone(_))), "{again:?}");
        let order_id = id(&order);
        let steps = shop.kiosk.engine.db.read(move |tx| orders::steps_of(tx, order_id)).await.expect("a read");
        assert!(steps.is_empty(), "nobody is asked any more");
    }
    shop.close().await;
}

/// What the contract shows at Done only (section 4.3).
const CODE_KEYS: [&str; 8] = [
    "pin_code",
    "pin_serial",
    "security_code",
    "barcode_image_url",
    "qr_image_url",
    "redeem_instructions",
    "how_to_redeem",
    "operator_reference",
];

/// Which of [`CODE_KEYS`] stand anywhere in an answer. Null is no value of an order.
fn code_keys(answer: &Value) -> BTreeSet<&'static str> {
    match answer {
        Value::Object(fields) => {
            let own = CODE_KEYS.into_iter().filter(|key| fields.contains_key(*key));
            own.chain(fields.values().flat_map(code_keys)).collect()
        }
        Value::Array(values) => values.iter().flat_map(code_keys).collect(),
        Value::Null => panic!("an order holds null"),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeSet::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_absent_before_done_and_complete_at_it() {
    let mut shop = Shop::open().await;
    let card = ("Airbnb", "100 USD", "ann@example.com");
    let esim = ("Roamwell eSIM", "1 GB 7 days", "pending.ann@example.com");
    let order = place(&shop, "ann@example.com", &[card, esim, ("T-Mobile US", "10 USD", "+14155551234")]).await;
    let esim_image = format!("/v3/qrs/{}?line=1", order.order_id);

    let half = r#"{"factor": "0.5"}"#;
    for (how, state) in
        [(None, "WaitingForPayment"), (Some(half), "PartialPaymentStarted"), (Some(half), "WaitingForDelivery")]
    {
        if let Some(how) = how {
            pay(&shop, &order, how).await;
            shop.pump().await;
        }
        let answer = show_raw(&shop, &order).await;
        assert_eq!(answer["order_state"], state);
        assert_eq!(code_keys(&answer), BTreeSet::new(), "{state}");
        assert_eq!(get(&shop.url, &esim_image).await.head.status, 404, "{state}");
    }
    shop.after(SECOND).await;
    shop.after(SECOND).await;

    let answer = show_raw(&shop, &order).await;
    assert_eq!(answer["order_state"], "Done");
    let line = |number: usize| &answer["deliveries"][number]["deliverable"];
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    assert_eq!(code_keys(line(0)), BTreeSet::from(["pin_code", "pin_serial", "redeem_instructions"]));
    assert!(text(&line(0)["pin_code"]).starts_with("DEMO-"));
    assert_eq!(answer["pin_code"], line(0)["pin_code"], "the first code stands at the top, too");
    assert_eq!(code_keys(line(1)), BTreeSet::from(["pin_code", "qr_image_url", "redeem_instructions"]));
    let activation = text(&line(1)["pin_code"]);
    assert!(activation.starts_with("LPA:1$smdp.sandbox.invalid$"));
    assert_eq!(code_keys(line(2)), BTreeSet::new(), "the phone has the top-up");

    assert_eq!(text(&line(1)["qr_image_url"]), format!("http://shop.test{esim_image}"));
    let image = get(&shop.url, &esim_image).await;
    assert_eq!((image.head.status, image.head.header("content-type")), (200, Some("image/png")));
    assert_eq!(image.body, server::qr::png(&activation).expect("it fits into a QR code"));
    assert!(image.body.starts_with(b"\x89PNG\r\n\x1a\n"));
    for other in [0, 2, 3] {
        let path = format!("/v3/qrs/{}?line={other}", order.order_id);
        assert_eq!(get(&shop.url, &path).await.head.status, 404, "line {other} is no eSIM");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_lines_get_the_same_code() {
    let mut shop = Shop::open().await;
    let (own, bought) = (("Airbnb", "100 USD", "ann@example.com"), ("Apple", "10 USD", "ann@example.com"));
    let first = place(&shop, "ann@example.com", &[own, own, bought, bought]).await;
    let second = place(&shop, "bea@example.com", &[own, own, bought, bought]).await;
    // Both are found by one look at the chain, so that they are served side by side.
    pay(&shop, &first, "{}").await;
    pay(&shop, &second, "{}").await;
    shop.pump().await;
    let mut codes = BTreeSet::new();
    for order in [&first, &second] {
        for delivery in show(&shop, order).await.deliveries {
            codes.insert(delivery.deliverable.pin_code.expect("the order is done"));
        }
    }
    assert_eq!(codes.len(), 8);
    shop.close().await;
}

/// A shop that sells one thing, from its own stock.
const ONE_PRODUCT: &str = r##"{
  "format": "kiosk-catalogue-1",
  "brands": [ {
    "brand": "Last Card", "country": "US", "kind": "giftcard", "category": "games",
    "bg_color": "#123456", "redeem_method": ["online"],
    "texts": { "en": { "description": "One is left.", "how_to_redeem": "Type it in.", "terms": "None." } },
    "products": [ {
      "sku": "last-card-us-20", "type": "fixed", "currency": "USD", "value": "20",
      "delivery": "by_email", "suppliers": [ { "supplier": "stock" } ]
    } ]
  } ]
}"##;

/// Replaces the catalogue by [`ONE_PRODUCT`] and puts one code on its shelf.
async fn leave_one_code(shop: &mut Shop) {
    // The newest import is the one in force.
    shop.clock.advance(SECOND);
    let imported = boot::import_catalogue(&shop.kiosk, ONE_PRODUCT.to_owned(), &shop.folder.0, &mut |_| {}).await;
    assert_eq!(imported, Ok(1));
    let goods = Goods { pin_code: "LAST-0001".to_owned(), pin_serial: None, security_code: None };
    let code = boot::new_code(&shop.kiosk, &Sku::new("last-card-us-20"), &goods, None);
    let now = shop.clock.now();
    shop.kiosk.engine.write(move |tx| stock::add(tx, vec![code], now)).await.expect("the code is kept");
    shop.pump().await;
}

/// The code with which an order is refused.
async fn refusal(shop: &Shop, wanted: &OrderRequest) -> (u16, String) {
    match shop.client.create_order(wanted, None).await {
        Err(ClientError::Refused { status, body, .. }) => (status, body.code().to_owned()),
        other => panic!("the shop answered {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_code_is_sold_once() {
    let mut shop = Shop::open().await;
    leave_one_code(&mut shop).await;
    let line: Wanted<'_> = ("Last Card", "20 USD", "ann@example.com");
    let sold_out = (422, "OUT_OF_STOCK".to_owned());

    // It is promised to an unpaid order until that order's window is over.
    let ann = place(&shop, "ann@example.com", &[line]).await;
    assert_eq!(refusal(&shop, &request("bea@example.com", &[line])).await, sold_out);
    shop.after(Span::seconds(30 * 60 + 1)).await;
    assert_eq!(show(&shop, &ann).await.order_state, api::OrderState::Expired);
    let bea = place(&shop, "bea@example.com", &[line]).await;

    // Both pay late, and one look at the chain finds both.
    pay(&shop, &bea, r#"{"late": "5m"}"#).await;
    pay(&shop, &ann, r#"{"late": "20m"}"#).await;
    shop.pump().await;
    let mut ends = Vec::new();
    for order in [&ann, &bea] {
        let (shown, row) = (show(&shop, order).await, row(&shop, order).await);
        let code = shown.deliveries[0].deliverable.pin_code.clone().unwrap_or_default();
        ends.push(format!("{} {} {code} {}", shown.order_state, shown.payment_state, row.credit_units));
    }
    ends.sort();
    // 20 USD and 1.5 %: 20.30 USDC, which the other one can claim back.
    let expected = ["Done PaymentReceived LAST-0001 0", "Expired ExpiredAfterPaymentDetection  20300000"];
    assert_eq!(ends, expected);

    let counts = shop.kiosk.engine.db.read(stock::counts).await.expect("a read");
    assert_eq!(counts.get(&Sku::new("last-card-us-20")), Some(&StockCount { free: 0, held: 0 }));
    assert_eq!(refusal(&shop, &request("cy@example.com", &[line])).await, sold_out);
    shop.close().await;
}

/// What lies in the folder that stands in for a mail server, by file name.
fn letters(shop: &Shop) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(shop.config.server.data_dir.join("mail")) else { return Vec::new() };
    let mut paths: Vec<_> = folder.map(|entry| entry.expect("our own folder").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).expect("our own file")).collect()
}

/// The only letter to that address.
fn letter_to<'a>(letters: &'a [String], to: &str) -> &'a str {
    let head = format!("To: {to}\n");
    let mut found = letters.iter().filter(|letter| letter.starts_with(&head));
    let letter = found.next().expect("there is a letter");
    assert_eq!(found.next(), None, "one letter to {to}");
    letter
}

/// The path of the link in a letter.
fn link(letter: &str) -> String {
    let (_, rest) = letter.split_once("http://shop.test/d/").expect("a link");
    format!("/d/{}", rest.split_whitespace().next().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_brings_a_link_to_each_recipient_and_a_confirmation_to_the_buyer() {
    let mut shop = Shop::open().await;
    let cards = [("Airbnb", "50 USD", "bo@example.com"), ("Airbnb", "200 USD", "cy@example.com")];
    let wanted = OrderRequest { lang: Some("de".to_owned()), ..request("ann@example.com", &cards) };
    let order = shop.client.create_order(&wanted, None).await.expect("the order is taken");
    let top_up = place(&shop, "dee@example.com", &[("T-Mobile US", "10 USD", "+14155551234")]).await;
    shop.pump().await;
    assert_eq!(letters(&shop), Vec::<String>::new(), "nothing is paid");
    pay(&shop, &order, "{}").await;
    pay(&shop, &top_up, r#"{"twice": true}"#).await;
    shop.pump().await;
    let letters_at_once = letters(&shop);
    shop.after(Span::hours(1)).await;
    assert_eq!(letters(&shop), letters_at_once, "each is written once");
    // Two recipients of cards and two buyers; a top-up needs no letter.
    assert_eq!(letters_at_once.len(), 4);

    let no = order.reference_id.as_deref().expect("the short number");
    let confirmation = letter_to(&letters_at_once, "ann@example.com");
    assert!(confirmation.contains(&format!("Subject: Zahlung für Bestellung {no} eingegangen\n")), "{confirmation}");
    for said in ["- Airbnb 50 USD", "- Airbnb 200 USD", "Gesamtbetrag: 253.75 USDC"] {
        assert!(confirmation.contains(said), "{said}: {confirmation}");
    }
    let english =
        format!("Subject: Payment received for order {}\n", top_up.reference_id.as_deref().unwrap_or_default());
    assert!(letter_to(&letters_at_once, "dee@example.com").contains(&english));

    let codes = show(&shop, &order).await.deliveries.into_iter().map(|line| line.deliverable.pin_code);
    let codes: Vec<String> = codes.map(|code| code.expect("the order is done")).collect();
    for letter in &letters_at_once {
        assert!(codes.iter().all(|code| !letter.contains(code)), "a letter holds a code");
    }
    for (own, other, to, title) in
        [(0, 1, "bo@example.com", "Airbnb 50 USD"), (1, 0, "cy@example.com", "Airbnb 200 USD")]
    {
        let letter = letter_to(&letters_at_once, to);
        assert!(letter.contains(&format!("Subject: {title} steht bereit (Bestellung {no})\n")), "{letter}");
        assert!(!letter.contains(&order.order_id), "the order's id would open the other line, too");
        let page = get(&shop.url, &link(letter)).await;
        assert_eq!((page.head.status, page.head.header("cache-control")), (200, Some("no-store")));
        assert!(page.text().contains(&codes[own]) && !page.text().contains(&codes[other]));
    }
    let secret = link(letter_to(&letters_at_once, "bo@example.com"));
    for nothing in ["/d/nothing".to_owned(), secret[..secret.len() - 1].to_owned(), format!("/d/{}", order.order_id)] {
        let page = get(&shop.url, &nothing).await;
        assert_eq!((page.head.status, page.head.header("content-type")), (404, Some("text/html; charset=utf-8")));
        assert!(codes.iter().all(|code| !page.text().contains(code)));
    }
    shop.close().await;
}
