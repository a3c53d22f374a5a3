//! Status of a `ContentList`.

use super::{
    conditions::{number, problems},
    standing::Standing,
};
use crate::{api::ContentListStatus, compile::ObjectRef};
use serde_json::Value;

pub(super) fn status(object: &ObjectRef, spec: &Value, generation: i64, standing: &Standing) -> ContentListStatus {
    ContentListStatus {
        observed_generation: Some(generation),
        conditions: standing.ready(object, generation, true),
        item_count: Some(spec["items"].as_array().map_or(0, |items| number(items.len() as u64))),
        used_by_count: Some(number(standing.used_by(object) as u64)),
        problems: problems(standing.findings(object)),
        ..ContentListStatus::default()
    }
}
