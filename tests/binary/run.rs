//! `rekindle run` as a user meets it: edits, broken edits, holds, restarts.

use crate::{
    harness::{BINARY, World, text},
    sink::Sink,
};
use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

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

/// Stops while a provider has messages and has not answered yet: their answers are waited for.
#[test]
fn a_stop_waits_for_what_was_handed_over() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::from_millis(400));
    let world = World::new(sink.port);
    world.deals(40, false);
    let mut running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 40);
    world.deals(40, true);
    for stop in 1..=3 {
        world.wait("messages under way", PATIENCE, || sink.accepted().len() >= stop * 9 && sink.in_flight() > 0);
        assert!(running.stop());
        assert_eq!(sink.in_flight(), 0, "every reply was waited for");
        assert_eq!(world.messages("accepted"), sink.accepted().len() as u64, "nothing is unclear");
        running = world.start();
    }
    world.wait("the rest", PATIENCE, || world.messages("accepted") == 40);
    assert!(running.stop());
    assert_eq!(sink.accepted().len(), 40);
}

/// Stops while the provider does not even greet: what was intended goes back and leaves after the restart.
#[test]
fn a_stop_takes_back_what_no_provider_has() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new(silent.local_addr().unwrap().port());
    world.deals(20, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 20);
    world.deals(20, true);
    let taken = silent.accept().unwrap();
    world.wait("messages on their way", PATIENCE, || world.messages("intended") > 0);
    let since = Instant::now();
    assert!(running.stop());
    assert!(since.elapsed() < Duration::from_secs(5), "nobody waits for a server that says nothing");
    assert_eq!((world.messages("intended"), world.messages("unknown")), (0, 0), "{}", world.status());
    let _ = taken.0.shutdown(std::net::Shutdown::Both);
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let manifest = text(&world.path("funnel.yaml"));
    let (old, new) = (silent.local_addr().unwrap().port().to_string(), sink.port.to_string());
    world.write("funnel.yaml", &manifest.replace(&old, &new));
    let running = world.start();
    world.wait("all of them", PATIENCE, || world.messages("accepted") == 20);
    assert!(running.stop());
    assert_eq!(sink.accepted().len(), 20);
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

/// What a command said, and whether it went well.
fn said(out: &Output) -> (bool, String) {
    (out.status.success(), String::from_utf8_lossy(&[&out.stdout[..], &out.stderr[..]].concat()).into_owned())
}

#[test]
fn a_hold_is_of_what_there_is_and_says_of_what() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let world = World::new(sink.port);
    let lab = text(&world.path("funnel.yaml")).replace("metadata: {name:", "metadata: {namespace: lab, name:");
    world.write("funnel.yaml", &lab);
    world.deals(3, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 3);
    let ask = |args: &[&str]| said(&world.command(args));
    let hold = |what: &[&str]| ask(&[&["hold", "--reason", "test"], what].concat());
    for (what, there) in [
        (["--funnel", "sale"], "there is no funnel sale; there are lab/sales"),
        (["--funnel", "default/sales"], "there is no funnel default/sales; there are lab/sales"),
        (["--channel", "sms"], "there is no channel sms; there are lab/mail"),
    ] {
        let (ok, answer) = hold(&what);
        assert!(!ok && answer.contains(there), "{answer}");
    }
    assert_eq!(world.status()["holds"].as_array().map(Vec::len), Some(0), "{}", world.status());
    assert_eq!(ask(&["release", "--funnel", "sales"]), (false, "rekindle: nothing is held\n".to_owned()));
    assert_eq!(hold(&["--funnel", "sales"]), (true, "held: funnel lab/sales; nothing of it leaves from now on\n".to_owned()));
    assert_eq!(
        hold(&["--channel", "mail"]),
        (true, "held: channel lab/mail; nothing new leaves through it from now on\n".to_owned())
    );
    world.deals(3, true);
    world.wait("the losses", PATIENCE, || world.in_role("Warming") == 3);
    let released = "released: channel lab/mail; still held: funnel lab/sales\n".to_owned();
    assert_eq!(ask(&["release", "--channel", "lab/mail"]), (true, released));
    let (ok, answer) = ask(&["release", "--channel", "mail"]);
    assert!(!ok && answer.contains("there is no held channel mail") && answer.contains("held: funnel lab/sales"), "{answer}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(sink.accepted().len(), 0, "held");
    assert!(hold(&["--channel", "mail"]).0 && hold(&["--all"]).0);
    let (ok, answer) = ask(&["release", "--all"]);
    assert!(ok && answer.contains("(3 holds)"), "{answer}");
    for what in ["everything", "funnel lab/sales", "channel lab/mail"] {
        assert!(answer.contains(what), "{answer}");
    }
    world.wait("what waited", PATIENCE, || sink.accepted().len() == 3);
    assert_eq!(ask(&["release", "--all"]), (false, "rekindle: nothing was held\n".to_owned()));
    drop(running);
}

