//! Opening a database: connections, the lock file beside SQLite, migrations, the installation's secret.

use super::dialect::{Dialect, expand, sql};
use super::session::{SILENCE_IN_TRANSACTION, SILENCE_OF_READ, Session, args, fault, heard, lately_read_only};
use crate::store::StoreError;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::rand::SecureRandom as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Row as _};
use std::{fs::File, fs::TryLockError, path::Path, path::PathBuf, time::Duration};

type Result<T> = std::result::Result<T, StoreError>;

/// Append-only. (name, text, the oldest version whose binary can still work with a database at this version.)
const MIGRATIONS: &[(&str, &str, i64)] = &[
    ("first", include_str!("../migrations/0001_first.sql"), 1),
    ("unclear", include_str!("../migrations/0002_unclear.sql"), 1),
    ("voice and money", include_str!("../migrations/0003_voice_and_money.sql"), 1),
    ("waiting write-backs", include_str!("../migrations/0004_waiting_write_backs.sql"), 1),
];

/// How a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Access {
    /// The process that works: alone on SQLite, migrates.
    Engine,
    /// Beside it: reads everything, writes holds, never migrates.
    Beside,
}

/// Connections to one database. SQLite has one writer, because it can only have one; PostgreSQL some apart for the
/// lease, so that renewals never wait behind batches, and some for people's questions, which read much and plan for what is there.
pub(super) enum Database {
    Sqlite { write: SqlitePool, read: SqlitePool, _lock: Option<File> },
    Postgres { pool: PgPool, reports: PgPool, lease: PgPool },
}

