//! Everything outside the shop, with books of its own: the true time, chains, suppliers, the mail server. It knows what
//! became of each request before the shop does, and it is where the process dies.
//!
//! Must never look into the shop's database, but for one thing that only a supplier can see: that a call comes after its
//! attempt was committed, and outside of any transaction.

// What is mined, and what is shown of it.
mod chains;
// What an exchange office reaches: payers, a bank, the price of ether, receivers of notifications.
mod office;

pub use chains::{Chain, Kind, Node};
pub use office::{Books, Merchants, Paid, Till};

use crate::plan::{Fault, Plan};
use crate::rng::Rng;
use domain::asset::Network;
use domain::fulfil::{Line, Patience};
use domain::ids::{NetworkId, TransferId};
use domain::time::{Span, Time};
use server::ports::{Answer, Clock, Delivery, Goods, Ids, Mail, Mailer, Outcome, Purchase, Sent, Supplier};
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
    /// Deposits that the operator has swept.
    swept: BTreeSet<TransferId>,
    /// A scan was asked for that will never be answered.
    hangs: bool,
    /// Calls and commits until the process dies.
    crash_in: Option<u32>,
    database: Weak<Mutex<Conn>>,
}

/// The world as ports hold it.
#[derive(Clone)]
pub struct Outside(Arc<Mutex<World>>);

impl Outside {
    pub fn new(plan: &Plan, networks: &[Network]) -> Outside {
        let chain = |network: &Network| (network.id.clone(), Chain::new(Kind::of(network)));
        let world = World {
            plan: plan.clone(),
            rng: Rng::new(plan.seed ^ 0x0175_1de0),
            now: START,
            clock_off: Span(0),
            faults: true,
            chains: networks.iter().map(chain).collect(),
            deals: BTreeMap::new(),
            mails: Vec::new(),
            codes: BTreeSet::new(),
            books: Books::default(),
            broken: Vec::new(),
            transfers: 0,
            swept: BTreeSet::new(),
            hangs: false,
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

    /// Nothing goes wrong from here on.
    pub fn clear_up(&mut self) {
        (self.faults, self.clock_off, self.crash_in) = (false, Span(0), None);
        self.chains.values_mut().for_each(Chain::clear_up);
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
