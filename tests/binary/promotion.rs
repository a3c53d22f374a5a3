//! Asynchronous promotion: the server is lost, and the standby that takes its place lacks the last commits.

use crate::{chaos::Server, harness::World, sink::Sink};
use sqlx::{Connection as _, PgConnection};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_mins(1);

fn ask(server: &Server, question: &'static str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(&server.url()).await.unwrap();
        sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
    })
}

/// Waits until the standby has everything.
fn follow(primary: &Server, standby: &Server) {
    let since = Instant::now();
    let reached = ask(primary, "SELECT pg_current_wal_lsn()::text");
    let position = |lsn: &str| {
        let (high, low) = lsn.split_once('/').unwrap();
        (u64::from_str_radix(high, 16).unwrap(), u64::from_str_radix(low, 16).unwrap())
    };
    while position(&ask(standby, "SELECT coalesce(pg_last_wal_replay_lsn(), '0/0')::text")) < position(&reached) {
        assert!(since.elapsed() < PATIENCE, "the standby does not follow: {}", standby.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The process lives through it, and its lease with it or not; or it starts anew. Each time what was sent stays sent once.
#[test]
fn a_promoted_standby_that_lacks_the_last_commits_is_noticed() {
    for (lease, restarted) in [("1s", false), ("30s", false), ("1s", true)] {
        let Some(primary) = Server::start_new() else { return };
        let standby = primary.standby();
        let home = tempfile::tempdir().unwrap();
        let sink = Sink::start(home.path(), Duration::ZERO);
        let mut world = World::new(sink.port);
        // The name that everybody uses, as a Service or DNS has it.
        let name = world.dir.path().join("pg");
        std::os::unix::fs::symlink(primary.folder(), &name).unwrap();
        world.store = format!("postgres://postgres@localhost/postgres?host={}", name.display());
        let witness = world.dir.path().join("witness").display().to_string();
        world.args.extend(["--lease".into(), lease.into(), "--witness".into(), witness]);
        world.deals(5, false);
        let mut running = Some(world.start());
        world.wait("the import", PATIENCE, || world.in_role("InWork") == 5);
        follow(&primary, &standby);
        // From here on it hears nothing.
        standby.stop_at_once();
        world.deals(5, true);
        world.wait("the messages", PATIENCE, || world.messages("accepted") == 5);
        if restarted {
            std::thread::sleep(Duration::from_secs(3));
            running.take().unwrap().kill();
        }
        primary.stop_at_once();
        std::fs::remove_file(&name).unwrap();
        std::os::unix::fs::symlink(standby.folder(), &name).unwrap();
        standby.start();
        standby.promote();
        if restarted {
            running = Some(world.start());
        }
        let why = format!("lease {lease}, restarted: {restarted}");
        world.wait("the messages to be held", PATIENCE, || world.messages("planned") == 5);
        assert_eq!(sink.accepted().len(), 5, "{why}: something went out a second time");
        assert_eq!(world.status()["holds"][0]["by"], "witness", "{why}");
        assert!(running.unwrap().stop(), "{why}: {}", world.log());
    }
}
