//! `rekindle run -f DIR`: everything from a folder of manifests, without a cluster.

use super::{
    folder::{Reader, Reading},
    process::{Address, Maybe, bind, header_name, lease, open, public_url, stop_on_signal},
    serve::{self, Pages},
};
use crate::{
    model::FunnelKey,
    store::{FileWitness, Witness},
    workers::{Clock, Engine, EngineMetrics, EngineSettings, Published},
};
use axum::http::HeaderName;
use clap::Args;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// Runs the funnels of a folder of manifests: reads the CRM, sends, tracks, writes back. Edits in the folder are in force within a
/// second; a broken edit keeps the last good one and says what is wrong.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Folder with the manifests (YAML or JSON, read recursively).
    #[arg(short, long = "folder", value_name = "DIR")]
    folder: PathBuf,
    /// Where everything is kept: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(long, env = "REKINDLE_STORE", default_value = "sqlite:rekindle.db", hide_env_values = true)]
    store: String,
    /// Address of the pages that clients reach: tracked links, unsubscribe, hooks, signals.
    #[arg(long, env = "REKINDLE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz: not for the public.
    #[arg(long, env = "REKINDLE_ADMIN", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// How clients reach --listen from outside, like <https://go.example.com>. Default: http:// and the listening address.
    #[arg(long, env = "REKINDLE_PUBLIC_URL", value_name = "URL", default_value = "", hide_default_value = true, value_parser = public_url)]
    public_url: Maybe<String>,
    /// Header in which the proxy or Ingress in front of --listen writes a client's address, like `x-forwarded-for`; of several addresses
    /// the last one counts. Default: none, clients come by themselves. Without it all clients behind a proxy count as one, and one
    /// who tries made-up links makes the others wait. With it and no proxy, anybody may pass as somebody else.
    #[arg(long, env = "REKINDLE_CLIENT_IP_HEADER", value_name = "NAME", default_value = "", hide_default_value = true, value_parser = header_name)]
    client_ip_header: Maybe<HeaderName>,
    /// Bearer tokens that may report signals to /v1/signals, separated by commas (several, so that they can be rotated).
    #[arg(
        long = "signal-tokens",
        env = "REKINDLE_SIGNAL_TOKENS",
        value_delimiter = ',',
        hide_env_values = true,
        value_name = "TOKENS"
    )]
    tokens: Vec<String>,
    /// How long this engine's right to work lasts without renewal, 1s or more. A standby on the same PostgreSQL takes over so long
    /// after a crash; shorter suits a database that always answers at once.
    #[arg(long, env = "REKINDLE_LEASE", default_value = "8s", value_parser = lease)]
    lease: Duration,
    /// File outside the database that knows how far its count of hand-overs came, so that a database restored from an earlier copy
    /// starts on hold instead of sending again. Default for SQLite: the database's path with `.witness` added. PostgreSQL has none
    /// unless it is given.
    #[arg(long, env = "REKINDLE_WITNESS", value_name = "PATH")]
    witness: Option<PathBuf>,
    /// Country of phone numbers that signals report without a country code, and of the language of pages for visitors whose browser asks
    /// for neither Russian nor English: Russian in RU, BY, KZ and KG.
    #[arg(long, env = "REKINDLE_REGION", default_value = "RU")]
    region: String,
}

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_millis(400);

