//! YAML and JSON text → [`Node`] trees, meaning what `kubectl apply` makes of the same file: kubectl's splitting into documents,
//! YAML 1.1 scalars, merge keys, JSON. Where kubectl is silent (a key given twice) or does a surprising thing (a document after
//! `...` is dropped), the file is refused with a sentence, so that nothing means one thing here and another there.

use super::{
    node::{Content, Field, Node, Position},
    scalar::{self, Tag},
};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use std::{borrow::Cow, collections::HashMap, fmt::Write as _};

/// Deeper manifests are refused.
const MAX_DEPTH: usize = 100;
/// Values that aliases of one document may add: enough for people, too little for a "billion laughs".
const MAX_COPIED: usize = 100_000;

/// Why a text is not a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {message}", at.line, at.column)]
pub struct YamlError {
    pub at: Position,
    pub message: String,
    /// What to write instead; may be empty.
    pub help: String,
}

impl YamlError {
    fn new(at: Position, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: help.into() }
    }
}

/// All documents of a file; empty ones are left out.
pub fn parse(bytes: &[u8]) -> Result<Vec<Node>, YamlError> {
    let text = decode(bytes)?;
    let json = text.trim_start().starts_with('{');
    let text = if json { join_surrogates(text) } else { Cow::Borrowed(text) };
    let mut reader = Reader::new(&text, json);
    let mut documents = Vec::new();
    while let Some(document) = reader.document(documents.is_empty())? {
        if document.content != Content::Null {
            documents.push(document);
        }
    }
    Ok(documents)
}

/// UTF-8 without characters that a YAML file must not hold.
fn decode(bytes: &[u8]) -> Result<&str, YamlError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let valid = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
        YamlError::new(end_of(&valid), "the file is not UTF-8 text", "save it as UTF-8")
    })?;
    let odd = |c: char| {
        matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') || (c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
    };
    if let Some((index, c)) = text.char_indices().find(|(_, c)| odd(*c)) {
        return Err(YamlError::new(
            end_of(&text[..index]),
            format!("there is an invisible character (U+{:04X}) here", u32::from(c)),
            format!("delete it, or write it as \\u{:04x} inside double quotes", u32::from(c)),
        ));
    }
    Ok(text)
}

/// Place just after `text`.
fn end_of(text: &str) -> Position {
    let last = text.rsplit('\n').next().unwrap_or_default();
    Position { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 }
}

