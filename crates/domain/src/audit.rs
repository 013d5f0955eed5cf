//! What must hold between the ledger, what chains showed, and what lies on them. Pure: whoever audits hands in figures and is
//! told what differs.
//!
//! Raw sums are compared exactly: they are the chain's own integers. The ledger keeps each transfer rounded down to its
//! scale, so that it may say less than a raw sum, by less than one unit for each transfer, and never more. Called by the audit
//! worker, which the simulator runs, too.

use crate::ids::{AssetId, NetworkId};
use crate::ledger::{Account, Transfer, network_of};
use crate::route::MANUAL;
use std::collections::{BTreeMap, BTreeSet};

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// The kept balances with the transfers of the ledger.
    Balances,
    /// What an order owes its payer with its own account.
    Orders,
    /// A payment of an order with what its network showed.
    Payments,
    /// All payments of an asset with all that was shown.
    Deposits,
    /// What lies at an address with what came to it.
    Chain,
}

impl Check {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            Check::Balances => "balances",
            Check::Orders => "orders",
            Check::Payments => "payments",
            Check::Deposits => "deposits",
            Check::Chain => "chain",
        }
    }
}

/// Two figures that should be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub check: Check,
    pub asset: AssetId,
    /// Of what: an account, an order, a transfer or an address.
    pub about: String,
    /// Found less expected, in units of the ledger, rounded away from zero.
    pub units: i64,
    /// The numbers, for a person.
    pub sentence: String,
}

impl Difference {
    /// Names it: the same thing that differs again has the same name.
    pub fn id(&self) -> String {
        name(self.check, &self.asset, &self.about)
    }

    /// The network that takes no new orders for it.
    pub fn network(&self) -> NetworkId {
        network_of(&self.asset)
    }
}

/// What a difference of that kind is called.
pub fn name(check: Check, asset: &AssetId, about: &str) -> String {
    format!("{}|{asset}|{about}", check.word())
}

/// All orders together, among [`Totals`].
pub const ORDERS: &str = "orders";

/// Debited and credited units by account and asset; all orders together are one account, [`ORDERS`].
pub type Totals = BTreeMap<(String, AssetId), (i64, i64)>;

/// Adds transfers up. `None` if a sum is more than the books can hold.
pub fn add_up<'a>(totals: &mut Totals, transfers: impl Iterator<Item = &'a Transfer>) -> Option<()> {
    for transfer in transfers {
        for (account, debit, credit) in [(&transfer.debit, transfer.units, 0), (&transfer.credit, 0, transfer.units)] {
            let account = if account.is_of_one_order() { ORDERS.to_owned() } else { account.to_string() };
            let total = totals.entry((account, transfer.asset.clone())).or_default();
            *total = (total.0.checked_add(debit)?, total.1.checked_add(credit)?);
        }
    }
    Some(())
}

/// Each kept balance is the sum of its transfers, and with what orders are owed each asset comes to zero. `kept` has no orders.
pub fn balances(totals: &Totals, kept: &Totals) -> Vec<Difference> {
    let nothing = (0, 0);
    let accounts = totals.keys().chain(kept.keys()).filter(|(account, _)| account != ORDERS);
    let accounts: BTreeSet<&(String, AssetId)> = accounts.collect();
    let mut found = Vec::new();
    for key in accounts {
        let (added, known) = (totals.get(key).unwrap_or(&nothing), kept.get(key).unwrap_or(&nothing));
        if added != known {
            let (account, asset) = key;
            let units = net(known) - net(added);
            let sentence = format!(
                "the balance of {account} is kept as {} debited and {} credited, its transfers add up to {} and {}",
                known.0, known.1, added.0, added.1
            );
            found.push(difference(Check::Balances, asset, account, units, sentence));
        }
    }
    let mut sums = BTreeMap::<&AssetId, i128>::new();
    let of_orders = totals.iter().filter(|((account, _), _)| account == ORDERS);
    for ((_, asset), total) in kept.iter().chain(of_orders) {
        *sums.entry(asset).or_default() += net(total);
    }
    for (asset, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
        let sentence = format!("debits and credits of {asset} differ by {sum}");
        found.push(difference(Check::Balances, asset, "sum", sum, sentence));
    }
    found
}

fn net(total: &(i64, i64)) -> i128 {
    i128::from(total.0) - i128::from(total.1)
}

