//! An order in plain sentences: what happened, what comes next, and what a person has to do, with the exact command.
//!
//! Pure. Knows no codes and no addresses of people, since neither stands in an order or its events; notes and suppliers'
//! reasons come from outside and are cleaned before they are shown. Must never show the order's id. Called by
//! `kiosk order`.

// Money back.
mod refund;

// Of orders that pay out coins.
mod trade;

pub(in crate::cli) use refund::summary as refund_summary;

use crate::cli::shop::text::is_unsafe;
use crate::store::noticed::Noticed;
use crate::store::orders::LoggedEvent;
use domain::asset::Rails;
use domain::catalog::OWN_STOCK;
use domain::chain::StrayKind;
use domain::decide::TransferFact;
use domain::event::{Event, HoldReason, Seen, Settlement};
use domain::fulfil::Line;
use domain::money::units_to_text;
use domain::order::{Hold, Order};
use domain::payment::{Received, TransferStatus};
use domain::project::OrderState;
use domain::reasons::{self, Reason};

/// Money came that the order will not use: it waits in the claim queue.
pub(super) fn is_claim(order: &Order) -> bool {
    let has_ended = order.payment.expired_at.is_some() || order.canceled_at.is_some();
    let is_owed = order.credit_units > 0 && (order.payment.settled_at.is_some() || has_ended);
    is_owed || came_in_another_asset(order)
}

fn came_in_another_asset(order: &Order) -> bool {
    // What went back is nobody's claim any more.
    let is_open = |one: &Received| one.status == TransferStatus::Seen || order.owed_units(&one.asset) > 0;
    order.payment.received.iter().any(|one| one.asset != order.quote.asset && is_open(one))
}

/// Nothing came and nothing can come any more: a hold on such an order asks nobody for anything.
pub(super) fn is_over_without_money(order: &Order) -> bool {
    order.payment.settled_at.is_none() && order.payment.closed && order.payment.received.is_empty()
}

/// One line of a list.
pub(super) fn summary(order: &Order) -> String {
    let mut text = format!(
        "{}  {}  {}  {} on {}  {} line(s)",
        order.no,
        order.placed_at.rfc3339(),
        order.state.word(),
        amount(order, order.quote.due_units),
        order.quote.network,
        order.lines.len()
    );
    if let Some(hold) = order.hold() {
        text.push_str(&format!("  on hold: {}", clean(order, &hold.note)));
    }
    if is_claim(order) && order.credit_units > 0 {
        text.push_str(&format!("  owed to the payer: {}", amount(order, order.credit_units)));
    }
    if came_in_another_asset(order) {
        text.push_str("  another token came in");
    }
    text
}

/// Money at an address of ours that no order owns.
pub(super) fn ownerless(fact: &TransferFact, address: &str, rails: &Rails) -> String {
    let units = match rails.asset(&fact.asset) {
        Some((_, asset)) => format!("{} {}", units_to_text(fact.units, asset.scale(), 2), asset.coin),
        None => format!("{} units of {}", fact.units, fact.asset),
    };
    let (at, status) = (fact.block_at.rfc3339(), fact.status.word());
    format!("no order  {at}  {units} at {address}, {status}, transfer {}", fact.id)
}

/// Everything about an order. `same` are the arguments that lead further commands to the same installation.
pub(super) fn explain(order: &Order, log: &[LoggedEvent], noticed: &[Noticed], rails: &Rails, same: &str) -> String {
    let mut text = head(order);
    text.extend(payment(order, noticed));
    text.extend(goods(order, log, same));
    text.extend(refund::refunds(order, rails, same));
    text.extend(for_a_person(order, same));
    text.push("\nLog".to_owned());
    let told = |logged: &LoggedEvent| match &logged.event {
        Event::Refund { refund, step } => refund::sentence(order, *refund, step, rails),
        event => sentence(order, event),
    };
    text.extend(log.iter().map(|logged| format!("  {}  {}", logged.at.rfc3339(), told(logged))));
    text.join("\n")
}

