//! What chains showed: transfers as facts, the watcher's window of headers, and what still has to be credited.

use super::db::{Bulk, Column, DbError, Row, Tx, Val};
use super::orders::read_id;
use domain::chain::{ChainTransfer, Change, Header, Side, Window};
use domain::decide::TransferFact;
use domain::ids::{AssetId, NetworkId, OrderId, TransferId};
use domain::payment::TransferStatus;
use domain::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The watcher's memory of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    pub window: Window,
    pub scanned_through: Time,
    /// How often it was written.
    pub version: i64,
}

/// Where the watcher stands; empty before the first scan. `known` is what was read or written last: it is handed back if
/// nobody has written since, because a window with many payments is large.
pub fn watched(tx: &mut Tx<'_>, network: &NetworkId, known: Option<&Arc<Watched>>) -> Result<Arc<Watched>, DbError> {
    let Some(row) = network_row(tx, network)? else { return Ok(Arc::default()) };
    if let Some(known) = known.filter(|known| known.version == row.version) {
        return Ok(Arc::clone(known));
    }
    let window = match row.legacy.as_str() {
        "" => Window { headers: headers(tx, network)? },
        legacy => serde_json::from_str(legacy).map_err(|_| DbError::Corrupt { what: "window of headers" })?,
    };
    Ok(Arc::new(Watched { window, scanned_through: row.scanned_through, version: row.version }))
}

struct NetworkRow {
    version: i64,
    scanned_through: Time,
    /// The window as versions before this one wrote it; empty since.
    legacy: String,
}

fn network_row(tx: &mut Tx<'_>, network: &NetworkId) -> Result<Option<NetworkRow>, DbError> {
    let sql = "select version, scanned_through_ms, headers from networks where id = $1";
    let row = tx.query_one(sql, &[network.as_str().into()])?;
    Ok(row.map(|row| NetworkRow {
        version: row.int(0),
        scanned_through: Time(row.int(1)),
        legacy: row.text(2).to_owned(),
    }))
}

fn headers(tx: &mut Tx<'_>, network: &NetworkId) -> Result<Vec<Header>, DbError> {
    let sql = "select height, hash, transfers, confirmed from headers where network = $1 order by height";
    let read = |row: &Row| {
        let transfers = row.text(2).split('\n').filter(|id| !id.is_empty()).map(TransferId::new).collect();
        Header { height: row.int(0), hash: row.text(1).to_owned(), transfers, confirmed: row.int(3) == 1 }
    };
    Ok(tx.query(sql, &[network.as_str().into()])?.iter().map(read).collect())
}

/// Writes those blocks that `before` does not have like this, and forgets those that `after` has not.
fn write_headers(tx: &mut Tx<'_>, network: &NetworkId, before: &[Header], after: &[Header]) -> Result<(), DbError> {
    use Column::{Int, Text};
    let known: BTreeMap<i64, &Header> = before.iter().map(|header| (header.height, header)).collect();
    let heights: BTreeSet<i64> = after.iter().map(|header| header.height).collect();
    let row = |header: &Header| -> Vec<Val> {
        let transfers: Vec<&str> = header.transfers.iter().map(TransferId::as_str).collect();
        vec![
            network.as_str().into(),
            header.height.into(),
            header.hash.as_str().into(),
            transfers.join("\n").into(),
            i64::from(header.confirmed).into(),
        ]
    };
    let gone = known.keys().filter(|height| !heights.contains(height));
    let gone = gone.map(|height| vec![network.as_str().into(), (*height).into()]).collect();
    let sql = "delete from headers where (network, height) in (select c1, c2 from v)";
    tx.with_rows(sql, Bulk { columns: &[Text, Int], rows: gone })?;
    let rows = after.iter().filter(|header| known.get(&header.height) != Some(header)).map(row).collect();
    let tail = "on conflict (network, height) do update set hash = excluded.hash, transfers = excluded.transfers, \
        confirmed = excluded.confirmed";
    let target = "headers (network, height, hash, transfers, confirmed)";
    tx.insert_all(target, tail, Bulk { columns: &[Text, Int, Text, Text, Int], rows })?;
    Ok(())
}

/// How far each network is scanned.
pub fn scanned_through(tx: &mut Tx<'_>) -> Result<BTreeMap<NetworkId, Time>, DbError> {
    let rows = tx.query("select id, scanned_through_ms from networks", &[])?;
    Ok(rows.iter().map(|row| (NetworkId::new(row.text(0)), Time(row.int(1)))).collect())
}

/// A network that begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anew {
    /// The first block that is read again: not above a transfer that waits for its confirmation.
    pub from: i64,
    /// Transfers that are gone until they are seen again.
    pub taken_back: u64,
}

