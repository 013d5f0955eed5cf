//! What an exchange office trades: currencies, the routes between them, and what one unit costs.
//!
//! A route is "give this, receive that". Its rate comes from the same rate sources as the prices of goods, or is named by
//! the operator. Must never look anything up by itself: rates, reserves and the time are arguments. Called by `decide`
//! for orders and by the doors that list routes. Reading order: this file, `amount` (the arithmetic that clients repeat),
//! `deal` (where a rate comes from), `fields` (what a payer must tell us), `trade` (what is agreed), `commission` (what the
//! partner who brought it earns).

mod amount;
mod commission;
mod deal;
mod fields;
mod trade;

pub use amount::{Conversion, DealRate, MOST_DIGITS};
pub use commission::{Commission, PartnerDay, Referred};
pub use deal::{Deal, Pricing, RateKind, unit_usd};
pub use fields::{Field, FieldFault, FieldOption, MOST_VALUE, Pattern};

pub use trade::{
    FieldKind, MANUAL, Side, Trade, TradeFault, Wanted, account_of as account_of_trade, check as check_trade,
    family_of as family_of_trade, names as names_of_trade,
};

use crate::ids::{AssetId, ObjectId};
use crate::limits::{Counter, CounterKey};
use crate::time::Span;
use std::collections::BTreeMap;

/// Everything that an exchange office trades, as one imported file says it. Immutable; orders keep its id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exchange {
    pub id: String,
    pub currencies: Vec<Currency>,
    pub routes: Vec<Route>,
    pub favorites: Vec<Favorite>,
    /// What partners earn of what the payers whom they bring receive, in hundredths of a percent; 0: nothing.
    pub affiliate_bps: u32,
    /// An operator takes no new orders for now.
    pub is_closed: bool,
    by_route: BTreeMap<ObjectId, usize>,
    by_pair: BTreeMap<(String, String), usize>,
}

/// One thing that can be given or received: a coin on a network, money at a bank, cash in a city.
#[derive(Debug, Clone, PartialEq)]
pub struct Currency {
    pub id: ObjectId,
    /// The code of exchange monitors, such as `USDCSOL`; for cash with its city, such as `CASHUSD_C_TBIL`.
    pub xml: String,
    pub name: String,
    /// What people call it: `USDC`, `EUR`.
    pub symbol: String,
    /// What its rate is looked up by: a coin's ticker or an ISO 4217 code. Usually the symbol.
    pub priced_as: String,
    /// Decimals of amounts; all `_units` of this currency are of 10^-decimals.
    pub decimals: u32,
    pub settles: Settles,
    /// What there was to be paid out when it was last stated.
    pub stated_units: i64,
    /// What paid orders had used of it until then, which no longer counts.
    pub used_before_units: i64,
    /// Order in the lists of clients.
    pub position: i64,
    /// What a payer tells about where he pays from.
    pub from_fields: Vec<Field>,
    /// Where he wants to receive.
    pub to_fields: Vec<Field>,
}

/// How money of a currency moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settles {
    /// On a network that is watched.
    Network(AssetId),
    /// By hand: an operator confirms what came and pays what goes.
    Manual {
        /// Where a payer sends it: an account, an address, a desk.
        account: String,
        /// What else he must know, as HTML with `[[uid]]` and the like.
        instructions: String,
    },
}

/// From one currency to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub id: ObjectId,
    /// Index of the currency that is given.
    pub from: usize,
    /// Index of the currency that is received.
    pub to: usize,
    pub deal: Deal,
    /// In from-units; 0 is no limit.
    pub min_units: i64,
    pub max_units: i64,
    /// Subtracted from what is received, in to-units.
    pub fee_units: i64,
    /// The largest threshold first.
    pub discounts: Vec<Discount>,
    pub fields: Vec<Field>,
    pub instructions: Vec<Instruction>,
    /// How long an order waits for its payment; whole minutes.
    pub window: Span,
    /// Paid out without anybody's word, where the receiving network can be reached.
    pub auto_payout: bool,
    pub is_shown: bool,
    pub is_exported: bool,
    pub friendly_url: String,
    pub texts: BTreeMap<String, String>,
}

/// From so many units given on, the rate is so much better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discount {
    pub more_than_units: i64,
    /// Hundredths of a percent.
    pub bps: u32,
}

/// A text that pages show at one step of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    pub id: ObjectId,
    /// Such as `payment` (contract 4.3).
    pub step: String,
    /// HTML, with `##en##` before each language.
    pub content: String,
}

/// A rate that pages show in their head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Favorite {
    pub name: String,
    pub priced_as: String,
}

/// What there is of a currency to be paid out, as it was stated last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedReserve {
    /// A plain decimal in the currency.
    pub amount: String,
    /// What paid orders had used by then, in units of as many decimals.
    pub used_before_units: i64,
    pub decimals: u32,
    /// Grows with each statement.
    pub epoch: i64,
}

