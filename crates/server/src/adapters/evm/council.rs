//! Who is asked in one scan: as many nodes as must agree, the healthy ones first, and nobody who is behind what was seen.

use super::EvmNetwork;
use super::endpoint::{Endpoint, Newest};
use super::rpc::RpcError;
use super::wire::Mined;
use domain::time::Time;
use futures_util::future::join_all;
use std::cmp::Reverse;
use std::sync::atomic::Ordering;

/// Why a scan came to nothing. Its text is for the log, and names nodes by their hosts alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{name}: {error}")]
    Node { number: usize, name: String, error: RpcError },
    #[error("{answer} of {wanted} nodes that must agree can be asked: {reasons}")]
    TooFew { answer: usize, wanted: usize, reasons: String },
    #[error("{names} do not agree about block {height}")]
    Disagree { height: i64, numbers: [usize; 2], names: String },
    #[error("{names} against every other node about block {height}: what it shows alone is not believed, and it rests")]
    Outvoted { height: i64, names: String },
    #[error(
        "{name} shows a transfer in block {height} when it is asked for a range, and does not when it is asked for that \
         block"
    )]
    Contradicts { number: usize, name: String, height: i64 },
    #[error(
        "no block that was scanned is on the chain that {name} shows: a reorganisation deeper than {known} blocks, or \
         another chain of the same id. Nothing is taken from it; see docs/operators.md"
    )]
    OtherChain { number: usize, name: String, known: usize },
    #[error("{name} led a scan that took longer than {seconds} seconds")]
    TooLong { number: usize, name: String, seconds: u64 },
    #[error("the chain changed while it was read")]
    Moved,
    #[error("{name} no longer shows a transfer in block {height} that it showed before")]
    Lost { number: usize, name: String, height: i64 },
    #[error("{0}")]
    Book(String),
}

impl Fault {
    /// What a node could not answer.
    pub fn of(node: &Endpoint, error: RpcError) -> Fault {
        Fault::Node { number: node.number, name: node.name.clone(), error }
    }

    /// The nodes that are asked last from now on.
    pub fn to_blame(&self) -> Vec<usize> {
        match self {
            Fault::Node { number, .. }
            | Fault::OtherChain { number, .. }
            | Fault::Contradicts { number, .. }
            | Fault::TooLong { number, .. }
            | Fault::Lost { number, .. } => vec![*number],
            // Nobody knows who is right: with a third node, each of the two is tried with it.
            Fault::Disagree { numbers, .. } => numbers.to_vec(),
            // Who failed to answer rests already.
            Fault::TooFew { .. } | Fault::Outvoted { .. } | Fault::Moved | Fault::Book(_) => Vec::new(),
        }
    }

    /// Two nodes that differ.
    pub fn disagree(one: &Endpoint, other: &Endpoint, height: i64) -> Fault {
        let names = format!("{} and {}", one.name, other.name);
        Fault::Disagree { height, numbers: [one.number, other.number], names }
    }
}

/// A node that is asked, and its newest block.
pub struct Seat<'a> {
    pub node: &'a Endpoint,
    pub newest: Mined,
}

impl Seat<'_> {
    /// What the node could not answer, as a fault of the scan.
    pub fn fault(&self, error: RpcError) -> Fault {
        Fault::of(self.node, error)
    }
}

/// The nodes of one scan: the first one leads, the others must say the same.
pub struct Council<'a> {
    pub seats: Vec<Seat<'a>>,
    /// The newest height that all of them have.
    pub height: i64,
    /// How far the chain's tag has come with all of them.
    pub tagged_through: Option<i64>,
}

impl<'a> Council<'a> {
    pub fn leader(&self) -> &Seat<'a> {
        &self.seats[0]
    }

    pub fn witnesses(&self) -> &[Seat<'a>] {
        &self.seats[1..]
    }

    /// The leader and another node that differ.
    pub fn differ(&self, other: &Endpoint, height: i64) -> Fault {
        Fault::disagree(self.leader().node, other, height)
    }
}

impl EvmNetwork {
    /// Asks nodes for their newest blocks until enough have answered; none of them is behind `least`.
    pub(super) async fn council(&self, least: i64, now: Time) -> Result<Council<'_>, Fault> {
        let mut waiting = self.endpoints.iter().collect::<Vec<_>>();
        // Rested ones in the configuration's order, then whoever has rested longest. Reversed: taken from the end.
        waiting.sort_by_key(|node| Reverse((node.rests_until().max(now), node.number)));
        if let Some(node) = waiting.last() {
            self.leading.store(node.number, Ordering::Relaxed);
        }
        let (mut seats, mut tags, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        while seats.len() < self.agree && !waiting.is_empty() {
            let wanted = self.agree - seats.len();
            let asked = waiting.split_off(waiting.len().saturating_sub(wanted));
            let answers = join_all(asked.iter().rev().map(|node| self.newest_of(node))).await;
            for (node, answer) in asked.into_iter().rev().zip(answers) {
                match answer {
                    Ok(Newest { block, tagged }) if block.height >= least => {
                        tags.extend(tagged);
                        seats.push(Seat { node, newest: block });
                    }
                    Ok(Newest { block, .. }) => {
                        node.failed(now);
                        reasons.push(format!("{} is at block {}, behind {least}", node.name, block.height));
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
        if let Some(Seat { node, .. }) = seats.first() {
            self.leading.store(node.number, Ordering::Relaxed);
        }
        let height = seats.iter().map(|seat| seat.newest.height).min().unwrap_or(least);
        Ok(Council { seats, height, tagged_through: tags.into_iter().min() })
    }

    /// A node's newest block, if it has our tokens.
    async fn newest_of(&self, node: &Endpoint) -> Result<Newest, RpcError> {
        let newest = node.newest(self.tag).await?;
        node.check_tokens(&self.tokens).await?;
        Ok(newest)
    }
}
