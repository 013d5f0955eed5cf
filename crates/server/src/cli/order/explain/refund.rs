//! An order's refunds in plain sentences: how much, for what, who asked and agreed, where each stands, and the commands
//! for it. Must never show where one goes: that is sealed, and `kiosk refund show` opens it.

use super::clean;
use domain::asset::Rails;
use domain::order::Order;
use domain::payout::Payout;
use domain::refund::{Cause, Destination, Refund, RefundStep, Stage};

/// A line or two for each refund; nothing for an order without any.
pub fn refunds(order: &Order, rails: &Rails, same: &str) -> Vec<String> {
    if order.refunds.is_empty() {
        return Vec::new();
    }
    let mut text = vec!["\nRefunds".to_owned()];
    for (number, refund) in (0..).zip(&order.refunds) {
        text.push(format!("  Refund {number}: {}", summary(order, refund, rails)));
        text.extend(commands(order, number, refund, same));
    }
    text
}

/// A refund in one sentence.
pub fn summary(order: &Order, refund: &Refund, rails: &Rails) -> String {
    let amount = order.amount_text(&refund.asset, refund.payable_units(), rails);
    let fee = match refund.fee_units {
        0 => String::new(),
        fee => format!(" ({} kept as a fee)", order.amount_text(&refund.asset, fee, rails)),
    };
    let (asked_by, at) = (clean(order, &refund.asked_by), refund.asked_at.rfc3339());
    let approved = refund.approved_by.as_ref().map(|by| format!(", approved by {}", clean(order, by)));
    let approved = approved.unwrap_or_default();
    format!(
        "{amount}{fee}, {}; asked for by {asked_by} {at}{approved}; {}.",
        of_what(refund.cause),
        standing(order, refund)
    )
}

fn of_what(cause: Cause) -> String {
    match cause {
        Cause::Whole => "all that was owed".to_owned(),
        Cause::Part => "a part of what is owed".to_owned(),
        Cause::Excess => "what was sent too much".to_owned(),
        Cause::Line(line) => format!("for line {line}"),
    }
}

fn standing(order: &Order, refund: &Refund) -> String {
    let payout = match &refund.stage {
        Stage::ClaimOpen { .. } => return "waits for the payer's address".to_owned(),
        Stage::Due { .. } => return "waits for another person's approval".to_owned(),
        Stage::Rejected { at, by, note } => {
            return format!("rejected by {} {}: {}", clean(order, by), at.rfc3339(), clean(order, note));
        }
        Stage::Paying { payout } => payout,
    };
    match payout {
        Payout::Planned { .. } if refund.destination == Destination::ByHand => "to be paid by hand".to_owned(),
        Payout::Planned { .. } if order.is_stopped() => "approved, and waits until the order's hold ends".to_owned(),
        Payout::Planned { .. } => "approved, paid next".to_owned(),
        Payout::Sent { reference, deadline, .. } => {
            format!("begun under our reference {reference}; looked up after {}", deadline.rfc3339())
        }
        Payout::Asking { reference, unknown, next_lookup, .. } => {
            let said = if *unknown { "no clear answer" } else { "taken in, not final yet" };
            format!("{said} under our reference {reference}; looked up again {}", next_lookup.rfc3339())
        }
        Payout::Failed { at, reason, .. } => format!("not paid {} ({})", at.rfc3339(), clean(order, reason)),
        Payout::Done { at, proof } | Payout::Returned { at, proof } => {
            format!("paid {} ({})", at.rfc3339(), clean(order, proof))
        }
    }
}

/// What an operator can do about it.
fn commands(order: &Order, number: u32, refund: &Refund, same: &str) -> Vec<String> {
    let command =
        |word: &str, more: &str| format!("    kiosk refund {word} {} {number} --as NAME{more}{same}", order.no);
    let paid = || command("paid", " --reference TRANSACTION");
    match &refund.stage {
        Stage::ClaimOpen { .. } => vec![format!("    kiosk refund link {} --as NAME{same}", order.no)],
        Stage::Due { attempt } => {
            vec![
                format!("    kiosk refund show {}{same}", order.no),
                command("approve", &format!(" --attempt {attempt}")),
                command("reject", " --note WHY"),
            ]
        }
        Stage::Paying { payout: Payout::Planned { .. } } if refund.destination == Destination::ByHand => vec![paid()],
        Stage::Paying { payout: Payout::Asking { unknown: true, .. } } => vec![paid()],
        Stage::Paying { payout: Payout::Failed { .. } } => {
            vec![command("retry", ""), command("reopen", ""), paid(), command("reject", " --note WHY")]
        }
        Stage::Paying { .. } | Stage::Rejected { .. } => Vec::new(),
    }
}

/// One event of the log.
pub fn sentence(order: &Order, number: u32, step: &RefundStep, rails: &Rails) -> String {
    let told = match step {
        RefundStep::Asked { asset, units, cause, by, needs_approval, .. } => {
            let amount = order.amount_text(asset, *units, rails);
            let second = if *needs_approval { "; another person has to approve it" } else { "" };
            format!("{amount} asked for by {}, {}{second}", clean(order, by), of_what(*cause))
        }
        RefundStep::Addressed => "the payer has said where to".to_owned(),
        RefundStep::Approved { by } => format!("approved by {}", clean(order, by)),
        RefundStep::Rejected { by, note } => format!("rejected by {}: {}", clean(order, by), clean(order, note)),
        RefundStep::Reopened { by } => format!("{} wants another address", clean(order, by)),
        RefundStep::Sent { reference, .. } => format!("begun under our reference {reference}"),
        RefundStep::Asking { unknown: true, .. } => "no clear answer".to_owned(),
        RefundStep::Asking { unknown: false, .. } => "taken in, not final yet".to_owned(),
        RefundStep::NeverArrived => "the call never arrived and is made again".to_owned(),
        RefundStep::Failed { reason } => format!("not paid ({})", clean(order, reason)),
        RefundStep::Retried { by } => format!("{} has it tried again", clean(order, by)),
        RefundStep::Final { proof, by: None } => format!("paid ({})", clean(order, proof)),
        RefundStep::Final { proof, by: Some(by) } => {
            format!("paid by {} by hand ({})", clean(order, by), clean(order, proof))
        }
    };
    format!("refund {number}: {told}")
}
