//! Prices without a basket: product listings (contract 3.6) and the price of a face value (3.7).

use super::lines::Offer;
use super::{Market, Problem};
use crate::asset::Coin;
use crate::catalog::{Brand, Denomination, Product};
use crate::coupon::{Coupon, Redemption};
use crate::ids::PartnerId;
use crate::money::{units_from_decimal, units_to_text};
use crate::pricing::{MarginCase, RateError, discounted, margin_bps, price_line};
use crate::time::Time;
use rust_decimal::{Decimal, RoundingStrategy};

/// No network is chosen in a listing; coins have at most this many decimals in the ledger.
const SCALE: u32 = 8;

/// What is listed.
#[derive(Debug, Clone)]
pub struct Listing<'a> {
    pub offer: Offer<'a>,
    pub coin: &'a Coin,
    pub partner: Option<&'a PartnerId>,
    /// Shown only if its conditions hold for this product alone and for anybody.
    pub promo_code: Option<&'a str>,
}

/// A price to show, in units of 10^-8 of the coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPrice {
    pub units: i64,
    /// Before the coupon.
    pub original_units: i64,
    /// Least decimals to show.
    pub quoted_decimals: u32,
    pub points: i64,
}

impl ListPrice {
    /// `coin_amount` of contract 3.6.
    pub fn coin_amount(&self) -> String {
        units_to_text(self.units, SCALE, self.quoted_decimals)
    }

    /// `original_coin_amount` of contract 3.6.
    pub fn original_coin_amount(&self) -> String {
        units_to_text(self.original_units, SCALE, self.quoted_decimals)
    }
}

impl<'a> Offer<'a> {
    /// A fixed product at its face value; `None` for a range, which has no price until a value is chosen.
    pub fn fixed(brand: &'a Brand, product: &'a Product) -> Option<Self> {
        match product.denomination {
            Denomination::Fixed { face, cost } => Some(Offer { brand, product, face, cost }),
            Denomination::Range { .. } => None,
        }
    }
}

/// The price of one product at one value. The same rules and rates as in a basket, so that a listing never differs from
/// the order that follows. Errors: a rate is missing, stale or off its peg.
pub fn list_price(listing: &Listing<'_>, market: &Market, now: Time) -> Result<ListPrice, RateError> {
    let Offer { brand, face, cost, .. } = listing.offer;
    let (coin, rates) = (listing.coin, &market.rates);
    let case = MarginCase { brand: &brand.name, country: &brand.country, coin: &coin.name, partner: listing.partner };
    let price = price_line(face, cost, coin, SCALE, rates, margin_bps(&market.margins, &case), now)?;
    let units = applicable_coupon(listing, market, now)
        .map_or(price.units, |coupon| discounted(&price, coupon.discount, coin, rates));
    let (original_units, points) = (price.units, rates.points(face));
    Ok(ListPrice { units, original_units, quoted_decimals: coin.quoted_decimals, points })
}

fn applicable_coupon<'a>(listing: &Listing<'_>, market: &'a Market, now: Time) -> Option<&'a Coupon> {
    let coupon = market.catalogue.coupon(listing.promo_code?)?;
    let value = market.rates.counted_eur(listing.offer.face);
    let redemption = Redemption {
        now,
        customer: None,
        buyer_email: None,
        partner: listing.partner,
        brands: vec![listing.offer.brand],
        value_eur_cents: value.and_then(to_cents),
        uses: 0,
        uses_by_user: 0,
    };
    let problems: Vec<Problem> = coupon.problems(&redemption);
    problems.is_empty().then_some(coupon)
}

fn to_cents(eur: Decimal) -> Option<i64> {
    units_from_decimal(eur, 2, RoundingStrategy::MidpointAwayFromZero).ok()
}
