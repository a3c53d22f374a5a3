//! What a request's headers say of who sent it: prefetching browsers and known scanners.

use aho_corasick::AhoCorasick;
use axum::http::{HeaderMap, header::USER_AGENT};
use std::sync::LazyLock;

/// All words are looked for in one pass: this runs for every click.
struct Words {
    programs: Option<AhoCorasick>,
    people: Option<AhoCorasick>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let lines = || include_str!("scanners.txt").lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let automaton = |words: Vec<&str>| AhoCorasick::builder().ascii_case_insensitive(true).build(words).ok();
    Words {
        programs: automaton(lines().filter(|l| !l.starts_with('!')).collect()),
        people: automaton(lines().filter_map(|l| l.strip_prefix('!')).collect()),
    }
});

/// Headers in which browsers and chat programs say that nobody clicked.
const PREFETCH: [&str; 4] = ["purpose", "sec-purpose", "x-purpose", "x-moz"];

/// Why this request was not made by a person, if its headers tell.
pub(super) fn tell_tale(headers: &HeaderMap) -> Option<&'static str> {
    let says = |name: &str| {
        let Some(value) = headers.get(name).and_then(|v| v.to_str().ok()) else { return false };
        let value = value.to_ascii_lowercase();
        ["prefetch", "preview", "prerender"].iter().any(|word| value.contains(word))
    };
    if PREFETCH.iter().any(|name| says(name)) {
        return Some("prefetch");
    }
    // A picture of a mail, not a page that somebody went to.
    let wanted = headers.get("sec-fetch-dest").and_then(|v| v.to_str().ok()).unwrap_or_default();
    if matches!(wanted, "image" | "style" | "font" | "audio" | "video") {
        return Some("embedded");
    }
    let Some(agent) = headers.get(USER_AGENT).filter(|v| !v.is_empty()) else { return Some("no_agent") };
    let names = |words: &Option<AhoCorasick>| words.as_ref().is_some_and(|words| words.is_match(agent.as_bytes()));
    (names(&WORDS.programs) && !names(&WORDS.people)).then_some("scanner")
}

#[cfg(test)]
mod tests {
    use super::tell_tale;
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    #[test]
    fn people_and_programs() {
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148";
        for (headers, want) in [
            (vec![("user-agent", phone)], None),
            (vec![("user-agent", "Mozilla/5.0 (Linux; Android 9; CUBOT_X18) Chrome/120 Mobile Safari/537.36")], None),
            (vec![("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")], None),
            (vec![("user-agent", "Mozilla/5.0 (Windows NT 10.0) Chrome/131.0 YaBrowser/24.12 Safari/537.36")], None),
            (vec![], Some("no_agent")),
            (vec![("user-agent", "")], Some("no_agent")),
            (vec![("user-agent", "Barracuda Sentinel (EE)")], Some("scanner")),
            (vec![("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1)")], Some("scanner")),
            (vec![("user-agent", "TelegramBot (like TwitterBot)")], Some("scanner")),
            (vec![("user-agent", "WhatsApp/2.23.20 A")], Some("scanner")),
            (vec![("user-agent", "python-requests/2.31")], Some("scanner")),
            (vec![("user-agent", phone), ("sec-purpose", "prefetch;prerender")], Some("prefetch")),
            (vec![("user-agent", phone), ("purpose", "prefetch")], Some("prefetch")),
            (vec![("user-agent", phone), ("x-moz", "prefetch")], Some("prefetch")),
            (vec![("user-agent", phone), ("x-purpose", "preview")], Some("prefetch")),
            (vec![("user-agent", phone), ("purpose", "other")], None),
            (vec![("user-agent", phone), ("sec-fetch-dest", "image")], Some("embedded")),
            (vec![("user-agent", phone), ("sec-fetch-dest", "document")], None),
        ] {
            let map: HeaderMap = headers.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
            assert_eq!(tell_tale(&map), want, "{headers:?}");
        }
    }
}
