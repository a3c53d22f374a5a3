//! One person through all of the simulated time: the copies of their deals, decided as the workers decide them.

use super::{
    behaviour::{ANSWER, Act},
    run::Run,
    tally::{Ahead, Earlier, Tally, Way},
    waiting::Waiting,
    world::{Known, KnownDeal, World},
};
use crate::{
    content,
    engine::{
        CycleChange, CycleEnd, Decision, Effect, EffectKind, Event, History, LedgerEntry, Recent, Sibling, Spent, Subject,
        admit_backfill, decide, zone_of,
    },
    model::{
        AddressHash, ClientId, CopyId, DealState, EffectStatus, PostponeReason, Purpose, Role, SkipReason, Suppression,
        SuppressionReason, SuppressionScope, shard_of,
    },
    store::{Charge, RECENT, item_name, up_to_ms, with_state},
    workers::{Live, charge, context_of, decide_within, fresh},
};
use jiff::{Timestamp, civil};
use std::{collections::HashMap, panic::AssertUnwindSafe};

/// Lists of one way that are kept apart: as many as a picture can show beside each other.
const MOST_LISTS: usize = 4;

/// Decisions at one moment for one person, after which something goes round in a circle.
const MOST_ROUNDS: usize = 1000;

/// What stands between a message and its leaving, beside what the engine knows of its client.
pub(super) trait Gate {
    /// When a channel has room for it.
    fn reserve(&mut self, channel: u16, copy: CopyId, now: Timestamp) -> Timestamp;
    /// What the budget of a plan's policy has spent.
    fn spent(&self, run: &Run, plan: u16, now: Timestamp) -> Spent;
    /// Counts a message; a negative cost gives back.
    fn charge(&mut self, charge: &Charge, now: Timestamp);
}

/// No budget that anybody shares.
struct Unbounded;

impl Gate for Unbounded {
    fn reserve(&mut self, _: u16, _: CopyId, now: Timestamp) -> Timestamp {
        now
    }

    fn spent(&self, _: &Run, _: u16, _: Timestamp) -> Spent {
        Spent::default()
    }

    fn charge(&mut self, _: &Charge, _: Timestamp) {}
}

/// The parts of a message, or why it cannot be written.
type Measured = Result<u16, SkipReason>;

/// Whether a decision's message may leave, and what it was counted for.
enum Turn {
    Nothing,
    Free(Measured, Option<Charge>),
    At(Timestamp),
}

/// What timers decided at a moment that had not come yet, for whoever is in a hurry then.
pub(super) struct Foreseen {
    at: Timestamp,
    /// By copy's place.
    decided: Vec<(usize, Option<Decision>, Option<Measured>)>,
}

pub(super) struct Life {
    pub person: u32,
    pub copies: Vec<One>,
    /// The person's copies in funnels that are not simulated.
    pub elsewhere: Vec<Sibling>,
    pub recent: Vec<Recent>,
    pub suppressions: Vec<Suppression>,
    pub acts: Vec<(Timestamp, usize, Act)>,
    pub foreseen: Option<Foreseen>,
}

/// A copy in the run; `()` in the place of its subject while it sleeps.
pub(super) struct One<S = Subject> {
    /// Index of the plan in the run.
    pub plan: u16,
    pub deal: u32,
    pub subject: S,
    pub first: Role,
    /// Numbers of the lists it was warmed by, as a [`Way`] has them.
    pub lists: Vec<u32>,
    pub waiting: Option<Waiting>,
    pub contacted: bool,
    pub clicked: bool,
    /// The client said no, as their manager tells.
    pub declined: bool,
    pub admit_at: Option<Timestamp>,
    /// When the folder's plan is published to it, if a store has another.
    pub replan_at: Option<Timestamp>,
    /// Not in the store: it begins when the folder's plans are published.
    pub fresh: bool,
    /// Conditions that had no answer at first sight.
    pub unanswered: Box<[(String, String)]>,
}

impl<T> One<T> {
    /// The same with another subject, and the one it had.
    pub fn with<U>(self, subject: U) -> (One<U>, T) {
        let Self { plan, deal, subject: old, first, lists, waiting, contacted, clicked, .. } = self;
        let Self { declined, admit_at, replan_at, fresh, unanswered, .. } = self;
        let new = One {
            plan,
            deal,
            subject,
            first,
            lists,
            waiting,
            contacted,
            clicked,
            declined,
            admit_at,
            replan_at,
            fresh,
            unanswered,
        };
        (new, old)
    }

