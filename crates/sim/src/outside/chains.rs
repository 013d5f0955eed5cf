//! The chains outside: what is mined, what vanishes again, and what their nodes show of it.
//!
//! One is near, as the sandbox's are; the others answer as the port allows to chains on somebody else's machine: blocks
//! without payments left out, the time of blocks in place of the time of day, confirmation by a number of blocks or by a
//! tag. Must never keep a payment back for longer than until the second look, and never show one that was not mined.

use super::{Outside, World};
use crate::market::CONFIRMATIONS;
use crate::plan::Fault;
use domain::asset::{self, Confirmation};
use domain::chain::{Block, ChainTransfer, Header, Scan, Side};
use domain::ids::{NetworkId, TransferId};
use domain::time::{Span, Time};
use server::ports::{AddressBook, Answer, BalanceQuestion, Network, Rhythm};
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// Blocks that a deep reorganisation replaces at most.
const DEEPEST: usize = 16;
/// Blocks of one answer; known ones are handed over again in one piece.
const AT_ONCE: i64 = 100;
/// What an answer kept back is shown from then on.
const SECOND_LOOK: Span = Span::seconds(30);
/// By then everything that was kept back was found.
const SHOWN: Span = Span::hours(3);
/// A silence as long as the window of a payment.
const LONG_SILENCE: Span = Span::minutes(30);
/// So many blocks at once are a jump of the tag.
const JUMP: i64 = 5;
/// A chain on another machine takes no new orders while it is not scanned through to a time so long ago.
const PATIENCE: Span = Span::minutes(20);

/// Where the operator keeps what he sweeps.
const COLD: &str = "the operator's own wallet";

/// How a chain is watched, and what confirms its payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// On the shop's own machine; a number of blocks confirms.
    #[default]
    Near,
    /// On somebody else's; a number of blocks confirms.
    Far,
    /// On somebody else's; the chain's own tag confirms.
    Tagged,
}

impl Kind {
    /// The simulated chain of a network of the market: those of the EVM are far.
    pub fn of(network: &asset::Network) -> Kind {
        match (network.kind, network.confirmation) {
            (asset::ChainKind::Svm, _) => Kind::Near,
            (asset::ChainKind::Evm, Confirmation::Blocks(_)) => Kind::Far,
            (asset::ChainKind::Evm, Confirmation::Safe | Confirmation::Finalized) => Kind::Tagged,
        }
    }
}

/// One chain.
#[derive(Debug, Default)]
pub struct Chain {
    kind: Kind,
    pub blocks: Vec<Block>,
    /// When each was mined.
    times: Vec<Time>,
    /// Sent and not mined yet.
    waiting: Vec<ChainTransfer>,
    /// Fell out of a block, and is mined again after that moment.
    adrift: Vec<(Time, ChainTransfer)>,
    /// Every payment that was ever in a block.
    mined: BTreeSet<TransferId>,
    /// Every payment that was ever confirmed.
    pub confirmed: BTreeSet<TransferId>,
    /// The newest block of this branch whose payments are among them.
    confirmed_through: usize,
    /// How far the tag has come, and whether it stands still.
    tag: i64,
    tag_stands: bool,
    /// Nobody answers until then.
    outage_until: Option<Time>,
    /// Since then nobody has answered.
    silent_since: Option<Time>,
    /// How many blocks behind it is seen.
    lag: usize,
    branches: u32,
    /// Payments that some answer kept back, and when the last one did.
    pub kept_back: BTreeSet<TransferId>,
    kept_back_at: Time,
    /// Everything up to this moment was shown, but for what was kept back.
    pub shown_through: Time,
    /// What a trace should tell.
    notes: Vec<String>,
}

/// What is odd about one answer.
#[derive(Debug, Clone, Copy, Default)]
struct Oddities {
    /// So many known blocks are handed over again.
    again: i64,
    /// Blocks without payments are left out.
    is_sparse: bool,
    /// The payments of a block are not shown yet.
    keeps_back: bool,
}

/// What becomes of a scan.
enum Asked {
    Answered(Result<Scan, String>),
    /// Nothing, for as long as anybody waits.
    Hangs,
}

impl World {
    /// Sends a payment; answers its id. It is mined with the next block.
    pub fn send(&mut self, network: &NetworkId, transfer: ChainTransfer) -> TransferId {
        self.transfers += 1;
        let id = TransferId::new(format!("{network}|tx{}|0", self.transfers));
        if let Some(chain) = self.chains.get_mut(network) {
            chain.waiting.push(ChainTransfer { id: id.clone(), ..transfer });
        }
        id
    }

