//! A create that is sent again under the same `Idempotency-Key` (field-notes section 3): one order, whatever happens.

use crate::harness::Shop;
use crate::raw::{self, Answer, ORDERS, card, with};
use serde_json::{Value, json};

async fn create(shop: &Shop, key: &str, body: &Value) -> Answer {
    raw::post(&shop.url, ORDERS, &[("idempotency-key", key)], body).await
}

/// The id of the order that was made or found again.
fn order_id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    raw::id_of(&answer.json())
}

/// How many orders there are.
async fn orders(shop: &Shop) -> i64 {
    raw::row_counts(shop).await[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_give_the_same_order() {
    let mut shop = Shop::open().await;
    let body = card("Airbnb", "100 USD");
    let first = create(&shop, "again", &body).await;
    let rows = raw::row_counts(&shop).await;
    let second = create(&shop, "again", &body).await;
    assert_eq!(first.json(), second.json());
    // A structured field writes a string in quotes; the bare token means the same.
    assert_eq!(order_id(&create(&shop, "\"again\"", &body).await), order_id(&first));
    assert_eq!(raw::row_counts(&shop).await, rows, "a replay wrote something");
    // Whoever asks again after paying is not told to pay.
    raw::pay(&mut shop, &first.json()).await;
    let paid = create(&shop, "again", &body).await;
    assert_eq!(order_id(&paid), order_id(&first));
    assert_eq!(paid.json()["order_state"], "Done");
    assert_ne!(order_id(&create(&shop, "another key", &body).await), order_id(&first));
    assert_eq!(orders(&shop).await, 2);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_the_same_moment_make_one_order() {
    let shop = Shop::open().await;
    let body = card("Airbnb", "100 USD");
    for round in 0..10 {
        let key = format!("round {round}");
        let (one, other) = tokio::join!(create(&shop, &key, &body), create(&shop, &key, &body));
        assert_eq!(order_id(&one), order_id(&other));
    }
    assert_eq!(orders(&shop).await, 10);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_another_body_is_refused() {
    let shop = Shop::open().await;
    let body = card("Airbnb", "100 USD");
    let first = create(&shop, "k", &body).await;
    let rows = raw::row_counts(&shop).await;
    for other in [
        card("Airbnb", "200 USD"),
        with(body.clone(), "/user/email", json!("friend@example.com")),
        with(body.clone(), "/unknown_field", json!(1)),
        // Refused for its key before anything else is looked at.
        card("Airbnb", "12 USD"),
    ] {
        create(&shop, "k", &other).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED", "another body");
    }
    assert_eq!(raw::row_counts(&shop).await, rows);
    assert_eq!(order_id(&create(&shop, "k", &body).await), order_id(&first));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_keys_and_white_space_do_not_matter() {
    let shop = Shop::open().await;
    let one = r#"{"user":{"email":"a@example.com"},"payment":{"payment_via":"USER_WALLET","coin":"USDC"},
        "deliveries":[{"brand_name":"Airbnb","country_code":"US","denomination":"range","product_value":75}]}"#;
    let other = r#"
        { "deliveries": [
            { "product_value": 75, "denomination": "range", "country_code": "US", "brand_name": "Airbnb" } ],
          "payment": { "coin": "USDC", "payment_via": "USER_WALLET" },
          "user": { "email": "a@example.com" } }"#;
    let mut ids = Vec::new();
    for body in [one, other] {
        let answer = raw::request(&shop.url, "POST", ORDERS, &[("idempotency-key", "k")], body.as_bytes()).await;
        ids.push(order_id(&answer));
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(orders(&shop).await, 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_kept() {
    let shop = Shop::open().await;
    let sold_out = card("Demo Sold Out", "25 USD");
    for _ in 0..2 {
        create(&shop, "k", &sold_out).await.assert_error(422, "OUT_OF_STOCK", "refused each time anew");
    }
    let malformed = raw::request(&shop.url, "POST", ORDERS, &[("idempotency-key", "k")], b"{").await;
    malformed.assert_error(400, "BAD_REQUEST", "malformed");
    // The key is still free for the body that works.
    let body = card("Airbnb", "100 USD");
    let placed = create(&shop, "k", &body).await;
    assert_eq!(order_id(&create(&shop, "k", &body).await), order_id(&placed));
    create(&shop, "k", &sold_out).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED", "now it is taken");
    assert_eq!(orders(&shop).await, 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_different_askers_do_not_meet() {
    let shop = Shop::open().await;
    let body = card("Airbnb", "100 USD");
    let (ann, bob) = (raw::sign_up(&shop, "ann").await, raw::sign_up(&shop, "bob").await);
    let askers: [&[(&str, &str)]; 5] = [
        &[],
        &[("x-cr-application", "demo-partner")],
        &[("x-cr-application", "demo-other-partner")],
        &[("authorization", ann.as_str())],
        &[("authorization", bob.as_str())],
    ];
    let mut ids = Vec::new();
    for asker in askers {
        let headers = [asker, &[("idempotency-key", "k")]].concat();
        let placed = raw::place(&shop, &headers, &body).await;
        let again = raw::place(&shop, &headers, &body).await;
        assert_eq!(raw::id_of(&placed), raw::id_of(&again));
        ids.push(raw::id_of(&placed));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    // A customer is the same whichever partner's pages the call comes through.
    let through_partner =
        [("authorization", ann.as_str()), ("x-cr-application", "demo-partner"), ("idempotency-key", "k")];
    assert!(ids.contains(&raw::id_of(&raw::place(&shop, &through_partner, &body).await)));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_refused() {
    let shop = Shop::open().await;
    let long = "k".repeat(201);
    for key in ["\"\"", long.as_str(), "sch\u{fc}ssel"] {
        create(&shop, key, &card("Airbnb", "100 USD")).await.assert_error(400, "BAD_REQUEST", key);
    }
    assert_eq!(orders(&shop).await, 0);
    order_id(&create(&shop, &"k".repeat(200), &card("Airbnb", "100 USD")).await);
    shop.close().await;
}
