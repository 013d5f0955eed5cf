//! What is on sale, as clients read it: vias, coins, brands, homepage, search, products, a price, countries.

use super::facts::{assert_absent, at, flag, is_uuid, list, number, text, texts};
use super::redact::first;
use super::wire::{Answer, Request};
use super::{Door, head, keep, keep_text, success};
use crate::harness::Shop;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Brands of a list that a snapshot shows.
const SHOWN_BRANDS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn ways_to_pay_and_countries() {
    let shop = Shop::open().await;
    let door = Door::of(&shop);
    payment_vias(&door);
    currencies(&door);
    countries(&door);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brands_products_and_prices() {
    let shop = Shop::open().await;
    let door = Door::of(&shop);
    brands(&door);
    homepage(&door);
    search(&door);
    fixed_and_range_products(&door);
    plans_of_an_esim(&door);
    top_ups(&door);
    price_of_a_value(&door);
    shop.close().await;
}

/// A good answer of a read endpoint: such answers may be kept for a while and have an entity tag.
fn read(answer: &Answer) -> Value {
    assert_eq!(answer.header("cache-control"), Some("public, max-age=30"));
    let tag = answer.header("etag").expect("an answer that may be kept has an entity tag");
    assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    success(answer)
}

fn payment_vias(door: &Door) {
    let answer = door.get("/v3/payment_vias");
    let vias = read(&answer);
    assert_eq!(texts(&vias, "", "name"), ["USER_WALLET"], "exactly one entry per name");
    assert!(flag(&vias, "/0/available"));
    assert_eq!(texts(&vias, "/0/currencies", "name"), ["USDC", "USDT", "ETH", "SOL", "DAI"]);
    let usdc = at(&vias, "/0/currencies/0");
    let networks = ["Solana", "Base", "Arbitrum", "Polygon (Matic)", "ETH Mainnet", "Avalanche"];
    assert_eq!(texts(usdc, "/networks", "name"), networks, "Solana first, and the exact strings of contract 6.3");
    let suspended: Vec<bool> = list(usdc, "/networks").iter().map(|network| flag(network, "/is_suspended")).collect();
    assert_eq!(suspended, [false, false, false, false, false, true]);
    assert!(!flag(usdc, "/is_suspended") && flag(&vias, "/0/currencies/4/is_suspended"), "DAI alone is suspended");
    // 0.50 EUR is 0.5821 USD: rounded up to the places that each coin is quoted with, at 1, 3,000 and 140 USD.
    assert_eq!(texts(&vias, "/0/currencies", "threshold"), ["0.59", "0.59", "0.000195", "0.004158", "0.59"]);
    assert_eq!(text(usdc, "/networks/0/threshold"), "0.59");
    assert_absent(usdc, "/networks/0", &["chain_id"]);
    assert_eq!(number(usdc, "/networks/1/chain_id"), "8453");
    assert_eq!(text(usdc, "/networks/0/smart_contract/engine"), "SVM");
    assert_eq!(number(usdc, "/networks/0/smart_contract/decimals"), "6");
    assert_absent(&vias, "/0/currencies/2/networks/0", &["smart_contract"]);
    keep("payment_vias", &answer, &vias);
}

fn currencies(door: &Door) {
    let answer = door.get("/v3/currencies");
    let coins = read(&answer);
    assert_eq!(texts(&coins, "", "name"), ["USDC", "USDT", "BTC", "ETH", "SOL", "DAI"]);
    assert_eq!(texts(&coins, "", "symbol"), texts(&coins, "", "name"));
    // No network of the demo carries BTC: it prices, and nobody can pay with it.
    let suspended: Vec<bool> = list(&coins, "").iter().map(|coin| flag(coin, "/is_suspended")).collect();
    assert_eq!(suspended, [false, false, true, false, false, true]);
    keep("currencies", &answer, &coins);

    let tag = answer.header("etag").expect("it was there a moment ago");
    let again = Request { method: "GET", path: "/v3/currencies", headers: &[("if-none-match", tag)], body: b"" };
    let unchanged = door.send(&again);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), Some(tag));
    keep_text("currencies_not_modified", &head(&unchanged));
}

