//! The rules by which a table or a document is taken over, and how often sources are asked.

use super::*;
use crate::ports::Answer;
use domain::asset::Coin;
use domain::money::Currency;

const NOW: Time = Time(1_795_174_500_000);

fn decimal(text: &str) -> Decimal {
    text.parse().expect("a decimal")
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("a currency")
}

fn ago(span: Span) -> Time {
    Time(NOW.0 - span.0)
}

/// A table of the day before and prices of a minute ago.
fn known() -> Rates {
    let fiat = [("USD", "1.25"), ("JPY", "160")];
    let coins = [("BTC", "90000"), ("USDC", "1")];
    Rates {
        id: "known".into(),
        fiat: fiat.map(|(code, rate)| (currency(code), FiatRate { per_eur: decimal(rate) })).into(),
        fiat_as_of: Time::parse("2026-11-19").expect("a day"),
        coins: coins
            .map(|(coin, usd)| (coin.to_owned(), CoinRate { usd: decimal(usd), as_of: ago(Span::minutes(1)) }))
            .into(),
        ..Rates::default()
    }
}

fn rails() -> Rails {
    let coin = |name: &str, usd_stable| Coin { name: name.into(), quoted_decimals: 2, usd_stable, suspended: false };
    Rails { coins: vec![coin("USDC", true), coin("BTC", false)], networks: Vec::new() }
}

fn table(day: &str, usd: &str, jpy: &str) -> String {
    format!(
        "<a><Cube><Cube time='{day}'><Cube currency='USD' rate='{usd}'/><Cube currency='JPY' rate='{jpy}'/>\
         </Cube></Cube></a>"
    )
}

/// The fault of a table that is not taken over; `known` must then be as it was.
fn fault_of_table(known: &Rates, text: &str) -> Option<Fault> {
    let mut rates = known.clone();
    let fault = take_fiat(&mut rates, text, NOW).err().map(|rejected| rejected.fault);
    assert_eq!(fault.is_some(), rates == *known, "{text}");
    fault
}

fn fault_of_prices(known: &Rates, text: &str) -> Option<Fault> {
    let mut rates = known.clone();
    let fetched = Fetched { text: text.to_owned(), at: NOW };
    let taken = take_coins(&mut rates, &fetched, &RateSources::default(), &rails(), NOW);
    assert_eq!(taken.is_err(), rates == *known, "{text}");
    taken.err().map(|rejected| rejected.fault)
}

#[test]
fn a_table_that_cannot_be_true_is_left_alone() {
    let known = known();
    for (day, usd, jpy, expected) in [
        ("2026-11-20", "1.26", "161", None),
        // A correction of the same day.
        ("2026-11-19", "1.24", "160", None),
        ("2026-11-18", "1.25", "160", Some(Fault::Behind)),
        ("2026-11-21", "1.25", "160", Some(Fault::Ahead)),
        // 20 % of 1.25 is 0.25, of 160 it is 32.
        ("2026-11-20", "1.50", "128", None),
        ("2026-11-20", "1.5001", "160", Some(Fault::Jumped)),
        ("2026-11-20", "0.9999", "160", Some(Fault::Jumped)),
        ("2026-11-20", "1.25", "192.01", Some(Fault::Jumped)),
        ("2026-11-20", "1.25", "-1", Some(Fault::Unreadable)),
    ] {
        assert_eq!(fault_of_table(&known, &table(day, usd, jpy)), expected, "{day} {usd} {jpy}");
    }
    assert_eq!(fault_of_table(&known, "<html><body>Service unavailable</body></html>"), Some(Fault::Unreadable));
}

#[test]
fn a_jump_is_believed_once_the_known_table_is_too_old() {
    // 2026-11-16 is 107 hours and 35 minutes before; the limit is 96 hours.
    let old = Rates { fiat_as_of: Time::parse("2026-11-16").expect("a day"), ..known() };
    assert_eq!(fault_of_table(&old, &table("2026-11-20", "2.5", "160")), None);
    let patient = Rates { max_age: Span::hours(108), ..old };
    assert_eq!(fault_of_table(&patient, &table("2026-11-20", "2.5", "160")), Some(Fault::Jumped));
}

#[test]
fn a_table_replaces_the_known_one_as_a_whole() {
    let mut rates = known();
    let text = "<a><Cube time='2026-11-20'><Cube currency='USD' rate='1.2'/></Cube></a>";
    assert_eq!(take_fiat(&mut rates, text, NOW), Ok(()));
    assert_eq!(rates.fiat, BTreeMap::from([(Currency::USD, FiatRate { per_eur: decimal("1.2") })]));
    assert_eq!(rates.fiat_as_of, Time::parse("2026-11-20").expect("a day"));
}

