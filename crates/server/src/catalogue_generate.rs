//! Makes a synthetic catalogue file of any size, for measuring: `kiosk catalogue generate --records 10500`.
//!
//! The same number always makes the same bytes. Nothing in it is a real brand, and everything is delivered by the
//! sandbox. Must never be part of a shop that sells.

use crate::catalogue_file::{FORMAT, MOST_BRANDS};
use domain::country;
use serde_json::{Value, json};

/// Countries of a synthetic catalogue, the United States first.
const COUNTRIES: usize = 180;
/// From so many records on, one country is as large as the largest of a real catalogue.
const WITH_LARGE_COUNTRY: usize = 10_500;
/// Brands of that country.
const LARGE_COUNTRY: usize = 1_200;
/// Brands of the popular row of a country.
const POPULAR: usize = 12;
/// Brands in each list of a country's home page.
const FEATURED: usize = 6;

const FIRST_WORDS: [&str; 40] = [
    "Amber", "Azure", "Birch", "Bright", "Calm", "Cedar", "Clear", "Cobalt", "Copper", "Coral", "Crisp", "Dawn",
    "Ember", "Fern", "Fresh", "Golden", "Green", "Hazel", "Indigo", "Ivory", "Jade", "Keen", "Lucky", "Lunar", "Maple",
    "Mellow", "Misty", "Nimble", "North", "Olive", "Pearl", "Plain", "Quiet", "Rapid", "Ruby", "Silver", "Solar",
    "Swift", "Velvet", "Winter",
];
const SECOND_WORDS: [&str; 40] = [
    "Anchor", "Arcade", "Atlas", "Bakery", "Basket", "Beacon", "Bridge", "Cabin", "Canvas", "Castle", "Corner",
    "Cycle", "Diner", "Falcon", "Forge", "Garden", "Garage", "Harbor", "House", "Island", "Kitchen", "Lantern",
    "Lodge", "Market", "Meadow", "Orchard", "Outfit", "Parcel", "Pixel", "Planet", "Quarry", "River", "Saddle",
    "Signal", "Studio", "Summit", "Ticket", "Tower", "Valley", "Wardrobe",
];
const CATEGORIES: [&str; 12] = [
    "e-commerce",
    "games",
    "food",
    "streaming",
    "apparel_clothing",
    "electronics",
    "travel_flights",
    "groceries",
    "home",
    "health_beauty",
    "entertainment",
    "sports_fitness",
];
/// Face values before they are made to fit a currency.
const VALUES: [u64; 6] = [10, 25, 50, 100, 200, 500];
/// Gigabytes and days of the plans.
const PLANS: [(u64, u64); 6] = [(1, 7), (3, 15), (5, 30), (10, 30), (20, 30), (50, 60)];

/// A catalogue file of `records` brand records, at most as many as one file may hold.
pub fn generate(records: usize) -> String {
    let records = records.min(MOST_BRANDS);
    let mut text = format!("{{\"format\": \"{FORMAT}\",\n\"brands\": [\n");
    let mut homepage = serde_json::Map::new();
    let mut written = 0;
    for (at, code) in countries().enumerate() {
        let brands = share(at, records);
        for number in 0..brands {
            written += 1;
            text.push_str(&brand(code, number).to_string());
            text.push_str(if written < records { ",\n" } else { "\n" });
        }
        if brands > 0 {
            let names: Vec<String> = (0..brands.min(2 * FEATURED)).map(brand_name).collect();
            let (featured, trending) = names.split_at(names.len().min(FEATURED));
            homepage.insert(code.to_owned(), json!({ "featured": featured, "trending": trending }));
        }
    }
    text.push_str(&format!("],\n\"homepage\": {}}}\n", Value::Object(homepage)));
    text
}

fn countries() -> impl Iterator<Item = &'static str> {
    let others = country::CODES.into_iter().filter(|code| *code != "US");
    std::iter::once("US").chain(others.take(COUNTRIES - 1))
}