/// Where the order came from, as far as the client said so; every text of it is the client's own.
fn came_from(order: &Order) -> Option<String> {
    let origin = &order.origin;
    let part = |label: &str, value: &Option<String>| {
        let shown = |value: &String| clean(order, value).chars().take(60).collect::<String>();
        value.as_ref().map(|value| format!("{label} {:?}", shown(value)))
    };
    let mut parts: Vec<String> = [
        part("partner", &origin.partner),
        part("brought by", &origin.referrer),
        part("client", &origin.client_version),
        part("customer", &origin.customer),
        part("campaign", &origin.utm_source),
        part("country", &origin.country),
    ]
    .into_iter()
    .flatten()
    .collect();
    if origin.newsletter {
        parts.push("newsletter wanted".to_owned());
    }
    (!parts.is_empty()).then(|| format!("  From {}.", parts.join(", ")))
}

fn head(order: &Order) -> Vec<String> {
    if let Some(head) = trade::head(order) {
        return head;
    }
    let mut text = vec![
        format!("Order {}: {}", order.no, order.state.word()),
        format!("  {}", meaning(order)),
        format!(
            "  {} line(s) for {} on {}; placed {}, the price was held until {}.",
            order.lines.len(),
            amount(order, order.quote.due_units),
            order.quote.network,
            order.placed_at.rfc3339(),
            order.expires_at.rfc3339()
        ),
    ];
    text.extend(came_from(order));
    text
}

/// What the state means for this order.
fn meaning(order: &Order) -> String {
    let until = order.expires_at.rfc3339();
    match order.state {
        OrderState::Created | OrderState::WaitingForPayment => {
            format!("Nothing was paid yet; unpaid, it expires by itself after {until}.")
        }
        OrderState::PaymentStarted => "The payment was seen; it counts once the network has confirmed it.".to_owned(),
        OrderState::PartialPaymentStarted => {
            format!("A part of the price was seen; the rest can be sent to the same address until {until}.")
        }
        OrderState::Expired if order.payment.closed => "It was not paid in time.".to_owned(),
        OrderState::Expired => {
            let last = order.late_until().rfc3339();
            format!("It was not paid in time; a late payment can still settle it until {last}.")
        }
        OrderState::PaymentReceived => "It is paid; its goods are fetched next.".to_owned(),
        OrderState::WaitingForDelivery => "It is paid; not every line has ended yet.".to_owned(),
        OrderState::WaitingForManualAction => "It waits for a person: see below.".to_owned(),
        OrderState::Done => "Every line has ended, and something was delivered.".to_owned(),
        OrderState::Refunded => "The money went back to the payer.".to_owned(),
        OrderState::Canceled => "It was cancelled before anything was paid.".to_owned(),
        OrderState::PaymentFailed => "Its payment failed.".to_owned(),
    }
}

fn payment(order: &Order, noticed: &[Noticed]) -> Vec<String> {
    let quote = &order.quote;
    let (seen, confirmed) = (order.payment.seen(&quote.asset), order.payment.confirmed(&quote.asset));
    let mut text = vec!["\nPayment".to_owned()];
    text.push(match order.payment.settled_at {
        Some(at) => format!("  {} were confirmed; the price was taken {}.", amount(order, confirmed), at.rfc3339()),
        None if order.payment.received.is_empty() => "  Nothing was seen.".to_owned(),
        None => format!(
            "  {} of {} were seen, {} of it confirmed.",
            amount(order, seen),
            amount(order, quote.due_units),
            amount(order, confirmed)
        ),
    });
    text.push(format!("  Deposit address: {} on {}.", order.address, quote.network));
    for one in &order.payment.received {
        let what = if one.asset == quote.asset { amount(order, one.units) } else { "another token".to_owned() };
        let (at, status) = (one.block_at.rfc3339(), one.status.word());
        text.push(format!("  - {what}, {status}, block time {at}, transfer {}", one.transfer));
    }
    text.extend(noticed.iter().map(stray));
    let mut reasons = reasons::of(order);
    if !noticed.is_empty() && !reasons.contains(&Reason::WrongAsset) {
        reasons.push(Reason::WrongAsset);
    }
    text.extend(reasons.into_iter().map(|reason| format!("  {}", reason.words().for_operator)));
    text
}

