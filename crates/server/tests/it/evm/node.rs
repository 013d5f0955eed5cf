//! A real EVM node of a test's own, with tokens on it: anvil, where `KIOSK_TEST_ANVIL` names its program.
//!
//! Blocks are mined when the test says so and at the time that it says. Must never wait by the clock.

use crate::http::post;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

/// Blocks that the node is asked for at once.
const AT_ONCE: u32 = 100;

/// Enough for whatever these tests do.
const GAS: &str = "0x2dc6c0";

/// What was compiled of the contracts beside it.
static TOKENS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("tokens/tokens.json")).expect("what compile.mjs writes is JSON")
});

/// The node; it ends with this value.
pub struct Anvil {
    pub url: String,
    program: String,
    state: PathBuf,
    genesis: i64,
    child: Child,
    /// Unlocked accounts with much money.
    accounts: Vec<String>,
}

/// A token on the node.
#[derive(Debug, Clone)]
pub struct Token {
    pub contract: String,
    kind: &'static str,
    pub decimals: u32,
}

impl Anvil {
    /// `None` where no program was named. Its state is kept in `folder`, whose first block has the time `genesis` (Unix
    /// seconds).
    pub async fn start(folder: &Path, genesis: i64) -> Option<Anvil> {
        let program = std::env::var("KIOSK_TEST_ANVIL").ok().filter(|program| !program.is_empty())?;
        let state = folder.join("anvil.json");
        let (child, url) = spawn(&program, 0, &state, genesis);
        let mut anvil = Anvil { url, program, state, genesis, child, accounts: Vec::new() };
        let accounts = anvil.ask("eth_accounts", json!([])).await;
        anvil.accounts = accounts.as_array().expect("a list").iter().map(text).collect();
        Some(anvil)
    }

    /// Ends the node as an operator would; it keeps its chain.
    pub fn stop(&mut self) {
        let interrupted = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(interrupted.expect("kill can be started").success());
        self.child.wait().expect("it ends");
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let (child, url) = spawn(&self.program, port, &self.state, self.genesis);
        assert_eq!(url, self.url);
        self.child = child;
    }

    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = post(&self.url, "/", &question.to_string()).await.json();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// So many blocks, a second apart, the first at that time (Unix seconds).
    pub async fn mine(&self, count: u32, time: i64) {
        // Without it the node's own clock goes into the blocks' times.
        self.ask("anvil_setBlockTimestampInterval", json!([1])).await;
        self.ask("evm_setNextBlockTimestamp", json!([time])).await;
        // In parts, each of which is answered soon on a busy machine, too.
        for done in (0..count).step_by(AT_ONCE as usize) {
            self.ask("anvil_mine", json!([format!("{:#x}", AT_ONCE.min(count - done))])).await;
        }
    }

    /// Replaces the newest blocks, with transactions in some of them: what, and in which, from 0.
    pub async fn reorganise(&self, depth: usize, transactions: &[(Value, usize)]) {
        let transactions: Vec<Value> = transactions.iter().map(|(what, block)| json!([what, block])).collect();
        self.ask("anvil_reorg", json!([depth, transactions])).await;
    }

    /// Puts a token on the chain, in the next block.
    pub async fn deploy(&self, kind: &'static str, decimals: u32, time: i64) -> Token {
        let code = TOKENS[kind]["bytecode"].as_str().expect("compiled code");
        let argument = if kind == "TestToken" { word(u128::from(decimals)) } else { String::new() };
        let transaction = json!({ "from": self.accounts[0], "data": format!("{code}{argument}"), "gas": GAS });
        let hash = self.ask("eth_sendTransaction", json!([transaction])).await;
        self.mine(1, time).await;
        let receipt = self.ask("eth_getTransactionReceipt", json!([hash])).await;
        let token = Token { contract: text(&receipt["contractAddress"]), kind, decimals };
        let much = word(u128::MAX / 2);
        for account in &self.accounts[..2] {
            self.send(0, &token, "mint(address,uint256)", &format!("{}{much}", address(account))).await;
        }
        self.mine(1, time + 1).await;
        token
    }

    /// A transfer, to be mined next; answers its hash.
    pub async fn pay(&self, token: &Token, to: &str, raw: u128) -> Value {
        let arguments = format!("{}{}", address(to), word(raw));
        self.send(0, token, "transfer(address,uint256)", &arguments).await
    }

