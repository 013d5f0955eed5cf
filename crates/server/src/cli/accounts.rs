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
    /// Take a partner's id out of use: strict shops refuse it, and its servers are believed no longer.
    Disable(Named),
    /// Put it into use again.
    Enable(Named),
}

/// One account.
#[derive(clap::Args)]
pub struct Named {
    /// The id, as `list` shows it.
    id: String,
    #[command(flatten)]
    installation: Installation,
}

#[derive(Subcommand)]
pub enum CustomerCommand {
    /// Add a customer and print the bearer token, once.
    Add {
        name: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// List customers.
    List {
        #[command(flatten)]
        installation: Installation,
    },
    /// Take a customer's token out of use.
    Disable(Named),
    /// Put it into use again.
    Enable(Named),
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
        PartnerCommand::List { installation } => list(&installation, Role::Partner).await?,
        PartnerCommand::Disable(named) => named.set_active(Role::Partner, false).await?,
        PartnerCommand::Enable(named) => named.set_active(Role::Partner, true).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(installation: &Installation, role: Role) -> anyhow::Result<()> {
    let kiosk = installation.open().await?;
    for account in kiosk.engine.db.read(move |tx| accounts::of_role(tx, role)).await? {
        let trusted = account.trust_from.map(|nets| format!("  trusted: {nets}")).unwrap_or_default();
        let closed = if account.active { "" } else { "  disabled" };
        println!("{}  {}{trusted}{closed}", account.id, account.name);
    }
    Ok(())
}

impl Named {
    async fn set_active(self, role: Role, active: bool) -> anyhow::Result<()> {
        let kiosk = self.installation.open().await?;
        let (id, word) = (self.id.clone(), role.word());
        if !kiosk.engine.write(move |tx| accounts::set_active(tx, role, &id, active)).await? {
            anyhow::bail!("there is no {word} of that id; see `kiosk {word} list`");
        }
        let state = if active { "in use" } else { "disabled" };
        println!("{word} {} is {state}; a running server knows it within seconds", self.id);
        Ok(())
    }
}

/// Runs a customer command.
pub async fn customer(command: CustomerCommand) -> anyhow::Result<ExitCode> {
    let (name, installation) = match command {
        CustomerCommand::Add { name, installation } => (name, installation),
        CustomerCommand::List { installation } => {
            list(&installation, Role::Customer).await?;
            return Ok(ExitCode::SUCCESS);
        }
        CustomerCommand::Disable(named) => {
            named.set_active(Role::Customer, false).await?;
            return Ok(ExitCode::SUCCESS);
        }
        CustomerCommand::Enable(named) => {
            named.set_active(Role::Customer, true).await?;
            return Ok(ExitCode::SUCCESS);
        }
    };
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
