//! Changes to be told outside: a row per message, written in the commit of the change, taken before it is sent.

use super::db::{Bulk, Column, DbError, Row, Tx};
use super::orders::read_id;
use domain::ids::OrderId;
use domain::project::ExchangeStatus;
use domain::time::Time;

/// One message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The event that it comes from.
    pub seq: i64,
    pub order: OrderId,
    /// A keyed hash of the host.
    pub receiver: String,
    pub status: ExchangeStatus,
    pub at: Time,
    /// Told again until somebody takes it.
    pub retries: bool,
    /// That failed.
    pub attempts: i64,
}

/// What became of a message that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ended { seq: i64 },
    Again { seq: i64, attempts: i64, due_at: Time },
}

/// Plans messages.
pub fn plan(tx: &mut Tx<'_>, planned: &[Planned]) -> Result<(), DbError> {
    use Column::{Int, Text};
    let row = |planned: &Planned| {
        vec![
            planned.seq.into(),
            planned.order.expose().into(),
            planned.receiver.as_str().into(),
            planned.status.word().into(),
            planned.at.0.into(),
            "due".into(),
            0.into(),
            i64::from(planned.retries).into(),
            planned.attempts.into(),
        ]
    };
    let columns = &[Int, Text, Text, Text, Int, Text, Int, Int, Int];
    let target = "deliveries (seq, order_id, receiver, status, at_ms, state, taken_at_ms, retries, attempts)";
    tx.insert_all(target, "", Bulk { columns, rows: planned.iter().map(row).collect() })?;
    Ok(())
}

/// The oldest messages that wait: none to the receivers of the first list, and only to those of the second unless it is
/// empty; and none about an order of which one is under way since `since` or later, or is to be told again later than now.
pub fn due(
    tx: &mut Tx<'_>,
    but_receivers: &[String],
    only_receivers: &[String],
    since: Time,
    now: Time,
    limit: i64,
) -> Result<Vec<Planned>, DbError> {
    // The number is an expression here, so that both engines begin with what is due and not with the oldest row.
    let sql = "select d.seq, d.order_id, d.receiver, d.status, d.at_ms, d.retries, d.attempts from deliveries d \
        where d.state = 'due' and d.due_at_ms <= $5 and not d.receiver = any($1) and ($2 = 0 or d.receiver = any($3)) \
        and not exists (select 1 from deliveries o where o.order_id = d.order_id and o.state = 'sending' \
        and (o.taken_at_ms >= $4 or o.retries = 1)) \
        and not exists (select 1 from deliveries o where o.order_id = d.order_id and o.state = 'due' \
        and o.due_at_ms > $5) order by d.seq + 0 limit $6";
    let (but, only) = (but_receivers.to_vec(), only_receivers.to_vec());
    let narrowed = i64::from(!only.is_empty());
    let values = [but.into(), narrowed.into(), only.into(), since.0.into(), now.0.into(), limit.into()];
    tx.query(sql, &values)?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Planned, DbError> {
    Ok(Planned {
        seq: row.int(0),
        order: read_id(row.text(1))?,
        receiver: row.text(2).to_owned(),
        status: ExchangeStatus::parse(row.text(3)).ok_or(DbError::Corrupt { what: "status of a delivery" })?,
        at: Time(row.int(4)),
        retries: row.int(5) == 1,
        attempts: row.int(6),
    })
}

/// Takes messages: from now on they count as sent, whatever becomes of it. Answers those that nobody took since they were
/// read, and of whose order nobody else has one under way.
pub fn take(tx: &mut Tx<'_>, wanted: &[Planned], since: Time, now: Time) -> Result<Vec<i64>, DbError> {
    let row = |planned: &Planned| vec![planned.seq.into(), now.0.into(), since.0.into(), planned.attempts.into()];
    // Of one moment are those of this call: an order's messages are taken together.
    let sql = "update deliveries set state = 'sending', taken_at_ms = v.c2 from v \
        where deliveries.seq = v.c1 and deliveries.state = 'due' and deliveries.attempts = v.c4 \
        and deliveries.due_at_ms <= v.c2 and deliveries.order_id not in \
        (select order_id from deliveries where state = 'sending' and taken_at_ms >= v.c3 and taken_at_ms <> v.c2) \
        returning deliveries.seq";
    let rows = wanted.iter().map(row).collect();
    let taken = tx.with_rows(sql, Bulk { columns: &[Column::Int; 4], rows })?;
    Ok(taken.iter().map(|row| row.int(0)).collect())
}

/// Forgets messages that ended, so that the next about their orders may go, and puts the others back.
pub fn note(tx: &mut Tx<'_>, outcomes: Vec<Outcome>) -> Result<(), DbError> {
    let (mut ended, mut again) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Outcome::Ended { seq } => ended.push(vec![seq.into()]),
            Outcome::Again { seq, attempts, due_at } => again.push(vec![seq.into(), attempts.into(), due_at.0.into()]),
        }
    }
    let sql = "delete from deliveries where seq in (select c1 from v)";
    tx.with_rows(sql, Bulk { columns: &[Column::Int], rows: ended })?;
    let sql =
        "update deliveries set state = 'due', attempts = v.c2, due_at_ms = v.c3 from v where deliveries.seq = v.c1";
    tx.with_rows(sql, Bulk { columns: &[Column::Int; 3], rows: again })?;
    Ok(())
}

/// Whether there are such messages as `requeue` puts back.
pub fn is_left(tx: &mut Tx<'_>, before: Time) -> Result<bool, DbError> {
    let sql = "select seq from deliveries where state = 'sending' and retries = 1 and taken_at_ms < $1 limit 1";
    Ok(tx.query_one(sql, &[before.0.into()])?.is_some())
}

/// Puts those back that are told again and were taken before that moment: whoever took them is gone.
pub fn requeue(tx: &mut Tx<'_>, before: Time) -> Result<u64, DbError> {
    let sql = "update deliveries set state = 'due' where state = 'sending' and retries = 1 and taken_at_ms < $1";
    tx.execute(sql, &[before.0.into()])
}

/// Forgets what waited in vain since before that moment; answers how many.
pub fn forget_before(tx: &mut Tx<'_>, before: Time) -> Result<u64, DbError> {
    tx.execute("delete from deliveries where at_ms < $1", &[before.0.into()])
}
