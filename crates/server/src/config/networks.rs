//! `[[networks]]`: the chains that a shop is paid on.
//!
//! What stands here is public but for the addresses of nodes, which may hold keys: they are secrets, and no error quotes
//! one. A key that can spend must not stand here at all: a server that is given one refuses to start. Read by `config`,
//! turned into rails and adapters by `boot`.

use crate::adapters::evm::Address;
use crate::adapters::solana::{Key, MAINNET, Program};
use crate::secret::Secret;
use crate::wallet::leak;
use anyhow::{Context, bail};
use domain::asset::Confirmation;
use reqwest::Url;
use serde::Deserialize;
use serde::de::{Error, SeqAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// Nodes of one network.
const MOST_NODES: usize = 8;
/// Tokens and look-alikes of one network: all of them stand in every question for logs.
const MOST_CONTRACTS: usize = 50;
/// No token has more decimals; a ledger keeps 8.
const MOST_DECIMALS: u32 = 36;
/// A number of blocks to wait for; who needs more means a tag.
const MOST_CONFIRMATIONS: u32 = 200;

/// How addresses of nodes begin.
const SCHEMES: [&str; 4] = ["https://", "http://", "wss://", "ws://"];

/// How words in the names of keys that spend begin.
const SPENDING: [&str; 7] = ["private", "mnemonic", "seed", "secret", "spend", "keystore", "passphrase"];

/// One network.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// As the store API spells it: `Base`, `Polygon (Matic)`, `ETH Mainnet` (store contract 6.3).
    pub name: String,
    pub kind: NetworkKind,
    /// EIP-155; EVM only.
    pub chain_id: Option<u64>,
    /// The genesis hash in base58; Solana only, and the main network's if it is missing.
    pub genesis: Option<String>,
    /// One address of a node or several: http, https, ws or wss.
    #[serde(default)]
    pub rpc: Addresses,
    /// A file with such addresses, one on a line.
    pub rpc_file: Option<PathBuf>,
    /// Lets addresses without TLS lead to other places than this machine and its private network.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// Nodes that must say the same; two where there are two.
    pub agree: Option<usize>,
    /// On Solana only what is finalized counts, and nothing needs to be said.
    pub confirmations: Option<Confirmations>,
    pub tokens: Vec<TokenConfig>,
    /// Tokens that payers mistake for listed ones: seen, shown on the order, never counted.
    #[serde(default)]
    pub look_alikes: Vec<LookAlikeConfig>,
    /// The coin that pays fees.
    pub base_token: Option<String>,
    /// What a transfer costs the payer, for people to read.
    #[serde(default = "nothing")]
    pub transfer_cost: String,
    /// Between looks.
    pub poll_ms: Option<u64>,
    /// Without a scan up to this long ago no new orders are taken.
    #[serde(default = "suspend_after_seconds")]
    pub suspend_after_seconds: i64,
    /// The largest range that a node is asked for at once; smaller ones are found out.
    #[serde(default = "blocks_per_query")]
    pub blocks_per_query: i64,
    /// Takes no new orders; what is on its way is still seen.
    #[serde(default)]
    pub suspended: bool,
}

/// A token that counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The ticker, such as `USDC`.
    pub coin: String,
    /// On Solana the mint.
    #[serde(alias = "mint")]
    pub contract: String,
    pub decimals: u32,
    /// Which program the mint belongs to; Solana only.
    #[serde(default)]
    pub program: ProgramConfig,
    /// The word of the store API, such as `USDC-BASE`.
    pub payment_method: Option<String>,
    /// Pegged to the US dollar; by default the well-known ones are.
    pub usd_stable: Option<bool>,
    /// Decimals of its prices; by default 2 for dollars, else 6.
    pub quoted_decimals: Option<u32>,
}

/// A token that does not.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookAlikeConfig {
    /// For the log.
    pub name: String,
    #[serde(alias = "mint")]
    pub contract: String,
    pub decimals: u32,
    #[serde(default)]
    pub program: ProgramConfig,
}

/// Which adapter watches a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkKind {
    Evm,
    Solana,
}

/// A token program of Solana.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramConfig(pub Program);

impl Default for ProgramConfig {
    fn default() -> Self {
        ProgramConfig(Program::Token)
    }
}

/// Addresses of nodes. One alone may stand without brackets.
#[derive(Debug, Clone, Default)]
pub struct Addresses(pub Vec<Secret<String>>);

