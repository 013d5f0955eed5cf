//! Networks that are not in the configuration any more, while orders still wait for money on them.

use super::Kiosk;
use crate::store::{orders, transfers};
use domain::ids::NetworkId;
use std::collections::BTreeSet;

/// Networks that were watched once and are not now, each with the number of its orders that have not ended. Nobody sees what
/// is paid to them: they neither settle nor expire.
pub async fn networks_gone(kiosk: &Kiosk) -> anyhow::Result<Vec<(NetworkId, i64)>> {
    let market = kiosk.engine.shared.market();
    let known: BTreeSet<NetworkId> = market.rails.networks.iter().map(|network| network.id.clone()).collect();
    let read = kiosk.engine.db.read(move |tx| {
        let mut gone = Vec::new();
        for network in transfers::scanned_through(tx)?.into_keys().filter(|network| !known.contains(network)) {
            let waiting = orders::not_ended_on(tx, &network)?;
            gone.extend((waiting > 0).then_some((network, waiting)));
        }
        Ok(gone)
    });
    Ok(read.await?)
}

/// What to do about one, for a person.
pub fn advice((network, orders): &(NetworkId, i64)) -> String {
    format!(
        "{orders} orders wait for money on {network}, which is not in the configuration: nobody sees what is paid to them, and \
         they never expire. Put its [[networks]] back with `suspended = true`"
    )
}
