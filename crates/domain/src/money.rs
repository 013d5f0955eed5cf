//! Amounts: integers with a scale, never floats.
//!
//! Fiat is kept at its ISO 4217 minor digits + 2 (USD at 4 decimals), coins at the scale of their asset (at most 8).
//! Must never round without being told in which direction.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An ISO 4217 currency code: three upper-case letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Why a text is not an amount or a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("a currency is three upper-case letters (ISO 4217)")]
    NotACurrency,
    #[error("an amount is a plain decimal such as 12.50, without sign, exponent or spaces")]
    NotADecimal,
    #[error("the amount has more decimals than its currency or coin knows")]
    TooPrecise,
    #[error("the amount is too large")]
    TooLarge,
}

impl Currency {
    pub const EUR: Currency = Currency(*b"EUR");
    pub const USD: Currency = Currency(*b"USD");

    /// Reads a code; the letters must be upper case.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        match text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|letter| letter.is_ascii_uppercase()) => Ok(Currency([*a, *b, *c])),
            _ => Err(MoneyError::NotACurrency),
        }
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters, checked by parse")
    }

    /// Decimals of the minor unit (ISO 4217 table A.1); 2 unless listed.
    pub fn minor_digits(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }

    /// Decimals that the ledger keeps: minor digits + 2.
    pub fn scale(self) -> u32 {
        self.minor_digits() + 2
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Currency::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// An amount of fiat: `units` of 10^-(minor digits + 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fiat {
    pub currency: Currency,
    pub units: i64,
}

impl Fiat {
    /// Reads `12.5`; refuses signs, exponents and more decimals than the scale.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        Ok(Fiat { currency, units: parse_units(text, currency.scale())? })
    }

    /// From whole currency units (`Fiat::whole(100, USD)` is 100 USD).
    pub fn whole(amount: i64, currency: Currency) -> Self {
        Fiat { currency, units: amount.saturating_mul(10_i64.pow(currency.scale())) }
    }

    /// From a decimal, rounded in the direction that the caller names.
    pub fn from_decimal(value: Decimal, currency: Currency, rounding: RoundingStrategy) -> Result<Self, MoneyError> {
        Ok(Fiat { currency, units: units_from_decimal(value, currency.scale(), rounding)? })
    }

    pub fn decimal(&self) -> Decimal {
        Decimal::new(self.units, self.currency.scale())
    }

    /// Without needless zeros: `100`, `12.5`.
    pub fn plain(&self) -> String {
        self.decimal().normalize().to_string()
    }

    /// With the decimals of the minor unit at least: `100.00`, `500` for JPY.
    pub fn with_minor_digits(&self) -> String {
        let mut value = self.decimal().normalize();
        if value.scale() < self.currency.minor_digits() {
            value.rescale(self.currency.minor_digits());
        }
        value.to_string()
    }
}

/// Reads a plain decimal of at most `scale` decimals into integer units of 10^-scale.
pub fn parse_units(text: &str, scale: u32) -> Result<i64, MoneyError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if text.len() > 40 || !digits(whole) || !digits(fraction) {
        return Err(MoneyError::NotADecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = (scale as usize).checked_sub(fraction.len()).ok_or(MoneyError::TooPrecise)?;
    let mut units: i64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing)) {
        units = units
            .checked_mul(10)
            .and_then(|units| units.checked_add(i64::from(digit - b'0')))
            .ok_or(MoneyError::TooLarge)?;
    }
    Ok(units)
}

/// A decimal as integer units of 10^-scale, rounded as the caller says.
pub fn units_from_decimal(value: Decimal, scale: u32, rounding: RoundingStrategy) -> Result<i64, MoneyError> {
    let rounded = value.round_dp_with_strategy(scale, rounding);
    let scaled = rounded.checked_mul(Decimal::from(10_i64.pow(scale))).ok_or(MoneyError::TooLarge)?;
    i64::try_from(scaled.trunc()).map_err(|_| MoneyError::TooLarge)
}

/// Units of the ledger as the chain's own integer.
pub fn raw_units(units: i64, scale: u32, chain_decimals: u32) -> String {
    format!("{units}{}", "0".repeat(chain_decimals.saturating_sub(scale) as usize))
}

/// Integer units of 10^-scale as a decimal text with at least `min_decimals` decimals and no exponent.
pub fn units_to_text(units: i64, scale: u32, min_decimals: u32) -> String {
    let mut value = Decimal::new(units, scale).normalize();
    if value.scale() < min_decimals {
        value.rescale(min_decimals);
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_last_digit() {
        assert_eq!(parse_units("12.50", 6), Ok(12_500_000));
        assert_eq!(parse_units("0.00000001", 8), Ok(1));
        assert_eq!(parse_units("5", 0), Ok(5));
        assert_eq!(parse_units("1.10", 1), Ok(11));
        assert_eq!(parse_units("1.11", 1), Err(MoneyError::TooPrecise));
        assert_eq!(parse_units("92233720368547758.08", 2), Err(MoneyError::TooLarge));
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e4", "1e400", " 1", "1,5", "NaN", "0x10", "١"] {
            assert_eq!(parse_units(text, 6), Err(MoneyError::NotADecimal), "{text}");
        }
    }

    #[test]
    fn minor_digits_follow_iso_4217() {
        for (code, digits) in [("USD", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("EUR", 2)] {
            assert_eq!(Currency::parse(code).map(Currency::minor_digits), Ok(digits), "{code}");
        }
        assert!(Currency::parse("usd").is_err() && Currency::parse("USDC").is_err());
    }

    #[test]
    fn amounts_are_written_without_exponent() {
        assert_eq!(units_to_text(10_150_000, 6, 2), "10.15");
        assert_eq!(units_to_text(10_000_000, 6, 2), "10.00");
        assert_eq!(units_to_text(1, 8, 0), "0.00000001");
        assert_eq!(Fiat::whole(100, Currency::USD).with_minor_digits(), "100.00");
        assert_eq!(Fiat::whole(100, Currency::USD).plain(), "100");
        assert_eq!(Fiat::parse("500", Currency::parse("JPY").expect("JPY")).expect("500").with_minor_digits(), "500");
    }

    #[test]
    fn rounding_goes_where_the_caller_says() {
        let third = Decimal::ONE / Decimal::from(3);
        assert_eq!(units_from_decimal(third, 2, RoundingStrategy::AwayFromZero), Ok(34));
        assert_eq!(units_from_decimal(third, 2, RoundingStrategy::ToZero), Ok(33));
    }
}
