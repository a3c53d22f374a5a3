//! A deal's story in words. Carries no addresses.

use crate::engine::History;
use crate::model::EffectStatus;
use jiff::Timestamp;

/// One row of the ledger, as the story tells it.
pub(super) struct Sent {
    pub kind: String,
    pub status: EffectStatus,
    pub list: String,
    pub item: String,
    pub medium: Option<String>,
    pub target: String,
    pub variant: Option<String>,
    pub reason: Option<String>,
    /// How often it was sent again although nobody could say whether it had been accepted.
    pub resends: i32,
}

/// Beside an opt-out that ends nothing of the deal's own.
pub(super) const FORMER_OPT_OUT: &str = "somebody whom this deal wrote to before it got another client opted out";

/// One hit on a link.
pub(super) struct Hit {
    pub link: i16,
    pub at: Timestamp,
    pub verdict: Option<String>,
    pub why: String,
}

pub(super) fn history_text(line: &History) -> String {
    match line {
        History::Stage { from, to, stage, why } => {
            let name = if stage.is_empty() { String::new() } else { format!(" ({stage})") };
            format!("{} → {}{name}: {why}", from.as_str(), to.as_str())
        }
        History::List { list, why } => format!("warmed by {list}: {why}"),
        History::Postponed { item, until, why } => format!("{item} waits until {until}: {}", why.as_str()),
        History::Signal { kind } => kind.as_str().to_owned(),
        History::Reaction { seconds } => reaction_text(*seconds),
        History::Unanswered { minutes, supervisor } => {
            let who = if *supervisor { "the supervisor" } else { "the manager" };
            format!("nobody reacted for {minutes} min of working time: {who} was told")
        }
        History::Note { text } => text.clone(),
    }
}

/// 5 minutes, half an hour and a day are what a reaction to interest is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    In5m,
    In30m,
    In24h,
    Later,
}

impl Pace {
    /// After so many seconds of working time.
    pub(crate) const fn of(seconds: i64) -> Self {
        match seconds {
            ..=300 => Self::In5m,
            301..=1800 => Self::In30m,
            1801..=86_400 => Self::In24h,
            _ => Self::Later,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::In5m => "5m",
            Self::In30m => "30m",
            Self::In24h => "24h",
            Self::Later => "later",
        }
    }
}

fn reaction_text(seconds: i64) -> String {
    let within = match Pace::of(seconds) {
        Pace::In5m => "within 5 minutes",
        Pace::In30m => "within 30 minutes",
        Pace::In24h => "within 24 hours",
        Pace::Later => "later than 24 hours",
    };
    format!("somebody reacted after {} min of working time ({within})", seconds / 60)
}

/// The kind of the line, and its text.
pub(super) fn sent_text(sent: &Sent) -> (&'static str, String) {
    let because = sent.reason.as_ref().map_or_else(String::new, |r| format!(" ({r})"));
    let status = sent.status.as_str();
    match sent.kind.as_str() {
        "skip" => ("skip", format!("{}/{} not sent{because}", sent.list, sent.item)),
        "message" => {
            let medium = sent.medium.as_deref().unwrap_or("message");
            let variant = sent.variant.as_ref().map_or_else(String::new, |v| format!(", variant {v}"));
            let again = match sent.resends {
                0 => String::new(),
                n => format!(", handed over {} times: the answers before were unclear", n + 1),
            };
            let text =
                format!("{}/{} by {medium} through {}{variant}: {status}{because}{again}", sent.list, sent.item, sent.target);
            ("message", text)
        }
        kind => ("writeback", format!("{kind}: {status}{because}")),
    }
}

pub(super) fn hit_text(hit: &Hit) -> String {
    let who = hit.verdict.as_deref().unwrap_or("not judged yet");
    if hit.why.is_empty() { format!("link {}: {who}", hit.link) } else { format!("link {}: {who} ({})", hit.link, hit.why) }
}
