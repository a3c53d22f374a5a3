//! `simulate --store`: asked of a running installation, what is still to come.

use crate::{harness::World, http, sink::Sink};
use serde_json::Value;
use std::time::Duration;

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
