//! Bodies and links of items: templates, targets, how long an SMS becomes.

use super::{
    finding::{Findings, Reason, member},
    names::{Names, UNSUBSCRIBE, Use},
};
use crate::api::{BodyFormat, EmailText, Field, FieldOwner, FieldType, SmsText};
use crate::content::{Body, EmailBody, EmailSource, Escape, Oddity, Template};
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
    undecoded(&text.text, &path, found);
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
    let written = [("subject", Some(&text.subject)), ("markdown", text.markdown.as_ref()), ("html", text.html.as_ref())];
    for (member, text) in written.into_iter().chain([("preheader", text.preheader.as_ref()), ("text", text.text.as_ref())]) {
        undecoded(text.map_or("", String::as_str), &format!("{path}.{member}"), found);
    }
    untracked(text.text.as_deref().unwrap_or_default(), &format!("{path}.text"), found);
    let source = match (markdown, html, &text.body_from) {
        (Some(markdown), None, None) => {
            let path = format!("{path}.markdown");
            untracked(text.markdown.as_deref().unwrap_or_default(), &path, found);
            let markdown = markdown?;
            for oddity in markdown.oddities() {
                odd(&oddity, &path, found);
            }
            EmailSource::Markdown(markdown)
        }
        (None, Some(html), None) => {
            untracked_html(text.html.as_deref().unwrap_or_default(), &format!("{path}.html"), found);
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

/// Addresses of one text that are told.
const MOST: usize = 20;
/// How far before an address its tag or its label is looked for.
const NEAR: usize = 1000;

/// An address written into a text leads past us: the click is not seen, and wakes nobody.
fn untracked(source: &str, path: &str, found: &mut Findings) {
    let mut told = BTreeSet::new();
    for line in source.lines() {
        for (start, _) in line.match_indices("http") {
            let (before, from) = line.split_at(start);
            let address = address(from);
            // Pictures are not clicked.
            if !address.is_empty() && !shows_picture(before) && told.len() < MOST && told.insert(address) {
                passes_by(address, path, found);
            }
        }
    }
}

/// The same in own HTML, where only some addresses are clicked.
fn untracked_html(source: &str, path: &str, found: &mut Findings) {
    let mut told = BTreeSet::new();
    for (start, _) in source.match_indices("http") {
        let (before, from) = source.split_at(start);
        let (_, before) = before.split_at(before.floor_char_boundary(before.len().saturating_sub(NEAR)));
        let before = before.strip_suffix(['"', '\'']).unwrap_or(before).trim_end();
        let Some((_, tag)) = before.strip_suffix('=').and_then(|before| before.rsplit_once('<')) else { continue };
        let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let attribute = tag.trim_end().rsplit(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).next().unwrap_or_default();
        let clicked =
            ["a", "area"].iter().any(|clicked| name.eq_ignore_ascii_case(clicked)) && attribute.eq_ignore_ascii_case("href");
        let address = address(from);
        if clicked && !address.is_empty() && told.len() < MOST && told.insert(address) {
            passes_by(address, path, found);
        }
    }
}

/// The address that a text begins with; empty: none.
fn address(text: &str) -> &str {
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return "";
    }
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, ')' | '"' | '\'' | '<' | '>' | '{'));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Whether the address that follows in Markdown is a picture's: behind `![…](`.
fn shows_picture(before: &str) -> bool {
    let Some(label) = before.trim_end().strip_suffix("](") else { return false };
    let mut open = 1;
    for (at, c) in label.char_indices().rev().take(NEAR) {
        match c {
            ']' => open += 1,
            '[' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return label.get(..at).is_some_and(|before| before.ends_with('!'));
        }
    }
    false
}

fn passes_by(address: &str, path: &str, found: &mut Findings) {
    found.warn(
        path,
        Reason::UntrackedLink,
        format!("{address} is written into the text: clicks on it are not seen"),
        "declare it in links, like links: {offer: \"https://…\"}, and write {{ links.offer }}",
    );
}

/// What was read in another encoding than it was written in.
fn undecoded(source: &str, path: &str, found: &mut Findings) {
    if source.contains(char::REPLACEMENT_CHARACTER) {
        found.warn(
            path,
            Reason::InvalidValue,
            "it has signs that nobody can read (\u{fffd}): it was not saved as UTF-8",
            "write it anew, and save it as UTF-8",
        );
    }
}

/// Warnings: what was in force with it stays in force.
fn odd(oddity: &Oddity, path: &str, found: &mut Findings) {
    let (reason, what, help) = match oddity {
        Oddity::NoAddress(address) => (
            Reason::InvalidLink,
            format!("{address:?} is no web address: its words stay, but there is nothing to click"),
            "write the whole address with https://, declared in links",
        ),
        Oddity::Brackets(address) => (
            Reason::InvalidLink,
            format!("{address:?} is no address, so clients see the brackets of the link"),
            "write an address without blanks, like tel:+79990000000, or declare it in links",
        ),
        Oddity::ValueInAddress(address) => (
            Reason::InvalidLink,
            format!("a value stands in {address}, where it is not encoded: some values would lead elsewhere"),
            "declare the address in links, with the value in it, and write {{ links.NAME }}",
        ),
        Oddity::NoWords => {
            (Reason::InvalidLink, "a link has no words: there is nothing to click".into(), "write [some words]({{ links.NAME }})")
        }
        Oddity::Html(html) => (
            Reason::InvalidValue,
            format!("{html} is HTML, and clients read it as it stands here"),
            "write Markdown (two blanks at its end break a line, **words** are bold), or the whole body under html:",
        ),
        Oddity::Indented(line) => (
            Reason::InvalidValue,
            format!("{line:?} begins with four blanks, so it is shown as code"),
            "begin it at the margin; put what is meant as code between two lines of ```",
        ),
    };
    found.warn(path, reason, what, help);
}

/// Values that the CRM keeps in a form for programs, and that are printed so.
pub(super) fn formless(body: &Body, fields: &[Field], path: &str, found: &mut Findings) {
    let printed: BTreeSet<&str> = body.templates().into_iter().flat_map(Template::bare_values).collect();
    for field in fields {
        let owner = if field.of == FieldOwner::Deal { "deal" } else { "client" };
        let name = format!("{owner}.{}", field.name);
        if !printed.contains(name.as_str()) {
            continue;
        }
        match field.kind {
            Some(FieldType::Date) => found.warn(
                path,
                Reason::InvalidValue,
                format!("{name} is a date, and is sent as the CRM keeps it, like 2027-09-30T12:00:00Z"),
                format!("write {{{{ {name} | date }}}} or {{{{ {name} | date('long') }}}}"),
            ),
            Some(FieldType::Boolean) => found.warn(
                path,
                Reason::InvalidValue,
                format!("{name} is a yes or no, and is sent as true or false"),
                format!("write {{% if {name} %}} … {{% endif %}}"),
            ),
            _ => {}
        }
    }
}

/// Words that are added to links: what looks like a value there is none.
pub(super) fn utm(words: &BTreeMap<String, String>, found: &mut Findings) {
    for (name, word) in words {
        if word.contains("{{") || word.contains("{%") {
            found.warn(
                &member("spec.utm", name),
                Reason::InvalidValue,
                format!("{word} is added as it stands: utm knows no values"),
                "write a plain word here; put a value into the link itself, like https://example.com/?utm_content={{ deal.id }}",
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
            None if matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") => format!("{host:?} is no host"),
            _ => format!("{scheme}:// does not lead to a web page"),
        };
        found.error(path, Reason::InvalidLink, what, example);
    }
    ok
}
