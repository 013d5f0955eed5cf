//! JSON-RPC to one node, over HTTP or over a WebSocket: bounded in time and size, and without its address in any error,
//! because that may hold a key.
//!
//! Several questions go as one batch: they meet the same machine behind a load balancer, which is what makes "has this
//! node the block that I ask about?" worth asking. Must never repeat a question by itself.

use super::socket::Socket;
use crate::adapters::rates::said;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Bytes of an answer. More is refused, and less is asked for.
pub const LARGEST_ANSWER: usize = 16 << 20;
/// The same of an answer about one block, of which no less can be asked for.
pub const LARGEST_BLOCK: usize = 64 << 20;

/// Letters of a node's own words that are shown.
const SHOWN: usize = 160;

/// What most nodes call a call that its contract refused.
const REVERTED: i64 = 3;

/// A part of an address that is at least so long may be a key.
const SHORTEST_KEY: usize = 8;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    #[error("no connection: {0}")]
    Unreachable(String),
    #[error("no answer in time")]
    Slow,
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("its answer has more than {} MiB", .0 >> 20)]
    TooLarge(usize),
    #[error("its answer is no JSON-RPC")]
    NotJsonRpc,
    #[error("it answered something else than was asked")]
    Unanswered,
    /// The node's own number and words.
    #[error("it refused ({code}): {message}")]
    Refused { code: i64, message: String },
    #[error("its answer has {0}")]
    Unclear(&'static str),
    #[error("it is a node of chain {found}, not of {wanted}")]
    WrongChain { wanted: u64, found: i64 },
    #[error("it does not have block {0}, which it should")]
    NoBlock(i64),
    #[error("it shows events of another block than {0}")]
    OtherBlock(i64),
    #[error("the configuration lists the token {0}, and on the chain there is no contract at that address")]
    NoContract(String),
    #[error("the configuration says that {contract} has {configured} decimals, and the chain says {found}")]
    OtherDecimals { contract: String, configured: u32, found: String },
}

impl RpcError {
    /// Whether less at once may be answered: nodes limit ranges and results, and each says so in words of its own.
    pub fn may_be_too_much(&self) -> bool {
        match self {
            RpcError::Refused { .. } | RpcError::Status(_) | RpcError::TooLarge(_) | RpcError::Slow => true,
            RpcError::Unreachable(_)
            | RpcError::NotJsonRpc
            | RpcError::Unanswered
            | RpcError::Unclear(_)
            | RpcError::WrongChain { .. }
            | RpcError::NoBlock(_)
            | RpcError::OtherBlock(_)
            | RpcError::NoContract(_)
            | RpcError::OtherDecimals { .. } => false,
        }
    }

    /// Whether a contract does not know what it was asked, in the words of the usual nodes. A node that is over its limits
    /// refuses in other words.
    pub fn is_revert(&self) -> bool {
        let RpcError::Refused { code, message } = self else { return false };
        let message = message.to_lowercase();
        *code == REVERTED || ["revert", "execution error", "invalid opcode"].iter().any(|words| message.contains(words))
    }
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    pub method: &'static str,
    pub params: Value,
}

impl Ask {
    pub fn new(method: &'static str, params: Value) -> Ask {
        Ask { method, params }
    }
}

/// The answer to one question of several.
pub type Answered = Result<Box<RawValue>, RpcError>;

/// A node's address.
pub struct Rpc {
    transport: Transport,
    timeout: Duration,
    next_id: AtomicU64,
    /// Parts of the address that no text may show.
    keys: Vec<String>,
}

enum Transport {
    Http { http: Client, url: Url },
    Socket(Socket),
}

impl Rpc {
    /// Connects to nothing yet, but for a WebSocket, which does so in the background. `bell` rings when it tells of a
    /// new block.
    pub fn new(url: Url, http: &Client, timeout: Duration, bell: &Arc<Notify>) -> Rpc {
        let keys = keys_of(&url);
        let transport = match url.scheme() {
            "ws" | "wss" => Transport::Socket(Socket::open(http.clone(), url, timeout, bell.clone())),
            _ => Transport::Http { http: http.clone(), url },
        };
        Rpc { transport, timeout, next_id: AtomicU64::new(1), keys }
    }

