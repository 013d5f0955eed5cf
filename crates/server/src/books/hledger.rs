//! A journal of hledger: a transaction for each event, balanced in each commodity, with the asset's full name as the
//! commodity, so that two assets are never taken for one.

use super::{ALL_ORDERS, Coins, ExportError, Period, Sums, add, decimal, for_each_event};
use crate::store::Tx;
use crate::store::ledger::Entry;
use domain::ids::AssetId;
use domain::ledger::Account;
use std::fmt::Write;
use std::io;

/// Accounts of these names are of those types to hledger.
const TYPES: [(&str, char); 5] =
    [("assets", 'A'), ("liabilities", 'L'), ("equity", 'E'), ("revenues", 'R'), ("expenses", 'X')];

/// What an account is called: the parts are divided by colons, and nothing else in them is one.
pub fn name(account: &Account) -> String {
    match account {
        Account::Network(id) => format!("assets:deposits:{}", part(id.as_str())),
        Account::Hot(id) => format!("assets:hot:{}", part(id.as_str())),
        Account::Cold(id) => format!("assets:cold:{}", part(id.as_str())),
        account if *account == ALL_ORDERS => "liabilities:orders:earlier".to_owned(),
        Account::Order(no) => format!("liabilities:orders:{no}"),
        Account::ExchangeReserve => "liabilities:exchange reserve".to_owned(),
        Account::Sales => "revenues:sales:other".to_owned(),
        Account::SalesOf(kind) => format!("revenues:sales:{}", part(kind)),
        Account::Differences => "revenues:differences".to_owned(),
        Account::Exchanges => "equity:exchanges".to_owned(),
        Account::PaidOut(id) => format!("equity:paid out:{}", part(id.as_str())),
        Account::Fees(id) => format!("expenses:fees:{}", part(id.as_str())),
        Account::Cost(supplier) => format!("expenses:cost:{}", part(supplier)),
    }
}

/// Networks have colons in their names, and the catalogue's words may hold anything.
fn part(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "._-".contains(letter);
    text.chars().map(|letter| if is_plain(letter) { letter } else { '.' }).collect()
}

/// Quoted, so that digits and marks may stand in it.
fn commodity(asset: &AssetId) -> String {
    let is_plain = |letter: &char| !letter.is_control() && *letter != '"';
    format!("\"{}\"", asset.as_str().chars().filter(is_plain).collect::<String>())
}

/// Writes the journal. Where it does not begin at the beginning, its first transaction brings what was there.
pub fn write(tx: &mut Tx<'_>, coins: &Coins, period: Period, out: &mut dyn io::Write) -> Result<(), ExportError> {
    out.write_all(head(coins).as_bytes())?;
    let mut before = Some(Sums::new()).filter(|_| period.from > Period::ALL.from);
    for_each_event(tx, |event| {
        let Some(first) = event.first() else { return Ok(()) };
        if let Some(sums) = before.as_mut().filter(|_| first.at < period.from) {
            event.iter().for_each(|entry| add(sums, &entry.transfer));
        }
        if !period.holds(first.at) {
            return Ok(());
        }
        if let Some(sums) = before.take() {
            out.write_all(opening(&sums, period, coins).as_bytes())?;
        }
        Ok(out.write_all(transaction(event, first, coins).as_bytes())?)
    })?;
    // Nothing happened in the period.
    if let Some(sums) = before {
        out.write_all(opening(&sums, period, coins).as_bytes())?;
    }
    Ok(())
}

fn head(coins: &Coins) -> String {
    let mut text =
        "; The books of a kiosk. Amounts: debits are positive. See docs/books.md.\ndecimal-mark .\n\n".to_owned();
    for (asset, coin) in coins.all() {
        let (sample, remark) = (decimal(0, coin.scale), remark(&coin.name, &coin.network));
        // hledger wants a decimal mark in the sample, also where no decimals follow.
        let point = if coin.scale == 0 { "." } else { "" };
        line(&mut text, format_args!("commodity {sample}{point} {}  ; {remark}", commodity(asset)));
    }
    for (name, letter) in TYPES {
        line(&mut text, format_args!("account {name}  ; type:{letter}"));
    }
    text
}

fn remark(name: &str, network: &str) -> String {
    let text = if network.is_empty() { name.to_owned() } else { format!("{name} on {network}") };
    text.chars().filter(|letter| !letter.is_control()).collect()
}

fn opening(sums: &Sums, period: Period, coins: &Coins) -> String {
    let sums: Vec<_> = sums.iter().filter(|(_, units)| **units != 0).collect();
    if sums.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{} * opening balances\n", period.from.day());
    for ((asset, account), units) in sums {
        posting(&mut text, account, asset, *units, coins);
    }
    text
}

fn transaction(event: &[Entry], first: &Entry, coins: &Coins) -> String {
    let code = if first.order_no > 0 { format!(" ({})", first.order_no) } else { String::new() };
    let kind = first.kind.as_deref().unwrap_or("transfer");
    let (day, time) = (first.at.day(), first.at.rfc3339());
    let mut text = format!("\n{day} *{code} {kind}  ; event:{}, time:{time}\n", first.seq);
    for entry in event {
        let (transfer, units) = (&entry.transfer, i128::from(entry.transfer.units));
        posting(&mut text, &transfer.debit, &transfer.asset, units, coins);
        posting(&mut text, &transfer.credit, &transfer.asset, -units, coins);
    }
    text
}

/// Two spaces end an account's name.
fn posting(text: &mut String, account: &Account, asset: &AssetId, units: i128, coins: &Coins) {
    let amount = decimal(units, coins.of(asset).scale);
    line(text, format_args!("    {}  {amount} {}", name(account), commodity(asset)));
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::NetworkId;

    #[test]
    fn a_name_has_the_parts_that_are_meant_and_no_more() {
        for (account, expected) in [
            (Account::Network(NetworkId::new("eip155:8453")), "assets:deposits:eip155.8453"),
            (Account::PaidOut(NetworkId::new("manual")), "equity:paid out:manual"),
            (Account::Order(1_001), "liabilities:orders:1001"),
            (ALL_ORDERS, "liabilities:orders:earlier"),
            (Account::SalesOf("mobile_recharge".to_owned()), "revenues:sales:mobile_recharge"),
            (Account::SalesOf("a:b  c; d\n2026".to_owned()), "revenues:sales:a.b..c..d.2026"),
            (Account::Sales, "revenues:sales:other"),
        ] {
            assert_eq!(name(&account), expected);
        }
    }

    #[test]
    fn a_commodity_cannot_end_its_own_quotes() {
        assert_eq!(commodity(&AssetId::new("eip155:1/erc20:0xA0")), "\"eip155:1/erc20:0xA0\"");
        assert_eq!(commodity(&AssetId::new("manual/A\"B\n2026-01-01")), "\"manual/AB2026-01-01\"");
    }
}
