//! Mail: turns events into messages to be sent, then sends them.
//!
//! The event log is read with a cursor, so that a crash neither loses nor invents a message; a message may be sent twice
//! under the same id. Must never put a code into a mail unless the operator's setting says so.

use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::mail_text::{self, Confirmation, Delivery, DeliveryWithCode};
use crate::ports::{Mail, Mailer, Sent};
use crate::store::mails::{self, MailKind, MailRow};
use crate::store::{orders, settings};
use crate::vault::{OpenOrder, Vault};
use domain::catalog::{Catalogue, DeliveryMethod};
use domain::event::Event;
use domain::money::units_to_text;
use domain::order::Order;
use domain::time::{Span, Time};
use domain::validate::QuotedLine;
use std::sync::Arc;

const READER: &str = "mail";
const PAGE: i64 = 500;

/// What the mail says beside the order.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Begins every link, without a slash at its end.
    pub public_url: String,
    /// Put the code itself into the mail instead of a link to it.
    pub codes_in_mail: bool,
}

/// Plans a message for each event that asks for one.
pub async fn plan_once(engine: &Engine, now: Time) -> Result<Ran, WorkerError> {
    let planned = engine.db.read(|tx| {
        let from = settings::cursor(tx, READER)?;
        let events = orders::events_after(tx, from, PAGE)?;
        Ok(events)
    });
    let events = planned.await?;
    let Some(last) = events.last().map(|logged| logged.seq) else {
        return Ok(Ran::Idle);
    };
    let rows: Vec<MailRow> = events.iter().filter_map(message_of).collect();
    engine
        .write(move |tx| {
            mails::plan(tx, &rows, now)?;
            settings::set_cursor(tx, READER, last)
        })
        .await?;
    Ok(Ran::Worked)
}

fn message_of(logged: &orders::LoggedEvent) -> Option<MailRow> {
    let (kind, line) = match &logged.event {
        Event::PaymentSettled { .. } => (MailKind::Confirmation, 0),
        Event::LineDelivered { line, .. } => (MailKind::Delivery, *line),
        _ => return None,
    };
    // The event's number names the message: unique, and it says nothing about the order.
    let id = format!("{}-{}", kind.word(), logged.seq);
    Some(MailRow { id, order: logged.order, kind, line, attempts: 0 })
}

/// Sends what is due.
pub async fn send_once(
    engine: &Engine,
    vault: &Arc<Vault>,
    mailer: &dyn Mailer,
    settings: &MailSettings,
    now: Time,
) -> Result<Ran, WorkerError> {
    let due = engine.db.read(move |tx| mails::due(tx, now, 32)).await?;
    for row in &due {
        let (id, opener) = (row.order, vault.clone());
        let opened = match engine.db.read(move |tx| Ok(opener.open(tx, id))).await? {
            Ok(opened) => opened,
            Err(error) => {
                // One order that cannot be opened must not keep the others' mail from going out.
                tracing::error!(mail = %row.id, error = &error as &dyn std::error::Error, "mail put off");
                put_off(engine, row, now).await?;
                continue;
            }
        };
        // The line was delivered, and then the order was stopped: the goods wait for a person, however long.
        let waits = opened.as_ref().is_some_and(|opened| !opened.order.shows_goods());
        if row.kind == MailKind::Delivery && waits {
            put_off(engine, row, now).await?;
            continue;
        }
        if opened.as_ref().is_some_and(|opened| opened.order.trade().is_some()) {
            // Payers of exchange orders are told by their pages and by notifications.
            let id = row.id.clone();
            engine.write(move |tx| mails::end(tx, &id, "none")).await?;
            continue;
        }
        let catalogue = engine.shared.market().catalogue.clone();
        let mail =
            opened.as_ref().and_then(|opened| render(vault, opened, row, &Paper { settings, catalogue: &catalogue }));
        let sent = match &mail {
            Some(mail) => {
                if row.kind == MailKind::Delivery && !settings.codes_in_mail {
                    note_link(engine, vault, row).await?;
                }
                mailer.send(mail).await
            }
            None => Sent::Refused { reason: "there is nobody to write to".to_owned() },
        };
        settle(engine, row, sent, now).await?;
    }
    Ok(Ran::if_any(!due.is_empty()))
}

/// Tries again in a minute, without counting an attempt.
async fn put_off(engine: &Engine, row: &MailRow, now: Time) -> Result<(), WorkerError> {
    let id = row.id.clone();
    Ok(engine.write(move |tx| mails::put_off(tx, &id, now + Span::minutes(1))).await?)
}

