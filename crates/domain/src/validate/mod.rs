//! A basket and the facts about it -> every problem it has, and its price.
//!
//! The one place that knows all rules of contract 5.2. Validation, creation and the pages ask here, so that they never
//! disagree. Must never change anything: what an order holds is claimed when it is placed, against the same numbers.
//! Reading order: this file, `lines` (which product is meant), `rail` (which coin and network), `quote` (what it
//! costs), `rules` (what is wrong with it), `listing` (prices without a basket).

mod beneficiary;
mod lines;
mod listing;
mod problem;
mod quote;
mod rail;
mod rules;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use beneficiary::{beneficiary_fault, email_fault, phone_fault};
pub(crate) use lines::part_of;
pub use lines::{Offer, money_label, offer_of, offer_of_value};
pub use listing::{ListPrice, Listing, list_price};
pub use problem::{CODES, Problem, RangeBounds};
pub use rail::{Rail, coin_named, threshold_text};

use crate::asset::Rails;
use crate::catalog::{Catalogue, DeliveryMethod, SupplierSku};
use crate::ids::{AssetId, CustomerId, NetworkId, PartnerId, ProductId, Sku};
use crate::limits::{Counter, CounterKey, Limits, Subject, counter_keys};
use crate::money::Fiat;
use crate::pricing::{MarginRule, RateError, Rates};
use crate::route::{Exchange, Trade};
use crate::time::{Span, Time};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The smallest order by default: 0.50 EUR, as observed (contract 3.1).
pub const DEFAULT_MINIMUM_EUR_CENTS: i64 = 50;

/// What somebody wants to buy, as it was sent. Holds personal data: never log it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Basket {
    pub lines: Vec<BasketLine>,
    pub payment_via: String,
    pub coin: String,
    /// Without one, the first network of the coin that is not suspended.
    pub network: Option<String>,
    pub promo_code: Option<String>,
    /// Who is signed in.
    pub customer: Option<CustomerId>,
    pub buyer_email: Option<String>,
    /// Keyed hash of the lower-cased buyer's e-mail; empty without one. Counter rows carry it instead of the address.
    pub buyer_key: String,
    pub partner: Option<PartnerId>,
    pub language: String,
}

/// One thing for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BasketLine {
    /// Exact, case-sensitive name.
    pub brand: String,
    /// Upper-case code.
    pub country: String,
    /// A listed text, `range`, or an amount (contract 3.9).
    pub denomination: String,
    /// Decimal text.
    pub product_value: Option<String>,
    /// E-mail address or phone number; an e-mail product without one goes to the buyer.
    pub beneficiary: Option<String>,
}

/// What the shop offers and on which terms: immutable while a batch of decisions runs.
#[derive(Debug, Clone)]
pub struct Market {
    pub catalogue: Arc<Catalogue>,
    pub exchange: Arc<Exchange>,
    pub rates: Arc<Rates>,
    pub rails: Rails,
    /// Payment vias that may be used, such as `USER_WALLET`.
    pub vias: Vec<String>,
    pub margins: Vec<MarginRule>,
    pub limits: Limits,
    pub minimum_eur_cents: i64,
}

/// Free code rows of a SKU and how many of them unpaid orders hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StockCount {
    pub free: i64,
    pub held: i64,
}

/// The rows that [`names`] asked for; an absent one is all zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    pub counters: BTreeMap<CounterKey, Counter>,
    pub stock: BTreeMap<Sku, StockCount>,
}

impl Facts {
    /// Held and used of a counter.
    pub fn counted(&self, key: &CounterKey) -> i64 {
        self.counters.get(key).map_or(0, Counter::total)
    }

