use super::{Site, fake::Fake};
use crate::{
    links::Judgement,
    model::{ClickVerdict, CopyId, EffectRef, InboxEvent, Medium},
    web::{
        Metrics,
        clicks::{ClickLog, Hit, Recorded},
    },
};
use reqwest::Method;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

const PLANS: &str = "https://novydom.example/plans?rooms=2";
const VISIT: &str = "https://novydom.example/visit";

#[tokio::test]
async fn a_click_leads_to_its_target_and_is_stored_first() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Sms, &[PLANS]);
    for path in [site.code_path(effect, 0, "aB3dE6gH9jK2"), site.click_path(effect, 0)] {
        let response = site.get(&path).send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(response.status(), 302);
        assert_eq!(header("location").as_deref(), Some(PLANS));
        assert_eq!(header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(header("referrer-policy").as_deref(), Some("no-referrer"));
        assert_eq!(header("set-cookie"), None);
        let stored = site.journal.take();
        assert_eq!(stored.len(), 1, "stored before the answer");
        let click = stored[0].click.clone().unwrap();
        assert_eq!((click.effect, click.link, click.verdict), (effect, 0, Some(ClickVerdict::Human)));
        assert_eq!(stored[0].event, InboxEvent::Click { effect, link: 0, at: site.now(), verdict: Some(ClickVerdict::Human) });
        assert!(stored[0].suppress.is_empty());
    }
}

#[tokio::test]
async fn head_is_answered_and_not_recorded() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Email, &[PLANS, VISIT]);
    let response = site.request(Method::HEAD, &site.click_path(effect, 1)).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (302, VISIT));
    assert!(site.journal.take().is_empty());
    // Nor does it count against the reader who comes seconds later.
    site.get(&site.click_path(effect, 0)).send().await.unwrap();
    assert_eq!(site.journal.take()[0].click.as_ref().unwrap().verdict, None);
}

#[tokio::test]
async fn a_mail_with_several_links_waits_for_its_verdict() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Email, &[PLANS, VISIT]);
    site.get(&site.click_path(effect, 0)).send().await.unwrap();
    let first = site.journal.take().remove(0);
    assert_eq!(first.click.unwrap().verdict, None);
    assert_eq!(first.not_before, Some(site.now() + jiff::SignedDuration::from_secs(10)));
    // The second link within seconds: a program.
    site.pass(3);
    site.get(&site.click_path(effect, 1)).send().await.unwrap();
    let second = site.journal.take().remove(0).click.unwrap();
    assert_eq!((second.verdict, second.why.as_str()), (Some(ClickVerdict::Machine), "burst"));
    // Long after it, a person.
    site.pass(60);
    site.get(&site.click_path(effect, 1)).send().await.unwrap();
    assert_eq!(site.journal.take().remove(0).click.unwrap().verdict, None);
}

/// A scanner that opens the one link of a mail first and the hidden one a moment later.
#[tokio::test]
async fn a_mail_with_one_link_waits_for_its_verdict_too() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Email, &[PLANS]);
    site.get(&site.click_path(effect, 0)).send().await.unwrap();
    let first = site.journal.take().remove(0).click.unwrap();
    assert_eq!((first.verdict, first.why.as_str()), (None, "open"));
}

#[tokio::test]
async fn programs_are_led_on_and_known() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Sms, &[PLANS]);
    let path = site.click_path(effect, 0);
    for (header, value, why) in [
        ("sec-purpose", "prefetch;prerender", "prefetch"),
        ("user-agent", "Barracuda Sentinel", "scanner"),
        ("user-agent", "", "no_agent"),
    ] {
        let request = site.client.get(format!("http://{}{path}", site.address)).header(header, value);
        let request = if header == "user-agent" { request } else { request.header("user-agent", super::PHONE) };
        assert_eq!(request.send().await.unwrap().status(), 302);
        let click = site.journal.take().remove(0).click.unwrap();
        assert_eq!((click.verdict, click.why.as_str()), (Some(ClickVerdict::Machine), why), "{header}: {value}");
    }
    // Within ten seconds of acceptance.
    let fresh = site.message(4, Medium::Sms, &[PLANS]);
    site.journal.effects.lock().unwrap().get_mut(&fresh).unwrap().at = site.now();
    site.pass(4);
    site.get(&site.click_path(fresh, 0)).send().await.unwrap();
    assert_eq!(site.journal.take().remove(0).click.unwrap().why, "early");
    // The link that nobody sees.
    let hidden = site.message(5, Medium::Email, &[PLANS]);
    let response = site.get(&site.click_path(hidden, -1)).send().await.unwrap();
    assert_eq!(response.headers()["location"].to_str().unwrap(), PLANS);
    assert_eq!(site.journal.take().remove(0).click.unwrap().why, "honeypot");
    assert!(site.metrics().await.contains("rekindle_clicks_total{verdict=\"machine\",why=\"honeypot\"} 1"));
}

