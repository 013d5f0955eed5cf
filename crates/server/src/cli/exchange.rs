//! `kiosk exchange`: what an exchange office does by hand.

use super::Installation;
use super::order::{find, kept_note};
use crate::boot::{self, Kiosk};
use crate::engine::Lane;
use crate::store::{claims, exchange, orders};
use anyhow::{Context, bail};
use clap::Subcommand;
use domain::decide::{AtRate, Command, Idempotency};
use domain::money::{parse_units, units_to_text};
use domain::order::Order;
use domain::project::{ExchangeStatus, exchange_status};
use domain::route::{Currency, Side};
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
    /// List exchange orders, newest first.
    Orders {
        /// Only those in this status, such as inProgress.
        #[arg(long, value_parser = status_word)]
        status: Option<ExchangeStatus>,
        /// At most so many orders.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        #[command(flatten)]
        installation: Installation,
    },
    /// Confirm money that came by hand: to a bank account, a desk, an address that nobody watches.
    Confirm {
        /// Short number: the uid of the order.
        order: String,
        /// What came, in the currency that is given; without it the order is settled with what is confirmed already.
        #[arg(long, requires = "reference", required_unless_present = "rate")]
        amount: Option<String>,
        /// Where it stands in your own books; each is confirmed once. No personal data: it stays in the log.
        #[arg(long)]
        reference: Option<String>,
        /// After the window: pay out at the rate that was agreed, or at today's.
        #[arg(long)]
        rate: Option<Rate>,
        #[command(flatten)]
        installation: Installation,
    },
    /// Note that an order was paid out by hand.
    Paid {
        order: String,
        /// The transaction or receipt. No personal data: it stays in the log.
        #[arg(long)]
        reference: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Note that the payer got his money back.
    Returned {
        order: String,
        /// The transaction or receipt. No personal data: it stays in the log.
        #[arg(long)]
        reference: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Try a payout again that was refused.
    Retry {
        order: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Take no new orders; clients show their maintenance screen. Orders that are there go on.
    Close {
        #[command(flatten)]
        installation: Installation,
    },
    /// Take orders again.
    Open {
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

/// At which rate an order is settled.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Rate {
    Agreed,
    Today,
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
        ExchangeCommand::Orders { status, limit, installation } => {
            println!("{}", orders_in(&installation.open().await?, status, limit).await?);
        }
        ExchangeCommand::Confirm { order, amount, reference, rate, installation } => {
            let kiosk = installation.open().await?;
            // This process has looked at no rate source yet.
            boot::first_rates(&installation.settings()?, &kiosk.engine).await?;
            let at_rate = rate.map(|rate| match rate {
                Rate::Agreed => AtRate::Agreed,
                Rate::Today => AtRate::Today,
            });
            let money = amount.as_deref().zip(reference.as_deref());
            println!("{}", confirm(&kiosk, &order, money, at_rate).await?);
        }
        ExchangeCommand::Paid { order, reference, installation } => {
            println!("{}", paid(&installation.open().await?, &order, &reference).await?);
        }
        ExchangeCommand::Returned { order, reference, installation } => {
            println!("{}", returned(&installation.open().await?, &order, &reference).await?);
        }
        ExchangeCommand::Retry { order, installation } => {
            println!("{}", retry(&installation.open().await?, &order).await?);
        }
        ExchangeCommand::Close { installation } => {
            println!("{}", set_closed(&installation.open().await?, true).await?);
        }
        ExchangeCommand::Open { installation } => {
            println!("{}", set_closed(&installation.open().await?, false).await?);
        }
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

fn status_word(word: &str) -> Result<ExchangeStatus, String> {
    let known = || ExchangeStatus::ALL.map(ExchangeStatus::word).join(", ");
    ExchangeStatus::parse(word).ok_or_else(|| format!("known are {}", known()))
}

/// One line per exchange order, newest first.
pub async fn orders_in(kiosk: &Kiosk, status: Option<ExchangeStatus>, limit: u16) -> anyhow::Result<String> {
    let limit = i64::from(limit);
    let found = kiosk.engine.db.read(move |tx| orders::newest_trades(tx, status, limit)).await?;
    let line = |order: &Order| {
        let trade = order.trade()?;
        let (from, to) = (&trade.from, &trade.to);
        let (given, received) = (format!("{} {}", from.amount(), from.xml), format!("{} {}", to.amount(), to.xml));
        let (at, status) = (order.placed_at.rfc3339(), exchange_status(order).word());
        Some(format!("{}  {at}  {status:<16} {given} for {received}", order.no))
    };
    let lines: Vec<String> = found.iter().filter_map(line).collect();
    Ok(if lines.is_empty() { "no such order".to_owned() } else { lines.join("\n") })
}

/// Closes the office for new orders, or opens it again.
///
/// # Errors
/// The database does not answer.
pub async fn set_closed(kiosk: &Kiosk, closed: bool) -> anyhow::Result<String> {
    kiosk.engine.write(move |tx| exchange::set_closed(tx, closed)).await?;
    let state = if closed { "closed" } else { "open" };
    Ok(format!("the exchange office is {state}; a running server knows it within a second"))
}

/// Confirms money that no network shows: its amount, and where it stands in the operator's books. Without it settles what
/// is confirmed already.
///
/// # Errors
/// It is no amount, or what the engine refuses: its network is watched, money under this reference is confirmed already,
/// or the rate must be said.
pub async fn confirm(
    kiosk: &Kiosk,
    order: &str,
    money: Option<(&str, &str)>,
    at_rate: Option<AtRate>,
) -> anyhow::Result<String> {
    let order = trade_called(kiosk, order).await?;
    let from = &order.trade().context("it is not an exchange order")?.from;
    let (mut units, mut key) = (0, String::new());
    if let Some((amount, reference)) = money {
        let read = parse_units(amount, from.decimals);
        let read = read.with_context(|| format!("{amount:?} is not an amount of {}", from.xml))?;
        units = Side { units: read, ..from.clone() }.checked_ledger_units().context("the amount is too large")?;
        key = kept_note(&order, "--reference", reference)?;
        if units == 0 {
            bail!("an amount above zero is confirmed");
        }
    }
    let scope = format!("exchange/confirmed/{}", from.asset);
    let reference = Idempotency { scope, key, body_hash: String::new() };
    let order = kiosk
        .engine
        .submit(Lane::Client, Command::ConfirmPayment { order: order.id, units, reference, at_rate })
        .await?;
    let status = exchange_status(&order).word();
    Ok(match order.payment.settled_at {
        Some(_) => format!("order {}: its status is {status}", order.no),
        None => format!(
            "order {}: noted, and not settled: more must come, or the reserve does not cover it; its status is {status}",
            order.no
        ),
    })
}

/// Notes a payout by hand.
///
/// # Errors
/// The reference cannot be kept, or what the engine refuses: the order is not paid, or it is over.
pub async fn paid(kiosk: &Kiosk, order: &str, reference: &str) -> anyhow::Result<String> {
    let order = trade_called(kiosk, order).await?;
    let proof = kept_note(&order, "--reference", reference)?;
    submit(kiosk, Command::MarkPaidOut { order: order.id, proof }).await
}

/// Notes that the payer got his money back.
///
/// # Errors
/// The reference cannot be kept, or what the engine refuses: nothing came in, a payout is under way, or it is over.
pub async fn returned(kiosk: &Kiosk, order: &str, reference: &str) -> anyhow::Result<String> {
    let order = trade_called(kiosk, order).await?;
    let proof = kept_note(&order, "--reference", reference)?;
    submit(kiosk, Command::MarkReturned { order: order.id, proof }).await
}

/// Has a refused payout tried again.
///
/// # Errors
/// What the engine refuses: the payout did not fail.
pub async fn retry(kiosk: &Kiosk, order: &str) -> anyhow::Result<String> {
    let order = trade_called(kiosk, order).await?;
    submit(kiosk, Command::RetryPayout { order: order.id }).await
}

async fn trade_called(kiosk: &Kiosk, order: &str) -> anyhow::Result<Order> {
    let order = find(kiosk, order).await?;
    if order.trade().is_none() {
        bail!("order {} buys goods; see `kiosk order show {}`", order.no, order.no);
    }
    Ok(order)
}

async fn submit(kiosk: &Kiosk, command: Command) -> anyhow::Result<String> {
    let order = kiosk.engine.submit(Lane::Client, command).await?;
    Ok(format!("order {}: its status is {}", order.no, exchange_status(&order).word()))
}

async fn routes(installation: &Installation) -> anyhow::Result<()> {
    let kiosk = installation.open().await?;
    boot::first_rates(&installation.settings()?, &kiosk.engine).await?;
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
        let used = counter.used - currency.used_before_units;
        let (stated, held, used) = (text(currency.stated_units), text(counter.held), text(used));
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
    let (code, amount, decimals) = (code.to_owned(), amount.to_owned(), currency.decimals);
    kiosk.engine.write(move |tx| exchange::state_reserve(tx, &code, decimals, &amount)).await?;
    println!("stated; a running server counts from it within a second");
    Ok(())
}
