//! Which product a basket line means.
//!
//! Names are exact and nothing falls back to something similar: a shopper must never pay for another card than the one
//! that he named (contract 3.9).

use super::{Basket, BasketLine, Market, Problem, RangeBounds};
use crate::catalog::{Brand, Denomination, OWN_STOCK, Product};
use crate::money::{Currency, Fiat};

/// The `denomination` of a range product in an order.
pub const RANGE: &str = "range";

/// A product at a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer<'a> {
    pub brand: &'a Brand,
    pub product: &'a Product,
    pub face: Fiat,
    /// What it costs the shop, in the currency of `face`.
    pub cost: Fiat,
}

impl Offer<'_> {
    /// The chosen value as a plain decimal; `None` for a fixed product.
    pub fn product_value(&self) -> Option<String> {
        matches!(self.product.denomination, Denomination::Range { .. }).then(|| self.face.plain())
    }

    /// The text that an order sends for it.
    pub fn denomination(&self) -> String {
        match self.product.denomination {
            Denomination::Fixed { .. } => self.product.name.clone(),
            Denomination::Range { .. } => RANGE.to_owned(),
        }
    }

    /// The same for people.
    pub fn label(&self) -> String {
        match self.product.denomination {
            Denomination::Fixed { .. } => self.product.label.clone(),
            Denomination::Range { .. } => money_label(self.face),
        }
    }
}

/// A line of the basket and what was found for it.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    pub request: &'a BasketLine,
    pub brand: Option<&'a Brand>,
    pub offer: Result<Offer<'a>, Problem>,
}

/// What every line means.
pub(super) fn find_all<'a>(basket: &'a Basket, market: &'a Market) -> Vec<Line<'a>> {
    let find = |request: &'a BasketLine| {
        let brand = market.catalogue.brand(&request.country, &request.brand);
        let absent = Problem::NotAvailableProduct { range: None };
        let offer =
            brand.map_or(Err(absent), |brand| offer_of(brand, &request.denomination, request.product_value.as_deref()));
        Line { request, brand, offer }
    };
    basket.lines.iter().map(find).collect()
}

/// The offers that are delivered from the operator's own codes first.
pub(super) fn own_stock<'a>(lines: &'a [Line<'a>]) -> impl Iterator<Item = &'a Offer<'a>> {
    let offers = lines.iter().filter_map(|line| line.offer.as_ref().ok());
    offers.filter(|offer| offer.product.suppliers.first().is_some_and(|first| first.supplier == OWN_STOCK))
}

/// The product of a brand that an order line names.
///
/// `denomination` is a listed text, `range` with a value, a bare number (`100`), or, for a brand that sells nothing but
/// ranges, an amount with its currency (`75 USD`). Errors: `NotAvailableProduct`, with bounds where a range was meant.
pub fn offer_of<'a>(brand: &'a Brand, denomination: &str, value: Option<&str>) -> Result<Offer<'a>, Problem> {
    let absent = Problem::NotAvailableProduct { range: None };
    if denomination == RANGE {
        return value.map_or(Err(absent), |value| in_range(brand, value, None));
    }
    if let Some(offer) = fixed_named(brand, |product| product.name == denomination) {
        return same_value(offer, value);
    }
    if is_number(denomination) {
        let means_it = |product: &Product| listed_amount(product).is_some_and(|amount| is_amount(denomination, amount));
        if let Some(offer) = fixed_named(brand, means_it) {
            return same_value(offer, value);
        }
        return same_value(in_range(brand, denomination, None)?, value);
    }
    let only_ranges = brand.products.iter().all(|product| matches!(product.denomination, Denomination::Range { .. }));
    match amount_and_currency(denomination).filter(|_| only_ranges) {
        Some((amount, currency)) => same_value(in_range(brand, amount, Some(currency))?, value),
        None => Err(absent),
    }
}

/// The product of a brand that sells a face value: a range that holds it, else a fixed product or plan of it (contract
/// 3.7, a call that is meant for ranges). For showing a price only; an order names what it wants.
pub fn offer_of_value<'a>(brand: &'a Brand, face_value: &str) -> Result<Offer<'a>, Problem> {
    let costs_it = |product: &Product| match product.denomination {
        Denomination::Fixed { face, .. } => is_amount(face_value, face),
        Denomination::Range { .. } => false,
    };
    in_range(brand, face_value, None).or_else(|problem| fixed_named(brand, costs_it).ok_or(problem))
}

/// The first fixed product that is meant, active ones before inactive ones.
fn fixed_named<'a>(brand: &'a Brand, is_meant: impl Fn(&Product) -> bool) -> Option<Offer<'a>> {
    let offers = brand.products.iter().filter_map(|product| match product.denomination {
        Denomination::Fixed { face, cost } if is_meant(product) => Some(Offer { brand, product, face, cost }),
        Denomination::Fixed { .. } | Denomination::Range { .. } => None,
    });
    offers.min_by_key(|offer| !offer.product.active)
}

