//! The way of one process to its PostgreSQL: TCP on one side, the server's socket on the other, and faults in between.

use super::frames::{Answers, COMMIT, RENEWAL, Requests, WRITE, kind_of};
use crate::dice::Dice;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Half of it arrives.
    CutInRequest,
    /// All of it arrives, and at once the connection is gone on both sides.
    CutAfterRequest,
    /// The server has answered, and nobody hears it.
    CutBeforeReply,
    /// From now on nothing arrives on any connection that is open, in either direction, and nobody is told, for good.
    Silence,
    /// It waits at the door until [`Wire::release`].
    Hold,
}

/// Which request a fault waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    Any,
    /// One that changes rows.
    Write,
    Commit,
}

impl Aim {
    fn met(self, begun: &[String]) -> bool {
        begun.iter().any(|statement| match self {
            Self::Any => true,
            Self::Write => kind_of(statement) == WRITE,
            Self::Commit => statement == COMMIT,
        })
    }
}

/// What a connection is doing.
#[derive(Clone, Debug, Default)]
pub struct Doing {
    /// The statement under way, or the last one.
    pub statement: String,
    /// Asked and not answered.
    pub waiting: bool,
    /// A transaction is open.
    pub inside: bool,
}

struct Link {
    client: TcpStream,
    server: UnixStream,
    doing: Doing,
    mute: bool,
    silent: bool,
}

#[derive(Default)]
struct State {
    links: BTreeMap<u64, Link>,
    armed: Option<(Fault, Aim)>,
    hit: Option<Doing>,
    /// Whether a held request is let through or lost.
    released: Option<bool>,
    renewed: Option<Instant>,
    frozen: Option<Instant>,
    sliced: Option<Instant>,
    delayed: Option<Instant>,
    refused: Option<Instant>,
    ended: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    behind: PathBuf,
    dice: Dice,
}

pub struct Wire {
    pub port: u16,
    shared: Arc<Shared>,
}

fn until(moment: Option<Instant>) -> Duration {
    moment.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
}

