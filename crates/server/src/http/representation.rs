//! The forms in which one body leaves: whole, compressed, or not at all because the asker has it (RFC 9110 sections 8.8,
//! 12.5.3 and 13.1.2).
//!
//! Knows nothing of what the body says or how long it holds. Called by the store API's answers and by the gateway's.

use crate::entropy::to_hex;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;
use tokio::sync::OnceCell;

/// Most that one takes beside its body and the compressed one: headers, and its entries in a cache.
const OVERHEAD_BYTES: usize = 4 * 1024;
/// Smaller bodies gain nothing from compression.
const LEAST_COMPRESSED: usize = 1_024;

/// One body with its headers, plain and compressed.
pub struct Representation {
    body: Bytes,
    plain: HeaderMap,
    compressed: HeaderMap,
    /// Made when somebody first asks for it.
    compressed_body: OnceCell<Bytes>,
}

impl Representation {
    /// The headers get an `ETag`, and the compressed form a `Content-Encoding`.
    pub fn new(body: Bytes, headers: HeaderMap) -> Representation {
        let tag = entity_tag(&body);
        let (mut plain, mut compressed) = (headers.clone(), headers);
        plain.insert(header::ETAG, quoted(&tag));
        compressed.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        // Other bytes need another strong tag (RFC 9110 section 8.8.3).
        compressed.insert(header::ETAG, quoted(&format!("{tag}-gzip")));
        Representation { body, plain, compressed, compressed_body: OnceCell::new() }
    }

    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What it takes at most, once it is compressed too.
    pub fn most_bytes(&self) -> usize {
        2 * self.body.len() + OVERHEAD_BYTES
    }

    /// The response to a request with these headers: 304 if the asker has it, else the body, compressed if that is
    /// taken and gains something.
    pub async fn response(&self, asked: &HeaderMap) -> Response {
        if let Some(known) = already_known(asked, &[&self.plain, &self.compressed]) {
            return not_modified(known);
        }
        if self.body.len() > LEAST_COMPRESSED
            && self.is_text()
            && accepts_gzip(asked)
            && let Some(body) = self.compressed_body().await
        {
            return full(&self.compressed, body);
        }
        full(&self.plain, &self.body)
    }

    /// Pictures are packed already.
    fn is_text(&self) -> bool {
        let kind = self.plain.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ["application/json", "application/xml", "text/"].iter().any(|text| kind.starts_with(text))
    }

    /// Made once, however many ask at the same time; `None` if it cannot be made.
    async fn compressed_body(&self) -> Option<&Bytes> {
        let make = || {
            let body = self.body.clone();
            async move {
                // Milliseconds for a large body: not on a thread that serves sockets.
                let packed = tokio::task::spawn_blocking(move || gzip(&body)).await.map_err(std::io::Error::other)?;
                packed.map(Bytes::from)
            }
        };
        match self.compressed_body.get_or_try_init(make).await {
            Ok(body) => Some(body),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an answer could not be compressed");
                None
            }
        }
    }
}

/// A strong entity tag without its quotes: half of a SHA-256 is unique enough for what one address ever answers.
pub fn entity_tag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    to_hex(&digest[..16])
}

/// An entity tag as a header.
pub fn quoted(tag: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{tag}\"")).expect("hexadecimal digits are fit for a header")
}

/// The whole body under prepared headers.
pub fn full(headers: &HeaderMap, body: &Bytes) -> Response {
    let mut response = Response::new(Body::from(body.clone()));
    *response.headers_mut() = headers.clone();
    response
}

/// 304 with the headers that a cache updates (RFC 9110 section 15.4.5).
pub fn not_modified(headers: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    for name in [header::CACHE_CONTROL, header::ETAG, header::VARY] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// The form whose entity tag `If-None-Match` names; tags are compared weakly (RFC 9110 section 13.1.2).
pub fn already_known<'a>(asked: &HeaderMap, forms: &[&'a HeaderMap]) -> Option<&'a HeaderMap> {
    let lines = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.find_map(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let names = |form: &&&'a HeaderMap| tag == "*" || form.get(header::ETAG).is_some_and(|own| own == tag);
        forms.iter().find(names).copied()
    })
}

