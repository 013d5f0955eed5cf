//! The peer of order creation on SQLite: the rows that creating a run's orders wrote, inserted by prepared statements
//! into a fresh database with nobody waiting, so many orders per commit.
//!
//! The same schema, indexes and settings as the product's, through the product's own connection; but nothing is decided,
//! read or answered. What is left is what the disk and the b-trees cost.

use crate::timing::micros;
use anyhow::{Context, bail, ensure};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, Statement};
use serde_json::{Value, json};
use server::store::{Conn, Place};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Args)]
pub struct RowsArgs {
    /// The database of the run; its server has ended.
    #[arg(long)]
    database: PathBuf,
    /// A database that does not exist yet.
    #[arg(long)]
    scratch: PathBuf,
    /// Take the rows of so many orders at most, the oldest first.
    #[arg(long)]
    most_orders: i64,
    #[arg(long)]
    per_commit: usize,
}

/// A table that creating an order writes to.
struct Table {
    /// The rows of the oldest orders up to number `?1`, each behind its order's number, in the order of those.
    select: &'static str,
    insert: &'static str,
}

/// In the order in which a commit writes them.
const TABLES: [Table; 6] = [
    Table {
        select: "select no, id, no, version, prior_version, state, hold, partner, placed_at_ms, updated_at_ms, body \
            from orders where no <= ?1 order by no",
        insert: "insert into orders (id, no, version, prior_version, state, hold, partner, placed_at_ms, \
            updated_at_ms, body) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    },
    Table {
        select: "select orders.no, seq, order_id, events.version, at_ms, kind, events.body from events \
            join orders on orders.id = order_id where orders.no <= ?1 order by orders.no, events.version",
        insert: "insert into events (seq, order_id, version, at_ms, kind, body) values (?1, ?2, ?3, ?4, ?5, ?6)",
    },
    Table {
        select: "select orders.no, order_id, slot, what, argument, due_at_ms from steps \
            join orders on orders.id = order_id where orders.no <= ?1 order by orders.no",
        insert: "insert into steps (order_id, slot, what, argument, due_at_ms) values (?1, ?2, ?3, ?4, ?5)",
    },
    Table {
        select: "select orders.no, order_id, key, personal.body from personal \
            join orders on orders.id = order_id where orders.no <= ?1 order by orders.no",
        insert: "insert into personal (order_id, key, body) values (?1, ?2, ?3)",
    },
    Table {
        select: "select orders.no, scope, key, body_hash, order_id, at_ms from idempotency \
            join orders on orders.id = order_id where orders.no <= ?1 order by orders.no",
        insert: "insert into idempotency (scope, key, body_hash, order_id, at_ms) values (?1, ?2, ?3, ?4, ?5)",
    },
    Table {
        select: "select orders.no, address, owner from addresses \
            join orders on orders.id = owner where orders.no <= ?1 order by orders.no",
        insert: "update addresses set owner = ?2 where address = ?1 and owner is null",
    },
];

/// What every commit of the product writes once, whatever its size.
const COUNTER: &str = "insert into counters (rule, subject, period, held, used) values (?1, ?2, ?3, ?4, ?5) \
    on conflict (rule, subject, period) do update set held = excluded.held, used = excluded.used";
const HEAD: &str = "update log_head set next_seq = ?1, next_no = ?2, last_at_ms = ?3 where id = 1";
const COMMITTER: &str = "insert into committers (process, batch) values ('bench', ?1) \
    on conflict (process) do update set batch = excluded.batch";

/// A row of some table, and the number of its order.
struct Line {
    no: i64,
    cells: Vec<Cell>,
}

/// Everything that the timed part needs, in memory.
struct Run {
    /// Numbers of the orders, ascending.
    orders: Vec<i64>,
    tables: Vec<Vec<Line>>,
    counters: Vec<Vec<Cell>>,
}

pub fn run(arguments: &RowsArgs) -> anyhow::Result<Value> {
    ensure!(arguments.per_commit > 0, "--per-commit must be 1 or more");
    ensure!(!arguments.scratch.exists(), "{} exists already", arguments.scratch.display());
    let run = read_run(&open(&arguments.database)?, arguments.most_orders)?;
    let fresh = fresh_database(&arguments.scratch, &arguments.database)?;
    let start = Instant::now();
    insert(&fresh, &run, arguments.per_commit)?;
    let elapsed_us = micros(start.elapsed());
    let written: i64 = fresh.query_row("select count(*) from orders", [], |row| row.get(0))?;
    ensure!(written == run.orders.len() as i64, "only {written} orders were written");
    Ok(json!({ "orders": written, "elapsed_us": elapsed_us }))
}

/// A connection with the product's own settings.
fn open(path: &Path) -> anyhow::Result<Connection> {
    let mut opened =
        Conn::open(&Place::SqliteFile(path.to_owned())).with_context(|| format!("cannot open {}", path.display()))?;
    opened.prepare_to_commit().context("cannot set up the connection")?;
    match opened {
        Conn::Sqlite(connection) => Ok(connection),
        Conn::Postgres { .. } => bail!("{} is not a file of SQLite", path.display()),
    }
}

fn read_run(database: &Connection, most_orders: i64) -> anyhow::Result<Run> {
    let mut numbers = database.prepare("select no from orders order by no limit ?1")?;
    let orders: Vec<i64> = numbers.query_map([most_orders], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let last = *orders.last().context("the run created no orders")?;
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        let lines = read_rows(database, table.select, last)?;
        ensure!(lines.len() >= orders.len(), "the run's orders left too few rows for: {}", table.insert);
        let lines = lines.into_iter().map(|mut cells| match cells.remove(0) {
            Cell::Integer(no) => Ok(Line { no, cells }),
            other => bail!("an order's number is {other:?}"),
        });
        tables.push(lines.collect::<anyhow::Result<_>>()?);
    }
    let counters = "select rule, subject, period, held, used from counters where ?1 > 0";
    Ok(Run { orders, tables, counters: read_rows(database, counters, last)? })
}

fn read_rows(database: &Connection, select: &str, last: i64) -> anyhow::Result<Vec<Vec<Cell>>> {
    let mut statement = database.prepare(select)?;
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect::<Result<Vec<Cell>, _>>();
    let rows = statement.query_map([last], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The product's schema with the run's pool of addresses, all of them free again.
fn fresh_database(path: &Path, of_run: &Path) -> anyhow::Result<Connection> {
    let mut conn = Conn::open(&Place::SqliteFile(path.to_owned())).context("cannot make the scratch database")?;
    conn.migrate().context("cannot make the tables of the scratch database")?;
    conn.prepare_to_commit().context("cannot set up the scratch database")?;
    let Conn::Sqlite(connection) = conn else { bail!("a file is always SQLite's") };
    let of_run = of_run.to_str().context("the path of the run's database is not UTF-8")?;
    connection.execute("attach database ?1 as run", [of_run])?;
    connection.execute_batch(
        "insert into addresses (family, idx, address) select family, idx, address from run.addresses; \
         detach database run; pragma wal_checkpoint(truncate);",
    )?;
    Ok(connection)
}

fn insert(database: &Connection, run: &Run, per_commit: usize) -> anyhow::Result<()> {
    let mut inserts = TABLES.iter().map(|table| database.prepare(table.insert)).collect::<Result<Vec<_>, _>>()?;
    let (mut counter, mut head) = (database.prepare(COUNTER)?, database.prepare(HEAD)?);
    let mut committer = database.prepare(COMMITTER)?;
    let (mut begin, mut commit) = (database.prepare("begin immediate")?, database.prepare("commit")?);
    let mut left: Vec<&[Line]> = run.tables.iter().map(Vec::as_slice).collect();
    for (batch, orders) in run.orders.chunks(per_commit).enumerate() {
        let last = *orders.last().context("a chunk is never empty")?;
        begin.raw_execute()?;
        for (statement, lines) in inserts.iter_mut().zip(&mut left) {
            let (now, later) = lines.split_at(lines.partition_point(|line| line.no <= last));
            *lines = later;
            for line in now {
                write(statement, &line.cells)?;
            }
        }
        for cells in &run.counters {
            write(&mut counter, cells)?;
        }
        write(&mut head, &[Cell::Integer(last), Cell::Integer(last + 1), Cell::Integer(last)])?;
        write(&mut committer, &[Cell::Integer(batch as i64)])?;
        commit.raw_execute()?;
    }
    Ok(())
}

fn write(statement: &mut Statement<'_>, cells: &[Cell]) -> anyhow::Result<()> {
    for (at, cell) in cells.iter().enumerate() {
        statement.raw_bind_parameter(at + 1, cell)?;
    }
    let changed = statement.raw_execute()?;
    ensure!(changed == 1, "a row was not written");
    Ok(())
}
