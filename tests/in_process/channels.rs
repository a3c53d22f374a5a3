//! Channels against real mail servers, a real SMS gateway, and an HTTP provider that misbehaves.

use crate::peers::{
    child::{port, require, skip, until},
    kannel::Kannel,
    mta::{Postfix, Sink},
};
use axum::{
    Router,
    extract::{Query, Request},
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rekindle::{
    channels::{self, Channel, Fields, Job, Receipt, ReceiptFor, Unreadable, stop},
    compile::{
        ChannelWiring, DkimWiring, HttpBody, HttpErrorRule, HttpReceiptWiring, HttpSmsWiring, HttpVerdict, KannelWiring,
        OnAmbiguous, ProviderKind, ProviderWiring, Secret, SmtpTls, SmtpWiring,
    },
    content::{EmailMessage, Rendered},
    model::{Address, CopyId, EffectRef, Email, HumanDuration, Medium, Outcome, Phone},
};
use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::mpsc, time::Instant};

fn channel(medium: Medium, kinds: Vec<ProviderKind>) -> ChannelWiring {
    let providers = kinds.into_iter().enumerate().map(|(n, kind)| ProviderWiring { name: format!("p{n}"), kind }).collect();
    ChannelWiring {
        key: "marketing/channel".into(),
        medium,
        providers,
        per_second: 1000.0,
        burst: 1000,
        on_ambiguous: OnAmbiguous::Hold,
        retry_min: HumanDuration::minutes(1),
        retry_max: HumanDuration::hours(1),
        test_recipients: Vec::new(),
        dkim: None,
        keyword: None,
    }
}

fn smtp(port: u16) -> SmtpWiring {
    SmtpWiring {
        host: "127.0.0.1".into(),
        port,
        tls: SmtpTls::None,
        username: None,
        password: None,
        ca: None,
        connections: 2,
        messages_per_connection: 50,
        depth: 1,
        pipelining: true,
        helo: "client.test".into(),
    }
}

fn email(n: i32, to: &str) -> Job {
    let raw = format!(
        "From: =?utf-8?B?0J3QvtCy0YvQuSDQtNC+0Lw=?= <hello@news.test>\r\nTo: {to}\r\nSubject: Test\r\n  folded {n}\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0300\r\nMessage-ID: <{n}@news.test>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/alternative; boundary=\"=_x\"\r\nList-Unsubscribe: <https://x.test/u/{n}>\r\n\
         List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n--=_x\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\nЗдравствуйте!\t  \r\n.\r\n..two dots\r\n.one  dot\r\n\r\n--=_x--\r\n\r\n"
    );
    Job {
        effect: EffectRef { copy: CopyId(7), seq: n },
        attempt: 1,
        key: uuid::Uuid::from_u128(7),
        to: Address::Email(Email::parse(to).unwrap()),
        message: Rendered::Email(EmailMessage { envelope_from: format!("b+t{n}@bounce.test"), raw }),
        receipt_url: None,
    }
}

fn sms(n: i32, text: &str, receipt_url: Option<&str>) -> Job {
    Job {
        effect: EffectRef { copy: CopyId(7), seq: n },
        attempt: 1,
        key: uuid::Uuid::from_u128(7),
        to: Address::Phone(Phone::parse("+79990001122", "RU").unwrap()),
        message: Rendered::Sms { from: "7777".into(), text: text.into() },
        receipt_url: receipt_url.map(str::to_owned),
    }
}

