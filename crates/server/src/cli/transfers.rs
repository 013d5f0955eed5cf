//! `kiosk transfers`: money that came to an address of ours which no order owns, and whose it is.

use super::Installation;
use super::order::{find, kept_note, ownerless};
use super::refund::kept_name;
use crate::boot::Kiosk;
use crate::store::refunds::{self, Assigned};
use anyhow::bail;
use clap::Subcommand;
use domain::ids::TransferId;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum TransfersCommand {
    /// List transfers that belong to no order.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        #[command(flatten)]
        installation: Installation,
    },
    /// Make a transfer an order's money. In time it pays the order; else it is owed to its payer, who gets it by a refund.
    Assign {
        /// The transfer, as the list names it.
        transfer: String,
        /// Short number, or order id.
        order: String,
        /// Who decides.
        #[arg(long = "as", value_name = "NAME")]
        by: String,
        /// How it is known. No personal data: notes are kept.
        #[arg(long)]
        note: String,
        #[command(flatten)]
        installation: Installation,
    },
}

/// Runs a transfers command.
pub async fn run(command: TransfersCommand) -> anyhow::Result<ExitCode> {
    let text = match command {
        TransfersCommand::List { limit, installation } => list(&installation.open().await?, limit).await?,
        TransfersCommand::Assign { transfer, order, by, note, installation } => {
            assign(&installation.open().await?, &transfer, &order, (&by, &note)).await?
        }
    };
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// One line per transfer that belongs to no order.
pub async fn list(kiosk: &Kiosk, limit: u16) -> anyhow::Result<String> {
    let lines = ownerless(kiosk, limit).await?;
    Ok(if lines.is_empty() { "every transfer belongs to an order".to_owned() } else { lines.join("\n") })
}

/// Makes a transfer an order's money.
///
/// # Errors
/// There is no such transfer without an order, the order is paid by hand, or the note cannot be kept.
pub async fn assign(kiosk: &Kiosk, transfer: &str, order: &str, (by, note): (&str, &str)) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    if order.is_paid_by_hand() {
        bail!("order {} is paid by hand; confirm its money with `kiosk exchange confirm`", order.no);
    }
    let assigned =
        Assigned { by: kept_name(by)?, note: kept_note(&order, "--note", note)?, at: kiosk.engine.clock.now() };
    let (id, wanted) = (order.id, TransferId::new(transfer.trim()));
    if !kiosk.engine.write(move |tx| refunds::assign(tx, &wanted, id, &assigned)).await? {
        bail!(
            "there is no such transfer, or it belongs to an order, or it is more of another token than the books hold; see \
             `kiosk transfers list`"
        );
    }
    Ok(format!("it is order {}'s money now; a running server counts it within a second", order.no))
}
