//! What a CRM tells us, in one canonical form that every connector fills.

use super::{Email, ManagerId, Money, Phone, Text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value of a declared extra field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FieldValue {
    Bool(bool),
    Number(f64),
    Text(String),
}

/// Whether the CRM counts a deal as open, won or lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DealState {
    #[default]
    Open,
    Won,
    Lost,
    /// Gone from the CRM, or excluded from the pipeline.
    Deleted,
}

/// One deal (opportunity, lead) as its CRM tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deal {
    /// The CRM's own id, unique within its connection.
    pub id: String,
    pub title: String,
    pub url: Option<String>,
    pub pipeline: String,
    /// Title or id of the CRM's stage.
    pub stage: String,
    pub state: DealState,
    pub lost_reason: Option<String>,
    pub amount: Money,
    pub currency: Option<String>,
    pub manager: Option<ManagerId>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    /// When it entered its stage; for lost deals, when it was lost.
    pub stage_changed_at: Option<Timestamp>,
    /// Last thing a person did to it. Robots, imports and our own writes are not activity.
    pub last_activity_at: Option<Timestamp>,
    /// Due time of the earliest open task.
    pub next_task_at: Option<Timestamp>,
    /// First contact is the one we write to.
    pub contacts: Vec<String>,
    /// Declared extra fields by the name that conditions and texts use.
    pub fields: BTreeMap<String, FieldValue>,
}

/// What the CRM says of a person's consent to advertising: `None` is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactConsent {
    pub sms: Option<bool>,
    pub email: Option<bool>,
}

/// A contact person of a deal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    pub id: String,
    pub name: Text,
    pub first_name: Option<Text>,
    pub phones: Vec<Phone>,
    pub emails: Vec<Email>,
    /// IANA name, when the CRM knows it.
    pub time_zone: Option<String>,
    /// BCP 47 tag like `ru`, when the CRM knows it.
    pub language: Option<String>,
    pub consent: ContactConsent,
    pub fields: BTreeMap<String, FieldValue>,
}

/// A salesperson or supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manager {
    pub id: ManagerId,
    pub name: Text,
    #[serde(default)]
    pub first_name: Option<Text>,
    #[serde(default)]
    pub email: Option<Email>,
    #[serde(default)]
    pub phone: Option<Phone>,
    #[serde(default)]
    pub supervisor: Option<ManagerId>,
    #[serde(default)]
    pub deputy: Option<ManagerId>,
    /// Until when the manager is away, if they are.
    #[serde(default)]
    pub absent_until: Option<Timestamp>,
}