/// What an order's row says that it owes, and what its account holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    pub no: i64,
    pub asset: AssetId,
    pub said_units: i64,
    pub booked_units: i128,
}

impl Owed {
    /// What the difference would be called.
    pub fn about(&self) -> String {
        self.no.to_string()
    }

    /// The row and the account are one figure.
    pub fn difference(&self) -> Option<Difference> {
        let (no, said, booked) = (self.no, self.said_units, self.booked_units);
        let sentence = format!("order {no} says that it owes its payer {said}, the ledger says {booked}");
        let units = booked - i128::from(said);
        (units != 0).then(|| difference(Check::Orders, &self.asset, &self.about(), units, sentence))
    }
}

/// A payment that the ledger has booked, and what its network showed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// The transfer's id.
    pub transfer: String,
    pub asset: AssetId,
    pub units: i64,
    pub shown: Option<Shown>,
}

/// What a network showed: the asset, the units of the ledger, and the chain's own integer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub asset: AssetId,
    pub units: i64,
    pub raw: String,
}

/// Decimals of an asset on its chain, and in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimals {
    pub chain: u32,
    pub ledger: u32,
}

impl Decimals {
    /// A raw amount in units of the ledger, rounded down.
    pub fn units(&self, raw: i128) -> i128 {
        raw.div_euclid(self.factor())
    }

    /// The same, rounded away from zero: something is not nothing.
    fn units_of_difference(&self, raw: i128) -> i128 {
        let units = raw.unsigned_abs().div_ceil(self.factor().unsigned_abs());
        i128::try_from(units).unwrap_or(i128::MAX) * raw.signum()
    }

    fn factor(&self) -> i128 {
        10_i128.checked_pow(self.chain.saturating_sub(self.ledger)).unwrap_or(i128::MAX)
    }
}

impl Booked {
    /// What was booked is what was shown. Money that an operator confirmed by hand is on no chain. `decimals` where the asset is
    /// one that counts.
    pub fn difference(&self, decimals: Option<Decimals>) -> Option<Difference> {
        if network_of(&self.asset).as_str() == MANUAL {
            return None;
        }
        let (id, units) = (&self.transfer, self.units);
        let differs = |found: i64, sentence: String| {
            let by = i128::from(found) - i128::from(units);
            Some(difference(Check::Payments, &self.asset, id, by, sentence))
        };
        let Some(shown) = &self.shown else {
            return differs(0, format!("{units} of the payment {id} are booked, and its network never showed it"));
        };
        if shown.asset != self.asset {
            return differs(
                0,
                format!("the payment {id} is booked as {}, its network showed {}", self.asset, shown.asset),
            );
        }
        if shown.units != units {
            return differs(
                shown.units,
                format!("{units} of the payment {id} are booked, its network showed {}", shown.units),
            );
        }
        let raw = decimals.map(|decimals| shown.raw.parse::<i128>().map(|raw| decimals.units(raw)));
        match raw {
            // An amount that no token has is kept as the most that fits.
            None | Some(Err(_)) => None,
            Some(Ok(exact)) if exact == i128::from(units) || exact > i128::from(MOST_UNITS) => None,
            Some(Ok(exact)) => {
                let found = i64::try_from(exact).unwrap_or(i64::MAX);
                differs(
                    found,
                    format!("{units} of the payment {id} are booked, its raw amount {} is {exact}", shown.raw),
                )
            }
        }
    }
}

/// No transfer of a chain is written with more units.
const MOST_UNITS: i64 = i64::MAX / 1_024;

/// All that a network showed of an asset and orders know as confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deposits {
    pub count: i64,
    pub units: i128,
    /// `None` once an amount was no number that fits.
    pub raw: Option<i128>,
}

/// What the ledger has booked of an asset from the network to orders, less what it booked back, is all that was shown.
pub fn deposits(
    asset: &AssetId,
    shown: &Deposits,
    booked_units: i128,
    decimals: Option<Decimals>,
) -> Option<Difference> {
    if network_of(asset).as_str() == MANUAL {
        return None;
    }
    if shown.units != booked_units {
        let sentence = format!(
            "{booked_units} of {asset} are booked as deposits, the transfers to orders add up to {}",
            shown.units
        );
        return Some(difference(Check::Deposits, asset, "units", shown.units - booked_units, sentence));
    }
    let (raw, decimals) = (shown.raw?, decimals?);
    let lost_in_rounding = decimals.units(raw) - shown.units;
    if (0..=i128::from(shown.count)).contains(&lost_in_rounding) {
        return None;
    }
    let sentence = format!("the raw amounts of {asset} add up to {raw}, and {} units are booked for them", shown.units);
    Some(difference(Check::Deposits, asset, "raw", lost_in_rounding, sentence))
}

