//! Everything outside the shop, with books of its own: the true time, chains, suppliers, the mail server. It knows what
//! became of each request before the shop does, and it is where the process dies.
//!
//! Must never look into the shop's database, but for one thing that only a supplier can see: that a call comes after its
//! attempt was committed, and outside of any transaction.

// What an exchange office reaches: payers, a bank, the price of ether, receivers of notifications.
mod office;

pub use office::{Books, Merchants, Paid, Till};

use crate::plan::{Fault, Plan};
use crate::rng::Rng;
use domain::chain::{Block, ChainTransfer, Header, Scan};
use domain::fulfil::{Line, Patience};
use domain::ids::{NetworkId, TransferId};
use domain::time::{Span, Time};
use server::ports::{
    AddressBook, Answer, BalanceQuestion, Clock, Delivery, Goods, Ids, Mail, Mailer, Network, Outcome, Purchase, Sent,
    Supplier,
};
use server::store::{Access, Conn, orders};
use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Every run begins here: 2026-01-01T00:00:00Z.
pub const START: Time = Time(1_767_225_600_000);

/// The process dies: the payload of the panic that says so.
pub struct Crash;

/// The suppliers' patience in virtual time.
pub const PATIENCE: Patience = Patience {
    call_timeout: Span::seconds(10),
    settle: Span::seconds(5),
    lookup_every: Span::seconds(60),
    unknown_limit: Span::minutes(10),
};

/// Blocks that a deep reorganisation replaces at most.
const DEEPEST: usize = 16;

/// What became of one call to a supplier, decided before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    AtOnce,
    /// Delivered at that lookup.
    Pending(u32),
    Refused,
    /// It never came here.
    Lost,
    /// Carried out; the answer was lost, and so are those of so many lookups.
    AnswerLost(u32),
    /// Nobody will ever know.
    NeverKnown,
}

/// What a supplier knows of one reference.
#[derive(Debug, Clone)]
pub struct Deal {
    pub supplier: String,
    pub fate: Fate,
    /// Goods were bought: they cost money, whoever learns of it.
    pub bought: bool,
    lookups: u32,
    goods: Option<String>,
    /// Sold, and taken back later.
    pub reversed: bool,
    /// Asked for in days that the shop has lost with its database.
    pub forgotten: bool,
}

impl Deal {
    /// Whether there is a code to hand over.
    pub fn hands_over(&self) -> bool {
        self.goods.is_some()
    }
}

/// One chain.
#[derive(Debug, Default)]
pub struct Chain {
    pub blocks: Vec<Block>,
    /// When each was mined.
    times: Vec<Time>,
    /// Sent and not mined yet.
    waiting: Vec<ChainTransfer>,
    /// Fell out of a block, and is mined again after that moment.
    adrift: Vec<(Time, ChainTransfer)>,
    /// Nobody answers until then.
    outage_until: Option<Time>,
    /// How many blocks behind it is seen.
    lag: usize,
    branches: u32,
}

/// The books of the world.
pub struct World {
    plan: Plan,
    rng: Rng,
    /// The true time; the shop's clock may differ.
    pub now: Time,
    pub clock_off: Span,
    pub faults: bool,
    pub chains: BTreeMap<NetworkId, Chain>,
    pub deals: BTreeMap<String, Deal>,
    /// Accepted mails: id, address, text.
    pub mails: Vec<(String, String, String)>,
    /// Every code that a supplier ever made.
    pub codes: BTreeSet<String>,
    /// The books of the exchange office's outside.
    pub books: Books,
    /// What a port saw that must not be.
    pub broken: Vec<String>,
    transfers: u32,
    /// Calls and commits until the process dies.
    crash_in: Option<u32>,
    database: Weak<Mutex<Conn>>,
}

/// The world as ports hold it.
#[derive(Clone)]
pub struct Outside(Arc<Mutex<World>>);

