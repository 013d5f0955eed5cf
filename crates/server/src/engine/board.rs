//! How the chains on other machines are, and whether the books hold, as this process sees them; nothing of it is stored.
//!
//! Two rules decide whether a network takes new orders. It is scanned through to a time that is not too long ago, by the
//! clock of whoever asks: a scan that never ends must not keep a network open. A chain that stands still, a node that lags,
//! one that answers nothing and a long catch-up all come to that. And the audit has found no difference on it that nobody has acknowledged: where more lies on a chain than is known, payments are not seen, and where
//! less does, somebody took it or a node lies; either way nobody should send more. Must never keep an
//! order from being paid: what is on its way is looked for whatever stands here. Written by `workers/watch.rs` and
//! `workers/audit.rs`, read by `/readyz`, `/metrics` and, as suspended networks, by whatever reads the market.

use domain::ids::{AssetId, NetworkId};
use domain::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// The same failure is logged again after this long.
const TELL_AGAIN: Span = Span::minutes(10);

/// What is known of each network that others must not wait for, and of the books.
#[derive(Default)]
pub struct Board {
    watched: Mutex<BTreeMap<NetworkId, Watching>>,
    audited: Mutex<Audited>,
}

/// What the audit has found and no later look has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audited {
    /// Networks that take no new orders for it.
    pub closed: BTreeSet<NetworkId>,
    /// In units of the ledger, without their signs.
    pub differences: BTreeMap<(NetworkId, AssetId), i64>,
}

/// What is known of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watching {
    pub scanned_through: Time,
    /// How old that may be; `None` before the first look.
    patience: Option<Span>,
    /// Blocks that the chain has and that are not scanned.
    pub lag_blocks: i64,
    /// Scans that failed since the process began.
    pub failures: u64,
    /// Why the last one failed, and when that was logged.
    reason: Option<(String, Time)>,
}

/// Whether orders can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Not scanned since the process began.
    Starting,
    Open,
    /// Scans succeed, and what they see is old.
    Behind,
    /// Scans fail.
    Down,
}

impl Condition {
    /// The word for operators.
    pub fn word(self) -> &'static str {
        match self {
            Condition::Starting => "starting",
            Condition::Open => "ok",
            Condition::Behind => "behind",
            Condition::Down => "down",
        }
    }
}

/// What a scan came to.
pub enum Look<'a> {
    /// Scanned through to a time, with so many blocks left.
    Scanned {
        through: Time,
        lag_blocks: i64,
    },
    Failed {
        reason: &'a str,
    },
}

/// Whether a failure is worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// The first of its kind, or it lasts.
    Failure,
    /// The first success after a failure.
    Recovery,
    Nothing,
}

impl Board {
    /// A network that is going to be watched: closed until its first scan.
    pub fn expect(&self, network: NetworkId) {
        self.change(|known| {
            known.entry(network).or_default();
        });
    }

    /// Notes what a scan came to; networks that nobody expects are left out.
    pub fn note(&self, network: &NetworkId, look: &Look<'_>, patience: Span, now: Time) -> Tell {
        self.change(|known| known.get_mut(network).map_or(Tell::Nothing, |known| known.note(look, patience, now)))
    }

    /// Every network, as it is now.
    pub fn all(&self) -> BTreeMap<NetworkId, Watching> {
        self.change(|known| known.clone())
    }

    /// Those that take no new orders at that time.
    pub fn closed(&self, now: Time) -> BTreeSet<NetworkId> {
        let is_closed = |watching: &Watching| watching.condition(now) != Condition::Open;
        let unwatched = self.all().into_iter().filter(|(_, watching)| is_closed(watching)).map(|(network, _)| network);
        unwatched.chain(self.audited().closed).collect()
    }

    /// Takes over what the audit has found.
    pub fn note_audit(&self, closed: BTreeSet<NetworkId>, differences: BTreeMap<(NetworkId, AssetId), i64>) {
        self.change_audited(|audited| *audited = Audited { closed, differences });
    }

    /// What the audit has found.
    pub fn audited(&self) -> Audited {
        self.change_audited(|audited| audited.clone())
    }

    fn change_audited<T>(&self, change: impl FnOnce(&mut Audited) -> T) -> T {
        change(&mut self.audited.lock().expect("nobody panics while holding what was audited"))
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<NetworkId, Watching>) -> T) -> T {
        change(&mut self.watched.lock().expect("nobody panics while holding the board"))
    }
}

impl Watching {
    /// Whether orders can be taken at that time.
    pub fn condition(&self, now: Time) -> Condition {
        let Some(patience) = self.patience else { return Condition::Starting };
        // One failed look is no reason to close: what was scanned a moment ago is good.
        match (now.since(self.scanned_through) <= patience, &self.reason) {
            (true, _) => Condition::Open,
            (false, None) => Condition::Behind,
            (false, Some(_)) => Condition::Down,
        }
    }