    fn enter(&mut self, list: u32, tally: &mut Tally) {
        if self.lists.last() == Some(&list) {
            return;
        }
        tally.entered.insert(list);
        if self.lists.len() == MOST_LISTS {
            self.lists.pop();
        }
        if self.lists.last() != Some(&list) {
            self.lists.push(list);
        }
    }

    /// Whether it is there already.
    fn here(&self, run: &Run, now: Timestamp) -> bool {
        !self.fresh || now >= run.from
    }
}

impl Life {
    /// The person at the beginning: copies as the store has them, or as a first look at the deals makes them.
    pub fn begin(world: &World, run: &Run, person: u32) -> Option<Self> {
        let known = world.person(person)?;
        let mut life = Self {
            person,
            copies: Vec::new(),
            elsewhere: Vec::new(),
            recent: Vec::new(),
            suppressions: Vec::new(),
            acts: Vec::new(),
            foreseen: None,
        };
        let mut met = false;
        for deal in &known.deals {
            let Some(connection) = world.connections.get(usize::from(deal.connection)) else { continue };
            let stored = world.stored_copies(deal.index);
            for (number, one) in (0_u16..).zip(&run.plans) {
                if one.connection != connection.key {
                    continue;
                }
                let Some(mut subject) = Self::subject(world, run, &known, deal, number) else { continue };
                let plan = &one.live().plan;
                let mut unanswered = Vec::new();
                let fresh = if let Some(there) = stored.iter().find(|s| s.copy.funnel == plan.funnel) {
                    subject.copy = there.copy.clone();
                    subject.ledger.clone_from(&there.ledger);
                    life.meet(&there.client, !std::mem::replace(&mut met, true));
                    false
                } else {
                    let Some(id) = run.first_id(world, number, deal.index) else { continue };
                    // Nobody has been identified when a deal is looked at for the first time.
                    let client = std::mem::take(&mut subject.client);
                    let decision = decide(plan, &subject, &Event::Deal { old: None }, run.from);
                    subject.client = client;
                    unanswered = decision.unanswered;
                    subject.copy = decision.copy;
                    subject.copy.id = id;
                    subject.copy.client = deal.client;
                    subject.copy.shard = shard_of(deal.client);
                    subject.copy.ver = 1;
                    subject.copy.next_at = subject.copy.next_at.map(up);
                    true
                };
                let list = subject.copy.state.journey.as_ref().and_then(|j| run.list(number, &j.list));
                let first = subject.copy.role;
                let waiting = Waiting::stored(run, number, &subject.copy).filter(|_| !fresh);
                let admit_at = run.admission(number, subject.copy.id);
                let replan_at = (!fresh && one.replans()).then_some(run.from);
                let (contacted, clicked) = heard(&subject);
                life.copies.push(One {
                    plan: number,
                    deal: deal.index,
                    subject,
                    first,
                    lists: list.into_iter().collect(),
                    waiting,
                    contacted,
                    clicked,
                    declined: false,
                    admit_at,
                    replan_at,
                    fresh,
                    unanswered: unanswered.into(),
                });
            }
        }
        life.copies.sort_by_key(|c| c.subject.copy.id);
        (!life.copies.is_empty()).then_some(life)
    }

    /// One of the person's deals in a plan, before anything happened: whose it is and who may be told.
    pub fn subject(world: &World, run: &Run, known: &Known, deal: &KnownDeal, plan: u16) -> Option<Subject> {
        let connection = world.connections.get(usize::from(deal.connection))?;
        let live = run.plans.get(usize::from(plan))?.live();
        let stored = world.stored_copies(deal.index);
        let mut subject = fresh(live, &deal.deal, deal.contact.as_ref(), &connection.managers, run.start);
        let there = stored.iter().find(|s| s.copy.funnel == live.plan.funnel);
        match there.or(stored.first()) {
            Some(there) => subject.client = there.client.clone(),
            None => subject.client = known.client(deal.contact.as_ref()),
        }
        Some(subject)
    }

    /// What a store knows of the person: from the first copy that it has, whatever new funnel stands before it.
    fn meet(&mut self, client: &crate::engine::Client, first: bool) {
        if first {
            self.recent.clone_from(&client.recent);
            self.suppressions.clone_from(&client.suppressions);
        }
        for sibling in &client.siblings {
            if !self.elsewhere.iter().any(|s| s.copy == sibling.copy) {
                self.elsewhere.push(sibling.clone());
            }
        }
    }

    /// The next moment at which anything happens, and the copy whose turn it is.
    pub fn next(&self) -> Option<(Timestamp, CopyId)> {
        let copies = self.copies.iter().flat_map(|c| {
            let id = c.subject.copy.id;
            [c.subject.copy.next_at, c.admit_at, c.replan_at].into_iter().flatten().map(move |at| (at, id))
        });
        let acts = self.acts.iter().map(|(at, ..)| (*at, CopyId(0)));
        copies.chain(acts).min()
    }

