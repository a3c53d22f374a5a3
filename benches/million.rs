//! What a million deals cost: their import through the real binary beside COPY of the rows it leaves behind, the memory of the
//! process meanwhile and afterwards, and a tick with ten due copies among so many quiet ones, among a tenth of them and among ten
//! thousand. The last fit into SQLite's cache whole, so that the step from them to the tenth is what pages cost that are not in the
//! cache, and the step from the tenth to all is what the number of copies costs.
//!
//! `cargo bench --bench million [-- --deals N] [--store sqlite|postgres] [--rounds R]`; needs Debian's postgresql.
//!
//! The deals stand in one CSV with a name, a phone and an email each. They are open and were touched today, so that every one has a
//! copy that is due in a month. Counted is from the first page in the store to the last, by the process's own /metrics.

#[path = "common/mod.rs"]
mod common;

use common::{Postgres, Running, counter, median, rate};
use jiff::{SignedDuration, Timestamp};
use rekindle::{
    model::CopyId,
    store::{Batch, Change, Load, Store},
};
use sqlx::Connection as _;
use std::{
    error::Error,
    fmt::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MANIFEST: &str = r#"apiVersion: rekindle.dev/v1alpha1
kind: CrmConnection
metadata: {name: crm}
spec:
  type: File
  file:
    deals: {path: data/deals.csv}
    stages: {won: [Won], lost: [Lost]}
    writeBack: {path: data/writeback.jsonl}
  sync: {every: 2s}
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: mail}
spec:
  email: {from: {name: Sales, address: hello@news.example.com}}
  providers: [{name: relay, type: Smtp, smtp: {host: 127.0.0.1, port: 9, tls: None}}]
---
apiVersion: rekindle.dev/v1alpha1
kind: ContactPolicy
metadata: {name: default}
spec:
  brand: acme
  consent: {advertising: AssumedFromCrm}
  timeZone: UTC
  windows: [{from: "10:00", to: "20:00"}]
---
apiVersion: rekindle.dev/v1alpha1
kind: ContentList
metadata: {name: price}
spec:
  items:
    - name: offer
      after: 1d
      email: {subject: "A better price", markdown: "Call us or simply answer this letter."}
---
apiVersion: rekindle.dev/v1alpha1
kind: ReactivationFunnel
metadata: {name: sales}
spec:
  source: {crmRef: {name: crm}}
  policyRef: {name: default}
  channels: [{name: mail, ref: {name: mail}}]
  stages:
    stalled:
      - name: stalled
        enter: [{inactivity: 30d}]
        remind: [{after: 0h, who: Manager}]
    warming:
      - name: warming
        enter: [{lost: [price]}]
        content: [{listRef: {name: price}}]
    revived: {returnTo: {stage: Talks}}
"#;

/// Tables that an import fills.
const TABLES: [&str; 7] = ["deal", "contact", "client", "client_key", "client_address", "copy", "history"];

struct Options {
    deals: usize,
    rounds: usize,
    stores: Vec<String>,
}

fn options() -> Result<Options> {
    let mut options = Options { deals: 1_000_000, rounds: 1, stores: vec!["postgres".into(), "sqlite".into()] };
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let value = words.next().ok_or("every option has a value")?;
        match word.as_str() {
            "--deals" => options.deals = value.parse()?,
            "--rounds" => options.rounds = value.parse()?,
            "--store" => options.stores = vec![value],
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    Ok(options)
}

fn csv(path: &Path, deals: usize, changed: &str) -> Result<()> {
    let now = Timestamp::now();
    let mut rows =
        String::from("id,title,pipeline,stage,amount,createdAt,stageChangedAt,lastActivityAt,manager,name,phone,email\n");
    for i in 0..deals {
        let title = if i == 0 { changed } else { "Flat" };
        writeln!(rows, "D{i},{title},Sales,Talks,1000,{now},{now},{now},M1,Client Number{i},+7999{i:07},client{i}@mail.example")?;
    }
    std::fs::write(path, rows)?;
    Ok(())
}

fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}

#[allow(clippy::cast_precision_loss)] // counts to print
fn share(rows: usize, deals: usize) -> f64 {
    rows as f64 / deals as f64
}

