//! What is on sale: puts the newest imported catalogue in force, and keeps the list of what is sold out.

use super::{Ran, WorkerError};
use crate::catalogue_file;
use crate::engine::Engine;
use crate::store::{catalogue, stock};
use domain::catalog::Catalogue;
use domain::ids::Sku;
use domain::validate::Market;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Loads a catalogue that was imported since, and counts the shelves.
pub async fn run_once(engine: &Engine) -> Result<Ran, WorkerError> {
    let current = engine.shared.market();
    let in_force = current.catalogue.id.clone();
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
    let market = match newer {
        Some((id, body)) => {
            let catalogue = parse(&body, id)?;
            tracing::info!(catalogue = %catalogue.id, brands = catalogue.brands.len(), "catalogue in force");
            Arc::new(Market { catalogue: Arc::new(catalogue), ..(*current).clone() })
        }
        None => current,
    };
    let sold_out: BTreeSet<Sku> =
        counts.into_iter().filter(|(_, count)| count.free - count.held <= 0).map(|(sku, _)| sku).collect();
    engine.shared.show(market, sold_out);
    Ok(Ran::Idle)
}

fn parse(body: &str, id: String) -> Result<Catalogue, WorkerError> {
    catalogue_file::read(body, id, &mut |_| {})
        .map_err(|errors| WorkerError::Catalogue(errors.first().map(ToString::to_string).unwrap_or_default()))
}
