//! Nodes that say what a test wants them to say: one chain in memory, and in front of it any number of nodes over HTTP or
//! WebSocket, each with lies of its own.

use super::wire::{TRANSFER, to_quantity};
use super::{Address, EvmNetwork, Settings, Token};
use crate::ports::{AddressBook, Answer, Given, Network, Rhythm, Wanted};
use crate::secret::Secret;
use domain::asset::Confirmation;
use domain::chain::{Change, Scan, Side, Window};
use domain::ids::{AssetId, NetworkId, TransferId};
use domain::time::{Span, Time};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

/// The time of block 0.
pub const START: Time = Time(1_795_174_500_000);
/// Between blocks.
pub const BLOCK_TIME: Span = Span::seconds(2);
pub const CHAIN_ID: u64 = 8_453;

/// Ours, and somebody else's.
pub const ANN: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
pub const BOB: &str = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";
pub const STRANGER: &str = "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB";

/// Six decimals, eighteen, and one that does not count.
pub const USDC: &str = "0x1111111111111111111111111111111111111111";
pub const DAI: &str = "0x2222222222222222222222222222222222222222";
pub const BRIDGED: &str = "0x3333333333333333333333333333333333333333";

/// A transfer as a test writes it: token, receiver, amount, transaction.
pub type Paid = (&'static str, &'static str, u128, u64);

#[derive(Clone)]
struct FakeBlock {
    hash: String,
    parent: String,
    at: Time,
    paid: Vec<Paid>,
}

/// An address as nodes write it into events.
fn word(address: &str) -> String {
    format!("0x{:0>64}", address[2..].to_lowercase())
}

/// A chain; its first block has the height 0.
#[derive(Default)]
pub struct FakeChain {
    blocks: Vec<FakeBlock>,
    branch: u32,
    /// Numbers events anew in each block.
    first_index: usize,
    /// How far the tag `safe` has come.
    pub safe: Option<i64>,
    /// Who sends, by the number of the transaction; a stranger, where nobody is named.
    pub senders: BTreeMap<u64, &'static str>,
    /// Of the chain's own coin.
    pub balances: BTreeMap<&'static str, u128>,
}

impl FakeChain {
    pub fn height(&self) -> i64 {
        self.blocks.len() as i64 - 1
    }

    /// One block with those transfers.
    pub fn mine(&mut self, paid: &[Paid]) {
        let height = self.blocks.len() as i64;
        let hash = format!("0x{:02x}{height:062x}", self.branch);
        let parent = self.blocks.last().map_or(format!("0x{:064x}", 0), |block| block.hash.clone());
        self.blocks.push(FakeBlock { hash, parent, at: Time(START.0 + height * BLOCK_TIME.0), paid: paid.to_vec() });
    }

    pub fn mine_empty(&mut self, count: usize) {
        (0..count).for_each(|_| self.mine(&[]));
    }

    /// Takes the newest blocks away; what is mined from now on is another branch, where events have other numbers.
    pub fn fork(&mut self, depth: usize) {
        self.blocks.truncate(self.blocks.len() - depth);
        self.branch += 1;
        self.first_index += 7;
    }

    /// The time right after the newest block.
    pub fn now(&self) -> Time {
        Time(START.0 + self.height() * BLOCK_TIME.0 + 500)
    }

    /// The hash of a block.
    pub fn hash(&self, height: i64) -> String {
        self.blocks[height as usize].hash.clone()
    }

    fn block(&self, height: i64) -> Value {
        let Some(block) = usize::try_from(height).ok().and_then(|at| self.blocks.get(at)) else { return Value::Null };
        json!({
            "number": to_quantity(height), "hash": block.hash, "parentHash": block.parent,
            "timestamp": to_quantity(block.at.unix_seconds()), "transactions": [],
        })
    }

