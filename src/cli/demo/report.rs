//! What the demo came to: tables for the terminal, one object for pipelines, one self-contained page for people.

use crate::{
    cli::output::{money, table},
    model::{Money, Role},
    store::StageCount,
};
use jiff::{Timestamp, civil, tz::TimeZone};
use serde::Serialize;
use std::fmt::Write as _;

/// One day's messages, counted by the sinks.
#[derive(Clone, Debug, Serialize)]
pub struct Day {
    pub date: civil::Date,
    pub sms: u64,
    pub email: u64,
}

/// All figures. `-o json` prints [`Figures::summary`].
#[derive(Clone, Debug)]
pub struct Figures {
    pub deals: u64,
    pub sms: u64,
    pub email: u64,
    pub clicks_human: u64,
    pub clicks_machine: u64,
    pub notified: u64,
    pub tasks: u64,
    pub revived: u64,
    pub organic: u64,
    pub assisted: u64,
    pub contacted: u64,
    pub holdout: u64,
    pub holdout_revived: u64,
    pub unsubscribed: u64,
    pub suppressed_sends: u64,
    pub duplicates: u64,
    pub lost: u64,
    pub ambiguous: u64,
    pub skipped: Vec<(String, u64)>,
    pub stages: Vec<StageCount>,
    pub moments: Vec<Timestamp>,
    pub series: Vec<Vec<StageCount>>,
    pub days: Vec<Day>,
    /// Where the store and the other end of the wire counted differently. Empty, or the demo has failed.
    pub disagreements: Vec<String>,
    pub seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    deals: u64,
    stages: &'a [StageCount],
    sent: Sent,
    clicks: Clicks,
    notified: u64,
    tasks: u64,
    revived: u64,
    rate: Option<f64>,
    unsubscribed: u64,
    suppressed_sends: u64,
    duplicates: u64,
    lost: u64,
    ambiguous: u64,
    disagreements: &'a [String],
    seconds: f64,
}

#[derive(Serialize)]
struct Sent {
    sms: u64,
    email: u64,
}

#[derive(Serialize)]
struct Clicks {
    human: u64,
    machine: u64,
}

impl Serialize for Figures {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Summary {
            deals: self.deals,
            stages: &self.stages,
            sent: Sent { sms: self.sms, email: self.email },
            clicks: Clicks { human: self.clicks_human, machine: self.clicks_machine },
            notified: self.notified,
            tasks: self.tasks,
            revived: self.revived,
            rate: self.rate(),
            unsubscribed: self.unsubscribed,
            suppressed_sends: self.suppressed_sends,
            duplicates: self.duplicates,
            lost: self.lost,
            ambiguous: self.ambiguous,
            disagreements: &self.disagreements,
            seconds: (self.seconds * 10.0).round() / 10.0,
        }
        .serialize(serializer)
    }
}

/// Roles in the order of the funnel, with the words and colours of the report.
const ROLES: [(Role, &str, &str); 7] = [
    (Role::InWork, "In work", "#4f86c6"),
    (Role::Stalled, "Stalled", "#e0b050"),
    (Role::Warming, "Warming", "#e07a5f"),
    (Role::Revived, "Revived", "#5fa777"),
    (Role::Unsubscribed, "Unsubscribed", "#8d8d8d"),
    (Role::Backfill, "Waiting for backfill", "#c9b8d8"),
    (Role::NotWarmed, "Not warmed", "#cfcfcf"),
];

impl Figures {
    /// Contacted cycles that were revived ÷ all contacted cycles, in percent.
    #[allow(clippy::cast_precision_loss)] // thousands
    fn rate(&self) -> Option<f64> {
        (self.contacted > 0).then(|| (self.revived as f64 / self.contacted as f64 * 1000.0).round() / 10.0)
    }

    fn at(&self, index: usize, role: Role) -> (u64, Money) {
        let stages = self.series.get(index).map_or(&[][..], Vec::as_slice);
        stages.iter().filter(|s| s.role == role).fold((0, Money(0)), |sum, s| (sum.0 + s.deals, Money(sum.1.0 + s.amount.0)))
    }

