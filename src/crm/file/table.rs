//! One file as a table: rows with the wanted columns, whether it is CSV or JSONL, and what could not be read as a row.

use super::findings::Kind;
use super::records::{Lines, Record, Taken, delimiter_of, read_record};
use super::source::{Input, Text};
use crate::crm::CrmError;
use encoding_rs::Encoding;
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::Arc,
};

/// A longer cell is treated as blank: nothing that we use is that long.
const MAX_CELL: usize = 64 * 1024;
const MAX_ID: usize = 256;

/// A column we look for. By convention the id is the first of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// The canonical name, for messages.
    pub key: String,
    /// What it may be called in the file; the first that is there is taken.
    pub names: Vec<String>,
    /// The manifest names the column itself, so it ought to be there.
    pub declared: bool,
    pub mandatory: bool,
}

impl Want {
    /// What it is known by from one look to the next. Under another mapping it is another column, which nobody can miss yet.
    pub fn known_as(&self) -> String {
        format!("{}={}", self.key, self.names.join("|"))
    }
}

/// The wanted cells of one row, trimmed.
#[derive(Debug)]
pub(super) struct Row {
    pub line: u64,
    text: String,
    cells: Vec<Range<usize>>,
    /// What was wrong with single cells: kind and index of the wanted column.
    pub flaws: Vec<(Kind, usize)>,
}

impl Row {
    pub fn cell(&self, index: usize) -> &str {
        self.cells.get(index).and_then(|range| self.text.get(range.clone())).unwrap_or_default()
    }

    pub fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(|range| self.text.get(range.clone()).unwrap_or_default())
    }

    fn push(&mut self, text: &str, index: usize) {
        let start = self.text.len();
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if text.contains('\0') {
            self.text.extend(text.chars().filter(|c| *c != '\0'));
        } else {
            self.text.push_str(text);
        }
        if self.text.len() - start > MAX_CELL {
            self.text.truncate(start);
            self.flaws.push((Kind::TooLong, index));
        }
        self.cells.push(start..self.text.len());
    }
}

/// A row that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub line: u64,
    pub kind: Kind,
    pub what: &'static str,
    /// Whose row it is, if that much can be read.
    pub id: Option<String>,
    /// Nobody can say whose row it is: what is missing from the file may stand here.
    pub hidden: bool,
}

#[derive(Debug)]
pub(super) enum Item {
    Row(Row),
    Bad(Bad),
}

enum Shape {
    Csv { delimiter: u8, width: usize, at: Vec<Option<usize>> },
    Jsonl { keys: Vec<Option<String>> },
}

pub(super) struct Table {
    input: Arc<Input>,
    lines: Lines,
    decoded: bool,
    shape: Shape,
    /// The header's columns, or the keys of the first readable line of JSON. `None`: no line of JSON can be read.
    named: Option<Vec<String>>,
    /// In how many lines of JSON each wanted column stands.
    met: Vec<u64>,
    record: Record,
    wants: Arc<[Want]>,
}

/// Lines of JSON may leave out what is empty. A column that stood in fewer of them may be in none by chance.
const OFTEN: u64 = 20;

/// What a first look through a file tells.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The wanted columns that the file has, by their index: of JSON, that any of its lines has.
    has: Vec<bool>,
    /// Those of them whose disappearance would be no chance.
    pub steady: Vec<String>,
    /// A header names the columns: one that it does not name is not there, whatever the rows hold.
    pub by_header: bool,
    /// Rows whose id can be read, each id once.
    pub rows: u64,
    pub ids: HashSet<u64>,
    /// Of ids that stand in several rows: the line that counts, the last one.
    pub last: HashMap<u64, u64>,
}

impl Scan {
    /// Whether the file has the wanted column.
    pub fn has(&self, index: usize) -> bool {
        self.has.get(index).copied().unwrap_or_default()
    }
}