impl Wire {
    /// To the server whose socket is in `folder`.
    pub fn to(folder: &Path, dice: Dice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let behind = folder.join(".s.PGSQL.5432");
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), behind, dice });
        let wire = Self { port, shared: shared.clone() };
        std::thread::spawn(move || {
            for (id, client) in (0..).zip(listener.incoming().map_while(Result::ok)) {
                let state = shared.lock();
                if state.ended {
                    return;
                }
                if until(state.refused) > Duration::ZERO {
                    continue;
                }
                drop(state);
                shared.clone().join(id, client);
            }
        });
        wire
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// The next request that fits meets this fault.
    pub fn arm(&self, fault: Fault, aim: Aim) {
        let mut state = self.shared.lock();
        (state.armed, state.hit, state.released) = (Some((fault, aim)), None, None);
    }

    /// No more fault. What the armed one has hit, if it did.
    pub fn disarm(&self) -> Option<Doing> {
        let mut state = self.shared.lock();
        state.armed = None;
        state.hit.take()
    }

    pub fn was_hit(&self) -> bool {
        self.shared.lock().hit.is_some()
    }

    /// The held request goes on, or is lost with its connection.
    pub fn release(&self, deliver: bool) {
        self.shared.lock().released = Some(deliver);
        self.shared.changed.notify_all();
    }

    /// Nothing moves for so long; then everything that waited arrives.
    pub fn freeze(&self, time: Duration) {
        self.shared.lock().frozen = Some(Instant::now() + time);
    }

    pub fn slice(&self, time: Duration) {
        self.shared.lock().sliced = Some(Instant::now() + time);
    }

    pub fn delay(&self, time: Duration) {
        self.shared.lock().delayed = Some(Instant::now() + time);
    }

    /// Every connection is cut, and new ones are for so long.
    pub fn refuse(&self, time: Duration) {
        let mut state = self.shared.lock();
        state.refused = Some(Instant::now() + time);
        for link in state.links.values() {
            let _ = (link.client.shutdown(Shutdown::Both), link.server.shutdown(Shutdown::Both));
        }
    }

    /// Since when the process behind it has not renewed the lease, if it ever did.
    pub fn renewed(&self) -> Option<Instant> {
        self.shared.lock().renewed
    }

    /// What tells most about what its process does with the store.
    pub fn doing(&self) -> Doing {
        let state = self.shared.lock();
        let worth = |d: &Doing| (d.waiting && d.statement != RENEWAL, d.inside, d.waiting);
        state.links.values().map(|link| link.doing.clone()).max_by_key(worth).unwrap_or_default()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.refuse(Duration::ZERO);
        self.release(false);
        // Wakes the listener, so that it ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: Arc<Self>, id: u64, client: TcpStream) {
        // Nobody listens while the server is down: whoever asks finds the door shut.
        let Ok(server) = UnixStream::connect(&self.behind) else { return };
        let _ = client.set_nodelay(true);
        let link = Link {
            client: client.try_clone().unwrap(),
            server: server.try_clone().unwrap(),
            doing: Doing::default(),
            mute: false,
            silent: false,
        };
        self.lock().links.insert(id, link);
        let (up, down) = (self.clone(), self);
        let (asking, answering) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            up.requests(id, asking, answering);
            up.leave(id);
        });
        std::thread::spawn(move || {
            down.answers(id, server, client);
            down.leave(id);
        });
    }

    fn leave(&self, id: u64) {
        if let Some(link) = self.lock().links.remove(&id) {
            let _ = (link.client.shutdown(Shutdown::Both), link.server.shutdown(Shutdown::Both));
        }
    }

    fn requests(&self, id: u64, mut client: TcpStream, mut server: UnixStream) {
        let (mut requests, mut buffer) = (Requests::default(), vec![0; 65536]);
        while let Ok(size @ 1..) = client.read(&mut buffer) {
            let bytes = &buffer[..size];
            let Some((fault, silent)) = self.note(id, &requests.feed(bytes)) else { return };
            match fault {
                _ if silent => continue,
                Some(Fault::CutInRequest) => {
                    let _ = server.write_all(&bytes[..size / 2]);
                    return;
                }
                Some(Fault::CutAfterRequest) => {
                    let _ = server.write_all(bytes);
                    return;
                }
                Some(Fault::Hold) if !self.held() => return,
                _ => {}
            }
            if !self.carry(&mut server, bytes, id) {
                return;
            }
        }
    }

    fn answers(&self, id: u64, mut server: UnixStream, mut client: TcpStream) {
        let (mut answers, mut buffer) = (Answers::default(), vec![0; 65536]);
        while let Ok(size @ 1..) = server.read(&mut buffer) {
            {
                let mut state = self.lock();
                let Some(link) = state.links.get_mut(&id) else { return };
                if link.mute {
                    return;
                }
                if let Some(inside) = answers.feed(&buffer[..size]) {
                    (link.doing.waiting, link.doing.inside) = (false, inside);
                }
                if link.silent {
                    continue;
                }
            }
            if !self.carry(&mut client, &buffer[..size], id) {
                return;
            }
        }
        // A half of a connection that went silent does not end: nobody is told of that either.
        while self.lock().links.get(&id).is_some_and(|link| link.silent) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What becomes of a request with these statements, and whether its link is silent.
    fn note(&self, id: u64, begun: &[String]) -> Option<(Option<Fault>, bool)> {
        let mut state = self.lock();
        let silent = state.links.get(&id)?.silent;
        if begun.iter().any(|s| s == RENEWAL) && !silent {
            state.renewed = Some(Instant::now());
        }
        let link = state.links.get_mut(&id)?;
        if let Some(last) = begun.last() {
            link.doing.statement.clone_from(last);
        }
        link.doing.waiting = true;
        let doing = link.doing.clone();
        let fault = state.armed.filter(|(_, aim)| !silent && aim.met(begun)).map(|(fault, _)| fault);
        if let Some(fault) = fault {
            (state.armed, state.hit) = (None, Some(doing));
            match fault {
                Fault::CutBeforeReply => state.links.get_mut(&id)?.mute = true,
                Fault::Silence => state.links.values_mut().for_each(|link| link.silent = true),
                _ => {}
            }
        }
        Some((fault, silent || fault == Some(Fault::Silence)))
    }

    fn held(&self) -> bool {
        let state = self.lock();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, Duration::from_secs(20), |s| s.released.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.released.take().unwrap_or(false)
    }

    fn carry(&self, to: &mut impl Write, bytes: &[u8], id: u64) -> bool {
        let (frozen, delayed, sliced) = {
            let state = self.lock();
            (until(state.frozen), until(state.delayed), until(state.sliced))
        };
        std::thread::sleep(frozen);
        if delayed > Duration::ZERO {
            std::thread::sleep(Duration::from_millis(self.dice.roll("delay", id ^ bytes.len() as u64, 80)));
        }
        if sliced == Duration::ZERO {
            return to.write_all(bytes).is_ok();
        }
        // Never so many that a big batch takes for ever.
        let size = 1 + usize::try_from(self.dice.roll("slice", id ^ bytes.len() as u64, 60)).unwrap() + bytes.len() / 50;
        bytes.chunks(size).all(|part| {
            std::thread::sleep(Duration::from_millis(1));
            to.write_all(part).is_ok()
        })
    }
}
