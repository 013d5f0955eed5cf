//! Everything that is refused, one snapshot for each reason: the status, what the client reads, and when it may come back.

use super::facts::{assert_absent, at, list, number, text, texts};
use super::orders::{EMAIL, order_for, place};
use super::wire::{Answer, Request};
use super::{Door, keep, refusal, success};
use crate::harness::{self, Folder, START, Shop, TestClock};
use domain::pricing::Rates;
use domain::time::{Span, Time};
use serde_json::{Value, json};
use server::boot;
use server::clock::SystemIds;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// No order has this id.
const UNKNOWN: &str = "3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411";

/// One byte more than the largest body (256 KiB).
const TOO_LARGE: usize = 256 * 1_024 + 1;

/// A request that is refused, and how.
struct Row {
    snapshot: &'static str,
    method: &'static str,
    path: String,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_or_not_there() {
    let shop = Shop::open().await;
    let door = Door::of(&shop);
    for row in not_understood().into_iter().chain(not_there()) {
        let body = check(&door, &row);
        assert_absent(&body, "", &["problems"]);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rules_refuse() {
    let shop = Shop::open().await;
    let door = Door::of(&shop);
    for row in against_the_rules() {
        check(&door, &row);
    }
    problems_of_a_create(&door);
    unsupported_network(&door);
    value_out_of_range(&door);
    key_used_twice(&door);
    // The last, because it changes the rates of the shop.
    stale_rates(&shop, &door);
    shop.close().await;
}

/// Sends the request of a row, checks the answer and keeps it.
fn check(door: &Door, row: &Row) -> Value {
    let headers = [("content-type", "application/json")];
    let request = Request { method: row.method, path: &row.path, headers: &headers, body: &row.body };
    let answer = door.send(&request);
    let body = refusal(&answer, row.status, row.code);
    keep(row.snapshot, &answer, &body);
    body
}

fn not_understood() -> Vec<Row> {
    let row = |snapshot, method, path: &str, body: &[u8]| {
        let (path, body) = (path.to_owned(), body.to_vec());
        Row { snapshot, method, path, body, status: 400, code: "BAD_REQUEST" }
    };
    let too_large = Row {
        snapshot: "error_413_body_too_large",
        method: "POST",
        path: "/v5/orders".to_owned(),
        body: vec![b' '; TOO_LARGE],
        status: 413,
        code: "BODY_TOO_LARGE",
    };
    vec![
        row("error_400_not_json", "POST", "/v5/orders", b"{\"user\":"),
        row("error_400_without_payment", "POST", "/v5/orders", b"{\"user\":{}}"),
        row("error_400_brands_without_country", "GET", "/v2/brands", b""),
        row("error_400_unknown_country", "GET", "/v2/brands?country_code=us", b""),
        row("error_400_products_without_filter", "GET", "/v5/products/country/US?coin=USDC", b""),
        row(
            "error_400_price_without_coin",
            "GET",
            "/v4/products/price?brand_name=Airbnb&country_code=US&face_value=75",
            b"",
        ),
        too_large,
    ]
}

fn not_there() -> Vec<Row> {
    let row = |snapshot, method, path: String| Row {
        snapshot,
        method,
        path,
        body: Vec::new(),
        status: 404,
        code: "NOT_FOUND",
    };
    vec![
        row("error_404_unknown_order", "GET", format!("/v5/orders/{UNKNOWN}")),
        row("error_404_not_an_id", "GET", "/v5/orders/1001".to_owned()),
        row("error_404_unknown_stream", "GET", format!("/v5/orders/{UNKNOWN}/subscribe")),
        row("error_404_unknown_qr", "GET", format!("/v3/qrs/{UNKNOWN}")),
        row("error_404_unknown_path", "GET", "/v5/baskets".to_owned()),
        // A method that a path does not have is not there either (contract 3: PATCH and PUT on orders answer 404).
        row("error_404_patch_order", "PATCH", format!("/v5/orders/{UNKNOWN}")),
        row("error_404_put_order", "PUT", format!("/v5/orders/{UNKNOWN}")),
        row("error_404_delete_currencies", "DELETE", "/v3/currencies".to_owned()),
    ]
}

fn against_the_rules() -> Vec<Row> {
    let row = |snapshot, path: &str, order: &Value, code| {
        let (path, body) = (path.to_owned(), order.to_string().into_bytes());
        Row { snapshot, method: "POST", path, body, status: 422, code }
    };
    let mut in_dai = order_for(None, "Airbnb", "100 USD", "ETH Mainnet");
    in_dai["payment"]["coin"] = json!("DAI");
    let on_avalanche = order_for(None, "Airbnb", "100 USD", "Avalanche");
    vec![
        row("error_422_suspended_coin", "/v5/orders", &in_dai, "SUSPENDED_COIN"),
        row("error_422_suspended_network", "/v5/orders", &on_avalanche, "SUSPENDED_NETWORK"),
        // An HTTP error in a dry run, too, and no problem in its list (contract 3.8).
        row("error_422_suspended_coin_in_a_dry_run", "/v5/orders/validations", &in_dai, "SUSPENDED_COIN"),
        row("error_422_suspended_network_in_a_dry_run", "/v5/orders/validations", &on_avalanche, "SUSPENDED_NETWORK"),
    ]
}

fn problems_of_a_create(door: &Door) {
    let mut order = order_for(Some("not an address"), "Demo Sold Out", "25 USD", "Solana");
    order["promo_code"] = json!("NONESUCH");
    let answer = door.post("/v5/orders", &order);
    let body = refusal(&answer, 422, "OUT_OF_STOCK");
    let problems = texts(&body, "/problems", "problem");
    assert_eq!(problems, ["OUT_OF_STOCK", "INVALID_BENEFICIARY_ACCOUNT", "COUPON_NOT_FOUND"]);
    assert_eq!(text(&body, "/message"), "OUT_OF_STOCK", "one client reads the message");
    keep("error_422_problems", &answer, &body);
}

/// A client that says `Ethereum` is told the pairs that exist, by their exact names (contract 6.3).
fn unsupported_network(door: &Door) {
    let answer = door.post("/v5/orders", &order_for(None, "Airbnb", "100 USD", "Ethereum"));
    let body = refusal(&answer, 422, "UNSUPPORTED_PROTOCOL_COIN_COMBINATION");
    let pairs = list(&body, "/problems/0/moreDetails");
    assert!(pairs.contains(&json!({ "coin": "USDC", "network": "Solana" })));
    let closed = |pair: &Value| text(pair, "/coin") == "DAI" || text(pair, "/network") == "Avalanche";
    assert!(!pairs.iter().any(closed), "what is suspended is not offered");
    keep("error_422_unsupported_network", &answer, &body);
}

fn value_out_of_range(door: &Door) {
    let answer = door.get("/v4/products/price?brand_name=Airbnb&country_code=US&face_value=501&coin=USDC");
    let body = refusal(&answer, 422, "NOT_AVAILABLE_PRODUCT");
    assert_eq!(at(&body, "/problems/0/moreDetails"), &json!({ "min": "50", "max": "500", "step": "1" }));
    keep("error_422_value_out_of_range", &answer, &body);
}

fn key_used_twice(door: &Door) {
    let headers = [("Idempotency-Key", "\"7c1e\"")];
    let first = order_for(None, "Airbnb", "50 USD", "Solana");
    let send = |order: &Value| door.post_with("/v5/orders", order, &headers);
    let made = success(&send(&first));
    assert_eq!(success(&send(&first))["order_id"], made["order_id"], "the same body: the same order");
    let answer = send(&order_for(None, "Airbnb", "100 USD", "Solana"));
    let body = refusal(&answer, 422, "IDEMPOTENCY_KEY_REUSED");
    assert_absent(&body, "", &["problems"]);
    keep("error_422_idempotency_key_reused", &answer, &body);
}

/// Without fresh rates nothing is sold that needs them; dollars in a stablecoin need none.
fn stale_rates(shop: &Shop, door: &Door) {
    let known = shop.kiosk.engine.shared.market().rates.clone();
    let hundred_hours_ago = Time(START.0 - Span::hours(100).0);
    let stale = Rates { never_stale: false, fiat_as_of: hundred_hours_ago, ..(*known).clone() };
    shop.kiosk.engine.shared.put_rates(Arc::new(stale));

    let listing = door.get("/v5/products/country/DE?brand_name=Amazon.de&coin=USDC");
    let body = refused_for_rates(&listing);
    keep("error_503_stale_rates", &listing, &body);
    let mut order = order_for(None, "Amazon.de", "10 EUR", "Solana");
    order["deliveries"][0]["country_code"] = json!("DE");
    let create = door.post("/v5/orders", &order);
    let body = refused_for_rates(&create);
    keep("error_503_stale_rates_at_create", &create, &body);

    let dollars = place(door, &order_for(None, "Airbnb", "100 USD", "Solana"));
    assert_eq!(text(&dollars, "/coin_amount"), "101.50");
    let ready = door.get("/readyz");
    let told = success(&ready);
    assert_eq!((text(&told, "/rates"), text(&told, "/database")), ("stale", "ok"));
    keep("readyz_with_stale_rates", &ready, &told);
}

/// The message names the rate and how old it is: 100 hours are 6,000 minutes.
fn refused_for_rates(answer: &Answer) -> Value {
    let body = refusal(answer, 503, "RATE_UNAVAILABLE");
    let message = text(&body, "/message");
    assert!(message.contains("EUR/USD") && message.contains("6000 minutes"), "{message}");
    assert_eq!(answer.header("retry-after"), Some("60"));
    body
}

/// A shop of its own, because its limits are tight: three calls at once and one order that waits for its money.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_of_something() {
    let folder = Folder::new();
    let mut config = harness::config(&folder, "");
    (config.server.calls_burst, config.server.calls_per_second) = (3, 1);
    config.server.unpaid_products_per_visitor = 1;
    let clock = TestClock::starting_at(START);
    let kiosk = boot::open_with(&config, clock, Arc::new(SystemIds)).await.expect("an installation");
    boot::stock_demo(&kiosk).await.expect("the demo's stock");
    let outside = boot::outside(&config, &kiosk).expect("adapters");
    let (stop, stopping) = watch::channel(false);
    let running = boot::start_doors(&config, &kiosk, &outside, JoinSet::new(), stopping).await.expect("doors");
    let door = Door::at(&format!("http://{}", running.address));

    let order = order_for(Some(EMAIL), "Airbnb", "100 USD", "Solana");
    place(&door, &order);
    let second_order = door.post("/v5/orders", &order);
    let body = refusal(&second_order, 429, "TOO_MANY_UNPAID_ORDERS");
    assert_eq!(second_order.header("retry-after"), Some("60"));
    keep("error_429_unpaid_orders", &second_order, &body);
    success(&door.get("/v3/currencies"));
    let fourth_call = door.get("/v3/currencies");
    let body = refusal(&fourth_call, 429, "TOO_MANY_REQUESTS");
    let seconds = fourth_call.header("retry-after").and_then(|text| text.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| (1..=2).contains(&seconds)), "whole seconds until there is room");
    assert_eq!(number(&body, "/status"), "429");
    keep("error_429_calls", &fourth_call, &body);
    assert_eq!(door.get("/livez").status, 200, "an operator's probe is not counted");

    stop.send_replace(true);
    running.ended().await.expect("a clean end");
}