    /// One answer per question, in the same order, all of them together with at most `most` bytes.
    ///
    /// # Errors
    /// The outer one where nothing at all came back; the node's refusal of one question stands in its place.
    pub async fn ask(&self, asks: &[Ask], most: usize) -> Result<Vec<Answered>, RpcError> {
        let count = asks.len() as u64;
        let first = self.next_id.fetch_add(count, Ordering::Relaxed);
        let question = |(ask, id): (&Ask, u64)| {
            let (method, params) = (ask.method, &ask.params);
            json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
        };
        let mut questions: Vec<Value> = asks.iter().zip(first..).map(question).collect();
        let text = match questions.pop() {
            None => return Ok(Vec::new()),
            Some(only) if questions.is_empty() => only.to_string(),
            Some(last) => {
                questions.push(last);
                Value::Array(questions).to_string()
            }
        };
        let answered = match &self.transport {
            Transport::Http { http, url } => self.post(http, url, text, most).await,
            Transport::Socket(socket) => socket.ask(text).await.and_then(|text| fits(text, most)),
        };
        let answers = answered.and_then(|text| answers(&text, first, asks.len()));
        match answers {
            Ok(mut answers) => {
                answers.iter_mut().for_each(|answer| self.hide_keys(answer.as_mut().err()));
                Ok(answers)
            }
            Err(mut error) => {
                self.hide_keys(Some(&mut error));
                Err(error)
            }
        }
    }

