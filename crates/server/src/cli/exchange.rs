//! `kiosk exchange`: what an exchange office does by hand.

use super::Installation;
use crate::boot;
use crate::store::{claims, exchange};
use anyhow::{Context, bail};
use clap::Subcommand;
use domain::money::{parse_units, units_to_text};
use domain::route::Currency;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum ExchangeCommand {
    /// Put an exchange file in force; all or nothing.
    Import {
        file: PathBuf,
        #[command(flatten)]
        installation: Installation,
    },
    /// Show every route with its rate now.
    Routes {
        #[command(flatten)]
        installation: Installation,
    },
    /// Show what there is of each currency to be paid out; with a code and an amount, state it anew.
    Reserve {
        /// The currency's code, such as USDTERC20.
        code: Option<String>,
        /// What is there now, less what paid orders wait for.
        amount: Option<String>,
        #[command(flatten)]
        installation: Installation,
    },
}

/// Runs an exchange command.
pub async fn run(command: ExchangeCommand) -> anyhow::Result<ExitCode> {
    match command {
        ExchangeCommand::Import { file, installation } => {
            let kiosk = installation.open().await?;
            let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            match boot::import_exchange(&kiosk, text).await {
                Ok(exchange) => println!(
                    "{} routes between {} currencies are in force; a running server shows them within a second",
                    exchange.routes.len(),
                    exchange.currencies.len()
                ),
                Err(errors) => {
                    errors.iter().for_each(|error| eprintln!("{}: {error}", file.display()));
                    bail!("nothing was imported");
                }
            }
        }
        ExchangeCommand::Routes { installation } => routes(&installation).await?,
        ExchangeCommand::Reserve { code: Some(code), amount: Some(amount), installation } => {
            state_reserve(&code, &amount, &installation).await?;
        }
        ExchangeCommand::Reserve { code: Some(_), amount: None, .. } => {
            bail!("say the amount too: kiosk exchange reserve CODE AMOUNT")
        }
        ExchangeCommand::Reserve { installation, .. } => reserves(&installation).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn routes(installation: &Installation) -> anyhow::Result<()> {
    let kiosk = installation.open().await?;
    let (market, now) = (kiosk.engine.shared.market(), kiosk.engine.clock.now());
    let exchange = &market.exchange;
    println!("{:<16} {:<16} {:>20} {:>14} {:>14}", "GIVE", "RECEIVE", "GIVE FOR 1", "LEAST", "MOST");
    for route in &exchange.routes {
        let (from, to) = (exchange.from_of(route), exchange.to_of(route));
        let rate = match exchange.rate(route, &market.rails, &market.rates, now) {
            Ok(rate) => rate.text(),
            Err(error) => format!("closed: {error}"),
        };
        let limit = |units| if units == 0 { "-".to_owned() } else { units_to_text(units, from.decimals, 0) };
        let (least, most) = (limit(route.min_units), limit(route.max_units));
        println!("{:<16} {:<16} {rate:>20} {least:>14} {most:>14}", from.xml, to.xml);
    }
    Ok(())
}

async fn reserves(installation: &Installation) -> anyhow::Result<()> {
    let kiosk = installation.open().await?;
    let market = kiosk.engine.shared.market();
    let keys: Vec<_> = market.exchange.currencies.iter().map(Currency::reserve_key).collect();
    let counters = kiosk.engine.db.read(move |tx| claims::counters(tx, &keys)).await?;
    println!("{:<16} {:>16} {:>16} {:>16} {:>16}", "CODE", "STATED", "HELD", "PAID FOR", "LEFT");
    for currency in &market.exchange.currencies {
        let counter = counters.get(&currency.reserve_key()).copied().unwrap_or_default();
        let text = |units| units_to_text(units, currency.decimals, 0);
        let left = text(currency.available_units(Some(&counter)));
        let (stated, held, used) = (text(currency.reserve_units), text(counter.held), text(counter.used));
        println!("{:<16} {stated:>16} {held:>16} {used:>16} {left:>16}", currency.xml);
    }
    Ok(())
}

async fn state_reserve(code: &str, amount: &str, installation: &Installation) -> anyhow::Result<()> {
    let kiosk = installation.open().await?;
    let market = kiosk.engine.shared.market();
    let Some(currency) = market.exchange.currency(code) else {
        bail!("there is no currency {code:?}; see `kiosk exchange reserve{}`", installation.as_arguments());
    };
    parse_units(amount, currency.decimals).with_context(|| format!("{amount:?} is not an amount of {code}"))?;
    let (code, amount) = (code.to_owned(), amount.to_owned());
    kiosk.engine.write(move |tx| exchange::state_reserve(tx, &code, &amount)).await?;
    println!("stated; a running server counts from it within a second");
    Ok(())
}
