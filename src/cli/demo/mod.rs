//! `rekindle demo`: the whole product on a made-up property developer. Real manifests, the real engine, a real SQLite store, real
//! SMTP and SMS over loopback, real HTTP clicks; only time is not real.

mod dice;
mod people;
mod report;
mod sinks;
mod world;

use super::{
    folder::Reader,
    output::{self, OutputFormat},
    serve::{self, Pages, Served},
};
use crate::{
    model::FunnelKey,
    store::Store,
    workers::{Clock, Engine, EngineMetrics, EngineSettings},
};
use clap::Args;
use dice::Dice;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp, civil};
use people::{Action, Agenda};
use report::{Day, Figures};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::PoisonError,
    time::{Duration, Instant},
};
use world::World;

/// Sixty days of a reactivation funnel while you wait, with nothing but this binary: about 3,000 made-up deals of a property
/// developer, real SMTP and SMS servers on loopback, clients who click, answer, ignore and unsubscribe.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// The same seed gives the same figures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Days to live through.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=365))]
    days: u16,
    /// Deals in the CRM on the first morning.
    #[arg(long, default_value_t = 2500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    deals: u32,
    /// `table` for people, `json` for one object with all figures.
    #[arg(short, long, value_enum, default_value_t)]
    output: OutputFormat,
    /// Where the HTML report is written.
    #[arg(long, value_name = "FILE", default_value = "rekindle-demo.html")]
    report: PathBuf,
    /// Keep the pages up afterwards (status, metrics, tracked links), until Ctrl-C.
    #[arg(long)]
    serve: bool,
}

/// The clock moves in half hours: short enough for every delay in the lists, long enough for sixty days in seconds.
const STEP: SignedDuration = SignedDuration::from_mins(30);
/// The made-up CRM exports its files once a day, in the morning.
const EXPORT_EVERY: SignedDuration = SignedDuration::from_hours(23);
const TOKEN: &str = "demo-signals-token";

const MANIFESTS: [(&str, &str); 3] = [
    ("platform.yaml", include_str!("manifests/platform.yaml")),
    ("lists.yaml", include_str!("manifests/lists.yaml")),
    ("funnel.yaml", include_str!("manifests/funnel.yaml")),
];

/// Runs the demo.
///
/// # Errors
/// A sentence for the terminal.
pub async fn run(args: DemoArgs) -> Result<ExitCode, String> {
    let started = Instant::now();
    let home = tempfile_dir(args.seed).map_err(|e| format!("no folder for the demo's data: {e}"))?;
    let mut demo = Demo::start(&args, &home).await?;
    let bar = progress(&args);
    let figures = demo.live(&args, &bar, started).await?;
    bar.finish_and_clear();
    std::fs::write(&args.report, report::html(&figures)).map_err(|e| format!("{}: {e}", args.report.display()))?;
    let path = args.report.canonicalize().unwrap_or_else(|_| args.report.clone());
    match args.output {
        OutputFormat::Json => output::json(&figures),
        OutputFormat::Table => {
            output::print(&format!("{}\nReport: {}\n", report::tables(&figures), path.display()))?;
        }
    }
    let code = if figures.disagreements.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if args.serve {
        eprintln!("Pages: {} (Ctrl-C ends)", demo.served.admin);
        let _ = tokio::signal::ctrl_c().await;
    }
    drop(demo);
    let _ = std::fs::remove_dir_all(&home);
    Ok(code)
}

fn tempfile_dir(seed: u64) -> std::io::Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("rekindle-demo-{seed}-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir_all(dir.join("data"))?;
    Ok(dir)
}

fn progress(args: &DemoArgs) -> ProgressBar {
    if args.output == OutputFormat::Json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::from(args.days));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} day {pos}/{len}  {msg}") {
        bar.set_style(style);
    }
    bar
}

struct Demo {
    dice: Dice,
    world: World,
    engine: std::sync::Arc<Engine>,
    store: Store,
    clock: Clock,
    postbox: sinks::Shared,
    served: Served,
    http: reqwest::Client,
    agenda: Agenda,
    journal: Tail,
    data: PathBuf,
    funnel: FunnelKey,
    /// How many messages each address got: people react to the first differently than to the fifth.
    letters: HashMap<String, u32>,
    leaving: HashSet<String>,
    /// Addresses whose refusal was answered with 200: nothing may arrive at them any more.
    gone: HashSet<String>,
    suppressed_sends: u64,
    tasks_seen: u64,
    notices_seen: u64,
    signals: u64,
    /// When the CRM last wrote its files.
    exported_at: Option<Timestamp>,
}

