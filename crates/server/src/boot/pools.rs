//! The pools of deposit addresses: where new ones come from, and whose they are.
//!
//! An address that is shown to a payer must belong to the wallet of this installation. So what fills a pool is written down
//! in the transaction that fills it, and an installation whose pools came from elsewhere is not opened: the keys of a
//! sandbox's addresses were thrown away, and money that is sent there is lost.

use super::pool_keys;
use crate::config::Config;
use crate::engine::Engine;
use crate::ports::Ids;
use crate::store::{Access, Conn, DbError, claims, settings};
use crate::wallet::evm::EvmAccount;
use crate::wallet::solana::SolanaAddress;
use crate::wallet::{self, family_name};
use anyhow::{Context, bail};
use domain::asset::ChainKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Free addresses that a pool is kept at.
const POOL_TARGET: i64 = 3_000;
/// Derived in one go, so that the start does not wait for the whole pool.
const POOL_STEP: usize = 250;

/// The setting that says what filled the pools.
const ORIGIN: &str = "pool_origin";
/// The extended public key of a sandbox, whose private half nobody has.
const SANDBOX_XPUB: &str = "evm_xpub";

/// Where new addresses come from.
#[derive(Debug, Clone)]
enum Source {
    /// Keys that are thrown away as they are made.
    Sandbox,
    /// The operator's wallet. EVM addresses follow from its extended public key, where there is one; Solana's are made
    /// offline and imported.
    Wallet(Option<EvmAccount>),
}

impl Source {
    fn by(config: &Config) -> anyhow::Result<Source> {
        match config.sandbox.enabled {
            true => Ok(Source::Sandbox),
            false => Ok(Source::Wallet(config.evm_account()?)),
        }
    }

    /// What the EVM addresses of a real wallet are derived from.
    fn evm_key(&self) -> Option<String> {
        match self {
            Source::Sandbox => None,
            Source::Wallet(account) => account.as_ref().map(EvmAccount::key),
        }
    }

    /// The word in the database.
    fn word(&self) -> &'static str {
        match self {
            Source::Sandbox => "sandbox",
            Source::Wallet(_) => "wallet",
        }
    }
}

/// The pools of an installation.
#[derive(Clone)]
pub struct Pools {
    engine: Engine,
    ids: Arc<dyn Ids>,
    source: Source,
}

impl Pools {
    /// The pools of an installation whose origin was checked.
    pub fn new(engine: Engine, ids: Arc<dyn Ids>, config: &Config) -> anyhow::Result<Pools> {
        Ok(Pools { engine, ids, source: Source::by(config)? })
    }

    /// Whether addresses are made with keys that nobody keeps.
    pub fn is_sandbox(&self) -> bool {
        matches!(self.source, Source::Sandbox)
    }

    /// The key of a real wallet's EVM addresses, as [`pool_keys`] writes it down.
    pub fn evm_key(&self) -> Option<String> {
        self.source.evm_key()
    }

    /// The families of which addresses can be made here.
    pub fn derived_here(&self) -> Vec<ChainKind> {
        match &self.source {
            Source::Sandbox => vec![ChainKind::Svm, ChainKind::Evm],
            Source::Wallet(Some(_)) => vec![ChainKind::Evm],
            Source::Wallet(None) => Vec::new(),
        }
    }

    /// The key that EVM addresses are derived from, if there is one. A sandbox makes one when it is first asked for.
    pub async fn evm_account(&self) -> anyhow::Result<Option<EvmAccount>> {
        match &self.source {
            Source::Wallet(account) => Ok(account.clone()),
            Source::Sandbox => Ok(Some(EvmAccount::of_sandbox(&self.sandbox_xpub().await?)?)),
        }
    }

    /// Appends `count` new addresses to a pool. Of two processes that derive the same children at once one fails, and keeps
    /// nothing of this call.
    ///
    /// # Errors
    /// Addresses of this family cannot be made here; the text says what to do instead.
    pub async fn add(&self, kind: ChainKind, count: usize) -> anyhow::Result<()> {
        let addresses = match (kind, &self.source) {
            (ChainKind::Evm, _) => {
                let account = self.evm_account().await?.context(
                    "EVM addresses follow from an extended public key, and the configuration has no wallet.evm_xpub: \
                     `kiosk wallet new`, run on a machine without a network, shows one",
                )?;
                let next = self.engine.db.read(move |tx| claims::next_index(tx, kind)).await?;
                account.addresses(next, count)?
            }
            (ChainKind::Svm, Source::Sandbox) => {
                (0..count).map(|_| wallet::throwaway_solana_address(self.ids.key())).collect()
            }
            (ChainKind::Svm, Source::Wallet(_)) => bail!(
                "Solana addresses follow from private keys alone. Make a file of them on a machine without a network \
                 (`kiosk wallet new` or `kiosk wallet derive` with --solana), then: kiosk wallet pool import FILE"
            ),
        };
        let (origin, key) = (self.source.word(), self.source.evm_key().filter(|_| kind == ChainKind::Evm));
        let added = self.engine.write(move |tx| {
            if let Some(key) = &key
                && !pool_keys::note(tx, key)?
            {
                return Ok(false);
            }
            settings::set(tx, ORIGIN, origin)?;
            claims::add_addresses(tx, kind, &addresses)?;
            Ok(true)
        });
        match added.await? {
            true => Ok(()),
            false => bail!(
                "another process fills the pool from another extended public key. Stop it; all of them must have the same \
                 wallet.evm_xpub"
            ),
        }
    }

