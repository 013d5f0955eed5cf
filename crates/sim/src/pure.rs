//! The core alone, fast and deep: random wishes against `decide` over maps, and beside it a model that is too plain to be
//! wrong in the same way. After each wish both must say the same, and the desk must look the same.
//!
//! A run is a list of [`Op`]s that makes sense in any part, so that a failing one is made small by leaving wishes out;
//! what is left is Rust, and is kept in `kept.rs`.

pub mod core;
pub mod kept;
pub mod model;

use crate::market::{self, BRANDS, COUPON, TOP_UP};
use crate::outside::{PATIENCE, START};
use crate::rng::Rng;
use core::{Core, Logged};
use domain::decide::{Caps, Command, Idempotency, Place, Refusal, Resolution, TransferFact};
use domain::event::{Event, HoldReason, Origin};
use domain::fulfil::{Line, Report, SealedGoods};
use domain::ids::{AssetId, CodeId, OrderId, Sku, TransferId, Uuid};
use domain::ledger::Account;
use domain::limits::{Limits, Tier};
use domain::order::{Hold, Order};
use domain::payment::TransferStatus;
use domain::time::{Span, Time};
use domain::validate::{Basket, BasketLine, Market};
use model::{FIXED, Model, Money, PaperLine, Station, Told, Wish, Word};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Codes of our own of each brand.
const CODES: usize = 6;
/// Lines of unpaid orders per visitor.
const UNPAID_PRODUCTS: usize = 9;
/// Between looks at everything that all orders share.
const WHOLE_EVERY: usize = 16;

/// One wish, or one thing that happens. Numbers of orders, lines and transfers are taken modulo how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Place {
        key: u8,
        body: u8,
        buyer: u8,
        visitor: u8,
        coupon: bool,
        brands: Vec<u8>,
    },
    /// A transfer to an order's address appears; so many thousandths of what is due, or another token.
    Pay {
        order: u8,
        per_mille: u16,
        right_token: bool,
    },
    /// The chain shows it otherwise.
    Turn {
        transfer: u8,
        status: TransferStatus,
    },
    Credit {
        transfer: u8,
    },
    Pass {
        seconds: u16,
    },
    /// The network is scanned through so many seconds ago.
    Expire {
        order: u8,
        lag: u16,
    },
    Close {
        order: u8,
        lag: u16,
    },
    Cancel {
        order: u8,
    },
    Begin {
        order: u8,
        line: u8,
    },
    Report {
        order: u8,
        line: u8,
        right_attempt: bool,
        word: Word,
    },
    Hold {
        order: u8,
        line: Option<u8>,
    },
    Release {
        order: u8,
    },
    Resolve {
        order: u8,
        line: u8,
        delivered: bool,
    },
    /// Rows and log are written down as text, read again, and compared.
    Restart,
}

/// The wishes of a seed.
pub fn ops_of_seed(seed: u64) -> Vec<Op> {
    let mut rng = Rng::new(seed ^ 0x9e1d_c0de);
    let orders = rng.between(1, 14) as u64;
    // Some seeds hardly ever see a fault and some nothing else.
    let wild = rng.between(20, 500) as u32;
    let count = rng.between(100, 500);
    (0..count).map(|_| op(&mut rng, orders, wild)).collect()
}

