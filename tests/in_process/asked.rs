//! What `rekindle simulate --store` and `rekindle diff --store` say of a town: the real command on the store of a running engine.

use crate::town::{BASE, CONTACTS, DEALS, Town, contact, funnel, lost, open};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// One of the two commands on a folder or two, as JSON.
pub fn ask(command: &str, folders: &[&Path], args: &[&str]) -> Value {
    let mut asked = Command::new(env!("CARGO_BIN_EXE_rekindle"));
    asked.arg(command).args(["-o", "json"]).args(args);
    for folder in folders {
        asked.arg("-f").arg(folder);
    }
    let out = asked.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Files in a folder of their own: the town's, edited.
fn edited(town: &Town, edit: impl Fn(&str) -> String) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for name in ["contacts.csv", "deals.csv"] {
        std::fs::copy(town.folder.join(name), home.path().join(name)).unwrap();
    }
    let text = std::fs::read_to_string(town.folder.join("all.yaml")).unwrap();
    let new = edit(&text);
    std::fs::write(home.path().join("all.yaml"), new).unwrap();
    home
}

fn store(town: &Town) -> String {
    format!("sqlite:{}", town.folder.join("run.db").display())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// `n` clients whose deals are open on the first of March and lost on Monday the second at 12:00 in Moscow. `edit` is made to the
/// manifests before they are put in force.
async fn town(n: u32, until: &str, edit: impl Fn(String) -> String) -> Town {
    let (mut contacts, mut before, mut after) = (CONTACTS.to_owned(), DEALS.to_owned(), DEALS.to_owned());
    for k in 1..=n {
        contacts += &contact(k);
        before += &open(k, k, "2026-03-01");
        after += &lost(k, k, "2026-03-02");
    }
    let manifests = edit(format!("{BASE}{}", funnel("flats", "")));
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &before)];
    let mut town = Town::with(&files, at("2026-03-02T05:59:30Z")).await;
    town.run(at("2026-03-02T09:30:00Z")).await;
    std::fs::write(town.folder.join("deals.csv"), after).unwrap();
    town.run(at(until)).await;
    town
}

fn sum(report: &Value) -> (i64, Vec<(String, i64)>) {
    let items = report["items"].as_array().unwrap().iter();
    let items = items.map(|i| (i["item"].as_str().unwrap().to_owned(), i["messages"].as_i64().unwrap())).collect();
    (report["messages"].as_i64().unwrap(), items)
}

/// What somebody got through one funnel counts for the caps of another, whatever the new one is called.
#[tokio::test]
async fn a_new_funnel_knows_what_was_sent_before() {
    let capped = |text: String| text.replace("  spread: 0s\n", "  spread: 0s\n  caps: [{atMost: 1, per: 30d}]\n");
    let town = town(3, "2026-03-03T12:00:00Z", capped).await;
    assert_eq!(town.sent().await.len(), 3);
    let list = BASE.split("---").find(|d| d.contains("ContentList")).unwrap().replace("{name: warm,", "{name: other,");
    for name in ["aaa", "zzz"] {
        let new = funnel(name, "  backfill: {lostWithin: 90d, perDay: 1000}").replace("{name: warm}", "{name: other}");
        let folder = edited(&town, |text| format!("{text}{new}\n---{list}"));
        let args = ["--store", &store(&town), "--from", "2026-03-03T12:00:00Z", "--days", "10"];
        let report = ask("simulate", &[folder.path()], &args);
        assert_eq!(sum(&report).0, 0, "{name}: {report}");
    }
}

/// Who waited before is told as well, from the first moment on.
#[tokio::test]
async fn who_waits_in_the_store_waits() {
    let capped = |text: String| text.replace("  spread: 0s\n", "  spread: 0s\n  caps: [{atMost: 1, per: 30d}]\n");
    let town = town(3, "2026-03-05T12:00:00Z", capped).await;
    let report = ask("simulate", &[&town.folder], &["--store", &store(&town), "--from", "2026-03-05T12:00:00Z", "--days", "5"]);
    assert_eq!(sum(&report).0, 0, "{report}");
    let waits = &report["postponed"][0];
    assert_eq!(
        (&waits["reason"], &waits["times"], &waits["stillWaiting"]),
        (&"CapReached".into(), &3.into(), &3.into()),
        "{report}"
    );
    assert_eq!(waits["longestHours"], 120.0, "{report}");
    assert_eq!(report["items"][0]["nobody"], "3 clients had it before");
    assert_eq!(
        report["items"][1]["nobody"],
        "its turn came, but it waits at the end: the client has had as many messages as the caps allow for now (3)"
    );
}

