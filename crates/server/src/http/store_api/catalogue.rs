//! What the shop shows, as wire types of the store API: contract 3.1 to 3.7 and 3.14.
//!
//! Pure: one snapshot and one question in, one answer out; no database, no clock, no headers. Prices come from
//! `domain::validate`, as those of orders do, so that a listing never differs from the order that follows. Must never
//! invent what the catalogue does not know: such fields are left out. Called by `answers`, which keeps the results.

// Brands with their products and prices: 3.5 to 3.7.
mod products;
#[cfg(test)]
mod tests;

use crate::engine::Snapshot;
use api::{BrandCategory, Brands, Country, PaymentVia, SmartContract, ViaCurrency, ViaNetwork};
use domain::asset::{Asset, ChainKind, Coin, Network};
use domain::catalog::{Brand, Denomination, Product};
use domain::country;
use domain::ids::PartnerId;
use domain::money::Fiat;
use domain::pricing::RateError;
use domain::terms::is_own_stock;
use domain::time::Time;
use domain::validate::{Market, Problem, money_label, threshold_text};
use serde::Serialize;
use std::sync::LazyLock;

/// The countries by name, as on the contract's own list (3.14).
static COUNTRIES: LazyLock<Vec<Country>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../../../demo/countries.json")).expect("the list is part of the program")
});

/// What a client may ask. Equal questions have equal answers as long as the snapshot is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    PaymentVias,
    Currencies,
    Countries,
    Brands { country: String },
    Homepage { country: String },
    Search(SearchQuestion),
    Products(ProductsQuestion),
    Price(PriceQuestion),
}

/// Contract 3.5.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SearchQuestion {
    pub country: String,
    pub text: String,
    pub language: String,
    pub terms: Terms,
}

/// Contract 3.6. With family and brand, both must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ProductsQuestion {
    pub country: String,
    /// In whatever case.
    pub family: Option<String>,
    /// The exact name.
    pub brand: Option<String>,
    pub language: String,
    pub terms: Terms,
}

/// Contract 3.7.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PriceQuestion {
    pub country: String,
    pub brand: String,
    /// Decimal text, in the currency of the product.
    pub face_value: String,
    pub terms: Terms,
}

/// In what prices are wanted, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Terms {
    /// A ticker; without one BTC (contract section 12).
    pub coin: Option<String>,
    /// The word of one network's asset, such as `USDC-MATIC`; anything else changes nothing.
    pub payment_method: Option<String>,
    pub promo_code: Option<String>,
    pub partner: Option<PartnerId>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The asker can mend it; the text says how.
    #[error("{0}")]
    Question(String),
    /// What an order for it would be refused with.
    #[error("{}", .0.code())]
    NotSold(Problem),
    #[error("it cannot be priced now")]
    Rate(#[from] RateError),
}

/// One snapshot, and how this shop shows it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub snapshot: &'a Snapshot,
    /// Where logos are served from, without their names.
    pub logo_base: &'a str,
    /// `product_type` of every brand and product (contract section 12).
    pub product_type: &'a str,
    pub now: Time,
}

/// In which groups of `categories` a brand stands.
#[derive(Clone, Copy)]
enum Placement {
    /// In that of its category only.
    Own,
    /// In those of its additional categories too.
    All,
}

/// Indices of the brands of one group, ascending.
struct Group<'a> {
    kind: &'a str,
    category: &'a str,
    members: Vec<usize>,
}

