//! The store goes away and comes back: the process stays up, says so, and goes on by itself.

use crate::{harness::World, http, sink::Sink, wire::Wire};
use std::{io::Write, path::PathBuf, time::Duration};

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_store_that_goes_away_is_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::from_millis(30));
    let Some(mut world) = World::new(sink.port).on_postgres() else { return };
    let direct = world.store.clone();
    let (wire, through) = Wire::before(&direct);
    world.store = through;
    world.deals(300, false);
    let mut running = world.start();
    let admin = world.admin();
    let (alive, ready) = (|| http::get(&format!("{admin}/healthz")).0, || http::get(&format!("{admin}/readyz")));
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 300);
    assert_eq!((alive(), ready().0), (200, 200));
    world.deals(300, true);
    for round in 1..=3 {
        world.wait("messages to leave", PATIENCE, || sink.accepted().len() >= round * 40);
        wire.cut();
        world.wait("it to say so", PATIENCE, || ready().0 == 503);
        assert_eq!(alive(), 200, "a restart would not help");
        assert!(!running.exited(), "{}", world.log());
        wire.join();
        world.wait("it to go on", PATIENCE, || ready().0 == 200);
    }
    let (accepted, unknown) = (|| world.messages("accepted"), || world.messages("unknown"));
    world.wait("the rest", PATIENCE, || accepted() + unknown() == 300);
    let keys = sink.accepted();
    let distinct: std::collections::HashSet<&String> = keys.iter().collect();
    assert_eq!(keys.len(), distinct.len(), "nothing twice");
    assert!(distinct.len() as u64 >= accepted(), "what the ledger calls accepted was accepted");
    // Outcomes wait in memory for the store, so at most a COMMIT whose reply was cut off leaves anything unclear.
    assert!(unknown() <= 3 * 8, "{} unclear", unknown());
    eprintln!("3 cuts: {} accepted, {} unclear", accepted(), unknown());
    assert!(running.stop());
}

/// A small disk of its own, unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` (loudly) where this user may not mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=12m", "tmpfs"];
        let done = std::process::Command::new("mount").args(mount).arg(folder.path()).output();
        if done.is_ok_and(|out| out.status.success()) {
            return Some(Self(folder));
        }
        let _ = writeln!(std::io::stderr(), "SKIPPED: this user may not mount a small disk to fill");
        None
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_said_and_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::from_millis(30));
    let Some(disk) = Disk::mount() else { return };
    let mut world = World::new(sink.port);
    world.store = format!("sqlite:{}", disk.0.path().join("store.db").display());
    world.deals(300, false);
    let mut running = world.start();
    world.wait("the import", PATIENCE, || world.in_role("InWork") == 300);
    world.deals(300, true);
    world.wait("messages to leave", PATIENCE, || sink.accepted().len() >= 40);
    disk.fill();
    world.wait("it to say so", PATIENCE, || world.log().contains("disk is full") || world.log().contains("disk_full"));
    let admin = world.admin();
    assert_eq!(http::get(&format!("{admin}/healthz")).0, 200);
    assert!(!running.exited(), "{}", world.log());
    let stuck = sink.accepted().len();
    assert!(stuck < 300, "it went on sending what it could not write down");
    disk.free();
    world.wait("the rest", PATIENCE, || world.messages("accepted") + world.messages("unknown") == 300);
    assert_eq!(sink.accepted().len(), 300, "nothing twice, nothing lost");
    assert_eq!(world.messages("unknown"), 0);
    assert!(running.stop());
}
