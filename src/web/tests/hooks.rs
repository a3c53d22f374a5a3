use super::{Site, fake::SECRET};
use crate::{
    links::{HookPath, hook_key, hook_url},
    model::{
        Address, CopyId, EffectRef, InboxEvent, Medium, Outcome, Phone, SignalKind, SuppressionReason, SuppressionScope, Text,
    },
    store::Journal as _,
    web::{HookAnswer, HookError, HookRequest, Hooks, InboundKind, Limits, ParsedInbound, ParsedReceipt, ReceiptOf},
};
use std::sync::{Arc, atomic::Ordering};

/// A provider that reports `id` and `status`, and sends `from` and `text`.
struct Provider;

fn value(request: &HookRequest, name: &str) -> Option<String> {
    request.query.iter().chain(&request.form).find(|(n, _)| n == name).map(|(_, v)| v.clone())
}

impl Hooks for Provider {
    fn receipts(&self, request: &HookRequest) -> Result<(Vec<ParsedReceipt>, HookAnswer), HookError> {
        assert_eq!(value(request, "k"), None, "the key stays with the web");
        if request.provider != "main" {
            return Err(HookError::Unknown);
        }
        let of = match value(request, "effect").and_then(|seq| seq.parse().ok()) {
            Some(seq) => ReceiptOf::Effect(EffectRef { copy: CopyId(42), seq }),
            None => ReceiptOf::ProviderId(value(request, "id").ok_or(HookError::Unreadable)?),
        };
        let receipts = match value(request, "status").as_deref() {
            Some("1") => vec![ParsedReceipt { of, outcome: Outcome::Delivered }],
            Some("8") => Vec::new(),
            _ => return Err(HookError::Unreadable),
        };
        Ok((receipts, HookAnswer { body: "100".into(), ..HookAnswer::default() }))
    }

    fn inbound(&self, request: &HookRequest) -> Result<(Vec<ParsedInbound>, HookAnswer), HookError> {
        let text = value(request, "text").unwrap_or_default();
        let kind = match text.as_str() {
            "STOP" => InboundKind::Stop,
            "autoreply" => InboundKind::Ignored,
            _ => InboundKind::Reply,
        };
        let from = Phone::parse(&value(request, "from").ok_or(HookError::Unreadable)?, "RU").map_err(|_| HookError::Unreadable)?;
        Ok((vec![ParsedInbound { from, text: Text(text), id: value(request, "id"), kind }], HookAnswer::default()))
    }
}

async fn site() -> (Site, EffectRef) {
    let site = Site::with(Arc::new(Provider), Limits::default()).await;
    let effect = site.message(3, Medium::Sms, &[]);
    site.journal.provider_ids.lock().unwrap().insert("p-1".into(), effect);
    (site, effect)
}

fn path(provider: &str, kind: HookPath) -> String {
    hook_url("", &SECRET, "marketing/sms", provider, kind)
}

#[tokio::test]
async fn receipts_by_get_and_post_are_one_fact() {
    let (site, effect) = site().await;
    let url = path("main", HookPath::Receipt);
    let response = site.get(&format!("{url}&id=p-1&status=1")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, "100"));
    site.post(&url).form(&[("id", "p-1"), ("status", "1")]).send().await.unwrap();
    let by_path = format!("/hooks/marketing/sms/main/receipt/{}?id=p-1&status=1", hook_key(&SECRET, "marketing/sms"));
    assert_eq!(site.get(&by_path).send().await.unwrap().status(), 200);
    assert_eq!(site.get(&format!("{url}&id=p-1&status=8")).send().await.unwrap().status(), 200, "says nothing final");
    let stored = site.journal.take();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].event, InboxEvent::Receipt { effect, outcome: Outcome::Delivered, at: site.now() });
}

#[tokio::test]
async fn a_receipt_that_overtakes_its_mark_is_kept() {
    let (site, _) = site().await;
    let url = format!("{}&id=p-2&status=1", path("main", HookPath::Receipt));
    assert_eq!(site.get(&url).send().await.unwrap().status(), 200);
    assert_eq!(*site.journal.early.lock().unwrap(), [("p-2".to_owned(), Outcome::Delivered)]);
    assert!(site.journal.take().is_empty());
    assert!(site.metrics().await.contains("rekindle_receipts_total{result=\"early\"} 1"));
}

#[tokio::test]
async fn a_channels_key_speaks_for_no_message_of_another() {
    let (site, effect) = site().await;
    for (channel, stored, counted) in [("marketing/other", 0, "foreign"), ("marketing/sms", 1, "stored")] {
        let url = hook_url("", &SECRET, channel, "main", HookPath::Receipt);
        assert_eq!(site.get(&format!("{url}&effect={}&status=1", effect.seq)).send().await.unwrap().status(), 200);
        assert_eq!(site.journal.take().len(), stored, "{channel}");
        assert!(site.metrics().await.contains(&format!("rekindle_receipts_total{{result=\"{counted}\"}} 1")), "{channel}");
    }
    // The store knows a provider's ids by the channel: others may have a provider of that name.
    assert_eq!(site.get(&format!("{}&id=p-9&status=1", path("main", HookPath::Receipt))).send().await.unwrap().status(), 200);
    assert_eq!(site.journal.asked.lock().unwrap().last().map(String::as_str), Some("marketing/sms/main"));
}

