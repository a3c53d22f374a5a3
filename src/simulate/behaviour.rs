//! What clients and managers are supposed to do with what they get: declared rates, and a hash in place of chance.

use super::error::SimulateError;
use crate::model::{HumanDuration, Medium, Reaction, SignalKind, share, stable_hash};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Rates by medium and by item; the most particular that is declared counts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Behaviour {
    /// Of every message.
    #[serde(default)]
    pub all: Rates,
    #[serde(default)]
    pub sms: Rates,
    #[serde(default)]
    pub email: Rates,
    /// By `list/item`.
    #[serde(default)]
    pub items: BTreeMap<String, Rates>,
    /// What the manager makes of a task about a click. Without it nobody closes tasks, and a pause lasts its two working days.
    #[serde(default)]
    pub managers: Option<ManagersDo>,
}

/// Shares of the messages after which it happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rates {
    /// A person opens a link.
    #[serde(default)]
    pub click: Option<Percent>,
    /// The client calls.
    #[serde(default)]
    pub answer: Option<Percent>,
    /// The client opts out.
    #[serde(default)]
    pub unsubscribe: Option<Percent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagersDo {
    /// How long until the task is closed.
    pub after: HumanDuration,
    /// Shares of the closed tasks: the deal is taken up again, or the client declines. The rest goes on.
    #[serde(default)]
    pub revived: Option<Percent>,
    #[serde(default)]
    pub declined: Option<Percent>,
}

/// A share between 0 and 1, written like `3%` or `0.03`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(pub f64);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        let (shown, value) = match Written::deserialize(deserializer)? {
            Written::Number(n) => (n.to_string(), Some(n)),
            Written::Text(text) => {
                let value = match text.trim().strip_suffix('%') {
                    Some(number) => number.trim().parse::<f64>().ok().map(|n| n / 100.0),
                    None => text.trim().parse().ok(),
                };
                (text, value)
            }
        };
        value
            .filter(|share| (0.0..=1.0).contains(share))
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("{shown:?} is not a share; write for example 3% or 0.03")))
    }
}

/// What somebody does later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Click { seq: i32 },
    Answer,
    Unsubscribe,
    TaskClosed(Reaction),
}

impl Behaviour {
    /// Reads the YAML of a behaviour file.
    ///
    /// # Errors
    /// A sentence with the line.
    pub fn parse(text: &str, name: &str) -> Result<Self, SimulateError> {
        let read: Self = serde_saphyr::from_str(text).map_err(|e| {
            let said = e.to_string();
            let first = said.lines().next().unwrap_or_default();
            SimulateError::Behaviour { what: format!("{name}: {first}; known are all, sms, email, items (by list/item), managers") }
        })?;
        if let Some(managers) = &read.managers
            && managers.revived.map_or(0.0, |p| p.0) + managers.declined.map_or(0.0, |p| p.0) > 1.0
        {
            let what = format!("{name}: managers.revived and managers.declined are together more than 100%; lower one of them");
            return Err(SimulateError::Behaviour { what });
        }
        Ok(read)
    }

    fn rate(&self, item: &str, medium: Medium, of: impl Fn(&Rates) -> Option<Percent>) -> f64 {
        let by_medium = match medium {
            Medium::Sms => &self.sms,
            Medium::Email => &self.email,
        };
        let declared = self.items.get(item).and_then(&of).or_else(|| of(by_medium)).or_else(|| of(&self.all));
        declared.map_or(0.0, |p| p.0)
    }

