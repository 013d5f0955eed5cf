//! What partners see of the orders that they brought, and of what they earn (contract 9).
//!
//! The contract lists the profile's members and an order's; the other members are ours.
//! Must never show who a payer is, nor what opens his order. Nobody is bound to a partner but by his orders, so that the
//! counts of referred users are 0.

use super::account::{Page, statistic};
use super::fault::Fault;
use super::orders::side_head;
use super::routes::{json_number, percent};
use super::{Answer, Call};
use crate::store::affiliates::{self, Standing};
use crate::store::orders as rows;
use crate::store::partner_links;
use domain::money::{Currency, units_to_text};
use domain::order::Order;
use domain::project::{ExchangeStatus, exchange_status};
use domain::time::Span;
use serde_json::{Number, Value, json};

/// Days of a chart, today among them: as many as statistics of visitors may have (contract 3).
const DAYS_IN_CHART: i64 = 92;

/// US dollars in units of the books.
pub fn dollars(usd_units: i64) -> Number {
    json_number(&units_to_text(usd_units, Currency::USD.scale(), 0))
}

/// The code of a partner if it is in use, else an empty text; and where he stands.
pub async fn standing(call: &Call, account: &str) -> Result<(String, Standing), Fault> {
    let id = account.to_owned();
    let read = call.app.engine.db.read(move |tx| {
        let link = partner_links::of_account(tx, &id)?.filter(|link| link.active);
        Ok((link.map(|link| link.code).unwrap_or_default(), affiliates::standing(tx, &id)?))
    });
    Ok(read.await?)
}

/// `affiliate` of a profile.
pub async fn of_profile(call: &Call, account: &str) -> Result<Value, Fault> {
    let (link, standing) = standing(call, account).await?;
    let mut affiliate = terms(call, account, &link);
    affiliate["totalReceived"] = json!({ "usd": dollars(standing.referred.earned_usd_units) });
    affiliate["balance"] = json!({ "usd": dollars(standing.owed_usd_units()) });
    Ok(affiliate)
}

/// `user/affiliate/basic/get`.
pub async fn basic(call: &Call) -> Result<Answer, Fault> {
    let account = &call.must_owner()?.account;
    let (link, standing) = standing(call, account.as_str()).await?;
    let mut affiliate = terms(call, account.as_str(), &link);
    let referred = standing.referred;
    for (member, value) in [
        ("totalReceived", json!({ "usd": dollars(referred.earned_usd_units) })),
        ("balance", json!({ "usd": dollars(standing.owed_usd_units()) })),
        ("waitedPartnerRewardsUSD", json!(dollars(referred.waiting_usd_units))),
        ("ordersAmountInUSD", json!(dollars(referred.exchanged_usd_units))),
        ("countPartners", json!(0)),
        ("countSuccessOrders", json!(referred.done)),
        ("countAllOrders", json!(referred.placed)),
    ] {
        affiliate[member] = value;
    }
    Ok(json!({ "affiliate": affiliate }).into())
}

/// What holds for orders that are placed now.
fn terms(call: &Call, account: &str, link: &str) -> Value {
    json!({
        "type": "byAmount",
        "rate": json_number(&percent(i64::from(call.app.engine.shared.market().exchange.affiliate_bps))),
        "discount": 0,
        "link": link,
        "rateKey": call.app.vault.rate_key(account),
        "rateExportFormatType": "xml",
        "minReward": 0,
    })
}

/// `user/affiliate/today/get`: of the orders that were placed today (UTC).
pub async fn today(call: &Call) -> Result<Answer, Fault> {
    let (account, day) = (call.must_owner()?.account.to_string(), call.now.day());
    let days = call.app.engine.db.read(move |tx| affiliates::days(tx, &account, &day)).await?;
    let today = days.first().map(|(_, referred)| *referred).unwrap_or_default();
    let affiliate = json!({
        "totalPartners": 0,
        "todayPartners": 0,
        "totalOrders": today.placed,
        "todaySuccessOrders": today.done,
        "todayExchangedInUSD": dollars(today.exchanged_usd_units),
    });
    Ok(json!({ "affiliate": affiliate }).into())
}

/// `user/affiliate/chart`: by the day on which orders were placed.
pub async fn chart(call: &Call) -> Result<Answer, Fault> {
    let account = call.must_owner()?.account.to_string();
    let since = (call.now - Span::hours(24 * (DAYS_IN_CHART - 1))).day();
    let days = call.app.engine.db.read(move |tx| affiliates::days(tx, &account, &since)).await?;
    let statistics: Vec<Value> = days
        .iter()
        .filter(|(_, day)| day.placed > 0)
        .map(|(date, day)| statistic(date, (day.placed, day.done), (day.exchanged_usd_units, Currency::USD.scale())))
        .collect();
    Ok(json!({ "statistics": statistics }).into())
}

/// `user/affiliate/orders`: those that are done, or with `allOrders` all.
pub async fn orders(call: &Call) -> Result<Answer, Fault> {
    let account = call.must_owner()?.account.to_string();
    let page = Page::of(call)?;
    let all = call.params.flag("allOrders")?.unwrap_or(false);
    let statuses = if all { Vec::new() } else { vec![ExchangeStatus::Done] };
    let read = call.app.engine.db.read(move |tx| rows::trades_brought_by(tx, &account, &statuses, page.bounds()));
    let (found, total) = read.await?;
    let listed: Vec<Value> = found.iter().filter_map(|order| listed(call, order)).collect();
    Ok(json!({ "orders": listed, "count": page.count(total) }).into())
}

/// No secret: whoever brought an order may not open it.
fn listed(call: &Call, order: &Order) -> Option<Value> {
    let trade = order.trade()?;
    let bps = trade.commission.as_ref().map_or(0, |agreed| agreed.bps);
    Some(json!({
        "uid": order.no,
        "rid": call.app.vault.trade_names(order).rid,
        // Not kept.
        "utm": {
            "source": null, "medium": null, "campaign": null, "content": null, "term": null, "gclid": null,
            "gbraid": null, "fbclid": null, "session_id": null, "external_id": null
        },
        "outAmount": json_number(&trade.to.amount()),
        "status": exchange_status(order).word(),
        "createdAt": order.placed_at.rfc3339_millis(),
        "updatedAt": order.updated_at.rfc3339_millis(),
        "expiresAt": order.expires_at.rfc3339_millis(),
        "partnerFee": {
            "type": "byAmount",
            "percent": json_number(&percent(i64::from(bps))),
            "amountOut": json_number(&units_to_text(trade.reward_units(), trade.to.decimals, 0)),
            "amountInUSD": dollars(trade.reward_usd().units),
        },
        "route": { "routeId": trade.route, "from": side_head(&trade.from), "to": side_head(&trade.to) },
    }))
}
