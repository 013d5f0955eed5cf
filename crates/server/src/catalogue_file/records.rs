//! Reads the brand records of a catalogue file: a brand in a country and its texts.
//!
//! Every field is read before a record is given up, so that its other faults are reported too. Must never look at
//! anything outside the file. Called by `mod.rs`, once per record.

use super::Seen;
use super::names::brand_id;
use super::products::products;
use super::read::{Object, Value};
use domain::catalog::{Brand, BrandText};
use domain::country;
use std::collections::BTreeMap;

/// Entries of the short lists: tags, categories, suppliers, benefits.
pub(super) const MOST_ENTRIES: usize = 50;
/// The words of `kind` (contract 3.3).
pub(super) const KINDS: [(&str, &str); 2] = [("giftcard", "giftcard"), ("mobile_recharge", "mobile_recharge")];

/// One brand in one country.
pub(super) fn brand<'t>(value: &Value<'t, '_>, seen: &mut Seen<'t>) -> Option<Brand> {
    let mut object = Object::open(value)?;
    let name = object.must("brand", Value::name);
    let country = object.must("country", country_code);
    if let (Some(name), Some(country)) = (&name, &country) {
        seen.note_brand(value, country, name);
    }
    let family = object.maybe("family", Value::name);
    let kind = object.must("kind", |value| value.word(&KINDS));
    let category = object.must("category", category_slug);
    let additional_categories = short_list(&mut object, "additional_categories", category_slug);
    seen.note_categories(category.iter().chain(additional_categories.iter().flatten()));
    let active = object.or("active", true, Value::flag);
    let limited = object.or("limited", false, Value::flag);
    let login_required = object.or("login_required", false, Value::flag);
    let out_of_stock = object.or("out_of_stock", false, Value::flag);
    let background = object.must("bg_color", colour);
    let logo = object.optional("logo");
    let popular = object.maybe("popular", |value| value.whole(1..=1_000_000));
    let tags = short_list(&mut object, "tags", |value| value.name());
    let redeem_methods = object.must("redeem_method", |list| list.each(MOST_ENTRIES, Value::name));
    let redeem_geo = object.maybe("redeem_geo", Value::name);
    let url = object.maybe("brand_url", https_url);
    let texts = object.must("texts", texts);
    let products = object.must("products", |list| products(list, seen));
    object.finish();

    let (name, country, category) = (name?, country?, category?);
    let logo_slug = seen.slug(&name);
    if let Some(logo) = logo {
        seen.note_logo(&logo, &name, &logo_slug, logo_file(&logo)?);
    }
    Some(Brand {
        id: brand_id(&country, &name),
        family: family?.unwrap_or_else(|| name.clone()),
        name,
        country,
        kind: kind?.to_owned(),
        category,
        additional_categories: additional_categories?,
        active: active?,
        limited: limited?,
        login_required: login_required?,
        out_of_stock: out_of_stock?,
        background: background?,
        logo_slug,
        popular: popular?.and_then(|rank| u32::try_from(rank).ok()),
        tags: tags?,
        redeem_methods: redeem_methods?,
        redeem_geo: redeem_geo?,
        url: url?,
        texts: texts?,
        products: products?,
    })
}

/// A code of `domain::country`, upper case.
pub(super) fn country_code(value: &Value<'_, '_>) -> Option<String> {
    value.parsed(|text| known_country(text).map(str::to_owned))
}

/// The same for a country that stands as a key.
pub(super) fn known_country(text: &str) -> Result<&str, String> {
    if country::is_known(text) {
        return Ok(text);
    }
    Err(format!("{text:?} is not a country sold to; codes are upper-case ISO 3166-1 alpha-2 such as US"))
}

/// Lower-case letters, digits, `-` and `_` (contract 3.3.1).
pub(super) fn category_slug(value: &Value<'_, '_>) -> Option<String> {
    value.parsed(|text| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        if text.is_empty() || text.len() > 40 || !text.bytes().all(fits) {
            return Err("a category is at most 40 of a-z, 0-9, - and _, such as travel_flights".to_owned());
        }
        Ok(text.to_owned())
    })
}

fn short_list(
    object: &mut Object<'_, '_>,
    key: &'static str,
    read: fn(&Value<'_, '_>) -> Option<String>,
) -> Option<Vec<String>> {
    object.or(key, Vec::new(), |list| list.each(MOST_ENTRIES, read))
}

fn colour(value: &Value<'_, '_>) -> Option<String> {
    value.parsed(|text| match text.strip_prefix('#') {
        Some(digits) if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(text.to_owned()),
        _ => Err("a colour is # and six hexadecimal digits such as #FF5A5F".to_owned()),
    })
}

fn https_url(value: &Value<'_, '_>) -> Option<String> {
    value.parsed(|text| {
        let rest = text.strip_prefix("https://").unwrap_or_default();
        let clean = !rest.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\'));
        if rest.is_empty() || rest.starts_with('/') || !clean || text.len() > 2_000 {
            return Err("an address begins with https:// and holds no spaces or quotes".to_owned());
        }
        Ok(text.to_owned())
    })
}

/// The name of an image beside the catalogue file; never a path, so that an import reads nothing else.
fn logo_file(value: &Value<'_, '_>) -> Option<String> {
    value.parsed(|text| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
        let image = [".png", ".jpg", ".jpeg", ".webp"].iter().any(|end| text.to_ascii_lowercase().ends_with(end));
        if !image || text.starts_with('.') || text.len() > 120 || !text.chars().all(fits) {
            return Err("a logo is the name of a .png, .jpg or .webp file beside the catalogue file".to_owned());
        }
        Ok(text.to_owned())
    })
}

/// Texts by language. What a translation leaves out is taken from English.
fn texts(value: &Value<'_, '_>) -> Option<BTreeMap<String, BrandText>> {
    let mut object = Object::open(value)?;
    let english = object.must("en", |value| brand_text(value, None));
    let fallback = english.clone().unwrap_or_default();
    let mut texts = BTreeMap::from([("en".to_owned(), fallback.clone())]);
    for (language, value) in object.others() {
        if language.len() != 2 || !language.bytes().all(|byte| byte.is_ascii_lowercase()) {
            value.complain("a language is two lower-case letters (ISO 639-1) such as en");
            continue;
        }
        let text = brand_text(&value, Some(&fallback)).unwrap_or_default();
        if texts.insert(language.to_owned(), text).is_some() {
            value.complain("stands twice in one object");
        }
    }
    english.map(|_| texts)
}

fn brand_text(value: &Value<'_, '_>, english: Option<&BrandText>) -> Option<BrandText> {
    let mut object = Object::open(value)?;
    let mut text = |key: &'static str, in_english: Option<&String>| match in_english {
        None => object.must(key, Value::text),
        Some(in_english) => object.or(key, in_english.clone(), Value::text),
    };
    let description = text("description", english.map(|text| &text.description));
    let how_to_redeem = text("how_to_redeem", english.map(|text| &text.how_to_redeem));
    let terms = text("terms", english.map(|text| &text.terms));
    let note = object.maybe("note", Value::text);
    let tagline = object.maybe("tagline", Value::text);
    object.finish();
    let inherited = english.cloned().unwrap_or_default();
    Some(BrandText {
        description: description?,
        how_to_redeem: how_to_redeem?,
        terms: terms?,
        note: note?.unwrap_or(inherited.note),
        tagline: tagline?.or(inherited.tagline),
    })
}
