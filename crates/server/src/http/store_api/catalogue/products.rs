//! Brands with their products and prices: search, listings, the price of one face value (contract 3.5 to 3.7).
//!
//! Refuses rather than guesses: without a rate that may be sold with there is no price, and no list with holes in it.

use super::{PriceQuestion, ProductsQuestion, Refused, SearchQuestion, Terms, View, active, ends};
use api::{BenefitAmount, BenefitQuantity, DeliveryType, FaceAmount, FaceValue, ProductGroup, RichDescription};
use domain::asset::{Coin, Rails};
use domain::catalog::{Benefit, Brand, BrandText, DeliveryMethod, Denomination, Product};
use domain::ids::PartnerId;
use domain::money::Fiat;
use domain::pricing::RateError;
use domain::validate::{ListPrice, Listing, Offer, Problem, coin_named, list_price, offer_of_value};
use rust_decimal::Decimal;
use serde_json::Number;

/// Brands that one search answers with at most.
const MOST_FOUND: usize = 30;
/// What a listing is priced in when no coin is named (contract section 12).
const DEFAULT_COIN: &str = "BTC";
/// Whose word stands for a coin when only the coin is named (contract 3.6: `USDC-MATIC`).
const USUAL_NETWORK: &str = "Polygon (Matic)";
/// Tags that stand inside a word or a sentence; all others separate words.
const INLINE_TAGS: [&str; 11] = ["a", "b", "code", "em", "i", "small", "span", "strong", "sub", "sup", "u"];

/// The coin that prices are in, and the terms.
struct Till<'a> {
    coin: &'a Coin,
    /// As it was asked for: `GRAM` stays `GRAM`.
    ticker: &'a str,
    payment_method: String,
    promo_code: Option<&'a str>,
    partner: Option<&'a PartnerId>,
}

