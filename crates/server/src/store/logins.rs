//! What accounts sign in with, and the browsers that are signed in.
//!
//! An e-mail address stands here as a keyed hash and sealed, never plain; of a session's token there is a keyed hash alone.

use super::db::{Bulk, Column, DbError, Row, Tx};
use super::epoch;
use crate::secret::Secret;
use domain::time::Time;

/// What one account signs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub account: String,
    pub email_hash: String,
    pub email_sealed: String,
    /// As `passwords` writes it.
    pub password: Secret<String>,
    /// None: the address was never shown to be its owner's.
    pub confirmed_at: Option<Time>,
    /// None: no second factor is asked for.
    pub two_factor_at: Option<Time>,
    /// Which secret of the second factor is the one.
    pub generation: i64,
}

const COLUMNS: &str = "select logins.account, logins.email_hash, logins.email_sealed, logins.password, \
    logins.confirmed_at_ms, logins.two_factor_at_ms, logins.generation from logins";

/// Adds a login; false if the address has one, or the account.
pub fn add(tx: &mut Tx<'_>, login: &Login) -> Result<bool, DbError> {
    let sql = "insert into logins (account, email_hash, email_sealed, password, confirmed_at_ms, two_factor_at_ms, \
        generation, used_step) values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing";
    let values = [
        login.account.as_str().into(),
        login.email_hash.as_str().into(),
        login.email_sealed.as_str().into(),
        login.password.expose().as_str().into(),
        login.confirmed_at.map(|at| at.0).into(),
        login.two_factor_at.map(|at| at.0).into(),
        login.generation.into(),
        0.into(),
    ];
    Ok(tx.execute(sql, &values)? == 1)
}

/// The login of an address.
pub fn by_email(tx: &mut Tx<'_>, email_hash: &str) -> Result<Option<Login>, DbError> {
    let sql = format!("{COLUMNS} where email_hash = $1");
    Ok(tx.query_one(&sql, &[email_hash.into()])?.as_ref().map(read))
}

/// The login of an account; none where it has only keys or tokens.
pub fn of_account(tx: &mut Tx<'_>, account: &str) -> Result<Option<Login>, DbError> {
    let sql = format!("{COLUMNS} where account = $1");
    Ok(tx.query_one(&sql, &[account.into()])?.as_ref().map(read))
}

/// Sets another password.
pub fn set_password(tx: &mut Tx<'_>, account: &str, password: &Secret<String>) -> Result<(), DbError> {
    tx.execute(
        "update logins set password = $2 where account = $1",
        &[account.into(), password.expose().as_str().into()],
    )?;
    Ok(())
}

/// Notes that the address is its owner's; the first time stays.
pub fn confirm(tx: &mut Tx<'_>, account: &str, now: Time) -> Result<(), DbError> {
    let sql = "update logins set confirmed_at_ms = $2 where account = $1 and confirmed_at_ms is null";
    tx.execute(sql, &[account.into(), now.0.into()])?;
    Ok(())
}

/// Begins another secret of the second factor while it is off; answers its generation, none while it is on.
pub fn next_generation(tx: &mut Tx<'_>, account: &str) -> Result<Option<i64>, DbError> {
    let sql = "update logins set generation = generation + 1, used_step = 0 \
        where account = $1 and two_factor_at_ms is null returning generation";
    Ok(tx.query_one(sql, &[account.into()])?.map(|row| row.int(0)))
}

/// Asks for the second factor of that generation from now on, if it is the newest and none is asked for yet.
pub fn turn_on_two_factor(tx: &mut Tx<'_>, account: &str, generation: i64, now: Time) -> Result<bool, DbError> {
    let sql = "update logins set two_factor_at_ms = $3 \
        where account = $1 and generation = $2 and two_factor_at_ms is null";
    Ok(tx.execute(sql, &[account.into(), generation.into(), now.0.into()])? == 1)
}

/// Asks for a second factor no longer; false if none is asked for.
pub fn turn_off_two_factor(tx: &mut Tx<'_>, account: &str) -> Result<bool, DbError> {
    // Of a copy that was put back, later secrets may have been shown: the next one is none of them.
    let sql = "update logins set two_factor_at_ms = null, generation = generation + $2 \
        where account = $1 and two_factor_at_ms is not null";
    Ok(tx.execute(sql, &[account.into(), epoch::JUMP.into()])? == 1)
}

/// Takes a step's code; false if it, or a later one, was taken before.
pub fn claim_step(tx: &mut Tx<'_>, account: &str, step: i64) -> Result<bool, DbError> {
    let sql = "update logins set used_step = $2 where account = $1 and used_step < $2";
    Ok(tx.execute(sql, &[account.into(), step.into()])? == 1)
}

