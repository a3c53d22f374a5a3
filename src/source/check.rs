//! A reading of a folder → what an API server would have stored of it, and everything that is wrong, each thing in its line.

use super::{
    folder::Loaded,
    manifest::{CORE_KINDS, Manifest},
    problem::Problem,
    schema::Checker,
};
use crate::{
    api,
    compile::{Finding, ObjectRef, Origin, Reason, Severity, Snapshot, SourceObject},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};

/// The API server's part, offline: the definitions of our kinds, and what is known of the others that are read.
pub struct Admission {
    schemas: BTreeMap<String, Value>,
    checker: Checker,
}

/// A folder after admission.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    /// Objects that an API server takes, with its defaults.
    pub snapshot: Snapshot,
    /// Why others are missing in it, and what could not be read.
    pub problems: Vec<Problem>,
    /// Objects that were refused: what refers to them is not to blame.
    pub refused: Vec<ObjectRef>,
}

impl Admission {
    /// With the definitions of `api`.
    pub fn of_this_version() -> Self {
        let mut schemas = BTreeMap::new();
        for definition in api::definitions() {
            let schema = definition.spec.versions.into_iter().next().and_then(|v| v.schema).and_then(|s| s.open_api_v3_schema);
            if let Some(Ok(schema)) = schema.map(serde_json::to_value) {
                schemas.insert(definition.spec.names.kind, whole_object(schema));
            }
        }
        for kind in CORE_KINDS {
            schemas.insert(kind.to_owned(), whole_object(core_schema(kind)));
        }
        Self { schemas, checker: Checker::new() }
    }

    /// Names of our kinds: what a [`super::Folder`] is made with.
    pub fn kinds(&self) -> Vec<String> {
        self.schemas.keys().filter(|kind| !CORE_KINDS.contains(&kind.as_str())).cloned().collect()
    }

    /// Checks each object by itself, and that no two have one name.
    pub fn admit(&self, loaded: &Loaded) -> Admitted {
        let mut out = Admitted { problems: loaded.problems.clone(), ..Admitted::default() };
        let mut first: BTreeMap<&ObjectRef, &Manifest> = BTreeMap::new();
        for manifest in &loaded.manifests {
            if let Some(other) = first.insert(&manifest.object, manifest) {
                first.insert(&manifest.object, other);
                out.problems.push(problem(
                    manifest,
                    "metadata.name",
                    "ObjectDuplicate",
                    format!(
                        "{} {:?} is already declared in {}:{}",
                        manifest.object.kind,
                        manifest.object.name,
                        other.file.display(),
                        other.node.at.line
                    ),
                    "remove one of the two or choose another name".to_owned(),
                ));
                continue;
            }
            let mut value = manifest.to_json();
            let secret = manifest.object.kind == "Secret";
            let written = |path: &str| manifest.node.find(path).1.and_then(|node| node.written.clone());
            let violations = match self.schemas.get(&manifest.object.kind) {
                Some(schema) => self.checker.admit(schema, &mut value, secret, &written),
                None => Vec::new(),
            };
            if violations.is_empty() {
                out.snapshot.objects.push(SourceObject {
                    api_version: manifest.api_version.clone(),
                    kind: manifest.object.kind.clone(),
                    namespace: manifest.object.namespace.clone(),
                    name: manifest.object.name.clone(),
                    value,
                    origin: Some(Origin { file: manifest.file.clone(), base_dir: base_dir(&manifest.file), confined: false }),
                });
                continue;
            }
            out.refused.push(manifest.object.clone());
            for v in violations {
                out.problems.push(problem(manifest, &v.path, v.reason.label(), v.message, v.help));
            }
        }
        out
    }
}

impl Admitted {
    /// Everything that is wrong with `loaded`, what was refused and what the compiler found, in the order of files and lines.
    pub fn problems(&self, findings: Vec<Finding>, loaded: &Loaded) -> Vec<Problem> {
        let mut problems = self.problems.clone();
        problems.extend(locate(&self.without_consequences(findings), loaded));
        problems.sort_by(|a, b| (&a.file, a.position, &a.path).cmp(&(&b.file, b.position, &b.path)));
        problems.dedup();
        problems
    }

