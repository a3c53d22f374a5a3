//! A town to live in: a folder of manifests and deals, the real engine on SQLite with a clock of its own, channels that take everything,
//! and what `simulate` says of the same folder.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rekindle::{
    channels::{self, Channel, ChannelError, Job},
    compile::{ChannelWiring, ConnectionWiring, Snapshot, compile, compile_funnel},
    crm::{Connector, CrmError},
    engine::Plan,
    model::{EffectRef, FunnelKey, InboxEvent, Mode, Outcome, Reaction, SignalKind, SignalSubject},
    simulate::{self, Behaviour, Given, Question, Run, World, sources},
    source::{Admission, Folder},
    store::{FunnelCounts, Incoming, Load, Store},
    workers::{Clock, Engine, EngineMetrics, EngineSettings, Live, Outside},
};
use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// (deal, list/item, minute)
pub type Sent = BTreeSet<(String, String, String)>;

pub fn snapshot(folder: &Path) -> Snapshot {
    let admission = Admission::of_this_version();
    admission.admit(&Folder::new(folder, admission.kinds()).load().unwrap()).snapshot
}

pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

pub async fn predict(folder: &Path, from: Timestamp, days: i64, behaviour: Option<Behaviour>) -> (World, simulate::Outcome) {
    asked(folder, from, days, behaviour, 1).await
}

/// As if the funnels of the folder stood in it so many times.
pub async fn predict_copies(folder: &Path, from: Timestamp, days: i64, copies: usize) -> (World, simulate::Outcome) {
    asked(folder, from, days, None, copies).await
}

async fn asked(
    folder: &Path,
    from: Timestamp,
    days: i64,
    behaviour: Option<Behaviour>,
    copies: usize,
) -> (World, simulate::Outcome) {
    let compiled = compile(&snapshot(folder));
    let lives: Vec<Live> = compiled.funnels.values().map(|s| Live::from(compile_funnel(s, 1, from).unwrap())).collect();
    let lives: Vec<Given> = std::iter::repeat_n(lives, copies).flatten().map(Given::from).collect();
    let plans: Vec<&Plan> = lives.iter().map(|given| &*given.live.plan).collect();
    assert!(plans.iter().all(|p| p.mode == Mode::Live));
    let connections: BTreeSet<String> = sources(plans.into_iter()).into_values().collect();
    let world = World::from_files(&compiled.wiring, &connections, None, from, &|_| ()).await.unwrap();
    let until = from + SignedDuration::from_hours(days * 24);
    let question = Question { from, until, seed: 7, behaviour, base_url: "https://go.example.com".into() };
    let outcome = Run::new(&world, lives, &compiled.wiring, question).live(&world, &|_, _| ());
    (world, outcome)
}

pub fn predicted(world: &World, outcome: &simulate::Outcome) -> Sent {
    let one = |sent: &simulate::Sent| {
        let item = outcome.run.item(sent).unwrap();
        (world.deal_id(sent.deal), format!("{}/{}", item.list, item.item), minute(sent.at))
    };
    outcome.tally.sent.iter().map(one).collect()
}

type Took = Arc<Mutex<Vec<(EffectRef, Timestamp)>>>;
type Refusals = Arc<Mutex<VecDeque<Outcome>>>;
type Refused = Arc<Mutex<Option<(String, Outcome)>>>;

/// Takes every message and remembers when; while the gateway is closed, it asks to be tried again. `refusals` are its next answers,
/// `refused` is who is never written to, with the answer.
struct Taker {
    clock: Clock,
    took: Took,
    closed: Arc<AtomicBool>,
    refusals: Refusals,
    refused: Refused,
}

#[async_trait]
impl Channel for Taker {
    async fn perform(&self, jobs: Vec<Job>, _deadline: Instant, reports: mpsc::UnboundedSender<channels::Report>) {
        for job in jobs {
            if self.closed.load(Ordering::SeqCst) {
                let outcome = Outcome::Retry { reason: "closed".into(), after: Some(Duration::from_mins(1)) };
                let _ = reports.send(channels::Report { effect: job.effect, attempt: job.attempt, outcome });
                continue;
            }
            let always = self.refused.lock().unwrap().clone().filter(|(who, _)| who == job.to.as_str()).map(|(_, answer)| answer);
            let refused = always.or_else(|| self.refusals.lock().unwrap().pop_front());
            let outcome = refused.unwrap_or_else(|| {
                self.took.lock().unwrap().push((job.effect, self.clock.now()));
                Outcome::Accepted { provider: "taker".into(), provider_id: None }
            });
            let _ = reports.send(channels::Report { effect: job.effect, attempt: job.attempt, outcome });
        }
    }

