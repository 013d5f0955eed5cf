//! The exchange API: orders as fast as the server answers, a change until the last of many listeners has it, and
//! notifications beside a receiver who takes ten seconds.

use crate::http::{self, Connection};
use crate::timing::{median, micros_between, per_mille};
use anyhow::{Context, ensure};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Everybody waits before the change is made.
const REST: Duration = Duration::from_millis(500);
/// What the slow receiver takes for each message.
const SLOW: Duration = Duration::from_secs(10);
/// Notifications that have not come by then are lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// Listeners that are let in at once.
const CROWD: usize = 64;

const METHODS: &str = "/service/api/v1/public/exchanger/order";

#[derive(clap::Args)]
pub struct ListenersArgs {
    #[arg(long)]
    address: SocketAddr,
    /// The id of the route that orders are made on.
    #[arg(long)]
    route: String,
    #[arg(long)]
    listeners: usize,
    /// How often; the answer is the median.
    #[arg(long)]
    rounds: u64,
}

#[derive(clap::Args)]
pub struct NoticesArgs {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    route: String,
    /// Orders whose change is told.
    #[arg(long)]
    orders: u64,
    /// Beside them, so many whose receiver is slow.
    #[arg(long)]
    slow: u64,
}

/// An order of 10 USDC; `more` is put into its parameters.
pub fn order(route: &str, more: &str) -> Vec<u8> {
    let values = r#""toValues":[{"key":"walletAddress","value":"0x52908400098527886E0F7030069857D2E4169EE7"}]"#;
    let body = format!(r#"{{"routeId":"{route}","amount":"10",{values},"agreement":true,"lang":"en"{more}}}"#);
    http::post(&format!("{METHODS}/create/"), "", &body)
}

/// Refuses an answer that is an error in its envelope, without reading all of it.
pub fn accepted(body: &[u8]) -> anyhow::Result<()> {
    let said = || String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
    ensure!(body.starts_with(b"{\"success\":true"), "the server refused: {}", said());
    Ok(())
}

/// Sends a call of a method, and refuses an answer that is an error in its envelope.
pub async fn call(connection: &mut Connection, request: &[u8]) -> anyhow::Result<Value> {
    let answer: Value = serde_json::from_slice(connection.call(request).await?.success()?)?;
    ensure!(answer["success"] == json!(true), "the server refused: {answer}");
    Ok(answer)
}

struct Placed {
    id: String,
    accept: Vec<u8>,
}

async fn place(connection: &mut Connection, route: &str, more: &str) -> anyhow::Result<Placed> {
    let created = call(connection, &order(route, more)).await?;
    let text = |name: &str| created["data"][name].as_str().map(str::to_owned).context("an order has names");
    let (uid, secret) = (created["data"]["uid"].clone(), text("secret")?);
    let body = json!({ "orderUID": uid, "orderSecret": secret, "status": "waitPayment" }).to_string();
    Ok(Placed { id: text("_id")?, accept: http::post(&format!("{METHODS}/update-status/"), "", &body) })
}

/// Opens listeners, changes an order, and waits until the last has heard of it.
pub async fn listeners(arguments: &ListenersArgs) -> anyhow::Result<Value> {
    let mut connection = Connection::open(arguments.address).await?;
    let mut sockets = Vec::with_capacity(arguments.listeners);
    while sockets.len() < arguments.listeners {
        let crowd = CROWD.min(arguments.listeners - sockets.len());
        let opened = (0..crowd).map(|_| async {
            let stream = TcpStream::connect(arguments.address).await?;
            let (socket, _) = tokio_tungstenite::client_async(format!("ws://{}/ws", arguments.address), stream).await?;
            Ok::<_, anyhow::Error>(socket)
        });
        for socket in futures_util::future::join_all(opened).await {
            sockets.push(socket?);
        }
    }
    let mut last_us = Vec::new();
    for _ in 0..arguments.rounds {
        let placed = place(&mut connection, &arguments.route, "").await?;
        // The order's own beginning is told too: let it pass.
        tokio::time::sleep(REST).await;
        let mut waiting = JoinSet::new();
        for mut socket in sockets.drain(..) {
            let id = placed.id.clone();
            waiting.spawn(async move {
                let mut heard = 0;
                loop {
                    let frame = socket.next().await.context("the server ended the connection")??;
                    heard += usize::from(frame.to_text().is_ok_and(|text| text.contains(&id)));
                    // The first is of the creation.
                    if heard == 2 {
                        return Ok::<_, anyhow::Error>((Instant::now(), socket));
                    }
                }
            });
        }
        tokio::time::sleep(REST).await;
        let sent = Instant::now();
        call(&mut connection, &placed.accept).await?;
        let mut last = 0;
        while let Some(heard) = waiting.join_next().await {
            let (at, socket) = heard.context("a listener ended badly")??;
            last = last.max(micros_between(sent, at));
            sockets.push(socket);
        }
        last_us.push(last);
    }
    Ok(json!({ "last_us": median(&mut last_us) }))
}

/// When each order's notification arrived.
type Arrived = Arc<Mutex<HashMap<String, Instant>>>;

async fn receive(mut socket: TcpStream, arrived: Arrived, slow: bool) -> anyhow::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        let whole = head + length.context("a notification has a length")?;
        while buffer.len() < whole {
            ensure!(socket.read_buf(&mut buffer).await? > 0, "a notification broke off");
        }
        let body = String::from_utf8_lossy(&buffer[head..whole]).into_owned();
        let id =
            body.split('&').find_map(|pair| pair.strip_prefix("orderId=")).context("a notification names its order")?;
        arrived.lock().expect("nobody panics while noting").insert(id.to_owned(), Instant::now());
        buffer.drain(..whole);
        if slow {
            tokio::time::sleep(SLOW).await;
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}

/// A receiver on a port of its own; answers what the order is to say.
async fn receiver(arrived: &Arrived, slow: bool) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/ipn", listener.local_addr()?);
    let arrived = arrived.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let arrived = arrived.clone();
            // A sender that gives up on the slow one is no trouble of ours.
            tokio::spawn(async move { receive(socket, arrived, slow).await.unwrap_or(()) });
        }
    });
    Ok(format!(r#","ipnUrl":"{url}","ipnSecret":"bench""#))
}

/// Changes orders as fast as the server answers, and times each notification from the answer to its arrival.
pub async fn notices(arguments: &NoticesArgs) -> anyhow::Result<Value> {
    let arrived = Arrived::default();
    let (quick, slow) = (receiver(&arrived, false).await?, receiver(&Arrived::default(), true).await?);
    let mut connection = Connection::open(arguments.address).await?;
    let mut placed = Vec::new();
    for number in 0..arguments.orders + arguments.slow {
        let more = if number < arguments.slow { &slow } else { &quick };
        placed.push(place(&mut connection, &arguments.route, more).await?);
    }
    let from = Instant::now();
    let mut changed = HashMap::new();
    for (number, order) in placed.iter().enumerate() {
        call(&mut connection, &order.accept).await?;
        if number as u64 >= arguments.slow {
            changed.insert(order.id.clone(), Instant::now());
        }
    }
    while arrived.lock().expect("nobody panics while reading").len() < changed.len() {
        ensure!(from.elapsed() < PATIENCE, "notifications were lost");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let arrived = arrived.lock().expect("nobody panics while reading");
    let last = arrived.values().max().context("there was one")?;
    let mut lags: Vec<u64> = changed.iter().map(|(id, at)| micros_between(*at, arrived[id])).collect();
    Ok(json!({
        "notices": changed.len(),
        "elapsed_us": micros_between(from, *last),
        "p50_us": median(&mut lags),
        "p99_us": per_mille(&mut lags, 990),
    }))
}
