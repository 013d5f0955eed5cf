//! The shop under test: the real engines, store and workers, called one after the other on one held connection.
//!
//! Two engines share the database and take turns. When the process dies everything but the database is gone, and both
//! start again from what is there.

use crate::market::{self, SUPPLIERS};
use crate::office::PAYERS;
use crate::outside::{CountedIds, Crash, Merchants, Node, Outside, PostOffice, Shelf, ShopClock, Till};
use domain::asset::ChainKind;
use domain::decide::{Caps, Command};
use domain::ids::{NetworkId, OrderId, Sku};
use domain::order::Order;
use domain::refund::RefundPolicy;
use domain::time::Time;
use domain::validate::Market;
use server::cli::backup::renew;
use server::engine::{Engine, Shared, SubmitError, commit_batch};
use server::http::HttpSettings;
use server::http::stream::{Stream, Tail};
use server::ports::{Network, Payer, Supplier};
use server::seal::Keyring;
use server::store::stock::NewCode;
use server::store::{Access, Conn, DbError, Place, Tx, claims, head, stock};
use server::vault::Vault;
use server::workers::notify::MailSettings;
use server::workers::{Ran, WorkerError, advance, audit, catalogue, credit, ipn, notify, outbox, pay_out, watch};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Deposit addresses of each family.
const ADDRESSES: usize = 200;
/// Codes of each brand that is delivered from the shop's own.
const CODES: usize = 12;
/// Lines of unpaid orders per visitor.
pub const UNPAID_PRODUCTS: i64 = 40;

/// Polls once. A port or a step that is not ready at once is a failure of the simulation.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match poll_once(future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("something waited: in the simulator every port is ready at once"),
    }
}

/// Looks whether something is there already.
pub fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What a step of the shop came to.
pub type Answers = Vec<Result<Arc<Order>, SubmitError>>;

/// One process.
struct Process {
    engine: Engine,
    put_off: credit::PutOff,
    tail: Tail,
    /// The last event that its streams were told of.
    told: i64,
}

/// The shop.
pub struct Shop {
    database: Arc<Mutex<Conn>>,
    processes: Vec<Process>,
    outside: Outside,
    pub vault: Arc<Vault>,
    networks: Vec<Arc<dyn Network>>,
    suppliers: Vec<Arc<dyn Supplier>>,
    payers: Vec<Arc<dyn Payer>>,
    /// How often it died.
    pub crashes: u32,
}

/// The workers. A step draws one of them; at rest all are called in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    Watch,
    Credit,
    Own,
    Supplier(usize),
    Payer(usize),
    PlanMail,
    SendMail,
    Shelves,
    Rates,
    Streams,
    Notices,
}

impl Worker {
    pub const ALL: [Worker; 13] = [
        Worker::Watch,
        Worker::Credit,
        Worker::Own,
        Worker::Supplier(0),
        Worker::Supplier(1),
        Worker::Payer(0),
        Worker::Payer(1),
        Worker::PlanMail,
        Worker::SendMail,
        Worker::Shelves,
        Worker::Rates,
        Worker::Streams,
        Worker::Notices,
    ];
}

impl Shop {
    /// A new shop on an empty database, with codes on the shelves and addresses in the pools.
    pub fn open(mut conn: Conn, outside: Outside) -> Result<Shop, DbError> {
        conn.migrate()?;
        let ids = Arc::new(CountedIds::default());
        let keys = format!("fingerprint {}\nkey 00000001 {}\n", "11".repeat(32), "22".repeat(32));
        let vault = Arc::new(Vault::new(Keyring::parse(&keys).expect("two keys"), ids));
        let market = market::market();
        let mut codes = Vec::new();
        for brand in ["Own", "Mixed"] {
            codes.extend((0..CODES).map(|number| own_code(&vault, &outside, &market::sku(brand), number)));
        }
        conn.tx(Access::Write, |tx| {
            fill_pools(tx, "")?;
            stock::add(tx, codes, crate::outside::START)
        })?;
        let networks = market
            .rails
            .networks
            .iter()
            .map(|network| -> Arc<dyn Network> { Arc::new(Node::new(outside.clone(), network)) });
        let suppliers =
            SUPPLIERS.iter().map(|name| -> Arc<dyn Supplier> { Arc::new(Shelf { outside: outside.clone(), name }) });
        let payers = PAYERS.iter().map(|network| -> Arc<dyn Payer> {
            Arc::new(Till { outside: outside.clone(), network: NetworkId::new(*network) })
        });
        let mut shop = Shop {
            database: Arc::new(Mutex::new(conn)),
            processes: Vec::new(),
            networks: networks.collect(),
            suppliers: suppliers.collect(),
            payers: payers.collect(),
            outside,
            vault,
            crashes: 0,
        };
        shop.start();
        Ok(shop)
    }

