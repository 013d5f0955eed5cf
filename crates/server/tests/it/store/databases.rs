//! Fresh databases for tests: SQLite in memory, SQLite in a file, and PostgreSQL where a server is given.
//!
//! `KIOSK_TEST_POSTGRES` is the URL of a throw-away server and its superuser. Every test makes a database of its own
//! there and drops it at its end. Without it that part is simply not run.
//!
//! These tests are plain functions, not async ones: the blocking client of PostgreSQL must not run inside of a runtime.

use crate::harness::{Folder, START};
use domain::time::Time;
use server::store::accounts::{Account, Role};
use server::store::{Access, Conn, DbError, Place, Row, Tx};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SERVER: &str = "KIOSK_TEST_POSTGRES";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SqliteInMemory,
    SqliteInFile,
    Postgres,
}

/// Runs `test` on a fresh database of each kind; what fails on one kind does not keep the others from being tried.
pub fn for_each_store(test: impl Fn(&mut Conn)) {
    run(&[Kind::SqliteInMemory, Kind::SqliteInFile, Kind::Postgres], |database| test(&mut database.open()));
}

/// The same for tests that need several connections: not in memory, where a database is its connection.
pub fn for_each_shared_store(test: impl Fn(&Database)) {
    run(&[Kind::SqliteInFile, Kind::Postgres], test);
}

fn run(kinds: &[Kind], test: impl Fn(&Database)) {
    let mut failed = Vec::new();
    for kind in kinds {
        let Some(database) = Database::new(*kind) else { continue };
        if catch_unwind(AssertUnwindSafe(|| test(&database))).is_err() {
            failed.push(*kind);
        }
    }
    assert!(failed.is_empty(), "it failed on {failed:?}; what went wrong stands above");
}

/// A database that ends with this value.
pub struct Database {
    pub place: Place,
    _folder: Option<Folder>,
    _on_server: Option<OnServer>,
}

impl Database {
    /// None where the kind needs a server and there is none.
    fn new(kind: Kind) -> Option<Database> {
        match kind {
            Kind::SqliteInMemory => Some(Database { place: Place::SqliteMemory, _folder: None, _on_server: None }),
            Kind::SqliteInFile => {
                let folder = Folder::new();
                let place = Place::SqliteFile(folder.0.join("kiosk.db"));
                Some(Database { place, _folder: Some(folder), _on_server: None })
            }
            Kind::Postgres => {
                let on_server = OnServer::create(&std::env::var(SERVER).ok()?);
                let place = Place::Postgres(on_server.url());
                Some(Database { place, _folder: None, _on_server: Some(on_server) })
            }
        }
    }

    /// A connection as the committer has it, with the schema brought up to date.
    pub fn open(&self) -> Conn {
        let mut conn = self.connect();
        conn.migrate().expect("the schema is brought up to date");
        conn
    }

    /// One more connection to a database that was opened before.
    pub fn connect(&self) -> Conn {
        let mut conn = Conn::open(&self.place).expect("the database is there");
        conn.prepare_to_commit().expect("a setting of the connection");
        conn
    }
}

/// A database on the server.
struct OnServer {
    server: String,
    name: String,
}

impl OnServer {
    fn create(server: &str) -> OnServer {
        // Test processes run side by side, and so do the tests of one process.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("kiosk_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let server = server.to_owned();
        on_server(&server, &format!("create database {name}")).expect("a new database on the server");
        OnServer { server, name }
    }

    /// The server's URL with this database in the place of the one it names.
    fn url(&self) -> String {
        let (address, options) = match self.server.split_once('?') {
            Some((address, options)) => (address, format!("?{options}")),
            None => (self.server.as_str(), String::new()),
        };
        let (scheme, rest) = address.split_once("://").expect("the server is named by a postgres:// URL");
        let host = rest.split('/').next().unwrap_or(rest);
        format!("{scheme}://{host}/{}{options}", self.name)
    }
}

impl Drop for OnServer {
    fn drop(&mut self) {
        // `force` ends the connections that a failed test, or a reader's thread, still holds.
        let dropped = on_server(&self.server, &format!("drop database {} with (force)", self.name));
        assert!(std::thread::panicking() || dropped.is_ok(), "the test's database stays: {dropped:?}");
    }
}

fn on_server(server: &str, sql: &str) -> Result<(), postgres::Error> {
    postgres::Client::connect(server, postgres::NoTls)?.batch_execute(sql)
}

/// Whether this is the engine with a clock, lock timeouts and signals of its own.
pub fn is_postgres(conn: &Conn) -> bool {
    matches!(conn, Conn::Postgres { .. })
}

/// Makes a connection give up at once where it would wait for another's lock.
pub fn lose_patience(conn: &mut Conn) {
    match conn {
        Conn::Sqlite(connection) => connection.busy_timeout(Duration::ZERO).expect("a time limit"),
        Conn::Postgres { client, .. } => client.batch_execute("set lock_timeout = '20ms'").expect("a time limit"),
    }
}

/// A time that the database takes: the test's own, or the server's where it has a clock.
pub fn now(conn: &mut Conn) -> Time {
    read(conn, |tx| tx.database_clock_ms()).map_or(START, Time)
}

/// Reads in a transaction.
pub fn read<T>(conn: &mut Conn, work: impl FnOnce(&mut Tx<'_>) -> Result<T, DbError>) -> T {
    conn.tx(Access::Read, work).expect("the database answers")
}

/// Writes in a transaction.
pub fn write<T>(conn: &mut Conn, work: impl FnOnce(&mut Tx<'_>) -> Result<T, DbError>) -> T {
    conn.tx(Access::Write, work).expect("the database takes it")
}

/// Writes what must be refused; answers why it was.
pub fn refused<T>(conn: &mut Conn, work: impl FnOnce(&mut Tx<'_>) -> Result<T, DbError>) -> DbError {
    match conn.tx(Access::Write, work) {
        Err(error) => error,
        Ok(_) => panic!("the database took what it must refuse"),
    }
}

/// Whether the database itself refused it, and would again: a broken unique rule, say.
pub fn is_lasting(error: &DbError) -> bool {
    matches!(error, DbError::Sqlite(_) | DbError::Postgres(_)) && !error.is_passing()
}

/// The tables that a batch of the engine writes, without `committers`: that one counts attempts.
const TABLES: [&str; 16] = [
    "log_head",
    "orders",
    "events",
    "ledger_transfers",
    "balances",
    "idempotency",
    "addresses",
    "counters",
    "stock",
    "codes",
    "personal",
    "steps",
    "chain_transfers",
    "affiliate_days",
    "refund_addresses",
    "assigned_transfers",
];

/// Every row of those tables, to be compared with what they are later.
pub fn everything(conn: &mut Conn) -> Vec<(&'static str, Vec<Row>)> {
    read(conn, |tx| TABLES.into_iter().map(|name| rows_of(tx, name)).collect())
}

fn rows_of(tx: &mut Tx<'_>, name: &'static str) -> Result<(&'static str, Vec<Row>), DbError> {
    let rows = tx.query(&format!("select * from {name} order by 1, 2"), &[])?;
    Ok((name, rows))
}

/// A customer's account of that id; in no database.
pub fn account(id: &str) -> Account {
    Account {
        id: id.to_owned(),
        role: Role::Customer,
        name: "n".to_owned(),
        token_hash: None,
        trust_from: None,
        active: true,
        created_at: START,
    }
}
