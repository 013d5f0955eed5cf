//! API keys of accounts. The secret of a key stands nowhere: it follows from the key and the installation's own.

use super::db::{DbError, Row, Tx};
use domain::time::Time;
use ipnet::IpNet;
use std::net::IpAddr;

/// Keys of one account.
pub const MOST_KEYS: usize = 5;

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Public.
    pub key: String,
    pub account: String,
    pub name: String,
    /// Words with commas between them; `base` is always there.
    pub permissions: String,
    /// Networks (CIDR, comma-separated) that may use it; empty: all.
    pub allowed_from: String,
    /// Notifications of its orders are sent again until they arrive.
    pub ipn_retries: bool,
    /// Its account made it itself.
    pub own: bool,
    pub created_at: Time,
}

impl ApiKey {
    /// Whether it may be used from that network address; one that is not known is none of those that it is bound to.
    pub fn may_be_used_from(&self, address: Option<IpAddr>) -> bool {
        let mut networks = self.allowed_from.split(',').map(str::trim).filter(|text| !text.is_empty()).peekable();
        if networks.peek().is_none() {
            return true;
        }
        let read = |network: &str| network.parse::<IpNet>().ok();
        address.is_some_and(|address| networks.filter_map(read).any(|network| network.contains(&address)))
    }
}

const COLUMNS: &str = "select api_keys.key, api_keys.account, api_keys.name, api_keys.permissions, \
    api_keys.allowed_from, api_keys.created_at_ms, api_keys.ipn_retries, api_keys.own from api_keys";

/// Remembers a signed call that writes; false if it was made before.
pub fn claim_signature(tx: &mut Tx<'_>, signature: &str, now: Time) -> Result<bool, DbError> {
    let sql = "insert into signed_calls (signature, at_ms) values ($1, $2) on conflict (signature) do nothing";
    Ok(tx.execute(sql, &[signature.into(), now.0.into()])? == 1)
}

/// Forgets some signed calls that were remembered before that moment; answers how many.
pub fn forget_signatures(tx: &mut Tx<'_>, before: Time) -> Result<u64, DbError> {
    let sql = "delete from signed_calls where signature in \
        (select signature from signed_calls where at_ms < $1 order by at_ms limit 1000)";
    tx.execute(sql, &[before.0.into()])
}

/// Adds a key; false if the account has as many as it may.
pub fn add(tx: &mut Tx<'_>, key: &ApiKey) -> Result<bool, DbError> {
    if of_account(tx, &key.account)?.len() >= MOST_KEYS {
        return Ok(false);
    }
    let sql = "insert into api_keys (key, account, name, permissions, allowed_from, created_at_ms, ipn_retries, own) \
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = [
        key.key.as_str().into(),
        key.account.as_str().into(),
        key.name.as_str().into(),
        key.permissions.as_str().into(),
        key.allowed_from.as_str().into(),
        key.created_at.0.into(),
        i64::from(key.ipn_retries).into(),
        i64::from(key.own).into(),
    ];
    tx.execute(sql, &values)?;
    Ok(true)
}

/// Keys of an account, oldest first.
pub fn of_account(tx: &mut Tx<'_>, account: &str) -> Result<Vec<ApiKey>, DbError> {
    let sql = format!("{COLUMNS} where account = $1 order by created_at_ms, key");
    Ok(tx.query(&sql, &[account.into()])?.iter().map(read).collect())
}

/// A key whose account is in use.
pub fn active(tx: &mut Tx<'_>, key: &str) -> Result<Option<ApiKey>, DbError> {
    let sql = format!("{COLUMNS} join accounts on accounts.id = api_keys.account where key = $1 and active = 1");
    Ok(tx.query_one(&sql, &[key.into()])?.as_ref().map(read))
}

/// Deletes a key of an account; false if it has none of that name.
pub fn remove(tx: &mut Tx<'_>, account: &str, key: &str) -> Result<bool, DbError> {
    let sql = "delete from api_keys where account = $1 and key = $2";
    Ok(tx.execute(sql, &[account.into(), key.into()])? == 1)
}

/// Deletes the keys that an account made itself.
pub fn remove_own(tx: &mut Tx<'_>, account: &str) -> Result<u64, DbError> {
    tx.execute("delete from api_keys where account = $1 and own = 1", &[account.into()])
}

fn read(row: &Row) -> ApiKey {
    let text = |at| row.text(at).to_owned();
    ApiKey {
        key: text(0),
        account: text(1),
        name: text(2),
        permissions: text(3),
        allowed_from: text(4),
        created_at: Time(row.int(5)),
        ipn_retries: row.int(6) == 1,
        own: row.int(7) == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_be_bound_to_networks() {
        let key = |allowed_from: &str| ApiKey {
            key: "EX_0".to_owned(),
            account: "one".to_owned(),
            name: String::new(),
            permissions: "base".to_owned(),
            allowed_from: allowed_from.to_owned(),
            ipn_retries: false,
            own: false,
            created_at: Time(0),
        };
        let address = |text: &str| Some(text.parse().expect("an address"));
        assert!(key("").may_be_used_from(None));
        assert!(key("192.0.2.0/24, 198.51.100.7/32").may_be_used_from(address("198.51.100.7")));
        let bound = key("192.0.2.0/24");
        assert!(!bound.may_be_used_from(address("198.51.100.7")) && !bound.may_be_used_from(None));
    }
}
