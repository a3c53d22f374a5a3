//! The names that conditions and texts may use, and the checks against them.

use super::{
    explain,
    finding::{Findings, Reason, near, suggest},
};
use crate::api::{ContentListSpec, Field, FieldOwner, FieldType};
use crate::content::{Escape, Template};
use crate::engine::{CLIENT_NAMES, CYCLE_NAMES, Condition, ConditionError, DEAL_NAMES, FactKind, MANAGER_NAMES};
use std::collections::{BTreeMap, BTreeSet};

/// What texts know of every deal and every client (`content::Context`); conditions know the engine's own lists.
const TEXT_DEAL: [&str; 8] = ["id", "title", "url", "stage", "pipeline", "lostReason", "amount", "currency"];
const TEXT_CLIENT: [&str; 3] = ["name", "firstName", "lastName"];
/// Of how many wrong names of a text the line is told.
const MAX_PLACES: usize = 20;

/// Which names a template may use besides deal, client, manager and brand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use<'a> {
    /// An item's text: `links.NAME` of these.
    Item(&'a BTreeSet<String>),
    /// A link's target.
    Target,
    /// A task's title.
    Task,
    /// The title of a task about a click: `link.name`.
    ClickTask,
    /// The title of a task about a client who came back: `signal.kind`.
    RevivedTask,
    /// A sender's name: manager and brand only.
    Sender,
}

/// The names of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Of conditions.
    deal: BTreeSet<String>,
    client: BTreeSet<String>,
    /// Of texts.
    text_deal: BTreeSet<String>,
    text_client: BTreeSet<String>,
    /// `item` and `list/item`, as `sent('…')` takes them. Empty: not known here.
    items: BTreeSet<String>,
    /// What declared fields hold, by name like `client.city`.
    kinds: BTreeMap<String, FactKind>,
}

/// Whether a declared field of that name would be hidden by one that we fill.
pub(super) fn taken(owner: FieldOwner, name: &str) -> bool {
    match owner {
        FieldOwner::Deal => DEAL_NAMES.contains(&name) || TEXT_DEAL.contains(&name),
        // A CRM that keeps the last name apart may declare it.
        FieldOwner::Client => CLIENT_NAMES.contains(&name),
    }
}

impl Names {
    pub fn of<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Self {
        let mut names = Self {
            deal: words(&DEAL_NAMES),
            client: words(&CLIENT_NAMES),
            text_deal: words(&TEXT_DEAL),
            text_client: words(&TEXT_CLIENT),
            items: BTreeSet::new(),
            kinds: BTreeMap::new(),
        };
        for field in fields {
            let (conditions, texts) = match field.of {
                FieldOwner::Deal => (&mut names.deal, &mut names.text_deal),
                FieldOwner::Client => (&mut names.client, &mut names.text_client),
            };
            let owner = if field.of == FieldOwner::Deal { "deal" } else { "client" };
            let kind = match field.kind.unwrap_or(FieldType::String) {
                FieldType::String | FieldType::Date => FactKind::Text,
                FieldType::Number => FactKind::Number,
                FieldType::Boolean => FactKind::Bool,
            };
            // One that hides a name of ours is told elsewhere; what it was meant to hold says nothing here.
            if !taken(field.of, &field.name) {
                names.kinds.insert(format!("{owner}.{}", field.name), kind);
            }
            conditions.insert(field.name.clone());
            texts.insert(field.name.clone());
        }
        names
    }