    fn note(&mut self, look: &Look<'_>, patience: Span, now: Time) -> Tell {
        self.patience = Some(patience);
        match look {
            Look::Scanned { through, lag_blocks } => {
                (self.scanned_through, self.lag_blocks) = (*through, *lag_blocks);
                if self.reason.take().is_some() { Tell::Recovery } else { Tell::Nothing }
            }
            Look::Failed { reason } => {
                self.failures += 1;
                let is_told = |(told, at): &(String, Time)| told == reason && now.since(*at) < TELL_AGAIN;
                if self.reason.as_ref().is_some_and(is_told) {
                    Tell::Nothing
                } else {
                    self.reason = Some(((*reason).to_owned(), now));
                    Tell::Failure
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_000_000);
    const PATIENCE: Span = Span::minutes(2);

    #[test]
    fn a_network_is_open_while_its_scans_are_fresh() {
        let (board, id) = (Board::default(), NetworkId::new("eip155:8453"));
        board.expect(id.clone());
        assert_eq!(board.closed(NOW), BTreeSet::from([id.clone()]), "not scanned yet");
        let ago = |span: Span| Look::Scanned { through: Time(NOW.0 - span.0), lag_blocks: 0 };
        let failed = |reason| Look::Failed { reason };
        // What a look came to, when, how the network is after it, and what is worth a line.
        let table = [
            (failed("no answer"), NOW, Condition::Down, Tell::Failure),
            (failed("no answer"), NOW + Span::seconds(1), Condition::Down, Tell::Nothing),
            (failed("another"), NOW + Span::seconds(2), Condition::Down, Tell::Failure),
            (ago(Span::hours(3)), NOW, Condition::Behind, Tell::Recovery),
            (ago(Span::minutes(1)), NOW, Condition::Open, Tell::Nothing),
            (failed("no answer"), NOW, Condition::Open, Tell::Failure),
            (failed("no answer"), NOW + Span::minutes(2), Condition::Down, Tell::Nothing),
            (failed("no answer"), NOW + Span::minutes(11), Condition::Down, Tell::Failure),
            (ago(Span(0)), NOW, Condition::Open, Tell::Recovery),
        ];
        for (row, (look, now, condition, tell)) in table.iter().enumerate() {
            assert_eq!(board.note(&id, look, PATIENCE, *now), *tell, "row {row}");
            assert_eq!(board.all()[&id].condition(*now), *condition, "row {row}");
        }
        assert_eq!((board.closed(NOW).len(), board.all()[&id].failures), (0, 6));
    }

    #[test]
    fn a_network_closes_by_the_clock_alone() {
        let (board, id) = (Board::default(), NetworkId::new("eip155:8453"));
        board.expect(id.clone());
        assert_eq!(board.all()[&id].condition(NOW), Condition::Starting);
        board.note(&id, &Look::Scanned { through: NOW, lag_blocks: 0 }, PATIENCE, NOW);
        assert!(board.closed(NOW + PATIENCE).is_empty());
        // Nothing is noted: the next scan lasts.
        let late = NOW + PATIENCE + Span(1);
        assert_eq!(board.closed(late), BTreeSet::from([id.clone()]));
        assert_eq!(board.all()[&id].condition(late), Condition::Behind);
        board.note(&id, &Look::Failed { reason: "no answer" }, PATIENCE, late);
        assert_eq!(board.all()[&id].condition(late), Condition::Down);
        assert_eq!(board.all()[&id].condition(NOW), Condition::Open, "as it was then");
    }

    #[test]
    fn a_difference_closes_its_network_however_well_it_is_watched() {
        let (board, id) = (Board::default(), NetworkId::new("eip155:8453"));
        board.expect(id.clone());
        assert_eq!(board.note(&id, &Look::Scanned { through: NOW, lag_blocks: 0 }, PATIENCE, NOW), Tell::Nothing);
        let differences = BTreeMap::from([((id.clone(), AssetId::new("eip155:8453/erc20:0x83")), 7)]);
        board.note_audit(BTreeSet::from([id.clone()]), differences.clone());
        assert_eq!(board.closed(NOW), BTreeSet::from([id]));
        // Acknowledged: it is still told, and closes nothing.
        board.note_audit(BTreeSet::new(), differences.clone());
        assert_eq!((board.closed(NOW).len(), board.audited().differences), (0, differences));
    }

    #[test]
    fn a_network_that_nobody_expects_is_not_listed() {
        let board = Board::default();
        let look = Look::Failed { reason: "no answer" };
        assert_eq!(board.note(&NetworkId::new("sandbox:base"), &look, PATIENCE, NOW), Tell::Nothing);
        assert!(board.all().is_empty() && board.closed(NOW).is_empty());
    }
}
