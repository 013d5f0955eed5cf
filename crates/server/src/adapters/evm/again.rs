//! The second look: every block is looked at once more some time after it was handed over, by another node if there is
//! one. A node that lagged behind the load balancer, or that had a block before it had its events (go-ethereum#26098),
//! shows them by then. Ranges of which one node alone was asked are looked at again as well, before anybody believes that
//! they were scanned.
//!
//! What the second look finds and the first did not is a claim, no truth: the block is read again, and counts as
//! everybody shows it then. What it does not find is nothing: events do not vanish. Kept in memory alone; after a start
//! the known blocks are looked at again, at once. Must never drop a claim that is not settled: the payment is known, or its
//! block is not on the chain, or at least two nodes stand against the one that made it (`certain`). Called by `scan`.

use super::certain::Shown;
use super::council::Fault;
use super::endpoint::Endpoint;
use super::rpc::RpcError;
use super::scan::{Ours, Reading};
use super::wire::Mined;
use domain::chain::{Block, Header, WINDOW};
use domain::ids::TransferId;
use domain::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::timeout;

/// A block is looked at again after so long.
const AFTER: Span = Span::seconds(30);
/// Between second looks, while none is late.
const EVERY: Span = Span::seconds(15);
/// The longest that a second look at blocks may keep the first one waiting.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same of a range: while one waits, nothing counts as scanned anyway.
const PATIENCE_FOR_RANGES: Duration = Duration::from_secs(15);
/// Blocks of one second look, at most.
const AT_ONCE: usize = 64;
/// Blocks that wait for theirs, at most: more than a window, so that a slow node has time to come round.
const MOST_WAITING: usize = 4 * WINDOW;

/// What waits for its second look, and what it found.
#[derive(Debug)]
pub struct Again {
    waiting: VecDeque<Seen>,
    /// Of which one node alone was asked.
    ranges: VecDeque<Skipped>,
    /// Not settled, by height.
    claims: BTreeMap<i64, Claim>,
    looked_at: Time,
    /// Some block is late.
    hurries: bool,
    at_once: usize,
    /// Looks that failed, one after the other.
    failures: u32,
    /// Blocks that nobody looked at again, since the start.
    left: usize,
    has_begun: bool,
}

impl Default for Again {
    fn default() -> Again {
        Again {
            waiting: VecDeque::new(),
            ranges: VecDeque::new(),
            claims: BTreeMap::new(),
            looked_at: Time(0),
            hurries: false,
            at_once: AT_ONCE,
            failures: 0,
            left: 0,
            has_begun: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    height: i64,
    hash: String,
    transfers: BTreeSet<TransferId>,
    since: Time,
}

/// A range whose blocks were left out, but for those with money of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Skipped {
    from: i64,
    to: i64,
    transfers: BTreeSet<TransferId>,
}

/// Somebody shows more of a block than is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The block's, where it was known before.
    hash: Option<String>,
    /// The number of the node, and of the one that was believed until then: both are asked for the block.
    accuser: usize,
    against: usize,
    /// All that it shows of the block.
    shown: Vec<Ours>,
    transfers: BTreeSet<TransferId>,
    /// It was read again, and everybody showed it; whether that was written down is seen at the next scan.
    handed_over: bool,
}

/// Blocks that have to be read again, and who says so.
#[derive(Default)]
pub struct Suspicion {
    pub claims: BTreeMap<i64, Claim>,
}

enum Look {
    Blocks(Vec<Seen>),
    Range(Skipped),
}

impl Again {
    /// Notes blocks that were handed over; those they replace are forgotten. The number of blocks that were given up.
    fn note(&mut self, blocks: &[Block], now: Time) -> usize {
        let Some(first) = blocks.first() else { return 0 };
        while self.waiting.back().is_some_and(|seen| seen.height >= first.height) {
            self.waiting.pop_back();
        }
        let seen = |block: &Block| Seen {
            height: block.height,
            hash: block.hash.clone(),
            transfers: block.transfers.iter().map(|transfer| transfer.id.clone()).collect(),
            since: now,
        };
        self.waiting.extend(blocks.iter().map(seen));
        let surplus = self.waiting.len().saturating_sub(MOST_WAITING);
        self.waiting.drain(..surplus);
        self.left += surplus;
        surplus
    }

