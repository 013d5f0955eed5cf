//! What can be paid with: coins, the networks that carry them, and the token contract of each pair.
//!
//! A coin is a ticker that shoppers know (USDC); an asset is that coin on one network, named as CAIP-19. Money is
//! matched by asset, never by ticker. Built from the configuration; must never be changed while orders run on it.

use crate::ids::{AssetId, NetworkId};
use crate::time::Span;
use serde::{Deserialize, Serialize};

/// Which kind of chain a network is; it decides address family and payment URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChainKind {
    /// Ethereum and its kin: one address serves all of them.
    Evm,
    /// Solana.
    Svm,
}

impl ChainKind {
    /// `smart_contract_engine` of the store API (contract 3.1).
    pub fn engine(self) -> &'static str {
        match self {
            ChainKind::Evm => "EVM",
            ChainKind::Svm => "SVM",
        }
    }
}

/// A coin as shoppers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// The ticker, such as `USDC`.
    pub name: String,
    /// How many decimals its prices are quoted with (2 for stablecoins, 8 for BTC).
    pub quoted_decimals: u32,
    /// Pegged 1:1 to the US dollar: such sales never need a fiat feed.
    pub usd_stable: bool,
    /// Nobody may pay with it now.
    pub suspended: bool,
}

/// When a payment counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// Once so many blocks carry it, its own included.
    Blocks(u32),
    /// Once the chain's tag `safe` has reached its block.
    Safe,
    /// Once the chain's tag `finalized` has reached its block.
    Finalized,
}

/// A network as the store API spells it, and the assets it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub id: NetworkId,
    /// The exact text of `payment.network`, such as `Polygon (Matic)` (contract 6.3).
    pub name: String,
    pub kind: ChainKind,
    /// EIP-155 chain id; EVM only.
    pub chain_id: Option<u64>,
    /// The coin that pays its fees.
    pub base_token: String,
    /// What a transfer costs the payer, as text for people (`€0`).
    pub transfer_cost: String,
    /// How long a price is held and payment awaited.
    pub window: Span,
    pub confirmation: Confirmation,
    pub suspended: bool,
    pub assets: Vec<Asset>,
}

/// One coin on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub id: AssetId,
    pub coin: String,
    /// Contract or mint; `None` for a network's native coin.
    pub contract: Option<String>,
    /// Decimals on the chain.
    pub decimals: u32,
    /// The `payment_method` word of the store API, such as `USDC-MATIC`.
    pub payment_method: String,
}

impl Asset {
    /// Decimals that the ledger keeps: those of the chain, at most 8.
    pub fn scale(&self) -> u32 {
        self.decimals.min(8)
    }
}

/// All coins and networks of this shop, in the order in which they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rails {
    pub coins: Vec<Coin>,
    pub networks: Vec<Network>,
}

impl Rails {
    /// The coin of that ticker.
    pub fn coin(&self, name: &str) -> Option<&Coin> {
        self.coins.iter().find(|coin| coin.name == name)
    }

    /// The network of that exact store API name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }

    /// The network of that id.
    pub fn network_by_id(&self, id: &NetworkId) -> Option<&Network> {
        self.networks.iter().find(|network| network.id == *id)
    }

    /// The networks that carry a coin, with the asset it is there.
    pub fn networks_of<'a>(&'a self, coin: &'a str) -> impl Iterator<Item = (&'a Network, &'a Asset)> + 'a {
        self.networks.iter().filter_map(move |network| {
            network.assets.iter().find(|asset| asset.coin == coin).map(|asset| (network, asset))
        })
    }

    /// The asset of that id with its network.
    pub fn asset(&self, id: &AssetId) -> Option<(&Network, &Asset)> {
        self.networks
            .iter()
            .find_map(|network| network.assets.iter().find(|asset| asset.id == *id).map(|asset| (network, asset)))
    }
}
