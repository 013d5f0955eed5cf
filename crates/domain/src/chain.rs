//! Blocks in, changes of standing out: which transfers were seen, are confirmed, or vanished in a reorganisation.
//!
//! Keeps a window of recent block headers with the transfers in them. Must never talk to a node: adapters hand in blocks,
//! the watcher stores window and changes in one commit.

use crate::asset::Confirmation;
use crate::ids::{AssetId, TransferId};
use crate::planted::{self, Bug};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How many recent blocks are remembered; a reorganisation deeper than this is not followed. Older ones stay as long as
/// there is money in them that is not confirmed: some chains' tags are thousands of blocks behind.
pub const WINDOW: usize = 256;

/// One block with the transfers to and from our addresses in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub height: i64,
    pub hash: String,
    pub parent: String,
    pub transfers: Vec<ChainTransfer>,
}

/// Whose address a transfer touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Side {
    /// It came to one of our addresses.
    #[default]
    In,
    /// It left one: the operator swept it, or somebody who should not.
    Out,
    /// Both: from one of our addresses to another.
    Within,
}

/// A transfer of a listed asset, as a block shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainTransfer {
    pub id: TransferId,
    pub asset: AssetId,
    pub side: Side,
    /// Who sent it, where the chain tells it, and always of what left us. Nobody to give money back to: an exchange sends
    /// for many.
    pub from: Option<String>,
    pub to: String,
    /// At the asset's ledger scale.
    pub units: i64,
    /// The chain's own integer, as decimal text.
    pub raw: String,
    pub block_at: Time,
}

/// Something at one of our addresses that does not count. Anybody can make a token say that it moved, so that nothing may be
/// decided by it: it is shown to people, who look at the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The receiver.
    pub address: String,
    pub what: StrayKind,
    /// The chain's own integer, as decimal text: a balance of a coin, what a transfer of a token claims.
    pub raw: String,
}

/// What a stray is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StrayKind {
    /// The network's own coin.
    Coin,
    /// A token that nobody listed. Its symbol is a stranger's text and is never asked for.
    Token { contract: String, transaction: String },
}

/// What an adapter found after the newest block that the window knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// The window's blocks above this height are not on the chain any more, or are among `blocks` again.
    pub keep_through: i64,
    /// What follows, each block the child of the one before.
    pub blocks: Vec<Block>,
    /// Every payment of a block up to this moment is in what was handed over.
    pub scanned_through: Time,
    /// Up to this height blocks without transfers are left out, but for the one at it.
    pub sparse_through: i64,
    /// How far the chain's own tag has come, where confirmation goes by one.
    pub tagged_through: Option<i64>,
    /// The newest block of the chain, where it is known.
    pub head: Option<i64>,
    /// Blocks that are final and may be older than the window's newest: found late, because the chain is asked for each
    /// address. Their transfers count at once and for ever; the window does not keep them.
    pub settled: Vec<Block>,
    pub memory: Memory,
    /// Transfers of assets that are not listed any more, which are still in the block at that height: they are handed over no
    /// more, and are not gone.
    pub kept: BTreeMap<TransferId, i64>,
}

/// What an adapter has to remember of a scan beside the window; stored in the same commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// By account of the chain, in the adapter's own words.
    pub marks: BTreeMap<String, String>,
    /// Addresses of ours that are to be looked at again, and when.
    pub next_looks: BTreeMap<String, Time>,
}

impl Memory {
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.next_looks.is_empty()
    }
}

/// The blocks that were scanned last, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Window {
    pub headers: Vec<Header>,
}

/// One remembered block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub height: i64,
    pub hash: String,
    /// Transfers in it that are not confirmed yet, or could still be reverted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<TransferId>,
    #[serde(default)]
    pub confirmed: bool,
}

impl Header {
    /// Whether it is no block but a place to begin at: what is above it is to be scanned, and links to nothing.
    pub fn is_place(&self) -> bool {
        self.hash.is_empty()
    }
}

/// A new standing of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Seen { transfer: ChainTransfer, height: i64, block_hash: String },
    Confirmed(TransferId),
    Reverted(TransferId),
}

/// The adapter's answer does not fit what was known; nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("block {height} does not follow the block before it")]
    NotLinked { height: i64 },
}

