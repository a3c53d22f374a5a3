//! How the channels in force read what their providers report.

use super::{HookAnswer, HookError, HookRequest, Hooks, InboundKind, ParsedInbound, ParsedReceipt, ReceiptOf, Settings};
use crate::{
    channels::{
        Fields, ReceiptFor,
        autoreply::is_autoreply,
        http_sms, kannel,
        stop::{self, Keyword},
    },
    compile::{ChannelWiring, ProviderKind, Wiring},
};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// Reads reports by the wiring in force at that moment.
pub struct ChannelHooks {
    wiring: Arc<ArcSwap<Wiring>>,
    settings: Arc<ArcSwap<Settings>>,
}

impl ChannelHooks {
    #[must_use]
    pub const fn new(wiring: Arc<ArcSwap<Wiring>>, settings: Arc<ArcSwap<Settings>>) -> Self {
        Self { wiring, settings }
    }
}

impl Hooks for ChannelHooks {
    fn receipts(&self, request: &HookRequest) -> Result<(Vec<ParsedReceipt>, HookAnswer), HookError> {
        let wiring = self.wiring.load();
        let query = fields(&request.query);
        let (receipt, answer) = match provider(&wiring, request)? {
            ProviderKind::Kannel(_) => (kannel::read_receipt(&request.provider, &query), HookAnswer::default()),
            ProviderKind::Http(http) => {
                let rules = http.receipt.as_ref().ok_or(HookError::Unknown)?;
                let body = rules.answer.clone().unwrap_or_default();
                let receipt = http_sms::read_receipt(http, &query, &fields(&request.form), &request.body);
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

    /// `from`, `text` and `id`, as Kannel's `get-url` sends them, whoever the provider is.
    fn inbound(&self, request: &HookRequest) -> Result<(Vec<ParsedInbound>, HookAnswer), HookError> {
        let wiring = self.wiring.load();
        if matches!(provider(&wiring, request)?, ProviderKind::Smtp(_)) {
            return Err(HookError::Unknown);
        }
        let own = channel(&wiring, request)?.keyword.as_deref();
        let mut given = fields(&request.form);
        given.extend(fields(&request.query));
        // Short numbers and names (`BANK`) are nobody's client: taken, and nothing done.
        let message = kannel::read_inbound(&given, &self.settings.load().region).map(|message| ParsedInbound {
            kind: match stop::classify(&message.text.0, own) {
                Keyword::Stop => InboundKind::Stop,
                _ if message.text.0.trim().is_empty() || is_autoreply(&message.text.0) => InboundKind::Ignored,
                Keyword::Start | Keyword::Help | Keyword::None => InboundKind::Reply,
            },
            from: message.from,
            text: message.text,
            id: message.id,
        });
        Ok((message.into_iter().collect(), HookAnswer::default()))
    }
}

fn channel<'a>(wiring: &'a Wiring, request: &HookRequest) -> Result<&'a ChannelWiring, HookError> {
    wiring.channels.get(&request.channel).ok_or(HookError::Unknown)
}

fn provider<'a>(wiring: &'a Wiring, request: &HookRequest) -> Result<&'a ProviderKind, HookError> {
    channel(wiring, request)?.providers.iter().find(|p| p.name == request.provider).map(|p| &p.kind).ok_or(HookError::Unknown)
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
    use arc_swap::ArcSwap;
    use std::sync::Arc;

    fn hooks() -> ChannelHooks {
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
        let channels = [("marketing/sms".to_owned(), channel), ("marketing/own".to_owned(), own)];
        let wiring = Wiring { channels: channels.into(), ..Wiring::default() };
        ChannelHooks::new(Arc::new(ArcSwap::from_pointee(wiring)), Arc::new(ArcSwap::from_pointee(Settings::default())))
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
    fn kannels_receipts() {
        let hooks = hooks();
        for (status, want) in [("1", Some(Outcome::Delivered)), ("32", None)] {
            let request = request("marketing/sms", "main", &[("effect", "42.3"), ("status", status)]);
            let (receipts, answer) = hooks.receipts(&request).unwrap();
            assert_eq!(receipts.into_iter().map(|r| r.outcome).next(), want);
            assert_eq!(answer.body, "");
        }
        for (channel, provider) in [("marketing/other", "main"), ("marketing/sms", "second")] {
            assert_eq!(hooks.receipts(&request(channel, provider, &[])).unwrap_err(), HookError::Unknown);
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
        ] {
            let request = request(channel, "main", &[("from", "79990001122"), ("text", text)]);
            let Ok((messages, _)) = hooks().inbound(&request) else { panic!("{text}") };
            assert_eq!(messages[0].kind, want, "{channel}: {text}");
        }
    }
}
