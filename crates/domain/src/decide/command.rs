//! What the engine hands to `decide` and gets back: commands and facts in, claims and refusals out. Plain data.

use crate::asset::ChainKind;
use crate::event::{Event, HoldReason, Origin};
use crate::fulfil::{Patience, Report, SealedGoods};
use crate::ids::{AssetId, CodeId, CustomerId, OrderId, Sku, TransferId};
use crate::limits::CounterKey;
use crate::payment::TransferStatus;
use crate::payout::PayoutReport;
use crate::pricing::RateError;
use crate::refund::RefundAction;
use crate::route::{DealRate, TradeFault, Wanted};
use crate::time::Time;
use crate::validate::{self, Basket, Market, Problem};
use std::sync::Arc;

/// One wish to change an order.
#[derive(Debug, Clone)]
pub enum Command {
    Place(Box<Place>),
    PlaceTrade(Box<PlaceTrade>),
    /// A transfer to an order's address has a new standing.
    Credit {
        transfer: TransferId,
    },
    /// The network is scanned through this moment: expire if the window is over.
    Expire {
        order: OrderId,
        scanned_through: Time,
    },
    /// The network is scanned through this moment: nothing that came in time can still be found.
    CloseLateWindow {
        order: OrderId,
        scanned_through: Time,
    },
    /// Begin the due attempt at a line: claim it before anyone is called. `own` names the SKU whose code is wanted.
    Begin {
        order: OrderId,
        line: u32,
        own: Option<Sku>,
        patience: Patience,
    },
    /// What a supplier said.
    Report {
        order: OrderId,
        line: u32,
        attempt: u32,
        report: Report,
        patience: Patience,
    },
    Cancel {
        order: OrderId,
    },
    Hold {
        order: OrderId,
        reason: HoldReason,
        line: Option<u32>,
        note: String,
    },
    Release {
        order: OrderId,
        note: String,
    },
    /// A person's decision about a line that is held.
    Resolve {
        order: OrderId,
        line: u32,
        resolution: Resolution,
        note: String,
    },
    /// The payer of an exchange order wants to pay.
    Accept {
        order: OrderId,
    },
    /// An account takes over an order that a guest had made.
    TakeOver {
        order: OrderId,
        customer: CustomerId,
    },
    /// The payer says that he has paid.
    ClaimPaid {
        order: OrderId,
    },
    /// An operator found money that no network shows, in units of the ledger.
    ConfirmPayment {
        order: OrderId,
        units: i64,
        /// Where it stands in the operator's own books; each is confirmed once.
        reference: Idempotency,
        at_rate: Option<AtRate>,
    },
    /// Begin the due attempt at a payout: claim it before anyone is told to pay.
    BeginPayout {
        order: OrderId,
        patience: Patience,
    },
    /// What became known of a payout.
    ReportPayout {
        order: OrderId,
        /// Of the call that it is about: what is known of an earlier one says nothing of this.
        sent_at: Time,
        report: PayoutReport,
        patience: Patience,
    },
    /// An operator paid out by hand. `proof` holds no personal data: it stays in the log.
    MarkPaidOut {
        order: OrderId,
        proof: String,
    },
    /// An operator gave the payer his money back.
    MarkReturned {
        order: OrderId,
        proof: String,
    },
    RetryPayout {
        order: OrderId,
    },
    /// About money back: the order's refund of that number.
    Refund {
        order: OrderId,
        refund: u32,
        action: RefundAction,
    },
}

impl Command {
    /// The order that it names by id, if it does.
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Command::Place(_) | Command::PlaceTrade(_) | Command::Credit { .. } => None,
            Command::Expire { order, .. }
            | Command::CloseLateWindow { order, .. }
            | Command::Begin { order, .. }
            | Command::Report { order, .. }
            | Command::Cancel { order }
            | Command::Hold { order, .. }
            | Command::Release { order, .. }
            | Command::Resolve { order, .. }
            | Command::Accept { order }
            | Command::TakeOver { order, .. }
            | Command::ClaimPaid { order }
            | Command::ConfirmPayment { order, .. }
            | Command::BeginPayout { order, .. }
            | Command::ReportPayout { order, .. }
            | Command::MarkPaidOut { order, .. }
            | Command::MarkReturned { order, .. }
            | Command::Refund { order, .. }
            | Command::RetryPayout { order } => Some(*order),
        }
    }
}

/// At which rate an operator settles an order whose payment he confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtRate {
    /// As it was agreed, however long ago.
    Agreed,
    Today,
}

/// How a person ends the uncertainty about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The recipient has it.
    Delivered,
    /// It was certainly not delivered: its price is owed to the payer.
    Refused,
}

