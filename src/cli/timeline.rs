//! `rekindle timeline --deal ID`: everything that happened to one deal.

use super::{
    output::{self, OutputFormat, words},
    status::choose,
    store_args::StoreArgs,
};
use clap::Args;
use std::process::ExitCode;

/// Shows the story of one deal: stages, messages with their outcome, clicks, signals, tasks, and why something was not sent.
#[derive(Args, Debug)]
pub struct TimelineArgs {
    /// The deal's id in its CRM.
    #[arg(long)]
    deal: String,
    /// Needed when the store has several funnels: `name` or `namespace/name`.
    #[arg(long)]
    funnel: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    #[arg(short, long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// Prints the timeline.
///
/// # Errors
/// A sentence.
pub async fn run(args: TimelineArgs) -> Result<ExitCode, String> {
    let store = args.store.open().await?;
    let say = |e: crate::store::StoreError| e.to_string();
    let funnel = choose(&store.views.funnels().await.map_err(say)?, args.funnel.as_deref())?;
    let entries = store.views.timeline(&funnel, &args.deal).await.map_err(say)?;
    if entries.is_empty() {
        return Err(format!("{funnel} has no deal {}; write the id as the CRM has it", args.deal));
    }
    match args.output {
        OutputFormat::Json => output::json(&entries),
        OutputFormat::Table => {
            let rows: Vec<Vec<String>> =
                entries.iter().map(|e| vec![e.at.strftime("%Y-%m-%d %H:%M").to_string(), e.kind.clone(), e.text.clone()]).collect();
            output::print(&words(&rows))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
