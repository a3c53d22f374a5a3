use super::{Site, TOKEN};
use crate::{
    model::{Address, Email, InboxEvent, Medium, SignalKind, SuppressionReason, SuppressionScope},
    store::Journal as _,
};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

fn call(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/pbx", "type": "dev.rekindle.signal.inboundcall",
        "time": "2026-11-22T09:59:00Z", "data": {"deal": "7"}})
}

async fn send(site: &Site, content_type: &str, body: String) -> (u16, Value) {
    let response =
        site.post("/v1/signals").bearer_auth(TOKEN).header("content-type", content_type).body(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn an_event_is_taken_once() {
    let site = Site::start().await;
    let one = "application/cloudevents+json; charset=utf-8";
    let (status, body) = send(&site, one, call("1").to_string()).await;
    assert_eq!((status, &body["accepted"]), (202, &json!(1)), "{body}");
    let (status, body) = send(&site, one, call("1").to_string()).await;
    assert_eq!((status, &body["duplicates"], &body["events"][0]["result"]), (202, &json!(1), &json!("duplicate")));
    let stored = site.journal.take();
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].source.as_str(), stored[0].id.as_str()), ("ce:/pbx", "1"));
    let InboxEvent::Signal { kind, subject, .. } = &stored[0].event else { panic!() };
    assert_eq!((*kind, subject.deal.clone()), (SignalKind::InboundCall, Some(("marketing/sales".into(), "7".into()))));
}