    fn start(&mut self) {
        self.outside.world().watch_database(&self.database);
        let told = self.read(head::last_seq);
        let process = |number: u32| {
            let shared = Arc::new(Shared::new(format!("process {number} of life {}", self.crashes), market::market()));
            let far = self.networks.iter().filter(|network| network.rhythm().is_some());
            far.for_each(|network| shared.board.expect(network.id().clone()));
            // Nobody has looked yet: at any time.
            shared.put_closed(&shared.board.closed(Time(0)));
            let clock = Arc::new(ShopClock(self.outside.clone()));
            let engine = Engine::held(self.database.clone(), shared, clock);
            let tail = Tail::new(engine.clone(), self.vault.clone(), Arc::new(settings()));
            Process { engine, put_off: credit::PutOff::default(), tail, told }
        };
        self.processes = vec![process(1), process(2)];
        // Chains on other machines are closed until somebody has looked, which is what their tasks begin with. What goes
        // wrong here goes wrong again at the next look, where it is noticed.
        for Process { engine, .. } in &self.processes {
            drop(watch_all(&self.outside, engine, &self.networks, engine.clock.now()));
        }
    }

    /// The process dies and starts again: memory is gone, and what was not committed.
    fn restart(mut self) -> Shop {
        self.processes.clear();
        self.crashes += 1;
        let database = Arc::try_unwrap(self.database).ok().expect("the processes are gone");
        let mut conn = database.into_inner().unwrap_or_else(PoisonError::into_inner);
        conn.roll_back_after_panic().expect("an open transaction can be rolled back");
        self.database = Arc::new(Mutex::new(conn));
        self.start();
        self
    }

    /// A copy of the database as it is now.
    pub fn back_up(&self) -> Conn {
        self.tamper(|conn| conn.copy_in_memory().expect("there is room for a copy"))
    }

    /// The database is lost; a copy is put back as `kiosk restore` does it, and the operator fills the pools.
    pub fn restore(mut self, copy: Conn) -> Shop {
        self.processes.clear();
        self.crashes += 1;
        let mut conn = copy;
        let shared = Shared::new(format!("restore {}", self.crashes), market::market());
        renew(&mut conn, &shared, self.now()).expect("a copy can be put back");
        conn.tx(Access::Write, |tx| fill_pools(tx, &format!("{}-", self.crashes))).expect("the pools can be filled");
        self.database = Arc::new(Mutex::new(conn));
        self.start();
        self
    }

