//! DKIM signatures (RFC 6376 relaxed/relaxed, RFC 8463) over the raw message. No `t=` tag: a retry sends the same bytes.

use super::{ChannelError, smtp::split};
use crate::compile::DkimWiring;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

/// Signed where present, in this order. RFC 8058 §4 wants both List-Unsubscribe headers; `From` is listed once more than it
/// occurs, so that nobody can add a second one.
const HEADERS: [&str; 10] = [
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "mime-version",
    "content-type",
    "list-unsubscribe",
    "list-unsubscribe-post",
];

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// Signs in the name of one domain.
pub struct Signer {
    domain: String,
    selector: String,
    key: Key,
    random: SystemRandom,
}

/// The key could not sign; with a key that loaded this does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the DKIM key cannot sign")]
pub struct SignError;

impl Signer {
    /// # Errors
    /// [`ChannelError::Settings`] when the key is none that DKIM uses, or a name could leave its tag.
    pub fn open(wiring: &DkimWiring) -> Result<Self, ChannelError> {
        let name = |text: &str| {
            !text.is_empty()
                && text.len() <= 253
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        if !name(&wiring.domain) || !name(&wiring.selector) {
            return Err(ChannelError::settings(
                "DKIM `domain` and `selector` are DNS names",
                "write them like news.example.com and s1 (an international domain in its xn-- form)",
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(wiring.private_key.0.as_bytes()).ok();
        let key = match &key {
            Some(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok().map(|k| Key::Rsa(Box::new(k))),
            Some(PrivateKeyDer::Pkcs8(der)) => {
                let der = der.secret_pkcs8_der();
                let rsa = RsaKeyPair::from_pkcs8(der).ok().map(|k| Key::Rsa(Box::new(k)));
                // OpenSSL writes Ed25519 keys without their public half, which is what `maybe_unchecked` is for.
                rsa.or_else(|| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Key::Ed25519))
            }
            _ => None,
        };
        let key = key.ok_or_else(|| {
            ChannelError::settings(
                "the DKIM key cannot be used",
                "give a PEM private key: RSA of 2048 to 4096 bits (openssl genrsa 2048) or Ed25519 (openssl genpkey -algorithm ed25519)",
            )
        })?;
        Ok(Self { domain: wiring.domain.to_lowercase(), selector: wiring.selector.clone(), key, random: SystemRandom::new() })
    }

    /// The complete `DKIM-Signature` header, with CRLF, to stand before `message` (whose lines end in CRLF).
    pub(super) fn sign(&self, message: &str) -> Result<String, SignError> {
        let (headers, body) = split(message);
        let headers = unfold(headers);
        let mut names: Vec<&str> = vec!["from"];
        let mut signed = String::with_capacity(2048);
        for name in HEADERS {
            // RFC 6376 §5.4.2: repeated headers are taken from the bottom up.
            for (_, value) in headers.iter().rev().filter(|(n, _)| n.eq_ignore_ascii_case(name)) {
                names.push(name);
                relaxed_header(name, value, &mut signed);
                signed.push_str("\r\n");
            }
        }
        let body_hash = STANDARD.encode(digest(&SHA256, relaxed_body(body).as_bytes()));
        let algorithm = match self.key {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        };
        let value = format!(
            "v=1; a={algorithm}; c=relaxed/relaxed; d={}; s={};\r\n\th={};\r\n\tbh={body_hash};\r\n\tb=",
            self.domain,
            self.selector,
            names.join(":\r\n\t "),
        );
        relaxed_header("dkim-signature", &value, &mut signed);
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &self.random, signed.as_bytes(), &mut out).map_err(|_| SignError)?;
                STANDARD.encode(out)
            }
            // RFC 8463 §3: the hash is what Ed25519 signs.
            Key::Ed25519(key) => STANDARD.encode(key.sign(digest(&SHA256, signed.as_bytes()).as_ref())),
        };
        let mut header = format!("DKIM-Signature: {value}");
        for (i, c) in signature.chars().enumerate() {
            if i > 0 && i % 72 == 0 {
                header.push_str("\r\n\t ");
            }
            header.push(c);
        }
        header.push_str("\r\n");
        Ok(header)
    }
}

/// Name and value (still folded) of each header.
fn unfold(headers: &str) -> Vec<(&str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for line in headers.split("\r\n") {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = found.last_mut() {
                value.push_str("\r\n");
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            found.push((name.trim_end(), value.to_owned()));
        }
    }
    found
}

/// RFC 6376 §3.4.2, without the line end.
fn relaxed_header(name: &str, value: &str, out: &mut String) {
    out.push_str(name);
    out.push(':');
    let mut words = value.split([' ', '\t', '\r', '\n']).filter(|w| !w.is_empty());
    if let Some(first) = words.next() {
        out.push_str(first);
    }
    for word in words {
        out.push(' ');
        out.push_str(word);
    }
}

/// RFC 6376 §3.4.4.
fn relaxed_body(body: &str) -> String {
    let mut out = String::with_capacity(body.len() + 2);
    let mut empty = 0;
    for line in body.split("\r\n") {
        let line = line.trim_end_matches([' ', '\t']);
        if line.is_empty() {
            empty += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty) {
            out.push_str("\r\n");
        }
        let mut words = line.split([' ', '\t']);
        out.push_str(words.next().unwrap_or_default());
        for word in words.filter(|w| !w.is_empty()) {
            out.push(' ');
            out.push_str(word);
        }
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Signer, relaxed_body, relaxed_header};
    use crate::compile::{DkimWiring, Secret};

    const ED25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    #[test]
    fn canonical_forms_of_rfc_6376() {
        let mut out = String::new();
        relaxed_header("subject", " AbC\t\r\n  def  ", &mut out);
        assert_eq!(out, "subject:AbC def");
        assert_eq!(relaxed_body(" C \r\nD \t E\r\n\r\n\r\n"), " C\r\nD E\r\n");
        assert_eq!(relaxed_body("\r\n\r\n"), "");
        assert_eq!(relaxed_body("a\r\n\r\nb"), "a\r\n\r\nb\r\n");
        assert_eq!(relaxed_body(""), "");
    }

    fn wiring(domain: &str, key: &str) -> DkimWiring {
        DkimWiring { domain: domain.into(), selector: "s1".into(), private_key: Secret(key.into()) }
    }

    #[test]
    fn a_retry_sends_the_same_bytes_and_all_that_matters_is_signed() {
        let signer = Signer::open(&wiring("News.example.com", ED25519)).unwrap();
        let message = "From: a@b.c\r\nTo: d@e.f\r\nSubject: x\r\nContent-Type: text/plain\r\nList-Unsubscribe: <https://u>\r\n\
                       List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nX-Other: 1\r\n\r\nHello\r\n";
        let header = signer.sign(message).unwrap();
        assert_eq!(header, signer.sign(message).unwrap());
        assert!(header.starts_with("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=news.example.com; s=s1;\r\n"));
        assert!(header.ends_with("\r\n"));
        let flat = header.replace("\r\n\t ", "");
        assert!(flat.contains("h=from:from:to:subject:content-type:list-unsubscribe:list-unsubscribe-post;"), "{flat}");
        assert_ne!(header, signer.sign(&message.replace("Hello", "Hallo")).unwrap());
        assert!(header.split("\r\n").all(|line| line.len() < 100));
    }

    #[test]
    fn unusable_keys_are_named_before_anything_is_sent() {
        for (domain, key) in
            [("b.c", "not a key"), ("b.c; x=y", ED25519), ("b.c", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")]
        {
            assert!(Signer::open(&wiring(domain, key)).is_err());
        }
    }
}
