//! A simulation as one page that can be sent on: no scripts, nothing loaded from elsewhere.

use super::table;
use crate::{
    cli::output::price,
    model::{PostponeReason, Role, SkipReason},
    simulate::Report,
};
use std::{borrow::Cow, collections::BTreeMap, fmt::Write};

const COLORS: [&str; 8] = ["#3b7dd8", "#e07a5f", "#3d9970", "#b8860b", "#8e5ea2", "#c0518a", "#4aa3b5", "#7a7f87"];

pub fn page(report: &Report) -> String {
    let mut body = String::new();
    let cost: BTreeMap<&str, f64> = report.cost.iter().filter_map(|c| Some((c.currency.as_deref()?, c.amount?))).fold(
        BTreeMap::new(),
        |mut sums, (currency, amount)| {
            *sums.entry(currency).or_default() += amount;
            sums
        },
    );
    let cost = cost.iter().map(|(currency, amount)| format!("{} {currency}", price(*amount))).collect::<Vec<_>>().join(", ");
    let tasks = report.managers.get("tasks").copied().unwrap_or(0);
    for (number, words) in [
        (report.messages.to_string(), format!("messages: {} SMS, {} emails", report.sms, report.emails)),
        (report.reached.to_string(), format!("clients reached, of {}", report.people)),
        (report.crowded_people.to_string(), "clients with two texts on one day".to_owned()),
        (report.skipped.values().sum::<u64>().to_string(), "messages left out".to_owned()),
        (tasks.to_string(), "tasks for managers".to_owned()),
        (if cost.is_empty() { "–".into() } else { cost }, "cost of messages".to_owned()),
    ] {
        let _ = write!(body, "<div class=card><b>{number}</b><span>{}</span></div>", text(&words));
    }
    if report.clicks + report.answers + report.unsubscribed > 0 {
        let declared = [(report.clicks, "clicks"), (report.answers, "answers"), (report.unsubscribed, "unsubscribed")];
        for (number, words) in declared {
            let _ = write!(body, "<div class=card><b>{number}</b><span>{words}, as declared</span></div>");
        }
    }
    let mut notes = String::new();
    for note in &report.notes {
        let _ = write!(notes, "<li>{}</li>", text(note));
    }
    if !notes.is_empty() {
        notes = format!("<h2>To know</h2><ul class=notes>{notes}</ul>");
    }
    let flow =
        if report.flows.is_empty() { String::new() } else { format!("<h2>What becomes of the deals</h2>{}", sankey(report)) };
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>\
<title>Simulation {from}</title><style>{STYLE}</style><body><main><h1>What would go out</h1>\
<p class=lead>{from} to {until}, {zone}. {deals} deals. Nothing was sent.</p><div class=cards>{body}</div>{notes}\
<h2>By day</h2>{days}<h2>By hour of the week</h2>{week}{flow}<h2>Items</h2>{items}<h2>How much a client gets</h2>{load}\
{why}<h2>Channels</h2>{channels}{cost}{budget}</main></body></html>\n",
        from = text(&report.from),
        until = text(&report.until),
        zone = text(&report.time_zone),
        deals = report.deals,
        days = days(report),
        week = week(report),
        items = items(report),
        load = load(report),
        why = why(report),
        channels = channels(report),
        cost = costs(report),
        budget = budgets(report),
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#23262b;--soft:#6a7079;--line:#e3e5e8;--paper:#fff;--card:#f6f7f9;--heat:59,125,216}\
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a0a6ae;--line:#3a3e44;--paper:#1c1e21;--card:#26292d;--heat:110,170,255}}\
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}main{max-width:1060px;margin:0 auto;padding:32px 20px 64px}\
h1{font-size:30px;line-height:1.2;margin:0 0 8px}h2{font-size:20px;margin:40px 0 12px}.lead{color:var(--soft);margin:0 0 12px}.notes{color:var(--soft);font-size:14px;margin:0 0 20px;padding-left:18px}\
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px}.card{background:var(--card);border-radius:10px;padding:16px}\
.card b{display:block;font-size:26px;line-height:1.2}.card span{color:var(--soft);font-size:14px}\
table{border-collapse:collapse;font-size:14px;width:100%}th{text-align:left;font-weight:600;padding:6px 14px 6px 0}td{padding:6px 14px 6px 0;text-align:right;font-variant-numeric:tabular-nums}\
td.words{text-align:left;color:var(--soft)}tr+tr{border-top:1px solid var(--line)}.scroll{overflow-x:auto}.heat td{padding:0;height:22px;border:1px solid var(--paper);text-align:center;font-size:11px}.heat th{font-weight:400;font-size:12px;color:var(--soft);padding:0 8px 0 0}\
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font:14px system-ui,sans-serif}svg text.name{fill:var(--ink)}svg .grid{stroke:var(--line)}\
.scroll svg{min-width:800px}.heat{min-width:640px}summary{cursor:pointer;color:var(--soft);font-size:14px;margin:8px 0}.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:14px;color:var(--soft);margin:8px 0}.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}";

