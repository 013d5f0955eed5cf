//! Bodies to look at in the document: one order of one gift card, from the basket to the stream.
//!
//! Every one that has a wire type reads into it and comes out of it the same, which a test proves. The addresses belong
//! to nobody and the ids to nothing, so that nobody can send money after an example.

use domain::reasons::Reason;
use serde_json::{Value, json};

const BRAND_ID: &str = "5c2e8f10-7d34-4b6a-9e01-2f8a6c4d7b53";
const FIXED_ID: &str = "0f9b7a62-1c5d-4e38-8b24-6a3d9e5f7c10";
const RANGE_ID: &str = "c84d1e7b-62f0-4a95-b3d8-914f0a6e2c75";
const ORDER_ID: &str = "7b1d0e54-93a6-4f0c-8a27-5d6e1c40b2f9";
const DELIVERY_ID: &str = "e2a94c06-58bf-4d71-a0c3-7f1b6d82e945";
const BUYER: &str = "user@shop.example";
const LOGO: &str = "https://shop.example/logos/airbnb";
const TOKEN: &str = "0x2222222222222222222222222222222222222222";
const ADDRESS: &str = "0x1111111111111111111111111111111111111111";

pub(super) fn payment_vias() -> Value {
    json!([{
        "name": "USER_WALLET",
        "available": true,
        "currencies": [{
            "name": "USDC",
            "is_suspended": false,
            "threshold": "0.58",
            "networks": [{
                "name": "Base",
                "is_suspended": false,
                "chain_id": 8453,
                "base_token": "ETH",
                "threshold": "0.58",
                "estimated_transfer_cost": "€0",
                "smart_contract_engine": "EVM",
                "smart_contract": { "engine": "EVM", "symbol": "USDC", "decimals": 6, "address": TOKEN },
            }],
        }],
    }])
}

pub(super) fn currencies() -> Value {
    json!([{ "name": "USDC", "symbol": "USDC", "is_suspended": false }])
}

pub(super) fn countries() -> Value {
    json!([{ "code": "AX", "name": "Åland Islands" }, { "code": "US", "name": "United States" }])
}

pub(super) fn brands() -> Value {
    json!({
        "country_code": "US",
        "last_user_purchases": [],
        "suggestions": [],
        "categories": [{
            "kind": "giftcard",
            "category": "travel_flights",
            "popular_brands": [],
            "brands": [brand()],
        }],
        "all_brands": [brand()],
        "popular_brands": [brand()],
    })
}

fn brand() -> Value {
    json!({
        "brand_id": BRAND_ID,
        "brand": "Airbnb",
        "family": "Airbnb",
        "kind": "giftcard",
        "category": "travel_flights",
        "additional_categories": [],
        "country_code": "US",
        "min": "$50",
        "max": "$500",
        "is_out_of_stock": false,
        "product_type": "physical",
        "brand_tags": [],
        "bg_color": "#FFFFFF",
        "logo_url": format!("{LOGO}.webp"),
        "logo_base_url": LOGO,
    })
}

pub(super) fn products() -> Value {
    json!([{
        "country_code": "US",
        "kind": "giftcard",
        "category": "travel_flights",
        "additional_categories": [],
        "default_denomination": "",
        "brand_id": BRAND_ID,
        "brand": "Airbnb",
        "family": "Airbnb",
        "is_out_of_stock": false,
        "logo_url": format!("{LOGO}.webp"),
        "logo_base_url": LOGO,
        "product_tc": "Valid in the United States.",
        "redeem_method": ["online"],
        "products": [
            {
                "product_id": FIXED_ID,
                "is_dynamic": false,
                "denomination": "100 USD",
                "localized_denomination": "$100",
                "coin": "USDC",
                "coin_amount": "101.50",
                "original_coin_amount": "101.50",
                "payment_method": "USDC-MATIC",
                "delivery_type": "by_email",
                "product_type": "physical",
                "points": "88",
                "face_value": { "currency_code": "USD", "amount": { "type": "fixed", "price": "100" } },
            },
            {
                "product_id": RANGE_ID,
                "is_dynamic": true,
                "range": range(),
                "coin": "USDC",
                "payment_method": "USDC-MATIC",
                "delivery_type": "by_email",
                "product_type": "physical",
                "face_value": {
                    "currency_code": "USD",
                    "amount": { "type": "range", "min": "50.00", "max": "500.00" },
                },
            },
        ],
    }])
}

fn range() -> Value {
    json!({ "min": 50, "max": 500, "currency": "USD", "step_size": 1, "default": "500.0" })
}

pub(super) fn price() -> Value {
    json!({
        "product_id": RANGE_ID,
        "is_dynamic": true,
        "range": range(),
        "coin": "USDC",
        "coin_amount": "76.13",
        "original_coin_amount": "76.13",
        "payment_method": "USDC-MATIC",
        "delivery_type": "by_email",
        "points": "66",
        "product_type": "physical",
    })
}

