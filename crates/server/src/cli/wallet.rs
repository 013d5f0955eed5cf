//! `kiosk wallet`: the operator's wallet, and the pools of deposit addresses that belong to it.
//!
//! `new` and `derive` hold private keys and are for a machine without a network: they open no installation and no
//! connection, and refuse to run beside a server (`cold`). All other commands must never hold or print a spending key.
//! Called by the command line.

// For the offline machine.
pub mod cold;

// For the server's.
pub mod import;
pub mod listing;

use super::Installation;
use crate::boot::{Kiosk, pool_keys};
use crate::store::claims::{self, PoolCounts};
use crate::wallet::family_name;
use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use domain::asset::ChainKind;
use std::path::PathBuf;
use std::process::ExitCode;

/// Addresses that are derived and written in one go.
const CHUNK: usize = 1_000;

/// Fewer free addresses than this, where the server cannot make more by itself, are few.
const FEW: i64 = 1_000;

/// The families in the order in which they are shown.
const FAMILIES: [ChainKind; 2] = [ChainKind::Evm, ChainKind::Svm];

#[derive(Subcommand)]
pub enum WalletCommand {
    /// Make a wallet: prints its mnemonic, and what the server needs of it. For a machine without a network.
    New(cold::NewArgs),
    /// The same, but from a mnemonic that you have: shows the public key again, makes more Solana addresses.
    Derive(cold::DeriveArgs),
    /// Show deposit addresses of EVM chains, for comparison with a hardware wallet; with --check, check the pools.
    Addresses(listing::AddressesArgs),
    /// Deposit addresses that wait for their order.
    #[command(subcommand)]
    Pool(PoolCommand),
}

#[derive(Subcommand)]
pub enum PoolCommand {
    /// Add addresses now.
    Make {
        /// How many, of each family.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        count: u32,
        /// Only this family; without it all that can be made here.
        #[arg(long)]
        family: Option<Family>,
        #[command(flatten)]
        installation: Installation,
    },
    /// Add Solana addresses that were made offline, from a file with one on each line. Any mistake in it, and none is added.
    Import {
        file: PathBuf,
        #[command(flatten)]
        installation: Installation,
    },
    /// Show how many addresses are free.
    Status {
        #[command(flatten)]
        installation: Installation,
    },
    /// Never give out the addresses that are free now: before another wallet takes over. Those of orders stay watched.
    Retire {
        #[arg(long)]
        family: Family,
        #[command(flatten)]
        installation: Installation,
    },
}

/// Which networks an address serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Ethereum and its kin: one address serves all of them.
    Evm,
    Solana,
}

impl Family {
    fn kind(self) -> ChainKind {
        match self {
            Family::Evm => ChainKind::Evm,
            Family::Solana => ChainKind::Svm,
        }
    }
}

/// Runs a wallet command.
pub async fn run(command: WalletCommand) -> anyhow::Result<ExitCode> {
    match command {
        WalletCommand::New(arguments) => cold::new(&arguments),
        WalletCommand::Derive(arguments) => cold::derive(&arguments),
        WalletCommand::Addresses(arguments) => listing::run(&arguments).await,
        WalletCommand::Pool(command) => pool(command).await,
    }
}

