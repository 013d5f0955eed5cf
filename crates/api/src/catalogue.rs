//! Answers about what is for sale and how it can be paid (store contract, sections 3.1 to 3.7 and 3.14).
//!
//! The type rules of the contract's section 11 live in these definitions: amounts are decimal strings, the numbers of a
//! range are JSON numbers that keep their text, and what is unknown is left out, never null. Two things read wider than
//! they are written: null lists are empty lists, and amounts may come as numbers.
//!
//! No price is computed here. The server fills these types, the client reads them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::lenient;

/// A way of paying with the coins it takes. One entry per name. Contract, section 3.1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentVia {
    /// The id to send back as `payment.payment_via`, such as `USER_WALLET`.
    pub name: String,
    /// False while the via takes no new orders.
    #[serde(default = "taken_as_available")]
    pub available: bool,
    /// Absolute https address of the logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// The coins it takes, the recommended one first.
    pub currencies: Vec<ViaCurrency>,
}

/// Two known clients read a via without the field as available; so does this one.
fn taken_as_available() -> bool {
    true
}

/// A coin of a payment via. Contract, section 3.1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ViaCurrency {
    /// The ticker to send back as `payment.coin`.
    pub name: String,
    /// True while the coin takes no new orders.
    pub is_suspended: bool,
    /// The least amount of an order in this coin, as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// Absolute https address of the logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// The networks the coin can be sent on, the recommended one first.
    pub networks: Vec<ViaNetwork>,
}

/// A network of a coin. Contract, section 3.1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ViaNetwork {
    /// The exact string to send back as `payment.network`.
    pub name: String,
    /// True while the network takes no new orders.
    #[serde(default)]
    pub is_suspended: bool,
    /// The EVM chain id; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<u64>,
    /// The coin that pays this network's fees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_token: Option<String>,
    /// The least amount of an order in the coin, as a decimal string of up to 18 decimals; never a number.
    pub threshold: String,
    /// A text for people, such as `€0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_transfer_cost: Option<String>,
    /// `EVM`, `SVM` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smart_contract_engine: Option<String>,
    /// The token's contract; absent for the network's own coin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smart_contract: Option<SmartContract>,
    /// Absolute https address of the logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
}

/// The contract or mint of a token. Contract, section 3.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SmartContract {
    /// `EVM`, `SVM` and the like.
    pub engine: String,
    /// The token's ticker.
    pub symbol: String,
    /// Decimal places of the token on this network.
    pub decimals: u32,
    /// The contract's or the mint's address.
    pub address: String,
}

/// A coin. Contract, section 3.2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Currency {
    /// The ticker.
    pub name: String,
    /// The ticker once more, for clients that look for it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Absolute https address of the logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// True while the coin takes no new orders.
    pub is_suspended: bool,
}

/// The brands of a country, and the same envelope for the curated feed. Contract, sections 3.3 and 3.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Brands {
    /// Equal to the country that was asked for.
    pub country_code: String,
    /// Empty for a visitor who is not signed in.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub last_user_purchases: Vec<Brand>,
    /// Empty for a visitor who is not signed in.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub suggestions: Vec<Brand>,
    /// The brands by kind and category; a brand may stand in several.
    pub categories: Vec<BrandCategory>,
    /// Every brand once. Five known clients read only this list, so it is never left out.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub all_brands: Vec<Brand>,
    /// The brands to show first.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub popular_brands: Vec<Brand>,
}

/// A group of brands. Contract, section 3.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrandCategory {
    /// `giftcard`, `mobile_recharge` and the like.
    pub kind: String,
    /// A slug of the contract's section 3.3.1; null was seen, and clients then fall back to `kind`.
    #[serde(default)]
    pub category: Option<String>,
    /// The group's brands to show first.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub popular_brands: Vec<Brand>,
    /// The group's brands.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub brands: Vec<Brand>,
}

