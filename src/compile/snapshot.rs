//! All resources as they were written, before anything is made of them.

use serde_json::Value;
use std::{fmt, path::PathBuf};

/// Every object that a folder or a cluster holds: our kinds, and the Secrets and `ConfigMaps` they refer to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub objects: Vec<SourceObject>,
}

/// One object. Its `Debug` shows no content: it may be a Secret.
#[derive(Clone, PartialEq)]
pub struct SourceObject {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// The whole object (`apiVersion`, `kind`, `metadata`, `spec` or `data`), as JSON.
    pub value: Value,
    /// Where it was read, when it comes from a file.
    pub origin: Option<Origin>,
}

/// The file an object was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub file: PathBuf,
    /// What relative paths in the object start from.
    pub base_dir: PathBuf,
    /// No path may lead out of `base_dir`: whoever writes the manifest does not own the machine.
    pub confined: bool,
}

impl fmt::Debug for SourceObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}/{}", self.api_version, self.kind, self.namespace, self.name)
    }
}
