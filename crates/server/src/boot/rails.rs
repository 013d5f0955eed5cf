//! The market by configuration: coins and networks, rates, margins, limits.

use crate::adapters::rates::source_at;
use crate::config::Config;
use crate::engine::Engine;
use crate::rates_file;
use crate::workers;
use crate::workers::rates::{Looks, RateSources};
use anyhow::{Context, bail};
use domain::asset::{Asset, ChainKind, Coin, Confirmation, Network, Rails};
use domain::catalog::Catalogue;
use domain::ids::{AssetId, NetworkId};
use domain::limits::{Limits, Tier};
use domain::pricing::{CoinRate, FiatRate, MarginRule, Rates};
use domain::time::{Span, Time};
use domain::validate::{DEFAULT_MINIMUM_EUR_CENTS, Market};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The rates of the demo; marked there as demo values.
const DEMO_RATES: &str = include_str!("../../../../demo/rates.xml");

/// Rules and rates, with nothing on the shelves yet.
pub fn market(config: &Config) -> anyhow::Result<Market> {
    let mut rails = if config.sandbox.enabled { sandbox_rails() } else { super::networks::rails(config)? };
    let windows = &config.limits.payment_windows;
    for network in &mut rails.networks {
        let minutes = windows.get(&network.name).unwrap_or(&config.limits.payment_window_minutes);
        network.window = Span::minutes(*minutes);
    }
    if let Some(unknown) = windows.keys().find(|name| rails.network(name).is_none()) {
        bail!("limits.payment_windows names {unknown:?}, and there is no such network");
    }
    let tier = |[order, day, month]: [i64; 3]| Tier::whole(order, day, month);
    let margins = config.margins.iter().map(|rule| MarginRule {
        brand: rule.brand.clone(),
        country: rule.country.clone(),
        coin: rule.coin.clone(),
        partner: rule.partner.clone(),
        bps: rule.bps,
    });
    Ok(Market {
        catalogue: Arc::new(Catalogue::default()),
        exchange: Arc::default(),
        rates: Arc::new(rates(config)?),
        rails,
        vias: vec!["USER_WALLET".to_owned()],
        margins: margins.collect(),
        limits: Limits {
            anonymous: tier(config.limits.anonymous),
            customer: tier(config.limits.customer),
            max_lines: config.limits.products_per_order,
            unpaid_stock_share_percent: config.limits.unpaid_stock_share_percent,
        },
        minimum_eur_cents: DEFAULT_MINIMUM_EUR_CENTS,
    })
}

/// What is known before any source was asked: the demo's rates, and fixed prices.
fn rates(config: &Config) -> anyhow::Result<Rates> {
    // A sandbox without a table of its own is a demo: its rates are a file of the program and never too old.
    let demo = config.rates.ecb.is_none() && config.sandbox.enabled;
    let (fiat_as_of, table) = match demo {
        true => rates_file::parse(DEMO_RATES).context("the demo's rates cannot be used")?,
        false => (Time(0), BTreeMap::new()),
    };
    let mut usd = fixed_prices(config)?;
    if demo {
        for (coin, price) in [("BTC", 90_000), ("ETH", 3_000), ("SOL", 140), ("LTC", 85)] {
            usd.entry(coin.to_owned()).or_insert(Decimal::from(price));
        }
    }
    let mut rates = Rates {
        fiat: table.into_iter().map(|(currency, per_eur)| (currency, FiatRate { per_eur })).collect(),
        fiat_as_of,
        coins: usd.into_iter().map(|(coin, usd)| (coin, CoinRate { usd, as_of: fiat_as_of })).collect(),
        max_age: Span::hours(config.rates.max_age_hours),
        coin_max_age: Span::minutes(config.rates.coin_max_age_minutes),
        depeg_bps: config.rates.depeg_bps,
        never_stale: demo,
        ..Rates::default()
    };
    rates.id = workers::rates::snapshot_id(&rates);
    Ok(rates)
}

fn fixed_prices(config: &Config) -> anyhow::Result<BTreeMap<String, Decimal>> {
    let mut prices = BTreeMap::new();
    for (coin, usd) in &config.rates.coins_usd {
        let price = usd.parse::<Decimal>().ok().filter(|price| *price > Decimal::ZERO);
        let price = price.with_context(|| format!("rates.coins_usd.{coin} is not a price"))?;
        prices.insert(coin.clone(), price);
    }
    Ok(prices)
}

