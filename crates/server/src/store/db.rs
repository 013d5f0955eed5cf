//! The two database engines behind one small face: SQL text with `$1` placeholders, rows of TEXT and BIGINT.
//!
//! SQLite is embedded and the default; PostgreSQL is for several processes. Everything above this file is plain functions
//! over `&mut Tx`. Must never know a table's name (migrations aside). Differences that are bridged here, and nowhere else:
//! placeholders, `= any($1)` over a list, bulk writes, column types, and what counts as a passing trouble.

use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A value bound to a statement or read from a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Val {
    Null,
    Int(i64),
    Text(String),
    /// For `= any($n)` only.
    List(Vec<String>),
}

impl From<i64> for Val {
    fn from(value: i64) -> Self {
        Val::Int(value)
    }
}

impl From<&str> for Val {
    fn from(value: &str) -> Self {
        Val::Text(value.to_owned())
    }
}

impl From<String> for Val {
    fn from(value: String) -> Self {
        Val::Text(value)
    }
}

impl From<Vec<String>> for Val {
    fn from(value: Vec<String>) -> Self {
        Val::List(value)
    }
}

impl<T: Into<Val>> From<Option<T>> for Val {
    fn from(value: Option<T>) -> Self {
        value.map_or(Val::Null, Into::into)
    }
}

/// One row of an answer. Reading a column as another type than it has is a defect of the query and panics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Vec<Val>);

impl Row {
    pub fn int(&self, column: usize) -> i64 {
        self.opt_int(column).expect("the column is not null")
    }

    pub fn text(&self, column: usize) -> &str {
        self.opt_text(column).expect("the column is not null")
    }

    pub fn opt_int(&self, column: usize) -> Option<i64> {
        match &self.0[column] {
            Val::Int(value) => Some(*value),
            Val::Null => None,
            Val::Text(_) | Val::List(_) => panic!("column {column} does not hold an integer"),
        }
    }

    pub fn opt_text(&self, column: usize) -> Option<&str> {
        match &self.0[column] {
            Val::Text(value) => Some(value),
            Val::Null => None,
            Val::Int(_) | Val::List(_) => panic!("column {column} does not hold a text"),
        }
    }
}

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("SQLite refused")]
    Sqlite(#[from] rusqlite::Error),
    #[error("PostgreSQL refused")]
    Postgres(#[from] PostgresError),
    #[error("the database's schema could not be brought up to date")]
    Migration(#[from] refinery::Error),
    #[error("the database could not be opened: {0}")]
    Open(String),
    #[error("the stored {what} cannot be read")]
    Corrupt { what: &'static str },
    #[error("the database is busy; try again")]
    Overloaded,
    #[error("the clock of this machine and the database's differ by {0} ms; set them right")]
    Clock(i64),
    #[error("an invariant of the store is broken: {0}")]
    Invariant(String),
}

impl DbError {
    /// Worth the same attempt again: the connection or a lock was lost, not the argument.
    pub fn is_passing(&self) -> bool {
        match self {
            DbError::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) => {
                use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
                matches!(failure.code, DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure)
            }
            DbError::Postgres(error) => error.is_passing(),
            DbError::Overloaded | DbError::Clock(_) => true,
            DbError::Sqlite(_)
            | DbError::Migration(_)
            | DbError::Open(_)
            | DbError::Corrupt { .. }
            | DbError::Invariant(_) => false,
        }
    }
}

/// What PostgreSQL said, without the values that its own text may quote: an order's id must not reach a log.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct PostgresError {
    text: String,
    /// SQLSTATE, where the server gave one; otherwise the connection failed.
    state: Option<String>,
}

impl PostgresError {
    /// Connection, transaction rollback, resources, operator intervention, locks.
    fn is_passing(&self) -> bool {
        let class = self.state.as_deref().and_then(|state| state.get(..2));
        class.is_none_or(|class| ["08", "40", "53", "55", "57"].contains(&class))
    }
}

impl From<postgres::Error> for DbError {
    fn from(error: postgres::Error) -> Self {
        let told = error.as_db_error();
        let text = match told {
            Some(told) => {
                let place = told.constraint().or(told.table()).map(|name| format!(" ({name})")).unwrap_or_default();
                format!("SQLSTATE {}{place}", told.code().code())
            }
            None => error.to_string(),
        };
        DbError::Postgres(PostgresError { text, state: told.map(|told| told.code().code().to_owned()) })
    }
}

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    SqliteFile(PathBuf),
    /// Gone with its connection; for tests and the simulator.
    SqliteMemory,
    /// A `postgres://` URL.
    Postgres(String),
}

