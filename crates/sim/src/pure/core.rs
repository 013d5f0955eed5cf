//! The core alone: `decide` over maps, without engine, database or worker. What the engine does for a batch is done here
//! for one command, in the plainest way.

use domain::asset::ChainKind;
use domain::decide::{self, Claim, Command, Decision, Facts, Place, Refusal, Replay, TransferFact};
use domain::event::Event;
use domain::ids::{CodeId, OrderId, Sku, TransferId};
use domain::ledger::Account;
use domain::order::Order;
use domain::postings::postings;
use domain::terms;
use domain::time::Time;
use domain::validate::{self, Market};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Everything that the engine would read from the database.
pub struct Core {
    pub market: Arc<Market>,
    pub orders: BTreeMap<OrderId, Order>,
    pub log: Vec<Logged>,
    pub shared: validate::Facts,
    replays: BTreeMap<String, Replay>,
    pub codes: BTreeMap<Sku, VecDeque<CodeId>>,
    /// Who owns each code that was given away.
    pub owners: BTreeMap<CodeId, (OrderId, u32)>,
    pub transfers: BTreeMap<TransferId, (TransferFact, OrderId)>,
    /// Debits less credits by account and asset.
    pub balances: BTreeMap<(Account, String), i64>,
    next_no: i64,
    addresses: u32,
}

/// One line of the log.
pub struct Logged {
    pub order: OrderId,
    pub version: i64,
    pub at: Time,
    pub event: Event,
}

impl Core {
    pub fn new(market: Market, codes: BTreeMap<Sku, VecDeque<CodeId>>) -> Core {
        let mut shared = validate::Facts::default();
        for (sku, free) in &codes {
            shared.stock.entry(sku.clone()).or_default().free = free.len() as i64;
        }
        Core {
            market: Arc::new(market),
            orders: BTreeMap::new(),
            log: Vec::new(),
            shared,
            replays: BTreeMap::new(),
            codes,
            owners: BTreeMap::new(),
            transfers: BTreeMap::new(),
            balances: BTreeMap::new(),
            next_no: 1_001,
            addresses: 0,
        }
    }

    /// Decides a command and keeps what it claims; answers the order as it is then.
    pub fn submit(&mut self, command: &Command, now: Time) -> Result<&Order, Refusal> {
        match command {
            Command::Place(place) => self.place(place, now),
            Command::Credit { transfer } => {
                let order = self.transfers.get(transfer).map(|(_, order)| *order).ok_or(Refusal::UnknownTransfer)?;
                self.change(order, command, now)
            }
            other => {
                let order = other.order().ok_or(Refusal::UnknownOrder)?;
                self.change(order, command, now)
            }
        }
    }

    fn place(&mut self, place: &Place, now: Time) -> Result<&Order, Refusal> {
        let address = format!("address-{}", self.addresses);
        let replay = place.idempotency.as_ref().and_then(|known| self.replays.get(&known.key));
        let facts = Facts {
            shared: &self.shared,
            replay,
            address: Some(&address),
            next_no: self.next_no,
            code: None,
            transfer: None,
            has_room: true,
            awaits_credit: false,
            price_now: None,
            rate_now: None,
            reserve_left: 0,
        };
        let Decision { events, claims } = decide::place(&facts, place, now)?;
        let Some((Event::Placed(placed), [])) = events.split_first() else { panic!("placing is one event") };
        let order = Order::placed(place.id, (**placed).clone(), now);
        self.orders.insert(place.id, order);
        self.keep(place.id, events, claims, 0, now);
        Ok(&self.orders[&place.id])
    }

    fn change(&mut self, id: OrderId, command: &Command, now: Time) -> Result<&Order, Refusal> {
        let before = self.orders.get(&id).ok_or(Refusal::UnknownOrder)?;
        let transfer = match command {
            Command::Credit { transfer } => self.transfers.get(transfer).map(|(fact, _)| fact),
            _ => None,
        };
        let code = match command {
            Command::Begin { own: Some(sku), .. } => self.codes.get(sku).and_then(VecDeque::front),
            _ => None,
        };
        let is_another = |fact: &TransferFact| transfer.is_none_or(|weighed| weighed.id != fact.id);
        let is_uncredited = |(fact, order): &(TransferFact, OrderId)| {
            *order == id && fact.credited != Some(fact.status) && is_another(fact)
        };
        let facts = Facts {
            shared: &self.shared,
            replay: None,
            address: None,
            next_no: self.next_no,
            code,
            transfer,
            has_room: terms::has_room(before, &self.market, &self.shared),
            awaits_credit: self.transfers.values().any(is_uncredited),
            price_now: transfer.and_then(|_| terms::price_now(before, &self.market, now)),
            rate_now: terms::rate_now(before, &self.market, now),
            reserve_left: 0,
        };
        let Decision { events, claims } = decide::decide(&facts, before, command, now)?;
        let mut order = before.clone();
        let version = order.version;
        for event in &events {
            for transfer in postings(&order, event) {
                let asset = transfer.asset.to_string();
                *self.balances.entry((transfer.debit, asset.clone())).or_default() += transfer.units;
                *self.balances.entry((transfer.credit, asset)).or_default() -= transfer.units;
            }
            order.apply(event, now);
        }
        self.orders.insert(id, order);
        self.keep(id, events, claims, version, now);
        Ok(&self.orders[&id])
    }

    fn keep(&mut self, id: OrderId, events: Vec<Event>, claims: Vec<Claim>, mut version: i64, at: Time) {
        for event in events {
            version += 1;
            self.log.push(Logged { order: id, version, at, event });
        }
        claims.into_iter().for_each(|claim| self.claim(id, claim));
    }

    fn claim(&mut self, id: OrderId, claim: Claim) {
        match claim {
            Claim::Idempotency(known) => {
                self.replays.insert(known.key, Replay { body_hash: known.body_hash, order: id });
            }
            Claim::Address { family: ChainKind::Evm | ChainKind::Svm, .. } => self.addresses += 1,
            Claim::OrderNumber => self.next_no += 1,
            Claim::Personal(_) | Claim::RefundAddress { .. } => {}
            Claim::Count { key, held, used } => {
                let counter = self.shared.counters.entry(key).or_default();
                counter.held += held;
                counter.used += used;
            }
            Claim::HoldStock { sku, held } => self.shared.stock.entry(sku).or_default().held += held,
            Claim::TakeCode { sku, code, line } => {
                let count = self.shared.stock.entry(sku.clone()).or_default();
                count.free -= 1;
                count.held -= 1;
                self.codes.entry(sku).or_default().retain(|free| *free != code);
                self.own(code, id, line);
            }
            Claim::KeepGoods { goods, line, .. } => self.own(goods.code, id, line),
            Claim::Credited { transfer, status } => {
                if let Some((fact, _)) = self.transfers.get_mut(&transfer) {
                    fact.credited = Some(status);
                }
            }
        }
    }

    fn own(&mut self, code: CodeId, id: OrderId, line: u32) {
        let before = self.owners.insert(code, (id, line));
        assert!(before.is_none(), "a code has one owner");
    }
}
