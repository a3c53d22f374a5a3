//! Which rows the last look handed out: an export that is written anew every night with a few changes costs those changes.
//!
//! Held in memory only, and only of files of up to [`MOST`] rows. A process that has just started reads everything once, which is harmless.

use super::position::Marks;
use super::table::Row;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Of larger files nothing is remembered: a million rows more came to fifty megabytes, and a process shall do with 150.
const MOST: usize = 250_000;

/// Rows of a finished look, by the hash of their cells. A row of which something had to be noted is not among them: it is noted again.
#[derive(Debug, Default)]
pub(super) struct Told {
    marks: Marks,
    contacts: Vec<u64>,
    deals: Vec<u64>,
}

impl Told {
    /// What a look over the files of `marks` told.
    pub fn new(marks: Marks, telling: Telling) -> Self {
        Self { marks, contacts: alone(telling.contacts), deals: alone(telling.deals) }
    }

    /// Whether the caller has stored this very look last. Otherwise it counts for nothing: another process may have read since, a page
    /// may have been refused, and to a new funnel everything is new.
    pub fn is_stored(&self, position: &Marks) -> bool {
        self.marks.content() == position.content()
    }

    pub fn contact(&self, row: u64) -> bool {
        self.contacts.binary_search(&row).is_ok()
    }

    pub fn deal(&self, row: u64) -> bool {
        self.deals.binary_search(&row).is_ok()
    }
}

/// Rows of a look under way: whose contact each one tells, and its hash.
#[derive(Debug, Default)]
pub(super) struct Telling {
    contacts: Vec<(u64, u64)>,
    deals: Vec<(u64, u64)>,
    too_many: bool,
}

impl Telling {
    pub fn contact(&mut self, whose: u64, row: u64) {
        if self.has_room() {
            self.contacts.push((whose, row));
        }
    }

    pub fn deal(&mut self, whose: u64, row: u64) {
        if self.has_room() {
            self.deals.push((whose, row));
        }
    }

    /// All or nothing: who remembers half of the rows cannot tell which of them stand alone.
    fn has_room(&mut self) -> bool {
        if !self.too_many && self.contacts.len() + self.deals.len() >= MOST {
            *self = Self { too_many: true, ..Self::default() };
        }
        !self.too_many
    }
}

/// Of rows about the same person the last one counts, and which one that is changes with any of them: they are told every time.
fn alone(mut rows: Vec<(u64, u64)>) -> Vec<u64> {
    rows.sort_unstable();
    let mut alone: Vec<u64> =
        rows.chunk_by(|a, b| a.0 == b.0).filter_map(|same| if let [(_, row)] = same { Some(*row) } else { None }).collect();
    alone.sort_unstable();
    alone.shrink_to_fit();
    alone
}

/// All that a row says. `inline`: it is read as a contact too. One in 2⁶⁴ changes goes unseen.
pub(super) fn row_hash(row: &Row, inline: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    inline.hash(&mut hasher);
    for cell in row.cells() {
        cell.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{MOST, Marks, Telling, Told};

    #[test]
    fn of_too_many_rows_none_is_remembered() {
        for (rows, remembered) in [(MOST, true), (MOST + 1, false), (2 * MOST, false)] {
            let mut telling = Telling::default();
            for row in 0..rows as u64 {
                if row % 2 == 0 { telling.contact(row, row) } else { telling.deal(row, row) }
            }
            let told = Told::new(Marks::default(), telling);
            assert_eq!((told.contact(0), told.deal(1)), (remembered, remembered), "{rows}");
        }
    }
}
