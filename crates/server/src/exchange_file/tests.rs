use super::*;
use crate::config::Config;
use domain::asset::{Asset, ChainKind, Confirmation, Network};
use domain::ids::{AssetId, NetworkId};
use domain::route::{Pricing, RateKind, Settles};
use domain::time::Span;

fn rails() -> Rails {
    let asset = Asset {
        id: AssetId::new("sandbox:sol/token:x"),
        coin: "USDC".to_owned(),
        contract: Some("x".to_owned()),
        decimals: 6,
        payment_method: "USDC-SOL".to_owned(),
    };
    let network = Network {
        id: NetworkId::new("sandbox:sol"),
        name: "Solana".to_owned(),
        kind: ChainKind::Svm,
        chain_id: None,
        base_token: "SOL".to_owned(),
        transfer_cost: String::new(),
        window: Span::minutes(30),
        confirmation: Confirmation::Blocks(1),
        suspended: false,
        assets: vec![asset],
    };
    Rails { coins: Vec::new(), networks: vec![network] }
}

const COINS: &str = r#"
format = "kiosk-exchange-1"
[[currency]]
code = "USDCSOL"
name = "USD Coin Solana"
symbol = "USDC"
network = "Solana"
decimals = 2
reserve = "1000"
min = "20"
[[currency]]
code = "CASHUSD"
name = "Cash"
symbol = "USD"
decimals = 2
cities = ["TBIL", "BERL"]
account = "desk"
"#;

fn read_with(more: &str) -> Result<Exchange, Vec<FileError>> {
    read(&format!("{COINS}{more}"), "id".to_owned(), &rails(), &BTreeMap::new())
}

fn faults(more: &str) -> Vec<String> {
    read_with(more).expect_err("it has faults").iter().map(ToString::to_string).collect()
}

#[test]
fn a_cash_currency_is_one_per_city_and_a_route_entry_every_pair() {
    let exchange = read_with(
        "[[route]]\nfrom = [\"USDCSOL\"]\nto = [\"CASHUSD\"]\nmargin_percent = \"-1.25\"\nreprice_percent = \"2\"\n\
         discount = [{ from = \"100\", percent = \"1\" }, { from = \"500.5\", percent = \"2\" }]\n",
    )
    .expect("a file without faults");
    let codes: Vec<&str> = exchange.currencies.iter().map(|currency| currency.xml.as_str()).collect();
    assert_eq!(codes, ["USDCSOL", "CASHUSD_C_TBIL", "CASHUSD_C_BERL"]);
    assert_eq!(exchange.currencies[1].name, "Cash TBIL");
    assert_eq!(exchange.currencies[1].code_and_city(), ("CASHUSD", Some("TBIL")));
    assert_eq!(exchange.currencies[0].settles, Settles::Network(AssetId::new("sandbox:sol/token:x")));
    assert_eq!(exchange.routes.len(), 2);
    let route = exchange.route_between("USDCSOL", "CASHUSD_C_BERL").expect("the route");
    assert_eq!(route.deal.pricing, Pricing::Formula { margin_bps: -125 });
    assert_eq!(route.deal.kind, RateKind::Floating { reprice_bps: 200 });
    assert_eq!((route.min_units, route.max_units), (2_000, 0));
    // The largest threshold first (contract 4.3).
    let thresholds: Vec<i64> = route.discounts.iter().map(|discount| discount.more_than_units).collect();
    assert_eq!(thresholds, [50_050, 10_000]);
    assert_eq!([route.discount_bps(9_999), route.discount_bps(10_000), route.discount_bps(60_000)], [0, 100, 200]);
    assert_eq!(route.friendly_url, "usd-coin-solana-to-cash-berl");
}

