//! Stories of payments on a real EVM node: exact, short, over, late, twice, with the wrong token, reorganised, while the
//! node is away. Everything comes in over HTTP or is mined, and is noticed by the real watcher. Without
//! `KIOSK_TEST_ANVIL` nothing is tested here; nodes that lie have tests of their own beside the adapter.
//!
//! The words are those of the stories of the sandbox (`payments`): a chain is a chain.

mod node;

use crate::audit::audited;
use crate::harness::{Folder, START, Shop};
use crate::http::{Wanted, get, place, request, row, show};
use crate::payments::standing;
use api::PaymentChoice;
use domain::money::raw_units;
use domain::reasons::Reason;
use domain::time::{Span, Time};
use node::{Anvil, Token};
use serde_json::{Value, json};
use server::cli::{network, order};
use server::config::Config;
use server::ports::Clock;

/// Own stock, 100 USD and 1.5 %: 101.50 are due.
const CARD: Wanted<'static> = ("Airbnb", "100 USD", "ann@example.com");
const DONE: &str = "Done PaymentReceived 101.50 {} 0";
const WAITING: &str = "WaitingForPayment WalletCreated 0 {} 0";

/// Of BIP-32's first test vector, m/0'/1/2'. Not that of the words that development nodes start with: the payers are theirs.
const XPUB: &str =
    "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5";
/// The operator's own wallet.
const COLD: &str = "0x00000000000000000000000000000000000c01d0";

/// A shop on a chain of its own. Clock and chain move together, a second for each block.
struct Story {
    node: Anvil,
    shop: Shop,
    usdc: Token,
    usdt: Token,
    dai: Token,
    look_alike: Token,
}

