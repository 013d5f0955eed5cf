//! One batch: what was loaded, what the decisions made of it, and what is to be written.
//!
//! Claims change this overlay, which later commands of the same batch see; a refused command leaves nothing behind.

use super::Committed;
use crate::store::orders::{Changed, LoggedEvent, Posting};
use crate::store::{DbError, Tx, affiliates, claims, deliveries, head, looks, orders, refunds, transfers};
use domain::asset::ChainKind;
use domain::decide::{self, Claim, Command, Decision, Facts, Refusal, Replay, SealedPersonal, TransferFact};
use domain::event::{Event, HoldReason};
use domain::fulfil::SealedGoods;
use domain::ids::{CodeId, OrderId, Sku, TransferId};
use domain::limits::CounterKey;
use domain::order::{Order, Step};
use domain::payment::TransferStatus;
use domain::postings::postings;
use domain::project::{exchange_status, looks_different};
use domain::route::{self, PartnerDay, Referred};
use domain::terms;
use domain::time::Time;
use domain::validate::{self, Market};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The rows of one batch as they are in memory.
pub(super) struct Batch {
    head: head::Head,
    now: Time,
    market: Arc<Market>,
    orders: BTreeMap<OrderId, Entry>,
    shared: validate::Facts,
    replays: BTreeMap<(String, String), Replay>,
    addresses: BTreeMap<ChainKind, VecDeque<String>>,
    codes: BTreeMap<Sku, VecDeque<CodeId>>,
    transfers: BTreeMap<TransferId, (TransferFact, Option<OrderId>)>,
    awaiting_credit: BTreeMap<OrderId, BTreeSet<TransferId>>,
    events: Vec<LoggedEvent>,
    postings: Vec<Posting>,
    written: Written,
}

/// Rows of shared tables that claims changed or made.
#[derive(Default)]
struct Written {
    counters: BTreeSet<CounterKey>,
    stock: BTreeSet<Sku>,
    idempotency: Vec<(decide::Idempotency, OrderId)>,
    addresses: Vec<(String, OrderId)>,
    /// Those of them that their chain has to be asked for.
    looked_at: Vec<String>,
    personal: Vec<(OrderId, SealedPersonal)>,
    refund_addresses: BTreeMap<(OrderId, u32), String>,
    codes: Vec<(CodeId, OrderId, u32)>,
    goods: Vec<(Sku, SealedGoods, OrderId, u32)>,
    credited: BTreeMap<TransferId, TransferStatus>,
    deliveries: Vec<deliveries::Planned>,
    affiliate_days: BTreeMap<PartnerDay, Referred>,
}

struct Entry {
    order: Arc<Order>,
    loaded_version: i64,
    loaded_steps: Vec<Step>,
}

/// A command's name for the log.
pub(super) fn name(command: &Command) -> &'static str {
    match command {
        Command::Place(_) => "place",
        Command::PlaceTrade(_) => "place_trade",
        Command::Credit { .. } => "credit",
        Command::Expire { .. } => "expire",
        Command::CloseLateWindow { .. } => "close_late_window",
        Command::Begin { .. } => "begin",
        Command::Report { .. } => "report",
        Command::Cancel { .. } => "cancel",
        Command::Hold { .. } => "hold",
        Command::Release { .. } => "release",
        Command::Resolve { .. } => "resolve",
        Command::Accept { .. } => "accept",
        Command::TakeOver { .. } => "take_over",
        Command::ClaimPaid { .. } => "claim_paid",
        Command::ConfirmPayment { .. } => "confirm_payment",
        Command::BeginPayout { .. } => "begin_payout",
        Command::ReportPayout { .. } => "report_payout",
        Command::MarkPaidOut { .. } => "mark_paid_out",
        Command::MarkReturned { .. } => "mark_returned",
        Command::RetryPayout { .. } => "retry_payout",
        Command::Refund { .. } => "refund",
    }
}