    /// The events of a block that a filter asks for.
    fn logs(&self, height: i64, filter: &Value) -> Vec<Value> {
        let block = &self.blocks[height as usize];
        let asks_for = |wanted: &Value, value: String| wanted.as_array().is_none_or(|all| all.contains(&json!(value)));
        let log = |(at, (token, to, amount, transaction)): (usize, &Paid)| {
            let from = self.senders.get(transaction).copied().unwrap_or(STRANGER);
            json!({
                "address": token,
                "topics": [TRANSFER, word(from), word(to)],
                "data": format!("0x{amount:064x}"),
                "blockNumber": to_quantity(height), "blockHash": block.hash,
                "transactionHash": format!("0x{transaction:064x}"), "transactionIndex": "0x0",
                "logIndex": to_quantity((self.first_index + at) as i64), "removed": false,
            })
        };
        let is_wanted = |(token, to, ..): &Paid| {
            asks_for(&filter["address"], (*token).to_owned()) && asks_for(&filter["topics"][2], word(to))
        };
        let all = block.paid.iter().enumerate().filter(|(_, paid)| is_wanted(paid));
        all.map(log).collect()
    }
}

/// What is wrong with a node.
#[derive(Clone, Default)]
pub struct Lies {
    /// Newest blocks that it does not have yet.
    pub lag: usize,
    /// Blocks whose events it does not show.
    pub hides: BTreeSet<i64>,
    /// The same, when it is asked for the very block.
    pub hides_by_hash: BTreeSet<i64>,
    /// A transfer that never was, in that block.
    pub invents: Option<(i64, Paid)>,
    /// Shows events under the hash of another block.
    pub mixes_up_blocks: bool,
    /// Shows events as taken back.
    pub takes_back: bool,
    /// Refuses larger ranges.
    pub most_blocks: Option<i64>,
    /// Refuses larger batches.
    pub most_asks: Option<usize>,
    /// Shows the events of those blocks for one contract at a time.
    pub fat: BTreeSet<i64>,
    /// Letters that every answer with events has more than it needs.
    pub padding: usize,
    pub chain_id: Option<u64>,
    /// What it says to `eth_getCode` and to `decimals()`, of every token; `None`: the call reverts.
    pub code: Option<&'static str>,
    pub decimals: Option<Option<u32>>,
    /// Says this to everything.
    pub says: Option<&'static str>,
    pub status: Option<u16>,
    /// Says nothing, for as long as anybody waits.
    pub is_silent: bool,
}

/// A node of a chain.
pub struct Node {
    pub url: String,
    pub lies: Arc<Mutex<Lies>>,
    /// The methods it was asked for.
    pub asked: Arc<Mutex<Vec<String>>>,
    news: Arc<Notify>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Speaker {
    chain: Arc<Mutex<FakeChain>>,
    lies: Arc<Mutex<Lies>>,
    asked: Arc<Mutex<Vec<String>>>,
    news: Arc<Notify>,
}

impl Node {
    pub async fn over_http(chain: &Arc<Mutex<FakeChain>>) -> Node {
        Node::start(chain, "http").await
    }

    pub async fn over_websocket(chain: &Arc<Mutex<FakeChain>>) -> Node {
        Node::start(chain, "ws").await
    }

