//! Every statement is understood by both databases, and none of the hot ones reads a whole table.

#[allow(dead_code, unused_macros, unused_imports)]
#[path = "../../../src/store/sql/dialect.rs"]
mod dialect;

use super::Backend;
use super::world::*;
use dialect::{Dialect, expand};
use rekindle::model::{ConsentStatus, Contact, ContactConsent, Deal, Text};
use rekindle::store::{Batch, Change, NewEffect};
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
    // What people ask for now and then, small tables, what a take-over does once and what is done once an hour.
    let may_scan =
        ["views/", "lease/orphans", "schema/", "hold/list", "funnel/list", "revision/all_newest", "crm/cursors", "retention/old_"];
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

/// A hold keeps hundred thousands of messages waiting: neither a task nor a message of another channel is looked for among them.
#[tokio::test]
async fn what_is_due_beside_a_hold_is_found_by_an_index() {
    let backend = Backend::sqlite();
    drop(backend.open().await);
    let mut connection = sqlx::SqliteConnection::connect(&backend.url).await.unwrap();
    let due = statements().into_iter().find(|(name, _)| name == "outbox/due").unwrap().1;
    let explain = format!("EXPLAIN QUERY PLAN {}", expand(&due, Dialect::Sqlite));
    let rows = connection.fetch_all(sqlx::query(AssertSqlSafe(explain))).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|r| r.get::<String, _>("detail")).collect();
    for step in ["o USING INDEX outbox_writes (due_at<?)", "o USING INDEX outbox_due (due_at>? AND due_at<?)"] {
        assert!(plan.iter().any(|p| p.contains(step)), "no {step} in {plan:#?}");
    }
}

/// Thousands may share a number that is none, and each page may name it: of all who are not in the page only their word is asked for.
#[tokio::test]
async fn an_edited_contact_does_not_load_everybody_who_shares_its_number() {
    for backend in [Some(Backend::sqlite()), Backend::postgres().await].into_iter().flatten() {
        let world = World::new(&backend).await;
        let copy = world.deals(&[("d", "c1", 1)]).await[0];
        let person = |id: &str, sms| Contact { consent: ContactConsent { sms, email: None }, ..contact(id, 1) };
        let says = async |contacts| {
            world.commit(Batch { now: Some(at(1)), page: Some(page(contacts, vec![])), ..Batch::default() }).await;
        };
        says(vec![person("c1", Some(true)), person("c2", Some(false))]).await;
        // Whoever reads this body as a whole fails.
        let spoilt = r#"UPDATE contact SET body = '{"id":5,"name":"\u0000","consent":{"sms":false,"email":null}}' WHERE id = 'c2'"#;
        assert!(backend.execute(spoilt).await);
        says(vec![Contact { name: Text("Anna".into()), ..person("c1", Some(true)) }]).await;
        let consents = world.copy(copy).await.client.consents;
        assert_eq!(consents.into_iter().map(|c| c.status).collect::<Vec<_>>(), [ConsentStatus::Withdrawn]);
    }
}