/// One connection.
pub enum Conn {
    Sqlite(rusqlite::Connection),
    Postgres {
        client: Box<postgres::Client>,
        statements: HashMap<String, postgres::Statement>,
        url: String,
        clock: DatabaseClock,
    },
}

/// What the clock of a database on another machine is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseClock {
    /// Every commit compares ours with it.
    Compared,
    /// Ours is virtual: nothing to compare with.
    Ignored,
}

/// Prepared statements that a connection to SQLite keeps: more than there are texts of SQL.
const STATEMENTS_KEPT: usize = 128;

/// Whether a transaction may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

mod schema {
    refinery::embed_migrations!("../../migrations");
}

impl Conn {
    /// Opens a connection; the file is made if it is missing.
    pub fn open(place: &Place) -> Result<Conn, DbError> {
        match place {
            Place::SqliteFile(path) => Ok(Conn::Sqlite(open_file(path)?)),
            Place::SqliteMemory => {
                let connection = rusqlite::Connection::open_in_memory()?;
                connection.execute_batch("pragma foreign_keys = on")?;
                connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
                Ok(Conn::Sqlite(connection))
            }
            Place::Postgres(url) => {
                let mut client = postgres::Client::connect(url, postgres::NoTls)?;
                client.batch_execute("set lock_timeout = '10s'; set idle_in_transaction_session_timeout = '30s'")?;
                let (client, clock) = (Box::new(client), DatabaseClock::Compared);
                Ok(Conn::Postgres { client, statements: HashMap::new(), url: url.clone(), clock })
            }
        }
    }

    /// Opens the connection again if it was lost; true if it was.
    pub fn reopen_if_lost(&mut self) -> Result<bool, DbError> {
        let Conn::Postgres { client, url, clock, .. } = self else { return Ok(false) };
        if !client.is_closed() {
            return Ok(false);
        }
        if *clock == DatabaseClock::Ignored {
            return Err(DbError::Open("the simulator's schema is not opened a second time".to_owned()));
        }
        *self = Conn::open(&Place::Postgres(url.clone()))?;
        Ok(true)
    }

    /// Ends what a panic left open. PostgreSQL's transaction rolls back as it is dropped.
    pub fn roll_back_after_panic(&mut self) -> Result<(), DbError> {
        match self {
            Conn::Sqlite(connection) if !connection.is_autocommit() => Ok(connection.execute_batch("rollback")?),
            Conn::Sqlite(_) | Conn::Postgres { .. } => Ok(()),
        }
    }

    /// Sets the one connection up that writes orders.
    pub fn prepare_to_commit(&mut self) -> Result<(), DbError> {
        match self {
            // A plan made while a table was empty must not be kept (measured: two thirds of the speed).
            Conn::Postgres { client, .. } => client.batch_execute("set enable_seqscan = off")?,
            // Orders have random ids: each touches pages anywhere in its indexes. They stay in memory, 32 MiB at most.
            Conn::Sqlite(connection) => connection.execute_batch("pragma cache_size = -32768")?,
        }
        Ok(())
    }

    /// Brings the schema up to date.
    pub fn migrate(&mut self) -> Result<(), DbError> {
        match self {
            Conn::Sqlite(connection) => schema::migrations::runner().run(connection)?,
            Conn::Postgres { client, .. } => schema::migrations::runner().run(client.as_mut())?,
        };
        Ok(())
    }

