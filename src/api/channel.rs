//! `MessageChannel`: one sender identity and the providers that carry its messages.

use super::{MessageChannelStatus, Provider, SecretKeyRef};
use crate::model::HumanDuration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One sender of SMS or email.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rekindle.dev",
    version = "v1alpha1",
    kind = "MessageChannel",
    namespaced,
    status = "MessageChannelStatus",
    shortname = "msgch",
    category = "rekindle",
    derive = "PartialEq",
    doc = "One sender of SMS or email, and the providers that carry its messages.",
    printcolumn(name = "Medium", type_ = "string", json_path = ".status.medium"),
    printcolumn(name = "Rate", type_ = "number", json_path = ".spec.rate.perSecond", description = "messages a second"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Healthy", type_ = "string", json_path = r#".status.conditions[?(@.type=="Healthy")].status"#),
    printcolumn(name = "Sent", type_ = "integer", json_path = ".status.sent"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failed", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.sms) != has(self.email)").message("set exactly one of sms, email"))]
pub struct MessageChannelSpec {
    /// Makes this a sender of SMS. Exactly one of sms, email is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<SmsSenderSpec>,
    /// Makes this a sender of email. Exactly one of sms, email is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailSenderSpec>,
    /// Who carries the messages, in order: the next one is used only if the former certainly did not accept.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub providers: Vec<Provider>,
    /// How fast it sends.
    #[serde(default)]
    pub rate: Rate,
    /// How long the providers may be tried with a message; then it is dropped as expired. It counts from when the message may go and
    /// is written down; what it waited for before (a window, a cap, the rate, a paused channel) does not count. Default 24h.
    #[serde(default = "default_expiry")]
    pub expires_after: HumanDuration,
    /// When a message that certainly was not accepted is tried again.
    #[serde(default)]
    pub retry: Retry,
    /// What to do when nobody can say whether the provider accepted a message. Hold (default): it is shown and never sent again on our
    /// own initiative. Resend: it is sent again; the client may get it twice.
    #[serde(default)]
    pub on_ambiguous: OnAmbiguousSpec,
    /// For trying out: while not empty, only these phones or mailboxes get anything; what a Live funnel has for others meanwhile fails and
    /// does not come again in its cycle. Default: empty, everybody does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 320)))]
    pub test_recipients: Vec<String>,
}

fn default_expiry() -> HumanDuration {
    HumanDuration::hours(24)
}

/// How fast a channel sends.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
// The bound of the schema is not enough: an API server compares a whole number with the whole part of it.
#[x_kube(validation = Rule::new("self.perSecond >= 0.01").message("perSecond must be at least 0.01; to stop sending use suspend of a funnel, paused of a policy or rekindle hold"))]
pub struct Rate {
    /// Messages a second, as your contract with the provider allows. Default 10.
    #[serde(default = "default_per_second")]
    #[schemars(range(min = 0.01, max = 100_000))]
    pub per_second: f64,
    /// How many may leave at once after a quiet time. Default: what leaves in one second, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub burst: Option<i32>,
}

fn default_per_second() -> f64 {
    10.0
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_second: default_per_second(), burst: None }
    }
}

/// When a refused message is tried again: after `min`, then twice as long each time, at most `max`. Pauses differ by up to a quarter,
/// so that those who were refused together do not come back together.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Shortest pause, before the second attempt. Default 30s.
    #[serde(default = "default_retry_min")]
    pub min: HumanDuration,
    /// Longest pause between two attempts. Default 30m.
    #[serde(default = "default_retry_max")]
    pub max: HumanDuration,
}

fn default_retry_min() -> HumanDuration {
    HumanDuration { days: 0, seconds: 30 }
}

fn default_retry_max() -> HumanDuration {
    HumanDuration::minutes(30)
}

impl Default for Retry {
    fn default() -> Self {
        Self { min: default_retry_min(), max: default_retry_max() }
    }
}

/// What to do with a message of unknown fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnAmbiguousSpec {
    #[default]
    Hold,
    Resend,
}

