//! Bad rows, counted by kind. A finding tells where and what to write instead; it never holds a value of a row.

use crate::store::Finding;
use std::collections::BTreeMap;

/// How many examples of one kind are kept.
const EXAMPLES: usize = 5;

/// What can be wrong with a row. The names are stable: status, metrics and documentation use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Not as many cells as the header names, a quote that is never closed, or a line that is not JSON.
    BrokenRow,
    WrongEncoding,
    NulByte,
    TooLong,
    MissingColumn,
    MissingId,
    DuplicateId,
    MissingStage,
    UnknownStage,
    InvalidDate,
    FutureDate,
    InvalidAmount,
    InvalidPhone,
    InvalidEmail,
    NoAddress,
    InvalidTimeZone,
    InvalidLanguage,
    InvalidConsent,
    InvalidField,
    UnknownManager,
    UnknownContact,
    /// Rows were unreadable in a way that hides which deals they are: nothing is taken as deleted.
    DeletionsWithheld,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::BrokenRow => "BrokenRow",
            Self::WrongEncoding => "WrongEncoding",
            Self::NulByte => "NulByte",
            Self::TooLong => "TooLong",
            Self::MissingColumn => "MissingColumn",
            Self::MissingId => "MissingId",
            Self::DuplicateId => "DuplicateId",
            Self::MissingStage => "MissingStage",
            Self::UnknownStage => "UnknownStage",
            Self::InvalidDate => "InvalidDate",
            Self::FutureDate => "FutureDate",
            Self::InvalidAmount => "InvalidAmount",
            Self::InvalidPhone => "InvalidPhone",
            Self::InvalidEmail => "InvalidEmail",
            Self::NoAddress => "NoAddress",
            Self::InvalidTimeZone => "InvalidTimeZone",
            Self::InvalidLanguage => "InvalidLanguage",
            Self::InvalidConsent => "InvalidConsent",
            Self::InvalidField => "InvalidField",
            Self::UnknownManager => "UnknownManager",
            Self::UnknownContact => "UnknownContact",
            Self::DeletionsWithheld => "DeletionsWithheld",
        }
    }
}

/// The findings of one look through the files.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<Kind, Finding>);

impl Findings {
    /// Counts one; `what` is written out only while examples are still wanted.
    pub fn note(&mut self, kind: Kind, file: &str, line: u64, what: impl FnOnce() -> String) {
        let finding = self.0.entry(kind).or_insert_with(|| Finding { kind: kind.as_str().into(), count: 0, examples: Vec::new() });
        finding.count += 1;
        if finding.examples.len() < EXAMPLES {
            finding.examples.push(format!("{file}:{line}: {}", what()));
        }
    }

    pub fn count(&self) -> u64 {
        self.0.values().map(|finding| finding.count).sum()
    }

    pub fn list(&self) -> Vec<Finding> {
        self.0.values().cloned().collect()
    }
}
