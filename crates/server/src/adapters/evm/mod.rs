//! Ethereum and its kin as a watcher sees them, over JSON-RPC.
//!
//! Nodes lie, mostly by being late: nothing that one of them says about money is believed before it fits the rest. The
//! chain id is asked first; blocks must hang together, and with what was known; where several nodes are configured, as
//! many as the settings say must name the same blocks and show the same events of them. What a node did not show at first
//! is found by a second look (`again`), and what it showed once is never taken back for its silence. Must never hold a key
//! to spend with, and never write an address of a node anywhere, because it may hold a key.
//!
//! In the order in which to read: `address`, `amount` and `wire` are what nodes write; `rpc` and `socket` ask one node;
//! `endpoint` checks its answers; `council` chooses who is asked; `scan` is the way from the known blocks to the newest;
//! `certain` is what they must show alike of a block, `again` the second look; `receipts` makes transfers of events; `strays`
//! tells what does not count; `balances` asks what lies where. Called by the watcher, through the port. For people:
//! `docs/operators.md`.

mod address;
mod again;
mod amount;
mod balances;
mod certain;
mod council;
mod endpoint;
mod receipts;
pub(in crate::adapters) mod rpc;
mod scan;
mod socket;
mod strays;
mod wire;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use address::{Address, AddressError};
pub use amount::MOST_UNITS;

use crate::adapters::rates::tls_configuration;
use crate::ports::{AddressBook, Answer, BalanceQuestion, Finder, Network, Rhythm};
use crate::secret::Secret;
use again::Again;
use council::Fault;
use domain::asset::Confirmation;
use domain::chain::{Header, Scan};
use domain::ids::{AssetId, NetworkId};
use domain::time::{Span, Time};
use endpoint::{Endpoint, Filter};
use reqwest::{Client, Url};
use rpc::Rpc;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A scan that takes longer is given up: a node that answers each question just in time must not hold up the rest for ever.
const DEADLINE: Span = Span::seconds(60);

/// One chain, by configuration.
pub struct Settings {
    pub id: NetworkId,
    /// EIP-155.
    pub chain_id: u64,
    pub tokens: BTreeMap<Address, Token>,
    /// Of nodes: http, https, ws or wss.
    pub addresses: Vec<Secret<String>>,
    /// How many of them must say the same; at most as many as there are.
    pub agree: usize,
    pub confirmation: Confirmation,
    /// The largest range that is asked for at once.
    pub blocks_per_query: i64,
    /// The longest that one answer may take.
    pub call_timeout: Duration,
    pub rhythm: Rhythm,
}

/// A token that is looked for, whether it counts or only looks like one that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub asset: AssetId,
    pub decimals: u32,
    /// Its name, if it does not count.
    pub look_alike: Option<String>,
}

/// Why a chain cannot be watched at all.
#[derive(Debug, thiserror::Error)]
pub enum EvmError {
    #[error("rpc number {0} is no address")]
    NotAnAddress(usize),
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

/// One chain.
pub struct EvmNetwork {
    id: NetworkId,
    tokens: BTreeMap<Address, Token>,
    filter: Filter,
    endpoints: Vec<Endpoint>,
    agree: usize,
    tag: Option<&'static str>,
    rhythm: Rhythm,
    /// How large a range may be now, and how often that went well.
    range: Mutex<Range>,
    again: Mutex<Again>,
    /// The number of the node that led the last council.
    leading: AtomicUsize,
    /// The longest that a scan may take.
    deadline: Duration,
}

impl EvmNetwork {
    /// Asks nobody yet; WebSockets begin to connect. To be called inside a runtime.
    ///
    /// # Errors
    /// As [`EvmError`] names them; none quotes an address.
    pub fn new(settings: Settings) -> Result<EvmNetwork, EvmError> {
        let http = client()?;
        let mut endpoints = Vec::new();
        for (number, address) in settings.addresses.iter().enumerate() {
            let url = Url::parse(address.expose()).map_err(|_| EvmError::NotAnAddress(number + 1))?;
            let name = rpc::node_name(number, &url).ok_or(EvmError::NotAnAddress(number + 1))?;
            let rpc = Rpc::new(url, &http, settings.call_timeout, &settings.rhythm.bell);
            endpoints.push(Endpoint::new(number, name, rpc, settings.chain_id));
        }
        let tag = match settings.confirmation {
            Confirmation::Blocks(_) => None,
            Confirmation::Safe => Some("safe"),
            Confirmation::Finalized => Some("finalized"),
        };
        Ok(EvmNetwork {
            id: settings.id,
            filter: Filter::new(settings.tokens.keys().copied().collect()),
            tokens: settings.tokens,
            agree: settings.agree.clamp(1, endpoints.len().max(1)),
            endpoints,
            tag,
            rhythm: settings.rhythm,
            range: Mutex::new(Range::new(settings.blocks_per_query)),
            again: Mutex::default(),
            leading: AtomicUsize::new(0),
            deadline: Duration::from_secs(DEADLINE.0.unsigned_abs() / 1_000),
        })
    }
}

impl EvmNetwork {
    fn range(&self) -> i64 {
        self.with_range(|range| range.now)
    }

