//! Puts the parts together: settings, keys, database, engine, adapters, workers and doors. The only place that names all
//! of them; nothing calls it but the command line and tests.

mod demo;
pub mod gone;
mod networks;
mod office;
pub mod pool_keys;
mod pools;
mod rails;

use crate::adapters::mail::{FolderSender, SmtpSender};
use crate::adapters::safe_http::SafeHttp;
use crate::adapters::sandbox::{Books, SandboxNetwork, SandboxPayer, SandboxSupplier};
use crate::clock::{SystemClock, SystemIds};
use crate::config::Config;
use crate::engine::{Engine, Shared};
use crate::http::exchange_api::caller::Seen;
use crate::http::exchange_api::gate::Gate;
use crate::http::exchange_api::shelf::Shelf;
use crate::http::exchange_api::socket::Board;
use crate::http::visitors::{Guesses, RateLimit};
use crate::http::{App, HttpSettings, Reads, Sandbox, auth, metrics, store_api, stream};
use crate::ports::{Clock, Ids, Mailer, Network, Payer, Poster, Supplier};
use crate::seal::Keyring;
use crate::store::accounts::{self, Role};
use crate::store::{Access, Conn, settings};
use crate::vault::Vault;
use crate::workers::driver::{self, Outside};
use crate::workers::{self, notify::MailSettings};
use anyhow::{Context, bail};
use domain::decide::Caps;
use domain::fulfil::Patience;
use domain::refund::RefundPolicy;
use domain::time::Span;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

pub use demo::{DEMO_PARTNER, import_catalogue, is_new, new_code, open_demo_office, stock_demo};
pub use office::{DEMO_EXCHANGE, import_exchange};
pub use pools::{Pools, check_origin};
pub use rails::{first_rates, market, rate_sources};

/// How long a supplier's call may take, and how long it may be taken in after that.
const CALL_TIMEOUT: Span = Span::seconds(10);

/// Wrong secrets of one order that one visitor may try.
const WRONG_SECRETS: RateLimit = RateLimit { per_second: 1, burst: 20 };

/// An installation, open: for the server and for every command that works on its data.
pub struct Kiosk {
    pub engine: Engine,
    pub vault: Arc<Vault>,
    pub ids: Arc<dyn Ids>,
    /// Deposit addresses.
    pub pools: Pools,
    /// The house's rules for money back.
    pub refunds: RefundPolicy,
    /// The simulated chains and suppliers, where they are enabled.
    pub books: Option<Arc<Books>>,
}

/// Opens an installation with the real clock and real ids.
pub async fn open(config: &Config) -> anyhow::Result<Kiosk> {
    open_with(config, Arc::new(SystemClock), Arc::new(SystemIds)).await
}

