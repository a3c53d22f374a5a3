//! One text for both databases. Where they differ, the text says so itself:
//!
//! - `rows($1, id bigint, name text) r` reads a JSON array of objects as rows: `jsonb_each` on SQLite (twice as fast as
//!   `json_each`), `json_to_recordset` on PostgreSQL. This is how every batch travels: one parameter, one plan, whatever the number of rows.
//!   Neither database knows how few rows that are, and both are told to begin with them.
//! - `db_now()` is the database's own clock in milliseconds (leases only).
//! - a line that begins with `--pg` or `--sqlite` is for that database only; other comments are not sent.

use std::fmt::Write as _;
use std::sync::OnceLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// A statement with its name (for errors: it says where, and holds no values).
pub(super) struct Statement {
    pub name: &'static str,
    text: &'static str,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Statement {
    pub(super) const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    pub(super) fn text(&'static self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Sqlite => self.sqlite.get_or_init(|| expand(self.text, dialect)),
            Dialect::Postgres => self.postgres.get_or_init(|| expand(self.text, dialect)),
        }
    }
}

/// The statement in `text/NAME.sql`.
macro_rules! sql {
    ($name:literal) => {{
        static STATEMENT: $crate::store::sql::dialect::Statement =
            $crate::store::sql::dialect::Statement::new($name, include_str!(concat!("text/", $name, ".sql")));
        &STATEMENT
    }};
}
pub(super) use sql;

/// The text as that database reads it.
pub(super) fn expand(text: &str, dialect: Dialect) -> String {
    let (mine, now) = match dialect {
        Dialect::Sqlite => ("--sqlite ", "CAST(unixepoch('subsec') * 1000 AS INTEGER)"),
        Dialect::Postgres => ("--pg ", "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"),
    };
    let mut lines = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix(mine).unwrap_or(line);
        if !line.is_empty() && !line.starts_with("--") {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    expand_rows(&lines.replace("db_now()", now), dialect)
}

/// PostgreSQL takes a JSON array for a hundred rows, and a plan is made once, mostly while the tables are small: it then read whole
/// tables for each batch, for as long as the plan was kept. The conditions are always true and thought to hold for one row in three
/// hundred (planner's defaults), so that a batch counts as one row and the plan goes from it to the keys of each table, however large
/// they become.
fn expand_rows(text: &str, dialect: Dialect) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    let mut rest = text;
    let mut batched = false;
    while let Some((before, after)) = rest.split_once("rows($") {
        out.push_str(before);
        let Some((inside, after)) = after.split_once(") ") else {
            out.push_str("rows($");
            rest = after;
            continue;
        };
        let end = after.find(|c: char| !c.is_alphanumeric()).unwrap_or(after.len());
        let (alias, after) = after.split_at(end);
        let (parameter, columns) = inside.split_once(',').unwrap_or((inside, ""));
        match dialect {
            Dialect::Postgres => {
                let columns = columns.trim();
                let first = columns.split_whitespace().next().unwrap_or_default();
                let _ = write!(
                    out,
                    "(SELECT * FROM json_to_recordset(CAST(${parameter} AS json)) AS batch({columns}) WHERE num_nulls(batch.{first}) IN (0, \
                     1) AND num_nulls(batch.{first}) < 2) AS {alias}"
                );
            }
            Dialect::Sqlite => {
                let columns: Vec<String> = columns
                    .split(',')
                    .filter_map(|c| c.split_whitespace().next())
                    .map(|name| format!("value ->> '{name}' AS {name}"))
                    .collect();
                let _ = write!(out, "(SELECT {} FROM jsonb_each(${parameter})) AS {alias}", columns.join(", "));
            }
        }
        rest = after;
        batched = true;
    }
    out.push_str(rest);
    if batched && dialect == Dialect::Sqlite { in_written_order(&out) } else { out }
}

/// SQLite knows nothing of the size of a JSON array and may scan it once for each row of a table: `CROSS JOIN` keeps the order in
/// which the joins are written, the batch first and then its keys (sqlite.org/optoverview.html#crossjoin).
fn in_written_order(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(at) = rest.find("JOIN ") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let plain =
            !before.trim_end().to_ascii_uppercase().ends_with("LEFT") && !before.trim_end().to_ascii_uppercase().ends_with("CROSS");
        out.push_str(if plain { "CROSS JOIN " } else { "JOIN " });
        rest = after.strip_prefix("JOIN ").unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{Dialect, expand};

    #[test]
    fn one_text_becomes_two() {
        let text = "-- why\nSELECT x.id FROM rows($1, id bigint, name text) r\nJOIN x ON x.id = r.id AND x.at > db_now()\n--pg FOR UPDATE\n";
        assert_eq!(
            expand(text, Dialect::Postgres),
            "SELECT x.id FROM (SELECT * FROM json_to_recordset(CAST($1 AS json)) AS batch(id bigint, name text) WHERE \
             num_nulls(batch.id) IN (0, 1) AND num_nulls(batch.id) < 2) AS r\nJOIN x ON x.id = r.id AND x.at > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)\nFOR UPDATE\n"
        );
        assert_eq!(
            expand(text, Dialect::Sqlite),
            "SELECT x.id FROM (SELECT value ->> 'id' AS id, value ->> 'name' AS name FROM jsonb_each($1)) AS r\nCROSS JOIN x ON x.id = \
             r.id AND x.at > CAST(unixepoch('subsec') * 1000 AS INTEGER)\n"
        );
    }
}
