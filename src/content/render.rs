//! One item for one client: the exact bytes that a provider gets.

use super::{
    Body, Context, EmailBody, EmailMessage, EmailSender, EmailSource, ItemText, Language, OptOut, RenderError, Segments, Sender,
    SmsSender, Template,
    email::{self, Mime, Unsubscribe},
    layout::{Colors, Page},
    markdown, segments, smart,
    template::Escape,
};
use crate::{
    links::{self, ClickToken, Keys, Random},
    model::{Address, EffectRef},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A rendered message: kept as it is from the intent on, never rendered again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rendered {
    Sms { from: String, text: String },
    Email(EmailMessage),
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<rendered message>")
    }
}

/// What makes this message this message: where its links lead and whose it is.
pub struct Tracking<'a> {
    /// The installation's public address. `None`: links are put in as they are, untracked.
    pub base_url: Option<&'a str>,
    pub keys: &'a Keys,
    pub effect: EffectRef,
    /// For SMS codes.
    pub random: Random<'a>,
    pub to: &'a Address,
    /// In the manager's name.
    pub as_manager: bool,
    pub message_id_domain: &'a str,
    /// Stable over attempts.
    pub key: Uuid,
    /// Goes into `Date` and, as a day, into tokens.
    pub now: Timestamp,
}

/// A message and what must be stored beside it.
#[derive(Clone)]
pub struct RenderedItem {
    pub message: Rendered,
    /// Rendered targets in the order of the item's links; empty for those that this text does not use.
    pub links: Vec<String>,
    /// SMS: keyed hashes of the short codes, in the order of `links`, and then the one of the unsubscribe link.
    pub codes: Vec<String>,
    /// SHA-256 (base64url) of the bytes.
    pub body_hash: String,
    pub preview: Preview,
}

/// The message as people read it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Preview {
    pub from: String,
    /// Emails only.
    pub subject: Option<String>,
    pub text: String,
    /// Emails only.
    pub html: Option<String>,
    /// SMS only.
    pub segments: Option<Segments>,
}

/// Renders an item. `variant`: name of the variant that the engine chose; `language`: the client's, as a BCP 47 tag.
pub fn render_item(
    item: &ItemText,
    variant: Option<&str>,
    language: Option<&str>,
    context: &Context,
    tracking: &Tracking<'_>,
) -> Result<RenderedItem, RenderError> {
    let body = item.body_for(variant, language);
    let targets = item.targets(body, context)?;
    match (body, &item.sender, tracking.to) {
        (Body::Sms(template), Sender::Sms(sender), Address::Phone(_)) => {
            render_sms(item, template, sender, targets, context, tracking)
        }
        (Body::Email(body), Sender::Email(sender), Address::Email(to)) => {
            render_email(item, body, sender, targets, context, tracking, to.as_str())
        }
        _ => Err(RenderError::Medium),
    }
}

impl ItemText {
    /// The body for a variant or, if there is none of that name, for a language.
    #[must_use]
    pub fn body_for(&self, variant: Option<&str>, language: Option<&str>) -> &Body {
        let by_language = |tag: &str| {
            let tag = tag.to_lowercase();
            let first = tag.split(['-', '_']).next().unwrap_or_default();
            let find = |wanted: &str| self.translations.iter().find(|(t, _)| t.to_lowercase() == wanted).map(|(_, body)| body);
            find(&tag).or_else(|| find(first))
        };
        variant.and_then(|name| self.variants.get(name)).or_else(|| language.and_then(by_language)).unwrap_or(&self.body)
    }

    /// All bodies: the default, the variants, the translations.
    pub fn bodies(&self) -> impl Iterator<Item = &Body> {
        std::iter::once(&self.body).chain(self.variants.values()).chain(self.translations.values())
    }

    /// Values that every body needs, links' targets included: without them nothing can be sent.
    #[must_use]
    pub fn requires(&self) -> Vec<String> {
        let mut all: Option<std::collections::BTreeSet<String>> = None;
        for body in self.bodies() {
            let links = self.links.iter().filter(|(name, _)| body.names_link(name)).map(|(_, target)| target);
            let needs: std::collections::BTreeSet<String> =
                body.templates().into_iter().chain(links).flat_map(Template::requires).collect();
            all = Some(match all {
                None => needs,
                Some(all) => &all & &needs,
            });
        }
        all.unwrap_or_default().into_iter().collect()
    }

