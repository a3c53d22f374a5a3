//! `CrmConnection` → the settings of its connector.

use super::{
    ConnectionKind, ConnectionWiring, FieldKind, FieldOf, FieldWiring, FileSource, FileWiring, Origin, WebhookWiring,
    finding::{Findings, Reason, member, suggest},
    names,
    resources::{Parsed, Resources},
    time,
};
use crate::{
    api::{CrmConnectionSpec, FieldOwner, FieldType, FileConnection, FileOrigin},
    model::HumanDuration,
};
use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const DEAL_COLUMNS: [&str; 22] = [
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
    "consent",
    "consentSms",
    "consentEmail",
    "name",
    "phone",
    "email",
];
/// Of a contact that stands in the deal's own row.
const INLINE_CONTACT: [&str; 3] = ["firstName", "timeZone", "language"];
const CONTACT_COLUMNS: [&str; 10] =
    ["id", "name", "firstName", "phone", "email", "timeZone", "language", "consent", "consentSms", "consentEmail"];
const MANAGER_COLUMNS: [&str; 8] = ["id", "name", "firstName", "email", "phone", "supervisor", "deputy", "absentUntil"];

/// `None` when there is nothing to connect to.
pub(super) fn connection(
    resource: &Parsed<'_, CrmConnectionSpec>,
    all: &Resources<'_>,
    found: &mut Findings,
) -> Option<ConnectionWiring> {
    let (spec, source) = (&resource.spec, resource.source);
    let every = spec.sync.every.elapsed();
    if every < Duration::from_secs(1) {
        found.error(
            "spec.sync.every",
            Reason::InvalidValue,
            format!("{} is too often", spec.sync.every),
            "write at least 1s, usually 1m",
        );
    }
    if spec.max_staleness.elapsed() <= every {
        found.error(
            "spec.maxStaleness",
            Reason::NeverOpens,
            format!("the CRM is read every {}, so knowledge of it is always older than {}", spec.sync.every, spec.max_staleness),
            "write a longer maxStaleness, like 2h, or a shorter sync.every",
        );
    }
    if spec.region.len() != 2 || !spec.region.chars().all(|c| c.is_ascii_uppercase()) {
        found.error(
            "spec.region",
            Reason::InvalidValue,
            format!("{:?} is not a country", spec.region),
            "write its two letters, like RU",
        );
    }
    let fields = fields(spec, found);
    let Some(file) = &spec.file else {
        found.error("spec", Reason::InvalidUnion, "type is File, but file is missing", "write file: with deals below it");
        return None;
    };
    Some(ConnectionWiring {
        key: format!("{}/{}", source.namespace, source.name),
        every,
        region: spec.region.clone(),
        fields,
        kind: ConnectionKind::File(file_wiring(file, source.origin.as_ref(), &source.namespace, all, found)?),
    })
}

fn fields(spec: &CrmConnectionSpec, found: &mut Findings) -> Vec<FieldWiring> {
    let mut fields: Vec<FieldWiring> = Vec::new();
    for (i, field) in spec.fields.iter().enumerate() {
        let path = format!("spec.fields[{i}].name");
        let of = match field.of {
            FieldOwner::Deal => FieldOf::Deal,
            FieldOwner::Client => FieldOf::Client,
        };
        if fields.iter().any(|f| f.name == field.name) {
            found.error(
                &path,
                Reason::Duplicate,
                format!("the field {} is declared twice", field.name),
                "give one of them another name",
            );
        }
        if names::taken(field.of, &field.name) {
            found.error(
                &path,
                Reason::Duplicate,
                format!("{} is known already, without declaring it", field.name),
                "choose another name; to tell which column it comes from use file.columns",
            );
        }
        fields.push(FieldWiring {
            name: field.name.clone(),
            from: field.from.clone(),
            of,
            kind: match field.kind {
                None | Some(FieldType::String) => FieldKind::String,
                Some(FieldType::Number) => FieldKind::Number,
                Some(FieldType::Boolean) => FieldKind::Boolean,
                Some(FieldType::Date) => FieldKind::Date,
            },
        });
    }
    fields
}