    /// Does something that the process may die of; then the answer is none, and the shop has started again.
    fn survive<T>(self, work: impl FnOnce(&mut Shop) -> T) -> (Shop, Option<T>) {
        let mut shop = self;
        shop.outside.world().arm();
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut shop)));
        shop.outside.world().disarm();
        match done {
            Ok(done) => (shop, Some(done)),
            Err(payload) if payload.is::<Crash>() => (shop.restart(), None),
            Err(payload) => resume_unwind(payload),
        }
    }

    /// Commands of clients, decided in one batch by one of the processes.
    pub fn submit(self, process: usize, commands: Vec<Command>) -> (Shop, Option<Answers>) {
        self.survive(move |shop| {
            let process = &shop.processes[process % shop.processes.len()];
            let now = process.engine.clock.now();
            let answers = {
                let mut conn = shop.database.lock().expect("nobody died while holding it");
                commit_batch(&mut conn, &process.engine.shared, commands, now)
            };
            // Committed, and perhaps never answered.
            process.engine.clock.now();
            answers
        })
    }

    /// One call of one worker of one of the processes.
    pub fn work(self, process: usize, worker: Worker) -> (Shop, Option<Result<Ran, WorkerError>>) {
        self.survive(move |shop| shop.call(process, worker))
    }

    fn call(&mut self, process: usize, worker: Worker) -> Result<Ran, WorkerError> {
        let count = self.processes.len();
        let Process { engine, put_off, tail, told } = &mut self.processes[process % count];
        let now = engine.clock.now();
        let settings = MailSettings { public_url: "https://shop.example".to_owned(), codes_in_mail: false };
        match worker {
            Worker::Watch => watch_all(&self.outside, engine, &self.networks, now),
            Worker::Credit => at_once(credit::run_once(engine, put_off, now)),
            Worker::Own => at_once(advance::run_own(engine, now)),
            Worker::Supplier(at) => {
                at_once(advance::run_supplier(engine, &self.vault, self.suppliers[at].as_ref(), now))
            }
            Worker::Payer(at) => at_once(pay_out::run_once(engine, &self.vault, self.payers[at].as_ref(), now)),
            Worker::PlanMail => at_once(notify::plan_once(engine, now)),
            Worker::SendMail => {
                let office = PostOffice(self.outside.clone());
                at_once(notify::send_once(engine, &self.vault, &office, &settings, now))
            }
            Worker::Shelves => at_once(catalogue::run_once(engine)),
            Worker::Rates => {
                let rates = self.outside.world().rates();
                engine.shared.put_rates(Arc::new(rates));
                Ok(Ran::Idle)
            }
            Worker::Notices => {
                let poster = Arc::new(Merchants(self.outside.clone()));
                at_once(outbox::run_once(&ipn::Sender { engine: engine.clone(), vault: self.vault.clone(), poster }))
            }
            Worker::Streams => {
                let before = std::mem::replace(told, at_once(tail.follow(*told))?);
                Ok(if *told > before { Ran::Worked } else { Ran::Idle })
            }
        }
    }

    /// Opens a stream of an order at one of the processes, for a client that has a version already or none.
    pub fn subscribe(&self, process: usize, id: OrderId, known: i64) -> Option<Stream> {
        at_once(self.processes[process % self.processes.len()].tail.subscribe(id, known)).expect("the key opens it")
    }

    /// What is on sale, as the shop sees it.
    pub fn market(&self) -> Arc<Market> {
        self.processes[0].engine.shared.market()
    }

    /// The shop's own idea of the time.
    pub fn now(&self) -> Time {
        let world = self.outside.world();
        world.now + world.clock_off
    }

    /// The audit looks until nothing is left to be looked at; what it has found, as sentences.
    pub fn audit(&self) -> Result<Vec<String>, WorkerError> {
        let engine = &self.processes[0].engine;
        let now = engine.clock.now();
        while at_once(audit::run_once(engine, &self.networks, now))? == Ran::Worked {}
        let open = self.read(|tx| server::store::audit::open(tx, audit::SHOWN));
        Ok(open.into_iter().map(|finding| finding.sentence).collect())
    }

    /// Reads the database as the checks do.
    pub fn read<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, DbError>) -> T {
        let mut conn = self.database.lock().expect("nobody died while holding it");
        conn.tx(Access::Read, work).expect("the database can be read")
    }

    /// Does something to the database that no process does.
    pub fn tamper<T>(&self, work: impl FnOnce(&mut Conn) -> T) -> T {
        work(&mut self.database.lock().expect("nobody died while holding it"))
    }

    /// An order as its own answer would show it: its codes, by line.
    pub fn codes_of(&self, id: OrderId) -> Vec<Option<String>> {
        let vault = self.vault.clone();
        let opened = self.read(move |tx| Ok(vault.open(tx, id))).expect("the key opens it");
        let goods = opened.map(|opened| opened.goods).unwrap_or_default();
        goods.into_iter().map(|goods| goods.map(|goods| goods.pin_code)).collect()
    }
}

