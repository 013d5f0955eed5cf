//! The second look: every block is looked at once more some time after it was handed over, by another node if there is
//! one. A node that lagged behind the load balancer, or that had a block before it had its events (go-ethereum#26098),
//! shows them by then.
//!
//! What the second look finds and the first did not is a suspicion, no truth: the block is read again, and counts as
//! everybody shows it then. What it does not find is nothing: events do not vanish. Kept in memory alone; after a start
//! the newest known blocks are looked at again. Must never keep the first look from going on. Called by `scan`.

use super::council::Fault;
use super::endpoint::Endpoint;
use super::rpc::RpcError;
use super::scan::Reading;
use domain::chain::{Block, Header, WINDOW};
use domain::time::{Span, Time};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::timeout;

/// A block is looked at again after so long.
const AFTER: Span = Span::seconds(30);
/// Between second looks.
const EVERY: Span = Span::seconds(15);
/// The longest that a second look may keep the first one waiting.
const PATIENCE: Duration = Duration::from_secs(3);
/// Blocks of one second look.
const AT_ONCE: usize = 64;

/// What waits for its second look.
#[derive(Debug, Default)]
pub struct Again {
    waiting: VecDeque<Seen>,
    looked_at: Time,
    has_begun: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    height: i64,
    hash: String,
    since: Time,
}

/// Blocks that have to be read again, and who says so.
#[derive(Default)]
pub struct Suspicion<'a> {
    pub heights: BTreeSet<i64>,
    pub accuser: Option<&'a Endpoint>,
}

impl Again {
    /// Notes blocks that were handed over; those they replace are forgotten.
    fn note(&mut self, blocks: &[Block], now: Time) {
        let Some(first) = blocks.first() else { return };
        while self.waiting.back().is_some_and(|seen| seen.height >= first.height) {
            self.waiting.pop_back();
        }
        let seen = |block: &Block| Seen { height: block.height, hash: block.hash.clone(), since: now };
        self.waiting.extend(blocks.iter().map(seen));
        let surplus = self.waiting.len().saturating_sub(WINDOW);
        self.waiting.drain(..surplus);
    }

    /// After a start nobody knows what was looked at.
    fn begin(&mut self, known: &[Header], now: Time) {
        if !std::mem::replace(&mut self.has_begun, true) {
            // Not where blocks were left out: what is read again must follow a known block. There everybody was asked.
            let linked = known.windows(2).rev().take_while(|pair| pair[0].height + 1 == pair[1].height);
            let mut newest: Vec<&Header> = linked.take(AT_ONCE).map(|pair| &pair[1]).collect();
            newest.reverse();
            let seen = |header: &&Header| Seen { height: header.height, hash: header.hash.clone(), since: now };
            self.waiting = newest.iter().map(seen).collect();
        }
    }

    /// The blocks whose time has come, without gaps between them.
    fn due(&self, now: Time) -> Vec<Seen> {
        if now.since(self.looked_at) < EVERY {
            return Vec::new();
        }
        let mut due: Vec<Seen> = Vec::new();
        for seen in self.waiting.iter().take(AT_ONCE).take_while(|seen| now.since(seen.since) >= AFTER) {
            if due.last().is_some_and(|last| last.height + 1 != seen.height) {
                break;
            }
            due.push(seen.clone());
        }
        due
    }

    fn looked_through(&mut self, height: i64) {
        while self.waiting.front().is_some_and(|seen| seen.height <= height) {
            self.waiting.pop_front();
        }
    }
}

impl<'a> Reading<'a> {
    /// Looks again at what is due. A look that fails is made another time.
    pub(super) async fn look_again(&self) -> Suspicion<'a> {
        let due = self.with_again(|again| {
            again.begin(self.known, self.now);
            let due = again.due(self.now);
            if !due.is_empty() {
                again.looked_at = self.now;
            }
            due
        });
        let Some(last) = due.last() else { return Suspicion::default() };
        let node = self.another_node();
        let slow = |_| Err(Fault::of(node, RpcError::Slow));
        match timeout(PATIENCE, self.missed(node, &due)).await.unwrap_or_else(slow) {
            Ok(heights) if heights.is_empty() => {
                self.with_again(|again| again.looked_through(last.height));
                Suspicion::default()
            }
            Ok(heights) => {
                tracing::warn!(network = %self.network.id, node = %node.name, ?heights, "payments that were not shown at first");
                Suspicion { heights, accuser: Some(node) }
            }
            Err(fault) => {
                // Whoever cannot be asked is not asked each time.
                node.failed(self.now);
                tracing::debug!(network = %self.network.id, error = %fault, "no second look");
                Suspicion::default()
            }
        }
    }

    /// The heights at which a node shows transfers to or from us that are not known.
    async fn missed(&self, node: &Endpoint, due: &[Seen]) -> Result<BTreeSet<i64>, Fault> {
        let (from, to) = (due[0].height, due[due.len() - 1].height);
        let logs = self.ours(self.logs_in_ranges(node, from, to).await?).await?;
        let mut missed = BTreeSet::new();
        for seen in due {
            let is_known = |header: &&Header| header.height == seen.height && header.hash == seen.hash;
            let Some(header) = self.known.iter().find(is_known) else { continue };
            let of_block: Vec<_> = logs.iter().filter(|ours| ours.log.block == seen.hash).cloned().collect();
            let transfers = self.network.transfers(&of_block, Time(0));
            if transfers.iter().any(|transfer| !header.transfers.contains(&transfer.id)) {
                missed.insert(seen.height);
            }
        }
        Ok(missed)
    }

    /// Somebody else than the leader, if there is anybody.
    fn another_node(&self) -> &'a Endpoint {
        let leader = self.council.leader().node;
        let witness = self.council.witnesses().first().map(|seat| seat.node);
        let is_rested = |node: &&Endpoint| node.number != leader.number && node.rests_until() <= self.now;
        let other = || self.network.endpoints.iter().find(is_rested);
        witness.or_else(other).unwrap_or(leader)
    }

    /// Notes what was handed over. Blocks under suspicion that brought nothing new stay due: somebody contradicts himself.
    pub(super) fn note_for_again(&self, blocks: &[Block], suspicion: &Suspicion<'_>) {
        let brought = |height: &i64| {
            let known = self.known.iter().find(|header| header.height == *height);
            let block = blocks.iter().find(|block| block.height == *height);
            block.is_some_and(|block| known.is_none_or(|known| block.transfers.len() > known.transfers.len()))
        };
        let is_settled = suspicion.heights.iter().all(brought);
        let from = if is_settled { 0 } else { blocks.partition_point(|block| block.height <= self.tip_height()) };
        self.with_again(|again| again.note(&blocks[from..], self.now));
    }

    fn with_again<T>(&self, change: impl FnOnce(&mut Again) -> T) -> T {
        change(&mut self.network.again.lock().expect("nobody panics while holding the memory"))
    }
}