    /// What a client does about a message, and when. `who` names the message: the same one always leads to the same.
    pub(super) fn reactions(
        &self,
        seed: u64,
        who: &[&[u8]],
        item: &str,
        medium: Medium,
        seq: i32,
        at: Timestamp,
    ) -> Vec<(Timestamp, Act)> {
        let mut all = Vec::new();
        let mut perhaps = |what: &str, rate: f64, longest: SignedDuration, reaction| {
            if rate > 0.0 && roll(seed, what, who) < rate {
                // Most react soon, a few much later.
                let late = roll(seed, &format!("{what} when"), who).powi(4);
                let seconds = 120.0 + late * longest.as_secs_f64();
                let wait = SignedDuration::try_from_secs_f64(seconds.floor()).unwrap_or(longest);
                all.push((at.checked_add(wait).unwrap_or(at), reaction));
            }
        };
        perhaps("click", self.rate(item, medium, |r| r.click), SignedDuration::from_hours(48), Act::Click { seq });
        perhaps("answer", self.rate(item, medium, |r| r.answer), SignedDuration::from_hours(72), Act::Answer);
        let leave = self.rate(item, medium, |r| r.unsubscribe);
        perhaps("unsubscribe", leave, SignedDuration::from_hours(24), Act::Unsubscribe);
        all
    }

    /// What the manager does about the task that a click led to.
    pub(super) fn task(&self, seed: u64, who: &[&[u8]], at: Timestamp) -> Option<(Timestamp, Act)> {
        let managers = self.managers?;
        let (revived, declined) = (managers.revived.map_or(0.0, |p| p.0), managers.declined.map_or(0.0, |p| p.0));
        let reaction = match roll(seed, "task", who) {
            share if share < revived => Reaction::Revived,
            share if share < revived + declined => Reaction::Declined,
            _ => Reaction::GoOn,
        };
        Some((at.checked_add(managers.after.signed()).unwrap_or(at), Act::TaskClosed(reaction)))
    }
}

/// The signal that an answer is.
pub(super) const ANSWER: SignalKind = SignalKind::InboundCall;

fn roll(seed: u64, what: &str, who: &[&[u8]]) -> f64 {
    let seed = seed.to_be_bytes();
    let parts: Vec<&[u8]> = [b"simulate".as_slice(), &seed, what.as_bytes()].into_iter().chain(who.iter().copied()).collect();
    share(stable_hash(&parts))
}

#[cfg(test)]
mod tests {
    use super::{Behaviour, Percent};
    use crate::model::Medium;
    use jiff::Timestamp;

    #[test]
    fn the_most_particular_rate_counts() {
        let text = "all: {click: 2%, unsubscribe: 0.5%}\nsms: {click: 6%}\nitems:\n  lost-layout/visit: {click: 0.1}\n";
        let behaviour = Behaviour::parse(text, "behaviour.yaml").unwrap();
        let click = |item: &str, medium| behaviour.rate(item, medium, |r| r.click);
        assert!((click("lost-layout/visit", Medium::Sms) - 0.1).abs() < 1e-9);
        assert!((click("lost-layout/other", Medium::Sms) - 0.06).abs() < 1e-9);
        assert!((click("lost-layout/other", Medium::Email) - 0.02).abs() < 1e-9);
        assert!((behaviour.rate("x/y", Medium::Sms, |r| r.unsubscribe) - 0.005).abs() < 1e-9);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, want) in [
            ("sms: {click: 120%}", "120%"),
            ("sms: {click: often}", "often"),
            ("sms: {clicks: 3%}", "clicks"),
            ("managers: {after: 4h, revived: 70%, declined: 40%}", "more than 100%"),
            ("managers: {after: soon}", "soon"),
        ] {
            let said = Behaviour::parse(text, "behaviour.yaml").unwrap_err().to_string();
            assert!(said.starts_with("behaviour.yaml: ") && said.contains(want), "{text}: {said}");
        }
    }

    #[test]
    fn the_same_message_leads_to_the_same() {
        let behaviour =
            Behaviour { all: super::Rates { click: Some(Percent(0.3)), ..super::Rates::default() }, ..Behaviour::default() };
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let all = |seed| -> Vec<usize> {
            (0..1000_u32).map(|n| behaviour.reactions(seed, &[&n.to_be_bytes()], "a/b", Medium::Sms, 0, at).len()).collect()
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
        let clicks: usize = all(1).iter().sum();
        assert!((250..350).contains(&clicks), "{clicks}");
    }
}
