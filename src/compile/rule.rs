//! The platform's own CEL: how the answers of a declared provider are read.

use super::finding::{Findings, Reason, suggest};

/// Stack for the parser, which recurses with the depth of the source; that is bounded too.
const STACK: usize = 16 * 1024 * 1024;
const MAX_CHARS: usize = 4096;
const MAX_BRACKETS: usize = 32;

/// Whether a rule parses and knows only `known`.
pub(super) fn check(source: &str, known: &[&str], path: &str, found: &mut Findings) {
    if source.chars().count() > MAX_CHARS || depth(source) > MAX_BRACKETS {
        found.error(
            path,
            Reason::InvalidCondition,
            format!("the rule is longer than {MAX_CHARS} characters or nests deeper than {MAX_BRACKETS} brackets"),
            "split it over several errors",
        );
        return;
    }
    match variables(source.to_owned()) {
        Ok(names) => {
            for name in names.iter().filter(|n| !known.contains(&n.as_str())) {
                found.error(path, Reason::UnknownName, format!("{name} is not known in this rule"), suggest(name, known.iter().copied()));
            }
        }
        Err(what) => found.error(
            path,
            Reason::InvalidCondition,
            format!("the rule cannot be read: {what}"),
            "write CEL, like status == 200 && json.code == 0; texts stand in single quotes",
        ),
    }
}

/// The names a rule reads, without those that its own `exists` or `map` bind.
fn variables(source: String) -> Result<Vec<String>, String> {
    let thread = std::thread::Builder::new().name("rule".into()).stack_size(STACK).spawn(move || {
        let program = cel::Program::compile(&source).map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())?;
        let references = program.references();
        Ok(references.variables().into_iter().filter(|n| !n.starts_with('@')).map(str::to_owned).collect())
    });
    thread.map_err(|e| e.to_string())?.join().map_err(|_| "it is too complicated".to_owned())?
}

fn depth(source: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in source.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
