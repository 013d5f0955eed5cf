//! The networks of a configuration: as rails for the rules, and as adapters for the watcher.

use crate::adapters::evm::{Address, EvmNetwork, Settings, Token};
use crate::adapters::solana::{self, Key, Program, SolanaNetwork};
use crate::config::{Config, NetworkConfig, NetworkKind, TokenConfig};
use crate::ports::{Network, Rhythm};
use anyhow::{Context, bail};
use domain::asset::{self, Asset, ChainKind, Coin, Rails};
use domain::ids::{AssetId, NetworkId};
use domain::time::Span;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The longest that a node may take for one answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// For so long after its payment window an address is still part of every look at Solana: the rest of a short payment and
/// a late one are expected then.
const AFTER_WINDOW: Span = Span::hours(2);

/// Tickers that are dollars wherever they are.
const DOLLARS: [&str; 6] = ["USDC", "USDT", "DAI", "PYUSD", "USDS", "TUSD"];

/// Coins and networks in the order of the file.
pub fn rails(config: &Config) -> anyhow::Result<Rails> {
    let mut rails = Rails::default();
    for network in &config.networks {
        for token in &network.tokens {
            add_coin(&mut rails.coins, token).with_context(|| format!("networks {:?}", network.name))?;
        }
        rails.networks.push(rail(network)?);
    }
    Ok(rails)
}

/// What watches them. Connects to nothing that has to be waited for.
pub fn adapters(config: &Config) -> anyhow::Result<Vec<Arc<dyn Network>>> {
    let adapter = |network: &NetworkConfig| -> anyhow::Result<Arc<dyn Network>> {
        let named = || format!("networks {:?}", network.name);
        let adapter: Arc<dyn Network> = match network.kind {
            NetworkKind::Evm => Arc::new(EvmNetwork::new(settings(network)?).with_context(named)?),
            NetworkKind::Solana => {
                let windows = &config.limits.payment_windows;
                let window = windows.get(&network.name).unwrap_or(&config.limits.payment_window_minutes);
                let settings = solana_settings(network, Span::minutes(*window))?;
                Arc::new(SolanaNetwork::new(settings).with_context(named)?)
            }
        };
        Ok(adapter)
    };
    config.networks.iter().map(adapter).collect()
}

fn settings(network: &NetworkConfig) -> anyhow::Result<Settings> {
    let mut tokens = BTreeMap::new();
    for token in &network.tokens {
        let address = Address::parse(&token.contract)?;
        let asset = asset_id(network, &address);
        tokens.insert(address, Token { asset, decimals: token.decimals, look_alike: None });
    }
    for token in &network.look_alikes {
        let address = Address::parse(&token.contract)?;
        let asset = asset_id(network, &address);
        tokens.insert(address, Token { asset, decimals: token.decimals, look_alike: Some(token.name.clone()) });
    }
    let addresses = network.addresses()?;
    Ok(Settings {
        id: network_id(network),
        chain_id: chain_id(network)?,
        tokens,
        agree: network.agree.unwrap_or(addresses.len().min(2)),
        addresses,
        confirmation: network.confirmation(),
        blocks_per_query: network.blocks_per_query,
        call_timeout: CALL_TIMEOUT,
        rhythm: rhythm(network),
    })
}

fn solana_settings(network: &NetworkConfig, window: Span) -> anyhow::Result<solana::Settings> {
    let token =
        |name: &str, contract: &str, program: Program, decimals: u32, counts| -> anyhow::Result<solana::Token> {
            let mint = Key::parse(contract).with_context(|| format!("the mint of {name}"))?;
            let asset = solana_asset_id(network, &mint);
            Ok(solana::Token { mint, program, asset, decimals, name: name.to_owned(), counts })
        };
    let mut tokens = Vec::new();
    for listed in &network.tokens {
        tokens.push(token(&listed.coin, &listed.contract, listed.program.0, listed.decimals, true)?);
    }
    for alike in &network.look_alikes {
        tokens.push(token(&alike.name, &alike.contract, alike.program.0, alike.decimals, false)?);
    }
    let addresses = network.addresses()?;
    Ok(solana::Settings {
        id: network_id(network),
        cluster: solana::Cluster { genesis: network.genesis().unwrap_or_default().to_owned(), tokens },
        agree: network.agree.unwrap_or(addresses.len().min(2)),
        addresses,
        call_timeout: CALL_TIMEOUT,
        every_look: Span(window.0 + AFTER_WINDOW.0),
        rhythm: rhythm(network),
    })
}

