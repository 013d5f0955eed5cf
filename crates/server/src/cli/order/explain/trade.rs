//! An exchange order in plain sentences: what is agreed, where its payout stands, and the commands for it.

use super::{amount, clean};
use domain::event::Event;
use domain::money::units_to_text;
use domain::order::Order;
use domain::payout::Payout;
use domain::project::{ExchangeStatus, exchange_status};

/// The first lines; none for an order that buys goods.
pub fn head(order: &Order) -> Option<Vec<String>> {
    let trade = order.trade()?;
    let (from, to) = (&trade.from, &trade.to);
    Some(vec![
        format!("Order {}: {}", order.no, exchange_status(order).word()),
        format!("  {}", meaning(exchange_status(order))),
        format!(
            "  {} {} for {} {} at {} {} each; placed {}, held until {}.",
            from.amount(),
            from.xml,
            to.amount(),
            to.xml,
            trade.rate.text(),
            from.symbol,
            order.placed_at.rfc3339(),
            order.expires_at.rfc3339()
        ),
    ])
}

fn meaning(status: ExchangeStatus) -> &'static str {
    match status {
        ExchangeStatus::New => "The payer has not said yet that he wants to pay.",
        ExchangeStatus::WaitPayment => "It waits for the payment.",
        ExchangeStatus::ErrorPayment => "Money came, and not as agreed: too little, too late, or another token.",
        ExchangeStatus::InProgress => "It is paid, or its payer says so; it is not paid out yet.",
        ExchangeStatus::InProgressPayout => "It is paid, and the payout is under way.",
        ExchangeStatus::ErrorPayout => "It is paid, and the payout was refused: see below.",
        ExchangeStatus::Hold => "It waits for a person: see below.",
        ExchangeStatus::Done => "It is paid out.",
        ExchangeStatus::Returned => "The payer got his money back.",
        ExchangeStatus::Deleted => "It was cancelled, or not paid in time.",
    }
}

/// Where the payout stands, and what an operator can do.
pub fn payout(order: &Order, same: &str) -> Vec<String> {
    let mut text = vec!["\nPayout".to_owned()];
    let settled = order.payment.settled_at.is_some();
    let by_hand = !order.trade().is_some_and(|trade| trade.auto_payout);
    let command = |words: &str| format!("    kiosk exchange {words}{same}");
    let (no, mut commands) = (order.no, Vec::new());
    let sentence = match order.payout.as_ref() {
        None => return Vec::new(),
        Some(Payout::Planned { .. }) if !settled => {
            if order.is_paid_by_hand() {
                commands.push(command(&format!("confirm {no} --amount AMOUNT --reference WHERE")));
            }
            "It is paid out once the order is paid.".to_owned()
        }
        Some(Payout::Planned { .. }) if by_hand => {
            commands.push(command(&format!("paid {no} --reference WHERE")));
            commands.push(command(&format!("returned {no} --reference WHERE")));
            "It is to be paid out by hand.".to_owned()
        }
        Some(Payout::Planned { .. }) => "It is paid out next.".to_owned(),
        Some(Payout::Sent { reference, deadline, .. }) => {
            format!("begun under our reference {reference}; looked up after {}.", deadline.rfc3339())
        }
        Some(Payout::Asking { reference, unknown, next_lookup, .. }) => {
            if *unknown {
                commands.push(command(&format!("paid {no} --reference TRANSACTION")));
            }
            let said = if *unknown { "no clear answer" } else { "taken in, not final yet" };
            format!("{said} under our reference {reference}; looked up again {}.", next_lookup.rfc3339())
        }
        Some(Payout::Done { at, proof }) => format!("paid out {} ({}).", at.rfc3339(), clean(order, proof)),
        Some(Payout::Failed { at, reason, .. }) => {
            commands.push(command(&format!("retry {no}")));
            commands.push(command(&format!("paid {no} --reference WHERE")));
            commands.push(command(&format!("returned {no} --reference WHERE")));
            format!("refused {} ({}).", at.rfc3339(), clean(order, reason))
        }
        Some(Payout::Returned { at, proof }) => {
            format!("the payer got his money back {} ({}).", at.rfc3339(), clean(order, proof))
        }
    };
    text.push(format!("  {sentence}"));
    text.extend(commands);
    text
}

/// One event of the log.
pub fn sentence(order: &Order, event: &Event) -> String {
    let out = |units: i64| {
        let side = order.trade().map(|trade| &trade.to);
        side.map_or(String::new(), |to| format!("{} {}", units_to_text(units, to.decimals, 0), to.xml))
    };
    match event {
        Event::Accepted => "the payer wants to pay".to_owned(),
        Event::CountsReleased => "what it held of the reserve was let go of".to_owned(),
        Event::CreditReturned { proof, units } => {
            format!("{} that were owed given back to the payer ({})", amount(order, *units), clean(order, proof))
        }
        Event::Owned { .. } => "an account took it over".to_owned(),
        Event::PaymentClaimed => "the payer says that he has paid".to_owned(),
        Event::Repriced { rate, receive_units } => {
            format!("the rate had moved to {}: {} will be paid out", rate.text(), out(*receive_units))
        }
        Event::PayoutSent { reference, .. } => format!("payout begun under our reference {reference}"),
        Event::PayoutAsking { unknown: true, .. } => "payout: no clear answer".to_owned(),
        Event::PayoutAsking { unknown: false, .. } => "payout: taken in, not final yet".to_owned(),
        Event::PayoutNeverArrived => "payout: the call never arrived and is made again".to_owned(),
        Event::PayoutFailed { reason } => format!("payout refused ({})", clean(order, reason)),
        Event::PayoutRetried => "the payout is tried again".to_owned(),
        Event::PayoutDone { proof } => format!("paid out ({})", clean(order, proof)),
        Event::Returned { proof, returned_units, .. } => {
            format!("{} given back to the payer ({})", amount(order, *returned_units), clean(order, proof))
        }
        other => other.kind().to_owned(),
    }
}
