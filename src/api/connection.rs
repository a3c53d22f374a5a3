//! `CrmConnection`: where the deals come from and where tasks, comments and moves go.

use super::{ConfigMapKeyRef, CrmConnectionStatus, SecretKeyRef, common::short_strings};
use crate::model::HumanDuration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A connection to one CRM account.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rekindle.dev",
    version = "v1alpha1",
    kind = "CrmConnection",
    namespaced,
    status = "CrmConnectionStatus",
    shortname = "crm",
    category = "rekindle",
    derive = "PartialEq",
    doc = "A connection to one CRM: deals, contacts and managers are read from it; tasks, comments and moves are written to it.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type", description = "kind of CRM"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Healthy", type_ = "string", json_path = r#".status.conditions[?(@.type=="Healthy")].status"#),
    printcolumn(name = "Deals", type_ = "integer", json_path = ".status.deals", description = "deals seen"),
    printcolumn(name = "Last read", type_ = "date", json_path = ".status.lastReadAt", description = "last successful reading"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type == 'File') == has(self.file)")
    .message("type and settings do not match: with type File write exactly the member file"))]
pub struct CrmConnectionSpec {
    /// Which kind of CRM this is; exactly the member of that name is set. File: CSV or JSON-lines files of deals, contacts and managers.
    #[serde(rename = "type")]
    pub kind: ConnectionType,
    /// Settings for type File.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileConnection>,
    /// Two-letter country whose way of writing phone numbers is assumed where a number has no country code. Default RU.
    #[serde(default = "default_region")]
    #[schemars(length(max = 2), regex(pattern = r"^[A-Z]{2}$"))]
    pub region: String,
    /// How often the CRM is read.
    #[serde(default)]
    pub sync: Sync,
    /// Nothing is sent to this CRM's deals when it could not be read for that long: the client may have bought meanwhile. Default 2h.
    #[serde(default = "default_staleness")]
    pub max_staleness: HumanDuration,
    /// Extra fields of your CRM, by the names that conditions and texts use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub fields: Vec<Field>,
}

fn default_region() -> String {
    "RU".into()
}

fn default_staleness() -> HumanDuration {
    HumanDuration::hours(2)
}

/// Kind of CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConnectionType {
    File,
}

/// How often the CRM is read.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// Time between two readings, at least 1s. Default 1m.
    #[serde(default = "default_every")]
    pub every: HumanDuration,
}

fn default_every() -> HumanDuration {
    HumanDuration::minutes(1)
}

impl Default for Sync {
    fn default() -> Self {
        Self { every: default_every() }
    }
}

/// One declared field.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name in conditions and texts: `layout` becomes `deal.layout` or `client.layout`. A letter first, then letters, digits and _.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z][a-zA-Z0-9_]*$"))]
    pub name: String,
    /// Whose field it is. Deal: of the deal. Client: of its contact person.
    pub of: FieldOwner,
    /// Its name in the CRM (for files: the column).
    #[schemars(length(min = 1, max = 256))]
    pub from: String,
    /// What it holds. String (default): text. Number: compared as a number. Boolean: yes or no. Date: a moment, or a day, which begins
    /// at midnight where the client lives (a moment of 00:00 without an offset is a day, too).
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FieldType>,
}

/// Whose field it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FieldOwner {
    Deal,
    Client,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FieldType {
    String,
    Number,
    Boolean,
    Date,
}

/// Files of deals, contacts and managers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileConnection {
    /// The deals: CSV with a header line, or JSON lines.
    pub deals: FileOrigin,
    /// The contact persons. Without it name, phone and email are columns of the deals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contacts: Option<FileOrigin>,
    /// The managers, with email, phone, supervisor and deputy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managers: Option<FileOrigin>,
    /// Our name of a field of a deal → your column. Ours are id, title, url, pipeline, stage, lostReason, manager, amount, currency,
    /// createdAt, updatedAt, stageChangedAt, closedAt, lastActivityAt, nextTaskAt, contactId, consent, consentSms, consentEmail,
    /// name, firstName, phone, email. A field that is not named here is looked for under our name. A deal is what the file read last says of
    /// it, whatever its updatedAt.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "short_strings")]
    pub columns: BTreeMap<String, String>,
    /// The same for contacts: id, name, firstName, phone, email, timeZone, language, consent, consentSms, consentEmail.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "short_strings")]
    pub contact_columns: BTreeMap<String, String>,
    /// The same for managers: id, name, firstName, email, phone, supervisor, deputy, absentUntil.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "short_strings")]
    pub manager_columns: BTreeMap<String, String>,
    /// Which of your stages mean that a deal is won, lost or open.
    #[serde(default)]
    pub stages: FileStages,
    /// Character encoding, as the web names it: utf-8 (default), windows-1251, …
    #[serde(default = "default_encoding")]
    #[schemars(length(min = 1, max = 40))]
    pub encoding: String,
    /// The character between two fields: a comma, a semicolon, a tab or |. Default: found from the header line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1))]
    pub delimiter: Option<String>,
    /// Time zone of times written without an offset, like Europe/Moscow. Default UTC.
    #[serde(default = "default_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// The pipeline of all deals, when the file has no pipeline column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub pipeline: Option<String>,
    /// A deals file that was written longer ago than this is taken for an export that stopped: it is not read, so that after maxStaleness
    /// nothing is sent. Write a little more than the time between two exports. Only with path: a ConfigMap has no time. Default: a file may
    /// be of any age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<HumanDuration>,
    /// Where tasks, comments, notifications and moves are written. Default: nowhere, they only stand in the funnel's history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_back: Option<WriteBack>,
}

fn default_encoding() -> String {
    "utf-8".into()
}

fn default_zone() -> String {
    "UTC".into()
}

/// Where one file comes from.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.configMap) != has(self.path)").message("set exactly one of configMap, path"))]
pub struct FileOrigin {
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKeyRef>,
    /// A file: with `rekindle run -f` relative to the folder of this manifest, in a cluster relative to the volume that the chart mounts
    /// (files.volume). Without such a volume use configMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
}

/// Your words for won, lost and open.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStages {
    /// Stages that mean won, compared without case. Default: Won.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub won: Vec<String>,
    /// Stages that mean lost, compared without case. Default: Lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub lost: Vec<String>,
    /// Stages of deals that are open, compared without case. Where it is written, every other stage is counted as unknown, and shown.
    /// Default: every stage that is neither won nor lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub open: Vec<String>,
}

/// Where write-backs go; both may be set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.path) || has(self.webhook)").message("set path, webhook or both"))]
pub struct WriteBack {
    /// A file to which every write-back is appended as one JSON line (a CloudEvent): with `rekindle run -f` relative to the folder of
    /// this manifest, in a cluster relative to the volume that the chart mounts (files.volume, with files.readOnly false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
    /// An HTTP address that gets every write-back as a CloudEvent, at least once, in order for each deal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

/// An HTTP address that takes CloudEvents.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Absolute URL: https, or http within a private network.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://"))]
    pub url: String,
    /// A Secret's key whose value is sent as `Authorization: Bearer …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
}
