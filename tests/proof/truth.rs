//! What really happened, kept outside of all processes: every intent that was committed, every message that a provider took. Each
//! step is checked against the promises of `docs/reliability.md` at the moment it happens.

use super::fixture::{self, CAP, WINDOW};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rekindle::{
    model::{Address, CopyId, EffectKey, EffectRef, Medium, Outcome, Purpose, SignalKind, SignalSubject, stable_hash},
    store::{Batch, Change, Commit, Lease, Mark},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};
use tokio::time::Instant;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// As in `docs/reliability.md`: I1 to I12.
    pub promise: &'static str,
    pub what: String,
}

pub struct Intent {
    pub natural: EffectKey,
    pub address: Address,
    pub person: usize,
    /// By the clock of the process that wrote it down.
    pub day: Date,
    pub key: String,
    pub message: String,
    pub revision: i64,
    /// How often it may still be handed over: once for each time it was written down as about to be.
    clearances: u32,
    /// How often each provider heard of it.
    heard: BTreeMap<String, u32>,
    cleared_at: Instant,
}

/// A call or an answer that the store took. By then it was about the deals of a person; more of them may turn out to be that person's.
#[derive(Clone)]
pub struct Heard {
    pub kind: SignalKind,
    pub subject: SignalSubject,
    pub deals: BTreeSet<String>,
}

/// What putting an earlier copy back did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Attempts that the copy does not know of.
    pub forgotten: usize,
    /// Some of them were made long enough before sending rested: it must be noticed, whatever the witness was told.
    pub noticeable: bool,
    /// Milliseconds since the world began.
    pub at: i64,
}

#[derive(Default)]
pub struct Truth {
    pub violation: Option<Violation>,
    /// What happened, in order; its hash tells whether two runs are the same.
    pub trace: u64,
    pub log: Vec<String>,
    pub verbose: bool,
    /// Counts what happens, for "before" and "after".
    moment: u64,
    pub epoch: i64,
    pub owner: String,
    pub until: Option<Instant>,
    /// Until when the store's lease lasts for each process, whatever it thinks itself.
    leases: BTreeMap<String, Instant>,
    pub intents: BTreeMap<EffectRef, Intent>,
    /// What each id that was ever given meant, also what the database has forgotten: providers and people still name it.
    given: BTreeMap<EffectRef, (String, String)>,
    /// Times each message was taken by a provider.
    pub accepted: BTreeMap<EffectRef, u32>,
    by_item: BTreeMap<(String, String), EffectRef>,
    by_day: BTreeMap<(usize, Date), usize>,
    suppressed: BTreeMap<String, u64>,
    /// Who unsubscribed, from everything or from a medium.
    opted_out: BTreeMap<(usize, Option<Medium>), u64>,
    /// Addresses whose consent the CRM took back.
    unwilling: BTreeSet<String>,
    looked: BTreeMap<EffectRef, u64>,
    /// Messages that were written down as about to be handed over, and of which no outcome was written down since.
    ///
    /// What the store has open is among them: it closes a message by the outcome of its newest attempt, or by news that hold for all
    /// attempts, and only the former takes it out of here.
    under_way: BTreeSet<EffectRef>,
    /// Messages that may be unclear: under way when a lease changed hands, or ambiguous by the provider's own doing.
    pub unclear: BTreeSet<EffectRef>,
    /// How often the ledger says of a message that nobody knew what had become of an attempt, when it left again.
    pub announced: BTreeMap<EffectRef, u32>,
    pub delivered: BTreeSet<EffectRef>,
    pub bounced: BTreeSet<EffectRef>,
    /// Receipts by a provider's own id that were taken, and whether they say that it arrived.
    by_id: BTreeMap<(String, String), bool>,
    /// Messages whose provider's id was written down.
    named: BTreeMap<(String, String), EffectRef>,
    pub heard: Vec<Heard>,
    /// Clicks that the store took.
    pub clicks: BTreeMap<CopyId, usize>,
    /// Deals whose copies a hand from outside changed: what was decided on them meanwhile is void.
    pub by_hand: BTreeSet<String>,
    applied: BTreeMap<EffectRef, u32>,
    last_applied: BTreeMap<i64, i32>,
    pub handed_over: u64,
    /// Addresses with the items of which an attempt was made.
    attempted: BTreeSet<(String, String)>,
    /// Those of them after which sending rested: whoever worked has had the time to tell the witness.
    settled: BTreeSet<(String, String)>,
    last_attempt: Option<Instant>,
    /// How often whoever works has looked about since then, and when last.
    looks: (u32, Option<Instant>),
    /// The database was put back to an earlier copy.
    pub restored: Option<Restored>,
    /// The same moment, by the clock that no skipping moves.
    pub restored_at: Option<Instant>,
    pub crashes: u64,
    pub takeovers: u64,
}

