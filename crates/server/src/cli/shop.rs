//! `kiosk shop`: buying at any shop of the store API from a terminal, for people and, with `--json`, for programs.
//!
//! It knows a shop only through the client of crate `api`, like every other customer: nothing of the server, its store
//! or its files. It must never place an order without an idempotency key, never repeat a purchase by itself, and show
//! codes nowhere but while following an order. Called by the command line of the binary.
//!
//! Exit codes: 0 is a yes; 1 is a no of the shop, or an order that ended without goods; 2 is everything else, first of
//! all a shop that cannot be reached. Results go to stdout, the rest to stderr. With `--json` stdout carries exactly
//! one JSON document on one line, `{"error": ..}` after a failure; `track` and `buy --track` write one order a line.

// What can be asked for.
mod arguments;
// What a buyer can do about each code.
mod advice;
// How a command ends when it does not end well.
mod failure;
// Where results and notes are written.
mod terminal;
// Tables, times, and texts that are safe to print.
pub(crate) mod text;
// The answers of a shop as text.
mod show;
// One order until it is over.
mod follow;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use api::{Brand, Client, Identity, Order, PriceQuery, ProductGroup, ProductsQuery};

use crate::entropy;

pub use arguments::ShopArgs;

use arguments::{BrandsArgs, BuyArgs, DEFAULT_URL, OrderArgs, PriceArgs, ProductsArgs, ShopCommand, order_request};
use failure::{Ending, Failure, FailureDocument};
use terminal::{Form, Terminal};
use text::shell_word;

/// The longest token file that is read, in bytes: a token is one short line.
const MOST_TOKEN_BYTES: u64 = 4_096;

/// Carries out one command of `kiosk shop` and gives the exit code that the process should end with.
///
/// # Errors
/// Only when a result could not be written. What the shop or the network did is told on stderr, see the module.
pub async fn run(args: ShopArgs) -> anyhow::Result<ExitCode> {
    run_into(args, &mut io::stdout(), &mut io::stderr()).await.map(ExitCode::from)
}

/// As [`run`], with the outputs handed in.
async fn run_into(
    args: ShopArgs,
    results: &mut (dyn Write + Send),
    notes: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let form = if args.json { Form::Json } else { Form::Text };
    let mut terminal = Terminal::new(results, notes, form);
    let failure = match carry_out(args, &mut terminal).await {
        Ok(ending) => return Ok(ending.exit_code()),
        // The reader has read enough, as `head` does.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
        Err(Failure::Output(error)) => return Err(error).context("a result could not be written to stdout"),
        Err(failure) => failure,
    };
    let report = failure.report();
    terminal.note(&report.text());
    if form == Form::Json {
        terminal
            .result(&FailureDocument { error: &report }, String::new)
            .context("a failure could not be written to stdout")?;
    }
    Ok(failure.exit_code())
}

async fn carry_out(args: ShopArgs, terminal: &mut Terminal<'_>) -> Result<Ending, Failure> {
    let customer = Customer::of(&args)?;
    match &args.command {
        ShopCommand::Brands(wanted) => customer.brands(wanted, terminal).await,
        ShopCommand::Products(wanted) => customer.products(wanted, terminal).await,
        ShopCommand::Price(wanted) => customer.price(wanted, terminal).await,
        ShopCommand::Validate(wanted) => customer.validate(wanted, terminal).await,
        ShopCommand::Buy(wanted) => customer.buy(wanted, terminal).await,
        ShopCommand::Track(wanted) => customer.track(&wanted.order_id, terminal).await,
        ShopCommand::Order(wanted) => customer.order(&wanted.order_id, terminal).await,
    }
}

/// One who buys at one shop.
struct Customer {
    client: Client,
    /// The arguments that lead another call to the same shop. Never the token.
    same_shop: String,
}

impl Customer {
    fn of(args: &ShopArgs) -> Result<Self, Failure> {
        let identity = Identity {
            application: args.partner.clone(),
            version: Some(concat!("kiosk-shop/", env!("CARGO_PKG_VERSION")).to_owned()),
            bearer: token(args)?,
        };
        let mut same_shop = String::new();
        if args.url != DEFAULT_URL {
            same_shop.push_str(&format!(" --url {}", shell_word(&args.url)));
        }
        if let Some(partner) = &args.partner {
            same_shop.push_str(&format!(" --partner {}", shell_word(partner)));
        }
        Ok(Self { client: Client::new(&args.url, identity)?, same_shop })
    }

    /// The command that follows an order, to be copied into a shell.
    fn track_command(&self, order_id: &str) -> String {
        format!("kiosk shop track {}{}", shell_word(order_id), self.same_shop)
    }

    async fn brands(&self, wanted: &BrandsArgs, terminal: &mut Terminal<'_>) -> Result<Ending, Failure> {
        let mut brands = self.client.brands(&wanted.country, None).await?.all_brands;
        if let Some(text) = &wanted.search {
            let found = self.client.search(&wanted.country, text, None).await?;
            brands = in_order_found(&found, brands);
        }
        if brands.is_empty() {
            terminal
                .note("The shop has no such brand there. `kiosk shop brands` without --search lists all of a country.");
        }
        terminal.result(&brands, || show::brands(&brands))?;
        Ok(Ending::Fine)
    }

