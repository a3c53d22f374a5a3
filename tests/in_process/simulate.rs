//! What `simulate` predicts is what the workers, with a real store and channels that accept, then send: the same item to the same deal
//! in the same minute.

use crate::town::{Sent, Town, predict, predicted};
use jiff::{SignedDuration, Timestamp};
use rekindle::simulate::{Behaviour, Outcome, Report, World, diff};
use std::path::{Path, PathBuf};

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
    let (later, after) = predict(&new, from, 20, None).await;
    let difference = diff((&world, &quiet), (&later, &after));
    let moved = difference.items.iter().find(|i| i.item == "new-layouts").unwrap();
    assert!(!moved.later.is_empty() && moved.earlier.is_empty() && moved.gained.is_empty(), "{moved:?}");
    assert!(diff((&world, &quiet), (&world, &quiet)).items.is_empty());
}

/// The same days with SQLite and the workers.
async fn lived(folder: &Path, from: Timestamp, days: i64) -> Sent {
    let mut town = Town::open(folder, from).await;
    town.run(from + SignedDuration::from_hours(days * 24)).await;
    town.sent().await
}

#[tokio::test]
async fn what_is_predicted_is_what_is_sent() {
    let from: Timestamp = "2026-11-20T06:00:00Z".parse().unwrap();
    // As it is; and with a channel so slow that messages push each other out of their minutes.
    for (name, rate) in [("as-it-is", "perSecond: 20"), ("slow", "perSecond: 0.02")] {
        let home = tempfile::tempdir().unwrap();
        let folder = folder(&home.path().join(name), |text| text.replace("perSecond: 20", rate));
        let (world, outcome) = predict(&folder, from, 14, None).await;
        let (predicted, sent) = (predicted(&world, &outcome), lived(&folder, from, 14).await);
        let wrong: Vec<_> = predicted.symmetric_difference(&sent).collect();
        assert!(wrong.is_empty(), "{name}: {} of {} differ, like {:?}", wrong.len(), sent.len(), &wrong[..wrong.len().min(6)]);
        assert!(sent.len() > 100, "{name}: only {} were sent", sent.len());
        let held_up: u64 = outcome.held_up.iter().map(|(times, _)| times).sum();
        assert_eq!(held_up > 0, name == "slow", "{name}: {held_up} held up");
        // What is needed is said of what wants to leave, not of what the rate lets through.
        for channel in Report::of(&outcome, &world).capacity {
            let enough = channel.needed_per_second <= channel.per_second;
            assert_eq!(enough, name != "slow" || channel.held_up == 0, "{name}: {channel:?}");
        }
    }
}
