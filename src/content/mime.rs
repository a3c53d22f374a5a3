//! MIME: one message, multipart/alternative, ready to be signed and sent.

use super::RenderError;
use crate::model::EffectRef;
use jiff::Timestamp;
use mail_builder::{
    MessageBuilder,
    headers::{address::Address, content_type::ContentType, raw::Raw},
    mime::MimePart,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A complete message, not yet signed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailMessage {
    /// MAIL FROM.
    pub envelope_from: String,
    /// Headers and body with CRLF line ends.
    pub raw: String,
}

impl EmailMessage {
    /// Its headers as they travel (encoded words and all), unfolded, in their order: for previews.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let head = self.raw.split("\r\n\r\n").next().unwrap_or_default();
        let lines = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        lines.split("\r\n").filter_map(|line| line.split_once(':')).map(|(n, v)| (n.into(), v.trim().into())).collect()
    }
}

/// What a message is made of.
pub struct Mime<'a> {
    pub from_name: &'a str,
    pub from_address: &'a str,
    pub reply_to: Option<&'a str>,
    pub to: &'a str,
    pub subject: &'a str,
    pub text: &'a str,
    pub html: &'a str,
    /// Identity of the message: the same on every attempt.
    pub key: Uuid,
    pub message_id_domain: &'a str,
    pub date: Timestamp,
    pub effect: EffectRef,
    pub unsubscribe: Unsubscribe<'a>,
}

