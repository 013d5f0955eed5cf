//! Paying an order on a simulated chain, for `POST /sandbox/orders/{id}/pay` and `kiosk sandbox pay`. Demo only.
//!
//! Must never touch an order's money by itself: it writes to the simulated chain, and the ordinary watcher finds it
//! there.

use crate::engine::{Engine, Lane, SubmitError, read_order};
use crate::ports::{SimulatedChain, SimulatedPayment};
use crate::store::{DbError, transfers};
use domain::asset::{Asset, Confirmation};
use domain::decide::{Command, Refusal};
use domain::ids::{AssetId, OrderId};
use domain::money::{parse_units, raw_units};
use domain::order::Order;
use domain::time::Span;
use std::sync::Arc;

/// How to pay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payment {
    /// Parts per million of the amount due; absent: all of it.
    pub factor_ppm: Option<i64>,
    pub twice: bool,
    /// Block time this long after the window.
    pub late: Option<Span>,
    /// The block is replaced after so many blocks were built on it.
    pub reorg: Option<u32>,
    pub wrong_token: bool,
}

/// Why a payment was not made.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    #[error("there is no such order")]
    UnknownOrder,
    #[error("{0}")]
    Wrong(String),
    #[error("the order could not be moved through its expiry")]
    Engine(#[from] SubmitError),
    #[error("the database did not answer")]
    Database(#[from] DbError),
}

/// What was put on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    pub transfers: Vec<String>,
    pub units: i64,
}

const PPM: i64 = 1_000_000;

/// Reads a factor such as `0.5`; at most a thousand.
pub fn factor_ppm(text: &str) -> Result<i64, PayError> {
    match parse_units(text, 6) {
        Ok(ppm) if ppm > 0 && ppm <= 1_000 * PPM => Ok(ppm),
        _ => Err(PayError::Wrong("factor is a decimal above 0, at most 1000, such as 0.5".to_owned())),
    }
}

/// Reads a span such as `90s`, `20m` or `2h`.
pub fn span(text: &str) -> Result<Span, PayError> {
    let wrong = || PayError::Wrong("late is a time such as 90s, 20m or 2h, at most 240h".to_owned());
    let unit_at = text.char_indices().next_back().map_or(0, |(at, _)| at);
    let (number, unit) = text.split_at(unit_at);
    let number: i64 = number.parse().ok().filter(|number| (0..=864_000).contains(number)).ok_or_else(wrong)?;
    match unit {
        "s" => Ok(Span::seconds(number)),
        "m" if number <= 14_400 => Ok(Span::minutes(number)),
        "h" if number <= 240 => Ok(Span::hours(number)),
        _ => Err(wrong()),
    }
}

/// Pays an order as asked; each call pays once more.
pub async fn pay(
    engine: &Engine,
    chain: &dyn SimulatedChain,
    id: OrderId,
    payment: &Payment,
) -> Result<Paid, PayError> {
    let order = read_order(&engine.db, id).await?.ok_or(PayError::UnknownOrder)?;
    let now = engine.clock.now();
    let block_at = match payment.late {
        Some(late) => {
            expire(engine, &order).await?;
            order.expires_at + late
        }
        // The chain's time of an ordinary payment is now, and never after the end of the window by a rounding.
        None => now,
    };
    let market = engine.shared.market();
    let (network, asset) = market
        .rails
        .asset(&order.quote.asset)
        .ok_or_else(|| PayError::Wrong("the order's network is gone from the configuration".to_owned()))?;
    let units = amount(&order, payment.factor_ppm.unwrap_or(PPM))?;
    let paid = SimulatedPayment {
        network: network.id.clone(),
        asset: if payment.wrong_token { look_alike(asset) } else { asset.id.clone() },
        to: order.address.clone(),
        units,
        raw: raw_units(units, asset.scale(), asset.decimals),
        block_at,
        confirmations: match network.confirmation {
            Confirmation::Blocks(count) => count,
            Confirmation::Safe | Confirmation::Finalized => 1,
        },
        reorg: payment.reorg,
    };
    let mut transfers = Vec::new();
    for _ in 0..if payment.twice { 2 } else { 1 } {
        transfers.push(chain.pay(&paid).await.map_err(PayError::Wrong)?);
    }
    Ok(Paid { transfers, units })
}

/// Moves this one order through its expiry first; the server's clock stays as it is.
async fn expire(engine: &Engine, order: &Order) -> Result<(), PayError> {
    let scanned_through = order.expires_at + Span(1);
    let id = order.id;
    // Money that the watcher found already is weighed before the window closes.
    let found = engine.db.read(move |tx| transfers::of_order(tx, id)).await?;
    for fact in found.into_iter().filter(|fact| fact.credited != Some(fact.status)) {
        done(engine.submit(Lane::Client, Command::Credit { transfer: fact.id }).await)?;
    }
    done(engine.submit(Lane::Client, Command::Expire { order: order.id, scanned_through }).await)
}

fn done(answer: Result<Arc<Order>, SubmitError>) -> Result<(), PayError> {
    match answer {
        Ok(_) | Err(SubmitError::Refused(Refusal::AlreadyDone(_))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn amount(order: &Order, factor_ppm: i64) -> Result<i64, PayError> {
    let units = i128::from(order.quote.due_units) * i128::from(factor_ppm) / i128::from(PPM);
    match i64::try_from(units) {
        Ok(units) if units > 0 => Ok(units),
        _ => Err(PayError::Wrong("that factor makes no amount".to_owned())),
    }
}

/// A token that looks like the right one and is not listed.
fn look_alike(asset: &Asset) -> AssetId {
    AssetId::new(format!("{}.e", asset.id))
}
