//! Parse, don't validate: a [`Snapshot`] of raw resources becomes [`Compiled`] funnels, [`Wiring`] and [`Findings`](Finding), the
//! whole set at once, in this one place. The operator, `run -f`, `validate` and the webhook share it. Pure.

mod wiring;

pub use wiring::*;

mod interim;
pub use interim::*;
