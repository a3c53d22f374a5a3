//! `rekindle run` as a user meets it: edits, broken edits, holds, restarts.

use crate::{
    harness::{World, text},
    sink::Sink,
};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_broken_edit_keeps_the_last_good_one_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let world = World::new(sink.port);
    world.deals(3, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 3);
    let good = text(&world.path("funnel.yaml"));
    world.write("funnel.yaml", &good.replace("{{ links.offer }}", "{{ links.offfer }}"));
    world.wait("the complaint", PATIENCE, || world.log().contains("stays in force"));
    assert!(world.log().contains("offfer"), "it names what is wrong: {}", world.log());
    world.deals(3, true);
    world.wait("messages by the last good revision", PATIENCE, || sink.accepted().len() == 3);
    world.write("funnel.yaml", &good.replace("a better price", "our best price"));
    world.wait("the next revision", PATIENCE, || world.log().contains("revision 2 is in force"));
    drop(running);
}

#[test]
fn a_hold_stops_sending_and_release_goes_on_where_it_was() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let world = World::new(sink.port);
    world.deals(5, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 5);
    let out = world.command(&["hold", "--all", "--reason", "test"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    world.deals(5, true);
    world.wait("the losses", PATIENCE, || world.in_role("Warming") == 5);
    let shown = String::from_utf8(world.command(&["status"]).stdout).unwrap();
    assert!(shown.contains("HELD: EVERYTHING"), "{shown}");
    // A restart does not undo it.
    assert!(running.stop());
    let running = world.start();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(sink.accepted().len(), 0, "held");
    assert!(world.command(&["release", "--all"]).status.success());
    world.wait("what waited", PATIENCE, || sink.accepted().len() == 5);
    assert!(running.stop());
    let timeline = String::from_utf8(world.command(&["timeline", "--deal", "D1"]).stdout).unwrap();
    assert!(timeline.contains("offer"), "{timeline}");
}

#[test]
fn an_emptied_file_is_not_a_hundred_deletions() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let world = World::new(sink.port);
    world.deals(40, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 40);
    world.write("data/deals.csv", "");
    world.wait("the complaint", PATIENCE, || {
        let shown = String::from_utf8(world.command(&["status"]).stdout).unwrap();
        shown.contains("has no deals where it had 40")
    });
    assert_eq!(world.in_role("InWork"), 40);
    drop(running);
}