#[tokio::test]
async fn only_the_channels_key_opens_its_hooks() {
    let (site, _) = site().await;
    let good = path("main", HookPath::Receipt);
    for (path, status) in [
        ("/hooks/marketing/sms/main/receipt?id=p-1&status=1".to_owned(), 404),
        (format!("{good}x&id=p-1&status=1"), 404),
        (format!("{}&id=p-1&status=1", good.replace("/sms/", "/other/")), 404),
        (format!("{}&id=p-1&status=1", good.replace("/receipt", "/else")), 404),
        (format!("{}&id=p-1&status=1", path("second", HookPath::Receipt)), 404),
        (format!("{good}&id=p-1&status=nonsense"), 400),
        (format!("{good}&status=1"), 400),
    ] {
        assert_eq!(site.get(&path).send().await.unwrap().status(), status, "{path}");
    }
    assert!(site.journal.take().is_empty());
}

#[tokio::test]
async fn stop_suppresses_the_number_at_once() {
    let (site, _) = site().await;
    let url = path("main", HookPath::Inbound);
    let response = site.get(&format!("{url}&from=%2B79990001122&text=STOP&id=m-1")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, ""));
    site.get(&format!("{url}&from=%2B79990001122&text=STOP&id=m-1")).send().await.unwrap();
    let stored = site.journal.take();
    assert_eq!(stored.len(), 1, "the gateway's repeat is the same message");
    let suppression = &stored[0].suppress[0];
    let phone = Phone::parse("+79990001122", "RU").unwrap();
    assert_eq!(suppression.scope, SuppressionScope::Address(site.journal.address_hash(&Address::Phone(phone.clone()))));
    assert_eq!((suppression.brand.clone(), suppression.purpose, suppression.reason), (None, None, SuppressionReason::Stop));
    assert!(matches!(&stored[0].event, InboxEvent::Unsubscribe { subject, .. } if subject.phone == Some(phone)));
}

#[tokio::test]
async fn a_stop_is_heard_though_the_gateway_gives_it_the_id_of_our_message_or_of_the_conversation() {
    let (site, _) = site().await;
    let url = path("main", HookPath::Inbound);
    let sent = [
        ("89990001122", "how much?", false),
        ("89990001122", "STOP", true),
        ("89990001133", "STOP", true),
        ("89990001122", "STOP", false),
    ];
    let mut stops = 0;
    for (from, text, stop) in sent {
        assert_eq!(site.post(&url).form(&[("from", from), ("text", text), ("id", "m-1")]).send().await.unwrap().status(), 200);
        let stored = site.journal.take();
        assert_eq!(stored.iter().filter(|s| !s.suppress.is_empty()).count(), usize::from(stop), "{from}: {text}");
        stops += usize::from(stop);
    }
    let metrics = site.metrics().await;
    for line in [
        format!("rekindle_unsubscribes_total{{how=\"stop\"}} {stops}"),
        format!("rekindle_inbound_messages_total{{result=\"stop\"}} {stops}"),
        "rekindle_inbound_messages_total{result=\"duplicate\"} 1".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn receipts_push_no_link_out_of_memory_that_clicks_need() {
    let (site, effect) = site().await;
    let clicked = site.message(5, Medium::Sms, &["https://novydom.example/"]);
    assert_eq!(site.get(&site.click_path(clicked, 0)).send().await.unwrap().status(), 302);
    let url = path("main", HookPath::Receipt);
    let lookups = || site.journal.lookups.load(Ordering::SeqCst);
    let before = lookups();
    for (of, asked, why) in [
        (clicked, 0, "it is remembered for its clicks"),
        (effect, 1, "nobody clicked on it"),
        (effect, 2, "a receipt is no reason to remember it"),
    ] {
        assert_eq!(site.get(&format!("{url}&effect={}&status=1", of.seq)).send().await.unwrap().status(), 200);
        assert_eq!(lookups() - before, asked, "{why}");
    }
}

#[tokio::test]
async fn other_words_are_a_reply_and_autoreplies_nothing() {
    let (site, _) = site().await;
    let url = path("main", HookPath::Inbound);
    for (from, text) in [("8 999 000-11-22", "когда можно приехать?"), ("89990001122", "autoreply"), ("BANK", "")]
    {
        let response = site.post(&url).form(&[("from", from), ("text", text)]).send().await.unwrap();
        assert_eq!(response.status(), if from == "BANK" { 400 } else { 200 }, "{text}");
    }
    let stored = site.journal.take();
    assert_eq!(stored.len(), 1);
    let InboxEvent::Signal { kind, text, subject, .. } = &stored[0].event else { panic!() };
    assert_eq!((*kind, text.as_ref().unwrap().0.as_str()), (SignalKind::Reply, "когда можно приехать?"));
    assert_eq!(subject.phone.as_ref().unwrap().as_str(), "+79990001122");
    assert!(stored[0].suppress.is_empty());
    site.journal.down.store(true, Ordering::SeqCst);
    let response = site.post(&url).form(&[("from", "89990001122"), ("text", "STOP")]).send().await.unwrap();
    assert_eq!(response.status(), 503, "the gateway shall send it again");
}