    /// Runs `work` in one transaction: committed if it succeeds, rolled back if it does not.
    pub fn tx<T, E: From<DbError>>(
        &mut self,
        access: Access,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Conn::Sqlite(connection) => {
                let begin = if access == Access::Write { "begin immediate" } else { "begin" };
                connection.prepare_cached(begin).and_then(|mut s| s.execute([])).map_err(DbError::from)?;
                let result = work(&mut Tx(Kind::Sqlite(connection)));
                let end = if result.is_ok() { "commit" } else { "rollback" };
                let ended = connection.prepare_cached(end).and_then(|mut s| s.execute([])).map_err(DbError::from);
                if ended.is_err() && !connection.is_autocommit() {
                    connection.execute_batch("rollback").map_err(DbError::from)?;
                }
                let value = result?;
                ended?;
                Ok(value)
            }
            Conn::Postgres { client, statements, clock, .. } => {
                let transaction = match access {
                    Access::Write => client.transaction(),
                    // One picture for all of its statements, as SQLite gives it by itself.
                    Access::Read => {
                        let snapshot = postgres::IsolationLevel::RepeatableRead;
                        client.build_transaction().isolation_level(snapshot).read_only(true).start()
                    }
                };
                let transaction = transaction.map_err(DbError::from)?;
                let mut tx = Tx(Kind::Postgres { transaction, statements, clock: *clock });
                let value = work(&mut tx)?;
                if let Tx(Kind::Postgres { transaction, .. }) = tx {
                    transaction.commit().map_err(DbError::from)?;
                }
                Ok(value)
            }
        }
    }
}

fn open_file(path: &Path) -> Result<rusqlite::Connection, DbError> {
    let connection = rusqlite::Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    let mode: String = connection.query_row("pragma journal_mode = wal", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(DbError::Open(format!("{} does not allow write-ahead logging ({mode})", path.display())));
    }
    connection.execute_batch("pragma synchronous = full; pragma foreign_keys = on")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

/// A transaction under way.
pub struct Tx<'a>(Kind<'a>);

enum Kind<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres {
        transaction: postgres::Transaction<'a>,
        statements: &'a mut HashMap<String, postgres::Statement>,
        clock: DatabaseClock,
    },
}

/// Column types of a bulk write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Text,
    Int,
}

/// Many rows for one statement. SQLite runs it row by row, prepared; PostgreSQL takes arrays.
#[derive(Debug)]
pub struct Bulk<'a> {
    pub columns: &'a [Column],
    pub rows: Vec<Vec<Val>>,
}