#[test]
fn ids_are_the_same_each_time_and_a_stated_reserve_replaces_the_files() {
    let (first, second) = (read_with("").expect("no faults"), read_with("").expect("no faults"));
    assert_eq!(first.currencies[0].id, second.currencies[0].id);
    assert_eq!(first.currencies[0].id.as_str().len(), 24);
    let stated =
        domain::route::StatedReserve { amount: "7.5".to_owned(), used_before_units: 25, decimals: 2, epoch: 3 };
    let stated = BTreeMap::from([("USDCSOL".to_owned(), stated)]);
    let read = read(COINS, "id".to_owned(), &rails(), &stated).expect("no faults");
    assert_eq!((read.currencies[0].stated_units, read.currencies[0].reserve_units()), (750, 775));
    let said = &reserves(COINS).expect("no faults")["USDCSOL"];
    let same = FileReserve { amount: "1000.00".to_owned(), decimals: 2 };
    assert!(said.amount == "1000" && said.is_same(&same) && !said.is_same(&FileReserve { decimals: 3, ..same }));
}

#[test]
fn every_fault_says_where_it_is_and_what_to_do() {
    let route = |rest: &str| faults(&format!("[[route]]\nfrom = [\"USDCSOL\"]\nto = [\"CASHUSD_C_TBIL\"]\n{rest}\n"));
    let place = "route entry 1 (USDCSOL to CASHUSD_C_TBIL)";
    let table = [
        ("margin_percent = \"1.234\"", "margin_percent is \"1.234\": the amount has more decimals"),
        ("margin_percent = \"100\"", "margin_percent is \"100\": it must be below 100 percent"),
        ("rate = \"0\"", "rate is \"0\": it must be a decimal above 0"),
        ("rate = \"1\"\nmargin_percent = \"1\"", "rate and margin_percent exclude each other"),
        ("kind = \"loose\"", "kind is \"loose\": fixed or float"),
        ("kind = \"fixed\"\nreprice_percent = \"1\"", "a fixed rate is never changed"),
        ("digits = 16", "digits is 16: 1 to 15"),
        ("min = \"5\"\nmax = \"4\"", "max is below min"),
        ("window_minutes = 4", "window_minutes is 4: 5 minutes to 14 days"),
        ("window_minutes = 9223372036854775807", "window_minutes is 9223372036854775807: 5 minutes to 14 days"),
        ("reprice_percent = \"-1\"", "reprice_percent is \"-1\": it must not be below zero"),
        ("discount = [{ from = \"1\", percent = \"-1\" }]", "discount.percent is \"-1\": it must not be below zero"),
        ("friendly_url = \"\"", "friendly_url has 1 to 90 characters"),
        ("fee = \"-1\"", "fee is \"-1\": an amount is a plain decimal"),
        ("instruction = [{ step = \"pay\", text = \"\" }]", "step \"pay\" is not understood"),
        ("text = { h3 = \"\" }", "text \"h3\" is not understood"),
        ("field = [{ name = \"a\", regexp = \"(\" }]", "regexp of the field \"a\""),
        ("field = [{ name = \"a\" }, { name = \"a\" }]", "the field \"a\" is there twice"),
    ];
    for (rest, fault) in table {
        let found = route(rest);
        assert!(found[0].starts_with(&format!("{place}: {fault}")), "{rest}: {found:?}");
    }
    let currency = |rest: &str| faults(&format!("[[currency]]\nname = \"n\"\nsymbol = \"USDC\"\n{rest}\n"));
    let table = [
        ("code = \"usdc\"\ndecimals = 2", "currency usdc: code \"usdc\": 2 to 50 upper-case letters"),
        ("code = \"AB\"\ndecimals = 9", "currency AB: decimals is 9: at most 8"),
        ("code = \"AB\"\ndecimals = 8\nnetwork = \"Solana\"", "currency AB: decimals is 8: Solana carries USDC with 6"),
        (
            "code = \"AB\"\ndecimals = 2\nnetwork = \"Mars\"",
            "currency AB: network \"Mars\" is not configured; known are Solana",
        ),
        (
            "code = \"AB\"\ndecimals = 2\nnetwork = \"Solana\"\naccount = \"x\"",
            "currency AB: account, instructions and network exclude",
        ),
        ("code = \"USDCSOL\"\ndecimals = 2", "file: currency USDCSOL is there twice"),
        ("code = \"AB\"\ndecimals = 2\ncolour = 1", "line 23: unknown field `colour`"),
    ];
    for (rest, fault) in table {
        let found = currency(rest);
        assert!(found[0].starts_with(fault), "{rest}: {found:?}");
    }
    assert_eq!(
        faults("[[route]]\nfrom = [\"XX\"]\nto = [\"USDCSOL\"]\n"),
        ["route entry 1: there is no currency \"XX\""]
    );
    let twice = "[[route]]\nfrom = [\"USDCSOL\"]\nto = [\"CASHUSD\"]\n";
    assert_eq!(faults(&format!("{twice}{twice}")), ["file: route USDCSOL to CASHUSD_C_TBIL is there twice"]);
    let other =
        read("format = \"kiosk-exchange-9\"", String::new(), &rails(), &BTreeMap::new()).expect_err("another format");
    assert!(other[0].to_string().contains("this version reads \"kiosk-exchange-1\""), "{other:?}");
    // The place is counted behind the mark, which is longer than what is wrong.
    let marked = read("\u{feff}\na b", String::new(), &rails(), &BTreeMap::new()).expect_err("no TOML");
    assert!(marked[0].to_string().starts_with("line 2: "), "{marked:?}");
}

