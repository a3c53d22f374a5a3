//! What an item consists of: its bodies, what they need, and where its links lead.

use super::{
    Body, Context, EmailSource, ItemText, Language, RenderError, Template,
    language::{Letters, right_to_left},
    template::Escape,
};
use std::collections::{BTreeMap, BTreeSet};

impl ItemText {
    /// The body for a variant or, if there is none of that name, for a language.
    #[must_use]
    pub fn body_for(&self, variant: Option<&str>, language: Option<&str>) -> &Body {
        self.wording(variant, language).0
    }

    /// The same, and what it is written in. That is said by the tag of the translation or else by the text's own words, whatever the
    /// client's language and the values; `None` for a text of nothing but values.
    pub(super) fn wording(&self, variant: Option<&str>, language: Option<&str>) -> (&Body, Option<Tongue>) {
        let by_language = |tag: &str| {
            let tag = tag.to_lowercase();
            let first = tag.split(['-', '_']).next().unwrap_or_default();
            let find = |wanted: &str| self.translations.iter().find(|(t, _)| t.to_lowercase() == wanted);
            find(&tag).or_else(|| find(first))
        };
        let own = |body| (body, Body::letters(body).tag().map(Tongue::of));
        if let Some(body) = variant.and_then(|name| self.variants.get(name)) {
            own(body)
        } else if let Some((tag, body)) = language.and_then(by_language) {
            (body, Some(Tongue::of(tag)))
        } else {
            own(&self.body)
        }
    }

    /// Whether there is anything to click in it: a declared link that this body names. Stopping is no interest.
    #[must_use]
    pub fn has_link(&self, variant: Option<&str>, language: Option<&str>) -> bool {
        let body = self.body_for(variant, language);
        self.links.iter().any(|(name, _)| name != UNSUBSCRIBE && body.names_link(name))
    }

    /// All bodies: the default, the variants, the translations.
    pub fn bodies(&self) -> impl Iterator<Item = &Body> {
        std::iter::once(&self.body).chain(self.variants.values()).chain(self.translations.values())
    }

    /// Values that every body needs, links' targets included: without them nothing can be sent.
    #[must_use]
    pub fn requires(&self) -> Vec<String> {
        let mut all: Option<BTreeSet<String>> = None;
        for body in self.bodies() {
            let links = self.links.iter().filter(|(name, _)| body.needs_link(name)).map(|(_, target)| target);
            let needs: BTreeSet<String> = body.templates().into_iter().chain(links).flat_map(Template::requires).collect();
            all = Some(match all {
                None => needs,
                Some(all) => &all & &needs,
            });
        }
        all.unwrap_or_default().into_iter().collect()
    }

    /// Rendered targets by number; empty where this body does not name the link, or where a value of it is not known: then
    /// the text fails if it really prints the link.
    pub(super) fn targets(&self, body: &Body, context: &Context) -> Result<Vec<String>, RenderError> {
        self.links
            .iter()
            .map(|(name, target)| {
                if !body.names_link(name) {
                    return Ok(String::new());
                }
                let url = match target.render_as(Escape::UrlParts, context, &[]) {
                    Err(RenderError::Missing(_)) => return Ok(String::new()),
                    url => url?,
                };
                let url = url.trim();
                let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\\');
                if !target.has_fixed_host() || url.contains(bad) {
                    return Err(RenderError::BadLink(name.clone()));
                }
                Ok(with_utm(url, &self.utm))
            })
            .collect()
    }

    /// A missing link is missing because a value of its target is: that one is named.
    pub(super) fn blame(&self, error: RenderError, context: &Context) -> RenderError {
        if let RenderError::Missing(path) = &error
            && let Some(name) = path.strip_prefix("links.")
            && let Some((_, target)) = self.links.iter().find(|(link, _)| link == name)
            && let Err(cause) = target.render_as(Escape::UrlParts, context, &[])
        {
            return cause;
        }
        error
    }

    /// The addresses that go into the text, under `links.NAME`: what `public` makes of a number and its target.
    pub(super) fn addresses<'s>(
        &'s self,
        targets: &[String],
        unsubscribe: Option<String>,
        public: impl Fn(usize) -> Option<String>,
    ) -> Vec<(&'s str, String)> {
        let declared = self.links.iter().zip(targets).enumerate().filter(|(_, ((name, _), _))| name != UNSUBSCRIBE);
        let mut all: Vec<(&str, String)> = declared
            .map(|(number, ((name, _), target))| {
                let address = if target.is_empty() { None } else { public(number) };
                (name.as_str(), address.unwrap_or_else(|| target.clone()))
            })
            .collect();
        all.push((UNSUBSCRIBE, unsubscribe.unwrap_or_default()));
        all
    }
}

const UNSUBSCRIBE: &str = "unsubscribe";

/// What a text is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tongue {
    /// BCP 47, for `lang`.
    pub tag: String,
    /// Of the words that we add, and of dates.
    pub words: Language,
    pub right_to_left: bool,
}

impl Tongue {
    pub fn of(tag: &str) -> Self {
        Self { tag: tag.to_owned(), words: Language::from_tag(tag), right_to_left: right_to_left(tag) }
    }

    /// Of a finished text.
    pub fn of_text(text: &str) -> Self {
        Self::of(Letters::of(text).tag().unwrap_or("en"))
    }
}

impl Body {
    /// Of what every reader of it gets.
    fn letters(&self) -> Letters {
        match self {
            Self::Sms(text) => text.letters(),
            Self::Email(email) => {
                let (EmailSource::Markdown(source) | EmailSource::Html(source)) = &email.source;
                email.subject.letters().and(source.letters())
            }
        }
    }

    /// The templates it consists of.
    #[must_use]
    pub fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Sms(text) => vec![text],
            Self::Email(email) => {
                let (EmailSource::Markdown(source) | EmailSource::Html(source)) = &email.source;
                [Some(&email.subject), email.preheader.as_ref(), Some(source), email.text.as_ref()].into_iter().flatten().collect()
            }
        }
    }

    fn needs_link(&self, name: &str) -> bool {
        let path = format!("links.{name}");
        self.templates().iter().any(|template| template.needs(&path))
    }

    fn names_link(&self, name: &str) -> bool {
        let path = format!("links.{name}");
        self.templates().iter().any(|template| template.names(&path))
    }
}

/// Adds parameters that the address lacks, before its fragment.
fn with_utm(url: &str, utm: &BTreeMap<String, String>) -> String {
    let (front, fragment) = url.split_once('#').map_or((url, None), |(front, fragment)| (front, Some(fragment)));
    let query = front.split_once('?').map(|(_, query)| query);
    let has = |name: &str| query.is_some_and(|q| q.split('&').any(|pair| pair.split('=').next() == Some(name)));
    let mut out = front.to_owned();
    let mut separator = match query {
        None => '?',
        Some("") => '\0',
        Some(query) if query.ends_with('&') => '\0',
        Some(_) => '&',
    };
    for (name, value) in utm {
        if !has(name) && !value.is_empty() {
            if separator != '\0' {
                out.push(separator);
            }
            Escape::UrlParts.push(&mut out, name);
            out.push('=');
            Escape::UrlParts.push(&mut out, value);
            separator = '&';
        }
    }
    if let Some(fragment) = fragment {
        out.push('#');
        out.push_str(fragment);
    }
    out
}
