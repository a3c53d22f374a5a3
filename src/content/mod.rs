//! Texts: templates, links, SMS segments, Markdown → HTML and plain text, MIME. Turns one item and what is known of a client into
//! the exact bytes that a provider gets, once.

mod context;
mod email;
mod error;
mod html_text;
mod item;
mod language;
mod layout;
mod markdown;
mod measure;
mod mime;
mod preview;
mod render;
mod segments;
mod sms;
mod task;
mod template;
#[cfg(test)]
mod tests;

pub use context::Context;
pub use error::RenderError;
pub use language::Language;
pub use markdown::Oddity;
pub use measure::{failing_part, measure_item};
pub use mime::EmailMessage;
pub use preview::preview_item;
pub use render::{Preview, Rendered, RenderedItem, Tracking, render_item};
pub use segments::{Encoding, Segments, segments, smart, split};
pub use task::{RenderedTask, TaskFacts, render_task};
pub use template::{Cases, Escape, MAX_BODY, MAX_RENDERED, MAX_SOURCE, Template, TemplateError};

use crate::model::HumanDuration;
use std::collections::BTreeMap;

/// All texts of one funnel at one revision, compiled.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// By (list, item).
    pub items: BTreeMap<(String, String), ItemText>,
    pub tasks: TaskTexts,
}

/// Titles of what managers get. `None`: the built-in one (in the brand's language if we have it, else English).
#[derive(Clone, Debug, Default)]
pub struct TaskTexts {
    pub revived: Option<Template>,
    pub clicked: Option<Template>,
    pub replied: Option<Template>,
    pub forgotten: Option<Template>,
    pub language: Option<String>,
}

/// The texts of one item.
#[derive(Clone, Debug)]
pub struct ItemText {
    pub title: String,
    /// Used when no variant or translation is.
    pub body: Body,
    /// By variant name.
    pub variants: BTreeMap<String, Body>,
    /// By language tag (`en`), looked up by the client's language, then by its first part.
    pub translations: BTreeMap<String, Body>,
    /// Declared targets by name, in the order of their numbers (0-based). Nothing else is ever redirected to.
    pub links: Vec<(String, Template)>,
    /// Added to targets that lack them: `utm_source`, … Values already on a link are never replaced.
    pub utm: BTreeMap<String, String>,
    pub sender: Sender,
}

// Most items are emails: a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Body {
    Sms(Template),
    Email(EmailBody),
}

#[derive(Clone, Debug)]
pub struct EmailBody {
    pub subject: Template,
    pub preheader: Option<Template>,
    pub source: EmailSource,
    /// Plain text; `None`: made from the source.
    pub text: Option<Template>,
}

#[derive(Clone, Debug)]
pub enum EmailSource {
    /// Rendered as a template first, then as Markdown, then put into the default layout.
    Markdown(Template),
    /// The marketer's own complete HTML.
    Html(Template),
}

/// How the item's channel presents itself: what rendering needs of it, no secrets.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // one for each item, not for each message
pub enum Sender {
    Sms(SmsSender),
    Email(EmailSender),
}

#[derive(Clone, Debug)]
pub struct SmsSender {
    pub from: String,
    pub max_parts: u32,
    pub opt_out: OptOut,
    /// Explicit opt-in: replace typographic characters so that GSM-7 suffices.
    pub smart_encoding: bool,
}

/// How a client stops SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptOut {
    /// A short link is appended unless the text has `{{ links.unsubscribe }}`.
    Link,
    /// A word is appended, like `STOP`, unless the text has it: only senders that can receive.
    Keyword(String),
    /// Stated elsewhere by the platform's own responsibility.
    None,
}

#[derive(Clone, Debug)]
pub struct EmailSender {
    pub from_name: String,
    pub from_address: String,
    pub reply_to: Option<String>,
    /// For items sent as the manager: templates over `manager`.
    pub manager_name: Option<Template>,
    pub manager_reply_to: Option<Template>,
    /// Envelope sender for bounces; `None`: the from address.
    pub bounce_address: Option<String>,
    /// Footer: who writes, where; not under own HTML that shows how to stop it.
    pub postal_address: Option<String>,
    pub brand_title: String,
    pub accent_color: Option<String>,
    pub logo_url: Option<String>,
}

/// How long short codes live.
pub const CODE_LIFETIME: HumanDuration = HumanDuration::days(400);
