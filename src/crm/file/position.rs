//! How far a file connection was read: the connector's own part of a [`Cursor`](crate::store::Cursor).

use super::source::Stamp;
use serde::{Deserialize, Serialize};

/// Stored as `Cursor::position`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Position {
    /// The files at the end of the last finished look.
    pub files: Marks,
    /// A look under way, and how many of its pages were handed out. A look lives in memory: after a restart it begins again,
    /// which is harmless because reading is idempotent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look: Option<Progress>,
    /// What was read last tells the contact of a deal that names none under an id of its own kind. False where a version before did it.
    pub own: bool,
}

impl Position {
    /// A look that was broken off begins again, even if the files should be as they were before it: some of their rows were told.
    pub fn forget_look(&mut self) {
        if self.look.take().is_some() {
            self.files.settings.clear();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub look: u64,
    pub pages: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Marks {
    /// Digest of the mapping: another mapping reads the same file anew.
    pub settings: String,
    pub deals: Option<FileMark>,
    pub contacts: Option<FileMark>,
    pub managers: Option<FileMark>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FileMark {
    pub stamp: Stamp,
    pub digest: String,
    /// Rows whose id could be read, each id once.
    pub rows: u64,
    /// The wanted columns that it had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}
