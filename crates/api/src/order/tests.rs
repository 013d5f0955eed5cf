//! Exactness of the order types against texts composed from the contract, and what they must not show.

use super::*;
use crate::testing::keeps;

const NEW_ORDER: &str = r#"{"order_id":"3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411","order_state":"WaitingForPayment",
    "payment_state":"WalletCreated","created_at":"1790000000","payment_requested_at":"1790000000","coin":"USDC",
    "network":"Base","coin_amount":"25.38","original_price":"25.38","sent_coin_amount":"0",
    "wallet_address":"0x00000000000000000000000000000000000c0ffe","qr_text":"ethereum:0xcafe@8453/transfer",
    "qr_url":"https://shop.example:443/v3/qrs/3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411","payment_via":"USER_WALLET",
    "payment_method":"USDC-BASE","payment_method_protocol":"ETHEREUM_LIKE",
    "payment_id":"74e2c1b9-0d5f-4a68-b3c7-92f80e1d6a33","payment_value":21.50,
    "is_payment_processor_external":false,"user":{"email":"user@shop.example"},"deliveries":[
      {"id":"b81f4e06-27ad-4c39-9e5b-c06a1d7f3822","delivery_state":"WaitingForPayment","kind":"giftcard",
       "deliverable":{"denomination":"25 USD","localized_denomination":"$25","family":"Corner",
         "brand_name":"Corner Shop","country_code":"US","beneficiary_account":"friend@shop.example",
         "delivery_type":"by_email","points":"22","coin_amount":"25.38","currency_code":"USD"}}]}"#;

fn new_order() -> Order {
    serde_json::from_str(NEW_ORDER).expect("the text follows the contract")
}

#[test]
fn a_new_order_has_no_field_that_is_null() {
    let order: Order = keeps(NEW_ORDER);
    assert_eq!(order.payment_value.to_string(), "21.50");
    assert!(!serde_json::to_string(&order).expect("wire types can be written").contains("null"));
}

