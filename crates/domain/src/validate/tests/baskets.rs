//! Everything but coupons that can be wrong with a basket.

use super::{Row, check_table};
use crate::ids::Sku;
use crate::limits::{day_key, month_key};
use crate::validate::StockCount;
use crate::validate::samples::NOW;

pub(super) const TABLE: &[Row] = &[
    ("as it is", |_| {}, &[]),
    ("too little", |case| case.order(&[("Tiny", "0.5 USD")]), &["AMOUNT_LESS_THEN_MINIMUM_ALLOWED"]),
    ("nothing at all", |case| case.order(&[]), &["AMOUNT_LESS_THEN_MINIMUM_ALLOWED"]),
    ("1,200 EUR at once", |case| case.order(&[("Airbnb", "500 USD"); 3]), &["MAXIMUM_AMOUNT_PER_ORDER_EXCEEDED"]),
    (
        "1,200 EUR of a customer",
        |case| {
            case.order(&[("Airbnb", "500 USD"); 3]);
            case.sign_in();
        },
        &[],
    ),
    (
        "1,920.01 EUR spent today, 80 more",
        |case| case.count(day_key("email:hash", NOW), 0, 192_001),
        &["DAILY_SPENDING_LIMIT_EXCEEDED"],
    ),
    ("1,920 EUR spent today, 80 more", |case| case.count(day_key("email:hash", NOW), 0, 192_000), &[]),
    (
        "a customer's open orders count too",
        |case| {
            case.sign_in();
            case.count(day_key("customer:c1", NOW), 500_000, 492_001);
        },
        &["DAILY_SPENDING_LIMIT_EXCEEDED"],
    ),
    (
        "9,920.01 EUR spent this month, 80 more",
        |case| case.count(month_key("email:hash", NOW), 0, 992_001),
        &["MONTHLY_SPENDING_LIMIT_EXCEEDED"],
    ),
    ("eleven lines", |case| case.order(&[("Airbnb", "50 USD"); 11]), &["PRODUCT_COUNT_EXCEEDED"]),
    ("ten lines", |case| case.order(&[("Airbnb", "50 USD"); 10]), &[]),
    (
        "two limited products",
        |case| case.order(&[("Tiny", "0.5 USD"), ("Tiny", "0.5 USD")]),
        &["MULTIPLE_LIMITED_PRODUCT_SAME_ORDER"],
    ),
    (
        "two of a limited brand",
        |case| {
            case.order(&[("Airbnb", "50 USD"), ("Airbnb", "100 USD")]);
            case.brand("Airbnb").limited = true;
        },
        &["MULTIPLE_LIMITED_PRODUCT_SAME_ORDER"],
    ),
    ("an unknown denomination", |case| case.order(&[("Airbnb", "12 USD")]), &["NOT_AVAILABLE_PRODUCT"]),
    ("an unknown brand", |case| case.order(&[("airbnb", "100 USD")]), &["NOT_AVAILABLE_PRODUCT"]),
    ("a lower-case country", |case| case.basket.lines[0].country = "us".into(), &["NOT_AVAILABLE_PRODUCT"]),
    ("a foreign country", |case| case.basket.lines[0].country = "DE".into(), &["NOT_AVAILABLE_PRODUCT"]),
    ("two unknown lines are one problem", |case| case.order(&[("A", "1"), ("B", "2")]), &["NOT_AVAILABLE_PRODUCT"]),
    ("a brand switched off", |case| case.brand("Airbnb").out_of_stock = true, &["OUT_OF_STOCK"]),
    (
        "more codes than are free",
        |case| {
            case.order(&[("Airbnb", "50 USD"), ("Airbnb", "50"), ("Airbnb", "100 USD")]);
            case.facts.stock.insert(Sku::new("abnb-50"), StockCount { free: 3, held: 2 });
        },
        &["OUT_OF_STOCK"],
    ),
    (
        "as many codes as are free",
        |case| {
            case.order(&[("Airbnb", "50 USD"), ("Airbnb", "50")]);
            case.facts.stock.insert(Sku::new("abnb-50"), StockCount { free: 4, held: 2 });
        },
        &[],
    ),
    ("no codes at all", |case| case.facts.stock.clear(), &["OUT_OF_STOCK"]),
    ("an inactive brand", |case| case.brand("Airbnb").active = false, &["NOT_ACTIVE"]),
    (
        "an inactive product",
        |case| {
            case.order(&[("Airbnb", "50 USD")]);
            case.first_product("Airbnb").active = false;
        },
        &["NOT_ACTIVE"],
    ),
    ("a card to a phone", |case| case.deliver_to("+14155551234"), &["INVALID_BENEFICIARY_ACCOUNT"]),
    (
        "a top-up to an e-mail address",
        |case| {
            case.order(&[("Telco", "10 USD")]);
            case.deliver_to("user@example.com");
        },
        &["INVALID_BENEFICIARY_ACCOUNT"],
    ),
    ("a top-up to nobody", |case| case.order(&[("Telco", "10 USD")]), &["INVALID_BENEFICIARY_ACCOUNT"]),
    (
        "a top-up",
        |case| {
            case.order(&[("Telco", "10 USD")]);
            case.deliver_to("+14155551234");
        },
        &[],
    ),
    (
        "a broken buyer's address",
        |case| case.basket.buyer_email = Some("user".into()),
        &["INVALID_BENEFICIARY_ACCOUNT"],
    ),
    ("a card to nobody", |case| case.basket.buyer_email = None, &["INVALID_BENEFICIARY_ACCOUNT"]),
    ("another via", |case| case.basket.payment_via = "CASH_IN_HAND".into(), &["NOT_ALLOWED_PAYMENT_VIA"]),
    (
        "a network that does not exist",
        |case| case.basket.network = Some("Ethereum".into()),
        &["UNSUPPORTED_PROTOCOL_COIN_COMBINATION"],
    ),
    (
        "a network that does not carry the coin",
        |case| case.basket.network = Some("Mainnet".into()),
        &["UNSUPPORTED_PROTOCOL_COIN_COMBINATION"],
    ),
    ("an unknown coin", |case| case.basket.coin = "usdc".into(), &["UNSUPPORTED_PROTOCOL_COIN_COMBINATION"]),
    ("a brand for customers", |case| case.brand("Airbnb").login_required = true, &["LOGIN_REQUIRED"]),
    (
        "a brand for customers, signed in",
        |case| {
            case.brand("Airbnb").login_required = true;
            case.sign_in();
        },
        &[],
    ),
];

#[test]
fn baskets() {
    check_table(TABLE);
}