/// A number of blocks, or a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmations(pub Confirmation);

fn nothing() -> String {
    "€0".to_owned()
}

fn suspend_after_seconds() -> i64 {
    180
}

fn blocks_per_query() -> i64 {
    1_000
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AddressesVisitor)
    }
}

struct AddressesVisitor;

impl<'de> Visitor<'de> for AddressesVisitor {
    type Value = Addresses;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("addresses of nodes in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Addresses, E> {
        Ok(Addresses(vec![Secret::new(text.to_owned())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Addresses, A::Error> {
        let mut addresses = Vec::new();
        while let Some(address) = entries.next_element::<String>()? {
            addresses.push(Secret::new(address));
        }
        Ok(Addresses(addresses))
    }
}

impl<'de> Deserialize<'de> for NetworkKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "evm" => Ok(NetworkKind::Evm),
            "solana" => Ok(NetworkKind::Solana),
            _ => Err(D::Error::custom("the kind of a network: allowed is \"evm\" or \"solana\"")),
        }
    }
}

impl<'de> Deserialize<'de> for ProgramConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom("the program of a mint: allowed is \"token\" or \"token-2022\"");
        Program::parse(&String::deserialize(deserializer)?).map(ProgramConfig).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Confirmations {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ConfirmationsVisitor)
    }
}

struct ConfirmationsVisitor;

impl Visitor<'_> for ConfirmationsVisitor {
    type Value = Confirmations;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a number of blocks from 1 to {MOST_CONFIRMATIONS}, \"safe\" or \"finalized\"")
    }

    fn visit_i64<E: Error>(self, count: i64) -> Result<Confirmations, E> {
        let count = u32::try_from(count).ok().filter(|count| (1..=MOST_CONFIRMATIONS).contains(count));
        let wrong = || E::custom(format!("confirmations are from 1 to {MOST_CONFIRMATIONS}; beyond, name a tag"));
        Ok(Confirmations(Confirmation::Blocks(count.ok_or_else(wrong)?)))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Confirmations, E> {
        match word {
            "safe" => Ok(Confirmations(Confirmation::Safe)),
            "finalized" => Ok(Confirmations(Confirmation::Finalized)),
            _ => Err(E::custom("confirmations are a number of blocks, \"safe\" or \"finalized\"")),
        }
    }
}

/// Refuses a file that holds a key to spend with, before anything else of it is read or shown.
pub(super) fn refuse_spending_keys(file: &toml::Table) -> anyhow::Result<()> {
    let Some(networks) = file.get("networks") else { return Ok(()) };
    let Some(key) = spending_key(networks) else { return Ok(()) };
    bail!(
        "networks: `{key}` must not stand there. This server holds no key that can spend incoming money, and does not \
         start with one. Take it out of the file; if the file was ever stored or sent somewhere, move the money. Deposit \
         addresses come from an extended public key"
    )
}

fn spending_key(value: &toml::Value) -> Option<&str> {
    match value {
        toml::Value::Table(table) => table.iter().find_map(|(key, value)| {
            let name = key.to_lowercase();
            let mut words = name.split(['_', '-']);
            let spends = words.any(|word| SPENDING.iter().any(|begin| word.starts_with(begin)));
            if spends { Some(key.as_str()) } else { spending_key(value) }
        }),
        toml::Value::Array(entries) => entries.iter().find_map(spending_key),
        _ => None,
    }
}

/// Everything that types cannot say about the networks of a file.
pub(super) fn check(networks: &[NetworkConfig]) -> anyhow::Result<()> {
    let (mut names, mut chains) = (BTreeSet::new(), BTreeSet::new());
    for network in networks {
        network.check().with_context(|| format!("networks {:?}", network.name))?;
        if !names.insert(&network.name) || !chains.insert((network.chain_id, network.genesis())) {
            bail!("networks {:?}: its name or its chain_id stands twice", network.name);
        }
    }
    if networks.iter().filter(|network| network.kind == NetworkKind::Solana).count() > 1 {
        bail!(
            "networks: two of kind \"solana\"; they would share one pool of addresses, each of which is watched on one"
        );
    }
    Ok(())
}

