//! Nodes that say what a test wants them to say: one chain in memory, and in front of it any number of nodes over HTTP, each
//! with lies of its own. Answers have the forms of Solana's documentation.

use super::key::{self, Key, Program};
use super::{Cluster, Settings, SolanaNetwork, Token};
use crate::entropy::to_base64;
use crate::ports::{AddressBook, Answer, Given, Network, Rhythm, Wanted};
use crate::secret::Secret;
use domain::asset::Confirmation;
use domain::chain::{Change, Scan, Window};
use domain::ids::{AssetId, NetworkId};
use domain::time::{Span, Time};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The time of slot 0; each slot takes a second.
pub const START: Time = Time(1_795_174_500_000);

/// Ours, and somebody else's.
pub const ANN: &str = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk";
pub const BOB: &str = "Hh8QwFUA6MtVu1qAoq12ucvFHNwCcVTV7hpWjeY1Hztb";
pub const STRANGER: &str = "7WktogJEd2wQ9eH2oWusmcoFTgeYi6rS632UviTBJ2jm";

/// Of the older program, of the newer one, and one that does not count.
pub const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
pub const PYUSD: &str = "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo";
pub const ALIKE: &str = "A9mUU4qviSctJVPJdBJWkb28deg915LYJKrzQ19ji3FM";

pub fn key(text: &str) -> Key {
    Key::parse(text).expect("an address")
}

fn program(mint: &str) -> Program {
    if mint == PYUSD { Program::Token2022 } else { Program::Token }
}

pub fn account(wallet: &str, mint: &str) -> Key {
    key::token_account(&key(wallet), program(mint), &key(mint)).expect("an account")
}

/// What a transaction does: to a wallet's account of a mint so much more, or less.
pub type Paid = (&'static str, &'static str, i64);

/// Account, mint, owner, before, after.
type Moving = (String, &'static str, &'static str, i64, i64);

#[derive(Clone)]
struct Transaction {
    signature: String,
    slot: i64,
    failed: bool,
    moves: Vec<Moving>,
}

/// A chain; what is in it is finalized.
#[derive(Default)]
pub struct FakeChain {
    pub slot: i64,
    transactions: Vec<Transaction>,
}

impl FakeChain {
    /// One on which nothing has happened until that slot.
    pub fn at(slot: i64) -> FakeChain {
        FakeChain { slot, ..FakeChain::default() }
    }

    /// One transaction in the slot that is the newest.
    pub fn pay_in_slot(&mut self, paid: &[Paid]) -> String {
        let moves = paid.iter().map(|(wallet, mint, amount)| {
            let account = account(wallet, mint).to_string();
            let before = self.balance(&account, self.slot);
            (account, *mint, *wallet, before, before + amount)
        });
        self.add(moves.collect(), false)
    }

    /// One transaction in a slot of its own.
    pub fn pay(&mut self, paid: &[Paid]) -> String {
        self.slot += 1;
        self.pay_in_slot(paid)
    }

    /// One that failed: it stands in the histories of the accounts that it names, and did nothing.
    pub fn fail(&mut self, wallet: &'static str, mint: &'static str) {
        self.slot += 1;
        let account = account(wallet, mint).to_string();
        let amount = self.balance(&account, self.slot);
        self.add(vec![(account, mint, wallet, amount, amount)], true);
    }

    /// Money to an account that was given to somebody else.
    pub fn pay_foreign(&mut self, wallet: &str, mint: &'static str, owner: &'static str, amount: i64) {
        self.slot += 1;
        let account = account(wallet, mint).to_string();
        let before = self.balance(&account, self.slot);
        self.add(vec![(account, mint, owner, before, before + amount)], false);
    }

    fn add(&mut self, moves: Vec<Moving>, failed: bool) -> String {
        let signature = format!("signature{}", self.transactions.len());
        self.transactions.push(Transaction { signature: signature.clone(), slot: self.slot, failed, moves });
        signature
    }

