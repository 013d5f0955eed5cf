//! The sandbox's books: simulated chains, the payments on them, and what the simulated supplier sold.
//!
//! A SQLite file of its own that the server and a second process (the command line) use at the same time; what an
//! answer says is on the disk before it is given. Must never hold a recipient, and is never a table of the shop's own
//! database: it plays the outside. Heights of a chain begin at 1. Blocks are named by what is in them, so that the same
//! history has the same hashes, and books that were lost and begun anew cannot be taken for the old ones.
//! Called by `network` and `supplier` beside it, and by whoever pays an order of the demo ([`Books::pay`]).

use crate::entropy::to_hex;
use crate::ports::{Answer, SimulatedChain, SimulatedPayment};
use domain::ids::TransferId;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most blocks that may carry a payment when it is made.
pub const MOST_CARRYING: u32 = 64;

/// How long one process waits for the other's commit.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// More than the number of statements of the sandbox, so that each is prepared once.
const STATEMENTS_KEPT: usize = 32;

/// `payments.height` is null once a reorganisation took the payment away. `purchases.goods` is null where nothing is
/// handed over: a top-up, a refusal, a lost purchase. `depth` and `state` are there for people who look into the file.
const TABLES: &str = "
create table if not exists chain (
    network text not null,
    height integer not null,
    hash text not null,
    parent text not null,
    primary key (network, height)
) without rowid;
create table if not exists payments (
    seq integer primary key,
    id text not null unique,
    network text not null,
    asset text not null,
    to_address text not null,
    units integer not null,
    raw text not null,
    block_at_ms integer not null,
    height integer
);
create index if not exists payments_by_block on payments (network, height);
create table if not exists pending_reorgs (
    network text not null,
    fork_height integer not null,
    depth integer not null,
    after_height integer not null,
    confirmations integer not null,
    primary key (network, fork_height)
) without rowid;
create table if not exists purchases (
    reference text not null primary key,
    supplier_sku text not null,
    beneficiary_outcome text not null,
    lookups integer not null,
    state text not null,
    goods text
);
create table if not exists payouts (
    reference text not null primary key,
    ending text not null,
    lookups integer not null,
    transaction_id text
);
";

/// The books, open.
pub struct Books {
    connection: Mutex<Connection>,
}

/// Why the books did not take or give something.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    #[error("the sandbox's books cannot be read or written; look at the file, its folder and the free space")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{path} does not allow write-ahead logging ({mode}); put the data directory on a local disk")]
    NoWriteAheadLog { path: String, mode: String },
    #[error("a payment is of 1 unit or more, not of {0}")]
    Units(i64),
    #[error("a payment of the sandbox has at most {max} confirmations, not {0}", max = MOST_CARRYING)]
    Confirmations(u32),
    #[error("a reorganisation of the sandbox takes 1 to {max} blocks away, not {0}", max = MOST_CARRYING)]
    Depth(u32),
    #[error("the purchase {reference} in the sandbox's books is damaged; delete its row, or begin new books")]
    Damaged { reference: String },
}

impl BooksError {
    /// The message and its causes, for a log.
    pub(super) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

fn check(payment: &SimulatedPayment) -> Result<(), BooksError> {
    if payment.units < 1 {
        return Err(BooksError::Units(payment.units));
    }
    if payment.confirmations > MOST_CARRYING {
        return Err(BooksError::Confirmations(payment.confirmations));
    }
    match payment.reorg {
        Some(depth) if !(1..=MOST_CARRYING).contains(&depth) => Err(BooksError::Depth(depth)),
        Some(_) | None => Ok(()),
    }
}

impl SimulatedChain for Books {
    fn pay<'a>(&'a self, payment: &'a SimulatedPayment) -> Answer<'a, Result<String, String>> {
        let paid = Books::pay(self, payment).map(|id| id.to_string()).map_err(|error| error.with_causes());
        Box::pin(std::future::ready(paid))
    }
}

impl Books {
    /// Opens the books, or begins them. Several processes may have them open.
    pub fn open(path: &Path) -> Result<Books, BooksError> {
        let connection = Connection::open(path)?;
        // First of all: the other process may be making the same tables at this moment.
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let mode: String = connection.query_row("pragma journal_mode = wal", [], |row| row.get(0))?;
        if mode != "wal" {
            let path = path.display().to_string();
            return Err(BooksError::NoWriteAheadLog { path, mode });
        }
        connection.execute_batch("pragma synchronous = full")?;
        Books::begin(connection)
    }

