//! From the payment to the goods, as one buyer sees it: one order at a time, watched live.
//!
//! The clock starts when the payment is sent to the simulated chain, which is before it is confirmed there: what is
//! told here is never shorter than what is asked for.

use crate::http::{Connection, EventStream};
use crate::order;
use crate::timing::{median, micros, per_mille};
use anyhow::ensure;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Instant;

const DONE: &[u8] = b"\"order_state\":\"Done\"";
/// Orders before the first that counts: connections, caches and statements are made by then.
const WARM_UP: u64 = 5;

#[derive(clap::Args)]
pub struct SettleArgs {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    orders: u64,
}

pub async fn run(arguments: &SettleArgs) -> anyhow::Result<Value> {
    ensure!(arguments.orders > 0, "--orders must be 1 or more");
    let mut connection = Connection::open(arguments.address).await?;
    let (mut from_request, mut from_answer) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + arguments.orders {
        let id = order::place(&mut connection, number).await?;
        let mut stream = EventStream::open(arguments.address, &order::stream_path(&id)).await?;
        stream.wait_for_first().await?;
        let sent = Instant::now();
        connection.call(&order::payment(&id)).await?.success()?;
        let answered = Instant::now();
        stream.wait_for(DONE).await?;
        if number >= WARM_UP {
            from_request.push(micros(sent.elapsed()));
            from_answer.push(micros(answered.elapsed()));
        }
    }
    Ok(json!({
        "orders": from_request.len(),
        "p50_us": median(&mut from_request),
        "p99_us": per_mille(&mut from_request, 990),
        "from_answer_p99_us": per_mille(&mut from_answer, 990),
    }))
}
