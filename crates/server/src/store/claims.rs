//! The rows that orders share and claim: idempotency keys, deposit addresses, counters, stock counts, codes.

use super::db::{Bulk, Column, DbError, Tx, Val};
use super::orders::read_id;
use domain::asset::ChainKind;
use domain::decide::{Idempotency, Replay};
use domain::fulfil::SealedGoods;
use domain::ids::{CodeId, OrderId, Sku};
use domain::limits::{Counter, CounterKey};
use domain::planted::{self, Bug};
use domain::time::Time;
use domain::validate::StockCount;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What stands under those (scope, key) pairs.
pub fn replays(tx: &mut Tx<'_>, keys: &[(String, String)]) -> Result<BTreeMap<(String, String), Replay>, DbError> {
    let row = |(scope, key): &(String, String)| vec![scope.as_str().into(), key.as_str().into()];
    let sql = "select scope, key, body_hash, order_id from idempotency, v where scope = v.c1 and key = v.c2";
    let rows = tx.with_rows(sql, Bulk { columns: &[Column::Text; 2], rows: keys.iter().map(row).collect() })?;
    let read = |row: &super::Row| {
        let replay = Replay { body_hash: row.text(2).to_owned(), order: read_id(row.text(3))? };
        Ok(((row.text(0).to_owned(), row.text(1).to_owned()), replay))
    };
    rows.iter().map(read).collect()
}

/// Remembers keys; one that stands already is a broken invariant, since it was looked up under the lock.
pub fn remember(tx: &mut Tx<'_>, rows: Vec<(Idempotency, OrderId)>, now: Time) -> Result<(), DbError> {
    let row = |(known, order): (Idempotency, OrderId)| -> Vec<Val> {
        vec![known.scope.into(), known.key.into(), known.body_hash.into(), order.expose().into(), now.0.into()]
    };
    let rows = rows.into_iter().map(row).collect();
    let columns = &[Column::Text, Column::Text, Column::Text, Column::Text, Column::Int];
    tx.insert_all("idempotency (scope, key, body_hash, order_id, at_ms)", "", Bulk { columns, rows })?;
    Ok(())
}

/// The word of an address family in the database.
pub fn family(kind: ChainKind) -> &'static str {
    match kind {
        ChainKind::Evm => "evm",
        ChainKind::Svm => "svm",
    }
}

/// Addresses of the pool that nobody owns, in the order of their index.
pub fn free_addresses(tx: &mut Tx<'_>, kind: ChainKind, limit: i64) -> Result<VecDeque<String>, DbError> {
    let sql = "select address from addresses where family = $1 and owner is null order by idx limit $2";
    let rows = tx.query(sql, &[family(kind).into(), limit.into()])?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

/// Gives addresses their one owner.
pub fn own_addresses(tx: &mut Tx<'_>, rows: Vec<(String, OrderId)>) -> Result<(), DbError> {
    let count = rows.len();
    let rows = rows.into_iter().map(|(address, order)| vec![address.into(), order.expose().into()]).collect();
    let sql = "update addresses set owner = v.c2 from v where addresses.address = v.c1 and addresses.owner is null returning addresses.address";
    let owned = tx.with_rows(sql, Bulk { columns: &[Column::Text; 2], rows })?;
    all_written("addresses", owned.len(), count)
}

/// Appends addresses to a pool, after those it has.
pub fn add_addresses(tx: &mut Tx<'_>, kind: ChainKind, addresses: &[String]) -> Result<(), DbError> {
    let next = next_index(tx, kind)?;
    let row =
        |(at, address): (usize, &String)| vec![family(kind).into(), (next + at as i64).into(), address.as_str().into()];
    let rows = addresses.iter().enumerate().map(row).collect();
    let columns = &[Column::Text, Column::Int, Column::Text];
    tx.insert_all("addresses (family, idx, address)", "", Bulk { columns, rows })?;
    Ok(())
}

/// (free, next index) of a pool.
pub fn pool_size(tx: &mut Tx<'_>, kind: ChainKind) -> Result<(i64, i64), DbError> {
    let sql = "select count(*) from addresses where family = $1 and owner is null";
    let free = tx.query_one(sql, &[family(kind).into()])?.map_or(0, |row| row.int(0));
    Ok((free, next_index(tx, kind)?))
}

/// The index that the next address of a pool gets.
pub fn next_index(tx: &mut Tx<'_>, kind: ChainKind) -> Result<i64, DbError> {
    let sql = "select coalesce(max(idx), -1) + 1 from addresses where family = $1";
    Ok(tx.query_one(sql, &[family(kind).into()])?.map_or(0, |row| row.int(0)))
}

/// How many addresses of a pool are free, but no more than `limit`: a large pool is not counted each second.
pub fn free_up_to(tx: &mut Tx<'_>, kind: ChainKind, limit: i64) -> Result<i64, DbError> {
    let sql = "select count(*) from (select idx from addresses where family = $1 and owner is null limit $2) as free";
    Ok(tx.query_one(sql, &[family(kind).into(), limit.into()])?.map_or(0, |row| row.int(0)))
}

/// What a pool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolCounts {
    pub free: i64,
    /// Owned by orders.
    pub given: i64,
    /// Never to be given: skipped by a restore, or retired.
    pub set_aside: i64,
    /// The index that the next address gets.
    pub next: i64,
}

