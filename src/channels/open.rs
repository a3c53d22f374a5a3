//! From settings to a channel.

use super::{Channel, ChannelError, Job, Report, dkim::Signer, failover::in_order, http_sms::HttpSms, kannel::Kannel, smtp::Smtp};
use crate::{
    compile::{ChannelWiring, ProviderKind},
    model::{Medium, Outcome},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

/// Builds the channel that a `MessageChannel` declares. Connects to nothing yet.
///
/// # Errors
/// [`ChannelError::Settings`] naming the provider and the field, and what to write instead.
pub fn open(wiring: &ChannelWiring) -> Result<Arc<dyn Channel>, ChannelError> {
    let signer = wiring.dkim.as_ref().map(Signer::open).transpose()?.map(Arc::new);
    let mut providers: Vec<Arc<dyn Channel>> = Vec::with_capacity(wiring.providers.len());
    for provider in &wiring.providers {
        let opened: Result<(Medium, Arc<dyn Channel>), ChannelError> = match &provider.kind {
            ProviderKind::Smtp(smtp) => {
                Smtp::open(&provider.name, smtp, signer.clone()).map(|p| (Medium::Email, Arc::new(p) as Arc<dyn Channel>))
            }
            ProviderKind::Http(http) => HttpSms::open(&provider.name, http).map(|p| (Medium::Sms, Arc::new(p) as Arc<dyn Channel>)),
            ProviderKind::Kannel(kannel) => {
                Kannel::open(&provider.name, kannel).map(|p| (Medium::Sms, Arc::new(p) as Arc<dyn Channel>))
            }
        };
        let (medium, opened) = opened.map_err(|ChannelError::Settings { what, help }| {
            ChannelError::settings(format!("provider {}: {what}", provider.name), help)
        })?;
        if medium != wiring.medium {
            return Err(ChannelError::settings(
                format!("provider {} cannot send {}", provider.name, wiring.medium.as_str()),
                "use type: Smtp for email, Http or Kannel for sms",
            ));
        }
        providers.push(opened);
    }
    if providers.is_empty() {
        return Err(ChannelError::settings("the channel has no provider", "declare at least one under providers"));
    }
    let channel = in_order(providers);
    if wiring.test_recipients.is_empty() {
        return Ok(channel);
    }
    let only = wiring.test_recipients.iter().map(|address| address.trim().to_lowercase()).collect();
    Ok(Arc::new(TryOut { channel, only }))
}

/// A channel that writes to its test recipients only.
struct TryOut {
    channel: Arc<dyn Channel>,
    only: BTreeSet<String>,
}

#[async_trait::async_trait]
impl Channel for TryOut {
    async fn perform(&self, jobs: Vec<Job>, deadline: Instant, reports: UnboundedSender<Report>) {
        let (mine, others): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| self.only.contains(&job.to.as_str().to_lowercase()));
        for job in others {
            let outcome = Outcome::Rejected { reason: "not one of the channel's test recipients".into(), suppress: false };
            let _ = reports.send(Report { effect: job.effect, attempt: job.attempt, outcome });
        }
        self.channel.perform(mine, deadline, reports).await;
    }

    fn close(&self) {
        self.channel.close();
    }

    fn capacity(&self) -> usize {
        self.channel.capacity()
    }

    fn in_flight_bound(&self) -> usize {
        self.channel.in_flight_bound()
    }
}
