//! What clients, managers and telephony do, and what follows: over the wire, on the real binary.

use crate::{
    harness::{Running, World, text},
    http,
    sink::Sink,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_mins(1);
const TOKEN: &str = "a-token-of-the-test-suite";

/// On each store there is, with a sink of its own.
fn on_each_store(promise: impl Fn(&Sink, World)) {
    for postgres in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let sink = Sink::start(home.path(), Duration::ZERO);
        let world = World::new(sink.port);
        if let Some(world) = if postgres { world.on_postgres() } else { Some(world) } {
            promise(&sink, world);
        }
    }
}

/// The world with `n` lost deals whose messages have arrived.
fn warmed(world: &mut World, n: usize) -> Running {
    world.args.extend(["--signal-tokens".into(), TOKEN.into()]);
    world.deals(n, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == n as u64);
    world.deals(n, true);
    world.wait("the messages", PATIENCE, || world.messages("accepted") == n as u64);
    running
}

/// What was written back to the CRM about a deal.
fn written(world: &World, deal: &str, what: &str) -> Vec<Value> {
    let lines = text(&world.path("data/writeback.jsonl"));
    let all = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    all.filter(|v| v["subject"] == deal && v["data"]["do"] == what).map(|v| v["data"].clone()).collect()
}

fn target(answer: &str) -> &str {
    answer.lines().find_map(|l| l.strip_prefix("location: ")).unwrap_or_default().trim()
}

/// A person opens the link: redirected to where the content said, and the manager has a task. A scanner at the door wakes nobody.
#[test]
fn a_click_becomes_the_managers_task() {
    on_each_store(|sink, mut world| {
        let running = warmed(&mut world, 2);
        let arrived = Instant::now();
        let (early, person) = (sink.letter("client0@").link(), sink.letter("client1@").link());
        assert!(person.starts_with(&world.pages()), "{person}");
        let (status, answer) = http::get(&early);
        assert_eq!((status, target(&answer).split('?').next()), (302, Some("https://shop.example/offer")), "{answer}");
        // Only what comes at least ten seconds after the delivery can be a person: the product's own rule.
        std::thread::sleep(Duration::from_secs(11).saturating_sub(arrived.elapsed()));
        assert_eq!(http::get(&person).0, 302);
        world.wait("the task", PATIENCE, || written(&world, "D1", "task").len() == 1);
        let task = &written(&world, "D1", "task")[0];
        assert_eq!(task["manager"], "M1", "{task}");
        assert_eq!(http::get(&person).0, 302);
        let shown = world.command(&["timeline", "--deal", "D1"]);
        assert!(String::from_utf8_lossy(&shown.stdout).contains("offer"));
        assert!(running.stop());
        assert_eq!(written(&world, "D1", "task").len(), 1, "once a period");
        assert!(written(&world, "D0", "task").is_empty(), "a scanner wakes nobody");
    });
}

/// One click in the mail program (RFC 8058), and no deal of this person leads to a message any more.
#[test]
fn one_click_unsubscribes_the_person() {
    on_each_store(|sink, mut world| {
        let running = warmed(&mut world, 2);
        let link = sink.letter("client0@").unsubscribe();
        assert_eq!(http::get(&link).0, 200, "a page with a button");
        assert_eq!(world.in_role("Unsubscribed"), 0, "looking at it changes nothing");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(http::request("POST", &link, &form, "List-Unsubscribe=One-Click").0, 200);
        world.wait("the opt-out", PATIENCE, || world.in_role("Unsubscribed") == 1);
        // Another deal of the same person is lost, and one of somebody new.
        let csv = text(&world.path("data/deals.csv"));
        world.write("data/deals.csv", &format!("{csv}{}{}", World::deal("X0", 0, true), World::deal("X9", 9, true)));
        world.wait("the newcomer's letter", PATIENCE, || world.messages("accepted") == 3);
        world.wait("all deals to come to rest", PATIENCE, || world.status()["funnels"][0]["due"] == 0);
        assert!(running.stop());
        let letters = |to: &str| sink.letters().iter().filter(|l| l.to.starts_with(to)).count();
        assert_eq!((letters("client0@"), letters("client1@"), letters("client9@")), (1, 1, 1));
    });
}

