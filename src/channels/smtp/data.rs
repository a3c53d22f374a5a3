//! Message content on the wire: line ends and dot-stuffing (RFC 5321 §4.5.2), safe also for servers that take a bare LF or CR
//! for a line end (RUSTSEC-2026-0561, CVE-2023-51764).

use std::borrow::Cow;

/// Every line end becomes CRLF and the last line has one. Signing comes after this, stuffing after signing.
pub(super) fn normalise(text: &str) -> Cow<'_, str> {
    // Line by line with the library's own searches: this runs over every byte that is sent.
    let mut rest = text;
    let mut clean = text.ends_with('\n');
    while clean && let Some((line, after)) = rest.split_once('\n') {
        clean = line.strip_suffix('\r').is_some_and(|line| !line.contains('\r'));
        rest = after;
    }
    if clean {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 32 + 2);
    let mut rest = text;
    while let Some(at) = rest.find(['\r', '\n']) {
        let (line, end) = rest.split_at(at);
        out.push_str(line);
        out.push_str("\r\n");
        rest = end.strip_prefix("\r\n").or_else(|| end.get(1..)).unwrap_or_default();
    }
    if !rest.is_empty() || out.is_empty() {
        out.push_str(rest);
        out.push_str("\r\n");
    }
    Cow::Owned(out)
}

/// Appends `part` with dots doubled at line starts, and says whether it ends a line. `start`: whether it begins one.
/// A dot after a bare CR or LF is doubled as well: [`normalise`] leaves none, but this must hold without it.
pub(super) fn stuff(part: &str, start: bool, out: &mut Vec<u8>) -> bool {
    let mut line_start = start;
    for piece in part.split_inclusive('\n') {
        let mut rest = piece;
        loop {
            if line_start && rest.starts_with('.') {
                out.push(b'.');
            }
            // A carriage return ends a line of its own, unless it belongs to the CRLF at the end of the piece.
            match rest.split_once('\r') {
                Some((line, after)) if after != "\n" => {
                    out.extend_from_slice(line.as_bytes());
                    out.push(b'\r');
                    line_start = true;
                    rest = after;
                }
                _ => break,
            }
        }
        out.extend_from_slice(rest.as_bytes());
        line_start = if rest.is_empty() { line_start } else { rest.ends_with('\n') };
    }
    line_start
}

/// Headers and body of a normalised message. Without an empty line it is all headers.
pub(in crate::channels) fn split(message: &str) -> (&str, &str) {
    let mut at = 0;
    for line in message.split_inclusive('\n') {
        if line == "\r\n" {
            let (headers, body) = message.split_at(at);
            return (headers, body.get(2..).unwrap_or_default());
        }
        at += line.len();
    }
    (message, "")
}

/// What no server should be given: NUL, or a line over 998 octets (RFC 5322 §2.1.1).
pub(super) fn flaw(text: &str) -> Option<&'static str> {
    if text.contains('\0') {
        return Some("the message contains a NUL character");
    }
    text.split('\n')
        .any(|line| line.strip_suffix('\r').unwrap_or(line).len() > 998)
        .then_some("the message has a line of more than 998 octets")
}

#[cfg(test)]
mod tests {
    use super::{flaw, normalise, split, stuff};
    use proptest::prelude::*;

    fn wire(text: &str) -> Vec<u8> {
        let body = normalise(text);
        let mut out = Vec::new();
        assert!(stuff(&body, true, &mut out), "content ends with a line end");
        out.extend_from_slice(b".\r\n");
        out
    }

    /// Messages as a server sees them that ends lines where `ends` says, and what is left as commands.
    fn serve(wire: &[u8], ends: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut messages, mut message, mut line, mut i) = (Vec::new(), Vec::new(), Vec::new(), 0);
        while i < wire.len() {
            if let Some(end) = ends.iter().find(|end| wire[i..].starts_with(end)) {
                i += end.len();
                if line == b"." {
                    messages.push(std::mem::take(&mut message));
                } else {
                    let unstuffed = line.strip_prefix(b".").unwrap_or(&line);
                    message.extend_from_slice(unstuffed);
                    message.extend_from_slice(b"\r\n");
                }
                line.clear();
            } else {
                line.push(wire[i]);
                i += 1;
            }
        }
        message.extend_from_slice(&line);
        (messages, message)
    }

    #[test]
    fn line_ends_become_crlf() {
        for (text, want) in [
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\nb", "a\r\nb\r\n"),
            ("a\rb\n\r", "a\r\nb\r\n\r\n"),
            ("", "\r\n"),
            ("\r\r\n", "\r\n\r\n"),
            ("a\r\n", "a\r\n"),
            ("я\n", "я\r\n"),
        ] {
            assert_eq!(normalise(text), want, "{text:?}");
        }
    }

    #[test]
    fn dots_are_doubled_after_every_kind_of_line_end_and_at_the_start() {
        let mut out = Vec::new();
        stuff(".a\r\n.\r\n..b\n.c\r.d .e", true, &mut out);
        assert_eq!(out, b"..a\r\n..\r\n...b\n..c\r..d .e");
    }

    #[test]
    fn headers_end_at_the_first_empty_line() {
        assert_eq!(split("A: 1\r\n\r\nx\r\n\r\ny"), ("A: 1\r\n", "x\r\n\r\ny"));
        assert_eq!(split("A: 1\r\n"), ("A: 1\r\n", ""));
        assert_eq!(split("\r\nx"), ("", "x"));
    }

    #[test]
    fn what_is_not_sent() {
        assert!(flaw("a\0b\r\n").is_some());
        assert!(flaw(&"x".repeat(999)).is_some());
        assert_eq!(flaw(&format!("{}\r\n", "x".repeat(998))), None);
    }

    proptest! {
        #[test]
        fn one_message_with_the_same_body_at_any_server(text in "([a-c.я \r\n]|\r\n|\r\n\\.\r\n|\n\\.\n|\r\\.\r|MAIL FROM:<x@y\\.z>){0,60}") {
            let wire = wire(&text);
            // RFC 5321; one that takes CRLF or LF; one that takes CRLF, CR or LF.
            for ends in [&[&b"\r\n"[..]][..], &[b"\r\n", b"\n"], &[b"\r\n", b"\n", b"\r"]] {
                let (messages, commands) = serve(&wire, ends);
                prop_assert_eq!(&messages, &[normalise(&text).into_owned().into_bytes()]);
                prop_assert!(commands.is_empty());
            }
            // One that ends lines at a lone CR or lone LF sees other line ends, but never a second message or a command.
            for end in [b'\r', b'\n'] {
                let lines: Vec<&[u8]> = wire.split(|b| *b == end).collect();
                let ends = lines.iter().filter(|l| l.strip_prefix(b"\n").unwrap_or(l).strip_suffix(b"\r").unwrap_or(l.strip_prefix(b"\n").unwrap_or(l)) == b".").count();
                prop_assert_eq!(ends, 1);
            }
        }
    }
}
