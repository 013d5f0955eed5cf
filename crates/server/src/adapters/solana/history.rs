//! What happened in an account since it was last known: its transactions one after the other, each of which must begin with
//! what the one before left, up to what lies in it now.
//!
//! A history with a hole in it explains nothing: the mark stays before the hole, and the node is asked again. Must never
//! take a transaction for read that was not, and never take a node's word for one that another node of the council denies.

use super::council::Fault;
use super::endpoint::Endpoint;
use super::mark::Mark;
use super::scan::{Account, Look};
use super::wire::{Listed, Moved};
use futures_util::future::join_all;

/// Pages of one history that one look reads.
const MOST_PAGES: usize = 40;
/// Transactions of one account that one look reads; of the slot in which that ends, all.
const MOST_AT_ONCE: usize = 64;
/// Transactions that are asked for at once.
const TOGETHER: usize = 8;
/// With more to be read than this the account keeps nobody waiting: somebody sends it dust.
const LONG: usize = 500;

/// What one node shows in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Among the seats of the council.
    pub seat: usize,
    pub slot: i64,
    pub amount: u64,
}

/// What was read of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What moved tokens, oldest first.
    pub moves: Vec<Moved>,
    pub mark: Mark,
    pub left: Left,
}

/// What is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Some,
    /// So much that nobody waits for it.
    Much,
}

impl Look<'_> {
    /// Reads what happened in an account between its mark and the oldest of `balances`, one of which each seat gave.
    pub(super) async fn read(&self, account: &Account, mark: &Mark, balances: &[Balance]) -> Result<Reading, Fault> {
        // Whoever is ahead of the others has the longest history.
        let Some(newest) = balances.iter().max_by_key(|balance| balance.slot) else {
            return Ok(Reading { moves: Vec::new(), mark: mark.clone(), left: Left::Nothing });
        };
        let through = balances.iter().map(|balance| balance.slot).min().unwrap_or(newest.slot);
        let unread = self.unread(newest, account, mark).await?;
        let (wanted, later) = unread.split_at(unread.partition_point(|listed| listed.slot <= through));
        let part = &wanted[..end_of_part(wanted)];
        let mut after = mark.clone();
        let mut moves = Vec::new();
        let fetched = self.fetch(newest, account, part).await?;
        for slot in fetched.chunk_by(|one, other| one.slot == other.slot) {
            let unexplained = || self.unexplained(newest, account);
            let (amount, ordered) = in_order(after.amount, slot.to_vec()).ok_or_else(unexplained)?;
            after.amount = amount;
            moves.extend(ordered);
        }
        if let Some(last) = part.last() {
            (after.slot, after.signature) = (last.slot, Some(last.signature.clone()));
        }
        let left = match unread.len() - part.len() {
            _ if part.len() == wanted.len() => Left::Nothing,
            more if more > LONG => Left::Much,
            _ => Left::Some,
        };
        if left == Left::Nothing {
            for balance in balances {
                let is_ahead = later.iter().any(|listed| listed.slot <= balance.slot);
                if balance.amount != after.amount && !is_ahead {
                    return Err(self.unexplained(balance, account));
                }
            }
            after.slot = after.slot.max(through);
        }
        Ok(Reading { moves, mark: after, left })
    }

    /// What happened after the mark's slot, oldest first, failed transactions too.
    async fn unread(&self, balance: &Balance, account: &Account, mark: &Mark) -> Result<Vec<Listed>, Fault> {
        let node = self.council.seats[balance.seat];
        let mut unread: Vec<Listed> = Vec::new();
        for _ in 0..MOST_PAGES {
            let before = unread.last().map(|listed| listed.signature.as_str());
            let page = node.history(&account.key, before, mark.signature.as_deref(), balance.slot).await;
            let page = page.map_err(|error| Fault::of(node, error))?;
            let Some(first) = page.first() else {
                unread.reverse();
                return Ok(unread);
            };
            // A node that does not know `before` begins anew.
            let begins_anew = |last: &Listed| last.slot < first.slot || first.signature == unread[0].signature;
            if unread.last().is_some_and(begins_anew) {
                return Err(self.unexplained(balance, account));
            }
            let reaches_the_mark = page.last().is_some_and(|last| last.slot <= mark.slot);
            unread.extend(page.into_iter().take_while(|listed| listed.slot > mark.slot));
            // Nodes give pages of any length: only an empty one is the last.
            if reaches_the_mark {
                unread.reverse();
                return Ok(unread);
            }
        }
        match unread.len() {
            most if most > LONG => Err(Fault::TooLong { account: account.key.to_string(), most }),
            _ => Err(self.unexplained(balance, account)),
        }
    }

    /// What those transactions did, as every seat shows it. A failed one did nothing.
    async fn fetch(&self, balance: &Balance, account: &Account, part: &[Listed]) -> Result<Vec<Moved>, Fault> {
        let first = self.council.seats[balance.seat];
        let others = self.council.seats.iter().copied().filter(|node| node.number != first.number);
        let others: Vec<&Endpoint> = others.collect();
        let succeeded: Vec<&Listed> = part.iter().filter(|listed| !listed.failed).collect();
        let mut moves = Vec::with_capacity(succeeded.len());
        for group in succeeded.chunks(TOGETHER) {
            moves.extend(self.fetch_from(first, account, group).await?);
            let known = moves.len() - group.len();
            for other in &others {
                if self.fetch_from(other, account, group).await? != moves[known..] {
                    let names = format!("{} and {}", first.name, other.name);
                    let numbers = [first.number, other.number];
                    return Err(Fault::Disagree { numbers, names, account: account.key.to_string() });
                }
            }
        }
        Ok(moves)
    }

    async fn fetch_from(&self, node: &Endpoint, account: &Account, group: &[&Listed]) -> Result<Vec<Moved>, Fault> {
        let mint = &self.token(account).mint;
        let answers = join_all(group.iter().map(|listed| node.moved(listed, &account.key, mint))).await;
        answers.into_iter().map(|answer| answer.map_err(|error| Fault::of(node, error))).collect()
    }

    fn unexplained(&self, balance: &Balance, account: &Account) -> Fault {
        let node = self.council.seats[balance.seat];
        Fault::Unexplained { number: node.number, name: node.name.clone(), account: account.key.to_string() }
    }
}