/// Titles and ids come from people.
fn text(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// As many as are asked for, none twice.
fn color(index: usize) -> Cow<'static, str> {
    // Beyond those that were chosen, hues as far apart as can be.
    COLORS.get(index).map_or_else(|| format!("hsl({},45%,55%)", index * 137 % 360).into(), |color| Cow::Borrowed(*color))
}

fn by<'r, K: Ord>(report: &'r Report, key: impl Fn(&'r crate::simulate::Cell) -> K) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    for cell in &report.calendar {
        *sums.entry(key(cell)).or_default() += cell.messages;
    }
    sums
}

/// Bars, one colour a list.
#[allow(clippy::cast_precision_loss)] // picture coordinates
fn days(report: &Report) -> String {
    if report.calendar.is_empty() {
        return "<p>Nothing goes out in these days.</p>".into();
    }
    let lists: Vec<String> =
        by(report, |c| (c.funnel.as_str(), c.list.as_str())).into_keys().map(|(f, l)| table::named(report, f, l)).collect();
    let places: BTreeMap<(&str, &str), usize> = by(report, |c| (c.funnel.as_str(), c.list.as_str())).into_keys().zip(0..).collect();
    let totals = by(report, |c| c.day.as_str());
    let mut cells: BTreeMap<(&str, usize), u64> = BTreeMap::new();
    for cell in &report.calendar {
        let place = places.get(&(cell.funnel.as_str(), cell.list.as_str())).copied().unwrap_or(0);
        *cells.entry((&cell.day, place)).or_default() += cell.messages;
    }
    let first = totals.keys().next().and_then(|d| d.parse::<jiff::civil::Date>().ok());
    let last = totals.keys().next_back().and_then(|d| d.parse::<jiff::civil::Date>().ok());
    let (Some(first), Some(last)) = (first, last) else { return String::new() };
    let dates: Vec<String> = first.series(jiff::Span::new().days(1)).take_while(|d| *d <= last).map(|d| d.to_string()).collect();
    let most = totals.values().copied().max().unwrap_or(1).max(1) as f64;
    let (width, height, left, bottom) = (1000.0, 240.0, 46.0, 24.0);
    let step = (width - left) / dates.len().max(1) as f64;
    let scale = (height - bottom - 12.0) / most;
    let mut svg = format!("<svg viewBox='0 0 {width} {height}' role=img aria-label='Messages a day'>");
    for share in [0.5, 1.0] {
        let y = height - bottom - most * share * scale;
        let _ = write!(
            svg,
            "<line class=grid x1={left} x2={width} y1={y:.1} y2={y:.1} /><text x=0 y={:.1}>{:.0}</text>",
            y + 4.0,
            most * share
        );
    }
    for (i, day) in dates.iter().enumerate() {
        let x = left + step * i as f64;
        let mut y = height - bottom;
        let _ = write!(svg, "<g><title>{day}: {}</title>", totals.get(day.as_str()).copied().unwrap_or(0));
        for n in 0..lists.len() {
            let tall = cells.get(&(day.as_str(), n)).copied().unwrap_or(0) as f64 * scale;
            y -= tall;
            if tall > 0.0 {
                let _ = write!(
                    svg,
                    "<rect x={x:.1} y={y:.1} width={:.1} height={tall:.1} fill='{}' />",
                    (step * 0.82).max(1.0),
                    color(n)
                );
            }
        }
        svg.push_str("</g>");
        if i % (dates.len() / 10 + 1) == 0 {
            let _ = write!(svg, "<text x={x:.1} y={:.1}>{}</text>", height - 6.0, day.get(5..).unwrap_or(day));
        }
    }
    let mut legend = String::new();
    for (n, list) in lists.iter().enumerate() {
        let _ = write!(legend, "<span><i style='background:{}'></i>{}</span>", color(n), text(list));
    }
    format!(
        "<div class=scroll>{svg}</svg></div><div class=legend>{legend}</div><details><summary>By channel</summary>{}</details>",
        by_channel(report)
    )
}