    /// Everything that happens at `now`: what people did, who is admitted, whose moment has come.
    pub fn step(&mut self, run: &Run, now: Timestamp, gate: &mut dyn Gate, tally: &mut Tally) {
        for _ in 0..MOST_ROUNDS {
            let due = self.due(run, now, tally);
            if due.is_empty() {
                return;
            }
            // A batch is decided on what was known before it.
            let mut foreseen =
                self.foreseen.take().filter(|foreseen| foreseen.at == now).map(|foreseen| foreseen.decided).unwrap_or_default();
            let mut decided = Vec::with_capacity(due.len());
            for i in due {
                let known = foreseen.iter().position(|(place, ..)| *place == i).map(|at| foreseen.swap_remove(at));
                let (decision, measured) = match known {
                    Some((_, decision, measured)) => (decision, measured),
                    None => (self.decision(run, i, &Event::Timer, now, Some(&*gate)), None),
                };
                let turn = decision.as_ref().map_or(Turn::Nothing, |decision| self.turn(run, i, decision, measured, now, gate));
                decided.push((i, decision, turn));
            }
            let mut advertised: HashMap<AddressHash, usize> = HashMap::new();
            for (i, decision, turn) in decided {
                match decision {
                    Some(decision) => self.take_turn(run, i, decision, turn, now, &mut advertised, gate, tally),
                    None => self.set_aside(i, tally),
                }
            }
        }
        self.set_rest_aside(now, tally);
    }

    /// What is done at `now` before any timer, and the copies whose timers come then, in their order.
    fn due(&mut self, run: &Run, now: Timestamp, tally: &mut Tally) -> Vec<usize> {
        if self.copies.iter().any(|c| c.replan_at.is_some_and(|at| at <= now)) {
            self.replan(run, now, tally);
        }
        self.act(run, now, tally);
        for i in 0..self.copies.len() {
            if self.copies.get(i).is_some_and(|c| c.admit_at.is_some_and(|at| at <= now)) {
                self.admit(run, i, now, tally);
            }
        }
        let due = self.copies.iter().enumerate();
        let mut due: Vec<(Timestamp, CopyId, usize)> =
            due.filter_map(|(i, c)| Some((c.subject.copy.next_at.filter(|at| *at <= now)?, c.subject.copy.id, i))).collect();
        due.sort_unstable();
        due.into_iter().map(|(.., i)| i).collect()
    }

    /// Lives on until it asks for room, at `now` or later: whatever comes before hangs on nobody else. Then it has foreseen what its
    /// timers decide, and the next [`step`](Self::step) asks. What a budget bounds, which everybody spends, is decided there again.
    pub fn advance(&mut self, run: &Run, mut now: Timestamp, tally: &mut Tally) -> Option<(Timestamp, CopyId)> {
        loop {
            let (at, copy) = self.next().filter(|(at, _)| *at < run.until)?;
            now = now.max(at);
            let foreseen = self.foreseen.as_ref().is_some_and(|foreseen| foreseen.at == now);
            if foreseen || self.asks(run, now, tally) {
                return Some((now, copy));
            }
        }
    }

    /// All of a moment, unless room is asked for in it.
    pub fn asks(&mut self, run: &Run, now: Timestamp, tally: &mut Tally) -> bool {
        for _ in 0..MOST_ROUNDS {
            let due = self.due(run, now, tally);
            if due.is_empty() {
                return false;
            }
            let decide = |i| {
                let decision = self.decision(run, i, &Event::Timer, now, Some(&Unbounded));
                let measured = decision.as_ref().and_then(|decision| self.measured(run, i, decision, now));
                (i, decision, measured)
            };
            let mut decided: Vec<_> = due.into_iter().map(decide).collect();
            let hangs = |(i, decision, measured): &(usize, Option<Decision>, Option<Measured>)| {
                // Money is asked for before the window: what waits for this one may find none.
                let waits = decision.as_ref().is_some_and(|decision| decision.copy.state.waiting.is_some());
                measured.is_some() || waits && self.is_bounded(run, *i, now)
            };
            if decided.iter().any(hangs) {
                decided.retain(|(i, ..)| !self.is_bounded(run, *i, now));
                self.foreseen = Some(Foreseen { at: now, decided });
                return true;
            }
            for (i, decision, _) in decided {
                match decision {
                    Some(decision) => self.apply(run, i, decision, None, now, tally),
                    None => self.set_aside(i, tally),
                }
            }
        }
        self.set_rest_aside(now, tally);
        false
    }

