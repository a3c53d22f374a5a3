use super::Site;
use crate::model::{AddressHash, ClientId, InboxEvent, Medium, Purpose, SuppressionReason, SuppressionScope};
use reqwest::Method;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn looking_at_the_page_changes_nothing() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Email, &[]);
    let path = site.unsubscribe_path(effect);
    for method in [Method::GET, Method::HEAD, Method::GET] {
        let response = site.request(method.clone(), &path).header("accept-language", "ru-RU").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers().get("set-cookie").is_none());
        assert_eq!(response.headers()["cache-control"], "no-store");
        let page = response.text().await.unwrap();
        if method == Method::GET {
            assert!(page.contains("lang=\"ru\"") && page.contains("«Новый дом»") && page.contains("Только письма"), "{page}");
            assert_eq!(page.matches("<button").count(), 1);
        }
    }
    let page = site.get(&path).header("accept-language", "en").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("lang=\"en\"") && page.contains("Emails only"));
    assert!(site.journal.take().is_empty());
}

/// A German phone in Moscow; a mail program that says nothing.
#[tokio::test]
async fn who_asks_for_neither_language_gets_the_one_of_the_installations_country() {
    let site = Site::start().await;
    let path = site.unsubscribe_path(site.message(3, Medium::Email, &[]));
    for (region, language) in [("RU", "ru"), ("kz", "ru"), ("US", "en")] {
        site.set(|settings| settings.language = crate::web::Settings::in_region(region.into()).language);
        let german = site.get(&path).header("accept-language", "de-DE");
        for request in [site.get(&path), german] {
            let page = request.send().await.unwrap().text().await.unwrap();
            assert!(page.contains(&format!("lang=\"{language}\"")), "{region}: {page}");
        }
    }
}

#[tokio::test]
async fn the_button_suppresses_person_and_brand() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Email, &[]);
    for (scope, medium, said) in
        [("all", None, "no more advertising from"), ("medium", Some(Medium::Email), "no more advertising emails")]
    {
        let response = site.post(&site.unsubscribe_path(effect)).form(&[("scope", scope)]).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.text().await.unwrap().contains(said));
        let stored = site.journal.take();
        let scopes = stored[0].suppress.iter().map(|s| (s.scope.clone(), s.medium)).collect::<Vec<_>>();
        let mailbox = (SuppressionScope::Address(AddressHash("r".into())), Some(Medium::Email));
        assert_eq!(scopes, [(SuppressionScope::Client(ClientId(9)), medium), mailbox]);
        for suppression in &stored[0].suppress {
            assert_eq!(suppression.brand.as_deref(), Some("novydom"));
            assert_eq!(suppression.purpose, Some(Purpose::Advertising));
            assert_eq!(suppression.reason, SuppressionReason::Unsubscribed);
        }
        assert!(matches!(&stored[0].event, InboxEvent::Unsubscribe { subject, .. } if subject.effect == Some(effect)));
    }
}

#[tokio::test]
async fn one_click_in_both_shapes_at_any_age() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Email, &[]);
    let path = site.unsubscribe_path(effect);
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
    for (content_type, body) in
        [("application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"), ("multipart/form-data; boundary=x", multipart)]
    {
        site.pass(1_000 * 86_400);
        for again in 0..2 {
            let response = site.post(&path).header("content-type", content_type).body(body).send().await.unwrap();
            assert_eq!(response.status(), 200, "{content_type}, time {again}");
            assert!(response.headers().get("set-cookie").is_none() && response.headers().get("location").is_none());
            assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
        }
        let stored = site.journal.take();
        assert_eq!(stored.len(), 1, "a repeat within the minute is one event");
        assert_eq!(stored[0].suppress[0].medium, None);
    }
    assert!(site.metrics().await.contains("rekindle_unsubscribes_total{how=\"one_click\"} 4"));
}

#[tokio::test]
async fn the_short_code_of_an_sms_works_too() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Sms, &["https://novydom.example/"]);
    let path = site.code_path(effect, 0, "aB3dE6gH9jK2").replace("/r/", "/u/");
    assert!(site.get(&path).send().await.unwrap().text().await.unwrap().contains("Text messages only"));
    assert_eq!(site.post(&path).send().await.unwrap().status(), 200);
    assert_eq!(site.journal.take().len(), 1);
}

#[tokio::test]
async fn what_is_not_ours_is_not_found_and_an_outage_is_never_called_done() {
    let site = Site::start().await;
    let effect = site.message(3, Medium::Email, &[]);
    let good = site.unsubscribe_path(effect);
    let click = site.click_path(effect, 0).replace("/r/", "/u/");
    for path in [click.as_str(), "/u/", "/u/x", &format!("{good}x")] {
        assert_eq!(site.get(path).send().await.unwrap().status(), 404, "{path}");
        assert_eq!(site.post(path).send().await.unwrap().status(), 404, "{path}");
    }
    assert_eq!(site.get(&good).send().await.unwrap().status(), 200);
    site.journal.down.store(true, Ordering::SeqCst);
    assert_eq!(site.get(&good).send().await.unwrap().status(), 200, "the page is remembered");
    let response = site.post(&good).form(&[("scope", "all")]).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.text().await.unwrap().contains("reload the page"));
    assert!(site.journal.take().is_empty());
}
