//! What leaves the process, as traits: clocks, ids, networks, suppliers, mail, rates. Adapters implement them; the
//! simulator does too.
//!
//! Must never name an adapter. Every call that can move money or goods answers with three values: done, refused, unknown.

use domain::chain::{Header, Scan, Stray};
use domain::fulfil::Patience;
use domain::ids::{AssetId, NetworkId};
use domain::money::Fiat;
use domain::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// An async answer of a port.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The time. The real one and a virtual one.
pub trait Clock: Send + Sync {
    fn now(&self) -> Time;
}

/// Randomness for ids, nonces and secrets.
pub trait Ids: Send + Sync {
    fn bytes(&self) -> [u8; 16];
    fn key(&self) -> [u8; 32];
}

/// What became of a call that mattered. Only `Refused` allows another try elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    Done(T),
    /// It did not happen and will not.
    Refused(String),
    /// It may have happened: look it up by our reference.
    Unknown(String),
}

/// A chain to watch. Must hand over every transfer to the addresses of our pool, of listed assets only. One that has to be
/// asked for each address may look at older ones less often; `scanned_through` then speaks of the others. A transfer's id
/// binds its token, its receiver and its amount: what is mined again with another of them is another transfer.
pub trait Network: Send + Sync {
    fn id(&self) -> &NetworkId;
    /// What came after the newest of `known` (oldest first); `Err` is a text for the log. A chain that shows everybody's
    /// transfers asks `book` which of them are to us.
    fn scan<'a>(
        &'a self,
        known: &'a [Header],
        book: &'a dyn AddressBook,
        now: Time,
    ) -> Answer<'a, Result<Scan, String>>;
    /// How it is to be watched, if others must not wait for it. `None`: it answers at once.
    fn rhythm(&self) -> Option<&Rhythm> {
        None
    }
    /// Who can tell what else lies at our addresses. `None`: nothing else can.
    fn finder(&self) -> Option<&dyn Finder> {
        None
    }
    /// What lies at addresses, in their order. `Ok(None)`: this network cannot say; `Err` is a text for the log, also where the
    /// block is not on the chain any more.
    fn balances<'a>(
        &'a self,
        _question: &'a BalanceQuestion,
        _now: Time,
    ) -> Answer<'a, Result<Option<Vec<i128>>, String>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// How much of an asset lies at addresses, after a block. Answered in the chain's own integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceQuestion {
    pub asset: AssetId,
    /// Spelled as the pool spells them.
    pub addresses: Vec<String>,
    pub height: i64,
    pub block_hash: String,
}

/// Looks for what came to our addresses and does not count: a network's own coin, tokens that nobody listed.
pub trait Finder: Send + Sync {
    /// What it finds at those addresses; blocks outside of the windows may be left out. `Err` is a text for the log.
    fn strays<'a>(&'a self, windows: &'a [DepositWindow], now: Time) -> Answer<'a, Result<Vec<Stray>, String>>;
}

/// An address of ours, and when something may have come to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositWindow {
    /// As the pool spells it.
    pub address: String,
    /// Times of blocks.
    pub from: Time,
    pub until: Time,
}

/// How a chain on somebody else's machine is watched: by a task of its own.
#[derive(Debug, Clone)]
pub struct Rhythm {
    /// Between looks.
    pub pace: Duration,
    /// Rung when there may be something new; looks happen without it, too.
    pub bell: Arc<Notify>,
    /// It takes no new orders while it is not scanned through to a time so long ago.
    pub patience: Span,
}

/// Which addresses are ours. Asked anew each time: an address may be paid a moment after it was made. Every `Err` is a text
/// for the log.
pub trait AddressBook: Send + Sync {
    /// Those of `addresses` (spelled as the pool spells them) that are in the pool.
    fn ours<'a>(&'a self, addresses: &'a [String]) -> Answer<'a, Result<BTreeSet<String>, String>>;
    /// Addresses that were given away, in parts: for a chain that must be asked for each of them.
    fn given<'a>(&'a self, wanted: Wanted) -> Answer<'a, Result<Vec<Given>, String>>;
    /// What the last scans said of those accounts (`Memory::marks`); one of which nothing was said is missing.
    fn marks<'a>(&'a self, accounts: &'a [String]) -> Answer<'a, Result<BTreeMap<String, String>, String>>;
}

/// Which addresses a chain is to be asked for. Only families without a view of everybody's transfers (Solana) keep this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Given after that place, oldest first, at most so many.
    GivenAfter { given_at: Time, index: i64, limit: i64 },
    /// Whose next look is due at that time, longest due first, at most so many.
    Due { at: Time, limit: i64 },
}

