//! What managers get: titles and bodies of tasks, comments and notifications.

use super::{Body, Context, ItemText, Language, Texts, template::Escape};
use crate::{
    engine::{LedgerEntry, TaskText},
    model::{Deal, EffectStatus, SignalKind},
};
use jiff::{Timestamp, tz::TimeZone};
use std::fmt::Write as _;

/// How many messages of the history are told.
const TOLD: usize = 10;

/// What is known when the text is made.
pub struct TaskFacts<'a> {
    pub context: &'a Context,
    pub deal: &'a Deal,
    /// The copy's ledger, oldest first.
    pub ledger: &'a [LedgerEntry],
    /// What the client wrote, if the reason is a reply, a chat or a form.
    pub said: Option<&'a str>,
    /// The managers' zone, for times in the history.
    pub time_zone: &'a TimeZone,
    pub now: Timestamp,
}

/// Plain text, personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedTask {
    pub title: String,
    pub body: String,
}

/// Renders a task, comment or notification. Never fails: a manager must be told even if a title's value is missing; then the
/// built-in title is used.
#[must_use]
pub fn render_task(texts: &Texts, text: &TaskText, facts: &TaskFacts<'_>) -> RenderedTask {
    let tasks = &texts.tasks;
    let language = tasks.language.as_deref().map_or_else(|| facts.context.language(), Language::from_tag);
    let link = match text {
        TaskText::Clicked { seq, link } => link_name(texts, facts, *seq, *link),
        _ => None,
    };
    let own = match text {
        TaskText::Revived { .. } => tasks.revived.as_ref(),
        TaskText::Clicked { .. } => tasks.clicked.as_ref(),
        TaskText::Replied => tasks.replied.as_ref(),
        TaskText::Forgotten { customer: false, .. } => tasks.forgotten.as_ref(),
        TaskText::Forgotten { customer: true, .. } | TaskText::Called { .. } | TaskText::Unanswered { .. } => None,
    };
    let mut context = facts.context.clone();
    context.set("link.name", link.unwrap_or_default());
    if let TaskText::Revived { signal } | TaskText::Called { signal } = text {
        context.set("signal.kind", signal.as_str());
    }
    let title = own
        .and_then(|template| template.render_as(Escape::Header, &context, &[]).ok())
        .filter(|title| !title.trim().is_empty())
        .unwrap_or_else(|| built_in(text, language, link, facts));
    RenderedTask { title: title.trim().chars().take(250).collect(), body: body(texts, text, language, link, facts) }
}

fn link_name<'t>(texts: &'t Texts, facts: &TaskFacts<'_>, seq: i32, link: i16) -> Option<&'t str> {
    let entry = facts.ledger.iter().find(|entry| entry.seq == seq)?;
    let item = item_of(texts, entry)?;
    item.links.get(usize::try_from(link).ok()?).map(|(name, _)| name.as_str())
}

fn item_of<'t>(texts: &'t Texts, entry: &LedgerEntry) -> Option<&'t ItemText> {
    texts.items.get(&(entry.key.list.clone(), entry.key.item.clone()))
}

fn built_in(text: &TaskText, language: Language, link: Option<&str>, facts: &TaskFacts<'_>) -> String {
    let who = facts.context.text("client.name").unwrap_or(&facts.deal.title);
    match text {
        TaskText::Revived { signal } => {
            format!("{}: {who} ({})", language.pick("Клиент вернулся", "The client is back"), signal_words(*signal, language))
        }
        TaskText::Clicked { .. } => match link {
            Some(link) => format!("{} {link}: {who}", language.pick("Перезвонить: открыл", "Call back: opened")),
            None => format!("{}: {who}", language.pick("Перезвонить: открыл ссылку", "Call back: opened a link")),
        },
        TaskText::Replied => format!("{}: {who}", language.pick("Клиент ответил", "The client answered")),
        TaskText::Forgotten { supervisor: false, customer: true } => {
            format!("{}: {who}", language.pick("Спросить покупателя, как дела", "Ask a customer how they are"))
        }
        TaskText::Forgotten { supervisor: true, customer: true } => format!(
            "{} ({}): {who}",
            language.pick("Менеджеру пора спросить покупателя, как дела", "Time for a manager to ask a customer how they are"),
            facts.context.text("manager.name").unwrap_or("—"),
        ),
        TaskText::Forgotten { supervisor: false, customer: false } => {
            format!("{}: {}", language.pick("Сделка без движения", "Nothing happens on the deal"), facts.deal.title)
        }
        TaskText::Forgotten { supervisor: true, customer: false } => format!(
            "{} ({}): {}",
            language.pick("Сделка без движения у менеджера", "A manager's deal stands still"),
            facts.context.text("manager.name").unwrap_or("—"),
            facts.deal.title
        ),
        TaskText::Called { signal } => format!("{who}: {}", signal_words(*signal, language)),
        TaskText::Unanswered { .. } => {
            format!("{}: {who}", language.pick("Клиент ждёт ответа", "A client is waiting"))
        }
    }
}