    fn close(&self) {}

    fn capacity(&self) -> usize {
        1000
    }

    fn in_flight_bound(&self) -> usize {
        1000
    }
}

struct Takers {
    clock: Clock,
    took: Took,
    closed: Arc<AtomicBool>,
    refusals: Refusals,
    refused: Refused,
    /// In the place of every CRM.
    crm: Option<Arc<dyn Connector>>,
}

impl Outside for Takers {
    fn connect(&self, settings: &ConnectionWiring) -> Result<Arc<dyn Connector>, CrmError> {
        self.crm.clone().map_or_else(|| rekindle::crm::connect(settings), Ok)
    }

    fn open(&self, _: &ChannelWiring) -> Result<Arc<dyn Channel>, ChannelError> {
        let (clock, took) = (self.clock.clone(), self.took.clone());
        let (refusals, refused) = (self.refusals.clone(), self.refused.clone());
        Ok(Arc::new(Taker { clock, took, closed: self.closed.clone(), refusals, refused }))
    }
}

/// A running installation.
pub struct Town {
    pub folder: PathBuf,
    pub clock: Clock,
    pub store: Store,
    pub engine: Arc<Engine>,
    took: Took,
    /// The gateway takes nothing for now.
    pub closed: Arc<AtomicBool>,
    /// What the provider answers next, before it takes messages again.
    pub refusals: Refusals,
    /// A phone that it never takes anything for, and what it answers.
    pub refused: Refused,
    beat: Timestamp,
    /// How long nothing happens at most: admissions and readings of the CRM come by themselves.
    pub every: SignedDuration,
    _home: Option<tempfile::TempDir>,
}

impl Town {
    /// The folder's manifests in force at `from`, everything due then done.
    pub async fn open(folder: &Path, from: Timestamp) -> Self {
        Self::beside(folder, from, None).await
    }

    async fn beside(folder: &Path, from: Timestamp, crm: Option<Arc<dyn Connector>>) -> Self {
        let clock = Clock::virtual_at(from);
        let store = Store::open(&format!("sqlite:{}", folder.join("run.db").display())).await.unwrap();
        let took = Took::default();
        let closed = Arc::new(AtomicBool::new(false));
        let (refusals, refused) = (Refusals::default(), Refused::default());
        let outside = Arc::new(Takers {
            clock: clock.clone(),
            took: took.clone(),
            closed: closed.clone(),
            refusals: refusals.clone(),
            refused: refused.clone(),
            crm,
        });
        let metrics = EngineMetrics::new(&mut prometheus_client::registry::Registry::default());
        let base_url = Some("https://go.example.com".to_owned());
        let settings = EngineSettings { base_url, lease: Duration::from_hours(1), ..EngineSettings::default() };
        let engine = Engine::with_outside(store.journal.clone(), clock.clone(), settings, metrics, outside);
        assert!(engine.hold_lease().await.unwrap());
        let every = SignedDuration::from_mins(10);
        let beat = from + every;
        let town =
            Self { folder: folder.to_owned(), clock, store, engine, took, closed, refusals, refused, beat, every, _home: None };
        town.publish().await;
        town
    }

    /// A small one of its own: these files.
    pub async fn with(files: &[(&str, &str)], from: Timestamp) -> Self {
        Self::with_crm(files, from, None).await
    }

    /// The same beside a CRM of the test's own.
    pub async fn with_crm(files: &[(&str, &str)], from: Timestamp, crm: Option<Arc<dyn Connector>>) -> Self {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        let town = Self::beside(home.path(), from, crm).await;
        Self { _home: Some(home), ..town }
    }