impl NetworkConfig {
    /// The addresses of its nodes, wherever they stand.
    pub fn addresses(&self) -> anyhow::Result<Vec<Secret<String>>> {
        let addresses = match &self.rpc_file {
            None => self.rpc.0.clone(),
            Some(path) => {
                let text = super::read_secret(path)?;
                self.refuse_private_keys(&text)?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                lines.map(|line| Secret::new(line.to_owned())).collect()
            }
        };
        if addresses.is_empty() || addresses.len() > MOST_NODES {
            bail!("networks {:?}: rpc names {} nodes; 1 to {MOST_NODES} can be used", self.name, addresses.len());
        }
        if self.agree.is_some_and(|agree| agree > addresses.len()) {
            bail!("networks {:?}: agree asks for more nodes than rpc names", self.name);
        }
        let schemes: &[&str] = match self.kind {
            NetworkKind::Evm => &["https://", "http://", "wss://", "ws://"],
            NetworkKind::Solana => &["https://", "http://"],
        };
        for (at, address) in addresses.iter().enumerate() {
            if !schemes.iter().any(|scheme| address.expose().starts_with(scheme)) {
                bail!("networks {:?}: rpc number {} does not begin with {}", self.name, at + 1, schemes.join(", "));
            }
        }
        self.check_nodes(&addresses)?;
        Ok(addresses)
    }

    /// Two nodes that are one agree always; and whoever stands between us and a node without TLS can say what he likes.
    fn check_nodes(&self, addresses: &[Secret<String>]) -> anyhow::Result<()> {
        let (mut seen, mut hosts) = (BTreeMap::new(), BTreeMap::new());
        for (number, address) in (1..).zip(addresses) {
            let Ok(url) = Url::parse(address.expose()) else { continue };
            if let Some(other) = seen.insert(url.as_str().trim_end_matches('/').to_owned(), number) {
                bail!("networks {:?}: rpc number {number} is the same node as number {other}", self.name);
            }
            let Some(host) = url.host_str() else { continue };
            if let Some(other) = hosts.insert(host.to_owned(), number) {
                tracing::warn!(
                    network = %self.name,
                    "rpc number {number} has the host of number {other}: they may fail, or lie, together"
                );
            }
            let is_plain = matches!(url.scheme(), "http" | "ws");
            if is_plain && !self.allow_plain_http && !is_near(host) {
                bail!(
                    "networks {:?}: rpc number {number} has no TLS and leads out of this machine and its private network: \
                     anybody on the way could invent payments. Use https or wss, or set allow_plain_http = true if the way \
                     is protected otherwise",
                    self.name
                );
            }
        }
        Ok(())
    }

