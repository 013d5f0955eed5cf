//! The way from the blocks that are known to the newest one. Catching up and following are the same way from the same
//! anchor, so that nothing falls between the two.
//!
//! Near the newest block every block is read and must be the child of the one before. Far from it blocks without money of
//! ours are left out: there the whole council looks for events itself. Either way the events of a block with money of ours
//! are those that every node of the council shows for that block's hash. Must never hand over less of a block than was
//! handed over before: what a node does not show any more of the very same block is its fault.

use super::Address;
use super::EvmNetwork;
use super::again::Suspicion;
use super::certain::{Events, Shown};
use super::council::{Council, Fault};
use super::endpoint::Endpoint;
use super::rpc::RpcError;
use super::wire::{Log, Mined};
use crate::ports::AddressBook;
use domain::chain::{Block, Header, Scan, Side, WINDOW};
use domain::ids::TransferId;
use domain::time::Time;
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};

/// Where the first scan of a network begins, in blocks before the newest: deep enough that a reorganisation of it is
/// noticed as one.
const FIRST_BLOCKS: i64 = 64;
/// Blocks that one scan reads one by one.
const DENSE: i64 = 128;
/// Further behind than this, blocks are left out.
const FAR: i64 = 2 * WINDOW as i64;
/// So many blocks are asked for their events by hash at once; for more, a range is cheaper.
const BY_HASH: usize = 8;
/// Known blocks that are compared at once on the way back to the common one.
const STEP_BACK: usize = 16;
/// Blocks at the end that a witness may not have as the leader has them: they are left for the next scan.
const UNSETTLED: usize = 4;

/// What one scan goes by.
pub(super) struct Reading<'a> {
    pub network: &'a EvmNetwork,
    pub council: Council<'a>,
    /// Oldest first.
    pub known: &'a [Header],
    pub book: &'a dyn AddressBook,
    pub now: Time,
}

/// An event that moves money to or from us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ours {
    pub log: Log,
    pub side: Side,
}

/// Where it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    /// What is known up to this height stays.
    pub height: i64,
    /// The hash of the block there, if that is known.
    pub hash: Option<String>,
}

impl Anchor {
    fn at(header: &Header) -> Anchor {
        Anchor { height: header.height, hash: Some(header.hash.clone()) }
    }
}

impl EvmNetwork {
    /// One scan: at most as much as fits into one commit.
    pub(super) async fn scan_chain(&self, known: &[Header], book: &dyn AddressBook, now: Time) -> Result<Scan, Fault> {
        let council = self.council(known.last().map_or(0, |tip| tip.height), now).await?;
        let (head, tagged_through) = (council.height, council.tagged_through);
        let reading = Reading { network: self, council, known, book, now };
        let anchor = reading.anchor().await?;
        let suspicion = reading.look_again().await;
        let anchor = reading.below(&suspicion, anchor);
        let scan = if head - anchor.height > FAR {
            reading.sparse(&anchor, &suspicion).await?
        } else {
            reading.dense(&anchor, &suspicion).await?
        };
        reading.council.seats.iter().for_each(|seat| seat.node.did_well());
        let scanned_through = if reading.ranges_wait() { Time(0) } else { scan.scanned_through };
        Ok(Scan { head: Some(head), tagged_through, scanned_through, ..scan })
    }
}

