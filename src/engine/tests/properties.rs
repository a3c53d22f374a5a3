//! What must hold whatever happens, in whatever order.

use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
enum Happens {
    Pass(u32),
    Sleep(u32),
    Work,
    Plan(u32),
    Lose(usize),
    Reopen,
    Win,
    Delete,
    Signal(usize, bool),
    React(usize),
    Click,
    Unsubscribe,
    Append,
    Insert(usize),
    Remove(usize),
    Retime(usize, u32),
    Suspend(bool),
    Mode(bool),
    Again,
    Admit,
    Sibling(usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    use Happens as H;
    prop_oneof![
        8 => (1_u32..600).prop_map(H::Pass),
        1 => (1_u32..400).prop_map(H::Sleep),
        2 => Just(H::Work),
        1 => (0_u32..200).prop_map(H::Plan),
        4 => (0_usize..4).prop_map(H::Lose),
        1 => Just(H::Reopen),
        1 => Just(H::Win),
        1 => Just(H::Delete),
        4 => (0..SignalKind::ALL.len(), any::<bool>()).prop_map(|(k, d)| H::Signal(k, d)),
        1 => (0_usize..4).prop_map(H::React),
        1 => Just(H::Click),
        1 => Just(H::Unsubscribe),
        1 => Just(H::Append),
        1 => (0_usize..4).prop_map(H::Insert),
        1 => (0_usize..4).prop_map(H::Remove),
        1 => (0_usize..4, 0_u32..20).prop_map(|(i, d)| H::Retime(i, d)),
        1 => any::<bool>().prop_map(H::Suspend),
        1 => any::<bool>().prop_map(H::Mode),
        3 => Just(H::Again),
        1 => Just(H::Admit),
        1 => (0_usize..4).prop_map(H::Sibling),
    ]
}

/// The rules that no decision may break.
fn check(before: &Subject, plan: &Plan, event: Option<&Event>, now: Timestamp, decision: &Decision) {
    let copy = &decision.copy;
    let messages: Vec<&Effect> = decision.effects.iter().filter(|e| matches!(e.kind, EffectKind::Message { .. })).collect();
    let observed = decision.effects.iter().filter(|e| matches!(e.kind, EffectKind::Observed { .. })).count();
    assert!(messages.len() + observed <= 1, "one message at a time");
    assert!(copy.next_at.is_none_or(|t| t >= now), "never in the past");
    assert!(copy.role != Role::Archived || copy.next_at.is_none());
    assert_eq!(copy.ver, before.copy.ver);
    let numbers: Vec<i32> = decision.effects.iter().map(|e| e.seq).collect();
    let expected: Vec<i32> = (before.copy.next_seq..copy.next_seq).collect();
    assert_eq!(numbers, expected, "numbers without gaps");
    let writes = |k: &EffectKind| !matches!(k, EffectKind::Observed { .. });
    if plan.mode == Mode::Observe {
        assert!(!decision.effects.iter().any(|e| writes(&e.kind)), "observing writes nothing");
    }
    if !messages.is_empty() || observed > 0 {
        assert!(matches!(event, Some(Event::Timer)), "only its own moment sends");
        assert!(matches!(copy.role, Role::Stalled | Role::Warming));
        assert!(!copy.state.cycle_done && copy.state.pause.is_none() && !plan.suspend);
        let hour = zone("Europe/Moscow").to_datetime(now).hour();
        assert!((10..20).contains(&hour), "inside the window");
        assert!(!before.client.siblings.iter().any(|s| s.role == Role::InWork && s.deal_open), "one voice");
    }
    for message in messages {
        let EffectKind::Message { consent, expires_at, .. } = &message.kind else { continue };
        assert!(consent.is_some() && *expires_at > now);
        let week = before.client.recent.iter().filter(|r| now.duration_since(r.at) < SignedDuration::from_hours(48)).count();
        assert!(week < 2, "the cap holds");
    }
    let resumed = decision.cycle.iter().any(|change| matches!(change, CycleChange::Resume { .. }));
    for change in &decision.cycle {
        match change {
            CycleChange::Begin { cycle, .. } => assert_eq!(*cycle, before.copy.cycle + 1),
            CycleChange::End { cycle, .. } => {
                assert_eq!(*cycle, before.copy.cycle);
                assert!((resumed || !before.copy.state.cycle_done) && copy.state.cycle_done, "ended once");
            }
            CycleChange::Resume { cycle } => {
                assert_eq!(*cycle, before.copy.cycle);
                assert!(before.copy.role == Role::Archived && before.copy.state.hidden.is_some());
            }
            CycleChange::HeldOut { cycle } => assert!(before.copy.state.unasked && *cycle == before.copy.cycle),
            CycleChange::Contacted { cycle, .. } => assert_eq!(*cycle, copy.cycle),
        }
    }
}

struct Checked(World);

impl Checked {
    fn decide(&mut self, event: &Event) {
        let (before, now) = (self.0.subject.clone(), self.0.now);
        let decision = self.0.decide(event);
        check(&before, &self.0.plan, Some(event), now, &decision);
    }

