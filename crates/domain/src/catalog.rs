//! What the shop sells: brands (one record per brand and country), their products, and how to find them.
//!
//! A `Catalogue` is built once per import and never changed; orders keep the id of the one they were priced with.
//! Must never hold stock counts: those change with every order and live in rows of their own.

use crate::coupon::{Coupon, normal_code};
use crate::ids::{BrandId, ProductId, Sku};
use crate::money::{Currency, Fiat};
use crate::search::{Query, SearchText};
use std::collections::{BTreeMap, HashMap};

/// How the goods reach the recipient; it decides what a beneficiary must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryMethod {
    ByEmail,
    ByPhone,
}

impl DeliveryMethod {
    /// `delivery_type` of the store API (contract 3.6).
    pub fn word(self) -> &'static str {
        match self {
            DeliveryMethod::ByEmail => "by_email",
            DeliveryMethod::ByPhone => "by_phone",
        }
    }
}

/// One brand in one country.
#[derive(Debug, Clone, PartialEq)]
pub struct Brand {
    pub id: BrandId,
    pub name: String,
    pub country: String,
    pub family: String,
    /// `giftcard` or `mobile_recharge`.
    pub kind: String,
    pub category: String,
    pub additional_categories: Vec<String>,
    /// An inactive brand is not listed; ordered by name it gives `NOT_ACTIVE`.
    pub active: bool,
    pub limited: bool,
    pub login_required: bool,
    /// The operator's own switch; stock is counted elsewhere.
    pub out_of_stock: bool,
    /// `#RRGGBB`.
    pub background: String,
    /// File name part of its logo; unique per name, so that countries share one.
    pub logo_slug: String,
    /// Rank among the popular brands of its country, 1 first.
    pub popular: Option<u32>,
    pub tags: Vec<String>,
    pub redeem_methods: Vec<String>,
    pub redeem_geo: Option<String>,
    pub url: Option<String>,
    /// By language; `en` is the fallback.
    pub texts: BTreeMap<String, BrandText>,
    pub products: Vec<Product>,
}

/// What a shopper reads about a brand, in one language. HTML fragments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrandText {
    pub description: String,
    pub how_to_redeem: String,
    pub terms: String,
    pub note: String,
    pub tagline: Option<String>,
}

/// One thing that can be bought.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    pub id: ProductId,
    pub sku: Sku,
    pub denomination: Denomination,
    /// The exact text that an order must echo (`100 USD`, `1 GB 7 days`); empty for a range.
    pub name: String,
    /// The same for people (`$100`); empty for a range.
    pub label: String,
    pub delivery: DeliveryMethod,
    pub active: bool,
    pub limited: bool,
    /// Who can deliver it, in the order in which they are asked.
    pub suppliers: Vec<SupplierSku>,
    pub benefits: Vec<Benefit>,
}

/// What a product is worth to its recipient, and what it costs the shop; both in `currency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denomination {
    /// Also plans: the face value is then the list price.
    Fixed { face: Fiat, cost: Fiat },
    /// Any value from `min` to `max` in steps from `min`; cost in basis points of the face value.
    Range { min: Fiat, max: Fiat, step: Fiat, default: Fiat, cost_bps: i64 },
}

impl Denomination {
    pub fn currency(&self) -> Currency {
        match self {
            Denomination::Fixed { face, .. } => face.currency,
            Denomination::Range { min, .. } => min.currency,
        }
    }
}

/// A supplier and its own name for the product.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SupplierSku {
    /// `stock` means the operator's own codes; anything else names an adapter.
    pub supplier: String,
    pub sku: String,
}

/// The supplier name of the operator's own codes.
pub const OWN_STOCK: &str = "stock";

/// What a plan includes, such as 1 GB of data. An amount of -1 is unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Benefit {
    pub kind: String,
    pub unit: String,
    pub amount: String,
}

/// Featured and trending brands of a country, in the operator's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Homepage {
    pub featured: Vec<String>,
    pub trending: Vec<String>,
}

