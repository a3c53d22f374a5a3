//! Write-backs of a file connection: to the webhook, if there is one, then to the journal. At least once, in order for each deal.

use super::{CrmError, WriteBack, cloud_event, journal::Journal, webhook::Webhook};
use crate::compile::WebhookWiring;
use crate::model::Outcome;
use std::{collections::HashMap, io, path::PathBuf, sync::Arc};
use tokio::{sync::Mutex, task::JoinSet};

/// How many deals' events are under way at once.
const PARALLEL: usize = 8;

pub(super) struct WriteBacks {
    journal: Option<Arc<Mutex<PathBuf>>>,
    webhook: Option<Webhook>,
}

impl WriteBacks {
    pub fn new(path: Option<PathBuf>, webhook: Option<&WebhookWiring>) -> Result<Self, CrmError> {
        Ok(Self { journal: path.map(|path| Arc::new(Mutex::new(path))), webhook: webhook.map(Webhook::new).transpose()? })
    }

    /// One outcome for each job. What the journal holds was accepted by the webhook before.
    pub async fn write(&self, jobs: &[WriteBack]) -> Vec<Outcome> {
        if jobs.is_empty() {
            return Vec::new();
        }
        if self.journal.is_none() && self.webhook.is_none() {
            let reason = "the connection has nowhere to write; give it a journal or a webhook in `writeBack`";
            return jobs.iter().map(|_| Outcome::Rejected { reason: reason.into(), suppress: false }).collect();
        }
        // First see that the journal can be written at all: otherwise the webhook would hear of everything again and again.
        if let Err(outcome) = self.append(Vec::new()).await {
            return jobs.iter().map(|_| outcome.clone()).collect();
        }
        let events: Vec<String> = jobs.iter().map(|job| cloud_event::event(job).to_string()).collect();
        let mut outcomes = match &self.webhook {
            Some(webhook) => post(webhook, jobs, &events).await,
            None => jobs.iter().map(|_| Outcome::Accepted { provider: "journal".into(), provider_id: None }).collect(),
        };
        if self.journal.is_some() {
            let accepted = |outcome: &Outcome| matches!(outcome, Outcome::Accepted { .. });
            let lines = events.into_iter().zip(&outcomes).filter(|(_, o)| accepted(o)).map(|(line, _)| line).collect();
            if let Err(retry) = self.append(lines).await {
                outcomes.iter_mut().filter(|o| accepted(o)).for_each(|o| *o = retry.clone());
            }
        }
        outcomes
    }

    /// Appends lines (none: just sees whether it could). Opened anew each time, so that the file may be moved away.
    async fn append(&self, lines: Vec<String>) -> Result<(), Outcome> {
        let Some(journal) = self.journal.clone() else { return Ok(()) };
        let path = journal.lock_owned().await;
        let done = tokio::task::spawn_blocking(move || -> io::Result<()> {
            let mut journal = Journal::open(&path)?;
            if lines.is_empty() { Ok(()) } else { journal.append(&lines) }
        })
        .await;
        let reason = match done {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => error.to_string(),
            Ok(Err(error)) => error.kind().to_string(),
            Err(_) => "interrupted".into(),
        };
        Err(Outcome::Retry { reason: format!("the write-back journal cannot be written: {reason}"), after: None })
    }
}

/// Posts the events of several deals side by side, each deal's in their order. One that must be tried again holds up the later
/// ones of its deal; one that is refused for good does not.
async fn post(webhook: &Webhook, jobs: &[WriteBack], events: &[String]) -> Vec<Outcome> {
    let mut chains: Vec<Vec<(usize, String)>> = Vec::new();
    let mut chain_of: HashMap<&str, usize> = HashMap::new();
    for (index, (job, event)) in jobs.iter().zip(events).enumerate() {
        let chain = *chain_of.entry(&job.deal).or_insert_with(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        if let Some(chain) = chains.get_mut(chain) {
            chain.push((index, event.clone()));
        }
    }
    let mut outcomes = vec![Outcome::NotStarted; jobs.len()];
    let mut running = JoinSet::new();
    let mut waiting = chains.into_iter();
    loop {
        while running.len() < PARALLEL {
            let Some(chain) = waiting.next() else { break };
            let webhook = webhook.clone();
            running.spawn(async move {
                let mut results = Vec::with_capacity(chain.len());
                for (index, event) in chain {
                    let outcome = webhook.post(event).await;
                    let go_on = matches!(outcome, Outcome::Accepted { .. } | Outcome::Rejected { .. });
                    results.push((index, outcome));
                    if !go_on {
                        break;
                    }
                }
                results
            });
        }
        let Some(done) = running.join_next().await else { return outcomes };
        for (index, outcome) in done.unwrap_or_default() {
            if let Some(place) = outcomes.get_mut(index) {
                *place = outcome;
            }
        }
    }
}
