//! The document as a whole: nothing missing, nothing dangling, nothing that the wire types do not say.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;

/// The members of an object that must be there, such as `/components/schemas`.
fn object<'a>(value: &'a Value, pointer: &str) -> &'a Map<String, Value> {
    value.pointer(pointer).and_then(Value::as_object).unwrap_or_else(|| panic!("{pointer} is an object"))
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in object(document, "/paths") {
        for (method, operation) in item.as_object().expect("a path holds operations") {
            operations.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    operations
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(target) if name == "$ref" => {
                        found.insert(target.to_owned());
                    }
                    _ => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The parameter itself, behind a reference or not.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(target) => {
            document.pointer(target.trim_start_matches('#')).expect("another test proves that references resolve")
        }
        None => value,
    }
}

#[test]
fn every_path_of_the_table_is_there_and_no_other() {
    let found: BTreeSet<String> = operations(&document(true)).into_iter().map(|(name, _)| name).collect();
    let named: Vec<String> = paths().into_iter().map(|(method, path)| format!("{method} {path}")).collect();
    let distinct: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(found, distinct);
    assert_eq!(distinct.len(), named.len(), "a method and path stand twice in the table");
    let demo_alone: Vec<String> = named.into_iter().filter(|name| name.contains("/sandbox/")).collect();
    assert_eq!(demo_alone, ["POST /sandbox/orders/{order_id}/pay"]);
}

/// The endpoints of contract section 3 that this server has, and its own, written down once more by hand.
#[test]
fn the_table_has_what_the_contract_asks_for() {
    let expected = [
        "GET /v3/payment_vias",
        "GET /v3/currencies",
        "GET /v2/brands",
        "GET /v2/homepage",
        "GET /v2/search/{country_code}",
        "GET /v5/products/country/{country_code}",
        "GET /v4/products/price",
        "POST /v5/orders/validations",
        "POST /v5/orders",
        "GET /v5/orders/{order_id}",
        "GET /v3/orders/{order_id}",
        "GET /v5/orders/{order_id}/subscribe",
        "GET /api/orders/{order_id}/subscribe",
        "GET /v3/qrs/{order_id}",
        "GET /api/available-countries",
        "GET /logos/{file}",
        "GET /d/{secret}",
        "GET /kiosk/v1/events",
        "GET /kiosk/v1/orders/{order_id}/explain",
        "GET /claim/{token}",
        "GET /livez",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
        "GET /docs",
    ];
    let document = document(false);
    let found: BTreeSet<String> = operations(&document).into_iter().map(|(name, _)| name).collect();
    let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_reference_resolves() {
    for sandbox in [true, false] {
        let document = document(sandbox);
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.contains("#/components/schemas/Order"), "{found:?}");
        for target in found {
            let pointer = target.strip_prefix('#').expect("references stay in the document");
            assert!(document.pointer(pointer).is_some(), "{target} names nothing");
        }
    }
}

#[test]
fn every_operation_says_what_it_is_and_what_it_answers() {
    let document = document(true);
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        for field in ["summary", "description", "operationId"] {
            let text = operation[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name} has no {field}");
        }
        assert!(ids.insert(operation["operationId"].to_string()), "{name} has the id of another");
        let answers = operation["responses"].as_object().expect("answers are an object");
        assert!(answers.contains_key("200"), "{name} has no successful answer");
        for (status, answer) in answers {
            let text = resolved(&document, answer)["description"].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name} does not describe {status}");
        }
    }
}

#[test]
fn the_parameters_of_a_path_are_those_of_its_text() {
    let document = document(true);
    for (name, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().expect("parameters are an array");
        let declared: BTreeSet<&str> = parameters
            .iter()
            .map(|parameter| resolved(&document, parameter))
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().expect("a parameter has a name"))
            .collect();
        let written: BTreeSet<&str> = name.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        assert_eq!(declared, written, "{name}");
    }
}

#[test]
fn who_must_wait_is_told_how_long() {
    let document = document(true);
    for (name, operation) in operations(&document) {
        let answers = operation["responses"].as_object().expect("answers are an object");
        let waits = answers.iter().filter(|(status, _)| ["429", "503"].contains(&status.as_str()));
        for (status, answer) in waits {
            let answer = resolved(&document, answer);
            let is_probe = name == "GET /readyz";
            assert!(
                is_probe || answer.pointer("/headers/Retry-After").is_some(),
                "{name} answers {status} without Retry-After"
            );
        }
    }
}

#[test]
fn the_wire_types_are_among_the_schemas() {
    let document = document(true);
    let schemas = object(&document, "/components/schemas");
    for name in ["Order", "Validation", "Brands", "ProductGroup", "Price", "OrderRequest", "ErrorBody", "PaymentVia"] {
        assert_eq!(schemas[name]["type"], "object", "{name}");
    }
    assert!(schemas.contains_key("SandboxPayment"));
    let without = super::document(false);
    assert!(!object(&without, "/components/schemas").contains_key("SandboxPayment"));
}

