//! CSV (RFC 4180, and what people's programs make of it) split into records, with the line each one starts on. Written here and
//! not taken from a library for one reason: a quote that is never closed must cost its own row and not the rest of the file.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Read},
    ops::Range,
};

/// Longest physical line and longest record. More than a 10 MB cell; less than what would hurt.
const MAX_BYTES: usize = 32 << 20;
/// A quoted cell spans at most this many lines; behind that, the quote was forgotten.
const MAX_LINES: usize = 1000;

/// One physical line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub number: u64,
    pub bytes: Vec<u8>,
    /// It was longer than we hold; the rest is dropped.
    pub cut: bool,
}

/// Physical lines, numbered from 1, which can be put back.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    number: u64,
    returned: VecDeque<Line>,
}

impl Lines {
    pub fn new(reader: Box<dyn BufRead + Send>) -> Self {
        Self { reader, number: 0, returned: VecDeque::new() }
    }

    pub fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.returned.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        if self.reader.by_ref().take(MAX_BYTES as u64).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let cut = bytes.len() == MAX_BYTES && bytes.last() != Some(&b'\n');
        if cut {
            self.reader.skip_until(b'\n')?;
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Ok(Some(Line { number: self.number, bytes, cut }))
    }

    /// The next line that is not blank.
    pub fn next_filled(&mut self) -> io::Result<Option<Line>> {
        while let Some(line) = self.next()? {
            if line.cut || !line.bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Puts lines back, to be read again in their order.
    pub fn put_back(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.returned.push_front(line);
        }
    }
}

/// The cells of one record.
#[derive(Debug, Default)]
pub(super) struct Record {
    text: Vec<u8>,
    cells: Vec<Range<usize>>,
    start: usize,
    state: State,
    /// Something follows a closing quote: the quote that closed was more likely meant to open.
    stray: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    CellStart,
    Bare,
    Quoted,
    /// A quote inside a quoted cell: its end, or the first half of `""`.
    Quote,
}

impl Record {
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    pub fn cell(&self, index: usize) -> Option<&[u8]> {
        self.text.get(self.cells.get(index)?.clone())
    }

    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        self.cells.iter().map(|range| self.text.get(range.clone()).unwrap_or_default())
    }

    fn clear(&mut self) {
        self.text.clear();
        self.cells.clear();
        self.start = 0;
        self.stray = false;
        self.state = State::CellStart;
    }

    fn open(&self) -> bool {
        self.state == State::Quoted
    }

    fn end_cell(&mut self) {
        self.cells.push(self.start..self.text.len());
        self.start = self.text.len();
        self.state = State::CellStart;
    }

    /// Takes one more physical line. Afterwards the record is complete unless it is [`open`](Self::open).
    fn feed(&mut self, line: &[u8], delimiter: u8) {
        if self.open() {
            self.text.push(b'\n');
        }
        for &byte in line {
            match self.state {
                State::CellStart if byte == b'"' => self.state = State::Quoted,
                State::CellStart | State::Bare if byte == delimiter => self.end_cell(),
                State::CellStart | State::Bare => {
                    self.text.push(byte);
                    self.state = State::Bare;
                }
                State::Quoted if byte == b'"' => self.state = State::Quote,
                State::Quoted => self.text.push(byte),
                State::Quote if byte == b'"' => {
                    self.text.push(byte);
                    self.state = State::Quoted;
                }
                State::Quote if byte == delimiter => self.end_cell(),
                State::Quote => {
                    self.stray = true;
                    self.text.push(byte);
                    self.state = State::Bare;
                }
            }
        }
        if !self.open() {
            self.end_cell();
        }
    }
}

/// What came of reading one record. Its cells are in the [`Record`] that was passed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Whole {
        line: u64,
    },
    /// Another number of cells than wanted: only the first one is certainly in its place, whichever delimiter is missing or too many.
    Ragged {
        line: u64,
    },
    /// A quote that is never closed: this line only; reading goes on with the next one. `cells`: how many come before the quote.
    Unclosed {
        line: u64,
        cells: usize,
    },
    Cut {
        line: u64,
    },
    End,
}

