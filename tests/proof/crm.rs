//! The CRM: it repeats itself, shows old states, cannot be read at times, and applies write-backs whose reply gets lost.

use super::{fixture, node::Node, scenario::Fault, world::World};
use jiff::Timestamp;
use rekindle::{
    crm::{Connector, CrmError, Operation, ReadPage, WriteBack},
    model::{Contact, ContactConsent, Deal, DealState, Medium, Outcome, stable_hash},
    store::Cursor,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the CRM knows. It outlives all processes.
pub struct Crm {
    pub deals: BTreeMap<String, Deal>,
    before: BTreeMap<String, Deal>,
    pub version: u64,
    /// Of the next look only.
    pub old: Vec<String>,
    pub twice: bool,
    pub down: u64,
    /// Who took back their consent to what.
    refused: BTreeSet<(usize, Medium)>,
}

impl Crm {
    pub fn new() -> Self {
        let deals = (0..fixture::DEALS).map(|n| (fixture::deal_id(n), fixture::deal(n))).collect();
        Self { deals, before: BTreeMap::new(), version: 1, old: Vec::new(), twice: false, down: 0, refused: BTreeSet::new() }
    }

    /// A person takes back their consent.
    pub fn refuse(&mut self, person: usize, medium: Medium) {
        self.refused.insert((person, medium));
        self.version += 1;
    }

    fn contact(&self, person: usize) -> Contact {
        let said = |medium| self.refused.contains(&(person, medium)).then_some(false);
        let consent = ContactConsent { sms: said(Medium::Sms), email: said(Medium::Email) };
        Contact { consent, ..fixture::contact(person) }
    }

    /// Somebody changes a deal.
    pub fn change(&mut self, id: &str, now: Timestamp, change: impl FnOnce(&mut Deal)) {
        let Some(deal) = self.deals.get_mut(id) else { return };
        self.before.insert(id.to_owned(), deal.clone());
        change(deal);
        deal.updated_at = Some(now);
        self.version += 1;
    }
}

pub struct SimCrm {
    pub world: Arc<World>,
    pub node: Arc<Node>,
}

#[async_trait::async_trait]
impl Connector for SimCrm {
    async fn changed(&self, cursor: &Cursor) -> Result<bool, CrmError> {
        self.node.gate().await;
        if self.world.crm_is_down() {
            return Err(CrmError::Unavailable { what: "simulated".into(), source: None });
        }
        Ok(cursor.looking || cursor.position["version"] != json!(self.world.crm().version))
    }

    async fn read(&self, cursor: &Cursor, _: usize, _: Timestamp) -> Result<ReadPage, CrmError> {
        self.node.gate().await;
        if self.world.crm_is_down() {
            return Err(CrmError::Unavailable { what: "simulated".into(), source: None });
        }
        let mut crm = self.world.crm();
        let from = if cursor.looking { cursor.position["at"].as_u64().unwrap_or(0) } else { 0 };
        let here: Vec<Deal> = crm.deals.values().skip(usize::try_from(from).unwrap()).take(3).cloned().collect();
        let next = from + here.len() as u64;
        let more = next < crm.deals.len() as u64;
        let mut deals = Vec::new();
        for deal in here {
            let shown = if crm.old.contains(&deal.id) { crm.before.get(&deal.id).cloned().unwrap_or(deal) } else { deal };
            if crm.twice {
                deals.push(shown.clone());
            }
            deals.push(shown);
        }
        if !more && !crm.old.is_empty() {
            // The next look tells the truth again.
            crm.old.clear();
            crm.version += 1;
        }
        if !more {
            crm.twice = false;
        }
        // What was shown old is looked at again: the position is the version before.
        let position = json!({"version": crm.version - u64::from(!crm.old.is_empty()), "at": next});
        Ok(ReadPage {
            contacts: (0..fixture::PEOPLE).map(|person| crm.contact(person)).collect(),
            managers: vec![fixture::manager()],
            deals,
            full_look: !more,
            cursor: Cursor { position, rows: next, ..cursor.clone() },
            more,
            ..ReadPage::default()
        })
    }

    async fn write(&self, jobs: &[WriteBack]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut stuck: Vec<&str> = Vec::new();
        for job in jobs {
            self.node.gate().await;
            let fault = self.world.fault();
            match fault {
                Some(Fault::CrashBefore) => self.node.die().await,
                Some(Fault::PausedBefore(ms) | Fault::PausedAfter(ms)) => self.node.pause(ms),
                _ => {}
            }
            self.node.gate().await;
            if stuck.contains(&job.deal.as_str()) {
                outcomes.push(Outcome::NotStarted);
                continue;
            }
            let n = self.world.ops() ^ stable_hash(&[job.effect.to_string().as_bytes()]) >> 8;
            let manners = self.world.manners();
            if fault == Some(Fault::Refused) || self.world.crm_is_down() || self.world.dice.chance("busy", n, manners.crm_busy) {
                stuck.push(&job.deal);
                outcomes.push(Outcome::Retry { reason: "busy".into(), after: None });
                continue;
            }
            self.apply(job);
            if fault == Some(Fault::CrashAfter) {
                self.node.die().await;
            }
            if fault == Some(Fault::ReplyLost) || self.world.dice.chance("unsure", n, manners.crm_unsure) {
                stuck.push(&job.deal);
                outcomes.push(Outcome::Unknown { reason: "no reply".into() });
                continue;
            }
            outcomes.push(Outcome::Accepted { provider: "crm".into(), provider_id: None });
        }
        outcomes
    }
}

impl SimCrm {
    fn apply(&self, job: &WriteBack) {
        let word = match &job.operation {
            Operation::Move { .. } => "move",
            Operation::Comment { .. } => "comment",
            Operation::Task { .. } => "task",
            Operation::Notify { .. } => "notify",
        };
        self.world.truth().apply(job.effect, word);
        let now = self.world.now();
        if let Operation::Move { stage, expect } = &job.operation {
            let mut crm = self.world.crm();
            let as_expected = crm
                .deals
                .get(&job.deal)
                .is_some_and(|d| expect.as_ref().is_none_or(|e| *e == d.stage) && d.state != DealState::Deleted);
            if as_expected {
                crm.change(&job.deal, now, |deal| {
                    deal.stage.clone_from(stage);
                    deal.state = DealState::Open;
                    deal.lost_reason = None;
                    deal.stage_changed_at = Some(now);
                });
            }
        }
    }
}