fn unavailable(error: std::io::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

impl Database {
    pub(super) async fn open(url: &str, access: Access) -> Result<Self> {
        if is_postgres(url) {
            return postgres(url);
        }
        match url.strip_prefix("sqlite:") {
            Some(rest) if !rest.is_empty() => sqlite(sqlite_path(rest)?, access).await,
            _ => Err(StoreError::Url(scheme_only(url))),
        }
    }

    /// A new user or password. Connections that are open stay: the server lets them, or ends them itself.
    pub(super) fn readdress(&self, url: &str) -> Result<()> {
        let Self::Postgres { pool, reports, lease } = self else { return Ok(()) };
        let (from_the_batch, options) = postgres_options(url)?;
        let before = reports.connect_options();
        let place = |o: &PgConnectOptions| {
            (o.get_host().to_owned(), o.get_port(), o.get_socket().cloned(), o.get_database().map(str::to_owned))
        };
        // Half of the connections in one database and half in another would be worse than any standstill.
        if !is_postgres(url) || place(&before) != place(&options) {
            return Err(StoreError::Incompatible("the store's address names another database now; restart to use that".into()));
        }
        pool.set_connect_options(from_the_batch.clone());
        lease.set_connect_options(from_the_batch);
        reports.set_connect_options(options);
        Ok(())
    }

    /// One statement, or several that need not agree.
    pub(super) async fn read(&self) -> Result<Session> {
        match self {
            Self::Sqlite { read, .. } => read.acquire().await.map(Session::Sqlite),
            Self::Postgres { pool, .. } => pool.acquire().await.map(|c| Session::Postgres(c, SILENCE_OF_READ)),
        }
        .map_err(|e| fault(e, "connect"))
    }

    /// Several reads of one moment (SQLite) or in one go (PostgreSQL, where each statement sees what was committed before it).
    pub(super) async fn snapshot(&self) -> Result<Session> {
        match self {
            Self::Sqlite { read, .. } => read.begin().await.map(Session::SqliteTx),
            Self::Postgres { pool, .. } => pool.acquire().await.map(|c| Session::Postgres(c, SILENCE_OF_READ)),
        }
        .map_err(|e| fault(e, "begin"))
    }

    /// What people ask: reads of one moment (SQLite) or in one go, as `snapshot`, beside the engine's own.
    pub(super) async fn report(&self) -> Result<Session> {
        match self {
            Self::Sqlite { .. } => self.snapshot().await,
            Self::Postgres { reports, .. } => {
                reports.acquire().await.map(|c| Session::Postgres(c, SILENCE_OF_READ)).map_err(|e| fault(e, "connect"))
            }
        }
    }

    pub(super) async fn write(&self) -> Result<Session> {
        match self {
            Self::Sqlite { write, .. } => write.begin_with("BEGIN IMMEDIATE").await.map(Session::SqliteTx),
            Self::Postgres { pool, .. } => heard(SILENCE_IN_TRANSACTION, pool.begin()).await.map(Session::PostgresTx),
        }
        .map_err(|e| fault(e, "begin"))
    }

    /// For a question about the lease, whose answer is worth nothing after `patience`.
    pub(super) async fn lease(&self, patience: Duration) -> Result<Session> {
        match self {
            Self::Sqlite { write, .. } => write.acquire().await.map(Session::Sqlite),
            Self::Postgres { lease, .. } => lease.acquire().await.map(|c| Session::Postgres(c, patience)),
        }
        .map_err(|e| fault(e, "connect"))
    }
}

/// An address may hold a password; what comes before the colon does not.
fn scheme_only(url: &str) -> String {
    url.split_once(':').map_or_else(|| url.to_owned(), |(scheme, _)| format!("{scheme}:…"))
}

/// What stands behind `sqlite:`. A path from the root may be written as in a URL, `sqlite:///PATH`.
fn sqlite_path(rest: &str) -> Result<&Path> {
    if let Some((path, _)) = rest.split_once('?') {
        return Err(StoreError::Url(format!("sqlite:{rest} (it takes no parameters; write sqlite:{path})")));
    }
    match rest.strip_prefix("//") {
        None => Ok(Path::new(rest)),
        Some(path) if path.starts_with('/') => Ok(Path::new(path)),
        // Others read it from the folder they are in, the system from its root.
        Some(path) => Err(StoreError::Url(format!("sqlite:{rest} (write sqlite:{path}, or sqlite:/{path} from the root)"))),
    }
}

async fn sqlite(path: &Path, access: Access) -> Result<Database> {
    if access == Access::Beside && !path.exists() {
        return Err(StoreError::Url(format!("sqlite:{} (there is no such file)", path.display())));
    }
    if path.is_dir() {
        return Err(StoreError::Url(format!("sqlite:{} (it is a folder)", path.display())));
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        // A commit that was reported must survive a power cut: with NORMAL it may not.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .busy_timeout(Duration::from_secs(10))
        .row_buffer_size(1024)
        .statement_cache_capacity(256)
        .pragma("wal_autocheckpoint", "4000")
        .pragma("temp_store", "memory")
        .optimize_on_close(access == Access::Engine, Some(400));
    let pool = || {
        SqlitePoolOptions::new()
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_mins(1))
    };
    let read = pool().max_connections(4).connect_lazy_with(options.clone().read_only(true).pragma("cache_size", "-4000"));
    let options = options.pragma("cache_size", "-16000");
    let write = pool()
        .max_connections(1)
        // After a COMMIT that failed for want of space SQLite has rolled back by itself, and the connection still counts a transaction:
        // nothing could ever begin on it again.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }));
    match access {
        Access::Engine => {
            refuse_others(&read, path).await?;
            let lock = Some(lock(path)?);
            let options = options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
            let write = write.connect_with(options).await.map_err(|e| fault(e, "open"))?;
            Ok(Database::Sqlite { write, read, _lock: lock })
        }
        // Nothing is opened for writing before it is known whose database it is: even the kind of log would change another program's.
        Access::Beside => Ok(Database::Sqlite { write: write.connect_lazy_with(options), read, _lock: None }),
    }
}

/// A database that another program made gets no tables of ours.
async fn refuse_others(read: &SqlitePool, path: &Path) -> Result<()> {
    if !path.metadata().is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    let mut session = Session::Sqlite(read.acquire().await.map_err(|e| fault(e, "open"))?);
    let ours = !session.rows(sql!("schema/exists"), args![]).await?.is_empty();
    if ours || session.rows(sql!("schema/any"), args![]).await?.is_empty() {
        return Ok(());
    }
    let there = path.display();
    Err(StoreError::Incompatible(format!("{there} holds tables that rekindle did not make; give it a database of its own")))
}

fn lock(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(unavailable)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(PathBuf::from(name)).map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.display().to_string())),
        Err(TryLockError::Error(e)) => Err(unavailable(e)),
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// For the engine, and for people's questions.
fn postgres_options(url: &str) -> Result<(PgConnectOptions, PgConnectOptions)> {
    let options: PgConnectOptions = url.parse().map_err(|_| StoreError::Url(scheme_only(url)))?;
    let options = options
        .application_name("rekindle")
        .statement_cache_capacity(256)
        .options([("idle_in_transaction_session_timeout", "10s"), ("jit", "off")]);
    // Plans for a fresh ledger, made from its first parameters, were up to 20 times slower. A plan that was made while a table had one
    // page reads all of it for as long as it is kept, so the engine's go in the order in which they are written, from the batch to the
    // keys (`dialect.rs`), whatever PostgreSQL believes of the tables.
    let from_the_batch = options.clone().options([
        ("plan_cache_mode", "force_generic_plan"),
        ("join_collapse_limit", "1"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ]);
    Ok((from_the_batch, options))
}

fn postgres(url: &str) -> Result<Database> {
    let (from_the_batch, options) = postgres_options(url)?;
    let pool = |size, options: PgConnectOptions| {
        PgPoolOptions::new()
            .max_connections(size)
            .acquire_timeout(Duration::from_secs(10))
            // A table that was empty when it was last analysed still misleads: no plan lives longer than this.
            .max_lifetime(Duration::from_mins(2))
            // The pool's own questions would wait for ever on a connection that went silent, and keep its place.
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(answers(connection)))
            .after_release(|connection, _| Box::pin(answers(connection)))
            .connect_lazy_with(options)
    };
    // One is enough for the lease; but the pool asks a question of its own when it takes a connection back, without end, and a connection
    // that goes silent in that moment keeps its place for good.
    Ok(Database::Postgres { pool: pool(8, from_the_batch.clone()), reports: pool(2, options), lease: pool(3, from_the_batch) })
}

