//! What an edit changes: the messages of two simulations of the same deals, compared.

use super::{
    edited::{Key, edited, key},
    report::{money, notes},
    run::Outcome,
    world::World,
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// By item, in the order of funnels and lists.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The days that both sides are simulated for.
    pub from: String,
    pub until: String,
    pub time_zone: String,
    /// Deals there are after the edit.
    pub deals: usize,
    /// What is to be known of the edited side alone: a condition that has no answer for some deals, say.
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
    /// Deals whose client does not get it within these days any more: their journey still has it before it.
    pub not_yet: Vec<String>,
    /// Deals whose client got it through another of their deals before the edit.
    pub through_other_deal: Vec<String>,
    /// Deals whose client gets it at another minute: earlier, later.
    pub earlier: Vec<String>,
    pub later: Vec<String>,
    /// Deals whose client gets it in another variant.
    pub changed_variant: Vec<String>,
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
pub fn diff((old_world, old): (&World, &Outcome), (new_world, new): (&World, &Outcome)) -> Difference {
    let deals = Deals::of(old_world, old, new_world);
    let (before, after) = (by_item(old, |deal| deal), by_item(new, |deal| deals.joint(deal)));
    let edits = edited(&old.run, &new.run);
    let ahead = Ahead::of(&deals, new);
    let names: BTreeSet<&Key> = before.keys().chain(after.keys()).chain(edits.keys()).collect();
    let nothing = Messages::default();
    // What was to be known before is no reason for what changes.
    let known = notes(old);
    let changes = names.into_iter().filter_map(|name| {
        let sides = (before.get(name).unwrap_or(&nothing), after.get(name).unwrap_or(&nothing));
        change(name, sides, edits.get(name).cloned().unwrap_or_default(), &deals, &ahead)
    });
    Difference {
        from: new.run.shown(new.run.from),
        until: new.run.shown(new.run.until),
        time_zone: new.run.time_zone().iana_name().unwrap_or("UTC").to_owned(),
        deals: new_world.deals(),
        notes: notes(new).into_iter().filter(|note| !known.contains(note)).collect(),
        before: old.tally.sent.len(),
        after: new.tally.sent.len(),
        items: changes.collect(),
    }
}

/// What becomes of one item; `None` if nothing does.
#[allow(clippy::cast_precision_loss)] // hours for people
fn change(
    name: &Key,
    (before, after): (&Messages, &Messages),
    edited: Vec<&'static str>,
    deals: &Deals<'_>,
    ahead: &Ahead,
) -> Option<ItemChange> {
    let (was, is) = (&before.at, &after.at);
    let only = |these: &BTreeMap<Cycle, Timestamp>, those: &BTreeMap<Cycle, Timestamp>| -> Vec<(Timestamp, Cycle)> {
        these.iter().filter(|(key, _)| !those.contains_key(*key)).map(|(key, at)| (*at, *key)).collect()
    };
    let (mut gained, mut lost) = (only(is, was), only(was, is));
    let paired = pairs(deals, &mut gained, &mut lost);
    let (not_yet, lost): (Vec<_>, Vec<_>) = lost.into_iter().partition(|(_, key)| ahead.has(*key, name));
    let both = was.iter().filter_map(|(key, then)| Some((*key, *then, *is.get(key)?)));
    let minute = |at: Timestamp| at.as_second().div_euclid(60);
    let moved: Vec<(Cycle, i64)> = both
        .chain(paired.iter().map(|((then, _), (now, key))| (*key, *then, *now)))
        .map(|(key, then, now)| (key, minute(now) - minute(then)))
        .filter(|(_, by)| *by != 0)
        .collect();
    let name_of =
        |side: &Messages, key: &Cycle| side.variants.get(key).and_then(|place| side.names.get(usize::from(*place))).cloned();
    let reworded = was.keys().filter(|key| is.contains_key(*key) && name_of(before, key) != name_of(after, key));
    let reworded: Vec<Cycle> = reworded.copied().collect();
    let same = before.parts == after.parts && before.cost == after.cost;
    let stays = [gained.is_empty(), lost.is_empty(), not_yet.is_empty(), paired.is_empty(), moved.is_empty(), reworded.is_empty()];
    if stays.into_iter().all(|stays| stays) && edited.is_empty() && same {
        return None;
    }
    let mut shifts: Vec<i64> = moved.iter().map(|(_, by)| *by).collect();
    shifts.sort_unstable();
    let middle = shifts.get(shifts.len() / 2).copied().unwrap_or(0);
    let ids = |keys: Vec<Cycle>| keys.into_iter().map(|(deal, _)| deals.id(deal)).collect::<Vec<_>>();
    let of = |messages: Vec<(Timestamp, Cycle)>| {
        let mut keys: Vec<Cycle> = messages.into_iter().map(|(_, key)| key).collect();
        keys.sort_unstable();
        ids(keys)
    };
    Some(ItemChange {
        funnel: name.0.clone(),
        list: name.1.clone(),
        item: name.2.clone(),
        before: was.len() as u64,
        after: is.len() as u64,
        gained: of(gained),
        lost: of(lost),
        not_yet: of(not_yet),
        through_other_deal: of(paired.into_iter().map(|(_, now)| now).collect()),
        earlier: ids(moved.iter().filter(|(_, by)| *by < 0).map(|(key, _)| *key).collect()),
        later: ids(moved.iter().filter(|(_, by)| *by > 0).map(|(key, _)| *key).collect()),
        changed_variant: ids(reworded),
        shift_hours: (middle as f64 / 6.0).round() / 10.0,
        edited,
        parts_before: before.parts,
        parts_after: after.parts,
        cost_before: before.amounts(),
        cost_after: after.amounts(),
    })
}

/// A deal in both worlds, and its cycle.
type Cycle = (u32, i32);

/// A message before the edit, and the one after it.
type Pair = ((Timestamp, Cycle), (Timestamp, Cycle));

/// Whoever got it through one of their deals and gets it through another has neither lost nor gained it. Each person's are paired in the
/// order of time; what finds no other stays.
fn pairs(deals: &Deals<'_>, gained: &mut Vec<(Timestamp, Cycle)>, lost: &mut Vec<(Timestamp, Cycle)>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    if gained.is_empty() || lost.is_empty() {
        return pairs;
    }
    gained.sort_unstable();
    lost.sort_unstable();
    let mut by_person: BTreeMap<u64, VecDeque<(Timestamp, Cycle)>> = BTreeMap::new();
    for message in lost.drain(..) {
        by_person.entry(deals.person(message.1.0)).or_default().push_back(message);
    }
    gained.retain(|message| {
        let before = by_person.get_mut(&deals.person(message.1.0)).and_then(VecDeque::pop_front);
        pairs.extend(before.map(|before| (before, *message)));
        before.is_none()
    });
    lost.extend(by_person.into_values().flatten());
    pairs
}

