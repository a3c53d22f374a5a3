//! What arrived from outside: signals, clicks, receipts, refusals.

use super::{
    engine::{Engine, Held, WorkerError, lock},
    prepare::Prepared,
};
use crate::{
    engine::Event,
    links::{Sent, settle},
    model::{ClickVerdict, CopyId, EffectRef, InboxEvent, SignalKind, SignalSubject, Text},
    store::{Batch, Clicked, EffectInfo, InboxRow, Lease, Load, Loaded, Mark, PutOff, Source, StoreError},
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap, HashSet};

impl Engine {
    /// Consumes one batch of inbox rows together with what they lead to.
    pub(super) async fn inbox_pass(&self) -> Result<usize, WorkerError> {
        let held = self.held()?;
        let now = self.clock.now();
        let survived = lock(&self.in_hand).clone();
        if !survived.is_empty() {
            // Before anything is handed out again: then the store counts the ends of processes, and no failures of its own.
            self.journal.lived(&survived).await?;
        }
        let mut rows = self.journal.inbox(now, self.settings.batch).await?;
        *lock(&self.in_hand) = rows.iter().filter(|row| row.attempts > 0).map(|row| row.id).collect();
        if let Some(until) = self.look_ahead(now) {
            // Clicks whose burst is not over stand before them.
            let ahead = self.journal.inbox_ahead(now, until, MOST_AHEAD).await?;
            let ready = rows.len();
            rows.extend(ahead.into_iter().filter(was_put_off).take(self.settings.batch as usize));
            if rows.len() == ready {
                lock(&self.broken).1 = None;
            }
        }
        if rows.is_empty() {
            return Ok(0);
        }
        let count = rows.len();
        let (suspects, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.attempts >= OFTEN);
        if !rows.is_empty() {
            match self.consume(&held, rows.clone(), now).await {
                // One of them cannot be processed: it is found by going one by one, shown, and set aside.
                Err(WorkerError::Store(StoreError::Corrupt { .. })) => self.consume_singly(&held, rows, now).await?,
                other => other?,
            }
        }
        self.consume_suspects(&held, suspects, now).await?;
        Ok(count)
    }

    /// Rows that several processes had in hand when they ended. One of them may be what ends them: they come last and one by one, each time
    /// from the other end, so that none stays behind it; and what is left of them in the end is set aside.
    async fn consume_suspects(&self, held: &Held, rows: Vec<InboxRow>, now: Timestamp) -> Result<(), WorkerError> {
        let (hopeless, mut rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.attempts >= TOO_OFTEN);
        for InboxRow { id, attempts, .. } in hopeless {
            tracing::error!(row = id, attempts, "whenever this inbox row was in hand the process ended; set aside");
            let error = format!("the process ended {attempts} times when it had this in hand");
            self.journal.bury(&held.lease, Source::Inbox, id, &error, now).await?;
        }
        if rows.first().is_some_and(|row| row.attempts % 2 == 0) {
            rows.reverse();
        }
        self.consume_singly(held, rows, now).await
    }