#[test]
fn whoever_looks_sees_that_a_funnel_does_not_send() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let world = World::new(sink.port);
    world.deals(3, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 3);
    let live = text(&world.path("funnel.yaml"));
    let shown = || said(&world.command(&["status"])).1;
    let row = |label: &str, words: &str| shown().lines().any(|line| line.trim().starts_with(label) && line.ends_with(words));
    assert!(!shown().contains("  mode") && !shown().contains("  stopped"), "{}", shown());

    world.write("funnel.yaml", &live.replace("mode: Live", "mode: Observe"));
    let log = "default/sales: revision 2 is in force; nothing is sent: spec.mode is Observe\n";
    world.wait("the log of the observing", PATIENCE, || world.log().contains(log));
    assert!(row("mode", "Observe: nothing is sent"), "{}", shown());
    assert_eq!(world.status()["funnels"][0]["mode"], "Observe");

    world.write("funnel.yaml", &live);
    let log = "default/sales: revision 3 is in force; its manifests let it send from now on\n";
    world.wait("the log of the sending", PATIENCE, || world.log().contains(log));

    let stopped = live.replace("mode: Live", "mode: Live\n  suspend: true").replace("  spread: 0s", "  spread: 0s\n  paused: true");
    world.write("funnel.yaml", &stopped);
    let log = "revision 4 is in force; nothing is sent: spec.suspend is true, its ContactPolicy is paused\n";
    world.wait("the log of the stop", PATIENCE, || world.log().contains(log));
    assert!(row("stopped", "spec.suspend is true, its ContactPolicy is paused"), "{}", shown());

    // Who takes a stop back in an edit that is broken elsewhere is obeyed, and told so.
    world.write("funnel.yaml", &live.replace("{{ links.offer }}", "{{ links.offfer }}"));
    let log = "revision 5: the stop is taken back, the rest stays as it was\n";
    world.wait("the log of the end of the stop", PATIENCE, || world.log().contains(log));
    assert_eq!(world.status()["funnels"][0]["stopped"].as_array().map(Vec::len), Some(0), "{}", world.status());
    drop(running);
}

#[test]
fn a_pipeline_that_is_not_there_is_told_and_nobody_is_called_deleted() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let world = World::new(sink.port);
    world.deals(3, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 3);
    world.edit("crmRef: {name: crm}", "crmRef: {name: crm}, pipeline: Sale");
    world.wait("the deals leaving", PATIENCE, || world.in_role("Archived") == 3);
    let told = "no deal of crm is in the pipeline Sale, so none is copied; its deals are in: Sales";
    let shown = said(&world.command(&["status"])).1;
    assert!(shown.contains(told), "{shown}");
    assert_eq!(world.status()["funnels"][0]["problems"][0], told);
    let timeline = said(&world.command(&["timeline", "--deal", "D1"])).1;
    assert!(timeline.contains("not in the funnel's pipeline") && !timeline.contains("deleted"), "{timeline}");
    let simulated = Command::new(BINARY).args(["simulate", "--days", "3", "-f"]).arg(world.path("")).output().unwrap();
    assert!(said(&simulated).1.contains(&format!("default/sales: {told}")), "{}", said(&simulated).1);

    // Whoever reads may have seen enough: `rekindle status | head -1`.
    let preview = ["preview", "--item", "price/offer"];
    for args in [&["status"][..], &["timeline", "--deal", "D1"], &["resolve"], &preview] {
        let (gone, out) = std::io::pipe().unwrap();
        drop(gone);
        let out = Command::new(BINARY).args(args).args(["--store", &world.store]).stdout(out).output().unwrap();
        assert_eq!(said(&out), (true, String::new()), "{args:?}");
    }
    drop(running);
}
