//! One node of a network: what it is asked, and how it is checked that it answers for our cluster and our mints.
//!
//! A node behind a load balancer is several machines, one of which may lag. So every question for balances brings the clock
//! of the same state with it, and says from which slot on an answer is wanted. Only what is finalized is asked for. Must
//! never decide between nodes: that is `scan`'s.

use super::Cluster;
use super::key::{CLOCK, Key, Program};
use super::wire::{self, Listed, MINT_SLICE, Moved, SLICE, Shown};
use crate::adapters::evm::rpc::{Ask, LARGEST_ANSWER, Rpc, RpcError};
use crate::adapters::rest::Rest;
use domain::time::Time;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Mutex;

/// Accounts that one question may name, the clock among them.
pub const IN_ONE_QUESTION: usize = 100;
/// Signatures of one page; nodes may give fewer.
pub const PAGE: usize = 1_000;

/// The newest version of transactions that is read here: the highest that the documentation of `getTransaction` knows
/// (version 1 is SIMD-0385). A transaction of a newer one than is named is refused with -32015, whoever it paid.
const NEWEST_VERSION: u8 = 1;

/// Why a node's answer is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error("it is a node of the cluster {found}, not of {wanted}")]
    OtherCluster { wanted: String, found: String },
    #[error("the mint of {coin} is not on its chain")]
    NoMint { coin: String },
    #[error("{coin} has {found} decimals, and the configuration says {wanted}")]
    Decimals { coin: String, wanted: u32, found: u8 },
    #[error("the mint of {coin} does not belong to the program \"{wanted}\": try program = \"{other}\"")]
    OtherProgram { coin: String, wanted: &'static str, other: &'static str },
    #[error("it is at slot {found}, behind {wanted}")]
    Behind { found: i64, wanted: i64 },
    #[error("it is at slot {found}, and the chain cannot be further than {most} by now")]
    TooFar { found: i64, most: i64 },
    #[error("its clock is ahead of this machine's: one of the two is wrong")]
    Ahead,
    #[error("it does not have a transaction that it should: its history may be too short")]
    NoTransaction,
}

/// Numbers with which nodes refuse everybody who asks too much, or everything because they are ill.
const BUSY: [i64; 4] = [429, -32_005, -32_029, -32_429];

impl NodeError {
    /// Whether it would answer the same to a question about any other account.
    pub fn is_of_the_node(&self) -> bool {
        match self {
            NodeError::Rpc(RpcError::Unreachable(_) | RpcError::Status(401 | 402 | 403 | 429)) => true,
            NodeError::Rpc(RpcError::Refused { code, .. }) => BUSY.contains(code),
            _ => false,
        }
    }

    /// Whether nothing in it speaks of what was asked: one such answer may be about one account, several are the node's.
    pub fn is_mute(&self) -> bool {
        let NodeError::Rpc(error) = self else { return false };
        !matches!(error, RpcError::Refused { .. } | RpcError::Unclear(_))
    }
}

/// A node.
pub struct Endpoint {
    /// In the configuration's order, from 0.
    pub number: usize,
    /// Its host, and which of the list it is: all of its address that may be shown.
    pub name: String,
    rpc: Rpc,
    condition: Mutex<Condition>,
}

#[derive(Default)]
struct Condition {
    is_checked: bool,
    rest: Rest,
}

impl Endpoint {
    pub fn new(number: usize, name: String, rpc: Rpc) -> Endpoint {
        Endpoint { number, name, rpc, condition: Mutex::default() }
    }

    /// When it is worth asking before others again.
    pub fn rests_until(&self) -> Time {
        self.with_condition(|condition| condition.rest.until())
    }

    /// It failed, or was told apart from the others.
    pub fn failed(&self, now: Time) {
        self.with_condition(|condition| {
            // Behind one address another node may stand by now.
            condition.is_checked = false;
            condition.rest.failed(now);
        });
    }

    /// A whole scan went well with it.
    pub fn did_well(&self) {
        self.with_condition(|condition| condition.rest = Rest::default());
    }

    fn with_condition<T>(&self, change: impl FnOnce(&mut Condition) -> T) -> T {
        change(&mut self.condition.lock().expect("nobody panics while holding the condition"))
    }

