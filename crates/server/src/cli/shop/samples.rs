//! Orders as a shop sends them, for the tests of `shop` alone. Composed from the store contract, section 3.9.

use api::{Order, OrderState, PaymentState, delivery_state};

const NEW_ORDER: &str = r#"{"order_id":"3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411",
    "order_state":"WaitingForPayment","payment_state":"WalletCreated",
    "created_at":"1790000000","payment_requested_at":"1790000060",
    "coin":"USDC","network":"Solana","coin_amount":"101.50","original_price":"101.50","sent_coin_amount":"0",
    "wallet_address":"So1anaAddress","qr_text":"solana:So1anaAddress?amount=101.50",
    "qr_url":"http://127.0.0.1:8080/v3/qrs/3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411",
    "payment_via":"USER_WALLET","payment_method":"USDC-SOL","payment_method_protocol":"SOLANA_LIKE",
    "payment_id":"74e2c1b9-0d5f-4a68-b3c7-92f80e1d6a33","payment_value":86.20,
    "is_payment_processor_external":false,"user":{"email":"user@shop.example"},
    "deliveries":[{"id":"b81f4e06-27ad-4c39-9e5b-c06a1d7f3822","delivery_state":"WaitingForPayment",
      "kind":"giftcard","deliverable":{"denomination":"100 USD","brand_name":"Airbnb","country_code":"US",
      "beneficiary_account":"friend@shop.example","delivery_type":"by_email","coin_amount":"101.50",
      "currency_code":"USD"}}]}"#;

/// An order that was just placed.
pub(super) fn new_order() -> Order {
    serde_json::from_str(NEW_ORDER).expect("the order follows the contract")
}

/// The order once it is delivered, with everything that a line can carry.
pub(super) fn done_order() -> Order {
    let mut order = new_order();
    order.order_state = OrderState::Done;
    order.payment_state = PaymentState::PaymentReceived;
    order.updated_at = Some("1790000120".to_owned());
    order.sent_coin_amount = "101.50".to_owned();
    order.pin_code = Some("ABCD-EFGH".to_owned());
    let delivery = &mut order.deliveries[0];
    delivery.delivery_state = delivery_state::SUCCEEDED.to_owned();
    delivery.deliverable.pin_code = Some("ABCD-EFGH".to_owned());
    delivery.deliverable.pin_serial = Some("5566".to_owned());
    delivery.deliverable.security_code = Some("77".to_owned());
    delivery.deliverable.redeem_instructions = Some("<ol><li>Sign in.</li><li>Enter it.</li></ol>".to_owned());
    order
}
