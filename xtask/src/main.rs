//! Development tasks of the workspace, started as `cargo xtask TASK`.
//!
//! The tour: `test`, `fuzz` and `bench` each run a task from end to end, `setup` finds and installs what they need, `postgres` is
//! the throw-away database server. Nothing here is part of the product, and the product never calls it.

mod bench;
mod fuzz;
mod test;

mod setup;

mod postgres;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

tasks:
  test               install what the tests need (PostgreSQL, Python, Node, Chromium) and run all of them
  fuzz [SECONDS]     look for input that a door cannot bear, for so long at each (60)
  bench [FIGURE..]   install what measuring needs (nginx, nchan, wrk, strace, PostgreSQL, anvil) and measure:
";

/// Told to the shell when the arguments make no sense, as most command-line programs do.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => run_tests(),
        ["fuzz"] => run_fuzz(fuzz::SECONDS),
        ["fuzz", seconds] => match seconds.parse() {
            Ok(seconds) => run_fuzz(seconds),
            Err(_) => refuse(&format!("{seconds} is no number of seconds")),
        },
        ["bench", figures @ ..] => run_bench(figures),
        [] => refuse("no task given"),
        _ => refuse(&format!("no such task: {}", words.join(" "))),
    }
}

/// Progress goes to stderr; stdout carries the summary line alone, so that a script can keep it.
fn run_tests() -> ExitCode {
    match test::run() {
        Ok(summary) => {
            println!("{summary}");
            if summary.all_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_fuzz(seconds: u32) -> ExitCode {
    match fuzz::run(seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Progress goes to stderr; stdout carries the table and the JSON lines. A missed goal is told there and is no failure.
fn run_bench(figures: &[&str]) -> ExitCode {
    match bench::run(figures) {
        Ok(report) => {
            print!("{report}");
            if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn refuse(reason: &str) -> ExitCode {
    eprint!("error: {reason}\n\n{USAGE}{}", bench::figures());
    ExitCode::from(EXIT_USAGE)
}

/// Says what is being done, before it is done: a step that hangs is then known by name.
fn step(text: &str) {
    eprintln!("==> {text}");
}
