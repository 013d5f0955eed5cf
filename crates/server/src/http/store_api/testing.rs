//! A small market for the tests of the store API: one euro is 1.25 US dollars and a bitcoin 100,000, so that amounts
//! can be checked by head.

use crate::engine::Snapshot;
use domain::asset::{Asset, ChainKind, Coin, Confirmation, Network, Rails};
use domain::catalog::{
    Benefit, Brand, BrandText, Catalogue, DeliveryMethod, Denomination, Homepage, OWN_STOCK, Product, SupplierSku,
};
use domain::coupon::{Coupon, Discount};
use domain::ids::{AssetId, BrandId, NetworkId, ProductId, Sku, Uuid};
use domain::limits::Limits;
use domain::money::{Currency, Fiat};
use domain::pricing::{CoinRate, FiatRate, MarginRule, Rates};
use domain::time::{Span, Time};
use domain::validate::{DEFAULT_MINIMUM_EUR_CENTS, Market};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// 2026-11-20T11:35:00Z; all rates are of this moment.
pub(crate) const NOW: Time = Time(1_795_174_500_000);
/// Sells at face value, by a margin rule.
pub(crate) const PARTNER: &str = "fair-shop";

/// The market below, nothing sold out.
pub(crate) fn snapshot() -> Snapshot {
    snapshot_of(market())
}

pub(crate) fn snapshot_of(market: Market) -> Snapshot {
    Snapshot { serial: 1, market: Arc::new(market), sold_out: BTreeSet::new(), low: BTreeSet::new() }
}

pub(crate) fn market() -> Market {
    let homepage = Homepage {
        featured: vec!["Talkline".to_owned(), "Closed Card".to_owned(), "Airbnb".to_owned()],
        trending: vec!["Steam".to_owned(), "Airbnb".to_owned(), "Nonesuch".to_owned()],
    };
    let coupon = Coupon::new("TEN", Discount::Percent(Decimal::TEN));
    let homepages = BTreeMap::from([("US".to_owned(), homepage)]);
    let catalogue = Catalogue::build("import-1".to_owned(), brands(), homepages, vec![coupon]).expect("no name twice");
    let margin = MarginRule { partner: Some(PARTNER.to_owned()), bps: 0, ..MarginRule::default() };
    Market {
        exchange: Arc::default(),
        catalogue: Arc::new(catalogue),
        rates: Arc::new(rates()),
        rails: rails(),
        vias: vec!["USER_WALLET".to_owned()],
        margins: vec![margin],
        limits: Limits::default(),
        minimum_eur_cents: DEFAULT_MINIMUM_EUR_CENTS,
    }
}

/// Five active brands and an inactive one in the US, one in Germany.
fn brands() -> Vec<Brand> {
    let airbnb = Brand {
        popular: Some(2),
        additional_categories: vec!["home".to_owned()],
        background: "#FF5A5F".to_owned(),
        redeem_geo: Some("in US".to_owned()),
        texts: BTreeMap::from([
            (
                "en".to_owned(),
                text("<p>Homes &amp; rooms</p>", "<p>One <b>use</b>.</p><ul><li>No cash &lt;3</li></ul>"),
            ),
            ("ja".to_owned(), text("<p>宿泊</p>", "<p>返品不可</p>")),
        ]),
        products: vec![
            stocked("airbnb-50", "50 USD", "$50"),
            stocked("airbnb-100", "100 USD", "$100"),
            Product { active: false, ..stocked("airbnb-900", "900 USD", "$900") },
            range("airbnb-range", "50", "500"),
        ],
        ..brand(1, "Airbnb", "US", "giftcard", "travel_flights")
    };
    let steam = Brand {
        popular: Some(1),
        products: vec![fixed("steam-10", "10 USD", "$10")],
        ..brand(2, "Steam", "US", "giftcard", "games")
    };
    let roamwell = Brand {
        products: vec![
            plan("esim-big", "Unlimited 30 days", "40", "-1", "30"),
            plan("esim-small", "1 GB 3 days", "3.50", "1", "3"),
        ],
        ..brand(3, "Roamwell eSIM", "US", "mobile_recharge", "e-sim")
    };
    let top_up = Product { delivery: DeliveryMethod::ByPhone, ..fixed("talkline-10", "10 USD", "$10") };
    let talkline = Brand { products: vec![top_up], ..brand(4, "Talkline", "US", "mobile_recharge", "mobile_credits") };
    let closed = Brand {
        active: false,
        products: vec![fixed("closed-10", "10 USD", "$10")],
        ..brand(5, "Closed Card", "US", "giftcard", "games")
    };
    let paused = Brand {
        family: "Steam".to_owned(),
        out_of_stock: true,
        products: vec![fixed("paused-10", "10 USD", "$10")],
        ..brand(6, "Steam Deck Card", "US", "giftcard", "games")
    };
    let ruhr = Brand {
        products: vec![fixed("ruhr-20", "20 EUR", "€20")],
        ..brand(7, "Ruhr Cash", "DE", "giftcard", "food")
    };
    vec![airbnb, steam, roamwell, talkline, closed, paused, ruhr]
}

