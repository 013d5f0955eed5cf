//! Schemas from the wire types, in the words of OpenAPI 3.1, and the few that have no type of their own.
//!
//! The schemas say what is written, not what is read: the readers take more, and a client that follows the schema is
//! right with every server of this contract. It must never change what a type says about names and types of fields;
//! what it takes away are Rust's own ways of speaking.

use std::collections::BTreeSet;

use crate::happenings::TYPES;
use domain::project::ExchangeStatus;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// A generator whose references point into the document.
pub(super) fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .for_serialize()
        .into_generator()
}

/// All schemas that were asked for so far and those they name, by name.
pub(super) fn components(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut schemas = generator.take_definitions(false);
    for schema in schemas.values_mut() {
        tidy(schema);
    }
    schemas
}

/// A body of plain text.
pub(super) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string" })
}

/// A body of JSON whose form is somebody else's: the document itself.
pub(super) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

/// What `POST /sandbox/orders/{order_id}/pay` reads.
pub(super) fn sandbox_payment(generator: &mut SchemaGenerator) -> Schema {
    let schema = json!({
        "type": "object",
        "description": "How to pay. Everything is optional; `{}` pays exactly what is due.",
        "properties": {
            "factor": {
                "description": "How much of the amount due to pay, such as `0.5` or `\"0.5\"`: above 0, at most 1000.",
                "type": ["string", "number"],
            },
            "twice": { "description": "Pays two times.", "type": "boolean" },
            "late": {
                "description": "Block time this long after the end of the payment window, such as `90s`, `20m` or \
                    `2h`. The order is moved through its expiry first; the clock stays as it is.",
                "type": "string",
                "pattern": "^[0-9]+[smh]$",
            },
            "reorg": {
                "description": "The block disappears again after this many blocks, its own among them.",
                "type": "integer",
                "minimum": 1,
                "maximum": 64,
            },
            "wrong_token": {
                "description": "Pays with a token that only looks like the right one.",
                "type": "boolean",
            },
        },
    });
    named(generator, "SandboxPayment", schema)
}

/// What `POST /sandbox/orders/{order_id}/pay` answers.
pub(super) fn sandbox_paid(generator: &mut SchemaGenerator) -> Schema {
    let schema = json!({
        "type": "object",
        "description": "What was put on the simulated chain.",
        "properties": {
            "transfers": {
                "description": "One name per payment: network, transaction and place in it.",
                "type": "array",
                "items": { "type": "string" },
            },
            "units": {
                "description": "How much each of them pays, in the ledger's smallest units of the coin.",
                "type": "string",
            },
        },
        "required": ["transfers", "units"],
    });
    named(generator, "SandboxPaid", schema)
}

/// What `GET /readyz` answers, whether it can take calls or not.
pub(super) fn readiness(generator: &mut SchemaGenerator) -> Schema {
    let schema = json!({
        "type": "object",
        "description": "What the server needs, and whether it has it.",
        "properties": {
            "database": { "type": "string", "enum": ["ok", "missing"] },
            "catalogue": { "type": "string", "enum": ["ok", "missing"] },
            "rates": { "type": "string", "enum": ["ok", "stale"] },
            "books": {
                "description": "Whether the audit finds what is booked on the chains.",
                "type": "string",
                "enum": ["ok", "differ"],
            },
            "networks": {
                "description": "Each network by its name, where there are any but simulated ones. All but `ok` take no \
                    orders now: `starting` is not looked at yet, `behind` is seen as it was some minutes ago, of \
                    `down` nothing is seen, and of `differs` the books and the chain say different things.",
                "type": "object",
                "additionalProperties": { "type": "string", "enum": ["starting", "ok", "behind", "down", "differs"] },
            },
        },
        "required": ["books", "catalogue", "database", "rates"],
    });
    named(generator, "Readiness", schema)
}

/// What `GET /kiosk/v1/events` answers.
pub(super) fn events(generator: &mut SchemaGenerator) -> Schema {
    let event = event(generator).to_value();
    let schema = json!({
        "type": "object",
        "description": "A part of what happened.",
        "properties": {
            "events": { "description": "Oldest first.", "type": "array", "items": event },
            "next": { "description": "Where to read on: the next call's `after`.", "type": "string" },
        },
        "required": ["events", "next"],
    });
    named(generator, "Events", schema)
}

