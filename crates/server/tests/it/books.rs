//! The books of a shop that was played: what each policy posts, what the exports add up to, and that hledger reads and
//! balances them. Without `KIOSK_TEST_HLEDGER`, which names hledger's program, only that last part is left out.

use crate::exchange::Office;
use crate::harness::{Folder, START};
use crate::http::{Wanted, id, pay, place};
use crate::market;
use domain::event::{Event, Seen, Settlement};
use domain::ids::{AssetId, TransferId};
use domain::ledger::Account;
use domain::payment::{Payment, TransferStatus};
use domain::postings::{POLICY, postings};
use domain::time::{Span, Time};
use server::books::{self, ALL_ORDERS, Coins, Export, ExportError, Period, Sums, decimal};
use server::cli::ledger;
use server::store::{DbError, Tx};
use std::collections::BTreeMap;
use std::process::Command;

/// Own stock; 100 USD and 1.5 % are 101.50 USDC.
const CARD: Wanted<'static> = ("Airbnb", "100 USD", "ann@example.com");
/// Nobody delivers it; 10 USD and 1.5 % are 10.15 USDC.
const REFUSED: Wanted<'static> = ("Apple", "10 USD", "refused.bob@example.com");

/// A shop in which money went every way that there is: exact, over, short, a trifle less, twice, the wrong token, gone again, for
/// goods that nobody delivers; and through the exchange office, out and back.
async fn played() -> Office {
    let mut office = Office::open().await;
    let plays: [(&str, &[Wanted<'_>], &str); 8] = [
        ("exact@example.com", &[CARD], "{}"),
        ("over@example.com", &[CARD], r#"{"factor": 1.5}"#),
        ("short@example.com", &[CARD], r#"{"factor": "0.5"}"#),
        ("less@example.com", &[CARD], r#"{"factor": "0.996"}"#),
        ("twice@example.com", &[CARD], r#"{"twice": true}"#),
        ("wrong@example.com", &[CARD], r#"{"wrong_token": true}"#),
        ("gone@example.com", &[CARD], r#"{"reorg": 2}"#),
        ("refused@example.com", &[CARD, REFUSED], "{}"),
    ];
    for (buyer, lines, how) in plays {
        let order = place(&office.shop, buyer, lines).await;
        pay(&office.shop, &order, how).await;
        office.shop.pump().await;
        // Each on a day of its own.
        office.shop.after(Span::hours(24)).await;
    }
    let exchanged = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.set(&exchanged, "waitPayment");
    office.pay(&exchanged, "{}").await;
    // Paid, and stuck: promised, and not paid out.
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "50");
    wanted["toValues"][0]["value"] = serde_json::json!(format!("0x{}2222", "ab".repeat(18)));
    let stuck = office.create(&wanted);
    office.set(&stuck, "waitPayment");
    office.pay(&stuck, "{}").await;
    let returned = office.create(&office.wanted("USDCSOL", "USDTERC20", "20"));
    office.pay(&returned, r#"{"late":"3h"}"#).await;
    let no = returned.uid.to_string();
    server::cli::exchange::returned(&office.shop.kiosk, &no, "0xabc").await.expect("the money went back");
    office.shop.pump().await;
    office
}

async fn read<T: Send + 'static>(
    office: &Office,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, DbError> + Send + 'static,
) -> T {
    office.shop.kiosk.engine.db.read(work).await.expect("the database answers")
}

fn of_database<T>(result: Result<T, ExportError>) -> Result<T, DbError> {
    result.map_err(|error| match error {
        ExportError::Database(error) => error,
        ExportError::Write(error) => panic!("memory takes everything: {error}"),
    })
}

async fn exported(office: &Office, what: Export, period: Period) -> String {
    let rails = office.shop.kiosk.engine.shared.market().rails.clone();
    let bytes = read(office, move |tx| {
        let mut bytes = Vec::<u8>::new();
        of_database(books::export(tx, what, &rails, period, &mut bytes))?;
        Ok(bytes)
    });
    String::from_utf8(bytes.await).expect("UTF-8")
}

async fn sums(office: &Office, until: Time) -> Sums {
    let mut sums = read(office, move |tx| of_database(books::sums(tx, until))).await;
    sums.retain(|_, units| *units != 0);
    sums
}

async fn coins(office: &Office) -> Coins {
    let rails = office.shop.kiosk.engine.shared.market().rails.clone();
    read(office, move |tx| Coins::load(tx, &rails)).await
}

/// The rows of a file by the names of its columns. Nothing in these files needs quotes.
fn rows(csv: &str) -> Vec<BTreeMap<&str, &str>> {
    assert!(!csv.contains('"') && csv.ends_with("\r\n"), "{csv}");
    let mut lines = csv.split_terminator("\r\n");
    let names: Vec<&str> = lines.next().expect("a head").split(',').collect();
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!(fields.len(), names.len(), "{line}");
            names.iter().copied().zip(fields).collect()
        })
        .collect()
}

/// A decimal of at most 8 decimals in units of 10^-8.
fn units(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    let whole: i128 = whole.trim_start_matches('-').parse().expect("digits");
    let fraction: i128 = format!("{fraction:0<8}").parse().expect("digits");
    sign * (whole * 100_000_000 + fraction)
}

#[test]
fn sales_are_booked_by_kind_and_old_orders_as_they_were() {
    let mut order = market::order(1);
    let due = order.quote.due_units;
    assert_eq!((order.policy, POLICY), (2, 2));
    let settled = Event::PaymentSettled { settlement: Settlement::OnTime, sold_units: due, difference_units: -5 };
    let refused =
        Event::LineRefused { line: 0, reason: "sold out".to_owned(), refund_units: due + 5, difference_units: -5 };
    let own = Account::Order(order.no);
    let by_kind = || Account::SalesOf("giftcard".to_owned());
    for (policy, sales) in [(2, by_kind()), (1, by_kind()), (0, Account::Sales)] {
        order.policy = policy;
        let moved = |event: &Event| -> Vec<(Account, Account, i64)> {
            postings(&order, event).into_iter().map(|moved| (moved.debit, moved.credit, moved.units)).collect()
        };
        let kept = (own.clone(), Account::Differences, 5);
        assert_eq!(moved(&settled), [(own.clone(), sales.clone(), due), kept], "policy {policy}");
        let back = (Account::Differences, own.clone(), 5);
        assert_eq!(moved(&refused), [(sales, own.clone(), due), back], "policy {policy}");
    }
    // Two lines of two kinds.
    order.policy = 1;
    let mut second = order.quote.lines[0].clone();
    second.kind = "mobile_recharge".to_owned();
    order.quote.lines[0].coin_units = due - 7;
    second.coin_units = 7;
    order.quote.lines.push(second);
    let kinds: Vec<(Account, i64)> =
        postings(&order, &settled).into_iter().map(|moved| (moved.credit, moved.units)).collect();
    let of = |kind: &str| Account::SalesOf(kind.to_owned());
    assert_eq!(kinds, [(of("giftcard"), due - 7), (of("mobile_recharge"), 7), (Account::Differences, 5)]);
}

/// A token that anybody can mint must not fill an account: 10^14 units are booked, one more is not.
#[test]
fn absurd_amounts_of_another_token_are_not_booked() {
    let mut order = market::order(1);
    let (own, other) = (order.quote.asset.clone(), AssetId::new("test:base/other"));
    const MOST: i64 = 100_000_000_000_000;
    for (policy, asset, units, is_booked) in
        [(2, &other, MOST, true), (2, &other, MOST + 1, false), (2, &own, MOST + 1, true), (1, &other, MOST + 1, true)]
    {
        order.policy = policy;
        order.payment = Payment::default();
        let transfer = TransferId::new("t1");
        let seen = Seen { transfer: transfer.clone(), asset: asset.clone(), units, block_at: START };
        let came = postings(&order, &Event::PaymentConfirmed(seen.clone()));
        order.payment.record(&seen, TransferStatus::Confirmed);
        let went = postings(&order, &Event::PaymentReverted { transfer });
        assert_eq!(
            (came.len(), went.len()),
            (usize::from(is_booked), usize::from(is_booked)),
            "{policy} {asset} {units}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_exchange_order_is_to_be_paid_is_booked_when_it_is_settled() {
    let office = played().await;
    let sums = sums(&office, Time(i64::MAX)).await;
    let of = |account: Account, network: &str| -> i128 {
        let of_network = sums.iter().filter(|((asset, of), _)| *of == account && asset.as_str().starts_with(network));
        of_network.map(|(_, units)| *units).sum()
    };
    let asset = |account: &Account| {
        let found = sums.keys().find(|(_, of)| of == account).map(|(asset, _)| asset.clone());
        found.expect("the account has a balance")
    };
    // Half a percent less and a fee of 1: for 50 USDC 48.75 USDT are promised, for 100 USDC 98.5 are paid out.
    let out = asset(&Account::ExchangeReserve);
    assert_eq!(of(Account::ExchangeReserve, out.as_str()), -48_750_000);
    assert_eq!(of(Account::Exchanges, out.as_str()), 98_500_000 + 48_750_000);
    let paid_out = Account::PaidOut(domain::ledger::network_of(&out));
    assert_eq!(of(paid_out, out.as_str()), -98_500_000);
    // Six cards stayed sold; the line that nobody delivered did not, and two orders were never settled.
    let sold: i128 =
        sums.iter().filter(|((_, of), _)| matches!(of, Account::SalesOf(_))).map(|(_, units)| *units).sum();
    assert_eq!(sold, -6 * 101_500_000);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_an_export_can_be_added_up() {
    let office = played().await;
    let (coins, all) = (coins(&office).await, sums(&office, Time(i64::MAX)).await);
    let csv = exported(&office, Export::Postings, Period::ALL).await;
    let mut added = BTreeMap::<(String, String), i128>::new();
    for row in rows(&csv) {
        let account =
            if row["account"].starts_with("order:") { ALL_ORDERS.to_string() } else { row["account"].to_owned() };
        *added.entry((row["asset"].to_owned(), account)).or_default() += units(row["amount"]);
        let side = |name: &str| if row[name].is_empty() { 0 } else { units(row[name]) };
        assert_eq!(side("debit") - side("credit"), units(row["amount"]));
    }
    added.retain(|_, units| *units != 0);
    let expected: BTreeMap<(String, String), i128> = all
        .iter()
        .map(|((asset, account), sum)| {
            let text = decimal(*sum, coins.of(asset).scale);
            ((asset.to_string(), account.to_string()), units(&text))
        })
        .collect();
    assert_eq!(added, expected);
    let mut by_asset = BTreeMap::<&str, i128>::new();
    for ((asset, _), units) in &added {
        *by_asset.entry(asset.as_str()).or_default() += units;
    }
    assert!(by_asset.len() >= 3 && by_asset.values().all(|units| *units == 0), "{by_asset:?}");

    let csv = exported(&office, Export::Orders, Period::ALL).await;
    let orders = rows(&csv);
    assert_eq!(orders.len(), 11, "a row for each order");
    for row in &orders {
        let of = |name: &str| units(row[name]);
        assert_eq!(of("received"), of("sold") + of("differences") + of("returned") + of("owed"), "{row:?}");
    }
    let column = |name: &str| -> Vec<&str> { orders.iter().map(|row| row[name]).collect() };
    assert_eq!(
        column("owed")[..8],
        ["0.000000", "50.750000", "50.750000", "0.000000", "101.500000", "0.000000", "-101.500000", "10.150000"]
    );
    assert_eq!(column("differences")[3], "-0.406000", "left out within the tolerance");
    assert_eq!(column("paid_out")[8..], ["98.500000", "0.000000", "0.000000"]);
    assert_eq!((column("returned")[10], column("received")[10]), ("20.000000", "20.000000"));
    assert!(column("other")[5].ends_with(".e"), "the wrong token: {}", column("other")[5]);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_balances_and_the_postings_of_an_order() {
    let mut office = played().await;
    let kiosk = &office.shop.kiosk;
    let text = ledger::balances(kiosk, Period::ALL.until).await.expect("they hold together");
    for part in ["orders (owed to payers)", "sales:giftcard", "exchange_reserve", "paid_out:", "differences"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let of_sums = |line: &&str| line.trim_start().starts_with("sum ");
    assert!(text.lines().filter(of_sums).count() >= 3);
    assert!(text.lines().filter(of_sums).all(|line| line.ends_with(" 0.000000") || line.ends_with(" 0")), "{text}");
    assert_eq!(ledger::balances(kiosk, START).await.expect("nothing yet"), "nothing has moved yet");

    let order = place(&office.shop, "twice-more@example.com", &[CARD]).await;
    pay(&office.shop, &order, r#"{"factor": 1.5}"#).await;
    office.shop.pump().await;
    let text = ledger::postings(&office.shop.kiosk, &order.order_id).await.expect("there is such an order");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].contains("payment_confirmed") && lines[1].contains("152.250000"), "{text}");
    // What is owed after it: half of the price.
    assert!(lines[2].contains("payment_settled") && lines[2].contains(" 50.750000 "), "{text}");
    assert!(!text.contains(&id(&order).expose()), "the id opens the order");
    assert!(ledger::postings(&office.shop.kiosk, "999").await.is_err());
    // Balances that are not what was moved are not shown.
    let damage = "update balances set debit_units = debit_units + 1 where account = 'exchanges'";
    let undo = "update balances set debit_units = debit_units - 1 where account = 'exchanges'";
    office.shop.kiosk.engine.write(move |tx| tx.execute(damage, &[])).await.expect("damaged");
    assert!(ledger::balances(&office.shop.kiosk, Period::ALL.until).await.is_err());
    office.shop.kiosk.engine.write(move |tx| tx.execute(undo, &[])).await.expect("undone");
    office.shop.close().await;
}

/// hledger's own sums: account and commodity to units of 10^-8.
fn hledger_sums(program: &str, journal: &str) -> BTreeMap<(String, String), i128> {
    let folder = Folder::new();
    let file = folder.0.join("books.journal");
    std::fs::write(&file, journal).expect("a file of the test's own");
    let run = |arguments: &[&str]| {
        let output = Command::new(program).arg("-f").arg(&file).args(arguments).output().expect("hledger starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "hledger {arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    run(&["check", "commodities", "ordereddates"]);
    let table = run(&["balance", "--flat", "--no-total", "--layout=bare", "-O", "csv"]);
    let unquoted = |field: &str| field.trim_matches('"').to_owned();
    let mut sums = BTreeMap::new();
    for line in table.lines().skip(1) {
        let fields: Vec<String> = line.split("\",\"").map(unquoted).collect();
        let [account, commodity, amount] = &fields[..] else { panic!("{line}") };
        sums.insert((account.clone(), commodity.clone()), units(amount));
    }
    sums.retain(|_, units| *units != 0);
    sums
}

/// Our own, by hledger's names; orders together.
fn by_their_names(sums: &Sums, coins: &Coins) -> BTreeMap<(String, String), i128> {
    let name = |account: &Account| -> String {
        let dotted = |text: &str| text.replace(':', ".");
        match account {
            Account::Network(id) => format!("assets:deposits:{}", dotted(id.as_str())),
            Account::Order(_) => "liabilities:orders".to_owned(),
            Account::ExchangeReserve => "liabilities:exchange reserve".to_owned(),
            Account::SalesOf(kind) => format!("revenues:sales:{kind}"),
            Account::Differences => "revenues:differences".to_owned(),
            Account::Exchanges => "equity:exchanges".to_owned(),
            Account::PaidOut(id) => format!("equity:paid out:{}", dotted(id.as_str())),
            other => panic!("nothing was posted to {other}"),
        }
    };
    let sum = |((asset, account), units_of): (&(AssetId, Account), &i128)| {
        ((name(account), asset.to_string()), units(&decimal(*units_of, coins.of(asset).scale)))
    };
    sums.iter().map(sum).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hledger_reads_the_journal_and_comes_to_the_same() {
    let Some(program) = std::env::var("KIOSK_TEST_HLEDGER").ok().filter(|program| !program.is_empty()) else { return };
    let office = played().await;
    let (coins, all) = (coins(&office).await, sums(&office, Time(i64::MAX)).await);
    let expected = by_their_names(&all, &coins);
    // From the beginning, and from the fourth day on with what was there by then.
    let fourth = Time(START.0 / 86_400_000 * 86_400_000) + Span::hours(3 * 24);
    for from in [Period::ALL.from, fourth] {
        let journal = exported(&office, Export::Hledger, Period { from, until: Period::ALL.until }).await;
        let mut found = BTreeMap::<(String, String), i128>::new();
        for ((account, commodity), units) in hledger_sums(&program, &journal) {
            let is_order = account.starts_with("liabilities:orders:");
            let account = if is_order { "liabilities:orders".to_owned() } else { account };
            *found.entry((account, commodity)).or_default() += units;
        }
        found.retain(|_, units| *units != 0);
        assert_eq!(found, expected, "from {from:?}");
    }
    // Of a time in which nothing happened, what was there before.
    let until = by_their_names(&sums(&office, fourth).await, &coins);
    let journal = exported(&office, Export::Hledger, Period { from: fourth, until: fourth }).await;
    let mut found = hledger_sums(&program, &journal);
    if let Some(orders) = found.keys().find(|(account, _)| account == "liabilities:orders:earlier").cloned() {
        let units = found.remove(&orders).expect("it was found");
        found.insert(("liabilities:orders".to_owned(), orders.1), units);
    }
    assert_eq!(found, until);
    office.shop.close().await;
}
