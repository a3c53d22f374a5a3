//! Simulations as tables and rows.

use crate::{
    cli::output::{plain, price, table, words},
    model::{PostponeReason, SkipReason},
    simulate::{Difference, ItemChange, ItemReport, Outcome, Report, World},
};
use std::{collections::BTreeMap, fmt::Write, io};

pub fn report(report: &Report) -> String {
    let mut out = format!(
        "{} to {} ({}), {} deals of {} clients\n",
        report.from, report.until, report.time_zone, report.deals, report.people
    );
    for note in &report.notes {
        let _ = writeln!(out, "  {}", plain(note));
    }
    let _ =
        writeln!(out, "\n{} messages to {} clients: {} SMS, {} emails", report.messages, report.reached, report.sms, report.emails);
    if report.clicks + report.answers + report.unsubscribed > 0 {
        let _ = writeln!(
            out,
            "as declared: {} clicks, {} answers, {} unsubscribed",
            report.clicks, report.answers, report.unsubscribed
        );
    }
    if !report.managers.is_empty() {
        let parts: Vec<String> = report.managers.iter().map(|(word, n)| format!("{n} {word}")).collect();
        let _ = writeln!(out, "for managers: {}", parts.join(", "));
    }
    section(&mut out, "ITEMS", &items(report));
    section(&mut out, "BY DAY", &days(report));
    section(&mut out, "MESSAGES A CLIENT GETS", &load(report));
    if report.crowded_days > 0 {
        let _ = writeln!(
            out,
            "\nTwo or more texts on one day: {} times, {} clients, like the clients of deals {}",
            report.crowded_days,
            report.crowded_people,
            plain(&report.crowded_examples.join(", "))
        );
    }
    let rows: Vec<Vec<String>> =
        report.skipped.iter().map(|(why, n)| vec![format!("{} ({why})", SkipReason::sentence_of(why)), n.to_string()]).collect();
    section(&mut out, "SKIPPED, AND WHY", &rows);
    let rows: Vec<Vec<String>> = report
        .postponed
        .iter()
        .map(|p| {
            vec![
                format!("{} ({})", PostponeReason::sentence_of(&p.reason), p.reason),
                p.times.to_string(),
                format!("{:.1} h on average", p.mean_hours),
                format!("{:.1} h at most", p.longest_hours),
                if p.still_waiting == 0 { String::new() } else { format!("{} wait at the end", p.still_waiting) },
            ]
        })
        .collect();
    section(&mut out, "POSTPONED, AND WHY", &rows);
    if let Some((hour, share)) = &report.busiest_hour {
        let _ = writeln!(
            out,
            "\n{:.1}% of the messages wait for a window; the busiest hour of the week, {hour}, carries {share:.1}%",
            report.waited_for_window
        );
    }
    let mut rows = vec![
        ["channel", "rate a second", "messages", "busiest minute", "busiest hour", "needed a second", "held up", "longest wait"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(report.capacity.iter().map(|c| {
        let rate = if c.per_second > 0.0 { c.per_second.to_string() } else { "no limit".into() };
        vec![
            c.channel.clone(),
            rate,
            c.messages.to_string(),
            c.busiest_minute.to_string(),
            c.busiest_hour.to_string(),
            c.needed_per_second.to_string(),
            c.held_up.to_string(),
            format!("{} s", c.longest_wait_seconds),
        ]
    }));
    section(&mut out, "CHANNELS", &rows);
    let rows: Vec<Vec<String>> = report
        .cost
        .iter()
        .filter_map(|c| {
            Some(vec![
                format!("{} {}", c.channel, named(report, &c.funnel, &c.list)),
                format!("{} parts", c.parts),
                format!("{} {}", price(c.amount?), c.currency.as_ref()?),
            ])
        })
        .collect();
    section(&mut out, "COST", &rows);
    section(&mut out, "BUDGET", &budgets(report));
    out
}

/// Policy, limits, what is spent, when that is most, when it ends.
pub fn budgets(report: &Report) -> Vec<Vec<String>> {
    let limit = |amount: Option<f64>, per: &str| amount.map(|amount| format!("{} a {per}", price(amount)));
    let some = |n: u64, what: &str| (n > 0).then(|| format!("{n} messages {what}"));
    report
        .budgets
        .iter()
        .map(|b| {
            let limits: Vec<String> = [limit(b.per_day, "day"), limit(b.per_month, "month")].into_iter().flatten().collect();
            let day =
                b.dearest_day.as_ref().map(|day| format!("most on {day}: {}", price(b.dearest_day_spent))).unwrap_or_default();
            let before =
                if b.spent_before > 0.0 { format!(", {} before in that month", price(b.spent_before)) } else { String::new() };
            let ends = [
                b.day_reached.as_ref().map(|day| format!("a day's is first used up on {day}")),
                b.month_reached.as_ref().map(|day| format!("a month's is first used up on {day}")),
                some(b.waited, "wait for more"),
                some(b.left_out, "are left out"),
            ];
            let ends: Vec<String> = ends.into_iter().flatten().collect();
            let ends = if ends.is_empty() { "never used up".to_owned() } else { ends.join(", ") };
            vec![b.policy.clone(), limits.join(", "), format!("{} {} spent{before}", price(b.spent), b.currency), day, ends]
        })
        .collect()
}

/// What belongs to a funnel, with the funnel's name where there are several.
pub fn named(report: &Report, funnel: &str, name: &str) -> String {
    if report.several_funnels() { format!("{funnel} {name}") } else { name.to_owned() }
}

fn section(out: &mut String, title: &str, rows: &[Vec<String>]) {
    if !rows.is_empty() {
        let _ = write!(out, "\n{title}\n{}", table(rows));
    }
}

fn items(report: &Report) -> Vec<Vec<String>> {
    let mut rows = vec![["item", "messages", "first", "last", "skipped", "nobody, because"].map(str::to_owned).to_vec()];
    rows.extend(report.items.iter().map(|i| {
        vec![
            named(report, &i.funnel, &format!("{}/{}", i.list, i.item)),
            if i.variants.is_empty() { i.messages.to_string() } else { format!("{} ({})", i.messages, variants(i)) },
            i.first.clone().unwrap_or_default(),
            i.last.clone().unwrap_or_default(),
            i.skipped.values().sum::<u64>().to_string(),
            i.nobody.clone().unwrap_or_default(),
        ]
    }));
    rows
}

/// How many get which: `a 11, b 10`.
pub fn variants(item: &ItemReport) -> String {
    item.variants.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
}

/// Messages by day and channel.
pub fn days(report: &Report) -> Vec<Vec<String>> {
    let channels: Vec<&str> = report.capacity.iter().map(|c| c.channel.as_str()).collect();
    let mut days: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for cell in &report.calendar {
        *days.entry(&cell.day).or_default().entry(&cell.channel).or_default() += cell.messages;
    }
    if days.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![std::iter::once("day").chain(channels.iter().copied()).map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(days.into_iter().map(|(day, by)| {
        std::iter::once(day.to_owned()).chain(channels.iter().map(|c| by.get(c).copied().unwrap_or(0).to_string())).collect()
    }));
    rows
}

fn load(report: &Report) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> =
        report.load.iter().map(|(messages, people)| vec![messages.to_string(), format!("{people} clients")]).collect();
    if let Some(worst) = report.worst.first() {
        rows.push(vec!["most".into(), format!("{} to the client of deal {}", worst.messages, worst.deal)]);
    }
    rows
}

/// One row a message, written as it goes: there may be millions.
pub fn csv(world: &World, outcome: &Outcome, out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(b"at,funnel,deal,channel,list,item,parts,local,client,variant,cost,currency,title\n")?;
    let zone = outcome.run.time_zone();
    for sent in &outcome.tally.sent {
        let Some(item) = outcome.run.item(sent) else { continue };
        let cost = outcome.run.price(sent);
        let channel = outcome.run.channels.get(usize::from(sent.channel)).map_or("", |c| c.key.as_str());
        let cells = [
            sent.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            outcome.run.funnel(item.funnel).to_owned(),
            world.deal_id(sent.deal),
            channel.to_owned(),
            item.list.clone(),
            item.item.clone(),
            sent.parts.to_string(),
            // The clock of all other figures.
            sent.at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            sent.person.to_string(),
            outcome.run.variant(sent).unwrap_or_default().to_owned(),
            cost.map(|(amount, _)| price(amount)).unwrap_or_default(),
            cost.map(|(_, currency)| currency.to_owned()).unwrap_or_default(),
            item.title.clone(),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

/// A spreadsheet must neither split a cell nor take it for a formula.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t']);
    if formula || cell.contains([',', '"', '\n', '\r', ';']) {
        format!("\"{}{}\"", if formula { "'" } else { "" }, cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

pub fn difference(difference: &Difference) -> String {
    let mut out = format!("{} to {} ({}), {} deals\n", difference.from, difference.until, difference.time_zone, difference.deals);
    for note in &difference.notes {
        let _ = writeln!(out, "  {}", plain(note));
    }
    let _ = writeln!(out, "messages: {} before, {} after", difference.before, difference.after);
    if difference.items.is_empty() {
        out.push_str("nobody gets anything else, at another time, in other words, from another sender, or at another price\n");
        return out;
    }
    let edited = difference.items.iter().filter(|item| !item.edited.is_empty()).count();
    let moved = |item: &&ItemChange| {
        let deals = [&item.gained, &item.lost, &item.not_yet, &item.earlier, &item.later, &item.changed_variant];
        deals.iter().any(|deals| !deals.is_empty())
    };
    if !difference.items.iter().any(|item| moved(&item)) {
        out.push_str("nobody gets another item, or one at another time; what they get changes\n");
    }
    if edited > 0 {
        let _ = writeln!(out, "{edited} {} edited", if edited == 1 { "item is" } else { "items are" });
    }
    for item in &difference.items {
        let _ = writeln!(out, "\n{} {}/{}: {} before, {} after", item.funnel, item.list, item.item, item.before, item.after);
        let some = |ids: &[String]| {
            let shown = ids.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
            if ids.len() > 8 { format!("{shown}, …") } else { shown }
        };
        let rows = [
            ("get it now", &item.gained),
            ("no longer get it", &item.lost),
            ("get it, but not within these days", &item.not_yet),
            ("get it through another of their deals", &item.through_other_deal),
            ("get it earlier", &item.earlier),
            ("get it later", &item.later),
            ("get another variant", &item.changed_variant),
        ];
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .filter(|(_, ids)| !ids.is_empty())
            .map(|(what, ids)| vec![format!("  {what}"), ids.len().to_string(), format!("deals {}", some(ids))])
            .collect();
        out.push_str(&words(&rows));
        if !item.edited.is_empty() {
            let _ = writeln!(out, "  edited: {}", item.edited.join(", "));
        }
        if item.parts_before != item.parts_after {
            let _ = writeln!(out, "  parts: {} before, {} after", item.parts_before, item.parts_after);
        }
        if item.cost_before != item.cost_after {
            let sum = |costs: &BTreeMap<String, f64>| {
                let sums: Vec<String> = costs.iter().map(|(currency, sum)| format!("{} {currency}", price(*sum))).collect();
                if sums.is_empty() { "nothing".to_owned() } else { sums.join(" and ") }
            };
            let _ = writeln!(out, "  cost: {} before, {} after", sum(&item.cost_before), sum(&item.cost_after));
        }
        if item.shift_hours.abs() > 0.0 {
            let _ = writeln!(out, "  moved by {:+} h (the middle one)", item.shift_hours);
        }
    }
    out
}
