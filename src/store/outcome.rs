//! How facts about an effect are merged, in whatever order they come: delivered > accepted > unknown; a definite failure counts for
//! the attempt that it is about, unless the message was sent.

use super::{Mark, Resolution};
use crate::model::{EffectRef, EffectStatus, Outcome};
use jiff::Timestamp;

/// A provider by its channel (`namespace/name`): two channels may name their providers alike, and their gateways count alike.
#[must_use]
pub fn qualified(channel: &str, provider: &str) -> String {
    format!("{channel}/{provider}")
}

/// Channel and name of a provider that is [`qualified`].
pub(super) fn of_channel(provider: &str) -> Option<(&str, &str)> {
    provider.rsplit_once('/')
}

/// What a receipt said, whatever the send itself reported: the two may come in either order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Receipt {
    None = 0,
    Delivered = 1,
    Bounced = 2,
}

/// Attempts, and how often a message was sent again, are counted up to here: PostgreSQL keeps both in 16 bits. What is tried more often
/// goes on under this number.
pub(super) const MOST_ATTEMPTS: i32 = 32_000;

/// The number under which an attempt is known. The first hand-over is attempt 1, whether its reporter counts from 0 or from 1.
fn number(attempt: i32) -> i32 {
    attempt.clamp(1, MOST_ATTEMPTS)
}

pub(super) enum Work {
    Unchanged,
    Done,
    Again {
        at: Timestamp,
        payload: Option<String>,
    },
    /// Nothing more by itself; the text stays for whoever resolves it.
    Keep {
        payload: String,
    },
}

/// Where an effect stands while facts about it are merged.
pub(super) struct Standing {
    pub status: EffectStatus,
    pub attempt: i32,
    pub receipt: Receipt,
    pub at: Timestamp,
    pub has_payload: bool,
    /// Whether its channel sends again by itself what nobody can tell about, and how often that happened.
    pub resend: bool,
    pub resends: i32,
    pub work: Work,
    pub reason: Option<String>,
    pub provider: Option<String>,
    pub provider_id: Option<String>,
    pub refund: bool,
    pub bad_address: Option<Timestamp>,
}

impl Standing {
    pub(super) const fn new(status: EffectStatus, attempt: i32, receipt: Receipt, at: Timestamp, has_payload: bool) -> Self {
        Self {
            status,
            attempt,
            receipt,
            at,
            has_payload,
            resend: false,
            resends: 0,
            work: Work::Unchanged,
            reason: None,
            provider: None,
            provider_id: None,
            refund: false,
            bad_address: None,
        }
    }

