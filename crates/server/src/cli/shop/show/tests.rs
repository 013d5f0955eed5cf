//! The text of every kind of answer, from answers that follow the store contract.

use serde::de::DeserializeOwned;

use super::super::samples::{done_order, new_order};
use super::*;

fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("the answer follows the contract")
}

#[test]
fn brands_stand_in_columns() {
    let listed: Vec<Brand> = read(
        r#"[{"brand_id":"1","brand":"Airbnb","family":"Airbnb","kind":"giftcard","category":"travel_flights",
             "country_code":"US","min":"$50","max":"$500","is_out_of_stock":false,"product_type":"physical"},
            {"brand_id":"2","brand":"Lycamobile Bundle","family":"Lycamobile","kind":"mobile_recharge",
             "category":"mobile_bundle","country_code":"US","is_out_of_stock":true,"product_type":"physical"}]"#,
    );
    let expected = "\
BRAND              FAMILY      KIND             CATEGORY        FROM  TO    STOCK
Airbnb             Airbnb      giftcard         travel_flights  $50   $500  yes
Lycamobile Bundle  Lycamobile  mobile_recharge  mobile_bundle   -     -     sold out
";
    assert_eq!(brands(&listed), expected);
}

const GROUPS: &str = r#"[{"country_code":"US","kind":"giftcard","category":"travel_flights","brand_id":"1",
    "brand":"Airbnb","family":"Airbnb","is_out_of_stock":false,"products":[
      {"product_id":"1","is_dynamic":false,"denomination":"100 USD","coin":"USDC","coin_amount":"101.50",
       "original_coin_amount":"101.50","payment_method":"USDC-SOL","delivery_type":"by_email",
       "product_type":"physical","points":"86",
       "face_value":{"currency_code":"USD","amount":{"type":"fixed","price":"100"}}},
      {"product_id":"2","is_dynamic":true,"range":{"min":50,"max":500.50,"currency":"USD","step_size":1,
       "default":"500.0"},"coin":"USDC","payment_method":"USDC-SOL","delivery_type":"by_email",
       "product_type":"physical",
       "face_value":{"currency_code":"USD","amount":{"type":"range","min":"50.00","max":"500.50"}}}]},
    {"country_code":"US","kind":"mobile_recharge","category":"e-sim","brand_id":"2","brand":"Roam","family":"Roam",
     "is_out_of_stock":true,"products":[
      {"product_id":"3","is_dynamic":false,"denomination":"Unlimited 3 days","coin":"USDC","coin_amount":"9",
       "payment_method":"USDC-SOL","delivery_type":"by_phone","product_type":"physical",
       "benefits":[{"type":"DATA","unit":"GB","amount":{"base":{"amount":-1}}},
                   {"type":"SMS","amount":{"base":{"amount":30}}},
                   {"type":"VOICE","unit":"minutes","amount":{"base":{"amount":5}}}],
       "face_value":{"currency_code":"USD","amount":{"type":"fixed","price":"9"}}}]}]"#;

#[test]
fn products_show_what_to_order_and_what_it_costs() {
    let groups: Vec<ProductGroup> = read(GROUPS);
    let expected = "\
Airbnb (US, giftcard, travel_flights)
DENOMINATION      PRICE        FOR     DETAILS
100 USD           101.50 USDC  e-mail
50 to 500.50 USD  by --value   e-mail  in steps of 1

Roam (US, mobile_recharge, e-sim), sold out
DENOMINATION      PRICE   FOR    DETAILS
Unlimited 3 days  9 USDC  phone  DATA unlimited, SMS 30, VOICE 5 minutes
";
    assert_eq!(products(&groups), expected);
    assert_eq!(products(&[]), "");
}

#[test]
fn a_price_shows_its_discount_and_its_range() {
    let of_range: Price = read(
        r#"{"product_id":"2","is_dynamic":true,"range":{"min":50,"max":500,"currency":"USD","step_size":1,
            "default":"500.0"},"coin":"USDC","coin_amount":"70.00","original_coin_amount":"76.10",
            "payment_method":"USDC-SOL","delivery_type":"by_email","points":"64","product_type":"physical"}"#,
    );
    let expected = "\
brand            Airbnb
value            75 USD
price            70.00 USDC
before discount  76.10 USDC
values           50 to 500 USD, in steps of 1
goes to          e-mail
";
    assert_eq!(price("Airbnb", "75", &of_range), expected);
}

#[test]
fn a_validation_says_yes_or_names_each_problem() {
    let mut answer: Validation = read(
        r#"{"coin":"USDC","coin_amount":"91.35","original_coin_amount":"101.50","coupon_code":"TEN",
            "loyalty_summary":null,"problems":[],
            "deliveries":[{"id":"1","delivery_state":"Created","kind":"giftcard","deliverable":{
              "denomination":"range","product_value":75.50,"brand_name":"Airbnb","country_code":"US",
              "currency_code":"USD","coin_amount":"91.35"}}]}"#,
    );
    let expected = "\
total            91.35 USDC
before discount  101.50 USDC
coupon           TEN

ITEM    COUNTRY  VALUE      FOR  PRICE       STATE
Airbnb  US       75.50 USD  -    91.35 USDC  Created

