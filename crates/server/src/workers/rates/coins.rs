//! Reads the document of coin prices in US dollars that `docs/rates.md` describes.
//!
//! Strict, as the reader of the fiat table is: nothing is guessed, and one odd price refuses the document, because a
//! wrong price is worse than an old one. Called by the worker that looks for rates.

use domain::time::Time;
use rust_decimal::Decimal;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Coins of one document.
const MOST_COINS: usize = 1_000;
/// Characters of a price; a decimal has at most 28 digits.
const LONGEST_PRICE: usize = 40;
/// Characters of a ticker.
const LONGEST_TICKER: usize = 20;

/// What a document says.
#[derive(Debug, PartialEq, Eq)]
pub struct CoinPrices {
    /// When the prices were so; `None` if the document does not say it.
    pub as_of: Option<Time>,
    /// US dollars per coin, by ticker; each is more than 0.
    pub usd: BTreeMap<String, Decimal>,
}

/// Why a text is no document of coin prices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoinPricesError {
    #[error("the coin prices cannot be read: {0}")]
    NotADocument(String),
    #[error("as_of is {0:?}, which is not a time such as 2026-01-31T12:00:00Z")]
    NotATime(String),
    #[error("the document names no coin")]
    NoCoin,
    #[error("the document names {0} coins, at most {most} are read", most = MOST_COINS)]
    TooMany(usize),
    #[error("the document names {0:?}, which is not a ticker of capital letters and digits")]
    NotATicker(String),
    #[error("the document names {0} twice")]
    Twice(String),
    #[error("the price of {coin} is {price:?}: {reason}")]
    BadPrice { coin: String, price: String, reason: &'static str },
}

/// The prices of a document.
///
/// # Errors
/// Whatever is not exactly such a document; see [`CoinPricesError`].
pub fn parse(text: &str) -> Result<CoinPrices, CoinPricesError> {
    let document: Document =
        serde_json::from_str(text).map_err(|error| CoinPricesError::NotADocument(error.to_string()))?;
    let as_of = document.as_of.map(|text| Time::parse(&text).ok_or(CoinPricesError::NotATime(shown(&text))));
    let as_of = as_of.transpose()?;
    let Members(members) = document.usd;
    if members.is_empty() {
        return Err(CoinPricesError::NoCoin);
    }
    if members.len() > MOST_COINS {
        return Err(CoinPricesError::TooMany(members.len()));
    }
    let mut usd = BTreeMap::new();
    for (coin, price) in members {
        if !is_ticker(&coin) {
            return Err(CoinPricesError::NotATicker(shown(&coin)));
        }
        let price = price_of(&coin, &price)?;
        if usd.insert(coin.clone(), price).is_some() {
            return Err(CoinPricesError::Twice(coin));
        }
    }
    Ok(CoinPrices { as_of, usd })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    as_of: Option<String>,
    usd: Members,
}

/// The members of an object one by one: a map would hide a coin that is named twice.
struct Members(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object such as {\"BTC\": \"90000.12\"}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = object.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

fn is_ticker(text: &str) -> bool {
    (1..=LONGEST_TICKER).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn price_of(coin: &str, text: &str) -> Result<Decimal, CoinPricesError> {
    let bad = |reason| CoinPricesError::BadPrice { coin: coin.to_owned(), price: shown(text), reason };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    // Checked here, because the decimal type would take signs and underscores too.
    if text.len() > LONGEST_PRICE || text.split('.').count() > 2 || !text.split('.').all(is_number) {
        return Err(bad("a price is a plain decimal such as 90000.12"));
    }
    let price = Decimal::from_str_exact(text).map_err(|_| bad("a price has at most 28 digits"))?;
    if price.is_zero() {
        return Err(bad("a price is more than 0"));
    }
    Ok(price.normalize())
}

/// As much of a text as a log should hold.
fn shown(text: &str) -> String {
    text.chars().take(LONGEST_PRICE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_to_the_last_digit() {
        let text = r#"{"as_of": "2026-11-20T11:35:00Z", "usd": {"BTC": "90000.120", "1INCH": "0.0000123456789"}}"#;
        let prices = parse(text).expect("a document");
        assert_eq!(prices.as_of, Some(Time(1_795_174_500_000)));
        let shown: Vec<String> = prices.usd.iter().map(|(coin, usd)| format!("{coin} {usd}")).collect();
        assert_eq!(shown, ["1INCH 0.0000123456789", "BTC 90000.12"]);
        for text in [r#"{"usd": {"BTC": "1"}}"#, r#"{"usd": {"BTC": "1"}, "as_of": null}"#] {
            assert_eq!(parse(text).map(|prices| prices.as_of), Ok(None), "{text}");
        }
    }

    #[test]
    fn whatever_is_not_such_a_document_is_refused() {
        let priced = |price: &str| format!(r#"{{"usd": {{"BTC": "{price}"}}}}"#);
        let many: Vec<String> = (0..=MOST_COINS).map(|at| format!(r#""C{at}": "1""#)).collect();
        let plain = "the price of BTC is \"-1\": a price is a plain decimal";
        for (text, expected) in [
            (String::new(), "the coin prices cannot be read: EOF"),
            ("<html></html>".to_owned(), "the coin prices cannot be read: expected value at line 1"),
            ("[]".to_owned(), "the coin prices cannot be read: "),
            ("{}".to_owned(), "the coin prices cannot be read: missing field `usd`"),
            (r#"{"usd": {"BTC": "1"}, "asof": "x"}"#.to_owned(), "the coin prices cannot be read: unknown field"),
            (r#"{"usd": {"BTC": 1.5}}"#.to_owned(), "the coin prices cannot be read: "),
            (r#"{"usd": {"BTC": null}}"#.to_owned(), "the coin prices cannot be read: "),
            (r#"{"usd": [["BTC", "1"]]}"#.to_owned(), "the coin prices cannot be read: "),
            (r#"{"usd": {}}"#.to_owned(), "the document names no coin"),
            (format!(r#"{{"usd": {{{}}}}}"#, many.join(",")), "the document names 1001 coins"),
            (r#"{"usd": {"btc": "1"}}"#.to_owned(), "the document names \"btc\", which is not a ticker"),
            (r#"{"usd": {"": "1"}}"#.to_owned(), "the document names \"\", which is not a ticker"),
            (r#"{"usd": {"BTC": "1", "BTC": "1"}}"#.to_owned(), "the document names BTC twice"),
            (r#"{"usd": {"BTC": "1"}, "as_of": "today"}"#.to_owned(), "as_of is \"today\""),
            (priced("-1"), plain),
            (priced("1e3"), "the price of BTC is \"1e3\": a price is a plain decimal"),
            (priced("1_000"), "the price of BTC is \"1_000\": a price is a plain decimal"),
            (priced(".5"), "the price of BTC is \".5\": a price is a plain decimal"),
            (priced("1.2.3"), "the price of BTC is \"1.2.3\": a price is a plain decimal"),
            (priced(""), "the price of BTC is \"\": a price is a plain decimal"),
            (priced(&"9".repeat(41)), "the price of BTC is \"9999999999"),
            (priced(&"9".repeat(40)), "the price of BTC is \"9999999999"),
            (priced("0.00"), "the price of BTC is \"0.00\": a price is more than 0"),
        ] {
            let error = parse(&text).expect_err(expected);
            assert!(error.to_string().starts_with(expected), "{error} instead of {expected}");
        }
    }
}
