//! What is kept: plain functions over a transaction, one file per thing.
//!
//! Must never decide anything: rules live in the domain crate, the order of loading and writing in the engine. Called by
//! the engine (writes), by workers and doors (reads), and by the command line.

pub mod db;
pub mod pool;
mod scratch;
pub mod signal;

pub mod claims;
pub mod head;
pub mod ledger;
pub mod looks;
pub mod orders;
pub mod sweeps;
pub mod transfers;
mod dust;

pub mod accounts;
pub mod affiliates;
pub mod api_keys;
pub mod catalogue;
pub mod deliveries;
pub mod exchange;
pub mod letters;
pub mod logins;
pub mod mails;
pub mod noticed;
pub mod partner_links;
pub mod refunds;
pub mod settings;
pub mod stock;
pub mod webhooks;

pub mod audit;
pub mod epoch;
pub mod fsck;

pub use db::{Access, Bulk, Column, Conn, DbError, Place, Row, Tx, Val};
pub use pool::Db;