    /// Whether a budget bounds what the copy may send.
    fn is_bounded(&self, run: &Run, i: usize, now: Timestamp) -> bool {
        let live = self.copies.get(i).and_then(|one| run.in_force(one.plan, now));
        live.is_some_and(|live| live.plan.policy.budget.is_some())
    }

    /// What goes round in a circle at one moment rests.
    fn set_rest_aside(&mut self, now: Timestamp, tally: &mut Tally) {
        for i in 0..self.copies.len() {
            if self.copies.get(i).is_some_and(|c| c.subject.copy.next_at.is_some_and(|at| at <= now)) {
                self.set_aside(i, tally);
            }
        }
    }

    /// How many parts the decision's message has.
    fn measured(&self, run: &Run, i: usize, decision: &Decision, now: Timestamp) -> Option<Measured> {
        let (.., variant, effect) = message_of(decision)?;
        let one = self.copies.get(i)?;
        Some(measure(run, run.in_force(one.plan, now)?, &one.subject, effect, variant))
    }

    /// The folder's plans are published: copies that another one led here look again.
    pub fn replan(&mut self, run: &Run, now: Timestamp, tally: &mut Tally) {
        for i in 0..self.copies.len() {
            if self.copies.get_mut(i).is_some_and(|c| c.replan_at.take().is_some()) {
                self.decide(run, i, &Event::Replan, now, tally);
            }
        }
    }

    fn set_aside(&mut self, i: usize, tally: &mut Tally) {
        if let Some(one) = self.copies.get_mut(i) {
            one.subject.copy.next_at = None;
            tally.failed += 1;
        }
    }

    fn decision(&mut self, run: &Run, i: usize, event: &Event, now: Timestamp, gate: Option<&dyn Gate>) -> Option<Decision> {
        self.refresh(run, i, now);
        let one = self.copies.get_mut(i)?;
        let live = run.in_force(one.plan, now)?;
        // As in the workers, only the timer's pass knows what is left: nobody else sends.
        one.subject.spent = gate.map(|gate| gate.spent(run, one.plan, now)).unwrap_or_default();
        one.subject.priced.clear();
        let subject = &mut one.subject;
        std::panic::catch_unwind(AssertUnwindSafe(|| decide_within(live, subject, event, now, Some(&run.base_url)))).ok()
    }

    /// Decides an event that sends nothing, and takes the decision over.
    fn decide(&mut self, run: &Run, i: usize, event: &Event, now: Timestamp, tally: &mut Tally) {
        match self.decision(run, i, event, now, None) {
            Some(decision) => self.apply(run, i, decision, None, now, tally),
            None => self.set_aside(i, tally),
        }
    }

    fn admit(&mut self, run: &Run, i: usize, now: Timestamp, tally: &mut Tally) {
        self.refresh(run, i, now);
        let Some(one) = self.copies.get_mut(i) else { return };
        one.admit_at = None;
        let Some(live) = run.in_force(one.plan, now) else { return };
        let decision = admit_backfill(&live.plan, &one.subject, now);
        if decision.copy.role != Role::Backfill {
            self.apply(run, i, decision, None, now, tally);
        }
    }

    /// What the copy's person looks like at this moment.
    fn refresh(&mut self, run: &Run, i: usize, now: Timestamp) {
        let mut siblings = self.elsewhere.clone();
        for (n, other) in self.copies.iter().enumerate() {
            siblings.retain(|s| s.copy != other.subject.copy.id);
            let copy = &other.subject.copy;
            if n != i && copy.role != Role::Archived && other.here(run, now) {
                let sibling = Sibling {
                    copy: copy.id,
                    funnel: copy.funnel.clone(),
                    role: copy.role,
                    deal_open: other.subject.deal.state == DealState::Open,
                    cycle_at: None,
                    speaks: false,
                    heard_at: None,
                    says: None,
                    voice: run.voice(other.plan, now),
                };
                siblings.push(with_state(sibling, &copy.state, other.subject.deal.last_activity_at));
            }
        }
        siblings.sort_by_key(|s| s.copy);
        self.recent.retain(|r| now.duration_since(r.at) <= RECENT);
        let Some(one) = self.copies.get_mut(i) else { return };
        one.subject.crm_read_at = Some(now);
        let client = &mut one.subject.client;
        client.siblings = siblings;
        client.suppressions.clone_from(&self.suppressions);
        client.recent = self.recent.iter().filter(|r| client.addresses.iter().any(|k| k.hash == r.address)).cloned().collect();
    }

