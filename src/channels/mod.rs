//! Message channels: SMTP, SMS over HTTP, Kannel. One module a provider kind. A channel says truthfully what became of each
//! message (design §6): certainly accepted, certainly not, or unknown.

mod channel;

pub use channel::{Channel, ChannelError, Job, Report};
