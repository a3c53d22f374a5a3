//! A peer process that ends with its handle, and with this process however that ends.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The shell keeps the peer as long as its standard input is open, which is as long as we live.
const SUPERVISOR: &str = r#"
"$@" </dev/null & peer=$!
read -r _
if [ -n "$STOP" ]; then sh -c "$STOP"; else kill -TERM $peer; fi 2>/dev/null
( sleep 5; kill -KILL $peer 2>/dev/null ) & killer=$!
wait $peer
kill $killer 2>/dev/null
"#;

pub struct Child(std::process::Child);

impl Child {
    /// Starts `program`; its output goes to `log`.
    pub fn start(program: &Path, args: &[&str], log: &Path) -> Self {
        Self::start_and_stop(program, args, log, "")
    }

    /// `stop`: shell command that ends a peer which is not the process that was started.
    pub fn start_and_stop(program: &Path, args: &[&str], log: &Path, stop: &str) -> Self {
        let out = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = Command::new("sh")
            .arg("-c")
            .arg(SUPERVISOR)
            .arg("sh")
            .arg(program)
            .args(args)
            .env("STOP", stop)
            .stdin(Stdio::piped())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Where a program is, in PATH or where Debian puts system programs.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/lib/kannel/test"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// All programs, or a loud skip; with `REKINDLE_REQUIRE_PEERS=1` a failure.
pub fn require(names: &[&str]) -> Option<Vec<PathBuf>> {
    let missing: Vec<_> = names.iter().filter(|name| find(name).is_none()).collect();
    if missing.is_empty() {
        return Some(names.iter().filter_map(|name| find(name)).collect());
    }
    skip(&format!("{missing:?} not installed"));
    None
}

pub fn skip(why: &str) {
    assert!(std::env::var_os("REKINDLE_REQUIRE_PEERS").is_none_or(|v| v != "1"), "required peer: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Whether we may start what only root may.
pub fn root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n"))
}

/// A port that was free a moment ago.
pub fn port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until `ready` says so.
pub async fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until something listens.
pub async fn listening(port: u16) {
    until("a listening peer", || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()).await;
}