/// An SMS sender.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.optOut == 'Keyword' || !has(self.keyword)").message("keyword is only used with optOut: Keyword"))]
pub struct SmsSenderSpec {
    /// Who the SMS comes from: a phone number with its country code, a short number, or up to 11 Latin letters, digits and spaces that
    /// your provider registered.
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^(\+?[0-9]{3,15}|[A-Za-z0-9][A-Za-z0-9 ._-]{0,10})$"))]
    pub from: String,
    /// The longest SMS allowed, counted in parts; each part is paid for. Default 3.
    #[serde(default = "default_parts")]
    #[schemars(range(min = 1, max = 10))]
    pub max_parts: i32,
    /// How a client stops the messages. Link (default): a short link is appended unless the SMS shows {{ links.unsubscribe }}. Keyword: the
    /// word in keyword is appended unless your text has it; only for senders that can receive replies. None: stated elsewhere, by your own responsibility.
    #[serde(default)]
    pub opt_out: OptOutSpec,
    /// The word for optOut: Keyword; a client whose whole answer it is gets no more messages, as with STOP. Answers reach us by the
    /// addresses that `rekindle hooks` prints: enter them at the provider. A word that was announced before an edit, and that the texts
    /// of no funnel in force announce any more, reaches the manager only. Default STOP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 20))]
    pub keyword: Option<String>,
    /// What one part costs, for budgets and reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Exact (default): the text is sent as written. Smart: where the text then fits into the GSM alphabet, which makes it cheaper, quotes,
    /// dashes, spaces and signs become plain ones (№ is No., × is x), and letters lose the accents that this alphabet lacks, in names, too:
    /// João is sent as Joao, façade as facade.
    #[serde(default)]
    pub encoding: SmsEncoding,
}

fn default_parts() -> i32 {
    3
}

/// How a client stops SMS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OptOutSpec {
    #[default]
    Link,
    Keyword,
    None,
}

/// How typographic characters are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SmsEncoding {
    #[default]
    Exact,
    Smart,
}

/// What a message costs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// Price of one part, like "4.20". Write it in quotes.
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]{1,9}([.][0-9]{1,4})?$"))]
    pub per_part: String,
    /// Currency by its three letters, like RUB.
    #[schemars(length(max = 3), regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
}

/// What an email costs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailPrice {
    /// Price of one email, like "0.02". Write it in quotes.
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]{1,9}([.][0-9]{1,4})?$"))]
    pub per_message: String,
    /// Currency by its three letters, like RUB.
    #[schemars(length(max = 3), regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
}

/// An email sender.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailSenderSpec {
    /// Name and address the client sees.
    pub from: Mailbox,
    /// Where answers go. Default: the from address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 320))]
    pub reply_to: Option<String>,
    /// How items sent as the manager are signed. The address stays the brand's: it is the one your domain can vouch for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager_from: Option<ManagerFrom>,
    /// Signs every message with your domain's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dkim: Option<Dkim>,
    /// Where bounces are returned to. Nothing reads that mailbox yet: an address that bounces only after the relay took the message is
    /// written to again, and complaints that come there stop nothing. Default: the from address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 320))]
    pub bounce_address: Option<String>,
    /// Who writes and from where; many countries demand it. Shown under every email but under your own HTML that
    /// shows {{ links.unsubscribe }}: write it there yourself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub postal_address: Option<String>,
    /// Colours and logo of the default layout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
    /// What one email costs, for budgets and reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<EmailPrice>,
}

/// A name and an address.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// The name that mail programs show.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// The address, like hello@news.example.com.
    #[schemars(length(min = 3, max = 320))]
    pub address: String,
}

/// How items sent as the manager are signed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagerFrom {
    /// The name the client sees, like "{{ manager.name }}, Newhouse". Knows manager and brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub name: Option<String>,
    /// Where answers go, like "{{ manager.email }}": one plain address, without a name. Where it is none for a manager, answers go to the
    /// brand. Knows manager and brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub reply_to: Option<String>,
}

/// A signature of the domain.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dkim {
    /// The signing domain; the from address belongs to it, so that mailboxes see one sender.
    #[schemars(length(min = 1, max = 253))]
    pub domain: String,
    /// Under this name the public key stands in DNS: SELECTOR._domainkey.DOMAIN.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"))]
    pub selector: String,
    /// The private key: PEM with RSA (PKCS#1 or PKCS#8) or Ed25519 (PKCS#8).
    pub secret_ref: SecretKeyRef,
}

/// Colours and logo of the default layout.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// Colour of buttons and links, like "#0a7c5a". Write it in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 7), regex(pattern = r"^#[0-9a-fA-F]{6}$"))]
    pub accent_color: Option<String>,
    /// Picture on top of every email: an https address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https://"))]
    pub logo_url: Option<String>,
}
