//! What an edit means for those on their way, as docs/semantics.md tells it, through a real store: published, replanned, sent. The rows
//! themselves are tested beside the engine (`src/engine/tests/live_edits.rs`); here is what a client gets.

use crate::town::{BASE, CONTACTS, DEALS, Town, contact, funnel, lost, open};
use jiff::{SignedDuration, Timestamp};

const LIST: &str = "    - {name: one, title: One, after: 1d, sms: {text: \"one\"}}\n    - {name: two, title: Two, after: 1d, sms: {text: \"two\"}}\n";

/// One client, lost on Monday, 9:00 in Moscow; messages on Tuesday, Wednesday and Thursday at 10:00. `at`: when the edit is made.
async fn gets(at: &str, from: &str, to: &str) -> Vec<String> {
    let contacts = CONTACTS.to_owned() + &contact(1);
    let before = DEALS.to_owned() + &open(1, 1, "2026-03-01");
    let manifests = format!("{BASE}{}", funnel("flats", ""));
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &before)];
    let monday: Timestamp = "2026-03-02T05:59:30Z".parse().unwrap();
    let mut town = Town::with(&files, monday).await;
    town.every = SignedDuration::from_hours(1);
    std::fs::write(town.folder.join("deals.csv"), DEALS.to_owned() + &lost(1, 1, "2026-03-02")).unwrap();
    town.run(at.parse().unwrap()).await;
    let before = town.sent().await.len();
    town.edit("all.yaml", from, to).await;
    let published = town.sent().await.len();
    assert!(published == before || to.contains("after: 1h"), "publishing itself sends nothing");
    town.run(monday + SignedDuration::from_hours(24 * 17)).await;
    let mut sent: Vec<(String, String)> = town.sent().await.into_iter().map(|(_, item, at)| (at, item)).collect();
    sent.sort();
    sent.into_iter().map(|(at, item)| format!("{} {}", &at[8..], item.split_once('/').unwrap().1)).collect()
}

