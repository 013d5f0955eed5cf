//! The accept loop: HTTP/1.1 by hyper, and the handover of streams to small tasks that own their sockets.
//!
//! A stream in the ordinary stack costs 22 KiB; handed over it costs 3. The handler marks its response; here, after all
//! layers have run, the head is rendered, the socket taken out of hyper's connection, and the rest dropped.

use super::handover::{self, Framing, Handover, Live};
use super::patient::Patient;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tower_service::Service;

/// A request whose head takes longer is dropped.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A request that takes longer, its body included, is dropped.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What a server bears.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At once; more wait in the kernel's queue.
    pub connections: usize,
    /// For room in a socket, so that an answer can go on.
    pub slow_reader: Duration,
    /// For open requests, when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        // A socket has room again only once a good part of its buffer, which may be megabytes, was read.
        Limits { connections: 20_000, slow_reader: Duration::from_secs(60), drain: Duration::from_secs(10) }
    }
}

/// Connections that wait to be accepted; the kernel allows fewer. After a restart all viewers come back within a second.
const WAITING: u32 = 20_000;

/// What becomes of a connection whose response was a stream.
struct Taken {
    head: Vec<u8>,
    live: Live,
    framing: Framing,
}

/// Listens on an address such as `127.0.0.1:8080`.
pub async fn listen(address: &str) -> std::io::Result<TcpListener> {
    let mut last = std::io::Error::new(std::io::ErrorKind::InvalidInput, "the address names no host and port");
    for address in tokio::net::lookup_host(address).await? {
        match listen_at(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_at(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As soon as the last server on this port is gone.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Serves until `stop` turns true, then lets open requests end.
pub async fn run(listener: TcpListener, router: Router, stop: watch::Receiver<bool>) {
    run_within(Limits::default(), listener, router, stop).await;
}

/// The same within other limits.
pub async fn run_within(limits: Limits, listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    while !*stop.borrow() {
        let permit = tokio::select! {
            permit = permits.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
            _ = stop.changed() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((socket, peer)) => {
                // Small answers leave at once; a lost option is not worth the connection.
                socket.set_nodelay(true).unwrap_or(());
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    let socket = Patient::new(socket, limits.slow_reader);
                    if let Some((socket, taken)) = Box::pin(connection(socket, peer, router, stop.clone())).await {
                        // A fresh task: this one's size is that of the whole HTTP future.
                        let streaming = async move {
                            handover::serve(socket, taken.head, taken.live, taken.framing, stop).await;
                            drop(permit);
                        };
                        tokio::spawn(streaming);
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: existing connections must go on.
                tracing::warn!(error = &error as &dyn std::error::Error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    // Who comes now must not wait in its queue for somebody who takes nobody on.
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!("some requests were cut off by the shutdown");
    }
}

type BoxedAnswer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

async fn connection(
    socket: Patient,
    peer: SocketAddr,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> Option<(TcpStream, Taken)> {
    let (take, mut taken) = mpsc::channel::<Taken>(1);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| -> BoxedAnswer {
        Box::pin(answer(router.clone(), request, peer, take.clone()))
    });
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(socket), service);
    let taken = loop {
        tokio::select! {
            ended = &mut http => {
                if let Err(error) = ended {
                    tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
                }
                return None;
            }
            Some(taken) = taken.recv() => break taken,
            changed = stop.changed() => {
                Pin::new(&mut http).graceful_shutdown();
                if changed.is_err() || *stop.borrow() {
                    // Nothing else can arrive: finish what is open. A stream that begins only now does not.
                    return tokio::select! {
                        ended = &mut http => ended.err().and(None),
                        _ = taken.recv() => None,
                    };
                }
            }
        }
    };
    Some((http.into_parts().io.into_inner().into_inner(), taken))
}

/// Runs the router; a stream's response never reaches hyper: its future stays pending and is dropped with it.
async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    take: mpsc::Sender<Taken>,
) -> Result<Response<Body>, Infallible> {
    let framing = if request.version() == Version::HTTP_11 { Framing::Chunked } else { Framing::UntilClose };
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = match tokio::time::timeout(REQUEST_TIMEOUT, router.call(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => {
            super::error::ApiError::new(axum::http::StatusCode::REQUEST_TIMEOUT, "TIMEOUT", "the request took too long")
                .into_answer()
        }
    };
    let handover = response.extensions().get::<Handover>().cloned();
    let Some(live) = handover.and_then(|handover| handover.0.lock().expect("nobody panics while handing over").take())
    else {
        return Ok(response);
    };
    let head = render_head(&response, framing);
    if take.send(Taken { head, live, framing }).await.is_ok() {
        std::future::pending::<()>().await;
    }
    Ok(response)
}

fn render_head(response: &Response<Body>, framing: Framing) -> Vec<u8> {
    let status = response.status();
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("")).into_bytes();
    for (name, value) in response.headers() {
        // The body is the stream, not the empty one that the handler answered with.
        let of_the_body = name == CONTENT_LENGTH || (name == CONNECTION && framing == Framing::UntilClose);
        if of_the_body {
            continue;
        }
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(match framing {
        // Another protocol begins: it has frames of its own.
        _ if status == StatusCode::SWITCHING_PROTOCOLS => b"".as_slice(),
        Framing::Chunked => b"transfer-encoding: chunked\r\n".as_slice(),
        Framing::UntilClose => b"connection: close\r\n".as_slice(),
    });
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Larger than what two sockets hold.
    const LARGE: usize = 64 * 1024 * 1024;
    const PATIENCE: Duration = Duration::from_secs(30);

    struct Served {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        ended: tokio::task::JoinHandle<()>,
    }

    async fn serve(limits: Limits) -> Served {
        let large = || async { vec![b'x'; LARGE] };
        let router = Router::new().route("/large", get(large)).route("/small", get(|| async { "small" }));
        let listener = listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let (stop, stopping) = watch::channel(false);
        Served { address, stop, ended: tokio::spawn(run_within(limits, listener, router, stopping)) }
    }

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("the request is taken");
        socket
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_does_not_read_his_answer_gives_up_his_place() {
        let limits = Limits { connections: 1, slow_reader: Duration::from_millis(100), ..Limits::default() };
        let served = serve(limits).await;
        let unread = ask(served.address, "/large").await;
        let mut next = ask(served.address, "/small").await;
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, next.read_to_string(&mut answer)).await.expect("in time").expect("an answer");
        assert!(answer.ends_with("small"), "{answer}");
        drop(unread);
        served.stop.send_replace(true);
        tokio::time::timeout(PATIENCE, served.ended).await.expect("it ends").expect("well");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_with_no_place_left_still_stops() {
        let drain = Duration::from_millis(100);
        let limits = Limits { connections: 1, slow_reader: Duration::from_secs(3_600), drain };
        let served = serve(limits).await;
        let mut unread = ask(served.address, "/large").await;
        // The answer has begun.
        unread.read_exact(&mut [0; 16]).await.expect("its first bytes");
        served.stop.send_replace(true);
        tokio::time::timeout(PATIENCE, served.ended).await.expect("it ends").expect("well");
    }

    #[tokio::test]
    async fn an_address_that_is_taken_or_none_is_an_error() {
        let first = listen("127.0.0.1:0").await.expect("a free port");
        let address = first.local_addr().expect("it listens").to_string();
        for wrong in [address.as_str(), "", "127.0.0.1", "no such host:1"] {
            assert!(listen(wrong).await.is_err(), "{wrong}");
        }
    }
}
