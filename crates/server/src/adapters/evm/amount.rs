//! Amounts as chains keep them: 256 bits, without a sign.

use crate::entropy::from_hex;
use std::fmt;

/// More than this is written as this much: the sums of an order's transfers must fit, whatever a worthless token claims.
/// At six decimals it is nine thousand million coins, at eight ninety million.
pub const MOST_UNITS: i64 = i64::MAX / 1_024;

/// 10^19, the largest power of ten in 64 bits.
const PART: u64 = 10_000_000_000_000_000_000;
/// Digits of a part.
const PART_DIGITS: usize = 19;

/// The chain's own integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount([u8; 32]);

impl Amount {
    /// Reads a word of 32 bytes.
    pub fn of_word(text: &str) -> Option<Amount> {
        from_hex(text.strip_prefix("0x")?).map(Amount)
    }

    /// Reads a number such as `0x1b4`.
    pub fn of_quantity(text: &str) -> Option<Amount> {
        let digits = text.strip_prefix("0x").filter(|digits| (1..=64).contains(&digits.len()))?;
        Amount::of_word(&format!("0x{digits:0>64}"))
    }

    pub fn is_zero(&self) -> bool {
        self.0 == [0; 32]
    }

    /// As a number; `None` for more than any token has.
    pub fn as_i128(&self) -> Option<i128> {
        let (high, low) = self.0.split_at(16);
        let fits = high.iter().all(|byte| *byte == 0);
        let low: [u8; 16] = low.try_into().ok()?;
        i128::try_from(u128::from_be_bytes(low)).ok().filter(|_| fits)
    }

    /// At the ledger's scale, rounded down. `decimals` are those of the chain, `scale` is not larger.
    pub fn units(&self, decimals: u32, scale: u32) -> i64 {
        let digits = self.to_string();
        let kept = digits.len().saturating_sub(decimals.saturating_sub(scale) as usize);
        match &digits[..kept] {
            "" => 0,
            kept => kept.parse::<i64>().unwrap_or(i64::MAX).min(MOST_UNITS),
        }
    }
}

/// As a decimal number.
impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = [0_u64; 4];
        for (limb, bytes) in limbs.iter_mut().zip(self.0.chunks_exact(8)) {
            *limb = bytes.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
        }
        // Long division by 10^19, from the highest limb down; the remainders are the parts of the number, lowest first.
        let mut parts = Vec::new();
        while limbs != [0; 4] {
            let mut rest: u128 = 0;
            for limb in &mut limbs {
                let with_rest = rest << 64 | u128::from(*limb);
                *limb = u64::try_from(with_rest / u128::from(PART)).expect("the rest is smaller than the divisor");
                rest = with_rest % u128::from(PART);
            }
            parts.push(rest);
        }
        let Some(highest) = parts.pop() else { return formatter.write_str("0") };
        write!(formatter, "{highest}")?;
        parts.iter().rev().try_for_each(|part| write!(formatter, "{part:0PART_DIGITS$}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(hex: &str) -> Amount {
        Amount::of_word(&format!("0x{hex:0>64}")).expect("hexadecimal digits")
    }

    #[test]
    fn every_size_is_written_as_a_decimal() {
        for (hex, text) in [
            ("0", "0"),
            ("1", "1"),
            ("05f5e100", "100000000"),
            ("8ac7230489e7ffff", "9999999999999999999"),
            ("8ac7230489e80000", "10000000000000000000"),
            ("8ac7230489e80001", "10000000000000000001"),
            ("ffffffffffffffff", "18446744073709551615"),
            ("010000000000000000", "18446744073709551616"),
            // 10^38: three parts, two of them zero.
            ("4b3b4ca85a86c47a098a224000000000", "100000000000000000000000000000000000000"),
            (&"f".repeat(64), "115792089237316195423570985008687907853269984665640564039457584007913129639935"),
        ] {
            assert_eq!(amount(hex).to_string(), text);
        }
    }

    #[test]
    fn amounts_come_down_to_the_scale_of_the_ledger() {
        // 25.5 of a token with 18 decimals is kept with 8; what is smaller than that is not counted.
        let eighteen = amount("0161e232e52c760000");
        assert_eq!(eighteen.to_string(), "25500000000000000000");
        assert_eq!(eighteen.units(18, 8), 2_550_000_000);
        assert_eq!(amount("01").units(18, 8), 0);
        assert_eq!(amount("02540be3ff").units(18, 8), 0);
        assert_eq!(amount("02540be400").units(18, 8), 1);
        assert_eq!(amount("05f5e100").units(6, 6), 100_000_000);
        assert_eq!(amount("7").units(0, 0), 7);
        assert_eq!(amount(&"f".repeat(64)).units(18, 8), MOST_UNITS);
        assert_eq!(amount("7fffffffffffffff").units(6, 6), MOST_UNITS);
        assert!(amount("0").is_zero() && !amount("1").is_zero());
    }

    #[test]
    fn what_a_token_may_have_is_a_number() {
        assert_eq!(amount("0").as_i128(), Some(0));
        assert_eq!(amount("0161e232e52c760000").as_i128(), Some(25_500_000_000_000_000_000));
        assert_eq!(amount(&format!("7{}", "f".repeat(31))).as_i128(), Some(i128::MAX));
        assert_eq!(amount(&format!("8{}", "0".repeat(31))).as_i128(), None);
        assert_eq!(amount(&"f".repeat(64)).as_i128(), None);
    }

    #[test]
    fn a_balance_is_a_number_of_any_length() {
        for (text, expected) in [
            ("0x0", Some("0")),
            ("0x1b4", Some("436")),
            ("0xde0b6b3a7640000", Some("1000000000000000000")),
            ("0x", None),
            ("1", None),
            ("0x+1", None),
        ] {
            assert_eq!(Amount::of_quantity(text).map(|amount| amount.to_string()).as_deref(), expected, "{text}");
        }
        assert_eq!(Amount::of_quantity(&format!("0x1{}", "0".repeat(64))), None);
    }

    #[test]
    fn only_a_whole_word_is_an_amount() {
        for text in ["", "0x", "0x01", "05f5e100", "0xg"] {
            assert_eq!(Amount::of_word(text), None, "{text}");
        }
        assert_eq!(Amount::of_word(&format!("0x{}", "0".repeat(66))), None);
    }
}
