//! One run of a plan: shoppers, payers, chains, suppliers, operators and workers take turns as the seed says, until the faults stop and
//! everything comes to rest.

mod desk;
mod payers;
mod refunds;
mod shoppers;
mod viewers;

use crate::check::{self, Broken, Mirror};
use crate::market::CONFIRMATIONS;
use crate::outside::{Outside, PATIENCE};
use crate::plan::{Fault, Plan};
use crate::rng::Rng;
use crate::shop::{Answers, Database, Shop, Worker};
use domain::decide::{Command, Place, Refusal, Resolution};
use domain::event::HoldReason;
use domain::fulfil::{Line, Report};
use domain::ids::{AssetId, NetworkId, OrderId};
use domain::order::Order;
use domain::project::OrderState;
use domain::time::{Span, Time};
use payers::{Signed, Traded};
use server::engine::SubmitError;
use server::ports::Goods;
use server::store::Conn;
use server::vault::VaultError;
use server::workers::WorkerError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use viewers::Viewer;

/// How many lines of a trace are shown with a failure.
const SHOWN: usize = 50;
/// Rounds of ten minutes in which everything must come to rest: three days and a half.
const ROUNDS: u32 = 500;

/// What came of a run.
pub struct Outcome {
    pub trace: Vec<String>,
    pub steps: u32,
    pub failure: Option<Failure>,
}

/// A rule that did not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    pub step: u32,
    pub broken: Broken,
}

impl Outcome {
    /// What a person needs to look into it.
    pub fn report(&self, plan: &Plan, database: &Database) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let from = self.trace.len().saturating_sub(SHOWN);
        let lines = self.trace[from..].join("\n");
        Some(format!(
            "{lines}\n\nstep {}: {}\nfaults: {:?}\nrepeat with: cargo run -p sim --release -- {}",
            failure.step,
            failure.broken,
            plan.rates,
            plan.arguments() + &database.arguments()
        ))
    }
}

/// An order as its shopper knows it.
struct Known {
    id: OrderId,
    no: i64,
    address: String,
    network: NetworkId,
    asset: AssetId,
    due: i64,
    expires_at: Time,
    /// What was seen of it last.
    seen: OrderState,
    payments: u32,
}

/// A request that may be sent again.
struct Request {
    place: Place,
    /// The order that it made, once an answer came.
    made: Option<OrderId>,
    /// Another body was sent under its key, and the answer was lost: that one may own the key.
    in_doubt: bool,
}

struct Run {
    plan: Plan,
    rng: Rng,
    outside: Outside,
    shop: Option<Shop>,
    mirror: Mirror,
    known: Vec<Known>,
    requests: Vec<Request>,
    traded: Vec<Traded>,
    signed: Vec<Signed>,
    viewers: Vec<Viewer>,
    /// The operator's last backup.
    backup: Option<Conn>,
    /// Addresses of orders that were lost with a database.
    lost_addresses: BTreeSet<String>,
    trace: Vec<String>,
    log: Arc<Mutex<Vec<u8>>>,
    disk_full: bool,
}

/// Runs a plan on an empty database.
pub fn run(plan: &Plan, conn: Conn) -> Outcome {
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = {
        let log = log.clone();
        move || Captured(log.clone())
    };
    let subscriber = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing::Level::INFO)
        .finish();
    let mut run = Run::begin(plan, conn, log);
    let (mut step, mut failure) = (0, None);
    tracing::subscriber::with_default(subscriber, || {
        while step < plan.steps && failure.is_none() {
            failure = run.step(step).err().map(|broken| Failure { step, broken });
            step += 1;
        }
        if failure.is_none() {
            failure = run.come_to_rest().err().map(|broken| Failure { step, broken });
        }
    });
    Outcome { trace: run.trace, steps: step, failure }
}

