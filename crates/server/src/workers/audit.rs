//! Proves while the shop runs that its books hold: the ledger adds up, orders owe what their accounts say, what is booked is
//! what chains showed, and what chains showed lies on them.
//!
//! Each run looks at what the ledger has grown by, and at some addresses of each network; within a day it has asked for every
//! address that was given to somebody, and once a day everything is added up anew. What differs is stored, logged as an error,
//! shown in `/readyz` and `/metrics`, and closes its network for new orders until a later look finds no difference or a person has
//! acknowledged it (`kiosk ledger acknowledge`). Orders that exist go on: their money is looked for whatever is found here. Must
//! never correct a figure: what is right is for a person to say.

use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::ports::{BalanceQuestion, Network};
use crate::store::audit::{self, Finding, Sample, Whole};
use crate::store::{DbError, Tx, settings};
use domain::asset::{Asset, Rails};
use domain::audit::{self as rules, Check, Decimals, Difference, name};
use domain::chain::Header;
use domain::ids::{AssetId, NetworkId};
use domain::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Runs of a day, if there is one a minute: in so many every address is asked for.
const RUNS_PER_DAY: i64 = 1_440;
/// Addresses of one run and network.
const LEAST: i64 = 25;
const MOST: i64 = 500;
/// Findings that are shown, and looked at again in each run.
pub const SHOWN: i64 = 1_000;

const DAY_MS: i64 = 86_400_000;
/// The last day on which everything was added up.
const WHOLE: &str = "audit of the day";

/// Looks at a part of the ledger, and when nothing is left of it at a part of the addresses. One network that does not answer
/// keeps nothing else from being looked at, and what is open closes networks whatever this look came to.
pub async fn run_once(engine: &Engine, networks: &[Arc<dyn Network>], now: Time) -> Result<Ran, WorkerError> {
    let ran = look_once(engine, networks, now).await;
    sound(engine, now).await?;
    ran
}

async fn look_once(engine: &Engine, networks: &[Arc<dyn Network>], now: Time) -> Result<Ran, WorkerError> {
    let ran = books_once(engine, now).await?;
    if ran == Ran::Idle {
        let whole = whole_once(engine, now).await;
        for network in networks {
            match chain_once(engine, network.as_ref(), now).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => tracing::debug!(network = %network.id(), reason, "not audited; it is tried again"),
                Err(error) => {
                    tracing::warn!(
                        network = %network.id(),
                        error = &error as &dyn std::error::Error,
                        "not audited; it is tried again"
                    );
                }
            }
        }
        whole?;
    }
    Ok(ran)
}

/// One page of the ledger.
pub async fn books_once(engine: &Engine, now: Time) -> Result<Ran, WorkerError> {
    let page = engine.db.read(audit::page).await?;
    let market = engine.shared.market();
    let mut look = Look::default();
    for booked in &page.booked {
        look.at(
            Check::Payments,
            &booked.asset,
            &booked.transfer,
            booked.difference(decimals(&market.rails, &booked.asset)),
        );
    }
    for owed in &page.owed {
        look.at(Check::Orders, &owed.asset, &owed.about(), owed.difference());
    }
    if let Some(kept) = &page.kept {
        look.whole_of(Check::Balances, rules::balances(&page.totals, kept));
    }
    let (is_last, is_empty) = (page.kept.is_some(), page.after == page.through);
    if !is_empty || !look.differences.is_empty() || look.has_open(engine).await? {
        let write = move |tx: &mut Tx<'_>| match is_empty || audit::advance(tx, &page)? {
            true => look.write(tx, now),
            // Another process has looked at this page, and says what it found.
            false => Ok(Told::default()),
        };
        engine.write(write).await?.log();
    }
    Ok(Ran::if_any(!is_last))
}

/// Once a day everything is added up anew.
pub async fn whole_once(engine: &Engine, now: Time) -> Result<(), WorkerError> {
    let today = now.0.div_euclid(DAY_MS);
    if engine.db.read(|tx| settings::cursor(tx, WHOLE)).await? == today {
        return Ok(());
    }
    let whole = engine.db.read(audit::whole).await?;
    let mut look = Look::default();
    look.whole_of(Check::Balances, rules::balances(&whole.totals, &whole.kept));
    look.whole_of(Check::Deposits, deposits(&whole, &engine.shared.market().rails));
    let write = move |tx: &mut Tx<'_>| {
        audit::reset(tx, &whole)?;
        settings::set_cursor(tx, WHOLE, today)?;
        look.write(tx, now)
    };
    engine.write(write).await?.log();
    Ok(())
}

