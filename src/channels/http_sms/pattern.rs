//! `{{ name }}` in URLs, headers and bodies of a declared provider, encoded for where it stands.

use crate::channels::ChannelError;
use std::{borrow::Cow, collections::BTreeMap};

/// How a value is written where the pattern stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Percent-encoded throughout: a value never adds a parameter or a path segment.
    Url,
    /// One line.
    Header,
    /// As it is: form and JSON are encoded as a whole, a text body is the declarer's own.
    Plain,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Name(String),
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
    place: Place,
}

/// What patterns can name, besides `secret.KEY`.
pub(super) const NAMES: [&str; 8] = ["to", "toDigits", "from", "text", "id", "effect", "receiptUrl", "parts"];

/// Values of one message.
pub(super) type Values<'a> = BTreeMap<&'a str, Cow<'a, str>>;

impl Pattern {
    /// `field` is where it was written, for messages. `known` says which names there are.
    pub(super) fn parse(source: &str, place: Place, field: &str, known: &dyn Fn(&str) -> bool) -> Result<Self, ChannelError> {
        let mut pieces = Vec::new();
        let mut rest = source;
        while let Some((text, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err(ChannelError::settings(format!("{field}: `{{{{` is not closed"), "write {{ to }}"));
            };
            let name = name.trim();
            if !known(name) {
                return Err(ChannelError::settings(
                    format!("{field}: {{{{ {} }}}} is not known here", name.chars().take(40).collect::<String>()),
                    format!("write one of {}, or secret.KEY with a key of the provider's secret", NAMES.join(", ")),
                ));
            }
            pieces.push(Piece::Text(text.to_owned()));
            pieces.push(Piece::Name(name.to_owned()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces, place })
    }

    pub(super) fn fill(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Name(name) => {
                    let value = values.get(name.as_str()).map_or("", |v| v.as_ref());
                    match self.place {
                        Place::Plain => out.push_str(value),
                        Place::Header => out.extend(value.chars().filter(|c| !c.is_control())),
                        Place::Url => percent(value, &mut out),
                    }
                }
            }
        }
        out
    }
}

/// RFC 3986: everything but unreserved characters.
fn percent(value: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &b in value.as_bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(b.into());
        } else {
            out.push('%');
            for nibble in [b >> 4, b & 15] {
                out.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0').into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Place};

    #[test]
    fn values_are_encoded_for_their_place() {
        let known = |name: &str| matches!(name, "to" | "text");
        let values = [("to", "+7999".into()), ("text", "a&b=c\r\nX: ü".into())].into();
        for (place, want) in [
            (Place::Url, "?to=%2B7999&t=a%26b%3Dc%0D%0AX%3A%20%C3%BC"),
            (Place::Header, "?to=+7999&t=a&b=cX: ü"),
            (Place::Plain, "?to=+7999&t=a&b=c\r\nX: ü"),
        ] {
            assert_eq!(Pattern::parse("?to={{to}}&t={{ text }}", place, "url", &known).unwrap().fill(&values), want);
        }
        for bad in ["{{ too }}", "{{ to", "{{}}"] {
            assert!(Pattern::parse(bad, Place::Url, "url", &known).is_err(), "{bad}");
        }
    }
}