    /// Puts the folder as it is now in force.
    pub async fn publish(&self) {
        let published = self.engine.publish(&snapshot(&self.folder), None).await.unwrap();
        let errors: Vec<String> =
            published.findings.iter().filter(|f| f.is_error()).map(|f| format!("{} {}", f.path, f.message)).collect();
        assert!(errors.is_empty() && published.kept.is_empty(), "{errors:?}");
        self.engine.settle().await.unwrap();
    }

    /// Edits a file, and publishes.
    pub async fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} does not stand in {file}");
        std::fs::write(path, text.replace(from, to)).unwrap();
        self.publish().await;
    }

    /// The clock goes from one moment at which something is due to the next.
    pub async fn run(&mut self, until: Timestamp) {
        loop {
            let due = self.store.journal.next_due().await.unwrap();
            let next = due.map_or(self.beat, |due| due.min(self.beat)).max(self.clock.now() + SignedDuration::from_millis(1));
            if next >= until {
                break;
            }
            self.clock.advance(next);
            self.engine.settle().await.unwrap();
            if self.clock.now() >= self.beat {
                self.beat += self.every;
            }
        }
        if self.clock.now() < until {
            self.clock.advance(until);
        }
    }

    /// What went out.
    pub async fn sent(&self) -> Sent {
        let took = self.took.lock().unwrap().clone();
        let mut sent = Sent::new();
        for (effect, at) in took {
            let key = self.store.journal.effect(effect).await.unwrap().unwrap().key;
            let subject = self.store.journal.load(&Load::Copies(vec![effect.copy]), at).await.unwrap().remove(0);
            assert!(sent.insert((subject.deal.id, format!("{}/{}", key.list, key.item), minute(at))));
        }
        sent
    }

    /// Behind the store's back.
    pub async fn damage(&self, statement: &'static str) {
        use sqlx::{Connection as _, Executor as _};
        let url = format!("sqlite:{}", self.folder.join("run.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
        connection.close().await.unwrap();
    }

    pub async fn counts(&self, funnel: &str) -> FunnelCounts {
        let funnel = FunnelKey { namespace: "shop".into(), name: funnel.into() };
        self.store.views.counts(&funnel, None, self.clock.now()).await.unwrap()
    }

    pub async fn story(&self, funnel: &str, deal: &str) -> Vec<String> {
        let funnel = FunnelKey { namespace: "shop".into(), name: funnel.into() };
        let lines = self.store.views.timeline(&funnel, deal).await.unwrap();
        lines.into_iter().map(|line| line.text).collect()
    }
}

/// One connection to `deals.csv` and `contacts.csv`, two channels, one policy, one list of three SMS.
pub const BASE: &str = r#"
apiVersion: rekindle.dev/v1alpha1
kind: CrmConnection
metadata: {name: crm, namespace: shop}
spec:
  type: File
  file:
    deals: {path: deals.csv}
    contacts: {path: contacts.csv}
    columns: {id: id, pipeline: pipeline, stage: stage, lostReason: reason, amount: amount, createdAt: created, stageChangedAt: changed, lastActivityAt: touched, contactId: contact}
    contactColumns: {id: id, name: name, phone: phone, consent: consent}
    stages: {won: [Won], lost: [Lost]}
    timeZone: Europe/Moscow
  region: RU
  sync: {every: 10s}
  maxStaleness: 2h
---
apiVersion: v1
kind: Secret
metadata: {name: kannel, namespace: shop}
stringData: {username: rekindle, password: made-up}
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: sms, namespace: shop}
spec:
  sms: {from: NOVYDOM, maxParts: 3, optOut: None, price: {perPart: "4.20", currency: RUB}}
  providers: [{name: main, type: Kannel, kannel: {url: "http://127.0.0.1:13013", secretRef: {name: kannel}}}]
  rate: {perSecond: 20}
---
apiVersion: rekindle.dev/v1alpha1
kind: ContactPolicy
metadata: {name: default, namespace: shop}
spec:
  brand: novydom
  consent: {advertising: AssumedFromCrm}
  timeZone: Europe/Moscow
  windows: [{from: "10:00", to: "20:00"}]
  spread: 0s
---
apiVersion: rekindle.dev/v1alpha1
kind: ContentList
metadata: {name: warm, namespace: shop}
spec:
  title: Warm
  items:
    - {name: one, title: One, after: 1d, sms: {text: "one"}}
    - {name: two, title: Two, after: 1d, sms: {text: "two"}}
    - {name: three, title: Three, after: 1d, sms: {text: "three"}}