/// What lies at an address of ours, and what came to it and did not leave. Both are the chain's own integers.
pub fn chain(
    asset: &AssetId,
    address: &str,
    expected: i128,
    found: i128,
    decimals: Decimals,
    height: i64,
) -> Option<Difference> {
    let raw = found.saturating_sub(expected);
    let sentence = format!("at block {height} there lie {found} of {asset} at {address}, and {expected} are known");
    (raw != 0).then(|| difference(Check::Chain, asset, address, decimals.units_of_difference(raw), sentence))
}

fn difference(check: Check, asset: &AssetId, about: &str, units: i128, sentence: String) -> Difference {
    let most = i128::from(i64::MAX);
    let units = i64::try_from(units.clamp(-most, most)).unwrap_or(i64::MAX);
    Difference { check, asset: asset.clone(), about: about.to_owned(), units, sentence }
}

/// The units by which a transfer moves what is booked as deposits of orders: up from the network to an order, down the other
/// way.
pub fn deposited(transfer: &Transfer) -> i128 {
    let units = i128::from(transfer.units);
    match (&transfer.debit, &transfer.credit) {
        (Account::Network(_), Account::Order(_)) => units,
        (Account::Order(_), Account::Network(_)) => -units,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usdc() -> AssetId {
        AssetId::new("eip155:8453/erc20:0x83")
    }

    const SIX: Decimals = Decimals { chain: 6, ledger: 6 };
    const EIGHTEEN: Decimals = Decimals { chain: 18, ledger: 8 };

    fn moved(debit: Account, credit: Account, units: i64) -> Transfer {
        Transfer { debit, credit, asset: usdc(), units }
    }

    fn totals(rows: &[(&str, i64, i64)]) -> Totals {
        rows.iter().map(|(account, debit, credit)| (((*account).to_owned(), usdc()), (*debit, *credit))).collect()
    }

    #[test]
    fn transfers_add_up_to_totals_with_orders_as_one() {
        let (base, sales) = (Account::Network(NetworkId::new("eip155:8453")), Account::SalesOf("giftcard".to_owned()));
        let transfers = [
            moved(base.clone(), Account::Order(1), 100),
            moved(base, Account::Order(2), 7),
            moved(Account::Order(1), sales, 90),
        ];
        let mut found = Totals::new();
        assert_eq!(add_up(&mut found, transfers.iter()), Some(()));
        let expected = [("network:eip155:8453", 107, 0), (ORDERS, 90, 107), ("sales:giftcard", 0, 90)];
        assert_eq!(found, totals(&expected));
        assert_eq!(transfers.iter().map(deposited).sum::<i128>(), 107);
        let most = [moved(Account::Sales, Account::Exchanges, i64::MAX)];
        assert_eq!(add_up(&mut found, most.iter().chain(&most)), None, "more than the books hold");
    }

    #[test]
    fn balances_are_their_sums_and_assets_come_to_zero() {
        let added = totals(&[("network:x", 107, 0), (ORDERS, 90, 107), ("sales", 0, 90)]);
        let kept = |rows: &[(&str, i64, i64)]| -> Vec<(String, i64)> {
            balances(&added, &totals(rows)).into_iter().map(|found| (found.about, found.units)).collect()
        };
        let named = |rows: &[(&str, i64)]| -> Vec<(String, i64)> {
            rows.iter().map(|(about, units)| ((*about).to_owned(), *units)).collect()
        };
        assert_eq!(kept(&[("network:x", 107, 0), ("sales", 0, 90)]), named(&[]));
        assert_eq!(kept(&[("network:x", 108, 0), ("sales", 0, 90)]), named(&[("network:x", 1), ("sum", 1)]));
        assert_eq!(kept(&[("network:x", 107, 0)]), named(&[("sales", 90), ("sum", 90)]));
        // Both sides grew by the same: the sum is right, and each balance is not.
        assert_eq!(kept(&[("network:x", 110, 0), ("sales", 0, 93)]), named(&[("network:x", 3), ("sales", -3)]));
        assert_eq!(
            kept(&[("network:x", 107, 0), ("sales", 0, 90), ("hot:x", 5, 5)]),
            named(&[("hot:x", 0)]),
            "moved there and back, by nothing"
        );
    }

    #[test]
    fn what_is_booked_is_what_was_shown() {
        let shown =
            |asset: &str, units, raw: &str| Some(Shown { asset: AssetId::new(asset), units, raw: raw.to_owned() });
        let own = "eip155:8453/erc20:0x83";
        let table = [
            ("the same", shown(own, 100, "100"), Some(SIX), None),
            ("never shown", None, Some(SIX), Some(-100)),
            ("less", shown(own, 99, "99"), Some(SIX), Some(-1)),
            ("more", shown(own, 150, "150"), Some(SIX), Some(50)),
            ("another asset", shown("eip155:8453/erc20:0x84", 100, "100"), Some(SIX), Some(-100)),
            ("rounded down", shown(own, 100, "1009999999999"), Some(EIGHTEEN), None),
            ("rounded up", shown(own, 100, "999999999999"), Some(EIGHTEEN), Some(-1)),
            ("more raw than booked", shown(own, 100, "1010000000000"), Some(EIGHTEEN), Some(1)),
            ("of no known decimals", shown(own, 100, "7"), None, None),
            ("more than fits", shown(own, 100, &"9".repeat(70)), Some(SIX), None),
        ];
        for (name, shown, decimals, expected) in table {
            let booked = Booked { transfer: "t".to_owned(), asset: usdc(), units: 100, shown };
            assert_eq!(booked.difference(decimals).map(|found| found.units), expected, "{name}");
        }
        let by_hand = Booked { transfer: "t".to_owned(), asset: AssetId::new("manual/USD"), units: 100, shown: None };
        assert_eq!(by_hand.difference(None), None);
    }

    #[test]
    fn deposits_are_what_was_shown_but_for_rounding() {
        let sum = |count, units, raw| Deposits { count, units, raw: Some(raw) };
        let units =
            |shown: Deposits, booked, decimals| deposits(&usdc(), &shown, booked, Some(decimals)).map(|f| f.units);
        assert_eq!(units(sum(2, 107, 107), 107, SIX), None);
        assert_eq!(units(sum(2, 107, 107), 100, SIX), Some(7));
        assert_eq!(units(sum(2, 107, 108), 107, SIX), None, "less than one for each of the two");
        assert_eq!(units(sum(2, 107, 110), 107, SIX), Some(3));
        assert_eq!(units(sum(2, 107, 106), 107, SIX), Some(-1), "never more than there is");
        assert_eq!(units(sum(3, 107, 1_090_000_000_000), 107, EIGHTEEN), None);
        assert_eq!(deposits(&usdc(), &Deposits { raw: None, ..sum(1, 5, 0) }, 5, Some(SIX)), None);
        assert_eq!(deposits(&AssetId::new("manual/USD"), &sum(0, 0, 0), 5, None), None);
    }

    #[test]
    fn a_difference_of_a_fraction_is_one() {
        let units =
            |expected, found, decimals| chain(&usdc(), "0xa", expected, found, decimals, 9).map(|found| found.units);
        assert_eq!(units(100, 100, SIX), None);
        assert_eq!(units(100, 90, SIX), Some(-10));
        assert_eq!(units(0, 1, EIGHTEEN), Some(1));
        assert_eq!(units(1, 0, EIGHTEEN), Some(-1));
        assert_eq!(units(0, 20_000_000_001, EIGHTEEN), Some(3));
        assert_eq!(units(0, i128::MAX, SIX), Some(i64::MAX));
        let found = chain(&usdc(), "0xa", 5, 7, SIX, 9).expect("they differ");
        assert_eq!(found.id(), "chain|eip155:8453/erc20:0x83|0xa");
        assert_eq!(found.network(), NetworkId::new("eip155:8453"));
        let said = "at block 9 there lie 7 of eip155:8453/erc20:0x83 at 0xa, and 5 are known";
        assert_eq!(found.sentence, said);
    }
}
