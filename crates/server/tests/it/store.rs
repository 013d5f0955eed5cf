//! The store's contract: one list of tests, run on SQLite in memory, on SQLite in a file and, where a server is given,
//! on PostgreSQL, each time in a fresh database.
//!
//! `databases` makes the databases (the engine's tests use it too), `complete` keeps the list complete, and the other
//! files follow those of the store: `values` for the two engines' common face, then a file for each kind of row.

mod complete;
pub mod databases;

mod values;

mod connections;

mod head;

mod orders;

mod ledger;
mod steps;

mod claims;

mod transfers;

mod looks;
mod sweeps;

mod shelf;

mod affiliates;
mod logins;
mod mails;
mod noticed;
mod office;
mod refunds;
mod webhooks;

mod operators;

mod scratch;
