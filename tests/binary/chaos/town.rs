//! Three processes on one PostgreSQL, each behind a wire of its own, and a CRM in which deals are lost all the time.

use super::{
    ledger::Ledger,
    postgres::Server,
    sinks::{Flaws, Sinks},
    wire::Wire,
};
use crate::{
    dice::Dice,
    harness::{BINARY, World},
};
use std::{
    fmt::Write as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub const REPLICAS: usize = 3;
/// Connections × pipeline depth of both channels in the manifest: what one take-over may find under way.
pub const SLOTS: usize = 4 + SMS_SLOTS;
pub const SMS_SLOTS: usize = 4;
pub const LEASE: Duration = Duration::from_secs(1);
/// For whatever must come about. A process that was cut off in the middle of a transaction keeps it open on the server for up to ten
/// seconds, and a lost connection costs each side its time-outs, so several such things in a row take their time on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// So many lost deals are under way at a time, so that every kill finds messages in flight.
const BACKLOG: usize = 40;
const LEAD: usize = 60;

pub struct Replica {
    pub wire: Wire,
    child: Child,
    log: std::path::PathBuf,
}

impl Replica {
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

pub struct Town {
    pub world: World,
    pub sinks: Sinks,
    pub ledger: Ledger,
    pub replicas: Vec<Replica>,
    /// Deals D0 to here were lost.
    pub lost: usize,
    rows: Vec<String>,
    fed: Instant,
    /// How long it took at most until somebody worked again.
    pub standstill: Duration,
    pub postgres: Server,
}

const HEAD: &str = "id,title,pipeline,stage,lostReason,amount,createdAt,stageChangedAt,lastActivityAt,manager,name,email,phone\n";

impl Town {
    /// `None` where there is no PostgreSQL.
    pub fn new(seed: u64, flaws: Flaws) -> Option<Self> {
        let postgres = Server::start_new()?;
        let sinks = Sinks::start(seed, flaws);
        let mut world = World::new(sinks.smtp);
        world.store = postgres.url();
        let manifest = MANIFEST.replace("SMTP_PORT", &sinks.smtp.to_string()).replace("SMS_PORT", &sinks.sms.to_string());
        world.write("funnel.yaml", &manifest);
        let ledger = Ledger::of(postgres.url());
        let mut town = Self {
            world,
            sinks,
            ledger,
            replicas: Vec::new(),
            lost: 0,
            rows: Vec::new(),
            fed: Instant::now(),
            standstill: Duration::ZERO,
            postgres,
        };
        town.open(LEAD);
        for n in 0..REPLICAS {
            let wire = Wire::to(town.postgres.folder(), Dice(seed ^ (n as u64 + 1)));
            let log = town.world.dir.path().join(format!("replica-{n}.log"));
            let child = town.spawn(&wire, &log);
            town.replicas.push(Replica { wire, child, log });
        }
        Some(town)
    }

    fn spawn(&self, wire: &Wire, log: &std::path::Path) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        Command::new(BINARY)
            .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--public-url", "https://go.example.com"])
            .args(["--lease", "1s", "--store", &wire.url(), "-f"])
            .arg(self.world.dir.path().join("config"))
            .env("RUST_LOG", "rekindle=info")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// A row that stays as it is, byte for byte, however often the file is written.
    fn row(n: usize, lost: bool) -> String {
        let now = jiff::Timestamp::now();
        let (stage, reason) = if lost { ("Lost", "price") } else { ("Talks", "") };
        let who = format!("Client {n},client{n}@mail.example,+7999{n:07}");
        format!("D{n},Flat,Sales,{stage},{reason},1000,{now},{now},{now},M1,{who}\n")
    }

    fn open(&mut self, more: usize) {
        let from = self.rows.len();
        self.rows.extend((from..from + more).map(|n| Self::row(n, false)));
        self.world.write("data/deals.csv", &format!("{HEAD}{}", self.rows.concat()));
    }

    /// Loses so many deals more, as many as the store has met: one that is met when it is lost already is another story.
    pub fn lose(&mut self, wanted: usize) {
        let Some(met) = self.ledger.met() else { return };
        let until = (self.lost + wanted).min(met).min(self.rows.len());
        for n in self.lost..until {
            self.rows[n] = Self::row(n, true);
        }
        let more = (until + LEAD).saturating_sub(self.rows.len());
        if until > self.lost || more > 0 {
            self.lost = until;
            self.open(more);
        }
    }

    /// Keeps something to send.
    pub fn feed(&mut self) {
        if self.fed.elapsed() < Duration::from_millis(300) {
            return;
        }
        self.fed = Instant::now();
        let Some(done) = self.ledger.finished() else { return };
        let under_way = self.lost.saturating_sub(done);
        if under_way < BACKLOG {
            self.lose(BACKLOG - under_way);
        }
    }

    /// The process that renewed the lease last.
    pub fn worker(&self) -> Option<usize> {
        let renewed = |n: &usize| self.replicas[*n].wire.renewed();
        let newest = (0..REPLICAS).filter(|n| renewed(n).is_some()).max_by_key(renewed)?;
        renewed(&newest).filter(|at| at.elapsed() < LEASE).map(|_| newest)
    }

    pub fn signal(&self, n: usize, signal: &str) {
        let id = self.replicas[n].child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// SIGKILL; it is not started again yet.
    pub fn kill(&mut self, n: usize) {
        self.replicas[n].child.kill().unwrap();
        self.replicas[n].child.wait().unwrap();
    }

    pub fn start(&mut self, n: usize) {
        let child = self.spawn(&self.replicas[n].wire, &self.replicas[n].log.clone());
        self.replicas[n].child = child;
    }

    pub fn nobody_ended_by_itself(&mut self) {
        for n in 0..REPLICAS {
            if let Some(status) = self.replicas[n].child.try_wait().unwrap() {
                panic!("process {n} ended by itself: {status}\n{}", self.logs());
            }
        }
    }

    /// The last words of everybody.
    pub fn logs(&self) -> String {
        let tail = |text: String| text.lines().rev().take(25).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        let mut out = String::new();
        for (n, replica) in self.replicas.iter().enumerate() {
            let _ = writeln!(out, "--- process {n}, at the store: {:?}\n{}", replica.wire.doing(), tail(replica.log()));
        }
        out + "--- PostgreSQL\n" + &tail(self.postgres.log())
    }

    /// Goes on feeding until something comes about.
    pub fn wait(&mut self, what: &str, feed: bool, mut seen: impl FnMut(&mut Self) -> bool) {
        let since = Instant::now();
        while !seen(self) {
            self.nobody_ended_by_itself();
            assert!(since.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}; {}\n{}", self.ledger.told(), self.logs());
            if feed {
                self.feed();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if feed {
            self.standstill = self.standstill.max(since.elapsed());
        }
    }

    /// Feeds for so long.
    pub fn live(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.feed();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM to all; whether all end cleanly.
    pub fn end(&mut self) -> bool {
        (0..REPLICAS).for_each(|n| self.signal(n, "-TERM"));
        let since = Instant::now();
        let mut clean = true;
        for replica in &mut self.replicas {
            loop {
                match replica.child.try_wait().unwrap() {
                    Some(status) => clean &= status.success(),
                    None if since.elapsed() > PATIENCE => clean = false,
                    None => {
                        std::thread::sleep(Duration::from_millis(20));
                        continue;
                    }
                }
                break;
            }
        }
        clean
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        for replica in &mut self.replicas {
            let _ = replica.child.kill();
            let _ = replica.child.wait();
        }
    }
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
  providers: [{name: relay, type: Smtp, smtp: {host: 127.0.0.1, port: SMTP_PORT, tls: None, connections: 4}}]
  rate: {perSecond: 1000, burst: 1000}
  retry: {min: 1s, max: 2s}
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: sms}
spec:
  sms: {from: SALES, optOut: Link}
  providers:
    - name: gateway
      type: Http
      http:
        request: {url: "http://127.0.0.1:SMS_PORT/send", json: {to: "{{ to }}", text: "{{ text }}", id: "{{ id }}"}}
        accepted: status == 200
        id: json.id
        timeout: 5s
        connections: 4
  rate: {perSecond: 1000, burst: 1000}
  retry: {min: 1s, max: 2s}
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
    - name: letter
      email:
        subject: "{{ client.firstName | default('Hello') }}, a better price"
        markdown: "[See it]({{ links.offer }})"
      links: {offer: "https://shop.example/offer"}
    - name: text
      after: 0h
      sms: {text: "A better price: {{ links.offer }}"}
      links: {offer: "https://shop.example/offer"}
---
apiVersion: rekindle.dev/v1alpha1
kind: ReactivationFunnel
metadata: {name: sales}
spec:
  mode: Live
  source: {crmRef: {name: crm}}
  policyRef: {name: default}
  channels: [{name: mail, ref: {name: mail}}, {name: sms, ref: {name: sms}}]
  stages:
    warming:
      - name: warming
        enter: [{lost: [price]}]
        content: [{listRef: {name: price}}]
    revived: {returnTo: {stage: Talks}}
"#;
