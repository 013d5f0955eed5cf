//! Finds the programs that the bench measures with or against, and installs what is missing: nginx with nchan, wrk,
//! strace, PostgreSQL, anvil.
//!
//! It starts nothing, and leaves no server running that a package has started. Called by `bench`.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, find_postgres, install_debian_packages, succeeds};
use crate::step;
use crate::test::{ANVIL_VARIABLE, target_directory};

/// A program beside the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// nginx and its module nchan.
    Nginx,
    /// A load generator for requests that change nothing.
    Wrk,
    /// Makes a disk slow.
    Strace,
    Postgres,
    /// An EVM node; no package of the system has it, and looking for it installs it.
    Anvil,
}

impl Tool {
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Nginx => &["nginx-light", "libnginx-mod-nchan"],
            Self::Wrk => &["wrk"],
            Self::Strace => &["strace"],
            Self::Postgres => &["postgresql"],
            Self::Anvil => &[],
        }
    }

    fn check(self) -> Result<()> {
        match self {
            Self::Nginx => nginx().and_then(|_| nchan()).map(|_| ()),
            Self::Wrk => wrk().map(|_| ()),
            Self::Strace => strace().map(|_| ()),
            Self::Postgres => postgres().and_then(|_| psql()).map(|_| ()),
            Self::Anvil => anvil().map(|_| ()),
        }
    }
}

/// Installs what is missing. An error says what to install by hand.
pub fn prepare(tools: &BTreeSet<Tool>) -> Result<()> {
    let missing: Vec<Tool> = tools.iter().copied().filter(|tool| tool.check().is_err()).collect();
    let packages: Vec<&str> = missing.iter().flat_map(|tool| tool.packages()).copied().collect();
    if !packages.is_empty() {
        let had_nginx = nginx().is_ok();
        install_debian_packages(&packages)?;
        if !had_nginx && nginx().is_ok() {
            // The package starts a server on port 80 of every address. Nobody asked for one.
            step("stopping the web server that the package may have started");
            if !succeeds(Command::new("service").args(["nginx", "stop"])) {
                eprintln!("    there was none to stop, or it could not be stopped");
            }
        }
    }
    tools.iter().try_for_each(|tool| tool.check())
}

/// The web server.
pub fn nginx() -> Result<PathBuf> {
    program("nginx").context("nginx is not installed (Debian: nginx-light)")
}

/// Its module for event streams.
pub fn nchan() -> Result<PathBuf> {
    const FOLDERS: [&str; 4] =
        ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules", "/usr/local/nginx/modules"];
    let mut modules = FOLDERS.iter().map(|folder| Path::new(folder).join("ngx_nchan_module.so"));
    modules
        .find(|module| module.is_file())
        .context("the module nchan of nginx is not installed (Debian: libnginx-mod-nchan)")
}

/// The load generator.
pub fn wrk() -> Result<PathBuf> {
    program("wrk").context("wrk is not installed (Debian: wrk)")
}

/// The tracer.
pub fn strace() -> Result<PathBuf> {
    program("strace").context("strace is not installed (Debian: strace)")
}

/// The folder of PostgreSQL's programs.
pub fn postgres() -> Result<PathBuf> {
    find_postgres().context("the PostgreSQL server is not installed (Debian: postgresql)")
}

/// PostgreSQL's command line, which may lie apart from the server's programs.
pub fn psql() -> Result<PathBuf> {
    let beside_server = postgres().ok().map(|folder| folder.join("psql")).filter(|program| program.is_file());
    beside_server.or_else(|| program("psql")).context("psql is not installed (Debian: postgresql-client)")
}

/// The EVM node: the one that is named in the environment, else the tests' own.
pub fn anvil() -> Result<PathBuf> {
    match env::var_os(ANVIL_VARIABLE).filter(|program| !program.is_empty()) {
        Some(program) => Ok(PathBuf::from(program)),
        None => setup::anvil(&target_directory()),
    }
}

/// Servers are often kept where only root's PATH leads.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from);
    env::split_paths(&path).chain(more).map(|folder| folder.join(name)).find(|program| program.is_file())
}
