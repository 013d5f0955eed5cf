//! How long a buyer waits for an order to be taken while the server has half of the work that it could do.
//!
//! Orders are due at fixed moments and are timed from then on, so that a server that falls behind cannot hide it. The
//! limit has two parts: 20 ms, and two syncs of this disk, since an order waits for the commit before its own and then
//! for its own. The sync is the median of 200 writes of 4 KiB, timed in the same run.

use anyhow::{Context, Result};

use super::programs::{Bench, Disk};
use super::report::{Figure, Goal, Number, Report};
use super::shop::text;

const CONNECTIONS: &str = "64";
const UNIT: &str = "ms";
/// The limit without a disk.
const LIMIT_MS: i64 = 20;
/// Orders of the paced part at most: the pool of addresses has that many left.
const MOST_ORDERS: u64 = 90_000;

pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let disk = bench.load(&["disk", "--folder", &text(bench.folder())?])?;
    let sync = Number::milliseconds(disk.number("median_us")?);
    let shop = bench.shop("latency")?;
    let server = shop.serve(bench, Disk::Real)?;
    let said = || format!("the server said: {}", server.last_words());

    let mut full = vec!["create", "--address", &shop.address, "--connections", CONNECTIONS];
    full.extend(["--warm-up", "2", "--seconds", "4", "--most-orders", "100000"]);
    let full = bench.load(&full).with_context(said)?;
    let rate = Number::per_second(full.number("orders")?, full.number("elapsed_us")?);

    let per_second = rate.half().max(1);
    let seconds = (MOST_ORDERS / per_second).clamp(3, 9) - 1;
    let (per_second, seconds) = (per_second.to_string(), seconds.to_string());
    let mut half = vec!["paced", "--address", &shop.address, "--connections", CONNECTIONS];
    half.extend(["--per-second", &per_second, "--warm-up", "1", "--seconds", &seconds]);
    let half = bench.load(&half).with_context(said)?;

    let information =
        |name: &str, value| Figure { name: name.to_owned(), value, unit: UNIT, peer: None, goal: Goal::Information };
    report.add(information("write of 4 KiB and fdatasync, median of 200", sync));
    report.add(information("order creation at half load, p50", Number::milliseconds(half.number("p50_us")?)));
    report.add(Figure {
        name: format!("order creation at half load ({per_second} orders/s), p99"),
        value: Number::milliseconds(half.number("p99_us")?),
        unit: UNIT,
        peer: None,
        goal: Goal::Below(Number::whole(LIMIT_MS).plus(sync).plus(sync)),
    });
    Ok(())
}