/// An address that was given to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// In its pool.
    pub index: i64,
    pub address: String,
    pub given_at: Time,
}

/// A chain that does as it is told; only the sandbox has one.
pub trait SimulatedChain: Send + Sync {
    /// Mines a payment; answers with the transfer's id, or with what was wrong.
    fn pay<'a>(&'a self, payment: &'a SimulatedPayment) -> Answer<'a, Result<String, String>>;
}

/// A payment on a simulated chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedPayment {
    pub network: NetworkId,
    pub asset: AssetId,
    pub to: String,
    /// At the asset's ledger scale.
    pub units: i64,
    /// The chain's own integer.
    pub raw: String,
    /// The block's own time, whatever the clock says.
    pub block_at: Time,
    pub confirmations: u32,
    /// After so many blocks (its own included) they are replaced by others without the payment.
    pub reorg: Option<u32>,
}

/// Somebody who delivers goods.
pub trait Supplier: Send + Sync {
    fn name(&self) -> &str;
    fn patience(&self) -> Patience;
    /// Buys once under our reference; the same reference again must not buy again.
    fn place<'a>(&'a self, purchase: &'a Purchase) -> Answer<'a, Outcome<Delivery>>;
    /// What became of our reference. `Refused`: it ended without delivery. Asked after the settle time only, so that
    /// `NeverArrived` is final too.
    fn find<'a>(&'a self, reference: &'a str) -> Answer<'a, Outcome<Delivery>>;
}

/// Who pays out coins on one network.
pub trait Payer: Send + Sync {
    fn network(&self) -> &NetworkId;
    fn patience(&self) -> Patience;
    /// Pays once under our reference; the same reference again must not pay again.
    fn pay<'a>(&'a self, withdrawal: &'a Withdrawal) -> Answer<'a, Outcome<Paid>>;
    /// What became of our reference. `Refused`: it was certainly not paid. Asked after the settle time only, so that
    /// `NeverArrived` is final too.
    fn find<'a>(&'a self, reference: &'a str) -> Answer<'a, Outcome<Paid>>;
}

/// What is paid out, to whom.
#[derive(Clone)]
pub struct Withdrawal {
    pub reference: String,
    pub asset: AssetId,
    pub to: String,
    /// At the asset's ledger scale.
    pub units: i64,
    /// The chain's own integer.
    pub raw: String,
}

/// A payer's clear answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paid {
    /// Taken in; ask again.
    Pending,
    /// Nobody knows the reference, and it will not be taken in any more. From `find` only.
    NeverArrived,
    /// Final, by that transaction.
    Final { transaction: String },
}

/// What is bought, for whom.
#[derive(Clone)]
pub struct Purchase {
    pub reference: String,
    pub sku: String,
    pub face: Fiat,
    pub beneficiary: String,
}

/// A supplier's clear answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Taken in; ask again.
    Pending,
    /// The supplier does not know the reference, and will not take it in any more. From `find` only.
    NeverArrived,
    /// The recipient was served directly.
    Direct,
    Goods(Goods),
}

/// A code and what belongs to it. Never printed: no `Debug`.
#[derive(Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Goods {
    pub pin_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_code: Option<String>,
}

/// A mail to be sent.
pub struct Mail {
    /// Stays the same when it is sent again, so that receivers can drop doubles.
    pub message_id: String,
    pub to: String,
    pub subject: String,
    pub text: String,
}

/// What became of a mail. Mail may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    Accepted,
    /// It will never be taken.
    Refused {
        reason: String,
    },
    Later {
        reason: String,
    },
}

/// Sends mail.
pub trait Mailer: Send + Sync {
    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Sent>;
}

/// Something to be told to an address that somebody else chose.
pub struct Message {
    pub url: String,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// Somebody answered, whatever it says.
    Answered {
        status: u16,
    },
    Failed {
        reason: String,
    },
}

/// Sends messages; must refuse addresses that are not meant for strangers.
pub trait Poster: Send + Sync {
    fn post<'a>(&'a self, message: &'a Message) -> Answer<'a, Posted>;
}

/// Where rates come from, as a text that its reader knows.
pub trait RateSource: Send + Sync {
    /// For the log: never shows a key that an address may hold.
    fn name(&self) -> &str;
    /// When the text was last written; `None` where nobody knows. To be asked before `fetch`.
    fn written_at(&self) -> Option<Time> {
        None
    }
    /// The text as it is now, at most 1 MiB; `Err` is a text for the log.
    fn fetch(&self) -> Answer<'_, Result<String, String>>;
}
