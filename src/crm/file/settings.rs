//! What a file connection's wiring means: columns, stages, zone, encoding. Checked once, when the connector is built.

use super::table::Want;
use crate::compile::{ConnectionWiring, FieldKind, FieldOf, FileWiring};
use crate::crm::CrmError;
use encoding_rs::Encoding;
use jiff::tz::TimeZone;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Canonical columns of the deals file, in the order of [`DealColumn`].
const DEAL: [&str; 16] = [
    "id",
    "title",
    "url",
    "pipeline",
    "stage",
    "lostReason",
    "manager",
    "amount",
    "currency",
    "createdAt",
    "updatedAt",
    "stageChangedAt",
    "closedAt",
    "lastActivityAt",
    "nextTaskAt",
    "contactId",
];

/// Index of a canonical column among the wanted ones of the deals file.
#[derive(Clone, Copy)]
pub(super) enum DealColumn {
    Id,
    Title,
    Url,
    Pipeline,
    Stage,
    LostReason,
    Manager,
    Amount,
    Currency,
    CreatedAt,
    UpdatedAt,
    StageChangedAt,
    ClosedAt,
    LastActivityAt,
    NextTaskAt,
    ContactId,
}

/// Canonical columns of a contact, after the id or, inline, after the deal's own; in the order of [`ContactColumn`].
const CONTACT: [&str; 9] = ["name", "firstName", "phone", "email", "timeZone", "language", "consent", "consentSms", "consentEmail"];

#[derive(Clone, Copy)]
pub(super) enum ContactColumn {
    Name,
    FirstName,
    Phone,
    Email,
    TimeZone,
    Language,
    Consent,
    ConsentSms,
    ConsentEmail,
}

/// Canonical columns of the managers file, in the order of [`ManagerColumn`].
const MANAGER: [&str; 8] = ["id", "name", "firstName", "email", "phone", "supervisor", "deputy", "absentUntil"];

#[derive(Clone, Copy)]
pub(super) enum ManagerColumn {
    Id,
    Name,
    FirstName,
    Email,
    Phone,
    Supervisor,
    Deputy,
    AbsentUntil,
}

/// A declared field: its name for us, its kind, and where it stands among the wanted columns.
#[derive(Debug)]
pub(super) struct FieldAt {
    pub name: String,
    pub kind: FieldKind,
    pub index: usize,
}

#[derive(Debug)]
pub(super) struct Settings {
    pub encoding: &'static Encoding,
    pub delimiter: Option<u8>,
    pub zone: TimeZone,
    pub region: String,
    pub pipeline: Option<String>,
    /// A deals file that was written longer ago is not believed.
    pub max_age: Option<Duration>,
    won: Vec<String>,
    lost: Vec<String>,
    open: Vec<String>,
    pub deals: Arc<[Want]>,
    pub deal_fields: Vec<FieldAt>,
    /// Where a contact's columns begin in the deals file.
    pub inline: usize,
    pub inline_fields: Vec<FieldAt>,
    pub contacts: Arc<[Want]>,
    pub contact_fields: Vec<FieldAt>,
    pub managers: Arc<[Want]>,
}

/// Where a contact's columns begin in the contacts file: behind the id.
pub(super) const CONTACTS_BASE: usize = 1;

