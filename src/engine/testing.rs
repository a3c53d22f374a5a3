//! Builders for tables: one ordinary funnel, one ordinary lost deal, and a virtual tick.

use super::*;
use crate::model::*;
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn t(text: &str) -> Timestamp {
    text.parse::<Timestamp>()
        .unwrap_or_else(|_| zone("Europe/Moscow").to_timestamp(text.parse::<civil::DateTime>().unwrap()).unwrap())
}

pub(crate) fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

pub(crate) fn d(text: &str) -> HumanDuration {
    text.parse().unwrap()
}

pub(crate) fn time(text: &str) -> civil::Time {
    text.parse().unwrap()
}

#[allow(clippy::unnecessary_wraps)] // the shape of the fields it fills
pub(crate) fn when(text: &str) -> Option<Condition> {
    Some(Condition::compile(text).unwrap())
}

/// Monday, 2026-03-02 12:00 in Moscow: inside every window.
pub(crate) fn noon() -> Timestamp {
    t("2026-03-02T12:00")
}

pub(crate) fn weekdays() -> Vec<civil::Weekday> {
    use civil::Weekday::{Friday, Monday, Thursday, Tuesday, Wednesday};
    vec![Monday, Tuesday, Wednesday, Thursday, Friday]
}

pub(crate) fn window(days: &[civil::Weekday], from: &str, to: &str) -> Window {
    Window { days: days.to_vec(), from: time(from), to: time(to) }
}

pub(crate) fn working_hours() -> WorkingHours {
    WorkingHours {
        time_zone: zone("Europe/Moscow"),
        windows: vec![window(&weekdays(), "09:00", "18:00")],
        holidays: BTreeSet::new(),
    }
}

pub(crate) fn item(name: &str, after: &str) -> Item {
    Item {
        name: name.into(),
        title: name.into(),
        after: d(after),
        at: None,
        days: Vec::new(),
        date: None,
        when: None,
        purpose: Purpose::Advertising,
        medium: Medium::Sms,
        channel: None,
        send_as: SendAs::Brand,
        valid_from: None,
        valid_until: None,
        expires_after: None,
        requires: Vec::new(),
        variants: Vec::new(),
    }
}

pub(crate) fn list(name: &str, items: Vec<Item>) -> List {
    List { name: name.into(), title: name.into(), items, overdue: Overdue::Spread, stop_when: None }
}

pub(crate) fn trigger(kind: TriggerKind) -> Trigger {
    Trigger { kind, when: None }
}

pub(crate) fn cold(name: &str, enter: Vec<Trigger>, content: Vec<ContentRule>) -> ColdStage {
    ColdStage { name: name.into(), title: name.into(), enter, content, remind: Vec::new(), stop_when: None }
}

pub(crate) fn rule(list: &str) -> ContentRule {
    ContentRule { when: None, list: list.into() }
}

/// Live; Stalled after 5 working days with two reminders; Warming for reasons `layout` and `other`; lists `layout` (3d, 7d, 7d) and
/// `other` (2d). Windows 10–20 in Moscow on every day, no caps, no spread, consent assumed.
pub(crate) fn plan() -> Plan {
    let mut stalled = cold("stalled", vec![trigger(TriggerKind::Inactivity(d("5d")))], Vec::new());
    stalled.remind = vec![
        Reminder { after: HumanDuration::ZERO, who: RemindWho::Manager },
        Reminder { after: d("2d"), who: RemindWho::Supervisor },
    ];
    let mut layout = rule("layout");
    layout.when = when("deal.lostReason == 'layout'");
    let warming =
        cold("warming", vec![trigger(TriggerKind::Lost(vec!["layout".into(), "other".into()]))], vec![layout, rule("other")]);
    let lists = [
        list("layout", vec![item("first", "3d"), item("second", "7d"), item("third", "7d")]),
        list("other", vec![item("hello", "2d")]),
    ];
    Plan {
        funnel: FunnelKey { namespace: "marketing".into(), name: "flats".into() },
        revision: 1,
        mode: Mode::Live,
        suspend: false,
        connection: "crm".into(),
        pipeline: None,
        max_staleness: None,
        policy: Policy {
            name: "default".into(),
            key: "marketing/default".into(),
            brand: "novydom".into(),
            brand_title: "novydom".into(),
            consent: ConsentRule::AssumedFromCrm,
            time_zone: zone("Europe/Moscow"),
            zone_map: BTreeMap::new(),
            windows: vec![window(&[], "10:00", "20:00")],
            holidays: BTreeSet::new(),
            caps: Vec::new(),
            over_cap: OverCap::Postpone,
            budget: None,
            ranks: false,
            spread: HumanDuration::ZERO,
            working_hours: working_hours(),
            paused: false,
        },
        priority: Voice::UNRANKED,
        channels: vec![
            Channel {
                name: "sms".into(),
                resource: "sms".into(),
                medium: Medium::Sms,
                expires_after: d("12h"),
                price: None,
                keyword: None,
            },
            Channel {
                name: "mail".into(),
                resource: "mail".into(),
                medium: Medium::Email,
                expires_after: d("1d"),
                price: None,
                keyword: None,
            },
        ],
        stages: Stages {
            in_work_title: "In work".into(),
            stalled: vec![stalled],
            warming: vec![warming],
            revival: Revival {
                title: "Revived".into(),
                signals: [SignalKind::InboundCall, SignalKind::MissedCall, SignalKind::Chat, SignalKind::Form].into(),
                return_to: ReturnTo { stage: Some("Talks".into()), move_open: false },
                task: TaskSpec { due: d("30m") },
            },
            unsubscribed_title: "Unsubscribed".into(),
            customer: None,
        },
        lists: lists.into_iter().map(|l| (l.name.clone(), l)).collect(),
        since: t("2026-01-01T00:00"),
        backfill: None,
        replies: Replies::Ask,
        clicks: Clicks { notify_at_most_every: d("1d"), task: TaskSpec { due: d("30m") }, pause: true },
        managers: Managers { fallback: Some("head@novydom.example".into()), escalate: Vec::new() },
        attribution: d("30d"),
        reentry: Reentry::After(d("30d")),
        holdout_percent: 0.0,
        holdout_salt: "2026".into(),
        journey_max_age: d("180d"),
    }
}