fn op(rng: &mut Rng, orders: u64, wild: u32) -> Op {
    let order = rng.below(orders) as u8;
    let line = rng.below(3) as u8;
    let transfer = rng.below(2 * orders) as u8;
    let strange = rng.happens(wild);
    match rng.below(20) {
        0..=2 => {
            let brands = (0..=rng.below(3)).map(|_| rng.below(FIXED.len() as u64) as u8).collect();
            let (key, body) = (rng.below(2 * orders) as u8, if strange { rng.below(2) as u8 } else { 0 });
            let (buyer, visitor) = (rng.below(3) as u8, rng.below(3) as u8);
            Op::Place { key, body, buyer, visitor, coupon: rng.happens(300), brands }
        }
        3 | 4 if strange => Op::Pay { order, per_mille: rng.between(1, 1_300) as u16, right_token: rng.happens(800) },
        3 | 4 => Op::Pay { order, per_mille: 1_000, right_token: true },
        5 | 6 => {
            let wanted = if strange { rng.below(3) } else { 1 };
            let status = [TransferStatus::Seen, TransferStatus::Confirmed, TransferStatus::Reverted][wanted as usize];
            Op::Turn { transfer, status }
        }
        7..=9 => Op::Credit { transfer },
        10 => Op::Pass { seconds: rng.between(1, if strange { 2_000 } else { 120 }) as u16 },
        11 => Op::Expire { order, lag: lag(rng, strange) },
        12 if strange => Op::Cancel { order },
        12 => Op::Close { order, lag: lag(rng, strange) },
        13..=15 => Op::Begin { order, line },
        16 | 17 => {
            let words =
                [Word::Delivered, Word::Refused, Word::NeverArrived, Word::Pending, Word::Unknown, Word::Reversed];
            let word = if strange { words[rng.below(6) as usize] } else { Word::Delivered };
            Op::Report { order, line, right_attempt: rng.happens(900), word }
        }
        18 if strange && rng.happens(500) => Op::Resolve { order, line, delivered: rng.happens(500) },
        18 if strange => Op::Hold { order, line: rng.happens(500).then_some(line) },
        18 => Op::Release { order },
        _ if rng.happens(100) => Op::Restart,
        _ => Op::Credit { transfer },
    }
}

fn lag(rng: &mut Rng, strange: bool) -> u16 {
    if strange { rng.between(0, 4_000) as u16 } else { 0 }
}

/// Where core and model differ, and after which wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub at: usize,
    pub what: String,
}

/// Runs wishes; answers how many were run and the first difference.
pub fn run(ops: &[Op]) -> Result<usize, Difference> {
    let mut desk = Desk::new();
    for (at, op) in ops.iter().enumerate() {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            desk.step(op)?;
            if at % WHOLE_EVERY == 0 || at + 1 == ops.len() { desk.compare_whole() } else { Ok(()) }
        }));
        let done = done.unwrap_or_else(|_| Err("the core panicked".to_owned()));
        done.map_err(|what| Difference { at, what })?;
    }
    Ok(ops.len())
}

/// The fewest wishes found that still differ.
pub fn shrink(ops: &[Op]) -> (Vec<Op>, Difference) {
    let mut best = ops.to_vec();
    let mut difference = run(&best).expect_err("only what differs is made small");
    best.truncate(difference.at + 1);
    let mut part = best.len() / 2;
    while part > 0 {
        let mut at = 0;
        while at < best.len() {
            let mut fewer = best.clone();
            fewer.drain(at..(at + part).min(best.len()));
            match run(&fewer) {
                Err(found) => {
                    fewer.truncate(found.at + 1);
                    (best, difference) = (fewer, found);
                }
                Ok(_) => at += part,
            }
        }
        part /= 2;
    }
    (best, difference)
}

/// A transfer as the chain has it.
struct OnChain {
    order: usize,
    units: i64,
    right_token: bool,
}

/// Core and model side by side.
struct Desk {
    core: Core,
    model: Model,
    ids: Vec<OrderId>,
    transfers: Vec<OnChain>,
    now: Time,
    numbers: u64,
}

impl Desk {
    fn new() -> Desk {
        let codes =
            BRANDS.iter().filter(|(_, suppliers)| suppliers[0] == domain::catalog::OWN_STOCK).map(|(name, _)| {
                let code = |number| CodeId::new(format!("own-{name}-{number}"));
                (market::sku(name), (0..CODES).map(code).collect::<VecDeque<_>>())
            });
        Desk {
            core: Core::new(unlimited_market(), codes.collect()),
            model: Model::new(CODES, UNPAID_PRODUCTS),
            ids: Vec::new(),
            transfers: Vec::new(),
            now: START,
            numbers: 0,
        }
    }

