//! What answers over HTTP: tracked links, unsubscribing, signals, providers' hooks; and, on a listener of its own, health and
//! metrics. Runs on every replica: it writes only what arrives ([`crate::store::Journal::receive`]), never what is sent.
//!
//! A click is answered once it is stored, or after a short wait if the store is slow: the client always gets where the link
//! leads. Nothing here logs an address, a token or a body.

mod agents;
mod body;
mod cache;
mod clicks;
mod cloudevents;
mod effects;
mod form;
mod guard;
mod health;
mod hooks;
mod lookups;
mod metrics;
mod pages;
mod providers;
mod redirect;
mod reply;
mod router;
mod server;
mod signals;
mod state;
mod unsubscribe;

pub use health::EngineState;
pub use hooks::{HookAnswer, HookError, HookRequest, Hooks, InboundKind, NoHooks, ParsedInbound, ParsedReceipt, ReceiptOf};
pub use metrics::Metrics;
pub use providers::ChannelHooks;
pub use router::{admin_router, public_router, router};
pub use server::{Limits, serve};
pub use state::{Parts, Settings, SignalToken, WebState};

#[cfg(test)]
mod tests;
