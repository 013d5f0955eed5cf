//! When the addresses of a chain that must be asked for each of them are looked at, and what was last known of their
//! accounts.
//!
//! An address is looked at from the moment it is given away, for ever: what falls is only the frequency. Must never take
//! an address off the list. Called by the engine (`begin`), by a new epoch (`begin_set_aside`) and by the watcher.

use super::claims::family;
use super::db::{Bulk, Column, DbError, Tx};
use domain::asset::ChainKind;
use domain::chain::Memory;
use domain::ids::NetworkId;
use domain::time::{Span, Time};
use std::collections::BTreeMap;

/// For so long an address is found by when it was given. Its first look by a date of its own is due after that.
pub const FIRST_DAY: Span = Span::hours(24);

/// The families whose addresses are looked at one by one.
pub fn is_looked_at(kind: ChainKind) -> bool {
    match kind {
        ChainKind::Evm => false,
        ChainKind::Svm => true,
    }
}

/// An address that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedAt {
    pub index: i64,
    pub address: String,
    pub given_at: Time,
}

/// Addresses were given away: from now on they are looked at. Those of other families are left alone.
pub fn begin(tx: &mut Tx<'_>, addresses: Vec<String>, now: Time) -> Result<(), DbError> {
    if addresses.is_empty() {
        return Ok(());
    }
    let sql = "update addresses set given_at_ms = $1, look_at_ms = $2 where family = $3 and address = any($4)";
    let look_at = now + FIRST_DAY;
    tx.execute(sql, &[now.0.into(), look_at.0.into(), family(ChainKind::Svm).into(), addresses.into()])?;
    Ok(())
}

/// Addresses that a new epoch sets aside may have been given away since the copy was made: they are looked at, too. Nobody's
/// order waits for them, and there may be many: so their frequency is that of older ones from the start. `copied_at` is the
/// last moment that the copy knows of.
pub fn begin_set_aside(tx: &mut Tx<'_>, owner: &str, copied_at: Time) -> Result<u64, DbError> {
    let sql = "update addresses set given_at_ms = $1, look_at_ms = $2 where family = $3 and owner = $4";
    let given_at = copied_at - FIRST_DAY;
    tx.execute(sql, &[given_at.0.into(), copied_at.0.into(), family(ChainKind::Svm).into(), owner.into()])
}

/// Addresses of a family that were given after that place in time and pool, oldest first.
pub fn given_after(
    tx: &mut Tx<'_>,
    kind: ChainKind,
    given_at: Time,
    index: i64,
    limit: i64,
) -> Result<Vec<LookedAt>, DbError> {
    let sql = "select idx, address, given_at_ms from addresses where family = $1 and given_at_ms is not null \
        and (given_at_ms, idx) > ($2, $3) order by given_at_ms, idx limit $4";
    let rows = tx.query(sql, &[family(kind).into(), given_at.0.into(), index.into(), limit.into()])?;
    Ok(rows.iter().map(read).collect())
}

/// Addresses of a family whose look is due, the longest due first.
pub fn due(tx: &mut Tx<'_>, kind: ChainKind, at: Time, limit: i64) -> Result<Vec<LookedAt>, DbError> {
    let sql = "select idx, address, given_at_ms from addresses where family = $1 and look_at_ms is not null \
        and look_at_ms <= $2 order by look_at_ms, idx limit $3";
    let rows = tx.query(sql, &[family(kind).into(), at.0.into(), limit.into()])?;
    Ok(rows.iter().map(read).collect())
}

fn read(row: &super::Row) -> LookedAt {
    LookedAt { index: row.int(0), address: row.text(1).to_owned(), given_at: Time(row.int(2)) }
}

/// What was last said of those accounts.
pub fn marks(tx: &mut Tx<'_>, network: &NetworkId, accounts: Vec<String>) -> Result<BTreeMap<String, String>, DbError> {
    let sql = "select account, mark from account_marks where network = $1 and account = any($2)";
    let rows = tx.query(sql, &[network.as_str().into(), accounts.into()])?;
    Ok(rows.iter().map(|row| (row.text(0).to_owned(), row.text(1).to_owned())).collect())
}

/// Keeps what a scan wants to be remembered; in the commit that keeps its transfers.
pub fn remember(tx: &mut Tx<'_>, network: &NetworkId, memory: &Memory) -> Result<(), DbError> {
    let mark = |(account, mark): (&String, &String)| {
        vec![network.as_str().into(), account.as_str().into(), mark.as_str().into()]
    };
    let rows = memory.marks.iter().map(mark).collect();
    let tail = "on conflict (network, account) do update set mark = excluded.mark";
    tx.insert_all("account_marks (network, account, mark)", tail, Bulk { columns: &[Column::Text; 3], rows })?;
    let look = |(address, at): (&String, &Time)| vec![address.as_str().into(), at.0.into()];
    let rows = memory.next_looks.iter().map(look).collect();
    let sql = "update addresses set look_at_ms = v.c2 from v where addresses.address = v.c1";
    tx.with_rows(sql, Bulk { columns: &[Column::Text, Column::Int], rows })?;
    Ok(())
}
