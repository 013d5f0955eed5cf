//! `cargo xtask test`: every test of the workspace, with a PostgreSQL server, a mail server, an EVM node and
//! hledger to test against.
//!
//! It tells the test processes where those are by environment variables; a test that finds one unset runs without
//! (plain `cargo test` uses SQLite alone, no EVM node and no hledger). It never decides whether a test counts: what fails, fails the run.

use std::env;
use std::fmt;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::postgres::{Cluster, Durability};
use crate::setup::{self, Tools};
use crate::step;

/// A connection URL of a server that tests may make databases on.
const POSTGRES_VARIABLE: &str = "KIOSK_TEST_POSTGRES";

/// A Python interpreter that can run `-m aiosmtpd`.
const SMTP_VARIABLE: &str = "KIOSK_TEST_SMTP_PYTHON";

/// The program of an EVM node, each test starts its own.
pub const ANVIL_VARIABLE: &str = "KIOSK_TEST_ANVIL";

/// The program of hledger.
const HLEDGER_VARIABLE: &str = "KIOSK_TEST_HLEDGER";

/// The folder with the Solana runtime, and the Node that runs it.
const LITESVM_VARIABLE: &str = "KIOSK_TEST_LITESVM";
const NODE_VARIABLE: &str = "KIOSK_TEST_NODE";

/// Its tests run optimised.
const SIMULATOR: &str = "sim";

/// Prepares the machine and runs all tests. An error means that they could not be started at all.
pub fn run() -> Result<Summary> {
    let tools = setup::prepare(&target_directory())?;
    step("starting a PostgreSQL server for the tests");
    let cluster = Cluster::start(&tools.postgres_programs, Durability::None)?;
    eprintln!("    {}", cluster.url());

    let mut summary = run_tests_of(&["--workspace", "--exclude", SIMULATOR], &cluster, &tools)?;
    // A seed takes ten times as long without optimisation, and hundreds are run.
    summary.add(run_tests_of(&["--release", "--package", SIMULATOR], &cluster, &tools)?);
    summary.add(run_documentation_tests(&cluster, &tools)?);
    summary.add(run_web_tests(&cluster, &tools)?);

    step("stopping the PostgreSQL server");
    drop(cluster);
    Ok(summary)
}

/// What came out of a run of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    passed: u64,
    failed: u64,
    /// The command failed although no test did: something did not compile, or could not be started.
    incomplete: bool,
}

impl Summary {
    pub fn all_passed(&self) -> bool {
        self.failed == 0 && !self.incomplete
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.incomplete |= other.incomplete;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)?;
        if self.incomplete {
            write!(formatter, "; not every test could run, the messages above say why")?;
        }
        Ok(())
    }
}

/// Which program runs the tests; each reports its counts in a line of its own kind.
#[derive(Clone, Copy)]
enum Runner {
    /// `cargo nextest`: everything on stderr, one line for the whole run.
    Nextest,
    /// `cargo test`: results on stdout, one line for each test binary.
    Libtest,
    /// `npm run` of a script that ends in vitest or `node --test`: one line, or one for each count.
    Npm,
}

/// Tests of some packages, as cargo's arguments name them.
fn run_tests_of(packages: &[&str], cluster: &Cluster, tools: &Tools) -> Result<Summary> {
    let mut command = cargo(cluster, tools);
    let named = packages.join(" ");
    if has_nextest(cluster, tools) {
        step(&format!("cargo nextest run {named}"));
        command.args(["nextest", "run", "--no-fail-fast"]).args(packages);
        if io::stderr().is_terminal() {
            command.args(["--color", "always"]);
        }
        run_counted(command, Runner::Nextest)
    } else {
        step(&format!("cargo test {named} (cargo-nextest is not installed)"));
        command.args(["test", "--no-fail-fast", "--lib", "--bins", "--tests"]).args(packages);
        run_counted(command, Runner::Libtest)
    }
}

/// The examples in doc comments, which nextest does not run.
fn run_documentation_tests(cluster: &Cluster, tools: &Tools) -> Result<Summary> {
    step("cargo test --workspace --doc");
    let mut command = cargo(cluster, tools);
    command.args(["test", "--workspace", "--no-fail-fast", "--doc"]);
    run_counted(command, Runner::Libtest)
}