#[test]
fn a_finished_order_carries_its_codes() {
    let done = NEW_ORDER
        .replace(r#""order_state":"WaitingForPayment""#, r#""order_state":"Done","updated_at":"1790000100""#)
        .replace(r#""delivery_state":"WaitingForPayment""#, r#""delivery_state":"Succeeded""#)
        .replace(
            r#""currency_code":"USD""#,
            r#""currency_code":"USD","product_value":25.00,"pin_code":"ABCD-EFGH","pin_serial":"5566",
               "security_code":"77","barcode_image_url":"https://shop.example/b.png","redeem_instructions":"<ol></ol>""#,
        )
        .replace(
            r#""deliveries":"#,
            r#""original_coin_amount":"26","received_amount":"25.38","reference_id":"r1","pin_code":"ABCD-EFGH",
               "refund_wallet_address":"0xbeef","refund":{"amount":"1.5","currency":"USDC","reason":"overpaid"},
               "deliveries":"#,
        );
    let order: Order = keeps(&done);
    assert_eq!(order.deliveries[0].deliverable.pin_code.as_deref(), Some("ABCD-EFGH"));
    assert!(delivery_state::is_delivered(&order.deliveries[0].delivery_state));
}

#[test]
fn forms_seen_elsewhere_are_read_and_written_in_ours() {
    let seen = NEW_ORDER
        .replace(r#""1790000000""#, "1790000000")
        .replace("21.50", r#""21.50""#)
        .replace(r#""currency_code":"USD""#, r#""currency_code":"USD","qr_image_url":null"#);
    let read: Order = serde_json::from_str(&seen).expect("these forms were seen on the wire");
    assert_eq!(read, new_order());
}

#[test]
fn an_unknown_word_is_an_error_that_lists_the_known_ones() {
    let text = NEW_ORDER.replace(r#""WalletCreated""#, r#""PaymentCompleted""#);
    let error = serde_json::from_str::<Order>(&text).expect_err("the word is not one of ours").to_string();
    assert!(error.contains("PaymentCompleted") && error.contains("WalletCreated"), "{error}");
}

#[test]
fn debug_output_shows_no_code_no_id_and_no_address() {
    let mut order = new_order();
    order.pin_code = Some("SECRET-1".to_owned());
    order.deliveries[0].deliverable.pin_code = Some("SECRET-2".to_owned());
    order.deliveries[0].deliverable.qr_image_url = Some("https://shop.example/SECRET-3".to_owned());
    let shown = format!("{order:?}");
    for hidden in ["SECRET", "3c0d9a52", "@shop.example", "0x0000"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
    assert!(shown.contains("has_code: true"), "{shown}");
}

const STATES: [(OrderState, bool); 13] = [
    (OrderState::Created, false),
    (OrderState::WaitingForPayment, false),
    (OrderState::PaymentStarted, false),
    (OrderState::PartialPaymentStarted, false),
    (OrderState::PaymentReceived, false),
    (OrderState::WaitingForDelivery, false),
    (OrderState::WaitingForManualAction, false),
    (OrderState::Done, true),
    (OrderState::Expired, true),
    (OrderState::Canceled, true),
    (OrderState::PaymentFailed, true),
    (OrderState::PaymentSetupFailed, true),
    (OrderState::Refunded, true),
];

#[test]
fn order_states_are_written_as_their_word() {
    for (state, terminal) in STATES {
        let written = serde_json::to_string(&state).expect("a word can be written");
        assert_eq!(written, format!("\"{state}\""));
        assert_eq!(state.is_terminal(), terminal, "{state}");
    }
}

#[test]
fn payment_states_are_written_as_their_word() {
    for state in [
        PaymentState::WalletCreated,
        PaymentState::PaymentRequested,
        PaymentState::PaymentReceived,
        PaymentState::Expired,
        PaymentState::ExpiredAfterPaymentDetection,
    ] {
        assert_eq!(serde_json::to_string(&state).expect("a word can be written"), format!("\"{state}\""));
    }
}

#[test]
fn a_validation_always_has_problems_and_its_two_nulls() {
    let validation: Validation = keeps(
        r#"{"coin":"BTC","coin_amount":"0.00041275","original_coin_amount":"0.00041275","coupon_code":null,
            "loyalty_summary":null,"summary":{"coin":"BTC","coin_amount":"0.00041275","original_coin_amount":"0.00041275"},
            "deliveries":[{"id":"d05a7c34-91be-4f62-8c0d-3e7b2a6f9144","delivery_state":"Created","kind":"giftcard",
              "deliverable":{"denomination":"25 USD","brand_name":"Corner Shop","country_code":"US",
                "original_price":"21.5000","currency_code":"USD"}}],"problems":[]}"#,
    );
    assert!(validation.problems.is_empty());
}

#[test]
fn a_validation_without_a_price_leaves_the_amounts_out() {
    let text = r#"{"coin":"USDC","coupon_code":null,"loyalty_summary":null,"summary":{"coin":"USDC"},"deliveries":[],
        "problems":[{"problem":"NOT_AVAILABLE_PRODUCT","moreDetails":{"min":"5.00","step":0.50}},
                    {"problem":"OUT_OF_STOCK"}]}"#;
    let validation: Validation = keeps(text);
    assert_eq!(validation.coin_amount, None);
    assert_eq!(validation.problems[1].more_details, None);
}

#[test]
fn problems_that_are_null_or_absent_are_none() {
    for text in [r#"{"coin":"BTC","problems":null,"summary":null}"#, r#"{"coin":"BTC"}"#] {
        let validation: Validation = serde_json::from_str(text).expect("null was seen on the wire");
        let written = serde_json::to_value(&validation).expect("wire types can be written");
        assert_eq!(written["problems"], Value::Array(Vec::new()));
        assert_eq!(written.get("coupon_code"), Some(&Value::Null));
    }
}

#[test]
fn an_error_body_reads_wide_and_writes_narrow() {
    keeps::<ErrorBody>(
        r#"{"status":422,"detail":"OUT_OF_STOCK","message":"OUT_OF_STOCK","problems":[{"problem":"OUT_OF_STOCK"}]}"#,
    );
    keeps::<ErrorBody>(r#"{"status":404,"detail":"NOT_FOUND","message":"no such order"}"#);
    for (text, code) in [
        (r#"{"status":"422","detail":"SUSPENDED_COIN"}"#, "SUSPENDED_COIN"),
        (r#"{"problems":[{"problem":"OUT_OF_STOCK"}],"detail":"OTHER_CODE"}"#, "OUT_OF_STOCK"),
        (r#"{"detail":null,"message":"try later"}"#, "try later"),
        ("{}", ""),
    ] {
        let body: ErrorBody = serde_json::from_str(text).expect("every object can be read");
        assert_eq!(body.code(), code, "{text}");
    }
}
