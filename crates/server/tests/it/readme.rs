//! The example in the README of crate `api`: it is the file, and it buys.

#[path = "../../../api/examples/buy.rs"]
#[expect(dead_code, reason = "`main` is for `cargo run --example buy`")]
mod buy;

use crate::harness::Shop;
use crate::http::PATIENCE;
use server::store::orders;
use tokio::time::timeout;

const PAGE: &str = include_str!("../../../api/README.md");
const EXAMPLE: &str = include_str!("../../../api/examples/buy.rs");

#[test]
fn the_page_shows_the_example_as_it_is() {
    let shown = PAGE.split_once("```rust\n").and_then(|(_, rest)| rest.split_once("```\n")).map(|(code, _)| code);
    assert_eq!(shown, Some(EXAMPLE));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_buys_a_card() {
    let mut shop = Shop::open().await;
    let buying = tokio::spawn({
        let url = shop.url.clone();
        async move { buy::buy(&url, "ann@example.com").await.map_err(|error| error.to_string()) }
    });
    let order = first_order(&shop).await;
    crate::http::post(&shop.url, &format!("/sandbox/orders/{order}/pay"), "{}").await;
    shop.pump().await;
    let code = buying.await.expect("it ends").expect("it answers with a code");
    let shown = crate::http::get(&shop.url, &format!("/v5/orders/{order}")).await.json();
    assert_eq!(shown["deliveries"][0]["deliverable"]["pin_code"], code);
    shop.close().await;
}

/// The id of the order that somebody places.
async fn first_order(shop: &Shop) -> String {
    let mut news = shop.kiosk.engine.news();
    loop {
        news.mark_unchanged();
        let placed = shop.kiosk.engine.db.read(|tx| orders::newest(tx, i64::MAX, 1)).await.expect("a read");
        if let Some(order) = placed.first() {
            return order.id.expose();
        }
        timeout(PATIENCE, news.changed()).await.expect("an order in time").expect("the engine lives");
    }
}
