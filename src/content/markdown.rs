//! Markdown to the HTML that mail clients show and to plain text, in one walk.
//!
//! Raw HTML is shown as text. A link alone in its paragraph becomes a button. Styles stand on the elements, because mail
//! clients drop what stands elsewhere.

use super::template::{LINK_END, LINK_START, escape_html, whole};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use std::fmt::Write as _;

pub struct Output {
    pub html: String,
    pub text: String,
}

/// `links`: addresses by the number that stands between [`LINK_START`] and [`LINK_END`]. `accent` and `on_accent` are colours
/// of links and buttons.
pub fn render(markdown: &str, links: &[(&str, String)], accent: &str, on_accent: &str) -> Output {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events: Vec<Event<'_>> = Parser::new_ext(markdown, options).collect();
    let mut walker =
        Walker { html: String::with_capacity(markdown.len() * 3), text: String::new(), links, accent, on_accent, ..START };
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

const START: Walker<'static, 'static> = Walker {
    html: String::new(),
    text: String::new(),
    links: &[],
    accent: "",
    on_accent: "",
    lists: Vec::new(),
    open: Vec::new(),
    quotes: 0,
    head: false,
    alt: None,
};

struct Walker<'l, 's> {
    html: String,
    text: String,
    links: &'l [(&'s str, String)],
    accent: &'l str,
    on_accent: &'l str,
    /// Next number of each open list; `None`: bullets.
    lists: Vec<Option<u64>>,
    /// Open links: address, and where their text began.
    open: Vec<(String, usize)>,
    quotes: usize,
    head: bool,
    /// Inside an image: its alternative text so far.
    alt: Option<(String, String)>,
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
                Event::Text(text) | Event::Code(text) => label.push_str(&self.resolve(text)),
                Event::SoftBreak | Event::HardBreak => label.push(' '),
                Event::Start(Tag::Image { .. }) => return false,
                _ => {}
            }
        }
        let url = self.resolve(dest_url);
        if !safe(&url) || label.starts_with("http") {
            return false;
        }
        let (accent, on_accent) = (self.accent, self.on_accent);
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
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.words(text),
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
                self.html.push_str(
                    "<blockquote class=\"rk-line\" style=\"margin:0 0 16px;padding:0 0 0 16px;border-left:3px solid #d9dee5\">",
                );
            }
            Tag::CodeBlock(CodeBlockKind::Indented | CodeBlockKind::Fenced(_)) => self.html.push_str(
                "<pre style=\"margin:0 0 16px;font-family:Menlo,Consolas,monospace;font-size:14px;white-space:pre-wrap\">",
            ),
            Tag::List(first) => {
                let tag = if first.is_some() { "ol" } else { "ul" };
                let margin = if self.lists.is_empty() { "0 0 16px" } else { "6px 0 0" };
                let _ = writeln!(self.html, "<{tag} style=\"margin:{margin};padding:0 0 0 24px\">");
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
            Tag::TableCell => self.html.push_str(if self.head {
                "<th class=\"rk-line\" align=\"left\" style=\"padding:6px 16px 6px 0;border-bottom:2px solid #d9dee5\">"
            } else {
                "<td class=\"rk-line\" align=\"left\" style=\"padding:6px 16px 6px 0;border-bottom:1px solid #d9dee5\">"
            }),
            Tag::Emphasis => self.html.push_str("<em>"),
            Tag::Strong => self.html.push_str("<strong>"),
            Tag::Strikethrough => self.html.push_str("<s>"),
            Tag::Link { dest_url, .. } => {
                let url = self.resolve(dest_url);
                if safe(&url) {
                    self.html.push_str("<a class=\"rk-link\" href=\"");
                    escape_html(&mut self.html, &url);
                    let _ = write!(self.html, "\" style=\"color:{};text-decoration:underline\">", self.accent);
                    self.open.push((url, self.text.len()));
                } else {
                    self.open.push((String::new(), self.text.len()));
                }
            }
            Tag::Image { dest_url, .. } => self.alt = Some((self.resolve(dest_url), String::new())),
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
                    if self.text.get(from..).is_none_or(|label| label.trim() != url) {
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
    fn words(&mut self, text: &CowStr<'_>) {
        if let Some((_, alt)) = &mut self.alt {
            alt.push_str(&whole(text));
            return;
        }
        let mut rest: &str = text;
        while let Some(start) = rest.find(LINK_START) {
            let (before, from) = rest.split_at(start);
            self.plain(before);
            let end = from.find(LINK_END).map_or(from.len(), |i| i + LINK_END.len_utf8());
            let (marker, after) = from.split_at(end);
            let url = self.resolve(marker);
            if self.open.is_empty() && safe(&url) {
                self.html.push_str("<a class=\"rk-link\" href=\"");
                escape_html(&mut self.html, &url);
                let _ = write!(self.html, "\" style=\"color:{};text-decoration:underline;word-break:break-all\">", self.accent);
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

    /// Puts addresses in the place of their numbers, and punctuation of values back.
    fn resolve(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 80);
        let mut rest = text;
        while let Some((before, from)) = rest.split_once(LINK_START) {
            out.push_str(&whole(before));
            let (number, after) = from.split_once(LINK_END).unwrap_or((from, ""));
            if let Some((_, url)) = number.parse().ok().and_then(|n: usize| self.links.get(n)) {
                out.push_str(url);
            }
            rest = after;
        }
        out.push_str(&whole(rest));
        out
    }
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
    use super::render;

    fn both(markdown: &str) -> (String, String) {
        let out = render(markdown, &[("visit", "https://go.example/r/_a*b_".into())], "#1a56db", "#ffffff");
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
    fn blocks_have_a_plain_form() {
        let (html, text) =
            both("# Дом\n\n- раз\n- два\n  1. три\n\n> цитата\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nконец  \nстроки");
        assert_eq!(text, "Дом\n\n- раз\n- два\n  1. три\n\nцитата\n\na   b\n1   2\n\nконец\nстроки\n");
        assert!(html.contains("<h1 ") && html.contains("<ol ") && html.contains("<th ") && html.contains("<br>"));
    }
}
