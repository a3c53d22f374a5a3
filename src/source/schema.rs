//! One object against the structural schema of its kind, as the API server does it on creation: strict fields, defaults, types and
//! bounds, list keys, CEL rules. [`Checker::admit`] changes the object to what the server would store and says what it would
//! refuse, in words for the people who write manifests.

use super::{form, nearest::nearest, rules::Rules};
use regex::Regex;
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// One thing the API server would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `spec.items[1].after`; a key that is no plain word stands in brackets and quotes: `data["a.csv"]`.
    pub path: String,
    pub reason: Refused,
    /// What is wrong, without the path.
    pub message: String,
    /// What to write instead; may be empty when the message says it.
    pub help: String,
}

/// The kinds of refusal; the words of the API server's `causes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    UnknownField,
    Required,
    TypeInvalid,
    NotSupported,
    Invalid,
    OutOfRange,
    TooLong,
    TooMany,
    Duplicate,
    /// A CEL rule.
    Rule,
}

impl Refused {
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnknownField => "FieldUnknown",
            Self::Required => "FieldRequired",
            Self::TypeInvalid => "TypeInvalid",
            Self::NotSupported => "ValueNotSupported",
            Self::Invalid => "ValueInvalid",
            Self::OutOfRange => "ValueOutOfRange",
            Self::TooLong => "ValueTooLong",
            Self::TooMany => "TooMany",
            Self::Duplicate => "ValueDuplicate",
            Self::Rule => "RuleBroken",
        }
    }
}

/// Checks objects; keeps compiled patterns and rules.
pub struct Checker {
    rules: Rules,
    patterns: Mutex<HashMap<String, Option<Regex>>>,
}

impl Checker {
    pub fn new() -> Self {
        Self { rules: Rules::new(), patterns: Mutex::default() }
    }

    /// `schema` is an `openAPIV3Schema`. `written` gives the author's own text of a plain YAML value at a path, like `yes` where the
    /// object holds `true`. `secret`: values are not repeated in messages.
    pub fn admit(
        &self,
        schema: &Value,
        object: &mut Value,
        secret: bool,
        written: &dyn Fn(&str) -> Option<String>,
    ) -> Vec<Violation> {
        settle(schema, object);
        let mut walk = Walk { checker: self, found: Vec::new(), secret, written };
        walk.value("", schema, object);
        walk.found
    }

    fn pattern(&self, pattern: &str) -> Option<Regex> {
        self.patterns
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(pattern.to_owned())
            .or_insert_with(|| Regex::new(pattern).ok())
            .clone()
    }
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// Schema of `key` inside an object: declared, or that of a free map.
fn child<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let declared = schema.get("properties").and_then(|p| p.get(key));
    declared.or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()))
}

/// Nulls that the server drops, then its defaults.
fn settle(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, value| !value.is_null() || child(schema, key).is_none_or(|s| flag(s, "nullable")));
            for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    fields.entry(key.clone()).or_insert_with(|| default.clone());
                }
            }
            for (key, value) in fields.iter_mut() {
                if let Some(schema) = child(schema, key) {
                    settle(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    settle(schema, item);
                }
            }
        }
        _ => {}
    }
}

struct Walk<'a> {
    checker: &'a Checker,
    found: Vec<Violation>,
    secret: bool,
    written: &'a dyn Fn(&str) -> Option<String>,
}

