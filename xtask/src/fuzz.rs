//! `cargo xtask fuzz [SECONDS]`: libFuzzer looks for bytes that a door cannot bear, for so long at each target.
//!
//! The stable compiler can count which code ran; only our own crates are built so, by a wrapper around the compiler, and
//! everything else is taken from the other release builds. The folder has the layout that `cargo fuzz` knows, too. Never
//! part of `cargo xtask test`: what it finds depends on chance.

use crate::setup::{install_debian_packages, succeeds};
use crate::step;
use crate::test::{plain_cargo, repository_root, target_directory};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The targets, as `crates/fuzz/targets` has them.
const TARGETS: [&str; 5] = ["order_body", "catalogue", "exchange_params", "exchange_file", "exchange_amount"];
/// A minute each finds what a careless change breaks; a night finds more.
pub const SECONDS: u32 = 60;
/// Longer inputs find nothing that shorter ones do not, and take longer.
const LONGEST_INPUT: u32 = 16_384;

/// Runs all targets side by side. An error names what was found, or why they could not be run.
pub fn run(seconds: u32) -> Result<()> {
    if !succeeds(Command::new("c++").arg("--version")) {
        install_debian_packages(&["g++"])?;
    }
    step("building the fuzz targets");
    let root = repository_root();
    let built = plain_cargo()
        .args(["build", "--release", "--locked", "--package", "fuzz", "--features", "libfuzzer"])
        .env("RUSTC_WORKSPACE_WRAPPER", root.join("crates/fuzz/counting-rustc"))
        .status()
        .context("cannot start cargo")?;
    if !built.success() {
        bail!("the fuzz targets cannot be built");
    }
    let mut running = Vec::new();
    for target in TARGETS {
        step(&format!("{target}, for {seconds} seconds"));
        running.push((target, start(&root, target, seconds)?));
    }
    let mut failed = Vec::new();
    for (target, mut child) in running {
        if !child.wait().with_context(|| format!("cannot wait for {target}"))?.success() {
            failed.push(target);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let found = target_directory().join("fuzz");
    bail!(
        "{} failed. The input and the log are in its folder below {}: mend the fault, and keep the input in crates/fuzz/seeds",
        failed.join(" and "),
        found.display()
    )
}

fn start(root: &Path, target: &str, seconds: u32) -> Result<Child> {
    let folder = target_directory().join("fuzz").join(target);
    let corpus = folder.join("corpus");
    fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    let log = fs::File::create(folder.join("log")).context("cannot write the log of a target")?;
    let mut command = Command::new(target_directory().join("release").join(target));
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST_INPUT}"))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/", folder.display()))
        .arg(&corpus)
        .arg(root.join("crates/fuzz/seeds").join(target))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command.spawn().with_context(|| format!("cannot start {target}"))
}
