//! What the core must do, told as plainly as possible: papers on a desk. What is owed, promised, used up and free is worked
//! out anew each time by looking through the papers; only the words, which must not move back, and the holds are kept.
//! Written from the design's words, not from the core. Rates, spending limits and the texts are not in it.

use crate::market::BRANDS;
use domain::catalog::OWN_STOCK;
use domain::event::HoldReason;
use domain::payment::TransferStatus;
use domain::project::OrderState;
use domain::time::{Span, Time};
use std::collections::BTreeSet;

/// A card of 20 USD with the margin of 1.5 %, in millionths; a tenth off would be below what it costs, 19 USD.
const PRICE: i64 = 20_300_000;
const REDUCED: i64 = 19_000_000;
/// The coupon's uses, in all and by one buyer.
const USES: usize = 5;
const USES_BY_ONE: usize = 2;
/// Half a dollar.
const TRIFLE: i64 = 500_000;
const GRACE: Span = Span::seconds(60);
const WINDOW: Span = Span::minutes(30);
const LATE: Span = Span::minutes(30);
const UNKNOWN_LIMIT: Span = Span::minutes(10);

/// The brands of the model by number; a range is for the other simulation.
pub const FIXED: [usize; 5] = [0, 1, 2, 3, 5];

/// One order.
#[derive(Debug, Clone)]
pub struct Paper {
    pub lines: Vec<PaperLine>,
    pub buyer: u8,
    pub visitor: u8,
    pub coupon: bool,
    pub expires: Time,
    pub money: Vec<Money>,
    pub paid: bool,
    pub expired: bool,
    pub cancelled: bool,
    pub closed: bool,
    pub holds: BTreeSet<(HoldReason, Option<usize>)>,
    /// What the payer was forgiven (or left, below nothing) when it was settled.
    forgiven: i64,
    pub word: OrderState,
}

#[derive(Debug, Clone)]
pub struct PaperLine {
    pub brand: usize,
    /// Who is asked next or was asked, and which attempt it is.
    pub supplier: usize,
    pub attempt: u32,
    pub at: Station,
    /// The attempt that a supplier delivered it with.
    pub from: Option<u32>,
    pub reversed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Station {
    Waiting,
    /// Since then.
    Asked(Time),
    Delivered,
    Refused,
}

#[derive(Debug, Clone)]
pub struct Money {
    pub transfer: usize,
    pub right_token: bool,
    pub units: i64,
    pub block_at: Time,
    pub status: TransferStatus,
}

/// What came of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Done,
    /// An order was made.
    Made,
    /// The paper that was made before under that key.
    Replay(usize),
    KeyReused,
    Problems(BTreeSet<&'static str>),
    TooManyUnpaid,
    /// Nothing to do, or not possible now.
    No,
}

impl PaperLine {
    fn suppliers(&self) -> &'static [&'static str] {
        BRANDS[self.brand].1
    }

    pub fn is_own(&self) -> bool {
        self.suppliers()[0] == OWN_STOCK
    }

    /// Whether the next step is a code of ours.
    pub fn takes_code(&self) -> bool {
        self.suppliers()[self.supplier] == OWN_STOCK
    }

    fn is_ended(&self) -> bool {
        matches!(self.at, Station::Delivered | Station::Refused)
    }

    /// Whether a code of ours is promised to it.
    fn is_promised(&self) -> bool {
        self.is_own() && self.supplier == 0 && self.at == Station::Waiting
    }
}

impl Paper {
    pub fn due(&self) -> i64 {
        self.price() * self.lines.len() as i64
    }

    fn price(&self) -> i64 {
        if self.coupon { REDUCED } else { PRICE }
    }

    fn needed(&self) -> i64 {
        self.due() - (self.due() / 200).min(TRIFLE)
    }

    /// Its use of the coupon counts.
    pub fn uses_coupon(&self) -> bool {
        self.coupon && (self.is_open() || self.paid)
    }

    /// It waits for its payment and holds what it needs.
    fn is_open(&self) -> bool {
        !self.paid && !self.expired && !self.cancelled
    }

    fn confirmed_by(&self, until: Option<Time>) -> i64 {
        let in_time = |money: &&Money| until.is_none_or(|until| money.block_at <= until);
        let counts = |money: &&Money| money.right_token && money.status == TransferStatus::Confirmed;
        self.money.iter().filter(counts).filter(in_time).map(|money| money.units).sum()
    }

    fn is_whole_held(&self) -> bool {
        self.holds.iter().any(|(_, line)| line.is_none())
    }

