//! Putting an exchange file in force, for `kiosk exchange import` and the demo.

use super::Kiosk;
use crate::entropy::to_hex;
use crate::exchange_file::{self, FileError, FileReserve};
use crate::store::exchange;
use crate::workers;
use domain::route::Exchange;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The demo's office.
pub const DEMO_EXCHANGE: &str = include_str!("../../../../demo/exchange.toml");

/// Checks an exchange file and puts it in force; all or nothing. A reserve is stated anew only where the file says
/// another figure than the last one did: what was paid out since then goes on counting.
pub async fn import_exchange(kiosk: &Kiosk, text: String) -> Result<Arc<Exchange>, Vec<String>> {
    let say = |errors: Vec<FileError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
    let id = to_hex(&Sha256::digest(&text)[..16]);
    let rails = kiosk.engine.shared.market().rails.clone();
    let stated = exchange_file::reserves(&text).map_err(say)?;
    let now = kiosk.engine.clock.now();
    let kept = kiosk.engine.write(move |tx| {
        let before = exchange::newest_body(tx)?;
        let before = before.and_then(|body| exchange_file::reserves(&body).ok()).unwrap_or_default();
        let known = exchange::reserves(tx)?;
        let is_new = |code: &str, reserve: &FileReserve| {
            !known.contains_key(code) || !before.get(code).is_some_and(|before| before.is_same(reserve))
        };
        // Checked as it will be read from now on: with what was stated since.
        let mut reserves = known.clone();
        reserves.retain(|code, _| stated.get(code).is_some_and(|reserve| !is_new(code, reserve)));
        if let Err(errors) = exchange_file::read(&text, id.clone(), &rails, &reserves) {
            return Ok(Err(errors));
        }
        for (code, reserve) in stated.iter().filter(|(code, reserve)| is_new(code, reserve)) {
            exchange::state_reserve(tx, code, reserve.decimals, &reserve.amount)?;
        }
        exchange::add(tx, &id, &text, now)?;
        Ok(Ok(()))
    });
    kept.await.map_err(|error| vec![error.to_string()])?.map_err(say)?;
    workers::exchange::run_once(&kiosk.engine).await.map_err(|error| vec![error.to_string()])?;
    Ok(kiosk.engine.shared.market().exchange.clone())
}
