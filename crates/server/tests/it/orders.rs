//! Creating orders over HTTP in the demo's shop: what is understood, what is promised, what is held and for how long.
//!
//! Reading order: this file (bodies, prices, holds, coupons), `payment_request` (how to pay, QR, addresses that are
//! none), `idempotency` (a create that is sent again), `callers` (who is asking, how often, and how much unpaid).

mod callers;
mod idempotency;
mod payment_request;

use crate::harness::Shop;
use crate::raw::{self, BUYER, ORDERS, VALIDATIONS, card, line, range_card, with, without};
use domain::ids::Sku;
use domain::time::Span;
use domain::validate::StockCount;
use futures_util::future::join_all;
use serde_json::{Value, json};
use server::store::stock;
use std::collections::BTreeSet;
use std::sync::Arc;

/// An answer without what differs between two orders of the same body.
fn nameless(mut order: Value) -> Value {
    for name in ["order_id", "payment_id", "qr_text", "qr_url", "reference_id", "wallet_address"] {
        order = without(order, &format!("/{name}"));
    }
    for delivery in order["deliveries"].as_array_mut().expect("deliveries") {
        *delivery = without(delivery.clone(), "/id");
    }
    order
}

/// The nested form with everything that the developer page shows (contract 3.9).
fn nested() -> Value {
    json!({
        "deliveries": [{
            "kind": "giftcard",
            "quantity": 1,
            "deliverable": { "brand_name": "Airbnb", "country_code": "US", "denomination": "100" },
        }],
        "payment": { "type": "via", "coin": "USDC", "network": "Solana", "payment_via": "USER_WALLET" },
        "user": { "email": BUYER, "has_accepted_newsletter": true },
        "lang": "en",
        "acquisition": { "utm_source": "your_platform" },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_order_waits_for_its_payment() {
    let shop = Shop::open().await;
    let answer = raw::post(&shop.url, ORDERS, &[], &card("Airbnb", "100 USD")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let order = answer.json();
    // 100 USD and 1.5 % of margin; 85.90 EUR at 1.1642. The clock stands at 2026-11-20T11:35:00Z.
    for (field, expected) in [
        ("order_state", json!("WaitingForPayment")),
        ("payment_state", json!("WalletCreated")),
        ("created_at", json!("1795174500")),
        ("payment_requested_at", json!("1795174500")),
        ("coin", json!("USDC")),
        ("network", json!("Solana")),
        ("coin_amount", json!("101.50")),
        ("original_price", json!("101.50")),
        ("sent_coin_amount", json!("0")),
        ("payment_method", json!("USDC-SOL")),
        ("payment_method_protocol", json!("SOLANA_LIKE")),
        ("is_payment_processor_external", json!(false)),
        ("user", json!({ "email": BUYER })),
    ] {
        assert_eq!(order[field], expected, "{field}");
    }
    assert_eq!(order["payment_value"].to_string(), "85.9");
    let delivery = &order["deliveries"][0];
    assert_eq!(delivery["delivery_state"], "WaitingForPayment");
    assert_eq!(delivery["kind"], "giftcard");
    let expected = json!({
        "denomination": "100 USD",
        "localized_denomination": "$100",
        "family": "Airbnb",
        "brand_name": "Airbnb",
        "country_code": "US",
        "beneficiary_account": BUYER,
        "delivery_type": "by_email",
        "points": "85",
        "coin_amount": "101.50",
        "currency_code": "USD",
    });
    assert_eq!(delivery["deliverable"], expected, "codes are absent, not null");
    assert_eq!(raw::show(&shop, &order).await, order, "what was answered is what is kept");
    let alias = raw::get(&shop.url, &format!("/v3/orders/{}", raw::id_of(&order))).await;
    assert_eq!(alias.json(), order);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flat_and_the_nested_body_make_the_same_order() {
    let shop = Shop::open().await;
    let flat = raw::place(&shop, &[], &card("Airbnb", "100 USD")).await;
    let other = raw::place(&shop, &[], &nested()).await;
    assert_ne!(flat["order_id"], other["order_id"]);
    assert_ne!(flat["wallet_address"], other["wallet_address"], "an address has one order");
    assert_eq!(nameless(flat), nameless(other));
    let mut checked = Vec::new();
    for body in [card("Airbnb", "100 USD"), nested()] {
        checked.push(raw::post(&shop.url, VALIDATIONS, &[], &body).await.json());
    }
    assert_eq!(checked[0]["problems"], json!([]));
    assert_eq!(checked[0]["coin_amount"], "101.50");
    assert_eq!(checked[0], checked[1]);
    // The newer page's form: the recipient inside the deliverable, and both forms in one body.
    let friend = with(nested(), "/deliveries/0/deliverable/beneficiary_account", json!("friend@example.com"));
    let mixed = with(friend.clone(), "/deliveries", json!([friend["deliveries"][0], line("Steam", "5 USD")]));
    let mixed = raw::place(&shop, &[], &mixed).await;
    let recipient = |at: usize| mixed["deliveries"][at]["deliverable"]["beneficiary_account"].clone();
    assert_eq!([recipient(0), recipient(1)], ["friend@example.com", BUYER]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quantity_is_so_many_deliveries() {
    let shop = Shop::open().await;
    for quantity in [json!(3), json!("3")] {
        let order = raw::place(&shop, &[], &with(nested(), "/deliveries/0/quantity", quantity)).await;
        let deliveries = order["deliveries"].as_array().expect("deliveries");
        let ids: BTreeSet<String> = deliveries.iter().map(|delivery| delivery["id"].to_string()).collect();
        assert_eq!((deliveries.len(), ids.len()), (3, 3));
        assert_eq!(order["coin_amount"], "304.50");
        assert!(deliveries.iter().all(|delivery| delivery["deliverable"]["coin_amount"] == "101.50"));
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_a_number_or_a_text() {
    let shop = Shop::open().await;
    for value in ["75", "75.0", "\"75\"", "\"75.00\""] {
        let value: Value = serde_json::from_str(value).expect("JSON");
        let order = raw::place(&shop, &[], &range_card("Airbnb", value.clone())).await;
        // 76.125, rounded up.
        assert_eq!(order["coin_amount"], "76.13", "{value}");
        let deliverable = &order["deliveries"][0]["deliverable"];
        assert_eq!(deliverable["denomination"], "range");
        assert_eq!(deliverable["localized_denomination"], "$75");
        assert_eq!(deliverable["product_value"].to_string(), "75", "a number, as the contract says");
    }
    // A value beside a listed denomination must say the same.
    let same = with(card("Airbnb", "100 USD"), "/deliveries/0/product_value", json!(100));
    raw::place(&shop, &[], &same).await;
    let other = with(card("Airbnb", "100 USD"), "/deliveries/0/product_value", json!(50));
    raw::post(&shop.url, ORDERS, &[], &other).await.assert_error(422, "NOT_AVAILABLE_PRODUCT", "another value");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_filled_in() {
    let shop = Shop::open().await;
    let full = raw::place(&shop, &[], &card("Airbnb", "100 USD")).await;
    let mut sparse = card("Airbnb", "100 USD");
    for pointer in ["/user", "/lang", "/payment/type", "/payment/network", "/deliveries/0/beneficiary_account"] {
        sparse = without(sparse, pointer);
    }
    let filled = raw::place(&shop, &[], &sparse).await;
    assert_eq!(nameless(filled), nameless(full));
    let in_ether = with(with(sparse.clone(), "/payment/coin", json!("ETH")), "/payment/network", Value::Null);
    assert_eq!(raw::place(&shop, &[], &in_ether).await["network"], "ETH Mainnet");
    // The buyer of `user` goes before the one beside it.
    let both = with(card("Airbnb", "100 USD"), "/email", json!("old@example.com"));
    assert_eq!(raw::place(&shop, &[], &both).await["user"]["email"], BUYER);
    // Without a coin it is BTC, which the demo cannot be paid in.
    let coinless = without(sparse, "/payment/coin");
    let checked = raw::post(&shop.url, VALIDATIONS, &[], &coinless).await.json();
    assert_eq!(checked["coin"], "BTC");
    assert_eq!(checked["problems"][0]["problem"], "UNSUPPORTED_PROTOCOL_COIN_COMBINATION");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_ignored_and_empty_ones_are_absent() {
    let shop = Shop::open().await;
    let plain = raw::place(&shop, &[], &card("Airbnb", "100 USD")).await;
    let mut body = card("Airbnb", "100 USD");
    let more = r#"{ "payment_method": "GRAM-TON", "huge": 1e400, "deep": { "list": [null, { "a": "\u0000" }] },
        "promo_code": "", "refund_wallet_address": null, "acquisition": {}, "expires_in": "1 year" }"#;
    let more: Value = serde_json::from_str(more).expect("JSON");
    for (name, value) in more.as_object().expect("an object") {
        body = with(body, &format!("/{name}"), value.clone());
    }
    let body = with(body, "/deliveries/0/localized_denomination", json!({ "not": "a text" }));
    let order = raw::place(&shop, &[], &body).await;
    assert_eq!(nameless(order), nameless(plain));
    let refund = with(card("Airbnb", "100 USD"), "/refund_wallet_address", json!("refund-here"));
    assert_eq!(raw::place(&shop, &[], &refund).await["refund_wallet_address"], "refund-here");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_is_locked_when_the_order_is_placed() {
    let mut shop = Shop::open().await;
    // 100 USD and 1.5 % in ETH at 3,000 USD, rounded up to six decimals.
    let body =
        with(with(card("Airbnb", "100 USD"), "/payment/coin", json!("ETH")), "/payment/network", json!("ETH Mainnet"));
    let order = raw::place(&shop, &[], &body).await;
    assert_eq!(order["coin_amount"], "0.033834");
    let shared = &shop.kiosk.engine.shared;
    let mut halved = (*shared.market().rates).clone();
    halved.coins.get_mut("ETH").expect("the demo's price").usd = 1_500.into();
    shared.put_rates(Arc::new(halved));
    let now = raw::post(&shop.url, VALIDATIONS, &[], &body).await.json();
    assert_eq!(now["coin_amount"], "0.067667");
    assert_eq!(raw::place(&shop, &[], &body).await["coin_amount"], "0.067667");
    // Still in its window, the first order costs what it did, and that pays it.
    shop.after(Span::minutes(29)).await;
    raw::pay(&mut shop, &order).await;
    let paid = raw::show(&shop, &order).await;
    assert_eq!(paid["order_state"], "Done");
    assert_eq!(paid["coin_amount"], "0.033834");
    assert_eq!(paid["sent_coin_amount"], "0.033834");
    shop.close().await;
}

const SKU: &str = "steam-us-20";

/// Leaves `count` codes of the SKU in stock.
async fn leave_codes(shop: &Shop, count: i64) {
    let emptied = shop.kiosk.engine.write(move |tx| {
        let left = "delete from codes where sku = $1 and id not in (select id from codes where sku = $1 limit $2)";
        tx.execute(left, &[SKU.into(), count.into()])?;
        tx.execute("update stock set free = $2 where sku = $1", &[SKU.into(), count.into()])
    });
    assert_eq!(emptied.await.expect("fewer codes"), 1, "{SKU} is in stock");
}

/// How many codes of the SKU nobody owns, and how many of them are promised.
async fn in_stock(shop: &Shop) -> (i64, i64) {
    let counts = shop.kiosk.engine.db.read(stock::counts).await.expect("counts");
    let StockCount { free, held } = counts[&Sku::new(SKU)];
    (free, held)
}

#[tokio::test(flavor = "multi_thread")]
async fn unpaid_orders_hold_codes_until_they_expire() {
    let mut shop = Shop::open_with("[limits]\nunpaid_stock_share_percent = 100\n").await;
    leave_codes(&shop, 2).await;
    let one = card("Steam", "20 USD");
    let two = with(one.clone(), "/deliveries/0/quantity", json!(2));
    let first = raw::place(&shop, &[], &one).await;
    assert_eq!(in_stock(&shop).await, (2, 1));
    raw::post(&shop.url, ORDERS, &[], &two).await.assert_error(422, "OUT_OF_STOCK", "two of the one that is left");
    let second = raw::place(&shop, &[], &one).await;
    raw::post(&shop.url, ORDERS, &[], &one).await.assert_error(422, "OUT_OF_STOCK", "none is left");
    assert_eq!(in_stock(&shop).await, (2, 2));
    raw::pay(&mut shop, &first).await;
    assert_eq!(raw::show(&shop, &first).await["order_state"], "Done");
    assert_eq!(in_stock(&shop).await, (1, 1), "the first has its code, the second still has its promise");
    shop.after(Span::minutes(29)).await;
    assert_eq!(in_stock(&shop).await, (1, 1));
    shop.after(Span::minutes(2)).await;
    assert_eq!(in_stock(&shop).await, (1, 0));
    let expired = raw::show(&shop, &second).await;
    assert_eq!(expired["order_state"], "Expired");
    assert_eq!(expired["payment_state"], "Expired");
    raw::buy(&mut shop, &one).await;
    assert_eq!(in_stock(&shop).await, (0, 0));
    raw::post(&shop.url, ORDERS, &[], &one).await.assert_error(422, "OUT_OF_STOCK", "sold out");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unpaid_orders_hold_no_more_than_their_share() {
    let mut shop = Shop::open_with("[limits]\nunpaid_stock_share_percent = 50\n").await;
    leave_codes(&shop, 4).await;
    let one = card("Steam", "20 USD");
    let first = raw::place(&shop, &[], &one).await;
    raw::place(&shop, &[], &one).await;
    raw::post(&shop.url, ORDERS, &[], &one).await.assert_error(422, "OUT_OF_STOCK", "two of four are promised");
    assert_eq!(in_stock(&shop).await, (4, 2));
    // Half of the three that are left is one, and one is promised.
    raw::pay(&mut shop, &first).await;
    raw::post(&shop.url, ORDERS, &[], &one).await.assert_error(422, "OUT_OF_STOCK", "one of three is promised");
    shop.after(Span::minutes(31)).await;
    raw::place(&shop, &[], &one).await;
    assert_eq!(in_stock(&shop).await, (3, 1));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_code_is_promised_once_however_many_ask_at_the_same_time() {
    let shop = Shop::open_with("[limits]\nunpaid_stock_share_percent = 100\n").await;
    leave_codes(&shop, 1).await;
    let body = card("Steam", "20 USD");
    let answers = join_all((0..5).map(|_| raw::post(&shop.url, ORDERS, &[], &body))).await;
    let mut placed = 0;
    for answer in answers {
        match answer.status {
            200 => placed += 1,
            _ => answer.assert_error(422, "OUT_OF_STOCK", "the others"),
        }
    }
    assert_eq!(placed, 1);
    assert_eq!(in_stock(&shop).await, (1, 1));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_limits_are_held_until_expiry() {
    let mut shop = Shop::open().await;
    let token = raw::sign_up(&shop, "ann").await;
    let headers = [("authorization", token.as_str())];
    // 5,820 USD are 4,999.14 EUR: two of them leave 1.72 EUR of the customer's day, also while nobody has paid.
    let large = range_card("Demo Vault", json!(5_820));
    let order = raw::place(&shop, &headers, &large).await;
    raw::place(&shop, &headers, &large).await;
    let small = card("Airbnb", "100 USD");
    let refused = raw::post(&shop.url, ORDERS, &headers, &small).await;
    refused.assert_error(422, "DAILY_SPENDING_LIMIT_EXCEEDED", "a third order");
    raw::place(&shop, &[], &small).await;
    raw::pay(&mut shop, &order).await;
    let refused = raw::post(&shop.url, ORDERS, &headers, &small).await;
    refused.assert_error(422, "DAILY_SPENDING_LIMIT_EXCEEDED", "one of them is paid");
    shop.after(Span::minutes(31)).await;
    raw::place(&shop, &headers, &small).await;
    let refused = raw::post(&shop.url, ORDERS, &headers, &large).await;
    refused.assert_error(422, "DAILY_SPENDING_LIMIT_EXCEEDED", "what was paid stays counted");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_is_redeemed_once_however_many_ask_at_the_same_time() {
    let mut shop = Shop::open().await;
    let body = with(card("Airbnb", "100 USD"), "/promo_code", json!("DEMO-SPENT"));
    let answers = join_all((0..5).map(|_| raw::post(&shop.url, ORDERS, &[], &body))).await;
    let mut placed = Vec::new();
    for answer in answers {
        match answer.status {
            200 => placed.push(answer.json()),
            _ => answer.assert_error(422, "COUPON_ALREADY_SPENT", "the others"),
        }
    }
    assert_eq!(placed.len(), 1);
    // Ten percent off would be 91.35; the card costs the shop 96.
    assert_eq!(placed[0]["coin_amount"], "96.00");
    assert_eq!(placed[0]["original_price"], "101.50");
    let friend = with(body.clone(), "/user/email", json!("friend@example.com"));
    raw::place(&shop, &[], &friend).await;
    // An order that nobody paid gives the use back.
    shop.after(Span::minutes(31)).await;
    raw::buy(&mut shop, &body).await;
    raw::post(&shop.url, ORDERS, &[], &body).await.assert_error(422, "COUPON_ALREADY_SPENT", "it is paid now");
    shop.close().await;
}
