//! What is on sale: puts the newest imported catalogue in force, keeps the list of what is sold out, and takes codes off
//! the shelf whose last day is over.

use super::{Ran, WorkerError};
use crate::catalogue_file;
use crate::engine::Engine;
use crate::store::{catalogue, stock};
use domain::catalog::Catalogue;
use domain::ids::Sku;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Codes left of a SKU at which the operator is warned.
const LOW: i64 = 10;

/// Loads a catalogue that was imported since, and counts the shelves.
pub async fn run_once(engine: &Engine) -> Result<Ran, WorkerError> {
    let in_force = engine.shared.market().catalogue.id.clone();
    let (newer, counts) = engine
        .db
        .read(move |tx| {
            let newest = catalogue::newest_id(tx)?.filter(|id| *id != in_force);
            let newer = match newest {
                Some(id) => catalogue::body(tx, &id)?.map(|body| (id, body)),
                None => None,
            };
            Ok((newer, stock::counts(tx)?))
        })
        .await?;
    if let Some((id, body)) = newer {
        let catalogue = parse(&body, id)?;
        tracing::info!(catalogue = %catalogue.id, brands = catalogue.brands.len(), "catalogue in force");
        engine.shared.put_catalogue(Arc::new(catalogue));
    }
    let left = |most: i64| -> BTreeSet<Sku> {
        let few = counts.iter().filter(|(_, count)| count.free - count.held <= most);
        few.map(|(sku, _)| sku.clone()).collect()
    };
    for sku in engine.shared.put_shelves(left(0), left(LOW)) {
        tracing::warn!(%sku, "few codes are left; import more with `kiosk stock import`");
    }
    Ok(Ran::Idle)
}

/// Takes codes off the shelf whose last day is over: somebody would pay for what he can no longer use. For the server
/// alone, not for commands beside it, whose clock may be another machine's.
pub async fn retire_once(engine: &Engine) -> Result<Ran, WorkerError> {
    let now = engine.clock.now();
    let day = now.day();
    let asked = day.clone();
    if !engine.db.read(move |tx| stock::is_misplaced(tx, &asked)).await? {
        return Ok(Ran::Idle);
    }
    for (sku, count) in engine.write(move |tx| stock::retire_expired(tx, &day, now)).await? {
        if count > 0 {
            tracing::warn!(%sku, count, "codes expired on the shelf and are sold no more");
        } else {
            tracing::warn!(%sku, count = -count, "codes are back on the shelf: a clock had run ahead");
        }
    }
    Ok(Ran::Worked)
}

fn parse(body: &str, id: String) -> Result<Catalogue, WorkerError> {
    catalogue_file::read(body, id, &mut |_| {})
        .map_err(|errors| WorkerError::Catalogue(errors.first().map(ToString::to_string).unwrap_or_default()))
}
