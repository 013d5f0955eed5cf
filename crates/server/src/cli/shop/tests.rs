//! Whole commands against a shop that answers from a script: what is sent, what is shown, and the exit code.

use clap::{CommandFactory, Parser};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::samples::{done_order, new_order};
use super::*;

const STOP: &str = "event: stop\ndata: {}\n\n";

const ORDER_ARGUMENTS: [&str; 9] =
    ["--country", "us", "--brand", "Airbnb", "--denomination", "100 USD", "--email", "user@shop.example", "--json"];

/// The command line as the binary holds it: `shop` is one of its commands.
#[derive(Debug, Parser)]
struct Probe {
    #[command(subcommand)]
    command: ProbeCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ProbeCommand {
    Shop(ShopArgs),
}

fn parse(arguments: &[&str]) -> Result<ShopArgs, clap::Error> {
    let all = ["kiosk", "shop"].into_iter().chain(arguments.iter().copied());
    let ProbeCommand::Shop(args) = Probe::try_parse_from(all)?.command;
    Ok(args)
}

/// A shop on a loopback port that gives its answers in order, one per connection.
struct Scripted {
    url: String,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Scripted {
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.expect("the client connects");
                let request = request_of(&mut socket).await;
                // A client may hang up, and a test may be over, before this is: neither is a fault of the shop.
                drop(sender.send(request));
                drop(socket.write_all(answer.as_bytes()).await);
                drop(socket.shutdown().await);
            }
        });
        Self { url, requests }
    }

    fn request(&mut self) -> String {
        self.requests.try_recv().expect("a request is kept before it is answered")
    }

    /// Runs a command against this shop: exit code, stdout, stderr.
    async fn call(&self, arguments: &[&str]) -> (u8, String, String) {
        call(&self.url, arguments).await
    }
}

async fn request_of(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::<u8>::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if is_complete(&text) {
            return text;
        }
        let count = socket.read_buf(&mut bytes).await.expect("loopback delivers");
        assert_ne!(count, 0, "the client hung up in its request: {text}");
    }
}

fn is_complete(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let announced: usize = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length:").map(|length| length.trim().to_owned()))
        .map_or(0, |length| length.parse().expect("a length is a number"));
    body.len() >= announced
}

fn answer(status: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn stream(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}")
}

fn document(order: &Order) -> Value {
    serde_json::to_value(order).expect("wire types can be written")
}

fn message(order: &Order) -> String {
    format!("data: {}\n\n", document(order))
}

async fn call(url: &str, arguments: &[&str]) -> (u8, String, String) {
    let mut all = arguments.to_vec();
    all.extend(["--url", url]);
    let args = parse(&all).expect("the test's arguments are right");
    let (mut results, mut notes) = (Vec::<u8>::new(), Vec::<u8>::new());
    let code = run_into(args, &mut results, &mut notes).await.expect("vectors take everything");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("only text is written");
    (code, text(results), text(notes))
}

/// The one document of an output.
fn only_document(results: &str) -> Value {
    assert_eq!(results.lines().count(), 1, "{results}");
    serde_json::from_str(results).expect("the output is JSON")
}

