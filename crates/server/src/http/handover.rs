//! Event streams on their sockets: what a handler hands over with its response, and the small task per stream that owns
//! the socket from then on.
//!
//! Three kinds of streams end here: orders of this shop (`stream`), in the gateway those of another shop
//! (`gateway::feeds`), and WebSockets (`exchange_api::socket`). Must never know what a message says. Called by `serve`.

use super::exchange_api::socket::{self, Listener};
use super::gateway::feeds::Viewer;
use super::stream::Stream;
use axum::body::Body;
use axum::http::{HeaderName, Method, header};
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Between comment lines that show a quiet stream is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The same for a stream that is passed on: longer, because the shop behind it has a heartbeat of its own.
const HEARTBEAT_PASSED_ON: Duration = Duration::from_secs(20);
/// A comment line as a chunk.
const PING: &[u8] = b"8\r\n: ping\n\n\r\n";
/// Tells the client to close and never reconnect (contract 4.5).
const STOP: &[u8] = b"16\r\nevent: stop\ndata: {}\n\n\r\n";
/// A reader who takes longer than this for one message is dropped.
const SLOW_READER: Duration = Duration::from_secs(10);

/// Whole SSE messages as one chunk of HTTP/1.1 (RFC 9112 section 7.1), shared by all who are sent it.
#[derive(Clone)]
pub struct Chunk(Arc<[u8]>);

impl Chunk {
    pub fn new(message: &[u8]) -> Chunk {
        let mut chunk = format!("{:x}\r\n", message.len()).into_bytes();
        chunk.reserve_exact(message.len() + 2);
        chunk.extend_from_slice(message);
        chunk.extend_from_slice(b"\r\n");
        Chunk(chunk.into())
    }

    /// Without the framing.
    pub fn message(&self) -> &[u8] {
        &self.0[message_in(&self.0)]
    }
}

/// An open stream of either kind.
pub enum Live {
    Order(Stream),
    PassedOn(Viewer),
    /// Not an event stream: a WebSocket, whose frames are its own.
    Listener(Listener),
}

/// What a stream does next.
pub enum Next {
    Send(Chunk),
    /// Nothing will change any more, and the client has it all: `stop`, and the end.
    Stop,
    /// No more will come on this connection; the client may open another.
    End,
    /// The reader is too far behind: the connection is cut.
    Drop,
    Wait,
}

/// An event stream of either kind.
enum Events {
    Order(Stream),
    PassedOn(Viewer),
}

impl Events {
    fn what_next(&mut self) -> Next {
        match self {
            Events::Order(stream) => stream.what_next(),
            Events::PassedOn(viewer) => viewer.what_next(),
        }
    }

    /// Ends when there may be something to do; false if nothing will come any more.
    async fn changed(&mut self) -> bool {
        match self {
            Events::Order(stream) => stream.changed().await,
            Events::PassedOn(viewer) => viewer.changed().await,
        }
    }

    fn heartbeat(&self) -> Duration {
        match self {
            Events::Order(_) => HEARTBEAT,
            Events::PassedOn(_) => HEARTBEAT_PASSED_ON,
        }
    }
}

/// What a handler gives away with its response: the connection then belongs to the stream's task.
#[derive(Clone)]
pub struct Handover(pub Arc<Mutex<Option<Live>>>);

/// The response that begins a stream, with the head of contract 4.5. The answer to HEAD has no body, and so no stream.
pub fn response(method: &Method, live: Live) -> Response {
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let mut response = (head, Body::empty()).into_response();
    if method == Method::GET {
        response.extensions_mut().insert(Handover(Arc::new(Mutex::new(Some(live)))));
    }
    response
}

/// How the answer's body is delimited on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Chunked,
    /// HTTP/1.0: the body ends with the connection.
    UntilClose,
}

impl Framing {
    fn of(self, chunk: &[u8]) -> &[u8] {
        match self {
            Framing::Chunked => chunk,
            Framing::UntilClose => &chunk[message_in(chunk)],
        }
    }
}

/// Writes a stream to its socket until it is over, the reader leaves or is too slow, or the server stops.
pub async fn serve(mut socket: TcpStream, head: Vec<u8>, live: Live, framing: Framing, stop: watch::Receiver<bool>) {
    if write(&mut socket, &head).await.is_err() {
        return;
    }
    drop(head);
    match live {
        Live::Order(stream) => serve_events(socket, Events::Order(stream), framing, stop).await,
        Live::PassedOn(viewer) => serve_events(socket, Events::PassedOn(viewer), framing, stop).await,
        // Larger than an event stream's: apart, so that those stay small.
        Live::Listener(listener) => Box::pin(socket::serve(socket, listener, stop)).await,
    }
}

async fn serve_events(mut socket: TcpStream, mut live: Events, framing: Framing, mut stop: watch::Receiver<bool>) {
    loop {
        match live.what_next() {
            Next::Send(chunk) => {
                if write(&mut socket, framing.of(&chunk.0)).await.is_err() {
                    return;
                }
                continue;
            }
            Next::Stop => {
                if write(&mut socket, framing.of(STOP)).await.is_ok() {
                    finish(&mut socket, framing).await;
                }
                return;
            }
            Next::End => return finish(&mut socket, framing).await,
            Next::Drop => return,
            Next::Wait => {}
        }
        let heartbeat = live.heartbeat();
        let beat = tokio::select! {
            more = live.changed() => if more { false } else { return },
            () = tokio::time::sleep(heartbeat) => true,
            () = peer_left(&socket) => return,
            _ = stop.changed() => return,
        };
        if beat && write(&mut socket, framing.of(PING)).await.is_err() {
            return;
        }
    }
}

/// Ends the body, and the connection with it.
async fn finish(socket: &mut TcpStream, framing: Framing) {
    let ended = match framing {
        Framing::Chunked => write(socket, b"0\r\n\r\n").await,
        Framing::UntilClose => Ok(()),
    };
    if ended.is_ok() {
        // The peer may have closed first; then there is nobody left to tell.
        socket.shutdown().await.unwrap_or(());
    }
}

async fn write(socket: &mut TcpStream, bytes: &[u8]) -> Result<(), ()> {
    // A reader who keeps up takes it at once; no timer is set for him.
    let written = socket.try_write(bytes).unwrap_or(0);
    if written == bytes.len() {
        return Ok(());
    }
    match tokio::time::timeout(SLOW_READER, socket.write_all(&bytes[written..])).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(()),
    }
}

/// Reads only to notice that the peer went away; whatever it sends is dropped.
async fn peer_left(socket: &TcpStream) {
    let mut dropped = [0; 256];
    loop {
        if socket.ready(Interest::READABLE).await.is_err() {
            return;
        }
        match socket.try_read(&mut dropped) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Where the message lies in its chunk.
fn message_in(chunk: &[u8]) -> std::ops::Range<usize> {
    let begin = chunk.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    begin..chunk.len() - 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_holds_its_message_and_its_length() {
        for (chunk, message) in [(PING, ": ping\n\n"), (STOP, "event: stop\ndata: {}\n\n")] {
            assert_eq!(&*Chunk::new(message.as_bytes()).0, chunk);
            assert_eq!(Framing::UntilClose.of(chunk), message.as_bytes());
        }
    }
}
