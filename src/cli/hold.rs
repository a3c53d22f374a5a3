//! `rekindle hold` and `release`: an SRE's stop, in the store, whatever the manifests say.

use super::store_args::StoreArgs;
use crate::{
    model::FunnelKey,
    store::{Hold, HoldScope},
};
use clap::Args;
use jiff::Timestamp;
use std::process::ExitCode;

#[derive(Args, Debug)]
struct Scope {
    /// Everything.
    #[arg(long, conflicts_with_all = ["channel", "funnel"])]
    all: bool,
    /// One channel: `namespace/name`.
    #[arg(long, conflicts_with = "funnel")]
    channel: Option<String>,
    /// One funnel: `namespace/name`.
    #[arg(long)]
    funnel: Option<String>,
}

/// Stops sending at once: everything, a channel or a funnel. Holds in the store, so that no edit and no restart undoes it; signals,
/// clicks and refusals are still taken.
#[derive(Args, Debug)]
pub struct HoldArgs {
    #[command(flatten)]
    scope: Scope,
    /// Why: the next person reads it in `rekindle status`.
    #[arg(long)]
    reason: String,
    /// Who. Default: $USER.
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
    #[command(flatten)]
    store: StoreArgs,
}

/// Ends a hold. What waited goes out smoothly within its windows, or is dropped if its validity is over.
#[derive(Args, Debug)]
pub struct ReleaseArgs {
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    store: StoreArgs,
}

impl Scope {
    fn parse(&self) -> Result<HoldScope, String> {
        match (self.all, &self.channel, &self.funnel) {
            (true, ..) => Ok(HoldScope::All),
            (_, Some(channel), _) => Ok(HoldScope::Channel(qualified(channel)?)),
            (_, _, Some(funnel)) => {
                let full = qualified(funnel)?;
                let (namespace, name) = full.split_once('/').unwrap_or(("default", &full));
                Ok(HoldScope::Funnel(FunnelKey { namespace: namespace.into(), name: name.into() }))
            }
            _ => Err("say what to stop: --all, --channel NAMESPACE/NAME or --funnel NAMESPACE/NAME".into()),
        }
    }
}

fn qualified(name: &str) -> Result<String, String> {
    match name.split('/').collect::<Vec<_>>()[..] {
        [one] if !one.is_empty() => Ok(format!("default/{one}")),
        [namespace, name] if !namespace.is_empty() && !name.is_empty() => Ok(format!("{namespace}/{name}")),
        _ => Err(format!("{name:?} is not a name; write NAMESPACE/NAME")),
    }
}

/// Puts the hold.
///
/// # Errors
/// A sentence.
pub async fn hold(args: HoldArgs) -> Result<ExitCode, String> {
    let scope = args.scope.parse()?;
    let store = args.store.open().await?;
    let hold = Hold { scope, since: Timestamp::now(), by: args.by, reason: args.reason };
    store.journal.hold(hold).await.map_err(|e| e.to_string())?;
    eprintln!("held; nothing new leaves from now on");
    Ok(ExitCode::SUCCESS)
}

/// Ends the hold.
///
/// # Errors
/// A sentence.
pub async fn release(args: ReleaseArgs) -> Result<ExitCode, String> {
    let scope = args.scope.parse()?;
    let store = args.store.open().await?;
    if store.journal.release_hold(&scope).await.map_err(|e| e.to_string())? {
        eprintln!("released");
        Ok(ExitCode::SUCCESS)
    } else {
        Err("there is no such hold; `rekindle status` lists them".into())
    }
}