/// A brand in one country. The same `brand_id` always comes with the same record. Contract, section 3.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Brand {
    /// UUID.
    pub brand_id: String,
    /// The exact name, to be sent back as `brand_name`.
    pub brand: String,
    /// The family, to be asked for as `family_name`; several brands may share it.
    pub family: String,
    /// `giftcard`, `mobile_recharge` and the like; eSIM brands are `mobile_recharge`.
    pub kind: String,
    /// A slug of the contract's section 3.3.1.
    pub category: String,
    /// More slugs; a list, never null.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub additional_categories: Vec<String>,
    /// Equal to the country that was asked for.
    pub country_code: String,
    /// The smallest denomination as a label such as `$5`; left out when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// The largest denomination as a label such as `$500`; left out when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// True while nothing of the brand can be bought.
    pub is_out_of_stock: bool,
    /// `physical` or `digital`, a setting of the server; clients should not depend on it.
    pub product_type: String,
    /// Free labels.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub brand_tags: Vec<String>,
    /// A colour such as `#FFFFFF`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bg_color: Option<String>,
    /// Absolute https address of the logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// The logo's address without a suffix; the suffixes are in the contract's section 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_base_url: Option<String>,
    /// The denomination to offer first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_denomination: Option<String>,
}

/// A brand with its products. Contract, section 3.6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProductGroup {
    /// Uppercase alpha-2.
    pub country_code: String,
    /// `giftcard`, `mobile_recharge` and the like.
    pub kind: String,
    /// A slug of the contract's section 3.3.1.
    pub category: String,
    /// More slugs; a list, never null.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub additional_categories: Vec<String>,
    /// The denomination to offer first; may be empty.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub default_denomination: String,
    /// UUID.
    pub brand_id: String,
    /// The exact name, to be sent back as `brand_name`.
    pub brand: String,
    /// The family of the brand.
    pub family: String,
    /// True while nothing of the brand can be bought.
    pub is_out_of_stock: bool,
    /// A colour such as `#171A21`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bg_color: Option<String>,
    /// Absolute https address of the logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// The logo's address without a suffix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_base_url: Option<String>,
    /// Terms as plain text; empty when there are none, never null.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub product_tc: String,
    /// Where a code can be used, such as `online`.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub redeem_method: Vec<String>,
    /// Texts about the brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rich_description: Option<RichDescription>,
    /// The products; empty rather than null.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub products: Vec<Product>,
}

/// Texts about a brand, in one language. Contract, section 3.6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RichDescription {
    /// The markup of the texts, such as `html`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markup: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how_to_redeem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term_and_conditions: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeem_geo: Option<String>,
    /// The language of the texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand_tagline: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand_use_case: Option<String>,
    /// Named by the contract without a shape, so any shape is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand_alt_names: Option<serde_json::Value>,
    /// Size of the texts in bytes.
    #[serde(default, rename = "sizeInBytes", skip_serializing_if = "Option::is_none")]
    pub size_in_bytes: Option<u64>,
}

/// A product: one denomination, or a range of values. Contract, section 3.6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Product {
    /// UUID.
    pub product_id: String,
    /// True for a range.
    pub is_dynamic: bool,
    /// Fixed products only; to be sent back letter by letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denomination: Option<String>,
    /// The denomination as a label such as `$10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localized_denomination: Option<String>,
    /// Ranges only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// The coin of the amounts.
    pub coin: String,
    /// The price as a decimal string; absent for ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coin_amount: Option<String>,
    /// The price before a discount, as a decimal string; absent for ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_coin_amount: Option<String>,
    /// Coin and network as one word, such as `USDC-MATIC`.
    pub payment_method: String,
    /// Decides whether the beneficiary is an e-mail address or a phone number.
    pub delivery_type: DeliveryType,
    /// See [`Brand::product_type`].
    pub product_type: String,
    /// Loyalty points, an integer as a string.
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub points: Option<String>,
    /// What the product is worth in its own currency.
    pub face_value: FaceValue,
    /// What an eSIM or a bundle holds; left out when empty.
    #[serde(default, deserialize_with = "lenient::null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub benefits: Vec<Benefit>,
}

