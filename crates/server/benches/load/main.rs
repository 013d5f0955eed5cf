//! The load generator and the in-process measurements of `cargo xtask bench`: a sub-command for each, and one line of
//! JSON with whole numbers as its answer.
//!
//! It measures, and judges nothing: peers, ratios and goals are xtask's. Must never be pointed at a shop that sells, for
//! it fills the shop with orders that nobody wants. By hand: `cargo bench --bench load -- --help`.

// How it talks: HTTP by hand, so that the client costs little of the cores that it shares with the server.
mod http;
mod order;
mod timing;

// Over HTTP.
mod create;
mod fanout;
mod office;
mod passed;
mod settle;
mod streams;

// Over HTTP, with a chain; the watcher in this process.
mod money;

// In this process.
mod disk;
mod prepare;
mod rows;
mod single;

use anyhow::Context;
use clap::{Parser, Subcommand};
use serde_json::Value;
use std::process::ExitCode;

/// Measures a kiosk for `cargo xtask bench`.
#[derive(Parser)]
#[command(name = "load")]
struct Arguments {
    #[command(subcommand)]
    measurement: Option<Measurement>,
}

#[derive(Subcommand)]
enum Measurement {
    /// Fill the pools of deposit addresses of an installation.
    Prepare(prepare::PrepareArgs),
    /// Create orders as fast as the server answers.
    Create(create::CreateArgs),
    /// Time a change until the last of many WebSocket listeners has it.
    Listeners(office::ListenersArgs),
    /// Time notifications beside a receiver who takes ten seconds.
    Notices(office::NoticesArgs),
    /// Create orders at a fixed pace, whatever the server does.
    Paced(create::PacedArgs),
    /// Insert the rows of another run's orders, with nobody waiting.
    Rows(rows::RowsArgs),
    /// Create orders in this process, one transaction for each.
    Single(single::SingleArgs),
    /// Time the writes that a commit waits for.
    Disk(disk::DiskArgs),
    /// Hold event streams open and weigh the server before and with them.
    Streams(streams::StreamsArgs),
    /// Time a change until the last of many watchers has it.
    Fanout(fanout::FanoutArgs),
    /// Time what a gateway adds to an event.
    Passed(passed::PassedArgs),
    /// Time orders from their payment to their goods, one after the other.
    Settle(settle::SettleArgs),
    /// Fill a data directory with open addresses of EVM chains.
    Addresses(money::addresses::AddressesArgs),
    /// Time the watcher's blocks on a scripted chain.
    Watcher(money::watcher::WatcherArgs),
    /// Time payments on a real node from their block to their goods.
    Mined(money::mined::MinedArgs),
    /// Time what a catch-up on a real node waits for.
    CatchUp(money::catch_up::CatchUpArgs),
}

fn main() -> ExitCode {
    // `cargo bench` adds this word for harnesses that also run tests.
    let words = std::env::args().filter(|word| word != "--bench");
    let Some(measurement) = Arguments::parse_from(words).measurement else {
        eprintln!(
            "nothing to measure: this is the load generator of `cargo xtask bench` (--help lists what it can do)"
        );
        return ExitCode::SUCCESS;
    };
    match measure(&measurement) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(measurement: &Measurement) -> anyhow::Result<Value> {
    match measurement {
        Measurement::Prepare(arguments) => prepare::run(arguments),
        Measurement::Create(arguments) => on_one_thread(create::as_fast_as_possible(arguments)),
        Measurement::Listeners(arguments) => on_one_thread(office::listeners(arguments)),
        Measurement::Notices(arguments) => on_one_thread(office::notices(arguments)),
        Measurement::Paced(arguments) => on_one_thread(create::at_a_pace(arguments)),
        Measurement::Rows(arguments) => rows::run(arguments),
        Measurement::Single(arguments) => single::run(arguments),
        Measurement::Disk(arguments) => disk::run(arguments),
        Measurement::Streams(arguments) => on_one_thread(streams::run(arguments)),
        Measurement::Fanout(arguments) => on_one_thread(fanout::run(arguments)),
        Measurement::Passed(arguments) => on_one_thread(passed::run(arguments)),
        Measurement::Settle(arguments) => on_one_thread(settle::run(arguments)),
        Measurement::Addresses(arguments) => money::addresses::run(arguments),
        Measurement::Watcher(arguments) => money::watcher::run(arguments),
        Measurement::Mined(arguments) => on_one_thread(money::mined::run(arguments)),
        Measurement::CatchUp(arguments) => on_one_thread(money::catch_up::run(arguments)),
    }
}

/// A client takes one thread, so that the server has the other cores to itself.
fn on_one_thread(work: impl Future<Output = anyhow::Result<Value>>) -> anyhow::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start a runtime")?.block_on(work)
}
