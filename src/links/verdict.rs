//! Person or program: what a hit on a tracked link means. Mail scanners open links before or instead of the reader, often all
//! links of a mail within seconds of each other and of delivery. A hit is judged by behaviour first, by who it says it is second.
//!
//! The web judges on arrival; what may still turn out to be one of a burst stays open until [`BURST`] is over, and the worker
//! then [`settle`]s it with every hit that all replicas stored.

use crate::model::{ClickVerdict, Medium};
use jiff::{SignedDuration, Timestamp};

/// A hit this soon after the provider took the message is a scanner at the door.
pub const EARLY: SignedDuration = SignedDuration::from_secs(10);

/// Two different links of one message within this time are a program. Also how long a verdict may stay open.
pub const BURST: SignedDuration = SignedDuration::from_secs(10);

/// The number of the link that no person can see: every email with tracked links has it, no SMS (it would be seen, and paid for).
pub const HONEYPOT: i16 = -1;

/// How long a hit on the honeypot speaks against other hits: a scanner's visit lasts seconds, a reader may come the next day.
const TAINT: SignedDuration = SignedDuration::from_secs(60);

/// When the message was accepted (or written down, if its acceptance is not known yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub accepted_at: Timestamp,
}

/// One hit, when it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub link: i16,
    pub at: Timestamp,
    pub message: Sent,
    pub medium: Option<Medium>,
    /// Hits on the same message that are known already: (link, at).
    pub others: &'a [(i16, Timestamp)],
    /// What its request says of itself, if that tells a program: `prefetch`, `scanner`, …
    pub tell_tale: Option<&'static str>,
}

/// What is known at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// `None`: open until `settle_at`.
    pub verdict: Option<ClickVerdict>,
    /// A stable word for the ledger and metrics.
    pub why: &'static str,
    pub settle_at: Option<Timestamp>,
}

/// Judges a hit on arrival.
#[must_use]
pub fn judge(hit: &Arrival<'_>) -> Judgement {
    let closed = |verdict, why| Judgement { verdict: Some(verdict), why, settle_at: None };
    if let Some(why) = hit.tell_tale {
        return closed(ClickVerdict::Machine, why);
    }
    match settle(hit.link, hit.at, hit.message, hit.others) {
        (ClickVerdict::Machine, why) => closed(ClickVerdict::Machine, why),
        (ClickVerdict::Human, why) if hit.medium != Some(Medium::Email) => closed(ClickVerdict::Human, why),
        // Of an email with one link as well: a scanner may come to the hidden one a moment later.
        (ClickVerdict::Human, _) => {
            Judgement { verdict: None, why: "open", settle_at: Some(hit.at.checked_add(BURST).unwrap_or(hit.at)) }
        }
    }
}

/// The final verdict, once [`BURST`] is over, from all hits on the message (this one may be among them), and why.
#[must_use]
pub fn settle(link: i16, at: Timestamp, message: Sent, hits: &[(i16, Timestamp)]) -> (ClickVerdict, &'static str) {
    let near = |other: Timestamp, within: SignedDuration| at.duration_since(other).abs() <= within;
    if link == HONEYPOT || hits.iter().any(|(l, t)| *l == HONEYPOT && near(*t, TAINT)) {
        return (ClickVerdict::Machine, "honeypot");
    }
    if at.duration_since(message.accepted_at) < EARLY {
        return (ClickVerdict::Machine, "early");
    }
    if hits.iter().any(|(l, t)| *l != link && near(*t, BURST)) {
        return (ClickVerdict::Machine, "burst");
    }
    (ClickVerdict::Human, "alone")
}

#[cfg(test)]
mod tests {
    use super::{Arrival, HONEYPOT, Sent, judge, settle};
    use crate::model::{
        ClickVerdict::{Human, Machine},
        Medium::{Email, Sms},
    };
    use jiff::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn what_a_hit_means_on_arrival() {
        // medium, link, second after acceptance, other hits, tell-tale → verdict, why, settled at
        for (medium, link, second, others, tell_tale, verdict, why, settle_at) in [
            (Sms, 0, 60, vec![], None, Some(Human), "alone", None),
            (Email, 0, 60, vec![], None, None, "open", Some(70)),
            (Email, 0, 9, vec![], None, Some(Machine), "early", None),
            (Email, 0, -1, vec![], None, Some(Machine), "early", None),
            (Email, 0, 10, vec![], None, None, "open", Some(20)),
            (Sms, 0, 3, vec![], None, Some(Machine), "early", None),
            (Email, 1, 62, vec![(0, 60)], None, Some(Machine), "burst", None),
            (Email, 0, 62, vec![(0, 60)], None, None, "open", Some(72)),
            (Email, 1, 75, vec![(0, 60)], None, None, "open", Some(85)),
            (Email, HONEYPOT, 60, vec![], None, Some(Machine), "honeypot", None),
            (Email, 0, 60, vec![(HONEYPOT, 30)], None, Some(Machine), "honeypot", None),
            (Email, 0, 86_400, vec![(HONEYPOT, 30)], None, None, "open", Some(86_410)),
            (Email, 0, 60, vec![], Some("prefetch"), Some(Machine), "prefetch", None),
        ] {
            let others: Vec<_> = others.into_iter().map(|(l, s)| (l, at(s))).collect();
            let got = judge(&Arrival {
                link,
                at: at(second),
                message: Sent { accepted_at: at(0) },
                medium: Some(medium),
                others: &others,
                tell_tale,
            });
            assert_eq!(
                (got.verdict, got.why, got.settle_at),
                (verdict, why, settle_at.map(at)),
                "{medium:?} {link} {second} {others:?}"
            );
        }
    }

    #[test]
    fn the_first_of_a_burst_is_found_out_later() {
        let message = Sent { accepted_at: at(0) };
        assert_eq!(settle(0, at(60), message, &[(0, at(60))]), (Human, "alone"));
        assert_eq!(settle(0, at(60), message, &[(0, at(60)), (1, at(64))]), (Machine, "burst"));
        assert_eq!(settle(0, at(60), message, &[(0, at(60)), (1, at(71))]), (Human, "alone"));
        assert_eq!(settle(0, at(60), message, &[(0, at(60)), (HONEYPOT, at(62))]), (Machine, "honeypot"));
    }
}