fn file_wiring(
    file: &FileConnection,
    origin: Option<&Origin>,
    namespace: &str,
    all: &Resources<'_>,
    found: &mut Findings,
) -> Option<FileWiring> {
    let mut open = |spec: &FileOrigin, path: &str| file_source(spec, origin, namespace, all, path, found);
    let deals = open(&file.deals, "spec.file.deals");
    let contacts = file.contacts.as_ref().map(|f| open(f, "spec.file.contacts"));
    let managers = file.managers.as_ref().map(|f| open(f, "spec.file.managers"));
    let deal_names: Vec<&str> = DEAL_COLUMNS.into_iter().chain(INLINE_CONTACT).collect();
    columns(&file.columns, &deal_names, "spec.file.columns", found);
    columns(&file.contact_columns, &CONTACT_COLUMNS, "spec.file.contactColumns", found);
    columns(&file.manager_columns, &MANAGER_COLUMNS, "spec.file.managerColumns", found);
    if encoding_rs::Encoding::for_label(file.encoding.as_bytes()).is_none() {
        let known = ["utf-8", "windows-1251", "windows-1252", "koi8-r", "utf-16le", "iso-8859-1"];
        found.error(
            "spec.file.encoding",
            Reason::InvalidValue,
            format!("the encoding {:?} is not known", file.encoding),
            suggest(&file.encoding, known),
        );
    }
    let delimiter = file.delimiter.as_deref().and_then(|d| {
        let byte = d.bytes().next().filter(|b| d.len() == 1 && b",;\t|".contains(b));
        if byte.is_none() {
            found.error(
                "spec.file.delimiter",
                Reason::InvalidValue,
                format!("{d:?} does not separate fields"),
                "write \",\", \";\", \"|\" or \"\\t\", or leave it out: it is found from the header line",
            );
        }
        byte
    });
    time::zone(&file.time_zone, "spec.file.timeZone", found);
    let lower = |list: &[String]| list.iter().map(|s| s.trim().to_lowercase()).collect::<Vec<_>>();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (meaning, list) in [("won", &file.stages.won), ("lost", &file.stages.lost), ("open", &file.stages.open)] {
        for (i, stage) in lower(list).into_iter().enumerate() {
            if let Some(other) = seen.get(&stage).filter(|other| **other != meaning) {
                let path = format!("spec.file.stages.{meaning}[{i}]");
                found.error(
                    &path,
                    Reason::Conflict,
                    format!("the stage {stage:?} is {other} and {meaning} at once"),
                    "keep it in one of the lists",
                );
            }
            seen.insert(stage, meaning);
        }
    }
    if let Some(max_age) = file.max_age {
        if max_age.is_zero() {
            found.error(
                "spec.file.maxAge",
                Reason::NeverOpens,
                "every file is older than that",
                "write a little more than the time between two exports, like 26h",
            );
        } else if file.deals.config_map.is_some() {
            found.error(
                "spec.file.maxAge",
                Reason::Conflict,
                "the deals come from a ConfigMap, which has no time of its own",
                "leave maxAge out, or read the deals by path",
            );
        }
    }
    let (mut journal, mut webhook) = (None, None);
    if let Some(back) = &file.write_back {
        journal = back.path.as_ref().and_then(|p| local(p, origin, "spec.file.writeBack.path", found));
        webhook = back.webhook.as_ref().map(|hook| {
            let path = "spec.file.writeBack.webhook";
            http_url(&hook.url, &format!("{path}.url"), found);
            let token =
                hook.secret_ref.as_ref().and_then(|r| all.secret(namespace, &r.name, &r.key, &format!("{path}.secretRef"), found));
            WebhookWiring { url: hook.url.clone(), token }
        });
        if back.path.is_none() && back.webhook.is_none() {
            found.error(
                "spec.file.writeBack",
                Reason::InvalidUnion,
                "neither path nor webhook is set",
                "set one of them, or leave writeBack out",
            );
        }
    }
    Some(FileWiring {
        deals: deals?,
        contacts: contacts.flatten(),
        managers: managers.flatten(),
        deal_columns: file.columns.clone(),
        contact_columns: file.contact_columns.clone(),
        manager_columns: file.manager_columns.clone(),
        won_stages: if file.stages.won.is_empty() { vec!["Won".into()] } else { file.stages.won.clone() },
        lost_stages: if file.stages.lost.is_empty() { vec!["Lost".into()] } else { file.stages.lost.clone() },
        open_stages: file.stages.open.clone(),
        encoding: file.encoding.clone(),
        delimiter,
        time_zone: file.time_zone.clone(),
        pipeline: file.pipeline.clone(),
        max_age: file.max_age.map(HumanDuration::elapsed),
        journal,
        webhook,
    })
}

