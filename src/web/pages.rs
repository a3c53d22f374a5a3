//! The pages that clients see, in Russian and English: one card, no script, no cookie, nothing loaded from elsewhere.

use crate::model::Medium;
use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};

const CSS: &str = include_str!("pages.css");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Russian,
    English,
}

impl Language {
    const ALL: [Self; 2] = [Self::Russian, Self::English];

    const fn code(self) -> &'static str {
        match self {
            Self::Russian => "ru",
            Self::English => "en",
        }
    }

    /// The language the visitor prefers among ours (RFC 9110 §12.5.4), else `fallback`.
    pub fn of(headers: &HeaderMap, fallback: &str) -> Self {
        let fallback = Self::ALL.into_iter().find(|l| l.code() == fallback).unwrap_or(Self::English);
        let Some(accept) = headers.get(ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()) else { return fallback };
        let mut best = (0.0_f32, fallback);
        for range in accept.split(',').take(20) {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let quality = match parameters.trim().strip_prefix("q=") {
                Some(q) => q.trim().parse::<f32>().unwrap_or(0.0),
                None => 1.0,
            };
            let primary = tag.trim().split('-').next().unwrap_or_default();
            let language = Self::ALL.into_iter().find(|l| l.code().eq_ignore_ascii_case(primary));
            if let Some(language) = language.or((primary == "*").then_some(fallback))
                && quality > best.0
            {
                best = (quality, language);
            }
        }
        best.1
    }

    const fn pick(self, russian: &'static str, english: &'static str) -> &'static str {
        match self {
            Self::Russian => russian,
            Self::English => english,
        }
    }
}

/// What most people read where an installation's clients are at home.
pub(super) fn language_of(region: &str) -> &'static str {
    let russian = ["RU", "BY", "KZ", "KG"].iter().any(|r| r.eq_ignore_ascii_case(region));
    if russian { Language::Russian.code() } else { Language::English.code() }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Page<'a> {
    /// One button. `brand` and `medium` are `None` when the store cannot tell now.
    Unsubscribe {
        brand: Option<&'a str>,
        medium: Option<Medium>,
    },
    Unsubscribed {
        brand: &'a str,
        only: Option<Medium>,
    },
    /// Nothing was done: the store is away.
    TryAgain,
    /// Wrong, expired, unknown: all the same.
    NotFound,
    /// Anything else that a browser may run into.
    Refused,
}

pub(super) fn render(language: Language, page: &Page<'_>) -> String {
    let (title, body) = contents(language, page);
    format!(
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\"><title>{title}</title>\
         <style>{CSS}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>\n",
        language.code(),
    )
}

fn contents(language: Language, page: &Page<'_>) -> (&'static str, String) {
    let say = |russian, english| language.pick(russian, english);
    match page {
        Page::Unsubscribe { brand, medium } => {
            (say("Отписаться от рассылки?", "Unsubscribe?"), unsubscribe(language, *brand, *medium))
        }
        Page::Unsubscribed { brand, only } => {
            let brand = escape(brand);
            let done = match (language, only) {
                (Language::Russian, None) => format!("Рекламных сообщений от «{brand}» больше не будет."),
                (Language::Russian, Some(Medium::Sms)) => format!("Рекламных СМС от «{brand}» больше не будет."),
                (Language::Russian, Some(Medium::Email)) => format!("Рекламных писем от «{brand}» больше не будет."),
                (Language::English, None) => format!("You will get no more advertising from “{brand}”."),
                (Language::English, Some(Medium::Sms)) => format!("You will get no more advertising texts from “{brand}”."),
                (Language::English, Some(Medium::Email)) => format!("You will get no more advertising emails from “{brand}”."),
            };
            let close = say("Страницу можно закрыть.", "You can close this page.");
            (say("Вы отписаны", "You are unsubscribed"), format!("<p role=\"status\">{done}</p><p class=\"soft\">{close}</p>"))
        }
        Page::TryAgain => (
            say("Не получилось", "That did not work"),
            paragraph(say(
                "Сейчас мы не можем этого сделать. Обновите страницу через минуту.",
                "We cannot do this right now. Please reload the page in a minute.",
            )),
        ),
        Page::NotFound => (
            say("Ссылка не найдена", "Link not found"),
            paragraph(say(
                "Она устарела или скопирована не полностью. Откройте её ещё раз из сообщения.",
                "It has expired or was not copied whole. Please open it again from the message.",
            )),
        ),
        Page::Refused => (
            say("Так не получится", "This cannot be done"),
            paragraph(say("Откройте ссылку из сообщения ещё раз.", "Please open the link from the message again.")),
        ),
    }
}

