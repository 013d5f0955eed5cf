//! What an exchange file means: entries to currencies and routes, with every fault that they have.

use super::{CurrencyEntry, FieldEntry, File, FileError, MOST_CURRENCIES, MOST_FAULTS, MOST_ROUTES, RouteEntry};
use crate::entropy::to_hex;
use domain::asset::Rails;
use domain::ids::ObjectId;
use domain::money::parse_units;
use domain::route::{
    Currency, Deal, Discount, Exchange, Favorite, Field, FieldOption, Instruction, MOST_DIGITS, Pattern, Pricing,
    RateKind, Route, Settles, StatedReserve,
};
use domain::time::Span;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The steps at which pages show an instruction (contract 4.3).
const STEPS: [&str; 7] =
    ["createOrder", "confirmation", "payment", "resultOrder", "successOrder", "doneOrder", "deleteOrder"];
/// The texts of a route's page (contract 4.3).
const TEXTS: [&str; 7] = ["title", "subtitle", "description", "instruction", "keyword", "h1", "h2"];
/// Decimals of an amount.
const MOST_DECIMALS: u32 = 8;
/// Characters that clients send of a friendly URL (contract 3).
const MOST_FRIENDLY_URL: usize = 90;
const DEFAULT_WINDOW_MINUTES: i64 = 30;
const DEFAULT_DIGITS: u32 = 8;

/// Faults so far, each with its place.
#[derive(Default)]
struct Faults {
    found: Vec<FileError>,
    place: String,
}

impl Faults {
    fn add(&mut self, fault: impl Into<String>) {
        if self.found.len() < MOST_FAULTS {
            self.found.push(FileError { place: self.place.clone(), fault: fault.into() });
        }
    }

    /// A decimal of the file in units; 0 if it is none, which is a fault.
    fn units(&mut self, what: &str, text: &str, decimals: u32) -> i64 {
        parse_units(text, decimals).unwrap_or_else(|error| {
            self.add(format!("{what} is {text:?}: {error}"));
            0
        })
    }

    /// A percentage in hundredths of a percent, with a sign or without.
    fn bps(&mut self, what: &str, text: &str) -> i64 {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let bps = self.units(what, digits, 2);
        if bps >= 10_000 {
            self.add(format!("{what} is {text:?}: it must be below 100 percent"));
            return 0;
        }
        sign * bps
    }
}

impl Faults {
    /// A percentage that is not below zero.
    fn share(&mut self, what: &str, text: &str) -> i64 {
        let bps = self.bps(what, text);
        if bps < 0 {
            self.add(format!("{what} is {text:?}: it must not be below zero"));
        }
        bps.max(0)
    }
}

pub(super) fn build(
    file: &File,
    id: String,
    rails: &Rails,
    reserves: &BTreeMap<String, StatedReserve>,
) -> Result<Exchange, Vec<FileError>> {
    let mut faults = Faults { place: "file".to_owned(), ..Faults::default() };
    let affiliate_bps = file.affiliate_percent.as_ref().map_or(0, |text| faults.share("affiliate_percent", text));
    let (mut currencies, mut limits) = (Vec::new(), Vec::new());
    for entry in &file.currency {
        faults.place = format!("currency {}", entry.code);
        for code in entry.codes() {
            currencies.push(currency(entry, &code, currencies.len(), rails, reserves.get(&code), &mut faults));
            limits.push((entry.min.clone(), entry.max.clone()));
        }
    }
    if currencies.len() > MOST_CURRENCIES {
        faults.place = "currency".to_owned();
        faults.add(format!("there are {} currencies; at most {MOST_CURRENCIES} are taken", currencies.len()));
    }
    let mut routes = Vec::new();
    for (at, entry) in file.route.iter().enumerate() {
        faults.place = format!("route entry {}", at + 1);
        for (from, to) in pairs(entry, &currencies, &mut faults) {
            if routes.len() < MOST_ROUTES {
                faults.place = format!("route entry {} ({} to {})", at + 1, currencies[from].xml, currencies[to].xml);
                routes.push(route(entry, &currencies, &limits[from], (from, to), &mut faults));
            } else if routes.len() == MOST_ROUTES {
                faults.add(format!("there are more than {MOST_ROUTES} routes"));
            }
        }
    }
    let favorites = file.favorite.iter();
    let favorites = favorites.map(|entry| Favorite { name: entry.name.clone(), priced_as: entry.price.clone() });
    if !faults.found.is_empty() {
        return Err(faults.found);
    }
    let mut exchange = Exchange::build(id, currencies, routes, favorites.collect())
        .map_err(|twice| vec![FileError { place: "file".to_owned(), fault: twice.to_string() }])?;
    exchange.affiliate_bps = u32::try_from(affiliate_bps).expect("a share is 0 to 9,999 basis points");
    match too_dear(&exchange) {
        Some(fault) => Err(vec![FileError { place: "file".to_owned(), fault }]),
        None => Ok(exchange),
    }
}

