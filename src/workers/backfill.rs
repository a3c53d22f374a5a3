//! Old lost deals are admitted slowly, so many a day, each with its own clock.

use super::{
    engine::{Engine, WorkerError, lock},
    plans::connection_key,
    prepare::Prepared,
};
use crate::{
    engine::{Backfill, Event, admit_backfill},
    model::{FunnelKey, Role},
    store::{Batch, Cursor},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// How often a funnel's share is looked at.
pub(crate) const EVERY: SignedDuration = SignedDuration::from_mins(10);

/// Zones and clock changes move the end of a calendar span by less.
const SLACK: SignedDuration = SignedDuration::from_hours(48);

/// How many were admitted on which day (the policy's zone). Kept as a cursor in the store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Admitted {
    day: String,
    pub(crate) count: u32,
}

impl Admitted {
    /// Where it is stored.
    pub(crate) fn cursor_key(funnel: &FunnelKey) -> String {
        format!("@backfill/{funnel}")
    }

    /// How many more may be admitted at `now`: evenly over the day, by noon half of them.
    pub(crate) fn room(&mut self, backfill: &Backfill, zone: &TimeZone, now: Timestamp) -> u32 {
        let local = now.to_zoned(zone.clone());
        let today = local.date().to_string();
        if self.day != today {
            *self = Self { day: today, count: 0 };
        }
        let minutes = u64::from(local.hour().unsigned_abs()) * 60 + u64::from(local.minute().unsigned_abs()) + 10;
        let share = u32::try_from(u64::from(backfill.per_day) * minutes / 1440).unwrap_or(backfill.per_day).min(backfill.per_day);
        share.saturating_sub(self.count)
    }
}

impl Engine {
    /// Every ten minutes: admits each funnel's share of its daily number.
    pub(super) async fn backfill_pass(&self) -> Result<usize, WorkerError> {
        let held = self.held()?;
        let now = self.clock.now();
        {
            let mut next = lock(&self.next_backfill);
            if next.is_some_and(|at| at > now) {
                return Ok(0);
            }
            *next = Some(now + EVERY);
        }
        let plans = self.plans.load_full();
        let mut done = 0;
        for (funnel, live) in &plans.0 {
            let Some(backfill) = &live.plan.backfill else { continue };
            if live.plan.suspend || live.plan.policy.paused {
                // They would all be due together when the stop is taken back: their pace is lost.
                continue;
            }
            let key = Admitted::cursor_key(funnel);
            let cursor = self.journal.cursor(&key).await?;
            let mut admitted: Admitted = serde_json::from_value(cursor.position.clone()).unwrap_or_default();
            let room = admitted.room(backfill, &live.plan.policy.time_zone, now);
            if room == 0 {
                continue;
            }
            let ids = self.journal.backfill(funnel, backfill_since(backfill, now), room).await?;
            if ids.is_empty() {
                continue;
            }
            let mut prepared = Prepared::default();
            for loaded in self.load_sound(&held.lease, ids, now).await? {
                if loaded.connection != connection_key(&live.plan) {
                    // The funnel has just turned to another CRM: any look sends it away.
                    self.decide_into(&mut prepared, loaded, &Event::Timer, now);
                    continue;
                }
                let mut subject = loaded.subject;
                plans.introduce(&mut subject);
                let decision = admit_backfill(&live.plan, &subject, now);
                if decision.copy.role == Role::Backfill {
                    // Lost a little too long ago, by the client's own calendar: it waits in vain, and behind all others.
                    continue;
                }
                admitted.count += 1;
                done += 1;
                self.prepare(&mut prepared, live, subject, decision, now);
            }
            self.commit_and_send(&held, prepared, Batch { now: Some(now), ..Batch::default() }).await?;
            let position = serde_json::to_value(&admitted).unwrap_or_default();
            self.journal.set_cursor(&held.lease, &key, &Cursor { position, ..cursor }).await?;
        }
        Ok(done)
    }
}

/// Who was lost earlier is not even looked at. Days are the client's own and may be longer than 24 hours: a few more than that are.
#[must_use]
pub fn backfill_since(backfill: &Backfill, now: Timestamp) -> Timestamp {
    now.checked_sub(backfill.lost_within.signed() + SLACK).unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH)
}
