//! Email over SMTP (RFC 5321) with a client of our own: what became of a message is known as exactly as the protocol allows.

mod data;
mod delivery;
mod envelope;
mod pool;
mod reply;
mod session;
#[cfg(test)]
mod tests;
mod verdict;
mod wire;

pub(super) use data::split;

use super::{Channel, ChannelError, Job, Report, dkim::Signer, ticket::Ticket, tls};
use crate::{
    compile::{SmtpTls, SmtpWiring},
    model::Outcome,
};
use pool::{Item, Pool};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// How long answers are waited for. RFC 5321 §4.5.3.2; shorter ones manufacture duplicates, so users cannot set them.
#[derive(Clone, Debug)]
struct Timeouts {
    connect: Duration,
    greeting: Duration,
    command: Duration,
    data: Duration,
    block: Duration,
    dot: Duration,
    quit: Duration,
    /// How long an unused session stays open.
    idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            connect: Duration::from_secs(30),
            greeting: minutes(5),
            command: minutes(5),
            data: minutes(2),
            block: minutes(3),
            dot: minutes(10),
            quit: Duration::from_secs(5),
            idle: Duration::from_secs(30),
        }
    }
}

/// One SMTP server.
pub struct Smtp {
    name: String,
    pool: Arc<Pool>,
}

impl Smtp {
    /// `name` is the provider's, told with every acceptance.
    ///
    /// # Errors
    /// [`ChannelError::Settings`] for a host, name or certificate that cannot be used.
    pub fn open(name: &str, wiring: &SmtpWiring, signer: Option<Arc<Signer>>) -> Result<Self, ChannelError> {
        Self::with_timeouts(name, wiring, signer, Timeouts::default())
    }

    fn with_timeouts(name: &str, wiring: &SmtpWiring, signer: Option<Arc<Signer>>, limits: Timeouts) -> Result<Self, ChannelError> {
        let word = |text: &str| !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
        if !word(&wiring.host) {
            return Err(ChannelError::settings("`host` is not a host name", "write it like mail.example.com"));
        }
        if !word(&wiring.helo) {
            return Err(ChannelError::settings(
                "`helo` is not a host name",
                "write this host's public name, like rekindle.example.com",
            ));
        }
        let tls = match wiring.tls {
            SmtpTls::None => None,
            SmtpTls::Starttls | SmtpTls::Tls => Some(tls::client_config(wiring.ca.as_deref())?),
        };
        Ok(Self { name: name.to_owned(), pool: Arc::new(Pool::new(wiring.clone(), tls, signer, limits)) })
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.pool.close();
    }
}

#[async_trait::async_trait]
impl Channel for Smtp {
    async fn perform(&self, jobs: Vec<Job>, deadline: Instant, reports: mpsc::UnboundedSender<Report>) {
        let (done, mut outcomes) = mpsc::unbounded_channel();
        let items = jobs.into_iter().map(|job| Item { ticket: Ticket::new(&job, &done), job, deadline, returned: 0 });
        self.pool.push(items);
        drop(done);
        // If this future is dropped, `outcomes` closes and the pool passes over what is still queued.
        let mut withdrawn = false;
        loop {
            tokio::select! {
                report = outcomes.recv() => match report {
                    Some(mut report) => {
                        if let Outcome::Accepted { provider, .. } = &mut report.outcome {
                            provider.clone_from(&self.name);
                        }
                        let _ = reports.send(report);
                    }
                    None => return,
                },
                () = tokio::time::sleep_until(deadline), if !withdrawn => {
                    withdrawn = true;
                    self.pool.withdraw();
                }
            }
        }
    }

    fn close(&self) {
        self.pool.close();
    }

    fn capacity(&self) -> usize {
        // One more for each connection, so that none waits for its next message.
        self.in_flight_bound() + self.pool.wiring.connections.max(1) as usize
    }

    fn in_flight_bound(&self) -> usize {
        let wiring = &self.pool.wiring;
        wiring.connections.max(1) as usize * wiring.depth.max(1) as usize
    }
}
