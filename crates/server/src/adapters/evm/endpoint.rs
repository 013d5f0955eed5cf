//! One node of a network: what it is asked, and how it is checked that it answers for the chain and the blocks that were
//! asked about.
//!
//! A node behind a load balancer is several machines, one of which may lag: an empty list of events means nothing by
//! itself (go-ethereum#24078). So events are asked for by the hash of their block, or in one batch with the last block of
//! their range, which the same machine must have. Must never decide between nodes: that is `scan`'s.

use super::address::Address;
use super::amount::Amount;
use super::rpc::{Answered, Ask, LARGEST_ANSWER, LARGEST_BLOCK, Rpc, RpcError};
use super::wire::{self, BALANCE_OF, Log, Mined, TRANSFER};
use super::{Range, Token};
use crate::adapters::rest::Rest;
use domain::time::{Span, Time};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Blocks, or events of single blocks, that one batch asks for at most: with the questions that prove the block, twice as
/// many, and one for the chain. What a node does not answer is halved, and after a while tried larger again.
const IN_ONE_BATCH: i64 = 25;

/// What asks a token for its decimals: the first bytes of the hash of `decimals()` (EIP-20).
const DECIMALS: &str = "0x313ce567";

/// Above this height every chain that has the tags of confirmation has a block for them.
const YOUNG: i64 = 1_000;

/// One that stood alone against the others about events that cannot change is asked last for this long; each further
/// time doubles it. No success makes that good.
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
    /// Blocks that one batch asks for now.
    batch: Mutex<Range>,
}

#[derive(Default)]
struct Condition {
    is_of_our_chain: bool,
    /// What the configuration says of the tokens was compared with it.
    has_our_tokens: bool,
    rest: Rest,
    /// How often it stood alone since the start, and until when it rests for that.
    stood_alone: u32,
    alone_until: Time,
}

/// Which events are asked for.
pub struct Filter {
    touches: Touches,
    /// The same as nodes read it, without blocks.
    asked: Value,
}

enum Touches {
    Contracts(BTreeSet<Address>),
    /// Of any contract whatever.
    Receivers(BTreeSet<Address>),
}

impl Filter {
    /// Transfers of those tokens.
    pub fn new(contracts: BTreeSet<Address>) -> Filter {
        let addresses: Vec<String> = contracts.iter().map(Address::small).collect();
        let asked = json!({ "address": addresses, "topics": [TRANSFER] });
        Filter { touches: Touches::Contracts(contracts), asked }
    }

    /// Transfers to those addresses.
    pub fn to(receivers: BTreeSet<Address>) -> Filter {
        let words: Vec<String> = receivers.iter().map(Address::word).collect();
        let asked = json!({ "topics": [TRANSFER, null, words] });
        Filter { touches: Touches::Receivers(receivers), asked }
    }

    fn between(&self, from: i64, to: i64) -> Ask {
        let mut filter = self.asked.clone();
        filter["fromBlock"] = json!(wire::to_quantity(from));
        filter["toBlock"] = json!(wire::to_quantity(to));
        Ask::new("eth_getLogs", json!([filter]))
    }

    fn of_block(&self, hash: &str) -> Ask {
        let mut filter = self.asked.clone();
        filter["blockHash"] = json!(hash);
        Ask::new("eth_getLogs", json!([filter]))
    }

    /// The same for each contract by itself.
    fn parts(&self) -> Vec<Filter> {
        match &self.touches {
            Touches::Contracts(contracts) => {
                contracts.iter().map(|contract| Filter::new(BTreeSet::from([*contract]))).collect()
            }
            Touches::Receivers(receivers) => vec![Filter::to(receivers.clone())],
        }
    }

