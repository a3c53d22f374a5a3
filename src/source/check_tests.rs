use super::{Admission, Admitted};
use crate::source::load_text;
use serde_json::json;
use std::path::Path;

fn admit(text: &str) -> Admitted {
    let admission = Admission::of_this_version();
    admission.admit(&load_text(Path::new("m.yaml"), text.as_bytes(), &admission.kinds()))
}

fn head(kind: &str) -> String {
    format!("apiVersion: rekindle.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: x, namespace: marketing}}\n")
}

const ITEM: &str = "{name: a, after: 3d, sms: {text: Hi}}";

#[test]
fn every_rule_of_our_definitions_can_be_judged_here() {
    let admission = Admission::of_this_version();
    assert_eq!(admission.kinds().len(), 5);
    let mut rules = 0;
    let mut stack: Vec<&serde_json::Value> = admission.schemas.values().collect();
    while let Some(schema) = stack.pop() {
        for rule in schema.get("x-kubernetes-validations").and_then(|r| r.as_array()).into_iter().flatten() {
            cel::Env::stdlib().compile(rule["rule"].as_str().unwrap()).unwrap();
            rules += 1;
        }
        if let Some(pattern) = schema.get("pattern").and_then(|p| p.as_str()) {
            regex::Regex::new(pattern).unwrap();
        }
        match schema {
            serde_json::Value::Object(fields) => stack.extend(fields.values()),
            serde_json::Value::Array(items) => stack.extend(items),
            _ => {}
        }
    }
    assert!(rules > 5);
}

