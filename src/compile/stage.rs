//! Stages, their triggers and which list they send.

use super::{
    finding::{Findings, Reason},
    funnel::revival,
    names::Names,
};
use crate::api::{
    ContentRuleSpec, Field, FieldOwner, FieldType, ReactivationFunnelSpec, RemindWhoSpec, ReminderSpec, StageSpec, TriggerSpec,
};
use crate::engine::{ColdStage, ContentRule, RemindWho, Reminder, Stages, Trigger, TriggerKind};
use std::collections::BTreeMap;

/// The name of the Customer stage: a funnel has at most one.
const CUSTOMER: &str = "customer";

pub(super) fn stages(spec: &ReactivationFunnelSpec, names: &Names, fields: &[Field], found: &mut Findings) -> Stages {
    let given = &spec.stages;
    let scope = Scope { names, fields };
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    if given.customer.is_some() {
        seen.insert(CUSTOMER.into(), "spec.stages.customer".into());
    }
    let mut lost = BTreeMap::new();
    let mut cold = |list: &[StageSpec], kind: &str, found: &mut Findings| -> Vec<ColdStage> {
        list.iter()
            .enumerate()
            .map(|(i, stage)| {
                let path = format!("spec.stages.{kind}[{i}]");
                if let Some(other) = seen.insert(stage.name.clone(), path.clone()) {
                    found.error(
                        &format!("{path}.name"),
                        Reason::Duplicate,
                        format!("the stage name {} is taken by {other}", stage.name),
                        "give it another name",
                    );
                }
                scope.stage(stage, kind == "stalled", &path, &mut lost, found)
            })
            .collect()
    };
    let stalled = cold(&given.stalled, "stalled", found);
    let warming = cold(&given.warming, "warming", found);
    if stalled.is_empty() && warming.is_empty() && given.customer.is_none() {
        found.error(
            "spec.stages",
            Reason::NeverOpens,
            "there is neither a stalled nor a warming stage: every deal stays in work for ever",
            "add one, like warming: [{name: warming, enter: [{lost: []}], content: [{listRef: {name: …}}]}]",
        );
    }
    if !lost.is_empty() && given.revived.return_to.is_none() {
        found.warn(
            "spec.stages.revived.returnTo",
            Reason::Incomplete,
            "lost deals whose clients come back stay lost in the CRM; only a task is made",
            "write returnTo: {stage: …} with the stage that such a deal goes on in",
        );
    }
    if spec.backfill.is_some() && lost.is_empty() {
        found.warn(
            "spec.backfill",
            Reason::Unreachable,
            "no stage takes lost deals, so there are none to admit",
            "leave backfill out, or add a warming stage with enter: [{lost: [...]}]",
        );
    }
    let customer = given.customer.as_ref().map(|stage| ColdStage {
        name: CUSTOMER.into(),
        title: stage.title.clone(),
        enter: Vec::new(),
        content: scope.content(&stage.content, "spec.stages.customer", found),
        remind: remind(&stage.remind, "spec.stages.customer.remind", found),
        stop_when: stage.stop_when.as_ref().and_then(|c| names.condition(c, "spec.stages.customer.stopWhen", found)),
    });
    Stages {
        in_work_title: given.in_work.title.clone(),
        stalled,
        warming,
        revival: revival(spec, found),
        unsubscribed_title: given.unsubscribed.title.clone(),
        customer,
    }
}

struct Scope<'a> {
    names: &'a Names,
    fields: &'a [Field],
}