impl Outside {
    pub fn new(plan: &Plan, networks: impl Iterator<Item = NetworkId>) -> Outside {
        let world = World {
            plan: plan.clone(),
            rng: Rng::new(plan.seed ^ 0x0175_1de0),
            now: START,
            clock_off: Span(0),
            faults: true,
            chains: networks.map(|id| (id, Chain::default())).collect(),
            deals: BTreeMap::new(),
            mails: Vec::new(),
            codes: BTreeSet::new(),
            books: Books::default(),
            broken: Vec::new(),
            transfers: 0,
            crash_in: None,
            database: Weak::new(),
        };
        Outside(Arc::new(Mutex::new(world)))
    }

    /// A crash leaves it locked by nobody: it happens after the guard is gone.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("nothing panics while it holds the world")
    }

    /// The process may die here.
    fn crash_point(&self) {
        let dies = {
            let mut world = self.world();
            match world.crash_in {
                Some(0) => {
                    world.crash_in = None;
                    true
                }
                Some(left) => {
                    world.crash_in = Some(left - 1);
                    false
                }
                None => false,
            }
        };
        if dies {
            std::panic::panic_any(Crash);
        }
    }
}

impl World {
    /// Whether a fault happens now.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        let rate = if self.faults { self.plan.rate(fault) } else { 0 };
        rate > 0 && self.rng.happens(rate)
    }

    /// Lets the process die after a few more calls and commits, or not.
    pub fn arm(&mut self) {
        self.crash_in = self.strikes(Fault::Crash).then(|| self.rng.below(9) as u32);
    }

    pub fn disarm(&mut self) {
        self.crash_in = None;
    }

    /// The code of a purchase.
    pub fn code_of(&self, reference: &str) -> Option<String> {
        self.deals.get(reference).and_then(|deal| deal.goods.clone())
    }

    /// A supplier takes a sale back; from then on it says that it refused. Answers whether there was one.
    pub fn take_back(&mut self, reference: &str) -> bool {
        let Some(deal) = self.deals.get_mut(reference).filter(|deal| deal.bought) else { return false };
        (deal.bought, deal.reversed, deal.fate) = (false, true, Fate::Refused);
        true
    }

    /// Whether anybody sold that line, as a person finds out who asks.
    pub fn was_bought(&self, no: i64, line: u32) -> bool {
        let mine = format!("k{no}-{line}-");
        self.deals.iter().any(|(reference, deal)| reference.starts_with(&mine) && deal.bought)
    }

    /// The database of the process that runs now.
    pub fn watch_database(&mut self, database: &Arc<Mutex<Conn>>) {
        self.database = Arc::downgrade(database);
    }

    /// Sends a payment; answers its id. It is mined with the next block.
    pub fn send(&mut self, network: &NetworkId, transfer: ChainTransfer) -> TransferId {
        self.transfers += 1;
        let id = TransferId::new(format!("{network}|tx{}|0", self.transfers));
        if let Some(chain) = self.chains.get_mut(network) {
            chain.waiting.push(ChainTransfer { id: id.clone(), ..transfer });
        }
        id
    }

    /// Mines a block on every chain.
    pub fn mine(&mut self) {
        let now = self.now;
        self.chains.values_mut().for_each(|chain| chain.mine(now));
    }

    /// Replaces the newest blocks of a chain: each payment in them is gone, waits again for the next block
    /// or for longer, or is a smaller one now.
    pub fn reorganise(&mut self, network: &NetworkId, depth: usize) {
        let now = self.now;
        let mut rng = self.rng.branch();
        let Some(chain) = self.chains.get_mut(network) else { return };
        let kept = chain.blocks.len().saturating_sub(depth);
        let dropped: Vec<Block> = chain.blocks.drain(kept..).collect();
        chain.times.truncate(kept);
        chain.branches += 1;
        for transfer in dropped.iter().flat_map(|block| block.transfers.clone()) {
            match rng.below(4) {
                0 => {}
                1 => {
                    self.transfers += 1;
                    let id = TransferId::new(format!("{network}|tx{}|0", self.transfers));
                    let units = (transfer.units / 2).max(1);
                    // The chain may keep more decimals than the ledger.
                    let zeros = transfer.raw.strip_prefix(&transfer.units.to_string()).unwrap_or_default();
                    let raw = format!("{units}{zeros}");
                    chain.waiting.push(ChainTransfer { id, units, raw, ..transfer });
                }
                2 => {
                    let longest = if rng.happens(500) { 12 } else { 1_200 };
                    let later = now + Span::seconds(rng.between(1, longest));
                    chain.adrift.push((later, transfer));
                }
                _ => chain.waiting.push(transfer),
            }
        }
        for _ in 0..=dropped.len() {
            chain.mine(now);
        }
    }

    /// A chain whose payment in its newest blocks is confirmed, and how many blocks must go for that payment to go.
    pub fn newest_confirmed(&self, confirmations: usize) -> Option<(NetworkId, usize)> {
        let within = |chain: &Chain| {
            let carries = |block: &&Block| !block.transfers.is_empty();
            let newest = chain.blocks.iter().rev().take(DEEPEST).skip(confirmations - 1).find(carries)?;
            Some(chain.blocks.len() - newest.height as usize + 1)
        };
        self.chains.iter().find_map(|(id, chain)| within(chain).map(|depth| (id.clone(), depth)))
    }

    /// Lag and outages come and go.
    pub fn weather(&mut self) {
        let networks: Vec<NetworkId> = self.chains.keys().cloned().collect();
        for network in networks {
            let (out, long) = (self.strikes(Fault::Outage), self.rng.between(1, 150));
            let lags = self.strikes(Fault::Lag);
            let lag = if lags { self.rng.below(6) as usize } else { 0 };
            let now = self.now;
            let Some(chain) = self.chains.get_mut(&network) else { continue };
            chain.lag = lag;
            if out && chain.outage_until.is_none_or(|until| until < now) {
                chain.outage_until = Some(now + Span::minutes(long));
            }
        }
    }

    /// Nothing goes wrong from here on.
    pub fn clear_up(&mut self) {
        (self.faults, self.clock_off, self.crash_in) = (false, Span(0), None);
        for chain in self.chains.values_mut() {
            (chain.lag, chain.outage_until) = (0, None);
        }
    }

    fn fate(&mut self) -> Fate {
        let lookups = self.rng.between(1, 4) as u32;
        for (fault, fate) in [
            (Fault::Refuse, Fate::Refused),
            (Fault::LostCall, Fate::Lost),
            (Fault::LostAnswer, Fate::AnswerLost(lookups)),
            (Fault::NeverKnown, Fate::NeverKnown),
            (Fault::Pending, Fate::Pending(lookups)),
        ] {
            if self.strikes(fault) {
                return fate;
            }
        }
        Fate::AtOnce
    }

    fn place(&mut self, supplier: &str, purchase: &Purchase) -> Outcome<Delivery> {
        let reference = purchase.reference.as_str();
        // A top-up goes to the phone: there is nothing to hand over.
        let is_top_up = purchase.beneficiary.starts_with('+');
        let known = self.deals.get(reference).filter(|deal| deal.fate != Fate::Lost).cloned();
        let deal = known.unwrap_or_else(|| {
            let fate = self.fate();
            let bought = match fate {
                Fate::AtOnce | Fate::AnswerLost(_) | Fate::Pending(_) => true,
                // Perhaps it was carried out and perhaps not.
                Fate::NeverKnown => self.rng.happens(500),
                Fate::Refused | Fate::Lost => false,
            };
            // The number is drawn from the reference, so that it says nothing and is the same when it is asked again.
            let goods = (bought && !is_top_up).then(|| format!("PIN-{:016x}", Rng::new(hash(reference)).number()));
            self.codes.extend(goods.clone());
            let supplier = supplier.to_owned();
            Deal { supplier, fate, bought, lookups: 0, goods, reversed: false, forgotten: false }
        });
        let answer = match deal.fate {
            Fate::AtOnce => handed_over(&deal),
            Fate::Pending(_) => Outcome::Done(Delivery::Pending),
            Fate::Refused => Outcome::Refused("not this one".to_owned()),
            Fate::Lost | Fate::AnswerLost(_) | Fate::NeverKnown => Outcome::Unknown("no answer".to_owned()),
        };
        self.deals.insert(reference.to_owned(), deal);
        answer
    }

    fn find(&mut self, reference: &str) -> Outcome<Delivery> {
        if self.strikes(Fault::LookupDown) {
            return Outcome::Unknown("the lookup is down".to_owned());
        }
        let Some(deal) = self.deals.get_mut(reference) else {
            return Outcome::Done(Delivery::NeverArrived);
        };
        deal.lookups += 1;
        match deal.fate {
            Fate::Lost => Outcome::Done(Delivery::NeverArrived),
            Fate::Refused => Outcome::Refused("not this one".to_owned()),
            Fate::AtOnce => handed_over(deal),
            Fate::Pending(until) if deal.lookups < until => Outcome::Done(Delivery::Pending),
            Fate::AnswerLost(until) if deal.lookups < until => Outcome::Unknown("no answer".to_owned()),
            Fate::Pending(_) | Fate::AnswerLost(_) => handed_over(deal),
            Fate::NeverKnown => Outcome::Unknown("nobody knows".to_owned()),
        }
    }

    /// What a supplier may demand of whoever calls: the attempt is in the database, and no transaction is open.
    fn check_caller(&mut self, reference: &str) {
        let Some(database) = self.database.upgrade() else { return };
        let Ok(mut conn) = database.try_lock() else {
            self.broken.push("a supplier was called inside a transaction".to_owned());
            return;
        };
        let no = reference.trim_start_matches('k').split('-').next().and_then(|no| no.parse().ok()).unwrap_or(0);
        let order = conn.tx(Access::Read, |tx| orders::by_no(tx, no)).ok().flatten();
        let is_sent = |line: &Line| matches!(line, Line::Sent { reference: known, .. } if known == reference);
        if !order.is_some_and(|order| order.lines.iter().any(is_sent)) {
            self.broken.push(format!("the call {reference} went out before it was committed as sent"));
        }
    }
}

