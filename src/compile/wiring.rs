//! Adapter settings with their secrets, resolved: what `crm` and `channels` are built from and the engine never sees.
//! `Debug` is written by hand where a secret stands.

use crate::model::{HumanDuration, Medium};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    time::Duration,
};

/// A value that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Everything with an address outside. Keys are `namespace/name`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wiring {
    pub connections: BTreeMap<String, ConnectionWiring>,
    pub channels: BTreeMap<String, ChannelWiring>,
    /// All channels that exist, also those that cannot be opened.
    pub declared: BTreeSet<String>,
    /// What an SMS part costs, by channel, where that is declared.
    pub prices: BTreeMap<String, PartPrice>,
}

/// The price of one SMS part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPrice {
    /// In ten-thousandths of the currency: `4.20` is `42_000`.
    pub per_part: i64,
    /// ISO 4217 code.
    pub currency: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionWiring {
    pub key: String,
    pub every: Duration,
    /// Used where a phone number has no country code.
    pub region: String,
    pub fields: Vec<FieldWiring>,
    pub kind: ConnectionKind,
}

/// One declared extra field: `name` in conditions and texts ← `from` in the CRM.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldWiring {
    pub name: String,
    pub from: String,
    pub of: FieldOf,
    pub kind: FieldKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldOf {
    Deal,
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    String,
    Number,
    Boolean,
    /// Kept as RFC 3339 text, or as a plain date where it is a day: that begins when it begins for the client.
    Date,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionKind {
    File(FileWiring),
}

/// CSV or JSONL files of deals, contacts and managers.
#[derive(Clone, Debug, PartialEq)]
pub struct FileWiring {
    pub deals: FileSource,
    pub contacts: Option<FileSource>,
    pub managers: Option<FileSource>,
    /// Canonical field → column, per file. Only what is declared is overridden; the rest is the canonical name.
    pub deal_columns: BTreeMap<String, String>,
    pub contact_columns: BTreeMap<String, String>,
    pub manager_columns: BTreeMap<String, String>,
    /// Stage titles that mean won and lost, compared without case.
    pub won_stages: Vec<String>,
    pub lost_stages: Vec<String>,
    /// Titles of open stages. Not empty: every other title is counted as unknown (and taken as open).
    pub open_stages: Vec<String>,
    /// WHATWG label like `utf-8` or `windows-1251`.
    pub encoding: String,
    /// `None`: found from the header line.
    pub delimiter: Option<u8>,
    /// Zone of times without an offset.
    pub time_zone: String,
    /// What pipeline rows without a pipeline column belong to.
    pub pipeline: Option<String>,
    /// A deals file that was written longer ago is not believed.
    pub max_age: Option<Duration>,
    /// Where write-backs are appended as JSON lines.
    pub journal: Option<PathBuf>,
    pub webhook: Option<WebhookWiring>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FileSource {
    Path(PathBuf),
    /// From a `ConfigMap`: name of the file for messages, and its bytes.
    Inline {
        name: String,
        bytes: std::sync::Arc<Vec<u8>>,
    },
}

/// Write-backs as `CloudEvents`.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookWiring {
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<Secret>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ChannelWiring {
    pub key: String,
    pub medium: Medium,
    /// In order: the next one is used only if the former certainly did not accept.
    pub providers: Vec<ProviderWiring>,
    pub per_second: f64,
    pub burst: u32,
    pub on_ambiguous: OnAmbiguous,
    pub retry_min: HumanDuration,
    pub retry_max: HumanDuration,
    /// While not empty, only these addresses get anything: for trying out.
    pub test_recipients: Vec<String>,
    pub dkim: Option<DkimWiring>,
    /// The word that its texts announce: who answers with it alone gets no more messages.
    pub keyword: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAmbiguous {
    Hold,
    Resend,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DkimWiring {
    pub domain: String,
    pub selector: String,
    /// PEM: PKCS#8 or PKCS#1 RSA, or PKCS#8 Ed25519.
    pub private_key: Secret,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ProviderWiring {
    pub name: String,
    pub kind: ProviderKind,
}

#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // a handful of them in a process
pub enum ProviderKind {
    Smtp(SmtpWiring),
    Http(HttpSmsWiring),
    Kannel(KannelWiring),
}

#[derive(Clone, Debug, PartialEq)]
pub struct SmtpWiring {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// PEM of an additional root, for private relays.
    pub ca: Option<String>,
    pub connections: u32,
    pub messages_per_connection: u32,
    /// Messages handed to each connection at once.
    pub depth: u32,
    /// `false`: one command at a time even if the server offers PIPELINING.
    pub pipelining: bool,
    /// Name in EHLO.
    pub helo: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Plain text: private networks only. AUTH is refused on it unless the host is loopback.
    None,
    /// STARTTLS required; a server without it is refused.
    Starttls,
    /// TLS from the first byte.
    Tls,
}

/// A Kannel `sendsms` endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct KannelWiring {
    pub url: String,
    pub username: String,
    pub password: Secret,
    pub from: String,
    pub connections: u32,
}

/// An HTTP SMS provider, declared. Templates see `to` (E.164), `toDigits`, `from`, `text`, `id`, `receiptUrl`, `parts` and
/// `secret.KEY`; CEL rules see `status` (int), `body` (string), `json` (parsed body or null), `headers` (map, lower case).
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSmsWiring {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: HttpBody,
    pub secrets: BTreeMap<String, Secret>,
    pub basic: Option<(String, Secret)>,
    pub success: String,
    /// CEL for the provider's own id.
    pub id: Option<String>,
    pub errors: Vec<HttpErrorRule>,
    pub receipt: Option<HttpReceiptWiring>,
    pub timeout: Duration,
    pub connections: u32,
    pub from: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum HttpBody {
    None,
    Form(Vec<(String, String)>),
    /// A JSON document whose string values are templates.
    Json(serde_json::Value),
    Text(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct HttpErrorRule {
    pub when: String,
    pub then: HttpVerdict,
    pub after: Option<Duration>,
}

/// sms.md §1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVerdict {
    Retry,
    Throttled,
    InvalidRecipient,
    OptedOut,
    Rejected,
    ChannelDown,
    Unknown,
}

/// How this provider's receipts are read: CEL over `query`, `form` (maps), `json`, `body`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpReceiptWiring {
    /// Our effect's key if it comes back, else the provider's id.
    pub id: String,
    pub delivered: String,
    pub failed: String,
    /// What to answer, like SMS.ru's `100`.
    pub answer: Option<String>,
}
