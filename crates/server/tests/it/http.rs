//! A tiny HTTP client over a bare socket, and what the stories of orders share: placing, paying, reading.
//!
//! The typed client of the `api` crate hides what some stories are about: lines of a head, keys that are absent, the
//! ids of a stream's messages, and calls that are no part of the contract. Must never repeat a call, and waits for
//! bytes only, with a limit. Used by `payments`, `delivery` and `tracking` beside it.

use crate::harness::Shop;
use api::{Order, OrderRequest, PaymentChoice, RequestDelivery};
use domain::ids::OrderId;
use serde_json::Value;
use server::store::orders;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for the next bytes; whoever needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The first line and the headers of an answer.
pub struct Head {
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header that stands once or not at all.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = found.next();
        assert_eq!(found.next(), None, "the header {name} stands twice");
        value
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    /// Reads a head that has come to its end, and says where the body begins.
    fn read(raw: &[u8]) -> Option<(Head, usize)> {
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&raw[..end]).expect("a head is text");
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header has a name");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let head = Head { status: status.expect("a status"), headers: lines.map(header).collect() };
        Some((head, end + 4))
    }
}

/// A whole answer.
pub struct Answer {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        let kind = self.head.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "{kind}: {}", self.text());
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// `GET`, on a connection of its own.
pub async fn get(url: &str, path: &str) -> Answer {
    exchange(url, &format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")).await
}

/// `POST` of a JSON text, on a connection of its own.
pub async fn post(url: &str, path: &str, json: &str) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        json.len()
    );
    exchange(url, &format!("{head}{json}")).await
}

/// `POST` of a page's form, on a connection of its own.
pub async fn post_form(url: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    exchange(url, &format!("{head}{form}")).await
}

/// Sends a request that asks for the connection to be closed, and reads until it is.
async fn exchange(url: &str, request: &str) -> Answer {
    let mut socket = send(url, request).await;
    let mut raw = Vec::new();
    while read_more(&mut socket, &mut raw).await {}
    let (head, start) = Head::read(&raw).expect("the connection was closed without an answer");
    let body = if head.is_chunked() { dechunked(&raw[start..]) } else { raw[start..].to_vec() };
    Answer { head, body }
}

async fn send(url: &str, request: &str) -> TcpStream {
    let address = url.strip_prefix("http://").expect("the shop's address");
    let mut socket = TcpStream::connect(address).await.expect("the shop listens");
    socket.write_all(request.as_bytes()).await.expect("the request is taken");
    socket
}

/// Appends what comes next; false at the end of the connection.
async fn read_more(socket: &mut TcpStream, raw: &mut Vec<u8>) -> bool {
    let read = timeout(PATIENCE, socket.read_buf(raw)).await;
    read.expect("something comes in time").expect("the connection is not broken") > 0
}

/// The content of the chunks that are complete.
fn dechunked(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = raw.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&raw[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let (start, size) = (end + 2, size.expect("a chunk begins with its size"));
        let Some(chunk) = raw.get(start..start + size) else { break };
        body.extend_from_slice(chunk);
        raw = raw.get(start + size + 2..).unwrap_or_default();
    }
    body
}

/// A stream that is read message by message (contract 4.5).
pub struct Live {
    pub head: Head,
    socket: TcpStream,
    /// The body as it came, chunks and all.
    raw: Vec<u8>,
    taken: usize,
}

/// One message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: Option<i64>,
    /// `message` where none is named.
    pub event: String,
    pub data: String,
}

impl Message {
    /// The last message of a stream that is over.
    pub fn stop() -> Message {
        Message { id: None, event: "stop".to_owned(), data: "{}".to_owned() }
    }

    /// The order in it.
    pub fn order(&self) -> Value {
        assert_eq!(self.event, "message");
        serde_json::from_str(&self.data).expect("the data is one JSON text")
    }
}