#[tokio::test]
async fn everything_wrong_gets_the_same_page_and_leads_nowhere() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Email, &[PLANS]);
    let unprintable = site.message(4, Medium::Email, &["https://a.example/\r\nset-cookie: a=b"]);
    let good = site.click_path(effect, 0);
    let mut tampered = good.clone();
    let last = if tampered.pop() == Some('A') { 'B' } else { 'A' };
    tampered.push(last);
    let unknown = site.click_path(EffectRef { seq: 99, ..effect }, 0);
    let no_such_link = site.click_path(effect, 1);
    let negative = site.click_path(effect, -2);
    let injected = site.click_path(unprintable, 0);
    let foreign = site.unsubscribe_path(effect).replace("/u/", "/r/");
    let expired = good.clone();
    let reference = site.get("/r/zzzzzzzzzzzz").send().await.unwrap();
    let want = (reference.status(), reference.text().await.unwrap());
    assert_eq!(want.0, 404);
    for path in [
        tampered,
        unknown,
        no_such_link,
        negative,
        injected,
        foreign,
        "/r/https:%2F%2Fevil.example".into(),
        "/r/%2F%2Fevil.example".into(),
        "/r/%FF".into(),
        "/r/%00".into(),
        "/r/x?url=https://evil.example".into(),
        format!("{good}A"),
        format!("/r/{}", "A".repeat(48)),
    ] {
        let response = site.get(&path).send().await.unwrap();
        assert!(response.headers().get("location").is_none(), "{path}");
        assert_eq!((response.status(), response.text().await.unwrap()), want, "{path}");
    }
    site.pass(401 * 86_400);
    let response = site.get(&expired).send().await.unwrap();
    assert_eq!((response.status(), response.text().await.unwrap()), want, "expired");
    assert!(site.journal.take().is_empty());
}

#[tokio::test]
async fn guessing_codes_stops_costing_look_ups() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Sms, &[PLANS]);
    let known = site.code_path(effect, 0, "aB3dE6gH9jK2");
    assert_eq!(site.get(&known).send().await.unwrap().status(), 302);
    let mut answers = Vec::new();
    for number in 0..300 {
        answers.push(site.get(&format!("/r/{number:012}")).send().await.unwrap().status().as_u16());
    }
    let lookups = site.journal.lookups.load(Ordering::SeqCst);
    assert!(lookups < 210, "{lookups}");
    assert_eq!((answers[0], answers[199], answers[299]), (404, 404, 429));
    assert_eq!(site.get(&known).send().await.unwrap().status(), 302, "links that are known still work");
}

/// Behind a proxy that nobody told us of, everybody has the guesser's address.
#[tokio::test]
async fn one_who_guesses_keeps_nobody_from_opting_out_and_makes_no_link_unknown() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Sms, &[PLANS]);
    let link = site.code_path(effect, 0, "aB3dE6gH9jK2");
    for number in 0..300 {
        let guess = site.get(&format!("/r/{number:012}")).header("x-forwarded-for", "203.0.113.7");
        assert_ne!(guess.send().await.unwrap().status(), 302);
    }
    let response = site.get(&link).send().await.unwrap();
    assert_eq!(response.status(), 429, "later, not unknown");
    assert!(response.headers().contains_key("retry-after"));
    assert!(response.text().await.unwrap().contains("reload the page"));
    let page = link.replace("/r/", "/u/");
    assert_eq!(site.get(&page).send().await.unwrap().status(), 200);
    assert_eq!(site.post(&page).send().await.unwrap().status(), 200);
    assert_eq!(site.journal.take().len(), 1, "opted out");
    // With the header's name only the guesser waits.
    let site = Site::start().await;
    let link = site.code_path(site.message(3, Medium::Sms, &[PLANS]), 0, "aB3dE6gH9jK2");
    site.set(|settings| settings.client_ip_header = Some("x-forwarded-for".parse().unwrap()));
    for number in 0..300 {
        site.get(&format!("/r/{number:012}")).header("x-forwarded-for", "203.0.113.7").send().await.unwrap();
    }
    let asks = |client: &'static str| site.get(&link).header("x-forwarded-for", client).send();
    assert_eq!(asks("203.0.113.7").await.unwrap().status(), 429);
    assert_eq!(asks("203.0.113.8").await.unwrap().status(), 302);
}

