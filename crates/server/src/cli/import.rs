//! `kiosk catalogue` and `kiosk stock`.

use super::{Installation, backup};
use crate::boot;
use crate::catalogue_generate;
use crate::ports::Goods;
use crate::store::epoch;
use crate::store::stock::{self, NewCode};
use crate::store::{DbError, Tx};
use anyhow::{Context, bail};
use clap::Subcommand;
use domain::ids::Sku;
use domain::time::Time;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum CatalogueCommand {
    /// Put a catalogue file in force; all or nothing.
    Import {
        file: PathBuf,
        #[command(flatten)]
        installation: Installation,
    },
    /// Print a synthetic catalogue, for measuring.
    Generate {
        /// Brand-country records.
        #[arg(long)]
        records: usize,
    },
}

#[derive(Subcommand)]
pub enum StockCommand {
    /// Add codes from a CSV file with the columns sku, pin_code, pin_serial, security_code, expires_on.
    Import {
        file: PathBuf,
        #[command(flatten)]
        installation: Installation,
    },
    /// Put codes back on sale that a restore has quarantined, once somebody has looked at them.
    Release(backup::ReleaseArgs),
    /// Show how many codes are free, held and quarantined, by SKU.
    List {
        #[command(flatten)]
        installation: Installation,
    },
}

/// Runs a catalogue command.
pub async fn catalogue(command: CatalogueCommand) -> anyhow::Result<ExitCode> {
    match command {
        CatalogueCommand::Generate { records } => println!("{}", catalogue_generate::generate(records)),
        CatalogueCommand::Import { file, installation } => {
            let kiosk = installation.open().await?;
            let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let mut progress = |brands: usize| {
                if brands.is_multiple_of(1_000) {
                    eprintln!("{brands} brands read");
                }
            };
            match boot::import_catalogue(&kiosk, text, file.parent().unwrap_or(Path::new("")), &mut progress).await {
                Ok(brands) => println!("{brands} brands are in force; a running server shows them within a second"),
                Err(errors) => {
                    errors.iter().for_each(|error| eprintln!("{}: {error}", file.display()));
                    bail!("nothing was imported");
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a stock command.
pub async fn stock(command: StockCommand) -> anyhow::Result<ExitCode> {
    match command {
        StockCommand::Import { file, installation } => import_codes(&file, &installation).await,
        StockCommand::Release(arguments) => backup::release(arguments).await,
        StockCommand::List { installation } => {
            let kiosk = installation.open().await?;
            let both = kiosk.engine.db.read(|tx| Ok((stock::counts(tx)?, epoch::quarantined(tx)?)));
            let (counts, quarantined) = both.await?;
            for (sku, count) in counts {
                let waiting = quarantined.get(&sku).copied().unwrap_or(0);
                println!("{sku}  free {}  held {}  quarantined {waiting}", count.free, count.held);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// One line of the file. Never printed: no `Debug`.
#[derive(serde::Deserialize)]
struct CodeRecord {
    sku: String,
    pin_code: String,
    #[serde(default)]
    pin_serial: Option<String>,
    #[serde(default)]
    security_code: Option<String>,
    #[serde(default)]
    expires_on: Option<String>,
}

async fn import_codes(file: &Path, installation: &Installation) -> anyhow::Result<ExitCode> {
    let kiosk = installation.open().await?;
    let market = kiosk.engine.shared.market();
    let mut reader = csv::Reader::from_path(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut codes: BTreeMap<String, (u64, NewCode)> = BTreeMap::new();
    for record in reader.deserialize::<CodeRecord>() {
        let record = record.map_err(|error| csv_error(&error))?;
        let line = codes.len() as u64 + 2;
        let sku = Sku::new(record.sku.trim());
        if market.catalogue.product(&sku).is_none() {
            bail!("line {line}: sku {sku} is not in the catalogue; nothing was imported");
        }
        let code = new_code(&kiosk, &sku, record, line)?;
        if let Some((first, _)) = codes.insert(code.fingerprint.clone(), (line, code)) {
            bail!("lines {first} and {line} hold the same code; nothing was imported");
        }
    }
    let count = codes.len();
    let now = kiosk.engine.clock.now();
    let known = kiosk.engine.write(move |tx| add_unknown(tx, codes, now)).await?;
    if let Some(line) = known {
        bail!("the code of line {line} was imported before; nothing was imported");
    }
    println!("{count} codes added");
    Ok(ExitCode::SUCCESS)
}

fn new_code(kiosk: &boot::Kiosk, sku: &Sku, record: CodeRecord, line: u64) -> anyhow::Result<NewCode> {
    let filled = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let pin_code = record.pin_code.trim().to_owned();
    if pin_code.is_empty() || pin_code.contains('\0') {
        bail!("line {line}: pin_code is empty or holds a NUL; nothing was imported");
    }
    let expires_on = filled(record.expires_on);
    if let Some(date) = expires_on.as_deref().filter(|date| Time::parse(date).is_none() || date.len() != 10) {
        bail!("line {line}: expires_on is {date:?}; write YYYY-MM-DD; nothing was imported");
    }
    if expires_on.as_deref().and_then(Time::parse).is_some_and(|date| date.day() < kiosk.engine.clock.now().day()) {
        bail!("line {line}: the code expired before today; nothing was imported");
    }
    let goods = Goods { pin_code, pin_serial: filled(record.pin_serial), security_code: filled(record.security_code) };
    Ok(boot::new_code(kiosk, sku, &goods, expires_on))
}

/// The position only: the library's own text may quote the line, and with it a code.
fn csv_error(error: &csv::Error) -> anyhow::Error {
    let line = error.position().map_or(0, csv::Position::line);
    anyhow::anyhow!(
        "line {line} does not have the columns sku,pin_code,pin_serial,security_code,expires_on; nothing was imported"
    )
}

/// Adds all, or answers the line of one that is there already.
fn add_unknown(tx: &mut Tx<'_>, codes: BTreeMap<String, (u64, NewCode)>, now: Time) -> Result<Option<u64>, DbError> {
    let known = stock::known_fingerprints(tx, codes.keys().cloned().collect())?;
    if let Some(line) = known.iter().filter_map(|fingerprint| codes.get(fingerprint)).map(|(line, _)| *line).min() {
        return Ok(Some(line));
    }
    stock::add(tx, codes.into_values().map(|(_, code)| code).collect(), now)?;
    Ok(None)
}