impl Truth {
    pub fn note(&mut self, what: &str) {
        self.moment += 1;
        self.trace = stable_hash(&[&self.trace.to_be_bytes(), what.as_bytes()]);
        if self.verbose {
            self.log.push(what.to_owned());
        }
    }

    pub fn wrong(&mut self, promise: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.note(&format!("!! {promise} {what}"));
        self.violation.get_or_insert(Violation { promise, what });
    }

    /// `found`: messages that the store calls unclear by the change of hands, or lets wait for a repetition by it.
    ///
    /// Their number is not only the store's word: each must have been cleared to leave, with no outcome since. What merely waits to be
    /// tried again is not among those. After a restore nobody here knows what the copy had under way.
    pub fn took(&mut self, lease: &Lease, found: &BTreeSet<EffectRef>, bound: usize, until: Instant) {
        let under_way = lease.orphans.max(found.len() as u64);
        self.note(&format!("{} takes epoch {} ({under_way} under way)", lease.owner, lease.epoch));
        if lease.epoch <= self.epoch {
            self.wrong("I5", format!("epoch {} after {}", lease.epoch, self.epoch));
        }
        if under_way > bound as u64 {
            self.wrong("I10", format!("{under_way} messages unclear after a take-over, at most {bound} could be under way"));
        }
        for effect in found {
            if !self.under_way.remove(effect) && self.restored.is_none() {
                self.wrong("I10", format!("{effect} counts as under way after a take-over, and it was not"));
            }
        }
        self.unclear.extend(found);
        self.takeovers += 1;
        self.unheard();
        (self.epoch, self.owner, self.until) = (lease.epoch, lease.owner.clone(), Some(until));
        self.leases.insert(lease.owner.clone(), until);
    }

    /// From here on another may send: whatever this process has not begun, it must not begin.
    pub fn released(&mut self, lease: &Lease) {
        self.note(&format!("{} releases", lease.owner));
        self.until = None;
        self.leases.insert(lease.owner.clone(), Instant::now());
    }

    pub fn renewed(&mut self, lease: &Lease, until: Instant) {
        self.until = Some(until);
        self.leases.insert(lease.owner.clone(), until);
    }

    /// Everything that the database knew since the copy is gone, its count of epochs as well. What providers and people have is not.
    /// `known`: attempts that the copy knows of, or had counted.
    pub fn put_back(&mut self, known: &BTreeSet<(String, String)>, at: i64) {
        let forgotten = self.attempted.difference(known).count();
        let noticeable = self.settled.difference(known).next().is_some();
        self.note(&format!("an earlier copy is put back: {forgotten} attempts are forgotten, noticeable: {noticeable}"));
        (self.epoch, self.until) = (0, None);
        self.owner.clear();
        self.leases.clear();
        self.intents.clear();
        self.accepted.clear();
        self.by_item.clear();
        self.by_day.clear();
        self.suppressed.clear();
        self.opted_out.clear();
        self.unwilling.clear();
        self.looked.clear();
        self.under_way.clear();
        self.heard.clear();
        self.clicks.clear();
        self.named.clear();
        self.announced.clear();
        self.applied.clear();
        self.last_applied.clear();
        self.restored = Some(Restored { forgotten, noticeable, at });
        self.restored_at = Some(Instant::now());
    }

    /// What a copy of the database knows of at this moment: what was attempted, and what was counted as about to be.
    pub fn known(&self) -> BTreeSet<(String, String)> {
        let counted = self.intents.values().filter(|intent| intent.clearances > 0);
        let counted = counted.map(|intent| (intent.address.as_str().to_owned(), intent.natural.item.clone()));
        counted.chain(self.attempted.iter().cloned()).collect()
    }

    /// The witness did not answer, or another process works: how far it came must be told anew.
    pub fn unheard(&mut self) {
        self.looks = (0, None);
    }

