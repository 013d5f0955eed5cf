//! The head of the log: the row that every batch locks first, and the numbers that come from it.

use super::db::{DbError, Tx, Val};
use domain::time::Time;

/// A process whose clock is further than this from the database's does not commit.
const CLOCK_TOLERANCE_MS: i64 = 30_000;

/// The locked head row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub next_seq: i64,
    pub next_no: i64,
    pub last_at: Time,
    pub epoch: i64,
}

/// Locks the log for this batch. Everything loaded after it is the truth until the commit.
pub fn lock(tx: &mut Tx<'_>, now: Time) -> Result<Head, DbError> {
    let sql = "update log_head set epoch = epoch where id = 1 returning next_seq, next_no, last_at_ms, epoch";
    let row = tx.query_one(sql, &[])?.ok_or(DbError::Corrupt { what: "head of the log" })?;
    if let Some(theirs) = tx.database_clock_ms()? {
        let apart = (now.0 - theirs).abs();
        if apart > CLOCK_TOLERANCE_MS {
            return Err(DbError::Clock(apart));
        }
    }
    Ok(Head { next_seq: row.int(0), next_no: row.int(1), last_at: Time(row.int(2)), epoch: row.int(3) })
}

/// Keeps batches of other processes out until the commit; SQLite's one writer does so by itself.
pub fn hold(tx: &mut Tx<'_>) -> Result<(), DbError> {
    if tx.has_other_writers() {
        tx.execute("update log_head set epoch = epoch where id = 1", &[])?;
    }
    Ok(())
}

/// Writes the numbers as they are after the batch.
pub fn advance(tx: &mut Tx<'_>, head: &Head) -> Result<(), DbError> {
    let sql = "update log_head set next_seq = $1, next_no = $2, last_at_ms = $3 where id = 1";
    tx.execute(sql, &[head.next_seq.into(), head.next_no.into(), head.last_at.0.into()])?;
    Ok(())
}

/// Notes that this process's batch is part of the commit under way.
pub fn note_batch(tx: &mut Tx<'_>, process: &str, batch: i64) -> Result<(), DbError> {
    let sql = "insert into committers (process, batch) values ($1, $2) on conflict (process) do update set batch = excluded.batch";
    tx.execute(sql, &[process.into(), batch.into()])?;
    Ok(())
}

/// The last batch of that process that committed.
pub fn last_batch(tx: &mut Tx<'_>, process: &str) -> Result<Option<i64>, DbError> {
    let row = tx.query_one("select batch from committers where process = $1", &[process.into()])?;
    Ok(row.map(|row| row.int(0)))
}

/// The number of the newest event; 0 before the first.
pub fn last_seq(tx: &mut Tx<'_>) -> Result<i64, DbError> {
    let row = tx.query_one("select next_seq from log_head where id = $1", &[Val::Int(1)])?;
    Ok(row.map_or(0, |row| row.int(0) - 1))
}