/// What lies at the address and does not count. A stranger's token is called by its contract: its name is his text.
fn stray(noticed: &Noticed) -> String {
    let (raw, at) = (&noticed.raw, noticed.at.rfc3339());
    match &noticed.what {
        StrayKind::Coin => {
            format!("  - {raw} of the smallest unit of the network's own coin lay there {at}; they do not count")
        }
        StrayKind::Token { contract, transaction } => format!(
            "  - {raw} of the smallest unit of a token that is not listed, which may be worth nothing and does not count: \
             contract {contract}, transaction {transaction}"
        ),
    }
}

fn goods(order: &Order, log: &[LoggedEvent], same: &str) -> Vec<String> {
    if order.trade().is_some() {
        return trade::payout(order, same);
    }
    let mut text = vec!["\nLines".to_owned()];
    for (at, (line, quoted)) in order.lines.iter().zip(&order.quote.lines).enumerate() {
        let number = at as u32;
        text.push(format!(
            "  Line {number}, {} {}: {}",
            quoted.brand,
            quoted.label,
            standing(order, log, number, line)
        ));
        for hold in order.holds.iter().filter(|hold| hold.line == Some(number)) {
            text.push(format!("    On hold since {}: {}", hold.since.rfc3339(), clean(order, &hold.note)));
            text.push(format!("    {}", why(hold.reason)));
        }
        if is_a_persons(order, number, line) {
            text.extend(line_commands(order, number, line, same));
        }
    }
    text
}

fn standing(order: &Order, log: &[LoggedEvent], number: u32, line: &Line) -> String {
    let supplier = |at: usize| {
        let offer = order.quote.lines[number as usize].suppliers.get(at);
        offer.map_or("nobody", |offer| supplier_name(&offer.supplier)).to_owned()
    };
    match line {
        Line::Planned { supplier: at, .. } if order.payment.settled_at.is_none() => {
            format!("{} is to deliver it once the order is paid.", supplier(*at))
        }
        Line::Planned { supplier: at, .. } if order.is_held(number) => {
            format!("{} is to deliver it once the hold has ended.", supplier(*at))
        }
        Line::Planned { supplier: at, .. } => format!("{} is to deliver it now.", supplier(*at)),
        Line::Sent { supplier: at, reference, sent_at, deadline, .. } => format!(
            "ordered from {} {} under our reference {reference}; no answer yet, it is looked up after {}.",
            supplier(*at),
            sent_at.rfc3339(),
            deadline.rfc3339()
        ),
        Line::Asking { supplier: at, reference, unknown, next_lookup, .. } => {
            let said = if *unknown { "no clear answer" } else { "taken in, not delivered yet" };
            let next = next_lookup.rfc3339();
            format!("{said} from {} under our reference {reference}; it is looked up again {next}.", supplier(*at))
        }
        Line::Delivered { at, code, reversed, .. } => {
            let by = match last_purchase(log, number) {
                Some((name, reference)) => format!(" by {name}, our reference {reference}"),
                None if code.is_some() => " from your own stock".to_owned(),
                None => ", as a person decided".to_owned(),
            };
            let back = reversed.map_or(String::new(), |at| format!("; taken back by the supplier {}", at.rfc3339()));
            format!("delivered {}{by}{back}.", at.rfc3339())
        }
        Line::Refused { at, reason } => {
            let owed = amount(order, order.quote.lines[number as usize].coin_units);
            format!("given up {} ({}); {owed} of the price are the payer's.", at.rfc3339(), clean(order, reason))
        }
    }
}

/// The supplier that was asked last, and our reference there.
fn last_purchase(log: &[LoggedEvent], number: u32) -> Option<(&str, &str)> {
    log.iter().rev().find_map(|logged| match &logged.event {
        Event::LineSent { line, supplier, reference, .. } if *line == number => {
            Some((supplier.as_str(), reference.as_str()))
        }
        _ => None,
    })
}

