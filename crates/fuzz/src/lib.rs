//! What must hold of any bytes that reach a door: they are refused or understood, and what is understood adds up. Nothing
//! here may panic for any input; `cargo xtask fuzz` looks for one that does.
//!
//! Each public function is one target (`targets/`): those of the store API and of the catalogue are here, those of the
//! exchange API in `exchange`. `seeds/` holds inputs to begin from, and every input that once failed.

pub mod exchange;

use domain::catalog::{Brand, Denomination, Product};
use domain::decide::{Caps, Command, Place, Refusal};
use domain::event::Origin;
use domain::ids::{CodeId, OrderId, Uuid};
use domain::time::Time;
use domain::validate::{self, Basket, BasketLine, Facts, Market, Quote};
use server::catalogue_file;
use server::http::convert;
use server::http::store_api::orders::read_body;
use sim::market;
use sim::pure::core::Core;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

const NOW: Time = sim::outside::START;

/// The body of `POST /v5/orders` and of its dry run (contract 3.8, 3.9): read, checked, placed.
pub fn order_body(bytes: &[u8]) {
    static MARKET: LazyLock<Arc<Market>> = LazyLock::new(|| Arc::new(market::market()));
    let Ok((body, hash)) = read_body(bytes) else { return };
    assert_eq!(hash.len(), 64);
    let basket = convert::basket(&body);
    let codes = ["Own", "Mixed"].map(|brand| {
        let code = |number| CodeId::new(format!("code-{number}"));
        (market::sku(brand), (0..20).map(code).collect())
    });
    let mut core = Core::new(market::market(), BTreeMap::from(codes));
    let checked = validate::check(&basket, &MARKET, &core.shared, NOW);
    if let Ok(checked) = &checked {
        assert_eq!(checked.lines.len(), basket.lines.len());
        checked.quote.iter().for_each(adds_up);
        let answer = convert::validation(checked, &basket, &MARKET.rates);
        assert!(serde_json::to_string(&answer).is_ok());
    }
    // What passes the check can be placed, within the cap on unpaid lines.
    let place = Place {
        id: OrderId::new(Uuid::from_random([7; 16])),
        basket,
        origin: Origin::default(),
        market: MARKET.clone(),
        personal: Default::default(),
        idempotency: None,
        visitor: String::new(),
        caps: Caps { unpaid_products_per_visitor: 1_000 },
    };
    match (core.submit(&Command::Place(Box::new(place)), NOW), checked) {
        (Ok(order), Ok(checked)) => {
            assert!(checked.problems.is_empty());
            adds_up(&order.quote);
        }
        (Err(Refusal::Problems(problems)), Ok(checked)) => assert_eq!(problems, checked.problems),
        (Err(_), Err(_)) => {}
        (answer, checked) => panic!("the check says {checked:?}, placing {:?}", answer.map(|order| order.no)),
    }
}

/// A price is more than nothing, and its lines add up to it.
fn adds_up(quote: &Quote) {
    assert!(quote.due_units > 0 && quote.due_units <= quote.original_units);
    assert!(quote.lines.iter().all(|line| line.coin_units >= 0));
    assert_eq!(quote.lines.iter().map(|line| line.coin_units).sum::<i64>(), quote.due_units);
}

/// A catalogue file (docs/catalogue.md): whatever is imported can be priced, or is refused with a reason.
pub fn catalogue(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let catalogue = match catalogue_file::read(text, "fuzz".to_owned(), &mut |_| {}) {
        Ok(catalogue) => Arc::new(catalogue),
        Err(errors) => {
            assert!(!errors.is_empty());
            return;
        }
    };
    let sold = Market { catalogue: catalogue.clone(), ..market::market() };
    for brand in &catalogue.brands {
        for product in &brand.products {
            let basket = basket_of(brand, product);
            if let Ok(checked) = validate::check(&basket, &sold, &Facts::default(), NOW) {
                assert!(!checked.problems.is_empty() || checked.quote.is_some(), "it can neither be sold nor refused");
                checked.quote.iter().for_each(adds_up);
            }
        }
    }
}

fn basket_of(brand: &Brand, product: &Product) -> Basket {
    let value = match &product.denomination {
        Denomination::Fixed { .. } => None,
        Denomination::Range { min, .. } => Some(min.plain()),
    };
    let line = BasketLine {
        brand: brand.name.clone(),
        country: brand.country.clone(),
        denomination: if value.is_some() { "range".to_owned() } else { product.name.clone() },
        product_value: value,
        beneficiary: None,
    };
    Basket {
        lines: vec![line],
        payment_via: "USER_WALLET".to_owned(),
        coin: "USDC".to_owned(),
        network: Some("Base".to_owned()),
        buyer_email: Some("a@example.com".to_owned()),
        ..Basket::default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    pub fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        let entries = fs::read_dir(folder).expect("each target has seeds");
        entries.map(|entry| fs::read(entry.expect("a file").path()).expect("a file")).collect()
    }

    #[test]
    fn every_seed_of_an_order_is_understood_or_refused() {
        let seeds = seeds("order_body");
        assert!(seeds.len() >= 3);
        seeds.iter().for_each(|bytes| super::order_body(bytes));
        let is_read = |bytes: &&Vec<u8>| super::read_body(bytes).is_ok();
        assert!(seeds.iter().filter(is_read).count() >= 2, "nothing to begin from");
    }

    #[test]
    fn every_seed_of_a_catalogue_is_understood_or_refused() {
        let seeds = seeds("catalogue");
        assert!(!seeds.is_empty());
        seeds.iter().for_each(|bytes| super::catalogue(bytes));
        let is_read = |bytes: &&Vec<u8>| {
            let text = String::from_utf8_lossy(bytes);
            super::catalogue_file::read(&text, "seed".to_owned(), &mut |_| {}).is_ok()
        };
        assert!(seeds.iter().any(|bytes| is_read(&bytes)), "nothing to begin from");
    }
}