    /// Whoever led is to blame.
    fn too_long(&self) -> Fault {
        let number = self.leading.load(Ordering::Relaxed);
        let name = self.endpoints.get(number).map_or_else(String::new, |node| node.name.clone());
        Fault::TooLong { number, name, seconds: self.deadline.as_secs() }
    }

    fn with_range<T>(&self, change: impl FnOnce(&mut Range) -> T) -> T {
        change(&mut self.range.lock().expect("nobody panics while holding the range"))
    }
}

impl Network for EvmNetwork {
    fn id(&self) -> &NetworkId {
        &self.id
    }

    fn scan<'a>(
        &'a self,
        known: &'a [Header],
        book: &'a dyn AddressBook,
        now: Time,
    ) -> Answer<'a, Result<Scan, String>> {
        Box::pin(async move {
            let scan = tokio::time::timeout(self.deadline, self.scan_chain(known, book, now)).await;
            let scan = scan.unwrap_or_else(|_| Err(self.too_long()));
            let lasted = matches!(scan, Err(Fault::TooLong { .. }));
            // The rest of whoever is to blame begins when the scan ends.
            let now = if lasted { now + DEADLINE } else { now };
            scan.map_err(|fault| {
                for number in fault.to_blame() {
                    self.endpoints[number].failed(now);
                }
                fault.to_string()
            })
        })
    }

    fn rhythm(&self) -> Option<&Rhythm> {
        Some(&self.rhythm)
    }

    fn balances<'a>(
        &'a self,
        question: &'a BalanceQuestion,
        now: Time,
    ) -> Answer<'a, Result<Option<Vec<i128>>, String>> {
        Box::pin(async move { self.balances_after(question, now).await.map_err(|fault| fault.to_string()) })
    }

    fn finder(&self) -> Option<&dyn Finder> {
        Some(self)
    }
}

/// The one client of all nodes of a network: no proxy, no redirect, one TLS.
pub(in crate::adapters) fn client() -> Result<Client, EvmError> {
    Client::builder()
        .tls_backend_preconfigured(tls_configuration().map_err(EvmError::Tls)?)
        .user_agent(concat!("kiosk/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(EvmError::Client)
}

/// How many blocks are asked for at once. Nodes limit ranges, or results, or both, and each says so in words of its own:
/// so a range that fails is halved, and after a while tried larger again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    most: i64,
    now: i64,
    went_well: u32,
}

impl Range {
    /// Ranges that must go well before a larger one is tried.
    const PATIENCE: u32 = 8;

    fn new(most: i64) -> Range {
        Range { most: most.max(1), now: most.max(1), went_well: 0 }
    }

    /// So many blocks at once were too many.
    fn halve(&mut self, asked: i64) {
        (self.now, self.went_well) = ((asked / 2).max(1), 0);
    }

    fn did_well(&mut self) {
        self.went_well += 1;
        if self.went_well >= Range::PATIENCE {
            (self.now, self.went_well) = (self.now.saturating_mul(2).min(self.most), 0);
        }
    }
}
