//! Calls the workers: at once when there is something due, else at a slow pace; ends with the process.

use super::{Ran, WorkerError, advance, audit, catalogue, credit, exchange, ipn, letters, notify};
use super::{outbox, pay_out, strays, watch, webhooks};
use crate::engine::Engine;
use crate::ports::{Mailer, Network, Payer, Poster, Supplier};
use crate::vault::Vault;
use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch as signal};
use tokio::task::JoinSet;

/// Everything the workers reach outside.
#[derive(Clone)]
pub struct Outside {
    pub networks: Vec<Arc<dyn Network>>,
    pub suppliers: Vec<Arc<dyn Supplier>>,
    pub payers: Vec<Arc<dyn Payer>>,
    pub mailer: Arc<dyn Mailer>,
    pub mail: notify::MailSettings,
    pub poster: Arc<dyn Poster>,
    /// Rung when a chain may have something new.
    pub bell: Arc<Notify>,
}

/// Between looks when nothing rings: another process may have paid, a step may have come due, a mail may be planned.
const PACE: Duration = Duration::from_millis(250);

/// After a failure the same worker waits this long.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Between looks at how old the scans of far networks are.
const CLOSING: Duration = Duration::from_secs(1);

/// Between looks for what is to be forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(3_600);

/// Between looks of the audit.
const AUDIT: Duration = Duration::from_secs(60);

/// Between looks for what does not count: nobody waits for it.
const STRAYS: Duration = Duration::from_secs(5);

/// Starts every worker; they end when `stop` turns true. Join the set to wait for their last run.
pub fn start(engine: &Engine, vault: &Arc<Vault>, outside: &Outside, stop: signal::Receiver<bool>) -> JoinSet<()> {
    let mut running = JoinSet::new();
    let is_far = |network: &Arc<dyn Network>| network.rhythm().is_some();
    let (far, near): (Vec<_>, Vec<_>) = outside.networks.iter().cloned().partition(is_far);
    running.spawn(watch_and_credit(engine.clone(), near, outside.bell.clone(), stop.clone()));
    if !far.is_empty() {
        running.spawn(close_late(engine.clone(), stop.clone()));
    }
    for network in far {
        running.spawn(find_strays(engine.clone(), network.clone(), stop.clone()));
        running.spawn(keep_watching(engine.clone(), network, outside.bell.clone(), stop.clone()));
    }
    {
        let work = engine.clone();
        running.spawn(repeat("advance", Some(engine.due_work()), stop.clone(), move || {
            let engine = work.clone();
            async move { advance::run_own(&engine, engine.clock.now()).await }
        }));
    }
    for supplier in outside.suppliers.clone() {
        let (work, vault) = (engine.clone(), vault.clone());
        running.spawn(repeat("supplier", Some(engine.due_work()), stop.clone(), move || {
            let (engine, vault, supplier) = (work.clone(), vault.clone(), supplier.clone());
            async move { advance::run_supplier(&engine, &vault, supplier.as_ref(), engine.clock.now()).await }
        }));
    }
    for payer in outside.payers.clone() {
        let (work, vault) = (engine.clone(), vault.clone());
        running.spawn(repeat("payout", Some(engine.due_work()), stop.clone(), move || {
            let (engine, vault, payer) = (work.clone(), vault.clone(), payer.clone());
            async move { pay_out::run_once(&engine, &vault, payer.as_ref(), engine.clock.now()).await }
        }));
    }
    {
        let (work, vault, outside) = (engine.clone(), vault.clone(), outside.clone());
        running.spawn(repeat("mail", None, stop.clone(), move || {
            let (engine, vault, outside) = (work.clone(), vault.clone(), outside.clone());
            async move { mail(&engine, &vault, &outside).await }
        }));
    }
    let sender = ipn::Sender { engine: engine.clone(), vault: vault.clone(), poster: outside.poster.clone() };
    running.spawn(outbox::run(sender, "notifications", PACE, stop.clone()));
    let sender = webhooks::Sender::new(engine.clone(), vault.clone(), outside.poster.clone());
    running.spawn(outbox::run(sender, "webhooks", PACE, stop.clone()));
    running.spawn(forget(engine.clone(), stop.clone()));
    running.spawn(keep_audited(engine.clone(), outside.networks.clone(), stop.clone()));
    let work = engine.clone();
    running.spawn(repeat("expiry", None, stop.clone(), move || {
        let engine = work.clone();
        async move { catalogue::retire_once(&engine).await }
    }));
    let work = engine.clone();
    running.spawn(repeat("exchange", None, stop.clone(), move || {
        let engine = work.clone();
        async move { exchange::run_once(&engine).await }
    }));
    let work = engine.clone();
    running.spawn(repeat("catalogue", None, stop, move || {
        let engine = work.clone();
        async move { catalogue::run_once(&engine).await }
    }));
    running
}

