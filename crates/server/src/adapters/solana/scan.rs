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

/// Signature pages and transactions that are read for the addresses of one turn in one look, but for the end of the account
/// that is being read: what is left is read in the next look.
const MOST_PAGES: usize = 200;
const MOST_TRANSACTIONS: usize = 1_000;
/// So many accounts may go without a word that is about them in one look; then it is the node that is ill.
const MOST_MUTE: usize = 3;
/// What is wrong is told as often.
const TOLD_EVERY: Span = Span::hours(1);

/// Money that came so long before an address was given was not paid to its order: clocks differ by less.
const BEFORE: Span = Span::hours(1);

/// Decimals that a ledger keeps at most.
const LEDGER_DECIMALS: u32 = 8;

/// What is remembered between looks; nothing is lost with it.
#[derive(Default)]
pub struct Pacing {
    pub looks: u64,
    day_looked_at: Time,
    /// After which address, by time and index, the addresses of the last day go on in the next look.
    day_goes_on: Option<(Time, i64)>,
    /// Accounts with a long history or with one that cannot be read, and until when each is left alone.
    resting: BTreeMap<Key, Time>,
    /// When a fault was told last, by its account.
    told: BTreeMap<String, Time>,
}

/// What may still be read.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    pub pages: usize,
    pub transactions: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { pages: MOST_PAGES, transactions: MOST_TRANSACTIONS }
    }
}

impl Budget {
    fn is_spent(self) -> bool {
        self.pages == 0 || self.transactions == 0
    }
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
    /// For each turn a new one.
    pub budget: Budget,
    /// Accounts of which a node said nothing.
    mute: usize,
    /// Something of the last day's accounts is left to be read.
    day_has_more: bool,
}

/// What came of looking at some addresses.
struct Looked {
    /// Those that were not read to the end, and when to try again.
    unread: BTreeMap<String, Span>,
    /// The first that was not looked at, and why: nor were those after it.
    stopped: Option<(String, Fault)>,
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
        let tip_at = known.last().and_then(|tip| time_in(&tip.hash));
        let council = self.council(tip, tip_at, now).await?;
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
            budget: Budget::default(),
            mute: 0,
            day_has_more: false,
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
                self.tell(&fault, now, "a part of a look");
                look.is_short = true;
                Ok(look.scan(tip))
            }
            None => {
                look.council.seats.iter().for_each(|node| node.did_well());
                Ok(look.scan(tip))
            }
        }
    }

    /// Tells of a fault, once an hour for each account; of those of nodes, once an hour for all.
    fn tell(&self, fault: &Fault, now: Time, what: &'static str) {
        let account = fault.account().unwrap_or_default().to_owned();
        let is_new = self.with_pacing(|pacing| {
            pacing.told.retain(|_, at| now.since(*at) < TOLD_EVERY);
            let is_new = !pacing.told.contains_key(&account);
            pacing.told.entry(account).or_insert(now);
            is_new
        });
        match is_new {
            true => tracing::warn!(network = %self.id, error = %fault, "{what}"),
            false => tracing::debug!(network = %self.id, error = %fault, "{what}"),
        }
    }
}

