//! Small brands, rails and rates for tests: one euro is 1.25 US dollars, so that amounts can be checked by head.

use super::{Basket, BasketLine, DEFAULT_MINIMUM_EUR_CENTS, Market};
use crate::asset::{Asset, ChainKind, Coin, Confirmation, Network, Rails};
use crate::catalog::{Brand, Catalogue, DeliveryMethod, Denomination, OWN_STOCK, Product, SupplierSku};
use crate::coupon::Coupon;
use crate::ids::{AssetId, BrandId, NetworkId, ProductId, Sku, Uuid};
use crate::limits::Limits;
use crate::money::{Currency, Fiat};
use crate::pricing::{CoinRate, FiatRate, Rates};
use crate::time::{Span, Time};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// 2026-11-20T11:35:00Z.
pub(crate) const NOW: Time = Time(1_795_174_500_000);

pub(crate) fn decimal(text: &str) -> Decimal {
    text.parse().expect("a decimal")
}

/// Reads `100 USD`.
pub(crate) fn fiat(text: &str) -> Fiat {
    let (amount, currency) = text.split_once(' ').expect("amount and currency");
    Fiat::parse(amount, Currency::parse(currency).expect("a currency")).expect("an amount")
}

pub(crate) fn brand(name: &str, country: &str, products: Vec<Product>) -> Brand {
    Brand {
        id: BrandId(Uuid::from_bytes([1; 16])),
        name: name.into(),
        country: country.into(),
        family: name.into(),
        kind: "giftcard".into(),
        category: "travel_flights".into(),
        additional_categories: Vec::new(),
        active: true,
        limited: false,
        login_required: false,
        out_of_stock: false,
        background: "#FFFFFF".into(),
        logo_slug: "logo".into(),
        popular: None,
        tags: Vec::new(),
        redeem_methods: vec!["online".into()],
        redeem_geo: None,
        url: None,
        texts: BTreeMap::new(),
        products,
    }
}

fn product(sku: &str, name: &str, denomination: Denomination) -> Product {
    Product {
        id: ProductId(Uuid::from_bytes([2; 16])),
        sku: Sku::new(sku),
        denomination,
        name: name.into(),
        label: name.into(),
        delivery: DeliveryMethod::ByEmail,
        active: true,
        limited: false,
        suppliers: vec![SupplierSku { supplier: "sandbox".into(), sku: sku.into() }],
        benefits: Vec::new(),
    }
}

/// `fixed("abnb-100", "100 USD", "97 USD")`.
pub(crate) fn fixed(sku: &str, face: &str, cost: &str) -> Product {
    product(sku, face, Denomination::Fixed { face: fiat(face), cost: fiat(cost) })
}

/// A plan: sold under a name that is no amount.
pub(crate) fn plan(sku: &str, name: &str, face: &str) -> Product {
    product(sku, name, Denomination::Fixed { face: fiat(face), cost: fiat(face) })
}

/// Costs 97 % of the value.
pub(crate) fn range(sku: &str, min: &str, max: &str, step: &str) -> Product {
    let (min, max, step) = (fiat(min), fiat(max), fiat(step));
    product(sku, "", Denomination::Range { min, max, step, default: min, cost_bps: 9_700 })
}

pub(crate) fn from_stock(mut product: Product) -> Product {
    product.suppliers[0].supplier = OWN_STOCK.into();
    product
}

pub(crate) fn by_phone(mut product: Product) -> Product {
    product.delivery = DeliveryMethod::ByPhone;
    product
}

/// Fixed 50 to 500 USD from own stock, and a range beside them.
pub(crate) fn airbnb() -> Brand {
    let card = |sku, face, cost| from_stock(fixed(sku, face, cost));
    let products = vec![
        card("abnb-50", "50 USD", "48.5 USD"),
        card("abnb-100", "100 USD", "97 USD"),
        card("abnb-500", "500 USD", "485 USD"),
        range("abnb-range", "50 USD", "500 USD", "1 USD"),
    ];
    brand("Airbnb", "US", products)
}

pub(crate) fn coin(name: &str, quoted_decimals: u32, usd_stable: bool) -> Coin {
    Coin { name: name.into(), quoted_decimals, usd_stable, suspended: false }
}

fn network(name: &str, coins: &[(&str, u32)]) -> Network {
    let asset = |(coin, decimals): &(&str, u32)| Asset {
        id: AssetId::new(format!("sandbox:{name}/{coin}")),
        coin: (*coin).into(),
        contract: None,
        decimals: *decimals,
        payment_method: format!("{coin}-{name}"),
    };
    Network {
        id: NetworkId::new(format!("sandbox:{name}")),
        name: name.into(),
        kind: ChainKind::Evm,
        chain_id: None,
        base_token: "ETH".into(),
        transfer_cost: "€0".into(),
        window: Span::minutes(30),
        confirmation: Confirmation::Blocks(1),
        suspended: false,
        assets: coins.iter().map(asset).collect(),
    }
}

/// USDC on Solana (first) and Base, BTC on Mainnet with 8 decimals, ETH on Base with 18, TON on Ton.
pub(crate) fn rails() -> Rails {
    let coins = vec![coin("USDC", 2, true), coin("BTC", 8, false), coin("ETH", 6, false), coin("TON", 4, false)];
    let networks = vec![
        network("Solana", &[("USDC", 6)]),
        network("Base", &[("USDC", 6), ("ETH", 18)]),
        network("Mainnet", &[("BTC", 8)]),
        network("Ton", &[("TON", 9)]),
    ];
    Rails { coins, networks }
}

pub(crate) fn rates() -> Rates {
    let fiat = [("USD", "1.25"), ("JPY", "160"), ("GBP", "0.8")];
    let coins = [("BTC", "50000"), ("ETH", "2000"), ("TON", "2.5")];
    let fiat_rate =
        |(code, rate): (&str, &str)| (Currency::parse(code).expect("a currency"), FiatRate { per_eur: decimal(rate) });
    Rates {
        id: "rates-1".into(),
        fiat: fiat.into_iter().map(fiat_rate).collect(),
        fiat_as_of: NOW,
        coins: coins.into_iter().map(|(name, usd)| (name.into(), CoinRate { usd: decimal(usd), as_of: NOW })).collect(),
        ..Rates::default()
    }
}

pub(crate) fn market(brands: Vec<Brand>, coupons: Vec<Coupon>) -> Market {
    let catalogue = Catalogue::build("catalogue-1".into(), brands, BTreeMap::new(), coupons);
    Market {
        exchange: Arc::default(),
        catalogue: Arc::new(catalogue.expect("no name stands twice")),
        rates: Arc::new(rates()),
        rails: rails(),
        vias: vec!["USER_WALLET".into()],
        margins: Vec::new(),
        limits: Limits::default(),
        minimum_eur_cents: DEFAULT_MINIMUM_EUR_CENTS,
    }
}

pub(crate) fn line(brand: &str, denomination: &str) -> BasketLine {
    BasketLine { brand: brand.into(), country: "US".into(), denomination: denomination.into(), ..BasketLine::default() }
}

/// One Airbnb card of 100 USD for an unproven e-mail, paid with USDC on the default network.
pub(crate) fn basket() -> Basket {
    Basket {
        lines: vec![line("Airbnb", "100 USD")],
        payment_via: "USER_WALLET".into(),
        coin: "USDC".into(),
        buyer_email: Some("user@example.com".into()),
        buyer_key: "hash".into(),
        language: "en".into(),
        ..Basket::default()
    }
}
