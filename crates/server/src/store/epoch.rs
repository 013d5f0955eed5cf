//! Copies of the database, and the new epoch that a restored copy begins.
//!
//! A copy is older than the world: since it was made, codes were sold, addresses given, order numbers used and goods
//! bought that it knows nothing of. So a restored shop must never give out by itself what may be gone: unsold codes are
//! quarantined until a person releases them, free addresses are skipped, and numbers jump, because our references at
//! suppliers and the ids of mails are made of them. Networks are scanned from where the copy's watcher stood, so that what a longer branch
//! took away since is noticed too. Which orders wait for a person is the caller's to say. Copying is for SQLite; a new epoch begins on either engine. Called by `kiosk backup`, `kiosk restore`
//! and `kiosk stock`.

use super::db::{Bulk, Column, Conn, DbError, Tx};
use super::{claims, head, looks, webhooks};
use domain::asset::ChainKind;
use domain::ids::Sku;
use domain::time::Time;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How far the numbers of orders and events (which receivers of webhooks remember) and the indices of pools jump: more than a shop uses between two backups, and small enough for two
/// thousand restores below the 2^31 children of one extended public key.
pub const JUMP: i64 = 1_000_000;

/// What began with a new epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    pub epoch: i64,
    /// The number that the next order gets.
    pub next_no: i64,
    /// Unsold codes that wait for their release.
    pub quarantined: u64,
    /// Addresses that will never be given.
    pub skipped: u64,
}

/// Copies a SQLite database, which others may be writing to, into the empty file `to`: one moment of it, without what was
/// deleted. The copy is checked, but not yet known to be on the disk. Neither path may be relative.
pub fn copy_database(from: &Path, to: &Path) -> Result<(), DbError> {
    let target = to.to_str().ok_or_else(|| DbError::Open(format!("{} is not UTF-8", to.display())))?;
    let source = open_existing(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    source.execute("vacuum into ?1", [target])?;
    check_copy(to)
}

/// Proves that a file is a whole database of kiosk, as far as SQLite can tell.
pub fn check_copy(path: &Path) -> Result<(), DbError> {
    let copy = open_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found: String = copy.query_row("pragma integrity_check", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(DbError::Open(format!("{} is damaged: {found}", path.display())));
    }
    // A file of another program has no such table, and an empty one no row.
    copy.query_row("select epoch from log_head where id = 1", [], |row| row.get::<_, i64>(0))?;
    Ok(())
}

fn open_existing(path: &Path, access: OpenFlags) -> Result<Connection, DbError> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// Closes a SQLite database so that its one file holds everything and can be moved.
pub fn close_whole(conn: Conn) -> Result<(), DbError> {
    let Conn::Sqlite(connection) = conn else {
        return Err(DbError::Open("only a SQLite database is one file".to_owned()));
    };
    let mode: String = connection.query_row("pragma journal_mode = delete", [], |row| row.get(0))?;
    if mode != "delete" {
        return Err(DbError::Open(format!("its write-ahead log could not be put away ({mode})")));
    }
    connection.close().map_err(|(_, error)| DbError::from(error))
}

/// Begins a new epoch. Runs in one transaction, while no server has this database open.
pub fn begin(tx: &mut Tx<'_>) -> Result<Begun, DbError> {
    let sql = "update log_head set epoch = epoch + 1, next_no = next_no + $1, next_seq = next_seq + $1 where id = 1 \
        returning epoch, next_no, last_at_ms";
    let head = tx.query_one(sql, &[JUMP.into()])?.ok_or(DbError::Corrupt { what: "head of the log" })?;
    let (epoch, next_no, copied_at) = (head.int(0), head.int(1), Time(head.int(2)));
    let sql = "update codes set state = 'quarantined' where owner is null and state = 'ready'";
    let quarantined = tx.execute(sql, &[])?;
    tx.execute("update stock set free = 0 where free <> 0", &[])?;
    // They were sent since, or it is too late for them.
    tx.execute("delete from deliveries", &[])?;
    tx.execute("update webhook_deliveries set state = 'given_up' where state = 'due'", &[])?;
    // An address that was deleted since must not hear of orders: a person opens those that are right.
    tx.execute("update webhook_endpoints set state = 'off' where state = 'on'", &[])?;
    let last = head::last_seq(tx)?;
    webhooks::look_on_from(tx, last)?;
    // What ended since must not come back to life: whoever was signed in signs in again.
    tx.execute("delete from sessions", &[])?;
    tx.execute("delete from letters", &[])?;
    // A secret that was shown since must not be shown again as a new one.
    let sql = "update logins set generation = generation + $1 where two_factor_at_ms is null and generation > 0";
    tx.execute(sql, &[JUMP.into()])?;
    let mut skipped = 0;
    for kind in [ChainKind::Evm, ChainKind::Svm] {
        skipped += skip_addresses(tx, kind, epoch, copied_at)?;
    }
    Ok(Begun { epoch, next_no, quarantined, skipped })
}

/// Gives all free addresses an owner that is no order, and lets the pool go on beyond those that may have been derived
/// since the copy was made.
fn skip_addresses(tx: &mut Tx<'_>, kind: ChainKind, epoch: i64, copied_at: Time) -> Result<u64, DbError> {
    let family = claims::family(kind);
    let owner = format!("skipped:{epoch}");
    let skipped = claims::set_aside(tx, kind, &epoch.to_string())?;
    if looks::is_looked_at(kind) {
        looks::begin_set_aside(tx, &owner, copied_at)?;
    }
    let (_, next) = claims::pool_size(tx, kind)?;
    if next > 0 {
        // No address, only a place in the row: the next one to be derived follows the highest index.
        let marker = format!("{owner}:{family}");
        let sql = "insert into addresses (family, idx, address, owner) values ($1, $2, $3, $4)";
        tx.execute(sql, &[family.into(), (next - 1 + JUMP).into(), marker.into(), owner.into()])?;
    }
    Ok(skipped)
}

/// Codes that wait for their release, by SKU.
pub fn quarantined(tx: &mut Tx<'_>) -> Result<BTreeMap<Sku, i64>, DbError> {
    let sql = "select sku, count(*) from codes where state = 'quarantined' group by sku order by sku";
    Ok(tx.query(sql, &[])?.iter().map(|row| (Sku::new(row.text(0)), row.int(1))).collect())
}

/// Puts the quarantined codes of those SKUs back on sale; answers how many of each. The log is locked first: the counts
/// belong to whoever holds it.
pub fn release(tx: &mut Tx<'_>, skus: &[Sku], now: Time) -> Result<BTreeMap<Sku, i64>, DbError> {
    head::lock(tx, now)?;
    let released: BTreeMap<Sku, i64> = quarantined(tx)?.into_iter().filter(|(sku, _)| skus.contains(sku)).collect();
    let names: Vec<String> = released.keys().map(ToString::to_string).collect();
    tx.execute("update codes set state = 'ready' where state = 'quarantined' and sku = any($1)", &[names.into()])?;
    let rows = released.iter().map(|(sku, count)| vec![sku.as_str().into(), (*count).into(), 0.into()]).collect();
    let tail = "on conflict (sku) do update set free = stock.free + excluded.free";
    let columns = &[Column::Text, Column::Int, Column::Int];
    tx.insert_all("stock (sku, free, held)", tail, Bulk { columns, rows })?;
    Ok(released)
}
