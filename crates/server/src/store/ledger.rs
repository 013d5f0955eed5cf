//! The ledger as it is read: pages of transfers in the order of their commits, those of an order, and the kept balances.
//!
//! Written by `orders::post` alone, in the commit of the event. Must never change a row.

use super::db::{Bulk, Column, DbError, Row, Tx};
use domain::ids::{AssetId, OrderId};
use domain::ledger::{Account, Transfer};
use domain::time::Time;

/// A transfer with what it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number of its event.
    pub seq: i64,
    /// Its place among the transfers of that event.
    pub part: i64,
    pub order_no: i64,
    pub at: Time,
    /// The word of its event; `None` if it comes from none.
    pub kind: Option<String>,
    pub transfer: Transfer,
}

/// What is kept of a shared account in one asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    pub account: Account,
    pub asset: AssetId,
    pub debit_units: i64,
    pub credit_units: i64,
}

const COLUMNS: &str = "l.seq, l.part, l.order_no, l.at_ms, e.kind, l.debit, l.credit, l.asset, l.units";

/// Transfers after that place, in their order.
pub fn entries_after(tx: &mut Tx<'_>, (seq, part): (i64, i64), limit: i64) -> Result<Vec<Entry>, DbError> {
    let sql = format!(
        "select {COLUMNS} from ledger_transfers l left join events e on e.seq = l.seq \
         where (l.seq, l.part) > ($1, $2) order by l.seq, l.part limit $3"
    );
    tx.query(&sql, &[seq.into(), part.into(), limit.into()])?.iter().map(read_entry).collect()
}

/// Transfers of the events after one and up to another, in their order.
pub fn entries_between(tx: &mut Tx<'_>, after: i64, through: i64) -> Result<Vec<Entry>, DbError> {
    let sql = format!(
        "select {COLUMNS} from ledger_transfers l left join events e on e.seq = l.seq \
         where l.seq > $1 and l.seq <= $2 order by l.seq, l.part"
    );
    tx.query(&sql, &[after.into(), through.into()])?.iter().map(read_entry).collect()
}

/// All transfers of those orders, in their order.
pub fn entries_of(tx: &mut Tx<'_>, orders: &[OrderId]) -> Result<Vec<Entry>, DbError> {
    let sql = format!(
        "select {COLUMNS} from v join events e on e.order_id = v.c1 join ledger_transfers l on l.seq = e.seq \
         order by l.seq, l.part"
    );
    let rows = orders.iter().map(|id| vec![id.expose().into()]).collect();
    let found = tx.with_rows(&sql, Bulk { columns: &[Column::Text], rows })?;
    let mut entries = found.iter().map(read_entry).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(|entry| (entry.seq, entry.part));
    Ok(entries)
}

/// Numbers of a few orders that moved that asset, oldest first.
pub fn orders_that_moved(tx: &mut Tx<'_>, asset: &AssetId, limit: i64) -> Result<Vec<i64>, DbError> {
    let sql = "select order_no from ledger_transfers where asset = $1 order by seq, part limit $2";
    Ok(tx.query(sql, &[asset.as_str().into(), limit.into()])?.iter().map(|row| row.int(0)).collect())
}

/// Every kept balance, by asset and account.
pub fn balances(tx: &mut Tx<'_>) -> Result<Vec<Balance>, DbError> {
    let rows = tx.query("select account, asset, debit_units, credit_units from balances", &[])?;
    let read = |row: &Row| {
        let (account, asset) = (read_account(row.text(0))?, AssetId::new(row.text(1)));
        Ok(Balance { account, asset, debit_units: row.int(2), credit_units: row.int(3) })
    };
    let mut balances = rows.iter().map(read).collect::<Result<Vec<Balance>, DbError>>()?;
    balances.sort_by(|one, other| (&one.asset, &one.account).cmp(&(&other.asset, &other.account)));
    Ok(balances)
}

fn read_entry(row: &Row) -> Result<Entry, DbError> {
    Ok(Entry {
        seq: row.int(0),
        part: row.int(1),
        order_no: row.int(2),
        at: Time(row.int(3)),
        kind: row.opt_text(4).map(str::to_owned),
        transfer: Transfer {
            debit: read_account(row.text(5))?,
            credit: read_account(row.text(6))?,
            asset: AssetId::new(row.text(7)),
            units: row.int(8),
        },
    })
}

fn read_account(text: &str) -> Result<Account, DbError> {
    Account::parse(text).ok_or(DbError::Corrupt { what: "account of the ledger" })
}
