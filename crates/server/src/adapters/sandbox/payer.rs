//! A simulated payer: coins go out to the simulated chain, and how the recipient's address ends chooses what becomes of
//! it.
//!
//! What was paid stands in the books before it answers, with the payment on the chain in the same commit, so that a lookup
//! after a restart says the same. Must never pay twice under one reference. The table for people is in `docs/sandbox.md`.

use super::books::{self, Books, BooksError};
use crate::ports::{Answer, Clock, Outcome, Paid, Payer, SimulatedPayment, Withdrawal};
use domain::fulfil::Patience;
use domain::ids::NetworkId;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// How an address ends, and what becomes of a payout to it; every other one is paid at once.
pub const PAYOUT_ENDINGS: [(&str, PayoutEnding); 4] = [
    ("1111", PayoutEnding::Pending),
    ("2222", PayoutEnding::Refused),
    ("3333", PayoutEnding::Found),
    ("4444", PayoutEnding::Lost),
];

/// What becomes of a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutEnding {
    /// Final when it is paid.
    AtOnce,
    /// Taken in when it is paid, final at the second lookup.
    Pending,
    /// Refused when it is paid.
    Refused,
    /// No answer when it is paid, final at the first lookup.
    Found,
    /// Never an answer.
    Lost,
}

impl PayoutEnding {
    fn of(address: &str) -> PayoutEnding {
        let chosen = PAYOUT_ENDINGS.iter().find(|(suffix, _)| address.ends_with(suffix));
        chosen.map_or(PayoutEnding::AtOnce, |(_, ending)| *ending)
    }

    fn word(self) -> &'static str {
        match self {
            PayoutEnding::AtOnce => "at_once",
            PayoutEnding::Pending => "pending",
            PayoutEnding::Refused => "refused",
            PayoutEnding::Found => "found",
            PayoutEnding::Lost => "lost",
        }
    }

    fn outcome(word: &str, lookups: i64, transaction: Option<String>) -> Option<Outcome<Paid>> {
        let is_final = || Outcome::Done(Paid::Final { transaction: transaction.clone().unwrap_or_default() });
        let silent = || Outcome::Unknown("the sandbox keeps its answer to itself".to_owned());
        Some(match word {
            "at_once" => is_final(),
            "pending" if lookups >= 2 => is_final(),
            "pending" => Outcome::Done(Paid::Pending),
            "refused" => Outcome::Refused("the sandbox refuses this address".to_owned()),
            "found" if lookups >= 1 => is_final(),
            "found" | "lost" => silent(),
            _ => return None,
        })
    }
}

/// The payer of one simulated network.
pub struct SandboxPayer {
    pub books: Arc<Books>,
    pub network: NetworkId,
    pub patience: Patience,
    pub clock: Arc<dyn Clock>,
}

impl Payer for SandboxPayer {
    fn network(&self) -> &NetworkId {
        &self.network
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    fn pay<'a>(&'a self, withdrawal: &'a Withdrawal) -> Answer<'a, Outcome<Paid>> {
        answer(self.pay_once(withdrawal))
    }

    fn find<'a>(&'a self, reference: &'a str) -> Answer<'a, Outcome<Paid>> {
        answer(self.look_up(reference))
    }
}

/// Books that fail may have kept the payout all the same: nobody knows.
fn answer(found: Result<Outcome<Paid>, BooksError>) -> Answer<'static, Outcome<Paid>> {
    let outcome = found.unwrap_or_else(|error| Outcome::Unknown(error.with_causes()));
    Box::pin(std::future::ready(outcome))
}

impl SandboxPayer {
    fn pay_once(&self, withdrawal: &Withdrawal) -> Result<Outcome<Paid>, BooksError> {
        let payment = SimulatedPayment {
            network: self.network.clone(),
            asset: withdrawal.asset.clone(),
            to: withdrawal.to.clone(),
            units: withdrawal.units,
            raw: withdrawal.raw.clone(),
            block_at: self.clock.now(),
            confirmations: 1,
            reorg: None,
        };
        self.books.write(|books| {
            if let Some(known) = outcome_of(books, &withdrawal.reference)? {
                return Ok(known);
            }
            let ending = PayoutEnding::of(&withdrawal.to);
            let is_paid = !matches!(ending, PayoutEnding::Refused | PayoutEnding::Lost);
            let transaction = match is_paid {
                true => Some(books::put_on_chain(books, &payment)?.to_string()),
                false => None,
            };
            let sql = "insert into payouts (reference, ending, lookups, transaction_id) values (?1, ?2, 0, ?3)";
            books.prepare_cached(sql)?.execute(params![withdrawal.reference, ending.word(), transaction])?;
            Ok(outcome_of(books, &withdrawal.reference)?.unwrap_or(Outcome::Done(Paid::Pending)))
        })
    }

