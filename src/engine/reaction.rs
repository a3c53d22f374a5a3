//! Speed to lead: how fast somebody reacts when a client shows interest, and who hears of it when nobody does. The clock starts when a
//! manager is asked to act (a click, a reply, a call that nobody took) and runs in working time.

use super::work::Work;
use super::{EffectKind, History, Interest, RemindWho, TaskText, add_working, notice, stage, working_elapsed};
use crate::model::{AddressHash, Deal, SignalKind};
use jiff::Timestamp;

impl Work<'_> {
    /// A manager was asked to act. The first unanswered interest counts: a second click does not turn the clock back.
    pub fn interest_shown(&mut self, text: &TaskText) {
        match text {
            // Somebody has just spoken to the client.
            TaskText::Revived { signal: SignalKind::InboundCall | SignalKind::TaskClosed }
            | TaskText::Called { signal: SignalKind::InboundCall | SignalKind::TaskClosed }
            | TaskText::Forgotten { .. }
            | TaskText::Unanswered { .. } => {}
            TaskText::Revived { .. } | TaskText::Called { .. } | TaskText::Clicked { .. } | TaskText::Replied => {
                let since = self.now;
                self.subject.copy.state.interest.get_or_insert(Interest { since, told: 0 });
            }
        }
    }

    /// Somebody called the client, closed the task, worked on the deal.
    pub fn reacted(&mut self, at: Timestamp) {
        let Some(interest) = self.subject.copy.state.interest.take() else { return };
        let took = working_elapsed(&self.plan.policy.working_hours, interest.since, at.max(interest.since));
        self.history.push(History::Reaction { seconds: took.as_secs() });
    }

    /// A change of the deal that a person made is a reaction.
    pub fn worked_on(&mut self, old: Option<&Deal>) {
        let (Some(old), Some(interest)) = (old, &self.subject.copy.state.interest) else { return };
        let deal = &self.subject.deal;
        let active = deal.last_activity_at.filter(|at| *at > interest.since);
        if let Some(at) = active.or_else(|| (!stage::same(&old.stage, &deal.stage)).then_some(self.now)) {
            self.reacted(at);
        }
    }

    /// Tells who stands above, each once for one interest. Sent by the timer; every other event only plans it.
    pub fn escalate(&mut self, timer: bool) {
        let plan = self.plan;
        let Some(interest) = self.subject.copy.state.interest.clone() else { return };
        if !self.live() || plan.suspend {
            return;
        }
        let hours = &plan.policy.working_hours;
        for (number, step) in (0_u32..).zip(&plan.managers.escalate).skip(interest.told as usize) {
            let due = add_working(hours, interest.since, step.after);
            if due > self.now || !timer {
                self.due(due);
                return;
            }
            if let Some(interest) = &mut self.subject.copy.state.interest {
                interest.told = number + 1;
            }
            let supervisor = step.who == RemindWho::Supervisor;
            let who =
                if supervisor { notice::supervisor(plan, &self.subject) } else { notice::manager(plan, &self.subject, self.now) };
            let Some(who) = who else {
                self.note("nobody to tell that the client waits: the deal has no manager and managers.fallback is not set");
                continue;
            };
            let minutes = working_elapsed(hours, interest.since, self.now).as_mins();
            let item = format!("unanswered-{}-{number}", interest.since.as_millisecond());
            self.history.push(History::Unanswered { minutes, supervisor });
            let text = TaskText::Unanswered { minutes };
            self.draft("@notify", item, AddressHash(who.0.clone()), EffectKind::Notify { who, text });
        }
    }
}