    async fn post(&self, http: &Client, url: &Url, text: String, most: usize) -> Result<String, RpcError> {
        let unreachable = |error: reqwest::Error| match error.is_timeout() {
            true => RpcError::Slow,
            false => RpcError::Unreachable(said(error)),
        };
        let request = http.post(url.clone()).header("content-type", "application/json").body(text);
        let mut response = request.timeout(self.timeout).send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(RpcError::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > most {
                return Err(RpcError::TooLarge(most));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).map_err(|_| RpcError::NotJsonRpc)
    }

    /// Some nodes quote the key that they do not like.
    fn hide_keys(&self, error: Option<&mut RpcError>) {
        if let Some(RpcError::Refused { message: text, .. } | RpcError::Unreachable(text)) = error {
            for key in &self.keys {
                *text = text.replace(key.as_str(), "[key]");
            }
        }
    }
}

/// What logs and errors call a node: its number in the configuration, and what of its address may be shown.
pub fn node_name(number: usize, url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(format!("rpc {} ({}://{})", number + 1, url.scheme(), public_part(host)))
}

/// What of a host may be shown: an IP address, or the last two labels of a name. Some providers put keys before those.
pub fn public_part(host: &str) -> &str {
    if host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() {
        return host;
    }
    host.rmatch_indices('.').nth(1).map_or(host, |(dot, _)| &host[dot + 1..])
}

/// The parts of an address that may be keys: everything that is long but the public part of the host's name.
fn keys_of(url: &Url) -> Vec<String> {
    let mut keys: Vec<String> = url.path().split('/').map(str::to_owned).collect();
    keys.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    keys.extend(url.password().map(str::to_owned));
    keys.push(url.username().to_owned());
    let host = url.host_str().unwrap_or_default();
    let secret = host.strip_suffix(public_part(host)).unwrap_or_default();
    keys.extend(secret.split('.').map(str::to_owned));
    keys.retain(|key| key.len() >= SHORTEST_KEY);
    keys
}

/// A socket hands over whatever it can hold.
fn fits(text: String, most: usize) -> Result<String, RpcError> {
    if text.len() > most { Err(RpcError::TooLarge(most)) } else { Ok(text) }
}

#[derive(Deserialize)]
struct Reply {
    id: Option<u64>,
    result: Option<Box<RawValue>>,
    error: Option<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

impl Reply {
    fn answered(self) -> Answered {
        match (self.error, self.result) {
            (Some(complaint), _) => Err(complaint.refused()),
            (None, Some(result)) => Ok(result),
            // JSON's null is an answer: there is no such block.
            (None, None) => Ok(RawValue::from_string("null".to_owned()).expect("null is JSON")),
        }
    }
}

impl Complaint {
    fn refused(self) -> RpcError {
        let is_plain = |letter: &char| !letter.is_control();
        RpcError::Refused { code: self.code, message: self.message.chars().filter(is_plain).take(SHOWN).collect() }
    }
}

/// The answers to the questions `first..first + count`, in that order.
fn answers(text: &str, first: u64, count: usize) -> Result<Vec<Answered>, RpcError> {
    if !text.trim_start().starts_with('[') {
        let reply: Reply = serde_json::from_str(text).map_err(|_| RpcError::NotJsonRpc)?;
        return lone_answer(reply, first, count);
    }
    let mut replies: Vec<Reply> = serde_json::from_str(text).map_err(|_| RpcError::NotJsonRpc)?;
    replies.sort_by_key(|reply| reply.id);
    let are_ours = replies.iter().zip(first..).all(|(reply, id)| reply.id == Some(id));
    if replies.len() != count || !are_ours {
        return Err(RpcError::Unanswered);
    }
    Ok(replies.into_iter().map(Reply::answered).collect())
}

/// A reply that stands alone answers one question, or refuses a whole batch.
fn lone_answer(reply: Reply, first: u64, count: usize) -> Result<Vec<Answered>, RpcError> {
    if count == 1 && reply.id == Some(first) {
        return Ok(vec![reply.answered()]);
    }
    Err(reply.error.map_or(RpcError::Unanswered, Complaint::refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(answered: Result<Vec<Answered>, RpcError>) -> Result<Vec<String>, RpcError> {
        answered?.into_iter().map(|answer| answer.map(|raw| raw.get().to_owned())).collect()
    }

    fn refused(code: i64, message: &str) -> RpcError {
        RpcError::Refused { code, message: message.to_owned() }
    }

    #[test]
    fn answers_are_put_in_the_order_of_the_questions() {
        let reply = r#" [{"jsonrpc":"2.0","id":8,"result":{"a":1}},{"id":7,"result":null},{"id":9,"result":"0x1"}]"#;
        let expected = ["null", r#"{"a":1}"#, r#""0x1""#].map(str::to_owned);
        assert_eq!(texts(answers(reply, 7, 3)), Ok(expected.to_vec()));
        assert_eq!(texts(answers(r#"{"id":7,"result":[1, 2]}"#, 7, 1)), Ok(vec!["[1, 2]".to_owned()]));
    }

    #[test]
    fn a_refusal_is_told_in_the_nodes_own_words() {
        let long = "x".repeat(500);
        let one = format!(r#"{{"id":7,"error":{{"code":-32005,"message":"too many\nresults {long}"}}}}"#);
        let told = texts(answers(&one, 7, 1)).expect_err("an error");
        let RpcError::Refused { code: -32005, message } = told else { panic!("{told}") };
        assert!(message.starts_with("too manyresults x") && message.len() == SHOWN, "{message}");
        let of_batch = r#"{"id":null,"error":{"code":-32600,"message":"batches are not for you"}}"#;
        assert_eq!(texts(answers(of_batch, 7, 3)), Err(refused(-32600, "batches are not for you")));
        let mixed = r#"[{"id":7,"result":1},{"id":8,"error":{"message":"no"}}]"#;
        let mixed = answers(mixed, 7, 2).expect("two answers");
        assert_eq!(mixed[1].as_ref().err(), Some(&refused(0, "no")));
    }

    #[test]
    fn whatever_else_comes_back_is_no_answer() {
        for (reply, expected) in [
            ("", RpcError::NotJsonRpc),
            ("<html>busy</html>", RpcError::NotJsonRpc),
            ("[", RpcError::NotJsonRpc),
            ("[1]", RpcError::NotJsonRpc),
            (r#"{"id":7,"result":1"#, RpcError::NotJsonRpc),
            (r#"{"id":"7","result":1}"#, RpcError::NotJsonRpc),
            ("{}", RpcError::Unanswered),
            (r#"{"id":6,"result":1}"#, RpcError::Unanswered),
            (r#"[{"id":8,"result":1}]"#, RpcError::Unanswered),
            ("[]", RpcError::Unanswered),
            (r#"[{"id":7,"result":1},{"id":7,"result":2}]"#, RpcError::Unanswered),
        ] {
            assert_eq!(texts(answers(reply, 7, 1)), Err(expected), "{reply}");
        }
    }

    #[test]
    fn a_key_in_the_name_of_a_host_is_hidden() {
        for (host, shown) in [
            ("0123456789abcdef.base.provider.example", "provider.example"),
            ("provider.example", "provider.example"),
            ("localhost", "localhost"),
            ("10.20.30.40", "10.20.30.40"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(public_part(host), shown, "{host}");
        }
        let url = Url::parse("wss://0123456789abcdef.base.provider.example/v1").expect("a URL");
        assert_eq!(keys_of(&url), ["0123456789abcdef"]);
    }

    #[test]
    fn parts_of_an_address_that_may_be_keys_are_known() {
        let url =
            Url::parse("https://user-name:pass-word@node.example/v2/AbCdEfGh12?apikey=0123456789&x=1").expect("a URL");
        assert_eq!(keys_of(&url), ["AbCdEfGh12", "0123456789", "pass-word", "user-name"]);
        let rpc = Rpc {
            transport: Transport::Http { http: crate::adapters::evm::client().expect("a client"), url: url.clone() },
            timeout: Duration::from_secs(1),
            next_id: AtomicU64::new(1),
            keys: keys_of(&url),
        };
        let mut error = refused(-32000, "the key AbCdEfGh12 is over its limit");
        rpc.hide_keys(Some(&mut error));
        assert_eq!(error, refused(-32000, "the key [key] is over its limit"));
    }
}
