//! Every problem code once, and what a basket costs: the case that all tables change, and what holds over all of them.

mod baskets;
mod coupons;
mod quotes;

use super::samples::{NOW, airbnb, basket, brand, by_phone, decimal, fixed, line, market, plan, rails, range, rates};
use super::*;
use crate::catalog::{Brand, Product};
use crate::coupon::{Coupon, Discount};
use std::collections::BTreeSet;

/// Everything that a row of a table may change.
struct Case {
    basket: Basket,
    brands: Vec<Brand>,
    coupon: Coupon,
    rails: Rails,
    rates: Rates,
    vias: Vec<String>,
    facts: Facts,
}

/// A basket without problems: an Airbnb card of 100 USD (80 EUR), 20 of each code in stock. `SAVE10` is known, not used.
fn good() -> Case {
    let top_up = by_phone(fixed("tel-10", "10 USD", "9 USD"));
    let mut tiny = fixed("tiny", "0.5 USD", "0.4 USD");
    tiny.limited = true;
    let brands = vec![
        airbnb(),
        brand("Telco", "US", vec![top_up]),
        brand("Tiny", "US", vec![tiny]),
        brand("Steam", "US", vec![range("steam", "5 EUR", "100 EUR", "1 EUR")]),
        brand("eSIM", "US", vec![plan("1gb", "1 GB 7 days", "4.5 USD")]),
    ];
    let stocked = ["abnb-50", "abnb-100", "abnb-500"].map(|sku| (Sku::new(sku), StockCount { free: 25, held: 5 }));
    Case {
        basket: basket(),
        brands,
        coupon: Coupon::new("save10", Discount::Percent(decimal("10"))),
        rails: rails(),
        rates: rates(),
        vias: vec!["USER_WALLET".into()],
        facts: Facts { counters: BTreeMap::new(), stock: stocked.into_iter().collect() },
    }
}

impl Case {
    fn brand(&mut self, name: &str) -> &mut Brand {
        self.brands.iter_mut().find(|brand| brand.name == name).expect("a brand of the case")
    }

    fn first_product(&mut self, brand: &str) -> &mut Product {
        self.brand(brand).products.first_mut().expect("a product")
    }

    fn order(&mut self, lines: &[(&str, &str)]) {
        self.basket.lines = lines.iter().map(|(brand, denomination)| line(brand, denomination)).collect();
    }

    fn deliver_to(&mut self, beneficiary: &str) {
        for line in &mut self.basket.lines {
            line.beneficiary = Some(beneficiary.into());
        }
    }

    fn sign_in(&mut self) {
        self.basket.customer = Some(CustomerId::new("c1"));
    }

    /// Uses the coupon of the case.
    fn coupon(&mut self) -> &mut Coupon {
        self.basket.promo_code = Some("Save10".into());
        &mut self.coupon
    }

    fn count(&mut self, key: CounterKey, held: i64, used: i64) {
        self.facts.counters.insert(key, Counter { held, used });
    }

    fn market(&self) -> Market {
        let mut market = market(self.brands.clone(), vec![self.coupon.clone()]);
        market.rates = Arc::new(self.rates.clone());
        market.rails = self.rails.clone();
        market.vias = self.vias.clone();
        market
    }

    fn check(&self) -> Result<Checked, CheckError> {
        check(&self.basket, &self.market(), &self.facts, NOW)
    }

    fn codes(&self) -> Vec<&'static str> {
        self.check().expect("neither suspended nor without rates").problems.iter().map(Problem::code).collect()
    }

    fn quote(&self) -> Quote {
        self.check().expect("neither suspended nor without rates").quote.expect("every line has a price")
    }
}

type Row = (&'static str, fn(&mut Case), &'static [&'static str]);

fn changed(change: fn(&mut Case)) -> Case {
    let mut case = good();
    change(&mut case);
    case
}

fn check_table(table: &[Row]) {
    for (name, change, expected) in table {
        assert_eq!(changed(*change).codes(), *expected, "{name}");
    }
}

#[test]
fn the_tables_provoke_every_code() {
    let provoked: BTreeSet<&str> =
        baskets::TABLE.iter().chain(coupons::TABLE).flat_map(|(_, _, codes)| codes.iter().copied()).collect();
    assert_eq!(provoked, BTreeSet::from(CODES));
}

#[test]
fn three_problems_at_once_stand_in_the_order_of_the_contract() {
    let case = changed(|case| {
        case.basket.promo_code = Some("NOPE".into());
        case.basket.payment_via = "CASH_IN_HAND".into();
        case.order(&[("Airbnb", "12 USD"), ("Airbnb", "100 USD")]);
    });
    assert_eq!(case.codes(), ["NOT_AVAILABLE_PRODUCT", "NOT_ALLOWED_PAYMENT_VIA", "COUPON_NOT_FOUND"]);
    let checked = case.check().expect("problems, not an error");
    assert_eq!(checked.quote, None);
    let units: Vec<Option<i64>> = checked.lines.iter().map(|line| line.as_ref().map(|line| line.coin_units)).collect();
    assert_eq!(units, [None, Some(101_500_000)]);
}

#[test]
fn details_say_what_would_do() {
    let first = |change: fn(&mut Case)| changed(change).check().expect("problems, not an error").problems.remove(0);
    let text = String::from;
    assert_eq!(
        first(|case| case.order(&[("Tiny", "0.5 USD")])),
        Problem::AmountBelowMinimum { minimum: text("0.63"), coin: text("USDC") }
    );
    assert_eq!(
        first(|case| case.order(&[("Airbnb", "500 USD"); 3])),
        Problem::MaximumPerOrder { maximum: text("1000.00") }
    );
    assert_eq!(first(|case| case.order(&[("Airbnb", "50 USD"); 11])), Problem::ProductCountExceeded { maximum: 10 });
    let bounds = RangeBounds { min: text("5"), max: text("100"), step: text("1") };
    assert_eq!(first(|case| case.order(&[("Steam", "4")])), Problem::NotAvailableProduct { range: Some(bounds) });
    assert_eq!(
        first(|case| case.basket.payment_via = "X".into()),
        Problem::NotAllowedPaymentVia { allowed: vec![text("USER_WALLET")] }
    );
    let pairs = [("USDC", "Base"), ("BTC", "Mainnet"), ("ETH", "Base"), ("TON", "Ton")];
    let unsupported = first(|case| {
        case.rails.networks[0].suspended = true;
        case.basket.network = Some("Ethereum".into());
    });
    let supported = pairs.map(|(coin, network)| (text(coin), text(network))).to_vec();
    assert_eq!(unsupported, Problem::UnsupportedCombination { supported });
    let two_bad_recipients = changed(|case| {
        case.order(&[("Airbnb", "50 USD"), ("Airbnb", "100 USD")]);
        case.deliver_to("nobody");
    });
    let problems = two_bad_recipients.check().expect("problems, not an error").problems;
    let lines: Vec<_> =
        problems.iter().map(|problem| matches!(problem, Problem::InvalidBeneficiary { line: Some(_), .. })).collect();
    assert_eq!(lines, [true, true]);
}