    /// Findings without those that only follow from a refusal: a funnel is not to blame when the list it names has a mistake of its
    /// own, which is reported already.
    fn without_consequences(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let named = |finding: &Finding, refused: &ObjectRef| {
            let mut words = finding.message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'));
            words.any(|word| word == refused.name)
        };
        let follows = |finding: &Finding| {
            let refused = || self.refused.iter().filter(|refused| refused.namespace == finding.object.namespace);
            let of_kind = |kind: &str| refused().any(|refused| refused.kind == kind);
            match finding.reason {
                Reason::NotFound | Reason::SecretNotFound | Reason::ConfigMapNotFound => {
                    refused().any(|refused| named(finding, refused))
                }
                Reason::Unused => of_kind("ReactivationFunnel") || of_kind("ContentList"),
                Reason::NoChannel => of_kind("MessageChannel"),
                Reason::UnknownName => of_kind("CrmConnection"),
                _ => false,
            }
        };
        findings.into_iter().filter(|finding| !follows(finding)).collect()
    }
}

/// The compiler's findings with their places.
fn locate(findings: &[Finding], loaded: &Loaded) -> Vec<Problem> {
    let manifests: BTreeMap<&ObjectRef, &Manifest> = loaded.manifests.iter().rev().map(|m| (&m.object, m)).collect();
    let place = |finding: &Finding| {
        let base = Problem {
            file: None,
            position: None,
            object: Some(finding.object.clone()),
            path: finding.path.clone(),
            reason: finding.reason.as_str().to_owned(),
            message: finding.message.clone(),
            help: finding.help.clone(),
            severity: finding.severity,
        };
        match manifests.get(&finding.object) {
            Some(manifest) => {
                Problem { file: Some(manifest.file.clone()), position: Some(manifest.node.find(&finding.path).0), ..base }
            }
            None => base,
        }
    };
    findings.iter().map(place).collect()
}

fn problem(manifest: &Manifest, path: &str, reason: &str, message: String, help: String) -> Problem {
    Problem {
        file: Some(manifest.file.clone()),
        position: Some(manifest.node.find(path).0),
        object: Some(manifest.object.clone()),
        path: path.to_owned(),
        reason: reason.to_owned(),
        message,
        help,
        severity: Severity::Error,
    }
}

fn base_dir(file: &Path) -> std::path::PathBuf {
    file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Adds what every object has to the schema of a kind.
fn whole_object(mut schema: Value) -> Value {
    let strings = |values: Value| json!({"type": "object", "additionalProperties": values});
    let dns = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
    let subdomain = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    let label = json!({"type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        "description": "Letters, digits, -, _ and . with a letter or digit at both ends"});
    let any = json!({"x-kubernetes-preserve-unknown-fields": true, "nullable": true});
    let metadata = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": subdomain},
            "namespace": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": dns},
            "labels": strings(label),
            "annotations": strings(json!({"type": "string"})),
            "generateName": any, "finalizers": any, "ownerReferences": any, "resourceVersion": any, "uid": any, "generation": any,
            "creationTimestamp": any, "deletionTimestamp": any, "deletionGracePeriodSeconds": any, "managedFields": any,
            "selfLink": any,
        },
    });
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
        properties.insert("kind".to_owned(), json!({"type": "string"}));
        properties.insert("metadata".to_owned(), metadata);
    }
    schema
}

fn core_schema(kind: &str) -> Value {
    let text = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let base64 = json!({"type": "object", "additionalProperties": {
        "type": "string",
        "pattern": r"^\s*(([A-Za-z0-9+/]\s*){4})*(([A-Za-z0-9+/]\s*){2}(=\s*){2}|([A-Za-z0-9+/]\s*){3}=\s*)?$",
        "description": "Base64; plain text stands in stringData",
    }});
    let properties = match kind {
        "Secret" => json!({"data": base64, "stringData": text, "type": {"type": "string"}, "immutable": {"type": "boolean"}}),
        _ => json!({"data": text, "binaryData": base64, "immutable": {"type": "boolean"}}),
    };
    json!({"type": "object", "properties": properties})
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