/// How many of them are read now: whole slots, so that a mark never stands within one.
fn end_of_part(wanted: &[Listed]) -> usize {
    let Some(last) = wanted.get(MOST_AT_ONCE - 1) else { return wanted.len() };
    wanted.partition_point(|listed| listed.slot <= last.slot)
}

/// The transactions of one slot in the order in which they follow from an amount, and what they leave. Nodes list those of
/// one slot in orders of their own. `None` if they do not hang together.
fn in_order(mut amount: u64, mut moves: Vec<Moved>) -> Option<(u64, Vec<Moved>)> {
    moves.retain(|moved| moved.before != moved.after);
    let mut ordered = Vec::with_capacity(moves.len());
    while let Some(at) = moves.iter().position(|moved| moved.before == amount) {
        let moved = moves.remove(at);
        amount = moved.after;
        ordered.push(moved);
    }
    moves.is_empty().then_some((amount, ordered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::Time;

    fn moved(before: u64, after: u64) -> Moved {
        Moved { signature: format!("{before}-{after}"), slot: 7, at: Time(0), before, after, owner: None }
    }

    #[test]
    fn transactions_of_a_slot_follow_one_another_whatever_their_order() {
        let (a, b, c) = (moved(10, 15), moved(15, 40), moved(40, 5));
        for mixed in [vec![a.clone(), b.clone(), c.clone()], vec![c.clone(), b.clone(), moved(15, 15), a.clone()]] {
            assert_eq!(in_order(10, mixed), Some((5, vec![a.clone(), b.clone(), c.clone()])));
        }
        assert_eq!(in_order(10, vec![a.clone(), c.clone()]), None, "one is missing");
        assert_eq!(in_order(9, vec![a]), None, "one before it is missing");
        assert_eq!(in_order(9, Vec::new()), Some((9, Vec::new())));
    }

    #[test]
    fn a_part_ends_with_a_whole_slot() {
        let listed = |slot| Listed { signature: String::new(), slot, failed: false };
        assert_eq!(end_of_part(&[]), 0);
        assert_eq!(end_of_part(&[listed(1), listed(2)]), 2);
        let apart: Vec<Listed> = (0..100).map(listed).collect();
        assert_eq!(end_of_part(&apart), MOST_AT_ONCE);
        let pairs: Vec<Listed> = (0..101).map(|at| listed((at + 1) / 2)).collect();
        assert_eq!(end_of_part(&pairs), MOST_AT_ONCE + 1);
    }
}
