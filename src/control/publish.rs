//! Watch → snapshot → compile → revision. The leader publishes; the others work by what it published, with addresses and secrets of
//! their own reading.

use super::{Control, standing::Standing};
use crate::{
    source::Reading,
    workers::{Phase, Published, WorkerError},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// One edit often comes as several objects: wait for the others, but not so long that anybody would notice.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How often a replica that works and does not publish looks for new revisions.
const LOOK: Duration = Duration::from_millis(400);
/// How often one that stands by does: it only answers clients.
const CALM: Duration = Duration::from_secs(2);
/// An API server that has not told everything by then is away, and what was kept of it counts.
const AWAY: Duration = Duration::from_secs(2);
/// What failed is tried again after that.
const AGAIN: Duration = Duration::from_secs(1);

impl Control {
    pub(super) async fn publish(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changes = self.cluster.changes();
        let mut leads = self.leads.subscribe();
        let (mut dirty, mut led) = (true, false);
        // Before the API server was asked: the stored revisions are what is in force.
        let mut next_look = Instant::now();
        let mut away_at = Some(Instant::now() + AWAY);
        while !*stop.borrow() {
            let leading = *leads.borrow_and_update();
            if leading != std::mem::replace(&mut led, leading) {
                dirty = true;
                self.set_standing(None);
            }
            let away = away_at.is_some_and(|at| at <= Instant::now());
            if self.engine.is_wired() || away && self.work_by_what_was_kept().await {
                away_at = None;
            }
            let pause = match self.publish_once(leading, dirty, &mut next_look).await {
                Some(done) => {
                    dirty &= !done;
                    LOOK
                }
                None => AGAIN,
            };
            let edited = tokio::select! {
                _ = changes.changed() => true,
                _ = leads.changed() => false,
                () = tokio::time::sleep(pause) => false,
                _ = stop.wait_for(|stop| *stop) => false,
            };
            if edited {
                tokio::time::sleep(DEBOUNCE).await;
                changes.borrow_and_update();
                dirty = true;
            }
        }
    }

    /// `Some(true)`: everything that was seen is in force now. `Some(false)`: not everything is seen yet. `None`: it failed.
    async fn publish_once(&self, leading: bool, dirty: bool, next_look: &mut Instant) -> Option<bool> {
        let mut failed = false;
        let reading = if dirty {
            self.cluster.read().await.unwrap_or_else(|error| {
                self.metrics.api_failed("read", error.label());
                tracing::warn!(label = error.label(), %error, "what resources refer to cannot be read; it is tried again");
                failed = true;
                None
            })
        } else {
            None
        };
        if let Some(reading) = &reading {
            self.cluster.remember(reading);
        }
        match reading {
            Some(reading) if leading => match self.put_in_force(&reading).await {
                Ok(published) => {
                    for (funnel, revision, fresh) in &published.funnels {
                        if *fresh {
                            tracing::info!(%funnel, revision, "in force");
                        }
                    }
                    for funnel in &published.retired {
                        tracing::info!(%funnel, "deleted: nothing more is sent, its history stays");
                    }
                    let before = self.standing();
                    let standing = Standing::new(reading, published, &self.engine.plans());
                    self.edited(before.as_deref(), &standing).await;
                    self.metrics.published();
                    self.set_standing(Some(standing));
                    Some(true)
                }
                Err(error) => self.cannot(&error),
            },
            Some(reading) => match self.engine.follow(Some(&reading.snapshot)).await {
                Ok(_) => Some(true),
                Err(error) => self.cannot(&error),
            },
            // A leader's own publications are in force already.
            None if leading && !dirty => Some(true),
            None => {
                if Instant::now() < *next_look {
                    return Some(!dirty);
                }
                let standby = *self.engine.phase().borrow() == Phase::Standby;
                *next_look = Instant::now() + if standby && !dirty { CALM } else { LOOK };
                match self.engine.follow(None).await {
                    Ok(_) if failed => None,
                    Ok(_) => Some(!dirty),
                    Err(error) => self.cannot(&error),
                }
            }
        }
    }

    async fn put_in_force(&self, reading: &Reading) -> Result<Published, WorkerError> {
        self.engine.publish_beside(&reading.snapshot, Some(&reading.declared()), &reading.unread).await
    }

    /// The API server was away when this process started: addresses and secrets as a process in the same place last read them. What is
    /// in force is told by the store. False: not yet.
    async fn work_by_what_was_kept(&self) -> bool {
        let Some(snapshot) = self.cluster.recall() else { return true };
        match self.engine.follow(Some(&snapshot)).await {
            Ok(_) => tracing::info!("the API server is away: addresses and secrets are those that were last read"),
            Err(error) => {
                self.cannot(&error);
                return false;
            }
        }
        true
    }

    fn cannot(&self, error: &WorkerError) -> Option<bool> {
        self.metrics.publish_failed(error.label());
        tracing::warn!(label = error.label(), "not published yet; what is in force stays in force");
        None
    }
}
