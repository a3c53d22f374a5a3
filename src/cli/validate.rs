//! `rekindle validate`.

use super::{FAILED, OK, USAGE};
use crate::{
    compile::{self, Severity},
    source::{self, Admission, Folder, Loaded, Problem},
};
use clap::ValueEnum;
use serde_json::json;
use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Check manifests offline: what the API server and the operator would say, with file and line.
///
/// Checks the schema and its rules, references, durations, zones, conditions, templates, links and the length of SMS. Prints one
/// line for each problem: `file:line: path: what is wrong; what to write instead`. Needs no cluster and sends nothing.
///
/// Ends with 0 if there is no error (warnings are allowed), with 1 if there is one, with 2 if it was called wrongly.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder (read with its subfolders: *.yaml, *.yml, *.json) or file; `-` is standard input. May be repeated: all of them together
    /// are checked as one set.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    filenames: Vec<PathBuf>,
    /// How to print: `text` for people, `json` as one array of objects, `github` as annotations of a pull request.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Warnings fail too.
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Github,
}

pub fn run(args: &Args, input: &mut dyn Read, out: &mut dyn Write) -> io::Result<u8> {
    let admission = Admission::of_this_version();
    let mut loaded = Loaded::default();
    for path in &args.filenames {
        let read = if path == Path::new("-") {
            let mut bytes = Vec::new();
            input.read_to_end(&mut bytes)?;
            source::load_text(Path::new("stdin"), &bytes, &admission.kinds())
        } else {
            match Folder::new(path, admission.kinds()).load() {
                Ok(read) => read,
                Err(e) => {
                    eprintln!("rekindle: {e}; write -f with a folder of manifests");
                    return Ok(USAGE);
                }
            }
        };
        loaded.manifests.extend(read.manifests);
        loaded.problems.extend(read.problems);
        loaded.files += read.files;
    }
    if loaded.manifests.is_empty() && loaded.problems.is_empty() {
        let paths: Vec<String> = args.filenames.iter().map(|p| p.display().to_string()).collect();
        eprintln!("rekindle: there is no manifest in {}; *.yaml, *.yml and *.json are read", paths.join(", "));
        return Ok(USAGE);
    }
    let admitted = admission.admit(&loaded);
    let problems = admitted.problems(compile::compile(&admitted.snapshot).findings, &loaded);
    match args.output {
        Format::Text => text(&problems, &loaded, out)?,
        Format::Json => as_json(&problems, out)?,
        Format::Github => github(&problems, out)?,
    }
    let failed = problems.iter().any(|p| p.severity == Severity::Error || args.strict);
    Ok(if failed { FAILED } else { OK })
}

fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

fn text(problems: &[Problem], loaded: &Loaded, out: &mut dyn Write) -> io::Result<()> {
    for problem in problems {
        writeln!(out, "{problem}")?;
    }
    let errors = problems.iter().filter(|p| p.severity == Severity::Error).count();
    let (objects, files) = (count(loaded.manifests.len(), "object"), count(loaded.files, "file"));
    let warnings = count(problems.len() - errors, "warning");
    writeln!(out, "{objects} in {files}: {}, {warnings}", count(errors, "error"))
}

fn as_json(problems: &[Problem], out: &mut dyn Write) -> io::Result<()> {
    let all: Vec<_> = problems
        .iter()
        .map(|p| {
            json!({
                "severity": severity(p),
                "file": p.file.as_ref().map(|f| f.display().to_string()),
                "line": p.position.map(|at| at.line),
                "column": p.position.map(|at| at.column),
                "kind": p.object.as_ref().map(|o| &o.kind),
                "namespace": p.object.as_ref().map(|o| &o.namespace),
                "name": p.object.as_ref().map(|o| &o.name),
                "path": p.path,
                "reason": p.reason,
                "message": p.message,
                "help": p.help,
            })
        })
        .collect();
    writeln!(out, "{:#}", serde_json::Value::Array(all))
}

