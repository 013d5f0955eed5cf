//! What an accepted quote means for the order that is made of it: its counts, its tolerance, its price on another day.
//!
//! Called by `decide` and by the engine. Must never refuse anything: that is `validate`'s.

use crate::asset::Network;
use crate::catalog::{OWN_STOCK, SupplierSku};
use crate::event::Count;
use crate::ids::PartnerId;
use crate::limits::{self, Subject};
use crate::money::{Fiat, units_from_decimal};
use crate::order::Order;
use crate::pricing::{MarginCase, margin_bps, price_line};
use crate::route::{Currency, DealRate};
use crate::time::Time;
use crate::validate::{Basket, Facts, Market, Quote, QuotedLine};
use rust_decimal::{Decimal, RoundingStrategy};

/// Whether a line is delivered from the operator's own codes first; those are promised when the order is placed.
pub fn is_own_stock(suppliers: &[SupplierSku]) -> bool {
    suppliers.first().is_some_and(|first| first.supplier == OWN_STOCK)
}

/// The network that a basket will be paid on, if the basket names one that exists.
pub fn network_of<'a>(basket: &Basket, market: &'a Market) -> Option<&'a Network> {
    let coin = crate::validate::coin_named(&market.rails, &basket.coin)?;
    let wanted = |network: &&Network| match &basket.network {
        Some(name) => network.name == *name,
        None => !network.suspended,
    };
    let carrying: Vec<&Network> =
        market.rails.networks.iter().filter(|n| n.assets.iter().any(|a| a.coin == coin.name)).collect();
    carrying.into_iter().find(wanted)
}

/// The shared counters that an order of this basket moves.
pub fn counts(basket: &Basket, quote: &Quote, now: Time) -> Vec<Count> {
    let subject = Subject::of(basket.customer.as_ref(), &basket.buyer_key);
    limits::counts(&subject, quote.coupon.as_ref().map(|coupon| coupon.code.as_str()), quote.eur_cents, now)
}

/// Half a US dollar in units of the quote's asset.
pub fn half_a_dollar(quote: &Quote) -> i64 {
    let amount = Decimal::new(5, 1).checked_div(quote.usd_rate).unwrap_or(Decimal::ZERO);
    units_from_decimal(amount, quote.scale, RoundingStrategy::ToZero).unwrap_or(0)
}

/// What units of the quote's asset were worth in US dollars when it was made; `None` if nobody knew.
pub fn usd_value(quote: &Quote, units: i64) -> Option<Decimal> {
    let amount = Decimal::try_from_i128_with_scale(i128::from(units), quote.scale).ok()?;
    if quote.usd_rate.is_zero() { None } else { amount.checked_mul(quote.usd_rate) }
}

/// What the same lines would cost now, coupon and margins unchanged; `None` while the rates are not fit to sell with.
pub fn price_now(order: &Order, market: &Market, now: Time) -> Option<i64> {
    if let Some(trade) = order.trade() {
        return trade.price_at(rate_now(order, market, now)?);
    }
    let quote = &order.quote;
    let partner = order.origin.partner.clone().map(PartnerId::new);
    let coin = market.rails.coin(&quote.coin)?;
    let mut total: i64 = 0;
    for line in &quote.lines {
        let case =
            MarginCase { brand: &line.brand, country: &line.country, coin: &quote.coin, partner: partner.as_ref() };
        let margin = margin_bps(&market.margins, &case);
        let cost = cost_of(line, market);
        total = total
            .checked_add(price_line(line.face, cost, coin, quote.scale, &market.rates, margin, now).ok()?.units)?;
    }
    let scaled = i128::from(total) * i128::from(quote.due_units) / i128::from(quote.original_units.max(1));
    i64::try_from(scaled).ok()
}

/// The rate of an exchange order's route now; `None` while it is not fit to trade with, and for other orders.
pub fn rate_now(order: &Order, market: &Market, now: Time) -> Option<DealRate> {
    let route = market.exchange.route(&order.trade()?.route)?;
    market.exchange.rate(route, &market.rails, &market.rates, now).ok()
}

/// What could still be promised of what an exchange order pays out.
pub fn reserve_left(order: &Order, market: &Market, shared: &Facts) -> i64 {
    let currency = order.trade().and_then(|trade| market.exchange.currency(&trade.to.xml));
    currency.map_or(0, |currency| currency.available_units(shared.counters.get(&currency.reserve_key())))
}

