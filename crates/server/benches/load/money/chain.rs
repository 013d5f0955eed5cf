//! anvil as somebody who pays uses it: a token of our own, transfers, and blocks that are mined when they are wanted.
//!
//! The node must be a fresh one that mines nothing by itself: the token's address follows from its being the first
//! contract of the node's first account.

use crate::http::{self, Connection};
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Where the token comes to stand; configurations name it before it is there.
pub const CONTRACT: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";
/// Enough for whatever is sent here.
const GAS: &str = "0x2dc6c0";
/// Of the first account: more than any run pays.
const BALANCE: u128 = 1 << 100;
/// Compiled; its source lies beside it.
const TOKENS: &str = include_str!("../../../tests/it/evm/tokens/tokens.json");

/// A node, and its first account, which pays.
pub struct Chain {
    connection: Connection,
    payer: String,
    token: Value,
}

impl Chain {
    /// Puts the token on the chain of a fresh node, and money into the payer's account.
    pub async fn begin(node: SocketAddr) -> anyhow::Result<Chain> {
        let mut tokens: Value = serde_json::from_str(TOKENS).context("the compiled tokens are not JSON")?;
        let connection = Connection::open(node).await.context("the node does not answer")?;
        let mut chain = Chain { connection, payer: String::new(), token: tokens["TestToken"].take() };
        let accounts = chain.ask("eth_accounts", &json!([])).await?;
        chain.payer = accounts[0].as_str().context("the node has no account")?.to_owned();
        let code = chain.token["bytecode"].as_str().context("there is no compiled token")?;
        let creation = json!({ "from": chain.payer, "data": format!("{code}{}", number(6)), "gas": GAS });
        let hash = chain.ask("eth_sendTransaction", &json!([creation])).await?;
        chain.mine(1).await?;
        let receipt = chain.ask("eth_getTransactionReceipt", &json!([hash])).await?;
        let contract = receipt["contractAddress"].as_str().unwrap_or_default().to_lowercase();
        ensure!(contract == CONTRACT, "the node is not a fresh anvil: the token stands at {contract:?}");
        let payer = chain.payer.clone();
        chain.call("mint(address,uint256)", &payer, BALANCE).await?;
        chain.mine(1).await?;
        Ok(chain)
    }

    /// Sends a transfer, for the next block.
    pub async fn pay(&mut self, to: &str, raw: u128) -> anyhow::Result<()> {
        self.call("transfer(address,uint256)", to, raw).await
    }

    /// Mines so many blocks: one with the node's own time, or several a second apart.
    pub async fn mine(&mut self, count: u64) -> anyhow::Result<()> {
        match count {
            1 => self.ask("evm_mine", &json!([])).await?,
            _ => self.ask("anvil_mine", &json!([format!("{count:#x}"), "0x1"])).await?,
        };
        Ok(())
    }

    /// Height and time (Unix seconds) of the newest block.
    pub async fn newest(&mut self) -> anyhow::Result<(u64, u64)> {
        let block = self.ask("eth_getBlockByNumber", &json!(["latest", false])).await?;
        let field = |name: &str| {
            let digits = block[name].as_str().and_then(|text| text.strip_prefix("0x"));
            let value = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            value.with_context(|| format!("the newest block has no {name}"))
        };
        Ok((field("number")?, field("timestamp")?))
    }

    async fn call(&mut self, method: &str, to: &str, raw: u128) -> anyhow::Result<()> {
        let selector = self.token["methods"][method].as_str().context("the token has no such method")?;
        let account = to.strip_prefix("0x").context("an account begins with 0x")?.to_lowercase();
        let data = format!("0x{selector}{account:0>64}{}", number(raw));
        let transaction = json!({ "from": self.payer, "to": CONTRACT, "data": data, "gas": GAS });
        self.ask("eth_sendTransaction", &json!([transaction])).await?;
        Ok(())
    }

    async fn ask(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let answer = self.connection.call(&http::post("/", "", &question)).await?;
        let mut answer: Value = serde_json::from_slice(answer.success()?).context("the node does not speak JSON")?;
        if let Some(error) = answer.get("error") {
            bail!("the node refused {method}: {error}");
        }
        Ok(answer["result"].take())
    }
}

/// A number as an argument.
fn number(number: u128) -> String {
    format!("{number:064x}")
}
