//! `kiosk backup`, `kiosk restore` and `kiosk stock release`.
//!
//! A backup holds orders, ledger and sealed codes, and never the key that opens them. A restored shop is older than the
//! world: it begins a new epoch (store/epoch.rs), and every order that may have moved on since waits for a person. Must
//! never overwrite a file, and never leave a half-restored database where a server would find it. Called by the command
//! line.

use super::Installation;
use crate::boot::{self, Kiosk};
use crate::clock::{SystemClock, SystemIds};
use crate::config::Config;
use crate::engine::{BATCH_LIMIT, Shared, commit_batch};
use crate::ports::{Clock, Ids};
use crate::store::epoch::{self, Begun};
use crate::store::{Access, Conn, DbError, Place, claims, orders};
use anyhow::{Context, bail};
use domain::asset::ChainKind;
use domain::decide::Command;
use domain::event::HoldReason;
use domain::fulfil::Line;
use domain::ids::Sku;
use domain::order::Order;
use domain::time::Time;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a person finds as the reason of a hold after a restore.
pub const RESTORED_NOTE: &str = "restored from a backup that is older than the world: what this order waits for may have \
    been delivered, or its money given back, since; look before it goes on";

/// So many addresses may have been derived, and given to orders, since a backup was made.
pub const MAY_BE_OUT: usize = 10_000;

/// Orders read at once.
const PAGE: i64 = 500;

#[derive(clap::Args)]
pub struct BackupArgs {
    /// The new file; it must not exist.
    file: PathBuf,
    #[command(flatten)]
    installation: Installation,
}

#[derive(clap::Args)]
pub struct RestoreArgs {
    /// A file that `kiosk backup` made.
    #[arg(required_unless_present = "already_restored")]
    file: Option<PathBuf>,
    /// PostgreSQL only: pg_restore has put the database back, and the new epoch is still to begin.
    #[arg(long, conflicts_with = "file")]
    already_restored: bool,
    #[command(flatten)]
    installation: Installation,
}

#[derive(clap::Args)]
pub struct ReleaseArgs {
    /// SKUs whose codes somebody has looked at.
    #[arg(required_unless_present = "all")]
    skus: Vec<String>,
    /// The quarantined codes of every SKU.
    #[arg(long, conflicts_with = "skus")]
    all: bool,
    #[command(flatten)]
    installation: Installation,
}

/// What a restore made of the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub begun: Begun,
    /// Orders that were put on hold.
    pub held: usize,
}

/// Runs `kiosk backup`.
pub async fn backup(arguments: BackupArgs) -> anyhow::Result<ExitCode> {
    let config = arguments.installation.settings()?;
    let file = arguments.file;
    let shown = file.display().to_string();
    // The databases are used by blocking calls, as in the engine's own thread.
    tokio::task::spawn_blocking(move || back_up(&config, &file)).await??;
    println!(
        "{shown} holds the whole database, and was checked.\n\
         The sealing key is not in it: keep a copy of secret.key in another place. Whoever has both can read every code. \
         Order ids are in it, and they open delivered codes at the running shop: guard it like the key."
    );
    Ok(ExitCode::SUCCESS)
}

/// Copies the database of a shop, which may be running, into a new file for its owner's eyes.
///
/// # Errors
/// The file exists; the database is PostgreSQL's; the copy failed, and is then removed.
pub fn back_up(config: &Config, file: &Path) -> anyhow::Result<()> {
    let Place::SqliteFile(source) = config.database()? else {
        bail!(
            "this shop keeps its data in PostgreSQL: make the backup with `pg_dump --format=custom`. Keep secret.key apart \
             from it. After a pg_restore run `kiosk restore --already-restored` before the shop opens again"
        );
    };
    if !source.exists() {
        bail!("there is no database in {}; is --data-dir right?", config.server.data_dir.display());
    }
    let source = fs::canonicalize(&source)?;
    let file = std::path::absolute(file)?;
    let made = create_private(&file)?;
    let copied = epoch::copy_database(&source, &file)
        .map_err(anyhow::Error::from)
        .and_then(|()| made.sync_all().map_err(anyhow::Error::from))
        .and_then(|()| sync_folder_of(&file));
    if copied.is_err() {
        // The error being returned says more than a failure to tidy up after it.
        drop(fs::remove_file(&file));
    }
    copied.with_context(|| format!("the backup {} was not made", file.display()))
}