    /// A file of addresses is no place for a key that spends, not even in a comment.
    fn refuse_private_keys(&self, text: &str) -> anyhow::Result<()> {
        let is_address = |line: &str| SCHEMES.iter().any(|scheme| line.trim_start().starts_with(scheme));
        let others: Vec<&str> = text.lines().map(|line| if is_address(line) { "" } else { line }).collect();
        match leak::find(&others.join("\n")) {
            None => Ok(()),
            Some((line, found)) => {
                bail!("networks {:?}: line {line} of rpc_file holds {found}: {}", self.name, leak::ADVICE)
            }
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.name.trim().is_empty() || self.name.len() > 40 {
            bail!("name is the store API's name of the network, such as \"Base\"");
        }
        match self.kind {
            NetworkKind::Evm => self.check_evm()?,
            NetworkKind::Solana => self.check_solana()?,
        }
        if self.rpc_file.is_some() != self.rpc.0.is_empty() {
            bail!("give the addresses of nodes as rpc or as rpc_file, one of the two");
        }
        if self.agree == Some(0) {
            bail!("agree must be 1 or more");
        }
        let within = [
            ("poll_ms", i64::try_from(self.poll_ms()).unwrap_or(i64::MAX), 100, 60_000),
            ("suspend_after_seconds", self.suspend_after_seconds, 10, 86_400),
            ("blocks_per_query", self.blocks_per_query, 1, 10_000),
        ];
        for (key, value, least, most) in within {
            if !(least..=most).contains(&value) {
                bail!("{key} = {value}: it lies between {least} and {most}");
            }
        }
        self.check_tokens()
    }

    fn check_evm(&self) -> anyhow::Result<()> {
        if self.chain_id.is_none_or(|chain_id| chain_id == 0) {
            bail!("chain_id is the chain's EIP-155 number, such as 8453");
        }
        if self.genesis.is_some() {
            bail!("genesis is for kind = \"solana\"; an EVM chain is named by its chain_id");
        }
        if self.confirmations.is_none() {
            bail!("confirmations is missing: a number of blocks, \"safe\" or \"finalized\"");
        }
        Ok(())
    }

    fn check_solana(&self) -> anyhow::Result<()> {
        if self.chain_id.is_some() {
            bail!(
                "chain_id is for kind = \"evm\"; Solana is named by its genesis hash, and needs none for the main network"
            );
        }
        if self.genesis.as_ref().is_some_and(|genesis| Key::parse(genesis).is_none()) {
            bail!("genesis is the hash that `getGenesisHash` answers: 32 bytes in base58");
        }
        if self.confirmations.is_some_and(|confirmations| confirmations.0 != Confirmation::Finalized) {
            bail!("confirmations: on Solana only what is finalized counts; take the line out");
        }
        Ok(())
    }

    /// The genesis hash; `None` for an EVM chain.
    pub fn genesis(&self) -> Option<&str> {
        match self.kind {
            NetworkKind::Evm => None,
            NetworkKind::Solana => Some(self.genesis.as_deref().unwrap_or(MAINNET)),
        }
    }

    /// What a payment waits for.
    pub fn confirmation(&self) -> Confirmation {
        self.confirmations.map_or(Confirmation::Finalized, |confirmations| confirmations.0)
    }

    /// Between looks. On Solana what is finalized is a dozen seconds old anyway.
    pub fn poll_ms(&self) -> u64 {
        self.poll_ms.unwrap_or(match self.kind {
            NetworkKind::Evm => 1_000,
            NetworkKind::Solana => 2_000,
        })
    }

    /// The coin that pays fees.
    pub fn base_token(&self) -> &str {
        self.base_token.as_deref().unwrap_or(match self.kind {
            NetworkKind::Evm => "ETH",
            NetworkKind::Solana => "SOL",
        })
    }

    /// A contract as the network spells it; an error if it is none.
    fn spelled(&self, contract: &str) -> anyhow::Result<String> {
        Ok(match self.kind {
            NetworkKind::Evm => Address::parse(contract)?.to_string(),
            NetworkKind::Solana => Key::parse(contract).context("a mint is 32 bytes in base58")?.to_string(),
        })
    }

    fn check_tokens(&self) -> anyhow::Result<()> {
        if self.tokens.is_empty() || self.tokens.len() + self.look_alikes.len() > MOST_CONTRACTS {
            bail!("it needs a token, and has at most {MOST_CONTRACTS} tokens and look-alikes together");
        }
        let listed = self.tokens.iter().map(|token| (&token.coin, &token.contract, token.program, token.decimals));
        let alike = self.look_alikes.iter().map(|token| (&token.name, &token.contract, token.program, token.decimals));
        let mut contracts = BTreeSet::new();
        for (name, contract, program, decimals) in listed.chain(alike) {
            let contract = self.spelled(contract).with_context(|| format!("the contract of {name}"))?;
            if !contracts.insert(contract) {
                bail!("the contract of {name} stands twice");
            }
            if self.kind == NetworkKind::Evm && program != ProgramConfig::default() {
                bail!("program of {name}: only mints of Solana belong to one");
            }
            if decimals > MOST_DECIMALS {
                bail!("decimals of {name}: at most {MOST_DECIMALS}");
            }
        }
        let mut coins = BTreeSet::new();
        for token in &self.tokens {
            let is_ticker = |letter: u8| letter.is_ascii_uppercase() || letter.is_ascii_digit();
            if token.coin.is_empty() || token.coin.len() > 12 || !token.coin.bytes().all(is_ticker) {
                bail!("coin = {:?}: a ticker of capital letters and digits, such as USDC", token.coin);
            }
            if !coins.insert(&token.coin) {
                bail!("{} stands twice: a bridged kind of it is a look-alike", token.coin);
            }
            if token.quoted_decimals.is_some_and(|decimals| decimals > token.decimals.min(8)) {
                bail!("quoted_decimals of {}: at most 8, and at most its decimals", token.coin);
            }
        }
        Ok(())
    }
}

/// This machine, or a private network (RFC 1918, RFC 4193). Of names only that of this machine: others lead anywhere.
fn is_near(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.segments()[0] & 0xfe00 == 0xfc00,
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests;
