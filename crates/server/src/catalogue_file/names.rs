//! Names that the catalogue file leaves to us: stable ids, file names of logos, texts of denominations.
//!
//! Everything here is made from the record alone, so that importing a file again changes nothing that orders, links or
//! clients keep. Must never use randomness or the order of records for an id. Called by `records.rs`.

use domain::ids::{BrandId, ProductId, Uuid};
use domain::money::Fiat;
use domain::search::fold;
use std::collections::{HashMap, HashSet};

/// The name space of our version 5 UUIDs (RFC 9562 section 5.5). Changing it would rename every brand and product.
const NAMESPACE: uuid::Uuid = uuid::Uuid::from_u128(0x8f1c_6d0e_52b7_4a39_9c04_d1e7_3b6a_f285);
/// Characters of a slug before its hash.
const LONGEST_SLUG: usize = 60;

/// The id of a brand in a country.
pub(super) fn brand_id(country: &str, brand: &str) -> BrandId {
    BrandId(version_5(&format!("brand:{country}:{brand}")))
}

/// The id of a product.
pub(super) fn product_id(sku: &str) -> ProductId {
    ProductId(version_5(&format!("product:{sku}")))
}

fn version_5(name: &str) -> Uuid {
    Uuid::from_bytes(uuid::Uuid::new_v5(&NAMESPACE, name.as_bytes()).into_bytes())
}

/// `100 USD`, `4.50 USD`, `500 JPY`: the text that an order echoes unless the file names another.
pub(super) fn denomination_name(face: Fiat) -> String {
    format!("{} {}", amount_text(face), face.currency)
}

/// Whole amounts without decimals, others with all of their minor unit.
fn amount_text(face: Fiat) -> String {
    let plain = face.plain();
    if plain.contains('.') { face.with_minor_digits() } else { plain }
}

/// The logo file names given so far: one per brand name, whatever its country.
#[derive(Default)]
pub(super) struct Slugs {
    of_name: HashMap<String, String>,
    used: HashSet<String>,
}

impl Slugs {
    /// The slug of a brand name: the same for the same name, never that of another.
    pub(super) fn of(&mut self, name: &str) -> String {
        if let Some(slug) = self.of_name.get(name) {
            return slug.clone();
        }
        let mut slug = slug(name);
        if self.used.contains(&slug) {
            slug = with_hash(&slug, name);
        }
        self.used.insert(slug.clone());
        self.of_name.insert(name.to_owned(), slug.clone());
        slug
    }

    /// Some record has this brand name, in whatever country.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.of_name.contains_key(name)
    }
}

/// Lower-case ASCII letters and digits, words joined by `-`. Letters that have no Latin spelling are told by a hash
/// of the whole name, as is what does not fit: a transliteration would be wrong for half of them.
fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    let mut hashed = false;
    // McDonald's is one word.
    for letter in fold(name).chars().filter(|letter| !matches!(letter, '\'' | '\u{2019}')) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
            continue;
        }
        hashed |= letter.is_alphanumeric();
        if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    hashed |= slug.len() > LONGEST_SLUG;
    slug.truncate(LONGEST_SLUG);
    let plain = slug.trim_end_matches('-');
    if hashed || plain.is_empty() { with_hash(plain, name) } else { plain.to_owned() }
}

/// A slug with eight hexadecimal digits that depend on the exact name.
fn with_hash(slug: &str, name: &str) -> String {
    let digits = uuid::Uuid::new_v5(&NAMESPACE, format!("logo:{name}").as_bytes()).simple().to_string();
    let hash = digits.get(..8).unwrap_or(&digits);
    if slug.is_empty() { format!("brand-{hash}") } else { format!("{slug}-{hash}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Currency;

    #[test]
    fn ids_depend_on_the_names_alone() {
        assert_eq!(brand_id("US", "Airbnb"), brand_id("US", "Airbnb"));
        assert_ne!(brand_id("US", "Airbnb"), brand_id("DE", "Airbnb"));
        // A version 5 UUID has a 5 where its third group begins.
        assert_eq!(product_id("airbnb-us-100").to_string().as_bytes()[14], b'5');
        assert_ne!(product_id("US:Airbnb").to_string(), brand_id("US", "Airbnb").to_string());
    }

    #[test]
    fn slugs_are_plain_ascii() {
        for (name, expected) in [
            ("Airbnb", "airbnb"),
            ("Amazon.com", "amazon-com"),
            ("Marks & Spencer", "marks-spencer"),
            ("McDonald's", "mcdonalds"),
            ("Straße İstanbul Łódź", "strasse-istanbul-lodz"),
            ("Decathlon!", "decathlon"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
        for name in ["楽天", "Ozon Озон", "!!!", &"long ".repeat(40)] {
            let slug = slug(name);
            assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{slug}");
            assert!(slug.len() <= LONGEST_SLUG + 9 && slug.len() > 8 && slug.contains('-'), "{slug}");
        }
        assert_ne!(slug("楽天"), slug("楽園"));
    }

    #[test]
    fn a_slug_belongs_to_one_name() {
        let mut slugs = Slugs::default();
        assert_eq!(slugs.of("H&M"), "h-m");
        assert_eq!(slugs.of("H&M"), "h-m");
        let other = slugs.of("H-M");
        assert!(other.starts_with("h-m-") && other.len() == 12, "{other}");
        assert!(slugs.knows("H-M") && !slugs.knows("H M"));
    }

    #[test]
    fn denominations_are_written_as_shoppers_write_them() {
        for (value, currency, name, label) in [
            ("100", "USD", "100 USD", "$100"),
            ("4.5", "USD", "4.50 USD", "$4.50"),
            ("20.00", "EUR", "20 EUR", "€20"),
            ("15", "GBP", "15 GBP", "£15"),
            ("500", "JPY", "500 JPY", "¥500"),
            ("30", "BRL", "30 BRL", "R$30"),
            ("250", "TRY", "250 TRY", "₺250"),
            ("1000", "INR", "1000 INR", "₹1000"),
            ("50", "PLN", "50 PLN", "50 zł"),
            ("5", "KWD", "5 KWD", "5 KWD"),
        ] {
            let currency = Currency::parse(currency).expect("a currency");
            let face = Fiat::parse(value, currency).expect("an amount");
            assert_eq!(denomination_name(face), name);
            assert_eq!(domain::validate::money_label(face), label);
        }
    }
}
