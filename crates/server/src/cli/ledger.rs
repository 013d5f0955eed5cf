//! `kiosk ledger`: what the books say, for people and for their programs, and what the audit says of them.
//!
//! Changes nothing but the standing of a finding. Must never print the id of an order: people get the short number. Called by the command line.

use super::Installation;
use super::order::{find, kept_line};
use crate::books::{self, ALL_ORDERS, Coins, Export, ExportError, Period, Sums};
use crate::boot::Kiosk;
use crate::store::audit::{self, Finding};
use crate::store::ledger::{self, Entry};
use crate::workers::audit as audit_worker;
use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use domain::ids::AssetId;
use domain::ledger::Account;
use domain::order::Order;
use domain::time::{Span, Time};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const DAY: Span = Span::hours(24);

#[derive(Subcommand)]
pub enum LedgerCommand {
    /// The balance of every account, for each asset; they add up to zero.
    Balances {
        /// As they were at the end of that day (UTC), such as 2026-12-31.
        #[arg(long, value_name = "DAY", value_parser = day)]
        to: Option<Time>,
        #[command(flatten)]
        installation: Installation,
    },
    /// Every posting of an order, with its event, its time and what is owed to the payer after it.
    Order {
        /// Short number, or order id.
        order: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Write the books as a file: a row for each posting, a row for each order, or a journal.
    Export(ExportArgs),
    /// What the audit has found and no later look has ended; exit code 1 if there is something.
    Findings {
        #[command(flatten)]
        installation: Installation,
    },
    /// Say that a finding was looked into: its network takes orders again, unless something else is found.
    Acknowledge {
        /// As `kiosk ledger findings` names it.
        finding: String,
        /// What it was, for whoever looks later. No personal data.
        #[arg(long)]
        note: String,
        #[command(flatten)]
        installation: Installation,
    },
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Csv,
    Hledger,
}

#[derive(clap::Args)]
pub struct ExportArgs {
    #[arg(long, value_enum)]
    format: Format,
    /// From the beginning of that day on (UTC), such as 2026-01-01.
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Time>,
    /// To the end of that day (UTC).
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<Time>,
    /// A row for each order that was placed in that time, instead of one for each posting; CSV only.
    #[arg(long)]
    orders: bool,
    /// Where to write; without it to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    installation: Installation,
}

/// Reads a day (UTC) as its first moment.
fn day(text: &str) -> Result<Time, String> {
    let read = Time::parse(text).filter(|_| text.len() == 10);
    read.ok_or_else(|| "a day is written as 2026-01-31".to_owned())
}

/// From the first moment of one day to the last of another; both are days of which the first moment is given.
fn period(from: Option<Time>, to: Option<Time>) -> anyhow::Result<Period> {
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        bail!("--to is a day before --from");
    }
    let until = to.map_or(Period::ALL.until, |to| to + DAY);
    Ok(Period { from: from.unwrap_or(Period::ALL.from), until })
}

