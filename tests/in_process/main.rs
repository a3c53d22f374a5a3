//! Tests within one process, against real peers where a module meets the outside.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers outside of #[test] functions

mod channels;
mod peers;