impl Demo {
    async fn start(args: &DemoArgs, home: &Path) -> Result<Self, String> {
        let say = |what: &'static str| move |e: std::io::Error| format!("{what}: {e}");
        let clock = Clock::virtual_at(first_morning(civil::date(2026, 3, 2)));
        let dice = Dice::new(args.seed);
        let data = home.join("data");
        let mut world = World::new(dice, args.deals as usize, clock.now());
        world.write(&data).map_err(say("the demo's CRM files"))?;
        let store = Store::open(&format!("sqlite:{}", home.join("demo.db").display())).await.map_err(|e| e.to_string())?;
        let mut registry = prometheus_client::registry::Registry::default();
        let metrics = EngineMetrics::new(&mut registry);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(say("no port on loopback"))?;
        let base = format!("http://{}", listener.local_addr().map_err(say("no port on loopback"))?);
        let settings = EngineSettings { base_url: Some(base.clone()), lease: Duration::from_hours(1), ..EngineSettings::default() };
        let engine = Engine::new(store.journal.clone(), clock.clone(), settings, metrics);
        let (signal_tokens, region) = (vec![TOKEN.into()], "RU".into());
        let pages = Pages { public: listener, admin: None, signal_tokens, region, client_ip_header: None };
        let served = serve::start(&store, &engine, registry, pages)?;
        let (smtp, sms, postbox) = sinks::start(base).await.map_err(say("no port on loopback"))?;
        for (name, text) in MANIFESTS {
            let text = text.replace("SMTP_PORT", &smtp.port().to_string()).replace("SMS_PORT", &sms.port().to_string());
            std::fs::write(home.join(name), text).map_err(say("the demo's manifests"))?;
        }
        if !engine.hold_lease().await.map_err(|e| e.to_string())? {
            return Err("the demo's own store is in use".into());
        }
        let reading = Reader::new(home).read().map_err(|e| e.to_string())?;
        let published = engine.publish(reading.snapshot(), reading.declared().as_ref()).await.map_err(|e| e.to_string())?;
        if published.funnels.is_empty() {
            let why: Vec<String> = reading.problems(published.findings).iter().map(ToString::to_string).collect();
            return Err(format!("the demo's manifests are not valid: {}", why.join("; ")));
        }
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self {
            dice,
            world,
            engine,
            store,
            clock,
            postbox,
            served,
            http,
            agenda: Agenda::default(),
            journal: Tail { path: data.join("writeback.jsonl"), read: 0 },
            data,
            funnel: FunnelKey { namespace: "demo".into(), name: "flats".into() },
            letters: HashMap::new(),
            leaving: HashSet::new(),
            gone: HashSet::new(),
            suppressed_sends: 0,
            tasks_seen: 0,
            notices_seen: 0,
            signals: 0,
            exported_at: None,
        })
    }

    /// Lives through all days and counts.
    async fn live(&mut self, args: &DemoArgs, bar: &ProgressBar, started: Instant) -> Result<Figures, String> {
        let first = civil::date(2026, 3, 2);
        let mut days: Vec<Day> = Vec::new();
        let mut moments = vec![self.clock.now()];
        self.engine.settle().await.map_err(|e| e.to_string())?;
        for day in 0..i64::from(args.days) {
            let morning = first_morning(first.saturating_add(jiff::Span::new().days(day)));
            let evening = morning + SignedDuration::from_hours(24) - STEP;
            self.go_to(morning);
            self.world.work(day, morning);
            loop {
                self.turn().await?;
                let now = self.clock.now();
                let due = self.store.journal.next_due().await.map_err(|e| e.to_string())?;
                let next = [due, self.agenda.next()].into_iter().flatten().min().map_or(evening, |t| t.max(now + STEP));
                if next >= evening {
                    break;
                }
                self.go_to(next);
            }
            let (sms, email) = {
                let postbox = self.postbox.lock().unwrap_or_else(PoisonError::into_inner);
                (postbox.sms, postbox.email)
            };
            let before = days.iter().fold((0, 0), |sum, d| (sum.0 + d.sms, sum.1 + d.email));
            days.push(Day {
                date: first.saturating_add(jiff::Span::new().days(day)),
                sms: sms - before.0,
                email: email - before.1,
            });
            bar.set_message(format!("{sms} SMS, {email} emails, {} signals", self.signals));
            bar.inc(1);
            if (day + 1) % 7 == 0 || day + 1 == i64::from(args.days) {
                moments.push(evening);
            }
        }
        self.go_to(first_morning(first.saturating_add(jiff::Span::new().days(i64::from(args.days)))));
        self.turn().await?;
        self.count(days, moments, started).await
    }

    fn go_to(&mut self, at: Timestamp) {
        // Rounded up to the step, so that what is due close together is done together.
        let step = STEP.as_millis();
        let ms = i128::from(at.as_millisecond()).div_euclid(step) * step;
        let ms = if ms < i128::from(at.as_millisecond()) { ms + step } else { ms };
        let at = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(at);
        self.clock.advance(at);
    }

    /// Everything that happens at the present moment, until it is quiet.
    async fn turn(&mut self) -> Result<(), String> {
        loop {
            let now = self.clock.now();
            for action in self.agenda.due(now) {
                self.act(action, now).await?;
            }
            if self.world.dirty && self.exported_at.is_none_or(|at| now.duration_since(at) >= EXPORT_EVERY) {
                self.exported_at = Some(now);
                self.world.write(&self.data).map_err(|e| format!("the demo's CRM files: {e}"))?;
                self.engine.sync_soon();
            }
            self.engine.settle().await.map_err(|e| e.to_string())?;
            self.read_write_backs(now)?;
            let arrived = self.postbox.lock().unwrap_or_else(PoisonError::into_inner).take();
            for message in arrived {
                if self.gone.contains(&message.to) {
                    self.suppressed_sends += 1;
                }
                let count = self.letters.entry(message.to.clone()).or_default();
                *count += 1;
                let person_leaving = self.world.person(&message.to).is_some_and(|p| self.leaving.contains(&p.deal));
                if !person_leaving {
                    people::react(self.dice, &self.world, &message, *count, now, &mut self.agenda, &mut self.leaving);
                }
            }
            if self.agenda.next().is_none_or(|at| at > now) {
                return Ok(());
            }
        }
    }

    async fn act(&mut self, action: Action, now: Timestamp) -> Result<(), String> {
        let agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15";
        let fail = |e: reqwest::Error| format!("the demo's own pages did not answer: {}", e.without_url());
        match action {
            Action::Click { url } => {
                self.http.get(url).header("user-agent", agent).send().await.map_err(fail)?;
            }
            Action::Scan { urls } => {
                for url in urls {
                    self.http.get(url).header("user-agent", agent).send().await.map_err(fail)?;
                }
            }
            Action::Unsubscribe { url, address } => {
                let form = [("List-Unsubscribe", "One-Click")];
                let answer = self.http.post(url).form(&form).send().await.map_err(fail)?;
                if answer.status().is_success() {
                    self.gone.insert(address);
                }
            }
            Action::Signal { kind, address } => {
                let who = if address.contains('@') { "email" } else { "phone" };
                self.signal(kind, serde_json::json!({ who: address }), now).await?;
            }
            Action::CloseTask { deal, reaction } => {
                if self.world.is_open(&deal) {
                    self.world.touch(&deal, now);
                }
                let data = serde_json::json!({ "connection": "sales-crm", "deal": deal, "reaction": reaction });
                self.signal("taskclosed", data, now).await?;
            }
            Action::Work { deal } => self.world.touch(&deal, now),
        }
        Ok(())
    }

    async fn signal(&mut self, kind: &str, data: serde_json::Value, now: Timestamp) -> Result<(), String> {
        self.signals += 1;
        let event = serde_json::json!({
            "specversion": "1.0", "id": format!("demo-{}", self.signals), "source": "/demo/telephony",
            "type": format!("dev.rekindle.signal.{kind}"), "time": now.to_string(), "data": data,
        });
        let answer = self
            .http
            .post(format!("{}/v1/signals", self.served.public))
            .bearer_auth(TOKEN)
            .header("content-type", "application/cloudevents+json")
            .body(event.to_string())
            .send()
            .await
            .map_err(|e| format!("the demo's own pages did not answer: {}", e.without_url()))?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("a demo signal was refused: {}", answer.text().await.unwrap_or_default()))
        }
    }

    /// The CRM does what the write-backs ask for, and its managers see their tasks.
    fn read_write_backs(&mut self, now: Timestamp) -> Result<(), String> {
        for line in self.journal.fresh().map_err(|e| format!("the write-back journal: {e}"))? {
            let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            let text = |path: &str| event.pointer(path).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
            let deal = text("/subject");
            match text("/type").rsplit('.').next().unwrap_or_default() {
                "move" => self.world.move_to(&deal, &text("/data/stage"), now),
                "task" => {
                    self.tasks_seen += 1;
                    people::manage(self.dice, &deal, &text("/data/title"), now, &mut self.agenda);
                }
                "notify" => self.notices_seen += 1,
                _ => {}
            }
        }
        Ok(())
    }

    async fn count(&self, days: Vec<Day>, moments: Vec<Timestamp>, started: Instant) -> Result<Figures, String> {
        let now = self.clock.now();
        let say = |e: crate::store::StoreError| e.to_string();
        let counts = self.store.views.counts(&self.funnel, None, now).await.map_err(say)?;
        let series = self.store.views.stages_at(&self.funnel, &moments).await.map_err(say)?;
        let holdings = self.store.views.ambiguous(1000).await.map_err(say)?.len() as u64;
        let (sms, email, duplicates) = {
            let postbox = self.postbox.lock().unwrap_or_else(PoisonError::into_inner);
            (postbox.sms, postbox.email, postbox.duplicates())
        };
        let by = |rows: &[(String, String, u64)], kind: &str, states: &[&str]| -> u64 {
            rows.iter().filter(|(k, s, _)| k == kind && states.contains(&s.as_str())).map(|(.., n)| n).sum()
        };
        let sent = ["accepted", "delivered"];
        let open = ["planned", "intended", "unknown"];
        let stored = BTreeMap::from([
            ("SMS", (by(&counts.messages, "Sms", &sent), sms)),
            ("emails", (by(&counts.messages, "Email", &sent), email)),
            ("tasks", (by(&counts.writebacks, "task", &sent), self.tasks_seen)),
            ("notifications", (by(&counts.writebacks, "notify", &sent), self.notices_seen)),
        ]);
        let disagreements = stored
            .iter()
            .filter(|(_, (store, sink))| store != sink)
            .map(|(what, (store, sink))| format!("{what}: {store} in the store, {sink} at the other end"))
            .collect();
        let unfinished: u64 = ["Sms", "Email"].iter().map(|m| by(&counts.messages, m, &open)).sum();
        Ok(Figures {
            deals: self.world.len() as u64,
            sms,
            email,
            clicks_human: counts.clicks_human,
            clicks_machine: counts.clicks_machine,
            notified: self.notices_seen,
            tasks: self.tasks_seen,
            revived: counts.revived,
            organic: counts.organic,
            assisted: counts.assisted,
            contacted: counts.contacted,
            holdout: counts.holdout,
            holdout_revived: counts.holdout_revived,
            unsubscribed: counts.unsubscribed,
            suppressed_sends: self.suppressed_sends,
            duplicates,
            lost: unfinished + stored["SMS"].0.abs_diff(sms) + stored["emails"].0.abs_diff(email),
            ambiguous: holdings,
            skipped: counts.skipped,
            stages: counts.stages,
            moments,
            series,
            days,
            disagreements,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

/// Eight in the morning in Moscow.
fn first_morning(date: civil::Date) -> Timestamp {
    date.at(5, 0, 0, 0).in_tz("UTC").map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp())
}

/// Reads what was appended to a file since the last look.
struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    fn fresh(&mut self) -> std::io::Result<Vec<String>> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = match std::fs::File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        self.read += whole as u64;
        Ok(text[..whole].lines().map(str::to_owned).collect())
    }
}
