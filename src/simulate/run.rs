//! All people through all of the time. First each for themselves, on all cores, as if every channel had room; if it turns out that a
//! rate would have held somebody up, once more in the order of time, with the workers' own limiters.

use super::{
    asleep::Asleep,
    behaviour::Behaviour,
    life::{Gate, Life, One},
    report::money,
    tally::{Sent, Tally},
    world::World,
};
use crate::{
    compile::Wiring,
    content::ItemText,
    engine::{Item, Plan, Spent, add_duration, periods},
    model::{CopyId, FunnelKey, Medium, Role},
    store::{Charge, Period},
    workers::{Admitted, BACKFILL_EVERY, Limiter, Live, channel_key, connection_key, in_pipeline},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What is asked.
pub struct Question {
    pub from: Timestamp,
    pub until: Timestamp,
    pub seed: u64,
    pub behaviour: Option<Behaviour>,
    /// Under which clients reach us: the length of links decides about SMS parts.
    pub base_url: String,
}

/// A funnel as it is to be simulated.
pub struct Given {
    pub live: Live,
    /// A store works by another plan of it: publishing this one, at the first day asked for, makes all copies look again.
    pub replan: bool,
    /// That other plan, by which it works until then.
    pub before: Option<Live>,
}

impl From<Live> for Given {
    fn from(live: Live) -> Self {
        Self { live, replan: false, before: None }
    }
}

/// One plan in a run.
pub(super) struct PlanOf {
    given: Given,
    pub name: String,
    /// `namespace/name`
    pub connection: String,
    /// By list: its number, and those of its items.
    lists: HashMap<String, (u32, HashMap<String, u32>)>,
    channels: HashMap<String, u16>,
}

impl PlanOf {
    /// As the folder has it.
    pub const fn live(&self) -> &Live {
        &self.given.live
    }

    pub const fn replans(&self) -> bool {
        self.given.replan
    }
}

/// An item of a list, as figures name it.
#[derive(Clone, Debug)]
pub struct ItemOf {
    pub funnel: u16,
    pub list: String,
    /// Number of that list in the run.
    pub(super) place: u32,
    pub item: String,
    pub title: String,
    pub medium: Medium,
    pub channel: Option<u16>,
    /// The sum of `after` up to it.
    pub days: u32,
}

/// A channel with what it is allowed.
#[derive(Clone, Debug)]
pub struct ChannelOf {
    /// `namespace/name`
    pub key: String,
    pub medium: Medium,
    pub per_second: f64,
    pub burst: u32,
    /// Ten-thousandths for an SMS part or an email, and the currency.
    pub price: Option<(i64, String)>,
}

pub struct Run {
    pub(super) plans: Vec<PlanOf>,
    pub items: Vec<ItemOf>,
    /// Names of the lists, by their number: two funnels may have one of the same name.
    pub(super) lists: Vec<String>,
    pub channels: Vec<ChannelOf>,
    pub start: Timestamp,
    pub from: Timestamp,
    pub until: Timestamp,
    pub seed: u64,
    pub(super) behaviour: Option<Behaviour>,
    pub(super) base_url: String,
    /// Of the plans themselves last; of an edited run those of the run before stand in front of them, and count where they know a copy.
    numbers: Vec<Numbers>,
    admissions: Vec<HashMap<i64, Timestamp>>,
}

/// What came out.
pub struct Outcome {
    pub run: Run,
    pub tally: Tally,
    /// By channel: how many messages its rate held up, and the longest time in milliseconds.
    pub held_up: Vec<(u64, i64)>,
    /// By channel: how many messages would leave in the busiest minute if it had room for all.
    pub wanted: Vec<u64>,
}

/// Longer delays than that are simulated exactly, whatever it costs.
const NEGLIGIBLE: SignedDuration = SignedDuration::from_secs(60);
/// Below that many deals every delay is.
const SMALL: usize = 100_000;

impl Run {
    /// Sets the plans up on a world.
    #[must_use]
    pub fn new(world: &World, funnels: Vec<Given>, wiring: &Wiring, question: Question) -> Self {
        let mut run = Self::unnumbered(world, funnels, wiring, question);
        let numbers = Numbers::of(world, run.sources(), (0..run.plans.len()).map(Some).collect());
        run.numbers.push(numbers);
        run
    }

    /// The same for plans that were edited: copies of `before` keep their numbers, which their places within a spread hang on, and those
    /// that the edit makes get numbers behind them, as in a store.
    #[must_use]
    pub fn edited(world: &World, funnels: Vec<Given>, wiring: &Wiring, question: Question, before: &Self) -> Self {
        let mut run = Self::unnumbered(world, funnels, wiring, question);
        let place = |plan: &PlanOf| before.plans.iter().position(|old| old.live().plan.funnel == plan.live().plan.funnel);
        let places = run.plans.iter().map(place).collect();
        let kept = Numbers::of(world, before.sources(), places);
        let last = kept.last;
        let new = Numbers::behind(last, world, run.sources(), (0..run.plans.len()).map(Some).collect());
        run.numbers.extend([kept, new]);
        run
    }

    fn sources(&self) -> Vec<(Arc<Plan>, String)> {
        self.plans.iter().map(|plan| (plan.live().plan.clone(), plan.connection.clone())).collect()
    }

    fn unnumbered(world: &World, funnels: Vec<Given>, wiring: &Wiring, question: Question) -> Self {
        let start = world.read_at.map_or(question.from, |read| read.min(question.from));
        let mut run = Self {
            plans: Vec::new(),
            items: Vec::new(),
            lists: Vec::new(),
            channels: Vec::new(),
            start,
            from: question.from,
            until: question.until,
            seed: question.seed,
            behaviour: question.behaviour,
            base_url: question.base_url,
            numbers: Vec::new(),
            admissions: Vec::new(),
        };
        for given in funnels {
            run.enroll(given, wiring);
        }
        run
    }

    fn enroll(&mut self, given: Given, wiring: &Wiring) {
        let number = u16::try_from(self.plans.len()).unwrap_or(u16::MAX);
        let plan = &given.live.plan;
        let mut channels = HashMap::new();
        for channel in &plan.channels {
            let key = channel_key(plan, &channel.resource);
            let at = self.channels.iter().position(|c| c.key == key).unwrap_or_else(|| {
                let settings = wiring.channels.get(&key);
                self.channels.push(ChannelOf {
                    medium: channel.medium,
                    per_second: settings.map_or(0.0, |s| s.per_second),
                    burst: settings.map_or(1, |s| s.burst),
                    price: wiring.prices.get(&key).map(|p| (p.per_part, p.currency.clone())),
                    key,
                });
                self.channels.len() - 1
            });
            channels.insert(channel.resource.clone(), u16::try_from(at).unwrap_or(u16::MAX));
        }
        let mut lists: HashMap<String, (u32, HashMap<String, u32>)> = HashMap::new();
        for list in plan.lists.values() {
            let place = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
            self.lists.push(list.name.clone());
            let mut items = HashMap::with_capacity(list.items.len());
            let mut days = 0_u32;
            for item in &list.items {
                days = days.saturating_add(item.after.days);
                let index = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
                items.insert(item.name.clone(), index);
                self.items.push(ItemOf {
                    funnel: number,
                    list: list.name.clone(),
                    place,
                    item: item.name.clone(),
                    title: item.title.clone(),
                    medium: item.medium,
                    channel: plan.channel_for(item).and_then(|c| channels.get(&c.resource)).copied(),
                    days,
                });
            }
            lists.insert(list.name.clone(), (place, items));
        }
        let (name, connection) = (plan.funnel.to_string(), connection_key(plan));
        self.plans.push(PlanOf { given, name, connection, lists, channels });
    }

    pub(super) fn first_id(&self, world: &World, plan: u16, deal: u32) -> Option<CopyId> {
        let (own, before) = self.numbers.split_last()?;
        // Whether it copies the deal is the plan's own matter.
        let number = own.number(world, usize::from(plan), deal)?;
        Some(before.iter().find_map(|numbers| numbers.number(world, usize::from(plan), deal)).unwrap_or(number))
    }

    pub(super) fn admission(&self, plan: u16, copy: CopyId) -> Option<Timestamp> {
        self.admissions.get(usize::from(plan))?.get(&copy.0).copied()
    }

    /// Number of an item; of one that no list of the folder has, a number that none has.
    pub(super) fn index(&self, plan: u16, list: &str, item: &str) -> u32 {
        let plan = self.plans.get(usize::from(plan));
        plan.and_then(|p| p.lists.get(list)).and_then(|(_, items)| items.get(item)).copied().unwrap_or(u32::MAX)
    }

    /// Number of a list; none of one that the folder does not have.
    pub(super) fn list(&self, plan: u16, list: &str) -> Option<u32> {
        Some(self.plans.get(usize::from(plan))?.lists.get(list)?.0)
    }

    pub(super) fn item_of(&self, number: u32) -> Option<&ItemOf> {
        self.items.get(usize::try_from(number).ok()?)
    }

    pub(super) fn text(&self, item: &ItemOf) -> Option<&ItemText> {
        self.plans.get(usize::from(item.funnel))?.live().texts.items.get(&(item.list.clone(), item.item.clone()))
    }

    /// With the salt that chooses its variants.
    pub(super) fn item_in_plan(&self, item: &ItemOf) -> Option<(&str, &Item)> {
        let plan = self.plan(item.funnel)?;
        Some((&plan.holdout_salt, plan.item(&item.list, &item.item)?))
    }

    /// What a message costs, in ten-thousandths, and of which currency. `None` without a price.
    pub(super) fn cost(&self, sent: &Sent) -> Option<(i64, &str)> {
        let (each, currency) = self.channels.get(usize::from(sent.channel))?.price.as_ref()?;
        Some((each.saturating_mul(i64::from(sent.parts)), currency))
    }

    /// What a message costs, and of which currency. `None` without a price.
    #[must_use]
    pub fn price(&self, sent: &Sent) -> Option<(f64, &str)> {
        self.cost(sent).map(|(cost, currency)| (money(cost), currency))
    }

    /// The item that a message is.
    #[must_use]
    pub fn item(&self, sent: &Sent) -> Option<&ItemOf> {
        self.item_of(sent.item)
    }

    /// Name of the variant that a message is.
    #[must_use]
    pub fn variant(&self, sent: &Sent) -> Option<&str> {
        self.variant_of(sent.item, sent.variant)
    }

    pub(super) fn variant_of(&self, item: u32, variant: u8) -> Option<&str> {
        let (_, item) = self.item_in_plan(self.item_of(item)?)?;
        Some(&item.variants.get(usize::from(variant).checked_sub(1)?)?.name)
    }

    pub(super) fn channel(&self, plan: u16, resource: &str) -> u16 {
        self.plans.get(usize::from(plan)).and_then(|p| p.channels.get(resource)).copied().unwrap_or(u16::MAX)
    }

    /// What is in force at `now`: until the first day asked for, what a store works by.
    pub(super) fn in_force(&self, plan: u16, now: Timestamp) -> Option<&Live> {
        let given = &self.plans.get(usize::from(plan))?.given;
        Some(given.before.as_ref().filter(|_| now < self.from).unwrap_or(&given.live))
    }

    pub(super) fn voice(&self, plan: u16, now: Timestamp) -> crate::engine::Voice {
        self.in_force(plan, now).map(|live| live.plan.voice()).unwrap_or_default()
    }

    /// Items that a behaviour names and no list has.
    #[must_use]
    pub fn unknown_items(&self, behaviour: &Behaviour) -> Vec<String> {
        let known = |name: &str| self.items.iter().any(|i| name.split_once('/') == Some((&i.list, &i.item)));
        behaviour.items.keys().filter(|name| !known(name)).cloned().collect()
    }

    /// Name of a funnel in the run: `namespace/name`.
    #[must_use]
    pub fn funnel(&self, number: u16) -> &str {
        self.plans.get(usize::from(number)).map_or("", |p| p.name.as_str())
    }

    /// The plan of a funnel in the run.
    #[must_use]
    pub fn plan(&self, number: u16) -> Option<&Plan> {
        self.plans.get(usize::from(number)).map(|p| &*p.live().plan)
    }

    /// Zone of days and hours: the first policy's.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        self.plan(0).map_or(TimeZone::UTC, |plan| plan.policy.time_zone.clone())
    }

    /// A moment as people read it, in that zone.
    pub(super) fn shown(&self, at: Timestamp) -> String {
        at.to_zoned(self.time_zone()).strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// Lives through it. `done` hears how many people are through, of how many.
    #[must_use]
    pub fn live(mut self, world: &World, done: &(dyn Fn(u64, u64) + Sync)) -> Outcome {
        self.schedule(world);
        let all = world.people.len() as u64;
        let Split { apart: mut tally, mut coupled, people } =
            each(world.people.len(), |person, split: &mut Split| self.alone(world, person, split), &|n| done(n, all));
        coupled.demand.sort_unstable();
        let mut held_up = vec![(0, 0); self.channels.len()];
        let mut limits = Limits::of(&self.channels);
        let mut longest = SignedDuration::ZERO;
        // Each message asks once, and none comes back for its moment: a copy's next one is another.
        for (message, (at, _, channel)) in (0..).map(CopyId).zip(&coupled.demand) {
            let slot = limits.reserve(*channel, message, *at);
            let late = slot.duration_since(*at);
            longest = longest.max(late);
            note(&mut held_up, *channel, late);
        }
        let wanted = self.wanted(&coupled.demand);
        // A budget that is reached couples everybody: who comes first gets it.
        let reached = self.reached(world, &coupled);
        let exact = !reached && (longest.is_zero() || world.deals.len() > SMALL && longest <= NEGLIGIBLE);
        if !exact {
            let mut limits =
                Limits { held_up: vec![(0, 0); self.channels.len()], money: world.spent.clone(), ..Limits::of(&self.channels) };
            coupled = self.together(world, people, &mut limits, done);
            held_up = limits.held_up;
        }
        tally.add(coupled);
        tally.sent.sort_unstable();
        Outcome { run: self, tally, held_up, wanted }
    }

    /// The busiest minute of each channel, of what was asked for in the order of time.
    fn wanted(&self, demand: &[(Timestamp, i64, u16)]) -> Vec<u64> {
        // The minute of each channel that is being counted, its messages, and the most so far.
        let mut minutes = vec![(i64::MIN, 0_u64, 0_u64); self.channels.len()];
        for (at, _, channel) in demand.iter().filter(|(at, ..)| *at >= self.from) {
            let Some((minute, count, most)) = minutes.get_mut(usize::from(*channel)) else { continue };
            let this = at.as_second().div_euclid(60);
            *count = if this == *minute { *count + 1 } else { 1 };
            *minute = this;
            *most = (*most).max(*count);
        }
        minutes.into_iter().map(|(.., most)| most).collect()
    }

    /// Whether any budget would have been too small for what everybody together would cost.
    fn reached(&self, world: &World, tally: &Tally) -> bool {
        let lives = self.plans.iter().flat_map(|plan| std::iter::once(&plan.given.live).chain(&plan.given.before));
        lives.map(|live| &live.plan.policy).any(|policy| {
            let Some(budget) = &policy.budget else { return false };
            let key = &policy.key;
            let theirs = |(period, _): &(&Period, &i64)| period.policy == *key && period.currency == budget.currency;
            tally.money.iter().filter(theirs).any(|(period, cost)| {
                let limit = if period.is_day() { budget.per_day } else { budget.per_month };
                limit.is_some_and(|limit| cost + world.spent.get(period).copied().unwrap_or(0) > limit)
            })
        })
    }

    /// One person, as if every channel had room.
    fn alone(&self, world: &World, person: u32, split: &mut Split) {
        let mut tally = Tally::default();
        let Some(mut life) = Life::begin(world, self, person) else { return split.apart.add(tally) };
        let mut free = Free::default();
        while let Some((at, _)) = life.next().filter(|(at, _)| *at < self.until) {
            life.step(self, at.max(self.start), &mut free, &mut tally);
        }
        life.end(self, &mut tally);
        if free.demand.is_empty() && free.money.is_empty() {
            // Whoever asks for no room takes none from anybody.
            return split.apart.add(tally);
        }
        tally.demand = free.demand;
        tally.money = free.money;
        split.coupled.add(tally);
        split.people.push(person);
    }

    /// These people in the order of time. All that a life does until it asks for room hangs on nobody else: that is lived, and what is
    /// asked for is foreseen, on all cores. Only the questions are put one after the other.
    fn together(&self, world: &World, mut people: Vec<u32>, limits: &mut Limits, done: &(dyn Fn(u64, u64) + Sync)) -> Tally {
        people.sort_unstable();
        let begin = |place: u32, sum: &mut Lives<Asleep>| {
            let life = people.get(place as usize).and_then(|person| Life::begin(world, self, *person));
            self.rest(life, self.start, sum);
        };
        let Lives { lives, mut tally } = each(people.len(), begin, &|_| ());
        let mut agenda: BinaryHeap<Reverse<Turn>> = lives.iter().map(|(turn, _)| Reverse(*turn)).collect();
        let mut asleep: HashMap<u32, Asleep> = lives.into_iter().map(|(turn, life)| (turn.2, life)).collect();
        let length = self.until.duration_since(self.start).as_secs().max(1).unsigned_abs();
        loop {
            let turns = std::iter::from_fn(|| agenda.pop()).take(AT_ONCE);
            let next: Vec<_> = turns.filter_map(|Reverse(turn)| Some((turn, asleep.remove(&turn.2)?))).collect();
            let Some(((at, ..), _)) = next.last() else { return tally };
            done(at.duration_since(self.start).as_secs().max(0).unsigned_abs(), length);
            let wake = |(turn, life): (Turn, Asleep), sum: &mut Lives<Life>| {
                if let Some(mut life) = life.wake(world, self, turn.2) {
                    life.asks(self, turn.0, &mut sum.tally);
                    sum.lives.push((turn, life));
                }
            };
            let woken = on_all_cores(next, wake);
            tally.add(woken.tally);
            let tired = self.turns(woken.lives.into(), limits, &mut tally);
            let rested = on_all_cores(tired, |(at, life), sum: &mut Lives<Asleep>| self.rest(Some(life), at, sum));
            tally.add(rested.tally);
            agenda.extend(rested.lives.iter().map(|(turn, _)| Reverse(*turn)));
            asleep.extend(rested.lives.into_iter().map(|(turn, life)| (turn.2, life)));
        }
    }

    /// A life goes on until it asks for room, and sleeps until that moment.
    fn rest(&self, life: Option<Life>, at: Timestamp, sum: &mut Lives<Asleep>) {
        let Some(mut life) = life else { return };
        match life.advance(self, at, &mut sum.tally) {
            Some((at, copy)) => sum.lives.push(((at, copy, life.person), life.sleep())),
            None => life.end(self, &mut sum.tally),
        }
    }

    /// These ask for room, one after the other. What is left of each goes on from there.
    fn turns(&self, mut called: VecDeque<(Turn, Life)>, limits: &mut Limits, tally: &mut Tally) -> Vec<(Timestamp, Life)> {
        let mut awake: HashMap<u32, (Timestamp, Life)> = HashMap::with_capacity(called.len());
        // Whoever had a turn may ask again before the rest of these: not earlier than that.
        let mut soon: BinaryHeap<Reverse<Turn>> = BinaryHeap::new();
        while let Some((first, _)) = called.front() {
            let again = soon.peek().is_some_and(|Reverse(turn)| turn < first);
            let due = if again {
                let again = soon.pop().and_then(|Reverse(turn)| awake.remove(&turn.2));
                let Some((at, mut life)) = again else { continue };
                let Some((at, copy)) = life.advance(self, at, tally) else {
                    life.end(self, tally);
                    continue;
                };
                let turn = (at, copy, life.person);
                // What the others in `soon` ask for may come before that, too.
                if turn > *first || soon.peek().is_some_and(|Reverse(other)| *other < turn) {
                    awake.insert(life.person, (at, life));
                    soon.push(Reverse(turn));
                    continue;
                }
                Some((turn, life))
            } else {
                called.pop_front()
            };
            let Some(((at, _, person), mut life)) = due else { continue };
            life.step(self, at, limits, tally);
            if let Some((next, copy)) = life.next().filter(|(next, _)| *next < self.until) {
                soon.push(Reverse((next.max(at), copy, person)));
                awake.insert(person, (at, life));
            } else {
                life.end(self, tally);
            }
        }
        awake.into_values().collect()
    }

    /// Who of those that wait in Backfill is admitted when: it hangs on nothing that happens meanwhile.
    fn schedule(&mut self, world: &World) {
        self.admissions = vec![HashMap::new(); self.plans.len()];
        let admits = |plan: &PlanOf| std::iter::once(&plan.given.live).chain(&plan.given.before).any(|l| l.plan.backfill.is_some());
        if !self.plans.iter().any(admits) {
            return;
        }
        let queues: Mutex<(Queue, Queue)> = Mutex::default();
        let this = &*self;
        each(
            world.people.len(),
            |person, tally: &mut Tally| {
                let Some(mut life) = Life::begin(world, this, person) else { return };
                let waiting = |life: &Life, fresh: bool| -> Vec<(u16, Reverse<i64>, i64)> {
                    let theirs = life.copies.iter().filter(|c| c.subject.copy.role == Role::Backfill && (fresh || !c.fresh));
                    let lost = |c: &One| c.subject.deal.stage_changed_at.map_or(0, Timestamp::as_millisecond);
                    theirs.map(|c| (c.plan, Reverse(lost(c)), c.subject.copy.id.0)).collect()
                };
                let early = waiting(&life, false);
                life.replan(this, this.from, tally);
                let late = waiting(&life, true);
                let mut queues = queues.lock().unwrap_or_else(PoisonError::into_inner);
                queues.0.extend(early);
                queues.1.extend(late);
            },
            &|_| (),
        );
        let (early, late) = queues.into_inner().unwrap_or_else(PoisonError::into_inner);
        for number in (0..u16::MAX).take(self.plans.len()) {
            let admitted = self.admitted(world, number, &early, &late);
            if let Some(of) = self.admissions.get_mut(usize::from(number)) {
                *of = admitted;
            }
        }
    }

    /// Until the first day asked for only those wait whom the store has; an edit may make others wait, and those who are new.
    fn admitted(&self, world: &World, number: u16, early: &Queue, late: &Queue) -> HashMap<i64, Timestamp> {
        let mut admissions = HashMap::new();
        let Some(plan) = self.plan(number) else { return admissions };
        let mut admitted: Admitted = world.stored.get(&plan.funnel).map(|s| s.admitted.clone()).unwrap_or_default();
        for (queue, mut now, until) in [(early, self.start, self.from), (late, self.from, self.until)] {
            let mut queue = queue.iter().filter(|(n, ..)| *n == number).peekable();
            let Some(live) = self.in_force(number, now) else { continue };
            let Some(backfill) = &live.plan.backfill else { continue };
            if live.plan.suspend || live.plan.policy.paused {
                continue;
            }
            let zone = &live.plan.policy.time_zone;
            while now < until && queue.peek().is_some() {
                let mut room = admitted.room(backfill, zone, now);
                while room > 0
                    && let Some((_, Reverse(lost), copy)) = queue.peek()
                {
                    let lost_at = Timestamp::from_millisecond(*lost).unwrap_or(Timestamp::UNIX_EPOCH);
                    if now > add_duration(lost_at, backfill.lost_within, zone) {
                        break;
                    }
                    if !admissions.contains_key(copy) {
                        admissions.insert(*copy, now);
                        admitted.count += 1;
                        room -= 1;
                    }
                    queue.next();
                }
                now += BACKFILL_EVERY;
            }
        }
        admissions
    }
}

/// New copies are numbered as a store numbers them: by the order of their deals, then of the funnels.
struct Numbers {
    /// The funnels, each with the connection that it reads.
    funnels: Vec<(Arc<Plan>, String)>,
    /// By plan of the run: its place among them.
    places: Vec<Option<usize>>,
    /// By deal: the number of its first copy.
    first: Vec<i64>,
    last: i64,
}

impl Numbers {
    /// Behind the copies that a store has.
    fn of(world: &World, funnels: Vec<(Arc<Plan>, String)>, places: Vec<Option<usize>>) -> Self {
        let stored = (0..world.deals.len()).filter_map(|n| u32::try_from(n).ok()).flat_map(|n| world.stored_copies(n));
        let last = stored.map(|s| s.copy.id.0).max().unwrap_or(0);
        Self::behind(last, world, funnels, places)
    }

    fn behind(last: i64, world: &World, funnels: Vec<(Arc<Plan>, String)>, places: Vec<Option<usize>>) -> Self {
        let mut numbers = Self { funnels, places, first: Vec::with_capacity(world.deals.len()), last };
        for deal in (0_u32..).take(world.deals.len()) {
            numbers.first.push(numbers.last + 1);
            numbers.last += i64::try_from(numbers.fresh(world, deal).count()).unwrap_or(0);
        }
        numbers
    }

    /// Places of the funnels that copy a deal for the first time.
    fn fresh<'r>(&'r self, world: &'r World, deal: u32) -> impl Iterator<Item = usize> + 'r {
        let slot = world.deals.get(deal as usize);
        let connection = slot.and_then(|slot| world.connections.get(usize::from(slot.connection)));
        let pipeline = slot.zip(connection).and_then(|(s, c)| c.pipelines.get(usize::from(s.pipeline))).map_or("", String::as_str);
        let stored = world.stored_copies(deal);
        self.funnels.iter().enumerate().filter_map(move |(place, (plan, source))| {
            let theirs = connection.is_some_and(|c| c.key == *source) && in_pipeline(plan, pipeline);
            let there = stored.iter().any(|s| s.copy.funnel == plan.funnel);
            (theirs && !there).then_some(place)
        })
    }

    fn number(&self, world: &World, plan: usize, deal: u32) -> Option<CopyId> {
        let place = (*self.places.get(plan)?)?;
        let nth = self.fresh(world, deal).position(|fresh| fresh == place)?;
        Some(CopyId(self.first.get(deal as usize)? + i64::try_from(nth).ok()?))
    }
}

/// As many lives are awake at the same time where everybody waits for room: enough to keep all cores at work, some megabytes.
const AT_ONCE: usize = 1024;

/// When, which copy, whose.
type Turn = (Timestamp, CopyId, u32);

/// Those who have something before them, and what is told of the others.
struct Lives<L> {
    lives: Vec<(Turn, L)>,
    tally: Tally,
}

impl<L> Default for Lives<L> {
    fn default() -> Self {
        Self { lives: Vec::new(), tally: Tally::default() }
    }
}

impl<L: Send> Sum for Lives<L> {
    fn add(&mut self, mut other: Self) {
        self.lives.append(&mut other.lives);
        self.tally.add(other.tally);
    }
}

/// Who waits for backfill: by plan, who was lost last comes first.
type Queue = BTreeSet<(u16, Reverse<i64>, i64)>;

/// Who lived alone: those who asked for no room in any channel, and those who did and may have been in each other's way.
#[derive(Default)]
struct Split {
    apart: Tally,
    coupled: Tally,
    people: Vec<u32>,
}

/// What several cores found, put together.
trait Sum: Default + Send {
    fn add(&mut self, other: Self);
}

impl Sum for Split {
    fn add(&mut self, mut other: Self) {
        self.apart.add(other.apart);
        self.coupled.add(other.coupled);
        self.people.append(&mut other.people);
    }
}

impl Sum for Tally {
    fn add(&mut self, other: Self) {
        Self::add(self, other);
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Does `one` with all of them on all cores. What comes out has their order.
fn on_all_cores<T: Send, S: Sum>(mut items: Vec<T>, one: impl Fn(T, &mut S) + Sync) -> S {
    let share = items.len().div_ceil(cores()).max(1);
    let work = |part: Vec<T>| {
        let mut sum = S::default();
        for item in part {
            one(item, &mut sum);
        }
        sum
    };
    std::thread::scope(|scope| {
        let work = &work;
        let mut others = Vec::new();
        while items.len() > share {
            let part = items.split_off(items.len() - share);
            others.push(scope.spawn(move || work(part)));
        }
        let mut sum = work(items);
        for other in others.into_iter().rev() {
            match other.join() {
                Ok(found) => sum.add(found),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        sum
    })
}

/// Runs `one` for every number below `count`, on all cores.
fn each<S: Sum>(count: usize, one: impl Fn(u32, &mut S) + Sync, done: &(dyn Fn(u64) + Sync)) -> S {
    const CHUNK: usize = 256;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut sum = S::default();
        loop {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed);
            if from >= count {
                return sum;
            }
            for number in from..(from + CHUNK).min(count) {
                one(u32::try_from(number).unwrap_or(u32::MAX), &mut sum);
            }
            done(from as u64);
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores()).map(|_| scope.spawn(work)).collect();
        let mut sum = work();
        for other in others {
            match other.join() {
                Ok(found) => sum.add(found),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        sum
    })
}

/// Room and money for everybody; remembers who came when, and what it would cost.
#[derive(Default)]
struct Free {
    demand: Vec<(Timestamp, i64, u16)>,
    money: BTreeMap<Period, i64>,
}

impl Gate for Free {
    fn reserve(&mut self, channel: u16, copy: CopyId, now: Timestamp) -> Timestamp {
        self.demand.push((now, copy.0, channel));
        now
    }

    fn spent(&self, _: &Run, _: u16, _: Timestamp) -> Spent {
        Spent::default()
    }

    fn charge(&mut self, charge: &Charge, _: Timestamp) {
        count(&mut self.money, charge);
    }
}

/// The workers' own limiters.
struct Limits {
    limiters: Vec<Limiter>,
    held_up: Vec<(u64, i64)>,
    money: BTreeMap<Period, i64>,
}

impl Limits {
    fn of(channels: &[ChannelOf]) -> Self {
        let limiters = channels.iter().map(|c| Limiter::new(c.per_second, c.burst)).collect();
        Self { limiters, held_up: Vec::new(), money: BTreeMap::new() }
    }
}

impl Gate for Limits {
    fn reserve(&mut self, channel: u16, copy: CopyId, now: Timestamp) -> Timestamp {
        let Some(limiter) = self.limiters.get(usize::from(channel)) else { return now };
        let at = limiter.reserve(copy, now);
        note(&mut self.held_up, channel, at.duration_since(now));
        at
    }

    fn spent(&self, run: &Run, plan: u16, now: Timestamp) -> Spent {
        let Some(plan) = run.in_force(plan, now).map(|live| &live.plan) else { return Spent::default() };
        let Some(budget) = &plan.policy.budget else { return Spent::default() };
        let (day, month) = periods(&plan.policy.time_zone, now);
        let of = |period| {
            let key = Period { policy: plan.policy.key.clone(), currency: budget.currency.clone(), period };
            self.money.get(&key).copied().unwrap_or(0)
        };
        Spent { day: of(day), month: of(month) }
    }

    fn charge(&mut self, charge: &Charge, _: Timestamp) {
        count(&mut self.money, charge);
    }
}

fn count(money: &mut BTreeMap<Period, i64>, charge: &Charge) {
    for (period, _) in charge.periods() {
        *money.entry(period).or_default() += charge.cost;
    }
}

fn note(held_up: &mut [(u64, i64)], channel: u16, late: SignedDuration) {
    if let Some((times, longest)) = held_up.get_mut(usize::from(channel)).filter(|_| late > SignedDuration::ZERO) {
        *times += 1;
        *longest = (*longest).max(i64::try_from(late.as_millis()).unwrap_or(i64::MAX));
    }
}

/// Where the deals of each funnel come from.
#[must_use]
pub fn sources<'p>(plans: impl Iterator<Item = &'p Plan>) -> BTreeMap<FunnelKey, String> {
    plans.map(|plan| (plan.funnel.clone(), connection_key(plan))).collect()
}
