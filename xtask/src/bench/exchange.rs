//! The exchange API: orders per second beside the store API's, listeners of the WebSocket, and notifications beside a slow
//! receiver.

use std::process::Command;

use anyhow::{Context, Result};

use super::orders::{self, CONNECTIONS, LONG, UNIT};
use super::programs::{Bench, Disk, without_settings};
use super::report::{Figure, Goal, Number, Peer, Report};
use super::shop::{Shop, text};
use crate::setup::run_command;
use crate::test::repository_root;

/// The id of the route from USDCSOL to USDTERC20: it follows from the codes.
const ROUTE: &str = "1e72d4095778637405f67ec6";
/// More than any run pays out.
const RESERVE: &str = "90000000000";
const LISTENERS: &str = "8000";
const NOTICES: &str = "5000";

pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    for connections in CONNECTIONS {
        let goods = bench.shop(&format!("exchange-goods-{connections}"))?;
        let peer = orders::over_http(bench, &goods, Disk::Real, connections, &LONG)?;
        let shop = office(bench, &format!("exchange-{connections}"))?;
        let created = orders::created_with(bench, &shop, Disk::Real, connections, &LONG, &["--route", ROUTE])?;
        report.add(Figure {
            name: format!("exchange orders created over HTTP, SQLite, {connections} connections"),
            value: created,
            unit: UNIT,
            peer: Some(Peer { name: "orders of the store API", value: peer }),
            goal: Goal::AtLeastOfPeer(Number::thousandths(800)),
        });
    }
    listeners(bench, report)?;
    notices(bench, report)
}

/// A shop that is an exchange office with a reserve that nobody uses up.
fn office(bench: &Bench, name: &str) -> Result<Shop> {
    let shop = bench.shop(name)?;
    let file = text(&repository_root().join("demo").join("exchange.toml"))?;
    for words in [vec!["import", &file], vec!["reserve", "USDTERC20", RESERVE]] {
        let mut command = Command::new(&bench.kiosk);
        command.arg("exchange").args(words).arg("--config").arg(shop.config());
        run_command(without_settings(&mut command)).context("the exchange office cannot be set up")?;
    }
    Ok(shop)
}

fn listeners(bench: &Bench, report: &mut Report) -> Result<()> {
    let shop = office(bench, "exchange-listeners")?;
    let server = shop.serve(bench, Disk::Real)?;
    let arguments =
        ["listeners", "--address", &shop.address, "--route", ROUTE, "--listeners", LISTENERS, "--rounds", "5"];
    let reading = bench.load(&arguments).with_context(|| format!("the server said: {}", server.last_words()))?;
    report.add(Figure {
        name: format!("WebSocket, {LISTENERS} listeners, until the last has heard of a change"),
        value: Number::milliseconds(reading.number("last_us")?),
        unit: "ms",
        peer: None,
        goal: Goal::Below(Number::whole(300)),
    });
    Ok(())
}

fn notices(bench: &Bench, report: &mut Report) -> Result<()> {
    let shop = office(bench, "exchange-notices")?;
    let server = shop.serve(bench, Disk::Real)?;
    let arguments = ["notices", "--address", &shop.address, "--route", ROUTE, "--orders", NOTICES, "--slow", "200"];
    let reading = bench.load(&arguments).with_context(|| format!("the server said: {}", server.last_words()))?;
    report.add(Figure {
        name: "notifications sent, one receiver that takes 10 s beside".to_owned(),
        value: Number::per_second(reading.number("notices")?, reading.number("elapsed_us")?),
        unit: "notifications/s",
        peer: Some(Peer { name: "the goal", value: Number::whole(500) }),
        goal: Goal::AtLeastOfPeer(Number::whole(1)),
    });
    report.add(Figure {
        name: "notifications: p99 from the change to its arrival, the slow receiver beside".to_owned(),
        value: Number::milliseconds(reading.number("p99_us")?),
        unit: "ms",
        peer: None,
        goal: Goal::Below(Number::whole(1_000)),
    });
    Ok(())
}
