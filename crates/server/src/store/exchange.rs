//! Imported exchange files, whole, newest last, and what was stated of reserves since.

use super::db::{DbError, Tx};
use super::{claims, settings};
use domain::route::{StatedReserve, reserve_key};
use domain::time::Time;
use std::collections::BTreeMap;

const CLOSED: &str = "exchange_closed";

/// Files that are kept: orders carry what they need of the one that they were priced with.
const KEPT: i64 = 20;

/// Keeps an exchange file; it is in force from the commit on, also if it was before.
pub fn add(tx: &mut Tx<'_>, id: &str, body: &str, now: Time) -> Result<(), DbError> {
    let sql = "insert into exchanges (id, imported_at_ms, body) values ($1, $2, $3) \
        on conflict (id) do update set imported_at_ms = excluded.imported_at_ms";
    tx.execute(sql, &[id.into(), now.0.into(), body.into()])?;
    let old = "delete from exchanges where id not in \
        (select id from exchanges order by imported_at_ms desc, id desc limit $1)";
    tx.execute(old, &[KEPT.into()])?;
    Ok(())
}

/// Names what is in force: the newest file and the statements of reserves. Empty while there is none.
pub fn in_force(tx: &mut Tx<'_>) -> Result<String, DbError> {
    let newest = tx.query_one("select id from exchanges order by imported_at_ms desc, id desc limit 1", &[])?;
    let Some(newest) = newest else { return Ok(String::new()) };
    let stated = tx.query("select epoch from reserves", &[])?;
    let epochs: i64 = stated.iter().map(|row| row.int(0)).sum();
    let closed = if is_closed(tx)? { ".closed" } else { "" };
    Ok(format!("{}.{epochs}{closed}", newest.text(0)))
}

/// Whether an operator has closed the office for now.
pub fn is_closed(tx: &mut Tx<'_>) -> Result<bool, DbError> {
    Ok(settings::get(tx, CLOSED)?.is_some_and(|value| value == "yes"))
}

/// Closes the office, or opens it again.
pub fn set_closed(tx: &mut Tx<'_>, closed: bool) -> Result<(), DbError> {
    settings::set(tx, CLOSED, if closed { "yes" } else { "no" })
}

/// The file in force.
pub fn newest_body(tx: &mut Tx<'_>) -> Result<Option<String>, DbError> {
    let row = tx.query_one("select body from exchanges order by imported_at_ms desc, id desc limit 1", &[])?;
    Ok(row.map(|row| row.text(0).to_owned()))
}

/// What was stated of reserves, by currency code.
pub fn reserves(tx: &mut Tx<'_>) -> Result<BTreeMap<String, StatedReserve>, DbError> {
    let rows = tx.query("select code, amount, used_units, decimals, epoch from reserves", &[])?;
    let read = |row: &super::Row| {
        let decimals = u32::try_from(row.int(3)).map_err(|_| DbError::Corrupt { what: "decimals of a reserve" })?;
        let (amount, used_before_units) = (row.text(1).to_owned(), row.int(2));
        Ok((row.text(0).to_owned(), StatedReserve { amount, used_before_units, decimals, epoch: row.int(4) }))
    };
    rows.iter().map(read).collect()
}

/// States what is there of a currency: what paid orders used before counts no more, what unpaid ones hold still does. To
/// be called while no batch runs (`Engine::write`).
pub fn state_reserve(tx: &mut Tx<'_>, code: &str, decimals: u32, amount: &str) -> Result<(), DbError> {
    let key = reserve_key(code, decimals);
    let used = claims::counters(tx, std::slice::from_ref(&key))?.get(&key).map_or(0, |counter| counter.used);
    let sql = "insert into reserves (code, amount, used_units, decimals, epoch) values ($1, $2, $3, $4, 1) \
        on conflict (code) do update set amount = excluded.amount, used_units = excluded.used_units, \
        decimals = excluded.decimals, epoch = reserves.epoch + 1";
    tx.execute(sql, &[code.into(), amount.into(), used.into(), i64::from(decimals).into()])?;
    Ok(())
}
