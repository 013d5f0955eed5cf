//! From a face value to an amount of a coin: rates, margin, discount, rounding.
//!
//! Every price is one division rounded up once, in favour of the house, to the coin's quoted decimals. A sale must be
//! priced with fresh rates and is refused without them; what is only shown (points, payment value, thresholds) uses the
//! last known ones. A US dollar product in a dollar stablecoin needs no fiat rate at all, so that no feed can stop it.
//! Must never sell below supplier cost. Called by `validate`.

use crate::asset::Coin;
use crate::coupon::Discount;
use crate::ids::PartnerId;
use crate::money::{Currency, Fiat, units_from_decimal, units_to_text};
use crate::time::{Span, Time};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The margin where no rule matches: 1.5 %, as observed (contract 3.7).
pub const DEFAULT_MARGIN_BPS: i64 = 150;

/// How much of a currency one euro buys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiatRate {
    pub per_eur: Decimal,
}

/// What one coin costs in US dollars, and when that was so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinRate {
    pub usd: Decimal,
    pub as_of: Time,
}

/// No order asks for more, in units of its asset. An adapter may write down no more than 2^53 units of one transfer (the
/// sums of an order's transfers must fit), whatever a chain says: a price near to that could never be paid.
pub const MOST_DUE: i64 = i64::MAX / 1_024 / 10;

/// One immutable snapshot of all rates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Names this snapshot; orders keep it.
    pub id: String,
    /// The euro itself need not be listed.
    pub fiat: BTreeMap<Currency, FiatRate>,
    pub fiat_as_of: Time,
    /// By ticker. A dollar stablecoin needs no entry; one that it has guards its peg.
    pub coins: BTreeMap<String, CoinRate>,
    /// Oldest fiat rates that may price a sale; days, because central banks rest at weekends and holidays.
    pub max_age: Span,
    /// Oldest coin rate that may price a sale.
    pub coin_max_age: Span,
    /// For a demo whose rates are a file: age is not looked at.
    pub never_stale: bool,
    /// How far a stablecoin may stand from 1 USD, in basis points.
    pub depeg_bps: i64,
}

impl Default for Rates {
    fn default() -> Self {
        Rates {
            id: String::new(),
            fiat: BTreeMap::new(),
            fiat_as_of: Time(0),
            coins: BTreeMap::new(),
            max_age: Span::hours(4 * 24),
            coin_max_age: Span::minutes(15),
            never_stale: false,
            depeg_bps: 100,
        }
    }
}

/// Why a sale cannot be priced now. None of it is the shopper's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    #[error("the rate {rate} is {} minutes old, too old to sell with; check the rate source", minutes(.age))]
    Stale { rate: String, age: Span },
    #[error("the rate {rate} is not known; add it to the rate source")]
    Unknown { rate: String },
    #[error("{coin} stands at {usd} USD, too far from its peg; sales in it wait until it is back")]
    Depegged { coin: String, usd: Decimal },
    #[error("the amount is too large to be priced in {coin}")]
    OutOfRange { coin: String },
}

fn minutes(age: &Span) -> i64 {
    age.0 / 60_000
}

/// A factor kept as a fraction, so that a price is divided (and rounded) only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Factor {
    times: Decimal,
    over: Decimal,
}

impl Rates {
    /// How much of `currency` one euro buys by the last known rates.
    fn per_eur(&self, currency: Currency) -> Option<Decimal> {
        if currency == Currency::EUR {
            return Some(Decimal::ONE);
        }
        self.fiat.get(&currency).map(|rate| rate.per_eur).filter(|per_eur| *per_eur > Decimal::ZERO)
    }