/// Reads the next record of `width` cells (`None`: any number) into `record`.
pub(super) fn read_record(lines: &mut Lines, delimiter: u8, width: Option<usize>, record: &mut Record) -> io::Result<Taken> {
    let Some(first) = lines.next_filled()? else { return Ok(Taken::End) };
    let line = first.number;
    record.clear();
    if first.cut {
        return Ok(Taken::Cut { line });
    }
    record.feed(&first.bytes, delimiter);
    // Cells before the one that a quote left open are in their place, whatever the quote meant.
    let safe = record.len();
    let mut followers = Vec::new();
    let mut bytes = first.bytes.len();
    while record.open() && followers.len() < MAX_LINES && bytes < MAX_BYTES {
        let Some(next) = lines.next()? else { break };
        bytes += next.bytes.len();
        record.feed(&next.bytes, delimiter);
        followers.push(next);
    }
    let fits = width.is_none_or(|width| {
        record.len() == width || record.len() > width && record.cells().skip(width).all(|c| c.iter().all(u8::is_ascii_whitespace))
    });
    let suspect = record.open() || record.stray && !followers.is_empty();
    if !suspect && fits {
        return Ok(Taken::Whole { line });
    }
    if followers.is_empty() && !record.open() {
        return Ok(Taken::Ragged { line });
    }
    lines.put_back(followers);
    Ok(Taken::Unclosed { line, cells: safe })
}

/// The delimiter that a header line uses most, outside of quotes.
pub(super) fn delimiter_of(header: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    for &byte in header {
        if byte == b'"' {
            quoted = !quoted;
        } else if !quoted {
            counts.iter_mut().filter(|(d, _)| *d == byte).for_each(|(_, n)| *n += 1);
        }
    }
    // The first of equals wins: a comma when there is only one column.
    counts.iter().rev().max_by_key(|(_, n)| *n).map_or(b',', |(d, _)| *d)
}

#[cfg(test)]
mod tests {
    use super::{Lines, Record, Taken, delimiter_of, read_record};
    use proptest::prelude::*;
    use std::io::Cursor;

    fn all(text: &[u8], width: Option<usize>) -> (Vec<Vec<String>>, Vec<Taken>) {
        let mut lines = Lines::new(Box::new(Cursor::new(text.to_vec())));
        let (mut record, mut rows, mut bad) = (Record::default(), Vec::new(), Vec::new());
        loop {
            match read_record(&mut lines, b',', width, &mut record).unwrap() {
                Taken::End => return (rows, bad),
                Taken::Whole { .. } => rows.push(record.cells().map(|c| String::from_utf8_lossy(c).into_owned()).collect()),
                other => bad.push(other),
            }
        }
    }

    #[test]
    fn quotes_lines_and_empty_cells() {
        let (rows, bad) = all(b"a,\"b,\"\"c\"\"\r\nd\",\r\n\r\n,,\r\n", Some(3));
        assert_eq!(rows, [vec!["a", "b,\"c\"\nd", ""], vec!["", "", ""]]);
        assert!(bad.is_empty());
    }

    #[test]
    fn a_forgotten_quote_costs_one_row() {
        let (rows, bad) = all(b"1,a\n2,\"b\n3,c\n4,d\n", Some(2));
        assert_eq!(rows, [vec!["1", "a"], vec!["3", "c"], vec!["4", "d"]]);
        assert_eq!(bad, [Taken::Unclosed { line: 2, cells: 1 }]);
    }

    #[test]
    fn a_forgotten_quote_does_not_swallow_rows_up_to_the_next_quote() {
        let (rows, bad) = all(b"1,\"a\n2,b\n3,\"c\"\n4,d\n", Some(2));
        assert_eq!(rows, [vec!["2", "b"], vec!["3", "c"], vec!["4", "d"]]);
        assert_eq!(bad, [Taken::Unclosed { line: 1, cells: 1 }]);
    }

    #[test]
    fn delimiters() {
        for (header, want) in [("id,stage", b','), ("id;stage;\"a,b,c,d\"", b';'), ("id\tstage", b'\t'), ("id", b',')] {
            assert_eq!(delimiter_of(header.as_bytes()), want, "{header}");
        }
    }

    proptest! {
        /// Whatever a well-kept CSV library writes is read back as it was.
        #[test]
        fn reads_what_the_csv_library_writes(rows in prop::collection::vec(prop::collection::vec("[a-z,;\"\n é]{0,8}", 3), 1..20)) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let (read, bad) = all(&writer.into_inner().unwrap(), Some(3));
            prop_assert_eq!(read, rows);
            prop_assert!(bad.is_empty());
        }
    }
}
