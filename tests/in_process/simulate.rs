//! What `simulate` predicts is what the workers, with a real store and channels that accept, then send: the same item to the same deal
//! in the same minute.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rekindle::{
    channels::{self, Channel, ChannelError, Job},
    compile::{ChannelWiring, ConnectionWiring, Snapshot, compile, compile_funnel},
    crm::{Connector, CrmError},
    engine::Plan,
    model::{EffectRef, Mode, Outcome},
    simulate::{self, Behaviour, Question, Report, Run, World, diff, sources},
    source::{Admission, Folder},
    store::{Load, Store},
    workers::{Clock, Engine, EngineMetrics, EngineSettings, Live, Outside},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// (deal, item, minute)
type Sent = BTreeSet<(String, String, String)>;

/// The example of a property developer in a folder of its own, live, with `edit` made to its files.
fn folder(home: &Path, edit: impl Fn(&str) -> String) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/property-developer");
    let data = home.join("data");
    std::fs::create_dir_all(&data).unwrap();
    for file in std::fs::read_dir(from.join("data")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), data.join(file.file_name())).unwrap();
    }
    for file in std::fs::read_dir(&from).unwrap().map(|f| f.unwrap().path()) {
        if file.extension().is_some_and(|e| e == "yaml") {
            let text = std::fs::read_to_string(&file).unwrap().replace("mode: Observe", "mode: Live");
            std::fs::write(home.join(file.file_name().unwrap()), edit(&text)).unwrap();
        }
    }
    home.to_owned()
}

fn snapshot(folder: &Path) -> Snapshot {
    let admission = Admission::of_this_version();
    admission.admit(&Folder::new(folder, admission.kinds()).load().unwrap()).snapshot
}

async fn predict(folder: &Path, from: Timestamp, days: i64, behaviour: Option<Behaviour>) -> (World, simulate::Outcome) {
    let compiled = compile(&snapshot(folder));
    let lives: Vec<(Live, bool)> =
        compiled.funnels.values().map(|s| (Live::from(compile_funnel(s, 1, from).unwrap()), false)).collect();
    let plans: Vec<&Plan> = lives.iter().map(|(live, _)| &*live.plan).collect();
    assert!(plans.iter().all(|p| p.mode == Mode::Live));
    let connections: BTreeSet<String> = sources(plans.into_iter()).into_values().collect();
    let world = World::from_files(&compiled.wiring, &connections, None, from, &|_| ()).await.unwrap();
    let until = from + SignedDuration::from_hours(days * 24);
    let question = Question { from, until, seed: 7, behaviour, base_url: "https://go.example.com".into() };
    let outcome = Run::new(&world, lives, &compiled.wiring, question).live(&world, &|_, _| ());
    (world, outcome)
}

