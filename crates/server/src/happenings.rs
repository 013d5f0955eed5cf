//! What owners of orders are told: the events of webhooks and of `/kiosk/v1/events`, with the same ids in both.
//!
//! An event says that an order changed and how it stood then; it holds no code, no address of a person and no secret. The
//! id of an order of goods, with which its owner asks for more, is told to its owner alone, and never logged. Pure but for
//! reading the order. Called by the worker that sends and by the door that lists.

use crate::store::webhooks::{Happened, What};
use crate::store::{DbError, Tx, orders};
use crate::vault::Vault;
use domain::order::Order;
use domain::project::exchange_status;
use serde_json::{Value, json};

/// The two types that there are.
pub const ORDER_UPDATED: &str = "order.updated";
pub const ENDPOINT_DISABLED: &str = "endpoint.disabled";
pub const TYPES: [&str; 2] = [ORDER_UPDATED, ENDPOINT_DISABLED];

/// The type of what happened.
pub fn type_of(what: &What) -> &'static str {
    match what {
        What::Order => ORDER_UPDATED,
        What::Endpoint { .. } => ENDPOINT_DISABLED,
    }
}

/// The name of an event, the same wherever it is told.
pub fn id_of(seq: i64) -> String {
    format!("evt_{seq}")
}

/// The number in an event's name.
pub fn seq_of(id: &str) -> Option<i64> {
    id.strip_prefix("evt_")?.parse().ok().filter(|seq| *seq >= 0)
}

/// What is told: the order as it was right after the event, so that whoever is told twice is told the same. None if there
/// is no such order.
pub fn render(tx: &mut Tx<'_>, vault: &Vault, happened: &Happened) -> Result<Option<Value>, DbError> {
    let mut told = json!({
        "id": id_of(happened.seq),
        "type": type_of(&happened.what),
        "timestamp": happened.at.rfc3339_millis(),
    });
    match &happened.what {
        What::Order => {
            let Some(order) = orders::as_of(tx, happened.seq)? else { return Ok(None) };
            told["data"] = json!({ "order": shown(vault, &order) });
            if order.trade().is_none() {
                // Where receivers of the store API look (store contract 3.13).
                told["order_id"] = json!(order.id.expose().to_string());
                told["status"] = json!(order.state.word());
            }
        }
        What::Endpoint { id } => told["data"] = json!({ "endpoint": id }),
    }
    Ok(Some(told))
}

fn shown(vault: &Vault, order: &Order) -> Value {
    let updated_at = order.updated_at.rfc3339_millis();
    let Some(trade) = order.trade() else {
        let id = order.id.expose().to_string();
        return json!({ "order_id": id, "order_state": order.state.word(), "updatedAt": updated_at });
    };
    json!({
        "_id": vault.trade_names(order).object_id,
        "uid": order.no,
        "status": exchange_status(order).word(),
        "xml_from": trade.from.xml,
        "xml_to": trade.to.xml,
        "inAmount": trade.from.amount(),
        "outAmount": trade.to.amount(),
        "updatedAt": updated_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_name_is_read_back_and_nonsense_is_none() {
        assert_eq!(seq_of(&id_of(1_234)), Some(1_234));
        for wrong in ["", "evt_", "evt_-1", "1234", "evt_x"] {
            assert_eq!(seq_of(wrong), None, "{wrong}");
        }
    }
}