async fn note_link(engine: &Engine, vault: &Vault, row: &MailRow) -> Result<(), WorkerError> {
    let hash = vault.hash_of_secret(&vault.delivery_secret(row.order, row.line));
    let (order, line) = (row.order, row.line);
    Ok(engine.write(move |tx| mails::add_link(tx, &hash, order, line)).await?)
}

async fn settle(engine: &Engine, row: &MailRow, sent: Sent, now: Time) -> Result<(), WorkerError> {
    let (id, attempts) = (row.id.clone(), row.attempts);
    engine
        .write(move |tx| match sent {
            Sent::Accepted => mails::end(tx, &id, "sent"),
            Sent::Refused { reason } => {
                tracing::info!(mail = %id, reason, "mail not sent");
                mails::end(tx, &id, "refused")
            }
            Sent::Later { reason } if attempts < 40 => {
                tracing::warn!(mail = %id, reason, "mail put off");
                mails::retry(tx, &id, now + wait(attempts))
            }
            Sent::Later { reason } => {
                tracing::error!(mail = %id, reason, "mail given up after three days");
                mails::end(tx, &id, "refused")
            }
        })
        .await?;
    Ok(())
}

/// 5 s, doubled each time, at most two hours: forty attempts take about three days.
pub fn wait(attempts: i64) -> Span {
    Span::seconds(5_i64.saturating_mul(1 << attempts.clamp(0, 20)).min(7_200))
}

/// What every mail is written on.
struct Paper<'a> {
    settings: &'a MailSettings,
    catalogue: &'a Catalogue,
}

fn render(vault: &Vault, opened: &OpenOrder, row: &MailRow, paper: &Paper<'_>) -> Option<Mail> {
    let (order, settings) = (&opened.order, paper.settings);
    let language = order.origin.language.as_str();
    let (to, (subject, text)) = match row.kind {
        MailKind::Confirmation => {
            let confirmation = Confirmation {
                order_no: order.no.to_string(),
                lines: order.quote.lines.iter().map(title).collect(),
                total: price(order),
                status_url: format!("{}/v5/orders/{}", settings.public_url, order.id.expose()),
            };
            (opened.personal.email.clone()?, mail_text::confirmation(language, &confirmation))
        }
        MailKind::Delivery => {
            let quoted = order.quote.lines.get(row.line as usize)?;
            // A top-up went to the phone; there is nothing to mail.
            if quoted.delivery == DeliveryMethod::ByPhone {
                return None;
            }
            let to = opened.personal.beneficiaries.get(row.line as usize)?.clone();
            (to, delivery(vault, opened, row, quoted, paper))
        }
    };
    Some(Mail { message_id: row.id.clone(), to, subject, text })
}

fn delivery(
    vault: &Vault,
    opened: &OpenOrder,
    row: &MailRow,
    quoted: &QuotedLine,
    paper: &Paper<'_>,
) -> (String, String) {
    let (order, settings, title) = (&opened.order, paper.settings, title(quoted));
    let language = order.origin.language.as_str();
    let order_no = order.no.to_string();
    match opened.goods.get(row.line as usize).cloned().flatten().filter(|_| settings.codes_in_mail) {
        Some(goods) => {
            let goods = DeliveryWithCode {
                order_no,
                title,
                code: goods.pin_code.into(),
                serial: goods.pin_serial.map(Into::into),
                security: goods.security_code.map(Into::into),
                instructions_text: mail_text::plain(&how_to_redeem(paper.catalogue, quoted, language)),
            };
            mail_text::delivery_with_code(language, &goods)
        }
        None => {
            let link = format!("{}/d/{}", settings.public_url, vault.delivery_secret(order.id, row.line));
            mail_text::delivery(language, &Delivery { order_no, title, link })
        }
    }
}

/// As the catalogue says it today; nothing if the brand has left it.
fn how_to_redeem(catalogue: &Catalogue, quoted: &QuotedLine, language: &str) -> String {
    let brand = catalogue.brand(&quoted.country, &quoted.brand);
    brand.map(|brand| brand.text(language).1.how_to_redeem).unwrap_or_default()
}

fn title(line: &QuotedLine) -> String {
    format!("{} {}", line.brand, line.denomination)
}

fn price(order: &Order) -> String {
    let quote = &order.quote;
    format!("{} {}", units_to_text(quote.due_units, quote.scale, quote.quoted_decimals), quote.coin)
}
