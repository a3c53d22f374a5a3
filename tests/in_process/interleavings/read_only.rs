//! The database takes nothing for a while: its primary became a standby, or somebody made it read-only. What is open to it stays open.

use crate::store_contract::{Backend, world::*};
use rekindle::{
    model::{InboxEvent, SignalKind, SignalSubject},
    store::{Incoming, Store},
};

fn call(id: &str) -> Incoming {
    let event = InboxEvent::Signal {
        kind: SignalKind::InboundCall,
        subject: SignalSubject::default(),
        at: at(5),
        text: None,
        reaction: None,
    };
    Incoming {
        source: "test".into(),
        id: id.into(),
        event,
        received_at: at(5),
        not_before: None,
        suppress: Vec::new(),
        click: None,
    }
}

/// For connections that are opened from now on.
async fn read_only(backend: &Backend, change: &str) {
    let alter = format!("EXECUTE format('ALTER DATABASE %I {change}', current_database());");
    assert!(backend.execute(&format!("BEGIN READ WRITE; DO $$ BEGIN {alter} END $$; COMMIT")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_while_the_database_is_read_only_waits_and_is_stored_as_soon_as_it_is_not() {
    let Some(backend) = Backend::postgres().await else { return };
    let store = backend.open().await;
    assert_eq!(store.journal.receive(vec![call("1")]).await.unwrap(), [true]);
    read_only(&backend, "SET default_transaction_read_only = on").await;
    // A switch-over ends what was open.
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    backend.execute(end).await;
    let mut refused = store.journal.receive(vec![call("2")]).await.unwrap_err();
    if !refused.to_string().contains("25006") {
        // The end of its connection.
        refused = store.journal.receive(vec![call("2")]).await.unwrap_err();
    }
    assert!(
        refused.temporary() && refused.to_string().contains("read-only"),
        "{refused}: a click that is refused for good is dropped"
    );
    let Err(starting) = Store::open(&backend.url).await else { panic!("it writes") };
    assert!(starting.temporary(), "{starting}: a pod that starts meanwhile waits");

    read_only(&backend, "RESET default_transaction_read_only").await;
    assert_eq!(store.journal.receive(vec![call("2")]).await.unwrap(), [true], "no connection of before is used again");
}