    /// A process looked at what is due. What rests for its pace is told to the witness at the end of a round: at the fourth look
    /// three rounds are over.
    pub fn looked_about(&mut self, process: &str) {
        let rests = self.last_attempt.is_some_and(|at| at.elapsed() >= super::world::PACE);
        let again = self.looks.1.is_some_and(|at| at.elapsed() < Duration::from_millis(400));
        if process != self.owner || !rests || again {
            return;
        }
        self.looks = (self.looks.0 + 1, Some(Instant::now()));
        if self.looks.0 >= 4 {
            self.settled.clone_from(&self.attempted);
        }
    }

    /// A fenced transaction went through.
    pub fn fenced(&mut self, lease: &Lease) {
        if lease.epoch != self.epoch || lease.owner != self.owner {
            self.wrong("I5", format!("{} wrote with epoch {}, the store was at {}", lease.owner, lease.epoch, self.epoch));
        }
    }

    pub fn committed(&mut self, batch: &Batch, commit: &Commit) {
        let now = batch.now.unwrap_or_default();
        let stale: BTreeSet<_> = commit.stale.iter().collect();
        // Passes take turns, an owner of before writes nothing, and what events lead to is never a message, which a newer prohibition or
        // revision would refuse: nothing but a hand from outside comes between a decision on an event and its transaction.
        let lost = batch.changes.iter().find(|c| stale.contains(&c.copy.id) && !self.by_hand.contains(&c.deal));
        if let Some(change) = lost.filter(|_| !batch.consumed.is_empty()) {
            self.wrong("I8", format!("events were consumed, and copy {} had none of them", change.copy.id));
        }
        for contact in batch.page.iter().flat_map(|page| &page.contacts) {
            self.take_back(contact);
        }
        for change in batch.changes.iter().filter(|c| !stale.contains(&c.copy.id)) {
            for new in &change.effects {
                let effect = EffectRef { copy: change.copy.id, seq: new.effect.seq };
                let rekindle::engine::EffectKind::Message { address, purpose, .. } = &new.effect.kind else { continue };
                if commit.conflicts.contains(&effect) || new.status != rekindle::model::EffectStatus::Intended {
                    continue;
                }
                let held = commit.held.contains(&effect);
                self.intend(change, effect, new, address, now, held);
                if *purpose == Purpose::Advertising {
                    self.willing(person(&change.deal), address, effect);
                }
            }
        }
        for suppression in &batch.suppress {
            self.note(&format!("suppression {:?}", suppression.reason));
        }
    }

    fn intend(
        &mut self,
        change: &Change,
        effect: EffectRef,
        new: &rekindle::store::NewEffect,
        address: &Address,
        now: Timestamp,
        held: bool,
    ) {
        let stored: serde_json::Value = serde_json::from_str(new.payload.as_deref().unwrap_or("{}")).unwrap();
        let person = person(&change.deal);
        let zoned = now.to_zoned(TimeZone::get(fixture::zone(person)).unwrap());
        self.note(&format!(
            "{effect} intended: {} to {}, {}{}",
            new.effect.key.item,
            address.as_str(),
            zoned.datetime(),
            if held { ", held" } else { "" }
        ));
        if !held {
            self.in_window(person, now, effect);
        }
        if let Some(when) = self.suppressed.get(address.as_str()) {
            self.wrong("I3", format!("{effect} was intended at {}, the address was suppressed at {when}", self.moment));
        }
        let is = (address.as_str().to_owned(), new.effect.key.item.clone());
        if let Some(was) = self.given.insert(effect, is.clone()).filter(|was| *was != is)
            && self.restored.as_ref().is_some_and(|restored| restored.noticeable)
        {
            self.wrong("I11", format!("{effect} is {} to {}, it was {} to {}", is.1, is.0, was.1, was.0));
        }
        let intent = Intent {
            natural: new.effect.key.clone(),
            address: address.clone(),
            person,
            day: zoned.date(),
            key: stored["key"].as_str().unwrap_or_default().to_owned(),
            message: text_of(&stored["message"]),
            revision: new.revision,
            clearances: u32::from(!held),
            heard: BTreeMap::new(),
            cleared_at: Instant::now(),
        };
        if !held {
            self.under_way.insert(effect);
        }
        if self.intents.insert(effect, intent).is_some() {
            self.wrong("I1", format!("{effect} was written down twice"));
        }
    }

    /// What a client said themselves, and what the CRM says of them. The store refuses an intent against the former in the transaction
    /// that would write it down, whatever number of the person it goes to. The latter is known to every decision after the transaction
    /// that stored it: passes of an owner take turns, and those of an owner of before are over.
    fn willing(&mut self, person: usize, address: &Address, effect: EffectRef) {
        if let Some(when) = self.opt_out(person, address.medium()) {
            self.wrong("I3", format!("{effect} was intended at {}, the person had unsubscribed at {when}", self.moment));
        }
        if self.unwilling.contains(address.as_str()) {
            self.wrong("I3", format!("{effect} was intended, and the CRM says that they took back their consent"));
        }
    }