    /// Whether the decision's message finds room in its channel; if so it is counted.
    fn turn(
        &self,
        run: &Run,
        i: usize,
        decision: &Decision,
        measured: Option<Measured>,
        now: Timestamp,
        gate: &mut dyn Gate,
    ) -> Turn {
        let (Some((channel, purpose, ..)), Some(one)) = (message_of(decision), self.copies.get(i)) else { return Turn::Nothing };
        let at = gate.reserve(run.channel(one.plan, channel), one.subject.copy.id, now);
        if at > now {
            return Turn::At(at);
        }
        let Some(live) = run.in_force(one.plan, now) else { return Turn::Nothing };
        let Some(measured) = measured.or_else(|| self.measured(run, i, decision, now)) else { return Turn::Nothing };
        let charge = measured.as_ref().ok().and_then(|parts| charge(&live.plan, channel, purpose, u32::from(*parts), now));
        if let Some(charge) = &charge {
            gate.charge(charge, now);
        }
        Turn::Free(measured, charge)
    }

    /// A timer's decision: its message needs room in its channel, and two copies do not write to one address unseen by each other.
    #[allow(clippy::too_many_arguments)]
    fn take_turn(
        &mut self,
        run: &Run,
        i: usize,
        decision: Decision,
        turn: Turn,
        now: Timestamp,
        advertised: &mut HashMap<AddressHash, usize>,
        gate: &mut dyn Gate,
        tally: &mut Tally,
    ) {
        let mut measured = None;
        if let Some((_, purpose, _, effect)) = message_of(&decision) {
            let Some(one) = self.copies.get_mut(i) else { return };
            if let Turn::At(at) = turn {
                let item = run.index(one.plan, &effect.key.list, &effect.key.item);
                one.subject.copy.next_at = Some(up(at));
                one.subject.copy.state.waiting = Some(PostponeReason::RateLimited);
                one.wait(item, PostponeReason::RateLimited, now, run, tally);
                return;
            }
            let refused = purpose == Purpose::Advertising && *advertised.entry(effect.key.recipient.clone()).or_insert(i) != i;
            if let Turn::Free(parts, charge) = turn {
                if refused && let Some(charge) = charge {
                    // As the store refuses it: nothing of it was written down, or counted.
                    gate.charge(&Charge { cost: -charge.cost, ..charge }, now);
                }
                measured = Some(parts);
            }
            if refused {
                return;
            }
        }
        self.apply(run, i, decision, measured, now, tally);
    }

    /// Takes a decision over. `measured`: of its message, where that is known already.
    fn apply(
        &mut self,
        run: &Run,
        i: usize,
        decision: Decision,
        mut measured: Option<Measured>,
        now: Timestamp,
        tally: &mut Tally,
    ) {
        let Some(one) = self.copies.get_mut(i) else { return };
        let Some(live) = run.in_force(one.plan, now) else { return };
        let (id, client, shard, ver) = (one.subject.copy.id, one.subject.copy.client, one.subject.copy.shard, one.subject.copy.ver);
        one.subject.copy = decision.copy;
        let copy = &mut one.subject.copy;
        (copy.id, copy.client, copy.shard, copy.ver) = (id, client, shard, ver + 1);
        copy.next_at = copy.next_at.map(up);
        one.declined |= decision.cycle.iter().any(|change| matches!(change, CycleChange::End { how: CycleEnd::Refused, .. }));
        if let Some(list) = copy.state.journey.as_ref().and_then(|journey| run.list(one.plan, &journey.list)) {
            one.enter(list, tally);
        }
        note_unanswered(one.plan, decision.unanswered, tally);
        for line in &decision.history {
            if let History::Postponed { item, why, .. } = line {
                let list = one.subject.copy.state.journey.as_ref().map_or("", |journey| &journey.list);
                one.wait(run.index(one.plan, list, item), *why, now, run, tally);
            }
        }
        // History tells once that a message waits for money. When its turn comes again, it may be the month's that is gone.
        let for_money = now >= run.from && one.subject.copy.state.waiting == Some(PostponeReason::BudgetReached);
        if for_money && let Some(item) = one.waits_for(PostponeReason::BudgetReached).and_then(|item| run.item_of(item)) {
            tally.budgets.entry(one.plan).or_default().note(&live.plan, &one.subject, &item.list, &item.item, now);
        }
        let mut rows: Vec<(Effect, EffectStatus, u16)> = Vec::with_capacity(decision.effects.len());
        for mut effect in decision.effects {
            if one.subject.ledger.iter().any(|row| row.key == effect.key) {
                continue;
            }
            let (status, parts) = match &effect.kind {
                EffectKind::Message { variant, .. } => {
                    let measured = measured.take();
                    match measured.unwrap_or_else(|| measure(run, live, &one.subject, &effect, variant.as_deref())) {
                        Ok(parts) => (EffectStatus::Accepted, parts),
                        Err(reason) => {
                            effect.kind = EffectKind::Skip { reason };
                            (EffectStatus::Skipped, 0)
                        }
                    }
                }
                EffectKind::Skip { .. } => (EffectStatus::Skipped, 0),
                EffectKind::Observed { .. } => continue,
                _ => (EffectStatus::Accepted, 0),
            };
            rows.push((effect, status, parts));
        }
        for (effect, status, parts) in rows {
            self.write(run, i, effect, status, parts, now, tally);
        }
        // Whoever was revived, for one, waits for nothing any more.
        if let Some(one) = self.copies.get_mut(i).filter(|one| one.subject.copy.state.waiting.is_none()) {
            one.end_wait(now, run, tally);
        }
    }