/// What the journeys after the edit have still before them.
struct Ahead {
    /// By deal and cycle: from this item of the run to the one before that.
    ranges: Vec<(Cycle, u32, u32)>,
    numbers: HashMap<Key, u32>,
}

impl Ahead {
    fn of(deals: &Deals<'_>, outcome: &Outcome) -> Self {
        let of = |ahead: &super::tally::Ahead| ((deals.joint(ahead.deal), ahead.cycle), ahead.from, ahead.until);
        let mut ranges: Vec<_> = outcome.tally.ahead.iter().map(of).collect();
        ranges.sort_unstable();
        let items = (0_u32..).zip(&outcome.run.items);
        Self { ranges, numbers: items.map(|(number, item)| (key(&outcome.run, item), number)).collect() }
    }

    fn has(&self, whose: Cycle, name: &Key) -> bool {
        let Some(number) = self.numbers.get(name) else { return false };
        let first = self.ranges.partition_point(|(key, ..)| *key < whose);
        let mut theirs = self.ranges.iter().skip(first).take_while(|(key, ..)| *key == whose);
        theirs.any(|(_, from, until)| (from..until).contains(&number))
    }
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

    /// Whose deal it is: a person of the old world, or one who shares no deal that was written about with any of them.
    fn person(&self, joint: u32) -> u64 {
        let of = |world: &World, deal: u32| world.deals.get(deal as usize).map_or(u32::MAX, |slot| slot.person);
        let Some(deal) = joint.checked_sub(self.behind()) else { return u64::from(of(self.old, joint)) };
        let number = of(self.new, deal);
        let theirs = self.new.people.get(number as usize).map_or(&[][..], |person| person.deals.as_slice());
        let known = theirs.iter().map(|deal| self.joint(*deal)).find(|joint| *joint < self.behind());
        known.map_or(u64::from(number) | (1 << 32), |joint| u64::from(of(self.old, joint)))
    }

    fn id(&self, joint: u32) -> String {
        joint.checked_sub(self.behind()).map_or_else(|| self.old.deal_id(joint), |deal| self.new.deal_id(deal))
    }
}

/// The messages of one item.
#[derive(Default)]
struct Messages {
    /// By deal and cycle.
    at: BTreeMap<Cycle, Timestamp>,
    /// Of an item that has variants: which of `names`.
    variants: BTreeMap<Cycle, u8>,
    names: Vec<String>,
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
        let key = (joint(sent.deal), sent.cycle);
        item.at.entry(key).or_insert(sent.at);
        if let Some(name) = outcome.run.variant(sent) {
            let place = item.names.iter().position(|known| known == name).unwrap_or_else(|| {
                item.names.push(name.to_owned());
                item.names.len() - 1
            });
            item.variants.entry(key).or_insert(u8::try_from(place).unwrap_or(u8::MAX));
        }
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
