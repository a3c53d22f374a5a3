//! An SMS: the text, its short links, how to stop it.

use super::{
    Context, ItemText, Language, OptOut, Preview, RenderError, Rendered, RenderedItem, SmsSender, Template, Tracking, item::Tongue,
    markdown, render::hash, segments, smart, template::Escape,
};
use crate::links;

pub fn render(
    item: &ItemText,
    template: &Template,
    sender: &SmsSender,
    targets: Vec<String>,
    context: &Context,
    tracking: &Tracking<'_>,
    tongue: Option<Tongue>,
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
    let language = tongue.map_or_else(|| Language::of(&text), |tongue| tongue.words);
    // What this client reads decides, not what the template names: it may stand in an `if` that does not hold.
    let shown = unsubscribe.as_ref().is_some_and(|url| text.contains(url.as_str()));
    let own_words = || template.render_as(Escape::OwnWords, context, &addresses);
    match &sender.opt_out {
        OptOut::Link if !shown => {
            text.push_str(language.pick("\nОтписка: ", "\nStop: "));
            text.push_str(unsubscribe.as_deref().unwrap_or_default());
        }
        OptOut::Keyword(word) if !shown && !has_word(&own_words()?, word) => {
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

/// Whether a word stands in a text as a word, in any case; not in an address, and not in one that a hyphen joins («нон-стоп»).
fn has_word(text: &str, word: &str) -> bool {
    const HYPHENS: [char; 3] = ['-', '\u{2010}', '\u{2011}'];
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    let words = text.split_whitespace().filter(|words| !words.starts_with("http"));
    let mut words = words.flat_map(|words| words.split(|c: char| !c.is_alphanumeric() && !HYPHENS.contains(&c)));
    words.any(|w| w.trim_matches(HYPHENS) == word)
}
