//! The server's integration tests, one binary.

// What the tests share: a whole shop, and raw HTTP.
mod harness;
mod http;
mod raw;

mod audit;
mod bad_input;
mod books;
mod crash;
mod delivery;
mod engine;
mod evm;
mod exchange;
mod far_networks;
mod gateway;
mod mail;
mod market;
mod operators;
mod orders;
mod payments;
mod problems;
mod rates;
mod readme;
mod receiver;
mod refunds;
mod snapshots;
mod solana;
mod store;
mod tidy;
mod tracking;
mod wallet;
mod webhooks;