fn handed_over(deal: &Deal) -> Outcome<Delivery> {
    match &deal.goods {
        Some(code) => {
            let goods = Goods { pin_code: code.clone(), ..Goods::default() };
            Outcome::Done(Delivery::Goods(goods))
        }
        None => Outcome::Done(Delivery::Direct),
    }
}

/// FNV-1a: the same everywhere and in every run.
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Chain {
    fn mine(&mut self, now: Time) {
        let height = self.blocks.len() as i64 + 1;
        let parent = self.blocks.last().map_or("-".to_owned(), |block| block.hash.clone());
        let mut transfers = std::mem::take(&mut self.waiting);
        transfers.extend(self.adrift.extract_if(.., |(later, _)| *later <= now).map(|(_, transfer)| transfer));
        transfers.iter_mut().for_each(|transfer| transfer.block_at = now);
        self.times.push(now);
        self.blocks.push(Block { height, hash: format!("{height}/{}", self.branches), parent, transfers });
    }

    /// What came to each address and is on the chain up to that block.
    fn balances(&self, question: &BalanceQuestion) -> Result<Option<Vec<i128>>, String> {
        let through = usize::try_from(question.height).unwrap_or(0);
        let block = self.blocks.get(through.wrapping_sub(1)).filter(|block| block.hash == question.block_hash);
        block.ok_or("that block is gone")?;
        let transfers = || self.blocks[..through].iter().flat_map(|block| &block.transfers);
        let of = |address: &String| -> i128 {
            let to_it = transfers().filter(|transfer| transfer.to == *address && transfer.asset == question.asset);
            to_it.map(|transfer| transfer.raw.parse::<i128>().expect("raw amounts are numbers")).sum()
        };
        Ok(Some(question.addresses.iter().map(of).collect()))
    }

    fn scan(&self, known: &[Header], now: Time, again: usize) -> Result<Scan, String> {
        if self.outage_until.is_some_and(|until| now < until) {
            return Err("no answer".to_owned());
        }
        let visible = &self.blocks[..self.blocks.len().saturating_sub(self.lag)];
        let tip = visible.len() as i64;
        if known.last().is_some_and(|newest| newest.height > tip) {
            return Err("the node is behind what was seen".to_owned());
        }
        let same = |header: &&Header| visible.get(header.height as usize - 1).is_some_and(|b| b.hash == header.hash);
        let common = known.iter().rev().find(same).map_or(0, |header| header.height);
        let first_known = known.first().map_or(1, |header| header.height);
        let keep_through = (common - again as i64).max(first_known - 1).min(common);
        let blocks: Vec<Block> = visible[keep_through.max(0) as usize..].iter().take(100).cloned().collect();
        let whole = keep_through.max(0) as usize + blocks.len() == visible.len();
        // Everything before the first block that is not seen was handed over.
        let unseen = self.times.get(visible.len()).map_or(now, |mined| Time(mined.0 - 1));
        let scanned_through = if whole { unseen } else { Time(0) };
        Ok(Scan { keep_through, blocks, scanned_through, ..Scan::default() })
    }
}