    /// Notes a range; what was noted above its beginning is read again.
    fn note_range(&mut self, from: i64, to: i64, transfers: BTreeSet<TransferId>) {
        self.ranges.retain(|range| range.from < from);
        self.ranges.iter_mut().for_each(|range| range.to = range.to.min(from - 1));
        self.ranges.push_back(Skipped { from, to, transfers });
    }

    /// After a start nobody knows what was looked at.
    fn begin(&mut self, known: &[Header], alone: bool) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        for pair in known.windows(2) {
            let (before, header) = (&pair[0], &pair[1]);
            let transfers = header.transfers.iter().cloned().collect();
            if before.height + 1 == header.height {
                let (height, hash) = (header.height, header.hash.clone());
                self.waiting.push_back(Seen { height, hash, transfers, since: Time(0) });
            } else if alone {
                self.note_range(before.height + 1, header.height, transfers);
            }
        }
    }

    /// Forgets the claims that what is known answers.
    fn settle(&mut self, known: &[Header]) {
        self.claims.retain(|height, claim| {
            let header = known.iter().find(|header| header.height == *height);
            match header {
                Some(header) if claim.is_about(&header.hash) => {
                    !claim.transfers.iter().all(|transfer| header.transfers.contains(transfer))
                }
                // Another block stands there now, and was noted for a look of its own.
                Some(_) => false,
                // Too old to be remembered, or not written down.
                None => !claim.handed_over || known.first().is_some_and(|oldest| oldest.height < *height),
            }
        });
    }

    /// Forgets what a node claimed that stands alone.
    pub(super) fn refute(&mut self, number: usize) {
        self.claims.retain(|_, claim| claim.accuser != number);
    }

    /// What is to be looked at now.
    fn next(&mut self, now: Time) -> Option<Look> {
        if let Some(range) = self.ranges.front() {
            return Some(Look::Range(range.clone()));
        }
        let due = self.due(now);
        if due.is_empty() {
            return None;
        }
        self.looked_at = now;
        Some(Look::Blocks(due))
    }

    /// The blocks whose time has come, without gaps between them.
    fn due(&self, now: Time) -> Vec<Seen> {
        if !self.hurries && now.since(self.looked_at) < EVERY {
            return Vec::new();
        }
        let mut due: Vec<Seen> = Vec::new();
        for seen in self.waiting.iter().take(self.at_once).take_while(|seen| now.since(seen.since) >= AFTER) {
            if due.last().is_some_and(|last| last.height + 1 != seen.height) {
                break;
            }
            due.push(seen.clone());
        }
        due
    }

    /// A look went well.
    fn looked(&mut self, look: &Look, now: Time) {
        self.failures = 0;
        match look {
            Look::Range(_) => {
                self.ranges.pop_front();
            }
            Look::Blocks(blocks) => {
                let height = blocks.last().map_or(-1, |last| last.height);
                while self.waiting.front().is_some_and(|seen| seen.height <= height) {
                    self.waiting.pop_front();
                }
                self.at_once = (self.at_once * 2).min(AT_ONCE);
                self.hurries = self.waiting.front().is_some_and(|seen| now.since(seen.since) >= AFTER);
            }
        }
    }

    /// A look failed; a smaller one is made another time. How often that was so since one went well.
    fn failed(&mut self, look: &Look) -> u32 {
        match look {
            Look::Blocks(blocks) => {
                self.at_once = (blocks.len() / 2).max(1);
                self.hurries = false;
            }
            Look::Range(Skipped { from, to, transfers }) if from < to => {
                let middle = from + (to - from) / 2;
                let half = |from, to| Skipped { from, to, transfers: transfers.clone() };
                self.ranges.pop_front();
                self.ranges.push_front(half(middle + 1, *to));
                self.ranges.push_front(half(*from, middle));
            }
            Look::Range(_) => {}
        }
        self.failures = self.failures.saturating_add(1);
        self.failures
    }
}

