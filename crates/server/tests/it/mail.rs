//! Mail over SMTP, to a real mail server where `KIOSK_TEST_SMTP_PYTHON` names a Python that has aiosmtpd; without it
//! only what needs no server is tested.

use serde_json::Value;
use server::adapters::mail::{SmtpSender, SmtpSettings, Tls};
use server::mail_text::{self, Confirmation, Delivery};
use server::ports::{Mail, Mailer, Sent};
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Prints its port, then each mail that it takes as a line of JSON; ends with its standard input.
const SINK: &str = r#"
import asyncio, json, sys
from email import message_from_bytes, policy
from aiosmtpd.smtp import SMTP

class Sink:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 <" + address + "> has no mailbox here"
        if address.startswith("busy@"):
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        print(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name: str(value) for name, value in mail.items()},
            "ascii_head": envelope.content.split(b"\r\n\r\n")[0].isascii(),
            "body": mail.get_content(),
        }), flush=True)
        return "250 taken"

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), hostname="sink.test"), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"#;

/// A mail server of this test's own; it ends with this value.
struct Sink {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Sink {
    /// `None` where no Python was named.
    fn start() -> Option<Sink> {
        let python = std::env::var("KIOSK_TEST_SMTP_PYTHON").ok().filter(|python| !python.is_empty())?;
        let mut command = Command::new(python);
        command.args(["-c", SINK]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("KIOSK_TEST_SMTP_PYTHON is a Python");
        let output = child.stdout.take().expect("its output is a pipe");
        let mut lines = BufReader::new(output).lines();
        let port = lines.next().expect("a port, if aiosmtpd is there").expect("a line");
        let port = port.trim().parse().expect("a port");
        Some(Sink { child, lines, port })
    }

    /// The next mail that it took. It prints a mail before it says so to the sender, so this never waits for long.
    fn mail(&mut self) -> Value {
        let line = self.lines.next().expect("the server runs").expect("a line");
        serde_json::from_str(&line).expect("a mail as JSON")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        assert!(std::thread::panicking() || ended.is_ok(), "the mail server does not end: {ended:?}");
    }
}

fn sender(port: u16) -> SmtpSender {
    let settings = SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port,
        tls: Tls::None,
        user: None,
        password: None,
        from: "Shop <shop@example.com>".to_owned(),
    };
    SmtpSender::new(settings).expect("settings that can work")
}

/// The confirmation of an order in Japanese.
fn confirmation() -> Mail {
    let order = Confirmation {
        order_no: "1001".to_owned(),
        lines: vec!["Airbnb 100 USD".to_owned(), "Nintendo eShop 1000 JPY".to_owned()],
        total: "108.40 USDC".to_owned(),
        status_url: "https://shop.example/v5/orders/5f0c6d7e".to_owned(),
    };
    let (subject, text) = mail_text::confirmation("ja", &order);
    Mail { message_id: "confirmation-7".to_owned(), to: "ann@example.org".to_owned(), subject, text }
}

/// The link to one line of it.
fn delivery() -> Mail {
    let goods = Delivery {
        order_no: "1001".to_owned(),
        title: "Nintendo eShop 1000 JPY".to_owned(),
        link: "https://shop.example/d/a-secret-of-this-line-alone".to_owned(),
    };
    let (subject, text) = mail_text::delivery("ja", &goods);
    Mail { message_id: "delivery-9".to_owned(), to: "ben@example.org".to_owned(), subject, text }
}

/// That a mail arrived as it was written, with the headers that every mail has.
fn assert_arrived(arrived: &Value, mail: &Mail) {
    assert_eq!(arrived["from"], "shop@example.com");
    assert_eq!(arrived["to"], serde_json::json!([mail.to]));
    // Readable for servers that know no UTF-8 in headers.
    assert_eq!(arrived["ascii_head"], true);
    let headers = &arrived["headers"];
    assert_eq!(headers["From"], "Shop <shop@example.com>");
    assert_eq!(headers["To"], mail.to.as_str());
    assert_eq!(headers["Subject"], mail.subject.as_str());
    assert_eq!(headers["Message-ID"], format!("<{}@example.com>", mail.message_id));
    assert_eq!(headers["MIME-Version"], "1.0");
    assert!(headers["Date"].as_str().is_some_and(|date| !date.is_empty()), "{headers}");
    let kind = headers["Content-Type"].as_str().unwrap_or_default();
    assert!(kind.starts_with("text/plain") && kind.contains("utf-8"), "{headers}");
    let body: Vec<&str> = arrived["body"].as_str().expect("a text").lines().collect();
    assert_eq!(body, mail.text.lines().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_arrive_as_they_were_written_and_twice_under_one_id() {
    let Some(mut sink) = Sink::start() else { return };
    let sender = sender(sink.port);
    let confirmation = confirmation();
    assert_eq!(confirmation.subject, "ご注文 1001 のお支払いを確認しました");
    assert!(confirmation.text.lines().any(|line| line == "- Nintendo eShop 1000 JPY"), "{}", confirmation.text);
    for _ in 0..2 {
        assert_eq!(sender.send(&confirmation).await, Sent::Accepted);
        assert_arrived(&sink.mail(), &confirmation);
    }
    let delivery = delivery();
    assert!(delivery.text.contains("\nhttps://shop.example/d/a-secret-of-this-line-alone\n"), "{}", delivery.text);
    assert_eq!(sender.send(&delivery).await, Sent::Accepted);
    assert_arrived(&sink.mail(), &delivery);

    // Lines that SMTP could take for its own end, and one that is longer than it allows (RFC 5321 section 4.5.3.1.6).
    let long = "長".repeat(1_000);
    let odd = Mail { text: format!("first\n.\n..\n.hidden\n{long}\nlast\n"), ..delivery };
    assert_eq!(sender.send(&odd).await, Sent::Accepted);
    assert_arrived(&sink.mail(), &odd);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_ends_a_mail_and_a_busy_server_puts_it_off() {
    let Some(mut sink) = Sink::start() else { return };
    let sender = sender(sink.port);
    let to = |address: &str| Mail { to: address.to_owned(), ..confirmation() };
    let refused = sender.send(&to("nobody@example.org")).await;
    let Sent::Refused { reason } = &refused else { panic!("{refused:?}") };
    assert!(reason.contains("550") && !reason.contains("nobody"), "{reason}");
    let later = sender.send(&to("busy@example.org")).await;
    let Sent::Later { reason } = &later else { panic!("{later:?}") };
    assert!(reason.contains("451"), "{reason}");
    // Neither was taken: the next mail is the first that arrives.
    assert_eq!(sender.send(&to("ann@example.org")).await, Sent::Accepted);
    assert_eq!(sink.mail()["to"], serde_json::json!(["ann@example.org"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_listens_a_mail_is_put_off() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let sent = sender(port).send(&confirmation()).await;
    assert!(matches!(sent, Sent::Later { .. }), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_that_breaks_out_of_its_header_is_refused_without_a_call() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a socket of our own");
    let sender = sender(listener.local_addr().expect("bound").port());
    for to in [
        "ann@example.org\r\nBcc: all@example.org",
        "ann@example.org\nRCPT TO:<all@example.org>",
        "ann@example.org>\r\nDATA",
        "ann@example.org, all@example.org",
        "Ann <ann@example.org>",
        "ann@example.org\0",
        "",
    ] {
        let sent = sender.send(&Mail { to: to.to_owned(), ..confirmation() }).await;
        assert!(matches!(sent, Sent::Refused { .. }), "{to:?}: {sent:?}");
        let called = listener.accept().expect_err("nobody calls");
        assert_eq!(called.kind(), std::io::ErrorKind::WouldBlock, "{to:?}");
    }
}