    async fn start(chain: &Arc<Mutex<FakeChain>>, scheme: &'static str) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("{scheme}://{}/v2/hunter2hunter2", listener.local_addr().expect("it listens"));
        let speaker = Speaker {
            chain: chain.clone(),
            lies: Arc::default(),
            asked: Arc::default(),
            news: Arc::new(Notify::new()),
        };
        let (lies, asked, news) = (speaker.lies.clone(), speaker.asked.clone(), speaker.news.clone());
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let speaker = speaker.clone();
                tokio::spawn(async move {
                    match scheme {
                        "ws" => speak_websocket(socket, speaker).await,
                        _ => speak_http(socket, speaker).await,
                    }
                });
            }
        });
        Node { url, lies, asked, news, task }
    }

    pub fn lie(&self, change: impl FnOnce(&mut Lies)) {
        change(&mut self.lies.lock().expect("a lock"));
    }

    pub fn tell_the_truth(&self) {
        self.lie(|lies| *lies = Lies::default());
    }

    /// Tells of a new block, to whoever wanted to be told.
    pub fn tell_news(&self) {
        self.news.notify_one();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn speak_http(mut socket: TcpStream, speaker: Speaker) {
    let mut raw = Vec::new();
    let body = loop {
        let text = String::from_utf8_lossy(&raw).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lengths = head.lines().filter_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= lengths.sum::<usize>() {
                break body.to_owned();
            }
        }
        if socket.read_buf(&mut raw).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let lies = speaker.lies.lock().expect("a lock").clone();
    if lies.is_silent {
        // Until whoever asked hangs up.
        socket.read_buf(&mut raw).await.unwrap_or(0);
        return;
    }
    let answer = speaker.answer(&body);
    let status = lies.status.unwrap_or(200);
    let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    socket.write_all(format!("{head}{answer}").as_bytes()).await.unwrap_or(());
}

async fn speak_websocket(socket: TcpStream, speaker: Speaker) {
    let Ok(mut stream) = tokio_tungstenite::accept_async(socket).await else { return };
    loop {
        let said = tokio::select! {
            heard = stream.next() => match heard {
                Some(Ok(Message::Text(text))) => speaker.answer(text.as_str()),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
            () = speaker.news.notified() => {
                json!({ "jsonrpc": "2.0", "method": "eth_subscription", "params": { "result": {} } }).to_string()
            }
        };
        if stream.send(Message::text(said)).await.is_err() {
            return;
        }
    }
}

impl Speaker {
    fn answer(&self, body: &str) -> String {
        let lies = self.lies.lock().expect("a lock").clone();
        if let Some(text) = lies.says {
            return text.to_owned();
        }
        let padding = if body.contains("eth_getLogs") { " ".repeat(lies.padding) } else { String::new() };
        padding + &self.answers(body, &lies)
    }

    fn answers(&self, body: &str, lies: &Lies) -> String {
        match serde_json::from_str::<Value>(body).expect("a request is JSON") {
            Value::Array(asks) if lies.most_asks.is_some_and(|most| asks.len() > most) => {
                json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32_600, "message": "a batch too large" } })
                    .to_string()
            }
            Value::Array(asks) => Value::Array(asks.iter().map(|ask| self.one(ask, lies)).collect()).to_string(),
            ask => self.one(&ask, lies).to_string(),
        }
    }

    fn one(&self, ask: &Value, lies: &Lies) -> Value {
        let method = ask["method"].as_str().unwrap_or_default();
        self.asked.lock().expect("a lock").push(method.to_owned());
        match self.result(method, &ask["params"], lies) {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": ask["id"], "result": result }),
            Err(message) => {
                json!({ "jsonrpc": "2.0", "id": ask["id"], "error": { "code": -32_005, "message": message } })
            }
        }
    }

    fn result(&self, method: &str, params: &Value, lies: &Lies) -> Result<Value, String> {
        let chain = self.chain.lock().expect("a lock");
        let newest = chain.height() - lies.lag as i64;
        let height = |text: &Value| {
            i64::from_str_radix(text.as_str().unwrap_or("0x0").trim_start_matches("0x"), 16).unwrap_or(-1)
        };
        match method {
            "eth_chainId" => Ok(json!(format!("{:#x}", lies.chain_id.unwrap_or(CHAIN_ID)))),
            "eth_getCode" => Ok(json!(lies.code.unwrap_or("0x6001"))),
            "eth_call" if params[0]["data"] == json!("0x313ce567") => {
                let usual = if params[0]["to"] == json!(DAI) { 18 } else { 6 };
                let decimals = lies.decimals.unwrap_or(Some(usual)).ok_or("execution reverted")?;
                Ok(json!(format!("0x{decimals:064x}")))
            }
            "eth_subscribe" => Ok(json!("0x1")),
            "eth_getBalance" => {
                let of = chain.balances.iter().find(|(address, _)| params[0] == json!(address.to_lowercase()));
                Ok(json!(format!("{:#x}", of.map_or(0, |(_, balance)| *balance))))
            }
            "eth_getBlockByNumber" => match params[0].as_str() {
                Some("latest") => Ok(chain.block(newest)),
                Some("safe" | "finalized") => Ok(chain.safe.map_or(Value::Null, |safe| chain.block(safe.min(newest)))),
                _ => Ok(Some(height(&params[0])).filter(|at| *at <= newest).map_or(Value::Null, |at| chain.block(at))),
            },
            "eth_getBlockByHash" => {
                let at = chain.blocks.iter().position(|block| params[0] == json!(block.hash));
                Ok(at.filter(|at| *at as i64 <= newest).map_or(Value::Null, |at| chain.block(at as i64)))
            }
            "eth_getLogs" => {
                let filter = &params[0];
                let range = match filter["blockHash"].as_str() {
                    Some(hash) => {
                        let at = chain.blocks.iter().position(|block| block.hash == hash);
                        let at = at.map(|at| at as i64).filter(|at| *at <= newest).ok_or("unknown block")?;
                        at..=at
                    }
                    None => height(&filter["fromBlock"])..=height(&filter["toBlock"]).min(newest),
                };
                if lies.most_blocks.is_some_and(|most| range.end() - range.start() + 1 > most) {
                    return Err("query returned more than 10000 results".to_owned());
                }
                let one_at_a_time = filter["address"].as_array().is_some_and(|contracts| contracts.len() > 1);
                if one_at_a_time && range.clone().any(|at| lies.fat.contains(&at)) {
                    return Err("response size exceeded".to_owned());
                }
                let by_hash = filter["blockHash"].is_string();
                let is_hidden = |at: &i64| lies.hides.contains(at) || by_hash && lies.hides_by_hash.contains(at);
                let logs = range.filter(|at| !is_hidden(at)).flat_map(|at| lies.logs(&chain, at, filter));
                Ok(Value::Array(logs.collect()))
            }
            "eth_call" => {
                let at = chain.blocks.iter().position(|block| params[1]["blockHash"] == json!(block.hash));
                let at = at.map(|at| at as i64).filter(|at| *at <= newest).ok_or("unknown block")?;
                Ok(json!(format!("0x{:064x}", lies.balance(&chain, at, &params[0]))))
            }
            _ => Err("the method does not exist".to_owned()),
        }
    }
}

