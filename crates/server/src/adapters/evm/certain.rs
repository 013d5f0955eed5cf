//! What is certain of a block: the events with money of ours that every node shows that is asked for its hash.
//!
//! Events of a hash never change, so nodes that show other ones are no matter of time: where a third node can be asked, the
//! one that stands alone is named, and rests for long. Whatever led to a block must be there when the block itself is asked
//! for. Must never pass over a transfer that one node showed, unless at least two others stand against it. Called by `scan`.

use super::council::Fault;
use super::endpoint::Endpoint;
use super::scan::{Ours, Reading};
use super::wire::Mined;
use std::collections::BTreeMap;

/// Nodes that can outvote one.
const TWO: usize = 2;

/// By height.
pub(super) type Events = BTreeMap<i64, Vec<Ours>>;

/// What a node showed before, and must show again when it is asked for the block. Nothing: it is asked as well.
pub(super) struct Shown<'a> {
    pub node: &'a Endpoint,
    pub ours: Vec<Ours>,
    /// It was asked for these very blocks by their hashes, a moment ago: it is not asked again.
    pub by_hash: bool,
}

/// What a node shows for the blocks' hashes.
struct Told<'a> {
    node: &'a Endpoint,
    events: Events,
}

impl<'a> Reading<'a> {
    /// The events to and from us in those blocks: what every node of the council, and whoever showed some of them before,
    /// shows for the blocks' hashes.
    pub(super) async fn certain_logs(&self, blocks: &[&Mined], before: &[Shown<'a>]) -> Result<Events, Fault> {
        if blocks.is_empty() {
            return Ok(Events::new());
        }
        let mut told: Vec<Told<'a>> = Vec::new();
        for seat in &self.council.seats {
            let was_asked = |shown: &&Shown<'_>| shown.by_hash && shown.node.number == seat.node.number;
            let events = match before.iter().find(was_asked) {
                Some(shown) => of_blocks(blocks, shown.ours.iter().cloned()),
                None => self.events_of(seat.node, blocks).await?,
            };
            told.push(Told { node: seat.node, events });
        }
        let mut fault = None;
        for shown in before {
            if told.iter().any(|told| told.node.number == shown.node.number) {
                continue;
            }
            match self.events_of(shown.node, blocks).await {
                Ok(events) => told.push(Told { node: shown.node, events }),
                Err(silent) if !shown.ours.is_empty() => fault = Some(silent),
                // Who showed nothing is heard if it can be.
                Err(_) => {}
            }
        }
        match fault.or_else(|| conflict(&told, before)) {
            Some(fault) => self.judge(fault, told, blocks, before).await,
            None => Ok(told.swap_remove(0).events),
        }
    }

    /// Asks everybody else, too. Whoever stands alone against at least two rests for long, and what it claimed is forgotten;
    /// if it is of the council, the next scan is without it. Where nobody stands alone, the fault stands.
    async fn judge(
        &self,
        fault: Fault,
        mut told: Vec<Told<'a>>,
        blocks: &[&Mined],
        before: &[Shown<'a>],
    ) -> Result<Events, Fault> {
        for node in &self.network.endpoints {
            if !told.iter().any(|told| told.node.number == node.number)
                && let Ok(events) = self.events_of(node, blocks).await
            {
                told.push(Told { node, events });
            }
        }
        let Some(events) = majority(&told, self.network.agree.max(TWO)) else { return Err(fault) };
        let apart = told.iter().filter(|told| told.events != events).map(|told| told.node);
        let unheard = before.iter().filter(|shown| lacks(&events, shown).is_some()).map(|shown| shown.node);
        let alone: BTreeMap<usize, &Endpoint> = apart.chain(unheard).map(|node| (node.number, node)).collect();
        for (number, node) in &alone {
            node.stood_alone(self.now);
            self.with_again(|again| again.refute(*number));
            tracing::warn!(network = %self.network.id, node = %node.name, "a node stands alone: what it shows is not believed");
        }
        if !self.council.seats.iter().any(|seat| alone.contains_key(&seat.node.number)) {
            return Ok(events);
        }
        let names: Vec<&str> = alone.values().map(|node| node.name.as_str()).collect();
        let heights = || blocks.iter().map(|block| block.height);
        let differs = |height: &i64| told.iter().any(|told| told.events.get(height) != events.get(height));
        let height = heights().find(differs).or_else(|| heights().next()).unwrap_or(-1);
        Err(Fault::Outvoted { height, names: names.join(", ") })
    }

    async fn events_of(&self, node: &Endpoint, blocks: &[&Mined]) -> Result<Events, Fault> {
        let logs = node.logs_of(&self.network.filter, blocks).await.map_err(|error| Fault::of(node, error))?;
        Ok(of_blocks(blocks, self.ours(logs.into_iter().flatten().collect()).await?.into_iter()))
    }
}

/// Events by the heights of those blocks.
fn of_blocks(blocks: &[&Mined], ours: impl Iterator<Item = Ours>) -> Events {
    let mut events: Events = blocks.iter().map(|block| (block.height, Vec::new())).collect();
    for ours in ours {
        if let Some(of_block) = events.get_mut(&ours.log.height) {
            of_block.push(ours);
        }
    }
    events
}

/// Two nodes that differ, or one that differs from itself.
fn conflict(told: &[Told<'_>], before: &[Shown<'_>]) -> Option<Fault> {
    let (first, others) = told.split_first()?;
    for other in others {
        let differs = |(height, ours): &(&i64, &Vec<Ours>)| other.events.get(*height) != Some(*ours);
        if let Some((height, _)) = first.events.iter().find(differs) {
            return Some(Fault::disagree(first.node, other.node, *height));
        }
    }
    before.iter().find_map(|shown| {
        let height = lacks(&first.events, shown)?;
        Some(Fault::Contradicts { number: shown.node.number, name: shown.node.name.clone(), height })
    })
}

/// The height of an event that was shown before and is not there.
fn lacks(events: &Events, shown: &Shown<'_>) -> Option<i64> {
    let is_there = |ours: &&Ours| events.get(&ours.log.height).is_some_and(|events| events.contains(*ours));
    shown.ours.iter().find(|ours| !is_there(ours)).map(|ours| ours.log.height)
}

/// What more nodes say than say anything else, and at least so many.
fn majority(told: &[Told<'_>], least: usize) -> Option<Events> {
    let votes = |events: &Events| told.iter().filter(|other| other.events == *events).count();
    let most = told.iter().max_by_key(|told| votes(&told.events))?;
    let count = votes(&most.events);
    let is_beaten = told.iter().all(|other| other.events == most.events || votes(&other.events) < count);
    (count >= least && is_beaten).then(|| most.events.clone())
}
