//! Several operators on one PostgreSQL, and an API server that goes away.

use crate::{
    manifests,
    operator::{World, condition},
    proxy::Proxy,
    sink::Sink,
    wire::Wire,
};
use std::{collections::BTreeSet, time::Duration};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn another_takes_over_after_a_crash_and_at_a_hand_over() {
    let Some(world) = World::on_postgres() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let mut replicas: Vec<_> = ["a", "b", "c"].into_iter().map(|name| world.start(name)).collect();
    world.fill(sink.port, 40, false);
    world.until_ready("funnel/sales");
    world.wait("the import", SOON, || world.object("funnel", "sales")["status"]["copies"]["inWork"] == 40);
    for replica in &replicas {
        world.wait("every replica ready", SOON, || replica.get("/readyz").starts_with("HTTP/1.1 200"));
    }
    let works = |replicas: &[crate::operator::Operator]| replicas.iter().position(crate::operator::Operator::works);

    // SIGKILL: the lease of the dead runs out.
    let first = works(&replicas).unwrap();
    replicas.remove(first).kill();
    world.apply(&manifests::deals(40, true));
    world.wait("a take-over", SOON, || works(&replicas).is_some());
    world.wait("all messages", SOON, || sink.accepted().len() >= 40);

    // SIGTERM: handed over at once, and the status goes on too.
    let second = works(&replicas).unwrap();
    replicas[second].terminate();
    let other = 1 - second;
    // Before a lease of eight seconds could have run out.
    world.wait("a hand-over", Duration::from_secs(6), || replicas[other].works());
    world.apply(&manifests::list("Anew"));
    world.wait("the last one publishing", SOON, || world.object("funnel", "sales")["status"]["revision"] == 2);
    let keys = sink.accepted();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "somebody was written to twice");
    assert_eq!(keys.len(), 40);
}

#[test]
fn the_api_server_goes_away_and_sending_goes_on() {
    let Some(world) = World::on_postgres() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let proxy = Proxy::to(world.plane.port);
    let operator = world.start_at("a", proxy.port);
    world.fill(sink.port, 6, false);
    // The second message of the list is due while nobody can ask the API server.
    let second = "    - name: second\n      after: 8s\n      email: {subject: Second, markdown: Hello}\n";
    world.apply(&format!("{}\n{second}", manifests::list("First").trim_end()));
    world.until_ready("funnel/sales");
    world.wait("the import", SOON, || world.object("funnel", "sales")["status"]["copies"]["inWork"] == 6);
    std::thread::sleep(Duration::from_secs(1));
    world.apply(&manifests::deals(6, true));
    world.wait("the first messages", SOON, || sink.accepted().len() == 6);
    proxy.cut();
    // Meanwhile somebody edits, and another replica starts: it works by what is stored.
    world.apply(&manifests::list("Edited meanwhile"));
    let late = world.start_at("late", proxy.port);
    world.wait("a replica that is ready all the same", SOON, || late.get("/readyz").starts_with("HTTP/1.1 200"));
    world.wait("the second messages", SOON, || sink.accepted().len() == 12);
    assert!(operator.get("/readyz").starts_with("HTTP/1.1 200"), "no API server is no reason to stop");
    proxy.mend();
    // Everything catches up.
    world.wait("the edit in force", Duration::from_mins(1), || {
        let list = world.object("contents", "price");
        list["status"]["observedGeneration"] == list["metadata"]["generation"] && condition(&list, "Ready")[0] == "True"
    });
    world.wait("the counts", SOON, || world.object("funnel", "sales")["status"]["lastDay"]["sent"] == 12);
}

/// What a channel or the database is like is known to the replica that sends.
#[test]
fn the_status_is_written_by_the_replica_that_sends_also_after_another_lost_the_database() {
    let Some(mut world) = World::on_postgres() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let direct = world.store.clone();
    let (wire, through) = Wire::before(&direct);
    world.store = through;
    let first = world.start("a");
    world.wait("one to work", SOON, || first.works());
    world.store = direct;
    let second = world.start("b");
    let resources = manifests::world(sink.port).replace("  rate:", "  retry: {min: 1s, max: 2s}\n  rate:");
    world.apply(&manifests::deals(6, false));
    world.apply(&resources);
    world.until_ready("funnel/sales");
    world.wait("the import", SOON, || world.object("funnel", "sales")["status"]["copies"]["inWork"] == 6);
    let leader = || world.must(&["get", "lease", "rekindle", "-o", "jsonpath={.spec.holderIdentity}"]);
    assert_eq!(leader(), "a");

    wire.cut();
    world.wait("a take-over", SOON, || second.works());
    wire.join();
    world.wait("the one that sends to report", SOON, || leader() == "b");
    world.wait("health", SOON, || condition(&world.object("funnel", "sales"), "Healthy")[0] == "True");
    drop(sink);
    world.apply(&manifests::deals(6, true));
    world.wait("the outage to be told", Duration::from_secs(75), || {
        condition(&world.object("msgch", "mail"), "Healthy")[1] == "ProviderDown"
    });
    assert!(second.works() && leader() == "b");
    // It stays there: nobody who stands by takes it back.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(leader(), "b");
}
