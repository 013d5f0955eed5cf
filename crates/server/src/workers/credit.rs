//! Transfers to orders: turns each new standing of a transfer into a command. Those from our own addresses go to the ledger
//! and to nobody's order.

use super::{Ran, WorkerError};
use crate::engine::{BATCH_LIMIT, Engine, Lane, SubmitError};
use crate::store::{sweeps, transfers};
use domain::decide::{Command, Refusal};
use domain::ids::TransferId;
use domain::time::{Span, Time};
use futures_util::future::join_all;
use std::collections::BTreeMap;

/// How long a transfer that its order could not take is left alone.
const PUT_OFF: Span = Span::minutes(1);

/// Transfers that were refused lately. Only a courtesy to the others: losing it costs another refusal.
#[derive(Default)]
pub struct PutOff(BTreeMap<TransferId, Time>);

/// Credits what is due, in one batch of commands.
pub async fn run_once(engine: &Engine, put_off: &mut PutOff, now: Time) -> Result<Ran, WorkerError> {
    put_off.0.retain(|_, until| *until > now);
    let limit = (BATCH_LIMIT + put_off.0.len()) as i64;
    let mut due = engine.db.read(move |tx| transfers::due(tx, limit)).await?;
    due.retain(|transfer| !put_off.0.contains_key(transfer));
    let answers =
        due.iter().map(|transfer| engine.submit(Lane::Worker, Command::Credit { transfer: transfer.clone() }));
    for (transfer, answer) in due.iter().zip(join_all(answers).await) {
        match answer {
            Ok(_) | Err(SubmitError::Refused(Refusal::AlreadyDone(_))) => {}
            Err(error) => {
                tracing::warn!(transfer = %transfer, error = &error as &dyn std::error::Error, "transfer not credited");
                put_off.0.insert(transfer.clone(), now + PUT_OFF);
            }
        }
    }
    let booked = book_sweeps(engine, now).await?;
    Ok(Ran::if_any(!due.is_empty() || booked))
}

/// What left our own addresses is booked, or booked back; true if there was anything.
async fn book_sweeps(engine: &Engine, now: Time) -> Result<bool, WorkerError> {
    const LIMIT: i64 = BATCH_LIMIT as i64;
    // Hardly ever anything: no write, and no lock, for nothing.
    if engine.db.read(|tx| sweeps::due(tx, 1)).await?.is_empty() {
        return Ok(false);
    }
    Ok(engine.write(move |tx| sweeps::book(tx, LIMIT, now)).await? > 0)
}