    fn date(&self, index: usize) -> String {
        let moscow = TimeZone::get("Europe/Moscow").unwrap_or(TimeZone::UTC);
        self.moments.get(index).map(|m| m.to_zoned(moscow).strftime("%d %b").to_string()).unwrap_or_default()
    }
}

/// Tables for the terminal.
pub fn tables(figures: &Figures) -> String {
    let mut out = String::from("STAGES OVER TIME (deals, and money in millions)\n");
    let columns: Vec<usize> = (0..figures.moments.len()).collect();
    let mut rows = vec![std::iter::once(String::new()).chain(columns.iter().map(|i| figures.date(*i))).collect::<Vec<_>>()];
    for (role, title, _) in ROLES {
        if columns.iter().all(|i| figures.at(*i, role).0 == 0) {
            continue;
        }
        let cells = columns.iter().map(|i| {
            let (deals, amount) = figures.at(*i, role);
            format!("{deals} / {:.0}M", amount.units() / 1e6)
        });
        rows.push(std::iter::once(title.to_owned()).chain(cells).collect());
    }
    out.push_str(&table(&rows));
    out.push_str("\nMESSAGES AND ANSWERS\n");
    let rate = figures.rate().map_or_else(|| "-".into(), |r| format!("{r:.1}%"));
    let rows = [
        ("SMS delivered to the gateway", figures.sms.to_string()),
        ("emails delivered to the mail server", figures.email.to_string()),
        ("clicks by people", figures.clicks_human.to_string()),
        ("clicks by scanners (woke nobody)", figures.clicks_machine.to_string()),
        ("tasks for managers", figures.tasks.to_string()),
        ("notifications", figures.notified.to_string()),
        ("warmed and revived", format!("{} of {} contacted = {rate}", figures.revived, figures.contacted)),
        ("came back without being contacted", figures.organic.to_string()),
        ("reopened by hand after a message", figures.assisted.to_string()),
        ("holdout (kept unsent): revived of all", format!("{} of {}", figures.holdout_revived, figures.holdout)),
        ("unsubscribed", figures.unsubscribed.to_string()),
        ("sent after unsubscribing", figures.suppressed_sends.to_string()),
        ("sent twice", figures.duplicates.to_string()),
        ("lost or left unclear", figures.lost.to_string()),
    ];
    out.push_str(&table(&rows.map(|(what, n)| vec![what.to_owned(), n])));
    if !figures.skipped.is_empty() {
        out.push_str("\nNOT SENT, AND WHY\n");
        let rows: Vec<_> = figures.skipped.iter().map(|(why, n)| vec![why.clone(), n.to_string()]).collect();
        out.push_str(&table(&rows));
    }
    if figures.disagreements.is_empty() {
        let _ =
            writeln!(out, "\nThe store and the mail and SMS servers counted independently and agree. {:.1} s.", figures.seconds);
    } else {
        let _ = writeln!(out, "\nTHE COUNTS DISAGREE: {}", figures.disagreements.join("; "));
    }
    out
}