impl Live {
    /// Opens a stream with more header lines, each ended by CR LF; answers once the head has come.
    pub async fn open(url: &str, path: &str, more: &str) -> Live {
        Live::send(url, &format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\nAccept: text/event-stream\r\n{more}\r\n"))
            .await
    }

    /// The same for a request that is written out.
    pub async fn send(url: &str, request: &str) -> Live {
        let mut socket = send(url, request).await;
        let mut raw = Vec::new();
        loop {
            if let Some((head, start)) = Head::read(&raw) {
                raw.drain(..start);
                return Live { head, socket, raw, taken: 0 };
            }
            assert!(read_more(&mut socket, &mut raw).await, "the connection was closed without an answer");
        }
    }

    /// The next message; none once the server has closed the connection. Comments are passed over.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let body = if self.head.is_chunked() { dechunked(&self.raw) } else { self.raw.clone() };
            if let Some(message) = messages(&body).into_iter().nth(self.taken) {
                self.taken += 1;
                return Some(message);
            }
            if !read_more(&mut self.socket, &mut self.raw).await {
                return None;
            }
        }
    }

    /// The body so far, once it holds that word.
    pub async fn text_until(&mut self, word: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&dechunked(&self.raw)).into_owned();
            if text.contains(word) {
                return text;
            }
            assert!(read_more(&mut self.socket, &mut self.raw).await, "the stream ended before {word:?}");
        }
    }

    /// The next message, with everything before it forgotten: for streams that are too long to keep.
    pub async fn next_alone(&mut self) -> Option<Message> {
        let message = self.next().await;
        // The rest of its chunk, so that the body goes on with another.
        while !self.raw.ends_with(b"\n\n\r\n") {
            assert!(read_more(&mut self.socket, &mut self.raw).await, "the connection was closed in a chunk");
        }
        (self.raw, self.taken) = (Vec::new(), 0);
        message
    }

    /// Messages up to the one of that version.
    pub async fn until(&mut self, version: i64) -> Vec<Message> {
        let mut found = Vec::new();
        loop {
            let message = self.next().await.expect("the stream goes on until that version");
            let is_there = message.id == Some(version);
            found.push(message);
            if is_there {
                return found;
            }
        }
    }

    /// Everything until the server closes the connection.
    pub async fn rest(&mut self) -> Vec<Message> {
        let mut found = Vec::new();
        while let Some(message) = self.next().await {
            found.push(message);
        }
        assert!(!self.head.is_chunked() || self.raw.ends_with(b"0\r\n\r\n"), "the body has no end");
        found
    }
}

/// The messages that are complete.
fn messages(body: &[u8]) -> Vec<Message> {
    let text = String::from_utf8_lossy(body);
    let Some((complete, _)) = text.rsplit_once("\n\n") else { return Vec::new() };
    complete.split("\n\n").filter(|block| !block.starts_with(':')).map(message).collect()
}

fn message(block: &str) -> Message {
    let mut message = Message { id: None, event: "message".to_owned(), data: String::new() };
    for line in block.lines() {
        let (field, value) = line.split_once(": ").expect("a field and its value");
        match field {
            "id" => message.id = Some(value.parse().expect("an id is a version")),
            "event" => message.event = value.to_owned(),
            "data" => message.data = value.to_owned(),
            other => panic!("the field {other} is not in the contract"),
        }
    }
    message
}

/// One line of an order: brand, denomination, recipient; sold in the US.
pub type Wanted<'a> = (&'a str, &'a str, &'a str);

/// An order paid with USDC on the network that is taken without asking.
pub fn request(buyer: &str, lines: &[Wanted<'_>]) -> OrderRequest {
    let line = |(brand, denomination, recipient): &Wanted<'_>| RequestDelivery {
        brand_name: (*brand).to_owned(),
        country_code: "US".to_owned(),
        denomination: (*denomination).to_owned(),
        beneficiary_account: Some((*recipient).to_owned()),
        ..RequestDelivery::default()
    };
    OrderRequest::new(buyer, PaymentChoice::via("USER_WALLET", "USDC", None), lines.iter().map(line).collect())
}

/// Places an order that is in order.
pub async fn place(shop: &Shop, buyer: &str, lines: &[Wanted<'_>]) -> Order {
    shop.client.create_order(&request(buyer, lines), None).await.expect("the order is taken")
}

/// Pays on the simulated chain; nobody has looked there yet.
pub async fn pay(shop: &Shop, order: &Order, how: &str) {
    let answer = post(&shop.url, &format!("/sandbox/orders/{}/pay", order.order_id), how).await;
    assert_eq!(answer.head.status, 200, "{how}: {}", answer.text());
}

/// The order as the contract shows it now.
pub async fn show(shop: &Shop, order: &Order) -> Order {
    shop.client.order(&order.order_id).await.expect("the order is shown")
}

/// The same as it stands on the wire.
pub async fn show_raw(shop: &Shop, order: &Order) -> Value {
    get(&shop.url, &format!("/v5/orders/{}", order.order_id)).await.json()
}

/// The order as its row holds it.
pub async fn row(shop: &Shop, order: &Order) -> domain::order::Order {
    let id = id(order);
    shop.kiosk.engine.db.read(move |tx| orders::by_id(tx, id)).await.expect("a read").expect("the order has a row")
}

/// The id that opens the order.
pub fn id(order: &Order) -> OrderId {
    OrderId::parse(&order.order_id).expect("an order id is a UUID")
}