/// Whether there is somebody at the other end, who takes what is written. Where a primary became a standby, a new connection finds the one
/// that took its place.
async fn answers(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let patience = Duration::from_secs(3);
    heard(patience, connection.ping()).await?;
    if !lately_read_only() {
        return Ok(true);
    }
    let row = heard(patience, sqlx::raw_sql(sql!("installation/read_only").text(Dialect::Postgres)).fetch_one(connection)).await?;
    row.try_get::<String, _>(0).map(|read_only| read_only == "off")
}

/// A pool that gave up says only that it waited. Why, and where the server was looked for, tells a connection without it.
pub(super) async fn why(database: &Database, error: StoreError) -> StoreError {
    let Database::Postgres { pool, .. } = database else { return error };
    let StoreError::Unavailable(source) = &error else { return error };
    if !matches!(source.downcast_ref::<sqlx::Error>(), Some(sqlx::Error::PoolTimedOut)) {
        return error;
    }
    let options = pool.connect_options();
    match heard(Duration::from_secs(5), PgConnection::connect_with(&options)).await {
        Ok(_) => error,
        Err(sqlx::Error::Io(said)) => {
            let server = || format!("{}:{}", options.get_host(), options.get_port());
            let place = options.get_socket().map_or_else(server, |socket| socket.display().to_string());
            StoreError::Unavailable(format!("{place}: {said}").into())
        }
        Err(other) => fault(other, "connect"),
    }
}

/// Brings the schema to this version, each step in a transaction of its own.
pub(super) async fn migrate(database: &Database) -> Result<()> {
    migrate_to(database, MIGRATIONS.len()).await
}

async fn migrate_to(database: &Database, newest: usize) -> Result<()> {
    for (version, (name, text, reads_from)) in (1_i64..).zip(MIGRATIONS).take(newest) {
        let mut tx = database.write().await?;
        tx.run(sql!("schema/lock"), args![]).await?;
        tx.run(sql!("schema/create"), args![]).await?;
        if installed(&mut tx).await?.is_none_or(|(there, _)| there < version) {
            let dialect = tx.dialect();
            tx.script(expand(text, dialect), name).await?;
            tx.run(sql!("schema/applied"), args![version, *name, *reads_from]).await?;
        }
        tx.commit().await?;
    }
    check(database).await
}

/// Whether this binary understands the database: the same version, or one that a newer binary wrote and older ones can use.
pub(super) async fn check(database: &Database) -> Result<()> {
    let ours = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let mut session = database.read().await?;
    let there = session.rows(sql!("schema/exists"), args![]).await?;
    let found = if there.is_empty() { None } else { installed(&mut session).await? };
    match found {
        None => Err(StoreError::Incompatible("this database was not made by rekindle; start `rekindle run` on it first".into())),
        Some((version, _)) if version < ours => Err(StoreError::Incompatible(format!(
            "the database is at schema {version} and this rekindle needs {ours}; start `rekindle run` with this version first"
        ))),
        Some((version, reads_from)) if reads_from > ours => Err(StoreError::Incompatible(format!(
            "the database is at schema {version}, which rekindle can use from schema {reads_from} on, and this one knows {ours}; \
             install the newer rekindle"
        ))),
        Some(_) => Ok(()),
    }
}

async fn installed(session: &mut Session) -> Result<Option<(i64, i64)>> {
    let rows = session.rows(sql!("schema/newest"), args![]).await?;
    rows.into_iter().next().map(|mut c| Ok((c.int()?, c.int()?))).transpose()
}

/// The secret of the installation, made once.
pub(super) async fn secret(database: &Database, access: Access) -> Result<[u8; 32]> {
    let corrupt = |what: &str| StoreError::Corrupt { what: what.into(), source: None };
    if access == Access::Engine {
        let mut fresh = [0_u8; 32];
        ring::rand::SystemRandom::new().fill(&mut fresh).map_err(|_| corrupt("the system gives no random numbers"))?;
        let mut tx = database.write().await?;
        tx.run(sql!("installation/create"), args![BASE64.encode(fresh)]).await?;
        tx.commit().await?;
    }
    let rows = database.read().await?.rows(sql!("installation/secret"), args![]).await?;
    let text = rows.into_iter().next().ok_or_else(|| corrupt("the installation has no secret"))?.text()?;
    BASE64.decode(text).ok().and_then(|s| s.try_into().ok()).ok_or_else(|| corrupt("the installation's secret is damaged"))
}

#[cfg(test)]
mod tests {
    use super::{Access, Database, MIGRATIONS, installed, migrate, migrate_to};

    /// A database of any age is brought up to date and says how far it is.
    #[tokio::test]
    async fn databases_of_every_earlier_level_can_be_opened() {
        for level in 0..=MIGRATIONS.len() {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("r.db").display());
            let database = Database::open(&url, Access::Engine).await.unwrap();
            let _ = migrate_to(&database, level).await;
            migrate(&database).await.unwrap();
            let there = installed(&mut database.read().await.unwrap()).await.unwrap().unwrap();
            assert_eq!(there.0, i64::try_from(MIGRATIONS.len()).unwrap(), "from {level}");
        }
    }
}
