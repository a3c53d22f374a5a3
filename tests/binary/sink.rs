//! A recording SMTP server in a process of its own, so that it survives every kill of the sender. It writes down the key of each
//! message at the final dot, *before* it replies: what stands in its log was accepted, whatever the sender came to know.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// A running sink.
pub struct Sink {
    child: Child,
    pub port: u16,
    log: PathBuf,
}

impl Sink {
    /// `delay`: how long the reply to each final dot takes.
    pub fn start(dir: &Path, delay: Duration) -> Self {
        Self::start_with(dir, delay, 0)
    }

    /// One that accepts every `forgets`-th message and does not keep it: what it loses must be found out.
    pub fn start_with(dir: &Path, delay: Duration, forgets: usize) -> Self {
        let log = dir.join("sink.log");
        let port_file = dir.join("sink.port");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sink::sink_process", "--nocapture", "--test-threads=1"])
            .env("REKINDLE_SINK_DIR", dir)
            .env("REKINDLE_SINK_DELAY_MS", delay.as_millis().to_string())
            .env("REKINDLE_SINK_FORGETS", forgets.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        let port = loop {
            if let Some(port) = std::fs::read_to_string(&port_file).ok().and_then(|t| t.trim().parse().ok()) {
                break port;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "the sink does not start");
            std::thread::sleep(Duration::from_millis(10));
        };
        Self { child, port, log }
    }

    fn lines(&self, word: &str) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(|l| l.strip_prefix(word)).map(|l| l.trim().to_owned()).collect()
    }

    /// Keys of everything that was accepted, in order.
    pub fn accepted(&self) -> Vec<String> {
        self.lines("dot ")
    }

    /// Messages accepted whose reply was not yet written: the ambiguous ones of this moment, as the outside sees them.
    pub fn in_flight(&self) -> usize {
        self.lines("dot ").len().saturating_sub(self.lines("replied ").len())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test of its own: the body of the sink's process. It ends with its parent, whose end closes the pipe.
#[test]
fn sink_process() {
    let Ok(dir) = std::env::var("REKINDLE_SINK_DIR") else { return };
    let delay = Duration::from_millis(std::env::var("REKINDLE_SINK_DELAY_MS").unwrap().parse().unwrap());
    let forgets: usize = std::env::var("REKINDLE_SINK_FORGETS").unwrap().parse().unwrap();
    let dots = Arc::new(AtomicUsize::new(0));
    let dir = PathBuf::from(dir);
    std::thread::spawn(|| {
        let _ = std::io::stdin().lock().read_line(&mut String::new());
        std::process::exit(0);
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let log = Arc::new(Mutex::new(OpenOptions::new().create(true).append(true).open(dir.join("sink.log")).unwrap()));
    std::fs::write(dir.join("sink.port.new"), listener.local_addr().unwrap().port().to_string()).unwrap();
    std::fs::rename(dir.join("sink.port.new"), dir.join("sink.port")).unwrap();
    for stream in listener.incoming() {
        let (log, dots) = (log.clone(), dots.clone());
        let kept = move || forgets == 0 || dots.fetch_add(1, Ordering::SeqCst) % forgets != forgets - 1;
        std::thread::spawn(move || serve(stream.unwrap(), &log, delay, &kept));
    }
}

fn note(log: &Mutex<File>, line: &str) {
    log.lock().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn serve(stream: TcpStream, log: &Mutex<File>, delay: Duration, kept: &dyn Fn() -> bool) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut write = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    write.write_all(b"220 sink ESMTP\r\n").ok()?;
    loop {
        line.clear();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let upper = line.trim_end().to_ascii_uppercase();
        if upper.starts_with("EHLO") {
            write.write_all(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n").ok()?;
        } else if upper == "DATA" {
            write.write_all(b"354 go\r\n").ok()?;
            let mut key = String::new();
            loop {
                line.clear();
                if lines.read_line(&mut line).ok()? == 0 {
                    return None;
                }
                if line == ".\r\n" {
                    break;
                }
                if line.to_ascii_lowercase().starts_with("message-id:") && key.is_empty() {
                    line[11..].trim().clone_into(&mut key);
                }
            }
            let kept = kept();
            if kept {
                note(log, &format!("dot {key}"));
            }
            std::thread::sleep(delay);
            let answered = write.write_all(b"250 2.0.0 queued\r\n");
            // Whoever was killed meanwhile never reads it: still counted as replied, because the wire took it.
            if kept {
                note(log, &format!("replied {key}"));
            }
            answered.ok()?;
        } else if upper == "QUIT" {
            let _ = write.write_all(b"221 bye\r\n");
            return None;
        } else {
            write.write_all(b"250 ok\r\n").ok()?;
        }
    }
}