/// JSON writes characters beyond 16 bits as two escapes, which YAML does not know: `\ud83d\ude00` → `\U0001f600`.
fn join_surrogates(text: &str) -> Cow<'_, str> {
    let unit = |at: usize| {
        let escape = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(escape, 16).ok()
    };
    let (mut out, mut from, mut at) = (String::new(), 0, 0);
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        let here = at + found;
        match (unit(here), unit(here + 6)) {
            (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
                out.push_str(&text[from..here]);
                let _ = write!(out, "\\U{:08x}", 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00));
                from = here + 12;
                at = from;
            }
            _ => at = here + 2,
        }
    }
    if from == 0 { Cow::Borrowed(text) } else { Cow::Owned(out + &text[from..]) }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    json: bool,
    /// Where the slash of an escape `\/` would stand, counted in characters: looked for once, whatever the number of values.
    slashes: Vec<usize>,
    /// Anchored values; `None` while one is still being read.
    anchors: HashMap<usize, Option<Node>>,
    copied: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, json: bool) -> Self {
        let slashes = if json { Vec::new() } else { escaped_slashes(text) };
        Self { parser: Parser::new_from_str(text), text, json, slashes, anchors: HashMap::new(), copied: 0 }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.explain(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The next document, `None` at the end. `first`: none has been read yet.
    fn document(&mut self, first: bool) -> Result<Option<Node>, YamlError> {
        let start = loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::DocumentStart(explicit), span) => break (explicit, span),
                _ => {}
            }
        };
        self.anchors.clear();
        self.copied = 0;
        let (event, span) = self.next()?;
        if !first && !start.0 && !self.json {
            return Err(YamlError::new(
                place(span),
                "a new document starts here without a separator",
                "put a line with --- before it",
            ));
        }
        // An empty document has its null on the separator's line.
        let written = !matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text.is_empty());
        if !first && start.0 && written && place(span).line == place(start.1).line {
            return Err(YamlError::new(
                place(span),
                "there is text on the line of the separator",
                "start it on the line after ---",
            ));
        }
        self.node(event, span, 0).map(Some)
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, YamlError> {
        let at = place(span);
        if depth > MAX_DEPTH {
            return Err(YamlError::new(at, format!("this is nested more than {MAX_DEPTH} levels deep"), "write it flatter"));
        }
        match event {
            Event::Alias(id) => self.alias(id, at),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let content = scalar::resolve(&text, plain, tag_of(tag.as_deref()))
                    .map_err(|e| YamlError::new(at, e.to_string(), String::new()))?;
                if style == ScalarStyle::DoubleQuoted && !self.json {
                    self.check_escapes(span, at)?;
                }
                let written = (plain && !matches!(content, Content::String(_))).then(|| text.into_owned());
                Ok(self.keep(anchor, Node { content, at, written }))
            }
            Event::SequenceStart(anchor, _) => {
                self.open(anchor);
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                Ok(self.keep(anchor, Node { content: Content::List(items), at, written: None }))
            }
            Event::MappingStart(anchor, _) => {
                self.open(anchor);
                let fields = self.mapping(depth)?;
                Ok(self.keep(anchor, Node { content: Content::Map(fields), at, written: None }))
            }
            _ => Err(YamlError::new(at, "a value is missing here", "write a value or remove the line")),
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Field>, YamlError> {
        let mut fields: Vec<Field> = Vec::new();
        // Where a key is in `fields`, and whether only a merge brought it.
        let mut index: HashMap<String, (usize, bool)> = HashMap::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(fields),
                other => other,
            };
            let at = place(span);
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if merge {
                // As kubectl's reader does it, a merge also wins over keys that stand before it.
                for field in merged(value)? {
                    if let Some(&(i, _)) = index.get(&field.key) {
                        if let Some(old) = fields.get_mut(i) {
                            *old = field;
                        }
                    } else {
                        index.insert(field.key.clone(), (fields.len(), true));
                        fields.push(field);
                    }
                }
                continue;
            }
            let key = key_text(&key)?;
            match index.get(&key).copied() {
                Some((i, true)) => {
                    index.insert(key.clone(), (i, false));
                    if let Some(old) = fields.get_mut(i) {
                        *old = Field { key, at, value };
                    }
                }
                Some((i, false)) => {
                    let first = fields.get(i).map_or(0, |field| field.at.line);
                    return Err(YamlError::new(
                        at,
                        format!("{key:?} is given twice: in line {first} and in line {}", at.line),
                        "keep one of the two; lists repeat with -, keys do not",
                    ));
                }
                None => {
                    index.insert(key.clone(), (fields.len(), false));
                    fields.push(Field { key, at, value });
                }
            }
        }
    }

    fn open(&mut self, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
    }

    fn keep(&mut self, anchor: usize, node: Node) -> Node {
        if anchor > 0 {
            self.anchors.insert(anchor, Some(node.clone()));
        }
        node
    }

    fn alias(&mut self, id: usize, at: Position) -> Result<Node, YamlError> {
        match self.anchors.get(&id) {
            Some(Some(node)) => {
                self.copied += node.size();
                if self.copied > MAX_COPIED {
                    return Err(YamlError::new(
                        at,
                        format!("the aliases (*name) of this document stand for more than {MAX_COPIED} values"),
                        "write the values out, or split the document",
                    ));
                }
                Ok(node.clone())
            }
            Some(None) => Err(YamlError::new(at, "this alias (*name) contains itself", "write the value out")),
            None => Err(YamlError::new(
                at,
                "this alias (*name) has no anchor (&name) before it in the same document",
                "define it with &name first, or put text that begins with * in quotes",
            )),
        }
    }

    /// Escapes that this parser takes and kubectl's does not.
    fn check_escapes(&self, span: Span, at: Position) -> Result<(), YamlError> {
        let start = span.start.index();
        let first = self.slashes.partition_point(|slash| *slash < start);
        if self.slashes.get(first).is_some_and(|slash| *slash < start + span.len()) {
            return Err(YamlError::new(at, "kubectl does not know the escape \\/", "write / without the backslash"));
        }
        Ok(())
    }

    /// The parser's own words, with what usually helps.
    fn explain(&self, error: &ScanError) -> YamlError {
        let marker = error.marker();
        let at = Position { line: marker.line(), column: marker.col() + 1 };
        let line = self.text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default();
        let indent = line.len() - line.trim_start().len();
        let info = error.info();
        let help = if line.get(..indent).is_some_and(|space| space.contains('\t')) {
            "indent with spaces, not with tabs"
        } else if info.contains("mapping values are not allowed") {
            "put text that contains ': ' in quotes"
        } else if line.trim_start().contains(": {{") || line.trim_start().starts_with("- {{") {
            "put text that begins with {{ in quotes"
        } else if info.contains("anchor") {
            "define it with &name first, or put text that begins with * in quotes"
        } else if line.trim_start().contains(": @") || line.contains(": `") || line.contains(": %") {
            "put text that begins with @, ` or % in quotes"
        } else {
            "check the indentation and the quotes here and in the line above"
        };
        YamlError::new(at, format!("this is not valid YAML: {info}"), help)
    }
}

