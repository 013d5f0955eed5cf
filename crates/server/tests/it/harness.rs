//! A whole shop in the test's own process: real doors on a port of their own, real engine and database, the sandbox
//! outside; but the clock stands still until the test moves it, and workers run only when the test calls them.

use api::{Client, Identity};
use domain::time::{Span, Time};
use server::boot::{self, Kiosk};
use server::config::Config;
use server::ports::Clock;
use server::store::fsck;
use server::workers::driver::Outside;
use server::workers::{Ran, advance, catalogue, credit, exchange, ipn, letters, notify};
use server::workers::{outbox, pay_out, strays, watch, webhooks};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

/// 2026-11-20T11:35:00Z.
pub const START: Time = Time(1_795_174_500_000);

/// A clock that the test moves.
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

impl TestClock {
    pub fn starting_at(time: Time) -> Arc<TestClock> {
        Arc::new(TestClock(AtomicI64::new(time.0)))
    }

    pub fn advance(&self, span: Span) {
        self.0.fetch_add(span.0, Ordering::SeqCst);
    }
}

/// A folder that is deleted with this value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("kiosk-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            assert!(std::thread::panicking() || !self.0.exists(), "the folder stays: {error}");
        }
    }
}

/// The shop.
pub struct Shop {
    pub kiosk: Kiosk,
    pub outside: Outside,
    pub clock: Arc<TestClock>,
    pub client: Client,
    pub url: String,
    pub config: Config,
    put_off: credit::PutOff,
    stop: signal::Sender<bool>,
    running: Option<boot::Running>,
    pub folder: Folder,
}

/// The demo's settings in a folder of its own, on a free port.
pub fn config(folder: &Folder, more: &str) -> Config {
    // A test may name a cap of its own.
    let cap = if more.contains("unpaid_products_per_visitor") { "" } else { "unpaid_products_per_visitor = 5000\n" };
    let text = format!(
        "[sandbox]\nenabled = true\n[callbacks]\nallow = [\"127.0.0.0/8\"]\n[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://shop.test\"\n\
         calls_per_second = 10000\ncalls_burst = 10000\n{cap}{more}"
    );
    let mut config = Config::parse(&text, std::iter::empty()).expect("the test's configuration");
    config.server.data_dir = folder.0.join("data");
    config
}

impl Shop {
    /// Opens a demo shop with its catalogue, codes and addresses.
    pub async fn open() -> Shop {
        Shop::open_with("").await
    }

    /// The same with more settings (TOML that follows `[server]`).
    pub async fn open_with(more: &str) -> Shop {
        let folder = Folder::new();
        let config = config(&folder, more);
        let (kiosk, clock) = stocked(&config, START).await;
        boot::open_demo_office(&kiosk).await.expect("the demo's exchange office");
        Shop::start(folder, config, kiosk, clock).await
    }

    /// The demo's shelves on networks of another configuration, whose data lies in the folder.
    pub async fn open_at(folder: Folder, config: Config, time: Time) -> Shop {
        let (kiosk, clock) = stocked(&config, time).await;
        Shop::start(folder, config, kiosk, clock).await
    }

    async fn start(folder: Folder, config: Config, kiosk: Kiosk, clock: Arc<TestClock>) -> Shop {
        let outside = boot::outside(&config, &kiosk).expect("adapters");
        let (stop, stopping) = signal::channel(false);
        let running = boot::start_doors(&config, &kiosk, &outside, JoinSet::new(), stopping).await.expect("doors");
        let url = format!("http://{}", running.address);
        let client = client(&url, None);
        let put_off = credit::PutOff::default();
        Shop { kiosk, outside, clock, client, url, config, put_off, stop, running: Some(running), folder }
    }

    /// Runs every worker until none finds anything to do. More than a few hundred rounds means that one never ends.
    pub async fn pump(&mut self) {
        for _ in 0..500 {
            if self.pump_once().await == Ran::Idle {
                return;
            }
        }
        panic!("the workers never come to rest");
    }

    async fn pump_once(&mut self) -> Ran {
        let (engine, vault) = (&self.kiosk.engine, &self.kiosk.vault);
        let now = self.clock.now();
        let mut ran = vec![
            watch::run_once(engine, &self.outside.networks, now).await.expect("watch"),
            credit::run_once(engine, &mut self.put_off, now).await.expect("credit"),
            advance::run_own(engine, now).await.expect("advance"),
        ];
        for supplier in &self.outside.suppliers {
            ran.push(advance::run_supplier(engine, vault, supplier.as_ref(), now).await.expect("supplier"));
        }
        for payer in &self.outside.payers {
            ran.push(pay_out::run_once(engine, vault, payer.as_ref(), now).await.expect("payouts"));
        }
        for network in &self.outside.networks {
            ran.push(strays::run_once(engine, network.as_ref(), now).await.expect("strays"));
        }
        let (engine, vault, poster) = (engine.clone(), vault.clone(), self.outside.poster.clone());
        let hooks = webhooks::Sender::new(engine.clone(), vault.clone(), poster.clone());
        ran.push(outbox::run_once(&ipn::Sender { engine, vault, poster }).await.expect("notifications"));
        ran.push(outbox::run_once(&hooks).await.expect("webhooks"));
        let (engine, vault) = (&self.kiosk.engine, &self.kiosk.vault);
        ran.push(notify::plan_once(engine, now).await.expect("mail is planned"));
        let mailer = self.outside.mailer.as_ref();
        ran.push(notify::send_once(engine, vault, mailer, &self.outside.mail, now).await.expect("mail is sent"));
        let sent = letters::send_once(engine, vault, mailer, &self.outside.mail, now).await;
        ran.push(sent.expect("mail about accounts is sent"));
        catalogue::run_once(engine).await.expect("the catalogue");
        exchange::run_once(engine).await.expect("the exchange file");
        if ran.contains(&Ran::Worked) { Ran::Worked } else { Ran::Idle }
    }

    /// Moves the clock, then lets everybody work.
    pub async fn after(&mut self, span: Span) {
        self.clock.advance(span);
        self.pump().await;
    }

    /// Everything that `kiosk fsck` would find.
    pub async fn check(&self) {
        let findings = self.kiosk.engine.db.read(fsck::check).await.expect("a check");
        assert_eq!(findings.wrong, Vec::<String>::new());
    }

    /// Ends the shop; what it found must hold together.
    pub async fn close(mut self) {
        self.check().await;
        self.stop.send_replace(true);
        self.running.take().expect("it runs").ended().await.expect("a clean end");
    }
}

async fn stocked(config: &Config, time: Time) -> (Kiosk, Arc<TestClock>) {
    let clock = TestClock::starting_at(time);
    let ids = Arc::new(server::clock::SystemIds);
    let kiosk = boot::open_with(config, clock.clone(), ids).await.expect("an installation");
    boot::stock_demo(&kiosk).await.expect("the demo's stock");
    (kiosk, clock)
}

fn client(url: &str, bearer: Option<String>) -> Client {
    let identity = Identity { application: Some("demo-partner".into()), version: Some("1".into()), bearer };
    Client::new(url, identity).expect("a client")
}
