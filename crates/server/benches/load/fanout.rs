//! From a change to the last of its watchers.

use crate::http::{self, Connection, EventStream};
use crate::order;
use crate::streams::{Server, open_all};
use crate::timing::{median, micros_between};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Everybody waits before the change is made.
const REST: Duration = Duration::from_millis(300);
/// In every message of an order from the first one on that shows its money confirmed.
pub const PAID: &str = "\"payment_state\":\"PaymentReceived\"";

#[derive(clap::Args)]
pub struct FanoutArgs {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    server: Server,
    /// Where orders are placed and paid, if not at that address: the shop behind a gateway.
    #[arg(long)]
    shop: Option<SocketAddr>,
    #[arg(long)]
    watchers: usize,
    /// How often; the answer is the median.
    #[arg(long)]
    rounds: u64,
    /// Size of the message that is published through nchan; an order's is as long as it is.
    #[arg(long, default_value_t = 0)]
    message_bytes: usize,
}

/// A change, ready to be made.
struct Change {
    path: String,
    request: Vec<u8>,
    /// What the message of the change holds, and no message before it.
    word: String,
}

pub async fn run(arguments: &FanoutArgs) -> anyhow::Result<Value> {
    ensure!(arguments.watchers > 0 && arguments.rounds > 0, "--watchers and --rounds must be 1 or more");
    let mut connection = Connection::open(arguments.shop.unwrap_or(arguments.address)).await?;
    let (mut last_us, mut first_us, mut message_bytes) = (Vec::new(), Vec::new(), 0);
    for round in 0..arguments.rounds {
        let change = change(arguments, &mut connection, round).await?;
        let streams = open_all(arguments.address, vec![change.path.clone(); arguments.watchers]).await?;
        let received = watch(streams, change.word.clone());
        tokio::time::sleep(REST).await;
        let sent = Instant::now();
        connection.call(&change.request).await?.success()?;
        let received = join(received).await?;
        let times = received.iter().map(|(at, _)| micros_between(sent, *at));
        last_us.push(times.clone().max().unwrap_or(0));
        first_us.push(times.min().unwrap_or(0));
        message_bytes = received.iter().map(|(_, bytes)| *bytes).min().unwrap_or(0);
    }
    Ok(json!({
        "last_us": median(&mut last_us),
        "first_us": median(&mut first_us),
        "message_bytes": message_bytes,
    }))
}

async fn change(arguments: &FanoutArgs, connection: &mut Connection, round: u64) -> anyhow::Result<Change> {
    match arguments.server {
        Server::Kiosk => {
            let id = order::place(connection, round).await?;
            let (path, request) = (order::stream_path(&id), order::payment(&id));
            Ok(Change { path, request, word: PAID.to_owned() })
        }
        Server::Nchan => {
            // Watchers of an earlier run never hear of this one.
            let name = format!("fanout-{}-{}-{round}", std::process::id(), arguments.watchers);
            let word = format!("\"round\":\"{name}\"");
            let padding = arguments.message_bytes.saturating_sub(word.len() + "{,\"more\":\"\"}".len());
            let message = format!("{{{word},\"more\":\"{}\"}}", "x".repeat(padding));
            let request = http::post(&format!("/publish/{name}"), "", &message);
            Ok(Change { path: format!("/watch/{name}"), request, word })
        }
    }
}

type Received = anyhow::Result<(Instant, usize)>;

fn watch(streams: Vec<EventStream>, word: String) -> JoinSet<Received> {
    let mut watchers = JoinSet::new();
    for mut stream in streams {
        let word = word.clone();
        watchers.spawn(async move {
            let bytes = stream.wait_for(word.as_bytes()).await?;
            Ok((Instant::now(), bytes))
        });
    }
    watchers
}

async fn join(mut watchers: JoinSet<Received>) -> anyhow::Result<Vec<(Instant, usize)>> {
    let mut received = Vec::with_capacity(watchers.len());
    while let Some(watcher) = watchers.join_next().await {
        received.push(watcher.context("a watcher ended badly")??);
    }
    Ok(received)
}
