//! The extended public keys that the EVM pool was made with, index by index.
//!
//! Written down in the transaction that fills the pool, so that another key is refused even while no address is free; and
//! kept when a pool is retired, so that addresses of orders can be checked against the wallet that they belong to. Public
//! keys only: of receiving addresses (m/44'/60'/0'/0), whichever of the two the configuration names.

use crate::store::{DbError, Tx, claims, settings};
use domain::asset::ChainKind;

/// The key of the pool as it is filled now; empty after it was retired.
const CURRENT: &str = "pool_evm_key";
/// Those before, one on a line: the index at which its part of the pool ends, and the key.
const RETIRED: &str = "pool_evm_keys_retired";

/// A part of the pool that was made with an earlier key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The first index that is not its own.
    pub end: i64,
    pub key: String,
}

/// The key that the pool is filled with; none before it was filled, and after it was retired.
pub fn current(tx: &mut Tx<'_>) -> Result<Option<String>, DbError> {
    Ok(settings::get(tx, CURRENT)?.filter(|key| !key.is_empty()))
}

/// Notes the key that fills the pool. False, and nothing is written, if it is filled with another one.
pub fn note(tx: &mut Tx<'_>, key: &str) -> Result<bool, DbError> {
    match current(tx)? {
        Some(known) => Ok(known == key),
        None => settings::set(tx, CURRENT, key).map(|()| true),
    }
}

/// Earlier keys, oldest first.
pub fn retired(tx: &mut Tx<'_>) -> Result<Vec<Stretch>, DbError> {
    let text = settings::get(tx, RETIRED)?.unwrap_or_default();
    let read = |line: &str| {
        let (end, key) = line.split_once(' ')?;
        Some(Stretch { end: end.parse().ok()?, key: key.to_owned() })
    };
    text.lines().map(|line| read(line).ok_or(DbError::Corrupt { what: "list of retired keys" })).collect()
}

/// Ends the part of the pool that the key made which is noted, or else `configured`: the next address is another key's.
pub fn retire(tx: &mut Tx<'_>, configured: Option<&str>) -> Result<(), DbError> {
    let Some(key) = current(tx)?.or_else(|| configured.map(str::to_owned)) else { return Ok(()) };
    let end = claims::next_index(tx, ChainKind::Evm)?;
    let mut stretches = retired(tx)?;
    if stretches.last().map_or(0, |last| last.end) < end {
        stretches.push(Stretch { end, key });
        let lines = stretches.iter().map(|stretch| format!("{} {}", stretch.end, stretch.key));
        settings::set(tx, RETIRED, &lines.collect::<Vec<_>>().join("\n"))?;
    }
    settings::set(tx, CURRENT, "")
}