    async fn consume_singly(&self, held: &Held, rows: Vec<InboxRow>, now: Timestamp) -> Result<(), WorkerError> {
        for row in rows {
            let id = row.id;
            match self.consume(held, vec![row], now).await {
                Err(WorkerError::Store(error @ StoreError::Corrupt { .. })) => {
                    tracing::error!(row = id, "an inbox row cannot be processed; set aside");
                    self.journal.bury(&held.lease, Source::Inbox, id, &error.to_string(), now).await?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Whether something may still wait that a funnel can have now that it is repaired.
    pub(super) fn waits_for_repaired(&self) -> bool {
        lock(&self.broken).1.is_some()
    }

    /// What waited for a broken funnel is due the moment that it is repaired, before its copies are looked at again: until when the
    /// inbox is looked through, if that is not done yet.
    fn look_ahead(&self, now: Timestamp) -> Option<Timestamp> {
        let plans = self.plans.load();
        let mut known = lock(&self.broken);
        if known.0.as_ref() != Some(&plans.1) {
            *known = (Some(plans.1.clone()), Some(now + LOOK_AGAIN));
        }
        known.1
    }

    async fn consume(&self, held: &Held, rows: Vec<InboxRow>, now: Timestamp) -> Result<(), WorkerError> {
        let mut round = Round::default();
        let mut clicks = Vec::new();
        for InboxRow { id, event, .. } in rows {
            match event {
                Err(error) => {
                    tracing::error!(row = id, "an inbox row cannot be read; set aside");
                    self.journal.bury(&held.lease, Source::Inbox, id, &error, now).await?;
                }
                Ok(InboxEvent::Receipt { effect, outcome, at }) => {
                    round.marks.push(Mark { effect, attempt: -1, outcome, at, next: None });
                    round.consumed.push(id);
                }
                Ok(InboxEvent::Click { verdict: Some(ClickVerdict::Machine), .. }) => round.consumed.push(id),
                Ok(InboxEvent::Click { effect, link, at, .. }) => clicks.push((id, effect, link, at)),
                Ok(InboxEvent::Signal { kind, subject, at, reaction, text }) => {
                    let named = subject.deal.clone();
                    let effect = subject.effect;
                    let subjects = self.load_signal(&subject, now).await?;
                    let left = self.left_of(&subjects, subject).map(|subject| {
                        let text = text.clone();
                        InboxEvent::Signal { kind, subject, at, text, reaction }
                    });
                    let events = subjects.into_iter().map(|s| {
                        let direct = named.as_ref().is_some_and(|(of, deal)| *of == s.connection && *deal == s.deal.id)
                            || effect.is_some_and(|effect| effect.copy == s.copy.id);
                        (s, Event::Signal { kind, at, direct, reaction })
                    });
                    // What came of a task is about the deal that it belongs to.
                    let others = kind != SignalKind::TaskClosed || named.is_none() && effect.is_none();
                    let events: Vec<_> =
                        events.filter(|(_, event)| others || matches!(event, Event::Signal { direct: true, .. })).collect();
                    let copies: Vec<CopyId> = events.iter().map(|(s, _)| s.copy.id).collect();
                    if round.take(id, events, left)
                        && let Some(text) = text
                    {
                        round.said.extend(copies.into_iter().map(|copy| (copy, text.clone())));
                    }
                }
                Ok(InboxEvent::Unsubscribe { subject, at, only }) => {
                    let subjects = self.load_brand(&subject, now).await?;
                    let left = self.left_of(&subjects, subject).map(|subject| InboxEvent::Unsubscribe { subject, at, only });
                    round.take(id, subjects.into_iter().map(|s| (s, Event::Unsubscribed { at, only })).collect(), left);
                }
            }
        }
        self.judge_clicks(&mut round, clicks, now).await?;
        if !round.marks.is_empty() {
            self.journal.mark(std::mem::take(&mut round.marks)).await?;
        }
        let mut prepared = Prepared { said: std::mem::take(&mut round.said), ..Prepared::default() };
        // The copy that a signal names speaks first; the client's other copies see what became of it.
        round.events.sort_by_key(|(subject, event)| (!matches!(event, Event::Signal { direct: true, .. }), subject.copy.id));
        let mut events = std::mem::take(&mut round.events).into_iter();
        while let Some((subject, event)) = events.next() {
            let copy = subject.copy.id;
            self.decide_into(&mut prepared, subject, &event, now);
            let Some(decided) = prepared.changes.last().map(|c| &c.copy).filter(|c| c.id == copy) else { continue };
            for (other, _) in events.as_mut_slice() {
                for sibling in other.client.siblings.iter_mut().filter(|s| s.copy == copy) {
                    (sibling.role, sibling.cycle_at) = (decided.role, decided.state.cycle_at);
                }
            }
        }
        self.bury(&held.lease, &mut prepared, now).await?;
        // Beyond where a look ahead ends: nothing comes twice in it.
        let until = now + LOOK_AGAIN + SignedDuration::from_millis(1);
        let put_off = round.left.into_iter().map(|(id, event)| PutOff { id, until, event }).collect();
        let batch = Batch { now: Some(now), consumed: round.consumed, put_off, ..Batch::default() };
        let commit = self.commit_and_send(held, prepared, batch).await?;
        if !commit.stale.is_empty() {
            // Passes take turns and only they change copies, so this is a bug: what was consumed had no effect on these copies.
            tracing::error!(copies = commit.stale.len(), "events met copies that had just changed");
        }
        Ok(())
    }

    /// Copies with everything known of them. One whose stored row is damaged is found singly and set aside, visibly; the others of
    /// its batch do not wait for it.
    pub(super) async fn load_sound(&self, lease: &Lease, ids: Vec<CopyId>, now: Timestamp) -> Result<Vec<Loaded>, WorkerError> {
        match self.journal.fetch(&Load::Copies(ids.clone()), now).await {
            Err(StoreError::Corrupt { .. }) => {}
            other => return Ok(other?),
        }
        let mut sound = Vec::with_capacity(ids.len());
        for id in ids {
            match self.journal.fetch(&Load::Copies(vec![id]), now).await {
                Ok(one) => sound.extend(one),
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(copy = %id, %error, "a damaged copy is set aside");
                    self.journal.bury(lease, Source::Copy, id.0, &error.to_string(), now).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sound)
    }

    /// Copies of these rows of a CRM. A damaged one is left out and said: what was read is stored all the same, and its own timer sets it
    /// aside.
    pub(super) async fn load_sound_of(
        &self,
        of: impl Fn(Vec<String>) -> Load,
        ids: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<Loaded>, WorkerError> {
        match self.journal.fetch(&of(ids.clone()), now).await {
            Err(StoreError::Corrupt { .. }) => {}
            other => return Ok(other?),
        }
        let mut sound = Vec::with_capacity(ids.len());
        for id in ids {
            match self.journal.fetch(&of(vec![id.clone()]), now).await {
                Ok(one) => sound.extend(one),
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(row = id, %error, "a damaged deal or contact is passed over");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sound)
    }

    /// The client's copies in funnels that write under the same brand as the message that was refused; all of them when the
    /// refusal names no message.
    async fn load_brand(&self, subject: &SignalSubject, now: Timestamp) -> Result<Vec<Loaded>, WorkerError> {
        let brand = match subject.effect {
            Some(effect) => self.journal.effect(effect).await?.map(|info| info.brand),
            None => None,
        };
        let plans = self.plans.load();
        let theirs = |s: &Loaded, brand: &String| match plans.get(&s.copy.funnel) {
            Some(live) => live.plan.policy.brand == *brand,
            // Whose brand it writes under is known once it is repaired.
            None => plans.1.contains(&s.copy.funnel),
        };
        let subjects = self.load_signal(subject, now).await?;
        Ok(subjects.into_iter().filter(|s| brand.as_ref().is_none_or(|brand| theirs(s, brand))).collect())
    }

    /// Everybody whom a signal is about and who has not had it yet.
    async fn load_signal(&self, subject: &SignalSubject, now: Timestamp) -> Result<Vec<Loaded>, WorkerError> {
        let mut subjects = self.journal.fetch(&Load::Signal(subject.clone()), now).await?;
        subjects.retain(|s| subject.only.is_empty() || subject.only.contains(&s.copy.id));
        Ok(subjects)
    }

    /// Those of a signal's subjects who cannot have it now: their funnel is broken, with no good revision to go on with. Whoever calls
    /// meanwhile must not get the next message of the journey once it is repaired. `None`: everybody has it.
    fn left_of(&self, subjects: &[Loaded], subject: SignalSubject) -> Option<SignalSubject> {
        let plans = self.plans.load();
        let only: Vec<CopyId> = subjects.iter().filter(|s| plans.1.contains(&s.copy.funnel)).map(|s| s.copy.id).collect();
        (!only.is_empty()).then_some(SignalSubject { only, ..subject })
    }

    /// Final verdicts, then the human ones become events.
    async fn judge_clicks(
        &self,
        round: &mut Round,
        clicks: Vec<(i64, EffectRef, i16, Timestamp)>,
        now: Timestamp,
    ) -> Result<(), WorkerError> {
        if clicks.is_empty() {
            return Ok(());
        }
        let asked: BTreeSet<EffectRef> = clicks.iter().map(|(_, effect, ..)| *effect).collect();
        let infos = self.journal.effects(&asked.into_iter().collect::<Vec<_>>()).await?;
        let infos: HashMap<EffectRef, EffectInfo> = infos.into_iter().map(|info| (info.effect, info)).collect();
        let (mut human, mut verdicts) = (Vec::new(), Vec::with_capacity(clicks.len()));
        for (row, effect, link, at) in clicks {
            let Some(info) = infos.get(&effect) else {
                round.consumed.push(row);
                continue;
            };
            let (verdict, why) = settle(link, at, Sent { accepted_at: info.at }, &info.hits);
            verdicts.push(Clicked { effect, link, at, verdict: Some(verdict), why: why.into() });
            if verdict == ClickVerdict::Human {
                human.push((row, effect, link, at));
            } else {
                self.metrics.click(verdict);
                round.consumed.push(row);
            }
        }
        self.journal.judge(&verdicts).await?;
        if human.is_empty() {
            return Ok(());
        }
        let ids: BTreeSet<CopyId> = human.iter().map(|(_, effect, ..)| effect.copy).collect();
        let loaded = self.journal.fetch(&Load::Copies(ids.into_iter().collect()), now).await?;
        let mut subjects: HashMap<CopyId, Loaded> = loaded.into_iter().map(|s| (s.copy.id, s)).collect();
        let plans = self.plans.load();
        let mut heard: HashMap<CopyId, Timestamp> = HashMap::new();
        for (row, effect, link, at) in human {
            let done = match subjects.remove(&effect.copy) {
                Some(subject) => {
                    let verdict = Some(ClickVerdict::Human);
                    let broken = plans.1.contains(&subject.copy.funnel);
                    let left = broken.then_some(InboxEvent::Click { effect, link, at, verdict });
                    let taken = round.take(row, vec![(subject, Event::Click { seq: effect.seq, link, at })], left);
                    if taken {
                        heard.insert(effect.copy, at);
                    }
                    taken && !broken
                }
                // Each round takes one event of a copy. Who opens a link a thousand times within a minute says nothing more by it, and
                // must not be what all others wait for.
                None if heard.get(&effect.copy).is_some_and(|first| at.duration_since(*first).abs() <= SAME_VISIT) => {
                    round.consumed.push(row);
                    true
                }
                // A later click waits for the next round; an unknown copy is done with.
                None if round.copies.contains(&effect.copy) => false,
                None => {
                    round.consumed.push(row);
                    true
                }
            };
            if done {
                self.metrics.click(ClickVerdict::Human);
            }
        }
        Ok(())
    }
}

/// How long what a broken funnel could not take waits before it is tried again, unless the funnel is repaired sooner.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// So many rows are looked through for what waited for a funnel that has been repaired.
const MOST_AHEAD: u32 = 20_000;

/// Whether a row waits for a broken funnel, and not for the end of a burst.
fn was_put_off(row: &InboxRow) -> bool {
    match &row.event {
        Ok(InboxEvent::Signal { subject, .. } | InboxEvent::Unsubscribe { subject, .. }) => !subject.only.is_empty(),
        Ok(InboxEvent::Click { verdict, .. }) => verdict.is_some(),
        _ => false,
    }
}

/// A row that so many processes did not survive is looked at by itself, and one that ended so many more is set aside.
const OFTEN: i32 = 5;
const TOO_OFTEN: i32 = 20;

/// Clicks so close to each other are one visit.
const SAME_VISIT: SignedDuration = SignedDuration::from_mins(1);

/// One batch of events: each copy at most once, so that every decision sees the state that the former one left.
#[derive(Default)]
struct Round {
    copies: HashSet<CopyId>,
    events: Vec<(Loaded, Event)>,
    consumed: Vec<i64>,
    /// Rows that wait on, with what is left of them.
    left: Vec<(i64, InboxEvent)>,
    said: HashMap<CopyId, Text>,
    marks: Vec<Mark>,
}

impl Round {
    /// Takes a row's events, unless one of its copies already has an event in this round: then the row stays for the next. `left`: what
    /// some of its copies cannot have yet.
    fn take(&mut self, row: i64, events: Vec<(Loaded, Event)>, left: Option<InboxEvent>) -> bool {
        if events.iter().any(|(s, _)| self.copies.contains(&s.copy.id)) {
            return false;
        }
        self.copies.extend(events.iter().map(|(s, _)| s.copy.id));
        self.events.extend(events);
        match left {
            Some(event) => self.left.push((row, event)),
            None => self.consumed.push(row),
        }
        true
    }
}
