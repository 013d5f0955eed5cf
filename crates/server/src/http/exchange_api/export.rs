//! Rates for monitors: XML after BestChange, JSON after jsons.info, and plain lines (contract 11). Public.

use super::routes::{self, Desk};
use super::with_cors;
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::representation::Representation;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::route::{Conversion, DealRate, Route, Settles};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// `GET /service/export/{xml|json|txt}`: every exported route that can be priced now; no pair is there twice.
pub async fn show(app: &App, format: &str, asked: &HeaderMap) -> Response {
    let (name, kind, render): (_, _, fn(&Desk) -> String) = match format {
        "xml" => ("xml", "application/xml; charset=utf-8", xml),
        "json" => ("json", "application/json; charset=utf-8", json),
        "txt" => ("txt", "text/plain; charset=utf-8", lines),
        _ => return with_cors(ApiError::not_found().into_response()),
    };
    let (now, serial) = (app.engine.clock.now(), app.engine.shared.snapshot().serial);
    let text = match app.reads.shelf.recall(name, serial, now) {
        Some(text) => text,
        None => match Desk::open(app, now).await {
            Ok(desk) => {
                let text = render(&desk).into();
                app.reads.shelf.keep(name, serial, now, &text);
                text
            }
            Err(error) => return with_cors(ApiError::from(error).into_response()),
        },
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"));
    with_cors(Representation::new(text.as_bytes().to_vec().into(), headers).response(asked).await)
}

/// One route as monitors know it. Amounts are plain decimals.
struct Item<'a> {
    /// With their cities.
    whole: (&'a str, &'a str),
    from: &'a str,
    to: &'a str,
    city: Option<&'a str>,
    /// What is given and received, one of which is 1.
    rate: (Decimal, Decimal),
    reserve: String,
    least: String,
    most: String,
    fee: Option<String>,
    params: Vec<&'static str>,
}

fn items<'a>(desk: &'a Desk) -> impl Iterator<Item = Item<'a>> + 'a {
    let exported = desk.open_routes().filter(|(route, _)| route.is_exported);
    // Nothing can be had where no reserve is left; and between two cities there is no form for it.
    let is_offered = |route: &Route| {
        let exchange = desk.exchange();
        let (from, to) = (exchange.from_of(route), exchange.to_of(route));
        let cities = [from, to].map(|currency| currency.code_and_city().1);
        !exchange.is_closed && desk.offered_units(to) > 0 && !matches!(cities, [Some(_), Some(_)])
    };
    exported.filter(move |(route, _)| is_offered(route)).filter_map(|(route, rate)| item(desk, route, rate))
}

fn item<'a>(desk: &'a Desk, route: &Route, rate: DealRate) -> Option<Item<'a>> {
    let exchange = desk.exchange();
    let (from, to) = (exchange.from_of(route), exchange.to_of(route));
    let ((from_code, from_city), (to_code, to_city)) = (from.code_and_city(), to.code_and_city());
    // No more than what is there can be had, whatever the route's own limit.
    let for_reserve = largest_give(&exchange.conversion(route, rate), desk.offered_units(to));
    let most_units = if route.max_units == 0 { for_reserve } else { route.max_units.min(for_reserve) };
    if most_units < route.min_units.max(1) {
        return None;
    }
    let mut params = Vec::new();
    if matches!(from.settles, Settles::Manual { .. }) || !route.auto_payout {
        params.push("manual");
    }
    if route.deal.kind.reprice_bps() != 0 {
        params.push("floating");
    }
    Some(Item {
        whole: (&from.xml, &to.xml),
        from: from_code,
        to: to_code,
        city: from_city.or(to_city),
        rate: rate.pair(),
        reserve: desk.reserve(to),
        least: routes::plain(route.min_units, from),
        most: routes::plain(most_units, from),
        fee: (route.fee_units != 0).then(|| routes::plain(route.fee_units, to)),
        params,
    })
}

/// The most that can be given so that no more is received than there is.
fn largest_give(conversion: &Conversion, most_received: i64) -> i64 {
    let give = conversion.give(most_received).unwrap_or(0);
    let fits = conversion.receive(give).is_some_and(|received| received <= most_received);
    if fits { give } else { (give - 1).max(0) }
}

/// BestChange's element names; codes, cities and figures need no escaping (`exchange_file` checks them).
fn xml(desk: &Desk) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rates>\n".to_owned();
    for item in items(desk) {
        let mut line = format!(
            "<item><from>{}</from><to>{}</to><in>{}</in><out>{}</out><amount>{}</amount>\
             <minamount>{}</minamount><maxamount>{}</maxamount>",
            item.from, item.to, item.rate.0, item.rate.1, item.reserve, item.least, item.most
        );
        let optional = [("tofee", item.fee), ("city", item.city.map(str::to_owned))];
        for (name, value) in optional.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            write!(line, "<{name}>{value}</{name}>").expect("a String takes everything");
        }
        if !item.params.is_empty() {
            write!(line, "<param>{}</param>", item.params.join(",")).expect("a String takes everything");
        }
        text.push_str(&line);
        text.push_str("</item>\n");
    }
    text.push_str("</rates>\n");
    text
}

/// jsons.info: currencies by number, and for each pair a rate of at least 1, negative where one is given.
fn json(desk: &Desk) -> String {
    let mut numbers: Vec<&str> = Vec::new();
    let mut exchange = Map::new();
    let items: Vec<Item<'_>> = items(desk).collect();
    for item in &items {
        for code in [item.from, item.to] {
            if !numbers.contains(&code) {
                numbers.push(code);
            }
        }
    }
    let number_of = |code: &str| base36(numbers.iter().position(|known| *known == code).unwrap_or(0) + 1);
    for item in &items {
        let value = if item.rate.0 > Decimal::ONE { item.rate.0 } else { -item.rate.1 };
        let value = value.round_dp_with_strategy(6, RoundingStrategy::ToZero);
        let from = exchange.entry(number_of(item.from)).or_insert_with(|| json!({ "to": {} }));
        let pair = &mut from["to"][number_of(item.to)];
        // The form knows no cities: of several the first stands.
        if pair.is_null() {
            *pair = json!({ "xr": routes::number(value) });
        }
    }
    let currencies: Map<String, Value> = numbers.iter().map(|code| (number_of(code), json!(code))).collect();
    json!({ "currencies": currencies, "exchange": exchange }).to_string()
}

fn base36(mut number: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    while number > 0 {
        text.push(DIGITS[number % 36]);
        number /= 36;
    }
    text.iter().rev().map(|digit| char::from(*digit)).collect()
}

/// `FROM;TO;in;out;amount;minamount;maxamount`.
fn lines(desk: &Desk) -> String {
    let mut text = String::new();
    for item in items(desk) {
        let ((from, to), (give, receive)) = (item.whole, item.rate);
        writeln!(text, "{from};{to};{give};{receive};{};{};{}", item.reserve, item.least, item.most)
            .expect("a String takes everything");
    }
    text
}