impl Tx<'_> {
    /// Rows of a query, or of a write with `returning`. `$n` placeholders; `= any($n)` takes a `Val::List`.
    pub fn query(&mut self, sql: &str, values: &[Val]) -> Result<Vec<Row>, DbError> {
        match &mut self.0 {
            Kind::Sqlite(connection) => sqlite_query(connection, &for_sqlite(sql), values),
            Kind::Postgres { transaction, statements, .. } => {
                let statement = prepared(transaction, statements, sql)?;
                let values: Vec<&(dyn ToSql + Sync)> =
                    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
                transaction.query(&statement, &values)?.iter().map(postgres_row).collect()
            }
        }
    }

    /// The first row, if there is one.
    pub fn query_one(&mut self, sql: &str, values: &[Val]) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, values)?.into_iter().next())
    }

    /// Runs a write; answers how many rows it changed.
    pub fn execute(&mut self, sql: &str, values: &[Val]) -> Result<u64, DbError> {
        match &mut self.0 {
            Kind::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(&for_sqlite(sql))?;
                bind(&mut statement, values)?;
                Ok(statement.raw_execute()? as u64)
            }
            Kind::Postgres { transaction, statements, .. } => {
                let statement = prepared(transaction, statements, sql)?;
                let values: Vec<&(dyn ToSql + Sync)> =
                    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
                Ok(transaction.execute(&statement, &values)?)
            }
        }
    }

    /// `insert into <target> <rows> <tail>`; with `returning` in the tail, the rows that were written.
    pub fn insert_all(&mut self, target: &str, tail: &str, bulk: Bulk<'_>) -> Result<Vec<Row>, DbError> {
        let (of_sqlite, of_postgres) = match self.0 {
            Kind::Sqlite(_) => {
                let marks: Vec<String> = (1..=bulk.columns.len()).map(|n| format!("?{n}")).collect();
                (format!("insert into {target} values ({}) {tail}", marks.join(", ")), String::new())
            }
            Kind::Postgres { .. } => (
                String::new(),
                format!("insert into {target} select * from unnest({}) {tail}", array_marks(bulk.columns)),
            ),
        };
        self.run_bulk(&of_sqlite, &of_postgres, bulk)
    }

    /// `with v(c1, c2, ..) as (<rows>) <statement>`: updates from many rows, and looks for rows by keys of several columns.
    pub fn with_rows(&mut self, statement: &str, bulk: Bulk<'_>) -> Result<Vec<Row>, DbError> {
        let names: Vec<String> = (1..=bulk.columns.len()).map(|n| format!("c{n}")).collect();
        let names = names.join(", ");
        let marks: Vec<String> = (1..=bulk.columns.len()).map(|n| format!("?{n}")).collect();
        let of_sqlite = format!("with v({names}) as (values ({})) {statement}", marks.join(", "));
        let of_postgres =
            format!("with v({names}) as (select * from unnest({})) {statement}", array_marks(bulk.columns));
        self.run_bulk(&of_sqlite, &of_postgres, bulk)
    }

    fn run_bulk(&mut self, of_sqlite: &str, of_postgres: &str, bulk: Bulk<'_>) -> Result<Vec<Row>, DbError> {
        if bulk.rows.is_empty() {
            return Ok(Vec::new());
        }
        match &mut self.0 {
            Kind::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(of_sqlite)?;
                let mut answers = Vec::new();
                for row in &bulk.rows {
                    bind(&mut statement, row)?;
                    if statement.column_count() == 0 {
                        statement.raw_execute()?;
                    } else {
                        read_all(&mut statement, &mut answers)?;
                    }
                }
                Ok(answers)
            }
            Kind::Postgres { transaction, statements, .. } => {
                let statement = prepared(transaction, statements, of_postgres)?;
                let arrays: Vec<Array> =
                    (0..bulk.columns.len()).map(|at| Array::of(bulk.columns[at], &bulk.rows, at)).collect();
                let values: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(Array::value).collect();
                transaction.query(&statement, &values)?.iter().map(postgres_row).collect()
            }
        }
    }

    /// Whether another writing transaction may run beside this one.
    pub fn has_other_writers(&self) -> bool {
        matches!(self.0, Kind::Postgres { .. })
    }

    /// The database's own clock in milliseconds, where that is another machine's than ours.
    pub fn database_clock_ms(&mut self) -> Result<Option<i64>, DbError> {
        match self.0 {
            Kind::Sqlite(_) | Kind::Postgres { clock: DatabaseClock::Ignored, .. } => Ok(None),
            Kind::Postgres { clock: DatabaseClock::Compared, .. } => {
                let sql = "select cast(extract(epoch from clock_timestamp()) * 1000 as bigint)";
                Ok(self.query_one(sql, &[])?.map(|row| row.int(0)))
            }
        }
    }
}

fn array_marks(columns: &[Column]) -> String {
    let mark = |(at, column): (usize, &Column)| match column {
        Column::Text => format!("${}::text[]", at + 1),
        Column::Int => format!("${}::bigint[]", at + 1),
    };
    columns.iter().enumerate().map(mark).collect::<Vec<_>>().join(", ")
}

/// `$1` becomes `?1`, and `= any($1)` a look into a JSON list.
fn for_sqlite(sql: &str) -> String {
    let mut text = sql.replace('$', "?");
    while let Some(start) = text.find("= any(?") {
        let end = start + text[start..].find(')').expect("any( is closed");
        let mark = text[start + "= any(".len()..end].to_owned();
        text.replace_range(start..=end, &format!("in (select value from json_each({mark}))"));
    }
    text
}

fn sqlite_query(connection: &rusqlite::Connection, sql: &str, values: &[Val]) -> Result<Vec<Row>, DbError> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, values)?;
    let mut rows = Vec::new();
    read_all(&mut statement, &mut rows)?;
    Ok(rows)
}

fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Val]) -> Result<(), DbError> {
    for (at, value) in values.iter().enumerate() {
        match value {
            Val::Null => statement.raw_bind_parameter(at + 1, rusqlite::types::Null)?,
            Val::Int(value) => statement.raw_bind_parameter(at + 1, value)?,
            Val::Text(value) => statement.raw_bind_parameter(at + 1, value)?,
            Val::List(values) => {
                let list = serde_json::to_string(values).expect("a list of texts is JSON");
                statement.raw_bind_parameter(at + 1, list)?;
            }
        }
    }
    Ok(())
}

fn read_all(statement: &mut rusqlite::Statement<'_>, into: &mut Vec<Row>) -> Result<(), DbError> {
    use rusqlite::types::ValueRef;
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(columns);
        for column in 0..columns {
            values.push(match row.get_ref(column)? {
                ValueRef::Null => Val::Null,
                ValueRef::Integer(value) => Val::Int(value),
                ValueRef::Text(value) => {
                    let text = std::str::from_utf8(value).map_err(|_| DbError::Corrupt { what: "text" })?;
                    Val::Text(text.to_owned())
                }
                ValueRef::Real(_) | ValueRef::Blob(_) => return Err(DbError::Corrupt { what: "column type" }),
            });
        }
        into.push(Row(values));
    }
    Ok(())
}

fn prepared(
    transaction: &mut postgres::Transaction<'_>,
    statements: &mut HashMap<String, postgres::Statement>,
    sql: &str,
) -> Result<postgres::Statement, DbError> {
    if let Some(statement) = statements.get(sql) {
        return Ok(statement.clone());
    }
    let statement = transaction.prepare(sql)?;
    statements.insert(sql.to_owned(), statement.clone());
    Ok(statement)
}

fn postgres_row(row: &postgres::Row) -> Result<Row, DbError> {
    let value = |(at, column): (usize, &postgres::Column)| -> Result<Val, DbError> {
        Ok(match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(at)?.into(),
            Type::INT4 => row.try_get::<_, Option<i32>>(at)?.map(i64::from).into(),
            _ => row.try_get::<_, Option<String>>(at)?.into(),
        })
    };
    Ok(Row(row.columns().iter().enumerate().map(value).collect::<Result<_, _>>()?))
}

impl ToSql for Val {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut postgres::types::private::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Val::Null => Ok(IsNull::Yes),
            Val::Int(value) if *ty == Type::INT4 => i32::try_from(*value)?.to_sql(ty, out),
            Val::Int(value) => value.to_sql(ty, out),
            Val::Text(value) => value.to_sql(ty, out),
            Val::List(values) => values.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// One column of a bulk write as PostgreSQL takes it.
enum Array {
    Text(Vec<Option<String>>),
    Int(Vec<Option<i64>>),
}

impl Array {
    fn of(column: Column, rows: &[Vec<Val>], at: usize) -> Array {
        match column {
            Column::Text => {
                Array::Text(rows.iter().map(|row| Row(vec![row[at].clone()]).opt_text(0).map(str::to_owned)).collect())
            }
            Column::Int => Array::Int(rows.iter().map(|row| Row(vec![row[at].clone()]).opt_int(0)).collect()),
        }
    }

    fn value(&self) -> &(dyn ToSql + Sync) {
        match self {
            Array::Text(values) => values,
            Array::Int(values) => values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags of `.cargo/config.toml`: without them nothing breaks, and every connection waits for the others.
    #[test]
    fn sqlite_is_built_with_a_cache_for_each_connection() {
        let Ok(Conn::Sqlite(connection)) = Conn::open(&Place::SqliteMemory) else { panic!("SQLite in memory") };
        let mut statement = connection.prepare("pragma compile_options").expect("a pragma");
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        let options: Vec<String> = rows.collect::<Result<_, _>>().expect("texts");
        assert!(options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0"), "{options:?}");
        assert!(!options.iter().any(|option| option == "ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
    }

    #[test]
    fn placeholders_and_lists_are_rewritten_for_sqlite() {
        let text = for_sqlite("select a from t where b = any($2) and c = $1 and d = any($3)");
        let list = |n| format!("in (select value from json_each(?{n}))");
        assert_eq!(text, format!("select a from t where b {} and c = ?1 and d {}", list(2), list(3)));
    }
}
