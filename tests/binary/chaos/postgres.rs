//! A PostgreSQL of one's own that can be stopped in the middle of everything and started again. It ends with this process, however this
//! process ends: its supervisor reads a pipe that only we hold open.

use crate::postgres::programs;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

pub struct Server {
    folder: PathBuf,
    bin: PathBuf,
    supervisor: Child,
}

/// `initdb` and `postgres` refuse to run as root, so there they run as `postgres`. $1: folder, $2: their directory.
const SUPERVISOR: &str = r#"
set -e
cd "$1"
as=""
if [ "$(id -u)" = 0 ]; then chown postgres "$1"; as="setpriv --reuid=postgres --regid=postgres --clear-groups"; fi
$as "$2/initdb" -D "$1/data" -U postgres -A trust -E UTF8 --locale=C -N >"$1/log" 2>&1
echo made
cat >/dev/null || true
$as "$2/pg_ctl" -D "$1/data" -m immediate stop >/dev/null 2>&1 || true
rm -rf "$1"
"#;

/// $1: folder, $2: their directory, $3: the folder of the one to follow.
const STANDBY: &str = r#"
set -e
cd "$1"
as=""
if [ "$(id -u)" = 0 ]; then chown postgres "$1"; as="setpriv --reuid=postgres --regid=postgres --clear-groups"; fi
$as "$2/pg_basebackup" -h "$3" -U postgres -D "$1/data" -R -c fast >"$1/log" 2>&1
echo made
cat >/dev/null || true
$as "$2/pg_ctl" -D "$1/data" -m immediate stop >/dev/null 2>&1 || true
rm -rf "$1"
"#;

/// The same privileges for `pg_ctl`. $1: its directory, then its arguments.
const CONTROL: &str = r#"
bin="$1"; shift
as=""
if [ "$(id -u)" = 0 ]; then as="setpriv --reuid=postgres --regid=postgres --clear-groups"; fi
cd / && exec $as "$bin/pg_ctl" "$@"
"#;

impl Server {
    /// Running, or `None` (loudly) where there is no PostgreSQL.
    pub fn start_new() -> Option<Self> {
        let Some(bin) = programs() else {
            assert!(
                std::env::var_os("REKINDLE_REQUIRE_PEERS").is_none_or(|v| v != "1"),
                "PostgreSQL is required and not installed"
            );
            eprintln!("SKIPPED: postgres is not installed (initdb, postgres)");
            return None;
        };
        let server = Self::made(SUPERVISOR, &bin, &[]);
        server.start();
        Some(server)
    }

    /// A folder of its own in which the script has made a server.
    fn made(script: &str, bin: &Path, more: &[&Path]) -> Self {
        let folder = tempfile::Builder::new().prefix("rk-pg").tempdir().unwrap().keep();
        let mut supervisor = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([folder.as_path(), bin])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(supervisor.stdout.take().unwrap()), &mut said).unwrap();
        let server = Self { folder, bin: bin.to_owned(), supervisor };
        assert_eq!(said.trim(), "made", "{}", server.log());
        server
    }

    pub fn log(&self) -> String {
        // The server writes as its own user, `initdb` wrote as ours.
        ["log", "server.log"].map(|name| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()).concat()
    }

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Straight to it, through no wire.
    pub fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.folder.display())
    }

    fn control(&self, args: &[&str]) {
        let done = Command::new("sh")
            .args(["-c", CONTROL, "sh"])
            .arg(&self.bin)
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "pg_ctl {args:?}: {}", self.log());
    }

    /// Power is not cut here, so there is nothing that fsync could save: it is off for speed.
    pub fn start(&self) {
        let socket = self.folder.display();
        let settings = format!(
            "-k {socket} -c listen_addresses= -c fsync=off -c max_connections=100 -c shared_buffers=32MB -c deadlock_timeout=200ms"
        );
        let log = self.folder.join("server.log");
        self.control(&["-w", "-t", "120", "-l", &log.display().to_string(), "-o", &settings, "start"]);
    }

    /// As if it had been killed: no checkpoint, no farewell, and what it has at the next start is what recovery finds.
    pub fn stop_at_once(&self) {
        self.control(&["-w", "-t", "120", "-m", "immediate", "stop"]);
    }

    /// Another one that follows it, as it follows: nobody waits for it. It serves readers, in a folder of its own.
    pub fn standby(&self) -> Self {
        let standby = Self::made(STANDBY, &self.bin, &[self.folder.as_path()]);
        standby.start();
        standby
    }

    /// It follows nobody any more, and takes writers.
    pub fn promote(&self) {
        self.control(&["-w", "-t", "120", "promote"]);
    }

    fn copy(&self, from: &str, to: &str) {
        let to = self.folder.join(to);
        let _ = std::fs::remove_dir_all(&to);
        assert!(Command::new("cp").arg("-a").arg(self.folder.join(from)).arg(to).status().unwrap().success());
    }

    /// Keeps a copy of everything it knows. It must be stopped.
    pub fn keep(&self) {
        self.copy("data", "kept");
    }

    /// Forgets everything since [`Server::keep`]. It must be stopped.
    pub fn forget(&self) {
        self.copy("kept", "data");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}
