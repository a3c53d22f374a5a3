//! CEL conditions over deal, client, manager, cycle and history: compiled once, evaluated with a bound.

use super::Subject;
use jiff::Timestamp;
use std::sync::Arc;

/// A compiled condition.
#[derive(Clone)]
pub struct Condition {
    source: Arc<str>,
    program: Arc<cel::Program>,
}

/// What a condition can see.
pub struct Facts<'a> {
    pub subject: &'a Subject,
    pub now: Timestamp,
}

/// Why a condition cannot be used, or did not hold an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    #[error("{0}")]
    Syntax(String),
    #[error("it is longer than 4096 characters or nests deeper than 32 brackets; split it over several items or stages")]
    TooComplex,
    #[error("{name} is not known here; known are deal, client, manager, cycle and the functions {functions}")]
    Unknown { name: String, functions: String },
    #[error("{0}")]
    Evaluation(String),
    #[error("it answers {0}, not true or false")]
    NotBoolean(String),
}

impl Condition {
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)
    }
}
