//! What the simulated shop sells: cards from its own codes, from one supplier or from two, a range, a top-up, a coupon.
//!
//! Goods cost dollars in a dollar coin, so that no rate is needed and every price is known beforehand. What the exchange
//! office of the same shop trades stands in `office`.

use crate::office;
use crate::outside::START;
use domain::asset::{Asset, ChainKind, Coin, Confirmation, Network, Rails};
use domain::catalog::{Brand, Catalogue, DeliveryMethod, Denomination, OWN_STOCK, Product, SupplierSku};
use domain::coupon::{Coupon, Discount};
use domain::ids::{AssetId, BrandId, NetworkId, ProductId, Sku, Uuid};
use domain::limits::Limits;
use domain::money::{Currency, Fiat};
use domain::time::Span;
use domain::validate::{DEFAULT_MINIMUM_EUR_CENTS, Market};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The suppliers by name, in the order in which they are asked.
pub const SUPPLIERS: [&str; 2] = ["alpha", "beta"];
/// Takes a tenth off, five times in all and twice for one buyer.
pub const COUPON: &str = "TENTH";
/// Blocks that confirm a payment, or that a tag is behind when it moves.
pub const CONFIRMATIONS: u32 = 3;

/// A brand's name and who delivers it.
pub const BRANDS: [(&str, &[&str]); 6] = [
    ("Own", &[OWN_STOCK]),
    ("Mixed", &[OWN_STOCK, "alpha"]),
    ("Single", &["alpha"]),
    ("Double", &["alpha", "beta"]),
    ("Range", &["beta"]),
    ("Top-up", &["beta", "alpha"]),
];

/// The brand that is delivered to a phone.
pub const TOP_UP: &str = "Top-up";
/// The brand with a range of values.
pub const RANGE: &str = "Range";

/// The SKU of a brand's one product.
pub fn sku(brand: &str) -> Sku {
    Sku::new(format!("{brand}-20"))
}

/// Everything.
pub fn market() -> Market {
    let brands = (1..).zip(BRANDS).map(|(number, (name, suppliers))| brand(number, name, suppliers)).collect();
    let coupon = Coupon {
        max_uses: Some(5),
        max_uses_per_user: Some(2),
        ..Coupon::new(COUPON, Discount::Percent(Decimal::from(10)))
    };
    let catalogue = Catalogue::build("catalogue".to_owned(), brands, BTreeMap::new(), vec![coupon]);
    let coin = Coin { name: "USDC".to_owned(), quoted_decimals: 2, usd_stable: true, suspended: false };
    let ether = Coin { name: "ETH".to_owned(), quoted_decimals: 6, usd_stable: false, suspended: false };
    let blocks = Confirmation::Blocks(CONFIRMATIONS);
    let networks = vec![
        network("Solana", ChainKind::Svm, blocks),
        network("Base", ChainKind::Evm, blocks),
        network("Arbitrum", ChainKind::Evm, Confirmation::Safe),
    ];
    let rails = Rails { coins: vec![coin, ether], networks };
    Market {
        exchange: Arc::new(office::exchange(&rails)),
        catalogue: Arc::new(catalogue.expect("no name stands twice")),
        rates: Arc::new(office::rates(office::ETHER_CENTS, START)),
        rails,
        vias: vec!["USER_WALLET".to_owned()],
        margins: Vec::new(),
        limits: Limits::default(),
        minimum_eur_cents: DEFAULT_MINIMUM_EUR_CENTS,
    }
}

fn brand(number: u8, name: &str, suppliers: &[&str]) -> Brand {
    Brand {
        id: BrandId(Uuid::from_bytes([number; 16])),
        name: name.to_owned(),
        country: "US".to_owned(),
        family: name.to_owned(),
        kind: if name == TOP_UP { "mobile_recharge" } else { "giftcard" }.to_owned(),
        category: "retail".to_owned(),
        additional_categories: Vec::new(),
        active: true,
        limited: false,
        login_required: false,
        out_of_stock: false,
        background: "#FFFFFF".to_owned(),
        logo_slug: name.to_lowercase(),
        popular: None,
        tags: Vec::new(),
        redeem_methods: Vec::new(),
        redeem_geo: None,
        url: None,
        texts: BTreeMap::new(),
        products: vec![product(number, name, suppliers)],
    }
}

fn product(number: u8, brand: &str, suppliers: &[&str]) -> Product {
    let dollars = |amount| Fiat::whole(amount, Currency::USD);
    let range = Denomination::Range {
        min: dollars(5),
        max: dollars(200),
        step: dollars(5),
        default: dollars(50),
        cost_bps: 9_700,
    };
    let fixed = Denomination::Fixed { face: dollars(20), cost: dollars(19) };
    let (denomination, name, label) = if brand == RANGE { (range, "", "") } else { (fixed, "20 USD", "$20") };
    let offer = |supplier: &&str| SupplierSku { supplier: (*supplier).to_owned(), sku: format!("{brand}-SKU") };
    Product {
        id: ProductId(Uuid::from_bytes([number; 16])),
        sku: sku(brand),
        denomination,
        name: name.to_owned(),
        label: label.to_owned(),
        delivery: if brand == TOP_UP { DeliveryMethod::ByPhone } else { DeliveryMethod::ByEmail },
        active: true,
        limited: false,
        suppliers: suppliers.iter().map(offer).collect(),
        benefits: Vec::new(),
    }
}

fn network(name: &str, kind: ChainKind, confirmation: Confirmation) -> Network {
    let id = format!("sim:{}", name.to_lowercase());
    let dollar = Asset {
        id: AssetId::new(format!("{id}/usdc")),
        coin: "USDC".to_owned(),
        contract: Some(format!("contract of USDC on {name}")),
        decimals: 6,
        payment_method: format!("USDC-{}", name.to_uppercase()),
    };
    let ether = Asset {
        id: AssetId::new(format!("{id}/eth")),
        coin: "ETH".to_owned(),
        contract: None,
        decimals: 18,
        payment_method: format!("ETH-{}", name.to_uppercase()),
    };
    let mut assets = vec![dollar];
    if kind == ChainKind::Evm {
        assets.push(ether);
    }
    Network {
        id: NetworkId::new(id),
        name: name.to_owned(),
        kind,
        chain_id: None,
        base_token: "GAS".to_owned(),
        transfer_cost: "€0".to_owned(),
        window: Span::minutes(30),
        confirmation,
        suspended: false,
        assets,
    }
}
