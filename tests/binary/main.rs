//! Tests of the real binary as its users run it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers outside of #[test] functions

mod chaos;
mod demo;
#[path = "../proof/dice.rs"]
mod dice;
mod harness;
mod http;
mod kill;
mod outage;
#[path = "../in_process/peers/postgres.rs"]
mod postgres;
mod promises;
mod promotion;
mod restore;
mod run;
mod simulate;
mod sink;
#[allow(dead_code)] // the other suites use the rest of it
mod wire;
