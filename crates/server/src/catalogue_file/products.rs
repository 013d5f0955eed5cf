//! Reads the products of a brand record: fixed values, ranges and plans.
//!
//! Must never let an amount pass that its currency cannot write, nor two products that an order could not tell apart.
//! Called by `records.rs`.

use super::Seen;
use super::names::{denomination_name, product_id};
use super::read::{Object, Value};
use super::records::MOST_ENTRIES;
use domain::catalog::{Benefit, DeliveryMethod, Denomination, OWN_STOCK, Product, SupplierSku};
use domain::ids::Sku;
use domain::money::{Currency, Fiat, MoneyError, parse_units};
use domain::validate::money_label;
use std::collections::HashSet;

/// Products of one brand in one country.
const MOST_PRODUCTS: usize = 500;
/// Supplier cost of a range in basis points: no supplier takes ten times the face value.
const MOST_COST_BPS: i64 = 100_000;
/// The benefit that carries `validity_days`: a plan's days are part of what it includes.
const VALIDITY: &str = "VALIDITY";

/// What `type` says.
#[derive(Clone, Copy)]
enum Shape {
    Fixed,
    Range,
    Plan,
}

/// What a product is worth and what it is called.
struct Worth {
    denomination: Denomination,
    name: String,
    label: String,
    benefits: Vec<Benefit>,
}

/// The products of a brand, at least one.
pub(super) fn products<'t>(list: &Value<'t, '_>, seen: &mut Seen<'t>) -> Option<Vec<Product>> {
    let values = list.list(MOST_PRODUCTS)?;
    if values.is_empty() {
        return list.refuse("a brand has at least one product");
    }
    let products: Vec<Option<Product>> = values.iter().map(|value| product(value, seen)).collect();
    refuse_twins(&values, &products);
    products.into_iter().collect()
}

/// Two active products of one name: an order could not say which of them it means.
fn refuse_twins(values: &[Value<'_, '_>], products: &[Option<Product>]) {
    let mut names = HashSet::new();
    for (value, product) in values.iter().zip(products) {
        // Retired products may keep their name, and ranges have none.
        let Some(Product { name, active: true, .. }) = product else {
            continue;
        };
        if !name.is_empty() && !names.insert(name.as_str()) {
            value.complain(format!("a second product of this brand is called {name:?}; name it by \"denomination\""));
        }
    }
}

fn product<'t>(value: &Value<'t, '_>, seen: &mut Seen<'t>) -> Option<Product> {
    let mut object = Object::open(value)?;
    let sku = object.must("sku", |value| {
        let sku = value.name()?;
        seen.note_sku(value, &sku);
        Some(sku)
    });
    let shapes = [("fixed", Shape::Fixed), ("range", Shape::Range), ("plan", Shape::Plan)];
    // Without its type nobody knows which of the other keys belong here: one error is enough.
    let shape = object.must("type", |value| value.word(&shapes))?;
    let currency =
        object.must("currency", |value| value.parsed(|text| Currency::parse(text).map_err(|error| error.to_string())));
    let delivery = object.must("delivery", |value| {
        value.word(&[("by_email", DeliveryMethod::ByEmail), ("by_phone", DeliveryMethod::ByPhone)])
    });
    let active = object.or("active", true, Value::flag);
    let limited = object.or("limited", false, Value::flag);
    let suppliers = object.must("suppliers", |list| suppliers(list, shape, sku.as_deref().unwrap_or_default()));
    let worth = match shape {
        Shape::Fixed => fixed(&mut object, currency),
        Shape::Range => range(&mut object, currency),
        Shape::Plan => plan(&mut object, currency),
    };
    object.finish();

    let (sku, worth) = (sku?, worth?);
    Some(Product {
        id: product_id(&sku),
        sku: Sku::new(sku),
        denomination: worth.denomination,
        name: worth.name,
        label: worth.label,
        delivery: delivery?,
        active: active?,
        limited: limited?,
        suppliers: suppliers?,
        benefits: worth.benefits,
    })
}

/// A fixed value: what it is called follows from it unless the file says otherwise.
fn fixed(object: &mut Object<'_, '_>, currency: Option<Currency>) -> Option<Worth> {
    let denomination = fixed_value(object, currency);
    let name = object.maybe("denomination", Value::name);
    let label = object.maybe("label", Value::name);
    let (denomination, face) = denomination?;
    let name = name?.unwrap_or_else(|| denomination_name(face));
    let label = label?.unwrap_or_else(|| money_label(face));
    Some(Worth { denomination, name, label, benefits: Vec::new() })
}

/// A plan is a fixed value that needs a name of its own, as its price says nothing about what it includes.
fn plan(object: &mut Object<'_, '_>, currency: Option<Currency>) -> Option<Worth> {
    let denomination = fixed_value(object, currency);
    let name = object.must("denomination", Value::name);
    let label = object.maybe("label", Value::name);
    let benefits = object.or("benefits", Vec::new(), |list| list.each(MOST_ENTRIES, benefit));
    let validity = object.maybe("validity_days", |value| value.whole(1..=3_660));
    let (denomination, _) = denomination?;
    let (name, label, mut benefits) = (name?, label?, benefits?);
    if let Some(days) = validity? {
        benefits.push(Benefit { kind: VALIDITY.to_owned(), unit: "DAYS".to_owned(), amount: days.to_string() });
    }
    Some(Worth { denomination, label: label.unwrap_or_else(|| name.clone()), name, benefits })
}

