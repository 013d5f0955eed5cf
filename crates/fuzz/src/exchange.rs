//! The doors of the exchange API: the parameters of a call with what may have been signed of them, the office's file, and
//! the amount of an order.

use crate::NOW;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use domain::money::{Currency, units_to_text};
use domain::pricing::{CoinRate, FiatRate, Rates};
use domain::route::{Conversion, Exchange, Field, Route, TradeFault, Wanted, check_trade};
use domain::validate::{Facts, Market};
use futures_util::FutureExt;
use serde_json::value::RawValue;
use server::exchange_file::{self, FileError};
use server::http::exchange_api::params::{Param, Params};
use server::http::exchange_api::signed;
use sim::market;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

/// Values of one call, nested ones counted, and how deep they lie, as docs/merchants.md promises it.
const MOST_VALUES: usize = 1_000;
const MOST_DEPTH: usize = 8;
/// Faults that are reported at once, currencies and routes of one file, as docs/exchange.md has them.
const MOST_FAULTS: usize = 20;
const MOST_CURRENCIES: usize = 500;
const MOST_ROUTES: usize = 20_000;
/// Routes of one file that are tried: more of them say nothing new.
const TRIED_ROUTES: usize = 50;

/// The parameters of a call (contract 1.2, 2.1): what is taken stays within its limits, and what may have been signed of it
/// is JSON that says the same. The first line is the type of the body, the second the query, the rest the body.
pub fn params(bytes: &[u8]) {
    let Some(params) = params_of(bytes) else { return };
    let mut weight = Weight::default();
    weight.add_members(params.entries(), 1);
    assert!(weight.values <= MOST_VALUES);
    // A byte that is no text becomes one character of three.
    assert!(weight.text_bytes <= 3 * bytes.len());
    params.entries().iter().for_each(|(name, _)| is_coerced(&params, name));
    can_be_signed(&params);
}

fn params_of(bytes: &[u8]) -> Option<Params> {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let (kind, query, body) = (parts.next()?, parts.next()?, parts.next()?);
    read_params(std::str::from_utf8(query).ok()?, HeaderValue::from_bytes(kind).ok()?, body)
}

fn read_params(query: &str, kind: HeaderValue, body: &[u8]) -> Option<Params> {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    let read = Params::read(Some(query), &headers, Bytes::copy_from_slice(body)).now_or_never();
    match read.expect("the body is all there: nothing to wait for") {
        Ok(params) => Some(params),
        Err(fault) => {
            assert!(fault.to_json()["message"].as_str().is_some_and(|message| !message.is_empty()));
            None
        }
    }
}

/// How much was taken.
#[derive(Default)]
struct Weight {
    values: usize,
    text_bytes: usize,
}

impl Weight {
    fn add(&mut self, value: &Param, depth: usize) {
        assert!(depth <= MOST_DEPTH);
        self.values += 1;
        match value {
            Param::Null | Param::Bool(_) => {}
            Param::Number(text) | Param::Text(text) => self.add_text(text),
            Param::List(items) => items.iter().for_each(|item| self.add(item, depth + 1)),
            Param::Map(members) => self.add_members(members, depth + 1),
        }
    }

    fn add_members(&mut self, members: &[(String, Param)], depth: usize) {
        let names: BTreeSet<&String> = members.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), members.len(), "a name is there twice");
        for (name, value) in members {
            self.add_text(name);
            self.add(value, depth);
        }
    }

    fn add_text(&mut self, text: &str) {
        assert!(!text.contains('\0'));
        self.text_bytes += text.len();
    }
}

