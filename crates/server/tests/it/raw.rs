//! A bare HTTP client over TCP, and the order bodies that tests send with it: answers as they came, and requests that
//! no decent client would send.
//!
//! Must never mend what a test sends, nor try again. Each request has a connection of its own. Called by the tests of
//! problem codes, orders and bad input.

use crate::harness::{START, Shop};
use serde_json::{Value, json};
use server::store::accounts::{self, Account, Role};
use server::store::{DbError, Tx};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// Longer than any honest answer takes; a server that hangs fails the test instead of stopping it.
const PATIENCE: Duration = Duration::from_secs(30);

/// No answer of the store API is larger.
const MOST_ANSWER_BYTES: usize = 16 * 1_048_576;

pub const ORDERS: &str = "/v5/orders";
pub const VALIDATIONS: &str = "/v5/orders/validations";

/// Who buys, unless a test says otherwise.
pub const BUYER: &str = "end.user@example.com";

/// What came back.
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// That it is an error in the form of contract 5.4: status and code as expected, a sentence, never an order.
    pub fn assert_error(&self, status: u16, detail: &str, what: &str) {
        assert_eq!(self.status, status, "{what}: {}", self.text());
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with("application/json"), "{what}: {content_type:?} {}", self.text());
        let body = self.json();
        assert_eq!(body["status"], json!(status), "{what}");
        assert_eq!(body["detail"], detail, "{what}: {body}");
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}: {body}");
        assert!(body.get("order_id").is_none(), "{what}: an error stands beside an order");
    }
}

pub async fn get(url: &str, path: &str) -> Answer {
    request(url, "GET", path, &[], b"").await
}

pub async fn post(url: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    request(url, "POST", path, headers, body.to_string().as_bytes()).await
}

/// A well-formed request with any body.
pub async fn request(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut message = format!("{method} {path} HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n");
    for (name, value) in headers {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        message.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    message.push_str("\r\n");
    let mut message = message.into_bytes();
    message.extend_from_slice(body);
    send(url, &message).await.expect("an answer")
}

/// Sends bytes as they are; `None` if the server hangs up without an answer.
pub async fn send(url: &str, message: &[u8]) -> Option<Answer> {
    let received = tokio::time::timeout(PATIENCE, exchange(url, message)).await;
    let received = received.expect("the server answers or hangs up");
    let head = read_head(&received)?;
    Some(Answer { status: head.status, headers: head.headers, body: received[head.body_at..].to_vec() })
}

pub async fn connect(url: &str) -> TcpStream {
    let address = url.strip_prefix("http://").expect("a plain HTTP address");
    TcpStream::connect(address).await.expect("a connection")
}

async fn exchange(url: &str, message: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = connect(url).await.into_split();
    let sending = async {
        // A server may stop reading a body that is too large; what it answered counts, not that we were cut off.
        writer.write_all(message).await.unwrap_or(());
        std::future::pending::<()>().await;
    };
    tokio::select! {
        received = receive(&mut reader) => received,
        () = sending => Vec::new(),
    }
}

async fn receive(reader: &mut OwnedReadHalf) -> Vec<u8> {
    let mut received = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    while !is_whole(&received) {
        match reader.read(&mut piece).await {
            // A reset after the answer is as good as an end: what came before it is complete or not by itself.
            Ok(0) | Err(_) => break,
            Ok(count) => received.extend_from_slice(&piece[..count]),
        }
        assert!(received.len() <= MOST_ANSWER_BYTES, "the answer is larger than any should be");
    }
    received
}

struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    body_at: usize,
}

fn read_head(received: &[u8]) -> Option<Head> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&received[..end]);
    let mut lines = text.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Head { status, headers, body_at: end + 4 })
}