/// What `GET /kiosk/v1/orders/{order_id}/explain` answers.
pub(super) fn explanation(generator: &mut SchemaGenerator) -> Schema {
    let amount = |more: Value| {
        let mut properties = json!({
            "amount": { "description": "In the coin, as a decimal.", "type": "string" },
            "coin": { "type": "string" },
            "network": { "type": "string" },
        });
        if let (Some(properties), Value::Object(more)) = (properties.as_object_mut(), more) {
            properties.extend(more);
        }
        properties
    };
    let claim_url = json!({ "description": "Where the payer says where to. A secret.", "type": "string" });
    let refund = amount(json!({
        "state": {
            "description": "`claim_open` waits for the payer, `due` and `failed` for the shop.",
            "type": "string",
            "enum": ["claim_open", "due", "approved", "sent", "failed", "final", "rejected"],
        },
        "claim_url": claim_url,
        "transaction": { "description": "On the network, once it is final.", "type": "string" },
    }));
    let rest = amount(json!({
        "wallet_address": { "type": "string" },
        "until": { "type": "string", "format": "date-time" },
    }));
    let reason = json!({
        "code": { "description": "For programs.", "type": "string" },
        "text": { "description": "For the payer.", "type": "string" },
    });
    let schema = json!({
        "type": "object",
        "description": "What is unusual about a payment, and what its payer can do.",
        "properties": {
            "order_state": { "type": "string" },
            "reference_id": { "description": "The order's short public number.", "type": "string" },
            "reasons": {
                "type": "array",
                "items": { "type": "object", "properties": reason, "required": ["code", "text"] },
            },
            "pay_the_rest": {
                "description": "What is missing, while it can still be sent.",
                "type": "object",
                "properties": rest,
                "required": ["amount", "coin", "network", "until", "wallet_address"],
            },
            "claim": {
                "description": "What the payer can claim back.",
                "type": "object",
                "properties": amount(json!({ "claim_url": claim_url })),
                "required": ["amount", "claim_url", "coin", "network"],
            },
            "refunds": {
                "description": "Oldest first.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": refund,
                    "required": ["amount", "coin", "network", "state"],
                },
            },
        },
        "required": ["order_state", "reasons", "reference_id", "refunds"],
    });
    named(generator, "Explanation", schema)
}

/// One event, as webhooks tell it too.
fn event(generator: &mut SchemaGenerator) -> Schema {
    let data = [goods_update(generator), exchange_update(generator), endpoint_disabled(generator)];
    let schema = json!({
        "type": "object",
        "description": "Something that happened, told to webhooks in the same words. It holds no code and no address \
            of a person.",
        "properties": {
            "id": {
                "description": "Its name, the same wherever and however often it is told. The number grows with time.",
                "type": "string",
                "pattern": "^evt_[0-9]+$",
            },
            "type": { "type": "string", "enum": TYPES },
            "timestamp": { "description": "When it happened.", "type": "string", "format": "date-time" },
            "data": {
                "description": "An order of goods or an exchange order as it was right after the event, or an \
                    endpoint.",
                "anyOf": data,
            },
            "order_id": { "description": "Of orders of goods: the one in `data` once more.", "type": "string" },
            "status": { "description": "Of orders of goods: `order_state` once more.", "type": "string" },
        },
        "required": ["data", "id", "timestamp", "type"],
    });
    named(generator, "Event", schema)
}

fn goods_update(generator: &mut SchemaGenerator) -> Schema {
    let order = json!({
        "type": "object",
        "properties": {
            "order_id": { "description": "Opens the order and its codes: treat it as a secret.", "type": "string" },
            "order_state": { "description": "As in the order itself.", "type": "string" },
            "updatedAt": { "description": "When it changed last.", "type": "string", "format": "date-time" },
        },
        "required": ["order_id", "order_state", "updatedAt"],
    });
    named(generator, "GoodsUpdate", update("An order of goods changed.", &order))
}

fn exchange_update(generator: &mut SchemaGenerator) -> Schema {
    let order = json!({
        "type": "object",
        "properties": {
            "_id": { "type": "string" },
            "uid": { "description": "Its number.", "type": "integer" },
            "status": { "type": "string", "enum": ExchangeStatus::ALL.map(ExchangeStatus::word) },
            "xml_from": { "description": "Code of the currency that is given.", "type": "string" },
            "xml_to": { "description": "Code of the currency that is received.", "type": "string" },
            "inAmount": { "description": "What is given: a plain decimal.", "type": "string" },
            "outAmount": { "description": "What is received: a plain decimal.", "type": "string" },
            "updatedAt": { "description": "When it changed last.", "type": "string", "format": "date-time" },
        },
        "required": ["_id", "inAmount", "outAmount", "status", "uid", "updatedAt", "xml_from", "xml_to"],
    });
    named(generator, "ExchangeUpdate", update("An exchange order changed.", &order))
}

fn update(description: &str, order: &Value) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": {
            "order": order,
        },
        "required": ["order"],
    })
}

