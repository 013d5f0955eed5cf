//! Routes and rates (contract 4): what can be exchanged for what, and at which rate now.

use super::fault::Fault;
use super::{Answer, CACHE_ROUTE, CACHE_ROUTES, Call, Data, kept, written};
use crate::http::App;
use crate::http::store_api::catalogue::sign_slug;
use crate::store::{DbError, claims};
use domain::ids::ObjectId;
use domain::limits::CounterKey;
use domain::money::units_to_text;
use domain::route::{Currency, DealRate, Exchange, Field, Route, Settles, unit_usd};
use domain::time::Time;
use domain::validate::Market;
use rust_decimal::Decimal;
use serde_json::{Map, Number, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What may be traded now, and how much of it is there.
pub struct Desk {
    pub market: Arc<Market>,
    /// What can still be promised, and how much of it one visitor's orders may hold, by currency code.
    reserves: BTreeMap<String, (i64, i64)>,
    now: Time,
}

impl Desk {
    /// Reads the reserves as they are now.
    pub async fn open(app: &App, now: Time) -> Result<Desk, DbError> {
        let market = app.engine.shared.market();
        let keys: Vec<CounterKey> = market.exchange.currencies.iter().map(Currency::reserve_key).collect();
        let counters = app.engine.db.read(move |tx| claims::counters(tx, &keys)).await?;
        let share = market.limits.unpaid_stock_share_percent;
        let available = |currency: &Currency| {
            let counted = counters.get(&currency.reserve_key());
            (currency.available_units(counted), currency.offered_units(counted, share))
        };
        let reserves = market.exchange.currencies.iter().map(|c| (c.xml.clone(), available(c))).collect();
        Ok(Desk { market, reserves, now })
    }

    pub fn exchange(&self) -> &Exchange {
        &self.market.exchange
    }

    /// What can still be promised of a currency, as a plain decimal.
    pub fn reserve(&self, currency: &Currency) -> String {
        plain(self.reserves.get(&currency.xml).map_or(0, |(available, _)| *available), currency)
    }

    /// How much of it one order can have.
    pub fn offered_units(&self, currency: &Currency) -> i64 {
        self.reserves.get(&currency.xml).map_or(0, |(_, offered)| *offered)
    }

    fn rate(&self, route: &Route) -> Option<DealRate> {
        let open = self.exchange().is_open(route, &self.market.rails);
        let rate = || self.exchange().rate(route, &self.market.rails, &self.market.rates, self.now).ok();
        if open { rate() } else { None }
    }

    /// Every route that can be priced now, with its rate.
    pub fn open_routes(&self) -> impl Iterator<Item = (&Route, DealRate)> {
        self.exchange().routes.iter().filter_map(|route| self.rate(route).map(|rate| (route, rate)))
    }
}

/// `public/exchanger/route/get`: every route, hidden ones too (contract 4.1).
pub async fn list(call: &Call) -> Result<Answer, Fault> {
    let wanted = (call.params.object_id("fromCurrencyId")?, call.params.object_id("toCurrencyId")?);
    if wanted == (None, None) {
        let list = |desk: &Desk| json!({ "routes": routes_of(desk, &(None, None)) });
        return once_a_second(call, "list", CACHE_ROUTE, list).await;
    }
    let desk = Desk::open(&call.app, call.now).await?;
    Ok(kept(CACHE_ROUTE, json!({ "routes": routes_of(&desk, &wanted) })))
}

/// A long answer, written once a second for everybody.
async fn once_a_second(
    call: &Call,
    name: &'static str,
    cache: u32,
    make: impl Fn(&Desk) -> Value,
) -> Result<Answer, Fault> {
    let (serial, shelf) = (call.app.engine.shared.snapshot().serial, &call.app.reads.shelf);
    let text = match shelf.recall(name, serial, call.now) {
        Some(text) => text,
        None => {
            let text = written(&make(&Desk::open(&call.app, call.now).await?));
            shelf.keep(name, serial, call.now, &text);
            text
        }
    };
    Ok(Answer { data: Data::Written(text), cache: Some(cache), cookies: Vec::new() })
}

fn routes_of(desk: &Desk, wanted: &(Option<ObjectId>, Option<ObjectId>)) -> Vec<Value> {
    let exchange = desk.exchange();
    let is_wanted = |route: &Route| {
        let is = |wanted: &Option<ObjectId>, currency: &Currency| wanted.as_ref().is_none_or(|id| *id == currency.id);
        is(&wanted.0, exchange.from_of(route)) && is(&wanted.1, exchange.to_of(route))
    };
    let open = desk.open_routes().filter(|(route, _)| is_wanted(route));
    open.map(|(route, rate)| short(desk, route, rate)).collect()
}

fn short(desk: &Desk, route: &Route, rate: DealRate) -> Value {
    let exchange = desk.exchange();
    let (from, to) = (exchange.from_of(route), exchange.to_of(route));
    let (give, receive) = rate.pair();
    let mut give_side = currency_head(from);
    give_side["positionIn"] = json!(from.position);
    give_side["min"] = json!(plain(route.min_units, from));
    give_side["max"] = json!(plain(route.max_units, from));
    give_side["verification"] = json!(false);
    let mut receive_side = currency_head(to);
    receive_side["positionOut"] = json!(to.position);
    json!({
        "routeId": route.id,
        "isShowWeb": route.is_shown,
        "isShowBot": route.is_shown,
        "from": give_side,
        "to": receive_side,
        "in": number(give),
        "out": number(receive),
        "amount": desk.reserve(to),
        "minamount": plain(route.min_units, from),
        "maxamount": plain(route.max_units, from),
        "rate": rate_json(desk, route, rate),
        "seo": { "friendlyURL": route.friendly_url },
    })
}

fn rate_json(desk: &Desk, route: &Route, rate: DealRate) -> Value {
    let to = desk.exchange().to_of(route);
    let (give, receive) = rate.pair();
    json!({
        "in": number(give),
        "out": number(receive),
        "rateFullNumber": rate.text(),
        "amount": desk.reserve(to),
        "outFeeAmount": json_number(&plain(route.fee_units, to)),
        "typeCalculate": route.deal.kind.word(),
        "changePercentReCalculate": json_number(&percent(route.deal.kind.reprice_bps())),
    })
}

/// `public/exchanger/route-v2/get`: currencies once, and routes that name them (contract 4.2).
pub async fn list_v2(call: &Call) -> Result<Answer, Fault> {
    let (from_ids, to_ids) = (call.params.texts("fromCurrencyIds")?, call.params.texts("toCurrencyIds")?);
    if from_ids.is_empty() && to_ids.is_empty() {
        return once_a_second(call, "list_v2", CACHE_ROUTES, |desk| routes_v2_of(desk, &[], &[])).await;
    }
    let desk = Desk::open(&call.app, call.now).await?;
    Ok(kept(CACHE_ROUTES, routes_v2_of(&desk, &from_ids, &to_ids)))
}

fn routes_v2_of(desk: &Desk, from_ids: &[String], to_ids: &[String]) -> Value {
    let exchange = desk.exchange();
    let mut currencies = Map::new();
    let mut routes = Vec::new();
    for (route, _) in desk.open_routes() {
        let (from, to) = (exchange.from_of(route), exchange.to_of(route));
        let is =
            |ids: &[String], currency: &Currency| ids.is_empty() || ids.iter().any(|id| id == currency.id.as_str());
        if !is(from_ids, from) || !is(to_ids, to) {
            continue;
        }
        for currency in [from, to] {
            currencies.entry(currency.id.as_str()).or_insert_with(|| currency_v2(desk, currency));
        }
        routes.push(json!({
            "routeId": route.id,
            "from": from.id,
            "to": to.id,
            "isShowWeb": route.is_shown,
            "isShowBot": route.is_shown,
            "reserveAmountAdditional": 0,
            "seoFriendlyURL": route.friendly_url,
        }));
    }
    json!({ "isUpdated": true, "currencies": currencies, "routes": routes })
}

fn currency_v2(desk: &Desk, currency: &Currency) -> Value {
    json!({
        "id": currency.id,
        "xml": currency.xml,
        "name": currency.name,
        "symbol": currency.symbol,
        "image": image_url(&currency.xml, ""),
        "positionIn": currency.position,
        "positionOut": currency.position,
        "reserveAmount": json_number(&desk.reserve(currency)),
        "isActive": true,
    })
}

/// `public/exchanger/route/get/one`.
pub async fn one(call: &Call) -> Result<Answer, Fault> {
    let id = call.params.object_id("id")?.ok_or_else(|| Fault::missing("id"))?;
    found(call, |exchange| exchange.route(&id).cloned()).await
}

/// `public/exchanger/route/get/one/by-xml`.
pub async fn by_xml(call: &Call) -> Result<Answer, Fault> {
    let (from, to) = (call.params.must_text("xmlIn", 50)?, call.params.must_text("xmlOut", 50)?);
    found(call, |exchange| exchange.route_between(&from, &to).cloned()).await
}

/// `public/exchanger/route/get/one/by-friendlyURL`.
pub async fn by_friendly_url(call: &Call) -> Result<Answer, Fault> {
    let url = call.params.must_text("friendlyURL", 90)?;
    found(call, |exchange| exchange.routes.iter().find(|route| route.friendly_url == url).cloned()).await
}

async fn found(call: &Call, find: impl Fn(&Exchange) -> Option<Route>) -> Result<Answer, Fault> {
    let desk = Desk::open(&call.app, call.now).await?;
    let route = find(desk.exchange()).ok_or_else(Fault::unknown_route)?;
    let rate = desk.rate(&route).ok_or_else(Fault::no_route)?;
    Ok(kept(CACHE_ROUTE, json!({ "route": full(&desk, &route, rate) })))
}

/// A route with everything that its form needs (contract 4.3).
fn full(desk: &Desk, route: &Route, rate: DealRate) -> Value {
    let exchange = desk.exchange();
    let (from, to) = (exchange.from_of(route), exchange.to_of(route));
    let usd = |currency: &Currency| {
        let usd = unit_usd(&currency.priced_as, &desk.market.rails, &desk.market.rates, desk.now);
        usd.unwrap_or_default().round_dp(8).normalize().to_string()
    };
    let mut give = currency_head(from);
    let mut receive = currency_head(to);
    extend(
        &mut give,
        json!({
            "discounts": discounts(route, from),
            "fields": fields(&from.from_fields),
            "min": plain(route.min_units, from),
            "max": plain(route.max_units, from),
            "verification": false,
            "verificationText": "",
            "usdRate": usd(from),
            "paymentDetails": { "merchantEnabled": false, "merchant": null, "amlEnabled": false, "aml": null },
        }),
    );
    extend(
        &mut receive,
        json!({
            "fields": fields(&to.to_fields),
            "verificationPayout": false,
            "verificationPayoutText": "",
            "payoutEnabled": matches!(to.settles, Settles::Network(_)),
            "payout": null,
            "usdRate": usd(to),
            "minFee": 0,
            "amlPayoutEnabled": false,
            "amlPayout": null,
        }),
    );
    let mut seo = Map::from_iter([("friendlyURL".to_owned(), json!(route.friendly_url))]);
    for text in ["title", "subtitle", "description", "instruction", "keyword", "h1", "h2"] {
        seo.insert(text.to_owned(), json!(route.texts.get(text).map_or("", String::as_str)));
    }
    let is_off = json!({ "enable": false, "currency": "out", "minAmount": 0 });
    json!({
        "routeId": route.id,
        "isShowWeb": route.is_shown,
        "isShowBot": route.is_shown,
        "from": give,
        "to": receive,
        "fields": fields(&route.fields),
        "rate": rate_json(desk, route, rate),
        "instructions": instructions(route),
        "requiredDocuments": [],
        "additionalServices": [],
        "verification": false,
        "verificationText": "",
        "verificationRequiredImagesCount": 0,
        "requiredVerificationUser": is_off,
        "requiredVerificationPhone": is_off,
        "requiredOnlyForAuthed": { "enable": false },
        "isAutoPayout": route.auto_payout,
        "seo": seo,
        "orderTTL": route.window.0 / 60_000,
        "disableUserDiscounts": false,
    })
}

/// `public/exchanger/favorite/get`: rates for the head of pages, in US dollars.
pub fn favorites(call: &Call) -> Result<Answer, Fault> {
    let market = call.app.engine.shared.market();
    let priced = market.exchange.favorites.iter().filter_map(|favorite| {
        let usd = unit_usd(&favorite.priced_as, &market.rails, &market.rates, call.now).ok()?;
        Some(json!({ "name": favorite.name, "rate": number(usd.round_dp(8).normalize()) }))
    });
    Ok(kept(CACHE_ROUTES, json!({ "rates": priced.collect::<Vec<_>>() })))
}

fn currency_head(currency: &Currency) -> Value {
    head(currency.id.as_str(), &currency.xml, &currency.name, &currency.symbol, currency.decimals)
}

/// What every answer says of a currency.
pub fn head(id: &str, xml: &str, name: &str, symbol: &str, decimals: u32) -> Value {
    let file = |kind: &str, variant: &str| json!({ "type": kind, "url": image_url(xml, variant) });
    json!({
        "_id": id,
        "name": name,
        "symbol": symbol,
        "xml": xml,
        "decimal": decimals,
        // Always these four, in this order: pages read them by their place (contract 4.3).
        "image": { "files": [
            file("original", ""), file("big", "_500x318"), file("medium", "_300x190"), file("small", "_300x190")
        ] },
    })
}

/// Below `/service/fs`, which clients put before it.
fn image_url(xml: &str, variant: &str) -> String {
    format!("/logos/{}{variant}.webp", sign_slug("currency", xml))
}

pub fn instructions(route: &Route) -> Vec<Value> {
    let instruction = |instruction: &domain::route::Instruction| json!({ "_id": instruction.id, "step": instruction.step, "content": instruction.content });
    route.instructions.iter().map(instruction).collect()
}

fn fields(fields: &[Field]) -> Vec<Value> {
    let field = |field: &Field| {
        let options: Vec<Value> =
            field.options.iter().map(|option| json!({ "name": option.name, "value": option.value })).collect();
        json!({
            "_id": field.id,
            "alias": field.alias,
            "name": field.name,
            "placeholder": field.placeholder,
            "regexp": field.regexp.as_ref().map_or("", domain::route::Pattern::as_str),
            "regexp_error": field.regexp_error,
            "required": field.required,
            "options": options,
        })
    };
    fields.iter().map(field).collect()
}

/// The largest threshold first: clients take the first that fits (contract 4.3).
fn discounts(route: &Route, from: &Currency) -> Vec<Value> {
    let discount = |discount: &domain::route::Discount| {
        json!({
            "amountMoreThan": json_number(&plain(discount.more_than_units, from)),
            "discountPercent": json_number(&percent(i64::from(discount.bps))),
        })
    };
    route.discounts.iter().map(discount).collect()
}

/// A plain decimal without trailing zeros.
pub fn plain(units: i64, currency: &Currency) -> String {
    units_to_text(units, currency.decimals, 0)
}

/// Hundredths of a percent as a plain decimal of percent.
pub fn percent(bps: i64) -> String {
    units_to_text(bps, 2, 0)
}

/// A plain decimal as a JSON number, digit for digit.
pub fn json_number(text: &str) -> Number {
    serde_json::from_str(text).expect("plain decimals are JSON numbers")
}

pub fn number(value: Decimal) -> Number {
    json_number(&value.normalize().to_string())
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