/// Two things of one office bear the same name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is there twice")]
pub struct Doubled(pub String);

impl Exchange {
    /// Puts currencies and routes together.
    ///
    /// # Errors
    /// Two currencies of one code, or two routes of one pair or friendly URL.
    pub fn build(
        id: String,
        currencies: Vec<Currency>,
        routes: Vec<Route>,
        favorites: Vec<Favorite>,
    ) -> Result<Exchange, Doubled> {
        let mut codes = std::collections::BTreeSet::new();
        if let Some(twice) = currencies.iter().find(|currency| !codes.insert(currency.xml.as_str())) {
            return Err(Doubled(format!("currency {}", twice.xml)));
        }
        let (mut by_route, mut by_pair) = (BTreeMap::new(), BTreeMap::new());
        let mut urls = std::collections::BTreeSet::new();
        for (at, route) in routes.iter().enumerate() {
            let (from, to) = (&currencies[route.from].xml, &currencies[route.to].xml);
            if by_pair.insert((from.clone(), to.clone()), at).is_some() {
                return Err(Doubled(format!("route {from} to {to}")));
            }
            if !urls.insert(route.friendly_url.as_str()) {
                return Err(Doubled(format!("friendly_url {}", route.friendly_url)));
            }
            by_route.insert(route.id.clone(), at);
        }
        Ok(Exchange { id, currencies, routes, favorites, affiliate_bps: 0, is_closed: false, by_route, by_pair })
    }

    pub fn from_of(&self, route: &Route) -> &Currency {
        &self.currencies[route.from]
    }

    pub fn to_of(&self, route: &Route) -> &Currency {
        &self.currencies[route.to]
    }

    pub fn currency(&self, xml: &str) -> Option<&Currency> {
        self.currencies.iter().find(|currency| currency.xml == xml)
    }

    pub fn route(&self, id: &ObjectId) -> Option<&Route> {
        self.by_route.get(id).map(|at| &self.routes[*at])
    }

    /// The route between two codes.
    pub fn route_between(&self, from: &str, to: &str) -> Option<&Route> {
        self.by_pair.get(&(from.to_owned(), to.to_owned())).map(|at| &self.routes[*at])
    }

    /// How amounts of a route are converted at that rate, before any discount.
    pub fn conversion(&self, route: &Route, rate: DealRate) -> Conversion {
        Conversion {
            rate,
            discount_bps: 0,
            fee_units: route.fee_units,
            from_decimals: self.from_of(route).decimals,
            to_decimals: self.to_of(route).decimals,
        }
    }
}

/// The row on which orders that pay out a currency count.
pub fn reserve_key(xml: &str, decimals: u32) -> CounterKey {
    CounterKey { rule: "reserve".to_owned(), subject: xml.to_owned(), period: decimals.to_string() }
}

impl Currency {
    /// The row that orders which pay out this currency count on.
    pub fn reserve_key(&self) -> CounterKey {
        // Its decimals stand in it: a count is of these units and of no others.
        reserve_key(&self.xml, self.decimals)
    }

    /// What there was in all since counting began: what was stated, and what had been used before.
    pub fn reserve_units(&self) -> i64 {
        self.stated_units.saturating_add(self.used_before_units)
    }

    /// What one visitor's unpaid orders may hold, while they hold nothing: unpaid orders may hold a share of what is there
    /// together, in percent, and one visitor half of that.
    pub fn offered_units(&self, counted: Option<&Counter>, share_percent: i64) -> i64 {
        let (held, used) = counted.map_or((0, 0), |counter| (counter.held, counter.used));
        let there = (self.reserve_units() - used).max(0);
        let most = i64::try_from(i128::from(there) * i128::from(share_percent) / 100).unwrap_or(i64::MAX);
        (most - held).min(most / 2).max(0)
    }

    /// The field that holds the address to be paid out to: the first, for money on a network.
    pub fn address_field(&self) -> Option<&Field> {
        match self.settles {
            Settles::Network(_) => self.to_fields.first(),
            Settles::Manual { .. } => None,
        }
    }

    /// What can still be promised.
    pub fn available_units(&self, counted: Option<&Counter>) -> i64 {
        (self.reserve_units() - counted.map_or(0, Counter::total)).max(0)
    }

    /// The monitors' code and the city of a cash currency: `CASHUSD_C_TBIL` is `CASHUSD` in `TBIL` (contract 4.3).
    pub fn code_and_city(&self) -> (&str, Option<&str>) {
        match self.xml.split_once("_C_") {
            Some((code, city)) => (code, Some(city)),
            None => (&self.xml, None),
        }
    }
}

impl Route {
    /// What whoever gives so much gets off, in hundredths of a percent.
    pub fn discount_bps(&self, give_units: i64) -> u32 {
        self.discounts.iter().find(|discount| discount.more_than_units <= give_units).map_or(0, |discount| discount.bps)
    }
}