    /// Mines a block on every chain.
    pub fn mine(&mut self) {
        let now = self.now;
        self.chains.values_mut().for_each(|chain| chain.mine(now));
    }

    /// The operator sweeps a deposit of some chain, at times to an address that is a deposit address, too. Answers what he
    /// sent.
    pub fn sweep(&mut self) -> Option<ChainTransfer> {
        let mut rng = self.rng.branch();
        let networks: Vec<NetworkId> = self.chains.keys().cloned().collect();
        let network = rng.pick(&networks)?;
        let chain = self.chains.get(network)?;
        let lies_there = |transfer: &&ChainTransfer| {
            transfer.from.is_none() && chain.confirmed.contains(&transfer.id) && !self.swept.contains(&transfer.id)
        };
        let mined = chain.blocks.iter().flat_map(|block| &block.transfers);
        let deposits: Vec<ChainTransfer> = mined.filter(lies_there).cloned().collect();
        let deposit = rng.pick(&deposits)?.clone();
        let other = rng.pick(&deposits)?.to.clone();
        let to = if rng.happens(200) && other != deposit.to { other } else { COLD.to_owned() };
        self.swept.insert(deposit.id.clone());
        let sweep = ChainTransfer { from: Some(deposit.to.clone()), to, ..deposit };
        let id = self.send(network, sweep.clone());
        Some(ChainTransfer { id, ..sweep })
    }

    /// Replaces the newest blocks of a chain: each payment in them is gone, waits again for the next block
    /// or for longer, or is a smaller one now.
    pub fn reorganise(&mut self, network: &NetworkId, depth: usize) {
        let now = self.now;
        let mut rng = self.rng.branch();
        let Some(chain) = self.chains.get_mut(network) else { return };
        let dropped = chain.fork(depth);
        for transfer in dropped.iter().flat_map(|block| block.transfers.clone()) {
            match rng.below(4) {
                0 => {}
                1 => {
                    self.transfers += 1;
                    let id = TransferId::new(format!("{network}|tx{}|0", self.transfers));
                    let units = (transfer.units / 2).max(1);
                    chain.notes.push(format!("{} is replaced by the smaller {id}", transfer.id));
                    // The chain may keep more decimals than the ledger.
                    let zeros = transfer.raw.strip_prefix(&transfer.units.to_string()).unwrap_or_default();
                    let raw = format!("{units}{zeros}");
                    chain.waiting.push(ChainTransfer { id, units, raw, ..transfer });
                }
                2 => {
                    let longest = if rng.happens(500) { 12 } else { 1_200 };
                    let later = now + Span::seconds(rng.between(1, longest));
                    chain.adrift.push((later, transfer));
                }
                _ => chain.waiting.push(transfer),
            }
        }
        for _ in 0..=dropped.len() {
            chain.mine(now);
        }
    }

    /// A chain whose payment in its newest blocks is confirmed, and how many blocks must go for that payment to go.
    pub fn newest_confirmed(&self, confirmations: usize) -> Option<(NetworkId, usize)> {
        let within = |chain: &Chain| {
            let carries = |block: &&Block| !block.transfers.is_empty();
            let newest = chain.blocks.iter().rev().take(DEEPEST).skip(confirmations - 1).find(carries)?;
            Some(chain.blocks.len() - newest.height as usize + 1)
        };
        self.chains.iter().find_map(|(id, chain)| within(chain).map(|depth| (id.clone(), depth)))
    }

    /// Lag and outages come and go, and tags stand still.
    pub fn weather(&mut self) {
        let networks: Vec<NetworkId> = self.chains.keys().cloned().collect();
        for network in networks {
            let (out, long) = (self.strikes(Fault::Outage), self.rng.between(1, 150));
            let (lags, stands) = (self.strikes(Fault::Lag), self.strikes(Fault::TagStands));
            let lag = if lags { self.rng.below(6) as usize } else { 0 };
            let now = self.now;
            let Some(chain) = self.chains.get_mut(&network) else { continue };
            (chain.lag, chain.tag_stands) = (lag, stands);
            if out && chain.outage_until.is_none_or(|until| until < now) {
                chain.outage_until = Some(now + Span::minutes(long));
                chain.silent_since.get_or_insert(now);
            }
        }
    }

