//! What a basket costs, and when it cannot be priced.

use super::{Case, changed, good};
use crate::ids::Sku;
use crate::limits::{coupon_key, coupon_user_key, day_key, month_key};
use crate::pricing::{CoinRate, RateError};
use crate::time::{Span, Time};
use crate::validate::samples::{NOW, brand, decimal, fixed, from_stock};
use crate::validate::{
    AppliedCoupon, CheckError, Listing, Quote, coin_named, list_price, names, offer_of, threshold_text,
};

/// What is changed, and what comes of it in the words of [`outcome`].
type OutcomeRow = (&'static str, fn(&mut Case), &'static str);

const OUTCOMES: &[OutcomeRow] = &[
    ("the coin", |case| case.rails.coins[0].suspended = true, "suspended coin"),
    (
        "the coin beside other problems",
        |case| {
            case.rails.coins[0].suspended = true;
            case.basket.network = Some("Ethereum".into());
            case.order(&[("Airbnb", "12 USD")]);
        },
        "suspended coin",
    ),
    ("the first network: the next is taken", |case| case.rails.networks[0].suspended = true, "on Base"),
    (
        "the network that was asked for",
        |case| {
            case.rails.networks[0].suspended = true;
            case.basket.network = Some("Solana".into());
        },
        "suspended network",
    ),
    (
        "all networks of the coin",
        |case| case.rails.networks.iter_mut().for_each(|network| network.suspended = true),
        "suspended network",
    ),
    ("old rates and a dollar card", age_rates, "on Solana"),
    ("no fiat rates at all and a dollar card", |case| case.rates.fiat.clear(), "on Solana"),
    (
        "old rates and a euro card",
        |case| {
            age_rates(case);
            case.order(&[("Steam", "5")]);
        },
        "stale EUR/USD",
    ),
    (
        "old rates beside a problem that the shopper can mend",
        |case| {
            age_rates(case);
            case.basket.payment_via = "X".into();
            case.order(&[("Steam", "5")]);
        },
        "no price",
    ),
];

fn age_rates(case: &mut Case) {
    case.rates.fiat_as_of = Time(NOW.0 - Span::hours(24 * 365).0);
}

fn outcome(case: &Case) -> String {
    match case.check() {
        Ok(checked) => checked.quote.map_or("no price".into(), |quote| format!("on {}", quote.network)),
        Err(CheckError::SuspendedCoin) => "suspended coin".into(),
        Err(CheckError::SuspendedNetwork) => "suspended network".into(),
        Err(CheckError::Rate(RateError::Stale { rate, .. })) => format!("stale {rate}"),
        Err(CheckError::Rate(other)) => other.to_string(),
    }
}

#[test]
fn suspension_and_missing_rates_are_errors_of_their_own() {
    for (name, change, expected) in OUTCOMES {
        assert_eq!(outcome(&changed(*change)), *expected, "{name}");
    }
}

#[test]
fn a_depegged_stablecoin_is_not_sold_for() {
    let mut case = good();
    case.rates.coins.insert("USDC".into(), CoinRate { usd: decimal("0.9"), as_of: NOW });
    let depegged = RateError::Depegged { coin: "USDC".into(), usd: decimal("0.9") };
    assert_eq!(case.check(), Err(CheckError::Rate(depegged)));
}

#[test]
fn a_quote_says_everything_about_the_price() {
    let quote = good().quote();
    assert_eq!(
        (quote.coin.as_str(), quote.network.as_str(), quote.payment_method.as_str()),
        ("USDC", "Solana", "USDC-Solana")
    );
    assert_eq!((quote.network_id.as_str(), quote.asset.as_str()), ("sandbox:Solana", "sandbox:Solana/USDC"));
    assert_eq!((quote.scale, quote.quoted_decimals, quote.expires_in), (6, 2, Span::minutes(30)));
    assert_eq!((quote.due_units, quote.original_units, quote.eur_cents), (101_500_000, 101_500_000, 8_000));
    let [line] = quote.lines.as_slice() else { panic!("one line") };
    assert_eq!((line.sku.as_str(), line.denomination.as_str(), line.coin_units), ("abnb-100", "100 USD", 101_500_000));
    assert_eq!((line.points, &line.product_value), (80, &None));
}

