//! Tests of the real binary as its users run it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers outside of #[test] functions

mod demo;
mod harness;
mod kill;
#[path = "../in_process/peers/postgres.rs"]
mod postgres;
mod run;
mod sink;
