//! Solana as a watcher sees it, over JSON-RPC: an address for each order, whose token accounts are asked for their balances.
//!
//! Solana shows nobody the transfers of everybody, so the chain is asked for each address. Only what is finalized is looked
//! at: nothing of it is ever taken back. A balance says that something came; the history of the account says what, and must
//! explain the balance to the last unit, or nothing is taken for scanned. What arrived counts: the difference that a
//! transaction made to the account, whatever was sent and whatever fee a mint kept. Must never hold a key to spend with,
//! and never write an address of a node anywhere, because it may hold a key.
//!
//! In the order in which to read: `key` and `wire` are what nodes write; `endpoint` asks one node; `council` chooses who is
//! asked; `scan` is one look at all accounts that are due one; `history` explains a balance that changed; `mark` is what is
//! remembered of an account. Called by the watcher, through the port. For people: `docs/operators.md`.

mod council;
mod endpoint;
mod history;
mod key;
mod mark;
mod scan;
mod wire;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use key::{Key, Program};

use crate::adapters::evm::rpc::Rpc;
use crate::adapters::evm::{self, EvmError};
use crate::ports::{AddressBook, Answer, Network, Rhythm};
use crate::secret::Secret;
use domain::chain::{Header, Scan};
use domain::ids::{AssetId, NetworkId};
use domain::time::{Span, Time};
use endpoint::Endpoint;
use reqwest::Url;
use scan::Pacing;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// The genesis hash of Solana's main network.
pub const MAINNET: &str = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d";

/// Wallets whose token accounts are remembered: finding one takes some ten thousandths of a second.
const MOST_WALLETS: usize = 50_000;

/// One network, by configuration.
pub struct Settings {
    pub id: NetworkId,
    pub cluster: Cluster,
    /// Of nodes: http or https.
    pub addresses: Vec<Secret<String>>,
    /// How many of them must say the same; at most as many as there are.
    pub agree: usize,
    /// The longest that one answer may take.
    pub call_timeout: Duration,
    /// For so long after it was given away an address is part of every look. Longer than an order is open.
    pub every_look: Span,
    pub rhythm: Rhythm,
}

/// What a node must be of.
pub struct Cluster {
    /// In base58.
    pub genesis: String,
    pub tokens: Vec<Token>,
}

/// A token that is looked for, whether it counts or only looks like one that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub mint: Key,
    pub program: Program,
    pub asset: AssetId,
    pub decimals: u32,
    /// Its ticker, or its name if it does not count.
    pub name: String,
    pub counts: bool,
}

/// Why a network cannot be watched at all.
#[derive(Debug, thiserror::Error)]
pub enum SolanaError {
    #[error("rpc number {0} is no address")]
    NotAnAddress(usize),
    #[error("nodes cannot be asked")]
    Client(#[source] EvmError),
}

/// One network.
pub struct SolanaNetwork {
    id: NetworkId,
    cluster: Cluster,
    endpoints: Vec<Endpoint>,
    agree: usize,
    every_look: Span,
    rhythm: Rhythm,
    pacing: Mutex<Pacing>,
    /// By wallet, in the order of the tokens. Forgotten as a whole when it is full.
    accounts: Mutex<HashMap<Key, Vec<Key>>>,
}

impl SolanaNetwork {
    /// Asks nobody yet. To be called inside a runtime.
    ///
    /// # Errors
    /// As [`SolanaError`] names them; none quotes an address.
    pub fn new(settings: Settings) -> Result<SolanaNetwork, SolanaError> {
        let http = evm::client().map_err(SolanaError::Client)?;
        let mut endpoints = Vec::new();
        for (number, address) in settings.addresses.iter().enumerate() {
            let url = Url::parse(address.expose()).map_err(|_| SolanaError::NotAnAddress(number + 1))?;
            let name = evm::rpc::node_name(number, &url).ok_or(SolanaError::NotAnAddress(number + 1))?;
            let rpc = Rpc::new(url, &http, settings.call_timeout, &settings.rhythm.bell);
            endpoints.push(Endpoint::new(number, name, rpc));
        }
        Ok(SolanaNetwork {
            id: settings.id,
            cluster: settings.cluster,
            agree: settings.agree.clamp(1, endpoints.len().max(1)),
            endpoints,
            every_look: settings.every_look,
            rhythm: settings.rhythm,
            pacing: Mutex::default(),
            accounts: Mutex::default(),
        })
    }

    /// The accounts in which a wallet keeps the tokens that are looked for, in their order.
    fn accounts_of(&self, wallet: &Key) -> Option<Vec<Key>> {
        let known = |accounts: &mut HashMap<Key, Vec<Key>>| accounts.get(wallet).cloned();
        if let Some(known) = self.with_accounts(known) {
            return Some(known);
        }
        let tokens = self.cluster.tokens.iter();
        let found: Vec<Key> =
            tokens.map(|token| key::token_account(wallet, token.program, &token.mint)).collect::<Option<_>>()?;
        let kept = found.clone();
        self.with_accounts(move |accounts| {
            if accounts.len() >= MOST_WALLETS {
                accounts.clear();
            }
            accounts.insert(*wallet, kept);
        });
        Some(found)
    }

    fn with_accounts<T>(&self, change: impl FnOnce(&mut HashMap<Key, Vec<Key>>) -> T) -> T {
        change(&mut self.accounts.lock().expect("nobody panics while holding the accounts"))
    }

    fn with_pacing<T>(&self, change: impl FnOnce(&mut Pacing) -> T) -> T {
        change(&mut self.pacing.lock().expect("nobody panics while holding the pacing"))
    }
}

impl Network for SolanaNetwork {
    fn id(&self) -> &NetworkId {
        &self.id
    }

    fn scan<'a>(
        &'a self,
        known: &'a [Header],
        book: &'a dyn AddressBook,
        now: Time,
    ) -> Answer<'a, Result<Scan, String>> {
        Box::pin(async move {
            let scan = self.look(known, book, now).await;
            scan.map_err(|fault| {
                self.blame(&fault, now);
                fault.to_string()
            })
        })
    }

    fn rhythm(&self) -> Option<&Rhythm> {
        Some(&self.rhythm)
    }
}
