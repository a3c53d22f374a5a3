//! Renderings for made-up clients: the longest plausible one, and those whom a text tells apart. What does not work with them would
//! fail in life, one message at a time.

use super::text;
use crate::api::{Field, FieldOwner, FieldType};
use crate::content::{
    Cases, Context, Encoding, ItemText, RenderError, RenderedItem, Segments, Sender, Template, Texts, failing_part, measure_item,
    preview_item,
};
use crate::model::FieldValue;
use std::collections::BTreeSet;

/// A public address of usual length; the real one is not known when manifests are checked.
const BASE_URL: &str = "https://go.example.com";

/// Parts of the longest SMS of a list in any of its wordings, for the longest plausible client. `None`: the list has none.
#[must_use]
pub fn longest_sms(texts: &Texts, list: &str, brand_title: &str, fields: &[Field]) -> Option<u32> {
    let parts = |text: &ItemText| {
        let mut text = text.clone();
        if let Sender::Sms(sender) = &mut text.sender {
            sender.max_parts = u32::MAX;
        }
        let variants = text.variants.keys().map(|name| (Some(name.as_str()), None));
        let translations = text.translations.keys().map(|language| (None, Some(language.as_str())));
        let wordings = std::iter::once((None, None)).chain(variants).chain(translations);
        wordings
            .filter_map(|(variant, language)| {
                let client = longest_client(&text, variant, language, brand_title, fields);
                Some(render(&text, variant, language, &client).ok()?.preview.segments?.parts)
            })
            .max()
    };
    texts.items.iter().filter(|((of, _), _)| of == list).filter_map(|(_, text)| parts(text)).max()
}

/// Made-up values for all that a body of an item names, those with a default included: of each field's type, and of the greatest
/// plausible length.
#[must_use]
pub fn longest_client(
    text: &ItemText,
    variant: Option<&str>,
    language: Option<&str>,
    brand_title: &str,
    fields: &[Field],
) -> Context {
    let body = text.body_for(variant, language);
    let paths: Vec<String> = body
        .templates()
        .into_iter()
        .chain(text.links.iter().map(|(_, target)| target))
        .chain(sender_templates(&text.sender))
        .flat_map(Template::references)
        .collect();
    let mut context = Context::sample(paths.iter().map(String::as_str), brand_title, language);
    for field in fields {
        let value = match field.kind {
            None | Some(FieldType::String) => continue,
            Some(FieldType::Number) => FieldValue::Number(123_456_789.0),
            Some(FieldType::Boolean) => FieldValue::Bool(true),
            Some(FieldType::Date) => FieldValue::Text("2027-09-30T12:00:00Z".into()),
        };
        context = context.with(&path_of(field), &value);
    }
    context
}

/// Like `client.city`.
pub(super) fn path_of(field: &Field) -> String {
    let root = match field.of {
        FieldOwner::Deal => "deal",
        FieldOwner::Client => "client",
    };
    format!("{root}.{}", field.name)
}

/// How many made-up clients a wording is tried with, at most.
const MOST: usize = 32;
/// How much source all of them may read, in bytes: a long body is tried with fewer, but always with [`FEWEST`].
const READ: usize = 1 << 20;
const FEWEST: usize = 4;

/// How an SMS exceeds its channel.
pub(super) struct TooLong {
    pub parts: u32,
    pub max: u32,
    /// How many characters have to go, about.
    pub over: u32,
}

/// One body of an item: the one of `variant`, else of `language`, else the item's own.
pub(super) struct Wording<'a> {
    pub variant: Option<&'a str>,
    pub language: Option<&'a str>,
    pub brand_title: &'a str,
    pub fields: &'a [Field],
    /// Paths that every client who gets it has: the item's condition asks for them.
    pub known: &'a BTreeSet<String>,
}

/// What came of trying a wording, where it was not sent.
pub(super) struct Trial {
    /// Which client, in words; empty: the longest plausible one.
    pub who: String,
    /// `subject`, `markdown`, … of an email, if one of them is the cause.
    pub part: Option<&'static str>,
    pub what: What,
}

