//! `kiosk wallet pool import`: Solana addresses that were made offline.
//!
//! The whole file is checked before the first address is written. A run that was cut off is run again: what the pool holds
//! already is passed over. Must never print a line of the file: it may be a private key.

use crate::boot::Kiosk;
use crate::wallet::solana::{SolanaAddress, read_addresses};
use anyhow::Context;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Addresses that are written in one transaction.
const CHUNK: usize = 1_000;
/// Progress is told after so many.
const TOLD_EVERY: usize = 50_000;

/// What became of the addresses of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    pub added: usize,
    /// They stood in the pool already, given out or not.
    pub known: usize,
}

/// Reads and checks a file of addresses.
///
/// # Errors
/// As [`crate::wallet::solana::FileError`] names them, with the line.
pub fn read(path: &Path) -> anyhow::Result<Vec<SolanaAddress>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let addresses = read_addresses(&mut BufReader::new(file));
    addresses.with_context(|| format!("nothing was imported from {}", path.display()))
}

/// Adds to the pool what it does not hold yet, in the file's order.
///
/// # Errors
/// This is a sandbox; or the database failed, and what was added before stays.
pub async fn import(
    kiosk: &Kiosk,
    addresses: &[SolanaAddress],
    progress: &mut dyn FnMut(usize),
) -> anyhow::Result<Imported> {
    let mut imported = Imported::default();
    for (chunk, done) in addresses.chunks(CHUNK).zip((CHUNK..).step_by(CHUNK)) {
        let added = kiosk.pools.import(chunk).await.with_context(|| match imported.added {
            0 => "nothing was imported".to_owned(),
            added => format!("{added} addresses were added before this failed; run it again for the rest"),
        })?;
        imported.added += added;
        imported.known += chunk.len() - added;
        if done.is_multiple_of(TOLD_EVERY) {
            progress(done);
        }
    }
    Ok(imported)
}