/// Takes the lines of the log.
struct Captured(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nothing panics while it logs").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Run {
    fn begin(plan: &Plan, conn: Conn, log: Arc<Mutex<Vec<u8>>>) -> Run {
        let outside = Outside::new(plan, &crate::market::market().rails.networks);
        outside.world().mine();
        let shop = Shop::open(conn, outside.clone()).expect("an empty database");
        Run {
            plan: plan.clone(),
            rng: Rng::new(plan.seed),
            outside,
            shop: Some(shop),
            mirror: Mirror::default(),
            known: Vec::new(),
            requests: Vec::new(),
            traded: Vec::new(),
            signed: Vec::new(),
            viewers: Vec::new(),
            backup: None,
            lost_addresses: BTreeSet::new(),
            trace: Vec::new(),
            log,
            disk_full: false,
        }
    }

    fn shop(&self) -> &Shop {
        self.shop.as_ref().expect("the shop is only away during a call")
    }

    fn strikes(&self, fault: Fault) -> bool {
        self.outside.world().strikes(fault)
    }

    fn step(&mut self, step: u32) -> Result<(), Broken> {
        let what = self.rng.below(156);
        let now = self.outside.world().now;
        let told = match what {
            0..=15 => self.shoppers_order(),
            16..=29 => self.shopper_pays(),
            30..=34 => self.time_passes(),
            35..=44 => self.blocks_are_mined(),
            45..=47 => self.chains_change(),
            48..=87 | 100..=119 => self.worker_works(),
            88..=89 | 93..=94 => self.page_acts(),
            90..=92 => self.client_polls(),
            95..=96 => self.operator_acts(),
            97 => self.supplier_repeats(),
            98 => self.disk_changes(),
            99 if self.strikes(Fault::Restore) => self.disk_dies(),
            120..=125 => self.payer_orders(),
            126..=130 => self.payer_says(),
            131..=137 => self.payer_pays(),
            138..=143 => self.desk_works(),
            144..=146 => self.desk_errs(),
            147..=149 => self.rates_move(),
            150..=155 => self.money_goes_back(),
            _ => self.clock_jumps(),
        };
        let told = told?;
        self.trace.push(format!("{step:4} {} {told}", now.rfc3339()));
        self.look(step.is_multiple_of(16))
    }

    /// Compares the books; all of them now and then.
    fn look(&mut self, whole: bool) -> Result<(), Broken> {
        let shop = self.shop.take().expect("the shop is only away during a call");
        let looked = self.mirror.follow(&shop).and_then(|()| match whole {
            true => check::safety(&shop, &self.mirror, &mut self.outside.world()),
            false => self.outside.world().broken.pop().map_or(Ok(()), Err),
        });
        let looked = looked.and_then(|()| self.mirror.follows_the_chains(&self.outside.world()));
        self.shop = Some(shop);
        let notes = self.outside.world().notes();
        self.trace.extend(notes.into_iter().map(|note| format!("     {note}")));
        looked?;
        let said = std::mem::take(&mut *self.log.lock().expect("nothing panics while it logs"));
        let said = String::from_utf8_lossy(&said).into_owned();
        for line in said.lines().filter(|line| line.contains("ERROR")) {
            self.trace.push(format!("     log: {line}"));
            if line.contains("broke an invariant") || line.contains("refused by the database") {
                return Err(format!("the shop says of itself: {line}"));
            }
        }
        check::says_too_much(&said, &self.outside.world())?;
        if whole && !self.disk_full {
            let found = self.shop().audit().map_err(|error| format!("the audit failed: {error}"))?;
            found.into_iter().next().map_or(Ok(()), |sentence| Err(format!("the audit finds: {sentence}")))?;
        }
        let mut ids = self.known.iter().map(|known| known.id).chain(self.traded.iter().map(|traded| traded.id));
        if said.contains("OrderId(") || ids.any(|id| said.contains(&id.expose())) {
            return Err("an order's id stands in the log".to_owned());
        }
        Ok(())
    }

    // The world.

    fn time_passes(&mut self) -> Result<String, Broken> {
        let seconds = match self.rng.below(10) {
            0 => self.rng.between(600, 2_400),
            1..=3 => self.rng.between(60, 600),
            _ => self.rng.between(1, 60),
        };
        let mut world = self.outside.world();
        world.now = world.now + Span::seconds(seconds);
        Ok(format!("{seconds} s pass"))
    }

    fn blocks_are_mined(&mut self) -> Result<String, Broken> {
        let count = self.rng.between(1, 4);
        for _ in 0..count {
            let mut world = self.outside.world();
            world.now = world.now + Span::seconds(2);
            world.mine();
        }
        Ok(format!("{count} blocks"))
    }

    fn chains_change(&mut self) -> Result<String, Broken> {
        self.outside.world().weather();
        let networks: Vec<NetworkId> = self.outside.world().chains.keys().cloned().collect();
        let network = self.rng.pick(&networks).cloned().expect("there are networks");
        let confirmations = CONFIRMATIONS as usize;
        let depth = if self.strikes(Fault::DeepReorg) {
            let aimed = self.outside.world().newest_confirmed(confirmations);
            if let Some((network, depth)) = aimed {
                self.outside.world().reorganise(&network, depth);
                return Ok(format!("{network} replaces {depth} blocks, with a confirmed payment"));
            }
            confirmations + self.rng.below(6) as usize
        } else if self.strikes(Fault::Reorg) {
            1 + self.rng.below(confirmations as u64 - 1) as usize
        } else {
            let swept = self.outside.world().sweep();
            return Ok(swept.map_or("the weather changes".to_owned(), |swept| {
                format!("the operator sweeps {} units to {}", swept.units, swept.to)
            }));
        };
        self.outside.world().reorganise(&network, depth);
        Ok(format!("{network} replaces {depth} blocks"))
    }

    fn rates_move(&mut self) -> Result<String, Broken> {
        if !self.strikes(Fault::RatesMove) {
            return Ok("the price of ether stands".to_owned());
        }
        let bps = self.rng.between(-1_500, 1_500);
        let cents = self.outside.world().books.move_price(bps);
        Ok(format!("ether costs {cents} cents"))
    }

    fn supplier_repeats(&mut self) -> Result<String, Broken> {
        let reverses = self.strikes(Fault::Reversal);
        if !reverses && !self.strikes(Fault::LateReport) {
            return Ok("suppliers say nothing".to_owned());
        }
        let world = self.outside.world();
        let deals: Vec<(String, bool)> = world
            .deals
            .iter()
            .filter(|(_, deal)| deal.bought)
            .map(|(name, deal)| (name.clone(), deal.hands_over()))
            .collect();
        drop(world);
        let Some((reference, hands_over)) = self.rng.pick(&deals).cloned() else { return Ok("no deals".to_owned()) };
        let parts: Vec<i64> =
            reference.trim_start_matches('k').split('-').filter_map(|part| part.parse().ok()).collect();
        let [no, line, attempt] = parts[..] else { return Err(format!("the reference {reference} is not ours")) };
        let order = self.mirror.orders.values().find(|order| order.no == no).map(|order| order.id);
        let Some(order) = order else {
            let is_lost = self.outside.world().deals.get(&reference).is_some_and(|deal| deal.forgotten);
            return is_lost
                .then(|| format!("a supplier speaks of {reference}, which was lost"))
                .ok_or(format!("the reference {reference} is of no order"));
        };
        let goods = hands_over.then(|| {
            let pin_code = self.outside.world().code_of(&reference).unwrap_or_default();
            self.shop().vault.seal_goods(&Goods { pin_code, ..Goods::default() })
        });
        let taken_back = reverses && self.outside.world().take_back(&reference);
        let report = if taken_back { Report::Reversed("fraud".to_owned()) } else { Report::Delivered(goods) };
        let command = Command::Report { order, line: line as u32, attempt: attempt as u32, report, patience: PATIENCE };
        let answers = self.submit(vec![command]);
        let what = if taken_back { "takes back" } else { "says again that it delivered" };
        Ok(format!("a supplier {what} {reference}: {}", told(answers)))
    }

    // The shop.

    fn submit(&mut self, commands: Vec<Command>) -> Option<Answers> {
        let process = self.rng.below(2) as usize;
        let shop = self.shop.take().expect("the shop is only away during a call");
        let (shop, answers) = shop.submit(process, commands);
        self.shop = Some(shop);
        answers
    }

    fn worker_works(&mut self) -> Result<String, Broken> {
        let worker = *self.rng.pick(&Worker::ALL).expect("there are workers");
        self.work(worker)
    }

    fn work(&mut self, worker: Worker) -> Result<String, Broken> {
        let process = self.rng.below(2) as usize;
        self.work_in(process, worker)
    }

    fn work_in(&mut self, process: usize, worker: Worker) -> Result<String, Broken> {
        let shop = self.shop.take().expect("the shop is only away during a call");
        let (shop, ran) = shop.work(process, worker);
        self.shop = Some(shop);
        match ran {
            None => Ok(format!("{worker:?}: the process died")),
            Some(Ok(ran)) => Ok(format!("{worker:?}: {ran:?}")),
            Some(Err(error)) if self.disk_full && is_passing(&error) => Ok(format!("{worker:?}: {error}")),
            Some(Err(error)) => Err(format!("{worker:?} failed: {error}")),
        }
    }

    fn operator_acts(&mut self) -> Result<String, Broken> {
        let at = self.rng.below(self.known.len() as u64) as usize;
        let Some(known) = self.known.get(at).filter(|_| self.outside.world().strikes(Fault::Operator)) else {
            return Ok("the operator rests".to_owned());
        };
        let (order, no) = (known.id, known.no);
        let note = "looked at".to_owned();
        let current = self.mirror.orders.get(&order).cloned();
        let line = self.rng.below(current.as_ref().map_or(1, |order| order.lines.len()) as u64) as u32;
        let open = current.as_ref().and_then(|order| order.line(line)).is_some_and(|line| !line.is_ended());
        let (what, command) = match self.rng.below(4) {
            0 => ("holds", Command::Hold { order, reason: HoldReason::Operator, line: None, note }),
            1 | 2 => ("releases", Command::Release { order, note }),
            _ => {
                // A person asks the supplier first.
                let bought = self.outside.world().was_bought(no, line);
                let resolution = if bought { Resolution::Delivered } else { Resolution::Refused };
                let asked = current
                    .as_ref()
                    .and_then(|order| order.line(line))
                    .is_some_and(|line| matches!(line, Line::Asking { .. } | Line::Sent { .. }));
                if !asked {
                    return Ok("the operator has nothing to decide".to_owned());
                }
                ("decides about a line of", Command::Resolve { order, line, resolution, note })
            }
        };
        let decides = matches!(command, Command::Resolve { .. });
        let answers = self.submit(vec![command]);
        // A process that died may have taken it.
        let is_taken = answers.as_ref().is_none_or(|answers| answers.iter().all(Result::is_ok));
        if decides && open && is_taken {
            self.mirror.decided.insert((no, line));
        }
        Ok(format!("the operator {what} {no}: {}", told(answers)))
    }

    fn disk_changes(&mut self) -> Result<String, Broken> {
        let full = !self.disk_full && self.strikes(Fault::DiskFull);
        self.fill_disk(full);
        Ok(if full { "the disk is full" } else { "the disk has room" }.to_owned())
    }

    /// Only SQLite's disk can be filled from here.
    fn fill_disk(&mut self, full: bool) {
        let limit = if full { "pragma max_page_count = 1" } else { "pragma max_page_count = 1073741823" };
        let is_sqlite = self.shop().tamper(|conn| {
            let Conn::Sqlite(connection) = conn else { return false };
            connection.query_row(limit, [], |_| Ok(())).expect("a setting of the connection");
            true
        });
        self.disk_full = full && is_sqlite;
    }

    /// A backup is made; with one at hand the disk may die, and it is put back. The last one is lost, too, then.
    fn disk_dies(&mut self) -> Result<String, Broken> {
        let is_sqlite = self.shop().tamper(|conn| matches!(conn, Conn::Sqlite(_)));
        if !is_sqlite || self.disk_full {
            return Ok("nobody makes a backup".to_owned());
        }
        let Some(copy) = self.backup.take() else {
            self.backup = Some(self.shop().back_up());
            return Ok("a backup is made".to_owned());
        };
        let before: Vec<(OrderId, String)> =
            self.mirror.orders.values().map(|order| (order.id, order.address.clone())).collect();
        let shop = self.shop.take().expect("the shop is only away during a call").restore(copy);
        self.mirror.begin_again();
        self.mirror.follow(&shop)?;
        self.shop = Some(shop);
        let (mirror, world) = (&self.mirror.orders, &mut self.outside.world());
        world.deals.values_mut().for_each(|deal| deal.forgotten = true);
        world.books.forget();
        self.lost_addresses.extend(before.into_iter().filter(|(id, _)| !mirror.contains_key(id)).map(|(_, at)| at));
        self.known.retain(|known| mirror.contains_key(&known.id));
        // A word may be older than what a client saw.
        self.known.iter_mut().for_each(|known| known.seen = mirror[&known.id].state);
        self.viewers.retain(|viewer| mirror.contains_key(&viewer.order));
        self.viewers.iter_mut().for_each(|viewer| viewer.seen = OrderState::Created);
        for request in &mut self.requests {
            request.made = request.made.filter(|id| mirror.contains_key(id));
            request.in_doubt = true;
        }
        self.traded.retain(|traded| mirror.contains_key(&traded.id));
        for signed in &mut self.signed {
            signed.made = signed.made.filter(|id| mirror.contains_key(id));
        }
        Ok(format!("the disk dies; a backup with {} orders is put back", mirror.len()))
    }

    fn clock_jumps(&mut self) -> Result<String, Broken> {
        if !self.strikes(Fault::ClockJump) {
            return Ok("the clock goes on".to_owned());
        }
        let off = Span::seconds(self.rng.between(-900, 900));
        self.outside.world().clock_off = off;
        Ok(format!("the clock is off by {} s", off.0 / 1_000))
    }

    /// The faults stop; within days every order is final or waits for a person with a reason.
    fn come_to_rest(&mut self) -> Result<(), Broken> {
        self.fill_disk(false);
        self.outside.world().clear_up();
        self.trace.push("the faults stop".to_owned());
        for round in 0..ROUNDS {
            {
                let mut world = self.outside.world();
                world.now = world.now + Span::minutes(10);
                world.mine();
            }
            let acted = self.desk_finishes();
            for worker in Worker::ALL.iter().chain(&Worker::ALL) {
                self.work(*worker)?;
            }
            self.look(round.is_multiple_of(50))?;
            if round > 40 && !acted && self.is_at_rest() {
                break;
            }
        }
        self.look(true)?;
        for process in [0, 1] {
            self.work_in(process, Worker::Streams)?;
        }
        self.pages_are_up_to_date()?;
        let shop = self.shop.take().expect("the shop is only away during a call");
        let lively = check::liveness(&shop, &self.mirror, &self.outside.world());
        self.shop = Some(shop);
        lively?;
        let polled: BTreeMap<i64, OrderState> = self.known.iter().map(|known| (known.no, known.seen)).collect();
        for order in self.mirror.orders.values() {
            polled.get(&order.no).map_or(Ok(()), |seen| check::not_back(order.no, *seen, order.state))?;
        }
        Ok(())
    }

    fn is_at_rest(&self) -> bool {
        let is_over = |order: &Order| match order.payment.settled_at {
            _ if order.trade().is_some() => check::trades::is_over(order),
            Some(_) => order.lines.iter().all(Line::is_ended) || !order.holds.is_empty(),
            None => order.payment.closed,
        };
        self.mirror.orders.values().all(is_over)
    }
}

/// A trouble of the database that the next call may not meet.
fn is_passing(error: &WorkerError) -> bool {
    match error {
        WorkerError::Database(error) | WorkerError::Vault(VaultError::Database(error)) => error.is_passing(),
        WorkerError::Submit(SubmitError::Busy) => true,
        WorkerError::Submit(_) | WorkerError::Vault(_) | WorkerError::Scan { .. } => false,
        WorkerError::Catalogue(_) | WorkerError::Exchange(_) => false,
    }
}

fn told(answers: Option<Answers>) -> String {
    answers.map_or("the process died".to_owned(), |answers| words(&answers))
}

fn words(answers: &Answers) -> String {
    let word = |answer: &Result<Arc<Order>, SubmitError>| match answer {
        Ok(order) => format!("{} {:?}", order.no, order.state),
        Err(SubmitError::Refused(Refusal::Problems(problems))) => {
            problems.iter().map(|problem| problem.code().to_owned()).collect::<Vec<_>>().join("+")
        }
        Err(error) => error.to_string(),
    };
    answers.iter().map(word).collect::<Vec<_>>().join(", ")
}
