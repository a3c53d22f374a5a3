//! 10,000 due emails → rendered → written down → `smtp-sink`, through the real binary, its own store and real SMTP on loopback;
//! beside postfix's `smtp-source` with messages of the same size into the same sink, in the same run.
//!
//! `cargo bench --bench email [-- --messages N] [--connections C] [--depth D] [--rounds R] [--only "SQLite, unsigned"]`; needs Debian's postfix, postgresql and openssl.
//!
//! How a round goes: a folder with N deals lost this moment and one item due 20 s after that. While they wait they are imported.
//! Counted is from the first outcome in the ledger to the last, by the process's own /metrics, which count after the ledger.

#![allow(clippy::expect_used)] // a measurement that cannot be set up ends

#[path = "common/mod.rs"]
mod common;

use common::{Postgres, Running, counter, median, sink, smtp_source};
use std::{
    fmt::Write as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const MANIFEST: &str = r#"apiVersion: rekindle.dev/v1alpha1
kind: CrmConnection
metadata: {name: crm}
spec:
  type: File
  file:
    deals: {path: data/deals.csv}
    stages: {won: [Won], lost: [Lost]}
    writeBack: {path: data/writeback.jsonl}
  sync: {every: 60s}
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: mail}
spec:
  email:
    from: {name: Sales, address: hello@news.example.com}
    DKIM
  providers: [{name: relay, type: Smtp, smtp: {host: 127.0.0.1, port: SMTP_PORT, tls: None, connections: CONNECTIONS, pipelineDepth: DEPTH, messagesPerConnection: 1000000}}]
  rate: {perSecond: 100000, burst: 100000}
---
apiVersion: rekindle.dev/v1alpha1
kind: ContactPolicy
metadata: {name: default}
spec:
  brand: acme
  consent: {advertising: AssumedFromCrm}
  timeZone: UTC
  windows: [{from: "00:00", to: "24:00"}]
  spread: 0s
---
apiVersion: rekindle.dev/v1alpha1
kind: ContentList
metadata: {name: price}
spec:
  items:
    - name: offer
      after: 20s
      email:
        subject: "{{ client.firstName | default('Hello') }}, a better price"
        markdown: |
          We have kept your flat for you, and its price has come down since we spoke.

          [See it]({{ links.offer }})

          Call us or simply answer this letter.
      links: {offer: "https://shop.example/offer?deal={{ deal.id }}"}
---
apiVersion: rekindle.dev/v1alpha1
kind: ReactivationFunnel
metadata: {name: sales}
spec:
  mode: Live
  source: {crmRef: {name: crm}}
  policyRef: {name: default}
  channels: [{name: mail, ref: {name: mail}}]
  stages:
    warming:
      - name: warming
        enter: [{lost: [price]}]
        content: [{listRef: {name: price}}]
    revived: {returnTo: {stage: Talks}}
"#;

/// A private key (PKCS#8, PEM) of that kind, as a Secret beside the manifests.
fn secret(dir: &Path, algorithm: &[&str]) {
    let out = Command::new("openssl").arg("genpkey").args(algorithm).output().expect("openssl");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let indented: String = String::from_utf8_lossy(&out.stdout).lines().fold(String::new(), |mut text, line| {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
        text
    });
    let manifest = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: dkim}}\nstringData:\n  private: |\n{indented}");
    std::fs::write(dir.join("secret.yaml"), manifest).expect("a file");
}

fn folder(dir: &Path, port: u16, connections: (usize, usize), messages: usize, signing: &str) {
    std::fs::create_dir_all(dir.join("data")).expect("a folder");
    let dkim = match signing {
        "Ed25519" => Some(&["-algorithm", "ED25519"][..]),
        "RSA-2048" => Some(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..]),
        _ => None,
    };
    if let Some(algorithm) = dkim {
        secret(dir, algorithm);
    }
    let line = "dkim: {domain: news.example.com, selector: s1, secretRef: {name: dkim, key: private}}";
    let manifest = MANIFEST
        .replace("    DKIM\n", &dkim.map_or_else(String::new, |_| format!("    {line}\n")))
        .replace("SMTP_PORT", &port.to_string())
        .replace("CONNECTIONS", &connections.0.to_string())
        .replace("DEPTH", &connections.1.to_string());
    let mut rows =
        String::from("id,title,pipeline,stage,lostReason,amount,createdAt,stageChangedAt,lastActivityAt,manager,name,email\n");
    let now = jiff::Timestamp::now();
    for i in 0..messages {
        let _ = writeln!(rows, "D{i},Flat,Sales,Lost,price,1000,{now},{now},{now},M1,Client Number{i},client{i}@mail.example");
    }
    std::fs::write(dir.join("data/deals.csv"), rows).expect("a file");
    std::fs::write(dir.join("funnel.yaml"), manifest).expect("a file");
}

