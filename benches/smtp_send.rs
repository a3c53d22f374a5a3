//! Messages a second into `smtp-sink`, our client beside postfix's `smtp-source`, in turns within one run (both share the machine's
//! mood). `cargo bench --bench smtp_send`; needs Debian's postfix. Bounded: some 20 s. `MESSAGES=n` changes the size of a round.
#![allow(clippy::expect_used)]

use rekindle::{
    channels,
    compile::{ChannelWiring, DkimWiring, OnAmbiguous, ProviderKind, ProviderWiring, Secret, SmtpTls, SmtpWiring},
    content::{EmailMessage, Rendered},
    model::{Address, CopyId, EffectRef, Email, HumanDuration, Medium, Outcome},
};
use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

const BYTES: usize = 2048;
const ED25519: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

struct Sink(Child, u16);

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sink() -> Option<Sink> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?.port();
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n"));
    let mut command = Command::new("/usr/sbin/smtp-sink");
    if root {
        command.args(["-u", "nobody"]);
    }
    let child = command.args([&format!("127.0.0.1:{port}"), "1000"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let sink = Sink(child, port);
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if start.elapsed() > Duration::from_secs(10) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(sink)
}

#[allow(clippy::cast_precision_loss)] // a rate for people
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn smtp_source(port: u16, sessions: u32, count: usize) -> Option<f64> {
    let start = Instant::now();
    let status = Command::new("/usr/sbin/smtp-source")
        .args(["-d", "-s", &sessions.to_string(), "-l", &BYTES.to_string(), "-m", &count.to_string()])
        .args(["-f", "a@x.test", "-t", "b@y.test", &format!("127.0.0.1:{port}")])
        .status()
        .ok()?;
    status.success().then(|| rate(count, start.elapsed()))
}

async fn ours(port: u16, connections: u32, count: usize, signed: bool) -> f64 {
    let smtp = SmtpWiring {
        host: "127.0.0.1".into(),
        port,
        tls: SmtpTls::None,
        username: None,
        password: None,
        ca: None,
        connections,
        messages_per_connection: u32::MAX,
        depth: 1,
        pipelining: true,
        helo: "bench.test".into(),
    };
    let dkim = signed.then(|| DkimWiring { domain: "x.test".into(), selector: "s1".into(), private_key: Secret(ED25519.into()) });
    let wiring = ChannelWiring {
        key: "bench/mail".into(),
        medium: Medium::Email,
        providers: vec![ProviderWiring { name: "sink".into(), kind: ProviderKind::Smtp(smtp) }],
        per_second: 1e9,
        burst: u32::MAX,
        on_ambiguous: OnAmbiguous::Hold,
        retry_min: HumanDuration::minutes(1),
        retry_max: HumanDuration::hours(1),
        test_recipients: Vec::new(),
        dkim,
        keyword: None,
    };
    let head = "From: a@x.test\r\nTo: b@y.test\r\nSubject: bench\r\nDate: Sun, 22 Nov 2026 10:00:00 +0300\r\nMessage-ID: <1@x.test>\r\n\r\n";
    let line = format!("{}\r\n", "x".repeat(70));
    let raw = format!("{head}{}", line.repeat((BYTES - head.len()) / line.len()));
    let to = Address::Email(Email::parse("b@y.test").expect("an address"));
    let jobs = (0..i32::try_from(count).unwrap_or(i32::MAX))
        .map(|seq| channels::Job {
            effect: EffectRef { copy: CopyId(1), seq },
            attempt: 1,
            key: uuid::Uuid::nil(),
            to: to.clone(),
            message: Rendered::Email(EmailMessage { envelope_from: "a@x.test".into(), raw: raw.clone() }),
            receipt_url: None,
        })
        .collect();
    let channel = channels::open(&wiring).expect("settings");
    let (tx, mut rx) = mpsc::unbounded_channel();
    let start = Instant::now();
    channel.perform(jobs, tokio::time::Instant::now() + Duration::from_mins(1), tx).await;
    let took = start.elapsed();
    let mut accepted = 0;
    while let Some(report) = rx.recv().await {
        accepted += usize::from(matches!(report.outcome, Outcome::Accepted { .. }));
    }
    assert_eq!(accepted, count, "every message is accepted");
    rate(count, took)
}

fn main() {
    let Some(sink) = sink() else {
        eprintln!("SKIPPED: smtp-sink (Debian package postfix) is not there");
        return;
    };
    // `cargo test --benches` only wants to see it run.
    let (rounds, messages) = if std::env::args().any(|a| a == "--bench") { (3, 20_000_usize) } else { (1, 400) };
    let count = std::env::var("MESSAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(messages);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    for _ in 0..rounds {
        let round = [
            ("smtp-source, 1 connection", smtp_source(sink.1, 1, count / 4).unwrap_or(f64::NAN)),
            ("ours, 1 connection", runtime.block_on(ours(sink.1, 1, count / 4, false))),
            ("smtp-source, 16 connections", smtp_source(sink.1, 16, count).unwrap_or(f64::NAN)),
            ("ours, 16 connections", runtime.block_on(ours(sink.1, 16, count, false))),
            ("ours, 16 connections, Ed25519 DKIM", runtime.block_on(ours(sink.1, 16, count, true))),
        ];
        for (i, (name, rate)) in round.into_iter().enumerate() {
            match rows.get_mut(i) {
                Some((_, rates)) => rates.push(rate),
                None => rows.push((name, vec![rate])),
            }
        }
    }
    println!("{BYTES} bytes a message, {rounds} rounds, messages a second (least, median, most):");
    for (name, mut rates) in rows {
        rates.sort_by(f64::total_cmp);
        println!("{name:>36}: {:>8.0} {:>8.0} {:>8.0}", rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
    }
}
