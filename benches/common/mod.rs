//! What several measurements need: real servers on loopback, and the real binary.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used)] // each measurement uses a part of it

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running `smtp-sink` and its port.
pub struct Sink(Child, pub u16);

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n"))
}

/// `None`: Debian's postfix is not here.
pub fn sink() -> Option<Sink> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?.port();
    let mut command = Command::new("/usr/sbin/smtp-sink");
    if root() {
        command.args(["-u", "nobody"]);
    }
    let child = command.args([&format!("127.0.0.1:{port}"), "1000"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let sink = Sink(child, port);
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if start.elapsed() > Duration::from_secs(10) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(sink)
}

/// Messages a second of postfix's own load generator.
pub fn smtp_source(port: u16, sessions: u32, count: usize, bytes: usize) -> Option<f64> {
    let start = Instant::now();
    let status = Command::new("/usr/sbin/smtp-source")
        .args(["-d", "-s", &sessions.to_string(), "-l", &bytes.to_string(), "-m", &count.to_string()])
        .args(["-f", "a@x.test", "-t", "b@y.test", &format!("127.0.0.1:{port}")])
        .status()
        .ok()?;
    status.success().then(|| rate(count, start.elapsed()))
}

#[allow(clippy::cast_precision_loss)] // a rate for people
pub fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A PostgreSQL of its own on a unix socket, durable as in production (`fsync`, `synchronous_commit`).
pub struct Postgres {
    folder: PathBuf,
    bin: PathBuf,
    server: Child,
}

impl Postgres {
    /// `None`: it is not installed.
    pub fn start() -> Option<Self> {
        let debian = std::fs::read_dir("/usr/lib/postgresql").ok();
        let mut all: Vec<PathBuf> = debian.into_iter().flatten().flatten().map(|e| e.path().join("bin")).collect();
        all.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let bin = all.into_iter().find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())?;
        let folder = tempfile::Builder::new().prefix("rk-pg").tempdir().ok()?.keep();
        let (as_root, user) = (root(), "--reuid=postgres");
        if as_root {
            Command::new("chown").arg("postgres").arg(&folder).status().ok()?;
        }
        let program = |name: &str| {
            let mut command = Command::new(if as_root { "setpriv".into() } else { bin.join(name) });
            if as_root {
                command.args([user, "--regid=postgres", "--clear-groups"]).arg(bin.join(name));
            }
            command.current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let data = folder.join("data");
        let made =
            program("initdb").arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]).status();
        made.ok().filter(std::process::ExitStatus::success)?;
        let server = program("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&folder)
            .args(["-c", "listen_addresses=", "-c", "shared_buffers=1GB", "-c", "max_wal_size=8GB", "-c", "wal_compression=lz4"])
            .args(["-c", "checkpoint_timeout=15min", "-c", "jit=off", "-c", "random_page_cost=1.1"])
            .spawn()
            .ok()?;
        let postgres = Self { folder, bin, server };
        let since = Instant::now();
        while !postgres.psql("postgres", "SELECT 1") {
            assert!(since.elapsed() < Duration::from_secs(30), "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(postgres)
    }

    pub fn psql(&self, database: &str, sql: &str) -> bool {
        let mut command = Command::new(self.bin.join("psql"));
        command.arg("-h").arg(&self.folder).args(["-U", "postgres", "-d", database, "-qAtc", sql]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    }

    /// The address of a new, empty database.
    pub fn database(&self, name: &str) -> String {
        assert!(self.psql("postgres", &format!("CREATE DATABASE {name}")), "CREATE DATABASE {name}");
        format!("postgres://postgres@localhost/{name}?host={}", self.folder.display())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The real binary on a folder of manifests.
pub struct Running {
    child: Child,
    log: PathBuf,
    admin: String,
}

impl Running {
    pub fn start(config: &Path, store: &str) -> Self {
        let log = config.with_extension("log");
        let file = std::fs::File::create(&log).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_rekindle"))
            .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--store", store, "-f"])
            .arg(config)
            // As in the image.
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the binary");
        let mut running = Self { child, log, admin: String::new() };
        let since = Instant::now();
        while running.admin.is_empty() {
            assert!(since.elapsed() < Duration::from_secs(20), "it does not start:\n{}", running.log());
            std::thread::sleep(Duration::from_millis(10));
            let log = running.log();
            let address = log.split_once("health and metrics on http://").and_then(|(_, rest)| rest.split_whitespace().next());
            address.unwrap_or_default().clone_into(&mut running.admin);
        }
        running
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    pub fn metrics(&self) -> String {
        let Ok(mut stream) = TcpStream::connect(&self.admin) else { return String::new() };
        let mut answer = String::new();
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    pub fn stop(mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sum of a counter's lines that carry all `labels`.
pub fn counter(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = metrics.lines().filter(|l| l.starts_with(name) && labels.iter().all(|label| l.contains(label)));
    lines.filter_map(|l| l.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok())).sum()
}
