//! Edits with kubectl, and what the statuses say of them.

use crate::{
    kstatus::{self, Kstatus},
    manifests,
    operator::{World, condition},
    sink::Sink,
};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_broken_edit_says_what_to_write_and_heals_and_a_deleted_list_stays_in_force() {
    let Some(world) = World::new() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let _operator = world.start("a");
    world.fill(sink.port, 3, false);
    assert_eq!(kstatus::of(&world.object("funnel", "sales")), Kstatus::InProgress, "nobody has looked at it yet");
    for what in ["funnel/sales", "contents/price", "cpol/default", "msgch/mail", "crm/crm"] {
        world.until_ready(what);
        let (kind, name) = what.split_once('/').unwrap();
        assert_eq!(kstatus::of(&world.object(kind, name)), Kstatus::Current, "{what}");
    }
    world.wait("figures", SOON, || world.object("funnel", "sales")["status"]["copies"]["inWork"] == 3);
    world.wait("health", SOON, || condition(&world.object("funnel", "sales"), "Healthy")[0] == "True");

    // A word that the compiler does not know.
    world.apply(&manifests::list("{{ client.frstName }}, a better price"));
    world.wait("the list's answer", SOON, || kstatus::of(&world.object("contents", "price")) == Kstatus::Failed);
    let [_, reason, message] = condition(&world.object("contents", "price"), "Ready");
    assert_eq!(reason, "Invalid");
    assert!(message.contains("spec.items[0].email.subject") && message.contains("client.firstName"), "{message}");
    world.wait("the funnel's answer", SOON, || condition(&world.object("funnel", "sales"), "Ready")[1] == "ReferenceInvalid");
    let funnel = world.object("funnel", "sales");
    assert!(condition(&funnel, "Ready")[2].contains("revision 1 stays in force"), "{funnel}");
    assert_eq!(condition(&funnel, "Healthy")[0], "True", "a bad configuration is no outage");
    assert_eq!(condition(&funnel, "ContentValid")[0], "False");

    world.apply(&manifests::list("Hello again"));
    world.wait("healing", SOON, || kstatus::of(&world.object("contents", "price")) == Kstatus::Current);
    world.wait("healing of the funnel", SOON, || world.object("funnel", "sales")["status"]["revision"] == 2);
    let events = world.events();
    assert!(events.iter().any(|(reason, note)| reason == "Invalid" && note.contains("client.firstName")), "{events:?}");
    assert!(events.iter().any(|(reason, note)| reason == "ContentChanged" && note.contains("1 of 1 items")), "{events:?}");

    // Deleted while it is used: what was good stays in force and the funnel says so; it heals when it comes again.
    world.must(&["delete", "contents", "price"]);
    world.wait("the missing list", SOON, || condition(&world.object("funnel", "sales"), "Ready")[1] == "WaitingForReference");
    let message = condition(&world.object("funnel", "sales"), "Ready")[2].clone();
    assert!(message.contains("there is no ContentList price") && message.contains("revision 2 stays in force"), "{message}");
    world.apply(&manifests::list("Hello again"));
    world.until_ready("funnel/sales");

    let columns = world.must(&["get", "funnels"]);
    assert!(columns.starts_with("NAME") && columns.contains("IN WORK") && columns.contains("RATE 30D"), "{columns}");
    assert!(columns.contains("Live   True    True      3"), "{columns}");
}