#[tokio::test]
async fn what_a_client_gets_after_an_edit() {
    // 10:00 in Moscow is 07:00 UTC. The edit is made on Tuesday at 11:00, when the first message is out, unless said otherwise.
    let tuesday = "2026-03-03T08:00:00Z";
    let wednesday = "2026-03-04T08:00:00Z";
    let after_all = "2026-03-05T08:00:00Z";
    let two = "name: two, title: Two, after: 1d";
    let with = |item: &str, before: &str| LIST.replace(before, &format!("    - {{{item}, sms: {{text: \"extra\"}}}}\n{before}"));
    let extra = "name: extra, title: Extra, after: 2h";
    let before_one = "    - {name: one,";
    let before_two = "    - {name: two,";
    let three = "    - {name: three, title: Three, after: 1d, sms: {text: \"three\"}}\n";
    let four = format!("{three}    - {{name: four, title: Four, after: 1d, sms: {{text: \"four\"}}}}\n");
    let without_two = LIST.lines().next().unwrap().to_owned() + "\n";
    let renamed = LIST.replace("name: one,", "name: uno,");
    let cases: &[(&str, &str, &str, &str, &[&str])] = &[
        ("title", tuesday, "title: One,", "title: First,", &["03 07:00 one", "04 07:00 two", "05 07:00 three"]),
        ("later", tuesday, two, "name: two, title: Two, after: 3d", &["03 07:00 one", "06 07:00 two", "07 07:00 three"]),
        // Overdue by the edit, and released as `overdue` says: over `spread`, which is nothing here.
        ("sooner", tuesday, two, "name: two, title: Two, after: 1h", &["03 07:00 one", "03 08:00 two", "04 08:00 three"]),
        (
            "inserted in front",
            tuesday,
            LIST,
            &with(extra, before_two),
            &["03 07:00 one", "03 09:00 extra", "04 09:00 two", "05 09:00 three"],
        ),
        ("inserted behind", tuesday, LIST, &with(extra, before_one), &["03 07:00 one", "04 07:00 two", "05 07:00 three"]),
        ("appended", after_all, three, &four, &["03 07:00 one", "04 07:00 two", "05 07:00 three", "06 07:00 four"]),
        ("removed", tuesday, LIST, &without_two, &["03 07:00 one", "04 07:00 three"]),
        ("all that were sent removed", wednesday, LIST, "", &["03 07:00 one", "04 07:00 two", "05 07:00 three"]),
        ("renamed", tuesday, LIST, &renamed, &["03 07:00 one", "04 07:00 uno", "05 07:00 two", "06 07:00 three"]),
        ("window", tuesday, "from: \"10:00\"", "from: \"14:00\"", &["03 07:00 one", "04 11:00 two", "05 11:00 three"]),
        (
            "cap",
            tuesday,
            "  spread: 0s",
            "  spread: 0s\n  caps: [{atMost: 1, per: Week}]",
            &["03 07:00 one", "09 07:00 two", "16 07:00 three"],
        ),
        ("stage trigger", tuesday, "{lost: []}", "{lost: [other]}", &["03 07:00 one"]),
        ("channel", tuesday, "from: NOVYDOM", "from: NOVY", &["03 07:00 one", "04 07:00 two", "05 07:00 three"]),
        ("suspended", tuesday, "  mode: Live", "  mode: Live\n  suspend: true", &["03 07:00 one"]),
    ];
    let mut wrong = Vec::new();
    for (what, at, from, to, want) in cases {
        let got = gets(at, from, to).await;
        if got != *want {
            wrong.push(format!("{what}: {got:?} instead of {want:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nobody touched the deal: it was reopened by nobody, and the list does not begin again.
#[tokio::test]
async fn a_stalled_deal_hears_nothing_twice_when_its_trigger_is_edited_and_put_back() {
    let contacts = CONTACTS.to_owned() + &contact(1);
    let deals = DEALS.to_owned() + &open(1, 1, "2026-02-10");
    let trigger = "enter: [{inactivity: 5d}]";
    let manifests = format!("{BASE}{}", funnel("flats", "  reentry: {always: true}"))
        .replace(trigger, &format!("{trigger}, content: [{{listRef: {{name: warm}}}}]"));
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &deals)];
    let mut town = Town::with(&files, "2026-03-02T05:59:30Z".parse().unwrap()).await;
    town.every = SignedDuration::from_hours(1);
    town.run("2026-03-04T08:00:00Z".parse().unwrap()).await;
    assert_eq!(town.sent().await.len(), 2);
    town.edit("all.yaml", trigger, "enter: [{inactivity: 60d}]").await;
    let story = town.story("flats", "d1").await;
    assert!(story.iter().any(|line| line.contains("no trigger holds any more")), "{story:?}");
    town.edit("all.yaml", "enter: [{inactivity: 60d}]", trigger).await;
    town.run("2026-03-20T08:00:00Z".parse().unwrap()).await;
    let sent: Vec<String> = town.sent().await.into_iter().map(|(_, item, _)| item).collect();
    assert_eq!(sent, ["warm/one", "warm/three", "warm/two"]);
    assert_eq!(town.counts("flats").await.assisted, 0);
}

/// Who stops a funnel whose list somebody has just broken is obeyed at once, and so is who takes the stop back before it is repaired.
#[tokio::test]
async fn a_stop_holds_although_the_rest_of_the_edit_does_not() {
    let stops = [
        ("  mode: Live", "  mode: Live\n  suspend: true", "spec.suspend is true"),
        ("  spread: 0s", "  spread: 0s\n  paused: true", "its ContactPolicy is paused"),
        ("  mode: Live", "  mode: Observe", "spec.mode is Observe"),
    ];
    for (from, to, why) in stops {
        let contacts = CONTACTS.to_owned() + &contact(1);
        let before = DEALS.to_owned() + &open(1, 1, "2026-03-01");
        let manifests = format!("{BASE}{}", funnel("flats", ""));
        let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &before)];
        let mut town = Town::with(&files, "2026-03-02T05:59:30Z".parse().unwrap()).await;
        std::fs::write(town.folder.join("deals.csv"), DEALS.to_owned() + &lost(1, 1, "2026-03-02")).unwrap();
        town.run("2026-03-03T08:00:00Z".parse().unwrap()).await;
        assert_eq!(town.sent().await.len(), 1, "{why}");
        let broken = manifests.replace("text: \"three\"", "text: \"{{ client.nobody }}\"");
        let publish = async |text: &str| {
            std::fs::write(town.folder.join("all.yaml"), text).unwrap();
            let published = town.engine.publish(&crate::town::snapshot(&town.folder), None).await.unwrap();
            assert!(published.findings.iter().any(rekindle::compile::Finding::is_error) && published.kept.len() == 1, "{why}");
            town.engine.settle().await.unwrap();
            (published.kept[0].1, published.stopped.into_values().flatten().collect::<Vec<_>>())
        };
        assert_eq!(publish(&broken).await, (Some(1), vec![]), "{why}");
        let stopped = broken.replace(from, to);
        assert_eq!(publish(&stopped).await, (Some(2), vec![why]));
        assert_eq!(publish(&stopped).await, (Some(2), vec![why]), "once");
        town.run("2026-03-05T08:00:00Z".parse().unwrap()).await;
        assert_eq!(town.sent().await.len(), 1, "{why}");
        std::fs::write(town.folder.join("all.yaml"), &broken).unwrap();
        let published = town.engine.publish(&crate::town::snapshot(&town.folder), None).await.unwrap();
        assert!(published.kept.len() == 1 && published.stopped.is_empty(), "{why}");
        town.run("2026-03-20T08:00:00Z".parse().unwrap()).await;
        let sent: Vec<String> = town.sent().await.into_iter().map(|(_, item, _)| item).collect();
        assert_eq!(sent, ["warm/one", "warm/three", "warm/two"], "{why}: its last good texts");
    }
    // An edit that is broken elsewhere never makes a funnel send that only observed.
    let observing = format!("{BASE}{}", funnel("flats", "")).replace("  mode: Live", "  mode: Observe");
    let town = Town::with(
        &[("all.yaml", observing.as_str()), ("contacts.csv", CONTACTS), ("deals.csv", DEALS)],
        "2026-03-02T05:59:30Z".parse().unwrap(),
    )
    .await;
    let broken = observing.replace("  mode: Observe", "  mode: Live").replace("text: \"three\"", "text: \"{{ client.nobody }}\"");
    std::fs::write(town.folder.join("all.yaml"), broken).unwrap();
    let published = town.engine.publish(&crate::town::snapshot(&town.folder), None).await.unwrap();
    assert_eq!(published.kept[0].1, Some(1));
    assert!(town.engine.plans().0.values().all(|live| live.plan.mode == rekindle::model::Mode::Observe));
}

/// The operator watches several namespaces and may not read one of them any more: its funnels are not known to be deleted.
#[tokio::test]
async fn a_namespace_that_cannot_be_read_goes_on_and_one_that_is_read_empty_stops() {
    let contacts = CONTACTS.to_owned() + &contact(1);
    let before = DEALS.to_owned() + &open(1, 1, "2026-03-01");
    let manifests = format!("{BASE}{}", funnel("flats", ""));
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &before)];
    let mut town = Town::with(&files, "2026-03-02T05:59:30Z".parse().unwrap()).await;
    std::fs::write(town.folder.join("deals.csv"), DEALS.to_owned() + &lost(1, 1, "2026-03-02")).unwrap();
    town.run("2026-03-03T08:00:00Z".parse().unwrap()).await;
    assert_eq!(town.sent().await.len(), 1);
    let key = town.engine.plans().0.keys().next().unwrap().clone();
    let (nothing, none) = (rekindle::compile::Snapshot::default(), std::collections::BTreeSet::new());
    let unread = [key.namespace.clone()].into();
    let published = town.engine.publish_beside(&nothing, Some(&none), &unread).await.unwrap();
    assert_eq!((published.kept, published.retired), (vec![(key.clone(), Some(1))], vec![]));
    town.run("2026-03-04T08:00:00Z".parse().unwrap()).await;
    assert_eq!(town.sent().await.len(), 2, "the second message is due all the same");
    let published = town.engine.publish(&nothing, Some(&none)).await.unwrap();
    assert_eq!((published.kept, published.retired), (vec![], vec![key]));
    town.run("2026-03-06T08:00:00Z".parse().unwrap()).await;
    assert_eq!(town.sent().await.len(), 2, "deleted");
}
