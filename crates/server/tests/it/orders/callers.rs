//! Who is asking: anonymous calls, partners and strict mode, rate limits, caps on unpaid orders, and whose word on a
//! visitor's address is taken (contract 1.1).

use crate::harness::Shop;
use crate::raw::{self, Answer, BUYER, ORDERS, VALIDATIONS, card, with};
use domain::event::Origin;
use domain::ids::OrderId;
use domain::time::Span;
use serde_json::{Value, json};
use server::boot::{self, Running};
use server::config::Config;
use server::engine;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// More doors to the same installation, with other settings.
struct Doors {
    url: String,
    stop: watch::Sender<bool>,
    running: Running,
}

impl Doors {
    async fn open(shop: &Shop, change: impl FnOnce(&mut Config)) -> Doors {
        let mut config = shop.config.clone();
        change(&mut config);
        let (stop, stopping) = watch::channel(false);
        let running = boot::start_doors(&config, &shop.kiosk, &shop.outside, JoinSet::new(), stopping).await;
        let running = running.expect("doors");
        Doors { url: format!("http://{}", running.address), stop, running }
    }

    /// The engine closes with its doors: nothing can be ordered after this.
    async fn close(self) {
        self.stop.send_replace(true);
        self.running.ended().await.expect("a clean end");
    }

    async fn create(&self, headers: &[(&str, &str)]) -> Answer {
        raw::post(&self.url, ORDERS, headers, &card("Airbnb", "100 USD")).await
    }
}