    /// US dollars per unit of `currency`, fit to sell with.
    fn usd_factor(&self, currency: Currency, now: Time) -> Result<Factor, RateError> {
        if currency == Currency::USD {
            return Ok(Factor { times: Decimal::ONE, over: Decimal::ONE });
        }
        let unknown = |currency: Currency| RateError::Unknown { rate: format!("EUR/{currency}") };
        let over = self.per_eur(currency).ok_or_else(|| unknown(currency))?;
        let times = self.per_eur(Currency::USD).ok_or_else(|| unknown(Currency::USD))?;
        let named = if currency == Currency::EUR { Currency::USD } else { currency };
        self.check_age(&format!("EUR/{named}"), now.since(self.fiat_as_of), self.max_age)?;
        Ok(Factor { times, over })
    }

    /// Whether the fiat table is young enough to price sales that need it.
    pub fn fiat_is_fresh(&self, now: Time) -> bool {
        self.never_stale || now.since(self.fiat_as_of) <= self.max_age
    }

    /// What one coin is worth in US dollars, fit to sell with: 1 for a dollar stablecoin unless it left its peg.
    pub fn coin_usd(&self, coin: &Coin, now: Time) -> Result<Decimal, RateError> {
        let known = self.coins.get(&coin.name);
        if coin.usd_stable {
            let off_peg = known.filter(|rate| (rate.usd - Decimal::ONE).abs() > Decimal::new(self.depeg_bps, 4));
            return match off_peg {
                Some(rate) => Err(RateError::Depegged { coin: coin.name.clone(), usd: rate.usd }),
                None => Ok(Decimal::ONE),
            };
        }
        let rate = format!("{}/USD", coin.name);
        let known = known.filter(|rate| rate.usd > Decimal::ZERO);
        let known = known.ok_or_else(|| RateError::Unknown { rate: rate.clone() })?;
        self.check_age(&rate, now.since(known.as_of), self.coin_max_age)?;
        Ok(known.usd)
    }

    /// What one unit of a coin or of a currency (ISO 4217) is worth in US dollars, fit to sell with. `coin` is the coin of
    /// that name, where one is known.
    pub fn unit_usd(&self, name: &str, coin: Option<&Coin>, now: Time) -> Result<Decimal, RateError> {
        if let Some(coin) = coin {
            return self.coin_usd(coin, now);
        }
        let currency = Currency::parse(name).ok().filter(|currency| {
            !self.coins.contains_key(name) && (*currency == Currency::USD || self.per_eur(*currency).is_some())
        });
        if let Some(currency) = currency {
            let factor = self.usd_factor(currency, now)?;
            return factor.times.checked_div(factor.over).ok_or(RateError::OutOfRange { coin: name.to_owned() });
        }
        let listed = Coin { name: name.to_owned(), quoted_decimals: 8, usd_stable: false, suspended: false };
        self.coin_usd(&listed, now)
    }

    fn check_age(&self, rate: &str, age: Span, limit: Span) -> Result<(), RateError> {
        if age > limit && !self.never_stale {
            return Err(RateError::Stale { rate: rate.to_owned(), age });
        }
        Ok(())
    }

    /// An amount in EUR by the last known rates, for display only (points, `payment_value`). `None` if no rate is known.
    pub fn eur_value(&self, amount: Fiat) -> Option<Decimal> {
        amount.decimal().checked_div(self.per_eur(amount.currency)?)
    }

    /// The same for counting against limits. Without any dollar rate a dollar counts as a euro: a sale that needs no
    /// feed must still be counted.
    pub fn counted_eur(&self, amount: Fiat) -> Option<Decimal> {
        let unrated_dollar = || (amount.currency == Currency::USD).then(|| amount.decimal());
        self.eur_value(amount).or_else(unrated_dollar)
    }

    /// Dollars of an amount in EUR by the last known rate, else one for one.
    fn usd_of_eur(&self, eur: Decimal) -> Option<Decimal> {
        eur.checked_mul(self.per_eur(Currency::USD).unwrap_or(Decimal::ONE))
    }

