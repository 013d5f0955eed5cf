//! What happened in an account since it was last known: its transactions one after the other, each of which must begin with
//! what the one before left, up to what lies in it now.
//!
//! A history that is too long for one look is listed from its newest end over several, and read from its oldest.
//! A history with a hole in it explains nothing: the mark stays before the hole, and the node is asked again. Must never
//! take a transaction for read that was not, and never take a node's word for one that another node of the council denies.

use super::council::Fault;
use super::endpoint::Endpoint;
use super::mark::{Mark, Place};
use super::scan::{Account, Look};
use super::wire::{Listed, Moved};
use futures_util::future::join_all;

/// Pages of one history that one look reads.
const MOST_PAGES: usize = 40;
/// Signatures of one history that one look lists, but for the rest of a page. Of a longer one it is remembered how far down
/// it was listed.
const MOST_LISTED: usize = 10_000;
/// Transactions of one account that one look reads, failed ones not counted; of the slot in which that ends, all.
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
    /// Why it ends before it should. What stands before that is read all the same.
    pub fault: Option<Fault>,
}

impl Reading {
    fn nothing(mark: Mark, left: Left) -> Reading {
        Reading { moves: Vec::new(), mark, left, fault: None }
    }
}

/// What was listed of a history.
enum Unread {
    /// What follows the mark without a hole, oldest first: all there is, or all that is older than the mark's place.
    Follows(Vec<Listed>),
    /// The mark was not reached; where to go on, or nowhere to begin anew.
    GoesOn(Option<Place>),
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
    pub(super) async fn read(
        &mut self,
        account: &Account,
        mark: &Mark,
        balances: &[Balance],
    ) -> Result<Reading, Fault> {
        // Whoever is ahead of the others has the longest history.
        let Some(newest) = balances.iter().max_by_key(|balance| balance.slot) else {
            return Ok(Reading::nothing(mark.clone(), Left::Nothing));
        };
        let through = balances.iter().map(|balance| balance.slot).min().unwrap_or(newest.slot);
        let unread = match self.unread(newest, account, mark).await? {
            Unread::Follows(unread) => unread,
            Unread::GoesOn(above) => return Ok(Reading::nothing(Mark { above, ..mark.clone() }, Left::Much)),
        };
        let (wanted, later) = unread.split_at(unread.partition_point(|listed| listed.slot <= through));
        let part = &wanted[..end_of_part(wanted)];
        let mut after = mark.clone();
        let mut moves = Vec::new();
        let (part, fetched, fault) = self.fetch(newest, account, part).await?;
        for slot in fetched.chunk_by(|one, other| one.slot == other.slot) {
            let unexplained = || self.unexplained(newest, account);
            let (amount, ordered) = in_order(after.amount, slot.to_vec()).ok_or_else(unexplained)?;
            after.amount = amount;
            moves.extend(ordered);
        }
        if let Some(last) = part.last() {
            (after.slot, after.signature) = (last.slot, Some(last.signature.clone()));
        }
        if part.len() == unread.len() {
            after.above = None;
        }
        let left = match unread[part.len()..].iter().filter(|listed| !listed.failed).count() {
            // There is more above that place.
            _ if mark.above.is_some() => Left::Much,
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
        Ok(Reading { moves, mark: after, left, fault })
    }

    /// What happened after the mark's slot and before its place, failed transactions too.
    async fn unread(&mut self, balance: &Balance, account: &Account, mark: &Mark) -> Result<Unread, Fault> {
        let node = self.council.seats[balance.seat];
        let is_below = |listed: &Listed| mark.above.as_ref().is_none_or(|above| listed.slot < above.slot);
        let (mut unread, mut seen) = (Vec::<Listed>::new(), Vec::<Listed>::new());
        for _ in 0..MOST_PAGES {
            self.budget.pages = self.budget.pages.saturating_sub(1);
            let above = mark.above.as_ref().map(|above| above.signature.as_str());
            let before = seen.last().map(|listed| listed.signature.as_str()).or(above);
            let page = node.history(&account.key, before, mark.signature.as_deref(), balance.slot).await;
            let page = page.map_err(|error| Fault::about(node, &account.key, error))?;
            let (Some(first), Some(last)) = (page.first(), page.last()) else {
                unread.reverse();
                return Ok(Unread::Follows(unread));
            };
            // A node that does not know `before` begins anew.
            let begins_anew = |known: &Listed| known.slot < first.slot || first.signature == seen[0].signature;
            if seen.last().is_some_and(begins_anew) {
                return Err(self.unexplained(balance, account));
            }
            if seen.is_empty() && mark.above.as_ref().is_some_and(|above| above.slot < first.slot) {
                return Ok(Unread::GoesOn(None));
            }
            let reaches_the_mark = last.slot <= mark.slot;
            unread.extend(page.iter().filter(|listed| listed.slot > mark.slot && is_below(listed)).cloned());
            // Nodes give pages of any length: only an empty one is the last.
            if reaches_the_mark {
                unread.reverse();
                return Ok(Unread::Follows(unread));
            }
            seen = seen.into_iter().take(1).chain(page).collect();
            if unread.len() >= MOST_LISTED {
                break;
            }
        }
        match place_in(&unread) {
            _ if unread.len() <= LONG => Err(self.unexplained(balance, account)),
            None => Err(Fault::TooLong { account: account.key.to_string(), most: unread.len() }),
            place => Ok(Unread::GoesOn(place)),
        }
    }

    /// What those transactions did, as every seat shows it; a failed one did nothing. If one of them cannot be had, the
    /// slots before it, and why.
    async fn fetch<'p>(
        &mut self,
        balance: &Balance,
        account: &Account,
        part: &'p [Listed],
    ) -> Result<(&'p [Listed], Vec<Moved>, Option<Fault>), Fault> {
        let succeeded: Vec<&Listed> = part.iter().filter(|listed| !listed.failed).collect();
        self.budget.transactions = self.budget.transactions.saturating_sub(succeeded.len());
        let mut moves = Vec::with_capacity(succeeded.len());
        let Err(fault) = self.fetch_all(balance, account, &succeeded, &mut moves).await else {
            return Ok((part, moves, None));
        };
        let read_before = succeeded.get(moves.len()).map_or(0, |listed| listed.slot);
        let part = &part[..part.partition_point(|listed| listed.slot < read_before)];
        moves.retain(|moved| moved.slot < read_before);
        if part.is_empty() { Err(fault) } else { Ok((part, moves, Some(fault))) }
    }