fn endpoint_disabled(generator: &mut SchemaGenerator) -> Schema {
    let schema = json!({
        "type": "object",
        "description": "An endpoint of the account was closed and is told nothing more.",
        "properties": { "endpoint": { "description": "Its id.", "type": "string" } },
        "required": ["endpoint"],
    });
    named(generator, "EndpointDisabled", schema)
}

/// Puts a schema among the components and answers the reference to it.
fn named(generator: &mut SchemaGenerator, name: &str, schema: Value) -> Schema {
    generator.definitions_mut().insert(name.to_owned(), schema);
    Schema::new_ref(format!("#/components/schemas/{name}"))
}

/// Makes a schema say what the wire does.
///
/// An optional field of ours is absent or has a value, so null is taken out where the generator put it for Rust's
/// `Option`; a field that is always there keeps it. Defaults go, because they are the reader's. `double` goes, because
/// these numbers keep their text and a client that reads them as floats loses cents.
fn tidy(schema: &mut Value) {
    let Value::Object(keywords) = schema else {
        return;
    };
    keywords.remove("default");
    if keywords.get("format").and_then(Value::as_str) == Some("double") {
        keywords.remove("format");
    }
    if let Some(Value::String(text)) = keywords.get_mut("description") {
        *text = prose(text);
    }
    let required: BTreeSet<String> = keywords
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if let Some(Value::Object(properties)) = keywords.get_mut("properties") {
        for (name, property) in properties.iter_mut() {
            if !required.contains(name) {
                never_null(property);
            }
            tidy(property);
        }
    }
    if let Some(items) = keywords.get_mut("items") {
        tidy(items);
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(alternatives)) = keywords.get_mut(keyword) {
            alternatives.iter_mut().for_each(tidy);
        }
    }
}

/// Takes null out of what a field may hold, in the two forms in which the generator writes it.
fn never_null(schema: &mut Value) {
    let Value::Object(keywords) = schema else {
        return;
    };
    if let Some(Value::Array(types)) = keywords.get_mut("type") {
        types.retain(|name| name.as_str() != Some("null"));
        if let [only] = types.as_slice() {
            let only = only.clone();
            keywords.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = keywords.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(mut alternatives)) = keywords.remove("anyOf") else {
        return;
    };
    alternatives.retain(|alternative| alternative.get("type").and_then(Value::as_str) != Some("null"));
    match alternatives.as_slice() {
        [Value::Object(only)] => {
            for (keyword, value) in only {
                keywords.entry(keyword.as_str()).or_insert_with(|| value.clone());
            }
        }
        _ => {
            keywords.insert("anyOf".to_owned(), Value::Array(alternatives));
        }
    }
}

/// A comment of the code as text for people who read no Rust: paragraphs on one line each, and names without the
/// brackets of a link.
fn prose(comment: &str) -> String {
    let paragraphs: Vec<String> =
        comment.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    paragraphs.join("\n\n").replace("[`", "`").replace("`]", "`").replace("::", ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(mut schema: Value) -> Value {
        tidy(&mut schema);
        schema
    }

    #[test]
    fn an_optional_field_is_never_null_and_a_required_one_may_be() {
        let schema = json!({
            "type": "object",
            "properties": {
                "coupon": { "type": ["string", "null"], "default": null },
                "minimum": { "type": ["string", "null"] },
                "amount": { "type": ["number", "null"], "format": "double" },
                "range": { "description": "Ranges only.", "anyOf": [{ "$ref": "#/r" }, { "type": "null" }] },
                "either": { "anyOf": [{ "type": "string" }, { "type": "number" }, { "type": "null" }] },
                "default": { "type": "string" },
            },
            "required": ["coupon"],
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "coupon": { "type": ["string", "null"] },
                "minimum": { "type": "string" },
                "amount": { "type": "number" },
                "range": { "description": "Ranges only.", "$ref": "#/r" },
                "either": { "anyOf": [{ "type": "string" }, { "type": "number" }] },
                "default": { "type": "string" },
            },
            "required": ["coupon"],
        });
        assert_eq!(tidied(schema), expected);
    }

    #[test]
    fn schemas_inside_of_others_are_tidied() {
        let inner = json!({ "type": "number", "format": "double", "default": 1 });
        let outer = |inner: &Value| json!({ "items": { "oneOf": [{ "properties": { "value": inner } }] } });
        assert_eq!(tidied(outer(&inner)), outer(&json!({ "type": "number" })));
        assert_eq!(tidied(json!(true)), json!(true));
    }

    #[test]
    fn comments_become_prose() {
        assert_eq!(
            prose("See [`Brand::product_type`],\nor [`delivery_state`].\n\nMore\nof it."),
            "See `Brand.product_type`, or `delivery_state`.\n\nMore of it."
        );
    }
}
