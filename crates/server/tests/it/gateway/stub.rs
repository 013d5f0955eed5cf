//! A shop that says what a test wants it to say, and a gateway in front of it.
//!
//! The shop speaks just enough HTTP for that: one request per connection. Must never wait by the clock. Called by the
//! stories of the gateway beside it.

use crate::harness::{START, TestClock};
use crate::http::PATIENCE;
use axum::http::{HeaderName, HeaderValue};
use server::http::gateway::feeds::Patience;
use server::http::gateway::{Door, Gateway, router};
use server::http::serve;
use server::http::visitors::{RateLimit, Visitors};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The partner's id: no answer may hold it.
pub const PARTNER: &str = "partner-7f3a";

/// What the shop does with a request.
pub enum Reply {
    /// Says it and closes.
    Whole(String),
    /// Says it, then what the test sends, until the test cuts or the gateway leaves.
    Open(String),
    /// Says nothing, for as long as the gateway waits.
    Silence,
}

/// The head of a stream and what comes with it.
pub fn stream(first: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{first}")
}

/// A whole answer; `more` are header lines, each ended by CR LF.
pub fn answer(status: &str, more: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Whole(format!("HTTP/1.1 {status}\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n{body}"))
}

/// The same in JSON.
pub fn json(status: &str, more: &str, body: &str) -> Reply {
    answer(status, &format!("content-type: application/json\r\n{more}"), body)
}

/// The first version of an order.
pub fn snapshot(id: i64) -> String {
    format!("id: {id}\ndata: {{\"order_id\":\"o\",\"order_state\":\"WaitingForPayment\"}}\n\n")
}

type Replies = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

#[derive(Clone)]
enum Word {
    More(Arc<[u8]>),
    Cut,
}

/// The shop.
pub struct Stub {
    pub url: String,
    shared: Shared,
    accepting: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    replies: Replies,
    seen: Arc<Mutex<Vec<String>>>,
    words: broadcast::Sender<Word>,
    open: watch::Sender<usize>,
}

impl Stub {
    /// A shop that answers each path as `replies` says.
    pub async fn start(replies: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Stub {
        Stub::start_at("127.0.0.1:0", replies).await
    }

    /// The same at an address where another was.
    pub async fn start_at(address: &str, replies: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let (words, open) = (broadcast::Sender::new(4_096), watch::Sender::new(0));
        let shared = Shared { replies: Arc::new(replies), seen: Arc::default(), words, open };
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Stub { url, shared, accepting }
    }

    /// Requests so far, heads and bodies.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().expect("a lock").clone()
    }

    /// Sends more on every open stream.
    pub fn send(&self, bytes: &[u8]) {
        self.shared.words.send(Word::More(bytes.into())).map_err(|_| "no stream is open").expect("a stream is open");
    }

    /// The same, where nobody may be left.
    pub fn drip(&self, bytes: &[u8]) {
        self.shared.words.send(Word::More(bytes.into())).unwrap_or(0);
    }

    /// Whether any stream is open.
    pub fn is_open(&self) -> bool {
        *self.shared.open.borrow() > 0
    }

    /// Cuts every open stream.
    pub fn cut(&self) {
        self.shared.words.send(Word::Cut).map_err(|_| "no stream is open").expect("a stream is open");
    }

    /// Waits until so many streams are open.
    pub async fn open_streams(&self, count: usize) {
        let mut open = self.shared.open.subscribe();
        let reached = timeout(PATIENCE, open.wait_for(|open| *open == count)).await.map(|_| ());
        assert!(reached.is_ok(), "{} streams are open, not {count}", *open.borrow());
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.url.strip_prefix("http://").expect("a plain address").to_owned()
    }

    /// Refuses connections from now on.
    pub async fn die(self) {
        self.accepting.abort();
        // Ended by the line above.
        self.accepting.await.unwrap_or(());
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    loop {
        let (socket, _) = listener.accept().await.expect("a connection");
        tokio::spawn(serve_one(socket, shared.clone()));
    }
}

async fn serve_one(mut socket: TcpStream, shared: Shared) {
    let Some(request) = read_request(&mut socket).await else { return };
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    shared.seen.lock().expect("a lock").push(request);
    let mut words = shared.words.subscribe();
    let reply = (shared.replies)(&path);
    if let Reply::Whole(text) | Reply::Open(text) = &reply
        && socket.write_all(text.as_bytes()).await.is_err()
    {
        return;
    }
    if matches!(reply, Reply::Whole(_)) {
        // The gateway may have left already.
        socket.shutdown().await.unwrap_or(());
        return;
    }
    shared.open.send_modify(|open| *open += 1);
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            word = words.recv() => match word {
                Ok(Word::More(bytes)) if socket.write_all(&bytes).await.is_ok() => {}
                Ok(_) | Err(_) => break,
            },
            read = socket.read(&mut ignored) => if read.is_ok_and(|count| count == 0) { break },
        }
    }
    shared.open.send_modify(|open| *open -= 1);
}

async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut raw = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&raw).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lengths = head.lines().filter_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= lengths.sum::<usize>() {
                return Some(text);
            }
        }
        if socket.read_buf(&mut raw).await.ok()? == 0 {
            return None;
        }
    }
}

/// How a gateway of a story is set up.
pub struct Setting {
    pub limit: RateLimit,
    /// Of calls that go up.
    pub up: RateLimit,
    pub patience: Patience,
    pub origins: Vec<HeaderValue>,
    /// Networks whose word on a visitor's address is taken.
    pub proxies: Vec<ipnet::IpNet>,
}

impl Default for Setting {
    fn default() -> Setting {
        let patience = Patience {
            head: Duration::from_secs(5),
            rest_of_event: Duration::from_secs(5),
            viewer: Duration::from_millis(50),
            if_kept: Duration::from_secs(30),
        };
        let limit = RateLimit { per_second: 1_000, burst: 100_000 };
        Setting { limit, up: limit, patience, origins: Vec::new(), proxies: Vec::new() }
    }
}

/// The gateway, on a port of its own.
pub struct Front {
    pub url: String,
    pub gateway: Gateway,
    pub clock: Arc<TestClock>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Front {
    pub async fn start(upstream: &str) -> Front {
        Front::with(upstream, Setting::default()).await
    }

    pub async fn with(upstream: &str, setting: Setting) -> Front {
        let identity =
            api::Identity { application: Some(PARTNER.to_owned()), version: Some("4.2.0".to_owned()), bearer: None };
        let client = api::Client::new(upstream, identity).expect("a client");
        let visitors = Visitors::new(setting.limit);
        visitors.trust(setting.proxies);
        let clock = TestClock::starting_at(START);
        let country_header = HeaderName::from_static("cf-ipcountry");
        let (goes_up, warned) = (Visitors::new(setting.up), AtomicBool::new(false));
        let door = Door { visitors, goes_up, clock: clock.clone(), country_header, warned };
        let agent = HeaderValue::from_static("partner-site/1");
        let gateway = Gateway::new(client, agent, door, setting.patience);
        let listener = serve::listen("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(serve::run(listener, router(gateway.clone(), &setting.origins), stopping));
        Front { url, gateway, clock, stop, serving }
    }

    pub async fn close(self) {
        self.stop.send_replace(true);
        self.serving.await.expect("the gateway ended well");
    }
}
