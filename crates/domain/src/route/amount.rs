//! The arithmetic that clients of the exchange API repeat (contract 4.4), in integers.
//!
//! `receive = floor(give / coef - fee)`, `give = ceil((receive + fee) x coef)`, `coef = rate x (1 - discount)`, where the
//! rate is from-units for one to-unit. Everything fits 128 bits: a rate has at most 15 digits, an amount at most 19, and
//! an amount that does not is out of range anyway.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// Digits that a deal's rate has at most.
pub const MOST_DIGITS: u32 = 15;

/// What one unit of the received currency costs, in units of the given one: `mantissa` x 10^-`scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealRate {
    mantissa: i64,
    scale: u32,
}

impl DealRate {
    /// Rounds up to so many significant digits, at most fifteen: the payer never gets a better rate than was meant.
    /// `None` for a rate that is not above zero, or too large.
    pub fn new(value: Decimal, digits: u32) -> Option<DealRate> {
        if value <= Decimal::ZERO {
            return None;
        }
        let digits = digits.clamp(1, MOST_DIGITS);
        let rounded = value.round_sf_with_strategy(digits, RoundingStrategy::ToPositiveInfinity)?.normalize();
        let mantissa = i64::try_from(rounded.mantissa()).ok().filter(|mantissa| *mantissa < 10_i64.pow(MOST_DIGITS))?;
        Some(DealRate { mantissa, scale: rounded.scale() })
    }

    /// The rate as a decimal.
    pub fn decimal(self) -> Decimal {
        Decimal::new(self.mantissa, self.scale)
    }

    /// As `rateFullNumber` shows it: a plain decimal.
    pub fn text(self) -> String {
        self.decimal().normalize().to_string()
    }

    /// To-units for one from-unit, at most ten significant digits.
    pub fn inverse(self) -> Decimal {
        let inverse = Decimal::ONE.checked_div(self.decimal()).unwrap_or_default();
        inverse.round_sf_with_strategy(10, RoundingStrategy::ToZero).unwrap_or(inverse).normalize()
    }

    /// The pair that people read, one side of which is 1 (contract 4.3): what is given, what is received.
    pub fn pair(self) -> (Decimal, Decimal) {
        if self.decimal() > Decimal::ONE {
            (self.decimal().normalize(), Decimal::ONE)
        } else {
            (Decimal::ONE, self.inverse())
        }
    }
}

/// How amounts of one route are converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversion {
    pub rate: DealRate,
    /// Hundredths of a percent; below 10,000.
    pub discount_bps: u32,
    /// In to-units.
    pub fee_units: i64,
    pub from_decimals: u32,
    pub to_decimals: u32,
}

/// A whole discount in `bps`.
const WHOLE: i128 = 10_000;

impl Conversion {
    /// What is received for what is given; negative where the fee eats it up. `None` if it is out of range.
    pub fn receive(&self, give_units: i64) -> Option<i64> {
        let (times, over) = self.fraction()?;
        let whole = i128::from(give_units).checked_mul(over)?.checked_div_euclid(times)?;
        i64::try_from(whole.checked_sub(i128::from(self.fee_units))?).ok()
    }

    /// What must be given so that this much is received. `None` if it is out of range.
    pub fn give(&self, receive_units: i64) -> Option<i64> {
        let (times, over) = self.fraction()?;
        let wanted = i128::from(receive_units).checked_add(i128::from(self.fee_units))?;
        let product = wanted.checked_mul(times)?;
        let up = if product.rem_euclid(over) == 0 { 0 } else { 1 };
        i64::try_from(product.div_euclid(over) + up).ok()
    }

    /// From-units for one to-unit as a fraction of integers: (numerator, denominator).
    fn fraction(&self) -> Option<(i128, i128)> {
        let mut times = i128::from(self.rate.mantissa).checked_mul(WHOLE - i128::from(self.discount_bps))?;
        let mut over = WHOLE;
        // 10^from units make one, 10^to units make one, and the mantissa is of 10^-scale.
        let power = i64::from(self.from_decimals) - i64::from(self.to_decimals) - i64::from(self.rate.scale);
        let factor = 10_i128.checked_pow(u32::try_from(power.abs()).ok()?)?;
        if power >= 0 {
            times = times.checked_mul(factor)?;
        } else {
            over = over.checked_mul(factor)?;
        }
        // The smaller the numbers, the further they reach.
        let common = gcd(times, over);
        Some((times / common, over / common))
    }
}