"#;

/// A funnel in words of one line each.
pub fn funnel(name: &str, more: &str) -> String {
    format!(
        r"
---
apiVersion: rekindle.dev/v1alpha1
kind: ReactivationFunnel
metadata: {{name: {name}, namespace: shop}}
spec:
  mode: Live
  source: {{crmRef: {{name: crm}}, entity: Deal}}
  policyRef: {{name: default}}
  channels: [{{name: sms, ref: {{name: sms}}}}]
  stages:
    inWork: {{title: In work}}
    stalled: [{{name: stalled, title: Stalled, enter: [{{inactivity: 5d}}]}}]
    warming: [{{name: warming, title: Warming, enter: [{{lost: []}}], content: [{{listRef: {{name: warm}}}}]}}]
    revived: {{title: Revived}}
    unsubscribed: {{title: Unsubscribed}}
{more}
"
    )
}

pub const CONTACTS: &str = "id;name;phone;consent\n";
pub const DEALS: &str = "id;pipeline;stage;reason;amount;created;changed;touched;contact\n";

pub fn contact(number: u32) -> String {
    format!("k{number};Anna {number};+7999000{number:04};yes\n")
}

/// A deal that is lost on a day (`2026-03-01`), of a contact.
pub fn lost(number: u32, contact: u32, day: &str) -> String {
    format!("d{number};Sales;Lost;price;1000;2026-01-01 12:00;{day} 12:00;{day} 12:00;k{contact}\n")
}

pub fn open(number: u32, contact: u32, touched: &str) -> String {
    format!("d{number};Sales;Talks;;1000;2026-01-01 12:00;2026-01-01 12:00;{touched} 12:00;k{contact}\n")
}

/// Two thousand deals that have gone cold before anybody looked: at first sight nobody knows yet whose they are.
#[tokio::test]
async fn those_who_are_cold_at_first_sight_are_held_out_by_their_own_share() {
    let (mut contacts, mut deals) = (CONTACTS.to_owned(), DEALS.to_owned());
    for n in 1..=1000 {
        contacts += &contact(n);
        deals += &open(2 * n, n, "2026-01-10");
        deals += &open(2 * n + 1, n, "2026-01-10");
    }
    let stalled = "{inactivity: 5d}]";
    let manifests = format!("{BASE}{}", funnel("flats", "  holdout: {percent: 20, salt: s}"))
        .replace(stalled, &format!("{stalled}, content: [{{listRef: {{name: warm}}}}]"));
    let from: Timestamp = "2026-03-02T06:00:00Z".parse().unwrap();
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &deals)];
    let mut town = Town::with(&files, from).await;
    let counts = town.counts("flats").await;
    assert!((300..=500).contains(&counts.holdout), "{} of 2000 are held out", counts.holdout);
    town.run(from + SignedDuration::from_hours(36)).await;
    let sent = town.sent().await;
    assert_eq!(sent.len() as u64, 2000 - counts.holdout);
    // One answer for a person: both deals, or none.
    let number = |id: &String| id[1..].parse::<u32>().unwrap() / 2;
    let reached: BTreeSet<u32> = sent.iter().map(|(deal, ..)| number(deal)).collect();
    assert_eq!(reached.len() * 2, sent.len());
    let (world, outcome) = predict(&town.folder, from, 36 / 24, None).await;
    let until = minute(from + SignedDuration::from_hours(24));
    let early: Sent = sent.into_iter().filter(|(.., at)| *at < until).collect();
    assert_eq!(predicted(&world, &outcome), early);
}

