//! The one interface of all channels.

use crate::content::Rendered;
use crate::model::{Address, EffectRef, Outcome};
use tokio::{sync::mpsc, time::Instant};

/// One message to hand over. Its bytes are fixed: a retry sends the same.
#[derive(Clone, Debug)]
pub struct Job {
    pub effect: EffectRef,
    pub attempt: i32,
    /// Stable over attempts: in the Message-ID, the receipt URL and, where a provider has one, its idempotency key.
    pub key: uuid::Uuid,
    pub to: Address,
    pub message: Rendered,
    /// Where the provider may report delivery, if the installation has a public address. `{provider}` in it is replaced by the name
    /// of the provider that the message goes to.
    pub receipt_url: Option<String>,
}

/// What became of a job.
#[derive(Clone, Debug)]
pub struct Report {
    pub effect: EffectRef,
    pub attempt: i32,
    pub outcome: Outcome,
}

/// Why a channel cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("{what}; {help}")]
    Settings { what: String, help: String },
}

impl ChannelError {
    pub(super) fn settings(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Settings { what: what.into(), help: help.into() }
    }

    /// Stable name for metrics and events.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Settings { .. } => "settings",
        }
    }
}

/// A way to hand messages over.
#[async_trait::async_trait]
pub trait Channel: Send + Sync {
    /// Hands the jobs over, several at a time. No job is *started* after `deadline` (it is reported `NotStarted`); a reply to a
    /// started one is waited for as long as it takes. Every job is reported exactly once, as soon as its outcome is known.
    async fn perform(&self, jobs: Vec<Job>, deadline: Instant, reports: mpsc::UnboundedSender<Report>);

    /// Begins nothing any more: whatever has not reached the point of no return is reported `NotStarted`, at once. For the end of
    /// the process; there is no way back.
    fn close(&self);

    /// How many messages it can usefully have under way at once.
    fn capacity(&self) -> usize;

    /// Whether this refusal speaks of this provider alone, so that another one may take the message.
    fn only_here(&self, _refusal: &Outcome) -> bool {
        false
    }

    /// At most this many can be left ambiguous by a kill: connections × pipeline depth.
    fn in_flight_bound(&self) -> usize;
}
