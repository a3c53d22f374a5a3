//! `x-kubernetes-validations`: the CEL rules of a schema, judged as the API server judges them when an object is created. Absent and
//! null are the same, property names are escaped, `number` is a double; rules about `oldSelf` are for updates and do not apply.

use cel::{Context, Env, Program, Value as Cel};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// A rule's verdict in the words of its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub message: String,
    /// Relative to the object judged, like `.crmRef`; may be empty.
    pub field_path: String,
}

/// Compiles each rule once.
pub struct Rules {
    env: Arc<Env>,
    programs: Mutex<HashMap<String, Result<Arc<Program>, String>>>,
}

impl Rules {
    pub fn new() -> Self {
        let mut env = Env::stdlib();
        // The libraries that the API server offers beside the standard one. They are declared once on a fresh environment, so a
        // conflict cannot arise; should one ever, the rule that needs the function says so.
        let _ = cel::extensions::strings(&mut env);
        let _ = cel::extensions::lists(&mut env);
        Self { env: Arc::new(env), programs: Mutex::default() }
    }

    /// The rules of `schema` that `value`, an object it accepts, breaks.
    pub fn judge(&self, schema: &Value, value: &Value) -> Vec<Broken> {
        let Some(rules) = schema.get("x-kubernetes-validations").and_then(Value::as_array) else { return Vec::new() };
        let mut context = Context::with_env(self.env.clone());
        context.add_variable_from_value("self", to_cel(Some(schema), value));
        let text = |rule: &Value, key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut broken = Vec::new();
        for rule in rules {
            let source = text(rule, "rule");
            let verdict = self.run(&source, &context);
            let message = match verdict {
                Ok(None | Some(Cel::Bool(true))) => continue,
                Ok(Some(Cel::Bool(false))) => match self.run(&text(rule, "messageExpression"), &context) {
                    Ok(Some(Cel::String(message))) if !message.trim().is_empty() => message.to_string(),
                    _ => text(rule, "message"),
                },
                Ok(Some(_)) => format!("the rule {source:?} gives neither true nor false"),
                Err(error) => format!("the rule {source:?} cannot be judged: {error}"),
            };
            let message = if message.is_empty() { format!("the rule {source:?} does not hold") } else { message };
            broken.push(Broken { message, field_path: text(rule, "fieldPath") });
        }
        broken
    }

    /// The value of `source`; `None` for an empty one and for one about an update.
    fn run(&self, source: &str, context: &Context<'_, '_>) -> Result<Option<Cel>, String> {
        if source.is_empty() {
            return Ok(None);
        }
        let program = self
            .programs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(source.to_owned())
            .or_insert_with(|| self.env.compile(source).map(Arc::new).map_err(|e| e.to_string()))
            .clone()?;
        if program.references().has_variable("oldSelf") {
            return Ok(None);
        }
        program.execute(context).map(Some).map_err(|e| e.to_string())
    }
}

/// JSON as CEL sees it under `schema`; without one (unknown fields that are preserved) by its own types.
fn to_cel(schema: Option<&Value>, value: &Value) -> Cel {
    let of = |key: &str| schema.and_then(|s| s.get(key));
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => {
            let double = of("type").and_then(Value::as_str) == Some("number");
            match number.as_i64() {
                Some(whole) if !double => Cel::Int(whole),
                _ => Cel::Float(number.as_f64().unwrap_or_default()),
            }
        }
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(|item| to_cel(of("items"), item)).collect())),
        Value::Object(fields) => {
            let fields: HashMap<String, Cel> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| match of("properties").and_then(|p| p.get(key)) {
                    Some(property) => (escaped(key), to_cel(Some(property), value)),
                    None => (key.clone(), to_cel(of("additionalProperties").filter(|s| s.is_object()), value)),
                })
                .collect();
            fields.into()
        }
    }
}

/// A property's name in rules: words that CEL keeps for itself get underscores, `as` is `__as__`.
fn escaped(name: &str) -> String {
    const KEPT: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if KEPT.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}