    /// How much of a coin an amount in EUR is, rounded up to `decimals`, by the last known rates. `None` if the coin's
    /// rate is not known. For thresholds only.
    pub fn eur_in_coin(&self, eur: Decimal, coin: &Coin, decimals: u32) -> Option<Decimal> {
        let coin_usd = if coin.usd_stable { Decimal::ONE } else { self.coins.get(&coin.name)?.usd };
        let amount = self.usd_of_eur(eur)?.checked_div(coin_usd)?;
        Some(amount.round_dp_with_strategy(decimals, RoundingStrategy::ToPositiveInfinity))
    }

    /// Loyalty points of a face value: its whole euros (contract 3.6); 0 if no rate is known.
    pub fn points(&self, face: Fiat) -> i64 {
        self.eur_value(face).and_then(|eur| i64::try_from(eur.trunc()).ok()).unwrap_or(0)
    }
}

/// A margin for whatever matches all conditions that are set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MarginRule {
    pub brand: Option<String>,
    pub country: Option<String>,
    pub coin: Option<String>,
    pub partner: Option<String>,
    /// Added to the face value, in basis points; negative sells below it (never below supplier cost).
    pub bps: i64,
}

/// What a margin is looked up for.
#[derive(Debug, Clone, Copy)]
pub struct MarginCase<'a> {
    pub brand: &'a str,
    pub country: &'a str,
    pub coin: &'a str,
    pub partner: Option<&'a PartnerId>,
}

impl MarginRule {
    fn matches(&self, case: &MarginCase<'_>) -> bool {
        let open_or = |rule: &Option<String>, value: &str| rule.as_deref().is_none_or(|wanted| wanted == value);
        open_or(&self.brand, case.brand)
            && open_or(&self.country, case.country)
            && open_or(&self.coin, case.coin)
            && self
                .partner
                .as_deref()
                .is_none_or(|wanted| case.partner.is_some_and(|partner| partner.as_str() == wanted))
    }

    /// Compared from left to right: a rule for the brand beats any rule without one.
    fn specificity(&self) -> [bool; 4] {
        [self.brand.is_some(), self.country.is_some(), self.coin.is_some(), self.partner.is_some()]
    }
}

/// The margin in basis points: that of the most specific rule that matches, of equals the first listed.
pub fn margin_bps(rules: &[MarginRule], case: &MarginCase<'_>) -> i64 {
    let matching = rules.iter().filter(|rule| rule.matches(case));
    // The last of equal maxima wins, hence from the end.
    let best = matching.rev().max_by_key(|rule| rule.specificity());
    best.map_or(DEFAULT_MARGIN_BPS, |rule| rule.bps)
}

/// A price in a coin, in units of 10^-scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoinPrice {
    pub units: i64,
    /// What the goods cost the shop, rounded up; never more than `units`.
    pub cost_units: i64,
    pub scale: u32,
    /// The coin in USD that was used.
    pub usd_rate: Decimal,
}

impl CoinPrice {
    /// The amount as text with at least the coin's quoted decimals: `101.50`.
    pub fn text(&self, quoted_decimals: u32) -> String {
        units_to_text(self.units, self.scale, quoted_decimals)
    }
}

/// Prices one line: the larger of face value plus margin and supplier cost, rounded up to what the coin is quoted with.
///
/// `cost` is in the currency of `face`; `scale` is the asset's (8 where no network is chosen yet).
#[expect(
    clippy::too_many_arguments,
    reason = "independent inputs of one price, which callers hold in different shapes"
)]
pub fn price_line(
    face: Fiat,
    cost: Fiat,
    coin: &Coin,
    scale: u32,
    rates: &Rates,
    margin_bps: i64,
    now: Time,
) -> Result<CoinPrice, RateError> {
    let usd_rate = rates.coin_usd(coin, now)?;
    let factor = rates.usd_factor(face.currency, now)?;
    let grid = coin.quoted_decimals.min(scale);
    let in_coin = |amount: Decimal| {
        let value = amount.checked_mul(factor.times)?.checked_div(factor.over.checked_mul(usd_rate)?)?;
        round_up(value, grid, scale)
    };
    let with_margin = || face.decimal().checked_mul(Decimal::new(margin_bps.saturating_add(10_000), 4));
    let priced = || {
        let cost_units = in_coin(cost.decimal())?;
        let units = in_coin(with_margin()?)?.max(cost_units);
        Some(CoinPrice { units, cost_units, scale, usd_rate })
    };
    priced().ok_or_else(|| RateError::OutOfRange { coin: coin.name.clone() })
}