const fn signal_words(signal: SignalKind, language: Language) -> &'static str {
    match signal {
        SignalKind::InboundCall => language.pick("входящий звонок", "inbound call"),
        SignalKind::MissedCall => language.pick("пропущенный звонок", "missed call"),
        SignalKind::Chat => language.pick("сообщение в чате", "chat message"),
        SignalKind::Form => language.pick("заявка с сайта", "form"),
        SignalKind::Reply => language.pick("ответ на сообщение", "reply"),
        SignalKind::Refusal => language.pick("отказ", "refusal"),
        SignalKind::Click => language.pick("переход по ссылке", "click"),
        SignalKind::OutboundCall => language.pick("исходящий звонок", "outbound call"),
        SignalKind::Booked => language.pick("запись", "booking"),
        SignalKind::TaskClosed => language.pick("задача закрыта", "task closed"),
    }
}

fn body(texts: &Texts, text: &TaskText, language: Language, link: Option<&str>, facts: &TaskFacts<'_>) -> String {
    let mut out = String::new();
    let ru = |russian, english| language.pick(russian, english);
    match text {
        TaskText::Revived { signal } | TaskText::Called { signal } => {
            let _ =
                writeln!(out, "{}: {}.", ru("Клиент дал о себе знать", "The client got in touch"), signal_words(*signal, language));
        }
        TaskText::Clicked { .. } => {
            let _ = writeln!(
                out,
                "{} {}.",
                ru("Клиент открыл ссылку", "The client opened the link"),
                link.unwrap_or(ru("из сообщения", "of a message"))
            );
        }
        TaskText::Replied => {
            out.push_str(ru(
                "Клиент ответил. Рассылка остановлена, пока задача не закрыта; отметьте в ней, что он имел в виду.\n",
                "The client answered. Nothing more is sent until this task is closed; say in it what the client meant.\n",
            ));
        }
        TaskText::Unanswered { minutes } => {
            let _ = writeln!(
                out,
                "{} {minutes} {}. {}: {}.",
                ru("Клиент проявил интерес", "The client showed interest"),
                ru("мин рабочего времени назад, и никто не откликнулся", "minutes of working time ago, and nobody has reacted"),
                ru("Менеджер", "Manager"),
                facts.context.text("manager.name").unwrap_or("—")
            );
        }
        TaskText::Forgotten { customer: true, .. } => {
            let sold = facts.deal.stage_changed_at.map_or_else(|| "—".to_owned(), |at| day(at, facts.time_zone));
            let _ = writeln!(out, "{} {sold}.", ru("Сделка выиграна:", "The deal was won:"));
        }
        TaskText::Forgotten { customer: false, .. } => {
            let since = facts.deal.last_activity_at.map_or_else(|| "—".to_owned(), |at| day(at, facts.time_zone));
            let _ = writeln!(
                out,
                "{} {since}. {}",
                ru("Последняя активность:", "Last activity:"),
                ru("Запланируйте задачу или закройте сделку.", "Plan a task or close the deal.")
            );
        }
    }
    if let Some(said) = facts.said.map(str::trim).filter(|said| !said.is_empty()) {
        let mut quoted = String::new();
        Escape::Text.push(&mut quoted, said);
        let _ = writeln!(out, "{}: «{}»", ru("Его слова", "Their words"), quoted.chars().take(1000).collect::<String>());
    }
    if let Some(reason) = facts.deal.lost_reason.as_deref().filter(|r| !r.is_empty()) {
        let _ = write!(out, "{}: {reason}", ru("Почему сделка была закрыта", "Why the deal was lost"));
        if let Some(at) = facts.deal.stage_changed_at {
            let _ = write!(out, ", {}", day(at, facts.time_zone));
        }
        out.push('\n');
    }
    let sent: Vec<&LedgerEntry> = facts
        .ledger
        .iter()
        .filter(|entry| !entry.key.list.starts_with('@') && entry.status >= EffectStatus::Accepted && entry.at <= facts.now)
        .collect();
    if !sent.is_empty() {
        out.push_str(ru("Что было отправлено:\n", "What was sent:\n"));
        for entry in sent.iter().skip(sent.len().saturating_sub(TOLD)) {
            history_line(&mut out, texts, entry, language, facts.time_zone);
        }
    }
    if let Some(url) = facts.deal.url.as_deref().filter(|url| url.starts_with("http")) {
        let _ = writeln!(out, "{}: {url}", ru("Сделка", "Deal"));
    }
    out
}

fn history_line(out: &mut String, texts: &Texts, entry: &LedgerEntry, language: Language, zone: &TimeZone) {
    let item = item_of(texts, entry);
    let medium = match item.map(|item| &item.body) {
        Some(Body::Sms(_)) => "SMS ",
        Some(Body::Email(_)) => language.pick("письмо ", "email "),
        None => "",
    };
    let title = item.map_or(entry.key.item.as_str(), |item| item.title.as_str());
    let _ = write!(out, "- {} {medium}«{title}»", day(entry.at, zone));
    if let Some(at) = entry.clicked_at {
        let _ = write!(out, " — {} {}", language.pick("переход по ссылке", "clicked"), day(at, zone));
    } else if entry.opened {
        out.push_str(language.pick(" — открыто", " — opened"));
    } else if entry.status == EffectStatus::Delivered {
        out.push_str(language.pick(" — доставлено", " — delivered"));
    }
    out.push('\n');
}

fn day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%d.%m.%Y %H:%M").to_string()
}
