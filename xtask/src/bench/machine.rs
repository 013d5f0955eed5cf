//! The machine in one line: a figure without it means nothing. Called by `bench`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Result, bail};

use crate::setup::run_command;

/// Processor, cores, memory and kernel, as far as this system says.
pub fn describe() -> String {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = thread::available_parallelism().map_or(0, |cores| cores.get());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{processor}, {cores} cores, memory {memory}, Linux {}", kernel.trim())
}

/// A disk in memory syncs nothing, and every figure about durable writes would be wrong.
pub fn refuse_disk_in_memory(folder: &Path) -> Result<()> {
    let kind = run_command(Command::new("stat").args(["-f", "-c", "%T"]).arg(folder))?;
    if ["tmpfs", "ramfs"].contains(&kind.trim()) {
        bail!(
            "{} lies in memory ({}), where no write is durable: set TMPDIR and CARGO_TARGET_DIR to folders on a disk",
            folder.display(),
            kind.trim()
        );
    }
    Ok(())
}

/// The value of the first line `name : value`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned())
}
