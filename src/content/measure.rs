//! Whether an item can be rendered for a client, and how many parts its SMS has, at a fraction of a rendering's price: for
//! simulations of millions of messages. An email is not made into HTML and MIME; everything that a client's data can spoil is tried.

use super::{Body, Context, EmailBody, EmailSource, Escape, ItemText, RenderError, preview_item};

/// SMS parts of the item for this client; 1 for an email.
///
/// # Errors
/// What [`super::render_item`] would say of this client, but for a sender or a subject that no header can carry.
pub fn measure_item(
    item: &ItemText,
    variant: Option<&str>,
    language: Option<&str>,
    context: &Context,
    base_url: Option<&str>,
) -> Result<u32, RenderError> {
    let (body, tongue) = item.wording(variant, language);
    match body {
        Body::Sms(_) => {
            let rendered = preview_item(item, variant, language, context, base_url)?;
            Ok(rendered.preview.segments.map_or(1, |counted| counted.parts))
        }
        Body::Email(email) => {
            let context = &context.in_language(tongue.map_or(context.language(), |tongue| tongue.words));
            let tried = item.targets(body, context).and_then(|targets| try_email(item, email, &targets, context));
            tried.map_err(|error| item.blame(error, context)).map(|()| 1)
        }
    }
}

/// Which part of an email cannot be made for this client, as manifests call it; `None`: no single one, or it is an SMS.
#[must_use]
pub fn failing_part(item: &ItemText, variant: Option<&str>, language: Option<&str>, context: &Context) -> Option<&'static str> {
    let body = item.body_for(variant, language);
    let Body::Email(email) = body else { return None };
    let targets = item.targets(body, context).ok()?;
    let addresses = item.addresses(&targets, Some("https://go.example.com/u".into()), |_| None);
    let source = match &email.source {
        EmailSource::Markdown(template) => ("markdown", Some(template), true),
        EmailSource::Html(template) => ("html", Some(template), true),
    };
    let parts = [
        ("subject", Some(&email.subject), true),
        ("preheader", email.preheader.as_ref(), false),
        source,
        ("text", email.text.as_ref(), false),
    ];
    parts.into_iter().find_map(|(name, template, must_say_something)| {
        let made = template?.render_as(Escape::Text, context, &addresses);
        made.map_or(true, |text| must_say_something && text.trim().is_empty()).then_some(name)
    })
}

fn try_email(item: &ItemText, email: &EmailBody, targets: &[String], context: &Context) -> Result<(), RenderError> {
    // Where a link leads is known already; what it looks like changes nothing.
    let addresses = item.addresses(targets, Some("https://go.example.com/u".into()), |_| None);
    if email.subject.render_as(Escape::Header, context, &addresses)?.trim().is_empty() {
        return Err(RenderError::Empty);
    }
    if let Some(preheader) = &email.preheader {
        preheader.render_as(Escape::Header, context, &addresses)?;
    }
    if let Some(text) = &email.text {
        text.render_as(Escape::Text, context, &addresses)?;
    }
    let source = match &email.source {
        EmailSource::Markdown(template) => template.render_as(Escape::Markdown, context, &addresses)?,
        EmailSource::Html(template) => template.render_as(Escape::Html, context, &addresses)?,
    };
    if source.trim().is_empty() { Err(RenderError::Empty) } else { Ok(()) }
}