/// Whether everything that the head promises is there; without a length only the end of the connection tells.
fn is_whole(received: &[u8]) -> bool {
    let Some(head) = read_head(received) else { return false };
    let length = find(&head.headers, "content-length").and_then(|text| text.parse::<usize>().ok());
    length.is_some_and(|length| received.len() >= head.body_at + length)
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// An order of these deliveries in the flat form, paid in USDC on Solana.
pub fn order_of(deliveries: Value) -> Value {
    json!({
        "email": BUYER,
        "user": { "email": BUYER },
        "payment": { "type": "via", "payment_via": "USER_WALLET", "coin": "USDC", "network": "Solana" },
        "deliveries": deliveries,
        "lang": "en",
    })
}

/// One line of a brand of the US, for the buyer.
pub fn line(brand: &str, denomination: &str) -> Value {
    json!({
        "brand_name": brand,
        "country_code": "US",
        "denomination": denomination,
        "beneficiary_account": BUYER,
    })
}

/// An order of one such line.
pub fn card(brand: &str, denomination: &str) -> Value {
    order_of(json!([line(brand, denomination)]))
}

/// An order of one range card.
pub fn range_card(brand: &str, value: Value) -> Value {
    with(card(brand, "range"), "/deliveries/0/product_value", value)
}

/// The same body with one field more, or another value in it. `pointer` is a JSON pointer (RFC 6901).
pub fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer has a slash");
    match body.pointer_mut(parent).expect("the pointer leads through what is there") {
        Value::Object(fields) => {
            fields.insert(name.to_owned(), value);
        }
        Value::Array(entries) => entries[name.parse::<usize>().expect("an index")] = value,
        other => panic!("{other} has no fields"),
    }
    body
}

/// The same body without that field.
pub fn without(mut body: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer has a slash");
    let fields = body.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    assert!(fields.remove(name).is_some(), "{pointer} was not there");
    body
}

/// Places an order that must be accepted.
pub async fn place(shop: &Shop, headers: &[(&str, &str)], body: &Value) -> Value {
    let answer = post(&shop.url, ORDERS, headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let order = answer.json();
    assert!(order.get("problems").is_none(), "an order stands beside problems");
    order
}

/// The id of an order's answer.
pub fn id_of(order: &Value) -> String {
    order["order_id"].as_str().expect("an order has an id").to_owned()
}

/// An order as it is now.
pub async fn show(shop: &Shop, order: &Value) -> Value {
    let answer = get(&shop.url, &format!("{ORDERS}/{}", id_of(order))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Pays an order's exact price on the simulated chain and lets everybody work.
pub async fn pay(shop: &mut Shop, order: &Value) {
    let path = format!("/sandbox/orders/{}/pay", id_of(order));
    let paid = post(&shop.url, &path, &[], &json!({})).await;
    assert_eq!(paid.status, 200, "{}", paid.text());
    shop.pump().await;
}

/// Places an order, pays it and sees it delivered.
pub async fn buy(shop: &mut Shop, body: &Value) -> Value {
    let order = place(shop, &[], body).await;
    pay(shop, &order).await;
    let bought = show(shop, &order).await;
    assert_eq!(bought["order_state"], "Done");
    bought
}

/// Adds a customer; answers with the value of the header `Authorization`.
pub async fn sign_up(shop: &Shop, name: &str) -> String {
    let token = format!("token-of-{name}");
    let account = Account {
        id: format!("customer-{name}"),
        role: Role::Customer,
        name: name.to_owned(),
        token_hash: Some(shop.kiosk.vault.hash_of_secret(&token)),
        trust_from: None,
        active: true,
        created_at: START,
    };
    let added = shop.kiosk.engine.write(move |tx| accounts::add(tx, &account)).await.expect("an account");
    assert!(added, "{name} is new");
    format!("Bearer {token}")
}

/// Tables that an order writes to.
const WRITTEN: [&str; 9] = [
    "orders",
    "events",
    "steps",
    "personal",
    "idempotency",
    "counters where held <> 0 or used <> 0",
    "stock where held <> 0",
    "addresses where owner is not null",
    "codes where owner is not null",
];

/// How many rows stand in each of them: equal before and after means that nothing was written.
pub async fn row_counts(shop: &Shop) -> Vec<i64> {
    shop.kiosk.engine.db.read(count_rows).await.expect("counts")
}

fn count_rows(tx: &mut Tx<'_>) -> Result<Vec<i64>, DbError> {
    let mut counts = Vec::new();
    for table in WRITTEN {
        let row = tx.query_one(&format!("select count(*) from {table}"), &[])?;
        counts.push(row.expect("a count is one row").int(0));
    }
    Ok(counts)
}