impl View<'_> {
    /// Contract 3.5: brands that match, best first; none in a country that is not known. Errors: as [`View::products`].
    pub fn search(&self, question: &SearchQuestion) -> Result<Vec<ProductGroup>, Refused> {
        let till = self.till(&question.terms)?;
        let found = self.market().catalogue.search(&question.country, &question.text, MOST_FOUND);
        let group = |brand| self.group(brand, &question.language, &till);
        Ok(found.into_iter().map(group).collect::<Result<_, _>>()?)
    }

    /// Contract 3.6: the active brands of that family or name with their products; none if nothing is called so.
    /// Errors: the coin is not known, or a price needs a rate that is missing, stale or off its peg.
    pub fn products(&self, question: &ProductsQuestion) -> Result<Vec<ProductGroup>, Refused> {
        let till = self.till(&question.terms)?;
        let catalogue = &self.market().catalogue;
        let family = question.family.as_deref().map(str::to_lowercase);
        let brands: Vec<&Brand> = match &question.brand {
            Some(name) => catalogue.brand(&question.country, name).into_iter().filter(|brand| brand.active).collect(),
            None => catalogue.brands_in(&question.country).collect(),
        };
        let is_asked = |brand: &&Brand| family.as_ref().is_none_or(|family| brand.family.to_lowercase() == *family);
        let group = |brand| self.group(brand, &question.language, &till);
        Ok(brands.into_iter().filter(is_asked).map(group).collect::<Result<_, _>>()?)
    }

    /// Contract 3.7: what one face value costs. Errors: the coin is not known; what an order for it would be refused
    /// with (no such brand or face value, not active); or a rate is missing, stale or off its peg.
    pub fn price(&self, question: &PriceQuestion) -> Result<api::Price, Refused> {
        let till = self.till(&question.terms)?;
        let brand = self.market().catalogue.brand(&question.country, &question.brand);
        let brand = brand.ok_or(Refused::NotSold(Problem::NotAvailableProduct { range: None }))?;
        let offer = offer_of_value(brand, &question.face_value).map_err(Refused::NotSold)?;
        if !brand.active || !offer.product.active {
            return Err(Refused::NotSold(Problem::NotActive));
        }
        let (product, face) = (offer.product, offer.face);
        let range = range(&product.denomination);
        let price = self.list_price(offer, &till)?;
        Ok(api::Price {
            product_id: product.id.to_string(),
            is_dynamic: range.is_some(),
            range,
            coin: till.ticker.to_owned(),
            coin_amount: price.coin_amount(),
            original_coin_amount: price.original_coin_amount(),
            payment_method: till.payment_method,
            delivery_type: delivery_type(product.delivery),
            points: self.points(face),
            product_type: self.product_type.to_owned(),
        })
    }

    fn till<'t>(&'t self, terms: &'t Terms) -> Result<Till<'t>, Refused> {
        let rails = &self.market().rails;
        let coin = match terms.coin.as_deref() {
            Some(ticker) => coin_named(rails, ticker),
            None => default_coin(rails),
        };
        let coin = coin.ok_or_else(|| unknown_coin(rails))?;
        Ok(Till {
            coin,
            ticker: terms.coin.as_deref().unwrap_or(&coin.name),
            payment_method: payment_method(rails, coin, terms.payment_method.as_deref()),
            promo_code: terms.promo_code.as_deref(),
            partner: terms.partner.as_ref(),
        })
    }

    /// A brand with what can be bought of it. Sold-out products are left out, unless nothing else is left: then the
    /// brand itself says so.
    fn group(&self, brand: &Brand, language: &str, till: &Till<'_>) -> Result<ProductGroup, RateError> {
        let is_out_of_stock = self.is_out_of_stock(brand);
        let listed = active(brand).filter(|product| is_out_of_stock || !self.is_sold_out(product));
        let products: Result<Vec<_>, _> = listed.map(|product| self.product(brand, product, till)).collect();
        let (locale, text) = brand.text(language);
        Ok(ProductGroup {
            country_code: brand.country.clone(),
            kind: brand.kind.clone(),
            category: brand.category.clone(),
            additional_categories: brand.additional_categories.clone(),
            default_denomination: String::new(),
            brand_id: brand.id.to_string(),
            brand: brand.name.clone(),
            family: brand.family.clone(),
            is_out_of_stock,
            bg_color: Some(brand.background.clone()),
            logo_url: Some(self.logo_url(&brand.logo_slug)),
            logo_base_url: Some(self.logo_base_url(&brand.logo_slug)),
            product_tc: plain_text(&text.terms),
            redeem_method: brand.redeem_methods.clone(),
            rich_description: (!brand.texts.is_empty()).then(|| rich_description(brand, locale, &text)),
            products: products?,
        })
    }

    fn product(&self, brand: &Brand, product: &Product, till: &Till<'_>) -> Result<api::Product, RateError> {
        // A range has no price until a value is chosen.
        let price = Offer::fixed(brand, product).map(|offer| self.list_price(offer, till)).transpose()?;
        let range = range(&product.denomination);
        let text = |text: &String| range.is_none().then(|| text.clone());
        Ok(api::Product {
            product_id: product.id.to_string(),
            is_dynamic: range.is_some(),
            denomination: text(&product.name),
            localized_denomination: text(&product.label),
            coin: till.ticker.to_owned(),
            coin_amount: price.map(|price| price.coin_amount()),
            original_coin_amount: price.map(|price| price.original_coin_amount()),
            payment_method: till.payment_method.clone(),
            delivery_type: delivery_type(product.delivery),
            product_type: self.product_type.to_owned(),
            points: Some(self.points(ends(product).0)),
            face_value: face_value(&product.denomination),
            benefits: product.benefits.iter().filter_map(benefit).collect(),
            range,
        })
    }

    fn list_price(&self, offer: Offer<'_>, till: &Till<'_>) -> Result<ListPrice, RateError> {
        let listing = Listing { offer, coin: till.coin, partner: till.partner, promo_code: till.promo_code };
        list_price(&listing, self.market(), self.now)
    }

    fn points(&self, face: Fiat) -> String {
        self.market().rates.points(face).to_string()
    }
}

/// BTC, or the first coin that can be paid with in a shop that does not know BTC.
fn default_coin(rails: &Rails) -> Option<&Coin> {
    let open = || rails.coins.iter().find(|coin| !coin.suspended);
    rails.coin(DEFAULT_COIN).or_else(open).or_else(|| rails.coins.first())
}

fn unknown_coin(rails: &Rails) -> Refused {
    let coins: Vec<&str> = rails.coins.iter().map(|coin| coin.name.as_str()).collect();
    Refused::Question(format!("this coin is not known here; coin is one of {}", coins.join(", ")))
}

