//! The shapes of answers: every page, error and redirect carries the same careful headers.

use super::pages::{self, Language, Page};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use std::borrow::Cow;
use url::Url;

const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Headers that hold for everything we answer: nothing is kept by caches, nothing is told to the next site, nothing is indexed.
fn careful(mut response: Response, content_type: HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    response
}

fn response(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
}

/// A page for people.
pub(super) fn page(status: StatusCode, language: Language, page: &Page<'_>) -> Response {
    let body = pages::render(language, page);
    let mut response = careful(response(status, body), HeaderValue::from_static("text/html; charset=utf-8"));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, CSP);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-language"));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    }
    response
}

/// Plain text, for programs and one-click.
pub(super) fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let mut response = careful(response(status, text.into()), HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    }
    response
}

/// Text with the content type that a provider wants.
pub(super) fn text(status: StatusCode, content_type: &'static str, text: String) -> Response {
    careful(response(status, text), HeaderValue::from_static(content_type))
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = careful(response(status, body), HeaderValue::from_static("application/json"));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    }
    response
}

/// An error for a program: what is wrong, and what to do instead.
pub(super) fn problem(status: StatusCode, what: &str, help: &str) -> Response {
    json(status, &serde_json::json!({"error": what, "help": help}))
}

/// On to the link's own target. `None`: the stored target cannot stand in a header.
pub(super) fn redirect(target: &str) -> Option<Response> {
    // A header carries ASCII (RFC 9110, 10.2.2); marketers write addresses in their own letters.
    let target = if target.is_ascii() {
        Cow::Borrowed(target)
    } else {
        Url::parse(target).map_or(Cow::Borrowed(target), |url| Cow::Owned(url.into()))
    };
    let location = HeaderValue::from_str(&target).ok()?;
    let mut response = response(StatusCode::FOUND, Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::redirect;

    #[test]
    fn a_client_gets_to_an_address_in_any_letters_with_any_program() {
        for (target, location) in [
            ("https://новыйдом.рф/планы?город=Омск#цены", "https://xn--b1aeonbgd5h.xn--p1ai/%D0%BF%D0%BB%D0%B0%D0%BD%D1%8B"),
            ("https://novydom.example?a=b c", "https://novydom.example?a=b c"),
        ] {
            let response = redirect(target).unwrap();
            let header = response.headers()["location"].to_str().unwrap();
            assert!(header.is_ascii() && header.starts_with(location), "{header}");
        }
    }
}
