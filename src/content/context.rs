//! What texts can say about a client: the values behind `{{ … }}`.
//!
//! | root | values |
//! |---|---|
//! | `client` | `name`, `firstName`, `lastName`, declared fields |
//! | `deal` | `id`, `title`, `amount`, `currency`, `stage`, `lostReason`, `pipeline`, `url`, declared fields |
//! | `manager` | `name`, `firstName`, `email`, `phone` |
//! | `brand` | its title |
//! | `links` | one for each declared link of the item, and `unsubscribe` |
//! | `link` | `name` of the opened link (title of the task about a click) |
//! | `signal` | `kind`, like `InboundCall` (title of the task about a client who came back) |

use super::Language;
use crate::model::{Contact, Deal, FieldValue, Manager, first_and_last};
use jiff::tz::TimeZone;
use std::{collections::BTreeMap, sync::Arc};

/// A value, as the CRM gave it.
#[derive(Clone, PartialEq)]
pub enum Field {
    Text(String),
    Number(f64),
    Bool(bool),
}

/// Values by their dotted path. Holds personal data: no `Debug` shows them.
#[derive(Clone)]
pub struct Context {
    /// Shared by its copies: a message in another language has the same values.
    values: Arc<BTreeMap<String, Field>>,
    language: Language,
    time_zone: TimeZone,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<context of {} values>", self.values.len())
    }
}

impl Default for Context {
    fn default() -> Self {
        Self { values: Arc::default(), language: Language::English, time_zone: TimeZone::UTC }
    }
}

impl Context {
    /// Everything known of a deal and its people. `language` and `time_zone` are the client's. Dates are written in this zone; in a
    /// message in the language of its words, elsewhere in the client's.
    #[must_use]
    pub fn new(
        deal: &Deal,
        contact: Option<&Contact>,
        manager: Option<&Manager>,
        brand_title: &str,
        language: Option<&str>,
        time_zone: &TimeZone,
    ) -> Self {
        let mut context = Self {
            values: Arc::default(),
            language: language.map_or_else(|| Language::of(brand_title), Language::from_tag),
            time_zone: time_zone.clone(),
        };
        context.set("brand", brand_title);
        // Declared fields first: a field cannot replace a value of ours.
        for (root, fields) in [("deal", Some(&deal.fields)), ("client", contact.map(|c| &c.fields))] {
            for (name, value) in fields.into_iter().flatten() {
                context = context.with(&format!("{root}.{name}"), value);
            }
        }
        context.set("deal.id", &deal.id);
        context.set("deal.title", &deal.title);
        context.set("deal.stage", &deal.stage);
        context.set("deal.pipeline", &deal.pipeline);
        context.set("deal.lostReason", deal.lost_reason.as_deref().unwrap_or_default());
        context.set("deal.currency", deal.currency.as_deref().unwrap_or_default());
        context.set("deal.url", deal.url.as_deref().unwrap_or_default());
        // An amount of nothing is an amount nobody entered: "0 ₽" in an offer is worse than no message.
        if deal.amount.0 != 0 {
            context.put("deal.amount", Field::Number(deal.amount.units()));
        }
        if let Some(contact) = contact {
            context.set("client.name", &contact.name.0);
            let (first, last) = first_and_last(contact.first_name.as_ref(), &contact.name);
            context.set("client.firstName", first);
            context.set_if_new("client.lastName", last);
        }
        if let Some(manager) = manager {
            context.set("manager.name", &manager.name.0);
            context.set("manager.firstName", first_and_last(manager.first_name.as_ref(), &manager.name).0);
            context.set("manager.email", manager.email.as_ref().map_or("", |e| e.as_str()));
            context.set("manager.phone", manager.phone.as_ref().map_or("", |p| p.as_str()));
        }
        context
    }

    /// A stand-in for validation: the longest plausible value for each of `paths` (a template's references). A text that fits
    /// with these fits in life.
    #[must_use]
    pub fn sample<'p>(paths: impl IntoIterator<Item = &'p str>, brand_title: &str, language: Option<&str>) -> Self {
        let mut context =
            Self { language: language.map_or_else(|| Language::of(brand_title), Language::from_tag), ..Self::default() };
        let russian = context.language == Language::Russian;
        for path in paths {
            let text = match path {
                "brand" => brand_title,
                "client.firstName" | "manager.firstName" if russian => "Константин-Александр",
                "client.firstName" | "manager.firstName" => "Maximilian-Alexander",
                "client.name" | "manager.name" if russian => "Константин-Александр Преображенский-Вознесенский",
                "client.name" | "manager.name" => "Maximilian-Alexander Featherstonehaugh-Cavendish",
                "client.lastName" if russian => "Преображенский-Вознесенский",
                "client.lastName" => "Featherstonehaugh-Cavendish",
                "manager.email" => "konstantin.preobrazhensky@sales.example.com",
                "manager.phone" => "+79991234567",
                "deal.currency" => "RUB",
                "deal.url" => "https://crm.example.com/deals/1234567890",
                "deal.id" => "1234567890",
                "deal.amount" => {
                    context.put(path, Field::Number(123_456_789.0));
                    continue;
                }
                _ if russian => "Комсомольск-на-Амуре",
                _ => "Kingston upon Thames",
            };
            context.set(path, text);
        }
        context
    }

    /// Sets a text; an empty one leaves the value unknown.
    pub fn set(&mut self, path: &str, text: &str) {
        if text.trim().is_empty() {
            self.forget(path);
        } else {
            self.put(path, Field::Text(shortened(text.trim())));
        }
    }

    fn put(&mut self, path: &str, value: Field) {
        Arc::make_mut(&mut self.values).insert(path.to_owned(), value);
    }

    fn forget(&mut self, path: &str) {
        if self.values.contains_key(path) {
            Arc::make_mut(&mut self.values).remove(path);
        }
    }

    /// With a letter that no GSM alphabet has in each of `paths` that is a text: Łukasz, Мария.
    #[must_use]
    pub fn with_foreign_letters<'p>(&self, paths: impl IntoIterator<Item = &'p str>) -> Self {
        let mut foreign = self.clone();
        for path in paths {
            if let Some(Field::Text(text)) = Arc::make_mut(&mut foreign.values).get_mut(path) {
                *text = std::iter::once('Ж').chain(text.chars().skip(1)).collect();
            }
        }
        foreign
    }

    fn set_if_new(&mut self, path: &str, text: &str) {
        if !self.values.contains_key(path) {
            self.set(path, text);
        }
    }

    /// With the value of a declared field.
    #[must_use]
    pub fn with(mut self, path: &str, value: &FieldValue) -> Self {
        match value {
            FieldValue::Bool(b) => self.put(path, Field::Bool(*b)),
            FieldValue::Number(n) if n.is_finite() => self.put(path, Field::Number(*n)),
            FieldValue::Number(_) => self.forget(path),
            FieldValue::Text(text) => self.set(path, text),
        }
        self
    }

    /// The same values, with dates as this language writes them.
    #[must_use]
    pub(super) fn in_language(&self, language: Language) -> Self {
        Self { language, ..self.clone() }
    }

    pub(super) fn get(&self, path: &str) -> Option<&Field> {
        self.values.get(path)
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        match self.values.get(path) {
            Some(Field::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn currency(&self) -> std::borrow::Cow<'_, str> {
        self.text("deal.currency").unwrap_or_default().into()
    }

    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    pub(super) const fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }
}

/// No value of a CRM may fill a message.
fn shortened(text: &str) -> String {
    text.chars().take(2000).collect()
}
