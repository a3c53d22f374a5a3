//! One PostgreSQL for the whole test run, on a unix socket in a directory of its own. It ends with this process, however this
//! process ends: its supervisor reads a pipe that only we hold open.

use sqlx::{Connection as _, Executor as _, PgConnection};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

struct Cluster {
    folder: PathBuf,
    /// Holds the pipe.
    _supervisor: Child,
}

/// Nobody is asked for a password, but for the role `guarded`. `initdb` and `postgres` refuse to run as root, so there they run as
/// `postgres`. $1: folder, $2: their directory.
const SUPERVISOR: &str = r#"
set -e
cd "$1"
as=""
if [ "$(id -u)" = 0 ]; then chown postgres "$1"; as="setpriv --reuid=postgres --regid=postgres --clear-groups"; fi
$as "$2/initdb" -D "$1/data" -U postgres -A trust -E UTF8 --locale=C -N >"$1/log" 2>&1
$as sed -i '1i local all guarded scram-sha-256' "$1/data/pg_hba.conf"
$as "$2/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c max_connections=300 -c shared_buffers=64MB \
  -c autovacuum_naptime=10s -c deadlock_timeout=200ms >>"$1/log" 2>&1 &
child=$!
cat >/dev/null || true
kill -INT "$child"
wait "$child" || true
rm -rf "$1"
"#;

pub fn programs() -> Option<PathBuf> {
    let configured = Command::new("pg_config").arg("--bindir").output().ok();
    let configured = configured.map(|o| PathBuf::from(String::from_utf8_lossy(&o.stdout).trim()));
    let debian = std::fs::read_dir("/usr/lib/postgresql").ok();
    let debian = debian.into_iter().flatten().flatten().map(|e| e.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all: Vec<PathBuf> = configured.into_iter().chain(debian).chain(std::env::split_paths(&path)).collect();
    all.retain(|bin| bin.join("initdb").exists() && bin.join("postgres").exists());
    all.into_iter().next()
}

fn start() -> Option<Cluster> {
    let bin = programs()?;
    let folder = tempfile::Builder::new().prefix("rk-pg").tempdir().ok()?.keep();
    let supervisor = Command::new("sh")
        .args(["-c", SUPERVISOR, "sh"])
        .args([&folder, &bin])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    Some(Cluster { folder, _supervisor: supervisor })
}

fn url(folder: &Path, database: &str) -> String {
    format!("postgres://postgres@localhost/{database}?host={}", folder.display())
}

/// An empty database of its own, or `None` (loudly) where there is no PostgreSQL. `REKINDLE_REQUIRE_PEERS=1` makes that a failure.
pub async fn database() -> Option<String> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Some(cluster) = CLUSTER.get_or_init(start) else {
        assert!(std::env::var_os("REKINDLE_REQUIRE_PEERS").is_none_or(|v| v != "1"), "PostgreSQL is required and not installed");
        let _ = writeln!(std::io::stderr(), "SKIPPED: postgres is not installed (initdb, postgres)");
        return None;
    };
    let started = Instant::now();
    let mut admin = loop {
        match PgConnection::connect(&url(&cluster.folder, "postgres")).await {
            Ok(connection) => break connection,
            Err(e) if started.elapsed() > Duration::from_mins(1) => {
                let log = std::fs::read_to_string(cluster.folder.join("log")).unwrap_or_default();
                panic!("PostgreSQL does not answer: {e}\n{log}");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"))).await.expect("CREATE DATABASE");
    Some(url(&cluster.folder, &name))
}
