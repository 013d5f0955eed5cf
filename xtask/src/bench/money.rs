//! Real chains: what a full block costs the watcher, how soon a mined payment is goods, and what a catch-up waits for.
//!
//! The chain of the first is made up; the others have an anvil each, which mines when the load generator says so.

use std::ffi::OsString;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::process::Server;
use super::programs::{Bench, Disk};
use super::report::{Figure, Goal, Number, Peer, Report};
use super::shop::{Shop, text};
use super::tools;
use crate::postgres::free_port;
use crate::step;
use crate::test::repository_root;

const OPEN_ADDRESSES: &str = "1000000";
const TRANSFERS: &str = "1000";
const OURS: &str = "100";
/// After the blocks that fill the watcher's window.
const BLOCKS: &str = "300";

const ORDERS: &str = "120";
/// More than the orders, and than those before the first that counts.
const CODES: usize = 200;
/// Between two looks: by polling, and where a WebSocket rings in between.
const POLL_MS: u64 = 200;
const RARELY_MS: u64 = 1_000;

const CATCH_UP: u64 = 10_000;
/// Room for the time that the blocks of a catch-up take by the chain's clock, which runs on while they are mined.
const ROOM_SECONDS: u64 = 900;
/// anvil in memory, on this machine, answers sooner than any node elsewhere.
const FARTHER_US: u64 = 10_000;

/// The key m/0'/1/2' of the first test vector of BIP-32. Not of the mnemonic of anvil's accounts: the payer would be one of
/// the deposit addresses.
const XPUB: &str =
    "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5";
/// Where the load generator puts the token: the first contract of anvil's first account.
const CONTRACT: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";
/// How long a node may take until it listens.
const START: Duration = Duration::from_secs(30);

pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    watcher(bench, report)?;
    mined(bench, report, &Line { name: "polling every 200 ms", scheme: "http", look_ms: POLL_MS, limit_ms: 400 })?;
    mined(bench, report, &Line { name: "over WebSocket", scheme: "ws", look_ms: RARELY_MS, limit_ms: 100 })?;
    catch_up(bench, report)
}

fn watcher(bench: &Bench, report: &mut Report) -> Result<()> {
    let data = text(&bench.folder().join("watcher"))?;
    step(&format!("filling a database: {OPEN_ADDRESSES} open addresses"));
    bench.fill(&["addresses", "--data-dir", &data, "--count", OPEN_ADDRESSES])?;
    let blocks = ["--transfers", TRANSFERS, "--ours", OURS, "--blocks", BLOCKS];
    let reading =
        bench.load(&[&["watcher", "--data-dir", &data, "--addresses", OPEN_ADDRESSES][..], &blocks].concat())?;
    let block = format!("block of {TRANSFERS} token transfers, {OURS} to {OPEN_ADDRESSES} open addresses");
    let milliseconds = |name: &str| reading.number(name).map(Number::milliseconds);
    let figure =
        |name: String, value: Number, peer: Option<Peer>, goal: Goal| Figure { name, value, unit: "ms", peer, goal };
    let least = milliseconds("lookups_us")?.plus(milliseconds("read_us")?);
    let peer = Peer { name: "prepared lookups, and the events read once as JSON", value: least };
    let name = format!("{block}: the watcher's time, mean");
    report.add(figure(name, milliseconds("mean_us")?, Some(peer), Goal::Below(Number::whole(20))));
    report.add(figure("the same, p99".to_owned(), milliseconds("p99_us")?, None, Goal::Information));
    let name = "the same before the window of remembered blocks has filled, mean".to_owned();
    report.add(figure(name, milliseconds("young_us")?, None, Goal::Information));
    report.add(Figure {
        name: format!("{block}: most memory, above that of the start"),
        value: Number::mebibytes(reading.number("grown_kib")?),
        unit: "MiB",
        peer: None,
        goal: Goal::Below(Number::whole(200)),
    });
    Ok(())
}

/// How a shop hears of blocks.
struct Line {
    name: &'static str,
    scheme: &'static str,
    /// Between two looks.
    look_ms: u64,
    limit_ms: i64,
}

fn mined(bench: &Bench, report: &mut Report, line: &Line) -> Result<()> {
    let name = format!("mined-{}", line.scheme);
    let node = format!("127.0.0.1:{}", free_port()?);
    let money = money(&format!("{}://{node}", line.scheme), line.look_ms)?;
    let shop = Shop::real(bench, &name, &money, CODES)?;
    let anvil = anvil(&node, now(), &[], &bench.folder().join(format!("{name}-node")))?;
    let server = shop.serve(bench, Disk::Real)?;
    // By WebSocket the looks do not matter: the same moments are measured in both.
    let spread = POLL_MS.to_string();
    let arguments = ["mined", "--address", &shop.address, "--node", &node, "--orders", ORDERS, "--spread-ms", &spread];
    let reading = bench.load(&arguments).with_context(|| format!("the server said: {}", server.last_words()))?;
    drop((server, anvil));
    let figure = |what: &str, value: &str, goal: Goal| -> Result<Figure> {
        let name = format!("payment mined to Done at its watcher, {}, {what}", line.name);
        Ok(Figure { name, value: Number::milliseconds(reading.number(value)?), unit: "ms", peer: None, goal })
    };
    report.add(figure("p50", "p50_us", Goal::Information)?);
    report.add(figure("p99 from the node's word that it is mined", "from_answer_p99_us", Goal::Information)?);
    let limit = Goal::Below(Number::whole(line.limit_ms));
    report.add(figure("p99", "p99_us", limit)?);
    Ok(())
}