    pub(super) fn merge(&mut self, mark: Mark) {
        // A receipt is about any attempt.
        let receipt = mark.attempt < 0;
        let mine = receipt || number(mark.attempt) == number(self.attempt);
        let settled =
            self.status.sent() || matches!(self.status, EffectStatus::Skipped | EffectStatus::Failed | EffectStatus::Expired);
        let done_elsewhere = settled || !mine;
        match mark.outcome {
            Outcome::Delivered => {
                self.receipt = Receipt::Delivered;
                if !self.status.sent() {
                    self.at = mark.at;
                }
                self.status = EffectStatus::Delivered;
                self.work = Work::Done;
            }
            Outcome::Accepted { provider, provider_id } => {
                if !self.status.sent() && self.receipt != Receipt::Bounced {
                    self.status = EffectStatus::Accepted;
                    self.at = mark.at;
                }
                self.provider = Some(provider);
                self.provider_id = provider_id;
                self.work = Work::Done;
            }
            Outcome::Rejected { reason, suppress } => {
                // A bounce comes after the acceptance; a refusal of an attempt never undoes one.
                let applies = if receipt { self.status != EffectStatus::Delivered } else { !done_elsewhere };
                if receipt && applies {
                    self.receipt = Receipt::Bounced;
                }
                if applies && !receipt && self.resends > 0 {
                    self.unclear(reason);
                } else if applies {
                    // What bounces was taken before, whichever news comes first: it counts. Only a refused attempt gives back.
                    self.refund = !receipt;
                    self.fail(EffectStatus::Failed, reason, mark.at);
                }
                if suppress && (applies || mine) {
                    self.bad_address = Some(mark.at);
                }
            }
            // An earlier hand-over may have been accepted: what becomes of a later one cannot take that back.
            Outcome::Expired if !done_elsewhere && self.resends > 0 => self.unclear("Expired".into()),
            Outcome::Expired if !done_elsewhere => {
                self.refund = true;
                self.fail(EffectStatus::Expired, "Expired".into(), mark.at);
            }
            Outcome::Unknown { reason } if !done_elsewhere => match mark.next {
                Some(next) if self.resend => {
                    self.resends = (self.resends + 1).min(MOST_ATTEMPTS);
                    self.again(next.at, next.payload, format!("unclear ({reason}), sent again"));
                }
                Some(next) => {
                    self.unclear(reason);
                    self.work = Work::Keep { payload: next.payload };
                }
                None => self.unclear(reason),
            },
            Outcome::Retry { reason, .. } | Outcome::ChannelDown { reason, .. } if !done_elsewhere => {
                if let Some(next) = mark.next {
                    self.again(next.at, next.payload, reason);
                } else if self.resends > 0 {
                    self.unclear(reason);
                } else {
                    self.refund = true;
                    self.fail(EffectStatus::Failed, reason, mark.at);
                }
            }
            Outcome::NotStarted if !done_elsewhere => match mark.next {
                Some(next) => self.put_off(next.at, next.payload),
                None if self.has_payload => self.put_off(mark.at, String::new()),
                None if self.resends > 0 => self.unclear("NotStarted".into()),
                None => {
                    self.refund = true;
                    self.fail(EffectStatus::Failed, "NotStarted".into(), mark.at);
                }
            },
            Outcome::Expired
            | Outcome::Unknown { .. }
            | Outcome::Retry { .. }
            | Outcome::ChannelDown { .. }
            | Outcome::NotStarted => {}
        }
    }

    fn unclear(&mut self, reason: String) {
        self.status = EffectStatus::Unknown;
        self.reason = Some(reason);
        self.work = Work::Done;
    }

    fn fail(&mut self, status: EffectStatus, reason: String, at: Timestamp) {
        self.status = status;
        self.reason = Some(reason);
        self.at = at;
        self.work = Work::Done;
    }

    /// That it may be the second time is still to be said once it has left.
    fn put_off(&mut self, at: Timestamp, payload: String) {
        let before = self.reason.take();
        self.again(at, payload, "NotStarted".into());
        if self.resends > 0 {
            // None: what is stored stays.
            self.reason = before;
        }
    }

    fn again(&mut self, at: Timestamp, payload: String, reason: String) {
        self.status = EffectStatus::Planned;
        self.reason = Some(reason);
        self.work = Work::Again { at, payload: Some(payload).filter(|p| !p.is_empty()) };
    }
}

/// What a person's word means as a fact about an attempt that nobody could tell about.
pub(super) fn resolution(effect: EffectRef, attempt: i32, how: Resolution, at: Timestamp) -> Mark {
    let (attempt, outcome) = match how {
        Resolution::Accepted => (attempt, Outcome::Accepted { provider: "by hand".into(), provider_id: None }),
        // As a receipt would say it: it holds for all attempts.
        Resolution::Dropped => (-1, Outcome::Rejected { reason: String::new(), suppress: false }),
        Resolution::Resend => (attempt, Outcome::NotStarted),
    };
    Mark { effect, attempt, outcome, at, next: None }
}

/// How the ledger names it.
pub(super) const fn resolved_reason(how: Resolution) -> &'static str {
    match how {
        Resolution::Accepted => "resolved by hand: the provider has it",
        Resolution::Dropped => "resolved by hand: not accepted, dropped",
        Resolution::Resend => "resolved by hand: not accepted, sent again",
    }
}
