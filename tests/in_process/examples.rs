//! Every example is valid, runs, and means what it says. Time is virtual; nothing leaves, since the examples observe.

use jiff::{SignedDuration, Timestamp};
use rekindle::{
    compile::{Severity, compile},
    model::{FunnelKey, Role},
    source::{Admission, Folder},
    store::{FunnelCounts, Store},
    workers::{Clock, Engine, EngineMetrics, EngineSettings},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Lives `days` with an example from `from` on, hour by hour, and counts.
async fn live(name: &str, from: &str, days: i64) -> FunnelCounts {
    let admission = Admission::of_this_version();
    let loaded = Folder::new(example(name), admission.kinds()).load().unwrap();
    let admitted = admission.admit(&loaded);
    let problems = admitted.problems(compile(&admitted.snapshot).findings, &loaded);
    let errors: Vec<String> = problems.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");

    let clock = Clock::virtual_at(from.parse().unwrap());
    let store = Store::open("memory:").await.unwrap();
    let metrics = EngineMetrics::new(&mut prometheus_client::registry::Registry::default());
    let settings = EngineSettings { lease: Duration::from_hours(1), ..EngineSettings::default() };
    let engine = Engine::new(store.journal.clone(), clock.clone(), settings, metrics);
    assert!(engine.hold_lease().await.unwrap());
    let published = engine.publish(&admitted.snapshot, Some(&BTreeSet::new())).await.unwrap();
    let [(funnel, revision, _)] = &published.funnels[..] else { panic!("{name}: {published:?}") };
    assert_eq!(*revision, 1);
    engine.settle().await.unwrap();
    for hour in 1..=days * 24 {
        let now: Timestamp = from.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour);
        clock.advance(now);
        engine.settle().await.unwrap();
    }
    counts(&store, funnel, &clock).await
}

async fn counts(store: &Store, funnel: &FunnelKey, clock: &Clock) -> FunnelCounts {
    store.views.counts(funnel, None, clock.now()).await.unwrap()
}

fn in_role(counts: &FunnelCounts, role: Role) -> u64 {
    counts.stages.iter().filter(|s| s.role == role).map(|s| s.deals).sum()
}

fn all(counts: &FunnelCounts) -> u64 {
    counts.stages.iter().map(|s| s.deals).sum()
}

#[tokio::test]
async fn property_developer() {
    let counts = live("property-developer", "2026-11-20T06:00:00Z", 12).await;
    assert_eq!(all(&counts), 300, "{counts:?}");
    assert!(in_role(&counts, Role::Warming) > 20, "lost deals are warmed: {counts:?}");
    assert!(in_role(&counts, Role::Stalled) > 5, "forgotten ones stall: {counts:?}");
}

#[tokio::test]
async fn dental_clinic() {
    let counts = live("dental-clinic", "2026-11-20T06:00:00Z", 5).await;
    assert_eq!(all(&counts), 150, "{counts:?}");
    assert!(in_role(&counts, Role::Customer) > 20, "patients stay: {counts:?}");
    assert!(in_role(&counts, Role::Warming) > 5, "those not seen for three months are warmed: {counts:?}");
}

#[tokio::test]
async fn b2b_on_8800_real_opportunities() {
    let counts = live("b2b-90-120", "2018-01-15T09:00:00Z", 1).await;
    assert_eq!(all(&counts), 8800, "{counts:?}");
    assert_eq!(in_role(&counts, Role::Archived), 4238, "won deals leave: {counts:?}");
    let lost = in_role(&counts, Role::Warming) + in_role(&counts, Role::Backfill) + in_role(&counts, Role::NotWarmed);
    assert_eq!(lost, 2473, "{counts:?}");
}

/// A file that `run -f` reads must mean exactly what `kubectl apply` makes of it.
#[test]
fn kubectl_reads_the_examples_as_we_do() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        eprintln!("SKIPPED: kubectl is not installed, so the examples are not compared with its reader");
        return;
    }
    for name in ["property-developer", "dental-clinic", "b2b-90-120"] {
        let mut files: Vec<PathBuf> = std::fs::read_dir(example(name)).unwrap().map(|e| e.unwrap().path()).collect();
        files.retain(|p| p.extension().is_some_and(|e| e == "yaml"));
        for file in files {
            let out = Command::new("kubectl")
                .args(["label", "--local", "--dry-run=client", "-o", "json", "probe=1", "-f"])
                .arg(&file)
                .output()
                .unwrap();
            assert!(out.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&out.stderr));
            let theirs: Vec<serde_json::Value> =
                serde_json::Deserializer::from_slice(&out.stdout).into_iter().collect::<Result<_, _>>().unwrap();
            let ours = rekindle::source::parse(&std::fs::read(&file).unwrap()).unwrap();
            assert_eq!(ours.len(), theirs.len(), "{}", file.display());
            for (ours, mut theirs) in ours.iter().zip(theirs) {
                theirs["metadata"].as_object_mut().unwrap().remove("labels");
                assert_eq!(ours.to_json(), theirs, "{}", file.display());
            }
        }
    }
}