/// What the engine's connections are told (`store/sql/open.rs`).
const PLANNER: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("join_collapse_limit", "1"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// On PostgreSQL a plan is made once and kept while tables grow: it must go from the batch to the keys, whether a table was empty, had
/// a few rows or thousands when the plan was made, and whether PostgreSQL had looked at it by then.
#[tokio::test]
async fn on_postgres_a_batch_comes_first_whatever_the_tables_hold() {
    let Some(backend) = Backend::postgres().await else { return };
    let opened = include_str!("../../../src/store/sql/open.rs");
    assert!(PLANNER.iter().all(|(name, value)| opened.contains(&format!("(\"{name}\", \"{value}\")"))), "not what is tried here");
    let world = World::new(&backend).await;
    judge_plans(&backend, "empty and never looked at").await;
    fill(&world, 0..3).await;
    backend.execute("ANALYZE").await;
    judge_plans(&backend, "a few rows").await;
    fill(&world, 3..3000).await;
    judge_plans(&backend, "a few rows when it was last looked at, thousands now").await;
    backend.execute("ANALYZE").await;
    judge_plans(&backend, "thousands of rows").await;
}

/// Deals of clients of their own, each of whom got a message.
async fn fill(world: &World, numbers: std::ops::Range<u32>) {
    let deals: Vec<Deal> = numbers.clone().map(|n| deal(&format!("d{n}"), &format!("c{n}"))).collect();
    let changes = numbers.clone().zip(&deals).map(|(n, deal)| {
        let effects = vec![NewEffect { codes: vec![format!("h{n}")], ..message(&world.store, 1, "first", &phone(n)) }];
        Change { effects, ..new_copy(deal) }
    });
    let changes = changes.collect();
    let contacts = numbers.map(|n| contact(&format!("c{n}"), n)).collect();
    world.commit(Batch { now: Some(at(0)), page: Some(page(contacts, deals)), changes, ..Batch::default() }).await;
}

async fn judge_plans(backend: &Backend, state: &str) {
    let mut connection = sqlx::PgConnection::connect(&backend.url).await.unwrap();
    for (name, value) in PLANNER {
        connection.execute(AssertSqlSafe(format!("SET {name} = {value}"))).await.unwrap();
    }
    // In a table without rows all ways are equally long, and it is looked at again when it gets some.
    let empty =
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND reltuples = 0 AND relnamespace = 'public'::regnamespace";
    let empty: Vec<String> =
        connection.fetch_all(sqlx::raw_sql(empty)).await.unwrap().iter().map(|row| row.get_unchecked(0)).collect();
    let (mut batches, mut flaws) = (0, Vec::new());
    // A handful of funnels; a few opt-outs an hour, for whom a plan that lives two minutes may read a client too many.
    let rare = ["revision/in_force", "client/withdraw"];
    for (name, text) in statements().into_iter().filter(|(name, text)| text.contains("rows($") && !rare.contains(&name.as_str())) {
        let text = expand(&text, Dialect::Postgres);
        let parameters = (1..10).take_while(|n| text.contains(&format!("${n}"))).count();
        let nulls = vec!["NULL"; parameters].join(", ");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("PREPARE asked AS {text}")))).await.unwrap();
        let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE asked({nulls})");
        let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(explain))).await.unwrap();
        let plan: serde_json::Value = serde_json::from_str(&rows[0].get_unchecked::<String, _>(0)).unwrap();
        connection.execute("DEALLOCATE asked").await.unwrap();
        if let Some(flaw) = flaw(&plan[0]["Plan"], &empty) {
            flaws.push(format!("{name}: {flaw}"));
        }
        batches += 1;
    }
    assert!(flaws.is_empty(), "{state}: {flaws:#?}");
    assert!(batches > 50, "only {batches} statements take a batch");
}

fn children(node: &serde_json::Value) -> &[serde_json::Value] {
    node["Plans"].as_array().map_or(&[], Vec::as_slice)
}

/// Whether the node or something below it is that.
fn anywhere(node: &serde_json::Value, is: &dyn Fn(&serde_json::Value) -> bool) -> bool {
    is(node) || children(node).iter().any(|child| anywhere(child, is))
}

fn flaw(node: &serde_json::Value, empty: &[String]) -> Option<String> {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    // Of counters there is a handful, and the one that a batch needs is read once for all of it.
    let of_table =
        |n: &serde_json::Value| n["Relation Name"].as_str().is_some_and(|t| t != "counter" && !empty.iter().any(|e| e == t));
    let of_batch = |n: &serde_json::Value| n["Node Type"] == "Function Scan";
    let by_key = node["Index Cond"].is_string() || node["Recheck Cond"].is_string();
    if kind.contains("Scan") && of_table(node) && !by_key {
        return Some(format!("{kind} of all of {}", node["Relation Name"]));
    }
    // Part of a key that does not come from the batch: all rows that share it are read.
    let cond = node["Index Cond"].as_str().or(node["Recheck Cond"].as_str()).unwrap_or_default();
    if by_key && of_table(node) && !cond.contains('.') && !cond.contains("ANY") {
        return Some(format!("{kind} of {} by {cond} only", node["Relation Name"]));
    }
    if kind.ends_with("Join") || kind == "Nested Loop" {
        let side = |name: &str| children(node).iter().find(|child| child["Parent Relationship"] == name);
        let (Some(outer), Some(inner)) = (side("Outer"), side("Inner")) else { return Some(format!("{kind} without two sides")) };
        if anywhere(outer, &of_table) && !anywhere(outer, &of_batch) && anywhere(inner, &of_batch) {
            return Some(format!("{kind}: the batch is looked through for each row of a table"));
        }
    }
    if matches!(kind, "Hash Join" | "Merge Join") {
        return Some(format!("{kind} of all rows"));
    }
    children(node).iter().find_map(|child| flaw(child, empty))
}
