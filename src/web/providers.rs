//! How the channels in force read what their providers report.

use super::{HookAnswer, HookError, HookRequest, Hooks, InboundKind, ParsedInbound, ParsedReceipt, ReceiptOf, Settings};
use crate::{
    channels::{
        Fields, ReceiptFor, Unreadable,
        autoreply::is_autoreply,
        http_sms, inbound, kannel,
        stop::{self, Keyword},
    },
    compile::{ProviderKind, Wiring},
    model::Medium,
};
use arc_swap::{ArcSwap, ArcSwapOption};
use std::sync::Arc;

/// Reads reports by the wiring in force at that moment. `None`: nothing was put in force yet in this process.
pub struct ChannelHooks {
    wiring: Arc<ArcSwapOption<Wiring>>,
    settings: Arc<ArcSwap<Settings>>,
}

impl ChannelHooks {
    #[must_use]
    pub const fn new(wiring: Arc<ArcSwapOption<Wiring>>, settings: Arc<ArcSwap<Settings>>) -> Self {
        Self { wiring, settings }
    }
}

impl From<Unreadable> for HookError {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

impl Hooks for ChannelHooks {
    fn receipts(&self, request: &HookRequest) -> Result<(Vec<ParsedReceipt>, HookAnswer), HookError> {
        let wiring = self.wiring.load();
        let query = fields(&request.query);
        let (receipt, answer) = match provider(wiring.as_deref(), &self.settings.load(), request)? {
            ProviderKind::Kannel(_) => (kannel::read_receipt(&request.provider, &query)?, HookAnswer::default()),
            ProviderKind::Http(http) => {
                let rules = http.receipt.as_ref().ok_or(HookError::Unknown)?;
                let body = rules.answer.clone().unwrap_or_default();
                let receipt = http_sms::read_receipt(http, &query, &fields(&request.form), &request.body)?;
                (receipt, HookAnswer { body, ..HookAnswer::default() })
            }
            ProviderKind::Smtp(_) => return Err(HookError::Unknown),
        };
        let receipt = receipt.map(|receipt| ParsedReceipt {
            of: match receipt.of {
                ReceiptFor::Effect(effect) => ReceiptOf::Effect(effect),
                ReceiptFor::ProviderId(id) => ReceiptOf::ProviderId(id),
            },
            outcome: receipt.outcome,
        });
        // What says nothing final is answered like the rest: the provider need not repeat it.
        Ok((receipt.into_iter().collect(), answer))
    }

    /// Whoever the provider is: the key has proved that it is ours, and one that was renamed, or whose channel cannot be opened, must
    /// not cost a client's STOP.
    fn inbound(&self, request: &HookRequest) -> Result<(Vec<ParsedInbound>, HookAnswer), HookError> {
        let (wiring, settings) = (self.wiring.load(), self.settings.load());
        let channel = wiring.as_ref().and_then(|wiring| wiring.channels.get(&request.channel));
        if channel.is_some_and(|channel| channel.medium == Medium::Email) {
            return Err(HookError::Unknown);
        }
        let announced = settings.keywords.get(&request.channel).into_iter().flatten();
        let own: Vec<&str> = channel.and_then(|c| c.keyword.as_ref()).into_iter().chain(announced).map(String::as_str).collect();
        let mut given = fields(&request.form);
        given.extend(fields(&request.query));
        let read = inbound::read(&given, &request.body, &settings.region)?;
        // Short numbers and names (`BANK`) are nobody's client: taken, and nothing done.
        let messages = read.into_iter().filter_map(|message| {
            let kind = meaning(&message.text.0, &own);
            Some(ParsedInbound { from: message.from?, text: message.text, id: message.id, kind })
        });
        let messages: Vec<ParsedInbound> = messages.collect();
        // It could be the word that our texts announce, which nobody here knows yet. What is STOP everywhere need not wait.
        let open = wiring.is_some() || messages.iter().any(|message| message.kind == InboundKind::Stop);
        if open { Ok((messages, HookAnswer::default())) } else { Err(HookError::NotOpen) }
    }
}

/// What a client's words mean, however they reached us. `own`: the words that our texts announce for stopping.
pub(super) fn meaning(text: &str, own: &[&str]) -> InboundKind {
    match stop::classify(text, own) {
        Keyword::Stop => InboundKind::Stop,
        _ if text.trim().is_empty() || is_autoreply(text) => InboundKind::Ignored,
        Keyword::Start | Keyword::Help | Keyword::None => InboundKind::Reply,
    }
}

fn provider<'a>(wiring: Option<&'a Wiring>, settings: &Settings, request: &HookRequest) -> Result<&'a ProviderKind, HookError> {
    let wiring = wiring.ok_or(HookError::NotOpen)?;
    // One that nobody declares or uses any more will never be read again: its gateway need not come back.
    let gone = || if settings.channels.contains(&request.channel) { HookError::NotOpen } else { HookError::Unknown };
    let channel = wiring.channels.get(&request.channel).ok_or_else(gone)?;
    channel.providers.iter().find(|p| p.name == request.provider).map(|p| &p.kind).ok_or(HookError::Unknown)
}

