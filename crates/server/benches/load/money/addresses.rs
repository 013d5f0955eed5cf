//! Open addresses by the million: synthetic ones, straight through the store's bulk functions, each with an owner.

use super::scripted::{CHAIN_ID, TOKENS};
use crate::prepare::runtime;
use anyhow::Context;
use domain::asset::ChainKind;
use domain::ids::{OrderId, Uuid};
use serde_json::{Value, json};
use server::adapters::evm::Address;
use server::boot;
use server::config::Config;
use server::entropy::to_hex;
use server::store::claims;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Added in one transaction.
const CHUNK: u64 = 20_000;
/// Nobody is asked there.
const NO_NODE: &str = "http://127.0.0.1:9";

#[derive(clap::Args)]
pub struct AddressesArgs {
    /// The data directory of a shop that sells nothing.
    #[arg(long)]
    data_dir: PathBuf,
    #[arg(long)]
    count: u64,
}

pub fn run(arguments: &AddressesArgs) -> anyhow::Result<Value> {
    let config = config(&arguments.data_dir, NO_NODE)?;
    runtime()?.block_on(async {
        let kiosk = boot::open(&config).await?;
        let mut next = 0;
        while next < arguments.count {
            let end = arguments.count.min(next + CHUNK);
            let spelled = |number: u64| address(number).map(|address| address.to_string());
            let addresses: Vec<String> = (next..end).map(spelled).collect::<anyhow::Result<_>>()?;
            let owned: Vec<(String, OrderId)> = addresses.iter().cloned().zip((next..end).map(order)).collect();
            let add = kiosk.engine.write(move |tx| {
                claims::add_addresses(tx, ChainKind::Evm, &addresses)?;
                claims::own_addresses(tx, owned)
            });
            add.await.context("the addresses cannot be added")?;
            next = end;
        }
        kiosk.engine.close();
        Ok(json!({ "addresses": next }))
    })
}

/// The settings of a shop on the scripted chain.
pub fn config(data_dir: &Path, node: &str) -> anyhow::Result<Config> {
    let [usdc, usdt] = TOKENS;
    let text = format!(
        "[[networks]]\nname = \"Base\"\nkind = \"evm\"\nchain_id = {CHAIN_ID}\nrpc = \"{node}\"\nconfirmations = 1\n\
         [[networks.tokens]]\ncoin = \"USDC\"\ncontract = \"{usdc}\"\ndecimals = 6\n\
         [[networks.tokens]]\ncoin = \"USDT\"\ncontract = \"{usdt}\"\ndecimals = 6\n"
    );
    let mut config = Config::parse(&text, std::iter::empty())?;
    config.server.data_dir = data_dir.to_owned();
    Ok(config)
}

/// The address of a number. Nobody has its key.
pub fn address(number: u64) -> anyhow::Result<Address> {
    let digest = Sha256::digest(format!("bench address {number}"));
    Address::of_node(&format!("0x{}", to_hex(&digest[..20]))).context("twenty bytes are an address")
}

/// Its owner, of which there is no row: the watcher looks for none.
fn order(number: u64) -> OrderId {
    OrderId::new(Uuid::from_random(u128::from(number).to_be_bytes()))
}