/// A client with a lost flat and a lost house: of two funnels of one brand the one that the policy ranks first speaks, of two brands both.
#[tokio::test]
async fn the_ranked_funnel_speaks_first_and_another_brand_speaks_beside_it() {
    let pipeline = |text: String, pipeline: &str| text.replace("entity: Deal", &format!("entity: Deal, pipeline: {pipeline}"));
    let (flats, houses) = (pipeline(funnel("flats", ""), "Flats"), pipeline(funnel("houses", ""), "Houses"));
    // With a list of their own: the same item is not sent to an address twice.
    let houses = houses.replace("listRef: {name: warm}", "listRef: {name: house}");
    let document = |word: &str| BASE.split("---").find(|d| d.contains(word)).unwrap();
    let list = document("ContentList").replace("{name: warm,", "{name: house,");
    let deals = DEALS.to_owned()
        + &lost(1, 1, "2026-03-02").replace("Sales", "Flats")
        + &lost(2, 1, "2026-03-03").replace("Sales", "Houses");
    let contacts = CONTACTS.to_owned() + &contact(1);
    let from: Timestamp = "2026-03-01T06:00:00Z".parse().unwrap();
    let other = document("ContactPolicy").replace("novydom", "other").replace("name: default", "name: other");
    for (ranked, theirs, want) in [
        ("", false, [("d1", "one", "05"), ("d1", "two", "06"), ("d1", "three", "07"), ("d2", "one", "07")]),
        (
            "  priorities: [{funnel: houses}]\n",
            false,
            [("d2", "one", "05"), ("d2", "two", "06"), ("d2", "three", "07"), ("d1", "one", "07")],
        ),
        ("", true, [("d1", "one", "05"), ("d2", "one", "05"), ("d1", "two", "06"), ("d2", "two", "06")]),
    ] {
        let base = BASE.replace("  brand: novydom\n", &format!("  brand: novydom\n{ranked}"));
        let (houses, other) = if theirs {
            (houses.replace("{name: default}", "{name: other}"), other.clone())
        } else {
            (houses.clone(), String::new())
        };
        let manifests = format!("{base}{flats}{houses}\n---{list}\n---{other}");
        let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", DEALS)];
        let mut town = Town::with(&files, from).await;
        let until = "2026-03-04T09:00:00Z".parse().unwrap();
        town.run(until).await;
        // Both are seen as lost in the same look.
        std::fs::write(town.folder.join("deals.csv"), &deals).unwrap();
        town.run(until + SignedDuration::from_hours(24 * 4)).await;
        let mut sent: Vec<_> = town.sent().await.into_iter().map(|(deal, item, at)| (at, deal, item)).collect();
        sent.sort();
        let short: Vec<_> =
            sent.iter().map(|(at, deal, item)| (deal.as_str(), item.split_once('/').unwrap().1, &at[8..10])).collect();
        assert_eq!(short.get(..4), Some(&want[..]), "{ranked} {short:?}");
        let (funnel, deal) = if ranked.is_empty() { ("houses", "d2") } else { ("flats", "d1") };
        let story = town.story(funnel, deal).await;
        let word = if ranked.is_empty() { "OtherDealLeads" } else { "LowerPriority" };
        assert_eq!(story.iter().any(|line| line.ends_with(word)), !theirs, "{story:?}");
    }
}

/// Two messages ten minutes apart. The provider answers the first one that there is no money, for which a rule says an hour.
#[tokio::test]
async fn a_channel_without_money_pauses_as_long_as_its_rule_says() {
    for (after, want) in [(Some(Duration::from_hours(1)), ["10:09", "10:09"]), (None, ["09:10", "09:19"])] {
        let contacts = CONTACTS.to_owned() + &contact(1) + &contact(2);
        let both_open = DEALS.to_owned() + &open(1, 1, "2026-03-01") + &open(2, 2, "2026-03-01");
        let manifests = format!("{BASE}{}", funnel("flats", ""));
        let files = [("all.yaml", manifests.as_str()), ("contacts.csv", contacts.as_str()), ("deals.csv", both_open.as_str())];
        let monday: Timestamp = "2026-03-02T08:59:30Z".parse().unwrap();
        let mut town = Town::with(&files, monday).await;
        let deals = town.folder.join("deals.csv");
        std::fs::write(&deals, DEALS.to_owned() + &lost(1, 1, "2026-03-02") + &open(2, 2, "2026-03-01")).unwrap();
        town.run("2026-03-02T09:15:00Z".parse().unwrap()).await;
        std::fs::write(&deals, DEALS.to_owned() + &lost(1, 1, "2026-03-02") + &lost(2, 2, "2026-03-02")).unwrap();
        town.refusals.lock().unwrap().push_back(Outcome::ChannelDown { reason: "no money".into(), after });
        town.run("2026-03-03T12:00:00Z".parse().unwrap()).await;
        let times: Vec<String> = town.sent().await.into_iter().map(|(_, _, at)| at).collect();
        let hours: Vec<&str> = times.iter().map(|at| &at[11..]).collect();
        assert_eq!(hours, want, "{after:?} {times:?}");
    }
}