The shop would take this order.
";
    assert_eq!(validation(&answer), expected);
    answer.problems = read(r#"[{"problem":"OUT_OF_STOCK"},{"problem":"COUPON_EXPIRED","moreDetails":{"on":"2026"}}]"#);
    let text = validation(&answer);
    assert!(text.contains("would refuse"), "{text}");
    assert!(!text.contains("would take"), "{text}");
    for part in ["\n  OUT_OF_STOCK: ", "\n  COUPON_EXPIRED: ", "\n    details: {\"on\":\"2026\"}"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_purchase_shows_all_that_a_wallet_needs() {
    // The window of 30 minutes begins at payment_requested_at: 14:14:20 is one minute after the creation.
    let expected = "\
order        3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411
state        WaitingForPayment
amount       101.50 USDC
network      Solana
address      So1anaAddress
payment URI  solana:So1anaAddress?amount=101.50
QR image     http://127.0.0.1:8080/v3/qrs/3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411
pay until    2026-09-21T14:44:20Z
track        kiosk shop track x
";
    assert_eq!(purchase(&new_order(), "kiosk shop track x"), expected);
}

#[test]
fn the_window_begins_with_the_order_when_no_other_time_is_known() {
    let mut order = new_order();
    order.payment_requested_at = None;
    assert_eq!(pay_until(&order).as_deref(), Some("2026-09-21T14:43:20Z"));
    order.created_at = "soon".to_owned();
    assert_eq!(pay_until(&order), None);
    assert!(!purchase(&order, "x").contains("pay until"));
}

#[test]
fn an_order_shows_where_to_pay_only_while_it_awaits_money() {
    let waiting = order(&new_order(), "kiosk shop track x");
    assert!(waiting.contains("\naddress "), "{waiting}");
    assert!(waiting.contains("\ntrack "), "{waiting}");
    let done = order(&done_order(), "kiosk shop track x");
    assert!(!done.contains("\naddress "), "{done}");
    assert!(done.contains("\nchanged     2026-09-21T14:15:20Z"), "{done}");
    assert!(done.contains("\ncodes with  kiosk shop track x"), "{done}");
    assert!(done.contains("\nreceived    101.50 USDC"), "{done}");
}

#[test]
fn codes_stand_in_the_goods_alone() {
    let done = done_order();
    for text in [order(&done, "x"), purchase(&done, "x"), state_line(&done)] {
        for secret in ["ABCD-EFGH", "5566"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    let expected = "\
item           Airbnb US 100 USD
for            friend@shop.example
code           ABCD-EFGH
serial         5566
security code  77
how to redeem  Sign in. Enter it.
state          Succeeded
";
    assert_eq!(goods(&done), expected);
}

#[test]
fn a_line_that_failed_says_why() {
    let mut order = done_order();
    let mut failed = new_order().deliveries.remove(0);
    failed.delivery_state = delivery_state::FAILED.to_owned();
    failed.deliverable.failure_reason = Some("SUPPLIER_REFUSED".to_owned());
    order.deliveries.push(failed);
    let text = goods(&order);
    assert!(text.contains("\n\nitem "), "a blank line between the items: {text}");
    assert!(text.contains("\nnot delivered  SUPPLIER_REFUSED\n"), "{text}");
    assert_eq!(remark(&order), "1 of 2 delivered");
}

#[test]
fn a_state_line_is_time_state_and_meaning() {
    assert_eq!(
        state_line(&new_order()),
        "2026-09-21T14:13:20Z  WaitingForPayment       waits for 101.50 USDC on Solana, until 2026-09-21T14:44:20Z"
    );
    assert_eq!(state_line(&done_order()), "2026-09-21T14:15:20Z  Done                    1 of 1 delivered");
}

#[test]
fn each_state_has_a_meaning_of_its_own() {
    let states = [
        OrderState::Created,
        OrderState::WaitingForPayment,
        OrderState::PaymentStarted,
        OrderState::PartialPaymentStarted,
        OrderState::PaymentReceived,
        OrderState::WaitingForDelivery,
        OrderState::WaitingForManualAction,
        OrderState::Expired,
        OrderState::Canceled,
        OrderState::PaymentFailed,
        OrderState::PaymentSetupFailed,
        OrderState::Refunded,
    ];
    let mut order = new_order();
    let remarks: std::collections::HashSet<String> = states
        .iter()
        .map(|&state| {
            order.order_state = state;
            remark(&order)
        })
        .collect();
    assert_eq!(remarks.len(), states.len());
    order.order_state = OrderState::PartialPaymentStarted;
    order.sent_coin_amount = "50.75".to_owned();
    assert!(remark(&order).starts_with("50.75 of 101.50 USDC came"));
    order.order_state = OrderState::Expired;
    order.payment_state = PaymentState::ExpiredAfterPaymentDetection;
    assert!(remark(&order).contains("ask the shop"));
    order.order_state = OrderState::Refunded;
    order.refund = Some(api::Refund { amount: "1.5".to_owned(), currency: "USDC".to_owned(), reason: None });
    assert_eq!(remark(&order), "1.5 USDC went back");
}
