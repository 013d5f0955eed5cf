//! What an exchange office reaches: payers of coins, the operators' own hands, a bank, the price of ether, and receivers of
//! notifications. Each with books of its own.

use super::{Fate, Outside, PATIENCE, World};
use crate::office;
use crate::plan::Fault;
use domain::fulfil::Patience;
use domain::ids::{AssetId, NetworkId};
use domain::order::Order;
use domain::payout::Payout;
use domain::pricing::Rates;
use domain::project::ExchangeStatus;
use domain::refund::Refund;
use domain::route::Trade;
use domain::time::Time;
use server::ports::{self, Answer, Message, Outcome, Payer, Posted, Poster, Withdrawal};
use server::store::{Access, orders};
use std::collections::BTreeMap;
use std::future::ready;

/// Coins that left the house, or money of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    /// What the order is told as the proof.
    pub proof: String,
    pub asset: AssetId,
    /// At the ledger's scale.
    pub units: i64,
    pub to: String,
    /// In days that the shop has lost with its database.
    pub forgotten: bool,
}

/// What a payer knows of one reference.
#[derive(Debug, Clone)]
struct Withdrawn {
    fate: Fate,
    /// It was carried out, whoever learns of it.
    is_paid: bool,
    paid: Paid,
    lookups: u32,
}

/// Money that somebody sent to the bank for an order.
#[derive(Debug, Clone)]
pub struct Banked {
    pub no: i64,
    pub units: i64,
    /// Its line in the bank's books.
    pub key: String,
}

/// A notification that arrived.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The event that it comes from.
    pub seq: i64,
    pub no: i64,
    pub status: ExchangeStatus,
}

/// The books of everybody whom the office reaches.
#[derive(Debug)]
pub struct Books {
    /// By our reference.
    payouts: BTreeMap<String, Withdrawn>,
    /// What operators paid out by their own hands, by order number.
    hands: Vec<(i64, Paid)>,
    pub bank: Vec<Banked>,
    /// Notifications, in the order in which they came.
    pub told: Vec<Notice>,
    ether_cents: i64,
    /// When the price was last heard of.
    priced_at: Time,
}

impl Default for Books {
    fn default() -> Self {
        Books {
            payouts: BTreeMap::new(),
            hands: Vec::new(),
            bank: Vec::new(),
            told: Vec::new(),
            ether_cents: office::ETHER_CENTS,
            priced_at: super::START,
        }
    }
}

impl Books {
    /// Everything that was paid out for each order.
    pub fn paid_by_order(&self) -> BTreeMap<i64, Vec<&Paid>> {
        let by_payers = self.payouts.iter().filter(|(reference, known)| known.is_paid && reference.starts_with('p'));
        let by_payers = by_payers.map(|(reference, known)| (number_in(reference), &known.paid));
        let mut paid = BTreeMap::<i64, Vec<&Paid>>::new();
        for (no, one) in by_payers.chain(self.hands.iter().map(|(no, paid)| (*no, paid))) {
            paid.entry(no).or_default().push(one);
        }
        paid
    }

    /// Everything that was paid back, by order number and number of the refund.
    pub fn paid_by_refund(&self) -> BTreeMap<(i64, u32), Vec<&Paid>> {
        let mut paid = BTreeMap::<(i64, u32), Vec<&Paid>>::new();
        for (reference, known) in self.payouts.iter().filter(|(_, known)| known.is_paid) {
            if let Some(refund) = refund_in(reference) {
                paid.entry((number_in(reference), refund)).or_default().push(&known.paid);
            }
        }
        paid
    }

    /// The proof of what was paid out for an order, as an operator finds it who looks everywhere.
    pub fn proof_of(&self, no: i64) -> Option<String> {
        self.paid_by_order().remove(&no).and_then(|paid| paid.first().map(|paid| paid.proof.clone()))
    }

    /// The same of the operators' own hands alone.
    pub fn proof_by_hand(&self, no: i64) -> Option<String> {
        self.hands.iter().find(|(known, _)| *known == no).map(|(_, paid)| paid.proof.clone())
    }

