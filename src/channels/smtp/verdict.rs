//! What a refusal means for the message, its recipient and the channel: RFC 3463 statuses first, basic codes and words after.

use super::reply::Reply;
use crate::model::Outcome;

/// What the server had been told when it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// MAIL: only the sender is known.
    Sender,
    /// RCPT.
    Recipient,
    /// DATA, before any content.
    Data,
    /// After the final dot.
    Content,
}

impl Stage {
    const fn words(self) -> &'static str {
        match self {
            Self::Sender => "the sender",
            Self::Recipient => "the recipient",
            Self::Data => "DATA",
            Self::Content => "the message",
        }
    }
}

enum Meaning {
    /// The address does not exist or is closed.
    NoSuchAddress,
    /// Full or busy mailbox: may pass.
    MailboxFull,
    /// About this message or recipient, for good.
    ThisMessage(&'static str),
    /// About us: reputation, permission, sender, protocol.
    Us(&'static str),
}

/// The outcome of a 4xx or 5xx reply. The server's words may quote the recipient, so only codes and our words are passed on.
pub(super) fn refusal(reply: &Reply, stage: Stage) -> Outcome {
    let reason = |what: &str| format!("SMTP {} to {}: {what}", reply.codes(), stage.words());
    if reply.class() == 4 {
        let what = match reply.enhanced {
            Some((_, 7, _)) => "not now, by the server's policy",
            Some((_, 2, 2)) => "the mailbox is full",
            _ => "not now",
        };
        return Outcome::Retry { reason: reason(what), after: None };
    }
    match meaning(reply, stage) {
        Meaning::NoSuchAddress => Outcome::Rejected { reason: reason("no such mailbox"), suppress: true },
        Meaning::MailboxFull => Outcome::Retry { reason: reason("the mailbox is full"), after: None },
        Meaning::ThisMessage(what) => Outcome::Rejected { reason: reason(what), suppress: false },
        Meaning::Us(what) => Outcome::ChannelDown { reason: reason(what), after: None },
    }
}

const QUOTA: &str = "what the relay lets this account send is used up";

fn meaning(reply: &Reply, stage: Stage) -> Meaning {
    let at_recipient = stage == Stage::Recipient;
    match reply.enhanced {
        Some((_, 1, 1 | 2 | 3 | 10)) if at_recipient || stage == Stage::Content => Meaning::NoSuchAddress,
        // SIZE stands in MAIL.
        Some((_, 2, 3) | (_, 3, 4)) => Meaning::ThisMessage("it is too big"),
        Some((_, 1, 7..=9)) => Meaning::Us("the sender's address is refused"),
        // Nothing was said of the recipient yet: a mailbox that is closed or full, a domain without a route is the sender's.
        Some((_, 1 | 2, _) | (_, 4, 0..=4 | 6..)) if stage == Stage::Sender => Meaning::Us("the sender's address is refused"),
        Some((_, 1, _)) => Meaning::ThisMessage("the address is refused"),
        Some((_, 2, 1)) => Meaning::NoSuchAddress,
        Some((_, 2, 2)) => Meaning::MailboxFull,
        // Congestion; relays say it of what an account may send in a day.
        Some((_, 4, 5)) => Meaning::Us(QUOTA),
        Some((_, 4, _)) => Meaning::ThisMessage("no route to the recipient's domain"),
        Some((_, 5, _)) => Meaning::Us("the server does not follow the conversation"),
        Some((_, 6, _)) => Meaning::ThisMessage("its content cannot be taken"),
        Some((_, 7, _)) => Meaning::Us("refused by policy; look at authentication, DKIM, SPF and reputation"),
        Some(_) | None => by_code(reply, stage),
    }
}

fn by_code(reply: &Reply, stage: Stage) -> Meaning {
    let text = reply.lines.join(" ").to_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| text.contains(w));
    match (reply.code, stage) {
        (530 | 534 | 535 | 538, _) => Meaning::Us("authentication is required"),
        (500..=504 | 555, _) => Meaning::Us("the server does not follow the conversation"),
        (521 | 556, Stage::Recipient) => Meaning::NoSuchAddress,
        (552, Stage::Recipient) => Meaning::MailboxFull,
        (552, Stage::Data | Stage::Content) if says(&["mailbox"]) && says(&["quota", "full"]) => Meaning::MailboxFull,
        (552, _) if says(&["quota"]) => Meaning::Us(QUOTA),
        (552, _) => Meaning::ThisMessage("it is too big"),
        (_, Stage::Sender) => Meaning::Us("the sender's address is refused"),
        _ if says(&[
            "relay",
            "spam",
            "blacklist",
            "blocklist",
            "block list",
            "blocked",
            "reputation",
            "policy",
            "authenticat",
            "denied",
        ]) =>
        {
            Meaning::Us("refused by policy; look at authentication, DKIM, SPF and reputation")
        }
        _ if says(&["full", "quota"]) => Meaning::MailboxFull,
        (550 | 551 | 553, Stage::Recipient)
            if says(&[
                "unknown",
                "no such",
                "not exist",
                "doesn't exist",
                "invalid recipient",
                "invalid mailbox",
                "not found",
                "disabled",
                "inactive",
            ]) =>
        {
            Meaning::NoSuchAddress
        }
        _ => Meaning::ThisMessage("refused for good"),
    }
}

/// The name under which the server queued it, from `250 2.0.0 Ok: queued as 4C1F…`.
pub(super) fn queue_id(reply: &Reply) -> Option<String> {
    let (_, after) = reply.lines.first()?.split_once("queued as ")?;
    let id: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).take(64).collect();
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::{Stage, queue_id, refusal};
    use crate::{channels::smtp::reply::ReplyReader, model::Outcome};

