//! `rekindle status`: one screen that says how the funnels do.

use super::{
    output::{self, OutputFormat, money, table, words},
    store_args::StoreArgs,
};
use crate::{
    compile::{FunnelSnapshot, compile_funnel},
    engine::{Arm, Backfill, Uplift, uplift},
    model::{FunnelKey, Mode, Money, Role},
    store::{
        ChannelCounts, Cursor, DeadLetter, FunnelCounts, Hold, HoldScope, PeriodSpent, ReactionCounts, Revision, StageCount,
        VariantCount, money_text, this_month,
    },
    workers::{backfill_since, connection_key},
};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
    process::ExitCode,
};

/// Shows how the funnels do: deals and money per stage, what was sent, what waits, what is wrong. Works beside a running process.
#[derive(Args, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Count messages, clicks and revivals of so many days.
    #[arg(long, default_value_t = 30)]
    days: u16,
    #[arg(short, long, value_enum, default_value_t)]
    output: OutputFormat,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    funnels: Vec<FunnelStatus>,
    channels: Vec<ChannelCounts>,
    connections: Vec<Connection>,
    holds: Vec<Hold>,
    /// Ten-thousandths of the currency, by day and month of each policy's calendar.
    spent: Vec<PeriodSpent>,
    dead_letters: Vec<DeadLetter>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunnelStatus {
    funnel: String,
    #[serde(flatten)]
    in_force: InForce,
    #[serde(flatten)]
    counts: FunnelCounts,
    /// What came of the variants of its items.
    variants: Vec<VariantCount>,
    /// Old losses that backfill will still admit.
    waiting_backfill: u64,
}

/// What the revision in force says. One that another version wrote and this one cannot read says nothing.
#[derive(Default, Serialize)]
struct InForce {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    /// What stops it, in words.
    stopped: Vec<&'static str>,
    /// What is wrong with it as far as its CRM shows, in sentences.
    problems: Vec<String>,
    /// What people read of each stage: by its name, or by the role of one that has none.
    titles: BTreeMap<String, String>,
    #[serde(skip)]
    backfill: Option<Backfill>,
}

#[derive(Serialize)]
struct Connection {
    connection: String,
    #[serde(flatten)]
    cursor: Cursor,
}

