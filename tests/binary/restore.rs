//! What a database may have become while nobody looked: put back to an earlier copy, or damaged in one row.
//!
//! A database that is put back to an earlier copy has forgotten what was sent since: the witness beside it has not.

use crate::{
    harness::{World, text},
    http,
    sink::Sink,
};
use std::{collections::BTreeSet, path::Path, time::Duration};

#[test]
fn a_restored_database_starts_on_hold_and_says_why() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::from_millis(1));
    let world = World::new(sink.port);
    let file = |suffix: &str| world.dir.path().join(format!("store.db{suffix}"));
    let copy = |from: &Path, to: &Path| if from.exists() { std::fs::copy(from, to).map(drop) } else { Ok(()) };
    world.deals(20, false);
    let running = world.start();
    world.wait("the import", Duration::from_mins(1), || world.in_role("InWork") == 20);
    assert!(running.stop());
    for part in ["", "-wal"] {
        copy(&file(part), &file(&format!("{part}.kept"))).unwrap();
    }
    world.deals(20, true);
    let running = world.start();
    world.wait("the messages", Duration::from_mins(1), || world.messages("accepted") == 20);
    assert!(running.stop());
    // The same database again, without an accident: nothing is held.
    let running = world.start();
    world.wait("a quiet start", Duration::from_mins(1), || world.log().matches("pages on").count() == 3);
    assert_eq!(world.status()["holds"].as_array().unwrap().len(), 0);
    assert!(running.stop());

    for part in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(file(part));
    }
    for part in ["", "-wal"] {
        copy(&file(&format!("{part}.kept")), &file(part)).unwrap();
    }
    let running = world.start();
    world.wait("the deals to be lost again", Duration::from_mins(1), || world.in_role("Warming") == 20);
    world.wait("the messages to be held", Duration::from_mins(1), || world.messages("planned") == 20);
    assert_eq!(sink.accepted().len(), 20, "nothing went out a second time");
    let status = String::from_utf8(world.command(&["status"]).stdout).unwrap();
    assert!(status.contains("HELD: EVERYTHING") && status.contains("behind its witness"), "{status}");
    assert!(status.contains("rekindle release --all"), "the way out: {status}");
    // It stays held over a restart, and a person decides.
    assert!(running.stop());
    let running = world.start();
    assert!(world.command(&["release", "--all"]).status.success());
    world.wait("the released messages", Duration::from_mins(1), || world.messages("accepted") == 20);
    assert!(running.stop());
    let running = world.start();
    world.wait("a quiet start", Duration::from_mins(1), || world.log().matches("pages on").count() == 6);
    assert_eq!(world.status()["holds"].as_array().unwrap().len(), 0, "what was released is not held again");
    assert!(running.stop());
}

/// The copy of last night, one batch later: nothing started in between.
#[test]
fn a_copy_that_lacks_only_the_last_batch_is_noticed() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let world = World::new(sink.port);
    world.deals(5, false);
    let running = world.start();
    world.wait("the import", Duration::from_mins(1), || world.in_role("InWork") == 5);
    let backup = world.dir.path().join("backup.db");
    change(&world, &format!("VACUUM INTO '{}'", backup.display()));
    world.deals(5, true);
    world.wait("the messages", Duration::from_mins(1), || world.messages("accepted") == 5);
    // What was sent is put down outside once it rests.
    std::thread::sleep(Duration::from_secs(3));
    running.kill();
    for part in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.dir.path().join(format!("store.db{part}")));
    }
    std::fs::copy(&backup, world.dir.path().join("store.db")).unwrap();
    let _running = world.start();
    world.wait("the messages to be held", Duration::from_mins(1), || world.messages("planned") == 5);
    assert_eq!(sink.accepted().len(), 5, "nothing went out a second time");
    assert_eq!(world.status()["holds"][0]["by"], "witness");
}

/// What an old letter says means whom it was written to, or nobody: never whom the restored database came to know in their place.
#[test]
fn after_a_restore_an_old_unsubscribe_link_stops_nobody_else_and_a_known_one_works() {
    let patience = Duration::from_mins(1);
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::ZERO);
    let world = World::new(sink.port);
    world.deals(1, false);
    let running = world.start();
    world.wait("the import", patience, || world.in_role("InWork") == 1);
    world.deals(1, true);
    world.wait("a message that the copy knows", patience, || world.messages("accepted") == 1);
    assert!(running.stop());
    let backup = world.dir.path().join("backup.db");
    change(&world, &format!("VACUUM INTO '{}'", backup.display()));
    let known = text(&world.path("data/deals.csv"));
    let more = |rows: [(&str, usize); 2]| {
        let rows = rows.map(|(id, client)| World::deal(id, client, true)).concat();
        world.write("data/deals.csv", &format!("{known}{rows}"));
    };
    more([("D1", 1), ("D2", 2)]);
    let running = world.start();
    world.wait("messages that it does not know", patience, || world.messages("accepted") == 3);
    std::thread::sleep(Duration::from_secs(3));
    assert!(running.stop());
    for part in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.dir.path().join(format!("store.db{part}")));
    }
    std::fs::copy(&backup, world.dir.path().join("store.db")).unwrap();

    // The file is in another order by now.
    more([("D2", 2), ("D1", 1)]);
    let running = world.start();
    world.wait("the messages to be held", patience, || world.messages("planned") == 2);
    assert!(world.command(&["release", "--all"]).status.success());
    world.wait("the released messages", patience, || world.messages("accepted") == 3);
    let click = |link: &str| {
        // The process listens on another port than when the letter was written.
        let url = format!("{}/u/{}", world.pages(), link.rsplit('/').next().unwrap());
        let form = [("content-type", "application/x-www-form-urlencoded")];
        http::request("POST", &url, &form, "List-Unsubscribe=One-Click").0
    };
    let forgotten = ["client1@", "client2@"].map(|to| click(&sink.letter(to).unsubscribe()));
    assert_eq!((forgotten, world.in_role("Unsubscribed")), ([404, 404], 0));
    assert_eq!(click(&sink.letter("client0@").unsubscribe()), 200, "the copy knows this message");
    world.wait("the opt-out", patience, || world.in_role("Unsubscribed") == 1);
    let keys: BTreeSet<String> = sink.accepted().into_iter().collect();
    assert_eq!((keys.len(), sink.accepted().len()), (5, 5), "no key stands for two messages: {keys:?}");
    assert!(running.stop());
}

/// Behind the process's back.
fn change(world: &World, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::{Connection as _, Executor as _};
        let mut connection = sqlx::SqliteConnection::connect(&world.store).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn a_damaged_row_is_set_aside_and_shown_and_stops_nobody_else() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::from_millis(1));
    let world = World::new(sink.port);
    world.deals(20, false);
    let running = world.start();
    world.wait("the import", Duration::from_mins(1), || world.in_role("InWork") == 20);
    assert!(running.stop());
    change(&world, "UPDATE copy SET state = '{\"entered', due_at = 1 WHERE deal = 'D7'");
    world.deals(20, true);
    let running = world.start();
    world.wait("the other messages", Duration::from_mins(1), || world.messages("accepted") == 19);
    world.wait("the row to be shown", Duration::from_mins(1), || {
        world.status()["deadLetters"].as_array().is_some_and(|letters| letters.len() == 1 && letters[0]["source"] == "copy")
    });
    assert_eq!(sink.accepted().len(), 19);
    assert!(running.stop());
}
