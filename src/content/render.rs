//! One item for one client: the exact bytes that a provider gets.

use super::{Body, Context, EmailMessage, ItemText, RenderError, Segments, Sender, email, sms};
use crate::{
    links::{Keys, Random},
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

/// The message as people read it. Personal data: no `Debug`.
#[derive(Clone, Default, Serialize)]
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
    let (body, tongue) = item.wording(variant, language);
    let context = &context.in_language(tongue.as_ref().map_or(context.language(), |tongue| tongue.words));
    let targets = item.targets(body, context)?;
    match (body, &item.sender, tracking.to) {
        (Body::Sms(template), Sender::Sms(sender), Address::Phone(_)) => {
            sms::render(item, template, sender, targets, context, tracking, tongue)
        }
        (Body::Email(body), Sender::Email(sender), Address::Email(to)) => {
            let letter = email::Letter { item, body, sender, tongue };
            email::render(&letter, targets, context, tracking, &to.to_ascii_domain())
        }
        _ => Err(RenderError::Medium),
    }
    .map_err(|error| item.blame(error, context))
}

/// SHA-256, base64url.
pub(super) fn hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}
