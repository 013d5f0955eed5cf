//! Pages for people. Plain HTML that works without scripts.

pub mod delivery;
