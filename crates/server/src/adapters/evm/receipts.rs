//! Events of tokens as transfers of the domain.

use super::amount::Amount;
use super::scan::Ours;
use super::wire::Log;
use super::{Address, EvmNetwork, Token};
use crate::entropy::to_hex;
use domain::chain::{ChainTransfer, Side};
use domain::ids::{NetworkId, TransferId};
use domain::time::Time;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Decimals that a ledger keeps at most.
const LEDGER_DECIMALS: u32 = 8;

impl EvmNetwork {
    /// The transfers in the events of one block, which are all to us or from us. What moves nothing is left out: anybody may
    /// have a token say that we sent nothing to somebody.
    pub(super) fn transfers(&self, logs: &[Ours], at: Time) -> Vec<ChainTransfer> {
        let mut names = Names { network: &self.id, used: BTreeMap::new() };
        let moving = logs.iter().filter(|ours| !ours.log.amount.is_zero());
        let known = moving.filter_map(|ours| self.tokens.get(&ours.log.contract).map(|token| (ours, token)));
        known.map(|(ours, token)| transfer(names.name(&ours.log), ours, token, at)).collect()
    }

    /// The names of the transfers of one block whose tokens are not listed.
    pub(super) fn left_out(&self, logs: &[Ours]) -> BTreeSet<TransferId> {
        let mut names = Names { network: &self.id, used: BTreeMap::new() };
        let unlisted = logs.iter().filter(|ours| !self.tokens.contains_key(&ours.log.contract));
        unlisted.map(|ours| names.name(&ours.log)).collect()
    }
}

fn transfer(id: TransferId, ours: &Ours, token: &Token, at: Time) -> ChainTransfer {
    let Ours { log, side } = ours;
    if let (Some(name), Side::In) = (&token.look_alike, side) {
        tracing::info!(token = %name, transfer = %id, "a token that does not count came in");
    }
    ChainTransfer {
        id,
        asset: token.asset.clone(),
        side: *side,
        from: Some(log.from.to_string()),
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