fn fixed_value(object: &mut Object<'_, '_>, currency: Option<Currency>) -> Option<(Denomination, Fiat)> {
    let face = object.must("value", |value| face_amount(value, currency?));
    // A cost may be finer than the minor unit: suppliers bill discounts of a fraction of a percent.
    let cost = object.maybe("cost", |value| amount(value, currency?));
    let face = face?;
    Some((Denomination::Fixed { face, cost: cost?.unwrap_or(face) }, face))
}

fn range(object: &mut Object<'_, '_>, currency: Option<Currency>) -> Option<Worth> {
    let mut face = |key: &'static str| object.must(key, |value| Some((*value, face_amount(value, currency?)?)));
    let (min, max, step) = (face("min"), face("max"), face("step"));
    let default = object.maybe("default", |value| Some((*value, face_amount(value, currency?)?)));
    let cost_bps = object.or("cost_bps", 10_000, |value| value.whole(0..=MOST_COST_BPS));
    let ((_, min), (max_value, max), (_, step)) = (min?, max?, step?);
    if max.units < min.units {
        return max_value.refuse(format!("max is less than min, {}", min.plain()));
    }
    let default = match default? {
        None => min,
        Some((value, default)) if default.units < min.units || default.units > max.units => {
            return value.refuse(format!("default is not between {} and {}", min.plain(), max.plain()));
        }
        Some((value, default)) if (default.units - min.units) % step.units != 0 => {
            return value.refuse(format!("default is not min plus whole steps of {}", step.plain()));
        }
        Some((_, default)) => default,
    };
    let denomination = Denomination::Range { min, max, step, default, cost_bps: cost_bps? };
    Some(Worth { denomination, name: String::new(), label: String::new(), benefits: Vec::new() })
}

/// An amount above zero with no more decimals than people write in its currency.
fn face_amount(value: &Value<'_, '_>, currency: Currency) -> Option<Fiat> {
    let found = value.parsed(|text| {
        parse_units(text, currency.minor_digits()).map_err(|error| match error {
            MoneyError::TooPrecise => too_precise(currency, currency.minor_digits()),
            other => other.to_string(),
        })?;
        Fiat::parse(text, currency).map_err(|error| error.to_string())
    })?;
    if found.units == 0 {
        return value.refuse("the amount must be more than 0");
    }
    Some(found)
}

fn amount(value: &Value<'_, '_>, currency: Currency) -> Option<Fiat> {
    value.parsed(|text| {
        Fiat::parse(text, currency).map_err(|error| match error {
            MoneyError::TooPrecise => too_precise(currency, currency.scale()),
            other => other.to_string(),
        })
    })
}

fn too_precise(currency: Currency, most: u32) -> String {
    format!("the amount has too many decimals; {currency} has at most {most} here")
}

/// Who delivers, in the order in which they are asked.
fn suppliers(list: &Value<'_, '_>, shape: Shape, product_sku: &str) -> Option<Vec<SupplierSku>> {
    let suppliers = list.each(MOST_ENTRIES, |value| {
        let mut object = Object::open(value)?;
        let supplier = object.must("supplier", |value| supplier_word(value, shape));
        let sku = object.maybe("sku", Value::name);
        object.finish();
        Some(SupplierSku { supplier: supplier?, sku: sku?.unwrap_or_else(|| product_sku.to_owned()) })
    })?;
    if suppliers.is_empty() {
        return list.refuse("a product has at least one supplier");
    }
    if suppliers.iter().skip(1).any(|offer| offer.supplier == OWN_STOCK) {
        return list.refuse("stock comes first: its codes are promised when an order is placed");
    }
    Some(suppliers)
}

fn supplier_word(value: &Value<'_, '_>, shape: Shape) -> Option<String> {
    value.parsed(|text| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        if text.is_empty() || text.len() > 40 || !text.bytes().all(fits) {
            return Err("a supplier is at most 40 of a-z, 0-9, - and _, such as sandbox".to_owned());
        }
        if text == OWN_STOCK && matches!(shape, Shape::Range) {
            return Err("codes in stock have one value each: a range needs another supplier".to_owned());
        }
        Ok(text.to_owned())
    })
}

fn benefit(value: &Value<'_, '_>) -> Option<Benefit> {
    let mut object = Object::open(value)?;
    let kind = object.must("type", Value::name);
    let unit = object.must("unit", Value::name);
    let amount = object.must("amount", |value| {
        value.parsed(|text| {
            if text != "-1" {
                parse_units(text, 6).map_err(|_| "a plain decimal such as 1.5, or -1 for unlimited".to_owned())?;
            }
            Ok(text.to_owned())
        })
    });
    object.finish();
    Some(Benefit { kind: kind?, unit: unit?, amount: amount? })
}
