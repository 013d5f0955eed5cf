//! kiosk, the server: doors, engine, store, workers and adapters around the rules of the `domain` crate.
//!
//! The tour follows one order: it comes in through `http`, is decided and committed by the `engine` in the `store`, its
//! payment is found and its goods are bought by the `workers` through `ports`, which `adapters` implement.

pub mod adapters;
pub mod engine;
pub mod http;
pub mod ports;
pub mod store;
pub mod workers;

pub mod books;
pub mod sandbox_desk;
pub mod seal;
pub mod secret;
pub mod vault;
pub mod wallet;

pub mod catalogue_file;
pub mod catalogue_generate;
pub mod destination;
pub mod exchange_file;
pub mod happenings;
pub mod logos;
pub mod mail_text;
pub mod one_time;
pub mod passwords;
pub mod qr;
pub mod rates_file;

pub mod boot;
pub mod cli;
pub mod clock;
pub mod config;
pub mod entropy;

/// Orders are made on the threads of the doors, changed on the committer's and dropped on either: with many clients, an
/// allocator that makes such a free wait for a lock costs throughput (docs/adr/0003-allocator-and-sqlite.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
