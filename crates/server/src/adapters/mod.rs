//! What implements the ports. Must never name the engine, the store or a door.

pub mod evm;
pub mod mail;
pub mod rates;
mod rest;
pub mod safe_http;
pub mod sandbox;
pub mod solana;
