//! How commands print: aligned tables for people, JSON for pipelines.

use crate::model::Money;
use clap::ValueEnum;
use serde::Serialize;
use std::{
    borrow::Cow,
    io::{self, BufWriter, Write},
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    #[default]
    Table,
    Json,
}

/// Prints one JSON document.
pub fn json<T: Serialize>(value: &T) {
    if let Err(error) = serde_json::to_string_pretty(value).map_err(|e| e.to_string()).and_then(|text| print(&format!("{text}\n")))
    {
        eprintln!("cannot be printed as JSON: {error}");
    }
}

/// Prints a text.
///
/// # Errors
/// It cannot be written.
pub fn print(text: &str) -> Result<(), String> {
    write(|out| out.write_all(text.as_bytes()))
}

/// Writes to the standard output. Whoever reads it may have seen enough: `rekindle simulate -o csv | head`.
///
/// # Errors
/// It cannot be written.
pub fn write(what: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), String> {
    let mut out = BufWriter::new(io::stdout().lock());
    match what(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("the output cannot be written: {error}")),
        _ => Ok(()),
    }
}

/// What a CRM calls its things, harmless for a terminal: control characters are written out.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if letter.is_control() {
            plain.extend(letter.escape_debug());
        } else {
            plain.push(letter);
        }
    }
    Cow::Owned(plain)
}

/// Columns aligned by the widest cell: the first to the left, the others to the right.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths.get(i).copied().unwrap_or(0).saturating_sub(cell.chars().count()));
            if i == 0 {
                line.push_str(cell);
                line.push_str(&pad);
            } else {
                line.push_str("   ");
                line.push_str(&pad);
                line.push_str(cell);
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Like [`table`], every column to the left: for words.
#[must_use]
pub fn words(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + 3));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Money in words that fit a table: `4.2M`, `950k`, `12`.
#[must_use]
pub fn money(amount: Money) -> String {
    let units = amount.units();
    match units.abs() {
        n if n >= 1e9 => format!("{:.2}B", units / 1e9),
        n if n >= 1e6 => format!("{:.1}M", units / 1e6),
        n if n >= 1e4 => format!("{:.0}k", units / 1e3),
        _ => format!("{units:.0}"),
    }
}

/// A price or a sum of prices: `12.60`, and `0.0035` where cents are not enough.
#[must_use]
pub fn price(amount: f64) -> String {
    let long = format!("{amount:.4}");
    let short = long.trim_end_matches('0');
    let cut = short.find('.').map_or(long.len(), |point| short.len().max(point + 3));
    long.get(..cut).unwrap_or(&long).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{money, plain, price, table, words};
    use crate::model::Money;

    #[test]
    fn tables_align_by_characters_not_bytes() {
        let rows = vec![vec!["Завис".into(), "7".into()], vec!["x".into(), "1234".into()]];
        assert_eq!(table(&rows), "Завис      7\nx       1234\n");
    }

    #[test]
    fn an_id_with_control_characters_colours_no_terminal() {
        let rows = vec![vec!["\u{1b}[31mRED\u{1b}[0m".into(), "7".into()], vec!["two\nlines".into(), "\u{9b}2J".into()]];
        for shown in [table(&rows), words(&rows)] {
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
            assert!(shown.contains("\\u{1b}[31mRED") && shown.lines().count() == 2, "{shown:?}");
        }
        assert_eq!(plain("Завис — 7"), "Завис — 7");
    }

    #[test]
    fn a_price_has_cents_and_more_only_where_it_must() {
        for (amount, want) in
            [(12.6, "12.60"), (0.0035, "0.0035"), (0.035, "0.035"), (100.0, "100.00"), (0.0, "0.00"), (1.99999, "2.00")]
        {
            assert_eq!(price(amount), want);
        }
    }

    #[test]
    fn money_is_short() {
        let cases = [(1_250_000_000, "1.25B"), (4_200_000, "4.2M"), (95_000, "95k"), (950, "950")];
        for (units, want) in cases {
            assert_eq!(money(Money(units * 100)), want);
        }
    }
}
