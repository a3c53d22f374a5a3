//! `ContactPolicy` → the engine's policy.

use super::{
    channel,
    finding::{Findings, Reason, member},
    holidays, time,
};
use crate::api::{AdvertisingConsent, ContactPolicySpec, OverCapSpec};
use crate::engine::{Budget, Cap, CapPer, ConsentRule, OverCap, Policy, Voice, Window, WorkingHours, next_open};
use crate::model::HumanDuration;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use std::collections::BTreeSet;

/// Days for longer than which what waited for a window may be spread.
const MAX_SPREAD: HumanDuration = HumanDuration::days(7);

pub(super) fn policy(name: &str, spec: &ContactPolicySpec, found: &mut Findings) -> Policy {
    let time_zone = time::zone(&spec.time_zone, "spec.timeZone", found);
    let holidays = holidays_of(spec, found);
    let mut zone_map = std::collections::BTreeMap::new();
    for (place, zone) in &spec.zones {
        let path = member("spec.zones", place);
        if zone_map.insert(place.trim().to_lowercase(), time::zone(zone, &path, found)).is_some() {
            found.error(&path, Reason::Duplicate, format!("{place} stands there twice, written differently"), "keep one of them");
        }
    }
    if spec.windows.is_empty() {
        found.error(
            "spec.windows",
            Reason::NeverOpens,
            "there is no window, so nothing could ever be sent",
            "write at least one, like {from: \"10:00\", to: \"20:00\"}",
        );
    }
    if spec.spread > MAX_SPREAD {
        found.error(
            "spec.spread",
            Reason::InvalidValue,
            format!("{} is too long to spread messages over", spec.spread),
            "write at most 1w, usually 30m",
        );
    }
    for (i, place) in spec.priorities.iter().enumerate() {
        if spec.priorities.iter().take(i).any(|before| before.funnel == place.funnel) {
            found.error(
                &format!("spec.priorities[{i}].funnel"),
                Reason::Duplicate,
                format!("{} stands there twice", place.funnel),
                "keep the first of them",
            );
        }
    }
    let windows: Vec<Window> =
        spec.windows.iter().enumerate().map(|(i, w)| time::window(w, &format!("spec.windows[{i}]"), found)).collect();
    if !found.failed()
        && let Some(day) = shut_from(&windows, &holidays, &time_zone)
    {
        found.warn(
            "spec.windows",
            Reason::NeverOpens,
            format!("from {day} on, every day of the windows is a holiday for two years: advertising of that time is left out"),
            "add days to the windows, or take some out of holidays.dates",
        );
    }
    Policy {
        name: name.into(),
        key: format!("{}/{name}", found.object.namespace),
        brand: spec.brand.clone(),
        brand_title: spec.brand_title.clone().unwrap_or_else(|| spec.brand.clone()),
        consent: match spec.consent.advertising {
            AdvertisingConsent::Recorded => ConsentRule::Recorded,
            AdvertisingConsent::AssumedFromCrm => ConsentRule::AssumedFromCrm,
        },
        zone_map,
        windows,
        caps: caps(spec, found),
        over_cap: over(spec.over_cap),
        budget: budget(spec, found),
        ranks: !spec.priorities.is_empty(),
        spread: spec.spread,
        working_hours: WorkingHours {
            time_zone: time_zone.clone(),
            windows: vec![time::window(&spec.working_hours, "spec.workingHours", found)],
            holidays: holidays.clone(),
        },
        holidays,
        paused: spec.paused,
        time_zone,
    }
}

/// A holiday after which no window opens as far ahead as anybody looks.
fn shut_from(windows: &[Window], holidays: &BTreeSet<Date>, zone: &TimeZone) -> Option<Date> {
    let shut = |start: Timestamp| next_open(windows, holidays, zone, start).is_none();
    holidays.iter().copied().find(|day| day.to_zoned(zone.clone()).is_ok_and(|start| shut(start.timestamp())))
}

