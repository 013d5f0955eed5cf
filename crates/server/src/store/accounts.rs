//! Partners, customers and operators: rows of one table that differ by role.

use super::db::{DbError, Row, Tx};
use domain::time::Time;

/// What an account may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Partner,
    Customer,
    Operator,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Partner => "partner",
            Role::Customer => "customer",
            Role::Operator => "operator",
        }
    }

    fn parse(word: &str) -> Option<Role> {
        [Role::Partner, Role::Customer, Role::Operator].into_iter().find(|role| role.word() == word)
    }
}

/// One account. `token_hash` is of its bearer token; the token itself is shown once and kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    pub role: Role,
    pub name: String,
    pub token_hash: Option<String>,
    /// Networks (CIDR, comma-separated) whose word on a visitor's address is taken.
    pub trust_from: Option<String>,
    pub active: bool,
    pub created_at: Time,
}

const COLUMNS: &str = "select id, role, name, token_hash, trust_from, active, created_at_ms from accounts";

/// Adds an account; answers false if the id is taken.
pub fn add(tx: &mut Tx<'_>, account: &Account) -> Result<bool, DbError> {
    let sql = "insert into accounts (id, role, name, token_hash, trust_from, active, created_at_ms) \
        values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
    let values = [
        account.id.as_str().into(),
        account.role.word().into(),
        account.name.as_str().into(),
        account.token_hash.clone().into(),
        account.trust_from.clone().into(),
        i64::from(account.active).into(),
        account.created_at.0.into(),
    ];
    Ok(tx.execute(sql, &values)? == 1)
}

/// Opens or closes an account; answers false if there is none of that id and role.
pub fn set_active(tx: &mut Tx<'_>, role: Role, id: &str, active: bool) -> Result<bool, DbError> {
    let sql = "update accounts set active = $1 where role = $2 and id = $3";
    Ok(tx.execute(sql, &[i64::from(active).into(), role.word().into(), id.into()])? == 1)
}

/// All accounts of a role, oldest first.
pub fn of_role(tx: &mut Tx<'_>, role: Role) -> Result<Vec<Account>, DbError> {
    let sql = format!("{COLUMNS} where role = $1 order by created_at_ms, id");
    tx.query(&sql, &[role.word().into()])?.iter().map(read).collect()
}

/// The account of that id.
pub fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Option<Account>, DbError> {
    let sql = format!("{COLUMNS} where id = $1");
    tx.query_one(&sql, &[id.into()])?.as_ref().map(read).transpose()
}

/// The active account that a bearer token opens.
pub fn by_token_hash(tx: &mut Tx<'_>, hash: &str) -> Result<Option<Account>, DbError> {
    let sql = format!("{COLUMNS} where token_hash = $1 and active = 1");
    tx.query_one(&sql, &[hash.into()])?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Account, DbError> {
    Ok(Account {
        id: row.text(0).to_owned(),
        role: Role::parse(row.text(1)).ok_or(DbError::Corrupt { what: "role of an account" })?,
        name: row.text(2).to_owned(),
        token_hash: row.opt_text(3).map(str::to_owned),
        trust_from: row.opt_text(4).map(str::to_owned),
        active: row.int(5) == 1,
        created_at: Time(row.int(6)),
    })
}
