//! The typed client of the store API: one call per endpoint of the contract's section 3.
//!
//! Every call is bounded: ten seconds, 8 MiB of answer, no redirects, no proxy taken from the environment. Nothing is
//! retried here, because only the caller knows whether an order may be placed twice; [`Client::create_order`] takes an
//! idempotency key for that. Errors never hold an address, because the address of an order opens its codes.
//!
//! The gateway, the stories and other programs call it. Following an order over its stream is in `track`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;

use crate::catalogue::{Brands, Country, Currency, PaymentVia, Price, ProductGroup};
use crate::order::{ErrorBody, Order, Validation};
use crate::request::OrderRequest;

/// The longest a call may take, from its first byte sent to the last one read.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest silence of a stream. Our server sends a heartbeat every 15 s, so this is four of them lost.
const STREAM_SILENCE: Duration = Duration::from_secs(60);

/// The largest answer that is read: 8 MiB, which the brands of the largest country stay well below.
pub const MAX_ANSWER_BYTES: usize = 8 * 1_048_576;

/// The longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 255;

const APPLICATION: &str = "x-cr-application";
const VERSION: &str = "x-cr-version";
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Who calls. Everything is optional: an anonymous call is answered too. Contract, section 1.1.
#[derive(Clone, Default)]
pub struct Identity {
    /// `X-Cr-Application`: the partner's id.
    pub application: Option<String>,
    /// `X-Cr-Version`: the version of the calling program.
    pub version: Option<String>,
    /// The token of `Authorization: Bearer`, for a signed-in customer.
    pub bearer: Option<String>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("application", &self.application)
            .field("version", &self.version)
            .field("has_bearer", &self.bearer.is_some())
            .finish()
    }
}

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The call could not be made: a wrong base URL, identity or key. Nothing was sent.
    #[error("nothing was sent: {problem}")]
    Setup { problem: String },
    /// The store refused, with a body that says why.
    #[error("the store refused with status {status}: {}", .body.code())]
    Refused {
        status: u16,
        body: Box<ErrorBody>,
        /// `Retry-After`, if it is a count of seconds.
        retry_after_s: Option<u32>,
    },
    /// The store answered neither 2xx nor with a body that says why. Redirects are here too: they are not followed.
    #[error(
        "the store answered with status {status} and no reason; check the base URL, or try later if it is 429 or 5xx"
    )]
    Status { status: u16, retry_after_s: Option<u32> },
    /// No answer, or only a part of one. An order may have been placed: ask again with the same idempotency key.
    #[error("the store could not be reached, or did not finish its answer in time; check the base URL and the network")]
    Transport(#[source] reqwest::Error),
    /// The answer is not what the contract describes.
    #[error(
        "the answer to `{call}` does not follow the contract; is the base URL that of a store, and of this version?"
    )]
    Decode {
        call: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// The answer is larger than [`MAX_ANSWER_BYTES`].
    #[error("the answer is larger than 8 MiB, which no answer of the contract is; check the base URL")]
    TooLarge,
}

impl ClientError {
    /// After how many seconds the store asks to be called again.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Refused { retry_after_s, .. } | Self::Status { retry_after_s, .. } => *retry_after_s,
            Self::Setup { .. } | Self::Transport(_) | Self::Decode { .. } | Self::TooLarge => None,
        }
    }
}

/// The filters of [`Client::products`]. One of `family_name` and `brand_name` is needed. Contract, section 3.6.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProductsQuery<'a> {
    /// Uppercase alpha-2.
    pub country_code: &'a str,
    pub family_name: Option<&'a str>,
    pub brand_name: Option<&'a str>,
    /// The coin of the prices; the server takes BTC without it.
    pub coin: Option<&'a str>,
    /// The name of a payment via.
    pub payment_method: Option<&'a str>,
    pub lang: Option<&'a str>,
    pub promo_code: Option<&'a str>,
}

/// What [`Client::price`] asks for. Contract, section 3.7.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriceQuery<'a> {
    pub brand_name: &'a str,
    /// Uppercase alpha-2.
    pub country_code: &'a str,
    /// A decimal in the product's own currency.
    pub face_value: &'a str,
    pub coin: &'a str,
    pub promo_code: Option<&'a str>,
}

