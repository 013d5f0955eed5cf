//! The server's integration tests, one binary.

// What the tests share: a whole shop, and raw HTTP.
mod harness;
mod http;
mod raw;

mod bad_input;
mod delivery;
mod mail;
mod orders;
mod store;
//ENGINE
mod market;
mod payments;
mod problems;
mod rates;
mod tidy;
mod tracking;
