//! Exactness of the catalogue types against texts composed from the contract.

use serde_json::Value;

use super::*;
use crate::testing::keeps;

#[test]
fn payment_vias_keep_their_shape() {
    let vias: Vec<PaymentVia> = keeps(
        r#"[{"name":"USER_WALLET","available":true,"logo_url":"https://shop.example/vias/w.webp","currencies":[
            {"name":"USDC","is_suspended":false,"threshold":"0.56","networks":[
              {"name":"Solana","is_suspended":false,"base_token":"SOL","threshold":"0.580000000000000000",
               "estimated_transfer_cost":"€0","smart_contract_engine":"SVM","smart_contract":
                 {"engine":"SVM","symbol":"USDC","decimals":6,"address":"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"}},
              {"name":"Base","is_suspended":true,"chain_id":8453,"threshold":"1"}]}]}]"#,
    );
    let base = &vias[0].currencies[0].networks[1];
    assert_eq!(base.chain_id, Some(8453));
    assert_eq!(base.smart_contract, None);
}

#[test]
fn absent_flags_of_a_via_read_as_usable() {
    let via: PaymentVia = serde_json::from_str(
        r#"{"name":"BUYDL","currencies":[{"name":"USDC","is_suspended":false,"networks":[{"name":"Base","threshold":"1"}]}]}"#,
    )
    .expect("both fields may be absent");
    assert!(via.available);
    assert!(!via.currencies[0].networks[0].is_suspended);
}

#[test]
fn a_suspension_is_a_real_boolean() {
    assert!(serde_json::from_str::<Currency>(r#"{"name":"BTC","is_suspended":"false"}"#).is_err());
}

const BRAND: &str = r##"{"brand_id":"1f5f0a52-7c2e-4a0e-9d5f-0f6c4f1b7a11","brand":"Corner Shop","family":"Corner",
    "kind":"giftcard","category":"retail","additional_categories":["food"],"country_code":"US","min":"$5",
    "max":"$500","is_out_of_stock":false,"product_type":"physical","brand_tags":[],"bg_color":"#FFFFFF",
    "logo_url":"https://shop.example/logos_v2/corner.webp","logo_base_url":"https://shop.example/logos_v2/corner"}"##;

#[test]
fn brands_keep_every_list() {
    let text = format!(
        r#"{{"country_code":"US","last_user_purchases":[],"suggestions":[],"categories":[
            {{"kind":"giftcard","category":"retail","popular_brands":[],"brands":[{BRAND}]}},
            {{"kind":"giftcard","category":null,"popular_brands":[],"brands":[]}}],
            "all_brands":[{BRAND}],"popular_brands":[]}}"#
    );
    let brands: Brands = keeps(&text);
    assert_eq!(brands.all_brands, brands.categories[0].brands);
}

#[test]
fn unknown_labels_are_left_out() {
    let mut brand: Brand = keeps(BRAND);
    brand.min = None;
    brand.max = None;
    brand.logo_url = None;
    let written = serde_json::to_value(&brand).expect("wire types can be written");
    assert!(["min", "max", "logo_url"].iter().all(|name| written.get(name).is_none()), "{written}");
    assert!(written["additional_categories"].is_array());
}

fn group(products: &str) -> String {
    format!(
        r#"{{"country_code":"US","kind":"giftcard","category":"games","additional_categories":[],
            "default_denomination":"","brand_id":"0b7e6d21-4c8a-4e93-a5f1-68d2b0c97e55","brand":"Joystick",
            "family":"Joystick","is_out_of_stock":false,"product_tc":"","redeem_method":["online"],
            "rich_description":{{"markup":"html","description":"<p>x</p>","note":"","sizeInBytes":12}},
            "products":{products}}}"#
    )
}

#[test]
fn products_keep_numbers_and_strings_apart() {
    let products = r#"[
        {"product_id":"e6914d7a-5b03-4d2c-9f88-17a0c3b5d266","is_dynamic":false,"denomination":"10 USD",
         "localized_denomination":"$10","coin":"USDC","coin_amount":"10.15","original_coin_amount":"10.15",
         "payment_method":"USDC-MATIC","delivery_type":"by_email","product_type":"physical","points":"8",
         "face_value":{"currency_code":"USD","amount":{"type":"fixed","price":"10"}}},
        {"product_id":"28f3b9c0-7d16-4ea5-b2c4-a9d05e81f377","is_dynamic":true,
         "range":{"min":50.00,"max":500,"currency":"USD","step_size":0.01,"default":"500.0"},"coin":"USDC",
         "payment_method":"USDC-MATIC","delivery_type":"by_phone","product_type":"physical","points":"4",
         "face_value":{"currency_code":"USD","amount":{"type":"range","min":"50.00","max":"500.00"}},
         "benefits":[{"type":"DATA","unit_type":"DATA","unit":"GB",
                      "amount":{"base":{"amount":-1},"total_including_tax":{"amount":-1}}}]}]"#;
    let group: ProductGroup = keeps(&group(products));
    assert_eq!(group.products[0].face_value.amount, FaceAmount::fixed("10"));
    assert_eq!(group.products[1].face_value.amount, FaceAmount::range("50.00", "500.00"));
    let range = group.products[1].range.as_ref().expect("the second product is a range");
    assert_eq!(range.min.to_string(), "50.00");
    assert_eq!(group.products[1].delivery_type, DeliveryType::ByPhone);
}

#[test]
fn a_number_too_fine_for_a_float_keeps_its_digits() {
    let text =
        r#"{"min":0.12345678901234567890123,"max":9007199254740993.5,"currency":"USD","step_size":1.10,"default":"1"}"#;
    let range: Range = keeps(text);
    assert_eq!(range.max.to_string(), "9007199254740993.5");
}

#[test]
fn a_group_without_products_reads_as_an_empty_list() {
    let group: ProductGroup = serde_json::from_str(&group("null")).expect("null was seen on the wire");
    let written = serde_json::to_value(&group).expect("wire types can be written");
    assert_eq!(written["products"], Value::Array(Vec::new()));
}

#[test]
fn range_ends_are_read_from_objects_and_written_as_strings() {
    let text = r#"{"type":"range","min":{"amount":5,"currency":"USD"},"max":{"amount":10.50,"currency":"USD"}}"#;
    let amount: FaceAmount = serde_json::from_str(text).expect("the contested form can be read");
    assert_eq!(amount, FaceAmount::range("5", "10.50"));
}

#[test]
fn a_price_keeps_its_shape() {
    keeps::<Price>(
        r#"{"product_id":"28f3b9c0-7d16-4ea5-b2c4-a9d05e81f377","is_dynamic":true,
            "range":{"min":50.0,"max":500.0,"currency":"USD","step_size":1.0,"default":"500.0"},"coin":"USDC",
            "coin_amount":"101.50","original_coin_amount":"101.50","payment_method":"USDC-MATIC",
            "delivery_type":"by_email","points":"88","product_type":"physical"}"#,
    );
}

#[test]
fn countries_and_currencies_keep_their_shape() {
    keeps::<Vec<Country>>(r#"[{"code":"AX","name":"Åland Islands"}]"#);
    keeps::<Vec<Currency>>(
        r#"[{"name":"BTC","symbol":"BTC","logo_url":"https://shop.example/btc.webp","is_suspended":false}]"#,
    );
}
