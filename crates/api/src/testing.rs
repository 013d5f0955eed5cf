//! What the tests of this crate share: the exactness check of a wire type, and a store that answers from a script.
//!
//! It exists only in test builds. The scripted store speaks just enough HTTP/1.1 to give prepared answers, one per
//! connection, so that a test controls every byte and the number of connections.

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Reads the text, writes it again and compares: same fields, same kinds, numbers with the same digits.
pub(crate) fn keeps<T: Serialize + DeserializeOwned>(text: &str) -> T {
    let typed: T = serde_json::from_str(text).expect("the text follows the contract");
    let written = serde_json::to_string(&typed).expect("wire types can be written");
    let written: Value = serde_json::from_str(&written).expect("what was written is JSON");
    let expected: Value = serde_json::from_str(text).expect("the text is JSON");
    assert_eq!(written, expected);
    typed
}

/// A store on a loopback port that gives its answers in order, one per connection, and refuses connections after them.
pub(crate) struct Scripted {
    pub(crate) base_url: String,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Scripted {
    /// Each answer is the whole text of a response, see [`answer`] and [`stream`].
    pub(crate) async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (seen, requests) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, VecDeque::from(answers), seen));
        Self { base_url: format!("http://{address}"), requests }
    }

    /// The next request, head and body, as it came over the wire.
    pub(crate) fn request(&mut self) -> String {
        self.requests.try_recv().expect("a request is recorded before it is answered")
    }
}

async fn serve(listener: TcpListener, mut answers: VecDeque<String>, seen: mpsc::UnboundedSender<String>) {
    while let Some(answer) = answers.pop_front() {
        let Ok((mut socket, _)) = listener.accept().await else {
            return;
        };
        let request = read_request(&mut socket).await;
        if seen.send(request).is_err() {
            return;
        }
        // A client may hang up in the middle of an answer it does not want; the next answer is still due.
        drop(socket.write_all(answer.as_bytes()).await);
        drop(socket.shutdown().await);
    }
}

/// Head and body of one request; what came so far if the client hangs up.
async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        match socket.read(&mut chunk).await {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// A JSON answer; `status` is the number with its phrase, such as `200 OK`.
pub(crate) fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A stream of events that ends with the connection.
pub(crate) fn stream(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n{events}")
}

/// An order without lines, in that state.
pub(crate) fn order_text(state: &str) -> String {
    format!(
        r#"{{"order_id":"o-1","order_state":"{state}","payment_state":"WalletCreated","created_at":"1790000000",
            "coin":"USDC","network":"Base","coin_amount":"25.38","original_price":"25.38","sent_coin_amount":"0",
            "payment_via":"USER_WALLET","payment_method":"USDC-BASE","payment_method_protocol":"ETHEREUM_LIKE",
            "payment_id":"p-1","payment_value":21.5,"is_payment_processor_external":false,
            "user":{{"email":"user@shop.example"}},"deliveries":[]}}"#
    )
    .replace('\n', "")
}