/// Addresses that an older key sealed: (account, as it is sealed).
pub fn sealed_by_older_keys(tx: &mut Tx<'_>, active: &str, limit: i64) -> Result<Vec<(String, String)>, DbError> {
    let prefix = format!("{active}.");
    let sql = "select account, email_sealed from logins where substr(email_sealed, 1, $1) <> $2 \
        order by account limit $3";
    let rows = tx.query(sql, &[(prefix.len() as i64).into(), prefix.into(), limit.into()])?;
    Ok(rows.iter().map(|row| (row.text(0).to_owned(), row.text(1).to_owned())).collect())
}

/// Writes addresses as they are sealed now: (account, as it was sealed, as it is sealed). One that changed since it was read
/// stays as it is.
pub fn reseal(tx: &mut Tx<'_>, rows: Vec<(String, String, String)>) -> Result<(), DbError> {
    let rows = rows.into_iter().map(|(account, old, new)| vec![account.into(), old.into(), new.into()]).collect();
    tx.with_rows(
        "update logins set email_sealed = v.c3 from v where logins.account = v.c1 and logins.email_sealed = v.c2",
        Bulk { columns: &[Column::Text; 3], rows },
    )?;
    Ok(())
}

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub hash: String,
    pub account: String,
    pub until: Time,
}

/// Begins a session.
pub fn begin_session(tx: &mut Tx<'_>, session: &Session) -> Result<(), DbError> {
    let sql = "insert into sessions (hash, account, until_ms) values ($1, $2, $3)";
    let values = [session.hash.as_str().into(), session.account.as_str().into(), session.until.0.into()];
    tx.execute(sql, &values)?;
    Ok(())
}

/// A session that has not run out, of an account that is in use.
pub fn session(tx: &mut Tx<'_>, hash: &str, now: Time) -> Result<Option<Session>, DbError> {
    let sql = "select sessions.hash, sessions.account, sessions.until_ms from sessions \
        join accounts on accounts.id = sessions.account \
        where sessions.hash = $1 and sessions.until_ms > $2 and accounts.active = 1";
    let row = tx.query_one(sql, &[hash.into(), now.0.into()])?;
    let read =
        |row: Row| Session { hash: row.text(0).to_owned(), account: row.text(1).to_owned(), until: Time(row.int(2)) };
    Ok(row.map(read))
}

/// Lets a session last until then.
pub fn prolong_session(tx: &mut Tx<'_>, hash: &str, until: Time) -> Result<(), DbError> {
    tx.execute("update sessions set until_ms = $2 where hash = $1", &[hash.into(), until.0.into()])?;
    Ok(())
}

/// Ends a session.
pub fn end_session(tx: &mut Tx<'_>, hash: &str) -> Result<(), DbError> {
    tx.execute("delete from sessions where hash = $1", &[hash.into()])?;
    Ok(())
}

/// Ends every session of an account.
pub fn end_sessions(tx: &mut Tx<'_>, account: &str) -> Result<(), DbError> {
    tx.execute("delete from sessions where account = $1", &[account.into()])?;
    Ok(())
}

/// Forgets accounts that were made before that moment and whose address nobody confirmed; answers how many.
pub fn forget_unconfirmed(tx: &mut Tx<'_>, before: Time) -> Result<u64, DbError> {
    // One whose mail is still good is waited for, and one that anything belongs to stays.
    let unconfirmed = "delete from logins where confirmed_at_ms is null and account in \
        (select id from accounts where active = 1 and created_at_ms < $1 \
        and not exists (select 1 from letters where letters.account = accounts.id) \
        and not exists (select 1 from api_keys where api_keys.account = accounts.id) \
        and not exists (select 1 from partner_links where partner_links.account = accounts.id) \
        and not exists (select 1 from webhook_endpoints where webhook_endpoints.account = accounts.id) \
        and not exists (select 1 from orders where orders.customer = accounts.id) \
        and exists (select 1 from logins where logins.account = accounts.id and confirmed_at_ms is null) \
        order by created_at_ms limit 1000) returning account";
    let rows = tx.query(unconfirmed, &[before.0.into()])?;
    let accounts: Vec<String> = rows.iter().map(|row| row.text(0).to_owned()).collect();
    tx.execute("delete from accounts where id = any($1)", &[accounts.into()])
}

/// Forgets sessions that have run out; answers how many.
pub fn forget_sessions(tx: &mut Tx<'_>, now: Time) -> Result<u64, DbError> {
    tx.execute("delete from sessions where until_ms <= $1", &[now.0.into()])
}

fn read(row: &Row) -> Login {
    let text = |at| row.text(at).to_owned();
    Login {
        account: text(0),
        email_hash: text(1),
        email_sealed: text(2),
        password: Secret::new(text(3)),
        confirmed_at: row.opt_int(4).map(Time),
        two_factor_at: row.opt_int(5).map(Time),
        generation: row.int(6),
    }
}
