//! What came to orders' addresses and does not count, and who is to be looked at for it.
//!
//! Must never be added up, credited or given back by anybody: a stranger's token says whatever the stranger likes.

use super::db::{Bulk, Column, DbError, Tx};
use super::orders::read_id;
use domain::chain::{Stray, StrayKind};
use domain::ids::{NetworkId, OrderId};
use domain::time::Time;
use std::collections::BTreeMap;

/// Rows that are kept of one order; whoever sends more of them sends them for nothing.
pub const MOST: usize = 20;

/// A look that failed so often is not made again by itself.
const MOST_ATTEMPTS: i64 = 12;

/// An address that is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub order: OrderId,
    pub network: NetworkId,
    pub address: String,
    /// Blocks of this time and later.
    pub from: Time,
    pub until: Time,
    pub due_at: Time,
    pub attempts: i64,
}

/// What was noticed, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    pub what: StrayKind,
    /// The chain's own integer, as decimal text.
    pub raw: String,
    pub at: Time,
}

/// Has addresses looked at; a look that waits already is replaced.
pub fn want(tx: &mut Tx<'_>, looks: &[Look]) -> Result<(), DbError> {
    use Column::{Int, Text};
    let row = |look: &Look| {
        vec![
            look.order.expose().into(),
            look.network.as_str().into(),
            look.address.as_str().into(),
            look.from.0.into(),
            look.until.0.into(),
            look.due_at.0.into(),
            look.attempts.into(),
        ]
    };
    let tail = "on conflict (order_id) do update set from_ms = excluded.from_ms, until_ms = excluded.until_ms, \
        due_at_ms = excluded.due_at_ms, attempts = excluded.attempts";
    let target = "searches (order_id, network, address, from_ms, until_ms, due_at_ms, attempts)";
    let columns = &[Text, Text, Text, Int, Int, Int, Int];
    tx.insert_all(target, tail, Bulk { columns, rows: looks.iter().map(row).collect() })?;
    Ok(())
}

/// Looks at a network's addresses that are due, oldest first.
pub fn due(tx: &mut Tx<'_>, network: &NetworkId, now: Time, limit: i64) -> Result<Vec<Look>, DbError> {
    let sql = "select order_id, network, address, from_ms, until_ms, due_at_ms, attempts from searches \
        where network = $1 and due_at_ms <= $2 order by due_at_ms, order_id limit $3";
    let rows = tx.query(sql, &[network.as_str().into(), now.0.into(), limit.into()])?;
    rows.iter()
        .map(|row| {
            Ok(Look {
                order: read_id(row.text(0))?,
                network: NetworkId::new(row.text(1)),
                address: row.text(2).to_owned(),
                from: Time(row.int(3)),
                until: Time(row.int(4)),
                due_at: Time(row.int(5)),
                attempts: row.int(6),
            })
        })
        .collect()
}

/// Notes what `looks` found, and that they were made. What is noted stays, whatever a later look shows; of each order at most
/// [`MOST`] are kept, and the network's own coin is one of them.
pub fn note(tx: &mut Tx<'_>, looks: &[Look], found: &[Stray], now: Time) -> Result<(), DbError> {
    use Column::{Int, Text};
    let mut rows = Vec::new();
    for look in looks {
        let known = of_order(tx, look.order)?;
        let tokens = known.iter().filter(|noticed| noticed.what != StrayKind::Coin).count();
        let mut left = (MOST - 1).saturating_sub(tokens);
        let mine = found.iter().filter(|stray| stray.address == look.address);
        // Each once: a bulk write must not meet a row twice.
        let mine: BTreeMap<&StrayKind, &str> = mine.map(|stray| (&stray.what, stray.raw.as_str())).collect();
        for (what, raw) in mine {
            let is_new = !known.iter().any(|noticed| noticed.what == *what);
            if is_new && *what != StrayKind::Coin {
                if left == 0 {
                    continue;
                }
                left -= 1;
            }
            let (contract, hash) = columns_of(what);
            rows.push(vec![look.order.expose().into(), contract.into(), hash.into(), raw.into(), now.0.into()]);
        }
    }
    let tail = "on conflict (order_id, contract, hash) do update set raw = excluded.raw";
    let columns = &[Text, Text, Text, Text, Int];
    tx.insert_all("noticed (order_id, contract, hash, raw, at_ms)", tail, Bulk { columns, rows })?;
    // A look that was asked for meanwhile is another one.
    let made = looks.iter().map(|look| vec![look.order.expose().into(), look.until.0.into()]).collect();
    let sql = "delete from searches where (order_id, until_ms) in (select c1, c2 from v)";
    tx.with_rows(sql, Bulk { columns: &[Text, Int], rows: made })?;
    Ok(())
}

/// Looks that failed are due again at that time, or never, if they failed too often.
pub fn put_off(tx: &mut Tx<'_>, looks: &[Look], until: Time) -> Result<(), DbError> {
    use Column::{Int, Text};
    let row = |look: &Look| vec![look.order.expose().into(), until.0.into(), look.until.0.into()];
    let sql = "update searches set due_at_ms = v.c2, attempts = attempts + 1 from v \
        where searches.order_id = v.c1 and searches.until_ms = v.c3";
    tx.with_rows(sql, Bulk { columns: &[Text, Int, Int], rows: looks.iter().map(row).collect() })?;
    tx.execute("delete from searches where attempts >= $1", &[MOST_ATTEMPTS.into()])?;
    Ok(())
}

/// What was noticed at an order's address.
pub fn of_order(tx: &mut Tx<'_>, order: OrderId) -> Result<Vec<Noticed>, DbError> {
    let sql = "select contract, hash, raw, at_ms from noticed where order_id = $1 order by contract, hash";
    let rows = tx.query(sql, &[order.expose().into()])?;
    let read = |row: &super::Row| {
        let what = match row.text(0) {
            "" => StrayKind::Coin,
            contract => StrayKind::Token { contract: contract.to_owned(), transaction: row.text(1).to_owned() },
        };
        Noticed { what, raw: row.text(2).to_owned(), at: Time(row.int(3)) }
    };
    Ok(rows.iter().map(read).collect())
}

fn columns_of(what: &StrayKind) -> (&str, &str) {
    match what {
        StrayKind::Coin => ("", ""),
        StrayKind::Token { contract, transaction } => (contract.as_str(), transaction.as_str()),
    }
}
