//! `kiosk webhook`: addresses of accounts that are told what happens to their orders.

use super::Installation;
use crate::adapters::safe_http::may_call;
use crate::boot::Kiosk;
use crate::happenings::{self, TYPES};
use crate::store::accounts;
use crate::store::webhooks::{self, DeliveryState, EndpointRow, MOST_ENDPOINTS};
use anyhow::{Context, bail};
use clap::Subcommand;
use ipnet::IpNet;
use std::net::IpAddr;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum WebhookCommand {
    /// Add an address, and print its secret.
    Add {
        /// The account's id, as `kiosk partner list` or `kiosk customer list` shows it.
        account: String,
        /// Begins with https:// (http:// only before an address that `callbacks.allow` names).
        url: String,
        /// Only events of this type; repeatable; without any, all.
        #[arg(long = "event", value_parser = clap::builder::PossibleValuesParser::new(TYPES))]
        events: Vec<String>,
        #[command(flatten)]
        installation: Installation,
    },
    /// List addresses, all or those of an account.
    List {
        account: Option<String>,
        #[command(flatten)]
        installation: Installation,
    },
    /// Show what was sent to an address, newest first.
    Log {
        endpoint: String,
        /// At most so many messages.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        #[command(flatten)]
        installation: Installation,
    },
    /// Send one message again, or without an event up to a thousand that were given up.
    Resend {
        endpoint: String,
        /// The event, such as evt_1234.
        event: Option<String>,
        #[command(flatten)]
        installation: Installation,
    },
    /// Give an address another secret; the one before stays good for a day.
    Rotate {
        endpoint: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Send to an address again that was closed.
    Enable {
        endpoint: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Delete an address, with what waits for it.
    Remove {
        endpoint: String,
        #[command(flatten)]
        installation: Installation,
    },
}

/// Runs a webhook command.
pub async fn run(command: WebhookCommand) -> anyhow::Result<ExitCode> {
    let text = match command {
        WebhookCommand::Add { account, url, events, installation } => {
            let allowed = installation.settings()?.callbacks.allow;
            add(&installation.open().await?, &allowed, &account, &url, &events).await?
        }
        WebhookCommand::List { account, installation } => list(&installation.open().await?, account).await?,
        WebhookCommand::Log { endpoint, limit, installation } => {
            log(&installation.open().await?, &endpoint, limit).await?
        }
        WebhookCommand::Resend { endpoint, event, installation } => {
            resend(&installation.open().await?, &endpoint, event.as_deref()).await?
        }
        WebhookCommand::Rotate { endpoint, installation } => rotate(&installation.open().await?, &endpoint).await?,
        WebhookCommand::Enable { endpoint, installation } => enable(&installation.open().await?, &endpoint).await?,
        WebhookCommand::Remove { endpoint, installation } => {
            let (kiosk, id) = (installation.open().await?, endpoint.clone());
            known(kiosk.engine.write(move |tx| webhooks::remove(tx, &id)).await?)?;
            format!("{endpoint} is deleted")
        }
    };
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn known(found: bool) -> anyhow::Result<()> {
    if found { Ok(()) } else { bail!("there is no such endpoint; see `kiosk webhook list`") }
}

/// Adds an endpoint; answers its id and its secret.
///
/// # Errors
/// There is no such account, it has as many as it may, or the address is none that may be told something.
pub async fn add(
    kiosk: &Kiosk,
    allowed: &[IpNet],
    account: &str,
    url: &str,
    events: &[String],
) -> anyhow::Result<String> {
    if !may_be_told(url, allowed) {
        bail!(
            "the address must begin with https:// and lead to a public host, without a password in it (http:// and private \
             networks only where `callbacks.allow` in the configuration names the IP address)"
        );
    }
    let now = kiosk.engine.clock.now();
    let endpoint = EndpointRow {
        id: format!("we_{}", kiosk.vault.new_uuid()),
        account: account.to_owned(),
        url: url.to_owned(),
        types: events.join(","),
        generation: 1,
        rotated_at: now,
        after_seq: 0,
        active: true,
        failing_since: None,
        created_at: now,
    };
    let id = endpoint.id.clone();
    let added = kiosk.engine.write(move |tx| match accounts::by_id(tx, &endpoint.account)? {
        Some(_) => webhooks::add(tx, &endpoint).map(Some),
        None => Ok(None),
    });
    match added.await? {
        Some(true) => Ok(format!("{id} {}", kiosk.vault.webhook_secret(&id, 1))),
        Some(false) => bail!("the account has {MOST_ENDPOINTS} endpoints already; remove one first"),
        None => bail!("there is no account of that id; see `kiosk partner list` and `kiosk customer list`"),
    }
}

/// What is told names orders: it goes over TLS, or to where the operator says that nobody listens.
fn may_be_told(url: &str, allowed: &[IpNet]) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let has_password = !url.username().is_empty() || url.password().is_some();
    match (url.scheme(), host) {
        _ if has_password => false,
        ("https", Ok(host)) => may_call(host, allowed),
        ("https", Err(_)) => url.has_host(),
        ("http", Ok(host)) => allowed.iter().any(|network| network.contains(&host)),
        _ => false,
    }
}

/// Opens an endpoint again.
///
/// # Errors
/// There is no such endpoint.
pub async fn enable(kiosk: &Kiosk, endpoint: &str) -> anyhow::Result<String> {
    let id = endpoint.to_owned();
    let opened = kiosk.engine.write(move |tx| Ok((webhooks::by_id(tx, &id)?.is_some(), webhooks::enable(tx, &id)?)));
    let (is_known, was_closed) = opened.await?;
    known(is_known)?;
    if !was_closed {
        return Ok(format!("{endpoint} is open already"));
    }
    Ok(format!(
        "{endpoint} is told what happens from now on; `kiosk webhook resend {endpoint}` sends what was given up"
    ))
}

/// One line per endpoint.
///
/// # Errors
/// The database does not answer.
pub async fn list(kiosk: &Kiosk, account: Option<String>) -> anyhow::Result<String> {
    let read = kiosk.engine.db.read(move |tx| match account {
        Some(account) => webhooks::of_account(tx, &account),
        None => webhooks::all(tx),
    });
    let line = |endpoint: &EndpointRow| {
        let types = if endpoint.types.is_empty() { "all events" } else { &endpoint.types };
        let state = match (endpoint.active, endpoint.failing_since) {
            (false, _) => "closed".to_owned(),
            (true, Some(since)) => format!("failing since {}", since.rfc3339()),
            (true, None) => "open".to_owned(),
        };
        format!("{}  {}  {}  {types}  {state}", endpoint.id, endpoint.account, endpoint.url)
    };
    let lines: Vec<String> = read.await?.iter().map(line).collect();
    Ok(if lines.is_empty() { "there is none".to_owned() } else { lines.join("\n") })
}

/// One line per message, newest first.
///
/// # Errors
/// There is no such endpoint.
pub async fn log(kiosk: &Kiosk, endpoint: &str, limit: u16) -> anyhow::Result<String> {
    let (id, limit) = (endpoint.to_owned(), i64::from(limit));
    let read =
        kiosk.engine.db.read(move |tx| Ok((webhooks::by_id(tx, &id)?.is_some(), webhooks::log(tx, &id, limit)?)));
    let (is_known, log) = read.await?;
    known(is_known)?;
    let lines: Vec<String> = log
        .iter()
        .map(|delivery| {
            let next = if delivery.state == DeliveryState::Due {
                format!("  next {}", delivery.due_at.rfc3339())
            } else {
                String::new()
            };
            let answer = if delivery.answer.is_empty() { "-" } else { &delivery.answer };
            let (id, at) = (happenings::id_of(delivery.seq), delivery.at.rfc3339());
            format!("{id}  {at}  {}  attempts {}  {answer}{next}", delivery.state.word(), delivery.attempts)
        })
        .collect();
    Ok(if lines.is_empty() { "nothing was sent yet".to_owned() } else { lines.join("\n") })
}

/// Has messages sent again.
///
/// # Errors
/// There is no such endpoint or event, or it is closed.
pub async fn resend(kiosk: &Kiosk, endpoint: &str, event: Option<&str>) -> anyhow::Result<String> {
    let seq =
        event.map(|event| happenings::seq_of(event).context("an event is called evt_ and a number")).transpose()?;
    let (id, now) = (endpoint.to_owned(), kiosk.engine.clock.now());
    let resent = kiosk.engine.write(move |tx| {
        let count = match (webhooks::in_use(tx, &id)?, seq) {
            (Some(_), Some(seq)) => Some(u64::from(webhooks::resend(tx, &id, seq, now)?)),
            (Some(_), None) => Some(webhooks::resend_given_up(tx, &id, now)?),
            (None, _) => None,
        };
        Ok((webhooks::by_id(tx, &id)?.is_some(), count))
    });
    match (resent.await?, seq) {
        ((false, _), _) => known(false).map(|()| String::new()),
        ((_, None), _) => {
            bail!("this endpoint is closed, or its account is disabled; `kiosk webhook enable {endpoint}` opens it")
        }
        ((_, Some(0)), Some(_)) => {
            bail!("nothing was sent to this endpoint under that name; see `kiosk webhook log {endpoint}`")
        }
        ((_, Some(1)), _) => Ok("1 message is sent again".to_owned()),
        ((_, Some(count)), _) => Ok(format!("{count} messages are sent again")),
    }
}

/// Rotates the secret; answers the new one.
///
/// # Errors
/// There is no such endpoint.
pub async fn rotate(kiosk: &Kiosk, endpoint: &str) -> anyhow::Result<String> {
    let (id, now) = (endpoint.to_owned(), kiosk.engine.clock.now());
    let rotated = kiosk.engine.write(move |tx| {
        webhooks::rotate(tx, &id, now)?;
        webhooks::by_id(tx, &id)
    });
    let endpoint = rotated.await?.context("there is no such endpoint; see `kiosk webhook list`")?;
    Ok(format!("{} {}", endpoint.id, kiosk.vault.webhook_secret(&endpoint.id, endpoint.generation)))
}