    fn balance(&self, account: &str, slot: i64) -> i64 {
        let mut known = self.transactions.iter().filter(|one| one.slot <= slot).flat_map(|one| &one.moves);
        known.rfind(|moved| moved.0 == account).map_or(0, |moved| moved.4)
    }

    pub fn now(&self) -> Time {
        START + Span::seconds(self.slot + 13)
    }
}

/// What is wrong with a node.
#[derive(Clone, Default)]
pub struct Lies {
    /// Newest slots that it does not have yet.
    pub lag: i64,
    /// Transactions that are in no history.
    pub hides: BTreeSet<String>,
    /// Has no account of a token.
    pub is_blind: bool,
    /// Lists transactions and does not have them.
    pub has_no_transactions: bool,
    /// Shows other amounts in transactions than there were, by so much.
    pub forges: i64,
    /// The length of a page.
    pub page: Option<usize>,
    /// Takes accounts of transactions from tables.
    pub versioned: bool,
    /// Its transactions are of this version.
    pub version: u64,
    /// Transactions that it refuses to show to anybody.
    pub refuses: BTreeSet<String>,
    /// Transactions at which it has been asked too much.
    pub is_busy_at: BTreeSet<String>,
    /// Says that its newest slot is so much later than it is.
    pub leaps: i64,
    pub genesis: Option<String>,
    pub decimals: Option<u8>,
    /// Says this to everything.
    pub says: Option<&'static str>,
    pub status: Option<u16>,
    /// Says nothing, for as long as anybody waits.
    pub is_silent: bool,
}

