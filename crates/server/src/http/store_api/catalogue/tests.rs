//! Every read answer on the small market.

// Which fields are texts, numbers, booleans: in all answers.
mod type_rules;

use super::products::plain_text;
use super::*;
use crate::http::store_api::testing::{self, NOW, PARTNER};
use domain::catalog::Catalogue;
use domain::country::CODES;
use domain::ids::Sku;
use domain::pricing::Rates;
use domain::time::Span;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn view(snapshot: &Snapshot) -> View<'_> {
    View { snapshot, logo_base: "https://shop.example/logos/", product_type: "physical", now: NOW }
}

/// The answer of the small market.
fn ask(question: &Question) -> Value {
    ask_of(&testing::snapshot(), question)
}

fn ask_of(snapshot: &Snapshot, question: &Question) -> Value {
    let body = view(snapshot).answer(question).expect("an answer");
    serde_json::from_slice(&body).expect("JSON")
}

fn refusal(question: &Question) -> Refused {
    view(&testing::snapshot()).answer(question).expect_err("no answer")
}

fn brands(country: &str) -> Question {
    Question::Brands { country: country.to_owned() }
}

fn homepage(country: &str) -> Question {
    Question::Homepage { country: country.to_owned() }
}

fn in_coin(coin: &str) -> Terms {
    Terms { coin: Some(coin.to_owned()), ..Terms::default() }
}

/// Products of one brand, in USDC and English.
fn of_brand(country: &str, brand: &str) -> ProductsQuestion {
    ProductsQuestion {
        country: country.to_owned(),
        family: None,
        brand: Some(brand.to_owned()),
        language: "en".to_owned(),
        terms: in_coin("USDC"),
    }
}

fn search(country: &str, text: &str) -> Question {
    let (country, text, language) = (country.to_owned(), text.to_owned(), "en".to_owned());
    Question::Search(SearchQuestion { country, text, language, terms: in_coin("USDC") })
}

fn price(brand: &str, face_value: &str, coin: &str) -> Question {
    Question::Price(PriceQuestion {
        country: "US".to_owned(),
        brand: brand.to_owned(),
        face_value: face_value.to_owned(),
        terms: in_coin(coin),
    })
}

/// The `name` field of every object in a list.
fn names<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|entry| entry[name].as_str().expect("a text")).collect()
}

#[test]
fn payment_vias_list_what_can_be_paid_with() {
    let vias = ask(&Question::PaymentVias);
    assert_eq!(names(&vias, "name"), ["USER_WALLET"]);
    assert_eq!(vias[0]["available"], json!(true));
    let coins = &vias[0]["currencies"];
    // No network carries BTC here.
    assert_eq!(names(coins, "name"), ["USDC", "ETH", "DOGE"]);
    // 0.50 EUR are 0.625 USD, rounded up to what USDC is quoted with.
    let expected = json!({
        "name": "USDC", "is_suspended": false, "threshold": "0.63",
        "logo_url": "https://shop.example/logos/coin_usdc.webp",
        "networks": [
            { "name": "Solana", "is_suspended": false, "base_token": "GAS", "threshold": "0.63",
              "estimated_transfer_cost": "€0", "smart_contract_engine": "SVM",
              "smart_contract": { "engine": "SVM", "symbol": "USDC", "decimals": 6, "address": "SandboxMint111" },
              "logo_url": "https://shop.example/logos/network_solana.webp" },
            { "name": "Polygon (Matic)", "is_suspended": false, "chain_id": 137, "base_token": "GAS",
              "threshold": "0.63", "estimated_transfer_cost": "€0", "smart_contract_engine": "EVM",
              "smart_contract": { "engine": "EVM", "symbol": "USDC", "decimals": 6, "address": "0x00c0ffee" },
              "logo_url": "https://shop.example/logos/network_polygon-matic.webp" } ] });
    assert_eq!(coins[0], expected);
    let (ether, doge) = (&coins[1], &coins[2]);
    assert_eq!(ether["is_suspended"], json!(true), "its only network is");
    assert_eq!(ether["networks"][0]["is_suspended"], json!(true));
    assert!(ether["networks"][0].get("smart_contract").is_none(), "a native coin has no contract");
    assert_eq!(ether["threshold"], json!("0"), "without a rate nothing is too little");
    assert_eq!((&doge["is_suspended"], &doge["networks"][0]["is_suspended"]), (&json!(true), &json!(false)));
}