fn by_channel(report: &Report) -> String {
    let mut rows = String::new();
    for row in table::days(report) {
        let mut cells = row.iter().map(|cell| text(cell));
        let _ = write!(rows, "<tr><th>{}</th>", cells.next().unwrap_or_default());
        for cell in cells {
            let _ = write!(rows, "<td>{cell}</td>");
        }
        rows.push_str("</tr>");
    }
    format!("<div class=scroll><table>{rows}</table></div>")
}

#[allow(clippy::cast_precision_loss)] // shades
fn week(report: &Report) -> String {
    let mut hours: BTreeMap<(i8, i8), u64> = BTreeMap::new();
    for cell in &report.calendar {
        let Ok(day) = cell.day.parse::<jiff::civil::Date>() else { continue };
        *hours.entry((day.weekday().to_monday_zero_offset(), cell.hour)).or_default() += cell.messages;
    }
    let most = hours.values().copied().max().unwrap_or(1).max(1) as f64;
    let mut rows = String::from("<tr><th></th>");
    for hour in 0..24 {
        let _ = write!(rows, "<th>{hour}</th>");
    }
    rows.push_str("</tr>");
    for (n, day) in (0_i8..).zip(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]) {
        let _ = write!(rows, "<tr><th>{day}</th>");
        for hour in 0..24 {
            let sent = hours.get(&(n, hour)).copied().unwrap_or(0);
            let shade = if sent == 0 { 0.04 } else { 0.15 + 0.75 * sent as f64 / most };
            let shown = if sent == 0 { String::new() } else { sent.to_string() };
            let _ = write!(rows, "<td style='background:rgba(var(--heat),{shade:.2})'>{shown}</td>");
        }
        rows.push_str("</tr>");
    }
    let busiest = report.busiest_hour.as_ref().map_or_else(String::new, |(hour, share)| {
        format!("<p class=lead>{:.1} % of the messages wait for the hours in which clients may be written to. The busiest hour of the week is {hour}, with {share:.1} %.</p>", report.waited_for_window)
    });
    format!("{busiest}<div class=scroll><table class=heat>{rows}</table></div>")
}

