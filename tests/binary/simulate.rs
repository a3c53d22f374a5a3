//! `simulate --store`: asked of a running installation, what is still to come.

use crate::{
    harness::{BINARY, World},
    http,
    sink::Sink,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_running_installation_is_asked_what_is_still_to_come() {
    for postgres in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let sink = Sink::start(home.path(), Duration::ZERO);
        let world = World::new(sink.port);
        let Some(world) = (if postgres { world.on_postgres() } else { Some(world) }) else { return };
        let links = "      links: {offer: \"https://shop.example/offer\"}\n";
        let second = "    - name: second\n      after: 2d\n      email: {subject: Second, markdown: Hello}\n";
        world.edit(links, &format!("{links}{second}"));
        world.deals(5, false);
        let running = world.start();
        world.wait("the import", PATIENCE, || world.in_role("InWork") == 5);
        // Four are lost, one stays open; one of the four wants no more.
        let rows: String = (0..5).map(|n| World::deal(&format!("D{n}"), n, n < 4)).collect();
        let head = "id,title,pipeline,stage,lostReason,amount,createdAt,stageChangedAt,lastActivityAt,manager,name,email\n";
        world.write("data/deals.csv", &format!("{head}{rows}"));
        world.wait("the first messages", PATIENCE, || world.messages("accepted") == 4);
        let form = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(http::request("POST", &sink.letter("client0@").unsubscribe(), &form, "List-Unsubscribe=One-Click").0, 200);
        world.wait("the opt-out", PATIENCE, || world.in_role("Unsubscribed") == 1);

        let before = world.status();
        let folder = world.path("");
        let out = world.command(&["simulate", "-f", folder.to_str().unwrap(), "--days", "5", "-o", "json"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        let items: Vec<(&str, i64)> = report["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| (i["item"].as_str().unwrap(), i["messages"].as_i64().unwrap()))
            .collect();
        assert_eq!((report["deals"].as_i64(), items), (Some(5), vec![("offer", 0), ("second", 3)]), "{report}");
        // Who had a message before is under way, also if none comes in these days.
        let tomorrow = world.command(&["simulate", "-f", folder.to_str().unwrap(), "--days", "1", "-o", "json"]);
        let flows = serde_json::from_slice::<Value>(&tomorrow.stdout).unwrap()["flows"].to_string();
        assert!(flows.contains("under way") && !flows.contains("nothing"), "{flows}");
        let days: Vec<&str> = report["calendar"].as_array().unwrap().iter().map(|cell| cell["day"].as_str().unwrap()).collect();
        let after_tomorrow = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48)).strftime("%Y-%m-%d").to_string();
        let a_minute_ago =
            (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(48 * 3600 - 60)).strftime("%Y-%m-%d").to_string();
        assert!(days.iter().all(|day| *day == after_tomorrow || *day == a_minute_ago), "{days:?}");
        assert_eq!(
            (world.status()["funnels"][0]["messages"].clone(), sink.accepted().len()),
            (before["funnels"][0]["messages"].clone(), 4)
        );
        assert!(running.stop());
    }
}

/// The example of a property developer, edited.
fn example(home: &Path, name: &str, edit: impl Fn(&str) -> String) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/property-developer");
    let to = home.join(name);
    std::fs::create_dir_all(to.join("data")).unwrap();
    for file in std::fs::read_dir(from.join("data")).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.join("data").join(file.file_name())).unwrap();
    }
    for file in std::fs::read_dir(&from).unwrap().map(Result::unwrap).filter(|f| f.path().is_file()) {
        let text = std::fs::read_to_string(file.path()).unwrap();
        std::fs::write(to.join(file.file_name()), edit(&text)).unwrap();
    }
    to
}

fn asked(command: &str, folders: &[&Path], more: &[&str]) -> Output {
    let folders = folders.iter().flat_map(|folder| ["-f", folder.to_str().unwrap()]);
    Command::new(BINARY).arg(command).args(folders).args(more).output().unwrap()
}