    /// One effect into the ledger, and what follows from it.
    #[allow(clippy::too_many_arguments)]
    fn write(&mut self, run: &Run, i: usize, effect: Effect, status: EffectStatus, parts: u16, now: Timestamp, tally: &mut Tally) {
        let Some(one) = self.copies.get_mut(i) else { return };
        let Some((plan, live)) = run.plans.get(usize::from(one.plan)).zip(run.in_force(one.plan, now)) else { return };
        let copy = one.subject.copy.id;
        let mut entry = LedgerEntry {
            key: effect.key.clone(),
            seq: effect.seq,
            status,
            at: now,
            variant: None,
            clicked_at: None,
            opened: false,
            reason: None,
        };
        let counted = now >= run.from;
        match effect.kind {
            EffectKind::Message { channel, medium, purpose, variant, .. } => {
                let number = variant_number(live, &effect.key.list, &effect.key.item, variant.as_deref());
                entry.variant = variant;
                let item = run.index(one.plan, &effect.key.list, &effect.key.item);
                one.contacted = true;
                one.sent(now, run, tally);
                self.recent.push(Recent {
                    at: now,
                    medium,
                    purpose,
                    item: item_name(&live.plan.funnel.namespace, &effect.key.list, &effect.key.item),
                    copy,
                    policy: Some(live.plan.policy.key.clone()),
                    address: effect.key.recipient.clone(),
                });
                if counted {
                    tally.sent.push(super::tally::Sent {
                        at: now,
                        copy: copy.0,
                        deal: one.deal,
                        person: self.person,
                        item,
                        channel: run.channel(one.plan, &channel),
                        parts: u8::try_from(parts).unwrap_or(u8::MAX),
                        variant: number,
                        cycle: effect.key.cycle,
                        local_day: day_number(zone_of(&live.plan, &one.subject).to_datetime(now).date()),
                    });
                }
                if let Some(behaviour) = &run.behaviour {
                    let name = format!("{}/{}", effect.key.list, effect.key.item);
                    let cycle = effect.key.cycle.to_be_bytes();
                    let who: [&[u8]; 4] = [plan.name.as_bytes(), one.subject.deal.id.as_bytes(), name.as_bytes(), &cycle];
                    let mut acts = behaviour.reactions(run.seed, &who, &name, medium, effect.seq, now);
                    acts.retain(|(_, act)| !matches!(act, Act::Click { .. }) || clickable(live, &one.subject, &entry));
                    self.acts.extend(acts.into_iter().map(|(at, act)| (at, i, act)));
                }
            }
            EffectKind::Skip { reason } => {
                entry.reason = Some(reason.as_str().into());
                one.end_wait(now, run, tally);
                if counted {
                    let item = run.index(one.plan, &effect.key.list, &effect.key.item);
                    *tally.skips.entry((item, reason.as_str())).or_default() += 1;
                    if reason == SkipReason::BudgetReached {
                        let ran_out = tally.budgets.entry(one.plan).or_default();
                        ran_out.left_out += 1;
                        ran_out.note(&live.plan, &one.subject, &effect.key.list, &effect.key.item, now);
                    }
                }
            }
            ref other => {
                let word = match other {
                    EffectKind::Task { .. } => "tasks",
                    EffectKind::Comment { .. } => "comments",
                    EffectKind::Notify { .. } => "notifications",
                    _ => "moves",
                };
                if counted {
                    *tally.effects.entry((one.plan, word)).or_default() += 1;
                }
                if let (Some(behaviour), EffectKind::Task { .. }) = (&run.behaviour, other)
                    && effect.key.item.starts_with("clicked-")
                {
                    let who: [&[u8]; 3] = [plan.name.as_bytes(), one.subject.deal.id.as_bytes(), effect.key.item.as_bytes()];
                    self.acts.extend(behaviour.task(run.seed, &who, now).map(|(at, act)| (at, i, act)));
                }
            }
        }
        if let Some(one) = self.copies.get_mut(i) {
            one.subject.ledger.push(entry);
        }
    }

