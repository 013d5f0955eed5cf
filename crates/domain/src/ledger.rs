//! The books: double entry, one asset per transfer, never edited. A mistake gets a correcting transfer with a reason.

use crate::ids::{AssetId, NetworkId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An account of the ledger; a balance exists per account and asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Account {
    /// What lies at our deposit addresses of a network. Debit balance.
    Network(NetworkId),
    /// What an order received and has not used: owed to its payer. Credit balance.
    Order(i64),
    /// The price of what was sold. Credit balance.
    Sales,
    /// What came in for exchanges less what went out for them: a position per asset.
    Exchanges,
    /// What was paid out of our own hands on a network, or by hand. Credit balance.
    PaidOut(NetworkId),
    /// What was swept from our deposit addresses of a network: the operator's own wallet. Debit balance.
    Cold(NetworkId),
    /// Trifles that payers sent too little or too much, within the tolerance.
    Differences,
}

impl Account {
    /// One account per order: its balance is a fact of the order, kept in the order's own row.
    pub fn is_of_one_order(&self) -> bool {
        match self {
            Account::Order(_) => true,
            Account::Network(_)
            | Account::Sales
            | Account::Exchanges
            | Account::PaidOut(_)
            | Account::Cold(_)
            | Account::Differences => false,
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Network(id) => write!(f, "network:{id}"),
            Account::Order(no) => write!(f, "order:{no}"),
            Account::Sales => f.write_str("sales"),
            Account::Exchanges => f.write_str("exchanges"),
            Account::PaidOut(id) => write!(f, "paid_out:{id}"),
            Account::Cold(id) => write!(f, "cold:{id}"),
            Account::Differences => f.write_str("differences"),
        }
    }
}

/// `units` of `asset` from the credited to the debited account; always positive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    pub debit: Account,
    pub credit: Account,
    pub asset: AssetId,
    pub units: i64,
}