#[test]
fn what_partners_earn_is_a_share_of_less_than_all() {
    let with = |line: &str| {
        let text = COINS.replace("format = \"kiosk-exchange-1\"", &format!("format = \"kiosk-exchange-1\"\n{line}"));
        let read = read(&text, "id".to_owned(), &rails(), &BTreeMap::new());
        read.map(|exchange| exchange.affiliate_bps).map_err(|errors| errors[0].to_string())
    };
    assert_eq!(with(""), Ok(0), "nothing unless it is said");
    assert_eq!(with("affiliate_percent = \"0.5\""), Ok(50));
    for (wrong, fault) in [("-1", "must not be below zero"), ("100", "must be below 100"), ("0.005", "more decimals")] {
        let error = with(&format!("affiliate_percent = \"{wrong}\"")).expect_err("a fault");
        assert!(error.starts_with("file: affiliate_percent is ") && error.contains(fault), "{error}");
    }
}

/// Whoever brings himself would exchange at a profit.
#[test]
fn partners_get_no_more_than_a_route_earns() {
    let config = Config::parse("[sandbox]\nenabled = true", std::iter::empty()).expect("settings");
    let market = crate::boot::market(&config).expect("the demo's market");
    let with = |percent: &str| {
        let share = format!("affiliate_percent = \"{percent}\"");
        let text = crate::boot::DEMO_EXCHANGE.replace("affiliate_percent = \"0.2\"", &share);
        read(&text, "id".to_owned(), &market.rails, &BTreeMap::new()).map(|exchange| exchange.affiliate_bps)
    };
    // Between dollars the demo earns 0.5 %, of which 0.2 % are the largest discount: 1.005 x 0.998 = 1.00299.
    assert_eq!(with("0.29").ok(), Some(29));
    let faults = with("0.30").expect_err("too much");
    assert!(faults[0].to_string().contains("is more than USDC"), "{faults:?}");
}

#[test]
fn faults_are_counted_to_twenty() {
    let many = "[[currency]]\ncode = \"x\"\nname = \"n\"\nsymbol = \"s\"\ndecimals = 2\n".repeat(30);
    assert_eq!(faults(&many).len(), MOST_FAULTS);
}

#[test]
fn the_demos_file_has_no_faults_and_what_the_demo_promises() {
    let config = Config::parse("[sandbox]\nenabled = true", std::iter::empty()).expect("settings");
    let market = crate::boot::market(&config).expect("the demo's market");
    let exchange =
        read(crate::boot::DEMO_EXCHANGE, "id".to_owned(), &market.rails, &BTreeMap::new()).expect("no faults");
    assert!(exchange.currencies.len() >= 12 && exchange.routes.len() >= 40);
    let route = exchange.route_between("USDCSOL", "USDTERC20").expect("the route of the acceptance script");
    let (from, to) = (exchange.from_of(route), exchange.to_of(route));
    assert!(route.min_units <= 2_000 && route.max_units >= 100_000 && to.stated_units >= 100_000);
    let required =
        [&route.fields, &from.from_fields, &to.to_fields].into_iter().flatten().filter(|field| field.required);
    assert_eq!(required.count(), 1);
}
