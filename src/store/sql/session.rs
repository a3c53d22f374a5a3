//! One way to run a statement on either database: integers and texts in, integers and texts out.

use super::dialect::{Dialect, Statement};
use crate::store::StoreError;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, Column as _, Row as _, Transaction, TypeInfo as _, Value as _, ValueRef as _, pool::PoolConnection};
use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

type Result<T> = std::result::Result<T, StoreError>;

/// A parameter. Everything stored is one of these two.
#[derive(Clone)]
pub(super) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}
impl From<i32> for Arg {
    fn from(value: i32) -> Self {
        Self::Int(Some(value.into()))
    }
}
impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}
impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}
impl From<Timestamp> for Arg {
    fn from(value: Timestamp) -> Self {
        Self::Int(Some(value.as_millisecond()))
    }
}
impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(Some(without_nul(value)))
    }
}
impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::Text(Some(if value.contains('\0') { without_nul(&value) } else { value }))
    }
}
impl From<&String> for Arg {
    fn from(value: &String) -> Self {
        value.as_str().into()
    }
}

/// PostgreSQL stores no NUL in a text. A row that has one must not stop its batch, nor differ between the databases.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Parameters of a statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sql::session::Arg::from($value)),*] };
}
pub(super) use args;

/// A whole batch as one parameter.
pub(super) fn json_rows<T: Serialize>(rows: &[T]) -> Result<String> {
    let json = to_json(&rows)?;
    if !json.contains("\\u0000") {
        return Ok(json);
    }
    // Only a real escape, not a backslash that is itself escaped.
    let mut out = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = escape.strip_prefix("\\u0000") {
            out.push_str("\\ufffd");
            rest = after;
        } else {
            let (pair, after) = escape.split_at(2);
            out.push_str(pair);
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| StoreError::Corrupt { what: "a value cannot be written as JSON".into(), source: Some(Box::new(e)) })
}

enum Cell {
    Null,
    Int(i64),
    Text(String),
}

/// One row, read from left to right.
pub(super) struct Cells {
    cells: std::vec::IntoIter<Cell>,
    statement: &'static str,
}

impl Cells {
    fn wrong(&self, what: &str) -> StoreError {
        StoreError::Corrupt { what: format!("{}: {what}", self.statement), source: None }
    }

    pub(super) fn opt_int(&mut self) -> Result<Option<i64>> {
        match self.cells.next() {
            Some(Cell::Int(value)) => Ok(Some(value)),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Text(text)) => text.parse().map(Some).map_err(|_| self.wrong("a number was expected")),
            None => Err(self.wrong("a column is missing")),
        }
    }

    pub(super) fn int(&mut self) -> Result<i64> {
        self.opt_int()?.ok_or_else(|| self.wrong("a number is missing"))
    }

    pub(super) fn small<T: TryFrom<i64>>(&mut self) -> Result<T> {
        let value = self.int()?;
        T::try_from(value).map_err(|_| self.wrong("a number is out of range"))
    }

    pub(super) fn count(&mut self) -> Result<u64> {
        Ok(u64::try_from(self.opt_int()?.unwrap_or(0)).unwrap_or(0))
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        Ok(self.int()? != 0)
    }

    pub(super) fn opt_text(&mut self) -> Result<Option<String>> {
        match self.cells.next() {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Int(value)) => Ok(Some(value.to_string())),
            Some(Cell::Null) => Ok(None),
            None => Err(self.wrong("a column is missing")),
        }
    }

    pub(super) fn text(&mut self) -> Result<String> {
        self.opt_text()?.ok_or_else(|| self.wrong("a text is missing"))
    }

    /// A word of a closed set.
    pub(super) fn word<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let word = self.text()?;
        parse(&word).ok_or_else(|| self.wrong(&format!("{word:?} is not a word this version knows")))
    }

    pub(super) fn opt_time(&mut self) -> Result<Option<Timestamp>> {
        self.opt_int()?.map(|ms| Timestamp::from_millisecond(ms).map_err(|_| self.wrong("a time is out of range"))).transpose()
    }

    pub(super) fn time(&mut self) -> Result<Timestamp> {
        self.opt_time()?.ok_or_else(|| self.wrong("a time is missing"))
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let text = self.text()?;
        self.parse(&text)
    }

    pub(super) fn opt_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        self.opt_text()?.map(|text| self.parse(&text)).transpose()
    }

    fn parse<T: DeserializeOwned>(&self, text: &str) -> Result<T> {
        // serde_json's own message may quote the value.
        serde_json::from_str(text)
            .map_err(|e| self.wrong(&format!("stored JSON cannot be read (line {}, column {})", e.line(), e.column())))
    }
}

