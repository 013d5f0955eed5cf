//! What is told outside: notifications (contract 7) and the WebSocket (contract 10).

use super::{Office, PAYOUT_ADDRESS, Placed};
use crate::harness::START;
use domain::time::Span;
use futures_util::StreamExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const SECRET: &str = "ipn-secret-1";
/// Nothing in a test takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One notification as it arrived.
struct Heard {
    headers: BTreeMap<String, String>,
    form: BTreeMap<String, String>,
}

/// Somebody who listens, and answers every call in the same way.
struct Receiver {
    url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Receiver {
    fn answering(status: &'static str) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://127.0.0.1:{}/ipn", listener.local_addr().expect("bound").port());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keeps = heard.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { return };
                let Some(call) = read(&mut socket) else { continue };
                keeps.lock().expect("nobody panics").push(call);
                // Whoever asked may have hung up.
                write!(socket, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap_or(());
            }
        });
        Receiver { url, heard }
    }

    fn statuses(&self) -> Vec<String> {
        self.heard.lock().expect("nobody panics").iter().map(|heard| heard.form["newStatus"].clone()).collect()
    }
}

fn read(socket: &mut std::net::TcpStream) -> Option<Heard> {
    let mut reader = BufReader::new(socket);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line == "\r\n" {
                break;
            }
            continue;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let form = form_urlencoded::parse(&body).into_owned().collect();
    Some(Heard { headers, form })
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
    assert_eq!(receiver.statuses(), Vec::<String>::new(), "none for the creation");
    office.set(&placed, "waitPayment");
    office.set(&placed, "waitPayment");
    office.shop.pump().await;
    office.pay(&placed, "{}").await;
    office.shop.after(Span::hours(1)).await;
    assert_eq!(receiver.statuses(), ["waitPayment", "inProgress", "inProgressPayout", "done"]);
    for heard in receiver.heard.lock().expect("nobody panics").iter() {
        let form = &heard.form;
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
        assert!(heard.headers["webhook-id"].starts_with("ipn_"));
        assert_eq!(heard.headers["webhook-timestamp"], "1795174500");
        assert!(heard.headers["webhook-signature"].starts_with("v1,"));
    }
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
    {
        let heard = receiver.heard.lock().expect("nobody panics");
        assert_eq!(heard[0].form["toValues[0][value]"], PAYOUT_ADDRESS);
        // Without a secret the signed text ends with a colon, and Standard Webhooks has nothing to sign with.
        assert!(!heard[0].headers.contains_key("webhook-signature"));
    }
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_twice_by_two_processes() {
    let mut office = Office::open().await;
    let receiver = Receiver::answering("200 OK");
    let placed = notified(&office, &receiver);
    office.set(&placed, "waitPayment");
    let engine = &office.shop.kiosk.engine;
    let due = engine.db.read(|tx| server::store::deliveries::due(tx, &[], &[], START, 10)).await.expect("a read");
    let seqs: Vec<i64> = due.iter().map(|planned| planned.seq).collect();
    let take = |seqs: Vec<i64>| engine.write(move |tx| server::store::deliveries::take(tx, seqs, START, START));
    assert_eq!(take(seqs.clone()).await.expect("taken"), seqs);
    assert_eq!(take(seqs).await.expect("nothing left"), Vec::<i64>::new());
    office.shop.pump().await;
    assert_eq!(receiver.statuses(), Vec::<String>::new(), "whoever took it is to send it");
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
