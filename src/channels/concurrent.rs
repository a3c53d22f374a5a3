//! Jobs side by side, as many at once as there are permits, none begun after the deadline.

use super::{Job, Report, ticket::Ticket};
use std::{future::Future, sync::Arc};
use tokio::{
    sync::{Semaphore, mpsc::UnboundedSender},
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// Runs `send` for each job. What cannot begin in time is dropped, which reports it as not started.
pub(super) async fn each<F, R>(
    permits: &Arc<Semaphore>,
    jobs: Vec<Job>,
    deadline: Instant,
    reports: &UnboundedSender<Report>,
    send: F,
) where
    F: Fn(Job, Ticket) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    for job in jobs {
        let ticket = Ticket::new(&job, reports);
        let permit = timeout_at(deadline, permits.clone().acquire_owned()).await;
        // The permit may have been free at once although the deadline had passed.
        let (Ok(Ok(permit)), true) = (permit, Instant::now() < deadline) else { continue };
        let sending = send(job, ticket);
        running.spawn(async move {
            sending.await;
            drop(permit);
        });
        while running.try_join_next().is_some() {}
    }
    while running.join_next().await.is_some() {}
}