#[test]
fn currencies_list_every_coin() {
    let coins = ask(&Question::Currencies);
    assert_eq!(names(&coins, "name"), ["USDC", "BTC", "ETH", "DOGE"]);
    assert_eq!(names(&coins, "symbol"), ["USDC", "BTC", "ETH", "DOGE"]);
    let suspended: Vec<&Value> = coins.as_array().expect("a list").iter().map(|coin| &coin["is_suspended"]).collect();
    assert_eq!(suspended, [&json!(false), &json!(true), &json!(true), &json!(true)]);
}

#[test]
fn brands_stand_in_all_brands_and_in_their_categories() {
    let answer = ask(&brands("US"));
    assert_eq!(answer["country_code"], json!("US"));
    let all = &answer["all_brands"];
    assert_eq!(names(all, "brand"), ["Airbnb", "Steam", "Roamwell eSIM", "Talkline", "Steam Deck Card"]);
    let groups = &answer["categories"];
    assert_eq!(names(groups, "category"), ["travel_flights", "home", "games", "e-sim", "mobile_credits"]);
    let kinds = ["giftcard", "giftcard", "giftcard", "mobile_recharge", "mobile_recharge"];
    assert_eq!(names(groups, "kind"), kinds);
    assert_eq!(names(&groups[1]["brands"], "brand"), ["Airbnb"]);
    assert_eq!(names(&groups[2]["brands"], "brand"), ["Steam", "Steam Deck Card"]);
    assert_eq!(names(&groups[2]["popular_brands"], "brand"), ["Steam"]);
    assert_eq!(names(&answer["popular_brands"], "brand"), ["Steam", "Airbnb"], "by rank");
    assert_eq!((&answer["suggestions"], &answer["last_user_purchases"]), (&json!([]), &json!([])));
    // 900 USD is not active, so the range ends the labels.
    let airbnb = json!({
        "brand_id": "01010101-0101-0101-0101-010101010101", "brand": "Airbnb", "family": "Airbnb",
        "kind": "giftcard", "category": "travel_flights", "additional_categories": ["home"], "country_code": "US",
        "min": "$50", "max": "$500", "is_out_of_stock": false, "product_type": "physical", "brand_tags": [],
        "bg_color": "#FF5A5F", "logo_url": "https://shop.example/logos/airbnb.webp",
        "logo_base_url": "https://shop.example/logos/airbnb" });
    assert_eq!(all[0], airbnb);
    assert_eq!((&all[2]["min"], &all[2]["max"]), (&json!("1 GB 3 days"), &json!("Unlimited 30 days")));
    assert_eq!(all[4]["is_out_of_stock"], json!(true), "the operator's switch");
}

#[test]
fn a_country_must_be_known_but_need_not_have_brands() {
    for country in ["us", "USA", "AF", "", "ZZ"] {
        assert!(matches!(refusal(&brands(country)), Refused::Question(_)), "{country}");
        assert!(matches!(refusal(&homepage(country)), Refused::Question(_)), "{country}");
    }
    for question in [brands("FR"), homepage("FR"), homepage("DE")] {
        let answer = ask(&question);
        assert_eq!((&answer["all_brands"], &answer["categories"]), (&json!([]), &json!([])));
    }
}

#[test]
fn the_homepage_follows_the_operator() {
    let answer = ask(&homepage("US"));
    // Inactive and unknown brands are passed over, and nobody stands there twice.
    assert_eq!(names(&answer["all_brands"], "brand"), ["Talkline", "Airbnb", "Steam"]);
    assert_eq!(names(&answer["popular_brands"], "brand"), ["Steam", "Airbnb"]);
    let groups = &answer["categories"];
    assert_eq!(names(groups, "category"), ["mobile_credits", "travel_flights", "games"]);
    assert_eq!(names(&groups[1]["brands"], "brand"), ["Airbnb"]);
    assert_eq!(names(&groups[1]["popular_brands"], "brand"), ["Airbnb"]);
    assert_eq!(groups[0]["popular_brands"], json!([]));
}

