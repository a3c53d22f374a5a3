//! One run of a scenario: several processes on one store, time that passes as fast as nothing happens in it, and the last look when
//! all faults are over.

use super::{
    crm::{Crm, SimCrm},
    dice::Dice,
    fixture::{self, Edition},
    journal::{Memory, SimJournal},
    node::Node,
    provider::SimProvider,
    scenario::{Fault, Happening, Line, Manners, Scenario},
    truth::{Heard, Restored, Truth, Violation},
};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use rekindle::{
    channels::{self, Channel, ChannelError},
    compile::{ChannelWiring, ConnectionWiring},
    crm::{Connector, CrmError},
    engine::Subject,
    model::*,
    store::*,
    workers::{Clock, Engine, EngineMetrics, EngineSettings, Outside},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// In the place of a process's number: whoever holds the lease.
pub const AT_WORK: usize = 3;

/// For so long (milliseconds) a restored database is worked with. It stands still by then, so that no promise about its rest is asked.
const AFTER_RESTORE: i64 = 15 * 60_000;

/// Before any time is passed over in it: whoever takes over asks the witness first, through a slow store as well.
const UNTIL_ASKED: Duration = Duration::from_mins(1);

pub const LEASE: Duration = Duration::from_secs(8);

/// Of the witness.
pub const PACE: Duration = Duration::from_secs(1);

/// Bugs of which the proof must find each: worn like a glove over the store, the provider or the clock, so that the product's own code
/// stays free of them. Numbers as in `docs/reliability.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    NoEpochCheck,
    CheckOutside,
    LateRenewal,
    DeadlineFromReply,
    MarkBeforeSend,
    TimerWithoutIntent,
    ForgottenLedger,
    NoUnique,
    ConflictGoesAhead,
    RetryOnTimeout,
    KeyPerAttempt,
    RenderedAgain,
    FailoverFromUnknown,
    NoSweep,
    CooldownOffByOne,
    ReceiptTwoTransactions,
    SuppressionAtPlanning,
    TooManyIsSent,
    CapPerReplica,
    ServerZone,
    /// The beginning of a block is not put down.
    WitnessFromZero,
    /// The second half of that one: the zone is right but for its change of hours.
    SummerTime,
    ConsumedApart,
    WaitingOrphaned,
    UnclearHidden,
    OptOutAtPlanning,
    ConsentForgotten,
    OneWarningForAll,
    EarlyReceiptDropped,
}

/// How a deal ends.
#[derive(Clone, Debug)]
pub struct End {
    pub role: Role,
    /// Calls, answers and clicks in its story.
    pub signals: Vec<String>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    pub violation: Option<Violation>,
    pub trace: u64,
    /// Changes that the processes asked for: each is a place for a fault.
    pub ops: u64,
    pub simulated: Duration,
    pub messages: u64,
    pub crashes: u64,
    pub takeovers: u64,
    pub unknown: usize,
    pub questions: u64,
    /// Of `ops`, those before all faults were over.
    pub before_rest: u64,
    /// By which revisions messages were written down.
    pub revisions: BTreeSet<i64>,
    /// The CRM's deals at the end.
    pub deals: BTreeMap<String, Deal>,
    /// How they end with us, by the last look.
    pub ends: BTreeMap<String, End>,
    pub story: String,
    pub restored: Option<Restored>,
    /// Everything is on hold at the end.
    pub held: bool,
}

/// The store that all processes share, and how it is reached without the runtime noticing that another thread works.
pub struct Backing {
    store: Mutex<Store>,
    threaded: bool,
    folder: Option<tempfile::TempDir>,
    copies: AtomicUsize,
}

fn helper() -> &'static tokio::runtime::Runtime {
    static HELPER: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    HELPER.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

impl Backing {
    fn memory() -> Self {
        Self { store: Mutex::new(Store::in_memory([7; 32])), threaded: false, folder: None, copies: AtomicUsize::new(0) }
    }

    /// A real database file. Its secret is the same in each run: it is a copy of one that was made once.
    fn sqlite() -> Self {
        static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
        let shm = std::path::Path::new("/dev/shm");
        let folder = || if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
        let template = TEMPLATE.get_or_init(|| {
            let folder = folder();
            let path = folder.path().join("t.db");
            drop(Self::open(&path));
            let copy = folder.path().join("c.db");
            let (tx, rx) = std::sync::mpsc::channel();
            let (from, into) = (path.display().to_string(), copy.display().to_string());
            helper().spawn(async move {
                use sqlx::{Connection as _, Executor as _};
                let mut c = sqlx::SqliteConnection::connect(&format!("sqlite:{from}")).await.unwrap();
                let secret = base64_of([7; 32]);
                c.execute(sqlx::AssertSqlSafe(format!("UPDATE installation SET secret = '{secret}'"))).await.unwrap();
                c.execute(sqlx::AssertSqlSafe(format!("VACUUM INTO '{into}'"))).await.unwrap();
                tx.send(()).unwrap();
            });
            rx.recv().unwrap();
            std::fs::read(copy).unwrap()
        });
        let folder = folder();
        let path = folder.path().join("r.db");
        std::fs::write(&path, template).unwrap();
        let store = Mutex::new(Self::open(&path));
        Self { store, threaded: true, folder: Some(folder), copies: AtomicUsize::new(0) }
    }

    fn open(path: &std::path::Path) -> Store {
        let url = format!("sqlite:{}", path.display());
        let (tx, rx) = std::sync::mpsc::channel();
        helper().spawn(async move { tx.send(Store::open(&url).await).unwrap() });
        rx.recv().unwrap().unwrap()
    }

