//! The arguments of `kiosk shop`, and the order that they ask for.
//!
//! A doc comment on a field or a variant here is the help that people read. It must never judge more than form: whether
//! a brand exists or an address is right, the shop says. Read by the command line of the binary and by `shop`.

use std::path::PathBuf;

use api::{OrderRequest, PaymentChoice, RequestDelivery};

use crate::secret::Secret;

/// Where the demo listens.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// The word for a value of a range product, in place of a listed denomination. Contract, section 3.9.
const RANGE: &str = "range";

/// Buy at a shop: browse, price, validate, buy, and track to the code.
#[derive(Debug, clap::Args)]
pub struct ShopArgs {
    /// Address of the shop
    #[arg(long, global = true, value_name = "URL", default_value = DEFAULT_URL)]
    pub(super) url: String,

    /// Write JSON for programs: one document, or one order a line while tracking
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Partner id, sent as X-Cr-Application
    #[arg(long, global = true, value_name = "ID")]
    pub(super) partner: Option<String>,

    /// Token of a signed-in customer; other users of this machine can see it, --token-file is safer
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(super) token: Option<Secret<String>>,

    /// File that holds the token of a signed-in customer
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: ShopCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum ShopCommand {
    /// List the brands of a country
    Brands(BrandsArgs),
    /// List the products of a brand or of a family of brands
    Products(ProductsArgs),
    /// Ask for the price of one value
    Price(PriceArgs),
    /// Ask whether the shop would take an order; orders nothing
    Validate(OrderArgs),
    /// Place an order and show how to pay it
    Buy(BuyArgs),
    /// Follow an order and show its codes when it is done
    Track(OrderIdArgs),
    /// Show an order as it is now, without codes
    Order(OrderIdArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct BrandsArgs {
    /// Two-letter code of the country, such as US
    #[arg(long, value_name = "CODE", value_parser = country_code)]
    pub(super) country: String,

    /// Only brands that fit these words, the best first
    #[arg(long, value_name = "TEXT")]
    pub(super) search: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ProductsArgs {
    /// Two-letter code of the country, such as US
    #[arg(long, value_name = "CODE", value_parser = country_code)]
    pub(super) country: String,

    #[command(flatten)]
    pub(super) filter: ProductsFilter,

    /// Coin of the prices
    #[arg(long, default_value = "USDC")]
    pub(super) coin: String,

    /// Language of the texts, such as en
    #[arg(long)]
    pub(super) lang: Option<String>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct ProductsFilter {
    /// Exact name of the brand
    #[arg(long, value_name = "NAME")]
    pub(super) brand: Option<String>,

    /// Family of brands
    #[arg(long, value_name = "NAME")]
    pub(super) family: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct PriceArgs {
    /// Two-letter code of the country, such as US
    #[arg(long, value_name = "CODE", value_parser = country_code)]
    pub(super) country: String,

    /// Exact name of the brand
    #[arg(long, value_name = "NAME")]
    pub(super) brand: String,

    /// Value in the product's own currency, such as 75
    #[arg(long, value_name = "NUMBER", value_parser = decimal)]
    pub(super) value: String,

    /// Coin of the price
    #[arg(long, default_value = "USDC")]
    pub(super) coin: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct OrderArgs {
    /// Two-letter code of the country, such as US
    #[arg(long, value_name = "CODE", value_parser = country_code)]
    pub(super) country: String,

    /// Exact name of the brand
    #[arg(long, value_name = "NAME")]
    pub(super) brand: String,

    #[command(flatten)]
    pub(super) amount: OrderAmount,

    /// E-mail address of the recipient, or the phone number in the form +15551234567; without it the buyer is it
    #[arg(long, value_name = "EMAIL_OR_PHONE")]
    pub(super) beneficiary: Option<String>,

    /// E-mail address of the buyer
    #[arg(long, value_name = "EMAIL")]
    pub(super) email: String,

    /// Coin to pay with
    #[arg(long, default_value = "USDC")]
    pub(super) coin: String,

    /// Network to pay on, such as Solana; without it the shop takes its first
    #[arg(long)]
    pub(super) network: Option<String>,

    /// Way of paying
    #[arg(long, default_value = "USER_WALLET")]
    pub(super) via: String,

    /// How many of the same
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(super) quantity: u16,

    /// Coupon
    #[arg(long, value_name = "CODE")]
    pub(super) promo: Option<String>,

    /// Language of the mails, such as en
    #[arg(long)]
    pub(super) lang: Option<String>,

    /// Where a refund may go; cannot be given later
    #[arg(long, value_name = "ADDRESS")]
    pub(super) refund_address: Option<String>,

    /// Idempotency key: the same key with the same order buys once; without it a new one is made. Validate ignores it
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct OrderAmount {
    /// Denomination exactly as listed, such as "100 USD"
    #[arg(long, value_name = "TEXT")]
    pub(super) denomination: Option<String>,

    /// Value of a range product, such as 75
    #[arg(long, value_name = "NUMBER", value_parser = decimal)]
    pub(super) value: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct BuyArgs {
    #[command(flatten)]
    pub(super) order: OrderArgs,

    /// Follow the order at once, as track does
    #[arg(long)]
    pub(super) track: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct OrderIdArgs {
    /// Order id, as buy shows it; who knows it can read the codes
    #[arg(value_name = "ORDER_ID")]
    pub(super) order_id: String,
}

/// The order that the arguments ask for. Contract, section 3.9.
pub(super) fn order_request(wanted: &OrderArgs) -> OrderRequest {
    let delivery = RequestDelivery {
        brand_name: wanted.brand.clone(),
        country_code: wanted.country.clone(),
        denomination: wanted.amount.denomination.clone().unwrap_or_else(|| RANGE.to_owned()),
        product_value: wanted.amount.value.clone(),
        beneficiary_account: Some(wanted.beneficiary.clone().unwrap_or_else(|| wanted.email.clone())),
    };
    let payment = PaymentChoice::via(wanted.via.as_str(), wanted.coin.as_str(), wanted.network.as_deref());
    let mut request = OrderRequest::new(wanted.email.as_str(), payment, vec![delivery; usize::from(wanted.quantity)]);
    request.lang = wanted.lang.clone();
    request.promo_code = wanted.promo.clone();
    request.refund_wallet_address = wanted.refund_address.clone();
    request
}

/// A country in the form of the contract's section 2; people may write it in lower case.
fn country_code(text: &str) -> Result<String, String> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_uppercase());
    }
    Err("a country is two letters, such as US".to_owned())
}

/// A plain decimal, kept as its text so that no digit of it is lost.
fn decimal(text: &str) -> Result<String, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(whole) && is_number(fraction) {
        return Ok(text.to_owned());
    }
    Err("a value is a number without its currency, such as 75 or 75.50".to_owned())
}
