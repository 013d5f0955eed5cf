//! What this server answers beyond the contract: its description, its probes, its logos and pages.

use super::facts::{at, is_uuid, text};
use super::{Door, head, keep, keep_text, success};
use crate::harness::Shop;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Every call of the contract's section 3 that this server has, and that of the sandbox.
const DESCRIBED: [(&str, &str); 16] = [
    ("get", "/v3/payment_vias"),
    ("get", "/v3/currencies"),
    ("get", "/v2/brands"),
    ("get", "/v2/homepage"),
    ("get", "/v2/search/{country_code}"),
    ("get", "/v5/products/country/{country_code}"),
    ("get", "/v4/products/price"),
    ("post", "/v5/orders/validations"),
    ("post", "/v5/orders"),
    ("get", "/v5/orders/{order_id}"),
    ("get", "/v3/orders/{order_id}"),
    ("get", "/v5/orders/{order_id}/subscribe"),
    ("get", "/api/orders/{order_id}/subscribe"),
    ("get", "/v3/qrs/{order_id}"),
    ("get", "/api/available-countries"),
    ("post", "/sandbox/orders/{order_id}/pay"),
];

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_probes_and_pages() {
    let shop = Shop::open().await;
    let door = Door::of(&shop);
    description(&door);
    probes(&door);
    metrics(&door);
    logo(&door);
    pages(&door);
    shop.close().await;
}

fn description(door: &Door) {
    let answer = door.get("/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert!(text(&document, "/openapi").starts_with("3.1."));
    for (method, path) in DESCRIBED {
        assert!(at(&document, "/paths").get(path).is_some_and(|item| item.get(method).is_some()), "{method} {path}");
    }
    let mut named = BTreeSet::new();
    references(&document, &mut named);
    assert!(!named.is_empty());
    for reference in named {
        let pointer = reference.strip_prefix('#').expect("the document names nothing outside of itself");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    // The types of the contract's section 11, as a generated client would take them from here.
    let schemas = at(&document, "/components/schemas");
    for (field, kind) in [
        ("Order/properties/coin_amount", "string"),
        ("Order/properties/created_at", "string"),
        ("Order/properties/payment_value", "number"),
        ("Range/properties/min", "number"),
        ("Range/properties/default", "string"),
        ("ViaNetwork/properties/threshold", "string"),
        ("Brand/properties/is_out_of_stock", "boolean"),
        ("Validation/properties/problems", "array"),
    ] {
        assert_eq!(text(schemas, &format!("/{field}/type")), kind, "{field}");
    }
    assert_eq!(text(&document, "/info/version"), env!("CARGO_PKG_VERSION"));
    let mut shown = document.clone();
    shown["info"]["version"] = json!("[version]");
    keep("openapi", &answer, &shown);
}

/// Everything that a `$ref` names.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| references(entry, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn probes(door: &Door) {
    let ready = door.get("/readyz");
    let told = success(&ready);
    assert_eq!(told, json!({ "books": "ok", "catalogue": "ok", "database": "ok", "rates": "ok" }));
    keep("readyz", &ready, &told);
    let live = door.get("/livez");
    assert_eq!((live.status, live.text()), (200, "ok\n"));
    keep_text("livez", &format!("{}\n{}", head(&live), live.text()));
}

/// Which figures there are; their values change with every call.
fn metrics(door: &Door) {
    let answer = door.get("/metrics");
    assert_eq!(answer.status, 200);
    let lines: Vec<&str> = answer.text().lines().filter(|line| line.starts_with("# ")).collect();
    let names: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("kiosk_")), "the prefix of every figure");
    assert!(!answer.text().split(['"', ' ', '\n']).any(is_uuid), "an order id opens codes and is no label");
    keep_text("metrics", &format!("{}\n{}\n", head(&answer), lines.join("\n")));
}

fn logo(door: &Door) {
    let answer = door.get("/logos/airbnb_300x190.webp");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/webp")));
    assert!(answer.body.starts_with(b"RIFF") && answer.body[8..].starts_with(b"WEBP"));
    assert!(answer.header("etag").is_some() && answer.header("cache-control").is_some());
    keep_text("logo", &format!("{}\n[WebP image]\n", head(&answer)));
}

fn pages(door: &Door) {
    let viewer = door.get("/docs");
    assert_eq!((viewer.status, viewer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(viewer.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'self'")));
    keep_text("docs", &format!("{}\n{}", head(&viewer), viewer.text()));

    let no_link = door.get("/d/not-a-secret");
    assert_eq!((no_link.status, no_link.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert_eq!(no_link.header("cache-control"), Some("no-store"));
    keep_text("delivery_page_unknown", &format!("{}\n{}\n", head(&no_link), no_link.text()));
}