    /// The file of the store that is open, or of a copy.
    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.as_ref().expect("only a file is copied").path().join(name)
    }

    fn name(&self) -> String {
        match self.copies.load(Ordering::SeqCst) {
            0 => "r.db".to_owned(),
            n => format!("r{n}.db"),
        }
    }

    /// Copies the database as it is now, beside those who work with it.
    fn back_up(&self) {
        let (from, into) = (self.file(&self.name()), self.file("backup.db"));
        let _ = std::fs::remove_file(&into);
        let (tx, rx) = std::sync::mpsc::channel();
        helper().spawn(async move {
            use sqlx::{Connection as _, Executor as _};
            let mut c = sqlx::SqliteConnection::connect(&format!("sqlite:{}", from.display())).await.unwrap();
            c.execute(sqlx::AssertSqlSafe(format!("VACUUM INTO '{}'", into.display()))).await.unwrap();
            tx.send(()).unwrap();
        });
        rx.recv().unwrap();
    }

    /// Puts the copy in its place. Nobody may be at work.
    fn put_back(&self) {
        self.copies.fetch_add(1, Ordering::SeqCst);
        let path = self.file(&self.name());
        std::fs::copy(self.file("backup.db"), &path).unwrap();
        *self.store.lock().unwrap() = Self::open(&path);
    }

    pub fn current(&self) -> Store {
        self.store.lock().unwrap().clone()
    }

    pub fn journal(&self) -> Arc<dyn Journal> {
        self.current().journal
    }

    /// Does something in one moment of the world: no time passes, nobody else has a turn.
    pub async fn call<T: Send + 'static>(&self, work: impl FnOnce(Arc<dyn Journal>) -> BoxFuture<'static, T> + Send) -> T {
        let future = work(self.journal());
        if !self.threaded {
            return future.await;
        }
        let (tx, rx) = std::sync::mpsc::channel();
        helper().spawn(async move {
            let _ = tx.send(future.await);
        });
        rx.recv().unwrap()
    }
}

fn base64_of(secret: [u8; 32]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret)
}

/// Outlives every database. As one process reaches it: each writing is a place for a fault, and at times nobody answers.
struct SimWitness {
    world: Arc<World>,
    node: Arc<Node>,
}

impl std::fmt::Debug for SimWitness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the simulated witness")
    }
}

impl SimWitness {
    fn away(&self) -> Said {
        self.world.truth().unheard();
        Said::Away
    }
}

#[async_trait::async_trait]
impl Witness for SimWitness {
    async fn read(&self) -> std::result::Result<Said, WitnessError> {
        self.node.gate().await;
        if self.world.witness_is_away() {
            return Ok(self.away());
        }
        let stands = *self.world.witness.lock().unwrap();
        self.node.gate().await;
        Ok(Said::Block(stands))
    }

    async fn write(&self, reserved: Reserved) -> std::result::Result<Said, WitnessError> {
        let (world, node) = (&self.world, &self.node);
        node.gate().await;
        let fault = world.fault();
        tokio::time::sleep(Duration::from_millis(world.latency().max(1))).await;
        match fault {
            Some(Fault::CrashBefore) => node.die().await,
            Some(Fault::PausedBefore(ms)) => node.pause(ms),
            _ => {}
        }
        node.gate().await;
        if fault == Some(Fault::Refused) || world.witness_is_away() {
            return Ok(self.away());
        }
        let stands = world.put_down(reserved);
        match fault {
            Some(Fault::CrashAfter) => node.die().await,
            Some(Fault::PausedAfter(ms)) => node.pause(ms),
            _ => {}
        }
        node.gate().await;
        Ok(if fault == Some(Fault::ReplyLost) { self.away() } else { Said::Block(Some(stands)) })
    }

    fn pace(&self) -> Duration {
        PACE
    }
}

/// What the copy of the database knew: attempts, and what it had counted as about to be attempted.
struct BackedUp {
    known: BTreeSet<(String, String)>,
}

struct Running {
    node: Arc<Node>,
    engine: Arc<Engine>,
    journal: Arc<SimJournal>,
    task: tokio::task::JoinHandle<()>,
    died_at: Option<Instant>,
    /// A process publishes one thing after the other.
    publishing: Arc<tokio::sync::Mutex<()>>,
}

pub struct World {
    pub scenario: Scenario,
    pub bug: Option<Bug>,
    pub dice: Dice,
    pub store: Backing,
    pub canary: Mutex<Memory>,
    pub sent_by: Mutex<BTreeMap<(CopyId, String), usize>>,
    truth: Mutex<Truth>,
    since: Instant,
    offset: AtomicI64,
    nodes: Mutex<Vec<Running>>,
    crm: Mutex<Crm>,
    ops: AtomicU64,
    hand_overs: AtomicU64,
    latencies: AtomicU64,
    busy: AtomicUsize,
    healed: AtomicBool,
    away_until: Mutex<Option<Instant>>,
    /// What lies in the folder of each process.
    editions: Mutex<Vec<Edition>>,
    events: AtomicU64,
    /// Ten seconds of the world, and what was asked of the store in it.
    rush: Mutex<(u64, u32)>,
    questions: AtomicU64,
    before_rest: AtomicU64,
    witness: Mutex<Option<Reserved>>,
    backed_up: Mutex<Option<BackedUp>>,
    ends: Mutex<BTreeMap<String, End>>,
}

/// Runs a scenario to its end.
pub fn run(scenario: Scenario, bug: Option<Bug>, verbose: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(async {
        let world = World::new(scenario, bug, verbose);
        world.live().await;
        let outcome = world.outcome().await;
        // They hold the world, and it holds them.
        world.nodes.lock().unwrap().clear();
        outcome
    });
    runtime.shutdown_background();
    outcome
}

impl World {
    fn new(scenario: Scenario, bug: Option<Bug>, verbose: bool) -> Arc<Self> {
        let store = if scenario.sqlite { Backing::sqlite() } else { Backing::memory() };
        let mut truth = Truth::default();
        truth.verbose = verbose;
        let edition = Edition { resend: scenario.resend, ..Edition::default() };
        let editions = vec![edition; scenario.processes];
        Arc::new(Self {
            dice: Dice(scenario.seed),
            scenario,
            bug,
            store,
            canary: Mutex::default(),
            sent_by: Mutex::default(),
            truth: Mutex::new(truth),
            since: Instant::now(),
            offset: AtomicI64::new(0),
            nodes: Mutex::default(),
            crm: Mutex::new(Crm::new()),
            ops: AtomicU64::new(0),
            hand_overs: AtomicU64::new(0),
            latencies: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            healed: AtomicBool::new(false),
            away_until: Mutex::default(),
            editions: Mutex::new(editions),
            events: AtomicU64::new(0),
            rush: Mutex::default(),
            questions: AtomicU64::new(0),
            before_rest: AtomicU64::new(0),
            witness: Mutex::default(),
            backed_up: Mutex::default(),
            ends: Mutex::default(),
        })
    }

