//! Markdown to the HTML that mail clients show and to plain text, in one walk.
//!
//! Raw HTML is shown as text, comments are left out. A link alone in its paragraph becomes a button. Styles stand on the elements, because mail
//! clients drop what stands elsewhere.

use super::template::{LINK_END, LINK_START, VALUE, escape_html, whole};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};
use std::fmt::Write as _;

pub struct Output {
    pub html: String,
    pub text: String,
}

/// How it is to look: the colours of links and buttons, and on which side a line begins.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub accent: &'a str,
    pub on_accent: &'a str,
    pub right_to_left: bool,
}

impl Look<'_> {
    /// Where lines begin.
    const fn start(self) -> &'static str {
        if self.right_to_left { "right" } else { "left" }
    }

    /// Room of that many pixels before the beginning of lines, as a `padding`.
    fn indent(self, pixels: u8) -> String {
        if self.right_to_left { format!("0 {pixels}px 0 0") } else { format!("0 0 0 {pixels}px") }
    }
}

const OPTIONS: Options = Options::ENABLE_TABLES.union(Options::ENABLE_STRIKETHROUGH);

/// `links`: addresses by the number that stands between [`LINK_START`] and [`LINK_END`]; `pictures`: those that pictures have.
pub fn render(markdown: &str, links: &[(&str, String)], pictures: &[(&str, String)], look: Look<'_>) -> Output {
    let events: Vec<Event<'_>> = Parser::new_ext(markdown, OPTIONS).collect();
    let mut walker = Walker {
        html: String::with_capacity(markdown.len() * 3),
        text: String::new(),
        links,
        pictures,
        look,
        lists: Vec::new(),
        open: Vec::new(),
        quotes: 0,
        head: false,
        alt: None,
        block: None,
    };
    let mut rest = events.as_slice();
    while let Some((event, after)) = rest.split_first() {
        rest = if matches!(event, Event::Start(Tag::Paragraph)) && walker.button(after) {
            after
                .iter()
                .position(|e| matches!(e, Event::End(TagEnd::Paragraph)))
                .and_then(|i| after.get(i + 1..))
                .unwrap_or_default()
        } else {
            walker.event(event);
            after
        };
    }
    Output { html: walker.html, text: tidy(&walker.text) }
}

/// How deep the plain text shows lists in one another.
const DEEPEST: usize = 8;

struct Walker<'l, 's> {
    html: String,
    text: String,
    links: &'l [(&'s str, String)],
    pictures: &'l [(&'s str, String)],
    look: Look<'l>,
    /// Next number of each open list; `None`: bullets.
    lists: Vec<Option<u64>>,
    /// Open links: address, and where their text began.
    open: Vec<(String, usize)>,
    quotes: usize,
    head: bool,
    /// Inside an image: its alternative text so far.
    alt: Option<(String, String)>,
    /// Inside a block of HTML: its text so far.
    block: Option<String>,
}