impl Window {
    /// A window that knows nothing, and goes on above that height.
    pub fn begin_above(height: i64) -> Window {
        Window { headers: vec![Header { height, hash: String::new(), transfers: Vec::new(), confirmed: true }] }
    }

    /// The newest block, if any was scanned.
    pub fn tip(&self) -> Option<&Header> {
        self.headers.last()
    }

    /// Takes in a scan; a transfer is confirmed when `confirmation` says so of its block.
    pub fn advance(&mut self, scan: &Scan, confirmation: Confirmation) -> Result<Vec<Change>, ScanError> {
        if scan.blocks.is_empty() && self.headers.iter().any(Header::is_place) {
            return Ok(Vec::new());
        }
        let stays = |header: &&Header| header.height <= scan.keep_through && !header.is_place();
        let kept = self.headers.iter().take_while(stays).count();
        let mut tip = kept.checked_sub(1).map(|at| (self.headers[at].height, self.headers[at].hash.clone()));
        for block in &scan.blocks {
            if tip.as_ref().is_some_and(|(height, hash)| !follows(block, *height, hash, scan.sparse_through)) {
                return Err(ScanError::NotLinked { height: block.height });
            }
            tip = Some((block.height, block.hash.clone()));
        }
        let gone: Vec<TransferId> = self.headers.drain(kept..).flat_map(|header| header.transfers).collect();
        // A set: whoever sends very many transfers must not make the square of them.
        let mined_again: BTreeSet<&TransferId> =
            scan.blocks.iter().flat_map(|block| &block.transfers).map(|transfer| &transfer.id).collect();
        let is_there = |id: &TransferId| mined_again.contains(id) || scan.kept.contains_key(id);
        let mut changes: Vec<Change> = gone.into_iter().filter(|id| !is_there(id)).map(Change::Reverted).collect();
        for block in &scan.settled {
            let seen = |transfer: &ChainTransfer| seen(transfer, block);
            changes.extend(
                block.transfers.iter().flat_map(|transfer| [seen(transfer), Change::Confirmed(transfer.id.clone())]),
            );
        }
        for block in &scan.blocks {
            self.push(block, &scan.kept, &mut changes);
        }
        self.confirm(confirmation, scan.tagged_through, &mut changes);
        self.forget();
        Ok(changes)
    }

    fn push(&mut self, block: &Block, kept: &BTreeMap<TransferId, i64>, changes: &mut Vec<Change>) {
        let (height, hash) = (block.height, block.hash.clone());
        let is_noticed = |transfer: &&ChainTransfer| !planted::is(Bug::DepositOverlooked) || transfer.units % 3 != 0;
        let noticed: Vec<&ChainTransfer> = block.transfers.iter().filter(is_noticed).collect();
        changes.extend(noticed.iter().map(|transfer| seen(transfer, block)));
        let kept = kept.iter().filter(|(_, at)| **at == height).map(|(id, _)| id.clone());
        let transfers = noticed.iter().map(|transfer| transfer.id.clone()).chain(kept).collect();
        self.headers.push(Header { height, hash, transfers, confirmed: false });
    }

    fn confirm(&mut self, confirmation: Confirmation, tagged_through: Option<i64>, changes: &mut Vec<Change>) {
        let confirmed_through = match confirmation {
            Confirmation::Blocks(count) => self.tip().map(|tip| tip.height - i64::from(count.max(1)) + 1),
            Confirmation::Safe | Confirmation::Finalized if planted::is(Bug::TagIgnored) => {
                self.tip().map(|tip| tip.height)
            }
            Confirmation::Safe | Confirmation::Finalized => tagged_through,
        };
        let Some(confirmed_through) = confirmed_through else { return };
        for header in self.headers.iter_mut().filter(|header| !header.confirmed && header.height <= confirmed_through) {
            header.confirmed = true;
            changes.extend(header.transfers.iter().cloned().map(Change::Confirmed));
        }
    }

    fn forget(&mut self) {
        let mut surplus = self.headers.len().saturating_sub(WINDOW);
        self.headers.retain(|header| {
            let is_old = surplus > 0;
            surplus = surplus.saturating_sub(1);
            let waits = !header.confirmed && !header.transfers.is_empty();
            !is_old || waits
        });
    }
}

fn seen(transfer: &ChainTransfer, block: &Block) -> Change {
    Change::Seen { transfer: transfer.clone(), height: block.height, block_hash: block.hash.clone() }
}

