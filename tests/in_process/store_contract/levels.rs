//! Databases as earlier versions left them, in `levels/`: N.db and N.sql hold the schema after migration N, with twenty deals of the funnel
//! shop/sales, eight of them lost and written to once. Today's version opens them and knows all of it. A new migration adds its own
//! pair of files, made by the version before the next one.

use super::Backend;
use rekindle::model::{FunnelKey, Role};

/// The newest earlier level there is a database of.
const LEVELS: std::ops::RangeInclusive<u32> = 1..=3;

fn file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/in_process/store_contract/levels").join(name)
}

async fn knows_its_history(backend: &Backend, level: u32) {
    // Twice: what was migrated is opened again.
    for _ in 0..2 {
        let store = backend.open().await;
        let funnel = FunnelKey { namespace: "shop".into(), name: "sales".into() };
        let counts = store.views.counts(&funnel, None, jiff::Timestamp::now()).await.unwrap();
        let deals = |role| counts.stages.iter().filter(|s| s.role == role).map(|s| s.deals).sum::<u64>();
        assert_eq!((deals(Role::InWork), deals(Role::Warming)), (12, 8), "level {level}");
        assert_eq!(counts.messages, [("Email".to_owned(), "accepted".to_owned(), 8)], "level {level}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_of_every_earlier_level_is_opened() {
    for level in LEVELS {
        let backend = Backend::sqlite();
        std::fs::copy(file(&format!("{level}.db")), backend.url.trim_start_matches("sqlite:")).unwrap();
        knows_its_history(&backend, level).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_database_of_every_earlier_level_is_opened() {
    for level in LEVELS {
        let Some(backend) = Backend::postgres().await else { return };
        backend.execute(&std::fs::read_to_string(file(&format!("{level}.sql"))).unwrap()).await;
        knows_its_history(&backend, level).await;
    }
}
