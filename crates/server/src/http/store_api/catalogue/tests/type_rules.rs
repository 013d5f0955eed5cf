//! The type rules of contract section 11, on every read answer: each of them keeps some known client working.

use super::*;
use domain::ids::Uuid;

/// Contract section 11, rules 1 to 4, 7 and 10, on a field of that name inside `parent`.
fn check_field(parent: &str, name: &str, value: &Value) {
    const TEXTS: [&str; 9] = [
        "coin_amount",
        "original_coin_amount",
        "threshold",
        "points",
        "default",
        "price",
        "coin",
        "product_tc",
        "denomination",
    ];
    const NUMBERS: [&str; 3] = ["chain_id", "decimals", "step_size"];
    const FLAGS: [&str; 4] = ["is_dynamic", "is_out_of_stock", "is_suspended", "available"];
    assert!(!value.is_null(), "{parent}.{name} is null");
    let is_bound = matches!(name, "min" | "max");
    if TEXTS.contains(&name) || is_bound && parent != "range" {
        assert!(value.is_string(), "{parent}.{name}: {value}");
    }
    if NUMBERS.contains(&name) || is_bound && parent == "range" {
        assert!(value.is_number(), "{parent}.{name}: {value}");
    }
    if FLAGS.contains(&name) {
        assert!(value.is_boolean(), "{parent}.{name}: {value}");
    }
    if matches!(name, "brand_id" | "product_id") {
        assert!(value.as_str().is_some_and(|id| Uuid::parse(id).is_ok()), "{parent}.{name}: {value}");
    }
    if matches!(name, "coin_amount" | "original_coin_amount") {
        let amount = value.as_str().expect("checked above");
        let (whole, decimals) = amount.split_once('.').expect("quoted decimals");
        assert!(whole.bytes().chain(decimals.bytes()).all(|digit| digit.is_ascii_digit()), "{amount}");
        assert!(decimals.len() <= 6, "{amount} in USDC");
    }
}

fn check_types(parent: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                check_field(parent, name, field);
                check_types(name, field);
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| check_types(parent, entry)),
        Value::Null => panic!("null in {parent}"),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_type_rules_hold_in_every_answer() {
    let of = |brand| Question::Products(of_brand("US", brand));
    for question in [
        Question::PaymentVias,
        Question::Currencies,
        Question::Countries,
        brands("US"),
        brands("FR"),
        homepage("US"),
        search("US", "s"),
        of("Airbnb"),
        of("Roamwell eSIM"),
        of("Talkline"),
        Question::Products(of_brand("DE", "Ruhr Cash")),
        price("Airbnb", "75", "USDC"),
        price("Steam", "10", "USDC"),
    ] {
        let answer = ask(&question);
        check_types("", &answer);
    }
    // Rule 6.
    let answer = ask(&brands("US"));
    assert!(answer["all_brands"].is_array() && answer["categories"].is_array());
}

#[test]
fn a_brand_id_always_comes_with_the_same_record() {
    let mut records: BTreeMap<String, Value> = BTreeMap::new();
    let mut seen = 0;
    for answer in [ask(&brands("US")), ask(&homepage("US"))] {
        let groups = answer["categories"].as_array().expect("a list");
        let in_groups = groups.iter().flat_map(|group| [&group["brands"], &group["popular_brands"]]);
        for list in in_groups.chain([&answer["all_brands"], &answer["popular_brands"]]) {
            for brand in list.as_array().expect("a list") {
                let id = brand["brand_id"].as_str().expect("an id").to_owned();
                assert_eq!(records.entry(id).or_insert_with(|| brand.clone()), brand);
                seen += 1;
            }
        }
    }
    assert_eq!(records.len(), 5);
    assert!(seen > 15, "each stands in several places");
}
