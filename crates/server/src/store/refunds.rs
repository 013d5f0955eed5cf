//! Where refunds go, and whose unattributed money is.

use super::db::{Bulk, Column, DbError, Tx, Val};
use domain::ids::{OrderId, TransferId};
use domain::postings::MOST_OF_ANOTHER;
use domain::time::Time;

/// Writes where refunds go, sealed; a refund that was opened again gets another address.
pub fn write_addresses(tx: &mut Tx<'_>, rows: Vec<(OrderId, u32, String)>) -> Result<(), DbError> {
    let row = |(order, refund, sealed): (OrderId, u32, String)| -> Vec<Val> {
        vec![order.expose().into(), i64::from(refund).into(), sealed.into()]
    };
    let rows = rows.into_iter().map(row).collect();
    let columns = &[Column::Text, Column::Int, Column::Text];
    let tail = "on conflict (order_id, refund) do update set body = excluded.body";
    tx.insert_all("refund_addresses (order_id, refund, body)", tail, Bulk { columns, rows })?;
    Ok(())
}

/// Where a refund goes, sealed; none if nobody has said so.
pub fn address(tx: &mut Tx<'_>, order: OrderId, refund: u32) -> Result<Option<String>, DbError> {
    let sql = "select body from refund_addresses where order_id = $1 and refund = $2";
    let row = tx.query_one(sql, &[order.expose().into(), i64::from(refund).into()])?;
    Ok(row.map(|row| row.text(0).to_owned()))
}

/// Who assigned a transfer, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    pub by: String,
    pub note: String,
    pub at: Time,
}

/// Makes a transfer that no order owns that order's money: it is credited next, like any other. False, and nothing is
/// written, if it is not there, has an order already, or is an amount of another asset that is not booked.
pub fn assign(tx: &mut Tx<'_>, transfer: &TransferId, order: OrderId, assigned: &Assigned) -> Result<bool, DbError> {
    // What the books would not hold is no order's, whoever says so.
    let own = super::orders::by_id(tx, order)?.map(|known| known.quote.asset.to_string()).unwrap_or_default();
    let sql = "update chain_transfers set order_id = $1 where id = $2 and order_id is null and status <> 'reverted' \
        and (units <= $3 or asset = $4)";
    let owner: Val = order.expose().into();
    if tx.execute(sql, &[owner, transfer.as_str().into(), MOST_OF_ANOTHER.into(), own.into()])? == 0 {
        return Ok(false);
    }
    let sql =
        "insert into assigned_transfers (transfer, order_id, assigned_by, note, at_ms) values ($1, $2, $3, $4, $5)";
    let Assigned { by, note, at } = assigned;
    tx.execute(
        sql,
        &[transfer.as_str().into(), order.expose().into(), by.as_str().into(), note.as_str().into(), at.0.into()],
    )?;
    Ok(true)
}

/// Which transfers were assigned to an order, and by whom, oldest first.
pub fn assigned_to(tx: &mut Tx<'_>, order: OrderId) -> Result<Vec<(TransferId, Assigned)>, DbError> {
    let sql = "select transfer, assigned_by, note, at_ms from assigned_transfers where order_id = $1 order by at_ms, transfer";
    let rows = tx.query(sql, &[order.expose().into()])?;
    let read = |row: &super::Row| {
        let assigned = Assigned { by: row.text(1).to_owned(), note: row.text(2).to_owned(), at: Time(row.int(3)) };
        (TransferId::new(row.text(0)), assigned)
    };
    Ok(rows.iter().map(read).collect())
}
