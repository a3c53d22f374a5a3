//! Every statement is understood by both databases, and none of the hot ones reads a whole table.

#[allow(dead_code, unused_macros, unused_imports)]
#[path = "../../../src/store/sql/dialect.rs"]
mod dialect;

use super::Backend;
use dialect::{Dialect, expand};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _, SqlSafeStr as _};
use std::path::Path;

fn statements() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sql/text");
    let mut found = Vec::new();
    for noun in std::fs::read_dir(&root).unwrap() {
        for file in std::fs::read_dir(noun.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().with_extension("").display().to_string();
            found.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    found.sort();
    assert!(found.len() > 80, "only {} found", found.len());
    found
}

#[tokio::test]
async fn every_statement_is_valid_on_sqlite() {
    let backend = Backend::sqlite();
    drop(backend.open().await);
    let mut connection = sqlx::SqliteConnection::connect(&backend.url).await.unwrap();
    for (name, text) in statements() {
        let prepared = connection.prepare(AssertSqlSafe(expand(&text, Dialect::Sqlite)).into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
    }
}

#[tokio::test]
async fn every_statement_is_valid_on_postgres() {
    let Some(backend) = Backend::postgres().await else { return };
    drop(backend.open().await);
    let mut connection = sqlx::PgConnection::connect(&backend.url).await.unwrap();
    for (name, text) in statements() {
        let prepared = connection.prepare(AssertSqlSafe(expand(&text, Dialect::Postgres)).into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
    }
}

#[test]
fn every_statement_is_used() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sql");
    let mut code = String::new();
    for file in std::fs::read_dir(sources).unwrap().map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "rs"))
    {
        code.push_str(&std::fs::read_to_string(file).unwrap());
    }
    for (name, _) in statements() {
        assert!(code.contains(&format!("sql!(\"{name}\")")), "{name} is used nowhere");
    }
}

/// On SQLite the plan does not depend on the data, so that it can be told on an empty database.
#[tokio::test]
async fn no_hot_statement_reads_a_whole_table() {
    let backend = Backend::sqlite();
    drop(backend.open().await);
    let mut connection = sqlx::SqliteConnection::connect(&backend.url).await.unwrap();
    // What people ask for now and then, small tables, and what a take-over does once.
    let may_scan = ["views/", "lease/orphans", "schema/", "hold/list", "funnel/list", "revision/all_newest", "crm/cursors"];
    for (name, text) in statements() {
        if may_scan.iter().any(|prefix| name.starts_with(prefix)) || text.contains("CREATE TABLE") {
            continue;
        }
        let explain = format!("EXPLAIN QUERY PLAN {}", expand(&text, Dialect::Sqlite));
        let rows = connection.fetch_all(sqlx::query(AssertSqlSafe(explain))).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|r| r.get::<String, _>("detail")).collect();
        let scans: Vec<&String> = plan
            .iter()
            .filter(|step| step.starts_with("SCAN ") && !step.contains("USING"))
            .filter(|step| {
                !["json", "VIRTUAL TABLE", "CONSTANT ROW", "SCAN h", "SCAN w", "SCAN x", "SCAN (", "SCAN hold"]
                    .iter()
                    .any(|ok| step.contains(ok))
            })
            .collect();
        assert!(scans.is_empty(), "{name}: {plan:#?}");
    }
}