    fn step(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Place { .. } => return self.place(op),
            Op::Pass { seconds } => {
                self.now = self.now + Span::seconds(i64::from(*seconds));
                return Ok(());
            }
            Op::Restart => return self.restart(),
            Op::Pay { .. } | Op::Turn { .. } | Op::Credit { .. } => {}
            Op::Expire { .. }
            | Op::Close { .. }
            | Op::Cancel { .. }
            | Op::Begin { .. }
            | Op::Report { .. }
            | Op::Hold { .. }
            | Op::Release { .. }
            | Op::Resolve { .. } => return self.order(op),
        }
        self.money(op)
    }

    fn place(&mut self, op: &Op) -> Result<(), String> {
        let Op::Place { key, body, buyer, visitor, coupon, brands } = op else { return Ok(()) };
        let brands: Vec<usize> = brands.iter().map(|brand| FIXED[*brand as usize % FIXED.len()]).collect();
        let wish = Wish { key: *key, body: *body, buyer: *buyer, visitor: *visitor, coupon: *coupon, brands: &brands };
        let expected = self.model.place(&wish, self.now);
        self.numbers += 1;
        let place = self.place_command(&wish);
        let id = place.id;
        let answer = self.core.submit(&Command::Place(Box::new(place)), self.now).map(|order| order.quote.due_units);
        let told = match answer {
            Ok(due) => {
                self.ids.push(id);
                let wanted = self.model.papers.last().map(model::Paper::due);
                if wanted != Some(due) {
                    return Err(format!("the price is {due}, and should be {wanted:?}"));
                }
                Told::Made
            }
            Err(Refusal::Replay(id)) => Told::Replay(self.ids.iter().position(|known| *known == id).unwrap_or(99)),
            Err(Refusal::KeyReused) => Told::KeyReused,
            Err(Refusal::TooManyUnpaid) => Told::TooManyUnpaid,
            Err(Refusal::Problems(problems)) => Told::Problems(problems.iter().map(|p| p.code()).collect()),
            Err(other) => return Err(format!("placing was refused: {other}")),
        };
        if told != expected {
            return Err(format!("{op:?}: the core says {told:?}, the model {expected:?}"));
        }
        if told == Told::Made { self.compare(self.ids.len() - 1) } else { Ok(()) }
    }

    fn place_command(&self, wish: &Wish<'_>) -> Place {
        let line = |brand: &usize| BasketLine {
            brand: BRANDS[*brand].0.to_owned(),
            country: "US".to_owned(),
            denomination: "20 USD".to_owned(),
            product_value: None,
            beneficiary: Some(if BRANDS[*brand].0 == TOP_UP { "+15550000001" } else { "a@example.com" }.to_owned()),
        };
        let basket = Basket {
            lines: wish.brands.iter().map(line).collect(),
            payment_via: "USER_WALLET".to_owned(),
            coin: "USDC".to_owned(),
            network: Some("Base".to_owned()),
            promo_code: wish.coupon.then(|| COUPON.to_owned()),
            customer: None,
            buyer_email: Some("a@example.com".to_owned()),
            buyer_key: format!("buyer-{}", wish.buyer),
            partner: None,
            language: "en".to_owned(),
        };
        let idempotency =
            Idempotency { scope: "orders".to_owned(), key: wish.key.to_string(), body_hash: wish.body.to_string() };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.numbers.to_be_bytes());
        Place {
            id: OrderId::new(Uuid::from_random(id)),
            basket,
            origin: Origin { language: "en".to_owned(), ..Origin::default() },
            market: self.core.market.clone(),
            personal: Default::default(),
            idempotency: Some(idempotency),
            visitor: format!("visitor-{}", wish.visitor),
            caps: Caps { unpaid_products_per_visitor: UNPAID_PRODUCTS as i64 },
        }
    }

    fn money(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Pay { order, per_mille, right_token } if !self.ids.is_empty() => {
                let order = *order as usize % self.ids.len();
                let row = &self.core.orders[&self.ids[order]];
                let units = (row.quote.due_units * i64::from(*per_mille) / 1_000).max(1);
                let asset = if *right_token { row.quote.asset.clone() } else { AssetId::new("sim:base/other") };
                let (id, status) = (transfer_id(self.transfers.len()), TransferStatus::Seen);
                let fact = TransferFact { id: id.clone(), asset, units, block_at: self.now, status, credited: None };
                self.core.transfers.insert(id, (fact, self.ids[order]));
                self.transfers.push(OnChain { order, units, right_token: *right_token });
                Ok(())
            }
            Op::Turn { transfer, status } if !self.transfers.is_empty() => {
                let id = transfer_id(*transfer as usize % self.transfers.len());
                if let Some((fact, _)) = self.core.transfers.get_mut(&id) {
                    // What is mined again is in another block.
                    if fact.status == TransferStatus::Reverted {
                        fact.block_at = self.now;
                    }
                    fact.status = *status;
                }
                Ok(())
            }
            Op::Credit { transfer } if !self.transfers.is_empty() => {
                let at = *transfer as usize % self.transfers.len();
                let (fact, _) = &self.core.transfers[&transfer_id(at)];
                let OnChain { order, units, right_token } = self.transfers[at];
                let (block_at, status) = (fact.block_at, fact.status);
                let others = self.core.transfers.iter().any(|(id, (fact, of))| {
                    *of == self.ids[order] && fact.credited != Some(fact.status) && *id != transfer_id(at)
                });
                let money = Money { transfer: at, right_token, units, block_at, status };
                let expected = self.model.credit(order, money, others);
                self.submit(op, order, &Command::Credit { transfer: transfer_id(at) }, expected)
            }
            _ => Ok(()),
        }
    }

    fn order(&mut self, op: &Op) -> Result<(), String> {
        let number = match op {
            Op::Expire { order, .. }
            | Op::Close { order, .. }
            | Op::Cancel { order }
            | Op::Begin { order, .. }
            | Op::Report { order, .. }
            | Op::Hold { order, .. }
            | Op::Release { order }
            | Op::Resolve { order, .. } => *order as usize,
            _ => return Ok(()),
        };
        if self.ids.is_empty() {
            return Ok(());
        }
        let at = number % self.ids.len();
        let order = self.ids[at];
        let ago = |seconds: u16| self.now + Span::seconds(-i64::from(seconds));
        let uncredited = self.core.transfers.values().any(|(f, id)| *id == order && f.credited != Some(f.status));
        let lines = self.model.papers[at].lines.len();
        let of = |line: u8| line as usize % lines;
        let note = || "looked at".to_owned();
        let (expected, command) = match op {
            Op::Expire { lag, .. } => {
                let scanned_through = ago(*lag);
                let command = Command::Expire { order, scanned_through };
                (self.model.expire(at, scanned_through, uncredited), command)
            }
            Op::Close { lag, .. } => {
                let scanned_through = ago(*lag);
                let command = Command::CloseLateWindow { order, scanned_through };
                (self.model.close(at, scanned_through, uncredited), command)
            }
            Op::Cancel { .. } => (self.model.cancel(at), Command::Cancel { order }),
            Op::Begin { line, .. } => self.begin(at, of(*line)),
            Op::Report { line, right_attempt, word, .. } => self.report(at, of(*line), *right_attempt, *word),
            Op::Hold { line, .. } => {
                let line = line.map(of);
                let command =
                    Command::Hold { order, reason: HoldReason::Operator, line: line.map(|l| l as u32), note: note() };
                (self.model.hold(at, line), command)
            }
            Op::Release { .. } => (self.model.release(at), Command::Release { order, note: note() }),
            Op::Resolve { line, delivered, .. } => {
                let resolution = if *delivered { Resolution::Delivered } else { Resolution::Refused };
                let command = Command::Resolve { order, line: of(*line) as u32, resolution, note: note() };
                (self.model.resolve(at, of(*line), *delivered), command)
            }
            _ => return Ok(()),
        };
        self.submit(op, at, &command, expected)
    }

    fn begin(&mut self, at: usize, line: usize) -> (Told, Command) {
        let wanted = &self.model.papers[at].lines[line];
        let own: Option<Sku> = wanted.takes_code().then(|| market::sku(BRANDS[wanted.brand].0));
        let command = Command::Begin { order: self.ids[at], line: line as u32, own, patience: PATIENCE };
        (self.model.begin(at, line, self.now), command)
    }

    fn report(&mut self, at: usize, line: usize, right_attempt: bool, word: Word) -> (Told, Command) {
        let wanted = &self.model.papers[at].lines[line];
        let attempt = wanted.attempt + u32::from(!right_attempt);
        let is_top_up = BRANDS[wanted.brand].0 == TOP_UP;
        self.numbers += 1;
        let goods = || SealedGoods { code: CodeId::new(format!("bought-{}", self.numbers)), sealed: String::new() };
        let report = match word {
            Word::Delivered => Report::Delivered((!is_top_up).then(goods)),
            Word::Refused => Report::Refused("not this one".to_owned()),
            Word::NeverArrived => Report::NeverArrived,
            Word::Pending => Report::Pending,
            Word::Reversed => Report::Reversed("taken back".to_owned()),
            Word::Unknown => Report::Unknown("no answer".to_owned()),
        };
        let order = self.ids[at];
        let command = Command::Report { order, line: line as u32, attempt, report, patience: PATIENCE };
        (self.model.report(at, line, attempt, word, self.now), command)
    }

    fn submit(&mut self, op: &Op, at: usize, command: &Command, expected: Told) -> Result<(), String> {
        let told = match self.core.submit(command, self.now) {
            Ok(_) => Told::Done,
            Err(Refusal::AlreadyDone(_) | Refusal::Conflict(_)) => Told::No,
            Err(other) => return Err(format!("{op:?} was refused: {other}")),
        };
        if told != expected {
            return Err(format!("{op:?}: the core says {told:?}, the model {expected:?}"));
        }
        self.compare(at)
    }

    /// One order beside its paper.
    fn compare(&self, at: usize) -> Result<(), String> {
        let (order, paper) = (&self.core.orders[&self.ids[at]], &self.model.papers[at]);
        let facts = (
            order.payment.settled_at.is_some(),
            order.payment.expired_at.is_some(),
            order.canceled_at.is_some(),
            order.payment.closed,
        );
        let expected = (paper.paid, paper.expired, paper.cancelled, paper.closed);
        if facts != expected {
            return Err(format!("paid, expired, cancelled, closed of order {at}: {facts:?}, should be {expected:?}"));
        }
        let of_row = |hold: &Hold| (hold.reason, hold.line.map(|line| line as usize));
        let holds: BTreeSet<(HoldReason, Option<usize>)> = order.holds.iter().map(of_row).collect();
        if holds != paper.holds || holds.len() != order.holds.len() {
            return Err(format!("the holds of order {at} are {holds:?}, should be {:?}", paper.holds));
        }
        if order.credit_units != paper.owed() {
            return Err(format!("order {at} is owed {}, should be {}", order.credit_units, paper.owed()));
        }
        if order.state != paper.word {
            return Err(format!("order {at} is {:?}, should be {:?}", order.state, paper.word));
        }
        let reversed = |line: &Line| matches!(line, Line::Delivered { reversed: Some(_), .. });
        if !order.lines.iter().map(reversed).eq(paper.lines.iter().map(|line| line.reversed)) {
            return Err(format!("what was taken back of order {at} is not what should be"));
        }
        let lines: Vec<(Station, Option<(usize, u32)>)> =
            order.lines.iter().map(|line| (station(line), line.attempt())).collect();
        let under_way = |line: &PaperLine| match line.at {
            Station::Waiting | Station::Asked(_) => Some((line.supplier, line.attempt)),
            Station::Delivered | Station::Refused => None,
        };
        let expected: Vec<(Station, Option<(usize, u32)>)> =
            paper.lines.iter().map(|line| (line.at, under_way(line))).collect();
        if lines != expected {
            return Err(format!("the lines of order {at} are {lines:?}, should be {expected:?}"));
        }
        Ok(())
    }

    /// What all orders share: shelves, counters and the books.
    fn compare_whole(&self) -> Result<(), String> {
        for brand in FIXED.into_iter().filter(|brand| BRANDS[*brand].1[0] == domain::catalog::OWN_STOCK) {
            let stock = self.core.shared.stock.get(&market::sku(BRANDS[brand].0)).copied().unwrap_or_default();
            let (free, promised) = (self.model.free(brand) as i64, self.model.promised(brand) as i64);
            if (stock.free, stock.held) != (free, promised) {
                return Err(format!("{} has {stock:?}, should have {free} and {promised}", BRANDS[brand].0));
            }
        }
        let unpaid: i64 =
            self.core.shared.counters.iter().filter(|(k, _)| k.rule == "unpaid").map(|(_, c)| c.held).sum();
        let papers = self.model.papers.iter().filter(|paper| !paper.paid && !paper.expired && !paper.cancelled);
        let expected = papers.map(|paper| paper.lines.len() as i64).sum::<i64>();
        if unpaid != expected {
            return Err(format!("unpaid orders hold {unpaid} lines, should hold {expected}"));
        }
        let counter = |rule: &str| {
            let of_rule = self.core.shared.counters.iter().filter(move |(key, _)| key.rule == rule);
            of_rule.map(|(_, counter)| counter.total()).sum::<i64>()
        };
        let uses = self.model.papers.iter().filter(|paper| paper.uses_coupon()).count() as i64;
        if (counter("coupon"), counter("coupon_user")) != (uses, uses) {
            return Err(format!("the coupon counts {}, should count {uses}", counter("coupon")));
        }
        self.compare_books()
    }

    fn compare_books(&self) -> Result<(), String> {
        let mut sums = BTreeMap::<&str, i64>::new();
        for ((_, asset), units) in &self.core.balances {
            *sums.entry(asset).or_default() += units;
        }
        if let Some((asset, units)) = sums.iter().find(|(_, units)| **units != 0) {
            return Err(format!("debits and credits of {asset} differ by {units}"));
        }
        for (at, id) in self.ids.iter().enumerate() {
            let order = &self.core.orders[id];
            let account = (Account::Order(order.no), order.quote.asset.to_string());
            let owed = -self.core.balances.get(&account).copied().unwrap_or(0);
            if owed != self.model.papers[at].owed() {
                return Err(format!("the books owe order {at} {owed}, should owe {}", self.model.papers[at].owed()));
            }
        }
        let network = |(account, _): &(&(Account, String), &i64)| matches!(account.0, Account::Network(_));
        let held: i64 = self.core.balances.iter().filter(network).map(|(_, units)| units).sum();
        let money = self.model.papers.iter().flat_map(|paper| &paper.money);
        let expected: i64 =
            money.filter(|money| money.status == TransferStatus::Confirmed).map(|money| money.units).sum();
        if held != expected {
            return Err(format!("the books have {held} at our addresses, the chains {expected}"));
        }
        Ok(())
    }

    /// Rows and log go through text, and the log gives the rows.
    fn restart(&self) -> Result<(), String> {
        let read = |text: String| serde_json::from_str(&text).map_err(|error| format!("a row cannot be read: {error}"));
        let mut rows = BTreeMap::<OrderId, Order>::new();
        for (id, order) in &self.core.orders {
            let row: Order = read(serde_json::to_string(order).map_err(|error| error.to_string())?)?;
            if row != *order {
                return Err(format!("order {} is another one once it was written down", order.no));
            }
            rows.insert(*id, row);
        }
        let mut folded = BTreeMap::<OrderId, Order>::new();
        for Logged { order, version, at, event } in &self.core.log {
            let text = serde_json::to_string(event).map_err(|error| error.to_string())?;
            let event: Event =
                serde_json::from_str(&text).map_err(|error| format!("an event cannot be read: {error}"))?;
            match (event, folded.get_mut(order)) {
                (Event::Placed(placed), None) => {
                    folded.insert(*order, Order::placed(*order, *placed, *at));
                }
                (event, Some(known)) if *version == known.version + 1 => known.apply(&event, *at),
                (event, _) => return Err(format!("{} does not follow", event.kind())),
            }
        }
        if folded != rows {
            return Err("the log does not give the rows".to_owned());
        }
        Ok(())
    }
}

fn station(line: &Line) -> Station {
    match line {
        Line::Planned { .. } => Station::Waiting,
        Line::Sent { sent_at, .. } | Line::Asking { sent_at, .. } => Station::Asked(*sent_at),
        Line::Delivered { .. } => Station::Delivered,
        Line::Refused { .. } => Station::Refused,
    }
}

fn transfer_id(number: usize) -> TransferId {
    TransferId::new(format!("sim:base|tx{number}|0"))
}

/// Spending limits are the other simulation's.
fn unlimited_market() -> Market {
    let tier = || Tier::whole(1_000_000, 1_000_000, 1_000_000);
    Market { limits: Limits { anonymous: tier(), customer: tier(), ..Limits::default() }, ..market::market() }
}