/// Opens the data directory and the database, makes both if they are missing, and checks that the key fits.
pub async fn open_with(config: &Config, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> anyhow::Result<Kiosk> {
    let data_dir = &config.server.data_dir;
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
    let ring = keys(&config.secret_key_file(), ids.as_ref())?;
    let place = config.database()?;
    let process = crate::entropy::to_hex(&ids.bytes());
    let shared = Arc::new(Shared::new(process, rails::market(config)?));
    // The clients of both databases block; inside the runtime PostgreSQL's would panic.
    let opening = || -> anyhow::Result<Engine> {
        let mut conn = Conn::open(&place).context("cannot open the database")?;
        conn.migrate().context("cannot bring the database up to date")?;
        check_key(&mut conn, &ring)?;
        pools::check_origin(&mut conn, config)?;
        drop(conn);
        Engine::start(&place, shared, clock).context("cannot start the engine")
    };
    let opened = std::thread::scope(|scope| scope.spawn(opening).join());
    let engine = opened.map_err(|_| anyhow::anyhow!("opening the database failed; the message above says where"))??;
    let vault = Arc::new(Vault::new(ring, ids.clone()).with_key_file(config.secret_key_file()));
    let books = match config.sandbox.enabled {
        true => Some(Arc::new(Books::open(&data_dir.join("sandbox.db")).context("cannot open the sandbox's books")?)),
        false => None,
    };
    let pools = Pools::new(engine.clone(), ids.clone(), config)?;
    let refunds = RefundPolicy { four_eyes_above_usd: config.refunds.four_eyes_above.into() };
    let kiosk = Kiosk { engine, vault, ids, pools, refunds, books };
    workers::catalogue::run_once(&kiosk.engine).await.context("cannot load the catalogue")?;
    // A file that fits no more (a network is gone from the configuration) closes the office and nothing else: it must be
    // possible to import another.
    if let Err(error) = workers::exchange::run_once(&kiosk.engine).await {
        tracing::error!(error = %format!("{:#}", anyhow::Error::from(error)), "the exchange office stays closed");
    }
    Ok(kiosk)
}

fn keys(path: &Path, ids: &dyn Ids) -> anyhow::Result<Keyring> {
    let ring = match path.exists() {
        true => Keyring::load(path),
        false => Keyring::create(path, ids.key(), ids.key()),
    };
    ring.with_context(|| format!("cannot use the sealing keys in {}", path.display()))
}

/// A database that was sealed with other keys is left alone.
fn check_key(conn: &mut Conn, ring: &Keyring) -> anyhow::Result<()> {
    const NAME: &str = "key_check";
    let mine = ring.key_check();
    let known = conn.tx(Access::Write, |tx| {
        let known = settings::get(tx, NAME)?;
        if known.is_none() {
            settings::set(tx, NAME, &mine)?;
        }
        Ok::<_, crate::store::DbError>(known)
    })?;
    if known.is_some_and(|known| known != mine) {
        bail!("this database was sealed with other keys: put the secret.key back that belongs to it");
    }
    Ok(())
}

/// What the workers reach outside, by configuration.
pub fn outside(config: &Config, kiosk: &Kiosk) -> anyhow::Result<Outside> {
    let market = kiosk.engine.shared.market();
    let (mut networks, mut suppliers) = (Vec::<Arc<dyn Network>>::new(), Vec::<Arc<dyn Supplier>>::new());
    let mut payers = Vec::<Arc<dyn Payer>>::new();
    if let Some(books) = &kiosk.books {
        // Suspended networks too: money that is on its way there must be seen.
        for network in &market.rails.networks {
            networks.push(Arc::new(SandboxNetwork { books: books.clone(), id: network.id.clone() }));
        }
        let patience = Patience {
            call_timeout: CALL_TIMEOUT,
            settle: Span(0),
            lookup_every: Span::seconds(config.sandbox.lookup_seconds),
            unknown_limit: Span::seconds(config.sandbox.unknown_limit_seconds),
        };
        for network in &market.rails.networks {
            let (books, network, clock) = (books.clone(), network.id.clone(), kiosk.engine.clock.clone());
            payers.push(Arc::new(SandboxPayer { books, network, patience, clock }));
        }
        suppliers.push(Arc::new(SandboxSupplier { books: books.clone(), patience, ids: kiosk.ids.clone() }));
    }
    for network in networks::adapters(config)? {
        // Closed until it is scanned for the first time: nobody is to pay where nobody looks.
        kiosk.engine.shared.board.expect(network.id().clone());
        networks.push(network);
    }
    workers::watch::close_late(&kiosk.engine, kiosk.engine.clock.now());
    let mailer: Arc<dyn Mailer> = match config.smtp()? {
        Some(settings) => Arc::new(SmtpSender::new(settings).context("[mail] cannot be used")?),
        None => Arc::new(FolderSender::new(config.server.data_dir.join("mail"))),
    };
    let codes_in_mail = config.mail.codes_in_mail;
    if codes_in_mail && config.mail.host.is_none() {
        bail!("mail.codes_in_mail needs mail.host: a folder is no place for codes");
    }
    let mail = MailSettings { public_url: config.public_url(), codes_in_mail };
    let poster = SafeHttp::new(config.callbacks.allow.clone()).context("notifications cannot be sent")?;
    let poster: Arc<dyn Poster> = Arc::new(poster);
    Ok(Outside { networks, suppliers, payers, poster, mailer, mail, bell: Arc::new(Notify::new()) })
}

/// A server that runs: until `stop` turns true, then to the end of what is under way.
pub struct Running {
    pub address: std::net::SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Waits for the end.
    pub async fn ended(self) -> anyhow::Result<()> {
        self.server.await.context("the server ended badly")
    }
}

/// Starts doors and workers; answers as soon as requests are taken.
pub async fn start(config: &Config, kiosk: Kiosk, stop: watch::Receiver<bool>) -> anyhow::Result<Running> {
    let outside = outside(config, &kiosk)?;
    let (sources, looks) = rails::first_rates(config, &kiosk.engine).await?;
    let mut workers = driver::start(&kiosk.engine, &kiosk.vault, &outside, stop.clone());
    workers.spawn(kiosk.pools.clone().keep_filled(stop.clone()));
    workers.spawn(rails::keep_rates(kiosk.engine.clone(), sources, looks, stop.clone()));
    open_doors(config, &kiosk, &outside, workers, stop).await
}

/// Starts the doors, and ends `workers` with them; for tests that call the workers themselves the set is empty.
pub async fn start_doors(
    config: &Config,
    kiosk: &Kiosk,
    outside: &Outside,
    workers: JoinSet<()>,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<Running> {
    rails::first_rates(config, &kiosk.engine).await?;
    open_doors(config, kiosk, outside, workers, stop).await
}

async fn open_doors(
    config: &Config,
    kiosk: &Kiosk,
    outside: &Outside,
    mut workers: JoinSet<()>,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<Running> {
    let listener = crate::http::serve::listen(&config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}; is another kiosk running there?", config.server.listen))?;
    let address = listener.local_addr()?;
    let app = app(config, kiosk, outside).await?;
    let (tail, tail_stop) = (app.tail.clone(), stop.clone());
    workers.spawn(async move { tail.run(tail_stop).await });
    let (board, board_stop) = (app.board.clone(), stop.clone());
    workers.spawn(async move { board.run(board_stop).await });
    workers.spawn(keep_partners_known(app.clone(), stop.clone()));
    let router = crate::http::router(app);
    let engine = kiosk.engine.clone();
    let server = tokio::spawn(async move {
        crate::http::serve::run(listener, router, stop).await;
        while workers.join_next().await.is_some() {}
        engine.close();
    });
    Ok(Running { address, server })
}

async fn app(config: &Config, kiosk: &Kiosk, outside: &Outside) -> anyhow::Result<App> {
    let public_url = config.public_url();
    let sandbox = kiosk.books.as_ref().map(|books| Sandbox { chain: books.clone(), bell: outside.bell.clone() });
    let settings = HttpSettings {
        logo_base: config.server.logo_base.clone().unwrap_or_else(|| format!("{public_url}/logos")),
        public_url,
        product_type: config.server.product_type.clone(),
        delivery_word: config.server.delivery_word.clone(),
        strict_partners: config.server.strict_partners,
        caps: Caps { unpaid_products_per_visitor: config.server.unpaid_products_per_visitor },
        refunds: kiosk.refunds,
        sandbox,
    };
    let reads = Reads {
        answers: store_api::answers::Answers::default(),
        logos: store_api::reads::LogoCache::default(),
        metrics: metrics::Metrics::default(),
        limiter: auth::Limiter::new(
            config.rate_limit(),
            config.partner_rate_limit(),
            config.server.trust_proxies.clone(),
        ),
        guesses: Guesses::new(WRONG_SECRETS),
        shelf: Shelf::default(),
        signed: Seen::new(config.server.strict_call_time),
        gate: Gate::default(),
    };
    let (engine, vault, settings) = (kiosk.engine.clone(), kiosk.vault.clone(), Arc::new(settings));
    let tail = Arc::new(stream::Tail::new(engine.clone(), vault.clone(), settings.clone()));
    let board = Arc::new(Board::new(engine.clone(), vault.clone()));
    let app = App { engine, vault, settings, reads: Arc::new(reads), tail, board };
    know_partners(&app).await?;
    Ok(app)
}

async fn know_partners(app: &App) -> anyhow::Result<()> {
    let partners = app.engine.db.read(|tx| accounts::of_role(tx, Role::Partner)).await?;
    app.reads.limiter.set_partners(&partners, app.engine.clock.now());
    Ok(())
}

/// A partner added by the command line is known within seconds.
async fn keep_partners_known(app: App, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(error) = know_partners(&app).await {
            tracing::warn!(error = %format!("{error:#}"), "partners not read");
        }
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_secs(2)) => {}
            _ = stop.changed() => {}
        }
    }
}
