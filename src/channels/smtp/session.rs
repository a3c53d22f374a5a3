//! From connect to the first MAIL: greeting, EHLO, STARTTLS, AUTH.

use super::{
    Timeouts,
    reply::Reply,
    wire::{Wire, WireError},
};
use crate::compile::{SmtpTls, SmtpWiring};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{ClientConfig, pki_types::ServerName};
use std::sync::Arc;

/// What the server announced, of what we use.
#[derive(Clone, Debug, Default)]
pub(super) struct Announced {
    pub(super) pipelining: bool,
    pub(super) eight_bit: bool,
    pub(super) utf8: bool,
    /// Largest message in bytes, if it said.
    pub(super) size: Option<usize>,
    pub(super) starttls: bool,
    pub(super) auth_plain: bool,
    pub(super) auth_login: bool,
}

/// Why no session came about. Nothing was handed over, so both kinds are certain.
#[derive(Clone, Debug)]
pub(super) enum ConnectError {
    /// May pass by itself.
    Later(String),
    /// Someone has to change something: credentials, permissions, TLS.
    Settings(String),
}

impl From<WireError> for ConnectError {
    fn from(e: WireError) -> Self {
        Self::Later(e.to_string())
    }
}

/// A conversation ready for MAIL.
pub(super) struct Session {
    pub(super) wire: Wire,
    pub(super) announced: Announced,
    /// Messages tried on it.
    pub(super) used: u32,
    /// A refused transaction is open: RSET comes first.
    pub(super) dirty: bool,
}

/// Opens a session as the wiring demands. Words of the server are passed on here: it knows of no recipient yet.
pub(super) async fn open(wiring: &SmtpWiring, tls: Option<&Arc<ClientConfig>>, limits: &Timeouts) -> Result<Session, ConnectError> {
    let mut wire = Wire::connect(&wiring.host, wiring.port, limits.connect).await?;
    let name = || {
        ServerName::try_from(wiring.host.clone())
            .map_err(|_| ConnectError::Settings("the host is not a name that a certificate can carry".into()))
    };
    let config = || tls.cloned().ok_or_else(|| ConnectError::Settings("TLS is not set up".into()));
    if wiring.tls == SmtpTls::Tls {
        wire = wire.secure(config()?, name()?, limits.connect).await?;
    }
    let greeting = wire.reply(limits.greeting).await?;
    expect(&greeting, 2, "the greeting")?;
    let mut announced = hello(&mut wire, wiring, limits).await?;
    if wiring.tls == SmtpTls::Starttls {
        if !announced.starttls {
            return Err(ConnectError::Settings(
                "the server does not offer STARTTLS; nothing is sent in clear, use its TLS port with tls: Tls or ask its operator"
                    .into(),
            ));
        }
        let answer = wire.command("STARTTLS", limits.command).await?;
        expect(&answer, 2, "STARTTLS")?;
        wire = wire.secure(config()?, name()?, limits.connect).await?;
        // What was announced in clear is forgotten (RFC 3207 §4.2).
        announced = hello(&mut wire, wiring, limits).await?;
    }
    if let (Some(user), Some(password)) = (&wiring.username, &wiring.password) {
        if wiring.tls == SmtpTls::None && !wire.peer.ip().is_loopback() {
            return Err(ConnectError::Settings("a password never travels in clear; set tls: Starttls or tls: Tls".into()));
        }
        authenticate(&mut wire, &announced, user, &password.0, limits).await?;
    }
    announced.pipelining &= wiring.pipelining;
    Ok(Session { wire, announced, used: 0, dirty: false })
}

fn expect(reply: &Reply, class: u16, what: &str) -> Result<(), ConnectError> {
    match reply.class() {
        c if c == class => Ok(()),
        5 => Err(ConnectError::Settings(format!("SMTP {} to {what}: {}", reply.codes(), words(reply)))),
        _ => Err(ConnectError::Later(format!("SMTP {} to {what}: {}", reply.codes(), words(reply)))),
    }
}

/// The server's first line, made harmless: what it says before it knows any recipient helps whoever has to repair it.
fn words(reply: &Reply) -> String {
    reply.lines.first().map_or("", String::as_str).chars().filter(|c| !c.is_control()).take(200).collect()
}

async fn hello(wire: &mut Wire, wiring: &SmtpWiring, limits: &Timeouts) -> Result<Announced, ConnectError> {
    let answer = wire.command(&format!("EHLO {}", wiring.helo), limits.command).await?;
    if answer.class() == 2 {
        return Ok(announced(&answer));
    }
    if answer.class() == 5 {
        let answer = wire.command(&format!("HELO {}", wiring.helo), limits.command).await?;
        expect(&answer, 2, "HELO")?;
        return Ok(Announced::default());
    }
    expect(&answer, 2, "EHLO")?;
    Ok(Announced::default())
}

fn announced(answer: &Reply) -> Announced {
    let mut found = Announced::default();
    for line in answer.lines.iter().skip(1) {
        // Some old servers write `AUTH=LOGIN`.
        let mut words = line.split([' ', '=']).filter(|w| !w.is_empty()).map(str::to_ascii_uppercase);
        match words.next().as_deref() {
            Some("PIPELINING") => found.pipelining = true,
            Some("8BITMIME") => found.eight_bit = true,
            Some("SMTPUTF8") => found.utf8 = true,
            Some("STARTTLS") => found.starttls = true,
            // `SIZE 0` and `SIZE` alone: no fixed limit (RFC 1870 §4).
            Some("SIZE") => found.size = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0),
            Some("AUTH") => {
                for mechanism in words {
                    found.auth_plain |= mechanism == "PLAIN";
                    found.auth_login |= mechanism == "LOGIN";
                }
            }
            _ => {}
        }
    }
    found
}

async fn authenticate(
    wire: &mut Wire,
    announced: &Announced,
    user: &str,
    password: &str,
    limits: &Timeouts,
) -> Result<(), ConnectError> {
    let answer = if announced.auth_plain {
        let token = STANDARD.encode(format!("\0{user}\0{password}"));
        wire.command(&format!("AUTH PLAIN {token}"), limits.command).await?
    } else if announced.auth_login {
        let mut answer = wire.command("AUTH LOGIN", limits.command).await?;
        for secret in [user, password] {
            if answer.class() == 3 {
                answer = wire.command(&STANDARD.encode(secret), limits.command).await?;
            }
        }
        answer
    } else {
        return Err(ConnectError::Settings(
            "the server offers no AUTH PLAIN or LOGIN; leave out the secret or use another port".into(),
        ));
    };
    match answer.class() {
        2 => Ok(()),
        // Its words may quote the user name, so only the codes are told.
        4 => Err(ConnectError::Later(format!("SMTP {} to AUTH", answer.codes()))),
        _ => Err(ConnectError::Settings(format!("SMTP {} to AUTH; check user name and password", answer.codes()))),
    }
}