    /// Books that are gone with this value; for tests.
    pub fn in_memory() -> Result<Books, BooksError> {
        Books::begin(Connection::open_in_memory()?)
    }

    fn begin(connection: Connection) -> Result<Books, BooksError> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.execute_batch(TABLES)?;
        let connection = Mutex::new(connection);
        Ok(Books { connection })
    }

    /// Puts a payment into a new block, with empty blocks on top; it is on the disk when this answers. Each call pays
    /// once more. The id is `<network>|<transaction hash>|0`.
    pub fn pay(&self, payment: &SimulatedPayment) -> Result<TransferId, BooksError> {
        self.write(|books| put_on_chain(books, payment))
    }

    /// Runs `work` on one state of the books; it must not write.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, BooksError>) -> Result<T, BooksError> {
        self.transact(TransactionBehavior::Deferred, work)
    }

    /// Runs `work` alone among all processes: on the disk if it succeeds, undone if it does not.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Connection) -> Result<T, BooksError>) -> Result<T, BooksError> {
        self.transact(TransactionBehavior::Immediate, work)
    }

    fn transact<T>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Connection) -> Result<T, BooksError>,
    ) -> Result<T, BooksError> {
        // A panic elsewhere undid its transaction when it unwound, so the connection is as good as before.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(behavior)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }
}

/// Puts a payment into a new block within a transaction of the books.
pub(super) fn put_on_chain(books: &Connection, payment: &SimulatedPayment) -> Result<TransferId, BooksError> {
    check(payment)?;
    let network = payment.network.as_str();
    let confirmations = payment.confirmations.max(1);
    let below = tip_height(books, network)?;
    let id = insert_payment(books, payment, below + 1)?;
    let tip = below + i64::from(payment.reorg.unwrap_or(confirmations));
    mine(books, network, below, tip)?;
    if let Some(depth) = payment.reorg {
        let sql = "insert into pending_reorgs (network, fork_height, depth, after_height, confirmations) \
            values (?1, ?2, ?3, ?4, ?5)";
        books.prepare_cached(sql)?.execute(params![network, below, depth, tip, confirmations])?;
    }
    Ok(id)
}

/// The height of the newest block; 0 while there is none.
pub(super) fn tip_height(books: &Connection, network: &str) -> Result<i64, BooksError> {
    let sql = "select coalesce(max(height), 0) from chain where network = ?1";
    let height = books.prepare_cached(sql)?.query_row(params![network], |row| row.get(0))?;
    Ok(height)
}

/// The hash of the block that is on the chain at that height.
pub(super) fn hash_at(books: &Connection, network: &str, height: i64) -> Result<Option<String>, BooksError> {
    let sql = "select hash from chain where network = ?1 and height = ?2";
    let mut statement = books.prepare_cached(sql)?;
    let hash = statement.query_row(params![network, height], |row| row.get(0)).optional()?;
    Ok(hash)
}

/// Replaces every block above `keep_through` by new ones up to `through`. Payments stay at their height: one that was
/// put there earlier is mined again.
pub(super) fn mine(books: &Connection, network: &str, keep_through: i64, through: i64) -> Result<(), BooksError> {
    let mut orphan = books.prepare_cached("delete from chain where network = ?1 and height > ?2")?;
    let mut carried =
        books.prepare_cached("select id from payments where network = ?1 and height = ?2 order by seq")?;
    let mut insert =
        books.prepare_cached("insert into chain (network, height, hash, parent) values (?1, ?2, ?3, ?4)")?;
    orphan.execute(params![network, keep_through])?;
    let mut parent = hash_at(books, network, keep_through)?.unwrap_or_else(|| digest(&[network, "before the first"]));
    for height in keep_through + 1..=through {
        let ids = carried.query_map(params![network, height], |row| row.get::<_, String>(0))?;
        let ids = ids.collect::<Result<Vec<String>, rusqlite::Error>>()?;
        let hash = digest(&[network, &height.to_string(), &parent, &ids.join(" ")]);
        insert.execute(params![network, height, hash, parent])?;
        parent = hash;
    }
    Ok(())
}

