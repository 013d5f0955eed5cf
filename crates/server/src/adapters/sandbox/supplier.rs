//! A simulated supplier: the recipient's name or number chooses what becomes of a purchase.
//!
//! Keeps in the books what it sold, before it answers, so that a lookup after a restart hands over the same goods. Must
//! never keep the recipient, only which outcome it chose, and never sell twice under one reference. The codes are made
//! up and open nothing. Called by the worker that buys and looks up, through the port. The table for people is in
//! `docs/sandbox.md`; a test compares it with [`OUTCOMES`].

use super::books::{Books, BooksError};
use crate::entropy::to_hex;
use crate::ports::{Answer, Delivery, Goods, Ids, Outcome, Purchase, Supplier};
use domain::fulfil::Patience;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// How a recipient chooses an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeRule {
    /// How the part of an e-mail address before the `@` begins, in any case.
    pub prefix: &'static str,
    /// How a phone number ends.
    pub suffix: &'static str,
    pub ending: Ending,
}

/// Which recipients choose an outcome; every other one is served at once.
pub const OUTCOMES: &[OutcomeRule] = &[
    OutcomeRule { prefix: "pending", suffix: "0001", ending: Ending::Pending },
    OutcomeRule { prefix: "refused", suffix: "0002", ending: Ending::Refused },
    OutcomeRule { prefix: "found", suffix: "0003", ending: Ending::Found },
    OutcomeRule { prefix: "lost", suffix: "0004", ending: Ending::Lost },
];

/// Supplier SKUs that begin so are sold out when they are bought.
const SOLD_OUT: &str = "OUT-";

/// Supplier SKUs that begin so are eSIMs.
const ESIM: &str = "ESIM";

/// The symbols of a card's code: no 0, O, 1 or I, which people mix up. 32, so that a random byte chooses evenly.
const SYMBOLS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// What becomes of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Delivered when it is placed.
    AtOnce,
    /// Taken in when it is placed, delivered at the second lookup.
    Pending,
    /// Refused when it is placed: the recipient.
    Refused,
    /// No answer when it is placed, delivered at the first lookup.
    Found,
    /// Never an answer.
    Lost,
    /// Refused when it is placed: the item. Chosen by the supplier SKU.
    SoldOut,
}

/// Where a purchase stands after some lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Pending,
    /// The supplier gives no clear answer.
    Silent,
    Delivered,
    Refused(&'static str),
}

impl Ending {
    const ALL: [Ending; 6] =
        [Ending::AtOnce, Ending::Pending, Ending::Refused, Ending::Found, Ending::Lost, Ending::SoldOut];

    fn chosen_by(purchase: &Purchase) -> Ending {
        if purchase.sku.starts_with(SOLD_OUT) {
            return Ending::SoldOut;
        }
        let recipient = purchase.beneficiary.as_str();
        let local_part = recipient.split('@').next().unwrap_or_default().to_ascii_lowercase();
        let rule = OUTCOMES.iter().find(|rule| {
            if is_phone_number(recipient) {
                recipient.ends_with(rule.suffix)
            } else {
                local_part.starts_with(rule.prefix)
            }
        });
        rule.map_or(Ending::AtOnce, |rule| rule.ending)
    }

    fn stage(self, lookups: i64) -> Stage {
        match self {
            Ending::AtOnce => Stage::Delivered,
            Ending::Pending if lookups >= 2 => Stage::Delivered,
            Ending::Pending => Stage::Pending,
            Ending::Found if lookups >= 1 => Stage::Delivered,
            Ending::Found | Ending::Lost => Stage::Silent,
            Ending::Refused => Stage::Refused("the sandbox refuses this recipient"),
            Ending::SoldOut => Stage::Refused("the sandbox has sold out of this item"),
        }
    }

    /// Whether goods will be handed over some time.
    fn delivers(self) -> bool {
        match self {
            Ending::AtOnce | Ending::Pending | Ending::Found => true,
            Ending::Refused | Ending::Lost | Ending::SoldOut => false,
        }
    }

    /// The word in the books.
    fn word(self) -> &'static str {
        match self {
            Ending::AtOnce => "at_once",
            Ending::Pending => "pending",
            Ending::Refused => "refused",
            Ending::Found => "found",
            Ending::Lost => "lost",
            Ending::SoldOut => "sold_out",
        }
    }

    fn parse(word: &str) -> Option<Ending> {
        Ending::ALL.into_iter().find(|ending| ending.word() == word)
    }
}

impl Stage {
    /// The word in the books.
    fn word(self) -> &'static str {
        match self {
            Stage::Pending => "pending",
            Stage::Silent => "silent",
            Stage::Delivered => "delivered",
            Stage::Refused(_) => "refused",
        }
    }
}