fn predicted(world: &World, outcome: &simulate::Outcome) -> Sent {
    let one = |sent: &simulate::Sent| {
        let item = &outcome.run.items[usize::from(sent.item)];
        (world.deal_id(sent.deal), format!("{}/{}", item.list, item.item), minute(sent.at))
    };
    outcome.tally.sent.iter().map(one).collect()
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_and_a_later_item_moves() {
    let home = tempfile::tempdir().unwrap();
    let old = folder(&home.path().join("old"), str::to_owned);
    let new = folder(&home.path().join("new"), |text| text.replacen("after: 3d", "after: 4d", 1));
    let from: Timestamp = "2026-11-20T06:00:00Z".parse().unwrap();
    let behaviour = Behaviour::parse("all: {click: 20%, answer: 5%, unsubscribe: 2%}", "behaviour.yaml").unwrap();
    let (world, before) = predict(&old, from, 20, Some(behaviour.clone())).await;
    let (again, twice) = predict(&old, from, 20, Some(behaviour)).await;
    let json = |world: &World, outcome: &simulate::Outcome| serde_json::to_string(&Report::of(outcome, world)).unwrap();
    assert_eq!(json(&world, &before), json(&again, &twice));
    let report = Report::of(&before, &world);
    assert!(report.messages > 100 && report.clicks > 10 && report.answers > 0, "{} messages", report.messages);

    let (_, quiet) = predict(&old, from, 20, None).await;
    let (_, after) = predict(&new, from, 20, None).await;
    let difference = diff(&world, &quiet, &after);
    let moved = difference.items.iter().find(|i| i.item == "new-layouts").unwrap();
    assert!(!moved.later.is_empty() && moved.earlier.is_empty() && moved.gained.is_empty(), "{moved:?}");
    assert!(diff(&world, &quiet, &quiet).items.is_empty());
}

/// Takes every message and remembers when.
struct Taker {
    clock: Clock,
    took: Arc<Mutex<Vec<(EffectRef, Timestamp)>>>,
}

#[async_trait]
impl Channel for Taker {
    async fn perform(&self, jobs: Vec<Job>, _deadline: Instant, reports: mpsc::UnboundedSender<channels::Report>) {
        for job in jobs {
            self.took.lock().unwrap().push((job.effect, self.clock.now()));
            let outcome = Outcome::Accepted { provider: "taker".into(), provider_id: None };
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
    took: Arc<Mutex<Vec<(EffectRef, Timestamp)>>>,
}

impl Outside for Takers {
    fn connect(&self, settings: &ConnectionWiring) -> Result<Arc<dyn Connector>, CrmError> {
        rekindle::crm::connect(settings)
    }

    fn open(&self, _: &ChannelWiring) -> Result<Arc<dyn Channel>, ChannelError> {
        Ok(Arc::new(Taker { clock: self.clock.clone(), took: self.took.clone() }))
    }
}

/// The same days with SQLite and the workers, the clock going from one moment at which something is due to the next.
async fn lived(folder: &Path, from: Timestamp, days: i64) -> Sent {
    let clock = Clock::virtual_at(from);
    let store = Store::open(&format!("sqlite:{}", folder.join("run.db").display())).await.unwrap();
    let took = Arc::new(Mutex::new(Vec::new()));
    let outside = Arc::new(Takers { clock: clock.clone(), took: took.clone() });
    let metrics = EngineMetrics::new(&mut prometheus_client::registry::Registry::default());
    let base_url = Some("https://go.example.com".to_owned());
    let settings = EngineSettings { base_url, lease: Duration::from_hours(1), ..EngineSettings::default() };
    let engine = Engine::with_outside(store.journal.clone(), clock.clone(), settings, metrics, outside);
    assert!(engine.hold_lease().await.unwrap());
    let published = engine.publish(&snapshot(folder), None).await.unwrap();
    assert_eq!(published.funnels.len(), 1, "{published:?}");
    engine.settle().await.unwrap();
    let until = from + SignedDuration::from_hours(days * 24);
    let mut beat = from + SignedDuration::from_mins(10);
    loop {
        let due = store.journal.next_due().await.unwrap();
        let next = due.map_or(beat, |due| due.min(beat)).max(clock.now() + SignedDuration::from_millis(1));
        if next >= until {
            break;
        }
        clock.advance(next);
        engine.settle().await.unwrap();
        if clock.now() >= beat {
            beat += SignedDuration::from_mins(10);
        }
    }
    let took = took.lock().unwrap().clone();
    let mut sent = Sent::new();
    for (effect, at) in took {
        let key = store.journal.effect(effect).await.unwrap().unwrap().key;
        let subject = store.journal.load(&Load::Copies(vec![effect.copy]), at).await.unwrap().remove(0);
        assert!(sent.insert((subject.deal.id, format!("{}/{}", key.list, key.item), minute(at))));
    }
    sent
}

#[tokio::test]
async fn what_is_predicted_is_what_is_sent() {
    let from: Timestamp = "2026-11-20T06:00:00Z".parse().unwrap();
    // As it is; and with a channel so slow that messages push each other out of their minutes.
    for (name, rate) in [("as-it-is", "perSecond: 20"), ("slow", "perSecond: 0.02")] {
        let home = tempfile::tempdir().unwrap();
        let folder = folder(&home.path().join(name), |text| text.replace("perSecond: 20", rate));
        let (world, outcome) = predict(&folder, from, 14, None).await;
        let (predicted, sent) = (predicted(&world, &outcome), lived(&folder, from, 14).await);
        let wrong: Vec<_> = predicted.symmetric_difference(&sent).collect();
        assert!(wrong.is_empty(), "{name}: {} of {} differ, like {:?}", wrong.len(), sent.len(), &wrong[..wrong.len().min(6)]);
        assert!(sent.len() > 100, "{name}: only {} were sent", sent.len());
        let held_up: u64 = outcome.held_up.iter().map(|(times, _)| times).sum();
        assert_eq!(held_up > 0, name == "slow", "{name}: {held_up} held up");
    }
}
