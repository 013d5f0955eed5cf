//! Events of tokens as transfers of the domain.

use super::amount::Amount;
use super::wire::Log;
use super::{Address, EvmNetwork, Token};
use crate::entropy::to_hex;
use domain::chain::ChainTransfer;
use domain::ids::{NetworkId, TransferId};
use domain::time::Time;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Decimals that a ledger keeps at most.
const LEDGER_DECIMALS: u32 = 8;

impl EvmNetwork {
    /// The transfers in the events of one block, which are all to us. What moves nothing is left out.
    pub(super) fn transfers(&self, logs: &[Log], at: Time) -> Vec<ChainTransfer> {
        let mut names = Names { network: &self.id, used: BTreeMap::new() };
        let moving = logs.iter().filter(|log| !log.amount.is_zero());
        let known = moving.filter_map(|log| self.tokens.get(&log.contract).map(|token| (log, token)));
        known.map(|(log, token)| transfer(names.name(log), log, token, at)).collect()
    }
}

fn transfer(id: TransferId, log: &Log, token: &Token, at: Time) -> ChainTransfer {
    if let Some(name) = &token.look_alike {
        tracing::info!(token = %name, transfer = %id, "a token that does not count came in");
    }
    ChainTransfer {
        id,
        asset: token.asset.clone(),
        to: log.to.to_string(),
        units: log.amount.units(token.decimals, token.decimals.min(LEDGER_DECIMALS)),
        raw: log.amount.to_string(),
        block_at: at,
    }
}

/// Gives the transfers of one block their names.
///
/// A name binds the transaction, the token, the receiver and the amount, and of several that are alike in all of it the
/// number among them. So a payment that is mined again in another block keeps its name, although the number of its event
/// changes, and one that comes back with another amount is another payment.
struct Names<'a> {
    network: &'a NetworkId,
    used: BTreeMap<(String, Address, Address, Amount), u32>,
}

impl Names<'_> {
    fn name(&mut self, log: &Log) -> TransferId {
        let key = (log.transaction.clone(), log.contract, log.to, log.amount);
        let number = self.used.entry(key).or_default();
        let text = format!("{}|{}|{}", log.contract.small(), log.to.small(), log.amount);
        let digest = to_hex(&Sha256::digest(text)[..16]);
        let id = format!("{}|{}|{digest}.{number}", self.network, log.transaction);
        *number += 1;
        TransferId::new(id)
    }
}