/// From where deals come, by which list they are warmed, and where they end.
#[allow(clippy::cast_precision_loss)] // picture coordinates
fn sankey(report: &Report) -> String {
    // Where deals come from stands on the left, where they end on the right, between them the first list, the second, …
    let last = report.flows.iter().map(|(.., step)| *step).max().unwrap_or(0).max(1) + 1;
    let columns = |to: &str, step: usize| (step, if to.starts_with("list ") { step + 1 } else { last });
    let mut nodes: Vec<BTreeMap<&str, u64>> = vec![BTreeMap::new(); last + 1];
    for (from, to, n, step) in &report.flows {
        let (a, b) = columns(to, *step);
        // A list is both an end and a beginning; it counts once.
        for (column, name) in [(a, from), (b, to)].into_iter().filter(|(column, _)| *column == b || *column == 0) {
            if let Some(nodes) = nodes.get_mut(column) {
                *nodes.entry(name).or_default() += n;
            }
        }
    }
    let total: u64 = nodes.first().map_or(0, |origins| origins.values().sum());
    let most = nodes.iter().map(BTreeMap::len).max().unwrap_or(1);
    let height = (most as f64 * 46.0).max(260.0);
    let scale = (height - most as f64 * 18.0) / total.max(1) as f64;
    let x = |column: usize| 740.0 * column as f64 / last as f64;
    let mut place: BTreeMap<(usize, &str), (f64, f64)> = BTreeMap::new();
    let mut svg = format!("<svg viewBox='0 0 1000 {height:.0}' role=img aria-label='Flow of deals'>");
    let mut labels = String::new();
    for (c, column) in nodes.iter().enumerate() {
        let mut y = 4.0;
        for (n, (name, deals)) in column.iter().enumerate() {
            let tall = (*deals as f64 * scale).max(1.0);
            place.insert((c, *name), (y, y));
            let _ = write!(labels, "<rect x={:.0} y={y:.1} width=10 height={tall:.1} rx=2 fill='{}' />", x(c), color(n + c * 2));
            let shown = text(place_name(report, name));
            let _ = write!(
                labels,
                "<text class=name x={:.0} y={:.1}>{shown}: {deals}</text>",
                x(c) + 16.0,
                y + tall.min(20.0) / 2.0 + 4.0
            );
            y += tall + 18.0;
        }
    }
    for (from, to, n, step) in &report.flows {
        let (a, b) = columns(to, *step);
        let tall = *n as f64 * scale;
        let start = place.get_mut(&(a, from.as_str())).map_or(0.0, |p| {
            p.0 += tall;
            p.0 - tall
        });
        // A list is both an end and a beginning: its two sides are filled apart.
        let end = place.get_mut(&(b, to.as_str())).map_or(0.0, |p| {
            p.1 += tall;
            p.1 - tall
        });
        let (x1, x2) = (x(a) + 10.0, x(b));
        let middle = f64::midpoint(x1, x2);
        let (y1, y2) = (start + tall / 2.0, end + tall / 2.0);
        let _ = write!(
            svg,
            "<path d='M{x1:.0} {y1:.1}C{middle:.0} {y1:.1} {middle:.0} {y2:.1} {x2:.0} {y2:.1}' fill=none stroke='{}' stroke-opacity=.3 stroke-width={:.1}><title>{} to {}: {n}</title></path>",
            color(a * 2),
            tall.max(0.8),
            text(place_name(report, from)),
            text(place_name(report, to))
        );
    }
    format!("<div class=scroll>{svg}{labels}</svg></div>")
}

/// A place in the flow, as the funnel calls it.
fn place_name<'r>(report: &'r Report, name: &'r str) -> &'r str {
    let Some(role) = Role::parse(name) else { return name.strip_prefix("list ").unwrap_or(name) };
    report.stage_titles.get(name).map_or_else(
        || match role {
            Role::InWork => "in work",
            Role::Stalled => "gone quiet",
            Role::Warming => "being warmed",
            Role::Revived => "back",
            Role::Unsubscribed => "unsubscribed",
            Role::Customer => "customer",
            Role::NotWarmed => "lost, but not to be warmed",
            Role::Backfill => "lost before the funnel began",
            Role::Archived => "closed",
        },
        String::as_str,
    )
}

fn items(report: &Report) -> String {
    let mut rows = String::from(
        "<tr><th>Item</th><th>Title</th><td>messages</td><td>first</td><td>last</td><td>left out</td><td>made to wait</td></tr>",
    );
    for item in &report.items {
        let skipped: u64 = item.skipped.values().sum();
        let _ = write!(
            rows,
            "<tr><th>{}</th><td class=words>{}</td><td>{}</td>",
            text(&table::named(report, &item.funnel, &format!("{}/{}", item.list, item.item))),
            text(&item.title),
            if item.variants.is_empty() {
                item.messages.to_string()
            } else {
                format!("{} ({})", item.messages, text(&table::variants(item)))
            }
        );
        match &item.nobody {
            Some(why) => {
                let _ = write!(rows, "<td class=words colspan=4>nobody gets it: {}</td></tr>", text(why));
            }
            None => {
                let _ = write!(
                    rows,
                    "<td>{}</td><td>{}</td><td>{skipped}</td><td>{}</td></tr>",
                    item.first.as_deref().unwrap_or_default(),
                    item.last.as_deref().unwrap_or_default(),
                    item.postponed
                );
            }
        }
    }
    format!("<div class=scroll><table>{rows}</table></div>")
}