impl Batch {
    /// Locks the log, then loads in two rounds: names to orders, then the rows that orders and claims name.
    pub(super) fn load(
        tx: &mut Tx<'_>,
        commands: &[Command],
        market: &Arc<Market>,
        now: Time,
    ) -> Result<Batch, DbError> {
        let head = head::lock(tx, now)?;
        let now = now.max(head.last_at);

        let wanted_transfers: Vec<TransferId> = commands.iter().filter_map(credited_by).cloned().collect();
        let transfers = transfers::facts(tx, &wanted_transfers)?;
        let keys: Vec<(String, String)> =
            commands.iter().filter_map(idempotency_of).map(|known| (known.scope.clone(), known.key.clone())).collect();
        let replays = claims::replays(tx, &keys)?;

        let named: BTreeSet<OrderId> = commands
            .iter()
            .filter_map(Command::order)
            .chain(transfers.values().filter_map(|(_, order)| *order))
            .collect();
        let mut loaded = BTreeMap::new();
        for order in orders::by_ids(tx, &named.into_iter().collect::<Vec<_>>())? {
            let entry =
                Entry { loaded_version: order.version, loaded_steps: order.next_steps(), order: Arc::new(order) };
            loaded.insert(entry.order.id, entry);
        }
        let (mut counters, mut skus) = (BTreeSet::new(), BTreeSet::new());
        for (keys, stock) in commands
            .iter()
            .filter_map(|command| keys_of_new(command, now))
            .chain(loaded.values().map(|entry| decide::keys_of(&entry.order)))
        {
            counters.extend(keys);
            skus.extend(stock);
        }
        let shared = validate::Facts {
            counters: claims::counters(tx, &counters.into_iter().collect::<Vec<_>>())?,
            stock: claims::stock(tx, &skus.into_iter().collect::<Vec<_>>())?,
        };
        let credited = transfers.values().filter_map(|(_, order)| *order);
        let weighed: Vec<OrderId> = expiring(commands).into_iter().chain(credited).collect();
        let awaiting_credit = transfers::awaiting_credit(tx, &weighed)?;
        let codes = claims::free_codes(tx, &wanted_codes(commands), &now.day())?;
        let placing = commands.iter().filter(|command| family_of(command).is_some()).count();
        let addresses = free_addresses(tx, market, placing)?;
        Ok(Batch {
            head,
            now,
            market: market.clone(),
            orders: loaded,
            shared,
            replays,
            addresses,
            codes,
            transfers,
            awaiting_credit,
            events: Vec::new(),
            postings: Vec::new(),
            written: Written::default(),
        })
    }

    /// Decides one command on what is loaded and claimed so far. A panic refuses this command alone.
    pub(super) fn decide(&mut self, command: &Command) -> Result<Arc<Order>, Refusal> {
        let decided = catch_unwind(AssertUnwindSafe(|| match command {
            Command::Place(place) => self.decide_new(place.id, command, |facts| decide::place(facts, place, self.now)),
            Command::PlaceTrade(place) => {
                self.decide_new(place.id, command, |facts| decide::place_trade(facts, place, self.now))
            }
            Command::Credit { transfer } => self.decide_credit(transfer, command),
            other => self.decide_change(other.order().ok_or(Refusal::UnknownOrder)?, other),
        }));
        let (id, decision, order, postings) = match decided {
            Ok(result) => result?,
            // The panic has said what it was; whose it was is said when the order is held.
            Err(_) => return Err(Refusal::Defect),
        };
        Ok(self.take(id, decision, order, postings))
    }

