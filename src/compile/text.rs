//! Bodies and links of items: templates, targets, how long an SMS becomes.

use super::{
    finding::{Findings, Reason, member},
    names::{Names, UNSUBSCRIBE, Use},
};
use crate::api::{BodyFormat, EmailText, SmsText};
use crate::content::{Body, EmailBody, EmailSource, Escape, Template};
use std::collections::{BTreeMap, BTreeSet};

/// A compiled body, with what was seen in it.
pub(super) struct Read {
    pub body: Body,
    /// Names of links it uses.
    pub links: BTreeSet<String>,
}

pub(super) fn sms(text: &SmsText, names: &Names, declared: &BTreeSet<String>, path: &str, found: &mut Findings) -> Option<Read> {
    let path = format!("{path}.sms.text");
    let template = names.template(&text.text, Escape::Text, Use::Item(declared), &path, found)?;
    untracked(&text.text, &path, found);
    Some(read(Body::Sms(template.clone()), &[&template]))
}

/// `advertising`: an own HTML must show how to stop.
pub(super) fn email(
    text: &EmailText,
    names: &Names,
    declared: &BTreeSet<String>,
    advertising: bool,
    path: &str,
    found: &mut Findings,
) -> Option<Read> {
    let path = format!("{path}.email");
    let mut part = |source: Option<&String>, escape, member: &str| {
        source.map(|s| names.template(s, escape, Use::Item(declared), &format!("{path}.{member}"), found))
    };
    let subject = part(Some(&text.subject), Escape::Header, "subject").flatten();
    let preheader = part(text.preheader.as_ref(), Escape::Html, "preheader");
    let markdown = part(text.markdown.as_ref(), Escape::Markdown, "markdown");
    let html = part(text.html.as_ref(), Escape::Html, "html");
    let plain = part(text.text.as_ref(), Escape::Text, "text");
    let one_line = text.subject.chars().any(|c| c == '\n' || c == '\r');
    if one_line {
        found.error(
            &format!("{path}.subject"),
            Reason::InvalidValue,
            "the subject has several lines",
            "write it on one line, in quotes",
        );
    }
    let source = match (markdown, html, &text.body_from) {
        (Some(markdown), None, None) => {
            untracked(text.markdown.as_deref().unwrap_or_default(), &format!("{path}.markdown"), found);
            EmailSource::Markdown(markdown?)
        }
        (None, Some(html), None) => {
            let html = html?;
            let unsubscribe = format!("links.{UNSUBSCRIBE}");
            if advertising && !html.references().contains(&unsubscribe) {
                found.error(
                    &format!("{path}.html"),
                    Reason::NoOptOut,
                    "the email does not show how to stop it",
                    "add <a href=\"{{ links.unsubscribe }}\">Unsubscribe</a>",
                );
            }
            EmailSource::Html(html)
        }
        // A body from a ConfigMap was put in place of `bodyFrom` before, unless it is missing, which was told.
        (None, None, Some(_)) => return None,
        _ => {
            found.error(
                &path,
                Reason::InvalidUnion,
                "exactly one of markdown, html, bodyFrom must be set",
                "write the body under markdown: |",
            );
            return None;
        }
    };
    let (subject, preheader, plain) =
        (subject?, preheader.map_or(Some(None), |p| p.map(Some))?, plain.map_or(Some(None), |p| p.map(Some))?);
    let main = match &source {
        EmailSource::Markdown(t) | EmailSource::Html(t) => t.clone(),
    };
    let parts: Vec<Template> =
        [Some(subject.clone()), preheader.clone(), Some(main), plain.clone()].into_iter().flatten().collect();
    let parts: Vec<&Template> = parts.iter().collect();
    Some(read(Body::Email(EmailBody { subject, preheader, source, text: plain }), &parts))
}

/// Puts a body that stood in a `ConfigMap` where the item says.
pub(super) fn place(text: &mut EmailText, body: String) {
    match text.body_from.take().and_then(|from| from.format).unwrap_or_default() {
        BodyFormat::Markdown => text.markdown = Some(body),
        BodyFormat::Html => text.html = Some(body),
    }
}

fn read(body: Body, parts: &[&Template]) -> Read {
    let links = parts.iter().flat_map(|t| t.references()).filter_map(|r| r.strip_prefix("links.").map(str::to_owned)).collect();
    Read { body, links }
}