/// What an edit releases comes when it is published, which is on the first day asked for: not when the CRM was last read.
#[tokio::test]
async fn what_an_edit_releases_is_counted() {
    let town = town(10, "2026-03-03T12:00:00Z", |text| text.replace("mode: Live", "mode: Observe")).await;
    assert!(town.sent().await.is_empty());
    let folder = edited(&town, |text| text.replace("mode: Observe", "mode: Live").replace("after: 1d", "after: 0h"));
    // Long after the store was last read it is still the edit that releases them.
    for (from, day) in [("2026-03-03T12:00:30Z", "2026-03-03"), ("2026-03-20T09:00:00Z", "2026-03-20")] {
        let args = ["--store", &store(&town), "--from", from, "--days", "3"];
        let report = ask("simulate", &[folder.path()], &args);
        assert_eq!(sum(&report).1, [("one".into(), 10), ("two".into(), 10), ("three".into(), 10)], "{report}");
        assert_eq!(report["calendar"][0]["day"], day);
        let difference = ask("diff", &[&town.folder, folder.path()], &[&args[..], &["--as-is"]].concat());
        assert_eq!((&difference["before"], &difference["after"]), (&0.into(), &30.into()), "{difference}");
    }
}

/// Until an edit is published the old plan goes on: what it sends meanwhile is behind the client.
#[tokio::test]
async fn until_an_edit_is_published_the_plan_in_force_goes_on() {
    let mut town = town(2, "2026-03-03T12:00:00Z", |text| text).await;
    let folder = edited(&town, |text| text.replace("name: two, title: Two, after: 1d", "name: two, title: Two, after: 9d"));
    let args = ["--store", &store(&town), "--from", "2026-03-05T06:00:00Z", "--days", "5"];
    let report = ask("simulate", &[folder.path()], &args);
    assert_eq!(sum(&report).1, [("one".into(), 0), ("two".into(), 0), ("three".into(), 2)], "{report}");
    // As it then comes.
    town.run(at("2026-03-05T06:00:00Z")).await;
    let before = town.sent().await.len();
    town.edit("all.yaml", "name: two, title: Two, after: 1d", "name: two, title: Two, after: 9d").await;
    town.run(at("2026-03-05T06:00:00Z") + SignedDuration::from_hours(24 * 5)).await;
    assert_eq!(town.sent().await.len() - before, 2);
}

/// A funnel that observes is simulated as if it went live on the first day: those whose observed journey is over begin again.
#[tokio::test]
async fn who_was_only_observed_begins_again() {
    let town = town(10, "2026-03-20T12:00:00Z", |text| text.replace("mode: Live", "mode: Observe")).await;
    let args = ["--store", &store(&town), "--from", "2026-03-20T12:00:30Z", "--days", "5"];
    let live = edited(&town, |text| text.replace("mode: Observe", "mode: Live"));
    let (observed, went_live) = (ask("simulate", &[&town.folder], &args), ask("simulate", &[live.path()], &args));
    assert_eq!(sum(&observed), sum(&went_live));
    assert_eq!(sum(&observed).0, 30, "{observed}");
    let as_is = ask("simulate", &[&town.folder], &[&args[..], &["--as-is"]].concat());
    assert_eq!(sum(&as_is).0, 0, "{as_is}");
}

/// Manifests and deals in a folder.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    home
}

/// `n` deals lost on a day, with a client each.
fn lost_deals(n: u32, day: &str) -> (String, String) {
    (1..=n).fold((CONTACTS.to_owned(), DEALS.to_owned()), |(contacts, deals), k| (contacts + &contact(k), deals + &lost(k, k, day)))
}