    fn reply(line: &str) -> super::Reply {
        let mut reader = ReplyReader::default();
        reader.feed(format!("{line}\r\n").as_bytes());
        reader.next().unwrap().unwrap()
    }

    #[test]
    fn refusals_mean_what_the_table_says() {
        use Stage::{Content, Recipient, Sender};
        for (line, stage, want) in [
            ("550 5.1.1 no such user", Recipient, "suppress"),
            ("550 5.1.2 bad domain", Recipient, "suppress"),
            ("501 5.1.3 bad syntax", Recipient, "suppress"),
            ("556 5.1.10 null MX", Recipient, "suppress"),
            ("550 5.2.1 disabled", Recipient, "suppress"),
            ("550 <bob@x.test>: user unknown", Recipient, "suppress"),
            ("556 no mail here", Recipient, "suppress"),
            ("552 5.2.2 full", Recipient, "retry"),
            ("552 mailbox over quota", Recipient, "retry"),
            ("452 4.2.2 full", Recipient, "retry"),
            ("450 greylisted", Recipient, "retry"),
            ("451 4.7.1 later", Content, "retry"),
            ("550 5.7.1 spam", Content, "channel"),
            ("550 5.7.26 unauthenticated", Content, "channel"),
            ("554 relay access denied", Recipient, "channel"),
            ("530 authentication required", Sender, "channel"),
            ("550 5.1.8 bad sender domain", Sender, "channel"),
            ("550 5.1.1 no such sender", Sender, "channel"),
            ("550 5.2.1 mailbox disabled", Sender, "channel"),
            ("552 5.2.2 mailbox full", Sender, "channel"),
            ("550 5.4.4 no route to your domain", Sender, "channel"),
            ("550 5.4.5 Daily user sending quota exceeded", Sender, "channel"),
            ("550 5.4.5 Daily user sending quota exceeded", Content, "channel"),
            ("552 Message would take you over your relay quota", Content, "channel"),
            ("552 mailbox of bob is over quota", Content, "retry"),
            ("552 5.3.4 message size exceeds fixed maximum", Sender, "reject"),
            ("552 5.3.4 too big", Content, "reject"),
            ("552 too big", Sender, "reject"),
            ("550 5.4.4 no route", Recipient, "reject"),
            ("554 5.6.0 bad MIME", Content, "reject"),
            ("554 no", Content, "reject"),
        ] {
            let outcome = refusal(&reply(line), stage);
            let (word, reason) = match &outcome {
                Outcome::Retry { reason, .. } => ("retry", reason),
                Outcome::Rejected { suppress: true, reason } => ("suppress", reason),
                Outcome::Rejected { suppress: false, reason } => ("reject", reason),
                Outcome::ChannelDown { reason, .. } => ("channel", reason),
                _ => panic!("{line}: {outcome:?}"),
            };
            assert_eq!(word, want, "{line} at {stage:?}");
            assert!(!reason.contains("bob"), "the recipient is not quoted: {reason}");
        }
    }

    #[test]
    fn the_queue_name_is_kept() {
        assert_eq!(queue_id(&reply("250 2.0.0 Ok: queued as 4C1F2.x")), Some("4C1F2.x".into()));
        assert_eq!(queue_id(&reply("250 2.0.0 Ok")), None);
    }
}
