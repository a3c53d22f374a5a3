//! What the receivers of write-backs see.

use super::connector::{Operation, WriteBack};
use super::write_back::WriteBacks;
use crate::compile::{Secret, WebhookWiring};
use crate::model::{CopyId, EffectRef, ManagerId, Outcome};
use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, response::IntoResponse, routing::post};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

fn job(deal: &str, n: i32, operation: Operation) -> WriteBack {
    WriteBack {
        effect: EffectRef { copy: CopyId(1), seq: n },
        key: uuid::Uuid::from_u128(u128::from(n.unsigned_abs())),
        deal: deal.into(),
        funnel: "marketing/flats".into(),
        operation,
        at: "2026-03-10T12:00:00Z".parse().unwrap(),
    }
}

fn comment(deal: &str, n: i32) -> WriteBack {
    job(deal, n, Operation::Comment { text: format!("comment {n}") })
}

type Answer = (u16, Vec<(&'static str, &'static str)>);

/// A receiver that remembers what it got and answers by the comment's number.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
}

impl Receiver {
    fn answer(&self, n: i32, status: u16, headers: &[(&'static str, &'static str)]) {
        self.answers.lock().unwrap().insert(format!("comment {n}"), (status, headers.to_vec()));
    }

    async fn serve(&self) -> WebhookWiring {
        async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> impl IntoResponse {
            let event: Value = serde_json::from_str(&body).unwrap();
            let text = event["data"]["text"].as_str().unwrap_or_default().to_owned();
            receiver.got.lock().unwrap().push((headers, event));
            let (status, headers) = receiver.answers.lock().unwrap().get(&text).cloned().unwrap_or((202, vec![]));
            let mut reply = StatusCode::from_u16(status).unwrap().into_response();
            for (name, value) in headers {
                reply.headers_mut().insert(name, value.parse().unwrap());
            }
            reply
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=hidden", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        WebhookWiring { url, token: Some(Secret("t0ken".into())) }
    }

    fn texts(&self, deal: &str) -> Vec<String> {
        let got = self.got.lock().unwrap();
        let of_deal = got.iter().filter(|(_, e)| e["subject"] == deal);
        of_deal.map(|(_, e)| e["data"]["text"].as_str().unwrap().to_owned()).collect()
    }
}

fn lines(path: &PathBuf) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[tokio::test]
async fn the_journal_holds_cloud_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let out = WriteBacks::new(Some(path.clone()), None).unwrap();
    let task = Operation::Task {
        manager: ManagerId("ivanov".into()),
        title: "Call back".into(),
        text: "opened the catalogue".into(),
        due_at: "2026-03-10T12:30:00Z".parse().unwrap(),
    };
    let back = Operation::Move { stage: "Talks".into(), expect: Some("Lost".into()) };
    let outcomes = out.write(&[job("D1", 1, back), job("D1", 2, task)]).await;
    assert!(outcomes.iter().all(accepted));
    assert!(accepted(&out.write(&[comment("D2", 3)]).await[0]));
    let lines = lines(&path);
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        json!({
            "specversion": "1.0", "id": "00000000-0000-0000-0000-000000000001", "source": "/rekindle/marketing/flats",
            "type": "dev.rekindle.deal.move", "subject": "D1", "time": "2026-03-10T12:00:00Z", "datacontenttype": "application/json",
            "origin": "rekindle", "data": {"do": "move", "stage": "Talks", "expect": "Lost"},
        })
    );
    assert_eq!(lines[1]["data"]["dueAt"], "2026-03-10T12:30:00Z");
    assert_eq!((&lines[1]["type"], &lines[2]["type"]), (&json!("dev.rekindle.deal.task"), &json!("dev.rekindle.deal.comment")));
}

#[tokio::test]
async fn the_webhook_gets_them_in_order_for_each_deal() {
    let receiver = Receiver::default();
    let out = WriteBacks::new(None, Some(&receiver.serve().await)).unwrap();
    let jobs: Vec<WriteBack> = (0..60).map(|n| comment(&format!("D{}", n % 3), n)).collect();
    assert!(out.write(&jobs).await.iter().all(accepted));
    for deal in 0..3 {
        let want: Vec<String> = (0..60).filter(|n| n % 3 == deal).map(|n| format!("comment {n}")).collect();
        assert_eq!(receiver.texts(&format!("D{deal}")), want);
    }
    let got = receiver.got.lock().unwrap();
    let (headers, event) = &got[0];
    assert_eq!(headers["content-type"], "application/cloudevents+json; charset=utf-8");
    assert_eq!(headers["authorization"], "Bearer t0ken");
    assert_eq!(event["origin"], "rekindle");
}