fn gained(difference: &Value) -> Vec<(String, usize)> {
    let items = difference["items"].as_array().unwrap().iter();
    items
        .map(|i| {
            (format!("{}/{}", i["list"].as_str().unwrap(), i["item"].as_str().unwrap()), i["gained"].as_array().unwrap().len())
        })
        .collect()
}

/// What an edit adds reads deals of its own, or reads the same ones in another way.
#[tokio::test]
async fn a_difference_knows_the_deals_of_what_is_added() {
    let (contacts, deals) = lost_deals(4, "2026-03-02");
    // Other clients: of several deals of one client a single one speaks.
    let contacts = (11..=13).fold(contacts, |all, k| all + &contact(k));
    let houses = (11..=13).fold(DEALS.to_owned(), |all, k| all + &lost(k, k, "2026-03-02"));
    let manifests = format!("{BASE}{}", funnel("flats", ""));
    let old = folder(&[("all.yaml", &manifests), ("contacts.csv", &contacts), ("deals.csv", &deals)]);
    let args = ["--from", "2026-03-02T09:00:00Z", "--days", "2"];
    // A connection that only the new folder has.
    let crm = BASE.split("---").find(|d| d.contains("CrmConnection")).unwrap();
    let crm = crm.replace("{name: crm,", "{name: more,").replace("deals.csv", "houses.csv");
    let list = BASE.split("---").find(|d| d.contains("ContentList")).unwrap().replace("{name: warm,", "{name: house,");
    let added = funnel("houses", "").replace("{name: crm}", "{name: more}").replace("{name: warm}", "{name: house}");
    let more = format!("{manifests}\n---{crm}\n---{list}{added}");
    let new = folder(&[("all.yaml", &more), ("contacts.csv", &contacts), ("houses.csv", &houses)]);
    let difference = ask("diff", &[old.path(), new.path()], &args);
    assert_eq!(gained(&difference), [("house/one".into(), 3)], "{difference}");
    // The new folder takes another stage for a loss. Its own deals are those of the old one.
    let stage = deals.replace(";Lost;", ";Given up;");
    let before = folder(&[("all.yaml", &manifests), ("contacts.csv", &contacts), ("deals.csv", &stage)]);
    let after = folder(&[("all.yaml", &manifests.replace("lost: [Lost]", "lost: [Lost, Given up]"))]);
    let difference = ask("diff", &[before.path(), after.path()], &args);
    assert_eq!(gained(&difference), [("warm/one".into(), 4)], "{difference}");
    let back = ask("diff", &[before.path(), before.path()], &args);
    assert_eq!((&back["before"], &back["after"]), (&0.into(), &0.into()), "{back}");
}

