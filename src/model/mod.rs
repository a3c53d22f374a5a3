//! Plain types that every other module speaks. No I/O, no Kubernetes, no SQL.
//!
//! Personal data (`Phone`, `Email`, `Text`) redacts its `Debug`, so that it cannot reach a log by accident.

mod address;
mod deal;
mod duration;
mod effect;
mod hash;
mod id;
mod inbox;
mod money;
mod name;
mod node;
mod role;
mod suppression;
mod title;

pub use address::{Address, AddressError, AddressHash, Email, Likelihood, Medium, Phone, Text, ascii_domain};
pub use deal::{Contact, ContactConsent, Deal, DealState, FieldValue, Manager};
pub use duration::{DurationError, HumanDuration};
pub use effect::{EffectKey, EffectRef, EffectStatus, Outcome, PostponeReason, SendAs, SkipReason};
pub use hash::{share, stable_hash};
pub use id::{ClientId, CopyId, FunnelKey, ManagerId, SHARDS, shard_of};
pub use inbox::{ClickVerdict, InboxEvent, Reaction, SignalKind, SignalSubject};
pub use money::Money;
pub use name::first_and_last;
pub use node::of_the_node;
pub use role::{Mode, Purpose, Role};
pub use suppression::{Consent, ConsentStatus, Suppression, SuppressionReason, SuppressionScope};
pub use title::same_title;