#[test]
fn a_range_line_can_be_ordered_again_as_it_is_shown() {
    let quote = changed(|case| {
        case.order(&[("Steam", "25 EUR")]);
        case.basket.coin = "GRAM".into();
    })
    .quote();
    // 25 EUR are 31.25 USD, with margin 31.71875 USD; a TON is 2.50 USD.
    assert_eq!((quote.coin.as_str(), quote.scale, quote.due_units), ("TON", 8, 1_268_750_000));
    let line = &quote.lines[0];
    assert_eq!(
        (line.denomination.as_str(), line.product_value.as_deref(), line.label.as_str()),
        ("range", Some("25"), "€25")
    );
}

#[test]
fn a_coupon_lowers_what_is_due_and_the_lines_add_up() {
    let quote = changed(|case| {
        case.order(&[("Telco", "10 USD"), ("Telco", "10 USD"), ("eSIM", "1 GB 7 days")]);
        case.deliver_to("+14155551234");
        case.basket.lines[2].beneficiary = None;
        case.coupon();
    })
    .quote();
    // 10.15 + 10.15 + 4.57 (4.5675) = 24.87; less 10 % is 22.383, rounded up 22.39; cost is 9 + 9 + 4.50 = 22.50.
    assert_eq!((quote.original_units, quote.due_units), (24_870_000, 22_500_000));
    assert_eq!(quote.lines.iter().map(|line| line.coin_units).sum::<i64>(), quote.due_units);
    assert!(quote.lines.iter().all(|line| line.coin_units % 10_000 == 0), "whole cents: {quote:?}");
    assert_eq!(quote.coupon, Some(AppliedCoupon { code: "SAVE10".into(), subject: "email:hash".into() }));
    assert_eq!(quote.eur_cents, 1_960, "limits count face values");
}

#[test]
fn a_refused_coupon_leaves_the_full_price() {
    let checked = changed(|case| case.coupon().active = false).check().expect("problems, not an error");
    let quote = checked.quote.expect("a price beside the problem");
    assert_eq!((quote.due_units, quote.coupon), (101_500_000, None));
}

#[test]
fn the_rows_to_load_are_named() {
    let mut case = good();
    case.brands.push(brand("Own", "US", vec![from_stock(fixed("own", "1 USD", "1 USD"))]));
    case.order(&[("Own", "1 USD"), ("Airbnb", "100 USD"), ("Own", "1"), ("Telco", "10 USD"), ("Airbnb", "range")]);
    case.coupon();
    let (keys, skus) = names(&case.basket, &case.market(), NOW);
    let expected = [
        coupon_key("SAVE10"),
        coupon_user_key("SAVE10", "email:hash"),
        day_key("email:hash", NOW),
        month_key("email:hash", NOW),
    ];
    assert_eq!(keys, expected);
    assert_eq!(skus, [Sku::new("abnb-100"), Sku::new("own")]);
}

#[test]
fn a_listing_shows_the_price_of_the_order_that_follows() {
    let mut case = good();
    case.coupon();
    let market = case.market();
    let us = market.catalogue.brand("US", "Airbnb").expect("Airbnb");
    let offer = offer_of(us, "100 USD", None).expect("listed");
    let coin = coin_named(&market.rails, "USDC").expect("USDC");
    let mut listing = Listing { offer, coin, partner: None, promo_code: None };
    let price = list_price(&listing, &market, NOW).expect("a price");
    assert_eq!(
        (price.coin_amount().as_str(), price.original_coin_amount().as_str(), price.points),
        ("101.50", "101.50", 80)
    );
    listing.promo_code = Some("save10");
    let price = list_price(&listing, &market, NOW).expect("a price");
    // 10 % off is 91.35, but the card costs 97.
    assert_eq!((price.coin_amount().as_str(), price.original_coin_amount().as_str()), ("97.00", "101.50"));
    assert_eq!(price.coin_amount(), units_text(&case.quote()));
}

fn units_text(quote: &Quote) -> String {
    crate::money::units_to_text(quote.due_units, quote.scale, quote.quoted_decimals)
}

#[test]
fn thresholds_are_written_in_full() {
    let market = good().market();
    let threshold =
        |coin: &str, decimals| threshold_text(coin_named(&market.rails, coin).expect("a coin"), &market, decimals);
    assert_eq!(threshold("USDC", 2).as_deref(), Some("0.63"));
    assert_eq!(threshold("USDC", 6).as_deref(), Some("0.625000"));
    assert_eq!(threshold("BTC", 8).as_deref(), Some("0.00001250"));
}

#[test]
fn a_quote_survives_being_stored() {
    let quote = changed(|case| {
        case.order(&[("Steam", "25 EUR")]);
        case.coupon();
    })
    .quote();
    let stored = serde_json::to_string(&quote).expect("JSON");
    assert_eq!(serde_json::from_str::<Quote>(&stored).expect("a quote"), quote);
}
