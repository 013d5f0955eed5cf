//! A snapshot of every answer of the store API, one per endpoint and meaningful variant: status, the headers that the
//! contract names, and the body with what is random in it replaced by its name.
//!
//! Beside each snapshot stand assertions on what the contract says about that answer, made before the snapshot is
//! compared: a new snapshot is written by a tool, and a wrong one must not be taken for right. Prices are calculated in
//! comments from the demo's catalogue, its rates (1 EUR = 1.1642 USD, 1 BTC = 90,000 USD) and the margin of 150 basis
//! points. Must never read a clock: the shop's stands still at `harness::START`.

// What is on sale: contract 3.1 to 3.7 and 3.14.
mod catalogue;
// From a dry run to the delivered code: contract 3.8 to 3.10 and 3.12.
mod orders;
// A whole order over its stream: contract 4.5.
mod stream;
// Everything that is refused: contract 5.
mod refusals;
// What this server answers beyond the contract.
mod own;

// What must be true of every answer.
mod facts;
// What differs between two runs, and long lists.
mod redact;
// What stands on the wire. Also for `crash`.
pub mod wire;

use crate::harness::Shop;
use redact::sorted;
use serde_json::Value;
use wire::{Answer, Request};

/// The headers that a snapshot shows, where they are there, in this order. `location` would be a redirect, which the
/// contract forbids.
const SHOWN: [&str; 11] = [
    "content-type",
    "cache-control",
    "vary",
    "etag",
    "retry-after",
    "location",
    "connection",
    "x-accel-buffering",
    "transfer-encoding",
    "content-security-policy",
    "referrer-policy",
];

/// The shop as its clients reach it.
struct Door {
    address: String,
}

impl Door {
    fn of(shop: &Shop) -> Door {
        Door::at(&shop.url)
    }

    fn at(url: &str) -> Door {
        let address = url.strip_prefix("http://").expect("a shop in a test speaks plain HTTP");
        Door { address: address.to_owned() }
    }

    fn get(&self, path: &str) -> Answer {
        self.send(&Request { method: "GET", path, ..Request::default() })
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[])
    }

    fn post_with(&self, path: &str, body: &Value, more_headers: &[(&str, &str)]) -> Answer {
        let headers = [&[("content-type", "application/json")][..], more_headers].concat();
        self.send(&Request { method: "POST", path, headers: &headers, body: body.to_string().as_bytes() })
    }

    fn send(&self, request: &Request<'_>) -> Answer {
        wire::call(&self.address, request).expect("the shop answers to the end")
    }
}

/// The body of a good answer: 200, JSON (one client refuses any other content type, contract 1.1), and every field of
/// the type that the contract gives it.
fn success(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    facts::assert_types(&body);
    body
}

/// The body of a refusal: a shape that every known client reads (contract 5.4), and never one beside an order id.
fn refusal(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    facts::assert_types(&body);
    assert_eq!(facts::number(&body, "/status"), status.to_string());
    assert_eq!(facts::text(&body, "/detail"), code);
    assert!(!facts::text(&body, "/message").is_empty());
    facts::assert_absent(&body, "", &["order_id"]);
    if body.get("problems").is_some() {
        let problems = facts::texts(&body, "/problems", "problem");
        assert_eq!(problems.first(), Some(&code), "the first problem is the detail");
        problems.iter().for_each(|problem| assert_code(problem));
    }
    body
}

/// One client rejects a whole answer for a code of another form (contract 5.1).
fn assert_code(code: &str) {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())
    };
    assert!(code.starts_with(|first: char| first.is_ascii_uppercase()), "{code}");
    assert!(code.contains('_') && code.split('_').all(is_word), "{code}");
}

/// Compares an answer with its snapshot; `body` is what of its JSON is to be kept.
fn keep(name: &str, answer: &Answer, body: &Value) {
    let body = serde_json::to_string_pretty(&sorted(body)).expect("JSON can be written");
    keep_text(name, &format!("{}\n{body}\n", head(answer)));
}

/// Compares a text with its snapshot.
fn keep_text(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => "snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, text);
    });
}

/// Status and headers, a line each. Of an entity tag only that it is there: it follows from the body.
fn head(answer: &Answer) -> String {
    let mut text = format!("HTTP {}\n", answer.status);
    for name in SHOWN {
        for (_, value) in answer.headers.iter().filter(|(known, _)| known == name) {
            let is_tag = name == "etag" && value.len() > 2 && value.starts_with('"') && value.ends_with('"');
            let value = if is_tag { "[tag]" } else { value.as_str() };
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    text
}
