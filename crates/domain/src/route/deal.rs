//! Where a route's rate comes from: the rate sources and a margin, or the operator's own figure.

use super::amount::DealRate;
use super::{Exchange, Route, Settles};
use crate::asset::Rails;
use crate::pricing::{RateError, Rates};
use crate::time::Time;
use rust_decimal::Decimal;

/// How a route is priced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    pub pricing: Pricing,
    pub kind: RateKind,
    /// Significant digits that the rate is rounded to, up.
    pub digits: u32,
}

/// What the rate is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pricing {
    /// What the one currency is worth in the other by the rate sources, and so much on top, in hundredths of a percent.
    Formula { margin_bps: i64 },
    /// From-units for one to-unit, as the operator says.
    Named(Decimal),
}

/// What becomes of a rate between placing and paying (contract 4.3, `typeCalculate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateKind {
    /// It stays as it was when the order was placed.
    Fixed,
    /// If it moved by more than so much until the payment counts, the rate of that moment holds.
    Floating { reprice_bps: i64 },
}

impl RateKind {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            RateKind::Fixed => "fixed",
            RateKind::Floating { .. } => "float",
        }
    }

    /// The threshold, in hundredths of a percent; 0 for none.
    pub fn reprice_bps(self) -> i64 {
        match self {
            RateKind::Fixed => 0,
            RateKind::Floating { reprice_bps } => reprice_bps,
        }
    }
}

/// What one unit of a currency is worth in US dollars, fit to trade with.
pub fn unit_usd(priced_as: &str, rails: &Rails, rates: &Rates, now: Time) -> Result<Decimal, RateError> {
    rates.unit_usd(priced_as, rails.coin(priced_as), now)
}

impl Exchange {
    /// Whether money can be taken and paid out on both of a route's networks.
    pub fn is_open(&self, route: &Route, rails: &Rails) -> bool {
        [self.from_of(route), self.to_of(route)].into_iter().all(|currency| match &currency.settles {
            Settles::Network(asset) => rails.asset(asset).is_some_and(|(network, _)| !network.suspended),
            Settles::Manual { .. } => true,
        })
    }

    /// What one unit of the received currency costs now.
    ///
    /// # Errors
    /// A rate is unknown, too old or off its peg; a named rate always holds.
    pub fn rate(&self, route: &Route, rails: &Rails, rates: &Rates, now: Time) -> Result<DealRate, RateError> {
        let (from, to) = (self.from_of(route), self.to_of(route));
        let out_of_range = || RateError::OutOfRange { coin: from.symbol.clone() };
        let value = match &route.deal.pricing {
            Pricing::Named(value) => *value,
            Pricing::Formula { margin_bps } => {
                let gives = unit_usd(&from.priced_as, rails, rates, now)?;
                let gets = unit_usd(&to.priced_as, rails, rates, now)?;
                let factor = Decimal::ONE.checked_add(Decimal::new(*margin_bps, 4)).ok_or_else(out_of_range)?;
                let dear = gets.checked_mul(factor).and_then(|dear| dear.checked_div(gives));
                dear.ok_or_else(out_of_range)?
            }
        };
        DealRate::new(value, route.deal.digits).ok_or_else(out_of_range)
    }
}