/// A server that says nothing for so long is taken for gone: a connection that a firewall forgot gives no sign of it, and whoever asked
/// would wait for ever. What stands in a transaction is a batch; a read may go through whole tables.
pub(super) const SILENCE_IN_TRANSACTION: Duration = Duration::from_secs(30);
pub(super) const SILENCE_OF_READ: Duration = Duration::from_mins(2);

/// The answer, or that there was none in time. Whoever drops a connection that was given up here leaves it to the pool, which finds out
/// that it is silent.
pub(super) async fn heard<T>(patience: Duration, answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let silent = |_| Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time")));
    tokio::time::timeout(patience, answer).await.unwrap_or_else(silent)
}

/// A connection, inside a transaction or not.
pub(super) enum Session {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTx(Transaction<'static, Sqlite>),
    /// With how long an answer is waited for.
    Postgres(PoolConnection<Postgres>, Duration),
    PostgresTx(Transaction<'static, Postgres>),
}

impl Session {
    /// Runs a statement and returns its rows.
    pub(super) async fn rows(&mut self, statement: &'static Statement, args: Vec<Arg>) -> Result<Vec<Cells>> {
        let fault = |e| fault(e, statement.name);
        match self {
            Self::Sqlite(_) | Self::SqliteTx(_) => {
                let query = sqlx::query_with(statement.text(Dialect::Sqlite), sqlite_args(args).map_err(|e| bind(e, statement))?);
                let rows = match self {
                    Self::Sqlite(c) => query.fetch_all(&mut **c).await,
                    Self::SqliteTx(c) => query.fetch_all(&mut **c).await,
                    Self::Postgres(..) | Self::PostgresTx(_) => Ok(Vec::new()),
                };
                rows.map_err(fault)?.iter().map(|row| sqlite_row(row, statement.name)).collect()
            }
            Self::Postgres(..) | Self::PostgresTx(_) => {
                let query = sqlx::query_with(statement.text(Dialect::Postgres), pg_args(args).map_err(|e| bind(e, statement))?);
                let rows = match self {
                    Self::Postgres(c, patience) => heard(*patience, query.fetch_all(&mut **c)).await,
                    Self::PostgresTx(c) => heard(SILENCE_IN_TRANSACTION, query.fetch_all(&mut **c)).await,
                    Self::Sqlite(_) | Self::SqliteTx(_) => Ok(Vec::new()),
                };
                rows.map_err(fault)?.iter().map(|row| pg_row(row, statement.name)).collect()
            }
        }
    }

    /// Runs a statement; how many rows it touched.
    pub(super) async fn run(&mut self, statement: &'static Statement, args: Vec<Arg>) -> Result<u64> {
        let fault = |e| fault(e, statement.name);
        match self {
            Self::Sqlite(_) | Self::SqliteTx(_) => {
                let query = sqlx::query_with(statement.text(Dialect::Sqlite), sqlite_args(args).map_err(|e| bind(e, statement))?);
                let done = match self {
                    Self::Sqlite(c) => query.execute(&mut **c).await,
                    Self::SqliteTx(c) => query.execute(&mut **c).await,
                    Self::Postgres(..) | Self::PostgresTx(_) => return Ok(0),
                };
                Ok(done.map_err(fault)?.rows_affected())
            }
            Self::Postgres(..) | Self::PostgresTx(_) => {
                let query = sqlx::query_with(statement.text(Dialect::Postgres), pg_args(args).map_err(|e| bind(e, statement))?);
                let done = match self {
                    Self::Postgres(c, patience) => heard(*patience, query.execute(&mut **c)).await,
                    Self::PostgresTx(c) => heard(SILENCE_IN_TRANSACTION, query.execute(&mut **c)).await,
                    Self::Sqlite(_) | Self::SqliteTx(_) => return Ok(0),
                };
                Ok(done.map_err(fault)?.rows_affected())
            }
        }
    }

    /// Runs several statements without parameters (migrations).
    pub(super) async fn script(&mut self, text: String, name: &'static str) -> Result<()> {
        let script = sqlx::raw_sql(sqlx::AssertSqlSafe(text));
        let done = match self {
            Self::Sqlite(c) => script.execute(&mut **c).await.map(|_| ()),
            Self::SqliteTx(c) => script.execute(&mut **c).await.map(|_| ()),
            Self::Postgres(c, _) => script.execute(&mut **c).await.map(|_| ()),
            Self::PostgresTx(c) => script.execute(&mut **c).await.map(|_| ()),
        };
        done.map_err(|e| fault(e, name))
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) | Self::SqliteTx(_) => Dialect::Sqlite,
            Self::Postgres(..) | Self::PostgresTx(_) => Dialect::Postgres,
        }
    }

