//! The accept loop: HTTP/1.1 by hyper, and the handover of streams to small tasks that own their sockets.
//!
//! A stream in the ordinary stack costs 22 KiB; handed over it costs 3. The handler marks its response; here, after all
//! layers have run, the head is rendered, the socket taken out of hyper's connection, and the rest dropped.

use super::handover::{self, Framing, Handover, Live};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::http::{Request, Response, Version};
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

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 20_000;
/// A request whose head takes longer is dropped.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A request that takes longer, its body included, is dropped.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Open requests get this long when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

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
pub async fn run(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    while !*stop.borrow() {
        let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((socket, peer)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
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
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("some requests were cut off by the shutdown");
    }
}

type BoxedAnswer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> Option<(TcpStream, Taken)> {
    // Small answers leave at once; a lost option is not worth the connection.
    socket.set_nodelay(true).unwrap_or(());
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
                    // Nothing else can arrive: finish what is open.
                    return (&mut http).await.err().and(None);
                }
            }
        }
    };
    Some((http.into_parts().io.into_inner(), taken))
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
        Framing::Chunked => b"transfer-encoding: chunked\r\n".as_slice(),
        Framing::UntilClose => b"connection: close\r\n".as_slice(),
    });
    head.extend_from_slice(b"\r\n");
    head
}
