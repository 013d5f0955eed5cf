//! Transfers from our own addresses: facts like those that come in, and booked once their chain has confirmed them.
//!
//! A transfer from one of our addresses to another is a row here and one of `transfers`. Nothing here touches an order.
//! Its entries in the ledger belong to no order (`order_no` 0); their numbers come from the head of the log, where events
//! take theirs.

use super::db::{Bulk, Column, DbError, Row, Tx, Val};
use super::head;
use super::orders::{self, Posting};
use domain::chain::ChainTransfer;
use domain::ids::{AssetId, NetworkId, TransferId};
use domain::ledger::Transfer;
use domain::payment::TransferStatus;
use domain::postings::swept;
use domain::time::Time;
use std::collections::BTreeMap;

/// A transfer from one of our addresses as its chain last showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    pub id: TransferId,
    pub network: NetworkId,
    pub asset: AssetId,
    pub sender: String,
    pub receiver: String,
    /// At the asset's ledger scale.
    pub units: i64,
    pub block_at: Time,
    pub status: TransferStatus,
    /// Whether the ledger counts it.
    pub is_booked: bool,
}

const SWEEP: &str = "select id, network, asset, sender, receiver, units, block_at_ms, status, booked from sweeps where";

/// Notes transfers that a block shows: (transfer, height, hash of the block).
pub(super) fn record(
    tx: &mut Tx<'_>,
    network: &NetworkId,
    seen: &[(&ChainTransfer, i64, &String)],
) -> Result<(), DbError> {
    use Column::{Int, Text};
    let row = |(transfer, height, hash): &(&ChainTransfer, i64, &String)| -> Vec<Val> {
        vec![
            transfer.id.as_str().into(),
            network.as_str().into(),
            transfer.asset.as_str().into(),
            transfer.from.as_deref().unwrap_or_default().into(),
            transfer.to.as_str().into(),
            transfer.units.into(),
            transfer.raw.as_str().into(),
            (*height).into(),
            hash.as_str().into(),
            transfer.block_at.0.into(),
            TransferStatus::Seen.word().into(),
            0.into(),
        ]
    };
    // What is booked stays so until it is reverted, as with transfers that come in.
    let tail = "on conflict (id) do update set height = excluded.height, block_hash = excluded.block_hash, \
        block_at_ms = excluded.block_at_ms, \
        status = case when sweeps.status = 'confirmed' then 'confirmed' else excluded.status end";
    let target =
        "sweeps (id, network, asset, sender, receiver, units, raw, height, block_hash, block_at_ms, status, booked)";
    let columns = &[Text, Text, Text, Text, Text, Int, Text, Int, Text, Int, Text, Int];
    tx.insert_all(target, tail, Bulk { columns, rows: seen.iter().map(row).collect() })?;
    Ok(())
}

/// Those of which the ledger says something else than their chain.
pub fn due(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<Sweep>, DbError> {
    let sql = format!(
        "{SWEEP} (status = 'confirmed' and booked = 0) or (status <> 'confirmed' and booked = 1) \
        order by network, id limit $1"
    );
    tx.query(&sql, &[limit.into()])?.iter().map(read).collect()
}

/// The newest of a network, newest first.
pub fn newest(tx: &mut Tx<'_>, network: &NetworkId, limit: i64) -> Result<Vec<Sweep>, DbError> {
    let sql = format!("{SWEEP} network = $1 order by height desc, id limit $2");
    tx.query(&sql, &[network.as_str().into(), limit.into()])?.iter().map(read).collect()
}

/// The mark of a sweep that the ledger does not count, because it has no room for it. A token that anybody can mint can also
/// say that anything left us, and must not keep other sweeps from being booked.
const NO_ROOM: i64 = 2;

/// Books what is due, at most so many; answers how many it is done with. What vanished from its chain is booked back, never
/// edited.
pub fn book(tx: &mut Tx<'_>, limit: i64, now: Time) -> Result<usize, DbError> {
    // Locked first: what is due must not be booked by another process meanwhile.
    let mut head = head::lock(tx, now)?;
    let due = due(tx, limit)?;
    if due.is_empty() {
        return Ok(0);
    }
    head.last_at = now.max(head.last_at);
    let (mut postings, mut marks, mut balances) = (Vec::new(), Vec::new(), Balances::new());
    for sweep in &due {
        let entries = swept(&sweep.network, &sweep.asset, sweep.units, sweep.status);
        let is_in = sweep.status == TransferStatus::Confirmed;
        let has_room = have_room(tx, &mut balances, &entries)?;
        if has_room || is_in {
            let mark = if has_room { i64::from(is_in) } else { NO_ROOM };
            marks.push(vec![sweep.id.as_str().into(), mark.into()]);
        }
        if !has_room {
            tracing::warn!(transfer = %sweep.id, "the ledger has no room for what left an address of ours");
            continue;
        }
        for (part, transfer) in entries.into_iter().enumerate() {
            postings.push(Posting { seq: head.next_seq, part: part as i64, order_no: 0, at: head.last_at, transfer });
        }
        head.next_seq += 1;
    }
    orders::post(tx, &postings)?;
    let done = marks.len();
    let sql = "update sweeps set booked = v.c2 from v where sweeps.id = v.c1";
    tx.with_rows(sql, Bulk { columns: &[Column::Text, Column::Int], rows: marks })?;
    head::advance(tx, &head)?;
    Ok(done)
}

/// (account, asset) to debited and credited units.
type Balances = BTreeMap<(String, String), (i64, i64)>;

/// Adds entries to the balances as they will be; changes nothing if one of them would be too large to be kept.
fn have_room(tx: &mut Tx<'_>, balances: &mut Balances, entries: &[Transfer]) -> Result<bool, DbError> {
    let mut after = Vec::new();
    for entry in entries {
        for (account, debit, credit) in [(&entry.debit, entry.units, 0), (&entry.credit, 0, entry.units)] {
            let key = (account.to_string(), entry.asset.to_string());
            let before = match balances.get(&key) {
                Some(known) => *known,
                None => balance(tx, &key)?,
            };
            let Some(sums) = before.0.checked_add(debit).zip(before.1.checked_add(credit)) else { return Ok(false) };
            after.push((key, sums));
        }
    }
    balances.extend(after);
    Ok(true)
}

fn balance(tx: &mut Tx<'_>, (account, asset): &(String, String)) -> Result<(i64, i64), DbError> {
    let sql = "select debit_units, credit_units from balances where account = $1 and asset = $2";
    let row = tx.query_one(sql, &[account.as_str().into(), asset.as_str().into()])?;
    Ok(row.map_or((0, 0), |row| (row.int(0), row.int(1))))
}

/// What the ledger counts: network, asset and units of each.
pub fn booked(tx: &mut Tx<'_>) -> Result<Vec<(NetworkId, AssetId, i64)>, DbError> {
    let rows = tx.query("select network, asset, units from sweeps where booked = 1", &[])?;
    Ok(rows.iter().map(|row| (NetworkId::new(row.text(0)), AssetId::new(row.text(1)), row.int(2))).collect())
}

fn read(row: &Row) -> Result<Sweep, DbError> {
    Ok(Sweep {
        id: TransferId::new(row.text(0)),
        network: NetworkId::new(row.text(1)),
        asset: AssetId::new(row.text(2)),
        sender: row.text(3).to_owned(),
        receiver: row.text(4).to_owned(),
        units: row.int(5),
        block_at: Time(row.int(6)),
        status: TransferStatus::parse(row.text(7)).ok_or(DbError::Corrupt { what: "status of a sweep" })?,
        is_booked: row.int(8) == 1,
    })
}
