//! One document of a file → the objects in it: who they are, `List`s unwrapped, kinds that are not ours left aside.

use super::{
    nearest::nearest,
    node::{Content, Node, Position},
    problem::Problem,
};
use crate::{
    api,
    compile::{ObjectRef, Severity},
};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Kinds of other groups that are read because ours refer to them.
pub const CORE_KINDS: [&str; 2] = ["Secret", "ConfigMap"];

/// An object of a file, not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    pub file: PathBuf,
    pub api_version: String,
    pub object: ObjectRef,
    pub node: Node,
}

/// Adds what `document` holds to `manifests` and `problems`. `kinds`: ours.
pub fn read(file: &Path, document: Node, kinds: &[String], manifests: &mut Vec<Manifest>, problems: &mut Vec<Problem>) {
    let mut report = |at: Position, path: &str, severity, reason: &str, message: String, help: String| {
        problems.push(Problem {
            file: Some(file.to_owned()),
            position: Some(at),
            object: None,
            path: path.to_owned(),
            reason: reason.to_owned(),
            message,
            help,
            severity,
        });
    };
    let at = document.at;
    let (api_version, kind) = (text(&document, "apiVersion"), text(&document, "kind"));
    let (Some(api_version), Some(kind)) = (api_version, kind) else {
        let Content::Map(_) = document.content else {
            report(
                at,
                "",
                Severity::Error,
                "NotAManifest",
                "this is not a Kubernetes manifest".into(),
                "write apiVersion, kind, metadata and spec".into(),
            );
            return;
        };
        if document.get("apiVersion").is_none() && document.get("kind").is_none() {
            let help = "add apiVersion and kind if it is one, or begin the file's name with a dot".into();
            report(at, "", Severity::Warning, "NotAManifest", "this is not a Kubernetes manifest and is ignored".into(), help);
        } else {
            let missing = if text(&document, "kind").is_none() { "kind" } else { "apiVersion" };
            let help = if missing == "kind" {
                format!("write one of {}", kinds.join(", "))
            } else {
                format!("write apiVersion: {}", api::API_VERSION)
            };
            report(document.find(missing).0, missing, Severity::Error, "NotAManifest", format!("{missing} is missing"), help);
        }
        return;
    };
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let ours = kinds.iter().any(|known| known == kind);
    let list_of_ours = kind.strip_suffix("List").is_some_and(|each| kinds.iter().any(|known| known == each));
    if (api_version == "v1" && kind == "List") || (list_of_ours && !ours) {
        let Content::Map(fields) = document.content else { return };
        for field in fields {
            if let (true, Content::List(items)) = (field.key == "items", field.value.content) {
                for item in items {
                    read(file, item, kinds, manifests, problems);
                }
            }
        }
        return;
    }
    let kind_at = document.find("kind").0;
    let version_at = document.find("apiVersion").0;
    let core = api_version == "v1" && CORE_KINDS.contains(&kind);
    if group == api::GROUP && !ours {
        let help = match nearest(kind, kinds.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("write one of {}", kinds.join(", ")),
        };
        report(kind_at, "kind", Severity::Error, "KindUnknown", format!("there is no kind {kind:?} in {}", api::GROUP), help);
        return;
    }
    if ours && api_version != api::API_VERSION {
        let help = format!("write apiVersion: {}", api::API_VERSION);
        report(
            version_at,
            "apiVersion",
            Severity::Error,
            "VersionUnknown",
            format!("{api_version:?} is no version of {kind}"),
            help,
        );
        return;
    }
    if !ours && !core {
        report(
            kind_at,
            "",
            Severity::Warning,
            "KindIgnored",
            format!("{kind} ({api_version}) is not used by rekindle and is ignored"),
            String::new(),
        );
        return;
    }
    let metadata = document.get("metadata");
    let Some(name) = metadata.and_then(|m| text(m, "name")).filter(|name| !name.is_empty()) else {
        report(
            document.find("metadata.name").0,
            "metadata.name",
            Severity::Error,
            "FieldRequired",
            "the name is missing".into(),
            "write metadata: {name: my-name}, in quotes if it is a number".into(),
        );
        return;
    };
    let namespace = metadata.and_then(|m| text(m, "namespace")).unwrap_or("default").to_owned();
    let object = ObjectRef { kind: kind.to_owned(), namespace, name: name.to_owned() };
    manifests.push(Manifest { file: file.to_owned(), api_version: api_version.to_owned(), object, node: document });
}

impl Manifest {
    /// The object as it would be sent: with its namespace, without the status that others write.
    pub fn to_json(&self) -> Value {
        let mut value = self.node.to_json();
        if let Some(object) = value.as_object_mut() {
            object.remove("status");
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                let namespace = metadata.entry("namespace").or_insert(Value::Null);
                if namespace.is_null() {
                    *namespace = Value::String(self.object.namespace.clone());
                }
            }
        }
        value
    }
}

fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Node::as_str)
}
