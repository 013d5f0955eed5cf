//! `kiosk partner`, `kiosk customer` and `kiosk account`.

use super::{Installation, affiliates};
use crate::boot::Kiosk;
use crate::store::accounts::{self, Account, Role};
use crate::store::api_keys::{self, ApiKey};
use crate::store::logins;
use anyhow::Context;
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
    pub(super) id: String,
    #[command(flatten)]
    pub(super) installation: Installation,
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

#[derive(Subcommand)]
pub enum AccountCommand {
    /// API keys of a partner or a customer.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Links of those who bring exchange orders, and what they are owed for it.
    #[command(subcommand)]
    Link(affiliates::LinkCommand),
    /// Show the id of the account that signs in with an e-mail address.
    Find {
        email: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Ask an account for its second factor no longer: its owner has lost it, and you have made sure that it is he.
    ForgetSecondFactor(Named),
    /// Note that you have paid an account what it had earned by the orders that it brought.
    Paid {
        /// The account's id, as `kiosk account link list` shows it.
        account: String,
        /// In US dollars.
        #[arg(long)]
        amount: String,
        /// Where it stands in your own books; each is noted once. No personal data: it stays.
        #[arg(long)]
        reference: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Take back a payment that was noted by mistake.
    Unpaid {
        account: String,
        /// Under which it was noted.
        #[arg(long)]
        reference: String,
        #[command(flatten)]
        installation: Installation,
    },
}

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Add a key, and print it and its secret, once.
    Add {
        /// The account's id, as `kiosk partner list` or `kiosk customer list` shows it.
        account: String,
        #[command(flatten)]
        terms: KeyTerms,
        #[command(flatten)]
        installation: Installation,
    },
    /// List an account's keys.
    List {
        account: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Take a key out of use, for good.
    Remove {
        account: String,
        key: String,
        #[command(flatten)]
        installation: Installation,
    },
}

/// What a new key is for, and what it may.
#[derive(clap::Args, Default)]
pub struct KeyTerms {
    /// What it is for.
    #[arg(long, default_value = "")]
    pub name: String,
    /// Networks (CIDR) that may use it; repeatable; without any, all may.
    #[arg(long)]
    pub allow_from: Vec<IpNet>,
    /// Send notifications of its orders again until they arrive, for three days; without it each is sent once.
    #[arg(long)]
    pub ipn_retries: bool,
}

/// Runs an account command.
pub async fn account(command: AccountCommand) -> anyhow::Result<ExitCode> {
    let text = match command {
        AccountCommand::Key(command) => return key(command).await,
        AccountCommand::Link(command) => return affiliates::link(command).await,
        AccountCommand::Find { email, installation } => find(&installation.open().await?, &email).await?,
        AccountCommand::ForgetSecondFactor(named) => {
            forget_second_factor(&named.installation.open().await?, &named.id).await?
        }
        AccountCommand::Paid { account, amount, reference, installation } => {
            affiliates::paid(&installation.open().await?, &account, &amount, &reference).await?
        }
        AccountCommand::Unpaid { account, reference, installation } => {
            affiliates::unpaid(&installation.open().await?, &account, &reference).await?
        }
    };
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// The id of the account that signs in with an address.
///
/// # Errors
/// There is none.
pub async fn find(kiosk: &Kiosk, email: &str) -> anyhow::Result<String> {
    let hash = kiosk.vault.login_key(email.trim());
    let login = kiosk.engine.db.read(move |tx| logins::by_email(tx, &hash)).await?;
    let login = login.context("no account signs in with this address")?;
    let state = if login.confirmed_at.is_some() { "" } else { "  not confirmed" };
    Ok(format!("{}{state}", login.account))
}

/// Asks an account for its second factor no longer.
///
/// # Errors
/// It asks for none.
pub async fn forget_second_factor(kiosk: &Kiosk, account: &str) -> anyhow::Result<String> {
    let id = account.to_owned();
    if !kiosk.engine.write(move |tx| logins::turn_off_two_factor(tx, &id)).await? {
        anyhow::bail!("no account of that id asks for a second factor; `kiosk account find EMAIL` shows an id");
    }
    Ok(format!("account {account} signs in with its password alone"))
}

async fn key(command: KeyCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Add { account, terms, installation } => {
            let kiosk = installation.open().await?;
            let (key, secret) = add_key(&kiosk, &account, terms).await?;
            println!("{key} {secret}");
            eprintln!("The key, and its secret, which is not shown again.");
        }
        KeyCommand::List { account, installation } => {
            let kiosk = installation.open().await?;
            for key in kiosk.engine.db.read(move |tx| api_keys::of_account(tx, &account)).await? {
                let from = if key.allowed_from.is_empty() { "anywhere" } else { &key.allowed_from };
                let retries = if key.ipn_retries { "  notifies again" } else { "" };
                println!("{}  {}  from {from}{retries}  {}", key.key, key.created_at.rfc3339(), key.name);
            }
        }
        KeyCommand::Remove { account, key, installation } => {
            let kiosk = installation.open().await?;
            if !kiosk.engine.write(move |tx| api_keys::remove(tx, &account, &key)).await? {
                anyhow::bail!("this account has no such key; see `kiosk account key list ACCOUNT`");
            }
            println!("removed; it opens nothing from now on");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds an API key to an account; answers the key and its secret.
///
/// # Errors
/// There is no such account, or it has as many keys as it may.
pub async fn add_key(kiosk: &Kiosk, account: &str, terms: KeyTerms) -> anyhow::Result<(String, String)> {
    let nets: Vec<String> = terms.allow_from.iter().map(ToString::to_string).collect();
    let key = ApiKey {
        key: kiosk.vault.new_api_key(),
        account: account.to_owned(),
        name: terms.name,
        permissions: "base".to_owned(),
        allowed_from: nets.join(","),
        ipn_retries: terms.ipn_retries,
        own: false,
        created_at: kiosk.engine.clock.now(),
    };
    let (id, secret, public) = (account.to_owned(), kiosk.vault.api_secret(&key.key), key.key.clone());
    let added = kiosk.engine.write(move |tx| match accounts::by_id(tx, &id)? {
        Some(_) => api_keys::add(tx, &key).map(Some),
        None => Ok(None),
    });
    match added.await? {
        Some(true) => Ok((public, secret)),
        Some(false) => anyhow::bail!("the account has {} keys already; remove one first", api_keys::MOST_KEYS),
        None => anyhow::bail!("there is no account of that id; see `kiosk partner list` and `kiosk customer list`"),
    }
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