impl Settings {
    pub fn new(connection: &ConnectionWiring, wiring: &FileWiring) -> Result<Self, CrmError> {
        let settings = |what: String, help: &str| CrmError::Settings { what, help: help.into() };
        let encoding = Encoding::for_label(wiring.encoding.as_bytes()).ok_or_else(|| {
            settings(
                format!("`{}` is not an encoding", wiring.encoding),
                "write utf-8, windows-1251, utf-16le or another WHATWG label",
            )
        })?;
        let zone = TimeZone::get(&wiring.time_zone)
            .map_err(|_| settings(format!("`{}` is not a time zone", wiring.time_zone), "write a name like Europe/Moscow"))?;
        let fold = |titles: &[String]| titles.iter().map(|t| t.trim().to_lowercase()).collect();

        let mut deals: Vec<Want> =
            DEAL.iter().map(|key| want(key, &[&wiring.deal_columns], &[], matches!(*key, "id" | "stage"))).collect();
        let inline = deals.len();
        deals.extend(CONTACT.iter().map(|key| want(key, &[&wiring.deal_columns], &[], false)));
        let deal_fields = fields(connection, FieldOf::Deal, true, &mut deals);
        let inline_fields = fields(connection, FieldOf::Client, wiring.contacts.is_none(), &mut deals);

        // `columns` may name a contact's or manager's columns too; what the file's own map says comes first.
        let id_in_deals = wiring.deal_columns.get("contactId").map(String::as_str);
        let mut contacts = vec![want("id", &[&wiring.contact_columns], &[id_in_deals, Some("contactId")], true)];
        contacts.extend(CONTACT.iter().map(|key| {
            let own = want(key, &[&wiring.contact_columns], &[wiring.deal_columns.get(*key).map(String::as_str)], false);
            Want { declared: wiring.contact_columns.contains_key(*key), ..own }
        }));
        let contact_fields = fields(connection, FieldOf::Client, true, &mut contacts);
        let id_in_deals = wiring.deal_columns.get("manager").map(String::as_str);
        let managers = MANAGER
            .iter()
            .map(|key| match *key {
                "id" => want(key, &[&wiring.manager_columns], &[id_in_deals], true),
                key => want(key, &[&wiring.manager_columns], &[], false),
            })
            .collect();
        // With a contacts file, contact columns that `columns` maps are looked for there and not among the deals.
        if wiring.contacts.is_some() {
            deals.iter_mut().skip(inline).take(CONTACT.len()).for_each(|w| w.declared = false);
        }
        Ok(Self {
            encoding,
            delimiter: wiring.delimiter,
            zone,
            region: connection.region.clone(),
            pipeline: wiring.pipeline.clone(),
            max_age: wiring.max_age,
            won: fold(&wiring.won_stages),
            lost: fold(&wiring.lost_stages),
            open: fold(&wiring.open_stages),
            deals: deals.into(),
            deal_fields,
            inline,
            inline_fields,
            contacts: contacts.into(),
            contact_fields,
            managers,
        })
    }

    /// What a stage's title means to the CRM's owner, and whether they named it at all. Without a list of open stages every
    /// title is one, unless it holds a won or lost title among other words: that is more likely a forgotten one.
    pub fn stage(&self, title: &str) -> (crate::model::DealState, bool) {
        use crate::model::DealState::{Lost, Open, Won};
        let title = title.to_lowercase();
        if self.won.contains(&title) {
            return (Won, true);
        }
        if self.lost.contains(&title) {
            return (Lost, true);
        }
        let known = if self.open.is_empty() {
            let mut words = title.split(|c: char| !c.is_alphanumeric());
            !words.any(|word| self.won.iter().chain(&self.lost).any(|t| t == word))
        } else {
            self.open.contains(&title)
        };
        (Open, known)
    }
}

fn want(key: &str, maps: &[&BTreeMap<String, String>], also: &[Option<&str>], mandatory: bool) -> Want {
    let mapped: Vec<String> = maps.iter().filter_map(|map| map.get(key).cloned()).collect();
    let declared = !mapped.is_empty();
    // A mapped column is that one and no other; without a map it is the canonical name.
    let names = if declared { mapped } else { vec![key.to_owned()] };
    let also = also.iter().flatten().filter(|_| !declared).map(|n| (*n).to_owned());
    Want { key: key.into(), names: names.into_iter().chain(also).collect(), declared, mandatory }
}

/// `declared`: the file is the one where these fields ought to stand.
fn fields(connection: &ConnectionWiring, of: FieldOf, declared: bool, wants: &mut Vec<Want>) -> Vec<FieldAt> {
    let of_them = connection.fields.iter().filter(|f| f.of == of);
    of_them
        .map(|field| {
            wants.push(Want { key: field.name.clone(), names: vec![field.from.clone()], declared, mandatory: false });
            FieldAt { name: field.name.clone(), kind: field.kind, index: wants.len() - 1 }
        })
        .collect()
}