fn budget(spec: &ContactPolicySpec, found: &mut Findings) -> Option<Budget> {
    let given = spec.budget.as_ref()?;
    channel::currency("spec.budget.currency", &given.currency, found);
    if given.per_day.is_none() && given.per_month.is_none() {
        found.error(
            "spec.budget",
            Reason::InvalidUnion,
            "neither perDay nor perMonth is set",
            "set perDay, perMonth or both, or leave budget out",
        );
    }
    let mut amount = |text: Option<&String>, path: &str| {
        let text = text?;
        let amount = channel::ten_thousandths(text);
        match amount {
            None => found.error(
                path,
                Reason::InvalidValue,
                format!("{text:?} is not an amount of money"),
                "write a number in quotes, like \"3000\"",
            ),
            Some(0) => found.error(
                path,
                Reason::NeverOpens,
                "with nothing to spend nothing is ever sent",
                "write what may be spent; to stop sending write paused: true",
            ),
            Some(_) => {}
        }
        amount
    };
    Some(Budget {
        currency: given.currency.clone(),
        per_day: amount(given.per_day.as_ref(), "spec.budget.perDay"),
        per_month: amount(given.per_month.as_ref(), "spec.budget.perMonth"),
        over: over(given.over),
    })
}

const fn over(spec: OverCapSpec) -> OverCap {
    match spec {
        OverCapSpec::Postpone => OverCap::Postpone,
        OverCapSpec::Skip => OverCap::Skip,
    }
}

/// Where the policy ranks a funnel.
pub(super) fn priority(spec: &ContactPolicySpec, funnel: &str) -> i32 {
    let place = spec.priorities.iter().position(|p| p.funnel == funnel);
    place.and_then(|place| i32::try_from(place).ok()).unwrap_or(Voice::UNRANKED)
}

fn holidays_of(spec: &ContactPolicySpec, found: &mut Findings) -> BTreeSet<Date> {
    let Some(given) = &spec.holidays else { return BTreeSet::new() };
    let mut days = BTreeSet::new();
    if let Some(country) = &given.country {
        match holidays::of(country) {
            Some(known) => days = known,
            None => found.error(
                "spec.holidays.country",
                Reason::InvalidValue,
                format!("the holidays of {country} are not known here"),
                format!(
                    "write the days themselves into dates; known countries are {}",
                    holidays::known().collect::<Vec<_>>().join(", ")
                ),
            ),
        }
    }
    if given.country.is_none() && given.dates.is_empty() {
        found.error(
            "spec.holidays",
            Reason::InvalidUnion,
            "neither country nor dates is set",
            "set country, dates or both, or leave holidays out",
        );
    }
    for (i, text) in given.dates.iter().enumerate() {
        days.extend(time::date(text, &format!("spec.holidays.dates[{i}]"), found));
    }
    days
}

fn caps(spec: &ContactPolicySpec, found: &mut Findings) -> Vec<Cap> {
    let mut caps = Vec::new();
    for (i, cap) in spec.caps.iter().enumerate() {
        let path = format!("spec.caps[{i}]");
        let at_most = u32::try_from(cap.at_most).unwrap_or(0);
        if at_most == 0 {
            found.error(
                &format!("{path}.atMost"),
                Reason::NeverOpens,
                "with a cap of zero nothing is ever sent",
                "write at least 1; to stop sending write paused: true",
            );
        }
        let per = match cap.per.as_str() {
            "Day" => CapPer::Day,
            "Week" => CapPer::Week,
            "Month" => CapPer::Month,
            text => match text.parse::<HumanDuration>() {
                // The ledger of recent messages that caps look at reaches 35 days back.
                Ok(span) if !span.is_zero() && span <= HumanDuration::days(35) => CapPer::Rolling(span),
                Ok(_) => {
                    found.error(
                        &format!("{path}.per"),
                        Reason::InvalidValue,
                        format!("a cap cannot count over {text}"),
                        "write at most 35d, and more than nothing",
                    );
                    continue;
                }
                Err(_) => {
                    found.error(
                        &format!("{path}.per"),
                        Reason::InvalidValue,
                        format!("{text:?} is not a time that caps count over"),
                        "write Day, Week, Month, or a duration like 24h",
                    );
                    continue;
                }
            },
        };
        caps.push(Cap { medium: cap.medium, at_most, per });
    }
    caps
}
