//! What statuses say, of a real engine's publications on a store in memory.

use super::{
    ConditionReason, crm_connection,
    figures::{Counter, Figures},
    funnel::{self, Facts},
    message_channel, policy,
    standing::Standing,
};
use crate::{
    api::API_VERSION,
    channels::{Channel, ChannelError, Job, Report},
    compile::{ChannelWiring, ConnectionWiring, ObjectRef},
    crm::{self, Connector, CrmError},
    model::{FunnelKey, Outcome},
    source::{Admission, Reading, Seen, load_text},
    store::Store,
    workers::{Clock, Engine, EngineMetrics, EngineSettings, Outside, RealOutside},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use std::{path::Path, sync::Arc};
use tokio::{sync::mpsc, time::Instant};

const WORLD: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: deals, namespace: shop}
data:
  deals.csv: |
    id,title,pipeline,stage,lostReason,amount,createdAt,stageChangedAt,lastActivityAt,name,phone
    d1,Flat,Sales,Lost,price,1000,2026-01-01T12:00:00Z,2026-03-01T12:00:00Z,2026-03-01T12:00:00Z,Anna,+79990000001
---
apiVersion: v1
kind: Secret
metadata: {name: kannel, namespace: shop}
stringData: {username: rekindle, password: made-up}
---
apiVersion: rekindle.dev/v1alpha1
kind: CrmConnection
metadata: {name: crm, namespace: shop}
spec:
  type: File
  file:
    deals: {configMap: {name: deals, key: deals.csv}}
    stages: {won: [Won], lost: [Lost]}
  region: RU
  sync: {every: 10s}
  maxStaleness: 2h
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: sms, namespace: shop}
spec:
  sms: {from: "7777", maxParts: 3, optOut: None}
  providers: [{name: main, type: Kannel, kannel: {url: "http://127.0.0.1:13013", secretRef: {name: kannel}}}]
  rate: {perSecond: 20}
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: mail, namespace: shop}
spec:
  email:
    from: {name: Sales, address: hello@news.example.com}
  providers: [{name: relay, type: Smtp, smtp: {host: 127.0.0.1, port: 25, tls: None}}]
---
apiVersion: rekindle.dev/v1alpha1
kind: ContactPolicy
metadata: {name: default, namespace: shop}
spec:
  brand: novydom
  consent: {advertising: AssumedFromCrm}
  timeZone: Europe/Moscow
  windows: [{from: "00:00", to: "24:00"}]
  spread: 0s
---
apiVersion: rekindle.dev/v1alpha1
kind: ContentList
metadata: {name: warm, namespace: shop}
spec:
  title: Warm
  items: [{name: one, title: One, after: 0h, sms: {text: "one"}}]
---
apiVersion: rekindle.dev/v1alpha1
kind: ReactivationFunnel
metadata: {name: flats, namespace: shop}
spec:
  mode: Live
  source: {crmRef: {name: crm}}
  policyRef: {name: default}
  channels: [{name: sms, ref: {name: sms}}, {name: mail, ref: {name: mail}}]
  stages:
    warming: [{name: warming, title: Warming, enter: [{lost: []}], content: [{listRef: {name: warm}}]}]
  backfill: {lostWithin: 30d, perDay: 1000}
"#;

fn read(text: &str) -> Reading {
    let admission = Admission::of_this_version();
    let admitted = admission.admit(&load_text(Path::new("all.yaml"), text.as_bytes(), &admission.kinds()));
    assert!(admitted.problems.is_empty(), "{:?}", admitted.problems);
    let ours = admitted.snapshot.objects.iter().filter(|object| object.api_version == API_VERSION);
    let seen = ours.map(|o| (named(&o.kind, &o.name), Seen { generation: 1, ..Seen::default() })).collect();
    Reading { snapshot: admitted.snapshot, seen, unread: std::collections::BTreeSet::default() }
}

fn named(kind: &str, name: &str) -> ObjectRef {
    ObjectRef { kind: kind.into(), namespace: "shop".into(), name: name.into() }
}