    fn is_held(&self, line: usize) -> bool {
        self.holds.iter().any(|(_, held)| held.is_none_or(|held| held == line))
    }

    /// What the payer sent and got nothing for: confirmed money, less the price of what was not given up.
    pub fn owed(&self) -> i64 {
        if !self.paid {
            return self.confirmed_by(None);
        }
        let given_up = self.lines.iter().filter(|line| line.at == Station::Refused).count() as i64;
        // What was forgiven is shared by the lines: who gets nothing has nothing forgiven.
        let part = self.forgiven * self.price() / self.due();
        self.confirmed_by(None) - self.due() + self.forgiven + given_up * (self.price() - part)
    }

    /// The word that the facts alone give.
    fn fact(&self) -> OrderState {
        if self.paid {
            let (ended, delivered) = (
                self.lines.iter().all(PaperLine::is_ended),
                self.lines.iter().any(|line| line.at == Station::Delivered),
            );
            let untouched = |line: &PaperLine| line.at == Station::Waiting && line.attempt == 0;
            return match (self.holds.is_empty(), ended, delivered) {
                _ if self.is_whole_held() => OrderState::WaitingForManualAction,
                (_, true, true) => OrderState::Done,
                (_, true, false) | (false, ..) => OrderState::WaitingForManualAction,
                _ if self.lines.iter().all(untouched) => OrderState::PaymentReceived,
                _ => OrderState::WaitingForDelivery,
            };
        }
        let seen: i64 = self
            .money
            .iter()
            .filter(|money| money.right_token && money.status != TransferStatus::Reverted)
            .map(|money| money.units)
            .sum();
        match () {
            () if self.cancelled => OrderState::Canceled,
            () if !self.holds.is_empty() && self.confirmed_by(None) > 0 => OrderState::WaitingForManualAction,
            () if self.expired => OrderState::Expired,
            () if seen == 0 => OrderState::WaitingForPayment,
            () if seen < self.needed() => OrderState::PartialPaymentStarted,
            () => OrderState::PaymentStarted,
        }
    }

    /// The furthest word reached; called after each thing that happens to it.
    fn tell(&mut self) {
        let place = |word: OrderState| crate::check::WORDS.iter().position(|known| *known == word);
        let now = self.fact();
        if place(now) > place(self.word) {
            self.word = now;
        }
    }
}

/// The desk.
#[derive(Default)]
pub struct Model {
    pub papers: Vec<Paper>,
    /// Who used a key, with which body.
    keys: Vec<(u8, u8, usize)>,
    /// Codes of ours to begin with, of each brand.
    codes: usize,
    unpaid_products: usize,
    /// Our codes that were given away, by brand.
    given: Vec<usize>,
}

/// What somebody wants to order.
pub struct Wish<'a> {
    pub key: u8,
    pub body: u8,
    pub buyer: u8,
    pub visitor: u8,
    pub coupon: bool,
    pub brands: &'a [usize],
}

impl Model {
    pub fn new(codes: usize, unpaid_products: usize) -> Model {
        Model { codes, unpaid_products, ..Model::default() }
    }

    pub fn place(&mut self, wish: &Wish<'_>, now: Time) -> Told {
        if let Some((_, body, paper)) = self.keys.iter().find(|(key, ..)| *key == wish.key) {
            return if *body == wish.body { Told::Replay(*paper) } else { Told::KeyReused };
        }
        let mut problems = BTreeSet::new();
        if wish.coupon {
            let (all, own) = self.uses(wish.buyer);
            problems.extend((all >= USES).then_some("COUPON_MAX_USAGE_REACHED"));
            problems.extend((own >= USES_BY_ONE).then_some("COUPON_ALREADY_SPENT"));
        }
        let short = |brand: &&usize| self.is_short(**brand, wish.brands);
        problems.extend(wish.brands.iter().find(short).map(|_| "OUT_OF_STOCK"));
        if !problems.is_empty() {
            return Told::Problems(problems);
        }
        let open = self.papers.iter().filter(|paper| paper.is_open() && paper.visitor == wish.visitor);
        if open.map(|paper| paper.lines.len()).sum::<usize>() + wish.brands.len() > self.unpaid_products {
            return Told::TooManyUnpaid;
        }
        self.keys.push((wish.key, wish.body, self.papers.len()));
        let line = |brand: &usize| PaperLine {
            brand: *brand,
            supplier: 0,
            attempt: 0,
            at: Station::Waiting,
            from: None,
            reversed: false,
        };
        self.papers.push(Paper {
            lines: wish.brands.iter().map(line).collect(),
            buyer: wish.buyer,
            visitor: wish.visitor,
            coupon: wish.coupon,
            expires: now + WINDOW,
            money: Vec::new(),
            paid: false,
            expired: false,
            cancelled: false,
            closed: false,
            holds: BTreeSet::new(),
            forgiven: 0,
            word: OrderState::WaitingForPayment,
        });
        Told::Made
    }

