//! Stories of following an order live (contract 4.5): one snapshot, then newer versions only, `stop` when nothing can
//! change by itself any more; on both paths, for clients of HTTP/1.1 and 1.0.
//!
//! That a client that never reads is dropped has no story here: the server waits ten real seconds before it gives such
//! a client up, and how much the kernel takes in before that differs between machines.

use crate::harness::Shop;
use crate::http::{Live, Message, PATIENCE, Wanted, get, pay, place, row, show_raw};
use api::{Order, OrderState, Tracking};
use domain::time::Span;
use tokio::time::timeout;

const CARD: Wanted<'static> = ("Airbnb", "100 USD", "ann@example.com");
/// Delivered by the second lookup; lookups are a second apart.
const LATER: Wanted<'static> = ("Apple", "25 USD", "pending.ann@example.com");

/// The two paths of an order's stream.
fn paths(order: &Order) -> [String; 2] {
    ["v5", "api"].map(|door| format!("/{door}/orders/{}/subscribe", order.order_id))
}

/// The words of an order's state, in the order in which an order may move through them.
const WORDS: [&str; 8] = [
    "WaitingForPayment",
    "PaymentStarted",
    "PartialPaymentStarted",
    "Expired",
    "PaymentReceived",
    "WaitingForDelivery",
    "WaitingForManualAction",
    "Done",
];

