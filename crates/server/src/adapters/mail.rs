//! Outgoing mail: over SMTP, or as files in a folder where there is no mail server.
//!
//! A mail may be sent twice (a server can take it and die before it says so); the message id lets receivers drop
//! the second. This file must never decide what to send, retry by itself, or write an address or a mail's text
//! into a reason, because reasons are logged. Called through `ports::Mailer` by the worker that sends mail.

mod smtp;

use std::{io, path::PathBuf};

use lettre::Address;
use tokio::io::AsyncWriteExt;

pub use self::smtp::{MailSettingsError, SmtpSender, SmtpSettings, Tls};
use crate::ports::{Answer, Mail, Mailer, Sent};

/// Longest message id; it becomes a file name.
const MAX_MESSAGE_ID_BYTES: usize = 120;

/// Writes each mail as `<message id>.eml` into a folder, readable for its owner alone. A folder is no place for
/// codes: give it mails with links only.
pub struct FolderSender {
    dir: PathBuf,
}

impl FolderSender {
    /// Writes into `dir`, which is made when the first mail comes.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Writes one mail; the same message id replaces the file.
    pub async fn put(&self, mail: &Mail) -> Sent {
        if let Err(reason) = checked_recipient(mail) {
            return Sent::Refused { reason };
        }
        let (to, subject, id, text) = (&mail.to, &mail.subject, &mail.message_id, &mail.text);
        let content = format!(
            "To: {to}\nSubject: {subject}\nMessage-ID: <{id}>\nMIME-Version: 1.0\n\
             Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{text}\n"
        );
        match self.write(&mail.message_id, &content).await {
            Ok(()) => Sent::Accepted,
            Err(error) => {
                Sent::Later { reason: format!("the mail folder {} cannot be written: {error}", self.dir.display()) }
            }
        }
    }

    /// Under another name first, so that whoever watches the folder never reads half a mail.
    async fn write(&self, message_id: &str, content: &str) -> io::Result<()> {
        tokio::fs::create_dir_all(&self.dir).await?;
        let temporary = self.dir.join(format!("{message_id}.eml.tmp"));
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(&temporary).await?;
        file.write_all(content.as_bytes()).await?;
        // Only a flush tells of a failed write; syncing alone would not.
        file.flush().await?;
        file.sync_all().await?;
        tokio::fs::rename(&temporary, self.dir.join(format!("{message_id}.eml"))).await
    }
}

impl Mailer for FolderSender {
    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Sent> {
        Box::pin(self.put(mail))
    }
}

/// The recipient's address, if nothing in the mail can break out of its header or its file name. The address is a
/// bare one, the subject one line, and the message id (without angle brackets) a letter or digit and then letters,
/// digits, `.`, `_`, `-`; either whole, as `left@right`, or without a domain.
fn checked_recipient(mail: &Mail) -> Result<Address, String> {
    if mail.to.chars().any(char::is_control) {
        return Err("the recipient's address holds a control character".to_owned());
    }
    if mail.subject.chars().any(char::is_control) {
        return Err("the subject holds a control character".to_owned());
    }
    if !is_message_id(&mail.message_id) {
        return Err("the message id is not made of letters, digits and . _ - with at most one @".to_owned());
    }
    let address = mail.to.parse::<Address>();
    address.map_err(|error| format!("the recipient's address is not valid: {error}"))
}

fn is_message_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@');
    text.len() <= MAX_MESSAGE_ID_BYTES
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(allowed)
        && text.bytes().filter(|byte| *byte == b'@').count() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ordinary mail; its text has a line that SMTP must not take for the end.
    pub(super) fn mail() -> Mail {
        Mail {
            to: "ann@example.org".to_owned(),
            subject: "Payment received".to_owned(),
            text: "Thank you.\n.\nhttps://example.com/d/1\n".to_owned(),
            message_id: "order-7-paid".to_owned(),
        }
    }

    /// Why a mail was not taken; empty when it was.
    pub(super) fn reason(sent: &Sent) -> &str {
        match sent {
            Sent::Accepted => "",
            Sent::Refused { reason } | Sent::Later { reason } => reason,
        }
    }

    #[tokio::test]
    async fn a_mail_that_could_break_out_is_refused_before_any_connection() {
        // Port 9 is never asked: the refusal comes first.
        let smtp = SmtpSender::new(SmtpSettings {
            host: "127.0.0.1".to_owned(),
            port: 9,
            tls: Tls::None,
            user: None,
            password: None,
            from: "shop@example.com".to_owned(),
        })
        .expect("valid settings");
        let folder = FolderSender::new(std::env::temp_dir().join("kiosk-mail-never-made"));
        let broken = [
            Mail { to: "ann@example.org\r\nBcc: all@example.org".to_owned(), ..mail() },
            Mail { to: "Ann <ann@example.org>".to_owned(), ..mail() },
            Mail { to: "ann".to_owned(), ..mail() },
            Mail { to: String::new(), ..mail() },
            Mail { subject: "Hello\nX-Header: 1".to_owned(), ..mail() },
            Mail { message_id: "../../etc/passwd".to_owned(), ..mail() },
            Mail { message_id: ".hidden".to_owned(), ..mail() },
            Mail { message_id: "a@b@c".to_owned(), ..mail() },
            Mail { message_id: "a>b".to_owned(), ..mail() },
            Mail { message_id: String::new(), ..mail() },
            Mail { message_id: "a".repeat(121), ..mail() },
        ];
        for (index, mail) in broken.iter().enumerate() {
            for sent in [smtp.send(mail).await, folder.send(mail).await] {
                assert!(matches!(sent, Sent::Refused { .. }), "row {index}: {sent:?}");
                assert!(!reason(&sent).contains('@') || reason(&sent).contains("message id"), "{sent:?}");
            }
        }
        assert!(!folder.dir.exists());
    }

    #[tokio::test]
    async fn a_folder_keeps_each_mail_as_one_private_file() {
        let dir = std::env::temp_dir().join(format!("kiosk-mail-{}", std::process::id()));
        let sender = FolderSender::new(&dir);
        let japanese = Mail { subject: "お支払い".to_owned(), ..mail() };
        assert_eq!(sender.send(&mail()).await, Sent::Accepted);
        assert_eq!(sender.send(&japanese).await, Sent::Accepted, "the same id again replaces the file");
        let names: Vec<_> = std::fs::read_dir(&dir)
            .expect("the folder was made")
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        assert_eq!(names, ["order-7-paid.eml"]);
        let content = std::fs::read_to_string(dir.join("order-7-paid.eml")).expect("readable");
        let expected = "To: ann@example.org\nSubject: お支払い\nMessage-ID: <order-7-paid>\n";
        assert!(content.starts_with(expected), "{content}");
        assert!(content.ends_with("\n\nThank you.\n.\nhttps://example.com/d/1\n\n"), "{content}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(dir.join("order-7-paid.eml")).expect("it exists").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::remove_dir_all(&dir).expect("the folder can be removed");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_means_later() {
        let file = std::env::temp_dir().join(format!("kiosk-mail-file-{}", std::process::id()));
        std::fs::write(&file, "").expect("writable");
        let sent = FolderSender::new(file.join("below")).send(&mail()).await;
        assert!(matches!(sent, Sent::Later { .. }), "{sent:?}");
        std::fs::remove_file(&file).expect("our own file");
    }
}