pub(super) fn basket() -> Value {
    json!({
        "user": { "email": BUYER },
        "payment": { "type": "via", "payment_via": "USER_WALLET", "coin": "USDC", "network": "Base" },
        "deliveries": [{
            "brand_name": "Airbnb",
            "country_code": "US",
            "denomination": "100 USD",
            "beneficiary_account": BUYER,
        }],
        "lang": "en",
    })
}

pub(super) fn validation() -> Value {
    let mut delivery = delivery("Created");
    delivery["deliverable"]["original_price"] = json!("88.2000");
    json!({
        "coin": "USDC",
        "coin_amount": "101.50",
        "original_coin_amount": "101.50",
        "coupon_code": null,
        "loyalty_summary": null,
        "summary": { "coin": "USDC", "coin_amount": "101.50", "original_coin_amount": "101.50" },
        "deliveries": [delivery],
        "problems": [],
    })
}

pub(super) fn order() -> Value {
    json!({
        "order_id": ORDER_ID,
        "order_state": "WaitingForPayment",
        "payment_state": "WalletCreated",
        "created_at": "1790000000",
        "payment_requested_at": "1790000000",
        "coin": "USDC",
        "network": "Base",
        "coin_amount": "101.50",
        "original_price": "101.50",
        "sent_coin_amount": "0",
        "wallet_address": ADDRESS,
        "qr_text": format!("ethereum:{TOKEN}@8453/transfer?address={ADDRESS}&uint256=101500000"),
        "qr_url": format!("https://shop.example/v3/qrs/{ORDER_ID}"),
        "payment_via": "USER_WALLET",
        "payment_method": "USDC-BASE",
        "payment_method_protocol": "ETHEREUM_LIKE",
        "payment_id": "94f6b3d1-0e7a-4c82-b95d-3a1c8e6f2047",
        "payment_value": 88.2,
        "is_payment_processor_external": false,
        "user": { "email": BUYER },
        "deliveries": [delivery("WaitingForPayment")],
    })
}

fn delivery(state: &str) -> Value {
    json!({
        "id": DELIVERY_ID,
        "delivery_state": state,
        "kind": "giftcard",
        "deliverable": {
            "denomination": "100 USD",
            "localized_denomination": "$100",
            "family": "Airbnb",
            "brand_name": "Airbnb",
            "country_code": "US",
            "beneficiary_account": BUYER,
            "delivery_type": "by_email",
            "points": "88",
            "coin_amount": "101.50",
            "currency_code": "USD",
        },
    })
}

/// Two states and the end, shortened to the fields that move.
pub(super) fn stream() -> Value {
    json!(
        "id: 4\ndata: {\"order_id\":\"7b1d0e54-93a6-4f0c-8a27-5d6e1c40b2f9\",\"order_state\":\"PaymentReceived\"}\n\n\
         : ping\n\n\
         id: 7\ndata: {\"order_id\":\"7b1d0e54-93a6-4f0c-8a27-5d6e1c40b2f9\",\"order_state\":\"Done\"}\n\n\
         event: stop\ndata: {}\n\n"
    )
}

pub(super) fn refusal() -> Value {
    json!({
        "status": 422,
        "detail": "OUT_OF_STOCK",
        "message": "OUT_OF_STOCK",
        "problems": [{ "problem": "OUT_OF_STOCK" }, { "problem": "COUPON_EXPIRED" }],
    })
}

/// The same order once it is paid, and an endpoint that is closed.
pub(super) fn events() -> Value {
    json!({
        "events": [
            {
                "id": "evt_4711",
                "type": "order.updated",
                "timestamp": "2026-09-21T14:14:20.125Z",
                "data": {
                    "order": {
                        "order_id": ORDER_ID,
                        "order_state": "PaymentReceived",
                        "updatedAt": "2026-09-21T14:14:20.125Z",
                    },
                },
                "order_id": ORDER_ID,
                "status": "PaymentReceived",
            },
            {
                "id": "evt_4720",
                "type": "endpoint.disabled",
                "timestamp": "2026-09-21T14:20:02.500Z",
                "data": { "endpoint": "we_5b0f2c1e-6a94-4d07-9e83-d1c7f2a40b68" },
            },
        ],
        "next": "evt_4733",
    })
}

pub(super) fn explanation() -> Value {
    json!({
        "order_state": "Done",
        "reference_id": "1042",
        "reasons": [{
            "code": "second",
            "text": Reason::Second.words().for_payer,
        }],
        "claim": {
            "amount": "25.38",
            "coin": "USDC",
            "network": "Base",
            "claim_url": "https://shop.example/claim/1042-0-5f2c",
        },
        "refunds": [],
    })
}

pub(super) fn sandbox_payment() -> Value {
    json!({ "factor": "0.5" })
}