/// A process that has just started.
fn process(store: &Store, clock: &Clock, outside: Arc<dyn Outside>) -> Arc<Engine> {
    let metrics = EngineMetrics::new(&mut prometheus_client::registry::Registry::default());
    Engine::with_outside(store.journal.clone(), clock.clone(), EngineSettings::default(), metrics, outside)
}

async fn publish(engine: &Engine, text: &str) -> Standing {
    let reading = read(text);
    let published = engine.publish(&reading.snapshot, Some(&reading.declared())).await.unwrap();
    Standing::new(reading, published, &engine.plans())
}

/// Status, reason and message.
fn said(conditions: &[Condition], kind: &str) -> (String, String, String) {
    let found = conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

fn of_channel(engine: &Engine, standing: &Standing, name: &str) -> Vec<Condition> {
    let (figures, spec) = (Figures::default(), serde_json::json!({}));
    let object = named("MessageChannel", name);
    message_channel::status(&object, &spec, 1, standing, &figures, &engine.adapters(), engine.clock().now()).conditions
}

fn of_connection(engine: &Engine, standing: &Standing) -> Vec<Condition> {
    crm_connection::status(&named("CrmConnection", "crm"), 1, standing, &Figures::default(), &engine.adapters()).conditions
}

fn of_funnel(engine: &Engine, standing: &Standing) -> Vec<Condition> {
    let (figures, adapters, now) = (Figures::default(), engine.adapters(), engine.clock().now());
    let facts = Facts { standing, figures: &figures, adapters: &adapters, live: None, stopped: None, now };
    funnel::status(&named("ReactivationFunnel", "flats"), 1, &facts).conditions
}

#[tokio::test]
async fn a_funnel_says_why_its_engine_does_not_work() {
    let store = Store::open("memory:").await.unwrap();
    let engine = process(&store, &Clock::Real, Arc::new(RealOutside));
    let standing = publish(&engine, WORLD).await;
    for (reason, why, message) in [
        (ConditionReason::ClockWrong, "9 h ahead", "9 h ahead: nothing is sent until they agree within a minute"),
        (ConditionReason::StoreUnavailable, "no answer", "no answer; it goes on when the store is back"),
    ] {
        let (figures, adapters, now) = (Figures::default(), engine.adapters(), engine.clock().now());
        let stopped = Some((reason, why.to_owned()));
        let facts = Facts { standing: &standing, figures: &figures, adapters: &adapters, live: None, stopped, now };
        let conditions = funnel::status(&named("ReactivationFunnel", "flats"), 1, &facts).conditions;
        assert_eq!(said(&conditions, "Healthy"), ("False".into(), reason.as_str().into(), message.into()));
    }
}

#[tokio::test]
async fn a_channel_or_connection_is_not_ready_while_a_funnel_works_by_what_it_was() {
    let store = Store::open("memory:").await.unwrap();
    let engine = process(&store, &Clock::Real, Arc::new(RealOutside));
    let broken = WORLD.replace("text: \"one\"", "text: \"{{ client.nobody }}\"");
    // Never in force: nothing old goes on, and it heals without them.
    let never = publish(&engine, &broken).await;
    assert_eq!(said(&of_channel(&engine, &never, "sms"), "Ready").1, "NotUsed");
    let cases = [
        ("nothing", "", "", "InForce", "InForce"),
        ("the word that ends it", "optOut: None", "optOut: Keyword, keyword: WEG", "WaitingForFunnel", "InForce"),
        (
            "how long it counts",
            "  rate: {perSecond: 20}",
            "  rate: {perSecond: 20}\n  expiresAfter: 3h",
            "WaitingForFunnel",
            "InForce",
        ),
        ("what no revision holds", "perSecond: 20", "perSecond: 10", "InForce", "InForce"),
        ("how old the CRM may be", "maxStaleness: 2h", "maxStaleness: 1h", "InForce", "WaitingForFunnel"),
    ];
    for (what, from, to, channel, connection) in cases {
        publish(&engine, WORLD).await;
        let standing = publish(&engine, &broken.replacen(from, to, 1)).await;
        let ready = said(&of_channel(&engine, &standing, "sms"), "Ready");
        assert_eq!(ready.1, channel, "{what}: {}", ready.2);
        let ready = said(&of_connection(&engine, &standing), "Ready");
        assert_eq!(ready.1, connection, "{what}: {}", ready.2);
        assert_eq!(said(&of_channel(&engine, &standing, "mail"), "Ready").1, "InForce", "{what}");
        // Repaired, the edit is in force.
        let standing = publish(&engine, &WORLD.replacen(from, to, 1)).await;
        assert_eq!(said(&of_channel(&engine, &standing, "sms"), "Ready").1, "InForce", "{what}");
    }
}

#[tokio::test]
async fn a_channel_that_is_not_open_is_not_healthy_and_says_that_its_messages_wait() {
    let dkim = "    dkim: {domain: news.example.com, selector: s1, secretRef: {name: dkim, key: key}}\n";
    let junk = WORLD.replace("address: hello@news.example.com}\n", &format!("address: hello@news.example.com}}\n{dkim}"))
        + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: dkim, namespace: shop}\nstringData: {key: junk}\n";
    let lost = WORLD.replace("metadata: {name: kannel,", "metadata: {name: another,");
    for (what, edit, channel, reason) in
        [("no key", &junk, "mail", "CannotOpen"), ("a lost Secret", &lost, "sms", "WaitingForReference")]
    {
        let store = Store::open("memory:").await.unwrap();
        let running = process(&store, &Clock::Real, Arc::new(RealOutside));
        let good = publish(&running, WORLD).await;
        assert_eq!(said(&of_channel(&running, &good, channel), "Healthy").0, "True", "{what}");
        let edited = publish(&running, edit).await;
        let conditions = of_channel(&running, &edited, channel);
        let ready = said(&conditions, "Ready");
        assert_eq!((ready.0.as_str(), ready.1.as_str()), ("False", reason), "{what}");
        assert!(ready.2.ends_with("what was in force stays in force"), "{what}: {}", ready.2);
        assert_eq!(said(&conditions, "Healthy").0, "True", "{what}: it goes on as it was");
        // The same edit a second time is no news.
        let again = publish(&running, edit).await;
        assert_eq!(said(&of_channel(&running, &again, channel), "Ready").1, reason, "{what}");

        let restarted = process(&store, &Clock::Real, Arc::new(RealOutside));
        let standing = publish(&restarted, edit).await;
        let conditions = of_channel(&restarted, &standing, channel);
        let ready = said(&conditions, "Ready");
        assert_eq!(ready.1, reason, "{what}");
        assert!(!ready.2.contains("stays in force"), "{what}: {}", ready.2);
        let healthy = said(&conditions, "Healthy");
        assert_eq!((healthy.0.as_str(), healthy.1.as_str()), ("False", "CannotOpen"), "{what}");
        assert!(healthy.2.ends_with("messages wait"), "{what}: {}", healthy.2);
        assert_eq!(said(&of_funnel(&restarted, &standing), "ChannelsReady").1, "CannotOpen", "{what}");
        assert_eq!(said(&of_funnel(&restarted, &standing), "ChannelsReady").0, "False", "{what}");
    }
    // Applied in any order: what is missing may be on its way, and no funnel has messages yet.
    let first = process(&Store::open("memory:").await.unwrap(), &Clock::Real, Arc::new(RealOutside));
    let standing = publish(&first, &lost).await;
    let conditions = of_channel(&first, &standing, "sms");
    assert_eq!(said(&conditions, "Healthy").0, "Unknown");
    assert!(!said(&conditions, "Ready").2.contains("stays in force"));
}

