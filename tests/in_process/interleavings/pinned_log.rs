//! SQLite keeps what was overwritten in its log for as long as somebody reads it: a reader that stays would fill the disk.

use crate::store_contract::{Backend, world::*};
use rekindle::store::{Cursor, Store};
use sqlx::{Connection as _, Executor as _};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Overwrites a quarter of a megabyte again and again, a hundred in all; how large the log became meanwhile.
async fn overwrite(world: &World, path: &str) -> u64 {
    let log = format!("{path}-wal");
    let mut largest = 0;
    for letter in ('a'..='z').cycle().take(400) {
        // SQLite writes only the pages that differ.
        let position = serde_json::json!({"page": letter.to_string().repeat(250_000)});
        let cursor = Cursor { position, ..Cursor::default() };
        world.store.journal.set_cursor(&world.lease, CRM, &cursor).await.unwrap();
        largest = std::fs::metadata(&log).map_or(largest, |log| largest.max(log.len()));
    }
    largest
}

const MEGABYTE: u64 = 1 << 20;

/// Status, timelines and reports are read all the time, in the engine's process and beside it, while the engine writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_do_not_pin_the_log() {
    let backend = Backend::sqlite();
    let world = World::new(&backend).await;
    world.deals(&[("d", "c", 1)]).await;
    let path = backend.url.strip_prefix("sqlite:").unwrap().to_owned();
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let read = |store: Store| {
        let (stop, reads) = (stop.clone(), reads.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                store.views.timeline(&funnel(), "d").await.unwrap();
                store.views.cursors().await.unwrap();
                store.views.channels().await.unwrap();
                reads.fetch_add(3, Ordering::SeqCst);
            }
        })
    };
    let readers = [read(Store::open_beside(&backend.url).await.unwrap()), read(Store::open_beside(&backend.url).await.unwrap())];
    let largest = overwrite(&world, &path).await;
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    let reads = reads.load(Ordering::SeqCst);
    eprintln!("{reads} reads, the log was {} MB at most", largest / MEGABYTE);
    assert!(reads > 100 && largest < 30 * MEGABYTE, "{reads} reads, {largest} bytes");
}

/// What the other test would see if one of our reads stayed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_that_stays_pins_the_log() {
    let backend = Backend::sqlite();
    let world = World::new(&backend).await;
    let path = backend.url.strip_prefix("sqlite:").unwrap().to_owned();
    let mut stays = sqlx::SqliteConnection::connect(&backend.url).await.unwrap();
    stays.execute("BEGIN").await.unwrap();
    stays.fetch_all("SELECT * FROM lease").await.unwrap();
    let largest = overwrite(&world, &path).await;
    assert!(largest > 60 * MEGABYTE, "{largest} bytes");
}