/// Workflow commands: GitHub shows them in the changed lines.
fn github(problems: &[Problem], out: &mut dyn Write) -> io::Result<()> {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    for problem in problems {
        let mut place = Vec::new();
        if let Some(file) = &problem.file {
            place.push(format!("file={}", property(&file.display().to_string())));
        }
        if let Some(at) = problem.position {
            place.push(format!("line={},col={}", at.line, at.column));
        }
        place.push(format!("title={}", property(&problem.reason)));
        writeln!(out, "::{} {}::{}", severity(problem), place.join(","), data(&problem.sentence()))?;
    }
    Ok(())
}

fn severity(problem: &Problem) -> &'static str {
    match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, Format, run};
    use serde_json::Value;

    const LIST: &str =
        "apiVersion: rekindle.dev/v1alpha1\nkind: ContentList\nmetadata: {name: lost-layout}\nspec:\n  title: Планировки\n";

    fn validate(manifest: &str, output: Format) -> (u8, String) {
        let args = Args { filenames: vec!["-".into()], output, strict: false };
        let mut out = Vec::new();
        let code = run(&args, &mut manifest.as_bytes(), &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn prints_file_line_path_and_what_to_write() {
        let manifest = format!("{LIST}  items:\n    - name: visit\n      after: 3 days\n      sms: {{text: Hi}}\n");
        let (code, said) = validate(&manifest, Format::Text);
        assert_eq!(code, 1);
        assert!(said.starts_with("stdin:8: spec.items[0].after: \"3 days\" is not a duration; write 3d\n"), "{said}");
        assert!(said.contains("1 object in 1 file: 1 error, 0 warnings"), "{said}");
    }

    /// The funnel of a property developer, whole and right.
    const EXAMPLE: &str = include_str!("../compile/testdata/example.yaml");

    fn line_of(manifest: &str, words: &str) -> usize {
        manifest.lines().position(|line| line.contains(words)).unwrap() + 1
    }

    #[test]
    fn a_whole_funnel_is_right() {
        let (code, said) = validate(EXAMPLE, Format::Text);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(": 0 errors, "), "{said}");
    }

    #[test]
    fn what_only_the_compiler_knows_has_its_line_too() {
        let broken = EXAMPLE.replacen("listRef: {name: lost-layout}", "listRef: {name: lost-layuot}", 1);
        let (code, said) = validate(&broken, Format::Text);
        let line = line_of(&broken, "lost-layuot");
        assert_eq!(code, 1);
        let place = format!("stdin:{line}: spec.stages.warming[0].content[0].listRef.name: ");
        assert!(said.lines().any(|said| said.starts_with(&place)), "{said}");
    }

    #[test]
    fn one_mistake_is_one_line() {
        let broken = EXAMPLE.replacen("after: 3d ", "after: 3 days ", 1);
        assert_ne!(broken, EXAMPLE);
        let (_, said) = validate(&broken, Format::Text);
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("stdin") && !line.contains(" warning: ")).collect();
        assert_eq!(errors.len(), 1, "{said}");
        assert!(errors[0].ends_with("\"3 days\" is not a duration; write 3d"), "{said}");
    }

    #[test]
    fn json_and_github_carry_the_same() {
        let manifest = format!("{LIST}  items: [{{name: visit, after: 3d, sms: {{text: 'a, b: 100%', sbject: x}}}}]\n");
        let (code, said) = validate(&manifest, Format::Json);
        let problems: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, &problems[0]["line"], &problems[0]["reason"]), (1, &6.into(), &"FieldUnknown".into()));
        assert_eq!((&problems[0]["kind"], &problems[0]["severity"]), (&"ContentList".into(), &"error".into()));
        let (_, said) = validate(&manifest, Format::Github);
        assert!(said.starts_with("::error file=stdin,line=6,col="), "{said}");
        assert!(said.contains("::spec.items[0].sms.sbject: there is no such field"), "{said}");
    }

    #[test]
    fn warnings_alone_do_not_fail() {
        let (code, said) = validate("apiVersion: apps/v1\nkind: Deployment\n", Format::Text);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("warning: Deployment (apps/v1)"), "{said}");
    }

    #[test]
    fn a_wrong_path_is_a_usage_error() {
        let args = Args { filenames: vec!["/nonexistent/folder".into()], output: Format::Text, strict: false };
        assert_eq!(run(&args, &mut std::io::empty(), &mut Vec::new()).unwrap(), 2);
    }
}