/// Runs `kiosk restore`.
pub async fn restore(arguments: RestoreArgs) -> anyhow::Result<ExitCode> {
    let config = arguments.installation.settings()?;
    let same = arguments.installation.as_arguments();
    let key = config.secret_key_file();
    let restored = tokio::task::spawn_blocking(move || {
        let now = SystemClock.now();
        match arguments.file {
            Some(file) => put_back(&config, &file, MAY_BE_OUT, now),
            None => begin_on_postgres(&config, now),
        }
    });
    let restored = restored.await??;
    println!("{}", advice(&restored, &key, &same));
    Ok(ExitCode::SUCCESS)
}

fn advice(restored: &Restored, key: &Path, same: &str) -> String {
    let Begun { epoch, next_no, quarantined, skipped } = &restored.begun;
    let mut text = format!(
        "The database is back; epoch {epoch} has begun.\n  \
         {quarantined} unsold codes are quarantined: some may have been sold after the backup was made. Once somebody has \
         looked: kiosk stock release SKU{same}\n  \
         {held} orders are on hold, because they may have moved on since: kiosk order list --held{same}\n  \
         {skipped} free addresses will not be given out; a sandbox fills its pool by itself, or: kiosk wallet pool make \
         --count 1000{same}\n  \
         The next order gets the number {next_no}. All networks are scanned from where the backup stood.\n\
         What was undone since the backup is back, and only you know of it: accounts that were disabled, personal data that \
         was forgotten, code files that were imported (import none of them again before somebody has looked what of it \
         was sold).\n\
         Check it with: kiosk fsck{same}",
        held = restored.held,
    );
    if !key.exists() {
        text.push_str(&format!(
            "\nThe sealing key is missing: put the secret.key that belongs to this database to {} before anything is started.",
            key.display()
        ));
    }
    text
}

/// Puts a backup into a data directory that has no database, and begins a new epoch on it. So many addresses after those of
/// the backup are watched (`MAY_BE_OUT`).
///
/// # Errors
/// There is a database already; the file is not a backup; the copy could not be finished, and is then removed.
pub fn put_back(config: &Config, file: &Path, may_be_out: usize, now: Time) -> anyhow::Result<Restored> {
    let Place::SqliteFile(database) = config.database()? else {
        bail!(
            "this shop keeps its data in PostgreSQL: put it back with pg_restore, then run \
             `kiosk restore --already-restored` before the shop opens again"
        );
    };
    refuse_existing(&database)?;
    let log = with_ending(file, "-wal");
    if log.exists() {
        bail!("{} stands beside the file: it is no backup but a database that was in use", log.display());
    }
    if !file.exists() {
        bail!("there is no file {}", file.display());
    }
    epoch::check_copy(file).with_context(|| format!("{} is not a backup of kiosk", file.display()))?;
    let data_dir = &config.server.data_dir;
    fs::create_dir_all(data_dir).with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
    let unfinished = with_ending(&database, ".restoring");
    let target = create_private(&unfinished)?;
    let restored =
        copy_into(file, target).and_then(|()| renew_file(config, &unfinished, may_be_out, now)).and_then(|restored| {
            // Asked again, so that a server that was started meanwhile keeps its database.
            refuse_existing(&database)?;
            fs::rename(&unfinished, &database)?;
            sync_folder_of(&database)?;
            Ok(restored)
        });
    if restored.is_err() {
        for ending in ["", "-wal", "-shm", "-journal"] {
            drop(fs::remove_file(with_ending(&unfinished, ending)));
        }
    }
    restored.with_context(|| format!("{} was not restored", file.display()))
}

fn refuse_existing(database: &Path) -> anyhow::Result<()> {
    for ending in ["", "-wal"] {
        let found = with_ending(database, ending);
        if found.exists() {
            bail!("{} exists and is never overwritten: restore into another --data-dir", found.display());
        }
    }
    Ok(())
}

fn copy_into(file: &Path, mut target: File) -> anyhow::Result<()> {
    io::copy(&mut File::open(file)?, &mut target)?;
    Ok(target.sync_all()?)
}

fn renew_file(config: &Config, path: &Path, may_be_out: usize, now: Time) -> anyhow::Result<Restored> {
    let mut conn = Conn::open(&Place::SqliteFile(path.to_path_buf()))?;
    conn.migrate()?;
    watch_what_may_be_out(&mut conn, config, may_be_out)?;
    let restored = renew(&mut conn, &sharing(config)?, now)?;
    epoch::close_whole(conn)?;
    File::open(path)?.sync_all()?;
    Ok(restored)
}

fn begin_on_postgres(config: &Config, now: Time) -> anyhow::Result<Restored> {
    let place = config.database()?;
    if !matches!(place, Place::Postgres(_)) {
        bail!("--already-restored is for PostgreSQL; here name the file that `kiosk backup` made");
    }
    let mut conn = Conn::open(&place)?;
    conn.migrate()?;
    watch_what_may_be_out(&mut conn, config, MAY_BE_OUT)?;
    renew(&mut conn, &sharing(config)?, now)
}