/// A client of one store. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client of the store at `base_url`, such as `https://shop.example` or `http://127.0.0.1:8080/prefix`.
    ///
    /// # Errors
    /// [`ClientError::Setup`] when the base URL or the identity cannot be used.
    pub fn new(base_url: &str, identity: Identity) -> Result<Self, ClientError> {
        let base = read_base(base_url)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_configuration()?)
            .default_headers(headers(&identity)?)
            .user_agent(concat!("kiosk-api/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CALL_TIMEOUT)
            .read_timeout(STREAM_SILENCE)
            .build()
            .map_err(|error| setup(format_args!("the HTTP client cannot be built: {error}")))?;
        Ok(Self { http, base })
    }

    /// The payment vias with their coins and networks. Contract, section 3.1.
    pub async fn payment_vias(&self) -> Result<Vec<PaymentVia>, ClientError> {
        self.get("payment_vias", self.url(&["v3", "payment_vias"], &[])).await
    }

    /// The coins. Contract, section 3.2.
    pub async fn currencies(&self) -> Result<Vec<Currency>, ClientError> {
        self.get("currencies", self.url(&["v3", "currencies"], &[])).await
    }

    /// The brands of a country. Contract, section 3.3.
    pub async fn brands(&self, country_code: &str, promo_code: Option<&str>) -> Result<Brands, ClientError> {
        let query = [("country_code", Some(country_code)), ("promo_code", promo_code)];
        self.get("brands", self.url(&["v2", "brands"], &query)).await
    }

    /// The curated feed of a country. Contract, section 3.4.
    pub async fn homepage(&self, country_code: &str) -> Result<Brands, ClientError> {
        let query = [("country_code", Some(country_code))];
        self.get("homepage", self.url(&["v2", "homepage"], &query)).await
    }

    /// Brands and products that fit a text. Contract, section 3.5.
    pub async fn search(
        &self,
        country_code: &str,
        text: &str,
        lang: Option<&str>,
    ) -> Result<Vec<ProductGroup>, ClientError> {
        let query = [("q", Some(text)), ("lang", lang)];
        self.get("search", self.url(&["v2", "search", country_code], &query)).await
    }

    /// The products of a brand or a family. Contract, section 3.6.
    pub async fn products(&self, wanted: ProductsQuery<'_>) -> Result<Vec<ProductGroup>, ClientError> {
        let query = [
            ("family_name", wanted.family_name),
            ("brand_name", wanted.brand_name),
            ("coin", wanted.coin),
            ("payment_method", wanted.payment_method),
            ("lang", wanted.lang),
            ("promo_code", wanted.promo_code),
        ];
        self.get("products", self.url(&["v5", "products", "country", wanted.country_code], &query)).await
    }

    /// The price of one face value. Contract, section 3.7.
    pub async fn price(&self, wanted: PriceQuery<'_>) -> Result<Price, ClientError> {
        let query = [
            ("brand_name", Some(wanted.brand_name)),
            ("country_code", Some(wanted.country_code)),
            ("face_value", Some(wanted.face_value)),
            ("coin", Some(wanted.coin)),
            ("promo_code", wanted.promo_code),
        ];
        self.get("price", self.url(&["v4", "products", "price"], &query)).await
    }

    /// What would happen to an order; creates nothing. Problems come in a successful answer. Contract, section 3.8.
    pub async fn validate(&self, order: &OrderRequest) -> Result<Validation, ClientError> {
        let request = self.http.post(self.url(&["v5", "orders", "validations"], &[])?).json(order);
        self.decoded("validate", request).await
    }

    /// Places an order. Contract, section 3.9.
    ///
    /// With the same `idempotency_key` and the same order, a second call answers with the first one's order instead of
    /// placing another. Without a key, a call that ended in [`ClientError::Transport`] must not be repeated blindly.
    ///
    /// # Errors
    /// As every call, and [`ClientError::Setup`] for a key that is empty, longer than 255 bytes or not printable ASCII.
    pub async fn create_order(
        &self,
        order: &OrderRequest,
        idempotency_key: Option<&str>,
    ) -> Result<Order, ClientError> {
        let mut request = self.http.post(self.url(&["v5", "orders"], &[])?).json(order);
        if let Some(key) = idempotency_key {
            request = request.header(IDEMPOTENCY_KEY, key_header(key)?);
        }
        self.decoded("create_order", request).await
    }

    /// An order as it is now. Contract, section 3.10.
    pub async fn order(&self, order_id: &str) -> Result<Order, ClientError> {
        self.get("order", self.url(&["v5", "orders", order_id], &[])).await
    }

    /// The PNG of an order's payment URI. Contract, section 3.12.
    pub async fn qr(&self, order_id: &str) -> Result<Vec<u8>, ClientError> {
        let request = self.http.get(self.url(&["v3", "qrs", order_id], &[])?);
        self.bytes(request.header(ACCEPT, HeaderValue::from_static("image/png"))).await
    }

    /// The countries that can be sold to. Contract, section 3.14.
    pub async fn available_countries(&self) -> Result<Vec<Country>, ClientError> {
        self.get("available_countries", self.url(&["api", "available-countries"], &[])).await
    }

    /// A request for the stream of an order, without the time limit of a call. Contract, section 3.11.
    pub(crate) fn stream_request(&self, order_id: &str) -> Result<RequestBuilder, ClientError> {
        let url = self.url(&["v5", "orders", order_id, "subscribe"], &[])?;
        Ok(self.http.get(url).header(ACCEPT, HeaderValue::from_static("text/event-stream")))
    }

    /// Segments and values are escaped here, so that an id with a slash stays one segment. What no segment can be is
    /// refused: a reader of URLs takes `.` and `..` away, and another call would be made than was meant.
    pub(crate) fn url(&self, segments: &[&str], query: &[(&str, Option<&str>)]) -> Result<Url, ClientError> {
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(setup("a part of the address is empty or only dots"));
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("read_base lets only http and https through, and both have a path")
            .pop_if_empty()
            .extend(segments);
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(url)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        call: &'static str,
        url: Result<Url, ClientError>,
    ) -> Result<T, ClientError> {
        self.decoded(call, self.http.get(url?)).await
    }

    async fn decoded<T: DeserializeOwned>(
        &self,
        call: &'static str,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let answer = self.bytes(request).await?;
        serde_json::from_slice(&answer).map_err(|source| ClientError::Decode { call, source })
    }

    async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, ClientError> {
        let mut response = request.timeout(CALL_TIMEOUT).send().await.map_err(transport)?;
        let body = bounded_body(&mut response).await?;
        if response.status().is_success() {
            return Ok(body);
        }
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after_s = retry_after.and_then(|text| text.trim().parse().ok());
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) if !body.code().is_empty() => {
                Err(ClientError::Refused { status, body: Box::new(body), retry_after_s })
            }
            Ok(_) | Err(_) => Err(ClientError::Status { status, retry_after_s }),
        }
    }
}

