//! What implements the ports. Must never name the engine, the store or a door.

pub mod evm;
pub mod mail;
pub mod rates;
pub mod safe_http;
pub mod sandbox;
