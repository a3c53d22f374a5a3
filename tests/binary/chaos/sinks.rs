//! A mail relay and an SMS gateway that misbehave by seed, in a process of their own that survives every kill of a sender. Whatever they
//! accept is written down *before* they answer, and so is every answer by which a sender cannot know what became of its message.

use super::{sms, smtp};
use crate::dice::Dice;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{BufRead as _, Read as _, Seek as _, SeekFrom, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What a sink may do wrong on purpose, for controls: every so many messages, 0 never.
#[derive(Clone, Copy, Default)]
pub struct Flaws {
    /// Says that it accepted, and forgets.
    pub loses: u64,
    /// Delivers twice what it got once.
    pub doubles: u64,
}

/// Both of them, running.
pub struct Sinks {
    child: Child,
    dir: tempfile::TempDir,
    pub smtp: u16,
    pub sms: u16,
    book: Book,
    read: u64,
}

/// A message by its medium and address: with one item for each medium, that is address × item.
pub type Place = (String, String);

/// What the sinks wrote down.
#[derive(Clone, Default)]
pub struct Book {
    /// How often each key was accepted, and each place.
    pub keys: BTreeMap<String, u32>,
    pub places: BTreeMap<Place, u32>,
    /// Of these a sender was left in doubt, how often.
    pub doubts: BTreeMap<Place, u32>,
    /// These were refused in so many words at least once.
    pub refused: BTreeSet<Place>,
    /// The texts that came under each key.
    pub texts: BTreeMap<String, BTreeSet<String>>,
    /// Each kind of misbehaviour.
    pub misdeeds: BTreeMap<String, u32>,
    pub accepted: usize,
    answered: usize,
    last: Option<Instant>,
}

impl Sinks {
    pub fn start(seed: u64, flaws: Flaws) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "chaos::sinks::sinks_process", "--nocapture", "--test-threads=1"])
            .env("REKINDLE_SINKS_DIR", dir.path())
            .env("REKINDLE_SINKS_SEED", seed.to_string())
            .env("REKINDLE_SINKS_LOSES", flaws.loses.to_string())
            .env("REKINDLE_SINKS_DOUBLES", flaws.doubles.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        let (smtp, sms) = loop {
            let text = std::fs::read_to_string(dir.path().join("ports")).unwrap_or_default();
            if let Some((smtp, sms)) = text.split_once(' ') {
                break (smtp.parse().unwrap(), sms.parse().unwrap());
            }
            assert!(since.elapsed() < Duration::from_secs(20), "the sinks do not start");
            std::thread::sleep(Duration::from_millis(10));
        };
        Self { child, dir, smtp, sms, book: Book::default(), read: 0 }
    }

    /// From now on they behave.
    pub fn calm(&self) {
        std::fs::write(self.dir.path().join("calm"), "").unwrap();
    }

    /// Everything that was written down until now.
    pub fn book(&mut self) -> &Book {
        let mut text = String::new();
        if let Ok(mut file) = File::open(self.dir.path().join("book")) {
            file.seek(SeekFrom::Start(self.read)).unwrap();
            file.read_to_string(&mut text).unwrap();
        }
        // A line may be half written.
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        self.read += whole as u64;
        text[..whole].lines().for_each(|line| self.book.line(line));
        &self.book
    }

    /// Messages that were accepted and not answered: of these a sender that dies now knows nothing, as the outside sees it.
    pub fn in_flight(&mut self) -> usize {
        let book = self.book();
        book.accepted.saturating_sub(book.answered)
    }

    /// How long nothing was accepted.
    pub fn quiet(&mut self) -> Duration {
        self.book().last.map_or(Duration::ZERO, |at| at.elapsed())
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Book {
    fn line(&mut self, line: &str) {
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let (what, medium, to, key) = (word(), word(), word(), word());
        let place = (medium, to);
        match what.as_str() {
            "got" => {
                self.accepted += 1;
                self.last = Some(Instant::now());
                *self.places.entry(place).or_default() += 1;
                *self.keys.entry(key).or_default() += 1;
            }
            "answered" => self.answered += 1,
            "text" => {
                self.texts.entry(key).or_default().insert(word());
            }
            "doubt" => *self.doubts.entry(place).or_default() += 1,
            "refused" => {
                self.refused.insert(place);
            }
            "misdeed" => *self.misdeeds.entry(format!("{}: {}", place.0, key.replace('-', " "))).or_default() += 1,
            other => panic!("the sinks wrote {other:?}"),
        }
    }
}

/// What both conversations share.
pub struct Desk {
    book: Mutex<File>,
    dir: PathBuf,
    dice: Dice,
    number: AtomicU64,
    flaws: Flaws,
}

impl Desk {
    fn write(&self, lines: &str) {
        self.book.lock().unwrap().write_all(lines.as_bytes()).unwrap();
    }

    /// Something of this kind goes wrong with this message, by so many thousandths for each entry.
    pub fn misdeed<T: Copy>(&self, medium: &str, to: &str, table: &[(T, &str, u64)]) -> Option<T> {
        if self.dir.join("calm").exists() {
            return None;
        }
        let mut roll = self.dice.roll(medium, self.number.fetch_add(1, Ordering::SeqCst), 1000);
        for (what, name, share) in table {
            if roll < *share {
                self.write(&format!("misdeed {medium} {to} {name}\n"));
                return Some(*what);
            }
            roll -= share;
        }
        None
    }

    /// The time that every answer takes, so that there is something in flight.
    pub fn think(&self, medium: &str) {
        let n = self.number.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(80 + self.dice.roll(&format!("{medium} delay"), n, 250)));
    }

    pub fn accept(&self, medium: &str, to: &str, key: &str) -> Accepted<'_> {
        let n = self.number.fetch_add(1, Ordering::SeqCst);
        let every = |flaw: u64| flaw > 0 && n.is_multiple_of(flaw);
        let copies = if every(self.flaws.loses) { 0 } else { 1 + usize::from(every(self.flaws.doubles)) };
        self.write(&format!("got {medium} {to} {key}\n").repeat(copies));
        Accepted { desk: self, line: format!("answered {medium} {to} {key}\n").repeat(copies) }
    }

    /// Whatever came whole, accepted or not.
    pub fn text(&self, medium: &str, to: &str, key: &str, text: &str) {
        let hash = rekindle::model::stable_hash(&[text.as_bytes()]);
        self.write(&format!("text {medium} {to} {key} {hash:x}\n"));
    }

    pub fn doubt(&self, medium: &str, to: &str, key: &str) {
        self.write(&format!("doubt {medium} {to} {key}\n"));
    }

    pub fn refused(&self, medium: &str, to: &str) {
        self.write(&format!("refused {medium} {to} -\n"));
    }
}