    async fn products(&self, wanted: &ProductsArgs, terminal: &mut Terminal<'_>) -> Result<Ending, Failure> {
        let query = ProductsQuery {
            country_code: &wanted.country,
            family_name: wanted.filter.family.as_deref(),
            brand_name: wanted.filter.brand.as_deref(),
            coin: Some(&wanted.coin),
            lang: wanted.lang.as_deref(),
            ..ProductsQuery::default()
        };
        let groups = self.client.products(query).await?;
        if groups.is_empty() {
            terminal
                .note("The shop has no products of that name there. `kiosk shop brands` lists the names of a country.");
        }
        terminal.result(&groups, || show::products(&groups))?;
        Ok(Ending::Fine)
    }

    async fn price(&self, wanted: &PriceArgs, terminal: &mut Terminal<'_>) -> Result<Ending, Failure> {
        let query = PriceQuery {
            brand_name: &wanted.brand,
            country_code: &wanted.country,
            face_value: &wanted.value,
            coin: &wanted.coin,
            promo_code: None,
        };
        let price = self.client.price(query).await?;
        terminal.result(&price, || show::price(&wanted.brand, &wanted.value, &price))?;
        Ok(Ending::Fine)
    }

    async fn validate(&self, wanted: &OrderArgs, terminal: &mut Terminal<'_>) -> Result<Ending, Failure> {
        let validation = self.client.validate(&order_request(wanted)).await?;
        terminal.result(&validation, || show::validation(&validation))?;
        if validation.problems.is_empty() { Ok(Ending::Fine) } else { Ok(Ending::Refused) }
    }

    /// With a key in every case: a purchase whose answer is lost can then be repeated without buying twice.
    async fn buy(&self, wanted: &BuyArgs, terminal: &mut Terminal<'_>) -> Result<Ending, Failure> {
        let key = wanted.order.key.clone().unwrap_or_else(entropy::token);
        let order = self
            .client
            .create_order(&order_request(&wanted.order), Some(&key))
            .await
            .map_err(|error| Failure::of_purchase(error, &key))?;
        let text = show::purchase(&order, &self.track_command(&order.order_id));
        terminal.note("Who knows the order id can read the codes: keep it to yourself.");
        if !wanted.track {
            terminal.result(&without_codes(order), || text)?;
            return Ok(Ending::Fine);
        }
        if terminal.form() == Form::Text {
            terminal.text(&text)?;
        }
        follow::follow(&self.client, order, terminal).await
    }

    /// Asks once before it follows: a stream that cannot be opened is tried again for long, a wrong id or address not.
    async fn track(&self, order_id: &str, terminal: &mut Terminal<'_>) -> Result<Ending, Failure> {
        let order = self.client.order(order_id).await?;
        follow::follow(&self.client, order, terminal).await
    }

    async fn order(&self, order_id: &str, terminal: &mut Terminal<'_>) -> Result<Ending, Failure> {
        let order = without_codes(self.client.order(order_id).await?);
        let track_command = self.track_command(order_id);
        terminal.result(&order, || show::order(&order, &track_command))?;
        Ok(Ending::Fine)
    }
}

/// The token from its argument or its file.
fn token(args: &ShopArgs) -> Result<Option<String>, Failure> {
    match (&args.token, &args.token_file) {
        (Some(_), Some(_)) => Err(usage("give --token or --token-file, not both")),
        (Some(token), None) => Ok(Some(token.expose().clone())),
        (None, Some(path)) => token_of_file(path).map(Some),
        (None, None) => Ok(None),
    }
}

fn token_of_file(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MOST_TOKEN_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| usage(&format!("the token file {shown} cannot be read: {error}")))?;
    let token = text.trim();
    if token.is_empty() || text.len() as u64 > MOST_TOKEN_BYTES {
        return Err(usage(&format!("the token file {shown} must hold one token and nothing else")));
    }
    Ok(token.to_owned())
}

fn usage(problem: &str) -> Failure {
    Failure::Usage { problem: problem.to_owned() }
}

/// The brands that a search found, in its order: the search knows the best match, the listing the whole record.
fn in_order_found(found: &[ProductGroup], brands: Vec<Brand>) -> Vec<Brand> {
    let mut by_id: HashMap<String, Brand> = brands.into_iter().map(|brand| (brand.brand_id.clone(), brand)).collect();
    found.iter().filter_map(|group| by_id.remove(&group.brand_id)).collect()
}

/// The order without what is worth money: codes are shown while an order is followed, and nowhere else.
fn without_codes(mut order: Order) -> Order {
    order.pin_code = None;
    for delivery in &mut order.deliveries {
        let goods = &mut delivery.deliverable;
        goods.pin_code = None;
        goods.pin_serial = None;
        goods.security_code = None;
        goods.barcode_image_url = None;
        goods.qr_image_url = None;
        goods.operator_reference = None;
    }
    order
}