    /// What people do about what they got.
    fn act(&mut self, run: &Run, now: Timestamp, tally: &mut Tally) {
        loop {
            let due = self.acts.iter().enumerate().filter(|(_, (at, ..))| *at <= now);
            let Some((place, _)) = due.min_by_key(|(n, (at, ..))| (*at, *n)) else { return };
            let (at, i, act) = self.acts.remove(place);
            let Some(one) = self.copies.get_mut(i) else { continue };
            let counted = u64::from(now >= run.from);
            match act {
                Act::Click { seq } => {
                    tally.clicks += counted;
                    one.clicked = true;
                    for entry in one.subject.ledger.iter_mut().filter(|e| e.seq == seq) {
                        entry.clicked_at.get_or_insert(at);
                        entry.opened = true;
                    }
                    self.decide(run, i, &Event::Click { seq, link: 0, at }, now, tally);
                }
                Act::Answer => {
                    tally.answers += counted;
                    let order = std::iter::once(i).chain((0..self.copies.len()).filter(|n| *n != i));
                    let here = |n: &usize| self.copies.get(*n).is_some_and(|c| c.here(run, now));
                    for n in order.filter(here).collect::<Vec<_>>() {
                        let event = Event::Signal { kind: ANSWER, at, direct: n == i, reaction: None };
                        self.decide(run, n, &event, now, tally);
                    }
                }
                Act::TaskClosed(reaction) => {
                    let kind = crate::model::SignalKind::TaskClosed;
                    let event = Event::Signal { kind, at, direct: true, reaction: Some(reaction) };
                    self.decide(run, i, &event, now, tally);
                }
                Act::Unsubscribe => {
                    tally.unsubscribed += counted;
                    let Some(live) = run.in_force(one.plan, now) else { continue };
                    let brand = live.plan.policy.brand.clone();
                    self.suppressions.push(Suppression {
                        scope: SuppressionScope::Client(one.subject.client.id.unwrap_or(ClientId(0))),
                        brand: Some(brand.clone()),
                        medium: None,
                        purpose: Some(Purpose::Advertising),
                        reason: SuppressionReason::Unsubscribed,
                        at,
                    });
                    for n in 0..self.copies.len() {
                        let theirs = self.copies.get(n).filter(|c| c.here(run, now)).and_then(|c| run.in_force(c.plan, now));
                        if theirs.is_some_and(|live| live.plan.policy.brand == brand) {
                            self.decide(run, n, &Event::Unsubscribed { at, only: None }, now, tally);
                        }
                    }
                }
            }
        }
    }

    /// What became of everyone.
    pub fn end(&mut self, run: &Run, tally: &mut Tally) {
        for one in &mut self.copies {
            note_unanswered(one.plan, std::mem::take(&mut one.unanswered).into_vec(), tally);
            one.still_waits(run, tally);
            tally.entered.extend(&one.lists);
            tally.stayed.extend(one.lists.last());
            let cycle = one.subject.copy.cycle;
            // Of what is simulated nothing waits to leave; what does may bear a moment that is still to come.
            let before = |e: &&LedgerEntry| e.at < run.from || !e.status.terminal();
            for entry in one.subject.ledger.iter().filter(before).filter(|e| !e.key.list.starts_with('@')) {
                let now = entry.key.cycle == cycle;
                // What waits in the outbox leaves, whatever became of the deal.
                let earlier = Earlier {
                    had: u64::from(now && reached(entry)),
                    waits: u64::from(!entry.status.terminal()),
                    refused: u64::from(now && entry.status.refused()),
                };
                if earlier != Earlier::default() {
                    tally.earlier.entry(run.index(one.plan, &entry.key.list, &entry.key.item)).or_default().add(earlier);
                }
            }
            let more = one.look_ahead(run, tally) || messages(&one.subject).any(|e| !e.status.terminal());
            let copy = &one.subject.copy;
            let way = Way {
                funnel: one.plan,
                first: one.first,
                lists: one.lists.clone(),
                contacted: one.contacted,
                clicked: one.clicked,
                declined: one.declined,
                last: copy.role,
                finished: copy.state.journey.as_ref().is_some_and(|j| j.finished) && (one.contacted || !more),
            };
            let sum = tally.ways.entry(way).or_default();
            sum.0 += 1;
            sum.1 = copy.amount.0.saturating_add(sum.1);
        }
    }
}

