//! One message made ready for one server: envelope commands and stuffed content.

use super::{data, session::Announced};
use crate::{
    channels::dkim::Signer,
    content::Rendered,
    model::{Address, Outcome},
};

/// Bytes to write.
pub(super) struct Prepared {
    pub(super) mail: String,
    pub(super) rcpt: String,
    /// Stuffed, with the final dot.
    pub(super) content: Vec<u8>,
}

/// Makes a message ready, or says why this server will never get it.
pub(super) fn prepare(to: &Address, message: &Rendered, signer: Option<&Signer>, server: &Announced) -> Result<Prepared, Outcome> {
    let reject = |reason: &str| Err(Outcome::Rejected { reason: reason.to_owned(), suppress: false });
    let (Address::Email(to), Rendered::Email(message)) = (to, message) else {
        return reject("an email channel was given something else than an email");
    };
    let (from, to) = (message.envelope_from.as_str(), to.to_ascii_domain());
    let to = to.as_ref();
    // `Email::parse` lets none of this through; a command line is worth a second look.
    let unsafe_path =
        |path: &str| path.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>')) || path.len() > 320;
    if unsafe_path(from) || unsafe_path(to) {
        return reject("an address holds characters that do not belong into an SMTP command");
    }
    let body = data::normalise(&message.raw);
    if let Some(flaw) = data::flaw(&body) {
        return reject(flaw);
    }
    let (headers, _) = data::split(&body);
    let utf8 = !from.is_ascii() || !to.is_ascii() || !headers.is_ascii();
    if utf8 && !server.utf8 {
        return reject("the address or a header is not ASCII and this server does not offer SMTPUTF8");
    }
    let eight_bit = !body.is_ascii();
    if eight_bit && !server.eight_bit {
        return reject("the message is 8-bit and this server does not offer 8BITMIME");
    }
    let signature = signer.map_or_else(|| Ok(String::new()), |signer| signer.sign(&body));
    let Ok(signature) = signature else {
        return Err(Outcome::ChannelDown { reason: "DKIM: the key cannot sign".into(), after: None });
    };
    let size = signature.len() + body.len();
    if server.size.is_some_and(|limit| size > limit) {
        return reject("the message is larger than the server's SIZE");
    }
    let mut mail = if server.size.is_some() { format!("MAIL FROM:<{from}> SIZE={size}") } else { format!("MAIL FROM:<{from}>") };
    if eight_bit {
        mail.push_str(" BODY=8BITMIME");
    }
    if utf8 {
        mail.push_str(" SMTPUTF8");
    }
    mail.push_str("\r\n");
    let mut content = Vec::with_capacity(size + size / 64 + 8);
    let start = data::stuff(&signature, true, &mut content);
    data::stuff(&body, start, &mut content);
    content.extend_from_slice(b".\r\n");
    Ok(Prepared { mail, rcpt: format!("RCPT TO:<{to}>\r\n"), content })
}

#[cfg(test)]
mod tests {
    use super::prepare;
    use crate::{
        channels::smtp::session::Announced,
        content::{EmailMessage, Rendered},
        model::{Address, Email, Outcome},
    };

    fn mail(to: &str, raw: &str, server: &Announced) -> Result<String, String> {
        let to = Address::Email(Email::parse(to).unwrap());
        let message = Rendered::Email(EmailMessage { envelope_from: "a@y.test".into(), raw: raw.into() });
        match prepare(&to, &message, None, server) {
            Ok(prepared) => Ok(prepared.mail),
            Err(Outcome::Rejected { reason, suppress: false }) => Err(reason),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_server_is_told_what_it_must_be_able_to_take() {
        let able = Announced { eight_bit: true, utf8: true, size: Some(1000), ..Announced::default() };
        let plain = Announced::default();
        let (ascii, eight) = ("Subject: x\r\n\r\nhi\r\n", "Subject: x\r\n\r\nпривет\r\n");
        assert_eq!(mail("b@x.test", ascii, &plain).unwrap(), "MAIL FROM:<a@y.test>\r\n");
        assert_eq!(mail("b@x.test", ascii, &able).unwrap(), "MAIL FROM:<a@y.test> SIZE=18\r\n");
        assert_eq!(mail("b@x.test", eight, &able).unwrap(), "MAIL FROM:<a@y.test> SIZE=28 BODY=8BITMIME\r\n");
        assert_eq!(mail("почта@x.test", ascii, &able).unwrap(), "MAIL FROM:<a@y.test> SIZE=18 SMTPUTF8\r\n");
        assert!(mail("b@x.test", eight, &plain).unwrap_err().contains("8BITMIME"));
        assert!(mail("почта@x.test", ascii, &plain).unwrap_err().contains("SMTPUTF8"));
        assert_eq!(mail("b@почта.рф", ascii, &plain).unwrap(), "MAIL FROM:<a@y.test>\r\n", "any server takes its DNS name");
        assert!(mail("b@x.test", &format!("A: 1\r\n\r\n{}", "x\r\n".repeat(400)), &able).unwrap_err().contains("SIZE"));
    }
}
