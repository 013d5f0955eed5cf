//! A small shop for tests of the engine and the store: three brands with one card of 100 USD each, and USDC on two
//! networks. It needs no rates, because a dollar in a dollar coin has none: with the usual margin of 1.5 % a card costs
//! 101.50 USDC, which is 101,500,000 units.
//!
//! Everything is made from a number, so that a test can name what it made. Must never touch a database.

use crate::harness::START;
use domain::asset::{Asset, ChainKind, Coin, Confirmation, Network, Rails};
use domain::catalog::{Brand, Catalogue, DeliveryMethod, Denomination, OWN_STOCK, Product, SupplierSku};
use domain::decide::{self, Caps, Facts, Idempotency, Place, SealedPersonal};
use domain::event::{Event, Origin};
use domain::ids::{AssetId, BrandId, CodeId, NetworkId, OrderId, ProductId, Sku, Uuid};
use domain::limits::Limits;
use domain::money::{Currency, Fiat};
use domain::order::Order;
use domain::pricing::Rates;
use domain::time::Span;
use domain::validate::{self, Basket, BasketLine, DEFAULT_MINIMUM_EUR_CENTS, Market};
use server::store::claims;
use server::store::stock::NewCode;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Delivered from codes of the shop's own, and from nowhere else.
pub const OWN: &str = "own";
/// Bought from `SUPPLIER`.
pub const BOUGHT: &str = "bought";
/// From codes of the shop's own; when those are gone, from `SUPPLIER`.
pub const MIXED: &str = "mixed";
/// The supplier of what is not our own.
pub const SUPPLIER: &str = "sandbox";

/// What one card costs, in units of USDC.
pub const DUE: i64 = 101_500_000;
/// The smaller of 0.5 % of that (507,500) and half a dollar.
pub const TOLERANCE: i64 = 500_000;

static MARKET: LazyLock<Arc<Market>> = LazyLock::new(|| Arc::new(build()));

/// The one market of these tests.
pub fn market() -> Arc<Market> {
    MARKET.clone()
}

fn build() -> Market {
    let brands =
        vec![brand(1, OWN, &[OWN_STOCK]), brand(2, BOUGHT, &[SUPPLIER]), brand(3, MIXED, &[OWN_STOCK, SUPPLIER])];
    let catalogue = Catalogue::build("catalogue-1".into(), brands, BTreeMap::new(), Vec::new());
    let coin = Coin { name: "USDC".into(), quoted_decimals: 2, usd_stable: true, suspended: false };
    let networks = vec![network("Base", ChainKind::Evm), network("Solana", ChainKind::Svm)];
    Market {
        exchange: Arc::default(),
        catalogue: Arc::new(catalogue.expect("no name stands twice")),
        rates: Arc::new(Rates { id: "rates-1".into(), ..Rates::default() }),
        rails: Rails { coins: vec![coin], networks },
        vias: vec!["USER_WALLET".into()],
        margins: Vec::new(),
        limits: Limits::default(),
        minimum_eur_cents: DEFAULT_MINIMUM_EUR_CENTS,
    }
}

fn brand(number: u8, name: &str, suppliers: &[&str]) -> Brand {
    Brand {
        id: BrandId(Uuid::from_bytes([number; 16])),
        name: name.into(),
        country: "US".into(),
        family: name.into(),
        kind: "giftcard".into(),
        category: "shopping".into(),
        additional_categories: Vec::new(),
        active: true,
        limited: false,
        login_required: false,
        out_of_stock: false,
        background: "#FFFFFF".into(),
        logo_slug: name.into(),
        popular: None,
        tags: Vec::new(),
        redeem_methods: Vec::new(),
        redeem_geo: None,
        url: None,
        texts: BTreeMap::new(),
        products: vec![card(number, name, suppliers)],
    }
}

fn card(number: u8, brand: &str, suppliers: &[&str]) -> Product {
    let dollars = |amount| Fiat::whole(amount, Currency::USD);
    let supplier = |name: &&str| SupplierSku { supplier: (*name).into(), sku: format!("{brand}-there") };
    Product {
        id: ProductId(Uuid::from_bytes([number; 16])),
        sku: sku(brand),
        denomination: Denomination::Fixed { face: dollars(100), cost: dollars(97) },
        name: "100 USD".into(),
        label: "$100".into(),
        delivery: DeliveryMethod::ByEmail,
        active: true,
        limited: false,
        suppliers: suppliers.iter().map(supplier).collect(),
        benefits: Vec::new(),
    }
}

