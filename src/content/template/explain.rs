//! What is wrong with a template, and what to write instead, for people who write letters and not programs.

use super::TemplateError;

/// An error at a byte of the source.
pub fn error(source: &str, offset: usize, message: String, help: impl Into<String>) -> TemplateError {
    let before = source.get(..offset).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    TemplateError {
        line: count(before.matches('\n').count() + 1),
        column: count(before.get(line_start..).unwrap_or_default().chars().count() + 1),
        message,
        help: help.into(),
    }
}

pub fn from_jinja(source: &str, e: &minijinja::Error) -> TemplateError {
    let offset = e.range().map_or_else(
        || source.split_inclusive('\n').take(e.line().unwrap_or(1).saturating_sub(1)).map(str::len).sum(),
        |range| range.start,
    );
    let (before, at) = source.split_at_checked(offset).unwrap_or((source, ""));
    let (message, help) = explain(e.detail().unwrap_or("cannot be read"), before, at);
    error(source, offset, message, help)
}

/// The parser's words, for people who write letters and not programs. `before`, `at`: the source up to the error, and from there on.
fn explain(detail: &str, before: &str, at: &str) -> (String, String) {
    let plain = |message: &str, help: &str| (message.to_owned(), help.to_owned());
    if let Some(word) = detail.strip_prefix("unknown statement ") {
        return match word {
            "endif" | "else" | "elif" => {
                (format!("{{% {word} %}} stands without its {{% if %}}"), "write {% if client.city %} … {% endif %}".into())
            }
            "elseif" | "elsif" => (format!("{{% {word} … %}} is written elif here"), "write {% elif client.city %}".into()),
            _ => (
                format!("{{% {word} %}} is not available in texts"),
                "use {{ values }} and {% if … %} … {% else %} … {% endif %} only".into(),
            ),
        };
    }
    if detail.contains("end of comment") {
        return plain("{# begins a comment here, and it never ends", "put a blank between { and #, or end the comment with #}");
    }
    if detail.contains("end of input") {
        return plain(
            "something is opened here and never closed",
            "close {{ with }}, {% with %}, and every {% if … %} with {% endif %}",
        );
    }
    if detail.contains("unexpected end of string") {
        return plain("a quotation mark is opened and never closed", "write 'text' with a straight mark on both sides");
    }
    if detail.contains("unexpected end of variable block") || detail.contains("unexpected end of block") {
        return plain("a value is missing here", "write {{ client.firstName }} or {% if client.city %}");
    }
    if detail.contains("unexpected `=`") {
        return plain("one = compares nothing", "write == to compare");
    }
    if let Some((message, help)) = slip(detail, before, at) {
        return plain(message, help);
    }
    if detail.contains("unexpected identifier") {
        return plain("two values stand side by side", "give each its own {{ … }}, or join them with ~");
    }
    match at.chars().next() {
        Some('“' | '”' | '„' | '«' | '»' | '‘' | '’') => {
            plain("typographic quotation marks do not work here", "write 'text' with straight ones")
        }
        Some(c) if c.is_alphabetic() && !c.is_ascii() => plain(
            "names of values are written in Latin letters",
            "write client.firstName, or client['имя'] for a field with another name",
        ),
        Some('&') => plain("& is not an operator", "write and"),
        Some('|') => plain("|| is not an operator", "write or"),
        Some('!') => plain("! is not an operator", "write not"),
        Some('?') => {
            plain("? is not an operator", "write client.firstName | default('Здравствуйте'), or 'a' if client.city else 'b'")
        }
        _ => (
            // "unexpected `]`, expected end of variable block"
            detail.split_once("unexpected ").map_or_else(
                || detail.to_owned(),
                |(_, what)| format!("{} does not belong here", what.split(", expected").next().unwrap_or(what)),
            ),
            "write {{ client.firstName }} for a value, {% if deal.amount > 100 %} … {% endif %} for a condition".into(),
        ),
    }
}

/// What people who know other languages write, by what the parser stumbles over.
fn slip(detail: &str, before: &str, at: &str) -> Option<(&'static str, &'static str)> {
    let opened = before.rfind("{{").max(before.rfind("{%")).unwrap_or(0);
    let inside = before.get(opened..).unwrap_or_default().trim_end();
    if detail.contains("unexpected identifier") && inside.ends_with("else") && at.starts_with("if") {
        return Some(("{% else if … %} is written elif here", "write {% elif client.city %}"));
    }
    if detail.contains("unexpected `}`") {
        return Some(if inside.matches('(').count() > inside.matches(')').count() {
            ("a bracket is opened and never closed", "write as many closing brackets as opening ones")
        } else if inside.starts_with("{%") {
            ("a sign is missing at the end", "close {% with %}")
        } else {
            ("one brace is missing at the end", "close {{ with }}")
        });
    }
    let value = ["unexpected string", "unexpected integer", "unexpected float"].iter().any(|kind| detail.contains(kind));
    if value && inside.ends_with(|c: char| c.is_ascii_digit()) && at.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(("a number is written with blanks in it", "write its digits alone, like 5000000"));
    }
    let filter = inside.rsplit_once('|').is_some_and(|(_, name)| !name.trim().contains(|c: char| !c.is_alphanumeric() && c != '_'));
    if filter && (value || detail.contains("unexpected `:`")) {
        return Some(("what a filter needs stands in brackets", "write client.firstName | default('Здравствуйте')"));
    }
    value.then_some(("two values stand side by side", "give each its own {{ … }}, or join them with ~"))
}

/// Where `{client.` or `{ {client.` stands in plain text.
pub fn one_brace(text: &str) -> Option<usize> {
    text.match_indices('{').map(|(at, _)| at).find(|at| {
        let rest = text.get(at + 1..).unwrap_or_default();
        // A few at most: a text of nothing but braces is not gone through from each of them.
        let gap = rest.bytes().take(16).take_while(|b| matches!(b, b' ' | b'{')).count();
        let name = rest.get(gap..).unwrap_or_default();
        // Double braces reach this place only out of {% raw %}.
        !rest.starts_with('{')
            && !text.get(..*at).is_some_and(|before| before.ends_with('{'))
            && ["client.", "deal.", "manager.", "links."].iter().any(|root| name.starts_with(root))
    })
}