    /// Uses of the coupon: by orders that are paid or may still be.
    fn uses(&self, buyer: u8) -> (usize, usize) {
        let using = || self.papers.iter().filter(|paper| paper.uses_coupon());
        (using().count(), using().filter(|paper| paper.buyer == buyer).count())
    }

    pub fn promised(&self, brand: usize) -> usize {
        let live = self.papers.iter().filter(|paper| paper.is_open() || paper.paid);
        live.flat_map(|paper| &paper.lines).filter(|line| line.brand == brand && line.is_promised()).count()
    }

    pub fn free(&self, brand: usize) -> usize {
        self.codes - self.given.iter().filter(|given| **given == brand).count()
    }

    fn is_short(&self, brand: usize, wanted: &[usize]) -> bool {
        let count = wanted.iter().filter(|other| **other == brand).count();
        BRANDS[brand].1[0] == OWN_STOCK && self.promised(brand) + count > self.free(brand)
    }

    /// The order hears of a transfer's standing.
    /// `others`: there is more money that it has not heard of.
    pub fn credit(&mut self, at: usize, money: Money, others: bool) -> Told {
        let paper = &mut self.papers[at];
        let known = paper.money.iter().position(|known| known.transfer == money.transfer);
        let mut vanished = false;
        match known {
            Some(known) if paper.money[known].status == money.status => return Told::No,
            Some(known) => {
                let before = &mut paper.money[known];
                vanished = before.status == TransferStatus::Confirmed;
                // Whatever it is now, it was gone in between.
                before.status = if vanished { TransferStatus::Reverted } else { before.status };
                paper.tell();
                paper.money[known] = money.clone();
            }
            None => {
                // What came and went was there.
                paper.money.push(Money { status: TransferStatus::Seen, ..money.clone() });
                paper.tell();
                *paper.money.last_mut().expect("just pushed") = money.clone();
            }
        }
        let confirmed = money.status == TransferStatus::Confirmed;
        paper.tell();
        let enough = paper.confirmed_by(None) >= paper.needed();
        let missing = (HoldReason::PaymentReverted, None);
        // What was sold or kept is more than what is there.
        let lacks = !enough || paper.owed() < 0;
        if paper.paid && confirmed && !lacks {
            paper.holds.remove(&missing);
        }
        if paper.paid && vanished && lacks {
            paper.holds.insert(missing);
        }
        if confirmed && !paper.paid && !paper.cancelled && !paper.closed && enough {
            self.settle_or_expire(at, others);
        }
        self.papers[at].tell();
        Told::Done
    }

    fn settle_or_expire(&mut self, at: usize, others: bool) {
        let paper = &self.papers[at];
        let in_time = paper.confirmed_by(Some(paper.expires + GRACE + LATE)) >= paper.needed();
        let has_room = paper.is_open() || self.can_be_had_again(at);
        let paper = &mut self.papers[at];
        if in_time && has_room {
            paper.paid = true;
            let over = paper.confirmed_by(None) - paper.due();
            // A trifle is kept or forgiven; more is the payer's.
            let kept = if over <= TRIFLE { over } else { 0 };
            paper.forgiven = -kept;
        } else if !others {
            paper.expired = true;
        }
    }

    /// Whether what an order let go of is still there.
    fn can_be_had_again(&self, at: usize) -> bool {
        let paper = &self.papers[at];
        let wanted: Vec<usize> = paper.lines.iter().map(|line| line.brand).collect();
        let (all, own) = self.uses(paper.buyer);
        let coupon = !paper.coupon || (all < USES && own < USES_BY_ONE);
        coupon && !wanted.iter().any(|brand| self.is_short(*brand, &wanted))
    }

    /// `uncredited`: there is money that the order has not heard of.
    pub fn expire(&mut self, at: usize, scanned: Time, uncredited: bool) -> Told {
        let paper = &mut self.papers[at];
        if !paper.is_open() || scanned <= paper.expires || uncredited || paper.awaits(paper.expires + GRACE) {
            return Told::No;
        }
        paper.expired = true;
        paper.tell();
        Told::Done
    }