/// In flight until it is dropped: the answer is on the wire, or will never be.
pub struct Accepted<'a> {
    desk: &'a Desk,
    line: String,
}

impl Drop for Accepted<'_> {
    fn drop(&mut self) {
        self.desk.write(&self.line);
    }
}

/// Not a test of its own: the body of the sinks' process. It ends with its parent, whose end closes the pipe.
#[test]
fn sinks_process() {
    let Ok(dir) = std::env::var("REKINDLE_SINKS_DIR") else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let dir = PathBuf::from(dir);
    std::thread::spawn(|| {
        let _ = std::io::stdin().lock().read_line(&mut String::new());
        std::process::exit(0);
    });
    let desk = Arc::new(Desk {
        book: Mutex::new(OpenOptions::new().create(true).append(true).open(dir.join("book")).unwrap()),
        dice: Dice(number("REKINDLE_SINKS_SEED")),
        number: AtomicU64::new(1),
        flaws: Flaws { loses: number("REKINDLE_SINKS_LOSES"), doubles: number("REKINDLE_SINKS_DOUBLES") },
        dir: dir.clone(),
    });
    let (mail, text) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = format!("{} {}", mail.local_addr().unwrap().port(), text.local_addr().unwrap().port());
    publish(&dir, &ports);
    let other = desk.clone();
    std::thread::spawn(move || {
        for stream in text.incoming().flatten() {
            let desk = other.clone();
            std::thread::spawn(move || sms::serve(stream, &desk));
        }
    });
    for stream in mail.incoming().flatten() {
        let desk = desk.clone();
        std::thread::spawn(move || smtp::serve(stream, &desk));
    }
}

fn publish(dir: &Path, ports: &str) {
    std::fs::write(dir.join("ports.new"), ports).unwrap();
    std::fs::rename(dir.join("ports.new"), dir.join("ports")).unwrap();
}