impl Reading<'_> {
    pub(super) fn tip_height(&self) -> i64 {
        self.known.last().map_or(-1, |tip| tip.height)
    }

    /// The newest known block that the leader still has.
    async fn anchor(&self) -> Result<Anchor, Fault> {
        let leader = self.council.leader();
        let Some((tip, older)) = self.known.split_last() else {
            return Ok(Anchor { height: (self.council.height - FIRST_BLOCKS).max(-1), hash: None });
        };
        if tip.is_place() {
            return Ok(Anchor { height: tip.height, hash: None });
        }
        let newest = &leader.newest;
        let is_tip = newest.height == tip.height && newest.hash == tip.hash;
        let is_child = newest.height == tip.height + 1 && newest.parent == tip.hash;
        if is_tip || is_child {
            return Ok(Anchor::at(tip));
        }
        for part in std::iter::once(std::slice::from_ref(tip)).chain(older.rchunks(STEP_BACK)) {
            let heights: Vec<i64> = part.iter().map(|header| header.height).collect();
            let shown = leader.node.blocks(&heights).await.map_err(|error| leader.fault(error))?;
            let common = part.iter().zip(&shown).rev().find(|(known, shown)| known.hash == shown.hash);
            if let Some((header, _)) = common {
                return Ok(Anchor::at(header));
            }
        }
        let (number, name) = (leader.node.number, leader.node.name.clone());
        Err(Fault::OtherChain { number, name, known: self.known.len() })
    }

    /// The anchor below what has to be read again.
    fn below(&self, suspicion: &Suspicion, anchor: Anchor) -> Anchor {
        let lowest = suspicion.claims.keys().next().filter(|lowest| **lowest <= anchor.height);
        let Some(lowest) = lowest else { return anchor };
        let before = self.known.iter().find(|header| header.height == lowest - 1);
        before.map_or(Anchor { height: lowest - 1, hash: None }, Anchor::at)
    }

    /// Every block above the anchor, up to a limit. What was known above it is handed over again in one piece: a part of it
    /// would look as if the rest had vanished.
    async fn dense(&self, anchor: &Anchor, suspicion: &Suspicion) -> Result<Scan, Fault> {
        let to = (anchor.height + DENSE).max(self.tip_height()).min(self.council.height);
        let mut mined = self.linked(anchor, to).await?;
        self.cut_to_agreed(&mut mined).await?;
        let (ours, by_hash) = self.ours_of_all(&mined).await?;
        let mut heights: BTreeSet<i64> = ours.iter().map(|ours| ours.log.height).collect();
        heights.extend(suspicion.claims.keys());
        let with_money: Vec<&Mined> = mined.iter().filter(|block| heights.contains(&block.height)).collect();
        let mut before = suspicion.shown(self, &mined);
        before.push(Shown { node: self.council.leader().node, ours, by_hash });
        let certain = self.certain_logs(&with_money, &before).await?;
        let blocks = self.blocks(&mined, &certain);
        let kept = self.check_nothing_is_lost(&blocks).await?;
        self.note_handed_over(suspicion);
        self.note_blocks(&blocks);
        Ok(Scan {
            keep_through: anchor.height,
            scanned_through: self.scanned_through(mined.last()),
            blocks,
            kept,
            // The blocks that stay may end further below, where the block before is not known any more.
            sparse_through: if anchor.hash.is_none() { anchor.height + 1 } else { 0 },
            ..Scan::default()
        })
    }

    /// A part of a long way: the blocks with money of ours, and the last one. What was known above the anchor is among them.
    async fn sparse(&self, anchor: &Anchor, suspicion: &Suspicion) -> Result<Scan, Fault> {
        let from = anchor.height + 1;
        let to = (anchor.height + self.network.range()).min(self.council.height - WINDOW as i64).max(self.tip_height());
        let looks = self.council.seats.iter().map(|seat| self.ours_in_ranges(seat.node, from, to, None));
        let mut heights = BTreeSet::from([to]);
        heights.extend(self.known.iter().map(|header| header.height).filter(|height| *height >= from));
        heights.extend(suspicion.claims.keys());
        let mut before = Vec::new();
        for (seat, ours) in self.council.seats.iter().zip(join_all(looks).await) {
            let ours = ours?;
            heights.extend(ours.iter().map(|ours| ours.log.height));
            before.push(Shown { node: seat.node, ours, by_hash: false });
        }
        let heights: Vec<i64> = heights.into_iter().collect();
        let leader = self.council.leader();
        let mined = leader.node.blocks(&heights).await.map_err(|error| leader.fault(error))?;
        for witness in self.council.witnesses() {
            let shown = witness.node.blocks(&[to]).await.map_err(|error| witness.fault(error))?;
            if shown.last() != mined.last() {
                return Err(self.council.differ(witness.node, to));
            }
        }
        let shown = before.iter().flat_map(|shown| &shown.ours).map(|ours| ours.log.height);
        let with_money: BTreeSet<i64> = shown.chain(suspicion.claims.keys().copied()).collect();
        before.extend(suspicion.shown(self, &mined));
        let asked: Vec<&Mined> = mined.iter().filter(|block| with_money.contains(&block.height)).collect();
        let certain = self.certain_logs(&asked, &before).await?;
        let blocks = self.blocks(&mined, &certain);
        let kept = self.check_nothing_is_lost(&blocks).await?;
        self.note_handed_over(suspicion);
        if self.asks_one_alone() {
            self.note_range(from, to, &blocks);
        }
        let scanned_through = self.scanned_through(mined.last());
        Ok(Scan { keep_through: anchor.height, scanned_through, blocks, kept, sparse_through: to, ..Scan::default() })
    }

    /// The leader's blocks above the anchor, each the child of the one before.
    async fn linked(&self, anchor: &Anchor, to: i64) -> Result<Vec<Mined>, Fault> {
        let leader = self.council.leader();
        let mut heights: Vec<i64> = (anchor.height + 1..=to).collect();
        let ends_with_newest = heights.last() == Some(&leader.newest.height);
        if ends_with_newest {
            heights.pop();
        }
        let mut mined = leader.node.blocks(&heights).await.map_err(|error| leader.fault(error))?;
        if ends_with_newest {
            mined.push(leader.newest.clone());
        }
        let (mut parent, mut at) = (anchor.hash.as_deref(), Time(0));
        for block in &mined {
            if parent.is_some_and(|parent| block.parent != parent) {
                return Err(Fault::Moved);
            }
            if block.at < at {
                return Err(leader.fault(RpcError::Unclear("a block that is older than its parent")));
            }
            (parent, at) = (Some(block.hash.as_str()), block.at);
        }
        Ok(mined)
    }

    /// Leaves the blocks that the witnesses have, too. The newest may differ for a moment; more than that is a fault.
    async fn cut_to_agreed(&self, mined: &mut Vec<Mined>) -> Result<(), Fault> {
        for witness in self.council.witnesses() {
            let Some(last) = mined.last() else { return Ok(()) };
            if witness.newest == *last {
                continue;
            }
            let height = last.height;
            let heights: Vec<i64> = mined.iter().rev().take(UNSETTLED).map(|block| block.height).collect();
            let shown = witness.node.blocks(&heights).await.map_err(|error| witness.fault(error))?;
            let unsettled = mined.iter().rev().zip(&shown).position(|(ours, theirs)| ours == theirs);
            let unsettled = unsettled.ok_or_else(|| self.council.differ(witness.node, height))?;
            mined.truncate(mined.len() - unsettled);
            // Handed over like this, the known blocks above would seem to be gone.
            if mined.last().is_none_or(|last| last.height < self.tip_height()) {
                return Err(self.council.differ(witness.node, height));
            }
        }
        Ok(())
    }

    /// The leader's events with money of ours, of blocks that hang together, and whether it was asked by their hashes.
    async fn ours_of_all(&self, mined: &[Mined]) -> Result<(Vec<Ours>, bool), Fault> {
        let leader = self.council.leader();
        let (Some(first), Some(last)) = (mined.first(), mined.last()) else { return Ok((Vec::new(), false)) };
        if mined.len() <= BY_HASH {
            let blocks: Vec<&Mined> = mined.iter().collect();
            let logs = leader.node.logs_of(&self.network.filter, &blocks).await;
            let logs = logs.map_err(|error| leader.fault(error))?.into_iter().flatten().collect();
            return Ok((self.ours(logs).await?, true));
        }
        let hashes: BTreeMap<i64, &str> = mined.iter().map(|block| (block.height, block.hash.as_str())).collect();
        Ok((self.ours_in_ranges(leader.node, first.height, last.height, Some(&hashes)).await?, false))
    }

    /// A node's events of a range with money of ours, asked for in parts that it can answer; of other blocks than those with
    /// the given hashes it must show none. Everybody else's are thrown away part by part: of a busy token they are many.
    pub(super) async fn ours_in_ranges(
        &self,
        node: &Endpoint,
        from: i64,
        to: i64,
        hashes: Option<&BTreeMap<i64, &str>>,
    ) -> Result<Vec<Ours>, Fault> {
        let (mut next, mut found) = (from, Vec::new());
        while next <= to {
            let end = to.min(next + self.network.range() - 1);
            let logs = match node.logs_between(&self.network.filter, next, end).await {
                Ok(logs) => logs,
                Err(error) if error.may_be_too_much() && end > next => {
                    self.network.with_range(|range| range.halve(end - next + 1));
                    continue;
                }
                // One block that is too much: contract by contract it may not be.
                Err(error) if error.may_be_too_much() && error != RpcError::Slow => {
                    self.logs_of_one(node, next).await.map_err(|error| Fault::of(node, error))?
                }
                Err(error) => return Err(Fault::of(node, error)),
            };
            let is_other = |log: &&Log| hashes.is_some_and(|all| all.get(&log.height) != Some(&log.block.as_str()));
            if let Some(log) = logs.iter().find(is_other) {
                return Err(Fault::of(node, RpcError::OtherBlock(log.height)));
            }
            self.network.with_range(super::Range::did_well);
            found.extend(self.ours(logs).await?);
            next = end + 1;
        }
        Ok(found)
    }

    async fn logs_of_one(&self, node: &Endpoint, height: i64) -> Result<Vec<Log>, RpcError> {
        let blocks = node.blocks(&[height]).await?;
        let logs = node.logs_of(&self.network.filter, &blocks.iter().collect::<Vec<_>>()).await?;
        Ok(logs.into_iter().flatten().collect())
    }

    /// Those of the events that move money to us, or from us. What moves nothing is left out first: anybody may have a token
    /// say that nothing was sent.
    pub(super) async fn ours(&self, mut logs: Vec<Log>) -> Result<Vec<Ours>, Fault> {
        logs.retain(|log| !log.amount.is_zero());
        let touched: BTreeSet<Address> = logs.iter().flat_map(|log| [log.from, log.to]).collect();
        let spelled: Vec<String> = touched.iter().map(ToString::to_string).collect();
        let ours = self.book.ours(&spelled).await.map_err(Fault::Book)?;
        let is_ours = touched.iter().zip(&spelled).filter(|(_, spelled)| ours.contains(*spelled));
        let ours: BTreeSet<Address> = is_ours.map(|(address, _)| *address).collect();
        let side = |log: &Log| match (ours.contains(&log.from), ours.contains(&log.to)) {
            (false, false) => None,
            (false, true) => Some(Side::In),
            (true, false) => Some(Side::Out),
            (true, true) => Some(Side::Within),
        };
        Ok(logs.into_iter().filter_map(|log| side(&log).map(|side| Ours { log, side })).collect())
    }

    fn blocks(&self, mined: &[Mined], logs: &Events) -> Vec<Block> {
        let block = |block: &Mined| {
            let logs = logs.get(&block.height).map_or(&[][..], Vec::as_slice);
            let transfers = self.network.transfers(logs, block.at);
            Block { height: block.height, hash: block.hash.clone(), parent: block.parent.clone(), transfers }
        };
        mined.iter().map(block).collect()
    }

    /// A block's events never change: what one showed before must be there again. Tokens that the configuration lists no more
    /// are not asked for: their transfers are looked for by themselves, and answered with the height of their block.
    async fn check_nothing_is_lost(&self, blocks: &[Block]) -> Result<BTreeMap<TransferId, i64>, Fault> {
        let leader = self.council.leader();
        let mut kept = BTreeMap::new();
        for block in blocks {
            let known = self.known.iter().find(|known| known.height == block.height && known.hash == block.hash);
            let shown: BTreeSet<&TransferId> = block.transfers.iter().map(|transfer| &transfer.id).collect();
            let known = known.map_or(&[][..], |known| known.transfers.as_slice());
            let missing: Vec<&TransferId> = known.iter().filter(|transfer| !shown.contains(transfer)).collect();
            if missing.is_empty() {
                continue;
            }
            let logs =
                leader.node.every_log_of(block.height, &block.hash).await.map_err(|error| leader.fault(error))?;
            let unlisted = self.network.left_out(&self.ours(logs).await?);
            if missing.iter().any(|transfer| !unlisted.contains(*transfer)) {
                let (number, name) = (leader.node.number, leader.node.name.clone());
                return Err(Fault::Lost { number, name, height: block.height });
            }
            kept.extend(missing.into_iter().map(|transfer| (transfer.clone(), block.height)));
        }
        Ok(kept)
    }

    /// Payments of any later block have this time at the earliest, and that block's time may be the same.
    fn scanned_through(&self, last: Option<&Mined>) -> Time {
        let newest = &self.council.leader().newest;
        let is_tip = self.known.last().is_some_and(|tip| tip.hash == newest.hash);
        let last = last.or(Some(newest).filter(|_| is_tip));
        last.map_or(Time(0), |block| Time(block.at.0 - 1))
    }
}