/// The first range product that holds `value`, active ones before inactive ones.
fn in_range<'a>(brand: &'a Brand, value: &str, currency: Option<&str>) -> Result<Offer<'a>, Problem> {
    let wanted = |product: &&Product| currency.is_none_or(|code| product.denomination.currency().as_str() == code);
    let mut refused = Problem::NotAvailableProduct { range: None };
    let mut found: Option<Offer<'a>> = None;
    for product in brand.products.iter().filter(wanted) {
        let Denomination::Range { min, max, step, cost_bps, .. } = product.denomination else {
            continue;
        };
        match Fiat::parse(value, min.currency).ok().filter(|face| holds(min, max, step, *face)) {
            Some(face) if found.as_ref().is_none_or(|offer| !offer.product.active && product.active) => {
                found = Some(Offer { brand, product, face, cost: part_of(face, cost_bps) });
            }
            Some(_) => {}
            None if refused == (Problem::NotAvailableProduct { range: None }) => {
                let bounds = RangeBounds { min: min.plain(), max: max.plain(), step: step.plain() };
                refused = Problem::NotAvailableProduct { range: Some(bounds) };
            }
            None => {}
        }
    }
    found.ok_or(refused)
}

/// Whether a value lies in a range and on one of its steps, which are counted from `min`.
fn holds(min: Fiat, max: Fiat, step: Fiat, face: Fiat) -> bool {
    (min.units..=max.units).contains(&face.units) && (face.units - min.units) % step.units.max(1) == 0
}

/// Basis points of an amount, rounded up: a cost is never understated.
pub(crate) fn part_of(face: Fiat, bps: i64) -> Fiat {
    let exact = i128::from(face.units) * i128::from(bps.max(0));
    let units = i64::try_from((exact + 9_999) / 10_000).unwrap_or(i64::MAX);
    Fiat { currency: face.currency, units }
}

/// A value sent beside a denomination must say the same.
fn same_value<'a>(offer: Offer<'a>, value: Option<&str>) -> Result<Offer<'a>, Problem> {
    match value {
        Some(value) if !is_amount(value, offer.face) => Err(Problem::NotAvailableProduct { range: None }),
        _ => Ok(offer),
    }
}

/// The face value of a fixed product that is listed as an amount of money (`100 USD`), not as a plan.
fn listed_amount(product: &Product) -> Option<Fiat> {
    let Denomination::Fixed { face, .. } = product.denomination else {
        return None;
    };
    let (amount, currency) = amount_and_currency(&product.name)?;
    (currency == face.currency.as_str() && is_amount(amount, face)).then_some(face)
}