    /// Rendered targets by number; empty where this body does not use the link.
    fn targets(&self, body: &Body, context: &Context) -> Result<Vec<String>, RenderError> {
        self.links
            .iter()
            .map(|(name, target)| {
                if !body.names_link(name) {
                    return Ok(String::new());
                }
                let url = target.render_as(Escape::UrlParts, context, &[])?;
                let url = url.trim();
                let scheme_ok = url.starts_with("https://") || url.starts_with("http://");
                if !scheme_ok || url.chars().any(|c| c.is_control() || c.is_whitespace()) || url.contains(['<', '>', '"', '\\']) {
                    return Err(RenderError::BadLink(name.clone()));
                }
                Ok(with_utm(url, &self.utm))
            })
            .collect()
    }

    /// The addresses that go into the text, under `links.NAME`: what `public` makes of a number and its target.
    fn addresses<'s>(
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

impl Body {
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

    fn names_link(&self, name: &str) -> bool {
        let path = format!("links.{name}");
        self.templates().iter().any(|template| template.names(&path))
    }
}

/// Adds parameters that the address lacks, before its fragment.
fn with_utm(url: &str, utm: &std::collections::BTreeMap<String, String>) -> String {
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

fn render_sms(
    item: &ItemText,
    template: &Template,
    sender: &SmsSender,
    targets: Vec<String>,
    context: &Context,
    tracking: &Tracking<'_>,
) -> Result<RenderedItem, RenderError> {
    let names_unsubscribe = template.names("links.unsubscribe");
    let wants_link = names_unsubscribe || sender.opt_out == OptOut::Link;
    let (mut codes, mut unsubscribe) = (Vec::new(), None);
    match tracking.base_url {
        Some(base) => {
            for _ in 0..targets.len() {
                codes.push(links::new_code(tracking.random)?);
            }
            if wants_link {
                let code = links::new_code(tracking.random)?;
                unsubscribe = Some(links::unsubscribe_code_url(base, &code));
                codes.push(code);
            }
        }
        None if wants_link => return Err(RenderError::NoPublicAddress),
        None => {}
    }
    let addresses =
        item.addresses(&targets, unsubscribe.clone(), |number| Some(links::code_url(tracking.base_url?, codes.get(number)?)));
    let mut text = plain_sms(&template.render_as(Escape::Text, context, &addresses)?);
    if text.is_empty() {
        return Err(RenderError::Empty);
    }
    let language = Language::of(&text);
    match &sender.opt_out {
        OptOut::Link if !names_unsubscribe => {
            text.push_str(language.pick("\nОтписка: ", "\nStop: "));
            text.push_str(unsubscribe.as_deref().unwrap_or_default());
        }
        OptOut::Keyword(word) if !names_unsubscribe && !has_word(&text, word) => {
            text.push('\n');
            text.push_str(&language.pick("Для отказа ответьте {}", "Reply {} to opt out").replace("{}", word));
        }
        _ => {}
    }
    if sender.smart_encoding {
        text = smart(&text);
    }
    let counted = segments(&text);
    if counted.parts > sender.max_parts {
        return Err(RenderError::TooLong { parts: counted.parts, max: sender.max_parts });
    }
    Ok(RenderedItem {
        codes: codes.iter().map(|code| tracking.keys.code_hash(code)).collect(),
        body_hash: hash(text.as_bytes()),
        preview: Preview { from: sender.from.clone(), text: text.clone(), segments: Some(counted), ..Preview::default() },
        message: Rendered::Sms { from: sender.from.clone(), text },
        links: targets,
    })
}

/// No blanks at line ends, no more than one empty line in a row.
fn plain_sms(text: &str) -> String {
    markdown::tidy(&text.replace('\t', " ")).trim().to_owned()
}

/// Whether a word stands in a text as a word, in any case.
fn has_word(text: &str, word: &str) -> bool {
    let word = word.to_lowercase();
    text.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|w| w == word)
}

fn render_email(
    item: &ItemText,
    body: &EmailBody,
    sender: &EmailSender,
    targets: Vec<String>,
    context: &Context,
    tracking: &Tracking<'_>,
    to: &str,
) -> Result<RenderedItem, RenderError> {
    let day = links::unix_day(tracking.now);
    let unsubscribe = tracking.base_url.map(|base| links::unsubscribe_url(base, &tracking.keys.unsubscribe_token(tracking.effect)));
    let addresses = item.addresses(&targets, unsubscribe.clone(), |number| {
        let token = ClickToken { effect: tracking.effect, link: i16::try_from(number).ok()?, day };
        Some(links::click_url(tracking.base_url?, &tracking.keys.click_token(token)))
    });
    let subject = one_line(&body.subject.render_as(Escape::Header, context, &addresses)?);
    if subject.is_empty() {
        return Err(RenderError::Empty);
    }
    let preheader = match &body.preheader {
        Some(template) => one_line(&template.render_as(Escape::Header, context, &addresses)?),
        None => String::new(),
    };
    let colors = Colors::of(sender.accent_color.as_deref());
    let page = |language| Page {
        sender,
        language,
        subject: &subject,
        preheader: &preheader,
        unsubscribe: unsubscribe.as_deref(),
    };
    let own_text = body.text.as_ref().map(|t| t.render_as(Escape::Text, context, &addresses)).transpose()?;
    let (html, mut text, page) = match &body.source {
        EmailSource::Markdown(template) => {
            let source = template.render_as(Escape::Markdown, context, &addresses)?;
            if source.trim().is_empty() {
                return Err(RenderError::Empty);
            }
            let made = markdown::render(&source, &addresses, &colors.accent, colors.on_accent);
            let page = page(Language::of(&source));
            (page.html(&made.html), own_text.unwrap_or(made.text), page)
        }
        EmailSource::Html(template) => {
            let mut html = template.render_as(Escape::Html, context, &addresses)?;
            if html.trim().is_empty() {
                return Err(RenderError::Empty);
            }
            let page = page(Language::of(&subject));
            let text = own_text.unwrap_or_else(|| text_of_html(&html));
            if unsubscribe.is_none() || !template.names("links.unsubscribe") {
                page.append_foot(&mut html);
            }
            (html, text, page)
        }
    };
    if unsubscribe.as_ref().is_none_or(|url| !text.contains(url.as_str())) {
        text = markdown::tidy(&text);
        page.foot_text(&mut text);
    }
    let from_name = manager_value(sender.manager_name.as_ref(), context, tracking).unwrap_or_else(|| sender.from_name.clone());
    // A manager without a mailbox gets no replies: they go to the brand.
    let reply_to = manager_value(sender.manager_reply_to.as_ref(), context, tracking).or_else(|| sender.reply_to.clone());
    let raw = email::build(&Mime {
        from_name: &from_name,
        from_address: &sender.from_address,
        reply_to: reply_to.as_deref(),
        to,
        subject: &subject,
        text: &text,
        html: &html,
        key: tracking.key,
        message_id_domain: tracking.message_id_domain,
        date: tracking.now,
        effect: tracking.effect,
        unsubscribe: match &unsubscribe {
            Some(url) => Unsubscribe::OneClick(url),
            None => Unsubscribe::Mailto(sender.reply_to.as_deref().unwrap_or(&sender.from_address)),
        },
    })?;
    let envelope_from = sender.bounce_address.clone().unwrap_or_else(|| sender.from_address.clone());
    let from = format!("{from_name} <{}>", sender.from_address);
    Ok(RenderedItem {
        body_hash: hash(raw.as_bytes()),
        message: Rendered::Email(EmailMessage { envelope_from, raw }),
        links: targets,
        codes: Vec::new(),
        preview: Preview { from, subject: Some(subject), text, html: Some(html), segments: None },
    })
}

/// A value over `manager`, if the item is sent as the manager and all of it is known.
fn manager_value(template: Option<&Template>, context: &Context, tracking: &Tracking<'_>) -> Option<String> {
    let template = template.filter(|_| tracking.as_manager)?;
    let text = one_line(&template.render_as(Escape::Header, context, &[]).ok()?);
    (!text.is_empty()).then_some(text)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text_of_html(html: &str) -> String {
    html2text::config::plain_no_decorate().string_from_read(html.as_bytes(), 78).unwrap_or_default()
}

fn hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}
