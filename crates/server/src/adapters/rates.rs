//! Where rates come from: a file that somebody else keeps up to date, or an address on the web.
//!
//! The text is handed over as it stands, bounded in size and time; what it means is the reader's business. Must never
//! follow a redirect, take rates from another machine over an open connection, or show more of an address than its
//! host, because the rest may hold a key. Called through `ports::RateSource` by the worker that looks for rates.

use crate::ports::{Answer, RateSource};
use domain::time::Time;
use reqwest::{StatusCode, Url};
use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::AsyncReadExt;

/// Bytes of a document; the European Central Bank's has about 2,000.
const LARGEST_DOCUMENT: usize = 1 << 20;

/// The longest a fetch may take, from the first byte sent to the last one read.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no rates can be fetched from an address.
#[derive(Debug, thiserror::Error)]
pub enum RateAddressError {
    #[error("the address cannot be read: {0}")]
    NotAnAddress(String),
    #[error("rates are fetched from https:// only; http:// is for this machine itself")]
    Open,
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

/// The source at a place: an address if there is `://` in it, else a file. Touches neither yet.
///
/// # Errors
/// The address is none, or not one to take rates from.
pub fn source_at(place: &str) -> Result<Arc<dyn RateSource>, RateAddressError> {
    if place.contains("://") {
        return Ok(Arc::new(UrlSource::new(place)?));
    }
    Ok(Arc::new(FileSource::new(place)))
}

/// A file, read anew each time.
pub struct FileSource {
    path: PathBuf,
    name: String,
}

impl FileSource {
    pub fn new(path: impl Into<PathBuf>) -> FileSource {
        let path = path.into();
        FileSource { name: path.display().to_string(), path }
    }

    async fn read(&self) -> Result<String, String> {
        let failed = |error: std::io::Error| format!("the file cannot be read: {error}");
        let file = tokio::fs::File::open(&self.path).await.map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(LARGEST_DOCUMENT as u64 + 1).read_to_end(&mut bytes).await.map_err(failed)?;
        text_of(bytes)
    }
}

impl RateSource for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn written_at(&self) -> Option<Time> {
        let modified = std::fs::metadata(&self.path).and_then(|facts| facts.modified()).ok()?;
        let since = modified.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok().map(Time)
    }

    fn fetch(&self) -> Answer<'_, Result<String, String>> {
        Box::pin(self.read())
    }
}

/// An address, fetched anew each time.
pub struct UrlSource {
    http: reqwest::Client,
    url: Url,
    name: String,
}

impl UrlSource {
    /// Checks the address; connects to nothing yet.
    ///
    /// # Errors
    /// [`RateAddressError`].
    pub fn new(address: &str) -> Result<UrlSource, RateAddressError> {
        let url = Url::parse(address).map_err(|error| RateAddressError::NotAnAddress(error.to_string()))?;
        let is_protected = url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(&url));
        if !is_protected {
            return Err(RateAddressError::Open);
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_configuration().map_err(RateAddressError::Tls)?)
            .user_agent(concat!("kiosk/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(FETCH_TIMEOUT)
            .build()
            .map_err(RateAddressError::Client)?;
        let name = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        Ok(UrlSource { http, url, name })
    }

    async fn get(&self) -> Result<String, String> {
        let mut response = self.http.get(self.url.clone()).timeout(FETCH_TIMEOUT).send().await.map_err(said)?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answered with status {}", response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(said)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST_DOCUMENT {
                break;
            }
        }
        text_of(bytes)
    }
}

impl RateSource for UrlSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn fetch(&self) -> Answer<'_, Result<String, String>> {
        Box::pin(self.get())
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The roots come with the program, so that rates arrive where the system has none, such as in a bare container.
pub(super) fn tls_configuration() -> Result<rustls::ClientConfig, rustls::Error> {
    let roots: rustls::RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let configuration = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(configuration.with_root_certificates(roots).with_no_client_auth())
}

fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > LARGEST_DOCUMENT {
        return Err(format!("it has more than {LARGEST_DOCUMENT} bytes, which no table of rates has"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// The whole chain of causes ("error sending request" alone helps nobody), without the address.
pub(super) fn said(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// Gives one caller this answer; the address of it has a key in its query.
    async fn serve(answer: String) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("one connection");
            let mut request = [0; 4096];
            let heard = stream.read(&mut request).await.expect("a request");
            assert!(heard > 0);
            // A reader that has seen enough hangs up: not our failure.
            stream.write_all(answer.as_bytes()).await.unwrap_or(());
        });
        format!("http://127.0.0.1:{port}/rates.json?key=hunter2")
    }

    async fn fetched(answer: String) -> Result<String, String> {
        let address = serve(answer).await;
        UrlSource::new(&address).expect("a loopback address").fetch().await
    }

    #[tokio::test]
    async fn an_answer_is_handed_over_as_it_is() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}";
        assert_eq!(fetched(answer.to_owned()).await, Ok("{\"a\":1}".to_owned()));
        // The largest that is read; without a length the end of the connection ends it.
        let largest = "x".repeat(LARGEST_DOCUMENT);
        let body = fetched(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{largest}")).await;
        assert_eq!(body.map(|text| text.len()), Ok(LARGEST_DOCUMENT));
    }

    #[tokio::test]
    async fn whatever_is_not_a_plain_answer_is_refused() {
        let too_long = "x".repeat(LARGEST_DOCUMENT + 1);
        for (answer, expected) in [
            ("HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}".to_owned(), "it answered with status 503"),
            ("HTTP/1.1 204 Nothing\r\n\r\n".to_owned(), "it answered with status 204"),
            (
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned(),
                "it answered with status 302",
            ),
            (format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{too_long}"), "it has more than 1048576 bytes"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{}".to_owned(), "error"),
        ] {
            let refused = fetched(answer).await.expect_err(expected);
            assert!(refused.contains(expected) && !refused.contains("hunter2"), "{refused} instead of {expected}");
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let closed = UrlSource::new(&format!("http://127.0.0.1:{port}/?key=hunter2")).expect("a loopback address");
        let refused = closed.fetch().await.expect_err("nobody listens there");
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn rates_of_another_machine_come_over_tls_only() {
        for address in
            ["https://rates.example/daily.xml", "http://127.0.0.1:8000/x", "http://[::1]/", "http://localhost/"]
        {
            assert!(UrlSource::new(address).is_ok(), "{address}");
        }
        for address in ["http://rates.example/", "http://10.0.0.1/", "http://localhost.example/", "ftp://127.0.0.1/"] {
            assert!(matches!(UrlSource::new(address), Err(RateAddressError::Open)), "{address}");
        }
        assert!(matches!(UrlSource::new("https://"), Err(RateAddressError::NotAnAddress(_))));
        let source = UrlSource::new("https://user:hunter2@rates.example/hunter2?key=hunter2").expect("an address");
        assert_eq!(source.name(), "https://rates.example");
    }

    #[tokio::test]
    async fn a_file_is_read_with_the_time_it_was_written() {
        let path = std::env::temp_dir().join(format!("kiosk-rates-{}", std::process::id()));
        let source = source_at(path.to_str().expect("a plain path")).expect("a file");
        assert_eq!(source.written_at(), None);
        assert!(source.fetch().await.expect_err("no file yet").starts_with("the file cannot be read"));

        std::fs::write(&path, "one").expect("writable");
        let file = std::fs::File::options().write(true).open(&path).expect("our own file");
        file.set_modified(UNIX_EPOCH + Duration::from_millis(1_795_174_500_000)).expect("a time");
        drop(file);
        assert_eq!(source.written_at(), Some(Time(1_795_174_500_000)));
        assert_eq!(source.fetch().await, Ok("one".to_owned()));

        std::fs::write(&path, [0xff, 0xfe]).expect("writable");
        assert_eq!(source.fetch().await, Err("it is not UTF-8 text".to_owned()));
        std::fs::write(&path, vec![b'x'; LARGEST_DOCUMENT + 1]).expect("writable");
        assert!(source.fetch().await.expect_err("too large").starts_with("it has more than 1048576 bytes"));
        std::fs::remove_file(&path).expect("our own file");
    }
}
