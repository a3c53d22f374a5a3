//! Marketers' templates: Jinja expressions, `{% if %}` and a short list of filters, nothing else.
//!
//! The grammar is minijinja's; what a template may contain is decided here once, when it is parsed, and kept as a small tree
//! (`expr`). Without loops, assignments, macros and includes a rendering takes time linear in the source, and its size is
//! capped while it grows; minijinja's own machine can be made to fill memory with 388 bytes.
//!
//! A value that is not known is never printed as nothing: without a `default` it is [`RenderError::Missing`], and the message
//! is not sent.

mod cases;
mod escape;
mod explain;
mod expr;
mod filters;
mod needs;
mod parse;
mod words;

pub use cases::Cases;
pub use escape::Escape;
pub(super) use escape::{LINK_END, LINK_START, escape_html, is_mark, whole};
pub(super) use words::VALUE;

use super::{
    Context, RenderError, html_text,
    language::Letters,
    markdown::{Oddity, oddities},
};
use expr::Node;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// Longest template, in characters, as the schema of manifests counts them.
pub const MAX_SOURCE: usize = 32 * 1024;
/// Longest body of an email, in characters: one from a `ConfigMap`. The schema bounds those that stand in a manifest.
pub const MAX_BODY: usize = 256 * 1024;
/// Longest rendering, in bytes: the longest body fits, whatever its script.
pub const MAX_RENDERED: usize = 4 * MAX_BODY;

/// A compiled template. Cheap to clone.
#[derive(Clone)]
pub struct Template {
    source: Arc<str>,
    escape: Escape,
    nodes: Arc<[Node]>,
    /// Of its own words.
    letters: Letters,
    /// Where each stands first, in bytes.
    references: Arc<BTreeMap<String, usize>>,
    requires: Arc<BTreeSet<String>>,
    doubts: Arc<[TemplateError]>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// Why a text is not a template, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}; {help}")]
pub struct TemplateError {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    pub message: String,
    pub help: String,
}

impl TemplateError {
    /// Stable name for metrics and events.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        "template"
    }
}

impl Template {
    /// Parses a template whose output goes where `escape` says.
    pub fn parse(source: &str, escape: Escape) -> Result<Self, TemplateError> {
        let longest = match escape {
            Escape::Markdown | Escape::Html => MAX_BODY,
            Escape::Text | Escape::Header | Escape::UrlParts | Escape::OwnWords => MAX_SOURCE,
        };
        // In an address they are never meant, and would lead elsewhere.
        let bare = (escape == Escape::UrlParts && source.contains(is_mark)).then(|| source.replace(is_mark, ""));
        let parsed = parse::parse(bare.as_deref().unwrap_or(source), longest)?;
        let words = words::own_words(&parsed.nodes);
        Ok(Self {
            source: source.into(),
            escape,
            letters: if escape == Escape::Html { Letters::of(&html_text::text_of(&words)) } else { Letters::of(&words) },
            nodes: parsed.nodes.into(),
            references: Arc::new(parsed.references),
            requires: Arc::new(parsed.requires),
            doubts: parsed.doubts.into(),
        })
    }

    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders for the place it was parsed for.
    pub fn render(&self, context: &Context) -> Result<String, RenderError> {
        self.render_as(self.escape, context, &[])
    }

    /// Renders for a place, with `links` (name, address) under `links.NAME`.
    pub(super) fn render_as(&self, escape: Escape, context: &Context, links: &[(&str, String)]) -> Result<String, RenderError> {
        let mut out = String::with_capacity(self.source.len() * 2);
        expr::render(&self.nodes, escape, &expr::Scope { context, links }, &mut out)?;
        if out.contains(is_mark) && !out.contains(escape::turned) {
            // Pasted along unseen; one of them would make a GSM SMS Unicode.
            out.retain(|c| !is_mark(c));
        }
        Ok(out)
    }

    /// The letters of its own words: of what every reader gets, whatever the values.
    pub(super) const fn letters(&self) -> Letters {
        self.letters
    }

    /// As Markdown: what will not be seen as it was meant, for whatever client.
    #[must_use]
    pub fn oddities(&self) -> Vec<Oddity> {
        oddities(&words::outline(&self.nodes))
    }

    /// Values that it prints as the CRM has them: a date without `date`, a yes or no as `true`.
    #[must_use]
    pub fn bare_values(&self) -> Vec<&str> {
        words::bare(&self.nodes)
    }

    /// Dotted paths (like `client.firstName`) without which it can certainly not be rendered: printed without a `default`
    /// and outside every `if`. Links are left out: we make them.
    #[must_use]
    pub fn requires(&self) -> Vec<String> {
        self.requires.iter().filter(|path| !path.starts_with("links.") && !path.starts_with("link.")).cloned().collect()
    }

    /// Whether it certainly prints this path, links included.
    pub(super) fn needs(&self, path: &str) -> bool {
        self.requires.contains(path)
    }

    /// All dotted paths that it names.
    #[must_use]
    pub fn references(&self) -> Vec<String> {
        self.references.keys().cloned().collect()
    }

    #[must_use]
    pub fn names(&self, path: &str) -> bool {
        self.references.contains_key(path)
    }

    /// Line and column (from 1) of the first use of a path. `None`: it names no such path, or has one line, where everybody finds it.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Option<(u32, u32)> {
        let at = *self.references.get(path).filter(|_| self.source.trim_end().contains('\n'))?;
        let place = explain::error(&self.source, at, String::new(), "");
        Some((place.line, place.column))
    }

    /// What can be rendered and means for certain something else than it says. Earlier versions took it, so it is no error of parsing.
    #[must_use]
    pub fn doubts(&self) -> &[TemplateError] {
        &self.doubts
    }

    /// Which values decide what a client reads, added to those of other templates.
    pub fn cases(&self, cases: &mut Cases) {
        cases::of_nodes(&self.nodes, cases);
    }

    /// Whether texts know a filter of that name.
    #[must_use]
    pub fn is_filter(name: &str) -> bool {
        filters::Filter::ALL.iter().any(|filter| filter.0 == name)
    }

    /// What stands before the first value: for links, where they lead whatever a client's data says.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        match self.nodes.first() {
            Some(Node::Raw(text)) => text,
            _ => "",
        }
    }

    /// For a link: whether scheme and host are written out, so that no value of a client's can change where it leads.
    #[must_use]
    pub fn has_fixed_host(&self) -> bool {
        let (prefix, whole) = match &*self.nodes {
            [Node::Raw(text)] => (text.trim(), true),
            [Node::Raw(text), ..] => (text.trim_start(), false),
            _ => return false,
        };
        let host = prefix.split_once("://").filter(|(scheme, _)| matches!(scheme.to_ascii_lowercase().as_str(), "https" | "http"));
        host.is_some_and(|(_, rest)| {
            let end = rest.find(['/', '?', '#']);
            let host = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
            !host.is_empty() && !host.contains(['@', '\\']) && (whole || end.is_some())
        })
    }
}