/// What remains of a price after a coupon: the discount is rounded down, and never goes below supplier cost or 0.
///
/// A discount that cannot be computed is none.
pub fn discounted(price: &CoinPrice, discount: Discount, coin: &Coin, rates: &Rates) -> i64 {
    let before = Decimal::new(price.units, price.scale);
    let rest = || match discount {
        Discount::Percent(percent) => {
            let part = percent.max(Decimal::ZERO).checked_div(Decimal::ONE_HUNDRED)?;
            before.checked_sub(before.checked_mul(part)?)
        }
        Discount::Amount(eur) => before.checked_sub(rates.usd_of_eur(eur.decimal())?.checked_div(price.usd_rate)?),
    };
    let grid = coin.quoted_decimals.min(price.scale);
    let rest = rest().and_then(|rest| round_up(rest.max(Decimal::ZERO), grid, price.scale));
    rest.unwrap_or(price.units).max(price.cost_units).min(price.units)
}

/// Splits `due` over lines in proportion to their prices, in whole steps, so that the parts add up to `due`: what a
/// line costs is also what is refunded for it.
pub fn shares(due: i64, prices: &[i64], step: i64) -> Vec<i64> {
    let step = i128::from(step.max(1));
    let total: i128 = prices.iter().map(|price| i128::from(*price)).sum();
    let due_steps = i128::from(due) / step;
    let mut price_so_far = 0_i128;
    let mut given = 0_i128;
    let mut parts = Vec::with_capacity(prices.len());
    for price in prices {
        price_so_far += i128::from(*price);
        let until_here = (due_steps * price_so_far).checked_div(total).unwrap_or(0) * step;
        parts.push(i64::try_from(until_here - given).unwrap_or(0));
        given = until_here;
    }
    parts
}