/// The word of the network that was named, else that of the usual network, else that of the first; a coin that no
/// network carries stands for itself, as BTC does.
fn payment_method(rails: &Rails, coin: &Coin, asked: Option<&str>) -> String {
    let assets = || rails.networks_of(&coin.name);
    let named = asked.and_then(|word| assets().find(|(_, asset)| asset.payment_method == word));
    let usual = || assets().find(|(network, _)| network.name == USUAL_NETWORK);
    let chosen = named.or_else(usual).or_else(|| assets().next());
    chosen.map_or_else(|| coin.name.clone(), |(_, asset)| asset.payment_method.clone())
}

fn delivery_type(method: DeliveryMethod) -> DeliveryType {
    match method {
        DeliveryMethod::ByEmail => DeliveryType::ByEmail,
        DeliveryMethod::ByPhone => DeliveryType::ByPhone,
    }
}

fn range(denomination: &Denomination) -> Option<api::Range> {
    let Denomination::Range { min, max, step, default, .. } = denomination else {
        return None;
    };
    let default = default.plain();
    Some(api::Range {
        min: number(min),
        max: number(max),
        currency: min.currency.to_string(),
        step_size: number(step),
        // Known clients were shown `500.0`.
        default: if default.contains('.') { default } else { format!("{default}.0") },
    })
}

fn number(amount: &Fiat) -> Number {
    amount.plain().parse().expect("a plain decimal is a JSON number")
}

fn face_value(denomination: &Denomination) -> FaceValue {
    let amount = match denomination {
        Denomination::Fixed { face, .. } => FaceAmount::fixed(face.plain()),
        Denomination::Range { min, max, .. } => FaceAmount::range(min.with_minor_digits(), max.with_minor_digits()),
    };
    FaceValue { currency_code: denomination.currency().to_string(), amount }
}

/// `None` if the amount is not a number.
fn benefit(benefit: &Benefit) -> Option<api::Benefit> {
    let amount: Decimal = benefit.amount.parse().ok()?;
    let amount: Number = amount.normalize().to_string().parse().ok()?;
    let unit_type = match benefit.unit.as_str() {
        "KB" | "MB" | "GB" | "TB" => "DATA",
        "SECONDS" | "MINUTES" | "HOURS" | "DAYS" | "WEEKS" | "MONTHS" => "TIME",
        _ => "QUANTITY",
    };
    Some(api::Benefit {
        kind: benefit.kind.clone(),
        unit_type: Some(unit_type.to_owned()),
        unit: Some(benefit.unit.clone()),
        amount: BenefitAmount {
            base: BenefitQuantity { amount: amount.clone() },
            total_including_tax: Some(BenefitQuantity { amount }),
        },
    })
}

fn rich_description(brand: &Brand, locale: &str, text: &BrandText) -> RichDescription {
    RichDescription {
        markup: Some("html".to_owned()),
        description: Some(text.description.clone()),
        how_to_redeem: Some(text.how_to_redeem.clone()),
        term_and_conditions: Some(text.terms.clone()),
        note: Some(text.note.clone()),
        redeem_geo: brand.redeem_geo.clone(),
        locale: Some(locale.to_owned()),
        country_code: Some(brand.country.clone()),
        brand_url: brand.url.clone(),
        brand_tagline: text.tagline.clone(),
        ..RichDescription::default()
    }
}

/// The text of an HTML fragment on one line: `product_tc` is plain text, the same terms are HTML beside it.
pub(super) fn plain_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let Some((tag, after_tag)) = after.split_once('>') else {
            text.push('<');
            rest = after;
            continue;
        };
        let name = tag.trim_start_matches('/').split(|letter: char| !letter.is_ascii_alphanumeric()).next();
        if !INLINE_TAGS.contains(&name.unwrap_or_default().to_ascii_lowercase().as_str()) {
            text.push(' ');
        }
        rest = after_tag;
    }
    text.push_str(rest);
    // The ampersand last: `&amp;lt;` is the text `&lt;`.
    let entities = [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    let text = entities.into_iter().fold(text, |text, (entity, letter)| text.replace(entity, letter));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
