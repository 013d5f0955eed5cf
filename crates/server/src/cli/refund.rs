//! `kiosk refund`: money back, as operators ask for it, agree to it and note it.
//!
//! Every change is a command of the engine. `--as` says who acts, and stands in the log: the program knows no operators by
//! themselves, so that four eyes are as good as the people who type their names. Must never print an order's id.

use super::Installation;
use super::order::{find, kept_line, kept_note};
use crate::boot::Kiosk;
use crate::destination;
use crate::engine::Lane;
use crate::store::{DbError, claims, orders};
use anyhow::{Context, bail};
use clap::Subcommand;
use domain::decide::Command;
use domain::ids::AssetId;
use domain::ledger::network_of;
use domain::money::parse_units;
use domain::order::Order;
use domain::refund::{Destination, PAYER, RefundAction, RefundTo, RefundWish, Share, Stage};
use std::process::ExitCode;

/// Orders read at once.
const PAGE: i64 = 500;

#[derive(Subcommand)]
pub enum RefundCommand {
    /// List refunds that are not over, and orders whose payers can claim money.
    List {
        #[command(flatten)]
        installation: Installation,
    },
    /// Show an order's refunds with where they go.
    Show {
        /// Short number, or order id.
        order: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Ask for a refund of what an order owes its payer.
    Request(RequestArgs),
    /// Agree to a refund that somebody else asked for; look at it with `kiosk refund show` first.
    Approve {
        #[command(flatten)]
        decision: DecisionArgs,
        /// The attempt that `kiosk refund show` printed beside the address: no other address is agreed to.
        #[arg(long, value_name = "N")]
        attempt: u32,
    },
    /// Call a refund off; what it held can be asked for again.
    Reject {
        #[command(flatten)]
        decision: DecisionArgs,
        /// Why, for whoever looks. No personal data: notes stay in the log.
        #[arg(long)]
        note: String,
    },
    /// Have the payer enter another address.
    Reopen(DecisionArgs),
    /// Try a refund again that failed.
    Retry(DecisionArgs),
    /// Show the link by which the payer claims his money.
    Link {
        /// Short number, or order id.
        order: String,
        /// Who is shown it: whoever has the link can say where the money goes.
        #[arg(long = "as", value_name = "NAME")]
        by: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Note that a refund was paid by hand.
    Paid {
        #[command(flatten)]
        decision: DecisionArgs,
        /// The transaction or receipt. No personal data: it stays in the log.
        #[arg(long)]
        reference: String,
    },
}

#[derive(clap::Args)]
pub struct RequestArgs {
    /// Short number, or order id.
    order: String,
    /// All that is owed.
    #[arg(long, group = "share")]
    whole: bool,
    /// So much of it, in the order's coin.
    #[arg(long, group = "share")]
    amount: Option<String>,
    /// What came above the price.
    #[arg(long, group = "share")]
    excess: bool,
    /// The price of a line that was given up (the first is 0).
    #[arg(long, group = "share")]
    line: Option<u32>,
    /// Of another token than the order's, which came in by mistake.
    #[arg(long, conflicts_with_all = ["excess", "line"])]
    other_token: bool,
    /// Keep so much of it for the network's fee; without it the house pays the fee.
    #[arg(long)]
    fee: Option<String>,
    /// Where to. Without it to the address that was given with the order, else the payer enters one.
    #[arg(long, group = "where")]
    to: Option<String>,
    /// Have the payer enter an address, whatever was given with the order.
    #[arg(long, group = "where")]
    ask_payer: bool,
    /// It is paid by hand.
    #[arg(long, group = "where")]
    by_hand: bool,
    /// Who asks.
    #[arg(long = "as", value_name = "NAME")]
    by: String,
    #[command(flatten)]
    installation: Installation,
}

#[derive(clap::Args)]
pub struct DecisionArgs {
    /// Short number, or order id.
    order: String,
    /// The refund, as `kiosk refund show` counts it (the first is 0).
    refund: u32,
    /// Who decides.
    #[arg(long = "as", value_name = "NAME")]
    by: String,
    #[command(flatten)]
    installation: Installation,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub share: Wanted,
    pub other_token: bool,
    pub fee: Option<String>,
    pub to: To,
    pub by: String,
}

/// How much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    /// In the coin, as a decimal.
    Amount(String),
    Excess,
    Line(u32),
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// The address that was given with the order, if it can be used; else the payer enters one.
    Given,
    Address(String),
    Claim,
    ByHand,
}

/// Runs a refund command.
pub async fn run(command: RefundCommand) -> anyhow::Result<ExitCode> {
    let text = match command {
        RefundCommand::List { installation } => list(&installation.open().await?).await?,
        RefundCommand::Show { order, installation } => show(&installation.open().await?, &order).await?,
        RefundCommand::Request(arguments) => {
            let (kiosk, url) = (arguments.installation.open().await?, arguments.installation.settings()?.public_url());
            request(&kiosk, &arguments.order, &arguments.request()?, &url).await?
        }
        RefundCommand::Approve { decision: it, attempt } => {
            approve(&it.installation.open().await?, &it.order, it.refund, (&it.by, attempt)).await?
        }
        RefundCommand::Reject { decision: it, note } => {
            reject(&it.installation.open().await?, &it.order, it.refund, (&it.by, &note)).await?
        }
        RefundCommand::Reopen(it) => {
            let (kiosk, url) = (it.installation.open().await?, it.installation.settings()?.public_url());
            reopen(&kiosk, &it.order, it.refund, (&it.by, &url)).await?
        }
        RefundCommand::Retry(it) => retry(&it.installation.open().await?, &it.order, it.refund, &it.by).await?,
        RefundCommand::Link { order, by, installation } => {
            let (kiosk, url) = (installation.open().await?, installation.settings()?.public_url());
            link(&kiosk, &order, (&by, &url)).await?
        }
        RefundCommand::Paid { decision: it, reference } => {
            paid(&it.installation.open().await?, &it.order, it.refund, (&it.by, &reference)).await?
        }
    };
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

impl RequestArgs {
    fn request(&self) -> anyhow::Result<Request> {
        let share = match (self.whole, &self.amount, self.excess, self.line) {
            (true, ..) => Wanted::Whole,
            (_, Some(amount), ..) => Wanted::Amount(amount.clone()),
            (_, _, true, _) => Wanted::Excess,
            (.., Some(line)) => Wanted::Line(line),
            (false, None, false, None) => bail!("say how much: --whole, --amount AMOUNT, --excess or --line LINE"),
        };
        let to = match (&self.to, self.ask_payer, self.by_hand) {
            (Some(to), ..) => To::Address(to.clone()),
            (None, true, _) => To::Claim,
            (None, false, true) => To::ByHand,
            (None, false, false) => To::Given,
        };
        let (other_token, fee, by) = (self.other_token, self.fee.clone(), self.by.clone());
        Ok(Request { share, other_token, fee, to, by })
    }
}

/// Everything about money back that is not over, newest order first. Looks at every order.
pub async fn list(kiosk: &Kiosk) -> anyhow::Result<String> {
    let market = kiosk.engine.shared.market();
    let (mut lines, mut before) = (Vec::new(), i64::MAX);
    loop {
        let page = kiosk.engine.db.read(move |tx| orders::newest(tx, before, PAGE)).await?;
        let Some(last) = page.last() else { break };
        before = last.no;
        for order in &page {
            for (number, refund) in (0..).zip(&order.refunds).filter(|(_, refund)| refund.is_open()) {
                let (amount, word) =
                    (order.amount_text(&refund.asset, refund.payable_units(), &market.rails), refund.word());
                let (no, number): (i64, u32) = (order.no, number);
                let (attempt, since) = (refund.attempt(), refund.since.rfc3339());
                lines.push(format!(
                    "{no}  refund {number}  attempt {attempt}  {word:<10} {amount}  asked by {}, since {since}",
                    refund.asked_by
                ));
            }
            let offered = order.offered_units();
            if offered > 0 {
                let amount = order.amount_text(&order.quote.asset, offered, &market.rails);
                lines.push(format!("{}  offered   {amount}  the payer can claim it", order.no));
            }
        }
    }
    Ok(if lines.is_empty() { "no refund is open".to_owned() } else { lines.join("\n") })
}

/// An order's refunds with where they go: whoever approves one has to see that.
pub async fn show(kiosk: &Kiosk, order: &str) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let (vault, id, count) = (kiosk.vault.clone(), order.id, order.refunds.len() as u32);
    let opened = kiosk.engine.db.read(move |tx| {
        let read = |number| vault.refund_address(tx, id, number);
        Ok::<_, DbError>((0..count).map(read).collect::<Result<Vec<_>, _>>())
    });
    let (addresses, market) = (opened.await??, kiosk.engine.shared.market());
    let mut lines = vec![format!(
        "order {}: {} owed to the payer",
        order.no,
        order.amount_text(&order.quote.asset, order.credit_units, &market.rails)
    )];
    for (number, (refund, address)) in order.refunds.iter().zip(addresses).enumerate() {
        lines.push(format!("  refund {number}: {}", super::order::refund_summary(&order, refund, &market.rails)));
        let place = match (refund.destination, address) {
            (Destination::ByHand, _) => "by hand".to_owned(),
            (_, None) => "not known yet".to_owned(),
            (_, Some(address)) => format!("{address} on {}", network_of(&refund.asset)),
        };
        let whose = match refund.destination {
            Destination::AtCreation => ", given with the order",
            Destination::Claim => ", entered by whoever had the link",
            Destination::Operator => ", entered by an operator",
            Destination::ByHand => "",
        };
        let attempt = match refund.is_open() {
            true => format!(" (attempt {})", refund.attempt()),
            false => String::new(),
        };
        lines.push(format!("    to: {place}{whose}{attempt}"));
    }
    Ok(lines.join("\n"))
}

/// Asks for a refund. `url` begins the links.
///
/// # Errors
/// The amount or the address is wrong, or what the engine refuses: nothing is owed, the order can still be paid or is on
/// hold.
pub async fn request(kiosk: &Kiosk, order: &str, request: &Request, url: &str) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let by = kept_name(&request.by)?;
    let market = kiosk.engine.shared.market();
    let asset = match request.other_token {
        true => other_token(&order)?,
        false => order.quote.asset.clone(),
    };
    let scale = match market.rails.asset(&asset) {
        _ if asset == order.quote.asset => Some(order.quote.scale),
        known => known.map(|(_, known)| known.scale()),
    };
    if scale.is_none() && request.to != To::ByHand {
        bail!("that token is not in the configuration; give all of it back by hand: --whole --by-hand");
    }
    let units = |text: &str| {
        let scale = scale.context("that token is not in the configuration; give all of it back: --whole")?;
        parse_units(text, scale).with_context(|| format!("{text:?} is no amount of that coin"))
    };
    let share = match &request.share {
        Wanted::Whole => Share::Whole,
        Wanted::Amount(text) => Share::Part(units(text)?),
        Wanted::Excess => Share::Excess,
        Wanted::Line(line) => Share::Line(*line),
    };
    let fee_units = request.fee.as_deref().map(units).transpose()?.unwrap_or(0);
    let number = order.refunds.len() as u32;
    let to = destination_of(kiosk, &order, &asset, (number, &request.to)).await?;
    let wish = RefundWish { asset: Some(asset), share, fee_units, to, by, policy: kiosk.refunds };
    let order = submit(kiosk, &order, number, RefundAction::Ask(Box::new(wish))).await?;
    note_shown(&order, number, &request.by);
    Ok(told(kiosk, &order, number, url))
}