/// The supplier `sandbox`.
pub struct SandboxSupplier {
    pub books: Arc<Books>,
    pub patience: Patience,
    pub ids: Arc<dyn Ids>,
}

impl Supplier for SandboxSupplier {
    fn name(&self) -> &str {
        "sandbox"
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    fn place<'a>(&'a self, purchase: &'a Purchase) -> Answer<'a, Outcome<Delivery>> {
        answer(self.sell(purchase))
    }

    fn find<'a>(&'a self, reference: &'a str) -> Answer<'a, Outcome<Delivery>> {
        answer(self.look_up(reference))
    }
}

/// Books that fail may have kept the purchase all the same: nobody knows.
fn answer(found: Result<Outcome<Delivery>, BooksError>) -> Answer<'static, Outcome<Delivery>> {
    let outcome = found.unwrap_or_else(|error| Outcome::Unknown(error.with_causes()));
    Box::pin(std::future::ready(outcome))
}

impl SandboxSupplier {
    fn sell(&self, purchase: &Purchase) -> Result<Outcome<Delivery>, BooksError> {
        self.books.write(|books| {
            if let Some(sold) = read_sold(books, &purchase.reference)? {
                return Ok(sold.outcome());
            }
            let ending = Ending::chosen_by(purchase);
            // A top-up hands nothing over: the phone has it.
            let is_handed_over = ending.delivers() && !is_phone_number(&purchase.beneficiary);
            let goods = is_handed_over.then(|| make_goods(&purchase.sku, self.ids.bytes()));
            let lookups = 0;
            let sold = Sold { ending, lookups, goods };
            insert_sold(books, purchase, &sold)?;
            Ok(sold.outcome())
        })
    }

    fn look_up(&self, reference: &str) -> Result<Outcome<Delivery>, BooksError> {
        self.books.write(|books| {
            let Some(mut sold) = read_sold(books, reference)? else {
                return Ok(Outcome::Done(Delivery::NeverArrived));
            };
            sold.lookups += 1;
            let sql = "update purchases set lookups = ?2, state = ?3 where reference = ?1";
            let row = params![reference, sold.lookups, sold.stage().word()];
            books.prepare_cached(sql)?.execute(row)?;
            Ok(sold.outcome())
        })
    }
}

/// A purchase as the books keep it.
struct Sold {
    ending: Ending,
    lookups: i64,
    /// Made when it was placed, handed over when it is delivered. `None`: a top-up, or nothing will ever be delivered.
    goods: Option<Goods>,
}

impl Sold {
    fn stage(&self) -> Stage {
        self.ending.stage(self.lookups)
    }

    fn outcome(self) -> Outcome<Delivery> {
        match self.stage() {
            Stage::Pending => Outcome::Done(Delivery::Pending),
            Stage::Silent => Outcome::Unknown("the sandbox keeps its answer to itself".to_owned()),
            Stage::Delivered => Outcome::Done(self.goods.map_or(Delivery::Direct, Delivery::Goods)),
            Stage::Refused(reason) => Outcome::Refused(reason.to_owned()),
        }
    }
}

