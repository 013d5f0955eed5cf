//! The real engine, store and workers in a world of our own: one thread, one held database in memory, a clock and ids
//! that repeat. The same world gives the same bytes each time.
//!
//! Must never read a clock or draw randomness, and never wait: every port is ready at once.

use domain::catalog::Catalogue;
use domain::decide::{Caps, Command, Place};
use domain::event::Origin;
use domain::ids::{NetworkId, OrderId};
use domain::order::Order;
use domain::time::{Span, Time};
use domain::validate::{Basket, BasketLine, Market};
use server::adapters::sandbox::{Books, SandboxNetwork, SandboxSupplier};
use server::config::Config;
use server::engine::{Engine, Lane, Shared, SubmitError, read_order};
use server::ports::{Clock, Ids, Network};
use server::sandbox_desk::{self, Payment};
use server::seal::Keyring;
use server::store::{Conn, Place as Database, claims, fsck};
use server::vault::{Personal, Vault};
use server::workers::{Ran, advance, credit, watch};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Polls once. A port or a step that is not ready at once is a failure of the simulation.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("something waited: in the simulator every port is ready at once"),
    }
}

/// A clock that only the world moves.
struct VirtualClock(AtomicI64);

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

/// Ids that count: unique, and the same in every run.
struct CountedIds(AtomicU64);

impl CountedIds {
    fn fill<const N: usize>(&self) -> [u8; N] {
        let number = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
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

/// One shop with its simulated outside.
pub struct World {
    pub engine: Engine,
    books: Arc<Books>,
    vault: Arc<Vault>,
    clock: Arc<VirtualClock>,
    ids: Arc<CountedIds>,
    networks: Vec<Arc<dyn Network>>,
    supplier: SandboxSupplier,
    put_off: Mutex<credit::PutOff>,
    orders: Cell<u32>,
}

/// Where every world begins: 2026-01-01T00:00:00Z.
const START: Time = Time(1_767_225_600_000);

/// Deposit addresses of a world.
const ADDRESSES: usize = 100;

impl World {
    /// A world whose shop sells `catalogue`.
    pub fn new(catalogue: Catalogue) -> World {
        let settings = "[sandbox]\nenabled = true\n";
        let config = Config::parse(settings, std::iter::empty()).expect("settings");
        let base = server::boot::market(&config).expect("a market");
        let market = Market { catalogue: Arc::new(catalogue), ..base };
        let clock = Arc::new(VirtualClock(AtomicI64::new(START.0)));
        let ids = Arc::new(CountedIds(AtomicU64::new(1)));
        let mut conn = Conn::open(&Database::SqliteMemory).expect("SQLite in memory");
        conn.migrate().expect("the schema");
        let books = Arc::new(Books::in_memory().expect("books in memory"));
        let ids_of_networks: Vec<NetworkId> = market.rails.networks.iter().map(|network| network.id.clone()).collect();
        let networks = ids_of_networks
            .into_iter()
            .map(|id| -> Arc<dyn Network> { Arc::new(SandboxNetwork { books: books.clone(), id }) });
        let networks = networks.collect();
        let patience = domain::fulfil::Patience {
            call_timeout: Span::seconds(10),
            settle: Span(0),
            lookup_every: Span::seconds(1),
            unknown_limit: Span::seconds(10),
        };
        let supplier = SandboxSupplier { books: books.clone(), patience, ids: ids.clone() };
        let shared = Arc::new(Shared::new("world".to_owned(), market));
        let engine = Engine::held(conn, shared, clock.clone());
        let keys = format!("fingerprint {}\nkey 00000001 {}\n", "11".repeat(32), "22".repeat(32));
        let vault = Arc::new(Vault::new(Keyring::parse(&keys).expect("keys"), ids.clone()));
        let (put_off, orders) = (Mutex::default(), Cell::new(0));
        let world = World { engine, books, vault, clock, ids, networks, supplier, put_off, orders };
        world.make_addresses();
        world
    }

    fn make_addresses(&self) {
        use domain::asset::ChainKind::{Evm, Svm};
        for (kind, name) in [(Evm, "evm"), (Svm, "svm")] {
            let addresses: Vec<String> = (0..ADDRESSES).map(|at| format!("{name}-address-{at}")).collect();
            at_once(self.engine.write(move |tx| claims::add_addresses(tx, kind, &addresses))).expect("addresses");
        }
    }

    /// Orders one line, to be paid in USDC on Solana.
    pub fn place(&self, line: BasketLine) -> Result<Arc<Order>, SubmitError> {
        let id = OrderId::new(self.vault.new_uuid());
        let beneficiary = line.beneficiary.clone().unwrap_or_default();
        let personal = Personal { beneficiaries: vec![beneficiary], ..Personal::default() };
        self.orders.set(self.orders.get() + 1);
        let basket = Basket {
            lines: vec![line],
            payment_via: "USER_WALLET".to_owned(),
            coin: "USDC".to_owned(),
            network: Some("Solana".to_owned()),
            promo_code: None,
            customer: None,
            buyer_email: None,
            buyer_key: format!("buyer {}", self.orders.get()),
            partner: None,
            language: "en".to_owned(),
        };
        let place = Place {
            id,
            basket,
            origin: Origin { language: "en".to_owned(), ..Origin::default() },
            market: self.engine.shared.market(),
            personal: self.vault.seal_personal(id, &personal),
            idempotency: None,
            visitor: "visitor".to_owned(),
            caps: Caps { unpaid_per_visitor: 1_000 },
        };
        at_once(self.engine.submit(Lane::Client, Command::Place(Box::new(place))))
    }

    /// Pays an order on its simulated chain.
    pub fn pay(&self, order: OrderId, payment: &Payment) {
        at_once(sandbox_desk::pay(&self.engine, self.books.as_ref(), order, payment)).expect("a payment");
    }

    /// Moves the clock, then lets the workers run until none finds anything to do.
    pub fn after(&self, span: Span) {
        self.clock.0.fetch_add(span.0, Ordering::SeqCst);
        for _ in 0..1_000 {
            if self.run_workers() == Ran::Idle {
                return;
            }
        }
        panic!("the workers never come to rest");
    }

    fn run_workers(&self) -> Ran {
        let now = self.clock.now();
        let mut put_off = self.put_off.lock().expect("one thread");
        let ran = [
            at_once(watch::run_once(&self.engine, &self.networks, now)).expect("watch"),
            at_once(credit::run_once(&self.engine, &mut put_off, now)).expect("credit"),
            at_once(advance::run_own(&self.engine, now)).expect("advance"),
            at_once(advance::run_supplier(&self.engine, &self.vault, &self.supplier, now)).expect("supplier"),
        ];
        if ran.contains(&Ran::Worked) { Ran::Worked } else { Ran::Idle }
    }

    /// The order as its row stands.
    pub fn order(&self, id: OrderId) -> Order {
        at_once(read_order(&self.engine.db, id)).expect("the database").expect("the order")
    }

    /// Every finding of the database's own check.
    pub fn findings(&self) -> Vec<String> {
        at_once(self.engine.db.read(fsck::check)).expect("a check").wrong
    }

    /// How many ids were drawn so far; part of what must repeat.
    pub fn ids_drawn(&self) -> u64 {
        self.ids.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests;
