//! Reading CRMs: only real changes become events, stored in the same transaction as the rows they came from.

use super::{
    adapters::ConnectionState,
    engine::{Engine, Held, WorkerError, lock},
    plans::Live,
    prepare::Prepared,
};
use crate::{
    crm::{CrmError, Ids, ReadPage},
    engine::{Client, Copy, CopyState, Event, Plan, Spent, Subject},
    model::{ClientId, Contact, CopyId, Deal, DealState, Manager, ManagerId, Role, same_title, stable_hash},
    store::{Batch, Cursor, Load, Loaded, Page},
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Deals taken over in one transaction.
pub(crate) const PAGE: usize = 2000;

/// Ids asked for at once when a full look finds out who is gone.
const IDS: u32 = 10_000;

impl Engine {
    /// Reads every connection whose turn it is, to its end.
    pub(super) async fn sync_pass(&self) -> Result<usize, WorkerError> {
        let held = self.held()?;
        let adapters = self.adapters.load_full();
        let mut done = 0;
        for (key, connection) in &adapters.connections {
            let now = self.clock.now();
            let every = SignedDuration::try_from(connection.wiring.every).unwrap_or(SignedDuration::from_secs(60));
            // Further ahead than an interval: the clock was ahead when that was written, and has been put right.
            if lock(&self.next_sync).get(key).is_some_and(|at| *at > now && *at <= now + every) {
                continue;
            }
            done += self.sync(&held, key, connection, now).await?;
            lock(&self.next_sync).insert(key.clone(), now + every);
        }
        Ok(done)
    }

    /// Reads a connection at the next pass, whatever its interval.
    pub fn sync_soon(&self) {
        lock(&self.next_sync).clear();
        self.wake();
    }

    async fn sync(&self, held: &Held, key: &str, connection: &ConnectionState, now: Timestamp) -> Result<usize, WorkerError> {
        let mut cursor = self.journal.cursor(key).await?;
        let readers = self.readers(key);
        // Read by a version for which the contact read last spoke for all who share its address: all of them are asked once more.
        let anew = !cursor.weighed && !readers.is_empty();
        cursor.met.retain(|met| readers.contains(met));
        let newcomers: Vec<String> = readers.iter().filter(|reader| !cursor.met.contains(reader)).cloned().collect();
        let meeting = if anew { &readers } else { &newcomers };
        if !meeting.iter().all(|reader| cursor.meeting.contains(reader)) {
            // The CRM has not changed, but to a new funnel all of it is new. The position stays: with it the connector tells an emptied
            // source from a small one.
            cursor.meeting.clone_from(meeting);
        }
        let introduce = anew || !newcomers.is_empty();
        // Where it was broken off, nobody knows any more who was seen: it begins again, and stays unfinished until its end.
        let mut unfinished = std::mem::take(&mut cursor.looking);
        let (met, meeting, weighed) = (cursor.met.clone(), cursor.meeting.clone(), cursor.weighed);
        match if unfinished { Ok(true) } else { connection.connector.changed(&cursor).await } {
            Ok(true) => {}
            Ok(false) => {
                cursor.read_at = Some(now);
                cursor.error = None;
                self.journal.set_cursor(&held.lease, key, &cursor).await?;
                return Ok(0);
            }
            Err(error) => return self.sync_failed(held, key, cursor, &error).await,
        }
        let managers = self.journal.managers(key).await?;
        let mut managers: HashMap<ManagerId, Manager> = managers.into_iter().map(|m| (m.id.clone(), m)).collect();
        let (mut done, mut seen) = (0, HashSet::new());
        loop {
            // A long import outlives a lease: each page runs under the newest renewal.
            let held = self.held()?;
            let mut page = match connection.connector.read(&cursor, PAGE, now).await {
                Ok(page) => page,
                Err(error) => {
                    let cursor = Cursor { looking: unfinished, ..cursor };
                    return self.sync_failed(&held, key, cursor, &error).await;
                }
            };
            let (more, full_look, torn) = (page.more, page.full_look, page.torn);
            let people = (page.managers_there.take(), page.contacts_there.take());
            let here = page.deals.iter().map(|deal| &deal.id).chain(&page.kept);
            seen.extend(here.map(|id| stable_hash(&[id.as_bytes()])));
            managers.extend(page.managers.iter().map(|m| (m.id.clone(), m.clone())));
            // Whoever is gone is known only after the last page: until that is stored as well, the look is not finished.
            let before = Cursor { looking: true, ..std::mem::replace(&mut cursor, page.cursor.clone()) };
            (cursor.looking, unfinished) = (more, more);
            (cursor.met, cursor.meeting, cursor.weighed) = (met.clone(), meeting.clone(), weighed);
            if !more {
                // Rows that cannot be read may stay so for ever: all others are not asked again because of them.
                if !torn {
                    cursor.weighed |= anew;
                    cursor.meeting.retain(|reader| newcomers.contains(reader));
                }
                if full_look {
                    cursor.met.append(&mut cursor.meeting);
                }
                cursor.read_at = Some(now);
                cursor.complete |= full_look;
                cursor.error = None;
            }
            let leaves = !more && full_look;
            let reached = if leaves { &before } else { &cursor };
            done += self.take_over(&held, key, page, reached, &managers, introduce, now).await?;
            if more {
                continue;
            }
            if leaves {
                done += self.take_leave(key, &seen, &managers, now).await?;
                self.forget_people(key, people, &managers, now).await?;
                self.journal.set_cursor(&self.held()?.lease, key, &cursor).await?;
            }
            return Ok(done);
        }
    }

    /// Who reads this connection, each with what it looks for in it.
    fn readers(&self, key: &str) -> Vec<String> {
        let plans = self.plans.load();
        let name = |live: &Live| format!("{} {}", live.plan.funnel, live.plan.pipeline.as_deref().unwrap_or_default());
        plans.reading(key).map(name).collect()
    }

    async fn sync_failed(&self, held: &Held, key: &str, mut cursor: Cursor, error: &CrmError) -> Result<usize, WorkerError> {
        tracing::warn!(connection = key, label = error.label(), %error, "the CRM could not be read");
        self.metrics.sync_failed(key, error.label());
        cursor.error = Some(error.to_string());
        self.journal.set_cursor(&held.lease, key, &cursor).await?;
        Ok(0)
    }

    #[allow(clippy::too_many_arguments)] // one page with everything around it
    async fn take_over(
        &self,
        held: &Held,
        key: &str,
        page: ReadPage,
        cursor: &Cursor,
        managers: &HashMap<ManagerId, Manager>,
        introduce: bool,
        now: Timestamp,
    ) -> Result<usize, WorkerError> {
        let ids: Vec<String> = page.deals.iter().map(|d| d.id.clone()).collect();
        let stored: HashMap<String, _> = self.journal.stored(key, &ids).await?.into_iter().map(|s| (s.id.clone(), s)).collect();
        let changed: Vec<(Deal, i64)> = page
            .deals
            .into_iter()
            .filter_map(|deal| {
                let hash = hash_of(&deal);
                let fresh = stored.get(&deal.id).is_none_or(|old| {
                    // An older page never overwrites a newer state.
                    // A deal that has not changed is told again only where some funnel has not met it.
                    (old.hash != hash || old.deleted || introduce)
                        && !(deal.updated_at.is_some() && deal.updated_at < old.updated_at)
                });
                fresh.then_some((deal, hash))
            })
            .collect();
        let contacts = self.contacts_for(key, &page.contacts, &changed).await?;
        let news = self.news(key, &page.contacts).await?;
        let mut prepared = Prepared::default();
        let count = self.decide_deals(&mut prepared, key, &changed, &contacts, managers, now).await?;
        let woken = self.decide_people(&mut prepared, key, &news, &changed, &contacts, managers, now).await?;
        self.bury(&held.lease, &mut prepared, now).await?;
        let page = Page {
            connection: key.to_owned(),
            // Of those who say what they have said before, the words are weighed already.
            contacts: page.contacts.into_iter().filter(|contact| introduce || news.contains(&contact.id)).collect(),
            managers: page.managers,
            deals: changed,
            cursor: Some(cursor.clone()),
            ..Page::default()
        };
        self.commit_and_send(held, prepared, Batch { now: Some(now), page: Some(page), ..Batch::default() }).await?;
        self.metrics.deals(key, count);
        Ok(count + woken)
    }

    /// Deals that a full look did not see are gone from the CRM.
    async fn take_leave(
        &self,
        key: &str,
        seen: &HashSet<u64>,
        managers: &HashMap<ManagerId, Manager>,
        now: Timestamp,
    ) -> Result<usize, WorkerError> {
        let (mut after, mut count) = (String::new(), 0);
        loop {
            // A look over a million deals outlives a lease, and must not hold a million ids.
            let held = self.held()?;
            let page = self.journal.deal_ids(key, &after, IDS).await?;
            let Some(last) = page.last() else { return Ok(count) };
            after.clone_from(last);
            let gone: Vec<String> = page.into_iter().filter(|id| !seen.contains(&stable_hash(&[id.as_bytes()]))).collect();
            for ids in gone.chunks(PAGE) {
                self.leave(&held, key, ids, managers, now).await?;
            }
            count += gone.len();
        }
    }

    /// Managers and contacts of whom a full look says nothing any more: nobody is told through the ones or written to through the others.
    /// What was done and sent stays told, and waiting messages keep their addresses.
    async fn forget_people(
        &self,
        key: &str,
        (managers_there, contacts_there): (Option<Ids>, Option<Ids>),
        managers: &HashMap<ManagerId, Manager>,
        now: Timestamp,
    ) -> Result<(), WorkerError> {
        if let Some(there) = managers_there {
            let gone: Vec<ManagerId> = managers.keys().filter(|id| !there.has(&id.0)).cloned().collect();
            for gone in gone.chunks(PAGE) {
                self.forget(Page { connection: key.to_owned(), gone_managers: gone.to_vec(), ..Page::default() }, now).await?;
            }
        }
        let Some(there) = contacts_there else { return Ok(()) };
        let mut after = String::new();
        loop {
            let page = self.journal.contact_ids(key, &after, IDS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(last);
            let gone: Vec<String> = page.into_iter().filter(|id| !there.has(id)).collect();
            for gone in gone.chunks(PAGE) {
                self.forget(Page { connection: key.to_owned(), gone_contacts: gone.to_vec(), ..Page::default() }, now).await?;
            }
        }
    }

    async fn forget(&self, page: Page, now: Timestamp) -> Result<(), WorkerError> {
        let batch = Batch { now: Some(now), page: Some(page), ..Batch::default() };
        self.journal.commit(&self.held()?.lease, batch).await?;
        Ok(())
    }

    async fn leave(
        &self,
        held: &Held,
        key: &str,
        ids: &[String],
        managers: &HashMap<ManagerId, Manager>,
        now: Timestamp,
    ) -> Result<(), WorkerError> {
        let subjects = self.journal.load(&Load::Deals { connection: key.to_owned(), ids: ids.to_vec() }, now).await?;
        let mut deals: HashMap<String, Deal> = subjects.into_iter().map(|s| (s.deal.id.clone(), s.deal)).collect();
        let changed: Vec<(Deal, i64)> = ids
            .iter()
            .map(|id| {
                let mut deal = deals.remove(id).unwrap_or_else(|| Deal { id: id.clone(), ..Deal::default() });
                deal.state = DealState::Deleted;
                let hash = hash_of(&deal);
                (deal, hash)
            })
            .collect();
        let mut prepared = Prepared::default();
        self.decide_deals(&mut prepared, key, &changed, &HashMap::new(), managers, now).await?;
        self.bury(&held.lease, &mut prepared, now).await?;
        let page = Page { connection: key.to_owned(), deals: changed, ..Page::default() };
        self.commit_and_send(held, prepared, Batch { now: Some(now), page: Some(page), ..Batch::default() }).await?;
        Ok(())
    }

    /// Which contacts of a page tell something new. Most pages tell nothing: they cost this one question, and are not written down again.
    async fn news(&self, key: &str, read: &[Contact]) -> Result<HashSet<String>, WorkerError> {
        // The last of each id counts, as in the store.
        let read: BTreeMap<&String, &Contact> = read.iter().map(|contact| (&contact.id, contact)).collect();
        if read.is_empty() {
            return Ok(HashSet::new());
        }
        let ids: Vec<String> = read.keys().map(|id| (*id).clone()).collect();
        let stored = self.journal.contacts(key, &ids).await?;
        let stored: HashMap<&String, &Contact> = stored.iter().map(|contact| (&contact.id, contact)).collect();
        let is_known = |contact: &Contact| stored.get(&contact.id).is_some_and(|known| as_stored(contact).as_ref() == Some(*known));
        Ok(read.into_values().filter(|contact| !is_known(contact)).map(|contact| contact.id.clone()).collect())
    }

    /// Looks again at the deals of contacts that tell something new: conditions, dates and time zones are the client's, too. The deal has
    /// not changed, so nobody counts as having worked on it.
    #[allow(clippy::too_many_arguments)] // one page with everything around it
    async fn decide_people(
        &self,
        prepared: &mut Prepared,
        key: &str,
        news: &HashSet<String>,
        decided: &[(Deal, i64)],
        contacts: &HashMap<String, Contact>,
        managers: &HashMap<ManagerId, Manager>,
        now: Timestamp,
    ) -> Result<usize, WorkerError> {
        if news.is_empty() {
            return Ok(0);
        }
        let decided: HashSet<&str> = decided.iter().map(|(deal, _)| deal.id.as_str()).collect();
        let mut ids: Vec<String> = news.iter().cloned().collect();
        ids.sort_unstable();
        let of = |ids| Load::Contacts { connection: key.to_owned(), ids };
        let mut count = 0;
        for mut loaded in self.load_sound_of(of, ids, now).await? {
            // A client's other deals may name other contacts, or stand in another CRM.
            let first = loaded.deal.contacts.first().filter(|id| news.contains(*id));
            let Some(contact) = first.and_then(|id| contacts.get(id)) else { continue };
            if loaded.connection != key || decided.contains(loaded.deal.id.as_str()) {
                continue;
            }
            rewire(&mut loaded, Some(contact), managers);
            let old = Some(Box::new(loaded.deal.clone()));
            self.decide_into(prepared, loaded, &Event::Deal { old }, now);
            count += 1;
        }
        Ok(count)
    }

    async fn contacts_for(
        &self,
        key: &str,
        read: &[Contact],
        deals: &[(Deal, i64)],
    ) -> Result<HashMap<String, Contact>, WorkerError> {
        let mut contacts: HashMap<String, Contact> = read.iter().map(|c| (c.id.clone(), c.clone())).collect();
        let missing: Vec<String> = deals
            .iter()
            .filter_map(|(deal, _)| deal.contacts.first())
            .filter(|id| !contacts.contains_key(*id))
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        if !missing.is_empty() {
            contacts.extend(self.journal.contacts(key, &missing).await?.into_iter().map(|c| (c.id.clone(), c)));
        }
        Ok(contacts)
    }

    /// Decides changed deals in every funnel that reads this connection.
    async fn decide_deals(
        &self,
        prepared: &mut Prepared,
        key: &str,
        changed: &[(Deal, i64)],
        contacts: &HashMap<String, Contact>,
        managers: &HashMap<ManagerId, Manager>,
        now: Timestamp,
    ) -> Result<usize, WorkerError> {
        let ids: Vec<String> = changed.iter().map(|(deal, _)| deal.id.clone()).collect();
        let of = |ids| Load::Deals { connection: key.to_owned(), ids };
        let loaded = self.load_sound_of(of, ids, now).await?;
        let mut known: HashMap<String, Vec<Loaded>> = HashMap::new();
        for subject in loaded {
            known.entry(subject.deal.id.clone()).or_default().push(subject);
        }
        let plans = self.plans.load_full();
        let funnels: Vec<Live> = plans.reading(key).cloned().collect();
        for (deal, _) in changed {
            let mut copies = known.remove(&deal.id).unwrap_or_default();
            for live in &funnels {
                let at = copies.iter().position(|s| s.copy.funnel == live.plan.funnel);
                let in_pipeline = in_pipeline(&live.plan, &deal.pipeline);
                let (mut subject, old) = match at {
                    Some(at) => {
                        let subject = copies.swap_remove(at);
                        let old = subject.deal.clone();
                        (subject, Some(Box::new(old)))
                    }
                    None if in_pipeline && deal.state != DealState::Deleted => {
                        let subject = fresh(live, deal, contact_of(deal, contacts), managers, now);
                        (Loaded { connection: key.to_owned(), subject }, None)
                    }
                    None => continue,
                };
                subject.deal = deal.clone();
                if !in_pipeline {
                    // Moved to a pipeline that this funnel does not read: it leaves, like a deleted one.
                    subject.deal.state = DealState::Deleted;
                }
                if old.is_some() {
                    let contact = contact_of(&subject.deal, contacts);
                    rewire(&mut subject, contact, managers);
                }
                self.decide_into(prepared, subject, &Event::Deal { old }, now);
            }
        }
        Ok(changed.len())
    }
}

/// The canonical form's hash: what tells a real change from the same state read again.
fn hash_of(deal: &Deal) -> i64 {
    let bytes = serde_json::to_vec(deal).unwrap_or_default();
    i64::from_be_bytes(stable_hash(&[&bytes]).to_be_bytes())
}

/// A contact as it comes back from the store, which may round its numbers.
fn as_stored(contact: &Contact) -> Option<Contact> {
    serde_json::from_slice(&serde_json::to_vec(contact).ok()?).ok()
}

/// Whether the funnel copies deals of that pipeline.
pub(crate) fn in_pipeline(plan: &Plan, pipeline: &str) -> bool {
    plan.pipeline.as_ref().is_none_or(|p| same_title(p, pipeline))
}

/// The contact that we write to, if it was read.
fn contact_of<'c>(deal: &Deal, contacts: &'c HashMap<String, Contact>) -> Option<&'c Contact> {
    deal.contacts.first().and_then(|id| contacts.get(id))
}

