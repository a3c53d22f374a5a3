//! The command line. Each command is a file: its `Args` are its documentation, its `run` says how the process ends.

mod crds;
mod demo;
mod folder;
mod hold;
mod hooks;
mod operator;
mod output;
mod preview;
mod process;
mod resolve;
mod run;
mod serve;
mod simulate;
mod status;
mod store_args;
mod timeline;
mod validate;

use clap::{Parser, Subcommand};
use std::{
    future::Future,
    io::{self, IsTerminal, Write},
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
    Demo(demo::DemoArgs),
    Run(run::RunArgs),
    Operator(operator::OperatorArgs),
    Validate(validate::Args),
    Preview(preview::PreviewArgs),
    Simulate(simulate::SimulateArgs),
    Diff(simulate::DiffArgs),
    Status(status::StatusArgs),
    Timeline(timeline::TimelineArgs),
    Hold(hold::HoldArgs),
    Release(hold::ReleaseArgs),
    Resolve(resolve::ResolveArgs),
    Hooks(hooks::HooksArgs),
    Crds(crds::Args),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    let mut out = io::stdout().lock();
    let ended = match cli.command {
        Command::Crds(args) => crds::run(&args, &mut out),
        Command::Validate(args) => validate::run(&args, &mut io::stdin().lock(), &mut out),
        Command::Demo(args) => return wait_for(demo::run(args)),
        Command::Run(args) => return wait_for(run::run(args)),
        Command::Operator(args) => return wait_for(operator::run(args)),
        Command::Preview(args) => return wait_for(preview::run(args)),
        Command::Simulate(args) => return wait_for(simulate::simulate(args)),
        Command::Diff(args) => return wait_for(simulate::diff(args)),
        Command::Status(args) => return wait_for(status::run(args)),
        Command::Timeline(args) => return wait_for(timeline::run(args)),
        Command::Hold(args) => return wait_for(hold::hold(args)),
        Command::Release(args) => return wait_for(hold::release(args)),
        Command::Resolve(args) => return wait_for(resolve::run(args)),
        Command::Hooks(args) => return wait_for(hooks::run(args)),
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

/// Runs a command that does I/O; its error is one sentence.
fn wait_for(command: impl Future<Output = Result<ExitCode, String>>) -> ExitCode {
    crate::channels::tls::install();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("rekindle: {error}");
            return ExitCode::from(FAILED);
        }
    };
    runtime.block_on(command).unwrap_or_else(|sentence| {
        eprintln!("rekindle: {sentence}");
        ExitCode::from(FAILED)
    })
}

/// Warnings by default; `RUST_LOG=rekindle=info` for more. Logs carry ids, labels and counts, never personal data.
fn log_to_stderr() {
    let asked = std::env::var(tracing_subscriber::EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| "warn".into());
    // The Kubernetes client tells every attempt that fails, several a second while the API server is away; we say it once.
    let words = if asked.contains("kube_client") { asked } else { format!("{asked},kube_client=off") };
    let filter = tracing_subscriber::EnvFilter::new(words);
    // Colours are for people; a log that is collected holds words.
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).with_target(false).init();
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory, Parser as _};

    #[test]
    fn commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    /// Links in emails that have left cannot be corrected any more.
    #[test]
    fn a_public_url_without_its_scheme_is_refused_before_anything_is_sent() {
        for command in [
            &["run", "-f", "."][..],
            &["operator", "--store", "sqlite:x"],
            &["preview", "--item", "a/b"],
            &["simulate", "-f", "."],
            &["hooks", "--store", "sqlite:x"],
        ] {
            let parse = |url: &[&str]| Cli::try_parse_from([&["rekindle"][..], command, url].concat());
            for good in [&[][..], &["--public-url", ""], &["--public-url", "https://go.example.com/"]] {
                assert!(parse(good).is_ok(), "{command:?} {good:?}: {}", parse(good).unwrap_err());
            }
            let said = parse(&["--public-url", "go.example.com"]).unwrap_err().to_string();
            assert!(said.contains("--public-url") && said.contains("like https://go.example.com"), "{said}");
        }
    }
}