#[allow(clippy::cast_precision_loss)] // bar widths
fn load(report: &Report) -> String {
    let most = report.load.iter().map(|(_, people)| *people).max().unwrap_or(1).max(1) as f64;
    let mut rows = String::new();
    for (messages, people) in &report.load {
        let _ = write!(
            rows,
            "<tr><th>{messages} messages</th><td class=words style='width:70%'><div style='height:14px;border-radius:3px;background:{};width:{:.1}%'></div></td><td>{people} clients</td></tr>",
            color(0),
            *people as f64 * 100.0 / most
        );
    }
    let worst: Vec<String> = report.worst.iter().map(|w| format!("{} ({})", text(&w.deal), w.messages)).collect();
    let crowded = if report.crowded_days == 0 {
        "Nobody gets two texts on one day.".to_owned()
    } else {
        format!(
            "Two or more texts on one day: {} times, {} clients, like those of the deals {}.",
            report.crowded_days,
            report.crowded_people,
            text(&report.crowded_examples.join(", "))
        )
    };
    let worst = if worst.is_empty() {
        String::new()
    } else {
        format!("Most messages (deal of the client, messages): {}. ", worst.join(", "))
    };
    format!("<div class=scroll><table>{rows}</table></div><p class=lead>{worst}{crowded}</p>")
}

fn why(report: &Report) -> String {
    let mut both = String::new();
    let mut rows = String::new();
    for p in &report.postponed {
        let _ = write!(
            rows,
            "<tr><th>{}</th><td>{}</td><td>{:.1} h</td><td>{:.1} h</td><td>{}</td></tr>",
            text(PostponeReason::sentence_of(&p.reason)),
            p.times,
            p.mean_hours,
            p.longest_hours,
            p.still_waiting
        );
    }
    if !rows.is_empty() {
        let head = "<tr><th></th><td>times</td><td>wait on average</td><td>longest</td><td>wait at the end</td></tr>";
        let _ = write!(both, "<h2>Why messages wait</h2><div class=scroll><table>{head}{rows}</table></div>");
    }
    rows.clear();
    for (reason, n) in &report.skipped {
        let _ = write!(rows, "<tr><th>{}</th><td>{n}</td></tr>", text(SkipReason::sentence_of(reason)));
    }
    if !rows.is_empty() {
        let _ = write!(both, "<h2>Why messages are left out</h2><div class=scroll><table>{rows}</table></div>");
    }
    both
}

fn channels(report: &Report) -> String {
    let mut rows = String::from(
        "<tr><th>Channel</th><td>messages</td><td>rate a second</td><td>needed a second</td><td>busiest minute</td><td>busiest hour</td><td>held up</td><td>longest wait</td></tr>",
    );
    for c in &report.capacity {
        let _ = write!(
            rows,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{} s</td></tr>",
            text(&c.channel),
            c.messages,
            c.per_second,
            c.needed_per_second,
            c.busiest_minute,
            c.busiest_hour,
            c.held_up,
            c.longest_wait_seconds
        );
    }
    format!("<div class=scroll><table>{rows}</table></div>")
}

fn costs(report: &Report) -> String {
    let mut rows = String::new();
    for c in &report.cost {
        let Some((amount, currency)) = c.amount.zip(c.currency.as_ref()) else { continue };
        let _ = write!(
            rows,
            "<tr><th>{}</th><td class=words>{}</td><td>{} parts</td><td>{} {currency}</td></tr>",
            text(&table::named(report, &c.funnel, &c.list)),
            text(&c.channel),
            c.parts,
            price(amount)
        );
    }
    if rows.is_empty() { String::new() } else { format!("<h2>Cost</h2><div class=scroll><table>{rows}</table></div>") }
}