    /// With the items that conditions may ask for.
    pub fn with_items<'a>(mut self, lists: impl IntoIterator<Item = (&'a str, &'a ContentListSpec)>) -> Self {
        for (list, spec) in lists {
            for item in &spec.items {
                self.items.insert(item.name.clone());
                self.items.insert(format!("{list}/{}", item.name));
            }
        }
        self
    }

    /// Items that `sent`, `clicked` and `opened` name.
    fn asked(&self, condition: &Condition, path: &str, found: &mut Findings) {
        if self.items.is_empty() {
            return;
        }
        for item in condition.items().into_iter().filter(|item| !self.items.contains(*item)) {
            let help = match near(item, self.items.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => "write the name of an item of this funnel's lists, like sent('new-layouts')".into(),
            };
            found.refuse(path, Reason::UnknownName, format!("there is no item {item}"), help);
        }
    }

    /// Compiles a condition; `None` after an error.
    pub fn condition(&self, source: &str, path: &str, found: &mut Findings) -> Option<Condition> {
        let condition = match Condition::compile(source) {
            Ok(condition) => condition,
            Err(error) => {
                refused(source, &error, path, found);
                return None;
            }
        };
        patterns(&condition, path, found);
        let before = found.list.len();
        self.asked(&condition, path, found);
        for path_in_source in condition.identifiers() {
            let mut parts = path_in_source.split('.');
            let (root, name) = (parts.next().unwrap_or_default(), parts.next());
            match root {
                "deal" => known(root, name, &self.deal, path, found),
                "client" => known(root, name, &self.client, path, found),
                "manager" => known(root, name, &words(&MANAGER_NAMES), path, found),
                "cycle" => known(root, name, &words(&CYCLE_NAMES), path, found),
                _ => unknown(root, ["deal", "client", "manager", "cycle"].into_iter(), path, found),
            }
        }
        if found.list.len() == before
            && let Err(error) =
                condition.check_types(&|name| Some(self.kinds.get(name).copied().unwrap_or_else(|| FactKind::of_builtin(name))))
        {
            refused(source, &error, path, found);
        }
        if found.failed_since(before) {
            return None;
        }
        if condition.asks_opened() {
            found.warn(
                path,
                Reason::Incomplete,
                "openings are not counted: opened() is true of those who clicked, and of nobody else",
                "write clicked(), which says the same",
            );
        }
        Some(condition)
    }

    /// Compiles a template; `None` after an error.
    pub fn template(&self, source: &str, escape: Escape, allowed: Use<'_>, path: &str, found: &mut Findings) -> Option<Template> {
        let template = match Template::parse(source, escape) {
            Ok(template) => template,
            Err(error) => {
                found.error(
                    path,
                    Reason::InvalidTemplate,
                    format!("line {}, column {}: {}", error.line, error.column, error.message),
                    error.help,
                );
                return None;
            }
        };
        let before = found.list.len();
        for doubt in template.doubts() {
            let message = format!("line {}, column {}: {}", doubt.line, doubt.column, doubt.message);
            found.refuse(path, Reason::InvalidTemplate, message, doubt.help.clone());
        }
        for reference in template.references() {
            let start = found.list.len();
            self.reference(&reference, allowed, path, found);
            // Where it stands is counted from the beginning: of a text with thousands of wrong names not for each.
            if start - before < MAX_PLACES
                && let Some((line, column)) = template.place_of(&reference)
            {
                for finding in found.list.iter_mut().skip(start) {
                    finding.message = format!("line {line}, column {column}: {}", finding.message);
                }
            }
        }
        (!found.failed_since(before)).then_some(template)
    }

    fn reference(&self, reference: &str, allowed: Use<'_>, path: &str, found: &mut Findings) {
        let (root, inside) = reference.split_once('.').map_or((reference, None), |(root, inside)| (root, Some(inside)));
        let (name, deeper) =
            inside.and_then(|inside| inside.split_once('.')).map_or((inside, None), |(name, deeper)| (Some(name), Some(deeper)));
        let before = found.list.len();
        match (root, allowed) {
            ("manager", _) => known(root, name, &words(&MANAGER_NAMES), path, found),
            ("brand", _) => {
                if let Some(inside) = inside {
                    one_value(root, inside, path, found);
                }
                return;
            }
            ("deal", Use::Item(_) | Use::Target | Use::Task | Use::ClickTask | Use::RevivedTask) => {
                known(root, name, &self.text_deal, path, found);
            }
            ("client", Use::Item(_) | Use::Target | Use::Task | Use::ClickTask | Use::RevivedTask) => {
                known(root, name, &self.text_client, path, found);
            }
            ("link", Use::ClickTask) => known(root, name, &words(&["name"]), path, found),
            ("signal", Use::RevivedTask) => known(root, name, &words(&["kind"]), path, found),
            ("links", Use::Item(declared)) => {
                let name = name.unwrap_or_default();
                if name != UNSUBSCRIBE && !declared.contains(name) {
                    let help = if declared.is_empty() {
                        format!("declare it: links: {{{name}: \"https://…\"}}")
                    } else {
                        suggest(name, declared.iter().map(String::as_str).chain([UNSUBSCRIBE]))
                    };
                    found.error(path, Reason::UndeclaredLink, format!("the link {name} is not declared in links"), help);
                }
            }
            (_, allowed) => {
                let known: &[&str] = match allowed {
                    Use::Item(_) => &["client", "deal", "manager", "brand", "links"],
                    Use::Target | Use::Task => &["client", "deal", "manager", "brand"],
                    Use::ClickTask => &["client", "deal", "manager", "brand", "link"],
                    Use::RevivedTask => &["client", "deal", "manager", "brand", "signal"],
                    Use::Sender => &["manager", "brand"],
                };
                unknown(root, known.iter().copied(), path, found);
            }
        }
        if let (Some(name), Some(deeper)) = (name, deeper)
            && found.list.len() == before
        {
            one_value(&format!("{root}.{name}"), deeper, path, found);
        }
    }

    /// A declared field of the deal, which a trigger watches.
    pub fn deal_field(fields: &[Field], name: &str, path: &str, found: &mut Findings) -> bool {
        let known = || fields.iter().filter(|f| f.of == FieldOwner::Deal).map(|f| f.name.as_str());
        if known().any(|n| n == name) {
            return true;
        }
        found.error(
            path,
            Reason::UnknownName,
            format!("the field {name} of the deal is not declared"),
            match near(name, known()) {
                Some(near) => format!("did you mean {near}?"),
                None => "declare it in the connection's spec.fields, with of: Deal".into(),
            },
        );
        false
    }
}