    /// What the chains' nodes did since the last call that a trace should tell.
    pub fn notes(&mut self) -> Vec<String> {
        let chains = self.chains.iter_mut();
        chains.flat_map(|(id, chain)| chain.notes.drain(..).map(move |note| format!("{id}: {note}"))).collect()
    }

    /// Whether a scan hangs that was not told of yet: nothing else in the simulator may keep anybody waiting.
    pub fn has_hung(&mut self) -> bool {
        std::mem::take(&mut self.hangs)
    }

    fn asked(&mut self, network: &NetworkId, known: &[Header]) -> Asked {
        let is_far = self.chains.get(network).is_some_and(Chain::is_far);
        let again = if self.strikes(Fault::Duplicate) { self.rng.below(5) as i64 } else { 0 };
        let (hangs, fails) = (is_far && self.strikes(Fault::ScanHangs), is_far && self.strikes(Fault::ScanFails));
        let (is_sparse, keeps_back) = (is_far && self.strikes(Fault::Sparse), is_far && self.strikes(Fault::KeepsBack));
        let now = self.now;
        let Some(chain) = self.chains.get_mut(network) else { return Asked::Answered(Err("no such chain".to_owned())) };
        if hangs {
            chain.notes.push("says nothing at all".to_owned());
            self.hangs = true;
            return Asked::Hangs;
        }
        if fails {
            chain.notes.push("gives no answer this once".to_owned());
            return Asked::Answered(Err("no answer this once".to_owned()));
        }
        Asked::Answered(chain.scan(known, now, Oddities { again, is_sparse, keeps_back }))
    }
}

impl Chain {
    pub(super) fn new(kind: Kind) -> Chain {
        Chain { kind, ..Chain::default() }
    }

    fn is_far(&self) -> bool {
        self.kind != Kind::Near
    }

    /// Nothing goes wrong from here on.
    pub(super) fn clear_up(&mut self) {
        (self.lag, self.outage_until, self.tag_stands) = (0, None, false);
    }

    fn mine(&mut self, now: Time) {
        let height = self.blocks.len() as i64 + 1;
        let parent = self.blocks.last().map_or("-".to_owned(), |block| block.hash.clone());
        let mut transfers = std::mem::take(&mut self.waiting);
        transfers.extend(self.adrift.extract_if(.., |(later, _)| *later <= now).map(|(_, transfer)| transfer));
        transfers.iter_mut().for_each(|transfer| transfer.block_at = now);
        for transfer in &transfers {
            if !self.mined.insert(transfer.id.clone()) {
                self.notes.push(format!("{} is mined again, in block {height}", transfer.id));
            }
        }
        self.times.push(now);
        self.blocks.push(Block { height, hash: format!("{height}/{}", self.branches), parent, transfers });
        self.confirm();
    }

    /// Notes what is confirmed by now.
    fn confirm(&mut self) {
        let deep_enough = self.blocks.len() as i64 - i64::from(CONFIRMATIONS) + 1;
        if !self.tag_stands {
            if deep_enough - self.tag >= JUMP && self.kind == Kind::Tagged {
                self.notes.push(format!("the tag jumps from block {} to {deep_enough}", self.tag));
            }
            self.tag = self.tag.max(deep_enough);
        }
        let through = if self.kind == Kind::Tagged { self.tag } else { deep_enough };
        let through = usize::try_from(through).unwrap_or(0);
        let newly = self.blocks.iter().take(through).skip(self.confirmed_through);
        self.confirmed.extend(newly.flat_map(|block| &block.transfers).map(|transfer| transfer.id.clone()));
        self.confirmed_through = self.confirmed_through.max(through);
    }

    /// Another branch begins below the newest blocks, which are answered.
    fn fork(&mut self, depth: usize) -> Vec<Block> {
        let kept = self.blocks.len().saturating_sub(depth);
        let dropped = self.blocks.drain(kept..).collect();
        self.times.truncate(kept);
        self.branches += 1;
        self.tag = self.tag.min(kept as i64);
        self.confirmed_through = self.confirmed_through.min(kept);
        dropped
    }

