//! The command line: every command on one page. Each is a thin hand on the engine or the store; none decides a rule.

mod check;
mod gateway;
mod import;
mod sandbox;
mod serve;
mod shop;

// What an operator does by hand; public for tests.
pub mod accounts;
pub mod affiliates;
pub mod backup;
pub mod exchange;
pub mod keys;
pub mod ledger;
pub mod network;
pub mod order;
pub mod refund;
pub mod transfers;
pub mod wallet;
pub mod webhook;

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
    /// The exchange office: routes, reserves, orders paid by hand.
    #[command(subcommand)]
    Exchange(exchange::ExchangeCommand),
    /// Partners who embed the shop.
    #[command(subcommand)]
    Partner(accounts::PartnerCommand),
    /// Customers with an account of their own.
    #[command(subcommand)]
    Customer(accounts::CustomerCommand),
    /// What partners and customers call with, and what they earn by the exchange orders that they bring.
    #[command(subcommand)]
    Account(accounts::AccountCommand),
    /// Addresses that are told what happens to an account's orders.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Pay on the simulated chains.
    #[command(subcommand)]
    Sandbox(sandbox::SandboxCommand),
    /// Orders: list, explain, hold, decide.
    #[command(subcommand)]
    Order(order::OrderCommand),
    /// The books: balances, the postings of an order, exports for a spreadsheet or hledger.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Networks: how far they are scanned.
    #[command(subcommand)]
    Network(network::NetworkCommand),
    /// Money back: ask for it, approve it, note what was paid by hand.
    #[command(subcommand)]
    Refund(refund::RefundCommand),
    /// Money that came to an address which no order owns.
    #[command(subcommand)]
    Transfers(transfers::TransfersCommand),
    /// Deposit addresses.
    #[command(subcommand)]
    Wallet(wallet::WalletCommand),
    /// The keys that seal codes and personal data.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Copy the database, also of a running shop, into a new file.
    Backup(backup::BackupArgs),
    /// Put a backup into an empty data directory.
    Restore(backup::RestoreArgs),
    /// Check that the database holds together; changes nothing.
    Fsck(Installation),
    /// Stand between a partner's site and a shop: one stream per order, his id on every call, reads kept.
    Gateway(Box<gateway::GatewayArgs>),
    /// Buy at any shop of the store API.
    Shop(Box<shop::ShopArgs>),
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

    /// The same installation's arguments for a command to be copied into a shell, with a space before them; often none.
    fn as_arguments(&self) -> String {
        let argument = |name: &str, path: &Option<PathBuf>| {
            let quoted = path.as_ref().map(|path| path.display().to_string().replace('\'', "'\\''"));
            quoted.map(|path| format!(" --{name} '{path}'")).unwrap_or_default()
        };
        argument("config", &self.config) + &argument("data-dir", &self.data_dir)
    }

    /// The installation, open beside a server that may run.
    async fn open(&self) -> anyhow::Result<Kiosk> {
        let config = self.settings()?;
        if !config.server.data_dir.exists() {
            anyhow::bail!(
                "there is no installation in {}; `kiosk serve --config FILE` starts a shop there, and `kiosk demo` a demo",
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
        Command::Exchange(command) => exchange::run(command).await,
        Command::Partner(command) => accounts::partner(command).await,
        Command::Customer(command) => accounts::customer(command).await,
        Command::Account(command) => accounts::account(command).await,
        Command::Webhook(command) => webhook::run(command).await,
        Command::Sandbox(command) => sandbox::run(command).await,
        Command::Order(command) => order::run(command).await,
        Command::Ledger(command) => ledger::run(command).await,
        Command::Network(command) => network::run(command).await,
        Command::Refund(command) => refund::run(command).await,
        Command::Transfers(command) => transfers::run(command).await,
        Command::Wallet(command) => wallet::run(command).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Backup(arguments) => backup::backup(arguments).await,
        Command::Restore(arguments) => backup::restore(arguments).await,
        Command::Fsck(installation) => check::fsck(&installation).await,
        Command::Gateway(arguments) => gateway::run(*arguments).await,
        Command::Shop(arguments) => shop::run(*arguments).await,
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("kiosk: {error:#}");
    ExitCode::FAILURE
}
