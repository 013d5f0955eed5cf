//! Exchange orders: create, read, change the status, the latest of all (contract 5).
//!
//! Whoever has an order's number and secret may act on it; nothing else is asked (contract 2.3).

use super::fault::Fault;
use super::params::Param;
use super::routes::{head, instructions, json_number, number};
use super::{Answer, CACHE_ROUTE, Call, caller, kept, partner};
use crate::engine::{Lane, SubmitError};
use crate::http::convert;
use crate::http::store_api::orders as opened;
use crate::http::visitors::one_visitor;
use crate::store::orders;
use crate::vault::{OpenOrder, Personal, Told, TradeNames, TradePersonal};
use domain::decide::{Command, Idempotency, PlaceTrade, Refusal};
use domain::event::Origin;
use domain::ids::OrderId;
use domain::order::Order;
use domain::project::{ExchangeStatus, exchange_status};
use domain::route::{Exchange, Field, Side, Trade, Wanted};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

/// Values of one kind that an order may carry.
const MOST_VALUES: usize = 50;

/// `public/exchanger/order/create`.
pub async fn create(call: &Call) -> Result<Answer, Fault> {
    let app = &call.app;
    let wanted = wanted(call)?;
    let market = app.engine.shared.market();
    let id = OrderId::new(app.vault.new_uuid());
    let address = call.address.map(|address| one_visitor(address).to_string());
    let owner = call.owner.as_ref();
    let personal = Personal {
        email: email(call)?,
        visitor: call.address.map(|address| address.to_string()),
        trade: Some(told(call, &wanted, &market.exchange)?),
        ..Personal::default()
    };
    let place = PlaceTrade {
        id,
        wanted,
        origin: Origin {
            language: language(call)?,
            customer: owner.map(|owner| owner.account.to_string()),
            referrer: partner::of_order(call).await?,
            ..Origin::default()
        },
        market,
        personal: app.vault.seal_personal(id, &personal),
        // What an account signed is carried out once, also by another process and after a restart.
        idempotency: owner.and_then(caller::Owner::signed).map(|signed| Idempotency {
            scope: "exchange/signed".to_owned(),
            key: signed.to_owned(),
            body_hash: String::new(),
        }),
        visitor: app.vault.visitor_key(&address.unwrap_or_default()),
        caps: app.settings.caps,
    };
    let order = app.engine.submit(Lane::Client, Command::PlaceTrade(Box::new(place))).await?;
    let names = app.vault.trade_names(&order);
    created(&order, &names).ok_or_else(Fault::unknown_order).map(Answer::from)
}

fn wanted(call: &Call) -> Result<Wanted, Fault> {
    let params = &call.params;
    let amount = match params.get("amount") {
        Some(Param::Number(text) | Param::Text(text)) => text.clone(),
        Some(Param::Null | Param::Bool(_) | Param::List(_) | Param::Map(_)) | None => return Err(Fault::no_amount()),
    };
    Ok(Wanted {
        route: Some(params.object_id("routeId")?.ok_or_else(|| Fault::missing("routeId"))?),
        amount,
        from_values: values(call, "fromValues")?,
        to_values: values(call, "toValues")?,
        route_values: values(call, "routeValues")?,
        agreement: params.flag("agreement")?.unwrap_or(false),
        skip_preview: params.flag("skipPreview")?.unwrap_or(false),
        hide_out_data: params.flag("hideOutData")?.unwrap_or(false),
        receiver: web_address(call, "ipnUrl")?.map(|url| call.app.vault.receiver_key(&url)),
        told_again: call.owner.as_ref().is_some_and(caller::Owner::wants_ipn_again),
        // Shown to everybody by `get-lasts`: a word, or nothing.
        client_type: params.text("typeClient", 255)?.filter(|word| is_word(word)),
    })
}

