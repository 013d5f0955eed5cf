//! Reads the coupons of a catalogue file.
//!
//! Conditions must name brands and categories of the same file: a coupon bound to a misspelt brand would never apply
//! and nobody would know why. Must never count uses. Called by `mod.rs` after the brands.

use super::Seen;
use super::read::{Object, Value};
use super::records::{KINDS, category_slug, country_code};
use domain::coupon::{Coupon, Discount, normal_code};
use domain::money::{Currency, Fiat, parse_units};
use domain::time::Time;
use rust_decimal::Decimal;
use std::collections::HashMap;

/// Coupons of one file.
const MOST_COUPONS: usize = 100_000;
/// Entries of one condition.
const MOST_CONDITIONS: usize = 10_000;
/// Decimals of a percentage.
const PERCENT_SCALE: u32 = 4;

/// All coupons; a code stands once, in whatever case it is written.
pub(super) fn coupons(list: &Value<'_, '_>, seen: &Seen<'_>) -> Option<Vec<Coupon>> {
    let mut records: HashMap<String, &str> = HashMap::new();
    list.each(MOST_COUPONS, |value| {
        let coupon = coupon(value, seen)?;
        match records.insert(coupon.code.clone(), value.raw()) {
            Some(first) => {
                let line = value.errors().line_of(first);
                value.refuse(format!("coupon {:?} stands twice; first on line {line}", coupon.code))
            }
            None => Some(coupon),
        }
    })
}

fn coupon(value: &Value<'_, '_>, seen: &Seen<'_>) -> Option<Coupon> {
    let mut object = Object::open(value)?;
    let code = object.must("code", coupon_code);
    let discount = discount(&mut object);
    let starts_at = object.maybe("starts_at", moment);
    let ends = object.optional("ends_at");
    let ends_at = match &ends {
        Some(value) => moment(value).map(Some),
        None => Some(None),
    };
    let active = object.or("active", true, Value::flag);
    let max_uses = object.maybe("max_uses", |value| value.whole(0..=i64::MAX));
    let max_uses_per_user = object.maybe("max_uses_per_user", |value| value.whole(0..=i64::MAX));
    let min_amount = object.maybe("min_amount_eur", euros);
    let requires_login = object.or("requires_login", false, Value::flag);
    let users = condition(&mut object, "users", |item| item.name());
    let categories = condition(&mut object, "categories", |item| {
        known(
            item,
            category_slug(item)?,
            |category| seen.has_category(category),
            "no brand of this file is of category",
        )
    });
    let kinds = condition(&mut object, "kinds", |item| item.word(&KINDS).map(str::to_owned));
    let brands = condition(&mut object, "brands", |item| {
        known(item, item.name()?, |brand| seen.has_brand_name(brand), "this file has no brand")
    });
    let countries = condition(&mut object, "countries", country_code);
    let partners = condition(&mut object, "partners", |item| item.name());
    object.finish();

    let (starts_at, ends_at) = (starts_at?, ends_at?);
    if let (Some(value), Some(start), Some(end)) = (&ends, starts_at, ends_at)
        && end <= start
    {
        return value.refuse("ends_at is not after starts_at");
    }
    Some(Coupon {
        starts_at,
        ends_at,
        active: active?,
        max_uses: max_uses?,
        max_uses_per_user: max_uses_per_user?,
        min_amount: min_amount?,
        requires_login: requires_login?,
        users: users?,
        categories: categories?,
        kinds: kinds?,
        brands: brands?,
        countries: countries?,
        partners: partners?,
        ..Coupon::new(&code?, discount?)
    })
}

/// Exactly one of `percent` and `amount`; `currency` belongs to the amount.
fn discount(object: &mut Object<'_, '_>) -> Option<Discount> {
    let percent = object.optional("percent");
    let amount = object.optional("amount");
    let currency = object.maybe("currency", |value| value.word(&[("EUR", Currency::EUR)]))?;
    match (percent, amount) {
        (Some(value), None) if currency.is_some() => {
            value.refuse("a percentage has no currency; take \"currency\" out")
        }
        (Some(value), None) => percentage(&value).map(Discount::Percent),
        (None, Some(value)) => euros(&value).map(Discount::Amount),
        (Some(_), Some(value)) => value.refuse("a coupon has either percent or amount, not both"),
        (None, None) => object.refuse("a coupon needs percent or amount"),
    }
}

fn percentage(value: &Value<'_, '_>) -> Option<Decimal> {
    value.parsed(|text| {
        let units = parse_units(text, PERCENT_SCALE).map_err(|error| error.to_string())?;
        let percent = Decimal::new(units, PERCENT_SCALE).normalize();
        if percent > Decimal::ONE_HUNDRED {
            return Err("a percentage is a plain decimal from 0 to 100".to_owned());
        }
        Ok(percent)
    })
}

fn euros(value: &Value<'_, '_>) -> Option<Fiat> {
    value.parsed(|text| Fiat::parse(text, Currency::EUR).map_err(|error| error.to_string()))
}

fn moment(value: &Value<'_, '_>) -> Option<Time> {
    value
        .parsed(|text| Time::parse(text).ok_or_else(|| "a date is 2026-01-31 or 2026-01-31T12:00:00Z (UTC)".to_owned()))
}

fn coupon_code(value: &Value<'_, '_>) -> Option<String> {
    value.parsed(|text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.is_empty() || text.len() > 40 || !text.bytes().all(fits) {
            return Err("a coupon code is at most 40 letters, digits, - and _".to_owned());
        }
        Ok(normal_code(text))
    })
}

/// A condition list; absent means that everything is covered.
fn condition(
    object: &mut Object<'_, '_>,
    key: &'static str,
    read: impl FnMut(&Value<'_, '_>) -> Option<String>,
) -> Option<Vec<String>> {
    object.or(key, Vec::new(), |list| list.each(MOST_CONDITIONS, read))
}

fn known(value: &Value<'_, '_>, name: String, is_known: impl FnOnce(&str) -> bool, otherwise: &str) -> Option<String> {
    if is_known(&name) { Some(name) } else { value.refuse(format!("{otherwise} {name:?}")) }
}
