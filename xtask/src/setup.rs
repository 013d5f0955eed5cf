//! Finds what the tests need on this machine and installs what is missing: the PostgreSQL server programs, and a Python
//! with `aiosmtpd`, the mail server that the mail tests talk to.
//!
//! It installs Debian packages only as root and never starts a server; the only other thing it changes is the Python
//! environment in the target directory. Called by `test`; the bench looks for its own tools with the same hands.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step;

/// Pinned, so that the mail tests of an old commit still run against the server they were written for.
const SMTP_PACKAGE: &str = "aiosmtpd==1.4.6";

/// Where the tests find the programs they start.
pub struct Tools {
    /// The folder that holds `initdb`, `pg_ctl` and `postgres`.
    pub postgres_programs: PathBuf,
    /// The Python interpreter that can import `aiosmtpd`.
    pub smtp_python: PathBuf,
}

/// Finds or installs all of it. An error says what to install by hand.
pub fn prepare(target_directory: &Path) -> Result<Tools> {
    step("looking for PostgreSQL and Python");
    let mut missing = Vec::new();
    if find_postgres().is_none() {
        missing.push("postgresql");
    }
    if !python_makes_environments() {
        missing.extend(["python3", "python3-venv"]);
    }
    if !missing.is_empty() {
        install_debian_packages(&missing)?;
    }

    let postgres_programs = find_postgres().context(
        "initdb, pg_ctl and postgres are neither on PATH nor in /usr/lib/postgresql/*/bin: \
         install the PostgreSQL server",
    )?;
    eprintln!("    PostgreSQL: {}", postgres_programs.display());
    let smtp_python = python_with_mail_server(&target_directory.join("test-python"))?;
    eprintln!("    Python:     {}", smtp_python.display());
    Ok(Tools { postgres_programs, smtp_python })
}

/// Whether this process is the superuser, whom a PostgreSQL server refuses to run for.
pub fn is_root() -> Result<bool> {
    let user = run_command(Command::new("id").arg("-u"))?;
    Ok(user.trim() == "0")
}

/// Runs a command to its end and returns what it printed. The error carries everything that the command printed,
/// because the reader has nothing else to go by.
pub fn run_command(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}: is it installed?"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{command:?} ended with {}\n{printed}{errors}", output.status);
    }
    Ok(printed)
}

/// The folder of PostgreSQL's server programs, if they are installed.
pub fn find_postgres() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).find(|folder| holds_postgres(folder)).or_else(newest_debian_postgres)
}

/// Debian keeps the server's programs off PATH, in a folder per major version.
fn newest_debian_postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, programs)| holds_postgres(programs))
        .max()
        .map(|(_, programs)| programs)
}

fn holds_postgres(folder: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"].iter().all(|program| folder.join(program).is_file())
}

/// Debian's `python3` lacks `ensurepip` until `python3-venv` is installed; an environment made without it has no pip.
fn python_makes_environments() -> bool {
    succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]))
}

fn python_with_mail_server(environment: &Path) -> Result<PathBuf> {
    let python = environment.join("bin").join("python");
    if succeeds(Command::new(&python).args(["-c", "import aiosmtpd"])) {
        return Ok(python);
    }
    step("installing aiosmtpd into a Python environment of its own");
    run_command(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))
        .context("cannot make a Python environment: install python3 and python3-venv")?;
    run_command(Command::new(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        SMTP_PACKAGE,
    ]))
    .with_context(|| format!("pip cannot install {SMTP_PACKAGE}, which the mail tests need"))?;
    Ok(python)
}

/// Debian's package starts a cluster of its own on the standard port. It is left alone: the tests make another one, on
/// another port.
pub fn install_debian_packages(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !is_root()? || !succeeds(Command::new("apt-get").arg("--version")) {
        bail!(
            "this task needs what this machine lacks, and only root on a system with apt-get can have it installed from \
             here; install it and try again (Debian: sudo apt-get install --no-install-recommends {names})"
        );
    }
    step(&format!("apt-get install {names}"));
    run_apt(&["update"])?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    run_apt(&arguments)
}

/// What apt prints is shown as it comes, since it may take minutes; stdout is kept for the summary of the tests.
fn run_apt(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr()))
        .status()
        .context("cannot start apt-get")?;
    if !status.success() {
        bail!("apt-get {} ended with {status}: its messages above say why", arguments.join(" "));
    }
    Ok(())
}

/// Whether a command can be started and ends well; what it prints is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_tells_what_it_printed() {
        let error = run_command(Command::new("sh").args(["-c", "echo first; echo second >&2; exit 3"]))
            .expect_err("an exit code of 3 is a failure");
        let message = error.to_string();
        assert!(message.contains("first\nsecond\n"), "{message}");
        assert!(message.contains('3'), "{message}");
    }

    #[test]
    fn a_program_that_does_not_exist_does_not_succeed() {
        assert!(!succeeds(&mut Command::new("kiosk-no-such-program")));
        assert!(succeeds(&mut Command::new("true")));
    }
}