impl Table {
    /// Opens a file and finds the wanted columns.
    pub fn open(
        input: &Arc<Input>,
        wants: &Arc<[Want]>,
        encoding: &'static Encoding,
        delimiter: Option<u8>,
    ) -> Result<Self, CrmError> {
        let Text { reader, decoded } = input.open(encoding)?;
        let mut lines = Lines::new(reader);
        let Some(mut first) = lines.next_filled().map_err(|e| input.unavailable(e))? else {
            return Err(empty(input, wants));
        };
        let lower = input.name.to_lowercase();
        let jsonl = [".jsonl", ".ndjson", ".json"].iter().any(|ending| lower.ends_with(ending))
            || ![".csv", ".tsv", ".txt"].iter().any(|ending| lower.ends_with(ending)) && first.bytes.trim_ascii().starts_with(b"{");
        let (shape, found) = if jsonl {
            // Columns are named by each row; the first readable one tells what most of them are called.
            let found = loop {
                if let Ok(Value::Object(object)) = serde_json::from_slice(&first.bytes) {
                    let found: Vec<String> = object.keys().cloned().collect();
                    break Some(found);
                }
                match lines.next_filled().map_err(|e| input.unavailable(e))? {
                    Some(next) => first = next,
                    None => break None,
                }
            };
            let keys = |found: &Vec<String>| wants.iter().map(|w| position(w, found).and_then(|i| found.get(i).cloned())).collect();
            let shape = Shape::Jsonl { keys: found.as_ref().map_or_else(|| vec![None; wants.len()], keys) };
            lines = Lines::new(input.open(encoding)?.reader);
            (shape, found)
        } else {
            let mut delimiter = delimiter;
            // Excel's own way to declare it.
            if let [b's', b'e', b'p', b'=', declared] = first.bytes.as_slice() {
                delimiter = delimiter.or(Some(*declared));
                first = lines.next_filled().map_err(|e| input.unavailable(e))?.ok_or_else(|| empty(input, wants))?;
            }
            let delimiter = delimiter.unwrap_or_else(|| delimiter_of(&first.bytes));
            lines.put_back(vec![first]);
            let mut record = Record::default();
            read_record(&mut lines, delimiter, None, &mut record).map_err(|e| input.unavailable(e))?;
            let found: Vec<String> = record.cells().map(|c| String::from_utf8_lossy(c).trim().to_owned()).collect();
            let at = wants.iter().map(|want| position(want, &found)).collect();
            (Shape::Csv { delimiter, width: found.len(), at }, Some(found))
        };
        let (input, wants, met) = (Arc::clone(input), Arc::clone(wants), vec![0; wants.len()]);
        let table = Self { input, lines, decoded, shape, named: found, met, record: Record::default(), wants };
        if table.by_header() {
            table.needs(&table.has())?;
        }
        Ok(table)
    }

    const fn by_header(&self) -> bool {
        matches!(self.shape, Shape::Csv { .. })
    }

    /// Which of the wanted columns the file has, as far as it was read.
    fn has(&self) -> Vec<bool> {
        match &self.shape {
            Shape::Csv { at, .. } => at.iter().map(Option::is_some).collect(),
            Shape::Jsonl { .. } => self.met.iter().map(|rows| *rows > 0).collect(),
        }
    }

    /// Refuses a file without the columns that every file needs.
    fn needs(&self, has: &[bool]) -> Result<(), CrmError> {
        let Some(found) = &self.named else { return Ok(()) };
        let Some((missing, _)) = self.wants.iter().zip(has).find(|(want, has)| want.mandatory && !**has) else { return Ok(()) };
        let what = format!("{} has no column for `{}`", self.input.name, missing.key);
        // Without a header the first line is a row: its cells are not for messages.
        let broken = found.iter().any(|name| name.contains('\u{fffd}'));
        let help = if broken {
            "its first line is not in the declared encoding; save the file as UTF-8, or set `encoding` (for instance windows-1251)"
                .into()
        } else if has.contains(&true) {
            format!("its columns are {}; map one of them in `columns`, like `{}: NAME`", listed(found), missing.key)
        } else {
            "its first line names none of the columns we know; write a header line, map its names in `columns`, or set `encoding` \
             or `delimiter` if they are other than they look"
                .into()
        };
        Err(CrmError::Settings { what, help })
    }