fn rhythm(network: &NetworkConfig) -> Rhythm {
    Rhythm {
        pace: Duration::from_millis(network.poll_ms()),
        bell: Arc::new(Notify::new()),
        patience: Span::seconds(network.suspend_after_seconds),
    }
}

fn chain_id(network: &NetworkConfig) -> anyhow::Result<u64> {
    network.chain_id.with_context(|| format!("networks {:?}: chain_id is missing", network.name))
}

/// The same ticker on several networks is one coin; what is said of it must be the same, too.
fn add_coin(coins: &mut Vec<Coin>, token: &TokenConfig) -> anyhow::Result<()> {
    let usd_stable = token.usd_stable.unwrap_or(DOLLARS.contains(&token.coin.as_str()));
    let usual: u32 = if usd_stable { 2 } else { 6 };
    let quoted_decimals = token.quoted_decimals.unwrap_or(usual.min(token.decimals));
    let coin = Coin { name: token.coin.clone(), quoted_decimals, usd_stable, suspended: false };
    match coins.iter().find(|known| known.name == coin.name) {
        Some(known) if *known == coin => {}
        Some(known) => {
            let (name, there) = (&coin.name, (known.usd_stable, known.quoted_decimals));
            let here = (usd_stable, quoted_decimals);
            bail!("{name}: (usd_stable, quoted_decimals) are {here:?} here and {there:?} on another network");
        }
        None => coins.push(coin),
    }
    Ok(())
}

fn rail(network: &NetworkConfig) -> anyhow::Result<asset::Network> {
    let assets = network.tokens.iter().map(|token| {
        let (id, contract) = match network.kind {
            NetworkKind::Evm => {
                let address = Address::parse(&token.contract)?;
                (asset_id(network, &address), address.to_string())
            }
            NetworkKind::Solana => {
                let mint = Key::parse(&token.contract).with_context(|| format!("the mint of {}", token.coin))?;
                (solana_asset_id(network, &mint), mint.to_string())
            }
        };
        let method = || format!("{}-{}", token.coin, short_name(network));
        Ok(Asset {
            id,
            coin: token.coin.clone(),
            contract: Some(contract),
            decimals: token.decimals,
            payment_method: token.payment_method.clone().unwrap_or_else(method),
        })
    });
    Ok(asset::Network {
        id: network_id(network),
        name: network.name.clone(),
        kind: match network.kind {
            NetworkKind::Evm => ChainKind::Evm,
            NetworkKind::Solana => ChainKind::Svm,
        },
        chain_id: network.chain_id,
        base_token: network.base_token().to_owned(),
        transfer_cost: network.transfer_cost.clone(),
        window: Span::minutes(30),
        confirmation: network.confirmation(),
        suspended: network.suspended,
        assets: assets.collect::<anyhow::Result<_>>()?,
    })
}

/// CAIP-2. Of Solana's genesis hash the first 32 letters.
fn network_id(network: &NetworkConfig) -> NetworkId {
    NetworkId::new(match network.genesis() {
        None => format!("eip155:{}", network.chain_id.unwrap_or_default()),
        Some(genesis) => format!("solana:{}", genesis.get(..32).unwrap_or(genesis)),
    })
}

/// CAIP-19.
fn asset_id(network: &NetworkConfig, contract: &Address) -> AssetId {
    AssetId::new(format!("{}/erc20:{}", network_id(network), contract.small()))
}

/// CAIP-19.
fn solana_asset_id(network: &NetworkConfig, mint: &Key) -> AssetId {
    AssetId::new(format!("{}/token:{mint}", network_id(network)))
}