#[tokio::test]
async fn a_connection_that_is_not_open_is_not_healthy() {
    let store = Store::open("memory:").await.unwrap();
    publish(&process(&store, &Clock::Real, Arc::new(RealOutside)), WORLD).await;
    let restarted = process(&store, &Clock::Real, Arc::new(RealOutside));
    let standing = publish(&restarted, &WORLD.replace("metadata: {name: deals,", "metadata: {name: others,")).await;
    let conditions = of_connection(&restarted, &standing);
    assert_eq!(said(&conditions, "Ready").1, "WaitingForReference");
    assert!(!said(&conditions, "Ready").2.contains("stays in force"));
    assert_eq!(said(&conditions, "Healthy").0, "False");
    assert_eq!(said(&of_funnel(&restarted, &standing), "SourceReady").1, "CannotOpen");
}

#[tokio::test]
async fn a_refused_account_is_told_until_a_message_is_taken() {
    let engine = process(&Store::open("memory:").await.unwrap(), &Clock::Real, Arc::new(RealOutside));
    let standing = publish(&engine, WORLD).await;
    let adapters = engine.adapters();
    let (channel, now) = (&adapters.channels["shop/sms"], engine.clock().now());
    let message = crate::model::EffectRef { copy: crate::model::CopyId(1), seq: 1 };
    let refused = Outcome::ChannelDown { reason: "the login was refused".into(), after: None };
    channel.heard(message, &refused, now);
    channel.pause(now, now + SignedDuration::from_secs(60), "the login was refused");
    let health = |at| {
        let (is, reason, message) = message_channel::health(
            &named("MessageChannel", "sms"),
            &standing,
            &Figures::default(),
            &adapters,
            now + SignedDuration::from_secs(at),
        );
        (is == super::conditions::Is::Yes, reason.as_str(), message.contains("the login was refused"))
    };
    assert_eq!(health(1), (false, "ProviderDown", true));
    // The pause is over and nothing is due before morning.
    assert_eq!(health(61), (false, "ProviderDown", true));
    assert_eq!(health(36_000), (false, "ProviderDown", true));
    channel.heard(message, &Outcome::Accepted { provider: "main".into(), provider_id: None }, now);
    assert_eq!(health(36_001), (true, "Working", false));
}

