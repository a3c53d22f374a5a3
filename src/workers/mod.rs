//! What makes things happen: CRM reading, inbox, timers, the outbox, replanning, and the lease under which all of it runs.
//!
//! Every part is a *pass*: it does what is due at one moment and returns. `run` repeats the passes as time goes by; a virtual
//! clock lets the same passes walk through months in seconds.

mod adapters;
mod backfill;
mod clock;
mod drift;
mod engine;
mod flights;
mod inbox;
mod limiter;
mod metrics;
mod money;
mod on_hold;
mod outbox;
mod plans;
mod prepare;
mod publish;
mod rendering;
mod replan;
mod retention;
mod sending;
mod sync;
mod tick;
mod witness;

pub use adapters::{Adapters, ChannelState, Outside, RealOutside};
pub use backfill::backfill_since;
pub use clock::Clock;
pub use engine::{Engine, EngineSettings, Phase, WorkerError};
pub use limiter::Limiter;
pub use metrics::EngineMetrics;
pub use plans::{Live, Plans};
pub use publish::Published;

// What a simulation must mean in the same way.
pub(crate) use backfill::{Admitted, EVERY as BACKFILL_EVERY};
pub(crate) use money::{charge, decide_within};
pub(crate) use plans::{channel_key, connection_key};
pub(crate) use rendering::context_of;
pub(crate) use sync::{PAGE, fresh, in_pipeline};
