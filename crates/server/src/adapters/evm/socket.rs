//! A node that is reached over a WebSocket: questions and answers one after the other, and in between the node's word
//! that there is a new block, which rings a bell and is believed for nothing else.
//!
//! One task owns the connection and makes it anew when it breaks. Must never leave a question without an answer: what
//! waits when the connection breaks is told so. Called by `rpc` beside it.

use super::rpc::{LARGEST_BLOCK, RpcError};
use crate::adapters::rates::said;
use crate::entropy;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, StatusCode, Upgraded, Url, header};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// After a connection that could not be made, or that broke.
const CONNECT_AGAIN: Duration = Duration::from_secs(2);
/// A connection on which nothing is heard for so long is asked whether it lives; after as long again it is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// Questions that wait their turn.
const WAITING: usize = 16;
/// Its answer says whether the node will tell of new blocks, and nobody waits for it.
const SUBSCRIBE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"eth_subscribe","params":["newHeads"]}"#;

type Stream = WebSocketStream<Upgraded>;

/// A connection, or the wish for one.
pub struct Socket {
    questions: mpsc::Sender<Question>,
    task: JoinHandle<()>,
}

struct Question {
    text: String,
    answer: oneshot::Sender<Result<String, RpcError>>,
}

/// What is needed to connect.
struct Line {
    http: Client,
    url: Url,
    timeout: Duration,
    bell: Arc<Notify>,
}

/// One message of the node.
enum Heard {
    Answer(String),
    /// Something else; the bell has rung if it told of a block.
    Other,
}

impl Socket {
    /// Begins to connect. To be called inside a runtime.
    pub fn open(http: Client, url: Url, timeout: Duration, bell: Arc<Notify>) -> Socket {
        let (questions, asked) = mpsc::channel(WAITING);
        let line = Line { http, url, timeout, bell };
        Socket { questions, task: tokio::spawn(run(line, asked)) }
    }

    /// The node's answer to a JSON-RPC text.
    pub async fn ask(&self, text: String) -> Result<String, RpcError> {
        let gone = || RpcError::Unreachable("the connection's task has ended".to_owned());
        let (answer, result) = oneshot::channel();
        self.questions.send(Question { text, answer }).await.map_err(|_| gone())?;
        result.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(line: Line, mut questions: mpsc::Receiver<Question>) {
    loop {
        let broken = match line.connect().await {
            Ok(mut stream) => match line.serve(&mut stream, &mut questions).await {
                Ok(()) => return,
                Err(error) => error,
            },
            Err(error) => error,
        };
        // Whoever asks meanwhile hears at once that nobody is there, and can ask another node.
        let pause = sleep(CONNECT_AGAIN);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                question = questions.recv() => match question {
                    Some(question) => question.answer.send(Err(broken.clone())).unwrap_or(()),
                    None => return,
                },
            }
        }
    }
}

impl Line {
    async fn connect(&self) -> Result<Stream, RpcError> {
        let mut stream = timeout(self.timeout, self.upgrade()).await.unwrap_or(Err(RpcError::Slow))?;
        stream.send(Message::text(SUBSCRIBE)).await.map_err(broken)?;
        Ok(stream)
    }