fn catch_up(bench: &Bench, report: &mut Report) -> Result<()> {
    let (node, relay) = (format!("127.0.0.1:{}", free_port()?), format!("127.0.0.1:{}", free_port()?));
    let shop = Shop::real(bench, "catch-up", &money(&format!("http://{relay}"), RARELY_MS)?, 1)?;
    // Blocks are a second apart, and the newest must not come from the future.
    let genesis = now().saturating_sub(CATCH_UP + ROOM_SECONDS);
    // The states of old blocks, which nobody asks for, would make mining ever slower.
    let anvil = anvil(&node, genesis, &["--prune-history"], &bench.folder().join("catch-up-node"))?;
    let server = shop.serve(bench, Disk::Real)?;
    let (config, blocks, pause) = (text(&shop.config())?, CATCH_UP.to_string(), RARELY_MS.to_string());
    step(&format!("mining {CATCH_UP} blocks, and catching up with them"));
    let shop_and_node = ["catch-up", "--address", &shop.address, "--config", &config, "--node", &node];
    let way = ["--relay", &relay, "--blocks", &blocks, "--pause-ms", &pause];
    let reading = bench.fill(&[&shop_and_node[..], &way].concat());
    let reading = reading.with_context(|| format!("the server said: {}", server.last_words()))?;
    drop((server, anvil));
    let (waiting_us, elapsed_us) = (reading.number("waiting_us")?, reading.number("elapsed_us")?);
    let whole = Number::milliseconds(elapsed_us);
    report.add(Figure {
        name: format!("catch-up of {CATCH_UP} blocks"),
        value: whole,
        unit: "ms",
        peer: None,
        goal: Goal::Information,
    });
    report.add(Figure {
        name: "of it waiting for the node's answers".to_owned(),
        value: Number::milliseconds(waiting_us),
        unit: "ms",
        peer: Some(Peer { name: "the whole catch-up", value: whole }),
        goal: Goal::AtLeastOfPeer(Number::thousandths(800)),
    });
    // Questions come one after the other, so that later answers lengthen the waiting and nothing else.
    let later_us = reading.number("questions")?.saturating_mul(FARTHER_US);
    report.add(Figure {
        name: "the same share by calculation, with a node whose answers come 10 ms later".to_owned(),
        value: Number::quotient(waiting_us.saturating_add(later_us), elapsed_us.saturating_add(later_us)),
        unit: "of 1",
        peer: None,
        goal: Goal::Information,
    });
    Ok(())
}

/// The settings of a shop that is paid on one chain. Rates are the demo's, however old: a dollar card in a dollar coin needs
/// them for the figures in euro alone.
fn money(rpc: &str, look_ms: u64) -> Result<String> {
    let rates = text(&repository_root().join("demo").join("rates.xml"))?;
    Ok(format!(
        "[rates]\necb = {rates:?}\nmax_age_hours = 1000000\n[wallet]\nevm_xpub = {XPUB:?}\n\
         [[networks]]\nname = \"Base\"\nkind = \"evm\"\nchain_id = 8453\nrpc = {rpc:?}\nconfirmations = 1\n\
         poll_ms = {look_ms}\n[[networks.tokens]]\ncoin = \"USDC\"\ncontract = {CONTRACT:?}\ndecimals = 6\n"
    ))
}

/// A fresh node that mines nothing by itself, and listens when this answers. Its first block has the time `genesis`.
fn anvil(address: &str, genesis: u64, more: &[&str], log: &Path) -> Result<Server> {
    let port = address.rsplit(':').next().context("an address ends with its port")?;
    let genesis = genesis.to_string();
    let fixed = ["--host", "127.0.0.1", "--port", port, "--chain-id", "8453", "--no-mining", "--silent"];
    let mut command = vec![tools::anvil()?.into_os_string()];
    command.extend(fixed.iter().chain(&["--timestamp", &genesis]).chain(more).map(OsString::from));
    let server = Server::start(&command, log)?;
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        server.expect_running()?;
        if start.elapsed() > START {
            bail!("anvil does not listen on {address}; it said:\n{}", server.last_words());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(server)
}

/// In Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
