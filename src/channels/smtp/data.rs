//! Message content on the wire: line ends and dot-stuffing (RFC 5321 §4.5.2), safe also for servers that take a bare LF or CR
//! for a line end (RUSTSEC-2026-0561, CVE-2023-51764).

use std::borrow::Cow;

/// Every line end becomes CRLF and the last line has one. Signing comes after this, stuffing after signing.
pub(super) fn normalise(text: &str) -> Cow<'_, str> {
    let clean = {
        let bytes = text.as_bytes();
        let mut before = 0_u8;
        let mut clean = text.ends_with("\r\n");
        for &b in bytes {
            clean &= (b == b'\n') == (before == b'\r');
            before = b;
        }
        clean
    };
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

/// Appends `part` with dots doubled at line starts. `start`: whether `part` begins a line. Says whether its end does.
/// A dot after a bare CR or LF is doubled as well: [`normalise`] leaves none, but this must hold without it.
pub(super) fn stuff(part: &[u8], start: bool, out: &mut Vec<u8>) -> bool {
    let mut line_start = start;
    let mut copied = 0;
    for (i, &b) in part.iter().enumerate() {
        if line_start && b == b'.' {
            out.extend_from_slice(part.get(copied..i).unwrap_or_default());
            out.push(b'.');
            copied = i;
        }
        line_start = b == b'\n' || b == b'\r';
    }
    out.extend_from_slice(part.get(copied..).unwrap_or_default());
    line_start
}

/// What no server should be given: NUL, or a line over 998 octets (RFC 5322 §2.1.1).
pub(super) fn flaw(text: &str) -> Option<&'static str> {
    if text.as_bytes().contains(&0) {
        return Some("the message contains a NUL character");
    }
    text.split("\r\n").any(|line| line.len() > 998).then_some("the message has a line of more than 998 octets")
}

#[cfg(test)]
mod tests {
    use super::{flaw, normalise, stuff};
    use proptest::prelude::*;

    fn wire(text: &str) -> Vec<u8> {
        let body = normalise(text);
        let mut out = Vec::new();
        assert!(stuff(body.as_bytes(), true, &mut out), "content ends with a line end");
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
        stuff(b".a\r\n.\r\n..b\n.c\r.d .e", true, &mut out);
        assert_eq!(out, b"..a\r\n..\r\n...b\n..c\r..d .e");
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
