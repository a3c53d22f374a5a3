//! The definitions on a real API server: what it takes, what it refuses and in which words.

use crate::{control_plane, manifests};
use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

#[test]
fn every_example_is_taken() {
    let Some(plane) = control_plane::get() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for example in fs::read_dir(root).unwrap().flatten().filter(|f| f.path().is_dir()) {
        let namespace = plane.namespace();
        for file in fs::read_dir(example.path()).unwrap().flatten().filter(|f| f.path().extension().is_some_and(|e| e == "yaml")) {
            let text = fs::read_to_string(file.path()).unwrap().replace("namespace: marketing", &format!("namespace: {namespace}"));
            let text = text.lines().map(|line| {
                // Whatever namespace an example chose, here it has its own.
                match line.find("namespace: ") {
                    Some(at) if line.contains("metadata: {") => {
                        let rest = line[at..].find(['}', ',']).map_or("", |end| &line[at + end..]);
                        format!("{}namespace: {namespace}{rest}\n", &line[..at])
                    }
                    _ => format!("{line}\n"),
                }
            });
            let (taken, said) = plane.apply(&namespace, &text.collect::<String>());
            assert!(taken, "{}: {said}", file.path().display());
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}

/// What `rekindle validate` says of a manifest.
fn validate(manifest: &str) -> (bool, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rekindle"))
        .args(["validate", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

/// Broken manifests: a change of the small world, the path that both must name, and words of the API server that a person understands.
#[test]
fn what_one_object_proves_wrong_is_refused_here_as_it_is_offline() {
    let Some(plane) = control_plane::get() else { return };
    let namespace = plane.namespace();
    let world = format!("{}---\n{}", manifests::world(25), manifests::deals(1, false));
    let (taken, said) = plane.apply(&namespace, &world);
    assert!(taken, "{said}");
    for (from, to, path, words) in [
        ("sync: {every: 1s}", "sync: {every: 1 second}", "spec.sync.every", "should match"),
        ("sync: {every: 1s}", "snyc: {every: 1s}", "spec.snyc", "field not declared in schema"),
        ("type: File\n", "type: Bitrix\n", "spec.type", "supported values"),
        ("deals: {configMap: {name: deals, key: deals.csv}}", "deals: {}", "spec.file.deals", "set exactly one of configMap, path"),
        (
            "email: {from: {name: Sales, address: hello@news.example.com}}",
            "email: {from: {name: Sales, address: hello@news.example.com}}\n  sms: {from: ACME}",
            "spec",
            "set exactly one of sms, email",
        ),
        ("type: Smtp, smtp", "type: Kannel, smtp", "spec.providers[0]", "type and settings do not match"),
        ("rate: {perSecond: 10000, burst: 10000}", "rate: {perSecond: 0}", "spec.rate", "perSecond must be at least 0.01"),
        ("brand: acme", "brand: Acme Homes", "spec.brand", "should match"),
        ("from: \"00:00\"", "from: \"0:00\"", "spec.windows[0].from", "should match"),
        ("name: offer\n      email:", "name: Offer\n      email:", "spec.items[0].name", "should match"),
        (
            "        markdown: \"[See it]({{ links.offer }})\"\n",
            "",
            "spec.items[0].email",
            "set exactly one of markdown, html, bodyFrom",
        ),
        ("mode: Live", "mode: live", "spec.mode", "supported values"),
        ("policyRef: {name: default}", "policyRef: {}", "spec.policyRef", "Required value"),
        ("enter: [{lost: [price]}]", "enter: []", "spec.stages.warming[0].enter", "should have at least 1 items"),
    ] {
        assert!(world.matches(from).count() == 1, "{from:?} must stand in the manifests once");
        let broken = world.replace(from, to);
        let (taken, said) = plane.apply(&namespace, &broken);
        assert!(!taken && said.contains(words), "{to}: the API server says: {said}");
        let short = path.trim_start_matches("spec").trim_start_matches('.');
        assert!(said.contains(short), "{to}: {path} is not named: {said}");
        let (valid, said) = validate(&broken);
        assert!(!valid && said.contains(path), "{to}: validate says: {said}");
    }
}

#[test]
fn kubectl_explains_every_field() {
    let Some(plane) = control_plane::get() else { return };
    for kind in ["crmconnections", "messagechannels", "contactpolicies", "contentlists", "reactivationfunnels"] {
        for part in ["spec", "status"] {
            let text = plane.must(&["explain", &format!("{kind}.{part}")]);
            let fields = text.split("FIELDS:").nth(1).unwrap_or_default();
            assert!(!fields.contains("<no description>") && fields.contains('<'), "{kind}.{part}:\n{text}");
        }
    }
    let text = plane.must(&["explain", "funnel.status.lastDay.ambiguous"]);
    assert!(text.contains("Nobody can say whether the provider took them"), "{text}");
}