/// Of each asset, whether what is booked is what was shown.
fn deposits(whole: &Whole, rails: &Rails) -> Vec<Difference> {
    let assets: BTreeSet<&AssetId> = whole.shown.keys().chain(whole.booked.keys()).collect();
    let of_asset = |asset: &AssetId| {
        let shown = whole.shown.get(asset).cloned().unwrap_or_default();
        let booked = whole.booked.get(asset).copied().unwrap_or(0);
        rules::deposits(asset, &shown, booked, decimals(rails, asset))
    };
    assets.into_iter().filter_map(of_asset).collect()
}

/// Some addresses of one network. The inner error is why nothing could be compared.
pub async fn chain_once(engine: &Engine, network: &dyn Network, now: Time) -> Result<Result<(), String>, WorkerError> {
    let Some(rail) = engine.shared.market().rails.network_by_id(network.id()).cloned() else { return Ok(Ok(())) };
    let mut assets = rail.assets.clone();
    let Some((block, turn, sample)) = engine.db.read(move |tx| draw(tx, &rail)).await? else { return Ok(Ok(())) };
    if sample.addresses.is_empty() {
        assets.clear();
    }
    let (mut look, mut compared, mut failed) = (Look::default(), false, None);
    for asset in &assets {
        let question = BalanceQuestion {
            asset: asset.id.clone(),
            addresses: sample.addresses.clone(),
            height: block.height,
            block_hash: block.hash.clone(),
        };
        match network.balances(&question, now).await {
            Ok(Some(found)) if found.len() == question.addresses.len() => {
                look.at_addresses(asset, &sample, &found, block.height);
                compared = true;
            }
            Ok(Some(_)) => failed = Some("as many balances as addresses were expected".to_owned()),
            // This network cannot say what lies where.
            Ok(None) => {}
            // Another of its tokens may answer.
            Err(reason) => failed = Some(reason),
        }
    }
    if compared || assets.is_empty() && turn.after != sample.through {
        let write = move |tx: &mut Tx<'_>| {
            turn.write(tx, sample.through)?;
            look.write(tx, now)
        };
        engine.write(write).await?.log();
    }
    Ok(failed.map_or(Ok(()), Err))
}

/// Where the round of a network's addresses stands.
struct Turn {
    after: i64,
    cursor: String,
    share: String,
    /// Addresses of one run of this round, if it has just begun.
    begun: Option<i64>,
}

impl Turn {
    fn write(&self, tx: &mut Tx<'_>, through: i64) -> Result<(), DbError> {
        if let Some(share) = self.begun {
            settings::set_cursor(tx, &self.share, share)?;
        }
        settings::set_cursor(tx, &self.cursor, through)
    }
}

/// The block that is asked about, and the addresses whose turn it is, with those at which something differs.
fn draw(tx: &mut Tx<'_>, rail: &domain::asset::Network) -> Result<Option<(Header, Turn, Sample)>, DbError> {
    let Some(block) = audit::settled_block(tx, &rail.id)? else { return Ok(None) };
    let (cursor, share) = (format!("audit of {}", rail.id), format!("audit share of {}", rail.id));
    let after = settings::cursor(tx, &cursor)?;
    let (limit, begun) = match after {
        0 => {
            let given = audit::given(tx, rail.kind)?;
            let share = (given / RUNS_PER_DAY + 1).clamp(LEAST, MOST);
            (share, Some(share))
        }
        _ => (settings::cursor(tx, &share)?.clamp(LEAST, MOST), None),
    };
    let is_address = |finding: &Finding| finding.network == rail.id && finding.id.starts_with(Check::Chain.word());
    let differing = audit::open(tx, SHOWN)?.into_iter().filter(is_address);
    let differing: Vec<String> =
        differing.filter_map(|finding| Some(finding.id.rsplit_once('|')?.1.to_owned())).collect();
    let assets: Vec<AssetId> = rail.assets.iter().map(|asset| asset.id.clone()).collect();
    let sample = audit::sample(tx, (&rail.id, rail.kind, &assets), block.height, (after, limit), differing)?;
    Ok(Some((block, Turn { after, cursor, share, begun }, sample)))
}