    /// Whether so many more codes of a SKU may be promised, within the share that unpaid orders may hold.
    pub fn may_hold(&self, sku: &Sku, wanted: i64, share_percent: i64) -> bool {
        let count = self.stock.get(sku).copied().unwrap_or_default();
        let most = (count.free.saturating_mul(share_percent) / 100).max(1).min(count.free);
        count.held + wanted <= most
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// In the order of contract 5.2; empty means that the basket can be ordered.
    pub problems: Vec<Problem>,
    /// Present whenever every line can be priced, also beside problems; with a coupon only if the coupon applies.
    pub quote: Option<Quote>,
    /// One entry per line of the basket; `None` for a line that cannot be priced.
    pub lines: Vec<Option<QuotedLine>>,
}

/// Why a basket cannot even be checked: an answer of its own, not a problem in the list (contract 3.8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    #[error("this coin cannot be paid with now; choose another")]
    SuspendedCoin,
    #[error("this network cannot be used now; choose another")]
    SuspendedNetwork,
    /// Only when nothing else is wrong with the basket.
    #[error("the basket cannot be priced now")]
    Rate(#[source] RateError),
}

/// A price, locked once the order is placed. Amounts in units of 10^-scale of the coin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    pub coin: String,
    /// The exact store API name.
    pub network: String,
    pub network_id: NetworkId,
    pub asset: AssetId,
    pub scale: u32,
    /// Least decimals to show.
    pub quoted_decimals: u32,
    pub payment_method: String,
    /// After the coupon; the lines' `coin_units` add up to it.
    pub due_units: i64,
    /// Before the coupon.
    pub original_units: i64,
    /// Face values in EUR cents: what limits count and `payment_value` shows.
    pub eur_cents: i64,
    /// The coin in USD that was used.
    pub usd_rate: Decimal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<AppliedCoupon>,
    pub lines: Vec<QuotedLine>,
    /// The network's payment window.
    pub expires_in: Span,
    /// What is paid out for it, if it is an exchange order; then there are no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade: Option<Box<Trade>>,
}

/// A coupon that took part in a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedCoupon {
    pub code: String,
    /// Whose use it is, as in counter rows; empty if nobody is known. Never an e-mail address.
    pub subject: String,
}

/// One line as it is sold. No personal data: recipients are kept elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuotedLine {
    pub sku: Sku,
    pub product_id: ProductId,
    pub brand: String,
    pub family: String,
    pub country: String,
    pub kind: String,
    pub category: String,
    /// The listed text, or `range`: what an order would send for it.
    pub denomination: String,
    /// For people: `$100`.
    pub label: String,
    pub face: Fiat,
    pub delivery: DeliveryMethod,
    /// Its share of what is due, after the coupon.
    pub coin_units: i64,
    pub points: i64,
    /// In the order in which they are asked.
    pub suppliers: Vec<SupplierSku>,
    /// The chosen value of a range product, as a plain decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_value: Option<String>,
}

/// The rows that [`check`] needs: counters of the coupon and of the limits, and the SKUs that come from own stock.
pub fn names(basket: &Basket, market: &Market, now: Time) -> (Vec<CounterKey>, Vec<Sku>) {
    let subject = Subject::of(basket.customer.as_ref(), &basket.buyer_key);
    let coupon = rules::promo_code(basket).and_then(|code| market.catalogue.coupon(code));
    let keys = counter_keys(&subject, coupon.map(|coupon| coupon.code.as_str()), now);
    let lines = lines::find_all(basket, market);
    let mut skus: Vec<Sku> = lines::own_stock(&lines).map(|offer| offer.product.sku.clone()).collect();
    skus.sort_unstable();
    skus.dedup();
    (keys, skus)
}

/// Everything that is wrong with a basket, and its price. Pure; `facts` holds the rows of [`names`].
///
/// Errors: suspension goes before any problem; a missing rate is an error only if nothing else is wrong, because
/// a shopper can mend a problem but not a rate.
pub fn check(basket: &Basket, market: &Market, facts: &Facts, now: Time) -> Result<Checked, CheckError> {
    let rail = rail::choose(basket, &market.rails)?;
    let lines = lines::find_all(basket, market);
    let asked = rules::Asked { basket, market, facts, lines: &lines, now };
    let coupon = asked.coupon();
    let mut problems = asked.problems();
    problems.extend(coupon.as_ref().err().cloned().unwrap_or_default());
    let Some(rail) = rail else {
        problems.push(rail::unsupported(&market.rails));
        return Ok(Checked { problems: problem::tidy(problems), quote: None, lines: vec![None; lines.len()] });
    };
    let priced = quote::price(&asked, &rail, coupon.ok().flatten());
    let (quote, quoted_lines) = match priced {
        Ok(priced) => priced,
        Err(error) if problems.is_empty() => return Err(CheckError::Rate(error)),
        Err(_) => (None, vec![None; lines.len()]),
    };
    if let Some(quote) = &quote {
        problems.extend(rail::below_minimum(quote.due_units, &rail, market));
    }
    Ok(Checked { problems: problem::tidy(problems), quote, lines: quoted_lines })
}
