//! The exchange office of the simulated shop: dollars on two chains, ether, and dollars at a bank, which are moved by hand.
//!
//! The dollar coins stand at their peg; the price of ether moves, so that what floats is priced anew. The reserves are
//! small enough to run out.

use domain::asset::Rails;
use domain::pricing::{CoinRate, Rates};
use domain::route::Exchange;
use domain::time::Time;
use rust_decimal::Decimal;
use server::exchange_file;
use std::collections::BTreeMap;

/// The networks that coins are paid out on.
pub const PAYERS: [&str; 2] = ["sim:solana", "sim:base"];
/// What ether costs at first, in cents.
pub const ETHER_CENTS: i64 = 200_000;
/// Where payers want to receive begins so, and stands in no log, event or mail.
pub const RECIPIENT: &str = "pays-to-";

/// Every way of an order: fixed and floating, in and out by itself and by hand.
const FILE: &str = r#"
format = "kiosk-exchange-1"

[[currency]]
code = "USDCSOL"
name = "Dollar Solana"
symbol = "USDC"
network = "Solana"
decimals = 2
reserve = "3000"
min = "10"
to_field = [{ name = "Address", alias = "to", regexp = "^pays-to-[0-9]+$", required = true }]

[[currency]]
code = "USDCBASE"
name = "Dollar Base"
symbol = "USDC"
network = "Base"
decimals = 2
reserve = "3000"
min = "10"
to_field = [{ name = "Address", alias = "to", regexp = "^pays-to-[0-9]+$", required = true }]

[[currency]]
code = "ETHBASE"
name = "Ether Base"
symbol = "ETH"
network = "Base"
decimals = 6
reserve = "2"
min = "0.005"
to_field = [{ name = "Address", alias = "to", regexp = "^pays-to-[0-9]+$", required = true }]

[[currency]]
code = "BANKUSD"
name = "Dollar Bank"
symbol = "USD"
decimals = 2
account = "ACCOUNT-1"
reserve = "3000"
min = "10"
to_field = [{ name = "Account", alias = "to", regexp = "^pays-to-[0-9]+$", required = true }]

[[route]]
from = ["USDCSOL"]
to = ["USDCBASE"]
margin_percent = "1.5"
fee = "0.25"
auto_payout = true

[[route]]
from = ["USDCSOL"]
to = ["ETHBASE"]
margin_percent = "1"
reprice_percent = "1"
auto_payout = true

[[route]]
from = ["ETHBASE"]
to = ["USDCSOL"]
margin_percent = "2"
auto_payout = true

[[route]]
from = ["BANKUSD"]
to = ["USDCBASE"]
margin_percent = "1"
auto_payout = true

[[route]]
from = ["BANKUSD"]
to = ["ETHBASE"]
reprice_percent = "1"
auto_payout = true

[[route]]
from = ["USDCBASE"]
to = ["BANKUSD"]
margin_percent = "0.5"

[[route]]
from = ["ETHBASE"]
to = ["BANKUSD"]
reprice_percent = "2"
"#;

/// What it trades.
pub fn exchange(rails: &Rails) -> Exchange {
    exchange_file::read(FILE, "exchange".to_owned(), rails, &BTreeMap::new()).expect("the office's file has no fault")
}

/// What ether cost then.
pub fn rates(ether_cents: i64, as_of: Time) -> Rates {
    let ether = CoinRate { usd: Decimal::new(ether_cents, 2), as_of };
    let coins = BTreeMap::from([("ETH".to_owned(), ether)]);
    Rates { id: format!("ether at {ether_cents}"), coins, ..Rates::default() }
}

#[cfg(test)]
mod tests {
    use crate::market;

    #[test]
    fn the_office_has_routes_of_every_kind() {
        let market = market::market();
        let exchange = &market.exchange;
        let kinds: Vec<(bool, bool, bool)> = exchange
            .routes
            .iter()
            .map(|route| {
                let is_by_hand = matches!(exchange.from_of(route).settles, domain::route::Settles::Manual { .. });
                (is_by_hand, route.auto_payout, route.deal.kind.reprice_bps() > 0)
            })
            .collect();
        for kind in [(false, true, false), (false, true, true), (true, true, false), (true, true, true)] {
            assert!(kinds.contains(&kind), "{kind:?}");
        }
        assert!(kinds.contains(&(false, false, false)) && kinds.contains(&(false, false, true)));
    }
}
