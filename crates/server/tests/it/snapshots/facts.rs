//! What must be true of an answer whatever its snapshot says: the type rules of the contract's section 11, and readers
//! that fail with the place they looked at.
//!
//! A snapshot is accepted by a person; these rules are not. Called by the snapshot tests only.

use serde_json::{Map, Value};

/// Rule 1: strings, and never numbers.
const TEXTS: [&str; 12] = [
    "coin_amount",
    "original_coin_amount",
    "original_price",
    "sent_coin_amount",
    "received_amount",
    "threshold",
    "points",
    "created_at",
    "updated_at",
    "payment_requested_at",
    "default",
    "price",
];

/// Rule 2: numbers, and never strings.
const NUMBERS: [&str; 5] = ["payment_value", "step_size", "chain_id", "decimals", "product_value"];

/// Rule 3: real booleans.
const FLAGS: [&str; 5] =
    ["is_dynamic", "is_out_of_stock", "is_suspended", "available", "is_payment_processor_external"];

/// Rule 7.
const UUIDS: [&str; 4] = ["order_id", "payment_id", "product_id", "brand_id"];

/// Rule 10: what must be a plain decimal with at most as many places as its coin has.
const AMOUNTS: [&str; 5] =
    ["coin_amount", "original_coin_amount", "original_price", "sent_coin_amount", "received_amount"];

/// The two fields that the contract itself shows as null (3.8); everything else is left out rather than null (rule 4).
const NULLABLE: [&str; 2] = ["coupon_code", "loyalty_summary"];

/// Checks every field of an answer that section 11 speaks of.
pub fn assert_types(answer: &Value) {
    check("", answer);
}

fn check(path: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{path}/{key}");
                check_field(&path, key, value, fields);
                check(&path, value);
            }
        }
        Value::Array(entries) => {
            for (at, entry) in entries.iter().enumerate() {
                assert!(!entry.is_null(), "{path}/{at} is null");
                check(&format!("{path}/{at}"), entry);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check_field(path: &str, key: &str, value: &Value, beside: &Map<String, Value>) {
    assert!(!value.is_null() || NULLABLE.contains(&key), "{path} is null and must be left out");
    // The bounds of a range are numbers; those of a face value and the labels of a brand are strings.
    let (is_bound, is_in_range) = (matches!(key, "min" | "max"), beside.contains_key("step_size"));
    if NUMBERS.contains(&key) || (is_bound && is_in_range) {
        assert!(value.is_number(), "{path} must be a number");
    } else if TEXTS.contains(&key) || is_bound {
        assert!(value.is_string(), "{path} must be a string");
    } else if FLAGS.contains(&key) {
        assert!(value.is_boolean(), "{path} must be true or false");
    }
    if UUIDS.contains(&key) {
        assert!(value.as_str().is_some_and(is_uuid), "{path} must be a UUID");
    }
    if AMOUNTS.contains(&key) {
        let most = if beside.get("coin").is_some_and(|coin| coin == "USDC") { 6 } else { 9 };
        let places = value.as_str().and_then(decimal_places);
        assert!(places.is_some_and(|places| places <= most), "{path} must be a plain decimal of at most {most} places");
    }
}

/// How many places a plain decimal has; `None` for anything with a sign, an exponent, a blank or a bare point.
fn decimal_places(text: &str) -> Option<usize> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    (are_digits(whole) && are_digits(places)).then_some(places.len())
}

/// Whether a text has the form 8-4-4-4-12 in lower-case hexadecimal digits.
pub fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(is_hex)
}

/// What stands at a JSON pointer.
pub fn at<'a>(answer: &'a Value, pointer: &str) -> &'a Value {
    answer.pointer(pointer).unwrap_or_else(|| panic!("there is nothing at {pointer}"))
}

/// The string at a JSON pointer.
pub fn text<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    at(answer, pointer).as_str().unwrap_or_else(|| panic!("{pointer} is not a string"))
}

/// The JSON number at a pointer, as its own text.
pub fn number(answer: &Value, pointer: &str) -> String {
    let number = at(answer, pointer).as_number().unwrap_or_else(|| panic!("{pointer} is not a number"));
    number.to_string()
}

/// The boolean at a JSON pointer.
pub fn flag(answer: &Value, pointer: &str) -> bool {
    at(answer, pointer).as_bool().unwrap_or_else(|| panic!("{pointer} is neither true nor false"))
}

/// The list at a JSON pointer.
pub fn list<'a>(answer: &'a Value, pointer: &str) -> &'a [Value] {
    at(answer, pointer).as_array().unwrap_or_else(|| panic!("{pointer} is not a list"))
}

/// One string of each entry of a list.
pub fn texts<'a>(answer: &'a Value, pointer: &str, key: &str) -> Vec<&'a str> {
    list(answer, pointer).iter().map(|entry| text(entry, &format!("/{key}"))).collect()
}

/// Fails if the object at a pointer has one of those keys, be it as null.
pub fn assert_absent(answer: &Value, pointer: &str, keys: &[&str]) {
    let fields = at(answer, pointer).as_object().unwrap_or_else(|| panic!("{pointer} is not an object"));
    for key in keys {
        assert!(!fields.contains_key(*key), "{pointer} must have no {key}");
    }
}

#[test]
fn the_rules_can_fail() {
    use serde_json::json;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let passes = |answer: &Value| catch_unwind(AssertUnwindSafe(|| assert_types(answer))).is_ok();
    let brand = "1f5f0a52-7c2e-4a0e-9d5f-0f6c4f1b7a11";
    for good in [
        json!({ "coin": "USDC", "coin_amount": "101.50", "payment_value": 85.9, "coupon_code": null }),
        json!([{ "range": { "min": 50, "max": 500, "step_size": 1, "default": "500.0" }, "min": "$50" }]),
        json!({ "brand_id": brand, "is_dynamic": true, "coin": "BTC", "coin_amount": "0.00112778" }),
    ] {
        assert!(passes(&good), "{good}");
    }
    for bad in [
        json!({ "coin_amount": 101.5 }),
        json!({ "coin": "USDC", "coin_amount": "101.5000001" }),
        json!({ "coin_amount": "1e2" }),
        json!({ "payment_value": "85.9" }),
        json!({ "is_dynamic": "true" }),
        json!({ "min": 50 }),
        json!([{ "range": { "min": "50", "step_size": 1 } }]),
        json!({ "brand_id": "airbnb" }),
        json!({ "max": null }),
        json!({ "brands": [null] }),
    ] {
        assert!(!passes(&bad), "{bad}");
    }
}