/// What a platform team does to wire STOP: the printed address goes to the gateway, a client's answer comes by it.
#[test]
fn stop_arrives_at_the_address_that_hooks_prints() {
    on_each_store(|_, world| {
        world.deals(1, false);
        world.write("sms.yaml", SMS);
        let running = world.start();
        world.wait("the import", PATIENCE, || world.in_role("InWork") == 1);
        let folder = world.path("");
        let printed = world.command(&["hooks", "-f", folder.to_str().unwrap(), "--public-url", &world.pages(), "-o", "json"]);
        let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
        let url = printed["hooks"][0]["inbound"].as_str().unwrap();
        assert!(url.contains("/hooks/default/sms/gateway/inbound?k="), "{printed}");
        let asked = |text: &str| http::get(&by_kannel(url, text)).0;
        assert_eq!((asked("STOP"), asked("STOP"), asked("HELLO")), (200, 200, 200));
        assert_eq!(http::get(url.split("&from").next().unwrap()).0, 400, "a gateway that calls the fields otherwise hears of it");
        for (result, count) in [("stop", 1), ("duplicate", 1), ("reply", 1), ("unreadable", 1)] {
            assert_eq!(heard(&world, result), count, "{result}");
        }
        // The store alone knows the channels of funnels: this one is of none.
        let printed = world.command(&["hooks", "--public-url", &world.pages()]);
        assert!(String::from_utf8_lossy(&printed.stdout).contains("There is no SMS channel."));
        assert!(running.stop());
    });
}

/// An edit is broken elsewhere, so that texts go on announcing the word that the channel has changed already.
#[test]
fn the_word_that_texts_still_announce_stops() {
    let world = World::new(9);
    world.edit(
        "channels: [{name: mail, ref: {name: mail}}]",
        "channels: [{name: mail, ref: {name: mail}}, {name: sms, ref: {name: sms}}]",
    );
    world.write("sms.yaml", &SMS.replace("optOut: Keyword", "optOut: Keyword, keyword: WEG"));
    world.deals(1, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 1);
    let printed = world.command(&["hooks", "--public-url", &world.pages(), "-o", "json"]);
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let url = printed["hooks"][0]["inbound"].as_str().unwrap().to_owned() + "&from=%p&to=%P&text=%b&id=%I";
    world.edit("a better price", "{{ client.nobody }}");
    world.wait("the broken edit", PATIENCE, || world.log().contains("revision 1 stays in force"));
    world.write("sms.yaml", &SMS.replace("optOut: Keyword", "optOut: Keyword, keyword: HALT"));
    let mut asked = 0;
    world.wait("the channel's new word", PATIENCE, || {
        asked += 1;
        let answer = by_kannel(&url, "HALT").replace("id=HALT", &format!("id={asked}"));
        http::get(&answer).0 == 200 && heard(&world, "stop") == 1
    });
    assert_eq!((http::get(&by_kannel(&url, "WEG")).0, heard(&world, "stop")), (200, 2), "{}", world.log());
    assert!(running.stop());
}

/// What Kannel makes of its `get-url` when a client answers.
fn by_kannel(url: &str, text: &str) -> String {
    [("%p", "79990001122"), ("%P", "7777"), ("%b", text), ("%I", text)]
        .iter()
        .fold(url.to_owned(), |url, (of, value)| url.replace(of, value))
}

fn heard(world: &World, result: &str) -> u64 {
    let (_, metrics) = http::get(&format!("{}/metrics", world.admin()));
    let line = format!("rekindle_inbound_messages_total{{result=\"{result}\"}} ");
    metrics.lines().find_map(|found| found.strip_prefix(&line)).and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

const SMS: &str = r#"apiVersion: v1
kind: Secret
metadata: {name: kannel}
stringData: {username: tester, password: foobar}
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: sms}
spec:
  sms: {from: "7777", optOut: Keyword}
  providers: [{name: gateway, type: Kannel, kannel: {url: "http://127.0.0.1:9", secretRef: {name: kannel}}}]
"#;