fn is_word(text: &str) -> bool {
    (1..=20).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// `[{key, value}]`; anything else in the list is a fault of the caller's program.
fn values(call: &Call, name: &str) -> Result<Vec<(String, String)>, Fault> {
    let wrong = || Fault::param(name, "a list of {key, value}");
    let items = match call.params.get(name) {
        None => return Ok(Vec::new()),
        Some(Param::List(items)) if items.len() <= MOST_VALUES => items,
        Some(_) => return Err(wrong()),
    };
    let text = |item: &Param, member: &str| match item.member(member) {
        // An empty field of some form: as if it had not been sent.
        Some(Param::Null) => Some(String::new()),
        member => member.and_then(Param::as_text),
    };
    items.iter().map(|item| text(item, "key").zip(text(item, "value")).ok_or_else(wrong)).collect()
}

/// The values that the route asks for, in its order and by its ids; what nobody asked for is left out.
fn told(call: &Call, wanted: &Wanted, exchange: &Exchange) -> Result<TradePersonal, Fault> {
    let route = wanted.route.as_ref().and_then(|id| exchange.route(id)).ok_or_else(Fault::unknown_route)?;
    let answered = |fields: &[Field], values: &[(String, String)]| -> Vec<Told> {
        let answer = |field: &Field| {
            let (_, value) = values.iter().find(|(key, _)| field.is_called(key))?;
            let value = value.trim().to_owned();
            let is_told = !value.is_empty();
            is_told.then(|| Told { field: field.id.to_string(), name: field.name.clone(), value })
        };
        fields.iter().filter_map(answer).collect()
    };
    Ok(TradePersonal {
        from_values: answered(&exchange.from_of(route).from_fields, &wanted.from_values),
        to_values: answered(&exchange.to_of(route).to_fields, &wanted.to_values),
        route_values: answered(&route.fields, &wanted.route_values),
        callback_url: web_address(call, "clientCallbackUrl")?,
        ipn_url: web_address(call, "ipnUrl")?,
        ipn_secret: call.params.text("ipnSecret", 200)?,
    })
}

/// An address with http or https; a page will offer it as a link, so that `javascript:` must never come through.
fn web_address(call: &Call, name: &str) -> Result<Option<String>, Fault> {
    let text = call.params.text(name, 200)?.filter(|text| !text.trim().is_empty());
    let Some(text) = text else { return Ok(None) };
    let is_web = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    match reqwest::Url::parse(text.trim()) {
        Ok(url) if is_web(&url) => Ok(Some(text.trim().to_owned())),
        Ok(_) | Err(_) => Err(Fault::bad_url(name)),
    }
}

fn email(call: &Call) -> Result<Option<String>, Fault> {
    let Some(email) = call.params.text("email", 255)?.filter(|email| !email.trim().is_empty()) else { return Ok(None) };
    match domain::validate::email_fault(email.trim()) {
        None => Ok(Some(email.trim().to_owned())),
        Some(_) => Err(Fault::bad_email()),
    }
}

/// `en` or `ru`; "ing" is a misprint of the help pages and everything else is read in English (contract 5.1).
pub fn language(call: &Call) -> Result<String, Fault> {
    let language = call.params.text("lang", 20)?.or_else(|| call.lang.clone()).unwrap_or_default();
    Ok(if language == "ru" { "ru" } else { "en" }.to_owned())
}

fn created(order: &Order, names: &TradeNames) -> Option<Value> {
    let trade = order.trade()?;
    let (given, received) = (json_number(&trade.from.amount()), json_number(&trade.to.amount()));
    let side = |side: &Side| json!({ "name": side.name, "symbol": side.symbol });
    Some(json!({
        "_id": names.object_id,
        "uid": order.no,
        "rid": names.rid,
        "secret": names.secret,
        "status": exchange_status(order).word(),
        "expiresAt": order.expires_at.rfc3339_millis(),
        "inAmount": given,
        "outAmount": received,
        "route": {
            "from": side(&trade.from), "to": side(&trade.to), "inAmount": given, "outAmount": received
        },
    }))
}

/// `public/exchanger/order/get`.
pub async fn show(call: &Call) -> Result<Answer, Fault> {
    let kind = call.params.text("type", 20)?.unwrap_or_else(|| "order".to_owned());
    if !matches!(kind.as_str(), "order" | "payment") {
        return Err(Fault::param("type", "order or payment"));
    }
    let (opened, names) = named(call).await?;
    let data = json!({
        "order": shown(call, &opened, &names, &kind).ok_or_else(Fault::unknown_order)?,
        "verifications": {
            "verificationCurrency": null, "verificationCurrencyPayout": null, "verificationUser": null
        },
    });
    Ok(kept(CACHE_ROUTE, data))
}

/// The order that the parameters name.
async fn named(call: &Call) -> Result<(OpenOrder, TradeNames), Fault> {
    let uid = call.params.integer("orderUID", 1..=99_999_999_999)?.ok_or_else(|| Fault::missing("orderUID"))?;
    let secret = call.params.must_text("orderSecret", 50)?;
    found(call, uid, &secret).await
}

/// The order whose number and secret were sent. Wrong ones are counted: nobody tries secrets by the thousand.
pub async fn found(call: &Call, uid: i64, secret: &str) -> Result<(OpenOrder, TradeNames), Fault> {
    // Counted before it is looked at, and given back if it fits: guesses side by side are as many as one after another.
    let guesses = &call.app.reads.guesses;
    if let Some(address) = call.address {
        guesses.take(address, uid, call.now).map_err(Fault::too_many)?;
    }
    let order =
        call.app.engine.db.read(move |tx| orders::by_no(tx, uid)).await?.filter(|order| order.trade().is_some());
    let known = order.map(|order| (call.app.vault.trade_names(&order), order.id));
    let fits = known.filter(|(names, _)| bool::from(names.secret.as_bytes().ct_eq(secret.as_bytes())));
    let Some((names, id)) = fits else {
        return Err(Fault::unknown_order());
    };
    if let Some(address) = call.address {
        guesses.give_back(address, uid);
    }
    let opened = opened::open_if_there(&call.app, id).await?.ok_or_else(Fault::unknown_order)?;
    Ok((opened, names))
}

/// Contract 5.3.
fn shown(call: &Call, opened: &OpenOrder, names: &TradeNames, kind: &str) -> Option<Value> {
    let order = &opened.order;
    let trade = order.trade()?;
    let told = opened.personal.trade.as_ref();
    let market = call.app.engine.shared.market();
    let list = |values: fn(&TradePersonal) -> &Vec<Told>| -> Vec<Value> {
        told.map(|told| values(told).iter().map(told_json).collect()).unwrap_or_default()
    };
    // The payer must not see where a merchant receives (contract 5.6); the merchant himself may.
    let is_owner =
        call.owner.as_ref().is_some_and(|owner| order.origin.customer.as_deref() == Some(owner.account.as_str()));
    let to_values = if trade.hide_out_data && !is_owner { Vec::new() } else { list(|told| &told.to_values) };
    let route = market.exchange.route(&trade.route);
    let steps = route.map(instructions).unwrap_or_default();
    let agreed = if trade.reprice_bps > 0 { "float" } else { "fixed" };
    let calculated = route.map_or(agreed, |route| route.deal.kind.word());
    let mut from = side_head(&trade.from);
    from["verification"] = json!(false);
    from["verificationText"] = json!("");
    from["paymentDetails"] = payment_details(order, trade, &market);
    let mut to = side_head(&trade.to);
    to["verificationPayout"] = json!(false);
    to["verificationPayoutText"] = json!("");
    Some(json!({
        "TYPE": kind,
        "_id": names.object_id,
        "rid": names.rid,
        "uid": order.no,
        "partner": order.origin.referrer.as_deref().map(|account| call.app.vault.account_object_id(account)),
        "inAmount": json_number(&trade.from.amount()),
        "outAmount": json_number(&trade.to.amount()),
        "fromValues": list(|told| &told.from_values),
        "toValues": to_values,
        "routeValues": list(|told| &told.route_values),
        "status": exchange_status(order).word(),
        "createdAt": order.placed_at.rfc3339_millis(),
        "updatedAt": order.updated_at.rfc3339_millis(),
        "expiresAt": order.expires_at.rfc3339_millis(),
        "clientCallbackUrl": told.and_then(|told| told.callback_url.clone()),
        "comment": "",
        "rate": number(trade.unit_rate()),
        "rateTypeCalculate": calculated,
        "feeToAmount": json_number(&Side { units: trade.fee_units, ..trade.to.clone() }.amount()),
        "telegram": { "id": null, "username": null, "name": null },
        "additionalParams": {},
        "route": {
            "routeId": trade.route,
            "instructions": steps,
            "requiredDocuments": [],
            "verification": false,
            "verificationText": "",
            "verificationRequiredImagesCount": 0,
            "from": from,
            "to": to,
        },
    }))
}

fn told_json(told: &Told) -> Value {
    json!({ "_id": told.field, "field": told.field, "name": told.name, "value": told.value })
}

pub fn side_head(side: &Side) -> Value {
    head(side.currency.as_str(), &side.xml, &side.name, &side.symbol, side.decimals)
}

/// How to pay. The official client evaluates `merchant.template`: it stays empty here, and the address stands in
/// `account`, in a text of ours, and in `payment` for merchants who draw their own page (contract 5.3).
fn payment_details(order: &Order, trade: &Trade, market: &domain::validate::Market) -> Value {
    let by_hand = trade.from.is_manual();
    let text = match market.exchange.currency(&trade.from.xml).map(|currency| &currency.settles) {
        Some(domain::route::Settles::Manual { instructions, .. }) => instructions.clone(),
        Some(domain::route::Settles::Network(_)) | None if by_hand => String::new(),
        Some(domain::route::Settles::Network(_)) | None => {
            format!(
                "##en##Send exactly [[inAmount]] [[inSymbol]] on {} to [[account]].##ru##Отправьте ровно [[inAmount]] [[inSymbol]] в сети {} на адрес [[account]].",
                order.quote.network, order.quote.network
            )
        }
    };
    let qr_text = (!by_hand).then(|| convert::payment_uri(order, &market.rails));
    json!({
        "merchantEnabled": false,
        "merchant": null,
        "manualPaymentTextEnabled": !text.is_empty(),
        "manualPaymentText": text,
        "account": order.address,
        "commentTemplate": "",
        "linkPS": "",
        "showStepLink": false,
        "showStepComment": false,
        "showIPaidBtn": by_hand,
        "amlEnabled": false,
        "aml": null,
        "payment": {
            "address": order.address,
            "amount": trade.from.amount(),
            "currency": trade.from.symbol,
            "network": (!by_hand).then(|| order.quote.network.clone()),
            "qr_text": qr_text,
            "expiresAt": order.expires_at.rfc3339_millis(),
        },
    })
}

/// `public/exchanger/order/update-status`: what a payer may say (contract 5.5); the same word again changes nothing.
pub async fn update_status(call: &Call) -> Result<Answer, Fault> {
    let word = call.params.must_text("status", 50)?;
    let (opened, _) = named(call).await?;
    let order = opened.order.id;
    let current = exchange_status(&opened.order);
    let wanted = ExchangeStatus::parse(&word).ok_or_else(|| Fault::forbidden_status(current, &word))?;
    let command = match (current, wanted) {
        (current, wanted) if current == wanted => None,
        (ExchangeStatus::New, ExchangeStatus::WaitPayment) => Some(Command::Accept { order }),
        (ExchangeStatus::WaitPayment, ExchangeStatus::InProgress) => Some(Command::ClaimPaid { order }),
        (ExchangeStatus::New | ExchangeStatus::WaitPayment, ExchangeStatus::Deleted) => Some(Command::Cancel { order }),
        _ => return Err(Fault::forbidden_status(current, &word)),
    };
    let status = match command {
        None => current,
        Some(command) => match call.app.engine.submit(Lane::Client, command).await {
            Ok(order) => exchange_status(&order),
            // Somebody said the same at the same moment.
            Err(SubmitError::Refused(Refusal::AlreadyDone(_))) => wanted,
            Err(SubmitError::Refused(Refusal::Conflict(why))) => return Err(Fault::conflict(why)),
            Err(error) => return Err(error.into()),
        },
    };
    Ok(json!({ "ok": 1, "status": status.word() }).into())
}

/// `public/exchanger/order/get-lasts`: what was exchanged lately, without names.
pub async fn lasts(call: &Call) -> Result<Answer, Fault> {
    let limit = call.params.integer("limit", 1..=20)?.unwrap_or(3);
    let done = call.app.engine.db.read(move |tx| orders::newest_trades(tx, Some(ExchangeStatus::Done), limit)).await?;
    let last = |order: &Order| {
        let trade = order.trade()?;
        Some(json!({
            "typeClient": trade.client_type.clone().unwrap_or_else(|| "web".to_owned()),
            "inAmount": json_number(&trade.from.amount()),
            "outAmount": json_number(&trade.to.amount()),
            "createdAt": order.placed_at.rfc3339_millis(),
            "route": { "routeId": trade.route, "from": side_head(&trade.from), "to": side_head(&trade.to) },
        }))
    };
    let orders: Vec<Value> = done.iter().filter_map(last).collect();
    Ok(kept(CACHE_ROUTE, json!({ "orders": orders, "disable": false })))
}