fn gcd(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> DealRate {
        DealRate::new(text.parse().expect("a decimal"), MOST_DIGITS).expect("a rate")
    }

    fn conversion(rate_text: &str, discount_bps: u32, fee_units: i64) -> Conversion {
        Conversion { rate: rate(rate_text), discount_bps, fee_units, from_decimals: 8, to_decimals: 2 }
    }

    #[test]
    fn amounts_follow_the_clients_formula_in_both_directions() {
        // 0.0000153964 BTC for 1 USDT, fee 2 USDT: 0.05 BTC / 0.0000153964 = 3247.512..., less 2.
        let plain = conversion("0.0000153964", 0, 200);
        assert_eq!(plain.receive(5_000_000), Some(324_551));
        // (3245.51 + 2) x 0.0000153964 = 0.0499999629...: up to the eighth decimal.
        assert_eq!(plain.give(324_551), Some(4_999_997));
        // One percent off the rate: 0.05 / (0.0000153964 x 0.99) = 3280.315..., less 2.
        assert_eq!(conversion("0.0000153964", 100, 200).receive(5_000_000), Some(327_831));
    }

    #[test]
    fn a_fee_may_eat_everything_and_huge_amounts_are_out_of_range() {
        assert_eq!(conversion("1", 0, 200).receive(100_000_000), Some(-100));
        assert_eq!(conversion("0.000000000000001", 0, 0).receive(i64::MAX), None);
        assert_eq!(conversion("999999999999999", 0, 0).give(i64::MAX), None);
    }

    #[test]
    fn a_rate_is_rounded_against_the_payer_and_has_no_exponent() {
        let tiny = DealRate::new("0.00000018000000000001".parse().expect("a decimal"), 3).expect("a rate");
        assert_eq!(tiny.text(), "0.000000181");
        assert_eq!(rate("1.50").pair(), (Decimal::new(15, 1), Decimal::ONE));
        assert_eq!(rate("0.5").pair(), (Decimal::ONE, Decimal::TWO));
        for wrong in [Decimal::ZERO, Decimal::NEGATIVE_ONE, Decimal::from(10_i64.pow(15))] {
            assert_eq!(DealRate::new(wrong, MOST_DIGITS), None, "{wrong}");
        }
    }

    /// The formula of contract 4.4 as clients compute it: decimals as digits, divisions cut far behind the last that
    /// counts, and then `ROUND_DOWN` or `ROUND_UP`. Written out as long division, so that it shares nothing with the above.
    mod clients {
        use super::super::Conversion;

        /// Digits behind the point that the long division goes on for.
        const DIGITS: usize = 40;

        fn decimal(mantissa: i128, scale: u32) -> (i128, u32) {
            (mantissa, scale)
        }

        /// `a / b` as whole part and decimals, and whether anything is left.
        fn divide(a: (i128, u32), b: (i128, u32)) -> (i128, Vec<u8>, bool) {
            let scale = a.1.max(b.1);
            let dividend = a.0 * 10_i128.pow(scale - a.1);
            let divisor = b.0 * 10_i128.pow(scale - b.1);
            let (whole, mut rest) = (dividend / divisor, dividend % divisor);
            let digits = (0..DIGITS)
                .map(|_| {
                    rest *= 10;
                    let digit = (rest / divisor) as u8;
                    rest %= divisor;
                    digit
                })
                .collect();
            (whole, digits, rest != 0)
        }

        pub fn receive(conversion: &Conversion, give_units: i64) -> i128 {
            let coef = coefficient(conversion);
            let (whole, digits, _) = divide(decimal(i128::from(give_units), conversion.from_decimals), coef);
            let kept = digits[..conversion.to_decimals as usize].iter();
            kept.fold(whole, |units, digit| units * 10 + i128::from(*digit)) - i128::from(conversion.fee_units)
        }

        pub fn give(conversion: &Conversion, receive_units: i64) -> i128 {
            let coef = coefficient(conversion);
            let product = (i128::from(receive_units) + i128::from(conversion.fee_units)) * coef.0;
            let scale = conversion.to_decimals + coef.1;
            let (whole, digits, rest) = divide(decimal(product, scale), decimal(1, 0));
            let (kept, dropped) = digits.split_at(conversion.from_decimals as usize);
            let units = kept.iter().fold(whole, |units, digit| units * 10 + i128::from(*digit));
            units + i128::from(rest || dropped.iter().any(|digit| *digit != 0))
        }

        /// rate x (1 - discount), exact.
        fn coefficient(conversion: &Conversion) -> (i128, u32) {
            let mantissa = i128::from(conversion.rate.mantissa);
            decimal(mantissa * (10_000 - i128::from(conversion.discount_bps)), conversion.rate.scale + 4)
        }
    }

    /// Numbers that repeat: xorshift, seeded.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }
    }

    #[test]
    fn a_hundred_thousand_amounts_are_what_clients_compute() {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let mut compared = 0;
        while compared < 100_000 {
            let digits = 1 + numbers.below(10) as u32;
            let mantissa = 1 + numbers.below(10_u64.pow(digits)) as i64;
            let scale = numbers.below(13) as u32;
            let conversion = Conversion {
                rate: DealRate { mantissa, scale },
                discount_bps: [0, 0, 25, 100, 350][numbers.below(5) as usize],
                fee_units: [0, 0, 1, 250][numbers.below(4) as usize],
                from_decimals: [0, 2, 6, 8][numbers.below(4) as usize],
                to_decimals: [0, 2, 6, 8][numbers.below(4) as usize],
            };
            let units = 1 + numbers.below(1_000_000_000_000) as i64;
            if let Some(received) = conversion.receive(units) {
                assert_eq!(i128::from(received), clients::receive(&conversion, units), "{conversion:?} {units}");
                compared += 1;
            }
            if let Some(given) = conversion.give(units) {
                assert_eq!(i128::from(given), clients::give(&conversion, units), "{conversion:?} {units}");
                compared += 1;
            }
        }
    }

    #[test]
    fn nobody_gains_by_asking_the_other_way_round() {
        let mut numbers = Numbers(7);
        for _ in 0..10_000 {
            let conversion = conversion(&format!("0.{:08}", 1 + numbers.below(99_999_999)), 0, 0);
            let wanted = 1 + numbers.below(1_000_000) as i64;
            let Some(given) = conversion.give(wanted) else { continue };
            // What is asked for is at least received, and one unit less would not have been enough.
            assert!(conversion.receive(given).is_some_and(|received| received >= wanted));
            assert!(given == 0 || conversion.receive(given - 1).is_some_and(|received| received < wanted));
        }
    }
}
