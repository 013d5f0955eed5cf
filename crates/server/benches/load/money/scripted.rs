//! A chain with nothing but token transfers, and a node of it over HTTP in this process.
//!
//! A block is written down before it is scanned, so that answering costs the node little more than copying. It shows the
//! fields that real nodes show, the transactions' hashes and the bloom filter among them. Only the newest blocks are
//! kept: whoever asks for the events of an older one is told so, and is never shown an empty list instead.

use super::addresses;
use crate::http;
use anyhow::{Context, ensure};
use domain::time::Time;
use serde_json::Value;
use server::adapters::evm::Address;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub const CHAIN_ID: u64 = 8_453;
/// The tokens of the transfers, in turns.
pub const TOKENS: [&str; 2] =
    ["0x1111111111111111111111111111111111111111", "0x2222222222222222222222222222222222222222"];
/// The event of ERC-20.
const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
/// The height of the first block with transfers; those below are empty.
const FIRST: i64 = 100;
/// The time of block 0, and between blocks.
const START_SECONDS: i64 = 1_795_174_500;
const BLOCK_SECONDS: i64 = 2;
/// Blocks whose events are kept: the watcher looks at them a second time after half a minute.
const KEPT: usize = 32;
/// Between two of our addresses that are paid one after the other: far apart in every order.
const STRIDE: u64 = 7_919;

/// What stands in the blocks.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Addresses that are ours, by number from 0.
    pub addresses: u64,
    /// In each block, each to another receiver.
    pub transfers: u64,
    /// Of them, to addresses of ours.
    pub ours: u64,
}

impl Plan {
    /// Who is paid in a block: first ours, then strangers.
    pub fn receivers(&self, block: u64) -> anyhow::Result<Vec<Address>> {
        let number = |at: u64| match at < self.ours {
            true => (block * self.ours + at) * STRIDE % self.addresses,
            false => self.addresses + block * self.transfers + at,
        };
        (0..self.transfers).map(|at| addresses::address(number(at))).collect()
    }
}

/// The node; it ends with this value.
pub struct Node {
    pub url: String,
    plan: Plan,
    chain: Arc<Mutex<Chain>>,
    task: JoinHandle<()>,
}

struct Chain {
    newest: i64,
    /// By height.
    written: BTreeMap<i64, Written>,
}

/// A block with transfers, as JSON.
struct Written {
    block: String,
    /// Its events, without the brackets around them.
    logs: String,
}

impl Node {
    /// Begins to listen. To be called inside a runtime.
    pub async fn start(plan: Plan) -> anyhow::Result<Node> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the node cannot listen")?;
        let url = format!("http://{}", listener.local_addr().context("the node does not listen")?);
        let chain = Arc::new(Mutex::new(Chain { newest: FIRST - 1, written: BTreeMap::new() }));
        let of_task = chain.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let chain = of_task.clone();
                tokio::spawn(async move {
                    if let Err(error) = speak(socket, &chain).await {
                        eprintln!("load: the scripted node: {error:#}");
                    }
                });
            }
        });
        Ok(Node { url, plan, chain, task })
    }

    /// Mines the block of that number, counted from 0; answers the time right after it.
    pub fn mine(&self, number: u64) -> anyhow::Result<Time> {
        let height = FIRST + i64::try_from(number).context("there are too many blocks")?;
        let written = write(height, &self.plan.receivers(number)?)?;
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.written.insert(height, written);
        if chain.written.len() > KEPT {
            chain.written.pop_first();
        }
        chain.newest = height;
        Ok(Time(at_seconds(height) * 1_000 + 500))
    }

    /// The events of the blocks that are kept, each a JSON list.
    pub fn kept(&self) -> Vec<String> {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.written.values().map(|written| format!("[{}]", written.logs)).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn at_seconds(height: i64) -> i64 {
    START_SECONDS + height * BLOCK_SECONDS
}

fn hash(height: i64) -> String {
    format!("0x{:064x}", height + 1)
}

fn transaction(height: i64, at: usize) -> String {
    format!("0x{height:032x}{at:032x}")
}

fn block(height: i64, transactions: &str) -> String {
    format!(
        r#"{{"number":"{height:#x}","hash":"{}","parentHash":"{}","timestamp":"{:#x}","logsBloom":"0x{:0>512}","gasLimit":"0x1c9c380","gasUsed":"0x1c9c380","transactions":[{transactions}]}}"#,
        hash(height),
        hash(height - 1),
        at_seconds(height),
        "",
    )
}

fn write(height: i64, receivers: &[Address]) -> anyhow::Result<Written> {
    let (mut logs, mut transactions) = (String::new(), String::new());
    for (at, to) in receivers.iter().enumerate() {
        if at > 0 {
            logs.push(',');
            transactions.push(',');
        }
        let (transaction, hash, seconds) = (transaction(height, at), hash(height), at_seconds(height));
        write!(transactions, r#""{transaction}""#)?;
        write!(
            logs,
            r#"{{"address":"{}","topics":["{TRANSFER}","0x{:064x}","0x{:0>64}"],"data":"0x{:064x}","blockHash":"{hash}","blockNumber":"{height:#x}","blockTimestamp":"{seconds:#x}","transactionHash":"{transaction}","transactionIndex":"{at:#x}","logIndex":"{at:#x}","removed":false}}"#,
            TOKENS[at % TOKENS.len()],
            0xfeed,
            &to.small()[2..],
            50_000_000 + at,
        )?;
    }
    Ok(Written { block: block(height, &transactions), logs })
}

/// Answers one call after the other, until the client goes.
async fn speak(mut socket: TcpStream, chain: &Mutex<Chain>) -> anyhow::Result<()> {
    socket.set_nodelay(true).context("cannot set up a socket")?;
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if socket.read_buf(&mut buffer).await.context("a call cannot be read")? == 0 {
                return Ok(());
            }
        };
        let whole = head + http::content_length(&buffer[..head])?;
        while buffer.len() < whole {
            let read = socket.read_buf(&mut buffer).await.context("a call cannot be read")?;
            ensure!(read > 0, "a call was cut off");
        }
        let asked: Value = serde_json::from_slice(&buffer[head..whole]).context("a call is not JSON")?;
        buffer.drain(..whole);
        let answer = answer(&asked, &chain.lock().unwrap_or_else(PoisonError::into_inner));
        let length = answer.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.context("an answer cannot be sent")?;
        socket.write_all(answer.as_bytes()).await.context("an answer cannot be sent")?;
    }
}

