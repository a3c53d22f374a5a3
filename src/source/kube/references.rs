//! What a resource refers to, found by the words of its fields: one place for all kinds, those to come too.

use crate::compile::ObjectRef;
use serde_json::Value;
use std::collections::BTreeSet;

/// Secrets and `ConfigMaps` that a spec names.
#[must_use]
pub fn named_bodies(namespace: &str, spec: &Value) -> BTreeSet<ObjectRef> {
    let mut found = BTreeSet::new();
    walk(spec, &mut |field, name| {
        let kind = match field {
            "secretRef" | "basicAuthSecretRef" => "Secret",
            "configMap" | "ca" => "ConfigMap",
            _ => return,
        };
        found.insert(ObjectRef { kind: kind.into(), namespace: namespace.into(), name: name.into() });
    });
    found
}

/// Resources of ours that a funnel's spec names.
#[must_use]
pub fn named_resources(namespace: &str, spec: &Value) -> BTreeSet<ObjectRef> {
    let mut found = BTreeSet::new();
    walk(spec, &mut |field, name| {
        let kind = match field {
            "crmRef" => "CrmConnection",
            "policyRef" => "ContactPolicy",
            "listRef" => "ContentList",
            "ref" => "MessageChannel",
            _ => return,
        };
        found.insert(ObjectRef { kind: kind.into(), namespace: namespace.into(), name: name.into() });
    });
    found
}

/// Shows every member that holds an object with a name.
fn walk(value: &Value, see: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                if let Some(name) = inner.get("name").and_then(Value::as_str) {
                    see(field, name);
                }
                walk(inner, see);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{named_bodies, walk};
    use serde_json::{Value, json};

    /// Every member of our definitions whose description says that it names a Secret or a `ConfigMap` is one that is looked for.
    #[test]
    fn every_reference_of_the_definitions_is_known() {
        fn fields(schema: &Value, out: &mut Vec<(String, String)>) {
            for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let leaf = inner["properties"]["name"]["description"].as_str().unwrap_or_default();
                out.push((name.clone(), leaf.to_owned()));
                fields(inner, out);
            }
            if let Some(items) = schema.get("items") {
                fields(items, out);
            }
        }
        let mut seen = 0;
        for definition in crate::api::definitions() {
            let mut all = Vec::new();
            let definition = serde_json::to_value(definition).unwrap();
            fields(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut all);
            for (field, said) in all {
                let named = named_bodies("n", &json!({ &field: {"name": "x"} }));
                match said.split(',').next().unwrap() {
                    "Name of the Secret" => assert!(named.iter().any(|o| o.kind == "Secret"), "{field}"),
                    "Name of the ConfigMap" => assert!(named.iter().any(|o| o.kind == "ConfigMap"), "{field}"),
                    _ => continue,
                }
                seen += 1;
            }
        }
        assert!(seen >= 8, "{seen}");
        walk(&json!([{"a": {"name": "b"}}]), &mut |field, name| assert_eq!((field, name), ("a", "b")));
    }
}
