//! The books: double entry, one asset per transfer, never edited. A mistake gets a correcting transfer with a reason.

use crate::ids::{AssetId, NetworkId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An account of the ledger; a balance exists per account and asset. Its text stands in the database: a word that was
/// written once is read for ever, and never means something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Account {
    /// What lies at our deposit addresses of a network. Debit balance.
    Network(NetworkId),
    /// What an order received and has not used: owed to its payer, what he paid too much included. Credit balance.
    Order(i64),
    /// The price of goods of orders that were placed before sales were told apart by kind. Credit balance.
    Sales,
    /// The price of goods of one kind, as the catalogue names it. Credit balance.
    SalesOf(String),
    /// What came in for exchanges less what goes out for them: a position per asset.
    Exchanges,
    /// What settled exchange orders are still to be paid: promised out of the reserve. Credit balance.
    ExchangeReserve,
    /// What was paid out of our own hands on a network, or by hand. Credit balance.
    PaidOut(NetworkId),
    /// Trifles that payers sent too little or too much, within the tolerance.
    Differences,
    /// What lies in the server's own wallet for payouts. Debit balance.
    Hot(NetworkId),
    /// What was moved from deposit addresses to a wallet whose key is elsewhere. Debit balance.
    Cold(NetworkId),
    /// What we paid a network for carrying our transactions. Debit balance.
    Fees(NetworkId),
    /// What a supplier charged us for goods. Debit balance.
    Cost(String),
}

impl Account {
    /// One account per order: its balance is a fact of the order, kept in the order's own row.
    pub fn is_of_one_order(&self) -> bool {
        match self {
            Account::Order(_) => true,
            Account::Network(_)
            | Account::Sales
            | Account::SalesOf(_)
            | Account::Exchanges
            | Account::ExchangeReserve
            | Account::PaidOut(_)
            | Account::Differences
            | Account::Hot(_)
            | Account::Cold(_)
            | Account::Fees(_)
            | Account::Cost(_) => false,
        }
    }

    /// Reads the text of the database; `None` for a text that no version has written.
    pub fn parse(text: &str) -> Option<Account> {
        let Some((word, rest)) = text.split_once(':') else {
            return match text {
                "sales" => Some(Account::Sales),
                "exchanges" => Some(Account::Exchanges),
                "exchange_reserve" => Some(Account::ExchangeReserve),
                "differences" => Some(Account::Differences),
                _ => None,
            };
        };
        let network = || NetworkId::new(rest);
        match word {
            "network" => Some(Account::Network(network())),
            "order" => rest.parse().ok().map(Account::Order),
            "sales" => Some(Account::SalesOf(rest.to_owned())),
            "paid_out" => Some(Account::PaidOut(network())),
            "hot" => Some(Account::Hot(network())),
            "cold" => Some(Account::Cold(network())),
            "fees" => Some(Account::Fees(network())),
            "cost" => Some(Account::Cost(rest.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Network(id) => write!(f, "network:{id}"),
            Account::Order(no) => write!(f, "order:{no}"),
            Account::Sales => f.write_str("sales"),
            Account::SalesOf(kind) => write!(f, "sales:{kind}"),
            Account::Exchanges => f.write_str("exchanges"),
            Account::ExchangeReserve => f.write_str("exchange_reserve"),
            Account::PaidOut(id) => write!(f, "paid_out:{id}"),
            Account::Differences => f.write_str("differences"),
            Account::Hot(id) => write!(f, "hot:{id}"),
            Account::Cold(id) => write!(f, "cold:{id}"),
            Account::Fees(id) => write!(f, "fees:{id}"),
            Account::Cost(supplier) => write!(f, "cost:{supplier}"),
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

/// The network that an asset lies on: one EVM address serves all EVM chains, and CAIP-19 begins with the chain.
pub fn network_of(asset: &AssetId) -> NetworkId {
    NetworkId::new(asset.as_str().split('/').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that databases hold; none may ever be read as something else.
    #[test]
    fn accounts_are_read_as_they_were_written() {
        let base = || NetworkId::new("eip155:8453");
        for (text, account) in [
            ("network:eip155:8453", Account::Network(base())),
            ("order:1001", Account::Order(1_001)),
            ("sales", Account::Sales),
            ("sales:giftcard", Account::SalesOf("giftcard".to_owned())),
            ("exchanges", Account::Exchanges),
            ("exchange_reserve", Account::ExchangeReserve),
            ("paid_out:manual", Account::PaidOut(NetworkId::new("manual"))),
            ("differences", Account::Differences),
            ("hot:eip155:8453", Account::Hot(base())),
            ("cold:eip155:8453", Account::Cold(base())),
            ("fees:eip155:8453", Account::Fees(base())),
            ("cost:acme", Account::Cost("acme".to_owned())),
        ] {
            assert_eq!(account.to_string(), text);
            assert_eq!(Account::parse(text), Some(account));
        }
        for text in ["", "order", "order:", "order:x", "Sales", "bank", "bank:1"] {
            assert_eq!(Account::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_asset_names_its_network() {
        for (asset, network) in
            [("eip155:8453/erc20:0x8335", "eip155:8453"), ("manual/USD", "manual"), ("usdc", "usdc")]
        {
            assert_eq!(network_of(&AssetId::new(asset)), NetworkId::new(network));
        }
    }
}