pub(super) enum What {
    TooLong(TooLong),
    /// Too long if a value has a letter outside of the GSM alphabet.
    TooLongInUnicode(TooLong),
    Fails(RenderError),
}

/// Renders a wording for the longest plausible client and, with `branches`, for clients whom its conditions tell apart.
pub(super) fn trials(text: &ItemText, wording: &Wording<'_>, branches: bool) -> Vec<Trial> {
    let mut text = text.clone();
    let mut max = u32::MAX;
    // Counted here, so that the answer says by how much.
    if let Sender::Sms(sender) = &mut text.sender {
        max = std::mem::replace(&mut sender.max_parts, u32::MAX);
    }
    let client = longest_client(&text, wording.variant, wording.language, wording.brand_title, wording.fields);
    let tried = Tried { text: &text, wording, max, client: &client };
    let counted = match render(&text, wording.variant, wording.language, &client) {
        Ok(made) => made.preview.segments,
        Err(error) => return vec![tried.failed(String::new(), &client, error)],
    };
    if let Some(long) = counted.and_then(|counted| too_long(counted, max)) {
        return vec![Trial { who: String::new(), part: None, what: What::TooLong(long) }];
    }
    if !branches {
        return Vec::new();
    }
    let mut all = tried.branches(counted);
    if !all.iter().any(|trial| matches!(trial.what, What::TooLong(_))) {
        all.extend(tried.in_unicode(counted));
    }
    all
}

fn too_long(counted: Segments, max: u32) -> Option<TooLong> {
    if counted.parts <= max {
        return None;
    }
    let room = match (counted.encoding, max) {
        (Encoding::Gsm7, 1) => 160,
        (Encoding::Gsm7, n) => 153 * n,
        (Encoding::Ucs2, 1) => 70,
        (Encoding::Ucs2, n) => 67 * n,
    };
    Some(TooLong { parts: counted.parts, max, over: counted.units.saturating_sub(room).max(1) })
}

fn render(text: &ItemText, variant: Option<&str>, language: Option<&str>, client: &Context) -> Result<RenderedItem, RenderError> {
    preview_item(text, variant, language, client, Some(BASE_URL))
}

/// A path, and the values besides the longest plausible one that make a difference.
type Choice = (String, Vec<Option<FieldValue>>);

/// A wording that the longest plausible client gets.
struct Tried<'a> {
    /// Without a limit to its parts.
    text: &'a ItemText,
    wording: &'a Wording<'a>,
    max: u32,
    client: &'a Context,
}