fn read_sold(books: &Connection, reference: &str) -> Result<Option<Sold>, BooksError> {
    let sql = "select beneficiary_outcome, lookups, goods from purchases where reference = ?1";
    let mut statement = books.prepare_cached(sql)?;
    let row: Option<(String, i64, Option<String>)> =
        statement.query_row(params![reference], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((word, lookups, goods)) = row else {
        return Ok(None);
    };
    let damaged = || BooksError::Damaged { reference: reference.to_owned() };
    let ending = Ending::parse(&word).ok_or_else(damaged)?;
    let goods = match goods {
        Some(text) => Some(serde_json::from_str::<Goods>(&text).map_err(|_| damaged())?),
        None => None,
    };
    Ok(Some(Sold { ending, lookups, goods }))
}

fn insert_sold(books: &Connection, purchase: &Purchase, sold: &Sold) -> Result<(), BooksError> {
    let to_text = |goods: &Goods| serde_json::to_string(goods).expect("goods are texts, which JSON can hold");
    let goods = sold.goods.as_ref().map(to_text);
    let sql = "insert into purchases (reference, supplier_sku, beneficiary_outcome, lookups, state, goods) \
        values (?1, ?2, ?3, ?4, ?5, ?6)";
    let (ending, state) = (sold.ending.word(), sold.stage().word());
    let row = params![purchase.reference, purchase.sku, ending, sold.lookups, state, goods];
    books.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

fn is_phone_number(recipient: &str) -> bool {
    recipient.starts_with('+')
}

fn make_goods(sku: &str, drawn: [u8; 16]) -> Goods {
    if sku.starts_with(ESIM) {
        let matching_id = to_hex(&drawn[..8]).to_ascii_uppercase();
        return Goods { pin_code: format!("LPA:1$smdp.sandbox.invalid${matching_id}"), ..Goods::default() };
    }
    let [pin @ .., a, b, c, d] = drawn;
    let symbol = |byte: &u8| char::from(SYMBOLS[usize::from(*byte) % SYMBOLS.len()]);
    let group = |bytes: &[u8]| bytes.iter().map(symbol).collect::<String>();
    let groups: Vec<String> = pin.chunks(4).map(group).collect();
    Goods {
        pin_code: format!("SBX-{}", groups.join("-")),
        pin_serial: Some(format!("{:010}", u32::from_be_bytes([a, b, c, d]))),
        security_code: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, ready};
    use super::*;
    use domain::money::{Currency, Fiat};
    use domain::time::Span;
    use std::sync::atomic::{AtomicU8, Ordering};

    /// 0, 1, 2 .. as bytes, so that each purchase gets another code.
    struct Counting(AtomicU8);

    impl Ids for Counting {
        fn bytes(&self) -> [u8; 16] {
            [self.0.fetch_add(1, Ordering::Relaxed); 16]
        }

        fn key(&self) -> [u8; 32] {
            [self.0.fetch_add(1, Ordering::Relaxed); 32]
        }
    }

    fn supplier(books: Books) -> SandboxSupplier {
        SandboxSupplier {
            books: Arc::new(books),
            patience: Patience {
                call_timeout: Span::seconds(1),
                settle: Span::seconds(2),
                lookup_every: Span::seconds(3),
                unknown_limit: Span::seconds(4),
            },
            ids: Arc::new(Counting(AtomicU8::new(0))),
        }
    }

    fn in_memory() -> SandboxSupplier {
        supplier(Books::in_memory().expect("books in memory"))
    }

    fn purchase(reference: &str, sku: &str, beneficiary: &str) -> Purchase {
        Purchase {
            reference: reference.to_owned(),
            sku: sku.to_owned(),
            face: Fiat::whole(25, Currency::parse("USD").expect("a currency")),
            beneficiary: beneficiary.to_owned(),
        }
    }

    /// Deliveries do not print by themselves, because they hold codes.
    fn words(outcome: &Outcome<Delivery>) -> String {
        match outcome {
            Outcome::Done(Delivery::Pending) => "pending".to_owned(),
            Outcome::Done(Delivery::Direct) => "direct".to_owned(),
            Outcome::Done(Delivery::NeverArrived) => "never arrived".to_owned(),
            Outcome::Done(Delivery::Goods(goods)) => {
                format!("{} {}", goods.pin_code, goods.pin_serial.as_deref().unwrap_or("-"))
            }
            Outcome::Refused(reason) => format!("refused: {reason}"),
            Outcome::Unknown(_) => "unknown".to_owned(),
        }
    }

    const REFUSED: &str = "refused: the sandbox refuses this recipient";
    const NO_STOCK: &str = "refused: the sandbox has sold out of this item";
    /// Sixteen times the byte 0: the first symbol, and the number 0.
    const CARD: &str = "SBX-AAAA-AAAA-AAAA 0000000000";
    const PLAN: &str = "LPA:1$smdp.sandbox.invalid$0000000000000000 -";

    #[test]
    fn the_recipient_or_the_item_chooses_the_outcome() {
        // Recipient, supplier SKU, then the answers to placing and to three lookups.
        let table: &[(&str, &str, [&str; 4])] = &[
            ("ann@example.com", "ABNB-US", [CARD, CARD, CARD, CARD]),
            ("ann@example.com", "ESIM-US-1-3", [PLAN, PLAN, PLAN, PLAN]),
            ("+14155551234", "TOPUP-US", ["direct"; 4]),
            ("pending@example.com", "ABNB-US", ["pending", "pending", CARD, CARD]),
            ("pending.ann@example.com", "ESIM-US", ["pending", "pending", PLAN, PLAN]),
            ("+14155550001", "TOPUP-US", ["pending", "pending", "direct", "direct"]),
            ("Refused+x@example.com", "ABNB-US", [REFUSED; 4]),
            ("+14155550002", "TOPUP-US", [REFUSED; 4]),
            ("found@example.com", "ABNB-US", ["unknown", CARD, CARD, CARD]),
            ("+14155550003", "TOPUP-US", ["unknown", "direct", "direct", "direct"]),
            ("lost@example.com", "ABNB-US", ["unknown"; 4]),
            ("+14155550004", "TOPUP-US", ["unknown"; 4]),
            ("ann@example.com", "OUT-OF-CARDS", [NO_STOCK; 4]),
            ("+14155551234", "OUT-OF-AIR", [NO_STOCK; 4]),
            // Neither the domain nor the middle of a name chooses.
            ("ann@lost.example.com", "ABNB-US", [CARD, CARD, CARD, CARD]),
            ("not.refused@example.com", "ABNB-US", [CARD, CARD, CARD, CARD]),
            ("+10001555123", "TOPUP-US", ["direct"; 4]),
        ];
        for (recipient, sku, expected) in table {
            let supplier = in_memory();
            let mut answers = vec![words(&ready(supplier.place(&purchase("k1-0-1", sku, recipient))))];
            for _ in 0..3 {
                answers.push(words(&ready(supplier.find("k1-0-1"))));
            }
            assert_eq!(answers, *expected, "{recipient} {sku}");
        }
    }

    #[test]
    fn a_reference_that_never_came_is_a_clear_no() {
        assert_eq!(words(&ready(in_memory().find("k9-0-1"))), "never arrived");
    }

    #[test]
    fn the_same_reference_buys_once() {
        let supplier = in_memory();
        let place = |reference: &str| words(&ready(supplier.place(&purchase(reference, "ABNB-US", "ann@example.com"))));
        let first = place("k1-0-1");
        assert_eq!(place("k1-0-1"), first);
        assert_eq!(place("k1-1-1"), "SBX-BBBB-BBBB-BBBB 0016843009", "the second line has a code of its own");
        assert_eq!(place("k1-0-1"), first);
    }

    #[test]
    fn placing_again_is_no_lookup() {
        let supplier = in_memory();
        let place = || words(&ready(supplier.place(&purchase("k1-0-1", "ABNB-US", "found@example.com"))));
        assert_eq!([place(), place()], ["unknown", "unknown"]);
        assert_eq!(words(&ready(supplier.find("k1-0-1"))), CARD);
        assert_eq!(place(), CARD);
    }

    #[test]
    fn goods_survive_a_restart_and_the_recipient_is_never_kept() {
        let folder = Folder::new("goods");
        let open = || supplier(Books::open(&folder.books()).expect("the books open"));
        let (first, second) = (open(), open());
        let wanted = purchase("k1-0-1", "ABNB-US", "pending.zebedee@example.com");
        let phone = purchase("k1-1-1", "TOPUP-US", "+14155550001");
        for purchase in [&wanted, &phone] {
            assert_eq!(words(&ready(first.place(purchase))), "pending");
        }
        assert_eq!(words(&ready(second.find("k1-0-1"))), "pending");
        drop((first, second));
        assert_eq!(words(&ready(open().find("k1-0-1"))), CARD);
        assert_eq!(words(&ready(open().place(&wanted))), CARD);
        let kept = folder.bytes();
        let holds = |text: &str| kept.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds("k1-0-1") && holds("SBX-AAAA"), "the purchase is in the file");
        assert!(!holds("zebedee") && !holds("4155550001"), "the recipient is not");
    }

    #[test]
    fn a_damaged_row_is_an_unknown_outcome() {
        let supplier = in_memory();
        ready(supplier.place(&purchase("k1-0-1", "ABNB-US", "ann@example.com")));
        let damage = "update purchases set goods = '{'";
        let damaged = supplier.books.write(|books| Ok(books.execute(damage, [])?));
        assert_eq!(damaged.expect("the books are writable"), 1);
        let Outcome::Unknown(text) = ready(supplier.find("k1-0-1")) else {
            panic!("a damaged row is no clear answer");
        };
        assert!(text.starts_with("the purchase k1-0-1 in the sandbox's books is damaged"), "{text}");
    }

    #[test]
    fn codes_have_their_forms() {
        let drawn = [0, 31, 32, 255, 23, 24, 25, 7, 8, 9, 10, 11, 255, 255, 255, 255];
        let card = make_goods("ABNB-US", drawn);
        // 32 and 255 are 0 and 31 again; 23 is the last letter, 24 the first digit.
        assert_eq!(card.pin_code, "SBX-A9A9-Z23H-JKLM");
        assert_eq!(card.pin_serial.as_deref(), Some("4294967295"));
        let plan = make_goods("ESIM-US-1-3", drawn);
        assert_eq!(plan.pin_code, "LPA:1$smdp.sandbox.invalid$001F20FF17181907");
        assert!(plan.pin_serial.is_none() && plan.security_code.is_none() && card.security_code.is_none());
    }

    #[test]
    fn the_words_of_the_books_are_read_back() {
        for ending in Ending::ALL {
            assert_eq!(Ending::parse(ending.word()), Some(ending));
        }
        assert_eq!(Ending::parse("soon"), None);
    }

    #[test]
    fn the_document_has_the_same_table() {
        let document = include_str!("../../../../../docs/sandbox.md");
        for rule in OUTCOMES {
            let row = format!("| `{}` | `{}` |", rule.prefix, rule.suffix);
            assert!(document.contains(&row), "docs/sandbox.md has no row {row}");
        }
        assert_eq!(document.matches("| `000").count(), OUTCOMES.len(), "docs/sandbox.md has a row too many");
    }
}