/// The clock of the shop.
pub struct ShopClock(pub Outside);

impl Clock for ShopClock {
    fn now(&self) -> Time {
        // Asked right before each commit.
        self.0.crash_point();
        let world = self.0.world();
        world.now + world.clock_off
    }
}

/// Ids that count: unique, and the same in every run.
#[derive(Default)]
pub struct CountedIds(std::sync::atomic::AtomicU64);

impl CountedIds {
    fn fill<const N: usize>(&self) -> [u8; N] {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst).to_be_bytes();
        let mut bytes = [0; N];
        bytes[N - 8..].copy_from_slice(&number);
        bytes
    }
}

impl Ids for CountedIds {
    fn bytes(&self) -> [u8; 16] {
        self.fill()
    }

    fn key(&self) -> [u8; 32] {
        self.fill()
    }
}

/// A chain as the watcher sees it.
pub struct Node {
    pub outside: Outside,
    pub id: NetworkId,
}

impl Network for Node {
    fn id(&self) -> &NetworkId {
        &self.id
    }

    fn scan<'a>(
        &'a self,
        known: &'a [Header],
        _book: &'a dyn AddressBook,
        _now: Time,
    ) -> Answer<'a, Result<Scan, String>> {
        self.outside.crash_point();
        let scan = {
            let mut world = self.outside.world();
            let again = if world.strikes(Fault::Duplicate) { world.rng.below(5) as usize } else { 0 };
            let now = world.now;
            world.chains.get(&self.id).map_or(Err("no such chain".to_owned()), |chain| chain.scan(known, now, again))
        };
        self.outside.crash_point();
        Box::pin(ready(scan))
    }

    fn balances<'a>(
        &'a self,
        question: &'a BalanceQuestion,
        _now: Time,
    ) -> Answer<'a, Result<Option<Vec<i128>>, String>> {
        let found = self.outside.world().chains.get(&self.id).map(|chain| chain.balances(question));
        Box::pin(ready(found.unwrap_or(Ok(None))))
    }
}