    fn scan(&mut self, known: &[Header], now: Time, odd: Oddities) -> Result<Scan, String> {
        if self.outage_until.is_some_and(|until| now < until) {
            return Err("no answer".to_owned());
        }
        let visible = &self.blocks[..self.blocks.len().saturating_sub(self.lag)];
        let (tip, known_tip) = (visible.len() as i64, known.last().map_or(0, |newest| newest.height));
        if known_tip > tip {
            return Err("the node is behind what was seen".to_owned());
        }
        let keep_through = self.keep_through(visible, known, now, odd.again);
        let most = (known_tip - keep_through).max(AT_ONCE) as usize;
        let from = keep_through.max(0) as usize;
        let mut blocks: Vec<Block> = visible[from..].iter().take(most).cloned().collect();
        let is_whole = from + blocks.len() == visible.len();
        // Everything before the first block that is not seen was handed over.
        let unseen = self.times.get(visible.len()).map_or(now, |mined| Time(mined.0 - 1));
        let last_height = blocks.last().map_or(keep_through, |block| block.height);
        let last_at = self.time_of(last_height);
        let scanned_through = match self.kind {
            Kind::Near => unseen,
            // The next block may have the time of this one.
            Kind::Far | Kind::Tagged => Time(last_at.0 - 1),
        };
        let scanned_through = if is_whole || self.is_far() { scanned_through } else { Time(0) };
        let kept_back = odd.keeps_back && self.keep_back(&mut blocks, known_tip, now);
        let sparse_through = if odd.is_sparse && !kept_back { self.leave_out(&mut blocks) } else { 0 };
        self.answered(now);
        self.shown_through = self.shown_through.max(scanned_through).max(last_at);
        let tagged_through = (self.kind == Kind::Tagged).then(|| self.tag.min(tip));
        let head = self.is_far().then_some(tip);
        Ok(Scan { keep_through, blocks, scanned_through, sparse_through, tagged_through, head, ..Scan::default() })
    }

    /// What came to each address and did not leave, after that block.
    fn balances(&self, question: &BalanceQuestion) -> Result<Option<Vec<i128>>, String> {
        let through = usize::try_from(question.height).unwrap_or(0);
        let block = self.blocks.get(through.wrapping_sub(1)).filter(|block| block.hash == question.block_hash);
        block.ok_or("that block is gone")?;
        let mined = self.blocks[..through].iter().flat_map(|block| &block.transfers);
        let of_asset: Vec<&ChainTransfer> = mined.filter(|transfer| transfer.asset == question.asset).collect();
        let raw = |transfer: &ChainTransfer| transfer.raw.parse::<i128>().expect("raw amounts are numbers");
        let of = |address: &String| -> i128 {
            let sign = |transfer: &ChainTransfer| {
                i128::from(transfer.to == *address) - i128::from(transfer.from.as_ref() == Some(address))
            };
            of_asset.iter().map(|transfer| sign(transfer) * raw(transfer)).sum()
        };
        Ok(Some(question.addresses.iter().map(of).collect()))
    }

    fn time_of(&self, height: i64) -> Time {
        let at = usize::try_from(height - 1).ok();
        at.and_then(|at| self.times.get(at)).copied().unwrap_or_default()
    }

    /// Up to where what is known stays: the newest block that is the same, or one below what is to be read again. Always a
    /// known one, or all of them are handed over anew.
    fn keep_through(&self, visible: &[Block], known: &[Header], now: Time, again: i64) -> i64 {
        let same = |header: &&Header| {
            let at = usize::try_from(header.height - 1).ok();
            at.and_then(|at| visible.get(at)).filter(|block| block.hash == header.hash)
        };
        let common = known.iter().rev().find(|header| same(header).is_some()).map_or(0, |header| header.height);
        let lacks = |header: &&Header| same(header).is_some_and(|block| block.transfers.len() > header.transfers.len());
        let is_time = now.since(self.kept_back_at) >= SECOND_LOOK;
        let missed = known.iter().find(lacks).filter(|_| is_time).map(|header| header.height);
        let below = missed.map_or(common - again, |missed| common.min(missed - 1));
        let stays = known.iter().rev().map(|header| header.height).find(|height| *height <= below);
        stays.unwrap_or(known.first().map_or(0, |first| first.height - 1)).min(common)
    }

    /// Leaves the payments of a block that is new out of an answer.
    fn keep_back(&mut self, blocks: &mut [Block], known_tip: i64, now: Time) -> bool {
        let new = blocks.iter_mut().filter(|block| block.height > known_tip).find(|block| !block.transfers.is_empty());
        let Some(block) = new else { return false };
        self.notes.push(format!("keeps back the payments of block {}", block.height));
        self.kept_back.extend(block.transfers.drain(..).map(|transfer| transfer.id));
        self.kept_back_at = now;
        true
    }