pub(crate) fn known(address: &str) -> KnownAddress {
    let parsed = if address.contains('@') {
        Address::Email(Email::parse(address).unwrap())
    } else {
        Address::Phone(Phone::parse(address, "RU").unwrap())
    };
    KnownAddress { address: parsed, hash: AddressHash(format!("#{address}")) }
}

pub(crate) fn manager(id: &str) -> Manager {
    Manager {
        id: ManagerId(id.into()),
        name: Text(id.into()),
        first_name: None,
        email: None,
        phone: None,
        supervisor: None,
        deputy: None,
        absent_until: None,
    }
}

/// A deal that the funnel has not seen yet: open, worked on at noon.
pub(crate) fn unseen() -> Subject {
    Subject {
        copy: Copy {
            id: CopyId(0),
            funnel: plan().funnel,
            client: ClientId(7),
            shard: 0,
            ver: 0,
            role: Role::Archived,
            stage: String::new(),
            cycle: 0,
            amount: Money(0),
            next_at: None,
            next_seq: 1,
            state: CopyState::default(),
        },
        deal: Deal {
            id: "d1".into(),
            title: "Flat".into(),
            pipeline: "Sales".into(),
            stage: "Talks".into(),
            amount: Money(500_000_000),
            manager: Some(ManagerId("m1".into())),
            created_at: Some(t("2026-02-01T12:00")),
            stage_changed_at: Some(t("2026-02-10T12:00")),
            last_activity_at: Some(noon()),
            contacts: vec!["c1".into()],
            ..Deal::default()
        },
        contact: Some(Contact {
            id: "c1".into(),
            name: Text("Anna Petrova".into()),
            first_name: Some(Text("Anna".into())),
            ..Contact::default()
        }),
        client: Client {
            id: Some(ClientId(7)),
            addresses: vec![known("+79991234567"), known("anna@example.com")],
            ..Client::default()
        },
        manager: Some(manager("m1")),
        deputy: None,
        supervisor: Some(manager("s1")),
        ledger: Vec::new(),
        crm_read_at: Some(noon()),
        spent: Spent::default(),
        priced: Vec::new(),
    }
}