impl Walker<'_, '_> {
    /// A paragraph that is one link. True: written.
    fn button(&mut self, after: &[Event<'_>]) -> bool {
        let Some((Event::Start(Tag::Link { dest_url, .. }), inner)) = after.split_first() else { return false };
        let Some(end) = inner.iter().position(|e| matches!(e, Event::End(TagEnd::Link))) else { return false };
        if !matches!(inner.get(end + 1), Some(Event::End(TagEnd::Paragraph))) || !self.lists.is_empty() || self.quotes > 0 {
            return false;
        }
        let mut label = String::new();
        for event in inner.get(..end).unwrap_or_default() {
            match event {
                Event::Text(text) | Event::Code(text) => label.push_str(&resolve(text, self.links)),
                Event::SoftBreak | Event::HardBreak => label.push(' '),
                Event::Start(Tag::Image { .. }) => return false,
                _ => {}
            }
        }
        let url = resolve(dest_url, self.links);
        if !safe(&url) || label.starts_with("http") {
            return false;
        }
        let Look { accent, on_accent, .. } = self.look;
        self.html.push_str(
            "<table role=\"presentation\" border=\"0\" cellpadding=\"0\" cellspacing=\"0\" style=\"margin:8px 0 24px\"><tr>",
        );
        let _ = write!(self.html, "<td bgcolor=\"{accent}\" style=\"border-radius:6px;background-color:{accent}\"><a href=\"");
        escape_html(&mut self.html, &url);
        let _ = write!(
            self.html,
            "\" style=\"display:inline-block;padding:12px 24px;border:1px solid {accent};border-radius:6px;color:{on_accent};font-size:16px;line-height:20px;font-weight:bold;text-decoration:none\">"
        );
        escape_html(&mut self.html, &label);
        self.html.push_str("</a></td></tr></table>\n");
        let _ = write!(self.text, "{label}:\n{url}\n\n");
        true
    }

    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(*tag),
            Event::Text(text) => self.words(text),
            Event::Html(text) | Event::InlineHtml(text) => match &mut self.block {
                Some(block) => block.push_str(text),
                None => self.words(&without_comments(text)),
            },
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.html.push_str("<code style=\"font-family:Menlo,Consolas,monospace;font-size:14px\">");
                self.words(text);
                self.html.push_str("</code>");
            }
            Event::SoftBreak => self.both("\n", "\n"),
            Event::HardBreak => self.both("<br>\n", "\n"),
            Event::Rule => self
                .both("<hr class=\"rk-line\" style=\"margin:24px 0;border:0;border-top:1px solid #d9dee5\">\n", "----------\n\n"),
            Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Paragraph if self.lists.is_empty() => self.html.push_str("<p style=\"margin:0 0 16px\">"),
            Tag::Paragraph => self.html.push_str("<p style=\"margin:0 0 8px\">"),
            Tag::Heading { level, .. } => {
                let (tag, size, line) = heading(*level);
                let above = if self.html.is_empty() { 0 } else { 24 };
                let _ = write!(
                    self.html,
                    "<{tag} style=\"margin:{above}px 0 12px;font-size:{size}px;line-height:{line}px;font-weight:bold\">"
                );
            }
            Tag::BlockQuote(_) => {
                self.quotes += 1;
                let _ = write!(
                    self.html,
                    "<blockquote class=\"rk-line\" style=\"margin:0 0 16px;padding:{};border-{}:3px solid #d9dee5\">",
                    self.look.indent(16),
                    self.look.start()
                );
            }
            Tag::HtmlBlock => self.block = Some(String::new()),
            Tag::CodeBlock(CodeBlockKind::Indented | CodeBlockKind::Fenced(_)) => self.html.push_str(
                "<pre style=\"margin:0 0 16px;font-family:Menlo,Consolas,monospace;font-size:14px;white-space:pre-wrap\">",
            ),
            Tag::List(first) => {
                let tag = match first {
                    None => "ul".to_owned(),
                    Some(1) => "ol".to_owned(),
                    Some(number) => format!("ol start=\"{number}\""),
                };
                let margin = if self.lists.is_empty() { "0 0 16px" } else { "6px 0 0" };
                let _ = writeln!(self.html, "<{tag} style=\"margin:{margin};padding:{}\">", self.look.indent(24));
                if !self.lists.is_empty() && !self.text.ends_with('\n') {
                    self.text.push('\n');
                }
                self.lists.push(*first);
            }
            Tag::Item => {
                // A thousand lists in one another would be a million blanks.
                let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(DEEPEST));
                let marker = match self.lists.last_mut() {
                    Some(Some(n)) => {
                        *n += 1;
                        format!("{}. ", *n - 1)
                    }
                    _ => "- ".into(),
                };
                self.both("<li style=\"margin:0 0 6px\">", &format!("{indent}{marker}"));
            }
            Tag::Table(_) => self
                .html
                .push_str("<table cellpadding=\"0\" cellspacing=\"0\" style=\"margin:0 0 16px;border-collapse:collapse\">\n"),
            Tag::TableHead => {
                self.head = true;
                self.html.push_str("<tr>");
            }
            Tag::TableRow => self.html.push_str("<tr>"),
            Tag::TableCell => {
                let (cell, line) = if self.head { ("th", 2) } else { ("td", 1) };
                let padding = if self.look.right_to_left { "6px 0 6px 16px" } else { "6px 16px 6px 0" };
                let _ = write!(
                    self.html,
                    "<{cell} class=\"rk-line\" align=\"{}\" style=\"padding:{padding};border-bottom:{line}px solid #d9dee5\">",
                    self.look.start()
                );
            }
            Tag::Emphasis => self.html.push_str("<em>"),
            Tag::Strong => self.html.push_str("<strong>"),
            Tag::Strikethrough => self.html.push_str("<s>"),
            Tag::Link { dest_url, link_type, .. } => {
                let scheme = if *link_type == LinkType::Email { "mailto:" } else { "" };
                let url = format!("{scheme}{}", resolve(dest_url, self.links));
                if safe(&url) {
                    self.html.push_str("<a class=\"rk-link\" href=\"");
                    escape_html(&mut self.html, &url);
                    let _ = write!(self.html, "\" style=\"color:{};text-decoration:underline\">", self.look.accent);
                    self.open.push((url, self.text.len()));
                } else {
                    self.open.push((String::new(), self.text.len()));
                }
            }
            Tag::Image { dest_url, .. } => self.alt = Some((resolve(dest_url, self.pictures), String::new())),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => self.both("</p>\n", if self.lists.is_empty() { "\n\n" } else { "\n" }),
            TagEnd::Heading(level) => {
                let closing = format!("</{}>\n", heading(level).0);
                self.both(&closing, "\n\n");
            }
            TagEnd::BlockQuote(_) => {
                self.quotes = self.quotes.saturating_sub(1);
                self.html.push_str("</blockquote>\n");
            }
            TagEnd::HtmlBlock => {
                if let Some(block) = self.block.take() {
                    self.words(&without_comments(&block));
                }
            }
            TagEnd::CodeBlock => self.both("</pre>\n", "\n"),
            TagEnd::List(ordered) => {
                self.lists.pop();
                self.both(if ordered { "</ol>\n" } else { "</ul>\n" }, if self.lists.is_empty() { "\n" } else { "" });
            }
            TagEnd::Item => {
                self.html.push_str("</li>\n");
                if !self.text.ends_with('\n') {
                    self.text.push('\n');
                }
            }
            TagEnd::Table => self.both("</table>\n", "\n"),
            TagEnd::TableHead => {
                self.head = false;
                self.both("</tr>\n", "\n");
            }
            TagEnd::TableRow => self.both("</tr>\n", "\n"),
            TagEnd::TableCell => self.both(if self.head { "</th>" } else { "</td>" }, "   "),
            TagEnd::Emphasis => self.html.push_str("</em>"),
            TagEnd::Strong => self.html.push_str("</strong>"),
            TagEnd::Strikethrough => self.html.push_str("</s>"),
            TagEnd::Link => {
                if let Some((url, from)) = self.open.pop()
                    && !url.is_empty()
                {
                    self.html.push_str("</a>");
                    if self.text.get(from..).is_none_or(|label| label.trim() != url.trim_start_matches("mailto:")) {
                        let _ = write!(self.text, " ({url})");
                    }
                }
            }
            TagEnd::Image => {
                if let Some((url, alt)) = self.alt.take()
                    && (url.starts_with("https://") || url.starts_with("http://"))
                {
                    self.html.push_str("<img src=\"");
                    escape_html(&mut self.html, &url);
                    self.html.push_str("\" alt=\"");
                    escape_html(&mut self.html, &alt);
                    self.html
                        .push_str("\" style=\"display:block;width:100%;max-width:536px;height:auto;border:0;border-radius:6px\">");
                    self.text.push_str(&alt);
                }
            }
            _ => {}
        }
    }

    fn both(&mut self, html: &str, text: &str) {
        self.html.push_str(html);
        self.text.push_str(text);
    }

    /// Text, with declared links in it made clickable.
    fn words(&mut self, text: &str) {
        if let Some((_, alt)) = &mut self.alt {
            alt.push_str(&whole(text));
            return;
        }
        let mut rest = text;
        while let Some(start) = rest.find(LINK_START) {
            let (before, from) = rest.split_at(start);
            self.plain(before);
            let end = from.find(LINK_END).map_or(from.len(), |i| i + LINK_END.len_utf8());
            let (marker, after) = from.split_at(end);
            let url = resolve(marker, self.links);
            if self.open.is_empty() && safe(&url) {
                self.html.push_str("<a class=\"rk-link\" href=\"");
                escape_html(&mut self.html, &url);
                let _ =
                    write!(self.html, "\" style=\"color:{};text-decoration:underline;word-break:break-all\">", self.look.accent);
                self.plain(&url);
                self.html.push_str("</a>");
            } else {
                self.plain(&url);
            }
            rest = after;
        }
        self.plain(rest);
    }

    fn plain(&mut self, text: &str) {
        let text = whole(text);
        escape_html(&mut self.html, &text);
        self.text.push_str(&text);
    }
}