    fn change(&mut self, edit: impl FnOnce(&mut Deal)) {
        let old = self.0.subject.deal.clone();
        edit(&mut self.0.subject.deal);
        self.decide(&Event::Deal { old: Some(Box::new(old)) });
    }

    fn run(&mut self, until: Timestamp) {
        for _ in 0..3000 {
            let Some(due) = self.0.subject.copy.next_at.filter(|due| *due <= until) else {
                self.0.now = self.0.now.max(until);
                return;
            };
            self.0.now = self.0.now.max(due);
            self.decide(&Event::Timer);
        }
        panic!("the timer never rests: {:?}", self.0.subject.copy);
    }

    fn happen(&mut self, what: &Happens) {
        let now = self.0.now;
        let items = |w: &mut Self| w.0.plan.lists.get_mut("layout").map(|l| l.items.len()).unwrap_or_default();
        match what {
            Happens::Pass(hours) => self.run(now + SignedDuration::from_hours(i64::from(*hours))),
            Happens::Sleep(hours) => self.0.sleep(SignedDuration::from_hours(i64::from(*hours))),
            Happens::Work => self.change(|d| d.last_activity_at = Some(now)),
            Happens::Plan(hours) => {
                self.change(|d| d.next_task_at = Some(now + SignedDuration::from_hours(i64::from(*hours))));
            }
            Happens::Lose(reason) => self.change(|d| lose(d, ["layout", "other", "price", ""][*reason], now)),
            Happens::Reopen => self.change(|d| {
                d.state = DealState::Open;
                d.stage = "Talks".into();
                d.stage_changed_at = Some(now);
            }),
            Happens::Win => self.change(|d| d.state = DealState::Won),
            Happens::Delete => self.change(|d| d.state = DealState::Deleted),
            Happens::Signal(kind, direct) => {
                // Two of a kind at one instant are one: the inbox keeps the other out.
                self.0.sleep(SignedDuration::from_secs(1));
                let now = self.0.now;
                self.decide(&Event::Signal { kind: SignalKind::ALL[*kind], at: now, direct: *direct, reaction: None });
            }
            Happens::React(which) => {
                let reaction = [None, Some(Reaction::Revived), Some(Reaction::Declined), Some(Reaction::GoOn)][*which];
                self.decide(&Event::Signal { kind: SignalKind::TaskClosed, at: now, direct: true, reaction });
            }
            Happens::Click => {
                self.0.sleep(SignedDuration::from_secs(1));
                let at = self.0.now;
                self.decide(&Event::Click { seq: 1, link: 0, at });
            }
            Happens::Unsubscribe => self.decide(&Event::Unsubscribed { at: now, only: None }),
            Happens::Append => {
                let n = self.0.effects.len() + self.0.history.len();
                let name = format!("appended-{n}-{}", items(self));
                self.edit(|items| items.push(item(&name, "2d")));
            }
            Happens::Insert(at) => {
                let n = self.0.effects.len() + self.0.history.len();
                let name = format!("inserted-{n}-{}", items(self));
                let at = (*at).min(items(self));
                self.edit(|items| items.insert(at, item(&name, "1d")));
            }
            Happens::Remove(at) => {
                if *at < items(self) {
                    self.edit(|items| drop(items.remove(*at)));
                }
            }
            Happens::Retime(at, days) => {
                if *at < items(self) {
                    self.edit(|items| items[*at].after = HumanDuration::days(*days));
                }
            }
            Happens::Suspend(on) => {
                self.0.plan.suspend = *on;
                self.decide(&Event::Replan);
            }
            Happens::Mode(live) => {
                self.0.plan.mode = if *live { Mode::Live } else { Mode::Observe };
                self.decide(&Event::Replan);
            }
            Happens::Again => {
                let same = self.0.subject.deal.clone();
                self.decide(&Event::Deal { old: Some(Box::new(same)) });
                let (copy, told) = (self.0.subject.copy.clone(), self.0.effects.len());
                let same = self.0.subject.deal.clone();
                self.decide(&Event::Deal { old: Some(Box::new(same)) });
                assert_eq!((&self.0.subject.copy.state, self.0.effects.len()), (&copy.state, told), "twice is once");
            }
            Happens::Admit => {
                let decision = admit_backfill(&self.0.plan, &self.0.subject, now);
                check(&self.0.subject, &self.0.plan, None, now, &decision);
                self.0.apply(decision);
            }
            Happens::Sibling(which) => {
                let role = [None, Some(Role::InWork), Some(Role::Warming), Some(Role::Revived)][*which];
                self.0.subject.client.siblings = role
                    .map(|role| Sibling {
                        copy: CopyId(99),
                        funnel: plan().funnel,
                        role,
                        deal_open: role == Role::InWork,
                        cycle_at: Some(now),
                        speaks: true,
                        heard_at: None,
                        says: None,
                        voice: Voice::default(),
                    })
                    .into_iter()
                    .collect();
            }
        }
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Vec<Item>)) {
        if let Some(list) = self.0.plan.lists.get_mut("layout") {
            edit(&mut list.items);
        }
        self.decide(&Event::Replan);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// `World` itself asserts that no key is ever written twice.
    #[test]
    fn no_story_breaks_the_rules(story in prop::collection::vec(happens(), 1..40), spread in 0_u32..8, before in any::<bool>()) {
        let mut plan = plan();
        plan.policy.spread = HumanDuration::hours(spread);
        plan.policy.caps = vec![Cap { medium: None, at_most: 2, per: CapPer::Rolling(HumanDuration::hours(48)) }];
        plan.backfill = Some(Backfill { lost_within: HumanDuration::days(400), per_day: 1 });
        plan.stages.stalled[0].content = vec![rule("other")];
        plan.reentry = Reentry::Always;
        let mut world = Checked(World::new(plan));
        if before {
            lose(&mut world.0.subject.deal, "layout", t("2025-12-01T12:00"));
        }
        world.decide(&Event::Deal { old: None });
        for what in &story {
            world.happen(what);
        }
        let cycles = &world.0.cycles;
        let open = cycles.iter().try_fold(false, |open, c| match c {
            CycleChange::Begin { .. } => Some(true),
            CycleChange::Resume { .. } => (!open).then_some(true),
            CycleChange::Contacted { .. } | CycleChange::HeldOut { .. } => open.then_some(true),
            CycleChange::End { .. } => open.then_some(false),
        });
        prop_assert!(open.is_some(), "contacted or ended without a beginning: {cycles:?}");
    }

    /// Against the slow and obvious way: look at every quarter of an hour.
    #[test]
    fn the_next_opening_is_the_first_open_quarter(
        start in 0_i64..(366 * 96),
        from in 0_i8..96,
        to in 0_i8..96,
        days in prop::collection::btree_set(0_u8..7, 1..7),
        holiday in 0_i64..366,
        place in 0_usize..4,
    ) {
        // No zone here changes its clock within a quarter of an hour, so that quarters are enough.
        let zone = zone(["Europe/Moscow", "Europe/Berlin", "America/New_York", "Australia/Sydney"][place]);
        let quarter = |q: i8| jiff::civil::time(q / 4, q % 4 * 15, 0, 0);
        let weekdays: Vec<_> =
            days.iter().map(|d| jiff::civil::Weekday::from_monday_zero_offset(i8::try_from(*d).unwrap()).unwrap()).collect();
        let window = Window { days: weekdays.clone(), from: quarter(from), to: quarter(to) };
        let first = jiff::civil::date(2026, 1, 1);
        let holidays: BTreeSet<_> = [first + jiff::ToSpan::days(holiday)].into();
        let at = zone.to_timestamp(first.to_datetime(jiff::civil::Time::midnight())).unwrap() + SignedDuration::from_mins(start * 15);
        let is_open = |t: Timestamp| {
            let civil = zone.to_datetime(t);
            let (day, time) = (civil.date(), civil.time());
            let evening = weekdays.contains(&day.weekday());
            let morning = weekdays.contains(&day.yesterday().unwrap().weekday());
            let open = if from < to {
                evening && time >= window.from && time < window.to
            } else {
                evening && time >= window.from || morning && time < window.to
            };
            open && !holidays.contains(&day)
        };
        let slow = (0..96 * 21).map(|q| at + SignedDuration::from_mins(q * 15)).find(|t| is_open(*t));
        let fast = next_open(std::slice::from_ref(&window), &holidays, &zone, at).map(|o| o.from);
        // On the two days of a year when the clock changes, "the doubled hour" may differ: first occurrence against every one.
        let changes = |t: Timestamp| zone.to_offset(t - SignedDuration::from_hours(26)) != zone.to_offset(t + SignedDuration::from_hours(26));
        if !changes(at) && !slow.is_some_and(changes) {
            prop_assert_eq!(fast, slow);
        }
        if let Some(fast) = fast {
            prop_assert!(fast >= at);
        }
    }

    #[test]
    fn working_hours_add_up(start in 0_i64..100_000, minutes in 0_u32..6000) {
        let hours = working_hours();
        let from = noon() + SignedDuration::from_mins(start);
        let to = add_working(&hours, from, HumanDuration::minutes(minutes));
        prop_assert_eq!(working_elapsed(&hours, from, to), SignedDuration::from_mins(i64::from(minutes)));
        prop_assert!(add_working(&hours, from, HumanDuration::minutes(minutes + 1)) > to);
    }

    #[test]
    fn no_text_makes_the_compiler_panic(text in "\\PC{0,60}") {
        let _ = Condition::compile(&text);
    }

    #[test]
    fn no_tokens_make_it_panic_either(tokens in prop::collection::vec(prop::sample::select(vec![
        "deal.amount", "client.city", "sent('a')", "has(", ")", "(", "[", "]", "{", "}", "&&", "||", "!", "-", "==", "<", ">=", "+", "in", "?", ":",
        "'x'", "1", "1.0", "null", "true", ".", ",", "matches", "size", "cycle.days",
    ]), 0..30)) {
        if let Ok(condition) = Condition::compile(&tokens.join(" ")) {
            let subject = unseen();
            let _ = condition.eval(&Facts { subject: &subject, now: noon() });
        }
    }
}
