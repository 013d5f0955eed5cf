//! The gateway: what it adds to an event, what a viewer weighs, and how soon the last of many viewers knows. The peer is
//! nginx with nchan, which is given each message by hand and has no shop behind it.

use std::ffi::{OsStr, OsString};

use anyhow::{Context, Result};

use super::nginx::Nginx;
use super::process::Server;
use super::programs::{Bench, Disk, Reading, words};
use super::report::{Figure, Goal, Number, Peer, Report};
use super::shop::wait_for;
use super::streams;
use crate::postgres::free_port;

const VIEWERS: &str = "1000";
const ORDERS: &str = "100";
/// No measurement meets a limit.
const NO_LIMIT: &str = "1000000000";

/// A running gateway.
struct Gateway {
    /// `127.0.0.1:port`.
    address: String,
    server: Server,
}

impl Gateway {
    fn start(bench: &Bench, shop: &str, name: &str) -> Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let upstream = format!("http://{shop}");
        let mut command: Vec<OsString> = words(&[bench.kiosk.as_os_str(), OsStr::new("gateway")]);
        let arguments = ["--upstream", &upstream, "--partner", "bench", "--listen", &address];
        let limits = ["--calls-per-second", "--calls-burst", "--shop-calls-per-second", "--shop-calls-burst"];
        let limits = limits.iter().flat_map(|limit| [limit, NO_LIMIT]);
        command.extend(arguments.into_iter().chain(limits).map(OsString::from));
        let server = Server::start(&command, &bench.folder().join(name))?;
        wait_for(&address, "/livez", &server)?;
        Ok(Self { address, server })
    }
}

pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    delay(bench, report)?;
    memory(bench, report)?;
    fan_out(bench, report)
}

fn delay(bench: &Bench, report: &mut Report) -> Result<()> {
    let shop = bench.shop("passed")?;
    let server = shop.serve(bench, Disk::Real)?;
    let gateway = Gateway::start(bench, &shop.address, "passed-gateway")?;
    let arguments = ["passed", "--address", &gateway.address, "--shop", &shop.address];
    let reading = bench.load(&[&arguments[..], &["--viewers", VIEWERS, "--orders", ORDERS]].concat());
    let reading = reading.with_context(|| format!("the gateway said: {}", gateway.server.last_words()))?;
    drop((gateway, server));
    report.add(Figure {
        name: format!("added to an event by the gateway, p99, {VIEWERS} viewers of {ORDERS} orders"),
        value: Number::milliseconds(reading.number("p99_us")?),
        unit: "ms",
        peer: None,
        goal: Goal::Below(Number::whole(5)),
    });
    report.add(Figure {
        name: "the same, the median".to_owned(),
        value: Number::milliseconds(reading.number("p50_us")?),
        unit: "ms",
        peer: None,
        goal: Goal::Information,
    });
    Ok(())
}

fn memory(bench: &Bench, report: &mut Report) -> Result<()> {
    let shop = bench.shop("viewers")?;
    let server = shop.serve(bench, Disk::Real)?;
    let gateway = Gateway::start(bench, &shop.address, "viewers-gateway")?;
    let process = gateway.server.process().to_string();
    let own = streams::weigh(bench, &gateway.address, "kiosk", &process, "hundred");
    let own = streams::per_stream(&own.with_context(|| format!("the gateway said: {}", gateway.server.last_words()))?)?;
    drop((gateway, server));
    let nginx = Nginx::start(bench, "nginx-viewers", &[])?;
    let peer = streams::weigh(bench, &nginx.address, "nchan", &nginx.processes()?, "hundred")?;
    report.add(Figure {
        name: format!("memory per viewer of the gateway, {} of {ORDERS} orders", streams::STREAMS),
        value: own,
        unit: "KiB",
        peer: Some(Peer { name: streams::PEER, value: streams::per_stream(&peer)? }),
        goal: Goal::Below(Number::whole(4)),
    });
    Ok(())
}

/// The payment takes as long as it takes: what its only watcher waits at the shop itself is taken off. The way through
/// the gateway is not.
fn fan_out(bench: &Bench, report: &mut Report) -> Result<()> {
    let shop = bench.shop("passed-fanout")?;
    let server = shop.serve(bench, Disk::Real)?;
    let gateway = Gateway::start(bench, &shop.address, "fanout-gateway")?;
    let alone = streams::publish(bench, &shop.address, "kiosk", "1", "0", &[])?;
    let at_the_shop = streams::publish(bench, &shop.address, "kiosk", streams::WATCHERS, "0", &[])?;
    let behind = ["--shop", shop.address.as_str()];
    let many = streams::publish(bench, &gateway.address, "kiosk", streams::WATCHERS, "0", &behind);
    let many = many.with_context(|| format!("the gateway said: {}", gateway.server.last_words()))?;
    let message_bytes = alone.number("message_bytes")?.to_string();
    drop((gateway, server));
    let nginx = Nginx::start(bench, "nginx-passed-fanout", &[])?;
    let peer = streams::publish(bench, &nginx.address, "nchan", streams::WATCHERS, &message_bytes, &[])?;
    let milliseconds = |reading: &Reading| reading.number("last_us").map(Number::milliseconds);
    report.add(Figure {
        name: format!("added to the last of {} viewers of one order", streams::WATCHERS),
        value: milliseconds(&many)?.minus(milliseconds(&at_the_shop)?),
        unit: "ms",
        peer: None,
        goal: Goal::Below(Number::whole(5)),
    });
    report.add(Figure {
        name: format!("change to the last of {} viewers of one order, through the gateway", streams::WATCHERS),
        value: milliseconds(&many)?.minus(milliseconds(&alone)?),
        unit: "ms",
        peer: Some(Peer { name: streams::PEER, value: milliseconds(&peer)? }),
        goal: Goal::AtMostOfPeer(Number::whole(1)),
    });
    Ok(())
}
