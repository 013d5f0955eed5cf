//! Every problem code of the store API (contract 5.2), provoked over HTTP in the demo's shop: one test per code.
//!
//! Each test asks for a basket that is refused for one reason alone, at both doors, and for the nearest basket that is
//! not, so that a rule that refuses too much is noticed too. The last test plays `docs/problem-codes.md` row by row.

use crate::harness::Shop;
use crate::raw::{self, ORDERS, VALIDATIONS, card, line, order_of, range_card, with};
use domain::time::Span;
use domain::validate::CODES;
use serde_json::{Value, json};

/// Codes that are no problems in a list but an error of their own (contract 3.8).
const SUSPENDED: [&str; 2] = ["SUSPENDED_COIN", "SUSPENDED_NETWORK"];

/// A basket that is refused, and the nearest one that is not.
struct Attempt {
    refused: Value,
    /// `moreDetails` of the problem.
    details: Option<Value>,
    mended: Value,
    /// Sent with the mended basket only: for what is wrong with the asker.
    mended_with: Vec<(&'static str, String)>,
}

impl Attempt {
    fn new(refused: Value, mended: Value) -> Attempt {
        Attempt { refused, details: None, mended, mended_with: Vec::new() }
    }

    /// The same basket, made right by a header.
    fn mended_by(refused: Value, name: &'static str, value: &str) -> Attempt {
        Attempt { mended_with: vec![(name, value.to_owned())], ..Attempt::new(refused.clone(), refused) }
    }

    fn with_details(self, details: Value) -> Attempt {
        Attempt { details: Some(details), ..self }
    }

    async fn check(self, shop: &Shop, code: &str) {
        assert_refused(shop, &self.refused, &[(code, self.details)]).await;
        let headers: Vec<(&str, &str)> = self.mended_with.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(problems_of(shop, &headers, &self.mended).await, Vec::<String>::new(), "the mended basket");
    }
}

/// Both doors say exactly this, and nothing is written.
async fn assert_refused(shop: &Shop, body: &Value, expected: &[(&str, Option<Value>)]) {
    let problems: Vec<Value> = expected.iter().map(|(code, details)| problem(code, details.as_ref())).collect();
    let before = raw::row_counts(shop).await;
    let checked = raw::post(&shop.url, VALIDATIONS, &[], body).await;
    assert_eq!(checked.status, 200, "{}", checked.text());
    assert_eq!(checked.json()["problems"], json!(problems));
    let created = raw::post(&shop.url, ORDERS, &[], body).await;
    created.assert_error(422, expected[0].0, "create");
    let first = expected[0].0;
    let error = json!({ "status": 422, "detail": first, "message": first, "problems": problems });
    assert_eq!(created.json(), error);
    assert_eq!(raw::row_counts(shop).await, before, "a refusal wrote something");
}

fn problem(code: &str, details: Option<&Value>) -> Value {
    match details {
        Some(details) => json!({ "problem": code, "moreDetails": details }),
        None => json!({ "problem": code }),
    }
}

/// The codes that a dry run answers with.
async fn problems_of(shop: &Shop, headers: &[(&str, &str)], body: &Value) -> Vec<String> {
    let checked = raw::post(&shop.url, VALIDATIONS, headers, body).await;
    assert_eq!(checked.status, 200, "{}", checked.text());
    let checked = checked.json();
    let problems = checked["problems"].as_array().expect("problems are a list even when there are none");
    problems.iter().map(|problem| problem["problem"].as_str().expect("a code").to_owned()).collect()
}

fn airbnb() -> Value {
    card("Airbnb", "100 USD")
}

/// A card of any value from 100 to 20,000 USD.
fn vault(usd: i64) -> Value {
    range_card("Demo Vault", json!(usd))
}

fn top_up() -> Value {
    with(card("T-Mobile US", "25 USD"), "/deliveries/0/beneficiary_account", json!("+14155551234"))
}

fn in_germany() -> Value {
    with(card("Steam", "20 EUR"), "/deliveries/0/country_code", json!("DE"))
}

fn with_coupon(body: Value, code: &str) -> Value {
    with(body, "/promo_code", json!(code))
}

/// The same basket of another buyer.
fn bought_by(body: Value, email: &str) -> Value {
    with(body, "/user/email", json!(email))
}

/// Two paid orders of 1,164 USD, which is 999.83 EUR at the demo's 1.1642 USD: 34 cents are left of 2,000 EUR.
async fn spend_a_day(shop: &mut Shop) {
    for _ in 0..2 {
        raw::buy(shop, &vault(1_164)).await;
    }
}

/// Five such days: 1.70 EUR are left of 10,000.
async fn spend_a_month(shop: &mut Shop) {
    for _ in 0..5 {
        spend_a_day(shop).await;
        shop.after(Span::hours(24)).await;
    }
}

/// Every pair of the demo that can be paid with, in its order; DAI and Avalanche are suspended.
fn open_pairs() -> Value {
    let pairs = [
        ("USDC", "Solana"),
        ("USDC", "Base"),
        ("USDC", "Arbitrum"),
        ("USDC", "Polygon (Matic)"),
        ("USDC", "ETH Mainnet"),
        ("USDT", "Solana"),
        ("USDT", "Base"),
        ("USDT", "Arbitrum"),
        ("USDT", "Polygon (Matic)"),
        ("USDT", "ETH Mainnet"),
        ("ETH", "ETH Mainnet"),
        ("SOL", "Solana"),
    ];
    pairs.iter().map(|(coin, network)| json!({ "coin": coin, "network": network })).collect()
}

/// Declares a test for each code, and the list of codes that have one.
macro_rules! one_test_per_code {
    ($($test:ident = $code:literal, |$shop:ident| $attempt:expr;)*) => {
        const TESTED: &[&str] = &[$($code),*];

        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let mut opened = Shop::open().await;
                let $shop = &mut opened;
                let attempt: Attempt = $attempt;
                attempt.check($shop, $code).await;
                opened.close().await;
            }
        )*
    };
}

