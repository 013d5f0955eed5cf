//! What is told outside: notifications (contract 7) and the WebSocket (contract 10).

use super::account::Merchant;
use super::{Office, PAYOUT_ADDRESS, Placed};
use crate::harness::START;
use crate::receiver::Receiver;
use domain::time::Span;
use futures_util::StreamExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const SECRET: &str = "ipn-secret-1";
/// Nothing in a test takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The statuses that somebody was told.
fn statuses(receiver: &Receiver) -> Vec<String> {
    receiver.heard().iter().map(|heard| heard.form()["newStatus"].clone()).collect()
}

fn notified(office: &Office, receiver: &Receiver) -> Placed {
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["ipnUrl"] = json!(receiver.url);
    wanted["ipnSecret"] = json!(SECRET);
    office.create(&wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_told_once_in_order_and_signed_although_the_receiver_fails() {
    let mut office = Office::open().await;
    let receiver = Receiver::answering("500 Broken");
    let placed = notified(&office, &receiver);
    office.shop.pump().await;
    assert_eq!(statuses(&receiver), Vec::<String>::new(), "none for the creation");
    office.set(&placed, "waitPayment");
    office.set(&placed, "waitPayment");
    office.shop.pump().await;
    office.pay(&placed, "{}").await;
    office.shop.after(Span::hours(1)).await;
    assert_eq!(statuses(&receiver), ["waitPayment", "inProgress", "inProgressPayout", "done"]);
    for heard in receiver.heard() {
        let form = heard.form();
        let field = |name: &str| form[name].as_str();
        let signed = [
            field("orderId"),
            field("newStatus"),
            field("inAmount"),
            field("outAmount"),
            field("xml_from"),
            field("xml_to"),
            field("timestamp"),
            SECRET,
        ]
        .join(":");
        let hash: String = Sha256::digest(signed).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((field("hash"), heard.headers["hash"].as_str()), (hash.as_str(), hash.as_str()));
        assert_eq!((field("orderId"), field("orderUID")), (placed.id.as_str(), placed.uid.to_string().as_str()));
        assert_eq!((field("inAmount"), field("outAmount")), ("100", "98.5"));
        // Trap 17: milliseconds. The clock stands still while the order is paid.
        assert_eq!(field("timestamp"), "1795174500000");
        assert_eq!(field("toValues[0][value]"), PAYOUT_ADDRESS);
        assert_eq!(heard.headers["content-type"], "application/x-www-form-urlencoded");
        // Standard Webhooks beside it.
        assert!(heard.headers["webhook-id"].starts_with("evt_"));
        assert_eq!(heard.headers["webhook-timestamp"], "1795174500");
        assert!(heard.headers["webhook-signature"].starts_with("v1,"));
    }
    office.shop.close().await;
}

/// A merchant's own choice for a key (`kiosk account key add --ipn-retries`); everybody else is told once.
#[tokio::test(flavor = "multi_thread")]
async fn orders_of_a_key_that_asks_for_it_are_told_again_in_order_until_somebody_takes_it() {
    let mut office = Office::open().await;
    let receiver = Receiver::answering("500 Broken");
    let merchant = Merchant::with_retries(&office, "one").await;
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["ipnUrl"] = json!(receiver.url);
    wanted["ipnSecret"] = json!(SECRET);
    let created = merchant.call(&office, "public/exchanger/order/create", &wanted)["data"].take();
    let placed = Placed::of(created);
    office.set(&placed, "waitPayment");
    office.shop.pump().await;
    let first = receiver.news();
    assert_eq!(first[0].form()["newStatus"], "waitPayment");
    // What happens meanwhile waits behind it.
    office.pay(&placed, "{}").await;
    assert_eq!(receiver.news().len(), 0, "not before five seconds");
    office.shop.after(Span::seconds(6)).await;
    let second = receiver.news();
    assert_eq!((second.len(), &second[0].body), (1, &first[0].body));
    assert_eq!(second[0].headers["webhook-id"], first[0].headers["webhook-id"]);
    receiver.turn("200 OK");
    office.shop.after(Span::seconds(72)).await;
    assert_eq!(statuses(&receiver), ["waitPayment", "inProgress", "inProgressPayout", "done"]);
    office.shop.after(Span::hours(24)).await;
    assert_eq!(receiver.heard().len(), 4, "what was taken is not told again");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_receiver_is_told_to_the_merchant_all_the_same() {
    let mut office = Office::open().await;
    let receiver = Receiver::answering("200 OK");
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["ipnUrl"] = json!(receiver.url);
    wanted["hideOutData"] = json!(true);
    let placed = office.create(&wanted);
    office.set(&placed, "waitPayment");
    office.shop.pump().await;
    let heard = receiver.heard();
    assert_eq!(heard[0].form()["toValues[0][value]"], PAYOUT_ADDRESS);
    // Without a secret the signed text ends with a colon, and Standard Webhooks has nothing to sign with.
    assert!(!heard[0].headers.contains_key("webhook-signature"));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_twice_by_two_processes() {
    let mut office = Office::open().await;
    let receiver = Receiver::answering("200 OK");
    let placed = notified(&office, &receiver);
    office.set(&placed, "waitPayment");
    let engine = &office.shop.kiosk.engine;
    let due =
        engine.db.read(|tx| server::store::deliveries::due(tx, &[], &[], START, START, 10)).await.expect("a read");
    let seqs: Vec<i64> = due.iter().map(|planned| planned.seq).collect();
    let take = || {
        let due = due.clone();
        engine.write(move |tx| server::store::deliveries::take(tx, &due, START, START))
    };
    assert_eq!(take().await.expect("taken"), seqs);
    assert_eq!(take().await.expect("nothing left"), Vec::<i64>::new());
    office.shop.pump().await;
    assert_eq!(statuses(&receiver), Vec::<String>::new(), "whoever took it is to send it");
    office.shop.close().await;
}

/// Reads frames until that order is named.
async fn updated(
    socket: &mut (impl StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin),
) -> Value {
    let frame = tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time").expect("open").expect("a frame");
    serde_json::from_str(frame.to_text().expect("a text")).expect("JSON")
}

async fn listening(office: &Office) -> tokio_tungstenite::WebSocketStream<tokio::net::TcpStream> {
    let stream = tokio::net::TcpStream::connect(office.address()).await.expect("the office listens");
    let url = format!("ws://{}/ws", office.address());
    let (socket, response) = tokio_tungstenite::client_async(url, stream).await.expect("a handshake");
    assert_eq!(response.status(), 101);
    socket
}

/// Trap 16: without the event the official order page never changes. Guests hear of every order, by its id alone.
#[tokio::test(flavor = "multi_thread")]
async fn trap_16_a_guest_hears_which_order_changed() {
    use futures_util::SinkExt;
    let mut office = Office::open().await;
    let mut socket = listening(&office).await;
    let token = office.data("user/auth/socket/get/token", &json!({}));
    let auth = json!({ "method": "auth", "data": token }).to_string();
    socket.send(Message::text(auth)).await.expect("sent");
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    let wanted = json!({ "method": "updateOrder", "data": { "order": placed.id } });
    assert_eq!(updated(&mut socket).await, wanted);
    office.pay(&placed, "{}").await;
    let told = updated(&mut socket).await;
    assert_eq!(told, wanted);
    assert!(!told.to_string().contains(&placed.secret));
    // Somebody who sends nonsense is cut off; whoever asks to close is let go.
    let mut rude = listening(&office).await;
    rude.send(Message::text("x".repeat(10_000))).await.expect("sent");
    let end = tokio::time::timeout(PATIENCE, rude.next()).await.expect("in time");
    assert!(end.is_none_or(|frame| frame.is_err() || frame.is_ok_and(|frame| frame.is_close())));
    socket.close(None).await.expect("closed");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_for_websockets_only() {
    let office = Office::open().await;
    let plain = office.send("GET", "/ws", &[], "");
    assert_eq!(plain.status, 426, "{}", plain.text());
    let old = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "8"),
        ("sec-websocket-key", "x"),
    ];
    assert_eq!(office.send("GET", "/ws/", &old, "").status, 426);
    office.shop.close().await;
}
