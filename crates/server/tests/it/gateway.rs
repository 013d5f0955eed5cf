//! Stories of the gateway (contract 4.5, the partner's proxy route): what goes up, what comes down, what is shared, and
//! what a shop may do to it.

mod calls;
mod faults;
mod reads;
mod stub;

use crate::http::{Live, Message, PATIENCE, get};
use crate::raw;
use std::time::Duration;
use stub::{Front, PARTNER, Reply, Setting, Stub, answer, json, snapshot, stream};
use tokio::time::timeout;

const ID: &str = "3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411";
const STOP: &str = "event: stop\ndata: {}\n\n";

fn stream_path(id: &str) -> String {
    format!("/v5/orders/{id}/subscribe")
}

fn has_line(request: &str, line: &str) -> bool {
    request.lines().any(|known| known.eq_ignore_ascii_case(line))
}

/// Waits until no stream to the shop is left in the gateway.
async fn no_feeds(front: &Front) {
    let emptied = async {
        while front.gateway.open_feeds() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, emptied).await.expect("the feeds are closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_paths_are_the_proxy_route_of_the_contract() {
    let shop = Stub::start(|_| Reply::Open(stream(&snapshot(1)))).await;
    let proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    let front = Front::with(&shop.url, Setting { proxies, ..Setting::default() }).await;
    for path in [stream_path(ID), format!("/api/orders/{ID}/subscribe")] {
        let mut live = Live::open(&front.url, &path, "CF-IPCountry: de\r\nX-Cr-Application: me\r\n").await;
        assert_eq!(live.head.status, 200, "{path}");
        for (name, value) in [
            ("content-type", Some("text/event-stream")),
            ("cache-control", Some("no-cache, no-transform")),
            ("connection", Some("keep-alive")),
            ("x-accel-buffering", Some("no")),
            ("transfer-encoding", Some("chunked")),
            ("content-length", None),
        ] {
            assert_eq!(live.head.header(name), value, "{path}: {name}");
        }
        assert_eq!(live.next().await.and_then(|message| message.id), Some(1));
        drop(live);
        no_feeds(&front).await;
    }
    let seen = shop.seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!(request.lines().next(), Some(format!("GET /v5/orders/{ID}/subscribe HTTP/1.1").as_str()));
        for line in [
            format!("x-cr-application: {PARTNER}"),
            "x-cr-version: 4.2.0".to_owned(),
            "user-agent: partner-site/1".to_owned(),
            "accept: text/event-stream".to_owned(),
            "connection: keep-alive".to_owned(),
            "x-forwarded-for: 127.0.0.1".to_owned(),
            "x-country-iso-code: DE".to_owned(),
        ] {
            assert!(has_line(&request, &line), "{line} is missing in {request}");
        }
        assert!(!request.contains("authorization") && !request.contains("x-cr-application: me"), "{request}");
    }
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_stream_is_told_as_the_contract_says() {
    let shop = Stub::start(|path| match path.split('/').nth(3).unwrap_or_default() {
        "gone" => json("404 Not Found", "", r#"{"detail":"NOT_FOUND"}"#),
        "busy" => json("503 Service Unavailable", "", "{}"),
        "elsewhere" => answer("302 Found", "location: /v5/orders/other/subscribe\r\n", ""),
        "empty" => Reply::Whole("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned()),
        "page" => answer("200 OK", "content-type: text/html\r\n", "<h1>Maintenance</h1>"),
        "packed" => answer("200 OK", "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n", "x"),
        "nonsense" => Reply::Whole("220 smtp.example ESMTP\r\n".to_owned()),
        _ => Reply::Silence,
    })
    .await;
    let front = Front::start(&shop.url).await;
    let mut setting = Setting::default();
    setting.patience.head = Duration::from_millis(50);
    let hasty = Front::with(&shop.url, setting).await;
    let (refused, cut) = ("Upstream returned an error", "Failed to connect to upstream stream");
    for (id, status, error) in [
        ("gone", 404, refused),
        ("busy", 503, refused),
        ("elsewhere", 502, refused),
        ("empty", 502, refused),
        ("page", 502, refused),
        ("packed", 502, refused),
        ("nonsense", 502, cut),
        ("silent", 502, cut),
    ] {
        let front = if id == "silent" { &hasty } else { &front };
        let answer = get(&front.url, &stream_path(id)).await;
        assert_eq!(answer.head.status, status, "{id}");
        assert_eq!(answer.json(), serde_json::json!({ "error": error }), "{id}");
    }
    assert_eq!(shop.seen().len(), 8, "the redirect was not followed, nothing was asked twice");
    shop.die().await;
    let answer = get(&front.url, &stream_path(ID)).await;
    assert_eq!((answer.head.status, answer.text()), (502, format!("{{\"error\":\"{cut}\"}}")));
    no_feeds(&front).await;
    front.close().await;
    hasty.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_as_they_came() {
    let sent = "\u{feff}: hello\r\n\r\nid: 1\r\ndata: {\"price\":\r\ndata: \"5 €\"}\r\n\r\nretry: 7\rdata: x\r\r";
    let shop = Stub::start(move |_| Reply::Whole(stream(sent))).await;
    let front = Front::start(&shop.url).await;
    assert_eq!(get(&front.url, &stream_path(ID)).await.text(), sent);
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_of_one_order_share_one_stream_and_each_begins_with_the_newest() {
    let shop = Stub::start(|_| Reply::Open(stream(&snapshot(1)))).await;
    let front = Front::start(&shop.url).await;
    let mut first = Live::open(&front.url, &stream_path(ID), "").await;
    assert_eq!(first.next().await.and_then(|message| message.id), Some(1));
    shop.send(snapshot(2).as_bytes());
    assert_eq!(first.next().await.and_then(|message| message.id), Some(2));
    // Comments, events of another name and messages that are no order are nothing to begin with.
    shop.send(b": ping\n\nevent: note\ndata: {}\n\ndata: {}\n\ndata: ping\n\n");
    for expected in ["note", "message", "message"] {
        assert_eq!(first.next().await.map(|message| message.event), Some(expected.to_owned()));
    }
    let mut second = Live::open(&front.url, &stream_path(ID), "").await;
    assert_eq!(second.next().await.and_then(|message| message.id), Some(2));
    shop.send([snapshot(3), STOP.to_owned()].concat().as_bytes());
    for live in [&mut first, &mut second] {
        assert_eq!(live.next().await.and_then(|message| message.id), Some(3));
        assert_eq!(live.next().await, Some(Message::stop()));
    }
    assert_eq!(shop.seen().len(), 1);
    // The shop has said `stop` and leaves its connection open: nobody waits for more.
    for live in [&mut first, &mut second] {
        // Long before silence alone would end it.
        let rest = timeout(Duration::from_secs(15), live.rest()).await;
        assert_eq!(rest.expect("the stream is ended"), []);
    }
    no_feeds(&front).await;
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_with_a_token_has_a_stream_of_his_own() {
    let shop = Stub::start(|_| Reply::Open(stream(&snapshot(1)))).await;
    let front = Front::start(&shop.url).await;
    let first = Live::open(&front.url, &stream_path(ID), "").await;
    let other = Live::open(&front.url, &stream_path("other"), "").await;
    let own = Live::open(&front.url, &stream_path(ID), "Authorization: Bearer customer-token\r\n").await;
    shop.open_streams(3).await;
    let seen = shop.seen();
    assert!(has_line(&seen[2], "authorization: Bearer customer-token"), "{}", seen[2]);
    assert!(!seen[1].to_lowercase().contains("authorization"), "{}", seen[1]);
    // The shop's end is everybody's end.
    shop.cut();
    for mut live in [first, other, own] {
        live.rest().await;
    }
    no_feeds(&front).await;
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_closes_with_its_last_viewer_and_not_before() {
    let shop = Stub::start(|_| Reply::Open(stream(&snapshot(1)))).await;
    let front = Front::start(&shop.url).await;
    let mut viewers = Vec::new();
    for _ in 0..3 {
        let mut live = Live::open(&front.url, &stream_path(ID), "").await;
        assert!(live.next().await.is_some());
        viewers.push(live);
    }
    let own = Live::open(&front.url, &stream_path(ID), "Authorization: Bearer customer-token\r\n").await;
    shop.open_streams(2).await;
    drop(own);
    shop.open_streams(1).await;
    let mut last = viewers.pop().expect("three were opened");
    drop(viewers);
    shop.send(snapshot(2).as_bytes());
    assert_eq!(last.next().await.and_then(|message| message.id), Some(2));
    drop(last);
    shop.open_streams(0).await;
    no_feeds(&front).await;
    // Within a second, as the product is set up.
    assert!(server::http::gateway::feeds::Patience::default().viewer < Duration::from_secs(1));
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_a_body_opens_no_stream_for_long() {
    let shop = Stub::start(|_| Reply::Open(stream(&snapshot(1)))).await;
    let front = Front::start(&shop.url).await;
    let head = raw::request(&front.url, "HEAD", &stream_path(ID), &[], b"").await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    shop.open_streams(0).await;
    no_feeds(&front).await;
    front.close().await;
}
