//! Reads the European Central Bank's daily reference rates: how much of each currency one euro buys.
//!
//! The text may come from the internet, so it is bounded and without DTD, and nothing in it is guessed: one odd rate
//! refuses the file, as a wrong price is worse than an old one. Must never fetch anything; called by the rates worker
//! and by the demo.

use domain::money::{Currency, MoneyError, parse_units};
use domain::time::Time;
use roxmltree::{Document, Node, ParsingOptions};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Bytes of a rates file; the real one has about 2,000.
pub const LARGEST_RATES_FILE: usize = 1 << 20;
/// XML nodes of a rates file; the real one has about 100.
const MOST_NODES: u32 = 10_000;
/// Decimals of a rate: with nine digits before the point these are 19 significant ones.
const RATE_SCALE: u32 = 10;

/// Why a text is no table of daily rates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatesFileError {
    #[error("the rates file has {0} bytes, at most {most} are read", most = LARGEST_RATES_FILE)]
    TooLarge(usize),
    #[error("the rates file is not XML: {0}")]
    NotXml(String),
    #[error("the rates file has no element Cube with a time: is it the ECB's daily file of euro rates?")]
    NoDay,
    #[error("the rates file holds several days; give the daily file, not the history")]
    SeveralDays,
    #[error("the rates file is of {0:?}, which is not a date such as 2026-01-31")]
    NotADate(String),
    #[error("the rates file holds an element {0} where a Cube with currency and rate is expected")]
    NotARate(String),
    #[error("the rates file names {0:?}, which is not a currency of three capital letters")]
    NotACurrency(String),
    #[error("the rate of {currency} is {rate:?}: {reason}")]
    BadRate { currency: Currency, rate: String, reason: String },
    #[error("the rates file names {0} twice")]
    Twice(Currency),
    #[error("the rates file has no rate of {0}, without which nothing can be priced")]
    Missing(Currency),
}

/// The day of the table (midnight UTC) and units of each currency per euro; the euro itself is not listed.
///
/// # Errors
/// Whatever is not exactly such a table; see [`RatesFileError`].
pub fn parse(xml: &str) -> Result<(Time, BTreeMap<Currency, Decimal>), RatesFileError> {
    if xml.len() > LARGEST_RATES_FILE {
        return Err(RatesFileError::TooLarge(xml.len()));
    }
    // A DTD could make a small file large, or name other files.
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(xml, options).map_err(|error| RatesFileError::NotXml(error.to_string()))?;
    let mut days = document.descendants().filter(|node| is_cube(*node) && node.attribute("time").is_some());
    let day = days.next().ok_or(RatesFileError::NoDay)?;
    if days.next().is_some() {
        return Err(RatesFileError::SeveralDays);
    }
    let date = day.attribute("time").unwrap_or_default();
    let as_of = Time::parse(date).ok_or_else(|| RatesFileError::NotADate(date.to_owned()))?;
    let mut rates = BTreeMap::new();
    for node in day.children().filter(Node::is_element) {
        let (currency, per_eur) = rate(node)?;
        if rates.insert(currency, per_eur).is_some() {
            return Err(RatesFileError::Twice(currency));
        }
    }
    // Every price passes through the dollar.
    if !rates.contains_key(&Currency::USD) {
        return Err(RatesFileError::Missing(Currency::USD));
    }
    Ok((as_of, rates))
}

fn is_cube(node: Node<'_, '_>) -> bool {
    node.is_element() && node.tag_name().name() == "Cube"
}