pub(crate) async fn bounded_body(response: &mut Response) -> Result<Vec<u8>, ClientError> {
    if response.content_length().is_some_and(|length| length > MAX_ANSWER_BYTES as u64) {
        return Err(ClientError::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ClientError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn read_base(base_url: &str) -> Result<Url, ClientError> {
    let base = Url::parse(base_url).map_err(|error| setup(format_args!("the base URL cannot be read: {error}")))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(setup("the base URL must begin with http:// or https://"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(setup("the base URL must have no query and no fragment"));
    }
    Ok(base)
}

/// The roots come with the program, so that the client works where the system has none, such as in a bare container.
fn tls_configuration() -> Result<rustls::ClientConfig, ClientError> {
    let roots: rustls::RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let configuration = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(format_args!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(configuration)
}

/// What goes with every call. The contract asks for the content type on GET too.
fn headers(identity: &Identity) -> Result<HeaderMap, ClientError> {
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, json.clone());
    headers.insert(CONTENT_TYPE, json);
    // Nothing here unpacks; without this line, any coding would be welcome (RFC 9110 section 12.5.3).
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(application) = &identity.application {
        headers.insert(APPLICATION, header_value("application", application)?);
    }
    if let Some(version) = &identity.version {
        headers.insert(VERSION, header_value("version", version)?);
    }
    if let Some(bearer) = &identity.bearer {
        let mut value = header_value("bearer", &format!("Bearer {bearer}"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn header_value(field: &str, text: &str) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_str(text)
        .map_err(|_| setup(format_args!("the identity's `{field}` must be printable ASCII to be sent as a header")))
}

/// The key as a Structured-Field string, the form that the draft of the header asks for: quoted, `"` and `\` escaped.
fn key_header(key: &str) -> Result<HeaderValue, ClientError> {
    let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if key.is_empty() || key.len() > MAX_KEY_BYTES || !printable {
        return Err(setup("the idempotency key must be 1 to 255 characters of printable ASCII"));
    }
    let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
    HeaderValue::from_str(&quoted).map_err(|_| setup("the idempotency key cannot be sent as a header"))
}

fn setup(problem: impl fmt::Display) -> ClientError {
    ClientError::Setup { problem: problem.to_string() }
}

/// Without the address: that of an order opens its codes, and errors are logged.
pub(crate) fn transport(error: reqwest::Error) -> ClientError {
    ClientError::Transport(error.without_url())
}

#[cfg(test)]
mod tests;