/// Where rates come from, by configuration; asks nobody yet.
pub fn rate_sources(config: &Config) -> anyhow::Result<RateSources> {
    let source = |key: &str, place: &Option<String>| {
        let source = place.as_deref().map(source_at).transpose();
        source.with_context(|| format!("{key} cannot be used"))
    };
    Ok(RateSources {
        ecb: source("rates.ecb", &config.rates.ecb)?,
        coins: source("rates.coins", &config.rates.coins)?,
        fixed_usd: fixed_prices(config)?,
    })
}

/// The first look at the sources. One that fails is logged; the shop opens without what it would have said.
pub async fn first_rates(config: &Config, engine: &Engine) -> anyhow::Result<(RateSources, Looks)> {
    let (sources, mut looks) = (rate_sources(config)?, Looks::default());
    workers::rates::run_once(engine, &sources, &mut looks, engine.clock.now()).await?;
    Ok((sources, looks))
}

/// Looks for new rates while the server runs. A fetch that is under way when it ends is dropped.
pub async fn keep_rates(engine: Engine, sources: RateSources, mut looks: Looks, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::select! {
            ran = workers::rates::run_once(&engine, &sources, &mut looks, engine.clock.now()) => {
                if let Err(error) = ran {
                    tracing::warn!(error = &error as &dyn std::error::Error, "rates not looked at");
                }
            }
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Simulated networks under the names of the store API (contract 6.3); Solana first, as the contract recommends.
fn sandbox_rails() -> Rails {
    let stable =
        |name: &str, suspended| Coin { name: name.to_owned(), quoted_decimals: 2, usd_stable: true, suspended };
    let floating = |name: &str, quoted_decimals| Coin {
        name: name.to_owned(),
        quoted_decimals,
        usd_stable: false,
        suspended: false,
    };
    let coins = vec![
        stable("USDC", false),
        stable("USDT", false),
        floating("BTC", 8),
        floating("ETH", 6),
        floating("SOL", 6),
        // Suspended, so that clients can meet SUSPENDED_COIN.
        stable("DAI", true),
    ];
    let networks = vec![
        sandbox_network("Solana", ChainKind::Svm, None, "SOL", "SOL"),
        sandbox_network("Base", ChainKind::Evm, Some(8453), "ETH", "BASE"),
        sandbox_network("Arbitrum", ChainKind::Evm, Some(42161), "ETH", "ARB"),
        sandbox_network("Polygon (Matic)", ChainKind::Evm, Some(137), "POL", "MATIC"),
        sandbox_network("ETH Mainnet", ChainKind::Evm, Some(1), "ETH", "ETH"),
        // Suspended, so that clients can meet SUSPENDED_NETWORK.
        Network { suspended: true, ..sandbox_network("Avalanche", ChainKind::Evm, Some(43114), "AVAX", "AVAX") },
    ];
    Rails { coins, networks }
}

fn sandbox_network(name: &str, kind: ChainKind, chain_id: Option<u64>, base: &str, short: &str) -> Network {
    let id = format!("sandbox:{}", short.to_lowercase());
    let mut assets: Vec<Asset> = ["USDC", "USDT"].iter().map(|coin| sandbox_token(&id, kind, coin, short)).collect();
    if name == "ETH Mainnet" {
        assets.push(sandbox_token(&id, kind, "DAI", short));
    }
    if matches!(name, "ETH Mainnet" | "Solana") {
        let decimals = if kind == ChainKind::Evm { 18 } else { 9 };
        let payment_method = base.to_owned();
        assets.push(Asset {
            id: AssetId::new(format!("{id}/native")),
            coin: base.to_owned(),
            contract: None,
            decimals,
            payment_method,
        });
    }
    Network {
        id: NetworkId::new(id),
        name: name.to_owned(),
        kind,
        chain_id,
        base_token: base.to_owned(),
        transfer_cost: "€0".to_owned(),
        window: Span::minutes(30),
        confirmation: Confirmation::Blocks(2),
        suspended: false,
        assets,
    }
}

/// A token whose contract exists on no chain: nobody can send real money to a demo.
fn sandbox_token(network: &str, kind: ChainKind, coin: &str, short: &str) -> Asset {
    let digest = Sha256::digest(format!("kiosk sandbox token {coin} on {network}"));
    let contract = match kind {
        ChainKind::Evm => format!("0x{}", crate::entropy::to_hex(&digest[..20])),
        ChainKind::Svm => bs58::encode(digest).into_string(),
    };
    let id = AssetId::new(format!("{network}/token:{contract}"));
    Asset {
        id,
        coin: coin.to_owned(),
        contract: Some(contract),
        decimals: 6,
        payment_method: format!("{coin}-{short}"),
    }
}