/// A new order as a door hands it in.
#[derive(Debug, Clone)]
pub struct Place {
    pub id: OrderId,
    pub basket: Basket,
    pub origin: Origin,
    pub market: Arc<Market>,
    /// E-mail addresses, phone numbers and the refund address, sealed for this order.
    pub personal: SealedPersonal,
    pub idempotency: Option<Idempotency>,
    /// Who is placing, for the cap on unpaid orders; no personal data.
    pub visitor: String,
    pub caps: Caps,
}

/// A new exchange order as a door hands it in.
#[derive(Debug, Clone)]
pub struct PlaceTrade {
    pub id: OrderId,
    pub wanted: Wanted,
    pub origin: Origin,
    pub market: Arc<Market>,
    /// Fields, addresses and secrets, sealed for this order.
    pub personal: SealedPersonal,
    /// A signed call is carried out once.
    pub idempotency: Option<Idempotency>,
    /// Who is placing, for the cap on unpaid orders; no personal data.
    pub visitor: String,
    pub caps: Caps,
}

/// How much unpaid orders may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Lines of unpaid orders per visitor.
    pub unpaid_products_per_visitor: i64,
}

/// Personal data of one order: its own key, sealed by the shop's, and the text sealed by that key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealedPersonal {
    pub key: String,
    pub body: String,
}

/// A client's key for one create call, and what it sent with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub scope: String,
    pub key: String,
    pub body_hash: String,
}

/// The shared rows as they are when a command is decided.
#[derive(Debug)]
pub struct Facts<'a> {
    pub shared: &'a validate::Facts,
    /// What stands under the command's idempotency key.
    pub replay: Option<&'a Replay>,
    /// A free deposit address of the family asked for.
    pub address: Option<&'a str>,
    pub next_no: i64,
    /// A code of the SKU asked for that nobody owns.
    pub code: Option<&'a CodeId>,
    pub transfer: Option<&'a TransferFact>,
    /// Whether the counters of an order that had expired have room for it again.
    pub has_room: bool,
    /// Another transfer to the order's address is found and not weighed yet.
    pub awaits_credit: bool,
    /// Units that the order's price would be today; absent while rates are stale.
    pub price_now: Option<i64>,
    /// The rate of an exchange order's route today; absent while rates are stale, and for a route that is gone.
    pub rate_now: Option<DealRate>,
    /// What could still be promised of what an exchange order pays out; 0 for other orders.
    pub reserve_left: i64,
}

/// The order that an idempotency key already made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    pub body_hash: String,
    pub order: OrderId,
}

/// A transfer as the chain last showed it, and what of that the order already knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferFact {
    pub id: TransferId,
    pub asset: AssetId,
    pub units: i64,
    pub block_at: Time,
    pub status: TransferStatus,
    pub credited: Option<TransferStatus>,
}

/// A change to a shared row, written in the same commit as the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Idempotency(Idempotency),
    Address {
        family: ChainKind,
        address: String,
    },
    OrderNumber,
    Personal(SealedPersonal),
    /// Adds to a counter row.
    Count {
        key: CounterKey,
        held: i64,
        used: i64,
    },
    /// Adds to what unpaid orders hold of a SKU.
    HoldStock {
        sku: Sku,
        held: i64,
    },
    /// A code of our own gets its one owner.
    TakeCode {
        sku: Sku,
        code: CodeId,
        line: u32,
    },
    /// A supplier's code is kept, owned from the start.
    KeepGoods {
        sku: Sku,
        goods: SealedGoods,
        line: u32,
    },
    /// Where a refund goes, sealed under the key of the order's personal data.
    RefundAddress {
        refund: u32,
        sealed: String,
    },
    /// The order knows this standing of the transfer.
    Credited {
        transfer: TransferId,
        status: TransferStatus,
    },
}

/// What a command leads to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    pub events: Vec<Event>,
    pub claims: Vec<Claim>,
}

/// Why a command changes nothing. One code, one meaning.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("the basket has problems")]
    Problems(Vec<Problem>),
    #[error("the exchange cannot be made")]
    Trade(#[source] TradeFault),
    #[error("this coin cannot be paid with at the moment")]
    SuspendedCoin,
    #[error("this network cannot be paid on at the moment")]
    SuspendedNetwork,
    #[error("no rate to quote with")]
    Rate(#[source] RateError),
    #[error("the order was made before under this key")]
    Replay(OrderId),
    #[error("the idempotency key was used with another body")]
    KeyReused,
    #[error("no deposit address is left for {0:?} networks: fill the pool")]
    NoAddress(ChainKind),
    #[error("too many products in unpaid orders of one visitor; pay or wait until they expire")]
    TooManyUnpaid,
    #[error("there is no such order")]
    UnknownOrder,
    #[error("there is no such transfer")]
    UnknownTransfer,
    #[error("nothing to do: {0}")]
    AlreadyDone(&'static str),
    #[error("not possible now: {0}")]
    Conflict(&'static str),
    #[error("the program refused to go on with this order; see the log")]
    Defect,
}
