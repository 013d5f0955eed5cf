//! From the block with the payment to the goods, as one buyer sees it: one order at a time, watched live.
//!
//! The payment waits at the node, and the clock starts when the node is asked to mine: what is told here is never shorter
//! than what is asked for. The moments of mining are spread evenly over the time between two looks of the server.

use super::chain::Chain;
use super::wait_until;
use crate::http::{self, Connection, EventStream};
use crate::order;
use crate::timing::{median, micros, per_mille};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const DONE: &[u8] = b"\"order_state\":\"Done\"";
/// Orders before the first that counts: connections, caches and statements are made by then.
const WARM_UP: u64 = 5;
/// From one moment between two looks to the next order's; has no divisor in common with the time between looks.
const STRIDE_MS: u64 = 73;

#[derive(clap::Args)]
pub struct MinedArgs {
    #[arg(long)]
    address: SocketAddr,
    /// A fresh anvil that mines nothing by itself; the shop's node.
    #[arg(long)]
    node: SocketAddr,
    #[arg(long)]
    orders: u64,
    /// Milliseconds between two looks of the server.
    #[arg(long)]
    spread_ms: u64,
}

pub async fn run(arguments: &MinedArgs) -> anyhow::Result<Value> {
    ensure!(arguments.orders > 0 && arguments.spread_ms > 0, "--orders and --spread-ms must be 1 or more");
    let mut chain = Chain::begin(arguments.node).await?;
    wait_until(arguments.address, |standing| standing.is_open).await?;
    let mut connection = Connection::open(arguments.address).await?;
    let (mut from_request, mut from_answer) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + arguments.orders {
        let order = place(&mut connection, number).await?;
        let mut stream = EventStream::open(arguments.address, &order::stream_path(&order.id)).await?;
        stream.wait_for_first().await?;
        chain.pay(&order.to, order.raw).await?;
        tokio::time::sleep(Duration::from_millis(number * STRIDE_MS % arguments.spread_ms)).await;
        let asked = Instant::now();
        chain.mine(1).await?;
        let mined = Instant::now();
        stream.wait_for(DONE).await?;
        if number >= WARM_UP {
            from_request.push(micros(asked.elapsed()));
            from_answer.push(micros(mined.elapsed()));
        }
    }
    Ok(json!({
        "orders": from_request.len(),
        "p50_us": median(&mut from_request),
        "p99_us": per_mille(&mut from_request, 990),
        "from_answer_p99_us": per_mille(&mut from_answer, 990),
    }))
}

/// What a payer has to know.
struct Due {
    id: String,
    to: String,
    /// As the token counts it.
    raw: u128,
}

/// Places an order of one card of the own stock.
async fn place(connection: &mut Connection, number: u64) -> anyhow::Result<Due> {
    let (buyer, process) = (order::buyer(number), std::process::id());
    let body = json!({
        "email": buyer,
        "user": { "email": buyer, "has_accepted_newsletter": false },
        "payment": { "type": "via", "payment_via": "USER_WALLET", "coin": "USDC", "network": super::NETWORK },
        "deliveries": [{
            "brand_name": "Airbnb", "country_code": "US", "denomination": "100 USD", "beneficiary_account": buyer,
        }],
        "lang": "en",
    });
    let headers = format!("x-cr-application: {}\r\nidempotency-key: \"{process}-mined-{number}\"\r\n", order::PARTNER);
    let answer = connection.call(&http::post("/v5/orders", &headers, &body.to_string())).await?;
    let placed: Value = serde_json::from_slice(answer.success()?).context("an order is not JSON")?;
    let text = |name: &str| placed[name].as_str().with_context(|| format!("an order has no {name}"));
    // EIP-681: the request for a payment names the amount as the token counts it.
    let (_, raw) = text("qr_text")?.rsplit_once("uint256=").context("the request for a payment names no amount")?;
    let raw = raw.parse::<u128>().context("the amount of a payment is no number")?;
    Ok(Due { id: text("order_id")?.to_owned(), to: text("wallet_address")?.to_owned(), raw })
}
