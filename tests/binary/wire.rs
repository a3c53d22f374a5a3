//! A way to the shared PostgreSQL that can be cut, or go silent, without stopping the server for other tests.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// A socket in front of the server's own.
pub struct Wire {
    folder: tempfile::TempDir,
    behind: PathBuf,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<UnixStream>>>,
    /// Of each connection that was opened.
    silence: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
}

impl Wire {
    /// `url` names the folder of the server's socket after `host=`. Returns the same address through this wire.
    pub fn before(url: &str) -> (Self, String) {
        let (front, host) = url.split_once("?host=").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let through = format!("{front}?host={}", folder.path().display());
        let behind = Path::new(host).join(".s.PGSQL.5432");
        let wire = Self { folder, behind, cut: Arc::default(), open: Arc::default(), silence: Arc::default() };
        wire.join();
        (wire, through)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(".s.PGSQL.5432")
    }

    pub fn join(&self) {
        self.cut.store(false, Ordering::SeqCst);
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (behind, cut, open, silence) = (self.behind.clone(), self.cut.clone(), self.open.clone(), self.silence.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if cut.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(server) = UnixStream::connect(&behind) else { return };
                let both = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                open.lock().unwrap().extend(both);
                let silent = Arc::new(AtomicBool::new(false));
                silence.lock().unwrap().push(silent.clone());
                carry(client.try_clone().unwrap(), server.try_clone().unwrap(), silent.clone());
                carry(server, client, silent);
            }
        });
    }

    /// What is said into the connections that are open goes nowhere, and nobody is told: a firewall forgot them, or the machine at the
    /// other end is gone.
    pub fn go_silent(&self) {
        self.silence.lock().unwrap().iter().for_each(|silent| silent.store(true, Ordering::SeqCst));
    }

    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it ends.
        let _ = UnixStream::connect(self.socket());
        std::fs::remove_file(self.socket()).unwrap();
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn carry(mut from: UnixStream, mut to: UnixStream, silent: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16384];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if !silent.load(Ordering::SeqCst) && to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
    });
}
