//! The command line: every command on one page. Each is a thin hand on the engine or the store; none decides a rule.

mod accounts;
mod check;
mod import;
mod sandbox;
mod serve;

use crate::boot::{self, Kiosk};
use crate::config::Config;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Sells gift cards, phone top-ups and eSIMs for stablecoins, from your own machine.
#[derive(Parser)]
#[command(name = "kiosk", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a shop with a demo catalogue and simulated money; nothing else to set up.
    Demo(serve::DemoArgs),
    /// Start the shop that a configuration describes.
    Serve(serve::ServeArgs),
    /// The catalogue: import a file, or generate a large one for measuring.
    #[command(subcommand)]
    Catalogue(import::CatalogueCommand),
    /// Your own codes.
    #[command(subcommand)]
    Stock(import::StockCommand),
    /// Partners who embed the shop.
    #[command(subcommand)]
    Partner(accounts::PartnerCommand),
    /// Customers with an account of their own.
    #[command(subcommand)]
    Customer(accounts::CustomerCommand),
    /// Pay on the simulated chains.
    #[command(subcommand)]
    Sandbox(sandbox::SandboxCommand),
    /// Check that the database holds together; changes nothing.
    Fsck(Installation),
}

/// Which installation a command works on.
#[derive(clap::Args, Clone)]
pub struct Installation {
    /// Configuration file; without it the demo's.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Data directory, if it is not the configuration's.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

impl Installation {
    /// The configuration; without a file that of `kiosk demo`.
    fn settings(&self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::load(Some(path))?,
            None => serve::demo_config()?,
        };
        if let Some(data_dir) = &self.data_dir {
            config.server.data_dir.clone_from(data_dir);
        }
        Ok(config)
    }

    /// The installation, open beside a server that may run.
    async fn open(&self) -> anyhow::Result<Kiosk> {
        let config = self.settings()?;
        if !config.server.data_dir.exists() {
            anyhow::bail!(
                "there is no installation in {}; start one with `kiosk demo`",
                config.server.data_dir.display()
            );
        }
        boot::open(&config).await
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(arguments.command)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(arguments) => serve::demo(arguments).await,
        Command::Serve(arguments) => serve::serve(arguments).await,
        Command::Catalogue(command) => import::catalogue(command).await,
        Command::Stock(command) => import::stock(command).await,
        Command::Partner(command) => accounts::partner(command).await,
        Command::Customer(command) => accounts::customer(command).await,
        Command::Sandbox(command) => sandbox::run(command).await,
        Command::Fsck(installation) => check::fsck(&installation).await,
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("kiosk: {error:#}");
    ExitCode::FAILURE
}
