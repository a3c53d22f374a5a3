//! What messages cost, and what the budgets have left: the same for those who send and for those who simulate.

use super::{
    engine::{Engine, WorkerError},
    plans::Live,
    rendering::context_of,
};
use crate::{
    content,
    engine::{Decision, EffectKind, Event, Plan, Priced, Spent, Subject, decide, periods},
    model::Purpose,
    store::{Charge, Period},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Messages of one decision that turn out too dear for what is left, one after the other.
const MOST_TRIES: usize = 8;

/// Decides, and once more when a message turns out to cost more than its budget has left.
pub(crate) fn decide_within(live: &Live, subject: &mut Subject, event: &Event, now: Timestamp, base_url: Option<&str>) -> Decision {
    let mut decision = decide(&live.plan, subject, event, now);
    for _ in 0..MOST_TRIES {
        let Some(dear) = too_dear(live, subject, &decision, base_url) else { break };
        subject.priced.push(dear);
        decision = decide(&live.plan, subject, event, now);
    }
    decision
}

/// The decision's message, if its budget does not afford it.
fn too_dear(live: &Live, subject: &Subject, decision: &Decision, base_url: Option<&str>) -> Option<Priced> {
    live.plan.policy.budget.as_ref()?;
    decision.effects.iter().find_map(|effect| {
        let EffectKind::Message { channel, purpose, variant, .. } = &effect.kind else { return None };
        let budget = live.plan.budget(*purpose)?;
        let each = price(&live.plan, channel)?.each;
        let text = live.texts.items.get(&(effect.key.list.clone(), effect.key.item.clone()))?;
        let language = subject.contact.as_ref().and_then(|c| c.language.as_deref());
        // What cannot be rendered is left out in its turn, and costs nothing.
        let parts = content::measure_item(text, variant.as_deref(), language, &context_of(live, subject), base_url).ok()?;
        let cost = each.saturating_mul(i64::from(parts));
        let dear = Priced { list: effect.key.list.clone(), item: effect.key.item.clone(), cost };
        (!budget.affords(subject.spent, cost) && !subject.priced.contains(&dear)).then_some(dear)
    })
}

/// What a message through that `MessageChannel` costs, for each part.
pub(crate) fn price<'p>(plan: &'p Plan, resource: &str) -> Option<&'p crate::engine::Price> {
    plan.channels.iter().find(|channel| channel.resource == resource)?.price.as_ref()
}

/// How a message of so many parts is counted.
pub(crate) fn charge(plan: &Plan, resource: &str, purpose: Purpose, parts: u32, now: Timestamp) -> Option<Charge> {
    let price = price(plan, resource)?;
    let budget = plan.budget(purpose);
    Some(Charge {
        policy: plan.policy.key.clone(),
        currency: price.currency.clone(),
        day: periods(&plan.policy.time_zone, now).0,
        cost: price.each.saturating_mul(i64::from(parts)),
        per_day: budget.and_then(|budget| budget.per_day),
        per_month: budget.and_then(|budget| budget.per_month),
    })
}

/// What the budgets have spent, as one pass sees it: from the store, and what the pass adds. Only the engine spends, one pass after the
/// other; the store has the last word.
#[derive(Default)]
pub(super) struct Purse(BTreeMap<(String, String), Spent>);

impl Purse {
    pub fn spent(&self, plan: &Plan) -> Spent {
        let Some(budget) = &plan.policy.budget else { return Spent::default() };
        self.0.get(&(plan.policy.key.clone(), budget.currency.clone())).copied().unwrap_or_default()
    }

    pub fn add(&mut self, charge: &Charge) {
        let spent = self.0.entry((charge.policy.clone(), charge.currency.clone())).or_default();
        spent.day += charge.cost;
        spent.month += charge.cost;
    }
}

impl Engine {
    /// What the budgets of all funnels in force have spent.
    pub(super) async fn purse(&self, now: Timestamp) -> Result<Purse, WorkerError> {
        let plans = self.plans.load_full();
        let mut asked: BTreeMap<(String, String), (String, String)> = BTreeMap::new();
        for plan in plans.0.values().map(|live| &live.plan) {
            if let Some(budget) = &plan.policy.budget {
                let key = (plan.policy.key.clone(), budget.currency.clone());
                asked.insert(key, periods(&plan.policy.time_zone, now));
            }
        }
        if asked.is_empty() {
            return Ok(Purse::default());
        }
        let of = |(policy, currency): &(String, String), period: &str| Period {
            policy: policy.clone(),
            currency: currency.clone(),
            period: period.to_owned(),
        };
        let periods: Vec<Period> = asked.iter().flat_map(|(key, (day, month))| [of(key, day), of(key, month)]).collect();
        let spent = self.journal.spent(&periods).await?;
        let pairs = spent.chunks(2).map(|pair| match pair {
            [day, month] => Spent { day: *day, month: *month },
            _ => Spent::default(),
        });
        Ok(Purse(asked.into_keys().zip(pairs).collect()))
    }
}