fn paragraph(text: &str) -> String {
    format!("<p>{text}</p>")
}

fn unsubscribe(language: Language, brand: Option<&str>, medium: Option<Medium>) -> String {
    let say = |russian, english| language.pick(russian, english);
    let intro = match (language, brand.map(escape)) {
        (Language::Russian, Some(brand)) => format!("«{brand}» больше не будет присылать вам рекламу."),
        (Language::English, Some(brand)) => format!("“{brand}” will send you no more advertising."),
        (_, None) => say("Мы больше не будем присылать вам рекламу.", "We will send you no more advertising.").into(),
    };
    let narrower = match medium {
        Some(Medium::Sms) => Some(say("Только СМС", "Text messages only")),
        Some(Medium::Email) => Some(say("Только письма", "Emails only")),
        None => None,
    };
    let choice = narrower.map_or(String::new(), |narrower| {
        format!(
            "<fieldset><legend>{}</legend><label><input type=\"radio\" name=\"scope\" value=\"all\" checked><span>{}</span></label>\
             <label><input type=\"radio\" name=\"scope\" value=\"medium\"><span>{narrower}</span></label></fieldset>",
            say("От чего отписаться", "What to stop"),
            say("Вся реклама: письма и СМС", "All advertising: emails and texts"),
        )
    });
    format!(
        "<p>{intro}</p><form method=\"post\">{choice}<button type=\"submit\">{}</button></form><p class=\"soft\">{}</p>",
        say("Отписаться", "Unsubscribe"),
        say(
            "Сообщения о ваших заказах и обращениях будут приходить как раньше.",
            "Messages about your own orders and requests will still arrive.",
        ),
    )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Language, Page, render};
    use axum::http::{HeaderMap, HeaderValue, header::ACCEPT_LANGUAGE};

    #[test]
    fn the_visitors_language() {
        for (accept, fallback, want) in [
            (None, "en", Language::English),
            (None, "ru", Language::Russian),
            (Some("ru-RU,ru;q=0.9,en;q=0.8"), "en", Language::Russian),
            (Some("en-GB,en;q=0.9,ru;q=0.8"), "ru", Language::English),
            (Some("de,ru;q=0.5,en;q=0.7"), "ru", Language::English),
            (Some("de-DE"), "ru", Language::Russian),
            (Some("*"), "ru", Language::Russian),
            (Some("ru;q=0"), "en", Language::English),
            (Some("ru;q=x,,;"), "en", Language::English),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(accept));
            }
            assert_eq!(Language::of(&headers, fallback), want, "{accept:?}");
        }
    }

    #[test]
    fn a_brand_cannot_carry_markup() {
        let page = render(Language::English, &Page::Unsubscribe { brand: Some("<b>&\"x"), medium: None });
        assert!(page.contains("&lt;b&gt;&amp;&quot;x") && !page.contains("<b>"));
    }

    #[test]
    fn pages_load_nothing() {
        for page in [Page::NotFound, Page::TryAgain, Page::Refused, Page::Unsubscribe { brand: None, medium: None }] {
            let html = render(Language::Russian, &page);
            assert!(!html.contains("http") && !html.contains("<script") && !html.contains("src="));
        }
    }
}