    fn opt_out(&self, person: usize, medium: Medium) -> Option<u64> {
        [None, Some(medium)].into_iter().filter_map(|of| self.opted_out.get(&(person, of))).min().copied()
    }

    /// A person unsubscribes. Prohibitions follow the person, and so do all deals that name the same contact.
    pub fn unsubscribe(&mut self, person: usize, medium: Option<Medium>) {
        self.note(&format!("person {person} has unsubscribed from {}", medium.map_or("everything", Medium::as_str)));
        self.opted_out.entry((person, medium)).or_insert(self.moment);
    }

    /// What the CRM says of a contact is stored. A phone that two share is left out: what both say of it is weighed.
    fn take_back(&mut self, contact: &rekindle::model::Contact) {
        let shared = [fixture::phone(4)];
        let phones = contact.phones.iter().filter(|phone| contact.consent.sms == Some(false) && !shared.contains(phone));
        let emails = contact.emails.iter().filter(|_| contact.consent.email == Some(false));
        let refused: Vec<String> = phones.map(|p| p.as_str().to_owned()).chain(emails.map(|e| e.as_str().to_owned())).collect();
        self.unwilling.extend(refused);
    }

    /// What became of an attempt is written down.
    pub fn marked(&mut self, mark: &Mark) {
        if let Outcome::Accepted { provider, provider_id: Some(id) } = &mark.outcome {
            let name = (provider.clone(), id.clone());
            if self.by_id.get(&name).is_some_and(|arrived| *arrived) {
                self.delivered.insert(mark.effect);
            }
            self.named.insert(name, mark.effect);
        }
        let Some(intent) = self.intents.get(&mark.effect) else { return };
        // The store's own rule: the first hand-over is attempt 1, whether its reporter counts from 0 or from 1.
        let newest = i64::from(mark.attempt.max(1)) == i64::from(intent.clearances.max(1));
        if mark.attempt < 0 || !newest {
            return;
        }
        let address = intent.address.as_str().to_owned();
        self.under_way.remove(&mark.effect);
        if matches!(mark.outcome, Outcome::Rejected { suppress: true, .. }) {
            self.suppress(&address);
        }
    }

    /// A receipt by a provider's own id is taken: it holds as soon as anybody has written down whose id that is.
    pub fn receipt(&mut self, provider: &str, id: &str, arrived: bool) {
        self.note(&format!("a receipt for {id} of {provider}"));
        let name = (provider.to_owned(), id.to_owned());
        if let Some(effect) = self.named.get(&name).filter(|_| arrived) {
            self.delivered.insert(*effect);
        }
        self.by_id.insert(name, arrived);
    }

    fn in_window(&mut self, person: usize, now: Timestamp, effect: EffectRef) {
        let local = now.to_zoned(TimeZone::get(fixture::zone(person)).unwrap());
        if !(WINDOW.0..WINDOW.1).contains(&local.hour()) {
            self.wrong("I4", format!("{effect} may leave at {local}"));
        }
    }

    /// Messages of the outbox are about to be handed over again.
    pub fn started(&mut self, effects: &[EffectRef], now: Timestamp) {
        for effect in effects {
            let Some(intent) = self.intents.get_mut(effect) else { continue };
            intent.clearances += 1;
            intent.cleared_at = Instant::now();
            let person = intent.person;
            self.under_way.insert(*effect);
            self.note(&format!("{effect} started again"));
            self.in_window(person, now, *effect);
        }
    }

    pub fn suppress(&mut self, address: &str) {
        self.note(&format!("{address} is suppressed"));
        self.suppressed.entry(address.to_owned()).or_insert(self.moment);
    }

    /// One more look at suppressions, just before the bytes.
    pub fn looked(&mut self, effects: &[EffectRef]) {
        self.moment += 1;
        for effect in effects {
            self.looked.insert(*effect, self.moment);
        }
    }