/// The gateway's number of one message meets a row that cannot be read back. What came of all others is known, and what came of this one
/// once the row is repaired.
#[tokio::test]
async fn a_damaged_row_keeps_the_outcomes_of_no_other_message_waiting() {
    let contacts = CONTACTS.to_owned() + &contact(1) + &contact(2);
    let both_open = DEALS.to_owned() + &open(1, 1, "2026-03-01") + &open(2, 2, "2026-03-01");
    let manifests = format!("{BASE}{}", funnel("flats", ""));
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", contacts.as_str()), ("deals.csv", both_open.as_str())];
    let mut town = Town::with(&files, "2026-03-02T08:59:30Z".parse().unwrap()).await;
    town.damage("INSERT INTO provider_ref (provider, id, early, early_at) VALUES ('shop/sms/taker', '7', '{', 1)").await;
    town.refusals.lock().unwrap().push_back(Outcome::Accepted { provider: "taker".into(), provider_id: Some("7".into()) });
    let both_lost = DEALS.to_owned() + &lost(1, 1, "2026-03-02") + &lost(2, 2, "2026-03-02");
    std::fs::write(town.folder.join("deals.csv"), both_lost).unwrap();
    let lived = town.run("2026-03-03T12:00:00Z".parse().unwrap());
    assert!(tokio::time::timeout(Duration::from_mins(1), lived).await.is_ok(), "it still waits for the damaged row");
    let messages = async || town.counts("flats").await.messages;
    let sms = |status: &str, n| ("Sms".to_owned(), status.to_owned(), n);
    let known = messages().await;
    assert!(known.contains(&sms("accepted", 1)) && known.contains(&sms("intended", 1)), "{known:?}");
    town.damage("UPDATE provider_ref SET early = NULL, early_at = NULL WHERE id = '7'").await;
    for _ in 0..100 {
        if messages().await.contains(&sms("accepted", 2)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the repaired row was not tried again: {:?}", messages().await);
}

/// A gateway that takes everything but what goes to one client, and calls that a fault of the account. Those who are written to hours
/// later are written to at the same minute as without that client.
#[tokio::test]
async fn one_client_whom_the_gateway_refuses_does_not_hold_up_the_others() {
    let contacts = CONTACTS.to_owned() + &(1..=5).map(contact).collect::<String>();
    let deals = |gone: u32| {
        let one = |n| if n <= gone { lost(n, n, "2026-03-02") } else { open(n, n, "2026-03-01") };
        DEALS.to_owned() + &(1..=5).map(one).collect::<String>()
    };
    let manifests = format!("{BASE}{}", funnel("flats", ""));
    let mut minutes = Vec::new();
    for refuses in [false, true] {
        let files = [("all.yaml", manifests.as_str()), ("contacts.csv", contacts.as_str()), ("deals.csv", &deals(0))];
        let mut town = Town::with(&files, "2026-03-02T08:59:30Z".parse().unwrap()).await;
        if refuses {
            let answer = Outcome::ChannelDown { reason: "5.7.1".into(), after: None };
            *town.refused.lock().unwrap() = Some(("+79990000001".into(), answer));
        }
        for (gone, until) in [(1, "2T09:15"), (2, "2T11:00"), (3, "2T12:05"), (4, "2T13:35"), (5, "3T16:00")] {
            std::fs::write(town.folder.join("deals.csv"), deals(gone)).unwrap();
            town.run(format!("2026-03-0{until}:00Z").parse().unwrap()).await;
        }
        let sent = town.sent().await;
        assert_eq!(sent.iter().any(|(deal, ..)| deal == "d1"), !refuses);
        minutes.push(sent.into_iter().filter(|(deal, ..)| ["d3", "d4", "d5"].contains(&deal.as_str())).collect::<Vec<_>>());
    }
    assert_eq!((minutes[0].len(), &minutes[0]), (3, &minutes[1]));
}

/// Forty clients, ten roubles a day for SMS of 4.20 a part and some of two parts: what is predicted is what is sent, and no more is spent.
#[tokio::test]
async fn a_budget_is_kept_and_its_end_predicted() {
    let (mut contacts, mut deals) = (CONTACTS.to_owned(), DEALS.to_owned());
    for n in 1..=40 {
        contacts += &contact(n);
        deals += &lost(n, n, "2026-02-27").replace("price", if n % 5 == 0 { "long" } else { "price" });
    }
    let budget = "  brand: novydom\n  budget: {currency: RUB, perDay: \"34\", perMonth: \"400\"}\n";
    let long = "Восемьдесят букв кириллицы не помещаются в одну часть: в ней их только семьдесят.";
    let manifests = format!("{BASE}{}", funnel("flats", "  backfill: {lostWithin: 900d, perDay: 1000}"))
        .replace("  brand: novydom\n", budget)
        .replace("text: \"one\"", &format!("text: \"{{% if deal.lostReason == 'long' %}}{long}{{% else %}}one{{% endif %}}\""));
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", contacts.as_str()), ("deals.csv", deals.as_str())];
    let from: Timestamp = "2026-03-01T21:00:00Z".parse().unwrap();
    let mut town = Town::with(&files, from).await;
    town.run(from + SignedDuration::from_hours(24 * 20)).await;
    let sent = town.sent().await;
    let (world, outcome) = predict(&town.folder, from, 20, None).await;
    let predicted = predicted(&world, &outcome);
    let wrong: Vec<_> = predicted.symmetric_difference(&sent).collect();
    assert!(wrong.is_empty(), "{} of {} differ: {:?}", wrong.len(), sent.len(), &wrong[..wrong.len().min(6)]);
    let sums = town.store.views.spent_since("2026-03").await.unwrap();
    let days: Vec<i64> = sums.iter().filter(|s| s.period.period.len() > 7).map(|s| s.spent).collect();
    assert!(days.iter().all(|spent| *spent <= 340_000) && days.iter().any(|spent| *spent > 295_000), "{days:?}");
    let month = sums.iter().find(|s| s.period.period == "2026-03").unwrap().spent;
    assert!(month <= 4_000_000 && month > 3_950_000 && month == days.iter().sum::<i64>(), "{month}");
    let report = rekindle::simulate::Report::of(&outcome, &world);
    assert_eq!(format!("{:.0}", report.budgets[0].spent * 10_000.0), month.to_string());
    assert!(report.postponed.iter().any(|p| p.reason == "BudgetReached"));
    // A day affords eight parts, which the forty who come at once want on the first; the month ends on its eleventh or twelfth day.
    let budget = &report.budgets[0];
    let first = predicted.iter().map(|(_, _, at)| at[..10].to_owned()).min();
    let last = predicted.iter().map(|(_, _, at)| at[..10].to_owned()).max();
    assert_eq!((&budget.day_reached, budget.spent_before), (&first, 0.0));
    assert!(budget.month_reached >= last && budget.month_reached.is_some(), "{budget:?}, the last on {last:?}");
    let at_once = predicted.iter().filter(|(.., at)| Some(&at[..10]) == first.as_deref()).count() as u64;
    assert!((40 - at_once..=80).contains(&budget.waited) && budget.left_out == 0, "{budget:?}, {at_once} at once");
    let mut told = 0;
    for n in 1..=40 {
        told += usize::from(town.story("flats", &format!("d{n}")).await.iter().any(|line| line.ends_with("BudgetReached")));
    }
    assert!(told > 20, "{told} of 40 can read why they waited");
}

/// A gateway that is closed for an hour keeps messages waiting. What an SRE or the client says meanwhile holds for them, too.
#[tokio::test]
async fn what_waits_to_be_tried_again_hears_of_what_happened() {
    type Change = Option<(&'static str, &'static str)>;
    let stop: Change = Some(("  spread: 0s", "  spread: 0s\n  paused: true"));
    let suspend: Change = Some(("  mode: Live", "  mode: Live\n  suspend: true"));
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let opening = from + SignedDuration::from_hours(1);
    for (what, change, sent) in [("nothing", None, 1), ("paused", stop, 0), ("suspended", suspend, 0)] {
        let contacts = CONTACTS.to_owned() + &contact(1);
        let deals = DEALS.to_owned() + &lost(1, 1, "2026-03-01");
        let manifests =
            format!("{BASE}{}", funnel("flats", "  backfill: {lostWithin: 30d, perDay: 1000}")).replace("after: 1d", "after: 0h");
        let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &deals)];
        let mut town = Town::with(&files, from).await;
        town.closed.store(true, Ordering::SeqCst);
        town.run(opening + SignedDuration::from_mins(10)).await;
        if let Some((before, after)) = change {
            town.edit("all.yaml", before, after).await;
        }
        town.closed.store(false, Ordering::SeqCst);
        town.run(opening + SignedDuration::from_mins(40)).await;
        let first = town.sent().await.into_iter().filter(|(_, item, _)| item == "warm/one").count();
        assert_eq!(first, sent, "{what}: {:?}", town.story("flats", "d1").await);
        if let Some((before, after)) = change {
            // Taken back, it leaves: nothing was lost.
            town.edit("all.yaml", after, before).await;
            town.run(opening + SignedDuration::from_mins(60)).await;
            let first = town.sent().await.into_iter().filter(|(_, item, _)| item == "warm/one").count();
            assert_eq!(first, 1, "{what}, taken back: {:?}", town.story("flats", "d1").await);
        }
    }
}

