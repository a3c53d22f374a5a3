//! The rules by which `kubectl wait`, Flux and Argo CD read an object (kstatus of cli-utils).

use crate::operator::condition;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kstatus {
    InProgress,
    Failed,
    Current,
    Terminating,
    NotFound,
}

pub fn of(object: &Value) -> Kstatus {
    if object.is_null() {
        return Kstatus::NotFound;
    }
    if object["metadata"].get("deletionTimestamp").is_some() {
        return Kstatus::Terminating;
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return Kstatus::InProgress;
    }
    if condition(object, "Reconciling")[0] == "True" {
        return Kstatus::InProgress;
    }
    if condition(object, "Stalled")[0] == "True" {
        return Kstatus::Failed;
    }
    if matches!(condition(object, "Ready")[0].as_str(), "False" | "Unknown") {
        return Kstatus::InProgress;
    }
    Kstatus::Current
}

#[test]
fn the_rules() {
    let with = |kind: &str, status: &str| json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": [{"type": kind, "status": status}]}});
    assert_eq!(of(&with("Ready", "True")), Kstatus::Current);
    assert_eq!(of(&with("Ready", "False")), Kstatus::InProgress);
    assert_eq!(of(&with("Stalled", "True")), Kstatus::Failed);
    assert_eq!(of(&with("Reconciling", "True")), Kstatus::InProgress);
    assert_eq!(of(&json!({"metadata": {"generation": 2}, "status": {"observedGeneration": -1}})), Kstatus::InProgress);
}