fn countries(door: &Door) {
    let answer = door.get("/api/available-countries");
    let countries = read(&answer);
    let codes = texts(&countries, "", "code");
    assert_eq!(codes.len(), 233, "as on the contract's list");
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 233, "each once");
    assert_eq!((text(&countries, "/0/code"), text(&countries, "/0/name")), ("AX", "Åland Islands"));
    assert!(codes.contains(&"US") && codes.contains(&"XK") && !codes.contains(&"KP"));
    keep("available_countries", &answer, &first(&countries, 5));
}

/// The rules of one brand record (contract 3.3).
fn assert_brand(brand: &Value) {
    assert!(is_uuid(text(brand, "/brand_id")));
    assert_eq!(text(brand, "/country_code"), "US");
    assert!(at(brand, "/additional_categories").is_array() && at(brand, "/brand_tags").is_array());
    flag(brand, "/is_out_of_stock");
    let base = text(brand, "/logo_base_url");
    assert!(base.starts_with("http://shop.test/logos/"), "{base}");
    assert_eq!(text(brand, "/logo_url"), format!("{base}.webp"), "the default variant of contract 7");
}

/// The rules of the envelope of brands and homepage. A repeated brand must be the same record: one client raises on any
/// difference.
fn assert_envelope(brands: &Value) {
    assert_eq!(text(brands, "/country_code"), "US", "equal to the request");
    assert!(list(brands, "/last_user_purchases").is_empty() && list(brands, "/suggestions").is_empty());
    let all = list(brands, "/all_brands");
    all.iter().for_each(assert_brand);
    let ids: BTreeSet<&str> = texts(brands, "/all_brands", "brand_id").into_iter().collect();
    assert_eq!(ids.len(), all.len(), "all_brands names each brand once");
    assert!(list(brands, "/popular_brands").iter().all(|brand| all.contains(brand)));
    let mut grouped = BTreeSet::new();
    for category in list(brands, "/categories") {
        assert!(!text(category, "/kind").is_empty() && !text(category, "/category").is_empty());
        let members = list(category, "/brands");
        assert!(!members.is_empty() && members.iter().all(|brand| all.contains(brand)));
        assert!(list(category, "/popular_brands").iter().all(|brand| members.contains(brand)));
        grouped.extend(texts(category, "/brands", "brand_id"));
    }
    assert_eq!(grouped, ids, "every brand stands in a category, and no other does");
}

/// Whole records in `all_brands` and `popular_brands`; by name in the categories, where the same records stand again.
fn abridged(brands: &Value) -> Value {
    let mut shown = Map::new();
    for (key, value) in brands.as_object().expect("an envelope is an object") {
        let value = match key.as_str() {
            "all_brands" | "popular_brands" => first(value, SHOWN_BRANDS),
            "categories" => list(value, "").iter().map(category_by_names).collect(),
            _ => value.clone(),
        };
        shown.insert(key.clone(), value);
    }
    Value::Object(shown)
}

fn category_by_names(category: &Value) -> Value {
    let names = |pointer: &str| first(&json!(texts(category, pointer, "brand")), SHOWN_BRANDS);
    json!({
        "kind": category["kind"],
        "category": category["category"],
        "brands": names("/brands"),
        "popular_brands": names("/popular_brands"),
    })
}

fn brands(door: &Door) {
    let answer = door.get("/v2/brands?country_code=US");
    let brands = read(&answer);
    assert_envelope(&brands);
    let names = texts(&brands, "/all_brands", "brand");
    assert!(!names.contains(&"Demo Paused"), "an inactive brand is not listed");
    let find = |name: &str| {
        let found = names.iter().position(|known| *known == name).expect("the demo sells it");
        &list(&brands, "/all_brands")[found]
    };
    let airbnb = find("Airbnb");
    assert_eq!((text(airbnb, "/min"), text(airbnb, "/max")), ("$50", "$500"), "labels, not numbers");
    let esim = find("Roamwell eSIM");
    assert_eq!((text(esim, "/kind"), text(esim, "/category")), ("mobile_recharge", "e-sim"));
    assert_eq!(text(esim, "/min"), "1 GB 3 days");
    assert!(flag(find("Demo Sold Out"), "/is_out_of_stock") && !flag(airbnb, "/is_out_of_stock"));
    keep("brands", &answer, &abridged(&brands));

    let by_header = Request { method: "GET", path: "/v2/brands", headers: &[("X-Country-ISO-Code", "US")], body: b"" };
    assert_eq!(door.send(&by_header).json(), brands, "without the parameter the header counts");
}

