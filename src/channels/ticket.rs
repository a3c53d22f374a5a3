//! The promise that every job is reported exactly once, whatever happens to whoever carries it.

use super::{Job, Report};
use crate::model::{EffectRef, Outcome};
use tokio::sync::mpsc::UnboundedSender;

/// How far a job got: what a ticket says when it is dropped unreported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting,
    /// The provider has heard of it and cannot have accepted it.
    Begun,
    /// The provider may have it.
    Ambiguous,
}

/// One job's report, still to be made.
pub(super) struct Ticket {
    effect: EffectRef,
    attempt: i32,
    pub(super) progress: Progress,
    reports: Option<UnboundedSender<Report>>,
}

impl Ticket {
    pub(super) fn new(job: &Job, reports: &UnboundedSender<Report>) -> Self {
        Self { effect: job.effect, attempt: job.attempt, progress: Progress::Waiting, reports: Some(reports.clone()) }
    }

    /// Nobody waits for it any more.
    pub(super) fn abandoned(&self) -> bool {
        self.reports.as_ref().is_none_or(UnboundedSender::is_closed)
    }

    pub(super) fn report(mut self, outcome: Outcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Outcome) {
        if let Some(reports) = self.reports.take() {
            // Whoever no longer listens has the intent in the ledger and will find it unknown.
            let _ = reports.send(Report { effect: self.effect, attempt: self.attempt, outcome });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let outcome = match self.progress {
            Progress::Waiting => Outcome::NotStarted,
            Progress::Begun => Outcome::Retry { reason: "given up before it was handed over".into(), after: None },
            Progress::Ambiguous => Outcome::Unknown { reason: "given up while the provider had it".into() },
        };
        self.tell(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, Ticket};
    use crate::{
        channels::Job,
        content::Rendered,
        model::{Address, CopyId, EffectRef, Outcome, Phone},
    };
    use tokio::sync::mpsc;

    #[test]
    fn whoever_drops_a_job_reports_how_far_it_got() {
        let job = Job {
            effect: EffectRef { copy: CopyId(1), seq: 2 },
            attempt: 3,
            key: uuid::Uuid::nil(),
            to: Address::Phone(Phone::parse("+79990001122", "RU").unwrap()),
            message: Rendered::Sms { from: "X".into(), text: "hi".into() },
            receipt_url: None,
        };
        let (tx, mut rx) = mpsc::unbounded_channel();
        for progress in [Progress::Waiting, Progress::Begun, Progress::Ambiguous] {
            Ticket::new(&job, &tx).progress = progress;
        }
        Ticket::new(&job, &tx).report(Outcome::Delivered);
        drop(tx);
        let mut words = Vec::new();
        while let Some(report) = rx.blocking_recv() {
            assert_eq!((report.effect, report.attempt), (job.effect, 3));
            words.push(match report.outcome {
                Outcome::NotStarted => "not started",
                Outcome::Retry { .. } => "retry",
                Outcome::Unknown { .. } => "unknown",
                Outcome::Delivered => "delivered",
                _ => "?",
            });
        }
        assert_eq!(words, ["not started", "retry", "unknown", "delivered"]);
    }
}
