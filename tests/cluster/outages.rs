//! What an operator rests on goes away, is slow or refuses: what can go on goes on, and what cannot says so.

use crate::{
    manifests,
    operator::{World, condition},
    proxy::Proxy,
    sink::Sink,
    wire::Wire,
};
use std::{collections::BTreeSet, time::Duration};

const SOON: Duration = Duration::from_secs(30);

/// A list whose second message comes so much after its first.
fn two_messages(after: &str) -> String {
    let second = format!("    - name: second\n      after: {after}\n      email: {{subject: Second, markdown: Hello}}\n");
    format!("{}\n{second}", manifests::list("First").trim_end())
}

/// Six deals, lost after they were seen in work; their first messages have gone out.
fn six_lost(world: &World, sink: &Sink, second_after: &str) {
    world.fill(sink.port, 6, false);
    world.apply(&two_messages(second_after));
    world.until_ready("funnel/sales");
    world.wait("the import", SOON, || world.object("funnel", "sales")["status"]["copies"]["inWork"] == 6);
    world.apply(&manifests::deals(6, true));
    world.wait("the first messages", SOON, || sink.accepted().len() == 6);
}

fn nobody_twice(sink: &Sink, messages: usize) {
    let keys = sink.accepted();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "somebody was written to twice");
    assert_eq!(keys.len(), messages);
}

#[test]
fn the_database_goes_away_and_everything_goes_on_by_itself() {
    let Some(mut world) = World::on_postgres() else { return };
    let (wire, through) = Wire::before(&world.store);
    world.store = through;
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let operator = world.start("a");
    six_lost(&world, &sink, "8s");
    wire.cut();
    world.wait("/readyz to say so", SOON, || operator.get("/readyz").starts_with("HTTP/1.1 503"));
    assert!(operator.get("/healthz").starts_with("HTTP/1.1 200"), "a restart would not help");
    world.wait("a condition", SOON, || {
        let funnel = world.object("funnel", "sales");
        condition(&funnel, "Healthy")[..2] == ["False".to_owned(), "StoreUnavailable".to_owned()]
    });
    assert_eq!(condition(&world.object("funnel", "sales"), "Ready")[0], "True", "an outage is not a bad configuration");
    wire.join();
    world.wait("the second messages", SOON, || sink.accepted().len() == 12);
    world.wait("its recovery", SOON, || condition(&world.object("funnel", "sales"), "Healthy")[0] == "True");
    world.wait("the counts", SOON, || world.object("funnel", "sales")["status"]["lastDay"]["sent"] == 12);
    assert!(operator.get("/readyz").starts_with("HTTP/1.1 200"));
    nobody_twice(&sink, 12);
}

#[test]
fn a_slow_api_server_keeps_nothing_from_being_sent() {
    let Some(world) = World::new() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let proxy = Proxy::to(world.plane.port);
    let operator = world.start_at("a", proxy.port);
    six_lost(&world, &sink, "6s");
    // Each answer takes longer than anybody waits for it.
    proxy.slow(Duration::from_secs(40));
    world.wait("the second messages", SOON, || sink.accepted().len() == 12);
    assert!(operator.get("/readyz").starts_with("HTTP/1.1 200"));
    proxy.cut();
    proxy.mend();
    world.wait("the counts", Duration::from_mins(1), || world.object("funnel", "sales")["status"]["lastDay"]["sent"] == 12);
    nobody_twice(&sink, 12);
}

#[test]
fn an_operator_that_lost_its_rights_goes_on_sending_and_catches_up_when_it_has_them_back() {
    let Some(world) = World::new() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let operator = world.start("a");
    six_lost(&world, &sink, "6s");
    let kept = world.must(&["get", "rolebinding", "-o", "yaml"]);
    world.must(&["delete", "rolebinding", "--all"]);
    world.apply(&two_messages("6s").replace("First", "Edited meanwhile"));
    world.wait("the second messages", SOON, || sink.accepted().len() == 12);
    assert!(operator.get("/readyz").starts_with("HTTP/1.1 200"), "{}", operator.log());
    let identity = |line: &&str| line.contains("resourceVersion:") || line.contains("uid:");
    let kept = kept.lines().filter(|line| !identity(line)).collect::<Vec<_>>().join("\n");
    world.apply(&kept);
    world.wait("the edit in force", Duration::from_mins(1), || {
        let list = world.object("contents", "price");
        list["status"]["observedGeneration"] == list["metadata"]["generation"] && condition(&list, "Ready")[0] == "True"
    });
    world.wait("the counts", SOON, || world.object("funnel", "sales")["status"]["lastDay"]["sent"] == 12);
    nobody_twice(&sink, 12);
}

#[test]
fn a_replica_that_knows_no_address_yet_leaves_the_sending_to_others() {
    let Some(world) = World::on_postgres() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let (ours, theirs) = (Proxy::to(world.plane.port), Proxy::to(world.plane.port));
    let first = world.start_at("a", ours.port);
    let second = world.start_at("b", ours.port);
    six_lost(&world, &sink, "20s");
    world.wait("another one ready", SOON, || second.get("/readyz").starts_with("HTTP/1.1 200"));
    // Nobody reaches the API server any more; whoever starts now has never seen it.
    ours.cut();
    theirs.cut();
    let late: Vec<_> = ["c", "d", "e"].into_iter().map(|name| world.start_at(name, theirs.port)).collect();
    for late in &late {
        world.wait("late ones ready", SOON, || late.get("/readyz").starts_with("HTTP/1.1 200"));
    }
    first.kill();
    world.wait("the one that can send to take over", Duration::from_secs(12), || second.works());
    world.wait("the second messages", SOON, || sink.accepted().len() == 12);
    assert!(!late.iter().any(crate::operator::Operator::works));
    nobody_twice(&sink, 12);
}

#[test]
fn a_container_that_starts_again_while_the_api_server_is_away_knows_where_to_send() {
    let Some(world) = World::on_postgres() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let proxy = Proxy::to(world.plane.port);
    let kept = world.dir.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let start = || world.start_with("a", proxy.port, &["--cache-dir", kept.to_str().unwrap()]);
    let first = start();
    six_lost(&world, &sink, "12s");
    proxy.cut();
    first.kill();
    let again = start();
    world.wait("the second messages", SOON, || sink.accepted().len() == 12);
    assert!(again.log().contains("are those that were last read"), "{}", again.log());
    // It catches up with what was edited meanwhile.
    world.apply(&two_messages("12s").replace("First", "Edited meanwhile"));
    proxy.mend();
    world.wait("the edit in force", Duration::from_mins(1), || {
        let list = world.object("contents", "price");
        list["status"]["observedGeneration"] == list["metadata"]["generation"] && condition(&list, "Ready")[0] == "True"
    });
    world.wait("the counts", SOON, || world.object("funnel", "sales")["status"]["lastDay"]["sent"] == 12);
    nobody_twice(&sink, 12);
}
