//! `kiosk network`: how far networks are scanned, and scanning one anew.
//!
//! Works beside a running server: what that one found meanwhile is not written down, because it began elsewhere. Must never
//! take money back that counts: only a chain does that.

use super::Installation;
use crate::boot::Kiosk;
use crate::store::transfers::{self, Anew};
use anyhow::{Context, bail};
use clap::Subcommand;
use domain::asset::ChainKind;
use std::process::ExitCode;

/// Transfers that are listed for comparison.
const LISTED: i64 = 50;

#[derive(Subcommand)]
pub enum NetworkCommand {
    /// List the networks, and how far each is scanned.
    List {
        #[command(flatten)]
        installation: Installation,
    },
    /// Scan a network anew from a block on, after it was rolled back further than is followed.
    Rescan {
        /// As the configuration names it, such as "ETH Mainnet".
        name: String,
        /// The first block that is read again.
        #[arg(long, value_name = "HEIGHT", value_parser = clap::value_parser!(i64).range(1..))]
        from: i64,
        #[command(flatten)]
        installation: Installation,
    },
}

/// Runs a network command.
pub async fn run(command: NetworkCommand) -> anyhow::Result<ExitCode> {
    let text = match command {
        NetworkCommand::List { installation } => list(&installation.open().await?).await?,
        NetworkCommand::Rescan { name, from, installation } => rescan(&installation.open().await?, &name, from).await?,
    };
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// One line for each network.
pub async fn list(kiosk: &Kiosk) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for network in &kiosk.engine.shared.market().rails.networks {
        let id = network.id.clone();
        let watched = kiosk.engine.db.read(move |tx| transfers::watched(tx, &id, None)).await?;
        let how = match watched.window.tip() {
            None => "never scanned".to_owned(),
            Some(tip) if tip.is_place() => format!("scanned anew from block {} on, as soon as it is", tip.height + 1),
            Some(tip) => format!("scanned to block {}, {}", tip.height, watched.scanned_through.rfc3339()),
        };
        lines.push(format!("{}  {}  {how}", network.name, network.id));
    }
    if lines.is_empty() {
        lines.push("no network is configured".to_owned());
    }
    Ok(lines.join("\n"))
}

/// Has a network scanned anew from that block on.
///
/// # Errors
/// There is no such network, or it has not come so far.
pub async fn rescan(kiosk: &Kiosk, name: &str, from: i64) -> anyhow::Result<String> {
    let market = kiosk.engine.shared.market();
    let network = market.rails.network(name).with_context(|| {
        let names: Vec<&str> = market.rails.networks.iter().map(|network| network.name.as_str()).collect();
        format!("there is no network {name:?}; there are: {}", names.join(", "))
    })?;
    if kiosk.books.is_some() {
        bail!("simulated chains are never rolled back so far");
    }
    if network.kind == ChainKind::Svm {
        bail!(
            "{name} has nothing to scan anew: each of its accounts is asked for whole, and only final money is shown"
        );
    }
    let id = network.id.clone();
    let done = kiosk.engine.write(move |tx| {
        let newest = transfers::watched(tx, &id, None)?.window.tip().map(|tip| tip.height);
        if newest.is_none_or(|newest| from > newest + 1) {
            return Ok(Err(newest));
        }
        let anew = transfers::begin_anew(tx, &id, from)?;
        let kept = transfers::confirmed_from(tx, &id, anew.from, LISTED)?;
        Ok(Ok((anew, kept)))
    });
    let (Anew { from, taken_back }, kept) = match done.await? {
        Ok(done) => done,
        Err(None) => bail!("{name} was never scanned: it begins by itself"),
        Err(Some(newest)) => bail!("{name} is scanned to block {newest}: begin there or earlier"),
    };
    let mut text = format!(
        "{name} is scanned anew from block {from} on; it takes no new orders until that is done.\n\
         {taken_back} transfers that were not confirmed are forgotten until they are seen again."
    );
    if !kept.is_empty() {
        text.push_str("\nThese counted, and go on to count. Compare them with the chain by hand:");
    }
    for (height, fact) in &kept {
        text.push_str(&format!("\n  block {height}  {} units of {}  transfer {}", fact.units, fact.asset, fact.id));
    }
    if kept.len() as i64 == LISTED {
        text.push_str("\n  .. and perhaps more");
    }
    Ok(text)
}
