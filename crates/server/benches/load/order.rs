//! The order that every measurement places: one range card of the synthetic catalogue, delivered by the sandbox's
//! supplier, so that no stock is held and none runs out.

use crate::http::{self, Connection};
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;

/// Sent as `X-Cr-Application`.
pub const PARTNER: &str = "bench";
/// Connections that set-up work goes over: enough to batch commits, few enough to be a small crowd.
pub const HANDS: usize = 32;

/// A buyer of their own for each order, as in a shop.
pub fn buyer(number: u64) -> String {
    format!("buyer-{number}@example.com")
}

/// The body of `POST /v5/orders` in the flat form (contract 3.9).
pub fn body(buyer: &str) -> String {
    format!(
        r#"{{"email":"{buyer}","user":{{"email":"{buyer}","has_accepted_newsletter":false}},"payment":{{"type":"via","payment_via":"USER_WALLET","coin":"USDC","network":"Solana"}},"deliveries":[{{"brand_name":"Amber Anchor","country_code":"US","denomination":"range","product_value":50,"beneficiary_account":"{buyer}"}}],"lang":"en"}}"#
    )
}

/// The whole request. The key belongs to this process alone, so that two runs against one server never meet.
pub fn request(number: u64) -> Vec<u8> {
    let process = std::process::id();
    let headers = format!("x-cr-application: {PARTNER}\r\nidempotency-key: \"{process}-{number}\"\r\n");
    http::post("/v5/orders", &headers, &body(&buyer(number)))
}

/// Pays an order on the simulated chain, whole and at once.
pub fn payment(order_id: &str) -> Vec<u8> {
    http::post(&format!("/sandbox/orders/{order_id}/pay"), "", "{}")
}

/// Where an order is watched.
pub fn stream_path(order_id: &str) -> String {
    format!("/v5/orders/{order_id}/subscribe")
}

/// Places one order; answers its id.
pub async fn place(connection: &mut Connection, number: u64) -> anyhow::Result<String> {
    let answer = connection.call(&request(number)).await?;
    id_of(answer.success()?)
}

/// Places many, over a few connections, and polls each once; answers their ids.
pub async fn place_many(address: SocketAddr, count: usize) -> anyhow::Result<Vec<String>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut hands = JoinSet::new();
    for _ in 0..HANDS.min(count) {
        let next = next.clone();
        hands.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut placed = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<_, anyhow::Error>(placed);
                }
                let id = place(&mut connection, number as u64).await?;
                connection.call(&http::get(&format!("/v5/orders/{id}"))).await?.success()?;
                placed.push(id);
            }
        });
    }
    let mut ids = Vec::with_capacity(count);
    while let Some(placed) = hands.join_next().await {
        ids.extend(placed.context("a client ended badly")??);
    }
    Ok(ids)
}

fn id_of(body: &[u8]) -> anyhow::Result<String> {
    const NAME: &str = "\"order_id\":\"";
    const ID_BYTES: usize = 36;
    let text = std::str::from_utf8(body).context("an order is not text")?;
    let start = text.find(NAME).context("an order has no order_id")? + NAME.len();
    Ok(text.get(start..start + ID_BYTES).context("an order_id is cut off")?.to_owned())
}
