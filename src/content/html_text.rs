//! The plain-text part of an email whose HTML is the marketer's own. One pass over the tags; what it does not know it leaves
//! out. A wrong guess costs beauty in the part that few people see, so this is no HTML parser.

use super::markdown::tidy;

/// The words of a page, with line breaks where blocks end and addresses after their links.
pub fn text_of(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    // The open link: its address, and where its words began.
    let mut link: Option<(String, usize)> = None;
    let mut rest = html;
    while let Some((words, from)) = rest.split_once('<') {
        push_words(&mut out, words);
        if let Some(comment) = from.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let (tag, after) = split_tag(from);
        rest = after;
        let (closing, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        match name.as_str() {
            "style" | "script" | "title" | "head" if !closing => rest = skip_element(rest, &name),
            "hr" => out.push_str("\n----------\n"),
            "li" if !closing => {
                new_line(&mut out);
                out.push_str("- ");
            }
            "a" if !closing => link = attribute(tag, "href").map(|url| (url, out.len())),
            "a" => {
                if let Some((url, from)) = link.take()
                    && (url.starts_with("http") || url.starts_with("mailto:") || url.starts_with("tel:"))
                    && out.get(from..).is_none_or(|words| words.trim() != url)
                {
                    out.truncate(out.trim_end_matches(' ').len());
                    out.push_str(" (");
                    out.push_str(&url);
                    out.push(')');
                }
            }
            "img" => push_words(&mut out, &attribute(tag, "alt").unwrap_or_default()),
            "td" | "th" if closing => out.push(' '),
            "br" | "tr" | "li" | "ul" | "ol" => new_line(&mut out),
            "p" | "div" | "table" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "section" => {
                new_line(&mut out);
                if closing && name != "div" && name != "table" {
                    out.push('\n');
                }
            }
            _ => {}
        }
    }
    push_words(&mut out, rest);
    tidy(&out)
}

/// Words with their blanks run together, as a browser shows them.
fn push_words(out: &mut String, words: &str) {
    let mut blank = out.is_empty() || out.ends_with([' ', '\n']);
    for c in decoded(words).chars() {
        if c.is_whitespace() && c != '\u{a0}' {
            if !blank {
                out.push(' ');
            }
            blank = true;
        } else if !matches!(c, '\u{200c}' | '\u{34f}' | '\u{200b}') {
            out.push(if c == '\u{a0}' { ' ' } else { c });
            blank = false;
        }
    }
}

fn new_line(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// The inside of a tag, and what follows it. A `>` in a quoted attribute does not end it.
fn split_tag(from: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, c) in from.char_indices() {
        match (quote, c) {
            (None, '>') => return (from.get(..at).unwrap_or_default(), from.get(at + 1..).unwrap_or_default()),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    ("", "")
}

/// Where the first tag of that name ends, outside of comments.
pub fn end_of_tag(html: &str, name: &str) -> Option<usize> {
    let mut rest = html;
    while let Some((_, from)) = rest.split_once('<') {
        if let Some(comment) = from.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let (tag, after) = split_tag(from);
        let named = tag.split_at_checked(name.len());
        if named.is_some_and(|(n, more)| n.eq_ignore_ascii_case(name) && !more.starts_with(|c: char| c.is_ascii_alphanumeric())) {
            return Some(html.len() - after.len());
        }
        rest = after;
    }
    None
}

/// What follows the element that was just opened.
fn skip_element<'a>(rest: &'a str, name: &str) -> &'a str {
    let bytes = rest.as_bytes();
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|r| r.find("</")) {
        let start = from + at + 2;
        if bytes.get(start..start + name.len()).is_some_and(|b| b.eq_ignore_ascii_case(name.as_bytes())) {
            return rest.get(start..).and_then(|r| r.split_once('>')).map_or("", |(_, after)| after);
        }
        from = start;
    }
    ""
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let (before, after) = rest.split_once('=')?;
        let found = before.trim_end().rsplit([' ', '\n', '\t', '"', '\'']).next().is_some_and(|n| n.eq_ignore_ascii_case(name));
        let after = after.trim_start();
        let (value, next) = match after.chars().next()? {
            quote @ ('"' | '\'') => after.get(1..)?.split_once(quote)?,
            _ => after.split_once([' ', '\n', '\t']).unwrap_or((after, "")),
        };
        if found {
            return Some(decoded(value));
        }
        rest = next;
    }
}

fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('&') {
        out.push_str(before);
        let end = from.bytes().take(9).position(|b| b == b';');
        let entity = end.and_then(|end| Some((from.get(..end)?, from.get(end + 1..)?)));
        if let Some((c, after)) = entity.and_then(|(name, after)| Some((character(name)?, after))) {
            out.push(c);
            rest = after;
        } else {
            out.push('&');
            rest = from;
        }
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    if let Some(number) = entity.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control());
    }
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "zwnj" => '\u{200c}',
        "ndash" => '–',
        "mdash" => '—',
        "laquo" => '«',
        "raquo" => '»',
        "ldquo" => '“',
        "rdquo" => '”',
        "hellip" => '…',
        "bull" => '•',
        "middot" => '·',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "euro" => '€',
        "rarr" => '→',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{end_of_tag, text_of};
    use proptest::prelude::proptest;

    #[test]
    fn what_a_reader_of_plain_text_sees() {
        for (html, want) in [
            ("<p>раз</p><p>два &amp; три</p>", "раз\n\nдва & три\n"),
            ("a<br>b<BR/>c", "a\nb\nc\n"),
            ("<a href=\"https://x.example/?a=1&amp;b=2\">тут</a>!", "тут (https://x.example/?a=1&b=2)!\n"),
            ("<a class='x' href='https://x.example'>https://x.example</a>", "https://x.example\n"),
            ("<a name=\"top\">верх</a> <a href=\"#top\">вверх</a>", "верх вверх\n"),
            ("<ul><li>раз<li>два</ul>", "- раз\n- два\n"),
            ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3\n"),
            ("<head><title>t</title></head><STYLE>p>a{}</Style>x<!-- y > z -->w<script>if (a<b) {}</script>", "xw\n"),
            ("<img alt=\"дом > парк\" src=x> &#1076;&#x434;&nbsp;&unknown; a & b", "дом > парк дд &unknown; a & b\n"),
            ("  много \n\n   места  ", "много места\n"),
            ("<p>не закрыт <b", "не закрыт\n"),
            ("<style>never closed", ""),
        ] {
            assert_eq!(text_of(html).trim_end(), want.trim_end(), "{html}");
        }
    }

    #[test]
    fn tags_are_found_where_a_browser_sees_them() {
        for (html, name, before) in [
            ("<html><BODY class=\"a>b\">x", "body", Some("<html><BODY class=\"a>b\">")),
            (
                "<!--[if mso]><body><![endif]--><!--[if !mso]><!--><body>x",
                "body",
                Some("<!--[if mso]><body><![endif]--><!--[if !mso]><!--><body>"),
            ),
            ("<head></header></head>x", "/head", Some("<head></header></head>")),
            ("<!DOCTYPE html>x", "!doctype", Some("<!DOCTYPE html>")),
            ("<p>body", "body", None),
            ("<body", "body", None),
        ] {
            assert_eq!(end_of_tag(html, name).and_then(|at| html.get(..at)), before, "{html}");
        }
    }

    proptest! {
        #[test]
        fn any_page_ends(html in r#"(\PC|<|>|&|"|=|</?(a|p|style|li|td|script)( href=)?|<!--|-->|;|\n){0,60}"#) {
            let _ = text_of(&html);
        }
    }
}