struct Imported {
    per_second: f64,
    /// Most resident memory of the importing process, seen every 20 ms; then of one that meets the same file with one row changed;
    /// then of one at rest.
    importing: u64,
    looking: u64,
    resting: u64,
    status: u64,
}

/// Imports the file, meets it again with one row changed, and rests.
fn import(store: &str, folder: &Path, deals: usize) -> Result<Imported> {
    let config = folder.join("config");
    std::fs::create_dir_all(config.join("data"))?;
    std::fs::write(config.join("funnel.yaml"), MANIFEST)?;
    let file = config.join("data/deals.csv");
    csv(&file, deals, "Flat")?;
    #[allow(clippy::cast_precision_loss)] // a count of deals
    let all = deals as f64;
    let changed = |running: &Running| counter(&running.metrics(), "rekindle_deals_changed_total", &[]);

    let running = Running::start(&config, store);
    let (mut importing, mut first) = (0, None);
    let began = Instant::now();
    let per_second = loop {
        let (now, count) = (Instant::now(), changed(&running));
        importing = importing.max(running.resident());
        if count > 0.0 && first.is_none() {
            first = Some((now, count));
        }
        if count >= all {
            let (since, before) = first.unwrap_or((began, 0.0));
            break (count - before) / (now - since).as_secs_f64();
        }
        if began.elapsed() > Duration::from_mins(15) {
            return Err(format!("{count} of {deals} after 15 minutes:\n{}", running.log()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    running.stop();

    csv(&file, deals, "Another flat")?;
    let running = Running::start(&config, store);
    let mut looking = 0;
    let began = Instant::now();
    while changed(&running) < 1.0 || began.elapsed() < Duration::from_secs(20) {
        looking = looking.max(running.resident());
        if began.elapsed() > Duration::from_mins(10) {
            return Err(format!("the second look found nothing:\n{}", running.log()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    running.stop();

    let running = Running::start(&config, store);
    std::thread::sleep(Duration::from_secs(8));
    let resting = running.resident();
    let status = memory_of_status(store)?;
    running.stop();
    Ok(Imported { per_second, importing, looking, resting, status })
}

/// Most resident memory of `rekindle status` on that store.
fn memory_of_status(store: &str) -> Result<u64> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rekindle"))
        .args(["status", "--store", store])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut most = 0;
    loop {
        let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        most = most.max(high.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024);
        if let Some(done) = child.try_wait()? {
            return if done.success() { Ok(most) } else { Err("status failed".into()) };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// COPY of the same rows into the same tables of another database, indexes in place: how many rows, and how long.
async fn copy(postgres: &Postgres, from: &str, to: &str) -> Result<(usize, Duration)> {
    let url = postgres.database(to);
    drop(Store::open(&url).await?);
    let file = |table: &str| format!("/tmp/rekindle-bench-{}-{table}", std::process::id());
    for table in TABLES {
        let sql = format!("COPY {table} TO '{}' (FORMAT binary)", file(table));
        if !postgres.psql(from, &sql) {
            return Err(sql.into());
        }
    }
    let began = Instant::now();
    for table in TABLES {
        let sql = format!("COPY {table} FROM '{}' (FORMAT binary)", file(table));
        if !postgres.psql(to, &sql) {
            return Err(sql.into());
        }
    }
    let took = began.elapsed();
    let mut rows = 0;
    let mut connection = sqlx::PgConnection::connect(&url).await?;
    for table in TABLES {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        rows += usize::try_from(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut connection).await?)?;
        std::fs::remove_file(file(table))?;
    }
    connection.close().await?;
    Ok((rows, took))
}

/// Milliseconds of a tick's own verbs with ten due copies: find, load, write on. The engine decides between the last two.
async fn ticks(store: &Store, deals: usize, rounds: usize) -> Result<Vec<f64>> {
    let journal = &store.journal;
    let lease = journal.take("bench", Duration::from_mins(5)).await?.ok_or("another engine has the store")?;
    let now = Timestamp::now();
    let mut took = Vec::new();
    for round in 0..rounds + 5 {
        let ids: Vec<CopyId> =
            (0..10_usize).filter_map(|i| i64::try_from(1 + (round * 7919 + i * deals / 10) % deals).ok().map(CopyId)).collect();
        let moved = |subjects: Vec<rekindle::engine::Subject>, at: Timestamp| -> Vec<Change> {
            let change = |subject: rekindle::engine::Subject| {
                let (deal, mut copy) = (subject.deal.id, subject.copy);
                copy.next_at = Some(at);
                Change { copy, connection: "default/crm".into(), deal, effects: vec![], history: vec![], cycle: vec![] }
            };
            subjects.into_iter().map(change).collect()
        };
        let subjects = journal.load(&Load::Copies(ids.clone()), now).await?;
        let batch = Batch { now: Some(now), changes: moved(subjects, now - SignedDuration::from_secs(1)), ..Batch::default() };
        journal.commit(&lease, batch).await?;

        let began = Instant::now();
        let due = journal.due(now, None, 512).await?;
        let subjects = journal.load(&Load::Copies(due.iter().map(|d| d.copy).collect()), now).await?;
        let changes = moved(subjects, now + SignedDuration::from_hours(24 * 30));
        let count = changes.len();
        journal.commit(&lease, Batch { now: Some(now), changes, ..Batch::default() }).await?;
        // The first ones prepare statements and warm the cache.
        if round >= 5 {
            took.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        if count != 10 {
            return Err(format!("{count} copies were due where ten should be").into());
        }
    }
    journal.release(&lease).await?;
    Ok(took)
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{least:.2} / {:.2} / {most:.2}", median(values))
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = options()?;
    let needs_postgres = options.stores.iter().any(|store| store == "postgres");
    let postgres = if needs_postgres { Some(Postgres::start().ok_or("PostgreSQL is not installed")?) } else { None };
    for round in 0..options.rounds {
        for kind in &options.stores {
            let folder = tempfile::tempdir()?;
            let url = |size: &str| match &postgres {
                Some(postgres) if kind == "postgres" => postgres.database(&format!("bench_{size}_{round}")),
                _ => format!("sqlite:{}", folder.path().join(format!("{size}.db")).display()),
            };
            let (few, tenth, many) = (url("few"), url("tenth"), url("many"));
            let (few_deals, tenth_deals) = (options.deals.min(10_000), options.deals.div_ceil(10));
            import(&few, &folder.path().join("few"), few_deals)?;
            import(&tenth, &folder.path().join("tenth"), tenth_deals)?;
            let done = import(&many, &folder.path().join("many"), options.deals)?;
            println!("{kind}: {} deals imported at {:.0}/s", options.deals, done.per_second);
            if let Some(postgres) = postgres.as_ref().filter(|_| kind == "postgres") {
                let (from, to) = (format!("bench_many_{round}"), format!("bench_copy_{round}"));
                let (rows, took) = copy(postgres, &from, &to).await?;
                let limit = rate(options.deals, took);
                println!(
                    "{kind}: {:.1} rows of {} tables a deal: {:.0} rows/s; COPY of the same rows {:.0} rows/s ({limit:.0} deals/s): {:.0} %",
                    share(rows, options.deals),
                    TABLES.len(),
                    done.per_second * share(rows, options.deals),
                    rate(rows, took),
                    100.0 * done.per_second / limit
                );
            }
            println!(
                "{kind}: resident MB: importing {}, looking through the file again {}, at rest {}, status {}",
                megabytes(done.importing),
                megabytes(done.looking),
                megabytes(done.resting),
                megabytes(done.status)
            );
            let mut among = Vec::new();
            for (url, deals) in [(&few, few_deals), (&tenth, tenth_deals), (&many, options.deals)] {
                among.push((Store::open(url).await?, deals, Vec::new()));
            }
            for _ in 0..5 {
                // In turns, so that all meet the same moods of the machine.
                for (store, deals, took) in &mut among {
                    took.extend(ticks(store, *deals, 40).await?);
                }
            }
            println!("{kind}: tick of ten due, ms min / median / max of {}:", among[0].2.len());
            for (_, deals, took) in &among {
                println!("{kind}:   among {deals} {}", spread(took));
            }
        }
    }
    Ok(())
}
