//! `rekindle simulate` and `rekindle diff`.

mod html;
mod inputs;
mod table;

use super::output::{self, OutputFormat};
use crate::simulate::{Report, diff as compare};
use clap::{Args, ValueEnum};
use std::{path::PathBuf, process::ExitCode};

pub use inputs::Inputs;

/// Shows what would go out, to whom and when, before anything does. Sends nothing.
///
/// Reads the manifests of a folder and the deals they name, lives through the days you ask for on a clock of its own, and prints a
/// calendar: what goes out by day, hour, channel and item; how much each client gets; what is postponed or skipped and why; what it
/// costs; which items nobody gets. A funnel that still observes is simulated as if it were live.
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// Folder of manifests.
    #[arg(short = 'f', long = "folder", value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// `table` for people, `json` for programs, `csv` for a spreadsheet (one row a message), `html` for one page to send on.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Shows what an edit changes: who gets something they would not have got, who no longer does, and what moves in time.
///
/// Simulates two folders of manifests on the same deals and compares them, item by item. Sends nothing.
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// Twice: the folder as it was, then the folder as it shall be.
    #[arg(short = 'f', long = "folder", value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    inputs: Inputs,
    /// `table` for people, `json` with all deal ids.
    #[arg(short, long, value_enum, default_value_t)]
    output: OutputFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Table,
    Json,
    Csv,
    Html,
}

/// # Errors
/// A sentence.
pub async fn simulate(args: SimulateArgs) -> Result<ExitCode, String> {
    let folder = inputs::Folder::read(&args.folder, "simulate")?;
    let bar = inputs::bar(args.output == Output::Table || std::io::IsTerminal::is_terminal(&std::io::stdout()));
    let (all, notes) = args.inputs.live(&[&folder], &bar).await?;
    bar.finish_and_clear();
    let Some(inputs::Lived { world, outcome }) = all.first() else { return Err("nothing was simulated".into()) };
    if args.output == Output::Csv {
        output::write(|out| table::csv(world, outcome, out))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut report = Report::of(outcome, world);
    report.notes.splice(0..0, notes);
    match args.output {
        Output::Json => output::json(&report),
        Output::Html => output::print(&html::page(&report))?,
        _ => output::print(&table::report(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// A sentence.
pub async fn diff(args: DiffArgs) -> Result<ExitCode, String> {
    let [old, new] = args.folders.as_slice() else {
        return Err("write -f twice: the folder as it was, then the folder as it shall be".into());
    };
    let (old, new) = (inputs::Folder::read(old, "compare")?, inputs::Folder::read(new, "compare")?);
    let bar = inputs::bar(true);
    let (all, notes) = args.inputs.live(&[&old, &new], &bar).await?;
    bar.finish_and_clear();
    let [before, after] = all.as_slice() else { return Err("nothing was simulated".into()) };
    let mut difference = compare((&before.world, &before.outcome), (&after.world, &after.outcome));
    difference.notes.splice(0..0, notes);
    match args.output {
        OutputFormat::Json => output::json(&difference),
        OutputFormat::Table => output::print(&table::difference(&difference))?,
    }
    Ok(ExitCode::SUCCESS)
}