/// Forgets what nobody asks for any more.
async fn forget(engine: Engine, mut stop: signal::Receiver<bool>) {
    while !*stop.borrow() {
        match forget_once(&engine).await {
            Ok(Ran::Worked) => continue,
            Ok(Ran::Idle) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "old messages not forgotten");
            }
        }
        pause(HOUSEKEEPING, &mut stop).await;
    }
}

/// Audits for ever. A look that is under way at the end is dropped: what it has not written down is looked at again.
async fn keep_audited(engine: Engine, networks: Vec<Arc<dyn Network>>, mut stop: signal::Receiver<bool>) {
    while !*stop.borrow() {
        let ran = tokio::select! {
            ran = audit::run_once(&engine, &networks, engine.clock.now()) => ran,
            _ = stop.changed() => return,
        };
        match ran {
            Ok(Ran::Worked) => continue,
            Ok(Ran::Idle) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "not audited; it is tried again");
            }
        }
        pause(AUDIT, &mut stop).await;
    }
}

async fn forget_once(engine: &Engine) -> Result<Ran, WorkerError> {
    ipn::forget_once(engine).await?;
    let ran = [letters::forget_once(engine).await?, webhooks::forget_once(engine).await?];
    Ok(Ran::if_any(ran.contains(&Ran::Worked)))
}

async fn mail(engine: &Engine, vault: &Arc<Vault>, outside: &Outside) -> Result<Ran, WorkerError> {
    let now = engine.clock.now();
    let planned = notify::plan_once(engine, now).await?;
    let sent = notify::send_once(engine, vault, outside.mailer.as_ref(), &outside.mail, now).await?;
    let about_accounts = letters::send_once(engine, vault, outside.mailer.as_ref(), &outside.mail, now).await?;
    Ok(Ran::if_any([planned, sent, about_accounts].contains(&Ran::Worked)))
}

