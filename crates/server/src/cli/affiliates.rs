//! `kiosk account link` and `kiosk account paid`: who brings exchange orders, what he is owed for it, and what he was paid.

use super::Installation;
use super::accounts::Named;
use super::order::kept_line;
use crate::boot::Kiosk;
use crate::store::affiliates::{self, Payment, Standing};
use crate::store::partner_links::{self, Link};
use crate::store::{DbError, Tx};
use anyhow::{Context, bail};
use clap::Subcommand;
use domain::money::{Currency, Fiat};
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum LinkCommand {
    /// List who has a link or brought an order, with what he is owed in US dollars.
    List {
        #[command(flatten)]
        installation: Installation,
    },
    /// Take an account's link out of use: orders that come by it are nobody's, and it cannot choose another.
    Disable(Named),
    /// Put it into use again.
    Enable(Named),
}

/// Runs a link command.
pub async fn link(command: LinkCommand) -> anyhow::Result<ExitCode> {
    let text = match command {
        LinkCommand::List { installation } => listed(&installation.open().await?).await?,
        LinkCommand::Disable(named) => set_active(&named.installation.open().await?, &named.id, false).await?,
        LinkCommand::Enable(named) => set_active(&named.installation.open().await?, &named.id, true).await?,
    };
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// One line per account that has a link or brought an order.
///
/// # Errors
/// The database does not answer.
pub async fn listed(kiosk: &Kiosk) -> anyhow::Result<String> {
    let found = kiosk.engine.db.read(|tx| {
        let accounts = affiliates::partners(tx)?;
        accounts.into_iter().map(|account| row(tx, account)).collect::<Result<Vec<_>, _>>()
    });
    let found = found.await?;
    if found.is_empty() {
        return Ok("nobody has a link".to_owned());
    }
    let mut lines = vec![format!(
        "{:<36} {:<20} {:>8} {:>8} {:>14} {:>14} {:>14}",
        "ACCOUNT", "LINK", "ORDERS", "DONE", "EARNED", "PAID", "OWED"
    )];
    for (account, link, standing) in found {
        let link = link.map(|link| if link.active { link.code } else { format!("{} (disabled)", link.code) });
        let (link, referred) = (link.unwrap_or_else(|| "-".to_owned()), standing.referred);
        let [earned, paid, owed] =
            [referred.earned_usd_units, standing.paid_usd_units, standing.owed_usd_units()].map(dollars);
        let (orders, done) = (referred.placed, referred.done);
        lines.push(format!("{account:<36} {link:<20} {orders:>8} {done:>8} {earned:>14} {paid:>14} {owed:>14}"));
    }
    Ok(lines.join("\n"))
}

fn row(tx: &mut Tx<'_>, account: String) -> Result<(String, Option<Link>, Standing), DbError> {
    let (link, standing) = (partner_links::of_account(tx, &account)?, affiliates::standing(tx, &account)?);
    Ok((account, link, standing))
}

fn dollars(usd_units: i64) -> String {
    Fiat { currency: Currency::USD, units: usd_units }.with_minor_digits()
}

/// Takes an account's link out of use, or puts it into use again.
///
/// # Errors
/// It has no link.
pub async fn set_active(kiosk: &Kiosk, account: &str, active: bool) -> anyhow::Result<String> {
    let id = account.to_owned();
    if !kiosk.engine.write(move |tx| partner_links::set_active(tx, &id, active)).await? {
        bail!("no account of that id has a link; see `kiosk account link list`");
    }
    let state = if active { "in use" } else { "out of use; what it has earned stays" };
    Ok(format!("the link of account {account} is {state}"))
}

/// Notes a payment to a partner, each reference once, and never more than he is owed.
///
/// # Errors
/// The amount is none or too much, or the reference cannot be kept.
pub async fn paid(kiosk: &Kiosk, account: &str, amount: &str, reference: &str) -> anyhow::Result<String> {
    let read = Fiat::parse(amount, Currency::USD);
    let usd_units = read.with_context(|| format!("{amount:?} is not an amount in US dollars"))?.units;
    if usd_units == 0 {
        bail!("name an amount above zero; `kiosk account unpaid` takes back what was noted by mistake");
    }
    let reference = kept_line("--reference", reference)?;
    let payment = Payment { account: account.to_owned(), reference, usd_units, at: kiosk.engine.clock.now() };
    let noted = kiosk.engine.write(move |tx| {
        let owed = affiliates::standing(tx, &payment.account)?.owed_usd_units();
        let is_new = if usd_units <= owed { affiliates::pay(tx, &payment)? } else { false };
        Ok((owed, is_new))
    });
    match noted.await? {
        (owed, true) => Ok(format!("noted; account {account} is now owed {} USD", dollars(owed - usd_units))),
        (owed, false) if usd_units > owed => bail!("account {account} is owed {} USD and no more", dollars(owed)),
        (_, false) => bail!(
            "a payment under this reference is noted for this account already; one that was taken back is noted anew under \
             another reference"
        ),
    }
}

/// Takes back a payment that was noted by mistake.
///
/// # Errors
/// There is none under that reference, or it was taken back before.
pub async fn unpaid(kiosk: &Kiosk, account: &str, reference: &str) -> anyhow::Result<String> {
    let (id, reference, now) = (account.to_owned(), kept_line("--reference", reference)?, kiosk.engine.clock.now());
    let taken = kiosk.engine.write(move |tx| {
        let taken = affiliates::take_back(tx, &id, &reference, now)?;
        Ok((taken, affiliates::standing(tx, &id)?.owed_usd_units()))
    });
    match taken.await? {
        (Some(units), owed) => {
            let (units, owed) = (dollars(units), dollars(owed));
            Ok(format!("{units} USD are taken back; account {account} is now owed {owed} USD"))
        }
        (None, _) => bail!("no payment to this account stands under that reference, or it was taken back already"),
    }
}
