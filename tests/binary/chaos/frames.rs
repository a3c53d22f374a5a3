//! Just enough of PostgreSQL's protocol to say what a connection is doing: which statement was asked for, and whether the answer is
//! complete.

use std::collections::HashMap;

/// What a client asks for.
#[derive(Default)]
pub struct Requests {
    buffer: Vec<u8>,
    greeted: bool,
    named: HashMap<Vec<u8>, String>,
}

impl Requests {
    /// The statements that begin within these bytes, in words.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.buffer.extend_from_slice(bytes);
        let mut begun = Vec::new();
        // The very first message has no letter.
        if !self.greeted {
            let Some(length) = length(&self.buffer) else { return begun };
            if self.buffer.len() < length {
                return begun;
            }
            self.buffer.drain(..length);
            self.greeted = true;
        }
        while let Some((kind, body)) = message(&mut self.buffer) {
            let mut texts = body.split(|b| *b == 0);
            let mut text = || texts.next().unwrap_or_default().to_vec();
            match kind {
                b'Q' => begun.push(words(&String::from_utf8_lossy(&text()))),
                b'P' => {
                    let (name, query) = (text(), text());
                    self.named.insert(name, words(&String::from_utf8_lossy(&query)));
                }
                b'B' => {
                    let (_portal, name) = (text(), text());
                    begun.extend(self.named.get(&name).cloned());
                }
                _ => {}
            }
        }
        begun
    }
}

/// What the server answers.
#[derive(Default)]
pub struct Answers(Vec<u8>);

impl Answers {
    /// Whether a transaction is open, when an answer is complete within these bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<bool> {
        self.0.extend_from_slice(bytes);
        let mut ready = None;
        while let Some((kind, body)) = message(&mut self.0) {
            if kind == b'Z' {
                ready = Some(body.first() != Some(&b'I'));
            }
        }
        ready
    }
}

fn length(bytes: &[u8]) -> Option<usize> {
    bytes.get(..4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

fn message(buffer: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let length = length(buffer.get(1..)?)?;
    if buffer.len() < length + 1 {
        return None;
    }
    let whole: Vec<u8> = buffer.drain(..=length).collect();
    Some((whole[0], whole[5..].to_vec()))
}

pub const RENEWAL: &str = "renewing the lease";
pub const COMMIT: &str = "COMMIT";
pub const WRITE: &str = "write";

/// A statement as a person would name it.
fn words(query: &str) -> String {
    let flat = query.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.starts_with("UPDATE lease SET until = CAST") {
        return RENEWAL.into();
    }
    if flat.starts_with("UPDATE lease SET epoch") {
        return "taking the lease".into();
    }
    if flat.contains("FROM lease") && flat.contains("KEY SHARE") {
        return "the fence".into();
    }
    let verbs = ["INSERT INTO ", "UPDATE ", "DELETE FROM "];
    let first = verbs.iter().filter_map(|verb| flat.find(verb).map(|at| (at, *verb))).min();
    match first {
        // `FOR UPDATE` and `DO UPDATE` name no table.
        Some((at, verb)) if !flat[..at].ends_with("FOR ") && !flat[..at].ends_with("DO ") => {
            let table = flat[at + verb.len()..].split([' ', '(']).next().unwrap_or_default();
            format!("{verb}{table}")
        }
        _ => flat.split([' ', ';']).next().unwrap_or_default().to_uppercase(),
    }
}

/// One of few kinds, for a table that can be read.
pub fn kind_of(statement: &str) -> &'static str {
    match statement {
        RENEWAL | "taking the lease" | "UPDATE lease" => "lease",
        COMMIT => "COMMIT",
        "BEGIN" | "the fence" => "BEGIN, fence",
        s if s.starts_with("INSERT") || s.starts_with("UPDATE") || s.starts_with("DELETE") => WRITE,
        _ => "read",
    }
}

#[test]
fn a_conversation_is_followed_through_any_slices() {
    let message = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    };
    let hello = [&12_u32.to_be_bytes()[..], &[0, 3, 0, 0, b'u', 0, b'r', 0]].concat();
    let talk = [
        hello[..12].to_vec(),
        message(b'Q', b"BEGIN\0"),
        message(b'P', b"s1\0WITH r AS (SELECT 1)\nINSERT INTO effect (a) SELECT 1\0\0\0"),
        message(b'B', b"\0s1\0\0\0\0\0\0\0"),
        message(b'Q', b"COMMIT\0"),
    ]
    .concat();
    for size in [1, 3, 7, talk.len()] {
        let mut requests = Requests::default();
        let begun: Vec<String> = talk.chunks(size).flat_map(|part| requests.feed(part)).collect();
        assert_eq!(begun, ["BEGIN", "INSERT INTO effect", "COMMIT"], "in slices of {size}");
    }
    let mut answers = Answers::default();
    assert_eq!(answers.feed(&message(b'C', b"BEGIN\0")), None);
    assert_eq!(answers.feed(&message(b'Z', b"T")), Some(true));
    assert_eq!(answers.feed(&message(b'Z', b"I")), Some(false));
}