impl Tried<'_> {
    fn failed(&self, who: String, client: &Context, error: RenderError) -> Trial {
        let part = failing_part(self.text, self.wording.variant, self.wording.language, client);
        Trial { who, part, what: What::Fails(error) }
    }

    /// The same for clients who have other values, or none, where the wording asks for them: each failure once.
    fn branches(&self, counted: Option<Segments>) -> Vec<Trial> {
        let choices = self.choices();
        let body = self.text.body_for(self.wording.variant, self.wording.language);
        let read: usize = body.templates().iter().map(|template| template.source().len()).sum();
        let most = (READ / read.max(1)).clamp(FEWEST, MOST);
        let mut seen = Seen { tried: self, choices: &choices, left: most, fails: None, empty: None, long: None };
        let all = choices.iter().fold(1_usize, |n, (_, values)| n.saturating_mul(values.len() + 1));
        if all <= most {
            for mut n in 1..all {
                let picks: Vec<usize> = choices
                    .iter()
                    .map(|(_, values)| {
                        let pick = n % (values.len() + 1);
                        n /= values.len() + 1;
                        pick
                    })
                    .collect();
                seen.client(&picks);
            }
        } else {
            seen.each_alone(size(counted));
        }
        let Seen { fails, empty, long, .. } = seen;
        let long = long.map(|(who, long)| Trial { who, part: None, what: What::TooLong(long) });
        fails.into_iter().chain(empty).chain(long).collect()
    }

    fn choices(&self) -> Vec<Choice> {
        let body = self.text.body_for(self.wording.variant, self.wording.language);
        let mut cases = Cases::new();
        for template in body.templates().into_iter().chain(self.text.links.iter().map(|(_, target)| target)) {
            template.cases(&mut cases);
        }
        let choice = |(path, values): Choice| {
            let kind = self.kind_of(&path);
            let mut plausible: Vec<Option<FieldValue>> = Vec::new();
            for value in values {
                let value = value.map_or(Some(None), |value| as_the_crm_holds_it(value, kind).map(Some));
                if let Some(value) = value.filter(|value| value.is_some() || !self.wording.known.contains(&path))
                    && !plausible.contains(&value)
                {
                    plausible.push(value);
                }
            }
            // Both are no, but only one of them can be printed.
            let no = Some(FieldValue::Bool(false));
            if kind == FieldType::Boolean && !plausible.contains(&no) {
                plausible.push(no);
            }
            (path, plausible)
        };
        cases
            .into_iter()
            .filter(|(path, _)| text::is_value(path) && path != "deal.id")
            .map(choice)
            .filter(|(_, values)| !values.is_empty())
            .collect()
    }

    fn kind_of(&self, path: &str) -> FieldType {
        if path == "deal.amount" {
            return FieldType::Number;
        }
        let declared = self.wording.fields.iter().find(|field| path_of(field) == path);
        declared.and_then(|field| field.kind).unwrap_or(FieldType::String)
    }

    /// One letter of a name outside of the GSM alphabet more than doubles what an SMS takes.
    fn in_unicode(&self, counted: Option<Segments>) -> Option<Trial> {
        counted.filter(|counted| counted.encoding == Encoding::Gsm7)?;
        let body = self.text.body_for(self.wording.variant, self.wording.language);
        let paths: BTreeSet<String> = body.templates().into_iter().flat_map(Template::references).collect();
        // What a CRM writes in Latin letters wherever it is.
        let latin = |path: &str| {
            matches!(path, "deal.id" | "deal.url" | "deal.currency" | "manager.email" | "manager.phone")
                || self.kind_of(path) != FieldType::String
        };
        let paths = paths.iter().map(String::as_str).filter(|path| text::is_value(path) && !latin(path));
        let made = render(self.text, self.wording.variant, self.wording.language, &self.client.with_foreign_letters(paths)).ok()?;
        let long = too_long(made.preview.segments?, self.max)?;
        Some(Trial { who: String::new(), part: None, what: What::TooLongInUnicode(long) })
    }
}

/// How long an SMS is, for comparing; an email has no length.
fn size(counted: Option<Segments>) -> (u32, u32) {
    counted.map_or((0, 0), |counted| (counted.parts, counted.units))
}

/// A value that a text compares with, as a field of that kind would have it. `None`: it cannot.
fn as_the_crm_holds_it(value: FieldValue, kind: FieldType) -> Option<FieldValue> {
    match (kind, value) {
        (FieldType::Number, FieldValue::Text(text)) => {
            text.trim().parse().ok().filter(|n: &f64| n.is_finite()).map(FieldValue::Number)
        }
        (FieldType::Boolean, FieldValue::Text(text)) => text.trim().parse().ok().map(FieldValue::Bool),
        (FieldType::String, FieldValue::Number(n)) => Some(FieldValue::Text(n.to_string())),
        (FieldType::Date, FieldValue::Text(text)) => {
            let date = text.parse::<jiff::civil::Date>().is_ok() || text.parse::<jiff::Timestamp>().is_ok();
            date.then_some(FieldValue::Text(text))
        }
        (FieldType::Number, value @ FieldValue::Number(_))
        | (FieldType::Boolean, value @ FieldValue::Bool(_))
        | (FieldType::String, value) => Some(value),
        _ => None,
    }
}

