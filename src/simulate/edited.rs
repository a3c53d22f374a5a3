//! In what an item differs between two plans, other than to whom and when it goes.

use super::run::{ItemOf, Run};
use crate::{
    content::{Body, ItemText},
    engine::Item,
};
use std::collections::BTreeMap;

/// Funnel, list, item.
pub(super) type Key = (String, String, String);

/// What marketers and those who pay call it. Items that only one of them has are new or gone, which is told by who gets them.
pub(super) fn edited(old: &Run, new: &Run) -> BTreeMap<Key, Vec<&'static str>> {
    let before: BTreeMap<Key, &ItemOf> = old.items.iter().map(|item| (key(old, item), item)).collect();
    let mut all = BTreeMap::new();
    for item in &new.items {
        let key = key(new, item);
        let Some(was) = before.get(&key) else { continue };
        let words = words(old, was, new, item);
        if !words.is_empty() {
            all.insert(key, words);
        }
    }
    all
}

pub(super) fn key(run: &Run, item: &ItemOf) -> Key {
    (run.funnel(item.funnel).to_owned(), item.list.clone(), item.item.clone())
}

fn words(old: &Run, was: &ItemOf, new: &Run, is: &ItemOf) -> Vec<&'static str> {
    let channel = |run: &Run, item: &ItemOf| {
        let channel = item.channel.and_then(|number| run.channels.get(usize::from(number)));
        (channel.map(|c| c.key.clone()), channel.and_then(|c| c.price.clone()))
    };
    let ((channel_was, price_was), (channel_is, price_is)) = (channel(old, was), channel(new, is));
    let mut words = Vec::new();
    let mut say = |differs: bool, word| words.extend(differs.then_some(word));
    if let (Some(a), Some(b)) = (old.text(was), new.text(is)) {
        // A template shows itself as it was written.
        let bodies = |text: &ItemText| text.bodies().map(body).collect::<Vec<_>>();
        say(bodies(a) != bodies(b) || names(a) != names(b), "text");
        say(format!("{:?} {:?}", a.links, a.utm) != format!("{:?} {:?}", b.links, b.utm), "links");
        say(format!("{:?}", a.sender) != format!("{:?}", b.sender), "sender");
    }
    if let (Some((salt_a, a)), Some((salt_b, b))) = (old.item_in_plan(was), new.item_in_plan(is)) {
        let shares = |item: &Item| item.variants.iter().map(|v| (v.name.clone(), v.weight)).collect::<Vec<_>>();
        say(shares(a) != shares(b) || !a.variants.is_empty() && salt_a != salt_b, "variants");
        say(a.send_as != b.send_as, "in whose name");
        say(a.purpose != b.purpose, "purpose");
    }
    say(channel_was != channel_is, "channel");
    say(price_was != price_is, "price");
    words
}

fn body(body: &Body) -> String {
    format!("{body:?}")
}

fn names(text: &ItemText) -> Vec<&String> {
    text.variants.keys().chain(text.translations.keys()).collect()
}
