//! The providers of a [`MessageChannel`](super::MessageChannel): where its messages are handed over. Members of a list, so their
//! defaults are resolved by `compile`.

use super::{
    ConfigMapKeyRef, SecretRef,
    common::{any_object, long_strings},
};
use crate::model::HumanDuration;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One way to hand messages over.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("(self.type == 'Kannel') == has(self.kannel) && (self.type == 'Http') == has(self.http) && (self.type == 'Smtp') == has(self.smtp)")
    .message("type and settings do not match: with type Kannel write the member kannel, with Http http, with Smtp smtp, and no other"))]
pub struct Provider {
    /// Its name within the channel: it stands in the ledger and in the addresses where the provider reports.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Kannel: SMS through a Kannel gateway. Http: SMS through any provider with an HTTP interface, declared here. Smtp: email through
    /// a relay. Exactly the member of that name is set.
    #[serde(rename = "type")]
    pub kind: ProviderType,
    /// Settings for type Kannel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kannel: Option<Kannel>,
    /// Settings for type Http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSms>,
    /// Settings for type Smtp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Smtp>,
}

/// Kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProviderType {
    Kannel,
    Http,
    Smtp,
}

/// A Kannel gateway's sendsms interface. Receipts find their way; for answers of clients enter what `rekindle hooks` prints as get-url of
/// an sms-service.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kannel {
    /// Address of the gateway, like http://kannel:13013. Its sendsms-user needs max-messages = 10 (no less than maxParts of the channel;
    /// Kannel's default is 1) and concatenation = true: else Kannel cuts a long SMS off, opt-out included, and says that it was accepted.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://"))]
    pub url: String,
    /// A Secret with the keys username and password.
    pub secret_ref: SecretRef,
    /// How many requests may be under way at once. Default 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub connections: Option<i32>,
}

/// An SMTP relay.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Smtp {
    /// Name or address of the relay.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Its port. Default: 587 with Starttls, 465 with Tls, 25 with None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Starttls (default): encrypted, a relay that cannot is refused. Tls: encrypted from the first byte. None: plain text, for private
    /// networks only; no password is ever sent over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<SmtpTlsSpec>,
    /// A Secret with the keys username and password. Default: no login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// A ConfigMap's key with the certificate (PEM) that a private relay is checked against, besides the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<ConfigMapKeyRef>,
    /// How many connections are used at once. Default 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub connections: Option<i32>,
    /// How many messages go over one connection before it is renewed. Default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub messages_per_connection: Option<i32>,
    /// How many messages are handed to each connection at once: one on its way, the others right behind it. More is faster, up to
    /// what the relay takes; a crash leaves at most connections × pipelineDepth messages of which nobody knows whether they were
    /// accepted. Default 1: a message is handed over when a connection is free for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub pipeline_depth: Option<i32>,
    /// Whether commands are sent ahead where the relay offers it; set false for a relay that offers it and cannot. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipelining: Option<bool>,
    /// The name we greet the relay with. Default: the domain of the channel's from address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub helo: Option<String>,
}

/// How the connection to a relay is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SmtpTlsSpec {
    #[default]
    Starttls,
    Tls,
    None,
}

/// Any SMS provider with an HTTP interface: what to send, and how to read its answer.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpSms {
    /// The request for one SMS.
    pub request: HttpRequest,
    /// A Secret whose keys the request's templates see as {{ secret.KEY }}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// A Secret with the keys username and password, sent as HTTP basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth_secret_ref: Option<SecretRef>,
    /// CEL that is true when the provider took the message. Knows status, body, json and headers. Asked before errors, so that what was
    /// taken is never sent again; one that looks at the status alone is asked after them, as it sees no error in the body. Default: any
    /// status 2xx that none of errors matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub accepted: Option<String>,
    /// CEL for the provider's own number of the message, like "json.sms_id"; needed when its receipts do not carry ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub id: Option<String>,
    /// What other answers mean; the first that matches counts. An answer that neither accepted nor any of these matches means what its
    /// HTTP status says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub errors: Vec<HttpError>,
    /// How the provider's delivery receipts are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<HttpReceipts>,
    /// How long an answer is waited for. Default 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
    /// How many requests may be under way at once. Default 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub connections: Option<i32>,
}

/// One HTTP request. Values are templates that know to (+79991234567), toDigits, from, text, id (ours, stable over attempts), effect (the
/// same, shorter, for receipts), receiptUrl, parts and secret.KEY.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.form), has(self.json), has(self.text)].filter(x, x).size() <= 1").message("set at most one of form, json, text"))]
pub struct HttpRequest {
    /// GET, POST (default) or PUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
    /// The address, like https://sms.example/send?to={{ toDigits }}.
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"^https?://"))]
    pub url: String,
    /// Headers, like {Authorization: "Bearer {{ secret.token }}"}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "long_strings")]
    pub headers: BTreeMap<String, String>,
    /// A form, like {to: "{{ toDigits }}", msg: "{{ text }}"}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "long_strings")]
    pub form: BTreeMap<String, String>,
    /// A JSON document whose strings are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub json: Option<serde_json::Value>,
    /// A body as it is; set Content-Type in headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub text: Option<String>,
}

/// HTTP method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpMethod {
    #[serde(rename = "GET")]
    Get,
    #[default]
    #[serde(rename = "POST")]
    Post,
    #[serde(rename = "PUT")]
    Put,
}

/// What one kind of answer means.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpError {
    /// CEL that is true for this answer. Knows status, body, json and headers.
    #[schemars(length(min = 1, max = 4096))]
    pub when: String,
    /// What it means. Retry: try again. Throttled: too fast, wait `after`. InvalidRecipient: the number does not exist, write to it never
    /// again. OptedOut: the client stopped SMS with the provider. Rejected: this message is refused for good. ChannelDown: no money,
    /// wrong password, sender not registered; the channel pauses. Unknown: nobody can say whether it was accepted.
    pub then: HttpVerdictSpec,
    /// How long to wait before the next attempt (Retry, Throttled), or how long the channel pauses (ChannelDown), like 1h. Default:
    /// for Throttled the provider's Retry-After, else as the channel's retry says; a pause then lasts a minute at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<HumanDuration>,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpVerdictSpec {
    Retry,
    Throttled,
    InvalidRecipient,
    OptedOut,
    Rejected,
    ChannelDown,
    Unknown,
}

/// How delivery receipts are read: CEL over query, form, json and body.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpReceipts {
    /// CEL for which message it is about: our id if it comes back, else the provider's.
    #[schemars(length(min = 1, max = 4096))]
    pub id: String,
    /// CEL that is true when the message arrived.
    #[schemars(length(min = 1, max = 4096))]
    pub delivered: String,
    /// CEL that is true when it will never arrive.
    #[schemars(length(min = 1, max = 4096))]
    pub failed: String,
    /// What we answer, when the provider insists on a certain body. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub answer: Option<String>,
}