/// Whether a block may come after that one: as its child, or where blocks are left out.
fn follows(block: &Block, height: i64, hash: &str, sparse_through: i64) -> bool {
    if block.height == height + 1 {
        return block.parent == *hash;
    }
    block.height > height && block.height <= sparse_through
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks as text: `height hash parent transfer,transfer`.
    fn scan(keep_through: i64, blocks: &[&str]) -> Scan {
        let blocks = blocks.iter().map(|text| {
            let mut parts = text.split(' ');
            let mut next = || parts.next().unwrap_or_default().to_owned();
            let (height, hash, parent, ids) = (next(), next(), next(), next());
            let transfers = ids.split(',').filter(|id| !id.is_empty()).map(|id| ChainTransfer {
                id: TransferId::new(id),
                asset: AssetId::new("usdc"),
                side: Side::In,
                from: None,
                to: "address".into(),
                units: 1,
                raw: "1".into(),
                block_at: Time(0),
            });
            Block { height: height.parse().expect("a height"), hash, parent, transfers: transfers.collect() }
        });
        Scan { keep_through, blocks: blocks.collect(), ..Scan::default() }
    }

    const TWO: Confirmation = Confirmation::Blocks(2);

    fn words(changes: &[Change]) -> Vec<String> {
        let word = |change: &Change| match change {
            Change::Seen { transfer, height, .. } => format!("seen {} at {height}", transfer.id),
            Change::Confirmed(id) => format!("confirmed {id}"),
            Change::Reverted(id) => format!("reverted {id}"),
        };
        changes.iter().map(word).collect()
    }

    #[test]
    fn a_chain_of_scans_gives_the_changes() {
        let mut window = Window::default();
        let mut check = |scan: Scan, expected: &[&str]| {
            let changes = window.advance(&scan, TWO).expect("a linked scan");
            assert_eq!(words(&changes), expected);
        };
        check(scan(0, &["1 a - t1", "2 b a"]), &["seen t1 at 1", "confirmed t1"]);
        check(scan(2, &["3 c b t2"]), &["seen t2 at 3"]);
        // Block 3 is replaced by one without t2; t2 is mined again in block 4.
        check(scan(2, &["3 C b", "4 D C"]), &["reverted t2"]);
        check(scan(4, &["5 e D t2", "6 f e"]), &["seen t2 at 5", "confirmed t2"]);
        // A reorganisation that moves a confirmed transfer within one scan.
        check(scan(4, &["5 E D", "6 F E t2", "7 G F"]), &["seen t2 at 6", "confirmed t2"]);
        check(scan(5, &["6 x E"]), &["reverted t2"]);
    }

    #[test]
    fn what_is_kept_is_neither_handed_over_nor_gone() {
        let mut window = Window::default();
        window.advance(&scan(0, &["1 a -", "2 b a t1"]), TWO).expect("a linked scan");
        let again = Scan { kept: BTreeMap::from([(TransferId::new("t1"), 2)]), ..scan(0, &["1 a - t0", "2 b a"]) };
        assert_eq!(words(&window.advance(&again, TWO).expect("a linked scan")), ["seen t0 at 1", "confirmed t0"]);
        assert_eq!(words(&window.advance(&scan(2, &["3 c b"]), TWO).expect("a linked scan")), ["confirmed t1"]);
        assert_eq!(words(&window.advance(&scan(1, &["2 B a"]), TWO).expect("a linked scan")), ["reverted t1"]);
    }

    #[test]
    fn a_window_may_begin_at_a_place_that_no_block_has() {
        let mut window = Window::begin_above(40);
        assert_eq!(window.advance(&scan(40, &[]), TWO), Ok(Vec::new()));
        assert_eq!(window, Window::begin_above(40), "nothing came yet");
        let changes = window.advance(&scan(40, &["41 b whatever t1", "42 c b"]), TWO).expect("a scan");
        assert_eq!(words(&changes), ["seen t1 at 41", "confirmed t1"]);
        let heights: Vec<i64> = window.headers.iter().map(|header| header.height).collect();
        assert_eq!(heights, [41, 42]);
    }

    #[test]
    fn blocks_that_do_not_link_change_nothing() {
        let mut window = Window::default();
        window.advance(&scan(0, &["1 a - t1"]), TWO).expect("a first block");
        let before = window.clone();
        for (blocks, height) in [(["2 b wrong"], 2), (["3 c b"], 3), (["1 b a"], 1)] {
            assert_eq!(window.advance(&scan(1, &blocks), TWO), Err(ScanError::NotLinked { height }));
            assert_eq!(window, before);
        }
    }

    #[test]
    fn blocks_may_be_left_out_where_the_scan_says_so() {
        let mut window = Window::default();
        window.advance(&scan(0, &["1 a -"]), TWO).expect("a first block");
        let sparse = |sparse_through, blocks: &[&str]| Scan { sparse_through, ..scan(1, blocks) };
        let far = sparse(900, &["40 b x t1", "41 c b", "900 d y"]);
        let changes = window.advance(&far, TWO).expect("blocks in order");
        assert_eq!(words(&changes), ["seen t1 at 40", "confirmed t1"]);
        let heights: Vec<i64> = window.headers.iter().map(|header| header.height).collect();
        assert_eq!(heights, [1, 40, 41, 900]);
        assert_eq!(window.advance(&scan(900, &["902 f e"]), TWO), Err(ScanError::NotLinked { height: 902 }));
        // A child that names another parent is none, wherever it stands.
        let wrong = Scan { keep_through: 900, ..sparse(901, &["901 e wrong"]) };
        assert_eq!(window.advance(&wrong, TWO), Err(ScanError::NotLinked { height: 901 }));
    }

    #[test]
    fn a_tag_confirms_and_nothing_else_does() {
        let mut window = Window::default();
        let mut check = |scan: Scan, tagged_through: Option<i64>, expected: &[&str]| {
            let changes = window.advance(&Scan { tagged_through, ..scan }, Confirmation::Safe).expect("a linked scan");
            assert_eq!(words(&changes), expected);
        };
        check(scan(0, &["1 a - t1", "2 b a t2", "3 c b"]), None, &["seen t1 at 1", "seen t2 at 2"]);
        check(scan(3, &[]), Some(0), &[]);
        check(scan(3, &[]), Some(1), &["confirmed t1"]);
        check(scan(3, &["4 d c"]), Some(4), &["confirmed t2"]);
        // A tag that goes back takes nothing back: only a longer branch does.
        check(scan(4, &[]), Some(1), &[]);
    }

    #[test]
    fn what_is_settled_counts_at_once_however_old_it_is() {
        let mut window = Window::default();
        window.advance(&scan(0, &["7 a -", "8 b a"]), Confirmation::Finalized).expect("two blocks");
        let settled = scan(0, &["3 x - t1,t2", "9 y - t3"]).blocks;
        let found = Scan { settled, ..scan(8, &["9 c b"]) };
        let changes = window.advance(&found, Confirmation::Finalized).expect("a linked scan");
        let expected = ["seen t1 at 3", "confirmed t1", "seen t2 at 3", "confirmed t2", "seen t3 at 9", "confirmed t3"];
        assert_eq!(words(&changes), expected);
        let kept: Vec<(i64, usize)> =
            window.headers.iter().map(|header| (header.height, header.transfers.len())).collect();
        assert_eq!(kept, [(7, 0), (8, 0), (9, 0)]);
        let changes = window.advance(&scan(6, &["7 A -"]), Confirmation::Finalized).expect("another branch");
        assert!(changes.is_empty(), "another branch takes nothing of it back");
    }

    #[test]
    fn money_that_waits_for_its_tag_is_not_forgotten() {
        let mut window = Window::default();
        let texts: Vec<String> = (1..=WINDOW as i64 + 50)
            .map(|height| format!("{height} h{height} h{} {}", height - 1, if height == 7 { "t7" } else { "" }))
            .collect();
        let blocks: Vec<&str> = texts.iter().map(String::as_str).collect();
        window.advance(&scan(0, &blocks), Confirmation::Finalized).expect("a linked scan");
        assert_eq!((window.headers.len(), window.headers[0].height), (WINDOW + 1, 7));
        let tagged = Scan { keep_through: i64::MAX, tagged_through: Some(7), ..Scan::default() };
        let changes = window.advance(&tagged, Confirmation::Finalized).expect("nothing new");
        assert_eq!(words(&changes), ["confirmed t7"]);
        assert_eq!((window.headers.len(), window.headers[0].height), (WINDOW, 51));
    }
}