    /// Adds what they did to `moves`, in their order, until one of them cannot be had.
    async fn fetch_all(
        &self,
        balance: &Balance,
        account: &Account,
        succeeded: &[&Listed],
        moves: &mut Vec<Moved>,
    ) -> Result<(), Fault> {
        let first = self.council.seats[balance.seat];
        let others = self.council.seats.iter().copied().filter(|node| node.number != first.number);
        let others: Vec<&Endpoint> = others.collect();
        for group in succeeded.chunks(TOGETHER) {
            let (mut shown, mut fault) = self.fetch_from(first, account, group).await;
            for other in &others {
                let (as_shown, other_fault) = self.fetch_from(other, account, group).await;
                let both = shown.len().min(as_shown.len());
                let agreed = shown.iter().zip(&as_shown).take_while(|(one, other)| one == other).count();
                if agreed < both {
                    let names = format!("{} and {}", first.name, other.name);
                    let numbers = [first.number, other.number];
                    fault = Some(Fault::Disagree { numbers, names, account: account.key.to_string() });
                } else if as_shown.len() < shown.len() {
                    fault = other_fault;
                }
                shown.truncate(agreed);
            }
            moves.extend(shown);
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
        Ok(())
    }

    /// What a node shows of them, up to the first that it does not, and why it does not.
    async fn fetch_from(&self, node: &Endpoint, account: &Account, group: &[&Listed]) -> (Vec<Moved>, Option<Fault>) {
        let mint = &self.token(account).mint;
        let answers = join_all(group.iter().map(|listed| node.moved(listed, &account.key, mint))).await;
        let mut shown = Vec::with_capacity(group.len());
        for answer in answers {
            match answer {
                Ok(moved) => shown.push(moved),
                Err(error) => return (shown, Some(Fault::about(node, &account.key, error))),
            }
        }
        (shown, None)
    }

    fn unexplained(&self, balance: &Balance, account: &Account) -> Fault {
        let node = self.council.seats[balance.seat];
        Fault::Unexplained { number: node.number, name: node.name.clone(), account: account.key.to_string() }
    }
}

/// How many of them are read now: whole slots, so that a mark never stands within one.
fn end_of_part(wanted: &[Listed]) -> usize {
    let Some(last) = wanted.iter().filter(|listed| !listed.failed).nth(MOST_AT_ONCE - 1) else { return wanted.len() };
    wanted.partition_point(|listed| listed.slot <= last.slot)
}

/// Where to go on below a list, newest first, that ends before the mark: above its oldest slot, which may be listed in part.
/// `None` if it is all of one slot.
fn place_in(unread: &[Listed]) -> Option<Place> {
    let oldest = unread.last()?.slot;
    let above = unread.iter().rfind(|listed| listed.slot > oldest)?;
    Some(Place { slot: above.slot, signature: above.signature.clone() })
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
        let failed = |slot| Listed { failed: true, ..listed(slot) };
        let mixed: Vec<Listed> = (0..1_000).map(failed).chain((1_000..1_100).map(listed)).collect();
        assert_eq!(end_of_part(&mixed), 1_000 + MOST_AT_ONCE, "failed ones cost nothing");
    }

    #[test]
    fn a_place_stands_between_slots() {
        let listed = |slot, signature: &str| Listed { signature: signature.to_owned(), slot, failed: false };
        let place = place_in(&[listed(9, "a"), listed(8, "b"), listed(8, "c"), listed(7, "d"), listed(7, "e")]);
        assert_eq!(place, Some(Place { slot: 8, signature: "c".to_owned() }));
        assert_eq!(place_in(&[listed(7, "d"), listed(7, "e")]), None);
        assert_eq!(place_in(&[]), None);
    }
}
