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
