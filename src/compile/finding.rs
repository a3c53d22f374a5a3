//! What is wrong with a resource, in words that a marketer can act on.

use serde::Serialize;
use std::fmt;

/// Which resource a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectRef {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Whether a funnel can run with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// Funnels that refer to the resource keep their last good revision.
    Error,
    /// Taken as it is, but probably not what was meant.
    Warning,
}

/// The kind of mistake. Part of the API: shown in conditions, never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Reason {
    /// A value has the wrong form: a duration, a time, an address, a word that is not one of those allowed.
    InvalidValue,
    /// Of members that exclude each other none or several are set, or those of another type.
    InvalidUnion,
    /// Two things have one name.
    Duplicate,
    /// A resource that is named does not exist.
    NotFound,
    /// A Secret, or a key of it, does not exist.
    SecretNotFound,
    /// A `ConfigMap`, or a key of it, does not exist.
    ConfigMapNotFound,
    /// A time zone is not known.
    UnknownTimeZone,
    /// A condition does not parse.
    InvalidCondition,
    /// A template does not parse.
    InvalidTemplate,
    /// A condition or template uses a name that is not known there.
    UnknownName,
    /// A link's target is not an absolute, fixed https address.
    InvalidLink,
    /// A text uses a link that is not declared.
    UndeclaredLink,
    /// A declared link is not used.
    UnusedLink,
    /// A text has an address that is not a declared link: clicks on it are not seen.
    UntrackedLink,
    /// A funnel has no channel for an item.
    NoChannel,
    /// An SMS has more parts than its channel allows.
    TooManyParts,
    /// Clients could not stop the messages.
    NoOptOut,
    /// A window, or a moment within it, never comes.
    NeverOpens,
    /// Something can never take effect: a rule behind one that always holds, a trigger that never fires.
    Unreachable,
    /// Two resources want different things of a third.
    Conflict,
    /// No funnel uses it.
    Unused,
    /// A file path in a place where there are no files.
    LocalOnly,
    /// Something usual is missing; what follows from that is said.
    Incomplete,
}

impl Reason {
    /// The stored and printed word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidValue => "InvalidValue",
            Self::InvalidUnion => "InvalidUnion",
            Self::Duplicate => "Duplicate",
            Self::NotFound => "NotFound",
            Self::SecretNotFound => "SecretNotFound",
            Self::ConfigMapNotFound => "ConfigMapNotFound",
            Self::UnknownTimeZone => "UnknownTimeZone",
            Self::InvalidCondition => "InvalidCondition",
            Self::InvalidTemplate => "InvalidTemplate",
            Self::UnknownName => "UnknownName",
            Self::InvalidLink => "InvalidLink",
            Self::UndeclaredLink => "UndeclaredLink",
            Self::UnusedLink => "UnusedLink",
            Self::UntrackedLink => "UntrackedLink",
            Self::NoChannel => "NoChannel",
            Self::TooManyParts => "TooManyParts",
            Self::NoOptOut => "NoOptOut",
            Self::NeverOpens => "NeverOpens",
            Self::Unreachable => "Unreachable",
            Self::Conflict => "Conflict",
            Self::Unused => "Unused",
            Self::LocalOnly => "LocalOnly",
            Self::Incomplete => "Incomplete",
        }
    }
}

/// One thing to put right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    pub object: ObjectRef,
    /// Like `spec.items[2].sms.text`; map keys that are not plain words stand in brackets and quotes.
    pub path: String,
    pub severity: Severity,
    pub reason: Reason,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Finding {
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.object, self.path, self.message, self.help)
    }
}

/// Collects what is found about one resource.
pub(super) struct Findings {
    pub object: ObjectRef,
    pub list: Vec<Finding>,
    stored: bool,
}

impl Findings {
    pub fn of(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            object: ObjectRef { kind: kind.into(), namespace: namespace.into(), name: name.into() },
            list: Vec::new(),
            stored: false,
        }
    }

    /// Of a revision that was valid when it was stored, perhaps by a version that refused less.
    pub fn stored(mut self, stored: bool) -> Self {
        self.stored = stored;
        self
    }

    fn add(&mut self, severity: Severity, path: &str, reason: Reason, message: impl Into<String>, help: impl Into<String>) {
        self.list.push(Finding {
            object: self.object.clone(),
            path: path.into(),
            severity,
            reason,
            message: message.into(),
            help: help.into(),
        });
    }

    pub fn error(&mut self, path: &str, reason: Reason, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, path, reason, message, help);
    }

    pub fn warn(&mut self, path: &str, reason: Reason, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, path, reason, message, help);
    }

    /// What earlier versions took although it works for no client, or not for all: an error of an edit. What is in force goes on
    /// with it, so that an upgrade stops nobody's funnel.
    pub fn refuse(&mut self, path: &str, reason: Reason, message: impl Into<String>, help: impl Into<String>) {
        self.add(if self.stored { Severity::Warning } else { Severity::Error }, path, reason, message, help);
    }

    pub fn failed(&self) -> bool {
        self.list.iter().any(Finding::is_error)
    }
}

/// `path.key`, or `path["key"]` for keys that are not plain words.
pub(super) fn member(path: &str, key: &str) -> String {
    if !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        format!("{path}.{key}")
    } else {
        format!("{path}[{key:?}]")
    }
}

/// What was probably meant: the nearest of `known`, if it is near.
pub(super) fn near<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    let best = known.into_iter().map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), k)).min()?;
    (best.0 <= 1 + wrong.chars().count() / 4).then_some(best.1)
}

/// "did you mean X" when one of `known` is close, else the list of them.
pub(super) fn suggest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match near(wrong, known.iter().copied()) {
        Some(name) => format!("did you mean {name}?"),
        _ if known.is_empty() => "nothing is declared yet".into(),
        _ if known.len() <= 24 => format!("write one of {}", known.join(", ")),
        _ => format!("write one of {}, …", known.get(..12).unwrap_or_default().join(", ")),
    }
}