/// How far the order in a message has come.
fn rank(message: &Message) -> usize {
    let order = message.order();
    WORDS.iter().position(|word| order["order_state"] == *word).expect("a word of the contract")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_a_snapshot_then_newer_versions_then_stop() {
    let mut shop = Shop::open().await;
    let order = place(&shop, "ann@example.com", &[LATER]).await;
    let [path, _] = paths(&order);
    let mut live = Live::open(&shop.url, &path, "").await;
    let mut messages = live.until(1).await;
    assert_eq!(messages.len(), 1, "one snapshot");
    let half = r#"{"factor": "0.5"}"#;
    for how in [Some(half), Some(half), None, None] {
        match how {
            Some(how) => {
                pay(&shop, &order, how).await;
                shop.pump().await;
            }
            None => shop.after(Span::seconds(1)).await,
        }
        // Versions in between may be passed over; the newest one always comes.
        messages.extend(live.until(row(&shop, &order).await.version).await);
    }
    assert_eq!(live.rest().await, [Message::stop()]);

    let ids: Vec<i64> = messages.iter().map(|message| message.id.expect("each has its version")).collect();
    assert!(ids.is_sorted_by(|earlier, later| earlier < later), "{ids:?}");
    assert!(messages.is_sorted_by_key(rank), "a state moved back");
    let last = messages.pop().expect("there are messages");
    assert!(messages.iter().all(|message| !message.data.contains("pin_code")), "a code before Done");
    assert_eq!(last.order(), show_raw(&shop, &order).await, "the last one is what GET shows");
    assert!(last.order()["deliveries"][0]["deliverable"]["pin_code"].is_string());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_paths_send_the_heads_of_the_contract() {
    let shop = Shop::open().await;
    let order = place(&shop, "ann@example.com", &[CARD]).await;
    let expected = [
        ("content-type", Some("text/event-stream")),
        ("cache-control", Some("no-cache, no-transform")),
        ("x-accel-buffering", Some("no")),
        ("transfer-encoding", Some("chunked")),
        // Beside chunks a length is an error to a strict proxy.
        ("content-length", None),
    ];
    let [own, for_pages] = paths(&order);
    for path in [&own, &for_pages] {
        let mut live = Live::open(&shop.url, path, "").await;
        assert_eq!(live.head.status, 200);
        for (name, value) in expected {
            assert_eq!(live.head.header(name), value, "{name}");
        }
        assert_eq!(live.next().await.and_then(|message| message.id), Some(1));
    }
    // The proxy route's own header (contract 4.5).
    let live = Live::open(&shop.url, &for_pages, "").await;
    assert_eq!(live.head.header("connection"), Some("keep-alive"));

    for unknown in ["3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411", "1001", "%00"] {
        for door in ["v5", "api"] {
            let answer = get(&shop.url, &format!("/{door}/orders/{unknown}/subscribe")).await;
            let shown = (answer.head.status, answer.json()["status"].as_u64());
            assert_eq!(shown, (404, Some(404)), "{door} {unknown}");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_id_suppresses_only_a_snapshot_that_the_client_has() {
    let mut shop = Shop::open().await;
    let order = place(&shop, "ann@example.com", &[CARD]).await;
    let [path, _] = paths(&order);
    let mut known = Live::open(&shop.url, &path, "Last-Event-ID: 1\r\n").await;
    let mut older = Live::open(&shop.url, &path, "Last-Event-ID: 0\r\n").await;
    assert_eq!(older.next().await.and_then(|message| message.id), Some(1));
    pay(&shop, &order, "{}").await;
    shop.pump().await;
    let first = known.next().await.expect("the order went on");
    assert!(first.id > Some(1), "the snapshot came although its version was named");

    // Nothing changes any more: a stream that is opened now ends by itself.
    let newest = row(&shop, &order).await.version;
    let lines = [
        (String::new(), true),
        ("Last-Event-ID: 1\r\n".to_owned(), true),
        (format!("Last-Event-ID: {}\r\n", newest - 1), true),
        (format!("Last-Event-ID: {newest}\r\n"), false),
        ("Last-Event-ID: the third\r\n".to_owned(), true),
    ];
    let shown = show_raw(&shop, &order).await;
    for path in paths(&order) {
        for (more, has_snapshot) in &lines {
            let mut messages = Live::open(&shop.url, &path, more).await.rest().await;
            assert_eq!(messages.pop(), Some(Message::stop()), "{more}");
            let snapshot: Vec<(Option<i64>, bool)> =
                messages.iter().map(|message| (message.id, message.order() == shown)).collect();
            let expected = if *has_snapshot { vec![(Some(newest), true)] } else { Vec::new() };
            assert_eq!(snapshot, expected, "{more}");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_reads_until_the_connection_is_closed() {
    let mut shop = Shop::open().await;
    let order = place(&shop, "ann@example.com", &[CARD]).await;
    for path in paths(&order) {
        let mut live = Live::send(&shop.url, &format!("GET {path} HTTP/1.0\r\nHost: shop.test\r\n\r\n")).await;
        assert_eq!(live.head.status, 200);
        assert_eq!(live.head.header("content-type"), Some("text/event-stream"));
        for without in ["transfer-encoding", "content-length"] {
            assert_eq!(live.head.header(without), None, "{without} would end or frame a body that has neither");
        }
        let snapshot = live.next().await.expect("a snapshot");
        if row(&shop, &order).await.version == 1 {
            assert_eq!(snapshot.id, Some(1));
            pay(&shop, &order, "{}").await;
            shop.pump().await;
        }
        let rest = live.rest().await;
        assert_eq!(rest.last(), Some(&Message::stop()));
        let last = rest.iter().rev().nth(1).unwrap_or(&snapshot);
        assert_eq!(last.order(), show_raw(&shop, &order).await);
    }
    shop.close().await;
}

/// The next order that a follower is told of; none after `stop`.
async fn next(tracking: &mut Tracking) -> Option<Order> {
    let told = timeout(PATIENCE, tracking.next()).await.expect("something comes in time");
    told.map(|told| told.expect("each message is an order"))
}

async fn next_state(tracking: &mut Tracking) -> Option<OrderState> {
    next(tracking).await.map(|order| order.order_state)
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_comes_when_nothing_can_change_by_itself_and_not_with_expiry() {
    let mut shop = Shop::open().await;
    let (unpaid, late) =
        (place(&shop, "ann@example.com", &[CARD]).await, place(&shop, "bea@example.com", &[CARD]).await);
    let mut unpaid_stream = shop.client.subscribe(&unpaid.order_id);
    let mut late_stream = shop.client.subscribe(&late.order_id);
    for stream in [&mut unpaid_stream, &mut late_stream] {
        assert_eq!(next_state(stream).await, Some(OrderState::WaitingForPayment));
    }
    shop.after(Span::minutes(31)).await;
    for stream in [&mut unpaid_stream, &mut late_stream] {
        assert_eq!(next_state(stream).await, Some(OrderState::Expired));
    }

    // Expired is no end: a late payment comes through the same stream, and its code is in the last message.
    pay(&shop, &late, r#"{"late": "20m"}"#).await;
    shop.pump().await;
    let mut last = None;
    while let Some(order) = next(&mut late_stream).await {
        last = Some(order);
    }
    let last = last.expect("the payment was told");
    assert_eq!(last.order_state, OrderState::Done);
    assert!(last.deliveries[0].deliverable.pin_code.is_some());

    // The late window: a minute of grace and half an hour. Its end is a version of its own, and the last one.
    shop.after(Span::minutes(31)).await;
    assert_eq!(next_state(&mut unpaid_stream).await, Some(OrderState::Expired));
    assert_eq!(next_state(&mut unpaid_stream).await, None);
    let mut again = shop.client.subscribe(&unpaid.order_id);
    assert_eq!(next_state(&mut again).await, Some(OrderState::Expired));
    assert_eq!(next_state(&mut again).await, None);
    shop.close().await;
}
