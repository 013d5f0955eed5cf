//! Calls to addresses that strangers chose: notifications of orders.
//!
//! Only addresses that the whole internet can reach are called, unless the configuration allows a network. What a name
//! resolves to is looked at when it is resolved, and the connection goes to what was looked at, so that nobody can change
//! it in between. Must never follow a redirect, use a proxy, or read more of an answer than a little.

use super::rates::tls_configuration;
use crate::ports::{Answer, Message, Posted, Poster};
use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The longest a call may take, from the name to the last byte that is read.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Names that are looked up at once.
static LOOK_UPS: Semaphore = Semaphore::const_new(32);
/// Bytes of an answer that are read, so that the connection can be used again.
const READ: usize = 16 * 1024;

/// Why nothing can be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum SafeHttpError {
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

/// Sends messages to public addresses, and to networks that the operator allows.
pub struct SafeHttp {
    http: reqwest::Client,
    allowed: Arc<Vec<IpNet>>,
}

impl SafeHttp {
    /// `allowed` names networks that may be called although they are private.
    ///
    /// # Errors
    /// TLS or the client cannot be set up.
    pub fn new(allowed: Vec<IpNet>) -> Result<SafeHttp, SafeHttpError> {
        let allowed = Arc::new(allowed);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_configuration().map_err(SafeHttpError::Tls)?)
            .user_agent(concat!("kiosk/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(8)
            .dns_resolver(Arc::new(Filtered { allowed: allowed.clone() }))
            .build()
            .map_err(SafeHttpError::Client)?;
        Ok(SafeHttp { http, allowed })
    }

    async fn send(&self, message: &Message) -> Posted {
        let url = match Url::parse(&message.url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => url,
            Ok(_) | Err(_) => return Posted::Failed { reason: "it is no address with http or https".to_owned() },
        };
        // An address in digits is never resolved, so the resolver below does not see it.
        let digits = url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>());
        if let Some(Ok(address)) = digits
            && !may_call(address, &self.allowed)
        {
            return Posted::Failed { reason: NOT_PUBLIC.to_owned() };
        }
        let mut request = self.http.post(url).header("content-type", message.content_type).body(message.body.clone());
        for (name, value) in &message.headers {
            request = request.header(*name, value);
        }
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                drain(answer).await;
                Posted::Answered { status }
            }
            Err(error) => Posted::Failed { reason: why(&error).to_owned() },
        }
    }
}

impl Poster for SafeHttp {
    fn post<'a>(&'a self, message: &'a Message) -> Answer<'a, Posted> {
        Box::pin(self.send(message))
    }
}

/// A word for the log: what a receiver's own server says may name it, and its address is nobody's business.
fn why(error: &reqwest::Error) -> &'static str {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string() == NOT_PUBLIC {
            return NOT_PUBLIC;
        }
        cause = error.source();
    }
    match error {
        error if error.is_timeout() => "it did not answer in ten seconds",
        error if error.is_connect() => "no connection could be made",
        _ => "the connection broke off",
    }
}

const NOT_PUBLIC: &str =
    "it is not a public address; `callbacks.allow` in the configuration names others that may be called";

/// Reads a little, so that the connection can be used again; what it says does not matter.
async fn drain(mut answer: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > READ {
            return;
        }
    }
}

/// Resolves names, and leaves out what may not be called.
struct Filtered {
    allowed: Arc<Vec<IpNet>>,
}

impl Resolve for Filtered {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.allowed.clone();
        Box::pin(async move {
            // A look-up occupies a thread until it ends, also once nobody waits for it any more: only so many at once, so that
            // slow name servers of strangers leave threads to everybody else.
            let permit = LOOK_UPS.acquire().await?;
            let looking = tokio::spawn(async move {
                // Port 0: the client puts its own in.
                let found = tokio::net::lookup_host((name.as_str(), 0)).await.map(|found| found.collect::<Vec<_>>());
                drop(permit);
                found
            });
            let found = looking.await??.into_iter();
            let callable: Vec<SocketAddr> = found.filter(|address| may_call(address.ip(), &allowed)).collect();
            if callable.is_empty() {
                return Err(NOT_PUBLIC.into());
            }
            Ok(Box::new(callable.into_iter()) as Addrs)
        })
    }
}