/// Slashes behind a backslash that is not itself escaped: what stands before a value in double quotes ends with its quote.
fn escaped_slashes(text: &str) -> Vec<usize> {
    let mut escaped = false;
    let mut found = Vec::new();
    for (index, c) in text.chars().enumerate() {
        if escaped && c == '/' {
            found.push(index);
        }
        escaped = c == '\\' && !escaped;
    }
    found
}

fn place(span: Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn tag_of(tag: Option<&saphyr_parser::Tag>) -> Tag {
    let Some(tag) = tag else { return Tag::None };
    if !tag.is_yaml_core_schema() {
        return Tag::Other;
    }
    match tag.suffix.as_str() {
        "str" => Tag::Str,
        "null" => Tag::Null,
        "bool" => Tag::Bool,
        "int" => Tag::Int,
        "float" => Tag::Float,
        "timestamp" => Tag::Timestamp,
        "binary" => Tag::Binary,
        _ => Tag::Other,
    }
}

/// A key as JSON has it: YAML's `on:` and `7:` are `"true"` and `"7"` after kubectl.
fn key_text(key: &Node) -> Result<String, YamlError> {
    match &key.content {
        Content::String(text) => Ok(text.clone()),
        Content::Bool(value) => Ok(value.to_string()),
        Content::Int(value) => Ok(value.to_string()),
        Content::Null => Err(YamlError::new(key.at, "the key is empty", "write a key before the colon, in quotes if need be")),
        Content::Float(_) => Err(YamlError::new(key.at, "a number with a fraction is no key", "put the key in quotes")),
        Content::List(_) | Content::Map(_) => Err(YamlError::new(
            key.at,
            "a list or a map cannot be a key",
            "put text that begins with {{ or [ in quotes: \"{{ client.name }}\"",
        )),
    }
}

/// What `<<:` brings; of several maps the first one wins.
fn merged(value: Node) -> Result<Vec<Field>, YamlError> {
    let wrong = |at| YamlError::new(at, "<<: takes a map or a list of maps", "refer to a map: <<: *name");
    match value.content {
        Content::Map(fields) => Ok(fields),
        Content::List(maps) => {
            let mut fields: Vec<Field> = Vec::new();
            for map in maps {
                let Content::Map(more) = map.content else { return Err(wrong(map.at)) };
                for field in more {
                    if !fields.iter().any(|known| known.key == field.key) {
                        fields.push(field);
                    }
                }
            }
            Ok(fields)
        }
        _ => Err(wrong(value.at)),
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
