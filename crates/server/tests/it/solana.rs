//! Stories of payments on the real Solana runtime: exact, short, over, late, twice, with the wrong mint, two orders at once,
//! a mint that keeps a fee, while the node is away. Everything comes in over HTTP or is run by the token programs
//! themselves, and is noticed by the real watcher. Without `KIOSK_TEST_LITESVM` nothing is tested here; nodes that lie have
//! tests of their own beside the adapter.
//!
//! What is shown is finalized: a payment is seen and counts at the same moment.

mod node;

use crate::harness::{Folder, START, Shop};
use crate::http::{Wanted, get, place, request, row};
use crate::payments::standing;
use api::PaymentChoice;
use domain::money::raw_units;
use domain::time::Span;
use node::Front;
use serde_json::{Value, json};
use server::config::Config;
use server::ports::Clock;
use server::store::transfers;
use server::wallet::solana::SolanaAddress;
use server::wallet::throwaway_solana_address;

/// Own stock, 100 USD and 1.5 %: 101.50 are due.
const CARD: Wanted<'static> = ("Airbnb", "100 USD", "ann@example.com");
const DONE: &str = "Done PaymentReceived 101.50 {} 0";
const WAITING: &str = "WaitingForPayment WalletCreated 0 {} 0";

/// The genesis hash of `front.mjs`: 32 bytes of 7.
const GENESIS: &str = "US517G5965aydkZ46HS38QLi7UQiSojurfbQfKCELFx";

/// A shop on a chain of its own. Clock and chain move together.
struct Story {
    node: Front,
    shop: Shop,
    slot: i64,
    usdc: String,
    /// Of Token-2022; it keeps one percent of each transfer.
    pyusd: String,
    look_alike: String,
    unlisted: String,
}

