//! Orders as clients read them: the dry run, the answer to a create, and the same order at each place where it can stand.

use super::facts::{assert_absent, at, flag, is_uuid, list, number, text, texts};
use super::redact::{random_texts, redacted, replaced_text};
use super::wire::Answer;
use super::{Door, assert_code, head, keep, keep_text, success};
use crate::harness::Shop;
use domain::time::Span;
use serde_json::{Value, json};

pub const EMAIL: &str = "end.user@example.com";

/// `harness::START` as the contract writes times: unix seconds, as a string.
const NOW: &str = "1795174500";

/// What an order shows of its goods once it is done, and never before.
const GOODS: [&str; 6] =
    ["pin_code", "pin_serial", "security_code", "barcode_image_url", "qr_image_url", "redeem_instructions"];

/// One line for the buyer or for `recipient`, paid in USDC on that network.
pub fn order_for(recipient: Option<&str>, brand: &str, denomination: &str, network: &str) -> Value {
    let mut line = json!({ "brand_name": brand, "country_code": "US", "denomination": denomination });
    if let Some(recipient) = recipient {
        line["beneficiary_account"] = json!(recipient);
    }
    json!({
        "user": { "email": EMAIL },
        "payment": { "type": "via", "payment_via": "USER_WALLET", "coin": "USDC", "network": network },
        "deliveries": [line],
        "lang": "en",
    })
}

/// Places an order and answers with what the shop said.
pub fn place(door: &Door, order: &Value) -> Value {
    success(&door.post("/v5/orders", order))
}