fn round_up(value: Decimal, grid: u32, scale: u32) -> Option<i64> {
    let rounded = value.round_dp_with_strategy(grid, RoundingStrategy::ToPositiveInfinity);
    units_from_decimal(rounded, scale, RoundingStrategy::ToPositiveInfinity).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::samples::{NOW, coin, decimal, fiat, rates};

    fn price(face: &str, cost: &str, coin: &Coin, bps: i64, rates: &Rates) -> Result<String, RateError> {
        let price = price_line(fiat(face), fiat(cost), coin, 8, rates, bps, NOW)?;
        Ok(price.text(coin.quoted_decimals))
    }

    #[test]
    fn prices_are_rounded_up_and_never_below_cost() {
        let (usdc, btc) = (coin("USDC", 2, true), coin("BTC", 8, false));
        let table = [
            ("100 USD", "97 USD", &usdc, 150, "101.50"),
            ("100 USD", "90 USD", &usdc, -500, "95.00"),
            ("100 USD", "97 USD", &usdc, -500, "97.00"),
            ("100 USD", "97 USD", &usdc, -20_000, "97.00"),
            ("100 USD", "103 USD", &usdc, 150, "103.00"),
            ("33.33 USD", "30 USD", &usdc, 150, "33.83"), // 33.82995
            ("0.01 USD", "0 USD", &usdc, 150, "0.02"),
            ("10 EUR", "9 EUR", &usdc, 150, "12.69"), // 12.5 USD, 12.6875
            ("1600 JPY", "1500 JPY", &usdc, 150, "12.69"),
            ("8 GBP", "7 GBP", &usdc, 150, "12.69"),
            ("8 GBP", "7 GBP", &usdc, 0, "12.50"), // exact: nothing to round
            ("100 USD", "97 USD", &btc, 150, "0.00203000"),
            ("1 USD", "0 USD", &btc, 33, "0.00002007"), // 0.000020066
        ];
        for (face, cost, coin, bps, expected) in table {
            assert_eq!(price(face, cost, coin, bps, &rates()), Ok(expected.into()), "{face} at {bps} in {}", coin.name);
        }
    }

    #[test]
    fn units_are_those_of_the_asset() {
        let usdc = coin("USDC", 2, true);
        let price = price_line(fiat("100 USD"), fiat("97 USD"), &usdc, 6, &rates(), 150, NOW).expect("a price");
        assert_eq!((price.units, price.cost_units, price.usd_rate), (101_500_000, 97_000_000, Decimal::ONE));
    }

    #[test]
    fn a_stale_rate_refuses_but_never_stops_a_dollar_in_a_dollar_coin() {
        let (usdc, btc, doge) = (coin("USDC", 2, true), coin("BTC", 8, false), coin("DOGE", 4, false));
        let aged = |fiat: Span, coins: Span| {
            let mut rates = rates();
            rates.fiat_as_of = Time(NOW.0 - fiat.0);
            rates.coins.values_mut().for_each(|rate| rate.as_of = Time(NOW.0 - coins.0));
            rates
        };
        let (fresh, year) = (Span(0), Span::hours(24 * 365));
        let stale = |rate: &str, age| Err(RateError::Stale { rate: rate.into(), age });
        let unknown = |rate: &str| Err(RateError::Unknown { rate: rate.into() });
        let days_4 = Span::hours(96);
        let past = |span: Span| Span(span.0 + 1);

        assert_eq!(price("100 USD", "97 USD", &usdc, 150, &aged(year, year)), Ok("101.50".into()));
        assert_eq!(price("10 EUR", "9 EUR", &usdc, 150, &aged(days_4, fresh)), Ok("12.69".into()));
        assert_eq!(price("10 EUR", "9 EUR", &usdc, 150, &aged(past(days_4), fresh)), stale("EUR/USD", past(days_4)));
        assert_eq!(price("8 GBP", "7 GBP", &usdc, 150, &aged(year, fresh)), stale("EUR/GBP", year));
        let quarter = Span::minutes(15);
        assert_eq!(price("100 USD", "97 USD", &btc, 150, &aged(year, quarter)), Ok("0.00203000".into()));
        assert_eq!(price("100 USD", "97 USD", &btc, 150, &aged(fresh, past(quarter))), stale("BTC/USD", past(quarter)));
        let demo = Rates { never_stale: true, ..aged(year, year) };
        assert_eq!(price("8 GBP", "7 GBP", &btc, 0, &demo), Ok("0.00025000".into()));
        assert_eq!(price("1 USD", "1 USD", &doge, 150, &rates()), unknown("DOGE/USD"));
        assert_eq!(price("1 TRY", "1 TRY", &usdc, 150, &rates()), unknown("EUR/TRY"));
    }

    #[test]
    fn a_stablecoin_off_its_peg_is_refused() {
        let usdc = coin("USDC", 2, true);
        for (usd, on_peg) in [("1", true), ("0.99", true), ("1.01", true), ("0.9899", false), ("1.0101", false)] {
            let mut rates = rates();
            rates.coins.insert("USDC".into(), CoinRate { usd: decimal(usd), as_of: NOW });
            let refused = Err(RateError::Depegged { coin: "USDC".into(), usd: decimal(usd) });
            let expected = if on_peg { Ok("101.50".into()) } else { refused };
            assert_eq!(price("100 USD", "97 USD", &usdc, 150, &rates), expected, "{usd}");
        }
    }

    #[test]
    fn display_uses_the_last_known_rate() {
        let old = Rates { fiat_as_of: Time(0), ..rates() };
        assert_eq!(old.eur_value(fiat("25 USD")), Some(decimal("20")));
        assert_eq!((old.points(fiat("25 USD")), old.points(fiat("24.99 USD"))), (20, 19));
        let empty = Rates::default();
        assert_eq!((empty.eur_value(fiat("25 USD")), empty.points(fiat("25 USD"))), (None, 0));
        assert_eq!(empty.counted_eur(fiat("25 USD")), Some(decimal("25")));
        assert_eq!(empty.counted_eur(fiat("25 GBP")), None);
        assert_eq!(old.eur_in_coin(decimal("0.5"), &coin("USDC", 2, true), 2), Some(decimal("0.63")));
        assert_eq!(old.eur_in_coin(decimal("0.5"), &coin("DOGE", 2, false), 2), None);
    }

    #[test]
    fn the_most_specific_margin_wins() {
        let rule = |brand: &str, country: &str, coin: &str, partner: &str, bps| {
            let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            MarginRule { brand: set(brand), country: set(country), coin: set(coin), partner: set(partner), bps }
        };
        let rules = [
            rule("", "US", "BTC", "p1", 1),
            rule("Steam", "", "", "", 2),
            rule("Steam", "US", "", "", 3),
            rule("", "", "BTC", "", 4),
            rule("", "", "BTC", "", 5),
            rule("", "", "", "p1", 6),
        ];
        let partner = PartnerId::new("p1");
        let table = [
            ("Steam", "US", "BTC", Some(&partner), 3),
            ("Steam", "DE", "BTC", Some(&partner), 2),
            ("Airbnb", "US", "BTC", Some(&partner), 1),
            ("Airbnb", "US", "BTC", None, 4),
            ("Airbnb", "US", "USDC", Some(&partner), 6),
            ("Airbnb", "US", "USDC", None, DEFAULT_MARGIN_BPS),
        ];
        for (brand, country, coin, partner, expected) in table {
            let case = MarginCase { brand, country, coin, partner };
            assert_eq!(margin_bps(&rules, &case), expected, "{case:?}");
        }
    }

    #[test]
    fn discounts_are_rounded_for_the_house_and_stop_at_cost() {
        let usdc = coin("USDC", 2, true);
        let percent = |text: &str| Discount::Percent(decimal(text));
        let amount = |text: &str| Discount::Amount(fiat(text));
        // Prices and costs in cents of a coin with 6 decimals.
        let table = [
            (10_150, 9_000, percent("10"), 9_135),
            (10_150, 9_700, percent("10"), 9_700),
            (10_150, 0, percent("100"), 0),
            (10_150, 0, percent("250"), 0),
            (10_150, 0, percent("-5"), 10_150),
            (2, 0, percent("33"), 2),                   // 1.34 cents
            (10_150, 9_000, amount("5 EUR"), 9_525),    // 6.25 USD
            (10_150, 9_000, amount("3.33 EUR"), 9_734), // 4.1625 USD
            (10_150, 9_000, amount("1000 EUR"), 9_000),
        ];
        for (before, cost, discount, after) in table {
            let price =
                CoinPrice { units: before * 10_000, cost_units: cost * 10_000, scale: 6, usd_rate: Decimal::ONE };
            assert_eq!(discounted(&price, discount, &usdc, &rates()), after * 10_000, "{before} {discount:?}");
        }
    }

    #[test]
    fn shares_add_up_to_what_is_due() {
        assert_eq!(shares(100, &[50, 50, 50], 1), [33, 33, 34]);
        assert_eq!(shares(90_000, &[50_000, 50_000], 10_000), [40_000, 50_000]);
        assert_eq!(shares(150, &[100, 50], 1), [100, 50]);
        assert_eq!(shares(0, &[0, 0], 1), [0, 0]);
        assert_eq!(shares(5, &[], 1), Vec::<i64>::new());
        let large = [i64::MAX / 4; 3];
        assert_eq!(shares(i64::MAX / 2, &large, 1).iter().sum::<i64>(), i64::MAX / 2);
    }
}
