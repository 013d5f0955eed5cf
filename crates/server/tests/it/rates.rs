//! Prices as clients see them, over rates that come from files: freshness, the guards, rounding and margins.
//!
//! One euro buys 1.25 dollars here unless a test says otherwise, and the usual margin is 1.5 %.

use crate::harness::{Folder, START, Shop};
use crate::raw::{self, Answer, ORDERS, VALIDATIONS};
use domain::time::{Span, Time};
use serde_json::{Map, Value, json};
use server::boot;
use server::ports::Clock;
use server::workers::rates::{self, Looks, RateSources};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

const PARTNER: (&str, &str) = ("x-cr-application", "demo-partner");

/// A shop whose rates come from two files that the test writes.
struct Feed {
    shop: Shop,
    sources: RateSources,
    looks: Looks,
    folder: Folder,
}

impl Feed {
    /// Opens a shop over these two texts, an empty one being a file that is not there; with more settings (TOML after
    /// `[rates]`).
    async fn open(ecb: &str, coins: &str, more: &str) -> Feed {
        let folder = Folder::new();
        let [ecb_path, coins_path] = ["ecb.xml", "coins.json"].map(|name| folder.0.join(name));
        for (path, text) in [(&ecb_path, ecb), (&coins_path, coins)] {
            if !text.is_empty() {
                std::fs::write(path, text).expect("a file in a new folder");
            }
        }
        let settings = format!("[rates]\necb = {ecb_path:?}\ncoins = {coins_path:?}\n{more}");
        let shop = Shop::open_with(&settings).await;
        let sources = boot::rate_sources(&shop.config).expect("two files");
        Feed { shop, sources, looks: Looks::default(), folder }
    }

    fn write_ecb(&self, text: &str) {
        std::fs::write(self.folder.0.join("ecb.xml"), text).expect("our own file");
    }

    fn coins_path(&self) -> PathBuf {
        self.folder.0.join("coins.json")
    }

    fn write_coins(&self, text: &str) {
        std::fs::write(self.coins_path(), text).expect("our own file");
    }

    /// The same, as if it had been written at that time.
    fn write_coins_at(&self, text: &str, time: Time) {
        self.write_coins(text);
        let file = std::fs::File::options().write(true).open(self.coins_path()).expect("our own file");
        let since = Duration::from_millis(u64::try_from(time.0).expect("after 1970"));
        file.set_modified(UNIX_EPOCH + since).expect("a time of our own");
    }

    /// Moves the clock, then lets the worker look.
    async fn after(&mut self, span: Span) {
        self.shop.clock.advance(span);
        let now = self.shop.clock.now();
        let ran = rates::run_once(&self.shop.kiosk.engine, &self.sources, &mut self.looks, now).await;
        ran.expect("a look never fails");
    }

    /// The price of an Airbnb card of 100 in the currency of that country.
    async fn price(&self, country: &str, coin: &str) -> Answer {
        let path = format!("/v4/products/price?brand_name=Airbnb&country_code={country}&face_value=100&coin={coin}");
        raw::get(&self.shop.url, &path).await
    }

    async fn assert_price(&self, country: &str, coin: &str, expected: &str) {
        let answer = self.price(country, coin).await;
        assert_eq!(answer.status, 200, "{country} in {coin}: {}", answer.text());
        assert_eq!(answer.json()["coin_amount"], expected, "{country} in {coin}");
    }

    async fn assert_no_price(&self, country: &str, coin: &str, why: &str) {
        assert_refused(&self.price(country, coin).await, why);
    }
}

/// 503 that says why and when to come again.
fn assert_refused(answer: &Answer, why: &str) {
    answer.assert_error(503, "RATE_UNAVAILABLE", why);
    assert_eq!(answer.header("retry-after"), Some("60"), "{why}");
    assert_eq!(answer.json()["message"], why);
}

/// The table of a day, with so many dollars per euro.
fn table(day: &str, usd: &str) -> String {
    let rates = [("USD", usd), ("GBP", "0.80"), ("JPY", "160")]
        .map(|(currency, rate)| format!("<Cube currency='{currency}' rate='{rate}'/>"))
        .concat();
    format!("<?xml version='1.0'?>\n<e><Cube><Cube time='{day}'>{rates}</Cube></Cube></e>")
}