/// Whether an address may be called: a public one, or one of a network that is allowed.
pub fn may_call(address: IpAddr, allowed: &[IpNet]) -> bool {
    let address = address.to_canonical();
    allowed.iter().any(|network| network.contains(&address)) || is_public(address)
}

/// Whether the whole internet can reach an address (the special purposes of RFC 6890 and its updates left out).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 31, 196)
            | (192, 52, 193)
            | (192, 88, 99)
            | (192, 168, _)
            | (192, 175, 48)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, _, _)
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Global unicast alone; in it are protocol assignments, documentation, and 6to4 and Teredo, which lead to IPv4
    // addresses of somebody else's choice. NAT64 lies outside of it.
    let is_global = (0x2000..0x4000).contains(&segments[0]);
    let special = (segments[0] == 0x2001 && (segments[1] < 0x0200 || segments[1] == 0x0db8))
        || segments[0] == 0x2002
        || (segments[0] == 0x3fff && segments[1] < 0x1000);
    is_global && !special
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn message(url: &str) -> Message {
        let (content_type, headers) = ("application/x-www-form-urlencoded", vec![("hash", "ab".to_owned())]);
        Message { url: url.to_owned(), body: "orderUID=1".to_owned(), content_type, headers }
    }

    #[test]
    fn only_public_addresses_may_be_called() {
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:a00:1::1",
            "3fff::1",
            "100::1",
        ];
        for address in private {
            let address: IpAddr = address.parse().expect("an address");
            assert!(!may_call(address, &[]), "{address}");
        }
        for address in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "193.0.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            let address: IpAddr = address.parse().expect("an address");
            assert!(may_call(address, &[]), "{address}");
        }
        let loopback = ["127.0.0.0/8".parse().expect("a network")];
        assert!(may_call("127.0.0.1".parse().expect("an address"), &loopback));
        assert!(may_call("::ffff:127.0.0.1".parse().expect("an address"), &loopback));
        assert!(!may_call("10.0.0.1".parse().expect("an address"), &loopback));
    }

    #[tokio::test]
    async fn a_private_address_is_refused_in_digits_and_by_name() {
        let strict = SafeHttp::new(Vec::new()).expect("a client");
        // Other spellings of the same address are put right by the address parser before anybody looks.
        for url in [
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
            "http://localhost:1/",
            "http://2130706433:1/",
            "http://0x7f.1:1/",
        ] {
            let Posted::Failed { reason } = strict.post(&message(url)).await else { panic!("{url} was called") };
            assert!(reason.contains("not a public address"), "{url}: {reason}");
        }
        for url in ["javascript:alert(1)", "file:///etc/passwd", "not an address"] {
            let Posted::Failed { reason } = strict.post(&message(url)).await else { panic!("{url} was called") };
            assert_eq!(reason, "it is no address with http or https");
        }
    }

    /// Answers one call, and says what it heard.
    async fn answering(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("one connection");
            let mut request = vec![0; 4_096];
            let length = stream.read(&mut request).await.expect("a request");
            stream.write_all(answer.as_bytes()).await.unwrap_or(());
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (format!("http://127.0.0.1:{port}/ipn"), heard)
    }

    #[tokio::test]
    async fn a_message_arrives_and_a_redirect_is_an_answer_like_any_other() {
        let open = SafeHttp::new(vec!["127.0.0.0/8".parse().expect("a network")]).expect("a client");
        let (url, heard) = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(open.post(&message(&url)).await, Posted::Answered { status: 200 });
        let heard = heard.await.expect("a request");
        assert!(heard.starts_with("POST /ipn HTTP/1.1") && heard.contains("hash: ab"), "{heard}");
        assert!(heard.contains("content-type: application/x-www-form-urlencoded"), "{heard}");
        // Followed, it would lead to a port where nobody listens.
        let (url, _) =
            answering("HTTP/1.1 307 Elsewhere\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(open.post(&message(&url)).await, Posted::Answered { status: 307 });
    }
}
