//! `kiosk order`: what an operator asks about orders, and decides about them.
//!
//! Every change is a command of the engine; nothing here writes an order. Must never print a code, an e-mail address or
//! the id of an order (whoever knows it may read the codes): people get the short number. Called by the command line;
//! `find` also by `kiosk sandbox pay`.

// What is said about an order.
mod explain;

pub(super) use explain::refund_summary;

use super::Installation;
use crate::boot::Kiosk;
use crate::engine::Lane;
use crate::store::noticed;
use crate::store::orders::{self, Narrowed};
use crate::store::{DbError, Tx, mails, refunds, transfers};
use crate::workers::strays;
use anyhow::{Context, bail};
use clap::Subcommand;
use domain::decide::{Command, Resolution};
use domain::event::HoldReason;
use domain::fulfil::Line;
use domain::ids::OrderId;
use domain::order::Order;
use domain::project::OrderState;
use domain::time::Span;
use serde::Deserialize;
use serde::de::{IntoDeserializer, value};
use std::process::ExitCode;

/// Orders read at once.
const PAGE: i64 = 500;

/// So long after an order's end somebody may still have sent a wrong token. Each hour more is a thousand blocks to be asked for.
const LOOKED_FOR: Span = Span::hours(24);

/// The longest note, in bytes: it stays in the log for ever.
const MOST_NOTE_BYTES: usize = 500;

