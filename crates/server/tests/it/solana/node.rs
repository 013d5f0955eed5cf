//! A Solana node of a test's own: the real runtime behind `front.mjs`, where `KIOSK_TEST_LITESVM` names the folder with its
//! packages (and `KIOSK_TEST_NODE` the program that runs it, if it is not on PATH).
//!
//! What is sent is run when the test says so, at the slot and the time that it says. Must never wait by the clock.

use crate::http::post;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The node; it ends with this value.
pub struct Front {
    pub url: String,
    packages: String,
    state: PathBuf,
    child: Child,
}

impl Front {
    /// `None` where there are no packages. Its state is kept in `folder`.
    pub fn start(folder: &Path) -> Option<Front> {
        let packages = std::env::var("KIOSK_TEST_LITESVM").ok().filter(|packages| !packages.is_empty())?;
        let state = folder.join("solana");
        let (child, url) = spawn(&packages, 0, &state);
        Some(Front { url, packages, state, child })
    }

    /// Kills the node; what was run is kept, what waits is gone.
    pub fn stop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let (child, url) = spawn(&self.packages, port, &self.state);
        assert_eq!(url, self.url);
        self.child = child;
    }

    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = post(&self.url, "/", &question.to_string()).await.json();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// A mint that is made when the next slot is run. `fee_bps`: what it keeps of each transfer, in its receiver's account.
    pub async fn token(&self, program: &str, fee_bps: u32) -> String {
        let answer = self.ask("test_token", json!([{ "decimals": 6, "program": program, "fee_bps": fee_bps }])).await;
        answer.as_str().expect("a mint").to_owned()
    }

    /// Payments of one transaction, each a mint, a wallet and an amount.
    pub async fn pay(&self, payments: &[(&str, &str, u128)], options: Value) {
        let payments: Vec<Value> =
            payments.iter().map(|(mint, to, raw)| json!({ "mint": mint, "to": to, "raw": raw.to_string() })).collect();
        self.ask("test_pay", json!([payments, options])).await;
    }

    /// A payment by an inner instruction, over an account of another mint. In two transactions.
    pub async fn pay_inner(&self, mint: &str, via: &str, to: &str, raw: u128) {
        let payment = json!({ "mint": mint, "via": via, "to": to, "raw": raw.to_string() });
        self.ask("test_pay_inner", json!([payment])).await;
    }

    /// Runs what waits, at a slot and a time (Unix seconds).
    pub async fn finalize(&self, slot: i64, time: i64) {
        self.ask("test_finalize", json!([{ "slot": slot, "time": time }])).await;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // It may have been stopped.
        self.child.kill().unwrap_or(());
        self.child.wait().map(|_| ()).unwrap_or(());
    }
}

/// Starts the front and reads where it listens. What it prints later is read by a thread, or it would stop.
fn spawn(packages: &str, port: u16, state: &Path) -> (Child, String) {
    let program = std::env::var("KIOSK_TEST_NODE").ok().filter(|program| !program.is_empty());
    let front = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/solana/front.mjs");
    let mut command = Command::new(program.unwrap_or_else(|| "node".to_owned()));
    command.arg(front).arg(packages).arg(port.to_string()).arg(state);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("Node can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned)).expect("it listens");
    std::thread::spawn(move || lines.for_each(drop));
    (child, format!("http://{}", address.trim()))
}