fn network(name: &str, kind: ChainKind) -> Network {
    let usdc = Asset {
        id: AssetId::new(format!("{}/usdc", network_id(name))),
        coin: "USDC".into(),
        contract: None,
        decimals: 6,
        payment_method: format!("USDC-{name}"),
    };
    Network {
        id: network_id(name),
        name: name.into(),
        kind,
        chain_id: None,
        base_token: "ETH".into(),
        transfer_cost: "€0".into(),
        window: Span::minutes(30),
        confirmation: Confirmation::Blocks(2),
        suspended: false,
        assets: vec![usdc],
    }
}

/// The network of that name.
pub fn network_id(name: &str) -> NetworkId {
    NetworkId::new(format!("test:{}", name.to_lowercase()))
}

/// The one product of a brand.
pub fn sku(brand: &str) -> Sku {
    Sku::new(format!("{brand}-100"))
}

/// The order of that number.
pub fn order_id(number: u64) -> OrderId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    OrderId::new(Uuid::from_random(bytes))
}

/// One card of each of those brands, for a buyer of its own, paid on Base, by a visitor whom all orders share.
pub fn place(number: u64, brands: &[&str]) -> Place {
    let line = |brand: &&str| BasketLine {
        brand: (*brand).into(),
        country: "US".into(),
        denomination: "100 USD".into(),
        ..BasketLine::default()
    };
    let basket = Basket {
        lines: brands.iter().map(line).collect(),
        payment_via: "USER_WALLET".into(),
        coin: "USDC".into(),
        buyer_email: Some("buyer@example.com".into()),
        buyer_key: format!("buyer-{number}"),
        language: "en".into(),
        ..Basket::default()
    };
    Place {
        id: order_id(number),
        basket,
        origin: Origin { language: "en".into(), ..Origin::default() },
        market: market(),
        personal: SealedPersonal { key: format!("key-{number}"), body: format!("body-{number}") },
        idempotency: None,
        visitor: "visitor".into(),
        caps: Caps { unpaid_products_per_visitor: 100_000 },
    }
}

/// A client's key and the hash of what it sent with it.
pub fn key(key: &str, body_hash: &str) -> Idempotency {
    Idempotency { scope: "store/orders/test".into(), key: key.into(), body_hash: body_hash.into() }
}

/// A placed order as its row holds it, numbered from 1001 on, and the event that placed it; in no database.
pub fn placed(number: u64) -> (Order, Event) {
    let place = place(number, &[BOUGHT]);
    let shared = validate::Facts::default();
    let address = format!("address-of-{number}");
    let facts = Facts {
        shared: &shared,
        replay: None,
        address: Some(&address),
        next_no: 1_000 + number as i64,
        code: None,
        transfer: None,
        has_room: true,
        awaits_credit: false,
        price_now: None,
        rate_now: None,
        reserve_left: 0,
    };
    let decision = decide::place(&facts, &place, START).expect("nothing is wrong with it");
    let event = decision.events.into_iter().next().expect("an order is placed");
    let Event::Placed(placed) = &event else { panic!("{} comes first", event.kind()) };
    (Order::placed(place.id, (**placed).clone(), START), event)
}

/// A placed order; in no database.
pub fn order(number: u64) -> Order {
    placed(number).0
}

/// Addresses for a pool.
pub fn addresses(kind: ChainKind, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{}-{number:05}", claims::family(kind))).collect()
}

/// Codes of a brand's card, as they are imported.
pub fn codes(brand: &str, count: usize) -> Vec<NewCode> {
    let code = |number| NewCode {
        id: CodeId::new(format!("{brand}-code-{number:05}")),
        sku: sku(brand),
        sealed: format!("0000aaaa.nonce.{brand}-{number}"),
        fingerprint: format!("print-{brand}-{number}"),
        expires_on: None,
    };
    (0..count).map(code).collect()
}
