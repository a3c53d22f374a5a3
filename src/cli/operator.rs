//! `rekindle operator`: everything from the resources of a Kubernetes cluster.
//!
//! What its `ServiceAccount` must be allowed to do, in the namespaces it watches (a `ClusterRole` for all of them, a `Role` in each
//! otherwise):
//!
//! | API group | resources | verbs |
//! |---|---|---|
//! | `rekindle.dev` | the five kinds | get, list, watch |
//! | `rekindle.dev` | the five kinds, subresource `status` | patch |
//! | core | `configmaps`, `secrets` | get, list, watch (metadata is watched, bodies are fetched when something names them) |
//! | `events.k8s.io` | `events` | create |
//!
//! and in its own namespace:
//!
//! | API group | resources | verbs |
//! |---|---|---|
//! | `coordination.k8s.io` | `leases` | create; get, update of the one named by `--lease-name` |
//! | core | `configmaps` | create; get, patch of the one with that name and `-witness` (what was handed over) |

use super::{
    process::{Address, Maybe, STORE_FILE, bind, follow, header_name, lease, open, public_url, read, stop_on_signal},
    serve::{self, Pages},
};
use crate::{
    control::{Control, ControlMetrics},
    source::{Cluster, ConfigMapWitness, Election},
    store::Witness,
    workers::{Clock, Engine, EngineMetrics, EngineSettings},
};
use axum::http::HeaderName;
use clap::Args;
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

/// Runs the funnels that a Kubernetes cluster holds: watches the resources, publishes what is valid, sends, and says in each status how
/// it stands. Any number of replicas on one PostgreSQL: one works, all answer clients. On SQLite exactly one.
#[derive(Args, Debug)]
pub struct OperatorArgs {
    /// Where everything is kept: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(
        long,
        env = "REKINDLE_STORE",
        hide_env_values = true,
        required_unless_present = "store_file",
        conflicts_with = "store_file"
    )]
    store: Option<String>,
    /// A file whose text is the store's address, like the key `uri` of a mounted Secret. It is read again while running: another user or
    /// password needs no restart, another host or database does.
    #[arg(long, env = "REKINDLE_STORE_FILE", value_name = "PATH")]
    store_file: Option<PathBuf>,
    /// Address of the pages that clients reach: tracked links, unsubscribe, hooks, signals.
    #[arg(long, env = "REKINDLE_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz: not for the public.
    #[arg(long, env = "REKINDLE_ADMIN", default_value = "0.0.0.0:9090")]
    admin: SocketAddr,
    /// How clients reach --listen from outside, like <https://go.example.com>. Without it links are not tracked and emails carry no
    /// unsubscribe link, so that advertising emails are refused.
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
    /// A file with those tokens, separated by commas or lines. It is read again while running.
    #[arg(long = "signal-tokens-file", env = "REKINDLE_SIGNAL_TOKENS_FILE", value_name = "PATH", conflicts_with = "tokens")]
    tokens_file: Option<PathBuf>,
    /// How long this engine's right to work lasts without renewal, 1s or more. Another replica takes over so long after a crash.
    #[arg(long, env = "REKINDLE_LEASE", default_value = "8s", value_parser = lease)]
    lease: Duration,
    /// Country of phone numbers that signals report without a country code, and of the language of pages for visitors whose browser asks
    /// for neither Russian nor English: Russian in RU, BY, KZ and KG.
    #[arg(long, env = "REKINDLE_REGION", default_value = "RU")]
    region: String,
    /// A namespace to watch; may be repeated. Default: all of them.
    #[arg(long = "watch-namespace", env = "REKINDLE_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    /// The namespace this replica runs in, where its Lease is.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    namespace: String,
    /// Name of this replica among its like. Default: made up at each start.
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// Name of the Lease that chooses which replica publishes and reports; one for each installation.
    #[arg(long, env = "REKINDLE_LEASE_NAME", default_value = "rekindle-operator")]
    lease_name: String,
    /// The one folder that connections may read files from (`path` is relative to it), like a mounted volume. Default: none.
    #[arg(long, env = "REKINDLE_VOLUME_ROOT", value_name = "DIR")]
    volume_root: Option<PathBuf>,
    /// A folder in memory (in a pod: an emptyDir with `medium: Memory`) where the resources and the Secrets they name are kept as they
    /// were last read. A container that starts again while the API server is away then knows where to send. Default: nothing is kept, and
    /// it waits for the API server.
    #[arg(long, env = "REKINDLE_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