/// A subject for a deal that has no copy in this funnel yet.
pub(crate) fn fresh(
    live: &Live,
    deal: &Deal,
    contact: Option<&Contact>,
    managers: &HashMap<ManagerId, Manager>,
    now: Timestamp,
) -> Subject {
    let copy = Copy {
        id: CopyId(0),
        funnel: live.plan.funnel.clone(),
        client: ClientId(0),
        shard: 0,
        ver: 0,
        role: Role::Archived,
        stage: String::new(),
        cycle: 0,
        amount: deal.amount,
        next_at: None,
        next_seq: 0,
        state: CopyState::default(),
    };
    let mut subject = Subject {
        copy,
        deal: deal.clone(),
        contact: None,
        client: Client::default(),
        manager: None,
        deputy: None,
        supervisor: None,
        ledger: Vec::new(),
        crm_read_at: Some(now),
        spent: Spent::default(),
        priced: Vec::new(),
    };
    rewire(&mut subject, contact, managers);
    subject
}

/// Contact and managers as the new state of the deal names them.
pub(crate) fn rewire(subject: &mut Subject, contact: Option<&Contact>, managers: &HashMap<ManagerId, Manager>) {
    if let Some(contact) = contact {
        subject.contact = Some(contact.clone());
    }
    let manager = subject.deal.manager.as_ref().and_then(|id| managers.get(id));
    subject.supervisor = manager.and_then(|m| m.supervisor.as_ref()).and_then(|id| managers.get(id)).cloned();
    subject.deputy = manager.and_then(|m| m.deputy.as_ref()).and_then(|id| managers.get(id)).cloned();
    subject.manager = manager.cloned();
}
