//! What stands between a visitor and an account: where passwords are checked, and how often somebody may try.

use crate::http::attempts::{Attempts, Limit};
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
/// Mails that are sent to one address.
pub const MAILS_TO_ONE: Limit = Limit { most: 3, within: Span::hours(1) };

/// Shared by all calls of a process.
#[derive(Default)]
pub struct Gate {
    pub passwords: Passwords,
    pub attempts: Attempts,
}
