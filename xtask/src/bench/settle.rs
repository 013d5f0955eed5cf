//! From the payment to the goods, one order at a time, as its buyer sees it on a live stream.

use anyhow::{Context, Result};

use super::programs::{Bench, Disk};
use super::report::{Figure, Goal, Number, Report};

const ORDERS: &str = "100";

pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let shop = bench.shop("settle")?;
    let server = shop.serve(bench, Disk::Real)?;
    let reading = bench
        .load(&["settle", "--address", &shop.address, "--orders", ORDERS])
        .with_context(|| format!("the server said: {}", server.last_words()))?;
    let figure = |name: &str, value: u64, goal| Figure {
        name: name.to_owned(),
        value: Number::milliseconds(value),
        unit: "ms",
        peer: None,
        goal,
    };
    report.add(figure("payment sent to Done at its watcher, p50", reading.number("p50_us")?, Goal::Information));
    report.add(figure(
        "payment answered to Done at its watcher, p99",
        reading.number("from_answer_p99_us")?,
        Goal::Information,
    ));
    let limit = Goal::Below(Number::whole(50));
    report.add(figure("payment sent to Done at its watcher, p99", reading.number("p99_us")?, limit));
    Ok(())
}