const TOKENS_FILE: &str = "--signal-tokens-file";

/// Runs until a signal tells it to stop.
///
/// # Errors
/// A sentence, when it cannot even start.
pub async fn run(args: OperatorArgs) -> Result<ExitCode, String> {
    let stop = stop_on_signal();
    let address = match (args.store, &args.store_file) {
        (Some(address), _) => Address::Given(address),
        (None, Some(file)) => Address::File(file.clone()),
        (None, None) => return Err("write --store or --store-file".into()),
    };
    let tokens = match &args.tokens_file {
        Some(file) => read(file, TOKENS_FILE)?,
        None => args.tokens.join(","),
    };
    if let Some(root) = args.volume_root.as_ref().filter(|root| !root.is_dir()) {
        return Err(format!("--volume-root {} is not a folder; mount the volume there", root.display()));
    }
    if let Some(cache) = args.cache_dir.as_ref().filter(|cache| !cache.is_dir()) {
        return Err(format!("--cache-dir {} is not a folder; mount an emptyDir with medium: Memory there", cache.display()));
    }
    let namespaces: Vec<String> = args.namespaces.into_iter().filter(|namespace| !namespace.is_empty()).collect();
    let cluster = Cluster::connect(namespaces, args.volume_root, args.cache_dir).await.map_err(|e| e.to_string())?;
    let public = bind(args.listen, "--listen").await?;
    let admin = bind(args.admin, "--admin").await?;
    let pages_at = public.local_addr().map_err(|e| e.to_string())?;
    let Some(store) = open(&address, &admin, stop.clone()).await? else { return Ok(ExitCode::SUCCESS) };
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = EngineMetrics::new(&mut registry);
    let control_metrics = ControlMetrics::new(&mut registry);
    let witness = ConfigMapWitness::new(cluster.clone(), args.namespace.clone(), format!("{}-witness", args.lease_name));
    let witness = Some(Arc::new(witness) as Arc<dyn Witness>);
    let settings = EngineSettings { base_url: args.public_url, lease: args.lease, witness, ..EngineSettings::default() };
    let identity = args.identity.unwrap_or_else(|| format!("rekindle-{}", settings.owner));
    let engine = Engine::new(store.journal.clone(), Clock::Real, settings, metrics);
    let (region, client_ip_header) = (args.region, args.client_ip_header);
    let pages = Pages { public, admin: Some(admin), signal_tokens: serve::split(&tokens), region, client_ip_header };
    let served = serve::start(&store, &engine, registry, pages)?;
    // Both end with the process.
    if let Some(file) = args.store_file {
        let journal = store.journal.clone();
        tokio::spawn(follow(file, STORE_FILE, move |address| journal.readdress(address).map_err(|e| e.to_string())));
    }
    if let Some(file) = args.tokens_file {
        let settings = served.settings.clone();
        tokio::spawn(follow(file, TOKENS_FILE, move |tokens| serve::set_tokens(&settings, tokens)));
    }
    eprintln!("rekindle operator: pages on http://{pages_at}, health and metrics on {}", served.admin);
    let election = Election::new(cluster.clone(), args.namespace, args.lease_name, identity.clone());
    let control = Control::new(cluster, engine.clone(), store, identity, control_metrics);
    let controlling = tokio::spawn(control.run(election, stop.clone()));
    engine.run(stop).await;
    // The Lease was given up at the same time as the engine's; nobody waits for a slow API server.
    let _ = tokio::time::timeout(Duration::from_secs(2), controlling).await;
    served.stop().await;
    Ok(ExitCode::SUCCESS)
}