#[tokio::test]
async fn while_the_store_is_away_known_links_work_and_their_clicks_wait() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Sms, &[PLANS]);
    let other = site.message(4, Medium::Sms, &[PLANS]);
    let path = site.click_path(effect, 0);
    site.get(&path).send().await.unwrap();
    site.journal.take();

    site.journal.down.store(true, Ordering::SeqCst);
    let response = site.get(&path).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (302, PLANS));
    let unknown = site.get(&site.click_path(other, 0)).send().await.unwrap();
    assert_eq!(unknown.status(), 503);
    assert!(unknown.headers().contains_key("retry-after"));
    let metrics = site.metrics().await;
    assert!(metrics.contains("rekindle_clicks_late_total 1") && metrics.contains("rekindle_clicks_waiting 1"), "{metrics}");
    assert!(site.journal.take().is_empty());

    site.journal.down.store(false, Ordering::SeqCst);
    assert!(site.state.flush(Duration::from_secs(10)).await);
    let stored = site.journal.take();
    assert_eq!(stored.len(), 1, "kept, and stored once");
    assert!(site.metrics().await.contains("rekindle_clicks_waiting 0"));
}

#[tokio::test]
async fn one_click_that_the_store_refuses_takes_no_other_with_it() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Sms, &[PLANS, VISIT]);
    *site.journal.poison.lock().unwrap() = Some(1);
    let paths: Vec<String> = (0..20).map(|n| site.click_path(effect, i16::from(n == 7))).collect();
    let answers: Vec<_> = paths.iter().map(|path| tokio::spawn(site.get(path).send())).collect();
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().status(), 302);
    }
    assert!(site.state.flush(Duration::from_secs(10)).await);
    assert_eq!(site.journal.take().len(), 19);
    assert!(site.metrics().await.contains("rekindle_clicks_dropped_total{reason=\"refused\"} 1"));
}

#[tokio::test]
async fn many_clicks_share_transactions() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Sms, &[PLANS]);
    let path = site.click_path(effect, 0);
    let answers: Vec<_> = (0..400).map(|_| tokio::spawn(site.get(&path).send())).collect();
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().status(), 302);
    }
    assert_eq!(site.journal.take().len(), 400);
    assert!(site.journal.batches.load(Ordering::SeqCst) < 300);
    let lookups = site.journal.lookups.load(Ordering::SeqCst);
    assert!(lookups <= 2, "the first click asks, and those that come meanwhile ask together: {lookups}");
}

#[tokio::test]
async fn memory_is_bounded_while_the_store_is_away() {
    let journal = Arc::new(Fake::default());
    journal.down.store(true, Ordering::SeqCst);
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let log = ClickLog::start(journal.clone(), metrics.clone(), Arc::new(|| {}), 8);
    let at = "2026-11-22T10:00:00Z".parse().unwrap();
    let judgement = Judgement { verdict: Some(ClickVerdict::Human), why: "alone", settle_at: None };
    let mut recorded = Vec::new();
    for seq in 0..40 {
        let hit = Hit { effect: EffectRef { copy: CopyId(1), seq }, link: 0, at, judgement };
        recorded.push(log.record(hit, Duration::from_millis(1)).await);
    }
    let count = |what| recorded.iter().filter(|r| **r == what).count();
    let (late, dropped) = (count(Recorded::Late), count(Recorded::Dropped));
    assert!(late >= 8 && dropped > 0 && late + dropped == 40, "{late} {dropped}");
    journal.down.store(false, Ordering::SeqCst);
    assert!(log.flush(Duration::from_secs(10)).await);
    assert_eq!(journal.take().len(), late, "what waited is stored, what was dropped is not");
}
