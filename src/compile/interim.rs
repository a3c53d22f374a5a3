//! Interim: the shapes of the compiler, to build the source beside it.

use std::path::PathBuf;

#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub objects: Vec<SourceObject>,
}

#[derive(Clone, Debug)]
pub struct SourceObject {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub value: serde_json::Value,
    pub origin: Option<Origin>,
}

#[derive(Clone, Debug)]
pub struct Origin {
    pub file: PathBuf,
    pub base_dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    NotFound,
    SecretNotFound,
    ConfigMapNotFound,
    UnknownName,
    NoChannel,
    Unused,
    InvalidValue,
}

impl Reason {
    pub const fn as_str(self) -> &'static str {
        "Interim"
    }
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub object: ObjectRef,
    pub path: String,
    pub reason: Reason,
    pub message: String,
    pub help: String,
    pub severity: Severity,
}

#[derive(Clone, Debug, Default)]
pub struct Output {
    pub findings: Vec<Finding>,
}

pub fn compile(_: &Snapshot) -> Output {
    Output::default()
}
