//! The exchange file: TOML text in, a whole `Exchange` or the list of its faults out (`docs/exchange.md`).
//!
//! All or nothing: one fault anywhere and nothing is imported, but reading goes on to report up to twenty. Must never
//! touch disk or database: the import command, the demo and the worker hand over the text. The tour: this file (what may
//! stand in the file), `build` (what it means).

mod build;
#[cfg(test)]
mod tests;

use domain::asset::Rails;
use domain::money::parse_units;
use domain::route::{Exchange, StatedReserve};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What `format` must say.
pub const FORMAT: &str = "kiosk-exchange-1";
/// Most faults that are reported at once.
const MOST_FAULTS: usize = 20;
/// Currencies of one file, every city of a cash currency counted.
const MOST_CURRENCIES: usize = 500;
/// Routes of one file.
const MOST_ROUTES: usize = 20_000;

/// One fault, for people: where it is, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct FileError {
    place: String,
    fault: String,
}

/// Reads an exchange file; `id` names it, `reserves` holds what was stated since by currency code (absent: the file's
/// own figure).
///
/// # Errors
/// Every fault found, at most twenty; never an empty list.
pub fn read(
    text: &str,
    id: String,
    rails: &Rails,
    reserves: &BTreeMap<String, StatedReserve>,
) -> Result<Exchange, Vec<FileError>> {
    build::build(&parse(text)?, id, rails, reserves)
}

/// A reserve as a file states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReserve {
    /// As it is written.
    pub amount: String,
    pub decimals: u32,
}

impl FileReserve {
    /// Whether another says the same: `250000` and `250000.0` do.
    pub fn is_same(&self, other: &FileReserve) -> bool {
        let units = |reserve: &FileReserve| parse_units(&reserve.amount, reserve.decimals).ok();
        self.decimals == other.decimals && units(self) == units(other)
    }
}

/// The reserves that a file states itself, by currency code.
///
/// # Errors
/// The file cannot be read at all.
pub fn reserves(text: &str) -> Result<BTreeMap<String, FileReserve>, Vec<FileError>> {
    let file = parse(text)?;
    let stated = file.currency.iter().flat_map(|currency| {
        let amount = currency.reserve.clone().unwrap_or_else(|| "0".to_owned());
        let reserve = FileReserve { amount, decimals: currency.decimals };
        currency.codes().into_iter().map(move |code| (code, reserve.clone()))
    });
    Ok(stated.collect())
}

fn parse(text: &str) -> Result<File, Vec<FileError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file: File = toml::from_str(text).map_err(|error| {
        let lines_before = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let line = error.span().map_or(0, |span| lines_before(span.start) + 1);
        vec![FileError { place: format!("line {line}"), fault: error.message().to_owned() }]
    })?;
    if file.format != FORMAT {
        let fault = format!("it says {:?}; this version reads {FORMAT:?}", file.format);
        return Err(vec![FileError { place: "format".to_owned(), fault }]);
    }
    Ok(file)
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    /// What partners earn of what the payers whom they bring receive.
    affiliate_percent: Option<String>,
    #[serde(default)]
    currency: Vec<CurrencyEntry>,
    #[serde(default)]
    route: Vec<RouteEntry>,
    #[serde(default)]
    favorite: Vec<FavoriteEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CurrencyEntry {
    code: String,
    name: String,
    symbol: String,
    /// What the rate sources call it; the symbol, unless it says otherwise.
    price: Option<String>,
    decimals: u32,
    /// The name of a network of the store API; without one the currency is moved by hand.
    network: Option<String>,
    /// Where payers send money that is moved by hand.
    account: Option<String>,
    instructions: Option<String>,
    /// Cash: one currency for each city.
    #[serde(default)]
    cities: Vec<String>,
    reserve: Option<String>,
    /// Least and most that may be given.
    min: Option<String>,
    max: Option<String>,
    #[serde(default)]
    from_field: Vec<FieldEntry>,
    #[serde(default)]
    to_field: Vec<FieldEntry>,
}

impl CurrencyEntry {
    /// Its own code, or one for each city.
    fn codes(&self) -> Vec<String> {
        match self.cities.as_slice() {
            [] => vec![self.code.clone()],
            cities => cities.iter().map(|city| format!("{}_C_{city}", self.code)).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    name: String,
    alias: Option<String>,
    #[serde(default)]
    placeholder: String,
    regexp: Option<String>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    options: Vec<OptionEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionEntry {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    /// Codes; a cash currency's code means all its cities.
    from: Vec<String>,
    to: Vec<String>,
    margin_percent: Option<String>,
    /// From-units for one to-unit, instead of a rate by formula.
    rate: Option<String>,
    /// `fixed` or `float`.
    kind: Option<String>,
    reprice_percent: Option<String>,
    digits: Option<u32>,
    min: Option<String>,
    max: Option<String>,
    fee: Option<String>,
    #[serde(default)]
    discount: Vec<DiscountEntry>,
    window_minutes: Option<i64>,
    #[serde(default)]
    auto_payout: bool,
    #[serde(default = "yes")]
    shown: bool,
    #[serde(default = "yes")]
    exported: bool,
    friendly_url: Option<String>,
    #[serde(default)]
    field: Vec<FieldEntry>,
    #[serde(default)]
    instruction: Vec<InstructionEntry>,
    /// `title`, `subtitle`, `description`, `instruction`, `keyword`, `h1`, `h2`.
    #[serde(default)]
    text: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DiscountEntry {
    from: String,
    percent: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstructionEntry {
    step: String,
    text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FavoriteEntry {
    name: String,
    price: String,
}