fn insert_payment(books: &Connection, payment: &SimulatedPayment, height: i64) -> Result<TransferId, BooksError> {
    // Payments are never deleted: the number tells two equal payments apart, for ever.
    let mut newest = books.prepare_cached("select coalesce(max(seq), 0) + 1 from payments")?;
    let seq: i64 = newest.query_row([], |row| row.get(0))?;
    let (network, asset) = (payment.network.as_str(), payment.asset.as_str());
    let (units, block_at) = (payment.units, payment.block_at.0);
    let transaction = digest(&[
        network,
        &height.to_string(),
        &seq.to_string(),
        asset,
        &payment.to,
        &units.to_string(),
        &block_at.to_string(),
    ]);
    let id = format!("{network}|{transaction}|0");
    let sql = "insert into payments (seq, id, network, asset, to_address, units, raw, block_at_ms, height) \
        values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let row = params![seq, id, network, asset, payment.to, units, payment.raw, block_at, height];
    books.prepare_cached(sql)?.execute(row)?;
    Ok(TransferId::new(id))
}

/// SHA-256 of the fields, as hex. Their lengths are hashed too: `ab`, `c` is not `a`, `bc`.
fn digest(fields: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for field in fields {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    to_hex(hasher.finalize().as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{AssetId, NetworkId};
    use domain::time::Time;

    fn payment() -> SimulatedPayment {
        SimulatedPayment {
            network: NetworkId::new("sandbox:base"),
            asset: AssetId::new("sandbox:base/erc20:0xd0"),
            to: "0x1111".to_owned(),
            units: 25_000_000,
            raw: "25000000".to_owned(),
            block_at: Time(1_700_000_000_000),
            confirmations: 3,
            reorg: None,
        }
    }

    fn rows(books: &Books, table: &str) -> i64 {
        let sql = format!("select count(*) from {table}");
        let count = books.read(|books| Ok(books.query_row(&sql, [], |row| row.get(0))?));
        count.expect("the table is there")
    }

    #[test]
    fn a_payment_out_of_bounds_leaves_nothing_behind() {
        let with_units = |units| SimulatedPayment { units, ..payment() };
        let confirmed = |confirmations| SimulatedPayment { confirmations, ..payment() };
        let reorganised = |depth| SimulatedPayment { reorg: Some(depth), ..payment() };
        let books = Books::in_memory().expect("books in memory");
        let wrong = [
            (with_units(0), "not of 0"),
            (with_units(-1), "not of -1"),
            (confirmed(65), "at most 64 confirmations, not 65"),
            (reorganised(0), "1 to 64 blocks away, not 0"),
            (reorganised(65), "1 to 64 blocks away, not 65"),
        ];
        for (payment, expected) in wrong {
            let error = books.pay(&payment).expect_err("it is out of bounds").to_string();
            assert!(error.ends_with(expected), "{error}");
        }
        assert_eq!((rows(&books, "payments"), rows(&books, "chain")), (0, 0));
        for payment in [with_units(1), confirmed(0), confirmed(64), reorganised(1), reorganised(64)] {
            books.pay(&payment).expect("it is within bounds");
        }
        // 3, then 1 (0 counts as 1), then 64, then the depths 1 and 64.
        assert_eq!((rows(&books, "payments"), rows(&books, "chain")), (5, 133));
    }

    #[test]
    fn an_id_names_network_and_transaction_and_two_equal_payments_differ() {
        let books = Books::in_memory().expect("books in memory");
        let first = books.pay(&payment()).expect("paid");
        let second = books.pay(&payment()).expect("paid");
        assert_ne!(first, second);
        let parts: Vec<&str> = first.as_str().split('|').collect();
        assert_eq!((parts.len(), parts[0], parts[2]), (3, "sandbox:base", "0"));
        assert!(parts[1].len() == 64 && parts[1].bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
    }

    #[test]
    fn the_same_history_has_the_same_names_and_another_has_not() {
        let tip_after = |payment: &SimulatedPayment| {
            let books = Books::in_memory().expect("books in memory");
            let id = books.pay(payment).expect("paid");
            let tip = books.read(|books| hash_at(books, "sandbox:base", 3)).expect("readable");
            (id, tip.expect("three blocks were mined"))
        };
        assert_eq!(tip_after(&payment()), tip_after(&payment()));
        let other = SimulatedPayment { to: "0x2222".to_owned(), ..payment() };
        let (id, tip) = tip_after(&payment());
        let (other_id, other_tip) = tip_after(&other);
        assert!(id != other_id && tip != other_tip);
    }

    #[test]
    fn an_error_names_its_cause() {
        let missing = Path::new("/nowhere/at/all/sandbox.db");
        let Err(error) = Books::open(missing) else {
            panic!("the folder does not exist");
        };
        let text = error.with_causes();
        assert!(
            text.starts_with("the sandbox's books cannot be read or written") && text.contains("unable to open"),
            "{text}"
        );
    }
}
