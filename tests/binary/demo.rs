//! The demo's figures are its promise: checked as a user would read them.

use crate::harness::BINARY;
use serde_json::Value;
use std::process::Command;

fn demo(seed: &str) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.html");
    let out = Command::new(BINARY)
        .args(["demo", "--days", "12", "--deals", "400", "-o", "json", "--seed", seed, "--report"])
        .arg(&report)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let html = std::fs::read_to_string(&report).unwrap();
    assert!(html.contains("<svg") && !html.contains("<script"), "one self-contained page");
    let mut figures: Value = serde_json::from_slice(&out.stdout).unwrap();
    figures.as_object_mut().unwrap().remove("seconds");
    figures
}

#[test]
fn the_same_seed_gives_the_same_figures_and_every_promise_holds() {
    let first = demo("7");
    for zero in ["duplicates", "lost", "suppressedSends", "ambiguous"] {
        assert_eq!(first[zero], 0, "{zero}: {first}");
    }
    for some in ["/sent/sms", "/sent/email", "/clicks/human", "/tasks", "/revived"] {
        assert!(first.pointer(some).and_then(Value::as_u64).is_some_and(|n| n > 0), "{some}: {first}");
    }
    assert_eq!(first, demo("7"));
    assert_ne!(first, demo("8"));
}
