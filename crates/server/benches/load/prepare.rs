//! Fills an installation's pools of deposit addresses, as far as a measurement will need them.

use anyhow::Context;
use domain::asset::ChainKind;
use serde_json::{Value, json};
use server::boot;
use server::config::Config;
use std::path::PathBuf;

/// A running server tops this pool up to 3,000; done here, that does not disturb a measurement.
const EVM_ADDRESSES: usize = 3_000;
/// Added in one transaction.
const CHUNK: usize = 10_000;

#[derive(clap::Args)]
pub struct PrepareArgs {
    #[arg(long)]
    config: PathBuf,
    /// Solana addresses to add: one for each order that will be created.
    #[arg(long)]
    addresses: usize,
}

pub fn run(arguments: &PrepareArgs) -> anyhow::Result<Value> {
    let config = Config::load(Some(&arguments.config))?;
    runtime()?.block_on(async {
        let kiosk = boot::open(&config).await?;
        kiosk.pools.add(ChainKind::Evm, EVM_ADDRESSES).await?;
        let mut left = arguments.addresses;
        while left > 0 {
            let count = left.min(CHUNK);
            kiosk.pools.add(ChainKind::Svm, count).await?;
            left -= count;
        }
        kiosk.engine.close();
        Ok(json!({ "addresses": arguments.addresses }))
    })
}

/// The runtime that the product itself runs on.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start a runtime")
}