/// One page, no scripts, nothing loaded from elsewhere.
pub fn html(figures: &Figures) -> String {
    let last = figures.moments.len().saturating_sub(1);
    let (revived_deals, revived_money) = figures.at(last, Role::Revived);
    let risk: i64 = [Role::Stalled, Role::Warming].iter().map(|r| figures.at(last, *r).1.0).sum();
    let rate = figures.rate().map_or_else(|| "–".into(), |r| format!("{r:.1} %"));
    let cards = [
        (rate, "of contacted clients came back".to_owned()),
        (
            figures.revived.to_string(),
            format!("revived by a message; {revived_deals} deals stand in Revived, {}", money(revived_money)),
        ),
        (format!("{}", figures.sms + figures.email), format!("messages: {} SMS, {} emails", figures.sms, figures.email)),
        (figures.clicks_human.to_string(), format!("clicks by people ({} by scanners woke nobody)", figures.clicks_machine)),
        (figures.tasks.to_string(), "tasks for managers".to_owned()),
        (money(Money(risk)), "at risk in Stalled and Warming".to_owned()),
    ];
    let mut body = String::new();
    for (number, words) in cards {
        let _ = write!(body, "<div class=card><b>{number}</b><span>{words}</span></div>");
    }
    let mut table_rows = String::new();
    for (role, title, colour) in ROLES {
        let mut cells = String::new();
        for i in 0..figures.moments.len() {
            let (deals, amount) = figures.at(i, role);
            let _ = write!(cells, "<td>{deals}<small>{}</small></td>", money(amount));
        }
        let _ = write!(table_rows, "<tr><th><i style='background:{colour}'></i>{title}</th>{cells}</tr>");
    }
    let mut head = String::new();
    for i in 0..figures.moments.len() {
        let _ = write!(head, "<th>{}</th>", figures.date(i));
    }
    let mut skipped = String::new();
    for (why, n) in &figures.skipped {
        let _ = write!(skipped, "<tr><th>{why}</th><td>{n}</td></tr>");
    }
    let skipped = if skipped.is_empty() { "<p>Nothing was skipped.</p>".to_owned() } else { format!("<table>{skipped}</table>") };
    let honest = if figures.disagreements.is_empty() {
        "The store and the mail and SMS servers counted independently of each other, and agree.".to_owned()
    } else {
        format!("The counts disagree: {}", figures.disagreements.join("; "))
    };
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>\
<title>Rekindle demo</title><style>{STYLE}</style><body><main><h1>{} days of a reactivation funnel</h1>\
<p class=lead>A made-up property developer with {} deals. Messages went over real SMTP and HTTP; only time was virtual.</p>\
<div class=cards>{body}</div>\
<h2>Where the deals stood</h2>{}<div class=scroll><table><tr><th></th>{head}</tr>{table_rows}</table></div>\
<h2>Messages a day</h2>{}\
<h2>Promises</h2><table><tr><th>Sent after unsubscribing</th><td>{}</td></tr><tr><th>Sent twice</th><td>{}</td></tr>\
<tr><th>Lost or left unclear</th><td>{}</td></tr><tr><th>Unsubscribed</th><td>{}</td></tr></table><p>{honest}</p>\
<h2>Not sent, and why</h2>{skipped}</main></body></html>\n",
        figures.days.len(),
        figures.deals,
        stages_chart(figures),
        days_chart(figures),
        figures.suppressed_sends,
        figures.duplicates,
        figures.lost,
        figures.unsubscribed,
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#23262b;--soft:#6a7079;--line:#e3e5e8;--paper:#fff;--card:#f6f7f9}\
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a0a6ae;--line:#3a3e44;--paper:#1c1e21;--card:#26292d}}\
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}main{max-width:1000px;margin:0 auto;padding:32px 20px 64px}\
h1{font-size:30px;line-height:1.2;margin:0 0 8px}h2{font-size:20px;margin:40px 0 12px}.lead{color:var(--soft);margin:0 0 24px}\
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:12px}.card{background:var(--card);border-radius:10px;padding:16px}\
.card b{display:block;font-size:26px;line-height:1.2}.card span{color:var(--soft);font-size:14px}\
table{border-collapse:collapse;font-size:14px}th{text-align:left;font-weight:600;padding:6px 14px 6px 0;white-space:nowrap}\
td{padding:6px 14px 6px 0;text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td small{display:block;color:var(--soft)}\
tr+tr{border-top:1px solid var(--line)}th i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:8px}.scroll{overflow-x:auto}\
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font:12px system-ui,sans-serif}svg .grid{stroke:var(--line)}\
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:14px;color:var(--soft);margin:8px 0}.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}";

