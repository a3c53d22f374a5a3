//! The date that an item waits for.

use super::finding::{Findings, Reason, near};
use crate::api::{Field, FieldOwner, FieldType, ItemDate, ItemSpec};
use crate::engine::DateRule;

/// `path`: of the item.
pub(super) fn rule(spec: &ItemDate, item: &ItemSpec, fields: &[Field], path: &str, found: &mut Findings) -> Option<DateRule> {
    if item.after.is_some() {
        found.error(
            &format!("{path}.after"),
            Reason::InvalidUnion,
            "an item with a date does not count from the message before it",
            "move it into date, like date: {field: visitAt, after: 2d}, or leave it out",
        );
    }
    if spec.after.is_some() && spec.before.is_some() {
        found.error(&format!("{path}.date"), Reason::InvalidUnion, "after and before exclude each other", "leave one of them out");
    }
    let of = |owner| fields.iter().find(|f| f.of == owner && f.name == spec.field);
    let field_path = format!("{path}.date.field");
    let Some(field) = of(FieldOwner::Deal).or_else(|| of(FieldOwner::Client)) else {
        let dates = fields.iter().filter(|f| f.kind == Some(FieldType::Date)).map(|f| f.name.as_str());
        found.error(
            &field_path,
            Reason::UnknownName,
            format!("the field {} is declared neither of the deal nor of the client", spec.field),
            match near(&spec.field, dates) {
                Some(near) => format!("did you mean {near}?"),
                None => "declare it in the connection's spec.fields, with type: Date".into(),
            },
        );
        return None;
    };
    if field.kind != Some(FieldType::Date) {
        found.error(
            &field_path,
            Reason::InvalidValue,
            format!("the field {} is not a date", spec.field),
            "declare it with type: Date in the connection's spec.fields",
        );
    }
    let owner = if field.of == FieldOwner::Deal { "deal" } else { "client" };
    Some(DateRule {
        path: format!("{owner}.{}", field.name),
        offset: spec.after.or(spec.before).unwrap_or_default(),
        before: spec.before.is_some(),
        yearly: spec.yearly.unwrap_or_default(),
    })
}