impl View<'_> {
    /// The JSON text that answers a question. Errors: the question names what is not there, or a rate is missing, stale
    /// or off its peg.
    pub fn answer(&self, question: &Question) -> Result<Vec<u8>, Refused> {
        match question {
            Question::PaymentVias => Ok(json(&self.payment_vias())),
            Question::Currencies => Ok(json(&self.currencies())),
            Question::Countries => Ok(json(countries())),
            Question::Brands { country } => Ok(json(&self.brands(country)?)),
            Question::Homepage { country } => Ok(json(&self.homepage(country)?)),
            Question::Search(question) => Ok(json(&self.search(question)?)),
            Question::Products(question) => Ok(json(&self.products(question)?)),
            Question::Price(question) => Ok(json(&self.price(question)?)),
        }
    }

    /// Contract 3.1: the vias with every coin that some network carries, in the operator's order.
    pub fn payment_vias(&self) -> Vec<PaymentVia> {
        let market = self.market();
        let currencies: Vec<ViaCurrency> =
            market.rails.coins.iter().filter_map(|coin| self.via_currency(coin)).collect();
        let via = |name: &String| PaymentVia {
            name: name.clone(),
            available: true,
            logo_url: Some(self.logo_url(&sign_slug("via", name))),
            currencies: currencies.clone(),
        };
        market.vias.iter().map(via).collect()
    }

    /// Contract 3.2: every coin that a price may be asked in.
    pub fn currencies(&self) -> Vec<api::Currency> {
        let currency = |coin: &Coin| api::Currency {
            name: coin.name.clone(),
            symbol: Some(coin.name.clone()),
            logo_url: Some(self.logo_url(&sign_slug("coin", &coin.name))),
            is_suspended: self.is_suspended(coin),
        };
        self.market().rails.coins.iter().map(currency).collect()
    }

    /// Contract 3.3: the active brands of a country in the order of the file. Errors: the country is not known.
    pub fn brands(&self, country: &str) -> Result<Brands, Refused> {
        check_country(country)?;
        let records: Vec<&Brand> = self.market().catalogue.brands_in(country).collect();
        let mut popular: Vec<usize> = (0..records.len()).filter(|at| records[*at].popular.is_some()).collect();
        popular.sort_by_key(|at| records[*at].popular);
        Ok(self.envelope(country, &records, &popular, Placement::All))
    }

    /// Contract 3.4: the featured and then the trending brands in the operator's order; trending ones are the popular
    /// ones. Errors: the country is not known.
    pub fn homepage(&self, country: &str) -> Result<Brands, Refused> {
        check_country(country)?;
        let catalogue = &self.market().catalogue;
        let mut records: Vec<&Brand> = Vec::new();
        let mut popular: Vec<usize> = Vec::new();
        if let Some(page) = catalogue.homepage.get(country) {
            let mut place = |name: &String| {
                let brand = catalogue.brand(country, name).filter(|brand| brand.active)?;
                let known = records.iter().position(|record| record.id == brand.id);
                Some(known.unwrap_or_else(|| {
                    records.push(brand);
                    records.len() - 1
                }))
            };
            for name in &page.featured {
                place(name);
            }
            popular.extend(page.trending.iter().filter_map(place));
        }
        Ok(self.envelope(country, &records, &popular, Placement::Own))
    }

    fn market(&self) -> &Market {
        &self.snapshot.market
    }

    fn via_currency(&self, coin: &Coin) -> Option<ViaCurrency> {
        // The least amount is one amount in EUR, so all networks of a coin share it. Without a rate nothing is
        // refused as too little, hence 0.
        let threshold = threshold_text(coin, self.market(), coin.quoted_decimals).unwrap_or_else(|| "0".to_owned());
        let rails = self.market().rails.networks_of(&coin.name);
        let networks: Vec<ViaNetwork> =
            rails.map(|(network, asset)| self.via_network(network, asset, &threshold)).collect();
        if networks.is_empty() {
            return None;
        }
        Some(ViaCurrency {
            name: coin.name.clone(),
            is_suspended: self.is_suspended(coin),
            threshold: Some(threshold),
            logo_url: Some(self.logo_url(&sign_slug("coin", &coin.name))),
            networks,
        })
    }

    fn via_network(&self, network: &Network, asset: &Asset, threshold: &str) -> ViaNetwork {
        let engine = network.kind.engine().to_owned();
        let smart_contract = asset.contract.as_ref().map(|address| SmartContract {
            engine: engine.clone(),
            symbol: asset.coin.clone(),
            decimals: asset.decimals,
            address: address.clone(),
        });
        ViaNetwork {
            name: network.name.clone(),
            is_suspended: network.suspended,
            chain_id: network.chain_id.filter(|_| network.kind == ChainKind::Evm),
            base_token: Some(network.base_token.clone()),
            threshold: threshold.to_owned(),
            estimated_transfer_cost: Some(network.transfer_cost.clone()),
            smart_contract_engine: Some(engine),
            smart_contract,
            logo_url: Some(self.logo_url(&sign_slug("network", &network.name))),
        }
    }

    /// Whether nobody can pay with a coin now: suspended itself, or without an open network.
    fn is_suspended(&self, coin: &Coin) -> bool {
        coin.suspended || self.market().rails.networks_of(&coin.name).all(|(network, _)| network.suspended)
    }

    /// The envelope of brands and homepage. `popular` holds indices of `records`, in the order to show them.
    fn envelope(&self, country: &str, records: &[&Brand], popular: &[usize], placement: Placement) -> Brands {
        let all_brands: Vec<api::Brand> = records.iter().map(|record| self.brand(record)).collect();
        let pick =
            |indices: &[usize]| -> Vec<api::Brand> { indices.iter().map(|at| all_brands[*at].clone()).collect() };
        let category = |group: Group<'_>| {
            let is_member = |at: &usize| group.members.binary_search(at).is_ok();
            let popular: Vec<usize> = popular.iter().copied().filter(is_member).collect();
            BrandCategory {
                kind: group.kind.to_owned(),
                category: Some(group.category.to_owned()),
                popular_brands: pick(&popular),
                brands: pick(&group.members),
            }
        };
        let categories = groups(records, placement).into_iter().map(category).collect();
        let popular_brands = pick(popular);
        Brands {
            country_code: country.to_owned(),
            last_user_purchases: Vec::new(),
            suggestions: Vec::new(),
            categories,
            all_brands,
            popular_brands,
        }
    }

    fn brand(&self, record: &Brand) -> api::Brand {
        let (min, max) = bounds(record).unzip();
        api::Brand {
            brand_id: record.id.to_string(),
            brand: record.name.clone(),
            family: record.family.clone(),
            kind: record.kind.clone(),
            category: record.category.clone(),
            additional_categories: record.additional_categories.clone(),
            country_code: record.country.clone(),
            min,
            max,
            is_out_of_stock: self.is_out_of_stock(record),
            product_type: self.product_type.to_owned(),
            brand_tags: record.tags.clone(),
            bg_color: Some(record.background.clone()),
            logo_url: Some(self.logo_url(&record.logo_slug)),
            logo_base_url: Some(self.logo_base_url(&record.logo_slug)),
            default_denomination: None,
        }
    }

    /// The operator's switch, or nothing left of any active product.
    fn is_out_of_stock(&self, brand: &Brand) -> bool {
        brand.out_of_stock || active(brand).all(|product| self.is_sold_out(product))
    }

    /// A product whose codes come from our own stock, and all of them are sold or held. A second supplier does not
    /// help: validation asks the stock first as well.
    fn is_sold_out(&self, product: &Product) -> bool {
        is_own_stock(&product.suppliers) && self.snapshot.sold_out.contains(&product.sku)
    }

    fn logo_url(&self, slug: &str) -> String {
        format!("{}.webp", self.logo_base_url(slug))
    }

    /// Clients append the suffixes of contract section 7.
    fn logo_base_url(&self, slug: &str) -> String {
        format!("{}/{slug}", self.logo_base.trim_end_matches('/'))
    }
}