impl Claim {
    fn is_about(&self, hash: &str) -> bool {
        self.hash.as_deref().is_none_or(|of_claim| of_claim == hash)
    }
}

impl Suspicion {
    /// What has to be shown again of those blocks, and by whom.
    pub(super) fn shown<'a>(&self, reading: &Reading<'a>, blocks: &[Mined]) -> Vec<Shown<'a>> {
        let of_claim = |(height, claim): (&i64, &Claim)| {
            let block = blocks.iter().find(|block| block.height == *height)?;
            let accuser = reading.network.endpoints.get(claim.accuser)?;
            let against = reading.network.endpoints.get(claim.against)?;
            let shown = || {
                [(accuser, claim.shown.clone()), (against, Vec::new())].map(|(node, ours)| Shown {
                    node,
                    ours,
                    by_hash: false,
                })
            };
            claim.is_about(&block.hash).then(shown)
        };
        self.claims.iter().filter_map(of_claim).flatten().collect()
    }
}

impl<'a> Reading<'a> {
    /// Looks again at what is due, and answers with every claim that is not settled. A look that fails is made another time.
    pub(super) async fn look_again(&self) -> Suspicion {
        let look = self.with_again(|again| {
            again.begin(self.known, self.asks_one_alone());
            again.settle(self.known);
            again.next(self.now)
        });
        if let Some(look) = look {
            self.look(&look).await;
        }
        Suspicion { claims: self.with_again(|again| again.claims.clone()) }
    }

    async fn look(&self, look: &Look) {
        let node = self.another_node();
        let slow = |_| Err(Fault::of(node, RpcError::Slow));
        let claims = match look {
            Look::Blocks(blocks) => timeout(PATIENCE, self.missed(node, blocks)).await.unwrap_or_else(slow),
            Look::Range(range) => {
                timeout(PATIENCE_FOR_RANGES, self.missed_in_range(node, range)).await.unwrap_or_else(slow)
            }
        };
        match claims {
            Ok(claims) => {
                let heights: Vec<i64> = claims.keys().copied().collect();
                self.with_again(|again| {
                    again.looked(look, self.now);
                    for (height, claim) in claims {
                        again.claims.entry(height).or_insert(claim);
                    }
                });
                if !heights.is_empty() {
                    let (network, node) = (&self.network.id, &node.name);
                    tracing::warn!(%network, %node, ?heights, "payments that were not shown at first");
                }
            }
            Err(fault) => {
                // Whoever cannot be asked is not asked each time.
                node.failed(self.now);
                let failures = self.with_again(|again| again.failed(look));
                if failures.is_power_of_two() {
                    tracing::warn!(network = %self.network.id, error = %fault, failures, "no second look");
                }
            }
        }
    }

    /// What a node shows of blocks that is not known of them.
    async fn missed(&self, node: &Endpoint, due: &[Seen]) -> Result<BTreeMap<i64, Claim>, Fault> {
        let (Some(first), Some(last)) = (due.first(), due.last()) else { return Ok(BTreeMap::new()) };
        let ours = self.ours_in_ranges(node, first.height, last.height, None).await?;
        let mut claims = BTreeMap::new();
        for seen in due {
            let is_known = |header: &&Header| header.height == seen.height && header.hash == seen.hash;
            let known = self.known.iter().find(is_known).map(|header| header.transfers.iter().cloned().collect());
            let known: BTreeSet<TransferId> = known.unwrap_or_else(|| seen.transfers.clone());
            let shown: Vec<Ours> = ours.iter().filter(|ours| ours.log.block == seen.hash).cloned().collect();
            claims.extend(self.claim(node, Some(seen.hash.clone()), shown, &known).map(|claim| (seen.height, claim)));
        }
        Ok(claims)
    }

