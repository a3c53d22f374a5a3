//! Tests that run several modules together in one process, against real peers where there are any. One binary: it links once.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on says so by stopping

mod peers;
mod store_contract;