#[derive(Subcommand)]
pub enum OrderCommand {
    /// List orders, newest first.
    List {
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        installation: Installation,
    },
    /// Explain what happened to an order, and what waits for a person.
    #[command(alias = "explain")]
    Show {
        /// Short number, or order id.
        order: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Stop an order until somebody has looked; what was sent to a supplier is still looked up.
    Hold {
        /// Short number, or order id.
        order: String,
        /// Why, for whoever looks. No personal data: notes stay in the log.
        #[arg(long)]
        note: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Let an order on hold go on, or decide about one of its lines.
    Resolve(ResolveArgs),
    /// Delete the e-mail addresses, phone numbers, refund address and visitor of an order that is over. For good.
    Forget {
        /// Short number, or order id.
        order: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Have the running server look for what came to an order's address and does not count: the network's own coin, tokens
    /// that nobody listed.
    Notice {
        /// Short number, or order id.
        order: String,
        #[command(flatten)]
        installation: Installation,
    },
    /// Cancel an order for which no payment was seen.
    Cancel {
        /// Short number, or order id.
        order: String,
        #[command(flatten)]
        installation: Installation,
    },
}

/// Which orders a list shows; without anything the newest.
#[derive(Debug, Clone, clap::Args)]
pub struct Wanted {
    /// Only orders in this state, such as WaitingForManualAction.
    #[arg(long, value_name = "WORD", value_parser = state_word)]
    pub state: Option<OrderState>,
    /// Only orders on hold, which wait for a person.
    #[arg(long)]
    pub held: bool,
    /// Only orders that owe their payer money; also shows money that belongs to no order.
    #[arg(long)]
    pub claims: bool,
    /// At most so many orders.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub limit: u16,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { state: None, held: false, claims: false, limit: 50 }
    }
}

#[derive(clap::Args)]
pub struct ResolveArgs {
    /// Short number, or order id.
    order: String,
    /// The line, as `kiosk order show` counts it (the first is 0); without it the hold ends.
    #[arg(long, requires = "outcome")]
    line: Option<u32>,
    /// The recipient has it.
    #[arg(long, group = "outcome", requires = "line")]
    delivered: bool,
    /// It was certainly not delivered; its price is owed to the payer.
    #[arg(long, group = "outcome", requires = "line")]
    refused: bool,
    /// How it is known, for whoever looks later. No personal data: notes stay in the log.
    #[arg(long)]
    note: String,
    #[command(flatten)]
    installation: Installation,
}

/// What a person decides about an order on hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It goes on by itself.
    GoOn,
    /// How one line ended.
    Line { line: u32, resolution: Resolution },
}

/// Runs an order command.
pub async fn run(command: OrderCommand) -> anyhow::Result<ExitCode> {
    let text = match command {
        OrderCommand::List { wanted, installation } => list(&installation.open().await?, &wanted).await?,
        OrderCommand::Show { order, installation } => {
            show(&installation.open().await?, &order, &installation.as_arguments()).await?
        }
        OrderCommand::Hold { order, note, installation } => hold(&installation.open().await?, &order, &note).await?,
        OrderCommand::Resolve(arguments) => {
            let kiosk = arguments.installation.open().await?;
            resolve(&kiosk, &arguments.order, arguments.decision(), &arguments.note).await?
        }
        OrderCommand::Forget { order, installation } => forget(&installation.open().await?, &order).await?,
        OrderCommand::Notice { order, installation } => {
            notice(&installation.open().await?, &order, &installation.as_arguments()).await?
        }
        OrderCommand::Cancel { order, installation } => cancel(&installation.open().await?, &order).await?,
    };
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

impl ResolveArgs {
    /// The arguments let exactly one of the two words stand beside a line.
    fn decision(&self) -> Decision {
        let resolution = if self.delivered { Resolution::Delivered } else { Resolution::Refused };
        self.line.map_or(Decision::GoOn, |line| Decision::Line { line, resolution })
    }
}

fn state_word(text: &str) -> Result<OrderState, value::Error> {
    let word: value::StrDeserializer<'_, value::Error> = text.into_deserializer();
    OrderState::deserialize(word)
}

/// What an order is called on the command line.
#[derive(Clone, Copy)]
enum Name {
    Id(OrderId),
    No(i64),
}

impl Name {
    fn parse(text: &str) -> anyhow::Result<Name> {
        match (OrderId::parse(text), text.parse::<i64>()) {
            (Ok(id), _) => Ok(Name::Id(id)),
            (Err(_), Ok(no)) => Ok(Name::No(no)),
            // Not repeated: it may be an order id with one letter too many.
            (Err(_), Err(_)) => bail!("ORDER is neither an order id nor a short number"),
        }
    }

    fn look_up(self, tx: &mut Tx<'_>) -> Result<Option<Order>, DbError> {
        match self {
            Name::Id(id) => orders::by_id(tx, id),
            Name::No(no) => orders::by_no(tx, no),
        }
    }

    fn unknown(self) -> String {
        match self {
            Name::Id(_) => "there is no order of that id".to_owned(),
            Name::No(no) => format!("there is no order {no}"),
        }
    }
}

/// The order of that id or short number.
///
/// # Errors
/// It is neither, or there is no such order; the text never repeats an id.
pub async fn find(kiosk: &Kiosk, order: &str) -> anyhow::Result<Order> {
    let name = Name::parse(order)?;
    kiosk.engine.db.read(move |tx| name.look_up(tx)).await?.with_context(|| name.unknown())
}

/// One line per order that is wanted, newest first.
pub async fn list(kiosk: &Kiosk, wanted: &Wanted) -> anyhow::Result<String> {
    let narrowed = Narrowed { state: wanted.state, held_only: wanted.held };
    let limit = usize::from(wanted.limit);
    let mut lines = Vec::new();
    let mut before = i64::MAX;
    while lines.len() < limit {
        let page = kiosk.engine.db.read(move |tx| orders::newest_narrowed(tx, &narrowed, before, PAGE)).await?;
        let Some(last) = page.last() else { break };
        before = last.no;
        lines.extend(page.iter().filter(|order| fits(order, wanted)).map(explain::summary));
    }
    lines.truncate(limit);
    if lines.is_empty() {
        lines.push("no such order".to_owned());
    }
    if wanted.claims {
        lines.extend(ownerless(kiosk, wanted.limit).await?);
    }
    Ok(lines.join("\n"))
}

/// One line per transfer that belongs to no order.
pub(super) async fn ownerless(kiosk: &Kiosk, most: u16) -> anyhow::Result<Vec<String>> {
    let market = kiosk.engine.shared.market();
    let found = kiosk.engine.db.read(move |tx| transfers::of_no_order(tx, i64::from(most))).await?;
    Ok(found.iter().map(|(fact, address)| explain::ownerless(fact, address, &market.rails)).collect())
}

/// What the columns of the database do not tell.
fn fits(order: &Order, wanted: &Wanted) -> bool {
    (!wanted.claims || explain::is_claim(order)) && (!wanted.held || !explain::is_over_without_money(order))
}

/// Everything about an order in plain sentences. `same` are the arguments that lead further commands to the same
/// installation.
pub async fn show(kiosk: &Kiosk, order: &str, same: &str) -> anyhow::Result<String> {
    let name = Name::parse(order)?;
    let found = kiosk.engine.db.read(move |tx| {
        let Some(order) = name.look_up(tx)? else { return Ok(None) };
        let log = orders::events_of(tx, order.id)?;
        let noticed = noticed::of_order(tx, order.id)?;
        let assigned = refunds::assigned_to(tx, order.id)?;
        Ok(Some((order, log, noticed, assigned)))
    });
    let (order, log, noticed, assigned) = found.await?.with_context(|| name.unknown())?;
    let mut text = explain::explain(&order, &log, &noticed, &kiosk.engine.shared.market().rails, same);
    for (transfer, assigned) in assigned {
        let (at, by) = (assigned.at.rfc3339(), &assigned.by);
        text.push_str(&format!("\n  {at}  transfer {transfer} was assigned to it by {by}: {}", assigned.note));
    }
    Ok(text)
}

/// Asks for a look at an order's address: for its coins as they are now, and for tokens that came until a day after its end.
/// The server that runs makes it: it has the nodes, and what is found stands in `show`.
///
/// # Errors
/// No network watches the address.
pub async fn notice(kiosk: &Kiosk, order: &str, same: &str) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let no = order.no;
    if order.is_paid_by_hand() {
        bail!("order {no} is paid by hand: no network watches for it");
    }
    if kiosk.books.is_some() {
        bail!("order {no} is on a simulated chain, which carries nothing but what its desk pays");
    }
    let now = kiosk.engine.clock.now();
    let look = strays::look_at(&order, now.min(order.late_until() + LOOKED_FOR), now);
    kiosk.engine.write(move |tx| noticed::want(tx, &[look])).await?;
    Ok(format!("the running server looks within seconds; then: kiosk order show {no}{same}"))
}

/// Puts an order on hold.
///
/// # Errors
/// A person has it on hold already: that note would be lost. Or the note cannot be kept.
pub async fn hold(kiosk: &Kiosk, order: &str, note: &str) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    if let Some(hold) = order.held_for(HoldReason::Operator) {
        bail!("order {} is on hold since {}; see `kiosk order show {}`", order.no, hold.since.rfc3339(), order.no);
    }
    let note = kept_note(&order, "--note", note)?;
    let command = Command::Hold { order: order.id, reason: HoldReason::Operator, line: None, note };
    let order = kiosk.engine.submit(Lane::Client, command).await?;
    Ok(format!("order {} is on hold", order.no))
}

