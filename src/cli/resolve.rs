//! `rekindle resolve`: a person's word about messages of which nobody could say whether they were accepted.

use super::{
    output::{self, OutputFormat, words},
    status::{self, ago},
    store_args::StoreArgs,
};
use crate::{
    model::{CopyId, EffectRef},
    store::{Ambiguous, Resolution, Store},
};
use clap::{ArgGroup, Args};
use jiff::Timestamp;
use std::{collections::BTreeSet, process::ExitCode};

/// How many are listed or resolved in one go.
const MANY: u32 = 10_000;

/// Lists the messages of which nobody can say whether they were accepted (a crash or a lost answer at the wrong moment), and takes
/// your word about them. Ask the provider first: its log, or its support. Receipts and clicks resolve them by themselves. Shows ids
/// only, and works beside a running process.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("verdict").args(["accepted", "dropped", "resend"]))]
pub struct ResolveArgs {
    /// Messages by their ids as listed, like 17.2; without any, and without --all, they are listed.
    ids: Vec<String>,
    /// All that are listed.
    #[arg(long, conflicts_with = "ids", requires = "verdict")]
    all: bool,
    /// Only those of one channel: its name, or `namespace/name`.
    #[arg(long)]
    channel: Option<String>,
    /// The provider has them: they count as sent.
    #[arg(long)]
    accepted: bool,
    /// The provider does not have them, and they must not go out any more.
    #[arg(long)]
    dropped: bool,
    /// The provider does not have them: send the same text again, if it was kept and is still valid.
    #[arg(long)]
    resend: bool,
    #[command(flatten)]
    store: StoreArgs,
    #[arg(short, long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// Lists or resolves.
///
/// # Errors
/// A sentence.
pub async fn run(args: ResolveArgs) -> Result<ExitCode, String> {
    let how = match (args.accepted, args.dropped, args.resend) {
        (true, ..) => Some(Resolution::Accepted),
        (_, true, _) => Some(Resolution::Dropped),
        (_, _, true) => Some(Resolution::Resend),
        _ => None,
    };
    let named = args.ids.iter().map(|id| effect(id)).collect::<Result<BTreeSet<EffectRef>, String>>()?;
    let store = args.store.open().await?;
    let mut unclear = store.views.ambiguous(MANY).await.map_err(|e| e.to_string())?;
    if let Some(name) = &args.channel {
        let all: Vec<String> = unclear.iter().map(|a| a.channel.clone()).collect::<BTreeSet<_>>().into_iter().collect();
        // A channel of which nothing is unclear is no mistake; a name that fits several is one.
        let channel =
            if all.iter().any(|full| status::is_called(full, name)) { status::named("channel", &all, name)? } else { name.clone() };
        unclear.retain(|a| a.channel == channel);
    }
    if !named.is_empty() {
        unclear.retain(|a| named.contains(&a.effect));
    }
    let Some(how) = how else {
        if !named.is_empty() && unclear.is_empty() {
            return Err("none of these is unclear".into());
        }
        list(&unclear, args.output)?;
        return Ok(ExitCode::SUCCESS);
    };
    if named.is_empty() && !args.all {
        return Err("say which: ids as `rekindle resolve` lists them, or --all".into());
    }
    apply(&store, how, &unclear, &named).await
}

async fn apply(store: &Store, how: Resolution, unclear: &[Ambiguous], named: &BTreeSet<EffectRef>) -> Result<ExitCode, String> {
    let asked: Vec<EffectRef> = unclear.iter().map(|a| a.effect).collect();
    let resolved = store.journal.resolve(&asked, how, Timestamp::now()).await.map_err(|e| e.to_string())?;
    let what = match how {
        Resolution::Accepted => "count as sent",
        Resolution::Dropped => "are dropped",
        Resolution::Resend => "are sent again",
    };
    eprintln!("{} of {} {what}", resolved.len(), asked.len().max(named.len()));
    let mut failed = false;
    for id in named.iter().filter(|id| !asked.contains(id)) {
        eprintln!("{id}: not unclear, or not of that channel");
        failed = true;
    }
    for left in unclear.iter().filter(|a| !resolved.contains(&a.effect)) {
        let why = if how == Resolution::Resend && !left.text_kept {
            "its text was only in the memory of a process that is gone; use --accepted or --dropped"
        } else {
            "settled meanwhile"
        };
        eprintln!("{}: {why}", left.effect);
        failed = true;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn effect(id: &str) -> Result<EffectRef, String> {
    let parsed =
        id.split_once('.').and_then(|(copy, seq)| Some(EffectRef { copy: CopyId(copy.parse().ok()?), seq: seq.parse().ok()? }));
    parsed.ok_or_else(|| format!("{id:?} is not the id of a message; write one as `rekindle resolve` lists it, like 17.2"))
}

fn list(unclear: &[Ambiguous], output: OutputFormat) -> Result<(), String> {
    if let OutputFormat::Json = output {
        output::json(&unclear);
        return Ok(());
    }
    if unclear.is_empty() {
        return output::print("Nothing is unclear.\n");
    }
    let now = Timestamp::now();
    let head = ["ID", "FUNNEL", "DEAL", "ITEM", "CHANNEL", "SINCE", "TEXT", "WHY"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(unclear.iter().map(|a| {
        let text = if a.text_kept { "kept" } else { "gone" };
        vec![
            a.effect.to_string(),
            a.funnel.to_string(),
            a.deal.clone(),
            format!("{}/{}", a.list, a.item),
            a.channel.clone(),
            ago(a.since, now),
            text.to_owned(),
            a.reason.clone(),
        ]
    }));
    output::print(&words(&rows))
}