/// What methods make of a parameter is what they asked for.
fn is_coerced(params: &Params, name: &str) {
    if let Ok(Some(text)) = params.text(name, 255) {
        assert!(text.chars().count() <= 255);
    }
    if let Ok(Some(number)) = params.integer(name, 1..=1_000) {
        assert!((1..=1_000).contains(&number));
    }
    if let Ok(Some(id)) = params.object_id(name) {
        assert!(id.as_str().len() == 24 && id.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    if let Ok(texts) = params.texts(name) {
        assert!(texts.len() <= MOST_VALUES);
    }
    if let Ok(Some(flag)) = params.flag(name) {
        let text = params.text(name, 5).ok().flatten().expect("a flag is a short text, too");
        assert_eq!(flag, text == "true" || text == "1");
    }
}

/// Every text that may have been signed is JSON. The framework's own reads back as the same values and is then written as
/// it was; with the digits as they were sent, nothing at all is lost.
fn can_be_signed(params: &Params) {
    let texts = signed::spellings(params);
    for text in &texts {
        assert!(serde_json::from_str::<&RawValue>(text).is_ok(), "{text}");
    }
    let json = |text: &String| read_params("", HeaderValue::from_static("application/json"), text.as_bytes());
    let written = json(&texts[0]).expect("what was taken once is taken again");
    assert!(are_same(params.entries(), written.entries()), "{}", texts[0]);
    assert_eq!(signed::spellings(&written)[0], texts[0]);
    assert!(texts.iter().any(|text| json(text).as_ref() == Some(params)), "no spelling says what was sent");
    assert!(!signed::is_signed(params, "secret", "hash"));
}

fn are_same(sent: &[(String, Param)], written: &[(String, Param)]) -> bool {
    let mut pairs = sent.iter().zip(written);
    sent.len() == written.len() && pairs.all(|(sent, written)| sent.0 == written.0 && is_same(&sent.1, &written.1))
}

/// JavaScript writes a short integer as it was sent; any other number in a way of its own, or as null if it is too large.
fn is_same(sent: &Param, written: &Param) -> bool {
    let is_short = |digits: &str| digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    match (sent, written) {
        (Param::Number(sent), Param::Number(written)) => sent == written || !is_short(sent),
        (Param::Number(sent), Param::Null) => !is_short(sent),
        (Param::List(sent), Param::List(written)) => {
            sent.len() == written.len() && sent.iter().zip(written).all(|(sent, written)| is_same(sent, written))
        }
        (Param::Map(sent), Param::Map(written)) => are_same(sent, written),
        (sent, written) => sent == written,
    }
}

/// An exchange file (docs/exchange.md): whatever is imported can be quoted, to and fro, or is refused with a reason.
pub fn file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let exchange = match read_file(text) {
        Ok(exchange) => Arc::new(exchange),
        Err(faults) => {
            assert!((1..=MOST_FAULTS).contains(&faults.len()));
            return;
        }
    };
    assert!(exchange.currencies.len() <= MOST_CURRENCIES && exchange.routes.len() <= MOST_ROUTES);
    let reserves = exchange_file::reserves(text).expect("it was read a moment ago");
    assert_eq!(reserves.len(), exchange.currencies.len());
    let office = Market { exchange: exchange.clone(), ..MARKET.clone() };
    exchange.routes.iter().take(TRIED_ROUTES).for_each(|route| can_be_quoted(&office, route));
}

fn read_file(text: &str) -> Result<Exchange, Vec<FileError>> {
    exchange_file::read(text, "fuzz".to_owned(), &MARKET.rails, &BTreeMap::new())
}

/// The simulator's networks, and rates that make routes of.
static MARKET: LazyLock<Market> = LazyLock::new(|| {
    let bitcoin = CoinRate { usd: "64951.3".parse().expect("a decimal"), as_of: NOW };
    let rates = Rates {
        id: "rates".to_owned(),
        fiat: BTreeMap::from([(Currency::USD, FiatRate { per_eur: "1.08".parse().expect("a decimal") })]),
        coins: BTreeMap::from([("BTC".to_owned(), bitcoin)]),
        never_stale: true,
        ..Rates::default()
    };
    Market { rates: Arc::new(rates), ..market::market() }
});

fn can_be_quoted(office: &Market, route: &Route) {
    let exchange = &office.exchange;
    let (from, to) = (exchange.from_of(route), exchange.to_of(route));
    let Ok(rate) = exchange.rate(route, &office.rails, &office.rates, NOW) else { return };
    let (give, receive) = rate.pair();
    assert!(!give.is_sign_negative() && !receive.is_sign_negative());
    let some = [1, 99, 10_i64.pow(from.decimals), route.min_units, route.max_units, i64::MAX];
    for units in some.into_iter().filter(|units| *units > 0) {
        let discount_bps = route.discount_bps(units);
        converts_to_and_fro(&Conversion { discount_bps, ..exchange.conversion(route, rate) }, units);
        is_agreed_as_asked(office, route, &units_to_text(units, from.decimals, 0));
        is_agreed_as_asked(office, route, &format!("-{}", units_to_text(units, to.decimals, 0)));
    }
}

/// Nobody gains by asking the other way round: what is to be given is the least that brings as much.
fn converts_to_and_fro(conversion: &Conversion, units: i64) {
    if let Some(received) = conversion.receive(units) {
        assert!(received >= -conversion.fee_units, "{conversion:?} {units}");
        let least = conversion.give(received).expect("it is at most what was given");
        assert!((0..=units).contains(&least), "{conversion:?} {units}");
        assert_eq!(conversion.receive(least), Some(received), "{conversion:?} {units}");
        let for_more = received.checked_add(1).and_then(|more| conversion.give(more));
        assert!(for_more.is_none_or(|for_more| for_more > units), "{conversion:?} {units}");
    }
    if let Some(given) = conversion.give(units) {
        assert!(given > 0, "{conversion:?} {units}");
        assert!(conversion.receive(given).is_none_or(|received| received >= units), "{conversion:?} {units}");
        assert!(conversion.receive(given - 1).is_none_or(|received| received < units), "{conversion:?} {units}");
    }
}

/// What is agreed is what was asked for, within the route's limits, and costs the same when it is priced again.
fn is_agreed_as_asked(office: &Market, route: &Route, amount: &str) {
    let wanted = wanted(&office.exchange, route, amount);
    let Ok(quote) = check_trade(&wanted, office, &Facts::default(), NOW) else { return };
    let trade = quote.trade.expect("an exchange order agrees on something");
    assert!(quote.due_units > 0 && quote.due_units == trade.from.ledger_units());
    assert!(trade.from.units >= route.min_units && (route.max_units == 0 || trade.from.units <= route.max_units));
    assert!(trade.to.units > 0 && trade.to.units <= office.exchange.to_of(route).available_units(None));
    assert!(!trade.unit_rate().is_sign_negative());
    let (price, receive) = (trade.price_at(trade.rate), trade.receive_at(trade.rate));
    match amount.strip_prefix('-') {
        Some(asked) => {
            assert_eq!((trade.to.amount().as_str(), price), (asked, Some(quote.due_units)));
            assert!(receive.is_none_or(|receive| receive >= trade.to.units));
        }
        None => {
            assert_eq!((trade.from.amount().as_str(), receive), (amount, Some(trade.to.units)));
            assert!(price.is_some_and(|price| price <= quote.due_units));
        }
    }
}

/// An order over so much, with something in every field.
fn wanted(exchange: &Exchange, route: &Route, amount: &str) -> Wanted {
    let filled = |fields: &[Field]| -> Vec<(String, String)> {
        let value = |field: &Field| field.options.first().map_or("1", |option| option.value.as_str()).to_owned();
        fields.iter().map(|field| (field.id.to_string(), value(field))).collect()
    };
    Wanted {
        route: Some(route.id.clone()),
        amount: amount.to_owned(),
        from_values: filled(&exchange.from_of(route).from_fields),
        to_values: filled(&exchange.to_of(route).to_fields),
        route_values: filled(&route.fields),
        agreement: true,
        ..Wanted::default()
    }
}

/// The amount of an order (contract 5.1), beside a model that shifts digits.
pub fn amount(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for route in &ONE_FOR_ONE.exchange.routes {
        assert_eq!(read_amount(route, text), shifted(text, decimals_of(route)), "{text:?}");
    }
}

/// Two currencies without decimals and two with eight, each given for the other as it is.
static ONE_FOR_ONE: LazyLock<Market> = LazyLock::new(|| {
    let currency = |code: &str, decimals: u32| {
        let most = units_to_text(i64::MAX, decimals, 0);
        format!(
            "[[currency]]\ncode = \"{code}\"\nname = \"{code}\"\nsymbol = \"{code}\"\ndecimals = {decimals}\n\
             reserve = \"{most}\"\n"
        )
    };
    let route = |from: &str, to: &str| format!("[[route]]\nfrom = [\"{from}\"]\nto = [\"{to}\"]\nrate = \"1\"\n");
    let currencies = [currency("ONE", 0), currency("UNO", 0), currency("FINE", 8), currency("FINO", 8)].concat();
    let routes = [route("ONE", "UNO"), route("FINE", "FINO")].concat();
    let text = format!("format = \"{}\"\n{currencies}{routes}", exchange_file::FORMAT);
    Market { exchange: Arc::new(read_file(&text).expect("a file without faults")), ..MARKET.clone() }
});

fn decimals_of(route: &Route) -> u32 {
    ONE_FOR_ONE.exchange.from_of(route).decimals
}

/// Units that an order would be over; `None` if the text is no amount.
fn read_amount(route: &Route, text: &str) -> Option<i64> {
    let wanted = wanted(&ONE_FOR_ONE.exchange, route, text);
    match check_trade(&wanted, &ONE_FOR_ONE, &Facts::default(), NOW) {
        Ok(quote) => {
            let trade = quote.trade.expect("an exchange order agrees on something");
            assert_eq!(trade.from.units, trade.to.units, "{text:?}");
            Some(trade.from.units)
        }
        Err(TradeFault::Zero) => Some(0),
        Err(TradeFault::Amount { .. }) => None,
        Err(fault) => panic!("{text:?}: {fault}"),
    }
}

/// The same by moving all digits as far as exponent and decimals say: none may be lost but zeros.
fn shifted(text: &str, decimals: u32) -> Option<i64> {
    let text = text.trim();
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(left, right)| (left, Some(right)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(left, right)| (left, Some(right)));
    // Clients that write an exponent may leave out what follows the point.
    let is_cut_off = fraction == Some("") && exponent.is_none();
    let exponent = exponent.map_or(Ok(0), str::parse::<i32>).ok().filter(|exponent| (-40..=40).contains(exponent))?;
    let fraction = fraction.unwrap_or_default();
    let digits = format!("{whole}{fraction}");
    let is_decimal = !whole.is_empty() && !is_cut_off && digits.bytes().all(|byte| byte.is_ascii_digit());
    if mantissa.len() > 40 || !is_decimal {
        return None;
    }
    let shift = i32::try_from(decimals).ok()? + exponent - i32::try_from(fraction.len()).ok()?;
    let (added, dropped) = (usize::try_from(shift).unwrap_or(0), usize::try_from(-shift).unwrap_or(0));
    let (kept, lost) = digits.split_at(digits.len().saturating_sub(dropped));
    let is_whole = lost.bytes().all(|byte| byte == b'0');
    if is_whole { format!("0{kept}{}", "0".repeat(added)).parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::seeds;

    #[test]
    fn every_seed_of_parameters_is_understood_or_refused() {
        let seeds = seeds("exchange_params");
        assert!(seeds.len() >= 5);
        seeds.iter().for_each(|bytes| params(bytes));
        let read = seeds.iter().filter_map(|bytes| params_of(bytes)).filter(|params| !params.entries().is_empty());
        assert!(read.count() >= 4, "nothing to begin from");
    }

    #[test]
    fn every_seed_of_an_exchange_file_is_understood_or_refused() {
        let seeds = seeds("exchange_file");
        assert!(seeds.len() >= 3);
        seeds.iter().for_each(|bytes| file(bytes));
        let read = seeds.iter().filter_map(|bytes| read_file(&String::from_utf8_lossy(bytes)).ok());
        let routes: Vec<Exchange> = read.filter(|exchange| !exchange.routes.is_empty()).collect();
        assert!(routes.len() >= 2, "nothing to begin from");
        // One of them can be ordered, so that what is agreed is looked at, too.
        let is_agreed = |exchange: &Exchange| {
            let office = Market { exchange: Arc::new(exchange.clone()), ..MARKET.clone() };
            let mut wishes = exchange.routes.iter().map(|route| wanted(exchange, route, "100"));
            wishes.any(|wanted| check_trade(&wanted, &office, &Facts::default(), NOW).is_ok())
        };
        assert!(routes.iter().any(is_agreed), "nothing is agreed on");
    }

    #[test]
    fn every_seed_of_an_amount_is_understood_or_refused() {
        let seeds = seeds("exchange_amount");
        assert!(seeds.len() >= 5);
        seeds.iter().for_each(|bytes| amount(bytes));
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let is_amount = |text: &String| {
            let mut routes = ONE_FOR_ONE.exchange.routes.iter();
            routes.any(|route| read_amount(route, text).is_some_and(|units| units > 0))
        };
        assert!(seeds.iter().map(text).filter(is_amount).count() >= 3, "nothing to begin from");
    }

    #[test]
    fn the_model_knows_amounts() {
        for (text, decimals, units) in [
            ("100.5", 2, Some(10_050)),
            (" -250 ", 0, Some(250)),
            ("1.5e-7", 8, Some(15)),
            ("1e3", 0, Some(1_000)),
            ("100e-2", 0, Some(1)),
            ("0.10", 1, Some(1)),
            ("0e40", 8, Some(0)),
            ("0.11", 1, None),
            ("1e19", 0, None),
            ("1.", 8, None),
            (".5", 8, None),
            ("--1", 8, None),
            ("1e41", 8, None),
            ("", 8, None),
        ] {
            assert_eq!(shifted(text, decimals), units, "{text:?}");
        }
    }
}