#[test]
fn says_what_the_api_server_would_refuse() {
    let mut wrong = Vec::new();
    let list = head("ContentList");
    for (manifest, said) in [
        (format!("{list}spec: {{title: T, items: [{ITEM}], itms: 1}}"), "m.yaml:4: spec.itms: there is no such field; did you mean items?"),
        (format!("{list}sepc: {{}}\nspec: {{title: T, items: [{ITEM}]}}"), "m.yaml:4: sepc: there is no such field; did you mean spec?"),
        (format!("{list}spec:\n  title: yes\n  items: [{ITEM}]\n"), "m.yaml:5: spec.title: YAML reads yes as true, text is wanted; put it in quotes: \"yes\""),
        (format!("{list}spec:\n  title: 0777\n  items: [{ITEM}]\n"), "m.yaml:5: spec.title: 0777 is a number, text is wanted; put it in quotes: \"0777\""),
        (format!("{list}spec:\n  title: T\n  items:\n  - name: a\n    after: 3\n    sms: {{text: Hi}}\n"), "m.yaml:8: spec.items[0].after: 3 is a number, text is wanted; write a duration, like 30m, 12h, 3d, 2w or 1d12h"),
        (format!("{list}spec:\n  title: T\n  items:\n  - {ITEM}\n  - {{name: New Layouts, after: 3d, sms: {{text: Hi}}}}\n"), "m.yaml:8: spec.items[1].name: \"New Layouts\" is not a name; write new-layouts"),
        (format!("{list}spec:\n  title: T\n  items:\n  - {ITEM}\n  - {ITEM}\n"), "m.yaml:8: spec.items[1].name: name \"a\" is already used by spec.items[0]; choose another one"),
        (format!("{list}spec:\n  title: T\n  items:\n  - {{name: a, after: 3d}}\n"), "m.yaml:7: spec.items[0]: set exactly one of sms, email"),
        (format!("{list}spec:\n  title: T\n  items:\n  - {{name: a, after: 3d, sms: {{text: Hi}}, email: {{subject: S, markdown: M}}}}\n"), "m.yaml:7: spec.items[0]: set exactly one of sms, email"),
        (format!("{list}spec:\n  title: T\n  items:\n  - {{name: a, after: 3d, email: {{subject: S}}}}\n"), "m.yaml:7: spec.items[0].email: set exactly one of markdown, html, bodyFrom"),
        (format!("{list}spec:\n  title: T\n  items: {ITEM}\n"), "m.yaml:6: spec.items: this is a group of fields, a list is wanted; begin each entry with -"),
        (format!("{list}spec:\n  title: T\n  items:\n  - {{name: a, after: 3d, days: [Mon, tue], sms: {{text: Hi}}}}\n"), "m.yaml:7: spec.items[0].days[1]: \"tue\" is not possible here; did you mean Tue? Possible are Mon, Tue, Wed, Thu, Fri, Sat, Sun"),
        (format!("{list}spec:\n  title: T\n  items:\n  - {{name: a, after: 3d, at: 9:30, sms: {{text: Hi}}}}\n"), "m.yaml:7: spec.items[0].at: \"9:30\" is not a time of day; write 09:30"),
        (format!("{list}spec:\n  items:\n  -\n"), "m.yaml:6: spec.items[0]: is empty; write a value here or remove it"),
        ("apiVersion: rekindle.dev/v1alpha1\nkind: ContentList\nmetadata: {name: New, labels: {a: yes}}\nspec: {title: T, items: []}\n".into(), "m.yaml:3: metadata.name: \"New\" is not a name; write new"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {port: 5}\n".into(), "m.yaml:4: data.port: 5 is a number, text is wanted; put it in quotes: \"5\""),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: c}\nstringData: {pass: 12345}\n".into(), "m.yaml:4: stringData.pass: the value is a number, text is wanted; put it in quotes"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: c}\ndata: {pass: hunter2!}\n".into(), "m.yaml:4: data.pass: the value does not have the form that is needed here; it is: Base64; plain text stands in stringData"),
        (format!("{}spec: {{brand: b, timeZone: Europe/Moscow, caps: [{{atMost: 3000000000, per: Week}}]}}\n", head("ContactPolicy")), "m.yaml:4: spec.caps[0].atMost: 3000000000 is too large; write at most "),
    ] {
        let admitted = admit(&manifest);
        let all: Vec<String> = admitted.problems.iter().map(ToString::to_string).collect();
        if !all.iter().any(|line| line.starts_with(said)) {
            wrong.push(format!("{manifest}\nwants {said}\nsays  {all:#?}"));
        }
        assert!(admitted.snapshot.objects.is_empty(), "a refused object must not be admitted");
        assert!(!all.iter().any(|line| line.contains("hunter2") || line.contains("12345")), "a secret in {all:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn admits_what_the_api_server_would_store() {
    let admitted =
        admit(&format!("{}spec:\n  title: T\n  overdue:\n  items:\n  - {ITEM}\nstatus: {{anything: 1}}\n", head("ContentList")));
    assert!(admitted.problems.is_empty(), "{:?}", admitted.problems);
    let object = &admitted.snapshot.objects[0];
    assert_eq!((object.kind.as_str(), object.namespace.as_str(), object.name.as_str()), ("ContentList", "marketing", "x"));
    assert_eq!(object.value["spec"]["items"], json!([{"name": "a", "after": "3d", "sms": {"text": "Hi"}}]));
    // What somebody wrote into the status is dropped; its default says that nobody has looked yet.
    assert_eq!(object.value.get("status"), Some(&json!({"observedGeneration": -1})));
    let secret = admit("apiVersion: v1\nkind: Secret\nmetadata: {name: c}\ndata: {a: aGVsbG8=, b: ''}\nstringData: {c: d}\n");
    assert_eq!(secret.snapshot.objects[0].value["metadata"]["namespace"], "default");
}

#[test]
fn two_objects_with_one_name_are_refused() {
    let list = format!("{}spec: {{title: T, items: [{ITEM}]}}\n", head("ContentList"));
    let said: Vec<String> = admit(&format!("{list}---\n{list}")).problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "m.yaml:8: metadata.name: ContentList \"x\" is already declared in m.yaml:1; remove one of the two or choose another name"
        ]
    );
}