    fn decide_new(
        &self,
        id: OrderId,
        command: &Command,
        decide: impl Fn(&Facts<'_>) -> Result<Decision, Refusal>,
    ) -> Result<Decided, Refusal> {
        let replay = self.replay_of(command);
        let address = family_of(command).and_then(|kind| self.addresses.get(&kind)).and_then(|free| free.front());
        let facts = Facts {
            shared: &self.shared,
            replay,
            address: address.map(String::as_str),
            next_no: self.head.next_no,
            code: None,
            transfer: None,
            has_room: true,
            awaits_credit: false,
            price_now: None,
            rate_now: None,
            reserve_left: 0,
        };
        let decision = decide(&facts)?;
        let Some(Event::Placed(placed)) = decision.events.first() else {
            return Err(Refusal::Defect);
        };
        let order = Order::placed(id, (**placed).clone(), self.now);
        Ok((id, decision, order, Vec::new()))
    }

    /// What stands under a command's idempotency key.
    fn replay_of(&self, command: &Command) -> Option<&Replay> {
        idempotency_of(command).and_then(|known| self.replays.get(&(known.scope.clone(), known.key.clone())))
    }

    fn decide_credit(&self, transfer: &TransferId, command: &Command) -> Result<Decided, Refusal> {
        let (_, order) = self.transfers.get(transfer).ok_or(Refusal::UnknownTransfer)?;
        self.decide_change(order.ok_or(Refusal::UnknownOrder)?, command)
    }

    fn decide_change(&self, id: OrderId, command: &Command) -> Result<Decided, Refusal> {
        let before = &self.orders.get(&id).ok_or(Refusal::UnknownOrder)?.order;
        let transfer = match command {
            Command::Credit { transfer } => self.transfers.get(transfer).map(|(fact, _)| fact),
            _ => None,
        };
        let code = match command {
            Command::Begin { own: Some(sku), .. } => self.codes.get(sku).and_then(VecDeque::front),
            _ => None,
        };
        let weighs = transfer.is_some() || matches!(command, Command::ConfirmPayment { .. });
        let facts = Facts {
            shared: &self.shared,
            replay: self.replay_of(command),
            address: None,
            next_no: self.head.next_no,
            code,
            transfer,
            has_room: terms::has_room(before, &self.market, &self.shared),
            awaits_credit: self.awaits_credit(id, transfer),
            price_now: weighs.then(|| terms::price_now(before, &self.market, self.now)).flatten(),
            rate_now: terms::rate_now(before, &self.market, self.now),
            reserve_left: terms::reserve_left(before, &self.market, &self.shared),
        };
        let decision = decide::decide(&facts, before, command, self.now)?;
        let mut order = (**before).clone();
        let mut entries = Vec::new();
        for event in &decision.events {
            entries.push(postings(&order, event));
            order.apply(event, self.now);
        }
        Ok((id, decision, order, entries))
    }

    /// Whether another transfer than that is still to be weighed.
    fn awaits_credit(&self, id: OrderId, weighed: Option<&TransferFact>) -> bool {
        let awaiting = self.awaiting_credit.get(&id);
        awaiting.into_iter().flatten().any(|transfer| weighed.is_none_or(|weighed| weighed.id != *transfer))
    }

    /// From here on nothing can fail: the decision becomes part of the batch.
    fn take(
        &mut self,
        id: OrderId,
        decision: Decision,
        order: Order,
        entries: Vec<Vec<domain::ledger::Transfer>>,
    ) -> Arc<Order> {
        let first_version = order.version - decision.events.len() as i64 + 1;
        for claim in decision.claims {
            self.claim(id, claim);
        }
        for (at, event) in decision.events.into_iter().enumerate() {
            let seq = self.head.next_seq;
            self.head.next_seq += 1;
            for (part, transfer) in entries.get(at).into_iter().flatten().enumerate() {
                let (order_no, at) = (order.no, self.now);
                self.postings.push(Posting { seq, part: part as i64, order_no, at, transfer: transfer.clone() });
            }
            let version = first_version + at as i64;
            self.events.push(LoggedEvent { seq, order: id, version, at: self.now, event, told: false });
        }
        let order = Arc::new(order);
        self.tell(&order);
        self.refer(&order);
        match self.orders.get_mut(&id) {
            Some(entry) => entry.order = order.clone(),
            None => {
                self.orders.insert(id, Entry { order: order.clone(), loaded_version: 0, loaded_steps: Vec::new() });
            }
        }
        order
    }

    /// Marks what the owner is told, and plans to tell a new status to whoever asked for it. Once for each decision: what an
    /// order passes through between two events of one decision is no state of it.
    fn tell(&mut self, order: &Order) {
        let before = self.orders.get(&order.id);
        if let Some(last) = self.events.last_mut().filter(|last| last.order == order.id) {
            last.told = before.is_none_or(|before| looks_different(&before.order, order));
        }
        let (Some(before), Some(trade)) = (before, order.trade()) else { return };
        let status = exchange_status(order);
        if let (Some(receiver), true) = (&trade.receiver, status != exchange_status(&before.order)) {
            let seq = self.head.next_seq - 1;
            self.written.deliveries.push(deliveries::Planned {
                seq,
                order: order.id,
                receiver: receiver.clone(),
                status,
                at: self.now,
                retries: trade.told_again,
                attempts: 0,
            });
        }
    }

    /// Moves its partner's figures by what this decision changed of them.
    fn refer(&mut self, order: &Order) {
        let before = self.orders.get(&order.id).and_then(|entry| entry.order.referred());
        for (figures, times) in [(before, -1), (order.referred(), 1)] {
            if let Some((day, referred)) = figures {
                self.written.affiliate_days.entry(day).or_default().add(&referred, times);
            }
        }
    }

    fn claim(&mut self, id: OrderId, claim: Claim) {
        match claim {
            Claim::Idempotency(known) => {
                let replay = Replay { body_hash: known.body_hash.clone(), order: id };
                self.replays.insert((known.scope.clone(), known.key.clone()), replay);
                self.written.idempotency.push((known, id));
            }
            Claim::Address { family, address } => {
                self.addresses.entry(family).or_default().retain(|free| *free != address);
                if looks::is_looked_at(family) {
                    self.written.looked_at.push(address.clone());
                }
                self.written.addresses.push((address, id));
            }
            Claim::OrderNumber => self.head.next_no += 1,
            Claim::Personal(sealed) => self.written.personal.push((id, sealed)),
            Claim::RefundAddress { refund, sealed } => {
                self.written.refund_addresses.insert((id, refund), sealed);
            }
            Claim::Count { key, held, used } => {
                let counter = self.shared.counters.entry(key.clone()).or_default();
                counter.held += held;
                counter.used += used;
                self.written.counters.insert(key);
            }
            Claim::HoldStock { sku, held } => {
                self.shared.stock.entry(sku.clone()).or_default().held += held;
                self.written.stock.insert(sku);
            }
            Claim::TakeCode { sku, code, line } => {
                let count = self.shared.stock.entry(sku.clone()).or_default();
                count.free -= 1;
                count.held -= 1;
                self.codes.entry(sku.clone()).or_default().retain(|free| *free != code);
                self.written.stock.insert(sku);
                self.written.codes.push((code, id, line));
            }
            Claim::KeepGoods { sku, goods, line } => self.written.goods.push((sku, goods, id, line)),
            Claim::Credited { transfer, status } => {
                if let Some((fact, _)) = self.transfers.get_mut(&transfer) {
                    fact.credited = Some(status);
                }
                if let Some(awaiting) = self.awaiting_credit.get_mut(&id) {
                    awaiting.remove(&transfer);
                }
                self.written.credited.insert(transfer, status);
            }
        }
    }

    /// Writes everything in bulk, a statement per table.
    pub(super) fn write(self, tx: &mut Tx<'_>, process: &str) -> Result<Committed, DbError> {
        if self.events.is_empty() {
            return Ok(Committed { seq: self.head.next_seq - 1, leaves_work: false });
        }
        let changed: Vec<&Entry> =
            self.orders.values().filter(|entry| entry.order.version != entry.loaded_version).collect();
        let rows: Vec<Changed<'_>> =
            changed.iter().map(|entry| Changed { order: &entry.order, prior_version: entry.loaded_version }).collect();
        orders::write(tx, &rows)?;
        orders::append_events(tx, &self.events)?;
        orders::post(tx, &self.postings)?;
        // What a broken row asked for before is not known: its steps are cleared, whatever they are.
        let is_broken = |order: &Order| order.held_for(HoldReason::InvariantBroken).is_some();
        let broken: Vec<OrderId> = changed.iter().filter(|e| is_broken(&e.order)).map(|e| e.order.id).collect();
        orders::clear_steps(tx, &broken)?;
        let steps: Vec<_> = changed
            .iter()
            .map(|entry| {
                let before = if is_broken(&entry.order) { Vec::new() } else { entry.loaded_steps.clone() };
                (entry.order.id, before, entry.order.next_steps())
            })
            .collect();
        let leaves_work = steps.iter().flat_map(|(.., after)| after).any(|step| step.due_at <= self.now);
        orders::rewrite_steps(tx, &steps)?;
        orders::write_personal(tx, self.written.personal)?;
        let addresses = self.written.refund_addresses.into_iter();
        refunds::write_addresses(tx, addresses.map(|((order, refund), sealed)| (order, refund, sealed)).collect())?;
        claims::remember(tx, self.written.idempotency, self.now)?;
        claims::own_addresses(tx, self.written.addresses)?;
        looks::begin(tx, self.written.looked_at, self.now)?;
        let counters = self.written.counters.into_iter().map(|key| {
            let counter = self.shared.counters[&key];
            (key, counter)
        });
        claims::write_counters(tx, counters.collect())?;
        let stock = self.written.stock.into_iter().map(|sku| {
            let count = self.shared.stock[&sku];
            (sku, count)
        });
        claims::write_stock(tx, stock.collect())?;
        claims::take_codes(tx, self.written.codes)?;
        claims::keep_goods(tx, self.written.goods, self.now)?;
        transfers::mark_credited(tx, self.written.credited.into_iter().collect())?;
        deliveries::plan(tx, &self.written.deliveries)?;
        let moved = self.written.affiliate_days.into_iter().filter(|(_, change)| *change != Referred::default());
        affiliates::count(tx, &moved.collect::<Vec<_>>())?;
        let mut head = self.head;
        head.last_at = self.now;
        head::advance(tx, &head)?;
        tx.notify(process)?;
        Ok(Committed { seq: head.next_seq - 1, leaves_work })
    }
}

type Decided = (OrderId, Decision, Order, Vec<Vec<domain::ledger::Transfer>>);

fn idempotency_of(command: &Command) -> Option<&decide::Idempotency> {
    match command {
        Command::Place(place) => place.idempotency.as_ref(),
        Command::PlaceTrade(place) => place.idempotency.as_ref(),
        Command::ConfirmPayment { reference, .. } => Some(reference),
        _ => None,
    }
}

/// The shared rows that a new order asks for.
fn keys_of_new(command: &Command, now: Time) -> Option<(Vec<CounterKey>, Vec<Sku>)> {
    match command {
        Command::Place(place) => Some(decide::keys(place, now)),
        Command::PlaceTrade(place) => Some(decide::keys_of_trade(place)),
        _ => None,
    }
}

/// On which chains' addresses a new order is paid.
fn family_of(command: &Command) -> Option<ChainKind> {
    match command {
        Command::Place(place) => terms::network_of(&place.basket, &place.market).map(|network| network.kind),
        Command::PlaceTrade(place) => route::family_of_trade(&place.wanted, &place.market),
        _ => None,
    }
}

fn wanted_codes(commands: &[Command]) -> BTreeMap<Sku, i64> {
    let mut wanted = BTreeMap::new();
    for command in commands {
        if let Command::Begin { own: Some(sku), .. } = command {
            *wanted.entry(sku.clone()).or_insert(0) += 1;
        }
    }
    wanted
}

fn credited_by(command: &Command) -> Option<&TransferId> {
    if let Command::Credit { transfer } = command { Some(transfer) } else { None }
}

fn expiring(commands: &[Command]) -> Vec<OrderId> {
    let expiring = |command: &Command| match command {
        Command::Expire { order, .. } | Command::CloseLateWindow { order, .. } => Some(*order),
        _ => None,
    };
    commands.iter().filter_map(expiring).collect()
}

/// As many free addresses of each family as there are orders to be placed.
fn free_addresses(
    tx: &mut Tx<'_>,
    market: &Market,
    placing: usize,
) -> Result<BTreeMap<ChainKind, VecDeque<String>>, DbError> {
    let kinds: BTreeSet<ChainKind> = market.rails.networks.iter().map(|network| network.kind).collect();
    let wanted = kinds.into_iter().filter(|_| placing > 0);
    wanted.map(|kind| Ok((kind, claims::free_addresses(tx, kind, placing as i64)?))).collect()
}
