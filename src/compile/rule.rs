//! The platform's own CEL: how the answers of a declared provider are read.

use super::{
    explain,
    finding::{Findings, Reason, suggest},
};
use cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr, IdedEntryExpr},
};

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
                found.error(
                    path,
                    Reason::UnknownName,
                    format!("{name} is not known in this rule"),
                    suggest(name, known.iter().copied()),
                );
            }
        }
        Err(what) => {
            let (what, help) = explain::slip(source).unwrap_or_else(|| {
                let help = "write CEL, like status == 200 && json.code == 0; texts stand in single quotes";
                (format!("the rule cannot be read: {}", explain::plain(&what)), help.to_owned())
            });
            found.error(path, Reason::InvalidCondition, what, help);
        }
    }
}

/// The names a rule reads, without those that its own `exists` or `map` bind.
fn variables(source: String) -> Result<Vec<String>, String> {
    let thread = std::thread::Builder::new().name("rule".into()).stack_size(STACK).spawn(move || {
        let program = cel::Program::compile(&source).map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())?;
        let mut free = Vec::new();
        collect(program.expression(), &mut Vec::new(), &mut free);
        Ok(free)
    });
    thread.map_err(|e| e.to_string())?.join().map_err(|_| "it is too complicated".to_owned())?
}

fn collect<'e>(of: &'e IdedExpr, bound: &mut Vec<&'e str>, free: &mut Vec<String>) {
    match &of.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) => {
            if !name.starts_with('@') && !bound.contains(&name.as_str()) && !free.contains(name) {
                free.push(name.clone());
            }
        }
        Expr::Select(select) => collect(&select.operand, bound, free),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(|e| collect(e, bound, free)),
        Expr::List(list) => list.elements.iter().for_each(|e| collect(e, bound, free)),
        Expr::Map(map) => entries(&map.entries, bound, free),
        Expr::Struct(made) => entries(&made.entries, bound, free),
        Expr::Comprehension(each) => {
            collect(&each.iter_range, bound, free);
            let before = bound.len();
            bound.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
            bound.extend(each.iter_var2.as_deref());
            for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
                collect(part, bound, free);
            }
            bound.truncate(before);
        }
    }
}

fn entries<'e>(entries: &'e [IdedEntryExpr], bound: &mut Vec<&'e str>, free: &mut Vec<String>) {
    for entry in entries {
        match &entry.expr {
            EntryExpr::StructField(field) => collect(&field.value, bound, free),
            EntryExpr::MapEntry(entry) => {
                collect(&entry.key, bound, free);
                collect(&entry.value, bound, free);
            }
        }
    }
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