    /// Leaves out the blocks without payments, but for the last one; answers its height.
    fn leave_out(&mut self, blocks: &mut Vec<Block>) -> i64 {
        let (last, count) = (blocks.last().map_or(0, |block| block.height), blocks.len());
        blocks.retain(|block| block.height == last || !block.transfers.is_empty());
        if blocks.len() < count {
            self.notes.push(format!("leaves out {} blocks", count - blocks.len()));
        }
        last
    }

    /// A silence is over.
    fn answered(&mut self, now: Time) {
        let Some(since) = self.silent_since.take().filter(|since| now.since(*since) > LONG_SILENCE) else { return };
        let within = self.blocks.iter().zip(&self.times).filter(|(_, mined)| **mined > since);
        let payments: usize = within.map(|(block, _)| block.transfers.len()).sum();
        if payments > 0 {
            let minutes = now.since(since).0 / 60_000;
            self.notes.push(format!("answers after {minutes} minutes in which payments were mined"));
        }
    }
}

/// A chain as the watcher sees it.
pub struct Node {
    outside: Outside,
    id: NetworkId,
    rhythm: Option<Rhythm>,
}

impl Node {
    pub fn new(outside: Outside, network: &asset::Network) -> Node {
        let rhythm = || Rhythm { pace: Duration::from_secs(1), bell: Arc::default(), patience: PATIENCE };
        let rhythm = (Kind::of(network) != Kind::Near).then(rhythm);
        Node { outside, id: network.id.clone(), rhythm }
    }

    /// Leaves the payments to and from us, as everybody does who sees those of all the world.
    async fn only_ours(&self, mut scan: Scan, book: &dyn AddressBook) -> Result<Scan, String> {
        let transfers = scan.blocks.iter().flat_map(|block| &block.transfers);
        let touched: BTreeSet<String> =
            transfers.flat_map(|transfer| transfer.from.iter().chain([&transfer.to])).cloned().collect();
        let touched: Vec<String> = touched.into_iter().collect();
        let ours = book.ours(&touched).await?;
        if self.rhythm.is_some() && self.outside.world().strikes(Fault::BookFails) {
            if let Some(chain) = self.outside.world().chains.get_mut(&self.id) {
                chain.notes.push("asks whose addresses they are, and is not told".to_owned());
            }
            return Err("the addresses of the pool were not read".to_owned());
        }
        for block in &mut scan.blocks {
            block.transfers.retain_mut(|transfer| {
                let left = transfer.from.as_ref().is_some_and(|from| ours.contains(from));
                transfer.side = match (left, ours.contains(&transfer.to)) {
                    (false, false) => return false,
                    (false, true) => Side::In,
                    (true, false) => Side::Out,
                    (true, true) => Side::Within,
                };
                true
            });
        }
        Ok(scan)
    }
}

impl Network for Node {
    fn id(&self) -> &NetworkId {
        &self.id
    }

    fn scan<'a>(
        &'a self,
        known: &'a [Header],
        book: &'a dyn AddressBook,
        _now: Time,
    ) -> Answer<'a, Result<Scan, String>> {
        self.outside.crash_point();
        let asked = self.outside.world().asked(&self.id, known);
        Box::pin(async move {
            let scan = match asked {
                Asked::Answered(answer) => self.only_ours(answer?, book).await,
                Asked::Hangs => pending().await,
            };
            self.outside.crash_point();
            scan
        })
    }

    fn rhythm(&self) -> Option<&Rhythm> {
        self.rhythm.as_ref()
    }

    fn balances<'a>(
        &'a self,
        question: &'a BalanceQuestion,
        _now: Time,
    ) -> Answer<'a, Result<Option<Vec<i128>>, String>> {
        let world = self.outside.world();
        let found = world.chains.get(&self.id).map_or(Ok(None), |chain| {
            // What an answer kept back is found by a later look: until then the books must differ.
            let is_shown = chain.kept_back.is_empty() || !world.faults && world.now.since(chain.kept_back_at) >= SHOWN;
            if is_shown { chain.balances(question) } else { Ok(None) }
        });
        Box::pin(std::future::ready(found))
    }
}
