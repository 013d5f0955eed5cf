//! What an account sees and does (contract 3 and 6): its orders, and its API keys.

use super::fault::Fault;
use super::orders::{found, side_head};
use super::params::Param;
use super::routes::json_number;
use super::{Answer, Call};
use crate::engine::{Lane, SubmitError};
use crate::store::api_keys::{self, ApiKey, MOST_KEYS};
use crate::store::orders;
use domain::decide::{Command, Refusal};
use domain::money::units_to_text;
use domain::order::Order;
use domain::project::{ExchangeStatus, exchange_status};
use domain::time::Time;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Orders on one page.
const MOST_ON_PAGE: i64 = 100;
/// Orders that a chart looks at.
const MOST_IN_CHART: i64 = 10_000;
/// Orders that are taken over at once.
const MOST_TAKEN_OVER: usize = 100;

/// `user/exchanger/order/history`.
pub async fn history(call: &Call) -> Result<Answer, Fault> {
    let account = call.must_owner()?.account.to_string();
    let (page, statuses) = (Page::of(call)?, statuses(call)?);
    let read = call.app.engine.db.read(move |tx| orders::trades_of(tx, &account, &statuses, page.bounds()));
    let (found, total) = read.await?;
    let listed: Vec<Value> = found.iter().filter_map(|order| listed(call, order)).collect();
    Ok(json!({ "orders": listed, "count": page.count(total) }).into())
}

/// The page of a list that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    number: i64,
    limit: i64,
}

impl Page {
    pub fn of(call: &Call) -> Result<Page, Fault> {
        let number = call.params.integer("page", 1..=1_000_000)?.unwrap_or(1);
        Ok(Page { number, limit: call.params.integer("limit", 1..=MOST_ON_PAGE)?.unwrap_or(20) })
    }

    /// Entries before it, and entries on it.
    pub fn bounds(self) -> (i64, i64) {
        ((self.number - 1) * self.limit, self.limit)
    }

    /// `count` of contract 6.
    pub fn count(self, total: i64) -> Value {
        let (offset, limit) = self.bounds();
        let pages = (total + limit - 1) / limit;
        json!({ "total": total, "pages": pages, "select_page": self.number, "limit": limit, "offset": offset })
    }
}

/// Trap 18: `statuses[]=new&statuses[]=done`.
fn statuses(call: &Call) -> Result<Vec<ExchangeStatus>, Fault> {
    let known = || ExchangeStatus::ALL.map(ExchangeStatus::word).join(", ");
    let read = |word: &String| ExchangeStatus::parse(word).ok_or_else(|| Fault::param("statuses", &known()));
    call.params.texts("statuses")?.iter().map(read).collect()
}

/// Trap 15: the cabinet shows a link only with `uid` and `secret`.
fn listed(call: &Call, order: &Order) -> Option<Value> {
    let (trade, names) = (order.trade()?, call.app.vault.trade_names(order));
    Some(json!({
        "_id": names.object_id,
        "uid": order.no,
        "secret": names.secret,
        "rid": names.rid,
        "status": exchange_status(order).word(),
        "inAmount": json_number(&trade.from.amount()),
        "outAmount": json_number(&trade.to.amount()),
        "createdAt": order.placed_at.rfc3339_millis(),
        "updatedAt": order.updated_at.rfc3339_millis(),
        "expiresAt": order.expires_at.rfc3339_millis(),
        "route": { "routeId": trade.route, "from": side_head(&trade.from), "to": side_head(&trade.to) },
    }))
}

/// What happened on one day.
#[derive(Default)]
struct Day {
    count: i64,
    done: i64,
    /// US cents of what was given in orders that are done.
    usd_cents: i64,
}

/// `user/exchanger/order/chart`: orders and what was exchanged, by day.
pub async fn chart(call: &Call) -> Result<Answer, Fault> {
    let account = call.must_owner()?.account.to_string();
    let read = call.app.engine.db.read(move |tx| orders::trades_of(tx, &account, &[], (0, MOST_IN_CHART)));
    let mut days = BTreeMap::<String, Day>::new();
    for order in read.await?.0 {
        let day = days.entry(order.placed_at.day()).or_default();
        day.count += 1;
        if exchange_status(&order) == ExchangeStatus::Done {
            day.done += 1;
            day.usd_cents += usd_cents(&order);
        }
    }
    let statistics: Vec<Value> =
        days.iter().map(|(date, day)| statistic(date, (day.count, day.done), (day.usd_cents, 2))).collect();
    Ok(json!({ "statistics": statistics }).into())
}

/// One day of a chart: orders in all and done, and what these come to in US dollars, in units of so many decimals.
pub fn statistic(date: &str, (count, done): (i64, i64), (usd_units, decimals): (i64, u32)) -> Value {
    let average = usd_units.checked_div(done).unwrap_or(0);
    json!({
        "date": date,
        "sumAmountsUSD": json_number(&units_to_text(usd_units, decimals, 0)),
        "avgAmountsUSD": json_number(&units_to_text(average, decimals, 0)),
        "doneOrders": done,
        "count": count,
    })
}