impl One {
    /// Notes what its journey has still before it, neither sent nor left out nor passed by, and says whether there is anything.
    fn look_ahead(&self, run: &Run, tally: &mut Tally) -> bool {
        let copy = &self.subject.copy;
        let warm = matches!(copy.role, Role::Stalled | Role::Warming | Role::Customer);
        let Some(journey) = copy.state.journey.as_ref().filter(|_| warm) else { return false };
        let Some(list) = run.plan(self.plan).and_then(|plan| plan.lists.get(&journey.list)) else { return false };
        let Some(first) = list.items.first().map(|item| run.index(self.plan, &journey.list, &item.name)) else { return false };
        let next = journey.last.as_ref().map_or(0, |former| {
            let place = list.items.iter().position(|item| item.name == *former);
            place.map_or(journey.position as usize, |at| at + 1)
        });
        let written = |name: &String| {
            let mut ledger = self.subject.ledger.iter();
            ledger.any(|e| e.key.cycle == copy.cycle && e.key.list == journey.list && e.key.item == *name)
        };
        let mut any = false;
        // The items of a list have numbers one after the other.
        for ((place, number), item) in (0_usize..).zip(first..).zip(&list.items) {
            let behind = if item.date.is_some() { journey.dated.contains(&item.name) } else { place < next };
            if behind || written(&item.name) {
                continue;
            }
            any = true;
            match tally.ahead.last_mut().filter(|a| (a.deal, a.cycle, a.until) == (self.deal, copy.cycle, number)) {
                Some(before) => before.until += 1,
                None => tally.ahead.push(Ahead { deal: self.deal, cycle: copy.cycle, from: number, until: number + 1 }),
            }
        }
        any
    }
}

/// The messages of this cycle, and what was left out.
fn messages(subject: &Subject) -> impl Iterator<Item = &LedgerEntry> {
    let cycle = subject.copy.cycle;
    subject.ledger.iter().filter(move |entry| entry.key.cycle == cycle && !entry.key.list.starts_with('@'))
}

/// Whether a store knows that the client got anything in this cycle, and that they clicked.
fn heard(subject: &Subject) -> (bool, bool) {
    (messages(subject).any(reached), messages(subject).any(|entry| entry.clicked_at.is_some()))
}

/// The client has it, or may have it.
const fn reached(entry: &LedgerEntry) -> bool {
    entry.status.went_out() && entry.status.terminal()
}

fn note_unanswered(plan: u16, unanswered: Vec<(String, String)>, tally: &mut Tally) {
    for (condition, why) in unanswered {
        tally.unanswer((plan, condition), (1, why));
    }
}

/// The message of a decision: its channel, purpose and variant. There is one at most.
fn message_of(decision: &Decision) -> Option<(&str, Purpose, Option<&str>, &Effect)> {
    decision.effects.iter().find_map(|effect| match &effect.kind {
        EffectKind::Message { channel, purpose, variant, .. } => Some((channel.as_str(), *purpose, variant.as_deref(), effect)),
        _ => None,
    })
}

fn measure(run: &Run, live: &Live, subject: &Subject, effect: &Effect, variant: Option<&str>) -> Measured {
    let key = (effect.key.list.clone(), effect.key.item.clone());
    let text = live.texts.items.get(&key).ok_or(SkipReason::RenderError)?;
    let language = subject.contact.as_ref().and_then(|c| c.language.as_deref());
    let context = context_of(live, subject);
    content::measure_item(text, variant, language, &context, Some(&run.base_url))
        .map(|parts| u16::try_from(parts).unwrap_or(u16::MAX))
        .map_err(|error| error.skip_reason())
}

/// A variant's place among those of its item, counted from 1; 0 for none.
fn variant_number(live: &Live, list: &str, item: &str, variant: Option<&str>) -> u8 {
    let place = || live.plan.item(list, item)?.variants.iter().position(|v| Some(v.name.as_str()) == variant);
    place().and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(0)
}

fn clickable(live: &Live, subject: &Subject, entry: &LedgerEntry) -> bool {
    let text = live.texts.items.get(&(entry.key.list.clone(), entry.key.item.clone()));
    let language = subject.contact.as_ref().and_then(|c| c.language.as_deref());
    text.is_some_and(|text| text.has_link(entry.variant.as_deref(), language))
}

fn up(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(up_to_ms(at)).unwrap_or(at)
}

fn day_number(date: civil::Date) -> i32 {
    let days = date.duration_since(civil::Date::constant(1970, 1, 1)).as_hours() / 24;
    i32::try_from(days).unwrap_or(0)
}