/// Agrees to that attempt of a refund.
///
/// # Errors
/// What the engine refuses: whoever asked cannot agree, where it goes must be known, and it must be what was looked at.
pub async fn approve(kiosk: &Kiosk, order: &str, refund: u32, (by, attempt): (&str, u32)) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let action = RefundAction::Approve { by: kept_name(by)?, attempt };
    let order = submit(kiosk, &order, refund, action).await?;
    Ok(told(kiosk, &order, refund, ""))
}

/// Calls a refund off.
///
/// # Errors
/// The note cannot be kept, or what the engine refuses: it may be on its way, or it is over.
pub async fn reject(kiosk: &Kiosk, order: &str, refund: u32, (by, note): (&str, &str)) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let action = RefundAction::Reject { by: kept_name(by)?, note: kept_note(&order, "--note", note)? };
    let order = submit(kiosk, &order, refund, action).await?;
    Ok(told(kiosk, &order, refund, ""))
}

/// Has the payer enter another address.
///
/// # Errors
/// What the engine refuses: it may be on its way, or it is over.
pub async fn reopen(kiosk: &Kiosk, order: &str, refund: u32, (by, url): (&str, &str)) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let order = submit(kiosk, &order, refund, RefundAction::Reopen { by: kept_name(by)? }).await?;
    note_shown(&order, refund, by);
    Ok(told(kiosk, &order, refund, url))
}