    /// The next row, or `None` at the end.
    pub fn next(&mut self) -> Result<Option<Item>, CrmError> {
        let item = match &self.shape {
            Shape::Csv { .. } => self.next_csv(),
            Shape::Jsonl { .. } => self.next_json(),
        };
        item.map_err(|e| self.input.unavailable(e))
    }

    fn next_csv(&mut self) -> std::io::Result<Option<Item>> {
        let Shape::Csv { delimiter, width, at } = &self.shape else { return Ok(None) };
        let taken = read_record(&mut self.lines, *delimiter, Some(*width), &mut self.record)?;
        let id = at.first().copied().flatten();
        let id_within = |cells: usize| id.filter(|i| *i < cells).and_then(|i| readable_id(self.record.cell(i)?));
        let (line, kind, what, id) = match taken {
            Taken::End => return Ok(None),
            Taken::Whole { line } => {
                let mut row = Row { line, text: String::new(), cells: Vec::with_capacity(at.len()), flaws: Vec::new() };
                for (index, column) in at.iter().enumerate() {
                    let bytes = column.and_then(|c| self.record.cell(c)).unwrap_or_default();
                    match std::str::from_utf8(bytes) {
                        Ok(text) if !self.decoded || !text.contains('\u{fffd}') => {
                            if text.contains('\0') {
                                row.flaws.push((Kind::NulByte, index));
                            }
                            row.push(text, index);
                        }
                        _ => {
                            let id = id_within(usize::MAX);
                            return Ok(Some(Item::Bad(Bad {
                                line,
                                kind: Kind::WrongEncoding,
                                what: ENCODING,
                                hidden: id.is_none(),
                                id,
                            })));
                        }
                    }
                }
                return Ok(Some(checked(row)));
            }
            Taken::Ragged { line } => {
                let what = "the row has not as many cells as the header names; write one cell for each column, in quotes where a cell holds the delimiter";
                (line, Kind::BrokenRow, what, id_within(1))
            }
            Taken::Unclosed { line, cells } => (
                line,
                Kind::BrokenRow,
                "a quote is opened and never closed; close it, or double it inside a cell (\"\")",
                id_within(cells),
            ),
            Taken::Cut { line } => (line, Kind::TooLong, "the line is longer than 32 MB; shorten it", None),
        };
        Ok(Some(Item::Bad(Bad { line, kind, what, hidden: id.is_none(), id })))
    }

    fn next_json(&mut self) -> std::io::Result<Option<Item>> {
        let Shape::Jsonl { keys } = &self.shape else { return Ok(None) };
        let Some(source) = self.lines.next_filled()? else { return Ok(None) };
        let line = source.number;
        let bad = |kind, what| Ok(Some(Item::Bad(Bad { line, kind, what, id: None, hidden: true })));
        if source.cut {
            return bad(Kind::TooLong, "the line is longer than 32 MB; shorten it");
        }
        let Ok(text) = std::str::from_utf8(&source.bytes) else { return bad(Kind::WrongEncoding, ENCODING) };
        if self.decoded && text.contains('\u{fffd}') {
            return bad(Kind::WrongEncoding, ENCODING);
        }
        let Ok(Value::Object(object)) = serde_json::from_str::<Value>(text) else {
            return bad(Kind::BrokenRow, "the line is not a JSON object; write one object in braces a line");
        };
        let mut row = Row { line, text: String::new(), cells: Vec::with_capacity(keys.len()), flaws: Vec::new() };
        // Keys that the first row did not have.
        let names: Vec<&String> = object.keys().filter(|k| !keys.iter().flatten().any(|known| known == *k)).collect();
        for (index, (key, want)) in keys.iter().zip(self.wants.iter()).enumerate() {
            let value = key
                .as_ref()
                .and_then(|key| object.get(key))
                .or_else(|| position(want, &names).and_then(|i| object.get(names.get(i)?.as_str())));
            if value.is_some()
                && let Some(rows) = self.met.get_mut(index)
            {
                *rows += 1;
            }
            let text = value.map(plain).unwrap_or_default();
            if text.contains('\0') {
                row.flaws.push((Kind::NulByte, index));
            }
            row.push(&text, index);
        }
        Ok(Some(checked(row)))
    }