#[test]
fn prices_that_cannot_be_true_are_left_alone() {
    let known = known();
    for (text, expected) in [
        (r#"{"usd": {"BTC": "91000"}}"#, None),
        (r#"{"usd": {"BTC": "108000"}}"#, None),
        (r#"{"usd": {"BTC": "108000.01"}}"#, Some(Fault::Jumped)),
        (r#"{"usd": {"BTC": "71999.99"}}"#, Some(Fault::Jumped)),
        (r#"{"usd": {"BTC": "108000.01", "USDC": "0.5"}}"#, Some(Fault::Jumped)),
        // Nothing is known of it, so nothing can be compared.
        (r#"{"usd": {"ETH": "3000"}}"#, None),
        // Its fall stops sales, so it is believed.
        (r#"{"usd": {"USDC": "0.5"}}"#, None),
        (r#"{"as_of": "2026-11-20T11:34:00Z", "usd": {"BTC": "90000.01"}}"#, None),
        (r#"{"as_of": "2026-11-20T11:33:59Z", "usd": {"BTC": "90001"}}"#, Some(Fault::Behind)),
        (r#"{"as_of": "2026-11-20T11:36:00Z", "usd": {"BTC": "90001"}}"#, None),
        (r#"{"as_of": "2026-11-20T11:36:01Z", "usd": {"BTC": "90001"}}"#, Some(Fault::Ahead)),
        ("not json", Some(Fault::Unreadable)),
    ] {
        assert_eq!(fault_of_prices(&known, text), expected, "{text}");
    }
    let mut old = known;
    old.coins.values_mut().for_each(|rate| rate.as_of = ago(Span::minutes(16)));
    assert_eq!(fault_of_prices(&old, r#"{"usd": {"BTC": "45000"}}"#), None);
}

#[test]
fn fixed_prices_stand_above_the_document_and_the_rest_stays() {
    let mut rates = known();
    let fixed = BTreeMap::from([("BTC".to_owned(), decimal("90000"))]);
    let sources = RateSources { fixed_usd: fixed, ..RateSources::default() };
    let fetched = Fetched { text: r#"{"usd": {"BTC": "1", "ETH": "3000"}}"#.to_owned(), at: NOW };
    assert_eq!(take_coins(&mut rates, &fetched, &sources, &rails(), NOW), Ok(()));
    let expected = BTreeMap::from([
        ("BTC".to_owned(), CoinRate { usd: decimal("90000"), as_of: ago(Span::minutes(1)) }),
        ("ETH".to_owned(), CoinRate { usd: decimal("3000"), as_of: NOW }),
        ("USDC".to_owned(), CoinRate { usd: decimal("1"), as_of: ago(Span::minutes(1)) }),
    ]);
    assert_eq!(rates.coins, expected);
}

#[test]
fn sources_are_asked_once_a_minute() {
    let at = |last| Looks { last, ..Looks::default() };
    assert!(at(None).is_due(NOW));
    assert!(!at(Some(NOW)).is_due(NOW));
    assert!(!at(Some(ago(Span(59_999)))).is_due(NOW));
    assert!(at(Some(ago(Span::minutes(1)))).is_due(NOW));
    assert!(at(Some(NOW + Span(1))).is_due(NOW), "the clock was set back");
}

#[test]
fn each_kind_of_fault_is_said_once_until_the_source_works() {
    let mut complaints = Complaints::default();
    let fail = |fault| Err(Rejected { fault, reason: String::new() });
    for fault in [Fault::Silent, Fault::Jumped, Fault::Silent] {
        complaints.note("source", fail(fault));
    }
    assert_eq!(complaints.0, BTreeSet::from([Fault::Silent, Fault::Jumped]));
    complaints.note("source", Ok(()));
    assert_eq!(complaints.0, BTreeSet::new());
}

#[test]
fn a_snapshot_is_named_by_rates_and_their_times() {
    let known = known();
    assert_eq!(snapshot_id(&known), snapshot_id(&Rates { id: "other".into(), ..known.clone() }));
    let later = Rates { fiat_as_of: NOW, ..known.clone() };
    let mut dearer = known.clone();
    dearer.coins.values_mut().for_each(|rate| rate.usd += Decimal::ONE);
    let ids = BTreeSet::from([snapshot_id(&known), snapshot_id(&later), snapshot_id(&dearer)]);
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| id.len() == 16));
}

/// Says the same each time.
struct Still {
    written_at: Option<Time>,
    said: Result<String, String>,
}

impl RateSource for Still {
    fn name(&self) -> &str {
        "still"
    }

    fn written_at(&self) -> Option<Time> {
        self.written_at
    }

    fn fetch(&self) -> Answer<'_, Result<String, String>> {
        Box::pin(async move { self.said.clone() })
    }
}

#[tokio::test]
async fn a_text_is_as_old_as_its_source_says() {
    let of = |written_at, said: Result<&str, &str>| -> Arc<dyn RateSource> {
        Arc::new(Still { written_at, said: said.map(str::to_owned).map_err(str::to_owned) })
    };
    let file = of(Some(Time(5)), Ok("text"));
    let fetched = fetch(Some(&file), NOW).await.expect("a source").expect("a text");
    assert_eq!((fetched.text.as_str(), fetched.at), ("text", Time(5)));
    let address = of(None, Ok("text"));
    let fetched = fetch(Some(&address), NOW).await.expect("a source").expect("a text");
    assert_eq!(fetched.at, NOW);
    let broken = of(None, Err("no answer"));
    let rejected = fetch(Some(&broken), NOW).await.expect("a source").expect_err("no text");
    assert_eq!(rejected, Rejected { fault: Fault::Silent, reason: "no answer".to_owned() });
    assert!(fetch(None, NOW).await.is_none());
}