    pub fn close(&mut self, at: usize, scanned: Time, uncredited: bool) -> Told {
        let paper = &mut self.papers[at];
        let ended = (paper.expired || paper.cancelled) && !paper.paid && !paper.closed;
        let until = paper.expires + GRACE + LATE;
        if !ended || scanned <= until || uncredited || paper.awaits(until) {
            return Told::No;
        }
        paper.closed = true;
        Told::Done
    }

    pub fn cancel(&mut self, at: usize) -> Told {
        let paper = &mut self.papers[at];
        let money = paper.money.iter().any(|money| money.status != TransferStatus::Reverted);
        if !paper.is_open() || money {
            return Told::No;
        }
        paper.cancelled = true;
        paper.tell();
        Told::Done
    }

    pub fn begin(&mut self, at: usize, line: usize, now: Time) -> Told {
        let paper = &mut self.papers[at];
        let held = paper.is_held(line);
        let wanted = &mut paper.lines[line];
        if !paper.paid || held || wanted.at != Station::Waiting {
            return Told::No;
        }
        if wanted.takes_code() {
            // It was promised, so it is there.
            wanted.at = Station::Delivered;
            self.given.push(wanted.brand);
        } else {
            wanted.at = Station::Asked(now);
        }
        paper.tell();
        Told::Done
    }

    pub fn report(&mut self, at: usize, line: usize, attempt: u32, word: Word, now: Time) -> Told {
        let paper = &mut self.papers[at];
        let asked = &mut paper.lines[line];
        let taken_back = (HoldReason::DeliveryReversed, Some(line));
        if (word, asked.at, asked.reversed) == (Word::Reversed, Station::Delivered, false)
            && asked.from == Some(attempt)
        {
            asked.reversed = true;
            paper.holds.insert(taken_back);
            paper.tell();
            return Told::Done;
        }
        let Station::Asked(since) = asked.at else { return Told::No };
        if asked.attempt != attempt {
            return Told::No;
        }
        match word {
            Word::Delivered => (asked.at, asked.from) = (Station::Delivered, Some(attempt)),
            Word::Reversed => {
                paper.holds.insert(taken_back);
                paper.tell();
                return Told::Done;
            }
            Word::NeverArrived => asked.at = Station::Waiting,
            Word::Refused if asked.supplier + 1 < asked.suppliers().len() => {
                (asked.supplier, asked.attempt, asked.at) = (asked.supplier + 1, attempt + 1, Station::Waiting);
            }
            Word::Refused => paper.refuse(line),
            Word::Pending | Word::Unknown => {
                if now.since(since) >= UNKNOWN_LIMIT && !paper.is_held(line) {
                    paper.holds.insert((HoldReason::OutcomeUnknown, Some(line)));
                }
                paper.tell();
                return Told::Done;
            }
        }
        paper.tell();
        // Its outcome is not unknown any more.
        paper.holds.remove(&(HoldReason::OutcomeUnknown, Some(line)));
        paper.tell();
        Told::Done
    }

    /// A person decides.
    pub fn resolve(&mut self, at: usize, line: usize, delivered: bool) -> Told {
        let paper = &mut self.papers[at];
        if !paper.paid || paper.lines[line].is_ended() {
            return Told::No;
        }
        if delivered {
            let decided = &mut paper.lines[line];
            decided.from = matches!(decided.at, Station::Asked(_)).then_some(decided.attempt);
            decided.at = Station::Delivered;
        } else {
            paper.refuse(line);
        }
        paper.tell();
        // He has looked at this line, whatever it waited for.
        paper.holds.retain(|(_, held)| *held != Some(line));
        paper.tell();
        Told::Done
    }

    pub fn hold(&mut self, at: usize, line: Option<usize>) -> Told {
        let paper = &mut self.papers[at];
        paper.holds.insert((HoldReason::Operator, line));
        paper.tell();
        Told::Done
    }

    pub fn release(&mut self, at: usize) -> Told {
        let paper = &mut self.papers[at];
        if std::mem::take(&mut paper.holds).is_empty() {
            return Told::No;
        }
        paper.tell();
        Told::Done
    }
}

impl Paper {
    /// Money of the right token is on the chain and not confirmed, in a block no later than `until`.
    fn awaits(&self, until: Time) -> bool {
        let open = |money: &&Money| money.right_token && money.status == TransferStatus::Seen;
        self.money.iter().filter(open).any(|money| money.block_at <= until)
    }

    /// Nobody delivers the line.
    fn refuse(&mut self, line: usize) {
        self.lines[line].at = Station::Refused;
    }
}

/// What a supplier says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Delivered,
    Refused,
    NeverArrived,
    Pending,
    Unknown,
    Reversed,
}
