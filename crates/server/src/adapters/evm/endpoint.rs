//! One node of a network: what it is asked, and how it is checked that it answers for the chain and the blocks that were
//! asked about.
//!
//! A node behind a load balancer is several machines, one of which may lag: an empty list of events means nothing by
//! itself (go-ethereum#24078). So events are asked for by the hash of their block, or in one batch with the last block of
//! their range, which the same machine must have. Must never decide between nodes: that is `scan`'s.

use super::address::Address;
use super::rpc::{Ask, Rpc, RpcError};
use super::wire::{self, Log, Mined, TRANSFER};
use domain::time::{Span, Time};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Blocks, or events of single blocks, that one batch asks for.
const IN_ONE_BATCH: usize = 25;

/// A node that failed is asked last for this long; each further failure doubles it.
const REST: Span = Span::seconds(1);
const LONGEST_REST: Span = Span::minutes(1);

/// The same of one that stood alone against the others about events that cannot change. No success makes that good.
const REST_ALONE: Span = Span::minutes(5);
const LONGEST_REST_ALONE: Span = Span::hours(24);

/// A node.
pub struct Endpoint {
    /// In the configuration's order, from 0.
    pub number: usize,
    /// Its host, and which of the list it is: all of its address that may be shown.
    pub name: String,
    rpc: Rpc,
    chain_id: u64,
    condition: Mutex<Condition>,
}

#[derive(Default)]
struct Condition {
    is_of_our_chain: bool,
    failures: u32,
    rests_until: Time,
    /// How often it stood alone since the start, and until when it rests for that.
    stood_alone: u32,
    alone_until: Time,
}

/// Whose events are asked for.
pub struct Filter {
    pub contracts: BTreeSet<Address>,
    /// The same as nodes read it.
    addresses: Value,
}

impl Filter {
    pub fn new(contracts: BTreeSet<Address>) -> Filter {
        let addresses = contracts.iter().map(|contract| Value::from(contract.small())).collect();
        Filter { contracts, addresses: Value::Array(addresses) }
    }

    fn between(&self, from: i64, to: i64) -> Ask {
        let (from, to) = (wire::to_quantity(from), wire::to_quantity(to));
        let filter = json!({ "fromBlock": from, "toBlock": to, "address": self.addresses, "topics": [TRANSFER] });
        Ask::new("eth_getLogs", json!([filter]))
    }

    fn of_block(&self, hash: &str) -> Ask {
        let filter = json!({ "blockHash": hash, "address": self.addresses, "topics": [TRANSFER] });
        Ask::new("eth_getLogs", json!([filter]))
    }

    /// Events of other contracts were not asked for: whoever sends them cannot be right about the rest.
    fn checked(&self, logs: Vec<Log>) -> Result<Vec<Log>, RpcError> {
        match logs.iter().all(|log| self.contracts.contains(&log.contract)) {
            true => Ok(logs),
            false => Err(RpcError::Unclear("an event of a contract that was not asked for")),
        }
    }
}

/// The newest block of a node, and how far the chain's tag has come there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    pub block: Mined,
    pub tagged: Option<i64>,
}

impl Endpoint {
    pub fn new(number: usize, name: String, rpc: Rpc, chain_id: u64) -> Endpoint {
        Endpoint { number, name, rpc, chain_id, condition: Mutex::default() }
    }

    /// When it is worth asking before others again.
    pub fn rests_until(&self) -> Time {
        self.with_condition(|condition| condition.rests_until.max(condition.alone_until))
    }

    /// It failed, or was told apart from the others.
    pub fn failed(&self, now: Time) {
        self.with_condition(|condition| {
            // Behind one address another node may stand by now.
            condition.is_of_our_chain = false;
            let rest = Span(REST.0 << condition.failures.min(10)).min(LONGEST_REST);
            condition.failures = condition.failures.saturating_add(1);
            condition.rests_until = now + rest;
        });
    }

    /// At least two others show something else than it does.
    pub fn stood_alone(&self, now: Time) {
        self.with_condition(|condition| {
            let rest = Span(REST_ALONE.0 << condition.stood_alone.min(10)).min(LONGEST_REST_ALONE);
            condition.stood_alone = condition.stood_alone.saturating_add(1);
            condition.alone_until = now + rest;
        });
    }

    /// A whole scan went well with it.
    pub fn did_well(&self) {
        self.with_condition(|condition| (condition.failures, condition.rests_until) = (0, Time(0)));
    }

    fn with_condition<T>(&self, change: impl FnOnce(&mut Condition) -> T) -> T {
        change(&mut self.condition.lock().expect("nobody panics while holding the condition"))
    }

