//! Databases of the simulator: an empty schema in virtual time, and copies in memory that stand for backups.
//!
//! Must never be called by a shop: a schema of that name is deleted.

use super::db::{Conn, DatabaseClock, DbError, Place};

impl Conn {
    /// A connection to an empty schema of a PostgreSQL database, made anew. Ours is virtual time there: the database's
    /// clock is not compared.
    pub fn open_scratch(url: &str, schema: &str) -> Result<Conn, DbError> {
        let mut conn = Conn::open(&Place::Postgres(url.to_owned()))?;
        if let Conn::Postgres { client, clock, .. } = &mut conn {
            *clock = DatabaseClock::Ignored;
            client.batch_execute(&format!(
                "set client_min_messages = warning; drop schema if exists {schema} cascade; create schema {schema}; \
                 set search_path = {schema}"
            ))?;
        }
        Ok(conn)
    }

    /// Deletes such a schema.
    pub fn drop_scratch(url: &str, schema: &str) -> Result<(), DbError> {
        if let Conn::Postgres { client, .. } = &mut Conn::open(&Place::Postgres(url.to_owned()))? {
            client.batch_execute(&format!("drop schema if exists {schema} cascade"))?;
        }
        Ok(())
    }

    /// A copy of a SQLite database, in memory.
    pub fn copy_in_memory(&self) -> Result<Conn, DbError> {
        let mut copy = Conn::open(&Place::SqliteMemory)?;
        match (self, &mut copy) {
            (Conn::Sqlite(from), Conn::Sqlite(to)) => rusqlite::backup::Backup::new(from, to)?.step(-1)?,
            _ => return Err(DbError::Open("only SQLite is copied here".to_owned())),
        };
        Ok(copy)
    }
}
