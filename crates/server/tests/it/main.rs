//! The server's integration tests, one binary.

mod harness;
mod tidy;
