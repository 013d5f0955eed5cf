//! One look: every address whose turn it is, a hundred accounts at a time.
//!
//! Addresses that an order may wait for are part of every look, and what was scanned through is said of them; older ones
//! are looked at less and less often, for ever. The newest slot is asked for first and the addresses are read after it: so
//! none of them can have been paid before that slot without being read. Must never say of a slot that it was scanned
//! through before every account that belongs to the look was explained at it.

use super::council::{Council, Fault};
use super::endpoint::IN_ONE_QUESTION;
use super::history::{Balance, Left};
use super::key::Key;
use super::mark::Mark;
use super::wire::Moved;
use super::{SolanaNetwork, Token};
use crate::adapters::evm::MOST_UNITS;
use crate::entropy::to_hex;
use crate::ports::{AddressBook, Given, Wanted};
use domain::chain::{Block, ChainTransfer, Header, Memory, Scan, Side};
use domain::ids::TransferId;
use domain::time::{Span, Time};
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use std::cmp::Ordering;
use std::collections::BTreeMap;

const DAY: Span = Span::hours(24);
/// Addresses of the last day that are not part of every look are looked at this often.
const WITHIN_A_DAY: Span = Span::minutes(5);
/// Up to this age an address is looked at daily, later weekly.
const DAILY_UNTIL: Span = Span::hours(90 * 24);
const WEEK: Span = Span::hours(7 * 24);
/// An address whose account could not be explained is looked at again after this.
const AGAIN: Span = Span::hours(1);
/// An account with a long history is read in parts, with this between them.
const LONG_REST: Span = Span::seconds(10);

/// Addresses that are read at once.
const PART: i64 = 200;
/// Old addresses of one look.
const DUE: i64 = 500;
/// Accounts that are asked for before anything is made of them: four questions' worth, beside the clock.
const ACCOUNTS: usize = 4 * (IN_ONE_QUESTION - 1);

/// Money that came so long before an address was given was not paid to its order: clocks differ by less.
const BEFORE: Span = Span::hours(1);

/// Decimals that a ledger keeps at most.
const LEDGER_DECIMALS: u32 = 8;

/// What is remembered between looks; nothing is lost with it.
#[derive(Default)]
pub struct Pacing {
    pub looks: u64,
    day_looked_at: Time,
    /// Accounts with a long history, and until when each is left alone.
    resting: BTreeMap<Key, Time>,
}

/// A token account that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub key: Key,
    wallet: Key,
    /// Among the cluster's.
    token: usize,
    address: String,
    given_at: Time,
}

/// One look under way.
pub struct Look<'a> {
    network: &'a SolanaNetwork,
    pub council: Council<'a>,
    book: &'a dyn AddressBook,
    now: Time,
    /// Slot and time through which the accounts of every look were looked at.
    through: (i64, Time),
    transfers: BTreeMap<TransferId, (i64, ChainTransfer)>,
    memory: Memory,
    /// What keeps the look from being whole: an account that is not explained, or not read to its end.
    held: Option<Fault>,
    is_short: bool,
}

/// Why accounts are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// An order may wait for them.
    Every,
    WithinADay,
    Due,
}

impl SolanaNetwork {
    /// Looks at everything whose turn it is. What was found is handed over even if something else could not be read; only
    /// then nothing counts as scanned through.
    pub(super) async fn look(&self, known: &[Header], book: &dyn AddressBook, now: Time) -> Result<Scan, Fault> {
        let tip = known.last().map_or(0, |tip| tip.height);
        let council = self.council(tip, now).await?;
        let through = (council.slot, council.at);
        let mut look = Look {
            network: self,
            council,
            book,
            now,
            through,
            transfers: BTreeMap::new(),
            memory: Memory::default(),
            held: None,
            is_short: false,
        };
        let failed = look.every().await.err();
        let fault = failed.or_else(|| look.held.take());
        if fault.as_ref().is_none_or(Fault::is_of_one_account) {
            look.older().await;
        }
        match fault {
            Some(fault) if look.memory.is_empty() => Err(fault),
            Some(fault) => {
                self.blame(&fault, now);
                tracing::debug!(network = %self.id, error = %fault, "a part of a look");
                look.is_short = true;
                Ok(look.scan(tip))
            }
            None => {
                look.council.seats.iter().for_each(|node| node.did_well());
                Ok(look.scan(tip))
            }
        }
    }
}

