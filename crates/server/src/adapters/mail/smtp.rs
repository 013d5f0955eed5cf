//! Mail over SMTP, one connection for each mail.
//!
//! It must never hold a worker beyond its time limit, send a mail or a password without the protection that was
//! asked for, or blame a mail for a fault of the connection. Called through the parent module.

use std::time::Duration;

use lettre::{
    Message,
    message::{Mailbox, SinglePart},
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        extension::ClientId,
    },
};

use super::checked_recipient;
use crate::ports::{Answer, Mail, Mailer, Sent};
use crate::secret::Secret;

/// From the first packet to the server's answer; one mail never holds a worker longer than this.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// For the polite end of a session whose outcome is known already.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest reason kept; servers answer with whole paragraphs.
const MAX_REASON_CHARS: usize = 200;

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all; for a server on the same host or network.
    None,
    /// Plain first, then STARTTLS, which must succeed (usually port 587).
    StartTls,
    /// TLS from the first byte (usually port 465).
    Implicit,
}

/// The mail server and who writes.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Name or address of the server; with TLS the name in its certificate.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Protection of the connection.
    pub tls: Tls,
    /// Login name, together with `password`.
    pub user: Option<String>,
    /// Password, together with `user`.
    pub password: Option<Secret<String>>,
    /// Sender, as `shop@example.com` or `Shop <shop@example.com>`.
    pub from: String,
}

/// Why the settings cannot work.
#[derive(Debug, thiserror::Error)]
pub enum MailSettingsError {
    /// The sender is not an address.
    #[error("the sender of mail is not an address; write shop@example.com or Shop <shop@example.com>")]
    From(#[source] lettre::address::AddressError),
    /// One of two.
    #[error("a mail login needs both user and password; set both or neither")]
    HalfLogin,
    /// The host's name cannot be checked against a certificate.
    #[error("TLS to the mail server {host} cannot be set up")]
    Tls {
        /// As in the settings.
        host: String,
        /// What the TLS library said.
        #[source]
        source: SmtpError,
    },
}

/// Sends over SMTP, one connection for each mail.
pub struct SmtpSender {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<Credentials>,
    from: Mailbox,
    /// Right side of message ids, and the name we greet with.
    domain: String,
}

enum Encryption {
    None,
    StartTls(TlsParameters),
    Implicit(TlsParameters),
}

impl SmtpSender {
    /// Checks the settings; connects to nothing yet.
    ///
    /// # Errors
    /// [`MailSettingsError`].
    pub fn new(settings: SmtpSettings) -> Result<Self, MailSettingsError> {
        let from: Mailbox = settings.from.parse().map_err(MailSettingsError::From)?;
        let parameters = || {
            TlsParameters::new(settings.host.clone())
                .map_err(|source| MailSettingsError::Tls { host: settings.host.clone(), source })
        };
        let encryption = match settings.tls {
            Tls::None => Encryption::None,
            Tls::StartTls => Encryption::StartTls(parameters()?),
            Tls::Implicit => Encryption::Implicit(parameters()?),
        };
        let credentials = match (settings.user, settings.password) {
            (Some(user), Some(password)) => Some(Credentials::new(user, password.expose().clone())),
            (None, None) => None,
            _ => return Err(MailSettingsError::HalfLogin),
        };
        let domain = match from.email.domain() {
            domain if domain.is_ascii() => domain.to_owned(),
            // Both uses are ASCII on the wire; any name that is ours to use will do.
            _ => "localhost".to_owned(),
        };
        Ok(Self { host: settings.host, port: settings.port, encryption, credentials, from, domain })
    }

    /// Hands one mail to the server, within 20 seconds. A domain is appended to a message id without one.
    pub async fn deliver(&self, mail: &Mail) -> Sent {
        let message = match self.compose(mail) {
            Ok(message) => message,
            Err(reason) => return Sent::Refused { reason },
        };
        let Ok((sent, connection)) = tokio::time::timeout(SEND_TIMEOUT, self.hand_over(&message)).await else {
            let (host, port, seconds) = (&self.host, self.port, SEND_TIMEOUT.as_secs());
            let reason = format!("the mail server {host}:{port} did not answer within {seconds} seconds");
            return Sent::Later { reason };
        };
        if let Some(mut connection) = connection {
            // Outside the time limit above: a slow farewell must not make an accepted mail look unsent.
            let _farewell = tokio::time::timeout(QUIT_TIMEOUT, connection.abort()).await;
        }
        sent
    }

