//! What conditions and texts may ask about a copy: one name, one value.

use super::{LedgerEntry, Subject};
use crate::model::{DealState, FieldValue, first_and_last};
use jiff::Timestamp;
use std::borrow::Cow;

/// What a condition can see.
pub struct Facts<'a> {
    pub subject: &'a Subject,
    pub now: Timestamp,
}

/// The value of one name. Unknown and empty are both `Null`.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Number(f64),
    Text(Cow<'a, str>),
}

/// What a name holds, when it holds anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    Bool,
    Number,
    Text,
}

impl FactKind {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Bool => "yes or no",
            Self::Number => "a number",
            Self::Text => "a text",
        }
    }

    /// Of the names that need no declaration, like `deal.amount`.
    #[must_use]
    pub fn of_builtin(name: &str) -> Self {
        match name {
            "deal.amount" | "deal.ageDays" | "cycle.number" | "cycle.days" | "cycle.sent" => Self::Number,
            "cycle.booked" => Self::Bool,
            _ => Self::Text,
        }
    }
}

/// Names under `deal` that every deal has, besides the declared fields.
pub const DEAL_NAMES: [&str; 10] =
    ["id", "title", "url", "stage", "pipeline", "lostReason", "amount", "currency", "state", "ageDays"];
/// Names under `client` that every client has, besides the declared fields.
pub const CLIENT_NAMES: [&str; 5] = ["name", "firstName", "lastName", "language", "timeZone"];
pub const MANAGER_NAMES: [&str; 4] = ["name", "firstName", "email", "phone"];
/// `sent`: how many messages went out in this cycle; `days`: full days since it began.
pub const CYCLE_NAMES: [&str; 4] = ["number", "days", "sent", "booked"];

impl<'a> Facts<'a> {
    /// The value of a path like `client.firstName`.
    #[must_use]
    pub fn get(&self, path: &str) -> Fact<'a> {
        let subject = self.subject;
        let Some((root, name)) = path.split_once('.') else { return Fact::Null };
        match root {
            "deal" => self.deal(name),
            "client" => {
                let Some(contact) = &subject.contact else { return Fact::Null };
                match name {
                    "name" => text(&contact.name.0),
                    "firstName" => text(first_and_last(contact.first_name.as_ref(), &contact.name).0),
                    "lastName" => text(first_and_last(contact.first_name.as_ref(), &contact.name).1),
                    "language" => optional(contact.language.as_deref()),
                    "timeZone" => optional(contact.time_zone.as_deref()),
                    _ => field(contact.fields.get(name)),
                }
            }
            "manager" => {
                let Some(manager) = &subject.manager else { return Fact::Null };
                match name {
                    "name" => text(&manager.name.0),
                    "firstName" => text(first_and_last(manager.first_name.as_ref(), &manager.name).0),
                    "email" => manager.email.as_ref().map_or(Fact::Null, |e| text(e.as_str())),
                    "phone" => manager.phone.as_ref().map_or(Fact::Null, |p| text(p.as_str())),
                    _ => Fact::Null,
                }
            }
            "cycle" => self.cycle(name),
            _ => Fact::Null,
        }
    }

    fn deal(&self, name: &str) -> Fact<'a> {
        let deal = &self.subject.deal;
        match name {
            "id" => text(&deal.id),
            "title" => text(&deal.title),
            "url" => optional(deal.url.as_deref()),
            "stage" => text(&deal.stage),
            "pipeline" => text(&deal.pipeline),
            "lostReason" => optional(deal.lost_reason.as_deref()),
            "amount" => Fact::Number(deal.amount.units()),
            "currency" => optional(deal.currency.as_deref()),
            "state" => text(match deal.state {
                DealState::Open => "Open",
                DealState::Won => "Won",
                DealState::Lost => "Lost",
                DealState::Deleted => "Deleted",
            }),
            "ageDays" => deal.created_at.map_or(Fact::Null, |t| Fact::Int(full_days(t, self.now))),
            _ => field(deal.fields.get(name)),
        }
    }

    fn cycle(&self, name: &str) -> Fact<'a> {
        let copy = &self.subject.copy;
        match name {
            "number" => Fact::Int(i64::from(copy.cycle)),
            "days" => copy.state.cycle_at.map_or(Fact::Null, |t| Fact::Int(full_days(t, self.now))),
            "sent" => Fact::Int(i64::try_from(self.messages().filter(|e| e.status.went_out()).count()).unwrap_or(i64::MAX)),
            "booked" => Fact::Bool(copy.state.booked),
            _ => Fact::Null,
        }
    }

    /// `sent('item')`: handed over in this cycle, as far as anyone can tell.
    pub(super) fn sent(&self, item: Option<&str>) -> bool {
        self.messages().any(|e| named(e, item) && e.status.went_out())
    }

    pub(super) fn clicked(&self, item: Option<&str>) -> bool {
        self.messages().any(|e| named(e, item) && e.clicked_at.is_some())
    }

    pub(super) fn opened(&self, item: Option<&str>) -> bool {
        self.messages().any(|e| named(e, item) && (e.opened || e.clicked_at.is_some()))
    }

    /// What this cycle's lists came to: messages, and items passed over.
    pub(super) fn messages(&self) -> impl Iterator<Item = &'a LedgerEntry> + use<'a> {
        let cycle = self.subject.copy.cycle;
        self.subject.ledger.iter().filter(move |e| e.key.cycle == cycle && !e.key.list.starts_with('@'))
    }
}

/// `item`, or `list/item` where two lists share a name.
fn named(entry: &LedgerEntry, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| match wanted.split_once('/') {
        Some((list, item)) => entry.key.list == list && entry.key.item == item,
        None => entry.key.item == wanted,
    })
}

fn text(value: &str) -> Fact<'_> {
    if value.trim().is_empty() { Fact::Null } else { Fact::Text(Cow::Borrowed(value)) }
}

fn optional(value: Option<&str>) -> Fact<'_> {
    value.map_or(Fact::Null, text)
}

fn field(value: Option<&FieldValue>) -> Fact<'_> {
    match value {
        None => Fact::Null,
        Some(FieldValue::Bool(b)) => Fact::Bool(*b),
        Some(FieldValue::Number(n)) => Fact::Number(*n),
        Some(FieldValue::Text(t)) => text(t),
    }
}

fn full_days(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_hours() / 24
}