    /// Reads to the end, for ids and columns only; `each` sees all rows that can be read.
    pub fn scan(mut self, mut each: impl FnMut(&Row)) -> Result<Scan, CrmError> {
        let mut scan = Scan { by_header: self.by_header(), ..Scan::default() };
        while let Some(item) = self.next()? {
            match item {
                Item::Row(row) => {
                    each(&row);
                    let id = id_hash(row.cell(0));
                    if scan.ids.insert(id) {
                        scan.rows += 1;
                    } else {
                        scan.last.insert(id, row.line);
                    }
                }
                Item::Bad(Bad { id: Some(id), .. }) => scan.rows += u64::from(scan.ids.insert(id_hash(&id))),
                Item::Bad(_) => {}
            }
        }
        scan.has = self.has();
        if !scan.by_header {
            self.needs(&scan.has)?;
        }
        let steady = |index: usize| scan.has(index) && (scan.by_header || self.met.get(index).is_some_and(|rows| *rows >= OFTEN));
        scan.steady = self.wants.iter().enumerate().filter(|(index, _)| steady(*index)).map(|(_, want)| want.known_as()).collect();
        Ok(scan)
    }
}

const ENCODING: &str =
    "the row is not in the declared encoding; save the file as UTF-8, or set `encoding` (for instance windows-1251)";

/// A row needs an id.
fn checked(row: Row) -> Item {
    let id = row.cell(0);
    let bad = |kind, what| Item::Bad(Bad { line: row.line, kind, what, id: None, hidden: false });
    if row.flaws.contains(&(Kind::TooLong, 0)) || id.len() > MAX_ID {
        return bad(Kind::TooLong, "the id is longer than 256 bytes; write the CRM's own id");
    }
    if id.is_empty() {
        return bad(Kind::MissingId, "the id is blank; write the CRM's own id");
    }
    Item::Row(row)
}

fn readable_id(bytes: &[u8]) -> Option<String> {
    let id = std::str::from_utf8(bytes).ok()?.trim();
    (!id.is_empty() && id.len() <= MAX_ID && !id.contains(['\0', '\u{fffd}'])).then(|| id.to_owned())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Array(values) => values.iter().map(plain).filter(|t| !t.is_empty()).collect::<Vec<_>>().join(";"),
        Value::Null | Value::Object(_) => String::new(),
    }
}

/// Which of the found names is the wanted column: spelled the same, else the same but for case, spaces, `_` and `-`.
fn position<S: AsRef<str>>(want: &Want, found: &[S]) -> Option<usize> {
    want.names.iter().find_map(|name| {
        found.iter().position(|f| f.as_ref() == name).or_else(|| {
            let folded = fold(name);
            found.iter().position(|f| fold(f.as_ref()) == folded)
        })
    })
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Column names for a message. A file without a header has a person in its first line: what looks like one is left out.
fn listed(found: &[String]) -> String {
    let shown = found.iter().take(40).map(|name| {
        let personal = name.contains('@') || name.bytes().filter(u8::is_ascii_digit).count() > 4;
        if personal || name.chars().count() > 60 { "…".to_owned() } else { format!("`{}`", name.escape_debug()) }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn empty(input: &Input, wants: &[Want]) -> CrmError {
    let names: Vec<&str> = wants.iter().filter(|w| w.mandatory).filter_map(|w| Some(w.names.first()?.as_str())).collect();
    CrmError::Settings {
        what: format!("{} is empty", input.name),
        help: format!("its first line must name the columns, at least {}", names.join(", ")),
    }
}

/// Ids are compared by hash, so that a million of them take little room. A collision would miss one finding.
pub(super) fn id_hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