/// Going live is the edit that matters most: nobody was written to, and all are.
#[test]
fn an_edit_that_goes_live_or_stops_is_told_as_one() {
    let home = tempfile::tempdir().unwrap();
    let observes = example(home.path(), "observes", str::to_owned);
    let live = example(home.path(), "live", |text| text.replace("mode: Observe", "mode: Live"));
    let stopped = example(home.path(), "stopped", |text| text.replace("mode: Observe", "mode: Live\n  suspend: true"));
    for (old, new, sends, note) in [
        (&observes, &live, (false, true), "the mode goes from Observe to Live"),
        (&live, &observes, (true, false), "after: marketing/flats observes: nothing goes out"),
        (&live, &stopped, (true, false), "after: marketing/flats or its policy is stopped"),
        (&observes, &observes, (true, true), "marketing/flats observes; it is simulated as if it were live"),
    ] {
        let out = asked("diff", &[old, new], &["--from", "2026-11-27", "--days", "20", "-o", "json"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let difference: Value = serde_json::from_slice(&out.stdout).unwrap();
        let figures = ["before", "after"].map(|side| difference[side].as_u64().unwrap() > 0);
        assert_eq!(figures, [sends.0, sends.1], "{}", difference["notes"]);
        let notes = difference["notes"].as_array().unwrap();
        assert!(notes.iter().any(|n| n.as_str().unwrap().contains(note)), "{note}: {}", difference["notes"]);
    }
}

/// After an outage, what was written down and not handed over is the first thing to leave.
#[test]
fn what_waits_for_a_relay_that_is_down_is_told_and_nobody_is_said_to_have_it() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let world = World::new(port);
    world.deals(4, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 4);
    world.deals(4, true);
    world.wait("messages that wait", PATIENCE, || world.messages("planned") == 4);
    assert!(running.stop());
    let folder = world.path("");
    let out = world.command(&["simulate", "-f", folder.to_str().unwrap(), "--days", "5", "-o", "json"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((report["messages"].as_u64(), report["waitingToLeave"].as_u64()), (Some(0), Some(4)), "{report}");
    let offer = &report["items"][0];
    assert_eq!((offer["item"].as_str(), offer["waitingToLeave"].as_u64()), (Some("offer"), Some(4)));
    let nobody = offer["nobody"].as_str().unwrap();
    assert!(nobody.contains("waits to leave already") && !nobody.contains("had it before"), "{nobody}");
    assert!(report["notes"].to_string().contains("4 messages wait to leave already"), "{}", report["notes"]);
}

/// In an installation, copies keep their numbers, and with them their places within a spread, when a funnel is added.
#[test]
fn a_funnel_beside_the_others_that_only_observes_moves_nobody() {
    let home = tempfile::tempdir().unwrap();
    let live = |text: &str| text.replace("mode: Observe", "mode: Live");
    let old = example(home.path(), "old", live);
    let new = example(home.path(), "new", live);
    let funnel = std::fs::read_to_string(old.join("funnel.yaml")).unwrap();
    let beside = funnel.replace("name: flats,", "name: a-new-one,").replace("mode: Live", "mode: Observe");
    assert!(beside.contains("a-new-one") && beside.contains("Observe"));
    std::fs::write(new.join("beside.yaml"), beside).unwrap();
    let out = asked("diff", &[&old, &new], &["--from", "2026-11-27", "--days", "60", "--as-is", "-o", "json"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let difference: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(difference["before"].as_u64().unwrap() > 100, "{difference}");
    assert!(difference["items"].as_array().unwrap().is_empty(), "{}", difference["items"]);
}

/// A preview shows a client's own wording, not one that they never get.
#[test]
fn a_preview_for_a_deal_shows_the_variant_that_its_client_gets() {
    let world = World::new(1);
    let links = "      links: {offer: \"https://shop.example/offer\"}\n";
    let of = |name: &str, weight: u32, word: &str| {
        format!(
            "        - {{name: {name}, weight: {weight}, email: {{subject: {word}, markdown: \"{word} [See it]({{{{ links.offer }}}})\"}}}}\n"
        )
    };
    world.edit(links, &format!("{links}      variants:\n{}{}", of("a", 0, "Alpha"), of("b", 1, "Beta")));
    world.deals(1, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 1);
    assert!(running.stop());
    for (more, want) in [
        (&["--deal", "D0"][..], Ok("Beta")),
        (&["--deal", "D0", "--variant", "a"][..], Ok("Alpha")),
        (&[][..], Ok("Beta")),
        (&["--variant", "zzz"][..], Err("price/offer has no variant zzz; there are a, b")),
    ] {
        let out = world.command(&[&["preview", "--item", "price/offer"][..], more].concat());
        let (shown, said) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        match want {
            Ok(text) => {
                assert!(out.status.success() && shown.contains(text) && shown.contains("(of a, b)"), "{more:?} {shown} {said}");
            }
            Err(sentence) => assert!(out.status.code() == Some(1) && said.contains(sentence), "{more:?} {shown} {said}"),
        }
    }
}

/// The change to summer time is among them.
#[test]
fn whoever_asks_for_ninety_days_is_told_of_ninety() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/b2b-90-120");
    let out = asked("simulate", &[&example], &["--from", "2026-03-02", "--days", "90", "-o", "json"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let told: Vec<&str> = report["items"].as_array().unwrap().iter().filter_map(|item| item["nobody"].as_str()).collect();
    assert!(told.iter().any(|why| why.ends_with("simulate more than 90 days")), "{told:?}");
}

/// A spreadsheet that sums the rows by day or by client comes to what the page says.
#[test]
fn the_rows_of_csv_add_up_to_the_figures_of_the_page() {
    let home = tempfile::tempdir().unwrap();
    let folder = example(home.path(), "live", str::to_owned);
    let ask = |output: &str| {
        let out = asked("simulate", &[&folder], &["--from", "2026-11-27", "--days", "30", "-o", output]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let report: Value = serde_json::from_str(&ask("json")).unwrap();
    let csv = ask("csv");
    let mut rows = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = rows.next().unwrap();
    let column = |name: &str| head.iter().position(|column| *column == name).unwrap();
    let (local, client, cost) = (column("local"), column("client"), column("cost"));
    let (mut hours, mut load, mut sum) = (BTreeMap::<String, u64>::new(), BTreeMap::<&str, u64>::new(), 0.0);
    // The titles, which may have a comma, stand at the end.
    for row in rows {
        *hours.entry(row[local][..13].to_owned()).or_default() += 1;
        *load.entry(row[client]).or_default() += 1;
        sum += row[cost].parse::<f64>().unwrap_or(0.0);
    }
    let mut told = BTreeMap::<String, u64>::new();
    for cell in report["calendar"].as_array().unwrap() {
        let hour = format!("{} {:02}", cell["day"].as_str().unwrap(), cell["hour"].as_u64().unwrap());
        *told.entry(hour).or_default() += cell["messages"].as_u64().unwrap();
    }
    assert_eq!((hours, load.len() as u64), (told, report["reached"].as_u64().unwrap()));
    let costs: f64 = report["cost"].as_array().unwrap().iter().filter_map(|c| c["amount"].as_f64()).sum();
    assert!(costs > 0.0 && (costs - sum).abs() < 0.001, "{costs} {sum}");
}
