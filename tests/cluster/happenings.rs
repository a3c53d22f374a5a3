//! Events: what a person would want to know is told, once, and without anybody's data.

use crate::{
    http, manifests,
    operator::{Operator, TOKEN, World, condition},
    sink::{Letter, Sink},
};
use std::time::Duration;

/// A server that is not reached is tried again within a minute.
const SOON: Duration = Duration::from_secs(75);

fn told<'e>(events: &'e [(String, String)], reason: &str) -> Vec<&'e str> {
    events.iter().filter(|(word, _)| word == reason).map(|(_, note)| note.as_str()).collect()
}

fn call(operator: &Operator, id: &str, email: &str) {
    let call = serde_json::json!({"specversion": "1.0", "id": id, "source": "/pbx", "type": "dev.rekindle.signal.inboundcall",
        "time": jiff::Timestamp::now().to_string(), "data": {"email": email}});
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/cloudevents+json")];
    let url = format!("http://{}/v1/signals", operator.pages());
    assert_eq!(http::request("POST", &url, &headers, &call.to_string()).0, 202);
}

fn opt_out(operator: &Operator, letter: &Letter) {
    let url = letter.unsubscribe().replace("https://go.example.com", &format!("http://{}", operator.pages()));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(http::request("POST", &url, &headers, "List-Unsubscribe=One-Click").0, 200);
}

#[test]
fn a_mail_server_that_is_down_is_told_and_so_is_its_return() {
    let Some(world) = World::new() else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _operator = world.start("a");
    let resources = manifests::world(port).replace("  rate:", "  retry: {min: 1s, max: 2s}\n  rate:");
    world.apply(&manifests::deals(3, false));
    world.apply(&resources);
    world.until_ready("funnel/sales");
    world.wait("the import", SOON, || world.object("funnel", "sales")["status"]["copies"]["inWork"] == 3);
    assert!(told(&world.events(), "ProviderDown").is_empty());
    world.apply(&manifests::deals(3, true));
    world.wait("the outage to be told", SOON, || !told(&world.events(), "ProviderDown").is_empty());
    let [is, reason, message] = condition(&world.object("msgch", "mail"), "Healthy");
    assert_eq!((is.as_str(), reason.as_str()), ("False", "ProviderDown"));
    assert!(message.contains("messages wait"), "{message}");
    // Between two attempts it is as down as before.
    std::thread::sleep(Duration::from_secs(12));
    assert!(told(&world.events(), "Recovered").is_empty(), "its return was told while it was away");
    assert_eq!(condition(&world.object("msgch", "mail"), "Healthy")[1], "ProviderDown");
    let sink = Sink::start_on(world.dir.path(), port);
    world.wait("the messages", SOON, || sink.accepted().len() == 3);
    world.wait("the return to be told", SOON, || !told(&world.events(), "Recovered").is_empty());
    world.wait("health", SOON, || condition(&world.object("msgch", "mail"), "Healthy")[0] == "True");
}

#[test]
fn the_first_revival_and_a_spike_of_opt_outs_are_told_once() {
    let Some(world) = World::new() else { return };
    let sink = Sink::start(world.dir.path(), Duration::ZERO);
    let operator = world.start("a");
    world.fill(sink.port, 9, false);
    world.until_ready("funnel/sales");
    world.wait("the import", SOON, || world.object("funnel", "sales")["status"]["copies"]["inWork"] == 9);
    world.apply(&manifests::deals(9, true));
    world.wait("the messages", SOON, || sink.accepted().len() == 9);
    world.wait("the counts", SOON, || world.object("funnel", "sales")["status"]["lastDay"]["sent"] == 9);

    call(&operator, "call-0", "client0@mail.example");
    world.wait("the first revival", SOON, || !told(&world.events(), "FirstRevival").is_empty());
    call(&operator, "call-1", "client1@mail.example");
    world.wait("the second in the counts", SOON, || world.object("funnel", "sales")["status"]["copies"]["revived"] == 2);

    for n in 2..6 {
        opt_out(&operator, &sink.letter(&format!("client{n}@")));
    }
    world.wait("four opt-outs", SOON, || world.object("funnel", "sales")["status"]["lastMonth"]["unsubscribed"] == 4);
    assert!(told(&world.events(), "UnsubscribeSpike").is_empty(), "four are not yet a spike");
    for n in 6..8 {
        opt_out(&operator, &sink.letter(&format!("client{n}@")));
    }
    world.wait("the spike", SOON, || !told(&world.events(), "UnsubscribeSpike").is_empty());
    world.wait("six opt-outs", SOON, || world.object("funnel", "sales")["status"]["lastMonth"]["unsubscribed"] == 6);

    // Both have bought: nobody stands in Revived, and who comes back then is not the first.
    let won = (0..2).fold(manifests::deals(9, true), |deals, n| {
        deals.replace(&format!("D{n},Flat,Sales,Lost,price,"), &format!("D{n},Flat,Sales,Won,,"))
    });
    world.apply(&won);
    world.wait("the sales", SOON, || world.object("funnel", "sales")["status"]["copies"]["revived"] == 0);
    call(&operator, "call-8", "client8@mail.example");
    world.wait("the third revival", SOON, || world.object("funnel", "sales")["status"]["copies"]["revived"] == 1);
    std::thread::sleep(Duration::from_secs(2));

    let events = world.events();
    assert_eq!((told(&events, "FirstRevival").len(), told(&events, "UnsubscribeSpike").len()), (1, 1), "{events:?}");
    let all = world.must(&["get", "events", "-o", "yaml"]);
    assert!(!all.contains("mail.example") && !all.contains("Client "), "personal data in an event: {all}");
}