/// What a pool holds; counts the whole table.
pub fn pool_counts(tx: &mut Tx<'_>, kind: ChainKind) -> Result<PoolCounts, DbError> {
    let (free, next) = pool_size(tx, kind)?;
    let sql = "select count(*) from addresses where family = $1 and owner is not null \
        and substr(owner, 1, 8) <> 'skipped:'";
    let given = tx.query_one(sql, &[family(kind).into()])?.map_or(0, |row| row.int(0));
    let sql = "select count(*) from addresses where family = $1 and substr(owner, 1, 8) = 'skipped:' \
        and substr(address, 1, 8) <> 'skipped:'";
    let set_aside = tx.query_one(sql, &[family(kind).into()])?.map_or(0, |row| row.int(0));
    Ok(PoolCounts { free, given, set_aside, next })
}

/// An address of a pool, for comparison with the wallet that it is said to belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRow {
    pub index: i64,
    pub address: String,
    /// Given to an order, or free to be given; one that was set aside is neither.
    pub in_use: bool,
}

/// Addresses of a pool from an index on, in order. A place that a restore left out (epoch.rs) is none.
pub fn pool_rows(tx: &mut Tx<'_>, kind: ChainKind, from: i64, limit: i64) -> Result<Vec<PoolRow>, DbError> {
    let sql = "select idx, address, owner from addresses where family = $1 and idx >= $2 \
        and substr(address, 1, 8) <> 'skipped:' order by idx limit $3";
    let rows = tx.query(sql, &[family(kind).into(), from.into(), limit.into()])?;
    let read = |row: &super::Row| PoolRow {
        index: row.int(0),
        address: row.text(1).to_owned(),
        in_use: row.opt_text(2).is_none_or(|owner| !owner.starts_with("skipped:")),
    };
    Ok(rows.iter().map(read).collect())
}

/// The free address that is given next, and the one that is given last.
pub fn ends_of_pool(tx: &mut Tx<'_>, kind: ChainKind) -> Result<Vec<(i64, String)>, DbError> {
    let mut ends = Vec::new();
    for order in ["idx", "idx desc"] {
        let sql =
            format!("select idx, address from addresses where family = $1 and owner is null order by {order} limit 1");
        let row = tx.query_one(&sql, &[family(kind).into()])?;
        ends.extend(row.map(|row| (row.int(0), row.text(1).to_owned())));
    }
    Ok(ends)
}

/// Appends those of the addresses that no pool holds yet, in their order; answers how many.
pub fn add_unknown_addresses(tx: &mut Tx<'_>, kind: ChainKind, addresses: Vec<String>) -> Result<usize, DbError> {
    let sql = "select address from addresses where address = any($1)";
    let known = tx.query(sql, &[addresses.clone().into()])?;
    let known: BTreeSet<&str> = known.iter().map(|row| row.text(0)).collect();
    let unknown: Vec<String> = addresses.into_iter().filter(|address| !known.contains(address.as_str())).collect();
    add_addresses(tx, kind, &unknown)?;
    Ok(unknown.len())
}

