//! The store API (contract in the project's store API reference): reads and orders.

pub mod answers;
pub mod catalogue;
pub mod orders;
pub mod reads;

#[cfg(test)]
pub(crate) mod testing;