    /// The same of a range.
    async fn missed_in_range(&self, node: &Endpoint, range: &Skipped) -> Result<BTreeMap<i64, Claim>, Fault> {
        let mut by_height: BTreeMap<i64, Vec<Ours>> = BTreeMap::new();
        for ours in self.ours_in_ranges(node, range.from, range.to, None).await? {
            by_height.entry(ours.log.height).or_default().push(ours);
        }
        let claim = |(height, shown)| self.claim(node, None, shown, &range.transfers).map(|claim| (height, claim));
        Ok(by_height.into_iter().filter_map(claim).collect())
    }

    fn claim(
        &self,
        node: &Endpoint,
        hash: Option<String>,
        shown: Vec<Ours>,
        known: &BTreeSet<TransferId>,
    ) -> Option<Claim> {
        let transfers = self.network.transfers(&shown, Time(0));
        let transfers: BTreeSet<TransferId> = transfers.into_iter().map(|transfer| transfer.id).collect();
        let is_news = !transfers.is_subset(known);
        let (accuser, against) = (node.number, self.council.leader().node.number);
        is_news.then_some(Claim { hash, accuser, against, shown, transfers, handed_over: false })
    }

    /// Somebody else than the leader, if there is anybody.
    fn another_node(&self) -> &'a Endpoint {
        let leader = self.council.leader().node;
        let witness = self.council.witnesses().first().map(|seat| seat.node);
        let is_rested = |node: &&Endpoint| node.number != leader.number && node.rests_until() <= self.now;
        let other = || self.network.endpoints.iter().find(is_rested);
        witness.or_else(other).unwrap_or(leader)
    }

    /// Whether one node's word is enough for a range that is left out: then it is looked at again.
    pub(super) fn asks_one_alone(&self) -> bool {
        self.council.witnesses().is_empty()
    }

    /// Notes the blocks that were handed over.
    pub(super) fn note_blocks(&self, blocks: &[Block]) {
        let (surplus, since_start) = self.with_again(|again| (again.note(blocks, self.now), again.left));
        if surplus > 0 {
            tracing::warn!(network = %self.network.id, blocks = surplus, since_start, "blocks without a second look");
        }
    }

    /// Notes a range of which these blocks were handed over.
    pub(super) fn note_range(&self, from: i64, to: i64, blocks: &[Block]) {
        let transfers = blocks.iter().flat_map(|block| &block.transfers).map(|transfer| transfer.id.clone()).collect();
        self.with_again(|again| again.note_range(from, to, transfers));
    }

    /// Notes that everybody showed what was claimed, and that it is among what is handed over.
    pub(super) fn note_handed_over(&self, suspicion: &Suspicion) {
        self.with_again(|again| {
            for height in suspicion.claims.keys() {
                again.claims.entry(*height).and_modify(|claim| claim.handed_over = true);
            }
        });
    }

    /// Whether ranges wait that one node alone was asked for: until then nothing counts as scanned.
    pub(super) fn ranges_wait(&self) -> bool {
        self.with_again(|again| !again.ranges.is_empty())
    }

    pub(super) fn with_again<T>(&self, change: impl FnOnce(&mut Again) -> T) -> T {
        change(&mut self.network.again.lock().expect("nobody panics while holding the memory"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_000_000);

    fn blocks(heights: std::ops::Range<i64>) -> Vec<Block> {
        let block = |height| Block {
            height,
            hash: format!("h{height}"),
            parent: format!("h{}", height - 1),
            transfers: Vec::new(),
        };
        heights.map(block).collect()
    }

    /// How many blocks it is at.
    fn size(look: &Option<Look>) -> usize {
        match look {
            Some(Look::Blocks(blocks)) => blocks.len(),
            Some(Look::Range(_)) | None => 0,
        }
    }

    #[test]
    fn a_second_look_that_fails_becomes_smaller_and_one_that_is_late_hurries() {
        let mut again = Again::default();
        assert_eq!(again.note(&blocks(0..200), NOW), 0);
        assert_eq!(size(&again.next(NOW + Span::seconds(29))), 0, "not yet");
        let mut now = NOW + Span::seconds(30);
        for expected in [64, 32, 16, 8, 4, 2, 1, 1] {
            let look = again.next(now);
            assert_eq!(size(&look), expected);
            again.failed(&look.expect("a look"));
            assert_eq!(size(&again.next(now + Span::seconds(14))), 0, "a failure is waited after");
            now = now + Span::seconds(15);
        }
        // While blocks are late, one look follows the other.
        for expected in [1, 2, 4, 8, 16, 32, 64, 64, 9] {
            let look = again.next(now);
            assert_eq!(size(&look), expected);
            again.looked(&look.expect("a look"), now);
        }
        assert_eq!(size(&again.next(now + Span::minutes(5))), 0, "all of 200");
    }

    #[test]
    fn a_claim_is_settled_by_what_is_known_and_by_nothing_else() {
        let transfer = TransferId::new("t1");
        let header = |height: i64, hash: &str, transfers: &[&TransferId]| Header {
            height,
            hash: hash.to_owned(),
            transfers: transfers.iter().map(|transfer| (*transfer).clone()).collect(),
            confirmed: false,
        };
        // What is known; whether everybody showed it; whether the claim stays open.
        let table = [
            (vec![header(4, "h4", &[]), header(5, "h5", &[])], true, true),
            (vec![header(4, "h4", &[]), header(5, "h5", &[&transfer])], false, false),
            (vec![header(4, "h4", &[]), header(5, "another", &[])], false, false),
            // Left out, and not written down.
            (vec![header(4, "h4", &[]), header(9, "h9", &[])], true, true),
            // Older than what is remembered.
            (vec![header(8, "h8", &[]), header(9, "h9", &[])], false, true),
            (vec![header(8, "h8", &[]), header(9, "h9", &[])], true, false),
        ];
        for (row, (known, handed_over, stays)) in table.into_iter().enumerate() {
            let transfers = BTreeSet::from([transfer.clone()]);
            let hash = Some("h5".to_owned());
            let claim = Claim { hash, accuser: 1, against: 0, shown: Vec::new(), transfers, handed_over };
            let mut again = Again { claims: BTreeMap::from([(5, claim)]), ..Again::default() };
            again.settle(&known);
            assert_eq!(!again.claims.is_empty(), stays, "row {row}");
        }
    }

    #[test]
    fn blocks_that_are_given_up_are_counted() {
        let mut again = Again::default();
        assert_eq!(again.note(&blocks(0..1_000), NOW), 0);
        // 1,024 may wait.
        assert_eq!(again.note(&blocks(1_000..1_100), NOW), 76);
        assert_eq!(again.note(&blocks(1_100..1_101), NOW), 1);
        assert_eq!(again.left, 77);
    }

    #[test]
    fn a_range_that_fails_is_halved_until_it_is_looked_at() {
        let mut again = Again::default();
        again.note_range(10, 13, BTreeSet::new());
        let mut looked = Vec::new();
        for fails in [true, true, false, false, false] {
            let Some(look) = again.next(NOW) else { panic!("nothing waits after {looked:?}") };
            let Look::Range(Skipped { from, to, .. }) = &look else { panic!("a range waits first") };
            looked.push((*from, *to));
            if fails {
                again.failed(&look);
            } else {
                again.looked(&look, NOW);
            }
        }
        assert_eq!(looked, [(10, 13), (10, 11), (10, 10), (11, 11), (12, 13)]);
        assert!(again.next(NOW).is_none());
    }
}