fn supplier_name(supplier: &str) -> &str {
    if supplier == OWN_STOCK { "your own stock" } else { supplier }
}

/// Whether a person may know better than the program how a line ended.
fn is_a_persons(order: &Order, number: u32, line: &Line) -> bool {
    let is_unclear = matches!(line, Line::Asking { unknown: true, .. });
    order.payment.settled_at.is_some() && !line.is_ended() && (is_unclear || order.is_held(number))
}

fn line_commands(order: &Order, number: u32, line: &Line, same: &str) -> Vec<String> {
    let ask = match line.reference() {
        Some(reference) => format!("    Ask the supplier what became of {reference}, then say how it ended:"),
        None => "    If it ended outside of kiosk, say how:".to_owned(),
    };
    let command = |word: &str| {
        format!("      kiosk order resolve {} --line {number} --{word} --note 'how it is known'{same}", order.no)
    };
    vec![ask, command("delivered"), command("refused")]
}

fn for_a_person(order: &Order, same: &str) -> Vec<String> {
    let mut text = Vec::new();
    if !order.holds.is_empty() && !is_over_without_money(order) {
        order.holds.iter().for_each(|hold| text.extend(about_hold(order, hold)));
        text.push("  To let it go on by itself, once all of that is looked at:".to_owned());
        text.push(format!("    kiosk order resolve {} --note 'what was found'{same}", order.no));
    }
    let is_open = order.lines.iter().zip(0..).any(|(line, number)| is_a_persons(order, number, line));
    if is_open {
        text.push("  Some lines can be decided by hand: the commands stand beside them.".to_owned());
    }
    if is_claim(order) && order.credit_units > 0 {
        let owed = amount(order, order.credit_units);
        text.push(format!("  {owed} are owed to the payer and wait in the claim queue."));
        if order.may_give_back().is_ok() && order.refundable_units(&order.quote.asset) > 0 {
            text.push(format!("    kiosk refund request {} --whole --as NAME{same}", order.no));
        }
    }
    if order.credit_units < 0 {
        let missing = amount(order, -order.credit_units);
        text.push(format!(
            "  {missing} that the order was settled with are gone from the chain: a loss, or not yet again."
        ));
    }
    if came_in_another_asset(order) {
        text.push("  Another token than agreed lies at the deposit address: it belongs to the payer.".to_owned());
        text.push(format!("    kiosk refund request {} --other-token --whole --as NAME{same}", order.no));
    }
    if text.is_empty() {
        text.push("  Nothing.".to_owned());
    }
    text.insert(0, "\nFor a person".to_owned());
    text
}

fn about_hold(order: &Order, hold: &Hold) -> Vec<String> {
    let what = hold.line.map_or("The order is".to_owned(), |line| format!("Line {line} is"));
    vec![
        format!("  {what} on hold since {}: {}", hold.since.rfc3339(), clean(order, &hold.note)),
        format!("  {}", why(hold.reason)),
    ]
}

fn why(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::PaymentReverted => {
            "Confirmed money vanished from the chain; the hold ends by itself if it is mined again."
        }
        HoldReason::OutcomeUnknown => {
            "Nobody but the supplier or the recipient knows whether it was delivered: buying again could deliver twice."
        }
        HoldReason::Undeliverable => "Nobody could deliver a line that is paid for.",
        HoldReason::DeliveryReversed => {
            "The supplier took back what it had delivered: the code may be dead. A refund is yours to decide and to pay."
        }
        HoldReason::RateUnclear => "It was paid, and at which rate it is to be paid out is yours to decide.",
        HoldReason::Operator => "An operator asked for it.",
        HoldReason::InvariantBroken => {
            "The program met a state that must not be: run `kiosk fsck`, and read the server's log of that time."
        }
    }
}

