//! Rekindle runs *reactivation funnels*: it copies the deals of a CRM's sales funnel, sees which go cold or are lost, warms
//! those clients with timed SMS and email, and returns a deal to work when its client answers.
//!
//! The modules stand in the order in which they may import each other: each imports only what stands above it
//! (`tests/architecture.rs` holds that). `docs/architecture.md` follows one deal through them.
#![forbid(unsafe_code)]

pub mod model;

pub mod api;

pub mod engine;

pub mod links;

pub mod content;

pub mod compile;

pub mod store;

pub mod crm;

pub mod channels;

pub mod workers;

pub mod simulate;

pub mod web;

pub mod source;

pub mod control;

pub mod cli;
