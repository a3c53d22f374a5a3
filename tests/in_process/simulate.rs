//! What `simulate` predicts is what the workers, with a real store and channels that accept, then send: the same item to the same deal
//! in the same minute.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rekindle::{
    compile::{Snapshot, compile, compile_funnel},
    engine::Plan,
    model::Mode,
    simulate::{Behaviour, Outcome, Question, Report, Run, World, diff, sources},
    source::{Admission, Folder},
    store::{Store, Views},
    workers::{Clock, Engine, EngineMetrics, EngineSettings, Live},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// (deal, item, minute)
type Sent = BTreeSet<(String, String, String)>;

/// The example of a property developer in a folder of its own, live, with `edit` made to its files.
fn folder(home: &Path, edit: impl Fn(&str) -> String) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/property-developer");
    let data = home.join("data");
    std::fs::create_dir_all(&data).unwrap();
    for file in std::fs::read_dir(from.join("data")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), data.join(file.file_name())).unwrap();
    }
    for file in std::fs::read_dir(&from).unwrap().map(|f| f.unwrap().path()) {
        if file.extension().is_some_and(|e| e == "yaml") {
            let text = std::fs::read_to_string(&file).unwrap().replace("mode: Observe", "mode: Live");
            std::fs::write(home.join(file.file_name().unwrap()), edit(&text)).unwrap();
        }
    }
    home.to_owned()
}

fn snapshot(folder: &Path) -> Snapshot {
    let admission = Admission::of_this_version();
    admission.admit(&Folder::new(folder, admission.kinds()).load().unwrap()).snapshot
}

async fn predict(folder: &Path, from: Timestamp, days: i64, behaviour: Option<Behaviour>) -> (World, Outcome) {
    let compiled = compile(&snapshot(folder));
    let lives: Vec<(Live, bool)> =
        compiled.funnels.values().map(|s| (Live::from(compile_funnel(s, 1, from).unwrap()), false)).collect();
    let plans: Vec<&Plan> = lives.iter().map(|(live, _)| &*live.plan).collect();
    assert!(plans.iter().all(|p| p.mode == Mode::Live));
    let connections: BTreeSet<String> = sources(plans.into_iter()).into_values().collect();
    let world = World::from_files(&compiled.wiring, &connections, None, from, &|_| ()).await.unwrap();
    let until = from + SignedDuration::from_hours(days * 24);
    let question = Question { from, until, seed: 7, behaviour, base_url: "https://go.example.com".into() };
    let outcome = Run::new(&world, lives, &compiled.wiring, question).live(&world, &|_, _| ());
    (world, outcome)
}

fn predicted(world: &World, outcome: &Outcome) -> Sent {
    let one = |sent: &rekindle::simulate::Sent| {
        let item = &outcome.run.items[usize::from(sent.item)];
        (world.deal_id(sent.deal), format!("{}/{}", item.list, item.item), minute(sent.at))
    };
    outcome.tally.sent.iter().map(one).collect()
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_and_a_later_item_moves() {
    let home = tempfile::tempdir().unwrap();
    let old = folder(&home.path().join("old"), str::to_owned);
    let new = folder(&home.path().join("new"), |text| text.replacen("after: 3d", "after: 4d", 1));
    let from: Timestamp = "2026-11-20T06:00:00Z".parse().unwrap();
    let behaviour = Behaviour::parse("all: {click: 20%, answer: 5%, unsubscribe: 2%}", "behaviour.yaml").unwrap();
    let (world, before) = predict(&old, from, 20, Some(behaviour.clone())).await;
    let (again, twice) = predict(&old, from, 20, Some(behaviour)).await;
    let json = |world: &World, outcome: &Outcome| serde_json::to_string(&Report::of(outcome, world)).unwrap();
    assert_eq!(json(&world, &before), json(&again, &twice));
    let report = Report::of(&before, &world);
    assert!(report.messages > 100 && report.clicks > 10 && report.answers > 0, "{} messages", report.messages);

    let (_, quiet) = predict(&old, from, 20, None).await;
    let (_, after) = predict(&new, from, 20, None).await;
    let difference = diff(&world, &quiet, &after);
    let moved = difference.items.iter().find(|i| i.item == "new-layouts").unwrap();
    assert!(!moved.later.is_empty() && moved.earlier.is_empty() && moved.gained.is_empty(), "{moved:?}");
    assert!(diff(&world, &quiet, &quiet).items.is_empty());
}
