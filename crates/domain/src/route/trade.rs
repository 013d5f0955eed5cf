//! What somebody wants to exchange -> what is wrong with it, or what is agreed (contract 5.1).
//!
//! The one place that knows the rules of an exchange order's amounts and fields. Must never change anything: the reserve
//! is claimed when the order is placed, against the same numbers.

use super::{Commission, Currency, DealRate, Exchange, Field, FieldFault, Route, Settles};
use crate::asset::{ChainKind, Rails};
use crate::ids::{AssetId, NetworkId, ObjectId};
use crate::limits::CounterKey;
use crate::money::{MoneyError, parse_units, units_to_text};
use crate::pricing::MOST_DUE;
use crate::time::Time;
use crate::validate::{self, Market, Quote};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// The asset of a currency that is moved by hand begins so, and its network is called so.
pub const MANUAL: &str = "manual";

/// What somebody wants to exchange, as it was sent. Values are personal data: never log them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    pub route: Option<ObjectId>,
    /// Decimal text; below zero it is what is to be received.
    pub amount: String,
    pub from_values: Vec<(String, String)>,
    pub to_values: Vec<(String, String)>,
    pub route_values: Vec<(String, String)>,
    pub agreement: bool,
    /// The order waits for payment at once.
    pub skip_preview: bool,
    pub hide_out_data: bool,
    /// Its changes are told to an address (contract 7): a keyed hash of the host, never the address itself.
    pub receiver: Option<String>,
    /// A change that does not reach that address is told again.
    pub told_again: bool,
    /// What the client says of itself, such as `api`.
    pub client_type: Option<String>,
}

/// One side of what is agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    pub currency: ObjectId,
    pub xml: String,
    pub name: String,
    pub symbol: String,
    pub decimals: u32,
    /// In units of 10^-decimals.
    pub units: i64,
    pub asset: AssetId,
    pub network: NetworkId,
    /// Decimals of the ledger.
    pub scale: u32,
}

impl Side {
    /// Moved by hand: nobody finds or sends it by itself.
    pub fn is_manual(&self) -> bool {
        self.network.as_str() == MANUAL
    }

    /// The amount in units of the ledger; `None` if it is more than the ledger can hold.
    pub fn checked_ledger_units(&self) -> Option<i64> {
        let factor = 10_i64.checked_pow(self.scale.checked_sub(self.decimals)?)?;
        self.units.checked_mul(factor)
    }

    /// The same for what an order agreed, which fits.
    pub fn ledger_units(&self) -> i64 {
        self.checked_ledger_units().expect("amounts that do not fit are refused when an order is placed")
    }

    /// A plain decimal without trailing zeros.
    pub fn amount(&self) -> String {
        units_to_text(self.units, self.decimals, 0)
    }
}

/// What an exchange order agreed: locked when it is placed, unless its route floats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    pub route: ObjectId,
    pub from: Side,
    pub to: Side,
    pub rate: DealRate,
    pub discount_bps: u32,
    /// In units of the received currency.
    pub fee_units: i64,
    /// By how much the rate must move until payment to be looked at again; 0: never.
    pub reprice_bps: i64,
    pub auto_payout: bool,
    pub skip_preview: bool,
    pub hide_out_data: bool,
    /// The field whose value is the address that is paid out to; none where it is paid by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<ObjectId>,
    /// Its changes are told to an address on that host, which is named by a keyed hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// A change that does not reach it is told again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told_again: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_type: Option<String>,
    /// What its partner earns; none for an order that nobody brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commission: Option<Commission>,
}

impl Trade {
    /// What would be received at another rate; `None` if it is nothing.
    pub fn receive_at(&self, rate: DealRate) -> Option<i64> {
        let units = self.conversion(rate).receive(self.from.units).filter(|units| *units > 0)?;
        Side { units, ..self.to.clone() }.checked_ledger_units().map(|_| units)
    }

    /// What would have to be given at another rate for what was agreed, in units of the ledger.
    pub fn price_at(&self, rate: DealRate) -> Option<i64> {
        let units = self.conversion(rate).give(self.to.units)?;
        Side { units, ..self.from.clone() }.checked_ledger_units()
    }

