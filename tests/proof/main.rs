//! The proof: the real engine, workers and store protocol in a world whose every fault is drawn from a seed, with a provider that
//! remembers everything. `docs/reliability.md` says what was run and what it does not show.
//!
//! `REKINDLE_SEED=17 cargo test --test proof one_seed -- --nocapture` replays a seed; `REKINDLE_SEEDS=100000` runs more of them.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers outside of #[test] functions

mod canaries;
mod crash_points;
mod crm;
mod dice;
mod fixture;
mod found;
mod journal;
mod managers_move;
mod model;
mod node;
mod provider;
mod restored;
mod scenario;
mod seeds;
mod truth;
mod world;
