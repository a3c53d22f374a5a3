//! `ContentList`: what marketers write.

use super::{
    ConfigMapKeyRef, ContentListStatus, Day,
    common::{long_strings, short_strings},
};
use crate::model::{HumanDuration, Purpose, SendAs};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Messages in an order, with their delays and conditions.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rekindle.dev",
    version = "v1alpha1",
    kind = "ContentList",
    namespaced,
    status = "ContentListStatus",
    shortname = "contents",
    category = "rekindle",
    derive = "PartialEq",
    doc = "SMS and emails in an order, with delays and conditions: what a client gets while a deal is warmed.",
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title"),
    printcolumn(name = "Items", type_ = "integer", json_path = ".status.itemCount"),
    printcolumn(name = "SMS parts", type_ = "integer", json_path = ".status.smsParts", description = "parts of the longest SMS"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Used by", type_ = "integer", json_path = ".status.usedByCount", description = "funnels that use it"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ContentListSpec {
    /// What people read. Default: the resource's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub title: Option<String>,
    /// The messages, in the order in which they are sent.
    #[schemars(length(min = 1, max = 500))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub items: Vec<ItemSpec>,
    /// What becomes of messages that are overdue after an edit or a standstill. Spread (default): they are sent slowly, never as a burst.
    /// Send: at once. Skip: not at all.
    #[serde(default)]
    pub overdue: OverdueSpec,
    /// CEL; as soon as it is true nothing more of this list is sent, like cycle.booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub stop_when: Option<String>,
    /// Added to every link that lacks them, like {utm_source: rekindle}. What a link already has is never replaced. Plain words: a value
    /// like {{ deal.id }} stands in the link itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "short_strings")]
    pub utm: BTreeMap<String, String>,
}

/// What becomes of overdue messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OverdueSpec {
    #[default]
    Spread,
    Send,
    Skip,
}

/// One message.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.sms) != has(self.email)").message("set exactly one of sms, email"))]
#[x_kube(validation = Rule::new("!(has(self.date) && has(self.after))").message("set at most one of after, date; after or before the date stands inside date"))]
pub struct ItemSpec {
    /// Never changes: a new name is a new message, which is sent to those who had the old one as well. Lower-case letters, digits, dashes.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What people read; may change. Default: name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub title: Option<String>,
    /// How long after the message before it (the first: after entering the stage), like 3d or 12h. Days are calendar days. Default 0h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<HumanDuration>,
    /// Its own moment is at this time of day, in the client's time zone, like "11:00". Write it in quotes. If it has to wait then
    /// (window, holiday, cap), it goes at the next opening, whatever the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub at: Option<String>,
    /// On a date of the deal or the client, whatever else is sent, like a day before a visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<ItemDate>,
    /// Its own moment is on one of these days: Mon, Tue, Wed, Thu, Fri, Sat, Sun. If it has to wait then (window, holiday, cap), it goes
    /// at the next opening, whatever the day. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Day>,
    /// CEL that must be true when the message is due, like deal.amount >= 5000000.0 && client.city == 'Москва'; else it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,
    /// Advertising (default): needs consent, counts against caps, skips holidays. Service: about something the client asked for or bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// In whose name an email is sent, as managerFrom of its channel says. Brand (default). Manager: the deal's manager. ManagerIfSpoke:
    /// the deal's manager if the CRM knows of any person's activity on this deal, whoever that was; else the brand. An SMS shows no
    /// manager.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub send_as: Option<SendAs>,
    /// The funnel's name of a channel. Default: its first channel of this medium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub channel: Option<String>,
    /// Not sent before, like 2027-02-01T00:00:00+03:00. If its moment comes earlier, it does not wait: it is left out for good
    /// (NotValidYet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub valid_from: Option<String>,
    /// Not sent from then on, like 2027-03-01T00:00:00+03:00.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub valid_until: Option<String>,
    /// How long it may wait after its own moment (for a window, a cap, a paused policy); later it is left out (TooOld). Default: as long
    /// as it takes; with date, 1d. Once it may go, its hand-over to the provider has a time of its own: the channel's expiresAfter,
    /// or this if it is shorter. Not 0h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<HumanDuration>,
    /// Makes it an SMS. Exactly one of sms, email is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<SmsText>,
    /// Makes it an email. Exactly one of sms, email is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailText>,
    /// Where its links lead, by the name that the text uses: {{ links.catalog }}. Clients are redirected to these addresses and to no
    /// other. The part before the path must not be a template. A picture shows what lies at its address itself: it counts as no click.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "long_strings")]
    pub links: BTreeMap<String, String>,
    /// Two or more wordings that are compared; each client always gets the same one. sms or email of the item itself is the medium and
    /// what a variant without own text uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub variants: Vec<VariantSpec>,
    /// The same message in other languages, for clients whose language is known. Taken is the text of the client's variant, if it has
    /// one of its own; else the translation into the client's language, which counts for the variant; else the text of the item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub translations: Vec<Translation>,
}

