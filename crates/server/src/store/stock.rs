//! The operator's own codes: importing, counting, reading one for its order.

use super::db::{Bulk, Column, DbError, Tx};
use domain::ids::{CodeId, Sku};
use domain::time::Time;
use domain::validate::StockCount;
use std::collections::{BTreeMap, BTreeSet};

/// A code ready to be kept: sealed, with the fingerprint that refuses its twin.
pub struct NewCode {
    pub id: CodeId,
    pub sku: Sku,
    pub sealed: String,
    pub fingerprint: String,
    pub expires_on: Option<String>,
}

/// Fingerprints of those that are in stock already, sold or not.
pub fn known_fingerprints(tx: &mut Tx<'_>, fingerprints: Vec<String>) -> Result<BTreeSet<String>, DbError> {
    let rows = tx.query("select fingerprint from codes where fingerprint = any($1)", &[fingerprints.into()])?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

/// Adds codes and raises the counts of their SKUs.
pub fn add(tx: &mut Tx<'_>, codes: Vec<NewCode>, now: Time) -> Result<(), DbError> {
    use Column::{Int, Text};
    let mut added = BTreeMap::<Sku, i64>::new();
    let mut rows = Vec::with_capacity(codes.len());
    for code in codes {
        *added.entry(code.sku.clone()).or_default() += 1;
        rows.push(vec![
            code.id.as_str().into(),
            code.sku.as_str().into(),
            code.sealed.into(),
            code.fingerprint.into(),
            "ready".into(),
            code.expires_on.into(),
            now.0.into(),
        ]);
    }
    let columns = &[Text, Text, Text, Text, Text, Text, Int];
    let target = "codes (id, sku, sealed, fingerprint, state, expires_on, added_at_ms)";
    tx.insert_all(target, "", Bulk { columns, rows })?;
    let rows = added.into_iter().map(|(sku, count)| vec![sku.as_str().into(), count.into(), 0.into()]).collect();
    let tail = "on conflict (sku) do update set free = stock.free + excluded.free";
    tx.insert_all("stock (sku, free, held)", tail, Bulk { columns: &[Text, Int, Int], rows })?;
    Ok(())
}

/// Whether a code lies on the shelf whose last day was before that day (`YYYY-MM-DD`), or off it though it is good: a
/// clock that ran ahead had it taken off.
pub fn is_misplaced(tx: &mut Tx<'_>, day: &str) -> Result<bool, DbError> {
    let sql = "select id from codes where owner is null and expires_on is not null \
        and ((state = 'ready' and expires_on < $1) or (state = 'expired' and expires_on >= $1)) limit 1";
    Ok(tx.query_one(sql, &[day.into()])?.is_some())
}

/// Takes codes off the shelf whose last day was before that day (`YYYY-MM-DD`), and puts back those that are good;
/// answers how many fewer of each SKU are for sale. The log is locked first: the counts belong to whoever holds it.
pub fn retire_expired(tx: &mut Tx<'_>, day: &str, now: Time) -> Result<BTreeMap<Sku, i64>, DbError> {
    super::head::lock(tx, now)?;
    let off = "update codes set state = 'expired' \
        where owner is null and state = 'ready' and expires_on < $1 returning sku";
    let back = "update codes set state = 'ready' \
        where owner is null and state = 'expired' and expires_on >= $1 returning sku";
    let mut retired = BTreeMap::<Sku, i64>::new();
    for (sql, fewer) in [(off, 1), (back, -1)] {
        for row in tx.query(sql, &[day.into()])? {
            *retired.entry(Sku::new(row.text(0))).or_default() += fewer;
        }
    }
    let rows = retired.iter().map(|(sku, count)| vec![sku.as_str().into(), (*count).into()]).collect();
    let sql = "update stock set free = stock.free - v.c2 from v where stock.sku = v.c1";
    tx.with_rows(sql, Bulk { columns: &[Column::Text, Column::Int], rows })?;
    Ok(retired)
}

/// All counts, by SKU.
pub fn counts(tx: &mut Tx<'_>) -> Result<BTreeMap<Sku, StockCount>, DbError> {
    let rows = tx.query("select sku, free, held from stock order by sku", &[])?;
    Ok(rows.iter().map(|row| (Sku::new(row.text(0)), StockCount { free: row.int(1), held: row.int(2) })).collect())
}

/// The sealed code that a line owns.
pub fn sealed_of(tx: &mut Tx<'_>, owners: Vec<String>) -> Result<BTreeMap<String, (CodeId, String)>, DbError> {
    let rows = tx.query("select owner, id, sealed from codes where owner = any($1)", &[owners.into()])?;
    Ok(rows.iter().map(|row| (row.text(0).to_owned(), (CodeId::new(row.text(1)), row.text(2).to_owned()))).collect())
}

/// Codes sealed under another key than `active`, for rotation.
pub fn sealed_by_older_keys(tx: &mut Tx<'_>, active: &str, limit: i64) -> Result<Vec<(CodeId, String)>, DbError> {
    let prefix = format!("{active}.");
    let sql = "select id, sealed from codes where substr(sealed, 1, $1) <> $2 order by id limit $3";
    let rows = tx.query(sql, &[(prefix.len() as i64).into(), prefix.into(), limit.into()])?;
    Ok(rows.iter().map(|row| (CodeId::new(row.text(0)), row.text(1).to_owned())).collect())
}

/// Writes codes as they are sealed now.
pub fn reseal(tx: &mut Tx<'_>, rows: Vec<(CodeId, String)>) -> Result<(), DbError> {
    let rows = rows.into_iter().map(|(id, sealed)| vec![id.as_str().into(), sealed.into()]).collect();
    tx.with_rows(
        "update codes set sealed = v.c2 from v where codes.id = v.c1",
        Bulk { columns: &[Column::Text; 2], rows },
    )?;
    Ok(())
}