/// Addresses that orders may have which the copy knows nothing of: money that comes there is found, as nobody's. Those of
/// EVM chains follow from the wallet's public key; of Solana's nothing is known but what stands in the operator's file.
fn watch_what_may_be_out(conn: &mut Conn, config: &Config, count: usize) -> anyhow::Result<()> {
    boot::check_origin(conn, config)?;
    let Some(account) = config.evm_account()?.filter(|_| !config.sandbox.enabled) else { return Ok(()) };
    let next = conn.tx(Access::Read, |tx| claims::next_index(tx, ChainKind::Evm))?;
    let addresses = account.addresses(next, count)?;
    conn.tx(Access::Write, |tx| claims::add_set_aside(tx, ChainKind::Evm, &addresses, "restored"))?;
    Ok(())
}

fn sharing(config: &Config) -> anyhow::Result<Shared> {
    Ok(Shared::new(crate::entropy::to_hex(&SystemIds.bytes()), boot::market(config)?))
}

/// Begins the new epoch, then has the engine hold every order that may have moved on.
pub fn renew(conn: &mut Conn, shared: &Shared, now: Time) -> anyhow::Result<Restored> {
    let begun = conn.tx(Access::Write, epoch::begin)?;
    let mut holds = Vec::new();
    let mut before = i64::MAX;
    loop {
        let page = conn.tx(Access::Read, |tx| orders::newest(tx, before, PAGE))?;
        let Some(last) = page.last() else { break };
        before = last.no;
        holds.extend(page.iter().filter(|order| may_have_moved_on(order)).map(hold));
    }
    let held = holds.len();
    let mut waiting = holds.into_iter().peekable();
    while waiting.peek().is_some() {
        let batch = waiting.by_ref().take(BATCH_LIMIT).collect();
        for answer in commit_batch(conn, shared, batch, now) {
            answer.context("an order could not be put on hold")?;
        }
    }
    Ok(Restored { begun, held })
}

/// An order with a line that has not ended, if it is paid or may have been paid since: its goods may have been bought, a
/// code of ours shown, or the line given up by a person and the money sent back, after the backup was made. What was asked
/// for is looked up all the same. Or an order that owes its payer money: he may have got it since, and would get it again.
pub fn may_have_moved_on(order: &Order) -> bool {
    let has_open_line =
        !order.lines.iter().all(Line::is_ended) || order.payout.as_ref().is_some_and(|payout| !payout.is_over());
    let is_open = order.payment.settled_at.is_some() || (order.canceled_at.is_none() && !order.payment.closed);
    let received = &order.payment.received;
    let owes_money = received.iter().any(|received| order.owed_units(&received.asset) > 0);
    (has_open_line && is_open) || owes_money
}

/// Holds the whole order, beside the holds that it has.
fn hold(order: &Order) -> Command {
    // What is looked up ends a hold about an unknown outcome; this one about a payout is for a person to end.
    let reason = if order.payout.is_some() { HoldReason::Operator } else { HoldReason::OutcomeUnknown };
    let note = RESTORED_NOTE.to_owned();
    Command::Hold { order: order.id, reason, line: None, note }
}

/// Runs `kiosk stock release`.
pub async fn release(arguments: ReleaseArgs) -> anyhow::Result<ExitCode> {
    let kiosk = arguments.installation.open().await?;
    let skus = match arguments.all {
        true => kiosk.engine.db.read(epoch::quarantined).await?.into_keys().collect(),
        false => arguments.skus.iter().map(|sku| Sku::new(sku.trim())).collect(),
    };
    let released = release_codes(&kiosk, skus).await?;
    if released.is_empty() {
        println!("no code is quarantined there");
    }
    for (sku, count) in released {
        println!("{sku}  {count} codes are on sale again");
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the quarantined codes of those SKUs back on sale; answers how many of each.
pub async fn release_codes(kiosk: &Kiosk, skus: Vec<Sku>) -> Result<BTreeMap<Sku, i64>, DbError> {
    let now = kiosk.engine.clock.now();
    kiosk.engine.write(move |tx| epoch::release(tx, &skus, now)).await
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A new file, for its owner alone from its first moment on.
fn create_private(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{} exists and is never overwritten; remove it or choose another name", path.display())
        }
        _ => anyhow::Error::from(error).context(format!("cannot make {}", path.display())),
    })
}

/// Makes the name of a new file durable, not only its content.
fn sync_folder_of(path: &Path) -> anyhow::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(File::open(folder)?.sync_all()?)
}
