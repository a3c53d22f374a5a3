//! Tests within one process, of whole modules through their public doors, against real peers where a module meets the outside.
//! One binary: it links once.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers outside of #[test] functions

mod architecture;
mod asked;
mod channels;
mod crm_news;
mod examples;
mod inbox;
mod interleavings;
mod live_edits;
mod peers;
mod simulate;
mod store_contract;
mod town;
mod web;
mod witness;
mod write_backs;
