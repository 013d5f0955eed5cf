//! Who is asked in one look: as many nodes as must agree, the healthy ones first. Every so often another one goes first, so
//! that what one node never shows is found all the same.

use super::SolanaNetwork;
use super::endpoint::{Endpoint, NodeError};
use super::key::Key;
use domain::time::{Span, Time};
use futures_util::future::join_all;
use std::cmp::Reverse;
use std::ops::RangeInclusive;

/// So many slots a node may be behind what was seen: healthy nodes differ by a few. What is known is not forgotten for it.
const BEHIND: i64 = 64;
/// A clock that is further ahead of ours than this is wrong, or ours is.
const AHEAD: Span = Span::minutes(10);
/// Slots that a chain makes in a second at most: 200 ms is the shortest that Solana plans.
const SLOTS_A_SECOND: i64 = 5;
/// A slot may be so much further than that: clocks of chains are as far off as `AHEAD` says.
const SLOTS_AHEAD: i64 = 3_000;
/// Of so many looks one begins with another node than the first.
const ANOTHER_EVERY: u64 = 8;

/// Why a look came to nothing. Its text is for the log, and names nodes by their hosts alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{name}: {error}")]
    Node { number: usize, name: String, error: NodeError },
    #[error("{name}: the account {account} cannot be read: {error}")]
    Unread { number: usize, name: String, account: String, error: Box<NodeError> },
    #[error("{answer} of {wanted} nodes that must agree can be asked: {reasons}")]
    TooFew { answer: usize, wanted: usize, reasons: String },
    #[error("{names} do not agree about a transaction of the account {account}")]
    Disagree { numbers: [usize; 2], names: String, account: String },
    #[error(
        "{name}: what lies in the account {account} is not what its history comes to. Nothing that it shows of the account \
         is taken"
    )]
    Unexplained { number: usize, name: String, account: String },
    #[error(
        "the account {account} has more than {most} transactions that were not read: nobody is kept waiting for it"
    )]
    TooLong { account: String, most: usize },
    #[error("what was remembered of the account {account} cannot be read")]
    Mark { account: String },
    #[error("{0}")]
    Book(String),
}

impl Fault {
    /// What a node could not answer.
    pub fn of(node: &Endpoint, error: NodeError) -> Fault {
        Fault::Node { number: node.number, name: node.name.clone(), error }
    }

    /// What a node could not answer about one account: that account's fault, unless the node answers nobody.
    pub fn about(node: &Endpoint, account: &Key, error: NodeError) -> Fault {
        if error.is_of_the_node() {
            return Fault::of(node, error);
        }
        let (number, name, account) = (node.number, node.name.clone(), account.to_string());
        Fault::Unread { number, name, account, error: Box::new(error) }
    }

    /// The account that it speaks of, if it speaks of one.
    pub fn account(&self) -> Option<&str> {
        match self {
            Fault::Unread { account, .. }
            | Fault::Disagree { account, .. }
            | Fault::Unexplained { account, .. }
            | Fault::TooLong { account, .. }
            | Fault::Mark { account } => Some(account),
            Fault::Node { .. } | Fault::TooFew { .. } | Fault::Book(_) => None,
        }
    }

    /// Whether only one account is concerned, so that others can be looked at.
    pub fn is_of_one_account(&self) -> bool {
        self.account().is_some()
    }

    /// The nodes that are asked last from now on.
    fn to_blame(&self) -> Vec<usize> {
        match self {
            Fault::Node { number, .. } | Fault::Unread { number, .. } | Fault::Unexplained { number, .. } => {
                vec![*number]
            }
            // Nobody knows who is right: with a third node, each of the two is tried with it.
            Fault::Disagree { numbers, .. } => numbers.to_vec(),
            // Who failed to answer rests already.
            Fault::TooFew { .. } | Fault::TooLong { .. } | Fault::Mark { .. } | Fault::Book(_) => Vec::new(),
        }
    }
}

/// The nodes of one look: the first one leads, the others must say the same.
pub struct Council<'a> {
    pub seats: Vec<&'a Endpoint>,
    /// No answer that is older than this is taken.
    pub least: i64,
    /// The newest slot that all of them had before anything else was asked, and its time.
    pub slot: i64,
    pub at: Time,
}

impl SolanaNetwork {
    /// Asks nodes for their newest slots until enough have answered that are of our cluster and not behind the slot `tip`,
    /// nor further ahead of it than a chain can be that had it at `tip_at`.
    pub(super) async fn council(&self, tip: i64, tip_at: Option<Time>, now: Time) -> Result<Council<'_>, Fault> {
        let least = (tip - BEHIND).max(0);
        let most = tip_at.map_or(i64::MAX, |at| {
            let seconds = now.since(at).0.max(0) / 1_000;
            tip.saturating_add(seconds.saturating_mul(SLOTS_A_SECOND)).saturating_add(SLOTS_AHEAD)
        });
        let mut waiting = self.in_order(now);
        let (mut seats, mut slots, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        while seats.len() < self.agree && !waiting.is_empty() {
            let wanted = self.agree - seats.len();
            let asked = waiting.split_off(waiting.len().saturating_sub(wanted));
            let answers = join_all(asked.iter().rev().map(|node| self.newest(node, least..=most, now))).await;
            for (node, answer) in asked.into_iter().rev().zip(answers) {
                match answer {
                    Ok(newest) => {
                        seats.push(node);
                        slots.push(newest);
                    }
                    Err(error) => {
                        node.failed(now);
                        reasons.push(format!("{}: {error}", node.name));
                    }
                }
            }
        }
        if seats.len() < self.agree {
            let (answer, wanted) = (seats.len(), self.agree);
            return Err(Fault::TooFew { answer, wanted, reasons: reasons.join("; ") });
        }
        let (slot, at) = slots.into_iter().min().unwrap_or_default();
        Ok(Council { seats, least, slot, at })
    }

    async fn newest(&self, node: &Endpoint, between: RangeInclusive<i64>, now: Time) -> Result<(i64, Time), NodeError> {
        node.check(&self.cluster).await?;
        let newest = node.newest(*between.start()).await?;
        // What it said of that slot would be remembered, and honest nodes seem to be behind it.
        if newest.at > now + AHEAD {
            return Err(NodeError::Ahead);
        }
        match newest.slot > *between.end() {
            true => Err(NodeError::TooFar { found: newest.slot, most: *between.end() }),
            false => Ok((newest.slot, newest.at)),
        }
    }

    /// Rested nodes in the configuration's order, then whoever has rested longest; reversed, because they are taken from
    /// the end.
    fn in_order(&self, now: Time) -> Vec<&Endpoint> {
        let mut nodes = self.endpoints.iter().collect::<Vec<_>>();
        nodes.sort_by_key(|node| Reverse((node.rests_until().max(now), node.number)));
        let looks = self.with_pacing(|pacing| {
            pacing.looks += 1;
            pacing.looks
        });
        let rested = nodes.iter().filter(|node| node.rests_until() <= now).count();
        if looks.is_multiple_of(ANOTHER_EVERY) && rested > self.agree {
            let end = nodes.len();
            nodes[end - rested..].rotate_right(1);
        }
        nodes
    }

    /// Whoever a fault speaks of is asked last from now on.
    pub(super) fn blame(&self, fault: &Fault, now: Time) {
        for number in fault.to_blame() {
            self.endpoints[number].failed(now);
        }
    }
}
