//! What the reader of order bodies takes, what it refuses and with which words; and the form our client sends.

use super::*;
use crate::testing::keeps;

const FLAT: &str = r#"{"email":"other@shop.example",
    "user":{"email":"user@shop.example","has_accepted_newsletter":true},
    "payment":{"type":"via","payment_via":"USER_WALLET","coin":"USDC","network":"Base"},
    "deliveries":[{"brand_name":"Corner Shop","country_code":"US","denomination":"range","product_value":50.10,
                   "beneficiary_account":"friend@shop.example","localized_denomination":7}],
    "lang":"en","acquisition":{"utm_source":"leaflet"},"promo_code":"","refund_wallet_address":null,
    "payment_method":"USDC-BASE"}"#;

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("the test's body is JSON")
}

fn read(text: &str) -> Result<OrderBody, BodyError> {
    OrderBody::read(&value(text))
}

/// A body with these entries and nothing else beside what is required.
fn with_deliveries(deliveries: &str) -> Result<OrderBody, BodyError> {
    read(&format!(r#"{{"payment":{{"payment_via":"USER_WALLET"}},"deliveries":{deliveries}}}"#))
}

/// The error of a body with one entry that has this field beside the required ones.
fn refused_entry(field: &str) -> String {
    let entries = format!(r#"[{{"brand_name":"B","country_code":"US","denomination":"5 USD",{field}}}]"#);
    with_deliveries(&entries).expect_err("the field is wrong").to_string()
}

#[test]
fn the_flat_form_is_read() {
    let delivery = BodyDelivery {
        brand_name: "Corner Shop".to_owned(),
        country_code: "US".to_owned(),
        denomination: "range".to_owned(),
        product_value: Some("50.10".to_owned()),
        beneficiary_account: Some("friend@shop.example".to_owned()),
        quantity: 1,
    };
    let expected = OrderBody {
        buyer_email: Some("user@shop.example".to_owned()),
        has_accepted_newsletter: true,
        payment_via: "USER_WALLET".to_owned(),
        coin: "USDC".to_owned(),
        network: Some("Base".to_owned()),
        deliveries: vec![delivery],
        lang: Some("en".to_owned()),
        utm_source: Some("leaflet".to_owned()),
        promo_code: None,
        refund_wallet_address: None,
    };
    assert_eq!(read(FLAT), Ok(expected));
}

#[test]
fn both_forms_stand_in_one_body() {
    let body = with_deliveries(
        r#"[{"kind":"giftcard","quantity":2,"deliverable":
              {"brand_name":"A","country_code":"US","denomination":"100","beneficiary_account":"a@shop.example"}},
            {"brand_name":"B","country_code":"IT","denomination":"5 EUR","deliverable":null,"product_value":"5.00"},
            {"brand_name":"C","quantity":"3","deliverable":
              {"brand_name":"not C","country_code":"DE","denomination":"range","product_value":1}}]"#,
    )
    .expect("the forms may be mixed");
    let seen: Vec<_> = body
        .deliveries
        .iter()
        .map(|delivery| {
            let value = delivery.product_value.as_deref();
            (delivery.brand_name.as_str(), delivery.country_code.as_str(), value, delivery.quantity)
        })
        .collect();
    assert_eq!(seen, [("A", "US", None, 2), ("B", "IT", Some("5.00"), 1), ("C", "DE", Some("1"), 3)]);
    assert_eq!(body.deliveries[0].beneficiary_account.as_deref(), Some("a@shop.example"));
    assert_eq!(body.line_count(), 6);
}

#[test]
fn what_is_missing_gets_its_default() {
    let body = with_deliveries(r#"[{"brand_name":"B","country_code":"US","denomination":"5 USD"}]"#)
        .expect("everything required is there");
    assert_eq!(body.coin, "BTC");
    assert_eq!((body.buyer_email, body.network), (None, None));
    assert!(!body.has_accepted_newsletter);
    assert_eq!(body.deliveries[0].beneficiary_account, None);
}

#[test]
fn the_outer_address_is_used_when_the_user_has_none() {
    for user in ["null", "{}", r#"{"email":null}"#, r#"{"email":""}"#] {
        let text = FLAT.replace(r#"{"email":"user@shop.example","has_accepted_newsletter":true}"#, user);
        let body = read(&text).expect("the outer address is there");
        assert_eq!(body.buyer_email.as_deref(), Some("other@shop.example"), "{user}");
    }
}

#[test]
fn errors_name_the_field_and_what_it_must_be() {
    for (from, to, expected) in [
        (r#""type":"via""#, r#""type":"card""#, "payment.type must be \"via\""),
        (r#""payment_via":"USER_WALLET","#, "", "payment.payment_via is required"),
        (r#""coin":"USDC""#, r#""coin":["USDC"]"#, "payment.coin must be a string"),
        (r#""email":"user@shop.example""#, r#""email":5"#, "user.email must be a string"),
        (
            r#""has_accepted_newsletter":true"#,
            r#""has_accepted_newsletter":"yes""#,
            "user.has_accepted_newsletter must be true or false",
        ),
        (r#""lang":"en""#, r#""lang":"e\u0000n""#, "lang must not contain a NUL character"),
        (r#"{"utm_source":"leaflet"}"#, r#""leaflet""#, "acquisition must be an object"),
        (r#""brand_name":"Corner Shop""#, r#""brand_name":9"#, "deliveries[0].brand_name must be a string"),
        (r#""brand_name":"Corner Shop""#, r#""brand_name":"""#, "deliveries[0].brand_name is required"),
        (r#""country_code":"US","#, "", "deliveries[0].country_code is required"),
        (r#""denomination":"range","#, "", "deliveries[0].denomination is required"),
        ("50.10", "true", "deliveries[0].product_value must be a number or a string"),
    ] {
        let text = FLAT.replacen(from, to, 1);
        assert_ne!(text, FLAT, "{from} is in the body");
        assert_eq!(read(&text).expect_err("the body is wrong").to_string(), expected);
    }
}

#[test]
fn the_body_and_its_parts_must_be_there() {
    for (text, expected) in [
        ("[]", "the body must be a JSON object"),
        ("null", "the body must be a JSON object"),
        (r#"{"deliveries":[]}"#, "payment is required"),
        (r#"{"payment":"via"}"#, "payment must be an object"),
        (r#"{"payment":{"payment_via":"X"}}"#, "deliveries is required"),
        (r#"{"payment":{"payment_via":"X"},"deliveries":{}}"#, "deliveries must be an array"),
        (r#"{"payment":{"payment_via":"X"},"deliveries":[]}"#, "deliveries must have at least one entry"),
        (r#"{"payment":{"payment_via":"X"},"deliveries":[7]}"#, "deliveries[0] must be an object"),
    ] {
        assert_eq!(read(text).expect_err("the body is wrong").to_string(), expected, "{text}");
    }
}

#[test]
fn an_error_inside_the_nested_form_names_the_nested_field() {
    let error = with_deliveries(r#"[{"deliverable":{"brand_name":"B","country_code":1}}]"#).expect_err("a number");
    assert_eq!(error.to_string(), "deliveries[0].deliverable.country_code must be a string");
}

#[test]
fn quantities_are_whole_and_bounded() {
    for wrong in ["0", "-1", "1001", "1.5", "4294967297", "\"0\"", "\"two\"", "\"-1\"", "true", "[]"] {
        let error = refused_entry(&format!("\"quantity\":{wrong}"));
        assert_eq!(error, "deliveries[0].quantity must be a whole number from 1 to 1000", "{wrong}");
    }
}

#[test]
fn long_texts_are_refused_without_repeating_them() {
    let at_limit = "x".repeat(MAX_TEXT_BYTES);
    let text = FLAT.replace("Corner Shop", &at_limit);
    assert_eq!(read(&text).expect("the limit itself passes").deliveries[0].brand_name, at_limit);
    let error = refused_entry(&format!("\"beneficiary_account\":\"{at_limit}x\""));
    assert_eq!(error, "deliveries[0].beneficiary_account must be at most 1000 bytes long");
    let error = refused_entry(&format!("\"product_value\":{}", "9".repeat(MAX_TEXT_BYTES + 1)));
    assert_eq!(error, "deliveries[0].product_value must be at most 1000 bytes long");
    let text = FLAT.replace("user@shop.example", &"y".repeat(MAX_EMAIL_BYTES + 1));
    assert_eq!(read(&text).expect_err("too long").to_string(), "user.email must be at most 320 bytes long");
}

#[test]
fn eleven_entries_are_read_and_two_hundred_and_one_are_not() {
    let entry = r#"{"brand_name":"B","country_code":"US","denomination":"5 USD"}"#;
    let list = |count: usize| format!("[{}]", vec![entry; count].join(","));
    assert_eq!(with_deliveries(&list(11)).expect("the domain decides").line_count(), 11);
    assert_eq!(with_deliveries(&list(200)).expect("the limit itself passes").line_count(), 200);
    let error = with_deliveries(&list(201)).expect_err("beyond the limit").to_string();
    assert_eq!(error, "deliveries must have at most 200 entries");
}

#[test]
fn our_own_request_is_flat_and_the_reader_understands_it() {
    let line = RequestDelivery {
        brand_name: "Corner Shop".to_owned(),
        country_code: "US".to_owned(),
        denomination: "range".to_owned(),
        product_value: Some("75".to_owned()),
        beneficiary_account: None,
    };
    let payment = PaymentChoice::via("USER_WALLET", "USDC", Some("Solana"));
    let request = OrderRequest::new("user@shop.example", payment, vec![line]);
    let written = serde_json::to_value(&request).expect("wire types can be written");
    let expected = value(
        r#"{"email":"user@shop.example","user":{"email":"user@shop.example"},
            "payment":{"type":"via","payment_via":"USER_WALLET","coin":"USDC","network":"Solana"},
            "deliveries":[{"brand_name":"Corner Shop","country_code":"US","denomination":"range","product_value":"75"}]}"#,
    );
    assert_eq!(written, expected);
    let body = OrderBody::read(&written).expect("the reader takes the flat form");
    assert_eq!(body.deliveries[0].product_value.as_deref(), Some("75"));
    assert_eq!(body.network.as_deref(), Some("Solana"));
}

#[test]
fn every_field_of_a_request_keeps_its_shape() {
    keeps::<OrderRequest>(
        r#"{"user":{"email":"user@shop.example","has_accepted_newsletter":false},
            "payment":{"type":"via","payment_via":"USER_WALLET","coin":"BTC"},
            "deliveries":[{"brand_name":"B","country_code":"US","denomination":"5 USD","beneficiary_account":"+14155551234"}],
            "lang":"it","acquisition":{"utm_source":"leaflet"},"promo_code":"SPRING","refund_wallet_address":"0xbeef"}"#,
    );
}