/// What `List-Unsubscribe` says.
pub enum Unsubscribe<'a> {
    /// RFC 8058: a POST to it acts at once.
    OneClick(&'a str),
    /// No public address: people write to this mailbox.
    Mailto(&'a str),
}

/// Longest line that SMTP carries (RFC 5321 §4.5.3.1.6), without its end.
const MAX_LINE: usize = 998;

/// Builds the message. Values that cannot stand in a header are refused, not repaired: they would be someone's attempt.
pub fn build(mime: &Mime<'_>) -> Result<String, RenderError> {
    for (name, value) in [
        ("the sender's name", mime.from_name),
        ("the sender's address", mime.from_address),
        ("the reply address", mime.reply_to.unwrap_or_default()),
        ("the recipient", mime.to),
        ("the subject", mime.subject),
        ("the domain of the Message-ID", mime.message_id_domain),
        ("the unsubscribe address", mime.unsubscribe.target()),
    ] {
        if value.chars().any(char::is_control) {
            return Err(RenderError::BadHeader(name));
        }
    }
    for (name, address) in [
        ("the sender's address", mime.from_address),
        ("the recipient", mime.to),
        ("the reply address", mime.reply_to.unwrap_or("a@b")),
    ] {
        if !address.contains('@') || address.contains(['<', '>', ' ', ',', ';']) {
            return Err(RenderError::BadHeader(name));
        }
    }
    if mime.unsubscribe.target().contains(['<', '>', ' ', ',']) || mime.message_id_domain.contains(['<', '>', ' ', '@']) {
        return Err(RenderError::BadHeader("the unsubscribe address or the domain of the Message-ID"));
    }
    let name = Some(mime.from_name).filter(|name| !name.trim().is_empty());
    let mut builder = MessageBuilder::new()
        .from(Address::new_address(name, mime.from_address))
        .to(mime.to)
        .subject(mime.subject)
        .date(mime.date.as_second())
        .message_id(format!("{}@{}", mime.key, mime.message_id_domain))
        .header("X-Rekindle-Effect", Raw::new(mime.effect.to_string()));
    if let Some(reply_to) = mime.reply_to {
        builder = builder.reply_to(reply_to);
    }
    // "=_" cannot occur in quoted-printable or base64. The key makes two builds of one message equal.
    let boundary = format!("=_{}", mime.key.simple());
    let builder = builder.body(MimePart::new(
        ContentType::new("multipart/alternative").attribute("boundary", boundary),
        vec![MimePart::new("text/plain", mime.text), MimePart::new("text/html", mime.html)],
    ));
    let built = builder.write_to_string().map_err(|_| RenderError::TooBig)?;
    // On one line each: a folded one has broken signatures at relays, and mail-builder folds.
    let mut raw = match mime.unsubscribe {
        Unsubscribe::OneClick(url) => {
            format!("List-Unsubscribe: <{url}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
        }
        Unsubscribe::Mailto(address) => format!("List-Unsubscribe: <mailto:{address}?subject=unsubscribe>\r\n"),
    };
    raw.reserve(built.len());
    raw.push_str(&built);
    if !well_formed(&raw) {
        return Err(RenderError::BadHeader("the message"));
    }
    Ok(raw)
}

/// Every line ends with CRLF and is short enough; no NUL, no lone CR or LF. Searches by single characters: they are fast even
/// in an unoptimised build.
fn well_formed(raw: &str) -> bool {
    let (mut rest, mut lines) = (raw, 0);
    while let Some((line, after)) = rest.split_once('\n') {
        if !line.ends_with('\r') || line.len() > MAX_LINE + 1 {
            return false;
        }
        rest = after;
        lines += 1;
    }
    rest.len() <= MAX_LINE && !raw.contains('\0') && raw.matches('\r').count() == lines
}

impl Unsubscribe<'_> {
    const fn target(&self) -> &str {
        match self {
            Self::OneClick(target) | Self::Mailto(target) => target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EmailMessage, Mime, Unsubscribe, build};
    use crate::model::{CopyId, EffectRef};
    use mail_parser::{HeaderValue, MessageParser};
    use uuid::Uuid;

    fn mime<'a>() -> Mime<'a> {
        Mime {
            from_name: "Новый дом",
            from_address: "hello@news.example.com",
            reply_to: Some("anna@example.com"),
            to: "client@example.org",
            subject: "Мария, посмотрим вместе новые планировки в доме у парка, которые вы просили ещё весной?",
            text: "Здравствуйте!\n",
            html: "<p>Здравствуйте!</p>",
            key: Uuid::from_u128(42),
            message_id_domain: "news.example.com",
            date: "2026-03-05T09:00:00Z".parse().unwrap(),
            effect: EffectRef { copy: CopyId(7), seq: 3 },
            unsubscribe: Unsubscribe::OneClick("https://go.example.com/u/tokentokentokentokentokentokentokentokentoken"),
        }
    }

    #[test]
    fn reads_back_as_it_was_meant() {
        let raw = build(&mime()).unwrap();
        let parsed = MessageParser::new().parse(raw.as_bytes()).unwrap();
        assert_eq!(parsed.subject(), Some(mime().subject));
        let from = parsed.from().unwrap().first().unwrap();
        assert_eq!((from.name(), from.address()), (Some("Новый дом"), Some("hello@news.example.com")));
        assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some("client@example.org"));
        assert_eq!(parsed.reply_to().unwrap().first().unwrap().address(), Some("anna@example.com"));
        assert_eq!(parsed.message_id(), Some("00000000-0000-0000-0000-00000000002a@news.example.com"));
        assert_eq!(parsed.date().unwrap().to_rfc3339(), "2026-03-05T09:00:00Z");
        assert_eq!(parsed.body_text(0).as_deref().map(str::trim_end), Some("Здравствуйте!"));
        assert_eq!(parsed.body_html(0).as_deref(), Some("<p>Здравствуйте!</p>"));
        assert!(matches!(parsed.header("X-Rekindle-Effect"), Some(HeaderValue::Text(text)) if text == "7.3"));
    }

    #[test]
    fn unsubscribe_headers_stand_on_one_line_each_and_lines_are_bounded() {
        let raw = build(&mime()).unwrap();
        assert!(raw.contains("List-Unsubscribe: <https://go.example.com/u/tokentokentokentokentokentokentokentokentoken>\r\n"));
        assert!(raw.contains("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
        let long = "очень длинная строка без переносов ".repeat(200);
        let raw = build(&Mime { text: &long, html: &long, ..mime() }).unwrap();
        assert!(raw.lines().all(|line| line.len() <= 998) && raw.is_ascii());
    }

    #[test]
    fn headers_are_shown_unfolded() {
        let message = EmailMessage { envelope_from: String::new(), raw: build(&mime()).unwrap() };
        let headers = message.headers();
        let value = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(value("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
        assert_eq!(value("To"), Some("<client@example.org>"));
        assert!(value("Subject").is_some_and(|v| v.contains("=?utf-8?") && !v.contains('\n')));
        assert_eq!(headers.len(), 11, "{headers:?}");
    }

    #[test]
    fn the_same_message_twice_is_the_same_bytes() {
        assert_eq!(build(&mime()).unwrap(), build(&mime()).unwrap());
    }

    #[test]
    fn nothing_smuggles_a_header() {
        let evil = "x\r\nBcc: all@example.com";
        for bad in [
            Mime { subject: evil, ..mime() },
            Mime { from_name: evil, ..mime() },
            Mime { from_address: "a@b.c\nBcc: x@y.z", ..mime() },
            Mime { to: "a@b.c>\r\nRCPT TO:<x@y.z", ..mime() },
            Mime { to: "a@b.c, x@y.z", ..mime() },
            Mime { reply_to: Some(evil), ..mime() },
            Mime { subject: "a\0b", ..mime() },
            Mime { message_id_domain: "a>\r\nX: y", ..mime() },
            Mime { unsubscribe: Unsubscribe::OneClick("https://a/>\r\nX: y"), ..mime() },
        ] {
            assert!(build(&bad).is_err());
        }
    }
}