/// Everything on sale, with its indexes.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Names this import; orders keep it.
    pub id: String,
    pub brands: Vec<Brand>,
    pub homepage: BTreeMap<String, Homepage>,
    pub coupons: HashMap<String, Coupon>,
    by_country: HashMap<String, Vec<usize>>,
    by_name: HashMap<(String, String), usize>,
    by_sku: HashMap<Sku, (usize, usize)>,
    /// One per brand, in the same order.
    search_texts: Vec<SearchText>,
}

/// Two records that contradict each other; the texts name them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    #[error("brand {brand:?} stands twice for country {country}")]
    BrandTwice { brand: String, country: String },
    #[error("sku {sku:?} stands twice; the second is of brand {brand:?} in {country}")]
    SkuTwice { sku: String, brand: String, country: String },
}

impl Catalogue {
    /// Indexes the records; refuses a brand named twice in a country and a SKU used twice.
    pub fn build(
        id: String,
        brands: Vec<Brand>,
        homepage: BTreeMap<String, Homepage>,
        coupons: Vec<Coupon>,
    ) -> Result<Self, CatalogueError> {
        let mut catalogue = Catalogue { id, homepage, ..Catalogue::default() };
        for (at, brand) in brands.iter().enumerate() {
            catalogue.by_country.entry(brand.country.clone()).or_default().push(at);
            if catalogue.by_name.insert((brand.country.clone(), brand.name.clone()), at).is_some() {
                return Err(CatalogueError::BrandTwice { brand: brand.name.clone(), country: brand.country.clone() });
            }
            for (product_at, product) in brand.products.iter().enumerate() {
                if catalogue.by_sku.insert(product.sku.clone(), (at, product_at)).is_some() {
                    let (brand, country) = (brand.name.clone(), brand.country.clone());
                    return Err(CatalogueError::SkuTwice { sku: product.sku.to_string(), brand, country });
                }
            }
        }
        catalogue.search_texts = brands.iter().map(SearchText::of).collect();
        catalogue.brands = brands;
        for mut coupon in coupons {
            coupon.code = normal_code(&coupon.code);
            catalogue.coupons.insert(coupon.code.clone(), coupon);
        }
        Ok(catalogue)
    }

    /// The active brands of a country, in the order of the file.
    pub fn brands_in<'a>(&'a self, country: &str) -> impl Iterator<Item = &'a Brand> + 'a {
        self.by_country.get(country).into_iter().flatten().map(|at| &self.brands[*at]).filter(|brand| brand.active)
    }

    /// The brand of that exact, case-sensitive name, active or not (contract section 2).
    pub fn brand(&self, country: &str, name: &str) -> Option<&Brand> {
        self.by_name.get(&(country.to_owned(), name.to_owned())).map(|at| &self.brands[*at])
    }

    /// The coupon of that code, in whatever case it was typed.
    pub fn coupon(&self, code: &str) -> Option<&Coupon> {
        self.coupons.get(&normal_code(code))
    }

    /// At most `limit` active brands of a country for which every word of `query` begins a word of their name, family,
    /// category or tags; best first: names that begin with the query, then popular ones, then the order of the file.
    pub fn search(&self, country: &str, query: &str, limit: usize) -> Vec<&Brand> {
        let Some(query) = Query::parse(query) else {
            return Vec::new();
        };
        let of_country = self.by_country.get(country).into_iter().flatten().copied();
        let mut found: Vec<usize> =
            of_country.filter(|at| self.brands[*at].active && self.search_texts[*at].matches(&query)).collect();
        found.sort_by_key(|at| {
            (!self.search_texts[*at].name_begins_with(&query), self.brands[*at].popular.unwrap_or(u32::MAX), *at)
        });
        found.into_iter().take(limit).map(|at| &self.brands[at]).collect()
    }

    /// The product of a SKU with its brand.
    pub fn product(&self, sku: &Sku) -> Option<(&Brand, &Product)> {
        let (brand, product) = self.by_sku.get(sku)?;
        let brand = &self.brands[*brand];
        Some((brand, &brand.products[*product]))
    }
}

impl Brand {
    /// Its text in `language`, else in English, else empty.
    pub fn text(&self, language: &str) -> (&str, BrandText) {
        let found = self.texts.get_key_value(language).or_else(|| self.texts.get_key_value("en"));
        found.map_or(("en", BrandText::default()), |(locale, text)| (locale.as_str(), text.clone()))
    }
}