/// Runs until a signal tells it to stop.
///
/// # Errors
/// A sentence, when it cannot even start.
pub async fn run(args: RunArgs) -> Result<ExitCode, String> {
    if !args.folder.is_dir() {
        return Err(format!("{} is not a folder; write the folder that holds the manifests", args.folder.display()));
    }
    let stop = stop_on_signal();
    let public = bind(args.listen, "--listen").await?;
    let admin = bind(args.admin, "--admin").await?;
    let base = match &args.public_url {
        Some(url) => url.clone(),
        None => format!("http://{}", public.local_addr().map_err(|e| e.to_string())?),
    };
    let Some(store) = open(&Address::Given(args.store.clone()), &admin, stop.clone()).await? else { return Ok(ExitCode::SUCCESS) };
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = EngineMetrics::new(&mut registry);
    let witness = args.witness.map(FileWitness::new).or_else(|| FileWitness::beside(&args.store));
    let witness = witness.map(|file| Arc::new(file) as Arc<dyn Witness>);
    let settings = EngineSettings { base_url: Some(base.clone()), lease: args.lease, witness, ..EngineSettings::default() };
    let engine = Engine::new(store.journal.clone(), Clock::Real, settings, metrics);
    let (region, client_ip_header) = (args.region, args.client_ip_header);
    let pages = Pages { public, admin: Some(admin), signal_tokens: args.tokens, region, client_ip_header };
    let served = serve::start(&store, &engine, registry, pages)?;
    eprintln!("rekindle run: pages on {base}, health and metrics on {}", served.admin);
    let watching = tokio::spawn(watch_folder(args.folder, engine.clone(), stop.clone()));
    engine.run(stop).await;
    watching.abort();
    served.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Publishes the folder whenever its content changes. What cannot be published now is tried again at the next look.
async fn watch_folder(folder: PathBuf, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
    let mut broken = BTreeSet::new();
    let mut reader = Reader::new(&folder);
    let (mut waiting, mut first, mut unreadable) = (None, true, false);
    while !*stop.borrow() {
        // Reading and checking is work for a thread: the engine's own must not wait for it.
        let look = tokio::task::spawn_blocking(move || {
            let reading = if first { reader.read().map(Some) } else { reader.changed() };
            (reader, reading)
        });
        let Ok((back, reading)) = look.await else { return };
        reader = back;
        first = false;
        match reading {
            Ok(Some(reading)) => waiting = Some(reading),
            Ok(None) => {}
            Err(error) => {
                if !std::mem::replace(&mut unreadable, true) {
                    eprintln!("{error}; what is in force stays in force");
                }
            }
        }
        if let Some(reading) = waiting.take() {
            unreadable = false;
            match engine.publish(reading.snapshot(), reading.declared().as_ref()).await {
                Ok(published) => broken = tell(&folder, &reading, published, &broken),
                Err(error) => {
                    tracing::warn!(label = error.label(), "the folder is not published yet");
                    waiting = Some(reading);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// What an edit came to, for whoever made it. `broken`: the funnels whose edit before was not valid; returns those of this one.
fn tell(folder: &Path, reading: &Reading, mut published: Published, broken: &BTreeSet<FunnelKey>) -> BTreeSet<FunnelKey> {
    for problem in reading.problems(std::mem::take(&mut published.findings)) {
        eprintln!("{problem}");
    }
    for (resource, why) in &published.adapters {
        eprintln!("{resource}: {why}");
    }
    let name = |funnel: &FunnelKey| funnel.to_string();
    for (funnel, revision, fresh) in &published.funnels {
        if *fresh {
            let silent = published.silent.get(funnel).map(|why| format!("; nothing is sent: {}", why.join(", ")));
            let said = silent
                .or_else(|| published.released.contains(funnel).then(|| "; its manifests let it send from now on".to_owned()));
            eprintln!("{}: revision {revision} is in force{}", name(funnel), said.unwrap_or_default());
        } else if broken.contains(funnel) {
            eprintln!("{}: valid again; revision {revision} is in force as before", name(funnel));
        }
    }
    for (funnel, revision) in &published.kept {
        match revision {
            Some(revision) if published.released.contains(funnel) => {
                eprintln!(
                    "{}: the edit is not valid; revision {revision}: the stop is taken back, the rest stays as it was",
                    name(funnel)
                );
            }
            Some(revision) => {
                let stopped = published.stopped.get(funnel).map(|stops| format!(", stopped: {}", stops.join(", ")));
                let stopped = stopped.unwrap_or_default();
                eprintln!("{}: the edit is not valid; revision {revision} stays in force{stopped}", name(funnel));
            }
            None => eprintln!("{}: not valid, and there is no earlier revision to go on with", name(funnel)),
        }
    }
    for funnel in &published.retired {
        eprintln!("{}: removed; nothing more is sent, its history stays", name(funnel));
    }
    if published.funnels.is_empty() && published.kept.is_empty() {
        eprintln!("{}: no ReactivationFunnel in it; nothing to do until there is one", folder.display());
    }
    published.kept.into_iter().map(|(funnel, _)| funnel).collect()
}
