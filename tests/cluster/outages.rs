//! What an operator rests on goes away, is slow or refuses: what can go on goes on, and what cannot says so.

use crate::{
    http, manifests,
    operator::{World, condition},
    proxy::Proxy,
    sink::Sink,
    wire::Wire,
};
use sqlx::{Connection as _, Executor as _, PgConnection};
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
    // Whoever dies before the provider's word is written down leaves a message ambiguous, rightly: that is asked elsewhere.
    world.wait("their outcomes", SOON, || world.accepted() == 6);
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

/// It was restored to the copy of last night, and the API server is slow just when the operator starts.
#[test]
fn a_restored_database_is_noticed_although_the_witness_could_not_be_read_at_the_start() {
    let Some(world) = World::new() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let operator = world.start("a");
    world.fill(sink.port, 6, false);
    world.apply(&manifests::list("First"));
    world.until_ready("funnel/sales");
    world.wait("the import", SOON, || world.object("funnel", "sales")["status"]["copies"]["inWork"] == 6);
    operator.kill();
    let file = world.dir.path().join("store.db");
    let copy = world.dir.path().join("earlier.db");
    let save = |from: &std::path::Path, to: &std::path::Path| {
        for end in ["", "-wal", "-shm"] {
            let with = |path: &std::path::Path| std::path::PathBuf::from(format!("{}{end}", path.display()));
            let _ = std::fs::remove_file(with(to));
            let _ = std::fs::copy(with(from), with(to));
        }
    };
    save(&file, &copy);
    let operator = world.start("a");
    world.apply(&manifests::deals(6, true));
    world.wait("the messages", SOON, || sink.accepted().len() == 6);
    let known = || {
        let from = world.object("configmap", "rekindle-witness")["data"]["from"].clone();
        from.as_str().and_then(|from| from.parse::<i64>().ok()).unwrap_or_default()
    };
    // What was sent is put down once it rests.
    world.wait("the witness to know of them", SOON, || known() >= 6);
    operator.kill();
    save(&copy, &file);

    let proxy = Proxy::to(world.plane.port);
    proxy.slow(Duration::from_secs(2));
    let operator = world.start_at("a", proxy.port);
    world.wait("the witness not to answer", SOON, || operator.log().contains("hand-overs go on unwitnessed"));
    proxy.mend();
    world.wait("the hold", Duration::from_mins(1), || condition(&world.object("funnel", "sales"), "Suspended")[1] == "Held");
    let message = condition(&world.object("funnel", "sales"), "Suspended")[2].clone();
    assert!(message.contains("behind its witness"), "{message}");
    assert!(known() >= 6, "what it knew was written over unread");
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
    world.wait("the one that can send to take over", SOON, || second.works());
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

/// A namespace whose team took the operator's rights away (or that is gone), as another pod starts.
#[test]
fn a_namespace_that_may_not_be_read_does_not_stop_the_others_and_loses_nothing() {
    let Some(world) = World::new() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let other = world.plane.namespace();
    world.grant(&other);
    let start = |name| world.start_with(name, world.plane.port, &["--watch-namespace", &other]);
    let first = start("a");
    world.fill(sink.port, 3, false);
    // Somebody else's deal: a client who is in work in one funnel is not written to by another.
    let deals = manifests::deals(1, false).replace("client0@", "somebody@");
    for manifest in [deals, manifests::world(sink.port)] {
        let (taken, said) = world.plane.apply(&other, &manifest);
        assert!(taken, "{said}");
    }
    world.until_ready("funnel/sales");
    let theirs = || world.plane.object(&other, "funnel", "sales");
    world.wait("the other funnel", SOON, || theirs()["status"]["revision"] == 1);
    first.kill();

    world.revoke(&other);
    let second = start("b");
    world.apply(&manifests::list("Edited meanwhile"));
    world.wait("the edit in force", SOON, || world.object("funnel", "sales")["status"]["revision"] == 2);
    world.apply(&manifests::deals(3, true));
    world.wait("the messages", SOON, || sink.accepted().len() == 3);
    let refused = second.metric("rekindle_api_failures_total", &["call=\"watch\"", "label=\"refused\""]);
    assert!(refused > 0.0, "a right is missing, and no metric tells");
    assert!(second.log().contains(&format!("\"{other}\"")), "{}", second.log());

    // It comes back to what it had: nothing of it counted as deleted.
    let (taken, said) = world.plane.apply(&other, &manifests::list("Edited there too"));
    assert!(taken, "{said}");
    world.grant(&other);
    world.wait("the other edit in force", SOON, || theirs()["status"]["revision"] == 2);
    assert!(!second.log().contains("deleted: nothing more is sent"), "{}", second.log());
}

/// Whoever rotates the password changes it, then kubelet writes the mounted file anew; nobody restarts the pod.
#[test]
fn a_database_password_that_was_rotated_is_read_again_without_a_restart() {
    let Some(world) = World::on_postgres() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let as_admin = |statement: &str| {
        runtime.block_on(async {
            let mut admin = PgConnection::connect(&world.store).await.unwrap();
            admin.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.unwrap();
        });
    };
    let file = world.dir.path().join("uri");
    let write = |password: &str| std::fs::write(&file, world.store.replace("postgres@", &format!("guarded:{password}@"))).unwrap();
    as_admin("CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'first-secret'");
    write("first-secret");
    let operator = world.start_with("a", world.plane.port, &["--store-file", file.to_str().unwrap()]);
    six_lost(&world, &sink, "20s");

    as_admin("ALTER ROLE guarded PASSWORD 'second-secret'");
    as_admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guarded'");
    world.wait("/readyz to say why", SOON, || {
        let said = operator.get("/readyz");
        said.starts_with("HTTP/1.1 503") && said.contains("refuses the login")
    });
    write("second-secret");
    world.wait("/readyz", SOON, || operator.get("/readyz").starts_with("HTTP/1.1 200"));
    world.wait("the second messages", SOON, || sink.accepted().len() == 12);
    nobody_twice(&sink, 12);
    assert!(operator.metric("rekindle_pass_failures_total", &["label=\"login_refused\""]) > 0.0, "{}", operator.get("/metrics"));
    assert!(!operator.log().contains("-secret"), "a password is shown");
    // Another database is no rotation.
    std::fs::write(&file, "postgres://guarded:second-secret@localhost/elsewhere").unwrap();
    world.wait("a complaint", SOON, || operator.log().contains("names another database"));
    assert!(operator.get("/readyz").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_signal_token_that_was_revoked_is_refused_without_a_restart() {
    let Some(world) = World::new() else { return };
    let file = world.dir.path().join("tokens");
    std::fs::write(&file, "the-first-token-of-all\nthe-second-token-of-all\n").unwrap();
    let operator = world.start_with("a", world.plane.port, &["--signal-tokens-file", file.to_str().unwrap()]);
    world.wait("/readyz", SOON, || operator.get("/readyz").starts_with("HTTP/1.1 200"));
    // What is no event is 400 to whoever may report, 401 to others.
    let answer = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/cloudevents+json")];
        http::request("POST", &format!("http://{}/v1/signals", operator.pages()), &headers, "{}").0
    };
    assert!(answer("the-first-token-of-all") != 401 && answer("the-second-token-of-all") != 401);
    std::fs::write(&file, "the-second-token-of-all, the-third-token-of-all").unwrap();
    world.wait("the first to be refused", SOON, || answer("the-first-token-of-all") == 401);
    assert!(answer("the-second-token-of-all") != 401 && answer("the-third-token-of-all") != 401);
    // What cannot be used changes nothing.
    std::fs::write(&file, "short").unwrap();
    world.wait("a complaint", SOON, || operator.log().contains("shorter than 16"));
    assert_ne!(answer("the-third-token-of-all"), 401);
}
