//! Makes an answer of one run equal to that of any other: what is drawn at random is replaced by its name, keys are put
//! in order, long lists are cut short with their length beside them.
//!
//! Must never replace what is the same in every run: ids of brands and products, prices, times and order numbers are
//! what a snapshot is for.

use super::facts::is_uuid;
use serde_json::{Map, Value, json};

/// Fields that are drawn at random, with the names that stand in for them.
const RANDOM: [(&str, &str); 6] = [
    ("order_id", "[order_id]"),
    ("payment_id", "[payment_id]"),
    ("wallet_address", "[address]"),
    ("pin_code", "[code]"),
    ("pin_serial", "[serial]"),
    ("security_code", "[security]"),
];

/// Texts of one answer, each with its stand-in.
pub type Replacements = Vec<(String, &'static str)>;

/// The answer without what differs between two runs, wherever in it that stands: an order's id is part of its links, its
/// address part of its payment URI.
pub fn redacted(answer: &Value) -> Value {
    replaced(answer, &random_texts(answer))
}

/// What is drawn at random in an answer.
pub fn random_texts(answer: &Value) -> Replacements {
    let mut found = Replacements::new();
    collect(answer, &mut found);
    // The longest first: a text that is part of another one must not break it up.
    found.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    found
}

/// The text with every stand-in put in.
pub fn replaced_text(text: &str, replacements: &Replacements) -> String {
    replacements.iter().fold(text.to_owned(), |text, (random, name)| text.replace(random.as_str(), name))
}

/// A list by its length and its first entries.
pub fn first(list: &Value, most: usize) -> Value {
    let entries = list.as_array().expect("only lists are cut short");
    json!({ "count": entries.len(), "first": entries.iter().take(most).collect::<Vec<_>>() })
}

/// The same value with the keys of every object in alphabetical order, whatever the order of the wire.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            let in_order = keys.into_iter().map(|key| (key.clone(), sorted(&fields[key])));
            Value::Object(in_order.collect::<Map<_, _>>())
        }
        Value::Array(entries) => Value::Array(entries.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn collect(value: &Value, found: &mut Replacements) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) => found.extend(stand_in(key, text).map(|name| (text.clone(), name))),
                    // `<network>|<transaction hash>|<position>`
                    Value::Array(transfers) if key == "transfers" => {
                        let hashes = transfers.iter().filter_map(Value::as_str).filter_map(|id| id.split('|').nth(1));
                        found.extend(hashes.map(|hash| (hash.to_owned(), "[hash]")));
                    }
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                        collect(value, found);
                    }
                }
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| collect(entry, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn stand_in(key: &str, text: &str) -> Option<&'static str> {
    if key == "id" && is_uuid(text) {
        return Some("[delivery_id]");
    }
    RANDOM.iter().find(|(random, _)| *random == key).map(|(_, name)| *name)
}

fn replaced(value: &Value, replacements: &Replacements) -> Value {
    match value {
        Value::String(text) => Value::String(replaced_text(text, replacements)),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), replaced(value, replacements)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(entries) => Value::Array(entries.iter().map(|entry| replaced(entry, replacements)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
