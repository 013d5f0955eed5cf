//! A simulated chain as a watcher sees it.
//!
//! Reads the books from the newest block that the watcher still has right. A reorganisation that a payment asked for
//! happens here, as soon as the watcher holds the blocks that will be gone; until then nothing above them is handed
//! over, so that payments made in between cannot confirm what was meant to vanish early. Must never answer with a
//! scanned-through time past the caller's `now`: a payment may have a block time of its own, ahead of the clock.
//! Called by the watcher, through the port.

use super::books::{Books, BooksError, hash_at, mine, tip_height};
use crate::ports::{AddressBook, Answer, BalanceQuestion, Network};
use domain::chain::{Block, ChainTransfer, Header, Scan, Side};
use domain::ids::{AssetId, NetworkId, TransferId};
use domain::time::Time;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// Most blocks of one answer.
const MOST_BLOCKS: i64 = 200;

/// One simulated chain.
pub struct SandboxNetwork {
    pub books: Arc<Books>,
    pub id: NetworkId,
}

impl Network for SandboxNetwork {
    fn id(&self) -> &NetworkId {
        &self.id
    }

    fn scan<'a>(
        &'a self,
        known: &'a [Header],
        _book: &'a dyn AddressBook,
        now: Time,
    ) -> Answer<'a, Result<Scan, String>> {
        let scan = self.scan_books(known, now);
        Box::pin(std::future::ready(scan.map_err(|error| error.with_causes())))
    }

    fn balances<'a>(
        &'a self,
        question: &'a BalanceQuestion,
        _now: Time,
    ) -> Answer<'a, Result<Option<Vec<i128>>, String>> {
        let network = self.id.as_str();
        let found = self.books.read(|books| match hash_at(books, network, question.height)? {
            Some(hash) if hash == question.block_hash => balances(books, network, question).map(Some),
            Some(_) | None => Ok(None),
        });
        let found = found.map_err(|error| error.with_causes());
        let gone = || "that block is not on the chain any more".to_owned();
        Box::pin(std::future::ready(found.and_then(|found| found.ok_or_else(gone).map(Some))))
    }
}

/// What was paid to each address and is on the chain up to that block; nothing ever leaves these addresses.
fn balances(books: &Connection, network: &str, question: &BalanceQuestion) -> Result<Vec<i128>, BooksError> {
    let sql = "select raw from payments where network = ?1 and asset = ?2 and to_address = ?3 and height <= ?4";
    let mut statement = books.prepare_cached(sql)?;
    let mut sums = Vec::with_capacity(question.addresses.len());
    for address in &question.addresses {
        let range = params![network, question.asset.as_str(), address, question.height];
        let raws = statement.query_map(range, |row| row.get::<_, String>(0))?;
        let raws = raws.collect::<Result<Vec<String>, rusqlite::Error>>()?;
        sums.push(raws.iter().filter_map(|raw| raw.parse::<i128>().ok()).sum::<i128>());
    }
    Ok(sums)
}

impl SandboxNetwork {
    fn scan_books(&self, known: &[Header], now: Time) -> Result<Scan, BooksError> {
        let network = self.id.as_str();
        if self.books.read(|books| due_reorg(books, network, known))?.is_some() {
            // Asked again under the lock: another watcher may have been here in between.
            self.books.write(|books| match due_reorg(books, network, known)? {
                Some(reorg) => reorganise(books, network, &reorg),
                None => Ok(()),
            })?;
        }
        self.books.read(|books| following(books, network, known, now))
    }
}

/// A reorganisation that was asked for and has not happened yet.
struct Reorg {
    /// The newest block that stays.
    fork_height: i64,
    /// The newest of the blocks that carry what will be gone.
    after_height: i64,
    /// By how many blocks the new branch is longer.
    confirmations: i64,
}

/// The lowest reorganisation of the network. They happen from below: each is made on top of the one before.
fn next_reorg(books: &Connection, network: &str) -> Result<Option<Reorg>, BooksError> {
    let sql = "select fork_height, after_height, confirmations from pending_reorgs where network = ?1 \
        order by fork_height limit 1";
    let mut statement = books.prepare_cached(sql)?;
    let reorg = statement
        .query_row(params![network], |row| {
            Ok(Reorg { fork_height: row.get(0)?, after_height: row.get(1)?, confirmations: row.get(2)? })
        })
        .optional()?;
    Ok(reorg)
}