/// Has a network scanned anew from that block on, or from an older one whose transfers are not confirmed. What was not
/// confirmed counts as gone until it is seen again, so that no order waits for it for ever; what was confirmed stays.
pub fn begin_anew(tx: &mut Tx<'_>, network: &NetworkId, from: i64) -> Result<Anew, DbError> {
    let (mut from, mut taken_back) = (from, 0);
    for table in ["chain_transfers", "sweeps"] {
        let sql = format!("select min(height) from {table} where network = $1 and status = 'seen'");
        let oldest = tx.query_one(&sql, &[network.as_str().into()])?.and_then(|row| row.opt_int(0));
        from = from.min(oldest.unwrap_or(from));
        let sql = format!("update {table} set status = 'reverted' where network = $1 and status = 'seen'");
        taken_back += tx.execute(&sql, &[network.as_str().into()])?;
    }
    let known = match watched(tx, network, None)? {
        known if network_row(tx, network)?.is_some_and(|row| row.legacy.is_empty()) => known.window.headers.clone(),
        _ => Vec::new(),
    };
    write_headers(tx, network, &known, &Window::begin_above(from - 1).headers)?;
    // Nothing expires before it is scanned through again.
    let sql = "update networks set headers = '', scanned_through_ms = 0, version = version + 1 where id = $1";
    tx.execute(sql, &[network.as_str().into()])?;
    Ok(Anew { from, taken_back })
}

/// Transfers to us from a block on that are confirmed, with their blocks, lowest first.
pub fn confirmed_from(
    tx: &mut Tx<'_>,
    network: &NetworkId,
    from: i64,
    limit: i64,
) -> Result<Vec<(i64, TransferFact)>, DbError> {
    let sql = "select id, asset, units, block_at_ms, status, credited, order_id, height from chain_transfers \
        where network = $1 and height >= $2 and status = 'confirmed' order by height, id limit $3";
    let rows = tx.query(sql, &[network.as_str().into(), from.into(), limit.into()])?;
    rows.iter().map(|row| Ok((row.int(7), read_fact(row)?.0))).collect()
}

/// Commits what a scan found since `before`: window, transfers and standing, whatever orders make of it later. False, and
/// nothing is written, if another process has recorded a scan since: its blocks would be forgotten.
pub fn record_scan(
    tx: &mut Tx<'_>,
    network: &NetworkId,
    before: &Watched,
    watched: &Watched,
    changes: &[Change],
) -> Result<bool, DbError> {
    let row = network_row(tx, network)?;
    if row.as_ref().map_or(0, |row| row.version) != before.version {
        return Ok(false);
    }
    let was_legacy = row.is_some_and(|row| !row.legacy.is_empty());
    let known: &[Header] = if was_legacy { &[] } else { &before.window.headers };
    write_headers(tx, network, known, &watched.window.headers)?;
    let sql = "insert into networks (id, headers, scanned_through_ms, version) values ($1, '', $2, $3) \
        on conflict (id) do update set headers = excluded.headers, scanned_through_ms = excluded.scanned_through_ms, \
        version = excluded.version";
    tx.execute(sql, &[network.as_str().into(), watched.scanned_through.0.into(), (before.version + 1).into()])?;
    record_seen(tx, network, changes)?;
    let standing = changes.iter().filter_map(|change| match change {
        Change::Seen { .. } => None,
        Change::Confirmed(id) => Some((id, TransferStatus::Confirmed)),
        Change::Reverted(id) => Some((id, TransferStatus::Reverted)),
    });
    let rows: Vec<Vec<Val>> = standing.map(|(id, status)| vec![id.as_str().into(), status.word().into()]).collect();
    // What came in is in the one table, what left in the other, and what did both in both.
    for table in ["chain_transfers", "sweeps"] {
        let sql = format!("update {table} set status = v.c2 from v where {table}.id = v.c1");
        tx.with_rows(&sql, Bulk { columns: &[Column::Text; 2], rows: rows.clone() })?;
    }
    Ok(true)
}

fn record_seen(tx: &mut Tx<'_>, network: &NetworkId, changes: &[Change]) -> Result<(), DbError> {
    use Column::{Int, Text};
    let seen: Vec<_> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Seen { transfer, height, block_hash } => Some((transfer, *height, block_hash)),
            Change::Confirmed(_) | Change::Reverted(_) => None,
        })
        .collect();
    let out: Vec<_> = seen.iter().filter(|(transfer, ..)| transfer.side != Side::In).copied().collect();
    super::sweeps::record(tx, network, &out)?;
    let seen: Vec<_> = seen.into_iter().filter(|(transfer, ..)| transfer.side != Side::Out).collect();
    let owners = super::dust::owners(tx, network, &seen)?;
    let row = |(transfer, height, hash): &(&ChainTransfer, i64, &String)| -> Vec<Val> {
        vec![
            transfer.id.as_str().into(),
            network.as_str().into(),
            transfer.asset.as_str().into(),
            transfer.to.as_str().into(),
            transfer.units.into(),
            transfer.raw.as_str().into(),
            (*height).into(),
            hash.as_str().into(),
            transfer.block_at.0.into(),
            TransferStatus::Seen.word().into(),
            owners.get(&transfer.id).map(OrderId::expose).into(),
            transfer.from.as_deref().into(),
        ]
    };
    // Confirmed money stays so until it is reverted: a network that is scanned again, or a block that a longer branch
    // carries too, would else have it confirmed, and counted, a second time. What an order has stays that order's.
    let tail = "on conflict (id) do update set asset = excluded.asset, address = excluded.address, \
        order_id = coalesce(chain_transfers.order_id, excluded.order_id), units = excluded.units, \
        raw = excluded.raw, height = excluded.height, \
        block_hash = excluded.block_hash, block_at_ms = excluded.block_at_ms, sender = excluded.sender, \
        status = case when chain_transfers.status = 'confirmed' then 'confirmed' else excluded.status end";
    let target = "chain_transfers (id, network, asset, address, units, raw, height, block_hash, block_at_ms, status, \
        order_id, sender)";
    let columns = &[Text, Text, Text, Text, Int, Text, Int, Text, Int, Text, Text, Text];
    tx.insert_all(target, tail, Bulk { columns, rows: seen.iter().map(row).collect() })?;
    Ok(())
}