/// Partners must not get more than a route earns, or whoever brings himself exchanges at a profit. What a named rate earns
/// only the operator knows.
fn too_dear(exchange: &Exchange) -> Option<String> {
    let share = i64::from(exchange.affiliate_bps);
    // What is given is worth (1 + margin) (1 - discount) of what is received, and of that the partner gets his share.
    let loses = |route: &&Route| match &route.deal.pricing {
        Pricing::Formula { margin_bps } => {
            let discount = route.discounts.iter().map(|discount| i64::from(discount.bps)).max().unwrap_or(0);
            (10_000 + margin_bps) * (10_000 - discount) < 10_000 * (10_000 + share)
        }
        Pricing::Named(_) => false,
    };
    let route = exchange.routes.iter().filter(|_| share > 0).find(loses)?;
    let (from, to) = (&exchange.from_of(route).xml, &exchange.to_of(route).xml);
    Some(format!(
        "affiliate_percent is more than {from} to {to} earns by margin_percent after the largest discount: lower it, or \
         raise the margin"
    ))
}

fn currency(
    entry: &CurrencyEntry,
    code: &str,
    position: usize,
    rails: &Rails,
    stated: Option<&StatedReserve>,
    faults: &mut Faults,
) -> Currency {
    let is_code = |text: &str| {
        (2..=50).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    if !is_code(code) {
        faults.add(format!("code {code:?}: 2 to 50 upper-case letters and digits, such as USDCSOL"));
    }
    if entry.decimals > MOST_DECIMALS {
        faults.add(format!("decimals is {}: at most {MOST_DECIMALS}", entry.decimals));
    }
    let decimals = entry.decimals.min(MOST_DECIMALS);
    let reserve = stated.map_or(entry.reserve.as_deref().unwrap_or("0"), |reserve| &reserve.amount);
    let used_before =
        stated.filter(|reserve| reserve.decimals == decimals).map_or(0, |reserve| reserve.used_before_units);
    let city = code.split_once("_C_").map(|(_, city)| city);
    Currency {
        id: object_id(&["currency", code]),
        xml: code.to_owned(),
        name: city.map_or(entry.name.clone(), |city| format!("{} {city}", entry.name)),
        symbol: entry.symbol.clone(),
        priced_as: entry.price.clone().unwrap_or_else(|| entry.symbol.clone()),
        decimals,
        settles: settles(entry, decimals, rails, faults),
        stated_units: faults.units("reserve", reserve, decimals),
        used_before_units: used_before,
        position: position as i64 + 1,
        from_fields: fields(&entry.from_field, &[code, "from"], faults),
        to_fields: fields(&entry.to_field, &[code, "to"], faults),
    }
}

fn settles(entry: &CurrencyEntry, decimals: u32, rails: &Rails, faults: &mut Faults) -> Settles {
    let by_hand = || Settles::Manual {
        account: entry.account.clone().unwrap_or_default(),
        instructions: entry.instructions.clone().unwrap_or_default(),
    };
    let Some(name) = &entry.network else { return by_hand() };
    if entry.account.is_some() || entry.instructions.is_some() {
        faults.add(
            "account, instructions and network exclude each other: an order on a network gets an address of its own",
        );
    }
    let Some(network) = rails.network(name) else {
        let known: Vec<&str> = rails.networks.iter().map(|network| network.name.as_str()).collect();
        faults.add(format!("network {name:?} is not configured; known are {}", known.join(", ")));
        return by_hand();
    };
    match network.assets.iter().find(|asset| asset.coin == entry.symbol) {
        Some(asset) if decimals > asset.scale() => {
            faults.add(format!("decimals is {decimals}: {name} carries {} with {}", entry.symbol, asset.scale()));
            by_hand()
        }
        Some(asset) => Settles::Network(asset.id.clone()),
        None => {
            faults.add(format!("network {name:?} does not carry {:?}", entry.symbol));
            by_hand()
        }
    }
}

fn fields(entries: &[FieldEntry], owner: &[&str], faults: &mut Faults) -> Vec<Field> {
    let mut read = Vec::new();
    for entry in entries {
        let named = entry.alias.as_deref().unwrap_or(&entry.name);
        let regexp = entry.regexp.as_deref().and_then(|text| match Pattern::new(text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                faults.add(format!("regexp of the field {named:?}: {error}"));
                None
            }
        });
        let id = object_id(&[owner, &["field", named]].concat());
        if read.iter().any(|field: &Field| field.id == id) {
            faults.add(format!("the field {named:?} is there twice"));
        }
        let options = entry.options.iter();
        let options =
            options.map(|option| FieldOption { name: option.name.clone(), value: option.value.clone() }).collect();
        read.push(Field {
            id,
            alias: entry.alias.clone(),
            name: entry.name.clone(),
            placeholder: entry.placeholder.clone(),
            regexp,
            regexp_error: entry.error.clone(),
            required: entry.required,
            options,
        });
    }
    read
}