/// A document of prices at a time of the first day (`11:35:00`).
fn prices(time: &str, usd: &[(&str, &str)]) -> String {
    json!({ "as_of": format!("2026-11-20T{time}Z"), "usd": members(usd) }).to_string()
}

fn members(usd: &[(&str, &str)]) -> Map<String, Value> {
    usd.iter().map(|(coin, price)| ((*coin).to_owned(), json!(price))).collect()
}

/// An order of one card, for the buyer.
fn card(brand: &str, country: &str, denomination: &str) -> Value {
    raw::with(raw::card(brand, denomination), "/deliveries/0/country_code", json!(country))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_euro_stops_euro_cards_and_never_a_dollar_in_a_dollar_coin() {
    let mut feed = Feed::open(&table("2026-11-17", "1.25"), "", "").await;
    // 101.50 EUR are 126.875 dollars: rounded up, in favour of the house.
    feed.assert_price("DE", "USDC", "126.88").await;
    // The table is of midnight: it is 96 hours old at the end of this day, 12 hours and 25 minutes from now.
    feed.after(Span::minutes(12 * 60 + 25)).await;
    feed.assert_price("DE", "USDC", "126.88").await;
    feed.after(Span::minutes(1)).await;
    let why = "the rate EUR/USD is 5761 minutes old, too old to sell with; check the rate source";
    feed.assert_no_price("DE", "USDC", why).await;
    feed.assert_no_price("GB", "USDC", &why.replace("EUR/USD", "EUR/GBP")).await;
    for path in [VALIDATIONS, ORDERS] {
        let answer = raw::post(&feed.shop.url, path, &[], &card("Airbnb", "DE", "100 EUR")).await;
        assert_refused(&answer, why);
    }

    let sold = raw::buy(&mut feed.shop, &card("Airbnb", "US", "100 USD")).await;
    assert_eq!(sold["coin_amount"], "101.50");
    // Points are whole euros, by the last known rate.
    assert_eq!(sold["deliveries"][0]["deliverable"]["points"], "80");

    feed.write_ecb(&table("2026-11-20", "1.30"));
    feed.after(Span::minutes(1)).await;
    feed.assert_price("DE", "USDC", "131.95").await;
    feed.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stablecoin_off_its_peg_is_not_taken_until_it_is_back() {
    let ecb = table("2026-11-19", "1.25");
    let mut feed = Feed::open(&ecb, &prices("11:35:00", &[("USDC", "0.9999")]), "").await;
    feed.assert_price("US", "USDC", "101.50").await;
    // A fall of 30 % is more than other rates may move: it is believed all the same, for it only stops sales.
    feed.write_coins(&prices("11:36:00", &[("USDC", "0.70")]));
    feed.after(Span::minutes(1)).await;
    let why = "USDC stands at 0.7 USD, too far from its peg; sales in it wait until it is back";
    feed.assert_no_price("US", "USDC", why).await;
    feed.assert_price("US", "USDT", "101.50").await;
    let order = card("Airbnb", "US", "100 USD");
    assert_refused(&raw::post(&feed.shop.url, ORDERS, &[], &order).await, why);

    // The limit is 1 %.
    feed.write_coins(&prices("11:37:00", &[("USDC", "0.9899")]));
    feed.after(Span::minutes(1)).await;
    feed.assert_no_price("US", "USDC", &why.replace("0.7", "0.9899")).await;
    feed.write_coins(&prices("11:38:00", &[("USDC", "0.99")]));
    feed.after(Span::minutes(1)).await;
    feed.assert_price("US", "USDC", "101.50").await;
    let order = raw::place(&feed.shop, &[], &order).await;
    assert_eq!(order["coin_amount"], "101.50");
    feed.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_are_priced_from_the_document_and_a_broken_one_changes_nothing() {
    let coins = prices("11:35:00", &[("BTC", "90000.12"), ("ETH", "3000")]);
    let mut feed = Feed::open(&table("2026-11-19", "1.25"), &coins, "").await;
    // 101.50 / 90000.12 = 0.0011277762..; 8 decimals, rounded up.
    feed.assert_price("US", "BTC", "0.00112778").await;
    // 101.50 / 3000 = 0.0338333..; 6 decimals, and the same in a basket.
    feed.assert_price("US", "ETH", "0.033834").await;
    let basket = raw::with(card("Airbnb", "US", "100 USD"), "/payment/coin", json!("ETH"));
    let basket = raw::with(basket, "/payment/network", json!("ETH Mainnet"));
    let checked = raw::post(&feed.shop.url, VALIDATIONS, &[], &basket).await;
    assert_eq!(checked.json()["coin_amount"], "0.033834", "{}", checked.text());

    feed.write_coins("{\"usd\": {\"BTC\": \"91000");
    feed.after(Span::minutes(1)).await;
    feed.assert_price("US", "BTC", "0.00112778").await;
    // 15 minutes old is not too old.
    feed.after(Span::minutes(14)).await;
    feed.assert_price("US", "BTC", "0.00112778").await;
    feed.after(Span::minutes(1)).await;
    let why = "the rate BTC/USD is 16 minutes old, too old to sell with; check the rate source";
    feed.assert_no_price("US", "BTC", why).await;
    std::fs::remove_file(feed.coins_path()).expect("our own file");
    feed.after(Span::minutes(1)).await;
    feed.assert_no_price("US", "BTC", &why.replace("16", "17")).await;
    feed.assert_price("US", "USDC", "101.50").await;

    feed.write_coins(&prices("11:52:00", &[("BTC", "100000")]));
    feed.after(Span::minutes(1)).await;
    feed.assert_price("US", "BTC", "0.00101500").await;
    feed.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_opens_without_its_rates_and_a_file_is_as_old_as_it_was_written() {
    let mut feed = Feed::open("", "", "").await;
    feed.assert_no_price("DE", "USDC", "the rate EUR/USD is not known; add it to the rate source").await;
    feed.assert_no_price("US", "BTC", "the rate BTC/USD is not known; add it to the rate source").await;
    feed.assert_price("US", "USDC", "101.50").await;

    let undated = json!({ "usd": members(&[("BTC", "100000")]) }).to_string();
    feed.write_ecb(&table("2026-11-20", "1.25"));
    feed.write_coins_at(&undated, Time(START.0 - Span::minutes(20).0));
    feed.after(Span::minutes(1)).await;
    feed.assert_price("DE", "USDC", "126.88").await;
    let why = "the rate BTC/USD is 21 minutes old, too old to sell with; check the rate source";
    feed.assert_no_price("US", "BTC", why).await;
    feed.write_coins_at(&undated, START);
    feed.after(Span::minutes(1)).await;
    feed.assert_price("US", "BTC", "0.00101500").await;
    feed.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_is_not_believed_while_the_known_rates_are_fresh() {
    let coins = prices("11:35:00", &[("ETH", "3000")]);
    let mut feed = Feed::open(&table("2026-11-18", "1.25"), &coins, "").await;
    feed.assert_price("DE", "USDC", "126.88").await;
    feed.write_ecb(&table("2026-11-19", "1.60"));
    feed.write_coins(&prices("11:36:00", &[("ETH", "3900")]));
    feed.after(Span::minutes(1)).await;
    feed.assert_price("DE", "USDC", "126.88").await;
    feed.assert_price("US", "ETH", "0.033834").await;

    feed.write_ecb(&table("2026-11-19", "1.30"));
    feed.write_coins(&prices("11:37:00", &[("ETH", "3500")]));
    feed.after(Span::minutes(1)).await;
    feed.assert_price("DE", "USDC", "131.95").await;
    feed.assert_price("US", "ETH", "0.029000").await;

    feed.write_coins(&prices("11:38:00", &[("ETH", "7000")]));
    feed.after(Span::minutes(1)).await;
    feed.assert_price("US", "ETH", "0.029000").await;
    // The known price is 16 minutes old now; the other is 15.
    feed.after(Span::minutes(15)).await;
    feed.assert_price("US", "ETH", "0.014500").await;
    feed.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_price_stands_above_the_document_and_grows_old_too() {
    let fixed = "[rates.coins_usd]\nBTC = \"50000\"\n";
    let coins = prices("11:35:00", &[("BTC", "60000"), ("ETH", "3000")]);
    let feed = Feed::open(&table("2026-11-19", "1.25"), &coins, fixed).await;
    feed.assert_price("US", "BTC", "0.00203000").await;
    feed.assert_price("US", "ETH", "0.033834").await;
    feed.shop.clock.advance(Span::minutes(16));
    let why = "the rate BTC/USD is 16 minutes old, too old to sell with; check the rate source";
    feed.assert_no_price("US", "BTC", why).await;
    feed.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sources_the_demo_never_grows_old() {
    let shop = Shop::open().await;
    let sources = boot::rate_sources(&shop.config).expect("no sources");
    assert!(sources.ecb.is_none() && sources.coins.is_none());
    let before = shop.kiosk.engine.shared.market().rates.id.clone();
    shop.clock.advance(Span::hours(24 * 365));
    let now = shop.clock.now();
    let ran = rates::run_once(&shop.kiosk.engine, &sources, &mut Looks::default(), now).await;
    assert_eq!(ran.expect("a look never fails"), server::workers::Ran::Idle);
    assert_eq!(shop.kiosk.engine.shared.market().rates.id, before);
    for (country, coin) in [("DE", "USDC"), ("GB", "BTC"), ("US", "ETH")] {
        let path = format!("/v4/products/price?brand_name=Airbnb&country_code={country}&face_value=100&coin={coin}");
        assert_eq!(raw::get(&shop.url, &path).await.status, 200, "{country} in {coin}");
    }
    shop.close().await;
}

const MARGINS: &str = "
[[margins]]
partner = \"demo-partner\"
bps = 50

[[margins]]
coin = \"USDT\"
bps = 75

[[margins]]
country = \"DE\"
bps = 200

[[margins]]
brand = \"Airbnb\"
bps = 300

[[margins]]
brand = \"Airbnb\"
country = \"DE\"
bps = -1000
";

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_margin_is_taken_in_listings_and_in_baskets() {
    let feed = Feed::open(&table("2026-11-19", "1.25"), "", MARGINS).await;
    let anybody: &[(&str, &str)] = &[];
    let partner: &[(&str, &str)] = &[PARTNER];
    for (brand, country, denomination, coin, headers, expected) in [
        // The brand's rule, before those of coin and partner.
        ("Airbnb", "US", "100 USD", "USDC", partner, "103.00"),
        ("Airbnb", "US", "100 USD", "USDT", anybody, "103.00"),
        // The coin's before the partner's: 10.075, rounded up.
        ("Steam", "US", "10 USD", "USDT", partner, "10.08"),
        ("Steam", "US", "10 USD", "USDC", partner, "10.05"),
        // No rule: 1.5 %.
        ("Steam", "US", "10 USD", "USDC", anybody, "10.15"),
        // The country's before the coin's: 10.20 EUR.
        ("Steam", "DE", "10 EUR", "USDT", partner, "12.75"),
        // Brand and country: 90 EUR would be less than the 96 EUR that it costs the shop.
        ("Airbnb", "DE", "100 EUR", "USDC", anybody, "120.00"),
    ] {
        let what = format!("{brand} {country} {denomination} in {coin}, {headers:?}");
        let path = format!("/v5/products/country/{country}?brand_name={brand}&coin={coin}");
        let listed = raw::request(&feed.shop.url, "GET", &path, headers, b"").await;
        assert_eq!(listed.status, 200, "{what}: {}", listed.text());
        let listed = listed.json();
        let products = listed[0]["products"].as_array().expect("products");
        let product = products.iter().find(|product| product["denomination"] == denomination).expect("the card");
        assert_eq!(product["coin_amount"], expected, "{what}, listed");

        let basket = raw::with(card(brand, country, denomination), "/payment/coin", json!(coin));
        let checked = raw::post(&feed.shop.url, VALIDATIONS, headers, &basket).await.json();
        assert_eq!(checked["coin_amount"], expected, "{what}, in a basket: {checked}");
        assert_eq!(checked["problems"], json!([]), "{what}");
    }
    feed.shop.close().await;
}
