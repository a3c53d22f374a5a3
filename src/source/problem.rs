//! What is wrong with a manifest, with its place in a file.

use super::Position;
use crate::compile::{ObjectRef, Severity};
use std::{fmt, path::PathBuf};

/// One line for people: `file:line: path: what is wrong; what to write instead`.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// As the user named it; `None` only for a finding about no object of a file.
    pub file: Option<PathBuf>,
    pub position: Option<Position>,
    pub object: Option<ObjectRef>,
    /// `spec.items[1].after`; empty for the whole document.
    pub path: String,
    /// A stable word for machines, in `PascalCase`.
    pub reason: String,
    pub message: String,
    /// What to write instead; may be empty.
    pub help: String,
    pub severity: Severity,
}

impl Problem {
    /// The sentence without its place: `path: what is wrong; what to write instead`.
    pub fn sentence(&self) -> String {
        let mut out = String::new();
        if !self.path.is_empty() {
            out = format!("{}: ", self.path);
        }
        out.push_str(&self.message);
        if !self.help.is_empty() {
            out.push_str("; ");
            out.push_str(&self.help);
        }
        out
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(at) = self.position {
                write!(f, "{}:", at.line)?;
            }
            f.write_str(" ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.sentence())
    }
}
