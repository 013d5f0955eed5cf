//! `kiosk keys`: a new sealing key, and everything sealed again with it.
//!
//! Safe beside a running server, which finds the new key by itself (vault.rs), and safe to be cut off: old keys stay in the
//! file, so that everything opens all the time. Must never print a key, nor anything that was sealed. Called by the
//! command line.

use super::Installation;
use crate::boot::Kiosk;
use crate::seal::Keyring;
use crate::store::{logins, orders, stock};
use anyhow::Context;
use clap::Subcommand;
use std::path::Path;
use std::process::ExitCode;

/// Rows that are read, sealed and written in one go.
const PAGE: i64 = 500;

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Add a sealing key and seal everything again with it; a running server goes on meanwhile.
    Rotate {
        #[command(flatten)]
        installation: Installation,
    },
    /// Seal again whatever an older key sealed: goes on with a rotation that was cut off.
    Reseal {
        #[command(flatten)]
        installation: Installation,
    },
}

/// What was sealed again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    pub codes: u64,
    /// Orders whose personal data got a newly sealed key.
    pub personal: u64,
    /// Accounts whose e-mail address was.
    pub logins: u64,
    /// Rows that no key of the file opens; they stay as they are.
    pub closed: u64,
}

/// Runs a keys command.
pub async fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    let (kiosk, resealed) = match command {
        KeysCommand::Rotate { installation } => {
            let kiosk = installation.open().await?;
            let file = installation.settings()?.secret_key_file();
            let resealed = rotate(&kiosk, &file).await?;
            println!("The new key stands in {}: copy that file to where you keep the old copy.", file.display());
            (kiosk, resealed)
        }
        KeysCommand::Reseal { installation } => {
            let kiosk = installation.open().await?;
            let resealed = reseal(&kiosk).await?;
            (kiosk, resealed)
        }
    };
    println!(
        "Key {} seals now; {} codes, the personal data of {} orders and the addresses of {} accounts were sealed again.",
        kiosk.vault.ring().active_key_id(),
        resealed.codes,
        resealed.personal,
        resealed.logins
    );
    if resealed.closed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    println!("WRONG: {} rows or more are opened by no key of the file and stay as they are.", resealed.closed);
    Ok(ExitCode::FAILURE)
}

/// Adds a key to the file and seals everything again with it.
///
/// # Errors
/// The file cannot be rotated: nothing has changed. Or the database failed: `kiosk keys reseal` goes on.
pub async fn rotate(kiosk: &Kiosk, key_file: &Path) -> anyhow::Result<Resealed> {
    Keyring::rotate(key_file, kiosk.ids.key()).context("no key was added")?;
    kiosk.vault.reload().context("the new key was added and cannot be read")?;
    reseal(kiosk).await.context("the new key seals from now on; run `kiosk keys reseal` to finish")
}

/// Seals again whatever an older key sealed.
pub async fn reseal(kiosk: &Kiosk) -> anyhow::Result<Resealed> {
    let active = kiosk.vault.ring().active_key_id().to_owned();
    let mut resealed = Resealed::default();
    loop {
        let key = active.clone();
        let page = kiosk.engine.db.read(move |tx| stock::sealed_by_older_keys(tx, &key, PAGE)).await?;
        let found = page.len();
        let again: Vec<_> = page
            .into_iter()
            .filter_map(|(code, sealed)| kiosk.vault.reseal(&code, &sealed).ok().map(|sealed| (code, sealed)))
            .collect();
        let count = again.len();
        // What no key opens is found again each time: a page of nothing else is the last one.
        if count == 0 {
            resealed.closed += found as u64;
            break;
        }
        kiosk.engine.write(move |tx| stock::reseal(tx, again)).await?;
        resealed.codes += count as u64;
        eprintln!("{} codes sealed again", resealed.codes);
    }
    reseal_personal(kiosk, &active, &mut resealed).await?;
    reseal_logins(kiosk, &active, &mut resealed).await?;
    Ok(resealed)
}

async fn reseal_logins(kiosk: &Kiosk, active: &str, resealed: &mut Resealed) -> anyhow::Result<()> {
    loop {
        let key = active.to_owned();
        let page = kiosk.engine.db.read(move |tx| logins::sealed_by_older_keys(tx, &key, PAGE)).await?;
        let found = page.len();
        let again: Vec<_> = page
            .into_iter()
            .filter_map(|(account, old)| kiosk.vault.reseal_login(&account, &old).ok().map(|new| (account, old, new)))
            .collect();
        let count = again.len();
        if count == 0 {
            resealed.closed += found as u64;
            return Ok(());
        }
        kiosk.engine.write(move |tx| logins::reseal(tx, again)).await?;
        resealed.logins += count as u64;
        eprintln!("the e-mail addresses of {} accounts sealed again", resealed.logins);
    }
}

async fn reseal_personal(kiosk: &Kiosk, active: &str, resealed: &mut Resealed) -> anyhow::Result<()> {
    loop {
        let key = active.to_owned();
        let page = kiosk.engine.db.read(move |tx| orders::personal_sealed_by_older_keys(tx, &key, PAGE)).await?;
        let found = page.len();
        let again: Vec<_> = page
            .into_iter()
            .filter_map(|(order, old)| kiosk.vault.reseal_personal(order, &old).ok().map(|new| (order, old, new)))
            .collect();
        let count = again.len();
        if count == 0 {
            resealed.closed += found as u64;
            return Ok(());
        }
        kiosk.engine.write(move |tx| orders::reseal_personal(tx, again)).await?;
        resealed.personal += count as u64;
        eprintln!("the personal data of {} orders sealed again", resealed.personal);
    }
}