    /// Whether a rate is as far from the agreed one as makes the order be priced anew.
    pub fn has_moved(&self, now: DealRate) -> bool {
        let (agreed, now) = (self.rate.decimal(), now.decimal());
        let limit = Decimal::new(self.reprice_bps, 4).checked_mul(agreed);
        self.reprice_bps > 0 && limit.is_some_and(|limit| (now - agreed).abs() >= limit)
    }

    /// What one unit given brings, discount included and fee not, at most ten significant digits.
    pub fn unit_rate(&self) -> Decimal {
        let kept = Decimal::ONE - Decimal::new(i64::from(self.discount_bps), 4);
        let price = self.rate.decimal().checked_mul(kept);
        DealRate::new(price.unwrap_or_default(), super::MOST_DIGITS).map_or(Decimal::ZERO, DealRate::inverse)
    }

    fn conversion(&self, rate: DealRate) -> super::Conversion {
        super::Conversion {
            rate,
            discount_bps: self.discount_bps,
            fee_units: self.fee_units,
            from_decimals: self.from.decimals,
            to_decimals: self.to.decimals,
        }
    }
}

/// Which fields a value belongs to; the word is `type` of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    From,
    To,
    Route,
}

impl FieldKind {
    pub fn word(self) -> &'static str {
        match self {
            FieldKind::From => "fromValues",
            FieldKind::To => "toValues",
            FieldKind::Route => "routeValues",
        }
    }
}

/// What is wrong with what somebody wants. Limits are plain decimals.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TradeFault {
    #[error("there is no such route")]
    UnknownRoute,
    #[error("the office takes no orders now")]
    Closed,
    #[error("the route is not available now")]
    NotAvailable,
    #[error("the agreement was not accepted")]
    NoAgreement,
    #[error("the amount is not a decimal of at most {decimals} decimals")]
    Amount { decimals: u32 },
    #[error("the amount is zero")]
    Zero,
    #[error("the amount is below the minimum of {min}")]
    BelowMinimum { min: String },
    #[error("the amount is above the maximum of {max}")]
    AboveMaximum { max: String },
    #[error("the amount is above the reserve of {max}")]
    AboveReserve { max: String },
    #[error("a field of {} is wrong or missing", .kind.word())]
    Field { kind: FieldKind, field: ObjectId, name: String, fault: FieldFault },
}

/// The rows that [`check`] needs.
pub fn names(wanted: &Wanted, exchange: &Exchange) -> Vec<CounterKey> {
    let route = wanted.route.as_ref().and_then(|id| exchange.route(id));
    route.map(|route| exchange.to_of(route).reserve_key()).into_iter().collect()
}

/// The chain on whose addresses the order would be paid; none for money that is moved by hand.
pub fn family_of(wanted: &Wanted, market: &Market) -> Option<ChainKind> {
    let exchange = &market.exchange;
    let from = exchange.from_of(exchange.route(wanted.route.as_ref()?)?);
    let Settles::Network(asset) = &from.settles else { return None };
    market.rails.asset(asset).map(|(network, _)| network.kind)
}

/// Where money that is moved by hand is to be sent, as the exchange file says it; empty for other routes.
pub fn account_of(wanted: &Wanted, market: &Market) -> String {
    let route = wanted.route.as_ref().and_then(|id| market.exchange.route(id));
    match route.map(|route| &market.exchange.from_of(route).settles) {
        Some(Settles::Manual { account, .. }) => account.clone(),
        Some(Settles::Network(_)) | None => String::new(),
    }
}