impl Lies {
    /// What came to the holder that a call of `balanceOf` names, up to a block.
    fn balance(&self, chain: &FakeChain, height: i64, call: &Value) -> u128 {
        let data = call["data"].as_str().unwrap_or_default();
        assert_eq!((data.len(), &data[..10]), (74, "0x70a08231"), "a call of balanceOf");
        let filter = json!({ "address": [call["to"]], "topics": [TRANSFER] });
        let events = (0..=height).flat_map(|at| self.logs(chain, at, &filter));
        let to_holder = events.filter(|event| event["topics"][2] == json!(format!("0x{}", &data[10..])));
        let amounts = to_holder.filter_map(|event| u128::from_str_radix(&event["data"].as_str()?[2..], 16).ok());
        amounts.sum()
    }

    fn logs(&self, chain: &FakeChain, height: i64, filter: &Value) -> Vec<Value> {
        let mut logs = match self.invents {
            Some((at, paid)) if at == height => {
                let (blocks, first_index, senders) = (chain.blocks.clone(), chain.first_index, chain.senders.clone());
                let mut other = FakeChain { blocks, first_index, senders, ..FakeChain::default() };
                other.blocks[height as usize].paid.push(paid);
                other.logs(height, filter)
            }
            _ => chain.logs(height, filter),
        };
        for log in &mut logs {
            if self.mixes_up_blocks {
                log["blockHash"] = json!(format!("0x{:064x}", 0xdead));
            }
            if self.takes_back {
                log["removed"] = json!(true);
            }
        }
        logs
    }
}

/// A pool of addresses.
pub struct Book(pub BTreeSet<String>);

impl AddressBook for Book {
    fn ours<'a>(&'a self, addresses: &'a [String]) -> Answer<'a, Result<BTreeSet<String>, String>> {
        let ours = addresses.iter().filter(|address| self.0.contains(*address)).cloned().collect();
        Box::pin(std::future::ready(Ok(ours)))
    }

    fn given<'a>(&'a self, _wanted: Wanted) -> Answer<'a, Result<Vec<Given>, String>> {
        panic!("an EVM chain shows everybody's transfers")
    }

    fn marks<'a>(&'a self, _accounts: &'a [String]) -> Answer<'a, Result<BTreeMap<String, String>, String>> {
        panic!("an EVM chain has its window to remember")
    }
}