    /// The handshake of RFC 6455, section 4.1, over the client that all calls use: one TLS, one set of roots.
    async fn upgrade(&self) -> Result<Stream, RpcError> {
        let failed = |error: reqwest::Error| RpcError::Unreachable(said(error));
        let mut url = self.url.clone();
        let scheme = if url.scheme() == "wss" { "https" } else { "http" };
        url.set_scheme(scheme).map_err(|()| RpcError::Unreachable("the address is none for a socket".to_owned()))?;
        let key = entropy::to_base64(&entropy::bytes::<16>());
        let request = self.http.get(url).header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "websocket");
        let request = request.header(header::SEC_WEBSOCKET_VERSION, "13").header(header::SEC_WEBSOCKET_KEY, &key);
        let response = request.send().await.map_err(failed)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(RpcError::Status(response.status().as_u16()));
        }
        let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(header::HeaderValue::as_bytes);
        if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(RpcError::Unreachable("it does not speak WebSocket".to_owned()));
        }
        let upgraded = response.upgrade().await.map_err(failed)?;
        let limits =
            WebSocketConfig::default().max_message_size(Some(LARGEST_BLOCK)).max_frame_size(Some(LARGEST_BLOCK));
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(limits)).await)
    }

    /// Carries questions and answers until the connection breaks (an error) or nobody can ask any more.
    async fn serve(&self, stream: &mut Stream, questions: &mut mpsc::Receiver<Question>) -> Result<(), RpcError> {
        loop {
            tokio::select! {
                question = questions.recv() => {
                    let Some(question) = question else { return Ok(()) };
                    let asked = timeout(self.timeout, self.exchange(stream, question.text)).await;
                    let answer = asked.unwrap_or(Err(RpcError::Slow));
                    let broken = answer.as_ref().err().cloned();
                    question.answer.send(answer).unwrap_or(());
                    // An answer that comes too late would be taken for that to the next question.
                    if let Some(error) = broken {
                        return Err(error);
                    }
                }
                heard = timeout(SILENCE, self.hear(stream)) => match heard {
                    Ok(heard) => {
                        heard?;
                    }
                    Err(_) => self.prove_alive(stream).await?,
                },
            }
        }
    }

    async fn exchange(&self, stream: &mut Stream, text: String) -> Result<String, RpcError> {
        stream.send(Message::text(text)).await.map_err(broken)?;
        loop {
            if let Heard::Answer(text) = self.hear(stream).await? {
                return Ok(text);
            }
        }
    }

    async fn prove_alive(&self, stream: &mut Stream) -> Result<(), RpcError> {
        stream.send(Message::Ping(Vec::<u8>::new().into())).await.map_err(broken)?;
        timeout(SILENCE, self.hear(stream)).await.unwrap_or(Err(RpcError::Slow)).map(|_| ())
    }

    async fn hear(&self, stream: &mut Stream) -> Result<Heard, RpcError> {
        let message = stream.next().await.unwrap_or(Err(tokio_tungstenite::tungstenite::Error::ConnectionClosed));
        let Message::Text(text) = message.map_err(broken)? else { return Ok(Heard::Other) };
        match kind_of(&text) {
            Kind::Answer => Ok(Heard::Answer(text.as_str().to_owned())),
            Kind::News => {
                self.bell.notify_one();
                Ok(Heard::Other)
            }
            Kind::Subscribed => Ok(Heard::Other),
        }
    }
}

fn broken(error: tokio_tungstenite::tungstenite::Error) -> RpcError {
    RpcError::Unreachable(format!("the connection broke: {error}"))
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Answer,
    /// Of a subscription.
    News,
    /// The answer to our wish to be told.
    Subscribed,
}

fn kind_of(text: &str) -> Kind {
    #[derive(Deserialize)]
    struct Form {
        method: Option<String>,
        id: Option<u64>,
    }
    // A batch is an array; what cannot be read at all is judged by whoever waits for it.
    let Ok(form) = serde_json::from_str::<Form>(text) else { return Kind::Answer };
    match (form.method, form.id) {
        (Some(_), _) => Kind::News,
        (None, Some(0)) => Kind::Subscribed,
        (None, _) => Kind::Answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_told_from_answers() {
        for (text, kind) in [
            (r#"{"jsonrpc":"2.0","id":0,"result":"0x79"}"#, Kind::Subscribed),
            (r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"no"}}"#, Kind::Subscribed),
            (r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"result":{}}}"#, Kind::News),
            (r#"{"jsonrpc":"2.0","id":3,"result":null}"#, Kind::Answer),
            (r#"[{"id":3,"result":null}]"#, Kind::Answer),
            ("nonsense", Kind::Answer),
        ] {
            assert_eq!(kind_of(text), kind, "{text}");
        }
    }
}