/// The TypeScript client and the examples, the shop in a browser among them, each by its own `verify`. In this order: the
/// last one installs what the first has built.
fn run_web_tests(cluster: &Cluster, tools: &Tools) -> Result<Summary> {
    step("building the kiosk that the browser's shop buys from");
    let mut build = cargo(cluster, tools);
    let built = build.args(["build", "--package", "server", "--bin", "kiosk"]).stdout(Stdio::from(io::stderr()));
    if !built.status().context("cannot start cargo")?.success() {
        return Ok(Summary { incomplete: true, ..Summary::default() });
    }
    let kiosk = target_directory().join("debug").join("kiosk");
    let mut summary = Summary::default();
    let folders = [
        "clients/typescript",
        "examples/exchange-merchant",
        "examples/webhook-receiver",
        "examples/first-sale",
        "examples/nextjs-partner",
    ];
    for folder in folders {
        for arguments in [["ci", "--no-audit"], ["run", "verify"]] {
            step(&format!("npm {} in {folder}", arguments.join(" ")));
            let mut npm = tools.node.npm();
            npm.current_dir(repository_root().join(folder)).args(arguments).stdin(Stdio::null());
            npm.env("KIOSK_BIN", &kiosk).env("CHROMIUM", &tools.chromium);
            let ran = run_counted(npm, Runner::Npm)?;
            summary.add(ran);
            if !ran.all_passed() {
                return Ok(summary);
            }
        }
    }
    Ok(summary)
}

fn has_nextest(cluster: &Cluster, tools: &Tools) -> bool {
    let mut command = cargo(cluster, tools);
    command.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn cargo(cluster: &Cluster, tools: &Tools) -> Command {
    let mut command = plain_cargo();
    command.env(POSTGRES_VARIABLE, cluster.url()).env(SMTP_VARIABLE, &tools.smtp_python);
    command.env(ANVIL_VARIABLE, &tools.anvil).env(HLEDGER_VARIABLE, &tools.hledger);
    command.env(LITESVM_VARIABLE, &tools.litesvm).env(NODE_VARIABLE, tools.node.program());
    command
}

/// The cargo that runs this task, in the repository's root.
pub fn plain_cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(repository_root()).stdin(Stdio::null());
    // `cargo run` describes this package in the environment. Build scripts that watch those variables (ring's does)
    // would take the change for a reason to build everything anew, here and in the next plain `cargo test`.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs the tests, passes on to stderr what they print, and counts.
fn run_counted(mut command: Command, runner: Runner) -> Result<Summary> {
    match runner {
        Runner::Nextest => command.stdout(Stdio::from(io::stderr())).stderr(Stdio::piped()),
        Runner::Libtest | Runner::Npm => command.stdout(Stdio::piped()),
    };
    let mut child = command.spawn().context("cannot start cargo")?;
    let printed: Box<dyn Read> = match runner {
        Runner::Nextest => Box::new(child.stderr.take().expect("stderr was set to a pipe above")),
        Runner::Libtest | Runner::Npm => Box::new(child.stdout.take().expect("stdout was set to a pipe above")),
    };
    let counted = pass_on(printed, runner);
    let status = child.wait().context("cannot wait for cargo")?;
    let mut summary = counted?;
    summary.incomplete = !status.success() && summary.failed == 0;
    Ok(summary)
}

fn pass_on(printed: Box<dyn Read>, runner: Runner) -> Result<Summary> {
    let mut lines = BufReader::new(printed);
    let mut summary = Summary::default();
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).context("cannot read what cargo prints")? > 0 {
        io::stderr().write_all(&line).context("cannot write to stderr")?;
        summary.add(counts_in_line(&String::from_utf8_lossy(&line), runner));
        line.clear();
    }
    Ok(summary)
}

/// The counts of a summary line; nothing for every other line.
fn counts_in_line(line: &str, runner: Runner) -> Summary {
    let plain = without_decoration(line);
    let counts = match runner {
        Runner::Nextest => plain.trim_start().strip_prefix("Summary ["),
        Runner::Libtest => plain.strip_prefix("test result:"),
        Runner::Npm => plain.trim_start().strip_prefix("Tests "),
    };
    let mut summary = Summary::default();
    for part in counts.unwrap_or_default().split([',', ';', '|']) {
        let words: Vec<&str> = part.split_whitespace().collect();
        let Some(position) = words.iter().rposition(|word| word.parse::<u64>().is_ok()) else {
            continue;
        };
        let count: u64 = words[position].parse().expect("its position was found by parsing it");
        match words[position + 1..].join(" ").as_str() {
            "passed" => summary.passed += count,
            "failed" | "exec failed" | "timed out" => summary.failed += count,
            _ => {}
        }
    }
    if let (Runner::Npm, Some(count)) = (runner, plain.strip_prefix(['#', 'ℹ'])) {
        let count = |word: &str| count.trim().strip_prefix(word).and_then(|count| count.trim().parse::<u64>().ok());
        summary.passed += count("pass ").unwrap_or(0);
        summary.failed += count("fail ").unwrap_or(0) + count("cancelled ").unwrap_or(0);
    }
    summary
}

