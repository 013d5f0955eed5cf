//! What is traded: puts the newest exchange file in force, with the reserves that were stated since.

use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::exchange_file;
use crate::store::exchange;
use std::sync::Arc;

/// Loads what was imported or stated since.
pub async fn run_once(engine: &Engine) -> Result<Ran, WorkerError> {
    let known = engine.shared.market().exchange.id.clone();
    let newer = engine.db.read(move |tx| {
        let id = exchange::in_force(tx)?;
        if id == known {
            return Ok(None);
        }
        let body = exchange::newest_body(tx)?.unwrap_or_default();
        Ok(Some((id, body, exchange::reserves(tx)?, exchange::is_closed(tx)?)))
    });
    let Some((id, body, reserves, is_closed)) = newer.await? else { return Ok(Ran::Idle) };
    let rails = &engine.shared.market().rails;
    let mut read = exchange_file::read(&body, id, rails, &reserves)
        .map_err(|errors| WorkerError::Exchange(errors.first().map(ToString::to_string).unwrap_or_default()))?;
    read.is_closed = is_closed;
    tracing::info!(exchange = %read.id, routes = read.routes.len(), "exchange routes in force");
    engine.shared.put_exchange(Arc::new(read));
    Ok(Ran::Worked)
}