/// Puts on the board what is open, and closes and opens networks by it.
pub async fn sound(engine: &Engine, now: Time) -> Result<(), WorkerError> {
    let open = engine.db.read(|tx| audit::open(tx, SHOWN)).await?;
    let unknown = open.iter().filter(|finding| finding.acknowledged.is_none());
    let closed: BTreeSet<NetworkId> = unknown.map(|finding| finding.network.clone()).collect();
    let mut differences = BTreeMap::new();
    for finding in open {
        let sum: &mut i64 = differences.entry((finding.network, finding.asset)).or_default();
        // Something that differs is never nothing, whatever its sign.
        *sum = sum.saturating_add(finding.units.saturating_abs().max(1));
    }
    let board = &engine.shared.board;
    board.note_audit(closed, differences);
    engine.shared.put_closed(&board.closed(now));
    Ok(())
}

fn decimals(rails: &Rails, asset: &AssetId) -> Option<Decimals> {
    rails.asset(asset).map(|(_, asset)| Decimals { chain: asset.decimals, ledger: asset.scale() })
}

/// What a look came to: what differs, and what was looked at and does not.
#[derive(Default)]
struct Look {
    differences: Vec<Difference>,
    holds: BTreeSet<String>,
    /// Everything of these kinds was looked at.
    whole: Vec<Check>,
}

impl Look {
    fn at(&mut self, check: Check, asset: &AssetId, about: &str, difference: Option<Difference>) {
        match difference {
            Some(difference) => self.differences.push(difference),
            None => {
                self.holds.insert(name(check, asset, about));
            }
        }
    }

    fn at_addresses(&mut self, asset: &Asset, sample: &Sample, found: &[i128], height: i64) {
        let decimals = Decimals { chain: asset.decimals, ledger: asset.scale() };
        for (address, found) in sample.addresses.iter().zip(found) {
            let place = (asset.id.clone(), address.clone());
            if sample.absurd.contains(&place) {
                tracing::warn!(asset = %asset.id, address = %address, "an absurd amount came: nothing is compared there");
                continue;
            }
            let came = sample.came.get(&place).copied().unwrap_or(0);
            let differs = rules::chain(&asset.id, address, came, *found, decimals, height);
            self.at(Check::Chain, &asset.id, address, differs);
        }
    }

    fn whole_of(&mut self, check: Check, differences: Vec<Difference>) {
        self.differences.extend(differences);
        self.whole.push(check);
    }

    /// Whether something is open that this look may end.
    async fn has_open(&self, engine: &Engine) -> Result<bool, WorkerError> {
        let open = engine.db.read(|tx| audit::open(tx, SHOWN)).await?;
        Ok(open.iter().any(|finding| self.has_looked_at(&finding.id)))
    }

    fn has_looked_at(&self, id: &str) -> bool {
        let of_kind = |check: &Check| id.split('|').next() == Some(check.word());
        self.holds.contains(id) || self.whole.iter().any(of_kind)
    }

    /// Writes down what differs, and ends what does not any more.
    fn write(self, tx: &mut Tx<'_>, now: Time) -> Result<Told, DbError> {
        let differing: BTreeSet<String> = self.differences.iter().map(Difference::id).collect();
        let open = audit::open(tx, SHOWN)?;
        let is_over = |id: &String| self.has_looked_at(id) && !differing.contains(id);
        let over: Vec<String> = open.into_iter().map(|finding| finding.id).filter(is_over).collect();
        let ended = audit::end(tx, &over)?;
        let new: BTreeSet<String> = audit::note(tx, &self.differences, now)?.into_iter().collect();
        let new = self.differences.into_iter().filter(|difference| new.contains(&difference.id())).collect();
        Ok(Told { new, ended })
    }
}

/// What is worth a line in the log.
#[derive(Default)]
struct Told {
    new: Vec<Difference>,
    ended: Vec<String>,
}

impl Told {
    fn log(self) {
        for Difference { asset, units, sentence, .. } in self.new {
            tracing::error!(asset = %asset, difference_units = units, finding = sentence, "the books differ");
        }
        for id in self.ended {
            tracing::info!(finding = id, "the books do not differ any more");
        }
    }
}
