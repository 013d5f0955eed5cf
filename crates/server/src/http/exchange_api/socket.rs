//! The exchange API's WebSocket (contract 10): which orders changed, told to everybody who listens.
//!
//! Only ids are told, and an id opens nothing. What a client says is not answered: guests and signed-in people hear the
//! same. The socket is taken out of the HTTP stack as event streams are (`handover`); the frames are a library's.

use crate::engine::Engine;
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::handover::{Handover, Live};
use crate::store::orders;
use crate::vault::Vault;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Changes within this time are told together, each order once.
const COALESCED: Duration = Duration::from_millis(100);
/// How often the log is looked at when nothing wakes us: another process may have written.
const SLOW_POLL: Duration = Duration::from_millis(500);
/// Between pings; who has said nothing at all since the last is gone.
const PING: Duration = Duration::from_secs(45);
/// Messages that a listener may be behind; whoever is further is cut off and comes again.
const BEHIND: usize = 4_096;
/// A listener who takes longer than this for one message is cut off.
const SLOW_LISTENER: Duration = Duration::from_secs(10);
/// Largest message that is read; clients send a token.
const LARGEST: usize = 4 * 1_024;
/// Listeners of one server: half of its connections, so that orders can still be read and made.
const MOST_LISTENERS: usize = 10_000;
const PAGE: i64 = 2_000;

/// Tells all listeners what changed.
pub struct Board {
    engine: Engine,
    vault: Arc<Vault>,
    told: broadcast::Sender<Utf8Bytes>,
}

/// One who listens.
pub struct Listener(broadcast::Receiver<Utf8Bytes>);

impl Board {
    pub fn new(engine: Engine, vault: Arc<Vault>) -> Board {
        Board { engine, vault, told: broadcast::Sender::new(BEHIND) }
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.told.receiver_count()
    }

    /// Reads the log as it grows, until `stop` turns true.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut news = self.engine.news();
        let mut seen = *news.borrow_and_update();
        let mut is_offline = None;
        while !*stop.borrow() {
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(SLOW_POLL) => {}
                _ = stop.changed() => return,
            }
            self.tell_status(&mut is_offline);
            let newest = *news.borrow_and_update();
            if self.listeners() == 0 {
                seen = seen.max(newest);
                continue;
            }
            match self.tell_orders(seen).await {
                Ok(newest) => seen = newest,
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "changes not told"),
            }
            // The first change is told at once; what follows it waits to be told together.
            tokio::select! {
                () = tokio::time::sleep(COALESCED) => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Answers the number of the newest event that was looked at.
    async fn tell_orders(&self, seen: i64) -> Result<i64, crate::store::DbError> {
        let (mut seen, mut told) = (seen, BTreeSet::new());
        loop {
            let changes = self.engine.db.read(move |tx| orders::traded_after(tx, seen, PAGE)).await?;
            if changes.newest <= seen {
                return Ok(seen);
            }
            seen = changes.newest;
            for change in changes.trades.iter().filter(|change| told.insert(change.no)) {
                let id = self.vault.object_id_of(change.placed_at, change.no);
                let text = json!({ "method": "updateOrder", "data": { "order": id } }).to_string();
                // The last listener may have left.
                self.told.send(text.into()).unwrap_or(0);
            }
        }
    }

    fn tell_status(&self, known: &mut Option<bool>) {
        let market = self.engine.shared.market();
        let is_offline = super::site::is_offline(&market, self.engine.clock.now());
        if known.replace(is_offline).is_some_and(|known| known != is_offline) {
            let text = json!({ "method": "updateStatusWorkSite", "data": { "offlineStatus": is_offline } }).to_string();
            self.told.send(text.into()).unwrap_or(0);
        }
    }
}

/// `GET /ws`: the handshake of RFC 6455, section 4.2.
pub fn open(app: &App, request: &Request) -> Response {
    let headers = request.headers();
    let key = headers.get("sec-websocket-key").filter(|_| request.method() == Method::GET && asks_to_upgrade(headers));
    let Some(key) = key else {
        let message = "this address is for WebSocket connections: open it with ws:// or wss://";
        return ApiError::new(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED", message).into_response();
    };
    if app.board.listeners() >= MOST_LISTENERS {
        return ApiError::unavailable("TOO_MANY_LISTENERS", "too many people are listening; try again later")
            .into_response();
    }
    let accept = derive_accept_key(key.as_bytes());
    let head = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, head).into_response();
    let live = Live::Listener(Listener(app.board.told.subscribe()));
    response.extensions_mut().insert(Handover(Arc::new(Mutex::new(Some(live)))));
    response
}

fn asks_to_upgrade(headers: &HeaderMap) -> bool {
    let says = |name, wanted: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    says(header::CONNECTION, "upgrade")
        && says(header::UPGRADE, "websocket")
        && says(header::SEC_WEBSOCKET_VERSION, "13")
}

/// Tells a listener what there is, until he leaves, is too slow, or the server stops.
pub async fn serve(socket: TcpStream, mut listener: Listener, mut stop: watch::Receiver<bool>) {
    let config = WebSocketConfig::default()
        .read_buffer_size(512)
        .write_buffer_size(0)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, Some(config)).await;
    let mut was_heard = true;
    let mut ping = tokio::time::interval(PING);
    ping.reset();
    loop {
        let message = tokio::select! {
            told = listener.0.recv() => match told {
                Ok(text) => Message::Text(text),
                Err(broadcast::error::RecvError::Lagged(_) | broadcast::error::RecvError::Closed) => return,
            },
            heard = socket.next() => match heard {
                Some(Ok(message)) if !message.is_close() => {
                    was_heard = true;
                    continue;
                }
                Some(Ok(_) | Err(_)) | None => return,
            },
            _ = ping.tick() => {
                if !std::mem::replace(&mut was_heard, false) {
                    return;
                }
                Message::Ping(Default::default())
            }
            _ = stop.changed() => return,
        };
        match tokio::time::timeout(SLOW_LISTENER, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