    /// Makes sure, once, that it is a node of our cluster and that our mints are there as they are configured.
    pub async fn check(&self, cluster: &Cluster) -> Result<(), NodeError> {
        if self.with_condition(|condition| condition.is_checked) {
            return Ok(());
        }
        let found = wire::text(&self.ask("getGenesisHash", json!([])).await?)?;
        if found != cluster.genesis {
            let found = Key::parse(&found).map_or_else(|| "no name".to_owned(), |key| key.to_string());
            return Err(NodeError::OtherCluster { wanted: cluster.genesis.clone(), found });
        }
        let mints: Vec<Key> = cluster.tokens.iter().map(|token| token.mint).collect();
        let shown = self.accounts(&mints, MINT_SLICE, 0).await?;
        for (token, account) in cluster.tokens.iter().zip(&shown.accounts) {
            let coin = token.name.clone();
            let Some(account) = account else { return Err(NodeError::NoMint { coin }) };
            if account.program != token.program.key() {
                let other = match token.program {
                    Program::Token => Program::Token2022,
                    Program::Token2022 => Program::Token,
                };
                return match account.program == other.key() {
                    true => Err(NodeError::OtherProgram { coin, wanted: token.program.word(), other: other.word() }),
                    false => Err(NodeError::NoMint { coin }),
                };
            }
            match account.mint() {
                None => return Err(NodeError::NoMint { coin }),
                Some(mint) if u32::from(mint.decimals) != token.decimals => {
                    return Err(NodeError::Decimals { coin, wanted: token.decimals, found: mint.decimals });
                }
                Some(_) => {}
            }
        }
        self.with_condition(|condition| condition.is_checked = true);
        Ok(())
    }

    /// Its newest finalized slot, and that slot's time.
    pub async fn newest(&self, least: i64) -> Result<Shown, NodeError> {
        self.balances(&[], least).await
    }

    /// Token accounts as they are at a finalized slot, `least` or a later one.
    pub async fn balances(&self, accounts: &[Key], least: i64) -> Result<Shown, NodeError> {
        let shown = self.accounts(accounts, SLICE, least).await?;
        match shown.slot < least {
            true => Err(NodeError::Behind { found: shown.slot, wanted: least }),
            false => Ok(shown),
        }
    }

    /// A page of an account's history, newest first: what is older than `before` and newer than `until`.
    pub async fn history(
        &self,
        account: &Key,
        before: Option<&str>,
        until: Option<&str>,
        least: i64,
    ) -> Result<Vec<Listed>, NodeError> {
        let mut options = json!({ "limit": PAGE, "commitment": "finalized", "minContextSlot": least.max(0) });
        for (name, signature) in [("before", before), ("until", until)] {
            if let Some(signature) = signature {
                options[name] = Value::from(signature);
            }
        }
        let answer = self.ask("getSignaturesForAddress", json!([account.to_string(), options])).await?;
        Ok(wire::listed(&answer)?)
    }

    /// What a transaction did to a token account.
    pub async fn moved(&self, listed: &Listed, account: &Key, mint: &Key) -> Result<Moved, NodeError> {
        let options = json!({
            "encoding": "json", "commitment": "finalized", "maxSupportedTransactionVersion": NEWEST_VERSION,
        });
        let answer = self.ask("getTransaction", json!([listed.signature, options])).await?;
        wire::moved(&answer, listed, account, mint)?.ok_or(NodeError::NoTransaction)
    }

    async fn accounts(&self, accounts: &[Key], length: usize, least: i64) -> Result<Shown, NodeError> {
        let names: Vec<String> = std::iter::once(&*CLOCK).chain(accounts).map(ToString::to_string).collect();
        let options = json!({
            "encoding": "base64", "commitment": "finalized", "minContextSlot": least.max(0),
            "dataSlice": { "offset": 0, "length": length },
        });
        let answer = self.ask("getMultipleAccounts", json!([names, options])).await?;
        Ok(wire::shown(&answer, accounts.len())?)
    }

    /// One question at a time: not every node that sells answers takes several at once.
    async fn ask(&self, method: &'static str, params: Value) -> Result<Box<RawValue>, RpcError> {
        let answers = self.rpc.ask(&[Ask::new(method, params)], LARGEST_ANSWER).await?;
        answers.into_iter().next().unwrap_or(Err(RpcError::Unanswered))
    }
}
