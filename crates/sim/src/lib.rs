//! The simulator: the real engine, store and workers of kiosk through a thousand bad days.
//!
//! One thread, no waiting, no clock but the world's: the same plan gives the same trace, byte for byte. The world keeps
//! its own books and knows what became of each request before the shop does; after every step the two sets of books are
//! compared. What is promised, and what is not simulated, stands in `docs/proof.md`.
//!
//! The tour: a `plan` says what happens how often; `outside` is the world, `market` what is sold, `office` what is
//! exchanged, `shop` the thing under test; `run` makes both meet step by step, `check` compares the books, `shrink` makes a failing plan small.
//! Must never read a clock, draw randomness elsewhere than from the seed, or wait.

pub mod check;
pub mod market;
pub mod office;
pub mod outside;
pub mod plan;
pub mod pure;
pub mod rng;
pub mod run;
pub mod shop;
pub mod shrink;