fn rate(node: Node<'_, '_>) -> Result<(Currency, Decimal), RatesFileError> {
    let (true, Some(currency), Some(rate)) = (is_cube(node), node.attribute("currency"), node.attribute("rate")) else {
        return Err(RatesFileError::NotARate(node.tag_name().name().to_owned()));
    };
    let currency = Currency::parse(currency).map_err(|_| RatesFileError::NotACurrency(currency.to_owned()))?;
    let bad = |reason: String| RatesFileError::BadRate { currency, rate: rate.to_owned(), reason };
    let units = parse_units(rate, RATE_SCALE).map_err(|error| match error {
        MoneyError::TooPrecise => bad(format!("a rate has at most {RATE_SCALE} decimals")),
        other => bad(other.to_string()),
    })?;
    if units == 0 {
        return Err(bad("a rate is more than 0".to_owned()));
    }
    Ok((currency, Decimal::new(units, RATE_SCALE).normalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one day in the form of the real file.
    fn table(day: &str, cubes: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gesmes:Envelope \
             xmlns:gesmes=\"http://www.gesmes.org/xml/2002-08-01\" \
             xmlns=\"http://www.ecb.int/vocabulary/2002-08-01/eurofxref\">\n<gesmes:subject>Rates</gesmes:subject>\n\
             <Cube><Cube time='{day}'>{cubes}</Cube></Cube>\n</gesmes:Envelope>"
        )
    }

    #[test]
    fn a_daily_table_is_read_to_the_last_digit() {
        let xml = table("2026-11-19", "<Cube currency='USD' rate='1.1642'/>\n<Cube currency='JPY' rate='179.850'/>");
        let (as_of, rates) = parse(&xml).expect("a table");
        assert_eq!(as_of.rfc3339(), "2026-11-19T00:00:00Z");
        let texts: Vec<String> = rates.iter().map(|(currency, rate)| format!("{currency} {rate}")).collect();
        assert_eq!(texts, ["JPY 179.85", "USD 1.1642"]);
    }

    #[test]
    fn the_demo_file_has_every_currency_of_the_demo() {
        let (_, rates) = parse(include_str!("../../../demo/rates.xml")).expect("the demo's rates");
        for code in ["USD", "GBP", "JPY", "TRY", "BRL", "MXN", "CAD", "INR", "AUD", "PLN", "CHF", "KRW"] {
            assert!(rates.contains_key(&Currency::parse(code).expect("a currency")), "{code}");
        }
    }

    #[test]
    fn whatever_is_not_a_daily_table_is_refused() {
        let usd = "<Cube currency='USD' rate='1.1'/>";
        let with = |more: &str| table("2026-11-19", &format!("{usd}{more}"));
        let dtd = "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>";
        let two_days = with("").replace("</Cube></Cube>", "</Cube><Cube time='2026-11-18'/></Cube>");
        for (xml, expected) in [
            (String::new(), "the rates file is not XML: "),
            ("<html><body>503</body>".to_owned(), "the rates file is not XML: "),
            (dtd.to_owned(), "the rates file is not XML: "),
            (format!("<x>{}</x>", "<y/>".repeat(20_000)), "the rates file is not XML: "),
            ("<html><body>503</body></html>".to_owned(), "the rates file has no element Cube with a time"),
            (two_days, "the rates file holds several days"),
            (table("yesterday", usd), "the rates file is of \"yesterday\""),
            (with("<Rate currency='JPY' rate='1'/>"), "the rates file holds an element Rate"),
            (with("<Cube currency='JPY'/>"), "the rates file holds an element Cube where"),
            (with("<Cube currency='yen' rate='1'/>"), "the rates file names \"yen\""),
            (with("<Cube currency='JPY' rate='-1'/>"), "the rate of JPY is \"-1\": an amount is a plain decimal"),
            (with("<Cube currency='JPY' rate='1e3'/>"), "the rate of JPY is \"1e3\": an amount is a plain decimal"),
            (with("<Cube currency='JPY' rate='0.00'/>"), "the rate of JPY is \"0.00\": a rate is more than 0"),
            (with("<Cube currency='JPY' rate='0.00000000001'/>"), "the rate of JPY is \"0.00000000001\": a rate has"),
            (with(usd), "the rates file names USD twice"),
            (table("2026-11-19", "<Cube currency='JPY' rate='1'/>"), "the rates file has no rate of USD"),
            (" ".repeat(LARGEST_RATES_FILE + 1), "the rates file has 1048577 bytes"),
        ] {
            let error = parse(&xml).expect_err(expected);
            assert!(error.to_string().starts_with(expected), "{error} instead of {expected}");
        }
    }
}