    /// Its newest block.
    pub async fn newest(&self, tag: Option<&'static str>) -> Result<Newest, RpcError> {
        let mut asks = vec![Ask::new("eth_getBlockByNumber", json!(["latest", false]))];
        asks.extend(tag.map(|tag| Ask::new("eth_getBlockByNumber", json!([tag, false]))));
        let answers = self.ask(&asks).await?;
        let block = wire::block(&answers[0])?.ok_or(RpcError::Unclear("no newest block"))?;
        let tagged = match tag {
            None => None,
            // A young chain has no such block yet: nothing is confirmed.
            Some(_) => Some(wire::block(&answers[1])?.map_or(-1, |tagged| tagged.height)),
        };
        Ok(Newest { block, tagged })
    }

    /// The blocks at those heights, all of which it must have.
    pub async fn blocks(&self, heights: &[i64]) -> Result<Vec<Mined>, RpcError> {
        let mut blocks = Vec::with_capacity(heights.len());
        for part in heights.chunks(IN_ONE_BATCH) {
            let ask = |height: &i64| Ask::new("eth_getBlockByNumber", json!([wire::to_quantity(*height), false]));
            let asks: Vec<Ask> = part.iter().map(ask).collect();
            for (height, answer) in part.iter().zip(self.ask(&asks).await?) {
                blocks.push(block_at(*height, &answer)?);
            }
        }
        Ok(blocks)
    }

    /// The events of a range, whose last block it must have.
    pub async fn logs_between(&self, filter: &Filter, from: i64, to: i64) -> Result<Vec<Log>, RpcError> {
        let last = Ask::new("eth_getBlockByNumber", json!([wire::to_quantity(to), false]));
        let answers = self.ask(&[last, filter.between(from, to)]).await?;
        block_at(to, &answers[0])?;
        let logs = filter.checked(wire::logs(&answers[1])?)?;
        match logs.iter().find(|log| !(from..=to).contains(&log.height)) {
            None => Ok(logs),
            Some(log) => Err(RpcError::OtherBlock(log.height)),
        }
    }

    /// The events of each of those blocks, which it must have just as they are given.
    pub async fn logs_of(&self, filter: &Filter, blocks: &[&Mined]) -> Result<Vec<Vec<Log>>, RpcError> {
        let mut found = Vec::with_capacity(blocks.len());
        for part in blocks.chunks(IN_ONE_BATCH) {
            let pair = |block: &&Mined| {
                [Ask::new("eth_getBlockByHash", json!([block.hash, false])), filter.of_block(&block.hash)]
            };
            let asks: Vec<Ask> = part.iter().flat_map(pair).collect();
            let answers = self.ask(&asks).await?;
            for (block, pair) in part.iter().zip(answers.chunks_exact(2)) {
                found.push(logs_of_block(filter, block, &pair[0], &pair[1])?);
            }
        }
        Ok(found)
    }

    /// Asks, and first of all which chain this is, unless that is known.
    async fn ask(&self, asks: &[Ask]) -> Result<Vec<Box<RawValue>>, RpcError> {
        if self.with_condition(|condition| condition.is_of_our_chain) {
            return self.rpc.ask(asks).await?.into_iter().collect();
        }
        let which = std::iter::once(Ask::new("eth_chainId", json!([])));
        let with_chain: Vec<Ask> = which.chain(asks.iter().cloned()).collect();
        let mut answers = self.rpc.ask(&with_chain).await?.into_iter();
        let chain = answers.next().ok_or(RpcError::Unanswered)??;
        let found = wire::number(&chain)?;
        if u64::try_from(found) != Ok(self.chain_id) {
            return Err(RpcError::WrongChain { wanted: self.chain_id, found });
        }
        self.with_condition(|condition| condition.is_of_our_chain = true);
        answers.collect()
    }
}

fn block_at(height: i64, answer: &RawValue) -> Result<Mined, RpcError> {
    let block = wire::block(answer)?.ok_or(RpcError::NoBlock(height))?;
    if block.height != height {
        return Err(RpcError::OtherBlock(height));
    }
    Ok(block)
}

fn logs_of_block(filter: &Filter, block: &Mined, shown: &RawValue, logs: &RawValue) -> Result<Vec<Log>, RpcError> {
    let shown = wire::block(shown)?.ok_or(RpcError::NoBlock(block.height))?;
    let logs = filter.checked(wire::logs(logs)?)?;
    let is_of_block = |log: &Log| log.block == block.hash && log.height == block.height;
    if shown != *block || !logs.iter().all(is_of_block) {
        return Err(RpcError::OtherBlock(block.height));
    }
    Ok(logs)
}
