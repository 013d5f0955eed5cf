//! Blocks in, changes of standing out: which transfers were seen, are confirmed, or vanished in a reorganisation.
//!
//! Keeps a window of recent block headers with the transfers in them. Must never talk to a node: adapters hand in blocks,
//! the watcher stores window and changes in one commit.

use crate::ids::{AssetId, TransferId};
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// How many recent blocks are remembered; a reorganisation deeper than this is not followed.
pub const WINDOW: usize = 256;

/// One block with the transfers to our addresses in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub height: i64,
    pub hash: String,
    pub parent: String,
    pub transfers: Vec<ChainTransfer>,
}

/// A transfer of a listed asset, as a block shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainTransfer {
    pub id: TransferId,
    pub asset: AssetId,
    pub to: String,
    /// At the asset's ledger scale.
    pub units: i64,
    /// The chain's own integer, as decimal text.
    pub raw: String,
    pub block_at: Time,
}

/// What an adapter found after the newest block that the window knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The window's blocks above this height are not on the chain any more.
    pub keep_through: i64,
    /// What follows, each block the child of the one before.
    pub blocks: Vec<Block>,
    /// Every payment of a block up to this moment is in what was handed over.
    pub scanned_through: Time,
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
    /// The newest block, if any was scanned.
    pub fn tip(&self) -> Option<&Header> {
        self.headers.last()
    }

    /// Takes in a scan; a transfer counts as confirmed once `confirmations` blocks, its own included, carry it.
    pub fn advance(&mut self, scan: &Scan, confirmations: u32) -> Result<Vec<Change>, ScanError> {
        let kept = self.headers.iter().take_while(|header| header.height <= scan.keep_through).count();
        let mut tip = kept.checked_sub(1).map(|at| (self.headers[at].height, self.headers[at].hash.clone()));
        for block in &scan.blocks {
            if tip.as_ref().is_some_and(|(height, hash)| block.height != height + 1 || block.parent != *hash) {
                return Err(ScanError::NotLinked { height: block.height });
            }
            tip = Some((block.height, block.hash.clone()));
        }
        let gone: Vec<TransferId> = self.headers.drain(kept..).flat_map(|header| header.transfers).collect();
        let mined_again = |id: &TransferId| scan.blocks.iter().any(|block| block.transfers.iter().any(|t| t.id == *id));
        let mut changes: Vec<Change> = gone.into_iter().filter(|id| !mined_again(id)).map(Change::Reverted).collect();
        for block in &scan.blocks {
            self.push(block, &mut changes);
        }
        self.confirm(confirmations, &mut changes);
        let surplus = self.headers.len().saturating_sub(WINDOW);
        self.headers.drain(..surplus);
        Ok(changes)
    }

    fn push(&mut self, block: &Block, changes: &mut Vec<Change>) {
        let (height, hash) = (block.height, block.hash.clone());
        for transfer in &block.transfers {
            changes.push(Change::Seen { transfer: transfer.clone(), height, block_hash: hash.clone() });
        }
        let transfers = block.transfers.iter().map(|transfer| transfer.id.clone()).collect();
        self.headers.push(Header { height, hash, transfers, confirmed: false });
    }

    fn confirm(&mut self, confirmations: u32, changes: &mut Vec<Change>) {
        let Some(tip) = self.tip().map(|header| header.height) else {
            return;
        };
        let confirmed_through = tip - i64::from(confirmations.max(1)) + 1;
        for header in self.headers.iter_mut().filter(|header| !header.confirmed && header.height <= confirmed_through) {
            header.confirmed = true;
            changes.extend(header.transfers.iter().cloned().map(Change::Confirmed));
        }
    }
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
                to: "address".into(),
                units: 1,
                raw: "1".into(),
                block_at: Time(0),
            });
            Block { height: height.parse().expect("a height"), hash, parent, transfers: transfers.collect() }
        });
        Scan { keep_through, blocks: blocks.collect(), scanned_through: Time(0) }
    }

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
            let changes = window.advance(&scan, 2).expect("a linked scan");
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
    fn blocks_that_do_not_link_change_nothing() {
        let mut window = Window::default();
        window.advance(&scan(0, &["1 a - t1"]), 2).expect("a first block");
        let before = window.clone();
        let broken = window.advance(&scan(1, &["2 b wrong"]), 2);
        assert_eq!(broken, Err(ScanError::NotLinked { height: 2 }));
        assert_eq!(window, before);
    }
}
