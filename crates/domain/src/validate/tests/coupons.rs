//! Every condition of a coupon, from both sides of its edge.

use super::{Row, check_table};
use crate::ids::PartnerId;
use crate::limits::{coupon_key, coupon_user_key};
use crate::time::Time;
use crate::validate::samples::{NOW, fiat};

pub(super) const TABLE: &[Row] = &[
    ("it applies", |case| case.coupon().max_uses = Some(1), &[]),
    ("an empty code is no code", |case| case.basket.promo_code = Some("  ".into()), &[]),
    ("for customers", |case| case.coupon().requires_login = true, &["COUPON_REQUIRES_LOGIN"]),
    ("unknown", |case| case.basket.promo_code = Some("NOPE".into()), &["COUPON_NOT_FOUND"]),
    ("switched off", |case| case.coupon().active = false, &["COUPON_NOT_ACTIVE"]),
    ("from later on", |case| case.coupon().starts_at = Some(Time(NOW.0 + 1)), &["COUPON_NOT_ACTIVE"]),
    ("from now on", |case| case.coupon().starts_at = Some(NOW), &[]),
    (
        "used by the same e-mail, not yet paid",
        |case| {
            case.coupon().max_uses_per_user = Some(1);
            case.count(coupon_user_key("SAVE10", "email:hash"), 1, 0);
        },
        &["COUPON_ALREADY_SPENT"],
    ),
    (
        "used by another e-mail",
        |case| {
            case.coupon().max_uses_per_user = Some(1);
            case.count(coupon_user_key("SAVE10", "email:other"), 0, 1);
        },
        &[],
    ),
    (
        "used up",
        |case| {
            case.coupon().max_uses = Some(3);
            case.count(coupon_key("SAVE10"), 1, 2);
        },
        &["COUPON_MAX_USAGE_REACHED"],
    ),
    ("over since this moment", |case| case.coupon().ends_at = Some(NOW), &["COUPON_EXPIRED"]),
    ("over in a moment", |case| case.coupon().ends_at = Some(Time(NOW.0 + 1)), &[]),
    ("from 80.01 EUR", |case| case.coupon().min_amount = Some(fiat("80.01 EUR")), &["COUPON_BELOW_MIN_AMOUNT"]),
    ("from 80 EUR", |case| case.coupon().min_amount = Some(fiat("80 EUR")), &[]),
    (
        "for another e-mail",
        |case| case.coupon().users = vec!["other@example.com".into()],
        &["COUPON_NOT_VALID_FOR_USER"],
    ),
    ("for this e-mail", |case| case.coupon().users = vec!["USER@example.com".into()], &[]),
    (
        "a customer is the user, not his e-mail",
        |case| {
            case.sign_in();
            case.coupon().users = vec!["user@example.com".into()];
        },
        &["COUPON_NOT_VALID_FOR_USER"],
    ),
    ("for a category", |case| case.coupon().categories = vec!["games".into()], &["COUPON_NOT_VALID_FOR_CATEGORY"]),
    (
        "for an additional category",
        |case| {
            case.brand("Airbnb").additional_categories = vec!["games".into()];
            case.coupon().categories = vec!["games".into()];
        },
        &[],
    ),
    ("for a kind", |case| case.coupon().kinds = vec!["mobile_recharge".into()], &["COUPON_NOT_VALID_FOR_KIND"]),
    (
        "for one brand of two",
        |case| {
            case.order(&[("Airbnb", "100 USD"), ("eSIM", "1 GB 7 days")]);
            case.coupon().brands = vec!["Airbnb".into()];
        },
        &["COUPON_NOT_VALID_FOR_BRAND"],
    ),
    ("for a country", |case| case.coupon().countries = vec!["DE".into()], &["COUPON_NOT_VALID_FOR_COUNTRY"]),
    ("for a store", |case| case.coupon().partners = vec!["p1".into()], &["COUPON_NOT_VALID_FOR_STORE"]),
    (
        "for this store",
        |case| {
            case.basket.partner = Some(PartnerId::new("p1"));
            case.coupon().partners = vec!["p1".into(), "p2".into()];
        },
        &[],
    ),
];

#[test]
fn coupons() {
    check_table(TABLE);
}