one_test_per_code! {
    // 0.50 EUR are 0.5821 USD, rounded up to cents.
    amount_less_then_minimum_allowed = "AMOUNT_LESS_THEN_MINIMUM_ALLOWED", |shop| {
        let pennies = line("Demo Pennies", "0.10 USD");
        Attempt::new(order_of(json!([pennies])), order_of(json!([pennies, line("Steam", "5 USD")])))
            .with_details(json!({ "minimum": "0.59", "coin": "USDC" }))
    };
    // 1,165 USD are 1,000.69 EUR.
    maximum_amount_per_order_exceeded = "MAXIMUM_AMOUNT_PER_ORDER_EXCEEDED", |shop| {
        Attempt::new(vault(1_165), vault(1_164)).with_details(json!({ "maximum": "1000.00", "currency": "EUR" }))
    };
    daily_spending_limit_exceeded = "DAILY_SPENDING_LIMIT_EXCEEDED", |shop| {
        spend_a_day(shop).await;
        Attempt::new(airbnb(), bought_by(airbnb(), "somebody.else@example.com"))
    };
    monthly_spending_limit_exceeded = "MONTHLY_SPENDING_LIMIT_EXCEEDED", |shop| {
        spend_a_month(shop).await;
        Attempt::new(airbnb(), bought_by(airbnb(), "somebody.else@example.com"))
    };
    product_count_exceeded = "PRODUCT_COUNT_EXCEEDED", |shop| {
        let cards = |count| order_of(json!(vec![line("Airbnb", "50 USD"); count]));
        Attempt::new(cards(11), cards(10)).with_details(json!({ "maximum": 10 }))
    };
    multiple_limited_product_same_order = "MULTIPLE_LIMITED_PRODUCT_SAME_ORDER", |shop| {
        let limited = line("Demo Limited", "10 USD");
        let refused = order_of(json!([limited, line("Demo Limited", "20 USD")]));
        Attempt::new(refused, order_of(json!([limited, line("Airbnb", "100 USD")])))
    };
    not_available_product = "NOT_AVAILABLE_PRODUCT", |shop| Attempt::new(card("Airbnb", "12 USD"), airbnb());
    out_of_stock = "OUT_OF_STOCK", |shop| Attempt::new(card("Demo Sold Out", "25 USD"), airbnb());
    not_active = "NOT_ACTIVE", |shop| Attempt::new(card("Demo Paused", "25 USD"), airbnb());
    invalid_beneficiary_account = "INVALID_BENEFICIARY_ACCOUNT", |shop| {
        let refused = with(airbnb(), "/deliveries/0/beneficiary_account", json!("not-an-address"));
        let details = json!({ "delivery": 0, "reason": "an e-mail address has exactly one @" });
        Attempt::new(refused, airbnb()).with_details(details)
    };
    not_allowed_payment_via = "NOT_ALLOWED_PAYMENT_VIA", |shop| {
        let refused = with(airbnb(), "/payment/payment_via", json!("CASH_IN_HAND"));
        Attempt::new(refused, airbnb()).with_details(json!(["USER_WALLET"]))
    };
    unsupported_protocol_coin_combination = "UNSUPPORTED_PROTOCOL_COIN_COMBINATION", |shop| {
        let on = |network: &str| with(airbnb(), "/payment/network", json!(network));
        Attempt::new(on("Ethereum"), on("ETH Mainnet")).with_details(open_pairs())
    };
    login_required = "LOGIN_REQUIRED", |shop| {
        let token = raw::sign_up(shop, "ann").await;
        Attempt::mended_by(card("Demo Members Only", "50 USD"), "authorization", &token)
    };
    coupon_requires_login = "COUPON_REQUIRES_LOGIN", |shop| {
        let token = raw::sign_up(shop, "ann").await;
        Attempt::mended_by(with_coupon(airbnb(), "DEMO-LOGIN"), "authorization", &token)
    };
    coupon_not_found = "COUPON_NOT_FOUND", |shop| {
        Attempt::new(with_coupon(airbnb(), "NO-SUCH-COUPON"), with_coupon(airbnb(), "welcome10"))
    };
    coupon_not_active = "COUPON_NOT_ACTIVE", |shop| {
        Attempt::new(with_coupon(airbnb(), "DEMO-NOT-ACTIVE"), with_coupon(airbnb(), "WELCOME10"))
    };
    coupon_already_spent = "COUPON_ALREADY_SPENT", |shop| {
        let body = with_coupon(airbnb(), "DEMO-SPENT");
        raw::buy(shop, &body).await;
        // The user is the address in whatever case it is written.
        Attempt::new(bought_by(body.clone(), "End.User@Example.com"), bought_by(body, "somebody.else@example.com"))
    };
    coupon_max_usage_reached = "COUPON_MAX_USAGE_REACHED", |shop| {
        Attempt::new(with_coupon(airbnb(), "DEMO-USED-UP"), with_coupon(airbnb(), "WELCOME10"))
    };
    coupon_expired = "COUPON_EXPIRED", |shop| {
        Attempt::new(with_coupon(airbnb(), "DEMO-EXPIRED"), with_coupon(airbnb(), "WELCOME10"))
    };
    // 100 USD are 85.90 EUR, 200 USD are 171.79; the coupon asks for 100.
    coupon_below_min_amount = "COUPON_BELOW_MIN_AMOUNT", |shop| {
        let refused = with_coupon(airbnb(), "DEMO-MIN-AMOUNT");
        Attempt::new(refused, with_coupon(card("Airbnb", "200 USD"), "DEMO-MIN-AMOUNT"))
    };
    coupon_not_valid_for_user = "COUPON_NOT_VALID_FOR_USER", |shop| {
        let refused = with_coupon(airbnb(), "DEMO-OTHER-USER");
        Attempt::new(refused.clone(), bought_by(refused, "vip@example.com"))
    };
    coupon_not_valid_for_category = "COUPON_NOT_VALID_FOR_CATEGORY", |shop| {
        let steam = with_coupon(card("Steam", "20 USD"), "DEMO-CATEGORY");
        Attempt::new(with_coupon(airbnb(), "DEMO-CATEGORY"), steam)
    };
    coupon_not_valid_for_kind = "COUPON_NOT_VALID_FOR_KIND", |shop| {
        Attempt::new(with_coupon(airbnb(), "DEMO-KIND"), with_coupon(top_up(), "DEMO-KIND"))
    };
    coupon_not_valid_for_brand = "COUPON_NOT_VALID_FOR_BRAND", |shop| {
        let steam = with_coupon(card("Steam", "20 USD"), "DEMO-BRAND");
        Attempt::new(with_coupon(airbnb(), "DEMO-BRAND"), steam)
    };
    coupon_not_valid_for_country = "COUPON_NOT_VALID_FOR_COUNTRY", |shop| {
        Attempt::new(with_coupon(airbnb(), "DEMO-COUNTRY"), with_coupon(in_germany(), "DEMO-COUNTRY"))
    };
    coupon_not_valid_for_store = "COUPON_NOT_VALID_FOR_STORE", |shop| {
        Attempt::mended_by(with_coupon(airbnb(), "DEMO-STORE"), "x-cr-application", "demo-other-partner")
    };
}

