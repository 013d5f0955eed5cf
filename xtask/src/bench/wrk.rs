//! Requests per second by wrk: two threads, 64 connections. Called by `reads`.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::report::Number;
use super::tools;
use crate::setup::run_command;

/// Asks for one thing for so many seconds. An error if not every answer was a success: a server that refuses is quick.
pub fn requests_per_second(url: &str, header: &str, seconds: u32) -> Result<Number> {
    let mut command = Command::new(tools::wrk()?);
    command.args(["-t2", "-c64", &format!("-d{seconds}s"), "-H", header, url]);
    let printed = run_command(&mut command)?;
    read(&printed).with_context(|| format!("wrk {url}"))
}

fn read(printed: &str) -> Result<Number> {
    for trouble in ["Non-2xx or 3xx responses", "Socket errors"] {
        if let Some(line) = printed.lines().find(|line| line.trim_start().starts_with(trouble)) {
            bail!("not every request was answered well: {}", line.trim());
        }
    }
    let rate = printed.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    rate.and_then(|rate| Number::parse(rate.trim())).with_context(|| format!("wrk printed no rate:\n{printed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_counts_only_if_every_answer_was_a_success() {
        let good = "  98524 requests in 2.00s, 118.86MB read\nRequests/sec:  49196.69\nTransfer/sec:     59.35MB\n";
        assert_eq!(read(good).expect("a rate"), Number::thousandths(49_196_690));
        let refused = format!("  Non-2xx or 3xx responses: 67867\n{good}");
        assert!(read(&refused).expect_err("refusals").to_string().contains("67867"));
        let lost = format!("  Socket errors: connect 0, read 3, write 0, timeout 0\n{good}");
        assert!(read(&lost).is_err());
        assert!(read("").is_err());
    }
}