/// Splits `75 USD`.
fn amount_and_currency(text: &str) -> Option<(&str, &str)> {
    let (amount, currency) = text.split_once(' ')?;
    (is_number(amount) && Currency::parse(currency).is_ok()).then_some((amount, currency))
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn is_amount(text: &str, amount: Fiat) -> bool {
    Fiat::parse(text, amount.currency) == Ok(amount)
}

/// An amount for people: `$75`, `R$20`, `20 zł`, `1500 CHF`; the currency's code where no sign is common.
pub fn money_label(amount: Fiat) -> String {
    let sign = match amount.currency.as_str() {
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        "BRL" => "R$",
        "JPY" => "¥",
        "INR" => "₹",
        "TRY" => "₺",
        "CAD" => "C$",
        "AUD" => "A$",
        "PLN" => return format!("{} zł", short(amount)),
        _ => return format!("{} {}", short(amount), amount.currency),
    };
    format!("{sign}{}", short(amount))
}

/// `75` for whole amounts, else with the decimals of the minor unit: `12.50`.
fn short(amount: Fiat) -> String {
    let plain = amount.plain();
    if plain.contains('.') { amount.with_minor_digits() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::samples::{airbnb, brand, fiat, fixed, plan, range};

    /// `sku face cost` of what is meant, else the bounds of the range or `absent`.
    fn meaning(offer: Result<Offer<'_>, Problem>) -> String {
        match offer {
            Ok(offer) => format!("{} {} {}", offer.product.sku, offer.face.plain(), offer.cost.plain()),
            Err(Problem::NotAvailableProduct { range: Some(bounds) }) => {
                format!("{}..{} by {}", bounds.min, bounds.max, bounds.step)
            }
            Err(Problem::NotAvailableProduct { range: None }) => "absent".into(),
            Err(other) => other.code().into(),
        }
    }

    fn check(brand: &Brand, table: &[(&str, &str, &str)]) {
        for (denomination, value, expected) in table {
            let value = (!value.is_empty()).then_some(*value);
            assert_eq!(meaning(offer_of(brand, denomination, value)), *expected, "{denomination} {value:?}");
        }
    }

    #[test]
    fn a_brand_with_fixed_cards_and_a_range() {
        let bounds = "50..500 by 1";
        check(
            &airbnb(),
            &[
                ("100 USD", "", "abnb-100 100 97"),
                ("100 USD", "100", "abnb-100 100 97"),
                ("100 USD", "100.00", "abnb-100 100 97"),
                ("100 USD", "50", "absent"),
                ("100", "", "abnb-100 100 97"),
                ("100.0", "", "abnb-100 100 97"),
                ("75", "", "abnb-range 75 72.75"),
                ("75", "80", "absent"),
                ("12", "", bounds),
                ("12 USD", "", "absent"),
                ("75 USD", "", "absent"),
                ("100 EUR", "", "absent"),
                ("100.00 USD", "", "absent"),
                ("100 usd", "", "absent"),
                (" 100 USD", "", "absent"),
                ("", "", "absent"),
                ("range", "", "absent"),
                ("range", "75", "abnb-range 75 72.75"),
                ("range", "75.0", "abnb-range 75 72.75"),
                ("range", "100", "abnb-range 100 97"),
                ("range", "50", "abnb-range 50 48.5"),
                ("range", "500", "abnb-range 500 485"),
                ("range", "500.01", bounds),
                ("range", "49", bounds),
                ("range", "75.5", bounds),
                ("range", "-75", bounds),
                ("range", "7.5e1", bounds),
                ("range", "1e400", bounds),
                ("range", "seventy-five", bounds),
                ("Range", "75", "absent"),
            ],
        );
    }

    #[test]
    fn a_brand_with_ranges_only_takes_amounts_with_their_currency() {
        // Steps are counted from the least value: 5.5, 6, 6.5 USD. Cost is 97 %.
        let ranges = brand(
            "Steam",
            "US",
            vec![range("eur", "5 EUR", "50 EUR", "5 EUR"), range("usd", "5.5 USD", "100 USD", "0.5 USD")],
        );
        check(
            &ranges,
            &[
                ("25.5 USD", "", "usd 25.5 24.735"),
                ("25 EUR", "", "eur 25 24.25"),
                ("25 EUR", "25", "eur 25 24.25"),
                ("25 EUR", "30", "absent"),
                ("26 EUR", "", "5..50 by 5"),
                ("25 GBP", "", "absent"),
                ("range", "10", "eur 10 9.7"),
                ("range", "99.5", "usd 99.5 96.515"),
                ("5", "", "eur 5 4.85"),
            ],
        );
    }

    #[test]
    fn plans_are_named_in_full() {
        let plans = vec![plan("1gb", "1 GB 7 days", "4.5 USD"), plan("unlimited", "Unlimited 3 days", "12 USD")];
        check(
            &brand("eSIM", "US", plans),
            &[
                ("1 GB 7 days", "", "1gb 4.5 4.5"),
                ("1 GB 7 days", "4.50", "1gb 4.5 4.5"),
                ("12 USD", "", "absent"),
                ("12", "", "absent"),
                ("4.5", "", "absent"),
                ("1", "", "absent"),
                ("1 GB", "", "absent"),
                ("range", "12", "absent"),
            ],
        );
    }

    #[test]
    fn an_active_product_is_preferred_but_an_inactive_one_is_still_known() {
        let mut retired = fixed("old", "10 USD", "10 USD");
        retired.active = false;
        let alone = brand("Libon", "US", vec![retired.clone()]);
        check(&alone, &[("10 USD", "", "old 10 10")]);
        let both = brand("Libon", "US", vec![retired, fixed("new", "10 USD", "10 USD")]);
        check(&both, &[("10 USD", "", "new 10 10"), ("10", "", "new 10 10")]);
    }

    #[test]
    fn a_face_value_means_the_range_first() {
        let only_fixed = brand("Libon", "US", vec![fixed("ten", "10 USD", "9 USD")]);
        assert_eq!(meaning(offer_of_value(&airbnb(), "100")), "abnb-range 100 97");
        assert_eq!(meaning(offer_of_value(&airbnb(), "12")), "50..500 by 1");
        assert_eq!(meaning(offer_of_value(&only_fixed, "10.00")), "ten 10 9");
        assert_eq!(meaning(offer_of_value(&only_fixed, "11")), "absent");
        let plans = brand("eSIM", "US", vec![plan("1gb", "1 GB 7 days", "4.5 USD")]);
        assert_eq!(meaning(offer_of_value(&plans, "4.50")), "1gb 4.5 4.5");
    }

    #[test]
    fn labels_are_short() {
        for (amount, label) in
            [("75 USD", "$75"), ("12.5 EUR", "€12.50"), ("20 BRL", "R$20"), ("1500 TRY", "₺1500"), ("500 JPY", "¥500")]
        {
            assert_eq!(money_label(fiat(amount)), label);
        }
    }

    #[test]
    fn a_cost_is_rounded_up() {
        // 97 % of the smallest unit is less than one unit, and is counted as one.
        assert_eq!(part_of(Fiat { currency: Currency::USD, units: 1 }, 9_700).units, 1);
        assert_eq!(part_of(fiat("100 USD"), 9_700), fiat("97 USD"));
    }
}
