//! What stands between a visitor and an account: where passwords are checked, and how often somebody may try.

use super::Call;
use super::fault::Fault;
use crate::http::attempts::{Attempts, Limit};
use crate::http::visitors::one_visitor;
use crate::passwords::Passwords;
use domain::time::Span;

/// Passwords that one visitor may try for one address.
pub const OF_ONE_ACCOUNT: Limit = Limit { most: 10, within: Span::minutes(15) };
/// Passwords that one visitor may try for all addresses.
pub const OF_ONE_VISITOR: Limit = Limit { most: 60, within: Span::minutes(15) };
/// Passwords that all visitors together may try for one address. Its owner waits too, but so many guesses must have an end.
pub const OF_ALL_VISITORS: Limit = Limit { most: 100, within: Span::hours(1) };
/// Codes of the second factor that may be tried for one account, by whoever knows its password.
pub const SECOND_FACTORS: Limit = Limit { most: 10, within: Span::minutes(15) };
/// Codes from mails that one visitor may try.
pub const CODES: Limit = Limit { most: 30, within: Span::minutes(15) };
/// API keys that one visitor may try at the partners' API, where a key alone opens.
pub const KEYS: Limit = Limit { most: 30, within: Span::minutes(15) };
/// Accounts that one visitor may ask for, and mails that he may have sent.
pub const MAILS_OF_ONE_VISITOR: Limit = Limit { most: 20, within: Span::hours(1) };
/// Changes that one key or browser may make of keys, second factor and link.
pub const CHANGES: Limit = Limit { most: 60, within: Span::hours(1) };
/// Reads of one key that look through many orders or events.
pub const LONG_READS: Limit = Limit { most: 120, within: Span::minutes(1) };
/// Mails that are sent to one address.
pub const MAILS_TO_ONE: Limit = Limit { most: 3, within: Span::hours(1) };

/// Shared by all calls of a process.
#[derive(Default)]
pub struct Gate {
    pub passwords: Passwords,
    pub attempts: Attempts,
    /// Codes of the second factor by themselves: they are short, and nothing else must crowd them out.
    pub factors: Attempts,
}

impl Call {
    /// Counts a try of somebody at something.
    pub fn count_try(&self, subject: &str, limit: Limit) -> Result<(), Fault> {
        self.app.reads.gate.attempts.take(subject, limit, self.now).map_err(Fault::too_many)
    }

    /// Names the visitor in counts of tries.
    pub fn visitor(&self) -> String {
        self.address.map(|address| one_visitor(address).to_string()).unwrap_or_default()
    }

    /// The account that called, which is about to change what opens it or what is known of it. Counted by key and by browser:
    /// whoever stole one must not use up the tries by which the owner takes it away.
    pub fn may_change_access(&self) -> Result<String, Fault> {
        let owner = self.must_owner()?;
        owner.must_be_fresh(self.now)?;
        let by = owner
            .key()
            .map_or_else(|| self.app.vault.hash_of_secret(owner.session().unwrap_or_default()), str::to_owned);
        self.count_try(&format!("changes {by}"), CHANGES)?;
        Ok(owner.account.to_string())
    }

    /// Who waits for a password, by visitor; an empty text for those who cannot be told apart.
    pub fn place(&self) -> String {
        match self.address {
            Some(address) if !address.is_loopback() => self.visitor(),
            Some(_) | None => String::new(),
        }
    }
}