/// The client calls: the deal goes back to work, the manager has a task, and the same call reported twice counts once.
#[test]
fn a_call_brings_the_deal_back() {
    on_each_store(|sink, mut world| {
        let running = warmed(&mut world, 2);
        let call = json!({"specversion": "1.0", "id": "call-1", "source": "/pbx", "type": "dev.rekindle.signal.inboundcall",
        "time": jiff::Timestamp::now().to_string(), "data": {"email": "client1@mail.example"}});
        let url = format!("{}/v1/signals", world.pages());
        let report = |token: &str| {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str()), ("content-type", "application/cloudevents+json")];
            http::request("POST", &url, &headers, &call.to_string()).0
        };
        assert_eq!(report("not-the-right-token"), 401);
        let since = Instant::now();
        assert_eq!((report(TOKEN), report(TOKEN)), (202, 202));
        world.wait("the move and the task", PATIENCE, || {
            !written(&world, "D1", "move").is_empty() && !written(&world, "D1", "task").is_empty()
        });
        eprintln!("signal to write-back: {:?}", since.elapsed());
        assert_eq!(world.in_role("Revived"), 1);
        assert_eq!(written(&world, "D1", "move")[0]["stage"], "Talks");
        // A restart goes on exactly where it was: nothing is done again.
        assert!(running.stop());
        let running = world.start();
        world.wait("the engine", PATIENCE, || http::get(&format!("{}/readyz", world.admin())).0 == 200);
        std::thread::sleep(Duration::from_secs(2));
        assert!(running.stop());
        assert_eq!((written(&world, "D1", "move").len(), written(&world, "D1", "task").len()), (1, 1));
        assert_eq!(sink.accepted().len(), 2);
    });
}

/// The mail server is down when the deals are lost, and comes back.
#[test]
fn a_mail_server_that_was_down_costs_only_time() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut world = World::new(port);
    world.edit("rate:", "retry: {min: 1s, max: 2s}\n  rate:");
    world.args = vec!["--signal-tokens".into(), TOKEN.into()];
    world.deals(10, false);
    let running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 10);
    world.deals(10, true);
    world.wait("attempts", PATIENCE, || world.log().contains("mail server not usable"));
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start_on(home.path(), port);
    world.wait("all messages", PATIENCE, || world.messages("accepted") == 10);
    assert_eq!(sink.accepted().len(), 10);
    assert_eq!(world.messages("unknown"), 0);
    assert!(running.stop());
}

/// The order in which things are applied means nothing: a funnel that comes after its connection was read gets the deals that were
/// there, once, and an old one that changes nothing of them.
#[test]
fn a_funnel_that_comes_later_meets_the_deals_that_are_there() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let world = World::new(sink.port);
    let whole = text(&world.path("funnel.yaml"));
    let (others, _) = whole.rsplit_once("---\n").unwrap();
    world.write("funnel.yaml", others);
    world.deals(3, false);
    let running = world.start();
    world.wait("the CRM to be read", PATIENCE, || world.status()["connections"][0]["rows"] == 3);
    world.write("funnel.yaml", &whole);
    world.wait("the copies", PATIENCE, || world.in_role("InWork") == 3);
    assert!(running.stop());
}

/// What a marketer does before anything goes out: sees the email in a browser, and gets it in the own mailbox.
#[test]
fn a_preview_is_opened_in_a_browser_and_sent_to_an_own_mailbox() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let world = World::new(sink.port);
    world.deals(1, true);
    // The desktop's opener, which says what it was given.
    let opener = home.path().join("xdg-open");
    std::fs::write(&opener, format!("#!/bin/sh\ncp \"$1\" {}/opened.html\n", home.path().display())).unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", home.path().display(), std::env::var("PATH").unwrap_or_default());
    let config = world.path("");
    let preview = |more: &[&str]| {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_rekindle"))
            .args(["preview", "-f", config.to_str().unwrap(), "--item", "price/offer"])
            .args(more)
            .env("PATH", &path)
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{said}");
        said
    };
    preview(&["--open"]);
    assert!(text(&home.path().join("opened.html")).contains("<html"), "the whole email stands in the file");
    assert!(sink.letters().is_empty(), "a look sends nothing");
    preview(&["--to", "me@mail.example"]);
    let letters = sink.letters();
    assert_eq!(letters.iter().map(|l| l.to.as_str()).collect::<Vec<_>>(), ["me@mail.example"], "and not to the client");
}