/// What was given, at the rate of that moment.
fn usd_cents(order: &Order) -> i64 {
    let Some(trade) = order.trade() else { return 0 };
    let given = rust_decimal::Decimal::new(trade.from.units, trade.from.decimals);
    let usd = given.checked_mul(order.quote.usd_rate).unwrap_or_default();
    domain::money::units_from_decimal(usd, 2, rust_decimal::RoundingStrategy::ToZero).unwrap_or(0)
}

/// `user/exchanger/order/update/owner`: orders that were made as a guest become the account's; whoever has their secrets
/// may. Of several orders those that fit are taken.
pub async fn update_owner(call: &Call) -> Result<Answer, Fault> {
    let owner = call.must_owner()?.account.clone();
    let named: Vec<(Option<String>, Option<String>)> = match call.params.get("orders") {
        Some(Param::List(orders)) if orders.len() <= MOST_TAKEN_OVER => {
            let text = |order: &Param, name: &str| order.member(name).and_then(Param::as_text);
            orders.iter().map(|order| (text(order, "uid"), text(order, "secret"))).collect()
        }
        Some(_) => return Err(Fault::param("orders", &format!("a list of at most {MOST_TAKEN_OVER} orders"))),
        None => vec![(call.params.text("orderUID", 11)?, call.params.text("orderSecret", 50)?)],
    };
    let is_list = call.params.get("orders").is_some();
    let mut taken = 0;
    for (uid, secret) in named {
        let (uid, secret) = (uid.and_then(|uid| uid.parse().ok()).unwrap_or(0), secret.unwrap_or_default());
        let (opened, _) = match found(call, uid, &secret).await {
            Ok(found) => found,
            Err(fault) if fault.is_unknown_order() && is_list => continue,
            Err(fault) => return Err(fault),
        };
        let command = Command::TakeOver { order: opened.order.id, customer: owner.clone() };
        match call.app.engine.submit(Lane::Client, command).await {
            Ok(_) | Err(SubmitError::Refused(Refusal::AlreadyDone(_))) => taken += 1,
            Err(SubmitError::Refused(Refusal::Conflict(_))) if is_list => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(json!({ "ok": 1, "count": taken }).into())
}

/// `user/auth/api/create`: the answer is the only place where the secret ever stands.
pub async fn create_key(call: &Call) -> Result<Answer, Fault> {
    let (owner, account) = (call.must_owner()?, call.may_change_access()?);
    // The official client's button sends its click event as the name (contract 3).
    let name = call.params.get("name").and_then(|name| if let Param::Text(name) = name { Some(name) } else { None });
    let name: String = name.map(|name| name.chars().take(100).collect()).unwrap_or_default();
    let key = own_key(call.app.vault.new_api_key(), account, name, owner.bound_to(), call.now);
    let (kept, secret) = (key.clone(), call.app.vault.api_secret(&key.key));
    if !call.app.engine.write(move |tx| api_keys::add(tx, &kept)).await? {
        return Err(Fault::too_many_keys());
    }
    let mut access = shown(&key);
    access["secret"] = json!(secret);
    Ok(json!({ "access": access }).into())
}

/// A key that its account makes itself, with the permissions that there are.
pub fn own_key(key: String, account: String, name: String, allowed_from: String, created_at: Time) -> ApiKey {
    let permissions = "base".to_owned();
    ApiKey { key, account, name, permissions, allowed_from, ipn_retries: false, own: true, created_at }
}

/// `user/auth/api/get/list`.
pub async fn list_keys(call: &Call) -> Result<Answer, Fault> {
    let account = call.must_owner()?.account.to_string();
    let keys = call.app.engine.db.read(move |tx| api_keys::of_account(tx, &account)).await?;
    let shown: Vec<Value> = keys.iter().map(shown).collect();
    Ok(json!({ "keys": shown, "limit": MOST_KEYS }).into())
}

fn shown(key: &ApiKey) -> Value {
    let list = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    json!({
        "_id": key.key,
        "key": key.key,
        "name": key.name,
        "permission": { "base": true, "withdrawal": false },
        "permissions": list(&key.permissions),
        "isActive": true,
        "whitelistIPs": list(&key.allowed_from),
        "createdAt": key.created_at.rfc3339_millis(),
    })
}

/// `user/auth/api/delete`.
pub async fn delete_key(call: &Call) -> Result<Answer, Fault> {
    let account = call.may_change_access()?;
    let key = call.params.must_text("apiKey", 64)?;
    if !call.app.engine.write(move |tx| api_keys::remove(tx, &account, &key)).await? {
        return Err(Fault::conflict("this account has no such API key"));
    }
    Ok(Value::Null.into())
}