/// A node of a chain.
pub struct Node {
    pub url: String,
    lies: Arc<Mutex<Lies>>,
    /// Methods and how many accounts they named.
    pub asked: Arc<Mutex<Vec<(String, usize)>>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Speaker {
    chain: Arc<Mutex<FakeChain>>,
    lies: Arc<Mutex<Lies>>,
    asked: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Node {
    pub async fn of(chain: &Arc<Mutex<FakeChain>>) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v2/hunter2hunter2", listener.local_addr().expect("it listens"));
        let speaker = Speaker { chain: chain.clone(), lies: Arc::default(), asked: Arc::default() };
        let (lies, asked) = (speaker.lies.clone(), speaker.asked.clone());
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(speak(socket, speaker.clone()));
            }
        });
        Node { url, lies, asked, task }
    }

    pub fn lie(&self, change: impl FnOnce(&mut Lies)) {
        change(&mut self.lies.lock().expect("a lock"));
    }

    pub fn tell_the_truth(&self) {
        self.lie(|lies| *lies = Lies::default());
    }

    pub fn count(&self, method: &str) -> usize {
        self.asked.lock().expect("a lock").iter().filter(|(asked, _)| asked == method).count()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn speak(mut socket: TcpStream, speaker: Speaker) {
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
    let answer = speaker.answer(&body, &lies);
    let status = lies.status.unwrap_or(200);
    let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    socket.write_all(format!("{head}{answer}").as_bytes()).await.unwrap_or(());
}

impl Speaker {
    fn answer(&self, body: &str, lies: &Lies) -> String {
        if let Some(text) = lies.says {
            return text.to_owned();
        }
        let ask: Value = serde_json::from_str(body).expect("a request is JSON");
        let (method, params) = (ask["method"].as_str().unwrap_or_default(), &ask["params"]);
        let accounts = params[0].as_array().map_or(0, Vec::len);
        self.asked.lock().expect("a lock").push((method.to_owned(), accounts));
        let answer = match self.result(method, params, lies) {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": ask["id"], "result": result }),
            Err((code, message)) => {
                json!({ "jsonrpc": "2.0", "id": ask["id"], "error": { "code": code, "message": message } })
            }
        };
        answer.to_string()
    }

    fn result(&self, method: &str, params: &Value, lies: &Lies) -> Result<Value, (i64, &'static str)> {
        let chain = self.chain.lock().expect("a lock");
        let slot = chain.slot - lies.lag;
        if method != "getGenesisHash" && params[1]["commitment"] != json!("finalized") {
            return Err((-32_602, "only what is finalized is shown"));
        }
        if params[1]["minContextSlot"].as_i64().is_some_and(|least| least > slot) {
            return Err((-32_016, "Minimum context slot has not been reached"));
        }
        match method {
            "getGenesisHash" => Ok(json!(lies.genesis.as_deref().unwrap_or(super::MAINNET))),
            "getMultipleAccounts" => {
                let names = params[0].as_array().cloned().unwrap_or_default();
                if names.len() > 100 {
                    return Err((-32_602, "Too many inputs provided; max 100"));
                }
                let length = params[1]["dataSlice"]["length"].as_u64().unwrap_or(0) as usize;
                let value =
                    names.iter().map(|name| show(&chain, name.as_str().unwrap_or_default(), slot, length, lies));
                Ok(json!({ "context": { "slot": slot + lies.leaps }, "value": value.collect::<Vec<_>>() }))
            }
            "getSignaturesForAddress" => Ok(history(&chain, params, slot, lies)),
            "getTransaction" if params[1]["maxSupportedTransactionVersion"].as_u64() < Some(lies.version) => {
                Err((-32_015, "Transaction version is not supported by the requesting client"))
            }
            "getTransaction" => {
                let signature = params[0].as_str().unwrap_or_default();
                if lies.is_busy_at.contains(signature) {
                    return Err((429, "Too many requests"));
                }
                match lies.refuses.contains(signature) {
                    true => Err((-32_011, "Transaction history is not available from this node")),
                    false => Ok(transaction(&chain, signature, slot, lies)),
                }
            }
            _ => Err((-32_601, "Method not found")),
        }
    }
}

fn seconds(slot: i64) -> i64 {
    START.unix_seconds() + slot
}

fn show(chain: &FakeChain, name: &str, slot: i64, length: usize, lies: &Lies) -> Value {
    let account = |owner: &str, data: &[u8]| {
        let data = to_base64(&data[..data.len().min(length)]);
        json!({ "data": [data, "base64"], "executable": false, "lamports": 1, "owner": owner, "rentEpoch": 0 })
    };
    if name == "SysvarC1ock11111111111111111111111111111111" {
        let words = [slot + lies.leaps, 0, 0, 0, seconds(slot)].map(i64::to_le_bytes);
        return account("Sysvar1111111111111111111111111111111111111", &words.concat());
    }
    if [USDC, PYUSD, ALIKE].contains(&name) {
        let mut data = vec![0; 82];
        (data[44], data[45]) = (lies.decimals.unwrap_or(6), 1);
        return account(&program(name).key().to_string(), &data);
    }
    let mut moves = chain.transactions.iter().filter(|one| one.slot <= slot).flat_map(|one| &one.moves);
    match moves.rfind(|moved| moved.0 == name) {
        Some((_, mint, owner, _, amount)) if !lies.is_blind => {
            let data =
                [key(mint).bytes().to_vec(), key(owner).bytes().to_vec(), amount.to_le_bytes().to_vec()].concat();
            account(&program(mint).key().to_string(), &[data, vec![0; 93]].concat())
        }
        _ => Value::Null,
    }
}

fn history(chain: &FakeChain, params: &Value, slot: i64, lies: &Lies) -> Value {
    let names = |one: &&Transaction| one.moves.iter().any(|moved| params[0] == json!(moved.0));
    let listed = chain.transactions.iter().rev().filter(names);
    let listed = listed.filter(|one| one.slot <= slot && !lies.hides.contains(&one.signature));
    let until = params[1]["until"].as_str();
    let listed: Vec<&Transaction> = listed.take_while(|one| Some(one.signature.as_str()) != until).collect();
    let before = params[1]["before"].as_str();
    let from = listed.iter().position(|one| Some(one.signature.as_str()) == before).map_or(0, |at| at + 1);
    let page = lies.page.unwrap_or(1_000);
    let entry = |one: &&Transaction| {
        let err = if one.failed { json!({ "InstructionError": [0, { "Custom": 1 }] }) } else { Value::Null };
        json!({ "signature": one.signature, "slot": one.slot, "err": err, "memo": null, "blockTime": seconds(one.slot) })
    };
    Value::Array(listed[from..].iter().take(page).map(entry).collect())
}

fn transaction(chain: &FakeChain, signature: &str, slot: i64, lies: &Lies) -> Value {
    let found = chain.transactions.iter().find(|one| one.signature == signature && one.slot <= slot);
    let Some(one) = found.filter(|_| !lies.has_no_transactions) else { return Value::Null };
    let mut keys = vec![STRANGER.to_owned()];
    let ours: Vec<String> = one.moves.iter().map(|moved| moved.0.clone()).collect();
    let loaded = if lies.versioned {
        ours
    } else {
        keys.splice(1.., ours).for_each(drop);
        Vec::new()
    };
    let balances = |of: fn(&Moving) -> i64, more: i64| -> Vec<Value> {
        let balance = |(at, moved): (usize, &Moving)| {
            let (mint, owner, amount) = (moved.1, moved.2, of(moved) + more);
            json!({
                "accountIndex": at + 1, "mint": mint, "owner": owner, "programId": program(mint).key().to_string(),
                "uiTokenAmount": { "amount": amount.to_string(), "decimals": 6 },
            })
        };
        one.moves.iter().enumerate().map(balance).collect()
    };
    let err = if one.failed { json!({ "InstructionError": [0, { "Custom": 1 }] }) } else { Value::Null };
    json!({
        "slot": one.slot, "blockTime": seconds(one.slot), "version": lies.version,
        "meta": {
            "err": err,
            "preTokenBalances": balances(|moved| moved.3, 0),
            "postTokenBalances": balances(|moved| moved.4, lies.forges),
            "loadedAddresses": { "writable": loaded, "readonly": [] },
        },
        "transaction": { "signatures": [signature], "message": { "accountKeys": keys } },
    })
}

/// A pool and what is remembered, as the store keeps them.
#[derive(Default)]
pub struct Book {
    pub given: Vec<Given>,
    pub next_looks: Mutex<BTreeMap<String, Time>>,
    pub marks: Mutex<BTreeMap<String, String>>,
}

impl Book {
    pub fn of(addresses: &[&str], given_at: Time) -> Book {
        let given =
            addresses.iter().zip(0..).map(|(address, index)| Given { index, address: (*address).to_owned(), given_at });
        Book { given: given.collect(), ..Book::default() }
    }
}

impl AddressBook for Book {
    fn ours<'a>(&'a self, _addresses: &'a [String]) -> Answer<'a, Result<BTreeSet<String>, String>> {
        panic!("Solana shows nobody's transfers but ours")
    }

    fn given<'a>(&'a self, wanted: Wanted) -> Answer<'a, Result<Vec<Given>, String>> {
        let next_looks = self.next_looks.lock().expect("a lock");
        let next_look =
            |given: &Given| next_looks.get(&given.address).copied().unwrap_or(given.given_at + Span::hours(24));
        let found: Vec<Given> = match wanted {
            Wanted::GivenAfter { given_at, index, limit } => {
                let is_after = |given: &&Given| (given.given_at, given.index) > (given_at, index);
                self.given.iter().filter(is_after).take(limit as usize).cloned().collect()
            }
            Wanted::Due { at, limit } => {
                let is_due = |given: &&Given| next_look(given) <= at;
                self.given.iter().filter(is_due).take(limit as usize).cloned().collect()
            }
        };
        Box::pin(std::future::ready(Ok(found)))
    }

    fn marks<'a>(&'a self, accounts: &'a [String]) -> Answer<'a, Result<BTreeMap<String, String>, String>> {
        let marks = self.marks.lock().expect("a lock");
        let found = accounts.iter().filter_map(|account| Some((account.clone(), marks.get(account)?.clone())));
        Box::pin(std::future::ready(Ok(found.collect())))
    }
}

