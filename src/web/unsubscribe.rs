//! `/u/{token or code}`: GET shows a page with one button and changes nothing, whoever fetches it; POST acts. A mail program
//! posts `List-Unsubscribe=One-Click` (RFC 8058) and gets a plain 200: no page, no redirect, no cookie.

use super::{
    WebState,
    effects::Known,
    form,
    guard::{Peer, client_ip},
    lookups::LookupError,
    metrics::HowLabels,
    pages::{Language, Page},
    redirect, reply,
};
use crate::{
    links::is_code,
    model::{InboxEvent, Medium, Purpose, SignalSubject, Suppression, SuppressionReason, SuppressionScope},
    store::Incoming,
};
use axum::{
    body::Bytes,
    extract::{
        Extension, Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use jiff::Timestamp;
use std::sync::Arc;

/// GET: the page with the button.
pub(super) async fn ask(
    State(web): State<Arc<WebState>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let settings = web.settings();
    let language = Language::of(&headers, &settings.language);
    let Ok(Path(id)) = id else { return reply::page(StatusCode::NOT_FOUND, language, &Page::NotFound) };
    match message(&web, &id, &headers, peer.map(|p| p.0)).await {
        Ok(Some(known)) => {
            let brand = Some(brand_title(&web, &known));
            reply::page(StatusCode::OK, language, &Page::Unsubscribe { brand: brand.as_deref(), medium: known.medium })
        }
        Ok(None) => reply::page(StatusCode::NOT_FOUND, language, &Page::NotFound),
        Err(error) => {
            web.metrics.store_error(error.label());
            reply::page(StatusCode::SERVICE_UNAVAILABLE, language, &Page::TryAgain)
        }
    }
}

/// POST: the button, or a mail program's one-click.
pub(super) async fn act(
    State(web): State<Arc<WebState>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let settings = web.settings();
    let language = Language::of(&headers, &settings.language);
    let Ok(Path(id)) = id else { return reply::page(StatusCode::NOT_FOUND, language, &Page::NotFound) };
    let Ok(body) = body else { return reply::page(StatusCode::PAYLOAD_TOO_LARGE, language, &Page::Refused) };
    let choice = Choice::read(&headers, &body);
    let answer = |status, page: &Page<'_>| match (choice.one_click, status) {
        (false, _) => reply::page(status, language, page),
        (true, StatusCode::OK) => reply::plain(status, "unsubscribed\n"),
        (true, StatusCode::NOT_FOUND) => reply::plain(status, "no such link\n"),
        (true, _) => reply::plain(status, "try again later\n"),
    };
    let known = match message(&web, &id, &headers, peer.map(|p| p.0)).await {
        Ok(Some(known)) => known,
        Ok(None) => return answer(StatusCode::NOT_FOUND, &Page::NotFound),
        Err(error) => {
            web.metrics.store_error(error.label());
            return answer(StatusCode::SERVICE_UNAVAILABLE, &Page::TryAgain);
        }
    };
    let only = if choice.narrow { known.medium } else { None };
    if let Err(error) = web.store(vec![incoming(&known, only, web.now())]).await {
        web.metrics.store_error(error.label());
        tracing::error!(reason = error.label(), effect = %known.effect, "an unsubscription could not be stored");
        return answer(StatusCode::SERVICE_UNAVAILABLE, &Page::TryAgain);
    }
    let how = if choice.one_click { "one_click" } else { "button" };
    web.metrics.unsubscribes.get_or_create(&HowLabels { how }).inc();
    answer(StatusCode::OK, &Page::Unsubscribed { brand: &brand_title(&web, &known), only })
}

/// What the client chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Choice {
    one_click: bool,
    /// Only the medium of this message.
    narrow: bool,
}

impl Choice {
    /// Reads both shapes that RFC 8058 allows. Whatever the body is, a POST to this address means to unsubscribe.
    fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let multipart = headers
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|t| t.to_ascii_lowercase().starts_with("multipart/form-data"));
        if multipart {
            let text = String::from_utf8_lossy(body);
            return Self { one_click: text.contains("List-Unsubscribe") && text.contains("One-Click"), narrow: false };
        }
        let pairs = form::parse(body);
        Self {
            one_click: form::value(&pairs, "List-Unsubscribe").is_some(),
            narrow: form::value(&pairs, "scope") == Some("medium"),
        }
    }
}

/// The message that a token (of any age) or a short code belongs to.
async fn message(web: &WebState, id: &str, headers: &HeaderMap, peer: Option<Peer>) -> Result<Option<Arc<Known>>, LookupError> {
    let now = web.now();
    let effect = if is_code(id) {
        // Never guarded: behind a proxy one address may stand for everybody, and nobody may keep others from opting out.
        let ip = client_ip(&web.settings(), headers, peer);
        redirect::code(web, id, ip, false, now).await?.map(|(effect, _)| effect)
    } else {
        web.keys.verify_unsubscribe(id)
    };
    match effect {
        Some(effect) => web.effects.get(effect, now).await,
        None => Ok(None),
    }
}

fn brand_title(web: &WebState, known: &Known) -> String {
    web.settings().brands.get(&known.brand).unwrap_or(&known.brand).clone()
}

/// The suppressions hold from the moment they are stored; the event moves the copies. The person is opted out, as we know them, and the
/// mailbox or number by itself: who is told under another id tomorrow, or is in no CRM any more, said so all the same.
fn incoming(known: &Known, only: Option<Medium>, now: Timestamp) -> Incoming {
    let scope = only.map_or("all", Medium::as_str);
    let suppression = |scope, medium| Suppression {
        scope,
        brand: Some(known.brand.clone()),
        medium,
        purpose: Some(Purpose::Advertising),
        reason: SuppressionReason::Unsubscribed,
        at: now,
    };
    Incoming {
        source: "unsubscribe".into(),
        // Impatient taps and a mail program's repeats are one event; a later one, after a new consent, is another.
        id: format!("{}:{scope}:{}", known.effect, now.as_second().div_euclid(60)),
        event: InboxEvent::Unsubscribe {
            subject: SignalSubject { effect: Some(known.effect), ..SignalSubject::default() },
            at: now,
            only,
        },
        received_at: now,
        not_before: None,
        suppress: vec![
            suppression(SuppressionScope::Client(known.client), only),
            // An address has one medium.
            suppression(SuppressionScope::Address(known.recipient.clone()), known.medium),
        ],
        click: None,
    }
}

#[cfg(test)]
mod tests {
    use super::Choice;
    use axum::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

    #[test]
    fn what_a_post_says() {
        let form = "application/x-www-form-urlencoded";
        let parts = "multipart/form-data; boundary=x";
        for (content_type, body, one_click, narrow) in [
            (form, "List-Unsubscribe=One-Click", true, false),
            (parts, "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n", true, false),
            (form, "scope=all", false, false),
            (form, "scope=medium", false, true),
            (form, "", false, false),
            (form, "\u{fffd}&&=", false, false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            assert_eq!(Choice::read(&headers, body.as_bytes()), Choice { one_click, narrow }, "{body}");
        }
    }
}
