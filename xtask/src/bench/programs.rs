//! What is measured: the server and the load generator, built for release, and the calls of the load generator.
//!
//! All of it is built before anything is measured. Called by every figure.

use std::cell::OnceCell;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::machine::refuse_disk_in_memory;
use super::process::OPEN_FILES;
use super::shop::{Database, Shop};
use super::tools;
use crate::setup::run_command;
use crate::step;
use crate::test::{plain_cargo, target_directory};

/// One call of the load generator ends itself much sooner; this keeps a server that never answers from stopping the run.
const MOST_SECONDS: &str = "180";
/// The same for one that fills a shop with millions of rows, or a chain with thousands of blocks.
const MOST_SECONDS_OF_FILLING: &str = "900";

/// Each `fsync` and `fdatasync` returns 5 ms late; nothing else is slowed down.
const SLOW_DISK: [&str; 9] = [
    "--seccomp-bpf",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "trace=fdatasync,fsync",
    "-e",
    "inject=fdatasync,fsync:delay_exit=5000",
];

/// The disk under a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// As it is.
    Real,
    /// 5 ms slower at each sync.
    Slow,
}

impl Disk {
    /// What stands before a command.
    pub fn prefix(self) -> Result<Vec<OsString>> {
        match self {
            Self::Real => Ok(Vec::new()),
            Self::Slow => {
                let strace = tools::strace()?.into_os_string();
                Ok(std::iter::once(strace).chain(SLOW_DISK.map(OsString::from)).collect())
            }
        }
    }
}

/// Everything that a figure needs.
pub struct Bench {
    pub kiosk: PathBuf,
    load: PathBuf,
    /// Before the folder that it lies in, so that it goes first.
    template: OnceCell<Shop>,
    folder: Folder,
}

impl Bench {
    /// Builds the programs and makes a folder for what they write.
    pub fn prepare() -> Result<Self> {
        let load = build_load()?;
        step("cargo build --release");
        run_command(plain_cargo().args(["build", "--release", "--package", "server"])).context("cannot build kiosk")?;
        let kiosk = target_directory().join("release").join("kiosk");
        let folder = Folder::make(target_directory().join("bench"))?;
        refuse_disk_in_memory(&folder.0)?;
        Ok(Self { kiosk, load, template: OnceCell::new(), folder })
    }

    /// Where a figure may write; deleted at the end of the run.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// A shop of its own on SQLite, with the large catalogue and free addresses. The first call fills the shelves, the
    /// others copy them.
    pub fn shop(&self, name: &str) -> Result<Shop> {
        let template = match self.template.get() {
            Some(template) => template,
            None => {
                step("filling a shop: 10,500 brand records, 200,000 addresses");
                let shop = Shop::open(self.folder().join("template"), Database::Sqlite)?;
                shop.fill(self)?;
                self.template.get_or_init(|| shop)
            }
        };
        template.copy_to(self.folder().join(name), Database::Sqlite)
    }

    /// Calls the load generator.
    pub fn load(&self, arguments: &[&str]) -> Result<Reading> {
        self.load_on(Disk::Real, arguments)
    }

    /// The same with another disk under the load generator itself.
    pub fn load_on(&self, disk: Disk, arguments: &[&str]) -> Result<Reading> {
        self.call(disk, MOST_SECONDS, arguments)
    }

    /// The same for a call that fills something first.
    pub fn fill(&self, arguments: &[&str]) -> Result<Reading> {
        self.call(Disk::Real, MOST_SECONDS_OF_FILLING, arguments)
    }

    fn call(&self, disk: Disk, most_seconds: &str, arguments: &[&str]) -> Result<Reading> {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", most_seconds, "sh", "-c", r#"ulimit -n "$0" && exec "$@""#, OPEN_FILES]);
        command.args(disk.prefix()?).arg(&self.load).args(arguments);
        let printed = run_command(without_settings(&mut command))?;
        let line = printed.lines().find(|line| line.starts_with('{'));
        Ok(Reading(line.with_context(|| format!("{arguments:?} printed no figures"))?.to_owned()))
    }
}

/// The line of JSON that the load generator answers with: whole numbers by name.
pub struct Reading(String);

impl Reading {
    pub fn number(&self, name: &str) -> Result<u64> {
        let wanted = format!("\"{name}\":");
        let value = self.0.split_once(&wanted).map(|(_, after)| after.trim_start());
        let digits: String = value.into_iter().flat_map(str::chars).take_while(char::is_ascii_digit).collect();
        digits.parse().with_context(|| format!("the load generator did not say {name}: {}", self.0))
    }
}

/// A command that the caller's own settings of kiosk do not reach.
pub fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("KIOSK__") {
            command.env_remove(&name);
        }
    }
    command
}

/// Words of different kinds as one command.
pub fn words(parts: &[&OsStr]) -> Vec<OsString> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

fn build_load() -> Result<PathBuf> {
    step("cargo bench --no-run");
    let mut command = plain_cargo();
    command.args(["bench", "--no-run", "--package", "server", "--bench", "load"]);
    command.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cannot build the load generator: cargo's messages above say why");
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let executable = executable_in(&messages).context("cargo did not say where the load generator is")?;
    Ok(PathBuf::from(executable))
}

/// The executable of the benchmark among the messages of cargo, one JSON object a line.
fn executable_in(messages: &str) -> Option<String> {
    const FIELD: &str = "\"executable\":\"";
    let is_load = |line: &&str| line.contains("\"kind\":[\"bench\"]") && line.contains("\"name\":\"load\"");
    let line = messages.lines().filter(is_load).find(|line| line.contains(FIELD))?;
    let (_, after) = line.split_once(FIELD)?;
    after.split_once('"').map(|(path, _)| path.to_owned())
}

/// A folder that is deleted at the end.
struct Folder(PathBuf);

impl Folder {
    /// What an interrupted run left there is deleted first.
    fn make(path: PathBuf) -> Result<Self> {
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot delete {}", path.display()))?;
        }
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: {} was not deleted: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_generator_is_found_among_what_cargo_says() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"lib\"],\"name\":\"server\"},\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"bin\"],\"name\":\"kiosk\"},\"executable\":\"/t/kiosk\"}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"kind\":[\"bench\"],\"name\":\"load\"},\"executable\":\"/t/load-1\"}\n";
        assert_eq!(executable_in(messages).as_deref(), Some("/t/load-1"));
        assert_eq!(executable_in("{\"reason\":\"build-finished\"}"), None);
    }

    #[test]
    fn a_reading_is_whole_numbers_by_name() {
        let reading = Reading("{\"elapsed_us\":8000001,\"orders\": 17,\"p99_us\":9}".to_owned());
        assert_eq!(reading.number("orders").expect("it is there"), 17);
        assert_eq!(reading.number("elapsed_us").expect("it is there"), 8_000_001);
        assert!(reading.number("p50_us").is_err());
    }
}
