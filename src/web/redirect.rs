//! `GET /r/{token or code}`: on to the link's target, with the click stored. The address never names the target, so there is
//! no way from a request to a `Location` but the ledger (CWE-601).

use super::{
    WebState, agents,
    clicks::{Hit, Recorded},
    effects::Known,
    guard::{Peer, client_ip},
    lookups::LookupError,
    pages::{Language, Page},
    reply,
};
use crate::{
    links::{Arrival, HONEYPOT, is_code, judge},
    model::EffectRef,
};
use axum::{
    extract::{Extension, Path, State, rejection::PathRejection},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use jiff::Timestamp;
use std::{net::IpAddr, sync::Arc};

pub(super) async fn open(
    State(web): State<Arc<WebState>>,
    peer: Option<Extension<Peer>>,
    method: Method,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let settings = web.settings();
    let language = || Language::of(&headers, &settings.language);
    let not_found = || reply::page(StatusCode::NOT_FOUND, language(), &Page::NotFound);
    let now = web.now();
    let Ok(Path(id)) = id else { return not_found() };

    let found = match link_of(&web, &id, &headers, peer.map(|p| p.0), now).await {
        Ok(Some((effect, link))) => web.effects.get(effect, now).await.map(|known| known.map(|k| (k, link))),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let (known, link) = match found {
        Ok(Some(found)) => found,
        Ok(None) => return not_found(),
        // Never "not found": who shares an address with somebody who guesses may have a good link.
        Err(LookupError::Guessing) => return reply::page(StatusCode::TOO_MANY_REQUESTS, language(), &Page::TryAgain),
        Err(error) => {
            web.metrics.store_error(error.label());
            return reply::page(StatusCode::SERVICE_UNAVAILABLE, language(), &Page::TryAgain);
        }
    };
    let Some(response) = target(&known, link).and_then(reply::redirect) else { return not_found() };
    if method == Method::HEAD {
        // Whoever only asks for the headers is not reading: neither recorded nor a hit against others.
        return response;
    }
    let tell_tale = agents::tell_tale(&headers);
    let judgement = known
        .hit(link, now, |others| judge(&Arrival { link, at: now, message: known.sent, medium: known.medium, others, tell_tale }));
    let recorded = web.clicks.record(Hit { effect: known.effect, link, at: now, judgement }, settings.redirect_wait).await;
    if recorded == Recorded::Dropped {
        tracing::warn!(effect = %known.effect, "a click was lost");
    }
    response
}

/// The link's own target. What follows the honeypot is led to the first link: it must learn nothing.
fn target(known: &Known, link: i16) -> Option<&str> {
    let index = if link == HONEYPOT { 0 } else { usize::try_from(link).ok()? };
    known.links.get(index).map(String::as_str)
}

/// Which link a token or code means. A token is verified before anything is looked up; a code is looked up by its keyed hash.
pub(super) async fn link_of(
    web: &WebState,
    id: &str,
    headers: &HeaderMap,
    peer: Option<Peer>,
    now: Timestamp,
) -> Result<Option<(EffectRef, i16)>, LookupError> {
    if !is_code(id) {
        return Ok(web.keys.verify_click(id).filter(|token| !token.expired(now)).map(|token| (token.effect, token.link)));
    }
    code(web, id, client_ip(&web.settings(), headers, peer), true, now).await
}

/// Which link a short code means. `guarded`: not looked up for whoever tries too many that do not exist.
pub(super) async fn code(
    web: &WebState,
    code: &str,
    ip: Option<IpAddr>,
    guarded: bool,
    now: Timestamp,
) -> Result<Option<(EffectRef, i16)>, LookupError> {
    let hash = web.keys.code_hash(code);
    if let Some(link) = web.effects.remembered_code(&hash) {
        return Ok(Some(link));
    }
    if guarded && !web.guard.allows(ip, now) {
        return Err(LookupError::Guessing);
    }
    let found = web.effects.code(&hash).await?;
    if found.is_none() {
        web.guard.missed(ip, now);
    }
    Ok(found)
}