/// What was seen with the clients so far.
struct Seen<'a> {
    tried: &'a Tried<'a>,
    choices: &'a [Choice],
    /// How many may still be tried.
    left: usize,
    fails: Option<Trial>,
    empty: Option<Trial>,
    long: Option<(String, TooLong)>,
}

impl Seen<'_> {
    /// Each value with all others as they are, then a client of whom nothing is known, and one with the longest words of each.
    fn each_alone(&mut self, usual: (u32, u32)) {
        let choices = self.choices;
        let mut longest = vec![0; choices.len()];
        self.left = self.left.saturating_sub(2);
        for (at, (_, values)) in choices.iter().enumerate() {
            let mut best = usual;
            for pick in 1..=values.len() {
                let picks: Vec<usize> = (0..choices.len()).map(|other| if other == at { pick } else { 0 }).collect();
                let size = self.client(&picks);
                if size > best {
                    best = size;
                    if let Some(longest) = longest.get_mut(at) {
                        *longest = pick;
                    }
                }
                if self.left == 0 {
                    break;
                }
            }
            if self.left == 0 {
                break;
            }
        }
        self.left = 2;
        let unknown: Vec<usize> =
            choices.iter().map(|(_, values)| values.iter().position(Option::is_none).map_or(0, |at| at + 1)).collect();
        self.client(&unknown);
        self.client(&longest);
    }

    /// Tries one: for each choice its value's number from 1, or 0 for the longest plausible one.
    fn client(&mut self, picks: &[usize]) -> (u32, u32) {
        self.left = self.left.saturating_sub(1);
        let Tried { text, wording, max, client } = self.tried;
        let mut client = (*client).clone();
        let picked =
            || self.choices.iter().zip(picks).filter_map(|((path, values), pick)| Some((path, values.get(pick.checked_sub(1)?)?)));
        for (path, value) in picked() {
            match value {
                Some(value) => client = client.with(path, value),
                None => client.set(path, ""),
            }
        }
        let made = match &text.sender {
            Sender::Sms(_) => render(text, wording.variant, wording.language, &client).map(|made| made.preview.segments),
            Sender::Email(_) => measure_item(text, wording.variant, wording.language, &client, Some(BASE_URL)).map(|_| None),
        };
        match made {
            Ok(counted) => {
                if let Some(long) = counted.and_then(|counted| too_long(counted, *max))
                    && self.long.as_ref().is_none_or(|(_, longest)| long.over > longest.over)
                {
                    self.long = Some((words(picked()), long));
                }
                size(counted)
            }
            // Who lacks a value gets nothing: so it is meant.
            Err(RenderError::Missing(_)) => (0, 0),
            Err(error) => {
                let known = if error == RenderError::Empty { &self.empty } else { &self.fails };
                if known.is_none() {
                    let trial = self.tried.failed(words(picked()), &client, error);
                    if matches!(trial.what, What::Fails(RenderError::Empty)) {
                        self.empty = Some(trial);
                    } else {
                        self.fails = Some(trial);
                    }
                }
                (0, 0)
            }
        }
    }
}

/// A client in words: `client.city is 'Москва' and client.firstName is not known`.
fn words<'c>(picked: impl Iterator<Item = (&'c String, &'c Option<FieldValue>)>) -> String {
    let mut all: Vec<String> = picked
        .map(|(path, value)| match value {
            Some(FieldValue::Text(text)) => format!("{path} is '{}'", text.chars().take(40).collect::<String>()),
            Some(FieldValue::Number(n)) => format!("{path} is {n}"),
            Some(FieldValue::Bool(b)) => format!("{path} is {b}"),
            None => format!("{path} is not known"),
        })
        .collect();
    if all.len() > 3 {
        all.truncate(3);
        all.push("so on".into());
    }
    all.join(" and ")
}

fn sender_templates(sender: &Sender) -> impl Iterator<Item = &Template> {
    let (name, reply) = match sender {
        Sender::Email(email) => (email.manager_name.as_ref(), email.manager_reply_to.as_ref()),
        Sender::Sms(_) => (None, None),
    };
    name.into_iter().chain(reply)
}