#[test]
fn what_is_sold_out_is_not_offered() {
    let sold_out = |skus: &[&str]| skus.iter().map(|sku| Sku::new(*sku)).collect::<BTreeSet<_>>();
    let mut snapshot = testing::snapshot();
    // Steam is not from our stock, so its SKU cannot be sold out.
    snapshot.sold_out = sold_out(&["airbnb-50", "airbnb-100", "steam-10"]);
    let question = Question::Products(of_brand("US", "Airbnb"));
    let group = &ask_of(&snapshot, &question)[0];
    assert_eq!(group["is_out_of_stock"], json!(false), "the range is left");
    assert_eq!(group["products"].as_array().map(Vec::len), Some(1));
    assert_eq!(ask_of(&snapshot, &brands("US"))["all_brands"][1]["is_out_of_stock"], json!(false));

    let mut market = testing::market();
    let mut records = market.catalogue.brands.clone();
    records[0].products.truncate(2);
    let catalogue = Catalogue::build("import-2".to_owned(), records, BTreeMap::new(), Vec::new());
    market.catalogue = Arc::new(catalogue.expect("no name twice"));
    let mut snapshot = testing::snapshot_of(market);
    snapshot.sold_out = sold_out(&["airbnb-50", "airbnb-100"]);
    let group = &ask_of(&snapshot, &question)[0];
    assert_eq!(group["is_out_of_stock"], json!(true));
    assert_eq!(group["products"].as_array().map(Vec::len), Some(2), "the brand says it for all of them");
}

#[test]
fn products_have_the_fields_of_their_form() {
    let groups = ask(&Question::Products(of_brand("US", "Airbnb")));
    let group = &groups[0];
    assert_eq!(group["product_tc"], json!("One use. No cash <3"));
    assert_eq!(group["redeem_method"], json!(["online"]));
    assert_eq!(group["default_denomination"], json!(""));
    assert_eq!(group["rich_description"]["locale"], json!("en"));
    assert_eq!(group["rich_description"]["redeem_geo"], json!("in US"));
    let products = group["products"].as_array().expect("a list");
    assert_eq!(products.len(), 3, "50, 100 and the range; 900 is not active");
    let ids: BTreeSet<&str> = products.iter().filter_map(|product| product["product_id"].as_str()).collect();
    assert_eq!(ids.len(), 3);
    let mut hundred = products[1].clone();
    hundred.as_object_mut().and_then(|fields| fields.remove("product_id")).expect("an id");
    // 1.5 % on top; 100 USD are 80 EUR.
    let expected = json!({
        "is_dynamic": false, "denomination": "100 USD", "localized_denomination": "$100", "coin": "USDC",
        "coin_amount": "101.50", "original_coin_amount": "101.50", "payment_method": "USDC-MATIC",
        "delivery_type": "by_email", "product_type": "physical", "points": "80",
        "face_value": { "currency_code": "USD", "amount": { "type": "fixed", "price": "100" } } });
    assert_eq!(hundred, expected);
    let mut range = products[2].clone();
    range.as_object_mut().and_then(|fields| fields.remove("product_id")).expect("an id");
    let expected = json!({
        "is_dynamic": true, "coin": "USDC", "payment_method": "USDC-MATIC", "delivery_type": "by_email",
        "range": { "min": 50, "max": 500, "currency": "USD", "step_size": 1, "default": "500.0" },
        "product_type": "physical", "points": "40",
        "face_value": { "currency_code": "USD", "amount": { "type": "range", "min": "50.00", "max": "500.00" } } });
    assert_eq!(range, expected);
}

#[test]
fn plans_and_top_ups_say_what_they_are() {
    let plans = ask(&Question::Products(of_brand("US", "Roamwell eSIM")));
    let big = &plans[0]["products"][0];
    assert_eq!(big["denomination"], json!("Unlimited 30 days"));
    let amount = |value: i64| json!({ "base": { "amount": value }, "total_including_tax": { "amount": value } });
    let benefits = json!([
        { "type": "DATA", "unit_type": "DATA", "unit": "GB", "amount": amount(-1) },
        { "type": "VALIDITY", "unit_type": "TIME", "unit": "DAYS", "amount": amount(30) } ]);
    assert_eq!(big["benefits"], benefits);
    assert!(plans[0].get("rich_description").is_none(), "nothing is known about it");
    assert_eq!(plans[0]["product_tc"], json!(""));
    let top_up = ask(&Question::Products(of_brand("US", "Talkline")));
    assert_eq!(top_up[0]["products"][0]["delivery_type"], json!("by_phone"));
}