    /// Makes a transaction durable. A connection that breaks here leaves nobody knowing whether it is.
    pub(super) async fn commit(self) -> Result<()> {
        let done = match self {
            Self::SqliteTx(tx) => tx.commit().await,
            Self::PostgresTx(tx) => {
                return heard(SILENCE_IN_TRANSACTION, tx.commit()).await.map_err(|e| match e {
                    // Refused (a deadlock, a full disk): certainly not stored. A server going down may have stored it.
                    sqlx::Error::Database(ref d) if !d.code().is_some_and(|c| c.starts_with("57")) => fault(e, "commit"),
                    _ => StoreError::AmbiguousCommit,
                });
            }
            Self::Sqlite(_) | Self::Postgres(..) => Ok(()),
        };
        done.map_err(|e| fault(e, "commit"))
    }
}

fn bind(source: sqlx::error::BoxDynError, statement: &'static Statement) -> StoreError {
    StoreError::Corrupt { what: format!("{}: a parameter cannot be sent", statement.name), source: Some(source) }
}

fn sqlite_args(args: Vec<Arg>) -> std::result::Result<SqliteArguments, sqlx::error::BoxDynError> {
    let mut out = SqliteArguments::default();
    for arg in args {
        match arg {
            Arg::Int(value) => sqlx::Arguments::add(&mut out, value)?,
            Arg::Text(value) => sqlx::Arguments::add(&mut out, value)?,
        }
    }
    Ok(out)
}

fn pg_args(args: Vec<Arg>) -> std::result::Result<PgArguments, sqlx::error::BoxDynError> {
    let mut out = PgArguments::default();
    for arg in args {
        match arg {
            Arg::Int(value) => out.add(value)?,
            Arg::Text(value) => out.add(value)?,
        }
    }
    Ok(out)
}

fn sqlite_row(row: &SqliteRow, statement: &'static str) -> Result<Cells> {
    let cells: sqlx::Result<Vec<Cell>> = (0..row.columns().len())
        .map(|i| {
            let value = row.try_get_raw(i)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            // The value's own type, not the column's: computed columns have none.
            let value = value.to_owned();
            match value.type_info().name() {
                "INTEGER" => value.try_decode::<i64>().map(Cell::Int),
                "REAL" => value.try_decode::<f64>().map(|v| Cell::Int(whole(v))),
                _ => value.try_decode_unchecked::<String>().map(Cell::Text),
            }
        })
        .collect();
    Ok(Cells { cells: cells.map_err(|e| fault(e, statement))?.into_iter(), statement })
}

#[allow(clippy::cast_possible_truncation)] // sums of whole numbers that became real
fn whole(value: f64) -> i64 {
    value.round() as i64
}