impl Look<'_> {
    pub(super) fn token(&self, account: &Account) -> &Token {
        &self.network.cluster.tokens[account.token]
    }

    /// The addresses that belong to every look.
    async fn every(&mut self) -> Result<(), Fault> {
        self.given_between(self.now - self.network.every_look, Time(i64::MAX), Turn::Every).await
    }

    /// Those whose turn it is beside them. What cannot be read now is read another time, and keeps nobody waiting.
    async fn older(&mut self) {
        if let Err(fault) = self.within_a_day().await {
            self.put_off(&fault);
        }
        if let Err(fault) = self.due().await {
            self.put_off(&fault);
        }
    }

    fn put_off(&self, fault: &Fault) {
        self.network.blame(fault, self.now);
        tracing::debug!(network = %self.network.id, error = %fault, "older addresses are looked at another time");
    }

    async fn within_a_day(&mut self) -> Result<(), Fault> {
        let looked_at = self.network.with_pacing(|pacing| pacing.day_looked_at);
        if self.now.since(looked_at) < WITHIN_A_DAY {
            return Ok(());
        }
        self.given_between(self.now - DAY, self.now - self.network.every_look, Turn::WithinADay).await?;
        self.network.with_pacing(|pacing| pacing.day_looked_at = self.now);
        Ok(())
    }

    async fn due(&mut self) -> Result<(), Fault> {
        let wanted = Wanted::Due { at: self.now, limit: DUE };
        let due = self.book.given(wanted).await.map_err(Fault::Book)?;
        let unread = self.look_at(&due, Turn::Due).await?;
        for given in due {
            let usual = if self.now.since(given.given_at) < DAILY_UNTIL { DAY } else { WEEK };
            let until_next = unread.get(&given.address).copied().unwrap_or(usual);
            self.memory.next_looks.insert(given.address, self.now + until_next);
        }
        Ok(())
    }

    /// Addresses that were given after `from` and not after `until`, a part at a time: there may be any number.
    async fn given_between(&mut self, from: Time, until: Time, turn: Turn) -> Result<(), Fault> {
        let (mut given_at, mut index) = (from, i64::MAX);
        loop {
            let wanted = Wanted::GivenAfter { given_at, index, limit: PART };
            let mut part = self.book.given(wanted).await.map_err(Fault::Book)?;
            let Some(last) = part.last() else { return Ok(()) };
            (given_at, index) = (last.given_at, last.index);
            let is_last = (part.len() as i64) < PART || given_at > until;
            part.retain(|given| given.given_at <= until);
            self.look_at(&part, turn).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Looks at those addresses; answers which of them could not be read to the end, and when to try again.
    async fn look_at(&mut self, part: &[Given], turn: Turn) -> Result<BTreeMap<String, Span>, Fault> {
        let mut unread = BTreeMap::new();
        let accounts: Vec<Account> = part.iter().flat_map(|given| self.accounts(given)).collect();
        for some in accounts.chunks(ACCOUNTS) {
            let balances = self.balances(some, turn).await?;
            let names: Vec<String> = some.iter().map(|account| account.key.to_string()).collect();
            let marks = self.book.marks(&names).await.map_err(Fault::Book)?;
            for ((account, name), balances) in some.iter().zip(&names).zip(&balances) {
                let mark = marks.get(name).map(String::as_str);
                let again = match self.look_into(account, mark, balances, turn).await {
                    Ok(Left::Nothing) => continue,
                    Ok(Left::Some | Left::Much) => LONG_REST,
                    Err(fault) => {
                        self.note(fault, account, turn)?;
                        AGAIN
                    }
                };
                unread.insert(account.address.clone(), again);
            }
        }
        Ok(unread)
    }

    /// One account that cannot be read keeps no other one from being looked at.
    fn note(&mut self, fault: Fault, account: &Account, turn: Turn) -> Result<(), Fault> {
        if !fault.is_of_one_account() {
            return Err(fault);
        }
        if matches!(fault, Fault::TooLong { .. }) {
            self.leave_alone(account);
        } else if turn == Turn::Every {
            self.held = self.held.take().or(Some(fault));
            return Ok(());
        }
        tracing::warn!(network = %self.network.id, error = %fault, "an account was not read");
        Ok(())
    }

    fn leave_alone(&self, account: &Account) {
        let (key, now) = (account.key, self.now);
        self.network.with_pacing(|pacing| {
            pacing.resting.retain(|_, until| *until > now);
            pacing.resting.insert(key, now + LONG_REST);
        });
    }

    /// The token accounts of an address.
    fn accounts(&self, given: &Given) -> Vec<Account> {
        let wallet = Key::parse(&given.address);
        let keys = wallet.and_then(|wallet| Some((wallet, self.network.accounts_of(&wallet)?)));
        let Some((wallet, keys)) = keys else {
            tracing::error!(network = %self.network.id, index = given.index, "an address of the pool is none of Solana");
            return Vec::new();
        };
        let account = |(token, key)| {
            let (address, given_at) = (given.address.clone(), given.given_at);
            Account { key, wallet, token, address, given_at }
        };
        keys.into_iter().enumerate().map(account).collect()
    }

    /// What each seat shows in each of those accounts.
    async fn balances(&mut self, accounts: &[Account], turn: Turn) -> Result<Vec<Vec<Balance>>, Fault> {
        let keys: Vec<Key> = accounts.iter().map(|account| account.key).collect();
        let groups: Vec<&[Key]> = keys.chunks(IN_ONE_QUESTION - 1).collect();
        let seats = self.council.seats.iter().enumerate();
        let asks: Vec<_> =
            seats.flat_map(|(seat, node)| groups.iter().map(move |group| (seat, *node, *group))).collect();
        let least = self.council.least;
        let answers = join_all(asks.iter().map(|(_, node, group)| node.balances(group, least))).await;
        let mut balances = vec![Vec::new(); accounts.len()];
        for (at, ((seat, node, _), answer)) in asks.iter().zip(answers).enumerate() {
            let shown = answer.map_err(|error| Fault::of(node, error))?;
            if turn == Turn::Every {
                self.through = self.through.min((shown.slot, shown.at));
            }
            let first = at % groups.len() * (IN_ONE_QUESTION - 1);
            for (at, found) in (first..).zip(shown.accounts) {
                let token = self.token(&accounts[at]);
                let amount = found.map_or(Ok(0), |found| found.amount(&token.program.key(), &token.mint));
                let amount = amount.map_err(|error| Fault::of(node, error.into()))?;
                balances[at].push(Balance { seat: *seat, slot: shown.slot, amount });
            }
        }
        Ok(balances)
    }

    /// Reads what happened in an account, if anything did.
    async fn look_into(
        &mut self,
        account: &Account,
        mark: Option<&str>,
        balances: &[Balance],
        turn: Turn,
    ) -> Result<Left, Fault> {
        let unreadable = || Fault::Mark { account: account.key.to_string() };
        let mark = mark.map_or_else(|| Some(Mark::default()), Mark::parse).ok_or_else(unreadable)?;
        // A node that is behind what is known says nothing new.
        if balances.iter().any(|balance| balance.slot < mark.slot) {
            return Ok(Left::Nothing);
        }
        let is_news = balances.iter().any(|balance| balance.amount != mark.amount);
        if !is_news && !(turn == Turn::Due && self.is_to_be_read_again(account, &mark)) {
            return Ok(Left::Nothing);
        }
        if self.network.with_pacing(|pacing| pacing.resting.get(&account.key).is_some_and(|until| *until > self.now)) {
            return Ok(Left::Much);
        }
        let reading = self.read(account, &mark, balances).await?;
        for moved in &reading.moves {
            if let Some(transfer) = self.transfer(account, moved) {
                self.transfers.insert(transfer.id.clone(), (moved.slot, transfer));
            }
        }
        if reading.mark != mark {
            self.memory.marks.insert(account.key.to_string(), reading.mark.text());
        }
        match reading.left {
            Left::Nothing => {}
            Left::Some => self.is_short |= turn == Turn::Every,
            Left::Much => self.leave_alone(account),
        }
        Ok(reading.left)
    }

    /// Money that came and went between two looks leaves the balance as it was. Only the owner's key can take it away, and
    /// sweeping is what it is for: so the history of accounts that were paid is read once a week, whatever they hold.
    fn is_to_be_read_again(&self, account: &Account, mark: &Mark) -> bool {
        let age = self.now.since(account.given_at);
        mark.signature.is_some() && (age >= DAILY_UNTIL || age.0 / DAY.0 % 7 == 0)
    }

    /// What a transaction brought to an account, or took from it. Nothing if the account is not its wallet's any more.
    fn transfer(&self, account: &Account, moved: &Moved) -> Option<ChainTransfer> {
        let (units_moved, side) = match moved.after.cmp(&moved.before) {
            Ordering::Greater => (moved.after - moved.before, Side::In),
            Ordering::Less => (moved.before - moved.after, Side::Out),
            Ordering::Equal => return None,
        };
        let (token, network) = (self.token(account), &self.network.id);
        // An account that was emptied may be closed in the same transaction.
        let is_its_wallets = moved.owner == Some(account.wallet) || (side == Side::Out && moved.owner.is_none());
        if !is_its_wallets {
            tracing::warn!(%network, account = %account.key, "money moved in an account that is not its wallet's any more");
            return None;
        }
        if moved.at + BEFORE < account.given_at {
            tracing::warn!(%network, address = %account.address, "the address had money before it was given to an order");
            return None;
        }
        let (name, from, to) = match side {
            Side::In | Side::Within => (format!("{units_moved}"), None, account.address.clone()),
            // Balances do not say where it went.
            Side::Out => (format!("-{units_moved}"), Some(account.address.clone()), String::new()),
        };
        let digest = to_hex(&Sha256::digest(format!("{}|{}|{name}", token.mint, account.address))[..16]);
        let id = TransferId::new(format!("{network}|{}|{digest}.0", moved.signature));
        if !token.counts {
            tracing::info!(token = %token.name, transfer = %id, "a token that does not count moved");
        }
        Some(ChainTransfer {
            id,
            asset: token.asset.clone(),
            side,
            from,
            to,
            units: units(units_moved, token.decimals),
            raw: units_moved.to_string(),
            block_at: moved.at,
        })
    }

    /// What is handed over. A slot has one finalized block: its number stands for the block's hash, too.
    fn scan(self, tip: i64) -> Scan {
        let (slot, at) = self.through;
        let block =
            |slot: i64, transfers| Block { height: slot, hash: slot.to_string(), parent: String::new(), transfers };
        let mut settled = BTreeMap::<i64, Vec<ChainTransfer>>::new();
        for (slot, transfer) in self.transfers.into_values() {
            settled.entry(slot).or_default().push(transfer);
        }
        let settled = settled.into_iter().map(|(slot, transfers)| block(slot, transfers)).collect();
        let goes_on = !self.is_short && slot > tip;
        Scan {
            // The window holds the newest slot and nothing else: no transfer stands in it.
            keep_through: if goes_on { -1 } else { i64::MAX },
            blocks: if goes_on { vec![block(slot, Vec::new())] } else { Vec::new() },
            // Any later slot has this time at the earliest, and may have the same.
            scanned_through: if self.is_short { Time(0) } else { Time(at.0 - 1) },
            head: Some(slot),
            settled,
            memory: self.memory,
            ..Scan::default()
        }
    }
}

/// At the ledger's scale, rounded down.
fn units(raw: u64, decimals: u32) -> i64 {
    let divisor = 10_u64.checked_pow(decimals.saturating_sub(LEDGER_DECIMALS));
    let units = divisor.map_or(0, |divisor| raw / divisor);
    i64::try_from(units).unwrap_or(i64::MAX).min(MOST_UNITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_come_down_to_the_scale_of_the_ledger() {
        assert_eq!(units(101_500_000, 6), 101_500_000);
        assert_eq!(units(7, 0), 7);
        assert_eq!(units(25_500_000_009, 9), 2_550_000_000);
        assert_eq!((units(9, 9), units(10, 9)), (0, 1));
        assert_eq!(units(u64::MAX, 6), MOST_UNITS);
        assert_eq!(units(u64::MAX, 255), 0);
    }
}
