//! Codes by which an account's visitors are known as his (exchange contract 9).

use super::db::{DbError, Tx};

/// An account's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub code: String,
    /// An operator has not taken it out of use.
    pub active: bool,
}

/// What becomes of the wish for a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Granted,
    /// It is another account's.
    Taken,
    /// An operator has taken this account's code out of use; another one would be no better.
    Disabled,
}

/// Gives an account another code.
pub fn set(tx: &mut Tx<'_>, account: &str, code: &str) -> Result<Wish, DbError> {
    if of_account(tx, account)?.is_some_and(|link| !link.active) {
        return Ok(Wish::Disabled);
    }
    let owner = tx.query_one("select account from partner_links where link = $1", &[code.into()])?;
    if owner.is_some_and(|row| row.text(0) != account) {
        return Ok(Wish::Taken);
    }
    let sql = "insert into partner_links (account, link, active) values ($1, $2, 1) \
        on conflict (account) do update set link = excluded.link";
    tx.execute(sql, &[account.into(), code.into()])?;
    Ok(Wish::Granted)
}

/// Takes an account's code out of use, or puts it into use again; false if it has none.
pub fn set_active(tx: &mut Tx<'_>, account: &str, active: bool) -> Result<bool, DbError> {
    let sql = "update partner_links set active = $2 where account = $1";
    Ok(tx.execute(sql, &[account.into(), i64::from(active).into()])? == 1)
}

/// The code of an account.
pub fn of_account(tx: &mut Tx<'_>, account: &str) -> Result<Option<Link>, DbError> {
    let row = tx.query_one("select link, active from partner_links where account = $1", &[account.into()])?;
    Ok(row.map(|row| Link { code: row.text(0).to_owned(), active: row.int(1) == 1 }))
}

/// The account of a code, if both are in use.
pub fn owner(tx: &mut Tx<'_>, code: &str) -> Result<Option<String>, DbError> {
    let sql = "select partner_links.account from partner_links join accounts on accounts.id = partner_links.account \
        where partner_links.link = $1 and partner_links.active = 1 and accounts.active = 1";
    Ok(tx.query_one(sql, &[code.into()])?.map(|row| row.text(0).to_owned()))
}