/// Whether the counters that an order let go of have room for it again: a payment after the expiry claims anew.
pub fn has_room(order: &Order, market: &Market, shared: &Facts) -> bool {
    let coupon = order.quote.coupon.as_ref().and_then(|applied| market.catalogue.coupon(&applied.code));
    let tier = match order.origin.customer {
        Some(_) => &market.limits.customer,
        None => &market.limits.anonymous,
    };
    order.counts.iter().filter(|count| count.kept).all(|count| {
        let most = match (count.key.rule.as_str(), count.key.period.len()) {
            ("coupon", _) => coupon.and_then(|coupon| coupon.max_uses),
            ("coupon_user", _) => coupon.and_then(|coupon| coupon.max_uses_per_user),
            ("limit", MONTH_LENGTH) => Some(limits::eur_cents(tier.per_month)),
            ("limit", _) => Some(limits::eur_cents(tier.per_day)),
            ("reserve", _) => market.exchange.currency(&count.key.subject).map(Currency::reserve_units),
            _ => None,
        };
        most.is_none_or(|most| shared.counted(&count.key).saturating_add(count.amount) <= most)
    })
}

/// `YYYY-MM`.
const MONTH_LENGTH: usize = 7;

fn cost_of(line: &QuotedLine, market: &Market) -> Fiat {
    use crate::catalog::Denomination;
    match market.catalogue.product(&line.sku).map(|(_, product)| &product.denomination) {
        Some(Denomination::Fixed { cost, .. }) => *cost,
        Some(Denomination::Range { cost_bps, .. }) => crate::validate::part_of(line.face, *cost_bps),
        None => Fiat { currency: line.face.currency, units: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Denomination;
    use crate::pricing::{CoinRate, RateError, Rates};
    use crate::validate::samples::{NOW, basket, brand, decimal, line, market, range};
    use crate::validate::{CheckError, check, part_of};
    use std::sync::Arc;

    /// A late payment is weighed against today's price, and that is never below what the goods cost.
    #[test]
    fn a_range_is_priced_anew_at_no_less_than_its_cost() {
        let mut dear = range("dear", "50 USD", "500 USD", "1 USD");
        let Denomination::Range { cost_bps, .. } = &mut dear.denomination else { panic!("it is a range") };
        // 120 % of the face value: more than the margin of 1.5 % brings in.
        *cost_bps = 12_000;
        let market = market(vec![brand("Dear", "US", vec![dear])], Vec::new());
        let mut wanted = basket();
        wanted.lines = vec![crate::validate::BasketLine { product_value: Some("100".into()), ..line("Dear", "range") }];
        let checked = check(&wanted, &market, &Facts::default(), NOW).expect("it can be priced");
        let quote = checked.quote.expect("nothing is wrong with it");
        assert_eq!(quote.due_units, 120_000_000);
        assert_eq!(cost_of(&quote.lines[0], &market), part_of(quote.lines[0].face, 12_000));
    }

    /// Of 9 million coins with eight decimals a chain's adapter may write down less than was sent.
    #[test]
    fn a_price_that_no_transfer_could_pay_is_refused() {
        let mut market =
            market(vec![brand("Dear", "US", vec![range("dear", "50 USD", "500 USD", "1 USD")])], Vec::new());
        let lines = vec![crate::validate::BasketLine { product_value: Some("100".into()), ..line("Dear", "range") }];
        let wanted = crate::validate::Basket { coin: "TON".into(), lines, ..basket() };
        // 101.50 USD are 8,120,000 of the one coin, and 10,150,000 of the other.
        for (usd, due_units) in [("0.0000125", Some(812_000_000_000_000)), ("0.00001", None)] {
            let rate = CoinRate { usd: decimal(usd), as_of: NOW };
            market.rates = Arc::new(Rates { coins: [("TON".to_owned(), rate)].into(), ..(*market.rates).clone() });
            let checked = check(&wanted, &market, &Facts::default(), NOW);
            match due_units {
                Some(due) => assert_eq!(checked.ok().and_then(|c| c.quote).map(|quote| quote.due_units), Some(due)),
                None => assert_eq!(checked, Err(CheckError::Rate(RateError::OutOfRange { coin: "TON".into() }))),
            }
        }
    }
}
