//! How the demo's clients and managers react: who clicks, answers, ignores, refuses. Every reaction goes over real HTTP to the same
//! addresses that a client's phone or a telephony system would use.

use super::{
    dice::Dice,
    sinks::Arrived,
    world::{Person, World},
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashSet};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// A person opens a link.
    Click {
        url: String,
    },
    /// A mail gateway opens all of them at once.
    Scan {
        urls: Vec<String>,
    },
    Unsubscribe {
        url: String,
        address: String,
    },
    /// Telephony, chat and site forms report what a client did.
    Signal {
        kind: &'static str,
        address: String,
    },
    /// The manager closes the task we gave them.
    CloseTask {
        deal: String,
        reaction: &'static str,
    },
    /// The manager gets to work on a forgotten deal.
    Work {
        deal: String,
    },
}

/// What will happen, in order of time.
#[derive(Debug, Default)]
pub struct Agenda {
    actions: BTreeMap<(Timestamp, u64), Action>,
    number: u64,
}

impl Agenda {
    pub fn add(&mut self, at: Timestamp, action: Action) {
        self.number += 1;
        self.actions.insert((at, self.number), action);
    }

    pub fn next(&self) -> Option<Timestamp> {
        self.actions.keys().next().map(|(at, _)| *at)
    }

    /// What is due by now, oldest first.
    pub fn due(&mut self, now: Timestamp) -> Vec<Action> {
        let later = self.actions.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.actions, later).into_values().collect()
    }
}

/// One client's answer to one message. `opted_out`: whom the sinks must not see again.
pub fn react(
    dice: Dice,
    world: &World,
    message: &Arrived,
    count: u32,
    now: Timestamp,
    agenda: &mut Agenda,
    leaving: &mut HashSet<String>,
) {
    let Some(person) = world.person(&message.to) else { return };
    let who = format!("{}/{count}", person.deal);
    let soon = |what: &str, from: i64, to: i64| now + SignedDuration::from_mins(dice.range(what, &who, from, to));
    if person.scanned && !message.sms && !message.links.is_empty() {
        agenda.add(now, Action::Scan { urls: message.links.clone() });
    }
    let answer = dice.share("answer", &who);
    let click = if message.sms { 0.085 } else { 0.065 };
    if let Some(url) = &message.unsubscribe
        && answer > 0.984
    {
        leaving.insert(person.deal.clone());
        agenda.add(soon("leaves", 20, 600), Action::Unsubscribe { url: url.clone(), address: message.to.clone() });
    } else if answer > 0.976 {
        agenda.add(soon("replies", 30, 900), signal("reply", person, message.sms));
    } else if answer > 0.970 {
        agenda.add(soon("calls", 30, 1400), signal("inboundcall", person, true));
    } else if let Some(url) = message.links.first()
        && answer < click
    {
        agenda.add(soon("clicks", 16, 700), Action::Click { url: url.clone() });
        match dice.share("then", &who) {
            s if s < 0.26 => agenda.add(soon("then calls", 720, 2600), signal("inboundcall", person, true)),
            s if s < 0.36 => agenda.add(soon("then asks", 720, 2000), signal("form", person, message.sms)),
            s if s < 0.42 => agenda.add(soon("then chats", 720, 1600), signal("chat", person, message.sms)),
            _ => {}
        }
    }
}

fn signal(kind: &'static str, person: &Person, by_phone: bool) -> Action {
    Action::Signal { kind, address: if by_phone { person.phone.clone() } else { person.email.clone() } }
}

/// A manager's answer to a task: most call back within a day; what the client said decides.
pub fn manage(dice: Dice, deal: &str, title: &str, now: Timestamp, agenda: &mut Agenda) {
    let who = format!("{deal}/{now}");
    let at = now + SignedDuration::from_mins(dice.range("closes", &who, 40, 1500));
    if title.contains("Клиент вернулся") {
        // The deal is back on the manager's desk: they simply work on it.
        agenda.add(at, Action::Work { deal: deal.to_owned() });
        return;
    }
    if title.contains("без движения") {
        if dice.share("wakes", &who) < 0.6 {
            agenda.add(at, Action::Work { deal: deal.to_owned() });
        }
        return;
    }
    let reaction = match dice.share("outcome", &who) {
        s if s < 0.10 => "revived",
        s if s < 0.25 => "declined",
        s if s < 0.85 => "goon",
        _ => return,
    };
    agenda.add(at, Action::CloseTask { deal: deal.to_owned(), reaction });
}
