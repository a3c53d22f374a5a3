//! CEL over a provider's answers: compiled once, over bounded input.

use crate::channels::ChannelError;
use cel::{
    Context, IdedExpr, Program, Value,
    common::ast::{EntryExpr, Expr, IdedEntryExpr},
    objects::{Key, Map},
};
use std::{collections::HashMap, sync::Arc};

const MAX_LENGTH: usize = 4096;
const MAX_DEPTH: usize = 32;
/// A provider's answer is read this far.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// A compiled expression.
pub(super) struct Rule(Program);

/// What a rule sees.
pub(super) struct Seen(HashMap<&'static str, Value>);

impl Rule {
    /// `names`: what it may refer to. `field`: where it was written.
    pub(super) fn compile(source: &str, field: &str, names: &[&str]) -> Result<Self, ChannelError> {
        if source.len() > MAX_LENGTH || depth(source) > MAX_DEPTH {
            return Err(ChannelError::settings(
                format!("{field} is longer than {MAX_LENGTH} characters or nests deeper than {MAX_DEPTH} brackets"),
                "split it into several rules",
            ));
        }
        let program = Program::compile(source).map_err(|e| {
            let first = e.to_string().lines().next().unwrap_or_default().to_owned();
            ChannelError::settings(format!("{field} is not CEL: {first}"), "write for example json.status == 'OK'")
        })?;
        let unknown = unknown(program.expression(), &mut names.to_vec()).map(str::to_owned);
        match unknown {
            Some(name) => Err(ChannelError::settings(
                format!("{field}: `{name}` is not known here"),
                format!("known are {}", names.join(", ")),
            )),
            None => Ok(Self(program)),
        }
    }

    /// Whether it refers to none but these names.
    pub(super) fn reads_only(&self, names: &[&str]) -> bool {
        unknown(self.0.expression(), &mut names.to_vec()).is_none()
    }

    fn value(&self, seen: &Seen) -> Option<Value> {
        let mut context = Context::default();
        for (name, value) in &seen.0 {
            context.add_variable_from_value(*name, value.clone());
        }
        self.0.execute(&context).ok()
    }

    /// Whether it says yes. An error (a field that is not there) is no.
    pub(super) fn holds(&self, seen: &Seen) -> bool {
        matches!(self.value(seen), Some(Value::Bool(true)))
    }

    /// A text or whole number, if it gives one.
    pub(super) fn text(&self, seen: &Seen) -> Option<String> {
        let text = match self.value(seen)? {
            Value::String(s) => s.to_string(),
            Value::Int(n) => n.to_string(),
            Value::UInt(n) => n.to_string(),
            _ => return None,
        };
        (!text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control)).then_some(text)
    }
}

/// The first name that is neither in `known` nor bound by a macro like `exists`.
fn unknown<'e>(of: &'e IdedExpr, known: &mut Vec<&'e str>) -> Option<&'e str> {
    let entries = |entries: &'e [IdedEntryExpr], known: &mut Vec<&'e str>| {
        entries.iter().find_map(|entry| match &entry.expr {
            EntryExpr::StructField(field) => unknown(&field.value, known),
            EntryExpr::MapEntry(entry) => unknown(&entry.key, known).or_else(|| unknown(&entry.value, known)),
        })
    };
    match &of.expr {
        Expr::Unspecified | Expr::Literal(_) => None,
        Expr::Ident(name) => (!name.starts_with('@') && !known.contains(&name.as_str())).then_some(name.as_str()),
        Expr::Select(select) => unknown(&select.operand, known),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).find_map(|e| unknown(e, known)),
        Expr::List(list) => list.elements.iter().find_map(|e| unknown(e, known)),
        Expr::Map(map) => entries(&map.entries, known),
        Expr::Struct(made) => entries(&made.entries, known),
        Expr::Comprehension(each) => unknown(&each.iter_range, known).or_else(|| {
            let before = known.len();
            known.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
            known.extend(each.iter_var2.as_deref());
            let found =
                [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result].into_iter().find_map(|e| unknown(e, known));
            known.truncate(before);
            found
        }),
    }
}

fn depth(source: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for c in source.chars() {
        match c {
            '(' | '[' | '{' => now += 1,
            ')' | ']' | '}' => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}

impl Seen {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn int(mut self, name: &'static str, value: i64) -> Self {
        self.0.insert(name, Value::Int(value));
        self
    }

    pub(super) fn map<'a>(mut self, name: &'static str, entries: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        self.0.insert(name, map(entries.map(|(k, v)| (k, Value::from(v)))));
        self
    }

    /// `body` as text and `json` as what it parses to, else null.
    pub(super) fn body(mut self, body: &[u8]) -> Self {
        let body = body.get(..MAX_BODY).unwrap_or(body);
        self.0.insert("json", serde_json::from_slice(body).map_or(Value::Null, value));
        self.0.insert("body", Value::from(String::from_utf8_lossy(body).as_ref()));
        self
    }
}

fn map<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::Map(Map { map: Arc::new(entries.map(|(k, v)| (Key::from(k), v)).collect()) })
}

/// All whole numbers become `int`, so that `json.code == 5` is written without thinking of `uint`.
fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(b),
        serde_json::Value::Number(n) => n.as_i64().map_or_else(|| Value::Float(n.as_f64().unwrap_or(f64::NAN)), Value::Int),
        serde_json::Value::String(s) => Value::from(s),
        serde_json::Value::Array(a) => Value::List(Arc::new(a.into_iter().map(value).collect())),
        serde_json::Value::Object(o) => {
            Value::Map(Map { map: Arc::new(o.into_iter().map(|(k, v)| (Key::from(k), value(v))).collect()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rule, Seen};

    const NAMES: [&str; 4] = ["status", "body", "json", "headers"];

    #[test]
    fn rules_over_answers() {
        let seen = || {
            Seen::new()
                .int("status", 200)
                .body(br#"{"error_code":7,"sms":{"79990001122":{"status_code":207}},"ok":true,"list":["a"]}"#)
        };
        for (rule, want) in [
            ("json.error_code == 7", true),
            ("json.error_code in [6, 7, 8]", true),
            ("json.sms.exists(n, json.sms[n].status_code == 207)", true),
            ("has(json.id)", false),
            ("json.id == 1", false),
            ("json.missing.deeper == 1", false),
            ("body.contains('error_code')", true),
            ("body.matches('\"ok\": ?true')", true),
            ("status == 200 && json.ok", true),
            ("status", false),
            ("size(json.list) == 1", true),
        ] {
            assert_eq!(Rule::compile(rule, "success", &NAMES).unwrap().holds(&seen()), want, "{rule}");
        }
        assert_eq!(Rule::compile("json.error_code", "id", &NAMES).unwrap().text(&seen()), Some("7".into()));
        assert_eq!(Rule::compile("json.nothing", "id", &NAMES).unwrap().text(&seen()), None);
        assert!(!Rule::compile("json.id == 1", "x", &NAMES).unwrap().holds(&Seen::new().int("status", 200).body(b"<html>")));
    }

    #[test]
    fn what_cannot_be_a_rule_is_named() {
        let nested = format!("{}1{}", "(".repeat(100), ")".repeat(100));
        for bad in ["json.", "jason.status == 1", "json.all(n, m == 1)", nested.as_str(), &"a".repeat(5000), ""] {
            let error = Rule::compile(bad, "errors[0].when", &NAMES).err().unwrap().to_string();
            assert!(error.starts_with("errors[0].when"), "{error}");
        }
    }
}
