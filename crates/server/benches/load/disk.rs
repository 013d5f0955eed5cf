//! The write that every commit waits for: 4 KiB and `fdatasync`, on the disk of a folder.

use crate::timing::{median, micros, per_mille};
use anyhow::Context;
use serde_json::{Value, json};
use std::fs::{File, remove_file};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

const WRITES: usize = 200;
const BLOCK: [u8; 4096] = [0x6b; 4096];

#[derive(clap::Args)]
pub struct DiskArgs {
    /// A folder on the disk in question.
    #[arg(long)]
    folder: PathBuf,
}

pub fn run(arguments: &DiskArgs) -> anyhow::Result<Value> {
    let path = arguments.folder.join("kiosk-bench-disk");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    // Laid out first, as a log is that was gone through once: growing a file costs more than writing into it.
    for number in 0..WRITES {
        write(&file, number)?;
    }
    file.sync_all().context("cannot sync")?;
    let mut took = Vec::with_capacity(WRITES);
    for number in 0..WRITES {
        let start = Instant::now();
        write(&file, number)?;
        file.sync_data().context("cannot sync")?;
        took.push(micros(start.elapsed()));
    }
    remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(json!({ "median_us": median(&mut took), "p99_us": per_mille(&mut took, 990) }))
}

fn write(file: &File, number: usize) -> anyhow::Result<()> {
    file.write_all_at(&BLOCK, (number * BLOCK.len()) as u64).context("cannot write")
}