/// Has a refund tried again.
///
/// # Errors
/// What the engine refuses: it did not fail.
pub async fn retry(kiosk: &Kiosk, order: &str, refund: u32, by: &str) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let order = submit(kiosk, &order, refund, RefundAction::Retry { by: kept_name(by)? }).await?;
    Ok(told(kiosk, &order, refund, ""))
}

/// Notes a refund that was paid by hand.
///
/// # Errors
/// The reference cannot be kept, or what the engine refuses: it is not approved, it is on its way, or it is over.
pub async fn paid(kiosk: &Kiosk, order: &str, refund: u32, (by, proof): (&str, &str)) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let action = RefundAction::MarkPaid { by: kept_name(by)?, proof: kept_note(&order, "--reference", proof)? };
    let order = submit(kiosk, &order, refund, action).await?;
    Ok(told(kiosk, &order, refund, ""))
}

/// The link of what waits for the payer's address, or of what is offered to him.
///
/// # Errors
/// There is nothing of either kind, or the name of whoever asks cannot be kept.
pub async fn link(kiosk: &Kiosk, order: &str, (by, url): (&str, &str)) -> anyhow::Result<String> {
    let (by, order) = (kept_name(by)?, find(kiosk, order).await?);
    let is_open = |stage: &Stage| matches!(stage, Stage::ClaimOpen { .. });
    let open = order.refunds.iter().position(|refund| is_open(&refund.stage));
    let number = match open {
        Some(number) => number,
        None if order.offered_units() > 0 => order.refunds.len(),
        None => bail!("order {} has nothing that its payer could claim; see `kiosk order show {}`", order.no, order.no),
    };
    note_shown(&order, number as u32, &by);
    Ok(claim_url(kiosk, &order, number as u32, url))
}

