//! The exchange API as its clients use it: real doors, real engine, the sandbox outside; contract sections in each test.
//!
//! The traps of section 13 have a test each, named after it, here or beside the code that it is about.

// What must be true of routes, quotes and the transport.
mod traps;
// Orders from their creation to their end, and what an operator does by hand.
mod stories;
// Signed calls, and what an account sees.
mod account;
// Signing in, and what a browser's cookies open.
mod sign_in;
// Partners: the orders that they brought, and what they earn.
mod affiliates;
// Notifications and the WebSocket.
mod told;
// What is refused.
mod refused;
// A snapshot of every answer.
mod wire;

use crate::harness::Shop;
use crate::snapshots::wire::{Answer, Request, call};
use serde_json::{Value, json};

/// The address that the acceptance script pays out to; nothing about its end is special.
const PAYOUT_ADDRESS: &str = "0x52908400098527886E0F7030069857D2E4169EE7";

/// An exchange office as its clients reach it.
pub struct Office {
    pub shop: Shop,
}

impl Office {
    pub async fn open() -> Office {
        Office { shop: Shop::open().await }
    }

    fn address(&self) -> &str {
        self.shop.url.strip_prefix("http://").expect("plain HTTP")
    }

    /// Sends what a client sends, and reads the whole answer.
    pub fn send(&self, verb: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = Request { method: verb, path, headers, body: body.as_bytes() };
        call(self.address(), &request).expect("the office answers to the end")
    }

    /// Calls a method with JSON parameters, as the official client does.
    fn answer(&self, method: &str, params: &Value) -> Answer {
        let path = format!("/service/api/v1/{method}/");
        self.send("POST", &path, &[("content-type", "application/json")], &params.to_string())
    }

    /// The data of a good answer.
    fn data(&self, method: &str, params: &Value) -> Value {
        let answer = self.answer(method, params);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut envelope = answer.json();
        assert_eq!(envelope["success"], true, "{method}: {envelope}");
        assert!(envelope["latency_ms"].is_u64() && envelope["requestId"].is_string(), "{envelope}");
        envelope["data"].take()
    }

    /// The error of a refused call: always HTTP 200 (trap 1), always an object (trap 7).
    fn error(&self, method: &str, params: &Value) -> Value {
        let answer = self.answer(method, params);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut envelope = answer.json();
        assert_eq!(envelope["success"], false, "{method}: {envelope}");
        let error = envelope["error"].take();
        assert!(error["object"].is_object() && error["apiError"] == true, "{error}");
        assert!(!error["message"].as_str().expect("a message").is_empty());
        error
    }

    fn route(&self, from: &str, to: &str) -> Value {
        self.data("public/exchanger/route/get/one/by-xml", &json!({ "xmlIn": from, "xmlOut": to }))["route"].take()
    }

    /// Parameters of an order on that route, with all its required fields.
    pub fn wanted(&self, from: &str, to: &str, amount: &str) -> Value {
        let route = self.route(from, to);
        let values = |fields: &Value| -> Value {
            let fields = fields.as_array().expect("fields are a list");
            fields.iter().map(|field| json!({ "key": field["_id"], "value": value_of(field) })).collect()
        };
        json!({
            "routeId": route["routeId"],
            "amount": amount,
            "fromValues": values(&route["from"]["fields"]),
            "toValues": values(&route["to"]["fields"]),
            "routeValues": values(&route["fields"]),
            "agreement": true,
            "lang": "en",
            "email": "",
        })
    }

    /// Creates an order, and answers with what names it.
    pub fn create(&self, wanted: &Value) -> Placed {
        Placed::of(self.data("public/exchanger/order/create", wanted))
    }

    fn order(&self, placed: &Placed) -> Value {
        self.data("public/exchanger/order/get", &placed.who())["order"].take()
    }

    fn status(&self, placed: &Placed) -> String {
        self.order(placed)["status"].as_str().expect("a status").to_owned()
    }

    pub fn set(&self, placed: &Placed, status: &str) -> Value {
        let mut params = placed.who();
        params["status"] = json!(status);
        self.data("public/exchanger/order/update-status", &params)
    }

    fn set_refused(&self, placed: &Placed, status: &str) -> Value {
        let mut params = placed.who();
        params["status"] = json!(status);
        self.error("public/exchanger/order/update-status", &params)
    }

    /// Pays on the simulated chain, then lets everybody work.
    pub async fn pay(&mut self, placed: &Placed, how: &str) {
        let path = format!("/sandbox/orders/{}/pay", placed.id);
        let paid = self.send("POST", &path, &[("content-type", "application/json")], how);
        assert_eq!(paid.status, 200, "{}", paid.text());
        self.shop.pump().await;
    }

    /// The order as the engine has it.
    pub async fn row(&self, placed: &Placed) -> domain::order::Order {
        let no = placed.uid.as_i64().expect("a number");
        let row = self.shop.kiosk.engine.db.read(move |tx| server::store::orders::by_no(tx, no)).await;
        row.expect("a read").expect("there is such an order")
    }
}

/// A value that its field takes.
fn value_of(field: &Value) -> &'static str {
    match field["alias"].as_str().unwrap_or_default() {
        "walletAddress" if field["name"] == "Solana address" => "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T",
        "walletAddress" if field["name"] == "Bitcoin address" => "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
        "walletAddress" => PAYOUT_ADDRESS,
        "iban" => "DE89370400440532013000",
        "telegram" => "@somebody",
        "wallet" => "DEMO-1234567",
        "email" => "end.user@example.com",
        _ => "Test",
    }
}

/// What a client keeps of its order.
pub struct Placed {
    pub id: String,
    pub uid: Value,
    pub secret: String,
    created: Value,
}

impl Placed {
    fn of(created: Value) -> Placed {
        let secret = created["secret"].as_str().expect("a secret").to_owned();
        Placed { id: created["_id"].as_str().expect("an id").to_owned(), uid: created["uid"].clone(), secret, created }
    }

    fn who(&self) -> Value {
        json!({ "orderUID": self.uid, "orderSecret": self.secret })
    }
}