/// One event of the log.
fn sentence(order: &Order, event: &Event) -> String {
    match event {
        Event::Placed(placed) => {
            let until = placed.expires_at.rfc3339();
            format!("placed for {}, payable until {until}", amount(order, placed.quote.due_units))
        }
        Event::PaymentSeen(seen) => format!("{} seen on the chain", received(order, seen)),
        Event::PaymentConfirmed(seen) => format!("{} confirmed", received(order, seen)),
        Event::PaymentReverted { transfer } => format!("transfer {transfer} vanished from the chain"),
        Event::PaymentSettled { settlement: Settlement::OnTime, .. } => "paid in time".to_owned(),
        Event::PaymentSettled { settlement: Settlement::Late, .. } => "paid late, and accepted".to_owned(),
        Event::Expired => "expired".to_owned(),
        Event::LateWindowClosed => "the time for late payments ended".to_owned(),
        Event::Canceled => "cancelled".to_owned(),
        Event::LineSent { .. }
        | Event::LineAsking { .. }
        | Event::LineDelivered { .. }
        | Event::LineRefusedBySupplier { .. }
        | Event::LineNeverArrived { .. }
        | Event::LineRefused { .. }
        | Event::LineReversed { .. } => line_sentence(order, event),
        Event::Accepted
        | Event::CountsReleased
        | Event::CreditReturned { .. }
        | Event::Owned { .. }
        | Event::PaymentClaimed
        | Event::Repriced { .. }
        | Event::PayoutSent { .. }
        | Event::PayoutAsking { .. }
        | Event::PayoutNeverArrived
        | Event::PayoutFailed { .. }
        | Event::PayoutRetried
        | Event::PayoutDone { .. }
        | Event::Returned { .. } => trade::sentence(order, event),
        // With the refunds' own words: see `explain`.
        Event::Refund { .. } => event.kind().to_owned(),
        Event::HeldForPerson { line, note, .. } => {
            let what = line.map_or("on hold".to_owned(), |line| format!("line {line} on hold"));
            format!("{what}: {}", clean(order, note))
        }
        Event::HoldReleased { note, .. } => format!("the hold ended: {}", clean(order, note)),
    }
}

fn line_sentence(order: &Order, event: &Event) -> String {
    match event {
        Event::LineSent { line, supplier, reference, .. } => {
            format!("line {line} ordered from {} under our reference {reference}", supplier_name(supplier))
        }
        Event::LineAsking { line, unknown: true, .. } => format!("line {line}: no clear answer from the supplier"),
        Event::LineAsking { line, unknown: false, .. } => format!("line {line}: taken in, not delivered yet"),
        Event::LineDelivered { line, .. } => format!("line {line} delivered"),
        Event::LineRefusedBySupplier { line, supplier, reason } => {
            format!("line {line}: {} refused ({}), the next is asked", supplier_name(supplier), clean(order, reason))
        }
        Event::LineNeverArrived { line } => {
            format!("line {line}: the call never reached the supplier, which is asked again")
        }
        Event::LineRefused { line, reason, refund_units, .. } => {
            let owed = amount(order, *refund_units);
            format!("line {line} will not be delivered ({}); {owed} owed to the payer", clean(order, reason))
        }
        Event::LineReversed { line, reason } => {
            format!("line {line} was taken back by its supplier ({})", clean(order, reason))
        }
        other => other.kind().to_owned(),
    }
}

fn received(order: &Order, seen: &Seen) -> String {
    let what = if seen.asset == order.quote.asset { amount(order, seen.units) } else { "another token".to_owned() };
    format!("{what}, block time {},", seen.block_at.rfc3339())
}

fn amount(order: &Order, units: i64) -> String {
    let quote = &order.quote;
    format!("{} {}", units_to_text(units, quote.scale, quote.quoted_decimals), quote.coin)
}

/// A text from outside as it may stand on a screen: no control characters, no e-mail addresses, not the order's id.
fn clean(order: &Order, text: &str) -> String {
    let id = order.id.expose();
    let word = |word: &str| match word.contains('@') || word.to_lowercase().contains(&id) {
        true => "[left out]".to_owned(),
        false => word.chars().filter(|character| !is_unsafe(*character)).collect(),
    };
    text.split_whitespace().map(word).collect::<Vec<String>>().join(" ")
}