/// A supplier as the worker sees it.
pub struct Shelf {
    pub outside: Outside,
    pub name: &'static str,
}

impl Supplier for Shelf {
    fn name(&self) -> &str {
        self.name
    }

    fn patience(&self) -> Patience {
        PATIENCE
    }

    fn place<'a>(&'a self, purchase: &'a Purchase) -> Answer<'a, Outcome<Delivery>> {
        self.outside.crash_point();
        let outcome = {
            let mut world = self.outside.world();
            world.check_caller(&purchase.reference);
            world.place(self.name, purchase)
        };
        self.outside.crash_point();
        Box::pin(ready(outcome))
    }

    fn find<'a>(&'a self, reference: &'a str) -> Answer<'a, Outcome<Delivery>> {
        self.outside.crash_point();
        let outcome = self.outside.world().find(reference);
        self.outside.crash_point();
        Box::pin(ready(outcome))
    }
}

/// The mail server.
pub struct PostOffice(pub Outside);

impl Mailer for PostOffice {
    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Sent> {
        self.0.crash_point();
        let sent = {
            let mut world = self.0.world();
            let later = || Sent::Later { reason: "try again".to_owned() };
            if world.strikes(Fault::MailLater) {
                later()
            } else {
                let text = format!("{}\n{}", mail.subject, mail.text);
                world.mails.push((mail.message_id.clone(), mail.to.clone(), text));
                if world.strikes(Fault::MailCutOff) { later() } else { Sent::Accepted }
            }
        };
        self.0.crash_point();
        Box::pin(ready(sent))
    }
}
