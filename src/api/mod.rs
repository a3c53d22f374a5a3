//! The custom resources of group `rekindle.dev`, version `v1alpha1`: what platform teams and marketers write. Types and schema
//! only; what a resource means is said by `compile`, which turns it into plans, texts and wiring.
//!
//! Every `///` on a field is what `kubectl explain` shows. Rules that one object alone can prove stand in the schema (bounds, enums,
//! CEL); defaults stand there too, but never inside list members: the API server's defaults in lists make GitOps tools see
//! differences for ever, so those are resolved in `compile`.
// The docs here are read by people in `kubectl explain`, where backticks and brackets are noise; printer columns repeat their keys.
#![allow(clippy::doc_markdown, clippy::duplicated_attributes, rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]

mod channel;
mod common;
mod connection;
mod content;
mod funnel;
mod policy;
mod provider;
mod status;

pub use channel::*;
pub use common::*;
pub use connection::*;
pub use content::*;
pub use funnel::*;
pub use policy::*;
pub use provider::*;
pub use status::*;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt;

/// API group of all kinds.
pub const GROUP: &str = "rekindle.dev";
/// The only version.
pub const VERSION: &str = "v1alpha1";
/// What `apiVersion` says in a manifest.
pub const API_VERSION: &str = "rekindle.dev/v1alpha1";

/// The definitions as objects, in the order of their use: connection, channel, policy, content, funnel.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut all =
        vec![CrmConnection::crd(), MessageChannel::crd(), ContactPolicy::crd(), ContentList::crd(), ReactivationFunnel::crd()];
    all.iter_mut().for_each(unobserved);
    all
}

/// A resource that no operator has looked at yet must not count as ready (`kubectl wait`, Flux, Argo CD): its first status says that
/// generation -1 was observed.
fn unobserved(definition: &mut CustomResourceDefinition) {
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let status = schema.and_then(|schema| schema.properties.as_mut()).and_then(|fields| fields.get_mut("status"));
        if let Some(status) = status {
            status.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
        }
    }
}

/// The definitions as `(file name, YAML)`: what `rekindle crds` prints and `crds/` holds.
///
/// # Errors
/// When a definition cannot be written as YAML, which would be a mistake in the types of this module.
pub fn crds() -> Result<Vec<(String, String)>, serde_saphyr::ser::Error> {
    definitions()
        .into_iter()
        .map(|crd| {
            let name = format!("{GROUP}_{}.yaml", crd.spec.names.plural);
            Ok((name, serde_saphyr::to_string(&crd)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use std::path::Path;

    /// `UPDATE_CRDS=1 cargo test --lib api::` writes them anew.
    #[test]
    fn committed_definitions_are_those_of_the_types() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        for (name, yaml) in super::crds().unwrap() {
            if std::env::var_os("UPDATE_CRDS").is_some() {
                std::fs::create_dir_all(&dir).unwrap();
                std::fs::write(dir.join(&name), &yaml).unwrap();
            }
            let committed = std::fs::read_to_string(dir.join(&name)).unwrap_or_default();
            assert!(committed == yaml, "crds/{name} differs from the types: run UPDATE_CRDS=1 cargo test --lib api::");
        }
    }

    /// Walks every schema of a definition with its path.
    fn walk(path: &str, schema: &Value, see: &mut dyn FnMut(&str, &Value)) {
        see(path, schema);
        for (name, child) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            walk(&format!("{path}.{name}"), child, see);
        }
        for (key, suffix) in [("items", "[]"), ("additionalProperties", ".*")] {
            if let Some(child) = schema.get(key).filter(|c| c.is_object()) {
                walk(&format!("{path}{suffix}"), child, see);
            }
        }
    }

    #[test]
    fn every_schema_is_bounded_documented_and_understood_by_the_api_server() {
        let mut wrong = Vec::new();
        for crd in super::definitions() {
            let crd = serde_json::to_value(crd).unwrap();
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
            walk("spec", schema, &mut |path, s| {
                let closed = s.get("enum").is_some();
                let bounded = match s["type"].as_str() {
                    Some("string") => closed || s.get("maxLength").is_some() || s.get("format").is_some(),
                    Some("array") => s.get("maxItems").is_some(),
                    Some("object") if s.get("additionalProperties").is_some() => s.get("maxProperties").is_some(),
                    Some(_) => true,
                    None => false,
                };
                if !bounded {
                    wrong.push(format!("{kind} {path}: no bound or type: {s}"));
                }
                if !path.ends_with(']')
                    && !path.ends_with('*')
                    && path != "spec"
                    && s["description"].as_str().is_none_or(|d| d.len() < 3)
                {
                    wrong.push(format!("{kind} {path}: no description"));
                }
                if path.contains("[]") && s.get("default").is_some() {
                    wrong.push(format!("{kind} {path}: a default inside a list"));
                }
                if s["format"].as_str().is_some_and(|f| !["int32", "int64", "double", "date-time"].contains(&f)) {
                    wrong.push(format!("{kind} {path}: format {}", s["format"]));
                }
                for word in s["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if ["y", "n", "yes", "no", "on", "off", "true", "false"].contains(&word.to_lowercase().as_str()) {
                        wrong.push(format!("{kind} {path}: YAML 1.1 reads {word} as a boolean"));
                    }
                }
                for rule in s["x-kubernetes-validations"].as_array().into_iter().flatten() {
                    if rule["message"].as_str().is_none_or(str::is_empty) {
                        wrong.push(format!("{kind} {path}: a rule without words"));
                    }
                }
            });
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