#[test]
fn products_are_found_by_family_in_any_case_and_by_exact_name() {
    let found = |question: ProductsQuestion| {
        let groups = ask(&Question::Products(question));
        names(&groups, "brand").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let family = |name: &str| ProductsQuestion { family: Some(name.to_owned()), brand: None, ..of_brand("US", "") };
    assert_eq!(found(family("sTEAM")), ["Steam", "Steam Deck Card"]);
    assert!(found(family("nonesuch")).is_empty());
    assert_eq!(found(of_brand("US", "Steam")), ["Steam"]);
    for (country, brand) in [("US", "steam"), ("US", "Closed Card"), ("DE", "Steam"), ("us", "Steam"), ("ZZ", "Steam")]
    {
        assert!(found(of_brand(country, brand)).is_empty(), "{country} {brand}");
    }
    assert!(found(ProductsQuestion { family: Some("Airbnb".to_owned()), ..of_brand("US", "Steam") }).is_empty());
}

#[test]
fn prices_follow_coin_network_language_coupon_and_partner() {
    let first = |question: ProductsQuestion| ask(&Question::Products(question))[0].clone();
    let with = |terms: Terms| first(ProductsQuestion { terms, ..of_brand("US", "Steam") })["products"][0].clone();
    // 10.15 USD of a coin at 100,000 USD.
    let bitcoin = with(Terms::default());
    assert_eq!((&bitcoin["coin"], &bitcoin["payment_method"]), (&json!("BTC"), &json!("BTC")));
    assert_eq!(bitcoin["coin_amount"], json!("0.00010150"));
    let solana = with(Terms { payment_method: Some("USDC-SOLANA".to_owned()), ..in_coin("USDC") });
    assert_eq!(solana["payment_method"], json!("USDC-SOLANA"));
    let cheaper = with(Terms { promo_code: Some("TEN".to_owned()), ..in_coin("USDC") });
    // 9.135, rounded up.
    assert_eq!((&cheaper["coin_amount"], &cheaper["original_coin_amount"]), (&json!("9.14"), &json!("10.15")));
    let partner = with(Terms { partner: Some(PartnerId::new(PARTNER)), ..in_coin("USDC") });
    assert_eq!(partner["coin_amount"], json!("10.00"));
    let japanese = first(ProductsQuestion { language: "ja".to_owned(), ..of_brand("US", "Airbnb") });
    assert_eq!(japanese["rich_description"]["locale"], json!("ja"));
    assert_eq!(japanese["rich_description"]["description"], json!("<p>宿泊</p>"));
    assert_eq!(japanese["product_tc"], json!("返品不可"));
    let german = first(ProductsQuestion { language: "de".to_owned(), ..of_brand("US", "Airbnb") });
    assert_eq!(german["rich_description"]["locale"], json!("en"), "English is the fallback");
    // 20 EUR are 25 USD.
    assert_eq!(first(of_brand("DE", "Ruhr Cash"))["products"][0]["coin_amount"], json!("25.38"));
    let refused = refusal(&Question::Products(ProductsQuestion { terms: in_coin("NOPE"), ..of_brand("US", "Steam") }));
    let Refused::Question(detail) = refused else { panic!("{refused:?}") };
    assert!(detail.ends_with("USDC, BTC, ETH, DOGE"), "{detail}");
}

#[test]
fn old_rates_refuse_to_quote_but_never_stop_a_dollar_sale_in_a_stablecoin() {
    let snapshot = testing::snapshot();
    let later =
        |span: Span, question: ProductsQuestion| View { now: NOW + span, ..view(&snapshot) }.products(&question);
    let in_bitcoin = || ProductsQuestion { terms: in_coin("BTC"), ..of_brand("US", "Steam") };
    assert!(later(Span::minutes(15), in_bitcoin()).is_ok());
    let stale = later(Span::minutes(16), in_bitcoin()).expect_err("too old");
    assert_eq!(stale, Refused::Rate(RateError::Stale { rate: "BTC/USD".to_owned(), age: Span::minutes(16) }));
    assert!(later(Span::minutes(16), ProductsQuestion { brand: Some("nonesuch".to_owned()), ..in_bitcoin() }).is_ok());
    let year = Span::hours(365 * 24);
    assert!(later(year, of_brand("US", "Airbnb")).is_ok());
    let euro = later(year, of_brand("DE", "Ruhr Cash")).expect_err("too old");
    assert_eq!(euro, Refused::Rate(RateError::Stale { rate: "EUR/USD".to_owned(), age: year }));
    // Not one rate is known: points and thresholds are shown without.
    let market = Market { rates: Arc::new(Rates::default()), ..testing::market() };
    let snapshot = testing::snapshot_of(market);
    let steam = ask_of(&snapshot, &Question::Products(of_brand("US", "Steam")));
    assert_eq!(
        (&steam[0]["products"][0]["coin_amount"], &steam[0]["products"][0]["points"]),
        (&json!("10.15"), &json!("0"))
    );
}

#[test]
fn the_price_of_a_face_value_is_that_of_the_listed_product() {
    let listed = ask(&Question::Products(of_brand("US", "Airbnb")));
    let mut answer = ask(&price("Airbnb", "75.00", "USDC"));
    let id = answer.as_object_mut().and_then(|fields| fields.remove("product_id"));
    assert_eq!(id.as_ref(), Some(&listed[0]["products"][2]["product_id"]));
    // 75 USD and 1.5 % are 76.125 USD; 60 EUR.
    let expected = json!({
        "is_dynamic": true, "range": { "min": 50, "max": 500, "currency": "USD", "step_size": 1, "default": "500.0" },
        "coin": "USDC", "coin_amount": "76.13", "original_coin_amount": "76.13", "payment_method": "USDC-MATIC",
        "delivery_type": "by_email", "points": "60", "product_type": "physical" });
    assert_eq!(answer, expected);
    let fixed = ask(&price("Steam", "10", "BTC"));
    assert_eq!((&fixed["is_dynamic"], &fixed["coin_amount"]), (&json!(false), &json!("0.00010150")));
    assert!(fixed.get("range").is_none());
}

#[test]
fn a_face_value_that_is_not_sold_is_refused_as_an_order_would_be() {
    for (brand, face_value, code) in [
        ("Airbnb", "49", "NOT_AVAILABLE_PRODUCT"),
        ("Airbnb", "75.5", "NOT_AVAILABLE_PRODUCT"),
        ("Airbnb", "1e2", "NOT_AVAILABLE_PRODUCT"),
        ("Airbnb", "-75", "NOT_AVAILABLE_PRODUCT"),
        ("airbnb", "75", "NOT_AVAILABLE_PRODUCT"),
        ("Steam", "11", "NOT_AVAILABLE_PRODUCT"),
        ("Airbnb", "900", "NOT_ACTIVE"),
        ("Closed Card", "10", "NOT_ACTIVE"),
    ] {
        let refused = refusal(&price(brand, face_value, "USDC"));
        let Refused::NotSold(problem) = refused else { panic!("{brand} {face_value}: {refused:?}") };
        assert_eq!(problem.code(), code, "{brand} {face_value}");
    }
    assert!(matches!(refusal(&price("Airbnb", "75", "NOPE")), Refused::Question(_)));
}

#[test]
fn a_search_answers_with_groups_of_products() {
    let found = |text: &str| {
        let groups = ask(&search("US", text));
        names(&groups, "brand").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(found("AIR"), ["Airbnb"]);
    assert_eq!(found("steam"), ["Steam", "Steam Deck Card"]);
    assert!(found("closed").is_empty() && found("bnb").is_empty() && found("?").is_empty());
    assert_eq!(ask(&search("ZZ", "air")), json!([]));
    assert_eq!(ask(&search("US", "steam deck"))[0]["products"][0]["coin_amount"], json!("10.15"));
}

#[test]
fn all_countries_of_the_contract_are_listed_by_name() {
    let answer = ask(&Question::Countries);
    assert_eq!(answer[0], json!({ "code": "AX", "name": "Åland Islands" }));
    let mut codes = names(&answer, "code");
    codes.sort_unstable();
    assert_eq!(codes, CODES);
}

#[test]
fn terms_become_plain_text() {
    for (html, expected) in [
        ("<p>One.</p><p>Two.</p>", "One. Two."),
        ("a<br/>b <I>c</I>d", "a b cd"),
        ("5 &lt; 6 &amp;lt; &quot;x&quot;&nbsp;&#39;y&#39;", "5 < 6 &lt; \"x\" 'y'"),
        ("1 < 2", "1 < 2"),
        ("plain", "plain"),
        ("", ""),
    ] {
        assert_eq!(plain_text(html), expected, "{html}");
    }
}

#[test]
fn names_of_signs_are_fit_for_an_address() {
    for (kind, name, expected) in [
        ("network", "Polygon (Matic)", "network_polygon-matic"),
        ("coin", "USDC.e", "coin_usdc-e"),
        ("via", "USER_WALLET", "via_user-wallet"),
    ] {
        assert_eq!(sign_slug(kind, name), expected);
    }
}