/// Runs a ledger command.
pub async fn run(command: LedgerCommand) -> anyhow::Result<ExitCode> {
    let text = match command {
        LedgerCommand::Balances { to, installation } => {
            balances(&installation.open().await?, period(None, to)?.until).await?
        }
        LedgerCommand::Order { order, installation } => postings(&installation.open().await?, &order).await?,
        LedgerCommand::Export(arguments) => return export(arguments).await,
        LedgerCommand::Findings { installation } => {
            let found = findings(&installation.open().await?).await?;
            let nothing = found.is_none();
            println!("{}", found.unwrap_or_else(|| "nothing differs".to_owned()));
            return Ok(if nothing { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        LedgerCommand::Acknowledge { finding, note, installation } => {
            acknowledge(&installation.open().await?, &finding, &note).await?
        }
    };
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

impl ExportArgs {
    fn what(&self) -> anyhow::Result<Export> {
        match (self.format, self.orders) {
            (Format::Csv, false) => Ok(Export::Postings),
            (Format::Csv, true) => Ok(Export::Orders),
            (Format::Hledger, false) => Ok(Export::Hledger),
            (Format::Hledger, true) => bail!("--orders makes rows, and a journal has none: use --format csv"),
        }
    }
}

async fn export(arguments: ExportArgs) -> anyhow::Result<ExitCode> {
    let (what, period) = (arguments.what()?, period(arguments.from, arguments.to)?);
    let kiosk = arguments.installation.open().await?;
    let mut out: Box<dyn Write + Send> = match &arguments.out {
        Some(path) => {
            // What stands there already was perhaps the only copy.
            let file = File::create_new(path).with_context(|| format!("cannot make the file {}", path.display()))?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(io::stdout())),
    };
    let market = kiosk.engine.shared.market();
    let written = kiosk.engine.db.read(move |tx| match books::export(tx, what, &market.rails, period, out.as_mut()) {
        Ok(()) => Ok(Ok(())),
        Err(ExportError::Database(error)) => Err(error),
        Err(ExportError::Write(error)) => Ok(Err(error)),
    });
    match written.await? {
        // Whoever reads the first lines only wants no more.
        Err(error) if arguments.out.is_none() && error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => {
            written.context("the export cannot be written")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What each account held before a moment, added up from the transfers. For the newest moment the kept balances are
/// compared with it.
///
/// # Errors
/// The database does not answer, or the kept balances are not the sums: `kiosk fsck` says more.
pub async fn balances(kiosk: &Kiosk, until: Time) -> anyhow::Result<String> {
    let market = kiosk.engine.shared.market();
    let read = kiosk.engine.db.read(move |tx| {
        let sums = match books::sums(tx, until) {
            Ok(sums) => sums,
            Err(ExportError::Database(error)) => return Err(error),
            Err(ExportError::Write(_)) => Sums::new(),
        };
        Ok((Coins::load(tx, &market.rails)?, sums, ledger::balances(tx)?))
    });
    let (coins, mut sums, kept) = read.await?;
    sums.retain(|_, units| *units != 0);
    if until == Period::ALL.until {
        let mut added: Sums = sums.clone();
        added.retain(|(_, account), _| *account != ALL_ORDERS);
        let kept = kept.into_iter().map(|balance| {
            let units = i128::from(balance.debit_units) - i128::from(balance.credit_units);
            ((balance.asset, balance.account), units)
        });
        let kept: Sums = kept.filter(|(_, units)| *units != 0).collect();
        if kept != added {
            bail!("the kept balances are not the sums of the transfers; see `kiosk fsck`");
        }
    }
    if sums.is_empty() {
        return Ok("nothing has moved yet".to_owned());
    }
    Ok(table(&sums, &coins))
}

fn table(sums: &Sums, coins: &Coins) -> String {
    let (mut lines, mut shown): (Vec<String>, Option<&AssetId>) = (Vec::new(), None);
    for (asset, account) in sums.keys() {
        if shown == Some(asset) {
            lines.push(balance_line(sums, coins, asset, account));
            continue;
        }
        if let Some(before) = shown {
            lines.extend([sum_line(sums, coins, before), String::new()]);
        }
        shown = Some(asset);
        let coin = coins.of(asset);
        let place = if coin.network.is_empty() { String::new() } else { format!(" on {}", coin.network) };
        lines.push(format!("{}{place} ({asset})", coin.name));
        lines.push(balance_line(sums, coins, asset, account));
    }
    lines.extend(shown.map(|last| sum_line(sums, coins, last)));
    lines.join("\n")
}

fn balance_line(sums: &Sums, coins: &Coins, asset: &AssetId, account: &Account) -> String {
    let units = sums.get(&(asset.clone(), account.clone())).copied().unwrap_or(0);
    let name = if *account == ALL_ORDERS { "orders (owed to payers)".to_owned() } else { account.to_string() };
    format!("  {name:<44} {:>28}", books::decimal(units, coins.of(asset).scale))
}

fn sum_line(sums: &Sums, coins: &Coins, asset: &AssetId) -> String {
    let sum: i128 = sums.iter().filter(|((of, _), _)| of == asset).map(|(_, units)| units).sum();
    format!("  {:<44} {:>28}", "sum", books::decimal(sum, coins.of(asset).scale))
}

/// Every posting of an order.
///
/// # Errors
/// There is no such order.
pub async fn postings(kiosk: &Kiosk, order: &str) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let (id, market) = (order.id, kiosk.engine.shared.market());
    let read = kiosk.engine.db.read(move |tx| Ok((Coins::load(tx, &market.rails)?, ledger::entries_of(tx, &[id])?)));
    let (coins, entries) = read.await?;
    if entries.is_empty() {
        return Ok(format!("order {} has moved nothing", order.no));
    }
    Ok(statement(&order, &entries, &coins))
}

fn statement(order: &Order, entries: &[Entry], coins: &Coins) -> String {
    let own = Account::Order(order.no);
    let mut lines = vec![format!(
        "{:<20}  {:<18} {:<24} {:<24} {:>20} {:>20}  COIN",
        "TIME", "EVENT", "DEBIT", "CREDIT", "AMOUNT", "OWED TO PAYER"
    )];
    let mut owed = std::collections::BTreeMap::<&AssetId, i128>::new();
    for entry in entries {
        let transfer = &entry.transfer;
        let (coin, units) = (coins.of(&transfer.asset), i128::from(transfer.units));
        let balance = owed.entry(&transfer.asset).or_default();
        *balance += if transfer.credit == own { units } else { 0 };
        *balance -= if transfer.debit == own { units } else { 0 };
        lines.push(format!(
            "{:<20}  {:<18} {:<24} {:<24} {:>20} {:>20}  {}",
            entry.at.rfc3339(),
            entry.kind.as_deref().unwrap_or("-"),
            transfer.debit.to_string(),
            transfer.credit.to_string(),
            books::decimal(units, coin.scale),
            books::decimal(*balance, coin.scale),
            coin.name
        ));
    }
    lines.join("\n")
}

/// What is open, oldest first; `None` if nothing is.
///
/// # Errors
/// The database does not answer.
pub async fn findings(kiosk: &Kiosk) -> anyhow::Result<Option<String>> {
    let open = kiosk.engine.db.read(|tx| audit::open(tx, audit_worker::SHOWN)).await?;
    let lines: Vec<String> = open.iter().map(finding_lines).collect();
    Ok(Some(lines.join("\n")).filter(|_| !lines.is_empty()))
}

fn finding_lines(finding: &Finding) -> String {
    let standing = match &finding.acknowledged {
        Some((at, note)) => format!("acknowledged {}: {note}", at.rfc3339()),
        None => format!("{} takes no new orders for it", finding.network),
    };
    let Finding { id, units, sentence, .. } = finding;
    let (found, seen) = (finding.found_at.rfc3339(), finding.seen_at.rfc3339());
    format!("{id}\n  {sentence} ({units} units)\n  found {found}, last seen {seen}; {standing}")
}

/// Says that somebody has looked into a finding.
///
/// # Errors
/// There is no open one of that name, or the note cannot be kept.
pub async fn acknowledge(kiosk: &Kiosk, finding: &str, note: &str) -> anyhow::Result<String> {
    let (id, note, now) = (finding.to_owned(), kept_line("--note", note)?, kiosk.engine.clock.now());
    if !kiosk.engine.write(move |tx| audit::acknowledge(tx, &id, &note, now)).await? {
        bail!("no open finding has that name; see `kiosk ledger findings`");
    }
    Ok(format!("{finding} is acknowledged; a server that runs knows within a minute"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(subcommand)]
        command: LedgerCommand,
    }

    fn export_of(words: &str) -> Option<(Export, Period)> {
        let parsed = Arguments::try_parse_from(std::iter::once("ledger").chain(words.split(' '))).ok()?;
        let LedgerCommand::Export(arguments) = parsed.command else { return None };
        Some((arguments.what().ok()?, period(arguments.from, arguments.to).ok()?))
    }

    #[test]
    fn days_are_whole_and_the_last_one_is_in() {
        // 2026-01-31 begins 1,769,817,600 seconds after 1970.
        let january = Period { from: Time(1_767_225_600_000), until: Time(1_769_904_000_000) };
        let words = "export --format csv --from 2026-01-01 --to 2026-01-31";
        assert_eq!(export_of(words), Some((Export::Postings, january)));
        assert_eq!(export_of("export --format csv --orders"), Some((Export::Orders, Period::ALL)));
        assert_eq!(export_of("export --format hledger"), Some((Export::Hledger, Period::ALL)));
        for wrong in [
            "export",
            "export --format csv --from 2026-02-30",
            "export --format csv --from 2026-01-01T00:00:00Z",
            "export --format csv --from 2026-02-01 --to 2026-01-31",
            "export --format hledger --orders",
        ] {
            assert_eq!(export_of(wrong), None, "{wrong}");
        }
    }
}