    /// Whether a payer will never know what became of a reference.
    pub fn is_never_known(&self, reference: &str) -> bool {
        self.payouts.get(reference).is_some_and(|known| known.fate == Fate::NeverKnown)
    }

    /// An operator pays out by hand; answers the proof.
    pub fn hand_out(&mut self, no: i64, trade: &Trade, to: &str) -> String {
        let proof = format!("by-hand-{no}-{}", self.hands.len());
        let (asset, units) = (trade.to.asset.clone(), trade.to.ledger_units());
        let paid = Paid { proof: proof.clone(), asset, units, to: to.to_owned(), forgotten: false };
        self.hands.push((no, paid));
        proof
    }

    /// Money comes to the bank.
    pub fn bank(&mut self, no: i64, units: i64) -> String {
        let key = format!("statement {}", self.bank.len());
        self.bank.push(Banked { no, units, key: key.clone() });
        key
    }

    /// The shop has lost what it knew of these days.
    pub fn forget(&mut self) {
        self.payouts.values_mut().for_each(|known| known.paid.forgotten = true);
        self.hands.iter_mut().for_each(|(_, paid)| paid.forgotten = true);
        self.told.clear();
    }

    /// The price moves by so many hundredths of a percent.
    pub fn move_price(&mut self, bps: i64) -> i64 {
        self.ether_cents = (self.ether_cents + self.ether_cents * bps / 10_000).clamp(20_000, 2_000_000);
        self.ether_cents
    }
}

/// The number of the order that a payout's reference is about; 0 for one that is not ours.
fn number_in(reference: &str) -> i64 {
    let no = reference.strip_prefix(['p', 'r']).and_then(|rest| rest.split_once('-')).map(|(no, _)| no);
    no.and_then(|no| no.parse().ok()).unwrap_or(0)
}

/// The number of the refund that a reference is about; none for one of a payout.
fn refund_in(reference: &str) -> Option<u32> {
    reference.strip_prefix('r')?.split('-').nth(1)?.parse().ok()
}

impl World {
    /// The rates as a source tells them now, or as it told them last.
    pub fn rates(&mut self) -> Rates {
        if !self.strikes(Fault::RatesStop) {
            self.books.priced_at = self.now;
        }
        office::rates(self.books.ether_cents, self.books.priced_at)
    }

    fn pay_out(&mut self, withdrawal: &Withdrawal) -> Outcome<ports::Paid> {
        let reference = withdrawal.reference.as_str();
        let known = self.books.payouts.get(reference).filter(|known| known.fate != Fate::Lost).cloned();
        let known = known.unwrap_or_else(|| {
            let fate = self.fate();
            let is_paid = match fate {
                Fate::AtOnce | Fate::AnswerLost(_) | Fate::Pending(_) => true,
                // Perhaps it was carried out and perhaps not.
                Fate::NeverKnown => self.rng.happens(500),
                Fate::Refused | Fate::Lost => false,
            };
            let (asset, to) = (withdrawal.asset.clone(), withdrawal.to.clone());
            let proof = format!("transaction-of-{reference}");
            let paid = Paid { proof, asset, units: withdrawal.units, to, forgotten: false };
            Withdrawn { fate, is_paid, paid, lookups: 0 }
        });
        let answer = match known.fate {
            Fate::AtOnce => is_final(&known),
            Fate::Pending(_) => Outcome::Done(ports::Paid::Pending),
            Fate::Refused => Outcome::Refused("not this one".to_owned()),
            Fate::Lost | Fate::AnswerLost(_) | Fate::NeverKnown => Outcome::Unknown("no answer".to_owned()),
        };
        self.books.payouts.insert(reference.to_owned(), known);
        answer
    }

    fn find_payout(&mut self, reference: &str) -> Outcome<ports::Paid> {
        if self.strikes(Fault::LookupDown) {
            return Outcome::Unknown("the lookup is down".to_owned());
        }
        let Some(known) = self.books.payouts.get_mut(reference) else {
            return Outcome::Done(ports::Paid::NeverArrived);
        };
        known.lookups += 1;
        match known.fate {
            Fate::Lost => Outcome::Done(ports::Paid::NeverArrived),
            Fate::Refused => Outcome::Refused("not this one".to_owned()),
            Fate::AtOnce => is_final(known),
            Fate::Pending(until) if known.lookups < until => Outcome::Done(ports::Paid::Pending),
            Fate::AnswerLost(until) if known.lookups < until => Outcome::Unknown("no answer".to_owned()),
            Fate::Pending(_) | Fate::AnswerLost(_) => is_final(known),
            Fate::NeverKnown => Outcome::Unknown("nobody knows".to_owned()),
        }
    }

