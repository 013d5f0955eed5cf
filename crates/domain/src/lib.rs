//! The rules of kiosk: what an order is, what it costs, when it is paid, and what must follow.
//!
//! Here live only pure functions over plain data. No IO, no async, no clock, no randomness, no float: time, ids and facts
//! are arguments, so that the engine, the tests and a simulator all run the same rules.
//!
//! Reading order: the words (`ids`, `time`, `money`, `asset`, `country`), what is on sale (`catalog`), what it costs and
//! who may buy it (`pricing`, `coupon`, `limits`, `validate`), what an exchange office trades (`route`), then the order itself (`event`, `payment`, `fulfil`, `payout`,
//! `refund`, `order`, `decide`, `reasons`), and what follows from it (`ledger`, `postings`, `audit`, `project`, `chain`).

pub mod asset;
pub mod country;
pub mod ids;
pub mod money;
pub mod time;

pub mod catalog;
pub mod search;

pub mod coupon;
pub mod limits;
pub mod pricing;
pub mod terms;
pub mod validate;

pub mod route;

pub mod decide;
pub mod dust;
pub mod event;
pub mod fulfil;
pub mod order;
pub mod payment;
pub mod payout;
pub mod reasons;
pub mod refund;

#[doc(hidden)]
pub mod planted;

pub mod audit;
pub mod chain;
pub mod ledger;
pub mod postings;
pub mod project;
