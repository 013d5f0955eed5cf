//! CSV by RFC 4180, for spreadsheets: a row for each side of each transfer.
//!
//! A spreadsheet takes a cell that begins with certain characters for a formula, and some formulas call the outside. Texts
//! of ours may hold what others wrote (the catalogue's words): such a text gets an apostrophe before it. Numbers are made
//! here, and stay numbers.

use super::{Coins, ExportError, Period, decimal, for_each_event};
use crate::store::Tx;
use crate::store::ledger::Entry;
use domain::ledger::Account;
use std::io;

/// What a formula may begin with, in narrow and in wide characters.
const FORMULA: &[char] = &['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// A field of a row.
pub enum Cell {
    Text(String),
    /// A number, made here.
    Number(String),
    Empty,
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    pub fn amount(units: i128, scale: u32) -> Cell {
        Cell::Number(decimal(units, scale))
    }
}

/// Writes one row.
pub fn row(out: &mut dyn io::Write, cells: &[Cell]) -> io::Result<()> {
    let fields: Vec<String> = cells.iter().map(field).collect();
    write!(out, "{}\r\n", fields.join(","))
}

fn field(cell: &Cell) -> String {
    match cell {
        Cell::Number(number) => number.clone(),
        Cell::Empty => String::new(),
        Cell::Text(text) => {
            let guard = if text.starts_with(FORMULA) { "'" } else { "" };
            let needs_quotes = text.contains(['"', ',', ';', '\t', '\r', '\n']);
            let quote = if needs_quotes { "\"" } else { "" };
            format!("{quote}{guard}{}{quote}", text.replace('"', "\"\""))
        }
    }
}

/// The names of a file's columns.
pub fn head(out: &mut dyn io::Write, names: &[&str]) -> io::Result<()> {
    let cells: Vec<Cell> = names.iter().map(|name| Cell::text(*name)).collect();
    row(out, &cells)
}

/// One row for the debited and one for the credited account: `amount` adds up to zero for each asset.
pub fn postings(tx: &mut Tx<'_>, coins: &Coins, period: Period, out: &mut dyn io::Write) -> Result<(), ExportError> {
    let names =
        ["event", "part", "time", "order", "kind", "account", "debit", "credit", "amount", "coin", "network", "asset"];
    head(out, &names)?;
    for_each_event(tx, |event| {
        for entry in event.iter().filter(|entry| period.holds(entry.at)) {
            let units = i128::from(entry.transfer.units);
            row(out, &side(entry, coins, &entry.transfer.debit, units))?;
            row(out, &side(entry, coins, &entry.transfer.credit, -units))?;
        }
        Ok(())
    })
}

fn side(entry: &Entry, coins: &Coins, account: &Account, units: i128) -> [Cell; 12] {
    let coin = coins.of(&entry.transfer.asset);
    let (debit, credit) = match units > 0 {
        true => (Cell::amount(units, coin.scale), Cell::Empty),
        false => (Cell::Empty, Cell::amount(-units, coin.scale)),
    };
    let order = if entry.order_no > 0 { Cell::Number(entry.order_no.to_string()) } else { Cell::Empty };
    [
        Cell::Number(entry.seq.to_string()),
        Cell::Number(entry.part.to_string()),
        Cell::text(entry.at.rfc3339()),
        order,
        Cell::text(entry.kind.as_deref().unwrap_or_default()),
        Cell::text(account.to_string()),
        debit,
        credit,
        Cell::amount(units, coin.scale),
        Cell::text(coin.name),
        Cell::text(coin.network),
        Cell::text(entry.transfer.asset.as_str()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_as_the_rfc_says_and_no_text_is_a_formula() {
        for (text, expected) in [
            ("Polygon (Matic)", "Polygon (Matic)"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("a;b", "\"a;b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\"'\t=1\""),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("＝1", "'＝1"),
            ("a=1", "a=1"),
        ] {
            assert_eq!(field(&Cell::text(text)), expected);
        }
        assert_eq!(field(&Cell::amount(-101_500_000, 6)), "-101.500000", "a number stays one");
    }

    #[test]
    fn a_row_ends_as_the_rfc_says() {
        let mut out = Vec::new();
        let cells = [Cell::text("a"), Cell::Empty, Cell::Number("1".to_owned())];
        row(&mut out, &cells).expect("memory takes everything");
        assert_eq!(out, b"a,,1\r\n");
    }
}