/// Every pair that an entry names; a currency is not exchanged for itself.
fn pairs(entry: &RouteEntry, currencies: &[Currency], faults: &mut Faults) -> Vec<(usize, usize)> {
    let mut meant = |codes: &[String]| -> Vec<usize> {
        let mut found = Vec::new();
        for code in codes {
            let is_meant =
                |currency: &Currency| code == "*" || currency.xml == *code || currency.code_and_city().0 == code;
            let before = found.len();
            found.extend((0..currencies.len()).filter(|at| is_meant(&currencies[*at])));
            if found.len() == before {
                faults.add(format!("there is no currency {code:?}"));
            }
        }
        found
    };
    let (from, to) = (meant(&entry.from), meant(&entry.to));
    let pairs = from.iter().flat_map(|from| to.iter().map(|to| (*from, *to))).filter(|(from, to)| from != to);
    // One more than there may be is enough to refuse the file: codes that are named over and over multiply.
    pairs.take(MOST_ROUTES + 1).collect()
}

fn route(
    entry: &RouteEntry,
    currencies: &[Currency],
    limits: &(Option<String>, Option<String>),
    (from_at, to_at): (usize, usize),
    faults: &mut Faults,
) -> Route {
    let (from, to) = (&currencies[from_at], &currencies[to_at]);
    let mut limit = |what: &str, own: &Option<String>, general: &Option<String>| {
        own.as_ref().or(general.as_ref()).map_or(0, |text| faults.units(what, text, from.decimals))
    };
    let (min_units, max_units) = (limit("min", &entry.min, &limits.0), limit("max", &entry.max, &limits.1));
    if max_units != 0 && max_units < min_units {
        faults.add("max is below min");
    }
    if entry.auto_payout && to.address_field().is_some_and(|field| !field.required) {
        faults.add(format!(
            "auto_payout: the first to_field of {} is the address that is paid to; make it required",
            to.xml
        ));
    }
    if entry.auto_payout && matches!(to.settles, Settles::Network(_)) && to.to_fields.is_empty() {
        faults.add(format!("auto_payout: {} has no to_field; the first one is the address that is paid to", to.xml));
    }
    let mut window = entry.window_minutes.unwrap_or(DEFAULT_WINDOW_MINUTES);
    if !(5..=14 * 24 * 60).contains(&window) {
        faults.add(format!("window_minutes is {window}: 5 minutes to 14 days"));
        window = DEFAULT_WINDOW_MINUTES;
    }
    let mut discounts: Vec<Discount> = Vec::new();
    for discount in &entry.discount {
        let more_than_units = faults.units("discount.from", &discount.from, from.decimals);
        let bps = faults.share("discount.percent", &discount.percent);
        discounts.push(Discount { more_than_units, bps: u32::try_from(bps).unwrap_or(0) });
    }
    discounts.sort_by_key(|discount| std::cmp::Reverse(discount.more_than_units));
    if entry.friendly_url.as_ref().is_some_and(|url| url.is_empty() || url.chars().count() > MOST_FRIENDLY_URL) {
        faults.add(format!("friendly_url has 1 to {MOST_FRIENDLY_URL} characters"));
    }
    if let Some(unknown) = entry.text.keys().find(|name| !TEXTS.contains(&name.as_str())) {
        faults.add(format!("text {unknown:?} is not understood; known are {}", TEXTS.join(", ")));
    }
    Route {
        id: object_id(&["route", &from.xml, &to.xml]),
        from: from_at,
        to: to_at,
        deal: deal(entry, faults),
        min_units,
        max_units,
        fee_units: entry.fee.as_ref().map_or(0, |fee| faults.units("fee", fee, to.decimals)),
        discounts,
        fields: fields(&entry.field, &["route", &from.xml, &to.xml], faults),
        instructions: instructions(entry, from, to, faults),
        window: Span::minutes(window),
        auto_payout: entry.auto_payout && matches!(to.settles, Settles::Network(_)),
        is_shown: entry.shown,
        is_exported: entry.exported,
        friendly_url: entry.friendly_url.clone().unwrap_or_else(|| {
            let url = format!("{}-to-{}", slug(from), slug(to));
            if url.len() > MOST_FRIENDLY_URL { format!("{}-to-{}", from.xml, to.xml).to_lowercase() } else { url }
        }),
        texts: entry.text.clone(),
    }
}