/// A watcher of one network, as `workers/watch.rs` is one.
pub struct Watcher {
    pub network: SolanaNetwork,
    pub window: Window,
    pub through: Time,
    pub book: Book,
}

pub fn network(nodes: &[&Node], agree: usize) -> SolanaNetwork {
    let token = |mint: &str, name: &str, counts| Token {
        mint: key(mint),
        program: program(mint),
        asset: AssetId::new(format!("solana:test/token:{mint}")),
        decimals: 6,
        name: name.to_owned(),
        counts,
    };
    let tokens = vec![token(USDC, "USDC", true), token(PYUSD, "PYUSD", true), token(ALIKE, "USDC.e", false)];
    let (pace, bell, patience) = (Duration::from_secs(2), Arc::new(Notify::new()), Span::minutes(3));
    let is_silent = |node: &&Node| node.lies.lock().expect("a lock").is_silent;
    let settings = Settings {
        id: NetworkId::new("solana:test"),
        cluster: Cluster { genesis: super::MAINNET.to_owned(), tokens },
        addresses: nodes.iter().map(|node| Secret::new(node.url.clone())).collect(),
        agree,
        call_timeout: Duration::from_millis(if nodes.iter().any(is_silent) { 50 } else { 20_000 }),
        every_look: Span::hours(3),
        rhythm: Rhythm { pace, bell, patience },
    };
    SolanaNetwork::new(settings).expect("a network")
}

