//! Orders created per second over HTTP, beside what the database does with the same rows and nothing else, and beside
//! one transaction for each order.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};

use super::machine::refuse_disk_in_memory;
use super::programs::{Bench, Disk};
use super::report::{Figure, Goal, Number, Peer, Report};
use super::shop::{Database, Shop, text};
use super::tools;
use crate::postgres::{Cluster, Durability};
use crate::setup::run_command;

/// Clients that each wait for their answer before they order again.
pub const CONNECTIONS: [u32; 2] = [64, 256];
/// Fewer than a shop has addresses for.
const MOST_ORDERS: &str = "190000";
/// Rows of so many orders are inserted again.
const MOST_ROWS: &str = "60000";
pub const UNIT: &str = "orders/s";

const RAW: &str = "raw prepared inserts, 64 orders per commit";
const SINGLE: &str = "one transaction per order";

/// How long something is measured, in seconds, after a warm-up.
pub struct Span {
    warm_up: &'static str,
    seconds: &'static str,
}

pub const LONG: Span = Span { warm_up: "2", seconds: "8" };
const SHORT: Span = Span { warm_up: "1", seconds: "5" };

/// SQLite on this disk, then on a disk that takes 5 ms longer for each sync.
pub fn on_sqlite(bench: &Bench, report: &mut Report) -> Result<()> {
    let single = one_by_one(bench, &bench.shop("single")?, Disk::Real, "60000")?;
    for connections in CONNECTIONS {
        let shop = bench.shop(&format!("orders-{connections}"))?;
        let created = over_http(bench, &shop, Disk::Real, connections, &LONG)?;
        let raw = raw_inserts(bench, &shop)?;
        let name = format!("orders created over HTTP, SQLite, {connections} connections");
        report.add(figure(&name, created, RAW, raw, Number::thousandths(700)));
        report.add(figure(&name, created, SINGLE, single, Number::whole(3)));
    }
    let single = one_by_one(bench, &bench.shop("single-slow")?, Disk::Slow, "5000")?;
    for connections in CONNECTIONS {
        let shop = bench.shop(&format!("orders-slow-{connections}"))?;
        let created = over_http(bench, &shop, Disk::Slow, connections, &SHORT)?;
        let name = format!("orders created over HTTP, SQLite, each sync 5 ms later, {connections} connections");
        report.add(figure(&name, created, SINGLE, single, Number::whole(10)));
    }
    Ok(())
}

/// PostgreSQL as it comes, with fsync on.
pub fn on_postgres(bench: &Bench, report: &mut Report) -> Result<()> {
    refuse_disk_in_memory(&env::temp_dir())?;
    let cluster = Cluster::start(&tools::postgres()?, Durability::Full)?;
    let template = Shop::open(bench.folder().join("postgres"), database(&cluster, "template", None)?)?;
    template.fill(bench)?;
    let shop = |name: &str| {
        let database = database(&cluster, name, Some("template"))?;
        template.copy_to(bench.folder().join(format!("postgres-{name}")), database)
    };
    let single = one_by_one(bench, &shop("single")?, Disk::Real, "20000")?;
    for connections in CONNECTIONS {
        let shop = shop(&format!("orders_{connections}"))?;
        let created = over_http(bench, &shop, Disk::Real, connections, &LONG)?;
        let name = format!("orders created over HTTP, PostgreSQL, {connections} connections");
        report.add(figure(&name, created, SINGLE, single, Number::whole(4)));
    }
    Ok(())
}

/// Makes a database of that name, empty or as a copy of another that nobody uses at the moment.
fn database(cluster: &Cluster, name: &str, copy_of: Option<&str>) -> Result<Database> {
    let template = copy_of.map(|other| format!(" template kiosk_{other}")).unwrap_or_default();
    let sql = format!("create database kiosk_{name}{template}");
    let mut command = Command::new(tools::psql()?);
    command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--command", &sql, &cluster.url()]);
    run_command(&mut command).context("cannot make a database")?;
    Ok(Database::Postgres(cluster.url_of(&format!("kiosk_{name}"))))
}

pub fn over_http(bench: &Bench, shop: &Shop, disk: Disk, connections: u32, span: &Span) -> Result<Number> {
    created_with(bench, shop, disk, connections, span, &[])
}

/// The same with more arguments for the load generator.
pub fn created_with(
    bench: &Bench,
    shop: &Shop,
    disk: Disk,
    connections: u32,
    span: &Span,
    more: &[&str],
) -> Result<Number> {
    let server = shop.serve(bench, disk)?;
    let connections = connections.to_string();
    let mut arguments = vec!["create", "--address", &shop.address, "--connections", &connections];
    arguments.extend(["--warm-up", span.warm_up, "--seconds", span.seconds, "--most-orders", MOST_ORDERS]);
    arguments.extend(more);
    let reading = bench.load(&arguments).with_context(|| format!("the server said: {}", server.last_words()))?;
    Ok(Number::per_second(reading.number("orders")?, reading.number("elapsed_us")?))
}

/// The rows of the orders that the shop has, written once more. Its server has ended.
fn raw_inserts(bench: &Bench, shop: &Shop) -> Result<Number> {
    let (database, scratch) = (text(&shop.data().join("kiosk.db"))?, text(&shop.data().join("raw.db"))?);
    let mut arguments = vec!["rows", "--database", &database, "--scratch", &scratch];
    arguments.extend(["--most-orders", MOST_ROWS, "--per-commit", "64"]);
    let reading = bench.load(&arguments)?;
    Ok(Number::per_second(reading.number("orders")?, reading.number("elapsed_us")?))
}

fn one_by_one(bench: &Bench, shop: &Shop, disk: Disk, most_orders: &str) -> Result<Number> {
    let config = text(&shop.config())?;
    let mut arguments = vec!["single", "--config", &config, "--warm-up", SHORT.warm_up];
    arguments.extend(["--seconds", SHORT.seconds, "--most-orders", most_orders]);
    let reading = bench.load_on(disk, &arguments)?;
    Ok(Number::per_second(reading.number("orders")?, reading.number("elapsed_us")?))
}

fn figure(name: &str, value: Number, peer: &'static str, of_peer: Number, least: Number) -> Figure {
    Figure {
        name: name.to_owned(),
        value,
        unit: UNIT,
        peer: Some(Peer { name: peer, value: of_peer }),
        goal: Goal::AtLeastOfPeer(least),
    }
}