/// Takes every message.
struct Taker;

#[async_trait::async_trait]
impl Channel for Taker {
    async fn perform(&self, jobs: Vec<Job>, _: Instant, reports: mpsc::UnboundedSender<Report>) {
        for job in jobs {
            let outcome = Outcome::Accepted { provider: "taker".into(), provider_id: None };
            let _ = reports.send(Report { effect: job.effect, attempt: job.attempt, outcome });
        }
    }

    fn close(&self) {}

    fn capacity(&self) -> usize {
        10
    }

    fn in_flight_bound(&self) -> usize {
        10
    }
}

struct Takers;

impl Outside for Takers {
    fn connect(&self, settings: &ConnectionWiring) -> Result<Arc<dyn Connector>, CrmError> {
        crm::connect(settings)
    }

    fn open(&self, _: &ChannelWiring) -> Result<Arc<dyn Channel>, ChannelError> {
        Ok(Arc::new(Taker))
    }
}

#[tokio::test]
async fn messages_today_are_those_since_the_policys_midnight() {
    // 22:00 in Moscow.
    let from: Timestamp = "2026-03-02T19:00:00Z".parse().unwrap();
    let clock = Clock::virtual_at(from);
    let store = Store::open("memory:").await.unwrap();
    let engine = process(&store, &clock, Arc::new(Takers));
    assert!(engine.hold_lease().await.unwrap());
    let standing = publish(&engine, WORLD).await;
    let funnels = [FunnelKey { namespace: "shop".into(), name: "flats".into() }];
    let today = async || {
        let figures = Counter::new().count(&store, &engine.plans(), &funnels, clock.now()).await.unwrap().unwrap();
        let policy = named("ContactPolicy", "default");
        policy::status(&policy, 1, &standing, &figures, None, clock.now()).messages_today
    };
    for minute in 1..=90 {
        clock.advance(from + SignedDuration::from_mins(minute));
        engine.settle().await.unwrap();
    }
    assert_eq!(today().await, Some(1), "at 23:30");
    clock.advance(from + SignedDuration::from_mins(150));
    assert_eq!(today().await, Some(0), "at 00:30");
}
