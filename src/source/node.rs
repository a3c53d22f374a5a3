//! A manifest as a tree in which each part knows its line: what lets a finding about `spec.items[2].after` point into a file.

use serde_json::Value;

/// A place in a file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// One value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub content: Content,
    pub at: Position,
    /// What the author wrote, where it was plain text that YAML read as something else: `yes`, `0777`, `10`.
    pub written: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Null,
    Bool(bool),
    Int(i64),
    /// Finite.
    Float(f64),
    String(String),
    List(Vec<Node>),
    Map(Vec<Field>),
}

/// A key with its value; `at` is the place of the key.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub key: String,
    pub at: Position,
    pub value: Node,
}

impl Node {
    /// The value of `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Content::Map(fields) = &self.content else { return None };
        fields.iter().find(|field| field.key == key).map(|field| &field.value)
    }

    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::String(text) => Some(text),
            _ => None,
        }
    }

    /// Values in this tree, itself included.
    pub fn size(&self) -> usize {
        1 + match &self.content {
            Content::List(items) => items.iter().map(Self::size).sum(),
            Content::Map(fields) => fields.iter().map(|field| field.value.size()).sum(),
            _ => 0,
        }
    }

    /// The value as the API server would receive it.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Int(value) => Value::from(*value),
            Content::Float(value) => Value::from(*value),
            Content::String(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Map(fields) => Value::Object(fields.iter().map(|field| (field.key.clone(), field.value.to_json())).collect()),
        }
    }

    /// The place of `path` (`spec.items[2].sms.text`, `data[a.b]`), or of the nearest part above it that was written: a missing
    /// field is shown at its owner. A key stands for its value. With the value itself if the whole path was found.
    pub fn find(&self, path: &str) -> (Position, Option<&Node>) {
        let (mut node, mut at, mut rest) = (self, self.at, path);
        while !rest.is_empty() {
            let Some((next, place, left)) = node.step(rest) else { return (at, None) };
            (node, at, rest) = (next, place, left);
        }
        (at, Some(node))
    }

    /// One step into `path`: the child, its place and what is left of the path. Keys may hold dots, so the longest key wins.
    fn step<'a, 'p>(&'a self, path: &'p str) -> Option<(&'a Node, Position, &'p str)> {
        let dotted = path.strip_prefix('.').unwrap_or(path);
        match &self.content {
            Content::List(items) => {
                let (index, rest) = bracketed(path)?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((item, item.at, rest))
            }
            Content::Map(fields) => {
                if let Some((key, rest)) = bracketed(path) {
                    let key = key.trim_matches(['"', '\'']);
                    if let Some(field) = fields.iter().find(|field| field.key == key) {
                        return Some((&field.value, field.at, rest));
                    }
                }
                fields
                    .iter()
                    .filter_map(|field| {
                        let rest = dotted.strip_prefix(field.key.as_str())?;
                        (rest.is_empty() || rest.starts_with(['.', '['])).then_some((&field.value, field.at, rest))
                    })
                    .min_by_key(|(_, _, rest)| rest.len())
            }
            _ => None,
        }
    }
}

/// `[inside]rest`.
fn bracketed(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('.').unwrap_or(path).strip_prefix('[')?.split_once(']')
}