/// The bell is heard here and nowhere else: what a near chain shows is credited by the same task, without a detour.
async fn watch_and_credit(
    engine: Engine,
    near: Vec<Arc<dyn Network>>,
    bell: Arc<Notify>,
    mut stop: signal::Receiver<bool>,
) {
    let mut put_off = credit::PutOff::default();
    while !*stop.borrow() {
        let now = engine.clock.now();
        let scanned = watch::run_once(&engine, &near, now).await;
        let credited = credit::run_once(&engine, &mut put_off, now).await;
        let ran = scanned
            .and_then(|scanned| credited.map(|credited| Ran::if_any([scanned, credited].contains(&Ran::Worked))));
        match ran {
            Ok(Ran::Worked) => continue,
            Ok(Ran::Idle) => {}
            Err(error) => {
                tracing::warn!(
                    worker = "watch",
                    error = &error as &dyn std::error::Error,
                    "worker failed; it will be called again"
                );
                pause(AFTER_FAILURE, &mut stop).await;
            }
        }
        tokio::select! {
            () = bell.notified() => {}
            () = tokio::time::sleep(PACE) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Closes networks by the clock, however long their scans take.
async fn close_late(engine: Engine, mut stop: signal::Receiver<bool>) {
    while !*stop.borrow() {
        watch::close_late(&engine, engine.clock.now());
        pause(CLOSING, &mut stop).await;
    }
}

/// Has a chain watched until the process ends. A task that ends before, or panics, is told and started again: nobody would
/// see that payments are not looked for any more.
async fn keep_watching(
    engine: Engine,
    network: Arc<dyn Network>,
    found: Arc<Notify>,
    mut stop: signal::Receiver<bool>,
) {
    while !*stop.borrow() {
        let watching = watch_alone(engine.clone(), network.clone(), found.clone(), stop.clone());
        // A panic was printed where it happened; whether the task ended by it or not, it ended.
        let ended = AssertUnwindSafe(watching).catch_unwind().await;
        if *stop.borrow() {
            return;
        }
        tracing::error!(network = %network.id(), panicked = ended.is_err(), "a watching task ended before the server");
        watch::note_end(&engine, network.as_ref(), engine.clock.now());
        pause(AFTER_FAILURE, &mut stop).await;
    }
}

/// Watches one chain on another machine, so that its silence keeps nobody else waiting. What it finds is credited by the
/// task that hears `found`. A look that is under way at the end is dropped: it is taken again at the next start.
async fn watch_alone(engine: Engine, network: Arc<dyn Network>, found: Arc<Notify>, mut stop: signal::Receiver<bool>) {
    let Some(rhythm) = network.rhythm().cloned() else { return };
    let alone = [network];
    while !*stop.borrow() {
        let ran = tokio::select! {
            ran = watch::run_once(&engine, &alone, engine.clock.now()) => ran,
            _ = stop.changed() => return,
        };
        match ran {
            Ok(Ran::Worked) => {
                found.notify_one();
                continue;
            }
            Ok(Ran::Idle) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(network = %alone[0].id(), error, "a scan was not written down; it is made again");
            }
        }
        tokio::select! {
            () = rhythm.bell.notified() => {}
            () = tokio::time::sleep(rhythm.pace) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Looks for what does not count on one chain. A look that is under way at the end is dropped: it is due still.
async fn find_strays(engine: Engine, network: Arc<dyn Network>, mut stop: signal::Receiver<bool>) {
    while !*stop.borrow() {
        let found = tokio::select! {
            found = strays::run_once(&engine, network.as_ref(), engine.clock.now()) => found,
            _ = stop.changed() => return,
        };
        if let Err(error) = found {
            tracing::warn!(network = %network.id(), error = &error as &dyn std::error::Error, "strays not noted");
        }
        pause(STRAYS, &mut stop).await;
    }
}

/// Calls a worker again and again: at once after `wake`, else at the slow pace.
async fn repeat<F, W>(
    name: &'static str,
    mut wake: Option<signal::Receiver<i64>>,
    mut stop: signal::Receiver<bool>,
    work: F,
) where
    F: Fn() -> W + Send,
    W: Future<Output = Result<Ran, WorkerError>> + Send,
{
    while !*stop.borrow() {
        wake.iter_mut().for_each(signal::Receiver::mark_unchanged);
        match work().await {
            Ok(Ran::Worked) => continue,
            Ok(Ran::Idle) => {}
            Err(error) => {
                tracing::warn!(
                    worker = name,
                    error = &error as &dyn std::error::Error,
                    "worker failed; it will be called again"
                );
                pause(AFTER_FAILURE, &mut stop).await;
            }
        }
        tokio::select! {
            () = woken(wake.as_mut()) => {}
            () = tokio::time::sleep(PACE) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Without a signal, or once the engine that gives it is gone, only the slow pace is left.
async fn woken(wake: Option<&mut signal::Receiver<i64>>) {
    let changed = match wake {
        Some(wake) => wake.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}

async fn pause(time: Duration, stop: &mut signal::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        _ = stop.changed() => {}
    }
}
