//! What `kiosk demo` puts on the shelves at its first start: catalogue, codes, a partner.

use super::Kiosk;
use crate::catalogue_file;
use crate::logos::{self, Source, Variant};
use crate::ports::Goods;
use crate::store::accounts::{self, Account, Role};
use crate::store::stock::{self, NewCode};
use crate::store::{catalogue, settings};
use crate::workers;
use domain::catalog::OWN_STOCK;
use domain::ids::Sku;
use std::collections::BTreeMap;
use std::path::Path;

/// The partner id that the demo prints.
pub const DEMO_PARTNER: &str = "demo-partner";
/// Codes for each product that the demo's catalogue delivers from stock.
const CODES_PER_SKU: usize = 1_000;
const CATALOGUE: &str = include_str!("../../../../demo/catalogue.json");

/// Whether nothing was ever imported here.
pub async fn is_new(kiosk: &Kiosk) -> anyhow::Result<bool> {
    Ok(kiosk.engine.db.read(|tx| settings::get(tx, "demo_stocked")).await?.is_none())
}

/// Checks a catalogue file and puts it in force, with the logo images that lie in `folder`; all or nothing. Answers how
/// many brands it has.
pub async fn import_catalogue(
    kiosk: &Kiosk,
    text: String,
    folder: &Path,
    progress: &mut dyn FnMut(usize),
) -> Result<usize, Vec<String>> {
    let id = kiosk.vault.new_uuid().to_string();
    let read = catalogue_file::read_with_logos(&text, id.clone(), progress)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let logos = read_logos(&read.logos, folder)?;
    let now = kiosk.engine.clock.now();
    let kept = kiosk.engine.write(move |tx| {
        logos.iter().try_for_each(|(slug, image)| catalogue::set_logo(tx, slug, image))?;
        catalogue::add(tx, &id, &text, now)
    });
    kept.await.map_err(|error| vec![error.to_string()])?;
    workers::catalogue::run_once(&kiosk.engine).await.map_err(|error| vec![error.to_string()])?;
    Ok(read.catalogue.brands.len())
}

/// Opens the demo's exchange office, also in a demo that was begun before there was one.
pub async fn open_demo_office(kiosk: &Kiosk) -> anyhow::Result<()> {
    if kiosk.engine.shared.market().exchange.routes.is_empty() {
        let imported = super::import_exchange(kiosk, super::DEMO_EXCHANGE.to_owned()).await;
        imported.map_err(|errors| anyhow::anyhow!("the demo's exchange file is broken: {}", errors.join("; ")))?;
    }
    Ok(())
}

/// The images as the store keeps them; each is drawn once, so that a broken one is refused now and not by a shopper.
fn read_logos(names: &BTreeMap<String, String>, folder: &Path) -> Result<Vec<(String, String)>, Vec<String>> {
    let mut images = Vec::new();
    let mut wrong = Vec::new();
    for (slug, name) in names {
        let path = folder.join(name);
        let drawn = std::fs::read(&path).map_err(|error| error.to_string()).and_then(|bytes| {
            let source = Source::Image { bytes: &bytes, background: [255; 3] };
            logos::render(&source, Variant::Webp300x190).map_err(|error| error.to_string())?;
            Ok(crate::entropy::to_base64url(&bytes))
        });
        match drawn {
            Ok(image) => images.push((slug.clone(), image)),
            Err(error) => wrong.push(format!("logo {}: {error}", path.display())),
        }
    }
    if wrong.is_empty() { Ok(images) } else { Err(wrong) }
}

/// Fills the shelves of a new demo. Safe to be cut off: it begins again at the next start.
pub async fn stock_demo(kiosk: &Kiosk) -> anyhow::Result<()> {
    let imported = import_catalogue(kiosk, CATALOGUE.to_owned(), Path::new(""), &mut |_| {}).await;
    imported.map_err(|errors| anyhow::anyhow!("the demo catalogue is broken: {}", errors.join("; ")))?;
    let market = kiosk.engine.shared.market();
    let products = market.catalogue.brands.iter().flat_map(|brand| &brand.products);
    let own = products.filter(|product| product.suppliers.iter().any(|offer| offer.supplier == OWN_STOCK));
    let codes: Vec<NewCode> = own.flat_map(|product| demo_codes(kiosk, &product.sku)).collect();
    let now = kiosk.engine.clock.now();
    let partner = Account {
        id: DEMO_PARTNER.to_owned(),
        role: Role::Partner,
        name: "The demo's partner".to_owned(),
        token_hash: None,
        trust_from: Some("127.0.0.0/8,::1/128".to_owned()),
        active: true,
        created_at: now,
    };
    kiosk
        .engine
        .write(move |tx| {
            stock::add(tx, codes, now)?;
            accounts::add(tx, &partner)?;
            settings::set(tx, "demo_stocked", "yes")
        })
        .await?;
    kiosk.pools.fill_for_start().await?;
    workers::catalogue::run_once(&kiosk.engine).await?;
    Ok(())
}

fn demo_codes(kiosk: &Kiosk, sku: &Sku) -> Vec<NewCode> {
    let make = |_| {
        let random = crate::entropy::to_hex(&kiosk.ids.bytes()).to_uppercase();
        let pin_code = format!("DEMO-{}-{}-{}", &random[..4], &random[4..8], &random[8..12]);
        let goods = Goods { pin_code, pin_serial: Some(random[12..20].to_owned()), security_code: None };
        new_code(kiosk, sku, &goods, None)
    };
    (0..CODES_PER_SKU).map(make).collect()
}

/// A code of the operator's own, sealed for its row.
pub fn new_code(kiosk: &Kiosk, sku: &Sku, goods: &Goods, expires_on: Option<String>) -> NewCode {
    let sealed = kiosk.vault.seal_goods(goods);
    let fingerprint = kiosk.vault.fingerprint_of_code(goods);
    NewCode { id: sealed.code, sku: sku.clone(), sealed: sealed.sealed, fingerprint, expires_on }
}