/// Messages a second, from the first outcome in the ledger to the last.
fn run(store: &str, port: u16, connections: (usize, usize), messages: usize, signing: &str) -> f64 {
    let dir = tempfile::tempdir().expect("a folder");
    // First a process with an empty CRM, so that the deals are new losses and not an old stock that waits for backfill.
    let config = dir.path().join("config");
    folder(&config, port, connections, 0, signing);
    let running = Running::start(&config, store);
    std::thread::sleep(Duration::from_secs(2));
    folder(&config, port, connections, messages, signing);
    running.stop();
    let running = Running::start(&config, store);
    let accepted = || counter(&running.metrics(), "rekindle_messages_total", &["outcome=\"accepted\""]);
    let since = Instant::now();
    let mut first = (Instant::now(), 0.0);
    #[allow(clippy::cast_precision_loss)] // a count of messages
    let all = messages as f64;
    loop {
        let (now, count) = (Instant::now(), accepted());
        if first.1 == 0.0 {
            first = (now, count);
        }
        if count >= all {
            running.stop();
            return (count - first.1) / now.duration_since(first.0).as_secs_f64();
        }
        assert!(since.elapsed() < Duration::from_mins(2), "{count} of {messages} after two minutes:\n{}", running.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn main() {
    let bench = std::env::args().any(|a| a == "--bench");
    let option = |name: &str, default: usize| {
        let words: Vec<String> = std::env::args().collect();
        let at = words.iter().position(|w| w == name);
        at.and_then(|at| words.get(at + 1)).and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    // `cargo test --benches` only wants to see it build.
    if !bench {
        return;
    }
    let (messages, rounds) = (option("--messages", 10_000), option("--rounds", 3));
    // Connections, and messages handed to each at once.
    let connections = (option("--connections", 32), option("--depth", 32));
    let only = std::env::args().skip_while(|word| word != "--only").nth(1).unwrap_or_default();
    let wanted = |name: &str| name.contains(&only);
    let Some(sink) = sink() else {
        eprintln!("SKIPPED: smtp-sink (Debian package postfix) is not there");
        return;
    };
    let postgres = Postgres::start();
    if postgres.is_none() {
        eprintln!("SKIPPED: PostgreSQL is not there");
    }
    let mut rows: Vec<(String, Vec<f64>)> = Vec::new();
    let mut add = |name: String, rate: f64| match rows.iter_mut().find(|(n, _)| *n == name) {
        Some((_, rates)) => rates.push(rate),
        None => rows.push((name, vec![rate])),
    };
    for round in 0..rounds {
        add("smtp-source, 16 connections, 3 kB".into(), smtp_source(sink.1, 16, messages, 3_000).unwrap_or(f64::NAN));
        for signing in ["unsigned", "Ed25519", "RSA-2048"] {
            let dir = tempfile::tempdir().expect("a folder");
            let sqlite = format!("sqlite:{}", dir.path().join("store.db").display());
            let name = format!("SQLite, {signing}");
            if wanted(&name) {
                add(name, run(&sqlite, sink.1, connections, messages, signing));
            }
            let name = format!("PostgreSQL, {signing}");
            if let Some(postgres) = postgres.as_ref().filter(|_| wanted(&name)) {
                let url = postgres.database(&format!("e{round}_{}", signing.to_lowercase().replace('-', "_")));
                add(name, run(&url, sink.1, connections, messages, signing));
            }
        }
    }
    let limit = rows.first().map_or(f64::NAN, |(_, rates)| median(rates));
    println!(
        "{messages} emails, {} connections × {} messages, {rounds} rounds; messages a second (least, median, most), beside smtp-source:",
        connections.0, connections.1
    );
    for (name, mut rates) in rows {
        rates.sort_by(f64::total_cmp);
        let (least, middle, most) = (rates[0], median(&rates), rates[rates.len() - 1]);
        println!("{name:>36}: {least:>8.0} {middle:>8.0} {most:>8.0}   {:.2}", middle / limit);
    }
}