    fn look_up(&self, reference: &str) -> Result<Outcome<Paid>, BooksError> {
        self.books.write(|books| {
            let sql = "update payouts set lookups = lookups + 1 where reference = ?1";
            books.prepare_cached(sql)?.execute(params![reference])?;
            Ok(outcome_of(books, reference)?.unwrap_or(Outcome::Done(Paid::NeverArrived)))
        })
    }
}

fn outcome_of(books: &Connection, reference: &str) -> Result<Option<Outcome<Paid>>, BooksError> {
    let sql = "select ending, lookups, transaction_id from payouts where reference = ?1";
    let mut statement = books.prepare_cached(sql)?;
    let row: Option<(String, i64, Option<String>)> =
        statement.query_row(params![reference], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((ending, lookups, transaction)) = row else { return Ok(None) };
    let outcome = PayoutEnding::outcome(&ending, lookups, transaction);
    outcome.map(Some).ok_or_else(|| BooksError::Damaged { reference: reference.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::testing::ready;
    use super::*;
    use crate::clock::SystemClock;
    use domain::ids::AssetId;
    use domain::time::Span;

    const PAGE: &str = include_str!("../../../../../docs/sandbox.md");

    fn payer() -> SandboxPayer {
        let patience =
            Patience { call_timeout: Span(0), settle: Span(0), lookup_every: Span(0), unknown_limit: Span(0) };
        let books = Arc::new(Books::in_memory().expect("books in memory"));
        SandboxPayer { books, network: NetworkId::new("sandbox:base"), patience, clock: Arc::new(SystemClock) }
    }

    fn withdrawal(reference: &str, ending: &str) -> Withdrawal {
        Withdrawal {
            reference: reference.to_owned(),
            asset: AssetId::new("sandbox:base/token:0xd0"),
            to: format!("0xabcd{ending}"),
            units: 5_000_000,
            raw: "5000000".to_owned(),
        }
    }

    fn payments(payer: &SandboxPayer) -> i64 {
        let count = |books: &Connection| Ok(books.query_row("select count(*) from payments", [], |row| row.get(0))?);
        payer.books.read(count).expect("the table is there")
    }

    #[test]
    fn the_end_of_an_address_chooses_and_nothing_is_paid_twice() {
        let payer = payer();
        let is_final = |outcome: &Outcome<Paid>| matches!(outcome, Outcome::Done(Paid::Final { .. }));
        let table = [("0000", 1), ("1111", 1), ("2222", 0), ("3333", 1), ("4444", 0)];
        for (ending, paid) in table {
            let before = payments(&payer);
            let wanted = withdrawal(&format!("p-{ending}"), ending);
            let first = ready(payer.pay(&wanted));
            let outcomes = [
                first.clone(),
                ready(payer.pay(&wanted)),
                ready(payer.find(&wanted.reference)),
                ready(payer.find(&wanted.reference)),
            ];
            assert_eq!(payments(&payer) - before, paid, "{ending}");
            let finals: Vec<bool> = outcomes.iter().map(is_final).collect();
            let wanted = match ending {
                "0000" => [true; 4],
                "1111" => [false, false, false, true],
                "3333" => [false, false, true, true],
                _ => [false; 4],
            };
            assert_eq!(finals, wanted, "{ending}");
            assert_eq!(matches!(first, Outcome::Refused(_)), ending == "2222");
        }
        assert_eq!(ready(payer.find("p-unknown")), Outcome::Done(Paid::NeverArrived));
    }

    #[test]
    fn the_page_names_every_ending() {
        for (ending, _) in PAYOUT_ENDINGS {
            assert!(PAGE.contains(&format!("| `{ending}` |")), "{ending}");
        }
    }
}