/// Contract 3.14: the countries that the shop knows, whether or not anything is sold there now.
pub fn countries() -> &'static [Country] {
    &COUNTRIES
}

/// The logo name of something that is no brand (`coin_usdc`, `network_polygon-matic`). Slugs of brands have no `_`, so
/// the two never meet.
pub fn sign_slug(kind: &str, name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_ascii_lowercase).collect();
    format!("{kind}_{}", words.join("-"))
}

fn json(wire: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(wire).expect("wire types have nothing that JSON cannot write")
}

fn check_country(country: &str) -> Result<(), Refused> {
    if country::is_known(country) {
        return Ok(());
    }
    let detail = "country_code is not a country of this shop; send an upper-case ISO 3166-1 alpha-2 code such as US";
    Err(Refused::Question(detail.to_owned()))
}

/// Kinds and categories in the order in which brands first name them.
fn groups<'a>(records: &[&'a Brand], placement: Placement) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (at, record) in records.iter().copied().enumerate() {
        let more: &'a [String] = match placement {
            Placement::Own => &[],
            Placement::All => &record.additional_categories,
        };
        for category in std::iter::once(&record.category).chain(more) {
            let found = groups.iter().position(|group| group.kind == record.kind && group.category == category);
            match found {
                // A category that a brand names twice.
                Some(found) if groups[found].members.last() == Some(&at) => {}
                Some(found) => groups[found].members.push(at),
                None => groups.push(Group { kind: &record.kind, category, members: vec![at] }),
            }
        }
    }
    groups
}

fn active(brand: &Brand) -> impl Iterator<Item = &Product> {
    brand.products.iter().filter(|product| product.active)
}

/// Labels of the cheapest and the dearest thing of a brand by face value (`$5`, `1 GB 3 days`). Products in another
/// currency than the first cannot be compared and do not count.
fn bounds(brand: &Brand) -> Option<(String, String)> {
    let currency = active(brand).next()?.denomination.currency();
    let comparable = || active(brand).filter(|product| product.denomination.currency() == currency);
    let cheapest = comparable().min_by_key(|product| ends(product).0.units)?;
    let dearest = comparable().max_by_key(|product| ends(product).1.units)?;
    Some((label(cheapest, ends(cheapest).0), label(dearest, ends(dearest).1)))
}

/// The least and the largest face value of a product.
fn ends(product: &Product) -> (Fiat, Fiat) {
    match product.denomination {
        Denomination::Fixed { face, .. } => (face, face),
        Denomination::Range { min, max, .. } => (min, max),
    }
}

fn label(product: &Product, end: Fiat) -> String {
    match product.denomination {
        Denomination::Fixed { .. } => product.label.clone(),
        Denomination::Range { .. } => money_label(end),
    }
}