/// A date that a message waits for.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!(has(self.after) && has(self.before))").message("set at most one of after, before"))]
pub struct ItemDate {
    /// Name of a field of type Date, declared in the connection; the deal's, else the client's.
    #[schemars(length(min = 1, max = 63))]
    pub field: String,
    /// That long after it, like 2d. Default: on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<HumanDuration>,
    /// That long before it, like 1d. Never sent once the date itself is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<HumanDuration>,
    /// true: its day comes every year, like a birthday; the next one counts. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yearly: Option<bool>,
}

/// An SMS.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsText {
    /// The text, a template: {{ client.firstName | default('Hello') }}, … {{ links.catalog }}. How to stop is appended by the channel.
    #[schemars(length(min = 1, max = 4096))]
    pub text: String,
}

/// An email. Exactly one of markdown, html, bodyFrom is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.markdown), has(self.html), has(self.bodyFrom)].filter(x, x).size() == 1").message("set exactly one of markdown, html, bodyFrom"))]
pub struct EmailText {
    /// The subject line, a template.
    #[schemars(length(min = 1, max = 512))]
    pub subject: String,
    /// The line that mail programs show beside the subject, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub preheader: Option<String>,
    /// The body in Markdown, a template, put into the default layout. A link alone in its
    /// paragraph becomes a button.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32768))]
    pub markdown: Option<String>,
    /// Your own complete HTML, a template. Its links are {{ links.NAME }}; it must show {{ links.unsubscribe }}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32768))]
    pub html: Option<String>,
    /// The body from a ConfigMap, for big ones: up to 262,144 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_from: Option<BodyFrom>,
    /// The plain-text part, a template. Default: made from the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32768))]
    pub text: Option<String>,
}

/// A body that stands in a ConfigMap.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BodyFrom {
    /// Where it stands.
    pub config_map: ConfigMapKeyRef,
    /// Markdown (default): put into the default layout. Html: your own complete HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<BodyFormat>,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BodyFormat {
    #[default]
    Markdown,
    Html,
}

/// One of several wordings. At most one of sms, email is set, the same medium as the item's.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!(has(self.sms) && has(self.email))").message("set at most one of sms, email"))]
pub struct VariantSpec {
    /// Its name in reports, like a or short. Never changes.
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Its share relative to the other variants. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub weight: Option<i32>,
    /// Its SMS. Default: the item's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<SmsText>,
    /// Its email. Default: the item's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailText>,
}

/// The message in another language. Exactly one of sms, email is set, the same medium as the item's.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.sms) != has(self.email)").message("set exactly one of sms, email"))]
pub struct Translation {
    /// Language tag, like en or pt-BR.
    #[schemars(length(min = 2, max = 35), regex(pattern = r"^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$"))]
    pub language: String,
    /// The SMS in that language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<SmsText>,
    /// The email in that language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailText>,
}