fn answer(asked: &Value, chain: &Chain) -> String {
    match asked.as_array() {
        Some(asks) => format!("[{}]", asks.iter().map(|ask| chain.one(ask)).collect::<Vec<_>>().join(",")),
        None => chain.one(asked),
    }
}

impl Chain {
    fn one(&self, ask: &Value) -> String {
        let id = &ask["id"];
        match self.result(ask["method"].as_str().unwrap_or_default(), &ask["params"][0]) {
            Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
            Err(why) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"{why}"}}}}"#),
        }
    }

    fn result(&self, method: &str, asked: &Value) -> Result<String, &'static str> {
        match method {
            "eth_chainId" => Ok(format!(r#""{CHAIN_ID:#x}""#)),
            // Every address is a token of six decimals.
            "eth_getCode" => Ok(r#""0x6001""#.to_owned()),
            "eth_call" => Ok(format!(r#""0x{:064x}""#, 6)),
            "eth_getBlockByNumber" => match asked.as_str() {
                Some("latest") => Ok(self.block(self.newest)),
                _ => Ok(self.block(read(asked)?)),
            },
            "eth_getBlockByHash" => Ok(self.block(read(asked)? - 1)),
            "eth_getLogs" => match asked.get("blockHash") {
                Some(hash) => {
                    let height = read(hash)? - 1;
                    self.logs(height, height)
                }
                None => self.logs(read(&asked["fromBlock"])?, read(&asked["toBlock"])?),
            },
            _ => Err("the method does not exist"),
        }
    }

    fn block(&self, height: i64) -> String {
        match self.written.get(&height) {
            Some(written) => written.block.clone(),
            None if (0..=self.newest).contains(&height) => block(height, ""),
            None => "null".to_owned(),
        }
    }

    fn logs(&self, from: i64, to: i64) -> Result<String, &'static str> {
        let oldest = self.written.first_key_value().map_or(FIRST, |(height, _)| *height);
        if from < oldest && to >= FIRST && oldest > FIRST {
            return Err("those events are not kept any more");
        }
        let logs: Vec<&str> = self.written.range(from..=to.max(from)).map(|(_, block)| block.logs.as_str()).collect();
        Ok(format!("[{}]", logs.join(",")))
    }
}

/// A number or a hash of ours.
fn read(text: &Value) -> Result<i64, &'static str> {
    let digits = text.as_str().and_then(|text| text.strip_prefix("0x")).ok_or("that is no number")?;
    i64::from_str_radix(digits, 16).map_err(|_| "that is no number")
}