/// Why the engine does not take a condition, and what to write.
fn refused(source: &str, error: &ConditionError, path: &str, found: &mut Findings) {
    if let ConditionError::Syntax(_) | ConditionError::Unknown { .. } = error
        && let Some((what, help)) = explain::slip(source)
    {
        found.error(path, Reason::InvalidCondition, what, help);
        return;
    }
    if let ConditionError::Unknown { name, .. } = error {
        let known: Vec<String> = MANAGER_NAMES
            .iter()
            .map(|n| format!("manager.{n}"))
            .chain(CYCLE_NAMES.iter().map(|n| format!("cycle.{n}")))
            .chain(["deal", "client", "manager", "cycle", "sent('item')", "clicked()", "opened()"].map(String::from))
            .collect();
        let help = if near(name, known.iter().map(String::as_str)).is_none() && name.chars().all(char::is_alphanumeric) {
            format!("write a text in single quotes, like '{name}'; names look like client.city")
        } else {
            suggest(name, known.iter().map(String::as_str))
        };
        found.error(path, Reason::UnknownName, format!("{name} is not known in conditions"), help);
        return;
    }
    let text = error.to_string();
    let (what, help) = text.split_once("; ").unwrap_or((
        &text,
        "write a comparison like deal.lostReason == 'Other' or client.city == 'Москва'; texts stand in single quotes",
    ));
    if let ConditionError::Fails(_) = error {
        found.refuse(path, Reason::InvalidCondition, what, help);
    } else {
        found.error(path, Reason::InvalidCondition, format!("the condition cannot be used: {}", explain::plain(what)), help);
    }
}

/// Patterns of `matches('…')` that cannot be used would fail at every client.
fn patterns(condition: &Condition, path: &str, found: &mut Findings) {
    if let Some((what, help)) = condition.unanswerable().and_then(|why| why.rsplit_once("; ")) {
        found.refuse(path, Reason::InvalidCondition, what, help);
    }
}

/// The link that every message may use without declaring it.
pub(super) const UNSUBSCRIBE: &str = "unsubscribe";

fn words(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|w| (*w).to_owned()).collect()
}

fn unknown<'a>(root: &str, known: impl Iterator<Item = &'a str>, path: &str, found: &mut Findings) {
    found.error(path, Reason::UnknownName, format!("{root} is not known here"), suggest(root, known));
}

/// A path that goes on behind a value: it would be missing for every client.
fn one_value(value: &str, deeper: &str, path: &str, found: &mut Findings) {
    // The brand is its title.
    let help = if Template::is_filter(deeper) && !(value == "brand" && deeper == "title") {
        format!("write {{{{ {value} | {deeper} }}}}")
    } else {
        format!("write {{{{ {value} }}}}")
    };
    found.refuse(
        path,
        Reason::UnknownName,
        format!("{value}.{deeper} is not known: {value} is one value, there is nothing inside"),
        help,
    );
}

fn known(root: &str, name: Option<&str>, names: &BTreeSet<String>, path: &str, found: &mut Findings) {
    let Some(name) = name else {
        found.error(
            path,
            Reason::UnknownName,
            format!("{root} alone is not a value"),
            format!("write which one, like {root}.{}", names.first().map_or("name", String::as_str)),
        );
        return;
    };
    if names.contains(name) {
        return;
    }
    let mut help = near(name, names.iter().map(String::as_str)).map_or_else(
        || {
            let known: Vec<String> = names.iter().map(|n| format!("{root}.{n}")).collect();
            format!("known are {}", known.join(", "))
        },
        |near| format!("did you mean {root}.{near}?"),
    );
    let in_conditions = (root == "deal" && DEAL_NAMES.contains(&name)) || (root == "client" && CLIENT_NAMES.contains(&name));
    if in_conditions {
        help = format!("only conditions know it, like when: {root}.{name} == …");
    } else if matches!(root, "deal" | "client") {
        help.push_str(if help.ends_with('?') { " Otherwise" } else { ";" });
        help.push_str(" declare the field in the connection's spec.fields");
    }
    found.error(path, Reason::UnknownName, format!("{root}.{name} is not known"), help);
}