    fn compose(&self, mail: &Mail) -> Result<Message, String> {
        let recipient = checked_recipient(mail)?;
        let message_id = match mail.message_id.contains('@') {
            true => format!("<{}>", mail.message_id),
            false => format!("<{}@{}>", mail.message_id, self.domain),
        };
        // The date is the library's: the moment of sending, which is what the header means.
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, recipient))
            .subject(mail.subject.clone())
            .message_id(Some(message_id))
            .singlepart(SinglePart::plain(mail.text.clone()))
            .map_err(|error| format!("the mail cannot be composed: {error}"))
    }

    async fn hand_over(&self, message: &Message) -> (Sent, Option<AsyncSmtpConnection>) {
        // Two stages: whatever fails before the mail itself is offered says nothing about this mail, so a
        // mistyped password (535) must not make every mail look undeliverable.
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => {
                let (host, port, said) = (&self.host, self.port, printable(&error));
                let reason = format!("no mail can be handed to {host}:{port}: {said}");
                return (Sent::Later { reason }, None);
            }
        };
        let answer = connection.send(message.envelope(), &message.formatted()).await;
        let sent = match answer {
            Ok(_) => Sent::Accepted,
            Err(error) if error.is_permanent() || needs_unicode_support(message, &error) => {
                Sent::Refused { reason: format!("the mail server refused the mail: {}", printable(&error)) }
            }
            Err(error) => {
                Sent::Later { reason: format!("the mail server did not take the mail: {}", printable(&error)) }
            }
        };
        (sent, Some(connection))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let hello = ClientId::Domain(self.domain.clone());
        let server = (self.host.as_str(), self.port);
        let implicit = match &self.encryption {
            Encryption::Implicit(parameters) => Some(parameters.clone()),
            Encryption::None | Encryption::StartTls(_) => None,
        };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(SEND_TIMEOUT), &hello, implicit, None).await?;
        if let Encryption::StartTls(parameters) = &self.encryption {
            connection.starttls(parameters.clone(), &hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

impl Mailer for SmtpSender {
    fn send<'a>(&'a self, mail: &'a Mail) -> Answer<'a, Sent> {
        Box::pin(self.deliver(mail))
    }
}

/// An address with letters beyond ASCII at a server that cannot take any: trying again changes nothing.
fn needs_unicode_support(message: &Message, error: &SmtpError) -> bool {
    let ascii = message.envelope().to().iter().all(|address| AsRef::<str>::as_ref(address).is_ascii());
    error.is_client() && !ascii
}

/// What the server said, shortened and without addresses (servers like to repeat the recipient's).
fn printable(error: &SmtpError) -> String {
    let said = error.to_string();
    let words: Vec<&str> =
        said.split_whitespace().map(|word| if word.contains('@') { "[address]" } else { word }).collect();
    words.join(" ").chars().take(MAX_REASON_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mail, reason};
    use super::*;
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
        task::JoinHandle,
    };

    /// What the scripted server answers where it matters.
    struct Script {
        greeting: &'static str,
        hello: &'static str,
        login: &'static str,
        recipient: &'static str,
        content: &'static str,
    }

    const FRIENDLY: Script = Script {
        greeting: "220 sink ready",
        hello: "250-sink\r\n250 8BITMIME",
        login: "235 welcome",
        recipient: "250 ok",
        content: "250 taken",
    };

    /// Serves one session by the script and gives all that it heard.
    async fn serve(script: Script) -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let session = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("one connection");
            let (reading, mut writing) = stream.into_split();
            let mut lines = BufReader::new(reading).lines();
            let (mut heard, mut in_content) = (String::new(), false);
            let mut reply = script.greeting;
            loop {
                if writing.write_all(format!("{reply}\r\n").as_bytes()).await.is_err() {
                    return heard;
                }
                loop {
                    let Ok(Some(line)) = lines.next_line().await else {
                        return heard;
                    };
                    heard.push_str(&line);
                    heard.push('\n');
                    if !in_content || line == "." {
                        reply = match line.split(' ').next().expect("split gives one part at least") {
                            "." if in_content => script.content,
                            "EHLO" => script.hello,
                            "AUTH" => script.login,
                            "RCPT" => script.recipient,
                            "DATA" => "354 go on",
                            "QUIT" => "221 bye",
                            _ => "250 ok",
                        };
                        in_content = line == "DATA";
                        break;
                    }
                }
            }
        });
        (port, session)
    }

    fn settings(port: u16) -> SmtpSettings {
        SmtpSettings {
            host: "127.0.0.1".to_owned(),
            port,
            tls: Tls::None,
            user: None,
            password: None,
            from: "Shop <shop@example.com>".to_owned(),
        }
    }

    async fn outcome(script: Script) -> (Sent, String) {
        let (port, session) = serve(script).await;
        let sender = SmtpSender::new(settings(port)).expect("valid settings");
        let sent = sender.send(&mail()).await;
        (sent, session.await.expect("the session ended"))
    }

    #[tokio::test]
    async fn an_accepted_mail_arrives_whole() {
        let (sent, heard) = outcome(FRIENDLY).await;
        assert_eq!(sent, Sent::Accepted);
        let expected = [
            "EHLO example.com\n",
            "MAIL FROM:<shop@example.com>",
            "RCPT TO:<ann@example.org>",
            "Subject: Payment received\n",
            "To: ann@example.org\n",
            "Message-ID: <order-7-paid@example.com>\n",
            "MIME-Version: 1.0\n",
            "Thank you.\n..\nhttps://example.com/d/1\n",
            "\nQUIT\n",
        ];
        for part in expected {
            assert!(heard.contains(part), "{part:?} is missing in {heard}");
        }
    }

    #[tokio::test]
    async fn a_permanent_answer_refuses_and_a_temporary_one_waits() {
        let unknown = "550 5.1.1 <ann@example.org>: no such user";
        let (sent, _) = outcome(Script { recipient: unknown, ..FRIENDLY }).await;
        assert!(matches!(sent, Sent::Refused { .. }), "{sent:?}");
        assert!(reason(&sent).contains("550") && reason(&sent).contains("no such user"), "{sent:?}");
        assert!(!reason(&sent).contains("ann"), "{sent:?}");

        let (sent, _) = outcome(Script { content: "554 not like this", ..FRIENDLY }).await;
        assert!(matches!(sent, Sent::Refused { .. }), "{sent:?}");
        let (sent, _) = outcome(Script { recipient: "451 try again later", ..FRIENDLY }).await;
        assert!(matches!(sent, Sent::Later { .. }), "{sent:?}");
        let (sent, _) = outcome(Script { greeting: "554 closed", ..FRIENDLY }).await;
        assert!(matches!(sent, Sent::Later { .. }), "it says nothing about this mail: {sent:?}");
    }

    #[tokio::test]
    async fn a_failed_login_is_no_fault_of_the_mail() {
        let script = Script { hello: "250-sink\r\n250 AUTH PLAIN", login: "535 5.7.8 wrong password", ..FRIENDLY };
        let (port, session) = serve(script).await;
        let sender = SmtpSender::new(SmtpSettings {
            user: Some("shop".to_owned()),
            password: Some(Secret::new("hunter2".to_owned())),
            ..settings(port)
        });
        let sent = sender.expect("valid settings").send(&mail()).await;
        assert!(matches!(sent, Sent::Later { .. }), "{sent:?}");
        let heard = session.await.expect("the session ended");
        assert!(heard.contains("AUTH PLAIN") && !heard.contains("MAIL FROM"), "{heard}");
    }

    #[tokio::test]
    async fn no_server_and_no_starttls_mean_later() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let sender = SmtpSender::new(settings(port)).expect("valid settings");
        let sent = sender.send(&mail()).await;
        assert!(matches!(sent, Sent::Later { .. }), "{sent:?}");

        let (port, session) = serve(FRIENDLY).await;
        let sender = SmtpSender::new(SmtpSettings { tls: Tls::StartTls, ..settings(port) });
        let sent = sender.expect("valid settings").send(&mail()).await;
        assert!(matches!(sent, Sent::Later { .. }), "{sent:?}");
        let heard = session.await.expect("the session ended");
        assert!(!heard.contains("MAIL FROM"), "nothing is sent in the clear: {heard}");
    }

    #[test]
    fn settings_that_cannot_work_are_refused_at_once() {
        let wrong_sender = SmtpSettings { from: "shop".to_owned(), ..settings(25) };
        assert!(matches!(SmtpSender::new(wrong_sender), Err(MailSettingsError::From(_))));
        let half = SmtpSettings { user: Some("shop".to_owned()), ..settings(25) };
        assert!(matches!(SmtpSender::new(half), Err(MailSettingsError::HalfLogin)));
        let secret = SmtpSettings { password: Some(Secret::new("hunter2".to_owned())), ..settings(25) };
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