    /// Other events were not asked for: whoever sends them cannot be right about the rest.
    fn checked(&self, logs: Vec<Log>) -> Result<Vec<Log>, RpcError> {
        let was_asked_for = |log: &Log| match &self.touches {
            Touches::Contracts(contracts) => contracts.contains(&log.contract),
            Touches::Receivers(receivers) => receivers.contains(&log.to),
        };
        match logs.iter().all(was_asked_for) {
            true => Ok(logs),
            false => Err(RpcError::Unclear("an event that nobody asked for")),
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
        let batch = Mutex::new(Range::new(IN_ONE_BATCH));
        Endpoint { number, name, rpc, chain_id, condition: Mutex::default(), batch }
    }

    /// When it is worth asking before others again.
    pub fn rests_until(&self) -> Time {
        self.with_condition(|condition| condition.rest.until().max(condition.alone_until))
    }

    /// It failed, or was told apart from the others.
    pub fn failed(&self, now: Time) {
        self.with_condition(|condition| {
            // Behind one address another node may stand by now.
            condition.is_of_our_chain = false;
            condition.rest.failed(now);
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
        self.with_condition(|condition| condition.rest = Rest::default());
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
            Some(_) => match wire::block(&answers[1])? {
                Some(tagged) => Some(tagged.height),
                // A young chain has no such block yet: nothing is confirmed. An old one of which a node says so would
                // confirm nothing for ever, and seem well.
                None if block.height <= YOUNG => Some(-1),
                None => {
                    return Err(RpcError::Unclear("no block for the tag that confirms, on a chain that is not new"));
                }
            },
        };
        Ok(Newest { block, tagged })
    }

    /// The blocks at those heights, all of which it must have.
    pub async fn blocks(&self, heights: &[i64]) -> Result<Vec<Mined>, RpcError> {
        let mut blocks = Vec::with_capacity(heights.len());
        while blocks.len() < heights.len() {
            let part = self.part(&heights[blocks.len()..]);
            let ask = |height: &i64| Ask::new("eth_getBlockByNumber", json!([wire::to_quantity(*height), false]));
            let asks: Vec<Ask> = part.iter().map(ask).collect();
            let Some(answers) = self.ask_part(&asks, part.len()).await? else { continue };
            for (height, answer) in part.iter().zip(answers) {
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
        while found.len() < blocks.len() {
            let part = self.part(&blocks[found.len()..]);
            let asks: Vec<Ask> = part.iter().flat_map(|block| pair(filter, block)).collect();
            match self.ask_part(&asks, part.len()).await {
                Ok(Some(answers)) => {
                    for (block, pair) in part.iter().zip(answers.chunks_exact(2)) {
                        found.push(logs_of_block(filter, block, &pair[0], &pair[1])?);
                    }
                }
                Ok(None) => {}
                Err(error) if part.len() == 1 && error.may_be_too_much() && error != RpcError::Slow => {
                    found.push(self.logs_by_contract(filter, part[0]).await?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The events of one block that are too many for one answer: anybody can make a listed token write them. They are asked
    /// for contract by contract, and may be larger.
    async fn logs_by_contract(&self, filter: &Filter, block: &Mined) -> Result<Vec<Log>, RpcError> {
        let mut found = Vec::new();
        for filter in filter.parts() {
            let answers = self.ask_for(&pair(&filter, block), LARGEST_BLOCK).await?;
            let [shown, logs] = &answers[..] else { return Err(RpcError::Unanswered) };
            found.extend(logs_of_block(&filter, block, shown, logs)?);
        }
        found.sort_by_key(|log| log.index);
        Ok(found)
    }

    /// Every transfer of a block, whatever the token, listed or not. Much: for questions that are asked once.
    pub async fn every_log_of(&self, height: i64, hash: &str) -> Result<Vec<Log>, RpcError> {
        let block = Ask::new("eth_getBlockByHash", json!([hash, false]));
        let all = Ask::new("eth_getLogs", json!([{ "blockHash": hash, "topics": [TRANSFER] }]));
        let answers = self.ask_for(&[block, all], LARGEST_BLOCK).await?;
        let shown = wire::block(&answers[0])?.ok_or(RpcError::NoBlock(height))?;
        let logs = wire::logs(&answers[1])?;
        if shown.hash != hash || logs.iter().any(|log| log.block != hash) {
            return Err(RpcError::OtherBlock(height));
        }
        Ok(logs)
    }

    /// As many of those as one batch asks for now.
    fn part<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let most = usize::try_from(self.with_batch(|batch| batch.now)).unwrap_or(1);
        &all[..all.len().min(most)]
    }

    /// Asks what belongs to so many blocks; `None` if that was too much, and less is to be asked for.
    async fn ask_part(&self, asks: &[Ask], blocks: usize) -> Result<Option<Vec<Box<RawValue>>>, RpcError> {
        self.sized(self.ask(asks).await, blocks)
    }

    fn sized<T>(&self, answered: Result<T, RpcError>, blocks: usize) -> Result<Option<T>, RpcError> {
        match answered {
            Ok(answers) => {
                self.with_batch(Range::did_well);
                Ok(Some(answers))
            }
            Err(error) if blocks > 1 && error.may_be_too_much() => {
                self.with_batch(|batch| batch.halve(i64::try_from(blocks).unwrap_or(1)));
                // Whoever kept us waiting is asked for less the next time.
                if error == RpcError::Slow { Err(error) } else { Ok(None) }
            }
            Err(error) => Err(error),
        }
    }

    fn with_batch<T>(&self, change: impl FnOnce(&mut Range) -> T) -> T {
        change(&mut self.batch.lock().expect("nobody panics while holding the size of a batch"))
    }

    /// How much of a token each of those holds after a block, which it must have on its chain as the one of that hash.
    pub async fn balances_of(
        &self,
        contract: &Address,
        holders: &[Address],
        block_hash: &str,
    ) -> Result<Vec<Amount>, RpcError> {
        let at = json!({ "blockHash": block_hash, "requireCanonical": true });
        let mut found = Vec::with_capacity(holders.len());
        let mut rest = holders;
        while !rest.is_empty() {
            let part = self.part(rest);
            let ask = |holder: &Address| {
                let data = format!("{BALANCE_OF}{:0>64}", holder.small().trim_start_matches("0x"));
                Ask::new("eth_call", json!([{ "to": contract.small(), "data": data }, at]))
            };
            let asks: Vec<Ask> = part.iter().map(ask).collect();
            let Some(answers) = self.ask_part(&asks, part.len()).await? else { continue };
            for answer in answers {
                found.push(wire::amount(&answer)?);
            }
            rest = &rest[part.len()..];
        }
        Ok(found)
    }

    /// What those addresses have of the network's own coin, in their order.
    pub async fn balances(&self, addresses: &[Address]) -> Result<Vec<Amount>, RpcError> {
        let mut balances = Vec::with_capacity(addresses.len());
        let mut rest = addresses;
        while !rest.is_empty() {
            let part = self.part(rest);
            let ask = |address: &Address| Ask::new("eth_getBalance", json!([address.small(), "latest"]));
            let asks: Vec<Ask> = part.iter().map(ask).collect();
            let Some(answers) = self.ask_part(&asks, part.len()).await? else { continue };
            for answer in answers {
                balances.push(wire::balance(&answer)?);
            }
            rest = &rest[part.len()..];
        }
        Ok(balances)
    }

    async fn ask(&self, asks: &[Ask]) -> Result<Vec<Box<RawValue>>, RpcError> {
        self.ask_for(asks, LARGEST_ANSWER).await
    }

    async fn ask_for(&self, asks: &[Ask], most: usize) -> Result<Vec<Box<RawValue>>, RpcError> {
        self.ask_each(asks, most).await?.into_iter().collect()
    }

    /// Asks, and first of all which chain this is, unless that is known.
    async fn ask_each(&self, asks: &[Ask], most: usize) -> Result<Vec<Answered>, RpcError> {
        if self.with_condition(|condition| condition.is_of_our_chain) {
            return self.rpc.ask(asks, most).await;
        }
        let which = std::iter::once(Ask::new("eth_chainId", json!([])));
        let with_chain: Vec<Ask> = which.chain(asks.iter().cloned()).collect();
        let mut answers = self.rpc.ask(&with_chain, most).await?.into_iter();
        let chain = answers.next().ok_or(RpcError::Unanswered)??;
        let found = wire::number(&chain)?;
        if u64::try_from(found) != Ok(self.chain_id) {
            return Err(RpcError::WrongChain { wanted: self.chain_id, found });
        }
        self.with_condition(|condition| condition.is_of_our_chain = true);
        Ok(answers.collect())
    }

    /// Compares what the configuration says of the tokens with what the chain says, once: a decimal too many is a payment
    /// ten times too large.
    ///
    /// # Errors
    /// An address without a contract, and other decimals. A contract that does not know the question is believed, and told.
    pub async fn check_tokens(&self, tokens: &BTreeMap<Address, Token>) -> Result<(), RpcError> {
        if self.with_condition(|condition| condition.has_our_tokens) {
            return Ok(());
        }
        let tokens: Vec<(&Address, &Token)> = tokens.iter().collect();
        let mut checked = 0;
        while checked < tokens.len() {
            let part = self.part(&tokens[checked..]);
            let asks: Vec<Ask> = part.iter().flat_map(|(contract, _)| about_token(contract)).collect();
            let answers = self.ask_each(&asks, LARGEST_ANSWER).await;
            let Some(answers) = self.sized(answers, part.len())? else { continue };
            for ((contract, token), answers) in part.iter().zip(answers.chunks_exact(2)) {
                if !is_as_configured(contract, token.decimals, &answers[0], &answers[1])? {
                    let (node, token) = (&self.name, contract.to_string());
                    tracing::warn!(%node, %token, "a token does not say its decimals: those of the configuration are believed");
                }
            }
            checked += part.len();
        }
        self.with_condition(|condition| condition.has_our_tokens = true);
        Ok(())
    }
}

fn about_token(contract: &Address) -> [Ask; 2] {
    let call = json!({ "to": contract.small(), "data": DECIMALS });
    let code = Ask::new("eth_getCode", json!([contract.small(), "latest"]));
    [code, Ask::new("eth_call", json!([call, "latest"]))]
}

/// Whether the contract says so itself; `false` where it says nothing.
fn is_as_configured(
    contract: &Address,
    configured: u32,
    code: &Answered,
    decimals: &Answered,
) -> Result<bool, RpcError> {
    let code = wire::text(code.as_ref().map_err(Clone::clone)?)?;
    if code.trim_start_matches("0x").is_empty() {
        return Err(RpcError::NoContract(contract.to_string()));
    }
    let decimals = match decimals {
        Ok(decimals) => wire::text(decimals)?,
        Err(error) if error.is_revert() => return Ok(false),
        Err(error) => return Err(error.clone()),
    };
    if decimals == "0x" {
        return Ok(false);
    }
    let found = Amount::of_word(&decimals).ok_or(RpcError::Unclear("decimals that are no number"))?.to_string();
    if found != configured.to_string() {
        return Err(RpcError::OtherDecimals { contract: contract.to_string(), configured, found });
    }
    Ok(true)
}

/// What asks for a block and its events.
fn pair(filter: &Filter, block: &Mined) -> [Ask; 2] {
    [Ask::new("eth_getBlockByHash", json!([block.hash, false])), filter.of_block(&block.hash)]
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
