//! COMMIT's reply is lost: the batch may or may not be stored, and the one who sent it must not guess.

use crate::store_contract::{Backend, world::*};
use rekindle::model::EffectStatus;
use rekindle::store::{Batch, Store, StoreError};
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

const CALM: u8 = 0;
/// The next COMMIT does not reach the server.
const LOSE_COMMIT: u8 = 1;
/// The next COMMIT reaches it, and its reply is swallowed.
const LOSE_REPLY: u8 = 2;

/// A socket in front of the shared PostgreSQL that can break at the worst moment.
struct Wire {
    folder: tempfile::TempDir,
    fault: Arc<AtomicU8>,
}

impl Wire {
    /// `url` names the folder of the server's socket after `host=`. Returns the same address through this wire.
    fn before(url: &str) -> (Self, String) {
        let (front, host) = url.split_once("?host=").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let through = format!("{front}?host={}", folder.path().display());
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let behind = Path::new(host).join(".s.PGSQL.5432");
        let wire = Self { folder, fault: Arc::default() };
        let fault = wire.fault.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&behind) else { return };
                let mute = Arc::new(AtomicU8::new(CALM));
                up(client.try_clone().unwrap(), server.try_clone().unwrap(), fault.clone(), mute.clone());
                down(server, client, mute);
            }
        });
        (wire, through)
    }

    fn lose(&self, what: u8) {
        self.fault.store(what, Ordering::SeqCst);
    }

    /// Whether it met its COMMIT.
    fn broke(&self) -> bool {
        self.folder.path().exists() && self.fault.load(Ordering::SeqCst) == CALM
    }
}

fn cut(a: &UnixStream, b: &UnixStream) {
    let _ = (a.shutdown(Shutdown::Both), b.shutdown(Shutdown::Both));
}

fn up(mut client: UnixStream, mut server: UnixStream, fault: Arc<AtomicU8>, mute: Arc<AtomicU8>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(n @ 1..) = client.read(&mut buffer) {
            let commit = buffer[..n].windows(7).any(|w| w == b"COMMIT\0");
            match if commit { fault.swap(CALM, Ordering::SeqCst) } else { CALM } {
                LOSE_COMMIT => break,
                LOSE_REPLY => mute.store(LOSE_REPLY, Ordering::SeqCst),
                _ => {}
            }
            if server.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        cut(&client, &server);
    });
}

fn down(mut server: UnixStream, mut client: UnixStream, mute: Arc<AtomicU8>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(n @ 1..) = server.read(&mut buffer) {
            // The server has answered, so it has committed.
            if mute.load(Ordering::SeqCst) == LOSE_REPLY || client.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        cut(&client, &server);
    });
}

async fn lose(what: u8, stored: bool) {
    let Some(direct) = Backend::postgres().await else { return };
    let (wire, through) = Wire::before(&direct.url);
    let store = Store::open(&through).await.unwrap();
    let lease = store.journal.take("one", TTL).await.unwrap().unwrap();
    let world = World { store, lease };
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let change = world.decided(copy, vec![message(&world.store, 1, "first", &phone(1))]).await;
    wire.lose(what);
    let batch = Batch { now: Some(at(10)), changes: vec![change.clone()], ..Batch::default() };
    let lost = world.store.journal.commit(&world.lease, batch).await.unwrap_err();
    assert!(matches!(lost, StoreError::AmbiguousCommit), "{lost}");
    assert!(wire.broke());

    // The owner takes its own lease again: whatever it was is then either visible or void.
    let again = world.store.journal.take("one", TTL).await.unwrap().unwrap();
    assert_eq!(again.epoch, world.lease.epoch + 1);
    assert_eq!(again.orphans, u64::from(stored));
    assert_eq!(world.status(copy, 1).await, stored.then_some(EffectStatus::Unknown));
    let late = Batch { now: Some(at(11)), changes: vec![change], ..Batch::default() };
    let refused = world.store.journal.commit(&world.lease, late).await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseLost), "{refused}");
    // Deciding again on what is there now: nothing is written twice, nothing is lost.
    let next = world.decided(copy, vec![message(&world.store, 2, "first", &phone(1))]).await;
    let commit =
        world.store.journal.commit(&again, Batch { now: Some(at(12)), changes: vec![next], ..Batch::default() }).await.unwrap();
    assert_eq!((commit.conflicts.len(), commit.stale.len()), (usize::from(stored), 0));
    assert_eq!(world.copy(copy).await.ledger.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_reply_was_lost_left_an_intent_that_becomes_unknown() {
    lose(LOSE_REPLY, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_lost_itself_left_nothing_and_is_decided_again() {
    lose(LOSE_COMMIT, false).await;
}
