//! A rendering for the longest plausible client: what does not work with that would fail in life, one message at a time.

use crate::api::{Field, FieldOwner, FieldType};
use crate::content::{Context, Encoding, ItemText, RenderError, RenderedItem, Sender, Texts, Tracking, render_item};
use crate::links::{Keys, RandomError};
use crate::model::{Address, CopyId, EffectRef, Email, FieldValue, Phone};

/// A public address of usual length; the real one is not known when manifests are checked.
const BASE_URL: &str = "https://go.example.com";

/// Parts of the longest SMS of a list, for the longest plausible client. `None`: the list has none.
#[must_use]
pub fn longest_sms(texts: &Texts, list: &str, brand_title: &str, fields: &[Field]) -> Option<u32> {
    let items = texts.items.iter().filter(|((of, _), _)| of == list);
    let parts = items.filter_map(|(_, item)| render(item, None, None, brand_title, fields).ok()?.preview.segments);
    parts.map(|counted| counted.parts).max()
}

/// Made-up values for all that a body of an item names, those with a default included: of each field's type, and of the greatest
/// plausible length.
#[must_use]
pub fn longest_client(
    text: &ItemText,
    variant: Option<&str>,
    language: Option<&str>,
    brand_title: &str,
    fields: &[Field],
) -> Context {
    let body = text.body_for(variant, language);
    let paths: Vec<String> = body
        .templates()
        .into_iter()
        .chain(text.links.iter().map(|(_, target)| target))
        .chain(sender_templates(&text.sender))
        .flat_map(crate::content::Template::references)
        .collect();
    let mut context = Context::sample(paths.iter().map(String::as_str), brand_title, language);
    for field in fields {
        let root = match field.of {
            FieldOwner::Deal => "deal",
            FieldOwner::Client => "client",
        };
        let value = match field.kind {
            None | Some(FieldType::String) => continue,
            Some(FieldType::Number) => FieldValue::Number(123_456_789.0),
            Some(FieldType::Boolean) => FieldValue::Bool(true),
            Some(FieldType::Date) => FieldValue::Text("2027-09-30T12:00:00Z".into()),
        };
        context = context.with(&format!("{root}.{}", field.name), &value);
    }
    context
}

/// How an SMS exceeds its channel.
pub(super) struct TooLong {
    pub parts: u32,
    pub max: u32,
    /// How many characters have to go, about.
    pub over: u32,
}

pub(super) enum Trial {
    Fine,
    TooLong(TooLong),
    Fails(RenderError),
}

/// Renders one body of an item: the one of `variant`, else of `language`, else the item's own.
pub(super) fn trial(text: &ItemText, variant: Option<&str>, language: Option<&str>, brand_title: &str, fields: &[Field]) -> Trial {
    match render(text, variant, language, brand_title, fields) {
        Ok(rendered) => {
            let (Sender::Sms(sender), Some(counted)) = (&text.sender, rendered.preview.segments) else { return Trial::Fine };
            if counted.parts <= sender.max_parts {
                return Trial::Fine;
            }
            let room = match (counted.encoding, sender.max_parts) {
                (Encoding::Gsm7, 1) => 160,
                (Encoding::Gsm7, n) => 153 * n,
                (Encoding::Ucs2, 1) => 70,
                (Encoding::Ucs2, n) => 67 * n,
            };
            Trial::TooLong(TooLong { parts: counted.parts, max: sender.max_parts, over: counted.units.saturating_sub(room).max(1) })
        }
        Err(error) => Trial::Fails(error),
    }
}

fn render(
    text: &ItemText,
    variant: Option<&str>,
    language: Option<&str>,
    brand_title: &str,
    fields: &[Field],
) -> Result<RenderedItem, RenderError> {
    let mut text = text.clone();
    // Counted here, so that the answer says by how much.
    if let Sender::Sms(sender) = &mut text.sender {
        sender.max_parts = u32::MAX;
    }
    let context = longest_client(&text, variant, language, brand_title, fields);
    let to = match &text.sender {
        Sender::Sms(_) => Phone::parse("+79990000000", "RU").map(Address::Phone),
        Sender::Email(_) => Email::parse("client@example.com").map(Address::Email),
    };
    let Ok(to) = to else { return Err(RenderError::Medium) };
    let keys = Keys::derive(&[0; 32]);
    // Every code has the same length; which one it is does not matter here.
    let random = |bytes: &mut [u8]| -> Result<(), RandomError> {
        bytes.fill(0);
        Ok(())
    };
    let tracking = Tracking {
        base_url: Some(BASE_URL),
        keys: &keys,
        effect: EffectRef { copy: CopyId(0), seq: 0 },
        random: &random,
        to: &to,
        as_manager: false,
        message_id_domain: "example.com",
        key: uuid::Uuid::nil(),
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    render_item(&text, variant, language, &context, &tracking)
}

fn sender_templates(sender: &Sender) -> impl Iterator<Item = &crate::content::Template> {
    let (name, reply) = match sender {
        Sender::Email(email) => (email.manager_name.as_ref(), email.manager_reply_to.as_ref()),
        Sender::Sms(_) => (None, None),
    };
    name.into_iter().chain(reply)
}