fn brand(number: u8, name: &str, country: &str, kind: &str, category: &str) -> Brand {
    Brand {
        id: BrandId(Uuid::from_bytes([number; 16])),
        name: name.to_owned(),
        country: country.to_owned(),
        family: name.to_owned(),
        kind: kind.to_owned(),
        category: category.to_owned(),
        additional_categories: Vec::new(),
        active: true,
        limited: false,
        login_required: false,
        out_of_stock: false,
        background: "#171A21".to_owned(),
        logo_slug: name.to_lowercase().replace(' ', "-"),
        popular: None,
        tags: Vec::new(),
        redeem_methods: vec!["online".to_owned()],
        redeem_geo: None,
        url: None,
        texts: BTreeMap::new(),
        products: Vec::new(),
    }
}

fn text(description: &str, terms: &str) -> BrandText {
    BrandText { description: description.to_owned(), terms: terms.to_owned(), ..BrandText::default() }
}

/// Reads `100 USD`.
fn fiat(name: &str) -> Fiat {
    let (amount, currency) = name.split_once(' ').expect("amount and currency");
    Fiat::parse(amount, Currency::parse(currency).expect("a currency")).expect("an amount")
}

/// Costs the shop nothing, so that no cost stands above a price.
fn product(sku: &str, name: &str, label: &str, denomination: Denomination) -> Product {
    let id = sku.bytes().fold([0_u8; 16], |mut id, byte| {
        id.rotate_left(1);
        id[0] ^= byte;
        id
    });
    Product {
        id: ProductId(Uuid::from_bytes(id)),
        sku: Sku::new(sku),
        denomination,
        name: name.to_owned(),
        label: label.to_owned(),
        delivery: DeliveryMethod::ByEmail,
        active: true,
        limited: false,
        suppliers: vec![SupplierSku { supplier: "sandbox".to_owned(), sku: sku.to_owned() }],
        benefits: Vec::new(),
    }
}

fn fixed(sku: &str, name: &str, label: &str) -> Product {
    let face = fiat(name);
    product(sku, name, label, Denomination::Fixed { face, cost: Fiat { units: 0, ..face } })
}

fn stocked(sku: &str, name: &str, label: &str) -> Product {
    let suppliers = vec![SupplierSku { supplier: OWN_STOCK.to_owned(), sku: sku.to_owned() }];
    Product { suppliers, ..fixed(sku, name, label) }
}

/// In steps of 1 USD.
fn range(sku: &str, min: &str, max: &str) -> Product {
    let usd = |amount: &str| fiat(&format!("{amount} USD"));
    let (min, max) = (usd(min), usd(max));
    product(sku, "", "", Denomination::Range { min, max, step: usd("1"), default: max, cost_bps: 0 })
}

fn plan(sku: &str, name: &str, price: &str, gigabytes: &str, days: &str) -> Product {
    let face = fiat(&format!("{price} USD"));
    let benefit = |kind: &str, unit: &str, amount: &str| Benefit {
        kind: kind.to_owned(),
        unit: unit.to_owned(),
        amount: amount.to_owned(),
    };
    let benefits = vec![benefit("DATA", "GB", gigabytes), benefit("VALIDITY", "DAYS", days)];
    Product { benefits, ..product(sku, name, name, Denomination::Fixed { face, cost: Fiat { units: 0, ..face } }) }
}

fn rates() -> Rates {
    let usd = FiatRate { per_eur: Decimal::new(125, 2) };
    let bitcoin = CoinRate { usd: Decimal::from(100_000), as_of: NOW };
    Rates {
        id: "rates-1".to_owned(),
        fiat: BTreeMap::from([(Currency::USD, usd)]),
        fiat_as_of: NOW,
        coins: BTreeMap::from([("BTC".to_owned(), bitcoin)]),
        ..Rates::default()
    }
}

/// BTC has a price and no network, ETH a suspended network and no rate, DOGE is suspended itself.
fn rails() -> Rails {
    let coin = |name: &str, quoted_decimals, usd_stable, suspended| Coin {
        name: name.to_owned(),
        quoted_decimals,
        usd_stable,
        suspended,
    };
    Rails {
        coins: vec![
            coin("USDC", 2, true, false),
            coin("BTC", 8, false, false),
            coin("ETH", 8, false, false),
            coin("DOGE", 8, false, true),
        ],
        networks: vec![
            network("Solana", ChainKind::Svm, None, vec![token("USDC", "USDC-SOLANA", "SandboxMint111")]),
            network("Polygon (Matic)", ChainKind::Evm, Some(137), vec![token("USDC", "USDC-MATIC", "0x00c0ffee")]),
            Network {
                suspended: true,
                ..network(
                    "ETH Mainnet",
                    ChainKind::Evm,
                    Some(1),
                    vec![Asset { contract: None, decimals: 18, ..token("ETH", "ETH", "") }],
                )
            },
            network("Dogecoin", ChainKind::Evm, Some(2_000), vec![token("DOGE", "DOGE", "0x00d0dddd")]),
        ],
    }
}

fn network(name: &str, kind: ChainKind, chain_id: Option<u64>, assets: Vec<Asset>) -> Network {
    Network {
        id: NetworkId::new(format!("sandbox:{name}")),
        name: name.to_owned(),
        kind,
        chain_id,
        base_token: "GAS".to_owned(),
        transfer_cost: "€0".to_owned(),
        window: Span::minutes(30),
        confirmation: Confirmation::Blocks(1),
        suspended: false,
        assets,
    }
}

fn token(coin: &str, payment_method: &str, contract: &str) -> Asset {
    Asset {
        id: AssetId::new(format!("sandbox:{payment_method}")),
        coin: coin.to_owned(),
        contract: Some(contract.to_owned()),
        decimals: 6,
        payment_method: payment_method.to_owned(),
    }
}
