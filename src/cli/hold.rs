//! `rekindle hold` and `release`: an SRE's stop, in the store, whatever the manifests say.

use super::{
    status::{named, what_is_held},
    store_args::StoreArgs,
};
use crate::{
    model::FunnelKey,
    store::{Hold, HoldScope, Store, StoreError},
};
use clap::Args;
use jiff::Timestamp;
use std::{collections::BTreeSet, process::ExitCode};

/// One part of what is sent.
#[derive(Args, Debug)]
struct Part {
    /// One channel: `name` or `namespace/name`.
    #[arg(long, conflicts_with = "funnel")]
    channel: Option<String>,
    /// One funnel: `name` or `namespace/name`.
    #[arg(long)]
    funnel: Option<String>,
}

/// Stops sending at once: everything, a channel or a funnel. Holds in the store, so that no edit and no restart undoes it; signals,
/// clicks and refusals are still taken.
#[derive(Args, Debug)]
pub struct HoldArgs {
    /// Everything.
    #[arg(long, conflicts_with_all = ["channel", "funnel"])]
    all: bool,
    #[command(flatten)]
    part: Part,
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
    /// All holds: that of everything, and those of single channels and funnels.
    #[arg(long, conflicts_with_all = ["channel", "funnel"])]
    all: bool,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    store: StoreArgs,
}

/// Puts the hold.
///
/// # Errors
/// A sentence.
pub async fn hold(args: HoldArgs) -> Result<ExitCode, String> {
    let store = args.store.open().await?;
    let scope = if args.all { HoldScope::All } else { to_hold(&store, &args.part).await? };
    let what = what_is_held(&scope);
    let stops = match scope {
        HoldScope::All => "nothing new leaves",
        HoldScope::Channel(_) => "nothing new leaves through it",
        HoldScope::Funnel(_) => "nothing of it leaves",
    };
    let hold = Hold { scope: scope.clone(), since: Timestamp::now(), by: args.by.clone(), reason: args.reason };
    store.journal.hold(hold).await.map_err(say)?;
    // The witness's hold stays as it is: its reason says what a release would do.
    let there = store.journal.holds().await.map_err(say)?.into_iter().find(|hold| hold.scope == scope);
    match there.filter(|there| there.by != args.by) {
        Some(there) => eprintln!("held already by {}, whose reason stays: {what}; see rekindle status", there.by),
        None => eprintln!("held: {what}; {stops} from now on"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends the hold, or all of them.
///
/// # Errors
/// A sentence.
pub async fn release(args: ReleaseArgs) -> Result<ExitCode, String> {
    let store = args.store.open().await?;
    let mut held: Vec<HoldScope> = store.journal.holds().await.map_err(say)?.into_iter().map(|hold| hold.scope).collect();
    let asked = if args.all { held.clone() } else { vec![to_release(&held, &args.part)?] };
    let mut released = Vec::new();
    for scope in asked {
        // Somebody else may have ended it meanwhile.
        if store.journal.release_hold(&scope).await.map_err(say)? {
            released.push(what_is_held(&scope));
        }
        held.retain(|other| *other != scope);
    }
    let holds = if released.len() > 1 { format!(" ({} holds)", released.len()) } else { String::new() };
    let still = if held.is_empty() { String::new() } else { format!("; still held: {}", list(&held)) };
    if released.is_empty() {
        return Err(format!("nothing was held{still}"));
    }
    eprintln!("released: {}{holds}{still}", released.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// What there is to hold by that name. A name that nothing has would hold nothing, and the sending would go on.
async fn to_hold(store: &Store, part: &Part) -> Result<HoldScope, String> {
    if let Some(channel) = &part.channel {
        let known = in_force(store).await?;
        if let Ok(found) = named("channel", &known, channel) {
            return Ok(HoldScope::Channel(found));
        }
        // No funnel names it any more; its messages may still wait. Counting them takes longer, and whoever holds is in a hurry.
        let waiting = store.views.channels().await.map_err(say)?.into_iter().map(|counts| counts.channel);
        let known: BTreeSet<String> = known.into_iter().chain(waiting).collect();
        return named("channel", &known.into_iter().collect::<Vec<_>>(), channel).map(HoldScope::Channel);
    }
    let Some(funnel) = &part.funnel else { return Err("say what to hold: --all, --channel NAME or --funnel NAME".into()) };
    named("funnel", &store.views.funnels().await.map_err(say)?, funnel).map(HoldScope::Funnel)
}

/// Only what is held can be released, also by a name that nothing has any more.
fn to_release(held: &[HoldScope], part: &Part) -> Result<HoldScope, String> {
    let found = if let Some(channel) = &part.channel {
        let channels: Vec<String> =
            held.iter().filter_map(|scope| if let HoldScope::Channel(name) = scope { Some(name.clone()) } else { None }).collect();
        named("held channel", &channels, channel).map(HoldScope::Channel)
    } else if let Some(funnel) = &part.funnel {
        let funnels: Vec<FunnelKey> =
            held.iter().filter_map(|scope| if let HoldScope::Funnel(key) = scope { Some(key.clone()) } else { None }).collect();
        named("held funnel", &funnels, funnel).map(HoldScope::Funnel)
    } else {
        return Err("say what to release: --all, --channel NAME or --funnel NAME".into());
    };
    found.map_err(|sentence| if held.is_empty() { "nothing is held".into() } else { format!("{sentence}; held: {}", list(held)) })
}

/// Channels that the funnels' newest revisions name, whether they have sent anything or not.
async fn in_force(store: &Store) -> Result<Vec<String>, String> {
    let mut names = BTreeSet::new();
    for revision in store.journal.revisions().await.map_err(say)? {
        // As it stands there: a revision of another version may hold what this one cannot read.
        let channels = revision.snapshot.get("channels").and_then(serde_json::Value::as_object);
        names.extend(channels.into_iter().flat_map(|all| all.keys()).map(|name| format!("{}/{name}", revision.funnel.namespace)));
    }
    Ok(names.into_iter().collect())
}

fn list(scopes: &[HoldScope]) -> String {
    scopes.iter().map(what_is_held).collect::<Vec<_>>().join(", ")
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn say(error: StoreError) -> String {
    error.to_string()
}