/// What the order knows of where it came from.
async fn origin_of(shop: &Shop, order: &Value) -> Origin {
    let id = OrderId::parse(&raw::id_of(order)).expect("an id");
    let found = engine::read_order(&shop.kiosk.engine.db, id).await.expect("a read");
    found.expect("the order").origin
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_keeps_who_sent_it() {
    let shop = Shop::open().await;
    let anonymous = raw::place(&shop, &[], &raw::without(card("Airbnb", "100 USD"), "/lang")).await;
    assert_eq!(origin_of(&shop, &anonymous).await, Origin { language: "en".to_owned(), ..Origin::default() });

    let token = raw::sign_up(&shop, "ann").await;
    let headers = [
        ("X-Cr-Application", "demo-partner"),
        ("X-Cr-Version", "2.1.0"),
        ("X-Country-ISO-Code", "DE"),
        ("Authorization", token.as_str()),
    ];
    let mut body = with(card("Airbnb", "100 USD"), "/lang", json!("it"));
    body = with(body, "/user", json!({ "email": BUYER, "has_accepted_newsletter": true }));
    body = with(body, "/acquisition", json!({ "utm_source": "your_platform" }));
    let attributed = raw::place(&shop, &headers, &body).await;
    let expected = Origin {
        partner: Some("demo-partner".to_owned()),
        referrer: None,
        client_version: Some("2.1.0".to_owned()),
        customer: Some("customer-ann".to_owned()),
        utm_source: Some("your_platform".to_owned()),
        country: Some("DE".to_owned()),
        language: "it".to_owned(),
        newsletter: true,
    };
    assert_eq!(origin_of(&shop, &attributed).await, expected);
    // An id that nobody registered opens nothing; it is kept as it was sent.
    let unknown = raw::place(&shop, &[("x-cr-application", "YOUR_PARTNER_ID")], &card("Airbnb", "100 USD")).await;
    assert_eq!(origin_of(&shop, &unknown).await.partner.as_deref(), Some("YOUR_PARTNER_ID"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_an_error_and_not_an_anonymous_call() {
    let shop = Shop::open().await;
    raw::sign_up(&shop, "ann").await;
    for authorization in ["Bearer nobody", "Bearer", "Basic dXNlcjpwYXNz", "token-of-ann"] {
        for path in [ORDERS, VALIDATIONS] {
            let headers = [("authorization", authorization)];
            let answer = raw::post(&shop.url, path, &headers, &card("Airbnb", "100 USD")).await;
            answer.assert_error(401, "UNAUTHORIZED", authorization);
        }
    }
    assert_eq!(raw::row_counts(&shop).await[0], 0);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_mode_names_the_header_that_is_missing() {
    let shop = Shop::open().await;
    let strict = Doors::open(&shop, |config| config.server.strict_partners = true).await;
    let partner = ("x-cr-application", "demo-partner");
    for (headers, named) in [
        (vec![], "X-Cr-Application"),
        (vec![("x-cr-version", "1")], "X-Cr-Application"),
        (vec![("x-cr-application", "nobody"), ("x-cr-version", "1")], "X-Cr-Application"),
        (vec![partner], "X-Cr-Version"),
    ] {
        let mut answers = vec![strict.create(&headers).await];
        for path in ["/v2/brands?country_code=US", "/v3/payment_vias", "/v4/products/price", "/v5/orders/x"] {
            answers.push(raw::request(&strict.url, "GET", path, &headers, b"").await);
        }
        for answer in answers {
            answer.assert_error(401, "UNAUTHORIZED", named);
            assert!(answer.text().contains(named), "{}", answer.text());
        }
    }
    assert_eq!(raw::row_counts(&shop).await[0], 0);
    // The country's header stays optional, and operators' addresses ask for nothing.
    assert_eq!(strict.create(&[partner, ("x-cr-version", "1")]).await.status, 200);
    assert_eq!(raw::get(&strict.url, "/livez").await.status, 200);
    assert_eq!(raw::get(&strict.url, "/readyz").await.status, 200);
    strict.close().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partners_calls_are_counted_together() {
    let shop = Shop::open().await;
    let slow = Doors::open(&shop, |config| {
        config.server.partner_calls_per_second = 1;
        config.server.partner_calls_burst = 1;
    })
    .await;
    let by_partner = [("X-Cr-Application", "demo-partner")];
    assert_eq!(slow.create(&by_partner).await.status, 200);
    let refused = slow.create(&by_partner).await;
    refused.assert_error(429, "TOO_MANY_REQUESTS", "the partner's second call");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(slow.create(&[]).await.status, 200, "others are not the partner");
    assert_eq!(slow.create(&[("X-Cr-Application", "stranger")]).await.status, 200, "nobody's id is not counted");
    slow.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_rate_wait() {
    let shop = Shop::open().await;
    let slow = Doors::open(&shop, |config| {
        config.server.calls_per_second = 2;
        config.server.calls_burst = 3;
    })
    .await;
    let ask = async || raw::get(&slow.url, "/v3/currencies").await;
    for _ in 0..3 {
        assert_eq!(ask().await.status, 200);
    }
    // Half a second is missing until the next call; seconds are whole.
    let refused = ask().await;
    refused.assert_error(429, "TOO_MANY_REQUESTS", "the fourth call");
    assert_eq!(refused.header("retry-after"), Some("1"));
    slow.create(&[]).await.assert_error(429, "TOO_MANY_REQUESTS", "any call counts");
    assert_eq!(raw::get(&slow.url, "/readyz").await.status, 200, "operators' addresses are not counted");
    shop.clock.advance(Span(499));
    assert_eq!(ask().await.status, 429);
    shop.clock.advance(Span(1));
    assert_eq!(ask().await.status, 200);
    assert_eq!(ask().await.status, 429);
    assert_eq!(raw::row_counts(&shop).await[0], 0);
    slow.close().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unpaid_orders_of_one_visitor_are_capped() {
    let mut shop = Shop::open().await;
    let capped = Doors::open(&shop, |config| config.server.unpaid_products_per_visitor = 3).await;
    let first = capped.create(&[]).await.json();
    for _ in 0..2 {
        assert_eq!(capped.create(&[]).await.status, 200);
    }
    let rows = raw::row_counts(&shop).await;
    let refused = capped.create(&[]).await;
    refused.assert_error(429, "TOO_MANY_UNPAID_ORDERS", "the fourth");
    let seconds: u32 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!(seconds >= 1);
    assert_eq!(raw::row_counts(&shop).await, rows, "a refusal wrote something");
    let checked = raw::post(&capped.url, VALIDATIONS, &[], &card("Airbnb", "100 USD")).await;
    assert_eq!(checked.json()["problems"], json!([]), "the basket is not at fault");
    // One that is paid makes room for one more, and so does one that expires.
    raw::pay(&mut shop, &first).await;
    assert_eq!(capped.create(&[]).await.status, 200);
    assert_eq!(capped.create(&[]).await.status, 429);
    shop.after(Span::minutes(31)).await;
    for _ in 0..3 {
        assert_eq!(capped.create(&[]).await.status, 200);
    }
    assert_eq!(capped.create(&[]).await.status, 429);
    capped.close().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_peer_is_believed_about_the_visitor() {
    let shop = Shop::open().await;
    let narrow = |config: &mut Config| {
        config.server.unpaid_products_per_visitor = 1;
        config.server.calls_per_second = 1;
        config.server.calls_burst = 2;
    };
    // The demo's partner vouches for loopback, which is where this test calls from.
    let trusting = Doors::open(&shop, narrow).await;
    for visitor in ["198.51.100.7, 10.0.0.1", "198.51.100.8", "2001:db8::1"] {
        let headers = [("x-forwarded-for", visitor)];
        assert_eq!(trusting.create(&headers).await.status, 200, "{visitor}");
        trusting.create(&headers).await.assert_error(429, "TOO_MANY_UNPAID_ORDERS", visitor);
        trusting.create(&headers).await.assert_error(429, "TOO_MANY_REQUESTS", visitor);
    }
    // What is no address is not believed either: these are calls of the peer itself.
    assert_eq!(trusting.create(&[("x-forwarded-for", "nonsense")]).await.status, 200);
    trusting.create(&[]).await.assert_error(429, "TOO_MANY_UNPAID_ORDERS", "the peer");

    let distrust = "update accounts set trust_from = null";
    shop.kiosk.engine.write(move |tx| tx.execute(distrust, &[])).await.expect("nobody vouches for anybody");
    let wary = Doors::open(&shop, narrow).await;
    wary.create(&[("x-forwarded-for", "203.0.113.1")]).await.assert_error(
        429,
        "TOO_MANY_UNPAID_ORDERS",
        "the peer has its one order already",
    );
    assert_eq!(raw::request(&wary.url, "GET", "/v3/currencies", &[], b"").await.status, 200);
    let forged = raw::request(&wary.url, "GET", "/v3/currencies", &[("x-forwarded-for", "203.0.113.2")], b"").await;
    forged.assert_error(429, "TOO_MANY_REQUESTS", "another forged address");
    wary.close().await;
    trusting.close().await;
    shop.close().await;
}