#[tokio::test]
async fn binary_mode_and_the_older_token() {
    let site = Site::start().await;
    let response = site
        .post("/v1/signals")
        .header("authorization", "bearer an-older-token-still-valid")
        .header("ce-specversion", "1.0")
        .header("ce-id", "b-1")
        .header("ce-source", "/site")
        .header("ce-type", "dev.rekindle.signal.form")
        .json(&json!({"email": "sara@example.com"}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    assert!(
        matches!(&site.journal.take()[0].event, InboxEvent::Signal { kind: SignalKind::Form, subject, .. } if subject.email.is_some())
    );
}

#[tokio::test]
async fn bad_events_of_a_batch_do_not_hold_the_good_ones_up() {
    let site = Site::start().await;
    let mut future = call("3");
    future["time"] = json!("2030-01-01T00:00:00Z");
    let mut unknown = call("4");
    unknown["type"] = json!("dev.rekindle.signal.telepathy");
    let batch = json!([call("1"), future, unknown, 5, call("2"), call("1")]);
    let (status, body) = send(&site, "application/cloudevents-batch+json", batch.to_string()).await;
    assert_eq!(status, 202);
    let results: Vec<_> = body["events"].as_array().unwrap().iter().map(|e| e["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["accepted", "rejected", "rejected", "rejected", "accepted", "duplicate"]);
    assert_eq!(body["events"][1]["error"], "time is in the future");
    assert!(body["events"][2]["help"].as_str().unwrap().contains("inboundcall"));
    assert_eq!(site.journal.take().len(), 2);
    let (status, body) = send(&site, "application/cloudevents-batch+json", json!([unknown_alone()]).to_string()).await;
    assert_eq!((status, &body["rejected"]), (400, &json!(1)));
    assert_eq!(send(&site, "application/cloudevents-batch+json", "[]".into()).await.0, 202);
}

fn unknown_alone() -> Value {
    json!({"specversion": "1.0", "id": "9", "source": "/pbx", "type": "com.example.other", "data": {}})
}

#[tokio::test]
async fn who_answers_stop_by_email_gets_no_more_of_it_and_an_absence_notice_wakes_nobody() {
    let site = Site::start().await;
    let reply = |id: &str, text: &str| {
        json!({"specversion": "1.0", "id": id, "source": "/mailbox", "type": "dev.rekindle.signal.reply",
            "data": {"email": "Sara@example.com", "text": text}})
    };
    let batch = json!([reply("1", "Out of office until Monday"), reply("2", "СТОП"), reply("3", "да"), reply("2", "СТОП")]);
    let (status, body) = send(&site, "application/cloudevents-batch+json", batch.to_string()).await;
    let results: Vec<_> = body["events"].as_array().unwrap().iter().map(|e| e["result"].as_str().unwrap()).collect();
    assert_eq!((status, results), (202, vec!["accepted", "accepted", "accepted", "duplicate"]));
    let stored = site.journal.take();
    assert_eq!(stored.len(), 2);
    assert!(matches!(&stored[0].event, InboxEvent::Unsubscribe { subject, .. } if subject.email.is_some()));
    let suppression = &stored[0].suppress[0];
    let mailbox = Address::Email(Email::parse("sara@example.com").unwrap());
    assert_eq!(suppression.scope, SuppressionScope::Address(site.journal.address_hash(&mailbox)));
    assert_eq!((suppression.medium, suppression.reason), (Some(Medium::Email), SuppressionReason::Stop));
    assert!(matches!(&stored[1].event, InboxEvent::Signal { kind: SignalKind::Reply, .. }) && stored[1].suppress.is_empty());
    let metrics = site.metrics().await;
    assert!(metrics.contains("rekindle_unsubscribes_total{how=\"stop\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_word_that_texts_announce_is_not_taken_for_a_reply_by_a_process_that_has_just_started() {
    let site = Site::start().await;
    let event = |id: &str, kind: &str, text: &str| {
        json!({"specversion": "1.0", "id": id, "source": "/mailbox", "type": format!("dev.rekindle.signal.{kind}"),
            "data": {"email": "sara@example.com", "text": text}})
    };
    let mut call = call("4");
    call["data"] = json!({"deal": "7", "connection": "m/late"});
    let batch = json!([event("1", "reply", "отказ"), event("2", "reply", "СТОП"), event("3", "chat", "отказ"), call]).to_string();
    let batches = "application/cloudevents-batch+json";
    site.set(|settings| settings.known = false);
    assert_eq!(send(&site, batches, batch.clone()).await.0, 503);
    let stored = site.journal.take();
    assert_eq!(stored.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["2", "3"], "what is STOP everywhere does not wait");
    site.set(|settings| {
        settings.known = true;
        settings.keywords.insert("m/sms".into(), ["ОТКАЗ".to_owned()].into());
        settings.connections.insert("m/late".into(), "RU".into());
    });
    let (status, body) = send(&site, batches, batch).await;
    let results: Vec<_> = body["events"].as_array().unwrap().iter().map(|e| e["result"].as_str().unwrap()).collect();
    assert_eq!((status, results), (202, vec!["accepted", "duplicate", "duplicate", "accepted"]));
    assert!(matches!(&site.journal.take()[0].event, InboxEvent::Unsubscribe { .. }));
}

#[tokio::test]
async fn refusals() {
    let site = Site::start().await;
    for token in ["", "wrong-token-wrong-token", "a-token-of-the-telephon"] {
        let response = site.post("/v1/signals").bearer_auth(token).json(&call("1")).send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    assert_eq!(site.post("/v1/signals").json(&call("1")).send().await.unwrap().status(), 401);
    assert_eq!(send(&site, "text/plain", "x".into()).await.0, 415);
    assert_eq!(send(&site, "application/json", call("1").to_string()).await.0, 415);
    assert_eq!(send(&site, "application/cloudevents+json", "{".into()).await.0, 400);
    assert_eq!(send(&site, "application/cloudevents+json", " ".repeat(1024 * 1024 + 1)).await.0, 413);
    assert_eq!(send(&site, "application/cloudevents+json", "[".repeat(100_000)).await.0, 400);
    assert_eq!(site.get("/v1/signals").bearer_auth(TOKEN).send().await.unwrap().status(), 405);
    site.journal.down.store(true, Ordering::SeqCst);
    assert_eq!(send(&site, "application/cloudevents+json", call("1").to_string()).await.0, 503);
    assert!(site.journal.take().is_empty());
}