impl Look<'_> {
    pub(super) fn token(&self, account: &Account) -> &Token {
        &self.network.cluster.tokens[account.token]
    }

    /// The addresses that belong to every look.
    async fn every(&mut self) -> Result<(), Fault> {
        let from = (self.now - self.network.every_look, i64::MAX);
        self.given_between(from, Time(i64::MAX), Turn::Every).await.map(|_| ())
    }

    /// Those whose turn it is beside them. What cannot be read now is read another time, and keeps nobody waiting.
    async fn older(&mut self) {
        self.budget = Budget::default();
        if let Err(fault) = self.within_a_day().await {
            self.put_off(&fault);
        }
        self.budget = Budget::default();
        if let Err(fault) = self.due().await {
            self.put_off(&fault);
        }
    }

    fn put_off(&self, fault: &Fault) {
        self.network.blame(fault, self.now);
        self.network.tell(fault, self.now, "older addresses are looked at another time");
    }

    async fn within_a_day(&mut self) -> Result<(), Fault> {
        let (looked_at, goes_on) = self.network.with_pacing(|pacing| (pacing.day_looked_at, pacing.day_goes_on));
        if goes_on.is_none() && self.now.since(looked_at) < WITHIN_A_DAY {
            return Ok(());
        }
        let first = (self.now - DAY, i64::MAX);
        let from = goes_on.map_or(first, |goes_on| goes_on.max(first));
        if self.given_between(from, self.now - self.network.every_look, Turn::WithinADay).await? {
            let looked_at = if self.day_has_more { self.now - WITHIN_A_DAY + LONG_REST } else { self.now };
            self.network.with_pacing(|pacing| (pacing.day_looked_at, pacing.day_goes_on) = (looked_at, None));
        }
        Ok(())
    }

    async fn due(&mut self) -> Result<(), Fault> {
        let wanted = Wanted::Due { at: self.now, limit: DUE };
        let due = self.book.given(wanted).await.map_err(Fault::Book)?;
        let Looked { unread, stopped } = self.look_at(&due, Turn::Due).await;
        let (first_unseen, fault) = stopped.unzip();
        for given in due {
            let is_unseen = first_unseen.as_ref() == Some(&given.address);
            let usual = if self.now.since(given.given_at) < DAILY_UNTIL { DAY } else { WEEK };
            match unread.get(&given.address).copied() {
                None if is_unseen => {}
                until_next => {
                    self.memory.next_looks.insert(given.address, self.now + until_next.unwrap_or(usual));
                }
            }
            // It and those after it stay due.
            if is_unseen {
                break;
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Addresses that were given after `from` and not after `until`, a part at a time: there may be any number. Answers
    /// whether it came to their end: those of the last day go on in the next look if there is too much to be read.
    async fn given_between(&mut self, from: (Time, i64), until: Time, turn: Turn) -> Result<bool, Fault> {
        let (mut given_at, mut index) = from;
        loop {
            if turn == Turn::WithinADay {
                self.network.with_pacing(|pacing| pacing.day_goes_on = Some((given_at, index)));
            }
            let wanted = Wanted::GivenAfter { given_at, index, limit: PART };
            let mut part = self.book.given(wanted).await.map_err(Fault::Book)?;
            let Some(last) = part.last() else { return Ok(true) };
            (given_at, index) = (last.given_at, last.index);
            let is_last = (part.len() as i64) < PART || given_at > until;
            part.retain(|given| given.given_at <= until);
            if let Some((_, fault)) = self.look_at(&part, turn).await.stopped {
                return Err(fault);
            }
            if turn == Turn::WithinADay && self.budget.is_spent() {
                return Ok(false);
            }
            if is_last {
                return Ok(true);
            }
        }
    }

    /// Looks at those addresses, up to the first at which the nodes answer nothing any more.
    async fn look_at(&mut self, part: &[Given], turn: Turn) -> Looked {
        let mut unread = BTreeMap::new();
        let accounts: Vec<Account> = part.iter().flat_map(|given| self.accounts(given)).collect();
        for some in accounts.chunks(ACCOUNTS) {
            if let Err((at, fault)) = self.look_at_some(some, turn, &mut unread).await {
                return Looked { unread, stopped: Some((some[at].address.clone(), fault)) };
            }
        }
        Looked { unread, stopped: None }
    }

    /// As [`Look::look_at`], for accounts that are asked for at once. Errors: at which of them it stopped, and why.
    async fn look_at_some(
        &mut self,
        some: &[Account],
        turn: Turn,
        unread: &mut BTreeMap<String, Span>,
    ) -> Result<(), (usize, Fault)> {
        let balances = self.balances(some, turn).await.map_err(|fault| (0, fault))?;
        let names: Vec<String> = some.iter().map(|account| account.key.to_string()).collect();
        let marks = self.book.marks(&names).await.map_err(|error| (0, Fault::Book(error)))?;
        for (at, (account, balances)) in some.iter().zip(&balances).enumerate() {
            let mark = marks.get(&names[at]).map(String::as_str);
            let (again, noted) = match self.look_into(account, mark, balances, turn).await {
                Ok(Left::Nothing) => continue,
                Ok(Left::Some | Left::Much) => (LONG_REST, Ok(())),
                Err(fault) => (AGAIN, self.note(fault, account, turn)),
            };
            // Of the several accounts of an address the one that is wanted first says when.
            let kept = unread.entry(account.address.clone()).or_insert(again);
            *kept = again.min(*kept);
            noted.map_err(|fault| (at, fault))?;
        }
        Ok(())
    }

    /// One account that cannot be read keeps no other one from being looked at. One that an order may wait for keeps the
    /// look from being whole.
    fn note(&mut self, fault: Fault, account: &Account, turn: Turn) -> Result<(), Fault> {
        if turn != Turn::Every {
            // Whatever it was, the next look is not to end at the same account.
            self.leave_alone(account, WITHIN_A_DAY);
        }
        let fault = match fault {
            Fault::Unread { number, name, error, account } if error.is_mute() => {
                self.mute += 1;
                match self.mute < MOST_MUTE {
                    true => Fault::Unread { number, name, error, account },
                    false => Fault::Node { number, name, error: *error },
                }
            }
            other => other,
        };
        if !fault.is_of_one_account() {
            return Err(fault);
        }
        if matches!(fault, Fault::TooLong { .. }) {
            self.leave_alone(account, LONG_REST);
        } else if turn == Turn::Every {
            self.held = self.held.take().or(Some(fault));
            return Ok(());
        }
        self.network.tell(&fault, self.now, "an account was not read");
        Ok(())
    }

    fn leave_alone(&self, account: &Account, rest: Span) {
        let (key, now) = (account.key, self.now);
        self.network.with_pacing(|pacing| {
            pacing.resting.retain(|_, until| *until > now);
            pacing.resting.insert(key, now + rest);
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
        let is_news = mark.above.is_some() || balances.iter().any(|balance| balance.amount != mark.amount);
        let reads_again = turn == Turn::Due && self.is_to_be_read_again(account, &mark);
        if !is_news && !reads_again {
            return Ok(Left::Nothing);
        }
        if self.network.with_pacing(|pacing| pacing.resting.get(&account.key).is_some_and(|until| *until > self.now)) {
            return Ok(Left::Much);
        }
        if self.budget.is_spent() {
            self.is_short |= turn == Turn::Every;
            return Ok(Left::Some);
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
        self.day_has_more |= turn == Turn::WithinADay && reading.left != Left::Nothing && reading.fault.is_none();
        match reading.left {
            Left::Nothing => {}
            Left::Some => self.is_short |= turn == Turn::Every,
            Left::Much => self.leave_alone(account, LONG_REST),
        }
        // What was read before it is kept.
        reading.fault.map_or(Ok(reading.left), Err)
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
        // Remembered with its time: a later look knows from it how far the chain can have come.
        let newest = Block { hash: format!("{slot}@{}", at.0), ..block(slot, Vec::new()) };
        let goes_on = !self.is_short && slot > tip;
        Scan {
            // The window holds the newest slot and nothing else: no transfer stands in it.
            keep_through: if goes_on { -1 } else { i64::MAX },
            blocks: if goes_on { vec![newest] } else { Vec::new() },
            // Any later slot has this time at the earliest, and may have the same.
            scanned_through: if self.is_short { Time(0) } else { Time(at.0 - 1) },
            head: Some(slot),
            settled,
            memory: self.memory,
            ..Scan::default()
        }
    }
}

/// The time of a slot out of what stands for its block's hash, if it is there.
fn time_in(hash: &str) -> Option<Time> {
    hash.split_once('@')?.1.parse().ok().map(Time)
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
    fn the_time_of_the_tip_is_remembered_in_its_name() {
        assert_eq!(time_in("349000000@1795174500000"), Some(Time(1_795_174_500_000)));
        assert_eq!((time_in("349000000"), time_in("349000000@x")), (None, None));
    }

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