/// A store has the deals of the funnels that it works for, and no others: that is said, not passed over.
#[tokio::test]
async fn what_a_store_does_not_have_is_said() {
    let town = town(2, "2026-03-03T12:00:00Z", |text| text.replace("entity: Deal", "entity: Deal, pipeline: Sales")).await;
    let args = ["--store", &store(&town), "--from", "2026-03-03T12:00:00Z", "--days", "3"];
    let notes = |edit: &dyn Fn(&str) -> String| -> String {
        let folder = edited(&town, edit);
        let report = ask("simulate", &[folder.path()], &args);
        let difference = ask("diff", &[&town.folder, folder.path()], &args);
        let told =
            |told: &Value| told["notes"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let notes = told(&difference);
        assert!(told(&report).starts_with(&notes), "{report}");
        notes.join("\n")
    };
    assert_eq!(notes(&str::to_owned), "");
    let add = |pipeline: &str| {
        let new = funnel("houses", "").replace("entity: Deal", &format!("entity: Deal{pipeline}"));
        move |text: &str| format!("{text}{new}")
    };
    let unknown = "whom it would write to there is not known";
    let said = notes(&add(", pipeline: Houses"));
    assert!(said.contains("shop/houses reads the pipeline Houses of shop/crm") && said.contains(unknown), "{said}");
    let said = notes(&add(""));
    assert!(said.contains("shop/houses reads all pipelines of shop/crm") && said.contains(unknown), "{said}");
    let said = notes(&|text| text.replace("pipeline: Sales", "pipeline: Houses"));
    assert!(said.contains("shop/flats reads the pipeline Houses") && said.contains(unknown), "{said}");
    let said = notes(&add(", pipeline: sales"));
    assert!(said.starts_with("shop/houses is not in the store") && !said.contains(unknown), "{said}");
}

/// What the store has spent this month is not there any more.
#[tokio::test]
async fn what_a_store_has_spent_counts() {
    let budget = "  brand: novydom\n  budget: {currency: RUB, perMonth: \"21.00\"}\n";
    let town = town(3, "2026-03-03T12:00:00Z", |text| text.replace("  brand: novydom\n", budget)).await;
    assert_eq!(town.sent().await.len(), 3);
    let report = ask("simulate", &[&town.folder], &["--store", &store(&town), "--from", "2026-03-03T12:00:00Z", "--days", "5"]);
    let told = &report["budgets"][0];
    assert_eq!((sum(&report).0, &told["spent"], &told["spentBefore"]), (2, &8.4.into(), &12.6.into()), "{report}");
    assert_eq!((&told["monthReached"], &told["waited"]), (&"2026-03-04".into(), &3.into()), "{told}");
    assert_eq!(told["dayReached"], Value::Null);
}

/// A channel that is tried out does not write to clients: whoever reads the figures of a live funnel is told.
#[test]
fn who_only_tries_out_is_told() {
    let (contacts, deals) = lost_deals(3, "2026-03-02");
    let told = |edit: &dyn Fn(String) -> String| {
        let manifests = edit(format!("{BASE}{}", funnel("flats", "")));
        let home = folder(&[("all.yaml", &manifests), ("contacts.csv", &contacts), ("deals.csv", &deals)]);
        let report = ask("simulate", &[home.path()], &["--from", "2026-03-02T09:00:00Z", "--days", "5"]);
        assert_eq!(report["messages"], 9, "{report}");
        report["notes"].to_string()
    };
    let tried =
        |text: String| text.replace("  rate: {perSecond: 20}", "  rate: {perSecond: 20}\n  testRecipients: [\"+79991234567\"]");
    let note = "shop/flats is live, but shop/sms sends to its testRecipients only";
    assert!(told(&tried).contains(note));
    assert!(!told(&|text| text).contains("testRecipients"));
    assert!(!told(&|text| tried(text).replace("mode: Live", "mode: Observe")).contains("testRecipients"));
}

/// Made-up values are of their field's type, and as long as those that `validate` counts with.
#[test]
fn a_preview_with_made_up_values_shows_the_dearer_price() {
    let fields = "  fields:\n    - {name: visitAt, of: Client, from: visit, type: Date}\n    \
                  - {name: rooms, of: Deal, from: rooms, type: Number}\n    - {name: city, of: Client, from: city}\n";
    let preview = |text: &str, parts: u32| {
        let manifests = format!("{BASE}{}", funnel("flats", ""))
            .replace("  region: RU\n", &format!("  region: RU\n{fields}"))
            .replace("maxParts: 3", &format!("maxParts: {parts}"))
            .replace("text: \"one\"", &format!("text: \"{text}\""));
        let (contacts, deals) = ("id;name;phone;consent;visit;city\n", "id;stage;rooms\n");
        let home = folder(&[("all.yaml", &manifests), ("contacts.csv", contacts), ("deals.csv", deals)]);
        let checked = Command::new(env!("CARGO_BIN_EXE_rekindle")).arg("validate").arg("-f").arg(home.path()).output().unwrap();
        let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
        (checked.contains("0 errors")).then(|| ask("preview", &[home.path()], &["--item", "warm/one"])).ok_or(checked)
    };
    let shown = preview("tomorrow {{ client.visitAt | date }}, {{ deal.rooms + 1 }} {{ client.city }}", 3).unwrap();
    assert_eq!(shown["text"], "tomorrow 2027-09-30, 123456790 Kingston upon Thames", "{shown}");
    // Whoever is called by a name gets two parts.
    let long = format!("{{{{ client.firstName | default('you') }}}} {}", "x".repeat(147));
    let shown = preview(&long, 3).unwrap();
    assert_eq!(shown["segments"]["parts"], 2, "{shown}");
    let refused = preview(&long, 1).unwrap_err();
    assert!(refused.contains("2 parts; the channel allows 1"), "{refused}");
}

/// The same to the same clients at the same time is not the same if the words, the sender, the way or the price are others.
#[tokio::test]
async fn a_difference_in_what_is_said_and_what_it_costs_is_told() {
    let (contacts, deals) = lost_deals(3, "2026-03-02");
    let manifests = format!("{BASE}{}", funnel("flats", ""));
    let with = |manifests: &str| folder(&[("all.yaml", manifests), ("contacts.csv", &contacts), ("deals.csv", &deals)]);
    let old = with(&manifests);
    let edited = |edit: &dyn Fn(&str) -> String| {
        let new = with(&edit(&manifests));
        let difference = ask("diff", &[old.path(), new.path()], &["--from", "2026-03-02T09:00:00Z", "--days", "4"]);
        let items = difference["items"].as_array().unwrap().clone();
        assert!(items.iter().all(|i| i["before"] == i["after"] && i["gained"].as_array().unwrap().is_empty()), "{difference}");
        items
    };
    assert!(edited(&str::to_owned).is_empty());
    let long = "a".repeat(200);
    let items = edited(&|text| text.replace("{text: \"one\"}", &format!("{{text: \"{long}\"}}")));
    assert_eq!((items.len(), &items[0]["item"], &items[0]["edited"]), (1, &"one".into(), &serde_json::json!(["text"])));
    assert_eq!((&items[0]["partsBefore"], &items[0]["partsAfter"]), (&3.into(), &6.into()));
    assert_eq!((&items[0]["costBefore"]["RUB"], &items[0]["costAfter"]["RUB"]), (&12.6.into(), &25.2.into()));
    let words = |items: Vec<Value>| -> Vec<String> { items.iter().map(|i| i["edited"].to_string()).collect() };
    assert_eq!(words(edited(&|text| text.replace("perPart: \"4.20\"", "perPart: \"5.00\""))), [r#"["price"]"#; 3]);
    assert_eq!(words(edited(&|text| text.replace("from: NOVYDOM", "from: OTHER"))), [r#"["sender"]"#; 3]);
    let channel = edited(&|text| {
        text.replace("metadata: {name: sms,", "metadata: {name: sms2,").replace("ref: {name: sms}", "ref: {name: sms2}")
    });
    assert_eq!(words(channel), [r#"["channel"]"#; 3]);
}

/// Whoever reads the output may have seen enough; and a day near the end of the calendar is refused in words.
#[test]
fn a_reader_who_leaves_and_a_day_too_late() {
    let (contacts, deals) = lost_deals(3, "2026-03-02");
    let manifests = format!("{BASE}{}", funnel("flats", ""));
    let home = folder(&[("all.yaml", &manifests), ("contacts.csv", &contacts), ("deals.csv", &deals)]);
    let run = |command: &str, output: &str, from: &str| {
        let mut asked = Command::new(env!("CARGO_BIN_EXE_rekindle"));
        asked.args([command, "-o", output, "--from", from, "--days", "30", "-f"]).arg(home.path());
        if command == "diff" {
            asked.arg("-f").arg(home.path());
        }
        let mut child = asked.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let out = child.wait_with_output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    for (command, output) in [
        ("simulate", "table"),
        ("simulate", "json"),
        ("simulate", "csv"),
        ("simulate", "html"),
        ("diff", "table"),
        ("diff", "json"),
    ] {
        assert_eq!(run(command, output, "2026-03-02"), (Some(0), String::new()), "{command} -o {output}");
    }
    let (code, said) = run("simulate", "table", "9999-12-20");
    assert!(code == Some(1) && said.contains("the calendar has ended; write an earlier --from"), "{code:?} {said}");
}