    /// A process says something to a provider that the provider may take.
    pub fn bytes(&mut self, process: &str, provider: &str, effect: EffectRef, key: &str, message: &serde_json::Value) {
        self.handed_over += 1;
        self.note(&format!("{process} hands {effect} over to {provider}"));
        if self.leases.get(process).is_none_or(|until| *until <= Instant::now()) {
            self.wrong("I5", format!("{process} started {effect} after its lease had ended"));
        }
        let looked = self.looked.get(&effect).copied();
        let Some(intent) = self.intents.get_mut(&effect) else {
            self.wrong("I2", format!("{effect} left without having been written down"));
            return;
        };
        let item = (intent.address.as_str().to_owned(), intent.natural.item.clone());
        let heard = intent.heard.entry(provider.to_owned()).or_default();
        *heard += 1;
        let early = *heard > intent.clearances;
        let late = intent.cleared_at.elapsed();
        let (same_key, same_text) = (intent.key == key, intent.message == text_of(message));
        let (person, medium) = (intent.person, intent.address.medium());
        let suppressed = self.suppressed.get(intent.address.as_str()).copied();
        // All messages of the fixture are advertising, which is what an unsubscription is about.
        let suppressed = suppressed.into_iter().chain(self.opt_out(person, medium)).min();
        match &self.restored {
            None => {
                self.attempted.insert(item);
                (self.last_attempt, self.looks) = (Some(Instant::now()), (0, None));
            }
            Some(restored) if restored.noticeable && self.attempted.contains(&item) => {
                self.wrong("I11", format!("{effect} goes out again, the restored database does not know of its first time"));
            }
            Some(_) => {}
        }
        if early {
            self.wrong("I2", format!("{effect} left more often than it was written down"));
        }
        if late > super::world::LEASE {
            self.wrong("I4", format!("{effect} left {late:?} after it was written down"));
        }
        if !same_key {
            self.wrong("I1", format!("{effect} has another key than the one it was written down with"));
        }
        if !same_text {
            self.wrong("I1", format!("{effect} has another text than the one it was written down with"));
        }
        match (suppressed, looked) {
            (_, None) => self.wrong("I3", format!("{effect} left without a last look at suppressions")),
            (Some(suppressed), Some(looked)) if suppressed < looked => {
                self.wrong("I3", format!("{effect} left although the last look could see the suppression"));
            }
            _ => {}
        }
    }

    pub fn accept(&mut self, effect: EffectRef, resend: bool) {
        self.note(&format!("{effect} accepted"));
        let times = self.accepted.entry(effect).or_default();
        *times += 1;
        let (again, times) = (*times > 1, *times);
        if again {
            self.note("once more");
        }
        // Each attempt after the first was started by a transaction, when the ledger had counted all those before it of which nobody knew.
        let announced = self.announced.get(&effect).copied().unwrap_or(0);
        if again && !(resend && times <= 1 + announced) {
            self.wrong("I1", format!("{effect} was accepted {times} times, the ledger tells of {announced} repetitions"));
        }
        let Some(intent) = self.intents.get(&effect) else { return };
        let item = (intent.address.as_str().to_owned(), intent.natural.item.clone());
        let first = *self.by_item.entry(item).or_insert(effect);
        if first != effect {
            let how = if first.copy == effect.copy { "once more" } else { "through another deal" };
            let what = format!("{} got {} {how}: {first}, {effect}", intent.address.as_str(), intent.natural.item);
            self.wrong("I1", what);
        }
        let (person, day) = (self.intents[&effect].person, self.intents[&effect].day);
        let today = self.by_day.entry((person, day)).or_default();
        *today += usize::from(!again);
        if *today > CAP {
            let what = format!("person {person} got {today} messages on {day}, at most {CAP}");
            self.wrong("I7", what);
        }
    }

    /// The CRM applies a write-back (each once, however often it comes).
    pub fn apply(&mut self, effect: EffectRef, what: &str) {
        self.note(&format!("{effect} applied: {what}"));
        let times = self.applied.entry(effect).or_default();
        *times += 1;
        if *times > 1 {
            return;
        }
        let last = self.last_applied.entry(effect.copy.0).or_insert(i32::MIN);
        if effect.seq < *last {
            let what = format!("{effect} came to the CRM after {last}");
            self.wrong("I6", what);
        } else {
            *last = effect.seq;
        }
    }

    pub fn story(&self) -> String {
        let mut out = String::new();
        for line in &self.log {
            let _ = writeln!(out, "  {line}");
        }
        out
    }
}

/// Whose deal it is.
pub fn person(deal: &str) -> usize {
    fixture::person_of(deal.trim_start_matches('D').parse().unwrap_or(0))
}

/// A message as text; its random short codes are fixed with the rest.
fn text_of(message: &serde_json::Value) -> String {
    message.to_string()
}