/// Ends a hold, or the uncertainty about a line.
///
/// # Errors
/// What the engine refuses: there is no hold, the line has ended, the order is not paid.
pub async fn resolve(kiosk: &Kiosk, order: &str, decision: Decision, note: &str) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let (id, note) = (order.id, kept_note(&order, "--note", note)?);
    let (command, done) = match decision {
        Decision::GoOn => (Command::Release { order: id, note }, "the hold has ended".to_owned()),
        Decision::Line { line, resolution } => {
            let done = match resolution {
                Resolution::Delivered => format!("line {line} counts as delivered"),
                Resolution::Refused => format!("line {line} counts as not delivered, its price is owed to the payer"),
            };
            (Command::Resolve { order: id, line, resolution, note }, done)
        }
    };
    let order = kiosk.engine.submit(Lane::Client, command).await?;
    Ok(format!("order {}: {done}; its state is {}", order.no, order.state.word()))
}

/// Deletes the key of an order's personal data, and with it the data: e-mail addresses, phone numbers, the refund address
/// and the visitor.
///
/// # Errors
/// They are still needed: a line is to be delivered, a mail to be sent, money to be given back, a person to look into it,
/// or it can still be paid.
pub async fn forget(kiosk: &Kiosk, order: &str) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let (id, no) = (order.id, order.no);
    let paid = order.payment.settled_at.is_some();
    if !paid && order.canceled_at.is_none() && !order.payment.closed {
        let until = order.late_until().rfc3339();
        bail!("order {no} can still be paid; wait until {until}");
    }
    if paid && order.payout.as_ref().is_some_and(|payout| !payout.is_over()) {
        bail!("order {no} is not paid out yet; see `kiosk order show {no}`");
    }
    if paid && !order.lines.iter().all(Line::is_ended) {
        bail!("order {no} has a line that is not delivered yet; see `kiosk order show {no}`");
    }
    if !order.holds.is_empty() {
        bail!("order {no} is on hold, and its payer may have to be asked; see `kiosk order show {no}`");
    }
    if explain::is_claim(&order) {
        bail!("order {no} owes its payer money, and the refund address would be lost; give it back first");
    }
    if kiosk.engine.db.read(move |tx| mails::is_due_for(tx, id)).await? {
        bail!("order {no} has a mail that is not sent yet; wait for it");
    }
    let known = kiosk.engine.write(move |tx| orders::forget_personal(tx, id)).await?;
    Ok(match known {
        true => format!("the addresses and phone numbers of order {no} are deleted"),
        false => format!("those of order {no} were deleted before"),
    })
}