/// The first of several values of one name counts.
fn fields(pairs: &[(String, String)]) -> Fields {
    pairs.iter().rev().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::ChannelHooks;
    use crate::{
        compile::{ChannelWiring, KannelWiring, OnAmbiguous, ProviderKind, ProviderWiring, Secret, Wiring},
        model::{HumanDuration, Medium, Outcome},
        web::{HookError, HookRequest, Hooks as _, InboundKind, Settings},
    };
    use arc_swap::{ArcSwap, ArcSwapOption};
    use std::sync::Arc;

    fn hooks() -> ChannelHooks {
        reading(Some(wiring()))
    }

    /// `ОТПИШИ` is announced by a revision in force, whatever the channel says today.
    fn reading(wiring: Option<Wiring>) -> ChannelHooks {
        let keywords = [("marketing/sms".to_owned(), ["ОТПИШИ".to_owned()].into())].into();
        let channels = ["marketing/sms", "marketing/broken"].map(str::to_owned).into();
        let settings = Settings { keywords, channels, ..Settings::default() };
        let wiring = wiring.map_or_else(ArcSwapOption::empty, ArcSwapOption::from_pointee);
        ChannelHooks::new(Arc::new(wiring), Arc::new(ArcSwap::from_pointee(settings)))
    }

    fn wiring() -> Wiring {
        let kannel = KannelWiring {
            url: "http://kannel:13013".into(),
            username: "tester".into(),
            password: Secret("foobar".into()),
            from: "7777".into(),
            connections: 1,
        };
        let channel = ChannelWiring {
            key: "marketing/sms".into(),
            medium: Medium::Sms,
            providers: vec![ProviderWiring { name: "main".into(), kind: ProviderKind::Kannel(kannel) }],
            per_second: 1.0,
            burst: 1,
            on_ambiguous: OnAmbiguous::Hold,
            retry_min: HumanDuration::days(1),
            retry_max: HumanDuration::days(1),
            test_recipients: Vec::new(),
            dkim: None,
            keyword: None,
        };
        let own = ChannelWiring { keyword: Some("ОТКАЗ".into()), ..channel.clone() };
        let mail = ChannelWiring { medium: Medium::Email, ..channel.clone() };
        let channels =
            [("marketing/sms".to_owned(), channel), ("marketing/own".to_owned(), own), ("marketing/mail".to_owned(), mail)];
        Wiring { channels: channels.into(), ..Wiring::default() }
    }

    fn request(channel: &str, provider: &str, query: &[(&str, &str)]) -> HookRequest {
        HookRequest {
            channel: channel.into(),
            provider: provider.into(),
            query: query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            form: Vec::new(),
            body: axum::body::Bytes::new(),
        }
    }

    #[test]
    fn kannels_receipts_are_read_or_asked_for_again_unless_their_channel_is_gone() {
        let hooks = hooks();
        for (status, want) in [("1", Some(Outcome::Delivered)), ("32", None)] {
            let request = request("marketing/sms", "main", &[("effect", "42.3"), ("status", status)]);
            let (receipts, answer) = hooks.receipts(&request).unwrap();
            assert_eq!(receipts.into_iter().map(|r| r.outcome).next(), want);
            assert_eq!(answer.body, "");
        }
        let receipt = &[("effect", "42.3"), ("status", "1")][..];
        for (channel, provider, query, want) in [
            // Somebody will put it right: the gateway shall come again.
            ("marketing/broken", "main", receipt, HookError::NotOpen),
            // Deleted or renamed: it would come again for ever.
            ("marketing/gone", "main", receipt, HookError::Unknown),
            ("marketing/sms", "second", receipt, HookError::Unknown),
            ("marketing/sms", "main", &receipt[..1], HookError::Unreadable),
            ("marketing/sms", "main", &receipt[1..], HookError::Unreadable),
        ] {
            assert_eq!(hooks.receipts(&request(channel, provider, query)).unwrap_err(), want, "{channel} {provider} {query:?}");
        }
        for channel in ["marketing/sms", "marketing/gone"] {
            let starting = reading(None).receipts(&request(channel, "main", receipt));
            assert_eq!(starting.unwrap_err(), HookError::NotOpen, "nobody knows yet: {channel}");
        }
    }

    #[test]
    fn what_clients_write() {
        for (from, text, want) in [
            ("79990001122", "СТОП", Some(InboundKind::Stop)),
            ("79990001122", "when do we start?", Some(InboundKind::Reply)),
            ("79990001122", "START", Some(InboundKind::Reply)),
            ("79990001122", "  ", Some(InboundKind::Ignored)),
            ("BANK", "hello", None),
        ] {
            let request = request("marketing/sms", "main", &[("from", from), ("text", text), ("id", "m-1")]);
            let Ok((messages, _)) = hooks().inbound(&request) else { panic!("{from}") };
            assert_eq!(messages.first().map(|m| m.kind), want, "{from}: {text}");
            assert!(messages.iter().all(|m| m.from.as_str() == "+79990001122"));
        }
    }

    #[test]
    fn who_answers_the_word_that_the_text_announced_is_unsubscribed() {
        for (channel, text, want) in [
            ("marketing/own", "Отказ.", InboundKind::Stop),
            ("marketing/own", "stop", InboundKind::Stop),
            ("marketing/own", "отказ мне пришёл от банка", InboundKind::Reply),
            ("marketing/sms", "отказ", InboundKind::Reply),
            ("marketing/sms", "отпиши!", InboundKind::Stop),
            ("marketing/own", "отпиши", InboundKind::Reply),
        ] {
            let request = request(channel, "main", &[("from", "79990001122"), ("text", text)]);
            let Ok((messages, _)) = hooks().inbound(&request) else { panic!("{text}") };
            assert_eq!(messages[0].kind, want, "{channel}: {text}");
        }
    }

    #[test]
    fn a_stop_is_heard_though_the_channel_cannot_be_opened_or_its_provider_has_another_name() {
        let stop = &[("from", "79990001122"), ("text", "STOP")][..];
        let announced = &[("from", "79990001122"), ("text", "отпиши")][..];
        let reply = &[("from", "79990001122"), ("text", "да")][..];
        for (known, channel, provider, query, want) in [
            (true, "marketing/sms", "renamed", stop, Ok(InboundKind::Stop)),
            (true, "marketing/broken", "main", stop, Ok(InboundKind::Stop)),
            (true, "marketing/broken", "main", reply, Ok(InboundKind::Reply)),
            (true, "marketing/mail", "main", stop, Err(HookError::Unknown)),
            // A pod that has just started.
            (false, "marketing/sms", "main", stop, Ok(InboundKind::Stop)),
            (false, "marketing/sms", "main", announced, Ok(InboundKind::Stop)),
            (false, "marketing/sms", "main", reply, Err(HookError::NotOpen)),
        ] {
            let read = reading(known.then(wiring)).inbound(&request(channel, provider, query));
            assert_eq!(read.map(|(messages, _)| messages[0].kind), want, "{channel}/{provider} {query:?}, known: {known}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_never_taken_in_silence() {
        for query in [&[("who", "79990001122"), ("what", "STOP")][..], &[("from", "79990001122")], &[]] {
            let read = hooks().inbound(&request("marketing/sms", "main", query));
            assert_eq!(read.err(), Some(HookError::Unreadable), "{query:?}");
        }
        let json = HookRequest {
            body: r#"{"msisdn": "79990001122", "message": "СТОП"}"#.into(),
            ..request("marketing/sms", "main", &[])
        };
        let Ok((messages, _)) = hooks().inbound(&json) else { panic!() };
        assert_eq!(messages[0].kind, InboundKind::Stop);
    }
}