impl Story {
    /// `None` where there is no node.
    async fn open() -> Option<Story> {
        let folder = Folder::new();
        let node = Front::start(&folder.0)?;
        let (usdc, pyusd) = (node.token("token", 0).await, node.token("token-2022", 100).await);
        let (look_alike, unlisted) = (node.token("token", 0).await, node.token("token", 0).await);
        node.finalize(100, START.unix_seconds() - 10).await;
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://shop.test\"\ncalls_per_second = 10000\n\
             calls_burst = 10000\nunpaid_products_per_visitor = 5000\n\
             [[networks]]\nname = \"Solana\"\nkind = \"solana\"\ngenesis = \"{GENESIS}\"\nrpc = \"{}\"\n\
             [[networks.tokens]]\ncoin = \"USDC\"\nmint = \"{usdc}\"\ndecimals = 6\n\
             [[networks.tokens]]\ncoin = \"PYUSD\"\nmint = \"{pyusd}\"\ndecimals = 6\nprogram = \"token-2022\"\n\
             [[networks.look_alikes]]\nname = \"USDC.e\"\nmint = \"{look_alike}\"\ndecimals = 6\n",
            node.url,
        );
        let mut config = Config::parse(&text, std::iter::empty()).expect("the story's configuration");
        config.server.data_dir = folder.0.join("data");
        let shop = Shop::open_at(folder, config, START).await;
        // `front.mjs` has their keys, too.
        let address = |number: u8| SolanaAddress::parse(&throwaway_solana_address([number; 32])).expect("an address");
        let addresses: Vec<SolanaAddress> = (1..=20).map(address).collect();
        shop.kiosk.pools.import(&addresses).await.expect("a pool that was made offline");
        let mut story = Story { node, shop, slot: 100, usdc, pyusd, look_alike, unlisted };
        story.finalize().await;
        Some(story)
    }

    /// What was sent is run a second later, then everybody works.
    async fn finalize(&mut self) {
        self.slot += 3;
        self.node.finalize(self.slot, self.shop.clock.now().unix_seconds() + 1).await;
        self.shop.after(Span::seconds(1)).await;
    }

    async fn order(&self, buyer: &str) -> api::Order {
        place(&self.shop, buyer, &[CARD]).await
    }

    async fn order_in(&self, coin: &str, buyer: &str) -> api::Order {
        let mut wanted = request(buyer, &[CARD]);
        wanted.payment = PaymentChoice::via("USER_WALLET", coin, Some("Solana"));
        self.shop.client.create_order(&wanted, None).await.expect("the order is taken")
    }

    /// Where to pay, and what is due as the chain counts it.
    async fn due(&self, order: &api::Order) -> (String, u128) {
        let row = row(&self.shop, order).await;
        let raw = raw_units(row.quote.due_units, row.quote.scale, 6);
        (row.address.clone(), raw.parse().expect("an amount"))
    }

    /// Pays so many percent of what is due in USDC.
    async fn pay(&self, order: &api::Order, percent: u128) {
        self.pay_by(order, percent, json!({})).await;
    }

    async fn pay_by(&self, order: &api::Order, percent: u128, options: Value) {
        let (to, raw) = self.due(order).await;
        self.node.pay(&[(self.usdc.as_str(), to.as_str(), raw * percent / 100)], options).await;
    }

    async fn expect(&self, order: &api::Order, expected: &str, name: &str) {
        assert_eq!(standing(&self.shop, order).await, expected, "{name}");
    }

    /// What arrived for an order, in ledger units.
    async fn arrived(&self, order: &api::Order) -> Vec<i64> {
        let id = row(&self.shop, order).await.id;
        let found = self.shop.kiosk.engine.db.read(move |tx| transfers::of_order(tx, id)).await;
        found.expect("the database answers").iter().map(|fact| fact.units).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_of_every_kind_end_as_on_the_other_chains() {
    let Some(mut story) = Story::open().await else { return };

    let exact = story.order("exact@example.com").await;
    story.expect(&exact, WAITING, "placed").await;
    story.pay(&exact, 100).await;
    story.shop.after(Span::seconds(2)).await;
    story.expect(&exact, WAITING, "not finalized yet").await;
    story.finalize().await;
    story.expect(&exact, DONE, "exact").await;

    let short = story.order("short@example.com").await;
    story.pay(&short, 50).await;
    story.finalize().await;
    story.expect(&short, "PartialPaymentStarted PaymentRequested 50.75 {Short} 50750000", "short").await;
    story.pay(&short, 50).await;
    story.finalize().await;
    story.expect(&short, DONE, "the rest").await;

    let over = story.order("over@example.com").await;
    story.pay(&over, 150).await;
    story.finalize().await;
    story.expect(&over, "Done PaymentReceived 152.25 {Over} 50750000", "half too much").await;

    let twice = story.order("twice@example.com").await;
    story.pay(&twice, 100).await;
    story.pay(&twice, 100).await;
    story.finalize().await;
    story.expect(&twice, "Done PaymentReceived 203.00 {Over, Second} 101500000", "twice in one slot").await;

    let wrong = story.order("wrong@example.com").await;
    let (to, raw) = story.due(&wrong).await;
    story.node.pay(&[(story.unlisted.as_str(), to.as_str(), raw)], json!({})).await;
    story.finalize().await;
    assert!(story.arrived(&wrong).await.is_empty(), "nobody looks for a mint that is not listed");
    story.node.pay(&[(story.look_alike.as_str(), to.as_str(), raw)], json!({})).await;
    story.finalize().await;
    story.expect(&wrong, "WaitingForPayment PaymentRequested 0 {WrongAsset} 0", "a look-alike").await;
    story.pay(&wrong, 100).await;
    story.finalize().await;
    story.expect(&wrong, "Done PaymentReceived 101.50 {WrongAsset} 0", "then the right one").await;

    let late = story.order("late@example.com").await;
    story.shop.after(Span::minutes(35)).await;
    story.pay(&late, 100).await;
    story.finalize().await;
    story.expect(&late, "Done PaymentReceived 101.50 {Late} 0", "five minutes late").await;
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_transfer_counts_by_what_arrives() {
    let Some(mut story) = Story::open().await else { return };
    for (name, options) in [("plain", json!({ "plain": true })), ("versioned", json!({ "table": true }))] {
        let order = story.order(&format!("{name}@example.com")).await;
        story.pay_by(&order, 100, options).await;
        story.finalize().await;
        story.expect(&order, DONE, name).await;
    }
    let (one, other) = (story.order("one@example.com").await, story.order("other@example.com").await);
    let ((to_one, raw), (to_other, _)) = (story.due(&one).await, story.due(&other).await);
    story
        .node
        .pay(&[(story.usdc.as_str(), to_one.as_str(), raw), (story.usdc.as_str(), to_other.as_str(), raw)], json!({}))
        .await;
    story.finalize().await;
    story.expect(&one, DONE, "one of two in one transaction").await;
    story.expect(&other, DONE, "the other").await;

    let inner = story.order("inner@example.com").await;
    let (to, raw) = story.due(&inner).await;
    story.node.pay_inner(&story.usdc, &story.unlisted, &to, raw).await;
    story.finalize().await;
    story.expect(&inner, DONE, "by an inner instruction").await;

    // One percent of 102.525253, rounded up, is 1.025253.
    let order = story.order_in("PYUSD", "fee@example.com").await;
    let (to, _) = story.due(&order).await;
    story.node.pay(&[(story.pyusd.as_str(), to.as_str(), 102_525_253)], json!({})).await;
    story.finalize().await;
    story.expect(&order, DONE, "what arrived after the fee").await;
    let order = story.order_in("PYUSD", "less@example.com").await;
    let (to, raw) = story.due(&order).await;
    story.node.pay(&[(story.pyusd.as_str(), to.as_str(), raw)], json!({})).await;
    story.finalize().await;
    assert_eq!(story.arrived(&order).await, [100_485_000], "101.50 were sent, and 1.015 kept");

    // More than the payer has: the transaction fails, and stands in the account's history all the same.
    let order = story.order("failed@example.com").await;
    let (to, raw) = story.due(&order).await;
    story.pay(&order, 50).await;
    story.node.pay(&[(story.usdc.as_str(), to.as_str(), 9_000_000_000_000_000_000)], json!({})).await;
    story.pay(&order, 50).await;
    story.finalize().await;
    assert_eq!(story.arrived(&order).await, [i64::try_from(raw / 2).expect("it is small"); 2]);
    story.expect(&order, DONE, "beside a failed one").await;
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_node_loses_nobodys_payment() {
    let Some(mut story) = Story::open().await else { return };
    assert_eq!(get(&story.shop.url, "/readyz").await.json()["networks"]["Solana"], json!("ok"));
    let order = story.order("ann@example.com").await;
    story.node.stop();
    story.shop.after(Span::minutes(40)).await;
    story.expect(&order, WAITING, "nobody saw that it was not paid").await;
    assert_eq!(get(&story.shop.url, "/readyz").await.json()["networks"]["Solana"], json!("down"));
    story.node.start_again();
    story.pay(&order, 100).await;
    // Run while the shop could not look.
    story.node.finalize(story.slot + 1, START.unix_seconds() + 300).await;
    story.slot += 1;
    story.shop.pump().await;
    story.expect(&order, DONE, "by the time of its slot").await;
    story.finalize().await;
    let late = story.order("bob@example.com").await;
    story.shop.after(Span::minutes(40)).await;
    story.finalize().await;
    story.expect(&late, "Expired Expired 0 {} 0", "never paid, and looked at").await;
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_looked_at_for_ever() {
    let Some(mut story) = Story::open().await else { return };
    let order = story.order("ann@example.com").await;
    // How long after the last look it is paid, and when that is noticed at the latest.
    let hours = Span::hours;
    for (number, (paid_after, noticed_after)) in
        [(hours(5), Span::minutes(5)), (hours(40), hours(24)), (hours(100 * 24), hours(7 * 24))].into_iter().enumerate()
    {
        story.shop.after(paid_after).await;
        story.finalize().await;
        story.pay(&order, 10).await;
        story.finalize().await;
        story.shop.after(noticed_after).await;
        story.finalize().await;
        assert_eq!(story.arrived(&order).await, vec![10_150_000; number + 1], "payment {number}");
    }
    story.shop.close().await;
}