/// Suspension is an error of both doors, with the code at the top and no list (contract 3.8, section 12).
async fn assert_suspended(coin: &str, network: &str, code: &str) {
    let shop = Shop::open().await;
    let before = raw::row_counts(&shop).await;
    let paid_in = |coin: &str, network: &str| {
        let payment = json!({ "type": "via", "payment_via": "USER_WALLET", "coin": coin, "network": network });
        with(airbnb(), "/payment", payment)
    };
    // It goes before every problem that the basket has besides.
    for body in [paid_in(coin, network), with_coupon(paid_in(coin, network), "NO-SUCH-COUPON")] {
        for path in [VALIDATIONS, ORDERS] {
            let answer = raw::post(&shop.url, path, &[], &body).await;
            answer.assert_error(422, code, path);
            assert_eq!(answer.json(), json!({ "status": 422, "detail": code, "message": code }), "{path}");
        }
    }
    assert_eq!(problems_of(&shop, &[], &paid_in("USDC", "ETH Mainnet")).await, Vec::<String>::new());
    assert_eq!(raw::row_counts(&shop).await, before);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_coin() {
    assert_suspended("DAI", "ETH Mainnet", "SUSPENDED_COIN").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_network() {
    assert_suspended("USDC", "Avalanche", "SUSPENDED_NETWORK").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_codes_at_once_in_the_order_of_the_contract() {
    let shop = Shop::open().await;
    let lines =
        [line("Airbnb", "12 USD"), with(line("Airbnb", "100 USD"), "/beneficiary_account", json!("+14155551234"))];
    let body = with_coupon(order_of(json!(lines)), "NO-SUCH-COUPON");
    let expected = [
        ("NOT_AVAILABLE_PRODUCT", None),
        (
            "INVALID_BENEFICIARY_ACCOUNT",
            Some(json!({ "delivery": 1, "reason": "an e-mail address has exactly one @" })),
        ),
        ("COUPON_NOT_FOUND", None),
    ];
    assert_refused(&shop, &body, &expected).await;
    // 12,000 USD are 10,307.51 EUR: above all three limits of an anonymous buyer.
    let maximum = Some(json!({ "maximum": "1000.00", "currency": "EUR" }));
    let limits = [
        ("MAXIMUM_AMOUNT_PER_ORDER_EXCEEDED", maximum),
        ("DAILY_SPENDING_LIMIT_EXCEEDED", None),
        ("MONTHLY_SPENDING_LIMIT_EXCEEDED", None),
    ];
    assert_refused(&shop, &vault(12_000), &limits).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn details_say_which_line_and_which_bounds() {
    let shop = Shop::open().await;
    let bounds = Some(json!({ "min": "50", "max": "500", "step": "1" }));
    for value in [json!(49), json!("500.01"), json!("75.5")] {
        let refused = range_card("Airbnb", value);
        assert_refused(&shop, &refused, &[("NOT_AVAILABLE_PRODUCT", bounds.clone())]).await;
    }
    let invalid = |delivery: Value, reason: &str| {
        ("INVALID_BENEFICIARY_ACCOUNT", Some(json!({ "delivery": delivery, "reason": reason })))
    };
    let no_number = invalid(json!(0), "a phone number starts with + and the country code");
    assert_refused(&shop, &card("T-Mobile US", "25 USD"), &[no_number]).await;
    let no_buyer = bought_by(airbnb(), "nobody");
    assert_refused(&shop, &no_buyer, &[invalid(Value::Null, "an e-mail address has exactly one @")]).await;
    let unnamed = raw::without(top_up(), "/deliveries/0/beneficiary_account");
    assert_refused(&shop, &unnamed, &[invalid(json!(0), "the phone number to top up is missing")]).await;
    // What is the same for two lines is said once; what differs is said for each.
    let sold_out = order_of(json!(vec![line("Demo Sold Out", "25 USD"); 2]));
    assert_refused(&shop, &sold_out, &[("OUT_OF_STOCK", None)]).await;
    let strangers = order_of(json!(vec![with(line("Airbnb", "50 USD"), "/beneficiary_account", json!("x")); 2]));
    let reasons = [0, 1].map(|at| invalid(json!(at), "an e-mail address has exactly one @"));
    assert_refused(&shop, &strangers, &reasons).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_stands_beside_problems_wherever_it_can_be_computed() {
    let shop = Shop::open().await;
    let checked = raw::post(&shop.url, VALIDATIONS, &[], &with_coupon(airbnb(), "DEMO-EXPIRED")).await.json();
    assert_eq!(checked["coin_amount"], "101.50");
    assert_eq!(checked["coupon_code"], Value::Null);
    let checked = raw::post(&shop.url, VALIDATIONS, &[], &card("Airbnb", "12 USD")).await.json();
    assert_eq!(checked.get("coin_amount"), None);
    assert_eq!(checked["deliveries"][0]["deliverable"]["denomination"], "12 USD");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_count_what_was_paid_and_end_with_their_day() {
    let mut shop = Shop::open().await;
    let none = Vec::<String>::new();
    // Nobody proved the address: whoever types it and does not pay uses up nothing of it.
    for _ in 0..3 {
        raw::place(&shop, &[], &vault(1_164)).await;
    }
    assert_eq!(problems_of(&shop, &[], &airbnb()).await, none);
    spend_a_day(&mut shop).await;
    assert_eq!(problems_of(&shop, &[], &airbnb()).await, ["DAILY_SPENDING_LIMIT_EXCEEDED"]);
    // The shop opened at 11:35 UTC: at 23:35 it is still that day, 25 minutes later it is not.
    shop.after(Span::hours(12)).await;
    assert_eq!(problems_of(&shop, &[], &airbnb()).await, ["DAILY_SPENDING_LIMIT_EXCEEDED"]);
    shop.after(Span::minutes(25)).await;
    assert_eq!(problems_of(&shop, &[], &airbnb()).await, none);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_brand_is_not_listed_and_a_sold_out_one_is() {
    let shop = Shop::open().await;
    let brands = shop.client.brands("US", None).await.expect("brands");
    let listed = |name: &str| brands.all_brands.iter().find(|brand| brand.brand == name);
    assert!(listed("Demo Paused").is_none());
    assert!(listed("Demo Sold Out").is_some_and(|brand| brand.is_out_of_stock));
    assert!(listed("Airbnb").is_some_and(|brand| !brand.is_out_of_stock));
    shop.close().await;
}

const DOCUMENT: &str = include_str!("../../../../docs/problem-codes.md");

/// (code, the JSON to lay over the order of the document) of each row of its table.
fn documented() -> Vec<(&'static str, Value)> {
    let row = |line: &'static str| {
        let (code, rest) = line.strip_prefix("| `")?.split_once('`')?;
        let (_, change) = rest.split_once("`{")?;
        let (change, _) = change.split_once('`')?;
        let change = serde_json::from_str(&format!("{{{change}")).expect("the change of a row is JSON");
        Some((code, change))
    };
    DOCUMENT.lines().filter_map(row).collect()
}

/// The order that the document begins with.
fn documented_order() -> Value {
    let (_, from) = DOCUMENT.split_once("```json\n").expect("the document shows an order");
    let (order, _) = from.split_once("```").expect("the block ends");
    serde_json::from_str(order).expect("the order is JSON")
}

/// As `jq '. * CHANGE'`: objects are merged, everything else is replaced.
fn merge(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (name, value) in change {
                merge(base.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
        (base, change) => *base = change.clone(),
    }
}

#[test]
fn every_code_has_a_test_and_a_row_in_the_document() {
    assert_eq!(TESTED, CODES);
    let rows: Vec<&str> = documented().into_iter().map(|(code, _)| code).collect();
    let all: Vec<&str> = CODES.into_iter().chain(SUSPENDED).collect();
    assert_eq!(rows, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_can_be_played() {
    let mut shop = Shop::open().await;
    let order = documented_order();
    assert_eq!(problems_of(&shop, &[], &order).await, Vec::<String>::new());
    for (code, change) in documented() {
        let mut body = order.clone();
        merge(&mut body, &change);
        if code == "COUPON_ALREADY_SPENT" {
            raw::buy(&mut shop, &body).await;
        }
        if SUSPENDED.contains(&code) {
            raw::post(&shop.url, VALIDATIONS, &[], &body).await.assert_error(422, code, "the document");
        } else {
            let problems = problems_of(&shop, &[], &body).await;
            assert!(problems.iter().any(|problem| problem == code), "{code} is not among {problems:?}");
        }
    }
    shop.close().await;
}