impl Watcher {
    /// Of a shop that gave Ann's and Bob's addresses away a moment ago.
    pub fn new(nodes: &[&Node], agree: usize) -> Watcher {
        let book = Book::of(&[ANN, BOB], START);
        Watcher { network: network(nodes, agree), window: Window::default(), through: Time(0), book }
    }

    /// One round: look, and take it in. What happened, as words: `25 to HAgk at 3`.
    pub async fn round(&mut self, now: Time) -> Result<Vec<String>, String> {
        let scan = self.network.scan(&self.window.headers, &self.book, now).await?;
        let changes = self.window.advance(&scan, Confirmation::Finalized).map_err(|error| error.to_string())?;
        self.through = self.through.max(scan.scanned_through.min(now));
        self.remember(&scan);
        let words: Vec<String> = changes.iter().filter_map(word).collect();
        assert_eq!(changes.len(), 2 * words.len(), "each is seen and confirmed at once");
        Ok(words)
    }

    fn remember(&self, scan: &Scan) {
        self.book.marks.lock().expect("a lock").extend(scan.memory.marks.clone());
        self.book.next_looks.lock().expect("a lock").extend(scan.memory.next_looks.clone());
    }

    /// How many slots were scanned through; below zero: none.
    pub fn slots(&self) -> i64 {
        (self.through.0 + 1 - START.0).div_euclid(1_000)
    }
}

fn word(change: &Change) -> Option<String> {
    match change {
        Change::Seen { transfer, height, .. } => {
            let look_alike = if transfer.asset.as_str().ends_with(ALIKE) { " of a look-alike" } else { "" };
            let what = match &transfer.from {
                None => format!("{} to {}", transfer.raw, &transfer.to[..4]),
                Some(from) => format!("{} from {}", transfer.raw, &from[..4]),
            };
            Some(format!("{what} at {height}{look_alike}"))
        }
        Change::Confirmed(_) => None,
        Change::Reverted(id) => panic!("{id} was taken back"),
    }
}