/// Leaves in the log who was shown a claim link, and never the link: a claim through it stands in the events as the payer's.
fn note_shown(order: &Order, number: u32, by: &str) {
    let is_shown = order.refund(number).is_none_or(|refund| matches!(refund.stage, Stage::ClaimOpen { .. }));
    if is_shown {
        tracing::info!(order_no = order.no, refund = number, by, "a claim link was shown");
    }
}

fn claim_url(kiosk: &Kiosk, order: &Order, number: u32, url: &str) -> String {
    format!("{url}/claim/{}", kiosk.vault.claim_token(order, number))
}

async fn submit(kiosk: &Kiosk, order: &Order, refund: u32, action: RefundAction) -> anyhow::Result<Order> {
    let command = Command::Refund { order: order.id, refund, action };
    let order = kiosk.engine.submit(Lane::Client, command).await?;
    Ok(std::sync::Arc::unwrap_or_clone(order))
}

/// How a refund stands now, and what comes next.
fn told(kiosk: &Kiosk, order: &Order, number: u32, url: &str) -> String {
    let market = kiosk.engine.shared.market();
    let Some(refund) = order.refund(number) else { return format!("order {}: no refund {number}", order.no) };
    let amount = order.amount_text(&refund.asset, refund.payable_units(), &market.rails);
    let (no, word) = (order.no, refund.word());
    let next = match word {
        "claim_open" => format!(
            "\nthe payer says where to here; whoever has the link can: {}",
            claim_url(kiosk, order, number, url)
        ),
        "due" => format!(
            "\nanother person looks at it (kiosk refund show {no}) and agrees: \
             kiosk refund approve {no} {number} --as NAME --attempt {}",
            refund.attempt()
        ),
        "approved" if refund.destination == Destination::ByHand => {
            format!("\nonce it is paid: kiosk refund paid {no} {number} --as NAME --reference TRANSACTION")
        }
        _ => String::new(),
    };
    format!("refund {number} of order {no}: {amount}, {word}{next}")
}

/// The one token beside the order's own that came in.
fn other_token(order: &Order) -> anyhow::Result<AssetId> {
    let mut others: Vec<&AssetId> = order.payment.received.iter().map(|received| &received.asset).collect();
    others.retain(|asset| **asset != order.quote.asset && order.refundable_units(asset) > 0);
    others.sort_unstable();
    others.dedup();
    match others[..] {
        [other] => Ok(other.clone()),
        [] => bail!("no other token came in for order {}", order.no),
        _ => bail!("several other tokens came in for order {}; give them back by hand", order.no),
    }
}