fn budgets(report: &Report) -> String {
    let mut rows = String::new();
    for row in table::budgets(report) {
        let mut cells = row.iter().map(|cell| text(cell));
        let _ = write!(rows, "<tr><th>{}</th>", cells.next().unwrap_or_default());
        for cell in cells {
            let _ = write!(rows, "<td class=words>{cell}</td>");
        }
        rows.push_str("</tr>");
    }
    if rows.is_empty() { String::new() } else { format!("<h2>Budget</h2><div class=scroll><table>{rows}</table></div>") }
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::{
        cli::simulate::table,
        model::{PostponeReason, SkipReason},
        simulate::{Cell, Postponed, Report},
    };
    use std::collections::BTreeSet;

    fn cell(day: &str, funnel: &str, list: &str) -> Cell {
        let of = str::to_owned;
        Cell { day: of(day), hour: 10, channel: of("shop/sms"), funnel: of(funnel), list: of(list), item: of("one"), messages: 1 }
    }

    /// Whoever gets the page by mail does not know our words.
    #[test]
    fn a_page_that_is_sent_on_says_in_sentences_why_messages_wait_or_are_left_out() {
        let postponed = |reason: PostponeReason| Postponed {
            reason: reason.as_str().to_owned(),
            times: 1,
            still_waiting: 0,
            mean_hours: 1.0,
            longest_hours: 2.0,
        };
        let report = Report {
            skipped: SkipReason::ALL.map(|reason| (reason.as_str().to_owned(), 3_u64)).into(),
            postponed: PostponeReason::ALL.map(postponed).into(),
            calendar: vec![cell("2026-03-02", "shop/flats", "warm")],
            flows: vec![
                ("Backfill".to_owned(), "list warm".to_owned(), 2, 0),
                ("Warming".to_owned(), "list warm".to_owned(), 1, 0),
                ("list warm".to_owned(), "under way".to_owned(), 3, 1),
            ],
            stage_titles: [("Warming".to_owned(), "Подогрев".to_owned())].into(),
            ..Report::default()
        };
        let page = page(&report);
        let words = SkipReason::ALL.map(SkipReason::as_str).into_iter().chain(PostponeReason::ALL.map(PostponeReason::as_str));
        for word in words.chain(["Backfill", "Warming"]) {
            assert!(!page.contains(word), "{word}");
        }
        let skips = SkipReason::ALL.map(SkipReason::sentence).into_iter();
        let sentences: BTreeSet<&str> = skips.chain(PostponeReason::ALL.map(PostponeReason::sentence)).collect();
        assert_eq!(sentences.len(), SkipReason::ALL.len() + PostponeReason::ALL.len(), "each has its own");
        assert!(sentences.iter().all(|sentence| page.contains(sentence) && table::report(&report).contains(sentence)));
        assert!(page.contains("Подогрев: 1") && page.contains("lost before the funnel began: 2"), "{page}");
        assert!(!page.contains("Most messages"), "nobody gets any");
    }

    /// Eight pixels in four hundred are no letters: pictures and tables keep their size and are pushed aside.
    #[test]
    fn pictures_and_tables_scroll_on_a_phone_and_each_list_has_a_colour_of_its_own() {
        let lists = (0..20).map(|n| cell("2026-03-02", "shop/flats", &format!("list{n}")));
        let report = Report {
            calendar: lists.collect(),
            load: vec![(1, 20)],
            flows: vec![("Warming".to_owned(), "under way".to_owned(), 1, 0)],
            ..Report::default()
        };
        let page = page(&report);
        for what in ["<svg", "<table"] {
            let scroll = format!("<div class=scroll>{what}");
            assert_eq!(page.matches(what).count(), page.matches(&scroll).count(), "{what}");
        }
        assert!(page.contains("min-width:800px"));
        let colours: BTreeSet<String> = (0..20).map(|n| super::color(n).into_owned()).collect();
        assert_eq!(colours.len(), 20);
    }
}
