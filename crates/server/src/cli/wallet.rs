//! `kiosk wallet`: the pools of deposit addresses.
//!
//! Must never hold or print a spending key. In this version the sandbox alone has pools that can be filled from here.
//! Called by the command line.

use super::Installation;
use crate::boot::{self, Kiosk};
use crate::store::claims;
use crate::wallet::family_name;
use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use domain::asset::ChainKind;
use std::process::ExitCode;

/// Addresses that are derived and written in one go.
const CHUNK: usize = 1_000;

/// The families in the order in which they are shown.
const FAMILIES: [ChainKind; 2] = [ChainKind::Evm, ChainKind::Svm];

#[derive(Subcommand)]
pub enum WalletCommand {
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
        /// Only this family.
        #[arg(long)]
        family: Option<Family>,
        #[command(flatten)]
        installation: Installation,
    },
    /// Show how many addresses are free.
    Status {
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
    let WalletCommand::Pool(command) = command;
    match command {
        PoolCommand::Make { count, family, installation } => {
            let kiosk = installation.open().await?;
            let kinds = family.map_or(FAMILIES.to_vec(), |family| vec![family.kind()]);
            let mut progress = |kind: ChainKind, made: usize| eprintln!("{}: {made} added", family_name(kind));
            for kind in kinds {
                make(&kiosk, kind, count as usize, &mut progress).await?;
            }
            print_status(&kiosk).await?;
        }
        PoolCommand::Status { installation } => print_status(&installation.open().await?).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds `count` addresses to a pool, in parts; tells after each part how many it has added.
///
/// # Errors
/// The installation has no sandbox; another process filled the pool at the same moment. Parts that were added stay.
pub async fn make(
    kiosk: &Kiosk,
    kind: ChainKind,
    count: usize,
    progress: &mut dyn FnMut(ChainKind, usize),
) -> anyhow::Result<()> {
    if kiosk.books.is_none() {
        bail!("only the pools of a sandbox can be filled from here in this version, and this installation has none");
    }
    let mut made = 0;
    while made < count {
        let part = CHUNK.min(count - made);
        boot::add_to_pool(&kiosk.engine, &kiosk.ids, kind, part).await.with_context(|| {
            format!("{made} were added before this failed; a server may have filled the pool just then: run it again")
        })?;
        made += part;
        progress(kind, made);
    }
    Ok(())
}

/// (free addresses, index of the next one) of each pool.
pub async fn status(kiosk: &Kiosk) -> anyhow::Result<Vec<(ChainKind, i64, i64)>> {
    let read = kiosk.engine.db.read(|tx| {
        let size = |kind: ChainKind| claims::pool_size(tx, kind).map(|(free, next)| (kind, free, next));
        FAMILIES.into_iter().map(size).collect::<Result<Vec<_>, _>>()
    });
    Ok(read.await?)
}

async fn print_status(kiosk: &Kiosk) -> anyhow::Result<()> {
    for (kind, free, next) in status(kiosk).await? {
        println!("{}  {free} free addresses; the next one gets the index {next}", family_name(kind));
    }
    Ok(())
}