/// Cancels an order.
///
/// # Errors
/// What the engine refuses: a payment was seen, or the order has ended.
pub async fn cancel(kiosk: &Kiosk, order: &str) -> anyhow::Result<String> {
    let order = find(kiosk, order).await?;
    let order = kiosk.engine.submit(Lane::Client, Command::Cancel { order: order.id }).await?;
    Ok(format!("order {} is cancelled", order.no))
}

/// A note as it may stand in the log, where nothing is ever deleted; `argument` names it in errors.
pub(super) fn kept_note(order: &Order, argument: &str, note: &str) -> anyhow::Result<String> {
    let note = kept_line(argument, note)?;
    if note.to_lowercase().contains(&order.id.expose()) {
        bail!("{argument} must hold no order id: notes stay in the log for ever");
    }
    Ok(note)
}

/// One line without an e-mail address.
pub(super) fn kept_line(argument: &str, note: &str) -> anyhow::Result<String> {
    let note = note.trim();
    if note.is_empty() || note.len() > MOST_NOTE_BYTES {
        bail!("{argument} says in 1 to {MOST_NOTE_BYTES} bytes how it is known");
    }
    if note.chars().any(char::is_control) {
        bail!("{argument} is one line without control characters");
    }
    if note.contains('@') {
        bail!("{argument} must hold no e-mail address: notes stay in the log for ever");
    }
    Ok(note.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(subcommand)]
        command: OrderCommand,
    }

    fn parse(words: &str) -> Result<OrderCommand, clap::Error> {
        Arguments::try_parse_from(std::iter::once("order").chain(words.split(' '))).map(|parsed| parsed.command)
    }

    #[test]
    fn a_line_and_how_it_ended_go_together() {
        for wrong in [
            "resolve 1001 --note x --line 0",
            "resolve 1001 --note x --delivered",
            "resolve 1001 --note x --line 0 --delivered --refused",
            "resolve 1001 --line 0 --delivered",
            "hold 1001",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let decision = |words: &str| match parse(words) {
            Ok(OrderCommand::Resolve(arguments)) => arguments.decision(),
            _ => panic!("{words} is not understood"),
        };
        let (delivered, refused) = (Resolution::Delivered, Resolution::Refused);
        assert_eq!(decision("resolve 1001 --note x"), Decision::GoOn);
        assert_eq!(
            decision("resolve 1001 --note x --line 1 --delivered"),
            Decision::Line { line: 1, resolution: delivered }
        );
        assert_eq!(
            decision("resolve 1001 --note x --line 0 --refused"),
            Decision::Line { line: 0, resolution: refused }
        );
    }

    #[test]
    fn a_list_is_narrowed_by_words_of_the_contract() {
        let wanted = |words: &str| match parse(words) {
            Ok(OrderCommand::List { wanted, .. }) => wanted,
            _ => panic!("{words} is not understood"),
        };
        assert_eq!(wanted("list --state Done").state, Some(OrderState::Done));
        assert_eq!(wanted("list --held --limit 7").limit, 7);
        assert!(parse("list --state done").is_err(), "words are exact");
        assert!(parse("list --limit 0").is_err());
    }

    #[test]
    fn an_order_is_named_by_id_or_number_and_an_error_repeats_neither() {
        let id = "3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411";
        assert!(matches!(Name::parse(id), Ok(Name::Id(_))));
        assert!(matches!(Name::parse("1001"), Ok(Name::No(1001))));
        let Err(error) = Name::parse(&format!("{id}0")) else { panic!("37 letters are no id") };
        assert!(!error.to_string().contains("3c0d"), "{error}");
        let Ok(name) = Name::parse(id) else { panic!("it is an id") };
        assert!(!name.unknown().contains("3c0d"));
    }
}