fn homepage(door: &Door) {
    let answer = door.get("/v2/homepage?country_code=US");
    let page = read(&answer);
    assert_envelope(&page);
    let featured = ["Airbnb", "Amazon.com", "Apple", "Steam", "DoorDash", "Roamwell eSIM", "T-Mobile US", "Walmart"];
    let trending = ["Roblox", "Netflix", "Southwest Airlines", "Sephora", "Razer Gold", "GlobalGiving"];
    let wanted = [&featured[..], &trending[..]].concat();
    assert_eq!(texts(&page, "/all_brands", "brand"), wanted, "the operator's order, and nothing else");
    assert_eq!(texts(&page, "/popular_brands", "brand"), trending);
    keep("homepage", &answer, &abridged(&page));
}

/// The rules of one product (contract 3.6).
fn assert_product(product: &Value, coin: &str) {
    assert!(is_uuid(text(product, "/product_id")));
    assert_eq!(text(product, "/coin"), coin);
    let points = text(product, "/points");
    assert!(!points.is_empty() && points.bytes().all(|digit| digit.is_ascii_digit()), "{points}");
    assert_eq!(text(product, "/product_type"), "physical");
    if !flag(product, "/is_dynamic") {
        assert_absent(product, "", &["range"]);
        assert_eq!(text(product, "/face_value/amount/type"), "fixed");
        assert!(!text(product, "/denomination").is_empty() && !text(product, "/localized_denomination").is_empty());
        assert_eq!(text(product, "/coin_amount"), text(product, "/original_coin_amount"), "nothing is discounted");
        return;
    }
    assert_absent(product, "", &["denomination", "localized_denomination", "coin_amount", "original_coin_amount"]);
    assert_eq!(text(product, "/face_value/amount/type"), "range");
    assert_eq!(text(product, "/range/currency"), text(product, "/face_value/currency_code"));
    for bound in ["min", "max"] {
        let as_text = format!("{}.00", number(product, &format!("/range/{bound}")));
        assert_eq!(text(product, &format!("/face_value/amount/{bound}")), as_text, "one client compares the two");
    }
}

/// The only group of an answer, its products checked.
fn only_group<'a>(groups: &'a Value, coin: &str) -> &'a Value {
    assert_eq!(list(groups, "").len(), 1);
    let group = at(groups, "/0");
    text(group, "/product_tc");
    assert_eq!(text(group, "/rich_description/markup"), "html");
    list(group, "/products").iter().for_each(|product| assert_product(product, coin));
    group
}

/// The price of each product that has one.
fn prices(group: &Value) -> Vec<&str> {
    list(group, "/products").iter().filter_map(|product| product["coin_amount"].as_str()).collect()
}

fn search(door: &Door) {
    let answer = door.get("/v2/search/US?q=airb");
    let found = read(&answer);
    let group = only_group(&found, "BTC");
    assert_eq!(text(group, "/brand"), "Airbnb");
    // Without a coin prices are in BTC: 50.75, 101.50, 203 and 507.50 USD at 90,000, rounded up to 8 places.
    assert_eq!(prices(group), ["0.00056389", "0.00112778", "0.00225556", "0.00563889"]);
    assert_eq!(text(group, "/products/1/payment_method"), "BTC");
    keep("search", &answer, &found);
}