fn pg_row(row: &PgRow, statement: &'static str) -> Result<Cells> {
    let cells: sqlx::Result<Vec<Cell>> = row
        .columns()
        .iter()
        .enumerate()
        .map(|(i, column)| {
            Ok(match column.type_info().name() {
                "INT8" => row.try_get::<Option<i64>, _>(i)?.map_or(Cell::Null, Cell::Int),
                "INT4" => row.try_get::<Option<i32>, _>(i)?.map_or(Cell::Null, |v| Cell::Int(v.into())),
                "INT2" => row.try_get::<Option<i16>, _>(i)?.map_or(Cell::Null, |v| Cell::Int(v.into())),
                "BOOL" => row.try_get::<Option<bool>, _>(i)?.map_or(Cell::Null, |v| Cell::Int(v.into())),
                _ => row.try_get::<Option<String>, _>(i)?.map_or(Cell::Null, Cell::Text),
            })
        })
        .collect();
    Ok(Cells { cells: cells.map_err(|e| fault(e, statement))?.into_iter(), statement })
}

/// What a database said, without the values that its message may quote.
#[derive(Debug, thiserror::Error)]
#[error("{place}: database error {code}{meaning}")]
struct DatabaseFault {
    place: &'static str,
    code: String,
    meaning: String,
}

/// What a code means to whoever has to put it right. A message is handed on only where it names nothing but tables and the like.
fn meaning(code: &str, sqlite: Option<u32>, message: &str) -> String {
    match (sqlite, code) {
        (Some(8), _) => ": this user may not write the file or its folder".into(),
        (Some(14), _) => ": the file cannot be opened; it may be somebody else's".into(),
        (Some(26), _) => ": the file is no SQLite database".into(),
        (None, "3D000") => format!(": {message}; create it first"),
        (None, "42501") => format!(": {message}; grant it to the role of the store's address, or let that role own the database"),
        (None, "3F000" | "42P07") => format!(": {message}"),
        (None, "25006") => ": the database is read-only now, or a standby".into(),
        _ => String::new(),
    }
}

/// When a database last said that it is read-only: a primary that became a standby, whose connections may stay open.
static READ_ONLY: Mutex<Option<Instant>> = Mutex::new(None);

/// Whether that was a moment ago, so that connections are worth a question.
pub(super) fn lately_read_only() -> bool {
    let said = *READ_ONLY.lock().unwrap_or_else(PoisonError::into_inner);
    said.is_some_and(|at| at.elapsed() < Duration::from_mins(5))
}

/// `sqlx::Error` ends here.
pub(super) fn fault(error: sqlx::Error, place: &'static str) -> StoreError {
    match error {
        sqlx::Error::Database(e) => {
            let code = e.code().map(std::borrow::Cow::into_owned).unwrap_or_default();
            let sqlite = code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|c| c & 0xff);
            let class = code.get(..2).unwrap_or_default();
            if code == "53100" || sqlite == Some(13) {
                return StoreError::DiskFull;
            }
            // A password that is rotated is wrong for as long as its file still has the old one.
            if sqlite.is_none() && class == "28" {
                return StoreError::LoginRefused(code);
            }
            // SQLite: busy, locked, out of memory, read-only, I/O, cannot open. PostgreSQL: connection, resources, operator
            // intervention, serialisation, locks, system, and read-only: somebody else is the primary, or will be.
            let temporary = matches!(sqlite, Some(5 | 6 | 7 | 8 | 10 | 14))
                || sqlite.is_none() && (matches!(class, "08" | "40" | "53" | "57" | "58") || matches!(&*code, "55P03" | "25006"));
            if code == "25006" {
                *READ_ONLY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            let meaning = meaning(&code, sqlite, e.message());
            let fault = DatabaseFault { place, code, meaning };
            if temporary {
                StoreError::Unavailable(Box::new(fault))
            } else {
                StoreError::Corrupt { what: fault.to_string(), source: None }
            }
        }
        e @ (sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::RowNotFound) => StoreError::Corrupt { what: place.to_owned(), source: Some(Box::new(e)) },
        e => StoreError::Unavailable(Box::new(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::json_rows;

    #[test]
    fn a_nul_does_not_reach_the_database() {
        assert_eq!(json_rows(&["a\0b", r"c\u0000d", "\\\0"]).unwrap(), r#"["a\ufffdb","c\\u0000d","\\\ufffd"]"#);
    }
}