/// What the client or the deal has to have; the rest is ours.
pub(super) fn is_value(path: &str) -> bool {
    ["client.", "deal.", "manager."].iter().any(|root| path.starts_with(root))
}

/// An address written into a text leads past us: the click is not seen, and wakes nobody.
fn untracked(source: &str, path: &str, found: &mut Findings) {
    for line in source.lines() {
        let written = line.find("https://").or_else(|| line.find("http://"));
        if let Some(start) = written
            // Pictures are not clicked.
            && !line.get(..start).unwrap_or_default().contains("![")
        {
            let address: String = line
                .get(start..)
                .unwrap_or_default()
                .chars()
                .take_while(|c| !c.is_whitespace() && !matches!(c, ')' | '"' | '>' | '{'))
                .collect();
            found.warn(
                path,
                Reason::UntrackedLink,
                format!("{address} is written into the text: clicks on it are not seen"),
                "declare it in links, like links: {offer: \"https://…\"}, and write {{ links.offer }}",
            );
        }
    }
}

/// Declared targets in a fixed order, by name.
pub(super) fn links(
    declared: &BTreeMap<String, String>,
    used: Option<&BTreeSet<String>>,
    names: &Names,
    path: &str,
    found: &mut Findings,
) -> Vec<(String, Template)> {
    let mut list = Vec::new();
    for (name, target) in declared {
        let path = member(&format!("{path}.links"), name);
        let word =
            name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !word {
            let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            found.error(
                &path,
                Reason::InvalidLink,
                format!("{name:?} cannot be named in a text"),
                format!("write a name of letters, digits and _, like {plain}"),
            );
            continue;
        }
        if name == UNSUBSCRIBE {
            found.error(
                &path,
                Reason::InvalidLink,
                "links.unsubscribe is there already: it leads to our page with one button",
                "leave it out, or choose another name",
            );
            continue;
        }
        if used.is_some_and(|used| !used.contains(name)) {
            found.warn(
                &path,
                Reason::UnusedLink,
                format!("no text uses the link {name}"),
                format!("write {{{{ links.{name} }}}} where it belongs, or remove it"),
            );
        }
        if let Some(template) = names.template(target, Escape::UrlParts, Use::Target, &path, found)
            && target_is_safe(target, &path, found)
        {
            list.push((name.clone(), template));
        }
    }
    list
}

/// Absolute, https, and to a host that no client's data can change.
fn target_is_safe(source: &str, path: &str, found: &mut Findings) -> bool {
    let fixed = source
        .find("{{")
        .into_iter()
        .chain(source.find("{%"))
        .chain(source.find("{#"))
        .min()
        .map_or(source, |i| source.get(..i).unwrap_or_default());
    let complete = fixed.len() == source.len();
    let example = "write a whole address like \"https://example.com/offer?city={{ client.city }}\"";
    let Some((scheme, rest)) = fixed.split_once("://") else {
        let what = if complete {
            format!("{source:?} is not a whole web address")
        } else {
            "the address does not begin with https:// and a host".into()
        };
        found.error(path, Reason::InvalidLink, what, example);
        return false;
    };
    let Some(end) = rest.find(['/', '?', '#']).or(complete.then_some(rest.len())) else {
        found.error(path, Reason::InvalidLink, "the host of the address is made of values: it could lead anywhere", example);
        return false;
    };
    let host = rest.get(..end).unwrap_or_default();
    let parsed = url::Url::parse(&format!("{scheme}://{host}/")).ok();
    let ok = match parsed.as_ref() {
        Some(url) if !url.username().is_empty() || url.password().is_some() => false,
        Some(url) => match url.scheme() {
            "https" => url.has_host(),
            "http" => match url.host() {
                Some(url::Host::Domain(name)) => name == "localhost",
                Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
                Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
                None => false,
            },
            _ => false,
        },
        None => false,
    };
    if !ok {
        let what = match parsed.as_ref().map(url::Url::scheme) {
            Some("http") => format!("{host} is reached without https"),
            Some("https") => format!("{host:?} is not a plain host"),
            _ => format!("{scheme}:// does not lead to a web page"),
        };
        found.error(path, Reason::InvalidLink, what, example);
    }
    ok
}