fn fixed_and_range_products(door: &Door) {
    let answer = door.get("/v5/products/country/US?brand_name=Airbnb&coin=USDC");
    let found = read(&answer);
    let group = only_group(&found, "USDC");
    assert_eq!((text(group, "/country_code"), text(group, "/family")), ("US", "Airbnb"));
    // 50, 100, 200 and 500 USD plus 1.5 %.
    assert_eq!(prices(group), ["50.75", "101.50", "203.00", "507.50"]);
    assert_eq!(text(group, "/products/1/denomination"), "100 USD");
    assert_eq!(text(group, "/products/1/localized_denomination"), "$100");
    assert_eq!(text(group, "/products/1/face_value/amount/price"), "100");
    // 100 USD are 85.896 EUR; points are whole ones.
    assert_eq!(text(group, "/products/1/points"), "85");
    assert_eq!(text(group, "/products/1/delivery_type"), "by_email");
    assert_eq!(text(group, "/products/1/payment_method"), "USDC-MATIC", "the word when only the coin is named");
    let range = at(group, "/products/4");
    assert!(flag(range, "/is_dynamic"));
    assert_eq!([number(range, "/range/min"), number(range, "/range/max")], ["50", "500"]);
    assert_eq!((number(range, "/range/step_size").as_str(), text(range, "/range/default")), ("1", "500.0"));
    keep("products_of_a_card", &answer, &found);

    let by_family = door.get("/v5/products/country/US?family_name=AIRBNB&coin=USDC");
    assert_eq!(by_family.json(), found, "the case of a family does not matter");
    let unknown = door.get("/v5/products/country/US?family_name=nobody&coin=USDC");
    assert_eq!(read(&unknown), json!([]), "an unknown family is no error");
    keep("products_of_an_unknown_family", &unknown, &unknown.json());
}

fn plans_of_an_esim(door: &Door) {
    let answer = door.get("/v5/products/country/US?brand_name=Roamwell%20eSIM&coin=USDC");
    let found = read(&answer);
    let group = only_group(&found, "USDC");
    assert_eq!((text(group, "/kind"), text(group, "/category")), ("mobile_recharge", "e-sim"));
    assert!(list(group, "/products").len() >= 10);
    // 3.50 and 4.50 USD plus 1.5 % are 3.5525 and 4.5675: rounded up to cents.
    assert_eq!(prices(group)[..2], ["3.56", "4.57"]);
    assert_eq!(text(group, "/products/0/denomination"), "1 GB 3 days");
    assert_eq!(text(group, "/products/0/delivery_type"), "by_email", "the activation text is mailed");
    let data = at(group, "/products/0/benefits/0");
    assert_eq!((text(data, "/type"), text(data, "/unit")), ("DATA", "GB"));
    assert_eq!(number(data, "/amount/base/amount"), "1");
    assert_eq!(number(data, "/amount/total_including_tax/amount"), "1");
    let mut shown = found.clone();
    shown[0]["products"] = first(&found[0]["products"], 2);
    keep("products_of_an_esim", &answer, &shown);
}

fn top_ups(door: &Door) {
    let answer = door.get("/v5/products/country/US?brand_name=T-Mobile%20US&coin=USDC");
    let found = read(&answer);
    let group = only_group(&found, "USDC");
    assert_eq!(text(group, "/kind"), "mobile_recharge");
    // 10, 25 and 50 USD plus 1.5 %: 10.15, 25.375 rounded up, 50.75.
    assert_eq!(prices(group)[..3], ["10.15", "25.38", "50.75"]);
    assert!(list(group, "/products").iter().all(|product| text(product, "/delivery_type") == "by_phone"));
    keep("products_of_a_top_up", &answer, &found);
}

fn price_of_a_value(door: &Door) {
    let listed = door.get("/v5/products/country/US?brand_name=Airbnb&coin=USDC").json();
    let asked = |value: &str| {
        door.get(&format!("/v4/products/price?brand_name=Airbnb&country_code=US&face_value={value}&coin=USDC"))
    };
    let answer = asked("75");
    let price = read(&answer);
    assert_eq!(price["product_id"], listed[0]["products"][4]["product_id"], "the id of the listed product");
    assert_eq!(price["range"], listed[0]["products"][4]["range"]);
    assert_eq!(text(&price, "/coin"), "USDC", "the coin that was asked for");
    // 75 USD plus 1.5 % are 76.125: rounded up to cents. 75 USD are 64.42 EUR.
    assert_eq!((text(&price, "/coin_amount"), text(&price, "/points")), ("76.13", "64"));
    keep("price", &answer, &price);
    assert_eq!(text(&read(&asked("100")), "/coin_amount"), "101.50", "as the card of that value");
}