/// Without terminal colours, and without remarks in parentheses, which hold counts of their own ("2 slow").
fn without_decoration(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut in_escape = false;
    let mut depth = 0_usize;
    for character in line.chars() {
        match character {
            '\u{1b}' => in_escape = true,
            // A colour is set by ESC, a bracket, numbers, and then one letter, which ends it.
            _ if in_escape => in_escape = !character.is_ascii_alphabetic(),
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(character),
            _ => {}
        }
    }
    plain
}

pub fn repository_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask is a folder of the repository").to_owned()
}

pub fn target_directory() -> PathBuf {
    // Joined to the root, because a relative setting is relative to where cargo runs, and that is the root here.
    repository_root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(passed: u64, failed: u64) -> Summary {
        Summary { passed, failed, incomplete: false }
    }

    #[test]
    fn nextest_counts_are_read_from_its_one_summary_line() {
        let cases = [
            ("     Summary [   0.012s] 3 tests run: 3 passed, 0 skipped\n", counted(3, 0)),
            (
                "     Summary [   1.500s] 9 tests run: 6 passed (2 slow, 1 leaky), 2 failed, 1 timed out, 4 skipped",
                counted(6, 3),
            ),
            ("     Summary [   0.100s] 2/7 tests run: 1 passed, 1 exec failed, 0 skipped", counted(1, 1)),
            (
                "\u{1b}[32;1m     Summary\u{1b}[0m [ 0.001s] 1 test run: \u{1b}[1m1\u{1b}[0m passed, 0 skipped",
                counted(1, 0),
            ),
            ("        PASS [   0.005s] server::it tidy::arrows_hold", counted(0, 0)),
            // nextest repeats what a failed test printed, and that has a summary line of its own.
            ("    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 20 filtered out", counted(0, 0)),
        ];
        for (line, expected) in cases {
            assert_eq!(counts_in_line(line, Runner::Nextest), expected, "{line}");
        }
    }

    #[test]
    fn cargo_test_counts_are_read_from_each_result_line() {
        let cases = [
            (
                "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n",
                counted(5, 0),
            ),
            (
                "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n",
                counted(4, 2),
            ),
            ("test tests::a_failed_command_tells_what_it_printed ... ok\n", counted(0, 0)),
        ];
        for (line, expected) in cases {
            assert_eq!(counts_in_line(line, Runner::Libtest), expected, "{line}");
        }
    }

    #[test]
    fn counts_of_vitest_and_of_node_are_read_from_their_lines() {
        let cases = [
            ("\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m316 passed\u{1b}[22m (316)\n", counted(316, 0)),
            ("      Tests  2 failed | 314 passed (316)\n", counted(314, 2)),
            (" Test Files  11 passed (11)\n", counted(0, 0)),
            ("# pass 2\n", counted(2, 0)),
            ("\u{1b}[34mℹ pass 3\u{1b}[39m\n", counted(3, 0)),
            ("ℹ fail 1\n", counted(0, 1)),
            ("ℹ cancelled 1\n", counted(0, 1)),
            ("ℹ tests 4\n", counted(0, 0)),
        ];
        for (line, expected) in cases {
            assert_eq!(counts_in_line(line, Runner::Npm), expected, "{line}");
        }
    }

    #[test]
    fn a_command_that_fails_without_a_failed_test_is_not_a_success() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; exit 101"]);
        let summary = run_counted(command, Runner::Libtest).expect("sh starts");
        assert_eq!(summary, Summary { passed: 2, failed: 0, incomplete: true });
        assert!(!summary.all_passed());
    }

    #[test]
    fn the_last_line_names_both_counts() {
        let mut summary = counted(40, 1);
        summary.add(counted(2, 0));
        assert_eq!(summary.to_string(), "42 passed, 1 failed");
        assert!(!summary.all_passed());
        assert!(counted(42, 0).all_passed());
    }
}