    /// What a payer may demand of whoever calls: the attempt is in the database, the order is paid and nobody has stopped
    /// it, and no transaction is open.
    fn check_payer_call(&mut self, reference: &str) {
        let Some(database) = self.database.upgrade() else { return };
        let Ok(mut conn) = database.try_lock() else {
            self.broken.push("a payer was called inside a transaction".to_owned());
            return;
        };
        let no = number_in(reference);
        let order = conn.tx(Access::Read, |tx| orders::by_no(tx, no)).ok().flatten();
        let refund = refund_in(reference);
        let is_sent = |order: &Order| {
            let payout = match refund {
                Some(refund) => order.refund(refund).and_then(Refund::payout),
                None => order.payout.as_ref(),
            };
            matches!(payout, Some(Payout::Sent { reference: known, .. }) if known == reference)
        };
        let wrong = match &order {
            None => "went out for no order",
            Some(order) if !is_sent(order) => "went out before it was committed as sent",
            Some(order) if refund.is_none() && order.payment.settled_at.is_none() => {
                "went out for an order that is not settled"
            }
            Some(order) if order.is_stopped() => "went out for an order that waits for a person",
            Some(_) => return,
        };
        self.broken.push(format!("the payout {reference} {wrong}"));
    }
}

fn is_final(known: &Withdrawn) -> Outcome<ports::Paid> {
    Outcome::Done(ports::Paid::Final { transaction: known.paid.proof.clone() })
}

/// A payer as the worker sees it.
pub struct Till {
    pub outside: Outside,
    pub network: NetworkId,
}

impl Payer for Till {
    fn network(&self) -> &NetworkId {
        &self.network
    }

    fn patience(&self) -> Patience {
        PATIENCE
    }

    fn pay<'a>(&'a self, withdrawal: &'a Withdrawal) -> Answer<'a, Outcome<ports::Paid>> {
        self.outside.crash_point();
        let outcome = {
            let mut world = self.outside.world();
            world.check_payer_call(&withdrawal.reference);
            world.pay_out(withdrawal)
        };
        self.outside.crash_point();
        Box::pin(ready(outcome))
    }

    fn find<'a>(&'a self, reference: &'a str) -> Answer<'a, Outcome<ports::Paid>> {
        self.outside.crash_point();
        let outcome = self.outside.world().find_payout(reference);
        self.outside.crash_point();
        Box::pin(ready(outcome))
    }
}

/// Those who want to be told of their orders.
pub struct Merchants(pub Outside);

impl Poster for Merchants {
    fn post<'a>(&'a self, message: &'a Message) -> Answer<'a, Posted> {
        self.0.crash_point();
        let posted = {
            let mut world = self.0.world();
            let is_deaf = world.strikes(Fault::Deaf);
            let has_heard = !is_deaf || world.rng.happens(500);
            match Notice::of(message) {
                Some(notice) if has_heard => world.books.told.push(notice),
                Some(_) => {}
                None => world.broken.push("a notification cannot be read".to_owned()),
            }
            match is_deaf {
                true => Posted::Failed { reason: "no answer".to_owned() },
                false => Posted::Answered { status: 200 },
            }
        };
        self.0.crash_point();
        Box::pin(ready(posted))
    }
}

impl Notice {
    fn of(message: &Message) -> Option<Notice> {
        let (_, id) = message.headers.iter().find(|(name, _)| *name == "webhook-id")?;
        let value = |key: &str| {
            let pairs = message.body.split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(known, _)| *known == key).map(|(_, value)| value)
        };
        Some(Notice {
            seq: server::happenings::seq_of(id)?,
            no: value("orderUID")?.parse().ok()?,
            status: ExchangeStatus::parse(value("newStatus")?)?,
        })
    }
}
