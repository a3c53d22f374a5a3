//! The demo's own ends of the wire: an SMTP server and a Kannel-like SMS gateway on loopback. They count for themselves what
//! arrived, so that the report's figures have a second, independent witness.

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use base64::Engine as _;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// One message as it came over the wire.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub sms: bool,
    pub to: String,
    /// Message-ID or receipt key: the same message twice has the same.
    pub key: String,
    /// Tracked addresses found in it, in order, each once.
    pub links: Vec<String>,
    pub unsubscribe: Option<String>,
}

/// Everything that arrived and was not looked at yet, and the totals.
#[derive(Debug, Default)]
pub struct Postbox {
    fresh: Vec<Arrived>,
    keys: HashMap<String, u32>,
    pub sms: u64,
    pub email: u64,
}

impl Postbox {
    fn put(&mut self, message: Arrived) {
        *self.keys.entry(message.key.clone()).or_default() += 1;
        if message.sms {
            self.sms += 1;
        } else {
            self.email += 1;
        }
        self.fresh.push(message);
    }

    /// Messages that arrived more than once.
    pub fn duplicates(&self) -> u64 {
        self.keys.values().map(|n| u64::from(n - 1)).sum()
    }

    /// What is new, in an order that does not depend on which connection was faster.
    pub fn take(&mut self) -> Vec<Arrived> {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.sort_by(|a, b| (&a.to, &a.key).cmp(&(&b.to, &b.key)));
        fresh
    }
}

/// Shared by both sinks.
pub type Shared = Arc<Mutex<Postbox>>;

fn put(shared: &Shared, message: Arrived) {
    shared.lock().unwrap_or_else(PoisonError::into_inner).put(message);
}

/// Starts both; they end with the runtime.
pub async fn start(base_url: String) -> std::io::Result<(SocketAddr, SocketAddr, Shared)> {
    let shared = Shared::default();
    let smtp = TcpListener::bind("127.0.0.1:0").await?;
    let smtp_at = smtp.local_addr()?;
    let (box_, base) = (shared.clone(), base_url.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = smtp.accept().await {
            let (shared, base) = (box_.clone(), base.clone());
            tokio::spawn(async move { serve_smtp(stream, &shared, &base).await });
        }
    });
    let sms = TcpListener::bind("127.0.0.1:0").await?;
    let sms_at = sms.local_addr()?;
    let router = Router::new().route("/cgi-bin/sendsms", get(sendsms).post(sendsms)).with_state((shared.clone(), base_url));
    tokio::spawn(async move { axum::serve(sms, router).await });
    Ok((smtp_at, sms_at, shared))
}

async fn sendsms(
    State((shared, base)): State<(Shared, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> (StatusCode, String) {
    let field = |name: &str| query.get(name).cloned().unwrap_or_default();
    let (to, text) = (field("to"), field("text"));
    if to.is_empty() || text.is_empty() {
        return (StatusCode::BAD_REQUEST, "Missing receiver or text".into());
    }
    let to = format!("+{}", to.trim_start_matches('+').trim());
    let (links, unsubscribe) = find_links(&text, &base);
    let key = Some(field("dlr-url")).filter(|url| !url.is_empty()).unwrap_or_else(|| format!("{to} {text}"));
    put(&shared, Arrived { sms: true, to, key, links, unsubscribe });
    (StatusCode::ACCEPTED, "0: Accepted for delivery".into())
}

/// As much SMTP as a sender needs, PIPELINING included.
async fn serve_smtp(stream: TcpStream, shared: &Shared, base: &str) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::with_capacity(64 * 1024, read);
    let mut line = String::new();
    let mut to: Vec<String> = Vec::new();
    write.write_all(b"220 demo.sink ESMTP\r\n").await.ok()?;
    loop {
        line.clear();
        if lines.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let upper = line.trim_end().to_ascii_uppercase();
        let reply: &[u8] = if upper.starts_with("EHLO") {
            b"250-demo.sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
        } else if upper.starts_with("RCPT TO:") {
            to.extend(line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(address, _)| address.to_lowercase()));
            b"250 2.1.5 Ok\r\n"
        } else if upper.starts_with("DATA") {
            write.write_all(b"354 End data with <CR><LF>.<CR><LF>\r\n").await.ok()?;
            let mut message = String::new();
            loop {
                line.clear();
                if lines.read_line(&mut line).await.ok()? == 0 {
                    return None;
                }
                if line == ".\r\n" {
                    break;
                }
                message.push_str(line.strip_prefix('.').unwrap_or(&line));
            }
            for to in to.drain(..) {
                put(shared, arrived_email(to, &message, base));
            }
            b"250 2.0.0 Ok: queued\r\n"
        } else if upper.starts_with("QUIT") {
            let _ = write.write_all(b"221 2.0.0 Bye\r\n").await;
            return None;
        } else {
            if upper.starts_with("MAIL") || upper.starts_with("RSET") {
                to.clear();
            }
            b"250 2.1.0 Ok\r\n"
        };
        write.write_all(reply).await.ok()?;
    }
}

fn arrived_email(to: String, message: &str, base: &str) -> Arrived {
    let header = |name: &str| {
        message.lines().take_while(|line| !line.is_empty()).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let (links, unsubscribe) = find_links(&plain_part(message), base);
    let unsubscribe = header("List-Unsubscribe")
        .and_then(|v| v.split('<').find_map(|p| p.split_once('>').map(|(url, _)| url.to_owned())))
        .or(unsubscribe);
    Arrived { sms: false, to, key: header("Message-ID").unwrap_or_default(), links, unsubscribe }
}

/// The decoded text/plain part: what a person without HTML would read.
fn plain_part(message: &str) -> String {
    let Some(at) = message.find("text/plain") else { return message.to_owned() };
    let part = &message[at..];
    let Some((head, body)) = part.split_once("\r\n\r\n") else { return String::new() };
    let body = body.split("\r\n--").next().unwrap_or(body);
    let head = head.to_ascii_lowercase();
    if head.contains("base64") {
        let packed: String = body.chars().filter(|c| !c.is_whitespace()).collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(packed).unwrap_or_default();
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    if head.contains("quoted-printable") {
        return body.replace("=\r\n", "").replace("=3D", "=").replace("=3d", "=");
    }
    body.to_owned()
}

fn find_links(text: &str, base: &str) -> (Vec<String>, Option<String>) {
    let (mut links, mut unsubscribe) = (Vec::new(), None);
    for (at, _) in text.match_indices(base) {
        let url: String =
            text[at..].chars().take_while(|c| !c.is_whitespace() && !matches!(c, '<' | '>' | ')' | '"' | ']')).collect();
        let url = url.trim_end_matches(['.', ',']).to_owned();
        if url[base.len()..].starts_with("/u/") {
            unsubscribe.get_or_insert(url);
        } else if url[base.len()..].starts_with("/r/") && !links.contains(&url) {
            links.push(url);
        }
    }
    (links, unsubscribe)
}
