//! What an edit changes: the messages of two simulations of the same deals, compared.

use super::{
    edited::{Key, edited, key},
    report::money,
    run::Outcome,
    world::World,
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// By item, in the order of funnels and lists.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub notes: Vec<String>,
    pub before: usize,
    pub after: usize,
    pub items: Vec<ItemChange>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemChange {
    pub funnel: String,
    pub list: String,
    pub item: String,
    pub before: u64,
    pub after: u64,
    /// Deals whose client gets it only after the edit.
    pub gained: Vec<String>,
    /// Deals whose client no longer gets it.
    pub lost: Vec<String>,
    /// Deals whose client gets it at another minute: earlier, later.
    pub earlier: Vec<String>,
    pub later: Vec<String>,
    /// The middle one of the shifts, in hours.
    pub shift_hours: f64,
    /// What else is edited: text, links, sender, variants, in whose name, purpose, channel, price.
    pub edited: Vec<&'static str>,
    /// SMS parts, and emails.
    pub parts_before: u64,
    pub parts_after: u64,
    /// By currency, of channels with a price.
    pub cost_before: BTreeMap<String, f64>,
    pub cost_after: BTreeMap<String, f64>,
}

/// Compares. The two worlds may have been read in different ways; a deal is the same if its connection and its id are.
#[must_use]
#[allow(clippy::cast_precision_loss)] // hours for people
pub fn diff((old_world, old): (&World, &Outcome), (new_world, new): (&World, &Outcome)) -> Difference {
    let deals = Deals::of(old_world, old, new_world);
    let (before, after) = (by_item(old, |deal| deal), by_item(new, |deal| deals.joint(deal)));
    let edits = edited(&old.run, &new.run);
    let names: BTreeSet<&Key> = before.keys().chain(after.keys()).chain(edits.keys()).collect();
    let nothing = Messages::default();
    let mut items = Vec::new();
    for name in names {
        let (before, after) = (before.get(name).unwrap_or(&nothing), after.get(name).unwrap_or(&nothing));
        let (was, is) = (&before.at, &after.at);
        let ids = |list: Vec<u32>| list.into_iter().map(|deal| deals.id(deal)).collect::<Vec<_>>();
        let gained = ids(is.keys().filter(|k| !was.contains_key(*k)).map(|(deal, _)| *deal).collect());
        let lost = ids(was.keys().filter(|k| !is.contains_key(*k)).map(|(deal, _)| *deal).collect());
        let minute = |at: &Timestamp| at.as_second().div_euclid(60);
        let moved: Vec<(u32, i64)> = was
            .iter()
            .filter_map(|(key, then)| Some((key.0, minute(is.get(key)?) - minute(then))))
            .filter(|(_, by)| *by != 0)
            .collect();
        let edited = edits.get(name).cloned().unwrap_or_default();
        let same = before.parts == after.parts && before.cost == after.cost;
        if gained.is_empty() && lost.is_empty() && moved.is_empty() && edited.is_empty() && same {
            continue;
        }
        let mut shifts: Vec<i64> = moved.iter().map(|(_, by)| *by).collect();
        shifts.sort_unstable();
        let middle = shifts.get(shifts.len() / 2).copied().unwrap_or(0);
        items.push(ItemChange {
            funnel: name.0.clone(),
            list: name.1.clone(),
            item: name.2.clone(),
            before: was.len() as u64,
            after: is.len() as u64,
            gained,
            lost,
            earlier: ids(moved.iter().filter(|(_, by)| *by < 0).map(|(deal, _)| *deal).collect()),
            later: ids(moved.iter().filter(|(_, by)| *by > 0).map(|(deal, _)| *deal).collect()),
            shift_hours: (middle as f64 / 6.0).round() / 10.0,
            edited,
            parts_before: before.parts,
            parts_after: after.parts,
            cost_before: before.amounts(),
            cost_after: after.amounts(),
        });
    }
    Difference { notes: Vec::new(), before: old.tally.sent.len(), after: new.tally.sent.len(), items }
}

/// One number for a deal of both worlds: the old world's, and behind them those that only the new one sends to.
struct Deals<'w> {
    old: &'w World,
    new: &'w World,
    /// Only of worlds that differ: what the old one sends to.
    known: HashMap<(String, String), u32>,
}

impl<'w> Deals<'w> {
    fn of(old: &'w World, outcome: &Outcome, new: &'w World) -> Self {
        let sent: BTreeSet<u32> = outcome.tally.sent.iter().map(|sent| sent.deal).filter(|_| !std::ptr::eq(old, new)).collect();
        let known = sent.into_iter().map(|deal| ((old.connection_of(deal).to_owned(), old.deal_id(deal)), deal)).collect();
        Self { old, new, known }
    }

    fn joint(&self, deal: u32) -> u32 {
        if std::ptr::eq(self.old, self.new) {
            return deal;
        }
        let key = (self.new.connection_of(deal).to_owned(), self.new.deal_id(deal));
        self.known.get(&key).copied().unwrap_or_else(|| deal.saturating_add(self.behind()))
    }

    fn behind(&self) -> u32 {
        u32::try_from(self.old.deals()).unwrap_or(u32::MAX)
    }

    fn id(&self, joint: u32) -> String {
        joint.checked_sub(self.behind()).map_or_else(|| self.old.deal_id(joint), |deal| self.new.deal_id(deal))
    }
}

/// The messages of one item.
#[derive(Default)]
struct Messages {
    /// By deal and cycle.
    at: BTreeMap<(u32, i32), Timestamp>,
    parts: u64,
    /// Ten-thousandths by currency.
    cost: BTreeMap<String, i64>,
}

impl Messages {
    fn amounts(&self) -> BTreeMap<String, f64> {
        self.cost.iter().map(|(currency, cost)| (currency.clone(), money(*cost))).collect()
    }
}

fn by_item(outcome: &Outcome, joint: impl Fn(u32) -> u32) -> BTreeMap<Key, Messages> {
    let mut all: BTreeMap<u32, Messages> = BTreeMap::new();
    for sent in &outcome.tally.sent {
        let item = all.entry(sent.item).or_default();
        item.at.entry((joint(sent.deal), sent.cycle)).or_insert(sent.at);
        item.parts += u64::from(sent.parts);
        if let Some((cost, currency)) = outcome.run.cost(sent) {
            if let Some(sum) = item.cost.get_mut(currency) {
                *sum += cost;
            } else {
                item.cost.insert(currency.to_owned(), cost);
            }
        }
    }
    all.into_iter().filter_map(|(item, messages)| Some((key(&outcome.run, outcome.run.item_of(item)?), messages))).collect()
}