/// The next reorganisation, if the watcher holds the blocks that it takes away.
fn due_reorg(books: &Connection, network: &str, known: &[Header]) -> Result<Option<Reorg>, BooksError> {
    let Some(reorg) = next_reorg(books, network)? else {
        return Ok(None);
    };
    let hash = hash_at(books, network, reorg.after_height)?;
    let is_held = |header: &Header| header.height == reorg.after_height && Some(&header.hash) == hash.as_ref();
    let is_due = known.iter().any(is_held);
    Ok(is_due.then_some(reorg))
}

/// The payment is gone; whatever was mined above it stays at its height, in the blocks of a longer branch.
fn reorganise(books: &Connection, network: &str, reorg: &Reorg) -> Result<(), BooksError> {
    let gone = "update payments set height = null where network = ?1 and height > ?2 and height <= ?3";
    let range = params![network, reorg.fork_height, reorg.after_height];
    books.prepare_cached(gone)?.execute(range)?;
    let tip = tip_height(books, network)?;
    mine(books, network, reorg.fork_height, tip + reorg.confirmations)?;
    let done = "delete from pending_reorgs where network = ?1 and fork_height = ?2";
    books.prepare_cached(done)?.execute(params![network, reorg.fork_height])?;
    Ok(())
}

/// What follows the newest block of `known` that is on the chain.
fn following(books: &Connection, network: &str, known: &[Header], now: Time) -> Result<Scan, BooksError> {
    let tip = tip_height(books, network)?;
    if tip == 0 {
        return Ok(Scan { keep_through: i64::MAX, scanned_through: now, ..Scan::default() });
    }
    let keep_through = newest_in_common(books, network, known)?;
    let end = next_reorg(books, network)?.map_or(tip, |reorg| reorg.after_height);
    let through = end.min(keep_through + MOST_BLOCKS);
    let blocks = blocks(books, network, keep_through, through)?;
    // Time 0 promises nothing: the watcher keeps the later of this and what it knew.
    let scanned_through = if through >= tip { now } else { Time(0) };
    Ok(Scan { keep_through, blocks, scanned_through, ..Scan::default() })
}

/// The height of the newest known block that is on the chain; 0, below the first block, if none is.
fn newest_in_common(books: &Connection, network: &str, known: &[Header]) -> Result<i64, BooksError> {
    for header in known.iter().rev() {
        if hash_at(books, network, header.height)?.as_ref() == Some(&header.hash) {
            return Ok(header.height);
        }
    }
    Ok(0)
}