/// Where it goes, checked and sealed for the refund of that number.
async fn destination_of(
    kiosk: &Kiosk,
    order: &Order,
    asset: &AssetId,
    (number, to): (u32, &To),
) -> anyhow::Result<RefundTo> {
    let (destination, address) = match to {
        To::ByHand => return Ok(RefundTo::ByHand),
        To::Claim => return Ok(RefundTo::Claim),
        To::Address(address) => (Destination::Operator, usable(kiosk, asset, address).await?),
        To::Given => {
            let (vault, id) = (kiosk.vault.clone(), order.id);
            let opened = kiosk.engine.db.read(move |tx| Ok::<_, DbError>(vault.open(tx, id))).await??;
            let Some(given) = opened.and_then(|opened| opened.personal.refund_wallet_address) else {
                return Ok(RefundTo::Claim);
            };
            // What a buyer wrote may be for another network, or nothing at all: then he is asked.
            let Ok(address) = usable(kiosk, asset, &given).await else { return Ok(RefundTo::Claim) };
            (Destination::AtCreation, address)
        }
    };
    let (vault, id) = (kiosk.vault.clone(), order.id);
    let sealing = kiosk.engine.db.read(move |tx| Ok::<_, DbError>(vault.seal_refund_address(tx, id, number, &address)));
    let sealed =
        sealing.await?.context("the order's personal data were deleted, and nothing can be sealed with them")?;
    Ok(RefundTo::Address { destination, sealed })
}

/// An address that money can go to.
async fn usable(kiosk: &Kiosk, asset: &AssetId, address: &str) -> anyhow::Result<String> {
    let market = kiosk.engine.shared.market();
    let Some((network, _)) = market.rails.asset(asset) else {
        bail!("nothing can be sent there: that token's network is not in the configuration; use --by-hand");
    };
    let checked = destination::check(address, network, &market.rails)?;
    let asked = vec![checked.clone()];
    let ours = kiosk.engine.db.read(move |tx| claims::pool_addresses(tx, asked)).await?;
    if !ours.is_empty() {
        bail!(destination::DestinationError::Ours);
    }
    Ok(checked)
}

/// Who acts, as it stands in the log.
pub(super) fn kept_name(name: &str) -> anyhow::Result<String> {
    let name = kept_line("--as", name)?;
    let is_name = |letter: char| letter.is_alphanumeric() || "._-".contains(letter);
    if name.chars().count() > 40 || !name.chars().all(is_name) {
        bail!("--as is a name of at most 40 letters, digits, points and dashes");
    }
    if name.eq_ignore_ascii_case(PAYER) {
        bail!("--as says which operator acts; `{PAYER}` is what payers are called");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(subcommand)]
        command: RefundCommand,
    }

    fn parse(words: &str) -> anyhow::Result<Request> {
        let parsed = Arguments::try_parse_from(std::iter::once("refund").chain(words.split(' ')))?;
        match parsed.command {
            RefundCommand::Request(arguments) => arguments.request(),
            _ => bail!("{words} asks for nothing"),
        }
    }

    #[test]
    fn one_share_one_place_and_a_name() {
        for wrong in [
            "request 1001 --as ann",
            "request 1001 --whole",
            "request 1001 --whole --excess --as ann",
            "request 1001 --whole --by-hand --ask-payer --as ann",
            "request 1001 --line 0 --other-token --as ann",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let found = parse("request 1001 --amount 2.5 --to 0xabc --fee 0.1 --as ann").expect("it is complete");
        assert_eq!((found.share, found.to), (Wanted::Amount("2.5".to_owned()), To::Address("0xabc".to_owned())));
        let found = parse("request 1001 --line 1 --as ann").expect("it is complete");
        assert_eq!((found.share, found.to), (Wanted::Line(1), To::Given));
    }

    #[test]
    fn nobody_agrees_without_saying_to_which_attempt() {
        let parse = |words: &str| Arguments::try_parse_from(words.split(' '));
        assert!(parse("refund approve 1001 0 --as bob").is_err());
        let parsed = parse("refund approve 1001 0 --as bob --attempt 3").map(|parsed| parsed.command);
        assert!(matches!(parsed, Ok(RefundCommand::Approve { attempt: 3, .. })));
    }

    #[test]
    fn a_name_is_a_name() {
        for name in ["ann", "Ann.B-2", "Ünal"] {
            assert_eq!(kept_name(name).ok().as_deref(), Some(name));
        }
        for wrong in ["", "payer", "Payer", "ann smith", "ann@example.com", &"a".repeat(41)] {
            assert!(kept_name(wrong).is_err(), "{wrong}");
        }
    }
}