fn columns(map: &BTreeMap<String, String>, known: &[&str], path: &str, found: &mut Findings) {
    for (name, column) in map {
        if !known.contains(&name.as_str()) {
            let help = suggest(name, known.iter().copied());
            found.error(
                &member(path, name),
                Reason::UnknownName,
                format!("{name} is not a field of ours"),
                format!("{help}; the form is ours: your column. Extra fields are declared in spec.fields"),
            );
        } else if column.trim().is_empty() {
            found.error(&member(path, name), Reason::InvalidValue, "the column has no name", "write the column's header");
        }
    }
}

fn file_source(
    spec: &FileOrigin,
    origin: Option<&Origin>,
    namespace: &str,
    all: &Resources<'_>,
    path: &str,
    found: &mut Findings,
) -> Option<FileSource> {
    match (&spec.config_map, &spec.path) {
        (Some(map), None) => {
            let bytes = all.config_map(namespace, &map.name, &map.key, &format!("{path}.configMap"), found)?;
            Some(FileSource::Inline { name: map.key.clone(), bytes: Arc::new(bytes) })
        }
        (None, Some(file)) => local(file, origin, &format!("{path}.path"), found).map(FileSource::Path),
        _ => {
            found.error(
                path,
                Reason::InvalidUnion,
                "exactly one of configMap, path must be set",
                "write configMap: {name: …, key: …}, or path: with rekindle run -f",
            );
            None
        }
    }
}

/// A path beside the manifest.
fn local(file: &str, origin: Option<&Origin>, path: &str, found: &mut Findings) -> Option<PathBuf> {
    let Some(origin) = origin else {
        found.error(
            path,
            Reason::LocalOnly,
            "in a cluster there is no file beside the manifest",
            "put the data into a ConfigMap and write configMap: {name: …, key: …}; write-backs go to a webhook",
        );
        return None;
    };
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if origin.confined && !Path::new(file).components().all(inside) {
        found.error(
            path,
            Reason::LocalOnly,
            "this path leads out of the volume that connections may read",
            "write a path relative to the volume, without .. in it",
        );
        return None;
    }
    Some(origin.base_dir.join(file))
}

/// An address of a machine, not of a client's browser: http is for private networks.
pub(super) fn http_url(text: &str, path: &str, found: &mut Findings) {
    let host = url::Url::parse(text).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    match host {
        None => {
            found.error(path, Reason::InvalidValue, "this is not a web address", "write it whole, like https://example.com/hook");
        }
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            found.error(
                path,
                Reason::InvalidValue,
                "the address holds a user name or password",
                "move them into a Secret and name it in secretRef",
            );
        }
        Some(url) if of_the_node(&url) => {
            found.error(
                path,
                Reason::InvalidValue,
                "this address belongs to the machine itself: it hands out credentials of the node",
                "write the address of the service that is meant",
            );
        }
        Some(_) => {}
    }
}

/// Where clouds tell a machine its secrets.
fn of_the_node(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => crate::model::of_the_node(ip.into()),
        Some(url::Host::Ipv6(ip)) => crate::model::of_the_node(ip.into()),
        Some(url::Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            matches!(name.as_str(), "metadata" | "metadata.google.internal" | "instance-data" | "instance-data.ec2.internal")
        }
        None => false,
    }
}