/// What is agreed if nothing is wrong. Pure; `facts` holds the rows of [`names`].
pub fn check(wanted: &Wanted, market: &Market, facts: &validate::Facts, now: Time) -> Result<Quote, TradeFault> {
    let exchange = &market.exchange;
    let route = wanted.route.as_ref().and_then(|id| exchange.route(id)).ok_or(TradeFault::UnknownRoute)?;
    if exchange.is_closed {
        return Err(TradeFault::Closed);
    }
    if !wanted.agreement {
        return Err(TradeFault::NoAgreement);
    }
    let (from, to) = (exchange.from_of(route), exchange.to_of(route));
    let rate = exchange.rate(route, &market.rails, &market.rates, now).map_err(|_| TradeFault::NotAvailable)?;
    if !exchange.is_open(route, &market.rails) {
        return Err(TradeFault::NotAvailable);
    }
    let (give, receive, discount_bps) = amounts(wanted, exchange, route, rate)?;
    check_limits(give, receive, exchange, route, rate)?;
    let available = to.available_units(facts.counters.get(&to.reserve_key()));
    if receive > available {
        return Err(TradeFault::AboveReserve { max: units_to_text(available, to.decimals, 0) });
    }
    check_fields(FieldKind::From, &from.from_fields, &wanted.from_values)?;
    check_fields(FieldKind::To, &to.to_fields, &wanted.to_values)?;
    check_fields(FieldKind::Route, &route.fields, &wanted.route_values)?;
    let trade = Trade {
        route: route.id.clone(),
        from: side(from, give, &market.rails).ok_or(TradeFault::NotAvailable)?,
        to: side(to, receive, &market.rails).ok_or(TradeFault::NotAvailable)?,
        rate,
        discount_bps,
        fee_units: route.fee_units,
        reprice_bps: route.deal.kind.reprice_bps(),
        auto_payout: route.auto_payout,
        skip_preview: wanted.skip_preview,
        hide_out_data: wanted.hide_out_data,
        recipient: to.address_field().map(|field| field.id.clone()),
        receiver: wanted.receiver.clone(),
        told_again: wanted.told_again,
        client_type: wanted.client_type.clone(),
        // Who brought it is not asked here: `place_trade` knows.
        commission: None,
    };
    let fits = |side: &Side| side.checked_ledger_units().is_some();
    // What is found on a chain is written down up to a limit; a bank has none.
    let can_be_paid = trade.from.is_manual() || trade.from.checked_ledger_units().is_some_and(|due| due <= MOST_DUE);
    if !fits(&trade.from) || !fits(&trade.to) || !can_be_paid {
        return Err(TradeFault::Amount { decimals: from.decimals });
    }
    let usd_rate = super::unit_usd(&from.priced_as, &market.rails, &market.rates, now).unwrap_or_default();
    Ok(quote(trade, route, usd_rate, &market.rails))
}

/// (given, received, discount in bps), of which one was asked for.
fn amounts(wanted: &Wanted, exchange: &Exchange, route: &Route, rate: DealRate) -> Result<(i64, i64, u32), TradeFault> {
    let (from, to) = (exchange.from_of(route), exchange.to_of(route));
    let plain = exchange.conversion(route, rate);
    let text = wanted.amount.trim();
    let (digits, currency) = match text.strip_prefix('-') {
        Some(receive) => (receive, to),
        None => (text.strip_prefix('+').unwrap_or(text), from),
    };
    let decimals = currency.decimals;
    let units = decimal_units(digits, decimals).map_err(|_| TradeFault::Amount { decimals })?;
    if units == 0 {
        return Err(TradeFault::Zero);
    }
    let out_of_range = || match route.max_units {
        0 => TradeFault::Amount { decimals },
        most => TradeFault::AboveMaximum { max: units_to_text(most, from.decimals, 0) },
    };
    if !text.starts_with('-') {
        let discount_bps = route.discount_bps(units);
        let conversion = super::Conversion { discount_bps, ..plain };
        return Ok((units, conversion.receive(units).ok_or_else(out_of_range)?, discount_bps));
    }
    // The largest discount that what is then given still earns; the last candidate is none, which everybody earns.
    let earned = route.discounts.iter().map(|discount| (discount.more_than_units, discount.bps));
    for (more_than_units, discount_bps) in earned.chain([(0, 0)]) {
        let give = super::Conversion { discount_bps, ..plain }.give(units).ok_or_else(out_of_range)?;
        if give >= more_than_units {
            return Ok((give, units, discount_bps));
        }
    }
    Err(out_of_range())
}

