//! `kiosk partner` and `kiosk customer`.

use super::Installation;
use crate::store::accounts::{self, Account, Role};
use clap::Subcommand;
use ipnet::IpNet;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum PartnerCommand {
    /// Add a partner and print the id to send as X-Cr-Application.
    Add {
        name: String,
        /// Networks (CIDR) of the partner's servers, whose X-Forwarded-For is believed; repeatable.
        #[arg(long)]
        trust_from: Vec<IpNet>,
        #[command(flatten)]
        installation: Installation,
    },
    /// List partners.
    List {
        #[command(flatten)]
        installation: Installation,
    },
}

#[derive(Subcommand)]
pub enum CustomerCommand {
    /// Add a customer and print the bearer token, once.
    Add {
        name: String,
        #[command(flatten)]
        installation: Installation,
    },
}

/// Runs a partner command.
pub async fn partner(command: PartnerCommand) -> anyhow::Result<ExitCode> {
    match command {
        PartnerCommand::Add { name, trust_from, installation } => {
            let kiosk = installation.open().await?;
            let id = kiosk.vault.new_uuid().to_string();
            let nets: Vec<String> = trust_from.iter().map(ToString::to_string).collect();
            let account = Account {
                id: id.clone(),
                role: Role::Partner,
                name,
                token_hash: None,
                trust_from: (!nets.is_empty()).then(|| nets.join(",")),
                active: true,
                created_at: kiosk.engine.clock.now(),
            };
            kiosk.engine.write(move |tx| accounts::add(tx, &account)).await?;
            println!("{id}");
        }
        PartnerCommand::List { installation } => {
            let kiosk = installation.open().await?;
            for partner in kiosk.engine.db.read(|tx| accounts::of_role(tx, Role::Partner)).await? {
                let trusted = partner.trust_from.as_deref().unwrap_or("-");
                println!("{}  {}  trusted: {trusted}", partner.id, partner.name);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a customer command.
pub async fn customer(command: CustomerCommand) -> anyhow::Result<ExitCode> {
    let CustomerCommand::Add { name, installation } = command;
    let kiosk = installation.open().await?;
    let token = crate::entropy::token();
    let account = Account {
        id: kiosk.vault.new_uuid().to_string(),
        role: Role::Customer,
        name,
        token_hash: Some(kiosk.vault.hash_of_secret(&token)),
        trust_from: None,
        active: true,
        created_at: kiosk.engine.clock.now(),
    };
    kiosk.engine.write(move |tx| accounts::add(tx, &account)).await?;
    println!("{token}");
    eprintln!("Send it as `Authorization: Bearer ...`; it is not shown again.");
    Ok(ExitCode::SUCCESS)
}
