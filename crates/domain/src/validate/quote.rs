//! What a basket costs: each line, the coupon, and what is due.

use super::lines::Offer;
use super::rail::Rail;
use super::rules::Asked;
use super::{AppliedCoupon, Quote, QuotedLine};
use crate::coupon::Coupon;
use crate::pricing::{CoinPrice, MOST_DUE, MarginCase, RateError, discounted, margin_bps, price_line, shares};

/// The quote if every line has a price, and each line's own.
pub(super) type Priced = (Option<Quote>, Vec<Option<QuotedLine>>);

/// Prices every line that is known, and the whole if all are. `coupon` is one that applies.
///
/// Errors: a rate is missing, stale or off its peg.
pub(super) fn price(asked: &Asked<'_>, rail: &Rail<'_>, coupon: Option<&Coupon>) -> Result<Priced, RateError> {
    let mut prices = Vec::new();
    for offer in asked.offers() {
        prices.push(price_offer(asked, rail, offer)?);
    }
    if prices.len() == asked.lines.len() {
        let quote = whole(asked, rail, coupon, &prices)?;
        let lines = quote.lines.iter().cloned().map(Some).collect();
        return Ok((Some(quote), lines));
    }
    let mut prices = prices.into_iter();
    let mut quoted = |offer: &Offer<'_>| prices.next().map(|price| quoted_line(asked, offer, price.units));
    let lines = asked.lines.iter().map(|line| line.offer.as_ref().ok().and_then(&mut quoted)).collect();
    Ok((None, lines))
}

fn price_offer(asked: &Asked<'_>, rail: &Rail<'_>, offer: &Offer<'_>) -> Result<CoinPrice, RateError> {
    let market = asked.market;
    let case = MarginCase {
        brand: &offer.brand.name,
        country: &offer.brand.country,
        coin: &rail.coin.name,
        partner: asked.basket.partner.as_ref(),
    };
    let margin = margin_bps(&market.margins, &case);
    price_line(offer.face, offer.cost, rail.coin, rail.asset.scale(), &market.rates, margin, asked.now)
}

/// The quote of a basket of which every line has a price.
fn whole(
    asked: &Asked<'_>,
    rail: &Rail<'_>,
    coupon: Option<&Coupon>,
    prices: &[CoinPrice],
) -> Result<Quote, RateError> {
    let total = total(asked, rail, prices)?;
    let rates = &asked.market.rates;
    let due_units = coupon.map_or(total.units, |coupon| discounted(&total, coupon.discount, rail.coin, rates));
    let quoted_decimals = rail.coin.quoted_decimals.min(total.scale);
    let units: Vec<i64> = prices.iter().map(|price| price.units).collect();
    let parts = shares(due_units, &units, 10_i64.pow(total.scale - quoted_decimals));
    let lines = asked.offers().zip(parts).map(|(offer, part)| quoted_line(asked, offer, part)).collect();
    Ok(Quote {
        coin: rail.coin.name.clone(),
        network: rail.network.name.clone(),
        network_id: rail.network.id.clone(),
        asset: rail.asset.id.clone(),
        scale: total.scale,
        quoted_decimals,
        payment_method: rail.asset.payment_method.clone(),
        due_units,
        original_units: total.units,
        eur_cents: asked.eur_cents()?,
        usd_rate: total.usd_rate,
        coupon: coupon.map(|coupon| AppliedCoupon {
            code: coupon.code.clone(),
            subject: asked.subject().text().unwrap_or_default(),
        }),
        lines,
        expires_in: rail.network.window,
        trade: None,
    })
}

/// The sum of the lines, before any coupon.
fn total(asked: &Asked<'_>, rail: &Rail<'_>, prices: &[CoinPrice]) -> Result<CoinPrice, RateError> {
    let sum = |part: fn(&CoinPrice) -> i64| prices.iter().map(part).try_fold(0_i64, i64::checked_add);
    let usd_rate = asked.market.rates.coin_usd(rail.coin, asked.now)?;
    let too_large = || RateError::OutOfRange { coin: rail.coin.name.clone() };
    Ok(CoinPrice {
        units: sum(|price| price.units).filter(|units| *units <= MOST_DUE).ok_or_else(too_large)?,
        cost_units: sum(|price| price.cost_units).ok_or_else(too_large)?,
        scale: rail.asset.scale(),
        usd_rate,
    })
}

fn quoted_line(asked: &Asked<'_>, offer: &Offer<'_>, coin_units: i64) -> QuotedLine {
    let (brand, product) = (offer.brand, offer.product);
    QuotedLine {
        sku: product.sku.clone(),
        product_id: product.id,
        brand: brand.name.clone(),
        family: brand.family.clone(),
        country: brand.country.clone(),
        kind: brand.kind.clone(),
        category: brand.category.clone(),
        denomination: offer.denomination(),
        label: offer.label(),
        face: offer.face,
        delivery: product.delivery,
        coin_units,
        points: asked.market.rates.points(offer.face),
        suppliers: product.suppliers.clone(),
        product_value: offer.product_value(),
    }
}