/// Contract section 11: amounts are strings, the numbers of a range are numbers, booleans are booleans, and what is
/// unknown is left out.
#[test]
fn the_schemas_keep_the_type_rules_of_the_contract() {
    let document = document(false);
    let cases = [
        ("Order", "coin_amount", "string", true),
        ("Order", "created_at", "string", true),
        ("Order", "payment_value", "number", true),
        ("Order", "pin_code", "string", false),
        ("Deliverable", "pin_code", "string", false),
        ("Deliverable", "product_value", "number", false),
        ("Brand", "min", "string", false),
        ("Brand", "is_out_of_stock", "boolean", true),
        ("Brands", "all_brands", "array", true),
        ("Range", "step_size", "number", true),
        ("Range", "default", "string", true),
        ("ViaNetwork", "threshold", "string", true),
        ("ViaNetwork", "chain_id", "integer", false),
        ("Validation", "problems", "array", true),
        ("OrderRequest", "promo_code", "string", false),
        ("RequestDelivery", "product_value", "string", false),
    ];
    for (schema, field, kind, is_required) in cases {
        let schema_value = &document["components"]["schemas"][schema];
        assert_eq!(schema_value["properties"][field]["type"], kind, "{schema}.{field}");
        let required = schema_value["required"].as_array().expect("every schema here has required fields");
        assert_eq!(required.iter().any(|name| name == field), is_required, "{schema}.{field}");
    }
    let coupon = &document["components"]["schemas"]["Validation"]["properties"]["coupon_code"]["type"];
    assert_eq!(*coupon, json!(["string", "null"]), "the one null that is written");
}

#[test]
fn what_a_call_must_be_signed_in_with_is_among_the_schemes() {
    let document = document(true);
    let schemes = object(&document, "/components/securitySchemes");
    for (name, operation) in operations(&document) {
        let ways = operation.get("security").and_then(Value::as_array).into_iter().flatten();
        for scheme in ways.filter_map(Value::as_object).flat_map(Map::keys) {
            assert!(schemes.contains_key(scheme), "{name} asks for {scheme}");
        }
    }
    assert_eq!(document["paths"]["/kiosk/v1/events"]["get"]["security"], json!([{ "apiKey": [] }]));
}

/// What is told reads as the schemas say; there is no wire type that could say it for both.
#[test]
fn the_example_of_events_has_what_the_schemas_ask_for() {
    let document = document(false);
    let schemas = object(&document, "/components/schemas");
    let example = examples::events();
    let has_all = |value: &Value, schema: &str| {
        let required = schemas[schema]["required"].as_array().expect("every schema here has required fields");
        required.iter().filter_map(Value::as_str).all(|name| value.get(name).is_some())
    };
    assert!(has_all(&example, "Events"));
    for event in example["events"].as_array().expect("a list") {
        assert!(has_all(event, "Event"), "{event}");
        let kinds = ["GoodsUpdate", "ExchangeUpdate", "EndpointDisabled"];
        assert!(kinds.into_iter().any(|kind| has_all(&event["data"], kind)), "{event}");
    }
}

#[test]
fn the_groups_name_every_operation_once() {
    let document = document(true);
    let tags = document["tags"].as_array().expect("groups are an array");
    let names: Vec<&str> = tags.iter().filter_map(|tag| tag["name"].as_str()).collect();
    assert_eq!(names, ["Catalogue", "Orders", "Events", "Sandbox", "Operation", "Documentation"]);
    let mut listed: Vec<&str> = tags
        .iter()
        .flat_map(|tag| tag["x-operations"].as_array().expect("a group lists its operations"))
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(listed.first(), Some(&"listPaymentVias"), "a buyer begins with how to pay");
    let mut existing: Vec<&str> =
        operations(&document).into_iter().filter_map(|(_, operation)| operation["operationId"].as_str()).collect();
    listed.sort_unstable();
    existing.sort_unstable();
    assert_eq!(listed, existing);
}

#[test]
fn the_document_is_the_same_every_time() {
    assert_eq!(document(true).to_string(), document(true).to_string());
}

/// Reads an example into its type and writes it again: a field that the type does not know, or one it lacks, shows.
fn comes_back_the_same<T: Serialize + DeserializeOwned>(example: Value) {
    let read: T = serde_json::from_value(example.clone()).expect("an example reads into its type");
    let written = serde_json::to_value(read).expect("a wire type can be written");
    assert_eq!(written, example);
}

#[test]
fn the_examples_are_what_the_types_write() {
    comes_back_the_same::<Vec<api::PaymentVia>>(examples::payment_vias());
    comes_back_the_same::<Vec<api::Currency>>(examples::currencies());
    comes_back_the_same::<Vec<api::Country>>(examples::countries());
    comes_back_the_same::<api::Brands>(examples::brands());
    comes_back_the_same::<Vec<api::ProductGroup>>(examples::products());
    comes_back_the_same::<api::Price>(examples::price());
    comes_back_the_same::<api::OrderRequest>(examples::basket());
    comes_back_the_same::<api::Validation>(examples::validation());
    comes_back_the_same::<api::Order>(examples::order());
    comes_back_the_same::<api::ErrorBody>(examples::refusal());
}

#[test]
fn the_reader_of_bodies_takes_the_example() {
    let body = api::OrderBody::read(&examples::basket()).expect("the example is an order");
    assert_eq!(body.buyer_email.as_deref(), Some("user@shop.example"));
    assert_eq!(body.line_count(), 1);
}