/// Puts addresses in the place of their numbers, and punctuation of values back.
fn resolve(text: &str, links: &[(&str, String)]) -> String {
    let mut out = String::with_capacity(text.len() + 80);
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(LINK_START) {
        out.push_str(&whole(before));
        let (number, after) = from.split_once(LINK_END).unwrap_or((from, ""));
        if let Some((_, url)) = number.parse().ok().and_then(|n: usize| links.get(n)) {
            out.push_str(url);
        }
        rest = after;
    }
    out.push_str(&whole(rest));
    out
}

/// HTML without what its writer meant for nobody. A comment without an end is none.
fn without_comments(html: &str) -> String {
    let (mut out, mut rest) = (String::new(), html);
    while let Some((before, from)) = rest.split_once("<!--")
        && let Some((_, after)) = from.split_once("-->")
    {
        out.push_str(before);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What was written in Markdown and will not be seen as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A link to what is no address: its words stay, the link goes.
    NoAddress(String),
    /// The brackets of a link that is none are shown.
    Brackets(String),
    /// A value stands in an address that is written out: it is put in as it is, not encoded.
    ValueInAddress(String),
    /// A link without words: there is nothing to see or to click.
    NoWords,
    /// HTML is shown as text.
    Html(String),
    /// A line that begins with four blanks is shown as code.
    Indented(String),
}

/// What is odd in a template's outline (both branches of every `if`, signs for links and values), each once.
pub fn oddities(outline: &str) -> Vec<Oddity> {
    let mut found = Vec::new();
    let mut tell = |oddity| {
        if found.len() < MOST && !found.contains(&oddity) {
            found.push(oddity);
        }
    };
    // Words that stand together, in several events; the HTML of a block; whether a code block is an indented one.
    let (mut words, mut block, mut code) = (String::new(), None::<String>, None);
    let mut opened = false;
    for event in Parser::new_ext(outline, OPTIONS) {
        match (&event, code) {
            (Event::Text(text), None) => words.push_str(text),
            (Event::SoftBreak, _) => words.push(' '),
            _ => {
                if let Some((_, from)) = words.split_once("](") {
                    tell(Oddity::Brackets(shown(from.split(')').next().unwrap_or_default())));
                }
                words.clear();
            }
        }
        let begins_link = matches!(event, Event::Start(Tag::Link { .. }));
        match event {
            Event::Start(Tag::Link { dest_url, link_type, .. }) => {
                odd_address(&dest_url, link_type).into_iter().for_each(&mut tell);
            }
            Event::End(TagEnd::Link) if opened => tell(Oddity::NoWords),
            Event::Start(Tag::CodeBlock(kind)) => code = Some(matches!(kind, CodeBlockKind::Indented)),
            Event::End(TagEnd::CodeBlock) => code = None,
            Event::Text(text) if code == Some(true) => tell(Oddity::Indented(shown(text.trim()))),
            Event::Start(Tag::HtmlBlock) => block = Some(String::new()),
            Event::End(TagEnd::HtmlBlock) => odd_html(&block.take().unwrap_or_default()).into_iter().for_each(&mut tell),
            Event::Html(text) | Event::InlineHtml(text) => match &mut block {
                Some(block) => block.push_str(&text),
                None => odd_html(&text).into_iter().for_each(&mut tell),
            },
            _ => {}
        }
        opened = begins_link;
    }
    found
}

fn odd_address(url: &str, kind: LinkType) -> Option<Oddity> {
    if url.starts_with([LINK_START, VALUE]) || kind == LinkType::Email {
        None
    } else if url.starts_with("http") && url.contains(VALUE) {
        Some(Oddity::ValueInAddress(shown(url)))
    } else {
        (!safe(url)).then(|| Oddity::NoAddress(shown(url)))
    }
}

fn odd_html(html: &str) -> Option<Oddity> {
    let rest = without_comments(html);
    let rest = rest.trim();
    (!rest.is_empty() && !rest.starts_with("</")).then(|| Oddity::Html(shown(rest)))
}

/// Oddities of one text that are told.
const MOST: usize = 10;

/// A piece of an outline for people: the beginning of its first line.
fn shown(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let link = format!("{LINK_START}0{LINK_END}");
    first.replace(&link, "…").replace(VALUE, "…").chars().take(60).collect()
}

const fn heading(level: HeadingLevel) -> (&'static str, u8, u8) {
    match level {
        HeadingLevel::H1 => ("h1", 26, 32),
        HeadingLevel::H2 => ("h2", 21, 28),
        _ => ("h3", 17, 24),
    }
}

/// Addresses that a mail may point to.
fn safe(url: &str) -> bool {
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    matches!(scheme.as_str(), "http" | "https" | "mailto" | "tel") && url.contains(':')
}

/// At most one blank line in a row, none at the ends.
pub fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = 0;
    for line in text.lines().map(str::trim_end) {
        blank = if line.is_empty() { blank + 1 } else { 0 };
        if blank < 2 && !(out.is_empty() && line.is_empty()) {
            out.push_str(line);
            out.push('\n');
        }
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Look, Oddity, oddities, render};

    fn both(markdown: &str) -> (String, String) {
        let look = Look { accent: "#1a56db", on_accent: "#ffffff", right_to_left: false };
        let links = [("visit", String::from("https://go.example/r/_a*b_"))];
        let out = render(markdown, &links, &[("visit", String::from("https://novydom.example/a.png"))], look);
        (out.html, out.text)
    }

    #[test]
    fn a_link_alone_is_a_button() {
        let (html, text) = both("[Выбрать время](\u{e000}0\u{e001})\n");
        assert!(
            html.contains("href=\"https://go.example/r/_a*b_\"") && html.contains("bgcolor") && html.contains(">Выбрать время</a>"),
            "{html}"
        );
        assert_eq!(text, "Выбрать время:\nhttps://go.example/r/_a*b_\n");
    }

    #[test]
    fn addresses_are_never_read_as_markdown() {
        let (html, text) = both("Смотрите *тут*: \u{e000}0\u{e001} и [там](\u{e000}0\u{e001}).");
        assert_eq!(html.matches("href=\"https://go.example/r/_a*b_\"").count(), 2, "{html}");
        assert_eq!(text, "Смотрите тут: https://go.example/r/_a*b_ и там (https://go.example/r/_a*b_).\n");
    }

    #[test]
    fn html_in_markdown_is_shown_and_not_obeyed() {
        let (html, _) = both("<script>alert(1)</script>\n\na <b onclick=x>b</b> [x](javascript:alert(1)) ![i](data:x)");
        assert!(
            !html.contains("<script")
                && !html.contains("<b ")
                && !html.contains("javascript:alert(1)\"")
                && !html.contains("data:x"),
            "{html}"
        );
        assert!(html.contains("&lt;script&gt;"));
    }

    #[test]
    fn a_picture_is_fetched_where_it_lies_and_counts_as_no_click() {
        let (html, _) = both("![дом](\u{e000}0\u{e001})\n\n[![дом](\u{e000}0\u{e001})](\u{e000}0\u{e001})");
        assert_eq!(html.matches("<img src=\"https://novydom.example/a.png\"").count(), 2, "{html}");
        assert_eq!(html.matches("/r/_a*b_").count(), 1, "{html}");
    }

    #[test]
    fn what_a_marketer_wrote_for_colleagues_reaches_nobody() {
        let (html, text) = both("Раз <!-- для своих --> два\n\n<!-- и\nэто\n-->\n\n`<!-- код -->` <!-- не закрыт");
        assert!(!html.contains("своих") && !text.contains("своих") && !html.contains("это") && !text.contains("это"), "{html}");
        assert!(text.contains("<!-- код -->") && text.contains("<!-- не закрыт"), "{text}");
    }

    #[test]
    fn a_mailbox_in_brackets_can_be_written_to() {
        let (html, text) = both("Пишите: <sales@novydom.example>");
        assert!(html.contains("href=\"mailto:sales@novydom.example\""), "{html}");
        assert_eq!(text, "Пишите: sales@novydom.example\n");
    }

    #[test]
    fn a_list_that_begins_with_three_begins_with_three_in_both_parts() {
        let (html, text) = both("3. три\n4. четыре");
        assert!(html.contains("<ol start=\"3\" ") && text.contains("3. три\n4. четыре"), "{html} {text}");
    }

    #[test]
    fn a_text_from_the_right_has_its_bullets_and_lines_on_the_right() {
        let look = Look { accent: "#1a56db", on_accent: "#ffffff", right_to_left: true };
        let html = render("- א\n\n> ב\n\n| א |\n|---|\n| ב |", &[], &[], look).html;
        assert!(html.contains("<ul style=\"margin:0 0 16px;padding:0 24px 0 0\">") && html.contains("border-right:3px"), "{html}");
        assert!(html.contains("align=\"right\"") && !html.contains("align=\"left\""), "{html}");
    }

    #[test]
    fn what_readers_will_not_see_as_it_was_meant_is_noticed() {
        for (outline, want) in [
            ("[Каталог](novydom.example/plans)", Some(Oddity::NoAddress("novydom.example/plans".into()))),
            ("[x](www.example.com)", Some(Oddity::NoAddress("www.example.com".into()))),
            ("a [тел](tel:+7 999) b", Some(Oddity::Brackets("tel:+7 999".into()))),
            ("<sales@novydom.example> [почта](mailto:\u{e002})", None),
            ("[a](\u{e000}0\u{e001}) [b](\u{e002}) [c](https://a.example/x) **\u{e002}**", None),
            ("[Каталог](https://a.example/?c=\u{e002})", Some(Oddity::ValueInAddress("https://a.example/?c=…".into()))),
            ("[](\u{e000}0\u{e001})", Some(Oddity::NoWords)),
            ("[![дом](\u{e000}0\u{e001})](\u{e000}0\u{e001})", None),
            ("Здравствуйте!<br>Да", Some(Oddity::Html("<br>".into()))),
            ("<div>\nx\n</div>", Some(Oddity::Html("<div>".into()))),
            ("a <!-- для своих -->\n\n<!-- и\nэто -->", None),
            ("a\n\n    [Каталог](\u{e000}0\u{e001})\n", Some(Oddity::Indented("[Каталог](…)".into()))),
            ("```\n<b>[x](y z)\n```\n\n- a\n  - b\n\n`[x](y z)`", None),
        ] {
            assert_eq!(oddities(outline), Vec::from_iter(want), "{outline}");
        }
    }

    #[test]
    fn blocks_have_a_plain_form() {
        let (html, text) =
            both("# Дом\n\n- раз\n- два\n  1. три\n\n> цитата\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nконец  \nстроки");
        assert_eq!(text, "Дом\n\n- раз\n- два\n  1. три\n\nцитата\n\na   b\n1   2\n\nконец\nстроки\n");
        assert!(html.contains("<h1 ") && html.contains("<ol ") && html.contains("<th ") && html.contains("<br>"));
    }
}