/// Pays a part of an order on the simulated chain.
pub fn pay(door: &Door, order: &Value, factor: &str) -> Answer {
    door.post(&format!("/sandbox/orders/{}/pay", text(order, "/order_id")), &json!({ "factor": factor }))
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_runs() {
    let shop = Shop::open().await;
    let door = Door::of(&shop);
    clean_basket(&door);
    basket_with_three_problems(&door);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_from_its_creation_to_its_code() {
    let mut shop = Shop::open().await;
    let door = Door::of(&shop);
    let created = creation(&door);
    waiting(&door, &created);
    let paid = pay(&door, &created, "0.5");
    let transfers = success(&paid);
    assert_eq!(text(&transfers, "/units"), "50750000", "half of 101.50 at six places");
    keep("sandbox_pay", &paid, &redacted(&transfers));
    shop.pump().await;
    half_paid(&door, &created);
    success(&pay(&door, &created, "0.5"));
    shop.pump().await;
    done(&door, &created);
    qr_image(&door, &created);
    delivery_page(&shop, &door, &created);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_goods_and_other_ends() {
    let mut shop = Shop::open().await;
    let door = Door::of(&shop);
    let unpaid = creation_on_an_evm_network(&door);
    let short = place(&door, &order_for(None, "Amazon.com", "10 USD", "Solana"));
    success(&pay(&door, &short, "0.5"));
    let refused = place(&door, &order_for(Some("refused@example.com"), "Amazon.com", "10 USD", "Solana"));
    let plan = place(&door, &order_for(None, "Roamwell eSIM", "1 GB 7 days", "Solana"));
    let top_up = place(&door, &order_for(Some("+14155551234"), "T-Mobile US", "10 USD", "Solana"));
    for order in [&refused, &plan, &top_up] {
        success(&pay(&door, order, "1"));
    }
    shop.pump().await;
    waiting_for_a_person(&door, &refused);
    done_with_an_esim(&door, &plan);
    done_with_a_top_up(&door, &top_up);
    shop.after(Span::minutes(31)).await;
    expired(&door, &unpaid);
    expired_half_paid(&door, &short);
    shop.close().await;
}

/// What holds for every answer about an order (contract 3.9, 3.10 and section 11).
fn assert_order(order: &Value) {
    for state in ["/order_state", "/payment_state"] {
        assert!(text(order, state).bytes().all(|letter| letter.is_ascii_alphabetic()));
    }
    // No client was ever given one of these: `id` and `status` alone, an expiry, problems beside an order id.
    assert_absent(order, "", &["id", "status", "problems", "expires_at", "expires_in", "expiration"]);
    assert_eq!(text(order, "/coin"), "USDC", "every order answer carries coin and network");
    assert!(!text(order, "/network").is_empty());
    assert_eq!((text(order, "/created_at"), text(order, "/payment_requested_at")), (NOW, NOW));
    assert_eq!(text(order, "/payment_via"), "USER_WALLET");
    assert!(!flag(order, "/is_payment_processor_external"));
    assert_eq!(text(order, "/user/email"), EMAIL);
    let id = text(order, "/order_id");
    assert_eq!(text(order, "/qr_url"), format!("http://shop.test/v3/qrs/{id}"));
    assert!(text(order, "/qr_text").contains(text(order, "/wallet_address")));
    number(order, "/payment_value");
    assert_eq!(list(order, "/deliveries").len(), 1);
    assert!(is_uuid(text(order, "/deliveries/0/id")));
}

/// Codes appear only when the order is done, and until then not even as null (contract 3.10).
fn assert_no_goods(order: &Value) {
    assert_absent(order, "", &["pin_code"]);
    assert_absent(order, "/deliveries/0/deliverable", &GOODS);
}

/// The order as it is now, with its two words checked. An order is never kept by anybody on the way.
fn read(door: &Door, order: &Value, order_state: &str, payment_state: &str) -> (Answer, Value) {
    let id = text(order, "/order_id");
    let answer = door.get(&format!("/v5/orders/{id}"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let now = success(&answer);
    assert_order(&now);
    assert_eq!((text(&now, "/order_state"), text(&now, "/payment_state")), (order_state, payment_state));
    for same in ["/order_id", "/payment_id", "/wallet_address", "/coin_amount", "/qr_text", "/deliveries/0/id"] {
        assert_eq!(at(&now, same), at(order, same), "{same} stays as it was");
    }
    assert_eq!(door.get(&format!("/v3/orders/{id}")).json(), now, "the alias that one client polls");
    (answer, now)
}

fn clean_basket(door: &Door) {
    // The body of the developer page, without a network.
    let body = json!({
        "email": EMAIL,
        "payment": { "type": "via", "payment_via": "USER_WALLET", "coin": "USDC" },
        "deliveries": [{
            "beneficiary_account": EMAIL,
            "brand_name": "Airbnb",
            "country_code": "US",
            "denomination": "100 USD",
            "localized_denomination": "$100",
        }],
        "lang": "en",
    });
    let answer = door.post("/v5/orders/validations", &body);
    let validation = success(&answer);
    assert_eq!(validation["problems"], json!([]), "a list even when empty: one schema refuses null");
    assert_eq!(text(&validation, "/coin"), "USDC");
    // 100 USD plus 1.5 %.
    assert_eq!(text(&validation, "/coin_amount"), "101.50");
    assert_eq!(text(&validation, "/original_coin_amount"), "101.50");
    assert!(at(&validation, "/coupon_code").is_null() && at(&validation, "/loyalty_summary").is_null());
    assert_absent(&validation, "", &["order_id"]);
    assert_eq!(text(&validation, "/deliveries/0/delivery_state"), "Created");
    assert_eq!(text(&validation, "/deliveries/0/kind"), "giftcard");
    let deliverable = at(&validation, "/deliveries/0/deliverable");
    assert_eq!((text(deliverable, "/denomination"), text(deliverable, "/currency_code")), ("100 USD", "USD"));
    assert_eq!((text(deliverable, "/points"), text(deliverable, "/coin_amount")), ("85", "101.50"));
    assert_absent(deliverable, "", &GOODS);
    keep("validation", &answer, &redacted(&validation));
}

fn basket_with_three_problems(door: &Door) {
    let mut body = order_for(Some("not an address"), "Demo Sold Out", "25 USD", "Solana");
    body["promo_code"] = json!("NONESUCH");
    let answer = door.post("/v5/orders/validations", &body);
    let validation = success(&answer);
    let problems = texts(&validation, "/problems", "problem");
    assert_eq!(problems, ["OUT_OF_STOCK", "INVALID_BENEFICIARY_ACCOUNT", "COUPON_NOT_FOUND"]);
    problems.iter().for_each(|problem| assert_code(problem));
    assert_absent(&validation, "/problems/0", &["moreDetails"]);
    assert!(!text(&validation, "/problems/1/moreDetails/reason").is_empty(), "one client reads objects with a reason");
    assert_absent(&validation, "", &["order_id"]);
    // 25 USD plus 1.5 % are 25.375, rounded up: what can be computed is still told.
    assert_eq!(text(&validation, "/coin_amount"), "25.38");
    keep("validation_with_three_problems", &answer, &redacted(&validation));
}

fn creation(door: &Door) -> Value {
    let answer = door.post("/v5/orders", &order_for(None, "Airbnb", "100 USD", "Solana"));
    let order = success(&answer);
    assert_order(&order);
    assert_no_goods(&order);
    let states = (text(&order, "/order_state"), text(&order, "/payment_state"));
    assert_eq!(states, ("WaitingForPayment", "WalletCreated"));
    // 100 USD plus 1.5 %; 100 / 1.1642 = 85.896 EUR.
    assert_eq!((text(&order, "/coin_amount"), text(&order, "/original_price")), ("101.50", "101.50"));
    assert_eq!((number(&order, "/payment_value").as_str(), text(&order, "/sent_coin_amount")), ("85.9", "0"));
    assert_eq!(text(&order, "/reference_id"), "1001", "the first order of a shop");
    assert_eq!(text(&order, "/payment_method_protocol"), "SOLANA_LIKE");
    let address = text(&order, "/wallet_address");
    let begin = format!("solana:{address}?amount=101.5&spl-token=");
    assert!(text(&order, "/qr_text").starts_with(&begin), "Solana Pay with the token's mint");
    let delivery = at(&order, "/deliveries/0");
    assert_eq!((text(delivery, "/delivery_state"), text(delivery, "/kind")), ("WaitingForPayment", "giftcard"));
    let deliverable = at(delivery, "/deliverable");
    assert_eq!((text(deliverable, "/brand_name"), text(deliverable, "/family")), ("Airbnb", "Airbnb"));
    assert_eq!((text(deliverable, "/denomination"), text(deliverable, "/localized_denomination")), ("100 USD", "$100"));
    assert_eq!(text(deliverable, "/beneficiary_account"), EMAIL, "without a recipient it goes to the buyer");
    assert_eq!((text(deliverable, "/points"), text(deliverable, "/coin_amount")), ("85", "101.50"));
    keep("create", &answer, &redacted(&order));
    order
}

fn creation_on_an_evm_network(door: &Door) -> Value {
    let answer = door.post("/v5/orders", &order_for(None, "Airbnb", "50 USD", "Base"));
    let order = success(&answer);
    assert_order(&order);
    assert_no_goods(&order);
    assert_eq!((text(&order, "/network"), text(&order, "/payment_method_protocol")), ("Base", "ETHEREUM_LIKE"));
    // 50 USD plus 1.5 %; EIP-681 with the chain's number, and the amount in the token's own six places.
    assert_eq!(text(&order, "/coin_amount"), "50.75");
    let (uri, address) = (text(&order, "/qr_text"), text(&order, "/wallet_address"));
    assert!(address.len() == 42 && address.starts_with("0x"), "{address}");
    assert!(uri.starts_with("ethereum:0x"), "{uri}");
    assert!(uri.ends_with(&format!("@8453/transfer?address={address}&uint256=50750000")), "{uri}");
    keep("create_on_an_evm_network", &answer, &redacted(&order));
    order
}

fn waiting(door: &Door, created: &Value) {
    let (answer, order) = read(door, created, "WaitingForPayment", "WalletCreated");
    assert_no_goods(&order);
    assert_eq!(text(&order, "/updated_at"), NOW);
    keep("order_waiting_for_payment", &answer, &redacted(&order));
}

fn half_paid(door: &Door, created: &Value) {
    let (answer, order) = read(door, created, "PartialPaymentStarted", "PaymentRequested");
    assert_no_goods(&order);
    assert_eq!((text(&order, "/sent_coin_amount"), text(&order, "/received_amount")), ("50.75", "50.75"));
    assert_eq!(text(&order, "/deliveries/0/delivery_state"), "WaitingForPayment");
    keep("order_partly_paid", &answer, &redacted(&order));
}

fn done(door: &Door, created: &Value) {
    let (answer, order) = read(door, created, "Done", "PaymentReceived");
    assert_eq!((text(&order, "/sent_coin_amount"), text(&order, "/coin_amount")), ("101.50", "101.50"));
    assert_eq!(text(&order, "/deliveries/0/delivery_state"), "Succeeded");
    let deliverable = at(&order, "/deliveries/0/deliverable");
    let code = text(deliverable, "/pin_code");
    assert!(code.starts_with("DEMO-") && code.len() == "DEMO-0000-0000-0000".len(), "a code of the demo's stock");
    assert_eq!(text(&order, "/pin_code"), code, "one client reads the first code at the order");
    assert_eq!(text(deliverable, "/pin_serial").len(), 8);
    assert!(text(deliverable, "/redeem_instructions").starts_with("<ol>"));
    assert_absent(deliverable, "", &["security_code", "qr_image_url", "barcode_image_url", "failure_reason"]);
    assert_absent(&order, "", &["refund"]);
    keep("order_done", &answer, &redacted(&order));
}

fn done_with_an_esim(door: &Door, created: &Value) {
    let (answer, order) = read(door, created, "Done", "PaymentReceived");
    // 4.50 USD plus 1.5 % are 4.5675, rounded up; 4.50 / 1.1642 = 3.865 EUR.
    assert_eq!((text(&order, "/coin_amount"), number(&order, "/payment_value").as_str()), ("4.57", "3.87"));
    let deliverable = at(&order, "/deliveries/0/deliverable");
    assert!(text(deliverable, "/pin_code").starts_with("LPA:1$"));
    let id = text(&order, "/order_id");
    assert_eq!(text(deliverable, "/qr_image_url"), format!("http://shop.test/v3/qrs/{id}?line=0"));
    assert_absent(deliverable, "", &["pin_serial", "security_code"]);
    assert_eq!(text(&order, "/deliveries/0/kind"), "mobile_recharge");
    keep("order_done_esim", &answer, &redacted(&order));
}

fn done_with_a_top_up(door: &Door, created: &Value) {
    let (answer, order) = read(door, created, "Done", "PaymentReceived");
    assert_eq!(text(&order, "/deliveries/0/delivery_state"), "Succeeded");
    let deliverable = at(&order, "/deliveries/0/deliverable");
    assert_eq!(text(deliverable, "/delivery_type"), "by_phone");
    assert_eq!(text(deliverable, "/beneficiary_account"), "+14155551234");
    // The credit is on the phone: there is nothing to show.
    assert_absent(&order, "", &["pin_code"]);
    assert_absent(deliverable, "", &["pin_code", "pin_serial", "security_code", "qr_image_url"]);
    keep("order_done_top_up", &answer, &redacted(&order));
}

fn waiting_for_a_person(door: &Door, created: &Value) {
    let (answer, order) = read(door, created, "WaitingForManualAction", "PaymentReceived");
    assert_no_goods(&order);
    assert_eq!(text(&order, "/deliveries/0/delivery_state"), "Failed");
    assert!(!text(&order, "/deliveries/0/deliverable/failure_reason").is_empty());
    // 10 USD plus 1.5 %: all of it is owed back.
    assert_eq!((text(&order, "/coin_amount"), text(&order, "/refund/amount")), ("10.15", "10.15"));
    assert_eq!(text(&order, "/refund/currency"), "USDC");
    keep("order_waiting_for_manual_action", &answer, &redacted(&order));
}

fn expired(door: &Door, created: &Value) {
    let (answer, order) = read(door, created, "Expired", "Expired");
    assert_no_goods(&order);
    assert_eq!(text(&order, "/updated_at"), "1795176360", "31 minutes later");
    assert_eq!(text(&order, "/sent_coin_amount"), "0");
    assert_absent(&order, "", &["received_amount", "refund"]);
    keep("order_expired", &answer, &redacted(&order));
}

fn expired_half_paid(door: &Door, created: &Value) {
    let (answer, order) = read(door, created, "Expired", "ExpiredAfterPaymentDetection");
    assert_no_goods(&order);
    // Half of 10.15 is 5.075: coins have six places, the two that are quoted are the least that is shown.
    assert_eq!(text(&order, "/sent_coin_amount"), "5.075");
    keep("order_expired_after_partial_payment", &answer, &redacted(&order));
}

fn qr_image(door: &Door, created: &Value) {
    let answer = door.get(&format!("/v3/qrs/{}", text(created, "/order_id")));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/png")));
    assert!(answer.body.starts_with(b"\x89PNG\r\n\x1a\n"), "the signature of a PNG file");
    keep_text("qr", &format!("{}\n[PNG image]\n", head(&answer)));
}

/// The page that the mail links to: it opens one line, and says nothing about the order that the line is part of.
fn delivery_page(shop: &Shop, door: &Door, created: &Value) {
    let order = door.get(&format!("/v5/orders/{}", text(created, "/order_id"))).json();
    let id = domain::ids::OrderId::parse(text(&order, "/order_id")).expect("an order id is a UUID");
    let answer = door.get(&format!("/d/{}", shop.kiosk.vault.delivery_secret(id, 0)));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "the address itself is a secret");
    let page = answer.text();
    assert!(page.contains(text(&order, "/pin_code")) && !page.contains(text(&order, "/order_id")));
    let page = replaced_text(page, &random_texts(&order));
    keep_text("delivery_page", &format!("{}\n{page}\n", head(&answer)));
}
