//! What is said of a store that cannot be used, and what looking at one leaves as it was.

use super::Backend;
use rekindle::store::{Store, StoreError};
use std::path::{Path, PathBuf};

fn refused(opened: Result<Store, StoreError>) -> String {
    match opened {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

fn path(backend: &Backend) -> PathBuf {
    backend.url.trim_start_matches("sqlite:").into()
}

/// Every file of the folder, with what stands in it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|file| (file.clone(), std::fs::read(&file).unwrap()))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn another_programs_database_stays_as_it_was() {
    let theirs = Backend::sqlite();
    let file = path(&theirs);
    let folder = file.parent().unwrap();
    std::fs::write(&file, "").unwrap();
    let said = refused(Store::open_beside(&theirs.url).await);
    assert!(said.contains("not made by rekindle"), "{said}");
    assert_eq!(files(folder), [(file.clone(), Vec::new())], "whoever looks at an empty file writes nothing");

    theirs.execute("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)").await;
    let before = files(folder);
    let said = refused(Store::open_beside(&theirs.url).await);
    assert!(said.contains("not made by rekindle"), "{said}");
    let said = refused(Store::open(&theirs.url).await);
    assert!(said.contains("holds tables that rekindle did not make"), "{said}");
    assert!(files(folder) == before, "its bytes, its kind of log, and nothing beside it");
}

#[tokio::test]
async fn an_address_that_other_programs_read_differently_is_refused() {
    for (address, instead) in [
        ("sqlite://relative-rekindle.db", "write sqlite:relative-rekindle.db, or sqlite:/relative-rekindle.db from the root"),
        ("sqlite:y-rekindle.db?mode=ro", "it takes no parameters; write sqlite:y-rekindle.db"),
    ] {
        for said in [refused(Store::open(address).await), refused(Store::open_beside(address).await)] {
            assert!(said.contains(instead), "{said}");
        }
    }
    for file in ["/relative-rekindle.db", "relative-rekindle.db", "y-rekindle.db", "y-rekindle.db?mode=ro"] {
        assert!(!Path::new(file).exists(), "{file} was made");
    }
    let folder = tempfile::tempdir().unwrap();
    let from_the_root = format!("sqlite://{}", folder.path().join("r.db").display());
    assert!(Store::open(&from_the_root).await.is_ok(), "{from_the_root}");
}

#[tokio::test]
async fn why_a_file_cannot_be_used_is_said_in_words() {
    let backend = Backend::sqlite();
    std::fs::write(path(&backend), "notes ".repeat(1000)).unwrap();
    for said in [refused(Store::open(&backend.url).await), refused(Store::open_beside(&backend.url).await)] {
        assert!(said.contains("the file is no SQLite database"), "{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().display());
    for said in [refused(Store::open(&url).await), refused(Store::open_beside(&url).await)] {
        assert!(said.contains("it is a folder"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_a_server_cannot_be_used_is_said_in_words() {
    let Some(backend) = Backend::postgres().await else { return };
    let (server, socket) = backend.url.split_once('?').unwrap();
    let (server, database) = server.rsplit_once('/').unwrap();
    let said = refused(Store::open(&format!("{server}/nowhere?{socket}")).await);
    assert!(said.contains("database \"nowhere\" does not exist"), "{said}");

    // As from PostgreSQL 15 on.
    backend.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    backend.execute(&format!("CREATE ROLE {database}_guest LOGIN")).await;
    let guest = backend.url.replacen("postgres@", &format!("{database}_guest@"), 1);
    let said = refused(Store::open(&guest).await);
    assert!(said.contains("permission denied for schema public; grant it to the role"), "{said}");
    drop(backend.open().await);
    let said = refused(Store::open_beside(&guest).await);
    assert!(said.contains("permission denied for table schema_version"), "{said}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = refused(Store::open_beside(&format!("postgres://postgres@{free}/{database}")).await);
    assert!(said.contains(&format!("{free}: ")) && said.contains("refused"), "{said}");
}
