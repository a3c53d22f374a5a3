//! The objects of a snapshot by kind and name: typed specs of our kinds, and lookups in Secrets and `ConfigMaps`.

use super::{
    Secret, Snapshot, SourceObject,
    finding::{Finding, Findings, Reason, suggest},
};
use crate::api::{self, ContactPolicySpec, ContentListSpec, CrmConnectionSpec, MessageChannelSpec, ReactivationFunnelSpec};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, btree_map::Entry};

/// `(namespace, name)`.
pub(super) type Key = (String, String);

/// One resource, parsed.
pub(super) struct Parsed<'a, T> {
    pub spec: T,
    pub source: &'a SourceObject,
}

/// All resources. What does not parse is in `broken`, so that those who refer to it do not read that it is missing.
#[derive(Default)]
pub(super) struct Resources<'a> {
    pub connections: BTreeMap<Key, Parsed<'a, CrmConnectionSpec>>,
    pub channels: BTreeMap<Key, Parsed<'a, MessageChannelSpec>>,
    pub policies: BTreeMap<Key, Parsed<'a, ContactPolicySpec>>,
    pub lists: BTreeMap<Key, Parsed<'a, ContentListSpec>>,
    pub funnels: BTreeMap<Key, Parsed<'a, ReactivationFunnelSpec>>,
    pub broken: Vec<(&'static str, Key)>,
    secrets: BTreeMap<Key, &'a Value>,
    config_maps: BTreeMap<Key, &'a Value>,
}

impl<'a> Resources<'a> {
    pub fn of(snapshot: &'a Snapshot, out: &mut Vec<Finding>) -> Self {
        let mut all = Self::default();
        for object in &snapshot.objects {
            let key = (object.namespace.clone(), object.name.clone());
            match (object.api_version.as_str(), object.kind.as_str()) {
                ("v1", "Secret") => {
                    all.secrets.insert(key, &object.value);
                }
                ("v1", "ConfigMap") => {
                    all.config_maps.insert(key, &object.value);
                }
                (api::API_VERSION, "CrmConnection") => add(&mut all.connections, &mut all.broken, "CrmConnection", object, out),
                (api::API_VERSION, "MessageChannel") => add(&mut all.channels, &mut all.broken, "MessageChannel", object, out),
                (api::API_VERSION, "ContactPolicy") => add(&mut all.policies, &mut all.broken, "ContactPolicy", object, out),
                (api::API_VERSION, "ContentList") => add(&mut all.lists, &mut all.broken, "ContentList", object, out),
                (api::API_VERSION, "ReactivationFunnel") => {
                    add(&mut all.funnels, &mut all.broken, "ReactivationFunnel", object, out);
                }
                _ => {}
            }
        }
        all
    }

    pub fn has_secret(&self, namespace: &str, name: &str) -> bool {
        self.secrets.contains_key(&(namespace.to_owned(), name.to_owned()))
    }

    /// A key's value as text, without the line end that editors and `echo` leave.
    pub fn secret(&self, namespace: &str, name: &str, key: &str, path: &str, found: &mut Findings) -> Option<Secret> {
        let Some(object) = self.secrets.get(&(namespace.to_owned(), name.to_owned())) else {
            found.error(
                path,
                Reason::SecretNotFound,
                format!("there is no Secret {name} in namespace {namespace}"),
                format!("create it there with the key {key}"),
            );
            return None;
        };
        let plain = object.get("stringData").and_then(|d| d.get(key)).and_then(Value::as_str).map(str::to_owned);
        let value = match plain {
            Some(text) => Some(text),
            None => match object.get("data").and_then(|d| d.get(key)).and_then(Value::as_str) {
                Some(encoded) => {
                    let text = BASE64_STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                    if text.is_none() {
                        found.error(
                            path,
                            Reason::SecretNotFound,
                            format!("the key {key} of Secret {name} is not base64 of a text"),
                            "write the plain value under stringData, or encode it with base64 -w0",
                        );
                        return None;
                    }
                    text
                }
                None => None,
            },
        };
        let Some(value) = value.map(|v| v.trim_end_matches(['\r', '\n']).to_owned()).filter(|v| !v.is_empty()) else {
            found.error(
                path,
                Reason::SecretNotFound,
                format!("the Secret {name} has no key {key}, or it is empty"),
                format!("add {key} to it"),
            );
            return None;
        };
        Some(Secret(value))
    }