/// A watcher of one network, as `workers/watch.rs` is one.
pub struct Watcher {
    pub network: EvmNetwork,
    pub window: Window,
    pub confirmation: Confirmation,
    pub through: Time,
    pub book: Book,
}

impl Watcher {
    pub fn new(nodes: &[&Node], agree: usize) -> Watcher {
        Watcher::with(nodes, agree, Confirmation::Blocks(3))
    }

    pub fn with(nodes: &[&Node], agree: usize, confirmation: Confirmation) -> Watcher {
        let token = |contract: &str, decimals, look_alike: Option<&str>| {
            let asset = AssetId::new(format!("eip155:8453/erc20:{contract}"));
            let look_alike = look_alike.map(str::to_owned);
            (Address::parse(contract).expect("an address"), Token { asset, decimals, look_alike })
        };
        let tokens = BTreeMap::from([token(USDC, 6, None), token(DAI, 18, None), token(BRIDGED, 6, Some("USDbC"))]);
        let (pace, bell, patience) = (Duration::from_secs(1), Arc::new(Notify::new()), Span::minutes(3));
        let settings = Settings {
            id: NetworkId::new("eip155:8453"),
            chain_id: CHAIN_ID,
            tokens,
            addresses: nodes.iter().map(|node| Secret::new(node.url.clone())).collect(),
            agree,
            confirmation,
            blocks_per_query: 1_000,
            call_timeout: Duration::from_millis(if nodes.iter().any(|node| node.is_silent()) { 50 } else { 20_000 }),
            rhythm: Rhythm { pace, bell, patience },
        };
        let network = EvmNetwork::new(settings).expect("a network");
        let book = Book(BTreeSet::from([ANN.to_owned(), BOB.to_owned()]));
        Watcher { network, window: Window::default(), confirmation, through: Time(0), book }
    }

    pub async fn scan(&self, now: Time) -> Result<Scan, String> {
        self.network.scan(&self.window.headers, &self.book, now).await
    }

    /// One round: scan, and take it in. What happened, as words: `seen 25 at 3`.
    pub async fn round(&mut self, now: Time) -> Result<Vec<String>, String> {
        let scan = self.scan(now).await?;
        let changes = self.window.advance(&scan, self.confirmation).map_err(|error| error.to_string())?;
        self.through = self.through.max(scan.scanned_through.min(now));
        Ok(changes.iter().map(told).collect())
    }

    /// Rounds until nothing is left to be scanned.
    pub async fn rounds(&mut self, now: Time) -> Result<Vec<String>, String> {
        let mut words = Vec::new();
        for _ in 0..200 {
            let scan = self.scan(now).await?;
            let changes = self.window.advance(&scan, self.confirmation).map_err(|error| error.to_string())?;
            self.through = self.through.max(scan.scanned_through.min(now));
            words.extend(changes.iter().map(told));
            let height = self.window.tip().map_or(-1, |tip| tip.height);
            if scan.head.is_none_or(|head| head <= height) || scan.blocks.is_empty() {
                return Ok(words);
            }
        }
        panic!("the chain never ends");
    }
}

impl Node {
    fn is_silent(&self) -> bool {
        self.lies.lock().expect("a lock").is_silent
    }
}

/// Transfers are called by the number of their transaction, and their number among those alike: `7.0`. Those from us are
/// `sent`, or `moved` to another address of ours.
fn told(change: &Change) -> String {
    let name = |id: &TransferId| {
        let parts: Vec<&str> = id.as_str().split(['|', '.']).collect();
        let [_, transaction, _, number] = parts[..] else { panic!("{id} has another form") };
        format!("{}.{number}", transaction.trim_start_matches("0x").trim_start_matches('0'))
    };
    match change {
        Change::Seen { transfer, height, .. } => {
            let seen = match transfer.side {
                Side::In => "seen",
                Side::Out => "sent",
                Side::Within => "moved",
            };
            format!("{seen} {} of {} at {height}", name(&transfer.id), transfer.units)
        }
        Change::Confirmed(id) => format!("confirmed {}", name(id)),
        Change::Reverted(id) => format!("reverted {}", name(id)),
    }
}
