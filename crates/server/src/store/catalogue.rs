//! Imported catalogues, whole, newest last, and the logos that came with them.

use super::db::{DbError, Tx};
use domain::time::Time;

/// Files that are kept: orders carry what they need of the catalogue that they were priced with.
const KEPT: i64 = 20;

/// Keeps an imported catalogue file; it is in force from the commit on. The oldest beyond twenty are forgotten.
pub fn add(tx: &mut Tx<'_>, id: &str, body: &str, now: Time) -> Result<(), DbError> {
    let sql = "insert into catalogues (id, imported_at_ms, body) values ($1, $2, $3)";
    tx.execute(sql, &[id.into(), now.0.into(), body.into()])?;
    let old = "delete from catalogues where id not in \
        (select id from catalogues order by imported_at_ms desc, id desc limit $1)";
    tx.execute(old, &[KEPT.into()])?;
    Ok(())
}

/// The id of the catalogue in force.
pub fn newest_id(tx: &mut Tx<'_>) -> Result<Option<String>, DbError> {
    let row = tx.query_one("select id from catalogues order by imported_at_ms desc, id desc limit 1", &[])?;
    Ok(row.map(|row| row.text(0).to_owned()))
}

/// The file of that catalogue.
pub fn body(tx: &mut Tx<'_>, id: &str) -> Result<Option<String>, DbError> {
    Ok(tx.query_one("select body from catalogues where id = $1", &[id.into()])?.map(|row| row.text(0).to_owned()))
}

/// Keeps a brand's logo as uploaded, as base64url text.
pub fn set_logo(tx: &mut Tx<'_>, slug: &str, image: &str) -> Result<(), DbError> {
    let sql = "insert into logos (slug, body) values ($1, $2) on conflict (slug) do update set body = excluded.body";
    tx.execute(sql, &[slug.into(), image.into()])?;
    Ok(())
}

/// A brand's logo as it was uploaded, as base64url text; none means a letter mark.
pub fn logo(tx: &mut Tx<'_>, slug: &str) -> Result<Option<String>, DbError> {
    Ok(tx.query_one("select body from logos where slug = $1", &[slug.into()])?.map(|row| row.text(0).to_owned()))
}