/// How the goods reach the beneficiary. Contract, section 3.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryType {
    /// The beneficiary is an e-mail address.
    ByEmail,
    /// The beneficiary is a phone number in E.164 with `+`.
    ByPhone,
}

/// The values a range product can be bought for. Contract, section 3.6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// The least value, a JSON number that keeps its text.
    #[schemars(with = "f64")]
    pub min: Number,
    /// The largest value, a JSON number that keeps its text.
    #[schemars(with = "f64")]
    pub max: Number,
    /// Equal to the currency of the face value.
    pub currency: String,
    /// The distance between two values, a JSON number that keeps its text.
    #[schemars(with = "f64")]
    pub step_size: Number,
    /// The value to offer first, a string such as `500.0`.
    #[serde(deserialize_with = "lenient::text")]
    pub default: String,
}

/// What a product is worth in its own currency. Contract, section 3.6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaceValue {
    /// ISO 4217.
    pub currency_code: String,
    pub amount: FaceAmount,
}

/// A fixed price, or the two ends of a range. Contract, section 3.6.
///
/// One struct and no tagged enum: the forms differ only in which of the strings are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaceAmount {
    #[serde(rename = "type")]
    pub kind: FaceAmountType,
    /// Fixed only; a decimal string.
    #[serde(default, deserialize_with = "lenient::optional_amount_text", skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// Range only; a decimal string equal in value to `range.min`.
    #[serde(default, deserialize_with = "lenient::optional_amount_text", skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// Range only; a decimal string equal in value to `range.max`.
    #[serde(default, deserialize_with = "lenient::optional_amount_text", skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}

impl FaceAmount {
    /// A fixed face value; `price` is a decimal string.
    pub fn fixed(price: impl Into<String>) -> Self {
        Self { kind: FaceAmountType::Fixed, price: Some(price.into()), min: None, max: None }
    }

    /// A range of face values; both ends are decimal strings.
    pub fn range(min: impl Into<String>, max: impl Into<String>) -> Self {
        Self { kind: FaceAmountType::Range, price: None, min: Some(min.into()), max: Some(max.into()) }
    }
}

/// The two forms of [`FaceAmount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaceAmountType {
    /// `price` is there.
    Fixed,
    /// `min` and `max` are there.
    Range,
}

/// What an eSIM or a bundle holds, such as 5 GB. Contract, section 3.6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Benefit {
    /// `DATA` and the like.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_type: Option<String>,
    /// `GB` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    pub amount: BenefitAmount,
}

/// A benefit before and after tax. Contract, section 3.6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BenefitAmount {
    pub base: BenefitQuantity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_including_tax: Option<BenefitQuantity>,
}

/// How much of a benefit. Contract, section 3.6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BenefitQuantity {
    /// In the benefit's unit; `-1` is unlimited.
    #[serde(deserialize_with = "lenient::number")]
    #[schemars(with = "f64")]
    pub amount: Number,
}

/// The price of one face value. Contract, section 3.7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Equal to the listed product.
    pub product_id: String,
    /// True for a range.
    pub is_dynamic: bool,
    /// Ranges only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Equal to the coin that was asked for.
    pub coin: String,
    /// The price as a decimal string.
    pub coin_amount: String,
    /// The price before a discount, as a decimal string.
    pub original_coin_amount: String,
    /// Coin and network as one word, such as `USDC-MATIC`.
    pub payment_method: String,
    pub delivery_type: DeliveryType,
    /// Loyalty points, an integer as a string.
    #[serde(deserialize_with = "lenient::text")]
    pub points: String,
    /// See [`Brand::product_type`].
    pub product_type: String,
}

/// A country that can be sold to. Contract, section 3.14.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Country {
    /// Uppercase alpha-2.
    pub code: String,
    /// The English name.
    pub name: String,
}

#[cfg(test)]
mod tests;