/// Stacked areas, one for each role.
#[allow(clippy::cast_precision_loss)] // picture coordinates
fn stages_chart(figures: &Figures) -> String {
    let (width, height, left, bottom) = (1000.0, 300.0, 50.0, 24.0);
    let n = figures.moments.len().max(2);
    let total = |i: usize| ROLES.iter().map(|(role, ..)| figures.at(i, *role).0).sum::<u64>() as f64;
    let most = (0..n).map(total).fold(1.0, f64::max);
    let x = |i: usize| left + (width - left) * i as f64 / (n - 1) as f64;
    let y = |v: f64| (height - bottom) * (1.0 - v / (most * 1.05));
    let mut svg = format!("<svg viewBox='0 0 {width} {height}' role=img aria-label='Deals by stage over time'>");
    for share in [0.25, 0.5, 0.75, 1.0] {
        let v = most * share;
        let _ = write!(
            svg,
            "<line class=grid x1={left} x2={width} y1={0:.1} y2={0:.1} /><text x=0 y={1:.1}>{v:.0}</text>",
            y(v),
            y(v) + 4.0
        );
    }
    let mut floor = vec![0.0; n];
    let mut legend = String::new();
    for (role, title, colour) in ROLES {
        let top: Vec<f64> = (0..n).map(|i| floor[i] + figures.at(i, role).0 as f64).collect();
        if top == floor {
            continue;
        }
        let mut points = String::new();
        for (i, value) in top.iter().enumerate() {
            let _ = write!(points, "{:.1},{:.1} ", x(i), y(*value));
        }
        for (i, value) in floor.iter().enumerate().rev() {
            let _ = write!(points, "{:.1},{:.1} ", x(i), y(*value));
        }
        let _ = write!(svg, "<polygon points='{points}' fill='{colour}' fill-opacity=.85><title>{title}</title></polygon>");
        let _ = write!(legend, "<span><i style='background:{colour}'></i>{title}</span>");
        floor = top;
    }
    for i in 0..n {
        let anchor = if i == 0 {
            "start"
        } else if i + 1 == n {
            "end"
        } else {
            "middle"
        };
        let _ = write!(svg, "<text x={:.1} y={:.1} text-anchor={anchor}>{}</text>", x(i), height - 6.0, figures.date(i));
    }
    format!("{svg}</svg><div class=legend>{legend}</div>")
}

/// Bars: SMS below, emails on top.
#[allow(clippy::cast_precision_loss)] // picture coordinates
fn days_chart(figures: &Figures) -> String {
    let (width, height, left, bottom) = (1000.0, 200.0, 50.0, 24.0);
    let most = figures.days.iter().map(|d| d.sms + d.email).max().unwrap_or(1).max(1) as f64;
    let step = (width - left) / figures.days.len().max(1) as f64;
    let scale = (height - bottom) / (most * 1.05);
    let mut svg =
        format!("<svg viewBox='0 0 {width} {height}' role=img aria-label='Messages a day'><text x=0 y=16>{most:.0}</text>");
    for (i, day) in figures.days.iter().enumerate() {
        let (x, w) = (left + step * i as f64, step * 0.8);
        let (sms, email) = (day.sms as f64 * scale, day.email as f64 * scale);
        let base = height - bottom;
        let _ = write!(
            svg,
            "<g><title>{}: {} SMS, {} emails</title><rect x={x:.1} y={:.1} width={w:.1} height={sms:.1} fill='#4f86c6' />\
<rect x={x:.1} y={:.1} width={w:.1} height={email:.1} fill='#e07a5f' /></g>",
            day.date,
            day.sms,
            day.email,
            base - sms,
            base - sms - email
        );
        if i % 7 == 0 {
            let _ = write!(svg, "<text x={x:.1} y={:.1}>{}</text>", height - 6.0, day.date.strftime("%d %b"));
        }
    }
    format!(
        "{svg}</svg><div class=legend><span><i style='background:#4f86c6'></i>SMS</span><span><i style='background:#e07a5f'></i>Email</span></div>"
    )
}
