//! Small named values: the check of the sealing key, and cursors of the log's readers.

use super::db::{DbError, Tx};

/// A named value.
pub fn get(tx: &mut Tx<'_>, name: &str) -> Result<Option<String>, DbError> {
    Ok(tx.query_one("select value from settings where name = $1", &[name.into()])?.map(|row| row.text(0).to_owned()))
}

/// Sets a named value.
pub fn set(tx: &mut Tx<'_>, name: &str, value: &str) -> Result<(), DbError> {
    let sql =
        "insert into settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value";
    tx.execute(sql, &[name.into(), value.into()])?;
    Ok(())
}

/// How far a reader of the event log has come; 0 at first.
pub fn cursor(tx: &mut Tx<'_>, reader: &str) -> Result<i64, DbError> {
    Ok(tx.query_one("select seq from cursors where reader = $1", &[reader.into()])?.map_or(0, |row| row.int(0)))
}

/// Moves a reader's cursor.
pub fn set_cursor(tx: &mut Tx<'_>, reader: &str, seq: i64) -> Result<(), DbError> {
    let sql = "insert into cursors (reader, seq) values ($1, $2) on conflict (reader) do update set seq = excluded.seq";
    tx.execute(sql, &[reader.into(), seq.into()])?;
    Ok(())
}
