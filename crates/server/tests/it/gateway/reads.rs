//! Reads that are kept: for how long, when they are asked for again, and what is shown when the shop is away.

use super::calls::{BRANDS, HALF_A_MINUTE};
use super::has_line;
use super::stub::{Front, PARTNER, Reply, Setting, Stub, answer, json};
use crate::http::{PATIENCE, get};
use crate::raw;
use domain::time::Span;
use server::http::visitors::RateLimit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;

fn brands(text: &str) -> Reply {
    json("200 OK", HALF_A_MINUTE, &format!(r#"{{"all_brands":["{text}"]}}"#))
}

/// A shop that counts its brands: `n0`, `n1`, ..
async fn counting_shop() -> Stub {
    let count = AtomicUsize::new(0);
    Stub::start(move |_| brands(&format!("n{}", count.fetch_add(1, Ordering::SeqCst)))).await
}

async fn text(front: &Front, path: &str) -> String {
    let answer = get(&front.url, path).await;
    assert_eq!(answer.head.status, 200, "{path}: {}", answer.text());
    answer.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_up_once_with_the_partner_and_is_kept() {
    let shop = counting_shop().await;
    let front = Front::start(&shop.url).await;
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let url = front.url.clone();
            tokio::spawn(async move { get(&url, BRANDS).await })
        })
        .collect();
    for asked in asking {
        let answer = asked.await.expect("an answer");
        assert_eq!((answer.head.status, answer.text().contains("n0")), (200, true));
        assert_eq!(answer.head.header("cache-control"), Some("public, max-age=30"));
        assert_eq!(answer.head.header("warning"), None);
    }
    let seen = shop.seen();
    assert_eq!(seen.len(), 1, "a hundred asked, one question went up");
    assert!(seen[0].starts_with(&format!("GET {BRANDS} HTTP/1.1")), "{}", seen[0]);
    for line in [format!("x-cr-application: {PARTNER}"), "x-cr-version: 4.2.0".to_owned()] {
        assert!(has_line(&seen[0], &line), "{}", seen[0]);
    }
    assert!(!seen[0].contains("x-forwarded-for"), "the answer is everybody's, so nobody's name goes up: {}", seen[0]);
    // Whoever has it is not sent it again; other questions and countries are others.
    let tag = get(&front.url, BRANDS).await.head.header("etag").expect("a tag").to_owned();
    let known = raw::request(&front.url, "GET", BRANDS, &[("if-none-match", &tag)], b"").await;
    assert_eq!((known.status, known.body.is_empty(), known.header("etag")), (304, true, Some(tag.as_str())));
    assert!(text(&front, "/v2/brands?country_code=DE").await.contains("n1"));
    // Nobody put a proxy in front: what only a proxy says is not believed, what a client may say is.
    let claimed = raw::request(&front.url, "GET", BRANDS, &[("cf-ipcountry", "FR")], b"").await;
    assert!(claimed.text().contains("n0"));
    let abroad = raw::request(&front.url, "GET", BRANDS, &[("x-country-iso-code", "FR")], b"").await;
    assert!(abroad.text().contains("n2"));
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_read_is_shown_while_the_shop_is_asked_again() {
    let shop = counting_shop().await;
    let front = Front::start(&shop.url).await;
    assert!(text(&front, BRANDS).await.contains("n0"));
    front.clock.advance(Span::seconds(29));
    assert!(text(&front, BRANDS).await.contains("n0"));
    assert_eq!(shop.seen().len(), 1);
    front.clock.advance(Span::seconds(2));
    let stale = get(&front.url, BRANDS).await;
    assert!(stale.text().contains("n0"));
    assert_eq!(stale.head.header("age"), Some("31"));
    assert_eq!(stale.head.header("cache-status"), Some("kiosk-gateway; hit; ttl=-1"));
    assert!(stale.head.header("warning").is_some_and(|warning| warning.starts_with("110 ")));
    // Asked behind that answer, with the shop's own tag.
    let asked_again = async {
        while !text(&front, BRANDS).await.contains("n1") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asked_again).await.expect("the shop is asked again");
    let seen = shop.seen();
    assert_eq!(seen.len(), 2);
    assert!(has_line(&seen[1], "if-none-match: \"shop-1\""), "{}", seen[1]);
    // Too old to be shown unasked.
    front.clock.advance(Span::seconds(61));
    assert!(text(&front, BRANDS).await.contains("n2"));
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_still_holds_is_not_sent_again_by_the_shop() {
    let count = AtomicUsize::new(0);
    let shop = Stub::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => brands("first"),
        _ => answer("304 Not Modified", HALF_A_MINUTE, ""),
    })
    .await;
    let front = Front::start(&shop.url).await;
    assert!(text(&front, BRANDS).await.contains("first"));
    front.clock.advance(Span::seconds(61));
    let renewed = get(&front.url, BRANDS).await;
    assert!(renewed.text().contains("first"));
    assert_eq!((renewed.head.header("age"), renewed.head.header("warning")), (Some("0"), None));
    assert_eq!(shop.seen().len(), 2);
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_away_still_has_a_catalogue() {
    let shop = counting_shop().await;
    let front = Front::start(&shop.url).await;
    let fresh = get(&front.url, BRANDS).await;
    shop.die().await;
    front.clock.advance(Span::hours(23));
    for _ in 0..2 {
        let stale = get(&front.url, BRANDS).await;
        assert_eq!((stale.head.status, stale.text()), (200, fresh.text()));
        assert!(stale.head.header("warning").is_some_and(|warning| warning.starts_with("110 ")));
        assert_eq!(stale.head.header("age"), Some("82800"));
    }
    // What nobody had asked for, and what is older than a day, is not there.
    front.clock.advance(Span::hours(2));
    for path in ["/v2/homepage?country_code=US", BRANDS] {
        let missing = raw::get(&front.url, path).await;
        missing.assert_error(502, "UPSTREAM_UNREACHABLE", path);
    }
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_shop_that_has_just_failed() {
    let count = AtomicUsize::new(0);
    let shop = Stub::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => brands("good"),
        1 => Reply::Whole(String::new()),
        _ => Reply::Silence,
    })
    .await;
    let front = Front::start(&shop.url).await;
    for _ in 0..3 {
        // A call to the shop may take ten seconds.
        let shown = timeout(Duration::from_secs(5), text(&front, BRANDS)).await;
        assert!(shown.expect("an answer at once").contains("good"));
        if shop.seen().len() == 1 {
            front.clock.advance(Span::hours(1));
        }
    }
    assert_eq!(shop.seen().len(), 2);
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_in_trouble_is_left_alone_for_a_while() {
    let count = AtomicUsize::new(0);
    let shop = Stub::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => brands("good"),
        1 => json("503 Service Unavailable", "", "{}"),
        _ => json("429 Too Many Requests", "retry-after: 7\r\n", "{}"),
    })
    .await;
    let front = Front::start(&shop.url).await;
    assert!(text(&front, BRANDS).await.contains("good"));
    // Each round is asked by many, at one moment.
    for (seconds, asked) in [(40, 2), (1, 2), (2, 3), (3, 3), (3, 3), (2, 4)] {
        front.clock.advance(Span::seconds(seconds));
        for _ in 0..10 {
            assert!(text(&front, BRANDS).await.contains("good"));
        }
        let landed = async {
            while front.gateway.open_questions() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, landed).await.expect("the shop has answered");
        assert_eq!(shop.seen().len(), asked, "after {seconds} more seconds");
    }
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_never_fresh_is_not_asked_for_by_each_visit() {
    let shop = Stub::start(|_| json("200 OK", "cache-control: max-age=0\r\nage: 3\r\n", "{}")).await;
    let front = Front::start(&shop.url).await;
    for _ in 0..20 {
        let shown = get(&front.url, BRANDS).await;
        assert_eq!(
            (shown.head.header("age"), shown.head.header("cache-control")),
            (Some("3"), Some("public, max-age=0"))
        );
    }
    assert_eq!(shop.seen().len(), 1);
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_above_his_limit_still_sees_what_is_kept() {
    let count = AtomicUsize::new(0);
    let shop = Stub::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => brands("good"),
        _ => Reply::Silence,
    })
    .await;
    let up = RateLimit { per_second: 0, burst: 2 };
    let mut setting = Setting { up, ..Setting::default() };
    setting.patience.if_kept = Duration::from_millis(50);
    let front = Front::with(&shop.url, setting).await;
    assert!(text(&front, BRANDS).await.contains("good"));
    for _ in 0..3 {
        front.clock.advance(Span::minutes(10));
        let stale = get(&front.url, BRANDS).await;
        assert!(stale.text().contains("good") && stale.head.header("warning").is_some());
    }
    raw::get(&front.url, "/v3/currencies").await.assert_error(429, "TOO_MANY_REQUESTS", "nothing is kept of that");
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_long_for_a_shop_that_says_nothing() {
    let count = AtomicUsize::new(0);
    let shop = Stub::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => brands("good"),
        _ => Reply::Silence,
    })
    .await;
    let mut setting = Setting::default();
    setting.patience.if_kept = Duration::from_millis(50);
    let front = Front::with(&shop.url, setting).await;
    assert!(text(&front, BRANDS).await.contains("good"));
    for _ in 0..2 {
        front.clock.advance(Span::hours(1));
        let shown = timeout(Duration::from_secs(5), text(&front, BRANDS)).await;
        assert!(shown.expect("an answer soon").contains("good"));
    }
    // The question of the first is still on its way: the second asked the same, and had nothing to wait for.
    assert_eq!((shop.seen().len(), front.gateway.open_questions()), (2, 1));
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_refuses_to_name_a_price_is_not_overruled() {
    let count = AtomicUsize::new(0);
    let shop = Stub::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0..3 => json("200 OK", HALF_A_MINUTE, r#"{"price":"10.15"}"#),
        _ => json("503 Service Unavailable", "", r#"{"detail":"RATE_UNAVAILABLE"}"#),
    })
    .await;
    let front = Front::start(&shop.url).await;
    let price = "/v4/products/price?brand_name=Airbnb&country_code=US&face_value=50&coin=USDC";
    let priced = [price, "/v5/products/country/US?family_name=airbnb", "/v2/search/US?q=air"];
    for path in priced {
        assert!(text(&front, path).await.contains("10.15"));
    }
    front.clock.advance(Span::minutes(10));
    for path in priced.into_iter().chain(priced) {
        let refused = raw::get(&front.url, path).await;
        assert_eq!((refused.status, refused.json()["detail"].as_str()), (503, Some("RATE_UNAVAILABLE")), "{path}");
    }
    shop.die().await;
    raw::get(&front.url, price).await.assert_error(502, "UPSTREAM_UNREACHABLE", "a price of a shop that is away");
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_only_busy_is_overruled_also_where_it_names_prices() {
    let count = AtomicUsize::new(0);
    let shop = Stub::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => json("200 OK", HALF_A_MINUTE, r#"["good"]"#),
        1 => json("429 Too Many Requests", "retry-after: 7\r\n", r#"{"detail":"TOO_MANY_REQUESTS"}"#),
        _ => json("503 Service Unavailable", "", r#"{"detail":"BUSY"}"#),
    })
    .await;
    let front = Front::start(&shop.url).await;
    for (minutes, asked) in [(0, 1), (10, 2), (0, 2), (10, 3), (10, 4)] {
        front.clock.advance(Span::minutes(minutes));
        assert!(text(&front, "/v5/products/country/US?brand_name=Airbnb").await.contains("good"));
        assert_eq!(shop.seen().len(), asked);
    }
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_shop_says_of_keeping_holds_also_when_it_says_it_later() {
    let count = AtomicUsize::new(0);
    let shop = Stub::start(move |path| match (path, count.fetch_add(1, Ordering::SeqCst)) {
        ("/v3/currencies", _) => json("200 OK", "cache-control: max-age=0, must-revalidate\r\n", "[]"),
        (_, 0) => brands("first"),
        (_, 1) => answer("304 Not Modified", "cache-control: max-age=5\r\n", ""),
        (_, 2) => answer("304 Not Modified", "cache-control: private\r\n", ""),
        _ => json("404 Not Found", "", r#"{"detail":"NOT_FOUND"}"#),
    })
    .await;
    let front = Front::start(&shop.url).await;
    assert!(text(&front, BRANDS).await.contains("first"));
    front.clock.advance(Span::minutes(10));
    let renewed = get(&front.url, BRANDS).await;
    assert_eq!(renewed.head.header("cache-control"), Some("public, max-age=5"));
    let vary = renewed.head.header("vary").unwrap_or_default();
    assert_eq!(vary, "Accept-Encoding, Authorization, X-Country-ISO-Code, cf-ipcountry");
    front.clock.advance(Span::minutes(10));
    let withdrawn = get(&front.url, BRANDS).await;
    assert_eq!(withdrawn.head.header("cache-control"), Some("no-store"));
    assert!(withdrawn.text().contains("first"), "it is still the answer of this once");
    // It is kept no longer: the next answer is the shop's, whatever it is.
    assert_eq!(get(&front.url, BRANDS).await.head.status, 404);
    assert!(shop.seen().pop().is_some_and(|request| !request.contains("if-none-match")));
    for _ in 0..2 {
        assert_eq!(text(&front, "/v3/currencies").await, "[]");
    }
    assert_eq!(shop.seen().len(), 6);
    shop.die().await;
    assert_eq!(get(&front.url, "/v3/currencies").await.head.status, 502, "the shop forbids to show it stale");
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_shop_do_not_push_out_what_is_kept_and_are_not_kept() {
    let count = AtomicUsize::new(0);
    let shop = Stub::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => json("400 Bad Request", "retry-after: 7\r\nset-cookie: a=b\r\n", r#"{"detail":"BAD_REQUEST"}"#),
        1 => brands("good"),
        2 => json("503 Service Unavailable", "", "{}"),
        3 => answer("200 OK", "content-type: text/html\r\n", "<h1>Maintenance</h1>"),
        _ => json("429 Too Many Requests", "", "{}"),
    })
    .await;
    let front = Front::start(&shop.url).await;
    let refused = raw::get(&front.url, BRANDS).await;
    assert_eq!((refused.status, refused.header("retry-after"), refused.header("set-cookie")), (400, Some("7"), None));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert!(text(&front, BRANDS).await.contains("good"));
    for _ in 0..3 {
        front.clock.advance(Span::minutes(10));
        let stale = get(&front.url, BRANDS).await;
        assert!(stale.head.status == 200 && stale.text().contains("good") && stale.head.header("warning").is_some());
    }
    assert_eq!(shop.seen().len(), 5);
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_shop_wants_kept_nowhere_and_what_a_customer_asks_goes_up_each_time() {
    let shop = Stub::start(|path| match path {
        "/v2/homepage?country_code=US" => json("200 OK", "cache-control: private\r\n", "{}"),
        "/v2/homepage?country_code=DE" => json("200 OK", "vary: accept, x-forwarded-for\r\n", "{}"),
        _ => json("200 OK", &format!("{HALF_A_MINUTE}x-ratelimit-remaining: 3\r\nset-cookie: a=b\r\n"), "{}"),
    })
    .await;
    let front = Front::start(&shop.url).await;
    for country in ["US", "US", "DE", "DE"] {
        let private = get(&front.url, &format!("/v2/homepage?country_code={country}")).await;
        assert_eq!(private.head.header("cache-control"), Some("no-store"));
    }
    assert_eq!(shop.seen().len(), 4);
    // What one caller is told of his limits is not kept for others.
    let kept = get(&front.url, BRANDS).await;
    assert_eq!((kept.head.header("x-ratelimit-remaining"), kept.head.header("set-cookie")), (None, None));
    for _ in 0..2 {
        let own = [("authorization", "Bearer customer-token")];
        assert_eq!(raw::request(&front.url, "GET", BRANDS, &own, b"").await.header("cache-control"), Some("no-store"));
    }
    let seen = shop.seen();
    assert_eq!(seen.len(), 7);
    assert!(has_line(&seen[6], "authorization: Bearer customer-token"));
    front.close().await;
}