fn deal(entry: &RouteEntry, faults: &mut Faults) -> Deal {
    let pricing = match (&entry.rate, &entry.margin_percent) {
        (Some(_), Some(_)) => {
            faults.add("rate and margin_percent exclude each other: a named rate has its margin in it");
            Pricing::Formula { margin_bps: 0 }
        }
        (Some(rate), None) => {
            let named = rate.parse::<Decimal>().ok().filter(|rate| *rate > Decimal::ZERO);
            if named.is_none() {
                faults
                    .add(format!("rate is {rate:?}: it must be a decimal above 0, of what is given for one received"));
            }
            Pricing::Named(named.unwrap_or(Decimal::ONE))
        }
        (None, margin) => {
            Pricing::Formula { margin_bps: margin.as_ref().map_or(0, |margin| faults.bps("margin_percent", margin)) }
        }
    };
    let reprice_bps = entry.reprice_percent.as_ref().map_or(0, |percent| faults.share("reprice_percent", percent));
    let kind = match entry.kind.as_deref() {
        Some("fixed") if reprice_bps != 0 => {
            faults.add("a fixed rate is never changed: leave out reprice_percent, or say kind = \"float\"");
            RateKind::Fixed
        }
        None | Some("fixed") if reprice_bps == 0 => RateKind::Fixed,
        None | Some("float") => RateKind::Floating { reprice_bps },
        Some(other) => {
            faults.add(format!("kind is {other:?}: fixed or float"));
            RateKind::Fixed
        }
    };
    let digits = entry.digits.unwrap_or(DEFAULT_DIGITS);
    if !(1..=MOST_DIGITS).contains(&digits) {
        faults.add(format!("digits is {digits}: 1 to {MOST_DIGITS}"));
    }
    Deal { pricing, kind, digits }
}

fn instructions(entry: &RouteEntry, from: &Currency, to: &Currency, faults: &mut Faults) -> Vec<Instruction> {
    let mut read = Vec::new();
    for (at, instruction) in entry.instruction.iter().enumerate() {
        if !STEPS.contains(&instruction.step.as_str()) {
            faults.add(format!("step {:?} is not understood; known are {}", instruction.step, STEPS.join(", ")));
        }
        read.push(Instruction {
            id: object_id(&["instruction", &from.xml, &to.xml, &at.to_string()]),
            step: instruction.step.clone(),
            content: instruction.text.clone(),
        });
    }
    read
}

/// The same name each time the file is read: clients keep these ids.
fn object_id(parts: &[&str]) -> ObjectId {
    let digest = Sha256::digest(parts.join("\n"));
    ObjectId::new(to_hex(&digest[..12]))
}

/// `Tether ERC20` as `tether-erc20`.
fn slug(currency: &Currency) -> String {
    let words = currency.name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
    if slug.is_empty() { currency.xml.to_ascii_lowercase() } else { slug }
}
