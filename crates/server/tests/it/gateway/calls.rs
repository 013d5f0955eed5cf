//! The calls beside the stream: orders, which are never kept, what may come down, and who may call at all.

use super::stub::{Front, PARTNER, Reply, Setting, Stub, answer, json};
use super::{ID, has_line};
use crate::harness::Shop;
use crate::http::{Live, get, request};
use crate::raw;
use api::OrderState;
use axum::http::HeaderValue;
use domain::time::Span;
use server::http::visitors::RateLimit;

pub const BRANDS: &str = "/v2/brands?country_code=US";
/// How the shop's answers hold unless a story says otherwise.
pub const HALF_A_MINUTE: &str = "cache-control: public, max-age=30\r\netag: \"shop-1\"\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_passed_on_in_the_visitors_name_and_never_kept() {
    let shop = Stub::start(|path| match path {
        "/v5/orders" => json("422 Unprocessable Entity", "", r#"{"detail":"OUT_OF_STOCK"}"#),
        "/v3/qrs/3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411" => answer("200 OK", "content-type: image/png\r\n", "PNG"),
        _ => json("200 OK", HALF_A_MINUTE, r#"{"order_state":"Done"}"#),
    })
    .await;
    let front = Front::start(&shop.url).await;
    let headers = [
        ("idempotency-key", "\"k-1\""),
        ("user-agent", "Phone/9"),
        ("authorization", "Bearer customer-token"),
        ("cookie", "session=1"),
    ];
    let body = br#"{"user":{"email":"ann@example.com"},"odd":1.50}"#;
    let refused = raw::request(&front.url, "POST", "/v5/orders", &headers, body).await;
    assert_eq!((refused.status, refused.text().as_str()), (422, r#"{"detail":"OUT_OF_STOCK"}"#));
    let sent = &shop.seen()[0];
    assert!(sent.ends_with(std::str::from_utf8(body).expect("text")), "the body goes up as it is: {sent}");
    for line in [
        "idempotency-key: \"k-1\"",
        "user-agent: Phone/9",
        "authorization: Bearer customer-token",
        "x-forwarded-for: 127.0.0.1",
        "content-type: application/json",
    ] {
        assert!(has_line(sent, line), "{line} is missing in {sent}");
    }
    assert!(has_line(sent, &format!("x-cr-application: {PARTNER}")) && !sent.contains("cookie"), "{sent}");
    let paths = [format!("/v5/orders/{ID}"), format!("/v3/orders/{ID}"), format!("/v3/qrs/{ID}?line=0")];
    for path in &paths {
        for _ in 0..2 {
            let shown = raw::get(&front.url, path).await;
            assert_eq!((shown.status, shown.header("cache-control")), (200, Some("no-store")), "{path}");
            assert_eq!(shown.header("etag"), None, "{path}");
        }
    }
    let lines: Vec<String> =
        shop.seen()[1..].iter().filter_map(|seen| seen.lines().next().map(str::to_owned)).collect();
    let expected: Vec<String> =
        paths.iter().flat_map(|path| [path, path]).map(|path| format!("GET {path} HTTP/1.1")).collect();
    assert_eq!(lines, expected);
    shop.die().await;
    let lost = raw::request(&front.url, "POST", "/v5/orders", &[], body).await;
    lost.assert_error(502, "UPSTREAM_UNREACHABLE", "an order");
    assert!(lost.text().contains("same Idempotency-Key"), "{}", lost.text());
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_of_the_store_api_does_not_come_down() {
    let shop = Stub::start(|path| match path.split('/').nth(3).unwrap_or_default() {
        "moved" => answer("302 Found", "location: /v5/orders/other\r\n", ""),
        "page" => answer("200 OK", "content-type: text/html\r\n", "<h1>Maintenance</h1>"),
        "blocked" => answer("403 Forbidden", "content-type: text/html\r\n", "<h1>Blocked</h1>"),
        "unasked" => answer("304 Not Modified", "", ""),
        "empty" => Reply::Whole("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned()),
        "packed" => json("200 OK", "content-encoding: gzip\r\n", "{}"),
        "large" => json("200 OK", "", &format!("\"{}\"", "x".repeat(8 * 1_048_576))),
        "nonsense" => Reply::Whole("220 smtp.example ESMTP\r\n".to_owned()),
        other => json("200 OK", &format!("x-cr-application: {PARTNER}\r\nserver: shop\r\n"), &format!("\"{other}\"")),
    })
    .await;
    let front = Front::start(&shop.url).await;
    // An order and a read: `/v5/orders/{id}` and `/v2/search/{country_code}` have it at the same place.
    for path in ["/v5/orders", "/v2/search"] {
        for (id, status, code) in [
            ("moved", 502, "UPSTREAM_ERROR"),
            ("page", 502, "UPSTREAM_ERROR"),
            ("blocked", 403, "UPSTREAM_ERROR"),
            ("unasked", 502, "UPSTREAM_ERROR"),
            ("empty", 502, "UPSTREAM_ERROR"),
            ("packed", 502, "UPSTREAM_ERROR"),
            ("large", 502, "UPSTREAM_ERROR"),
            ("nonsense", 502, "UPSTREAM_UNREACHABLE"),
        ] {
            let refused = raw::get(&front.url, &format!("{path}/{id}")).await;
            refused.assert_error(status, code, &format!("{path}/{id}"));
            assert!(!refused.text().contains("h1"), "{path}/{id}");
        }
        let well = raw::get(&front.url, &format!("{path}/well")).await;
        assert_eq!(well.text(), "\"well\"");
        let all = format!("{:?}", well.headers);
        assert!(!all.contains(PARTNER) && !all.contains("server"), "only listed headers come down: {all}");
    }
    assert!(shop.seen().iter().all(|request| has_line(request, "accept-encoding: identity")));
    assert_eq!(shop.seen().len(), 18, "a redirect was followed, or something asked twice");
    // Only a call that places an order may have placed one.
    let validated = raw::request(&front.url, "POST", "/v5/orders/validations", &[], b"{}").await;
    assert_eq!(validated.status, 200);
    shop.die().await;
    let lost = raw::request(&front.url, "POST", "/v5/orders/validations", &[], b"{}").await;
    lost.assert_error(502, "UPSTREAM_UNREACHABLE", "a dry run");
    assert!(!lost.text().contains("placed"), "{}", lost.text());
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_go_up_are_counted_apart() {
    let shop = Stub::start(|path| match path.ends_with("subscribe") {
        true => Reply::Open(super::stub::stream(&super::stub::snapshot(1))),
        false => json("200 OK", HALF_A_MINUTE, "{}"),
    })
    .await;
    let up = RateLimit { per_second: 1, burst: 3 };
    let front = Front::with(&shop.url, Setting { up, ..Setting::default() }).await;
    let mut watching = Vec::new();
    for _ in 0..20 {
        assert_eq!(get(&front.url, BRANDS).await.head.status, 200, "what is kept costs the shop nothing");
        watching.push(Live::open(&front.url, &super::stream_path(ID), "").await);
    }
    assert!(watching.iter().all(|live| live.head.status == 200), "what is shared costs the shop nothing");
    assert_eq!(get(&front.url, &format!("/v5/orders/{ID}")).await.head.status, 200);
    raw::get(&front.url, &format!("/v5/orders/{ID}")).await.assert_error(429, "TOO_MANY_REQUESTS", "a fourth call up");
    raw::get(&front.url, "/v2/brands?country_code=DE").await.assert_error(429, "TOO_MANY_REQUESTS", "a fifth");
    let refused = get(&front.url, &super::stream_path("other")).await;
    assert_eq!((refused.head.status, refused.head.header("retry-after")), (429, Some("1")));
    assert_eq!(shop.seen().len(), 3);
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_paths_go_up_and_ids_stay_in_their_place() {
    let shop = Stub::start(|_| json("200 OK", "", "{}")).await;
    let front = Front::start(&shop.url).await;
    let long = "a".repeat(129);
    for id in ["..%2f..%2fadmin", "%2e%2e", ".", "a%2fb", "a%00b", "a%0d%0ab", "a%3fb", "a%23b", "%ff", "a%5cb", &long]
    {
        for path in [
            format!("/v5/orders/{id}"),
            format!("/v5/orders/{id}/subscribe"),
            format!("/api/orders/{id}/subscribe"),
            format!("/v3/qrs/{id}"),
            format!("/v2/search/{id}?q=a"),
            format!("/logos/{id}"),
        ] {
            assert_eq!(raw::get(&front.url, &path).await.status, 404, "{path}");
        }
    }
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/v5/orders"),
        ("GET", "/v6/partner/orders/1"),
        ("POST", "/v6/partner/orders"),
        ("DELETE", "/v5/orders/o-1"),
        ("POST", "/v2/brands"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("POST", "/sandbox/orders/o-1/pay"),
        ("GET", "/v5/orders/../../admin"),
    ] {
        raw::request(&front.url, method, path, &[], b"{}").await.assert_error(404, "NOT_FOUND", path);
    }
    assert_eq!(shop.seen(), [""; 0], "something went up");
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_and_what_they_send_are_bounded() {
    let shop = Stub::start(|_| json("200 OK", "", "{}")).await;
    let setting = Setting {
        limit: RateLimit { per_second: 1, burst: 3 },
        proxies: vec!["127.0.0.1/32".parse().expect("a network")],
        ..Setting::default()
    };
    let front = Front::with(&shop.url, setting).await;
    let call = |from: &'static str| {
        let url = front.url.clone();
        async move { raw::request(&url, "GET", BRANDS, &[("x-forwarded-for", from)], b"").await }
    };
    for _ in 0..3 {
        assert_eq!(call("192.0.2.1").await.status, 200);
    }
    let refused = call("198.51.100.1, 192.0.2.1").await;
    refused.assert_error(429, "TOO_MANY_REQUESTS", "a fourth call");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(call("192.0.2.2").await.status, 200, "another visitor");
    let by_proxy = [("x-forwarded-for", "198.51.100.1, 192.0.2.3"), ("cf-ipcountry", "fr")];
    assert_eq!(raw::request(&front.url, "POST", "/v5/orders", &by_proxy, b"{}").await.status, 200);
    let sent = shop.seen().pop().expect("it went up");
    assert!(has_line(&sent, "x-forwarded-for: 192.0.2.3"), "the proxy's word goes up: {sent}");
    assert!(has_line(&sent, "x-country-iso-code: FR"), "{sent}");
    front.clock.advance(Span::seconds(10));
    let large = vec![b'x'; 256 * 1_024 + 1];
    let refused = raw::request(&front.url, "POST", "/v5/orders", &[], &large).await;
    refused.assert_error(413, "BODY_TOO_LARGE", "a large body");
    let long = format!("{BRANDS}&q={}", "x".repeat(4_096));
    raw::get(&front.url, &long).await.assert_error(414, "URI_TOO_LONG", "a long query");
    assert_eq!(shop.seen().len(), 2);
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_call_only_if_they_are_named() {
    let shop = Stub::start(|path| match path.ends_with("subscribe") {
        true => Reply::Open(super::stub::stream("")),
        false => json("200 OK", "", "{}"),
    })
    .await;
    let origins = vec![HeaderValue::from_static("https://partner.example")];
    let front = Front::with(&shop.url, Setting { origins, ..Setting::default() }).await;
    let closed = Front::start(&shop.url).await;
    for (front, origin, allowed) in [
        (&front, "https://partner.example", Some("https://partner.example")),
        (&front, "https://other.example", None),
        (&closed, "https://partner.example", None),
    ] {
        let asked = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type, idempotency-key"),
        ];
        let preflight = raw::request(&front.url, "OPTIONS", "/v5/orders", &asked, b"").await;
        assert_eq!(preflight.header("access-control-allow-origin"), allowed, "{origin}");
        if allowed.is_some() {
            assert_eq!(preflight.status, 200);
            let headers = preflight.header("access-control-allow-headers").unwrap_or_default();
            assert!(headers.contains("idempotency-key") && headers.contains("content-type"), "{headers}");
        }
        let answer = raw::request(&front.url, "GET", BRANDS, &[("origin", origin)], b"").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, allowed), "{origin}");
        let live = Live::open(&front.url, &super::stream_path(ID), &format!("origin: {origin}\r\n")).await;
        assert_eq!((live.head.status, live.head.header("access-control-allow-origin")), (200, allowed), "{origin}");
    }
    let anybody = Setting { origins: vec![HeaderValue::from_static("*")], ..Setting::default() };
    let open = Front::with(&shop.url, anybody).await;
    let answer = raw::request(&open.url, "GET", BRANDS, &[("origin", "https://other.example")], b"").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    open.close().await;
    assert!(shop.seen().iter().all(|request| request.starts_with("GET ")), "a preflight went up");
    front.close().await;
    closed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_store_api_buys_through_the_gateway_as_it_does_without() {
    let mut shop = Shop::open().await;
    let front = Front::start(&shop.url).await;
    let client = api::Client::new(&front.url, api::Identity::default()).expect("a client");
    let direct = shop.client.brands("US", None).await.expect("an answer");
    let through = client.brands("US", None).await.expect("an answer");
    assert_eq!(serde_json::to_value(through).expect("JSON"), serde_json::to_value(direct).expect("JSON"));
    let wanted = request("ann@example.com", &[("Airbnb", "100 USD", "ann@example.com")]);
    let order = client.create_order(&wanted, Some("k-1")).await.expect("the order is taken");
    let again = client.create_order(&wanted, Some("k-1")).await.expect("the same order");
    assert_eq!(order.order_id, again.order_id);
    let mut tracking = client.subscribe(&order.order_id);
    let first = tracking.next().await.expect("a message").expect("an order");
    assert_eq!(first.order_state, OrderState::WaitingForPayment);
    crate::http::pay(&shop, &order, "{}").await;
    shop.pump().await;
    let mut last = first;
    while let Some(next) = tracking.next().await {
        last = next.expect("an order");
    }
    assert_eq!(last.order_state, OrderState::Done);
    let shown = client.order(&order.order_id).await.expect("the order is shown");
    assert!(shown.deliveries[0].deliverable.pin_code.is_some());
    let partner = crate::http::row(&shop, &order).await.origin.partner;
    assert_eq!(partner, Some(PARTNER.to_owned()));
    front.close().await;
    shop.close().await;
}