fn check_limits(give: i64, receive: i64, exchange: &Exchange, route: &Route, rate: DealRate) -> Result<(), TradeFault> {
    let from = exchange.from_of(route);
    let text = |units| units_to_text(units, from.decimals, 0);
    if give < route.min_units {
        return Err(TradeFault::BelowMinimum { min: text(route.min_units) });
    }
    if receive <= 0 {
        // The fee eats it up: the least of which anything is left.
        let least = exchange.conversion(route, rate).give(1).unwrap_or(route.min_units);
        return Err(TradeFault::BelowMinimum { min: text(least.max(route.min_units)) });
    }
    if route.max_units != 0 && give > route.max_units {
        return Err(TradeFault::AboveMaximum { max: text(route.max_units) });
    }
    Ok(())
}

/// A decimal as clients send it, which may have an exponent (JSON numbers), in units of 10^-decimals.
fn decimal_units(text: &str, decimals: u32) -> Result<i64, MoneyError> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return parse_units(text, decimals);
    };
    let exponent: i32 = exponent.parse().map_err(|_| MoneyError::NotADecimal)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // Longer than any amount: what comes of it would be refused all the same.
    if !(-40..=40).contains(&exponent) || mantissa.len() > 40 || whole.is_empty() {
        return Err(MoneyError::NotADecimal);
    }
    let digits = format!("{whole}{fraction}");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(MoneyError::NotADecimal);
    }
    let point = whole.len() as i32 + exponent;
    let padded = format!("{}{digits}{}", "0".repeat((1 - point).max(0) as usize), "0".repeat(40));
    let at = point.max(1) as usize;
    let fraction = padded[at..].trim_end_matches('0');
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    let whole = padded[..at].trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    // More digits than an amount has are told apart from nonsense by `parse_units`.
    parse_units(&format!("{whole}.{fraction}"), decimals)
}

fn check_fields(kind: FieldKind, fields: &[Field], values: &[(String, String)]) -> Result<(), TradeFault> {
    for field in fields {
        let value = values.iter().find(|(key, _)| field.is_called(key)).map_or("", |(_, value)| value.trim());
        if let Some(fault) = field.fault(value) {
            return Err(TradeFault::Field { kind, field: field.id.clone(), name: field.name.clone(), fault });
        }
    }
    Ok(())
}

/// `None` if the network is gone from the configuration.
fn side(currency: &Currency, units: i64, rails: &Rails) -> Option<Side> {
    let (asset, network, scale) = match &currency.settles {
        Settles::Network(asset) => {
            let (network, listed) = rails.asset(asset)?;
            (asset.clone(), network.id.clone(), listed.scale())
        }
        Settles::Manual { .. } => {
            (AssetId::new(format!("{MANUAL}/{}", currency.xml)), NetworkId::new(MANUAL), currency.decimals)
        }
    };
    Some(Side {
        currency: currency.id.clone(),
        xml: currency.xml.clone(),
        name: currency.name.clone(),
        symbol: currency.symbol.clone(),
        decimals: currency.decimals,
        units,
        asset,
        network,
        scale,
    })
}

/// The price of an exchange order: what is to be paid in, and nothing on any shelf.
fn quote(trade: Trade, route: &Route, usd_rate: Decimal, rails: &Rails) -> Quote {
    let from = &trade.from;
    let due_units = from.ledger_units();
    let network = rails.network_by_id(&from.network).map_or(MANUAL.to_owned(), |network| network.name.clone());
    Quote {
        coin: from.symbol.clone(),
        network,
        network_id: from.network.clone(),
        asset: from.asset.clone(),
        scale: from.scale,
        quoted_decimals: from.decimals,
        payment_method: String::new(),
        due_units,
        original_units: due_units,
        eur_cents: 0,
        usd_rate,
        coupon: None,
        lines: Vec::new(),
        expires_in: route.window,
        trade: Some(Box::new(trade)),
    }
}
