//! Message channels: SMTP, SMS over HTTP, Kannel. One module a provider kind. A channel says truthfully what became of each
//! message (design §6): certainly accepted, certainly not, or unknown.

pub mod autoreply;
mod backoff;
mod channel;
mod concurrent;
mod dkim;
mod failover;
pub mod http_sms;
pub mod inbound;
pub mod kannel;
mod open;
mod receipt;
pub mod smtp;
pub mod stop;
mod ticket;
pub mod tls;

pub use channel::{Channel, ChannelError, Job, Report};
pub use dkim::Signer;
pub use failover::in_order;
pub use open::open;
pub use receipt::{Fields, Receipt, ReceiptFor, Unreadable};