    pub fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap()
    }

    pub fn crm(&self) -> MutexGuard<'_, Crm> {
        self.crm.lock().unwrap()
    }

    fn healed(&self) -> bool {
        self.healed.load(Ordering::SeqCst)
    }

    /// Milliseconds since the beginning.
    fn passed(&self) -> i64 {
        i64::try_from(self.since.elapsed().as_millis()).unwrap() + self.offset.load(Ordering::SeqCst)
    }

    /// What a right clock shows.
    pub fn now(&self) -> Timestamp {
        fixture::start() + SignedDuration::from_millis(self.passed())
    }

    pub fn ops(&self) -> u64 {
        self.ops.load(Ordering::SeqCst)
    }

    /// Counts one change; the fault that strikes it.
    pub fn fault(&self) -> Option<Fault> {
        self.strike(None)
    }

    /// Counts one hand-over, which is a change as well.
    pub fn fault_of_hand_over(&self) -> Option<Fault> {
        self.strike(Some(self.hand_overs.fetch_add(1, Ordering::SeqCst) + 1))
    }

    fn strike(&self, over: Option<u64>) -> Option<Fault> {
        let n = self.ops.fetch_add(1, Ordering::SeqCst) + 1;
        if self.healed() {
            return None;
        }
        let fault = self.scenario.fault_on(n, over);
        if let Some(fault) = fault {
            let mut truth = self.truth();
            truth.note(&format!("change {n}: {fault:?}"));
            truth.crashes += u64::from(matches!(fault, Fault::CrashBefore | Fault::CrashAfter));
        }
        fault
    }

    /// Counts questions to the store: who goes round in circles is caught.
    pub fn breathe(&self) {
        let span = self.since.elapsed().as_secs() / 10;
        let mut rush = self.rush.lock().unwrap();
        if rush.0 != span {
            *rush = (span, 0);
        }
        rush.1 += 1;
        self.questions.fetch_add(1, Ordering::SeqCst);
        if rush.1 == 3_000 {
            self.truth().wrong("I12", "a process goes round in circles: 3,000 questions to the store in ten seconds");
        }
        assert!(rush.1 < 20_000, "no time passes any more: {:?}", self.truth().violation);
    }

    pub fn latency(&self) -> u64 {
        let n = self.latencies.fetch_add(1, Ordering::SeqCst);
        match self.dice.roll("latency", n, 40) {
            0 => self.dice.roll("ms", n, 60),
            1..=6 => 1 + self.dice.roll("ms", n, 4),
            _ => 0,
        }
    }

    /// How long the reply to a renewal is on its way.
    pub fn slow_reply(&self) -> Duration {
        let n = self.latencies.fetch_add(1, Ordering::SeqCst);
        if self.healed() || self.scenario.slow_store == 0 {
            return Duration::ZERO;
        }
        let half = self.scenario.slow_store / 2;
        Duration::from_millis(half + self.dice.roll("slow reply", n, half))
    }

    pub fn manners(&self) -> Manners {
        if self.healed() { Manners::default() } else { self.scenario.manners }
    }

    pub fn store_is_away(&self) -> bool {
        self.away_until.lock().unwrap().is_some_and(|until| until > Instant::now())
    }

    /// For twenty seconds now and then. Until it answers, a restored database sends, by design: that is no time for it.
    fn witness_is_away(&self) -> bool {
        let span = self.since.elapsed().as_secs() / 20;
        !self.healed() && self.truth().restored.is_none() && self.dice.chance("witness away", span, 60)
    }

    /// What stands at the witness then.
    fn put_down(&self, reserved: Reserved) -> Reserved {
        let mut stands = self.witness.lock().unwrap();
        let from = if self.bug == Some(Bug::WitnessFromZero) { 0 } else { reserved.from };
        let now = stands.filter(|stands| stands.from > from).unwrap_or(Reserved { from, ..reserved });
        *stands = Some(now);
        now
    }

    pub fn crm_is_down(&self) -> bool {
        i64::try_from(self.crm().down).unwrap() > self.passed() / 1000
    }

    /// Three providers, each with so many connections.
    pub const fn bound() -> usize {
        3 * fixture::BOUND
    }

    pub fn current_lease(&self) -> Lease {
        let truth = self.truth();
        Lease { epoch: truth.epoch, owner: truth.owner.clone(), orphans: 0 }
    }

    pub fn begin(&self) {
        self.busy.fetch_add(1, Ordering::SeqCst);
    }

    pub fn end(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
    }

    pub fn marked(&self, marks: &[Mark]) {
        let mut truth = self.truth();
        for mark in marks {
            truth.note(&format!("{} marked {}", mark.effect, word(&mark.outcome)));
            if mark.attempt < 0 && matches!(mark.outcome, rekindle::model::Outcome::Rejected { .. }) {
                truth.bounced.insert(mark.effect);
            }
            truth.marked(mark);
        }
    }

    /// What a canary makes of what was loaded.
    pub fn bend(&self, node: &Node, subjects: &mut [Loaded]) {
        match self.bug {
            Some(Bug::CapPerReplica) => {
                let sent = self.sent_by.lock().unwrap();
                for subject in subjects {
                    subject.client.recent.retain(|r| sent.get(&(r.copy, r.item.clone())).is_none_or(|slot| *slot == node.slot));
                }
            }
            Some(Bug::ServerZone) => {
                for contact in subjects.iter_mut().filter_map(|s| s.contact.as_mut()) {
                    contact.fields.clear();
                }
            }
            Some(Bug::SummerTime) => {
                let berlin = FieldValue::Text("Berlin".into());
                let contacts = subjects.iter_mut().filter_map(|s| s.contact.as_mut());
                for contact in contacts.filter(|c| c.fields.get("city") == Some(&berlin)) {
                    // Two hours east of Greenwich all year round, whatever its sign says.
                    contact.time_zone = Some("Etc/GMT-2".into());
                }
            }
            Some(Bug::ConsentForgotten) => {
                for subject in subjects {
                    subject.client.consents.clear();
                }
            }
            Some(Bug::ForgottenLedger | Bug::ConflictGoesAhead | Bug::NoUnique) => {
                for subject in subjects {
                    subject.ledger.clear();
                    subject.client.recent.clear();
                    if let Some(journey) = &mut subject.copy.state.journey {
                        (journey.last, journey.position) = (None, 0);
                    }
                }
            }
            Some(Bug::CooldownOffByOne) => {
                for subject in subjects.iter_mut().filter(|s| !s.client.recent.is_empty()) {
                    subject.client.recent.remove(0);
                }
            }
            _ => {}
        }
    }

    fn start(self: &Arc<Self>, slot: usize, life: usize) -> Running {
        let offset = Arc::new(AtomicI64::new(self.offset.load(Ordering::SeqCst)));
        let clock = Clock::Simulated { start: fixture::start(), since: self.since, offset: offset.clone() };
        let node = Node::new(format!("p{slot}.{life}"), slot, clock.clone(), offset);
        let journal = SimJournal::new(self.clone(), node.clone());
        let settings = EngineSettings {
            base_url: Some("https://go.shop.example".into()),
            owner: node.name.clone(),
            lease: LEASE,
            batch: 32,
            witness: self
                .scenario
                .witness
                .then(|| Arc::new(SimWitness { world: self.clone(), node: node.clone() }) as Arc<dyn Witness>),
        };
        let metrics = EngineMetrics::new(&mut prometheus_client::registry::Registry::default());
        let outside = Arc::new(SimOutside { world: self.clone(), node: node.clone() });
        let engine = Engine::with_outside(journal.clone(), clock, settings, metrics, outside);
        let (world, mine, running) = (self.clone(), node.clone(), engine.clone());
        let publishing: Arc<tokio::sync::Mutex<()>> = Arc::default();
        let turn = publishing.clone();
        let task = tokio::spawn(async move {
            mine.gate().await;
            world.publish_on(&running, slot, &turn).await;
            running.run(mine.stop.subscribe()).await;
        });
        self.truth().note(&format!("{} starts", node.name));
        Running { node, engine, journal, task, died_at: None, publishing }
    }

    async fn publish_on(&self, engine: &Engine, slot: usize, turn: &tokio::sync::Mutex<()>) {
        let declared = BTreeSet::from([fixture::funnel()]);
        let _turn = turn.lock().await;
        loop {
            let edition = self.editions.lock().unwrap()[slot];
            if engine.publish(&fixture::snapshot(edition), Some(&declared)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The whole story.
    async fn live(self: &Arc<Self>) {
        for slot in 0..self.scenario.processes {
            let running = self.start(slot, 0);
            self.nodes.lock().unwrap().push(running);
        }
        let mut lines: Vec<(u64, Happening)> =
            self.scenario.lines.iter().filter_map(|l| if let Line::At(at, what) = l { Some((*at, *what)) } else { None }).collect();
        lines.sort_by_key(|(at, _)| *at);
        let mut lines = lines.into_iter().peekable();
        let (mut life, mut steps, mut healing) = (0, 0_u32, None);
        loop {
            let now = u64::try_from(self.passed() / 1000).unwrap();
            while let Some((_, what)) = lines.next_if(|(at, _)| *at <= now) {
                self.happen(what).await;
            }
            life += 1;
            self.restart(life);
            let restored = self.truth().restored.as_ref().is_some_and(|restored| self.passed() - restored.at > AFTER_RESTORE);
            if restored || self.truth().violation.is_some() {
                return;
            }
            if lines.peek().is_none() && healing.is_none() {
                // What was set in motion last has its time.
                healing = Some(now + 1200);
            }
            if healing.is_some_and(|at| at <= now) && !self.healed() {
                self.heal().await;
            }
            let end = healing.filter(|_| self.healed()).map(|at| at + 4 * 86_400);
            if end.is_some_and(|end| end <= now) {
                return;
            }
            steps += 1;
            if steps > 6_000 {
                self.truth().wrong("I12", "no rest after 6,000 seconds of work");
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let known = [lines.peek().map(|(at, _)| *at), healing.filter(|_| !self.healed()), end];
            self.skip(known.into_iter().flatten().min()).await;
        }
    }

    /// Nothing is going on: the clocks go on to the next moment at which something is.
    async fn skip(&self, known: Option<u64>) {
        if self.truth().restored_at.is_some_and(|at| at.elapsed() < UNTIL_ASKED) {
            return;
        }
        let quiet = {
            // Whoever holds the lease works. That of a dead one runs out in its own time, not in the days that are passed over.
            let at_work = {
                let truth = self.truth();
                truth.until.filter(|until| *until > Instant::now()).map(|_| truth.owner.clone())
            };
            let nodes = self.nodes.lock().unwrap();
            self.busy.load(Ordering::SeqCst) == 0
                && nodes.iter().any(|r| Some(&r.node.name) == at_work.as_ref())
                && nodes.iter().all(|r| !r.node.dead() && !r.node.stands_still() && r.node.busy.load(Ordering::SeqCst) == 0)
                && !self.store_is_away()
        };
        if !quiet {
            return;
        }
        let due = self.store.call(|journal| Box::pin(async move { journal.next_due().await })).await.unwrap();
        let skew = {
            let owner = self.truth().owner.clone();
            let nodes = self.nodes.lock().unwrap();
            let offset = self.offset.load(Ordering::SeqCst);
            nodes.iter().find(|r| r.node.name == owner).map_or(0, |r| r.node.offset.load(Ordering::SeqCst) - offset)
        };
        // Due is what the engine's own clock says is due.
        let due = due.map(|at| at.duration_since(fixture::start()).as_millis() - i128::from(skew));
        let cursor = self.store.call(|journal| Box::pin(async move { journal.cursor(fixture::CRM).await })).await.unwrap();
        let unread = {
            let crm = self.crm();
            let unread = cursor.looking || cursor.position["version"] != serde_json::json!(crm.version);
            // What the CRM has to tell is read within a minute of its coming back.
            unread.then(|| i128::from(crm.down).max(i128::from(self.passed() / 1000) + 20) * 1000)
        };
        let next = [known.map(|s| i128::from(s) * 1000), due, unread].into_iter().flatten().min();
        let ahead = next.map_or(0, |next| i64::try_from(next - i128::from(self.passed())).unwrap());
        if ahead > 3_000 {
            let ahead = ahead - 1_000;
            self.offset.fetch_add(ahead, Ordering::SeqCst);
            for running in &*self.nodes.lock().unwrap() {
                running.node.offset.fetch_add(ahead, Ordering::SeqCst);
            }
        }
    }

    /// Whoever is dead comes back after a while.
    fn restart(self: &Arc<Self>, life: usize) {
        for slot in 0..self.scenario.processes {
            let ready = {
                let mut nodes = self.nodes.lock().unwrap();
                let running = &mut nodes[slot];
                if running.task.is_finished() && !running.node.dead() {
                    self.truth().wrong("I12", format!("{} ended by itself", running.node.name));
                }
                if !running.node.dead() {
                    continue;
                }
                let died = *running.died_at.get_or_insert(Instant::now());
                let wait = if self.healed() { 0 } else { 1 + self.dice.roll("restart", life as u64, 14) };
                died.elapsed() >= Duration::from_secs(wait)
            };
            if ready {
                let running = self.start(slot, life);
                self.nodes.lock().unwrap()[slot] = running;
            }
        }
    }

    /// All faults are over: what is due must get done from now on.
    async fn heal(self: &Arc<Self>) {
        self.truth().note("all faults are over");
        self.healed.store(true, Ordering::SeqCst);
        self.before_rest.store(self.ops(), Ordering::SeqCst);
        *self.away_until.lock().unwrap() = None;
        self.crm().down = 0;
        for running in &*self.nodes.lock().unwrap() {
            running.node.resume();
            running.node.offset.store(self.offset.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        // Nobody publishes anything: whoever works has to find out by itself what is in force.
        self.store.call(|journal| Box::pin(async move { journal.release_hold(&HoldScope::All).await })).await.unwrap();
    }

    /// An edit reaches the folder of one process, which publishes it.
    fn edit(self: &Arc<Self>, slot: usize, edition: Edition, after: Duration) {
        let nodes = self.nodes.lock().unwrap();
        let Some(running) = nodes.get(slot) else { return };
        let (world, engine, node, turn) = (self.clone(), running.engine.clone(), running.node.clone(), running.publishing.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            world.editions.lock().unwrap()[slot] = edition;
            if !node.dead() {
                world.publish_on(&engine, slot, &turn).await;
            }
        });
    }

    fn alive(&self, n: u64) -> Option<(Arc<SimJournal>, Arc<Node>)> {
        let nodes = self.nodes.lock().unwrap();
        let alive: Vec<&Running> = nodes.iter().filter(|r| !r.node.dead()).collect();
        let at = usize::try_from(n).unwrap() % alive.len().max(1);
        alive.get(at).map(|r| (r.journal.clone(), r.node.clone()))
    }

    /// Somebody outside tells us something, again and again until one of the processes says that it has it.
    fn tell(
        self: &Arc<Self>,
        after: u64,
        incoming: impl Fn(Timestamp) -> Incoming + Send + 'static,
        done: impl FnOnce(&Self) + Send + 'static,
    ) {
        self.begin();
        let world = self.clone();
        let n = self.events.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            for attempt in 0.. {
                if let Some((journal, node)) = world.alive(n + attempt) {
                    let event = incoming(node.clock.now());
                    let answer = tokio::time::timeout(Duration::from_secs(10), journal.receive(vec![event])).await;
                    if matches!(answer, Ok(Ok(_))) {
                        break;
                    }
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            done(&world);
            world.end();
        });
    }

    /// A provider reports on a message.
    pub fn report(self: Arc<Self>, effect: EffectRef, outcome: rekindle::model::Outcome, after: u64, id: String) {
        let delivered = outcome == rekindle::model::Outcome::Delivered;
        let event = move |now| Incoming {
            source: "receipts".into(),
            id: id.clone(),
            event: InboxEvent::Receipt { effect, outcome: outcome.clone(), at: now },
            received_at: now,
            not_before: None,
            suppress: Vec::new(),
            click: None,
        };
        self.tell(after, event, move |world| {
            if delivered {
                world.truth().delivered.insert(effect);
            }
        });
    }

    /// A provider reports on a message by an id of its own.
    pub fn report_by_id(self: Arc<Self>, provider: String, id: String, outcome: rekindle::model::Outcome, after: u64) {
        self.begin();
        let n = self.events.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            for attempt in 0.. {
                if let Some((journal, node)) = self.alive(n + attempt) {
                    let asked = journal.receipt(&provider, &id, outcome.clone(), node.clock.now());
                    if matches!(tokio::time::timeout(Duration::from_secs(10), asked).await, Ok(Ok(_))) {
                        break;
                    }
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            self.end();
        });
    }

    fn signal(self: &Arc<Self>, kind: SignalKind, subject: SignalSubject) {
        let id = self.events.load(Ordering::SeqCst).to_string();
        self.tell(
            0,
            move |now| Incoming {
                source: "telephony".into(),
                id: id.clone(),
                event: InboxEvent::Signal { kind, subject: subject.clone(), at: now, text: None, reaction: None },
                received_at: now,
                not_before: None,
                suppress: Vec::new(),
                click: None,
            },
            |_| {},
        );
    }

    async fn happen(self: &Arc<Self>, what: Happening) {
        self.truth().note(&format!("{what:?}"));
        let now = self.now();
        let change = |deal: usize, change: &dyn Fn(&mut Deal)| self.crm().change(&fixture::deal_id(deal), now, change);
        match what {
            Happening::Lose(deal) => change(deal, &|d| {
                (d.state, d.stage, d.stage_changed_at) = (DealState::Lost, "Lost".into(), Some(now));
                d.lost_reason = Some(if deal % 2 == 0 { "Price" } else { "Layout" }.into());
            }),
            Happening::Reopen(deal) => change(deal, &|d| {
                (d.state, d.stage, d.stage_changed_at) = (DealState::Open, "Talks".into(), Some(now));
                (d.last_activity_at, d.lost_reason) = (Some(now), None);
            }),
            Happening::Win(deal) => {
                change(deal, &|d| (d.state, d.stage, d.stage_changed_at) = (DealState::Won, "Won".into(), Some(now)));
            }
            Happening::Delete(deal) => change(deal, &|d| d.state = DealState::Deleted),
            Happening::Touch(deal) => change(deal, &|d| d.title.push('.')),
            Happening::GoBack(deal) => {
                let mut crm = self.crm();
                crm.old.push(fixture::deal_id(deal));
                crm.version += 1;
            }
            Happening::Twice => {
                let mut crm = self.crm();
                crm.twice = true;
                crm.version += 1;
            }
            Happening::CrmDown(seconds) => self.crm().down = u64::try_from(self.passed() / 1000).unwrap() + seconds,
            Happening::Call(deal) => self.signal(
                SignalKind::InboundCall,
                SignalSubject { deal: Some((fixture::CRM.into(), fixture::deal_id(deal))), ..SignalSubject::default() },
            ),
            Happening::Reply(person) => {
                self.signal(SignalKind::Reply, SignalSubject { phone: Some(fixture::phone(person)), ..SignalSubject::default() });
            }
            Happening::Stop(person) => self.stop(person),
            Happening::Unsubscribe(person, narrow) => self.unsubscribe(person, narrow).await,
            Happening::Refuse(person, sms) => self.crm().refuse(person, if sms { Medium::Sms } else { Medium::Email }),
            Happening::Click(person) => self.click(person),
            Happening::Kill(slot) => self.with(slot, |r| {
                self.truth().crashes += 1;
                r.node.kill();
            }),
            Happening::Pause(slot, ms) => self.with(slot, |r| r.node.pause(ms)),
            Happening::Jump(slot, seconds) => self.with(slot, |r| {
                r.node.offset.fetch_add(seconds * 1000, Ordering::SeqCst);
            }),
            Happening::ClocksRight => {
                for running in &*self.nodes.lock().unwrap() {
                    running.node.offset.store(self.offset.load(Ordering::SeqCst), Ordering::SeqCst);
                }
            }
            Happening::Backdate(deal) => {
                self.truth().by_hand.insert(fixture::deal_id(deal));
                let lease = self.current_lease();
                let back = |journal: Arc<dyn Journal>| -> BoxFuture<'static, ()> {
                    Box::pin(async move {
                        let load = Load::Deals { connection: fixture::CRM.into(), ids: vec![fixture::deal_id(deal)] };
                        for subject in journal.load(&load, now).await.unwrap() {
                            let mut copy = subject.copy;
                            copy.next_at = copy.next_at.map(|_| now - SignedDuration::from_hours(1));
                            let (connection, deal) = (fixture::CRM.into(), subject.deal.id);
                            let (effects, history) = (Vec::new(), Vec::new());
                            let changes = vec![Change { copy, connection, deal, effects, history, cycle: Vec::new() }];
                            // Whoever works may just have changed hands.
                            let _ = journal.commit(&lease, Batch { now: Some(now), changes, ..Batch::default() }).await;
                        }
                    })
                };
                self.store.call(back).await;
            }
            Happening::StoreDown(seconds) => *self.away_until.lock().unwrap() = Some(Instant::now() + Duration::from_secs(seconds)),
            Happening::Hold => {
                let hold = Hold { scope: HoldScope::All, since: now, by: "sre".into(), reason: "look".into() };
                self.store.call(|journal| Box::pin(async move { journal.hold(hold).await })).await.unwrap();
            }
            Happening::Release => {
                self.store.call(|journal| Box::pin(async move { journal.release_hold(&HoldScope::All).await })).await.unwrap();
            }
            Happening::Backup => {
                self.store.back_up();
                *self.backed_up.lock().unwrap() = Some(BackedUp { known: self.truth().known() });
            }
            Happening::Restore => {
                let Some(copy) = self.backed_up.lock().unwrap().take() else { return };
                for running in &*self.nodes.lock().unwrap() {
                    running.node.kill();
                }
                self.store.put_back();
                self.truth().put_back(&copy.known, self.passed());
            }
            Happening::Publish(text, sooner) => {
                for slot in 0..self.scenario.processes {
                    let edition = Edition { text, sooner, resend: self.scenario.resend };
                    self.edit(slot, edition, Duration::from_secs(30 * slot as u64));
                }
            }
            Happening::PublishOn(slot, text, sooner) => {
                let edition = Edition { text, sooner, resend: self.scenario.resend };
                self.edit(slot % self.scenario.processes, edition, Duration::ZERO);
            }
        }
    }

    /// One of the processes, or whoever works.
    fn with(&self, slot: usize, what: impl FnOnce(&Running)) {
        let owner = self.truth().owner.clone();
        let nodes = self.nodes.lock().unwrap();
        let at_work = nodes.iter().position(|r| r.node.name == owner);
        what(&nodes[at_work.filter(|_| slot == AT_WORK).unwrap_or(slot % nodes.len())]);
    }

    fn stop(self: &Arc<Self>, person: usize) {
        let phone = fixture::phone(person);
        let hash = self.store.journal().address_hash(&Address::Phone(phone.clone()));
        let id = format!("stop {}", self.events.load(Ordering::SeqCst));
        let event = move |now| Incoming {
            source: "sms".into(),
            id: id.clone(),
            event: InboxEvent::Unsubscribe {
                subject: SignalSubject { phone: Some(phone.clone()), ..SignalSubject::default() },
                at: now,
                only: None,
            },
            received_at: now,
            not_before: None,
            suppress: vec![Suppression {
                scope: SuppressionScope::Address(hash.clone()),
                brand: None,
                medium: None,
                purpose: None,
                reason: SuppressionReason::Stop,
                at: now,
            }],
            click: None,
        };
        self.tell(0, event, |_| {});
    }

    /// The newest message that the person got.
    fn newest_of(&self, person: usize) -> Option<EffectRef> {
        let truth = self.truth();
        let mut theirs = truth.intents.iter().rev().filter(|(_, i)| i.person == person);
        theirs.find(|(effect, _)| truth.accepted.contains_key(effect)).map(|(effect, _)| *effect)
    }

    /// By its link, as the page stores it.
    async fn unsubscribe(self: &Arc<Self>, person: usize, narrow: bool) {
        let Some(effect) = self.newest_of(person) else { return };
        let known = self.store.call(move |journal| Box::pin(async move { journal.effect(effect).await })).await.unwrap();
        let Some(known) = known else { return };
        let only = known.medium.filter(|_| narrow);
        let id = format!("unsubscribe {}", self.events.load(Ordering::SeqCst));
        let event = move |now| Incoming {
            source: "unsubscribe".into(),
            id: id.clone(),
            event: InboxEvent::Unsubscribe {
                subject: SignalSubject { effect: Some(effect), ..SignalSubject::default() },
                at: now,
                only,
            },
            received_at: now,
            not_before: None,
            // As the page stores it: the person, and the address that was written to.
            suppress: [
                (SuppressionScope::Client(known.client), only),
                (SuppressionScope::Address(known.key.recipient.clone()), known.medium),
            ]
            .map(|(scope, medium)| Suppression {
                scope,
                brand: Some(known.brand.clone()),
                medium,
                purpose: Some(Purpose::Advertising),
                reason: SuppressionReason::Unsubscribed,
                at: now,
            })
            .into(),
            click: None,
        };
        self.tell(0, event, |_| {});
    }

    /// Opens the newest message that the person got.
    fn click(self: &Arc<Self>, person: usize) {
        let Some(effect) = self.newest_of(person) else { return };
        let id = format!("click {}", self.events.load(Ordering::SeqCst));
        let event = move |now: Timestamp| Incoming {
            source: "click".into(),
            id: id.clone(),
            event: InboxEvent::Click { effect, link: 0, at: now, verdict: None },
            received_at: now,
            not_before: Some(now + SignedDuration::from_secs(35)),
            suppress: Vec::new(),
            click: Some(Clicked { effect, link: 0, at: now, verdict: None, why: String::new() }),
        };
        self.tell(0, event, |_| {});
    }

    /// The last look: everything that a provider has is known, everything that is known happened, nothing is left open.
    async fn last_look(&self) {
        let now = self.now();
        // Not by their numbers: those go on far away once a database was put back.
        let of = |journal: Arc<dyn Journal>| -> BoxFuture<'static, Result<Vec<CopyId>, StoreError>> {
            Box::pin(async move { journal.copies_of(&fixture::funnel(), CopyId(0), 100).await })
        };
        let load = Load::Copies(self.store.call(of).await.unwrap());
        let subjects = self.store.call(move |journal| Box::pin(async move { journal.load(&load, now).await })).await.unwrap();
        let views = self.store.current().views;
        let dead = self.store.call(|_| Box::pin(async move { (views.dead_letters(100).await, views.ambiguous(1000).await) })).await;
        let (dead, ambiguous) = (dead.0.unwrap(), dead.1.unwrap());
        let listed: BTreeSet<EffectRef> = ambiguous.iter().map(|a| a.effect).collect();
        let listed = if self.bug == Some(Bug::UnclearHidden) { BTreeSet::new() } else { listed };
        let late = now + SignedDuration::from_hours(24 * 365);
        let rows = self.store.call(move |journal| Box::pin(async move { journal.inbox(late, 100).await })).await.unwrap();
        if rows.is_empty() {
            self.what_was_heard(&subjects, now).await;
        }
        let mut truth = self.truth();
        if let Some(letter) = dead.first() {
            truth.wrong("I9", format!("set aside: {} {}", letter.source, letter.error));
        }
        if !rows.is_empty() {
            truth.wrong("I12", format!("{} events were never consumed", rows.len()));
        }
        let mut known = BTreeMap::new();
        for subject in &subjects {
            for entry in &subject.ledger {
                let effect = EffectRef { copy: subject.copy.id, seq: entry.seq };
                known.insert(effect, entry.status);
                let message = !entry.key.list.starts_with('@');
                let taken = truth.accepted.contains_key(&effect);
                let what = |text: &str| format!("{effect} ({} of {}): {text}", entry.key.item, subject.deal.id);
                if !entry.status.terminal() {
                    truth.wrong("I12", what(&format!("still {}, {:?}", entry.status.as_str(), entry.reason)));
                }
                if !message {
                    continue;
                }
                let unclear = entry.status == EffectStatus::Unknown;
                if unclear != listed.contains(&effect) {
                    truth.wrong("I10", what(if unclear { "unclear, and not listed" } else { "listed as unclear, and it is not" }));
                }
                if unclear && !truth.unclear.contains(&effect) {
                    let why = "unclear, though it was not under way at a take-over and no provider left us in doubt";
                    truth.wrong("I10", what(why));
                }
                if taken
                    && matches!(entry.status, EffectStatus::Failed | EffectStatus::Expired | EffectStatus::Skipped)
                    && !truth.bounced.contains(&effect)
                {
                    truth.wrong(
                        "I9",
                        what(&format!("the provider has it, the ledger says {} ({:?})", entry.status.as_str(), entry.reason)),
                    );
                }
                if entry.status.sent() && !taken {
                    truth.wrong("I9", what(&format!("{}, but no provider has it", entry.status.as_str())));
                }
                if truth.delivered.contains(&effect) && entry.status != EffectStatus::Delivered && !truth.bounced.contains(&effect)
                {
                    truth.wrong("I8", what(&format!("a receipt was taken, the ledger says {}", entry.status.as_str())));
                }
                if entry.status == EffectStatus::Delivered && !taken {
                    truth.wrong("I8", what("delivered without having been accepted"));
                }
                let silent = matches!(entry.status, EffectStatus::Failed | EffectStatus::Expired | EffectStatus::Skipped);
                if silent && entry.reason.is_none() {
                    truth.wrong("I9", what("not sent, and nobody says why"));
                }
            }
            self.journey(subject, &mut truth);
        }
        let unknown: Vec<EffectRef> = truth.accepted.keys().filter(|effect| !known.contains_key(effect)).copied().collect();
        if let Some(effect) = unknown.first() {
            truth.wrong("I9", format!("{effect} was accepted, and the ledger does not know it"));
        }
    }

    /// What the store took of clients had its effect once. Whatever a call, an answer or a click leads to, each copy that it is about has
    /// a line of it in its story, written in the transaction that consumes it. Whom it is about grows, as more deals turn out to be
    /// the same person's; it never shrinks, for no contact changes its addresses here. A click may be a machine's by its moment, or one
    /// visit with another, and then leads to nothing.
    async fn what_was_heard(&self, subjects: &[Subject], now: Timestamp) {
        let (heard, clicks, by_hand) = {
            let truth = self.truth();
            (truth.heard.clone(), truth.clicks.clone(), truth.by_hand.clone())
        };
        let ends: Vec<(String, CopyId, Role)> = subjects.iter().map(|s| (s.deal.id.clone(), s.copy.id, s.copy.role)).collect();
        let asked: Vec<String> = ends.iter().map(|(deal, ..)| deal.clone()).collect();
        let views = self.store.current().views;
        let read = self.store.call(move |journal| {
            Box::pin(async move {
                let (mut stories, mut about) = (Vec::new(), Vec::<(Heard, BTreeSet<String>)>::new());
                for deal in &asked {
                    stories.push(views.timeline(&fixture::funnel(), deal).await.unwrap());
                }
                for one in heard {
                    let theirs = journal.load(&Load::Signal(one.subject.clone()), now).await.unwrap();
                    about.push((one, theirs.into_iter().map(|s| s.deal.id).collect()));
                }
                (stories, about)
            })
        });
        let (stories, about) = read.await;
        for ((deal, copy, role), story) in ends.into_iter().zip(stories) {
            let signals: Vec<String> = story.into_iter().filter(|line| line.kind == "signal").map(|line| line.text).collect();
            let told = |kind: SignalKind| signals.iter().filter(|word| *word == kind.as_str()).count();
            for kind in [SignalKind::InboundCall, SignalKind::Reply] {
                let of = || about.iter().filter(move |(one, _)| one.kind == kind);
                // What was decided on a copy while a hand from outside changed it is void.
                let least = of().filter(|(one, _)| one.deals.contains(&deal) && !by_hand.contains(&deal)).count();
                let most = of().filter(|(_, now)| now.contains(&deal)).count();
                let times = told(kind);
                if times < least || times > most {
                    let what = format!("in the story of {deal}, {} times: {times}, it should be {least} to {most}", kind.as_str());
                    self.truth().wrong("I8", what);
                }
            }
            let (times, most) = (told(SignalKind::Click), clicks.get(&copy).copied().unwrap_or(0));
            if times > most {
                self.truth().wrong("I8", format!("in the story of {deal}, clicks: {times}, there were {most}"));
            }
            self.ends.lock().unwrap().insert(deal, End { role, signals });
        }
    }

    /// Whoever is still being warmed has every item behind them, one way or the other.
    fn journey(&self, subject: &Subject, truth: &mut Truth) {
        let copy = &subject.copy;
        let late = copy.next_at.filter(|at| *at < self.now() - SignedDuration::from_mins(10));
        if let Some(at) = late {
            truth.wrong("I12", format!("{} is due since {at} and nobody looks", subject.deal.id));
        }
        if copy.role != Role::Warming {
            return;
        }
        let cycle: BTreeSet<&str> = subject
            .ledger
            .iter()
            .filter(|e| e.key.cycle == copy.cycle && e.key.list == "lost")
            .map(|e| e.key.item.as_str())
            .collect();
        let Some(journey) = &copy.state.journey else { return };
        let passed = fixture::ITEMS.iter().take_while(|item| {
            journey.finished || journey.last.as_deref() == Some(**item) || {
                let at = fixture::ITEMS.iter().position(|i| Some(*i) == journey.last.as_deref());
                at.is_some_and(|at| fixture::ITEMS.iter().position(|i| i == *item).unwrap() <= at)
            }
        });
        for item in passed {
            if !cycle.contains(item) {
                truth.wrong("I9", format!("{} passed by {item} and nothing says so ({:?})", subject.deal.id, copy.state));
            }
        }
        // A later cycle waits for `reentry`, which is longer than a run.
        let first = copy.cycle == 1;
        let alone = subject.client.siblings.iter().all(|s| s.role == Role::Archived);
        let (from, to) = (self.now() - SignedDuration::from_hours(1), self.now() + SignedDuration::from_hours(26));
        let stuck = copy.next_at.is_none_or(|at| at < from || at > to);
        if stuck && !journey.finished && first && alone && copy.state.pause.is_none() && copy.state.waiting.is_none() {
            truth.wrong("I12", format!("{} is not through: {:?}, {cycle:?}", subject.deal.id, copy));
        }
    }

    async fn outcome(&self) -> Outcome {
        let restored = self.truth().restored.clone();
        if self.truth().violation.is_none() && restored.is_none() {
            self.last_look().await;
        }
        let views = self.store.current().views;
        let unknown = self.store.call(|_| Box::pin(async move { views.ambiguous(1000).await })).await.unwrap().len();
        let holds = self.store.call(|journal| Box::pin(async move { journal.holds().await })).await.unwrap();
        let truth = self.truth();
        Outcome {
            restored,
            held: holds.iter().any(|hold| hold.scope == HoldScope::All),
            violation: truth.violation.clone(),
            trace: truth.trace,
            ops: self.ops(),
            simulated: Duration::from_millis(u64::try_from(self.passed()).unwrap()),
            messages: truth.accepted.values().map(|n| u64::from(*n)).sum(),
            crashes: truth.crashes,
            takeovers: truth.takeovers,
            unknown,
            before_rest: self.before_rest.load(Ordering::SeqCst),
            questions: self.questions.load(Ordering::SeqCst),
            deals: self.crm().deals.clone(),
            ends: self.ends.lock().unwrap().clone(),
            revisions: truth.intents.values().map(|intent| intent.revision).collect(),
            story: truth.story(),
        }
    }
}

const fn word(outcome: &rekindle::model::Outcome) -> &'static str {
    use rekindle::model::Outcome;
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Delivered => "delivered",
        Outcome::Retry { .. } => "to be tried again",
        Outcome::Rejected { .. } => "rejected",
        Outcome::ChannelDown { .. } => "channel down",
        Outcome::Unknown { .. } => "unknown",
        Outcome::NotStarted => "not started",
        Outcome::Expired => "expired",
    }
}

/// The outside of one process.
struct SimOutside {
    world: Arc<World>,
    node: Arc<Node>,
}

impl Outside for SimOutside {
    fn connect(&self, _: &ConnectionWiring) -> Result<Arc<dyn Connector>, CrmError> {
        Ok(Arc::new(SimCrm { world: self.world.clone(), node: self.node.clone() }))
    }

    fn open(&self, settings: &ChannelWiring) -> Result<Arc<dyn Channel>, ChannelError> {
        let provider = |name: &String| {
            let (world, node) = (self.world.clone(), self.node.clone());
            Arc::new(SimProvider { name: name.clone(), world, node, closed: AtomicBool::new(false) }) as Arc<dyn Channel>
        };
        Ok(channels::in_order(settings.providers.iter().map(|p| provider(&p.name)).collect()))
    }
}