fn purchase(arguments: &[&'static str]) -> Vec<&'static str> {
    let mut all = arguments.to_vec();
    all.extend(ORDER_ARGUMENTS);
    all
}

#[test]
fn the_command_line_is_consistent() {
    Probe::command().debug_assert();
}

#[test]
fn arguments_that_cannot_be_meant_are_refused() {
    let wrong: [&[&str]; 8] = [
        &[],
        &["brands"],
        &["brands", "--country", "USA"],
        &["products", "--country", "US"],
        &["products", "--country", "US", "--brand", "A", "--family", "B"],
        &["price", "--country", "US", "--brand", "A", "--value", "$75"],
        &["buy", "--country", "US", "--brand", "A", "--email", "a@b.example"],
        &["track"],
    ];
    for arguments in wrong {
        assert!(parse(arguments).is_err(), "{arguments:?}");
    }
    let too_many = purchase(&["validate", "--value", "75"]);
    assert!(parse(&too_many).is_err(), "a denomination and a value");
    for quantity in ["0", "201", "-1"] {
        assert!(parse(&purchase(&["buy", "--quantity", quantity])).is_err(), "{quantity}");
    }
}

#[test]
fn a_token_in_the_arguments_is_not_printed() {
    let args = parse(&["track", "o-1", "--token", "SECRET-1"]).expect("the arguments are right");
    assert!(!format!("{args:?}").contains("SECRET-1"));
}

#[test]
fn an_order_is_made_of_its_arguments() {
    let arguments = [
        "validate",
        "--country",
        "us",
        "--brand",
        "Airbnb",
        "--value",
        "75.50",
        "--email",
        "user@shop.example",
        "--beneficiary",
        "friend@shop.example",
        "--network",
        "Solana",
        "--quantity",
        "3",
        "--promo",
        "TEN",
        "--refund-address",
        "So1ana",
        "--lang",
        "ja",
    ];
    let ShopCommand::Validate(wanted) = parse(&arguments).expect("the arguments are right").command else {
        panic!("validate was asked for");
    };
    let line = json!({"brand_name": "Airbnb", "country_code": "US", "denomination": "range", "product_value": "75.50",
                      "beneficiary_account": "friend@shop.example"});
    let expected = json!({
        "email": "user@shop.example", "user": {"email": "user@shop.example"},
        "payment": {"type": "via", "payment_via": "USER_WALLET", "coin": "USDC", "network": "Solana"},
        "deliveries": [line, line, line],
        "lang": "ja", "promo_code": "TEN", "refund_wallet_address": "So1ana"});
    let request = serde_json::to_value(order_request(&wanted)).expect("wire types can be written");
    assert_eq!(request, expected);
}

#[tokio::test]
async fn a_search_keeps_its_order_and_shows_whole_brands() {
    let brand = |id: &str, name: &str| {
        json!({"brand_id": id, "brand": name, "family": name, "kind": "giftcard", "category": "games",
               "country_code": "US", "min": "$5", "is_out_of_stock": false, "product_type": "physical"})
    };
    let listing = json!({"country_code": "US", "categories": [],
                         "all_brands": [brand("1", "Apple"), brand("2", "Pear"), brand("3", "Pineapple")]});
    let group = |id: &str| {
        json!({"country_code": "US", "kind": "giftcard", "category": "games", "brand_id": id, "brand": "x",
               "family": "x", "is_out_of_stock": false, "products": []})
    };
    let found = json!([group("3"), group("1"), group("3"), group("9")]);
    let mut shop = Scripted::start(vec![answer("200 OK", &listing), answer("200 OK", &found)]).await;
    let (code, results, notes) = shop.call(&["brands", "--country", "us", "--search", "apple", "--json"]).await;
    assert_eq!((code, notes.as_str()), (0, ""));
    let names: Vec<String> = only_document(&results)
        .as_array()
        .expect("brands are a list")
        .iter()
        .map(|brand| format!("{} {}", brand["brand"], brand["min"]))
        .collect();
    assert_eq!(names, [r#""Pineapple" "$5""#, r#""Apple" "$5""#]);
    assert!(shop.request().starts_with("GET /v2/brands?country_code=US "));
    assert!(shop.request().starts_with("GET /v2/search/US?q=apple "));
}

#[tokio::test]
async fn a_validation_with_problems_is_shown_and_is_a_no() {
    let body = json!({"coin": "USDC", "coupon_code": null, "loyalty_summary": null, "deliveries": [],
                      "problems": [{"problem": "OUT_OF_STOCK"}]});
    let shop = Scripted::start(vec![answer("200 OK", &body)]).await;
    let (code, results, _) = shop.call(&purchase(&["validate"])).await;
    assert_eq!(code, failure::EXIT_REFUSED);
    assert_eq!(only_document(&results)["problems"][0]["problem"], "OUT_OF_STOCK");
}

#[tokio::test]
async fn a_purchase_is_sent_with_key_and_partner_and_shown() {
    let mut shop = Scripted::start(vec![answer("200 OK", &document(&new_order()))]).await;
    let (code, results, _) = shop.call(&purchase(&["buy", "--key", "k-1", "--partner", "corner-shop"])).await;
    assert_eq!(code, 0);
    assert_eq!(only_document(&results), document(&new_order()));
    let request = shop.request();
    assert!(request.starts_with("POST /v5/orders "), "{request}");
    for part in ["idempotency-key: \"k-1\"", "x-cr-application: corner-shop", "x-cr-version: kiosk-shop/"] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

#[tokio::test]
async fn a_purchase_without_a_key_gets_one() {
    let mut shop = Scripted::start(vec![answer("502 Bad Gateway", &json!({}))]).await;
    let (code, results, notes) = shop.call(&purchase(&["buy"])).await;
    assert_eq!(code, failure::EXIT_UNREACHED);
    let error = &only_document(&results)["error"];
    assert_eq!(error["status"], 502);
    let key = error["idempotency_key"].as_str().expect("the order may have been placed");
    assert!(shop.request().contains(&format!("idempotency-key: \"{key}\"")));
    assert!(notes.contains(&format!("--key={key}")), "{notes}");
}

#[tokio::test]
async fn a_refused_purchase_is_one_document_with_advice() {
    let body = json!({"status": 422, "detail": "OUT_OF_STOCK", "message": "OUT_OF_STOCK",
                      "problems": [{"problem": "OUT_OF_STOCK"}, {"problem": "COUPON_EXPIRED"}]});
    let shop = Scripted::start(vec![answer("422 Unprocessable Entity", &body)]).await;
    let (code, results, notes) = shop.call(&purchase(&["buy", "--track"])).await;
    assert_eq!(code, failure::EXIT_REFUSED);
    let error = &only_document(&results)["error"];
    assert_eq!(error["problems"][1]["problem"], "COUPON_EXPIRED");
    assert_eq!(error["problems"][1]["advice"], advice::advice("COUPON_EXPIRED"));
    assert!(error.get("idempotency_key").is_none(), "nothing was bought");
    assert!(notes.contains(advice::advice("OUT_OF_STOCK")), "{notes}");
}

#[tokio::test]
async fn a_shop_that_is_not_there_is_told_apart_from_a_no() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
    drop(listener);
    let (code, results, notes) = call(&url, &["brands", "--country", "US", "--json"]).await;
    assert_eq!(code, failure::EXIT_UNREACHED);
    assert!(only_document(&results)["error"]["message"].is_string());
    assert!(notes.contains("--url"), "{notes}");
    let (code, results, _) = call(&url, &["brands", "--country", "US"]).await;
    assert_eq!((code, results.as_str()), (failure::EXIT_UNREACHED, ""));
}

#[tokio::test]
async fn an_order_is_followed_to_its_codes() {
    let events = [message(&new_order()), message(&done_order()), STOP.to_owned()].concat();
    let shop = Scripted::start(vec![answer("200 OK", &document(&new_order())), stream(&events)]).await;
    let (code, results, _) = shop.call(&["track", "3c0d"]).await;
    assert_eq!(code, 0);
    assert_eq!(results.matches("  WaitingForPayment  ").count(), 1, "{results}");
    assert_eq!(results.matches("2026-09-21T14:15:20Z  Done ").count(), 1, "{results}");
    assert_eq!(results.matches("ABCD-EFGH").count(), 1, "{results}");
}

#[tokio::test]
async fn a_followed_purchase_is_one_order_a_line() {
    let events = [message(&new_order()), message(&done_order()), STOP.to_owned()].concat();
    let shop = Scripted::start(vec![answer("200 OK", &document(&new_order())), stream(&events)]).await;
    let (code, results, _) = shop.call(&purchase(&["buy", "--track"])).await;
    assert_eq!(code, 0);
    let lines: Vec<Value> =
        results.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    assert_eq!(lines, [document(&new_order()), document(&done_order())]);
}

#[tokio::test]
async fn an_order_that_ends_without_goods_is_a_no() {
    let mut expired = new_order();
    expired.order_state = api::OrderState::Expired;
    let events = [message(&expired), STOP.to_owned()].concat();
    let shop = Scripted::start(vec![answer("200 OK", &document(&expired)), stream(&events)]).await;
    let (code, results, notes) = shop.call(&["track", "3c0d"]).await;
    assert_eq!(code, failure::EXIT_REFUSED);
    assert_eq!(results.lines().count(), 1, "{results}");
    assert!(notes.contains("Expired"), "{notes}");
}

#[tokio::test]
async fn an_unknown_order_is_a_no() {
    let body = json!({"status": 404, "detail": "NOT_FOUND", "message": "NOT_FOUND"});
    let shop = Scripted::start(vec![answer("404 Not Found", &body)]).await;
    let (code, results, notes) = shop.call(&["track", "3c0d"]).await;
    assert_eq!((code, results.as_str()), (failure::EXIT_REFUSED, ""));
    assert!(notes.contains("order id"), "{notes}");
}

#[tokio::test]
async fn an_order_is_shown_without_its_codes() {
    for form in [&["order", "3c0d"][..], &["order", "3c0d", "--json"]] {
        let shop = Scripted::start(vec![answer("200 OK", &document(&done_order()))]).await;
        let (code, results, _) = shop.call(form).await;
        assert_eq!(code, 0);
        assert!(results.contains("Done"), "{results}");
        for secret in ["ABCD-EFGH", "5566", "\"77\""] {
            assert!(!results.contains(secret), "{secret} in {results}");
        }
    }
}

#[tokio::test]
async fn a_token_is_given_once() {
    let shop = Scripted::start(Vec::new()).await;
    let (code, _, notes) = shop.call(&["track", "o-1", "--token", "a", "--token-file", "b"]).await;
    assert_eq!(code, failure::EXIT_UNREACHED);
    assert!(notes.contains("not both"), "{notes}");
    let (code, _, notes) = shop.call(&["track", "o-1", "--token-file", "/nonexistent/token"]).await;
    assert_eq!(code, failure::EXIT_UNREACHED);
    assert!(notes.contains("/nonexistent/token"), "{notes}");
}

#[tokio::test]
async fn the_way_on_leads_to_the_same_shop() {
    let args = parse(&["track", "x", "--partner", "corner shop", "--url", "http://shop.example"]);
    let customer = Customer::of(&args.expect("the arguments are right")).expect("the address is a base URL");
    assert_eq!(
        customer.track_command("3c0d"),
        "kiosk shop track 3c0d --url http://shop.example --partner 'corner shop'"
    );
    let args = parse(&["track", "x", "--token", "SECRET-1"]).expect("the arguments are right");
    let customer = Customer::of(&args).expect("the address is a base URL");
    assert_eq!(customer.track_command("3c0d"), "kiosk shop track 3c0d");
}
