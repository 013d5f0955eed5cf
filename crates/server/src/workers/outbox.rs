//! Messages to receivers that nobody here knows: how many are under way at once, and the loop that sends them.
//!
//! A receiver who is slow keeps nobody waiting but himself: so many of his messages are under way at once, and no more are
//! taken. Which messages there are, and what becomes of one that did not arrive, is each outbox's own (`ipn`, `webhooks`);
//! their jobs and outcomes are types of their own, which is why the loop is generic.

use super::{Ran, WorkerError};
use crate::engine::Engine;
use domain::time::Span;
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;
use tokio::task::JoinSet;

/// Messages taken at once.
pub const AT_ONCE: i64 = 256;
/// Jobs that are under way, in all and to one receiver.
const MOST_UNDER_WAY: usize = 1_024;
const MOST_TO_ONE: usize = 64;
/// The same to receivers that have not answered lately, all together and each: whoever names addresses that never answer
/// takes no place away from those that do.
const MOST_UNPROVEN: usize = 256;
const MOST_TO_ONE_UNPROVEN: usize = 8;
/// Receivers that are remembered for having answered.
const MOST_PROVEN: usize = 10_000;
/// When the server stops, what is under way may take so long.
const DRAIN: Duration = Duration::from_secs(10);
/// However much happens, the database is not asked more often than this.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// Waits between attempts, in seconds: together three days.
const WAITS_S: [i64; 10] = [5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 64_800, 79_200];

/// Messages of one kind.
pub trait Outbox: Clone + Send + Sync + 'static {
    /// What is sent in one go.
    type Job: Send + 'static;
    /// What became of a message.
    type Outcome: Send + Sync + Clone + 'static;

    fn engine(&self) -> &Engine;

    /// Takes what waits: for each job a place was begun.
    fn take(&self, places: &mut Places) -> impl Future<Output = Result<Vec<Self::Job>, WorkerError>> + Send;

    /// Sends a job; never fails, since what happened is an outcome.
    fn send(self, job: Self::Job) -> impl Future<Output = Ended<Self::Outcome>> + Send + 'static;

    /// Writes down what became of messages.
    fn note(&self, outcomes: Vec<Self::Outcome>) -> impl Future<Output = Result<(), WorkerError>> + Send;
}

/// What became of a job.
pub struct Ended<O> {
    pub receiver: String,
    /// Whether anybody did; none where nobody was asked.
    pub answered: Option<bool>,
    pub outcomes: Vec<O>,
}

/// Who has how many jobs under way.
#[derive(Default)]
pub struct Places {
    all: usize,
    unproven: usize,
    receivers: BTreeMap<String, usize>,
    /// Receivers that answered when they were told something last.
    proven: BTreeSet<String>,
}

impl Places {
    /// How many more jobs to that receiver may begin.
    pub fn free(&self, receiver: &str) -> usize {
        let to_one = self.receivers.get(receiver).copied().unwrap_or(0);
        let (in_all, of_one) = match self.proven.contains(receiver) {
            true => (MOST_UNDER_WAY.saturating_sub(self.all), MOST_TO_ONE.saturating_sub(to_one)),
            false => (MOST_UNPROVEN.saturating_sub(self.unproven), MOST_TO_ONE_UNPROVEN.saturating_sub(to_one)),
        };
        in_all.min(of_one)
    }

    /// Whether another job to that receiver may begin.
    pub fn has_room(&self, receiver: &str) -> bool {
        self.free(receiver) > 0
    }

    /// Whether nobody can be told anything now.
    pub fn are_full(&self) -> bool {
        self.all >= MOST_UNDER_WAY || (self.only().is_empty() && self.unproven >= MOST_UNPROVEN)
    }

    /// While strangers have all their places, only those are asked for who have answered; empty: everybody is.
    pub fn only(&self) -> Vec<String> {
        if self.unproven < MOST_UNPROVEN { Vec::new() } else { self.proven.iter().cloned().collect() }
    }

    /// Those who have enough.
    pub fn busy(&self) -> Vec<String> {
        self.receivers.keys().filter(|receiver| !self.has_room(receiver)).cloned().collect()
    }

    pub fn begin(&mut self, receiver: &str) {
        self.all += 1;
        self.unproven += usize::from(!self.proven.contains(receiver));
        *self.receivers.entry(receiver.to_owned()).or_default() += 1;
    }

    /// A job ends that was not begun after all.
    pub fn leave(&mut self, receiver: &str) {
        self.end(receiver, self.proven.contains(receiver));
    }

    pub fn end(&mut self, receiver: &str, answered: bool) {
        self.all -= 1;
        let others = self.receivers.remove(receiver).expect("what ends has begun") - 1;
        let was_proven = self.proven.contains(receiver);
        if !was_proven {
            self.unproven -= 1;
        }
        if was_proven != answered {
            // Its other jobs move to the other side.
            if answered {
                self.unproven -= others;
                // One that has nothing under way: what was begun as proven ends as proven.
                let idle = self.proven.iter().find(|known| !self.receivers.contains_key(*known)).cloned();
                if self.proven.len() >= MOST_PROVEN
                    && let Some(idle) = idle
                {
                    self.proven.remove(&idle);
                }
                self.proven.insert(receiver.to_owned());
            } else {
                self.unproven += others;
                self.proven.remove(receiver);
            }
        }
        if others > 0 {
            self.receivers.insert(receiver.to_owned(), others);
        }
    }
}

/// What is under way, and what ended and is not noted yet.
struct UnderWay<O> {
    places: Places,
    outcomes: Vec<O>,
}