/// Records of the country at that place: equal shares, the first countries taking what does not divide.
fn share(at: usize, records: usize) -> usize {
    let large = records >= WITH_LARGE_COUNTRY;
    match at {
        0 if large => LARGE_COUNTRY,
        _ if large => even_share(at - 1, records - LARGE_COUNTRY, COUNTRIES - 1),
        _ => even_share(at, records, COUNTRIES),
    }
}

fn even_share(at: usize, records: usize, countries: usize) -> usize {
    records / countries + usize::from(at < records % countries)
}

/// The brand of that number: the same in every country, as real ones are.
fn brand_name(number: usize) -> String {
    let first = FIRST_WORDS[number % FIRST_WORDS.len()];
    let second = SECOND_WORDS[number / FIRST_WORDS.len() % SECOND_WORDS.len()];
    match number / (FIRST_WORDS.len() * SECOND_WORDS.len()) {
        0 => format!("{first} {second}"),
        round => format!("{first} {second} {round}"),
    }
}

fn brand(country: &str, number: usize) -> Value {
    let name = brand_name(number);
    let (currency, unit) = currency(country);
    let (kind, category) = match number % 10 {
        7 => ("mobile_recharge", "mobile_credits"),
        9 => ("mobile_recharge", "e-sim"),
        _ => ("giftcard", CATEGORIES[number % CATEGORIES.len()]),
    };
    let sku = format!("syn-{}-{number}", country.to_lowercase());
    let count = 4 + number % 3;
    let products: Vec<Value> = (0..count)
        .map(|at| match category {
            "e-sim" => plan(&sku, at, currency, unit),
            "mobile_credits" => fixed(&sku, at, currency, unit, "by_phone"),
            _ if at + 1 == count => range(&sku, currency, unit),
            _ => fixed(&sku, at, currency, unit, "by_email"),
        })
        .collect();
    let mut record = json!({
        "brand": name, "country": country, "kind": kind, "category": category,
        "bg_color": format!("#{:06X}", number * 7_919 % 0x0100_0000),
        "redeem_method": ["online"], "redeem_geo": format!("in {country}"),
        "texts": { "en": texts(&name, country) }, "products": products,
    });
    if number < POPULAR {
        record["popular"] = json!(number + 1);
    }
    record
}

/// About as much text as a real brand has in one language.
fn texts(name: &str, country: &str) -> Value {
    json!({
        "description": format!(
            "<p>{name} is a made-up shop in {country} that helps to measure this server. Its cards open every shelf of \
             a shop that does not exist, and they are as long to read as those of shops that do.</p>"
        ),
        "how_to_redeem": format!(
            "<ol><li>Choose what you like at {name}.</li><li>Enter the code at checkout.</li><li>Pay the rest, if any, \
             with another card.</li></ol>"
        ),
        "terms": "<p>Synthetic: worth nothing anywhere. Valid for twelve months; it cannot be exchanged for cash.</p>",
    })
}

fn fixed(sku: &str, at: usize, currency: &str, unit: u64, delivery: &str) -> Value {
    let value = VALUES[at % VALUES.len()] * unit;
    json!({
        "sku": format!("{sku}-{value}"), "type": "fixed", "currency": currency, "value": value.to_string(),
        "cost": format!("{}.{:02}", value * 97 / 100, value * 97 % 100), "delivery": delivery,
        "suppliers": [{ "supplier": "sandbox" }],
    })
}

fn range(sku: &str, currency: &str, unit: u64) -> Value {
    json!({
        "sku": format!("{sku}-range"), "type": "range", "currency": currency, "min": (5 * unit).to_string(),
        "max": (500 * unit).to_string(), "step": unit.to_string(), "default": (100 * unit).to_string(),
        "cost_bps": 9_700, "delivery": "by_email", "suppliers": [{ "supplier": "sandbox" }],
    })
}