/// One copy in a small world that does what workers do: applies decisions, writes the ledger, runs timers.
pub(crate) struct World {
    pub plan: Plan,
    pub subject: Subject,
    pub now: Timestamp,
    /// Everything that followed, oldest first.
    pub effects: Vec<(Timestamp, Effect)>,
    pub history: Vec<History>,
    pub cycles: Vec<CycleChange>,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        Self { plan, subject: unseen(), now: noon(), effects: Vec::new(), history: Vec::new(), cycles: Vec::new() }
    }

    /// Seen open first, then lost with that reason, both at noon.
    pub fn lost(plan: Plan, reason: &str) -> Self {
        let mut world = Self::new(plan);
        world.sight();
        world.change(|deal| lose(deal, reason, noon()));
        world
    }

    pub fn sight(&mut self) {
        self.decide(&Event::Deal { old: None });
    }

    pub fn change(&mut self, edit: impl FnOnce(&mut Deal)) {
        let old = self.subject.deal.clone();
        edit(&mut self.subject.deal);
        self.decide(&Event::Deal { old: Some(Box::new(old)) });
    }

    pub fn signal(&mut self, kind: SignalKind) {
        self.decide(&Event::Signal { kind, at: self.now, direct: true, reaction: None });
    }

    pub fn react(&mut self, reaction: Option<Reaction>) {
        self.decide(&Event::Signal { kind: SignalKind::TaskClosed, at: self.now, direct: true, reaction });
    }

    pub fn decide(&mut self, event: &Event) -> Decision {
        let decision = decide(&self.plan, &self.subject, event, self.now);
        self.apply(decision.clone());
        decision
    }

    pub fn apply(&mut self, decision: Decision) {
        if decision.copy.id == CopyId(0) {
            self.subject.copy = Copy { id: CopyId(1), ..decision.copy };
        } else {
            self.subject.copy = decision.copy;
        }
        self.subject.copy.ver += 1;
        for effect in decision.effects {
            let (status, reason) = match &effect.kind {
                EffectKind::Observed { .. } => {
                    self.effects.push((self.now, effect));
                    continue;
                }
                EffectKind::Skip { reason } => (EffectStatus::Skipped, Some(reason.as_str().to_owned())),
                _ => (EffectStatus::Accepted, None),
            };
            assert!(self.subject.ledger.iter().all(|e| e.key != effect.key), "written twice: {:?}", effect.key);
            if let EffectKind::Message { medium, purpose, .. } = &effect.kind {
                self.subject.client.recent.push(Recent {
                    at: self.now,
                    medium: *medium,
                    purpose: *purpose,
                    item: format!("marketing/{}/{}", effect.key.list, effect.key.item),
                    copy: self.subject.copy.id,
                    policy: Some(self.plan.policy.key.clone()),
                    address: effect.key.recipient.clone(),
                });
            }
            self.subject.ledger.push(LedgerEntry {
                key: effect.key.clone(),
                seq: effect.seq,
                status,
                at: self.now,
                variant: None,
                clicked_at: None,
                opened: false,
                reason,
            });
            self.effects.push((self.now, effect));
        }
        self.history.extend(decision.history);
        self.cycles.extend(decision.cycle);
    }

    /// Runs the timers up to (and at) `until`; the CRM is read all the time.
    pub fn run(&mut self, until: Timestamp) {
        for _ in 0..2000 {
            let Some(due) = self.subject.copy.next_at.filter(|due| *due <= until) else {
                self.now = self.now.max(until);
                return;
            };
            self.now = self.now.max(due);
            self.subject.crm_read_at = Some(self.now);
            self.decide(&Event::Timer);
        }
        panic!("the timer never rests: {:?}", self.subject.copy);
    }

    pub fn pass(&mut self, time: &str) {
        self.run(self.now + d(time).signed());
    }

    /// Moves the clock while the engine stands still.
    pub fn sleep(&mut self, time: SignedDuration) {
        self.now += time;
    }

    pub fn role(&self) -> Role {
        self.subject.copy.role
    }

    /// `(Moscow time, item)` of every message, in short.
    pub fn sent(&self) -> Vec<(String, String)> {
        self.of(|k| matches!(k, EffectKind::Message { .. }))
    }

    pub fn observed(&self) -> Vec<(String, String)> {
        self.of(|k| matches!(k, EffectKind::Observed { .. }))
    }

    fn of(&self, wanted: impl Fn(&EffectKind) -> bool) -> Vec<(String, String)> {
        let pick = |(at, e): &(Timestamp, Effect)| {
            let civil = zone("Europe/Moscow").to_datetime(*at);
            (civil.strftime("%m-%d %H:%M").to_string(), e.key.item.clone())
        };
        self.effects.iter().filter(|(_, e)| wanted(&e.kind)).map(pick).collect()
    }

    pub fn skipped(&self) -> Vec<(String, SkipReason)> {
        let skip = |e: &Effect| if let EffectKind::Skip { reason } = e.kind { Some((e.key.item.clone(), reason)) } else { None };
        self.effects.iter().filter_map(|(_, e)| skip(e)).collect()
    }

    /// What managers and the CRM get: `move Talks`, `task m1`, `comment`, `notify m1`.
    pub fn told(&self) -> Vec<String> {
        let word = |e: &Effect| {
            Some(match &e.kind {
                EffectKind::Move { stage } => format!("move {stage}"),
                EffectKind::Comment { .. } => "comment".into(),
                EffectKind::Task { who, .. } => format!("task {}", who.0),
                EffectKind::Notify { who, .. } => format!("notify {}", who.0),
                _ => return None,
            })
        };
        self.effects.iter().filter_map(|(_, e)| word(e)).collect()
    }

    pub fn ends(&self) -> Vec<CycleEnd> {
        self.cycles.iter().filter_map(|c| if let CycleChange::End { how, .. } = c { Some(*how) } else { None }).collect()
    }

    pub fn waiting(&self) -> Option<PostponeReason> {
        self.subject.copy.state.waiting
    }
}

pub(crate) fn lose(deal: &mut Deal, reason: &str, at: Timestamp) {
    deal.state = DealState::Lost;
    deal.stage = "Lost".into();
    deal.lost_reason = Some(reason.into());
    deal.stage_changed_at = Some(at);
}
