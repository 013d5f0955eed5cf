//! Mail about accounts: sends what sign-in has planned.
//!
//! A message may be sent twice under the same id, with the same code. Must never write an address, a code or a link into a
//! log. Called by the driver, after the mail about orders.

use super::notify::{MailSettings, wait};
use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::mail_text::account::{self, CodeMail};
use crate::ports::{Mail, Mailer, Sent};
use crate::store::letters::{self, Letter, LetterKind};
use crate::store::{api_keys, logins};
use crate::vault::Vault;
use domain::time::{Span, Time};

const PAGE: i64 = 32;
/// An account whose address nobody confirms for so long is forgotten; its newest mail must be too old besides.
const CONFIRMED_WITHIN: Span = Span::hours(48);
/// Signed calls are remembered for so long: what they were about is over then.
const SIGNATURES_KEPT: Span = Span::hours(90 * 24);

/// Sends what is due.
pub async fn send_once(
    engine: &Engine,
    vault: &Vault,
    mailer: &dyn Mailer,
    settings: &MailSettings,
    now: Time,
) -> Result<Ran, WorkerError> {
    let due = engine.db.read(move |tx| letters::due(tx, now, PAGE)).await?;
    for letter in &due {
        let id = letter.account.clone();
        let login = engine.db.read(move |tx| logins::of_account(tx, &id)).await?;
        let to = login.map(|login| vault.open_login(&login.account, &login.email_sealed));
        let sent = match to {
            Some(Ok(to)) => mailer.send(&render(vault, letter, to, settings)).await,
            Some(Err(error)) => {
                tracing::error!(mail = %letter.id, error = &error as &dyn std::error::Error, "address stays closed");
                Sent::Later { reason: "the address cannot be opened".to_owned() }
            }
            None => Sent::Refused { reason: "the account is gone".to_owned() },
        };
        settle(engine, letter, sent, now).await?;
    }
    Ok(Ran::if_any(!due.is_empty()))
}

/// Forgets codes, sessions and signatures that are too old, and accounts that were never confirmed.
pub async fn forget_once(engine: &Engine) -> Result<Ran, WorkerError> {
    let now = engine.clock.now();
    let forgotten = engine.write(move |tx| {
        letters::forget(tx, now)?;
        logins::forget_sessions(tx, now)?;
        let signatures = api_keys::forget_signatures(tx, now - SIGNATURES_KEPT)?;
        Ok(signatures + logins::forget_unconfirmed(tx, now - CONFIRMED_WITHIN)?)
    });
    Ok(Ran::if_any(forgotten.await? > 0))
}

fn render(vault: &Vault, letter: &Letter, to: String, settings: &MailSettings) -> Mail {
    let code = vault.letter_code(&letter.id);
    let site = settings.public_url.split("://").last().unwrap_or_default().to_owned();
    let link = format!("{}/account/{}/{code}", settings.public_url, letter.kind.word());
    let mail = CodeMail { site, link: link.into(), code: code.into() };
    let (subject, text) = match letter.kind {
        LetterKind::Confirm => account::confirm(&letter.language, &mail),
        LetterKind::Reset => account::reset(&letter.language, &mail),
    };
    Mail { message_id: format!("account-{}", letter.id), to, subject, text }
}

/// A letter whose code has become too old is not due any more, so that waiting ends by itself.
async fn settle(engine: &Engine, letter: &Letter, sent: Sent, now: Time) -> Result<(), WorkerError> {
    let (id, attempts) = (letter.id.clone(), letter.attempts);
    let settled = engine.write(move |tx| match sent {
        Sent::Accepted => letters::end(tx, &id, "sent"),
        Sent::Refused { reason } => {
            tracing::info!(mail = %id, reason, "mail about an account not sent");
            letters::end(tx, &id, "refused")
        }
        Sent::Later { reason } => {
            tracing::warn!(mail = %id, reason, "mail about an account put off");
            letters::retry(tx, &id, now + wait(attempts))
        }
    });
    Ok(settled.await?)
}