/// Looks at each chain by itself, as their tasks do: one that never answers, or whose find was not written down, keeps no
/// other from being looked at.
fn watch_all(outside: &Outside, engine: &Engine, networks: &[Arc<dyn Network>], now: Time) -> Result<Ran, WorkerError> {
    let (mut worked, mut failed) = (false, None);
    for network in networks {
        match poll_once(watch::run_once(engine, std::slice::from_ref(network), now)) {
            Poll::Ready(Ok(ran)) => worked |= ran == Ran::Worked,
            Poll::Ready(Err(error)) => failed = Some(error),
            Poll::Pending if outside.world().has_hung() => {}
            Poll::Pending => panic!("something waited: only a chain that hangs may"),
        }
    }
    failed.map_or(Ok(if worked { Ran::Worked } else { Ran::Idle }), Err)
}

fn fill_pools(tx: &mut Tx<'_>, mark: &str) -> Result<(), DbError> {
    for (kind, name) in [(ChainKind::Evm, "evm"), (ChainKind::Svm, "svm")] {
        let addresses: Vec<String> = (0..ADDRESSES).map(|at| format!("{name}-address-{mark}{at}")).collect();
        claims::add_addresses(tx, kind, &addresses)?;
    }
    Ok(())
}

fn own_code(vault: &Vault, outside: &Outside, sku: &Sku, number: usize) -> NewCode {
    let pin_code = format!("OWN-{:016x}", crate::outside::hash(&format!("{sku}/{number}")));
    outside.world().codes.insert(pin_code.clone());
    let goods = server::ports::Goods { pin_code, ..Default::default() };
    let sealed = vault.seal_goods(&goods);
    let fingerprint = vault.fingerprint_of_code(&goods);
    NewCode { id: sealed.code, sku: sku.clone(), sealed: sealed.sealed, fingerprint, expires_on: None }
}

/// A simulated crash is no news: only other panics are printed.
pub fn keep_quiet_about_crashes() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Crash>() {
            others(info);
        }
    }));
}

/// Several simulators may share a database.
fn scratch_schema() -> String {
    format!("kiosk_simulation_{}", std::process::id())
}

fn settings() -> HttpSettings {
    HttpSettings {
        public_url: "https://shop.example".to_owned(),
        logo_base: "https://shop.example/logos".to_owned(),
        product_type: "physical".to_owned(),
        delivery_word: "Succeeded".to_owned(),
        strict_partners: false,
        caps: Caps { unpaid_products_per_visitor: UNPAID_PRODUCTS },
        refunds: RefundPolicy::default(),
        sandbox: None,
    }
}

/// Where the shop of a run keeps its data. Each run begins with an empty database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// SQLite in memory.
    Memory,
    /// A schema of its own in the PostgreSQL database with that URL, deleted before each run.
    Postgres(String),
}

impl Database {
    /// Opens the connection that a run works on.
    pub fn open(&self) -> Result<Conn, DbError> {
        match self {
            Database::Memory => Conn::open(&Place::SqliteMemory),
            Database::Postgres(url) => Conn::open_scratch(url, &scratch_schema()),
        }
    }

    /// What repeats a run on it, on the command line.
    pub fn arguments(&self) -> String {
        match self {
            Database::Memory => String::new(),
            Database::Postgres(_) => " --postgres URL".to_owned(),
        }
    }

    /// Leaves nothing behind.
    pub fn clean_up(&self) -> Result<(), DbError> {
        match self {
            Database::Memory => Ok(()),
            Database::Postgres(url) => Conn::drop_scratch(url, &scratch_schema()),
        }
    }
}
