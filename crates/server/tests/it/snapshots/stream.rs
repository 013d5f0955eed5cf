//! A whole order over its stream, word for word: which messages come, under which ids, and how it ends.
//!
//! States may coalesce in a stream, so this test takes the workers by the hand: it lets one commit happen and reads its
//! message before it allows the next.

use super::facts::{assert_absent, text};
use super::orders::{order_for, pay, place};
use super::wire::{Live, order_of};
use super::{Door, head, keep_text, success};
use crate::harness::Shop;
use api::sse::{Event, Parser};
use serde_json::Value;
use server::workers::{advance, credit, watch};

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_order_over_its_stream() {
    let mut shop = Shop::open().await;
    let door = Door::of(&shop);
    let order = place(&door, &order_for(None, "Airbnb", "100 USD", "Solana"));
    let path = format!("/v5/orders/{}/subscribe", text(&order, "/order_id"));
    let mut live = open(&door, &path, &[]);
    let mut messages = vec![next(&mut live)];
    success(&pay(&door, &order, "0.5"));
    credit_payment(&shop).await;
    messages.push(next(&mut live));
    success(&pay(&door, &order, "0.5"));
    credit_payment(&shop).await;
    messages.push(next(&mut live));
    advance::run_own(&shop.kiosk.engine, now(&shop)).await.expect("a code is taken");
    messages.push(next(&mut live));
    messages.push(next(&mut live));
    assert_ended(live);
    assert_messages(&messages);
    keep_text("stream", &transcript(&open(&door, &path, &[]), &messages));
    over_already(&door, text(&order, "/order_id"));
    shop.pump().await;
    shop.close().await;
}

/// An order that is over: its state once more, then the end; and the end alone for who has that state already.
fn over_already(door: &Door, id: &str) {
    let mut late = open(door, &format!("/v5/orders/{id}/subscribe"), &[]);
    let messages = [next(&mut late), next(&mut late)];
    assert_eq!(states(&messages[0]), ("Done".to_owned(), "PaymentReceived".to_owned()));
    assert_eq!(parsed(&messages[1]).name, "stop");
    keep_text("stream_of_an_order_that_is_over", &transcript(&late, &messages));
    assert_ended(late);

    // The path for pages of our own origin, with the headers of the proxy route (contract 4.5).
    let mut known = open(door, &format!("/api/orders/{id}/subscribe"), &[("last-event-id", "5")]);
    assert_eq!(known.head.header("connection"), Some("keep-alive"));
    let messages = [next(&mut known)];
    assert_eq!(parsed(&messages[0]).name, "stop", "a version that the client has is not sent again");
    keep_text("stream_of_an_order_that_is_known", &transcript(&known, &messages));
    assert_ended(known);
}

fn open(door: &Door, path: &str, headers: &[(&str, &str)]) -> Live {
    let live = Live::open(&door.address, path, headers).expect("a stream");
    assert_eq!(live.head.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(live.head.header("x-accel-buffering"), Some("no"));
    // Both together are forbidden (RFC 9112 section 6.2), and strict clients and proxies drop such an answer.
    assert_eq!(live.head.header("content-length"), None, "a chunked answer has no length");
    live
}

fn next(live: &mut Live) -> String {
    live.next_message().expect("the stream goes on").expect("the stream has not ended")
}

fn assert_ended(mut live: Live) {
    assert_eq!(live.next_message().expect("an end that is told"), None, "nothing comes after stop");
}

fn now(shop: &Shop) -> domain::time::Time {
    shop.kiosk.engine.clock.now()
}

/// One payment, from the chain to the order, in one commit of the order.
async fn credit_payment(shop: &Shop) {
    let engine = &shop.kiosk.engine;
    watch::run_once(engine, &shop.outside.networks, now(shop)).await.expect("the chain is scanned");
    let mut put_off = credit::PutOff::default();
    credit::run_once(engine, &mut put_off, now(shop)).await.expect("the payment is credited");
}

/// Ids are versions and count the events of the order: placed; a payment; another payment and the settlement; the
/// delivery.
fn assert_messages(messages: &[String]) {
    let events: Vec<Event> = messages.iter().map(|message| parsed(message)).collect();
    let ids: Vec<Option<&str>> = events.iter().map(|event| event.id.as_deref()).collect();
    assert_eq!(ids, [Some("1"), Some("2"), Some("4"), Some("5"), None]);
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["message", "message", "message", "message", "stop"]);
    assert_eq!(events[4].data, "{}");
    let words: Vec<(String, String)> = messages[..4].iter().map(|message| states(message)).collect();
    let expected = [
        ("WaitingForPayment", "WalletCreated"),
        ("PartialPaymentStarted", "PaymentRequested"),
        ("PaymentReceived", "PaymentReceived"),
        ("Done", "PaymentReceived"),
    ];
    let expected = expected.map(|(order, payment)| (order.to_owned(), payment.to_owned()));
    assert_eq!(words, expected);
    for message in &messages[..3] {
        let order = order_of(message).expect("an order");
        assert_absent(&order, "/deliveries/0/deliverable", &["pin_code", "pin_serial"]);
    }
    let last = order_of(&messages[3]).expect("an order");
    assert!(!text(&last, "/deliveries/0/deliverable/pin_code").is_empty(), "the last message carries the code");
}

/// The one event of a message, as a client's parser reads it.
fn parsed(message: &str) -> Event {
    let mut parser = Parser::new();
    parser.feed(message.as_bytes());
    let event = parser.next_event().expect("a message is one event").expect("it is small");
    assert!(parser.next_event().is_none(), "one message, one event");
    event
}

fn states(message: &str) -> (String, String) {
    let order = order_of(message).expect("the message carries an order");
    super::facts::assert_types(&order);
    (text(&order, "/order_state").to_owned(), text(&order, "/payment_state").to_owned())
}

/// The stream as it stands on the wire, with each order cut down to its words.
fn transcript(live: &Live, messages: &[String]) -> String {
    let cut_down = |message: &String| match order_of(message) {
        Some(order) => {
            let lines =
                message.lines().map(|line| if line.starts_with("data: ") { summary(&order) } else { line.into() });
            lines.collect::<Vec<String>>().join("\n") + "\n"
        }
        None => message.clone(),
    };
    let messages: Vec<String> = messages.iter().map(cut_down).collect();
    format!("{}\n{}", head(&live.head), messages.concat())
}

fn summary(order: &Value) -> String {
    let delivery = &order["deliveries"][0];
    let code = if delivery["deliverable"]["pin_code"].is_string() { "[code]" } else { "no code" };
    let words = ["/order_state", "/payment_state", "/sent_coin_amount"].map(|pointer| text(order, pointer));
    format!("data: {} / {} / sent {} / {} / {code}", words[0], words[1], words[2], text(delivery, "/delivery_state"))
}