    /// Appends those of a wallet's Solana addresses that the pool does not hold yet; answers how many.
    ///
    /// # Errors
    /// This is a sandbox.
    pub async fn import(&self, addresses: &[SolanaAddress]) -> anyhow::Result<usize> {
        if self.is_sandbox() {
            bail!("this is a sandbox: a wallet's addresses must not be handed out for simulated money");
        }
        let (origin, addresses) = (self.source.word(), addresses.iter().map(ToString::to_string).collect::<Vec<_>>());
        let added = self.engine.write(move |tx| {
            settings::set(tx, ORIGIN, origin)?;
            claims::add_unknown_addresses(tx, ChainKind::Svm, addresses)
        });
        Ok(added.await?)
    }

    /// Adds up to `count` addresses to each pool that has fewer than its target and can be filled here; answers whether
    /// more are wanted.
    async fn fill(&self, count: usize, target: i64) -> anyhow::Result<bool> {
        let mut more = false;
        for kind in self.derived_here() {
            let free = self.engine.db.read(move |tx| claims::free_up_to(tx, kind, target)).await?;
            if free >= target {
                continue;
            }
            self.add(kind, count).await?;
            more |= free + (count as i64) < target;
        }
        Ok(more)
    }

    /// Keeps the pools filled while the server runs, as far as they can be filled here.
    pub async fn keep_filled(self, mut stop: watch::Receiver<bool>) {
        while !self.derived_here().is_empty() && !*stop.borrow() {
            match self.fill(POOL_STEP, POOL_TARGET).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %format!("{error:#}"), "address pools not filled"),
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Enough addresses for the first orders.
    pub async fn fill_for_start(&self) -> anyhow::Result<()> {
        self.fill(POOL_STEP, POOL_STEP as i64).await.map(|_| ())
    }

    async fn sandbox_xpub(&self) -> anyhow::Result<String> {
        if let Some(known) = self.engine.db.read(|tx| settings::get(tx, SANDBOX_XPUB)).await? {
            return Ok(known);
        }
        let made = wallet::throwaway_xpub(self.ids.key())?;
        let kept = made.clone();
        self.engine.write(move |tx| settings::set(tx, SANDBOX_XPUB, &kept)).await?;
        Ok(made)
    }
}

/// Refuses a database whose addresses are not this configuration's.
///
/// # Errors
/// A sandbox filled the pools of a real shop or the reverse, free EVM addresses are not those of `wallet.evm_xpub`, or the
/// pool was filled from another key.
pub fn check_origin(conn: &mut Conn, config: &Config) -> anyhow::Result<()> {
    let source = Source::by(config)?;
    let read = conn.tx(Access::Read, |tx| {
        let origin = match settings::get(tx, ORIGIN)? {
            Some(origin) => Some(origin),
            // Pools that were filled before their origin was written down are a sandbox's: there were no others.
            None => settings::get(tx, SANDBOX_XPUB)?.map(|_| Source::Sandbox.word().to_owned()),
        };
        Ok::<_, DbError>((origin, claims::ends_of_pool(tx, ChainKind::Evm)?, pool_keys::current(tx)?))
    });
    let (origin, ends, known) = read?;
    match (&source, origin.as_deref()) {
        (Source::Wallet(_), Some("sandbox")) => bail!(
            "a sandbox filled the pools of this database, with addresses whose keys nobody has: money that is sent there is \
             lost. Start the real shop in an empty data directory, or name the configuration of the sandbox with --config"
        ),
        (Source::Sandbox, Some("wallet")) => bail!(
            "the pools of this database belong to a real wallet, and a sandbox would hand its addresses out for simulated \
             money. Name the shop's own configuration with --config, or give the sandbox a data directory of its own"
        ),
        _ => {}
    }
    let Source::Wallet(Some(account)) = source else {
        return Ok(());
    };
    for (index, address) in ends {
        if account.address(index)? != address {
            bail!(
                "wallet.evm_xpub ({}) is not the key that the pool was made with: {} address {index} differs. Money sent to \
                 the free addresses would reach another wallet. Put the earlier key back; to change wallets, run `kiosk \
                 wallet pool retire --family evm` with it first",
                account.name(),
                family_name(ChainKind::Evm),
            );
        }
    }
    // Where no address is free none can differ, and the next ones would be another wallet's.
    if known.is_some_and(|known| known != account.key()) {
        bail!(
            "wallet.evm_xpub ({}) is not the key that the pool was made with. A mistyped or foreign key would send the money \
             of all new orders to another wallet. Put the earlier key back; to change wallets, run `kiosk wallet pool retire \
             --family evm` with it first",
            account.name(),
        );
    }
    Ok(())
}