impl<O: Clone> UnderWay<O> {
    fn new() -> UnderWay<O> {
        UnderWay { places: Places::default(), outcomes: Vec::new() }
    }

    fn end(&mut self, ended: Ended<O>) {
        match ended.answered {
            Some(answered) => self.places.end(&ended.receiver, answered),
            None => self.places.leave(&ended.receiver),
        }
        self.outcomes.extend(ended.outcomes);
    }

    async fn note<B: Outbox<Outcome = O>>(&mut self, outbox: &B) -> Result<(), WorkerError> {
        if !self.outcomes.is_empty() {
            outbox.note(self.outcomes.clone()).await?;
            self.outcomes.clear();
        }
        Ok(())
    }

    async fn take<B: Outbox<Outcome = O>>(&mut self, outbox: &B) -> Result<Vec<B::Job>, WorkerError> {
        self.note(outbox).await?;
        if self.places.are_full() { Ok(Vec::new()) } else { outbox.take(&mut self.places).await }
    }
}

/// Sends everything that waits, and ends once it is sent; for tests and the simulator.
pub async fn run_once<B: Outbox>(outbox: &B) -> Result<Ran, WorkerError> {
    let mut under_way = UnderWay::new();
    let jobs = under_way.take(outbox).await?;
    let ran = Ran::if_any(!jobs.is_empty());
    for ended in join_all(jobs.into_iter().map(|job| outbox.clone().send(job))).await {
        under_way.end(ended);
    }
    under_way.note(outbox).await?;
    Ok(ran)
}

/// Sends until `stop` turns true, and then to the end of what is under way.
pub async fn run<B: Outbox>(
    outbox: B,
    name: &'static str,
    pace: Duration,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    let mut news = outbox.engine().news();
    let mut under_way = UnderWay::new();
    let mut sending = JoinSet::new();
    while !*stop.borrow() {
        news.mark_unchanged();
        match under_way.take(&outbox).await {
            Ok(jobs) => jobs.into_iter().for_each(|job| drop(sending.spawn(outbox.clone().send(job)))),
            Err(error) => {
                tracing::warn!(name, error = &error as &dyn std::error::Error, "messages not read; tried again");
            }
        }
        let (slow, soon) = (tokio::time::sleep(pace), tokio::time::sleep(BETWEEN_LOOKS));
        tokio::pin!(slow, soon);
        let mut wanted = false;
        loop {
            tokio::select! {
                Some(ended) = sending.join_next() => {
                    under_way.end(ended.expect("sending does not panic"));
                    wanted = true;
                }
                _ = news.changed(), if !wanted => wanted = true,
                () = &mut soon, if wanted => break,
                () = &mut slow => break,
                _ = stop.changed() => break,
            }
            if *stop.borrow() {
                break;
            }
        }
    }
    let drained = async {
        while let Some(ended) = sending.join_next().await {
            under_way.end(ended.expect("sending does not panic"));
        }
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(name, "some messages were cut off by the shutdown");
    }
    if let Err(error) = under_way.note(&outbox).await {
        tracing::warn!(name, error = &error as &dyn std::error::Error, "sent messages not noted");
    }
}

/// How long to wait after so many attempts that failed; none: give up. Up to a fifth is added, so that what failed
/// together does not come back together; it follows from `salt`, and nothing is drawn.
pub fn wait_after(attempts: i64, salt: &str) -> Option<Span> {
    let wait_s = usize::try_from(attempts - 1).ok().and_then(|at| WAITS_S.get(at))?;
    let share = i64::from(Sha256::digest(format!("{salt}:{attempts}"))[0]);
    Some(Span(wait_s * 1_000 + wait_s * 1_000 * share / (5 * 255)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_answers_takes_no_place_from_who_does() {
        let mut places = Places::default();
        places.begin("good");
        places.begin("good");
        places.end("good", true);
        assert_eq!((places.unproven, places.all), (0, 1), "its other job moved to the proven");
        for stranger in 0..MOST_UNPROVEN / MOST_TO_ONE_UNPROVEN {
            for _ in 0..MOST_TO_ONE_UNPROVEN {
                assert!(places.has_room(&format!("stranger-{stranger}")));
                places.begin(&format!("stranger-{stranger}"));
            }
            assert!(!places.has_room(&format!("stranger-{stranger}")), "one has only so many");
        }
        assert!(!places.has_room("another") && places.has_room("good") && !places.are_full());
        assert_eq!(places.only(), ["good"]);
        places.end("stranger-0", false);
        assert!(places.has_room("another") && places.only().is_empty());
        // One that stops answering is a stranger again.
        places.begin("good");
        places.end("good", false);
        assert!(!places.proven.contains("good") && places.unproven == MOST_UNPROVEN);
    }

    #[test]
    fn waits_grow_to_three_days_and_then_nobody_waits() {
        let waits: Vec<i64> = (1..=10).map(|attempts| wait_after(attempts, "x").expect("a wait").0).collect();
        assert!(waits.is_sorted(), "{waits:?}");
        for (wait, plain_s) in waits.iter().zip(WAITS_S) {
            assert!((plain_s * 1_000..=plain_s * 1_200).contains(wait), "{wait}");
        }
        let three_days_s = 3 * 24 * 3_600;
        assert!((three_days_s - 7_200..=three_days_s).contains(&WAITS_S.iter().sum::<i64>()));
        assert_eq!(wait_after(11, "x"), None);
        assert_ne!(wait_after(1, "x"), wait_after(1, "y"), "what failed together comes back apart");
    }
}