    /// The same as a transaction that is not sent.
    pub fn payment(&self, token: &Token, to: &str, raw: u128) -> Value {
        let data = call(token, "transfer(address,uint256)", &format!("{}{}", address(to), word(raw)));
        json!({ "from": self.accounts[0], "to": token.contract, "data": data, "gas": GAS })
    }

    /// A transfer by the owner of an address whose key is elsewhere, to be mined next.
    pub async fn sweep(&self, token: &Token, from: &str, to: &str, raw: u128) {
        self.ask("anvil_impersonateAccount", json!([from])).await;
        self.ask("anvil_setBalance", json!([from, "0xde0b6b3a7640000"])).await;
        let data = call(token, "transfer(address,uint256)", &format!("{}{}", address(to), word(raw)));
        let transaction = json!({ "from": from, "to": token.contract, "data": data, "gas": GAS });
        self.ask("eth_sendTransaction", json!([transaction])).await;
    }

    /// So much of the chain's own coin, to be mined next.
    pub async fn give(&self, to: &str, wei: u128) {
        let transaction = json!({ "from": self.accounts[0], "to": to, "value": format!("{wei:#x}"), "gas": GAS });
        self.ask("eth_sendTransaction", json!([transaction])).await;
    }

    /// Two transfers in one transaction.
    pub async fn pay_both(&self, token: &Token, one: (&str, u128), other: (&str, u128)) {
        let arguments = [address(one.0), word(one.1), address(other.0), word(other.1)].concat();
        self.send(0, token, "payBoth(address,uint256,address,uint256)", &arguments).await;
    }

    /// A transfer by EIP-3009: the second account signs, the first one sends and pays the fee.
    pub async fn pay_by_authorization(&self, token: &Token, to: &str, raw: u128) {
        let (payer, nonce) = (&self.accounts[1], format!("0x{:064x}", 7));
        let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
        let typed = json!({
            "types": {
                "EIP712Domain": [
                    field("name", "string"), field("version", "string"),
                    field("chainId", "uint256"), field("verifyingContract", "address"),
                ],
                "TransferWithAuthorization": [
                    field("from", "address"), field("to", "address"), field("value", "uint256"),
                    field("validAfter", "uint256"), field("validBefore", "uint256"), field("nonce", "bytes32"),
                ],
            },
            "primaryType": "TransferWithAuthorization",
            "domain": { "name": "USD Coin", "version": "2", "chainId": 8453, "verifyingContract": token.contract },
            "message": {
                "from": payer, "to": to, "value": raw.to_string(), "validAfter": "0", "validBefore": "99999999999",
                "nonce": nonce,
            },
        });
        let signature = text(&self.ask("eth_signTypedData_v4", json!([payer, typed])).await);
        let digits = signature.trim_start_matches("0x");
        let (r, s, v) = (&digits[..64], &digits[64..128], &digits[128..130]);
        let [from, to] = [payer.as_str(), to].map(address);
        let times = [word(0), word(99_999_999_999)].concat();
        let arguments = format!("{from}{to}{}{times}{}{v:0>64}{r}{s}", word(raw), &nonce[2..]);
        let method = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)";
        self.send(0, token, method, &arguments).await;
    }

    async fn send(&self, account: usize, token: &Token, method: &str, arguments: &str) -> Value {
        let data = call(token, method, arguments);
        let transaction = json!({ "from": self.accounts[account], "to": token.contract, "data": data, "gas": GAS });
        self.ask("eth_sendTransaction", json!([transaction])).await
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have been stopped.
        self.child.kill().unwrap_or(());
        self.child.wait().map(|_| ()).unwrap_or(());
    }
}

/// Starts the program and reads where it listens. What it prints later is read by a thread, or it would stop.
fn spawn(program: &str, port: u16, state: &Path, genesis: i64) -> (Child, String) {
    let mut command = Command::new(program);
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--chain-id", "8453", "--no-mining"]);
    command.args(["--slots-in-an-epoch", "2", "--timestamp", &genesis.to_string()]).arg("--state").arg(state);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("KIOSK_TEST_ANVIL is anvil");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned)).expect("it listens");
    std::thread::spawn(move || lines.for_each(drop));
    (child, format!("http://{}", address.trim()))
}

fn call(token: &Token, method: &str, arguments: &str) -> String {
    let selector = TOKENS[token.kind]["methods"][method].as_str().expect("a method of the token");
    format!("0x{selector}{arguments}")
}

/// An address as an argument.
fn address(text: &str) -> String {
    format!("{:0>64}", text.trim_start_matches("0x").to_lowercase())
}

/// A number as an argument.
fn word(number: u128) -> String {
    format!("{number:064x}")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