#[tokio::test]
async fn what_an_answer_means() {
    for (status, headers, want) in [
        (200, vec![], "accepted"),
        (204, vec![], "accepted"),
        (400, vec![], "rejected"),
        (422, vec![], "rejected"),
        (404, vec![], "down"),
        (405, vec![], "down"),
        (410, vec![], "down"),
        (401, vec![], "down"),
        (403, vec![], "down"),
        (408, vec![], "retry"),
        (429, vec![("retry-after", "7")], "retry after 7"),
        (500, vec![], "retry"),
        (503, vec![("retry-after", "120")], "retry after 120"),
        (307, vec![("location", "/elsewhere")], "retry"),
    ] {
        let receiver = Receiver::default();
        receiver.answer(1, status, &headers);
        let out = WriteBacks::new(None, Some(&receiver.serve().await)).unwrap();
        let outcome = out.write(&[comment("D1", 1)]).await.remove(0);
        let got = match &outcome {
            Outcome::Accepted { .. } => "accepted".to_owned(),
            Outcome::Rejected { .. } => "rejected".into(),
            Outcome::ChannelDown { .. } => "down".into(),
            Outcome::Retry { after: None, .. } => "retry".into(),
            Outcome::Retry { after: Some(after), .. } => format!("retry after {}", after.as_secs()),
            other => format!("{other:?}"),
        };
        assert_eq!(got, want, "{status}");
        assert!(!format!("{outcome:?}").contains("hidden"), "the URL may hold a secret");
        assert_eq!(receiver.got.lock().unwrap().len(), 1, "redirects are not followed");
    }
}

#[tokio::test]
async fn a_failure_holds_up_its_own_deal_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let receiver = Receiver::default();
    receiver.answer(2, 503, &[]);
    receiver.answer(4, 422, &[]);
    let out = WriteBacks::new(Some(path.clone()), Some(&receiver.serve().await)).unwrap();
    let jobs = [comment("A", 1), comment("A", 2), comment("A", 3), comment("B", 4), comment("B", 5)];
    let outcomes = out.write(&jobs).await;
    assert!(accepted(&outcomes[0]) && accepted(&outcomes[4]), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::Retry { .. }));
    assert_eq!(outcomes[2], Outcome::NotStarted);
    assert!(matches!(outcomes[3], Outcome::Rejected { .. }));
    assert_eq!(receiver.texts("A"), ["comment 1", "comment 2"]);
    let journalled: Vec<Value> = lines(&path).into_iter().map(|l| l["data"]["text"].clone()).collect();
    assert_eq!(journalled, ["comment 1", "comment 5"], "the journal holds what was accepted");
}

#[tokio::test]
async fn a_receiver_that_is_away_means_later() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?key=hidden", gone.local_addr().unwrap());
    drop(gone);
    let out = WriteBacks::new(None, Some(&WebhookWiring { url, token: None })).unwrap();
    let outcome = out.write(&[comment("D1", 1)]).await.remove(0);
    assert!(matches!(&outcome, Outcome::Retry { reason, .. } if reason == "the webhook cannot be reached"), "{outcome:?}");
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_tells_nobody_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::default();
    let out = WriteBacks::new(Some(folder.path().join("missing/journal.jsonl")), Some(&receiver.serve().await)).unwrap();
    let outcomes = out.write(&[comment("D1", 1), comment("D2", 2)]).await;
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Retry { .. })), "{outcomes:?}");
    assert!(receiver.got.lock().unwrap().is_empty());
    std::fs::create_dir(folder.path().join("missing")).unwrap();
    assert!(out.write(&[comment("D1", 1)]).await.iter().all(accepted));
}

#[tokio::test]
async fn without_a_place_to_write_nothing_is_claimed() {
    let out = WriteBacks::new(None, None).unwrap();
    assert!(matches!(&out.write(&[comment("D1", 1)]).await[0], Outcome::Rejected { reason, .. } if reason.contains("writeBack")));
    for url in ["crm.example.com/hook", "ftp://crm.example.com/", ""] {
        let wiring = WebhookWiring { url: url.into(), token: None };
        assert_eq!(WriteBacks::new(None, Some(&wiring)).err().unwrap().label(), "settings", "{url}");
    }
}
