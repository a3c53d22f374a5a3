//! `rekindle crds`.

use super::{OK, USAGE};
use crate::api;
use std::{fs, io, path::PathBuf};

/// Print the custom resource definitions, ready for `kubectl apply -f -`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write one file per definition into this folder instead of printing them.
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

pub fn run(args: &Args, out: &mut dyn io::Write) -> io::Result<u8> {
    let definitions = match api::crds() {
        Ok(definitions) => definitions,
        Err(e) => {
            eprintln!("rekindle: a definition cannot be written as YAML: {e}");
            return Ok(USAGE);
        }
    };
    if let Some(folder) = &args.output_dir {
        fs::create_dir_all(folder)?;
    }
    for (name, yaml) in definitions {
        match &args.output_dir {
            Some(folder) => fs::write(folder.join(name), yaml)?,
            None => write!(out, "---\n{yaml}")?,
        }
    }
    Ok(OK)
}