impl Story {
    /// `None` where there is no node. `more` goes into the network's settings.
    async fn open(more: &str) -> Option<Story> {
        let folder = Folder::new();
        let genesis = START.unix_seconds() - 100;
        let node = Anvil::start(&folder.0, genesis).await?;
        let usdc = node.deploy("TestToken", 6, genesis + 1).await;
        let usdt = node.deploy("SilentToken", 6, genesis + 3).await;
        let dai = node.deploy("TestToken", 18, genesis + 5).await;
        let look_alike = node.deploy("TestToken", 6, genesis + 7).await;
        let token = |coin: &str, token: &Token| {
            let (contract, decimals) = (&token.contract, token.decimals);
            format!("[[networks.tokens]]\ncoin = \"{coin}\"\ncontract = \"{contract}\"\ndecimals = {decimals}\n")
        };
        let tokens = [token("USDC", &usdc), token("USDT", &usdt), token("DAI", &dai)].concat();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://shop.test\"\ncalls_per_second = 10000\n\
             calls_burst = 10000\nunpaid_products_per_visitor = 5000\n\
             [wallet]\nevm_xpub = \"{XPUB}\"\n\
             [[networks]]\nname = \"Base\"\nkind = \"evm\"\nchain_id = 8453\nrpc = \"{}\"\nconfirmations = 2\n{more}\n\
             {tokens}[[networks.look_alikes]]\nname = \"USDbC\"\ncontract = \"{}\"\ndecimals = 6\n",
            node.url, look_alike.contract,
        );
        let mut config = Config::parse(&text, std::iter::empty()).expect("the story's configuration");
        config.server.data_dir = folder.0.join("data");
        let shop = Shop::open_at(folder, config, START).await;
        let mut story = Story { node, shop, usdc, usdt, dai, look_alike };
        story.mine(1).await;
        Some(story)
    }

    /// Mines, then everybody works.
    async fn mine(&mut self, count: u32) {
        self.node.mine(count, self.now() + 1).await;
        self.shop.after(Span::seconds(i64::from(count))).await;
    }

    fn now(&self) -> i64 {
        self.shop.clock.now().unix_seconds()
    }

    async fn order(&self, buyer: &str) -> api::Order {
        place(&self.shop, buyer, &[CARD]).await
    }

    async fn order_in(&self, coin: &str, buyer: &str) -> api::Order {
        let mut wanted = request(buyer, &[CARD]);
        wanted.payment = PaymentChoice::via("USER_WALLET", coin, Some("Base"));
        self.shop.client.create_order(&wanted, None).await.expect("the order is taken")
    }

    /// Where to pay, and what is due as the chain counts it.
    async fn due(&self, order: &api::Order, token: &Token) -> (String, u128) {
        let row = row(&self.shop, order).await;
        let raw = raw_units(row.quote.due_units, row.quote.scale, token.decimals);
        (row.address.clone(), raw.parse().expect("an amount"))
    }

    /// Pays so many percent of what is due in USDC, to be mined next.
    async fn pay(&self, order: &api::Order, percent: u128) -> Value {
        let (to, raw) = self.due(order, &self.usdc).await;
        self.node.pay(&self.usdc, &to, raw * percent / 100).await
    }

    /// What the ledger says was swept, of each asset.
    async fn swept(&self) -> Vec<i64> {
        let sql = "select debit_units - credit_units from balances where account = 'cold:eip155:8453' order by asset";
        let rows = self.shop.kiosk.engine.db.read(move |tx| tx.query(sql, &[])).await.expect("the ledger is read");
        rows.iter().map(|row| row.int(0)).collect()
    }

    async fn expect(&self, order: &api::Order, expected: &str, name: &str) {
        assert_eq!(standing(&self.shop, order).await, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_of_every_kind_end_as_on_the_simulated_chains() {
    let Some(mut story) = Story::open("").await else { return };

    let exact = story.order("exact@example.com").await;
    story.expect(&exact, WAITING, "placed").await;
    story.pay(&exact, 100).await;
    story.mine(1).await;
    story.expect(&exact, "PaymentStarted PaymentRequested 101.50 {} 0", "one block").await;
    story.mine(1).await;
    story.expect(&exact, DONE, "exact").await;

    let short = story.order("short@example.com").await;
    story.pay(&short, 50).await;
    story.mine(2).await;
    story.expect(&short, "PartialPaymentStarted PaymentRequested 50.75 {Short} 50750000", "short").await;
    story.pay(&short, 50).await;
    story.mine(2).await;
    story.expect(&short, DONE, "the rest").await;

    let over = story.order("over@example.com").await;
    story.pay(&over, 150).await;
    story.mine(2).await;
    story.expect(&over, "Done PaymentReceived 152.25 {Over} 50750000", "half too much").await;

    let twice = story.order("twice@example.com").await;
    story.pay(&twice, 100).await;
    story.pay(&twice, 100).await;
    story.mine(2).await;
    story.expect(&twice, "Done PaymentReceived 203.00 {Over, Second} 101500000", "twice in one block").await;

    let wrong = story.order("wrong@example.com").await;
    let (to, raw) = story.due(&wrong, &story.look_alike).await;
    story.node.pay(&story.look_alike, &to, raw).await;
    story.mine(2).await;
    story.expect(&wrong, "WaitingForPayment PaymentRequested 0 {WrongAsset} 0", "a look-alike").await;
    story.pay(&wrong, 100).await;
    story.mine(2).await;
    story.expect(&wrong, "Done PaymentReceived 101.50 {WrongAsset} 0", "then the right one").await;

    let late = story.order("late@example.com").await;
    story.shop.after(Span::minutes(35)).await;
    story.pay(&late, 100).await;
    story.mine(2).await;
    story.expect(&late, "Done PaymentReceived 101.50 {Late} 0", "five minutes late").await;
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_token_and_transfer_counts() {
    let Some(mut story) = Story::open("").await else { return };
    for (coin, token) in [("USDT", story.usdt.clone()), ("DAI", story.dai.clone())] {
        let order = story.order_in(coin, &format!("{coin}@example.com")).await;
        let (to, raw) = story.due(&order, &token).await;
        story.node.pay(&token, &to, raw).await;
        story.mine(2).await;
        story.expect(&order, DONE, coin).await;
    }
    let (one, other) = (story.order("one@example.com").await, story.order("other@example.com").await);
    let ((to_one, raw), (to_other, _)) = (story.due(&one, &story.usdc).await, story.due(&other, &story.usdc).await);
    story.node.pay_both(&story.usdc, (&to_one, raw), (&to_other, raw)).await;
    story.mine(2).await;
    story.expect(&one, DONE, "one of two in one transaction").await;
    story.expect(&other, DONE, "the other").await;

    let authorized = story.order("authorized@example.com").await;
    let (to, raw) = story.due(&authorized, &story.usdc).await;
    story.node.pay_by_authorization(&story.usdc, &to, raw).await;
    story.mine(2).await;
    story.expect(&authorized, DONE, "by EIP-3009").await;
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_asks_the_chain_itself() {
    let Some(mut story) = Story::open("").await else { return };
    for (coin, token) in [("USDC", story.usdc.clone()), ("USDT", story.usdt.clone()), ("DAI", story.dai.clone())] {
        let order = story.order_in(coin, &format!("{coin}@example.com")).await;
        let (to, raw) = story.due(&order, &token).await;
        story.node.pay(&token, &to, raw).await;
        story.mine(2).await;
        story.expect(&order, DONE, coin).await;
    }
    // What is newer is not asked about yet.
    story.mine(20).await;
    assert!(audited(&story.shop).await.is_empty());
    // The smallest part of a token with 18 decimals, of which the ledger knows nothing.
    let damage = "update chain_transfers set raw = '101500000000000000001' where raw = '101500000000000000000'";
    story.shop.kiosk.engine.write(move |tx| tx.execute(damage, &[])).await.expect("it is written");
    let found = audited(&story.shop).await;
    let asset = format!("chain|eip155:8453/erc20:{}|", story.dai.contract.to_lowercase());
    assert!(found.len() == 1 && found[0].starts_with(&asset), "{found:?}");
    assert_eq!(how(&story.shop).await, (503, "differs".to_owned(), true, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn reorganisations_before_and_after_confirmation() {
    let Some(mut story) = Story::open("").await else { return };

    let gone = story.order("gone@example.com").await;
    story.pay(&gone, 100).await;
    story.mine(1).await;
    story.node.reorganise(1, &[]).await;
    story.mine(2).await;
    story.expect(&gone, "PaymentStarted PaymentRequested 0 {Reverted} 0", "gone before it counted").await;
    // Another transaction first: with the same number, the second payment would be the first one again.
    story.node.pay(&story.usdt, &story.usdc.contract, 1).await;
    story.pay(&gone, 100).await;
    story.mine(2).await;
    story.expect(&gone, "Done PaymentReceived 101.50 {Reverted} 0", "paid again").await;

    let moved = story.order("moved@example.com").await;
    let hash = story.pay(&moved, 100).await;
    story.mine(2).await;
    story.expect(&moved, DONE, "confirmed").await;
    let raw = story.node.ask("eth_getRawTransactionByHash", json!([hash])).await;
    story.node.reorganise(2, &[(raw, 1)]).await;
    story.mine(2).await;
    story.expect(&moved, DONE, "in another block").await;

    let smaller = story.order("smaller@example.com").await;
    story.pay(&smaller, 100).await;
    story.mine(2).await;
    story.expect(&smaller, DONE, "confirmed").await;
    let (to, raw) = story.due(&smaller, &story.usdc).await;
    let less = story.node.payment(&story.usdc, &to, raw / 2);
    story.node.reorganise(2, &[(less, 0)]).await;
    story.mine(2).await;
    let held = "Done PaymentReceived 50.75 {Short, Reverted} -50750000, held: PaymentReverted";
    story.expect(&smaller, held, "replaced by a smaller one").await;

    let last = story.order("last@example.com").await;
    story.pay(&last, 100).await;
    story.mine(2).await;
    story.node.reorganise(2, &[]).await;
    story.mine(2).await;
    let held = "Done PaymentReceived 0 {Reverted} -101500000, held: PaymentReverted";
    story.expect(&last, held, "gone after the delivery").await;
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_sweeps_is_booked_and_booked_back() {
    let Some(mut story) = Story::open("").await else { return };
    let order = story.order("ann@example.com").await;
    story.pay(&order, 100).await;
    story.mine(2).await;
    story.expect(&order, DONE, "paid").await;
    assert_eq!(story.swept().await, Vec::<i64>::new());
    let (deposit, raw) = story.due(&order, &story.usdc).await;
    story.node.sweep(&story.usdc, &deposit, COLD, raw).await;
    story.mine(1).await;
    assert_eq!(story.swept().await, Vec::<i64>::new(), "one block");
    story.mine(1).await;
    assert_eq!(story.swept().await, [101_500_000_i64]);
    story.expect(&order, DONE, "what leaves the address is no matter of the order").await;
    story.node.reorganise(2, &[]).await;
    story.mine(2).await;
    assert_eq!(story.swept().await, [0_i64], "it never left");
    story.expect(&order, DONE, "the payment is older").await;
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_count_is_shown_and_not_counted() {
    let Some(mut story) = Story::open("").await else { return };
    let now = story.now();
    let unlisted = story.node.deploy("TestToken", 6, now + 1).await;
    story.shop.after(Span::seconds(2)).await;
    let order = story.order("ann@example.com").await;
    let (to, raw) = story.due(&order, &story.usdc).await;
    story.node.give(&to, 7_000_000_000).await;
    story.node.pay(&unlisted, &to, raw).await;
    story.mine(2).await;
    story.expect(&order, WAITING, "nothing of it counts").await;
    story.shop.after(Span::minutes(40)).await;
    story.mine(1).await;
    story.expect(&order, "Expired Expired 0 {} 0", "it was looked at when it expired").await;
    let no = row(&story.shop, &order).await.no.to_string();
    let text = order::show(&story.shop.kiosk, &no, "").await.expect("the order");
    let coin = "7000000000 of the smallest unit of the network's own coin lay there";
    let token = format!("{raw} of the smallest unit of a token that is not listed");
    assert!(text.contains(coin) && text.contains(&token), "{text}");
    assert!(text.to_lowercase().contains(&unlisted.contract.to_lowercase()), "{text}");
    assert!(text.contains(Reason::WrongAsset.words().for_operator), "{text}");

    // On demand, for an order that is open still.
    let open = story.order("bob@example.com").await;
    let (to, _) = story.due(&open, &story.usdc).await;
    story.node.give(&to, 5).await;
    story.mine(1).await;
    let no = row(&story.shop, &open).await.no.to_string();
    let shown = order::show(&story.shop.kiosk, &no, "").await.expect("the order");
    assert!(!shown.contains("own coin"), "{shown}");
    order::notice(&story.shop.kiosk, &no, "").await.expect("a look is planned");
    story.shop.pump().await;
    let shown = order::show(&story.shop.kiosk, &no, "").await.expect("the order");
    assert!(shown.contains("5 of the smallest unit of the network's own coin"), "{shown}");
    story.expect(&open, WAITING, "it changes nothing").await;
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_scanned_anew_beside_a_running_server() {
    let Some(mut story) = Story::open("").await else { return };
    let order = story.order("ann@example.com").await;
    story.pay(&order, 100).await;
    story.mine(2).await;
    story.expect(&order, DONE, "paid").await;
    let told = network::rescan(&story.shop.kiosk, "Base", 1).await.expect("a network that was scanned");
    assert!(told.contains("scanned anew from block 1 on") && told.contains("101500000 units"), "{told}");
    let listed = network::list(&story.shop.kiosk).await.expect("a list");
    assert!(listed.contains("scanned anew from block 1 on"), "{listed}");
    story.mine(1).await;
    let listed = network::list(&story.shop.kiosk).await.expect("a list");
    assert!(listed.contains("scanned to block"), "{listed}");
    story.expect(&order, DONE, "what counted goes on to count, once").await;
    for (name, from, expected) in [("Bass", 1, "there are: Base"), ("Base", 1_000_000, "begin there or earlier")] {
        let error = network::rescan(&story.shop.kiosk, name, from).await.expect_err("it cannot be");
        assert!(error.to_string().contains(expected), "{error}");
    }
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_the_payment_window_loses_nobodys_payment() {
    let Some(mut story) = Story::open("").await else { return };
    let order = story.order("ann@example.com").await;
    let in_time = story.now() + 300;
    story.node.stop();
    story.shop.after(Span::minutes(40)).await;
    story.expect(&order, WAITING, "nobody saw that it was not paid").await;
    story.node.start_again();
    story.pay(&order, 100).await;
    // Mined while the shop could not look.
    story.node.mine(2, in_time).await;
    story.shop.pump().await;
    story.expect(&order, DONE, "by the time of its block").await;
    story.mine(1).await;
    let late = story.order("bob@example.com").await;
    story.shop.after(Span::minutes(40)).await;
    story.mine(1).await;
    story.expect(&late, "Expired Expired 0 {} 0", "never paid, and looked at").await;
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_down_stops_itself_and_says_so() {
    let Some(mut story) = Story::open("suspend_after_seconds = 60").await else { return };
    assert_eq!(how(&story.shop).await, (200, "ok".to_owned(), false, 1));
    let order = story.order("ann@example.com").await;
    story.node.stop();
    story.shop.after(Span::seconds(30)).await;
    assert_eq!(how(&story.shop).await, (200, "ok".to_owned(), false, 1), "half a minute is nothing");
    story.shop.after(Span::seconds(60)).await;
    assert_eq!(how(&story.shop).await, (503, "down".to_owned(), true, 0));
    let refused = story.shop.client.create_order(&request("bob@example.com", &[CARD]), None).await;
    let refused = format!("{:?}", refused.expect_err("the network is suspended"));
    assert!(refused.contains("SUSPENDED_NETWORK"), "{refused}");
    assert_eq!(show(&story.shop, &order).await.order_state, api::OrderState::WaitingForPayment);

    story.node.start_again();
    story.shop.pump().await;
    assert_eq!(how(&story.shop).await, (503, "behind".to_owned(), true, 0), "it answers, with blocks of before");
    story.pay(&order, 100).await;
    story.mine(2).await;
    assert_eq!(how(&story.shop).await, (200, "ok".to_owned(), false, 1));
    story.expect(&order, DONE, "paid after the outage").await;
    story.shop.close().await;
}

/// `/readyz`, its word for the network, whether the store API calls it suspended, and its figure.
async fn how(shop: &Shop) -> (u16, String, bool, u32) {
    let ready = get(&shop.url, "/readyz").await;
    let word = ready.json()["networks"]["Base"].as_str().expect("the network is named").to_owned();
    let vias = get(&shop.url, "/v3/payment_vias").await.json();
    let suspended = vias.pointer("/0/currencies/0/networks/0/is_suspended").and_then(Value::as_bool);
    let metrics = get(&shop.url, "/metrics").await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("kiosk_network_open{network=\"Base\"} "));
    let open = line.and_then(|value| value.parse().ok()).expect("the figure is there");
    (ready.head.status, word, suspended.expect("a network says whether it is suspended"), open)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_blocks_are_caught_up_with() {
    let Some(mut story) = Story::open("blocks_per_query = 500").await else { return };
    let order = story.order("ann@example.com").await;
    let start = story.now();
    story.node.mine(1_000, start + 1).await;
    story.pay(&order, 100).await;
    story.node.mine(4_000, start + 1_001).await;
    story.shop.after(Span::seconds(5_000)).await;
    story.expect(&order, DONE, "somewhere on the way").await;
    let through = story.shop.kiosk.engine.shared.board.all();
    let through: Vec<Time> = through.values().map(|watching| watching.scanned_through).collect();
    let newest = story.node.ask("eth_getBlockByNumber", json!(["latest", false])).await;
    let seconds =
        newest["timestamp"].as_str().and_then(|hex| i64::from_str_radix(hex.trim_start_matches("0x"), 16).ok());
    let newest = Time(seconds.expect("a block has a time") * 1_000 - 1);
    assert_eq!(through, [newest.min(story.shop.clock.now())]);
    story.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_confirms_on_a_real_chain() {
    let Some(mut story) = Story::open("").await else { return };
    let url = story.node.url.clone();
    story.shop.close().await;
    // The same chain, watched by another shop that waits for `safe`: two blocks behind, with epochs of two slots.
    let folder = Folder::new();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[wallet]\nevm_xpub = \"{XPUB}\"\n[[networks]]\nname = \"Base\"\nkind = \"evm\"\nchain_id = 8453\n\
         rpc = \"{}\"\nconfirmations = \"safe\"\n[[networks.tokens]]\ncoin = \"USDC\"\ncontract = \"{}\"\ndecimals = 6\n",
        url.replacen("http://", "ws://", 1),
        story.usdc.contract,
    );
    let mut config = Config::parse(&text, std::iter::empty()).expect("a configuration");
    config.server.data_dir = folder.0.join("data");
    story.shop = Shop::open_at(folder, config, START + Span::seconds(10)).await;
    story.mine(1).await;
    let order = story.order("ann@example.com").await;
    story.pay(&order, 100).await;
    story.mine(1).await;
    story.expect(&order, "PaymentStarted PaymentRequested 101.50 {} 0", "not safe yet").await;
    story.mine(6).await;
    story.expect(&order, DONE, "safe").await;
    story.shop.close().await;
}
