//! Starts the real binary on a folder of manifests, asks it questions as an SRE would, kills it.

use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

pub const BINARY: &str = env!("CARGO_BIN_EXE_rekindle");

/// A folder with a CRM of open deals, one email list and one funnel, and the store beside it.
pub struct World {
    pub dir: tempfile::TempDir,
    pub store: String,
    /// More arguments for `rekindle run`.
    pub args: Vec<String>,
}

impl World {
    pub fn new(smtp_port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}", dir.path().join("store.db").display());
        let world = Self { dir, store, args: Vec::new() };
        world.write("funnel.yaml", &MANIFEST.replace("SMTP_PORT", &smtp_port.to_string()));
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("config").join(name)
    }

    /// Writes a file of the folder in one step.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, path).unwrap();
    }

    /// A row of the deals file: the deal of a client, open, or lost just now.
    pub fn deal(id: &str, client: usize, lost: bool) -> String {
        let now = jiff::Timestamp::now();
        let (stage, reason) = if lost { ("Lost", "price") } else { ("Talks", "") };
        format!("{id},Flat,Sales,{stage},{reason},1000,{now},{now},{now},M1,Client {client},client{client}@mail.example\n")
    }

    /// `n` deals with a client each.
    pub fn deals(&self, n: usize, lost: bool) {
        let head = "id,title,pipeline,stage,lostReason,amount,createdAt,stageChangedAt,lastActivityAt,manager,name,email\n";
        let rows: String = (0..n).map(|i| Self::deal(&format!("D{i}"), i, lost)).collect();
        self.write("data/deals.csv", &format!("{head}{rows}"));
    }

    pub fn start(&self) -> Running {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join("run.log")).unwrap();
        let child = Command::new(BINARY)
            .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--store", &self.store])
            .arg("-f")
            .arg(self.dir.path().join("config"))
            .args(&self.args)
            .env("RUST_LOG", "rekindle=info")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Running { child }
    }

    /// The same on a PostgreSQL database of its own; `None` where there is no PostgreSQL.
    pub fn on_postgres(mut self) -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        self.store = runtime.block_on(crate::postgres::database())?;
        // A take-over waits for the lease of the dead to run out.
        self.args.extend(["--lease".into(), "1s".into()]);
        Some(self)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("run.log")).unwrap_or_default()
    }

    /// Replaces the first `old` in the manifest.
    pub fn edit(&self, old: &str, new: &str) {
        let manifest = text(&self.path("funnel.yaml"));
        assert!(manifest.contains(old));
        self.write("funnel.yaml", &manifest.replacen(old, new, 1));
    }

    /// The newest address after `label` in the log.
    fn address(&self, label: &str) -> String {
        let mut found = String::new();
        self.wait(label, Duration::from_secs(20), || {
            let log = self.log();
            let after = log.rsplit_once(label).map(|(_, rest)| rest.trim_start());
            found = after.map(|t| t.split([',', '\n']).next().unwrap_or_default().trim().to_owned()).unwrap_or_default();
            found.starts_with("http://")
        });
        found
    }

    /// Where clients reach the pages.
    pub fn pages(&self) -> String {
        self.address("pages on ")
    }

    /// Where health is asked.
    pub fn admin(&self) -> String {
        self.address("health and metrics on ")
    }

    pub fn command(&self, args: &[&str]) -> Output {
        Command::new(BINARY).args(args).args(["--store", &self.store]).output().unwrap()
    }

    pub fn status(&self) -> Value {
        let out = self.command(&["status", "-o", "json"]);
        serde_json::from_slice(&out.stdout).unwrap_or(Value::Null)
    }

    /// Deals in a role, by `status`.
    pub fn in_role(&self, role: &str) -> u64 {
        let status = self.status();
        let stages = status["funnels"][0]["stages"].as_array().cloned().unwrap_or_default();
        stages.iter().filter(|s| s["role"] == role).filter_map(|s| s["deals"].as_u64()).sum()
    }

    /// Messages in a state, by `status`.
    pub fn messages(&self, state: &str) -> u64 {
        let status = self.status();
        let rows = status["funnels"][0]["messages"].as_array().cloned().unwrap_or_default();
        rows.iter().filter(|r| r[1] == state).filter_map(|r| r[2].as_u64()).sum()
    }

    /// Waits for something a user can see; shows the log when it does not come.
    pub fn wait(&self, what: &str, patience: Duration, mut seen: impl FnMut() -> bool) {
        let since = Instant::now();
        while !seen() {
            assert!(since.elapsed() < patience, "waited {patience:?} for {what}; status {}; log:\n{}", self.status(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A running `rekindle run`; killed when dropped.
pub struct Running {
    child: Child,
}

impl Running {
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn exited(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// SIGTERM, then waits for a clean end.
    pub fn stop(mut self) -> bool {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            if since.elapsed() > Duration::from_secs(30) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

const MANIFEST: &str = r#"apiVersion: rekindle.dev/v1alpha1
kind: CrmConnection
metadata: {name: crm}
spec:
  type: File
  file:
    deals: {path: data/deals.csv}
    stages: {won: [Won], lost: [Lost]}
    writeBack: {path: data/writeback.jsonl}
  sync: {every: 1s}
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: mail}
spec:
  email: {from: {name: Sales, address: hello@news.example.com}}
  providers: [{name: relay, type: Smtp, smtp: {host: 127.0.0.1, port: SMTP_PORT, tls: None, connections: 8}}]
  rate: {perSecond: 10000, burst: 10000}
---
apiVersion: rekindle.dev/v1alpha1
kind: ContactPolicy
metadata: {name: default}
spec:
  brand: acme
  consent: {advertising: AssumedFromCrm}
  timeZone: UTC
  windows: [{from: "00:00", to: "24:00"}]
  # A restart after a standstill must not lay the rest out over half an hour.
  spread: 0s
---
apiVersion: rekindle.dev/v1alpha1
kind: ContentList
metadata: {name: price}
spec:
  items:
    - name: offer
      email:
        subject: "{{ client.firstName | default('Hello') }}, a better price"
        markdown: "[See it]({{ links.offer }})"
      links: {offer: "https://shop.example/offer"}
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