impl Walk<'_> {
    fn report(&mut self, path: &str, reason: Refused, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Violation { path: path.to_owned(), reason, message: message.into(), help: help.into() });
    }

    fn show(&self, value: &Value) -> String {
        if self.secret {
            return "the value".to_owned();
        }
        let text = value.to_string();
        if text.chars().count() <= 60 { text } else { text.chars().take(57).collect::<String>() + "…" }
    }

    fn value(&mut self, path: &str, schema: &Value, value: &Value) {
        let before = self.found.len();
        if value.is_null() {
            let anything = schema.get("type").is_none() && flag(schema, "x-kubernetes-preserve-unknown-fields");
            if !anything && !flag(schema, "nullable") {
                self.report(path, Refused::TypeInvalid, "is empty", "write a value here or remove it");
            }
            return;
        }
        if !self.fits_type(path, schema, value) {
            return;
        }
        self.choice(path, schema, value);
        match value {
            Value::String(text) => self.text(path, schema, text),
            Value::Number(number) => self.number(path, schema, number.as_f64().unwrap_or_default()),
            Value::Array(items) => self.list(path, schema, items),
            Value::Object(fields) => self.object(path, schema, fields),
            _ => {}
        }
        self.combined(path, schema, value);
        // As the server does, rules are judged on what is otherwise right.
        if self.found.len() == before {
            for broken in self.checker.rules.judge(schema, value) {
                let at = format!("{path}{}", broken.field_path);
                self.report(at.trim_start_matches('.'), Refused::Rule, broken.message, "");
            }
        }
    }

    fn fits_type(&mut self, path: &str, schema: &Value, value: &Value) -> bool {
        if flag(schema, "x-kubernetes-int-or-string") {
            let fits = value.is_i64() || value.is_u64() || value.is_string();
            if !fits {
                self.report(path, Refused::TypeInvalid, format!("{} is neither a whole number nor text", self.show(value)), "");
            }
            return fits;
        }
        let Some(wanted) = schema.get("type").and_then(Value::as_str) else { return true };
        let fits = match wanted {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.is_u64(),
            _ => true,
        };
        if !fits {
            let written = (self.written)(path).filter(|_| !self.secret);
            let shown = written.clone().unwrap_or_else(|| self.show(value));
            let is = match value {
                Value::Bool(_) if written.as_deref().is_some_and(|w| !w.eq_ignore_ascii_case(&value.to_string())) => {
                    format!("YAML reads {shown} as {value}")
                }
                Value::Bool(_) => format!("{shown} is true or false"),
                Value::Number(_) => format!("{shown} is a number"),
                Value::String(_) => format!("{shown} is text"),
                Value::Array(_) => "this is a list".to_owned(),
                _ => "this is a group of fields".to_owned(),
            };
            let help = self.type_help(schema, wanted, value, &shown);
            self.report(path, Refused::TypeInvalid, format!("{is}, {} is wanted", type_words(wanted)), help);
        }
        fits
    }

    fn type_help(&self, schema: &Value, wanted: &str, value: &Value, shown: &str) -> String {
        let form = schema.get("pattern").and_then(Value::as_str).and_then(|p| self.checker.pattern(p)).and_then(|p| form::of(&p));
        match (wanted, value) {
            ("string", Value::Bool(_) | Value::Number(_)) => match form {
                Some(form) => format!("write {}, like {}", form.noun, form.example),
                None if self.secret => "put it in quotes".to_owned(),
                None => format!("put it in quotes: \"{shown}\""),
            },
            ("array", Value::String(_) | Value::Bool(_) | Value::Number(_)) if !self.secret => format!("write a list: [{shown}]"),
            ("array", _) => "begin each entry with -".to_owned(),
            ("integer" | "number", Value::String(text)) if text.parse::<f64>().is_ok() => "write it without quotes".to_owned(),
            ("integer", Value::Number(_)) => "write a whole number".to_owned(),
            ("boolean", _) => "write true or false".to_owned(),
            ("object", _) => match schema.get("properties").and_then(Value::as_object) {
                Some(known) => format!("its fields are {}", some_of(known.keys().map(String::as_str))),
                None => "write it as name: value".to_owned(),
            },
            _ => String::new(),
        }
    }

    fn choice(&mut self, path: &str, schema: &Value, value: &Value) {
        let Some(choices) = schema.get("enum").and_then(Value::as_array) else { return };
        if choices.contains(value) {
            return;
        }
        let words: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        let help = match value.as_str().and_then(|written| nearest(written, words.iter().copied())) {
            Some(word) => format!("did you mean {word}? Possible are {}", some_of(words.into_iter())),
            None => format!("write one of {}", some_of(words.into_iter())),
        };
        self.report(path, Refused::NotSupported, format!("{} is not possible here", self.show(value)), help);
    }

    fn text(&mut self, path: &str, schema: &Value, text: &str) {
        let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
        // Code points, as the server counts them.
        let length = text.chars().count() as u64;
        if limit("maxLength").is_some_and(|max| length > max) {
            let max = limit("maxLength").unwrap_or_default();
            self.report(
                path,
                Refused::TooLong,
                format!("this is {length} characters long, at most {max} are possible"),
                "shorten it",
            );
        }
        if let Some(min) = limit("minLength").filter(|min| length < *min) {
            let message = if length == 0 {
                "this is empty".to_owned()
            } else {
                format!("this is {length} characters long, at least {min} are needed")
            };
            self.report(path, Refused::Invalid, message, if length == 0 { "write a value here or remove it" } else { "" });
            return;
        }
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
            match self.checker.pattern(pattern) {
                Some(regex) if !regex.is_match(text) => self.misshapen(path, schema, text, &regex),
                _ => {}
            }
        }
        let dated = match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => text.parse::<jiff::Timestamp>().is_err().then_some(("a moment", "2026-01-31T09:00:00Z")),
            Some("date") => text.parse::<jiff::civil::Date>().is_err().then_some(("a date", "2026-01-31")),
            _ => None,
        };
        if let Some((noun, example)) = dated {
            self.report(
                path,
                Refused::Invalid,
                format!("{} is not {noun}", self.show(&text.into())),
                format!("write it like {example}"),
            );
        }
    }

    fn misshapen(&mut self, path: &str, schema: &Value, text: &str, pattern: &Regex) {
        let shown = self.show(&text.into());
        let form = form::of(pattern);
        let message = match form {
            Some(form) => format!("{shown} is not {}", form.noun),
            None => format!("{shown} does not have the form that is needed here"),
        };
        let help = match (form::repair(pattern, text).filter(|_| !self.secret), form) {
            (Some(repaired), _) => format!("write {repaired}"),
            (None, Some(form)) => format!("write {}", form.example),
            (None, None) => match first_sentence(schema) {
                Some(sentence) => format!("it is: {sentence}"),
                None => format!("it must match {}", pattern.as_str()),
            },
        };
        self.report(path, Refused::Invalid, message, help);
    }

    fn number(&mut self, path: &str, schema: &Value, number: f64) {
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let (low, high) = match schema.get("format").and_then(Value::as_str) {
            Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let (min, max) = (bound("minimum").unwrap_or(low).max(low), bound("maximum").unwrap_or(high).min(high));
        let below = number < min || (number <= min && flag(schema, "exclusiveMinimum"));
        let above = number > max || (number >= max && flag(schema, "exclusiveMaximum"));
        let than = |exclusive: bool, or: &'static str, strictly: &'static str| if exclusive { strictly } else { or };
        if below {
            let word = than(flag(schema, "exclusiveMinimum"), "at least", "more than");
            self.report(path, Refused::OutOfRange, format!("{number} is too small"), format!("write {word} {min}"));
        }
        if above {
            let word = than(flag(schema, "exclusiveMaximum"), "at most", "less than");
            self.report(path, Refused::OutOfRange, format!("{number} is too large"), format!("write {word} {max}"));
        }
        if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0 && (number / step).fract() != 0.0) {
            self.report(path, Refused::Invalid, format!("{number} is not a multiple of {step}"), "");
        }
    }

    fn list(&mut self, path: &str, schema: &Value, items: &[Value]) {
        self.count(path, schema, items.len(), ("minItems", "maxItems"), "entries");
        if let Some(item_schema) = schema.get("items") {
            for (i, item) in items.iter().enumerate() {
                self.value(&format!("{path}[{i}]"), item_schema, item);
            }
        }
        let keys: Vec<&str> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("map") => schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect(),
            Some("set") => Vec::new(),
            _ => return,
        };
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (i, item) in items.iter().enumerate() {
            let identity = if keys.is_empty() {
                item.to_string()
            } else {
                let values: Vec<String> =
                    keys.iter().map(|key| item.get(*key).map_or_else(String::new, ToString::to_string)).collect();
                values.join(", ")
            };
            let here = format!("{path}[{i}]");
            if let Some(first) = seen.insert(identity.clone(), i) {
                seen.insert(identity.clone(), first);
                let what = if keys.is_empty() { String::new() } else { format!("{} ", keys.join(", ")) };
                let shown = if self.secret { String::new() } else { identity };
                let at = if let [key] = keys.as_slice() { format!("{here}.{key}") } else { here };
                self.report(
                    &at,
                    Refused::Duplicate,
                    format!("{what}{shown} is already used by {path}[{first}]"),
                    if keys.is_empty() { "remove one of the two" } else { "choose another one" },
                );
            }
        }
    }

    fn count(&mut self, path: &str, schema: &Value, count: usize, (min, max): (&str, &str), noun: &str) {
        let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
        if let Some(max) = limit(max).filter(|max| count as u64 > *max) {
            self.report(
                path,
                Refused::TooMany,
                format!("there are {count} {noun}, at most {max} are possible"),
                "remove some, or split it",
            );
        }
        if let Some(min) = limit(min).filter(|min| (count as u64) < *min) {
            let message = if count == 0 { "this is empty".to_owned() } else { format!("there are only {count} {noun}") };
            self.report(path, Refused::Invalid, message, format!("write at least {min}"));
        }
    }

    fn object(&mut self, path: &str, schema: &Value, fields: &Map<String, Value>) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let free = schema.get("additionalProperties").is_some_and(|a| a.is_object() || a == &Value::Bool(true));
        let open = free || flag(schema, "x-kubernetes-preserve-unknown-fields");
        self.count(path, schema, fields.len(), ("minProperties", "maxProperties"), "entries");
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(required) {
                let help = match properties.and_then(|p| p.get(required)).and_then(first_sentence) {
                    Some(sentence) => format!("add {required}: {sentence}"),
                    None => format!("add {required}:"),
                };
                self.report(path, Refused::Required, format!("{required} is missing"), help);
            }
        }
        for (key, value) in fields {
            match properties.and_then(|p| p.get(key)) {
                Some(property) => self.value(&member(path, key), property, value),
                None if open => {
                    if let Some(each) = schema.get("additionalProperties").filter(|s| s.is_object()) {
                        self.value(&member(path, key), each, value);
                    }
                }
                None => {
                    let known: Vec<&str> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                    let help = match nearest(key, known.iter().copied()) {
                        Some(near) => format!("did you mean {near}?"),
                        None if known.is_empty() => "remove it".to_owned(),
                        None => format!("known here are {}", some_of(known.into_iter())),
                    };
                    self.report(&member(path, key), Refused::UnknownField, "there is no such field", help);
                }
            }
        }
    }

    /// `allOf`, `anyOf`, `oneOf`, `not`.
    fn combined(&mut self, path: &str, schema: &Value, value: &Value) {
        let branches = |key: &str| schema.get(key).and_then(Value::as_array);
        for branch in branches("allOf").into_iter().flatten() {
            self.branch(path, branch, value);
        }
        let fitting = |list: &Vec<Value>| list.iter().filter(|branch| self.would_fit(path, branch, value)).count();
        let any = branches("anyOf").is_none_or(|list| fitting(list) > 0);
        let one = branches("oneOf").is_none_or(|list| fitting(list) == 1);
        let not = schema.get("not").is_none_or(|branch| !self.would_fit(path, branch, value));
        if !(any && one && not) {
            let help = first_sentence(schema).unwrap_or_default();
            self.report(path, Refused::Invalid, "this has none of the shapes that are possible here", help);
        }
    }

    fn would_fit(&self, path: &str, branch: &Value, value: &Value) -> bool {
        let mut trial = Walk { checker: self.checker, found: Vec::new(), secret: self.secret, written: self.written };
        trial.branch(path, branch, value);
        trial.found.is_empty()
    }

    /// A branch constrains what the schema around it declares, so fields it does not mention are not unknown.
    fn branch(&mut self, path: &str, branch: &Value, value: &Value) {
        let mut open = branch.clone();
        if let Some(fields) = open.as_object_mut() {
            fields.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
        }
        self.value(path, &open, value);
    }
}

/// `path.key`, or `path["key"]` for keys that are not plain words.
fn member(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{key:?}]"),
    }
}

fn type_words(wanted: &str) -> &'static str {
    match wanted {
        "object" => "a group of fields",
        "array" => "a list",
        "string" => "text",
        "boolean" => "true or false",
        "number" => "a number",
        _ => "a whole number",
    }
}

/// The first dozen names.
fn some_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.get(..12).unwrap_or(&names).join(", ");
    if names.len() > 12 { shown + " …" } else { shown }
}

/// The first sentence of a field's documentation.
fn first_sentence(schema: &Value) -> Option<String> {
    let text = schema.get("description")?.as_str()?;
    let first = text.split_once(". ").map_or(text, |(first, _)| first).trim().trim_end_matches('.');
    (!first.is_empty()).then(|| first.to_owned())
}