/// Whether `Accept-Encoding` takes gzip, by name or by `*`, and not with `q=0` (RFC 9110 section 12.5.3).
fn accepts_gzip(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut any_coding = false;
    for item in lines.flat_map(|line| line.split(',')) {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let coding = coding.trim();
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return !is_zero(weight);
        }
        if coding == "*" {
            any_coding = !is_zero(weight);
        }
    }
    any_coding
}

/// `q=0`, `q=0.000`.
fn is_zero(weight: &str) -> bool {
    let value = weight.split_once('=').map(|(_, value)| value.trim());
    value.is_some_and(|value| value.bytes().all(|digit| matches!(digit, b'0' | b'.')))
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(6));
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn headers(fields: &[(header::HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a value"))).collect()
    }

    fn form(body: &[u8], kind: &str) -> Representation {
        let fields = [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, "public, max-age=30"),
            (header::VARY, "Accept-Encoding"),
        ];
        Representation::new(Bytes::copy_from_slice(body), headers(&fields))
    }

    async fn bytes(response: Response) -> Bytes {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body in memory")
    }

    #[tokio::test]
    async fn a_body_leaves_whole_under_a_tag_of_its_bytes() {
        let response = form(b"[1]", "application/json").response(&HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get(header::CONTENT_ENCODING).is_none());
        let tag = response.headers()[header::ETAG].to_str().expect("ASCII").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 34, "{tag}");
        assert_eq!(bytes(response).await, "[1]");
        let other = form(b"[2]", "application/json").response(&HeaderMap::new()).await;
        assert_ne!(other.headers()[header::ETAG], tag.as_str());
    }

    #[tokio::test]
    async fn a_body_is_compressed_for_whoever_takes_it() {
        let body = b"{\"brand\":\"Airbnb\"}".repeat(100);
        let answer = form(&body, "application/json");
        for accepted in ["gzip", "br, GZIP;q=0.5", "deflate, *", "x-gzip"] {
            let response = answer.response(&headers(&[(header::ACCEPT_ENCODING, accepted)])).await;
            assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip", "{accepted}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            assert_ne!(response.headers()[header::ETAG], answer.plain[header::ETAG]);
            let packed = bytes(response).await;
            assert!(packed.len() < body.len());
            let mut unpacked = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
            assert_eq!(unpacked, body);
        }
        for refused in ["", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "identity"] {
            let response = answer.response(&headers(&[(header::ACCEPT_ENCODING, refused)])).await;
            assert!(response.headers().get(header::CONTENT_ENCODING).is_none(), "{refused}");
        }
        for (body, kind) in [(b"{}".as_slice(), "application/json"), (&body, "image/png")] {
            let response = form(body, kind).response(&headers(&[(header::ACCEPT_ENCODING, "gzip")])).await;
            assert!(response.headers().get(header::CONTENT_ENCODING).is_none(), "{kind}: nothing to gain");
        }
    }

    #[tokio::test]
    async fn whoever_has_it_is_not_sent_it_again() {
        let answer = form(b"[1]", "application/json");
        let tag = answer.plain[header::ETAG].to_str().expect("ASCII").to_owned();
        let packed_tag = answer.compressed[header::ETAG].to_str().expect("ASCII").to_owned();
        let weak = format!("W/{tag}");
        let among = format!("\"x\" , {tag}");
        let (plain, packed) = (tag.as_str(), packed_tag.as_str());
        for (known, named) in
            [(plain, plain), (weak.as_str(), plain), (among.as_str(), plain), (packed, packed), ("*", plain)]
        {
            let response = answer.response(&headers(&[(header::IF_NONE_MATCH, known)])).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(response.headers()[header::ETAG], named);
            let head = response.headers();
            assert!(head.contains_key(header::CACHE_CONTROL) && head.contains_key(header::VARY));
            assert!(bytes(response).await.is_empty());
        }
        for unknown in ["\"x\"", "", plain.trim_matches('"')] {
            let response = answer.response(&headers(&[(header::IF_NONE_MATCH, unknown)])).await;
            assert_eq!(response.status(), StatusCode::OK, "{unknown}");
        }
    }
}