#[test]
fn a_secret_that_comes_later_is_seen_and_one_that_changes_too() {
    let Some(world) = World::new() else { return };
    let _operator = world.start("a");
    let with_login = manifests::world(25).replace("tls: None, connections", "tls: Starttls, secretRef: {name: login}, connections");
    world.apply(&manifests::deals(1, false));
    world.apply(&with_login);
    world.wait("the missing Secret", SOON, || condition(&world.object("msgch", "mail"), "Ready")[1] == "WaitingForReference");
    assert!(condition(&world.object("msgch", "mail"), "Ready")[2].contains("there is no Secret login"));
    assert_eq!(kstatus::of(&world.object("msgch", "mail")), Kstatus::InProgress);
    world.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {username: u, password: very-hidden}\n");
    world.until_ready("msgch/mail");
    world.until_ready("funnel/sales");
    // A key is lost: seen by the watch of its metadata.
    world.must(&["patch", "secret", "login", "--type=json", "-p", r#"[{"op": "remove", "path": "/data/password"}]"#]);
    world.wait("the lost key", SOON, || condition(&world.object("msgch", "mail"), "Ready")[2].contains("has no key password"));
    let everything = world.must(&["get", "rekindle,events", "-o", "yaml"]);
    assert!(!everything.contains("very-hidden"), "a secret is shown");
}

#[test]
fn a_channel_that_cannot_be_opened_goes_on_as_it_was_until_the_operator_is_restarted_and_is_told_both_times() {
    let Some(world) = World::new() else { return };
    let operator = world.start("a");
    world.fill(25, 1, false);
    world.until_ready("msgch/mail");
    world.wait("health", SOON, || condition(&world.object("msgch", "mail"), "Healthy")[0] == "True");
    let from = "{from: {name: Sales, address: hello@news.example.com}}";
    let signed = from.replace("}}", "}, dkim: {domain: news.example.com, selector: s1, secretRef: {name: dkim, key: key}}}");
    let resources = manifests::world(25);
    assert!(resources.contains(from));
    world.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: dkim}\nstringData: {key: no key at all}\n");
    world.apply(&resources.replace(from, &signed));
    world.wait("the key that is none", SOON, || condition(&world.object("msgch", "mail"), "Ready")[1] == "CannotOpen");
    let told = || world.events().into_iter().filter(|(reason, _)| reason == "CannotOpen").count();
    world.wait("its event", SOON, || told() > 0);
    let mail = world.object("msgch", "mail");
    assert!(condition(&mail, "Ready")[2].contains("what was in force stays in force"), "{mail}");
    assert_eq!(condition(&mail, "Healthy")[0], "True", "{mail}");
    assert_eq!(told(), 1);
    operator.kill();
    let _operator = world.start("a");
    world.wait("what is really so", SOON, || condition(&world.object("msgch", "mail"), "Healthy")[1] == "CannotOpen");
    let mail = world.object("msgch", "mail");
    assert_eq!(condition(&mail, "Healthy")[0], "False", "{mail}");
    assert!(!condition(&mail, "Ready")[2].contains("stays in force"), "{mail}");
    world.wait("the funnel's answer", SOON, || condition(&world.object("funnel", "sales"), "ChannelsReady")[0] == "False");
    // Of the channel, and of the funnel that uses it.
    world.wait("events", SOON, || told() == 3);
    world.apply(&resources);
    world.until_ready("msgch/mail");
    world.wait("health again", SOON, || condition(&world.object("msgch", "mail"), "Healthy")[0] == "True");
}

#[test]
fn at_no_moment_does_an_object_look_finished_that_is_not() {
    let Some(world) = World::new() else { return };
    let _operator = world.start("a");
    world.fill(25, 1, false);
    world.until_ready("funnel/sales");
    for round in 0..4 {
        let subject = if round % 2 == 0 { "{{ nobody.knows }}".to_owned() } else { format!("Round {round}") };
        world.apply(&manifests::list(&subject));
        let wanted = if round % 2 == 0 { Kstatus::Failed } else { Kstatus::Current };
        world.wait("the verdict", SOON, || {
            let list = world.object("contents", "price");
            let seen = kstatus::of(&list);
            assert!(seen == Kstatus::InProgress || seen == wanted, "round {round}: {seen:?}: {list}");
            seen == wanted
        });
    }
}

#[test]
fn a_deleted_funnel_sends_nothing_and_one_created_again_messages_nobody_twice() {
    let Some(world) = World::new() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let _operator = world.start("a");
    world.fill(sink.port, 5, false);
    world.until_ready("funnel/sales");
    world.wait("the import", SOON, || world.object("funnel", "sales")["status"]["copies"]["inWork"] == 5);
    std::thread::sleep(Duration::from_secs(1));
    world.apply(&manifests::deals(5, true));
    world.wait("the messages", SOON, || sink.accepted().len() == 5);
    world.must(&["delete", "funnel", "sales"]);
    world.apply(&manifests::deals(9, true));
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(sink.accepted().len(), 5, "a deleted funnel sends nothing");
    world.fill(sink.port, 9, true);
    world.until_ready("funnel/sales");
    world.wait("the copies", SOON, || world.object("funnel", "sales")["status"]["copies"]["warming"].as_i64() >= Some(5));
    std::thread::sleep(Duration::from_secs(3));
    let mut to: Vec<String> = sink.letters().into_iter().map(|letter| letter.to).collect();
    let all = to.len();
    to.sort();
    to.dedup();
    assert_eq!(to.len(), all, "somebody was written to twice");
}

#[test]
fn a_hold_stands_in_the_status_and_no_re_apply_undoes_it() {
    let Some(world) = World::on_postgres() else { return };
    let operator = world.start("a");
    world.fill(25, 2, false);
    world.until_ready("funnel/sales");
    world.command(&["hold", "--funnel", &format!("{}/sales", world.namespace), "--reason", "too many complaints"]);
    world.wait("the hold", SOON, || condition(&world.object("funnel", "sales"), "Suspended")[1] == "Held");
    world.apply(&manifests::world(25));
    std::thread::sleep(Duration::from_secs(2));
    let [is, reason, message] = condition(&world.object("funnel", "sales"), "Suspended");
    assert_eq!((is.as_str(), reason.as_str()), ("True", "Held"));
    assert!(message.contains("too many complaints"), "{message}");
    // Nothing changes any more: nothing is written any more.
    std::thread::sleep(Duration::from_secs(6));
    let writes = |text: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with("rekindle_status_writes_total"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let before = writes(&operator.get("/metrics"));
    std::thread::sleep(Duration::from_secs(8));
    let after = writes(&operator.get("/metrics"));
    // The minute of the last reading may have turned once.
    assert!(before > 0.0 && after - before <= 1.0, "{before} {after}");
}

#[test]
fn a_database_restored_from_an_earlier_copy_starts_on_hold_and_says_why() {
    let Some(world) = World::new() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let operator = world.start("a");
    world.fill(sink.port, 5, false);
    world.until_ready("funnel/sales");
    world.wait("the import", SOON, || world.object("funnel", "sales")["status"]["copies"]["inWork"] == 5);
    std::thread::sleep(Duration::from_secs(1));
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
    world.apply(&manifests::deals(5, true));
    world.wait("the messages", SOON, || sink.accepted().len() == 5);
    std::thread::sleep(Duration::from_secs(1));
    operator.kill();
    save(&copy, &file);
    let _operator = world.start("a");
    world.wait("the hold", SOON, || condition(&world.object("funnel", "sales"), "Suspended")[1] == "Held");
    let message = condition(&world.object("funnel", "sales"), "Suspended")[2].clone();
    assert!(message.contains("behind its witness"), "{message}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(sink.accepted().len(), 5, "what a restored database forgot is not sent again");
}

#[test]
fn a_funnel_that_comes_after_its_connection_has_all_the_deals() {
    let Some(later) = World::new() else { return };
    let _operator = later.start("b");
    let all = manifests::world(25);
    let (before, funnel) = all.rsplit_once("---\n").unwrap();
    later.apply(&manifests::deals(4, false));
    later.apply(before);
    later.until_ready("crm/crm");
    std::thread::sleep(Duration::from_secs(3));
    later.apply(funnel);
    later.until_ready("funnel/sales");
    later.wait("the deals", SOON, || later.object("funnel", "sales")["status"]["copies"]["inWork"] == 4);
    let found = || later.object("crm", "crm")["status"]["pipelines"].clone();
    later.wait("pipelines and stages", SOON, || found() == serde_json::json!([{ "title": "Sales", "stages": ["Talks"] }]));
}