/// A manager closes the task of one deal with "they said no". The client's other deal is another matter, and its list goes on.
#[tokio::test]
async fn what_came_of_a_task_is_about_its_own_deal() {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let contacts = CONTACTS.to_owned() + &contact(1);
    let deals = DEALS.to_owned() + &lost(1, 1, "2026-03-01") + &lost(2, 1, "2026-03-02");
    let manifests = format!("{BASE}{}", funnel("flats", "  backfill: {lostWithin: 30d, perDay: 1000}"));
    let mut town = Town::with(&[("all.yaml", &manifests), ("contacts.csv", &contacts), ("deals.csv", &deals)], from).await;
    town.run(from + SignedDuration::from_hours(1)).await;
    let subject = SignalSubject { deal: Some(("shop/crm".into(), "d1".into())), ..SignalSubject::default() };
    let at = town.clock.now();
    let closed = Incoming {
        source: "crm".into(),
        id: "1".into(),
        event: InboxEvent::Signal { kind: SignalKind::TaskClosed, subject, at, reaction: Some(Reaction::Declined), text: None },
        received_at: at,
        not_before: None,
        suppress: Vec::new(),
        click: None,
    };
    town.store.journal.receive(vec![closed]).await.unwrap();
    town.engine.settle().await.unwrap();
    town.run(from + SignedDuration::from_hours(24 * 5)).await;
    let sent: Vec<(String, String)> = town.sent().await.into_iter().map(|(deal, item, _)| (deal, item)).collect();
    let all = ["warm/one", "warm/three", "warm/two"].map(|item| ("d2".to_owned(), item.to_owned()));
    assert_eq!(sent, all, "{:?}", town.story("flats", "d2").await);
}

/// A funnel is tried out in Observe, or is stopped, while another one works on the same deals: the other one is not silenced by it.
#[tokio::test]
async fn a_funnel_that_sends_nothing_silences_nobody() {
    for silent in ["mode: Observe", "mode: Live\n  suspend: true"] {
        let contacts = CONTACTS.to_owned() + &contact(1);
        let open = DEALS.to_owned() + &open(1, 1, "2026-03-01");
        // The first by name is the first to know the deal.
        let tried = funnel("a-new-one", "").replace("mode: Live", silent);
        let manifests = format!("{BASE}{tried}{}", funnel("flats", ""))
            .replace("  spread: 0s", "  spread: 0s\n  priorities: [{funnel: a-new-one}, {funnel: flats}]");
        let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &open)];
        let from: Timestamp = "2026-03-02T06:00:00Z".parse().unwrap();
        let mut town = Town::with(&files, from).await;
        std::fs::write(town.folder.join("deals.csv"), DEALS.to_owned() + &lost(1, 1, "2026-03-02")).unwrap();
        town.run(from + SignedDuration::from_hours(24 * 6)).await;
        let sent = town.sent().await;
        assert_eq!(sent.len(), 3, "{silent}: {sent:?}");
    }
}
