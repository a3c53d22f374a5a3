//! The command line. Each command is a file: its `Args` are its documentation, its `run` writes to the output it is given and says
//! how the process ends.

mod crds;
mod validate;

use clap::{Parser, Subcommand};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Everything went well.
const OK: u8 = 0;
/// What was looked at is wrong.
const FAILED: u8 = 1;
/// The command itself was wrong: an unknown option, a folder that does not exist.
const USAGE: u8 = 2;

/// Runs reactivation funnels: finds the deals of a CRM that went cold or were lost, warms their clients with timed SMS and email,
/// and gives a deal back to its manager the moment the client answers.
#[derive(Debug, Parser)]
#[command(name = "rekindle", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Crds(crds::Args),
    Validate(validate::Args),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    let ended = match &cli.command {
        Command::Crds(args) => crds::run(args, &mut out),
        Command::Validate(args) => validate::run(args, &mut io::stdin().lock(), &mut out),
    };
    match ended.and_then(|code| out.flush().map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        // Whoever read our output has seen enough: `rekindle crds | head`.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(OK),
        Err(e) => {
            eprintln!("rekindle: {e}");
            ExitCode::from(USAGE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn commands_are_well_formed() {
        Cli::command().debug_assert();
    }
}