async fn perform(channel: &dyn Channel, jobs: Vec<Job>) -> Vec<Outcome> {
    let count = jobs.len();
    let (tx, mut rx) = mpsc::unbounded_channel();
    channel.perform(jobs, Instant::now() + Duration::from_secs(30), tx).await;
    let mut reports = Vec::new();
    while let Some(report) = rx.recv().await {
        reports.push(report);
    }
    assert_eq!(reports.len(), count, "every job is reported once");
    reports.sort_by_key(|r| r.effect);
    reports.into_iter().map(|r| r.outcome).collect()
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Retry { .. } => "retry",
        Outcome::Rejected { suppress: true, .. } => "suppress",
        Outcome::Rejected { .. } => "reject",
        Outcome::ChannelDown { .. } => "channel",
        Outcome::Unknown { .. } => "unknown",
        _ => "?",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn smtp_sink_and_its_faults() {
    for (flags, want) in [
        (&[][..], "accepted"),
        (&["-p"], "accepted"),
        (&["-e"], "reject"), // HELO only: no 8BITMIME for an 8-bit message
        (&["-f", "RCPT", "-B", "550 5.1.1 no such user"], "suppress"),
        (&["-r", "RCPT", "-b", "452 4.2.2 full"], "retry"),
        (&["-q", "DATA"], "retry"),
        (&["-q", "MAIL"], "retry"),
        (&["-Q", "."], "unknown"),
        (&["-q", "."], "unknown"),
        (&["-f", ".", "-B", "550 5.7.1 spam"], "channel"),
        (&["-q", "CONNECT"], "retry"),
    ] {
        let Some(sink) = Sink::start(flags).await else { return };
        let wiring = channel(Medium::Email, vec![ProviderKind::Smtp(SmtpWiring { connections: 1, ..smtp(sink.port) })]);
        let opened = channels::open(&wiring).unwrap();
        let got = perform(&*opened, vec![email(0, "u@x.test")]).await;
        assert_eq!(word(&got[0]), want, "{flags:?}: {got:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_relay_takes_over_what_the_first_did_not_accept() {
    let (Some(broken), Some(sound)) = (Sink::start(&["-r", "RCPT", "-b", "451 4.3.0 later"]).await, Sink::start(&[]).await) else {
        return;
    };
    let wiring = channel(Medium::Email, vec![ProviderKind::Smtp(smtp(broken.port)), ProviderKind::Smtp(smtp(sound.port))]);
    let opened = channels::open(&wiring).unwrap();
    let got = perform(&*opened, (0..10).map(|n| email(n, "u@x.test")).collect()).await;
    assert!(got.iter().all(|o| matches!(o, Outcome::Accepted { provider, .. } if provider == "p1")), "{got:?}");
    assert_eq!(sound.mails().len(), 10);
    assert_eq!(opened.in_flight_bound(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_trying_out_only_test_recipients_get_anything() {
    let Some(sink) = Sink::start(&[]).await else { return };
    let wiring = ChannelWiring {
        test_recipients: vec!["Me@x.test".into()],
        ..channel(Medium::Email, vec![ProviderKind::Smtp(smtp(sink.port))])
    };
    let got = perform(&*channels::open(&wiring).unwrap(), vec![email(0, "me@x.test"), email(1, "client@x.test")]).await;
    assert_eq!(got.iter().map(word).collect::<Vec<_>>(), ["accepted", "reject"]);
    assert_eq!(sink.mails().len(), 1);
}

struct Key {
    pem: String,
    record: String,
    opendkim: bool,
}

fn openssl(args: &[&str], input: &str) -> Vec<u8> {
    let mut child =
        Command::new("openssl").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

fn keys() -> Vec<Key> {
    let public = |pem: &str| openssl(&["pkey", "-pubout", "-outform", "DER"], pem);
    [(&["genrsa", "-traditional", "2048"][..], true), (&["genrsa", "2048"], true), (&["genpkey", "-algorithm", "ed25519"], false)]
        .into_iter()
        .map(|(args, rsa)| {
            let pem = String::from_utf8(openssl(args, "")).unwrap();
            let public = public(&pem);
            let record = if rsa {
                format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(public))
            } else {
                format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(&public[public.len() - 32..]))
            };
            Key { pem, record, opendkim: rsa }
        })
        .collect()
}

/// What dkimpy says; `None` where it is not installed. `REKINDLE_PYTHON` names an interpreter that has it.
fn dkimpy(mail: &str, record: &str) -> Option<bool> {
    let script = "import sys,dkim\nr=sys.argv[1].encode()\nprint('verified' if dkim.verify(sys.stdin.buffer.read(), dnsfunc=lambda n, timeout=5: r) else 'failed')";
    let python = std::env::var_os("REKINDLE_PYTHON").unwrap_or_else(|| "python3".into());
    let mut child = Command::new(python)
        .args(["-c", script, record])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let _ = child.stdin.take().unwrap().write_all(mail.as_bytes());
    match child.wait_with_output().unwrap().stdout.trim_ascii() {
        b"verified" => Some(true),
        b"failed" => Some(false),
        _ => None,
    }
}

/// What opendkim says. Its exit status is 0 either way.
fn opendkim(mail: &str, record: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let (keys, conf, file) = (dir.path().join("keys"), dir.path().join("conf"), dir.path().join("mail"));
    std::fs::write(&keys, format!("s1._domainkey.news.test {record}\n")).unwrap();
    std::fs::write(&conf, format!("TestPublicKeys {}\nMode v\n", keys.display())).unwrap();
    std::fs::write(&file, mail).unwrap();
    let out = Command::new(require(&["opendkim"]).unwrap().remove(0)).arg("-x").arg(conf).arg("-t").arg(file).output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.contains("verification ("), "{text}");
    text.contains("succeeded")
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_through_postfix_over_starttls_arrives_whole_signed_and_once() {
    let (Some(postfix), Some(_)) = (Postfix::start().await, require(&["openssl", "opendkim"])) else { return };
    let mut sent = 0;
    let mut verified = [0, 0];
    for key in keys() {
        let wiring = ChannelWiring {
            dkim: Some(DkimWiring { domain: "news.test".into(), selector: "s1".into(), private_key: Secret(key.pem) }),
            ..channel(
                Medium::Email,
                vec![ProviderKind::Smtp(SmtpWiring { tls: SmtpTls::Starttls, ca: Some(postfix.ca.clone()), ..smtp(postfix.port) })],
            )
        };
        let opened = channels::open(&wiring).unwrap();
        let got = perform(&*opened, (sent..sent + 5).map(|n| email(n, "u@ok.test")).collect()).await;
        assert!(got.iter().all(|o| matches!(o, Outcome::Accepted { provider_id: Some(_), .. })), "{got:?}");
        postfix.relayed(usize::try_from(sent + 5).unwrap()).await;
        let mails = postfix.ok.mails();
        for n in sent..sent + 5 {
            let mine: Vec<_> = mails.iter().filter(|m| m.contains(&format!("Message-ID: <{n}@news.test>"))).collect();
            assert_eq!(mine.len(), 1, "message {n}");
            assert!(mine[0].contains("\n\nЗдравствуйте!\t  \n.\n..two dots\n.one  dot\n\n--=_x--\n"), "{}", mine[0]);
            let mail = mine[0].replace('\n', "\r\n");
            let forged = mail.replace("two dots", "too dots");
            if let Some(good) = dkimpy(&mail, &key.record) {
                assert!(good && dkimpy(&forged, &key.record) == Some(false), "dkimpy: {mail}");
                verified[0] += 1;
            }
            if key.opendkim {
                assert!(opendkim(&mail, &key.record) && !opendkim(&forged, &key.record), "opendkim: {mail}");
                verified[1] += 1;
            }
        }
        sent += 5;
    }
    assert_eq!(verified[1], 10);
    if verified[0] != 15 {
        skip("dkimpy (pip install dkimpy pynacl; REKINDLE_PYTHON names the interpreter)");
    }

    // A certificate that nobody vouches for, and a bounce to the envelope sender.
    let stranger = channel(Medium::Email, vec![ProviderKind::Smtp(SmtpWiring { tls: SmtpTls::Starttls, ..smtp(postfix.port) })]);
    assert_eq!(word(&perform(&*channels::open(&stranger).unwrap(), vec![email(90, "u@ok.test")]).await[0]), "retry");
    let plain = channel(Medium::Email, vec![ProviderKind::Smtp(smtp(postfix.port))]);
    assert_eq!(word(&perform(&*channels::open(&plain).unwrap(), vec![email(91, "u@bad.test")]).await[0]), "accepted");
    until("the bounce", || postfix.bounces().iter().any(|b| b.contains("b+t91@bounce.test") && b.contains("Status: 5.1.1"))).await;
}

/// Remembers the queries of all requests.
async fn listener() -> (String, Arc<Mutex<Vec<(String, Fields)>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = seen.clone();
    let app = Router::new().fallback(move |Query(query): Query<Fields>, request: Request| async move {
        shared.lock().unwrap().push((request.uri().path().to_owned(), query));
        StatusCode::OK
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (base, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn kannel_sends_reports_and_brings_replies() {
    let (base, seen) = listener().await;
    let inbound = channels::kannel::inbound_url(&format!("{base}/mo"));
    let Some(kannel) = Kannel::start(&inbound, "79990001122 7777 text СTOП рассылка").await else { return };
    let wiring = KannelWiring {
        url: format!("http://127.0.0.1:{}", kannel.sendsms),
        username: "tester".into(),
        password: Secret("foobar".into()),
        from: "7777".into(),
        connections: 4,
    };
    let opened = channels::open(&channel(Medium::Sms, vec![ProviderKind::Kannel(wiring.clone())])).unwrap();
    let receipts = format!("{base}/hooks/m/sms/{{provider}}/receipt?k=a%2Fb");
    let long = "Новые планировки: ".repeat(6);
    let jobs = vec![sms(1, "Plain {text} & more", Some(&receipts)), sms(2, &long, Some(&receipts))];
    let got = perform(&*opened, jobs).await;
    assert!(got.iter().all(|o| *o == Outcome::Accepted { provider: "p0".into(), provider_id: None }), "{got:?}");

    let read = |n: i32| -> Vec<Outcome> {
        let seen = seen.lock().unwrap();
        let mine = seen.iter().filter(|(path, query)| path == "/hooks/m/sms/p0/receipt" && query["k"] == "a/b");
        let receipts = mine.filter_map(|(_, query)| channels::kannel::read_receipt("p0", query).unwrap());
        receipts.filter(|r| r.of == ReceiptFor::Effect(EffectRef { copy: CopyId(7), seq: n })).map(|r| r.outcome).collect()
    };
    until("receipts", || read(1).contains(&Outcome::Delivered) && read(2).contains(&Outcome::Delivered)).await;
    until("the reply", || seen.lock().unwrap().iter().any(|(path, _)| path == "/mo")).await;
    let reply = seen.lock().unwrap().iter().find(|(path, _)| path == "/mo").map(|(_, query)| query.clone()).unwrap();
    let reply = channels::inbound::read(&reply, b"", "RU").unwrap().remove(0);
    assert_eq!(
        (reply.from.as_ref().map(Phone::as_str), stop::classify(&reply.text.0, &[])),
        (Some("+79990001122"), stop::Keyword::Stop),
        "{}",
        reply.text.0
    );
    assert!(reply.id.is_some());
    let access = kannel.log("access.log");
    assert!(access.contains("Plain {text} & more"), "{access}");

    let wrong = KannelWiring { password: Secret("wrong".into()), ..wiring };
    let opened = channels::open(&channel(Medium::Sms, vec![ProviderKind::Kannel(wrong)])).unwrap();
    assert_eq!(word(&perform(&*opened, vec![sms(3, "hi", None)]).await[0]), "channel");
}

/// A provider whose behaviour the path chooses. Remembers the bodies it got.
async fn provider() -> (String, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = seen.clone();
    let app = Router::new().fallback(move |request: Request| {
        let shared = shared.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 100_000).await.unwrap();
            shared.lock().unwrap().push(format!("{} {} {}", parts.method, parts.uri, String::from_utf8_lossy(&body)));
            match parts.uri.path() {
                "/ok" => r#"{"id":"m-1"}"#.into_response(),
                "/bad" => r#"{"error_code":7}"#.into_response(),
                "/moved" => (StatusCode::MOVED_PERMANENTLY, [(LOCATION, "/ok")]).into_response(),
                "/slow" => std::future::pending().await,
                "/huge" => "x".repeat(1 << 20).into_response(),
                "/busy" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")]).into_response(),
                _ => StatusCode::BAD_GATEWAY.into_response(),
            }
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (base, seen)
}

fn http(url: String) -> HttpSmsWiring {
    HttpSmsWiring {
        method: "POST".into(),
        url,
        headers: vec![("Authorization".into(), "Bearer {{ secret.token }}".into())],
        body: HttpBody::Json(serde_json::json!({"to": "{{ toDigits }}", "text": "{{ text }}", "n": 1, "key": ["{{ id }}"]})),
        secrets: BTreeMap::from([("token".into(), Secret("s3cret".into()))]),
        basic: None,
        success: "has(json.id)".into(),
        id: Some("json.id".into()),
        errors: vec![HttpErrorRule { when: "json.error_code == 7".into(), then: HttpVerdict::InvalidRecipient, after: None }],
        receipt: Some(HttpReceiptWiring {
            id: "form.id".into(),
            delivered: "form.status == 'delivered'".into(),
            failed: "form.status in ['failed', 'undelivered']".into(),
            answer: None,
        }),
        timeout: Duration::from_millis(1500),
        connections: 4,
        from: "BRAND".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_provider_in_all_its_moods() {
    let (base, seen) = provider().await;
    // A server that takes the request and hangs up.
    let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rude_base = format!("http://{}", rude.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = rude.accept().await {
            let mut some = [0; 64];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut some).await;
        }
    });
    for (url, want) in [
        (format!("{base}/ok"), "accepted"),
        (format!("{base}/bad"), "suppress"),
        (format!("{base}/moved"), "channel"),
        (format!("{base}/slow"), "unknown"),
        (format!("{base}/huge"), "unknown"),
        (format!("{base}/broken"), "unknown"),
        (format!("{base}/busy"), "retry"),
        (format!("{rude_base}/"), "unknown"),
        (format!("http://127.0.0.1:{}/", port()), "retry"),
        (format!("{}/tls", base.replace("http:", "https:")), "retry"),
        ("http://no-such-host.invalid/".into(), "retry"),
    ] {
        let opened = channels::open(&channel(Medium::Sms, vec![ProviderKind::Http(http(url.clone()))])).unwrap();
        let got = perform(&*opened, vec![sms(1, "line\n\"quoted\" & {{ to }}", None)]).await;
        assert_eq!(word(&got[0]), want, "{url}: {got:?}");
        assert!(!format!("{got:?}").contains("79990001122") && !format!("{got:?}").contains("127.0.0.1"), "{got:?}");
        if url.ends_with("/ok") {
            assert_eq!(got[0], Outcome::Accepted { provider: "p0".into(), provider_id: Some("m-1".into()) });
        }
    }
    let first = seen.lock().unwrap()[0].clone();
    let body: serde_json::Value = serde_json::from_str(first.strip_prefix("POST /ok ").unwrap()).unwrap();
    assert_eq!(body["to"], "79990001122");
    assert_eq!(body["text"], "line\n\"quoted\" & {{ to }}", "a text is a value, never a template");
    assert_eq!((&body["n"], &body["key"][0]), (&serde_json::json!(1), &serde_json::json!("00000000-0000-0000-0000-000000000007")));
    assert!(!seen.lock().unwrap().iter().any(|r| r.starts_with("GET")), "redirects are not followed");
}

#[test]
fn receipts_of_a_declared_provider() {
    let wiring = http("https://x.test".into());
    let fields = |pairs: &[(&str, &str)]| -> Fields { pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect() };
    let read = |query: &[(&str, &str)], form: &[(&str, &str)]| {
        channels::http_sms::read_receipt(&wiring, &fields(query), &fields(form), b"")
    };
    let mine = ReceiptFor::Effect(EffectRef { copy: CopyId(7), seq: 3 });
    assert_eq!(read(&[("effect", "7.3")], &[("status", "delivered")]), Ok(Some(Receipt { of: mine, outcome: Outcome::Delivered })));
    assert_eq!(
        read(&[], &[("id", "m-1"), ("status", "delivered")]),
        Ok(Some(Receipt { of: ReceiptFor::ProviderId("m-1".into()), outcome: Outcome::Delivered }))
    );
    let failed = read(&[], &[("id", "m-1"), ("status", "failed")]);
    assert!(matches!(failed, Ok(Some(Receipt { outcome: Outcome::Rejected { .. }, .. }))));
    assert_eq!(read(&[], &[("id", "m-1"), ("status", "sent")]), Ok(None));
    assert_eq!(read(&[], &[("status", "delivered")]), Err(Unreadable), "nobody can say which message it is about");
}

#[test]
fn settings_that_cannot_work_are_named_with_what_to_write() {
    let error = |kind: ProviderKind, medium: Medium| channels::open(&channel(medium, vec![kind])).err().unwrap().to_string();
    let bad = HttpSmsWiring { success: "jason.ok".into(), ..http("https://x.test".into()) };
    assert_eq!(
        error(ProviderKind::Http(bad), Medium::Sms),
        "provider p0: accepted: `jason` is not known here; known are status, body, json, headers"
    );
    let bad = HttpSmsWiring { headers: vec![("X".into(), "{{ secret.tokn }}".into())], ..http("https://x.test".into()) };
    assert!(error(ProviderKind::Http(bad), Medium::Sms).contains("headers.X: {{ secret.tokn }} is not known here"));
    assert!(error(ProviderKind::Smtp(smtp(25)), Medium::Sms).contains("provider p0 cannot send Sms"));
    assert!(channels::open(&channel(Medium::Sms, vec![])).is_err());
}