/// What follows the coin in words such as `USDC-BASE`.
fn short_name(network: &NetworkConfig) -> String {
    let known = match (network.kind, network.chain_id.unwrap_or_default()) {
        (NetworkKind::Evm, 1) => "ETH",
        (NetworkKind::Evm, 10) => "OP",
        (NetworkKind::Evm, 56) => "BSC",
        (NetworkKind::Evm, 137) => "MATIC",
        (NetworkKind::Evm, 8_453) => "BASE",
        (NetworkKind::Evm, 42_161) => "ARB",
        (NetworkKind::Evm, 43_114) => "AVAX",
        (NetworkKind::Evm, _) => "",
        (NetworkKind::Solana, _) => "SOL",
    };
    match known {
        "" => network.name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase(),
        known => known.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::asset::Confirmation;

    const TWO: &str = r#"
[[networks]]
name = "Base"
kind = "evm"
chain_id = 8453
rpc = "http://127.0.0.1:8545"
confirmations = "safe"

[[networks.tokens]]
coin = "USDC"
contract = "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"
decimals = 6

[[networks.look_alikes]]
name = "USDbC"
contract = "0xd9aaec86b65d86f6a7b5b1b0c42ffa531710b6ca"
decimals = 6

[[networks]]
name = "BNB Chain"
kind = "evm"
chain_id = 5600
rpc = ["http://127.0.0.1:8546", "http://127.0.0.1:8547", "http://127.0.0.1:8548"]
confirmations = 15
suspended = true

[[networks.tokens]]
coin = "USDC"
contract = "0x8ac76a51cc950d9822d68b83fe1ad97b32cd580d"
decimals = 18

[[networks.tokens]]
coin = "WETH"
contract = "0x2170ed0880ac9a755fd29b2688956bd959f933f8"
decimals = 18
"#;

    fn config(text: &str) -> Config {
        Config::parse(text, std::iter::empty()).expect("a configuration")
    }

    #[test]
    fn networks_become_rails() {
        let rails = rails(&config(TWO)).expect("rails");
        let coins: Vec<(&str, u32, bool)> =
            rails.coins.iter().map(|coin| (coin.name.as_str(), coin.quoted_decimals, coin.usd_stable)).collect();
        assert_eq!(coins, [("USDC", 2, true), ("WETH", 6, false)]);
        let [base, other] = &rails.networks[..] else { panic!("two networks") };
        assert_eq!(
            (base.id.as_str(), base.chain_id, base.confirmation),
            ("eip155:8453", Some(8453), Confirmation::Safe)
        );
        let usdc = &base.assets[0];
        assert_eq!(usdc.id.as_str(), "eip155:8453/erc20:0x833589fcd6edb6e08f4c7c32d4f71b54bda02913");
        assert_eq!(usdc.contract.as_deref(), Some("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"));
        assert_eq!((usdc.payment_method.as_str(), usdc.scale(), base.assets.len()), ("USDC-BASE", 6, 1));
        assert_eq!((other.assets[0].payment_method.as_str(), other.assets[0].scale()), ("USDC-BNBCHAIN", 8));
        assert!(other.suspended && !base.suspended);
    }

    #[test]
    fn solana_is_named_by_its_genesis_hash() {
        let text = r#"
[[networks]]
name = "Solana"
kind = "solana"
rpc = ["http://127.0.0.1:8899", "http://127.0.0.1:8900"]

[[networks.tokens]]
coin = "USDC"
mint = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
decimals = 6

[[networks.look_alikes]]
name = "USDC.e"
mint = "A9mUU4qviSctJVPJdBJWkb28deg915LYJKrzQ19ji3FM"
decimals = 6

[limits.payment_windows]
Solana = 60
"#;
        let config = config(text);
        let rails = rails(&config).expect("rails");
        let [network] = &rails.networks[..] else { panic!("one network") };
        assert_eq!(network.id.as_str(), "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp");
        assert_eq!((network.kind, network.chain_id, network.base_token.as_str()), (ChainKind::Svm, None, "SOL"));
        assert_eq!(network.confirmation, Confirmation::Finalized);
        let usdc = &network.assets[0];
        let id = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/token:EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
        assert_eq!((usdc.id.as_str(), usdc.payment_method.as_str(), network.assets.len()), (id, "USDC-SOL", 1));
        let settings = solana_settings(&config.networks[0], Span::minutes(60)).expect("settings");
        assert_eq!((settings.agree, settings.every_look), (2, Span::hours(3)));
        let tokens: Vec<(&str, bool)> =
            settings.cluster.tokens.iter().map(|token| (token.name.as_str(), token.counts)).collect();
        assert_eq!(tokens, [("USDC", true), ("USDC.e", false)]);
    }

    #[test]
    fn a_coin_is_the_same_everywhere() {
        let text = TWO.replacen("decimals = 18\n", "decimals = 18\nusd_stable = false\n", 1);
        let error = rails(&config(&text)).expect_err("one coin of two kinds");
        assert!(format!("{error:#}").contains("USDC"), "{error:#}");
    }

    #[test]
    fn two_nodes_must_agree_where_there_are_two() {
        let config = config(TWO);
        let agree = |at: usize| settings(&config.networks[at]).expect("settings").agree;
        assert_eq!((agree(0), agree(1)), (1, 2));
        let look_alike = settings(&config.networks[0]).expect("settings").tokens;
        let names: Vec<Option<&str>> = look_alike.values().map(|token| token.look_alike.as_deref()).collect();
        assert_eq!(names, [None, Some("USDbC")]);
    }
}
