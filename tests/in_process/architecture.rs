//! The walls between modules: each imports only what stands above it, and what reaches the outside world stays where it belongs.
//! Test code may look anywhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A module may import itself and those above it.
const ORDER: [&str; 15] = [
    "model", "api", "engine", "links", "content", "compile", "store", "crm", "channels", "workers", "simulate", "web", "source",
    "control", "cli",
];

/// Crates that only these modules may name: their types and errors stay inside their adapters.
const ADAPTERS: [(&str, &[&str]); 7] = [
    ("sqlx", &["store"]),
    ("axum", &["web", "cli"]),
    ("reqwest", &["crm", "channels", "cli"]),
    ("kube", &["api", "source"]),
    ("k8s_openapi", &["api", "source", "control"]),
    ("saphyr_parser", &["source"]),
    ("clap", &["cli"]),
];

/// What the pure core must not mention: I/O, clocks, chance.
const IMPURE: [&str; 15] = [
    "tokio",
    "sqlx",
    "reqwest",
    "kube",
    "axum",
    "tracing",
    "rand",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
];

#[test]
fn modules_import_only_what_stands_above_them() {
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(own) = ORDER.iter().position(|module| *module == file.module) else {
            wrong.push(format!("{}: the module {} has no place in the order", file.path.display(), file.module));
            continue;
        };
        for import in imports(&file.code, file.depth) {
            match ORDER.iter().position(|module| *module == import) {
                Some(theirs) if theirs > own => {
                    wrong.push(format!("{}: {} must not import {import}", file.path.display(), file.module));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn outside_systems_stay_inside_their_adapters() {
    let mut wrong = Vec::new();
    for file in sources() {
        for (name, allowed) in ADAPTERS {
            if mentions(&file.code, &format!("{name}::")) && !allowed.contains(&file.module.as_str()) {
                wrong.push(format!("{}: {name} belongs to {}", file.path.display(), allowed.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_engine_is_pure() {
    let mut wrong = Vec::new();
    for file in sources().into_iter().filter(|file| file.module == "engine") {
        for word in IMPURE.iter().filter(|word| mentions(&file.code, word)) {
            wrong.push(format!("{}: {word}", file.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_all_their_forms() {
    let code = without_comments_and_texts(
        "use crate::{model::{Id, Role}, store::Store};\nfn f() { crate::web::serve(\"crate::cli::x\"); } // crate::workers\nuse super::super::channels;",
    );
    let seen: Vec<String> = imports(&code, 2).into_iter().collect();
    assert_eq!(seen, ["channels", "model", "store", "web"]);
    assert!(mentions("use tokio::fs;", "tokio") && !mentions("let tokios = my_tokio;", "tokio"));
}

struct Source {
    path: PathBuf,
    /// The module directly under the crate.
    module: String,
    /// Names from the crate to this file's module: `engine::plan` is 2.
    depth: usize,
    /// Without comments, texts and tests.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let test = name == "tests" || name.ends_with("_tests");
            if path.is_dir() {
                if !test {
                    folders.push(path);
                }
                continue;
            }
            let within = path.strip_prefix(&root).unwrap().with_extension("");
            let mut names: Vec<String> = within.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if path.extension().is_none_or(|e| e != "rs") || test || names == ["lib"] || names == ["main"] {
                continue;
            }
            if names.last().is_some_and(|last| last == "mod") {
                names.pop();
            }
            let code = without_comments_and_texts(&fs::read_to_string(&path).unwrap());
            let code = code.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
            found.push(Source { module: names[0].clone(), depth: names.len(), path, code });
        }
    }
    assert!(found.len() > 30, "the sources were not found");
    found
}

/// Modules directly under the crate that `code` names, by `crate::` or by climbing out of its own.
fn imports(code: &str, depth: usize) -> BTreeSet<String> {
    let climb = "super::".repeat(depth);
    let mut found = BTreeSet::new();
    for prefix in ["crate::", climb.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            if before.is_alphanumeric() || before == '_' || before == ':' {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(heads(group)),
                None => found.extend(heads(rest).into_iter().take(1)),
            }
        }
    }
    found.remove("super");
    found
}

/// First names of the comma-separated paths up to the closing brace.
fn heads(group: &str) -> Vec<String> {
    let (mut heads, mut level, mut head, mut open) = (Vec::new(), 0, String::new(), true);
    for c in group.chars() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => break,
            '}' => level -= 1,
            _ if level > 0 => {}
            ',' => {
                heads.push(std::mem::take(&mut head));
                open = true;
            }
            c if open && (c.is_alphanumeric() || c == '_') => head.push(c),
            c if c.is_whitespace() && head.is_empty() => {}
            ';' | '(' | ')' => break,
            _ => open = false,
        }
    }
    heads.push(head);
    heads.retain(|head| !head.is_empty());
    heads
}

fn mentions(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let after = code[at + word.len()..].chars().next().unwrap_or(' ');
        !part(before) && (word.ends_with(':') || !part(after))
    })
}

fn without_comments_and_texts(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                for c in chars.by_ref() {
                    if c == '\n' {
                        out.push('\n');
                        break;
                    }
                }
            }
            '/' if chars.peek() == Some(&'*') => {
                let mut last = ' ';
                for c in chars.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            'r' if matches!(chars.peek(), Some('"' | '#')) && !out.ends_with(|c: char| c.is_alphanumeric() || c == '_') => {
                let mut hashes = 0;
                while chars.next_if_eq(&'#').is_some() {
                    hashes += 1;
                }
                if chars.next_if_eq(&'"').is_some() {
                    let mut closing = String::from("\"");
                    closing.push_str(&"#".repeat(hashes));
                    let mut text = String::new();
                    while !text.ends_with(&closing) {
                        let Some(c) = chars.next() else { break };
                        text.push(c);
                    }
                }
            }
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => {
                            chars.next();
                        }
                        '"' => break,
                        _ => {}
                    }
                }
            }
            // A character, not a lifetime: 'x', '\n', '"'.
            '\'' => {
                let mut ahead = chars.clone();
                match (ahead.next(), ahead.next()) {
                    (Some('\\'), _) => {
                        chars.next();
                        chars.next();
                        while chars.next_if(|c| *c != '\'').is_some() {}
                        chars.next();
                    }
                    (Some(_), Some('\'')) => {
                        chars.next();
                        chars.next();
                    }
                    _ => {}
                }
            }
            c => out.push(c),
        }
    }
    out
}
