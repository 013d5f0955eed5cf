//! A server that has just started: how soon it answers, and what it weighs when nobody asks.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::programs::{Bench, Disk};
use super::report::{Figure, Goal, Number, Report};
use super::shop::wait_for;

const QUESTION: &str = "/v2/brands?country_code=US";
/// The time to the first answer is the median of so many starts.
const STARTS: usize = 5;
/// Before the server is weighed.
const IDLE: Duration = Duration::from_secs(5);

pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let shop = bench.shop("rest")?;
    let mut answered = Vec::new();
    let mut resident = Number::whole(0);
    for start in 1..=STARTS {
        let begin = Instant::now();
        let server = shop.start(bench, Disk::Real)?;
        wait_for(&shop.address, QUESTION, &server)?;
        answered.push(Number::seconds(u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX)));
        if start == STARTS {
            thread::sleep(IDLE);
            resident = Number::mebibytes(resident_kib(server.process())?);
        }
    }
    report.add(Figure {
        name: "memory at rest, 10,500 brand records".to_owned(),
        value: resident,
        unit: "MiB",
        peer: None,
        goal: Goal::Below(Number::whole(150)),
    });
    report.add(Figure {
        name: "start to first answer, 10,500 brand records".to_owned(),
        value: Number::median(answered),
        unit: "s",
        peer: None,
        goal: Goal::Below(Number::whole(1)),
    });
    Ok(())
}

fn resident_kib(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
    kib.with_context(|| format!("{path} does not say VmRSS"))
}