async fn pool(command: PoolCommand) -> anyhow::Result<ExitCode> {
    match command {
        PoolCommand::Make { count, family, installation } => {
            let kiosk = installation.open().await?;
            let mut progress = |kind: ChainKind, made: usize| eprintln!("{}: {made} added", family_name(kind));
            for kind in wanted(&kiosk, family) {
                make(&kiosk, kind, count as usize, &mut progress).await?;
            }
            print!("{}", report(&kiosk).await?);
        }
        PoolCommand::Import { file, installation } => {
            let addresses = import::read(&file)?;
            let kiosk = installation.open().await?;
            let imported = import::import(&kiosk, &addresses, &mut |done| eprintln!("{done} looked at")).await?;
            println!("{} addresses added; {} were in the pool already", imported.added, imported.known);
            print!("{}", report(&kiosk).await?);
        }
        PoolCommand::Status { installation } => print!("{}", report(&installation.open().await?).await?),
        PoolCommand::Retire { family, installation } => {
            let kiosk = installation.open().await?;
            let retired = retire(&kiosk, family.kind()).await?;
            println!(
                "{retired} addresses will not be given out; those of orders stay watched.\nA server that runs derives new \
                 ones from the key it was started with: stop it, change wallet.evm_xpub, and start it again."
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The families to be filled. EVM is among them even where it cannot be: then `make` says what is missing.
fn wanted(kiosk: &Kiosk, family: Option<Family>) -> Vec<ChainKind> {
    match family {
        Some(family) => vec![family.kind()],
        None if kiosk.pools.is_sandbox() => FAMILIES.to_vec(),
        None => vec![ChainKind::Evm],
    }
}

/// Adds `count` addresses to a pool, in parts; tells after each part how many it has added.
///
/// # Errors
/// Addresses of that family cannot be made here; another process filled the pool at the same moment. Parts that were added
/// stay.
pub async fn make(
    kiosk: &Kiosk,
    kind: ChainKind,
    count: usize,
    progress: &mut dyn FnMut(ChainKind, usize),
) -> anyhow::Result<()> {
    let mut made = 0;
    while made < count {
        let part = CHUNK.min(count - made);
        let added = kiosk.pools.add(kind, part).await;
        if made > 0 {
            added.with_context(|| {
                format!(
                    "{made} were added before this failed; a server may have filled the pool just then: run it again"
                )
            })?;
        } else {
            added.context("no address was added")?;
        }
        made += part;
        progress(kind, made);
    }
    Ok(())
}

/// Sets the free addresses of a pool aside, for ever. What was made of it so far is noted as the present key's.
pub async fn retire(kiosk: &Kiosk, kind: ChainKind) -> anyhow::Result<u64> {
    let is_keyed = kind == ChainKind::Evm && !kiosk.pools.is_sandbox();
    let key = kiosk.pools.evm_key();
    let retired = kiosk.engine.write(move |tx| {
        if is_keyed {
            pool_keys::retire(tx, key.as_deref())?;
        }
        claims::set_aside(tx, kind, "retired")
    });
    Ok(retired.await?)
}

/// (free addresses, index of the next one) of each pool.
pub async fn status(kiosk: &Kiosk) -> anyhow::Result<Vec<(ChainKind, i64, i64)>> {
    let counts = counts(kiosk).await?;
    Ok(counts.into_iter().map(|(kind, counts)| (kind, counts.free, counts.next)).collect())
}

async fn counts(kiosk: &Kiosk) -> anyhow::Result<Vec<(ChainKind, PoolCounts)>> {
    let read = kiosk.engine.db.read(|tx| {
        let of = |kind: ChainKind| claims::pool_counts(tx, kind).map(|counts| (kind, counts));
        FAMILIES.into_iter().map(of).collect::<Result<Vec<_>, _>>()
    });
    Ok(read.await?)
}

/// What the pools hold, and where more comes from.
pub async fn report(kiosk: &Kiosk) -> anyhow::Result<String> {
    let mut text = String::new();
    for (kind, PoolCounts { free, given, set_aside, next }) in counts(kiosk).await? {
        text += &format!(
            "{}: {free} free, {given} given out, {set_aside} set aside; the next one gets the index {next}\n",
            family_name(kind)
        );
        let source = more_of(kiosk, kind).await?;
        let by_itself = kiosk.pools.derived_here().contains(&kind);
        let few = if !by_itself && free < FEW { "  FEW ARE LEFT. " } else { "  " };
        text += &format!("{few}{source}\n");
    }
    Ok(text)
}

async fn more_of(kiosk: &Kiosk, kind: ChainKind) -> anyhow::Result<String> {
    if kiosk.pools.is_sandbox() {
        return Ok("A running server adds more by itself, with keys that nobody has (sandbox).".to_owned());
    }
    let account = kiosk.pools.evm_account().await?;
    Ok(match (kind, account) {
        (ChainKind::Evm, Some(account)) => {
            format!("A running server adds more by itself, from wallet.evm_xpub ({}).", account.name())
        }
        (ChainKind::Evm, None) => {
            "For more, set wallet.evm_xpub: `kiosk wallet new` shows one, on a machine without a network.".to_owned()
        }
        (ChainKind::Svm, _) => "For more: `kiosk wallet derive --solana` on the machine with the wallet's keys, then \
            `kiosk wallet pool import`."
            .to_owned(),
    })
}