/// Appends addresses to a pool that are watched and never given out; answers how many the pool did not hold yet.
pub fn add_set_aside(tx: &mut Tx<'_>, kind: ChainKind, addresses: &[String], reason: &str) -> Result<usize, DbError> {
    let (next, owner) = (next_index(tx, kind)?, format!("skipped:{reason}"));
    let row = |(at, address): (usize, &String)| {
        vec![family(kind).into(), (next + at as i64).into(), address.as_str().into(), owner.as_str().into()]
    };
    let rows = addresses.iter().enumerate().map(row).collect();
    let columns = &[Column::Text, Column::Int, Column::Text, Column::Text];
    let tail = "on conflict do nothing returning idx";
    Ok(tx.insert_all("addresses (family, idx, address, owner)", tail, Bulk { columns, rows })?.len())
}

/// Gives all free addresses of a pool an owner that is no order, so that none is given out; answers how many.
pub fn set_aside(tx: &mut Tx<'_>, kind: ChainKind, reason: &str) -> Result<u64, DbError> {
    let owner = format!("skipped:{reason}");
    let sql = "update addresses set owner = $1 where family = $2 and owner is null";
    tx.execute(sql, &[owner.into(), family(kind).into()])
}

/// Those of `addresses` that are in a pool, whoever owns them.
pub fn pool_addresses(tx: &mut Tx<'_>, addresses: Vec<String>) -> Result<BTreeSet<String>, DbError> {
    let rows = tx.query("select address from addresses where address = any($1)", &[addresses.into()])?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

/// Which order owns each of those addresses. One that a new epoch skipped (epoch.rs) belongs to no order: money that comes
/// there is a fact all the same, and must not stop its network.
pub fn address_owners(tx: &mut Tx<'_>, addresses: Vec<String>) -> Result<BTreeMap<String, OrderId>, DbError> {
    let sql = "select address, owner from addresses where address = any($1) and owner is not null \
        and substr(owner, 1, 8) <> 'skipped:'";
    let rows = tx.query(sql, &[addresses.into()])?;
    rows.iter().map(|row| Ok((row.text(0).to_owned(), read_id(row.text(1))?))).collect()
}

/// The counters of those keys that exist.
pub fn counters(tx: &mut Tx<'_>, keys: &[CounterKey]) -> Result<BTreeMap<CounterKey, Counter>, DbError> {
    use Column::Text;
    let row =
        |key: &CounterKey| vec![key.rule.as_str().into(), key.subject.as_str().into(), key.period.as_str().into()];
    // One look into the index per key. Three lists would make the database try every combination of their members.
    let sql = "select rule, subject, period, held, used from counters, v where rule = v.c1 and subject = v.c2 and period = v.c3";
    let rows = tx.with_rows(sql, Bulk { columns: &[Text, Text, Text], rows: keys.iter().map(row).collect() })?;
    let read = |row: &super::Row| {
        let text = |at| row.text(at).to_owned();
        (
            CounterKey { rule: text(0), subject: text(1), period: text(2) },
            Counter { held: row.int(3), used: row.int(4) },
        )
    };
    Ok(rows.iter().map(read).collect())
}

/// Writes counters as they are after the batch.
pub fn write_counters(tx: &mut Tx<'_>, rows: Vec<(CounterKey, Counter)>) -> Result<(), DbError> {
    let row = |(key, counter): (CounterKey, Counter)| -> Vec<Val> {
        vec![key.rule.into(), key.subject.into(), key.period.into(), counter.held.into(), counter.used.into()]
    };
    let rows = rows.into_iter().map(row).collect();
    let columns = &[Column::Text, Column::Text, Column::Text, Column::Int, Column::Int];
    let tail = "on conflict (rule, subject, period) do update set held = excluded.held, used = excluded.used";
    tx.insert_all("counters (rule, subject, period, held, used)", tail, Bulk { columns, rows })?;
    Ok(())
}

/// Stock counts of those SKUs; one without a row has nothing in stock.
pub fn stock(tx: &mut Tx<'_>, skus: &[Sku]) -> Result<BTreeMap<Sku, StockCount>, DbError> {
    if skus.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<String> = skus.iter().map(|sku| sku.to_string()).collect();
    let rows = tx.query("select sku, free, held from stock where sku = any($1)", &[names.into()])?;
    Ok(rows.iter().map(|row| (Sku::new(row.text(0)), StockCount { free: row.int(1), held: row.int(2) })).collect())
}

/// Writes stock counts as they are after the batch.
pub fn write_stock(tx: &mut Tx<'_>, rows: Vec<(Sku, StockCount)>) -> Result<(), DbError> {
    let row = |(sku, count): (Sku, StockCount)| vec![sku.as_str().into(), count.free.into(), count.held.into()];
    let rows = rows.into_iter().map(row).collect();
    let columns = &[Column::Text, Column::Int, Column::Int];
    let tail = "on conflict (sku) do update set free = excluded.free, held = excluded.held";
    tx.insert_all("stock (sku, free, held)", tail, Bulk { columns, rows })?;
    Ok(())
}

/// Up to `limit` codes of each SKU that nobody owns and that are good on that day (`YYYY-MM-DD`).
pub fn free_codes(
    tx: &mut Tx<'_>,
    wanted: &BTreeMap<Sku, i64>,
    day: &str,
) -> Result<BTreeMap<Sku, VecDeque<CodeId>>, DbError> {
    let free = if planted::is(Bug::OwnerUnchecked) { "" } else { "and owner is null" };
    let sql = format!(
        "select id from codes where sku = $1 {free} and state = 'ready' \
        and (expires_on is null or expires_on >= $2) order by id limit $3"
    );
    let mut found = BTreeMap::new();
    for (sku, limit) in wanted {
        let rows = tx.query(&sql, &[sku.as_str().into(), day.into(), (*limit).into()])?;
        found.insert(sku.clone(), rows.iter().map(|row| CodeId::new(row.text(0))).collect());
    }
    Ok(found)
}

/// The owner column of a line.
pub fn owner(order: OrderId, line: u32) -> String {
    format!("{}:{line}", order.expose())
}

/// Gives codes their one owner; a code that has one already is a broken invariant.
pub fn take_codes(tx: &mut Tx<'_>, rows: Vec<(CodeId, OrderId, u32)>) -> Result<(), DbError> {
    let count = rows.len();
    let rows =
        rows.into_iter().map(|(code, order, line)| vec![code.as_str().into(), owner(order, line).into()]).collect();
    let free = if planted::is(Bug::OwnerUnchecked) { "" } else { "and codes.owner is null" };
    let sql = format!("update codes set owner = v.c2 from v where codes.id = v.c1 {free} returning codes.id");
    let taken = tx.with_rows(&sql, Bulk { columns: &[Column::Text; 2], rows })?;
    all_written("codes", taken.len(), count)
}

/// Keeps codes that suppliers delivered, owned from the start.
pub fn keep_goods(tx: &mut Tx<'_>, rows: Vec<(Sku, SealedGoods, OrderId, u32)>, now: Time) -> Result<(), DbError> {
    let row = |(sku, goods, order, line): (Sku, SealedGoods, OrderId, u32)| -> Vec<Val> {
        let owner = owner(order, line);
        vec![
            goods.code.as_str().into(),
            sku.as_str().into(),
            goods.sealed.into(),
            "ready".into(),
            owner.into(),
            now.0.into(),
        ]
    };
    let rows = rows.into_iter().map(row).collect();
    let columns = &[Column::Text, Column::Text, Column::Text, Column::Text, Column::Text, Column::Int];
    tx.insert_all("codes (id, sku, sealed, state, owner, added_at_ms)", "", Bulk { columns, rows })?;
    Ok(())
}

fn all_written(what: &str, written: usize, wanted: usize) -> Result<(), DbError> {
    if written == wanted {
        return Ok(());
    }
    Err(DbError::Invariant(format!("{} of {wanted} {what} had an owner already", wanted - written)))
}