/// The blocks above `keep_through` up to `through`, with their payments.
fn blocks(books: &Connection, network: &str, keep_through: i64, through: i64) -> Result<Vec<Block>, BooksError> {
    let range = params![network, keep_through, through];
    let sql =
        "select height, hash, parent from chain where network = ?1 and height > ?2 and height <= ?3 order by height";
    let mut statement = books.prepare_cached(sql)?;
    let rows = statement.query_map(range, |row| {
        Ok(Block { height: row.get(0)?, hash: row.get(1)?, parent: row.get(2)?, transfers: Vec::new() })
    })?;
    let mut blocks = rows.collect::<Result<Vec<Block>, rusqlite::Error>>()?;
    let sql = "select height, id, asset, to_address, units, raw, block_at_ms from payments \
        where network = ?1 and height > ?2 and height <= ?3 order by height, seq";
    let mut statement = books.prepare_cached(sql)?;
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        let height: i64 = row.get(0)?;
        let transfer = ChainTransfer {
            id: TransferId::new(row.get::<_, String>(1)?),
            asset: AssetId::new(row.get::<_, String>(2)?),
            side: Side::In,
            from: None,
            to: row.get(3)?,
            units: row.get(4)?,
            raw: row.get(5)?,
            block_at: Time(row.get(6)?),
        };
        if let Some(block) = blocks.iter_mut().find(|block| block.height == height) {
            block.transfers.push(transfer);
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, Nobody, ready};
    use super::*;
    use crate::ports::SimulatedPayment;
    use domain::asset::Confirmation;
    use domain::chain::{Change, Window};
    use std::collections::BTreeMap;

    const NOW: Time = Time(1_700_000_000_000);
    const CONFIRMATIONS: u32 = 3;

    fn payment() -> SimulatedPayment {
        SimulatedPayment {
            network: NetworkId::new("sandbox:base"),
            asset: AssetId::new("usdc"),
            to: "0x1111".to_owned(),
            units: 25_000_000,
            raw: "25000000".to_owned(),
            block_at: NOW,
            confirmations: CONFIRMATIONS,
            reorg: None,
        }
    }

    fn reorganised(depth: u32) -> SimulatedPayment {
        SimulatedPayment { reorg: Some(depth), ..payment() }
    }

    /// A watcher of one network; payments have names here instead of ids.
    struct Watcher {
        network: SandboxNetwork,
        window: Window,
        names: BTreeMap<TransferId, &'static str>,
    }

    impl Watcher {
        fn new() -> Watcher {
            Watcher::of(Books::in_memory().expect("books in memory"))
        }

        fn of(books: Books) -> Watcher {
            let network = SandboxNetwork { books: Arc::new(books), id: NetworkId::new("sandbox:base") };
            Watcher { network, window: Window::default(), names: BTreeMap::new() }
        }

        fn pay(&mut self, name: &'static str, payment: &SimulatedPayment) {
            let id = self.network.books.pay(payment).expect("a payment within bounds");
            self.names.insert(id, name);
        }

        fn scan(&self) -> Scan {
            ready(self.network.scan(&self.window.headers, &Nobody, NOW)).expect("readable books")
        }

        /// One round: scan, and take it in.
        fn round(&mut self) -> Vec<String> {
            let scan = self.scan();
            let changes = self.window.advance(&scan, Confirmation::Blocks(CONFIRMATIONS)).expect("blocks that link");
            let name = |id: &TransferId| self.names.get(id).copied().unwrap_or("a stranger");
            let word = |change: &Change| match change {
                Change::Seen { transfer, .. } => format!("seen {}", name(&transfer.id)),
                Change::Confirmed(id) => format!("confirmed {}", name(id)),
                Change::Reverted(id) => format!("reverted {}", name(id)),
            };
            changes.iter().map(word).collect()
        }

        fn rounds(&mut self, expected: &[&[&str]]) {
            for (number, expected) in expected.iter().enumerate() {
                assert_eq!(self.round(), *expected, "round {number}");
            }
        }
    }

    const NOTHING: &[&str] = &[];

    #[test]
    fn an_empty_chain_answers_nothing_and_is_scanned_through() {
        let scan = Watcher::new().scan();
        let expected = Scan { keep_through: i64::MAX, scanned_through: NOW, ..Scan::default() };
        assert_eq!(scan, expected);
    }

    #[test]
    fn a_payment_is_seen_and_confirmed_and_a_second_one_too() {
        let mut watcher = Watcher::new();
        watcher.pay("first", &payment());
        watcher.rounds(&[&["seen first", "confirmed first"], NOTHING]);
        watcher.pay("again", &payment());
        watcher.pay("and again", &payment());
        let both = ["seen again", "seen and again", "confirmed again", "confirmed and again"];
        watcher.rounds(&[&both, NOTHING]);
    }

    #[test]
    fn with_too_few_blocks_a_payment_waits_for_the_next_ones() {
        let mut watcher = Watcher::new();
        let one_block = SimulatedPayment { confirmations: 1, ..payment() };
        watcher.pay("first", &one_block);
        watcher.rounds(&[&["seen first"], NOTHING]);
        watcher.pay("second", &one_block);
        watcher.pay("third", &one_block);
        watcher.rounds(&[&["seen second", "seen third", "confirmed first"]]);
    }

    #[test]
    fn amount_asset_and_block_time_arrive_as_they_were_paid_and_scanned_through_stays_with_the_clock() {
        let mut watcher = Watcher::new();
        let late_and_wrong = SimulatedPayment {
            asset: AssetId::new("look-alike"),
            to: "0x2222".to_owned(),
            units: 12_500_000,
            raw: "12500000000000000000".to_owned(),
            block_at: Time(NOW.0 + 3_000_000),
            ..payment()
        };
        watcher.pay("late", &late_and_wrong);
        let scan = watcher.scan();
        assert_eq!((scan.keep_through, scan.scanned_through), (0, NOW));
        let heights: Vec<i64> = scan.blocks.iter().map(|block| block.height).collect();
        assert_eq!(heights, [1, 2, 3]);
        let transfers: Vec<&ChainTransfer> = scan.blocks.iter().flat_map(|block| &block.transfers).collect();
        let expected = ChainTransfer {
            id: watcher.names.keys().next().expect("it was paid").clone(),
            asset: AssetId::new("look-alike"),
            side: Side::In,
            from: None,
            to: "0x2222".to_owned(),
            units: 12_500_000,
            raw: "12500000000000000000".to_owned(),
            block_at: Time(NOW.0 + 3_000_000),
        };
        assert_eq!(transfers, [&expected]);
    }

    #[test]
    fn a_reorganisation_comes_after_the_watcher_saw_the_payment() {
        for depth in 1..CONFIRMATIONS {
            let mut watcher = Watcher::new();
            watcher.pay("before", &payment());
            watcher.pay("gone", &reorganised(depth));
            let first: &[&str] = &["seen before", "seen gone", "confirmed before"];
            watcher.rounds(&[first, &["reverted gone"], NOTHING]);
            watcher.pay("after", &payment());
            watcher.rounds(&[&["seen after", "confirmed after"], NOTHING]);
        }
    }

    #[test]
    fn a_deep_reorganisation_takes_confirmed_money_away() {
        let mut watcher = Watcher::new();
        watcher.pay("gone", &reorganised(CONFIRMATIONS));
        watcher.rounds(&[&["seen gone", "confirmed gone"], &["reverted gone"], NOTHING]);
    }

    #[test]
    fn the_new_branch_is_longer_and_empty() {
        let mut watcher = Watcher::new();
        watcher.pay("gone", &reorganised(2));
        watcher.round();
        let fork = watcher.scan();
        // Depth 2 and 3 confirmations: 5 blocks in the place of 2.
        assert_eq!((fork.keep_through, fork.blocks.len(), fork.scanned_through), (0, 5, NOW));
        assert!(fork.blocks.iter().all(|block| block.transfers.is_empty()));
    }

    #[test]
    fn a_payment_made_before_the_reorganisation_survives_it_and_does_not_confirm_the_other() {
        let mut watcher = Watcher::new();
        watcher.pay("gone", &reorganised(1));
        watcher.pay("kept", &payment());
        assert_eq!(watcher.scan().scanned_through, Time(0), "the other payment is still held back");
        let fork: &[&str] = &["reverted gone", "seen kept", "confirmed kept"];
        watcher.rounds(&[&["seen gone"], fork, NOTHING]);
    }

    #[test]
    fn two_reorganisations_happen_one_after_the_other() {
        let mut watcher = Watcher::new();
        watcher.pay("one", &reorganised(1));
        watcher.pay("two", &reorganised(2));
        watcher.rounds(&[&["seen one"], &["reverted one", "seen two"], &["reverted two"], NOTHING]);
    }

    #[test]
    fn an_answer_that_got_lost_is_given_again() {
        let mut watcher = Watcher::new();
        watcher.pay("gone", &reorganised(2));
        assert_eq!(watcher.scan(), watcher.scan(), "nothing happens before the watcher holds the blocks");
        watcher.round();
        let lost = watcher.scan();
        assert_eq!(watcher.scan(), lost);
        watcher.rounds(&[&["reverted gone"], NOTHING]);
    }

    #[test]
    fn balances_are_what_was_paid_up_to_a_block_of_the_chain() {
        let mut watcher = Watcher::new();
        watcher.pay("first", &payment());
        watcher.pay("again", &payment());
        watcher.pay(
            "elsewhere",
            &SimulatedPayment { to: "0x2222".to_owned(), units: 7, raw: "7".to_owned(), ..payment() },
        );
        watcher.pay("gone", &reorganised(1));
        watcher.round();
        watcher.round();
        let headers = watcher.window.headers.clone();
        let at = |height: i64| {
            let header = headers.iter().find(|header| header.height == height).expect("it was scanned");
            let question = BalanceQuestion {
                asset: AssetId::new("usdc"),
                addresses: vec!["0x1111".to_owned(), "0x2222".to_owned(), "0x3333".to_owned()],
                height,
                block_hash: header.hash.clone(),
            };
            (ready(watcher.network.balances(&question, NOW)), question)
        };
        // Three blocks each; the payment that is gone was in the tenth.
        assert_eq!(at(1).0, Ok(Some(vec![25_000_000, 0, 0])));
        assert_eq!(at(4).0, Ok(Some(vec![50_000_000, 0, 0])));
        assert_eq!(at(10).0, Ok(Some(vec![50_000_000, 7, 0])));
        let other = BalanceQuestion { block_hash: "another".to_owned(), ..at(4).1 };
        assert!(ready(watcher.network.balances(&other, NOW)).is_err(), "that block is on no chain");
    }

    #[test]
    fn a_long_way_is_handed_over_in_parts() {
        let mut watcher = Watcher::new();
        let long = SimulatedPayment { confirmations: 64, ..payment() };
        for name in ["one", "two", "three", "four"] {
            watcher.pay(name, &long);
        }
        // 256 blocks: 200, then 56.
        for (blocks, scanned_through, keep_through) in [(200, Time(0), 0), (56, NOW, 200), (0, NOW, 256)] {
            let scan = watcher.scan();
            let found = (scan.blocks.len(), scan.scanned_through, scan.keep_through);
            assert_eq!(found, (blocks, scanned_through, keep_through));
            watcher.round();
        }
    }

    #[test]
    fn networks_share_the_books_but_not_the_chain() {
        let mut watcher = Watcher::new();
        watcher.pay("here", &payment());
        let other = SandboxNetwork { books: Arc::clone(&watcher.network.books), id: NetworkId::new("sandbox:other") };
        assert_eq!(other.id().as_str(), "sandbox:other");
        let scan = ready(other.scan(&[], &Nobody, NOW)).expect("readable books");
        assert!(scan.blocks.is_empty());
        watcher.rounds(&[&["seen here", "confirmed here"]]);
    }

    #[test]
    fn books_begun_anew_are_not_taken_for_the_old_ones() {
        let mut watcher = Watcher::new();
        watcher.pay("old", &payment());
        watcher.round();
        watcher.network.books = Arc::new(Books::in_memory().expect("books in memory"));
        watcher.rounds(&[NOTHING]);
        let other = SimulatedPayment { to: "0x2222".to_owned(), ..payment() };
        watcher.pay("new", &other);
        watcher.rounds(&[&["reverted old", "seen new", "confirmed new"], NOTHING]);
    }

    #[test]
    fn two_books_on_one_file_see_each_other_and_survive_being_closed() {
        let folder = Folder::new("two-books");
        let open = || Books::open(&folder.books()).expect("the books open");
        let mut watcher = Watcher::of(open());
        let second = open();
        assert!(watcher.scan().blocks.is_empty());
        let id = second.pay(&reorganised(1)).expect("paid");
        watcher.names.insert(id, "from the other side");
        watcher.rounds(&[&["seen from the other side"]]);
        drop(second);
        watcher.network.books = Arc::new(open());
        watcher.rounds(&[&["reverted from the other side"], NOTHING]);
    }

    #[test]
    fn payments_from_two_sides_at_once_make_one_chain() {
        let folder = Folder::new("at-once");
        let open = || Books::open(&folder.books()).expect("the books open");
        let sides = [open(), open()];
        std::thread::scope(|scope| {
            for side in &sides {
                scope.spawn(move || {
                    for _ in 0..10 {
                        side.pay(&payment()).expect("the other side is waited for");
                    }
                });
            }
        });
        let mut watcher = Watcher::of(open());
        // 20 payments, each with 3 blocks: 60 blocks fit one answer, and `round` checks that they link.
        let changes = watcher.round();
        assert_eq!(changes.iter().filter(|change| change.starts_with("seen")).count(), 20);
        assert_eq!(changes.iter().filter(|change| change.starts_with("confirmed")).count(), 20);
    }
}
