//! `kiosk sandbox pay`: pays an order on the simulated chain, from a process of its own.

use super::{Installation, order};
use crate::sandbox_desk::{self, Payment};
use anyhow::Context;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum SandboxCommand {
    /// Pay an order; each call pays once more.
    Pay {
        /// Order id or short number.
        order: String,
        /// Part of the amount due, such as 0.5.
        #[arg(long)]
        factor: Option<String>,
        /// Pay twice.
        #[arg(long)]
        twice: bool,
        /// Block time so long after the window, such as 20m.
        #[arg(long)]
        late: Option<String>,
        /// Replace the last blocks after so many carry the payment.
        #[arg(long)]
        reorg: Option<u32>,
        /// Pay with a token that only looks right.
        #[arg(long)]
        wrong_token: bool,
        #[command(flatten)]
        installation: Installation,
    },
}

/// Runs the command.
pub async fn run(command: SandboxCommand) -> anyhow::Result<ExitCode> {
    let SandboxCommand::Pay { order, factor, twice, late, reorg, wrong_token, installation } = command;
    let kiosk = installation.open().await?;
    let books = kiosk.books.clone().context("this installation has no sandbox")?;
    let id = order::find(&kiosk, &order).await?.id;
    let payment = Payment {
        factor_ppm: factor.as_deref().map(sandbox_desk::factor_ppm).transpose()?,
        twice,
        late: late.as_deref().map(sandbox_desk::span).transpose()?,
        reorg,
        wrong_token,
    };
    let paid = sandbox_desk::pay(&kiosk.engine, books.as_ref(), id, &payment).await?;
    println!("paid {} units in {} transfer(s); the server notices within a second", paid.units, paid.transfers.len());
    Ok(ExitCode::SUCCESS)
}