/// Transfers whose standing their order does not know yet.
pub fn due(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<TransferId>, DbError> {
    let sql = "select id from chain_transfers where order_id is not null and (credited is null or credited <> status) \
        order by network, id limit $1";
    Ok(tx.query(sql, &[limit.into()])?.iter().map(|row| TransferId::new(row.text(0))).collect())
}

const FACT: &str = "select id, asset, units, block_at_ms, status, credited, order_id from chain_transfers";

/// Transfers by id, with the order each belongs to.
pub fn facts(
    tx: &mut Tx<'_>,
    ids: &[TransferId],
) -> Result<BTreeMap<TransferId, (TransferFact, Option<OrderId>)>, DbError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
    let rows = tx.query(&format!("{FACT} where id = any($1)"), &[ids.into()])?;
    rows.iter().map(|row| read_fact(row).map(|(fact, order)| (fact.id.clone(), (fact, order)))).collect()
}

/// Transfers to those orders whose standing the order does not know yet.
pub fn awaiting_credit(
    tx: &mut Tx<'_>,
    orders: &[OrderId],
) -> Result<BTreeMap<OrderId, BTreeSet<TransferId>>, DbError> {
    let mut awaiting = BTreeMap::<OrderId, BTreeSet<TransferId>>::new();
    if orders.is_empty() {
        return Ok(awaiting);
    }
    let ids: Vec<String> = orders.iter().map(OrderId::expose).collect();
    let sql = "select order_id, id from chain_transfers where order_id = any($1) and (credited is null or credited <> status)";
    for row in tx.query(sql, &[ids.into()])? {
        awaiting.entry(read_id(row.text(0))?).or_default().insert(TransferId::new(row.text(1)));
    }
    Ok(awaiting)
}

/// Transfers to the address of one order.
pub fn of_order(tx: &mut Tx<'_>, order: OrderId) -> Result<Vec<TransferFact>, DbError> {
    let rows = tx.query(&format!("{FACT} where order_id = $1 order by id"), &[order.expose().into()])?;
    rows.iter().map(|row| read_fact(row).map(|(fact, _)| fact)).collect()
}

/// Money that came to an address of ours and is no order's, with the address, the largest amounts first: dust may be very
/// much of it. What vanished again is left out.
pub fn of_no_order(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<(TransferFact, String)>, DbError> {
    let sql = "select id, asset, units, block_at_ms, status, credited, order_id, address from chain_transfers \
        where order_id is null and status <> 'reverted' order by units desc, id limit $1";
    let rows = tx.query(sql, &[limit.into()])?;
    rows.iter().map(|row| Ok((read_fact(row)?.0, row.text(7).to_owned()))).collect()
}

fn read_fact(row: &Row) -> Result<(TransferFact, Option<OrderId>), DbError> {
    let status = |word: &str| TransferStatus::parse(word).ok_or(DbError::Corrupt { what: "status of a transfer" });
    let fact = TransferFact {
        id: TransferId::new(row.text(0)),
        asset: AssetId::new(row.text(1)),
        units: row.int(2),
        block_at: Time(row.int(3)),
        status: status(row.text(4))?,
        credited: row.opt_text(5).map(status).transpose()?,
    };
    Ok((fact, row.opt_text(6).map(read_id).transpose()?))
}

/// Notes which standing the orders know now.
pub fn mark_credited(tx: &mut Tx<'_>, rows: Vec<(TransferId, TransferStatus)>) -> Result<(), DbError> {
    let rows = rows.into_iter().map(|(id, status)| vec![id.as_str().into(), status.word().into()]).collect();
    let sql = "update chain_transfers set credited = v.c2 from v where chain_transfers.id = v.c1";
    tx.with_rows(sql, Bulk { columns: &[Column::Text; 2], rows })?;
    Ok(())
}
