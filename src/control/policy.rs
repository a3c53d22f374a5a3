//! Status of a `ContactPolicy`.

use super::{
    conditions::{number, problems},
    figures::{Figures, fates},
    standing::Standing,
};
use crate::{api::ContactPolicyStatus, compile::ObjectRef};

pub(super) fn status(object: &ObjectRef, generation: i64, standing: &Standing, figures: &Figures) -> ContactPolicyStatus {
    let of = |funnel| figures.funnels.get(funnel).map(|figures| figures.day.messages.as_slice()).unwrap_or_default();
    let rows = standing.users(object).flat_map(of);
    let (sent, ..) = fates(rows.map(|(_, status, n)| (status.as_str(), *n)));
    ContactPolicyStatus {
        observed_generation: Some(generation),
        conditions: standing.ready(object, generation, true),
        messages_today: Some(number(sent)),
        problems: problems(standing.findings(object)),
    }
}