impl Scope<'_> {
    fn stage(
        &self,
        spec: &StageSpec,
        open: bool,
        path: &str,
        lost: &mut BTreeMap<String, String>,
        found: &mut Findings,
    ) -> ColdStage {
        if spec.enter.is_empty() {
            found.error(
                &format!("{path}.enter"),
                Reason::NeverOpens,
                format!("nothing leads into the stage {}", spec.name),
                "write what does, like enter: [{inactivity: 5d}]",
            );
        }
        let enter = spec
            .enter
            .iter()
            .enumerate()
            .filter_map(|(i, trigger)| self.trigger(trigger, open, &format!("{path}.enter[{i}]"), lost, found))
            .collect();
        ColdStage {
            name: spec.name.clone(),
            title: spec.title.clone().unwrap_or_else(|| spec.name.clone()),
            enter,
            content: self.content(&spec.content, path, found),
            remind: remind(&spec.remind, &format!("{path}.remind"), found),
            stop_when: spec.stop_when.as_ref().and_then(|c| self.names.condition(c, &format!("{path}.stopWhen"), found)),
        }
    }

    fn trigger(
        &self,
        spec: &TriggerSpec,
        open: bool,
        path: &str,
        lost: &mut BTreeMap<String, String>,
        found: &mut Findings,
    ) -> Option<Trigger> {
        let mut kinds = Vec::new();
        if let Some(reasons) = &spec.lost {
            if open {
                found.error(
                    &format!("{path}.lost"),
                    Reason::Unreachable,
                    "a stalled deal is open, so it is never lost",
                    "move this trigger to a warming stage",
                );
            }
            lost_reasons(reasons, spec.when.is_some(), path, lost, found);
            kinds.push(TriggerKind::Lost(reasons.clone()));
        }
        for (name, time, make) in [
            ("inactivity", spec.inactivity, TriggerKind::Inactivity as fn(_) -> _),
            ("clientQuiet", spec.client_quiet, TriggerKind::ClientQuiet as fn(_) -> _),
        ] {
            let Some(time) = time else { continue };
            if time.is_zero() {
                found.error(
                    &format!("{path}.{name}"),
                    Reason::InvalidValue,
                    "after no time at all every deal would be meant",
                    "write how long, like 5d",
                );
            }
            kinds.push(make(time));
        }
        kinds.extend(spec.moved_to.clone().map(TriggerKind::MovedTo));
        if let Some(field) = &spec.field_filled {
            Names::deal_field(self.fields, field, &format!("{path}.fieldFilled"), found);
            kinds.push(TriggerKind::FieldFilled(field.clone()));
        }
        if let Some(change) = &spec.field_changed {
            Names::deal_field(self.fields, &change.field, &format!("{path}.fieldChanged.field"), found);
            if change.from.is_some() && change.from == change.to {
                found.error(
                    &format!("{path}.fieldChanged"),
                    Reason::Unreachable,
                    "from and to are the same, so that is no change",
                    "leave one of them out",
                );
            }
            kinds.push(TriggerKind::FieldChanged { field: change.field.clone(), from: change.from.clone(), to: change.to.clone() });
        }
        if let Some(date) = &spec.date {
            let field_path = format!("{path}.date.field");
            if Names::deal_field(self.fields, &date.field, &field_path, found)
                && !self.fields.iter().any(|f| f.of == FieldOwner::Deal && f.name == date.field && f.kind == Some(FieldType::Date))
            {
                found.error(
                    &field_path,
                    Reason::InvalidValue,
                    format!("the field {} is not a date", date.field),
                    "declare it with type: Date in the connection's spec.fields",
                );
            }
            if date.after.is_some() && date.before.is_some() {
                found.error(
                    &format!("{path}.date"),
                    Reason::InvalidUnion,
                    "after and before exclude each other",
                    "leave one of them out",
                );
            }
            kinds.push(TriggerKind::Date {
                field: date.field.clone(),
                offset: date.after.or(date.before).unwrap_or_default(),
                before: date.before.is_some(),
            });
        }
        kinds.extend(spec.signal.map(TriggerKind::Signal));
        let when = spec.when.as_ref().map(|c| self.names.condition(c, &format!("{path}.when"), found));
        if kinds.len() > 1 {
            found.error(
                path,
                Reason::InvalidUnion,
                "several triggers stand in one entry",
                "write each as an entry of its own: enter: [{lost: [...]}, {inactivity: 5d}]; any of them leads in",
            );
        }
        let kind = match (kinds.into_iter().next(), &when) {
            (Some(kind), _) => kind,
            (None, Some(_)) => TriggerKind::When,
            (None, None) => {
                found.error(
                    path,
                    Reason::InvalidUnion,
                    "the entry is empty",
                    "set one of lost, inactivity, clientQuiet, movedTo, fieldFilled, fieldChanged, date, signal, when",
                );
                return None;
            }
        };
        Some(Trigger { kind, when: when.flatten() })
    }

    fn content(&self, rules: &[ContentRuleSpec], path: &str, found: &mut Findings) -> Vec<ContentRule> {
        let mut always: Option<usize> = None;
        let mut list = Vec::new();
        for (i, rule) in rules.iter().enumerate() {
            let path = format!("{path}.content[{i}]");
            if let Some(earlier) = always {
                found.warn(
                    &path,
                    Reason::Unreachable,
                    format!("content[{earlier}] has no condition, so this one is never reached"),
                    "put the one without condition last",
                );
            }
            if rule.when.is_none() {
                always.get_or_insert(i);
            }
            let when = rule.when.as_ref().and_then(|c| self.names.condition(c, &format!("{path}.when"), found));
            list.push(ContentRule { when, list: rule.list_ref.name.clone() });
        }
        list
    }
}

/// A reason that an earlier trigger takes without a condition never reaches a later one.
fn lost_reasons(reasons: &[String], guarded: bool, path: &str, lost: &mut BTreeMap<String, String>, found: &mut Findings) {
    const ANY: &str = "";
    let place = |i: usize| if reasons.is_empty() { format!("{path}.lost") } else { format!("{path}.lost[{i}]") };
    let wanted: Vec<String> =
        if reasons.is_empty() { vec![ANY.into()] } else { reasons.iter().map(|r| r.trim().to_lowercase()).collect() };
    for (i, reason) in wanted.into_iter().enumerate() {
        if let Some(earlier) = lost.get(&reason).or_else(|| lost.get(ANY)) {
            found.warn(
                &place(i),
                Reason::Unreachable,
                format!("{earlier} takes these deals already"),
                "remove it from one of the two, or put the narrower one first",
            );
        } else if !guarded {
            lost.insert(reason, place(i));
        } else {
            // Remembered as a trigger of lost deals, but it takes none for certain.
            lost.entry(format!("{reason} when {path}")).or_insert_with(|| place(i));
        }
    }
}

pub(super) fn remind(list: &[ReminderSpec], path: &str, found: &mut Findings) -> Vec<Reminder> {
    let mut reminders: Vec<Reminder> = Vec::new();
    for (i, spec) in list.iter().enumerate() {
        let who = match spec.who {
            RemindWhoSpec::Manager => RemindWho::Manager,
            RemindWhoSpec::Supervisor => RemindWho::Supervisor,
        };
        if reminders.iter().any(|r| r.who == who && r.after == spec.after) {
            found.error(
                &format!("{path}[{i}]"),
                Reason::Duplicate,
                "the same person is reminded twice at the same time",
                "remove one of the two, or change after",
            );
        }
        reminders.push(Reminder { after: spec.after, who });
    }
    // Told one after the other: one that is written first and comes later would hold up the rest.
    reminders.sort_by_key(|r| r.after);
    reminders
}
