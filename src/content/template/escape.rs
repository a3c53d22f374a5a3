//! How a value is written into its surroundings. The template's own text is never touched.

use std::{borrow::Cow, fmt::Write as _};

/// Where a template's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// HTML text and quoted attributes.
    Html,
    /// SMS, plain text, task texts: raw, without control and direction-changing characters.
    Text,
    /// Markdown: punctuation is set apart, so that a client's name cannot become a link or a heading.
    Markdown,
    /// Inside an address: percent-encoded, so that a value can only be a part of a path or of a query.
    UrlParts,
    /// Subject, display names: like text, on one line.
    Header,
    /// Nowhere: a letter stands for every value, and what remains is what the template itself says.
    OwnWords,
}

/// In Markdown a declared link stands between these until the HTML is made, so that no address is read as Markdown.
/// Values cannot contain them: they are private-use characters, which [`clean`] drops.
pub const LINK_START: char = '\u{e000}';
pub const LINK_END: char = '\u{e001}';

/// In Markdown a value's punctuation stands so much higher, in private use as well, until the HTML is made: it means nothing there, in
/// code as elsewhere. (A backslash before it would be printed in code.)
const APART: u32 = 0xe100;

/// Text of Markdown with the punctuation of its values put back.
pub fn whole(text: &str) -> Cow<'_, str> {
    let back = |c: char| u32::from(c).checked_sub(APART).and_then(char::from_u32).filter(char::is_ascii_punctuation);
    if text.chars().any(|c| back(c).is_some()) {
        Cow::Owned(text.chars().map(|c| back(c).unwrap_or(c)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

impl Escape {
    /// Appends a value as this place needs it.
    pub(in crate::content) fn push(self, out: &mut String, value: &str) {
        push(out, value, self);
    }
}

fn push(out: &mut String, value: &str, escape: Escape) {
    match escape {
        Escape::Html => {
            for c in value.chars().filter(|c| !is_mark(*c)) {
                push_html(out, c);
            }
        }
        Escape::Text => out.extend(value.chars().filter(|c| clean(*c) || *c == '\n').map(|c| if c == '\u{a0}' { ' ' } else { c })),
        Escape::Header => push_line(out, value),
        Escape::Markdown => {
            // A blank would end an address, and the reader would see its brackets.
            let blank = if in_address(out) { "%20" } else { " " };
            for c in value.chars() {
                if c.is_whitespace() && c != '\u{a0}' {
                    out.push_str(blank);
                } else if clean(c) {
                    let apart = Some(c).filter(char::is_ascii_punctuation).and_then(|c| char::from_u32(APART + u32::from(c)));
                    out.push(apart.unwrap_or(c));
                }
            }
        }
        Escape::OwnWords => out.push('x'),
        Escape::UrlParts => {
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                    out.push(char::from(byte));
                } else {
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        }
    }
}

/// Whether what comes next stands in the address of a Markdown link: behind `](`.
fn in_address(out: &str) -> bool {
    /// More than any address is long.
    const LOOK: usize = 2000;
    let mut next = ' ';
    for c in out.chars().rev().take(LOOK) {
        if c == ']' && next == '(' {
            return true;
        }
        if c.is_whitespace() || c == ')' {
            return false;
        }
        next = c;
    }
    false
}

fn push_line(out: &mut String, value: &str) {
    for c in value.chars() {
        if c.is_whitespace() && c != '\u{a0}' {
            out.push(' ');
        } else if clean(c) {
            out.push(c);
        }
    }
}

/// A sign that tells in which direction its neighbours are read, without turning what follows for good. In a marketer's own text from
/// right to left it is needed; a value brings none.
pub const fn is_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2066}'..='\u{2069}')
}

/// A letter that is read from right to left.
pub const fn turned(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

/// Not a control character, not one that turns the direction of the text, not private use.
fn clean(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        && !matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{2028}' | '\u{2029}')
}

/// Appends text for HTML content or a quoted attribute.
pub fn escape_html(out: &mut String, text: &str) {
    for c in text.chars() {
        push_html(out, c);
    }
}

fn push_html(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        '\n' | '\t' => out.push(c),
        c if clean(c) || is_mark(c) => out.push(c),
        _ => {}
    }
}

/// Drops what no recipient should get from the marketer's own text.
pub(in crate::content) fn strip(text: &str) -> String {
    text.chars().filter(|c| clean(*c) || is_mark(*c) || matches!(c, '\n' | '\t')).collect()
}
