//! Live orders: what an open stream weighs, and how soon the last of many watchers knows. The peer is nginx with nchan,
//! which is made for nothing else.

use anyhow::{Context, Result};

use super::nginx::Nginx;
use super::programs::{Bench, Disk, Reading};
use super::report::{Figure, Goal, Number, Peer, Report};

pub const STREAMS: &str = "8000";
pub const WATCHERS: &str = "1000";
/// Each time is the median of so many changes.
const ROUNDS: &str = "9";
pub const PEER: &str = "nginx with nchan";

pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    for (watching, words) in [("one", "all of one order"), ("each", "of an order each")] {
        let own = weigh_kiosk(bench, watching)?;
        let peer = weigh_nchan(bench, watching)?;
        report.add(Figure {
            name: format!("memory per open stream, {STREAMS} {words}"),
            value: own,
            unit: "KiB",
            peer: Some(Peer { name: PEER, value: peer }),
            goal: Goal::Below(Number::whole(4)),
        });
    }
    fan_out(bench, report)
}

fn weigh_kiosk(bench: &Bench, watching: &str) -> Result<Number> {
    let shop = bench.shop(&format!("streams-{watching}"))?;
    let server = shop.serve(bench, Disk::Real)?;
    let process = server.process().to_string();
    let reading = weigh(bench, &shop.address, "kiosk", &process, watching);
    per_stream(&reading.with_context(|| format!("the server said: {}", server.last_words()))?)
}

fn weigh_nchan(bench: &Bench, watching: &str) -> Result<Number> {
    let nginx = Nginx::start(bench, &format!("nginx-streams-{watching}"), &[])?;
    let reading = weigh(bench, &nginx.address, "nchan", &nginx.processes()?, watching);
    per_stream(&reading.with_context(|| format!("nginx said: {}", nginx.server.last_words()))?)
}

pub fn weigh(bench: &Bench, address: &str, server: &str, processes: &str, watching: &str) -> Result<Reading> {
    let mut arguments = vec!["streams", "--address", address, "--server", server, "--pids", processes];
    arguments.extend(["--streams", STREAMS, "--watching", watching]);
    bench.load(&arguments)
}

pub fn per_stream(reading: &Reading) -> Result<Number> {
    let (before, after) = (reading.number("before_kib")?, reading.number("after_kib")?);
    Ok(Number::quotient(after.saturating_sub(before), reading.number("streams")?))
}

/// The payment of one order takes as long as it takes, so what one watcher waits is taken off what the last of a
/// thousand waits. nchan has nothing to do before it publishes: nothing is taken off.
fn fan_out(bench: &Bench, report: &mut Report) -> Result<()> {
    let shop = bench.shop("fanout")?;
    let server = shop.serve(bench, Disk::Real)?;
    let one = publish(bench, &shop.address, "kiosk", "1", "0", &[])?;
    let many = publish(bench, &shop.address, "kiosk", WATCHERS, "0", &[])?;
    let message_bytes = one.number("message_bytes")?.to_string();
    drop(server);
    let nginx = Nginx::start(bench, "nginx-fanout", &[])?;
    let peer = publish(bench, &nginx.address, "nchan", WATCHERS, &message_bytes, &[])?;

    let milliseconds = |reading: &Reading, name: &str| reading.number(name).map(Number::milliseconds);
    let alone = milliseconds(&one, "last_us")?;
    report.add(Figure {
        name: "payment sent to its only watcher".to_owned(),
        value: alone,
        unit: "ms",
        peer: None,
        goal: Goal::Information,
    });
    report.add(Figure {
        name: format!("change to the last of {WATCHERS} watchers of one order, {message_bytes} bytes"),
        value: milliseconds(&many, "last_us")?.minus(alone),
        unit: "ms",
        peer: Some(Peer { name: PEER, value: milliseconds(&peer, "last_us")? }),
        goal: Goal::AtMostOfPeer(Number::whole(1)),
    });
    Ok(())
}

pub fn publish(
    bench: &Bench,
    address: &str,
    server: &str,
    watchers: &str,
    message_bytes: &str,
    more: &[&str],
) -> Result<Reading> {
    let mut arguments = vec!["fanout", "--address", address, "--server", server, "--watchers", watchers];
    arguments.extend(["--rounds", ROUNDS, "--message-bytes", message_bytes]);
    arguments.extend(more);
    bench.load(&arguments)
}