fn plan(sku: &str, at: usize, currency: &str, unit: u64) -> Value {
    let (gigabytes, days) = PLANS[at % PLANS.len()];
    json!({
        "sku": format!("{sku}-{gigabytes}gb-{days}d"), "type": "plan", "currency": currency,
        "value": ((3 + 2 * gigabytes) * unit).to_string(), "denomination": format!("{gigabytes} GB {days} days"),
        "validity_days": days, "benefits": [{ "type": "DATA", "unit": "GB", "amount": gigabytes.to_string() }],
        "delivery": "by_email", "suppliers": [{ "supplier": "sandbox" }],
    })
}

/// The currency of a country and about how many of it make a dollar; dollars where it does not matter.
fn currency(country: &str) -> (&'static str, u64) {
    match country {
        "AT" | "BE" | "CY" | "DE" | "EE" | "ES" | "FI" | "FR" | "GR" | "HR" | "IE" | "IT" | "LT" | "LU" | "LV"
        | "MT" | "NL" | "PT" | "SI" | "SK" => ("EUR", 1),
        "GB" => ("GBP", 1),
        "CA" => ("CAD", 1),
        "AU" => ("AUD", 1),
        "CH" => ("CHF", 1),
        "PL" => ("PLN", 4),
        "BR" => ("BRL", 5),
        "MX" => ("MXN", 20),
        "TR" => ("TRY", 50),
        "IN" => ("INR", 100),
        "JP" => ("JPY", 150),
        "KR" => ("KRW", 1_500),
        _ => ("USD", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue_file::read;
    use std::collections::HashMap;

    #[test]
    fn a_synthetic_catalogue_reads_back() {
        let mut told = Vec::new();
        let catalogue = read(&generate(200), "synthetic".into(), &mut |done| told.push(done)).expect("a valid file");
        assert_eq!((catalogue.brands.len(), told), (200, vec![200]));
        let mut countries: HashMap<&str, usize> = HashMap::new();
        for brand in &catalogue.brands {
            *countries.entry(&brand.country).or_default() += 1;
            assert!((4..=6).contains(&brand.products.len()), "{}", brand.name);
            let text = &brand.texts["en"];
            let length = text.description.len() + text.how_to_redeem.len() + text.terms.len();
            assert!((200..1_000).contains(&length), "{length}");
        }
        // 200 = 180 countries with one brand, 20 of them with a second.
        assert_eq!((countries.len(), countries["US"]), (180, 2));
        assert_eq!(catalogue.homepage["US"].featured, ["Amber Anchor", "Azure Anchor"]);
    }

    #[test]
    fn kinds_of_products_are_mixed() {
        // 2,000 records give each country eleven brands, among them an operator (7) and an eSIM (9).
        let catalogue = read(&generate(2_000), "synthetic".into(), &mut |_| ()).expect("a valid file");
        for category in ["mobile_credits", "e-sim", "games"] {
            assert!(catalogue.brands_in("JP").any(|brand| brand.category == category), "{category}");
        }
    }

    #[test]
    fn the_same_number_makes_the_same_bytes() {
        assert_eq!(generate(30), generate(30));
        assert!(read(&generate(0), "empty".into(), &mut |_| ()).is_ok_and(|catalogue| catalogue.brands.is_empty()));
    }

    #[test]
    fn the_measuring_case_has_one_large_country() {
        let shares: Vec<usize> = (0..COUNTRIES).map(|at| share(at, 10_500)).collect();
        assert_eq!((shares.iter().sum::<usize>(), shares[0]), (10_500, 1_200));
        // The other 9,300 records over 179 countries.
        assert!(shares[1..].iter().all(|share| matches!(share, 51 | 52)));
        let names: std::collections::HashSet<String> = (0..5_000).map(brand_name).collect();
        assert_eq!(names.len(), 5_000);
    }
}