/// Prints the status.
///
/// # Errors
/// A sentence, when the store cannot be read.
pub async fn run(args: StatusArgs) -> Result<ExitCode, String> {
    let store = args.store.open().await?;
    let say = |e: crate::store::StoreError| e.to_string();
    let now = Timestamp::now();
    let since = now - SignedDuration::from_hours(24 * i64::from(args.days));
    let revisions = store.journal.revisions().await.map_err(say)?;
    let cursors = store.views.cursors().await.map_err(say)?;
    let mut funnels = Vec::new();
    for funnel in store.views.funnels().await.map_err(say)? {
        let counts = store.views.counts(&funnel, Some(since), now).await.map_err(say)?;
        let mut in_force = in_force(revisions.iter().find(|r| r.funnel == funnel), &counts, &cursors);
        let waiting_backfill = match in_force.backfill.take() {
            Some(backfill) => store.views.waiting_backfill(&funnel, backfill_since(&backfill, now)).await.map_err(say)?,
            None => 0,
        };
        let variants = store.views.variants(&funnel, since).await.map_err(say)?;
        funnels.push(FunnelStatus { funnel: funnel.to_string(), in_force, counts, variants, waiting_backfill });
    }
    let status = Status {
        funnels,
        channels: store.views.channels().await.map_err(say)?,
        connections: cursors
            .into_iter()
            .filter(|(name, _)| !name.starts_with('@'))
            .map(|(connection, cursor)| Connection { connection, cursor })
            .collect(),
        spent: store.views.spent_since(&this_month(now)).await.map_err(say)?,
        holds: store.journal.holds().await.map_err(say)?,
        dead_letters: store.views.dead_letters(10).await.map_err(say)?,
    };
    match args.output {
        OutputFormat::Json => output::json(&status),
        OutputFormat::Table => output::print(&text(&status, args.days, now))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn in_force(revision: Option<&Revision>, counts: &FunnelCounts, cursors: &[(String, Cursor)]) -> InForce {
    let Some(revision) = revision else { return InForce::default() };
    if revision.deleted {
        return InForce { stopped: vec!["it was removed; its history stays"], ..InForce::default() };
    }
    let read = || {
        let snapshot: FunnelSnapshot = serde_json::from_value(revision.snapshot.clone()).ok()?;
        let compiled = compile_funnel(&snapshot, revision.number, revision.published_at).ok()?;
        Some((snapshot, compiled.plan))
    };
    let Some((snapshot, plan)) = read() else { return InForce::default() };
    let title = |stage: &StageCount| Some((name(stage).to_owned(), plan.title(stage.role, &stage.stage)?.to_owned()));
    let key = connection_key(&plan);
    let cursor = cursors.iter().find(|(connection, _)| *connection == key).map(|(_, cursor)| cursor);
    let empty = cursor.and_then(|cursor| cursor.empty_pipeline(plan.pipeline.as_ref()?, &plan.connection));
    InForce {
        mode: Some(plan.mode),
        stopped: snapshot.stops(),
        problems: empty.into_iter().collect(),
        titles: counts.stages.iter().filter_map(title).collect(),
        backfill: plan.backfill.clone(),
    }
}

fn name(stage: &StageCount) -> &str {
    if stage.stage.is_empty() { stage.role.as_str() } else { &stage.stage }
}

fn text(status: &Status, days: u16, now: Timestamp) -> String {
    let mut out = String::new();
    if status.funnels.is_empty() {
        out.push_str("No funnel was published to this store yet.\n");
    }
    for hold in &status.holds {
        let what = match &hold.scope {
            HoldScope::All => "EVERYTHING".to_owned(),
            part => what_is_held(part),
        };
        let _ = writeln!(out, "HELD: {what} since {} by {}: {}", ago(hold.since, now), hold.by, hold.reason);
    }
    if !status.funnels.is_empty() {
        let head =
            ["FUNNEL", "IN WORK", "STALLED", "WARMING", "REVIVED", "UNSUB", "AT RISK", &format!("RATE {days}D"), "DUE", "OLDEST"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(status.funnels.iter().map(|f| funnel_row(f, now)));
        out.push_str(&table(&rows));
    }
    for funnel in &status.funnels {
        details(&mut out, funnel, days);
    }
    if !status.connections.is_empty() {
        out.push('\n');
        let mut rows = vec![["CONNECTION", "LAST READ", "DEALS SEEN", "STATE"].map(str::to_owned).to_vec()];
        rows.extend(status.connections.iter().map(|c| {
            let read = c.cursor.read_at.map_or_else(|| "never".into(), |at| ago(at, now));
            let state =
                c.cursor.error.clone().unwrap_or_else(|| if c.cursor.complete { "ok".into() } else { "first reading".into() });
            vec![c.connection.clone(), read, c.cursor.rows.to_string(), state]
        }));
        out.push_str(&words(&rows));
        for connection in &status.connections {
            for finding in &connection.cursor.findings {
                let _ = writeln!(out, "  {} × {}", finding.count, finding.kind);
                for example in finding.examples.iter().take(3) {
                    let _ = writeln!(out, "      {example}");
                }
            }
        }
    }
    let ambiguous: Vec<_> = status.channels.iter().filter(|c| c.ambiguous > 0 || c.waiting > 0 || c.resent > 0).collect();
    if !ambiguous.is_empty() {
        out.push('\n');
        let mut rows = vec![["CHANNEL", "WAITING", "UNCLEAR", "RESENT"].map(str::to_owned).to_vec()];
        rows.extend(
            ambiguous.iter().map(|c| vec![c.channel.clone(), c.waiting.to_string(), c.ambiguous.to_string(), c.resent.to_string()]),
        );
        out.push_str(&table(&rows));
        if ambiguous.iter().any(|c| c.ambiguous > 0) {
            out.push_str("  unclear: nobody can say whether the provider took them; `rekindle resolve` lists them\n");
        }
    }
    spent(&mut out, &status.spent);
    if !status.dead_letters.is_empty() {
        out.push_str("\nSET ASIDE (could not be processed)\n");
        for letter in &status.dead_letters {
            let _ = writeln!(out, "  {} {} #{}: {}", ago(letter.at, now), letter.source, letter.id, letter.error);
        }
    }
    out
}

/// The newest day and month of each policy: today, if anything was sent today.
fn spent(out: &mut String, sums: &[PeriodSpent]) {
    let mut rows = vec![["SPENT", "PERIOD", "AMOUNT"].map(str::to_owned).to_vec()];
    for month in sums.iter().filter(|s| !s.period.is_day()) {
        let same = |s: &&PeriodSpent| (&s.period.policy, &s.period.currency) == (&month.period.policy, &month.period.currency);
        let day = sums.iter().filter(same).rfind(|s| s.period.is_day() && s.period.period.starts_with(&month.period.period));
        for sum in day.into_iter().chain([month]) {
            let amount = format!("{} {}", money_text(sum.spent), sum.period.currency);
            rows.push(vec![sum.period.policy.clone(), sum.period.period.clone(), amount]);
        }
    }
    if rows.len() > 1 {
        out.push('\n');
        out.push_str(&table(&rows));
    }
}

fn funnel_row(status: &FunnelStatus, now: Timestamp) -> Vec<String> {
    let counts = &status.counts;
    let of = |role: Role| counts.stages.iter().filter(|s| s.role == role).map(|s| s.deals).sum::<u64>().to_string();
    let risk: i64 = counts.stages.iter().filter(|s| s.role.at_risk()).fold(0, |sum, s| s.amount.0.saturating_add(sum));
    vec![
        status.funnel.clone(),
        of(Role::InWork),
        of(Role::Stalled),
        of(Role::Warming),
        of(Role::Revived),
        of(Role::Unsubscribed),
        money(Money(risk)),
        rate(counts),
        counts.due.to_string(),
        counts.oldest_due.map_or_else(|| "-".into(), |at| ago(at, now)),
    ]
}

fn rate(counts: &FunnelCounts) -> String {
    share(Arm { came: counts.revived, of: counts.contacted })
}

fn details(out: &mut String, status: &FunnelStatus, days: u16) {
    let counts = &status.counts;
    let _ = writeln!(out, "\n{} in {days} days", status.funnel);
    let sum = |rows: &[(String, String, u64)]| {
        let mut parts: Vec<String> = rows.iter().map(|(kind, state, n)| format!("{n} {kind} {state}")).collect();
        if parts.is_empty() {
            parts.push("none".into());
        }
        parts.join(", ")
    };
    let here = |stage: &&StageCount| !matches!(stage.role, Role::NotWarmed | Role::Backfill | Role::Archived);
    let stage = |stage: &StageCount| {
        let name = name(stage);
        format!("{} {}", stage.deals, status.in_force.titles.get(name).map_or(name, String::as_str))
    };
    let stages: Vec<String> = counts.stages.iter().filter(here).map(stage).collect();
    let mut rows = Vec::new();
    if status.in_force.mode == Some(Mode::Observe) {
        rows.push(vec!["  mode".to_owned(), "Observe: nothing is sent".to_owned()]);
    }
    if !status.in_force.stopped.is_empty() {
        rows.push(vec!["  stopped".to_owned(), status.in_force.stopped.join(", ")]);
    }
    rows.extend(status.in_force.problems.iter().map(|problem| vec!["  problem".to_owned(), problem.clone()]));
    rows.extend([
        vec!["  stages".to_owned(), if stages.is_empty() { "no deals".to_owned() } else { stages.join(", ") }],
        vec!["  messages".to_owned(), sum(&counts.messages)],
        vec!["  to managers".to_owned(), sum(&counts.writebacks)],
        vec!["  clicks".to_owned(), format!("{} by people, {} by scanners", counts.clicks_human, counts.clicks_machine)],
        vec![
            "  came back".to_owned(),
            format!(
                "{} of {} contacted; {} uncontacted, {} reopened by hand",
                counts.revived, counts.contacted, counts.organic, counts.assisted
            ),
        ],
    ]);
    let r = &counts.reactions;
    if *r != ReactionCounts::default() {
        let text = format!(
            "{} within 5 min of working time, {} within 30, {} within 24 h, {} later; {} times somebody above was told",
            r.in_5m, r.in_30m, r.in_24h, r.later, r.escalated
        );
        rows.push(vec!["  reactions".to_owned(), text]);
    }
    if counts.holdout > 0 {
        rows.push(vec!["  holdout".to_owned(), format!("{} of {} came back unsent", counts.holdout_revived, counts.holdout)]);
    }
    rows.extend(uplift_words(counts).map(|text| vec!["  uplift".to_owned(), text]));
    rows.extend(variant_words(&status.variants).map(|text| vec!["  variants".to_owned(), text]));
    if !counts.skipped.is_empty() {
        let skipped: Vec<String> = counts.skipped.iter().map(|(why, n)| format!("{n} {why}")).collect();
        rows.push(vec!["  skipped".to_owned(), skipped.join(", ")]);
    }
    if !counts.postponed.is_empty() {
        let postponed: Vec<String> = counts.postponed.iter().map(|(why, n)| format!("{n} {why}")).collect();
        rows.push(vec!["  waiting now".to_owned(), postponed.join(", ")]);
    }
    let waiting_backfill = status.waiting_backfill;
    if waiting_backfill > 0 {
        rows.push(vec!["  waiting".to_owned(), format!("{waiting_backfill} old lost deals wait for backfill")]);
    }
    let not_warmed: u64 = counts.stages.iter().filter(|s| s.role == Role::NotWarmed).map(|s| s.deals).sum();
    if not_warmed > 0 {
        rows.push(vec!["  not warmed".to_owned(), format!("{not_warmed} lost deals have a reason that no Warming stage names")]);
    }
    out.push_str(&words(&rows));
}

/// What the holdout says of the messages, once some were sent.
fn uplift_words(counts: &FunnelCounts) -> Option<String> {
    if counts.contacted == 0 {
        return None;
    }
    let treated = Arm { came: counts.treated_revived, of: counts.treated };
    let holdout = Arm { came: counts.holdout_revived, of: counts.holdout };
    let shares =
        format!("{} of {} not held out came back, {} of {} held out", share(treated), treated.of, share(holdout), holdout.of);
    Some(match uplift(treated, holdout)? {
        Uplift::Points(points) if points < 0.0 => format!("{:.1} percentage points FEWER than without messages: {shares}", -points),
        Uplift::Points(points) => format!("{points:.1} percentage points more than without messages: {shares}"),
        Uplift::NotYet { needed } => format!("not measurable yet, about {needed} held out are needed: {shares}"),
    })
}

#[allow(clippy::cast_precision_loss)] // a percentage
fn share(arm: Arm) -> String {
    if arm.of == 0 { "-".into() } else { format!("{:.1}%", arm.came as f64 / arm.of as f64 * 100.0) }
}

/// One line an item.
fn variant_words(variants: &[VariantCount]) -> impl Iterator<Item = String> {
    variants.chunk_by(|a, b| (&a.list, &a.item) == (&b.list, &b.item)).filter_map(|item| {
        let one = |v: &VariantCount| format!("{} {} sent, {} clicked, {} came back", v.variant, v.sent, v.clicked, v.revived);
        let first = item.first()?;
        Some(format!("{}/{}: {}", first.list, first.item, item.iter().map(one).collect::<Vec<_>>().join("; ")))
    })
}

/// `4m ago`, or `in 4m`.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    let (n, tail) = (seconds.abs(), if seconds >= 0 { " ago" } else { "" });
    let head = if seconds < 0 { "in " } else { "" };
    let span = match n {
        0..=119 => format!("{n}s"),
        120..=7199 => format!("{}m", n / 60),
        7200..=172_799 => format!("{}h", n / 3600),
        _ => format!("{}d", n / 86_400),
    };
    format!("{head}{span}{tail}")
}

/// The one funnel of a store, or the one that is named (`name` or `namespace/name`).
///
/// # Errors
/// A sentence that lists what there is.
pub fn choose(funnels: &[FunnelKey], wanted: Option<&str>) -> Result<FunnelKey, String> {
    let list = || funnels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match wanted {
        None if funnels.len() == 1 => Ok(funnels[0].clone()),
        None if funnels.is_empty() => Err("no funnel was published to this store yet".into()),
        None => Err(format!("there are several funnels; write --funnel with one of {}", list())),
        Some(name) => named("funnel", funnels, name),
    }
}

/// The one of `all` that is called so (`name` or `namespace/name`).
///
/// # Errors
/// A sentence that lists what there is.
pub fn named<T: Display + Clone>(kind: &str, all: &[T], name: &str) -> Result<T, String> {
    let list = || all.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
    let matching: Vec<&T> = all.iter().filter(|one| is_called(&one.to_string(), name)).collect();
    match matching[..] {
        [one] => Ok(one.clone()),
        [] if all.is_empty() => Err(format!("there is no {kind} {name}; there is none at all")),
        [] => Err(format!("there is no {kind} {name}; there are {}", list())),
        _ => Err(format!("{name} is in several namespaces; write one of {}", list())),
    }
}

/// `namespace/name` by its full name, or by the part behind the namespace.
#[must_use]
pub fn is_called(full: &str, name: &str) -> bool {
    full == name || full.split_once('/').is_some_and(|(_, own)| own == name)
}

/// A hold's scope in words.
#[must_use]
pub fn what_is_held(scope: &HoldScope) -> String {
    match scope {
        HoldScope::All => "everything".to_owned(),
        HoldScope::Channel(name) => format!("channel {name}"),
        HoldScope::Funnel(funnel) => format!("funnel {funnel}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{FunnelStatus, InForce, details};
    use crate::store::{FunnelCounts, VariantCount};

    fn said(counts: FunnelCounts, variants: Vec<VariantCount>) -> String {
        let status =
            FunnelStatus { funnel: "shop/flats".into(), in_force: InForce::default(), counts, variants, waiting_backfill: 0 };
        let mut out = String::new();
        details(&mut out, &status, 30);
        out
    }

    /// Uplift is measured and not claimed.
    #[test]
    fn status_says_what_the_holdout_shows_or_how_many_it_takes() {
        for ((treated_revived, treated), (holdout_revived, holdout), contacted, wanted) in [
            (
                (120, 1200),
                (12, 300),
                900,
                Some(
                    "6.0 percentage points more than without messages: 10.0% of 1200 not held out came back, 4.0% of 300 held out",
                ),
            ),
            ((40, 800), (40, 400), 900, Some("5.0 percentage points FEWER than without messages")),
            (
                (6, 84),
                (0, 9),
                50,
                Some("not measurable yet, about 140 held out are needed: 7.1% of 84 not held out came back, 0.0% of 9 held out"),
            ),
            ((6, 84), (0, 0), 50, None),
            // Observe: nobody was written to.
            ((120, 1200), (12, 300), 0, None),
        ] {
            let counts = FunnelCounts { contacted, holdout, holdout_revived, treated, treated_revived, ..FunnelCounts::default() };
            let text = said(counts, Vec::new());
            match wanted {
                Some(wanted) => assert!(text.contains(wanted), "{text}"),
                None => assert!(!text.contains("uplift"), "{text}"),
            }
        }
    }

    #[test]
    fn status_says_what_came_of_each_variant() {
        let count = |item: &str, variant: &str, sent, clicked, revived| VariantCount {
            list: "winback".into(),
            item: item.into(),
            variant: variant.into(),
            sent,
            clicked,
            revived,
        };
        let text =
            said(FunnelCounts::default(), vec![count("a", "x", 120, 14, 6), count("a", "y", 118, 9, 2), count("b", "x", 1, 0, 0)]);
        for line in [
            "winback/a: x 120 sent, 14 clicked, 6 came back; y 118 sent, 9 clicked, 2 came back\n",
            "winback/b: x 1 sent, 0 clicked, 0 came back\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