    /// All keys of a Secret, for request templates.
    pub fn secret_keys(&self, namespace: &str, name: &str, path: &str, found: &mut Findings) -> BTreeMap<String, Secret> {
        let Some(object) = self.secrets.get(&(namespace.to_owned(), name.to_owned())) else {
            found.error(
                path,
                Reason::SecretNotFound,
                format!("there is no Secret {name} in namespace {namespace}"),
                "create it there with the keys that the request uses",
            );
            return BTreeMap::new();
        };
        let keys: std::collections::BTreeSet<&String> = ["data", "stringData"]
            .into_iter()
            .filter_map(|part| object.get(part).and_then(Value::as_object))
            .flat_map(serde_json::Map::keys)
            .collect();
        keys.into_iter().filter_map(|key| Some((key.clone(), self.secret(namespace, name, key, path, found)?))).collect()
    }

    /// A key's bytes.
    pub fn config_map(&self, namespace: &str, name: &str, key: &str, path: &str, found: &mut Findings) -> Option<Vec<u8>> {
        let Some(object) = self.config_maps.get(&(namespace.to_owned(), name.to_owned())) else {
            found.error(
                path,
                Reason::ConfigMapNotFound,
                format!("there is no ConfigMap {name} in namespace {namespace}"),
                format!("create it there with the key {key}"),
            );
            return None;
        };
        if let Some(text) = object.get("data").and_then(|d| d.get(key)).and_then(Value::as_str) {
            return Some(text.as_bytes().to_vec());
        }
        let binary = object.get("binaryData").and_then(|d| d.get(key)).and_then(Value::as_str);
        if let Some(bytes) = binary.and_then(|encoded| BASE64_STANDARD.decode(encoded.trim()).ok()) {
            return Some(bytes);
        }
        let keys: Vec<&str> = ["data", "binaryData"]
            .into_iter()
            .filter_map(|part| object.get(part).and_then(Value::as_object))
            .flat_map(|map| map.keys().map(String::as_str))
            .collect();
        found.error(path, Reason::ConfigMapNotFound, format!("the ConfigMap {name} has no key {key}"), suggest(key, keys));
        None
    }
}

fn add<'a, T: DeserializeOwned>(
    map: &mut BTreeMap<Key, Parsed<'a, T>>,
    broken: &mut Vec<(&'static str, Key)>,
    kind: &'static str,
    object: &'a SourceObject,
    out: &mut Vec<Finding>,
) {
    let mut found = Findings::of(kind, &object.namespace, &object.name);
    let key = (object.namespace.clone(), object.name.clone());
    match map.entry(key) {
        Entry::Occupied(first) => {
            let place = first.get().source.origin.as_ref().map(|o| format!(" in {}", o.file.display())).unwrap_or_default();
            found.error(
                "metadata.name",
                Reason::Duplicate,
                format!("there is already a {kind} {}{place}", object.name),
                "give one of them another name; the first one is used",
            );
        }
        Entry::Vacant(free) => match spec_of(object, &mut found) {
            Some(spec) => {
                free.insert(Parsed { spec, source: object });
            }
            None => broken.push((kind, free.into_key())),
        },
    }
    out.append(&mut found.list);
}

/// The typed spec. The schema finds all mistakes of form at once; this one stops at the first and is what stands behind it.
fn spec_of<T: DeserializeOwned>(object: &SourceObject, found: &mut Findings) -> Option<T> {
    let Some(spec) = object.value.get("spec").filter(|s| s.is_object()) else {
        found.error("spec", Reason::InvalidValue, "there is no spec", "write spec: and indent what belongs to it below");
        return None;
    };
    match serde_path_to_error::deserialize(spec) {
        Ok(spec) => Some(spec),
        Err(error) => {
            let inner = error.path().to_string();
            let path = if inner == "." { "spec".to_owned() } else { format!("spec.{inner}") };
            let (message, help) = in_words(&error.inner().to_string());
            found.error(&path, Reason::InvalidValue, message, help);
            None
        }
    }
}

/// serde's sentence, for people: what is wrong, and what to write instead.
fn in_words(text: &str) -> (String, String) {
    if let Some((what, help)) = text.split_once("; write ") {
        return (what.to_owned(), format!("write {help}"));
    }
    if let Some((word, rest)) = text.strip_prefix("unknown variant `").and_then(|r| r.split_once('`')) {
        let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        return (format!("{word} is not one of the words allowed here"), suggest(word, known));
    }
    if let Some(field) = text.strip_prefix("missing field `").and_then(|r| r.strip_suffix('`')) {
        return (format!("{field} is missing"), format!("add {field}:"));
    }
    if let Some((got, wanted)) = text.strip_prefix("invalid type: ").and_then(|r| r.split_once(", expected ")) {
        return (format!("{got} stands here"), format!("write {wanted}; texts that look like numbers or booleans stand in quotes"));
    }
    (text.to_owned(), "see kubectl explain for what belongs here".into())
}
