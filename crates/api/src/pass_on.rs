//! Calls that are made for somebody else: what came in goes up, and what comes back goes down unread.
//!
//! The caller chooses the path, the headers and the body; this client adds its identity where the headers leave it open,
//! and the bounds of every call. It must never be given a path that a visitor wrote whole. The gateway calls it.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response, StatusCode};

use crate::client::{CALL_TIMEOUT, Client, ClientError, bounded_body, transport};

/// A call for somebody else.
pub struct PassOn<'a> {
    /// The parts of the path after the base URL; each stays one part, whatever is in it.
    pub path: Vec<&'a str>,
    /// As it came, without its question mark.
    pub query: Option<&'a str>,
    /// They replace this client's own of the same name.
    pub headers: HeaderMap,
    /// With a body the call is a POST, without one a GET.
    pub body: Option<Bytes>,
}

/// The answer, of any status; a redirect is one too.
pub struct PassedOn {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    /// Makes the call, within the bounds of every call of this client.
    ///
    /// # Errors
    /// [`ClientError::Setup`], [`ClientError::Transport`] and [`ClientError::TooLarge`].
    pub async fn pass_on(&self, call: PassOn<'_>) -> Result<PassedOn, ClientError> {
        let mut url = self.url(&call.path, &[])?;
        url.set_query(call.query);
        let method = if call.body.is_some() { Method::POST } else { Method::GET };
        let mut request = self.http.request(method, url).headers(call.headers).timeout(CALL_TIMEOUT);
        if let Some(body) = call.body {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(transport)?;
        let body = Bytes::from(bounded_body(&mut response).await?);
        Ok(PassedOn { status: response.status(), headers: std::mem::take(response.headers_mut()), body })
    }

    /// Opens an order's stream and answers as soon as its head is there, of any status. Contract, section 4.5.
    ///
    /// # Errors
    /// [`ClientError::Setup`] and [`ClientError::Transport`]. There is no time limit but that of connecting, and the
    /// silence after which the body fails.
    pub async fn open_stream(&self, order_id: &str, headers: HeaderMap) -> Result<Response, ClientError> {
        self.stream_request(order_id)?.headers(headers).send().await.map_err(transport)
    }
}
