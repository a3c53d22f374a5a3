//! An email: Markdown in the default look or own HTML, the plain text beside it, footer and sender.

use super::{
    Context, EmailBody, EmailMessage, EmailSender, EmailSource, ItemText, Preview, RenderError, Rendered, RenderedItem, Template,
    Tracking, html_text,
    item::Tongue,
    layout::{self, Colors, Page},
    markdown::{self, Look},
    mime::{self, Mime, Unsubscribe},
    render::hash,
    template::Escape,
};
use crate::{
    links::{self, ClickToken, HONEYPOT},
    model::Email,
};

/// What an email is made of.
pub struct Letter<'a> {
    pub item: &'a ItemText,
    pub body: &'a EmailBody,
    pub sender: &'a EmailSender,
    /// `None`: it has no words of its own.
    pub tongue: Option<Tongue>,
}

pub fn render(
    letter: &Letter<'_>,
    targets: Vec<String>,
    context: &Context,
    tracking: &Tracking<'_>,
    to: &str,
) -> Result<RenderedItem, RenderError> {
    let Letter { item, body, sender, .. } = *letter;
    let day = links::unix_day(tracking.now);
    let unsubscribe = tracking.base_url.map(|base| links::unsubscribe_url(base, &tracking.keys.unsubscribe_token(tracking.effect)));
    let click_url = |link| {
        let token = ClickToken { effect: tracking.effect, link, day };
        Some(links::click_url(tracking.base_url?, &tracking.keys.click_token(token)))
    };
    let addresses = item.addresses(&targets, unsubscribe.clone(), |number| click_url(i16::try_from(number).ok()?));
    // What a mail program fetches by itself is no click.
    let pictures = item.addresses(&targets, None, |_| None);
    let subject = one_line(&body.subject.render_as(Escape::Header, context, &addresses)?);
    if subject.is_empty() {
        return Err(RenderError::Empty);
    }
    let preheader = match &body.preheader {
        Some(template) => one_line(&template.render_as(Escape::Header, context, &addresses)?),
        None => String::new(),
    };
    let colors = Colors::of(sender.accent_color.as_deref());
    let tongue = letter.tongue.clone().unwrap_or_else(|| Tongue::of_text(&subject));
    let page = Page { sender, tongue: &tongue, subject: &subject, preheader: &preheader, unsubscribe: unsubscribe.as_deref() };
    let own_text = body.text.as_ref().map(|t| t.render_as(Escape::Text, context, &addresses)).transpose()?;
    let (mut html, mut text) = match &body.source {
        EmailSource::Markdown(template) => {
            let source = template.render_as(Escape::Markdown, context, &addresses)?;
            if source.trim().is_empty() {
                return Err(RenderError::Empty);
            }
            let look = Look { accent: &colors.accent, on_accent: colors.on_accent, right_to_left: tongue.right_to_left };
            let made = markdown::render(&source, &addresses, &pictures, look);
            (page.html(&made.html), own_text.unwrap_or(made.text))
        }
        EmailSource::Html(template) => {
            let mut html = template.render_as(Escape::Html, context, &addresses)?;
            if html.trim().is_empty() {
                return Err(RenderError::Empty);
            }
            layout::direct_pictures(&mut html, &addresses, &pictures);
            let text = own_text.unwrap_or_else(|| html_text::text_of(&html));
            if unsubscribe.as_ref().is_none_or(|url| !shows(&html, url)) {
                page.append_foot(&mut html);
            }
            page.insert_preheader(&mut html);
            (html, text)
        }
    };
    if unsubscribe.as_ref().is_none_or(|url| !text.contains(url.as_str())) {
        text = markdown::tidy(&text);
        page.foot_text(&mut text);
    } else if body.text.is_none() {
        page.sign_text(&mut text);
    }
    // Only programs follow what nobody sees; without a link to follow there is nothing to tell apart.
    if !targets.is_empty()
        && let Some(url) = click_url(HONEYPOT)
    {
        layout::hide_link(&mut html, &url);
    }
    let from_name = manager_value(sender.manager_name.as_ref(), context, tracking).unwrap_or_else(|| sender.from_name.clone());
    // A manager without a mailbox, or with one that is none, gets no replies: they go to the brand. The message goes in any case.
    let reply_to = manager_value(sender.manager_reply_to.as_ref(), context, tracking)
        .and_then(|address| Email::parse(&address).ok())
        .map(|address| address.to_ascii_domain().into_owned())
        .or_else(|| sender.reply_to.clone());
    let raw = mime::build(&Mime {
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

/// Whether a reader of this HTML finds the address in it.
fn shows(html: &str, url: &str) -> bool {
    let mut written = String::new();
    Escape::Html.push(&mut written, url);
    html.contains(&written)
}

/// A value over `manager`, if the item is sent as the manager and all of it is known.
fn manager_value(template: Option<&Template>, context: &Context, tracking: &Tracking<'_>) -> Option<String> {
    let template = template.filter(|_| tracking.as_manager)?;
    let text = one_line(&template.render_as(Escape::Header, context, &[]).ok()?);
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
