//! What would go out, to whom and when, before anything does: the same plans and the same engine on a clock of their own, sending
//! nothing.
//!
//! It shares with the workers whatever decides about a message: `decide` and `admit`, who is who and with which number, the first
//! look at a deal, the daily share of backfill, and the channels' limiters. What it leaves out is said in `docs/simulate.md`.

mod arena;
mod asleep;
mod behaviour;
mod budget;
mod diff;
mod edited;
mod error;
mod life;
mod nobody;
mod report;
mod run;
mod tally;
mod waiting;
mod world;

pub use behaviour::{Behaviour, ManagersDo, Percent, Rates};
pub use budget::{BudgetReport, RanOut};
pub use diff::{Difference, ItemChange, diff};
pub use error::SimulateError;
pub use report::{Capacity, Cell, ItemReport, Postponed, Report, Worst};
pub use run::{ChannelOf, Given, ItemOf, Outcome, Question, Run, sources};
pub use tally::{Ahead, Earlier, Sent, Tally, Waits, Way};
pub use world::World;
